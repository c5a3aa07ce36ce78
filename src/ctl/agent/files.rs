//! Files whose change is news: the configuration, and lists of peers.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// What tells one state of a file from another: device, inode, length, and when its content and its entry changed, in
/// nanoseconds.
type Print = (u64, u64, u64, i128, i128);

/// Files, each as it was when it was looked at last.
#[derive(Debug, Default)]
pub struct Files(Vec<(PathBuf, Option<Print>)>);

impl Files {
    /// Looks at these from now on.
    pub fn follow(&mut self, paths: impl IntoIterator<Item = PathBuf>) {
        let known = std::mem::take(&mut self.0);
        for path in paths {
            let before = known.iter().find(|(known, _)| *known == path);
            let print = before.map_or_else(|| print(&path), |(_, print)| *print);
            self.0.push((path, print));
        }
    }

    /// Whether one is another than before.
    pub fn have_changed(&mut self) -> bool {
        let mut changed = false;
        for (path, before) in &mut self.0 {
            let now = print(path);
            changed |= now != *before;
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
        files.follow([path.clone()]);
        let mut news = |act: &dyn Fn()| {
            act();
            (files.have_changed(), files.have_changed())
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
