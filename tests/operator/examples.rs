//! The examples in `--help`: each is typed as it stands there, and does something.

use super::typed::{conflist, vxlan};
use crate::support::lab::{Lab, Net};
use crate::support::plugin::{Call, Program};

/// What stands in a verb's help as an example: up to what a shell would do with it.
fn examples(verb: &str) -> Vec<Vec<String>> {
    let help = Call::of(Program::Vxlan).arg(verb).arg("--help").run();
    let (_, examples) = help.stdout.split_once("Examples:").unwrap();
    let lines = examples
        .lines()
        .filter_map(|line| line.strip_prefix("  vxlan "));
    let words = |line: &str| {
        let typed = line.split("  ").next().unwrap();
        let typed = typed.split(['|', '>', ';']).next().unwrap();
        typed.split_whitespace().map(str::to_owned).collect()
    };
    let examples: Vec<Vec<String>> = lines.map(words).collect();
    assert!(examples.len() > 2, "{}", help.stdout);
    examples
}

#[test]
fn every_example_is_one() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let config = node.config(&[&Net::new("blue", 100)]);
    let conf = conflist(node, &config);
    let pod = node.pod("web").with_container("3f2a5c");
    let ask = node
        .ask(&config, &pod)
        .args("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1");
    ask.add();
    ask.add_refused(4);
    let mut typed = 0;
    for verb in ["replay", "log", "gc", "graph"] {
        for words in examples(verb) {
            // These do not end by themselves, or end the pod's state.
            if words.iter().any(|word| word == "-f" || word == "--run") {
                continue;
            }
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let said = vxlan(node, &conf, &words).run();
            assert_eq!(said.code, 0, "{words:?}: {said:?}");
            assert!(
                !said.stdout.is_empty() || words.contains(&"del"),
                "{words:?}"
            );
            typed += 1;
        }
    }
    assert!(typed > 10, "{typed}");
}
