//! `vxlan doctor`: what is broken is found, in the right words.

use serde_json::json;

use crate::stage::{Stage, claimed};
use crate::support::lab::{Lab, Net, Ns, address, ipv6, mac, nft, until};

#[test]
fn a_node_where_all_is_well_gets_ticks_only_and_is_left_as_it_is() {
    ipv6::is_needed();
    let lab = Lab::new(2);
    let blue = claimed("blue", 100, lab.node(0));
    // The VNI tells networks of one group and one port apart.
    let same = json!({"options": {"group": "239.1.1.100"}});
    let mut stage = Stage::new(lab, vec![blue, Net::new("red", 200).dual().with(same)]);
    stage.join(0, "web", 2);
    stage.join(1, "db", 2);
    let before = stage.settled();
    let said = stage.operate(&["doctor"]);
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (0, ""),
        "{}",
        said.stdout
    );
    assert!(!said.stdout.contains('✗'), "{}", said.stdout);
    for told in [
        "✓ ip utility, iproute2-",
        "✓ the kernel has the driver macvlan",
        "✓ the underlay device eth0 is up, MTU 1500",
        "✓ no other device has VNI 100 on port 4789",
        "✓ no other host answers for the gateway's address on mv_blue",
        "✓ the host side: all 35 facts hold",
        "✓ shop/web-1 ",
        "/ipam: all 2 facts hold",
        "nothing is wrong",
    ] {
        assert!(said.stdout.contains(told), "{told}\n{}", said.stdout);
    }
    stage.is_as(&before);
    assert_eq!(stage.node().journal().matches("REPAIR").count(), 0);
}

#[test]
fn a_vtep_on_lo_is_said_to_leave_open_by_which_device_its_vxlan_comes_in() {
    nft::is_needed();
    let lab = Lab::new(1);
    lab.node(0).ip("addr add 198.18.255.1/32 dev lo");
    let options =
        json!({"options": {"vtepdev": "lo", "srcaddr": "198.18.255.1", "group": "198.18.255.2"}});
    let mut stage = Stage::new(lab, vec![Net::new("blue", 100).with(options)]);
    stage.join(0, "web", 1);
    let said = stage.operate(&["doctor"]);
    let words =
        "vxlan of blue is taken from every device: the guard cannot tell those that lead to lo";
    assert!(said.code == 0 && said.stdout.contains(words), "{said:?}");
}

#[test]
fn a_mac_that_another_nodes_container_has_too_is_crossed_with_the_node_behind_which_it_is() {
    ipv6::is_needed();
    let lab = Lab::new(2);
    let blue = Net::new("blue", 100);
    let mut stage = Stage::new(lab, vec![blue.clone()]);
    stage.join(0, "web", 2);
    // As where two nodes are asked for one MAC at the same moment.
    let other = stage.lab().node(1);
    let pod = other.pod("other");
    other.ask(&other.config(&[&blue]), &pod).add();
    let taken = mac(&stage.members[0].result);
    pod.ip(&format!("link set dev eth0 address {taken}"));
    // So that it makes an address of the MAC.
    pod.ip("link set dev eth0 down");
    pod.ip("link set dev eth0 up");
    let words = format!("shop/web-0 has the MAC {taken}, and so has a container behind 198.18.0.2");
    let settled = |ns: &Ns| {
        let all = ns.device("eth0")["addr_info"].clone();
        let mut all = all.as_array().unwrap().iter();
        all.any(|one| one["scope"] == "link" && one["tentative"].is_null())
    };
    until("addresses have settled", || {
        let own = stage.members.iter().map(|member| &*member.pod);
        own.chain([&*pod]).all(settled)
    });
    let said = stage.operate(&["doctor"]);
    assert!(
        said.code == 1 && said.stdout.contains(&words),
        "{}",
        said.stdout
    );
    assert_eq!(said.stdout.matches('✗').count(), 1, "{}", said.stdout);
    drop(pod);
    until("what was heard of a container that has gone is old", || {
        stage.operate(&["doctor"]).code == 0
    });
}

#[test]
fn what_a_node_learnt_from_a_pods_advertisement_is_crossed_until_it_is_gone() {
    ipv6::is_needed();
    let mut stage = Stage::new(Lab::new(1), vec![Net::new("blue", 100)]);
    stage.join(0, "web", 1);
    // As an earlier edition's gateway device heard it, on a node that forwards no IPv6.
    let node = stage.node();
    node.ip("-6 addr add fdba::9/64 dev mv_blue valid_lft 3600 preferred_lft 3600");
    let crossed = |words: &str| {
        let said = stage.operate(&["doctor"]);
        assert!(said.code == 1 && said.stdout.contains(words), "{said:?}");
    };
    crossed("mv_blue has the address fdba::9 by an advertisement: that router is a pod");
    node.ip("-6 route add default via fe80::bad dev mv_blue proto ra metric 1024");
    crossed("mv_blue has a route to default by an advertisement: that router is a pod");
    node.sh("ip -6 route flush dev mv_blue proto ra; ip -6 addr flush dev mv_blue dynamic");
    let said = stage.operate(&["doctor"]);
    assert_eq!(said.code, 0, "{}", said.stdout);
}

#[test]
fn an_address_that_another_nodes_container_has_too_is_crossed_with_both_macs() {
    let lab = Lab::new(2);
    let blue = Net::new("blue", 100).dual();
    let mut stage = Stage::new(lab, vec![blue.clone()]);
    stage.join(0, "web", 2);
    // Another node's container takes the address of the first, as after a partition.
    let other = stage.lab().node(1);
    let pod = other.pod("other");
    let ask = other.ask(&other.config(&[&blue]), &pod);
    let result = ask.add();
    let address = address(&stage.members[0].result, 0);
    pod.ip(&format!("addr add {address}/16 dev eth0"));
    let said = stage.operate(&["doctor"]);
    assert_eq!(said.code, 1, "{}", said.stdout);
    let crossed: Vec<&str> = said
        .stdout
        .lines()
        .filter(|line| line.contains('✗'))
        .collect();
    assert_eq!(crossed.len(), 1, "{}", said.stdout);
    let told = format!("{address} of shop/web-0 has two owners: ");
    assert!(crossed[0].contains(&told), "{}", said.stdout);
    assert!(
        crossed[0].to_lowercase().contains(&mac(&result)) && said.stdout.contains("arping -b"),
        "{}",
        said.stdout
    );
    pod.ip(&format!("addr del {address}/16 dev eth0"));
    let said = stage.operate(&["doctor"]);
    assert_eq!(said.code, 0, "{}", said.stdout);
    let told = "✓ the 2 IPv4 addresses of containers have one owner on mv_blue";
    assert!(said.stdout.contains(told), "{}", said.stdout);
    ask.after(&result).del();
}

/// Habets' arping 2.25 by what it prints: for its version, for the question about the gateway's address, for that about
/// a container's. Notes what it is asked.
const HABETS: &str = r#"echo "$*" >>"${0%/*}/asked"
case $1 in
    -V)
        echo 'ARPing 2.25, by Thomas Habets <thomas@habets.se>'
        echo "arping: option requires an argument -- 'V'" >&2
        exit 1
        ;;
    -D) printf '.\t100%% packet loss (0 extra)\n' && exit 1 ;;
    -b)
        printf 'ARPING %s\nTimeout\n\n--- %s statistics ---\n' "$7" "$7"
        printf '2 packets transmitted, 0 packets received, 100%% unanswered (0 extra)\n\n'
        exit 1
        ;;
esac"#;

#[test]
fn with_an_arping_of_another_kind_no_host_is_asked_and_that_is_told_once() {
    let mut stage = Stage::new(Lab::new(1), vec![Net::new("blue", 100)]);
    stage.join(0, "web", 2);
    let doctor = |body: &str| {
        let folder = stage.lab().script("others", "arping", body);
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", folder.display());
        stage.call(&["doctor"]).env("PATH", &path).run()
    };
    let said = doctor(HABETS);
    assert_eq!(said.code, 0, "{}", said.stdout);
    let told = "  - no host is asked by ARP: `arping` is not that of iputils but ARPing 2.25, by Thomas Habets <thomas@habets.se>; \
                2 findings follow from it\n      inspect  arping -V\n      fix      install iputils-arping\n";
    assert!(said.stdout.contains(told), "{}", said.stdout);
    assert_eq!(said.stdout.matches("ARPing").count(), 1, "{}", said.stdout);
    // MACs are asked for by echoes of IPv6, without `arping`: as soon as the pods answer those, they have one owner.
    for word in [
        "has two owners",
        "addresses of containers have one owner",
        "no other host answers",
    ] {
        assert!(!said.stdout.contains(word), "{}", said.stdout);
    }
    // It would ask in the gateway's own name.
    let asked = std::fs::read_to_string(stage.lab().dir().join("others/asked")).unwrap();
    assert_eq!(asked, "-V\n");
    // One that is cut short says nothing of who has an address either.
    let cut = "[ \"$1\" = -V ] && exec echo 'arping from iputils 20221126'; echo ARPING; exit 2";
    let said = doctor(cut);
    for told in [
        "  - no host was asked for the gateway's address: ARPING",
        "  - no host was asked for the 2 IPv4 addresses of containers: ARPING",
    ] {
        assert!(said.stdout.contains(told), "{told}\n{}", said.stdout);
    }
}

#[test]
fn what_waits_for_an_answer_of_the_wire_waits_at_the_same_time() {
    let lab = Lab::new(2);
    let nets = vec![Net::new("blue", 100), Net::new("red", 200)];
    let mut stage = Stage::new(lab, nets);
    stage.join(0, "web", 1);
    stage.join(1, "db", 1);
    // No question is answered before the last one of both networks was asked: first for the address that none can have
    // (arping) and whether gateways answer containers (ping), then for the containers' addresses (arping) and MACs
    // (ping). There is no other node yet that full packets go to.
    let dir = stage.lab().dir().join("under-way");
    std::fs::create_dir(&dir).unwrap();
    let wait = |of: &str| {
        format!(
            "real=${{PATH#*:}}\n\
             trap '' INT\n\
             case \"$*\" in *-V*|*-D*) PATH=$real exec {of} \"$@\";; esac\n\
             case \"$*\" in *-b\\ -c\\ 2*|*ff02*) all=8;; *) all=4;; esac\n\
             : >{0}/{of}.$$\n\
             PATH=$real\n\
             turns=0\n\
             until [ $(ls {0} | wc -l) -ge $all ]; do\n\
             turns=$((turns + 1)); [ $turns -lt 3000 ] || exit 1\n\
             done\n\
             exec {of} \"$@\"",
            dir.display()
        )
    };
    stage.lab().script("bin", "arping", &wait("arping"));
    let bin = stage.lab().script("bin", "ping", &wait("ping"));
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let said = stage.call(&["doctor"]).env("PATH", &path).run();
    assert_eq!(said.code, 0, "{said:?}");
    for dev in ["mv_blue", "mv_red"] {
        let well = format!("the 1 IPv4 addresses of containers have one owner on {dev}");
        assert!(said.stdout.contains(&well), "{}", said.stdout);
    }
}
