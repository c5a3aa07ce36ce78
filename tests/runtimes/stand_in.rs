//! A stand-in for an IPAM: a script that does what a test says and keeps what it was asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::lab::{Ask, Config, Node};
use crate::support::program;

/// Names and values, byte for byte.
pub type Environment = BTreeMap<Vec<u8>, Vec<u8>>;

/// A plugin of the type `stand-in` in a folder of its own.
pub struct StandIn {
    dir: PathBuf,
}

impl StandIn {
    /// One whose verbs do what lines of a shell say; verbs that are not named succeed with nothing.
    pub fn new(node: &Node, verbs: &[(&str, &str)]) -> Self {
        let new = Self {
            dir: node.dir().join("stand-in"),
        };
        std::fs::create_dir_all(&new.dir).unwrap();
        new.does(verbs);
        new
    }

    /// Does something else from now on, and forgets what it was asked.
    pub fn does(&self, verbs: &[(&str, &str)]) {
        let here = self.dir.display();
        let cases: String = verbs
            .iter()
            .map(|(verb, lines)| format!("{verb})\n{lines}\n;;\n"))
            .collect();
        let script = format!(
            "#!/bin/sh\ncat >{here}/$CNI_COMMAND.stdin\ncat /proc/$$/environ >{here}/$CNI_COMMAND.environ\n\
             echo $$ >{here}/pid\necho $CNI_COMMAND >>{here}/calls\ncase $CNI_COMMAND in\n{cases}esac\n"
        );
        let _ = std::fs::remove_file(self.dir.join("calls"));
        program::put(script.as_bytes(), &self.file());
    }

    /// The script.
    pub fn file(&self) -> PathBuf {
        self.dir.join("stand-in")
    }

    /// The folder for `CNI_PATH`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A configuration with it as the IPAM.
    pub fn in_place(config: &Config) -> Config {
        config.clone().ipam(json!({"type": "stand-in"}))
    }

    /// A question in which it is found.
    pub fn asked(&self, ask: Ask) -> Ask {
        ask.plugins_first(&self.dir)
    }

    /// The verbs it was asked since it does what it does, in order.
    pub fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.join("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The process of its last call.
    pub fn pid(&self) -> u32 {
        let text = std::fs::read_to_string(self.dir.join("pid")).unwrap();
        text.trim().parse().unwrap()
    }

    /// What it read at its last call with a verb.
    pub fn stdin(&self, verb: &str) -> Value {
        let bytes = std::fs::read(self.dir.join(format!("{verb}.stdin"))).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Its environment at its last call with a verb, as the kernel has it.
    pub fn environment(&self, verb: &str) -> Environment {
        environment(&std::fs::read(self.dir.join(format!("{verb}.environ"))).unwrap())
    }
}

/// The variables of a block as `/proc/PID/environ` has it.
pub fn environment(block: &[u8]) -> Environment {
    let entries = block.split(|byte| *byte == 0).filter(|one| !one.is_empty());
    let pair = |entry: &[u8]| {
        let at = entry.iter().position(|byte| *byte == b'=').unwrap();
        (entry[..at].to_vec(), entry[at + 1..].to_vec())
    };
    entries.map(pair).collect()
}

/// The lines that print a document.
pub fn says(document: &Value) -> String {
    prints(&document.to_string())
}

/// The lines that print a text.
pub fn prints(text: &str) -> String {
    format!("cat <<'END'\n{text}\nEND")
}

/// A lease of some addresses, in the words of 1.0.0.
pub fn lease(addresses: &[&str]) -> Value {
    let ips: Vec<Value> = addresses
        .iter()
        .map(|address| json!({ "address": address }))
        .collect();
    json!({"cniVersion": "1.0.0", "ips": ips})
}
