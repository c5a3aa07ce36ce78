//! Delegation (CNI 1.1.0, section 4): runs another plugin found in `CNI_PATH`.
//!
//! The delegate gets this plugin's environment but for the verb, the complete configuration on stdin,
//! and this plugin's stderr as its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::error::{CniError, Code};
use super::request::{Request, Verb};
use crate::exec::search::{self, Missing};
use crate::exec::{DryRun, Exec, ExecError, Invocation, Output, Running, Stderr, Stdin};
use crate::sanitize::printable;

/// How long a delegate may take: DHCP takes seconds; a runtime waits about two minutes for a pod.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A file that is being written cannot be executed; how often and how long that is waited for (libcni does the same).
const BUSY_TRIES: u32 = 5;

/// The pause between two of those tries.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// A plugin to hand work to.
#[derive(Debug, Clone)]
pub struct Delegate {
    name: String,
    path: PathBuf,
    variables: Vec<(&'static str, String)>,
}

/// A delegate at work.
pub struct Call {
    name: String,
    verb: Verb,
    running: Box<dyn Running>,
}

/// A dry run's substitute for a delegate: it has done everything at once.
struct StandIn(Output);

impl StandIn {
    fn of(dry: &DryRun) -> Box<dyn Running> {
        let stdout = dry.lease().map(Value::to_string).unwrap_or_default();
        Box::new(Self(Output {
            code: Some(0),
            stdout: stdout.into_bytes(),
            ..Output::default()
        }))
    }
}

impl Running for StandIn {
    fn wait(self: Box<Self>) -> Result<Output, ExecError> {
        Ok(self.0)
    }
}

impl Delegate {
    /// Finds a plugin by its name in the folders of `CNI_PATH`. A dry run looks for none, for it starts none.
    ///
    /// # Errors
    /// Code 7 that names the folders.
    pub fn find(exec: &dyn Exec, name: &str, request: &Request) -> Result<Self, CniError> {
        let path = match exec.dry_run() {
            Some(_) => PathBuf::new(),
            None => path_of(name, request)?,
        };
        Ok(Self {
            name: name.to_owned(),
            path,
            variables: request.variables.clone(),
        })
    }

    /// Starts a verb; it runs while the caller does something else.
    ///
    /// # Errors
    /// Code 11 or 100 when it cannot be started.
    pub fn start(&self, exec: &dyn Exec, verb: Verb, config: &Value) -> Result<Call, CniError> {
        let own = self.variables.iter();
        let mut variables: Vec<_> = own
            .map(|(name, value)| ((*name).into(), value.into()))
            .collect();
        variables.push(("CNI_COMMAND".into(), verb.as_str().into()));
        let invocation = Invocation {
            argv: vec![self.path.display().to_string()],
            shown: None,
            stdin: Stdin::Bytes(config.to_string().into_bytes()),
            variables,
            stderr: Stderr::PassedOn,
            timeout: TIMEOUT,
            interrupted_after: None,
        };
        let running = match exec.dry_run() {
            Some(dry) => Ok(StandIn::of(dry)),
            None => start_unless_busy(exec, &invocation),
        };
        let running = running.map_err(|error| self.failed(verb, &error))?;
        Ok(Call {
            name: self.name.clone(),
            verb,
            running,
        })
    }

    /// Carries a verb out.
    ///
    /// # Errors
    /// The delegate's own, or why it has none.
    pub fn run(
        &self,
        exec: &dyn Exec,
        verb: Verb,
        config: &Value,
    ) -> Result<Option<Value>, CniError> {
        self.start(exec, verb, config)?.wait()
    }

    fn failed(&self, verb: Verb, error: &ExecError) -> CniError {
        failed(&self.name, verb, error)
    }
}

impl Call {
    /// Waits for what the delegate says: its result, or nothing where the verb has none.
    ///
    /// # Errors
    /// The delegate's own error, unchanged; code 11 when it did not end, 100 when it said nothing usable.
    pub fn wait(self) -> Result<Option<Value>, CniError> {
        let output = self
            .running
            .wait()
            .map_err(|error| failed(&self.name, self.verb, &error))?;
        match output.code {
            Some(0) => result(&self.name, self.verb, &output),
            _ => Err(refusal(&self.name, self.verb, &output)),
        }
    }
}

/// Where a plugin of a name is, in the folders of `CNI_PATH`.
fn path_of(name: &str, request: &Request) -> Result<PathBuf, CniError> {
    let folders = request.path.iter().cloned();
    let missing = |missing: Missing| {
        let msg = format!(
            "the plugin `{}` is in none of the folders of CNI_PATH: {missing}",
            printable(name)
        );
        CniError::new(Code::INVALID_CONFIGURATION, msg)
            .details("install it there, or correct ipam.type")
    };
    if name.is_empty() || name.contains('/') {
        return Err(missing(Missing {
            looked: folders.collect(),
            passed_over: Vec::new(),
        }));
    }
    let path = search::program(name, folders).map_err(missing)?;
    Ok(absolute(&path))
}

/// Starts a process, and again where its file is still being written.
fn start_unless_busy(
    exec: &dyn Exec,
    invocation: &Invocation,
) -> Result<Box<dyn Running>, ExecError> {
    let busy = |error: &ExecError| matches!(error, ExecError::Start { source, .. } if source.kind() == std::io::ErrorKind::ExecutableFileBusy);
    for _ in 1..BUSY_TRIES {
        match exec.start(invocation) {
            Err(error) if busy(&error) => std::thread::sleep(BUSY_PAUSE),
            other => return other,
        }
    }
    exec.start(invocation)
}

/// What a delegate that succeeded printed.
fn result(name: &str, verb: Verb, output: &Output) -> Result<Option<Value>, CniError> {
    if verb != Verb::Add {
        return Ok(None);
    }
    let unusable = |why: String| {
        let msg = format!(
            "the plugin `{name}` succeeded at {} but its result cannot be read: {why}",
            verb.as_str()
        );
        CniError::new(Code::DECODING, msg)
            .details(format!("stdout was `{}`", shown(&output.stdout)))
    };
    match serde_json::from_slice(&output.stdout) {
        Ok(value @ Value::Object(_)) => Ok(Some(value)),
        Ok(_) => Err(unusable("it is no JSON object".to_owned())),
        Err(error) => Err(unusable(error.to_string())),
    }
}

/// The error of a delegate that failed: its own where it printed one.
fn refusal(name: &str, verb: Verb, output: &Output) -> CniError {
    let own: Option<Value> = serde_json::from_slice(&output.stdout).ok();
    let field = |key: &str| own.as_ref()?.get(key)?.as_str().map(str::to_owned);
    let code = own
        .as_ref()
        .and_then(|own| own.get("code")?.as_u64())
        .and_then(|code| u32::try_from(code).ok())
        // 0 is no error's code.
        .filter(|code| *code != 0);
    match (code, field("msg")) {
        // Unchanged, whatever it holds: the runtime asked that plugin through this one.
        (Some(code), Some(msg)) => CniError {
            code: Code(code),
            msg,
            details: field("details").unwrap_or_default(),
        },
        _ => {
            let how = output
                .code
                .map_or("was killed".to_owned(), |code| format!("exit code {code}"));
            let msg = format!(
                "the plugin `{name}` failed at {} without a CNI error: {how}",
                verb.as_str()
            );
            CniError::new(Code::COMMAND_FAILED, msg)
                .details(format!("stdout was `{}`", shown(&output.stdout)))
        }
    }
}

fn failed(name: &str, verb: Verb, error: &ExecError) -> CniError {
    let code = match error {
        ExecError::Timeout { .. } | ExecError::Interrupted { .. } => Code::TRY_AGAIN,
        _ => Code::COMMAND_FAILED,
    };
    CniError::new(
        code,
        format!(
            "the plugin `{name}` did not carry out {}: {error}",
            verb.as_str()
        ),
    )
}

fn shown(stdout: &[u8]) -> String {
    printable(&String::from_utf8_lossy(stdout))
}

/// A relative folder counts from where this program runs.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
