//! Opens what should be a record, be it one or not: nothing here waits, follows a link or reads without end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// The longest record in bytes: one has a few kilobytes, with the configuration of its network and its IPAM.
const LONGEST: u64 = 4 << 20;

/// Opens a record for reading.
///
/// # Errors
/// The operating system's; [`io::ErrorKind::InvalidData`] for what is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    // A FIFO without a writer would be waited for.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(invalid("it is no regular file")),
    }
}

/// Reads a record.
///
/// # Errors
/// As [`open`]; [`io::ErrorKind::InvalidData`] for what is longer than any record.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LONGEST {
        false => Ok(bytes),
        true => Err(invalid("it is longer than any record")),
    }
}

fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::tests::Folder;
    use std::process::Command;

    #[test]
    fn what_is_no_record_is_an_error_at_once_and_never_followed() {
        let folder = Folder::new("safe");
        std::fs::create_dir_all(folder.0.join("folder")).unwrap();
        let at = |name: &str| folder.0.join(name);
        std::fs::write(at("whole"), b"{}").unwrap();
        std::os::unix::fs::symlink("whole", at("link")).unwrap();
        let made = Command::new("mkfifo").arg(at("fifo")).status().unwrap();
        assert!(made.success());
        File::create(at("endless"))
            .unwrap()
            .set_len(1 << 40)
            .unwrap();
        assert_eq!(read(&at("whole")).unwrap(), b"{}");
        for name in ["folder", "link", "fifo", "endless"] {
            assert!(read(&at(name)).is_err(), "{name}");
        }
        let none = read(&at("none")).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::NotFound);
    }
}
