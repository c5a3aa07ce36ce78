//! Whether a frame arrives, and what stands in its way: each row breaks the traffic of one scene in one way, doctor says
//! what it is, what doctor prints mends it, and nothing is crossed then.

use serde_json::{Value, json};

use crate::stage::Stage;
use crate::support::lab::{Lab, Net, Ns, Pod, address, ipv6, mac, nft, until};

/// Where something is done.
#[derive(Clone, Copy)]
enum At {
    /// On the node whose doctor is asked.
    Here,
    /// On the other node.
    There,
    /// On the switch between them.
    Switch,
    /// In the container of the node.
    Pod,
}

/// Who talks to whom.
#[derive(Clone, Copy, PartialEq)]
enum Traffic {
    /// Container to container on the other node, IPv4.
    Across,
    /// The same, IPv6.
    Across6,
    /// The same in packets as large as the network takes.
    Large,
    /// Node to its container.
    ToPod,
    /// Container to its gateway.
    ToGateway,
    /// Container to the other node's address on the underlay.
    Out,
}

use At::{Here, Pod as InPod, Switch, There};
use Traffic::{Across, Across6, Large, Out, ToGateway, ToPod};

/// What mends it.
#[derive(Clone, Copy)]
enum Fix {
    /// What doctor prints.
    Printed,
    /// Something elsewhere.
    By(At, &'static str),
    /// `vxlan repair`.
    Repair,
}

/// A way to break something. In lines: `PEER`, `GW`: the other node's addresses on underlay and network; `POD`, `DB`:
/// the containers' addresses, `POD6`, `DB6` those of IPv6, `PODMAC`, `DBMAC` their MACs, `PODLOCAL` the
/// former's link-local address; `NETNS`, `NETNSDB`, `SWITCH`: namespaces of the containers and the switch.
struct Row<'a> {
    at: At,
    by: &'a str,
    dead: &'static [Traffic],
    /// The id of the finding that names it, and words of it.
    found: (&'static str, &'static str),
    /// Other ids that may be crossed beside it.
    beside: &'static [&'static str],
    fix: Fix,
    /// What takes back, where it was broken, what the fix leaves.
    then: &'static str,
}

/// The IPv6 address of a container; empty where it has none.
fn second(result: &Value) -> String {
    match result["ips"].as_array().unwrap().len() {
        1 => String::new(),
        _ => address(result, 1),
    }
}

/// Two nodes with a container each.
struct Scene {
    stage: Stage,
    db: Pod,
    db_result: Value,
}

impl Scene {
    fn new() -> Self {
        Self::of(Net::new("blue", 100).dual())
    }

    fn of(blue: Net) -> Self {
        let mut stage = Stage::new(Lab::new(2), vec![blue.clone()]);
        stage.join(0, "web", 1);
        let there = stage.lab().node(1);
        // So that it takes what a container sends to it by the underlay: its own way back is another.
        there.set(&["net.ipv4.conf.eth0.rp_filter=2"]);
        let db = there.pod("db");
        let db_result = there.ask(&there.config(&[&blue]), &db).add();
        let scene = Self {
            stage,
            db,
            db_result,
        };
        let has_v6 = scene.db_result["ips"].as_array().unwrap().len() > 1;
        let all = [Across, Across6, Large, ToPod, ToGateway, Out];
        for traffic in all.into_iter().filter(|one| has_v6 || *one != Across6) {
            until("the scene's traffic flows", || scene.flows(traffic));
        }
        scene
    }

    fn web(&self) -> &Pod {
        &self.stage.members[0].pod
    }

    fn said(&self, line: &str) -> String {
        let there = self.stage.lab().node(1);
        let db_mac = mac(&self.db_result);
        line.replace("PEER6", &there.underlay_v6())
            .replace("OWN6", &self.stage.node().underlay_v6())
            .replace("PEER", &there.underlay())
            .replace("GW", &there.gateway(&self.stage.nets[0]))
            .replace("DBMAC", &db_mac)
            .replace("DB6", &second(&self.db_result))
            .replace("POD6", &second(&self.stage.members[0].result))
            .replace("PODMAC", &mac(&self.stage.members[0].result))
            .replace("PODLOCAL", &self.local())
            .replace("NETNSDB", self.db.path().rsplit('/').next().unwrap())
            .replace("NETNS", self.web().path().rsplit('/').next().unwrap())
            .replace("SWITCH", &self.stage.lab().switch())
            .replace("DB", &address(&self.db_result, 0))
            .replace("POD", &address(&self.stage.members[0].result, 0))
    }

    /// The link-local address of the node's container, while its interface is up.
    fn local(&self) -> String {
        let all = self.web().device("eth0")["addr_info"].clone();
        let mut all = all.as_array().unwrap().iter();
        let local = all.find(|one| one["scope"] == "link");
        local.map_or_else(String::new, |local| {
            local["local"].as_str().unwrap().to_owned()
        })
    }

    fn at(&self, at: At) -> Ns {
        match at {
            Here => Ns::at(self.stage.node().path().as_ref()),
            There => Ns::at(self.stage.lab().node(1).path().as_ref()),
            Switch => Ns::named(&self.stage.lab().switch()),
            InPod => Ns::at(self.web().path().as_ref()),
        }
    }

    /// A question that is answered within a second where the traffic flows.
    fn question(&self, traffic: Traffic) -> std::process::Command {
        let (from, to, more): (Ns, String, &[&str]) = match traffic {
            Across => (self.at(InPod), self.said("DB"), &[]),
            Across6 => (self.at(InPod), address(&self.db_result, 1), &[]),
            Large => (self.at(InPod), self.said("DB"), &["-M", "do", "-s", "1380"]),
            ToPod => (self.at(Here), self.said("POD"), &[]),
            ToGateway => (
                self.at(InPod),
                self.stage.node().gateway(&self.stage.nets[0]),
                &[],
            ),
            Out => (self.at(InPod), self.said("PEER"), &[]),
        };
        let ping = ["ping", "-n", "-q", "-c", "2", "-i", "0.2", "-W", "1"];
        let mut command = from.command(&[&ping[..], more, &[to.as_str()]].concat());
        command.stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
        command
    }

    fn flows(&self, traffic: Traffic) -> bool {
        self.question(traffic).status().unwrap().success()
    }

    /// Breaks, looks, mends; tells what was not as the row says.
    fn play(&self, row: &Row<'_>) -> Vec<String> {
        let by = self.said(row.by);
        self.at(row.at).sh(&by);
        let asked = row
            .dead
            .iter()
            .map(|one| self.question(*one).spawn().unwrap());
        let asked: Vec<_> = asked.collect();
        let said = self.stage.operate(&["doctor", "--json"]);
        let alive = asked
            .into_iter()
            .map(|mut one| one.wait().unwrap().success());
        let alive = alive.filter(|alive| *alive).count();
        let found = said.json();
        let failed: Vec<&Value> = found["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["state"] != "ok")
            .collect();
        let (id, words) = row.found;
        let words = self.said(words);
        let is_it =
            |one: &&&Value| one["id"] == id && one["message"].as_str().unwrap().contains(&words);
        let it = failed.iter().find(is_it);
        let mut wrong = Vec::new();
        if alive > 0 {
            wrong.push(format!("`{by}`: {alive} of what should be dead is not"));
        }
        if it.is_none() {
            wrong.push(format!("`{by}`: nothing of {id} `{words}` in {failed:#?}"));
        }
        let others = failed.iter().filter(|one| {
            one["state"] == "failed"
                && one["id"] != id
                && !row.beside.iter().any(|beside| one["id"] == *beside)
        });
        wrong.extend(others.map(|one| format!("`{by}`: crossed, too: {one:#}")));
        match (row.fix, it) {
            (Fix::Printed, Some(it)) => drop(self.at(Here).sh(it["fix"].as_str().unwrap())),
            (Fix::Printed, None) => {}
            (Fix::Repair, _) => drop(self.stage.operate(&["repair"]).stdout),
            (Fix::By(at, line), _) => drop(self.at(at).sh(&self.said(line))),
        }
        for traffic in row.dead {
            until(
                &format!("after `{by}` was mended traffic is back; {wrong:?}"),
                || self.flows(*traffic),
            );
        }
        if !row.then.is_empty() {
            self.at(row.at).sh(&self.said(row.then));
        }
        wrong
    }

    fn play_all(&self, rows: &[Row<'_>]) {
        let wrong: Vec<String> = rows.iter().flat_map(|row| self.play(row)).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        // What a row left behind would have been crossed in the next; what was heard just now is so for some seconds.
        until("doctor is quiet", || {
            self.stage.operate(&["doctor"]).code == 0
        });
    }
}

#[test]
fn what_keeps_frames_from_another_node_is_crossed_with_the_node() {
    ipv6::is_needed();
    nft::is_needed();
    let scene = Scene::new();
    let said = scene.stage.operate(&["doctor"]);
    for told in [
        "✓ 198.18.0.2 answers through vx_blue",
        "✓ 2 of 2 addresses of containers answer on mv_blue",
    ] {
        assert!(
            said.code == 0 && said.stdout.contains(told),
            "{told}\n{}",
            said.stdout
        );
    }
    scene.play_all(&[
        Row {
            at: There,
            by: "nft add table inet f; nft 'add chain inet f i { type filter hook input priority 0; }'; nft add rule inet f i udp dport 4789 drop",
            dead: &[Across, Across6],
            found: ("peer_reach", "nothing comes back through vx_blue from PEER (asked: "),
            beside: &[],
            fix: Fix::By(There, "nft delete table inet f"),
            then: "",
        },
        Row {
            at: Switch,
            by: "ip link set p1 mtu 1000",
            dead: &[Large],
            found: ("peer_reach", "packets of 1450 bytes do not come back through vx_blue from "),
            beside: &["underlay_mtu"],
            fix: Fix::By(Switch, "ip link set p1 mtu 1500"),
            then: "",
        },
        Row {
            at: InPod,
            by: "ip link set eth0 down",
            dead: &[ToPod, ToGateway],
            found: ("pod_reach", "shop/web-0 "),
            beside: &["fact"],
            fix: Fix::Repair,
            then: "",
        },
    ]);
}

#[test]
fn what_a_firewall_drops_is_crossed_with_the_rule_that_lets_it_pass() {
    ipv6::is_needed();
    nft::is_needed();
    let scene = Scene::new();
    scene.play_all(&[
        Row {
            at: Here,
            by: "nft add table inet f; nft 'add chain inet f i { type filter hook input priority 0; }'; nft 'add rule inet f i iifname \"eth*\" udp dport { 53, 4000-5000 } counter drop'",
            dead: &[Across, Across6],
            found: ("firewall_vxlan", "vxlan that comes in by eth0 (UDP, port 4789) is dropped by the chain i of table inet f: the rule with handle "),
            beside: &["peer_reach"],
            fix: Fix::Printed,
            then: "",
        },
        Row {
            at: Here,
            by: "nft flush table inet f; nft delete table inet f; nft add table ip g; nft 'add chain ip g o { type filter hook output priority 0; }'; nft add chain ip g x; nft add rule ip g o oifname eth0 jump x; nft add rule ip g x udp dport 4789 reject",
            dead: &[Across, Across6],
            found: ("firewall_vxlan", "vxlan that leaves by eth0 (UDP, port 4789) is dropped by the chain o of table ip g: the rule with handle "),
            beside: &["peer_reach"],
            fix: Fix::Printed,
            then: "",
        },
        Row {
            at: Here,
            by: "nft delete table ip g; nft add table ip r; nft 'add chain ip r p { type filter hook prerouting priority raw; policy drop; }'; nft 'add rule ip r p ip saddr != PEER accept'; nft add rule ip r p meta l4proto icmp accept",
            dead: &[Across, Across6],
            found: ("peer_reach", "nothing comes back through vx_blue from PEER"),
            beside: &["underlay_mtu"],
            fix: Fix::By(Here, "nft delete table ip r"),
            then: "",
        },
        Row {
            at: Here,
            by: "iptables -A INPUT -p udp -m multiport --dports 53,4789 -m comment --comment 'no vxlan' -j DROP",
            dead: &[Across, Across6],
            found: ("firewall_vxlan", "is dropped by iptables, chain INPUT of table filter: `-A INPUT -p udp -m multiport --dports 53,4789 "),
            beside: &["peer_reach"],
            fix: Fix::Printed,
            then: "",
        },
        Row {
            at: Here,
            by: "iptables -F; iptables -N F; iptables -A F -p udp -j DROP; iptables -A OUTPUT -o eth+ -g F",
            dead: &[Across, Across6],
            found: ("firewall_vxlan", "vxlan that leaves by eth0 (UDP, port 4789) is dropped by iptables, chain OUTPUT of table filter"),
            beside: &["peer_reach"],
            fix: Fix::Printed,
            then: "",
        },
        Row {
            at: Here,
            by: "iptables -F; iptables -A INPUT -i lo -j ACCEPT; iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; iptables -A INPUT -p icmp -j ACCEPT; iptables -P INPUT DROP",
            dead: &[Across, Across6],
            found: ("firewall_vxlan", "vxlan that comes in by eth0 (UDP, port 4789) is dropped by iptables, chain INPUT of table filter: its policy"),
            beside: &["peer_reach"],
            fix: Fix::Printed,
            then: "",
        },
        Row {
            at: Here,
            by: "iptables -P INPUT ACCEPT; iptables -F; iptables -A INPUT -i mv_blue -j REJECT",
            dead: &[ToGateway],
            found: ("firewall_gateway", "everything of IPv4 that containers send to this node by mv_blue is dropped by iptables, chain INPUT"),
            beside: &[],
            fix: Fix::Printed,
            then: "",
        },
        Row {
            at: Here,
            by: "iptables -F; iptables -P FORWARD DROP; iptables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; iptables -A FORWARD -i docker0 ! -o docker0 -j ACCEPT",
            dead: &[Out],
            found: ("firewall_forward", "what containers send elsewhere through this node (IPv4, mv_blue) is dropped by iptables, chain FORWARD of table filter: its policy"),
            beside: &[],
            fix: Fix::Printed,
            then: "",
        },
    ]);
    scene
        .stage
        .node()
        .sh("iptables -P FORWARD ACCEPT; iptables -F");
}

#[test]
fn what_leads_packets_elsewhere_or_holds_them_on_the_way_is_crossed_with_what_mends_it() {
    ipv6::is_needed();
    nft::is_needed();
    let scene = Scene::new();
    // So that the gateway knows its neighbours before one of them is cut off.
    scene.stage.is_well();
    let vpn = "ip link add vpn0 type bridge; ip link set vpn0 up; ";
    let subnet = format!(
        "{vpn}ip route add default dev vpn0 table 100; ip rule add pref 100 to 10.0.0.0/8 lookup 100"
    );
    let rule =
        format!("{vpn}ip route add default dev vpn0 table 100; ip rule add pref 100 lookup 100");
    let route = format!("{vpn}ip route add PEER/32 dev vpn0");
    scene.play_all(&[
        Row {
            at: Here,
            by: &subnet,
            dead: &[ToPod, ToGateway],
            found: ("policy_rule", "packets to 10.100.0.0/16 leave by vpn0, not by mv_blue by rule 100 (table 100)"),
            beside: &[],
            fix: Fix::Printed,
            then: "ip rule del pref 99; ip rule del pref 100; ip link del vpn0",
        },
        Row {
            at: Here,
            by: &rule,
            dead: &[Across, Across6],
            found: ("underlay_way", "packets to PEER leave by vpn0, not by eth0: the route `default dev vpn0 table 100"),
            beside: &["peer_reach", "rp_filter", "policy_rule"],
            fix: Fix::Printed,
            then: "ip rule del pref 1; ip rule del pref 100; ip link del vpn0",
        },
        Row {
            at: Here,
            by: &route,
            dead: &[Across, Across6],
            found: ("underlay_way", "packets to PEER leave by vpn0, not by eth0: the route `PEER dev vpn0"),
            beside: &["peer_reach", "rp_filter"],
            fix: Fix::Printed,
            then: "ip route del PEER/32; ip link del vpn0",
        },
        Row {
            at: Here,
            by: "bridge fdb replace DBMAC dev vx_blue dst 198.18.0.77",
            dead: &[Across, Across6],
            found: ("fdb_entry", "vx_blue was told by hand that DBMAC is behind 198.18.0.77"),
            beside: &["peer_reach"],
            fix: Fix::Printed,
            then: "",
        },
        Row {
            at: Here,
            by: "ip neigh replace POD lladdr 02:00:00:00:00:77 dev mv_blue nud permanent",
            dead: &[ToPod, ToGateway],
            found: ("neighbour_entry", "mv_blue was told by hand that POD is 02:00:00:00:00:77"),
            beside: &[],
            fix: Fix::Printed,
            then: "",
        },
        Row {
            at: InPod,
            by: "ip neigh replace 10.100.0.1 lladdr 02:00:00:00:00:78 dev eth0 nud permanent",
            dead: &[ToPod, ToGateway],
            found: ("neighbour_entry", "was told by hand that 10.100.0.1 is 02:00:00:00:00:78"),
            beside: &[],
            fix: Fix::Printed,
            then: "",
        },
        Row {
            at: InPod,
            by: "ip neigh replace DB lladdr 02:00:00:00:00:79 dev eth0 nud permanent",
            dead: &[Across],
            found: ("neighbour_entry", "was told by hand that DB is 02:00:00:00:00:79"),
            beside: &[],
            fix: Fix::Printed,
            then: "",
        },
        Row {
            at: Here,
            // As of a container that has moved, and has not announced it. The look itself puts it right.
            by: "ping -nqc1 -W1 DB >&2; bridge fdb replace DBMAC dev vx_blue dst 198.18.0.78 dynamic",
            dead: &[Across],
            found: ("fdb_entry", "vx_blue had learnt that DBMAC is behind 198.18.0.78, where it is no more"),
            beside: &[],
            fix: Fix::By(Here, "true"),
            then: "",
        },
        Row {
            at: Switch,
            by: "bridge link set dev p1 mcast_flood off",
            // What containers know of each other goes on, and what the one over there asks still arrives.
            dead: &[],
            found: ("flood", "DB behind PEER answers on vx_blue what is sent to it alone, not what is sent to all: group 239.1.1.100"),
            beside: &[],
            fix: Fix::By(Switch, "bridge link set dev p1 mcast_flood on"),
            then: "",
        },
        Row {
            at: Here,
            by: "ip addr del 198.18.0.1/24 dev eth0",
            dead: &[Across],
            found: ("underlay_device", "the underlay device `eth0` has no IPv4 address to send from"),
            beside: &["peer_reach", "underlay_way"],
            fix: Fix::By(Here, "ip addr add 198.18.0.1/24 dev eth0"),
            then: "",
        },
        // A member of a bond is judged likewise (`plan::underlay`); not every kernel has the driver.
        Row {
            at: Here,
            by: "ip link add br7 type bridge; ip link set br7 up; ip link set eth0 master br7",
            dead: &[Across, Across6],
            found: ("underlay_device", "the underlay device `eth0` is a port of the bridge br7"),
            beside: &["peer_reach"],
            fix: Fix::By(Here, "ip link del br7"),
            then: "",
        },
    ]);
}

#[test]
fn what_another_has_of_ours_or_the_node_itself_takes_away_is_crossed() {
    ipv6::is_needed();
    nft::is_needed();
    let scene = Scene::new();
    // So that the gateway knows its neighbours before one of them is deaf.
    scene.stage.is_well();
    scene.play_all(&[
        Row {
            at: There,
            by: "nft add table inet f; nft 'add chain inet f i { type filter hook input priority 0; }'; nft add rule inet f i ip daddr 224.0.0.0/4 udp dport 4789 drop; ip -n NETNS neigh flush dev eth0",
            // What knows its neighbours, or is asked by them, goes on.
            dead: &[Across],
            found: ("flood", "group 239.1.1.100 does not reach that node"),
            beside: &[],
            fix: Fix::By(There, "nft delete table inet f"),
            then: "",
        },
        Row {
            at: Here,
            by: "nft delete table inet vxlan_cni",
            dead: &[],
            found: ("fact", "vxlan_cni"),
            beside: &[],
            fix: Fix::Repair,
            then: "",
        },
        Row {
            at: Here,
            by: "iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP",
            dead: &[],
            found: ("conntrack_invalid", "a firewall drops what conntrack takes for INVALID"),
            beside: &[],
            fix: Fix::By(Here, "sysctl -qw net.netfilter.nf_conntrack_tcp_be_liberal=1"),
            // The rule may stay: the next row would cross it.
            then: "",
        },
        Row {
            at: Here,
// Dead before doctor asks: its own questions tell the container who asks.
            by: "sysctl -qw net.ipv4.conf.mv_blue.arp_ignore=8 net.ipv4.conf.mv_blue.arp_announce=2; ip -n NETNS neigh flush dev eth0; \
                 if ip netns exec NETNS ping -nqc1 -W1 10.100.0.1; then exit 1; fi",
            dead: &[],
            found: ("arp", "no question of ARP is answered on mv_blue: arp_ignore is 8"),
            beside: &["gateway_reach", "pod_reach"],
            fix: Fix::Printed,
            then: "iptables -F; sysctl -qw net.ipv4.conf.mv_blue.arp_ignore=0 net.ipv4.conf.mv_blue.arp_announce=0",
        },
    ]);
}

#[test]
fn an_underlay_of_ipv6_that_has_lost_its_addresses_is_crossed() {
    ipv6::is_needed_on_the_underlay();
    let options = json!({"options": {"group": "ff05::100"}});
    let scene = Scene::of(Net::new("blue", 100).with(options));
    scene.play_all(&[
        Row {
            at: Here,
            // The link-local one, by which what is sent to the group leaves still, is no address that peers have learnt.
            by: "ip addr del OWN6/64 dev eth0",
            dead: &[Across],
            found: (
                "underlay_way",
                "no route leads to PEER6: eth0 has no IPv6 address of the underlay's",
            ),
            beside: &["peer_reach"],
            fix: Fix::By(Here, "ip addr add OWN6/64 dev eth0 nodad"),
            then: "",
        },
        Row {
            at: Here,
            by: "ip -6 addr flush dev eth0",
            dead: &[Across],
            found: (
                "underlay_device",
                "the underlay device `eth0` has no IPv6 address to send from",
            ),
            beside: &["peer_reach", "underlay_way"],
            // The other one behind it: a vxlan device keeps to the source that it has chosen for the group.
            fix: Fix::By(
                Here,
                "ip addr add OWN6/64 dev eth0 nodad; ip addr add fe80::198:18:1/64 dev eth0 nodad",
            ),
            then: "",
        },
    ]);
}

#[test]
fn what_has_two_owners_is_crossed_with_both() {
    ipv6::is_needed();
    let scene = Scene::new();
    scene.play_all(&[
        Row {
            at: There,
            by: "ip -n NETNSDB addr add POD/16 dev eth0",
            dead: &[Across],
            found: ("address_owner", "POD of shop/web-0 has two owners: "),
            beside: &[],
            fix: Fix::By(There, "ip -n NETNSDB addr del POD/16 dev eth0"),
            then: "",
        },
        Row {
            at: There,
            by: "ip -n NETNSDB addr add POD6/64 dev eth0 nodad",
            dead: &[Across6],
            found: ("address_owner", "POD6 of shop/web-0 has two owners: fe80::"),
            beside: &[],
            fix: Fix::By(There, "ip -n NETNSDB addr del POD6/64 dev eth0"),
            then: "",
        },
        Row {
            at: There,
            by: "ip addr add 10.100.0.1/16 dev mv_blue",
            // The container of this node hears its own gateway first.
            dead: &[],
            found: ("gateway_owner", "answers for the gateway's address on mv_blue too"),
            beside: &[],
            fix: Fix::By(There, "ip addr del 10.100.0.1/16 dev mv_blue"),
            then: "",
        },
        Row {
            at: There,
            // What has the MAC has the address that follows from it.
            by: "ip -n NETNSDB link set eth0 address PODMAC; ip -n NETNSDB addr add PODLOCAL/64 dev eth0 nodad",
            dead: &[Across, Across6],
            found: ("mac_owner", "shop/web-0 has the MAC PODMAC, and so has a container behind PEER"),
            beside: &[],
            fix: Fix::By(There, "ip -n NETNSDB addr del PODLOCAL/64 dev eth0; ip -n NETNSDB link set eth0 address DBMAC"),
            then: "",
        },
    ]);
}

#[test]
fn a_node_whose_vni_port_or_group_is_another_is_crossed_once_the_operator_names_it() {
    let lab = Lab::new(2);
    let nets = |other: bool| {
        let options = |options: Value| json!({"options": options});
        let vni = if other { 101 } else { 100 };
        let port = if other { 4790 } else { 4789 };
        let group = if other { "239.9.9.9" } else { "239.1.1.44" };
        [
            Net::new("blue", 100).with(json!({"id": vni})),
            Net::new("red", 200).with(options(json!({"port": port}))),
            Net::new("green", 300).with(options(json!({"group": group}))),
        ]
    };
    let (here, there) = (nets(false), nets(true));
    let mut stage = Stage::new(lab, here.to_vec());
    let other = stage.lab().node(1);
    let pods: Vec<Pod> = there.iter().map(|net| other.pod(&net.vx())).collect();
    for (net, pod) in there.iter().zip(&pods) {
        other.ask(&other.config(&[net]), pod).add();
    }
    let peers: Vec<String> = there.iter().map(|net| other.gateway(net)).collect();
    for net in 0..here.len() {
        stage.join(net, &format!("web-{net}-"), 1);
    }
    let said = stage.operate(&["doctor"]);
    let unknown = said
        .stdout
        .matches("no other node was asked through vx_")
        .count();
    assert!(said.code == 0 && unknown == 3, "{}", said.stdout);
    let mut words = vec!["doctor"];
    words.extend(peers.iter().flat_map(|peer| ["--peer", peer]));
    let said = stage.operate(&words);
    assert_eq!(said.stdout.matches('✗').count(), 3, "{}", said.stdout);
    assert!(!said.stdout.contains("is known behind"), "{}", said.stdout);
    for (net, peer) in here.iter().zip(&peers) {
        let told = format!(
            "✗ nothing comes back through {} from {peer} (asked: {peer})",
            net.vx()
        );
        assert!(
            said.code == 1 && said.stdout.contains(&told),
            "{told}\n{}",
            said.stdout
        );
    }
    assert!(
        said.stdout
            .contains("compare id, group and port of \"red\" on that node"),
        "{}",
        said.stdout
    );
}

#[test]
fn of_several_nodes_the_one_behind_a_smaller_mtu_is_named_alone() {
    let blue = Net::new("blue", 100);
    let mut stage = Stage::new(Lab::new(3), vec![blue.clone()]);
    stage.join(0, "web", 1);
    let others = [1, 2].map(|at| {
        let node = stage.lab().node(at);
        let pod = node.pod("db");
        let result = node.ask(&node.config(&[&blue]), &pod).add();
        (pod, address(&result, 0))
    });
    let web = &stage.members[0].pod;
    let full = u32::try_from(web.device("eth0")["mtu"].as_u64().unwrap()).unwrap() - 28;
    for (_, to) in &others {
        until("both are reached", || web.ping_whole(to, full));
    }
    let switch = Ns::named(&stage.lab().switch());
    let mtu = switch.show("link show dev p2")[0]["mtu"].to_string();
    switch.ip("link set p2 mtu 1000");
    assert!(web.ping_whole(&others[0].1, full) && !web.ping_whole(&others[1].1, full));
    assert!(web.reaches(&others[1].1));
    let said = stage.operate(&["doctor", "--json"]).json();
    let all = said["findings"].as_array().unwrap().iter();
    let crossed: Vec<&Value> = all.filter(|one| one["state"] == "failed").collect();
    let ids: Vec<&str> = crossed
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["underlay_mtu", "peer_reach"], "{crossed:#?}");
    for one in crossed {
        let message = one["message"].as_str().unwrap();
        assert!(
            message.contains("198.18.0.3") && !message.contains("198.18.0.2"),
            "{message}"
        );
    }
    switch.ip(&format!("link set p2 mtu {mtu}"));
    until("full packets arrive", || web.ping_whole(&others[1].1, full));
    stage.is_well();
}

#[test]
fn a_node_that_has_just_left_a_network_is_not_crossed_where_it_answers_on_another() {
    let lab = Lab::new(2);
    let nets = vec![Net::new("blue", 100), Net::new("red", 200)];
    let mut stage = Stage::new(lab, nets.clone());
    for net in 0..nets.len() {
        stage.join(net, &format!("web-{net}-"), 1);
    }
    let other = stage.lab().node(1);
    let joined: Vec<(Pod, Value)> = nets
        .iter()
        .map(|net| {
            let pod = other.pod(&net.vx());
            let result = other.ask(&other.config(&[net]), &pod).add();
            (pod, result)
        })
        .collect();
    for ((pod, result), member) in joined.iter().zip(&stage.members) {
        until("both have heard of each other", || {
            pod.reaches(&address(&member.result, 0)) && member.pod.reaches(&address(result, 0))
        });
    }
    let blue = other.config(&[&nets[0]]);
    other.ask(&blue, &joined[0].0).after(&joined[0].1).del();
    let said = stage.operate(&["doctor"]);
    let told = [
        "  - nothing comes back through vx_blue from 198.18.0.2 (asked: ",
        "); it answers through vx_red, and may have left network \"blue\"\n",
        "  ✓ 198.18.0.2 answers through vx_red\n",
    ];
    for told in told {
        assert!(
            said.code == 0 && said.stdout.contains(told),
            "{told}\n{}",
            said.stdout
        );
    }
}

#[test]
fn firewalls_that_cannot_be_read_are_unknown_and_not_well() {
    nft::is_needed();
    let mut stage = Stage::new(Lab::new(1), vec![Net::new("blue", 100)]);
    stage.join(0, "web", 1);
    let body = "PATH=${PATH#*:}\n\
        [ \"$*\" != '-j list ruleset' ] || { echo 'Operation not permitted (you must be root)' >&2; exit 1; }\n\
        exec nft \"$@\"";
    let bin = stage.lab().script("bin", "nft", body);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let said = stage.call(&["doctor"]).env("PATH", &path).run();
    let words = "  - the rules of nftables cannot be read, so what they drop is not known: Operation not permitted";
    assert!(
        said.code == 0 && said.stdout.contains(words),
        "{}",
        said.stdout
    );
    let well = "no firewall drops packets of blue";
    assert!(!said.stdout.contains(well), "{}", said.stdout);
    let said = stage.operate(&["doctor"]);
    assert!(said.stdout.contains(well), "{}", said.stdout);
}
