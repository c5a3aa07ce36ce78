//! nftables as types: the chains that we make, as one transaction to paste, and what `nft -j` prints of them.
//!
//! Types only: nothing here runs anything or knows what a network of ours looks like.

mod rule;
mod seen;

use std::fmt::Write;

pub use rule::{Is, L3, Match, Place, Rule, Verdict};
pub use seen::Ruleset;

use crate::ip::{Command, IfName};

/// A table: a family of nftables and a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// `inet vxlan_cni`: the node's.
    Node,
    /// `netdev vxlan_cni_eth0`: a pod's, on the egress of this interface. One for each, so that an interface comes and
    /// goes without a look at what the others have.
    Pod(IfName),
}

/// A base chain and its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Where packets meet it.
    pub hook: Hook,
    /// Its rules, in order.
    pub rules: Vec<Rule>,
}

/// Where packets meet a chain: type, hook and priority of nftables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// `type filter hook prerouting priority -300` (raw): before conntrack and routing.
    Prerouting,
    /// `type filter hook prerouting priority -90`: behind what translates destinations (dstnat, -100).
    Translated,
    /// `type route hook output priority -150` (mangle): what a rule marks there is routed anew.
    Output,
    /// `type nat hook postrouting priority 99`: before all that translate sources at the usual place.
    BeforePostrouting,
    /// `type nat hook postrouting priority 100` (srcnat).
    Postrouting,
    /// `type filter hook egress device DEV priority 0` of family netdev.
    Egress(IfName),
}

impl Table {
    /// Family and name.
    pub fn name(&self) -> String {
        match self {
            Self::Node => "inet vxlan_cni".to_owned(),
            Self::Pod(dev) => format!("netdev vxlan_cni_{}", identifier(dev)),
        }
    }
}

/// A device's name as part of a name that `nft` takes without quotes: letters, digits, `_`, `.`, `-` and `/`
/// (nft(8), "lexical conventions"). Any other byte is `/` and its number; no device has a `/` in its name.
fn identifier(dev: &IfName) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let bytes = dev.as_str().bytes();
    bytes
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("/{byte:02x}"),
        })
        .collect()
}

impl Hook {
    /// Type, hook and priority as `nft` reads them. Numbers, since `raw` and `srcnat` are words of the newer
    /// ones only.
    fn words(&self) -> String {
        match self {
            Self::Prerouting => "type filter hook prerouting priority -300".to_owned(),
            Self::Translated => "type filter hook prerouting priority -90".to_owned(),
            Self::Output => "type route hook output priority -150".to_owned(),
            Self::BeforePostrouting => "type nat hook postrouting priority 99".to_owned(),
            Self::Postrouting => "type nat hook postrouting priority 100".to_owned(),
            Self::Egress(dev) => {
                format!(
                    "type filter hook egress device {} priority 0",
                    rule::quoted(dev)
                )
            }
        }
    }
}

/// One transaction that makes chains what they should be, whatever was there of them: a table and a chain that
/// are there already are no error, and a chain is emptied before its rules are added.
pub fn make(table: &Table, chains: &[Chain]) -> Command {
    let name = table.name();
    let mut script = format!("add table {name}");
    for chain in chains {
        let Chain {
            name: of,
            hook,
            rules,
        } = chain;
        // Writing to a String cannot fail.
        let _ = write!(
            script,
            "; add chain {name} {of} {{ {}; policy accept; }}",
            hook.words()
        );
        let _ = write!(script, "; flush chain {name} {of}");
        for rule in rules {
            let _ = write!(script, "; add rule {name} {of} {rule}");
        }
    }
    Command::nft(script)
}

/// One transaction that takes chains away; they must be there.
pub fn delete_chains(table: &Table, names: &[&str]) -> Command {
    let name = table.name();
    let each = names
        .iter()
        .map(|of| format!("flush chain {name} {of}; delete chain {name} {of}"));
    Command::nft(each.collect::<Vec<_>>().join("; "))
}

/// Takes a table away with everything in it.
pub fn delete_table(table: &Table) -> Command {
    Command::nft(format!("delete table {}", table.name()))
}

/// `nft -j list table ...`.
pub fn list(table: &Table) -> Command {
    Command::nft_list(&table.name())
}
