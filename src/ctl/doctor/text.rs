//! What doctor found, for people: one line for each cause.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;

use super::report::{Cause, Finding, Id, Report, Section, State};

/// What the facts of the host side are of.
pub const HOST_SIDE: &str = "the host side";

/// How it is shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// For a terminal that knows ASCII only.
    pub plain: bool,
    /// In colours.
    pub colours: bool,
    /// With what is as it should be.
    pub ticks: bool,
    /// Every fact by itself, and what follows from another finding.
    pub verbose: bool,
}

impl Style {
    /// As this terminal, or what reads stdout in its place, wants it: a person what is wrong, a program everything; colours
    /// not for those who said no (<https://no-color.org>).
    pub fn of(all: bool, verbose: bool) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = std::io::stdout().is_terminal();
        Self {
            plain: is_plain(),
            colours: terminal && !dumb && !is_set("NO_COLOR"),
            ticks: all || verbose || !terminal,
            verbose,
        }
    }

    fn shows(self, finding: &Finding, following: &Followers<'_>) -> bool {
        let wanted = self.ticks || finding.state != State::Ok;
        let cause = finding.follows_from.as_ref();
        wanted && (self.verbose || !cause.is_some_and(|cause| following.contains_key(cause)))
    }

    fn sign(self, state: State) -> String {
        let (sign, colour) = match (state, self.plain) {
            (State::Ok, false) => ("✓", "32"),
            (State::Failed, false) => ("✗", "31"),
            (State::Ok, true) => ("ok", "32"),
            (State::Failed, true) => ("NO", "31"),
            (State::Unknown, _) => ("-", "33"),
        };
        match self.colours {
            true => format!("\u{1b}[{colour}m{sign}\u{1b}[0m"),
            false => sign.to_owned(),
        }
    }
}

/// Whether the terminal knows ASCII only: the first of these that is set says (POSIX, locale).
fn is_plain() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty());
    let utf8 = |locale: String| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    };
    !set.is_some_and(utf8)
}

/// What follows from each cause.
type Followers<'a> = BTreeMap<Cause, Following<'a>>;

/// What follows from one finding.
#[derive(Debug, Default)]
struct Following<'a> {
    facts: usize,
    /// The attachments of which some are.
    attachments: Vec<&'a str>,
    others: usize,
}

impl Following<'_> {
    fn count(&self) -> usize {
        self.facts + self.others
    }

    /// Behind the cause.
    fn text(&self) -> String {
        let some = |count: usize, one: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            more => Some(format!("{more} {one}s")),
        };
        let facts = some(self.facts, "fact").map(|facts| {
            let of = some(self.attachments.len(), "attachment");
            facts + &of.map_or_else(String::new, |of| format!(" ({of})"))
        });
        let others = some(
            self.others,
            if facts.is_some() {
                "other finding"
            } else {
                "finding"
            },
        );
        let all: Vec<String> = facts.into_iter().chain(others).collect();
        let verb = if self.count() == 1 {
            "follows"
        } else {
            "follow"
        };
        format!("; {} {verb} from it", all.join(" and "))
    }
}

/// For people; `advice` is said where something failed.
pub fn text(report: &Report, style: Style, advice: &str) -> String {
    // A finding that follows from a cause which is not shown is shown itself.
    let causes: BTreeSet<Cause> = report
        .0
        .iter()
        .flat_map(Section::all)
        .map(|(of, finding)| Cause::new(of, &finding.message))
        .collect();
    let mut following = Followers::new();
    for (of, finding) in report.0.iter().flat_map(Section::all) {
        let cause = finding.follows_from.as_ref();
        let Some(cause) = cause.filter(|cause| causes.contains(cause)) else {
            continue;
        };
        let one = following.entry(cause.clone()).or_default();
        match finding.id {
            Id::Fact => one.facts += 1,
            _ => one.others += 1,
        }
        if finding.id == Id::Fact && of != HOST_SIDE && !one.attachments.contains(&of) {
            one.attachments.push(of);
        }
    }
    let sections = report.0.iter().map(|one| section(one, style, &following));
    sections.collect::<String>() + &sum(report, advice)
}

fn sum(report: &Report, advice: &str) -> String {
    let (failed, unknown) = (report.count(State::Failed), report.count(State::Unknown));
    let all = report.count(State::Ok) + failed + unknown;
    let follow =
        |(_, one): &(&str, &Finding)| one.follows_from.is_some() && one.state == State::Failed;
    let follow = report
        .0
        .iter()
        .flat_map(Section::all)
        .filter(follow)
        .count();
    let told = match (failed, unknown) {
        (0, 0) => format!("nothing is wrong: {all} of {all} are as they should be"),
        (0, _) => format!("nothing is wrong; {unknown} of {all} cannot be told from here"),
        _ if follow > 0 => {
            format!("{failed} of {all} failed, {follow} of them because of others{advice}")
        }
        _ => format!("{failed} of {all} failed{advice}"),
    };
    format!("{told}\n")
}

fn section(section: &Section, style: Style, following: &Followers<'_>) -> String {
    let own = section
        .findings
        .iter()
        .filter(|one| style.shows(one, following));
    let own = own.map(|one| finding("", one, style, following));
    let facts = section.facts.iter();
    let facts = facts.map(|(of, findings)| facts_of(of, findings, style, following));
    let lines: String = own.chain(facts).collect();
    match lines.is_empty() {
        true => String::new(),
        false => format!("{}\n{lines}", section.about),
    }
}

/// Those of one thing that hold in one line, the others by themselves.
fn facts_of(of: &str, findings: &[Finding], style: Style, following: &Followers<'_>) -> String {
    let by_itself =
        |one: &&Finding| style.shows(one, following) && (style.verbose || one.state != State::Ok);
    let each = findings.iter().filter(by_itself);
    let each: String = each.map(|one| finding(of, one, style, following)).collect();
    let (all, hold) = (
        findings.len(),
        findings.iter().filter(|one| one.state == State::Ok).count(),
    );
    let counted = match hold == all {
        _ if style.verbose || !style.ticks => return each,
        true => Finding::ok(Id::Fact, format!("{of}: all {hold} facts hold")),
        false => Finding::unknown(Id::Fact, format!("{of}: {hold} of {all} facts hold")),
    };
    each + &finding("", &counted, style, following)
}

fn finding(of: &str, finding: &Finding, style: Style, following: &Followers<'_>) -> String {
    let line = |word: &str, text: &Option<String>| {
        let text = text.as_ref().filter(|_| finding.state != State::Ok);
        text.map_or_else(String::new, |text| format!("      {word:<7}  {text}\n"))
    };
    let follow = following.get(&Cause::new(of, &finding.message));
    let of = match of {
        "" => String::new(),
        of => format!("{of}: "),
    };
    format!(
        "  {} {of}{}{}\n{}{}",
        style.sign(finding.state),
        finding.message,
        follow.map(Following::text).unwrap_or_default(),
        line("inspect", &finding.inspect),
        line("fix", &finding.fix)
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::report::tests::report;
    use super::*;

    const ADVICE: &str = "; run `vxlan repair`";

    pub(in crate::ctl::doctor) const TICKS: Style = Style {
        plain: false,
        colours: false,
        ticks: true,
        verbose: false,
    };

    #[test]
    fn what_holds_is_counted_and_what_does_not_comes_with_how_to_inspect_and_fix_it() {
        let wanted = "network blue\n  - no host to ask\n      inspect  arping\n  \
            ✗ node: mv_blue is up: found down\n      inspect  ip link show dev mv_blue\n      \
            fix      ip link set dev mv_blue up\n  - node: 1 of 2 facts hold\n  \
            ✓ web: all 2 facts hold\n1 of 5 failed; run `vxlan repair`\n";
        assert_eq!(text(&report(), TICKS, ADVICE), wanted);
    }

    #[test]
    fn without_ticks_there_is_what_failed_and_what_is_unknown() {
        let style = Style {
            ticks: false,
            colours: true,
            ..TICKS
        };
        let wanted = "network blue\n  \u{1b}[33m-\u{1b}[0m no host to ask\n      inspect  arping\n  \
            \u{1b}[31m✗\u{1b}[0m node: mv_blue is up: found down\n      inspect  ip link show dev mv_blue\n      \
            fix      ip link set dev mv_blue up\n1 of 5 failed; run `vxlan repair`\n";
        assert_eq!(text(&report(), style, ADVICE), wanted);
        let well = Report(vec![Section::new(
            "this node",
            vec![Finding::ok(Id::Fact, "it is")],
        )]);
        let wanted = "nothing is wrong: 1 of 1 are as they should be\n";
        assert_eq!(text(&well, style, ADVICE), wanted);
    }

    #[test]
    fn one_cause_is_one_line_with_how_much_follows_from_it() {
        let missing = "vxlan vx_blue is there: missing";
        let cause = Cause::new(HOST_SIDE, missing);
        let follows =
            |message: &str| Finding::failed(Id::Fact, message).follows_from(cause.clone());
        let no_answer = Finding::failed(Id::PeerReach, "198.18.0.2 does not answer");
        let report = Report(vec![Section {
            about: "network blue".to_owned(),
            findings: vec![no_answer.follows_from(cause.clone())],
            facts: vec![
                (
                    HOST_SIDE.to_owned(),
                    vec![
                        Finding::failed(Id::Fact, missing),
                        follows("a"),
                        follows("b"),
                    ],
                ),
                ("web".to_owned(), vec![follows("c")]),
            ],
        }]);
        let style = Style {
            ticks: false,
            ..TICKS
        };
        let wanted = "network blue\n  ✗ the host side: vxlan vx_blue is there: missing; \
            3 facts (1 attachment) and 1 other finding follow from it\n5 of 5 failed, 4 of them because of others\n";
        assert_eq!(text(&report, style, ""), wanted);
        let style = Style {
            verbose: true,
            ..TICKS
        };
        for message in ["a", "b", "c", "198.18.0.2 does not answer"] {
            assert!(
                text(&report, style, "").contains(&format!("{message}\n")),
                "{message}"
            );
        }
    }

    #[test]
    fn what_follows_from_a_cause_that_is_not_told_is_told_itself() {
        let cause = Cause::new(HOST_SIDE, "mv_blue is up: found down");
        let claim = Finding::failed(Id::Claim, "the claim is missing").follows_from(cause);
        let report = Report(vec![Section::new("claims", vec![claim])]);
        let style = Style {
            ticks: false,
            ..TICKS
        };
        let text = text(&report, style, "");
        assert!(text.contains("✗ the claim is missing\n"), "{text}");
    }

    #[test]
    fn a_terminal_that_knows_ascii_only_gets_nothing_else() {
        let style = Style {
            plain: true,
            verbose: true,
            ..TICKS
        };
        let text = text(&report(), style, ADVICE);
        assert!(text.is_ascii() && text.contains("ok web: eth0 is up"));
    }
}
