//! The client of this project, at the server of this project.

use super::kit::{Memory, Running};
use crate::error::ErrorKind;
use crate::operations::map_volume::RangeKind;
use crate::pipeline::ReadAt;
use crate::serve::nbd::{DirtyRanges, NbdAddress, NbdExport};
use crate::sources::volume::{Allocation, NbdOptions, NbdVolume, VolumeSource};

const MIB: usize = 1 << 20;

fn sample() -> Memory {
    let hole = 1 << 20..3 << 20;
    let zeros = 3 << 20..(3 << 20) + 4096;
    let bad = 5_000_000..5_000_512;
    Memory::random(1, 8 * MIB + 5)
        .with(hole, RangeKind::Hole)
        .with(zeros, RangeKind::Zero)
        .with(bad, RangeKind::Unreadable)
}

fn open(server: &Running, export: &str, dirty: Option<&str>) -> crate::Result<NbdVolume> {
    let options = NbdOptions {
        dirty_bitmap: dirty.map(str::to_owned),
        ..NbdOptions::default()
    };
    NbdVolume::open(&server.address.url(export), &options)
}

#[test]
fn a_client_reads_what_the_view_holds_from_several_threads_at_a_time() {
    let memory = sample();
    let server = Running::new(vec![memory.clone().export("disk0")]);
    let volume = open(&server, "disk0", None).expect("an export");
    assert_eq!(volume.len(), memory.bytes.len() as u64);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (volume, memory) = (&volume, &memory);
            scope.spawn(move || {
                for (start, len) in [(0, 4_500_000), (5_000_512, 3_000_000), (8_388_600, 13)] {
                    let start = start + thread * 13 % 7;
                    let len = len.min(memory.bytes.len() - start);
                    let mut read = vec![1; len];
                    volume.read_at(start as u64, &mut read).expect("a read");
                    assert!(read == memory.bytes[start..start + len], "{start}+{len}");
                }
            });
        }
    });
    drop(volume);
    let report = server.end();
    assert!((1..=4).contains(&report.connections), "{report:?}");
    assert_eq!((report.refused, report.problems), (0, 0), "{report:?}");
    assert!(
        report.bytes_read < 4 * 7_500_000 - 4 * 2 * (MIB as u64),
        "holes are not read"
    );
}

#[test]
fn what_cannot_be_read_is_an_error_of_its_range_and_of_no_other() {
    let memory = sample();
    let server = Running::new(vec![memory.clone().export("disk0")]);
    let volume = open(&server, "disk0", None).expect("an export");
    for _ in 0..3 {
        let error = volume
            .read_at(4_999_999, &mut [0; 2])
            .expect_err("a bad place");
        assert_eq!(error.raw_os_error(), Some(5), "{error}");
        for at in [4_999_998, 5_000_512] {
            let mut read = [0; 2];
            volume.read_at(at, &mut read).expect("beside it");
            assert_eq!(read, memory.bytes[at as usize..at as usize + 2]);
        }
    }
    let told = server.watcher.problems.lock().clone();
    assert_eq!(told.len(), 3, "{told:?}");
    let expected = "disk0: bytes 5000000 to 5000001 cannot be served: test: is bad";
    assert_eq!(told[0], expected);
    assert_eq!(server.end().problems, 3);
}

#[test]
fn a_client_is_told_what_is_allocated_and_what_is_dirty() {
    let dirty = vec![100..200, 3 << 20..4 << 20];
    let export = NbdExport {
        bitmaps: vec![("snap1".to_owned(), DirtyRanges::new(dirty.clone()))],
        ..sample().export("disk0")
    };
    let server = Running::new(vec![Memory::random(2, 9).export("other"), export]);
    let volume = open(&server, "disk0", Some("snap1")).expect("an export");
    assert_eq!(volume.dirty_ranges().expect("ranges"), dirty);
    let len = volume.len();
    let found = volume.allocation(0..len).expect("an answer");
    let found: Vec<_> = found.into_iter().map(|one| (one.range, one.kind)).collect();
    let expected = [
        (0..1 << 20, Allocation::Data),
        (1 << 20..3 << 20, Allocation::Hole),
        (3 << 20..(3 << 20) + 4096, Allocation::Zero),
        ((3 << 20) + 4096..len, Allocation::Data),
    ];
    assert_eq!(found, expected);
    let error = open(&server, "disk0", Some("snap2")).expect_err("no such bitmap");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn the_first_export_is_meant_where_none_is_named_and_others_are_not_found() {
    let exports = vec![
        Memory::random(1, 1000).export("one"),
        Memory::random(2, 2000).export("two three"),
    ];
    let server = Running::new(exports);
    for (name, len) in [("", 1000), ("one", 1000), ("two three", 2000)] {
        assert_eq!(open(&server, name, None).expect(name).len(), len);
    }
    let error = open(&server, "four", None).expect_err("no such export");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn a_server_of_the_network_is_found_at_the_port_that_it_chose() {
    let memory = Memory::random(3, 3 * MIB);
    let any = NbdAddress::Tcp("127.0.0.1:0".parse().expect("an address"));
    let folder = tempfile::tempdir().expect("a folder");
    let server = Running::at(&any, vec![memory.clone().export("disk0")], folder);
    assert_ne!(server.address, any);
    let volume = open(&server, "disk0", None).expect("an export");
    let mut read = vec![0; memory.bytes.len()];
    volume.read_at(0, &mut read).expect("a read");
    assert!(read == memory.bytes);
}
