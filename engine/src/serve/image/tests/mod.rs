//! File systems that their own tools made, read back, damaged, and restored.

mod damage;
pub(super) mod fat;
mod imported;
mod links;
pub(super) mod made;
mod restored;
mod samples;
mod xfs;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::entry::FolderPath;
use crate::operations::map_volume::MappedRange;
use crate::serve::image::{Image, cat, list};
use crate::serve::view::View;

/// A volume in memory.
pub(super) struct Memory(pub(in crate::serve::image) Vec<u8>);

impl View for Memory {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let begin = offset as usize;
        let part = self.0.get(begin..begin + out.len()).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, Place::Argument("range"), "outside")
        })?;
        out.copy_from_slice(part);
        Ok(())
    }

    fn map(&self, _: Range<u64>, _: usize) -> Result<Vec<MappedRange>> {
        Ok(Vec::new())
    }
}

pub(super) fn view(bytes: Vec<u8>) -> Arc<Memory> {
    Arc::new(Memory(bytes))
}

#[track_caller]
pub(super) fn opened(bytes: Vec<u8>) -> Image {
    Image::open(view(bytes), b"disk0/p1").expect("it is sound")
}

pub(super) fn path(text: &str) -> FolderPath {
    let names = text.split('/').filter(|name| !name.is_empty());
    names.fold(FolderPath::root(), |path, name| path.child(name.as_bytes()))
}

/// Content of the file at a path.
pub(super) fn content(image: &mut Image, at: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    cat(image, &path(at), &mut bytes).map(|_| bytes)
}

/// Everything that is listed, by path without the name of the image.
pub(super) fn listed(image: &mut Image) -> BTreeMap<String, crate::format::entry::Entry> {
    let mut found = BTreeMap::new();
    list(image, &FolderPath::root(), true, &(), &mut |listed| {
        let path = String::from_utf8(listed.path.clone()).expect("names are text here");
        let path = path
            .strip_prefix("disk0/p1/")
            .expect("paths begin with the name");
        found.insert(path.to_owned(), listed.entry.clone());
        Ok(())
    })
    .expect("it is listed");
    found
}

/// Runs a tool; false, and a line that says so, if it is not there.
#[allow(clippy::print_stderr, reason = "a test that is left out says so")]
pub(super) fn has_tool(name: &str) -> bool {
    let found = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .any(|folder| Path::new(folder).join(name).exists());
    if !found {
        eprintln!("skipped: there is no {name}");
    }
    found
}

#[track_caller]
pub(super) fn run(name: &str, arguments: &[&str]) {
    let path = "/usr/sbin:/usr/bin:/sbin:/bin";
    let output = Command::new(name)
        .args(arguments)
        .env("PATH", path)
        .output();
    let output = output.expect("the tool runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {errors}");
}

/// A file of so many zero bytes in a folder.
pub(super) fn blank(folder: &TempDir, len: u64) -> String {
    let path = folder.path().join("image");
    let file = std::fs::File::create(&path).expect("the folder can be written");
    file.set_len(len).expect("it may be long");
    text(&path)
}

pub(super) fn text(path: &Path) -> String {
    path.to_str().expect("paths are text here").to_owned()
}
