//! Files that take up room, until as much of a file system is free as a test wants.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::FallocateFlags;
use rustix::fs::fallocate;
use rustix::fs::statvfs;

/// What file systems give room in; every count of bytes in between is the same to them.
pub const BLOCK_LEN: u64 = 4096;
/// How often what is free is measured again: taking room costs room as well.
const ATTEMPTS: u32 = 20;
/// A file is filled up in pieces of these lengths, bytes.
const PIECES: [usize; 3] = [1 << 20, 1 << 12, 1];

/// Bytes that are free below `path`, as a file system tells.
pub fn free(path: &Path) -> u64 {
    let space = statvfs(path).expect("the file system tells");
    space.f_bavail * space.f_frsize
}

/// Room that is taken up by files in one folder, and given back when it is dropped.
#[derive(Debug)]
pub struct Ballast(PathBuf);

impl Ballast {
    /// Takes room until about `bytes` are free, as exactly as the file system allows.
    pub fn leaving(folder: &Path, bytes: u64) -> Self {
        let ballast = Self(folder.join("ballast"));
        let file = File::create(&ballast.0).expect("there is room for a file");
        for _ in 0..ATTEMPTS {
            let len = file.metadata().expect("it is open").len();
            let free = free(folder);
            let blocks = free.abs_diff(bytes) / BLOCK_LEN * BLOCK_LEN;
            if free > bytes && blocks > 0 {
                // All of it at once finds no room for what the file system adds; half of it does.
                let all = fallocate(&file, FallocateFlags::empty(), len, blocks);
                let half = || (blocks / 2).max(BLOCK_LEN);
                let _ = all.or_else(|_| fallocate(&file, FallocateFlags::empty(), len, half()));
            } else if free < bytes && blocks > 0 {
                let cut = file.set_len(len.saturating_sub(blocks));
                cut.expect("a file can be cut");
            } else {
                break;
            }
            file.sync_all().expect("the file system works");
        }
        ballast
    }

    /// Takes all room there is, to the last byte that a file can have.
    pub fn fill(folder: &Path) -> Self {
        let ballast = Self(folder.join("rest"));
        let Ok(mut file) = File::create(&ballast.0) else {
            return ballast; // not even a name
        };
        for piece in PIECES {
            // What was promised is given back when it is written: so a second time.
            for _ in 0..2 {
                while file.write_all(&vec![1; piece]).is_ok() {}
                let _ = file.sync_all();
            }
        }
        ballast
    }

    /// What it takes up, bytes.
    pub fn len(&self) -> u64 {
        self.0.metadata().map_or(0, |file| file.blocks() * 512)
    }

    /// True if it takes up nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::mount::Mounted;
    use crate::kit::workspace::Workspace;

    #[test]
    fn ballast_leaves_what_was_asked_for_and_goes_away() {
        let workspace = Workspace::new();
        let Some(small) = Mounted::ext4(&workspace, "small", 16) else {
            return;
        };
        let before = free(small.path());
        for bytes in [0, 5 * BLOCK_LEN, 3 << 20] {
            let _ballast = Ballast::leaving(small.path(), bytes);
            assert!(free(small.path()).abs_diff(bytes) < 2 * BLOCK_LEN);
            let rest = Ballast::fill(small.path());
            assert_eq!(free(small.path()), 0);
            assert!(rest.len() + 2 * BLOCK_LEN >= bytes && rest.is_empty() == (bytes == 0));
            let full = std::fs::write(small.path().join("file"), "x").unwrap_err();
            assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        }
        assert_eq!(free(small.path()), before);
    }
}
