//! CHECK beyond the plugin's own facts, and a second ADD.

use crate::support::lab::{Lab, Net, address};

#[test]
fn c59_check_asks_the_ipam_and_passes_its_error_on() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let pod = node.pod("web");
    let config = node
        .config(&[&Net::new("blue", 100)])
        .ipam(node.route_table());
    let ask = node.ask(&config, &pod);
    let result = ask.add();
    ask.check(&result);
    let claim = address(&result, 0);
    node.ip(&format!("route del {claim}/32 proto 192"));
    let said = ask.check_refused(&result, 101);
    assert!(
        said.contains(&format!("the claim of {claim} is missing")),
        "{said}"
    );
    assert!(
        said.contains(&format!("ip route add {claim}/32 dev mv_blue proto 192")),
        "{said}"
    );
    ask.after(&result).del();
}

#[test]
fn check_of_an_interface_that_add_put_into_another_container_is_refused() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let pod = node.pod("web");
    let ask = node.ask(&node.config(&[&Net::new("blue", 100)]), &pod);
    let mut result = ask.add();
    ask.check(&result);
    result["interfaces"][2]["sandbox"] = "/run/netns/another".into();
    let said = ask.check_refused(&result, 101);
    let wanted = format!("eth0 is in /run/netns/another, CNI_NETNS is {}", pod.path());
    assert!(said.contains(&wanted), "{said}");
}

#[test]
fn c32_a_second_add_without_a_del_is_refused_and_the_first_attachment_stays() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let pod = node.pod("web");
    let ask = node.ask(&node.config(&[&Net::new("blue", 100).dual()]), &pod);
    let result = ask.add();
    let before = node.snapshot();
    let said = ask.add_refused(4);
    assert!(
        said.contains("attached to network \"blue\" already"),
        "{said}"
    );
    node.snapshot().assert_same(&before);
    ask.check(&result);
    ask.after(&result).del();
}
