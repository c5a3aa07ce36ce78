//! Stand-ins: a node on which nothing is, and an IPAM that says what it is told to say.
//!
//! Each writes down how it was called, so a test sees what the program under test did.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::support::plugin::{Call, Program, Said};
use crate::support::program;

/// Both programs.
pub const PROGRAMS: [Program; 2] = [Program::Vxlan, Program::RouteTable];

/// The verbs of CNI that a configuration goes with.
pub const VERBS: [&str; 5] = ["ADD", "CHECK", "DEL", "GC", "STATUS"];

/// A namespace path that leads nowhere.
pub const NO_NETNS: &str = "/run/netns/no-such-namespace-of-the-tests";

/// What stands in for `ip`, `bridge`, `sysctl` and `nft`: a node with an underlay device that is up, and nothing
/// else. A script `say` beside it answers in its place.
const TOOL: &str = r#"#!/bin/sh
echo "${0##*/} $*" >> "$DIR/tool.calls"
if [ -e "$DIR/say" ]; then . "$DIR/say"; exit; fi
case "${0##*/} $*" in
  *-batch*) ;;
  *'sysctl -n '*)
    for key; do
      case $key in net.*) echo "sysctl: cannot stat /proc/sys/$(echo "$key" | tr . /): No such file or directory" >&2 ;; esac
    done
    exit 1
    ;;
  'nft '*' list '*)
    echo 'Error: No such file or directory' >&2
    exit 1
    ;;
  *) exit 0 ;;
esac
number=0 code=0
while read -r line; do
  number=$((number + 1))
  echo "$line" >> "$DIR/tool.lines"
  case $line in
    'link show dev eth0') cat "$DIR/eth0" ;;
    'addr show dev eth0')
      case "${0##*/} $*" in
        nsenter* | *' -n '*) echo 'Device "eth0" does not exist.' >&2; false ;;
        *) cat "$DIR/eth0" ;;
      esac
      ;;
    'route get 239.1.1.1 oif eth0') echo '[{"dst":"239.1.1.1","dev":"eth0","prefsrc":"198.18.0.1"}]' ;;
    'link show type vxlan') cat "$DIR/vxlans" ;;
    'rule show'* | 'maddr show'* | 'neigh show'*) echo '[]' ;;
    'route get'*) echo 'RTNETLINK answers: Network is unreachable' >&2; false ;;
    *' show '*) echo 'Device "it" does not exist.' >&2; false ;;
    *) echo 'Cannot find device "it"' >&2; false ;;
  esac && continue
  echo "Command failed -:$number" >&2
  code=1
  case "$*" in *-force*) ;; *) exit 1 ;; esac
done
exit $code
"#;

/// What stands in for an IPAM: keeps environment and stdin, then does what `answers/VERB` says.
const IPAM: &str = r#"#!/bin/sh
echo "${0##*/} $CNI_COMMAND $CNI_CONTAINERID" >> "$DIR/ipam.calls"
tr '\0' '\n' < /proc/$$/environ > "$DIR/$CNI_COMMAND.env"
cat > "$DIR/$CNI_COMMAND.stdin"
if [ -e "$DIR/answers/$CNI_COMMAND" ]; then . "$DIR/answers/$CNI_COMMAND"; fi
"#;

/// A folder with the stand-ins; it goes with its value.
pub struct World {
    dir: PathBuf,
}

impl World {
    /// A node on which nothing is.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("vxlan-cni-protocol-{}-{count}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&dir);
        for folder in ["bin", "cni", "answers"] {
            fs::create_dir_all(dir.join(folder)).unwrap();
        }
        let world = Self { dir };
        for tool in ["ip", "bridge", "sysctl", "nsenter", "nft"] {
            world.program(&format!("bin/{tool}"), TOOL);
        }
        world.program("cni/stand-in", IPAM);
        world.underlay(|_| {});
        world.vxlans(&json!([]));
        world
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.path(name);
        let text = script.replace("$DIR", self.dir.to_str().unwrap());
        program::put(text.as_bytes(), &path);
    }

    /// Puts another copy of the IPAM somewhere.
    pub fn ipam_at(&self, name: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        self.program(name, IPAM);
    }

    /// What the IPAM does at a verb, in shell.
    pub fn answer(&self, verb: &str, script: &str) -> &Self {
        fs::write(self.path("answers").join(verb), script).unwrap();
        self
    }

    /// What `ip`, `bridge` and `sysctl` do, in shell.
    pub fn say(&self, script: &str) -> &Self {
        fs::write(self.path("say"), script).unwrap();
        self
    }

    /// Changes the underlay device: what the real `ip` printed of one, see tests/golden.
    pub fn underlay(&self, change: impl FnOnce(&mut Value)) {
        let golden = include_str!("../golden/records/bookworm/link-underlay");
        let mut shown: Value = serde_json::from_str(golden.split_once('\n').unwrap().1).unwrap();
        change(&mut shown[0]);
        fs::write(self.path("eth0"), shown.to_string()).unwrap();
    }

    /// The vxlan devices of the node.
    pub fn vxlans(&self, list: &Value) {
        fs::write(self.path("vxlans"), list.to_string()).unwrap();
    }

    /// A configuration that has nothing wrong with it, for either program.
    pub fn config(&self) -> Value {
        json!({
            "cniVersion": "1.1.0", "name": "demo", "type": "vxlan",
            "dataDir": self.path("data"), "runDir": self.path("run"), "logFile": self.path("vxlan.log"),
            "defaultNetwork": "blue",
            "ipam": {
                "type": "stand-in", "dataDir": self.path("owners"), "logFile": self.path("ipam.log"),
                "ranges": [[{"subnet": "10.1.0.0/16"}]],
            },
            "vxlans": [{
                "id": 100, "name": "blue", "cidr": "10.1.0.1/16", "options": {"vtepdev": "eth0", "group": "239.1.1.1"},
            }],
        })
    }

    /// The same with changes.
    pub fn config_with(&self, change: impl FnOnce(&mut Value)) -> Value {
        let mut config = self.config();
        change(&mut config);
        config
    }

    /// A program among the stand-ins.
    pub fn program_call(&self, program: Program) -> Call {
        let bin = self.path("bin");
        Call::of(program)
            .env("PATH", &format!("{}:/usr/bin:/bin", bin.display()))
            .env("CNI_PATH", self.path("cni").to_str().unwrap())
    }

    /// A verb with a configuration, for a container without a namespace.
    pub fn call(&self, program: Program, verb: &str, config: &Value) -> Call {
        self.program_call(program)
            .env("CNI_COMMAND", verb)
            .attachment("c1", NO_NETNS, "eth0")
            .stdin(config.to_string())
    }

    /// What was started: the IPAM's name, the verb, the container.
    pub fn ipam_calls(&self) -> Vec<String> {
        lines(&self.path("ipam.calls"))
    }

    /// What was started: program and arguments.
    pub fn tool_calls(&self) -> Vec<String> {
        lines(&self.path("tool.calls"))
    }

    /// The lines of all batches.
    pub fn tool_lines(&self) -> Vec<String> {
        lines(&self.path("tool.lines"))
    }

    /// The configuration that the IPAM got.
    pub fn ipam_stdin(&self, verb: &str) -> Value {
        let text = fs::read_to_string(self.path(&format!("{verb}.stdin"))).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The environment that the IPAM got.
    pub fn ipam_env(&self, verb: &str) -> BTreeMap<String, String> {
        let pair = |line: String| {
            let (key, value) = line.split_once('=').unwrap();
            (key.to_owned(), value.to_owned())
        };
        lines(&self.path(&format!("{verb}.env")))
            .into_iter()
            .map(pair)
            .collect()
    }

    /// Writes the record of an attachment as ADD leaves it.
    pub fn record(&self, container: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let config = self.config();
        let mut record = json!({
            "format": 1, "name": "demo", "container": container, "ifname": "eth0", "netns": NO_NETNS,
            "inode": 1, "pod": null, "network": "blue", "because": "defaultNetwork", "boot": boot.trim(),
            "since": "2031-05-02T10:00:00.123Z", "definition": config["vxlans"][0], "table": 192,
            "pref": 19200, "ipam": config["ipam"], "mac": null,
            "lease": {"ips": [{"address": "10.1.0.23/16", "gateway": "10.1.0.1"}]},
        });
        change(&mut record);
        let network = record["network"].as_str().unwrap();
        let folder = self.path("data").join(network);
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{container}:eth0.json"));
        fs::write(&file, record.to_string()).unwrap();
        file
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Fails unless the environment was taken: what is wrong next is that the container is gone.
pub fn got_past(said: &Said, what: &str) {
    let error = said.error(3);
    assert!(error.contains("is no network namespace"), "{what}: {error}");
}

/// The lines of a file; none where it is not there.
fn lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
