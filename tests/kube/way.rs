//! The way to a server: IPv4, IPv6, names, proxies, and nobody there.

use std::net::TcpListener;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::api::{Api, green, ok};
use crate::between::{Between, Kind};
use crate::scene::{Scene, TOKEN, joins_green};

#[test]
fn a_server_is_reached_by_an_ipv6_address_and_by_a_name() {
    let scene = Scene::new();
    let api = Api::at(
        "[::1]:0",
        Some(scene.authority.server(&["::1"])),
        vec![ok(&green())],
    );
    scene.kubeconfig(&scene.cluster(&api), json!({"token": TOKEN}));
    scene.reads();
    assert_eq!(api.asked().headers["host"], api.address.to_string());
    let api = Api::start(scene.authority.server(&["localhost"]), vec![ok(&green())]);
    let mut cluster = scene.cluster(&api);
    cluster["server"] = json!(format!("https://localhost:{}", api.address.port()));
    scene.kubeconfig(&cluster, json!({"token": TOKEN}));
    scene.reads();
    assert_eq!(api.asked().greeted.as_deref(), Some("localhost"));
}

#[test]
fn a_server_on_this_machine_may_do_without_tls_and_no_other_may() {
    let scene = Scene::new();
    let api = Api::at("127.0.0.1:0", None, vec![ok(&green())]);
    scene.kubeconfig(
        &json!({"server": format!("http://{}", api.address)}),
        json!({}),
    );
    scene.reads();
    assert_eq!(api.counts(), (1, 1));
    scene.kubeconfig(&json!({"server": "http://192.0.2.1:8080"}), json!({}));
    let error = scene.run(&scene.add(&scene.config())).error(7);
    assert!(error.contains("http is for this machine alone"), "{error}");
}

#[test]
fn nobody_there_is_asked_for_until_the_time_is_over() {
    let scene = Scene::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("https://{}", listener.local_addr().unwrap());
    drop(listener);
    scene.kubeconfig(
        &json!({"server": server, "insecure-skip-tls-verify": true}),
        json!({"token": TOKEN}),
    );
    let error = scene.fails_within(2500);
    assert!(
        error.contains(&format!("{server} gave no answer within 2500 ms, asked ")),
        "{error}"
    );
    assert!(
        error.contains(" times: ") && error.contains("refused"),
        "{error}"
    );
    assert!(error.contains("is the address right"), "{error}");
}

#[test]
fn a_name_that_nobody_knows_is_an_error() {
    let scene = Scene::new();
    let cluster =
        json!({"server": "https://no-such-host.invalid:6443", "insecure-skip-tls-verify": true});
    scene.kubeconfig(&cluster, json!({"token": TOKEN}));
    let error = scene.fails_within(1000);
    assert!(
        error.contains("https://no-such-host.invalid:6443 gave no answer"),
        "{error}"
    );
}

/// A server that is known by a name which only the proxy knows.
fn behind_a_proxy(scene: &Scene) -> Api {
    Api::start(scene.authority.server(&["api.invalid"]), vec![ok(&green())])
}

#[test]
fn proxy_url_leads_through_a_connect_proxy_which_resolves_the_name() {
    let scene = Scene::new();
    let api = behind_a_proxy(&scene);
    let proxy = Between::start(Kind::Connect, api.address);
    let mut cluster = scene.cluster(&api);
    cluster["server"] = json!("https://api.invalid:6443");
    cluster["proxy-url"] = json!(format!("http://{}", proxy.address));
    scene.kubeconfig(&cluster, json!({"token": TOKEN}));
    scene.reads();
    let connect = "CONNECT api.invalid:6443 HTTP/1.1".to_owned();
    assert_eq!(proxy.asked(), [(connect.clone(), String::new())]);
    assert_eq!(api.counts(), (1, 1));
    // Its password is for it alone.
    scene.keep("me:S3CRET @word");
    cluster["proxy-url"] = json!(format!("http://me:S3CRET%20%40word@{}", proxy.address));
    scene.kubeconfig(&cluster, json!({"token": TOKEN}));
    scene.reads();
    let basic = format!("Basic {}", BASE64_STANDARD.encode("me:S3CRET @word"));
    assert_eq!(proxy.asked()[1], (connect, basic));
    assert!(
        !api.seen().requests[1]
            .headers
            .contains_key("proxy-authorization")
    );
}

#[test]
fn proxy_url_leads_through_a_socks5_proxy_which_resolves_the_name() {
    let scene = Scene::new();
    let api = behind_a_proxy(&scene);
    let proxy = Between::start(Kind::Socks5, api.address);
    let mut cluster = scene.cluster(&api);
    cluster["server"] = json!("https://api.invalid:6443");
    for (user, proof) in [("", ""), ("me:S3CRET@", "me:S3CRET")] {
        cluster["proxy-url"] = json!(format!("socks5://{user}{}", proxy.address));
        scene.kubeconfig(&cluster, json!({"token": TOKEN}));
        scene.reads();
        let asked = proxy.asked().pop().unwrap();
        assert_eq!(asked, ("api.invalid:6443".to_owned(), proof.to_owned()));
    }
    assert_eq!(api.counts(), (2, 2));
}

#[test]
fn tls_is_spoken_with_the_server_and_not_with_the_proxy() {
    let scene = Scene::new();
    // The proxy leads to somebody else.
    let other = crate::pki::Authority::new("other");
    let impostor = Api::start(other.server(&["api.invalid"]), vec![ok(&green())]);
    let proxy = Between::start(Kind::Connect, impostor.address);
    let mut cluster = scene.cluster(&impostor);
    cluster["server"] = json!("https://api.invalid:6443");
    cluster["proxy-url"] = json!(format!("http://{}", proxy.address));
    scene.kubeconfig(&cluster, json!({"token": TOKEN}));
    let error = scene.fails();
    assert!(
        error.contains("no certificate authority that is known here"),
        "{error}"
    );
    assert_eq!(impostor.counts(), (1, 0));
}

#[test]
fn a_proxy_that_does_not_connect_is_asked_until_the_time_is_over() {
    let scene = Scene::new();
    let api = behind_a_proxy(&scene);
    let proxy = Between::start(Kind::Refusing, api.address);
    let mut cluster = scene.cluster(&api);
    cluster["proxy-url"] = json!(format!("http://me:S3CRET@{}", proxy.address));
    scene.kubeconfig(&cluster, json!({"token": TOKEN}));
    let error = scene.fails_within(2500);
    assert!(error.contains("the proxy did not connect to it"), "{error}");
    assert!(proxy.asked().len() > 1, "{:?}", proxy.asked());
    assert_eq!(api.counts(), (0, 0));
}

#[test]
fn the_environments_proxy_counts_as_with_kubectl() {
    let scene = Scene::new();
    let api = behind_a_proxy(&scene);
    let proxy = Between::start(Kind::Connect, api.address);
    let mut cluster = scene.cluster(&api);
    cluster["server"] = json!("https://api.invalid:6443");
    scene.kubeconfig(&cluster, json!({"token": TOKEN}));
    let url = format!("http://me:S3CRET@{}", proxy.address);
    let call = scene.add(&scene.config());
    joins_green(&scene.run(&call.clone().env("HTTPS_PROXY", &url)));
    joins_green(
        &scene.run(
            &call
                .clone()
                .env("https_proxy", &url)
                .env("NO_PROXY", "10.0.0.0/8"),
        ),
    );
    assert_eq!(proxy.asked().len(), 2);
    // It is no proxy for what NO_PROXY names, nor for anything but https.
    let short = scene.config_with(|config| config["k8sTimeoutMs"] = json!(500));
    for (name, value) in [("NO_PROXY", ".invalid"), ("no_proxy", "*")] {
        let call = scene.add(&short).env("HTTPS_PROXY", &url).env(name, value);
        scene.run(&call).error(11);
    }
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        scene.run(&scene.add(&short).env(name, &url)).error(11);
    }
    assert_eq!(proxy.asked().len(), 2);
    let wrong = scene
        .run(&call.env("HTTPS_PROXY", "ftp://S3CRET@x"))
        .error(7);
    assert!(
        wrong.contains("HTTPS_PROXY: wanted http://HOST:PORT"),
        "{wrong}"
    );
}

#[test]
fn the_environments_proxy_is_not_for_this_machine_and_proxy_url_counts_before_it() {
    let scene = Scene::new();
    let api = scene.api(vec![ok(&green())]);
    let proxy = Between::start(Kind::Connect, api.address);
    let url = format!("http://{}", proxy.address);
    joins_green(&scene.run(&scene.add(&scene.config()).env("HTTPS_PROXY", &url)));
    assert_eq!(proxy.asked(), []);
    let mut cluster = scene.cluster(&api);
    cluster["proxy-url"] = json!(url);
    scene.kubeconfig(&cluster, json!({"token": TOKEN}));
    let call = scene
        .add(&scene.config())
        .env("HTTPS_PROXY", "http://192.0.2.1:1")
        .env("NO_PROXY", "*");
    joins_green(&scene.run(&call));
    assert_eq!(proxy.asked().len(), 1);
}
