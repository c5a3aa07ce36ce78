//! A script: commands and remarks, with variables for what is not known yet.

use crate::exec::Noted;
use crate::ip::command::shell_line;

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
    lines: Vec<Noted>,
    variables: Vec<Variable>,
}

impl Script {
    /// Of what a dry run has noted, with variables in the place of words.
    pub fn of(lines: Vec<Noted>, variables: Vec<Variable>) -> Self {
        Self { lines, variables }
    }

    /// The commands alone.
    pub fn commands(&self) -> Vec<String> {
        let commands = self.lines.iter().filter_map(|line| match line {
            Noted::Command(argv) => Some(self.line(argv)),
            Noted::Remark(_) => None,
        });
        commands.collect()
    }

    /// What a shell takes: it stops at the first command that fails, and before the first one where a
    /// variable has no value.
    pub fn text(&self) -> String {
        let mut text = "#!/bin/sh -e\n".to_owned();
        for line in &self.lines {
            if matches!(line, Noted::Command(_)) {
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
            .skip_while(|line| matches!(line, Noted::Remark(_)));
        text + &rest.map(|line| self.shown(line)).collect::<String>()
    }

    fn shown(&self, line: &Noted) -> String {
        match line {
            Noted::Command(argv) => self.line(argv) + "\n",
            Noted::Remark(text) => {
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
                Noted::Command(argv) => argv.contains(&variable.word),
                Noted::Remark(_) => false,
            })
        };
        self.variables.iter().filter(stands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_knows_yet_is_asked_for_before_the_first_command() {
        let variable = |name, word: &str| Variable {
            name,
            word: word.to_owned(),
            what: "a name",
        };
        let argv = "ip -n pod link set dev eth0 up".split(' ');
        let lines = vec![
            Noted::Remark("two\nlines".to_owned()),
            Noted::Command(argv.map(str::to_owned).collect()),
        ];
        let script = Script::of(
            lines,
            vec![variable("POD", "pod"), variable("OTHER", "other")],
        );
        let wanted = "#!/bin/sh -e\n# two?lines\n: \"${POD:?a name}\"\nip -n \"$POD\" link set dev eth0 up\n";
        assert_eq!(script.text(), wanted);
        assert_eq!(script.commands(), ["ip -n \"$POD\" link set dev eth0 up"]);
    }
}
