//! Asking a wire who has an address. `arping` of iputils and that of busybox take the same options and say the
//! same; Habets' takes these options for others, would ask in the gateway's own name and says something else.

use std::time::Duration;

use super::probe::{Answer, ask, start_and_interrupt};
use super::report::{Cause, Finding, Id};
use crate::exec::{Output, Running, System};

/// Asks for the version: Habets' takes it for an option without its value, and tells its own.
const VERSION: [&str; 2] = ["arping", "-V"];

/// Words by which the right ones are known in what they say of their version.
const RIGHT: [&str; 2] = ["iputils", "BusyBox"];

/// How long an answer is waited for: its own option counts in whole seconds, and a host answers in milliseconds.
const PATIENCE: Duration = Duration::from_millis(500);

/// How many are asked at a time.
const SIDE_BY_SIDE: usize = 128;

/// How often something is asked that is silent.
const ROUNDS: usize = 3;

/// The `arping` of this node.
pub struct Arping<'a> {
    system: &'a System,
    /// Why it cannot be asked.
    fault: Option<String>,
}

/// A question on the wire that waits for its answer.
pub struct Question {
    line: String,
    running: Result<Box<dyn Running>, Unasked>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// How often it was asked.
    pub asked: u32,
    /// How many answers came.
    pub answered: u32,
    /// Whose they are, a MAC for each answer.
    pub macs: Vec<String>,
}

/// Why nothing was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unasked {
    inspect: String,
    why: String,
    /// The finding that tells why none is.
    because: Option<Cause>,
}

impl<'a> Arping<'a> {
    /// Finds out which it is; no packet is sent.
    pub fn here(system: &'a System) -> Self {
        Self {
            system,
            fault: fault(&ask(system, &VERSION)),
        }
    }

    /// What tells of all questions at once that they cannot be asked.
    pub fn finding(&self) -> Option<Finding> {
        let what = format!("no host is asked by ARP: {}", self.fault.as_ref()?);
        let finding = Finding::unknown(Id::Program, what).inspect(VERSION.join(" "));
        Some(finding.fix("install iputils-arping"))
    }

    /// Asks for an address with a command, if the program that would run is the right one.
    pub fn ask(&self, line: String) -> Question {
        let running = match &self.fault {
            // The question itself, pasted, would be another one.
            Some(fault) => Err(Unasked {
                inspect: VERSION.join(" "),
                why: fault.clone(),
                because: self.finding().map(|of| Cause::new("", of.message)),
            }),
            None => {
                let argv: Vec<&str> = line.split(' ').collect();
                start_and_interrupt(self.system, &argv, PATIENCE)
                    .map_err(|error| Unasked::because(&line, error.to_string()))
            }
        };
        Question { line, running }
    }

    /// Asks many, and tells of each whether something answered; none where nothing was asked. What is silent is asked again:
    /// a broadcast may be lost where a node has many containers or little time.
    pub fn answers(&self, lines: &[String]) -> Vec<Option<bool>> {
        let mut answers = vec![Some(false); lines.len()];
        for _ in 0..ROUNDS {
            let left = (0..lines.len()).filter(|at| answers[*at] == Some(false));
            let left: Vec<usize> = left.collect();
            for wave in left.chunks(SIDE_BY_SIDE) {
                let asked: Vec<_> = wave.iter().map(|at| self.ask(lines[*at].clone())).collect();
                for (at, question) in wave.iter().zip(asked) {
                    answers[*at] = question.answer().ok().map(|heard| heard.answered > 0);
                }
            }
        }
        answers
    }
}

impl Question {
    /// The command.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// When nothing was asked.
    pub fn answer(self) -> Result<Heard, Unasked> {
        let output = self.running?.wait();
        let output = output.map_err(|error| Unasked::because(&self.line, error.to_string()))?;
        heard(&output).map_err(|why| Unasked::because(&self.line, why))
    }
}

impl Unasked {
    fn because(line: &str, why: String) -> Self {
        Self {
            inspect: line.to_owned(),
            why,
            because: None,
        }
    }

    /// That no host was asked for something, and why.
    pub fn finding(self, id: Id, what: &str) -> Finding {
        let finding = Finding::unknown(id, format!("no host was asked for {what}: {}", self.why));
        let finding = finding.inspect(self.inspect);
        match self.because {
            Some(cause) => finding.follows_from(cause),
            None => finding,
        }
    }
}

/// Why the program that answers to the name cannot be asked, by what it says of its version.
fn fault(answer: &Answer) -> Option<String> {
    let output = match answer {
        Err(error) => return Some(error.to_string()),
        Ok(output) => output,
    };
    let said = String::from_utf8_lossy(&output.stdout) + output.stderr.as_str();
    if RIGHT.iter().any(|word| said.contains(word)) {
        return None;
    }
    // Below a complaint about the option, perhaps.
    let version = said.lines().find(|line| line.contains(char::is_numeric));
    Some(match version.or_else(|| said.lines().next()) {
        Some(version) => format!("`arping` is not that of iputils but {}", version.trim()),
        None => "`arping` is not that of iputils".to_owned(),
    })
}

/// Reads a summary; over a device that is down nothing is sent, and there is none.
fn heard(output: &Output) -> Result<Heard, String> {
    let said = String::from_utf8_lossy(&output.stdout);
    let numbers = number(&said, "Sent ").zip(number(&said, "Received "));
    let Some((asked, answered)) = numbers else {
        let told = [output.stderr.as_str(), &said];
        let why = told.iter().find_map(|text| text.lines().next());
        return Err(why.unwrap_or("arping says nothing").to_owned());
    };
    // `Unicast reply from 10.1.0.1 [0A:58:0A:01:00:01]  0.6ms`
    let replies = said.lines().filter(|line| line.contains("reply from"));
    let macs = replies.filter_map(|line| line.split(['[', ']']).nth(1));
    Ok(Heard {
        asked,
        answered,
        macs: macs.map(str::to_owned).collect(),
    })
}

/// The number behind a word of the summary.
fn number(said: &str, word: &str) -> Option<u32> {
    let line = said.lines().find_map(|line| line.strip_prefix(word))?;
    line.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn output(stdout: &str, stderr: &str) -> Output {
        Output {
            code: Some(1),
            stdout: stdout.into(),
            stderr: stderr.into(),
        }
    }

    // What each prints on a wire where 10.1.0.9 is a neighbour's and 10.1.0.77 no host's.

    #[test]
    fn iputils_and_busybox_are_read_alike() {
        // iputils 20221126 and 20240905: `-D -c 1 -w 1`, then `-b -c 2 -w 1`.
        let probe = "ARPING 10.1.0.9 from 0.0.0.0 mv_blue\n\
            Unicast reply from 10.1.0.9 [02:00:00:00:00:02]  2.166ms\n\
            Sent 1 probes (1 broadcast(s))\nReceived 1 response(s)\n";
        let silence = "ARPING 10.1.0.77 from 10.1.0.1 mv_blue\n\
            Sent 2 probes (2 broadcast(s))\nReceived 0 response(s)\n";
        // BusyBox 1.35.
        let busybox = "ARPING 10.1.0.9 from 0.0.0.0 mv_blue\n\
            Unicast reply from 10.1.0.9 [02:00:00:00:00:02] 0.007ms\n\
            Sent 1 probe(s) (0 broadcast(s))\n\
            Received 1 response(s) (0 request(s), 0 broadcast(s))\n";
        let one = Heard {
            asked: 1,
            answered: 1,
            macs: vec!["02:00:00:00:00:02".to_owned()],
        };
        assert_eq!(heard(&output(probe, "")), Ok(one.clone()));
        assert_eq!(heard(&output(busybox, "")), Ok(one));
        let none = heard(&output(silence, "")).unwrap();
        assert_eq!((none.asked, none.answered, none.macs.len()), (2, 0, 0));
    }

    #[test]
    fn an_answer_without_a_summary_is_none_and_its_first_words_say_why() {
        for (stdout, stderr, why) in [
            (
                "Interface \"mv_blue\" is down\n",
                "",
                "Interface \"mv_blue\" is down",
            ),
            (
                "",
                "arping: Device mv_blue not available.\n",
                "arping: Device mv_blue not available.",
            ),
            ("", "", "arping says nothing"),
            // Habets 2.25: the same two questions, answered and not.
            (
                "!\t  0% packet loss (0 extra)\n",
                "",
                "!\t  0% packet loss (0 extra)",
            ),
            (
                ".\t100% packet loss (0 extra)\n",
                "",
                ".\t100% packet loss (0 extra)",
            ),
            (
                "ARPING 10.1.0.9\nTimeout\n\n--- 10.1.0.9 statistics ---\n\
                 2 packets transmitted, 0 packets received, 100% unanswered (0 extra)\n\n",
                "",
                "ARPING 10.1.0.9",
            ),
        ] {
            assert_eq!(heard(&output(stdout, stderr)), Err(why.to_owned()));
        }
    }

    #[test]
    fn an_arping_is_known_by_what_it_says_of_its_version() {
        let iputils = "arping from iputils 20221126\nlibcap: yes, IDN: yes, NLS: no\n";
        assert_eq!(fault(&Ok(output(iputils, ""))), None);
        let busybox = "arping: invalid option -- 'V'\n\
            BusyBox v1.35.0 (Debian 1:1.35.0-4+deb12u1+b1) multi-call binary.\n";
        assert_eq!(fault(&Ok(output("", busybox))), None);
        let habets = output(
            "ARPing 2.25, by Thomas Habets <thomas@habets.se>\n\
             usage: arping [ -0aAbdDeFpPqrRuUvzZ ] [ -w <sec> ] [ -W <sec> ] [ -S <host/ip> ]\n",
            "arping: option requires an argument -- 'V'\n",
        );
        let told = fault(&Ok(habets)).unwrap();
        assert_eq!(
            told,
            "`arping` is not that of iputils but ARPing 2.25, by Thomas Habets <thomas@habets.se>"
        );
        assert_eq!(
            fault(&Ok(output("", ""))).as_deref(),
            Some("`arping` is not that of iputils")
        );
    }
}
