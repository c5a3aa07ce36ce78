//! ADD and DEL over and over, one after the other.

use std::time::Instant;

use serde_json::Value;

use crate::ledger;
use crate::rounds;
use crate::support::lab::{Ask, Config, Lab, Net, Node, Pod, until, until_same};

/// Cycles where the variable does not say how many.
const FEWER: usize = 100;

/// Kilobytes that the machine's memory may differ by: others are at work on it.
const NOISE: u64 = 24 << 10;

/// Kilobytes that a device costs: 500 macvlans that are up took 19,300 on kernel 6.18.
const DEVICE: u64 = 38;

/// Cycles from which the noise does not hide a device left in each. In fewer the machine's memory tells of others'
/// work only, and the exact numbers of the ledger tell of ours.
const ENOUGH: usize = 1000;

/// A node, a network with a pod that stays, one that comes and goes with its one pod, and of each one with
/// addresses of route-table.
struct Scene {
    lab: Lab,
    kept: Net,
    alone: Net,
}

impl Scene {
    fn new() -> Self {
        Self {
            lab: Lab::new(1),
            kept: Net::new("kept", 1).dual(),
            alone: Net::new("alone", 2).dual(),
        }
    }

    fn node(&self) -> &Node {
        self.lab.node(0)
    }

    /// The configuration of a cycle: three with host-local for one with route-table, which waits for the
    /// wire; the networks take turns.
    fn config(&self, cycle: usize) -> Config {
        let net = [&self.kept, &self.alone][cycle % 2];
        let config = self.node().config(&[&self.kept, &self.alone]).joining(net);
        match cycle / 2 % 4 {
            3 => config.ipam(self.node().route_table()),
            _ => config,
        }
    }

    /// One pod comes and goes.
    fn cycle(&self, cycle: usize, pod: &Pod) {
        let container = format!("cycle-{cycle}");
        let config = self.config(cycle);
        let ask = self.node().ask(&config, pod);
        let ask = ask.env("CNI_CONTAINERID", &container);
        let result = ask.add();
        // Half of the runtimes know the result when they take a pod off.
        let del = match cycle % 3 {
            0 => ask,
            _ => ask.after(&result),
        };
        del.del();
    }
}

#[test]
fn add_and_del_over_and_over_leave_nothing_and_nothing_grows() {
    let cycles = rounds("VXLAN_CNI_CYCLES", FEWER);
    let scene = Scene::new();
    let node = scene.node();
    let (stays, pod) = (node.pod("stays"), node.pod("web"));
    let ask: Ask = node.ask(&scene.config(0), &stays);
    let result = ask.add();
    // Once each: what is made for good is there, journals and the IPAM's bookkeeping.
    (0..8).for_each(|cycle| scene.cycle(cycle, &pod));
    let (snapshot, before, memory) = (node.snapshot(), ledger::of(node), ledger::kernel_memory());
    let start = Instant::now();
    (0..cycles).for_each(|cycle| scene.cycle(cycle, &pod));
    let took = start.elapsed();
    node.snapshot().assert_same(&snapshot);
    until_same("every number is as it was", &before, || ledger::of(node));
    let bound = NOISE + cycles as u64 * DEVICE / 4;
    let grown = || ledger::kernel_memory().saturating_sub(memory);
    // Namespaces and devices are freed some time after they are gone, others' too.
    if cycles >= ENOUGH {
        until("the kernel's memory is as it was", || grown() < bound);
    }
    println!(
        "{cycles} ADD/DEL cycles in {took:.1?}, {:.1} ms each; failures 0; kernel memory +{} kB; {before:?}",
        took.as_secs_f64() * 1e3 / cycles as f64,
        grown()
    );
    ask.check(&result);
    ask.after(&result).del();
    assert_eq!(node.device(&scene.kept.vx()), Value::Null);
}
