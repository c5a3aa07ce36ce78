//! Beside others: an ADD or DEL that is at work, later plugins, and programs that take away what is ours.

use std::fs::File;
use std::process::{Child, Stdio};

use crate::stage::{Stage, claimed};
use crate::support::lab::{Lab, Net, mac, until};
use crate::support::plugin::{Call, Program, Said};
use crate::support::program;

#[test]
fn what_an_add_is_at_work_on_is_left_to_it() {
    let mut stage = Stage::new(Lab::new(1), vec![Net::new("blue", 100)]);
    stage.join(0, "web", 1);
    let plugins = stage
        .lab()
        .waiting_script("slow", "host-local", "exec /usr/lib/cni/host-local");
    let pod = stage.node().pod("slow");
    let ask = stage
        .node()
        .ask(&stage.config(0), &pod)
        .plugins_first(&plugins);
    let adding = ask.verb("ADD").start();
    until("the IPAM was asked", || plugins.join("asked").exists());
    stage.node().ip("link set mv_blue down");
    let said = stage.operate(&["doctor"]);
    assert!(
        said.stdout.contains("- ") && said.stdout.contains("/eth0: a verb is in progress for it"),
        "{}",
        said.stdout
    );
    assert!(
        !said.stdout.contains(&format!("✗ {}", pod.container)),
        "{}",
        said.stdout
    );
    let said = stage.operate(&["repair"]);
    assert_eq!(said.code, 0, "{}", said.stdout);
    assert!(!said.stdout.contains(&pod.container), "{}", said.stdout);
    std::fs::write(plugins.join("pipe"), "on\n").unwrap();
    let result = Said::by(adding).ok();
    ask.check(&result);
    assert_eq!(stage.operate(&["doctor"]).code, 0);
}

#[test]
fn a_del_waits_for_a_repair_and_a_repair_leaves_a_del_alone() {
    let mut stage = Stage::new(Lab::new(1), vec![Net::new("blue", 100)]);
    stage.join(0, "web", 2);
    let record = |index: usize| {
        stage
            .node()
            .record("blue", &stage.members[index].pod, "eth0")
    };
    let mark = File::open(record(0)).unwrap();
    mark.lock_shared().unwrap();
    let web = &stage.members[0];
    let deleting = stage
        .node()
        .ask(&stage.config(0), &web.pod)
        .after(&web.result);
    let deleting = deleting.verb("DEL").start();
    let fds = format!("/proc/{}/fd", deleting.id());
    until("the DEL waits", || {
        let files = std::fs::read_dir(&fds).into_iter().flatten().flatten();
        files
            .filter_map(|file| std::fs::read_link(file.path()).ok())
            .any(|file| file == record(0))
    });
    assert!(!web.pod.device("eth0").is_null());
    drop(mark);
    Said::by(deleting).ok();
    assert!(web.pod.device("eth0").is_null());
    let mark = File::open(record(1)).unwrap();
    mark.lock().unwrap();
    stage.members[1].pod.ip("link del eth0");
    assert_eq!(stage.operate(&["repair"]).code, 0);
    assert!(stage.members[1].pod.device("eth0").is_null());
    drop(mark);
    assert_eq!(stage.operate(&["repair"]).code, 0);
    stage.is_well();
}

#[test]
fn what_a_later_plugin_changed_and_said_so_is_no_fault_and_is_kept() {
    let mut stage = Stage::new(Lab::new(1), vec![Net::new("blue", 100)]);
    stage.join(0, "web", 1);
    let web = &stage.members[0];
    web.pod.ip("link set eth0 address 0a:00:00:00:00:77");
    let said = stage.operate(&["doctor"]);
    let told = format!(
        "eth0 has address {}: found address 0a:00:00:00:00:77",
        mac(&web.result)
    );
    assert!(said.stdout.contains(&told), "{}", said.stdout);
    let mut result = web.result.clone();
    result["interfaces"][2]["mac"] = "0a:00:00:00:00:77".into();
    let cached = serde_json::json!({"kind": "cniCacheV1", "result": result}).to_string();
    let file = stage.node().dir().join("cached");
    std::fs::write(&file, cached).unwrap();
    let folder = format!(
        "mount -t tmpfs tmpfs /var/lib && mkdir -p /var/lib/cni/results && cp {} /var/lib/cni/results/lab-{}-eth0 && exec \"$@\"",
        file.display(),
        web.pod.container
    );
    for verb in ["doctor", "repair"] {
        let said = stage
            .call(&[verb])
            .behind(&["unshare", "-m", "sh", "-c", &folder, "-"])
            .run();
        assert_eq!(said.code, 0, "{}", said.stdout);
    }
    assert_eq!(web.pod.device("eth0")["address"], "0a:00:00:00:00:77");
}

/// A process of a name in the node's namespace.
struct Named(Child);

impl Named {
    fn start(stage: &Stage, name: &str) -> Self {
        let file = stage.node().dir().join(name);
        program::put(&std::fs::read("/bin/sleep").unwrap(), &file);
        let mut command = stage.node().command(&[file.to_str().unwrap(), "600"]);
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        let comm = format!("/proc/{}/comm", child.id());
        until("the process has its name", || {
            let now = std::fs::read_to_string(&comm).unwrap_or_default();
            !now.trim().is_empty() && name.starts_with(now.trim())
        });
        Self(child)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn programs_that_take_away_or_do_not_see_what_is_ours_are_named_with_their_settings() {
    let lab = Lab::new(1);
    let blue = claimed("blue", 100, lab.node(0));
    let mut stage = Stage::new(lab, vec![blue]);
    stage.join(0, "web", 1);
    let said = |stage: &Stage, before: &str| {
        let words = format!("{before} exec \"$@\"");
        stage
            .call(&["doctor"])
            .behind(&["unshare", "-m", "sh", "-ec", &words, "-"])
            .run()
            .stdout
    };
    let frr = Named::start(&stage, "zebra");
    let text = said(&stage, "");
    assert!(
        text.contains("✗ FRR runs and takes claims of protocol 192 for its own"),
        "{text}"
    );
    assert!(
        text.contains("fix      set ipam.routeProtocol to 240"),
        "{text}"
    );
    drop(frr);
    assert!(said(&stage, "").contains("✓ FRR does not run"));

    let networkd = Named::start(&stage, "systemd-networkd");
    let folder = "mount -t tmpfs tmpfs /etc/systemd; mkdir /etc/systemd/networkd.conf.d;";
    let text = said(&stage, folder);
    assert!(
        text.contains("removes foreign routes and rules when it starts: ManageForeignRoutes, ManageForeignRoutingPolicyRules not off"),
        "{text}"
    );
    let mend = text
        .lines()
        .find(|line| line.contains("networkd.conf.d/vxlan-cni.conf"))
        .unwrap();
    let mend = mend
        .trim()
        .strip_prefix("fix")
        .unwrap()
        .trim()
        .split(" && systemctl")
        .next()
        .unwrap();
    let text = said(&stage, &format!("{folder} {mend};"));
    assert!(
        text.contains("✓ systemd-networkd leaves foreign routes and rules alone"),
        "{text}"
    );
    drop(networkd);

    let _manager = Named::start(&stage, "NetworkManager");
    let answer = |state: &str| {
        let dir = stage
            .lab()
            .script("nm", "nmcli", &format!("echo 'mv_blue:{state}'"));
        format!("export PATH={}:$PATH;", dir.display())
    };
    let text = said(&stage, &answer("connected (externally)"));
    assert!(text.contains("✗ NetworkManager manages mv_blue"), "{text}");
    let text = said(&stage, &answer("unmanaged"));
    assert!(
        text.contains("✓ NetworkManager manages no device of ours"),
        "{text}"
    );
}

#[test]
fn long_work_tells_how_far_it_is_on_a_terminal_and_nowhere_else() {
    let mut stage = Stage::new(Lab::new(1), vec![Net::new("blue", 100)]);
    stage.join(0, "web", 3);
    for verb in ["doctor", "repair"] {
        let plain = stage.operate(&[verb]);
        assert_eq!(
            (plain.code, plain.stderr.as_str()),
            (0, ""),
            "{}",
            plain.stdout
        );
        assert!(!plain.stdout.contains("\u{1b}"), "{}", plain.stdout);
        // `script` gives what it runs a terminal.
        let line = format!(
            "{} {verb} --conf {}",
            Program::Vxlan.path(),
            stage.conf().display()
        );
        let [nsenter, net] = stage.node().enter();
        let said = Call::at("/usr/bin/script")
            .arg("-qec")
            .arg(&format!("{nsenter} {net} {line}"))
            .arg("/dev/null")
            .env("CNI_PATH", "/usr/lib/cni")
            .run();
        assert!(said.stdout.contains("3/3 shop/web-2 "), "{said:?}");
        assert!(said.stdout.contains("\r\u{1b}[K"), "{said:?}");
    }
}
