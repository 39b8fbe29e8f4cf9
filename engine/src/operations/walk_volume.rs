//! What the verbs that walk the extents of a volume share: a walk over a range of it, cut at its
//! ends, and losses told.

use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::format::entry::{Content, Extent, ExtentsRoot};
use crate::format::snapshot::Root;
use crate::observe::{Observer, Problem, ProblemKind};
use crate::operations::walk::with_causes;
use crate::repository::chunks::ChunkReader;
use crate::repository::manifest::content::{ExtentCursor, ExtentStep};

/// A volume is one content.
pub(crate) fn content_of(root: &Root) -> Content {
    Content::Tree(ExtentsRoot {
        len: root.bytes,
        page: root.page,
        level: root.level,
    })
}

/// Tells bytes of a volume, counted from its first, that went wrong.
pub(crate) fn tell(
    observer: &dyn Observer,
    root: &Root,
    range: &Range<u64>,
    what_of_it: &str,
    error: &Error,
) {
    let kind = match error.kind() {
        ErrorKind::NotFound => ProblemKind::Missing,
        _ => ProblemKind::Damaged,
    };
    let (start, len) = (range.start, range.end - range.start);
    observer.problem(&Problem {
        kind,
        subject: root.name.clone(),
        detail: format!("bytes {start}+{len} {what_of_it}: {}", with_causes(error)),
    });
}

/// A piece of a volume that a walk comes upon.
pub(crate) struct Piece {
    /// What of the range it fills; counted from the first byte of the volume.
    pub range: Range<u64>,
    /// What is there.
    pub found: Found,
}

/// What is in a place of a volume.
pub(crate) enum Found {
    /// An extent, and where the whole of it begins.
    Extent(u64, Extent),
    /// Its page cannot be read.
    Lost(Error),
}

/// A walk over a range of a volume.
pub(crate) struct VolumeWalk<'r> {
    cursor: ExtentCursor<'r>,
    range: Range<u64>,
}

impl<'r> VolumeWalk<'r> {
    /// A walk over `range`; pages before it stay unread.
    pub(crate) fn new(reader: &'r ChunkReader<'r>, root: &Root, range: Range<u64>) -> Result<Self> {
        let mut cursor = ExtentCursor::new(reader, &content_of(root));
        cursor.seek(range.start)?;
        Ok(Self { cursor, range })
    }

    /// The next piece; nothing behind the last.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>> {
        loop {
            let begins = self.cursor.offset();
            if begins >= self.range.end {
                return Ok(None);
            }
            let found = match self.cursor.next()? {
                None => return Ok(None),
                Some(ExtentStep::Extent(extent)) => Found::Extent(begins, extent),
                Some(ExtentStep::Lost { error, .. }) => Found::Lost(error),
            };
            let start = begins.max(self.range.start);
            let end = self.cursor.offset().min(self.range.end);
            if start < end {
                let range = start..end;
                return Ok(Some(Piece { range, found }));
            }
        }
    }
}
