//! Commands that never end, with nobody to end them but the plugin: as long as it really takes.

use crate::fault::Fault;
use crate::scene::{Beside, Ipam, Scene, signal};
use crate::support::lab::until;
use crate::support::plugin::Said;

/// Starts a verb and waits until the command at a call hangs; the answer, and what was called.
fn hang(
    scene: &Scene,
    (verb, at): (&str, u32),
    fault: Fault,
    then: impl FnOnce(u32),
) -> (String, String) {
    let ask = scene.prepare(verb);
    let child = scene.start_at(&ask, verb, at, fault);
    until("the command hangs", || scene.hung().is_some());
    then(child.id());
    let told = Said::by(child).error(100);
    (told, scene.fired().unwrap().line)
}

#[test]
fn a_command_that_never_ends_is_killed_when_its_time_is_over_and_everything_taken_back() {
    let scene = Scene::new(Ipam::HostLocal, Beside::Nobody);
    // The one that makes the host side.
    let (told, line) = hang(&scene, ("ADD", 4), Fault::HangAfterwards, |_| {});
    let wanted = format!("`{line}` did not end within 20.0 s and was killed");
    assert!(told.contains(&wanted), "{line}: {told}");
    scene.assert_as_before(&told);
}

#[test]
fn a_del_that_is_told_to_end_waits_five_seconds_for_a_command_and_a_later_del_removes_the_rest() {
    let scene = Scene::new(Ipam::HostLocal, Beside::Nobody);
    // The one that removes the pod's link or, side by side with it, the one that removes its table, which the error
    // quotes as a shell wants it.
    let (told, line) = hang(&scene, ("DEL", 3), Fault::Hang, |pid| signal("TERM", pid));
    assert!(
        told.replace('\'', "").contains(&line) && told.contains(" and was killed"),
        "{line}: {told}"
    );
    scene.recover("DEL", &told);
}
