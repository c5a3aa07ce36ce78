//! The operator's verbs, each in the file of its name: over the same facts, plan and records as CNI's.
//!
//! A verb computes what it has to say and whether all is well; here it is printed.

pub mod agent;
pub mod args;
pub mod doctor;
pub mod gc;
pub mod graph;
pub mod journals;
pub mod list;
pub mod log;
pub mod look;
pub mod meant;
pub mod metrics;
pub mod node;
pub mod plan;
pub mod progress;
pub mod reconcile;
pub mod repair;
pub mod replay;
pub mod status;
pub mod terminal;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use serde_json::Value;

use self::args::{RouteTable, RouteTableVerb, Shared, Vxlan, VxlanVerb};
use crate::cni::{CniError, Code};
use crate::outlet;

/// What a verb has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// For stdout.
    pub text: String,
    /// The exit code: 0 where all is well, 1 where something is not, 3 where that cannot be told.
    pub code: u8,
}

impl Said {
    /// All is well.
    pub fn well(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            code: 0,
        }
    }

    /// In the form that was asked for: one JSON document, or text for people.
    pub fn either(
        shared: &Shared,
        document: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) -> Self {
        Self::well(match shared.json {
            true => format!("{}\n", document()),
            false => text(),
        })
    }

    /// The same, well or not.
    pub fn if_well(self, well: bool) -> Self {
        self.with_code(u8::from(!well))
    }

    /// The same, with an exit code.
    pub fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }
}

/// The help, for a person who types `vxlan` and nothing else on a terminal.
pub fn welcome() -> Option<ExitCode> {
    let on_a_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let help = || Vxlan::command().render_help().to_string();
    on_a_terminal.then(|| end("vxlan", Ok(Said::well(help()))))
}

/// The command line of `vxlan`: exit code 2 for what it does not know.
pub fn vxlan() -> ExitCode {
    let said = parsed("vxlan").and_then(|Vxlan { verb, shared }| {
        let said = match &verb {
            VxlanVerb::Status(options) => status::run(&shared, options),
            VxlanVerb::Doctor(options) => {
                let looked = doctor::run(&shared, options);
                return looked
                    .map(Ok)
                    .map_err(|error| could_not_look("vxlan", &error));
            }
            VxlanVerb::Plan(options) if options.is_mixed() => {
                let why = "the options of an ADD are none of a DEL's or a repair's";
                let error = Vxlan::command().error(ErrorKind::ArgumentConflict, why);
                return Err(usage("vxlan", &error));
            }
            VxlanVerb::Plan(options) => plan::run(&shared, options),
            VxlanVerb::Repair(options) => repair::run(&shared, options),
            VxlanVerb::Replay(options) => replay::run(&shared, options),
            VxlanVerb::Gc(options) => gc::run(&shared, options),
            VxlanVerb::Graph(options) => graph::run(&shared, options),
            VxlanVerb::Log(options) => log::run(&shared, options),
            VxlanVerb::Metrics(options) => metrics::run(&shared, options),
            VxlanVerb::Agent(options) => agent::run(&shared, options),
        };
        Ok(said)
    });
    said.map_or_else(|code| code, |said| end("vxlan", said))
}

/// The command line of `route-table`, likewise.
pub fn route_table() -> ExitCode {
    let said = parsed("route-table").map(|RouteTable { verb, shared }| match verb {
        RouteTableVerb::List => list::run(&shared),
        RouteTableVerb::Reconcile => reconcile::run(&shared),
    });
    said.map_or_else(|code| code, |said| end("route-table", said))
}

/// What was typed; or, where that asks for help or is wrong, that is printed and this the exit code.
fn parsed<T: Parser>(program: &str) -> Result<T, ExitCode> {
    T::try_parse().map_err(|error| usage(program, &error))
}

/// Prints the help or version that was asked for, or what is wrong with what was typed. (`clap::Error::exit` calls a
/// help that could not be printed a success.)
fn usage(program: &str, error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if !error.use_stderr() {
        return end(program, Ok(Said::well(text)));
    }
    outlet::remark(&text);
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Where nothing can be told, neither that all is well nor that something is not: exit code 3.
fn could_not_look(program: &str, error: &CniError) -> ExitCode {
    outlet::remark(&told(program, error));
    ExitCode::from(3)
}

/// Prints what was said; an error on stderr.
fn end(program: &str, said: Result<Said, CniError>) -> ExitCode {
    let printed = said.and_then(|said| print(&said.text).map(|_| said.code));
    match printed {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            outlet::remark(&told(program, &error));
            ExitCode::FAILURE
        }
    }
}

/// Prints at once. Whether it is read: who has read enough, as `head` does, is no fault.
///
/// # Errors
/// When stdout cannot be written to for another reason, as a full disk.
fn print(text: &str) -> Result<bool, CniError> {
    match outlet::print(text) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            let msg = format!("what was asked for cannot be written to stdout: {error}");
            Err(CniError::new(Code::IO, msg))
        }
    }
}

/// An error for people: what failed, then what was seen and what to do, a line each.
pub fn told(program: &str, error: &CniError) -> String {
    let details = error.details.split("; ").filter(|line| !line.is_empty());
    let lines = details.map(|line| format!("  {line}\n"));
    format!("{program}: {error}\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_sentence_and_a_line_for_each_detail() {
        let error = CniError::new(Code::IO, "cannot read it").details("seen: this; do that");
        let text = told("vxlan", &error);
        assert_eq!(text, "vxlan: cannot read it\n  seen: this\n  do that\n");
        let plain = CniError::new(Code::IO, "cannot read it");
        assert_eq!(told("vxlan", &plain), "vxlan: cannot read it\n");
    }
}
