//! Sources with sectors that cannot be read, and servers that fail.

use std::ffi::OsStr;
use std::path::Path;
use std::path::PathBuf;

use blockstore_tests::kit::cli::Outcome;
use blockstore_tests::kit::disk::assert_same_bytes;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::nbd::NbdServer;
use blockstore_tests::kit::repository::Taken;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::workspace::Workspace;

use crate::scene::assert_sound;
use crate::volumes::ranges;
use crate::volumes::snapshot;
use crate::volumes::volume;

const IMAGE_LEN: usize = 8 << 20;
/// What cannot be read: three sectors, and one alone at the end.
const BAD: [(usize, usize); 2] = [(3_000_320, 1536), (IMAGE_LEN - 512, 512)];

/// A server of `image` that fails where it is bad, as long as the file `broken` is there.
fn failing_server(workspace: &Workspace, image: &Path, broken: &Path) -> Option<NbdServer> {
    let mut read = format!("if [ -e '{}' ]; then ", broken.display());
    for (start, len) in BAD {
        let end = start + len;
        read += &format!(
            "if [ $4 -lt {end} ] && [ $(($4 + $3)) -gt {start} ]; then \
             echo EIO bad sector >&2; exit 1; fi; "
        );
    }
    read += &format!(
        "fi; dd if='{}' iflag=skip_bytes,count_bytes skip=$4 count=$3 bs=1M status=none",
        image.display()
    );
    let size = format!("get_size=echo {IMAGE_LEN}");
    let read = format!("pread={read}");
    NbdServer::start(workspace, "failing", &[&"eval", &size, &read])
}

/// The image as it is where it could be read, and zeros elsewhere.
fn zeroed(workspace: &Workspace, image: &Path) -> PathBuf {
    let mut bytes = std::fs::read(image).unwrap();
    for (start, len) in BAD {
        bytes[start..start + len].fill(0);
    }
    workspace.file("zeroed.raw", bytes)
}

#[test]
fn i10_sectors_that_cannot_be_read_are_named_by_snapshot_and_restore_and_read_again() {
    let workspace = Workspace::new();
    let image = workspace.file("disk.raw", random_bytes(3, "image", IMAGE_LEN));
    let broken = workspace.file("broken", "");
    let Some(server) = failing_server(&workspace, &image, &broken) else {
        return;
    };
    let repository = TestRepository::init(&workspace);
    let url = server.url();
    let outcome = repository
        .run("snapshot", &[&"--volume", &url])
        .expect_code(3);
    let partial = Taken::of(&outcome);
    assert_eq!(partial.number("problem_count"), 2, "{}", partial.json);
    for ((start, len), problem) in BAD.iter().zip(partial.json["problems"].as_array().unwrap()) {
        let named = format!("bytes {start} to {} ", start + len);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&named), "{named:?}: {problem}");
        assert_eq!(problem["kind"], "unreadable");
    }
    assert_eq!(volume(&partial)["unreadable_bytes"], 2048);

    let target = workspace.join("restored.raw");
    let restored = repository.restore(&partial.id, &target).expect_code(3);
    let lost = ranges(&restored.json()["lost"]);
    assert!(
        lost.into_iter()
            .eq(BAD.map(|(start, len)| start as u64..(start + len) as u64))
    );
    assert_same_bytes(&zeroed(&workspace, &image), &target);
    assert_sound(&repository);

    // Nothing is said to have changed; what was never read is read all the same.
    std::fs::remove_file(&broken).unwrap();
    let nothing = workspace.file("changed.json", "[]");
    let whole = repository.snapshot(&[&"--volume", &url, &"--changed-ranges", &nothing]);
    assert_eq!(
        volume(&whole)["tracking"],
        "changed_ranges",
        "{}",
        whole.json
    );
    assert_eq!(volume(&whole)["unreadable_bytes"], 0);
    assert!(
        whole.number("read_bytes") < IMAGE_LEN as u64 / 4,
        "{}",
        whole.json
    );
    let target = workspace.join("whole.raw");
    repository.restore(&whole.id, &target).expect_code(0);
    assert_same_bytes(&image, &target);
    let scanned = snapshot(&repository, Path::new(&url));
    assert_eq!(scanned.root, whole.root);
}

#[test]
fn i2_a_server_that_ends_while_it_is_read_is_named_and_harms_nothing() {
    let workspace = Workspace::new();
    let image = workspace.file("disk.raw", random_bytes(4, "image", IMAGE_LEN));
    let repository = TestRepository::init(&workspace);
    let before = snapshot(&repository, &image);
    // Every read takes a while, so that the server ends in the middle.
    let file = format!("file={}", image.display());
    let words: [&dyn AsRef<OsStr>; 4] = [&"--filter=delay", &"file", &file, &"delay-read=200ms"];
    let Some(server) = NbdServer::start(&workspace, "slow", &words) else {
        return;
    };
    let url = server.url();
    let command = repository.command("snapshot", &[&"--volume", &url]).spawn();
    let running = command.unwrap();
    std::thread::sleep(std::time::Duration::from_millis(700));
    drop(server);
    let outcome = Outcome::of(&running.wait_with_output().unwrap());
    outcome.expect_code(1).expect_text("slow.socket");
    let listed = repository.run("snapshots", &[]).expect_code(0);
    assert_eq!(listed.json()["snapshots"].as_array().unwrap().len(), 1);
    let target = workspace.join("restored.raw");
    repository.restore(&before.id, &target).expect_code(0);
    assert_same_bytes(&image, &target);
    assert_sound(&repository);
}
