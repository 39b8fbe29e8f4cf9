//! Offsets in any order, kept within a bound of memory: sorted runs of them go to a temporary file.
//!
//! The file has no name and no format that outlives the process: each run is its first offset and
//! then the distances, 7 bits to a byte, low bits first.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::PathBuf;

use crate::error::{Error, Place, Result};
use crate::sources::volume::layout::hints::merge::HintIter;
use crate::sources::volume::layout::hints::walk::WalkError;

/// No bound is kept below so many offsets: each run costs a buffer when it is read.
const CAPACITY_MIN: usize = 1024;
/// Encoded bytes that are written at a time.
const WRITE_LEN: usize = 256 * 1024;

/// Gathers offsets.
pub(super) struct Offsets {
    memory: Vec<u64>,
    capacity: usize,
    scratch: Option<PathBuf>,
    spilled: Option<Spilled>,
    discarded: Vec<Range<u64>>,
}

/// Runs in a temporary file.
#[derive(Debug)]
pub(super) struct Spilled {
    pub(super) file: File,
    pub(super) folder: PathBuf,
    pub(super) runs: Vec<Range<u64>>,
}

/// Offsets that are complete.
#[derive(Debug)]
pub(super) struct KeptOffsets {
    /// Ascending; empty if there are runs.
    memory: Vec<u64>,
    memory_bytes: usize,
    spilled: Option<Spilled>,
    discarded: Vec<Range<u64>>,
}

impl Offsets {
    pub(super) fn new(memory_bytes: usize, scratch: Option<PathBuf>) -> Self {
        Self {
            memory: Vec::new(),
            capacity: (memory_bytes / size_of::<u64>()).max(CAPACITY_MIN),
            scratch,
            spilled: None,
            discarded: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, offset: u64) -> Result<(), WalkError> {
        if self.memory.len() == self.capacity {
            self.make_room()?;
        }
        if self.memory.len() == self.memory.capacity() {
            // Doubled, but never beyond the bound.
            let more = self.memory.len().max(CAPACITY_MIN);
            self.memory
                .reserve_exact(more.min(self.capacity - self.memory.len()));
        }
        self.memory.push(offset);
        Ok(())
    }

    /// Many offsets are named twice, as the end of one file and the start of the next: if that gives
    /// half of the room back, nothing is written.
    fn make_room(&mut self) -> Result<(), WalkError> {
        self.sort();
        if self.memory.len() <= self.capacity / 2 {
            return Ok(());
        }
        if self.scratch.is_none() {
            return Err(WalkError::Memory);
        }
        self.spill().map_err(WalkError::Scratch)
    }

    fn sort(&mut self) {
        self.memory.sort_unstable();
        self.memory.dedup();
    }

    /// Writes the sorted memory as one run, and empties it.
    fn spill(&mut self) -> Result<()> {
        let Some(folder) = &self.scratch else {
            return Ok(());
        };
        if self.spilled.is_none() {
            let file = tempfile::tempfile_in(folder)
                .map_err(|error| scratch_error(folder, "make a temporary file", error))?;
            let (folder, runs) = (folder.clone(), Vec::new());
            self.spilled = Some(Spilled { file, folder, runs });
        }
        let Some(spilled) = &mut self.spilled else {
            return Ok(());
        };
        let len = write_run(&mut spilled.file, &self.memory)
            .map_err(|error| scratch_error(folder, "write a temporary file", error))?;
        let start = spilled.runs.last().map_or(0, |run| run.end);
        spilled.runs.push(start..start + len);
        self.memory.clear();
        Ok(())
    }

    /// Forgets the offsets behind `place.start` and up to `place.end`. Places of file systems do not
    /// overlap, so that no other one loses any.
    pub(super) fn discard(&mut self, place: Range<u64>) {
        self.memory.retain(|offset| !is_behind(&place, *offset));
        if self.spilled.is_some() {
            self.discarded.push(place);
        }
    }

    pub(super) fn finish(mut self) -> Result<KeptOffsets> {
        self.sort();
        if self.spilled.is_some() && !self.memory.is_empty() {
            self.spill()?;
        }
        if self.spilled.is_some() {
            self.memory = Vec::new();
        }
        self.memory.shrink_to_fit();
        self.discarded.sort_by_key(|place| place.start);
        Ok(KeptOffsets {
            memory: self.memory,
            memory_bytes: self.capacity * size_of::<u64>(),
            spilled: self.spilled,
            discarded: self.discarded,
        })
    }
}

impl KeptOffsets {
    pub(super) fn iter(&self) -> HintIter<'_> {
        match &self.spilled {
            None => HintIter::in_memory(&self.memory),
            Some(spilled) => HintIter::merged(spilled, &self.discarded, self.memory_bytes),
        }
    }
}

/// Whether an offset cuts the bytes of a place: its first byte is cut by whoever lies before.
pub(super) fn is_behind(place: &Range<u64>, offset: u64) -> bool {
    place.start < offset && offset <= place.end
}

pub(super) fn scratch_error(folder: &std::path::Path, what: &str, cause: std::io::Error) -> Error {
    Error::io(Place::Path(folder.to_owned()), what, cause)
}

/// Appends ascending offsets, and gives the number of bytes they take.
fn write_run(file: &mut File, offsets: &[u64]) -> std::io::Result<u64> {
    let mut bytes = Vec::with_capacity(WRITE_LEN);
    let mut written = 0;
    let mut last = 0;
    for offset in offsets {
        let mut distance = offset - last;
        last = *offset;
        while distance >= 0x80 {
            bytes.push(distance as u8 | 0x80);
            distance >>= 7;
        }
        bytes.push(distance as u8);
        if bytes.len() > WRITE_LEN - 10 {
            file.write_all(&bytes)?;
            written += bytes.len() as u64;
            bytes.clear();
        }
    }
    file.write_all(&bytes)?;
    Ok(written + bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::error::ErrorKind;
    use crate::testing::random::Random;

    /// Room for `CAPACITY_MIN` offsets.
    fn tight(scratch: Option<PathBuf>) -> Offsets {
        Offsets::new(0, scratch)
    }

    fn numbers(seed: u64, count: usize, below: usize) -> Vec<u64> {
        let mut random = Random::new(seed);
        (0..count).map(|_| random.below(below) as u64).collect()
    }

    fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    fn kept(offsets: Offsets) -> Vec<u64> {
        let kept = offsets.finish().unwrap();
        let all: Vec<_> = kept.iter().map(|offset| offset.unwrap()).collect();
        let again: Vec<_> = kept.iter().map(|offset| offset.unwrap()).collect();
        assert_eq!(all, again);
        all
    }

    fn push_all(offsets: &mut Offsets, numbers: &[u64]) {
        for number in numbers {
            assert!(offsets.push(*number).is_ok());
        }
    }

    #[test]
    fn offsets_come_back_in_order_wherever_they_were_kept() {
        let folder = tempfile::tempdir().unwrap();
        for (count, below) in [
            (0, 1),
            (1, 1),
            (1024, 1 << 40),
            (1025, 1 << 40),
            (50_000, 30_000),
            (50_000, 1 << 60),
        ] {
            for memory_bytes in [0, 40_000, 1 << 20] {
                let numbers = numbers(count as u64, count, below);
                let mut offsets = Offsets::new(memory_bytes, Some(folder.path().to_owned()));
                push_all(&mut offsets, &numbers);
                assert!(offsets.memory.capacity() <= offsets.capacity);
                assert_eq!(kept(offsets), sorted(numbers));
            }
        }
        assert_eq!(
            folder.path().read_dir().unwrap().count(),
            0,
            "the file has no name"
        );
    }

    #[test]
    fn the_same_offsets_again_need_no_more_room() {
        let numbers = numbers(1, 100_000, 500);
        let mut offsets = tight(None);
        push_all(&mut offsets, &numbers);
        assert_eq!(kept(offsets), sorted(numbers));
    }

    #[test]
    fn without_a_folder_there_is_an_end() {
        let numbers = numbers(1, 1100, 1 << 40);
        let mut offsets = tight(None);
        push_all(&mut offsets, &numbers[..1024]);
        assert!(matches!(
            offsets.push(numbers[1024]),
            Err(WalkError::Memory)
        ));
        offsets.discard(0..1 << 39);
        push_all(&mut offsets, &numbers[1025..]);
        let mut expected = numbers[..1024].to_vec();
        expected.retain(|offset| *offset > 1 << 39 || *offset == 0);
        expected.extend(&numbers[1025..]);
        assert_eq!(kept(offsets), sorted(expected));
    }

    #[test]
    fn discarded_places_have_no_offsets_and_their_neighbours_keep_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let mut offsets = tight(Some(folder.path().to_owned()));
        let places = [
            0..10_000_u64,
            10_000..20_000,
            20_000..30_000,
            30_000..40_000,
        ];
        let mut expected = Vec::new();
        for (index, place) in places.into_iter().enumerate().rev() {
            let numbers: Vec<_> = (place.start + 1..=place.end).step_by(3).collect();
            push_all(&mut offsets, &numbers);
            push_all(&mut offsets, &[place.end]);
            if index % 2 == 0 {
                offsets.discard(place);
            } else {
                expected.extend(numbers);
                expected.push(place.end);
            }
        }
        assert_eq!(kept(offsets), sorted(expected));
    }

    #[test]
    fn a_temporary_file_that_cannot_be_made_is_an_error_with_its_folder() {
        let mut offsets = tight(Some(PathBuf::from("/nowhere/at/all")));
        let error = (0..2000).find_map(|number| offsets.push(number).err());
        let Some(WalkError::Scratch(error)) = error else {
            panic!("there is no such folder");
        };
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(
            error
                .to_string()
                .starts_with("/nowhere/at/all: make a temporary file")
        );
    }

    #[test]
    fn damage_of_the_temporary_file_ends_in_an_error_or_in_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut random = Random::new(8);
        for _ in 0..100 {
            let mut offsets = tight(Some(folder.path().to_owned()));
            push_all(&mut offsets, &numbers(7, 3000, 1 << 62));
            let kept = offsets.finish().unwrap();
            let file = &kept.spilled.as_ref().unwrap().file;
            let len = file.metadata().unwrap().len();
            if random.one_in(4) {
                file.set_len(random.below(len as usize) as u64).unwrap();
            } else {
                let at = random.below(len as usize - 16) as u64;
                file.write_all_at(&[0xff; 16], at).unwrap();
            }
            let read: Vec<_> = kept.iter().take(10_000).collect();
            assert!(read.len() < 10_000);
            assert!(read.iter().rev().skip(1).all(|offset| offset.is_ok()));
        }
    }
}
