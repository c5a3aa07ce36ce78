//! A cluster of two nodes and a machine beside them, with pods on two networks, and programs that answer in all of them.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::lab::until;

/// The interpreter: Debian's, whatever is before it in PATH.
const PYTHON: &str = "/usr/bin/python3";

/// Answers on TCP and UDP, IPv4 and IPv6, with its name and the address of who asks.
const SERVER: &str = r"
import socket, sys, threading
name, port = sys.argv[1], int(sys.argv[2])
def answer(who):
    address = who[0].removeprefix('::ffff:')
    return f'{name} {address}'.encode()
def on(kind):
    s = socket.socket(socket.AF_INET6, kind)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_IP, 8, 1)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    s.bind(('::', port))
    return s
def serve(c, who):
    # Read first: closed with something unread it is reset, and a reset can pass the answer by on the way.
    with c:
        c.recv(99)
        c.sendall(answer(who))
def tcp(s):
    s.listen(64)
    while True:
        threading.Thread(target=serve, args=s.accept(), daemon=True).start()
def source(level, kind, data):
    # Not by the device that the question came in by: the routing table has that.
    data = bytes(4) + data[4:] if kind == 8 else data[:16] + bytes(4)
    return level, kind, data
def udp(s):
    # From the address that was asked, as a server does that binds to each.
    while True:
        data, control, flags, who = s.recvmsg(99, 256)
        try:
            s.sendmsg([answer(who)], [source(*one) for one in control if one[1] in (8, 50)], 0, who)
        except OSError:
            # There is no way back to who asked.
            pass
sockets = on(socket.SOCK_STREAM), on(socket.SOCK_DGRAM)
threading.Thread(target=tcp, args=(sockets[0],), daemon=True).start()
print('ready', flush=True)
udp(sockets[1])
";

/// Asks everything that stands on stdin at once, `LABEL PROTOCOL ADDRESS PORT` a line, and prints `LABEL: ANSWER`.
const CLIENT: &str = r"
import socket, sys, threading
def ask(label, protocol, address, port):
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM if protocol == 'tcp' else socket.SOCK_DGRAM)
    answer = ''
    for _ in range(1 if protocol == 'tcp' else 3):
        s.settimeout(4 if protocol == 'tcp' else 1.3)
        try:
            # A connected socket takes no answer of another address.
            s.connect((address, int(port)))
            s.send(b'?')
            answer = s.recv(99).decode()
            break
        except OSError:
            pass
    print(f'{label}: {answer}\n', end='', flush=True)
threads = [threading.Thread(target=ask, args=line.split()) for line in sys.stdin]
for thread in threads: thread.start()
for thread in threads: thread.join()
";

/// The port of every server.
pub const PORT: u16 = 8080;

/// Where a program can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The machine beside the nodes, which is on no network.
    Outside,
    /// A node.
    Node(u8),
    /// A pod.
    Pod(&'static PodOf),
}

/// A pod: name, node, network.
#[derive(Debug, PartialEq, Eq)]
pub struct PodOf {
    /// Its name.
    pub name: &'static str,
    /// Its node.
    pub node: u8,
    /// Its network.
    pub network: &'static str,
}

const fn pod(name: &'static str, node: u8, network: &'static str) -> PodOf {
    PodOf {
        name,
        node,
        network,
    }
}

/// The pods: the client, and the endpoints as seen from it.
pub static PODS: [PodOf; 5] = [
    pod("itself", 1, "blue"),
    pod("near", 1, "blue"),
    pod("far", 2, "blue"),
    pod("next", 1, "green"),
    pod("remote", 2, "green"),
];

/// A process of a node that is a Service's endpoint too, as the API server: the far node's.
pub const OWN: (&str, u8) = ("node2", 2);

/// What is asked of a target, and what it is called.
#[derive(Debug, Clone)]
pub struct Question {
    /// What it is called.
    pub label: String,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// Where.
    pub address: String,
    /// Which port.
    pub port: u16,
}

/// The cluster; it goes with the scene.
pub struct Scene {
    name: String,
    servers: Vec<Child>,
    addresses: Vec<[String; 2]>,
    /// Whether `serviceMasquerade` is left as it is.
    pub masquerades_services: bool,
    /// The nodes with a gateway address of their own: with an anycast one the first alone, which is every node's.
    pub gateways: &'static [u8],
}

impl Scene {
    /// Comes up, with a routing daemon or without, and these keys in every network.
    pub fn new(bgp: Option<&str>, keys: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut scene = Self {
            name: format!("s{}x{number}", std::process::id()),
            servers: Vec::new(),
            addresses: Vec::new(),
            masquerades_services: !keys.contains("serviceMasquerade"),
            gateways: if keys.contains("anycast") {
                &[1]
            } else {
                &[1, 2]
            },
        };
        let built = Path::new(env!("CARGO_BIN_EXE_vxlan")).parent().unwrap();
        let mut up = vec!["up", "--nodes", "2", "--from", built.to_str().unwrap()];
        up.extend(bgp.into_iter().flat_map(|daemon| ["--bgp", daemon]));
        scene.lab(&up);
        for node in [1, 2] {
            let file = scene.folder(node).join("etc/cni/net.d/10-vxlan.conflist");
            // With a gateway that all have, the first one's.
            let gateway =
                r#"if .gateway == "anycast" then .cidr |= map(sub("2/"; "1/")) else . end"#;
            let filter =
                format!(".plugins[0].vxlans[] += {keys} | .plugins[0].vxlans[] |= ({gateway})");
            let changed = succeeded(Command::new("jq").arg(filter).arg(&file));
            std::fs::write(file, changed).unwrap();
        }
        for node in [1, 2] {
            // As systemd sets it (50-default.conf), and a way out as every node has it.
            let script = "sysctl -qw net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.eth0.rp_filter=2
                ip route replace default via 198.18.0.1 dev eth0
                ip -6 route replace default via fd19:8:18::1 dev eth0";
            scene.run(Place::Node(node), &["sh", "-ec", script], "");
        }
        for pod in &PODS {
            let node = pod.node.to_string();
            scene.lab(&["-q", "add", &node, pod.name, "--network", pod.network]);
            let shown = scene.lab(&["addr", &node, pod.name]);
            let mut lines = shown.lines().map(str::to_owned);
            scene
                .addresses
                .push([lines.next().unwrap(), lines.next().unwrap()]);
        }
        let places = PODS.iter().map(Place::Pod);
        let nodes = [Place::Node(1), Place::Node(2), Place::Outside];
        for place in places.chain(nodes) {
            scene.serve(place);
        }
        if bgp.is_some() {
            scene.wait_for_routes();
        }
        scene
    }

    fn lab(&self, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lab");
        let mut command = Command::new(script);
        succeeded(command.args(["--name", &self.name]).args(arguments))
    }

    fn folder(&self, node: u8) -> PathBuf {
        Path::new("/run/vxlan-lab")
            .join(&self.name)
            .join(format!("n{node}"))
    }

    /// A program at a place.
    pub fn command(&self, place: Place, argv: &[&str]) -> Command {
        let ns = match place {
            Place::Outside => format!("vxlab-{}-switch", self.name),
            Place::Node(node) => format!("vxlab-{}-n{node}", self.name),
            Place::Pod(pod) => format!("vxlab-{}-n{}-{}", self.name, pod.node, pod.name),
        };
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{ns}")).args(argv);
        command
    }

    /// Runs one that must succeed, with a text to read.
    pub fn run(&self, place: Place, argv: &[&str], stdin: &str) -> String {
        let mut command = self.command(place, argv);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(stdin.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{place:?} {argv:?}: {stdin}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn serve(&mut self, place: Place) {
        let name = match place {
            Place::Outside => "outside".to_owned(),
            Place::Node(node) => format!("node{node}"),
            Place::Pod(pod) => pod.name.to_owned(),
        };
        let mut command = self.command(place, &[PYTHON, "-c", SERVER, &name, &PORT.to_string()]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        self.servers.push(child);
    }

    /// Until each node has heard of the other's pods.
    fn wait_for_routes(&self) {
        for (pod, addresses) in std::iter::zip(&PODS, &self.addresses) {
            for address in addresses {
                let other = Place::Node(3 - pod.node);
                let wanted = format!("{address} ");
                // Not `get fibmatch`: of several IPv6 routes by one nexthop of FRR's it tells the first (Linux 6.18).
                let family = if address.contains(':') { "-6" } else { "-4" };
                let question = ["ip", family, "route", "show", "exact", address];
                until("each node has heard of the other's pods", || {
                    self.run(other, &question, "").starts_with(&wanted)
                });
            }
        }
    }

    /// The addresses of a place, IPv4 and IPv6; of a node those on the underlay.
    pub fn addresses(&self, place: Place) -> [String; 2] {
        let last = |number: u8| [format!("198.18.0.{number}"), format!("fd19:8:18::{number}")];
        match place {
            Place::Outside => last(1),
            Place::Node(node) => last(10 + node),
            Place::Pod(pod) => {
                let index = PODS.iter().position(|one| one == pod).unwrap();
                self.addresses[index].clone()
            }
        }
    }

    /// Asks from a place; tells each answer by its question, empty where none came.
    pub fn ask(&self, from: Place, questions: &[Question]) -> Vec<(String, String)> {
        let lines: String = questions
            .iter()
            .map(|one| {
                format!(
                    "{} {} {} {}\n",
                    one.label, one.protocol, one.address, one.port
                )
            })
            .collect();
        let said = self.run(from, &[PYTHON, "-c", CLIENT], &lines);
        let mut answers: Vec<(String, String)> = said
            .lines()
            .map(|line| line.split_once(": ").unwrap())
            .map(|(label, answer)| (label.to_owned(), answer.to_owned()))
            .collect();
        answers.sort();
        assert_eq!(answers.len(), questions.len());
        answers
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lab");
        let _ = Command::new(script)
            .args(["--name", &self.name, "down"])
            .output();
    }
}

fn succeeded(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {text}");
    String::from_utf8(output.stdout).unwrap()
}
