//! Restores to block devices. Loop devices stand for all.

use std::fs;
use std::path::Path;

use super::loops::Loop;
use super::loops::Mounted;
use super::world::Watcher;
use super::world::World;
use super::world::assert_same;
use super::world::options;
use crate::error::Error;
use crate::error::ErrorKind;
use crate::limits::MIB;
use crate::operations::restore_volume::RestoreVolumeOptions;
use crate::operations::restore_volume::VerifyVolumeOptions;
use crate::operations::restore_volume::restore_volume;
use crate::operations::restore_volume::verify_volume;
use crate::targets::volume::Existing;
use crate::targets::volume::Sparse;
use crate::targets::volume::inspect;

fn refused(world: &World, target: &Path, options: &RestoreVolumeOptions, words: &str) -> Error {
    let error = world.restore(target, options).unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
    error
}

#[test]
fn a_device_full_of_old_bytes_becomes_the_volume_and_keeps_what_is_behind_it() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    for sparse in [Sparse::AsRecorded, Sparse::Max, Sparse::None] {
        let len = world.bytes.len() + MIB;
        let Some(device) = Loop::filled(folder.path(), len, 512) else {
            return;
        };
        let mut options = options(Existing::Overwrite);
        options.target.sparse = sparse;
        options.target.sector_len = Some(512);
        options.verify = true;
        let report = world.restore(&device.device, &options).unwrap();
        assert!(report.verified.unwrap().is_right());
        assert_eq!(report.target_len, len as u64);
        assert!(
            report.zeroed > 8 * MIB as u64,
            "by the kernel: {}",
            report.zeroed
        );
        let found = device.bytes();
        let (volume, behind) = found.split_at(world.bytes.len());
        assert_same(volume, &world.bytes);
        assert!(behind.iter().all(|&byte| byte == 0xA5));
    }
}

#[test]
fn a_device_is_restored_in_place_and_a_flipped_byte_is_found() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let Some(device) = Loop::filled(folder.path(), world.bytes.len(), 512) else {
        return;
    };
    let target = &device.device;
    world
        .restore(target, &options(Existing::Overwrite))
        .unwrap();
    let mut bytes = world.bytes.clone();
    bytes[2 * MIB + 3] ^= 1;
    bytes[8 * MIB] ^= 1;
    fs::write(target, &bytes).unwrap();
    let verify = || {
        let options = VerifyVolumeOptions::default();
        verify_volume(&world.repository, &world.root, target, &options, &()).unwrap()
    };
    let ranges = verify().differing.ranges;
    assert_eq!(ranges.len(), 2);
    assert!(ranges[0].contains(&(2 * MIB as u64 + 3)) && ranges[1].contains(&(8 * MIB as u64)));
    let report = world.restore(target, &options(Existing::InPlace)).unwrap();
    assert_eq!(report.read, world.len());
    assert!(report.written + report.zeroed < MIB as u64, "{report:?}");
    assert!(verify().is_right());
}

#[test]
fn a_device_of_other_sectors_or_too_short_is_refused() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let len = world.bytes.len().next_multiple_of(4096);
    let Some(device) = Loop::filled(folder.path(), len, 4096) else {
        return;
    };
    let mut options = options(Existing::Overwrite);
    options.target.sector_len = Some(512);
    refused(
        &world,
        &device.device,
        &options,
        "has sectors of 4096 bytes",
    );
    options.target.sector_len = Some(4096);
    world.restore(&device.device, &options).unwrap();
    assert_same(&device.bytes()[..world.bytes.len()], &world.bytes);
    let Some(short) = Loop::filled(folder.path(), len - 8192, 512) else {
        return;
    };
    options.target.sector_len = None;
    refused(&world, &short.device, &options, "the volume needs");
    assert!(short.bytes().iter().all(|&byte| byte == 0xA5));
    options.range = Some(0..MIB as u64);
    world.restore(&short.device, &options).unwrap();
}

#[test]
fn a_device_is_not_replaced_unless_that_is_said() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let Some(device) = Loop::filled(folder.path(), world.bytes.len(), 512) else {
        return;
    };
    let options = options(Existing::Refuse);
    let error = refused(&world, &device.device, &options, "is a device");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(device.bytes().iter().all(|&byte| byte == 0xA5));
    let facts = inspect(&device.device).unwrap().unwrap();
    assert!(facts.is_device && facts.uses.is_empty());
    assert_eq!((facts.len, facts.sector_len), (world.len(), Some(512)));
    assert_eq!(inspect(&folder.path().join("nothing")).unwrap(), None);
}

#[test]
fn a_mounted_device_is_refused_with_its_mount_point_and_so_is_its_image() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let Some(device) = Loop::filled(folder.path(), 32 * MIB, 512) else {
        return;
    };
    let point = folder.path().join("mount point");
    let Some(mounted) = Mounted::make(&device.device, &point) else {
        return;
    };
    let words = format!("mounted at {}; release it first", mounted.point.display());
    let mut options = options(Existing::Overwrite);
    let error = refused(&world, &device.device, &options, &words);
    assert_eq!(error.kind(), ErrorKind::Busy);
    let facts = inspect(&device.device).unwrap().unwrap();
    assert_eq!(
        facts.uses,
        [format!("mounted at {}", mounted.point.display())]
    );
    let image = folder.path().join(format!("loop-{}-512", 32 * MIB));
    let words = format!("is attached as {}", device.device.display());
    let error = refused(&world, &image, &options, &words);
    assert_eq!(error.kind(), ErrorKind::Busy);
    // The repository lies in there: said before anything else.
    let repository = mounted.point.join("repository");
    fs::create_dir(&repository).unwrap();
    options.target.spare = vec![repository];
    refused(&world, &device.device, &options, "bears ");
    refused(&world, &image, &options, "bears ");
}

#[test]
fn a_device_that_somebody_holds_is_busy() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let Some(device) = Loop::filled(folder.path(), world.bytes.len(), 512) else {
        return;
    };
    let target = &device.device;
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::EXCL;
    let held = rustix::fs::open(target, flags, rustix::fs::Mode::empty()).unwrap();
    let options = options(Existing::Overwrite);
    let error = refused(&world, target, &options, "in use by another program");
    assert_eq!(error.kind(), ErrorKind::Busy);
    drop(held);
    world.restore(target, &options).unwrap();
}

#[test]
fn a_device_with_a_mounted_partition_is_refused() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let Some(device) = Loop::filled(folder.path(), 40 * MIB, 512) else {
        return;
    };
    let Some(partition) = Partition::add(&device.device, 2048, 65_536) else {
        return;
    };
    let point = folder.path().join("point");
    let Some(mounted) = Mounted::make(&partition.path, &point) else {
        return;
    };
    let mut options = options(Existing::Overwrite);
    let words = format!("mounted at {}", mounted.point.display());
    refused(&world, &device.device, &options, &words);
    refused(&world, &partition.path, &options, &words);
    let facts = inspect(&device.device).unwrap().unwrap();
    assert_eq!(facts.partitions.len(), 1);
    options.target.spare = vec![mounted.point.clone()];
    refused(&world, &device.device, &options, "bears ");
    refused(&world, &partition.path, &options, "bears ");
}

/// A partition that the kernel was told of, until it is dropped.
struct Partition {
    disk: std::path::PathBuf,
    path: std::path::PathBuf,
}

impl Partition {
    fn add(disk: &Path, first: u64, sectors: u64) -> Option<Self> {
        let added = std::process::Command::new("addpart")
            .arg(disk)
            .args(["1", &first.to_string(), &sectors.to_string()])
            .status();
        let path = std::path::PathBuf::from(format!("{}p1", disk.display()));
        let partition = Self {
            disk: disk.to_owned(),
            path,
        };
        if added.is_ok_and(|status| status.success()) && partition.path.exists() {
            return Some(partition);
        }
        super::loops::say_skipped("no partitions here")
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        let _ = std::process::Command::new("delpart")
            .arg(&self.disk)
            .arg("1")
            .status();
    }
}

#[test]
fn a_full_disk_ends_the_restore_and_room_lets_it_go_on() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let Some(device) = Loop::filled(folder.path(), 48 * MIB, 512) else {
        return;
    };
    let Some(mounted) = Mounted::make(&device.device, &folder.path().join("point")) else {
        return;
    };
    let ballast = mounted.point.join("ballast");
    fs::write(&ballast, vec![1; 30 * MIB]).unwrap();
    let path = mounted.point.join("disk.raw");
    let mut options = options(Existing::Refuse);
    let error = world.restore(&path, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    fs::remove_file(ballast).unwrap();
    options.target.resume = true;
    options.verify = true;
    let report = world.restore(&path, &options).unwrap();
    assert!(report.verified.unwrap().is_right());
    assert_same(&fs::read(&path).unwrap(), &world.bytes);
}

#[test]
fn the_restore_of_a_device_is_resumed_from_a_state_folder() {
    let world = World::mixed();
    let folder = tempfile::tempdir().unwrap();
    let Some(device) = Loop::filled(folder.path(), world.bytes.len(), 512) else {
        return;
    };
    let target = &device.device;
    let mut options = options(Existing::Overwrite);
    options.target.resume = true;
    refused(&world, target, &options, "name the folder of its journal");
    options.target.resume = false;
    options.state_folder = Some(folder.path().to_owned());
    let watcher = Watcher {
        stop_after: Some(world.len() * 2 / 5),
        ..Watcher::default()
    };
    let outcome = restore_volume(&world.repository, &world.root, target, &options, &watcher);
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Cancelled);
    let half = device.bytes();
    assert_ne!(half, world.bytes);
    options.target.resume = true;
    options.verify = true;
    let report = world.restore(target, &options).unwrap();
    assert!(report.resumed > world.len() / 4, "{report:?}");
    let total = report.resumed + report.written + report.zeroed;
    assert!(total < world.len() * 6 / 5, "{report:?}");
    assert_same(&device.bytes(), &world.bytes);
    let journals = fs::read_dir(folder.path()).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with("journal")
    });
    assert_eq!(journals.count(), 0);
}
