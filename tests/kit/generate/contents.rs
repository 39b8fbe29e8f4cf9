//! Regular files: lengths around every boundary of the chunker, kinds of bytes, holes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Maker;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Chunk minimum, mean and maximum, the frame and the segment that a thread takes.
const BOUNDARIES: [usize; 5] = [16 * KIB, 64 * KIB, 256 * KIB, 512 * KIB, 8 * MIB];

/// Blocks of common file systems are no longer than this, so holes of this grain stay holes.
const BLOCK: u64 = 4096;

pub(super) fn make(maker: &mut Maker) -> io::Result<()> {
    lengths(maker)?;
    kinds(maker)?;
    holes(maker)
}

fn lengths(maker: &Maker) -> io::Result<()> {
    let folder = maker.folder("lengths")?;
    let around = BOUNDARIES.iter().flat_map(|len| [len - 1, *len, len + 1]);
    for len in [0, 1].into_iter().chain(around) {
        let name = len.to_string();
        std::fs::write(folder.join(&name), maker.random(&name, len))?;
    }
    Ok(())
}

fn kinds(maker: &Maker) -> io::Result<()> {
    let folder = maker.folder("kinds")?;
    let period = (0..3 * MIB).map(|at| (at % 251) as u8).collect();
    let files = [
        ("random", maker.random("kinds", 3 * MIB)),
        ("text", text(&maker.random("text", 600 * KIB))),
        ("zeros", vec![0; 3 * MIB]),
        ("period", period),
    ];
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

fn text(choices: &[u8]) -> Vec<u8> {
    const WORDS: [&str; 8] = [
        "block ", "store ", "of ", "chunks, ", "and ", "every ", "page\n", "again ",
    ];
    let words = choices.iter().map(|&choice| WORDS[usize::from(choice % 8)]);
    words.collect::<String>().into_bytes()
}

/// What is written where, in a file of so many bytes; the rest is holes.
struct Sparse {
    name: &'static str,
    len: u64,
    data: Vec<(u64, usize)>,
}

fn holes(maker: &Maker) -> io::Result<()> {
    let folder = maker.folder("holes")?;
    for sparse in sparse_files() {
        let file = File::create(folder.join(sparse.name))?;
        file.set_len(sparse.len)?;
        for (offset, len) in sparse.data {
            let label = format!("{} {offset}", sparse.name);
            file.write_all_at(&maker.random(&label, len), offset)?;
        }
    }
    zeros_beside_holes(&File::create(folder.join("zeros beside holes"))?)
}

fn sparse_files() -> Vec<Sparse> {
    let sparse = |name, len, data| Sparse { name, len, data };
    let mib = MIB as u64;
    let every_third_block = |count: u64| (0..count).map(|n| (n * 3 * BLOCK, BLOCK as usize));
    vec![
        sparse("leading", mib, vec![(mib - 16 * BLOCK, 64 * KIB)]),
        sparse("trailing", mib, vec![(0, 64 * KIB)]),
        sparse("both", 3 * mib, vec![(mib, 256 * KIB)]),
        sparse("only", mib, vec![]),
        sparse("only, odd", mib + 1, vec![]),
        sparse("one byte at the end", mib, vec![(mib - 1, 1)]),
        sparse("tail in a block", mib, vec![(0, 100)]),
        // An entry holds 16 extents itself; more of them are a tree of pages.
        sparse("8 runs", 24 * BLOCK, every_third_block(8).collect()),
        sparse("9 runs", 27 * BLOCK, every_third_block(9).collect()),
        sparse("700 runs", 2100 * BLOCK, every_third_block(700).collect()),
        sparse("large", 64 * mib, vec![(33 * mib, 5)]),
    ]
}

/// Zeros that were written read like a hole, and are none.
fn zeros_beside_holes(file: &File) -> io::Result<()> {
    let quarter = vec![0; 64 * KIB];
    file.set_len(6 * quarter.len() as u64)?;
    file.write_all_at(&quarter, 0)?;
    file.write_all_at(&quarter, 2 * quarter.len() as u64)?;
    file.write_all_at(&[1; 100], 3 * quarter.len() as u64)?;
    file.write_all_at(&quarter, 5 * quarter.len() as u64)
}
