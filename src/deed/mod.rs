//! A journal's text, read back: which verb ran when, with which commands, and what came of it.
//!
//! A line belongs to the nearest head above it, and verbs that ran at the same time repeat theirs
//! ([`crate::journal`] writes them so). Knows the text only, not where it comes from.

pub mod act;
pub mod filter;
pub mod merged;
pub mod standing;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

/// How a time is written, a digit for each 0.
const TIME: &str = "0000-00-00T00:00:00.000Z";

/// What stands in the place of an end that is not there.
const NO_END: &str = "# no end: it is under way, or was killed";

/// One verb as a journal tells of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deed {
    /// When its first line was written, RFC 3339 in UTC with milliseconds: sorts as text.
    pub started: String,
    /// When it began, which is before it had something to write.
    pub began: String,
    /// The journal's file; empty where it is not known.
    pub journal: String,
    /// `ADD`, `DEL`, `RECONCILE` and the like.
    pub verb: String,
    /// The network as its journal names it; the IPAM's journal has the name of the CNI network.
    pub network: Option<String>,
    /// The network that an IPAM's verb was for, where that is known.
    pub joined: Option<String>,
    /// `CONTAINER/IFNAME`.
    pub id: Option<String>,
    /// `NAMESPACE/NAME`.
    pub pod: Option<String>,
    /// What chose the network.
    pub because: Option<String>,
    /// Commands and remarks.
    pub lines: Vec<Line>,
    /// What came of it; none while it runs, and of one that was killed.
    pub end: Option<End>,
}

/// One line of a verb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its place in the journal, counted from the first line that was read.
    pub position: usize,
    /// A command, or a remark with its `#`.
    pub text: String,
}

impl Line {
    /// Whether it is a command.
    pub fn is_command(&self) -> bool {
        !self.text.starts_with('#')
    }
}

/// What came of a verb.
#[derive(Debug, Clone, PartialEq)]
pub struct End {
    /// When.
    pub time: String,
    /// Whether it did what it was asked.
    pub ok: bool,
    /// How long it took.
    pub milliseconds: f64,
    /// Addresses, or why it failed.
    pub rest: String,
}

impl Deed {
    /// `VERB NETWORK CONTAINER/IFNAME`, as far as it has them.
    pub fn subject(&self) -> String {
        let parts = [self.network.as_deref(), self.id.as_deref()];
        let parts = parts.into_iter().flatten();
        std::iter::once(self.verb.as_str())
            .chain(parts)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Its head line.
    pub fn head(&self) -> String {
        let note = |name: &str, value: &Option<String>| {
            let value = value.as_deref();
            value.map_or(String::new(), |value| format!(" {name}={value}"))
        };
        let notes = note("pod", &self.pod) + &note("because", &self.because);
        format!("# {} {}{notes}", self.started, self.subject())
    }

    /// Its last line, where it has one.
    pub fn tail(&self) -> Option<String> {
        let end = self.end.as_ref()?;
        let word = if end.ok { "ok" } else { "failed" };
        let (time, subject) = (&end.time, self.subject());
        let line = format!(
            "# {time} {subject} {word} {:.1} ms {}",
            end.milliseconds, end.rest
        );
        Some(line.trim_end().to_owned())
    }

    /// All of it as it stands in the journal, with its lines together. One without an end says so.
    pub fn text(&self) -> Vec<String> {
        let tail = self.tail().unwrap_or_else(|| NO_END.to_owned());
        self.so_far().into_iter().chain([tail]).collect()
    }

    /// Its head and its lines; nothing of one that ended before it had any.
    pub fn so_far(&self) -> Vec<String> {
        let head = (!self.lines.is_empty() || self.end.is_none()).then(|| self.head());
        let lines = self.lines.iter().map(|line| line.text.clone());
        head.into_iter().chain(lines).collect()
    }

    /// Whether it failed; one without an end was cut off, or is under way.
    pub fn failed(&self) -> bool {
        self.end.as_ref().is_some_and(|end| !end.ok)
    }

    /// The container's id.
    pub fn container(&self) -> Option<&str> {
        self.id.as_deref()?.split('/').next()
    }

    /// The container's interface.
    pub fn ifname(&self) -> Option<&str> {
        self.id.as_deref()?.split_once('/').map(|(_, name)| name)
    }

    /// Its commands.
    pub fn commands(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.is_command())
    }

    /// The network as the configuration names it, as far as that is known.
    pub fn on(&self) -> Option<&str> {
        self.joined.as_deref().or(self.network.as_deref())
    }

    /// As an object: `time`, `journal`, `verb`, `network`, `container`, `ifname`, `pod`, `because`, `outcome`
    /// (`ok`, `failed`, or null), `milliseconds`, `output` (addresses, or why it failed), `commands`,
    /// `remarks`. What is not known is null.
    pub fn to_json(&self) -> Value {
        let outcome = |end: &End| if end.ok { "ok" } else { "failed" };
        let end = self.end.as_ref();
        let commands: Vec<&str> = self.commands().map(|line| line.text.as_str()).collect();
        let remarks = self.lines.iter().filter(|line| !line.is_command());
        let remarks: Vec<&str> = remarks
            .map(|line| line.text.trim_start_matches(['#', ' ']))
            .collect();
        json!({
            "time": self.started,
            "journal": self.journal,
            "verb": self.verb,
            "network": self.on(),
            "container": self.container(),
            "ifname": self.ifname(),
            "pod": self.pod,
            "because": self.because,
            "outcome": end.map(outcome),
            "milliseconds": end.map(|end| end.milliseconds),
            "output": end.map(|end| end.rest.as_str()),
            "commands": commands,
            "remarks": remarks,
        })
    }

    /// Whether one of a head's words is a subject of this verb's.
    fn is_of(&self, other: &Self) -> bool {
        (&self.verb, &self.network, &self.id) == (&other.verb, &other.network, &other.id)
    }
}

/// What a line of the journal says.
enum Said {
    Head(Box<Deed>),
    End(Box<Deed>),
    Line,
}

fn said(text: &str) -> Said {
    let Some((time, rest)) = title(text) else {
        return Said::Line;
    };
    let words: Vec<&str> = rest.split(' ').collect();
    match (1..=3).find_map(|from| end(time, &words, from).map(|end| (from, end))) {
        Some((from, end)) => Said::End(Box::new(Deed {
            end: Some(end),
            ..subject(time, &words[..from])
        })),
        None => Said::Head(Box::new(Deed {
            pod: note(rest, " pod=").and_then(|pod| pod.split(' ').next().map(str::to_owned)),
            because: note(rest, " because=").map(str::to_owned),
            ..subject(time, &words)
        })),
    }
}

/// `# TIME VERB REST`: what opens a verb's lines, and what closes them. The time, and what follows.
fn title(text: &str) -> Option<(&str, &str)> {
    let (time, rest) = text.strip_prefix("# ")?.split_once(' ')?;
    let fits = |(is, like): (u8, u8)| is == like || like == b'0' && is.is_ascii_digit();
    let is_time = time.len() == TIME.len() && time.bytes().zip(TIME.bytes()).all(fits);
    let verb = rest.split(' ').next().unwrap_or_default();
    let is_verb = !verb.is_empty() && verb.bytes().all(|byte| byte.is_ascii_uppercase());
    (is_time && is_verb).then_some((time, rest))
}

/// `ok MS ms REST` or `failed MS ms REST` behind a subject.
fn end(time: &str, words: &[&str], from: usize) -> Option<End> {
    let ok = match *words.get(from)? {
        "ok" => true,
        "failed" => false,
        _ => return None,
    };
    let milliseconds = words.get(from + 1)?.parse().ok()?;
    (*words.get(from + 2)? == "ms").then(|| End {
        time: time.to_owned(),
        ok,
        milliseconds,
        rest: words[from + 3..].join(" "),
    })
}

/// `VERB NETWORK CONTAINER/IFNAME`; a note ends it.
fn subject(time: &str, words: &[&str]) -> Deed {
    let word = |index: usize| {
        let before = words.get(1..=index)?;
        let noted = before.iter().any(|word| word.contains('='));
        (!noted).then(|| words[index].to_owned())
    };
    Deed {
        started: time.to_owned(),
        began: time.to_owned(),
        verb: words.first().map_or(String::new(), |&verb| verb.to_owned()),
        network: word(1),
        // A verb of no container in particular says so.
        id: word(2).filter(|id| id != "-" && id != "/"),
        ..Deed::default()
    }
}

fn note<'a>(rest: &'a str, name: &str) -> Option<&'a str> {
    rest.split_once(name).map(|(_, value)| value)
}

/// What a line made of a journal's reading.
#[derive(Debug)]
pub enum Heard<'a> {
    /// A verb goes on, with this line or without one.
    Goes(&'a Deed, Option<&'a Line>),
    /// A verb is over.
    Over(Box<Deed>),
    /// A line that no verb above it claims.
    Stray,
}

/// Reads a journal line by line.
#[derive(Debug, Default)]
pub struct Reader {
    open: BTreeMap<usize, Deed>,
    killed: Vec<Deed>,
    current: Option<usize>,
    position: usize,
}

impl Reader {
    /// Takes the next line.
    pub fn hear(&mut self, text: &str) -> Heard<'_> {
        self.position += 1;
        match said(text) {
            Said::Head(head) => {
                let number = self.number_of(*head);
                self.current = Some(number);
                self.goes(number, None)
            }
            Said::End(end) => Heard::Over(Box::new(self.over(*end))),
            Said::Line => self.line(text),
        }
    }

    /// The verbs that go on.
    pub fn going(&self) -> impl Iterator<Item = &Deed> {
        self.open.values()
    }

    /// The verbs that have not ended.
    pub fn unfinished(self) -> impl Iterator<Item = Deed> {
        self.killed.into_iter().chain(self.open.into_values())
    }

    fn goes(&self, number: usize, line: Option<usize>) -> Heard<'_> {
        match self.open.get(&number) {
            Some(deed) => Heard::Goes(deed, line.and_then(|line| deed.lines.get(line))),
            None => Heard::Stray,
        }
    }

    fn line(&mut self, text: &str) -> Heard<'_> {
        let Some((number, deed)) = self
            .current
            .and_then(|number| Some((number, self.open.get_mut(&number)?)))
        else {
            return Heard::Stray;
        };
        deed.lines.push(Line {
            position: self.position,
            text: text.to_owned(),
        });
        let last = deed.lines.len() - 1;
        self.goes(number, Some(last))
    }

    /// A head opens a verb, or is the repeated one of a verb that goes on. A container's verbs come one
    /// after the other, so another verb that is still open was killed.
    fn number_of(&mut self, head: Deed) -> usize {
        let mut latest = self.open.iter().rev();
        let same = |deed: &Deed| deed.is_of(&head) || deed.id.is_some() && deed.id == head.id;
        match latest.find(|(_, deed)| same(deed)) {
            Some((number, deed)) if deed.is_of(&head) => return *number,
            Some((number, _)) => {
                let number = *number;
                self.killed.extend(self.open.remove(&number));
            }
            None => {}
        }
        self.open.insert(self.position, head);
        self.position
    }

    fn over(&mut self, end: Deed) -> Deed {
        let mut open = self.open.iter().rev();
        let found = open.find(|(_, deed)| deed.is_of(&end));
        let found = found.map(|(number, _)| *number);
        // One that ended before it changed anything has no head.
        let deed = found.and_then(|number| self.open.remove(&number));
        let deed = deed.unwrap_or_else(|| end.clone());
        Deed {
            began: beginning(&deed, end.end.as_ref()),
            end: end.end,
            ..deed
        }
    }
}

/// The end less the time it took; the milliseconds are rounded.
fn beginning(deed: &Deed, end: Option<&End>) -> String {
    let counted = |end: &End| {
        let took = Duration::try_from_secs_f64((end.milliseconds + 1.0) / 1e3).ok()?;
        let ended = humantime::parse_rfc3339(&end.time).ok()?;
        // No time before that can be written.
        let first = humantime::parse_rfc3339("1970-01-01T00:00:00Z").ok()?;
        let began = ended.checked_sub(took)?.max(first);
        Some(humantime::format_rfc3339_millis(began).to_string())
    };
    let counted = end.and_then(counted);
    counted.map_or(deed.started.clone(), |began| {
        began.min(deed.started.clone())
    })
}

/// Every verb that lines tell of, by its start.
pub fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Deed> {
    let mut reader = Reader::default();
    let mut deeds = Vec::new();
    for line in lines {
        if let Heard::Over(deed) = reader.hear(line) {
            deeds.push(*deed);
        }
    }
    deeds.extend(reader.unfinished());
    deeds.sort_by(|a, b| a.began.cmp(&b.began));
    deeds
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    pub(super) const MIXED: &str = "\
# 2031-05-02T10:00:00.100Z ADD blue a/eth0 pod=shop/web-1 because=annotation x=y
ip link add vx_blue type vxlan id 100
# 2031-05-02T10:00:00.101Z ADD blue b/eth0
ip link add name eth0 link vx_blue netns b type macvlan mode bridge
# 2031-05-02T10:00:00.102Z ADD blue a/eth0 pod=shop/web-1 because=annotation x=y
ip link set dev vx_blue up
# a remark
# 2031-05-02T10:00:00.103Z ADD blue b/eth0 failed 0.5 ms 11: try again
# 2031-05-02T10:00:00.107Z ADD blue a/eth0 ok 7.9 ms 10.1.0.23/16 fd10::23/64
# 2031-05-02T10:00:00.200Z RECONCILE ok 2.0 ms put back 1, dropped 0, failed 0
# 2031-05-02T10:00:00.300Z DEL - c/eth0 ok 1.0 ms
";

    #[test]
    fn verbs_that_ran_at_the_same_time_are_told_apart() {
        let deeds = read(MIXED.lines());
        let subjects: Vec<String> = deeds.iter().map(Deed::subject).collect();
        assert_eq!(
            subjects,
            [
                "ADD blue a/eth0",
                "ADD blue b/eth0",
                "RECONCILE",
                "DEL - c/eth0"
            ]
        );
        let lines = |deed: &Deed| {
            deed.lines
                .iter()
                .map(|line| line.position)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (lines(&deeds[0]), lines(&deeds[1])),
            (vec![2, 6, 7], vec![4])
        );
        assert_eq!(deeds[0].pod.as_deref(), Some("shop/web-1"));
        assert_eq!(deeds[0].because.as_deref(), Some("annotation x=y"));
        let end = deeds[0].end.as_ref().unwrap();
        assert_eq!((end.ok, end.milliseconds), (true, 7.9));
        assert_eq!(end.rest, "10.1.0.23/16 fd10::23/64");
        assert!(deeds[1].failed() && deeds[1].end.as_ref().unwrap().rest == "11: try again");
        assert_eq!(deeds[2].network, None);
        assert_eq!(deeds[3].container(), Some("c"));
    }

    #[test]
    fn a_verb_says_its_head_and_its_end_as_the_journal_has_them() {
        let deeds = read(MIXED.lines());
        let lines: Vec<&str> = MIXED.lines().collect();
        assert_eq!(deeds[0].head(), lines[0]);
        assert_eq!(deeds[0].tail().unwrap(), lines[8]);
        assert_eq!(deeds[2].tail().unwrap(), lines[9]);
        assert_eq!(deeds[3].tail().unwrap(), lines[10]);
        assert_eq!(deeds[3].text(), [lines[10]]);
        let whole = [0, 1, 5, 6, 8].map(|line| lines[line]);
        assert_eq!(deeds[0].text(), whole);
        let cut = read(lines[..2].iter().copied());
        assert_eq!(cut[0].text(), [lines[0], lines[1], NO_END]);
    }

    #[test]
    fn an_add_after_one_that_was_killed_and_its_del_is_another_add() {
        let text = "\
# 2031-05-02T10:00:00.100Z ADD blue a/eth0
true 1
# 2031-05-02T10:00:01.000Z DEL blue a/eth0
true 2
# 2031-05-02T10:00:01.001Z DEL blue a/eth0 ok 1.0 ms
# 2031-05-02T10:00:02.000Z ADD blue a/eth0
true 3
";
        let deeds = read(text.lines());
        let shape = |deed: &Deed| (deed.verb.clone(), deed.lines.len(), deed.end.is_some());
        let shapes: Vec<_> = deeds.iter().map(shape).collect();
        let one = |verb: &str, lines, ended| (verb.to_owned(), lines, ended);
        assert_eq!(
            shapes,
            [
                one("ADD", 1, false),
                one("DEL", 1, true),
                one("ADD", 1, false)
            ]
        );
    }

    #[test]
    fn names_that_look_like_an_end_are_names() {
        let text = "# 2031-05-02T10:00:00.100Z ADD ok failed/eth0 pod=ok/1 because=ok 1 ms\n";
        let deeds = read(text.lines());
        assert_eq!(deeds[0].network.as_deref(), Some("ok"));
        assert_eq!(deeds[0].id.as_deref(), Some("failed/eth0"));
        assert_eq!(
            (&deeds[0].end, deeds[0].pod.as_deref()),
            (&None, Some("ok/1"))
        );
    }

    #[test]
    fn what_nobody_would_write_is_read_all_the_same() {
        let text = "# 1970-01-01T00:00:00.000Z ADD blue a/eth0 ok 99999.0 ms\n\
                    # 9999-99-99T99:99:99.999Z ADD blue b/eth0 ok 1e300 ms\n\
                    # 2031-05-02T10:00:00.100Z ADD blue c/eth0 ok NaN ms x";
        let deeds = read(text.lines());
        assert_eq!(deeds[0].began, "1970-01-01T00:00:00.000Z");
        assert_eq!(deeds[2].began, deeds[2].started);
        assert!(deeds.iter().all(|deed| deed.to_json()["outcome"] == "ok"));
    }

    #[test]
    fn what_no_verb_claims_is_passed_over() {
        assert!(read("true\n# 2031 x\n\n".lines()).is_empty());
    }
}
