//! The reference `dhcp` as IPAM, with its daemon and a server in a pod: it leases by the pod's own link.

use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::prerequisites::require;
use crate::support::lab::{Ask, Config, Lab, Net, Node, Pod, address, mac, nft, until};
use crate::support::plugin::{Said, signal};

/// The reference plugins.
const DHCP: &str = "/usr/lib/cni/dhcp";

/// A node with the daemon, and a server on the network.
struct Scene {
    lab: Lab,
    net: Net,
    server: Pod,
    running: Vec<Child>,
}

impl Scene {
    /// Leases last so many seconds.
    fn new(lasting: u32) -> Self {
        require();
        let lab = Lab::new(1);
        let net = Net::new("blue", 100);
        let (server, running) = {
            let node = lab.node(0);
            let server = node.pod("server");
            node.ask(&node.config(&[&net]), &server).add();
            (server, Vec::new())
        };
        let mut scene = Self {
            lab,
            net,
            server,
            running,
        };
        std::fs::write(scene.leases(), "").unwrap();
        let conf = scene.lab.dir().join("udhcpd.conf");
        let text = format!(
            "start 10.100.2.0\nend 10.100.2.250\nmax_leases 251\ninterface eth0\nlease_file {}\nmin_lease 1\n\
             option subnet 255.255.0.0\noption router 10.100.0.1\noption lease {lasting}\n",
            scene.leases().display()
        );
        std::fs::write(&conf, text).unwrap();
        let log = std::fs::File::create(scene.log()).unwrap();
        let argv = ["busybox", "udhcpd", "-f", "-a", "1", conf.to_str().unwrap()];
        let mut server = scene.server.command(&argv);
        scene
            .running
            .push(server.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let socket = scene.socket();
        let argv = [DHCP, "daemon", "-socketpath", socket.to_str().unwrap()];
        let log = std::fs::File::create(scene.lab.dir().join("daemon.log")).unwrap();
        let mut daemon = scene.node().command(&argv);
        scene
            .running
            .push(daemon.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        until("the daemon listens", || scene.socket().exists());
        scene
    }

    fn node(&self) -> &Node {
        self.lab.node(0)
    }

    fn socket(&self) -> PathBuf {
        self.lab.dir().join("dhcp.sock")
    }

    fn leases(&self) -> PathBuf {
        self.lab.dir().join("leases")
    }

    fn log(&self) -> PathBuf {
        self.lab.dir().join("udhcpd.log")
    }

    fn config(&self) -> Config {
        let ipam = json!({"type": "dhcp", "daemonSocketPath": self.socket()});
        self.node().config(&[&self.net]).ipam(ipam)
    }

    fn ask(&self, pod: &Pod) -> Ask {
        self.node().ask(&self.config(), pod)
    }

    /// What the server has leased, by MAC: the address, and whether it has been released.
    fn leased(&self) -> Vec<(String, String, bool)> {
        std::fs::write(self.leases(), "").unwrap();
        signal(&self.running[0], "USR1");
        until("the server has written its leases down", || {
            std::fs::metadata(self.leases()).unwrap().len() > 0
        });
        let file = self.leases();
        let shown = self
            .node()
            .run(&["busybox", "dumpleases", "-f", file.to_str().unwrap()]);
        let line = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let at = words.iter().position(|word| word.starts_with("10."))?;
            Some((
                words[0].to_owned(),
                words[at].to_owned(),
                line.contains("expired"),
            ))
        };
        shown.lines().filter_map(line).collect()
    }

    /// When each lease ends, by the clock.
    fn ends(&self) -> String {
        self.leased();
        let file = self.leases();
        let argv = ["busybox", "dumpleases", "-a", "-f", file.to_str().unwrap()];
        self.node().run(&argv)
    }

    fn lease_of(&self, result: &Value) -> Option<bool> {
        let (mac, address) = (mac(result), address(result, 0));
        let all = self.leased().into_iter();
        let mut own = all.filter(|(of, what, _)| *of == mac && *what == address);
        own.next().map(|(.., released)| released)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_lease_of_dhcp_is_the_links_with_its_final_mac_and_is_released_before_the_link_goes() {
    let scene = Scene::new(600);
    for (name, args) in [("drawn", ""), ("asked", "MAC=02:00:00:00:00:aa")] {
        let pod = scene.node().pod(name);
        let ask = scene.ask(&pod).args(args);
        let result = ask.add();
        assert!(address(&result, 0).starts_with("10.100.2."), "{result}");
        assert_eq!(pod.device("eth0")["address"], mac(&result));
        if !args.is_empty() {
            assert_eq!(mac(&result), "02:00:00:00:00:aa");
        }
        assert_eq!(scene.lease_of(&result), Some(false), "{:?}", scene.leased());
        pod.ping("10.100.0.1");
        scene.server.ping(&address(&result, 0));
        ask.check(&result);
        ask.after(&result).del();
        assert_eq!(scene.lease_of(&result), Some(true), "{:?}", scene.leased());
        assert!(pod.device("eth0").is_null());
        ask.after(&result).del();
    }
}

#[test]
fn fifty_adds_and_dels_with_dhcp_are_fifty_leases_and_fifty_releases() {
    let scene = Scene::new(600);
    let pods: Vec<Pod> = (0..50)
        .map(|n| scene.node().pod(&format!("p{n}")))
        .collect();
    let mut results = Vec::new();
    for some in pods.chunks(10) {
        let started: Vec<Child> = some
            .iter()
            .map(|pod| scene.ask(pod).verb("ADD").start())
            .collect();
        results.extend(started.into_iter().map(|child| Said::by(child).ok()));
    }
    let leased = scene.leased();
    assert_eq!(leased.len(), 50, "{leased:?}");
    for result in &results {
        let own = (mac(result), address(result, 0), false);
        assert!(leased.contains(&own), "{own:?} in {leased:?}");
    }
    for (pods, results) in pods.chunks(10).zip(results.chunks(10)) {
        let started: Vec<Child> = pods
            .iter()
            .zip(results)
            .map(|(pod, result)| scene.ask(pod).after(result).verb("DEL").start())
            .collect();
        started.into_iter().for_each(|child| {
            Said::by(child).ok();
        });
    }
    let leased = scene.leased();
    assert!(leased.iter().all(|(.., released)| *released), "{leased:?}");
}

#[test]
fn a_lease_of_dhcp_is_renewed_through_the_link_also_where_a_pod_may_send_nothing_but_its_own() {
    let mut scene = Scene::new(4);
    if nft::kernel_has_it() {
        scene.net = scene.net.clone().with(json!({"antiSpoof": true}));
    }
    let pod = scene.node().pod("web");
    let ask = scene.ask(&pod);
    let result = ask.add();
    let first = scene.ends();
    until("the lease is renewed", || {
        let now = scene.ends();
        !now.contains("expired") && now != first
    });
    ask.check(&result);
    ask.after(&result).del();
    assert_eq!(scene.lease_of(&result), Some(true), "{:?}", scene.leased());
}

#[test]
fn an_add_that_fails_behind_dhcp_releases_by_the_link_before_that_goes() {
    let scene = Scene::new(600);
    let pod = scene.node().pod("web");
    let before = scene.node().snapshot();
    // Nowhere to put the default route.
    pod.sh(
        "ip link add ve0 type veth peer name ve1; ip link set ve0 up; ip route add default dev ve0",
    );
    scene.ask(&pod).add_refused(100);
    assert!(pod.device("eth0").is_null());
    let leased = scene.leased();
    assert!(leased.len() == 1 && leased[0].2, "{leased:?}");
    scene.node().snapshot().assert_same(&before);
}
