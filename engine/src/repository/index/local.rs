//! Segments of one repository that are kept on this machine, so that a start reads none of the
//! index runs that it has seen before.
//!
//! Derived from what is derived: every file can be deleted. A file belongs to the runs whose names
//! it holds; a run never changes under its name, so a file is right for as long as all its runs are
//! listed. Failures to write are passed over: the next start reads the runs again.

use std::collections::HashSet;
use std::io::Write;

use crate::error::Result;
use crate::format::cursor::Cursor;
use crate::format::id::RepositoryId;
#[cfg(any(test, feature = "testing"))]
use crate::format::index_run::IndexRun;
use crate::format::table::TableName;
use crate::format::{DecodeError, Decoded};
#[cfg(any(test, feature = "testing"))]
use crate::repository::index::build;
use crate::repository::index::build::{shape_of_merged, write_merged};
use crate::repository::index::bytes::{CheckedFile, SUM_LEN, SegmentBytes, TaggingWriter};
use crate::repository::index::compact;
use crate::repository::index::notes::is_note;
use crate::repository::index::segment::{Segment, Shape};
use crate::storage::cache::{CacheFolder, Mapped};
use crate::transform::derive::Secret;

const MAGIC: [u8; 8] = *b"bsindex2";
const FOOTER_LEN: usize = MAGIC.len() + RepositoryId::LEN + 5 * 4;

/// Where the segments of one repository are kept.
pub(crate) struct LocalIndex {
    folder: CacheFolder,
    key: Secret,
    repository: RepositoryId,
}

impl LocalIndex {
    /// The segments of `repository` in a cache that may hold those of others.
    pub(crate) fn open(cache: &CacheFolder, key: Secret, repository: RepositoryId) -> Result<Self> {
        let folder = cache.folder(&repository.to_string())?;
        Ok(Self {
            folder,
            key,
            repository,
        })
    }

    pub(super) fn folder(&self) -> &CacheFolder {
        &self.folder
    }

    pub(super) fn key(&self) -> &Secret {
        &self.key
    }

    /// All segments whose runs are `listed`, no run twice. Those of runs that are gone go too.
    pub(super) fn segments(&self, listed: &HashSet<TableName>) -> Vec<Segment> {
        let mut segments = Vec::new();
        let names = self.folder.names().unwrap_or_default();
        for name in names.iter().filter(|name| !is_note(name)) {
            match self.read(name) {
                Some(segment) if segment.runs().iter().all(|run| listed.contains(run)) => {
                    segments.push(segment);
                }
                _ => self.folder.remove(name),
            }
        }
        segments.sort_by_key(|segment| std::cmp::Reverse(segment.shape().runs));
        let mut taken = HashSet::new();
        segments.retain(|segment| {
            let is_new = segment.runs().iter().all(|run| !taken.contains(run));
            if is_new {
                taken.extend(segment.runs().iter().copied());
            } else {
                self.forget(segment);
            }
            is_new
        });
        segments
    }

    /// Keeps a run by itself.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn add(&self, run: &IndexRun) {
        let _ = self.keep(&[build::from_run(run)]);
    }

    /// Merges what became small beside the rest, so that the next start need not; `runs` are all
    /// that the repository has.
    pub(crate) fn tidy(&self, runs: impl Iterator<Item = TableName>) {
        compact(self.segments(&runs.collect()), Some(self));
    }

    /// Writes what `inputs` know as one segment and gives it back mapped; nothing if that failed.
    pub(super) fn keep(&self, inputs: &[Segment]) -> Option<Segment> {
        let shape = shape_of_merged(inputs)?;
        let name = name_of(inputs.iter().flat_map(Segment::runs));
        let written = self.folder.write(&name, |out| {
            let mut tagged = TaggingWriter::new(out, &self.key);
            write_merged(inputs, shape, &mut tagged)?;
            tagged.finish(&self.footer(shape))
        });
        written.ok()?;
        self.read(&name)
    }

    /// Removes the file of a segment.
    pub(super) fn forget(&self, segment: &Segment) {
        self.folder.remove(&name_of(segment.runs().iter()));
    }

    fn read(&self, name: &str) -> Option<Segment> {
        let map = self.folder.map(name).ok()?;
        let (shape, footer) = self.shape_of(&map).ok()?;
        let file = CheckedFile::open(map, self.key.clone(), shape.body_len(), &footer)?;
        Segment::new(SegmentBytes::File(file), shape)
    }

    fn footer(&self, shape: Shape) -> [u8; FOOTER_LEN] {
        let mut footer = [0; FOOTER_LEN];
        let mut out = footer.as_mut_slice();
        let parts = [&MAGIC[..], self.repository.as_bytes()].concat();
        let counts = [
            shape.runs,
            shape.packs,
            shape.origins,
            shape.frames,
            shape.entries,
        ];
        let counts: Vec<_> = counts.into_iter().flat_map(u32::to_le_bytes).collect();
        let filled = out.write_all(&parts).and_then(|()| out.write_all(&counts));
        filled.expect("the footer has room for its parts");
        footer
    }

    fn shape_of(&self, map: &Mapped) -> Decoded<(Shape, [u8; FOOTER_LEN])> {
        let end = map.len().checked_sub(SUM_LEN);
        let footer = end.and_then(|end| map.get(..end)?.last_chunk::<FOOTER_LEN>());
        let footer = footer.ok_or(DecodeError::Truncated)?;
        let mut cursor = Cursor::new(footer);
        if cursor.array()? != MAGIC || cursor.array()? != *self.repository.as_bytes() {
            return Err(DecodeError::Malformed("not a segment of this repository"));
        }
        let shape = Shape {
            runs: cursor.u32()?,
            packs: cursor.u32()?,
            origins: cursor.u32()?,
            frames: cursor.u32()?,
            entries: cursor.u32()?,
        };
        Ok((shape, *footer))
    }
}

/// A file is named after its runs: two processes that write the same one write the same bytes.
fn name_of<'r>(runs: impl Iterator<Item = &'r TableName>) -> String {
    let mut names: Vec<_> = runs.map(|run| (run.session.0, run.number)).collect();
    names.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    for (session, number) in names {
        hasher.update(&session).update(&number.to_le_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}
