//! Volumes that are served as disks, to clients that others wrote.

use std::ffi::OsStr;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use blockstore_tests::kit::cli::Outcome;
use blockstore_tests::kit::disk::FAT;
use blockstore_tests::kit::disk::assert_begins_with;
use blockstore_tests::kit::disk::assert_same_bytes;
use blockstore_tests::kit::disk::random_disk;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::served::Served;
use blockstore_tests::kit::tool::installed;
use blockstore_tests::kit::tool::output;
use blockstore_tests::kit::tool::run;
use blockstore_tests::kit::workspace::Workspace;
use serde_json::Value;

use crate::scene::assert_sound;
use crate::volumes::MIB;
use crate::volumes::snapshot;

const IMAGE_LEN: u64 = 64 * MIB;
/// From the second MiB on.
const DATA_LEN: usize = 24 << 20;
const CLIENTS: [&str; 5] = ["nbdinfo", "nbdcopy", "qemu-img", "qemu-io", "sfdisk"];

/// An image in a repository; nothing where a client is missing.
fn scene() -> Option<(Workspace, PathBuf, TestRepository, Taken)> {
    if CLIENTS.iter().any(|client| installed(client).is_none()) {
        return None;
    }
    let workspace = Workspace::new();
    let image = random_disk(&workspace, "disk.raw", IMAGE_LEN, DATA_LEN);
    let repository = TestRepository::init(&workspace);
    let taken = snapshot(&repository, &image);
    Some((workspace, image, repository, taken))
}

#[track_caller]
fn serve(
    workspace: &Workspace,
    repository: &TestRepository,
    words: &[&dyn AsRef<OsStr>],
) -> Served {
    let served = Served::start(repository, &workspace.join("socket"), words);
    served.unwrap_or_else(|outcome| panic!("it does not serve: {outcome:?}"))
}

fn qemu_io(url: &str, commands: &[String]) -> Outcome {
    let mut words: Vec<&dyn AsRef<OsStr>> = vec![&"-r", &"-f", &"raw"];
    for command in commands {
        words.extend([&"-c" as &dyn AsRef<OsStr>, command]);
    }
    words.push(&url);
    run("qemu-io", &words)
}

/// A client that reads everything, over and over the network of this machine.
fn reading(url: &str) -> Child {
    let mut command = Command::new("nbdcopy");
    command.args(["--connections=4", url, "null:"]);
    let spawned = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    spawned.expect("nbdcopy can be run")
}

#[track_caller]
fn assert_copies(workspace: &Workspace, image: &Path, url: &str) {
    let copy = workspace.join("copy.raw");
    output("nbdcopy", &[&"--connections=4", &url, &copy]);
    assert_same_bytes(image, &copy);
}

#[test]
fn i3_a_served_volume_is_the_disk_to_every_client() {
    let Some((workspace, image, repository, taken)) = scene() else {
        return;
    };
    let served = serve(&workspace, &repository, &[&taken.id]);
    let url = served.url("disk0");
    assert_eq!(served.listening["exports"][0]["url"], url);
    let listed = output("nbdinfo", &[&"--list", &served.url("")]);
    for expected in [
        "export=\"disk0\"",
        "64.0 MiB, snapshot",
        "is_read_only: true",
    ] {
        assert!(listed.contains(expected), "no {expected} in {listed}");
    }
    assert!(listed.contains("can_multi_conn: true"), "{listed}");
    let totals = output("nbdinfo", &[&"--map", &"--totals", &url]);
    assert!(totals.contains("hole,zero"), "{totals}");
    assert_copies(&workspace, &image, &url);
    let words: [&dyn AsRef<OsStr>; 7] = [&"compare", &"-f", &"raw", &"-F", &"raw", &image, &url];
    assert!(output("qemu-img", &words).contains("identical"));
    let crowd: Vec<_> = (0..4).map(|_| reading(&url)).collect();
    for client in crowd {
        let ended = client.wait_with_output().unwrap();
        assert!(
            ended.status.success(),
            "{}",
            String::from_utf8_lossy(&ended.stderr)
        );
    }
    let unaligned = qemu_io(
        &url,
        &["read 511 3".to_owned(), "read 3000001 70001".to_owned()],
    );
    unaligned.expect_code(0).expect_text("read 3/3 bytes");
    let memory = served.memory();
    assert!(memory < 150 << 20, "{memory} bytes");
    let ended = served.end().expect_code(0);
    assert_eq!(ended.json()["problem_count"], 0);
    assert!(!workspace.join("socket").exists());
}

#[test]
fn i2_nobody_writes_to_what_is_served() {
    let Some((workspace, image, repository, taken)) = scene() else {
        return;
    };
    let served = serve(&workspace, &repository, &[&taken.id]);
    let url = served.url("disk0");
    let write: [&dyn AsRef<OsStr>; 5] = [&"-f", &"raw", &"-c", &"write -P 7 0 1M", &url];
    let refused = run("qemu-io", &write);
    assert!(
        refused.code != 0 && refused.mentions("permission denied"),
        "{refused:?}"
    );
    let copied = run("nbdcopy", &[&image, &url]);
    assert!(copied.code != 0, "{copied:?}");
    assert_copies(&workspace, &image, &url);
    drop(served);
    assert_sound(&repository);
}

#[test]
fn a_partition_is_served_as_a_disk_of_its_own() {
    let Some((workspace, image, repository, taken)) = scene() else {
        return;
    };
    let words: [&dyn AsRef<OsStr>; 2] = [&taken.below("disk0/p1"), &taken.below("disk0")];
    let served = serve(&workspace, &repository, &words);
    let copy = workspace.join("esp.raw");
    output("nbdcopy", &[&served.url("disk0/p1"), &copy]);
    assert_eq!(copy.metadata().unwrap().len(), FAT.end - FAT.start);
    assert_begins_with(&image, FAT, &copy);
    assert_copies(&workspace, &image, &served.url("disk0"));
}

#[test]
fn i4_what_differs_from_another_snapshot_is_told_as_a_dirty_bitmap() {
    let Some((workspace, image, repository, before)) = scene() else {
        return;
    };
    let file = std::fs::File::options().write(true).open(&image).unwrap();
    let changed = [(5 * MIB + 100, 4096), (40 * MIB, 128 << 10)];
    for (at, len) in changed {
        file.write_all_at(&random_bytes(9, "changed", len), at)
            .unwrap();
    }
    let after = snapshot(&repository, &image);
    let words: [&dyn AsRef<OsStr>; 3] = [&after.id, &"--dirty-since", &before.id];
    let served = serve(&workspace, &repository, &words);
    let context = format!("--map=qemu:dirty-bitmap:{}", before.id);
    let map = output("nbdinfo", &[&"--json", &context, &served.url("disk0")]);
    let map: Value = serde_json::from_str(&map).unwrap();
    let dirty = map
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["type"] == 1);
    let dirty: Vec<_> = dirty
        .map(|one| {
            (
                one["offset"].as_u64().unwrap(),
                one["length"].as_u64().unwrap(),
            )
        })
        .collect();
    for (at, len) in changed {
        let is_told = |(start, told): &(u64, u64)| *start <= at && at + len as u64 <= start + told;
        assert!(dirty.iter().any(is_told), "{at}+{len}: {dirty:?}");
    }
    let sum: u64 = dirty.iter().map(|(_, len)| len).sum();
    assert!(sum < MIB, "{dirty:?}");
    assert_copies(&workspace, &image, &served.url("disk0"));
}

#[test]
fn clients_that_are_killed_are_no_matter_to_others() {
    let Some((workspace, image, repository, taken)) = scene() else {
        return;
    };
    let served = serve(&workspace, &repository, &[&taken.id]);
    let url = served.url("disk0");
    for delay in [5, 20, 40, 80] {
        let mut client = reading(&url);
        std::thread::sleep(Duration::from_millis(delay));
        client.kill().unwrap();
        client.wait().unwrap();
    }
    assert_copies(&workspace, &image, &url);
    served.end().expect_code(0);
}

#[test]
fn i3_a_flipped_byte_is_an_error_where_it_lies_and_nowhere_else() {
    let Some((workspace, image, repository, taken)) = scene() else {
        return;
    };
    let packs = repository.packs();
    let (pack, len) = packs.iter().max_by_key(|(_, len)| **len).unwrap();
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(pack)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, len / 2).unwrap();
    file.write_all_at(&[byte[0] ^ 1], len / 2).unwrap();
    let served = serve(&workspace, &repository, &[&taken.id]);
    let url = served.url("disk0");
    for _ in 0..2 {
        let reads: Vec<_> = (0..IMAGE_LEN / MIB)
            .map(|at| format!("read {at}M 1M"))
            .collect();
        let outcome = qemu_io(&url, &reads);
        let failed = outcome.stderr.matches("Input/output error").count()
            + outcome.stdout.matches("Input/output error").count();
        assert!((1..=4).contains(&failed), "{failed}: {outcome:?}");
        let fine = outcome.stdout.matches("read 1048576/1048576").count();
        assert_eq!(fine + failed, reads.len(), "{outcome:?}");
    }
    let beginning = workspace.join("beginning.raw");
    let (from, to) = (format!("if={url}"), format!("of={}", beginning.display()));
    let words: [&dyn AsRef<OsStr>; 9] = [
        &"dd", &"-f", &"raw", &"-O", &"raw", &from, &to, &"bs=1M", &"count=4",
    ];
    output("qemu-img", &words);
    assert_begins_with(&image, 0..4 * MIB, &beginning);
    let ended = served.end().expect_code(3);
    assert_eq!(ended.json()["problems"][0]["kind"], "damaged");
}

#[test]
fn the_socket_of_a_killed_server_is_replaced_and_that_of_a_living_one_is_not() {
    let Some((workspace, image, repository, taken)) = scene() else {
        return;
    };
    drop(serve(&workspace, &repository, &[&taken.id]));
    let socket = workspace.join("socket");
    assert!(socket.exists(), "it was killed");
    let served = serve(&workspace, &repository, &[&taken.id]);
    let refused = Served::start(&repository, &socket, &[&taken.id]).unwrap_err();
    refused
        .expect_code(1)
        .expect_text("another server listens there");
    assert_copies(&workspace, &image, &served.url("disk0"));
    served.end().expect_code(0);
}

#[test]
fn i2_what_is_written_over_a_snapshot_outlives_a_killed_server_and_leaves_the_snapshot() {
    let Some((workspace, image, repository, taken)) = scene() else {
        return;
    };
    let folder = workspace.join("overlay");
    let words: [&dyn AsRef<OsStr>; 4] = [&taken.id, &"--writable", &"--overlay", &folder];
    let first = serve(&workspace, &repository, &words);
    let url = first.url("disk0");
    let change: [&dyn AsRef<OsStr>; 11] = [
        &"-f",
        &"raw",
        &"-c",
        &"write -P 7 511 300000",
        &"-c",
        &"write -z 5M 1M",
        &"-c",
        &"discard 7M 1M",
        &"-c",
        &"flush",
        &url,
    ];
    output("qemu-io", &change);
    let second = Served::start(&repository, &workspace.join("other"), &words).unwrap_err();
    second
        .expect_code(1)
        .expect_text("in use by another process");
    drop(first); // killed
    let again = serve(&workspace, &repository, &words);
    let read = ["read -P 7 511 300000", "read -P 0 5M 1M", "read -P 0 7M 1M"];
    let outcome = qemu_io(&again.url("disk0"), &read.map(str::to_owned));
    let outcome = outcome.expect_code(0);
    assert!(!outcome.mentions("verification failed"), "{outcome:?}");
    again.end().expect_code(0);

    let plain = serve(&workspace, &repository, &[&taken.id]);
    assert_copies(&workspace, &image, &plain.url("disk0"));
    plain.end().expect_code(0);
    let other = snapshot(&repository, &image);
    let words: [&dyn AsRef<OsStr>; 4] = [&other.id, &"--writable", &"--overlay", &folder];
    let refused = Served::start(&repository, &workspace.join("socket"), &words).unwrap_err();
    refused
        .expect_code(1)
        .expect_text("is an overlay of snapshot");
    assert_sound(&repository);
}
