//! What other nodes told, compared: it is told apart or refused, and none of its text takes a terminal over.

use vxlan_cni::ctl::doctor::compare;
use vxlan_cni::ctl::doctor::text::{Style, text};

use super::door::{is_told, presentable};

/// What a node tells.
pub const NODE: &str = include_str!("../../../fuzz/seeds/compare/node");

/// Keeps the law for the bytes of one node's file, beside another node's and beside itself.
pub fn holds(bytes: &[u8]) {
    let file = |name: &str, bytes: &[u8]| (name.to_owned(), bytes.to_vec());
    let other = NODE.replace("n1", "n2");
    for beside in [other.as_bytes(), bytes] {
        match compare::of(&[file("a.json", beside), file("b.json", bytes)]) {
            Err(error) => presentable(&error),
            Ok(report) => {
                for verbose in [true, false] {
                    let style = Style {
                        plain: verbose,
                        ticks: verbose,
                        verbose,
                        colours: false,
                    };
                    let text = text(&report, style, "");
                    assert!(text.lines().all(is_told), "{text:?}");
                }
                let document = report.document();
                let findings = document["findings"].as_array().unwrap();
                let failed = findings.iter().any(|finding| finding["state"] == "failed");
                assert_eq!(document["ok"], !failed);
            }
        }
    }
}
