//! The examples in `--help`: each is typed as it stands there, and does something.

use super::typed::{conflist, vxlan};
use crate::support::lab::{Lab, Net};
use crate::support::plugin::{Call, Program};

/// What stands in a verb's help as an example: up to what a shell would do with it.
fn examples(verb: &str) -> Vec<String> {
    let help = Call::of(Program::Vxlan).arg(verb).arg("--help").run();
    let (_, examples) = help.stdout.split_once("Examples:").unwrap();
    let lines = examples.lines().filter(|line| line.starts_with("  vxlan "));
    let typed = |line: &str| {
        let typed = line.trim_start().split("  ").next().unwrap();
        let typed = match typed.contains('\'') {
            // A sign in quotes is the program's.
            true => typed.to_owned(),
            false => typed.split(['|', '>', ';']).next().unwrap().to_owned(),
        };
        typed.trim_end().to_owned()
    };
    let examples: Vec<String> = lines.map(typed).collect();
    assert!(examples.len() > 2, "{}", help.stdout);
    examples
}

/// The verbs that end by themselves, and whether each of their examples succeeds on any node with the pod that they speak of.
const VERBS: [(&str, bool); 9] = [
    ("status", false),
    ("doctor", false),
    ("plan", false),
    ("repair", true),
    ("replay", true),
    ("log", true),
    ("gc", true),
    ("graph", true),
    ("metrics", true),
];

#[test]
fn every_example_is_one() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let config = node.config(&[&Net::new("blue", 100)]);
    let conf = conflist(node, &config);
    let pod = node.pod("web").with_container("3f2a5c");
    let args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1";
    let ask = node.ask(&config, &pod).args(args);
    ask.add();
    ask.add_refused(4);
    let program = Program::Vxlan.path();
    let path = vxlan(node, &conf, &[]).environment()["CNI_PATH"].clone();
    let mut typed = 0;
    for (verb, succeeds) in VERBS {
        for line in examples(verb) {
            // These do not end by themselves, begin with a blank node, hand on to another program, are refused for
            // what is alive, write into a folder of another program, or read what other nodes have written.
            if [" -f", "--run", "| jq", "--force", "--output", "--compare"]
                .iter()
                .any(|word| line.contains(word))
            {
                continue;
            }
            let script = format!("vxlan() {{ {program} \"$@\" --conf {conf}; }}\n{line}");
            let mut shell = node.command(&["sh", "-c", &script]);
            let output = shell.env("CNI_PATH", &path).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            let code = output.status.code();
            // 2 is what the command line does not know.
            assert!(
                code == Some(0) || code == Some(1) && !succeeds,
                "{line}: {code:?} {stderr}"
            );
            assert!(!output.stdout.is_empty() || code == Some(1), "{line}");
            typed += 1;
        }
    }
    assert!(typed > 20, "{typed}");
}
