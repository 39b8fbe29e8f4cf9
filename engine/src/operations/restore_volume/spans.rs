//! The windows of a range that may lie in several volumes: planned in one after the other, and told
//! where they lie in the whole.

use std::ops::Range;
use std::vec;

use crate::error::Result;
use crate::format::snapshot::Root;
use crate::operations::restore_volume::plan::{Planner, Window};
use crate::operations::volume_bytes::VolumeBytes;
use crate::pipeline::budget::Budget;
use crate::pipeline::sequence::Part;
use crate::repository::chunks::ChunkReader;

/// Plans window after window.
pub(super) struct Plan<'r> {
    reader: &'r ChunkReader<'r>,
    budget: Budget,
    /// Parts that are not begun, each with what is wanted of it.
    left: vec::IntoIter<(&'r Part<&'r Root>, Range<u64>)>,
    begun: Option<(&'r Part<&'r Root>, Planner<'r>)>,
}

impl<'r> Plan<'r> {
    /// Plans `range` of `bytes`.
    pub(super) fn new(
        reader: &'r ChunkReader<'r>,
        bytes: &'r VolumeBytes<'r>,
        range: &Range<u64>,
        budget: Budget,
    ) -> Result<Self> {
        let left: Vec<_> = bytes.within(range)?.collect();
        Ok(Self {
            reader,
            budget,
            left: left.into_iter(),
            begun: None,
        })
    }

    /// The next window; nothing behind the end of the range.
    pub(super) fn next(&mut self) -> Result<Option<Window>> {
        loop {
            if let Some((part, planner)) = &mut self.begun
                && let Some(window) = planner.next()?
            {
                return Ok(Some(moved(window, part)));
            }
            let Some((part, within)) = self.left.next() else {
                return Ok(None);
            };
            let there = part.there(&within);
            let planner = Planner::new(self.reader, part.of, there, self.budget);
            self.begun = Some((part, planner));
        }
    }
}

/// What was planned in the volume of `part`, where it lies in the whole.
fn moved(mut window: Window, part: &Part<&Root>) -> Window {
    window.range = part.back(&window.range);
    for piece in &mut window.pieces {
        piece.at = part.back(&piece.range()).start;
    }
    for fill in &mut window.fills {
        fill.range = part.back(&fill.range);
    }
    for loss in &mut window.losses {
        loss.range = part.back(&loss.range);
    }
    window
}
