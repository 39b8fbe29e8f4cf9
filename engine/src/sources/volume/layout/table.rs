//! Which partition table a volume has, if any, and what is in each part.
//!
//! GPT is believed before MBR if the MBR shields it, and neither is believed over a file system
//! that begins at the volume's first byte: tools that make one leave old tables behind.

use crate::error::{Error, ErrorKind, Place, Result};
use crate::pipeline::ReadAt;
use crate::sources::volume::layout::gpt::{self, Gpt};
use crate::sources::volume::layout::mbr::Mbr;
use crate::sources::volume::layout::order::mark_unsound;
use crate::sources::volume::layout::probe;
use crate::sources::volume::layout::window::Window;
use crate::sources::volume::layout::{DiskLayout, Partition, TableKind};

/// Sector lengths that disks have, the likelier first.
const SECTOR_LENS: [u32; 2] = [512, 4096];

/// Reads the partition table of a volume of `len` bytes, and recognizes what the volume or each of
/// its partitions holds. `sector_len` is the length of a sector in bytes if it is known.
///
/// Bytes that cannot be read count as absent and are told by a warning.
///
/// # Errors
///
/// `InvalidInput` if `sector_len` is no power of two from 512 to 4096.
pub fn read_layout(reader: &dyn ReadAt, len: u64, sector_len: Option<u32>) -> Result<DiskLayout> {
    let mut layout = read_table(reader, len, sector_len)?;
    if layout.table.is_none() {
        layout.file_system = probe::probe(reader, 0, len);
    }
    probe_partitions(reader, &mut layout);
    Ok(layout)
}

fn probe_partitions(reader: &dyn ReadAt, layout: &mut DiskLayout) {
    for partition in &mut layout.partitions {
        if partition.is_sound() && !partition.is_container() {
            partition.file_system = probe::probe(reader, partition.offset, partition.len);
        }
    }
}

/// Reads the partition table alone: every `file_system` of the answer is empty.
///
/// # Errors
///
/// As of [`read_layout`].
pub fn read_table(reader: &dyn ReadAt, len: u64, sector_len: Option<u32>) -> Result<DiskLayout> {
    let known = sector_len.map(checked_sector_len).transpose()?;
    let window = Window::new(reader, 0, len);
    let mut layout = match read_gpt_or_mbr(window, known) {
        Some(layout) => layout,
        None => DiskLayout::unknown(len, known.unwrap_or(SECTOR_LENS[0])),
    };
    if let Err(error) = window.bytes_up_to(0, SECTOR_LENS[0] as usize) {
        let warning = format!("the first sector cannot be read: {error}");
        layout.warnings.push(warning);
    }
    Ok(layout)
}

fn checked_sector_len(len: u32) -> Result<u32> {
    if len.is_power_of_two() && (512..=4096).contains(&len) {
        return Ok(len);
    }
    Err(Error::new(
        ErrorKind::InvalidInput,
        Place::Argument("sector_len"),
        format!("sectors have 512, 1024, 2048 or 4096 bytes, not {len}"),
    ))
}

fn read_gpt_or_mbr(window: Window<'_>, known: Option<u32>) -> Option<DiskLayout> {
    let mbr = Mbr::read(window);
    let is_shielded = mbr.as_ref().is_some_and(Mbr::is_protective);
    let gpt = if is_shielded || mbr.is_none() {
        find_gpt(window, known)
    } else {
        None // an MBR that was made later than a GPT
    };
    let Some(gpt) = gpt else {
        return mbr.and_then(|mbr| mbr_layout(window, mbr, known));
    };
    if (gpt.from_backup || !is_shielded) && holds_files_as_a_whole(window) {
        let mut layout = DiskLayout::unknown(window.len(), gpt.sector_len);
        layout.warnings.push(
            "a file system begins at the first byte: what is left of a GPT is not used".to_owned(),
        );
        return Some(layout);
    }
    Some(gpt_layout(window, gpt, is_shielded))
}

fn holds_files_as_a_whole(window: Window<'_>) -> bool {
    probe::probe_window(window).is_some()
}

fn find_gpt(window: Window<'_>, known: Option<u32>) -> Option<Gpt> {
    let lens = || {
        let others = SECTOR_LENS
            .into_iter()
            .filter(move |len| Some(*len) != known);
        known.into_iter().chain(others)
    };
    let primary = lens().find_map(|len| gpt::read_primary(window, len));
    primary.or_else(|| lens().find_map(|len| gpt::read_backup(window, len)))
}

fn gpt_layout(window: Window<'_>, gpt: Gpt, is_shielded: bool) -> DiskLayout {
    let mut layout = DiskLayout::unknown(window.len(), gpt.sector_len);
    if gpt.from_backup {
        let warning = "the GPT at the start of the disk is damaged: its copy at the end is used";
        layout.warnings.push(warning.to_owned());
    }
    if !is_shielded {
        let warning = "the first sector has no entry that shields the GPT";
        layout.warnings.push(warning.to_owned());
    }
    layout.table = Some(TableKind::Gpt {
        disk_guid: gpt.disk_guid,
        from_backup: gpt.from_backup,
    });
    layout.partitions = gpt.partitions;
    mark_unsound(&mut layout, &[]);
    layout
}

/// An MBR does not say how long its sectors are: if nobody knows, that length is taken under which
/// more is found where the entries point.
fn mbr_layout(window: Window<'_>, mbr: Mbr, known: Option<u32>) -> Option<DiskLayout> {
    let read = |sector_len| layout_with_sectors(window, &mbr, sector_len);
    let mut layout = match known {
        Some(len) => read(len),
        None => {
            let [short, long] = SECTOR_LENS.map(read);
            if found_count(window, &long) > found_count(window, &short) {
                long
            } else {
                short
            }
        }
    };
    if probe::is_boot_sector(&mbr.sector) && !fits_a_table(&layout) {
        return None;
    }
    if mbr.is_protective() {
        let warning = "the first sector shields a GPT, and both copies of the GPT are damaged";
        layout.warnings.push(warning.to_owned());
    }
    Some(layout)
}

fn layout_with_sectors(window: Window<'_>, mbr: &Mbr, sector_len: u32) -> DiskLayout {
    let mut layout = DiskLayout::unknown(window.len(), sector_len);
    layout.table = Some(TableKind::Mbr {
        signature: mbr.signature,
    });
    let containers = mbr.partitions(window, sector_len, &mut layout);
    mark_unsound(&mut layout, &containers);
    layout
}

fn found_count(window: Window<'_>, layout: &DiskLayout) -> usize {
    let sound = layout.partitions.iter().filter(|one| one.is_sound());
    let found = |offset, len| probe::probe_window(window.part(offset, len)).is_some();
    sound
        .filter(|one| one.number > 4 || found(one.offset, one.len))
        .count()
}

/// A boot sector of a file system ends as an MBR does; what stands where the entries are is code or
/// text then.
fn fits_a_table(layout: &DiskLayout) -> bool {
    layout.partitions.iter().all(Partition::is_sound)
}
