//! Claims about images that real tools have made. A tool that is missing skips its test, and the
//! test says so.

mod damage;
mod ext;
mod fat;
mod made;
mod ntfs;
mod probes;
mod tables;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::*;
use crate::pipeline::ReadAt;
use crate::testing::random::Random;
use crate::testing::tiny_volumes::TinyVolume as Image;

impl Image {
    fn open(path: &Path) -> Self {
        Self(fs::read(path).unwrap())
    }

    fn layout(&self) -> DiskLayout {
        read_layout(self, self.0.len() as u64, None).unwrap()
    }

    /// All hints, none of which has a problem.
    fn hints(&self) -> Vec<u64> {
        let (hints, problems) = self.hints_and_problems();
        assert_eq!(problems, []);
        hints
    }

    fn hints_and_problems(&self) -> (Vec<u64>, Vec<HintProblem>) {
        let hints = Hints::collect(self, &self.layout(), &HintOptions::default()).unwrap();
        let offsets: Vec<_> = hints.iter().map(Result::unwrap).collect();
        assert!(offsets.is_sorted_by(|a, b| a < b), "ascending, each once");
        (offsets, hints.problems().to_vec())
    }
}

/// The only file system of the image is of this kind.
fn kind_of(image: &Image) -> Option<FileSystemKind> {
    image.layout().file_system.map(|found| found.kind)
}

#[expect(clippy::print_stderr, reason = "a test that proves nothing says so")]
fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

fn path_of(tool: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
    let mut paths = folders
        .into_iter()
        .map(|folder| Path::new(folder).join(tool));
    paths.find(|path| path.exists())
}

/// Whether all of these tools are there.
fn has_tools(tools: &[&str]) -> bool {
    let missing = tools.iter().find(|tool| path_of(tool).is_none());
    if let Some(tool) = missing {
        skip(&format!("no {tool}"));
    }
    missing.is_none()
}

/// Runs a tool with what it reads from its standard input; gives what it wrote.
fn run_with(tool: &str, arguments: &[&str], input: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let input_path = folder.path().join("input");
    fs::write(&input_path, input).unwrap();
    let output = Command::new(path_of(tool)?)
        .args(arguments)
        .stdin(File::open(input_path).unwrap())
        .stderr(Stdio::null())
        .env("MTOOLS_SKIP_CHECK", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(text)
}

#[track_caller]
fn run(tool: &str, arguments: &[&str]) -> String {
    let output = run_with(tool, arguments, "");
    output.unwrap_or_else(|| panic!("{tool} {arguments:?} failed"))
}

/// An empty image of so many bytes.
fn blank(folder: &TempDir, len: u64) -> PathBuf {
    let path = folder.path().join("image");
    File::create(&path).unwrap().set_len(len).unwrap();
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Names and contents: around lengths where formats change their mind.
fn samples(random: &mut Random) -> Vec<(String, Vec<u8>)> {
    let lens = [
        0, 1, 511, 513, 1023, 1024, 1025, 4095, 4096, 4097, 12_288, 12_289, 61_000, 300_001,
        1_500_000,
    ];
    let files = lens
        .into_iter()
        .map(|len| (format!("file{len}"), random.bytes(len)));
    files.collect()
}

/// Puts the samples into `files` and `files/inner` of a folder.
fn sample_folder(folder: &TempDir, samples: &[(String, Vec<u8>)]) -> PathBuf {
    let files = folder.path().join("files");
    fs::create_dir_all(files.join("inner/most")).unwrap();
    for (index, (name, bytes)) in samples.iter().enumerate() {
        let inner = ["", "inner", "inner/most"][index % 3];
        fs::write(files.join(inner).join(name), bytes).unwrap();
    }
    files
}

/// Each file's first bytes stand behind a hint, and its last ones in front of one: those of its last
/// sector, because a file may be in pieces.
#[track_caller]
fn assert_found(image: &Image, hints: &[u64], samples: &[(String, Vec<u8>)], shortest: usize) {
    for (name, bytes) in samples.iter().filter(|(_, bytes)| bytes.len() >= shortest) {
        let len = bytes.len().min(512);
        let begins = hints.iter().any(|hint| {
            image
                .0
                .get(*hint as usize..)
                .is_some_and(|rest| rest.starts_with(&bytes[..len]))
        });
        assert!(begins, "no hint where {name} begins");
        let tail = &bytes[(bytes.len() - 1) / 512 * 512..];
        let ends = |hint: &u64| image.0[..*hint as usize].ends_with(tail);
        assert!(hints.iter().any(ends), "no hint where {name} ends");
    }
}

/// The hints that one file should give: its length, and where its pieces lie in the file and on the
/// volume, in blocks.
fn expected(len: u64, block_len: u64, pieces: &[(u64, u64, u64)]) -> Vec<u64> {
    let mut merged: Vec<(u64, u64, u64)> = Vec::new();
    for (logical, physical, count) in pieces.iter().copied() {
        match merged.last_mut() {
            Some(last) if last.0 + last.2 == logical && last.1 + last.2 == physical => {
                last.2 += count;
            }
            _ => merged.push((logical, physical, count)),
        }
    }
    let mut cuts = Vec::new();
    for (logical, physical, count) in merged {
        let (start, end) = (logical * block_len, (logical + count) * block_len);
        if start < len {
            cuts.push(physical * block_len);
        }
        if start < len && len <= end {
            cuts.push(physical * block_len + len - start);
            cuts.push(physical * block_len + (len - start).next_multiple_of(block_len));
        }
    }
    cuts
}

#[track_caller]
fn assert_same_cuts(hints: &[u64], mut expected: Vec<u64>) {
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(hints, expected);
}

/// Overwrites a piece of a file.
fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(bytes, offset).unwrap();
}
