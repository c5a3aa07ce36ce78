//! The last DEL against the first ADD, at random moments.

use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rounds;
use crate::support::lab::{Ask, Lab, Net, Node, Pod};
use crate::support::plugin::{Call, Said};

/// Rounds where the variable does not say how many.
const FEWER: usize = 40;

/// Starts a call at its moment. Nothing is waited for: the moment is what is tried.
fn start_at(moment: Instant, call: &Call) -> Child {
    while Instant::now() < moment {
        std::hint::spin_loop();
    }
    call.start()
}

/// Starts calls, each at a random moment of the window, the first one early in it, and waits for all of
/// them in their order.
pub fn at_random(random: &mut fastrand::Rng, window: Duration, calls: &[Call]) -> Vec<Said> {
    let (now, window) = (Instant::now(), window.as_micros() as u64);
    let mut moment = |number| {
        let end = if number == 0 { window / 4 } else { window };
        now + Duration::from_micros(random.u64(..=end))
    };
    let mut order: Vec<(Instant, usize)> = (0..calls.len()).map(|n| (moment(n), n)).collect();
    order.sort();
    let start = |(moment, number): (Instant, usize)| (number, start_at(moment, &calls[number]));
    let mut started: Vec<(usize, Child)> = order.into_iter().map(start).collect();
    started.sort_by_key(|(number, _)| *number);
    started
        .into_iter()
        .map(|(_, child)| Said::by(child))
        .collect()
}

/// Twice as long as a DEL takes on this machine now: whatever step it is at, an ADD has come in at that
/// one sooner or later, and after it as often.
pub fn window(ask: &Ask) -> Duration {
    let ask = ask.after(&ask.add());
    let start = Instant::now();
    ask.del();
    2 * start.elapsed()
}

/// GC as a runtime asks it that knows of all who live.
fn gc(node: &Node, net: &Net, living: [&Pod; 2]) -> Call {
    let list = living.map(|pod| json!({"containerID": pod.container, "ifname": "eth0"}));
    let more = json!({"cniVersion": "1.1.0", "cni.dev/valid-attachments": list});
    let ask = node.ask(&node.config(&[net]).with(more), living[0]);
    ask.netns("")
        .ifname("")
        .env("CNI_CONTAINERID", "")
        .verb("GC")
}

/// A pod with its question.
struct Party<'a> {
    pod: &'a Pod,
    ask: Ask,
}

/// The one who is there goes and the next one comes: the calls, with a GC beside them in every third round.
fn calls(node: &Node, net: &Net, last: &Party<'_>, next: &Party<'_>, number: usize) -> Vec<Call> {
    let mut calls = vec![last.ask.verb("DEL"), next.ask.verb("ADD")];
    calls.extend((number % 3 == 2).then(|| gc(node, net, [last.pod, next.pod])));
    calls
}

/// Whoever was first: the one is gone, the other has all it needs. Tells the result of its ADD.
fn settled(node: &Node, net: &Net, last: &Party<'_>, next: &Party<'_>, said: &[Said]) -> Value {
    assert_eq!(said[0].ok(), Value::Null);
    let result = said[1].ok();
    if let Some(gc) = said.get(2) {
        assert_eq!(gc.ok(), Value::Null);
    }
    assert_eq!(last.pod.device("eth0"), Value::Null);
    next.ask.check(&result);
    next.pod.ping(&node.gateway(net));
    result
}

#[test]
fn an_add_that_comes_while_the_last_one_leaves_always_has_its_vxlan() {
    let count = rounds("VXLAN_CNI_RACES", FEWER);
    let seed = fastrand::u64(..);
    println!("{count} races of the last DEL with the first ADD, seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100).dual();
    let before = node.snapshot();
    let config = node.config(&[&blue]);
    let pods = [node.pod("one"), node.process_pod("two")];
    let window = window(&node.ask(&config, &pods[0]));
    let mut result = node.ask(&config, &pods[0]).add();
    let (start, mut anew) = (Instant::now(), 0);
    let mut device = node.device("vx_blue")["ifindex"].clone();
    for number in 0..count {
        let (here, there) = (&pods[number % 2], &pods[(number + 1) % 2]);
        let last = Party {
            pod: here,
            ask: node.ask(&config, here).after(&result),
        };
        let next = Party {
            pod: there,
            ask: node.ask(&config, there),
        };
        let said = at_random(
            &mut random,
            window,
            &calls(node, &blue, &last, &next, number),
        );
        result = settled(node, &blue, &last, &next, &said);
        let now = node.device("vx_blue")["ifindex"].clone();
        anew += usize::from(now != device);
        device = now;
    }
    println!(
        "{count} races in {:.1?}: the DEL was first in {anew}, the ADD in {}",
        start.elapsed(),
        count - anew
    );
    node.ask(&config, &pods[count % 2]).after(&result).del();
    node.snapshot().assert_same(&before);
}
