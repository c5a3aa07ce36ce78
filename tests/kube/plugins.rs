//! Credential plugins (`users[].user.exec`): shell in the place of a cloud's program.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::api::{Api, green, ok, status};
use crate::pki::{Authority, Key, certificates};
use crate::scene::Scene;

const V1: &str = "client.authentication.k8s.io/v1";

/// A user whose plugin is a piece of shell; the shell is an argument, and arguments are secrets.
fn shell(scene: &Scene, api_version: &str, script: &str) -> Value {
    scene.keep(script);
    json!({"exec": {
        "apiVersion": api_version, "command": "sh", "args": ["-c", script],
        "env": [{"name": "HOUSE", "value": scene.world.path("").display().to_string()},
                {"name": "WORD", "value": "S3CRET-word"}],
    }})
}

/// A credential, as a plugin prints it.
fn credential(api_version: &str, status: &Value) -> String {
    let said = json!({"kind": "ExecCredential", "apiVersion": api_version, "status": status});
    format!("printf '%s' '{said}'")
}

fn authorization(api: &Api) -> String {
    api.seen().requests.last().unwrap().headers["authorization"].clone()
}

#[test]
fn a_plugins_token_is_asked_for_at_each_add_in_either_form() {
    for version in [V1, "client.authentication.k8s.io/v1beta1"] {
        let scene = Scene::new();
        let api = scene.api(vec![ok(&green())]);
        let token = json!({"token": "S3CRET-x", "expirationTimestamp": "2020-01-01T00:00:00Z"});
        let script = format!(
            "echo $WORD >> $HOUSE/ran; printf '%s' \"$KUBERNETES_EXEC_INFO\" > $HOUSE/told; {}",
            credential(version, &token)
        );
        scene.kubeconfig(&scene.cluster(&api), shell(&scene, version, &script));
        scene.reads();
        scene.reads();
        assert_eq!(authorization(&api), "Bearer S3CRET-x");
        let ran = std::fs::read_to_string(scene.world.path("ran")).unwrap();
        assert_eq!(ran, "S3CRET-word\nS3CRET-word\n");
        let told = std::fs::read_to_string(scene.world.path("told")).unwrap();
        let told: Value = serde_json::from_str(&told).unwrap();
        let wanted = json!({"kind": "ExecCredential", "apiVersion": version, "spec": {"interactive": false}});
        assert_eq!(told, wanted);
    }
}

#[test]
fn a_plugin_that_wants_to_is_told_its_cluster() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    let script = format!(
        "printf '%s' \"$KUBERNETES_EXEC_INFO\" > $HOUSE/told; {}",
        credential(V1, &json!({"token": "S3CRET-x"}))
    );
    let mut user = shell(&scene, V1, &script);
    user["exec"]["provideClusterInfo"] = json!(true);
    scene.file("ca.crt", &scene.authority.pem);
    let cluster = json!({
        "server": api.url(), "certificate-authority": "ca.crt", "tls-server-name": "127.0.0.1",
        "extensions": [{"name": "other", "extension": 1},
                       {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "blue"}}],
    });
    scene.kubeconfig(&cluster, user);
    scene.reads();
    let told = std::fs::read_to_string(scene.world.path("told")).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    let wanted = json!({
        "server": api.url(), "tls-server-name": "127.0.0.1", "config": {"audience": "blue"},
        "certificate-authority-data": BASE64_STANDARD.encode(&scene.authority.pem)});
    assert_eq!(told["spec"]["cluster"], wanted);
}

#[test]
fn a_plugins_client_certificate_is_shown() {
    let scene = Scene::new();
    let clients = Authority::new("clients");
    let key = Key::of("RSA, PKCS#1");
    let certificate = clients.issue(&["node-1"], &key);
    scene.keep(&key.pem);
    let api = Api::start(scene.authority.server_for(&clients), vec![ok(&green())]);
    let pair = json!({"clientCertificateData": certificate, "clientKeyData": key.pem});
    let user = shell(&scene, V1, &credential(V1, &pair));
    scene.kubeconfig(&scene.cluster(&api), user);
    scene.reads();
    let shown = certificates(&certificate).remove(0);
    assert_eq!(api.asked().certificate.as_deref(), Some(&shown[..]));
}

#[test]
fn a_plugin_by_a_path_starts_at_the_kubeconfig() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    std::os::unix::fs::symlink("/bin/sh", scene.world.path("plugin")).unwrap();
    let mut user = shell(&scene, V1, &credential(V1, &json!({"token": "S3CRET-x"})));
    user["exec"]["command"] = json!("./plugin");
    scene.kubeconfig(&scene.cluster(&api), user);
    scene.reads();
    assert_eq!(authorization(&api), "Bearer S3CRET-x");
}

#[test]
fn a_plugin_runs_once_however_often_the_server_is_asked() {
    let scene = Scene::new();
    let api = scene.api(vec![status(503), status(503), ok(&green())]);
    let script = format!(
        "echo x >> $HOUSE/ran; {}",
        credential(V1, &json!({"token": "S3CRET-x"}))
    );
    scene.kubeconfig(&scene.cluster(&api), shell(&scene, V1, &script));
    scene.reads();
    assert_eq!(api.counts(), (1, 3));
    assert_eq!(
        std::fs::read_to_string(scene.world.path("ran")).unwrap(),
        "x\n"
    );
}

#[test]
fn a_plugin_that_gives_nothing_is_named_without_its_arguments_and_what_it_said() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    let half = json!({"clientKeyData": "S3CRET"});
    for (script, words) in [
        (
            "echo S3CRET; echo S3CRET >&2; exit 7".to_owned(),
            "ended with exit code 7",
        ),
        ("kill -9 $$".to_owned(), "was killed by a signal"),
        ("echo S3CRET".to_owned(), "printed no JSON"),
        ("true".to_owned(), "printed no JSON"),
        (
            "echo '{\"token\": \"S3CRET\"}'".to_owned(),
            "something else than an ExecCredential",
        ),
        (
            credential(
                "client.authentication.k8s.io/v1beta1",
                &json!({"token": "S3CRET"}),
            ),
            "another apiVersion",
        ),
        (
            credential(V1, &json!({})),
            "neither a token nor a client certificate",
        ),
        (credential(V1, &half), "without its key, or a key without"),
        (
            credential(V1, &json!({"token": "S3CRET S3CRET"})),
            "a character that no token has",
        ),
    ] {
        scene.kubeconfig(&scene.cluster(&api), shell(&scene, V1, &script));
        let error = scene.fails();
        assert!(error.contains(words), "{script}: {error}");
    }
    for command in ["no-such-plugin", "./no-such-plugin"] {
        let mut user = shell(&scene, V1, "true");
        user["exec"]["command"] = json!(command);
        scene.kubeconfig(&scene.cluster(&api), user);
        let error = scene.fails();
        assert!(error.contains("no-such-plugin"), "{error}");
    }
    // A file without execute permission is no program, whatever it holds.
    let file = scene.file("bin/plain-plugin", "#!/bin/sh");
    let mut user = shell(&scene, V1, "true");
    user["exec"]["command"] = json!("plain-plugin");
    scene.kubeconfig(&scene.cluster(&api), user);
    assert!(scene.fails().contains(&file.display().to_string()));
    assert_eq!(api.counts(), (0, 0));
}

#[test]
fn a_plugin_that_does_not_end_is_killed_when_the_time_is_over() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    let script = "echo $$ > $HOUSE/pid; exec sleep 60";
    scene.kubeconfig(&scene.cluster(&api), shell(&scene, V1, script));
    let error = scene.fails_within(3000);
    assert!(
        error.contains("did not end within k8sTimeoutMs and was killed"),
        "{error}"
    );
    let pid = std::fs::read_to_string(scene.world.path("pid")).unwrap();
    assert!(!std::path::Path::new("/proc").join(pid.trim()).exists());
    assert_eq!(api.counts(), (0, 0));
}
