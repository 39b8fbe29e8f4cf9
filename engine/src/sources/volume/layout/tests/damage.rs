//! Damaged images: reading them ends, within bounds, and gives the same every time.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::testing::tiny_volumes;

/// How often each image is damaged anew.
const ROUNDS: usize = 300;

/// Counts what is read of an image, of which some bytes are changed.
struct Damaged<'i> {
    image: &'i Image,
    changes: Vec<(usize, u8)>,
    read_bytes: AtomicU64,
}

impl ReadAt for Damaged<'_> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.image.read_at(offset, buffer)?;
        self.read_bytes.fetch_add(len as u64, Ordering::Relaxed);
        for (at, change) in &self.changes {
            let inner = (*at as u64).checked_sub(offset).map(|inner| inner as usize);
            if let Some(byte) = inner.and_then(|inner| buffer[..len].get_mut(inner)) {
                *byte ^= change;
            }
        }
        Ok(len)
    }
}

/// Where an image is not empty: damage elsewhere shows little.
fn places(image: &Image) -> Vec<usize> {
    let used = image.0.chunks(512).enumerate();
    let used = used.filter(|(_, sector)| sector.iter().any(|byte| *byte != 0));
    used.map(|(index, _)| index * 512).collect()
}

fn assert_bounded(image: &Image, places: &[usize], rounds: usize, seed: u64) {
    let mut random = Random::new(seed);
    let len = image.0.len() as u64;
    for _ in 0..rounds {
        let changes = (0..=random.below(6)).map(|_| {
            let at = places[random.below(places.len())] + random.below(512);
            let change = [1, 2, 0x10, 0x40, 0x80, 0xff][random.below(6)];
            (at.min(image.0.len() - 1), change)
        });
        let changes = changes.collect();
        let damaged = Damaged {
            image,
            changes,
            read_bytes: AtomicU64::new(0),
        };
        let layout = read_layout(&damaged, len, None).unwrap();
        let options = HintOptions {
            memory_bytes: 1 << 20,
            ..HintOptions::default()
        };
        let hints = Hints::collect(&damaged, &layout, &options).unwrap();
        let offsets: Vec<_> = hints.iter().map(Result::unwrap).collect();
        assert!(offsets.is_sorted_by(|a, b| a < b) && offsets.last().is_none_or(|end| *end <= len));
        let read_bytes = damaged.read_bytes.load(Ordering::Relaxed);
        assert!(read_bytes < 3 * len + (32 << 20), "{read_bytes}");
        let again = Hints::collect(&damaged, &layout, &options).unwrap();
        assert!(again.iter().map(Result::unwrap).eq(offsets));
        assert_eq!(again.problems(), hints.problems());
    }
}

#[test]
fn damaged_volumes_that_were_made_by_hand_are_read_within_bounds() {
    for (seed, image) in tiny_volumes::all().into_iter().enumerate() {
        let image = Image(image);
        assert_bounded(&image, &places(&image), 4 * ROUNDS, seed as u64);
    }
}

/// What a tool makes of an image, with the samples in it.
fn made(tool: &str, arguments: &str, mib: u64) -> Option<Image> {
    if !has_tools(&[tool, "mcopy", "ntfscp"]) {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(&mut Random::new(mib));
    let files = sample_folder(&folder, &samples);
    let path = blank(&folder, mib << 20);
    let arguments = arguments.replace("FILES", text(&files));
    let mut arguments: Vec<_> = arguments.split(' ').collect();
    arguments.push(text(&path));
    run(tool, &arguments);
    match tool {
        "mkfs.vfat" => {
            run("mcopy", &["-s", "-i", text(&path), text(&files), "::"]);
        }
        "mkfs.ntfs" => {
            for (name, _) in samples.iter().skip(3).step_by(3) {
                run(
                    "ntfscp",
                    &["-f", text(&path), text(&files.join(name)), name],
                );
            }
        }
        _ => {}
    }
    Some(Image::open(&path))
}

#[test]
fn damaged_images_of_real_tools_are_read_within_bounds() {
    let images = [
        ("mkfs.ext4", "-q -F -b 1024 -d FILES", 6),
        ("mkfs.ext4", "-q -F -b 1024 -t ext2 -d FILES", 6),
        ("mkfs.vfat", "-F 16 -s 1", 6),
        ("mkfs.vfat", "-F 32 -s 1", 36),
        ("mkfs.ntfs", "-FQq", 6),
    ];
    for (tool, arguments, mib) in images {
        let Some(image) = made(tool, arguments, mib) else {
            continue;
        };
        assert!(image.hints().len() > 5);
        // Contents are random bytes: metadata has zeros in every sector.
        let mut places = places(&image);
        places.retain(|at| {
            image.0[*at..*at + 512]
                .iter()
                .filter(|byte| **byte == 0)
                .count()
                > 16
        });
        assert_bounded(&image, &places, ROUNDS, mib);
    }
}
