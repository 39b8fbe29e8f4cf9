//! Volumes: disks and images of them, captured, restored, and what may go wrong on the way.
//!
//! Defends I1 (what is restored is what was captured, bit for bit), I2 (other snapshots are
//! unharmed), I3 (no wrong bytes), I4 (the fast way and the full way agree), I7 (an interrupted
//! restore goes on), I8 (full disks) and I10 (what was not read is named).

mod devices;
mod disk;
mod exports;
mod files;
mod in_place;
mod items;
mod live;
mod logical;
mod nbd;
mod served;

use std::ffi::OsStr;
use std::ops::Range;
use std::path::Path;
use std::process::Child;
use std::time::Duration;
use std::time::Instant;

use blockstore_tests::kit::cli::Outcome;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use serde_json::Value;

const MIB: u64 = 1 << 20;
/// How long a program may take until it is where a test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A snapshot of an image file that has to go well.
#[track_caller]
fn snapshot(repository: &TestRepository, image: &Path) -> Taken {
    repository.snapshot(&[&"--volume", &image])
}

/// Restores to a device, and says what more.
fn to_device(
    repository: &TestRepository,
    location: &dyn AsRef<OsStr>,
    device: &Path,
    more: &[&dyn AsRef<OsStr>],
) -> Outcome {
    let mut words: Vec<&dyn AsRef<OsStr>> = vec![location, &"--target", &device];
    words.extend(more);
    repository.run("restore", &words)
}

/// What the only volume of a snapshot is said to be.
fn volume(taken: &Taken) -> &Value {
    &taken.json["roots"][0]["volume"]
}

/// A list of ranges of a report.
#[track_caller]
fn ranges(list: &Value) -> Vec<Range<u64>> {
    assert_eq!(list["unlisted"], 0, "{list}");
    let ranges = list["ranges"].as_array().expect("a list");
    let number = |range: &Value, key: &str| range[key].as_u64().expect("a number");
    let range = |range: &Value| {
        let start = number(range, "start");
        start..start + number(range, "length")
    };
    ranges.iter().map(range).collect()
}

/// A number of a result.
#[track_caller]
fn number(outcome: &Outcome, key: &str) -> u64 {
    let json = outcome.json();
    json[key]
        .as_u64()
        .unwrap_or_else(|| panic!("no number {key:?} in {json}"))
}

/// Waits until something is true of a program that runs; false if the program ends first.
fn reaches(process: &mut Child, is_there: impl Fn(u32) -> bool) -> bool {
    let began = Instant::now();
    loop {
        if is_there(process.id()) {
            return true;
        }
        if process.try_wait().expect("it is ours").is_some() {
            return false;
        }
        assert!(began.elapsed() < PATIENCE, "the program does not get there");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// True once a program holds this file open.
fn holds_open(process: u32, file: &Path) -> bool {
    let open = std::fs::read_dir(format!("/proc/{process}/fd"));
    let mut open = open.into_iter().flatten().flatten();
    open.any(|entry| entry.path().read_link().is_ok_and(|path| path == file))
}
