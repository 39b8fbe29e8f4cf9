//! Damaged images: whatever is asked of them ends, within bounds, without a panic that gets out.
//!
//! `BLOCKSTORE_IMAGE_MUTATIONS=1000 cargo test -p blockstore --features testing --lib serve::image`
//! damages each image that often.

use super::*;
use crate::limits::MIB;
use crate::serve::image::restore;
use crate::testing::random::Random;

/// How often each image is damaged, if nobody says.
const ROUNDS: usize = 12;
/// Most bytes that are changed in a round.
const CHANGES_MAX: usize = 64;
/// Damaged files may become long: no more than this is read of one.
const READ_LEN_MAX: usize = MIB;

fn rounds() -> usize {
    let rounds = std::env::var("BLOCKSTORE_IMAGE_MUTATIONS").ok();
    rounds
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(ROUNDS)
}

/// A sink that has seen enough.
struct Enough(usize);

impl std::io::Write for Enough {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0 > READ_LEN_MAX {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Where an image is not empty: damage elsewhere shows nothing.
fn places(bytes: &[u8]) -> Vec<usize> {
    let used = bytes.chunks(512).enumerate();
    let used = used.filter(|(_, sector)| sector.iter().any(|byte| *byte != 0));
    used.map(|(index, _)| index * 512).collect()
}

fn damaged(bytes: &Arc<Vec<u8>>, places: &[usize], random: &mut Random) -> Arc<Memory> {
    let count = 1 + random.below(CHANGES_MAX);
    // Metadata lies at the start of most file systems: half of the damage goes there.
    let early = places.len().min(1 + places.len() / 16);
    let changes = (0..count).map(|_| {
        let places = if random.one_in(2) {
            &places[..early]
        } else {
            places
        };
        let at = places[random.below(places.len())] + random.below(512);
        (at.min(bytes.len() - 1), random.number() as u8)
    });
    let (bytes, changes) = (Arc::clone(bytes), changes.collect());
    Arc::new(Memory { bytes, changes })
}

/// Lists everything, reads every file, and restores some.
fn exercise(view: Arc<Memory>, round: usize) {
    let Ok(mut image) = Image::open(view, b"disk0/p1") else {
        return;
    };
    let mut paths = Vec::new();
    let _ = list(&mut image, &FolderPath::root(), true, &(), &mut |listed| {
        paths.push(listed.path.clone());
        Ok(())
    });
    for found in paths.iter().take(50) {
        let below = found
            .strip_prefix(b"disk0/p1/")
            .expect("paths begin with the name");
        let names = below.split(|byte| *byte == b'/');
        let path = names.fold(FolderPath::root(), |path, name| path.child(name));
        let _ = cat(&mut image, &path, &mut Enough(0));
    }
    if round.is_multiple_of(4) {
        let target = TempDir::new().expect("there is a temporary folder");
        let options = crate::operations::restore::RestoreOptions::default();
        let top = path("etc");
        let _ = restore(&mut image, &top, &target.path().join("out"), &options, &());
        let outside = target.path().read_dir().expect("it is there").count();
        assert!(outside <= 1, "nothing lands beside the target");
    }
}

fn assert_survives(bytes: Vec<u8>, seed: u64) {
    let places = places(&bytes);
    let bytes = Arc::new(bytes);
    for round in 0..rounds() {
        let mut random = Random::new(seed << 32 | round as u64);
        exercise(damaged(&bytes, &places, &mut random), round);
    }
}

#[test]
fn damaged_ext_costs_what_is_damaged() {
    if has_tool("mkfs.ext4") {
        for (options, seed) in [(&["-O", "^metadata_csum"][..], 1), (&["-t", "ext2"], 2)] {
            assert_survives(made::ext(&TempDir::new().unwrap(), options), seed);
        }
    }
}

#[test]
fn damaged_fat_costs_what_is_damaged() {
    if has_tool("mkfs.vfat") && has_tool("mcopy") {
        for (width, seed) in [("12", 3), ("16", 4), ("32", 5)] {
            assert_survives(fat::fat(&TempDir::new().unwrap(), width), seed);
        }
    }
}

#[test]
fn damaged_ntfs_costs_what_is_damaged() {
    if has_tool("mkfs.ntfs") && has_tool("ntfscp") {
        let files = [("small", vec![1; 300]), ("long", vec![2; 300_000])];
        assert_survives(made::ntfs(&TempDir::new().unwrap(), &files), 6);
    }
}

#[test]
fn damaged_btrfs_costs_what_is_damaged() {
    if has_tool("mkfs.btrfs") {
        assert_survives(made::btrfs(&TempDir::new().unwrap()), 7);
    }
}
