//! Loop devices stand for disks.

use std::os::unix::fs::FileExt;

use super::*;
use crate::sources::volume::Allocation;
use crate::sources::volume::tests::kit::{Loop, pattern, run, text};

const LEN: u64 = 32 << 20;

#[test]
fn a_device_tells_its_length_its_sectors_and_its_state() {
    let Some(disk) = Loop::new(LEN, &["--sector-size", "4096", "--read-only"]) else {
        return;
    };
    let volume = DeviceVolume::open(&disk.device).expect("a device");
    assert_eq!(volume.len(), LEN);
    assert_eq!(volume.identity().logical_sector, 4096);
    assert!(volume.identity().physical_sector >= 4096);
    assert!(volume.is_read_only());
    assert!(volume.mounted_read_write().expect("mounts").is_empty());
    assert!(volume.swap_areas().expect("swaps").is_empty());
    let pieces = volume.allocation(0..LEN).expect("an answer");
    assert_eq!(pieces.len(), 1);
    assert_eq!(
        pieces[0].kind,
        Allocation::Data,
        "a device is not believed to have holes"
    );
    volume.check_unchanged().expect("unchanged");
}

#[test]
fn what_the_kernel_remembers_of_a_device_is_not_read() {
    let Some(disk) = Loop::new(LEN, &[]) else {
        return;
    };
    let mut buffer = vec![0; 1 << 20];
    let first = DeviceVolume::open(&disk.device).expect("a device");
    first.read_at(0, &mut buffer).expect("a read");
    assert!(buffer.iter().all(|&byte| byte == 0));
    // As a file system does: past the cache of the device.
    let written = pattern(buffer.len());
    let file = File::options()
        .write(true)
        .open(&disk.file)
        .expect("the file");
    file.write_all_at(&written, 0).expect("a write");
    file.sync_all().expect("a sync");
    // The first one is still open: with the last one the kernel forgets by itself.
    let second = DeviceVolume::open(&disk.device).expect("a device");
    second.read_at(0, &mut buffer).expect("a read");
    assert!(buffer == written, "old bytes were read from the cache");
    first.check_unchanged().expect("unchanged");
}

#[test]
fn a_device_that_grows_while_it_is_read_is_an_error() {
    let Some(disk) = Loop::new(LEN, &[]) else {
        return;
    };
    let volume = DeviceVolume::open(&disk.device).expect("a device");
    let file = File::options()
        .write(true)
        .open(&disk.file)
        .expect("the file");
    file.set_len(2 * LEN).expect("longer");
    run(&["losetup", "--set-capacity", text(&disk.device)]);
    let error = volume.check_unchanged().expect_err("it grew").to_string();
    let expected = format!("grew from {LEN} to {} bytes", 2 * LEN);
    assert!(error.contains(&expected), "{error}");
    file.set_len(LEN / 2).expect("shorter");
    run(&["losetup", "--set-capacity", text(&disk.device)]);
    let error = volume.check_unchanged().expect_err("it shrank").to_string();
    assert!(error.contains("shrank"), "{error}");
    let error = volume
        .read_at(0, &mut vec![0; LEN as usize])
        .expect_err("cut off");
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_mounted_device_tells_where() {
    let Some(mut disk) = Loop::new(LEN, &[]) else {
        return;
    };
    let Some(point) = disk.mount_ext4() else {
        return;
    };
    let volume = DeviceVolume::open(&disk.device).expect("a device");
    let mounted = || volume.mounted_read_write().expect("mounts");
    assert_eq!(mounted(), std::slice::from_ref(&point));
    run(&["mount", "-o", "remount,ro", text(&point)]);
    assert!(mounted().is_empty());
    disk.unmount();
    assert!(mounted().is_empty());
}

#[test]
fn only_block_devices_with_a_medium_are_opened() {
    let open = |path: &str| DeviceVolume::open(Path::new(path)).expect_err("no device");
    assert_eq!(open("/dev/zero").kind(), ErrorKind::InvalidInput);
    assert_eq!(open("/dev/no-such-disk").kind(), ErrorKind::NotFound);
}
