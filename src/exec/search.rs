//! Where a program is: the first file of its name, in some folders, that may be executed.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// Folders in which programs are looked for behind those in PATH: a runtime starts plugins with its
/// own PATH, which may lack the sbin folders, be empty or not be there at all.
const PATH_TAIL: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// A program that is in none of the folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The folders.
    pub looked: Vec<PathBuf>,
    /// Files of its name that this program may not execute.
    pub passed_over: Vec<PathBuf>,
}

/// Prints the folders, and what is there but is no program.
impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |paths: &[PathBuf], by: &str| {
            let shown = paths.iter().map(|path| path.display().to_string());
            shown.collect::<Vec<_>>().join(by)
        };
        f.write_str(&joined(&self.looked, ":"))?;
        match &self.passed_over[..] {
            [] => Ok(()),
            files => write!(
                f,
                "; passed over, for want of permission to execute it: {}",
                joined(files, ", ")
            ),
        }
    }
}

/// Finds a program by its name. A file without execute permission is none, and the next folder may have one.
///
/// # Errors
/// Where it was looked for, and what was passed over.
pub fn program(name: &str, folders: impl IntoIterator<Item = PathBuf>) -> Result<PathBuf, Missing> {
    let mut missing = Missing {
        looked: Vec::new(),
        passed_over: Vec::new(),
    };
    for folder in folders {
        let file = folder.join(name);
        match (file.is_file(), may_execute(&file)) {
            (true, true) => return Ok(file),
            (true, false) => missing.passed_over.push(file),
            (false, _) => {}
        }
        missing.looked.push(folder);
    }
    Err(missing)
}

/// Asks the kernel, which knows of mounts without permission to execute (`noexec`) too.
fn may_execute(file: &Path) -> bool {
    access(file, Access::EXEC_OK).is_ok()
}

/// The folders of PATH, then those that every system has. An empty entry is passed over: to a shell it is the
/// working folder, which is the runtime's and may be anyone's.
pub fn folders() -> Vec<PathBuf> {
    of_path(std::env::var_os("PATH").unwrap_or_default())
}

fn of_path(path: OsString) -> Vec<PathBuf> {
    let own = std::env::split_paths(&path).filter(|folder| !folder.as_os_str().is_empty());
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in own.chain(PATH_TAIL.map(PathBuf::from)) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// The same folders as a PATH for a command that starts another one, as `ip netns exec` and `nsenter` do: what is
/// inside is found where the outer one was.
pub fn path() -> OsString {
    let folders = folders();
    // No folder has a `:`: each is a part of a PATH, or one of the tail.
    std::env::join_paths(folders).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_path_is_read_without_its_empty_parts_and_every_system_folder_is_behind_it() {
        for path in ["", ":", "::", "/sbin", ":/sbin:"] {
            let folders = of_path(path.into());
            assert!(folders.iter().all(|folder| folder.is_absolute()), "{path}");
            assert_eq!(folders.len(), PATH_TAIL.len(), "{path}: {folders:?}");
        }
        let folders = of_path("/opt/a::/usr/bin:b".into());
        let first = ["/opt/a", "/usr/bin", "b", "/usr/local/sbin"].map(PathBuf::from);
        assert_eq!(folders[..4], first);
    }

    #[test]
    fn a_file_without_execute_permission_is_passed_over_and_named() {
        let dir = std::env::temp_dir().join(format!("vxlan-cni-search-{}", std::process::id()));
        let folders = ["one", "two", "three"].map(|name| dir.join(name));
        let file = |folder: &Path, mode: u32| {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(folder.join("ip"), "").unwrap();
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(folder.join("ip"), mode).unwrap();
        };
        // A folder of the name, a file, and then what is wanted.
        std::fs::create_dir_all(folders[0].join("ip")).unwrap();
        file(&folders[1], 0o644);
        let missing = program("ip", folders.clone()).unwrap_err();
        assert_eq!(missing.passed_over, [folders[1].join("ip")]);
        assert_eq!(missing.looked, folders);
        let told = missing.to_string();
        let passed = format!("execute it: {}", folders[1].join("ip").display());
        assert!(told.ends_with(&passed), "{told}");
        file(&folders[2], 0o755);
        assert_eq!(program("ip", folders.clone()), Ok(folders[2].join("ip")));
        std::fs::remove_dir_all(dir).unwrap();
    }
}
