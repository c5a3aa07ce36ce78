//! What the programs say when they fail, as it was seen with every version of iproute2, and the kind that is read
//! from it.

use std::path::PathBuf;

use vxlan_cni::ip::batch::says_absent;
use vxlan_cni::ip::route::says_no_way;
use vxlan_cni::ip::stderr::{Failure, Kind, failures};

use crate::compare::{captured, names, shown};
use crate::transcript::{Said, said};

/// The cases by the first word of their names.
const KINDS: [(&str, Kind); 11] = [
    ("again", Kind::Again),
    ("busy", Kind::Busy),
    ("denied", Kind::Denied),
    ("exists", Kind::Exists),
    ("no-device", Kind::NoDevice),
    ("no-netns", Kind::NoNetns),
    ("no-parent", Kind::NoDevice),
    ("not-found", Kind::NotFound),
    ("other", Kind::Other),
    ("unreachable", Kind::Unreachable),
    ("usage", Kind::Usage),
];

/// What is not what its name says: a look-up that a route forbids says so in words that are used for other
/// things too, so only [`says_no_way`] takes them for "no way there".
const FORBIDDEN: [(&str, Kind); 2] = [
    ("unreachable-by-prohibit", Kind::Denied),
    ("unreachable-by-blackhole", Kind::Other),
];

/// What one version of iproute2 said in each case.
struct Cases(PathBuf);

/// Looks at every version.
fn each(look: impl Fn(&Cases)) {
    captured("stderr").into_iter().map(Cases).for_each(|cases| {
        println!("{}:", shown(&cases.0));
        look(&cases);
    });
}

impl Cases {
    /// Each case with what was said.
    fn all(&self) -> Vec<(String, Vec<Failure>)> {
        let case = |name: String| {
            let failures = failures(&self.said(&name).stderr);
            (name, failures)
        };
        names(&self.0).into_iter().map(case).collect()
    }

    fn said(&self, case: &str) -> Said {
        said(&self.0.join(case))
    }
}

fn kind_of(case: &str) -> Kind {
    let by_name = |(name, _): &&(&str, Kind)| *name == case;
    let by_word = |(word, _): &&(&str, Kind)| case.starts_with(word);
    FORBIDDEN
        .iter()
        .find(by_name)
        .or_else(|| KINDS.iter().find(by_word))
        .unwrap_or_else(|| panic!("stderr/{case}: of which kind is it?"))
        .1
}

#[test]
fn every_message_that_was_seen_is_of_its_kind() {
    each(|cases| {
        for (case, failures) in cases.all() {
            let [failure] = &failures[..] else {
                panic!("stderr/{case}: wanted one failure, read {failures:?}")
            };
            assert_eq!(failure.kind(), kind_of(&case), "stderr/{case}: {failure:?}");
        }
    });
}

#[test]
fn every_kind_was_seen() {
    each(|cases| {
        let all = cases.all();
        for (word, _) in KINDS {
            let seen = all.iter().any(|(case, _)| case.starts_with(word));
            assert!(seen, "no golden file stderr/{word}-...");
        }
    });
}

#[test]
fn the_failing_line_is_the_one_that_ip_names() {
    each(|cases| {
        for (case, failures) in cases.all() {
            let said = cases.said(&case);
            // The last of the lines fails; where `ip` gives up without naming it, there is no number.
            let lines = said.line.matches("' '").count();
            let named = said.stderr.contains("Command failed");
            let wanted = named.then_some(lines);
            assert_eq!(failures[0].line, wanted, "stderr/{case}");
        }
    });
}

#[test]
fn not_there_is_an_answer_and_nothing_else_is() {
    each(|cases| {
        for (case, failures) in cases.all() {
            let wanted = matches!(
                kind_of(&case),
                Kind::NoDevice | Kind::NotFound | Kind::Unreachable
            );
            assert_eq!(says_absent(&failures[0].message), wanted, "stderr/{case}");
        }
    });
}

#[test]
fn a_route_that_forbids_the_way_is_no_way() {
    each(|cases| {
        for (case, failures) in cases.all() {
            let wanted = case.starts_with("unreachable");
            if wanted || case.starts_with("denied") || case.starts_with("other") {
                assert_eq!(says_no_way(&failures[0].message), wanted, "stderr/{case}");
            }
        }
    });
}
