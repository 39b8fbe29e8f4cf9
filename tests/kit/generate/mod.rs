//! Makes a tree with every type of file and everything about files that is awkward.
//!
//! The seed decides contents, and the times that nothing else decides: two trees of one seed on
//! one file system are equal. What the file system or the rights of this process do not allow is
//! left out and told, never an error.

mod contents;
mod links;
pub mod metadata;
mod names;

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;

/// Fills the empty folder `root`; gives what could not be made, and why.
pub fn generate(root: &Path, seed: u64) -> io::Result<Vec<String>> {
    let mut maker = Maker {
        root: root.to_owned(),
        seed,
        modes: BTreeMap::new(),
        times: BTreeMap::new(),
        skipped: Vec::new(),
    };
    contents::make(&mut maker)?;
    names::make(&mut maker)?;
    links::make(&mut maker)?;
    metadata::make(&mut maker)?;
    maker.settle(root)?;
    Ok(maker.skipped)
}

/// Bytes without any pattern that `seed` determines.
pub fn random_bytes(seed: u64, label: &str, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(label.as_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// A tree in the making.
struct Maker {
    root: PathBuf,
    seed: u64,
    /// Modes that wait for the end, because some keep us out.
    modes: BTreeMap<PathBuf, u32>,
    /// Times as seconds and nanoseconds; they wait because whatever is made in a folder moves them.
    times: BTreeMap<PathBuf, (i64, i64)>,
    skipped: Vec<String>,
}

impl Maker {
    /// Makes a folder, with those on the way to it.
    fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.root.join(name);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    fn random(&self, label: &str, len: usize) -> Vec<u8> {
        random_bytes(self.seed, label, len)
    }

    /// Notes what was not possible and goes on.
    fn attempt<E: std::fmt::Display>(&mut self, what: &str, result: Result<(), E>) {
        if let Err(error) = result {
            self.skipped.push(format!("{what}: {error}"));
        }
    }

    /// Sets modes and times from the bottom up, each folder after all that is in it.
    fn settle(&self, path: &Path) -> io::Result<()> {
        if path.symlink_metadata()?.is_dir() {
            let entries = path.read_dir()?.collect::<io::Result<Vec<_>>>()?;
            // In order, because the last of several hard links decides.
            let mut paths = entries.iter().map(|entry| entry.path()).collect::<Vec<_>>();
            paths.sort();
            paths.iter().try_for_each(|path| self.settle(path))?;
        }
        if let Some(&mode) = self.modes.get(path) {
            std::fs::set_permissions(path, Permissions::from_mode(mode))?;
        }
        let (seconds, nanoseconds) = match self.times.get(path) {
            Some(&time) => time,
            None => self.some_time(path)?,
        };
        let time = Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        Ok(rustix::fs::utimensat(
            CWD,
            path,
            &times,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    /// A time between 2001 and 2020, the past for sure, that the path below the root determines.
    fn some_time(&self, path: &Path) -> io::Result<(i64, i64)> {
        let below = path.strip_prefix(&self.root).map_err(io::Error::other)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_le_bytes());
        let hash = hasher.update(below.as_os_str().as_bytes()).finalize();
        let number = |at: usize| {
            let bytes = hash.as_bytes()[at..].first_chunk::<4>();
            i64::from(u32::from_le_bytes(*bytes.expect("a hash has 32 bytes")))
        };
        Ok((
            1_000_000_000 + number(0) % 600_000_000,
            number(4) % 1_000_000_000,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::compare::Comparer;
    use crate::kit::rights::is_root;
    use crate::kit::rights::skipped;
    use crate::kit::workspace::Workspace;

    #[test]
    fn two_trees_of_one_seed_are_equal_and_of_another_are_not() {
        let workspace = Workspace::new();
        let roots = ["a", "b", "c"].map(|name| workspace.folder(name));
        generate(&roots[0], 1).unwrap();
        generate(&roots[1], 1).unwrap();
        generate(&roots[2], 2).unwrap();
        let comparer = Comparer::default();
        comparer.assert_equal(&roots[0], &roots[1]);
        let lines = comparer.differences(&roots[0], &roots[2]).unwrap();
        assert!(lines.iter().any(|line| line.contains("content differs")));
        assert!(lines.iter().any(|line| line.contains("mtime is")));
    }

    #[test]
    fn root_gets_everything_but_what_the_file_system_has_no_room_for() {
        if !is_root() {
            return skipped("the whole generated tree", "only root can make all of it");
        }
        let workspace = Workspace::new();
        let missing = generate(workspace.path(), 1).unwrap();
        let allowed = |line: &String| line.starts_with("xattr value of ");
        assert!(missing.iter().all(allowed), "{missing:#?}");
    }
}
