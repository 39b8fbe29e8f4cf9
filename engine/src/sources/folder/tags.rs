//! Files by whose presence a folder asks to be left out.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::OFlags;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::is_valid_name;
use crate::sources::folder::file::read_full;
use crate::sources::folder::open::open_quietly;
use crate::sources::folder::stat::{FileKind, stat_at};

/// Name of the tag of the cache directory convention.
pub(super) const CACHE_TAG_NAME: &[u8] = b"CACHEDIR.TAG";
/// What a cache tag begins with (<https://bford.info/cachedir/>).
pub const CACHE_TAG_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// A regular file that marks its folder.
#[derive(Debug)]
pub(super) struct Tag {
    name: Vec<u8>,
    /// What it must begin with; empty for anything.
    content: Vec<u8>,
}

impl Tag {
    pub(super) fn new(name: &[u8], content: &[u8]) -> Self {
        Self {
            name: name.to_vec(),
            content: content.to_vec(),
        }
    }

    /// From `NAME` or `NAME:CONTENT`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (name, content) = text.split_once(':').unwrap_or((text, ""));
        if !is_valid_name(name.as_bytes()) {
            let detail = format!("{name:?} is not the name of a file");
            let place = Place::Argument("exclude-if-present");
            return Err(Error::new(ErrorKind::InvalidInput, place, detail));
        }
        Ok(Self::new(name.as_bytes(), content.as_bytes()))
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// True if the tag lies in `folder`. What cannot be examined marks nothing: in doubt there is
    /// more in the snapshot, not less.
    pub(super) fn marks(&self, folder: BorrowedFd<'_>) -> bool {
        stat_at(folder, self.name.as_slice()).is_ok_and(|stat| stat.kind == FileKind::File)
            && (self.content.is_empty() || self.has_content(folder))
    }

    fn has_content(&self, folder: BorrowedFd<'_>) -> bool {
        let mut beginning = vec![0; self.content.len()];
        open_quietly(folder, &self.name, OFlags::RDONLY | OFlags::NONBLOCK)
            .is_ok_and(|file| read_full(file.as_fd(), 0, &mut beginning).is_ok())
            && beginning == self.content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_name_and_perhaps_a_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let handle = std::fs::File::open(folder.path()).unwrap();
        std::fs::write(folder.path().join("tag"), "begin: end").unwrap();
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        std::os::unix::fs::symlink("tag", folder.path().join("link")).unwrap();
        let table = [
            ("tag", true),
            ("tag:begin", true),
            ("tag:begin: end", true),
            ("tag:begin: end and more", false),
            ("tag:other", false),
            ("gone", false),
            ("folder", false),
            ("link", false),
        ];
        for (text, expected) in table {
            assert_eq!(
                Tag::parse(text).unwrap().marks(handle.as_fd()),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn a_tag_cannot_lie_in_another_folder() {
        for bad in ["", ":content", "../x", "a/b", ".", ".."] {
            assert!(Tag::parse(bad).is_err(), "{bad:?}");
        }
    }
}
