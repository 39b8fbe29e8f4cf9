//! Small file systems of their own: to fill them up, and to have a mount point.

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::kit::rights::is_root;
use crate::kit::rights::skipped;
use crate::kit::workspace::Workspace;

/// A kind of small file system.
#[derive(Clone, Copy, Debug)]
pub struct FileSystem {
    /// Its name.
    pub name: &'static str,
    /// Its size, MiB.
    pub mib: u64,
    /// True if there is never more room than it tells.
    pub is_exact: bool,
    /// What makes it, but for the name of the image.
    maker: &'static [&'static str],
}

impl FileSystem {
    /// With a journal, and no blocks set aside: all that is free is for everybody.
    pub const EXT4: Self = Self {
        name: "ext4",
        mib: 64,
        is_exact: true,
        maker: &["mkfs.ext4", "-q", "-F", "-m", "0"],
    };
    /// Smaller than any that is meant for use, so that it is full soon.
    pub const XFS: Self = Self {
        name: "xfs",
        mib: 64,
        is_exact: true,
        maker: &["mkfs.xfs", "-q", "-f", "--unsupported"],
    };
    /// Data and metadata in the same blocks, as small ones are meant to be made.
    pub const BTRFS: Self = Self {
        name: "btrfs",
        mib: 64,
        is_exact: false,
        maker: &["mkfs.btrfs", "-q", "--mixed"],
    };
    /// All of them.
    pub const ALL: [Self; 3] = [Self::EXT4, Self::XFS, Self::BTRFS];
}

/// A mounted file system, unmounted when dropped. Make it after its workspace, so that it goes
/// first.
#[derive(Debug)]
pub struct Mounted(PathBuf);

impl Mounted {
    /// A new ext4 of so many MiB in an image in the workspace; nothing, and a line that says so,
    /// where it cannot be mounted.
    pub fn ext4(workspace: &Workspace, name: &str, mib: u64) -> Option<Self> {
        // Without a journal and reserved blocks, nearly all of it is free.
        let maker = &["mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal"];
        let file_system = FileSystem {
            mib,
            maker,
            ..FileSystem::EXT4
        };
        Self::new(workspace, name, file_system)
    }

    /// A new file system in an image in the workspace; nothing, and a line that says so, where it
    /// cannot be made and mounted.
    pub fn new(workspace: &Workspace, name: &str, file_system: FileSystem) -> Option<Self> {
        let image = workspace.join(&format!("{name}.{}", file_system.name));
        let file = File::create(&image).and_then(|file| file.set_len(file_system.mib << 20));
        file.expect("the workspace can be written");
        let (program, words) = file_system.maker.split_first().expect("a program");
        match Command::new(program).args(words).arg(&image).output() {
            Ok(output) if output.status.success() => {
                Self::mount(&["-o", "loop"], &image, workspace.folder(name))
            }
            Ok(output) => not_mounted(String::from_utf8_lossy(&output.stderr)),
            Err(error) => not_mounted(format!("{program}: {error}")),
        }
    }

    /// A file system in memory, on an existing folder.
    pub fn tmpfs(at: &Path) -> Option<Self> {
        Self::mount(&["-t", "tmpfs"], Path::new("tmpfs"), at.to_owned())
    }

    /// The file system of a device, on a folder in the workspace.
    pub fn device(workspace: &Workspace, name: &str, device: &Path) -> Option<Self> {
        Self::mount(&[], device, workspace.folder(name))
    }

    /// The same, for reading.
    pub fn read_only(workspace: &Workspace, name: &str, device: &Path) -> Option<Self> {
        Self::mount(&["-o", "ro"], device, workspace.folder(name))
    }

    /// Unmounts it at once, so that all of it is on its device.
    pub fn unmount(self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        let is_gone = unmounted.is_ok_and(|status| status.success());
        assert!(is_gone, "{} is in use", self.0.display());
        std::mem::forget(self);
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn mount(options: &[&str], device: &Path, at: PathBuf) -> Option<Self> {
        if !is_root() {
            return not_mounted("only root can mount");
        }
        let mounted = Command::new("mount")
            .args(options)
            .arg(device)
            .arg(&at)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at)),
            Ok(output) => not_mounted(String::from_utf8_lossy(&output.stderr)),
            Err(error) => not_mounted(format!("mount: {error}")),
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily, because a program that a failed test left behind may still be in there.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn not_mounted(why: impl std::fmt::Display) -> Option<Mounted> {
    skipped("a file system of its own", why);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_system_can_be_filled_and_goes_away() {
        let workspace = Workspace::new();
        let Some(small) = Mounted::ext4(&workspace, "small", 4) else {
            return;
        };
        let path = small.path().to_owned();
        let full = std::fs::write(path.join("file"), vec![1; 8 << 20]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        drop(small);
        assert_eq!(path.read_dir().unwrap().count(), 0);
    }
}
