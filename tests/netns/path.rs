//! Programs on a node whose runtime has an odd PATH, and no HOME.

use crate::support::lab::{Ask, Lab, Net};
use crate::support::plugin::Call;

/// PATHs as runtimes have them: without sbin, with empty parts, empty, and none at all.
fn paths() -> [Option<&'static str>; 5] {
    [
        Some("/usr/bin:/bin"),
        Some(":/usr/bin::/bin:"),
        Some("/no/such/folder"),
        Some(""),
        None,
    ]
}

fn with_path(call: Call, path: Option<&str>) -> Call {
    match path {
        Some(path) => call.env("PATH", path),
        None => call.without("PATH"),
    }
}

#[test]
fn programs_and_what_they_start_are_found_whatever_path_a_runtime_has() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let config = node.config(&[&Net::new("blue", 100).dual()]);
    // Where a plugin is started there may be anything.
    let here = lab.script("here", "ip", "echo >> ${0%/*}/sprung");
    for name in ["sysctl", "nsenter", "bridge"] {
        lab.script("here", name, "echo >> ${0%/*}/sprung");
    }
    let there = format!("cd {} && exec \"$0\" \"$@\"", here.display());
    let before = node.snapshot();
    for (number, path) in paths().into_iter().enumerate() {
        // `ip netns exec NAME sysctl`, and `nsenter --net=PATH ip` and `sysctl`.
        for pod in [
            node.pod(&format!("named{number}")),
            node.process_pod(&format!("process{number}")),
        ] {
            let say = |verb: &str, ask: &Ask| {
                let call = ask.verb(verb).without("HOME");
                with_path(call.behind(&["/bin/sh", "-c", &there]), path).run()
            };
            let ask = node.ask(&config, &pod);
            let result = say("ADD", &ask).ok();
            let notify = "net/ipv4/conf/eth0/arp_notify";
            assert_eq!(pod.sysctl(notify), "1", "{path:?}");
            say("CHECK", &ask.after(&result)).ok();
            say("DEL", &ask).ok();
        }
    }
    assert!(!here.join("sprung").exists());
    node.snapshot().assert_same(&before);
}
