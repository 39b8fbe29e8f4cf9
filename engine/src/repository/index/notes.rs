//! Notes about a repository that are kept beside its segments on this machine.
//!
//! A note is tagged with a key of the repository, so what it says was said by a holder of the key
//! about this repository, under this name. One that is lost, or does not check, was never there.

use std::io::Write;

use crate::repository::index::local::LocalIndex;
use crate::repository::index::{damaged, whole};

const TAG_LEN: usize = 32;

/// True for the name of a note; all other files are segments.
pub(super) fn is_note(name: &str) -> bool {
    name.starts_with(whole::PREFIX) || name == damaged::FILE
}

impl LocalIndex {
    /// Keeps a note in the place of what stood under its name. A failure is passed over.
    pub(super) fn keep_note(&self, name: &str, body: &[u8]) {
        let tag = self.tag_of(name, body);
        let write = |out: &mut dyn Write| {
            out.write_all(&tag)?;
            out.write_all(body)
        };
        let _ = self.folder().write(name, write);
    }

    /// The note of this name.
    pub(super) fn note(&self, name: &str) -> Option<Vec<u8>> {
        let file = self.folder().map(name).ok()?;
        let (tag, body) = file.split_first_chunk::<TAG_LEN>()?;
        (*tag == self.tag_of(name, body)).then(|| body.to_vec())
    }

    fn tag_of(&self, name: &str, body: &[u8]) -> [u8; TAG_LEN] {
        let mut hasher = blake3::Hasher::new_keyed(self.key());
        hasher.update(blake3::hash(name.as_bytes()).as_bytes());
        hasher.update(body);
        *hasher.finalize().as_bytes()
    }
}
