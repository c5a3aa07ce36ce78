//! stdout and stderr that take nothing, where an ADD does something.

use serde_json::json;

use crate::support::lab::{Lab, Net};
use crate::support::streams::{BROKEN, Stream, run_with};

#[test]
fn an_add_whose_journal_and_stderr_take_nothing_joins_and_one_whose_result_nothing_reads_fails() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let mut ipam = node.route_table();
    ipam["logFile"] = json!("/dev/full");
    ipam["propagationTimeoutMs"] = json!(0);
    let config = node
        .config(&[&Net::new("blue", 100)])
        .with(json!({"logFile": "/dev/full"}))
        .ipam(ipam);
    let pod = node.pod("web");
    let ask = node.ask(&config, &pod);
    let before = node.snapshot();
    for stderr in BROKEN {
        let said = run_with(&ask.verb("ADD"), Stream::Whole, stderr);
        let result = said.ok();
        pod.ping(&node.gateway(&Net::new("blue", 100)));
        let check = ask.after(&result).verb("CHECK");
        assert_eq!(run_with(&check, stderr, stderr).code, 0, "{stderr:?}");
        assert_eq!(
            run_with(&ask.verb("DEL"), stderr, stderr).code,
            0,
            "{stderr:?}"
        );
        node.snapshot().assert_same(&before);
    }
    for stdout in BROKEN {
        let said = run_with(&ask.verb("ADD"), stdout, Stream::Whole);
        let words = "the result cannot be written to stdout";
        assert!(
            said.code == 1 && said.stderr.contains(words),
            "{stdout:?}: {said:?}"
        );
        // A runtime sends a DEL then.
        ask.del();
        node.snapshot().assert_same(&before);
    }
}
