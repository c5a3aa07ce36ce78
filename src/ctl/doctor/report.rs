//! What doctor found, for people and for programs.

use serde_json::{Value, json};

/// Whether something is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It is.
    Well,
    /// It is not.
    Wrong,
    /// Nobody can tell from here.
    Unknown,
}

impl Mark {
    /// For programs.
    fn as_str(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Wrong => "wrong",
            Self::Unknown => "unknown",
        }
    }

    /// For people; `plain` where the terminal knows ASCII only.
    fn sign(self, plain: bool) -> &'static str {
        match (self, plain) {
            (Self::Well, false) => "✓",
            (Self::Wrong, false) => "✗",
            (Self::Well, true) => "ok",
            (Self::Wrong, true) => "NO",
            (Self::Unknown, _) => "-",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was found.
    pub what: String,
    /// Whether that is well.
    pub mark: Mark,
    /// The command that shows it.
    pub see: Option<String>,
    /// What mends it: a command where there is one.
    pub mend: Option<String>,
}

impl Finding {
    fn new(mark: Mark, what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            mark,
            see: None,
            mend: None,
        }
    }

    /// Something is as it should be.
    pub fn well(what: impl Into<String>) -> Self {
        Self::new(Mark::Well, what)
    }

    /// Something is not.
    pub fn wrong(what: impl Into<String>) -> Self {
        Self::new(Mark::Wrong, what)
    }

    /// Nobody can tell.
    pub fn unknown(what: impl Into<String>) -> Self {
        Self::new(Mark::Unknown, what)
    }

    /// The command that shows it.
    pub fn see(mut self, command: impl Into<String>) -> Self {
        self.see = Some(command.into());
        self
    }

    /// What mends it.
    pub fn mend(mut self, command: impl Into<String>) -> Self {
        self.mend = Some(command.into());
        self
    }

    fn text(&self, plain: bool) -> String {
        let line = |word: &str, text: &Option<String>| {
            let text = text.as_ref().filter(|_| self.mark != Mark::Well);
            text.map_or_else(String::new, |text| format!("      {word:<5} {text}\n"))
        };
        format!(
            "  {} {}\n{}{}",
            self.mark.sign(plain),
            self.what,
            line("see", &self.see),
            line("mend", &self.mend)
        )
    }

    fn document(&self) -> Value {
        json!({"what": self.what, "state": self.mark.as_str(), "see": self.see, "mend": self.mend})
    }
}

/// Findings about one thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// About what.
    pub about: String,
    /// What was found by itself.
    pub findings: Vec<Finding>,
    /// What was found of many alike: those that hold are counted.
    pub facts: Vec<(String, Vec<Finding>)>,
}

impl Section {
    /// One about something.
    pub fn new(about: impl Into<String>, findings: Vec<Finding>) -> Self {
        Self {
            about: about.into(),
            findings,
            facts: Vec::new(),
        }
    }

    fn all(&self) -> impl Iterator<Item = (&str, &Finding)> {
        let own = self.findings.iter().map(|finding| ("", finding));
        let facts = self
            .facts
            .iter()
            .flat_map(|(of, findings)| findings.iter().map(move |finding| (of.as_str(), finding)));
        own.chain(facts)
    }

    fn text(&self, plain: bool, verbose: bool) -> String {
        let own = self.findings.iter().map(|finding| finding.text(plain));
        let facts = self.facts.iter();
        let facts = facts.map(|(of, findings)| facts_text(of, findings, plain, verbose));
        let lines: String = own.chain(facts).collect();
        format!("{}\n{lines}", self.about)
    }
}

/// Those of one thing that hold in one line, the others by themselves.
fn facts_text(of: &str, findings: &[Finding], plain: bool, verbose: bool) -> String {
    let of_one = |finding: &&Finding| verbose || finding.mark != Mark::Well;
    let named = |finding: &Finding| Finding {
        what: format!("{of}: {}", finding.what),
        ..finding.clone()
    };
    let each: String = findings
        .iter()
        .filter(of_one)
        .map(|finding| named(finding).text(plain))
        .collect();
    let hold = findings.iter().filter(|one| one.mark == Mark::Well).count();
    let counted = match verbose {
        true => String::new(),
        false if hold == findings.len() => {
            Finding::well(format!("{of}: all {hold} facts hold")).text(plain)
        }
        false => {
            Finding::unknown(format!("{of}: {hold} of {} facts hold", findings.len())).text(plain)
        }
    };
    each + &counted
}

/// Everything that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report(pub Vec<Section>);

impl Report {
    fn count(&self, mark: Mark) -> usize {
        let all = self.0.iter().flat_map(Section::all);
        all.filter(|(_, finding)| finding.mark == mark).count()
    }

    /// Whether nothing is wrong.
    pub fn is_well(&self) -> bool {
        self.count(Mark::Wrong) == 0
    }

    /// For people.
    pub fn text(&self, plain: bool, verbose: bool) -> String {
        let sections = self.0.iter().map(|section| section.text(plain, verbose));
        let (wrong, unknown) = (self.count(Mark::Wrong), self.count(Mark::Unknown));
        let all = self.count(Mark::Well) + wrong + unknown;
        let sum = match (wrong, unknown) {
            (0, 0) => format!("nothing is wrong: {all} of {all} are as they should be"),
            (0, _) => format!("nothing is wrong; {unknown} of {all} cannot be told from here"),
            _ => {
                format!("{wrong} of {all} are wrong; `vxlan repair` mends what is this node's own")
            }
        };
        format!("{}{sum}\n", sections.collect::<String>())
    }

    /// For programs: `well`, and `findings`, each with `about`, `of`, `what`, `state`, `see`, `mend`.
    pub fn document(&self) -> Value {
        let each = self.0.iter().flat_map(|section| {
            section.all().map(|(of, finding)| {
                let mut value = json!({"about": section.about, "of": of});
                if let (Some(into), Value::Object(from)) =
                    (value.as_object_mut(), finding.document())
                {
                    into.extend(from);
                }
                value
            })
        });
        json!({"well": self.is_well(), "findings": each.collect::<Vec<_>>()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let broken = Finding::wrong("mv_blue is up: found down")
            .see("ip link show dev mv_blue")
            .mend("ip link set dev mv_blue up");
        let facts = vec![Finding::well("vx_blue is up"), broken];
        Report(vec![Section {
            about: "network blue".to_owned(),
            findings: vec![Finding::unknown("nobody to ask").see("arping")],
            facts: vec![
                ("node".to_owned(), facts),
                ("web".to_owned(), vec![Finding::well("eth0 is up"); 2]),
            ],
        }])
    }

    #[test]
    fn what_holds_is_counted_and_what_does_not_comes_with_how_to_see_and_mend_it() {
        let text = report().text(false, false);
        let wanted = "network blue\n  - nobody to ask\n      see   arping\n  \
            ✗ node: mv_blue is up: found down\n      see   ip link show dev mv_blue\n      \
            mend  ip link set dev mv_blue up\n  - node: 1 of 2 facts hold\n  \
            ✓ web: all 2 facts hold\n1 of 5 are wrong; `vxlan repair` mends what is this node's own\n";
        assert_eq!(text, wanted);
        assert!(!report().is_well());
    }

    #[test]
    fn a_terminal_that_knows_ascii_only_gets_nothing_else() {
        assert!(report().text(true, true).is_ascii());
        assert!(report().text(true, true).contains("ok web: eth0 is up"));
    }

    #[test]
    fn a_program_gets_every_finding_by_itself() {
        let document = report().document();
        assert_eq!(document["well"], false);
        assert_eq!(document["findings"].as_array().map(Vec::len), Some(5));
        assert_eq!(
            document["findings"][2]["mend"],
            "ip link set dev mv_blue up"
        );
    }
}
