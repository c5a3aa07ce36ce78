//! Metrics in the text format of Prometheus, version 0.0.4: families of samples with labels.

use serde_json::{Map, Value, json};

use crate::sanitize::one_line;

/// The longest value of a label that is shown: a pod is named by two names of up to 253 characters.
const MOST: usize = 512;

/// What a family's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only ever goes up.
    Counter,
    /// How many took at most so long.
    Histogram,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// Labels and their values.
pub type Labels = Vec<(&'static str, String)>;

/// One value.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    /// What is behind the family's name: `_bucket` and the like.
    suffix: &'static str,
    labels: Labels,
    value: f64,
}

/// Samples of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    samples: Vec<Sample>,
}

impl Family {
    /// One without samples.
    pub fn new(kind: Kind, name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            kind,
            samples: Vec::new(),
        }
    }

    /// A value.
    pub fn put(&mut self, labels: Labels, value: f64) {
        self.put_part("", labels, value);
    }

    /// A value of a part of it, as `_sum`.
    pub fn put_part(&mut self, suffix: &'static str, labels: Labels, value: f64) {
        let sample = Sample {
            suffix,
            labels,
            value,
        };
        self.samples.push(sample);
    }

    /// With values.
    pub fn with(mut self, values: impl IntoIterator<Item = (Labels, f64)>) -> Self {
        for (labels, value) in values {
            self.put(labels, value);
        }
        self
    }

    /// As Prometheus reads it; nothing without samples.
    fn text(&self) -> String {
        if self.samples.is_empty() {
            return String::new();
        }
        let (name, help, kind) = (self.name, self.help, self.kind.as_str());
        let lines = self.samples.iter().map(|sample| {
            let labels: Vec<String> = sample.labels.iter().map(label).collect();
            let labels = match labels.is_empty() {
                true => String::new(),
                false => format!("{{{}}}", labels.join(",")),
            };
            format!("{name}{}{labels} {}\n", sample.suffix, sample.value)
        });
        let lines: String = lines.collect();
        format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{lines}")
    }

    fn document(&self) -> Value {
        let sample = |sample: &Sample| {
            let labels = sample.labels.iter();
            let labels = labels.map(|(name, value)| ((*name).to_owned(), json!(shown(value))));
            json!({
                "name": format!("{}{}", self.name, sample.suffix),
                "labels": labels.collect::<Map<String, Value>>(),
                "value": sample.value,
            })
        };
        json!({
            "name": self.name,
            "type": self.kind.as_str(),
            "help": self.help,
            "samples": self.samples.iter().map(sample).collect::<Vec<_>>(),
        })
    }
}

/// `name="value"`.
fn label((name, value): &(&'static str, String)) -> String {
    let mut escaped = String::new();
    for c in shown(value).chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            c => escaped.push(c),
        }
    }
    format!("{name}=\"{escaped}\"")
}

/// A label's value; what would take a terminal over is not in it.
fn shown(value: &str) -> String {
    one_line(value, MOST)
}

/// Everything as Prometheus reads it.
pub fn text(families: &[Family]) -> String {
    families.iter().map(Family::text).collect()
}

/// Everything for other programs: docs/json.md.
pub fn document(families: &[Family]) -> Value {
    json!({"families": families.iter().map(Family::document).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_a_label_is_escaped_and_neither_ends_its_line_nor_takes_a_terminal_over() {
        let hostile = "a\"b\\c\nd 1\u{1b}[2J{e=\"f\"}";
        let of = |value: &str| vec![("pod", value.to_owned())];
        let family = Family::new(Kind::Gauge, "x", "What it is.").with([(of(hostile), 1.5)]);
        let wanted = "# HELP x What it is.\n# TYPE x gauge\n\
            x{pod=\"a\\\"b\\\\c\\\\nd 1\\\\u{1b}[2J{e=\\\"f\\\"}\"} 1.5\n";
        assert_eq!(text(&[family]), wanted);
        let long = Family::new(Kind::Gauge, "x", "").with([(of(&"y".repeat(9_999)), 0.0)]);
        assert!(text(&[long]).len() < 600);
    }

    #[test]
    fn a_family_has_its_help_and_type_once_and_without_samples_is_not_there() {
        let mut family = Family::new(Kind::Histogram, "d", "How long.");
        assert_eq!(text(std::slice::from_ref(&family)), "");
        family.put_part("_bucket", vec![("le", "+Inf".to_owned())], 3.0);
        family.put_part("_count", Vec::new(), 3.0);
        let families = [family];
        let wanted = "# HELP d How long.\n# TYPE d histogram\nd_bucket{le=\"+Inf\"} 3\nd_count 3\n";
        assert_eq!(text(&families), wanted);
        let sample = json!({"name": "d_bucket", "labels": {"le": "+Inf"}, "value": 3.0});
        assert_eq!(document(&families)["families"][0]["samples"][0], sample);
    }
}
