//! A pod floods the network with broadcasts, and an address that a living pod has is asked for: it is not given away.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Child;

use serde_json::{Value, json};

use super::Ipam;
use crate::support::lab::{Lab, Net, address, until};
use crate::support::program;

/// How many devices hear every broadcast on the node of the pod whose address is asked for.
const DEVICES: usize = 40;

/// How often an address is asked for; `VXLAN_FLOOD_TRIES` says another number.
fn tries() -> usize {
    let text = std::env::var("VXLAN_FLOOD_TRIES");
    text.map_or(10, |text| text.parse().unwrap())
}

/// Where a sender is told to send to.
const TARGET: &str = "VXLAN_FLOOD_TARGET";

/// A sender, started by the tests below as a process of its own; by itself it does nothing.
#[test]
fn sender() {
    let Ok(target) = std::env::var(TARGET) else {
        return;
    };
    let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
    socket.set_broadcast(true).unwrap();
    loop {
        // A full queue is what it is about.
        let _ = socket.send_to(&[0; 64], (target.as_str(), 9));
    }
}

/// Three nodes: one that asks, one with the pod that has the address and many more devices, one with the sender.
struct Scene {
    lab: Lab,
    victim: String,
    blue: Net,
    sender: Option<Child>,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::new(3);
        let blue = Net::new("blue", 100);
        let mut results = Vec::new();
        for node in lab.nodes() {
            let pod = node.pod("p");
            results.push(node.ask(&node.config(&[&blue]), &pod).add());
            std::mem::forget(pod);
        }
        let crowd: Vec<String> = (1..DEVICES)
            .flat_map(|n| {
                [
                    format!("link add m{n} link vx_blue type macvlan mode bridge"),
                    format!("link set m{n} addrgenmode none up"),
                ]
            })
            .collect();
        lab.node(1).batch(&crowd);
        let victim = address(&results[1], 0);
        Self {
            lab,
            victim,
            blue,
            sender: None,
        }
    }

    /// Starts the flood, by a process that may do nothing but open sockets.
    fn flood(&mut self) {
        let program = self.lab.dir().join("sender");
        let itself = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        program::put(&itself, &program);
        let name = "route_table::flood::sender";
        let pod = crate::support::lab::Ns::named(&format!("{}-p", node_name(&self.lab, 2)));
        let user = "setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all";
        let argv: Vec<&str> = user
            .split(' ')
            .chain([program.to_str().unwrap(), "--exact", name])
            .collect();
        let target = "10.100.255.255";
        let child = pod
            .command(&argv)
            .env(TARGET, target)
            .stdout(std::process::Stdio::null())
            .spawn();
        self.sender = Some(child.unwrap());
        let node = self.lab.node(1);
        let heard = || {
            node.show("-s link show dev vx_blue")[0]["stats64"]["rx"]["packets"]
                .as_u64()
                .unwrap()
        };
        let before = heard();
        until("the flood arrives", || heard() > before + 20_000);
    }

    fn ipam(&self, range: Value) -> Ipam<'_> {
        let device = self.blue.mv();
        Ipam::new(
            self.lab.node(0),
            range,
            json!({"device": device, "order": "sequential"}),
        )
    }
}

fn node_name(lab: &Lab, index: usize) -> String {
    let path = PathBuf::from(lab.node(index).path());
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(mut sender) = self.sender.take() {
            let _ = sender.kill();
            let _ = sender.wait();
        }
    }
}

#[test]
fn an_address_of_a_living_pod_is_not_given_away_while_another_pod_floods_the_network() {
    let mut scene = Scene::new();
    scene.flood();
    let victim: std::net::Ipv4Addr = scene.victim.parse().unwrap();
    let next = std::net::Ipv4Addr::from(u32::from(victim) + 1).to_string();
    let range = json!({"subnet": "10.100.0.0/16", "rangeStart": scene.victim, "rangeEnd": next});
    let ipam = scene.ipam(range);
    let (mut asked, mut searched) = (0, 0);
    for _ in 0..tries() {
        let said = ipam.wanting("a", &scene.victim).run();
        asked += usize::from(said.code == 0);
        ipam.del("a");
        let said = ipam.say("ADD", "b");
        searched += usize::from(said.code == 0 && address(&said.ok(), 0) == scene.victim);
        if said.code != 0 {
            println!("{said:?}");
        }
        ipam.del("b");
    }
    let all = tries();
    println!("given away: on request {asked} of {all}, in order {searched} of {all}");
    assert_eq!((asked, searched), (0, 0));
}
