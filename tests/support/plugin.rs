//! A built program, asked as a container runtime asks it: environment, stdin, stdout, exit code.

use std::collections::BTreeMap;
use std::io::{Seek, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A program under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The CNI plugin.
    Vxlan,
    /// The IPAM plugin.
    RouteTable,
}

impl Program {
    /// Where cargo built it.
    pub fn path(self) -> &'static str {
        match self {
            Self::Vxlan => env!("CARGO_BIN_EXE_vxlan"),
            Self::RouteTable => env!("CARGO_BIN_EXE_route-table"),
        }
    }
}

/// One question, with nothing in its environment but what is put there (and PATH).
#[derive(Debug, Clone)]
pub struct Call {
    argv: Vec<String>,
    env: BTreeMap<String, String>,
    stdin: Vec<u8>,
}

/// What a program said.
#[derive(Debug, Clone)]
pub struct Said {
    /// Exit code; -1 where a signal ended it.
    pub code: i32,
    /// Everything on stdout.
    pub stdout: String,
    /// Everything on stderr.
    pub stderr: String,
}

impl Call {
    /// A program without a verb.
    pub fn of(program: Program) -> Self {
        Self::at(program.path())
    }

    /// Somebody else's program by its path.
    pub fn at(program: &str) -> Self {
        let path = std::env::var("PATH").unwrap_or_default();
        Self {
            argv: vec![program.to_owned()],
            env: BTreeMap::from([("PATH".to_owned(), path)]),
            stdin: Vec::new(),
        }
    }

    /// A CNI verb with a configuration.
    pub fn verb(program: Program, verb: &str, config: &Value) -> Self {
        Self::of(program)
            .env("CNI_COMMAND", verb)
            .stdin(config.to_string())
    }

    /// Sets a variable.
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.env.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Removes a variable.
    pub fn without(mut self, key: &str) -> Self {
        self.env.remove(key);
        self
    }

    /// Sets the variables of one attachment.
    pub fn attachment(self, container: &str, netns: &str, ifname: &str) -> Self {
        self.env("CNI_CONTAINERID", container)
            .env("CNI_NETNS", netns)
            .env("CNI_IFNAME", ifname)
    }

    /// The variables it is started with.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// Adds an argument.
    pub fn arg(mut self, word: &str) -> Self {
        self.argv.push(word.to_owned());
        self
    }

    /// Sets what it reads.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Runs another file in the place of the program: the last word.
    pub fn by_file(mut self, path: &Path) -> Self {
        self.argv.pop();
        self.arg(path.to_str().unwrap())
    }

    /// Runs it behind other words, as `ip netns exec NODE`.
    pub fn behind(mut self, words: &[&str]) -> Self {
        let before = words.iter().map(|&word| word.to_owned());
        self.argv = before.chain(self.argv).collect();
        self
    }

    /// Starts it.
    pub fn start(&self) -> Child {
        let mut command = self.command();
        command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {:?}: {error}", self.argv))
    }

    /// The process, not started, for what else it is to be given.
    pub fn command(&self) -> Command {
        // A file and not a pipe: nothing has to be written while the program runs or after it has gone.
        let mut stdin = tempfile();
        stdin.write_all(&self.stdin).unwrap();
        stdin.rewind().unwrap();
        let mut command = Command::new(&self.argv[0]);
        command
            .args(&self.argv[1..])
            .env_clear()
            .envs(&self.env)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub fn run(&self) -> Said {
        Said::by(self.start())
    }
}

impl Said {
    /// Waits for a started program.
    pub fn by(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The one JSON document on stdout.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not one JSON document: {error}: {self:?}"))
    }

    /// The result of a verb that must have succeeded: exit code 0; `Null` for nothing on stdout.
    pub fn ok(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        if self.stdout.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// The error of a verb that must have failed with a code: message and details joined.
    pub fn error(&self, code: u64) -> String {
        assert_ne!(self.code, 0, "{self:?}");
        let error = self.json();
        assert_eq!(error["code"], code, "{self:?}");
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        assert!(!text("msg").is_empty(), "{self:?}");
        format!("{}; {}", text("msg"), text("details"))
    }
}

/// Sends a signal to a started program: what it was started behind, as `nsenter`, has become it.
pub fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(sent.unwrap().success());
}

/// A file without a name that goes with its handle.
fn tempfile() -> std::fs::File {
    rustix::fs::memfd_create("stdin", rustix::fs::MemfdFlags::CLOEXEC)
        .unwrap()
        .into()
}
