//! What a device is: little of it can be changed while the device is there, so a device that is another than
//! wanted is refused, with the way to mend it, and never made anew under pods that run.

use vxlan_cni::config::Config as Read;
use vxlan_cni::ip::link::Vxlan;

use super::Scene;

/// What of the line that makes the vxlan is told differently, what CHECK says is there, and what the
/// command that it names shows.
const VXLANS: [(&str, &str, &str, &str); 16] = [
    ("id 100", "id 999", "id is 999, wanted 100", "vxlan id 999"),
    (
        "dev eth0",
        "dev other",
        "dev is other, wanted eth0",
        "dev other",
    ),
    (
        "local 198.18.0.1",
        "local 198.18.0.77",
        "local is 198.18.0.77, wanted 198.18.0.1",
        "local 198.18.0.77",
    ),
    (
        "group 239.1.1.100",
        "group 239.1.1.101",
        "group is 239.1.1.101, wanted 239.1.1.100",
        "group 239.1.1.101",
    ),
    ("ttl 7", "ttl 8", "ttl is 8, wanted 7", "ttl 8"),
    (
        "tos 0x10",
        "tos 0x20",
        "tos is 0x20, wanted 0x10",
        "tos 0x20",
    ),
    (
        "dstport 4790",
        "dstport 4789",
        "dstport is 4789, wanted 4790",
        "dstport 4789",
    ),
    (
        "srcport 30000 40000",
        "srcport 30000 30000",
        "srcport is 30000 30000, wanted 30000 40000",
        "srcport 30000 30000",
    ),
    (
        " learning",
        " nolearning",
        "learning is off, wanted on",
        "nolearning",
    ),
    (" proxy", " noproxy", "proxy is off, wanted on", "rsc"),
    (" rsc", " norsc", "rsc is off, wanted on", "proxy"),
    (" l2miss", " nol2miss", "l2miss is off, wanted on", "l3miss"),
    (" l3miss", " nol3miss", "l3miss is off, wanted on", "l2miss"),
    (" gbp", "", "gbp is off, wanted on", "proxy"),
    (
        "ageing 600",
        "ageing 700",
        "ageing is 700, wanted 600",
        "ageing 700",
    ),
    (
        "maxaddress 5000",
        "maxaddress 6000",
        "maxaddress is 6000, wanted 5000",
        "maxaddr 6000",
    ),
];

/// The words of a vxlan's identity. A field that is added does not compile until it has a word here.
fn words(vxlan: &Vxlan) -> Vec<&'static str> {
    let Vxlan {
        vni: _,
        dev: _,
        local: _,
        v6: _,
        group: _,
        ttl: _,
        tos: _,
        dstport: _,
        srcport: _,
        learning: _,
        proxy: _,
        rsc: _,
        l2miss: _,
        l3miss: _,
        gbp: _,
        ageing: _,
        maxaddress: _,
    } = vxlan;
    vec![
        "id",
        "dev",
        "local",
        "group",
        "ttl",
        "tos",
        "dstport",
        "srcport",
        "learning",
        "proxy",
        "rsc",
        "l2miss",
        "l3miss",
        "gbp",
        "ageing",
        "maxaddress",
    ]
}

/// The line by which ADD made a device, from the journal.
fn line_of(journal: &str, start: &str) -> String {
    let line = journal.lines().find(|line| line.starts_with(start));
    line.unwrap_or_else(|| panic!("no {start} in {journal}"))
        .to_owned()
}

/// Puts another device in a device's place: CHECK names the difference and the command that shows it,
/// the next ADD refuses it with the way to mend it, and leaves everything as it is.
fn refused(scene: &Scene, make: &str, fact: &str, found: &str, show: &str, shown: &str) {
    let node = scene.node();
    node.sh(make);
    let ask = node.ask(&scene.config, &scene.pod);
    let named = format!("{fact}: found {found} (`{show}`)");
    let said = ask.check_refused(&scene.result, 101);
    assert!(
        said.contains(&named),
        "{make}\nwanted {named}\nin     {said}"
    );
    let seen = node.sh(show);
    assert!(
        seen.contains(shown),
        "`{show}` does not show {shown}: {seen}"
    );
    let before = node.snapshot();
    let next = node.pod("next");
    let said = node.ask(&scene.config, &next).add_refused(101);
    assert!(
        said.contains(&named),
        "{make}\nwanted {named}\nin     {said}"
    );
    let device = show.rsplit(' ').next().unwrap();
    // What the kernel changes of a device that is in use.
    let changeable = ["learning is", "ageing is", "ttl is", "mode is"];
    let mend = match changeable.iter().any(|words| found.starts_with(words)) {
        true => format!("or set it back: ip link set dev {device} type "),
        false => format!("or, when the device is in use no longer: ip link del dev {device}"),
    };
    assert!(said.contains(&mend), "{said}");
    node.snapshot().assert_same(&before);
}

#[test]
fn every_property_of_a_vxlan_has_a_row() {
    let scene = Scene::new();
    let config = Read::read(scene.config.value()).unwrap();
    for word in words(&config.networks[0].options.vxlan) {
        let start = format!("{word} is ");
        let has = VXLANS
            .iter()
            .any(|(_, _, found, _)| found.starts_with(&start));
        assert!(has, "no row makes a vxlan with another {word}");
    }
}

#[test]
fn a_vxlan_that_is_another_than_wanted_is_named_by_check_and_refused_by_add() {
    let scene = Scene::new();
    let node = scene.node();
    node.sh("ip link add other type bridge");
    let line = line_of(&node.journal(), "ip link add vx_blue ");
    for (wanted, other, found, shown) in VXLANS {
        assert!(line.contains(wanted), "{wanted} is not in {line}");
        let make = format!(
            "ip link del dev vx_blue; {}",
            line.replacen(wanted, other, 1)
        );
        let (fact, show) = (
            "vxlan vx_blue with VNI 100 is there",
            "ip -d link show dev vx_blue",
        );
        refused(&scene, &make, fact, found, show, shown);
    }
    let make = "ip link del dev vx_blue; ip link add vx_blue type bridge";
    let (fact, show) = (
        "vxlan vx_blue with VNI 100 is there",
        "ip -d link show dev vx_blue",
    );
    refused(
        &scene,
        make,
        fact,
        "it is a `bridge`, not a vxlan",
        show,
        "bridge",
    );
}

#[test]
fn a_gateway_that_is_another_device_is_named_by_check_and_refused_by_add() {
    let scene = Scene::new();
    let node = scene.node();
    let (fact, show) = (
        "macvlan mv_blue on vx_blue is there",
        "ip -d addr show dev mv_blue",
    );
    for (make, found, shown) in [
        (
            "ip link set dev mv_blue type macvlan mode private",
            "mode is private, wanted bridge",
            "mode private",
        ),
        (
            "ip link del dev mv_blue; ip link add mv_blue link eth0 type macvlan mode bridge",
            "link is eth0, wanted vx_blue",
            "mv_blue@eth0",
        ),
        (
            "ip link del dev mv_blue; ip link add mv_blue type bridge",
            "it is a `bridge`, not a macvlan",
            "bridge",
        ),
    ] {
        refused(&scene, make, fact, found, show, shown);
    }
    // Out of the way, it is made anew, and the pod that was there all the time is whole again.
    node.sh("ip link del dev mv_blue");
    let next = node.pod("next");
    node.ask(&scene.config, &next).add();
    scene.check();
}
