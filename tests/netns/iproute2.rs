//! What other builds of iproute2 say and print, put into the mouth of the one that is here.

use serde_json::json;

use crate::support::lab::{Ask, Lab, Net};

/// An `ip` in front of the real one: what that prints and says goes through `sed`. What is said more comes first, around
/// each failure, and last.
fn other_ip(lab: &Lab, printed: &str, remark: &str) -> std::path::PathBuf {
    let body = format!(
        r#"file=${{0%/*}}/$$
PATH=${{PATH#*:}} ip "$@" >$file 2>$file.said
code=$?
sed -e '{printed}' $file
{{ echo '{remark}'; sed -e 's/^Command failed.*/{remark}\n&\n{remark}/' $file.said; echo '{remark}'; }} | sed '/^$/d' >&2
rm $file $file.said
exit $code"#
    );
    lab.script("other", "ip", &body)
}

#[test]
fn other_builds_of_iproute2_are_understood() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let gbp = Net::new("blue", 100)
        .dual()
        .with(json!({"options": {"gbp": true}}));
    let config = node.config(&[&gbp]);
    let before = node.snapshot();
    let vxlan = r#""info_kind":"vxlan","info_data":{"id":[0-9]*\(,"group6*":"[^"]*"\)*"#;
    for (number, (printed, remark)) in [
        // 6.16 and later; the kernel's extended acknowledgements; abbreviations of the words.
        ("", "info: this is new"),
        ("", "Warning: this is not as it was."),
        // 6.15 and later.
        (r#"s/\("[a-z0-9_]*"\):true/\1:null/g"#, ""),
        // Ubuntu 22.04 and 24.04 on newer kernels.
        (&*format!("s/{vxlan}/&fan-map /"), ""),
        (
            &*format!("s!{vxlan}!&fan-map 10.0.0.0/8:10.1.0.0/16 !"),
            "info: this is new",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let first = other_ip(&lab, printed, remark);
        // `ip -n NAME`, and `nsenter --net=PATH ip`.
        let pods = [
            node.pod(&format!("named{number}")),
            node.process_pod(&format!("process{number}")),
        ];
        let asks: Vec<Ask> = pods
            .iter()
            .map(|pod| node.ask(&config, pod).path_first(&first))
            .collect();
        let results: Vec<_> = asks.iter().map(Ask::add).collect();
        for (ask, result) in asks.iter().zip(&results) {
            ask.check(result);
            ask.after(result).del();
            ask.del();
        }
        node.snapshot().assert_same(&before);
        let made = node.journal().matches("ip link add vx_blue").count();
        assert_eq!(made, number + 1, "{printed} {remark}: {}", node.journal());
    }
}
