//! Damaged images: whatever is asked of them ends, within bounds, without a panic that gets out.
//!
//! `BLOCKSTORE_IMAGE_MUTATIONS=1000 cargo test -p blockstore --features testing --lib serve::image`
//! damages each image that often. How much memory that may take is the affair of `fuzz/`.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::observe::Observer;
use crate::operations::restore::RestoreOptions;
use crate::serve::image::restore;
use crate::testing::hostile_images::{exercise, repair_btrfs, repair_xfs};
use crate::testing::random::Random;
use crate::testing::sparse_image::SparseImage;

/// How often each image is damaged, if nobody says.
const ROUNDS: usize = 4;
/// Most bytes that are changed in a round.
const CHANGES_MAX: usize = 64;
/// A restore is stopped after so many looks at whether it is: a damaged length may be anything.
const LOOKS_MAX: usize = 1_000;

fn rounds() -> usize {
    let rounds = std::env::var("BLOCKSTORE_IMAGE_MUTATIONS").ok();
    rounds
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(ROUNDS)
}

/// Changes bytes where an image is not empty: damage elsewhere shows nothing.
fn damage(image: &mut SparseImage, places: &[u32], random: &mut Random) {
    // Metadata lies at the start of most file systems: half of the damage goes there.
    let early = places.len().min(1 + places.len() / 16);
    for _ in 0..=random.below(CHANGES_MAX) {
        let places = if random.one_in(2) {
            &places[..early]
        } else {
            places
        };
        let sector = u64::from(places[random.below(places.len())]);
        let at = sector * 512 + random.below(512) as u64;
        image.write(at, &[random.number() as u8]);
    }
}

/// A user who stops a restore that goes on for too long.
#[derive(Default)]
struct Impatient(AtomicUsize);

impl Observer for Impatient {
    fn is_cancelled(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) >= LOOKS_MAX
    }
}

fn restore_all(view: Arc<dyn View>) {
    let Ok(mut image) = Image::open(view, b"disk0/p1") else {
        return;
    };
    let folder = TempDir::new().expect("there is a temporary folder");
    let target = folder.path().join("in/target");
    let (options, root) = (RestoreOptions::default(), FolderPath::root());
    let _ = restore(&mut image, &root, &target, &options, &Impatient::default());
    let inside = folder.path().join("in");
    for (parent, expected) in [(folder.path(), "in"), (&inside, "target")] {
        let Ok(found) = parent.read_dir() else {
            continue;
        };
        for entry in found {
            let name = entry.expect("it is listed").file_name();
            assert_eq!(name, expected, "nothing lands beside the target");
        }
    }
}

/// Lists, finds and reads what is left, and restores it in some of the rounds. A checksum keeps nobody
/// from doing harm: `repair` makes those right again that would hide the damage.
fn assert_survives(bytes: &[u8], seed: u64, repair: fn(&mut SparseImage)) {
    assert_survives_sparse(&SparseImage::of(bytes), seed, repair);
}

fn assert_survives_sparse(whole: &SparseImage, seed: u64, repair: fn(&mut SparseImage)) {
    let places: Vec<_> = whole.pieces().collect();
    for round in 0..rounds() {
        let mut image = whole.clone();
        let mut random = Random::new(seed << 32 | round as u64);
        damage(&mut image, &places, &mut random);
        repair(&mut image);
        let view: Arc<dyn View> = Arc::new(image);
        exercise(Arc::clone(&view));
        if round.is_multiple_of(4) {
            restore_all(view);
        }
    }
}

fn nothing(_: &mut SparseImage) {}

#[test]
fn damaged_ext_costs_what_is_damaged() {
    if has_tool("mkfs.ext4") {
        for (options, seed) in [(&["-O", "^metadata_csum"][..], 1), (&["-t", "ext2"], 2)] {
            let bytes = made::ext(&TempDir::new().unwrap(), options);
            assert_survives(&bytes, seed, nothing);
        }
    }
}

#[test]
fn damaged_fat_costs_what_is_damaged() {
    if has_tool("mkfs.vfat") && has_tool("mcopy") {
        for (width, seed) in [("12", 3), ("16", 4), ("32", 5)] {
            let bytes = fat::fat(&TempDir::new().unwrap(), width);
            assert_survives(&bytes, seed, nothing);
        }
    }
}

#[test]
fn damaged_ntfs_costs_what_is_damaged() {
    if has_tool("mkfs.ntfs") && has_tool("ntfscp") {
        let files = [("small", vec![1; 300]), ("long", vec![2; 300_000])];
        let bytes = made::ntfs(&TempDir::new().unwrap(), &files);
        assert_survives(&bytes, 6, nothing);
    }
}

#[test]
fn damaged_btrfs_costs_what_is_damaged() {
    if has_tool("mkfs.btrfs") {
        let bytes = made::btrfs(&TempDir::new().unwrap());
        assert_survives(&bytes, 7, repair_btrfs);
    }
}

#[test]
fn damaged_xfs_costs_what_is_damaged() {
    if has_tool("mkfs.xfs") {
        for (options, seed) in [(&["-b", "size=1024"][..], 8), (&["-m", "crc=0"], 9)] {
            let bytes = xfs::xfs(&TempDir::new().unwrap(), options, 700);
            assert_survives(&bytes, seed, repair_xfs);
        }
    }
}

#[test]
fn a_damaged_log_of_xfs_costs_what_is_in_it() {
    let seeds = crate::testing::seeds::images().into_iter();
    for (seed, (_, bytes)) in (10..).zip(seeds.filter(|(decoder, _)| *decoder == "image_xfs")) {
        assert_survives_sparse(&SparseImage::decode(&bytes), seed, repair_xfs);
    }
}
