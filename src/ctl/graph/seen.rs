//! The picture of a node as it is: what is missing or down, which peers are known, which pods are not as they should be.

use std::collections::BTreeMap;

use super::picture::{Kind, Picture, State, Thing};
use crate::config::Network;
use crate::ctl::look::{
    Attached, Found, Judged, host_facts, host_reads, judge, look_at, no_journal, session,
};
use crate::ctl::node::{self, OnNode, Recorded};
use crate::ctl::status::seen::{Seen, network};
use crate::exec::System;
use crate::ip::IfName;
use crate::ip::link::Setting;
use crate::plan::{Fact, Side, Verdict};

/// The most peers that are drawn.
const PEERS: usize = 12;

/// How pods are, by `CONTAINER/IFNAME`, and what there is to say of it.
type Pods = BTreeMap<String, (State, String)>;

/// What there is to see.
pub fn picture(system: &System, seen: &Seen<'_>, name: &str) -> Picture {
    let mut picture = Picture::new(name);
    for on in &seen.node.networks {
        match network(on) {
            Some(network) => add(&mut picture, system, seen, on, network),
            None => add_records(&mut picture, on),
        }
    }
    picture
}

/// A network that records alone know, none of which can be read.
fn add_records(picture: &mut Picture, on: &OnNode) {
    let row = picture.network(&on.name);
    for recorded in &on.attachments {
        picture.put(row, pod(recorded, &Pods::new()));
    }
}

fn add(picture: &mut Picture, system: &System, seen: &Seen<'_>, on: &OnNode, network: &Network) {
    let row = picture.network(&on.name);
    let vxlan = &network.options.vxlan;
    let mut lines = vec![format!("VNI {}, port {}", vxlan.vni, vxlan.dstport)];
    lines.extend(vxlan.group.map(|group| match group.is_multicast() {
        true => format!("group {group}"),
        false => format!("remote {group}"),
    }));
    let listed = network.peers.as_ref();
    lines.extend(listed.map(|peers| format!("{} peers listed", peers.len())));
    let vx = Thing::new(Kind::Vxlan, network.vx.as_str(), lines);
    let vx = picture.put(row, device(seen, on, &network.vx, vx));
    let addresses = network.cidrs.iter().map(ToString::to_string).collect();
    let mv = Thing::new(Kind::Gateway, network.mv.as_str(), addresses);
    let mut mv = device(seen, on, &network.mv, mv);
    let (failed, pods) = judged(system, seen, on);
    if failed > 0 && mv.state == State::Ok {
        mv.lines.push(facts_fail(failed));
        mv.state = State::Failed;
    }
    let mv = picture.put(row, mv);
    if let Some(dev) = &vxlan.dev {
        let underlay = underlay(picture, seen, network, dev);
        picture.join(underlay, vx);
        peers(picture, seen, on, network, underlay);
    }
    picture.join(vx, mv);
    for recorded in &on.attachments {
        let pod = picture.put(row, pod(recorded, &pods));
        picture.join(vx, pod);
    }
}

fn facts_fail(count: usize) -> String {
    match count {
        1 => "1 fact fails".to_owned(),
        count => format!("{count} facts fail"),
    }
}

/// How a device is, seen from the network's attachments: without one it need not be there.
fn device(seen: &Seen<'_>, on: &OnNode, dev: &IfName, thing: Thing) -> Thing {
    let state = match (state(seen, dev), on.standing()) {
        (State::Missing, None) => State::Idle,
        (state, _) => state,
    };
    marked(thing, state)
}

fn state(seen: &Seen<'_>, dev: &IfName) -> State {
    match seen.devices.link(Side::Host, dev) {
        None => State::Missing,
        Some(link) if !link.flag("UP") || link.flag("NO-CARRIER") => State::Down,
        Some(_) => State::Ok,
    }
}

/// With the state in words, for those to whom colours tell nothing.
fn marked(mut thing: Thing, state: State) -> Thing {
    let word = match state {
        State::Ok => None,
        State::Idle => Some("not there: no pod"),
        state => Some(state.as_str()),
    };
    thing.lines.extend(word.map(str::to_owned));
    thing.in_state(state)
}

/// One for all networks over it, with the addresses that they send from.
fn underlay(picture: &mut Picture, seen: &Seen<'_>, network: &Network, dev: &IfName) -> usize {
    let number = picture.shared(Kind::Underlay, dev.as_str());
    if picture.things[number].lines.is_empty() {
        let thing = Thing::new(Kind::Underlay, dev.as_str(), vec!["underlay".to_owned()]);
        picture.things[number] = marked(thing, state(seen, dev));
    }
    if let Some(own) = seen.vtep(network) {
        picture.tell(number, own.to_string());
    }
    number
}

/// One for all networks whose device knows it; many are counted.
fn peers(picture: &mut Picture, seen: &Seen<'_>, on: &OnNode, network: &Network, underlay: usize) {
    let known = seen.peers(network).unwrap_or_default();
    let (mut more, label) = (0, format!("of {}", on.name));
    for peer in known {
        let name = peer.to_string();
        let drawn = picture
            .things
            .iter()
            .filter(|thing| thing.kind == Kind::Peer);
        let is_drawn = drawn.clone().any(|thing| thing.name == name);
        if !is_drawn && drawn.count() >= PEERS {
            more += 1;
            continue;
        }
        let peer = picture.shared(Kind::Peer, &name);
        picture.tell(peer, label.clone());
        picture.join(peer, underlay);
    }
    if more > 0 {
        let others = picture.shared(Kind::Peer, "other peers");
        picture.tell(others, format!("{more} {label}"));
        picture.join(others, underlay);
    }
}

/// How many facts of the host side do not hold, and how its pods are.
fn judged(system: &System, seen: &Seen<'_>, on: &OnNode) -> (usize, Pods) {
    let Some(side) = on.standing() else {
        return (0, Pods::new());
    };
    let journal = no_journal();
    let host = session(system, &journal).observe_host(&side.network, host_reads(side));
    let Ok(host) = host else {
        return (1, Pods::new());
    };
    let failed = match host_facts(side, &host) {
        Ok(facts) => count(&judge(facts, &host)),
        Err(_) => 1,
    };
    let attached = Attached::of(&seen.node.store, on);
    let gone = attached.iter().filter(|one| one.netns.is_none());
    let gone = gone.map(|one| {
        let what = (State::Missing, "namespace is gone".to_owned());
        (one.record.id(), what)
    });
    let mut pods: Pods = gone.collect();
    let found = look_at(system, &attached, |_| Some(&host), |_| {});
    pods.extend(found.iter().map(|one| (one.of.record.id(), told(one))));
    (failed, pods)
}

fn count(judged: &[Judged]) -> usize {
    let fails = judged
        .iter()
        .filter(|(_, verdict)| *verdict != Verdict::Holds);
    fails.count()
}

/// The worst of a pod's facts: no interface, one that is down, anything else.
fn told(found: &Found<'_>) -> (State, String) {
    let Ok(judged) = &found.facts else {
        return (State::Failed, "cannot be looked at".to_owned());
    };
    let fails = |is: fn(&Fact) -> bool| {
        let mut those = judged.iter().filter(|(fact, _)| is(fact));
        those.any(|(_, verdict)| *verdict != Verdict::Holds)
    };
    let own = |state: State| (state, state.as_str().to_owned());
    match count(judged) {
        0 => (State::Ok, String::new()),
        _ if fails(|fact| {
            matches!(
                fact,
                Fact::Macvlan {
                    side: Side::Pod,
                    ..
                }
            )
        }) =>
        {
            own(State::Missing)
        }
        _ if fails(is_up) => own(State::Down),
        failed => (State::Failed, facts_fail(failed)),
    }
}

fn is_up(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::Setting {
            side: Side::Pod,
            setting: Setting::Up,
            ..
        }
    )
}

/// A pod by its name, else by its container, with its addresses and whatever is not as it should be.
fn pod(recorded: &Recorded, pods: &Pods) -> Thing {
    let state = match &recorded.state {
        node::State::Whole(..) => State::Ok,
        node::State::Unfinished {
            under_way: true, ..
        } => State::Idle,
        node::State::EarlierBoot(_) => State::Missing,
        node::State::Unfinished { .. } | node::State::Damaged(_) => State::Failed,
    };
    let unusual = (state != State::Ok).then(|| format!("({})", recorded.state.as_str()));
    let Some(record) = recorded.record() else {
        let name = recorded.path.file_stem().unwrap_or_default();
        let lines = unusual.into_iter().collect();
        return Thing::new(Kind::Pod, &name.to_string_lossy(), lines).in_state(state);
    };
    let ips = record.lease.iter().flat_map(|lease| &lease.ips);
    let mut lines: Vec<String> = ips.map(|ip| ip.address.ip().to_string()).collect();
    lines.extend(unusual);
    let (state, word) = match pods.get(&record.id()) {
        Some((found, word)) if *found != State::Ok => (*found, Some(word.clone())),
        _ => (state, None),
    };
    lines.extend(word);
    let name = record.pod.clone().unwrap_or_else(|| record.id());
    Thing::new(Kind::Pod, &name, lines).in_state(state)
}
