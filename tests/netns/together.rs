//! Many at once on one node, and the lock of a network.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use vxlan_cni::plan::container::temporary;

use crate::support::lab::{
    Ask, Lab, Net, Node, Pod, Snapshot, address, ipv6, nft, until, until_open,
};
use crate::support::plugin::{Program, Said, signal};

/// Puts a question about each at the same moment, and waits for all answers.
fn at_once(verb: &str, asks: &[&Ask]) -> Vec<Said> {
    let started: Vec<Child> = asks.iter().map(|ask| ask.verb(verb).start()).collect();
    started.into_iter().map(Said::by).collect()
}

/// Pods that are not on a network yet, each with its question.
fn pods(node: &Node, net: &Net, names: std::ops::Range<usize>) -> Vec<(Pod, Ask)> {
    let config = node.config(&[net]);
    let pod = |number| {
        let pod = node.pod(&format!("p{number}"));
        let ask = node.ask(&config, &pod);
        (pod, ask)
    };
    names.map(pod).collect()
}

#[test]
fn twenty_adds_at_once_and_twenty_dels_at_once_leave_nothing() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100).dual();
    let before = node.snapshot();
    let pods = pods(node, &blue, 0..20);
    let asks: Vec<&Ask> = pods.iter().map(|(_, ask)| ask).collect();
    let results: Vec<Value> = at_once("ADD", &asks).iter().map(Said::ok).collect();
    let families = ipv6::families().len();
    for n in 0..families {
        let mut addresses: Vec<String> = results.iter().map(|r| address(r, n)).collect();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), 20, "everybody has an address of their own");
    }
    // One device, one gateway, one route and one rule of a kind a family, however many made them.
    let shown = node.snapshot();
    assert_eq!(shown.with("rule {\"priority\":19200").len(), families);
    assert_eq!(
        shown.with("\"table\":\"192\"").len(),
        families * if nft::kernel_has_it() { 3 } else { 2 },
        "a route and a rule a family"
    );
    for ((pod, ask), result) in pods.iter().zip(&results) {
        ask.check(result);
        pod.ping(&node.gateway(&blue));
    }
    pods[0].0.ping(&address(&results[19], 0));
    let gone: Vec<Ask> = pods
        .iter()
        .zip(&results)
        .map(|((_, ask), r)| ask.after(r))
        .collect();
    for said in at_once("DEL", &gone.iter().collect::<Vec<_>>()) {
        assert_eq!(said.ok(), Value::Null);
    }
    node.snapshot().assert_same(&before);
}

#[test]
fn eight_networks_come_and_go_at_once_on_one_node() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let before = node.snapshot();
    let nets: Vec<Net> = (1..=8)
        .map(|n| Net::new(&format!("net{n}"), n).dual())
        .collect();
    let all: Vec<&Net> = nets.iter().collect();
    let pods: Vec<Pod> = nets.iter().map(|net| node.pod(&net.name)).collect();
    let ask = |(net, pod): (&Net, &Pod)| node.ask(&node.config(&all).joining(net), pod);
    let asks: Vec<Ask> = nets.iter().zip(&pods).map(ask).collect();
    let asks: Vec<&Ask> = asks.iter().collect();
    let results: Vec<Value> = at_once("ADD", &asks).iter().map(Said::ok).collect();
    for ((ask, result), pod) in asks.iter().zip(&results).zip(&pods) {
        ask.check(result);
        // Every network of the node is routed to every other.
        pod.ping(&address(&results[0], 0));
        pod.ping(&address(&results[7], ipv6::families().len() - 1));
    }
    for said in at_once("DEL", &asks) {
        said.ok();
    }
    node.snapshot().assert_same(&before);
}

#[test]
fn an_add_that_races_with_the_last_del_has_a_network_that_stands() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100).dual();
    let before = node.snapshot();
    let pods = pods(node, &blue, 0..24);
    let mut results = vec![pods[0].1.add()];
    for (number, pair) in pods.windows(2).enumerate() {
        let (last, next) = (&pair[0].1, &pair[1]);
        let (del, add) = (last.verb("DEL"), next.1.verb("ADD"));
        // Now the one, now the other has a head start.
        let (del, add) = match number % 2 {
            0 => {
                let del = del.start();
                (del, add.start())
            }
            _ => {
                let add = add.start();
                (del.start(), add)
            }
        };
        assert_eq!(Said::by(del).ok(), Value::Null, "round {number}");
        let result = Said::by(add).ok();
        next.1.check(&result);
        next.0.ping(&node.gateway(&blue));
        results.push(result);
    }
    pods[23].1.after(&results[23]).del();
    node.snapshot().assert_same(&before);
}

#[test]
fn an_add_that_fails_while_the_last_one_leaves_leaves_nothing() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100);
    let before = node.snapshot();
    // It fails at its very last command, when everything else is made.
    let wrong = json!({"routes": [{"dst": "10.201.0.0/16", "gw": "192.0.2.1"}]});
    let broken = node.config(&[&blue.clone().with(wrong)]);
    for (pod, ask) in &pods(node, &blue, 0..12) {
        let result = ask.add();
        let other = node.pod("other");
        let failing = node.ask(&broken, &other);
        let (del, add) = (
            ask.after(&result).verb("DEL").start(),
            failing.verb("ADD").start(),
        );
        let said = Said::by(add).error(100);
        assert!(said.contains("Nexthop has invalid gateway"), "{said}");
        assert!(!said.contains("could not be taken back"), "{said}");
        Said::by(del).ok();
        assert_eq!(pod.device("eth0"), Value::Null);
        node.snapshot().assert_same(&before);
    }
}

/// Somebody who has a lock, as long as it lives.
struct Holder(Child);

impl Holder {
    fn of(lock: &Path) -> Self {
        let line = format!("exec 9>{}; flock 9; echo; exec cat", lock.display());
        let mut child = Command::new("sh")
            .args(["-c", &line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The first line comes once the lock is held.
        let mut first = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
        Self(child)
    }

    /// It is killed, and has released nothing on its own.
    fn die(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn b56_who_waits_for_a_lock_goes_on_when_its_holder_dies_and_other_networks_do_not_wait() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let (blue, green) = (Net::new("blue", 100), Net::new("green", 200));
    let config = node.config(&[&blue, &green]);
    let (pod, other) = (node.pod("web"), node.pod("other"));
    let lock = node.run_dir().join("blue.lock");
    let mut holder = Holder::of(&lock);
    let waiting = node.ask(&config, &pod).verb("ADD").start();
    until_open(&waiting, &lock);
    let ask = node.ask(&config.clone().joining(&green), &other);
    ask.check(&ask.add());
    // Nothing is made before the lock is had.
    assert!(!node.record("blue", &pod, "eth0").exists());
    assert_eq!(node.device("vx_blue"), Value::Null);
    holder.die();
    Said::by(waiting).ok();
    assert_ne!(node.device("vx_blue"), Value::Null);
}

#[test]
fn an_add_that_waits_for_a_lock_ends_when_it_is_told_to() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let pod = node.pod("web");
    let before = node.snapshot();
    let lock = node.run_dir().join("blue.lock");
    let mut holder = Holder::of(&lock);
    let waiting = node
        .ask(&node.config(&[&Net::new("blue", 100)]), &pod)
        .verb("ADD")
        .start();
    until_open(&waiting, &lock);
    signal(&waiting, "TERM");
    let said = Said::by(waiting).error(11);
    assert!(
        said.contains("SIGTERM") && said.contains("blue.lock"),
        "{said}"
    );
    holder.die();
    std::fs::remove_file(&lock).unwrap();
    node.snapshot().assert_same(&before);
}

/// A folder with an IPAM that says nothing to ADD until it is told to, then what host-local says.
fn slow_ipam(lab: &Lab) -> std::path::PathBuf {
    lab.waiting_script("slow", "slow", "exec /usr/lib/cni/host-local")
}

#[test]
fn b56_a_slow_ipam_holds_nobody_up() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100);
    let before = node.snapshot();
    let dir = slow_ipam(&lab);
    let ipam = node.ipam();
    let config = node
        .config(&[&blue])
        .ipam(json!({"type": "slow", "dataDir": ipam}));
    let pod = node.pod("slow");
    let slow = node.ask(&config, &pod).plugins_first(&dir);
    let waiting = slow.verb("ADD").start();
    // Others of the same network come and go meanwhile; the last of them is not the last of all.
    until("the slow one is on the network", || {
        node.record("blue", &pod, "eth0").exists()
    });
    for (other, ask) in &pods(node, &blue, 0..3) {
        let result = ask.add();
        other.ping(&node.gateway(&blue));
        ask.after(&result).del();
    }
    std::fs::write(dir.join("pipe"), "now\n").unwrap();
    let result = Said::by(waiting).ok();
    slow.check(&result);
    pod.ping(&node.gateway(&blue));
    slow.after(&result).del();
    node.snapshot().assert_same(&before);
}

#[test]
fn a_gc_that_does_not_know_of_an_add_at_work_leaves_its_record_and_its_claim() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100);
    let before = node.snapshot();
    // It has claimed an address, and its answer is waited for.
    let body = format!(
        "answer=$({}) || exit; test $CNI_COMMAND != ADD || {{ : >$0.asked; read -r word <$0.pipe; }}; \
         printf %s \"$answer\"",
        Program::RouteTable.path()
    );
    let dir = lab.script("slow", "route-table", &body);
    let made = Command::new("mkfifo")
        .arg(dir.join("route-table.pipe"))
        .status();
    assert!(made.unwrap().success());
    let config = node.config(&[&blue]).ipam(node.route_table());
    let pod = node.pod("slow");
    let slow = node.ask(&config, &pod).plugins_first(&dir);
    let waiting = slow.verb("ADD").start();
    until("an address is claimed", || {
        dir.join("route-table.asked").exists()
    });
    let empty = json!({"cniVersion": "1.1.0", "cni.dev/valid-attachments": []});
    let gc = slow.clone().config(&config.clone().with(empty));
    gc.netns("")
        .ifname("")
        .env("CNI_CONTAINERID", "")
        .say("GC")
        .ok();
    std::fs::write(dir.join("route-table.pipe"), "now\n").unwrap();
    let result = Said::by(waiting).ok();
    let ask = node.ask(&config, &pod);
    ask.check(&result);
    ask.after(&result).del();
    node.snapshot().assert_same(&before);
}

#[test]
fn an_add_that_is_killed_while_the_ipam_works_blocks_nobody_and_a_del_takes_all_of_it_away() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100);
    let before = node.snapshot();
    let dir = slow_ipam(&lab);
    let ipam = node.ipam();
    let config = node
        .config(&[&blue])
        .ipam(json!({"type": "slow", "dataDir": ipam}));
    let pod = node.pod("slow");
    let slow = node.ask(&config, &pod).plugins_first(&dir);
    let mut killed = slow.verb("ADD").start();
    // The node has an eth0: until it is configured the pod's has a temporary name.
    let eth0 = "eth0".parse().unwrap();
    let temporary = temporary(&pod.container, &eth0).to_string();
    until("its link is made", || pod.device(&temporary) != Value::Null);
    killed.kill().unwrap();
    killed.wait().unwrap();
    // The IPAM lives on without it and claims an address that nobody will ever read.
    std::fs::write(dir.join("pipe"), "now\n").unwrap();
    until("the address is claimed", || {
        node.snapshot()
            .with("10.100.1.0")
            .iter()
            .any(|l| l.starts_with("file"))
    });
    let said = slow.add_refused(4);
    assert!(
        said.contains("attached to network \"blue\" already"),
        "{said}"
    );
    let next = pods(node, &blue, 0..1);
    let result = next[0].1.add();
    slow.del();
    for name in ["eth0", &temporary] {
        assert_eq!(pod.device(name), Value::Null);
    }
    next[0].1.check(&result);
    next[0].1.after(&result).del();
    node.snapshot().assert_same(&before);
}

#[test]
fn b55_a_link_in_the_place_of_a_lock_is_refused_and_not_followed() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let pod = node.pod("web");
    let lock = node.run_dir().join("blue.lock");
    let (there, absent) = (lab.dir().join("there"), lab.dir().join("absent"));
    std::fs::write(&there, "precious").unwrap();
    let ask = node.ask(&node.config(&[&Net::new("blue", 100)]), &pod);
    for target in [&there, &absent] {
        std::os::unix::fs::symlink(target, &lock).unwrap();
        let before = node.snapshot();
        let said = ask.add_refused(5);
        assert!(
            said.contains("cannot lock") && said.contains("blue.lock"),
            "{said}"
        );
        node.snapshot().assert_same(&before);
        std::fs::remove_file(&lock).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&there).unwrap(), "precious");
    assert!(!absent.exists());
    let result = ask.add();
    // The lock is its owner's alone.
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&lock).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    ask.after(&result).del();
    assert!(!lock.exists());
}

#[test]
fn whatever_was_on_a_node_nothing_is_left_of_it() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let claims = json!({"type": "route-table", "dataDir": node.ipam(), "probe": false,
        "logFile": node.dir().join("route-table.log")});
    let options = json!({"vxlanhardwareaddr": "0a:00:00:00:00:01", "ttl": 3, "port": 4790, "portlow": 30000,
        "porthigh": 40000, "age": 60, "limit": 99, "gbp": true});
    let nets = [
        Net::new("four", 4),
        Net::new("six", 6).v6(),
        Net::new("both", 46)
            .dual()
            .with(json!({"options": options, "mtu": 1300,
            "routes": [{"dst": "10.201.0.0/16"}, {"dst": "fd20::/64"}]})),
        Net::new("claims", 77).dual().with(json!({"ipam": claims})),
        Net::new("plain", 78).with(json!({"bypass": false, "mac": "random", "defaultRoute": 7})),
    ];
    let before = node.snapshot();
    let all: Vec<&Net> = nets.iter().collect();
    let mut there = Vec::new();
    for net in &nets {
        let config = node.config(&all).joining(net);
        for pod in [node.pod(&net.name), node.process_pod(&net.name)] {
            let fresh = Snapshot::of_namespace(&pod);
            // The same pod twice on one network: only one of the two can have the default route.
            let second = node
                .config(&[&net
                    .clone()
                    .with(json!({"defaultRoute": false, "routes": []}))])
                .with(json!({"name": "lab"}));
            let asks = [
                node.ask(&config, &pod),
                node.ask(&second, &pod).ifname("net1"),
            ];
            let results = asks.each_ref().map(Ask::add);
            asks[0].check(&results[0]);
            asks[1].check(&results[1]);
            there.push((pod, fresh, asks, results));
        }
    }
    let records = format!("file {}/", node.data().display());
    assert_eq!(node.snapshot().with(&records).len(), 20);
    for (pod, fresh, asks, results) in &there {
        asks[0].after(&results[0]).del();
        asks[1].after(&results[1]).del();
        Snapshot::of_namespace(pod).assert_same(fresh);
    }
    node.snapshot().assert_same(&before);
}

#[test]
fn of_the_same_add_several_times_at_once_one_wins_whole_and_the_others_take_nothing_along() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let net = Net::new("blue", 100);
    let before = node.snapshot();
    for times in [2, 2, 2, 3, 3, 3] {
        let mut pod = node.pod("web");
        let ask = node.ask(&node.config(&[&net]), &pod);
        let children: Vec<_> = (0..times).map(|_| ask.verb("ADD").start()).collect();
        let said: Vec<Said> = children.into_iter().map(Said::by).collect();
        let (won, lost): (Vec<&Said>, Vec<&Said>) = said.iter().partition(|said| said.code == 0);
        assert_eq!(won.len(), 1, "{said:?}");
        for lost in lost {
            let why = lost.error(4);
            assert!(
                why.contains("attached to network") || why.contains("has an interface"),
                "{why}"
            );
        }
        let result = won[0].ok();
        assert!(node.record("blue", &pod, "eth0").exists());
        ask.after(&result).check(&result);
        ask.after(&result).del();
        pod.end();
        node.snapshot().assert_same(&before);
    }
}
