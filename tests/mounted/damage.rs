//! Damage: an input/output error of what is lost, and of nothing else.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use blockstore_tests::kit::fuse;
use blockstore_tests::kit::generate::random_bytes;
use blockstore_tests::kit::repository::TestRepository;
use blockstore_tests::kit::workspace::Workspace;

use crate::mounted::mounted;

/// Read at once: the whole of it fails if a part does.
const WINDOW: usize = 32 << 10;
const MIB: usize = 1 << 20;

#[test]
fn i3_i10_a_flipped_byte_is_an_error_of_the_range_that_it_is_in_and_is_told_once() {
    if !fuse::is_there() {
        return;
    }
    let workspace = Workspace::new();
    let contents: Vec<_> = (0..4).map(|n| random_bytes(n, "damage", 4 * MIB)).collect();
    for (number, content) in contents.iter().enumerate() {
        workspace.file(&format!("source/file {number}"), content);
    }
    let repository = TestRepository::init(&workspace);
    let taken = repository.snapshot(&[&workspace.join("source")]);
    let pack = repository
        .packs()
        .into_iter()
        .filter(|(path, _)| path.extension().is_some_and(|kind| kind == "data"))
        .max_by_key(|(_, len)| *len);
    let (pack, len) = pack.unwrap();
    flip(&pack, len / 3);

    let mount = mounted(&workspace, &repository, &taken);
    let mut lost = Vec::new();
    for (number, content) in contents.iter().enumerate() {
        let file = File::open(mount.path().join(format!("file {number}"))).unwrap();
        for (index, expected) in content.chunks(WINDOW).enumerate() {
            let mut window = vec![0; expected.len()];
            match file.read_exact_at(&mut window, (index * WINDOW) as u64) {
                Ok(()) => assert!(window == expected, "window {index} of file {number}"),
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(5), "{error}");
                    lost.push((number, index));
                }
            }
        }
    }
    // What a byte costs is the frame that it was in, of 1 MiB.
    assert!(!lost.is_empty());
    assert!(
        lost.len() <= 3 * MIB / 2 / WINDOW,
        "{} windows are lost",
        lost.len()
    );
    // Once more: the same is lost, and nothing is told again.
    let (number, index) = lost[0];
    let file = File::open(mount.path().join(format!("file {number}"))).unwrap();
    let again = file.read_exact_at(&mut [0; WINDOW], (index * WINDOW) as u64);
    assert!(again.is_err());

    let outcome = mount.end().expect_code(3);
    let summary = outcome.json();
    let problems = summary["problems"].as_array().unwrap();
    assert_eq!(summary["problem_count"], problems.len());
    // One for each chunk of the frame.
    assert!((1..=100).contains(&problems.len()), "{}", problems.len());
    assert_eq!(problems[0]["kind"], "damaged");
    let path = problems[0]["path"].as_str().unwrap();
    assert!(path.contains("source/file "), "{path}");
}

fn flip(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}
