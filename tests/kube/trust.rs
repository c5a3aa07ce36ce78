//! Who answers: every certificate that a server can show.

use std::io::{Read, Write};
use std::net::TcpListener;

use rcgen::date_time_ymd;
use serde_json::json;

use crate::api::{Api, green, ok};
use crate::pki::{Authority, KEYS, Key, server, server_of};
use crate::scene::{Scene, TOKEN, joins_green};

#[test]
fn a_certificate_of_each_kind_of_key_is_verified() {
    for (name, ..) in KEYS {
        let scene = Scene::new();
        let key = Key::of(name);
        let chain = scene.authority.issue(&["127.0.0.1"], &key);
        let api = Api::start(server(&chain, &key.pem), vec![ok(&green())]);
        scene.kubeconfig(&scene.cluster(&api), json!({"token": TOKEN}));
        scene.reads();
        assert_eq!(api.counts(), (1, 1), "{name}");
    }
}

#[test]
fn a_certificate_that_cannot_be_trusted_gets_no_token_and_no_second_try() {
    type Change = fn(&mut rcgen::CertificateParams);
    let past: Change = |params| params.not_after = date_time_ymd(2020, 1, 1);
    let future: Change = |params| params.not_before = date_time_ymd(4000, 1, 1);
    let right: Change = |_| {};
    for (name, other_authority, change, words) in [
        (
            "127.0.0.1",
            true,
            right,
            "no certificate authority that is known here has signed it",
        ),
        ("127.0.0.1", false, past, "it has expired"),
        ("127.0.0.1", false, future, "it is not valid yet"),
        (
            "127.0.0.2",
            false,
            right,
            "it is for another name than the server's",
        ),
        ("kubernetes", false, right, "set tls-server-name to one"),
    ] {
        let scene = Scene::new();
        // An authority of the same name is another one all the same.
        let other = Authority::new("cluster");
        let signer = if other_authority {
            &other
        } else {
            &scene.authority
        };
        let key = Key::new();
        let chain = signer.issue_with(&[name], &key, change);
        let api = Api::start(server(&chain, &key.pem), vec![ok(&green())]);
        scene.kubeconfig(&scene.cluster(&api), json!({"token": TOKEN}));
        let error = scene.fails();
        assert!(error.contains(words), "{error}");
        assert_eq!(api.counts(), (1, 0), "{words}");
    }
}

#[test]
fn tls_server_name_is_the_name_that_is_verified_and_asked_for_and_nothing_else() {
    let scene = Scene::new();
    let tls = scene.authority.server(&["kubernetes.default.svc"]);
    let api = Api::start(tls, vec![ok(&green())]);
    let mut cluster = scene.cluster(&api);
    cluster["tls-server-name"] = json!("kubernetes.default.svc");
    scene.kubeconfig(&cluster, json!({"token": TOKEN}));
    scene.reads();
    let asked = api.asked();
    assert_eq!(asked.greeted.as_deref(), Some("kubernetes.default.svc"));
    assert_eq!(asked.headers["host"], api.address.to_string());
    for (wrong, words) in [
        ("other", "another name"),
        ("not a name", "is no name that a certificate could be for"),
    ] {
        cluster["tls-server-name"] = json!(wrong);
        scene.kubeconfig(&cluster, json!({"token": TOKEN}));
        let error = scene.fails();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn insecure_skip_tls_verify_takes_any_certificate() {
    let scene = Scene::new();
    let key = Key::new();
    let other = Authority::new("other");
    let chain = other.issue_with(&["x"], &key, |params| {
        params.not_after = date_time_ymd(2020, 1, 1)
    });
    let api = Api::start(server(&chain, &key.pem), vec![ok(&green())]);
    let cluster = json!({"server": api.url(), "insecure-skip-tls-verify": true});
    scene.kubeconfig(&cluster, json!({"token": TOKEN}));
    scene.reads();
}

#[test]
fn the_authority_may_be_in_a_file_beside_the_kubeconfig_and_anybody_may_read_both() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    scene.file(
        "ca.crt",
        &format!("# the cluster's\n{}", scene.authority.pem),
    );
    for path in ["ca.crt", "./ca.crt", "bin/../ca.crt"] {
        let cluster = json!({"server": api.url(), "certificate-authority": path});
        scene.kubeconfig(&cluster, json!({"token": TOKEN}));
        scene.reads();
    }
    use std::os::unix::fs::PermissionsExt;
    let open = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(scene.world.path("kubeconfig"), open).unwrap();
    scene.reads();
}

#[test]
fn one_of_several_authorities_is_enough_and_an_intermediate_one_is_followed() {
    let scene = Scene::new();
    let (below, key) = (scene.authority.below("intermediate"), Key::new());
    let chain = below.issue(&["127.0.0.1"], &key) + &below.pem;
    let api = Api::start(server(&chain, &key.pem), vec![ok(&green())]);
    let both = format!("{}{}", Authority::new("old").pem, scene.authority.pem);
    scene.file("ca.crt", &both);
    let cluster = json!({"server": api.url(), "certificate-authority": "ca.crt"});
    scene.kubeconfig(&cluster, json!({"token": TOKEN}));
    scene.reads();
    assert_eq!(api.counts(), (1, 1));
}

#[test]
fn a_server_of_either_version_of_tls_is_spoken_with() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let scene = Scene::new();
        let key = Key::of("RSA, PKCS#8");
        let chain = scene.authority.issue(&["127.0.0.1"], &key);
        let api = Api::start(server_of(&chain, &key.pem, &[version]), vec![ok(&green())]);
        scene.kubeconfig(&scene.cluster(&api), json!({"token": TOKEN}));
        scene.reads();
    }
}

#[test]
fn without_an_authority_the_nodes_own_count() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    scene.kubeconfig(&json!({"server": api.url()}), json!({"token": TOKEN}));
    let file = scene.file("roots.pem", &scene.authority.pem);
    let call = scene.add(&scene.config());
    joins_green(&scene.run(&call.clone().env("SSL_CERT_FILE", file.to_str().unwrap())));
    let other = scene.file("others.pem", &Authority::new("other").pem);
    let error = scene
        .run(&call.clone().env("SSL_CERT_FILE", other.to_str().unwrap()))
        .error(11);
    assert!(
        error.contains("no certificate authority that is known here"),
        "{error}"
    );
    let error = scene
        .run(&call.env("SSL_CERT_FILE", "/no/such/file"))
        .error(11);
    assert!(
        error.contains("cannot read the node's certificate authorities /no/such/file"),
        "{error}"
    );
    scene.untouched();
}

#[test]
fn an_authority_that_cannot_be_read_is_named_and_nobody_is_asked() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    scene.file("empty", "");
    scene.file("key", &Key::new().pem);
    scene.file("half", &scene.authority.pem[..200]);
    scene.file(
        "garbage",
        "-----BEGIN CERTIFICATE-----\nTk9UIFJFUEVBVEVE\n-----END CERTIFICATE-----\n",
    );
    for (file, words) in [
        ("none", "cannot read the certificate authority"),
        ("empty", "holds no certificate in PEM"),
        ("key", "holds no certificate in PEM"),
        ("half", "holds no certificate in PEM"),
        ("garbage", "no certificate in it can be read"),
    ] {
        let cluster = json!({"server": api.url(), "certificate-authority": file});
        scene.kubeconfig(&cluster, json!({"token": TOKEN}));
        let error = scene.fails();
        assert!(
            error.contains(words) && error.contains(&format!("/{file}")),
            "{error}"
        );
    }
    assert_eq!(api.counts(), (0, 0));
}

#[test]
fn a_server_without_tls_gets_no_token() {
    let scene = Scene::new();
    let api = Api::at("127.0.0.1:0", None, vec![ok(&green())]);
    scene.kubeconfig(&scene.cluster(&api), json!({"token": TOKEN}));
    let error = scene.fails_within(2500);
    assert!(error.contains(&api.url()), "{error}");
    assert_eq!(api.counts().1, 0);
    // One that answers all the same is not asked again.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut heard = vec![0; 4096];
        let length = stream.read(&mut heard).unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        heard.truncate(length);
        heard
    });
    let cluster = json!({"server": format!("https://{address}"), "insecure-skip-tls-verify": true});
    scene.kubeconfig(&cluster, json!({"token": TOKEN}));
    let error = scene.fails();
    assert!(error.contains("no TLS connection came to be"), "{error}");
    let heard = heard.join().unwrap();
    assert!(!String::from_utf8_lossy(&heard).contains("S3CRET"));
}
