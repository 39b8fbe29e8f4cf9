//! What this process may do, and how a test says that it could not run.

use std::path::Path;

/// True if this process may create devices, give files away and mount.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says that a part of a test did not run, and why: a test that passes without having looked must
/// not look like one that did.
#[expect(
    clippy::print_stderr,
    reason = "a skipped part has to be visible, and the test harness captures this"
)]
pub fn skipped(what: &str, why: impl std::fmt::Display) {
    eprintln!("skipped: {what}: {why}");
}

/// Gives `path` and everything below it to another user; symbolic links themselves, too.
pub fn give_away(path: &Path, uid: u32, gid: u32) -> std::io::Result<()> {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid))?;
    if path.symlink_metadata()?.is_dir() {
        for entry in path.read_dir()? {
            give_away(&entry?.path(), uid, gid)?;
        }
    }
    Ok(())
}
