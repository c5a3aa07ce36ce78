//! Verbs that concern every IPAM plugin in use at once: GC and STATUS.

use serde_json::Value;

use crate::cni::delegate::Delegate;
use crate::cni::{CniError, Code, Request, Verb};
use crate::config::{Config, Network};
use crate::exec::System;
use crate::{lease, outlet};

/// What an IPAM refused, with the names of the networks that it is of.
pub type Refused<'a> = (Vec<&'a str>, CniError);

/// Forwards a verb to the IPAM of each network, once where several have the same. Tells what they
/// refused; one that does not know the verb is told of on stderr only.
pub fn ask_ipams<'a>(
    system: &System,
    config: &'a Config,
    request: &Request,
    verb: Verb,
) -> Vec<Refused<'a>> {
    let mut asked: Vec<Value> = Vec::new();
    let mut errors = Vec::new();
    for network in &config.networks {
        let ipam = lease::ipam(config.ipam.as_ref(), network);
        if asked.contains(&ipam) {
            continue;
        }
        let name = ipam["type"].as_str().unwrap_or_default();
        let whole = lease::config(&request.config, &ipam, &[]);
        let said = Delegate::find(system, name, request)
            .and_then(|plugin| plugin.run(system, verb, &whole));
        match said {
            Err(error) if is_unknown(&error) => outlet::remark(&format!(
                "vxlan-cni: the plugin `{}` does not carry out {}: {error}\n",
                crate::sanitize::printable(name),
                verb.as_str()
            )),
            Err(error) => {
                let same = |other: &&Network| lease::ipam(config.ipam.as_ref(), other) == ipam;
                let networks = config.networks.iter().filter(same);
                errors.push((networks.map(|network| &*network.name).collect(), error));
            }
            Ok(_) => {}
        }
        asked.push(ipam);
    }
    errors
}

/// Whether an error of a delegate says that it lacks the verb or the version, which is no fault. What was
/// built with an older library of CNI looks for a container before it looks at the verb (Debian 12's
/// host-local: "missing containerID", code 3), and runtimes name none here.
fn is_unknown(error: &CniError) -> bool {
    matches!(
        error.code,
        Code::INVALID_ENVIRONMENT | Code::INCOMPATIBLE_VERSION | Code::UNKNOWN_CONTAINER
    )
}
