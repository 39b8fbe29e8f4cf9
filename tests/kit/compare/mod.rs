//! Compares two trees in everything that a restore has to bring back.
//!
//! An oracle for the engine, so it shares nothing with it: its own walk, its own system calls.
//! Deliberately absent: atime, ctime, inode and device numbers, lengths of folders: no restore can
//! or should bring those back.

mod facts;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;

use facts::Facts;
use facts::Kind;

/// What a comparison looks at.
#[derive(Clone, Debug)]
pub struct Comparer {
    ignored: BTreeSet<PathBuf>,
    hole_maps: bool,
}

impl Default for Comparer {
    /// Looks at everything.
    fn default() -> Self {
        Self {
            ignored: BTreeSet::new(),
            hole_maps: true,
        }
    }
}

impl Comparer {
    /// Does not look at `path`, relative to the roots, nor at anything below it.
    #[must_use]
    pub fn ignoring(mut self, path: impl Into<PathBuf>) -> Self {
        self.ignored.insert(path.into());
        self
    }

    /// Does not look at where the holes of sparse files are; a hole still has to read as zeros.
    #[must_use]
    pub fn without_hole_maps(mut self) -> Self {
        self.hole_maps = false;
        self
    }

    /// Every difference between the trees, as a line that names the path and what differs there.
    /// The roots are compared, too. An error if one of the trees cannot be read.
    pub fn differences(&self, left: &Path, right: &Path) -> io::Result<Vec<String>> {
        let (left, right) = (self.tree(left)?, self.tree(right)?);
        let mut lines = Vec::new();
        for path in left.keys().filter(|path| !right.contains_key(*path)) {
            lines.push(format!("{path:?}: only on the left"));
        }
        for (path, there) in &right {
            match left.get(path) {
                None => lines.push(format!("{path:?}: only on the right")),
                Some(here) => {
                    let found = self.entry_differences(here, there)?;
                    lines.extend(found.iter().map(|what| format!("{path:?}: {what}")));
                }
            }
        }
        Ok(lines)
    }

    /// Panics with the first differences if there are any.
    #[track_caller]
    pub fn assert_equal(&self, left: &Path, right: &Path) {
        let lines = self
            .differences(left, right)
            .expect("both trees can be read");
        let shown = lines.iter().take(30).cloned().collect::<Vec<_>>();
        assert!(
            lines.is_empty(),
            "{} differences between {left:?} and {right:?}:\n{}",
            lines.len(),
            shown.join("\n")
        );
    }

    fn tree(&self, root: &Path) -> io::Result<BTreeMap<PathBuf, Facts>> {
        let mut tree = BTreeMap::new();
        self.add(root, PathBuf::new(), &mut tree)?;
        facts::name_leaders(&mut tree);
        Ok(tree)
    }

    fn add(
        &self,
        root: &Path,
        path: PathBuf,
        tree: &mut BTreeMap<PathBuf, Facts>,
    ) -> io::Result<()> {
        if self.ignored.contains(&path) {
            return Ok(());
        }
        let at = facts::place(root, &path);
        let facts = Facts::of(at.clone()).map_err(|error| named(&at, &error))?;
        if facts.kind == Kind::Folder {
            for entry in at.read_dir().map_err(|error| named(&at, &error))? {
                self.add(root, path.join(entry?.file_name()), tree)?;
            }
        }
        tree.insert(path, facts);
        Ok(())
    }

    fn entry_differences(&self, left: &Facts, right: &Facts) -> io::Result<Vec<String>> {
        let mut lines = facts::metadata_differences(left, right);
        if left.kind == Kind::File && right.kind == Kind::File && left.len == right.len {
            let files = (File::open(&left.at)?, File::open(&right.at)?);
            lines.extend(content_difference(&files.0, &files.1)?);
            if self.hole_maps {
                let maps = (facts::hole_map(&files.0)?, facts::hole_map(&files.1)?);
                if maps.0 != maps.1 {
                    lines.push(format!("data lies at {:?} and {:?}", maps.0, maps.1));
                }
            }
        }
        Ok(lines)
    }
}

/// The first byte in which two files of one length differ.
fn content_difference(left: &File, right: &File) -> io::Result<Option<String>> {
    const PIECE: usize = 1 << 20;
    let (mut here, mut there) = (Vec::with_capacity(PIECE), vec![0; PIECE]);
    let mut offset = 0;
    loop {
        here.clear();
        left.take(PIECE as u64).read_to_end(&mut here)?;
        if here.is_empty() {
            return Ok(None);
        }
        let there = &mut there[..here.len()];
        right.read_exact_at(there, offset)?;
        if let Some(at) = here.iter().zip(there.iter()).position(|(l, r)| l != r) {
            let at = offset + at as u64;
            return Ok(Some(format!("content differs from byte {at} on")));
        }
        offset += here.len() as u64;
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{path:?}: {error}"))
}
