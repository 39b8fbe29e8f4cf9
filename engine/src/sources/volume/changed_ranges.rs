//! Lists of changed ranges that other tools write as JSON.
//!
//! Two spellings are read: `qemu-img map --output=json`, and `nbdinfo --map=CONTEXT --json`. What
//! counts as changed depends on what the list is about, which each entry says:
//!
//! | list | an entry is changed if |
//! |---|---|
//! | `qemu-img map` | it is not in a backing file: `depth` 0 |
//! | `nbdinfo`, dirty bitmap (`clean`, `dirty`) | bit 0 of its `type` is set |
//! | `nbdinfo`, `qemu:allocation-depth` (`local`, `absent`, `backing`) | its `type` is 0 or 1 |
//! | `nbdinfo`, `base:allocation` (`data`, `hole`, `zero`) | always |
//!
//! A list of allocation does not show what was discarded, so what is a hole now counts as changed
//! in such lists; sources that know their holes need not be read there. What a list does not speak
//! of is unchanged.
//!
//! A list is read as a stream, one entry at a time, and nothing in it is trusted: entries may be
//! unsorted, overlap and repeat, but each must lie within the volume.

mod json;

use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::Range;
use std::path::Path;

use crate::error::{Error, ErrorKind, Place, Result};
use crate::limits;
use crate::pipeline::ranges;

use json::{Entries, Failure, Value};

/// Raw ranges are put in order once there are this many more than after the last time.
const NORMALISE_EVERY: usize = 1 << 18;

/// Ranges that may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedRanges {
    /// Ascending, apart, none empty; bytes.
    pub ranges: Vec<Range<u64>>,
    /// What the list was about; nothing for an empty list.
    pub kind: Option<ListKind>,
    /// Entries of the list, changed or not.
    pub entries: u64,
}

/// What a list is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// `qemu-img map`: what an image holds itself, and what its backing files hold.
    QemuImgMap,
    /// A dirty bitmap.
    DirtyBitmap,
    /// `base:allocation`.
    Allocation,
    /// `qemu:allocation-depth`.
    AllocationDepth,
}

/// An entry of any of the lists.
#[derive(Debug, Default)]
struct Entry {
    start: Option<u64>,
    length: Option<u64>,
    depth: Option<u64>,
    offset: Option<u64>,
    state: Option<u64>,
    description: Option<String>,
}

/// An entry, understood.
struct Found {
    kind: ListKind,
    range: Range<u64>,
    is_changed: bool,
}

impl ChangedRanges {
    /// What somebody knows without a list: ascending ranges, apart, none empty.
    pub fn of(ranges: Vec<Range<u64>>) -> Self {
        Self {
            entries: ranges.len() as u64,
            kind: None,
            ranges,
        }
    }

    /// Reads the list in the file at `path`, about a volume of `volume_len` bytes.
    ///
    /// As [`ChangedRanges::read`]; errors name the file.
    pub fn open(path: &Path, volume_len: u64) -> Result<Self> {
        let place = Place::Path(path.to_owned());
        let file = File::open(path)
            .map_err(|error| Error::io(place.clone(), "opening the list of changes", error))?;
        Self::read(BufReader::new(file), volume_len)
            .map_err(|error| Error::new(error.kind(), place, error.detail()))
    }

    /// Reads a list about a volume of `volume_len` bytes.
    ///
    /// `InvalidInput`, naming the entry (the first is 0), if it is malformed, mixes lists, or does
    /// not lie within the volume; `LimitExceeded` if it is too long.
    pub fn read(list: impl Read, volume_len: u64) -> Result<Self> {
        let mut entries = Entries::new(list);
        let mut found = ListInProgress::new(volume_len);
        loop {
            let mut entry = Entry::default();
            match entries.next_entry(&mut |name, value| entry.take(name, value)) {
                Ok(true) => found.take(&entry)?,
                Ok(false) => return found.finish(),
                Err(Failure::Io(error)) => return Err(Error::io(place(), "reading it", error)),
                Err(Failure::Malformed(what)) => {
                    return Err(invalid(format!("entry {}: {what}", found.entries)));
                }
            }
        }
    }
}

fn place() -> Place {
    Place::Argument("list of changed ranges")
}

fn invalid(detail: String) -> Error {
    Error::new(ErrorKind::InvalidInput, place(), detail)
}

fn too_long(detail: String) -> Error {
    Error::new(ErrorKind::LimitExceeded, place(), detail)
}

/// What is known after some entries.
struct ListInProgress {
    volume_len: u64,
    kind: Option<ListKind>,
    entries: u64,
    ranges: Vec<Range<u64>>,
    normalise_at: usize,
}

impl ListInProgress {
    fn new(volume_len: u64) -> Self {
        Self {
            volume_len,
            kind: None,
            entries: 0,
            ranges: Vec::new(),
            normalise_at: NORMALISE_EVERY,
        }
    }

    fn take(&mut self, entry: &Entry) -> Result<()> {
        let number = self.entries;
        self.entries += 1;
        if number >= limits::CHANGED_ENTRIES_LIMIT {
            return Err(too_long(format!("has more than {number} entries")));
        }
        let wrong = |what: String| invalid(format!("entry {number}: {what}"));
        let found = entry.understand().map_err(wrong)?;
        if *self.kind.get_or_insert(found.kind) != found.kind {
            return Err(wrong(
                "is of another kind of list than the first".to_owned(),
            ));
        }
        if found.range.end > self.volume_len {
            let Range { start, end } = found.range;
            let len = self.volume_len;
            return Err(wrong(format!(
                "{start} to {end} is not within the volume of {len} bytes"
            )));
        }
        if found.is_changed && !found.range.is_empty() {
            ranges::push(&mut self.ranges, found.range);
        }
        if self.ranges.len() >= self.normalise_at {
            self.normalise()?;
        }
        Ok(())
    }

    fn normalise(&mut self) -> Result<()> {
        self.ranges = ranges::joined(std::mem::take(&mut self.ranges));
        if self.ranges.len() > limits::CHANGED_RANGES_MAX {
            let most = limits::CHANGED_RANGES_MAX;
            return Err(too_long(format!("has more than {most} separate ranges")));
        }
        self.normalise_at = self.ranges.len() + NORMALISE_EVERY;
        Ok(())
    }

    fn finish(mut self) -> Result<ChangedRanges> {
        self.normalise()?;
        Ok(ChangedRanges {
            ranges: self.ranges,
            kind: self.kind,
            entries: self.entries,
        })
    }
}

impl Entry {
    /// Takes one field; those that no list is about are passed over.
    fn take(&mut self, name: &str, value: Value) -> Result<(), &'static str> {
        let number = match name {
            "start" => &mut self.start,
            "length" => &mut self.length,
            "depth" => &mut self.depth,
            "offset" => &mut self.offset,
            "type" => &mut self.state,
            "description" => return set(&mut self.description, value, as_text),
            _ => return Ok(()),
        };
        set(number, value, as_number)
    }

    fn understand(&self) -> Result<Found, String> {
        let (start, kind, is_changed) = if let Some(start) = self.start {
            let depth = self.depth.ok_or("has no depth")?;
            (start, ListKind::QemuImgMap, depth == 0)
        } else {
            let start = self.offset.ok_or("has neither start nor offset")?;
            let (kind, is_changed) = self.understand_state()?;
            (start, kind, is_changed)
        };
        let len = self.length.ok_or("has no length")?;
        let end = start.checked_add(len).ok_or("ends beyond 64 bits")?;
        Ok(Found {
            kind,
            range: start..end,
            is_changed,
        })
    }

    /// An entry of `nbdinfo`: the description tells the context, and must not contradict the type.
    fn understand_state(&self) -> Result<(ListKind, bool), String> {
        let state = self.state.ok_or("has no type")?;
        let description = self.description.as_deref().ok_or("has no description")?;
        let (kind, expected, is_changed) = match description {
            "clean" => (ListKind::DirtyBitmap, state & 1 == 0, false),
            "dirty" => (ListKind::DirtyBitmap, state & 1 == 1, true),
            "data" => (ListKind::Allocation, state & 3 == 0, true),
            "hole" => (ListKind::Allocation, state & 3 == 1, true),
            "zero" => (ListKind::Allocation, state & 3 == 2, true),
            "hole,zero" => (ListKind::Allocation, state & 3 == 3, true),
            "absent" | "unallocated" => (ListKind::AllocationDepth, state == 0, true),
            "local" => (ListKind::AllocationDepth, state == 1, true),
            text if text.starts_with("backing") => (ListKind::AllocationDepth, state > 1, false),
            _ => return Err("has a description that is not known".to_owned()),
        };
        if !expected {
            return Err(format!(
                "is called {description:?} and has the type {state}"
            ));
        }
        Ok((kind, is_changed))
    }
}

/// Sets a field that has no value yet.
fn set<T>(
    field: &mut Option<T>,
    value: Value,
    convert: fn(Value) -> Option<T>,
) -> Result<(), &'static str> {
    let value = convert(value).ok_or("a field has a value of another type")?;
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err("a field occurs twice"),
    }
}

fn as_number(value: Value) -> Option<u64> {
    match value {
        Value::Number(number) => Some(number),
        _ => None,
    }
}

fn as_text(value: Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
