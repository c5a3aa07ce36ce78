//! Files to be looked at for changes: the configuration, and lists of peers.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::Round;

/// What tells one state of a file from another: device, inode, length, and when its content and its entry changed, in
/// nanoseconds.
type Print = (u64, u64, u64, i128, i128);

/// Files, each as it was when it was looked at last.
#[derive(Debug, Default)]
pub struct Files(Vec<(PathBuf, Round, Option<Print>)>);

impl Files {
    /// Looks at these from now on, each with how much is to be looked at when it changes.
    pub fn follow(&mut self, paths: impl IntoIterator<Item = (PathBuf, Round)>) {
        let known = std::mem::take(&mut self.0);
        for (path, round) in paths {
            let before = known.iter().find(|(known, ..)| *known == path);
            let print = before.map_or_else(|| print(&path), |(.., print)| *print);
            self.0.push((path, round, print));
        }
    }

    /// How much is to be looked at, where one is another than before.
    pub fn have_changed(&mut self) -> Option<Round> {
        let mut changed = None;
        for (path, round, before) in &mut self.0 {
            let now = print(path);
            if now != *before {
                changed = changed.max(Some(*round));
            }
            *before = now;
        }
        changed
    }
}

/// Of what a link leads to: a ConfigMap that is mounted changes by its links.
fn print(path: &PathBuf) -> Option<Print> {
    let meta = std::fs::metadata(path).ok()?;
    let time = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    Some((
        meta.dev(),
        meta.ino(),
        meta.len(),
        time(meta.mtime(), meta.mtime_nsec()),
        time(meta.ctime(), meta.ctime_nsec()),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_that_comes_changes_is_replaced_or_goes_is_news_once() {
        let dir = std::env::temp_dir().join(format!("vxlan-agent-files-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("peers");
        let mut files = Files::default();
        files.follow([(path.clone(), Round::HostSides)]);
        let mut news = |act: &dyn Fn()| {
            act();
            let is_news = |news: Option<Round>| news == Some(Round::HostSides);
            (is_news(files.have_changed()), is_news(files.have_changed()))
        };
        assert_eq!(news(&|| {}), (false, false));
        assert_eq!(news(&|| std::fs::write(&path, "a").unwrap()), (true, false));
        assert_eq!(
            news(&|| std::fs::write(&path, "ab").unwrap()),
            (true, false)
        );
        let draft = dir.join("draft");
        std::fs::write(&draft, "cd").unwrap();
        assert_eq!(
            news(&|| std::fs::rename(&draft, &path).unwrap()),
            (true, false)
        );
        assert_eq!(
            news(&|| std::fs::remove_file(&path).unwrap()),
            (true, false)
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
