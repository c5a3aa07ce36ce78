//! Labs and the demo: they come up, go down, and leave nothing, whatever happens.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{built, clone, end_of, ends_with, script, until};

/// A name for a lab that nobody else has; whatever bears it goes with the test.
pub struct Lab(pub String);

impl Lab {
    pub fn named() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(format!("t{}x{number}", std::process::id()))
    }

    pub fn up(nodes: &str) -> Self {
        let lab = Self::named();
        lab.run(&["up", "--nodes", nodes, "--from", built()]);
        lab
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut all = vec!["--name", &self.0];
        all.extend(arguments);
        script("lab", &all)
    }

    pub fn run(&self, arguments: &[&str]) -> String {
        ends_with(0, &mut self.command(arguments))
    }

    pub fn namespaces(&self) -> Vec<String> {
        let prefix = format!("vxlab-{}-", self.0);
        let Ok(entries) = std::fs::read_dir("/run/netns") else {
            return Vec::new();
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(&prefix)).collect();
        names.sort();
        names
    }

    pub fn folder(&self) -> PathBuf {
        Path::new("/run/vxlan-lab").join(&self.0)
    }

    /// Processes that were started with a file of this lab, and with another word.
    pub fn processes(&self, word: &str) -> Vec<String> {
        let folder = format!("{}/", self.folder().display());
        let entries = std::fs::read_dir("/proc").unwrap();
        // A process may be gone by now.
        let started = |entry: std::fs::DirEntry| {
            let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
            let ours = line.contains(&folder) && line.contains(word);
            ours.then(|| format!("{}: {}", entry.path().display(), line.replace('\0', " ")))
        };
        entries.filter_map(|entry| started(entry.ok()?)).collect()
    }

    pub fn assert_gone(&self) {
        assert_eq!(self.namespaces(), [""; 0]);
        assert!(!self.folder().exists(), "{:?} is there", self.folder());
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.command(&["down"]).output();
    }
}

#[test]
fn a_lab_that_is_up_comes_up_again_grows_and_goes_down_twice() {
    let lab = Lab::up("1");
    lab.run(&["add", "1", "web"]);
    lab.run(&["up", "--nodes", "2", "--from", built()]);
    lab.run(&["check", "1", "web"]);
    let status = lab.run(&["status"]);
    assert!(
        status.contains("node 2") && status.contains("web on blue: 10.1."),
        "{status}"
    );
    let refused = ends_with(
        1,
        &mut lab.command(&["up", "--nodes", "1", "--from", built()]),
    );
    assert!(refused.contains("has 2 nodes already"), "{refused}");
    lab.run(&["down"]);
    lab.assert_gone();
    lab.run(&["down"]);
    assert!(lab.run(&["status"]).contains("is not up"));
}

#[test]
fn the_operators_verbs_work_on_a_node_of_a_lab_as_on_any_other() {
    let lab = Lab::up("1");
    lab.run(&["add", "1", "web"]);
    let status = lab.run(&["vxlan", "1", "status"]);
    assert!(status.contains("network blue, VNI 100\n"), "{status}");
    assert!(status.contains("lab/web "), "{status}");
    lab.run(&["exec", "1", "ip", "link", "set", "mv_blue", "down"]);
    let found = ends_with(1, &mut lab.command(&["vxlan", "1", "doctor"]));
    assert!(found.contains("mv_blue is up: found down"), "{found}");
    let mended = lab.run(&["vxlan", "1", "repair"]);
    assert!(mended.contains("ip link set dev mv_blue up"), "{mended}");
    let document = lab.run(&["vxlan", "1", "doctor", "--json"]);
    assert!(document.starts_with("{\"ok\":true,"), "{document}");
}

#[test]
fn a_lab_that_came_up_half_way_is_completed_or_removed() {
    let lab = Lab::named();
    for _ in 0..2 {
        // Ends in the middle of the first node.
        let half = ends_with(1, &mut lab.command(&["up", "--from", "/nonexistent"]));
        assert!(half.contains("build it first"), "{half}");
        assert_eq!(lab.namespaces().len(), 2, "{half}");
        lab.run(&["down"]);
        lab.assert_gone();
    }
    ends_with(1, &mut lab.command(&["up", "--from", "/nonexistent"]));
    // What `ip netns add` leaves when it is killed: a file with no namespace behind it.
    let torn = format!("/run/netns/vxlab-{}-n2", lab.0);
    std::fs::write(torn, "").unwrap();
    lab.run(&["up", "--nodes", "2", "--from", built()]);
    lab.run(&["exec", "2", "ping", "-c", "1", "-W", "5", "198.18.0.11"]);
}

#[test]
fn a_lab_goes_down_with_the_processes_in_it() {
    let lab = Lab::up("1");
    let mut sleeper = lab
        .command(&["exec", "1", "sleep", "3600"])
        .spawn()
        .unwrap();
    let inside = || {
        lab.run(&[
            "exec",
            "1",
            "sh",
            "-c",
            "ip netns pids $(ip netns identify)",
        ])
    };
    until("the process is in the lab", || {
        inside().lines().any(|pid| pid == sleeper.id().to_string())
    });
    lab.run(&["down"]);
    assert_eq!(
        end_of("the process's end", &mut sleeper),
        None,
        "not ended by a signal"
    );
    lab.assert_gone();
}

#[test]
fn who_ends_a_command_in_a_pod_ends_the_command_itself() {
    let lab = Lab::up("1");
    lab.run(&["add", "1", "web"]);
    let mut sleeper = lab
        .command(&["pod", "1", "web", "sleep", "3600"])
        .spawn()
        .unwrap();
    let comm = format!("/proc/{}/comm", sleeper.id());
    until("it is the command", || {
        std::fs::read_to_string(&comm).is_ok_and(|name| name.trim() == "sleep")
    });
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
}

#[test]
fn with_frr_the_kernel_tells_of_each_ipv6_claim_that_was_heard() {
    let lab = Lab::named();
    lab.run(&["up", "--nodes", "2", "--bgp", "frr", "--from", built()]);
    let pods = ["one", "two", "three"];
    for pod in pods {
        lab.run(&["add", "2", pod, "--network", "blue"]);
    }
    let heard = || {
        let routes = lab.run(&["exec", "1", "ip", "-6", "route", "show", "proto", "bgp"]);
        let first = routes.lines().filter_map(|line| line.split(' ').next());
        first.map(str::to_owned).collect::<Vec<_>>()
    };
    until("all claims are heard", || heard().len() == pods.len());
    for address in heard() {
        let get = [
            "exec", "1", "ip", "-6", "route", "get", "fibmatch", &address,
        ];
        let found = lab.run(&get);
        assert!(found.starts_with(&format!("{address} ")), "{found}");
    }
}

#[test]
fn labs_stand_side_by_side() {
    let (one, two) = (Lab::up("1"), Lab::up("1"));
    let list = one.run(&["list"]);
    assert!(
        [&one, &two]
            .iter()
            .all(|lab| list.lines().any(|name| name == lab.0)),
        "{list}"
    );
    one.run(&["down"]);
    one.assert_gone();
    two.run(&["add", "1", "web", "--network", "green"]);
}

#[test]
fn a_lab_leaves_the_hosts_own_network_alone() {
    let lab = Lab::named();
    let look = "ip -j link; ip -j rule; ip -j -6 rule; ip -j route show table all; sysctl -a 2>/dev/null | grep ^net";
    // A namespace plays the host: on the real one others are at work.
    let line = format!(
        r#"before=$({look}); "$0" up --nodes 2 --from "$1"; "$0" -q add 1 web; [ "$before" = "$({look})" ]
           "$0" down; [ "$before" = "$({look})" ]"#
    );
    let mut host = Command::new("unshare");
    host.args(["--net", "bash", "-ec", &line])
        .arg(clone("scripts/lab"))
        .arg(built());
    ends_with(0, host.env("VXLAN_LAB", &lab.0));
}

#[test]
fn a_printed_call_of_the_plugin_can_be_pasted() {
    let lab = Lab::up("1");
    lab.run(&["-q", "add", "1", "web", "--address", "10.1.7.7"]);
    let printed = lab.run(&["check", "1", "web"]);
    let line = printed.strip_prefix("+ ").unwrap();
    ends_with(0, Command::new("sh").args(["-ec", line]));
    lab.run(&[
        "pod", "1", "web", "ip", "link", "set", "dev", "eth0", "down",
    ]);
    let told = ends_with(1, Command::new("sh").args(["-ec", line]));
    assert!(told.contains("eth0 is up"), "{told}");
}

#[test]
fn an_add_that_is_refused_leaves_no_pod() {
    let lab = Lab::up("1");
    let before = lab.namespaces();
    let refused = ends_with(
        1,
        &mut lab.command(&["-q", "add", "1", "web", "--network", "red"]),
    );
    assert!(refused.contains("`red`"), "{refused}");
    assert_eq!(lab.namespaces(), before);
    lab.run(&["-q", "add", "1", "web"]);
    let twice = ends_with(1, &mut lab.command(&["-q", "add", "1", "web"]));
    assert!(twice.contains("there is a pod web"), "{twice}");
    lab.run(&["check", "1", "web"]);
}

#[test]
fn the_demo_leaves_nothing_when_it_is_interrupted() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let lab = Lab::named();
        // What is ignored when a shell starts, as under nohup, it cannot listen to.
        let mut demo = Command::new("env");
        let mut demo = demo
            .arg("--default-signal=INT,TERM,HUP")
            .arg(clone("scripts/demo"))
            .args(["--name", &lab.0, "--from", built()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("the first pods are there", || lab.namespaces().len() > 6);
        ends_with(
            0,
            Command::new("kill").args(["-s", signal, &demo.id().to_string()]),
        );
        assert_eq!(end_of("the demo's end", &mut demo), Some(code));
        lab.assert_gone();
    }
}

#[test]
fn a_pod_that_was_made_half_way_can_be_removed_and_made_again() {
    let lab = Lab::up("1");
    let state = lab.folder().join("n1/run/pods/web");
    // Interrupted before the configuration was whole, and between that and the plugin's answer.
    std::fs::create_dir_all(&state).unwrap();
    std::fs::write(state.join("config.part"), "{").unwrap();
    lab.run(&["-q", "del", "1", "web"]);
    lab.run(&["-q", "add", "1", "web"]);
    std::fs::remove_file(state.join("result.json")).unwrap();
    lab.run(&["-q", "del", "1", "web"]);
    assert!(!state.exists());
    lab.run(&["-q", "add", "1", "web"]);
}
