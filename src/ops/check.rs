//! CHECK: the plan must be empty.
//!
//! Changes nothing. Every fact that does not hold is named with what was found and the command that
//! shows it; what later plugins added is none of its business.

use super::converge::{Hands, not_true};
use super::{Sandbox, all, journal, prev_result, store};
use crate::cni::delegate::Delegate;
use crate::cni::result::{Interface, Ip};
use crate::cni::{CniError, CniResult, Code, Request, Verb};
use crate::config::{Config, Network, kept_network};
use crate::exec::System;
use crate::ip::{IfName, Mac, Netns};
use crate::lease;
use crate::plan::container::Container;
use crate::plan::{self, Fact, Look, Observed, Side, host};
use crate::store::{Attachment, Found};

/// Tells whether everything is as ADD left it.
///
/// # Errors
/// Code 101 that names every fact that does not hold; the IPAM's own error where its part does not.
pub fn check(system: &System, request: &Request) -> Result<(), CniError> {
    let config = Config::read(&request.config)?;
    let Some(result) = prev_result(request)? else {
        return Err(CniError::new(
            Code::INVALID_CONFIGURATION,
            "prevResult: missing: CHECK compares with ADD's result",
        ));
    };
    let sandbox = Sandbox::of(request)?;
    let record = recorded(&config, request)?;
    let network = kept_network(&record.definition, record.table, record.pref)?;
    let journal = journal(&config.log_file, request, &network.name, "");
    let hands = Hands {
        exec: system,
        journal: &journal,
        pod: &sandbox.netns,
    };
    let ipam = Delegate::find(record.ipam["type"].as_str().unwrap_or_default(), request)?;
    let asked = ipam.start(
        system,
        Verb::Check,
        &lease::config(&request.config, &record.ipam, &[]),
    )?;
    let facts = Facts::of(&record, &network, &result, request)?;
    let held = facts.hold(&hands);
    all([held.err(), asked.wait().err()]
        .into_iter()
        .flatten()
        .collect())
}

/// The record that ADD left.
fn recorded(config: &Config, request: &Request) -> Result<Attachment, CniError> {
    let lost = |msg: String| {
        CniError::new(Code::FACTS_DO_NOT_HOLD, msg)
            .details("make the container anew: a DEL and an ADD write the record again")
    };
    match store(config).find(&request.container, &request.ifname)? {
        Some(Found::Whole(record)) if record.is_of_an_earlier_boot() => Err(lost(format!(
            "{} was attached before the node was booted: nothing is left of it but its lease",
            record.id()
        ))),
        Some(Found::Whole(record)) if record.lease.is_some() => Ok(*record),
        Some(Found::Whole(record)) => {
            Err(lost(format!("the ADD of {} has not ended", record.id())))
        }
        Some(Found::Damaged { why, .. }) => Err(lost(why.to_string())),
        None => {
            let folder = config.data_dir.display();
            Err(lost(format!(
                "there is no record of {}/{} in {folder}",
                request.container, request.ifname
            )))
        }
    }
}

/// What must hold for one attachment.
struct Facts<'a> {
    network: &'a Network,
    container: Container<'a>,
    promised: Promised,
}

impl<'a> Facts<'a> {
    fn of(
        record: &'a Attachment,
        network: &'a Network,
        result: &CniResult,
        request: &Request,
    ) -> Result<Self, CniError> {
        let Some(lease) = &record.lease else {
            return Err(CniError::new(
                Code::INTERNAL,
                "a record without a lease was taken for whole",
            ));
        };
        let promised = Promised::of(result, request, &record.ifname);
        let container = Container {
            network,
            ifname: record.ifname.clone(),
            mtu: None,
            mac: promised.mac.or(record.mac),
            lease,
        };
        Ok(Self {
            network,
            container,
            promised,
        })
    }

    /// A glance first; what it does not show is looked at closely before it is called broken.
    fn hold(mut self, hands: &Hands<'_>) -> Result<(), CniError> {
        let mut seen = hands.observe(self.reads(Look::Glance))?;
        self.container.mtu = self.promised.mtu.or(host::mtu(self.network, &seen)?);
        let facts = self.facts(&seen)?;
        if plan::broken(&facts, &seen).is_empty() {
            return Ok(());
        }
        seen = hands.observe(self.reads(Look::Close))?;
        let facts = self.facts(&seen)?;
        match plan::broken(&facts, &seen) {
            broken if broken.is_empty() => Ok(()),
            broken => Err(self.explain(&broken, hands.pod)),
        }
    }

    fn reads(&self, look: Look) -> Vec<plan::Read> {
        let mut reads = host::reads(self.network, look);
        reads.extend(plan::reads(&self.container.facts(), look));
        reads.extend(plan::reads(&self.promised.addresses, look));
        reads.sort();
        reads.dedup();
        reads
    }

    fn facts(&self, seen: &Observed) -> Result<Vec<Fact>, CniError> {
        let mut facts = host::facts(self.network, seen)?;
        facts.extend(self.container.facts());
        facts.extend(
            self.promised
                .addresses
                .iter()
                .filter(|fact| !self.container.facts().contains(fact))
                .cloned(),
        );
        Ok(facts)
    }

    fn explain(&self, broken: &[(&Fact, plan::Verdict)], pod: &Netns) -> CniError {
        let error = not_true(broken, pod);
        CniError::new(
            error.code,
            format!("network \"{}\": {}", self.network.name, error.msg),
        )
        .details(error.details)
    }
}

/// What the runtime was told of the interface and keeps. A later plugin may have given it another MAC or
/// MTU, and says so in the result that it passes on (the reference `tuning` does of the MAC).
#[derive(Default)]
struct Promised {
    addresses: Vec<Fact>,
    mac: Option<Mac>,
    mtu: Option<u32>,
}

impl Promised {
    fn of(result: &CniResult, request: &Request, ifname: &IfName) -> Self {
        let ours = |interface: &Interface| {
            interface.name == ifname.as_str() && interface.sandbox == request.netns
        };
        let Some(index) = result.interfaces.iter().position(ours) else {
            return Self::default();
        };
        let addresses = result.ips.iter().filter(|ip| ip.interface == Some(index));
        let fact = |ip: &Ip| Fact::Address {
            side: Side::Pod,
            dev: ifname.clone(),
            address: ip.address,
        };
        let interface = &result.interfaces[index];
        Self {
            addresses: addresses.map(fact).collect(),
            mac: interface.mac.parse().ok(),
            mtu: interface.mtu,
        }
    }
}
