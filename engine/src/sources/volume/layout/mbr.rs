//! DOS partition table: four entries in the first sector; an extended one is a chain of more.

use std::ops::Range;

use crate::limits::EBR_LINKS_LIMIT;
use crate::sources::volume::layout::fields::{has, u8_at, u32_at};
use crate::sources::volume::layout::window::Window;
use crate::sources::volume::layout::{DiskLayout, Partition, PartitionKind};

/// Type of an entry that covers a disk with a GPT.
pub(super) const PROTECTIVE: u8 = 0xee;
/// Types of an extended partition.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

const SECTOR_LEN: usize = 512;
const ENTRIES_AT: usize = 446;
const ENTRY_LEN: usize = 16;
const ENTRY_COUNT: usize = 4;
const FIRST_LOGICAL: u32 = 5;

/// Whether a partition of this type holds others.
pub(super) fn is_extended(kind: u8) -> bool {
    EXTENDED.contains(&kind)
}

/// A first sector that reads as a partition table.
pub(super) struct Mbr {
    pub(super) sector: Vec<u8>,
    pub(super) signature: u32,
    entries: [Entry; ENTRY_COUNT],
}

#[derive(Clone, Copy)]
struct Entry {
    status: u8,
    kind: u8,
    start: u32,
    len: u32,
}

impl Entry {
    fn is_used(&self) -> bool {
        self.kind != 0
    }

    /// The place of the entry, counted from a sector, in bytes.
    fn bytes(&self, base: u64, sector_len: u32) -> Range<u64> {
        let start = base.saturating_add(u64::from(self.start) * u64::from(sector_len));
        start..start.saturating_add(u64::from(self.len) * u64::from(sector_len))
    }

    fn partition(&self, number: u32, place: Range<u64>) -> Partition {
        Partition {
            number,
            offset: place.start,
            len: place.end - place.start,
            kind: PartitionKind::Mbr(self.kind),
            uuid: None,
            name: String::new(),
            attributes: u64::from(self.status),
            overlaps: false,
            out_of_range: false,
            file_system: None,
        }
    }
}

impl Mbr {
    /// The first sector, if it has the mark at its end and entries that make sense. No partition
    /// begins at the table itself: in the first sector of some file systems one seems to.
    pub(super) fn read(window: Window<'_>) -> Option<Self> {
        let sector = window.bytes(0, SECTOR_LEN).ok()?;
        let entries = entries_of(&sector)?;
        let mut used = entries.iter().filter(|entry| entry.is_used());
        let is_table = entries.iter().any(Entry::is_used)
            && entries.iter().all(|entry| entry.status & 0x7f == 0)
            && used.all(|entry| entry.start > 0 && entry.len > 0);
        is_table.then(|| Self {
            signature: u32_at(&sector, 440).unwrap_or_default(),
            sector,
            entries,
        })
    }

    /// Whether an entry shields a GPT from tools that know none.
    pub(super) fn is_protective(&self) -> bool {
        self.entries.iter().any(|entry| entry.kind == PROTECTIVE)
    }

    /// Adds all partitions to the layout, and gives the places of extended ones.
    pub(super) fn partitions(
        &self,
        window: Window<'_>,
        sector_len: u32,
        layout: &mut DiskLayout,
    ) -> Vec<Range<u64>> {
        let mut containers = Vec::new();
        for (entry, number) in self.entries.iter().zip(1..) {
            if entry.is_used() {
                let place = entry.bytes(0, sector_len);
                if is_extended(entry.kind) {
                    containers.push(place.clone());
                }
                layout.partitions.push(entry.partition(number, place));
            }
        }
        let mut links = 0;
        for container in &containers {
            follow_chain(window, container, sector_len, &mut links, layout);
        }
        containers
    }
}

/// The entries of a sector with the mark at its end.
fn entries_of(sector: &[u8]) -> Option<[Entry; ENTRY_COUNT]> {
    if !has(sector, SECTOR_LEN - 2, &[0x55, 0xaa]) {
        return None;
    }
    let mut entries = [Entry {
        status: 0,
        kind: 0,
        start: 0,
        len: 0,
    }; ENTRY_COUNT];
    for (index, entry) in entries.iter_mut().enumerate() {
        let at = ENTRIES_AT + index * ENTRY_LEN;
        *entry = Entry {
            status: u8_at(sector, at)?,
            kind: u8_at(sector, at + 4)?,
            start: u32_at(sector, at + 8)?,
            len: u32_at(sector, at + 12)?,
        };
    }
    Some(entries)
}

/// Logical partitions: each link has its partition, counted from the link, and the next link,
/// counted from the container. Links may only go forward, so that the chain ends.
fn follow_chain(
    window: Window<'_>,
    container: &Range<u64>,
    sector_len: u32,
    links: &mut usize,
    layout: &mut DiskLayout,
) {
    let mut link = container.start;
    loop {
        if *links == EBR_LINKS_LIMIT {
            let warning = format!("there are more than {EBR_LINKS_LIMIT} logical partitions");
            return layout.warnings.push(warning);
        }
        *links += 1;
        let sector = window.bytes(link, SECTOR_LEN).ok();
        let Some([own, next, ..]) = sector.as_deref().and_then(entries_of) else {
            let warning = format!("the chain of logical partitions is broken at byte {link}");
            return layout.warnings.push(warning);
        };
        if own.is_used() {
            let logical = layout
                .partitions
                .iter()
                .filter(|one| one.number >= FIRST_LOGICAL);
            let number = FIRST_LOGICAL + logical.count() as u32;
            let place = own.bytes(link, sector_len);
            layout.partitions.push(own.partition(number, place));
        }
        if !is_extended(next.kind) {
            return;
        }
        let target = next.bytes(container.start, sector_len).start;
        if target <= link || target >= container.end {
            let warning = format!("a logical partition at byte {link} points back or outside");
            return layout.warnings.push(warning);
        }
        link = target;
    }
}
