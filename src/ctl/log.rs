//! `vxlan log`: the journals, filtered and followed.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::Said;
use super::args::{LogOptions, Shared};
use super::journals::{Journals, since, unreadable};
use crate::cni::CniError;
use crate::deed::filter::Filter;
use crate::deed::merged::{merged, with};
use crate::deed::{Deed, Heard, Reader};
use crate::exec::System;
use crate::journal::read::Tail;

/// How often a journal that is followed is looked at.
const PAUSE: Duration = Duration::from_millis(100);

/// Shows the verbs that are meant.
///
/// # Errors
/// When a journal cannot be read, or `--since` is no time.
pub fn run(shared: &Shared, options: &LogOptions) -> Result<Said, CniError> {
    let filter = filter(options)?;
    let style = Style::of(shared);
    let journals = Journals::of(shared)?;
    if options.follow {
        return Follow::new(&journals, filter, style)?.run();
    }
    let deeds = journals.all()?.into_iter();
    let taken: Vec<Deed> = deeds.filter(|deed| filter.takes(deed)).collect();
    let last = options.last.unwrap_or(taken.len()).min(taken.len());
    let shown = &taken[taken.len() - last..];
    if shown.is_empty() && style != Style::Json {
        let journal = journals.node.display();
        return Ok(Said::well(format!("# no entry of {journal} is meant\n")));
    }
    let text = shown.iter().map(|deed| style.whole(deed));
    Ok(Said::well(text.collect::<String>()))
}

fn filter(options: &LogOptions) -> Result<Filter, CniError> {
    Ok(Filter {
        pod: options.pod.clone(),
        container: options.container.clone(),
        network: options.network.clone(),
        verb: options.verb.clone(),
        failed: options.failed,
        since: since(options.since.as_deref(), SystemTime::now())?,
    })
}

/// How a verb is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// One object a line.
    Json,
    /// As it stands in the journal.
    Plain,
    /// The same in colours.
    Coloured,
}

impl Style {
    /// Colours for people only, and not for those who said no (<https://no-color.org>).
    fn of(shared: &Shared) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        match shared.json {
            true => Self::Json,
            false if is_set("NO_COLOR") || dumb || !std::io::stdout().is_terminal() => Self::Plain,
            false => Self::Coloured,
        }
    }

    /// A verb with all its lines.
    fn whole(self, deed: &Deed) -> String {
        match self {
            Self::Json => format!("{}\n", deed.to_json()),
            _ => {
                let lines = deed.text();
                lines.iter().map(|line| self.line(line, deed)).collect()
            }
        }
    }

    /// One line of a verb: remarks pale, the head bold, the end green or red.
    fn line(self, line: &str, deed: &Deed) -> String {
        let is = |other: Option<String>| other.as_deref() == Some(line);
        let colour = match () {
            () if self != Self::Coloured || !line.starts_with('#') => return format!("{line}\n"),
            () if is(deed.tail()) && deed.failed() => "31",
            () if is(deed.tail()) => "32",
            () if is(Some(deed.head())) => "1",
            () => "2",
        };
        format!("\u{1b}[{colour}m{line}\u{1b}[0m\n")
    }
}

/// A journal that is followed.
struct Source {
    tail: Tail,
    reader: Reader,
    journal: String,
}

/// What is followed, and what was shown last.
struct Follow {
    filter: Filter,
    style: Style,
    /// The node's, then the IPAMs'.
    sources: Vec<Source>,
    /// Journal and subject of the verb whose line was shown last.
    last: Option<(usize, String)>,
    /// The node's verbs that go on, which tell whom an IPAM works for.
    askers: Vec<Deed>,
}

impl Follow {
    fn new(journals: &Journals, filter: Filter, style: Style) -> Result<Self, CniError> {
        let source = |path: &Path| {
            Ok::<_, CniError>(Source {
                tail: Tail::new(path).map_err(|error| unreadable(path, &error))?,
                reader: Reader::default(),
                journal: path.display().to_string(),
            })
        };
        let mut sources = vec![source(&journals.node)?];
        for path in &journals.ipams {
            sources.push(source(path)?);
        }
        Ok(Self {
            filter,
            style,
            sources,
            last: None,
            askers: Vec::new(),
        })
    }

    /// Shows what is there, then each line as it comes, until it is told to end or its reader is gone.
    fn run(mut self) -> Result<Said, CniError> {
        let system = System::until_sigterm();
        let mut shown = self.all_there_is()?;
        while super::print(&shown)? && system.pause(PAUSE).is_ok() {
            shown = String::new();
            for index in 0..self.sources.len() {
                shown += &self.news(index)?;
            }
        }
        Ok(Said::well(""))
    }

    /// What has ended, then what goes on.
    fn all_there_is(&mut self) -> Result<String, CniError> {
        let mut over: Vec<Vec<Deed>> = Vec::new();
        for source in &mut self.sources {
            let mut deeds = Vec::new();
            for line in source.lines()? {
                if let Heard::Over(deed) = source.reader.hear(&line) {
                    deeds.push(source.told(*deed));
                }
            }
            over.push(deeds);
        }
        let node = over.remove(0);
        let all = merged(node, over.concat()).into_iter();
        let taken = all.filter(|deed| self.filter.takes(deed));
        let ended: String = taken.map(|deed| self.style.whole(&deed)).collect();
        self.askers = self.sources[0].reader.going().cloned().collect();
        let sources = 0..self.sources.len();
        let going: String = sources.map(|index| self.going(index)).collect();
        Ok(ended + &going)
    }

    /// What a journal has of verbs that go on, but for what is shown as a whole only.
    fn going(&mut self, index: usize) -> String {
        if self.style == Style::Json || self.filter.failed {
            return String::new();
        }
        let mut shown = String::new();
        let going: Vec<Deed> = self.sources[index].reader.going().cloned().collect();
        for deed in going {
            let deed = self.with_asker(index, deed);
            if self.filter.takes(&deed) {
                let lines = deed.so_far();
                shown.extend(lines.iter().map(|line| self.style.line(line, &deed)));
                self.last = Some((index, deed.subject()));
            }
        }
        shown
    }

    /// What has come to a journal.
    fn news(&mut self, index: usize) -> Result<String, CniError> {
        let mut shown = String::new();
        for line in self.sources[index].lines()? {
            let source = &mut self.sources[index];
            let (deed, text, is_over) = match source.reader.hear(&line) {
                Heard::Goes(deed, text) => {
                    (deed.clone(), text.map(|text| text.text.clone()), false)
                }
                Heard::Over(deed) => (*deed, None, true),
                Heard::Stray => continue,
            };
            let deed = self.sources[index].told(deed);
            let deed = self.known(index, deed, is_over);
            if self.filter.takes(&deed) {
                shown += &self.show(index, &deed, text, is_over);
            }
        }
        Ok(shown)
    }

    /// With what the node's journal tells of it; that journal's own are kept as long as they go on.
    fn known(&mut self, index: usize, deed: Deed, is_over: bool) -> Deed {
        if index == 0 {
            self.askers.retain(|asker| asker.id != deed.id);
            if !is_over {
                self.askers.push(deed.clone());
            }
        }
        self.with_asker(index, deed)
    }

    /// With the network and pod of the node's verb for which an IPAM's is.
    fn with_asker(&self, index: usize, deed: Deed) -> Deed {
        let same = |asker: &&Deed| asker.id.is_some() && asker.id == deed.id;
        match self.askers.iter().find(same) {
            Some(asker) if index > 0 => with(deed, asker),
            _ => deed,
        }
    }

    /// A line of a verb, below its head where another verb's line came between. What can be shown as a
    /// whole only is shown at its end.
    fn show(&mut self, index: usize, deed: &Deed, line: Option<String>, is_over: bool) -> String {
        if self.style == Style::Json || self.filter.failed {
            return if is_over {
                self.style.whole(deed)
            } else {
                String::new()
            };
        }
        let Some(line) = line.or_else(|| deed.tail().filter(|_| is_over)) else {
            return String::new();
        };
        let this = (index, deed.subject());
        let is_new = !is_over && self.last.as_ref() != Some(&this);
        self.last = (!is_over).then_some(this);
        let head = is_new.then(|| self.style.line(&deed.head(), deed));
        head.unwrap_or_default() + &self.style.line(&line, deed)
    }
}

impl Source {
    fn lines(&mut self) -> Result<Vec<String>, CniError> {
        let failed = |error| unreadable(Path::new(&self.journal), &error);
        self.tail.lines().map_err(failed)
    }

    fn told(&self, deed: Deed) -> Deed {
        Deed {
            journal: self.journal.clone(),
            ..deed
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::deed;

    #[test]
    fn colours_tell_a_head_a_remark_and_how_it_ended() {
        let text = "\
# 2031-05-02T10:00:00.100Z ADD blue a/eth0
ip link add x
# a remark
# 2031-05-02T10:00:00.103Z ADD blue a/eth0 failed 3.5 ms 11: try again
";
        let deed = &deed::read(text.lines())[0];
        assert_eq!(Style::Plain.whole(deed), text);
        let shown = Style::Coloured.whole(deed);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].starts_with("\u{1b}[1m# 2031") && lines[0].ends_with("\u{1b}[0m"));
        assert_eq!(lines[1], "ip link add x");
        assert_eq!(lines[2], "\u{1b}[2m# a remark\u{1b}[0m");
        assert!(lines[3].starts_with("\u{1b}[31m"));
        let ok = deed::read(
            text.replace("failed 3.5 ms 11: try again", "ok 3.5 ms")
                .lines(),
        );
        assert!(Style::Coloured.whole(&ok[0]).contains("\u{1b}[32m"));
        let object: serde_json::Value = serde_json::from_str(&Style::Json.whole(deed)).unwrap();
        assert_eq!(
            (&object["outcome"], &object["commands"][0]),
            (&"failed".into(), &"ip link add x".into())
        );
    }
}
