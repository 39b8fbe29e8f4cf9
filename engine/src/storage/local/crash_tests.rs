//! The durability protocol against every crash: sentences 2, 5, 6 and 11 of the contract.

use std::collections::BTreeMap;

use super::*;
use crate::format::name::PackClass;
use crate::testing::random::Random;
use crate::testing::sim_disk::DiskCall;
use crate::testing::sim_disk::DiskFault;
use crate::testing::sim_disk::SimDisk;
use crate::testing::sim_disk::is_power_loss;

const VARIANTS: u64 = 24;

/// What must hold after a crash, as far as calls have returned.
#[derive(Clone, Default)]
struct Promise {
    /// Put, and a sync returned since.
    durable: BTreeMap<ObjectName, Vec<u8>>,
    /// Deleted, and a sync returned since.
    gone: Vec<ObjectName>,
    put: BTreeMap<ObjectName, Vec<u8>>,
    deleted: Vec<ObjectName>,
}

impl Promise {
    fn put(&mut self, backend: &LocalBackend<SimDisk>, name: ObjectName, len: usize) -> Result<()> {
        let data = Random::new(len as u64).bytes(len);
        backend.put(&name, &data)?;
        self.put.insert(name, data);
        Ok(())
    }

    /// From the moment it begins a delete may have happened or not.
    fn delete(&mut self, backend: &LocalBackend<SimDisk>, name: ObjectName) -> Result<()> {
        self.durable.remove(&name);
        self.put.remove(&name);
        backend.delete(&name)?;
        self.deleted.push(name);
        Ok(())
    }

    fn sync(&mut self, backend: &LocalBackend<SimDisk>) -> Result<()> {
        backend.sync()?;
        self.durable.append(&mut self.put);
        self.gone.append(&mut self.deleted);
        Ok(())
    }

    /// Looks at what a crash left.
    fn assert_kept(&self, disk: SimDisk, crash: &str) {
        let backend = LocalBackend::open_on(disk, Place::Repository).expect("opens after a crash");
        for (name, data) in &self.durable {
            let read = backend
                .get(name)
                .unwrap_or_else(|e| panic!("{crash}: lost: {e}"));
            assert!(read == *data, "{crash}: {name} is changed");
        }
        for name in &self.gone {
            assert!(backend.get(name).is_err(), "{crash}: {name} is back");
        }
        backend
            .put(&pack(9, 9), b"next")
            .expect("the next writer finds no obstacle");
        backend.sync().expect("synced");
    }
}

fn pack(session: u8, number: u32) -> ObjectName {
    ObjectName::Pack {
        session: SessionId([session; 16]),
        number,
        class: PackClass::Data,
    }
}

fn prepared(seed: u64) -> (SimDisk, LocalBackend<SimDisk>) {
    let disk = SimDisk::new(seed);
    let backend = LocalBackend::create_on(disk.clone(), Place::Repository).expect("created");
    (disk, backend)
}

/// Two sessions that write, commit and are pruned, in the order of barriers.
fn work(backend: &LocalBackend<SimDisk>, promise: &mut Promise) -> Result<()> {
    promise.put(backend, ObjectName::Config(1), 100)?;
    promise.sync(backend)?;
    for session in 1..3 {
        let id = SessionId([session; 16]);
        promise.put(backend, ObjectName::Intent(id), 10)?;
        for number in 0..3 {
            promise.put(backend, pack(session, number), 2000 + 700 * number as usize)?;
        }
        promise.sync(backend)?;
        promise.put(
            backend,
            ObjectName::Index {
                session: id,
                number: 0,
            },
            900,
        )?;
        promise.sync(backend)?;
        promise.put(backend, ObjectName::Snapshot(id), 513)?;
        promise.sync(backend)?;
    }
    promise.delete(
        backend,
        ObjectName::Index {
            session: SessionId([1; 16]),
            number: 0,
        },
    )?;
    promise.sync(backend)?;
    for number in 0..3 {
        promise.delete(backend, pack(1, number))?;
    }
    promise.sync(backend)
}

fn steps_of_work(seed: u64) -> (u64, u64) {
    let (disk, backend) = prepared(seed);
    let before = disk.steps();
    work(&backend, &mut Promise::default()).expect("nothing fails");
    (before, disk.steps())
}

#[test]
fn an_object_that_was_synced_survives_every_crash_variant_at_every_step() {
    let mut crashes = 0;
    for seed in [1, 2, 3] {
        let (before, after) = steps_of_work(seed);
        for step in before + 1..=after + 1 {
            let (disk, backend) = prepared(seed);
            disk.cut_power_at(step);
            let mut promise = Promise::default();
            match work(&backend, &mut promise) {
                Ok(()) => disk.cut_power(),
                Err(error) => assert!(is_power_loss(&error), "{error}"),
            }
            for variant in 0..VARIANTS {
                promise.assert_kept(disk.reboot(variant), &format!("{seed}:{step}:{variant}"));
                crashes += 1;
            }
        }
    }
    assert!(crashes >= 5_000, "only {crashes} crashes");
    report(&format!("{crashes} crashes survived"));
}

#[test]
fn a_writer_that_syncs_does_not_rely_on_the_folder_of_one_that_did_not() {
    let (disk, first) = prepared(8);
    let second = LocalBackend::open_on(disk.clone(), Place::Repository).expect("opened");
    first.put(&pack(1, 1), b"never synced").expect("stored");
    let mut promise = Promise::default();
    promise.put(&second, pack(1, 2), 700).expect("stored");
    promise.sync(&second).expect("synced");
    for variant in 0..VARIANTS {
        promise.assert_kept(disk.reboot(variant), &format!("{variant}"));
    }
}

#[test]
fn images_recorded_in_one_run_are_what_crashes_find() {
    let (disk, backend) = prepared(4);
    disk.record_images();
    let mut promise = Promise::default();
    work(&backend, &mut promise).expect("nothing fails");
    let images = disk.take_images();
    let (before, after) = steps_of_work(4);
    assert_eq!(images.len() as u64, after - before);
    for (step, image) in (before + 1..).zip(&images).step_by(7) {
        let (disk, backend) = prepared(4);
        disk.cut_power_at(step);
        work(&backend, &mut Promise::default()).expect_err("no power");
        for variant in 0..4 {
            let (found, recorded) = (disk.reboot(variant), image.reboot(variant));
            assert_eq!(found.files(), recorded.files());
            for file in found.files() {
                assert_eq!(found.contents(&file).ok(), recorded.contents(&file).ok());
            }
        }
    }
}

#[test]
fn a_flush_that_fails_before_the_crash_costs_nothing_that_was_acknowledged() {
    for call in [DiskCall::FlushFile, DiskCall::FlushFolder] {
        for nth in 1.. {
            let (disk, backend) = prepared(nth);
            disk.fail(DiskFault {
                call,
                nth,
                error: io::ErrorKind::Other,
                lasting: false,
            });
            let mut promise = Promise::default();
            let calls_before = disk.calls(call);
            let _ = work(&backend, &mut promise);
            let _ = promise.sync(&backend); // believes nothing that the failed one took along
            for variant in 0..VARIANTS {
                promise.assert_kept(disk.reboot(variant), &format!("{call:?} {nth}:{variant}"));
            }
            if disk.calls(call) - calls_before < nth {
                break;
            }
        }
    }
}

#[test]
fn a_crash_while_a_repository_is_prepared_leaves_a_folder_that_can_be_prepared_again() {
    // A small disk, for a small reserve.
    let small = |disk: &SimDisk| disk.limit_space(400_000);
    let whole = SimDisk::new(5);
    small(&whole);
    LocalBackend::create_on(whole.clone(), Place::Repository).expect("prepared");
    for step in 1..=whole.steps() {
        let disk = SimDisk::new(5);
        small(&disk);
        disk.cut_power_at(step);
        LocalBackend::create_on(disk.clone(), Place::Repository).expect_err("no power");
        for variant in 0..VARIANTS {
            let found = disk.reboot(variant);
            small(&found);
            let backend = LocalBackend::create_on(found, Place::Repository).expect("prepared");
            backend
                .put(&ObjectName::Config(1), b"first")
                .expect("stored");
        }
    }
}

#[test]
fn a_full_disk_at_every_byte_costs_nothing_that_was_synced() {
    let (made, _) = prepared(6);
    made.hide_space(); // or packs would be refused before the disk is full
    let on = |disk: &SimDisk| LocalBackend::open_on(disk.clone(), Place::Repository);
    let needed = {
        let disk = made.fork();
        work(&on(&disk).expect("opened"), &mut Promise::default()).expect("nothing fails");
        disk.used_space() - made.used_space() + 12_000
    };
    for room in (0..needed).step_by(61) {
        let disk = made.fork();
        let backend = on(&disk).expect("opened");
        disk.limit_space(made.used_space() + room);
        let mut promise = Promise::default();
        if let Err(error) = work(&backend, &mut promise) {
            assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
        }
        promise.assert_kept(disk.reboot(room), &format!("room for {room}"));
    }
}

/// Seen with `--nocapture`: how much was tried.
#[expect(
    clippy::print_stderr,
    reason = "a figure for whoever runs the test by hand"
)]
fn report(line: &str) {
    eprintln!("{line}");
}
