//! The reserve and the low-water mark, on disks that fill up (I8): sentences 13 and 14.

use std::os::unix::fs::MetadataExt;

use super::reserve::RESERVE;
use super::*;
use crate::format::name::PackClass;
use crate::limits::KIB;
use crate::limits::LOW_WATER_LEN;
use crate::limits::LOW_WATER_SHARE;
use crate::limits::MIB;
use crate::limits::RESERVE_LEN;
use crate::limits::RESERVE_LEN_MIN;
use crate::storage::room::with_room;
use crate::testing::random::Random;
use crate::testing::sim_disk::DiskCall;
use crate::testing::sim_disk::DiskFault;
use crate::testing::sim_disk::SimDisk;

type SimBackend = LocalBackend<SimDisk>;

fn simulated() -> (SimDisk, SimBackend) {
    let disk = SimDisk::new(11);
    let backend = LocalBackend::create_on(disk.clone(), Place::Repository).expect("created");
    (disk, backend)
}

fn pack(session: u8, number: u32) -> ObjectName {
    ObjectName::Pack {
        session: SessionId([session; 16]),
        number,
        class: PackClass::Data,
    }
}

fn tombstone(number: u8) -> ObjectName {
    ObjectName::Forgotten(SessionId([number; 16]))
}

fn kept(backend: &SimBackend) -> u64 {
    let room = backend.room().expect("examined");
    room.expect("the disk tells").reserve
}

/// Leaves so many bytes free.
fn leave_free(disk: &SimDisk, bytes: u64) {
    disk.limit_space(disk.used_space() + bytes);
}

fn kind_of<T>(outcome: Result<T>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind())
}

#[test]
fn a_new_folder_has_a_reserve_that_holds_its_blocks_and_is_no_object() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let backend = LocalBackend::create(folder.path()).expect("created");
    let path = folder.path().join(RESERVE);
    let metadata = path.metadata().expect("there is one");
    assert_eq!(metadata.len(), RESERVE_LEN);
    assert!(metadata.blocks() * 512 >= RESERVE_LEN, "{metadata:?}");
    for kind in ObjectKind::ALL {
        assert_eq!(backend.list(kind).expect("lists"), []);
    }
    let bytes = std::fs::read(&path).expect("reads");
    let packed = zstd::bulk::compress(&bytes, 3).expect("compresses");
    assert!(packed.len() >= bytes.len(), "no file system makes it less");
    let room = backend.room().expect("examined").expect("known");
    assert_eq!(room.reserve, RESERVE_LEN);
    assert!(room.free <= room.total);
    assert!(backend.release_reserve().expect("released"));
    assert!(!path.exists());
}

#[test]
fn work_that_frees_space_succeeds_without_a_byte_free() {
    let (disk, backend) = simulated();
    backend.put(&pack(1, 1), &[1; 3000]).expect("stored");
    leave_free(&disk, 0);
    let forget = || backend.put(&tombstone(1), &[2; 1000]);
    assert_eq!(kind_of(forget()), Some(ErrorKind::NoSpace));
    with_room(&backend, forget).expect("the reserve made room");
    with_room(&backend, || backend.delete(&pack(1, 1))).expect("deleted");
    assert_eq!(backend.get(&tombstone(1)).expect("reads"), [2; 1000]);
    assert!(
        kept(&backend) >= RESERVE_LEN / 4,
        "some of it is kept again"
    );
    disk.limit_space(u64::MAX);
    backend.renew_reserve().expect("renewed");
    assert_eq!(kept(&backend), RESERVE_LEN, "and all of it in time");
}

/// The worst neighbour: it takes every byte that is free, again and again.
#[test]
fn a_disk_that_somebody_fills_up_again_and_again_is_worked_on_each_time() {
    let (disk, backend) = simulated();
    for number in 0..5 {
        leave_free(&disk, 0);
        let forget = || backend.put(&tombstone(number), &[2; 1000]);
        with_room(&backend, forget).unwrap_or_else(|error| panic!("round {number}: {error}"));
        assert!(kept(&backend) >= RESERVE_LEN_MIN, "round {number}");
    }
}

#[test]
fn making_a_reserve_fills_no_disk() {
    for free in [0, 1000, RESERVE_LEN_MIN, MIB as u64, 3 * RESERVE_LEN] {
        let (disk, backend) = simulated();
        backend.release_reserve().expect("released");
        leave_free(&disk, free);
        backend.renew_reserve().expect("renewed as far as possible");
        let room = backend.room().expect("examined").expect("known");
        assert!(room.free + KIB as u64 >= free / 2, "{free} {room:?}");
        let is_worth_it = free >= 2 * RESERVE_LEN_MIN;
        assert_eq!(room.reserve > 0, is_worth_it, "{free} {room:?}");
    }
}

#[test]
fn a_disk_that_is_too_small_for_a_reserve_holds_a_repository_without_one() {
    let disk = SimDisk::new(12);
    disk.limit_space(100 * KIB as u64);
    let backend = LocalBackend::create_on(disk.clone(), Place::Repository).expect("created");
    assert_eq!(kept(&backend), 0);
    assert!(!backend.release_reserve().expect("there is none"));
    backend.put(&pack(1, 1), &[1; 3000]).expect("stored");
}

#[test]
fn a_reserve_that_cannot_be_written_for_want_of_space_is_no_error_and_any_other_failure_is() {
    for (error, is_harmless) in [
        (io::ErrorKind::StorageFull, true),
        (io::ErrorKind::QuotaExceeded, true),
        (io::ErrorKind::Other, false),
    ] {
        for call in [
            DiskCall::CreateExclusive,
            DiskCall::Write,
            DiskCall::FlushFile,
            DiskCall::RenameNoreplace,
        ] {
            let (disk, backend) = simulated();
            backend.release_reserve().expect("released");
            disk.fail(DiskFault {
                call,
                nth: 1,
                error,
                lasting: true,
            });
            let renewed = backend.renew_reserve();
            assert_eq!(renewed.is_ok(), is_harmless, "{call:?} {error:?}");
            assert_eq!(disk.files(), [] as [&str; 0], "{call:?} {error:?}");
        }
    }
}

#[test]
fn what_else_is_called_like_the_reserve_is_left_alone() {
    let (disk, backend) = simulated();
    backend.release_reserve().expect("released");
    disk.make_folder(RESERVE).expect("made");
    assert!(!backend.release_reserve().expect("not ours"));
    backend.renew_reserve().expect("there can be none");
    assert!(!disk.stat(RESERVE).expect("still there").is_file);
    assert_eq!(
        disk.files(),
        [] as [&str; 0],
        "nothing is left of the attempt"
    );
}

#[test]
fn of_two_who_renew_at_once_one_makes_it_and_the_other_forgives() {
    let (disk, backend) = simulated();
    let other = LocalBackend::open_on(disk.clone(), Place::Repository).expect("opened");
    backend.release_reserve().expect("released");
    std::thread::scope(|scope| {
        for each in [&backend, &other] {
            scope.spawn(move || each.renew_reserve().expect("renewed, by whomever"));
        }
    });
    assert_eq!(disk.files(), [RESERVE]);
}

/// Release and renewal, cut at every step.
#[test]
fn a_crash_between_release_and_renewal_costs_no_object_and_the_next_renewal_works() {
    let work = |backend: &SimBackend| -> Result<()> {
        backend.release_reserve()?;
        backend.put(&tombstone(1), b"forgotten")?;
        backend.sync()?;
        backend.renew_reserve()
    };
    let prepared = || {
        let (disk, backend) = simulated();
        backend.put(&pack(1, 1), &[1; 3000]).expect("stored");
        backend.sync().expect("synced");
        (disk, backend)
    };
    let (disk, backend) = prepared();
    let before = disk.steps();
    work(&backend).expect("nothing fails");
    for step in before + 1..=disk.steps() + 1 {
        let (disk, backend) = prepared();
        disk.cut_power_at(step);
        let _ = work(&backend);
        for variant in 0..8 {
            let found = disk.reboot(variant);
            let backend = LocalBackend::open_on(found, Place::Repository).expect("opens");
            assert_eq!(backend.get(&pack(1, 1)).expect("reads"), [1; 3000]);
            backend.renew_reserve().expect("renewed");
            assert_eq!(
                kept(&backend),
                RESERVE_LEN,
                "step {step}, variant {variant}"
            );
        }
    }
}

#[test]
fn a_reserve_that_was_released_does_not_come_back_with_a_crash() {
    let (disk, backend) = simulated();
    backend.release_reserve().expect("released");
    for variant in 0..16 {
        assert_eq!(disk.reboot(variant).files(), [] as [&str; 0]);
    }
}

/// Puts packs of 1 MiB until one is refused; the error, and how many there are.
fn fill(backend: &SimBackend, session: u8) -> (Error, u32) {
    let data = Random::new(1).bytes(MIB);
    for number in 0.. {
        if let Err(error) = backend.put(&pack(session, number), &data) {
            return (error, number);
        }
    }
    unreachable!("the disk has an end")
}

#[test]
fn packs_stop_before_the_disk_is_full_and_everything_else_may_use_the_rest() {
    let (disk, backend) = simulated();
    disk.limit_space(200 * MIB as u64);
    let (error, packs) = fill(&backend, 1);
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert_eq!(error.place(), &Place::Object(pack(1, packs)));
    assert!(
        error.to_string().contains("16.0 MiB are kept free"),
        "{error}"
    );
    assert!(!error.to_string().contains('\n'), "{error}");
    let room = backend.room().expect("examined").expect("known");
    let kept_free = LOW_WATER_LEN..LOW_WATER_LEN + 2 * MIB as u64;
    assert!(kept_free.contains(&room.free), "{room:?}");
    let run = ObjectName::Index {
        session: SessionId([1; 16]),
        number: 0,
    };
    backend
        .put(&run, &vec![3; 2 * MIB])
        .expect("a run has room");
    for object in [ObjectName::Intent(SessionId([2; 16])), tombstone(2)] {
        backend.put(&object, &[3; 1000]).expect("so has the rest");
    }
    let temporaries = disk
        .files()
        .into_iter()
        .filter(|file| file.starts_with("tmp"));
    assert_eq!(temporaries.count(), 0, "what was refused is gone");
}

#[test]
fn a_small_disk_keeps_a_part_free_and_can_be_used() {
    let (disk, backend) = simulated();
    let total = 24 * MIB as u64;
    disk.limit_space(total);
    let (_, packs) = fill(&backend, 1);
    assert!(packs >= 15, "{packs} packs of 1 MiB");
    let room = backend.room().expect("examined").expect("known");
    assert!(room.free >= total / LOW_WATER_SHARE, "{room:?}");
}

#[test]
fn any_number_of_writers_leave_the_room_together() {
    let disk = SimDisk::new(13);
    LocalBackend::create_on(disk.clone(), Place::Repository).expect("created");
    disk.limit_space(160 * MIB as u64);
    std::thread::scope(|scope| {
        for session in 0..8 {
            let disk = disk.clone();
            scope.spawn(move || {
                let backend = LocalBackend::open_on(disk, Place::Repository).expect("opened");
                fill(&backend, session)
            });
        }
    });
    let free = disk.space().expect("it tells").free;
    assert!(free >= LOW_WATER_LEN - 8 * 4096, "{free}");
}

#[test]
fn a_disk_that_does_not_tell_how_large_it_is_is_filled_to_its_end() {
    let (disk, backend) = simulated();
    disk.hide_space();
    disk.limit_space(32 * MIB as u64);
    let (error, packs) = fill(&backend, 1);
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert!(packs >= 26, "{packs} packs of 1 MiB");
    assert_eq!(backend.room().expect("examined"), None);
    with_room(&backend, || backend.put(&tombstone(1), &[2; 1000])).expect("there is the reserve");
}
