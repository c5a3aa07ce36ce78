//! `route-table list`: who has claimed what.

use super::Said;
use super::args::Shared;
use crate::cni::{CniError, Code};
use crate::conflist;
use crate::exec::System;
use crate::journal::Journal;
use crate::route_table::config::Ipam;
use crate::route_table::ledger::{Ledger, WANTED, ipams};
use crate::route_table::{list, session};

/// Shows every claim of the folders that a configuration uses.
///
/// # Errors
/// When the configuration, the records or the table cannot be read.
pub fn run(shared: &Shared) -> Result<Said, CniError> {
    let system = System::until_sigterm();
    let look = |ipam: &Ipam| {
        let journal = Journal::new(&ipam.log_file, "LIST", "");
        Ledger::read(&session(&system, &journal), ipam)
    };
    let ledgers: Vec<Ledger> = uses(shared)?.iter().map(look).collect::<Result<_, _>>()?;
    Ok(Said::either(
        shared,
        || list::document(&ledgers),
        || list::text(&ledgers),
    ))
}

/// The configuration's uses of this IPAM.
pub(super) fn uses(shared: &Shared) -> Result<Vec<Ipam>, CniError> {
    let conf = conflist::find(shared.conf.as_deref(), WANTED)?;
    match ipams(&conf.config) {
        ipams if ipams.is_empty() => {
            let msg = format!("{} has no ipam.type route-table", conf.file.display());
            Err(CniError::new(Code::INVALID_CONFIGURATION, msg)
                .details("name the file that has it with --conf FILE"))
        }
        ipams => Ok(ipams),
    }
}
