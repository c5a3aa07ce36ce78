//! ADD that cannot be: one error with the right code and text, and the node, the pod and the IPAM are as
//! before, whether the network was there already or not.

use serde_json::{Value, json};

use crate::support::lab::{Ask, Lab, Net, Node, Pod, Snapshot, left_by_the_underlay};

/// What goes wrong.
struct Fault {
    /// In a word.
    name: &'static str,
    /// What is done on the node first, in a shell.
    node: &'static str,
    /// What is done in the pod first.
    pod: &'static str,
    /// Keys of the network.
    net: Value,
    /// Keys of the configuration.
    config: Value,
    /// How the question differs.
    ask: fn(Ask, &Node) -> Ask,
    /// The error's code.
    code: u64,
    /// What message and details say.
    says: &'static [&'static str],
}

/// One with nothing wrong yet.
fn fault(name: &'static str, code: u64, says: &'static [&'static str]) -> Fault {
    Fault {
        name,
        node: "true",
        pod: "true",
        net: json!({}),
        config: json!({}),
        ask: |ask, _| ask,
        code,
        says,
    }
}

/// Everything that can go wrong without a program that lies.
fn faults() -> Vec<Fault> {
    [configuration(), ipam(), pod(), devices(), folders()]
        .into_iter()
        .flatten()
        .collect()
}

fn configuration() -> Vec<Fault> {
    vec![
        Fault {
            net: json!({"options": {"vtepdev": "eth9"}}),
            ..fault(
                "no underlay",
                7,
                &[
                    "network \"blue\": the underlay device `eth9` does not exist",
                    "`ip link show dev eth9` -> Device \"eth9\" does not exist.",
                    "set options.vtepdev",
                ],
            )
        },
        Fault {
            net: json!({"mtu": left_by_the_underlay() + 1}),
            ..fault(
                "mtu",
                7,
                &[
                    "is larger than fits: the underlay device `eth0` has",
                    "less 50",
                    "set mtu to 0 or at most",
                    "or raise the underlay's",
                ],
            )
        },
        Fault {
            net: json!({"allowedNamespaces": ["shop"]}),
            ..fault(
                "policy",
                103,
                &["network \"blue\" does not take a pod without a namespace"],
            )
        },
        Fault {
            config: json!({"runtimeConfig": {"ips": ["10.100.0.1"]}}),
            ..fault(
                "the gateway's address",
                7,
                &["runtimeConfig.ips", "it is the gateway"],
            )
        },
        Fault {
            net: json!({"routes": [{"dst": "10.201.0.0/16", "gw": "192.0.2.1"}]}),
            ..fault(
                "an unreachable next hop",
                100,
                &[
                    "network \"blue\": cannot configure eth0",
                    "route add 10.201.0.0/16 via 192.0.2.1 dev eth0` (so that route 10.201.0.0/16 via 192.0.2.1 dev eth0)",
                    "Nexthop has invalid gateway",
                ],
            )
        },
    ]
}

fn ipam() -> Vec<Fault> {
    let with = |name, ipam: Value, code, says| Fault {
        config: json!({ "ipam": ipam }),
        ..fault(name, code, says)
    };
    vec![
        with(
            "no IPAM",
            json!({"type": "no-such-ipam"}),
            7,
            &[
                "`no-such-ipam` is in none of the folders of CNI_PATH",
                "/usr/lib/cni",
            ],
        ),
        with(
            "an IPAM that refuses",
            json!({"type": "static", "addresses": [{"address": "banana"}]}),
            999,
            &["banana"],
        ),
        with(
            "an address of another network",
            json!({"type": "static", "addresses": [{"address": "10.99.0.7/16"}]}),
            7,
            &["10.99.0.7/16: it is outside of 10.100.0.0/16"],
        ),
        with(
            "an address of another family",
            json!({"type": "static", "addresses": [{"address": "fd00::7/64"}]}),
            7,
            &["fd00::7/64 is IPv6, which the network does not have"],
        ),
        with(
            "the gateway's address from the IPAM",
            json!({"type": "static", "addresses": [{"address": "10.100.0.1/16"}]}),
            7,
            &["10.100.0.1/16: it is the gateway"],
        ),
        with(
            "no address from the IPAM",
            json!({"type": "static", "addresses": []}),
            7,
            &["it has no address"],
        ),
        with(
            "a pool without an address left",
            json!({"ranges": [[{"subnet": "10.100.0.0/16", "rangeStart": "10.100.0.1", "rangeEnd": "10.100.0.1", "gateway": "10.100.0.1"}]]}),
            999,
            &["no IP addresses available in range set: 10.100.0.1-10.100.0.1"],
        ),
    ]
}

fn pod() -> Vec<Fault> {
    vec![
        Fault {
            pod: "ip link add eth0 type bridge; ip addr add 192.0.2.7/24 dev eth0; ip link set eth0 up",
            ..fault(
                "a taken name",
                4,
                &[
                    "CNI_IFNAME: the container has an interface eth0 already",
                    "-d addr show dev eth0`; nothing was changed",
                ],
            )
        },
        Fault {
            ask: |ask, _| ask.netns("/run/netns/no-such-namespace"),
            ..fault(
                "no namespace",
                3,
                &["CNI_NETNS `/run/netns/no-such-namespace` is no network namespace"],
            )
        },
        Fault {
            ask: |ask, _| ask.netns("/etc/hostname"),
            ..fault(
                "a file in the place of a namespace",
                3,
                &["CNI_NETNS `/etc/hostname` is no network namespace"],
            )
        },
        Fault {
            ask: |ask, node| ask.netns(node.path()),
            ..fault(
                "the node's own namespace",
                8,
                &[
                    "is the plugin's own network namespace",
                    "CNI_NETNS_OVERRIDE=1",
                ],
            )
        },
        Fault {
            pod: "ip link add br0 type bridge; ip addr add 10.77.0.1/24 dev br0; ip link set br0 up; ip route add default via 10.77.0.9",
            ..fault(
                "a default route of another plugin's",
                100,
                &[
                    "network \"blue\": cannot configure eth0",
                    "set defaultRoute to false or to a metric",
                ],
            )
        },
    ]
}

fn devices() -> Vec<Fault> {
    let on = |name, node, code, says| Fault {
        node,
        ..fault(name, code, says)
    };
    vec![
        on(
            "a bridge in the place of the vxlan",
            "ip link add vx_blue type bridge",
            101,
            &[
                "vxlan vx_blue with VNI 100 is there: found it is a `bridge`, not a vxlan (`ip -d link show dev vx_blue`)",
                "ip link del dev vx_blue",
            ],
        ),
        on(
            "a vxlan of another number",
            "ip link add vx_blue type vxlan id 7 dev eth0 dstport 4789 group 239.1.1.100",
            101,
            &["found id is 7, wanted 100"],
        ),
        on(
            "a bridge in the place of the gateway",
            "ip link add mv_blue type bridge",
            101,
            &[
                "macvlan mv_blue on vx_blue is there: found it is a `bridge`, not a macvlan",
                "ip link del dev mv_blue",
            ],
        ),
        on(
            "the same number twice",
            "ip link add flannel.1 type vxlan id 100 dev eth0 dstport 4789 group 239.1.1.100; ip link set flannel.1 up",
            100,
            &[
                "a command failed",
                "`ip link add vx_blue type vxlan id 100",
                "A VXLAN device with the specified VNI already exists",
                "choose another name or number",
            ],
        ),
        // The kernel notices only when the device comes up, behind four commands that succeeded.
        Fault {
            net: json!({"options": {"port": 4800}}),
            ..on(
                "the same port with other flags",
                "ip link add flannel.1 type vxlan id 5 dev eth0 dstport 4800 gbp; ip link set flannel.1 up",
                100,
                &[
                    "`ip link set dev vx_blue up` (so that vx_blue is up)",
                    "Address already in use",
                ],
            )
        },
        on(
            "a rule that was there before, and a foreign vxlan",
            "ip rule add pref 19200 from 10.100.0.0/16 to 10.100.0.0/16 lookup 192; ip link add vx_blue type bridge",
            101,
            &["vx_blue"],
        ),
    ]
}

fn folders() -> Vec<Fault> {
    vec![
        Fault {
            config: json!({"dataDir": "/proc/no-such-folder"}),
            ..fault(
                "no place for a record",
                5,
                &["/proc/no-such-folder", "df; ls -ld"],
            )
        },
        Fault {
            config: json!({"runDir": "/proc/no-such-folder"}),
            ..fault(
                "no place for a lock",
                5,
                &["/proc/no-such-folder", "df; ls -ld"],
            )
        },
    ]
}

impl Fault {
    fn refused_on(&self, node: &Node) {
        let config = node
            .config(&[&Net::new("blue", 100).with(self.net.clone())])
            .with(self.config.clone());
        node.sh(self.node);
        let pod = node.pod("web");
        pod.sh(self.pod);
        let ask = (self.ask)(node.ask(&config, &pod), node);
        let before = both(node, &pod);
        let said = ask.say("ADD");
        let said = said.error(self.code);
        for words in self.says {
            assert!(said.contains(words), "{}: {said}\nlacks {words}", self.name);
        }
        let as_before = || {
            let after = both(node, &pod);
            after.0.assert_same(&before.0);
            after.1.assert_same(&before.1);
        };
        as_before();
        // A runtime sends a DEL after an ADD that failed: it has nothing to do.
        if self.config.pointer("/ipam/type") != Some(&json!("no-such-ipam")) {
            ask.del();
            as_before();
        }
    }
}

/// What is on the node and in the pod.
fn both(node: &Node, pod: &Pod) -> (Snapshot, Snapshot) {
    (node.snapshot(), Snapshot::of_namespace(pod))
}

#[test]
fn an_add_that_cannot_be_leaves_an_untouched_node_untouched() {
    for fault in faults() {
        fault.refused_on(Lab::new(1).node(0));
    }
}

#[test]
fn an_add_that_cannot_be_leaves_a_network_in_use_as_it_is() {
    for fault in faults() {
        let lab = Lab::new(1);
        let node = lab.node(0);
        // Where the node is tampered with, or told to keep its records elsewhere, the network in use is another one.
        let same = fault.node == "true" && fault.config.get("dataDir").is_none();
        let net = if same {
            Net::new("blue", 100)
        } else {
            Net::new("green", 200)
        };
        let other = node.pod("other");
        let ask = node.ask(&node.config(&[&net]), &other);
        let result = ask.add();
        fault.refused_on(node);
        ask.check(&result);
        other.ping(&node.gateway(&net));
    }
}
