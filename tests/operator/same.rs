//! `vxlan plan` is the verb itself: what it prints is what the verb writes into its journal right after.

use serde_json::{Value, json};

use crate::stage::{Member, Stage, claimed};
use crate::support::lab::{Lab, Net, Pod, ipv6, mac, nft};

/// The changing commands that something has the journal say.
fn written(stage: &Stage, act: impl FnOnce()) -> Vec<String> {
    let before = stage.node().journal().len();
    act();
    let journal = stage.node().journal();
    commands(&journal[before..])
}

fn commands(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// The commands that a plan prints. Nothing is written for them: no file, no lock, no line, and nothing in the kernel.
fn planned(stage: &Stage, words: &[&str]) -> Vec<String> {
    let journal = stage.node().journal();
    let before = stage.settled();
    let said = stage.operate(&[&["plan", "--json"], words].concat());
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{said:?}");
    stage.is_as(&before);
    assert_eq!(stage.node().journal(), journal);
    serde_json::from_value(said.json()["commands"].clone()).unwrap()
}

/// Asks for the plan of an ADD to the default network, as the runtime would ask for the ADD.
fn planned_add(stage: &Stage, pod: &Pod, args: &str) -> Vec<String> {
    let words = [
        ["--netns", pod.path()],
        ["--container", &pod.container],
        ["--args", args],
    ];
    planned(stage, words.as_flattened())
}

/// Puts in what the IPAM gave.
fn with(result: &Value, lines: Vec<String>) -> Vec<String> {
    let ips = result["ips"].as_array().unwrap();
    let put = |line: String| {
        let line = line.replace("\"$MAC\"", &mac(result));
        let number = |address: &str| if address.contains(':') { 6 } else { 4 };
        ips.iter().fold(line, |line, ip| {
            let address = ip["address"].as_str().unwrap();
            let name = format!("\"$ADDRESS{}\"", number(address));
            line.replace(&name, address)
        })
    };
    lines.into_iter().map(put).collect()
}

/// Plans an ADD and carries it out.
fn add(stage: &mut Stage, name: &str, args: &str) {
    let pod = stage.node().pod(name);
    let planned = planned_add(stage, &pod, args);
    let mut result = Value::Null;
    let written = written(stage, || {
        result = stage.node().ask(&stage.config(0), &pod).args(args).add();
    });
    assert_same(&with(&result, planned), &written);
    let net = 0;
    stage.members.push(Member { net, pod, result });
}

/// Plans the DEL of the pod that came first and carries it out.
fn del(stage: &mut Stage) {
    let Member { pod, result, .. } = stage.members.remove(0);
    let planned = planned(stage, &["del", &pod.container]);
    let ask = stage.node().ask(&stage.config(0), &pod).after(&result);
    let written = written(stage, || ask.del());
    assert_same(&planned, &written);
}

fn assert_same(planned: &[String], written: &[String]) {
    let (planned, written) = (planned.join("\n"), written.join("\n"));
    assert!(!written.is_empty());
    assert!(
        planned == written,
        "planned:\n{planned}\n\nwritten:\n{written}"
    );
}

/// One pod after the other comes and goes: the first makes the host side, the last takes it away.
fn come_and_go(net: Net, args: [&str; 2]) {
    let mut stage = Stage::new(Lab::new(1), vec![net]);
    add(&mut stage, "one", args[0]);
    add(&mut stage, "two", args[1]);
    del(&mut stage);
    del(&mut stage);
}

#[test]
fn an_add_and_a_del_run_what_their_plans_say_in_two_families() {
    ipv6::is_needed();
    come_and_go(Net::new("blue", 100).dual(), ["IgnoreUnknown=1"; 2]);
}

#[test]
fn an_add_and_a_del_run_what_their_plans_say_where_rules_name_the_pods_addresses() {
    nft::egress_is_needed();
    let blue = Net::new("blue", 100).with(json!({"antiSpoof": true}));
    come_and_go(blue, ["IP=10.100.1.9", "IP=10.100.1.10"]);
}

#[test]
fn the_plan_of_a_del_of_two_interfaces_is_that_of_one_del_behind_the_other() {
    // Two defaults of one pod exclude each other.
    let blue = Net::new("blue", 100).with(json!({"defaultRoute": false}));
    let mut stage = Stage::new(Lab::new(1), vec![blue]);
    stage.join(0, "web", 1);
    let pod = &stage.members[0].pod;
    let ask = |ifname| stage.node().ask(&stage.config(0), pod).ifname(ifname);
    let net1 = ask("net1");
    let second = net1.add();
    let planned = planned(&stage, &["del", &pod.container]);
    let written = written(&stage, || {
        ask("eth0").after(&stage.members[0].result).del();
        net1.after(&second).del();
    });
    assert_same(&planned, &written);
}

/// What a repair runs is what its plan says, after lines that break something of the node and of its first pod.
fn mends(stage: &Stage, on_the_node: &[&str], in_the_pod: &[&str]) {
    let claims = |stage: &Stage| {
        let log = stage.node().dir().join("route-table.log");
        std::fs::read_to_string(log).unwrap_or_default()
    };
    on_the_node
        .iter()
        .for_each(|line| drop(stage.node().sh(line)));
    let pod = &stage.members[0].pod;
    in_the_pod.iter().for_each(|line| drop(pod.sh(line)));
    let planned = planned(stage, &["repair"]);
    let before = claims(stage).len();
    let written = written(stage, || {
        let said = stage.operate(&["repair"]);
        assert_eq!(said.code, 0, "{said:?}");
    });
    let is_claim = |line: &&String| line.contains(" proto 192 ");
    let claimed: Vec<String> = planned.iter().filter(is_claim).cloned().collect();
    assert_eq!(claimed, commands(&claims(stage)[before..]));
    let others = planned.into_iter().filter(|line| !is_claim(&line));
    assert_same(&others.collect::<Vec<_>>(), &written);
    stage.is_well();
}

#[test]
fn a_repair_runs_what_its_plan_says_of_several_breakages_at_once() {
    let lab = Lab::new(1);
    let blue = claimed("blue", 100, lab.node(0));
    let mut stage = Stage::new(lab, vec![blue]);
    stage.join(0, "web", 2);
    let small = [
        "ip link set mv_blue down",
        "ip rule del pref 19200",
        "sysctl -qw net.ipv4.ip_forward=0",
        "ip link set vx_blue type vxlan ageing 17",
        "nft flush chain inet vxlan_cni vx_blue",
    ];
    let pod = [
        "ip link set eth0 type macvlan mode private",
        "ip route del default",
        "sysctl -qw net.ipv4.conf.eth0.arp_notify=0",
    ];
    mends(&stage, &small, &pod);
    mends(
        &stage,
        &["ip link del mv_blue", "nft delete table inet vxlan_cni"],
        &["ip addr flush dev eth0"],
    );
    mends(
        &stage,
        &["ip link set vx_blue down", "ip addr flush dev mv_blue"],
        &["ip link set eth0 down"],
    );
    mends(&stage, &["ip link del vx_blue"], &[]);
}
