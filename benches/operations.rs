//! Whole operations on generated data beside their floors, in memory-backed folders: what the
//! engine costs beside the medium.

use std::error::Error;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use blockstore_benches::data::{Class, make_files};
use blockstore_benches::measure;

/// How much is generated, and how often it is measured.
struct Scale {
    large_len: usize,
    files: usize,
    rounds: usize,
}

const FULL: Scale = Scale {
    large_len: 256 << 20,
    files: 20_000,
    rounds: 3,
};
const TEST: Scale = Scale {
    large_len: 2 << 20,
    files: 100,
    rounds: 1,
};
const FILE_LEN: usize = 12 << 10;
/// Of a sparse volume, one part in so many is data.
const SPARSE_ONE_IN: usize = 16;

type Outcome = Result<(), Box<dyn Error>>;
type Make = fn(&Path, &Scale) -> Outcome;

const SOURCES: [(&str, Make); 6] = [
    ("many small files", |folder, scale| {
        Ok(make_files(folder, scale.files, FILE_LEN)?)
    }),
    ("a large file of text", |folder, scale| {
        large(folder, Class::Text, scale)
    }),
    ("a large file of numbers", |folder, scale| {
        large(folder, Class::Binary, scale)
    }),
    ("a large file of noise", |folder, scale| {
        large(folder, Class::Noise, scale)
    }),
    ("a large file, four times", |folder, scale| {
        let bytes = Class::Text.bytes(7, scale.large_len / 4);
        Ok((0..4).try_for_each(|copy| fs::write(folder.join(copy.to_string()), &bytes))?)
    }),
    ("a sparse volume", sparse),
];

fn main() -> Outcome {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let scale = if is_test { TEST } else { FULL };
    let wanted: Vec<_> = arguments
        .iter()
        .filter(|word| !word.starts_with('-'))
        .collect();
    let threads = std::thread::available_parallelism()?.get();
    let memory = Path::new("/dev/shm");
    let at = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    for (title, make) in SOURCES {
        if !wanted.is_empty() && !wanted.iter().any(|word| title.contains(word.as_str())) {
            continue;
        }
        let source = tempfile::tempdir_in(&at)?;
        make(source.path(), &scale)?;
        std::thread::sleep(Duration::from_millis(100)); // until its times can be believed
        measure::table(title, source.path(), &at, threads, scale.rounds)?;
    }
    Ok(())
}

fn large(folder: &Path, class: Class, scale: &Scale) -> Outcome {
    Ok(fs::write(
        folder.join("large"),
        class.bytes(5, scale.large_len),
    )?)
}

fn sparse(folder: &Path, scale: &Scale) -> Outcome {
    let part_len = scale.large_len / SPARSE_ONE_IN;
    let file = File::create(folder.join("volume"))?;
    file.set_len((scale.large_len * 4) as u64)?;
    for part in 0..4 {
        let bytes = Class::Binary.bytes(part, part_len);
        file.write_all_at(&bytes, part * scale.large_len as u64 + (1 << 20))?;
    }
    Ok(())
}
