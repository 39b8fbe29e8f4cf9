//! Ranges of a volume one behind the other, as a logical volume lies in disks: restored as one volume.

use std::fs;
use std::ops::Range;

use super::world::Watcher;
use super::world::World;
use super::world::assert_same;
use super::world::options;
use crate::error::ErrorKind;
use crate::limits::MIB;
use crate::operations::map_volume::MappedRange;
use crate::operations::map_volume::map_volume;
use crate::operations::restore_volume::ExportFormat;
use crate::operations::restore_volume::ExportVolumeOptions;
use crate::operations::restore_volume::VerifyVolumeOptions;
use crate::operations::restore_volume::export_volume;
use crate::operations::restore_volume::restore_volume;
use crate::operations::restore_volume::verify_volume;
use crate::operations::volume_bytes::VolumeBytes;
use crate::targets::volume::Existing;

/// In no order, and ending within chunks.
const RANGES: [Range<u64>; 4] = [
    9 << 20..(15 << 20) + 4_096,
    0..5_000_001,
    (20 << 20) + 512..24 << 20,
    16 << 20..16 << 20,
];

fn joined(world: &World) -> (VolumeBytes<'_>, Vec<u8>) {
    let mut volume = VolumeBytes::new(b"disk0/vg0/root".to_vec());
    let mut bytes = Vec::new();
    for range in RANGES {
        assert!(volume.push(&world.root, range.clone()));
        bytes.extend(&world.bytes[range.start as usize..range.end as usize]);
    }
    (volume, bytes)
}

#[test]
fn what_lies_in_several_ranges_is_restored_as_one_volume_in_place_as_well() {
    let world = World::mixed();
    let (volume, bytes) = joined(&world);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.raw");
    let restore = |existing| {
        let mut options = options(existing);
        options.verify = true;
        let volume = volume.clone();
        restore_volume(&world.repository, volume, &path, &options, &()).unwrap()
    };
    let report = restore(Existing::Refuse);
    assert_eq!(report.len, bytes.len() as u64);
    assert!(report.verified.unwrap().is_right());
    assert_same(&fs::read(&path).unwrap(), &bytes);
    let mut changed = bytes.clone();
    changed[6 * MIB..6 * MIB + 9].fill(1);
    fs::write(&path, &changed).unwrap();
    let options = VerifyVolumeOptions::default();
    let verified = verify_volume(&world.repository, volume.clone(), &path, &options, &());
    let differing = verified.unwrap().differing;
    let [found] = differing.ranges.as_slice() else {
        panic!("{differing:?}");
    };
    assert!(found.contains(&(6 * MIB as u64)), "{differing:?}");
    let report = restore(Existing::InPlace);
    assert!(report.written < MIB as u64, "{report:?}");
    assert_same(&fs::read(&path).unwrap(), &bytes);
}

#[test]
fn its_restore_is_resumed_and_not_that_of_other_ranges() {
    let world = World::mixed();
    let (volume, bytes) = joined(&world);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.raw");
    let watcher = Watcher {
        stop_after: Some(bytes.len() as u64 / 2),
        ..Watcher::default()
    };
    let mut options = options(Existing::Refuse);
    let repository = &world.repository;
    let stopped = restore_volume(repository, volume.clone(), &path, &options, &watcher);
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
    options.target.resume = true;
    let mut other = VolumeBytes::new(b"disk0/vg0/other".to_vec());
    assert!(other.push(&world.root, 1..bytes.len() as u64 + 1));
    let refused = restore_volume(repository, other, &path, &options, &());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    let report = restore_volume(repository, volume, &path, &options, &()).unwrap();
    assert!(report.resumed > 0, "{report:?}");
    assert_same(&fs::read(&path).unwrap(), &bytes);
}

#[test]
fn it_is_exported_and_mapped_from_its_first_byte_on() {
    let world = World::mixed();
    let (volume, bytes) = joined(&world);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.img");
    let options = ExportVolumeOptions::new(0);
    let format = ExportFormat::Raw;
    let (repository, whole) = (&world.repository, volume.clone());
    export_volume(repository, whole, &path, format, &options, &()).unwrap();
    assert_same(&fs::read(&path).unwrap(), &bytes);
    let (mut end, mut ranges) = (0, 0);
    let mut each = |mapped: &MappedRange| {
        assert_eq!(mapped.range.start, end);
        (end, ranges) = (mapped.range.end, ranges + 1);
        Ok(())
    };
    let all = 0..volume.len();
    let report = map_volume(repository, volume, &all, false, &(), &mut each).unwrap();
    assert_eq!((end, ranges), (bytes.len() as u64, report.ranges));
    assert_eq!(report.data + report.hole + report.zero, bytes.len() as u64);
    assert!(report.data > 0 && report.hole > 0);
}
