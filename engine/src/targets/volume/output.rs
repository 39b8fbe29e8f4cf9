//! A file that gets its name when it is complete.
//!
//! It grows beside its name, so that a rename can give it that name, and is removed if nothing
//! comes of it. What a killed process leaves begins with a dot and ends with [`SUFFIX`].

use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::OFlags;
use rustix::fs::RenameFlags;
use rustix::io::Errno;

use crate::error::Error;
use crate::error::ErrorKind;
use crate::error::Place;
use crate::error::Result;
use crate::targets::volume::open::failed;
use crate::targets::volume::open::flush_folder_of;
use crate::targets::volume::open::folder_of;
use crate::targets::volume::refused;

/// How temporary files end.
pub const SUFFIX: &str = ".blockstore-tmp";

/// A file on its way to a name.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    replace: bool,
    /// Absolute, so that no program takes its beginning for something else.
    temporary: PathBuf,
}

impl Output {
    /// Draws a temporary name for the file that is to be `path`; nothing is made yet. What has
    /// that name already is an error, or will be replaced.
    pub fn new(path: &Path, replace: bool) -> Result<Self> {
        match rustix::fs::lstat(path) {
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed(path, "cannot be examined", errno)),
            Ok(_) if !replace => return Err(exists(path)),
            Ok(stat) if !is_file(stat.st_mode) => {
                let detail = "is no regular file and is not replaced; choose another name";
                return Err(refused(ErrorKind::InvalidInput, path, detail));
            }
            Ok(_) => {}
        }
        let Some(name) = path.file_name() else {
            let detail = "is not the name of a file";
            return Err(refused(ErrorKind::InvalidInput, path, detail));
        };
        let folder = folder_of(path);
        let folder = std::fs::canonicalize(&folder)
            .map_err(|error| Error::io(Place::Path(folder), "cannot be found", error))?;
        let drawn = getrandom::u64().map_err(|error| {
            let detail = format!("the system gives no random numbers: {error}");
            refused(ErrorKind::Io, path, detail)
        })?;
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{drawn:016x}{SUFFIX}"));
        Ok(Self {
            path: path.to_owned(),
            replace,
            temporary: folder.join(temporary),
        })
    }

    /// Where the file grows.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Has the file reach the medium and gives it its name.
    pub fn publish(self) -> Result<()> {
        self.flush()?;
        if self.replace {
            rustix::fs::rename(&self.temporary, &self.path)
                .map_err(|errno| failed(&self.path, "give the file its name", errno))?;
        } else {
            rename_noreplace(&self.temporary, &self.path).map_err(|errno| match errno {
                Errno::EXIST => exists(&self.path),
                errno => failed(&self.path, "give the file its name", errno),
            })?;
        }
        flush_folder_of(&self.path)
    }

    fn flush(&self) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::open(&self.temporary, flags, rustix::fs::Mode::empty())
            .and_then(rustix::fs::fsync)
            .map_err(|errno| failed(&self.temporary, "flush", errno))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Published, it has this name no more.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

fn is_file(mode: u32) -> bool {
    rustix::fs::FileType::from_raw_mode(mode) == rustix::fs::FileType::RegularFile
}

fn exists(path: &Path) -> Error {
    let detail = "exists; choose another name, or say to overwrite it";
    refused(ErrorKind::AlreadyExists, path, detail)
}

/// For file systems without an exclusive rename a link does the same.
fn rename_noreplace(from: &Path, to: &Path) -> Result<(), Errno> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty())
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn an_output_has_its_name_when_it_is_complete_and_no_other_remains() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let output = Output::new(&path, false).unwrap();
        std::fs::write(output.temporary(), "whole").unwrap();
        assert!(!path.exists());
        output.publish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(names(folder.path()), ["out"]);
    }

    #[test]
    fn an_output_that_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::new(&folder.path().join("out"), false).unwrap();
        std::fs::write(output.temporary(), "half").unwrap();
        drop(output);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn what_exists_is_replaced_at_the_end_and_only_if_that_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let early = Output::new(&path, false).unwrap();
        std::fs::write(&path, "old").unwrap();
        std::fs::write(early.temporary(), "new").unwrap();
        let late = early.publish().unwrap_err();
        let refused = Output::new(&path, false).map(drop).unwrap_err();
        for error in [late, refused] {
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        let output = Output::new(&path, true).unwrap();
        std::fs::write(output.temporary(), "new").unwrap();
        output.publish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert!(Output::new(folder.path(), true).is_err());
        assert_eq!(names(folder.path()), ["out"]);
    }
}
