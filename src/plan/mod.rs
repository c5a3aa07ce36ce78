//! The core: what shall be, against what was seen, gives what to do. No I/O.

pub mod anti_spoof;
pub mod anycast;
pub mod container;
pub mod fact;
pub mod guard;
pub mod host;
pub mod observed;
pub mod peers;
pub mod read;
mod side;
pub mod trust;
pub mod underlay;
pub mod way_back;

pub use fact::{Fact, Kind, Probe, Verdict};
pub use observed::Observed;
pub use read::Read;
pub use side::Side;

use crate::ip::link::{self, Setting};
use crate::ip::sysctl::{self, SysctlKey};
use crate::ip::{Command, IfName, Netns};

/// One command of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Where it runs.
    pub side: Side,
    /// The command.
    pub command: Command,
    /// What takes it back, and where.
    pub undo: Option<(Side, Command)>,
    /// The facts it makes true.
    pub makes: Vec<Fact>,
    /// What it is for: those facts, or another purpose.
    pub because: String,
}

/// The commands that make every fact true, in order.
pub type Plan = Vec<Step>;

/// The shortest list of steps from what was seen to what shall be.
pub fn plan(facts: &[Fact], seen: &Observed, pod: &Netns) -> Plan {
    let mut steps = Plan::new();
    let mut switches: Vec<Switch<'_>> = Vec::new();
    let mut unnamed: Option<Unnamed> = None;
    for fact in facts {
        let verdict = fact.verdict(seen);
        match fact {
            _ if verdict == Verdict::Holds || has_the_parents_mtu(fact, seen) => {}
            Fact::Sysctl {
                side, key, value, ..
            } => {
                if switches.first().is_some_and(|first| first.side != *side) {
                    steps.extend(switch(&mut switches));
                }
                let key = match &unnamed {
                    Some(made) if *side == made.side => made.key(key),
                    _ => key.clone(),
                };
                switches.push(Switch {
                    side: *side,
                    setting: (key, (*value).to_owned()),
                    fact,
                });
            }
            fact => {
                steps.extend(switch(&mut switches));
                steps.extend(unnamed.take().map(Unnamed::rename));
                steps.push(step(fact, &verdict, pod));
                unnamed = Unnamed::by(fact);
            }
        }
    }
    steps.extend(switch(&mut switches));
    steps.extend(unnamed.map(Unnamed::rename));
    steps
}

/// A device that was made under a temporary name. Its switches, which a process of their own sets, come
/// before the renaming, so that this shares a process with what follows.
struct Unnamed {
    side: Side,
    made_as: IfName,
    name: IfName,
    because: String,
}

impl Unnamed {
    fn by(fact: &Fact) -> Option<Self> {
        match fact {
            Fact::Macvlan {
                side,
                name,
                made_as,
                ..
            } if name != made_as => Some(Self {
                side: *side,
                made_as: made_as.clone(),
                name: name.clone(),
                because: fact.to_string(),
            }),
            _ => None,
        }
    }

    /// A switch by the name that the device has for now.
    fn key(&self, key: &SysctlKey) -> SysctlKey {
        match key {
            SysctlKey::Device(_, dev, _) | SysctlKey::Neighbours(_, dev, _)
                if *dev == self.name =>
            {
                key.of(&self.made_as)
            }
            other => other.clone(),
        }
    }

    fn rename(self) -> Step {
        Step {
            side: self.side,
            command: link::rename(&self.made_as, &self.name),
            undo: Some((self.side, link::del(&self.name))),
            makes: Vec::new(),
            because: self.because,
        }
    }
}

/// A macvlan that is still to be made gets its parent's MTU (`macvlan_common_newlink`,
/// `drivers/net/macvlan.c`), and that is the network's.
fn has_the_parents_mtu(fact: &Fact, seen: &Observed) -> bool {
    match fact {
        Fact::Setting {
            side,
            dev,
            kind: Kind::Macvlan,
            setting: Setting::Mtu(_),
        } => seen.link(*side, dev).is_none(),
        _ => false,
    }
}

/// The step that makes one fact true.
fn step(fact: &Fact, verdict: &Verdict, pod: &Netns) -> Step {
    let (side, command) = fact.make(pod);
    // What was there before in another form is not ours to take away.
    let undo = if *verdict == Verdict::Missing {
        fact.undo()
    } else {
        None
    };
    Step {
        side,
        command,
        undo,
        makes: vec![fact.clone()],
        because: fact.to_string(),
    }
}

/// A switch to be set, by the name that its device has for now.
struct Switch<'a> {
    side: Side,
    setting: (SysctlKey, String),
    fact: &'a Fact,
}

/// Switches next to each other are set by one process.
fn switch(switches: &mut Vec<Switch<'_>>) -> Option<Step> {
    let side = switches.first()?.side;
    let (settings, makes): (Vec<_>, Vec<Fact>) = switches
        .drain(..)
        .map(|switch| (switch.setting, switch.fact.clone()))
        .unzip();
    let because = settings
        .iter()
        .map(|(key, value)| format!("{key} = {value}"))
        .collect::<Vec<_>>()
        .join(", ");
    Some(Step {
        side,
        command: sysctl::write(&settings),
        undo: None,
        makes,
        because,
    })
}

/// The facts that do not hold, each with what was found.
pub fn broken<'a>(facts: &'a [Fact], seen: &Observed) -> Vec<(&'a Fact, Verdict)> {
    let verdicts = facts.iter().map(|fact| (fact, fact.verdict(seen)));
    verdicts
        .filter(|(_, verdict)| *verdict != Verdict::Holds)
        .collect()
}

/// The devices that are there and are another than wanted: no command makes them what they should be,
/// and taking them away is their owner's business alone.
pub fn foreign<'a>(facts: &'a [Fact], seen: &Observed) -> Vec<(&'a Fact, Verdict)> {
    let device = |fact: &Fact| matches!(fact, Fact::Vxlan { .. } | Fact::Macvlan { .. });
    let broken = broken(facts, seen).into_iter();
    broken
        .filter(|(fact, verdict)| device(fact) && *verdict != Verdict::Missing)
        .collect()
}

/// The steps that set back what others have changed of devices that are there.
pub fn set_back(facts: &[Fact], seen: &Observed) -> Plan {
    let step = |fact: &Fact| {
        let is_changed = matches!(fact.verdict(seen), Verdict::Changed { .. });
        let (side, command) = fact.set_back().filter(|_| is_changed)?;
        Some(Step {
            side,
            command,
            undo: None,
            makes: vec![fact.clone()],
            because: fact.to_string(),
        })
    };
    facts.iter().filter_map(step).collect()
}

/// The questions of all facts, each once, in the order in which a batch may ask them.
pub fn reads(facts: &[Fact], probe: Probe) -> Vec<Read> {
    let mut reads: Vec<Read> = facts.iter().flat_map(|fact| fact.reads(probe)).collect();
    reads.sort();
    reads.dedup();
    reads
}
