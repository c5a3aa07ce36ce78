//! A command as a journal has it: where it runs, and what it makes or takes away.

use crate::ip::command::{shell_line, shell_words};

/// The programs that our commands run.
const PROGRAMS: [&str; 4] = ["ip", "bridge", "sysctl", "nft"];

/// The words by which `ip` and `bridge` add something that a `del` with the same words removes.
const ADDS: [&str; 3] = ["add", "replace", "append"];

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Name or path of the namespace it runs in; none is the node's.
    pub netns: Option<String>,
    /// Program and options, as `ip -n p -6`.
    front: Vec<String>,
    /// The words behind them.
    words: Vec<String>,
}

impl Act {
    /// Reads a line; none for one that no journal of ours has.
    pub fn of(line: &str) -> Option<Self> {
        let argv = shell_words(line)?;
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        let (netns, used) = match words[..] {
            ["ip", "netns", "exec", name, "sysctl" | "nft", ..] => (Some(name), 5),
            ["ip" | "bridge", "-n", name, ..] => (Some(name), 3),
            ["nsenter", net, program, ..] if PROGRAMS.contains(&program) => {
                (Some(net.strip_prefix("--net=")?), 3)
            }
            [program, ..] if PROGRAMS.contains(&program) => (None, 1),
            _ => return None,
        };
        let options = argv[used..]
            .iter()
            .take_while(|word| word.starts_with('-') && *word != "-");
        let used = used + options.count();
        Some(Self {
            netns: netns.map(str::to_owned),
            front: argv[..used].to_vec(),
            words: argv[used..].to_vec(),
        })
    }

    /// Program and arguments.
    pub fn argv(&self) -> Vec<String> {
        [&self.front[..], &self.words[..]].concat()
    }

    /// The line to paste.
    pub fn line(&self) -> String {
        shell_line(&self.argv())
    }

    fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", String::as_str)
    }

    fn behind(&self, word: &str) -> Option<&str> {
        let index = self.words.iter().skip(2).position(|other| other == word)? + 2;
        self.words.get(index + 1).map(String::as_str)
    }

    fn is_sysctl(&self) -> bool {
        self.front.iter().any(|word| word == "sysctl")
    }

    /// The transaction of an `nft`.
    fn transaction(&self) -> Option<&str> {
        let is_nft = self.front.iter().any(|word| word == "nft");
        self.words.first().map(String::as_str).filter(|_| is_nft)
    }

    /// The chains of the packet filter that it makes, by name.
    fn chains(&self, verb: &str) -> Vec<&str> {
        let commands = self
            .transaction()
            .into_iter()
            .flat_map(|all| all.split("; "));
        let chains = commands.filter_map(|command| command.strip_prefix(verb));
        // `add chain FAMILY TABLE NAME`.
        chains.filter_map(|rest| rest.split(' ').nth(2)).collect()
    }

    /// Whether it makes chains of the packet filter that another makes anew, or takes away.
    pub fn is_overtaken_in_the_filter_by(&self, later: &Self) -> bool {
        let own = self.chains("add chain ");
        let all = later
            .transaction()
            .is_some_and(|text| text.starts_with("delete table "));
        let again = [later.chains("add chain "), later.chains("delete chain ")].concat();
        self.netns == later.netns
            && !own.is_empty()
            && (all || own.iter().all(|name| again.contains(name)))
    }

    /// Whether it does nothing but take chains of the packet filter away.
    pub fn unmakes_chains(&self) -> bool {
        self.transaction()
            .is_some_and(|text| !text.starts_with("add "))
    }

    /// Each setting of a `sysctl` by itself; any other command as it is.
    pub fn parts(self) -> Vec<Self> {
        match self.is_sysctl() {
            false => vec![self],
            true => {
                let one = |word: &String| Self {
                    words: vec![word.clone()],
                    ..self.clone()
                };
                self.words.iter().map(one).collect()
            }
        }
    }

    /// The same with another's settings too, where both are settings of one namespace.
    pub fn with(mut self, other: &Self) -> Self {
        self.words.extend(other.words.iter().cloned());
        self
    }

    /// The switch it sets.
    pub fn switch(&self) -> Option<&str> {
        let setting = self.words.first().filter(|_| self.is_sysctl())?;
        Some(setting.split_once('=').map_or(setting, |(key, _)| key))
    }

    /// The device it makes: where, and which.
    pub fn makes(&self) -> Option<(Option<&str>, &str)> {
        if (self.word(0), self.word(1)) != ("link", "add") {
            return None;
        }
        let name = match self.word(2) {
            "name" => self.word(3),
            name => name,
        };
        Some((self.behind("netns").or(self.netns.as_deref()), name))
    }

    /// The namespaces, other than the node's, that it runs in or puts a device into.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        let made = self.makes().and_then(|(netns, _)| netns);
        let other = made.filter(|made| Some(*made) != self.netns.as_deref());
        self.netns.as_deref().into_iter().chain(other)
    }

    /// The device below the one it makes, in the namespace where it runs.
    pub fn parent(&self) -> Option<&str> {
        self.makes()?;
        self.behind("link")
    }

    /// Whether it makes a vxlan.
    pub fn makes_vxlan(&self) -> bool {
        self.makes().is_some() && self.behind("type") == Some("vxlan")
    }

    /// The device it gives another name: the old name, and the new one.
    pub fn renames(&self) -> Option<(&str, &str)> {
        let (old, new) = (self.behind("dev")?, self.behind("name")?);
        ((self.word(0), self.word(1)) == ("link", "set")).then_some((old, new))
    }

    /// The device it takes away, in the namespace where it runs.
    pub fn unmakes(&self) -> Option<&str> {
        ((self.word(0), self.word(1)) == ("link", "del")).then(|| self.behind("dev"))?
    }

    /// Whether it changes a device that is there, or something on it.
    pub fn is_about(&self, netns: Option<&str>, dev: &str) -> bool {
        let of_switch = self.switch().and_then(device_of_switch);
        match self.makes() {
            Some(made) => made == (netns, dev),
            None => {
                self.netns.as_deref() == netns
                    && (of_switch == Some(dev)
                        || !self.is_sysctl() && self.behind("dev") == Some(dev))
            }
        }
    }

    /// Whether it takes something away that is no device.
    pub fn is_removal(&self) -> bool {
        self.word(1) == "del" && self.unmakes().is_none() || self.is_flush()
    }

    /// Whether it forgets a neighbour: `neigh flush to ADDRESS dev NAME nud all`.
    fn is_flush(&self) -> bool {
        (self.word(0), self.word(1)) == ("neigh", "flush")
    }

    /// Whether a flush forgets what another has set: `neigh replace ADDRESS ... dev NAME ...`.
    fn flushes(&self, other: &Self) -> bool {
        self.is_flush()
            && self.front == other.front
            && (other.word(0), other.word(1)) == ("neigh", "replace")
            && self.behind("to") == Some(other.word(2))
            && self.behind("dev") == other.behind("dev")
    }

    /// Whether it takes away what another adds.
    pub fn takes_back(&self, other: &Self) -> bool {
        if self.is_flush() {
            return self.flushes(other);
        }
        self.is_removal()
            && self.front == other.front
            && self.word(0) == other.word(0)
            && ADDS.contains(&other.word(1))
            && other.words[2..].starts_with(&self.words[2..])
    }

    /// Whether it is about a rule, which names no device.
    pub fn is_rule(&self) -> bool {
        self.word(0) == "rule"
    }

    /// What it is to or from: the first word behind object and verb.
    pub fn target(&self) -> &str {
        self.word(2)
    }
}

/// The device in a switch's name, which has dots, or slashes where the device's name has dots.
pub fn device_of_switch(key: &str) -> Option<&str> {
    let separator = if key.contains('/') { '/' } else { '.' };
    let parts: Vec<&str> = key.split(separator).collect();
    match parts[..] {
        ["net", _, "conf" | "neigh", dev, _] => Some(dev),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn act(line: &str) -> Act {
        let act = Act::of(line).unwrap();
        assert_eq!(act.line(), line);
        act
    }

    #[test]
    fn a_command_tells_where_it_runs() {
        for (line, netns) in [
            ("ip link set dev eth0 up", None),
            (
                "ip -6 rule add pref 1 from fd00::/64 to fd00::/64 lookup 192",
                None,
            ),
            ("ip -n p -6 route add default via fd00::1", Some("p")),
            ("bridge -n p fdb append 00:00:00:00:00:00 dev vx", Some("p")),
            (
                "ip netns exec p sysctl -qw net.ipv4.ip_forward=1",
                Some("p"),
            ),
            (
                "nsenter --net=/proc/7/ns/net ip link del dev eth0",
                Some("/proc/7/ns/net"),
            ),
            (
                "nsenter --net=/proc/7/ns/net sysctl -qw net.ipv4.ip_forward=1",
                Some("/proc/7/ns/net"),
            ),
        ] {
            assert_eq!(act(line).netns.as_deref(), netns, "{line}");
        }
        for line in [
            "reboot",
            "ip link; reboot",
            "nsenter --net=/x sh",
            "",
            "sh -c 'ip link'",
        ] {
            assert_eq!(Act::of(line), None, "{line}");
        }
    }

    #[test]
    fn a_command_tells_what_it_makes_and_takes_away() {
        let pod = act("ip link add name eth0 link vx_a netns p type macvlan mode bridge");
        assert_eq!(
            (pod.makes(), pod.parent()),
            (Some((Some("p"), "eth0")), Some("vx_a"))
        );
        let vxlan = act("ip link add vx_a type vxlan id 1 dev eth0");
        assert_eq!(
            (vxlan.makes(), vxlan.parent()),
            (Some((None, "vx_a")), None)
        );
        assert!(vxlan.makes_vxlan() && !pod.makes_vxlan());
        let rename = act("ip -n p link set dev tmp1 name eth0");
        assert_eq!(rename.renames(), Some(("tmp1", "eth0")));
        assert_eq!(act("ip link set dev eth0 up").renames(), None);
        assert_eq!(act("ip -n p link del dev eth0").unmakes(), Some("eth0"));
        assert!(!vxlan.is_about(None, "eth0"), "the underlay is not changed");
        assert!(act("ip addr replace 10.1.0.1/16 dev mv_a").is_about(None, "mv_a"));
        let switch = act("sysctl -qw net/ipv4/conf/mv_a.b/forwarding=1");
        assert!(switch.is_about(None, "mv_a.b"));
        let add = act("ip route add 10.1.0.9/32 dev mv_a proto 192 metric 7");
        let del = act("ip route del 10.1.0.9/32 dev mv_a proto 192 metric 7");
        assert!(del.takes_back(&add) && !add.takes_back(&del));
        let asked = act("ip neigh replace 10.1.0.9 dev mv_a use");
        assert!(act("ip neigh del 10.1.0.9 dev mv_a").takes_back(&asked));
        assert!(!act("ip neigh del 10.1.0.8 dev mv_a").takes_back(&asked));
        assert!(!act("ip -6 rule del pref 1").takes_back(&act("ip rule add pref 1")));
    }

    #[test]
    fn settings_are_taken_apart_and_put_together() {
        let made = act(
            "nft 'add table inet vxlan_cni; add chain inet vxlan_cni vx_a { type filter hook prerouting priority -300; policy accept; }; flush chain inet vxlan_cni vx_a'",
        );
        let gone = act("nft 'flush chain inet vxlan_cni vx_a; delete chain inet vxlan_cni vx_a'");
        let other = act("nft 'flush chain inet vxlan_cni vx_b; delete chain inet vxlan_cni vx_b'");
        assert!(
            made.is_overtaken_in_the_filter_by(&gone) && made.is_overtaken_in_the_filter_by(&made)
        );
        assert!(made.is_overtaken_in_the_filter_by(&act("nft 'delete table inet vxlan_cni'")));
        assert!(!made.is_overtaken_in_the_filter_by(&other));
        assert!(gone.unmakes_chains() && !made.unmakes_chains());
        let both =
            act("ip netns exec p sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.eth0.accept_ra=0");
        let parts = both.clone().parts();
        assert_eq!(parts[1].switch(), Some("net.ipv6.conf.eth0.accept_ra"));
        assert_eq!(parts[0].clone().with(&parts[1]), both);
    }
}
