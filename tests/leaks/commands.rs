//! A fault at every external command of every verb: the error is one JSON document that names the command,
//! other pods keep their traffic, and nothing is left after the DEL or GC that follows.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use serde_json::Value;

use crate::fault::Fault;
use crate::scene::{Beside, Ipam, Scene, Way};
use crate::stand_in::Fired;
use crate::support::plugin::Said;

/// The verbs that start a program.
const VERBS: [&str; 5] = ["ADD", "DEL", "GC", "CHECK", "STATUS"];

/// More points than any verb has: a fault that is met for ever is one too.
const ENDLESS: u32 = 200;

/// How many points each verb had, and what was wrong.
#[derive(Default)]
struct Tried {
    points: [u32; VERBS.len()],
    wrong: Vec<String>,
}

/// Tries faults at every command of every verb, with each IPAM, with and without another pod beside.
fn everywhere(faults: &'static [Fault]) {
    // Half of the time the kernel is waited for, so the scenes run side by side.
    let scenes = Ipam::ALL.map(|(ipam, name)| {
        let beside = [Beside::Nobody, Beside::Another];
        let tried = move |beside| scene(faults, Scene::new(ipam, beside), &VERBS);
        let scenes = beside.map(|beside| thread::spawn(move || tried(beside)));
        (name, scenes)
    });
    let mut wrong = Vec::new();
    for (ipam, scenes) in scenes {
        let [nobody, another] =
            scenes.map(|scene| scene.join().unwrap_or_else(|panic| resume_unwind(panic)));
        for ((fault, one), other) in faults.iter().zip(nobody).zip(another) {
            let both = one.and(other);
            tell(*fault, ipam, &both);
            let points = both.points;
            assert!(points.iter().all(|points| *points > 0), "{points:?}");
            wrong.extend(both.wrong);
        }
    }
    let count = wrong.len();
    assert!(wrong.is_empty(), "{count} wrong:\n{}", wrong.join("\n"));
}

/// One line of the table, shown also where the test passes.
fn tell(fault: Fault, ipam: &str, tried: &Tried) {
    let verb = |(verb, points): (&str, &u32)| format!("{verb} {points:>2}");
    let verbs: Vec<String> = VERBS.into_iter().zip(&tried.points).map(verb).collect();
    let (word, verbs) = (fault.word(), verbs.join(", "));
    let left = match tried.wrong.len() {
        0 => "nothing left".to_owned(),
        wrong => format!("{wrong} wrong"),
    };
    crate::print(&format!(
        "leaks: {word:<17} {ipam:<11} points tried: {verbs}: {left}"
    ));
}

impl Tried {
    fn and(mut self, other: Self) -> Self {
        let pairs = self.points.iter_mut().zip(other.points);
        pairs.for_each(|(points, more)| *points += more);
        self.wrong.extend(other.wrong);
        self
    }
}

/// The same in one scene.
fn scene(faults: &[Fault], mut scene: Scene, verbs: &[&str]) -> Vec<Tried> {
    let mut tried: Vec<Tried> = faults.iter().map(|_| Tried::default()).collect();
    let verbs = VERBS
        .into_iter()
        .enumerate()
        .filter(|(_, verb)| verbs.contains(verb));
    for (index, verb) in verbs {
        for (fault, tried) in faults.iter().zip(&mut tried) {
            tried.points[index] = each(&mut scene, verb, *fault, &mut tried.wrong);
        }
    }
    scene.end();
    tried
}

/// Tries a fault at each command of a verb in turn, until the verb ends without having met it. A point at
/// which something is wrong hides no other. How many there were.
fn each(scene: &mut Scene, verb: &str, fault: Fault, wrong: &mut Vec<String>) -> u32 {
    for at in 1..ENDLESS {
        let point = || point(scene, verb, at, fault);
        match catch_unwind(AssertUnwindSafe(point)) {
            Ok(false) => return at - 1,
            Ok(true) => {}
            Err(panic) => {
                wrong.push(said(panic.as_ref()));
                *scene = scene.anew();
            }
        }
    }
    wrong.push(format!("{fault:?} is met for ever at {verb}"));
    ENDLESS
}

/// What a panic said.
fn said(panic: &dyn std::any::Any) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.unwrap_or_else(|| "a panic without a text".to_owned())
}

/// Tries a fault at one command of a verb. Whether there was one.
fn point(scene: &Scene, verb: &str, at: u32, fault: Fault) -> bool {
    let ask = scene.prepare(verb);
    let (said, fired) = scene.try_at(&ask, verb, at, fault);
    let what = format!("{scene}, {fault:?} at {verb} {at}, {fired:?}: {said:?}");
    match &fired {
        _ if said.code == 0 => {}
        Some(fired) => failed(verb, fault, &said, fired, &what),
        None => panic!("{what}"),
    }
    let done = said.code == 0;
    match verb {
        "CHECK" | "STATUS" => scene.assert_untouched(&what),
        "ADD" if done => {
            let check = scene.ask.after(&said.json()).say("CHECK");
            assert_eq!(check.code, 0, "{what}: {check:?}");
            scene.recover("DEL", &what);
        }
        // It has taken everything back itself, unless nothing worked or it was killed.
        "ADD" if fault != Fault::Broken && !fault.kills() => scene.assert_as_before(&what),
        "DEL" | "GC" if done => scene.assert_as_before(&what),
        // What GC has left, the next GC takes: a runtime may never ask for a DEL again.
        "GC" => scene.recover("GC", &what),
        _ => scene.recover("DEL", &what),
    }
    fired.is_some()
}

/// A verb that failed says so in one document that names the command; one that was killed says nothing.
fn failed(verb: &str, fault: Fault, said: &Said, fired: &Fired, what: &str) {
    if fault.kills() {
        assert_eq!((said.code, &*said.stdout), (-1, ""), "{what}");
        return;
    }
    let error: Value =
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{what}: {error}"));
    let text = |key: &str| error[key].as_str().unwrap_or_default();
    let told = format!("{}; {}", text("msg"), text("details"));
    let code = error["code"].as_u64().unwrap();
    let fits = match verb {
        "STATUS" => matches!(code, 50 | 51),
        _ => matches!(code, 5 | 6 | 11 | 100 | 101),
    };
    assert!(fits, "code {code}: {what}");
    let named = match fault {
        // Several run side by side: told is the one that was waited for.
        _ if told.contains("told to end (SIGTERM) before `") => true,
        Fault::Term | Fault::TermAfterwards => false,
        Fault::Broken => told.contains("Cannot allocate memory") || fired.is_named_in(&told),
        _ => fired.is_named_in(&told),
    };
    assert!(named, "not named: {what}");
}

/// What is tried where a definition was edited, nothing is recorded, or the lease is by the link: a command that does nothing,
/// and a kill behind one.
const ELSEWHERE: [Fault; 2] = [Fault::Refuse, Fault::KillAfterwards];

/// The same with `VXLAN_CNI_LEAKS=all`, which takes minutes.
const ALL_ELSEWHERE: [Fault; 6] = [
    Fault::Refuse,
    Fault::KillAfterwards,
    Fault::Line,
    Fault::RefuseAfterwards,
    Fault::Orphan,
    Fault::Term,
];

#[test]
fn edited_definitions_lost_records_and_leases_by_the_link_leave_nothing() {
    let faults: &'static [Fault] = match std::env::var("VXLAN_CNI_LEAKS").as_deref() {
        Ok("all") => &ALL_ELSEWHERE,
        _ => &ELSEWHERE,
    };
    let (alone, beside) = (Beside::Nobody, Beside::Another);
    let all: [(Ipam, Beside, Way, &[&str]); 4] = [
        (Ipam::Dhcp, alone, Way::Plain, &["ADD", "DEL"]),
        (Ipam::HostLocal, beside, Way::Edited, &["ADD"]),
        (Ipam::HostLocal, beside, Way::Former, &["DEL"]),
        (Ipam::RouteTable, alone, Way::Unrecorded, &["DEL"]),
    ];
    let started = all.map(|(ipam, beside, way, verbs)| {
        let tried = move || scene(faults, Scene::by(ipam, beside, way), verbs);
        (format!("{ipam:?} {way:?}"), thread::spawn(tried))
    });
    let mut wrong = Vec::new();
    for (name, started) in started {
        let tried = started.join().unwrap_or_else(|panic| resume_unwind(panic));
        for (fault, tried) in faults.iter().zip(tried) {
            tell(*fault, &name, &tried);
            assert!(tried.points.iter().any(|points| *points > 0), "{name}");
            wrong.extend(tried.wrong);
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_command_that_fails_leaves_nothing() {
    everywhere(&[Fault::Refuse, Fault::RefuseAfterwards, Fault::Broken]);
}

#[test]
fn a_line_of_a_batch_that_fails_leaves_nothing() {
    everywhere(&[Fault::Line]);
}

#[test]
fn a_command_that_prints_nonsense_leaves_nothing() {
    everywhere(&[Fault::Garbage, Fault::Half]);
}

#[test]
fn a_command_that_hangs_leaves_nothing() {
    everywhere(&[Fault::Hang, Fault::HangAfterwards]);
}

#[test]
fn a_plugin_that_is_killed_at_a_command_leaves_nothing_that_del_does_not_remove() {
    everywhere(&[Fault::Kill, Fault::Orphan, Fault::KillAfterwards]);
}

#[test]
fn a_sigterm_at_a_command_leaves_nothing() {
    everywhere(&[Fault::Term, Fault::TermAfterwards]);
}
