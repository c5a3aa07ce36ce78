//! The recipe of docs/security.md for networks that cannot be read on the underlay: WireGuard below them.

use std::process::{Child, Stdio};

use serde_json::json;

use crate::support::frames::Receiver;
use crate::support::lab::{Lab, Net, Node, Pod, address, until};

/// The user-space WireGuard of one node, as this machine's kernel may have none; ended with it.
struct Wireguard(Child);

impl Wireguard {
    /// Starts `wg0` on a node and gives it its key; tells its public key.
    fn start(node: &Node) -> (Self, String) {
        // Its socket is by the device's name: a folder of its own for each node.
        let folder = node.dir().join("wireguard");
        std::fs::create_dir_all(&folder).unwrap();
        let script = format!(
            "mkdir -p /var/run/wireguard && mount --bind {} /var/run/wireguard && exec wireguard-go -f wg0",
            folder.display()
        );
        let argv = ["unshare", "--mount", "sh", "-ec", &script];
        let mut command = node.command(&argv);
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("wg0 is there", || folder.join("wg0.sock").exists());
        let key = node.dir().join("wg.key");
        std::fs::write(&key, node.run(&["wg", "genkey"])).unwrap();
        let public = node.sh(&format!("wg pubkey <{}", key.display()));
        let own = Self(child);
        own.wg(
            node,
            &format!("listen-port 51820 private-key {}", key.display()),
        );
        (own, public.trim().to_owned())
    }

    /// `wg set wg0 ...` where its socket is.
    fn wg(&self, node: &Node, words: &str) {
        let mount = format!("--mount=/proc/{}/ns/mnt", self.0.id());
        let script = format!("wg set wg0 {words}");
        node.run(&["nsenter", &mount, "sh", "-ec", &script]);
    }
}

impl Drop for Wireguard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_network_over_wireguard_is_whole_and_nothing_of_it_is_to_be_read_on_the_underlay() {
    let lab = Lab::new(2);
    let [one, other] = [0, 1].map(|index| lab.node(index));
    let started = [one, other].map(Wireguard::start);
    for (index, peer) in [(0, 1), (1, 0)] {
        let node = lab.node(index);
        let words = format!(
            "peer {} endpoint {}:51820 allowed-ips 198.19.0.{}/32",
            started[peer].1,
            lab.node(peer).underlay(),
            peer + 1
        );
        started[index].0.wg(node, &words);
        node.ip(&format!("addr add 198.19.0.{}/24 dev wg0", index + 1));
        node.ip("link set wg0 mtu 1420 up");
    }
    let pods: Vec<(Pod, String)> = [(0, 2), (1, 1)]
        .into_iter()
        .map(|(index, peer)| {
            let node = lab.node(index);
            let options = json!({"vtepdev": "wg0", "group": format!("198.19.0.{peer}")});
            let blue = Net::new("blue", 100).with(json!({"options": options}));
            let pod = node.pod("web");
            let result = node.ask(&node.config(&[&blue]), &pod).add();
            (pod, address(&result, 0))
        })
        .collect();
    assert_eq!(pods[0].0.show("link show eth0")[0]["mtu"], 1370);
    let listener = Receiver::until(other, &["in the clear"]);
    pods[0].0.sh(&format!(
        "ping -c 3 -i 0.2 -W 5 -s 1300 -p 3c7365637265743e {}",
        pods[1].1
    ));
    let clear = format!("echo '<in the clear>' >/dev/udp/{}/9", other.underlay());
    one.run(&["bash", "-c", &clear]);
    assert_eq!(listener.received(), ["in the clear"]);
}
