//! Records that are cut short, as a power cut leaves them.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use crate::scene::{Beside, Ipam, Scene};

/// How many lengths are tried of each record.
const LENGTHS: u64 = 5;

/// Cuts a file to a part of its length, from nothing to all but its last byte.
fn cut(file: &Path, part: u64) {
    let length = fs::metadata(file).unwrap().len();
    let file = OpenOptions::new().write(true).open(file).unwrap();
    file.set_len((length - 1) * part / (LENGTHS - 1)).unwrap();
}

/// The records of a pod in a folder and those below it, by what they say.
fn of_pod(dir: &Path, container: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(of_pod(&path, container)),
            false if fs::read_to_string(&path).unwrap().contains(container) => found.push(path),
            false => {}
        }
    }
    found
}

/// Cuts the pod's records in a folder at every length: CHECK tells, GC gets by, the attachments of others
/// stay, and a DEL removes everything. How many were cut.
fn cut_short(scene: &Scene, folder: &Path, after_gc: impl Fn(&Scene, &[PathBuf])) -> usize {
    let mut cuts = 0;
    for part in 0..LENGTHS {
        let result = scene.ask.add();
        let records = of_pod(folder, scene.container());
        assert!(!records.is_empty());
        records.iter().for_each(|record| cut(record, part));
        cuts += records.len();
        let what = format!("{scene}: {records:?} cut to {part} of {}", LENGTHS - 1);
        let told = scene.ask.check_refused(&result, 101);
        assert!(told.contains("the record "), "{what}: {told}");
        scene.question("GC").say("GC").ok();
        after_gc(scene, &records);
        scene.recover("DEL", &what);
    }
    cuts
}

/// The same with each IPAM, alone and beside another pod.
fn everywhere(
    whose: &str,
    ipams: &[(Ipam, &str)],
    folder: impl Fn(&Scene) -> PathBuf,
    after_gc: impl Fn(&Scene, &[PathBuf]),
) {
    for (ipam, name) in ipams {
        let cuts = [Beside::Nobody, Beside::Another].map(|beside| {
            let scene = Scene::new(*ipam, beside);
            let cuts = cut_short(&scene, &folder(&scene), &after_gc);
            scene.end();
            cuts
        });
        let cuts = cuts[0] + cuts[1];
        crate::print(&format!(
            "leaks: record of {whose} cut short, {name}: {cuts} cuts: nothing left"
        ));
    }
}

#[test]
fn a_record_that_is_cut_short_hinders_nobody_and_goes_with_the_del() {
    let folder = |scene: &Scene| scene.node().data();
    everywhere("vxlan", &Ipam::ALL, folder, |_, records| {
        // Nobody can tell whose it is.
        assert!(records.iter().all(|record| record.exists()));
    });
}

#[test]
fn a_claims_record_that_is_cut_short_hinders_nobody_and_goes_with_the_del() {
    // Its other name, in the folder of its owner, is the same file.
    let ours = &Ipam::ALL[1..];
    let folder = |scene: &Scene| scene.node().ipam().join("address");
    everywhere("route-table", ours, folder, |scene, _| {
        // The plugin's own record tells whose it is.
        scene.assert_as_before("GC of a claim whose record is cut short");
    });
}
