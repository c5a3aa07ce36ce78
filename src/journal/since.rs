//! What has come to a journal since it was read last, through being put aside, without reading it whole again.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::aside;
use crate::store::present;

/// How much of a file's first line tells it from another, in bytes: its time and what it is about.
const KNOWN_BY: u64 = 256;

/// How far a journal was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The start of the file's first line. Its inode would not do: the next file may get the number of one that went.
    first: String,
    /// Bytes, up to the end of a line.
    offset: u64,
}

/// Hands over each line behind a place, the older file first; tells how far that was. Without a place: all there is.
///
/// # Errors
/// When a file is there and cannot be read.
pub fn since(path: &Path, place: Option<&Place>, mut hear: impl FnMut(&str)) -> io::Result<Place> {
    let file = present(File::open(path))?;
    let before = present(File::open(aside(path)))?;
    let mut files: Vec<(File, Place)> = Vec::new();
    for file in [before, file].into_iter().flatten() {
        let Some(first) = first(&file)? else {
            continue;
        };
        // Put aside between the two, it was opened twice.
        if files.iter().all(|(_, known)| known.first != first) {
            files.push((file, Place { first, offset: 0 }));
        }
    }
    let mut read = place.cloned().unwrap_or_default();
    if let Some(known) = files.iter().position(|(_, file)| file.first == read.first) {
        files.drain(..known);
        files[0].1.offset = read.offset;
    }
    for (file, place) in files {
        read = lines(file, place, &mut hear)?;
    }
    Ok(read)
}

/// The start of a file's first line; none where that is not whole yet.
fn first(file: &File) -> io::Result<Option<String>> {
    let mut start = Vec::new();
    file.take(KNOWN_BY).read_to_end(&mut start)?;
    let end = start.iter().position(|byte| *byte == b'\n');
    let whole = end.is_some() || start.len() as u64 == KNOWN_BY;
    let first = &start[..end.unwrap_or(start.len())];
    Ok(whole.then(|| String::from_utf8_lossy(first).into_owned()))
}

fn lines(mut file: File, place: Place, hear: &mut impl FnMut(&str)) -> io::Result<Place> {
    // Cut short in its place: what is in it is new.
    let offset = match file.metadata()?.len() < place.offset {
        true => 0,
        false => place.offset,
    };
    file.seek(SeekFrom::Start(offset))?;
    let (mut file, mut line, mut read) = (BufReader::new(file), Vec::new(), offset);
    loop {
        line.clear();
        file.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            break;
        }
        read += line.len() as u64 + 1;
        hear(&String::from_utf8_lossy(&line));
    }
    Ok(Place {
        offset: read,
        ..place
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;

    fn heard(path: &Path, place: &mut Place) -> Vec<String> {
        let mut heard = Vec::new();
        *place = since(path, Some(place), |line| heard.push(line.to_owned())).unwrap();
        heard
    }

    #[test]
    fn each_line_is_heard_once_through_being_made_put_aside_and_cut_short() {
        let dir = std::env::temp_dir().join(format!("vxlan-cni-since-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("log");
        let append = |text: &str| {
            let mut options = std::fs::OpenOptions::new();
            let mut file = options.append(true).create(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        let mut place = Place::default();
        assert!(heard(&path, &mut place).is_empty());
        append("one\ntw");
        assert_eq!(heard(&path, &mut place), ["one"]);
        append("o\nthree\n");
        std::fs::rename(&path, aside(&path)).unwrap();
        append("fo");
        assert_eq!(heard(&path, &mut place), ["two", "three"]);
        append("ur\n");
        assert_eq!(heard(&path, &mut place), ["four"]);
        assert!(heard(&path, &mut place).is_empty());
        append("five\n");
        std::fs::rename(&path, aside(&path)).unwrap();
        assert_eq!(heard(&path, &mut place), ["five"]);
        append("six\n");
        assert_eq!(heard(&path, &mut place), ["six"]);
        // As logrotate's `copytruncate` does: what was put aside has been read.
        append("seven\n");
        std::fs::copy(&path, aside(&path)).unwrap();
        std::fs::write(&path, "eight\n").unwrap();
        assert_eq!(heard(&path, &mut place), ["seven", "eight"]);
        let mut again = Place::default();
        assert_eq!(heard(&path, &mut again), ["six", "seven", "eight"]);
        assert_eq!(again, place);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
