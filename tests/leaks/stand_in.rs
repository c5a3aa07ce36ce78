//! Stand-ins for every program that the plugin starts.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::fault::Fault;
use crate::support::lab::{Ask, Lab};
use crate::support::plugin::Program;

/// The programs that are stood in for, besides the IPAM, and the packages they come from.
const PROGRAMS: [(&str, &str); 5] = [
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("bridge", "iproute2"),
    ("sysctl", "procps"),
    ("nft", "nftables"),
];

/// Debian's.
const HOST_LOCAL: &str = "/usr/lib/cni/host-local";

/// Stand-ins in a folder of a lab.
pub struct StandIns {
    dir: PathBuf,
}

/// The call at which a fault was.
#[derive(Debug)]
pub struct Fired {
    program: String,
    /// With its arguments.
    pub line: String,
    stdin: String,
}

impl StandIns {
    /// Puts them into a folder; until they are armed they are the real programs.
    pub fn new(lab: &Lab) -> Self {
        let dir = lab.dir().join("stand-ins");
        fs::create_dir_all(dir.join("real")).unwrap();
        let installed = PROGRAMS.map(|(name, package)| (name, installed(name, package)));
        let plugins = [
            ("route-table", Program::RouteTable.path().into()),
            ("host-local", newer_host_local(lab).join("host-local")),
            ("dhcp", newer_host_local(lab).join("dhcp")),
        ];
        for (name, file) in installed.into_iter().chain(plugins) {
            lab.script("stand-ins", name, include_str!("stand-in.sh"));
            symlink(file, dir.join("real").join(name)).unwrap();
        }
        let stand_ins = Self { dir };
        stand_ins.arm(0, Fault::Refuse);
        stand_ins
    }

    /// Lets a fault be at the `at`-th call, or line, from now on.
    pub fn arm(&self, at: u32, fault: Fault) {
        let calls = self.dir.join("calls");
        let _ = fs::remove_dir_all(&calls);
        fs::create_dir(calls).unwrap();
        for file in ["fired", "hung"] {
            let _ = fs::remove_file(self.dir.join(file));
        }
        fs::write(self.dir.join("armed"), format!("{at} {}\n", fault.word())).unwrap();
    }

    /// A question to a plugin that finds these programs before the real ones.
    pub fn around(&self, ask: &Ask) -> Ask {
        ask.clone().path_first(&self.dir).plugins_first(&self.dir)
    }

    /// Where the fault was; none while there was none.
    pub fn fired(&self) -> Option<Fired> {
        let text = fs::read_to_string(self.dir.join("fired")).ok()?;
        let line = text.trim_end();
        Some(Fired {
            program: line.split(' ').next().unwrap().to_owned(),
            line: line.to_owned(),
            stdin: fs::read_to_string(self.dir.join("stdin")).unwrap(),
        })
    }

    /// The process that waits to be ended.
    pub fn hung(&self) -> Option<u32> {
        let text = fs::read_to_string(self.dir.join("hung")).ok()?;
        text.trim_end().parse().ok()
    }
}

impl Fired {
    /// Whether it is an `nft` that changes something, on the node or in a pod.
    fn is_transaction(&self) -> bool {
        let mut words = self.line.split(' ').skip_while(|word| *word != "nft");
        words.next().is_some() && words.next() != Some("-j")
    }

    /// Whether a text names the command: the plugin, the process, or a line of the batch.
    pub fn is_named_in(&self, text: &str) -> bool {
        match self.program.as_str() {
            plugin @ ("route-table" | "host-local" | "dhcp") => {
                text.contains(&format!("`{plugin}`"))
            }
            // A transaction is one word of the line to paste, which is long: its start names it.
            _ if self.is_transaction() => {
                let (_, word) = self.line.split_once("nft ").unwrap();
                let script = if word == "-f -" { &self.stdin } else { word };
                let start: String = script.chars().take(60).collect();
                text.contains(&format!("nft '{start}"))
            }
            _ => {
                let mut lines = self.stdin.lines().filter(|line| !line.is_empty());
                // The way into the namespace is shown by its short form.
                let entered = self.line.strip_prefix("nsenter --net=");
                let line = entered.and_then(|line| Some(line.split_once(' ')?.1));
                let line = line.unwrap_or(&self.line);
                text.contains(line) || lines.any(|line| text.contains(line))
            }
        }
    }
}

/// Where a program is installed.
fn installed(name: &str, package: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap();
    let mut files = path
        .split(':')
        .chain(["/usr/sbin", "/sbin"])
        .map(|dir| Path::new(dir).join(name));
    let found = files.find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed: apt-get install {package}"))
}

/// A folder with a host-local for GC and STATUS: Debian's does not speak 1.1.0, which they came with, and is
/// asked in 1.0.0.
pub fn newer_host_local(lab: &Lab) -> PathBuf {
    require(Path::new(HOST_LOCAL), "containernetworking-plugins");
    let older = r#"s/"cniVersion":"1.1.0"/"cniVersion":"1.0.0"/"#;
    let body = format!("sed '{older}' | {HOST_LOCAL}");
    // `dhcp` needs the link with its MAC, and brings it up.
    let up = "test $CNI_COMMAND != ADD || /usr/bin/nsenter --net=$CNI_NETNS /sbin/ip link set $CNI_IFNAME up || exit";
    lab.script("newer", "dhcp", &format!("{up}\n{body}"));
    lab.script("newer", "host-local", &body)
}

/// A file of a package must be there.
fn require(file: &Path, package: &str) {
    let shown = file.display();
    assert!(
        file.is_file(),
        "{shown} is not installed: apt-get install {package}"
    );
}
