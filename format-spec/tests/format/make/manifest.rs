//! Vectors of pages: trees, scans, extents and cuts.

use crate::encode::pages;
use crate::encode::pages::Entry;
use crate::encode::pages::chunk;
use crate::encode::pages::group;
use crate::encode::pages::group_of;
use crate::encode::pages::hole;
use crate::encode::pages::owner;
use crate::encode::pages::place;
use crate::encode::pages::root_entry;
use crate::encode::pages::tree_child;
use crate::encode::pages::tree_leaf;
use crate::encode::pages::unreadable;
use crate::encode::pages::xattr;
use crate::encode::pages::zero;
use crate::make::LIMIT;
use crate::make::MALFORMED;
use crate::make::Set;
use crate::make::TRUNCATED;
use crate::make::VALID;

pub(crate) fn all() -> Vec<Set> {
    vec![
        tree_shape(),
        tree_names(),
        tree_owners(),
        tree_entries(),
        tree_attributes(),
        tree_contents(),
        tree_inner(),
        scan(),
        extents_leaf(),
        extents_inner(),
        cuts(),
    ]
}

fn tree() -> Set {
    Set::new("tree", "", "")
}

/// A leaf of the root and these entries in it.
fn leaf(entries: &[Entry]) -> Vec<u8> {
    let all: Vec<Vec<u8>> = [&[root_entry()], entries]
        .concat()
        .iter()
        .map(Entry::encode)
        .collect();
    tree_leaf(&[owner(0, "root")], all.len() as u64, &[group(b"", &all)])
}

fn file(name: &[u8]) -> Entry {
    Entry::new(name, 1)
}

/// A valid leaf: the root, a folder and a file in it.
fn plain() -> Vec<u8> {
    let root = group(
        b"",
        &[root_entry().encode(), Entry::new(b"etc", 2).encode()],
    );
    let etc = group(
        b"etc",
        &[file(b"passwd").with(2, chunk(10, [1; 32])).encode()],
    );
    tree_leaf(&[owner(0, "root")], 3, &[root, etc])
}

fn tree_shape() -> Set {
    let mut set = tree();
    let valid = plain();
    set.add(
        "leaf",
        VALID,
        "the root, a folder and a file in it",
        valid.clone(),
    );
    let later = tree_leaf(&[owner(0, "")], 1, &[group(b"a", &[file(b"b").encode()])]);
    set.add("leaf_later", VALID, "a later leaf begins anywhere", later);
    let single = tree_leaf(&[owner(0, "")], 1, &[group(b"", &[file(b"").encode()])]);
    set.add("root_is_a_file", VALID, "a root that is a file", single);
    set.add("empty", TRUNCATED, "no bytes", []);
    set.add_ends(TRUNCATED, "the last byte is absent", &valid);
    let edited = |at: usize, value: u8| {
        let mut page = valid.clone();
        page[at] = value;
        page
    };
    set.add(
        "type",
        MALFORMED,
        "a scan page where a tree is",
        edited(0, 2),
    );
    set.add(
        "type_zero",
        MALFORMED,
        "type 0 is never valid",
        edited(0, 0),
    );
    set.add(
        "no_entries",
        MALFORMED,
        "a leaf without entries",
        pages::page(1, 0, 0, &[vec![0]]),
    );
    let entry = root_entry().encode();
    let owners = [owner(0, "")];
    let fewer = tree_leaf(
        &owners,
        1,
        &[group(b"", &[entry.clone(), file(b"a").encode()])],
    );
    set.add(
        "count_fewer",
        MALFORMED,
        "groups hold more entries than the page",
        fewer,
    );
    let more = tree_leaf(&owners, 2, &[group(b"", std::slice::from_ref(&entry))]);
    set.add(
        "count_more",
        TRUNCATED,
        "groups hold fewer entries than the page",
        more,
    );
    let hollow = tree_leaf(
        &owners,
        1,
        &[group(b"", std::slice::from_ref(&entry)), group(b"a", &[])],
    );
    set.add(
        "group_empty",
        MALFORMED,
        "a group without entries follows",
        hollow,
    );
    let hollow = tree_leaf(
        &owners,
        1,
        &[group(b"", &[]), group(b"a", &[file(b"b").encode()])],
    );
    set.add(
        "group_empty_first",
        MALFORMED,
        "a group without entries comes first",
        hollow,
    );
    let long = [vec![1, 0, 0x81, 0x00], plain()[3..].to_vec()].concat();
    set.add(
        "varint_long",
        MALFORMED,
        "a count that is not of the shortest form",
        long,
    );
    let wide = [vec![1, 0], vec![0xff; 9], vec![0x02], plain()[3..].to_vec()].concat();
    set.add("varint_wide", MALFORMED, "a count of 65 bits", wide);
    let endless = [vec![1, 0], vec![0x80; 10], vec![0x01]].concat();
    set.add(
        "varint_eleven",
        MALFORMED,
        "a count of eleven bytes",
        endless,
    );
    let huge = group_of(b"", u64::MAX, &[entry]);
    let huge = tree_leaf(&owners, u64::MAX, &[huge]);
    set.add(
        "count_huge",
        LIMIT,
        "2^64 - 1 entries and one that is there",
        huge,
    );
    set
}

fn tree_names() -> Set {
    let mut set = tree();
    let named = |name: &[u8]| leaf(&[file(name)]);
    let within =
        |folder: &[u8]| tree_leaf(&[owner(0, "")], 1, &[group(folder, &[file(b"b").encode()])]);
    set.add("name_255", VALID, "the longest name", named(&[b'n'; 255]));
    set.add(
        "name_256",
        LIMIT,
        "a name of 256 bytes",
        named(&[b'n'; 256]),
    );
    set.add(
        "name_not_utf8",
        VALID,
        "names are bytes",
        named(b"\xff\n\x1b["),
    );
    set.add("name_slash", MALFORMED, "a slash in a name", named(b"a/b"));
    set.add(
        "name_zero",
        MALFORMED,
        "a zero byte in a name",
        named(b"a\0b"),
    );
    set.add("name_dot", MALFORMED, "the name .", named(b"."));
    set.add("name_dot_dot", MALFORMED, "the name ..", named(b".."));
    set.add("name_three_dots", VALID, "the name ...", named(b"..."));
    set.add(
        "names_descend",
        MALFORMED,
        "names descend",
        leaf(&[file(b"b"), file(b"a")]),
    );
    set.add(
        "name_twice",
        MALFORMED,
        "a name twice",
        leaf(&[file(b"a"), file(b"a")]),
    );
    let bytewise = leaf(&[file(b"a"), file(b"\x7f"), file(b"\x80")]);
    set.add(
        "names_bytewise",
        VALID,
        "names ascend as unsigned bytes",
        bytewise,
    );
    let nameless = tree_leaf(&[owner(0, "")], 1, &[group(b"a", &[file(b"").encode()])]);
    set.add(
        "name_empty_in_folder",
        MALFORMED,
        "an empty name that is not the root",
        nameless,
    );
    set.add(
        "folder_deep",
        VALID,
        "a folder of two names",
        within(b"a\0b"),
    );
    set.add(
        "folder_dot_dot",
        MALFORMED,
        "a folder with the name ..",
        within(b"a\0..\0b"),
    );
    set.add(
        "folder_slash",
        MALFORMED,
        "a folder with a slash",
        within(b"a/b"),
    );
    set.add(
        "folder_empty_name",
        MALFORMED,
        "a folder with an empty name",
        within(b"a\0\0b"),
    );
    set.add(
        "folder_trailing_zero",
        MALFORMED,
        "a folder that ends in a zero byte",
        within(b"a\0"),
    );
    let deep = vec![[b'a']; 4097].join(&0_u8);
    set.add(
        "folder_depth_limit",
        LIMIT,
        "4,097 names deep",
        within(&deep),
    );
    let deep = vec![[b'a']; 4096].join(&0_u8);
    set.add(
        "folder_depth_4096",
        VALID,
        "the deepest folder",
        within(&deep),
    );
    let long = vec![[b'a'; 255]; 257].join(&0_u8);
    set.add(
        "folder_len_limit",
        LIMIT,
        "a folder path above 65,536 bytes",
        within(&long),
    );
    let pair = |first: &[u8], second: &[u8]| {
        let of = |folder| group(folder, &[file(b"x").encode()]);
        tree_leaf(&[owner(0, "")], 2, &[of(first), of(second)])
    };
    set.add(
        "groups_descend",
        MALFORMED,
        "groups descend",
        pair(b"b", b"a"),
    );
    set.add(
        "group_twice",
        MALFORMED,
        "a folder in two groups",
        pair(b"a", b"a"),
    );
    set.add(
        "groups_by_bytes",
        VALID,
        "a zero byte sorts before any other",
        pair(b"a\0b", b"a b"),
    );
    set
}

fn tree_owners() -> Set {
    let mut set = tree();
    let owned = |owners: &[Vec<u8>], first: u64, second: u64| {
        let mut entries = [root_entry(), file(b"a")];
        entries[0].owner = first;
        entries[1].owner = second;
        let entries: Vec<Vec<u8>> = entries.iter().map(Entry::encode).collect();
        tree_leaf(owners, 2, &[group(b"", &entries)])
    };
    let two = [owner(0, "root"), owner(1000, "ana")];
    set.add(
        "owners",
        VALID,
        "two owners in order of first use",
        owned(&two, 0, 1),
    );
    set.add(
        "owner_nameless",
        VALID,
        "owners without names",
        owned(&[owner(7, "")], 0, 0),
    );
    set.add(
        "owners_order",
        MALFORMED,
        "owners not in order of first use",
        owned(&two, 1, 0),
    );
    set.add(
        "owner_unused",
        MALFORMED,
        "an owner that no entry uses",
        owned(&two, 0, 0),
    );
    set.add(
        "owner_absent",
        MALFORMED,
        "an entry of an owner that is not there",
        owned(&two, 0, 2),
    );
    let twice = [owner(0, "root"), owner(0, "root")];
    set.add(
        "owner_twice",
        MALFORMED,
        "an owner twice",
        owned(&twice, 0, 1),
    );
    set
}

fn tree_entries() -> Set {
    let mut set = tree();
    let device = |kind| Entry::new(b"d", kind).with(5, vec![8, 1]);
    set.add("fifo", VALID, "a FIFO", leaf(&[Entry::new(b"f", 4)]));
    set.add("socket", VALID, "a socket", leaf(&[Entry::new(b"s", 5)]));
    set.add(
        "devices",
        VALID,
        "a character and a block device",
        leaf(&[
            device(6),
            Entry {
                name: b"e".to_vec(),
                ..device(7)
            },
        ]),
    );
    set.add(
        "device_absent",
        MALFORMED,
        "a device without number",
        leaf(&[Entry::new(b"d", 6)]),
    );
    let longer = Entry::new(b"d", 7).with(5, vec![8, 1, 0]);
    set.add(
        "device_longer",
        MALFORMED,
        "a byte follows the minor number",
        leaf(&[longer]),
    );
    let link = |target: &[u8]| leaf(&[Entry::new(b"l", 3).with(4, target.to_vec())]);
    set.add(
        "symlink",
        VALID,
        "a symbolic link, its target is any bytes",
        link(b"../../etc\xff"),
    );
    set.add(
        "symlink_absent",
        MALFORMED,
        "a symbolic link without target",
        leaf(&[Entry::new(b"l", 3)]),
    );
    set.add("symlink_empty", MALFORMED, "an empty target", link(b""));
    set.add(
        "symlink_65536",
        VALID,
        "the longest target",
        link(&[b't'; 65_536]),
    );
    set.add(
        "symlink_limit",
        LIMIT,
        "a target of 65,537 bytes",
        link(&[b't'; 65_537]),
    );
    let hard = |leader: Vec<u8>| leaf(&[file(b"a"), Entry::new(b"b", 8).with(6, leader)]);
    set.add(
        "hard_link",
        VALID,
        "a hard link to an earlier entry",
        hard(place(b"", b"a")),
    );
    set.add(
        "hard_link_to_self",
        MALFORMED,
        "a hard link to itself",
        hard(place(b"", b"b")),
    );
    set.add(
        "hard_link_to_later",
        MALFORMED,
        "a hard link to a later entry",
        hard(place(b"", b"c")),
    );
    set.add(
        "hard_link_name",
        MALFORMED,
        "the name of the leader is ..",
        hard(place(b"", b"..")),
    );
    set.add(
        "hard_link_absent",
        MALFORMED,
        "a hard link without leader",
        leaf(&[Entry::new(b"b", 8)]),
    );
    let with_xattr = Entry::new(b"b", 8)
        .with(1, xattr(b"user.a", b"1"))
        .with(6, place(b"", b"a"));
    set.add(
        "hard_link_xattr",
        MALFORMED,
        "a hard link with an extended attribute",
        leaf(&[file(b"a"), with_xattr]),
    );
    set.add(
        "kind_0",
        MALFORMED,
        "kind 0 is never valid",
        leaf(&[Entry::new(b"a", 0)]),
    );
    set.add(
        "kind_9",
        MALFORMED,
        "kind 9 is unknown",
        leaf(&[Entry::new(b"a", 9)]),
    );
    let mode = |mode| leaf(&[Entry { mode, ..file(b"a") }]);
    set.add("mode_7777", VALID, "all 12 permission bits", mode(0o7777));
    set.add(
        "mode_13_bits",
        MALFORMED,
        "a 13th permission bit",
        mode(0o10000),
    );
    let mtime = |mtime| {
        leaf(&[Entry {
            mtime,
            ..file(b"a")
        }])
    };
    set.add(
        "mtime_before_1970",
        VALID,
        "negative seconds",
        mtime((-1, 999_999_999)),
    );
    set.add(
        "mtime_ends",
        VALID,
        "the first second of 64 bits",
        mtime((i64::MIN, 0)),
    );
    set.add(
        "mtime_ns",
        MALFORMED,
        "10^9 nanoseconds",
        mtime((0, 1_000_000_000)),
    );
    set
}

fn tree_attributes() -> Set {
    let mut set = tree();
    let with = |attributes: &[(u8, Vec<u8>)]| {
        leaf(&[Entry {
            attributes: attributes.to_vec(),
            ..file(b"a")
        }])
    };
    let one = |name: &[u8], value: &[u8]| (1, xattr(name, value));
    let content = || (2, chunk(10, [1; 32]));
    set.add(
        "xattrs",
        VALID,
        "two extended attributes and content",
        with(&[
            one(b"security.capability", b"\x01\0\0\x02"),
            one(b"user.empty", b""),
            content(),
        ]),
    );
    set.add(
        "xattrs_descend",
        MALFORMED,
        "names descend",
        with(&[one(b"user.b", b""), one(b"user.a", b"")]),
    );
    set.add(
        "xattr_twice",
        MALFORMED,
        "a name twice",
        with(&[one(b"user.a", b""), one(b"user.a", b"")]),
    );
    set.add(
        "xattr_value_65536",
        VALID,
        "the longest value",
        with(&[one(b"user.a", &[1; 65_536])]),
    );
    set.add(
        "xattr_value_limit",
        LIMIT,
        "a value of 65,537 bytes",
        with(&[one(b"user.a", &[1; 65_537])]),
    );
    let many: Vec<_> = (0..17)
        .map(|n| one(&[b'u', b'a' + n], &[1; 65_536]))
        .collect();
    set.add("xattrs_limit", LIMIT, "17 values of 64 KiB", with(&many));
    set.add(
        "xattr_cut",
        TRUNCATED,
        "a name that is longer than its attribute",
        with(&[(1, vec![9, b'a'])]),
    );
    set.add(
        "tag_unknown",
        MALFORMED,
        "tag 7 is unknown",
        with(&[(7, vec![])]),
    );
    set.add(
        "tag_255",
        MALFORMED,
        "no tag may be ignored",
        with(&[(255, vec![])]),
    );
    set.add("tag_0", MALFORMED, "tag 0 is unknown", with(&[(0, vec![])]));
    set.add(
        "tags_descend",
        MALFORMED,
        "tags descend",
        with(&[content(), one(b"user.a", b"")]),
    );
    set.add(
        "tag_twice",
        MALFORMED,
        "content twice",
        with(&[content(), content()]),
    );
    let folder = leaf(&[Entry::new(b"d", 2).with(2, chunk(10, [1; 32]))]);
    set.add("folder_content", MALFORMED, "a folder with content", folder);
    set.add(
        "file_target",
        MALFORMED,
        "a file with a target",
        with(&[(4, b"t".to_vec())]),
    );
    set
}

fn tree_contents() -> Set {
    let mut set = tree();
    let short = |extents: &[Vec<u8>]| leaf(&[file(b"a").with(2, extents.concat())]);
    set.add(
        "content_kinds",
        VALID,
        "a chunk, a hole, a zero, an unreadable extent",
        short(&[chunk(9, [1; 32]), hole(1 << 40), zero(5), unreadable(512)]),
    );
    let sixteen: Vec<Vec<u8>> = (1..=16).map(|n| chunk(4096, [n; 32])).collect();
    set.add("content_16", VALID, "16 extents are short", short(&sixteen));
    let seventeen: Vec<Vec<u8>> = (1..=17).map(|n| chunk(4096, [n; 32])).collect();
    set.add(
        "content_17",
        MALFORMED,
        "17 extents are long",
        short(&seventeen),
    );
    set.add(
        "content_none",
        MALFORMED,
        "an empty file has no content",
        short(&[]),
    );
    set.add(
        "content_holes",
        MALFORMED,
        "two holes are neighbours",
        short(&[hole(1), hole(2)]),
    );
    set.add(
        "content_extent_empty",
        MALFORMED,
        "a hole of no bytes",
        short(&[hole(0)]),
    );
    set.add(
        "content_cut",
        TRUNCATED,
        "a chunk id of 31 bytes",
        short(&[chunk(9, [1; 32])[..32].to_vec()]),
    );
    let long = |value: Vec<u8>| leaf(&[file(b"a").with(3, value)]);
    let value =
        |len: u64, level: u8| [crate::encode::varint(len), vec![7; 32], vec![level]].concat();
    set.add("long", VALID, "an extents manifest", long(value(70_000, 0)));
    set.add(
        "long_greatest",
        VALID,
        "the longest file",
        long(value((1 << 62) - 1, 40)),
    );
    set.add(
        "long_len_limit",
        LIMIT,
        "a file of 2^62 bytes",
        long(value(1 << 62, 0)),
    );
    set.add(
        "long_17_bytes",
        VALID,
        "17 extents of a byte",
        long(value(17, 0)),
    );
    set.add(
        "long_16_bytes",
        MALFORMED,
        "16 bytes are no more than 16 extents",
        long(value(16, 0)),
    );
    set.add(
        "long_level_limit",
        LIMIT,
        "a manifest of level 41",
        long(value(70_000, 41)),
    );
    set.add(
        "long_longer",
        MALFORMED,
        "a byte follows the level",
        long([value(70_000, 0), vec![0]].concat()),
    );
    set.add(
        "long_cut",
        TRUNCATED,
        "no level",
        long(value(70_000, 0)[..35].to_vec()),
    );
    let both = file(b"a").with(2, hole(9)).with(3, value(70_000, 0));
    set.add(
        "content_both",
        MALFORMED,
        "short and long content",
        leaf(&[both]),
    );
    set
}

fn tree_inner() -> Set {
    let mut set = tree();
    let first = tree_child(b"", b"", 900, 12_345, [1; 32]);
    let second = tree_child(b"etc", b"passwd", 12, 0, [2; 32]);
    let inner =
        |level, children: &[Vec<u8>]| pages::page(1, level, children.len() as u64, children);
    let valid = inner(1, &[first.clone(), second.clone()]);
    set.add("inner", VALID, "two children", valid.clone());
    set.add(
        "inner_one",
        VALID,
        "one child, as the last page of a level may have",
        inner(1, std::slice::from_ref(&second)),
    );
    set.add(
        "inner_level_40",
        VALID,
        "the highest level",
        inner(40, &[first.clone(), second.clone()]),
    );
    set.add(
        "inner_level_limit",
        LIMIT,
        "level 41",
        inner(41, &[first.clone(), second.clone()]),
    );
    set.add("inner_empty", MALFORMED, "no children", inner(1, &[]));
    set.add(
        "inner_descends",
        MALFORMED,
        "children descend",
        inner(1, &[second.clone(), first.clone()]),
    );
    set.add(
        "inner_twice",
        MALFORMED,
        "two children of one place",
        inner(1, &[second.clone(), second]),
    );
    let hollow = tree_child(b"z", b"z", 0, 0, [2; 32]);
    set.add(
        "inner_child_empty",
        MALFORMED,
        "a child of no entries",
        inner(1, &[first, hollow]),
    );
    set.add(
        "inner_cut",
        TRUNCATED,
        "the last byte is absent",
        &valid[..valid.len() - 1],
    );
    set.add(
        "inner_longer",
        MALFORMED,
        "a byte follows",
        [&valid[..], &[0]].concat(),
    );
    set
}

fn scan() -> Set {
    let mut set = Set::new("scan", "", "");
    let entry = |name: &[u8], flags| pages::scan_entry(name, (1_700_000_000, 5), 42, flags);
    let leaf =
        |entries: &[Vec<u8>]| pages::page(2, 0, entries.len() as u64, &[group(b"", entries)]);
    let valid = leaf(&[entry(b"", 0), entry(b"a", 1)]);
    set.add("leaf", VALID, "two entries, one racy", valid.clone());
    set.add(
        "flags",
        MALFORMED,
        "a reserved flag",
        leaf(&[entry(b"a", 2)]),
    );
    let late = pages::scan_entry(b"a", (0, 1_000_000_000), 1, 0);
    set.add("ctime_ns", MALFORMED, "10^9 nanoseconds", leaf(&[late]));
    set.add(
        "names_descend",
        MALFORMED,
        "names descend",
        leaf(&[entry(b"b", 0), entry(b"a", 0)]),
    );
    set.add(
        "name_slash",
        MALFORMED,
        "a slash in a name",
        leaf(&[entry(b"a/b", 0)]),
    );
    set.add(
        "type",
        MALFORMED,
        "a tree page where a scan is",
        [&[1], &valid[1..]].concat(),
    );
    set.add_ends(TRUNCATED, "the last byte is absent", &valid);
    let [a, b] = [b"a", b"b"].map(|name| pages::scan_child(b"", name, 5, [1; 32]));
    set.add(
        "inner",
        VALID,
        "two children",
        pages::page(2, 1, 2, &[a.clone(), b.clone()]),
    );
    set.add(
        "inner_descends",
        MALFORMED,
        "children descend",
        pages::page(2, 1, 2, &[b, a]),
    );
    set.add(
        "inner_empty",
        MALFORMED,
        "no children",
        pages::page(2, 1, 0, &[]),
    );
    set.add(
        "inner_level_limit",
        LIMIT,
        "level 41",
        pages::page(2, 41, 1, &[pages::scan_child(b"", b"a", 5, [1; 32])]),
    );
    set
}

fn extents_leaf() -> Set {
    let mut set = Set::new("extents", "", "");
    let leaf = |extents: &[Vec<u8>]| pages::page(3, 0, extents.len() as u64, extents);
    let valid = leaf(&[
        chunk(65_536, [1; 32]),
        hole(1 << 30),
        zero(65_536),
        chunk(1, [2; 32]),
        unreadable(4096),
    ]);
    set.add(
        "leaf",
        VALID,
        "chunks, a hole, a zero and an unreadable extent",
        valid.clone(),
    );
    set.add("leaf_empty", VALID, "an empty manifest", leaf(&[]));
    set.add(
        "hole_then_zero",
        VALID,
        "a hole and a zero may be neighbours",
        leaf(&[hole(1), zero(1)]),
    );
    set.add(
        "same_chunk_twice",
        VALID,
        "equal chunks may be neighbours",
        leaf(&[chunk(9, [1; 32]), chunk(9, [1; 32])]),
    );
    set.add(
        "chunk_16_mib",
        VALID,
        "the greatest chunk",
        leaf(&[chunk(16 << 20, [1; 32])]),
    );
    set.add(
        "chunk_limit",
        LIMIT,
        "a chunk of 16 MiB and 1 byte",
        leaf(&[chunk((16 << 20) + 1, [1; 32])]),
    );
    set.add(
        "chunk_empty",
        MALFORMED,
        "a chunk of no bytes",
        leaf(&[chunk(0, [1; 32])]),
    );
    set.add(
        "hole_empty",
        MALFORMED,
        "a hole of no bytes",
        leaf(&[hole(0)]),
    );
    set.add(
        "zero_empty",
        MALFORMED,
        "a zero of no bytes",
        leaf(&[zero(0)]),
    );
    set.add(
        "unreadable_empty",
        MALFORMED,
        "an unreadable extent of no bytes",
        leaf(&[unreadable(0)]),
    );
    set.add(
        "unreadables",
        MALFORMED,
        "two unreadable extents are neighbours",
        leaf(&[unreadable(1), unreadable(1)]),
    );
    set.add(
        "zero_then_unreadable",
        VALID,
        "a zero and an unreadable extent may be neighbours",
        leaf(&[zero(1), unreadable(1), hole(1)]),
    );
    set.add(
        "holes",
        MALFORMED,
        "two holes are neighbours",
        leaf(&[hole(1), hole(1)]),
    );
    set.add(
        "zeros",
        MALFORMED,
        "two zeros are neighbours",
        leaf(&[zero(1), zero(1)]),
    );
    let sixths: Vec<Vec<u8>> = (0..3)
        .flat_map(|_| [hole(1 << 61), zero(1 << 61)])
        .collect();
    set.add(
        "sum_limit",
        LIMIT,
        "extents sum to more than 2^63 - 1",
        leaf(&sixths),
    );
    set.add(
        "type",
        MALFORMED,
        "a tree page where extents are",
        [&[1], &valid[1..]].concat(),
    );
    set.add_ends(TRUNCATED, "the last byte is absent", &valid);
    set
}

fn extents_inner() -> Set {
    let mut set = Set::new("extents", "", "");
    let [a, b] = [1, 2].map(|n| pages::extents_child(n << 20, [n as u8; 32]));
    let inner =
        |level, children: &[Vec<u8>]| pages::page(3, level, children.len() as u64, children);
    set.add(
        "inner",
        VALID,
        "two children",
        inner(1, &[a.clone(), b.clone()]),
    );
    set.add(
        "inner_same_child",
        VALID,
        "equal children may be neighbours",
        inner(1, &[a.clone(), a.clone()]),
    );
    set.add(
        "inner_unreadable",
        VALID,
        "a child with an unreadable extent below",
        inner(1, &[a.clone(), pages::unreadable_child(512, [9; 32])]),
    );
    set.add("inner_empty", MALFORMED, "no children", inner(1, &[]));
    set.add(
        "inner_child_empty",
        MALFORMED,
        "a child of no bytes",
        inner(1, &[a.clone(), pages::extents_child(0, [9; 32])]),
    );
    set.add(
        "inner_child_empty_unreadable",
        MALFORMED,
        "a child of no bytes, none of them readable",
        inner(1, &[a.clone(), pages::unreadable_child(0, [9; 32])]),
    );
    set.add(
        "inner_level_limit",
        LIMIT,
        "level 41",
        inner(41, &[a.clone(), b]),
    );
    let great = pages::extents_child(1 << 61, [3; 32]);
    set.add(
        "inner_sum_limit",
        LIMIT,
        "children sum to 2^62",
        inner(1, &[great.clone(), great]),
    );
    set.add(
        "inner_count_limit",
        LIMIT,
        "65,537 children",
        pages::page(3, 1, 65_537, std::slice::from_ref(&a)),
    );
    set.add(
        "inner_cut",
        TRUNCATED,
        "a page id of 31 bytes",
        &inner(1, std::slice::from_ref(&a))[..37],
    );
    set
}

fn cuts() -> Set {
    let mut set = Set::new("cuts", "", "");
    let valid = pages::cuts_leaf(&[4096, 1904, 2192, 1 << 30]);
    set.add("leaf", VALID, "four cuts", valid.clone());
    set.add("one", VALID, "one cut, the least", pages::cuts_leaf(&[1]));
    let greatest = (1 << 62) - 1;
    set.add(
        "greatest",
        VALID,
        "the greatest cut",
        pages::cuts_leaf(&[greatest]),
    );
    set.add(
        "limit",
        LIMIT,
        "a cut of 2^62",
        pages::cuts_leaf(&[greatest, 1]),
    );
    let wraps = pages::cuts_leaf(&[1, u64::MAX]);
    set.add("wraps", LIMIT, "steps sum to 2^64", wraps);
    set.add("empty", MALFORMED, "no cuts", pages::cuts_leaf(&[]));
    set.add(
        "first_zero",
        MALFORMED,
        "a cut at 0",
        pages::cuts_leaf(&[0]),
    );
    set.add("twice", MALFORMED, "a cut twice", pages::cuts_leaf(&[7, 0]));
    set.add(
        "count_limit",
        LIMIT,
        "65,537 cuts",
        pages::cuts_leaf(&[1; 65_537]),
    );
    set.add(
        "type",
        MALFORMED,
        "an extents page where cuts are",
        [&[3], &valid[1..]].concat(),
    );
    set.add(
        "cut",
        TRUNCATED,
        "the last byte is absent",
        &valid[..valid.len() - 1],
    );
    set.add(
        "longer",
        MALFORMED,
        "a byte follows",
        [&valid[..], &[1]].concat(),
    );
    let inner = |children: &[Vec<u8>]| pages::page(4, 1, children.len() as u64, children);
    let [a, b] = [(5, 1), (900, 2)].map(|(first, n)| pages::cuts_child(first, 3, [n; 32]));
    set.add(
        "inner",
        VALID,
        "two children",
        inner(&[a.clone(), b.clone()]),
    );
    set.add("inner_empty", MALFORMED, "no children", inner(&[]));
    set.add(
        "inner_descends",
        MALFORMED,
        "children descend",
        inner(&[b, a.clone()]),
    );
    set.add(
        "inner_twice",
        MALFORMED,
        "children of one first cut",
        inner(&[a.clone(), a.clone()]),
    );
    let child = |first, count| inner(&[pages::cuts_child(first, count, [1; 32])]);
    set.add("inner_zero", MALFORMED, "a first cut at 0", child(0, 1));
    set.add(
        "inner_child_empty",
        MALFORMED,
        "a child without cuts",
        child(5, 0),
    );
    set.add(
        "inner_limit",
        LIMIT,
        "a first cut of 2^62",
        child(1 << 62, 1),
    );
    set.add(
        "inner_count_limit",
        LIMIT,
        "2^62 cuts below",
        child(5, 1 << 62),
    );
    set.add(
        "inner_level_limit",
        LIMIT,
        "level 41",
        pages::page(4, 41, 1, std::slice::from_ref(&a)),
    );
    set.add(
        "inner_cut",
        TRUNCATED,
        "a page id of 31 bytes",
        &inner(std::slice::from_ref(&a))[..36],
    );
    set
}
