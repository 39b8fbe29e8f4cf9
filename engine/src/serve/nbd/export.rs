//! What a server offers: contents under names, and what is known of their ranges.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::format::nbd::{
    BASE_ALLOCATION, DIRTY_BITMAP_PREFIX, EXPORT_CAN_MULTI_CONN, EXPORT_HAS_FLAGS,
    EXPORT_READ_ONLY, EXPORT_SEND_DF, EXPORT_SEND_FLUSH, EXPORT_SEND_FUA, EXPORT_SEND_TRIM,
    EXPORT_SEND_WRITE_ZEROES,
};
use crate::limits;
use crate::pipeline::ranges;
use crate::serve::View;
use crate::serve::overlay::Overlay;

/// Number of `base:allocation` among the contexts of every export; dirty bitmaps follow.
pub(super) const ALLOCATION: u32 = 0;

/// A content that clients see as a disk.
#[derive(Clone)]
pub struct NbdExport {
    /// Its name; clients that give none get the first export of the server.
    pub name: String,
    /// A line for a person.
    pub description: String,
    /// The bytes.
    pub content: NbdContent,
    /// What differs from something earlier, by the name of the bitmap:
    /// `qemu:dirty-bitmap:NAME`.
    pub bitmaps: Vec<(String, DirtyRanges)>,
}

/// The bytes of an export.
#[derive(Clone)]
pub enum NbdContent {
    /// Clients only read them.
    ReadOnly(Arc<dyn View>),
    /// What clients write lies over them.
    Writable(Arc<Overlay>),
}

/// Ranges that were written since something earlier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirtyRanges(Arc<[Range<u64>]>);

impl DirtyRanges {
    /// From ranges in any order; they may overlap.
    pub fn new(ranges: Vec<Range<u64>>) -> Self {
        Self(ranges::joined(ranges).into())
    }

    /// What `range` is made of, dirty or not: ascending and without gaps, at most `pieces_max`
    /// pieces, so perhaps not all of it.
    fn pieces(&self, range: &Range<u64>, pieces_max: usize) -> Vec<(Range<u64>, bool)> {
        let first = self.0.partition_point(|dirty| dirty.end <= range.start);
        let mut pieces = Vec::new();
        let mut at = range.start;
        for dirty in self.0.iter().skip(first) {
            let (start, end) = (dirty.start.min(range.end), dirty.end.min(range.end));
            if start > at {
                pieces.push((at..start, false));
            }
            if end > start.max(at) {
                pieces.push((start.max(at)..end, true));
            }
            at = at.max(end);
            if at == range.end || pieces.len() >= pieces_max {
                break;
            }
        }
        if at < range.end {
            pieces.push((at..range.end, false));
        }
        pieces.truncate(pieces_max);
        pieces
    }
}

impl NbdExport {
    /// What is read.
    pub fn view(&self) -> &dyn View {
        match &self.content {
            NbdContent::ReadOnly(view) => view.as_ref(),
            NbdContent::Writable(overlay) => overlay.as_ref(),
        }
    }

    /// What is written to, if that is possible.
    pub(super) fn overlay(&self) -> Option<&Overlay> {
        match &self.content {
            NbdContent::ReadOnly(_) => None,
            NbdContent::Writable(overlay) => Some(overlay),
        }
    }

    /// Transmission flags of the protocol.
    pub(super) fn flags(&self, is_structured: bool) -> u16 {
        let always = EXPORT_HAS_FLAGS | EXPORT_SEND_FLUSH | EXPORT_CAN_MULTI_CONN;
        let written = match self.overlay() {
            None => EXPORT_READ_ONLY,
            Some(_) => EXPORT_SEND_FUA | EXPORT_SEND_TRIM | EXPORT_SEND_WRITE_ZEROES,
        };
        let structured = if is_structured { EXPORT_SEND_DF } else { 0 };
        always | written | structured
    }

    /// Numbers and full names of the contexts.
    pub(super) fn contexts(&self) -> impl Iterator<Item = (u32, String)> {
        let allocation = (ALLOCATION, BASE_ALLOCATION.to_owned());
        let named = |(name, _): &(String, DirtyRanges)| format!("{DIRTY_BITMAP_PREFIX}{name}");
        let bitmaps = (ALLOCATION + 1..).zip(self.bitmaps.iter().map(named));
        std::iter::once(allocation).chain(bitmaps)
    }

    /// Pieces of the bitmap that is context `number`; see [`DirtyRanges::pieces`].
    pub(super) fn dirty(
        &self,
        number: u32,
        range: &Range<u64>,
        pieces_max: usize,
    ) -> Option<Vec<(Range<u64>, bool)>> {
        let index = number.checked_sub(ALLOCATION + 1)?;
        let (_, bitmap) = self.bitmaps.get(index as usize)?;
        Some(bitmap.pieces(range, pieces_max))
    }
}

impl fmt::Debug for NbdExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.view().len();
        write!(f, "NbdExport({:?}, {len} bytes)", self.name)
    }
}

/// Whether these can be offered together.
///
/// # Errors
/// `InvalidInput` if there is none, or two have one name; `LimitExceeded` if a name or a content is
/// too long for the protocol, or a bitmap too many.
pub(super) fn check(exports: &[NbdExport]) -> Result<()> {
    let refuse = |kind, detail| Err(Error::new(kind, Place::Argument("exports"), detail));
    if exports.is_empty() {
        return refuse(
            ErrorKind::InvalidInput,
            "there is nothing to serve".to_owned(),
        );
    }
    let mut names = BTreeSet::new();
    for export in exports {
        let name = &export.name;
        let mut contexts = export.contexts();
        if !names.insert(name) {
            let detail = format!("two of them are named {name:?}");
            return refuse(ErrorKind::InvalidInput, detail);
        }
        let are_short = name.len().max(export.description.len()) <= limits::NBD_NAME_LEN_LIMIT
            && contexts.all(|(_, name)| name.len() <= limits::NBD_NAME_LEN_LIMIT);
        if !are_short || export.bitmaps.len() > limits::NBD_BITMAPS_MAX {
            let detail = format!(
                "{name:?} has a name of over {} bytes, or over {} bitmaps",
                limits::NBD_NAME_LEN_LIMIT,
                limits::NBD_BITMAPS_MAX
            );
            return refuse(ErrorKind::LimitExceeded, detail);
        }
        if export.view().len() > limits::VOLUME_LEN_LIMIT {
            let detail = format!("{name:?} is longer than the protocol can say");
            return refuse(ErrorKind::LimitExceeded, detail);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pieces_of_a_bitmap_cover_what_is_asked_and_no_more() {
        let bitmap = DirtyRanges::new(vec![70..80, 10..20, 15..30]);
        let all = [
            (0..10, false),
            (10..30, true),
            (30..70, false),
            (70..80, true),
            (80..100, false),
        ];
        assert_eq!(bitmap.pieces(&(0..100), 9), all);
        assert_eq!(bitmap.pieces(&(0..100), 2), all[..2]);
        assert_eq!(bitmap.pieces(&(12..14), 9), [(12..14, true)]);
        assert_eq!(bitmap.pieces(&(90..91), 1), [(90..91, false)]);
        assert_eq!(DirtyRanges::default().pieces(&(3..5), 1), [(3..5, false)]);
    }

    proptest! {
        #[test]
        fn every_byte_is_as_dirty_as_the_ranges_say(
            ranges in prop::collection::vec((0_u64..60, 0_u64..20), 0..8),
            start in 0_u64..80,
            len in 1_u64..80,
            pieces_max in 1_usize..6,
        ) {
            let ranges: Vec<_> = ranges.into_iter().map(|(start, len)| start..start + len).collect();
            let pieces = DirtyRanges::new(ranges.clone()).pieces(&(start..start + len), pieces_max);
            prop_assert!(!pieces.is_empty() && pieces.len() <= pieces_max);
            let mut at = start;
            for (piece, is_dirty) in &pieces {
                prop_assert_eq!(piece.start, at);
                prop_assert!(piece.end > at && piece.end <= start + len);
                for byte in piece.clone() {
                    prop_assert_eq!(ranges.iter().any(|range| range.contains(&byte)), *is_dirty);
                }
                at = piece.end;
            }
            prop_assert!(pieces.len() == pieces_max || at == start + len);
        }
    }
}
