//! stdout and stderr of this program, which may be full, closed, or a pipe whose reader is gone.
//!
//! Written to as they are and not through the standard library's streams: its macros panic where a line cannot be
//! written, the streams have locks that a panic may hold, and take a descriptor that is not open for writing
//! (`EBADF`) for one that swallows everything.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, major, minor};
use rustix::io::Errno;

/// How long a full pipe that another of its users made non-blocking is left to its reader.
const FULL: Duration = Duration::from_millis(1);

/// Writes to stdout, all of it.
///
/// # Errors
/// Why not.
pub fn print(text: &str) -> io::Result<()> {
    write_all(std::io::stdout(), text.as_bytes())
}

/// Writes to stderr what is said beside the matter: where that cannot be, it is not said.
pub fn remark(text: &str) {
    let _ = write_all(std::io::stderr(), text.as_bytes());
}

/// Fails where this program was started without a stdout. The standard library opens `/dev/null` in its place before
/// `main`, so that no file of ours gets that number, and what is written then goes nowhere. It opens it for reading and
/// writing, while who throws away what is printed (`>/dev/null`, `Stdio::null`, systemd) opens it for writing.
///
/// # Errors
/// `EBADF`, as a write would have said.
pub fn has_stdout() -> io::Result<()> {
    let stdout = std::io::stdout();
    let (Ok(flags), Ok(stat)) = (fcntl_getfl(&stdout), fstat(&stdout)) else {
        return Ok(());
    };
    let null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3);
    match null && flags & OFlags::RWMODE == OFlags::RDWR {
        true => Err(Errno::BADF.into()),
        false => Ok(()),
    }
}

fn write_all(to: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&to, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => std::thread::sleep(FULL),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs::File;
    use std::io::Read;

    #[test]
    fn what_cannot_be_written_is_an_error_also_where_nothing_can_ever_be() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = write_all(&full, b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let for_reading = File::open("/dev/null").unwrap();
        let error = write_all(&for_reading, b"x").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::BADF.raw_os_error()));
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let error = write_all(&writer, b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_pipe_that_does_not_wait_gets_everything_as_its_reader_takes_it() {
        let (mut reader, writer) = io::pipe().unwrap();
        rustix::fs::fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
        let megabyte = vec![b'x'; 1 << 20];
        let sent = megabyte.clone();
        let thread = std::thread::spawn(move || write_all(&writer, &sent));
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        thread.join().unwrap().unwrap();
        assert!(read == megabyte);
    }
}
