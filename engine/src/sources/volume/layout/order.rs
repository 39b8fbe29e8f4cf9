//! Partitions that share bytes or lie outside: they are listed, and told.

use std::ops::Range;

use crate::limits::LAYOUT_WARNINGS_MAX;
use crate::sources::volume::layout::{DiskLayout, Partition};

/// Flags what does not fit, with a warning each. `containers` are the places of extended partitions,
/// whose logical ones lie inside of them on purpose.
pub(super) fn mark_unsound(layout: &mut DiskLayout, containers: &[Range<u64>]) {
    let len = layout.len;
    for partition in &mut layout.partitions {
        let place = place_of(partition);
        let is_inside = !is_logical(partition, containers)
            || containers
                .iter()
                .any(|one| one.start <= place.start && place.end <= one.end);
        partition.out_of_range = place.is_empty() || place.end > len || !is_inside;
    }
    let (logical, primary): (Vec<_>, Vec<_>) = (0..layout.partitions.len())
        .partition(|index| is_logical(&layout.partitions[*index], containers));
    mark_overlaps(&mut layout.partitions, primary);
    mark_overlaps(&mut layout.partitions, logical);
    warn(layout);
}

fn is_logical(partition: &Partition, containers: &[Range<u64>]) -> bool {
    !containers.is_empty() && partition.number > 4
}

fn place_of(partition: &Partition) -> Range<u64> {
    partition.offset..partition.offset.saturating_add(partition.len)
}

/// Walks those at `indexes` from the first byte on, and remembers which of them reached furthest.
fn mark_overlaps(partitions: &mut [Partition], mut indexes: Vec<usize>) {
    indexes.retain(|index| !place_of(&partitions[*index]).is_empty());
    indexes.sort_by_key(|index| (partitions[*index].offset, *index));
    let mut furthest: Option<usize> = None;
    for index in indexes {
        let place = place_of(&partitions[index]);
        let reach = furthest.map_or(0, |other| place_of(&partitions[other]).end);
        if let Some(other) = furthest.filter(|_| place.start < reach) {
            partitions[index].overlaps = true;
            partitions[other].overlaps = true;
        }
        if furthest.is_none() || place.end > reach {
            furthest = Some(index);
        }
    }
}

fn warn(layout: &mut DiskLayout) {
    let mut warnings = Vec::new();
    for partition in &layout.partitions {
        let number = partition.number;
        if partition.out_of_range {
            warnings.push(format!(
                "partition {number} is empty or ends outside of the disk"
            ));
        }
        if partition.overlaps {
            warnings.push(format!("partition {number} shares bytes with another one"));
        }
    }
    let rest = warnings.len().saturating_sub(LAYOUT_WARNINGS_MAX);
    warnings.truncate(LAYOUT_WARNINGS_MAX);
    if rest > 0 {
        warnings.push(format!(
            "{rest} more warnings about partitions are left out"
        ));
    }
    layout.warnings.append(&mut warnings);
}
