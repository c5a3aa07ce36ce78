//! A command as a journal has it: where it runs, and what it makes or takes away.

use crate::ip::command::{shell_line, shell_words};

/// The programs that our commands run.
const PROGRAMS: [&str; 3] = ["ip", "bridge", "sysctl"];

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
            ["ip", "netns", "exec", name, "sysctl", ..] => (Some(name), 5),
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
        self.word(1) == "del" && self.unmakes().is_none()
    }

    /// Whether it takes away what another adds.
    pub fn takes_back(&self, other: &Self) -> bool {
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
        let both =
            act("ip netns exec p sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.eth0.accept_ra=0");
        let parts = both.clone().parts();
        assert_eq!(parts[1].switch(), Some("net.ipv6.conf.eth0.accept_ra"));
        assert_eq!(parts[0].clone().with(&parts[1]), both);
    }
}
