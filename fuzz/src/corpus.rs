//! Writes `corpus/TARGET/*`: the engine's own valid encodings, and the vectors of the format.
//!
//! Files of earlier runs that the fuzzer found stay.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use blockstore::testing::seeds;

/// Targets that take the bytes of a vector of this kind.
fn targets_of(kind: &str) -> &'static [&'static str] {
    match kind {
        "config" => &["config"],
        "slot" => &["slot"],
        "header" => &["header"],
        "object" | "blocks" => &["sealed_object"],
        "table" => &["table"],
        "run" => &["index_run"],
        "snapshot" => &["snapshot"],
        "intent" => &["intent"],
        "tombstone" => &["tombstone"],
        "protection" => &["protection"],
        "boot" => &["boot"],
        "plan" | "seal" => &["prune_record"],
        "tree" => &["tree_leaf", "tree_inner", "page_head"],
        "scan" => &["scan_leaf", "scan_inner", "page_head"],
        "extents" => &["extents_leaf", "extents_inner", "page_head"],
        "cuts" => &["cuts_leaf", "cuts_inner", "page_head"],
        _ => &[],
    }
}

/// Writes all of it.
pub fn write_all() -> io::Result<()> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (index, (target, bytes)) in seeds::all().into_iter().enumerate() {
        write(fuzz, target, &format!("seed-{index:04}"), &bytes)?;
    }
    for file in vectors(&fuzz.join("../format-spec/vectors"))? {
        let bytes = fs::read(&file)?;
        let Some((head, body)) = split_vector(&bytes) else {
            let name = file.display();
            return Err(io::Error::other(format!(
                "{name}: no blank line behind the head"
            )));
        };
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        for target in targets_of(value(&head, "kind").unwrap_or_default()) {
            write(fuzz, target, &name, &input_of(target, &head, body))?;
        }
    }
    Ok(())
}

fn vectors(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let files = fs::read_dir(folder)?.map(|file| file.map(|file| file.path()));
    let mut files = files.collect::<io::Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "vec"));
    files.sort();
    Ok(files)
}

fn write(fuzz: &Path, target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = fuzz.join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}

/// The lines of the head, and the bytes behind the blank line.
fn split_vector(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    Some((head, &bytes[end + 2..]))
}

fn value<'h>(head: &'h str, key: &str) -> Option<&'h str> {
    head.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
}

/// A table needs two facts in front of it; everything else is taken as it is.
fn input_of(target: &str, head: &str, body: &[u8]) -> Vec<u8> {
    if target != "table" {
        return body.to_vec();
    }
    let is_pack = value(head, "name").is_some_and(|name| name.starts_with("packs/"));
    let offset = value(head, "context").and_then(|text| text.strip_prefix("table offset "));
    let offset: u64 = offset
        .and_then(|text| text.parse().ok())
        .unwrap_or_default();
    [&[u8::from(is_pack)], offset.to_le_bytes().as_slice(), body].concat()
}
