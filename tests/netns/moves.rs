//! A pod that comes up again on another node with the address that it had: reached by the next packet from everywhere.

use serde_json::json;

use crate::support::lab::{Lab, Net, Node, ipv6};

/// Three nodes with a pod each, that all know the one that moves.
fn is_reached_where_it_has_moved_to(blue: &Net) {
    let blue = blue.clone().dual();
    let blue = blue.with(json!({"excludeFirst": 10, "excludeLast": 10}));
    let lab = Lab::new(3);
    let v6 = ipv6::networks_have_it();
    let addresses = |last: u8| -> Vec<String> {
        let v6 = v6.then(|| format!("fd10:{:x}::c8{last:02x}", blue.id));
        std::iter::once(blue.spare_v4(last)).chain(v6).collect()
    };
    let config = |node: &Node, last: u8| {
        let ips = json!({"runtimeConfig": {"ips": addresses(last)}});
        node.config(&[&blue]).with(ips)
    };
    let nodes = lab.nodes();
    let pods: Vec<_> = nodes.iter().map(|node| node.pod("web")).collect();
    for (number, (node, pod)) in std::iter::zip(nodes, &pods).enumerate() {
        node.ask(&config(node, 10 + number as u8), pod).add();
    }
    let moving = addresses(99);
    for (number, node) in nodes.iter().enumerate().cycle().take(4) {
        let pod = node.pod(&format!("moves-{number}"));
        let ask = node.ask(&config(node, 99), &pod);
        ask.add();
        for address in &moving {
            for from in &pods {
                assert!(
                    from.reaches(address),
                    "{address} on {number} from {}",
                    from.path()
                );
            }
            for from in nodes {
                assert!(
                    from.reaches(address),
                    "{address} on {number} from {}",
                    from.path()
                );
            }
        }
        ask.del();
    }
}

#[test]
fn an_address_that_moves_to_another_node_is_reached_by_the_next_packet_with_a_group() {
    is_reached_where_it_has_moved_to(&Net::new("blue", 100));
}

#[test]
fn an_address_that_moves_to_another_node_is_reached_by_the_next_packet_with_peers_and_one_gateway()
{
    is_reached_where_it_has_moved_to(&Net::new("blue", 100).anycast().peers(3, false));
}

#[test]
fn an_address_that_moves_with_another_mac_is_reached_by_the_next_packet() {
    let random = json!({"mac": "random"});
    is_reached_where_it_has_moved_to(&Net::new("blue", 100).peers(3, false).with(random));
}
