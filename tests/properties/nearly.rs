//! Inputs that are nearly right: a whole one, changed in a few places, so that it gets far before it is refused.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

/// Texts that stand for something somewhere, rightly or not.
const TEXTS: [&str; 56] = [
    "",
    "-",
    "-batch",
    "--help",
    ".",
    "..",
    "../../etc/passwd",
    "/",
    "/tmp",
    "relative",
    "a\nb",
    "a\r",
    "\t",
    "\u{0}",
    "\u{7f}",
    "\u{9b}31m",
    "\u{1b}[2J",
    "\u{202e}txet",
    "\u{2028}",
    "a b",
    "a'b",
    "a\"b",
    "a`id`",
    "$(id)",
    "; reboot",
    "a#b",
    "a%d",
    "a=b",
    "all",
    "default",
    "eth0",
    "sixteen-bytes-xx",
    "blue",
    "green",
    "shop",
    "static",
    "anycast",
    "ip",
    "random",
    "sticky",
    "true",
    "0",
    "1.1.0",
    "9.9.9",
    "10.1.0.1/24",
    "10.1.0.0/24",
    "10.1.0.77",
    "10.1.0.255/24",
    "0.0.0.0/0",
    "255.255.255.255/32",
    "fd10::1/64",
    "fd10::/127",
    "::/0",
    "02:00:00:00:00:01",
    "01:00:5e:00:00:01",
    "239.1.1.1",
];

/// A text: one of the list, anything, or something long.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(&TEXTS[..]).prop_map(str::to_owned),
        3 => any::<String>(),
        2 => "[ -~]{0,20}",
        1 => ("\\PC", 60_usize..3000).prop_map(|(text, times)| text.repeat(times)),
    ]
}

/// A number where one is at an edge.
fn number() -> impl Strategy<Value = Value> {
    let edges = [
        0_u64, 1, 2, 7, 8, 24, 32, 128, 255, 256, 4096, 65_535, 65_536,
    ];
    let wide = [1 << 24, u64::from(u32::MAX), 1 << 32, 1 << 63, u64::MAX];
    prop_oneof![
        select([&edges[..], &wide[..]].concat()).prop_map(|number| json!(number)),
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
    ]
}

/// Any JSON value, small.
pub fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        2 => any::<bool>().prop_map(Value::Bool),
        4 => number(),
        8 => text().prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            vec((text(), inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// What is done to one place of a document.
#[derive(Debug, Clone)]
enum Change {
    Replace(Value),
    Remove,
    AddKey(String, Value),
    Repeat,
    Wrap,
    AsText,
    CutText(Index),
    PutIntoText(Index, String),
    TakeFrom(Index),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => value().prop_map(Change::Replace),
        2 => Just(Change::Remove),
        2 => (text(), value()).prop_map(|(key, value)| Change::AddKey(key, value)),
        1 => Just(Change::Repeat),
        1 => Just(Change::Wrap),
        1 => Just(Change::AsText),
        1 => any::<Index>().prop_map(Change::CutText),
        2 => (any::<Index>(), text()).prop_map(|(at, text)| Change::PutIntoText(at, text)),
        3 => any::<Index>().prop_map(Change::TakeFrom),
    ]
}

/// One of some documents, changed in up to four places.
pub fn changed(samples: Vec<Value>) -> impl Strategy<Value = Value> {
    let changes = vec((any::<Index>(), change()), 0..4);
    (select(samples), changes).prop_map(|(mut document, changes)| {
        for (place, change) in changes {
            apply(&mut document, place, change);
        }
        document
    })
}

/// The same as bytes, some of them cut short, with a byte of another kind, or no document at all.
pub fn bytes(samples: Vec<Value>) -> impl Strategy<Value = Vec<u8>> {
    let whole = || changed(samples.clone()).prop_map(|document| document.to_string().into_bytes());
    prop_oneof![
        12 => whole(),
        1 => (whole(), any::<Index>()).prop_map(|(bytes, at)| bytes[..at.index(bytes.len())].to_vec()),
        1 => (whole(), any::<Index>(), any::<u8>()).prop_map(|(mut bytes, at, byte)| {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        }),
        1 => vec(any::<u8>(), 0..200),
        1 => value().prop_map(|value| value.to_string().into_bytes()),
    ]
}

/// The paths of everything in a document, as JSON pointers.
fn places(document: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match document {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, item)| places(item, &format!("{at}/{index}"), found)),
        Value::Object(fields) => fields
            .iter()
            .for_each(|(key, value)| places(value, &format!("{at}/{}", escaped(key)), found)),
        _ => {}
    }
}

fn apply(document: &mut Value, place: Index, change: Change) {
    let mut all = Vec::new();
    places(document, "", &mut all);
    if let Change::TakeFrom(other) = change {
        let taken = document.pointer(&all[place.index(all.len())]).cloned();
        set(document, &all[other.index(all.len())], taken);
        return;
    }
    let path = &all[place.index(all.len())];
    let before = document.pointer(path).cloned().unwrap_or_default();
    let after = match (change, before) {
        (Change::Replace(value), _) => Some(value),
        (Change::AddKey(key, value), Value::Object(mut fields)) => {
            fields.insert(key, value);
            Some(Value::Object(fields))
        }
        (Change::Repeat, Value::Array(mut items)) => {
            items.extend(items.clone());
            Some(Value::Array(items))
        }
        (Change::Wrap, before) => Some(json!([before])),
        (Change::AsText, before) => Some(Value::String(before.to_string())),
        (Change::CutText(at), Value::String(text)) => Some(Value::String(cut(&text, at).0)),
        (Change::PutIntoText(at, more), Value::String(text)) => {
            let (front, back) = cut(&text, at);
            Some(Value::String(front + &more + &back))
        }
        (Change::Remove, _) => None,
        (_, before) => Some(before),
    };
    set(document, path, after);
}

/// Splits a text between two characters.
fn cut(text: &str, at: Index) -> (String, String) {
    let at = at.index(text.chars().count() + 1);
    (
        text.chars().take(at).collect(),
        text.chars().skip(at).collect(),
    )
}

/// Puts a value at a place, or takes the place away.
fn set(document: &mut Value, path: &str, value: Option<Value>) {
    if let Some(value) = value {
        if let Some(there) = document.pointer_mut(path) {
            *there = value;
        }
        return;
    }
    let Some((parent, key)) = path.rsplit_once('/') else {
        return;
    };
    let key = key.replace("~1", "/").replace("~0", "~");
    match document.pointer_mut(parent) {
        Some(Value::Object(fields)) => drop(fields.shift_remove(&key)),
        Some(Value::Array(items)) => drop(items.pop()),
        _ => {}
    }
}

/// Some of these keys with texts, and some others.
pub fn map(keys: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let key = prop_oneof![8 => select(keys).prop_map(str::to_owned), 1 => text()];
    vec(
        (
            key,
            prop_oneof![8 => text().prop_map(Value::String), 1 => value()],
        ),
        0..5,
    )
    .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>()))
}
