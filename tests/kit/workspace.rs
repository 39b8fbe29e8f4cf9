//! A folder of its own for each test, which goes away whatever the test put there.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use tempfile::TempDir;

/// A temporary folder; removed when dropped, folders without any permission in it included.
#[derive(Debug)]
pub struct Workspace(TempDir);

impl Workspace {
    /// An empty one, which other users may enter as well: some tests run programs as somebody else.
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("blockstore-test-").expect("there is a temporary folder");
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755))
            .expect("the folder is ours");
        Self(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A path in it, where nothing is yet.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// A new empty folder in it.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.join(name);
        std::fs::create_dir_all(&path).expect("the workspace can be written");
        path
    }

    /// A new file in it, with the folders on the way.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        write(&path, content);
        path
    }
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        make_removable(self.path());
    }
}

/// Writes a file, with the folders on the way to it.
pub fn write(path: &Path, content: impl AsRef<[u8]>) {
    let folder = path.parent().expect("a file lies in a folder");
    std::fs::create_dir_all(folder).expect("the folder can be made");
    std::fs::write(path, content).expect("the file can be written");
}

/// Waits until nothing that was written so far is so recent that its times prove nothing. The clock
/// of a file system is the kernel's and cannot be injected.
pub fn let_times_pass() {
    std::thread::sleep(std::time::Duration::from_millis(200));
}

/// Only folders stand in the way of a removal. What fails here fails again, and louder, there.
fn make_removable(folder: &Path) {
    let _ = std::fs::set_permissions(folder, Permissions::from_mode(0o700));
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_removable(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_goes_away_with_folders_that_nobody_may_enter() {
        let workspace = Workspace::new();
        let path = workspace.path().to_owned();
        workspace.file("closed/below/file", "x");
        for folder in ["closed/below", "closed"] {
            let none = Permissions::from_mode(0o000);
            std::fs::set_permissions(path.join(folder), none).unwrap();
        }
        drop(workspace);
        assert!(!path.exists());
    }
}
