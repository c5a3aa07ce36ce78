//! The rules of kube-proxy on a node, for one Service of each pod and of a node's own process, and those of `portmap` for its hostPort.
//!
//! As kube-proxy 1.33 writes them (pkg/proxy/iptables/proxier.go, pkg/proxy/nftables/proxier.go), with a cluster CIDR, one
//! endpoint a Service and externalTrafficPolicy Cluster; chains have names in place of hashes.

use crate::scene::{OWN, PODS, PORT, Place, Scene};

/// How kube-proxy works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `--proxy-mode=iptables`.
    Iptables,
    /// `--proxy-mode=nftables`.
    Nftables,
}

/// The address of the Service of the pod at an index, in each family.
pub fn cluster_ip(index: usize) -> [String; 2] {
    [
        format!("10.96.0.{}", 10 + index),
        format!("fd96::{}", 10 + index),
    ]
}

/// Its port on every node.
pub fn node_port(index: usize) -> u16 {
    30_000 + u16::try_from(index).unwrap()
}

/// Its port on the pod's own node.
pub fn host_port(index: usize) -> u16 {
    9_000 + u16::try_from(index).unwrap()
}

/// Where pods are, by `--cluster-cidr`.
const CLUSTER: [&str; 2] = ["10.0.0.0/12", "fd10::/16"];

/// Writes the rules of both families on both nodes.
pub fn start(scene: &Scene, mode: Mode) {
    for node in [1, 2] {
        for family in [0, 1] {
            let place = Place::Node(node);
            match mode {
                Mode::Iptables => {
                    let program = ["iptables-restore", "ip6tables-restore"][family];
                    scene.run(place, &[program], &iptables(scene, node, family));
                }
                Mode::Nftables => {
                    scene.run(place, &["nft", "-f", "-"], &nftables(scene, node, family));
                }
            }
        }
    }
}

/// Takes all of them away again, and what they have translated.
pub fn stop(scene: &Scene, mode: Mode) {
    for node in [1, 2] {
        for (family, table) in [("ip", 0), ("ip6", 1)] {
            let place = Place::Node(node);
            match mode {
                Mode::Iptables => {
                    let program = ["iptables-restore", "ip6tables-restore"][table];
                    scene.run(place, &[program], "*nat\nCOMMIT\n*filter\nCOMMIT\n");
                }
                Mode::Nftables => {
                    let delete = format!("delete table {family} kube-proxy");
                    scene.run(place, &["nft", "-f", "-"], &delete);
                }
            }
        }
    }
}

/// The endpoints: names, and the node where one has a hostPort.
fn endpoints() -> impl Iterator<Item = (usize, (&'static str, Option<u8>))> {
    let pods = PODS.iter().map(|pod| (pod.name, Some(pod.node)));
    pods.chain([(OWN.0, None)]).enumerate()
}

fn endpoint(scene: &Scene, index: usize, family: usize) -> (String, String) {
    let place = PODS.get(index).map_or(Place::Node(OWN.1), Place::Pod);
    let address = scene.addresses(place)[family].clone();
    let shown = if family == 0 {
        address.clone()
    } else {
        format!("[{address}]")
    };
    (address, shown)
}

fn iptables(scene: &Scene, node: u8, family: usize) -> String {
    let cluster = CLUSTER[family];
    let mut lines: Vec<String> = [
        "*nat",
        ":KUBE-SERVICES - [0:0]",
        ":KUBE-NODEPORTS - [0:0]",
        ":KUBE-POSTROUTING - [0:0]",
        ":KUBE-MARK-MASQ - [0:0]",
        ":CNI-HOSTPORT-DNAT - [0:0]",
        "-A PREROUTING -j KUBE-SERVICES",
        "-A OUTPUT -j KUBE-SERVICES",
        "-A POSTROUTING -j KUBE-POSTROUTING",
        "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
        "-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
        "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000",
        "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
        "-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000",
        "-A KUBE-POSTROUTING -j MASQUERADE --random-fully",
    ]
    .map(str::to_owned)
    .into();
    for (index, (endpoint_name, host)) in endpoints() {
        let (address, shown) = endpoint(scene, index, family);
        let (service, port) = (&cluster_ip(index)[family], node_port(index));
        for protocol in ["tcp", "udp"] {
            let name = format!("{}-{protocol}", endpoint_name.to_uppercase());
            let [svc, sep, ext] = ["SVC", "SEP", "EXT"].map(|kind| format!("KUBE-{kind}-{name}"));
            lines.extend([&svc, &sep, &ext].map(|chain| format!(":{chain} - [0:0]")));
            lines.extend([
                format!("-A KUBE-SERVICES -d {service} -p {protocol} --dport 80 -j {svc}"),
                format!("-A {svc} ! -s {cluster} -d {service} -p {protocol} --dport 80 -j KUBE-MARK-MASQ"),
                format!("-A {svc} -j {sep}"),
                format!("-A {sep} -s {address} -j KUBE-MARK-MASQ"),
                format!("-A {sep} -p {protocol} -j DNAT --to-destination {shown}:{PORT}"),
                format!("-A KUBE-NODEPORTS -p {protocol} --dport {port} -j {ext}"),
                format!("-A {ext} -j KUBE-MARK-MASQ"),
                format!("-A {ext} -j {svc}"),
            ]);
            if host == Some(node) {
                let port = host_port(index);
                lines.push(format!("-A CNI-HOSTPORT-DNAT -p {protocol} --dport {port} -s {address} -j KUBE-MARK-MASQ"));
                lines.push(format!("-A CNI-HOSTPORT-DNAT -p {protocol} --dport {port} -j DNAT --to-destination {shown}:{PORT}"));
            }
        }
    }
    let drops = "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP";
    let read = ["sysctl", "-n", "net.netfilter.nf_conntrack_tcp_be_liberal"];
    // It looks at this once, when it starts, and then does without that rule.
    let is_liberal = scene.run(Place::Node(node), &read, "").trim() == "1";
    lines.extend(
        [
            "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS",
            "COMMIT",
            "*filter",
            ":KUBE-FORWARD - [0:0]",
            "-A FORWARD -j KUBE-FORWARD",
            if is_liberal { "" } else { drops },
            "-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT",
            "-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "COMMIT",
        ]
        .map(str::to_owned),
    );
    lines.join("\n") + "\n"
}

fn nftables(scene: &Scene, node: u8, family: usize) -> String {
    let (ip, cluster) = (["ip", "ip6"][family], CLUSTER[family]);
    let (mut chains, mut services, mut ports, mut host_ports) =
        (String::new(), Vec::new(), Vec::new(), String::new());
    for (index, (endpoint_name, host)) in endpoints() {
        let (address, shown) = endpoint(scene, index, family);
        let service = &cluster_ip(index)[family];
        for protocol in ["tcp", "udp"] {
            let name = format!("{endpoint_name}-{protocol}");
            chains += &format!(
                "chain endpoint-{name} {{
                    {ip} saddr {address} jump mark-for-masquerade
                    meta l4proto {protocol} dnat to {shown}:{PORT}
                 }}
                 chain service-{name} {{
                    {ip} daddr {service} {protocol} dport 80 {ip} saddr != {cluster} jump mark-for-masquerade
                    goto endpoint-{name}
                 }}
                 chain external-{name} {{
                    jump mark-for-masquerade
                    goto service-{name}
                 }}\n"
            );
            services.push(format!("{service} . {protocol} . 80 : goto service-{name}"));
            ports.push(format!(
                "{protocol} . {} : goto external-{name}",
                node_port(index)
            ));
            if host == Some(node) {
                let port = host_port(index);
                host_ports += &format!(
                    "{ip} saddr {address} {protocol} dport {port} jump mark-for-masquerade
                     {protocol} dport {port} dnat to {shown}:{PORT}\n"
                );
            }
        }
    }
    let (services, ports) = (services.join(", "), ports.join(", "));
    format!(
        "table {ip} kube-proxy {{
            chain mark-for-masquerade {{
                meta mark set meta mark or 0x4000
            }}
            chain masquerading {{
                meta mark and 0x4000 == 0 return
                meta mark set meta mark xor 0x4000
                masquerade fully-random
            }}
            {chains}
            chain host-ports {{
                {host_ports}
            }}
            chain services {{
                {ip} daddr . meta l4proto . th dport vmap {{ {services} }}
                fib daddr type local meta l4proto . th dport vmap {{ {ports} }}
                fib daddr type local jump host-ports
            }}
            chain nat-prerouting {{
                type nat hook prerouting priority dstnat
                jump services
            }}
            chain nat-output {{
                type nat hook output priority -100
                jump services
            }}
            chain nat-postrouting {{
                type nat hook postrouting priority srcnat
                jump masquerading
            }}
        }}\n"
    )
}
