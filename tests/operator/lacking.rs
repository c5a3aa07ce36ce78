//! What the kernel or the node lacks: room in a table of the kernel's, a driver, a program. Each is crossed once, with
//! what mends it.

use serde_json::{Value, json};

use crate::stage::Stage;
use crate::support::lab::nft::egress_is_needed;
use crate::support::lab::{Lab, Net};
use crate::support::plugin::Said;

/// Asks doctor where lines of a shell were run first, in the node's network namespace and a mount namespace of its own.
fn doctor_after(stage: &Stage, lines: &str, words: &[&str]) -> Said {
    let lines = format!("{lines}\nexec \"$@\"");
    let [nsenter, net] = stage.node().enter();
    let mounted = ["unshare", "-m", "sh", "-ec", &lines, "-"];
    let call = stage.call(words).behind(&mounted);
    call.behind(&[&nsenter, &net]).run()
}

/// What has failed.
fn failed(said: &Said) -> Vec<Value> {
    let document = said.json();
    let all = document["findings"].as_array().unwrap().iter();
    all.filter(|one| one["state"] == "failed")
        .cloned()
        .collect()
}

fn text<'a>(finding: &'a Value, key: &str) -> &'a str {
    finding[key].as_str().unwrap()
}

/// The statistics of a table of neighbours as Linux 6.18 shows them, on one processor.
fn statistics(entries: u32) -> String {
    format!("entries  allocs   destroys table_fulls\n{entries:08x} 00004fff 00003fff 00000002\n")
}

/// The tables are the whole machine's, and other tests are on it: what the kernel tells of them is told by files in its
/// place, which take what the fix writes.
#[test]
fn tables_of_the_kernel_that_are_nearly_full_are_crossed_until_their_fixes_were_run() {
    let mut stage = Stage::new(Lab::new(1), vec![Net::new("blue", 100)]);
    stage.join(0, "web", 1);
    let dir = stage.lab().dir().join("tables");
    std::fs::create_dir(&dir).unwrap();
    let put = |name: &str, text: &str| {
        let file = dir.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    put("nf_conntrack_count", "59000\n");
    put("nf_conntrack_max", "65536\n");
    for (family, table, entries) in [("ipv4", "arp_cache", 820), ("ipv6", "ndisc_cache", 1023)] {
        put(&format!("{family}/default/gc_thresh3"), "1024\n");
        put(&format!("stat/{table}"), &statistics(entries));
    }
    // The shell becomes doctor, and keeps its number; below its `net` the kernel takes no mount.
    let mounts = format!(
        "cd {}\n\
         for file in nf_conntrack_count nf_conntrack_max; do mount --bind $file /proc/sys/net/netfilter/$file; done\n\
         for family in ipv4 ipv6; do mount --bind $family /proc/sys/net/$family/neigh; done\n\
         mount --bind . /proc/$$/net",
        dir.display()
    );
    let found = failed(&doctor_after(&stage, &mounts, &["doctor", "--json"]));
    let wanted = [
        (
            "neighbour_table",
            "fills it: 820 of 1024 neighbours that net.ipv4.neigh.default.gc_thresh3 allows",
        ),
        (
            "neighbour_table",
            "fills it: 1023 of 1024 neighbours that net.ipv6.neigh.default.gc_thresh3 allows",
        ),
        (
            "conntrack_table",
            "new ones are dropped then: 59000 of 65536 connections that net.netfilter.nf_conntrack_max allows",
        ),
    ];
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
    for (one, (id, words)) in found.iter().zip(wanted) {
        assert!(
            one["id"] == id && text(one, "message").contains(words),
            "{words}: {one:#}"
        );
    }
    let fixes = found
        .iter()
        .map(|one| format!("{} >&2\n", text(one, "fix")));
    let mended = format!("{mounts}\n{}", fixes.collect::<String>());
    let said = doctor_after(&stage, &mended, &["doctor"]);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn a_vxlan_that_was_moved_into_another_namespace_is_named_where_it_keeps_ours_from_being_made() {
    let nets = vec![Net::new("blue", 100), Net::new("red", 200)];
    let mut stage = Stage::new(Lab::new(2), nets.clone());
    stage.join(0, "web", 1);
    // Another node's own is none of this one's.
    let other = stage.lab().node(1);
    let db = other.pod("db");
    other.ask(&other.config(&[&nets[0]]), &db).add();
    let (node, elsewhere) = (stage.node(), stage.lab().switch());
    let hide = |vni: u32| {
        node.sh(&format!(
            "ip link add hid type vxlan id {vni} dev eth0 group 239.7.7.7 dstport 4789; ip link set hid netns {elsewhere}"
        ));
    };
    let crossed = |vni: u32| {
        let found = failed(&stage.operate(&["doctor", "--json"]));
        let [one] = causes(&found)[..] else {
            panic!("{found:#?}")
        };
        let words = format!(
            "hid has VNI {vni} on port 4789 already: it was made here and moved into the namespace {elsewhere}"
        );
        assert!(
            one["id"] == "vni" && text(one, "message").contains(&words),
            "{one:#}"
        );
        let (_, fix) = text(one, "fix").split_once("in use no longer: ").unwrap();
        fix.to_owned()
    };
    hide(200);
    // Nothing is looked through for a network that no container has asked for.
    assert_eq!(stage.operate(&["doctor"]).code, 0);
    let pod = node.pod("mail");
    let ask = node.ask(&stage.config(1), &pod);
    ask.add_refused(100);
    node.sh(&crossed(200));
    let result = ask.add();
    assert_eq!(stage.operate(&["doctor"]).code, 0);
    ask.after(&result).del();

    let web = &stage.members[0].pod;
    node.ip("link del vx_blue");
    hide(100);
    assert!(!web.reaches(&node.gateway(&nets[0])));
    assert_ne!(stage.operate(&["repair"]).code, 0);
    let fix = crossed(100);
    node.sh(&fix);
    assert_eq!(stage.operate(&["repair"]).code, 0);
    web.ping(&node.gateway(&nets[0]));
    stage.is_well();
}

/// Of findings those that follow from no other.
fn causes(all: &[Value]) -> Vec<&Value> {
    let alone = all.iter().filter(|one| one["follows_from"].is_null());
    alone.collect()
}

#[test]
fn a_program_or_a_driver_that_is_missing_is_told_once_and_hides_nothing_else() {
    egress_is_needed();
    let spoof = Net::new("red", 200).with(json!({"antiSpoof": true}));
    let mut stage = Stage::new(Lab::new(1), vec![Net::new("blue", 100), spoof]);
    stage.join(0, "web", 1);
    stage.join(1, "mail", 1);
    // In whichever folder it is, first or behind another of its name.
    let without = |program: &str| {
        format!(
            "for dir in $(echo $PATH:/usr/sbin:/usr/bin | tr : ' '); do\n\
             [ ! -s $dir/{program} ] || mount --bind /dev/null $(readlink -f $dir/{program})\ndone"
        )
    };
    // Its module is gone, and it is not built in.
    let no_driver = format!(
        "grep -v macvlan_common_newlink /proc/kallsyms >{0}/symbols\nmount --bind {0}/symbols /proc/kallsyms\n\
         mount -t tmpfs tmpfs /sys/module\nmkdir /sys/module/vxlan\n\
         mount --bind /bin/false $(readlink -f $(command -v modprobe))",
        stage.lab().dir().display()
    );
    for (lines, state, id, words, fix, follow) in [
        (
            without("nft"),
            "failed",
            "program",
            "`nft` is not installed",
            "install nftables",
            &["firewall"][..],
        ),
        (
            without("arping"),
            "unknown",
            "program",
            "no host is asked by ARP: `arping` is not installed",
            "install iputils-arping",
            &["gateway_owner", "address_owner"],
        ),
        (
            no_driver,
            "failed",
            "kernel_driver",
            "the kernel has no driver macvlan",
            "install the kernel's modules",
            &[],
        ),
    ] {
        // Without what the node's others cannot be asked for, or do not answer yet.
        let beside = ["peer_reach", "underlay_mtu", "mac_owner"];
        let said = doctor_after(&stage, &lines, &["doctor", "--json"]).json();
        let all = said["findings"].as_array().unwrap();
        let found: Vec<Value> = all
            .iter()
            .filter(|one| one["state"] != "ok" && !beside.iter().any(|id| one["id"] == *id))
            .cloned()
            .collect();
        let [one] = causes(&found)[..] else {
            panic!("{words}: {found:#?}")
        };
        assert!(
            one["state"] == state
                && one["id"] == id
                && text(one, "message").contains(words)
                && text(one, "fix").contains(fix),
            "{one:#}"
        );
        let others = found.iter().filter(|one| !one["follows_from"].is_null());
        assert!(
            others
                .clone()
                .all(|one| follow.iter().any(|id| one["id"] == *id)),
            "{found:#?}"
        );
        assert_eq!(others.count() > 0, !follow.is_empty(), "{found:#?}");
        // The rest is looked at all the same.
        assert!(
            all.iter().filter(|one| one["id"] == "fact").count() > 80,
            "{words}: {}",
            all.len()
        );
    }
    stage.is_well();
}
