//! The IPAM plugin `route-table`; without `CNI_COMMAND`, its command line.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde_json::Value;
use vxlan_cni::cni::serve::serve;
use vxlan_cni::cni::{CniError, Code};
use vxlan_cni::conflist;
use vxlan_cni::exec::System;
use vxlan_cni::journal::Journal;
use vxlan_cni::route_table::config::Ipam;
use vxlan_cni::route_table::ledger::{Ledger, WANTED, ipams};
use vxlan_cni::route_table::{RouteTable, hands, list, reconcile};

/// CNI IPAM plugin: the kernel's routing table as the cluster's address database.
///
/// A CNI plugin starts it with CNI_COMMAND set and the network configuration on stdin. Without, it shows
/// and mends the claims of this node.
#[derive(Parser)]
#[command(name = "route-table", version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Shows every claimed address: owner, since when, on which device, claimed elsewhere or not
    List(Options),
    /// Puts back claims that were flushed and drops those that nobody owns
    Reconcile(Options),
}

#[derive(Args)]
struct Options {
    /// The network configuration; else the first in /etc/cni/net.d that has this IPAM
    #[arg(long, value_name = "FILE")]
    conf: Option<PathBuf>,
    /// One JSON document
    #[arg(short, long)]
    json: bool,
}

fn main() -> ExitCode {
    if std::env::var_os("CNI_COMMAND").is_none() && std::env::args_os().len() > 1 {
        let Arguments { verb } = Arguments::parse();
        return match operate(&verb) {
            Ok(code) => code,
            Err(error) => {
                eprintln!("route-table: {error}\n  {}", error.details);
                ExitCode::FAILURE
            }
        };
    }
    serve(&RouteTable)
}

/// Carries an operator's verb out: exit code 0 where all is well, 1 where something needs a person.
fn operate(verb: &Verb) -> Result<ExitCode, CniError> {
    let system = System::until_sigterm();
    match verb {
        Verb::List(options) => {
            let look = |ipam: &Ipam| {
                let journal = Journal::new(&ipam.log_file, "LIST", "");
                Ledger::read(&hands(&system, &journal), ipam)
            };
            let ledgers = read(options)?
                .iter()
                .map(look)
                .collect::<Result<Vec<_>, _>>()?;
            print(
                options,
                || list::text(&ledgers),
                || list::document(&ledgers),
            );
            Ok(ExitCode::SUCCESS)
        }
        Verb::Reconcile(options) => {
            let done = reconcile::reconcile(&system, &read(options)?)?;
            print(options, || done.text(), || done.document());
            Ok(match done.failed.is_empty() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            })
        }
    }
}

/// The configuration's uses of this IPAM.
fn read(options: &Options) -> Result<Vec<Ipam>, CniError> {
    let conf = conflist::find(options.conf.as_deref(), WANTED)?;
    match ipams(&conf.config) {
        ipams if ipams.is_empty() => {
            let msg = format!("{} has no ipam.type route-table", conf.file.display());
            Err(CniError::new(Code::INVALID_CONFIGURATION, msg)
                .details("name the file that has it with --conf FILE"))
        }
        ipams => Ok(ipams),
    }
}

fn print(options: &Options, text: impl Fn() -> String, document: impl Fn() -> Value) {
    let said = match options.json {
        true => format!("{}\n", document()),
        false => text(),
    };
    // Who reads may have read enough, as `head` does.
    let _ = std::io::stdout().write_all(said.as_bytes());
}
