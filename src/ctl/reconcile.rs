//! `route-table reconcile`: makes the claims what the records say.

use super::Said;
use super::args::Shared;
use super::list::uses;
use crate::cni::CniError;
use crate::exec::System;
use crate::route_table::reconcile::reconcile;

/// Puts back what was flushed, drops what is orphaned, and tells both.
///
/// # Errors
/// When the configuration, the records or the table cannot be read.
pub fn run(shared: &Shared) -> Result<Said, CniError> {
    let done = reconcile(&System::until_sigterm(), &uses(shared)?)?;
    let said = Said::either(shared, || done.document(), || done.text());
    Ok(said.if_well(done.failed.is_empty()))
}
