//! A script: commands and remarks, with variables for what is not known yet.

use crate::ip::command::shell_line;
use crate::ip::{Command, Netns};
use crate::plan::{Side, Step};

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Remark(String),
    Command(Vec<String>),
}

/// A word that stands for what is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// The word in whose place it stands.
    pub word: String,
    /// What it is.
    pub what: &'static str,
}

/// The script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    lines: Vec<Line>,
    variables: Vec<Variable>,
}

impl Script {
    /// Lets variables stand for words.
    pub fn with(variables: Vec<Variable>) -> Self {
        Self {
            lines: Vec::new(),
            variables,
        }
    }

    /// Adds a remark.
    pub fn remark(&mut self, text: impl Into<String>) {
        self.lines.push(Line::Remark(text.into()));
    }

    /// Adds a command in a namespace.
    pub fn command(&mut self, command: &Command, netns: &Netns) {
        self.lines.push(Line::Command(command.argv_in(netns)));
    }

    /// Adds steps; those of the pod side run in its namespace.
    pub fn steps(&mut self, steps: &[Step], pod: &Netns) {
        for step in steps {
            let netns = match step.side {
                Side::Host => &Netns::Own,
                Side::Pod => pod,
            };
            self.command(&step.command, netns);
        }
    }

    /// Whether it has no command.
    pub fn is_empty(&self) -> bool {
        !self
            .lines
            .iter()
            .any(|line| matches!(line, Line::Command(_)))
    }

    /// The commands alone.
    pub fn commands(&self) -> Vec<String> {
        let commands = self.lines.iter().filter_map(|line| match line {
            Line::Command(argv) => Some(self.line(argv)),
            Line::Remark(_) => None,
        });
        commands.collect()
    }

    /// What a shell takes: it stops at the first command that fails, and before the first one where a
    /// variable has no value.
    pub fn text(&self) -> String {
        let mut text = "#!/bin/sh -e\n".to_owned();
        for line in &self.lines {
            if matches!(line, Line::Command(_)) {
                break;
            }
            text += &self.shown(line);
        }
        for Variable { name, what, .. } in self.used() {
            text += &format!(": \"${{{name}:?{what}}}\"\n");
        }
        let rest = self
            .lines
            .iter()
            .skip_while(|line| matches!(line, Line::Remark(_)));
        text + &rest.map(|line| self.shown(line)).collect::<String>()
    }

    fn shown(&self, line: &Line) -> String {
        match line {
            Line::Command(argv) => self.line(argv) + "\n",
            Line::Remark(text) => {
                let text: String = text
                    .chars()
                    .map(|c| if c.is_control() { '?' } else { c })
                    .collect();
                format!("# {text}\n")
            }
        }
    }

    fn line(&self, argv: &[String]) -> String {
        let word = |word: &String| match self.variables.iter().find(|one| one.word == *word) {
            Some(Variable { name, .. }) => format!("\"${name}\""),
            None => shell_line(std::slice::from_ref(word)),
        };
        argv.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    /// The variables that stand in a command.
    fn used(&self) -> impl Iterator<Item = &Variable> {
        let stands = |variable: &&Variable| {
            self.lines.iter().any(|line| match line {
                Line::Command(argv) => argv.contains(&variable.word),
                Line::Remark(_) => false,
            })
        };
        self.variables.iter().filter(stands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::IfName;
    use crate::ip::link::{Setting, set};

    #[test]
    fn what_nobody_knows_yet_is_asked_for_before_the_first_command() {
        let variable = |name, word: &str| Variable {
            name,
            word: word.to_owned(),
            what: "a name",
        };
        let mut script = Script::with(vec![variable("POD", "pod"), variable("OTHER", "other")]);
        script.remark("two\nlines");
        if let Ok(dev) = "eth0".parse::<IfName>() {
            script.command(&set(&dev, &Setting::Up), &Netns::Named("pod".to_owned()));
        }
        let wanted = "#!/bin/sh -e\n# two?lines\n: \"${POD:?a name}\"\nip -n \"$POD\" link set dev eth0 up\n";
        assert_eq!(script.text(), wanted);
        assert_eq!(script.commands(), ["ip -n \"$POD\" link set dev eth0 up"]);
    }
}
