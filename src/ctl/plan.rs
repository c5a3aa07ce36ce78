//! `vxlan plan`: what an ADD, a DEL or a repair would run on this node now, as a script. Changes nothing.

mod add;
mod del;
mod repair;
mod script;

use serde_json::json;

use self::script::Script;
use super::Said;
use super::args::{PlanOf, PlanOptions, Shared};
use super::node::Node;
use crate::cni::CniError;
use crate::exec::System;

/// Plans.
///
/// # Errors
/// What the verb itself would refuse.
pub fn run(shared: &Shared, options: &PlanOptions) -> Result<Said, CniError> {
    let node = Node::open(shared)?;
    let system = System::until_sigterm();
    let script: Script = match &options.of {
        None => add::script(&system, &node, &options.add)?,
        Some(PlanOf::Del { of }) => del::script(&system, &node, of)?,
        Some(PlanOf::Repair) => repair::script(&system, &node)?,
    };
    Ok(Said::either(
        shared,
        || json!({"commands": script.commands()}),
        || script.text(),
    ))
}
