//! Claims about folders on the real file system, and about faults on the simulated one.

use std::time::Duration;

use super::*;
use crate::format::name::PackClass;
use crate::limits::RECORD_LEN_LIMIT;
use crate::testing::conformance;
use crate::testing::sim_disk::DiskCall;
use crate::testing::sim_disk::DiskFault;
use crate::testing::sim_disk::SimDisk;

type SimBackend = LocalBackend<SimDisk>;

fn simulated() -> (SimDisk, SimBackend) {
    let disk = SimDisk::new(7);
    let backend = LocalBackend::create_on(disk.clone(), Place::Repository).expect("created");
    (disk, backend)
}

fn pack(number: u32) -> ObjectName {
    ObjectName::Pack {
        session: SessionId([5; 16]),
        number,
        class: PackClass::Data,
    }
}

fn fault(call: DiskCall, nth: u64, error: io::ErrorKind, lasting: bool) -> DiskFault {
    DiskFault {
        call,
        nth,
        error,
        lasting,
    }
}

fn temporaries(disk: &SimDisk) -> Vec<String> {
    disk.files()
        .into_iter()
        .filter(|path| path.starts_with(TEMPORARY))
        .collect()
}

#[test]
fn a_folder_keeps_the_contract() {
    let parent = tempfile::tempdir().expect("temporary folder");
    let made = AtomicU64::new(0);
    conformance::run_all(|| {
        let path = parent
            .path()
            .join(made.fetch_add(1, Ordering::Relaxed).to_string());
        Box::new(LocalBackend::create(&path).expect("created"))
    });
}

#[test]
fn a_simulated_disk_keeps_the_contract_although_it_is_unsteady() {
    conformance::run_all(|| {
        let (disk, backend) = simulated();
        disk.make_unsteady(3);
        Box::new(backend)
    });
}

#[test]
fn a_second_process_sees_what_the_first_put_and_cannot_replace_it() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let first = LocalBackend::create(folder.path()).expect("created");
    let second = LocalBackend::open(folder.path()).expect("opened");
    first.put(&pack(1), b"first").expect("stored");
    assert_eq!(second.get(&pack(1)).expect("visible"), b"first");
    let refused = second.put(&pack(1), b"second").expect_err("taken");
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    assert_eq!(
        first.identity().expect("known"),
        second.identity().expect("known")
    );
}

#[test]
fn creating_refuses_a_folder_with_something_else_in_it() {
    let folder = tempfile::tempdir().expect("temporary folder");
    std::fs::create_dir(folder.path().join("lost+found")).expect("makes");
    LocalBackend::create(folder.path()).expect("a fresh file system is empty enough");
    LocalBackend::create(folder.path()).expect("a prepared folder is opened");

    let foreign = tempfile::tempdir().expect("temporary folder");
    std::fs::write(foreign.path().join("thesis.tex"), b"").expect("writes");
    let refused = LocalBackend::create(foreign.path()).expect_err("not empty");
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    assert!(refused.to_string().contains("is not empty"), "{refused}");
    assert_eq!(
        std::fs::read_dir(foreign.path()).expect("lists").count(),
        1,
        "left as it was"
    );
}

#[test]
fn opening_tells_a_missing_folder_and_an_empty_one() {
    let folder = tempfile::tempdir().expect("temporary folder");
    for path in [folder.path().to_owned(), folder.path().join("nowhere")] {
        let refused = LocalBackend::open(&path).expect_err("no repository");
        assert_eq!(refused.kind(), ErrorKind::NotFound, "{refused}");
        assert_eq!(refused.place(), &Place::Path(path));
    }
}

#[test]
fn foreign_files_are_passed_over() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let backend = LocalBackend::create(folder.path()).expect("created");
    backend.put(&pack(1), b"ours").expect("stored");
    backend
        .put(&ObjectName::Config(1), b"ours")
        .expect("stored");
    let session = SessionId([5; 16]);
    for file in [
        "packs/readme.txt".to_owned(),
        format!("packs/{}", SessionId([6; 16])),
        format!("packs/{session}/00000002.data~"),
        format!("packs/{session}/2.data"),
        "config/00000002.bak".to_owned(),
        "config/0000000A".to_owned(),
    ] {
        std::fs::write(folder.path().join(file), b"foreign").expect("writes");
    }
    std::fs::create_dir(folder.path().join("config/00000003")).expect("makes");
    let ours = |name| vec![ObjectInfo { name, len: 4 }];
    assert_eq!(
        backend.list(ObjectKind::Pack).expect("lists"),
        ours(pack(1))
    );
    assert_eq!(
        backend.list(ObjectKind::Config).expect("lists"),
        ours(ObjectName::Config(1))
    );
}

#[test]
fn an_object_longer_than_any_writer_makes_is_not_read() {
    let (disk, backend) = simulated();
    disk.plant("config/00000001", &vec![0; RECORD_LEN_LIMIT as usize + 1])
        .expect("planted");
    let refused = backend.get(&ObjectName::Config(1)).expect_err("too long");
    assert_eq!(refused.kind(), ErrorKind::Damaged);
}

#[test]
fn of_two_puts_of_one_name_the_second_fails_and_leaves_no_temporary() {
    let (disk, backend) = simulated();
    backend.put(&pack(1), b"first").expect("stored");
    let refused = backend.put(&pack(1), b"second").expect_err("taken");
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    assert_eq!(backend.get(&pack(1)).expect("reads"), b"first");
    assert_eq!(temporaries(&disk), [] as [&str; 0]);
}

#[test]
fn a_put_that_ran_out_of_space_leaves_nothing_behind() {
    for room in (0..5000).step_by(97) {
        let (disk, backend) = simulated();
        disk.hide_space(); // or it would be refused before it was tried
        let before = (disk.files(), disk.used_space());
        disk.limit_space(before.1 + room);
        let refused = backend.put(&pack(1), &[1; 5000]).expect_err("no space");
        assert_eq!(refused.kind(), ErrorKind::NoSpace, "{refused}");
        assert_eq!(disk.files(), before.0);
        disk.limit_space(before.1 + 6000);
        backend.put(&pack(1), &[1; 5000]).expect("space was added");
    }
}

#[test]
fn a_failed_flush_is_never_believed() {
    let (disk, backend) = simulated();
    let before = disk.calls(DiskCall::CreateExclusive);
    disk.fail(fault(DiskCall::FlushFile, 1, io::ErrorKind::Other, false));
    backend
        .put(&pack(1), &[1; 3000])
        .expect("stored at the second attempt");
    let made = disk.calls(DiskCall::CreateExclusive) - before;
    assert_eq!(made, 2, "written anew under another name");
    backend.sync().expect("synced");
    for variant in 0..32 {
        let found = disk.reboot(variant);
        assert_eq!(
            found.contents(&pack(1).to_string()).expect("survived"),
            [1; 3000]
        );
    }
}

#[test]
fn a_disk_that_cannot_flush_is_given_up() {
    let (disk, backend) = simulated();
    let before = (disk.files(), disk.calls(DiskCall::FlushFile));
    disk.fail(fault(DiskCall::FlushFile, 1, io::ErrorKind::Other, true));
    let refused = backend
        .put(&pack(1), &[1; 3000])
        .expect_err("never durable");
    assert_eq!(refused.kind(), ErrorKind::Io);
    let flushed = disk.calls(DiskCall::FlushFile) - before.1;
    assert_eq!(flushed, u64::from(FLUSH_ATTEMPTS));
    assert_eq!(disk.files(), before.0);
}

#[test]
fn after_a_failed_flush_of_a_folder_no_sync_succeeds() {
    let (disk, backend) = simulated();
    backend.put(&pack(1), b"1").expect("stored");
    disk.fail(fault(DiskCall::FlushFolder, 1, io::ErrorKind::Other, false));
    for _ in 0..3 {
        let refused = backend.sync().expect_err("the names may be lost");
        assert_eq!(refused.kind(), ErrorKind::Io);
    }
}

#[test]
fn every_failing_call_is_an_error_or_harmless() {
    use DiskCall::*;
    let calls = [
        CreateExclusive,
        Write,
        FlushFile,
        Open,
        Len,
        ReadAt,
        RenameNoreplace,
        Unlink,
        MakeFolder,
        RemoveFolder,
        FlushFolder,
        ListFolder,
        Stat,
        Space,
    ];
    let work = |backend: &SimBackend| -> Result<()> {
        backend.put(&pack(1), &[1; 3000])?;
        backend.put(&pack(2), &[2; 3000])?;
        backend.sync()?;
        backend.delete(&pack(1))?;
        assert_eq!(backend.get(&pack(2))?, [2; 3000]);
        assert_eq!(
            backend.list(ObjectKind::Pack)?,
            [ObjectInfo {
                name: pack(2),
                len: 3000
            }]
        );
        backend.delete(&pack(2))?;
        backend.release_reserve()?;
        backend.sync()
    };
    let (made, _) = simulated();
    for (call, lasting) in calls
        .into_iter()
        .flat_map(|call| [(call, false), (call, true)])
    {
        for nth in 1..20 {
            let disk = made.fork();
            let backend = LocalBackend::open_on(disk.clone(), Place::Repository).expect("opened");
            disk.fail(fault(call, nth, io::ErrorKind::Other, lasting));
            if work(&backend).is_ok() {
                let found = disk.reboot(nth);
                let objects = found.files().len() - temporaries(&found).len();
                assert_eq!(objects, 0, "{call:?} {nth}: deleted for good");
            }
        }
    }
}

#[test]
fn a_bit_flipped_on_the_way_shows_in_one_read_only() {
    let (disk, backend) = simulated();
    backend.put(&pack(1), &[0; 600]).expect("stored");
    disk.flip_bit_on_read(1);
    assert_ne!(backend.get(&pack(1)).expect("reads"), [0; 600]);
    assert_eq!(backend.get(&pack(1)).expect("reads"), [0; 600]);
}

#[test]
fn deleting_the_last_pack_of_a_session_removes_its_folder_and_another_put_makes_it_again() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let writer = LocalBackend::create(folder.path()).expect("created");
    let pruner = LocalBackend::open(folder.path()).expect("opened");
    let session = folder.path().join(format!("packs/{}", SessionId([5; 16])));
    writer.put(&pack(1), b"1").expect("stored");
    pruner.delete(&pack(1)).expect("deleted");
    assert!(!session.exists());
    writer
        .put(&pack(2), b"2")
        .expect("the folder is made again");
    assert_eq!(pruner.get(&pack(2)).expect("visible"), b"2");
    writer.sync().expect("synced");
}

#[test]
fn trouble_with_a_temporary_is_never_told_as_a_missing_or_existing_object() {
    for error in [io::ErrorKind::NotFound, io::ErrorKind::AlreadyExists] {
        let (disk, backend) = simulated();
        disk.fail(fault(DiskCall::CreateExclusive, 1, error, true));
        let refused = backend.put(&pack(1), b"1").expect_err("no temporary");
        assert_eq!(refused.kind(), ErrorKind::Io, "{refused}");
    }
}

#[test]
fn a_put_survives_that_somebody_tidied_up_the_folder_of_temporaries() {
    let (disk, backend) = simulated();
    backend.put(&pack(1), b"1").expect("stored");
    disk.remove_folder(TEMPORARY).expect("it is empty");
    backend.put(&pack(2), b"2").expect("stored");
}

#[test]
fn only_old_temporaries_are_swept() {
    let (disk, backend) = simulated();
    disk.set_clock(1_000);
    disk.plant("tmp/old", b"left by a crash").expect("planted");
    disk.set_clock(200_000);
    disk.plant("tmp/young", b"being written").expect("planted");
    let cutoff = SystemTime::UNIX_EPOCH + Duration::from_secs(100_000);
    assert_eq!(backend.remove_stale_temporaries(cutoff).expect("swept"), 1);
    assert_eq!(temporaries(&disk), ["tmp/young"]);
}
