//! Lists as the tools write them, and lists as nobody should.

use proptest::prelude::*;

use super::*;

const LEN: u64 = 8 << 20;
const BLOCK: u64 = 65_536;

/// Written by `qemu-img map --output=json` of an overlay, but for the breaks: data at 512 KiB,
/// zeros at 2 MiB.
const QEMU_IMG: &str = r#"[{ "start": 0, "length": 524288, "depth": 1, "present": true, "zero": false,
 "data": true, "compressed": false, "offset": 327680},
{ "start": 524288, "length": 65536, "depth": 0, "present": true, "zero": false,
 "data": true, "compressed": false, "offset": 458752},
{ "start": 589824, "length": 1507328, "depth": 1, "present": true, "zero": false,
 "data": true, "compressed": false, "offset": 917504},
{ "start": 2097152, "length": 65536, "depth": 0, "present": true, "zero": true,
 "data": false, "compressed": false},
{ "start": 2162688, "length": 6225920, "depth": 0, "present": false, "zero": true,
 "data": false, "compressed": false}]
"#;

/// Written by `nbdinfo --map=CONTEXT --json` of the same image, for three contexts.
const DIRTY: &str = r#"[
{ "offset": 0, "length": 524288, "type": 0, "description": "clean"},
{ "offset": 524288, "length": 65536, "type": 1, "description": "dirty"},
{ "offset": 589824, "length": 7798784, "type": 0, "description": "clean"}
]

"#;
const DEPTH: &str = r#"[
{ "offset": 0, "length": 524288, "type": 2, "description": "backing depth 2"},
{ "offset": 524288, "length": 65536, "type": 1, "description": "local"},
{ "offset": 589824, "length": 7798784, "type": 0, "description": "absent"}
]"#;
const ALLOCATION: &str = r#"[
{ "offset": 0, "length": 524288, "type": 3, "description": "hole,zero"},
{ "offset": 524288, "length": 32768, "type": 0, "description": "data"},
{ "offset": 557056, "length": 32768, "type": 2, "description": "zero"},
{ "offset": 589824, "length": 7798784, "type": 1, "description": "hole"}
]"#;

fn read(text: &str) -> Result<ChangedRanges> {
    ChangedRanges::read(text.as_bytes(), LEN)
}

fn nbdinfo(at: u64, len: u64, state: u64, description: &str) -> String {
    format!(
        r#"{{"offset": {at}, "length": {len}, "type": {state}, "description": "{description}"}}"#
    )
}

fn dirty(at: u64, len: u64) -> String {
    nbdinfo(at, len, 1, "dirty")
}

#[track_caller]
fn assert_refused(text: &str, expected: &str) {
    let error = read(text).expect_err(text);
    let line = error.to_string();
    assert!(
        line.contains(expected) && !line.contains('\n'),
        "{text}: {line}"
    );
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{line}");
}

#[test]
fn an_overlay_has_changed_where_it_holds_something_itself() {
    let found = read(QEMU_IMG).expect("a list");
    // What is allocated nowhere may have been discarded.
    let expected = [524_288..524_288 + BLOCK, 2_097_152..LEN];
    assert_eq!(found.ranges, expected);
    assert_eq!(found.kind, Some(ListKind::QemuImgMap));
    assert_eq!(found.entries, 5);
}

#[test]
fn lists_of_nbdinfo_say_what_they_are_about() {
    let lists = [
        (DIRTY, ListKind::DirtyBitmap, 524_288..524_288 + BLOCK),
        (DEPTH, ListKind::AllocationDepth, 524_288..LEN),
        (ALLOCATION, ListKind::Allocation, 0..LEN),
    ];
    for (text, kind, range) in lists {
        let found = read(text).expect("a list");
        assert_eq!(found.kind, Some(kind));
        assert_eq!(found.ranges, std::slice::from_ref(&range));
    }
    let nothing = read("[]").expect("an empty list");
    assert_eq!(
        (nothing.kind, nothing.ranges.len(), nothing.entries),
        (None, 0, 0)
    );
}

#[test]
fn entries_may_be_unsorted_overlap_repeat_and_be_empty() {
    let entries = [
        (4096, 4096),
        (0, 512),
        (6000, 4000),
        (4096, 4096),
        (512, 512),
        (9, 0),
    ];
    let entries = entries.map(|(at, len)| dirty(at, len)).join(",");
    let found = read(&format!("[{entries}]")).expect("a list");
    assert_eq!(found.ranges, [0..1024, 4096..10_000]);
}

#[test]
fn an_entry_that_is_wrong_is_named() {
    let with = |entry: &str| format!("[{}, {entry}]", dirty(0, 512));
    for (entry, expected) in [
        (
            dirty(LEN - 1, 2),
            "entry 1: 8388607 to 8388609 is not within the volume of 8388608",
        ),
        (dirty(u64::MAX, 2), "entry 1: ends beyond 64 bits"),
        (
            nbdinfo(0, 1, 0, "dirty"),
            "entry 1: is called \"dirty\" and has the type 0",
        ),
        (
            nbdinfo(0, 1, 1, "data"),
            "entry 1: is called \"data\" and has the type 1",
        ),
        (
            nbdinfo(0, 1, 0, "pink"),
            "entry 1: has a description that is not known",
        ),
        (
            nbdinfo(0, 1, 0, "data"),
            "entry 1: is of another kind of list",
        ),
        (
            r#"{"start": 0, "length": 1}"#.into(),
            "entry 1: has no depth",
        ),
        (
            r#"{"start": 0, "depth": 0}"#.into(),
            "entry 1: has no length",
        ),
        (
            r#"{"offset": 0, "length": 1}"#.into(),
            "entry 1: has no type",
        ),
        (
            r#"{"offset": 0, "length": 1, "type": 1}"#.into(),
            "entry 1: has no description",
        ),
        ("{}".into(), "entry 1: has neither start nor offset"),
        ("7".into(), "entry 1: it is not an object"),
        (
            dirty(0, 1).replace("\"length\": 1", "\"length\": -1"),
            "entry 1: a value is neither",
        ),
        (
            dirty(0, 1).replace("\"length\": 1", "\"length\": 1.5"),
            "entry 1: a number is not whole",
        ),
        (
            dirty(0, 1).replace("\"length\": 1", "\"length\": 1e9"),
            "entry 1: a number is not whole",
        ),
        (
            dirty(0, 1).replace("\"length\": 1", "\"length\": true"),
            "of another type",
        ),
        (
            dirty(0, 1).replace("\"length\": 1", "\"length\": 18446744073709551616"),
            "64 bits",
        ),
        (
            dirty(0, 1).replace("\"type\"", "\"offset\""),
            "entry 1: a field occurs twice",
        ),
        (
            dirty(0, 1).replace(":", ""),
            "entry 1: a field has no value",
        ),
        (
            dirty(0, 1).replace("\"length\": 1,", "\"length\": tru,"),
            "neither true, false nor null",
        ),
        (
            dirty(0, 1).replace("dirty\"", "dirty\\\""),
            "entry 1: a text does not end",
        ),
        ("{\"x\": [1]}".into(), "entry 1: a value is neither"),
    ] {
        assert_refused(&with(&entry), expected);
    }
}

#[test]
fn what_is_not_a_list_is_refused() {
    let first = dirty(0, 1);
    for (text, expected) in [
        (String::new(), "entry 0: it does not begin with ["),
        ("{}".to_owned(), "entry 0: it does not begin with ["),
        ("[".to_owned(), "entry 0: it is not an object"),
        ("[,{}]".to_owned(), "entry 0: it is not an object"),
        (format!("[{first}"), "entry 1: neither , nor ] follows"),
        (
            format!("[{first} {first}]"),
            "entry 1: neither , nor ] follows",
        ),
        (format!("[{first},]"), "entry 1: it is not an object"),
        (format!("[{first}] x"), "entry 1: something follows"),
        (DIRTY[..90].to_owned(), "entry 1: "),
    ] {
        assert_refused(&text, expected);
    }
}

#[test]
fn fields_that_are_not_known_are_passed_over() {
    let entry = r#"{"new": "a \"b\" \u00e9 \\", "start": 5, "x": null, "y": false, "length": 3, "depth": 0}"#;
    assert_eq!(
        read(&format!("[{entry}]")).expect("a list").ranges,
        std::slice::from_ref(&(5..8))
    );
}

#[test]
fn an_entry_without_an_end_takes_no_memory() {
    for endless in ["x", " ", "\\"] {
        let text = format!("[{{\"description\": \"{}\"}}]", endless.repeat(10 << 20));
        assert_refused(&text, "entry 0: it is longer than 65536 bytes");
    }
    assert_refused(
        &format!("[{{\"x\": {}", "[".repeat(60_000)),
        "entry 0: a value is neither",
    );
}

#[test]
fn a_list_that_cannot_be_read_is_not_an_empty_one() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("broken"))
        }
    }
    let error = ChangedRanges::read(Broken, LEN).expect_err("broken");
    assert_eq!(error.kind(), ErrorKind::Io);
}

#[test]
fn a_million_entries_are_read() {
    let mut text = String::from("[");
    for at in 0..1_000_000_u64 {
        let comma = if at == 0 { "" } else { "," };
        text.push_str(comma);
        text.push_str(&dirty(at * 1024, 512));
    }
    text.push(']');
    let found = ChangedRanges::read(text.as_bytes(), 1_000_000 * 1024).expect("a list");
    assert_eq!((found.entries, found.ranges.len()), (1_000_000, 1_000_000));
}

proptest! {
    #[test]
    fn a_list_holds_the_dirty_ranges_and_nothing_else(
        entries in prop::collection::vec((0u64..500, 0u64..50, any::<bool>()), 0..60)
    ) {
        let state = |dirty| if dirty { (1, "dirty") } else { (0, "clean") };
        let texts = entries.iter().map(|&(at, len, dirty)| {
            let (state, description) = state(dirty);
            nbdinfo(at, len, state, description)
        });
        let text = format!("[{}]", texts.collect::<Vec<_>>().join(",\n"));
        let found = read(&text).expect("a list").ranges;
        for at in 0..600 {
            let is_dirty = entries.iter().any(|&(s, l, d)| d && (s..s + l).contains(&at));
            prop_assert_eq!(found.iter().any(|range| range.contains(&at)), is_dirty);
        }
    }
}
