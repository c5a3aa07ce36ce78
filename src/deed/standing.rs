//! What is left of a journal's commands: those whose effect still stands, in their order.
//!
//! A device that is made was not there before, so whatever was said of one of its name is history; one
//! that is taken away takes along what was done to it and what was made on it; of a command that was
//! given twice the later counts, and so does the later value of a switch.

use std::collections::BTreeMap;

use super::act::{Act, device_of_switch};
use super::{Deed, Line};

/// A command that stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing<'a> {
    /// The command; a `sysctl` with several settings is one for each.
    pub act: Act,
    /// Its place in the journal.
    pub position: usize,
    /// The verb that gave it.
    pub deed: &'a Deed,
}

/// What stands of the commands that are looked at, of some verbs of one journal, up to a place in it.
fn standing(
    deeds: &[Deed],
    until: usize,
    looked_at: impl Fn(&Deed, &Act) -> bool,
) -> Vec<Standing<'_>> {
    let lines = |deed| Deed::commands(deed).map(move |line| (deed, line));
    let mut lines: Vec<(&Deed, &Line)> = deeds.iter().flat_map(lines).collect();
    lines.retain(|(_, line)| line.position <= until);
    lines.sort_by_key(|(_, line)| line.position);
    let mut left = Vec::new();
    for (deed, line) in lines {
        let position = line.position;
        // Whatever else is in the file is none of our commands.
        let act = Act::of(&line.text).filter(|act| looked_at(deed, act));
        for act in act.into_iter().flat_map(Act::parts) {
            let new = Standing {
                act,
                position,
                deed,
            };
            take(&mut left, new);
        }
    }
    left
}

fn take<'a>(left: &mut Vec<Standing<'a>>, new: Standing<'a>) {
    let act = &new.act;
    if let Some(dev) = act.unmakes() {
        rules_go(left, act.netns.as_deref(), dev);
        gone(left, act.netns.as_deref(), dev);
        return;
    }
    left.retain(|old| !old.act.is_overtaken_in_the_filter_by(act));
    if act.unmakes_chains() {
        return;
    }
    if act.is_removal() {
        left.retain(|old| !act.takes_back(&old.act));
        return;
    }
    if let Some((netns, dev)) = act.makes() {
        gone(left, netns, dev);
    }
    let overtaken = |old: &Act| old == act || act.switch().is_some() && is_same_switch(old, act);
    left.retain(|old| !overtaken(&old.act));
    left.push(new);
}

fn is_same_switch(one: &Act, other: &Act) -> bool {
    (one.netns.as_deref(), one.switch()) == (other.netns.as_deref(), other.switch())
}

/// The names that a device had and has.
fn names(left: &[Standing<'_>], netns: Option<&str>, dev: &str) -> Vec<String> {
    let here = left
        .iter()
        .filter(|one| one.act.netns.as_deref() == netns)
        .filter_map(|one| one.act.renames());
    let mut names = vec![dev.to_owned()];
    for (old, new) in here.filter(|(old, new)| *old == dev || *new == dev) {
        names.extend([old, new].map(str::to_owned));
    }
    names
}

/// A device goes, with what was done to it and what was made on it.
fn gone(left: &mut Vec<Standing<'_>>, netns: Option<&str>, dev: &str) {
    for name in names(left, netns, dev) {
        named_gone(left, netns, &name);
    }
}

fn named_gone(left: &mut Vec<Standing<'_>>, netns: Option<&str>, dev: &str) {
    let on_it =
        |one: &&Standing<'_>| one.act.netns.as_deref() == netns && one.act.parent() == Some(dev);
    let children: Vec<Act> = left
        .iter()
        .filter(on_it)
        .map(|one| one.act.clone())
        .collect();
    left.retain(|one| !one.act.is_about(netns, dev));
    for child in &children {
        if let Some((netns, dev)) = child.makes() {
            gone(left, netns, dev);
        }
    }
}

/// A vxlan is taken away as the last of its network's: rules that a verb had still to make, and never
/// did, go with it.
fn rules_go(left: &mut Vec<Standing<'_>>, netns: Option<&str>, dev: &str) {
    let made = |one: &&Standing<'_>| one.act.makes() == Some((netns, dev));
    let vxlan = left.iter().find(made).filter(|one| one.act.makes_vxlan());
    if let Some(network) = vxlan.and_then(|one| one.deed.on().map(str::to_owned)) {
        left.retain(|one| !(one.act.is_rule() && one.deed.on() == Some(&network)));
    }
}

/// The commands that make the node what some verbs found or left, and those of these verbs.
///
/// That is: their own, and those given for the same containers since; what stands of their networks on the node, whichever ADD made it; and the switches that
/// are the whole node's.
pub fn of_verbs<'a>(deeds: &'a [Deed], until: usize, wanted: &[&'a Deed]) -> Vec<Standing<'a>> {
    // What was done for the same container since, as a repair, is its own too.
    let began = |own: &&'a Deed| Some((own.id.as_deref()?, own.began.as_str()));
    let began: BTreeMap<&str, &str> = wanted.iter().filter_map(began).collect();
    let is_own = |deed: &Deed| {
        let own = deed.id.as_deref().and_then(|id| began.get(id));
        own.is_some_and(|began| *began <= deed.began.as_str())
    };
    // What others did in namespaces that none of these is in changes nothing for them.
    let own_places = places(wanted);
    let all = standing(deeds, until, |deed, act| {
        let mut places = act.places();
        is_own(deed) || places.all(|place| own_places.iter().any(|own| own == place))
    });
    let made: Vec<String> = all
        .iter()
        .filter_map(|one| match one.act.makes()? {
            (None, dev) => Some(dev.to_owned()),
            _ => None,
        })
        .collect();
    let joined = |one: &Standing<'_>| wanted.iter().any(|deed| deed.on() == one.deed.on());
    let of_node = |one: &Standing<'_>| {
        let key = one.act.switch()?;
        let dev = device_of_switch(key);
        Some(dev.is_none_or(|dev| !made.iter().any(|made| made == dev)))
    };
    let is_needed = |one: &Standing<'_>| {
        let here =
            one.act.netns.is_none() && one.act.makes().is_none_or(|(netns, _)| netns.is_none());
        is_own(one.deed) || here && (joined(one) || of_node(one) == Some(true))
    };
    all.into_iter().filter(is_needed).collect()
}

/// The namespaces that verbs worked in.
fn places(deeds: &[&Deed]) -> Vec<String> {
    let lines = deeds.iter().flat_map(|deed| deed.commands());
    let acts = lines.filter_map(|line| Act::of(&line.text));
    let mut places: Vec<String> = acts
        .flat_map(|act| act.places().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    places.sort();
    places.dedup();
    places
}

/// The claims that an IPAM's ADD ended with: not those that turned out to be another's.
pub fn claims(deed: &Deed) -> Vec<Standing<'_>> {
    let given = deed.end.as_ref().map_or("", |end| end.rest.as_str());
    let given: Vec<&str> = given
        .split(' ')
        .filter_map(|ip| ip.split('/').next())
        .collect();
    let mut left = standing(std::slice::from_ref(deed), usize::MAX, |_, _| true);
    left.retain(|one| {
        let address = one.act.target().split('/').next().unwrap_or_default();
        address.parse::<std::net::IpAddr>().is_err() || given.contains(&address)
    });
    left
}

/// The lines to run, each with the verb that gave it: settings of one line are one again.
pub fn lines<'a>(commands: &[Standing<'a>]) -> Vec<(&'a Deed, String)> {
    let mut lines: Vec<(&Standing<'a>, Act)> = Vec::new();
    for one in commands {
        let same = |last: &Standing<'a>| {
            last.position == one.position && std::ptr::eq(last.deed, one.deed)
        };
        match lines.last_mut() {
            Some((last, act)) if same(last) => *act = act.clone().with(&one.act),
            _ => lines.push((one, one.act.clone())),
        }
    }
    let line = |(one, act): (&Standing<'a>, Act)| (one.deed, act.line());
    lines.into_iter().map(line).collect()
}

/// Lines as a script, each verb's under its head.
pub fn script(lines: &[(&Deed, String)]) -> Vec<String> {
    let mut script = Vec::new();
    let mut last: Option<&Deed> = None;
    for (deed, line) in lines {
        if !last.is_some_and(|last| std::ptr::eq(last, *deed)) {
            script.push(deed.head());
        }
        script.push(line.clone());
        last = Some(deed);
    }
    script
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::deed::read;

    const HOST: &str = "\
# 2031-05-02T10:00:00.100Z ADD green g/eth0
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.eth0.accept_ra=2
ip link add vx_green type vxlan id 200 dev eth0
ip rule add pref 19200 from 10.2.0.0/16 to 10.2.0.0/16 lookup 192
# 2031-05-02T10:00:00.110Z ADD green g/eth0 ok 10.0 ms 10.2.0.9/16
# 2031-05-02T10:00:01.100Z ADD blue a/eth0
ip link add vx_blue type vxlan id 100 dev eth0
ip link add name mv_blue link vx_blue type macvlan mode bridge
sysctl -qw net.ipv4.conf.mv_blue.forwarding=1
ip addr replace 10.1.0.1/16 dev mv_blue
ip rule add pref 19200 from 10.1.0.0/16 to 10.1.0.0/16 lookup 192
ip link add name eth0 link vx_blue netns a type macvlan mode bridge
ip -n a addr replace 10.1.0.9/16 dev eth0
# 2031-05-02T10:00:01.110Z ADD blue a/eth0 ok 10.0 ms 10.1.0.9/16
# 2031-05-02T10:00:02.100Z ADD blue b/eth0
ip link add name eth0 link vx_blue netns b type macvlan mode bridge
ip -n b addr replace 10.1.0.8/16 dev eth0
ip -n b addr replace 10.1.0.8/16 dev eth0
# 2031-05-02T10:00:02.110Z ADD blue b/eth0 ok 10.0 ms 10.1.0.8/16
";

    fn replayed(text: &str, id: &str) -> Vec<String> {
        let deeds = read(text.lines());
        let is_it = |deed: &&Deed| deed.verb == "ADD" && deed.id.as_deref() == Some(id);
        let wanted = deeds.iter().rfind(is_it).unwrap();
        let until = wanted.lines.last().unwrap().position;
        let lines = script(&super::lines(&of_verbs(&deeds, until, &[wanted])));
        lines
            .into_iter()
            .filter(|line| !line.starts_with('#'))
            .collect()
    }

    fn lines(text: &str, from: usize, count: usize) -> Vec<&str> {
        text.lines().skip(from).take(count).collect()
    }

    #[test]
    fn an_attachments_lines_and_the_host_side_of_any_add_and_nothing_of_others() {
        let wanted = [
            &lines(HOST, 1, 1)[..],
            &lines(HOST, 6, 5),
            &lines(HOST, 15, 2),
        ]
        .concat();
        assert_eq!(replayed(HOST, "b/eth0"), wanted);
        let wanted = [&lines(HOST, 1, 1)[..], &lines(HOST, 6, 7)].concat();
        assert_eq!(replayed(HOST, "a/eth0"), wanted);
    }

    #[test]
    fn what_was_taken_away_is_made_by_whoever_made_it_again() {
        let gone = "\
# 2031-05-02T10:00:03.100Z DEL blue a/eth0
ip -n a link del dev eth0
# 2031-05-02T10:00:03.110Z DEL blue a/eth0 ok 1.0 ms
# 2031-05-02T10:00:04.100Z DEL blue b/eth0
ip -n b link del dev eth0
ip rule del pref 19200 from 10.1.0.0/16 to 10.1.0.0/16 lookup 192
ip link del dev vx_blue
# 2031-05-02T10:00:04.110Z DEL blue b/eth0 ok 1.0 ms
";
        let again = "\
# 2031-05-02T10:00:05.100Z ADD blue c/eth0
ip link add vx_blue type vxlan id 101 dev eth0
ip link add name eth0 link vx_blue netns c type macvlan mode bridge
# 2031-05-02T10:00:05.110Z ADD blue c/eth0 ok 10.0 ms 10.1.0.7/16
";
        let text = format!("{HOST}{gone}{again}");
        let wanted = [lines(HOST, 1, 1), lines(again, 1, 2)].concat();
        assert_eq!(replayed(&text, "c/eth0"), wanted);
        // As it was then.
        assert_eq!(replayed(&text, "b/eth0"), replayed(HOST, "b/eth0"));
    }

    #[test]
    fn a_device_that_somebody_removed_by_hand_is_made_once_and_its_rules_stay() {
        let again = "\
# 2031-05-02T10:00:05.100Z ADD blue c/eth0
ip link add name mv_blue link vx_blue type macvlan mode bridge
sysctl -qw net.ipv4.conf.mv_blue.forwarding=1 net.ipv4.ip_forward=1
ip addr replace 10.1.0.1/16 dev mv_blue
ip link add name eth0 link vx_blue netns c type macvlan mode bridge
# 2031-05-02T10:00:05.110Z ADD blue c/eth0 ok 10.0 ms 10.1.0.7/16
";
        let text = format!("{HOST}{again}");
        let wanted = [
            &["sysctl -qw net.ipv6.conf.eth0.accept_ra=2"][..],
            &lines(HOST, 6, 1),
            &lines(HOST, 10, 1),
            &lines(again, 1, 4),
        ];
        assert_eq!(replayed(&text, "c/eth0"), wanted.concat());
    }

    #[test]
    fn an_interface_goes_with_what_was_done_to_it_under_its_temporary_name() {
        let add = "\
# 2031-05-02T10:00:01.100Z ADD blue a/eth0
ip link add vx_blue type vxlan id 100 dev eth0
ip link add name tmp1 link vx_blue netns a type macvlan mode bridge
ip netns exec a sysctl -qw net.ipv4.conf.tmp1.arp_notify=1
ip -n a link set dev tmp1 name eth0
ip -n a addr replace 10.1.0.9/16 dev eth0
# 2031-05-02T10:00:01.110Z ADD blue a/eth0 ok 10.0 ms 10.1.0.9/16
";
        let del = "\
# 2031-05-02T10:00:02.100Z DEL blue a/eth0
ip -n a link del dev eth0
# 2031-05-02T10:00:02.110Z DEL blue a/eth0 ok 1.0 ms
";
        assert_eq!(replayed(add, "a/eth0"), lines(add, 1, 5));
        let again = add.replace("10:00:01", "10:00:03").replace(
            "vx_blue type vxlan id 100 dev eth0",
            "vx_blue type vxlan id 101 dev eth0",
        );
        let wanted = lines(&again, 1, 5);
        assert_eq!(replayed(&format!("{add}{del}{again}"), "a/eth0"), wanted);
        assert_eq!(replayed(&format!("{add}{again}"), "a/eth0"), wanted);
    }

    #[test]
    fn a_rule_that_a_failed_add_named_and_never_made_goes_with_the_vxlan() {
        let failed = "\
# 2031-05-02T10:00:01.100Z ADD blue a/eth0
ip link add vx_blue type vxlan id 100 dev eth0
ip rule add pref 19200 from 10.9.0.0/16 to 10.9.0.0/16 lookup 192
ip link del dev vx_blue
# 2031-05-02T10:00:01.110Z ADD blue a/eth0 failed 10.0 ms 100: no
# 2031-05-02T10:00:02.100Z ADD blue b/eth0
ip link add vx_blue type vxlan id 100 dev eth0
# 2031-05-02T10:00:02.110Z ADD blue b/eth0 ok 10.0 ms 10.1.0.8/16
";
        assert_eq!(replayed(failed, "b/eth0"), lines(failed, 6, 1));
    }

    #[test]
    fn what_was_mended_for_a_pod_since_is_its_own_and_of_another_it_is_not() {
        let mended = "\
# 2031-05-02T10:00:03.100Z REPAIR blue a/eth0
ip -n a addr replace 10.1.0.9/16 dev eth0
ip -n a route add default via 10.1.0.1 dev eth0
# 2031-05-02T10:00:03.110Z REPAIR blue a/eth0 ok 1.0 ms
# 2031-05-02T10:00:04.100Z ADD blue c/eth0
ip link add name eth0 link vx_blue netns c type macvlan mode bridge
# 2031-05-02T10:00:04.110Z ADD blue c/eth0 ok 10.0 ms 10.1.0.7/16
";
        let text = format!("{HOST}{mended}");
        let deeds = read(text.lines());
        let adds = |ids: &[&str]| {
            let is_it =
                |deed: &&Deed| deed.verb == "ADD" && ids.contains(&deed.id.as_deref().unwrap());
            deeds.iter().filter(is_it).collect::<Vec<_>>()
        };
        let lines = |ids: &[&str]| {
            let lines = super::lines(&of_verbs(&deeds, usize::MAX, &adds(ids)));
            lines.into_iter().map(|(_, line)| line).collect::<Vec<_>>()
        };
        let both = lines(&["a/eth0", "c/eth0"]);
        for line in mended.lines().filter(|line| !line.starts_with('#')) {
            assert_eq!(
                both.iter().filter(|other| *other == line).count(),
                1,
                "{line}"
            );
        }
        assert!(
            !lines(&["c/eth0"])
                .iter()
                .any(|line| line.starts_with("ip -n a "))
        );
    }

    #[test]
    fn of_an_ipams_claims_those_stand_that_it_ended_with() {
        let text = "\
# 2031-05-02T10:00:01.100Z ADD lab a/eth0
ip route add 10.1.0.7/32 dev mv_blue proto 192 metric 7
ip neigh replace 10.1.0.7 dev mv_blue nud failed
ip neigh replace 10.1.0.7 dev mv_blue use
ip neigh del 10.1.0.7 dev mv_blue
# 10.1.0.7 is taken: File exists
ip neigh del 10.1.0.7 dev mv_blue
ip route add 10.1.0.8/32 dev mv_blue proto 192 metric 7
ip neigh replace 10.1.0.8 dev mv_blue use
ip neigh del 10.1.0.8 dev mv_blue
# 2031-05-02T10:00:01.110Z ADD lab a/eth0 ok 10.0 ms 10.1.0.8/16
";
        let deeds = read(text.lines());
        let lines = script(&super::lines(&claims(&deeds[0])));
        assert_eq!(
            lines[1..],
            ["ip route add 10.1.0.8/32 dev mv_blue proto 192 metric 7"]
        );
        assert_eq!(lines[0], deeds[0].head());
    }
}
