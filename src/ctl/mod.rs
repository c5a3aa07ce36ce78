//! The operator's verbs, each in the file of its name: over the same facts, plan and records as CNI's.
//!
//! A verb computes what it has to say and whether all is well; here it is printed.

pub mod args;
pub mod doctor;
pub mod gc;
pub mod graph;
pub mod journals;
pub mod list;
pub mod log;
pub mod look;
pub mod node;
pub mod plan;
pub mod progress;
pub mod reconcile;
pub mod repair;
pub mod replay;
pub mod status;
pub mod terminal;

use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use serde_json::Value;

use self::args::{RouteTable, RouteTableVerb, Shared, Vxlan, VxlanVerb};
use crate::cni::CniError;

/// What a verb has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// For stdout.
    pub text: String,
    /// Whether all is well; else the exit code is 1.
    pub well: bool,
}

impl Said {
    /// All is well.
    pub fn well(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            well: true,
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
        Self { well, ..self }
    }
}

/// The command line of `vxlan`. Ends the program for `--help`, and with code 2 for what it does not know.
pub fn vxlan() -> ExitCode {
    let Vxlan { verb, shared } = Vxlan::parse();
    let said = match &verb {
        VxlanVerb::Status(options) => status::run(&shared, options),
        VxlanVerb::Doctor(options) => doctor::run(&shared, options),
        VxlanVerb::Plan(options) if options.is_mixed() => {
            let why = "the options of an ADD are none of a DEL's or a repair's";
            Vxlan::command()
                .error(ErrorKind::ArgumentConflict, why)
                .exit()
        }
        VxlanVerb::Plan(options) => plan::run(&shared, options),
        VxlanVerb::Repair(options) => repair::run(&shared, options),
        VxlanVerb::Replay(options) => replay::run(&shared, options),
        VxlanVerb::Gc(options) => gc::run(&shared, options),
        VxlanVerb::Graph(options) => graph::run(&shared, options),
        VxlanVerb::Log(options) => log::run(&shared, options),
    };
    print("vxlan", said)
}

/// The command line of `route-table`, likewise.
pub fn route_table() -> ExitCode {
    let RouteTable { verb, shared } = RouteTable::parse();
    let said = match verb {
        RouteTableVerb::List => list::run(&shared),
        RouteTableVerb::Reconcile => reconcile::run(&shared),
    };
    print("route-table", said)
}

/// Prints what was said; an error on stderr.
fn print(program: &str, said: Result<Said, CniError>) -> ExitCode {
    match said {
        Ok(Said { text, well }) => {
            // Who reads may have read enough, as `head` does.
            let _ = std::io::stdout().write_all(text.as_bytes());
            match well {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            let _ = std::io::stderr().write_all(told(program, &error).as_bytes());
            ExitCode::FAILURE
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
    use crate::cni::Code;

    #[test]
    fn an_error_is_one_sentence_and_a_line_for_each_detail() {
        let error = CniError::new(Code::IO, "cannot read it").details("seen: this; do that");
        let text = told("vxlan", &error);
        assert_eq!(text, "vxlan: cannot read it\n  seen: this\n  do that\n");
        let plain = CniError::new(Code::IO, "cannot read it");
        assert_eq!(told("vxlan", &plain), "vxlan: cannot read it\n");
    }
}
