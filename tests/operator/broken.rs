//! What is broken by hand: doctor says what, how to see it and how to mend it; repair mends it once, and
//! whoever is not concerned does not notice.

use serde_json::json;

use crate::stage::{Bystanders, Stage, claimed, on_this_underlay};
use crate::support::lab::{Lab, Net, address};
use crate::support::plugin::Program;

/// A way to break something.
struct Row {
    /// A line of a shell on the node; `POD` is the namespace of web-0, `CLAIM` its address.
    by: &'static str,
    /// What doctor says is wrong, with how to see and how to mend it.
    found: &'static [&'static str],
    /// What repair runs for it.
    made: &'static [&'static str],
}

const ROWS: [Row; 18] = [
    Row {
        by: "ip link set mv_blue down",
        found: &[
            "✗ the host side: mv_blue is up: found down",
            "inspect  ip -d addr show dev mv_blue",
            "fix      ip link set dev mv_blue up",
            "✗ the host side: route 10.100.0.0/16 dev mv_blue table 192: missing",
            "the claim of CLAIM of pod shop/web-0",
        ],
        made: &[
            "network blue: ip link set dev mv_blue up",
            "network blue: ip route replace 10.100.0.0/16 dev mv_blue table 192",
            "claims: put back CLAIM: pod shop/web-0",
        ],
    },
    Row {
        by: "ip rule del pref 19200 from 10.100.0.0/16",
        found: &[
            "✗ the host side: rule 19200 from 10.100.0.0/16 to 10.100.0.0/16 lookup 192: missing",
            "inspect  ip rule show pref 19200",
        ],
        made: &["network blue: ip rule add pref 19200 from 10.100.0.0/16 to 10.100.0.0/16"],
    },
    Row {
        by: "ip route del 10.100.0.0/16 table 192",
        found: &["✗ the host side: route 10.100.0.0/16 dev mv_blue table 192: missing"],
        made: &["network blue: ip route replace 10.100.0.0/16 dev mv_blue table 192"],
    },
    Row {
        by: "ip addr del 10.100.0.1/16 dev mv_blue",
        found: &["✗ the host side: mv_blue has 10.100.0.1/16: missing"],
        made: &["network blue: ip addr replace 10.100.0.1/16"],
    },
    Row {
        by: "ip route del CLAIM proto 192",
        found: &[
            "the claim of CLAIM of pod shop/web-0",
            "fix      vxlan repair, or route-table reconcile",
        ],
        made: &["claims: put back CLAIM: pod shop/web-0"],
    },
    Row {
        by: "bridge fdb del 00:00:00:00:00:00 dev vx_blue dst 239.1.1.100 via eth0",
        found: &[
            "✗ the host side: vx_blue floods to 239.1.1.100: missing",
            "inspect  bridge fdb show dev vx_blue",
        ],
        made: &["bridge fdb append 00:00:00:00:00:00 dev vx_blue dst 239.1.1.100 via eth0"],
    },
    Row {
        by: "bridge fdb del 00:00:00:00:00:00 dev vx_green dst 198.18.0.2 via eth0",
        found: &["✗ the host side: vx_green floods to 198.18.0.2: missing"],
        made: &["bridge fdb append 00:00:00:00:00:00 dev vx_green dst 198.18.0.2 via eth0"],
    },
    Row {
        by: "ip link set vx_blue mtu 1200",
        found: &[
            "✗ the host side: vx_blue has mtu 1450: found mtu 1200",
            "✗ the host side: mv_blue has mtu 1450: found mtu 1200",
            "eth0 has mtu 1450: found mtu 1200",
        ],
        made: &[
            "network blue: ip link set dev vx_blue mtu 1450",
            "network blue: ip link set dev mv_blue mtu 1450",
            "shop/web-0",
        ],
    },
    Row {
        by: "sysctl -qw net.ipv4.conf.mv_blue.rp_filter=1",
        found: &[
            "✗ rp_filter of mv_blue is strict (all 1, mv_blue 1)",
            "✗ the host side: net.ipv4.conf.mv_blue.rp_filter = 2: found 1",
        ],
        made: &["sysctl -qw net.ipv4.conf.mv_blue.rp_filter=2"],
    },
    Row {
        by: "sysctl -qw net.ipv4.conf.mv_blue.forwarding=0",
        found: &["✗ the host side: net.ipv4.conf.mv_blue.forwarding = 1: found 0"],
        made: &["sysctl -qw net.ipv4.conf.mv_blue.forwarding=1"],
    },
    Row {
        by: "ip -n POD addr flush dev eth0",
        found: &[
            "eth0 has CLAIM/16: missing",
            "route default via 10.100.0.1 dev eth0: missing",
        ],
        made: &[
            "ip -n POD addr replace CLAIM/16",
            "ip -n POD route add default via 10.100.0.1",
        ],
    },
    Row {
        by: "ip -n POD route del default",
        found: &[
            "route default via 10.100.0.1 dev eth0: missing",
            "inspect  ip -n POD route show",
            "fix      ip -n POD route add default via 10.100.0.1",
        ],
        made: &["ip -n POD route add default via 10.100.0.1"],
    },
    Row {
        by: "ip -n POD link set eth0 down",
        found: &["eth0 is up: found down"],
        made: &[
            "ip -n POD link set dev eth0 up",
            "ip -n POD route add default",
        ],
    },
    Row {
        by: "ip -n POD link del eth0",
        found: &["macvlan eth0 on vx_blue is there: missing"],
        made: &[
            " link vx_blue netns POD type macvlan mode bridge",
            "ip -n POD addr replace CLAIM/16",
        ],
    },
    Row {
        by: "ip link set dev vx_blue type vxlan nolearning ageing 60",
        found: &[
            "✗ the host side: vxlan vx_blue with VNI 100 is there: found ageing is 60, wanted 300, learning is off, wanted on",
            "fix      ip link set dev vx_blue type vxlan learning ageing 300 ttl 0",
        ],
        made: &["network blue: ip link set dev vx_blue type vxlan learning ageing 300 ttl 0"],
    },
    Row {
        by: "ip link set dev mv_blue type macvlan mode private",
        found: &[
            "✗ the host side: macvlan mv_blue on vx_blue is there: found mode is private, wanted bridge",
            "fix      ip link set dev mv_blue type macvlan mode bridge",
        ],
        made: &["network blue: ip link set dev mv_blue type macvlan mode bridge"],
    },
    Row {
        by: "ip -n POD link set dev eth0 type macvlan mode vepa",
        found: &[
            "macvlan eth0 on vx_blue is there: found mode is vepa, wanted bridge",
            "fix      ip -n POD link set dev eth0 type macvlan mode bridge",
        ],
        made: &["ip -n POD link set dev eth0 type macvlan mode bridge"],
    },
    Row {
        by: "ip link del vx_blue",
        found: &[
            "✗ the host side: vxlan vx_blue with VNI 100 is there: missing",
            "fix      ip link add vx_blue type vxlan id 100",
            "✗ the host side: mv_blue has 10.100.0.1/16: missing\n      inspect  ip -d addr show dev mv_blue\n      fix      vxlan repair\n",
            "✗ the host side: macvlan mv_blue on vx_blue is there: missing",
            "macvlan eth0 on vx_blue is there: missing",
        ],
        made: &[
            "network blue: ip link add vx_blue type vxlan id 100",
            "network blue: ip link add name mv_blue link vx_blue type macvlan",
            "claims: put back CLAIM: pod shop/web-0",
            " link vx_blue netns POD type macvlan mode bridge",
        ],
    },
];

/// Three networks with two pods each: with claims, dual stack, and with one other node for a peer.
fn stage() -> Stage {
    let lab = Lab::new(2);
    let blue = claimed("blue", 100, lab.node(0));
    let green = Net::new("green", 300).with(json!({"options": {"group": "198.18.0.2"}}));
    let mut stage = Stage::new(lab, vec![blue, Net::new("red", 200).dual(), green]);
    stage.join(0, "web", 2);
    stage.join(1, "db", 2);
    stage.join(2, "mail", 1);
    stage
}

#[test]
fn what_is_broken_by_hand_is_found_explained_and_mended_and_nobody_else_notices() {
    let stage = stage();
    let web = &stage.members[0];
    let netns = web.pod.path().rsplit('/').next().unwrap().to_owned();
    let claim = address(&web.result, 0);
    let said = |text: &str| {
        let text = text.replace("POD", &netns).replace("CLAIM", &claim);
        on_this_underlay(&text)
    };
    stage.is_well();
    let bystanders = Bystanders::watch(&stage, 1);
    let mut missed = Vec::new();
    for row in &ROWS {
        let by = said(row.by);
        stage.node().sh(&by);
        let found = stage.operate(&["doctor", "--verbose"]);
        let mended = stage.operate(&["repair"]);
        let again = stage.operate(&["repair"]);
        let lacks = |text: &str, words: &[&str]| {
            let words = words.iter().map(|word| said(word));
            let lacking = words.filter(|word| !text.contains(word));
            lacking
                .map(|word| format!("after `{by}` nothing of `{word}` in\n{text}"))
                .collect::<Vec<_>>()
        };
        missed.extend(lacks(&found.stdout, row.found));
        missed.extend(lacks(&mended.stdout, row.made));
        missed.extend(lacks(
            &again.stdout,
            &["every fact holds, nothing was done\n"],
        ));
        assert_eq!(
            (found.code, mended.code, again.code),
            (1, 0, 0),
            "{by}\n{found:?}\n{mended:?}"
        );
        assert_eq!((found.stderr + &mended.stderr).as_str(), "", "{by}");
        web.pod.ping("10.100.0.1");
        stage
            .node()
            .ask(&stage.config(0), &web.pod)
            .check(&web.result);
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    stage.is_well();
    bystanders.noticed_nothing();
}

#[test]
fn one_cause_is_one_line_and_what_follows_from_it_is_counted() {
    let stage = stage();
    stage.node().ip("link del vx_blue");
    let found = stage.operate(&["doctor"]);
    let of_it: Vec<&str> = found
        .stdout
        .lines()
        .filter(|line| line.contains('✗') && line.contains("_blue"))
        .collect();
    let [cause] = of_it[..] else {
        panic!("{}", found.stdout)
    };
    let missing = "✗ the host side: vxlan vx_blue with VNI 100 is there: missing; ";
    assert!(cause.contains(missing), "{cause}");
    assert!(cause.contains("facts (2 attachments)"), "{cause}");
    assert!(cause.ends_with(" from it"), "{cause}");
    let document = stage.operate(&["doctor", "--json"]).json();
    let all = document["findings"].as_array().unwrap();
    let cause =
        json!({"of": "the host side", "message": "vxlan vx_blue with VNI 100 is there: missing"});
    let follow = all.iter().filter(|one| one["follows_from"] == cause);
    assert!(follow.count() > 20, "{document}");
    // `script` gives it a terminal: only what is wrong, in colours.
    let line = format!(
        "{} doctor --conf {}",
        Program::Vxlan.path(),
        stage.conf().display()
    );
    let shown = stage.node().sh(&format!(
        "LC_ALL=C.UTF-8 TERM=xterm script -qec '{line}' /dev/null || true"
    ));
    assert!(
        shown.contains("\u{1b}[31m✗\u{1b}[0m the host side"),
        "{shown}"
    );
    assert!(!shown.contains('✓'), "{shown}");
    stage.operate(&["repair"]).stdout.lines().for_each(drop);
    stage.is_well();
}

#[test]
fn who_is_not_root_is_told_to_be_and_not_that_all_is_well() {
    let stage = stage();
    let program = Program::Vxlan.path();
    let said = stage.node().sh(&format!(
        "setpriv --reuid 65534 --clear-groups -- {program} doctor --json || echo $?"
    ));
    let (document, code) = said.trim_end().rsplit_once('\n').unwrap();
    let document: serde_json::Value = serde_json::from_str(document).unwrap();
    assert_eq!(code, "3", "{said}");
    assert_eq!(document["findings"][0]["id"], "root");
    assert_eq!(
        document["findings"][0]["fix"],
        "run it as root: sudo vxlan doctor"
    );
}

#[test]
fn what_repair_ran_is_in_the_journal_with_whose_it_is() {
    let stage = stage();
    let web = &stage.members[0];
    web.pod.ip("route del default");
    stage.node().ip("link set mv_blue down");
    stage.operate(&["repair"]).stdout.lines().for_each(drop);
    let journal = stage.node().journal();
    let of_the_node = journal.split("REPAIR blue -\n").nth(1).unwrap();
    assert!(
        of_the_node.starts_with("ip link set dev mv_blue up\n"),
        "{journal}"
    );
    let head = format!("REPAIR blue {}/eth0 pod=shop/web-0\n", web.pod.container);
    let of_the_pod = journal.split(&head).nth(1).unwrap();
    assert!(
        of_the_pod.contains("route add default via 10.100.0.1"),
        "{journal}"
    );
    stage
        .node()
        .run(&["sh", "-n", stage.node().log().to_str().unwrap()]);
}

#[test]
fn a_program_is_told_the_same_as_one_document() {
    let stage = stage();
    stage.node().ip("link set mv_blue down");
    let found = stage.operate(&["doctor", "--json"]).json();
    assert_eq!(found["ok"], false);
    let wrong =
        |finding: &&serde_json::Value| finding["state"] == "failed" && finding["id"] == "fact";
    let findings = found["findings"].as_array().unwrap();
    let first = findings.iter().find(wrong).unwrap();
    assert_eq!(first["about"], "network blue (VNI 100, vx_blue)");
    assert_eq!(first["of"], "the host side");
    assert_eq!(first["fix"], "ip link set dev mv_blue up");
    let mended = stage.operate(&["repair", "-j"]).ok();
    assert_eq!(mended["failed"], json!([]));
    let first = json!({"of": "network blue", "command": "ip link set dev mv_blue up"});
    assert_eq!(mended["made"][0], first);
    assert_eq!(stage.operate(&["doctor", "-j"]).ok()["ok"], true);
}
