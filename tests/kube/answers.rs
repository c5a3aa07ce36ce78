//! Every answer that a server can give.

use serde_json::{Value, json};

use crate::api::{Api, Say, green, ok, pod, status};
use crate::scene::Scene;

/// A head that promises a body.
fn promise(length: usize) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n")
}

#[test]
fn a_refusal_is_final_and_says_what_to_check() {
    for (code, words) in [
        (
            401,
            ["401: it does not know who asks", "kubectl auth whoami"],
        ),
        (
            403,
            [
                "403: the kubeconfig's user may not read the pod",
                "deploy/rbac.yaml",
            ],
        ),
        (404, ["404: it knows no such pod", "kubectl get pod"]),
        (400, ["answered 400", "is this the address"]),
        (410, ["answered 410", "is this the address"]),
        (204, ["answered 204", "is this the address"]),
    ] {
        let scene = Scene::new();
        let api = scene.api(vec![status(code), ok(&green())]);
        let error = scene.fails();
        for word in words {
            assert!(error.contains(word), "{error}");
        }
        assert!(error.contains(&api.url()), "{error}");
        assert_eq!(api.counts(), (1, 1), "{code}");
    }
}

#[test]
fn a_redirect_is_not_followed() {
    for code in [301, 302, 303, 307, 308] {
        let scene = Scene::new();
        let other = Api::start(scene.authority.server(&["127.0.0.1"]), vec![ok(&green())]);
        let location: &'static str = other.url().leak();
        let api = scene.api(vec![Say::Answer(
            code,
            vec![("location", location)],
            String::new(),
        )]);
        let error = scene.fails();
        assert!(
            error.contains("a redirect, which is not followed"),
            "{error}"
        );
        assert_eq!((api.counts(), other.counts()), ((1, 1), (0, 0)), "{code}");
    }
}

#[test]
fn a_server_in_trouble_is_asked_again_on_the_same_connection() {
    let scene = Scene::new();
    let busy = |code| Say::Answer(code, vec![("retry-after", "0")], "busy".to_owned());
    let says = vec![
        busy(429),
        status(500),
        busy(503),
        status(502),
        status(504),
        ok(&green()),
    ];
    let api = scene.api(says);
    scene.reads();
    assert_eq!(api.counts(), (1, 6));
}

#[test]
fn a_server_that_stays_in_trouble_is_asked_until_the_time_is_over() {
    let scene = Scene::new();
    let api = scene.api(vec![status(503)]);
    let error = scene.fails_within(2500);
    let (connections, requests) = api.counts();
    assert!(requests > 1 && connections == 1, "{connections} {requests}");
    let words = format!("gave no answer within 2500 ms, asked {requests} times: it answered 503");
    assert!(error.contains(&words), "{error}");
}

#[test]
fn a_server_that_wants_more_time_than_there_is_is_not_asked_again() {
    for seconds in ["3600", "18446744073709551615"] {
        let scene = Scene::new();
        let busy = Say::Answer(429, vec![("retry-after", seconds)], String::new());
        let api = scene.api(vec![busy, ok(&green())]);
        let error = scene.fails();
        assert!(error.contains("asked once: it answered 429"), "{error}");
        assert_eq!(api.counts(), (1, 1));
    }
    // What is no number of seconds is no reason to wait for longer than always.
    let scene = Scene::new();
    let odd = Say::Answer(
        503,
        vec![("retry-after", "Fri, 31 Dec 2999 23:59:59 GMT")],
        String::new(),
    );
    let api = scene.api(vec![odd, ok(&green())]);
    scene.reads();
    assert_eq!(api.counts(), (1, 2));
}

#[test]
fn a_connection_that_breaks_is_made_again() {
    for broken in [
        String::new(),
        "HTTP/1.1 20".to_owned(),
        promise(1000),
        promise(1000) + "{\"kind\":",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"kin".to_owned(),
    ] {
        let scene = Scene::new();
        let api = scene.api(vec![Say::AndEnd(broken.clone()), ok(&green())]);
        scene.reads();
        assert_eq!(api.counts(), (2, 2), "{broken}");
    }
}

#[test]
fn a_server_that_keeps_silent_is_waited_for_until_the_time_is_over() {
    let waited_for = |said: String| {
        let scene = Scene::new();
        let api = scene.api(vec![Say::AndWait(said.clone())]);
        let error = scene.fails_within(3000);
        let words = "gave no answer within 3000 ms, asked once: the time was over";
        assert!(error.contains(words), "{said}: {error}");
        assert_eq!(api.counts(), (1, 1), "{said}");
    };
    // Side by side: each lasts as long as it may.
    std::thread::scope(|scope| {
        for said in [
            String::new(),
            "HTTP/1.1 200 OK\r\n".to_owned(),
            promise(1000),
            promise(1000) + "{\"kind\":",
        ] {
            scope.spawn(|| waited_for(said));
        }
    });
}

#[test]
fn an_answer_without_end_or_measure_is_broken_off() {
    let long = "x".repeat((8 << 20) + 1);
    for say in [Say::Endless, Say::Answer(200, vec![], long)] {
        let scene = Scene::new();
        let api = scene.api(vec![say]);
        let error = scene.fails();
        assert!(error.contains("its answer is longer than 8 MiB"), "{error}");
        assert_eq!(api.counts(), (1, 1));
    }
    let scene = Scene::new();
    let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(70_000));
    let api = scene.api(vec![Say::AndWait(head)]);
    let error = scene.fails();
    assert!(error.contains("headers longer than 64 KiB"), "{error}");
    assert_eq!(api.counts(), (1, 1));
}

#[test]
fn a_long_answer_within_measure_is_read() {
    let scene = Scene::new();
    let mut answer = green();
    answer["metadata"]["managedFields"] = json!("x".repeat(7 << 20));
    let api = scene.api(vec![ok(&answer)]);
    scene.reads();
    assert_eq!(api.counts(), (1, 1));
}

#[test]
fn an_answer_that_is_no_pod_or_another_is_final() {
    let with = |change: fn(&mut Value)| {
        let mut answer = green();
        change(&mut answer);
        answer.to_string()
    };
    for (body, words) in [
        (
            "{\"kind\": \"NOT REPEATED".to_owned(),
            "is not JSON (line 1",
        ),
        (String::new(), "is not JSON"),
        ("<html>NOT REPEATED</html>".to_owned(), "is not JSON"),
        ("[]".to_owned(), "is a `` where a Pod was wanted"),
        (with(|a| a["kind"] = json!("Status")), "is a `Status` where"),
        (
            with(|a| a["kind"] = json!("PodList")),
            "is a `PodList` where",
        ),
        (
            with(|a| a["metadata"]["name"] = json!("web-2")),
            "is about the pod `shop/web-2`",
        ),
        (
            with(|a| a["metadata"]["namespace"] = json!("bank")),
            "is about the pod `bank/web-1`",
        ),
        (
            with(|a| a["metadata"] = json!(null)),
            "is about the pod `/`",
        ),
        (
            with(|a| a["metadata"]["annotations"] = json!(["NOT REPEATED"])),
            "annotations that are not",
        ),
        (
            with(|a| a["metadata"]["annotations"]["a"] = json!(1)),
            "annotations that are not",
        ),
    ] {
        let scene = Scene::new();
        let api = scene.api(vec![Say::Answer(200, vec![], body.clone()), ok(&green())]);
        let error = scene.fails();
        assert!(error.contains(words), "{body}: {error}");
        assert_eq!(api.counts(), (1, 1), "{body}");
    }
}

#[test]
fn what_is_no_http_is_final() {
    let scene = Scene::new();
    let api = scene.api(vec![Say::AndWait(
        "SSH-2.0-NOT REPEATED\r\n\r\n".to_owned(),
    )]);
    let error = scene.fails();
    assert!(error.contains("its answer is not HTTP"), "{error}");
    assert_eq!(api.counts(), (1, 1));
}

#[test]
fn b6_a_later_pod_of_the_same_name_is_not_this_pod() {
    let scene = Scene::new();
    let mut answer = green();
    answer["metadata"]["uid"] = json!("u2");
    let api = scene.api(vec![ok(&answer)]);
    let error = scene.fails();
    assert!(
        error.contains("a later pod of that name: its uid is `u2`, this one's is `u1`"),
        "{error}"
    );
    assert_eq!(api.counts(), (1, 1));
    // The API's copy of a static pod has a uid of its own and names the kubelet's.
    let mut answer = pod(&json!({
        "vxlan-cni.phdata.io/NetworkName": "green", "kubernetes.io/config.mirror": "u1"}));
    answer["metadata"]["uid"] = json!("u2");
    let _api = scene.api(vec![ok(&answer)]);
    scene.reads();
}

#[test]
fn a_whole_pod_is_read_from_a_server_that_knows_no_partial_ones() {
    let scene = Scene::new();
    let mut answer = green();
    answer["kind"] = json!("Pod");
    answer["apiVersion"] = json!("v1");
    answer["spec"] = json!({"containers": []});
    let _api = scene.api(vec![ok(&answer)]);
    scene.reads();
}
