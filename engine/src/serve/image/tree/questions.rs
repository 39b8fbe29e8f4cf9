//! What a tree asks of an image, each in one question.

use std::ops::Range;

use crate::error::Result;
use crate::format::entry::FolderPath;
use crate::operations::map_volume::{MappedRange, RangeKind};
use crate::operations::walk;
use crate::serve::image::item::ImageEntry;
use crate::serve::image::open::Image;
use crate::serve::image::reader::{At, Listing};

/// Stretches of a file that one question is about.
const STRETCHES_MAX: usize = 4_096;

impl Image {
    /// All entries of the folder at `path`, which its reader numbered `id`, by name; those that
    /// cannot be used say where they are.
    pub(super) fn listing(&mut self, path: &FolderPath, id: u64) -> Result<Listing> {
        let mut listing = self.ask(path, |reader| {
            let mut listing = Listing::default();
            reader.list(&At { path, id }, &mut listing)?;
            listing.sort();
            Ok(listing)
        })?;
        for lost in &mut listing.lost {
            let place = walk::place(&self.name_of(&path.child(&lost.name)));
            lost.error = lost.error.repeated().with_place(place);
        }
        Ok(listing)
    }

    /// What the bytes of the file at `path` from `range.start` on are, as `View::map` gives it.
    pub(super) fn map(
        &mut self,
        path: &FolderPath,
        entry: &ImageEntry,
        range: Range<u64>,
        pieces_max: usize,
    ) -> Result<Vec<MappedRange>> {
        let id = entry.found.id;
        self.ask(path, |reader| {
            let mut pieces: Vec<MappedRange> = Vec::new();
            let mut at = range.start;
            for _ in 0..STRETCHES_MAX {
                if at >= range.end {
                    break;
                }
                let stretch = reader.stretch(&At { path, id }, at)?;
                // A stretch that does not go on makes no sense: the byte is all that is known.
                let end = stretch.end.clamp(at + 1, range.end);
                let kind = match stretch.is_hole {
                    true => RangeKind::Hole,
                    false => RangeKind::Data,
                };
                let is_full = pieces.len() == pieces_max.max(1);
                match pieces.last_mut() {
                    Some(last) if last.kind == kind => last.range.end = end,
                    _ if is_full => break,
                    _ => pieces.push(MappedRange {
                        range: at..end,
                        kind,
                        chunk: None,
                    }),
                }
                at = end;
            }
            Ok(pieces)
        })
    }
}
