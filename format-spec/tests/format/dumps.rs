//! The dumps of FORMAT.md are the vectors that they name, byte for byte.
//!
//! A dump is a fenced block `hex <claim>`; its lines are an offset, bytes (or `...` up to the next offset) and
//! what they are.

use blockstore_format_spec::vectors;
use std::collections::BTreeMap;

const FORMAT: &str = include_str!("../../FORMAT.md");

/// Claim and lines of every dump.
fn dumps() -> Vec<(&'static str, Vec<&'static str>)> {
    let blocks = FORMAT.split("```hex ").skip(1);
    blocks
        .map(|block| {
            let (claim, rest) = block.split_once('\n').expect("a block has lines");
            let (lines, _) = rest.split_once("```").expect("a block has an end");
            (claim, lines.lines().collect())
        })
        .collect()
}

/// Offset and bytes of a line; nothing where they are left out.
fn parse(line: &str) -> (usize, Option<Vec<u8>>) {
    let (offset, rest) = line.split_once("  ").expect("an offset and bytes");
    let offset = usize::from_str_radix(offset, 16).expect("an offset in hex");
    let bytes = rest.split_once("  ").map_or(rest, |(bytes, _)| bytes);
    let byte = |pair| u8::from_str_radix(pair, 16).expect("a byte in hex");
    let is_left_out = bytes == "...";
    (
        offset,
        (!is_left_out).then(|| bytes.split(' ').map(byte).collect()),
    )
}

#[test]
fn every_dump_in_the_description_is_the_vector_it_names() {
    let vectors = vectors::all().expect("the vectors can be read");
    let by_claim: BTreeMap<_, _> = vectors.iter().map(|v| (v.claim.as_str(), v)).collect();
    let dumps = dumps();
    assert!(dumps.len() >= 10, "only {} dumps", dumps.len());
    for (claim, lines) in dumps {
        let bytes = &by_claim[claim].bytes;
        assert_eq!(by_claim[claim].expect, None, "{claim} is valid");
        let mut end = 0;
        let mut is_open = false;
        for line in lines {
            let (offset, shown) = parse(line);
            assert!(offset == end || is_open, "{claim}: a gap before {line}");
            is_open = shown.is_none();
            let shown = shown.unwrap_or_default();
            end = offset + shown.len();
            assert_eq!(bytes.get(offset..end), Some(&shown[..]), "{claim}: {line}");
        }
        assert!(end == bytes.len() || is_open, "{claim} goes on after {end}");
    }
}
