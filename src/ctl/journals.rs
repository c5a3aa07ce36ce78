//! The journals that a configuration names: the node's, and those of our own IPAM.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::args::Shared;
use super::node::WANTED;
use crate::cni::{CniError, Code};
use crate::config::Config;
use crate::conflist;
use crate::deed::Deed;
use crate::deed::merged::merged;
use crate::journal::read;
use crate::route_table::ledger::ipams;
use crate::sanitize::printable;

/// Where the journals are.
#[derive(Debug)]
pub struct Journals {
    /// The node's.
    pub node: PathBuf,
    /// The IPAMs'.
    pub ipams: Vec<PathBuf>,
}

impl Journals {
    /// Those of a configuration.
    ///
    /// # Errors
    /// When there is no configuration.
    pub fn of(shared: &Shared) -> Result<Self, CniError> {
        let conf = conflist::find(shared.conf.as_deref(), WANTED)?;
        let mut paths: Vec<PathBuf> = Vec::new();
        for ipam in ipams(&conf.config) {
            if !paths.contains(&ipam.log_file) {
                paths.push(ipam.log_file);
            }
        }
        Ok(Self {
            node: Config::read_leniently(&conf.config).log_file,
            ipams: paths,
        })
    }

    /// What the node's journal tells.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn node_deeds(&self) -> Result<Vec<Deed>, CniError> {
        read::read(&self.node).map_err(|error| unreadable(&self.node, &error))
    }

    /// What the IPAMs' journals tell.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn ipam_deeds(&self) -> Result<Vec<Deed>, CniError> {
        let mut deeds = Vec::new();
        for path in &self.ipams {
            deeds.extend(read::read(path).map_err(|error| unreadable(path, &error))?);
        }
        Ok(deeds)
    }

    /// Everything, by container and time.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn all(&self) -> Result<Vec<Deed>, CniError> {
        Ok(merged(self.node_deeds()?, self.ipam_deeds()?))
    }
}

/// The error for a journal that is there and cannot be read.
pub fn unreadable(path: &Path, error: &std::io::Error) -> CniError {
    let msg = format!("cannot read the journal {}: {error}", path.display());
    let advice = format!("only root may read it: sudo; ls -l {}", path.display());
    CniError::new(Code::IO, msg).details(advice)
}

/// The time that `--since` names, as the journal writes times.
///
/// # Errors
/// Code 4 for what is neither a time nor an age.
pub fn since(text: Option<&str>, now: SystemTime) -> Result<Option<String>, CniError> {
    let Some(text) = text else {
        return Ok(None);
    };
    // Whatever is older than any clock is everything.
    let ago = |age| {
        now.checked_sub(age)
            .map_or(UNIX_EPOCH, |ago| ago.max(UNIX_EPOCH))
    };
    let ago = humantime::parse_duration(text).ok().map(ago);
    let time = ago.or_else(|| humantime::parse_rfc3339_weak(text).ok());
    match time {
        Some(time) => Ok(Some(humantime::format_rfc3339_millis(time).to_string())),
        None => {
            let msg = format!("--since `{}` is no time and no age", printable(text));
            Err(CniError::new(Code::INVALID_ENVIRONMENT, msg)
                .details("a time in UTC, as 2031-05-02T10:00:00Z, or an age, as 90s, 2h, 1day"))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_time_or_an_age_is_a_time_as_the_journal_writes_it() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(7200);
        let at = |text| since(Some(text), now);
        assert_eq!(since(None, now).unwrap(), None);
        for (text, time) in [
            ("1h", "1970-01-01T01:00:00.000Z"),
            ("1h 30m", "1970-01-01T00:30:00.000Z"),
            ("2031-05-02T10:00:00Z", "2031-05-02T10:00:00.000Z"),
            ("2031-05-02 10:00:00", "2031-05-02T10:00:00.000Z"),
            ("100years", "1970-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(at(text).unwrap().as_deref(), Some(time), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "-1h",
            "99999999999999999999y",
            "2031-05-02T10:00",
        ] {
            let error = at(text).unwrap_err();
            assert!(error.msg.contains("no time and no age"), "{error}");
        }
    }
}
