//! Making segments: from index runs, and from other segments. Everything is written once, in
//! order, so that a segment larger than memory can go straight to a file.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};

use crate::format::index_run::{ENTRY_LEN, IndexEntry, IndexRun, IndexedFrame, IndexedPack};
use crate::format::table::{Origin, TableName};
use crate::repository::index::bytes::SegmentBytes;
use crate::repository::index::line::{self, LINE_LEN};
use crate::repository::index::segment::{Segment, Shape};

/// The segment of one run, in memory.
pub(super) fn from_run(run: &IndexRun) -> Segment {
    let count = |len: usize| u32::try_from(len).expect("a run has limits");
    let shape = Shape {
        runs: 1,
        packs: count(run.packs.len()),
        origins: count(run.origins.len()),
        frames: count(run.frames.len()),
        entries: count(run.entries.len()),
    };
    in_memory(shape, |out| {
        let mut body = BodyWriter::new(out, shape);
        body.head(&[run.name], &run.packs, &run.origins)?;
        run.frames.iter().try_for_each(|frame| body.frame(frame))?;
        run.entries.iter().try_for_each(|entry| body.entry(entry))?;
        body.finish()
    })
}

/// What several segments know, in one, in memory.
pub(super) fn merged(inputs: &[Segment]) -> Segment {
    let shape = shape_of_merged(inputs).expect("memory holds fewer than 2^32 entries");
    in_memory(shape, |out| write_merged(inputs, shape, out))
}

fn in_memory(shape: Shape, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Segment {
    let mut bytes = Vec::with_capacity(shape.body_len());
    write(&mut bytes).expect("writing to memory succeeds, and memory is not damaged");
    debug_assert_eq!(bytes.len(), shape.body_len());
    Segment::new(SegmentBytes::Memory(bytes), shape).expect("what was written reads back")
}

/// The shape of all of them together, unless it would be too large.
pub(super) fn shape_of_merged(inputs: &[Segment]) -> Option<Shape> {
    let sum = |count: fn(Shape) -> u32| {
        let mut counts = inputs.iter().map(|input| count(input.shape()));
        counts.try_fold(0_u32, u32::checked_add)
    };
    Some(Shape {
        runs: sum(|shape| shape.runs)?,
        packs: sum(|shape| shape.packs)?,
        origins: sum(|shape| shape.origins)?,
        frames: sum(|shape| shape.frames)?,
        entries: sum(|shape| shape.entries)?,
    })
}

/// Writes the body of what several segments know together.
pub(super) fn write_merged(
    inputs: &[Segment],
    shape: Shape,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut body = BodyWriter::new(out, shape);
    let runs: Vec<_> = inputs.iter().flat_map(Segment::runs).copied().collect();
    let packs: Vec<_> = inputs.iter().flat_map(Segment::packs).copied().collect();
    let origins: Vec<_> = inputs.iter().flat_map(Segment::origins).copied().collect();
    body.head(&runs, &packs, &origins)?;
    let (mut pack_base, mut origin_base) = (0, 0);
    for input in inputs {
        for number in 0..input.shape().frames {
            let (frame, ..) = input.frame(number).ok_or_else(unreadable)?;
            body.frame(&IndexedFrame {
                pack: frame.pack + pack_base,
                origin: frame.origin + origin_base,
                ..frame
            })?;
        }
        pack_base += input.shape().packs;
        origin_base += input.shape().origins;
    }
    let mut entries = MergedEntries::new(inputs)?;
    while let Some(entry) = entries.next()? {
        body.entry(&entry)?;
    }
    body.finish()
}

fn unreadable() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a part of it is damaged")
}

/// The entries of several segments in one order, their frames numbered through.
struct MergedEntries<'s> {
    inputs: &'s [Segment],
    frame_bases: Vec<u32>,
    /// The next entry of each input: the order of its place, then the input and its number there.
    next: BinaryHeap<Reverse<(IndexEntry, usize, u32)>>,
}

impl<'s> MergedEntries<'s> {
    fn new(inputs: &'s [Segment]) -> io::Result<Self> {
        let mut frame_base = 0;
        let bases = inputs.iter().map(|input| {
            frame_base += input.shape().frames;
            frame_base - input.shape().frames
        });
        let mut merged = Self {
            inputs,
            frame_bases: bases.collect(),
            next: BinaryHeap::with_capacity(inputs.len()),
        };
        (0..inputs.len()).try_for_each(|input| merged.refill(input, 0))?;
        Ok(merged)
    }

    fn next(&mut self) -> io::Result<Option<IndexEntry>> {
        let Some(Reverse((entry, input, number))) = self.next.pop() else {
            return Ok(None);
        };
        self.refill(input, number + 1)?;
        Ok(Some(entry))
    }

    fn refill(&mut self, input: usize, number: u32) -> io::Result<()> {
        if number == self.inputs[input].shape().entries {
            return Ok(());
        }
        let entry = self.inputs[input].entry(number).ok_or_else(unreadable)?;
        let frame = entry.frame + self.frame_bases[input];
        let entry = IndexEntry { frame, ..entry };
        self.next.push(Reverse((entry, input, number)));
        Ok(())
    }
}

/// Writes a body in order, and gathers what stands behind the entries.
struct BodyWriter<'w> {
    out: &'w mut dyn Write,
    shape: Shape,
    scratch: Vec<u8>,
    /// The buckets that are full.
    lines: Vec<u8>,
    /// Places of the ids of the bucket that is not.
    fractions: Vec<u64>,
    /// Entries so far.
    entries: u32,
}

impl<'w> BodyWriter<'w> {
    fn new(out: &'w mut dyn Write, shape: Shape) -> Self {
        Self {
            out,
            shape,
            scratch: Vec::with_capacity(ENTRY_LEN),
            lines: Vec::with_capacity(shape.buckets() * LINE_LEN),
            fractions: Vec::new(),
            entries: 0,
        }
    }

    fn head(
        &mut self,
        runs: &[TableName],
        packs: &[IndexedPack],
        origins: &[Origin],
    ) -> io::Result<()> {
        let mut head = Vec::new();
        runs.iter().for_each(|run| run.encode_into(&mut head));
        packs.iter().for_each(|pack| pack.encode_into(&mut head));
        origins
            .iter()
            .for_each(|origin| origin.encode_into(&mut head));
        self.out.write_all(&head)
    }

    fn frame(&mut self, frame: &IndexedFrame) -> io::Result<()> {
        self.scratch.clear();
        frame.encode_into(&mut self.scratch);
        self.out.write_all(&self.scratch)
    }

    fn entry(&mut self, entry: &IndexEntry) -> io::Result<()> {
        self.scratch.clear();
        entry.encode_into(&mut self.scratch);
        let place = line::place_of(&entry.id, self.shape.buckets());
        self.end_lines_before(place.bucket);
        self.fractions.push(place.fraction);
        self.entries += 1;
        self.out.write_all(&self.scratch)
    }

    fn end_lines_before(&mut self, bucket: usize) {
        while self.lines.len() < bucket * LINE_LEN {
            let first = self.entries - self.fractions.len() as u32;
            let line = line::encode(first, &self.fractions);
            self.lines.extend_from_slice(&line);
            self.fractions.clear();
        }
    }

    fn finish(mut self) -> io::Result<()> {
        self.end_lines_before(self.shape.buckets());
        self.out.write_all(&[0; LINE_LEN][..self.shape.gap_len()])?;
        self.out.write_all(&self.lines)
    }
}
