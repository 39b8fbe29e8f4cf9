//! What a check says of volumes beside their bytes: where their chunks were made to end, and what
//! could not be read when they were captured.

use std::collections::HashSet;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::format::id::PageId;
use crate::format::snapshot::{Root, RootType, Snapshot};
use crate::operations::check::FindingKind;
use crate::operations::check::findings::{Findings, Progress};
use crate::operations::{walk, walk_volume};
use crate::repository::chunks::ChunkReader;
use crate::repository::index::is_missing_or_damaged;
use crate::repository::manifest::content::unreadable_ranges;
use crate::repository::manifest::cuts::CutsCursor;

/// Ranges that a finding spells out; the rest is counted.
const RANGES_NAMED_MAX: usize = 16;

/// Walks the cuts of the volume behind `root`; pages in `seen` are passed over. Gives the first
/// reason why something of them is lost.
pub(super) fn lost_cuts(
    reader: &ChunkReader<'_>,
    root: &Root,
    seen: &mut HashSet<PageId>,
    progress: &Progress<'_>,
) -> Result<Option<Error>> {
    let Some(cuts) = root.volume.as_ref().and_then(|volume| volume.cuts) else {
        return Ok(None);
    };
    let mut lost = None;
    if !seen.insert(cuts.page) {
        return Ok(None);
    }
    let mut cursor = CutsCursor::new(reader, cuts.page, cuts.level);
    loop {
        progress.go_on()?;
        match cursor.open_page() {
            Ok(()) => cursor.skip_leaf(),
            Err(error) if is_missing_or_damaged(&error) => {
                lost.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
        while let Some(page) = cursor.page_ahead()
            && !seen.insert(page.page)
        {
            cursor.skip_page();
        }
        if cursor.page_ahead().is_none() {
            return Ok(lost);
        }
    }
}

/// How a finding names the volume behind `root`.
pub(super) fn subject(snapshot: &Snapshot, root: &Root) -> String {
    let label = String::from_utf8_lossy(&root.name);
    format!("snapshots/{} volume {label}", snapshot.session)
}

/// Tells what could not be read when the volumes were captured: nothing was lost since.
pub(super) fn tell_unreadable(
    reader: &ChunkReader<'_>,
    snapshots: &[Snapshot],
    findings: &mut Findings,
) -> Result<()> {
    for snapshot in snapshots {
        for root in &snapshot.roots {
            let told = root.volume.as_ref().map(|volume| volume.unreadable_bytes);
            if root.root_type != RootType::Extents || told == Some(0) {
                continue;
            }
            let ranges = unreadable_ranges(reader, &walk_volume::content_of(root))?;
            if !ranges.is_empty() {
                let detail = unreadable_detail(root, &ranges);
                findings.add(FindingKind::Unreadable, subject(snapshot, root), detail);
            }
        }
    }
    Ok(())
}

fn unreadable_detail(root: &Root, ranges: &[Range<u64>]) -> String {
    let bytes: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    let named = ranges.iter().take(RANGES_NAMED_MAX);
    let named: Vec<_> = named.map(|range| shown(root, range)).collect();
    let more = match ranges.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = named.join(", ");
    format!("{bytes} bytes could not be read when it was captured: bytes {named}{more}")
}

/// `4096+512 in p2`
pub(super) fn shown(root: &Root, range: &Range<u64>) -> String {
    let (start, len) = (range.start, range.end - range.start);
    match partition_of(root, range) {
        Some(number) => format!("{start}+{len} in p{number}"),
        None => format!("{start}+{len}"),
    }
}

/// The partition that holds all of `range`, if that is known.
pub(super) fn partition_of(root: &Root, range: &Range<u64>) -> Option<u32> {
    let layout = &root.volume.as_ref()?.layout;
    let mut partitions = layout.partitions.iter();
    let holds = partitions.find(|one| {
        let end = one.offset.saturating_add(one.len);
        one.sound != 0 && one.offset <= range.start && range.end <= end
    });
    holds.map(|partition| partition.number)
}

/// Tells lost cuts: they cost sharing and time, no content.
pub(super) fn tell_cuts(lost: &[(String, Error)], findings: &mut Findings) {
    for (subject, error) in lost {
        let cause = walk::with_causes(error);
        let detail = format!(
            "where its chunks were made to end cannot be read; the next snapshot of it reads \
             everything and may share less, nothing else is lost: {cause}"
        );
        findings.add(FindingKind::Rebuildable, subject, detail);
    }
}
