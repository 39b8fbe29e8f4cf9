//! Vectors of the payloads of index runs, snapshots and intents.

use crate::encode::payload;
use crate::encode::payload::Cbor;
use crate::encode::payload::Run;
use crate::encode::payload::text;
use crate::encode::payload::with;
use crate::make::LIMIT;
use crate::make::MALFORMED;
use crate::make::Set;
use crate::make::TRUNCATED;
use crate::make::VALID;
use crate::make::sealed::SESSION_HEX;

pub(crate) fn all() -> Vec<Set> {
    vec![
        run(),
        snapshot(),
        snapshot_root(),
        snapshot_volume(),
        intent(),
    ]
}

fn run() -> Set {
    let mut set = Set::new("run", &format!("index/{SESSION_HEX}-00000001"), "");
    let edited = |edit: fn(&mut Run)| {
        let mut run = Run::new();
        edit(&mut run);
        run.encode()
    };
    let valid = edited(|_| ());
    set.add(
        "valid",
        VALID,
        "one pack, one frame, two entries",
        valid.clone(),
    );
    set.add("empty", VALID, "no entries", edited(|r| r.entries.clear()));
    set.add(
        "meta",
        VALID,
        "a pack of pages",
        edited(|r| r.pack_class = 2),
    );
    set.add(
        "equal_ids",
        VALID,
        "equal ids are legal",
        edited(|r| r.entries[1].0 = [1; 32]),
    );
    set.add(
        "replaced",
        VALID,
        "older runs that this one repeats",
        edited(|r| r.replaced.push(([6; 16], 3))),
    );
    set.add(
        "session",
        MALFORMED,
        "another session than the name",
        edited(|r| r.session[0] ^= 1),
    );
    set.add(
        "number",
        MALFORMED,
        "another number than the name",
        edited(|r| r.number = 2),
    );
    set.add(
        "reserved",
        MALFORMED,
        "a reserved byte is 1",
        edited(|r| r.reserved[7] = 1),
    );
    set.add(
        "pack_class",
        MALFORMED,
        "class 3",
        edited(|r| r.pack_class = 3),
    );
    set.add(
        "pack_reserved",
        MALFORMED,
        "a reserved byte of a pack is 1",
        edited(|r| r.pack_reserved[0] = 1),
    );
    set.add(
        "frame_pack",
        MALFORMED,
        "a frame of a pack that is not there",
        edited(|r| r.frame_pack = 1),
    );
    set.add(
        "frame_origin",
        MALFORMED,
        "a frame of an origin that is not there",
        edited(|r| r.frame_origin = 1),
    );
    set.add(
        "frame_plain_len_limit",
        LIMIT,
        "plain_len is 16.5 MiB and 1 byte",
        edited(|r| r.frame_plain_len = 17_301_505),
    );
    set.add(
        "frame_codec",
        MALFORMED,
        "codec 2 is reserved",
        edited(|r| r.frame_codec = 2),
    );
    set.add(
        "frame_reserved",
        MALFORMED,
        "a reserved byte of a frame is 1",
        edited(|r| r.frame_reserved[6] = 1),
    );
    set.add(
        "entries_descend",
        MALFORMED,
        "ids descend",
        edited(|r| r.entries.swap(0, 1)),
    );
    set.add(
        "offsets_descend",
        MALFORMED,
        "equal ids, offsets descend",
        edited(|r| {
            r.entries = vec![([1; 32], 0, 10, 5), ([1; 32], 0, 0, 5)];
        }),
    );
    set.add(
        "entry_twice",
        MALFORMED,
        "one place twice, of two lengths",
        edited(|r| {
            r.entries = vec![([1; 32], 0, 0, 5), ([1; 32], 0, 0, 6)];
        }),
    );
    set.add(
        "entry_empty",
        MALFORMED,
        "an entry of no bytes",
        edited(|r| r.entries[0].3 = 0),
    );
    set.add(
        "frame_stored_len",
        MALFORMED,
        "a frame of codec 0 is not as long as it says",
        edited(|r| r.frame_plain_len = 31),
    );
    set.add(
        "entry_frame",
        MALFORMED,
        "an entry of a frame that is not there",
        edited(|r| r.entries[1].1 = 1),
    );
    set.add(
        "entry_end",
        MALFORMED,
        "an entry ends beyond its frame",
        edited(|r| r.entries[1].3 = 21),
    );
    set.add(
        "entry_wraps",
        MALFORMED,
        "the end of an entry wraps around",
        edited(|r| r.entries[1].2 = u32::MAX),
    );
    set.add(
        "entries_limit",
        LIMIT,
        "a count of 1,048,577 entries; none need follow",
        edited(|r| {
            r.counts = Some([1, 1, 1, 1_048_577, 0]);
        }),
    );
    set.add_ends(TRUNCATED, "the last entry ends early", &valid);
    set
}

fn commit_with(key: u64, value: Option<Cbor>) -> Vec<u8> {
    Cbor::Map(with(payload::commit(payload::vector_root()), key, value)).encode()
}

fn snapshot_set() -> Set {
    Set::new("snapshot", &format!("snapshots/{SESSION_HEX}"), "")
}

fn snapshot() -> Set {
    let mut set = snapshot_set();
    let valid = Cbor::Map(payload::commit(payload::vector_root())).encode();
    set.add(
        "valid",
        VALID,
        "folders, one root, one problem, a time before 1970",
        valid.clone(),
    );
    set.add(
        "parent",
        VALID,
        "with a parent",
        commit_with(9, Some(Cbor::Bytes(vec![5; 16]))),
    );
    set.add(
        "unknown_key",
        VALID,
        "an unknown key is ignored",
        commit_with(40, Some(Cbor::Uint(1))),
    );
    let no_tags = commit_with(7, Some(Cbor::Array(vec![])));
    set.add("no_tags", VALID, "no tags", no_tags);
    set.add(
        "session",
        MALFORMED,
        "another session than the name",
        commit_with(0, Some(Cbor::Bytes(vec![1; 16]))),
    );
    set.add(
        "no_root",
        MALFORMED,
        "no roots",
        commit_with(2, Some(Cbor::Array(vec![]))),
    );
    set.add(
        "parent_len",
        MALFORMED,
        "a parent of 15 bytes",
        commit_with(9, Some(Cbor::Bytes(vec![5; 15]))),
    );
    let uint = |key, value| commit_with(key, Some(Cbor::Uint(value)));
    set.add("kind_0", MALFORMED, "kind 0", uint(1, 0));
    set.add("kind_4", MALFORMED, "kind 4", uint(1, 4));
    set.add(
        "tracking_5",
        MALFORMED,
        "a fifth way to find changes",
        uint(10, 5),
    );
    set.add("consistency_0", MALFORMED, "consistency 0", uint(12, 0));
    set.add("consistency_6", MALFORMED, "consistency 6", uint(12, 6));
    set.add(
        "base_wide",
        MALFORMED,
        "a base of 33 bits",
        uint(16, 1 << 32),
    );
    set.add("base_absent", MALFORMED, "no base", commit_with(16, None));
    set.add(
        "sequence_greatest",
        VALID,
        "the greatest sequence",
        uint(17, u64::MAX),
    );
    set.add(
        "sequence_absent",
        MALFORMED,
        "no sequence",
        commit_with(17, None),
    );
    set.add(
        "sequence_type",
        MALFORMED,
        "a sequence below 0",
        commit_with(17, Some(Cbor::Negative(0))),
    );
    let time = |nanoseconds| {
        let time = vec![(0, Cbor::Uint(5)), (1, Cbor::Uint(nanoseconds))];
        commit_with(3, Some(Cbor::Map(time)))
    };
    set.add(
        "begun_latest",
        VALID,
        "the last nanosecond",
        time(999_999_999),
    );
    set.add(
        "begun_limit",
        MALFORMED,
        "a second of nanoseconds",
        time(1_000_000_000),
    );
    let tags = |a, b| commit_with(7, Some(Cbor::Array(vec![text(a), text(b)])));
    set.add("tags_descend", MALFORMED, "tags descend", tags("b", "a"));
    let many = vec![text("t"); 65_537];
    let many = commit_with(7, Some(Cbor::Array(many)));
    set.add("tags_limit", LIMIT, "a list of 65,537 items", many);
    set.add("tag_twice", MALFORMED, "a tag twice", tags("a", "a"));
    set.add("host_absent", MALFORMED, "no host", commit_with(5, None));
    set.add(
        "host_type",
        MALFORMED,
        "a host of bytes",
        commit_with(5, Some(Cbor::Bytes(vec![b'h']))),
    );
    set.add(
        "totals_type",
        MALFORMED,
        "totals are not a map",
        commit_with(15, Some(Cbor::Uint(1))),
    );
    set.add(
        "problem_type",
        MALFORMED,
        "a problem is not a map",
        commit_with(13, Some(Cbor::Array(vec![Cbor::Uint(1)]))),
    );
    set.add_ends(
        MALFORMED,
        "the payload ends early, the envelope did not",
        &valid,
    );
    set
}

fn snapshot_root() -> Set {
    let mut set = snapshot_set();
    let root =
        |key, value| Cbor::Map(payload::commit(with(payload::vector_root(), key, value))).encode();
    set.add(
        "root_volume",
        VALID,
        "a root of extents",
        root(1, Some(Cbor::Uint(3))),
    );
    let scan = with(payload::vector_root(), 6, Some(Cbor::Bytes(vec![8; 32])));
    let scan = payload::commit(with(scan, 7, Some(Cbor::Uint(0))));
    set.add(
        "root_scan",
        VALID,
        "a root with its scan",
        Cbor::Map(scan).encode(),
    );
    set.add(
        "root_level_40",
        VALID,
        "the highest level",
        root(3, Some(Cbor::Uint(40))),
    );
    set.add(
        "root_type",
        MALFORMED,
        "a root of scan pages",
        root(1, Some(Cbor::Uint(2))),
    );
    set.add(
        "root_page_len",
        MALFORMED,
        "a page id of 31 bytes",
        root(2, Some(Cbor::Bytes(vec![7; 31]))),
    );
    set.add(
        "root_level_limit",
        LIMIT,
        "level 41",
        root(3, Some(Cbor::Uint(41))),
    );
    set.add(
        "root_level_wide",
        LIMIT,
        "a level of 9 bits",
        root(3, Some(Cbor::Uint(256))),
    );
    set.add(
        "root_bytes_limit",
        LIMIT,
        "2^62 bytes",
        root(5, Some(Cbor::Uint(1 << 62))),
    );
    set.add(
        "root_name_limit",
        LIMIT,
        "a name of 65,537 bytes",
        root(0, Some(Cbor::Bytes(vec![b'n'; 65_537]))),
    );
    set.add(
        "root_half_scan",
        MALFORMED,
        "a level without a scan page",
        root(7, Some(Cbor::Uint(0))),
    );
    set.add("root_bytes_absent", MALFORMED, "no bytes", root(5, None));
    set.add(
        "root_origin_limit",
        LIMIT,
        "an origin of 65,537 bytes",
        root(8, Some(Cbor::Bytes(vec![b'n'; 65_537]))),
    );
    set.add(
        "root_tree_volume",
        MALFORMED,
        "a tree that is described as a volume",
        root(9, Some(Cbor::Map(payload::volume()))),
    );
    set
}

fn snapshot_volume() -> Set {
    let mut set = snapshot_set();
    let of = |volume| {
        let commit = payload::commit(payload::vector_volume(volume));
        Cbor::Map(with(commit, 1, Some(Cbor::Uint(2)))).encode()
    };
    let volume = |key, value| of(with(payload::volume(), key, value));
    let partition = |key, value| {
        let partition = with(payload::partition(), key, value);
        volume(8, Some(Cbor::Map(payload::layout(partition))))
    };
    let medium = |key, value| {
        let medium = with(payload::medium(), key, value);
        volume(7, Some(Cbor::Map(medium)))
    };
    set.add(
        "volume_valid",
        VALID,
        "a disk with one partition and an ext4 on it",
        of(payload::volume()),
    );
    let plain = with(with(payload::volume(), 2, None), 3, None);
    set.add("volume_no_cuts", VALID, "without cuts", of(plain));
    set.add(
        "volume_division",
        VALID,
        "divided in a way that is not known",
        volume(0, Some(Cbor::Uint(7))),
    );
    set.add(
        "volume_half_cuts",
        MALFORMED,
        "a page of cuts without its level",
        volume(3, None),
    );
    set.add(
        "volume_cuts_level_limit",
        LIMIT,
        "cuts of level 41",
        volume(3, Some(Cbor::Uint(41))),
    );
    set.add(
        "volume_tracking_0",
        MALFORMED,
        "tracking 0",
        volume(4, Some(Cbor::Uint(0))),
    );
    set.add(
        "volume_tracking_5",
        MALFORMED,
        "a fifth way to find changes",
        volume(4, Some(Cbor::Uint(5))),
    );
    set.add(
        "volume_unreadable_limit",
        LIMIT,
        "2^62 unreadable bytes",
        volume(6, Some(Cbor::Uint(1 << 62))),
    );
    set.add(
        "volume_medium_absent",
        MALFORMED,
        "no medium",
        volume(7, None),
    );
    set.add(
        "volume_medium_kind",
        MALFORMED,
        "a kind of medium in bytes",
        medium(0, Some(Cbor::Bytes(vec![b'f']))),
    );
    set.add(
        "volume_sector_wide",
        MALFORMED,
        "a sector of 2^32 bytes",
        medium(4, Some(Cbor::Uint(1 << 32))),
    );
    set.add(
        "volume_rotational_wide",
        MALFORMED,
        "rotational 256",
        medium(6, Some(Cbor::Uint(256))),
    );
    set.add(
        "volume_partition_offset_limit",
        LIMIT,
        "a partition that begins at 2^62",
        partition(1, Some(Cbor::Uint(1 << 62))),
    );
    set.add(
        "volume_partition_len_limit",
        LIMIT,
        "a partition of 2^62 bytes",
        partition(2, Some(Cbor::Uint(1 << 62))),
    );
    set.add(
        "volume_partition_name_absent",
        MALFORMED,
        "a partition without a name",
        partition(5, None),
    );
    set.add(
        "volume_file_system_type",
        MALFORMED,
        "a file system that is not a map",
        partition(8, Some(text("ext4"))),
    );
    set.add(
        "volume_layout_type",
        MALFORMED,
        "a layout that is not a map",
        volume(8, Some(Cbor::Uint(1))),
    );
    set
}

fn intent() -> Set {
    let mut set = Set::new("intent", &format!("intents/{SESSION_HEX}"), "");
    let edited = |key, value| Cbor::Map(with(payload::intent(), key, value)).encode();
    set.add(
        "valid",
        VALID,
        "a writer announces itself",
        Cbor::Map(payload::intent()).encode(),
    );
    set.add(
        "session",
        MALFORMED,
        "another session than the name",
        edited(0, Some(Cbor::Bytes(vec![1; 16]))),
    );
    set.add(
        "process_absent",
        MALFORMED,
        "no process id",
        edited(4, None),
    );
    set.add("base_absent", MALFORMED, "no base", edited(5, None));
    set.add(
        "base_wide",
        MALFORMED,
        "a base of 33 bits",
        edited(5, Some(Cbor::Uint(1 << 32))),
    );
    set.add(
        "started_type",
        MALFORMED,
        "a time that is not a map",
        edited(1, Some(Cbor::Uint(1))),
    );
    set
}
