//! Who asks: client certificates, tokens, passwords, service accounts.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use vxlan_cni::cni::Args;
use vxlan_cni::exec::System;
use vxlan_cni::kube::credentials::Place;
use vxlan_cni::kube::{annotations, pod::Pod};

use crate::api::{Api, green, ok};
use crate::pki::{Authority, KEYS, Key, certificates, openssl};
use crate::scene::{POD, Scene, TOKEN, joins_green};

fn data(text: &str) -> Value {
    json!(BASE64_STANDARD.encode(text))
}

/// A server that wants a client certificate of an authority.
fn demanding(scene: &Scene, clients: &Authority) -> Api {
    Api::start(scene.authority.server_for(clients), vec![ok(&green())])
}

#[test]
fn a_client_certificate_with_each_kind_and_form_of_key_is_shown() {
    for (name, ..) in KEYS {
        let scene = Scene::new();
        let clients = Authority::new("clients");
        let key = Key::of(name);
        let certificate = clients.issue(&["node-1"], &key);
        scene.keep(&key.pem);
        scene.keep(&certificate);
        let api = demanding(&scene, &clients);
        let user = json!({
            "client-certificate-data": data(&certificate), "client-key-data": data(&key.pem)});
        scene.kubeconfig(&scene.cluster(&api), user);
        scene.reads();
        let asked = api.asked();
        let shown = certificates(&certificate).remove(0);
        assert_eq!(asked.certificate.as_deref(), Some(&shown[..]), "{name}");
        assert!(!asked.headers.contains_key("authorization"), "{name}");
    }
}

#[test]
fn certificate_and_key_may_be_in_files_and_in_one_file_as_the_kubelet_has_them() {
    let scene = Scene::new();
    let clients = Authority::new("clients");
    let key = Key::of("P-256, SEC1");
    let certificate = clients.issue(&["node-1"], &key);
    scene.keep(&key.pem);
    let api = demanding(&scene, &clients);
    scene.file("node.crt", &certificate);
    scene.file("node.key", &key.pem);
    // `openssl ecparam -genkey` puts the curve before the key.
    let curve = openssl("ecparam -name prime256v1", "");
    scene.file("current.pem", &format!("{certificate}{curve}{}", key.pem));
    for (certificate, key) in [("node.crt", "node.key"), ("current.pem", "current.pem")] {
        let user = json!({"client-certificate": certificate, "client-key": key});
        scene.kubeconfig(&scene.cluster(&api), user);
        scene.reads();
    }
    assert_eq!(api.counts(), (2, 2));
}

#[test]
fn a_client_certificate_that_is_missing_or_of_somebody_else_is_not_asked_with_twice() {
    let scene = Scene::new();
    let clients = Authority::new("clients");
    let api = demanding(&scene, &clients);
    let key = Key::new();
    let other = Authority::new("other").issue(&["node-1"], &key);
    scene.keep(&key.pem);
    let somebody_else =
        json!({"client-certificate-data": data(&other), "client-key-data": data(&key.pem)});
    for (user, tries) in [(json!({"token": TOKEN}), 1), (somebody_else, 2)] {
        scene.kubeconfig(&scene.cluster(&api), user);
        let error = scene.fails();
        assert!(error.contains("it ended the TLS connection"), "{error}");
        assert!(
            error.contains("does it take this client certificate?"),
            "{error}"
        );
        assert_eq!(api.counts(), (tries, 0));
    }
}

#[test]
fn a_key_that_cannot_be_used_is_named_by_its_place_and_nobody_is_asked() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    let key = Key::new();
    scene.file("node.crt", &scene.authority.issue(&["node-1"], &key));
    let p521 = openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521", "");
    let locked = openssl("pkcs8 -topk8 -passout pass:S3CRET", &key.pem);
    let other = Key::new().pem;
    for (name, text, words) in [
        (
            "p521.key",
            p521.as_str(),
            "RSA, ECDSA P-256 and P-384 and Ed25519 are known",
        ),
        (
            "locked.key",
            locked.as_str(),
            "one with a passphrase cannot",
        ),
        (
            "other.key",
            other.as_str(),
            "the key is not the certificate's",
        ),
        ("half.key", &key.pem[..90], "holds no private key in PEM"),
        ("empty.key", "", "holds no private key in PEM"),
    ] {
        scene.keep(text);
        scene.file(name, text);
        let user = json!({"client-certificate": "node.crt", "client-key": name});
        scene.kubeconfig(&scene.cluster(&api), user);
        let error = scene.fails();
        assert!(
            error.contains(words) && error.contains(name),
            "{name}: {error}"
        );
    }
    let user = json!({"client-certificate": "node.crt", "client-key": "gone.key"});
    scene.kubeconfig(&scene.cluster(&api), user);
    let error = scene.fails();
    assert!(
        error.contains("cannot read the client key") && error.contains("gone.key"),
        "{error}"
    );
    assert_eq!(api.counts(), (0, 0));
}

/// The `Authorization` of the last request.
fn authorization(api: &Api) -> Option<String> {
    let seen = api.seen();
    seen.requests
        .last()
        .unwrap()
        .headers
        .get("authorization")
        .cloned()
}

#[test]
fn a_token_file_that_was_rotated_is_read_anew_and_counts_before_the_text() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    let user = json!({"token": "S3CRET-text", "tokenFile": "token"});
    scene.kubeconfig(&scene.cluster(&api), user);
    scene.reads();
    assert_eq!(authorization(&api).as_deref(), Some("Bearer S3CRET-text"));
    for token in ["S3CRET-1", "S3CRET-2"] {
        scene.file("token", &format!("{token}\n"));
        scene.reads();
        assert_eq!(authorization(&api), Some(format!("Bearer {token}")));
    }
}

#[test]
fn a_token_that_cannot_be_had_is_no_reason_to_ask_without() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    scene.kubeconfig(&scene.cluster(&api), json!({"tokenFile": "token"}));
    let error = scene.fails();
    assert!(error.contains("cannot read the token"), "{error}");
    for (text, words) in [
        (" \n", "is empty"),
        (
            "S3CRET\r\nX-Remote-User: admin",
            "has a character that no token has",
        ),
        ("S3CRÉT", "has a character that no token has"),
    ] {
        scene.file("token", text);
        let error = scene.fails();
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(api.counts(), (0, 0));
}

#[test]
fn name_and_password_and_nobody_at_all_are_who_the_kubeconfig_says() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    scene.keep("me:S3CRET-word");
    let user = json!({"username": "me", "password": "S3CRET-word"});
    scene.kubeconfig(&scene.cluster(&api), user);
    scene.reads();
    let basic = format!("Basic {}", BASE64_STANDARD.encode("me:S3CRET-word"));
    assert_eq!(authorization(&api), Some(basic));
    scene.kubeconfig(&scene.cluster(&api), json!({}));
    scene.reads();
    assert_eq!(authorization(&api), None);
}

#[test]
fn a_kubeconfig_that_cannot_be_is_code_7_and_one_that_is_not_there_yet_is_code_11() {
    let scene = Scene::new();
    let error = scene.fails();
    assert!(
        error.contains("cannot read the kubeconfig") && error.contains("/kubeconfig"),
        "{error}"
    );
    let api = scene.api(vec![ok(&green())]);
    for (user, words) in [
        (
            json!({"as": "S3CRET"}),
            "users[0].user.as: impersonation is not done",
        ),
        (
            json!({"auth-provider": {"name": "S3CRET"}}),
            "users[0].user.auth-provider",
        ),
        (json!({"token": 7}), "users[0].user.token: wanted a string"),
        (
            json!({"client-key-data": "S3CRET!"}),
            "users[0].user.client-key-data: not base64",
        ),
    ] {
        scene.kubeconfig(&scene.cluster(&api), user);
        let error = scene.run(&scene.add(&scene.config())).error(7);
        assert!(
            error.contains(words) && error.contains("kubectl --kubeconfig"),
            "{error}"
        );
    }
    scene.file("kubeconfig", "token: S3CRET\n\ttoken: S3CRET\n");
    let error = scene.run(&scene.add(&scene.config())).error(7);
    assert!(error.contains("not YAML"), "{error}");
    scene.untouched();
    assert_eq!(api.counts(), (0, 0));
}

/// What a service account in a folder reads from the API.
fn in_cluster(scene: &Scene, api: &Api) -> Result<Vec<(String, String)>, vxlan_cni::cni::CniError> {
    let place = Place::InCluster {
        host: api.address.ip().to_string(),
        port: api.address.port().to_string(),
        folder: scene.world.path("account"),
    };
    let pod = Pod::of(&Args::parse(POD).unwrap()).unwrap().unwrap();
    annotations(&System::default(), &place, &pod, Duration::from_secs(20))
}

#[test]
fn a_service_account_is_read_anew_each_time_over_ipv4_and_ipv6() {
    for (address, name) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1")] {
        let scene = Scene::new();
        let api = Api::at(
            address,
            Some(scene.authority.server(&[name])),
            vec![ok(&green())],
        );
        std::fs::create_dir(scene.world.path("account")).unwrap();
        let error = in_cluster(&scene, &api).unwrap_err();
        assert_eq!(error.code.0, 11);
        assert!(error.msg.contains("account/ca.crt"), "{error}");
        scene.file("account/ca.crt", &scene.authority.pem);
        for token in ["S3CRET-1", "S3CRET-2"] {
            scene.file("account/token", token);
            let read = in_cluster(&scene, &api).unwrap();
            assert_eq!(read[0].1, "green");
            assert_eq!(authorization(&api), Some(format!("Bearer {token}")));
        }
        scene.file("account/ca.crt", &Authority::new("other").pem);
        let error = in_cluster(&scene, &api).unwrap_err();
        assert!(
            error.msg.contains("its certificate cannot be trusted"),
            "{error}"
        );
        assert_eq!(api.counts(), (3, 2));
    }
}

#[test]
fn without_a_kubeconfig_and_without_a_pod_around_it_says_so() {
    let scene = Scene::new();
    let config = scene.config_with(|config| {
        config.as_object_mut().unwrap().remove("k8sConfigPath");
    });
    let error = scene.run(&scene.add(&config)).error(7);
    assert!(
        error.contains("KUBERNETES_SERVICE_HOST") && error.contains("set k8sConfigPath"),
        "{error}"
    );
    for (host, port, words) in [
        (
            "no such host",
            "443",
            "KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT: it has no host",
        ),
        (
            "10.96.0.1",
            "x",
            "KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT: wanted a port",
        ),
    ] {
        let call = scene
            .add(&config)
            .env("KUBERNETES_SERVICE_HOST", host)
            .env("KUBERNETES_SERVICE_PORT", port);
        let error = scene.run(&call).error(7);
        assert!(error.contains(words), "{error}");
    }
    scene.untouched();
}

#[test]
fn each_add_asks_for_itself() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    for _ in 0..3 {
        joins_green(&scene.run(&scene.add(&scene.config())));
    }
    assert_eq!(api.counts(), (3, 3));
}
