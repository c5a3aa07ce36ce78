//! `vxlan plan`: a script of what would be done, which does it when it is run.

use serde_json::Value;

use crate::stage::{Stage, claimed};
use crate::support::lab::{Lab, Net, Ns, address, ipv6};
use crate::support::plugin::Program;

/// A script must be one for a shell; it is run on the node with variables.
fn run(stage: &Stage, script: &str, variables: &[(&str, &str)]) {
    let file = stage.node().dir().join("plan.sh");
    std::fs::write(&file, script).unwrap();
    let file = file.to_str().unwrap();
    stage.node().run(&["sh", "-n", file]);
    let set = variables
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let set: Vec<String> = set.collect();
    let mut argv = vec!["env"];
    argv.extend(set.iter().map(String::as_str));
    argv.extend(["sh", "-e", file]);
    stage.node().run(&argv);
}

/// What a container has of its interface, without the numbers that are another every time.
fn interface(pod: &Ns) -> Value {
    let mut device = pod.device("eth0");
    let object = device.as_object_mut().unwrap();
    for key in [
        "ifindex",
        "link_index",
        "link_netnsid",
        "operstate",
        "stats",
    ] {
        object.remove(key);
    }
    // The kernel's own address settles in its own time.
    let addresses = object["addr_info"].as_array_mut().unwrap();
    addresses.retain(|address| address["scope"] != "link");
    let routes = pod.show("-4 route show table all dev eth0");
    serde_json::json!([device, routes])
}

#[test]
fn the_plan_of_an_add_is_a_script_that_does_what_the_add_does() {
    let mut stage = Stage::new(Lab::new(1), vec![Net::new("blue", 100)]);
    let by_hand = stage.node().pod("hand");
    let before = stage.node().snapshot();
    let args = [
        "--args",
        "IP=10.100.1.9",
        "--netns",
        by_hand.path(),
        "--container",
        "hand",
    ];
    let said = stage.operate(&[&["plan"], &args[..]].concat());
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (0, ""),
        "{}",
        said.stdout
    );
    stage.is_as(&before);
    assert!(!said.stdout.contains('$'), "{}", said.stdout);
    let ours = stage.settled_after(|stage| run(stage, &said.stdout, &[]));
    by_hand.ping("10.100.0.1");
    let made = interface(&by_hand);
    by_hand.ip("link del eth0");
    stage.join_as(0, "web", "IP=10.100.1.9");
    assert_eq!(interface(&stage.members[0].pod), made);
    let changes = stage.settled().changes_since(&ours);
    let device = |line: &&String| !line.contains(" file ") && !line.contains(" folder ");
    let changes: Vec<_> = changes.iter().filter(device).collect();
    assert!(changes.is_empty(), "{changes:#?}");
}

#[test]
fn from_the_configuration_alone_the_script_asks_for_what_nobody_knows_yet() {
    ipv6::is_needed();
    let lab = Lab::new(1);
    let blue = claimed("blue", 100, lab.node(0));
    let stage = Stage::new(lab, vec![blue, Net::new("red", 200).dual()]);
    let said = stage.operate(&["plan", "--network", "red"]);
    for line in [
        "# what an ADD of any container's eth0 to network \"red\" would run on this node now",
        "# beside it the IPAM plugin `host-local` gives the address",
        ": \"${POD:?the name of the namespace, below /var/run/netns}\"",
        "ip link add vx_red type vxlan id 200 dev eth0 group 239.1.1.200",
        " link vx_red netns \"$POD\" type macvlan mode bridge",
        "ip -n \"$POD\" addr replace \"$ADDRESS4\"",
        "ip -n \"$POD\" addr replace \"$ADDRESS6\" dev eth0 nodad",
        "ip -n \"$POD\" link set dev eth0 address \"$MAC\"",
    ] {
        assert!(said.stdout.contains(line), "{line}\n{}", said.stdout);
    }
    let pod = stage.node().pod("hand");
    let name = pod.path().rsplit('/').next().unwrap();
    let variables = [
        ("POD", name),
        ("ADDRESS4", "10.200.1.9/16"),
        ("ADDRESS6", "fd10:c8::109/112"),
        ("MAC", "0a:58:0a:c8:01:09"),
    ];
    run(&stage, &said.stdout, &variables);
    pod.ping("10.200.0.1");
    pod.ping("fd10:c8::1");
    let said = stage.operate(&["plan"]);
    assert!(
        said.stdout.contains("to network \"blue\""),
        "{}",
        said.stdout
    );
    let said = stage.operate(&["plan", "--network", "green"]);
    assert_eq!(said.code, 1);
    assert_eq!(
        said.stderr,
        "vxlan: there is no network `green` in vxlans\n  there are blue, red\n"
    );
}

#[test]
fn what_an_add_would_refuse_its_plan_refuses_too() {
    let mut stage = Stage::new(Lab::new(1), vec![Net::new("blue", 100)]);
    stage.join(0, "web", 1);
    let web = &stage.members[0].pod;
    for (words, told) in [
        (
            vec!["--container", &web.container],
            "is attached to network \"blue\" already",
        ),
        (
            vec!["--netns", web.path()],
            "the container has an interface eth0 already",
        ),
        (
            vec!["--netns", "/nowhere"],
            "--netns `/nowhere` is no network namespace",
        ),
        (vec!["--args", "IP=10.100.0.1"], "10.100.0.1"),
        (vec!["--ifname", "far-too-long-a-name"], "--ifname: "),
    ] {
        let said = stage.operate(&[vec!["plan"], words].concat());
        assert_eq!((said.code, said.stdout.as_str()), (1, ""), "{said:?}");
        assert!(said.stderr.contains(told), "{told}\n{}", said.stderr);
    }
    let said = stage.operate(&["plan", "--netns", "x", "repair"]);
    assert_eq!(said.code, 2, "{said:?}");
    // `--conf` goes with every verb, wherever it stands.
    let conf = stage.conf();
    let said = stage.node().run(&[
        Program::Vxlan.path(),
        "plan",
        "--conf",
        conf.to_str().unwrap(),
        "repair",
    ]);
    assert!(said.contains("# nothing: every fact holds"), "{said}");
}

#[test]
fn the_plan_of_a_del_takes_the_host_side_away_with_the_last_one_only() {
    let mut stage = Stage::new(Lab::new(1), vec![Net::new("blue", 100)]);
    let blank = stage.node().snapshot();
    stage.join(0, "web", 2);
    let before = stage.settled();
    let plan = |stage: &Stage, index: usize| {
        let container = &stage.members[index].pod.container;
        let said = stage.operate(&["plan", "del", container]);
        assert_eq!(
            (said.code, said.stderr.as_str()),
            (0, ""),
            "{}",
            said.stdout
        );
        said.stdout
    };
    let first = plan(&stage, 0);
    assert!(
        first.contains("# others are on the network: the host side stays"),
        "{first}"
    );
    assert!(
        first.contains(" link del dev eth0") && !first.contains("vx_blue"),
        "{first}"
    );
    stage.is_as(&before);
    let web = &stage.members[0];
    stage
        .node()
        .ask(&stage.config(0), &web.pod)
        .after(&web.result)
        .del();
    let last = plan(&stage, 1);
    assert!(
        last.contains("# no other attachment is on the network: the host side goes"),
        "{last}"
    );
    run(&stage, &last, &[]);
    assert!(stage.members[1].pod.device("eth0").is_null());
    let changes = stage.node().snapshot().changes_since(&blank);
    let devices: Vec<_> = changes
        .iter()
        .filter(|line| line.contains("_blue") && !line.contains(" file "))
        .collect();
    assert!(devices.is_empty(), "{devices:#?}");
    let said = stage.operate(&["plan", "del", "nobody"]);
    assert_eq!(
        said.stderr,
        "vxlan: no attachment on this node is `nobody`\n  `vxlan status` lists the attachments\n"
    );
}

#[test]
fn the_plan_of_a_repair_run_by_hand_makes_every_fact_true() {
    let lab = Lab::new(1);
    let blue = claimed("blue", 100, lab.node(0));
    let mut stage = Stage::new(lab, vec![blue]);
    stage.join(0, "web", 2);
    let said = stage.operate(&["plan", "repair"]);
    assert!(
        said.stdout.contains("# nothing: every fact holds"),
        "{}",
        said.stdout
    );
    stage.node().ip("link set mv_blue down");
    stage.members[1].pod.ip("route del default");
    let before = stage.node().snapshot();
    let said = stage.operate(&["plan", "repair"]);
    stage.is_as(&before);
    let claim = address(&stage.members[0].result, 0);
    for line in [
        "ip link set dev mv_blue up",
        "ip route replace 10.100.0.0/16 dev mv_blue table 192",
        &format!("ip route add {claim}/32 dev mv_blue proto 192"),
        "# shop/web-1 ",
        "route add default via 10.100.0.1 dev eth0",
    ] {
        assert!(said.stdout.contains(line), "{line}\n{}", said.stdout);
    }
    let json = stage.operate(&["plan", "repair", "--json"]).ok();
    assert_eq!(json["commands"][0], "ip link set dev mv_blue up");
    run(&stage, &said.stdout, &[]);
    stage.is_well();
}
