//! A whole repository, written by the tests' own writer, opened and restored by the reference decoder.

use crate::encode;
use crate::encode::object::Object;
use crate::encode::object::Pieces;
use crate::encode::pages;
use crate::encode::pages::Entry;
use crate::encode::payload;
use crate::encode::payload::Cbor;
use crate::encode::payload::RootFields;
use crate::encode::record;
use crate::make::sealed::SESSION_HEX;
use blockstore_format_spec::reference::fault::Fault;
use blockstore_format_spec::reference::record::Secret;
use blockstore_format_spec::reference::repository::Repository;
use blockstore_format_spec::reference::restore::restore;
use blockstore_format_spec::reference::snapshot::Root;
use blockstore_format_spec::vectors::PASSWORD;
use blockstore_format_spec::vectors::test_keys;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

const SLOT_NAME: &str = "keys/808182838485868788898a8b8c8d8e8f";
const CHUNK: u64 = 8192;
/// Chunks and holes in turn: 20 extents, which are long content.
const SPARSE_EXTENTS: u64 = 20;

fn put(repo: &Path, name: &str, object: &[u8]) {
    let path = repo.join(name);
    fs::create_dir_all(path.parent().expect("in a folder")).expect("made");
    fs::write(path, object).expect("written");
}

fn id(what: &str, plaintext: &[u8]) -> [u8; 32] {
    let key = encode::derive(&format!("blockstore v1 {what} id key"), &test_keys().stable);
    encode::keyed(&key, plaintext)
}

fn sparse_chunk(n: u64) -> Vec<u8> {
    (0..CHUNK).map(|i| (i * 7 + n) as u8 | 1).collect()
}

/// The pages of one tree, and the chunks that it names.
struct Content {
    chunks: Vec<Vec<u8>>,
    pages: Vec<Vec<u8>>,
    root: Vec<(u64, Cbor)>,
}

/// The extents manifest of the sparse file: two leaves under an inner page.
fn sparse_pages() -> Vec<Vec<u8>> {
    let extent = |n: u64| {
        if n.is_multiple_of(2) {
            pages::chunk(CHUNK, id("chunk", &sparse_chunk(n)))
        } else {
            pages::hole(CHUNK)
        }
    };
    let leaf = |range: std::ops::Range<u64>| {
        let extents: Vec<_> = range.clone().map(extent).collect();
        pages::page(3, 0, extents.len() as u64, &extents)
    };
    let leaves = [leaf(0..12), leaf(12..SPARSE_EXTENTS)];
    let children = [
        pages::extents_child(12 * CHUNK, id("page", &leaves[0])),
        pages::extents_child((SPARSE_EXTENTS - 12) * CHUNK, id("page", &leaves[1])),
    ];
    let inner = pages::page(3, 1, 2, &children);
    [leaves.to_vec(), vec![inner]].concat()
}

const OWNER: u64 = 4711;
const MTIME: (i64, u64) = (1_234_567_890, 987_654_321);

fn entry(name: &[u8], kind: u8) -> Entry {
    Entry {
        mtime: MTIME,
        mode: 0o640,
        ..Entry::new(name, kind)
    }
}

fn folder(name: &[u8]) -> Entry {
    Entry {
        mode: 0o2750,
        ..entry(name, 2)
    }
}

/// A root with files, a folder, and one entry of each kind that needs no privilege.
fn content() -> Content {
    let hello = b"hello, world".to_vec();
    let sparse = sparse_pages();
    let sparse_value = |page: &[u8]| {
        let len = encode::varint(SPARSE_EXTENTS * CHUNK);
        [len, id("page", page).to_vec(), vec![1]].concat()
    };
    let hello_extents = [
        pages::chunk(hello.len() as u64, id("chunk", &hello)),
        pages::zero(4096),
        pages::hole(100),
    ]
    .concat();
    let hello_entry = entry(b"hello", 1)
        .with(1, pages::xattr(b"user.colour", b"green"))
        .with(2, hello_extents);
    let first = [
        folder(b""),
        folder(b"empty"),
        entry(b"fifo", 4),
        folder(b"folder"),
        hello_entry,
    ];
    let second = [
        entry(b"link", 3).with(4, b"folder/sparse".to_vec()),
        entry(b"none", 1),
        entry(b"second\nname", 8).with(6, pages::place(b"", b"hello")),
        entry(b"socket", 5),
    ];
    let within = [entry(b"sparse", 1).with(3, sparse_value(&sparse[2]))];
    let encoded = |entries: &[Entry]| entries.iter().map(Entry::encode).collect::<Vec<_>>();
    let owners = [pages::owner(OWNER, "ana")];
    let leaf_a = pages::tree_leaf(&owners, 5, &[pages::group(b"", &encoded(&first))]);
    let groups = [
        pages::group(b"", &encoded(&second)),
        pages::group(b"folder", &encoded(&within)),
    ];
    let leaf_b = pages::tree_leaf(&owners, 5, &groups);
    let hello_len = hello.len() as u64 + 4096 + 100;
    let sparse_len = SPARSE_EXTENTS * CHUNK;
    let children = [
        pages::tree_child(b"", b"", 5, hello_len, id("page", &leaf_a)),
        pages::tree_child(b"", b"link", 5, sparse_len, id("page", &leaf_b)),
    ];
    let inner = pages::page(1, 1, 2, &children);
    let fields = RootFields {
        name: b"/source".to_vec(),
        page_type: 1,
        page: id("page", &inner),
        level: 1,
        entries: 10,
        bytes: hello_len + sparse_len,
    };
    let sparse_chunks = (0..SPARSE_EXTENTS).step_by(2).map(sparse_chunk);
    Content {
        chunks: [hello].into_iter().chain(sparse_chunks).collect(),
        pages: [sparse, vec![leaf_a, leaf_b, inner]].concat(),
        root: payload::root(&fields),
    }
}

fn numbered(mut object: Object, number: u32) -> Vec<u8> {
    object.number = number;
    object.encode()
}

/// Frames of the repository are compressed by a real compressor.
fn compressed(pieces: &[Vec<u8>]) -> Pieces {
    let stored = zstd::bulk::compress(&pieces.concat(), 3).expect("compresses");
    Pieces {
        pieces: pieces.to_vec(),
        codec: 1,
        stored: Some(stored),
        moved: None,
    }
}

fn write_repository(repo: &Path, content: &Content) {
    put(
        repo,
        "config/00000001",
        &record::config(record::config_body()).encode(),
    );
    put(repo, SLOT_NAME, &record::password_slot().encode());
    let (first, rest) = content.chunks.split_at(1);
    let mut frames = vec![Pieces::plain(&[&first[0]])];
    if !rest.is_empty() {
        frames.push(compressed(rest));
    }
    let data = Object::new(1, frames);
    put(
        repo,
        &format!("packs/{SESSION_HEX}/00000000.data"),
        &numbered(data, 0),
    );
    let meta = Object::new(2, vec![compressed(&content.pages)]);
    put(
        repo,
        &format!("packs/{SESSION_HEX}/00000001.meta"),
        &numbered(meta, 1),
    );
    let commit = Cbor::Map(payload::commit(content.root.clone())).encode();
    let snapshot = Object::new(4, vec![compressed(&[commit])]);
    put(
        repo,
        &format!("snapshots/{SESSION_HEX}"),
        &snapshot.encode(),
    );
}

fn open(repo: &Path) -> Repository {
    Repository::open(repo, Secret::Password(PASSWORD)).expect("opens")
}

fn only_root(repository: &Repository) -> Root {
    let commit = repository.snapshot(SESSION_HEX).expect("a commit");
    commit.roots.into_iter().next().expect("a root")
}

fn written() -> (TempDir, Content) {
    let temp = TempDir::new().expect("a folder");
    let content = content();
    write_repository(temp.path(), &content);
    (temp, content)
}

/// Why a tree of these pages is refused; the root is the last page.
fn refusal(pages: Vec<Vec<u8>>, level: u64, entries: u64) -> Fault {
    let temp = TempDir::new().expect("a folder");
    let page = id("page", pages.last().expect("a page"));
    let name = b"/source".to_vec();
    let root = payload::root(&RootFields {
        name,
        page_type: 1,
        page,
        level,
        entries,
        bytes: 0,
    });
    write_repository(
        temp.path(),
        &Content {
            chunks: vec![vec![1]],
            pages,
            root,
        },
    );
    let mut repository = open(temp.path());
    let root = only_root(&repository);
    let target = temp.path().join("target");
    let refused = restore(&mut repository, &root, &target).expect_err("must be refused");
    assert!(!target.exists(), "a refused tree leaves nothing");
    refused.fault
}

fn one_leaf(groups: &[Vec<u8>], count: u64) -> Vec<u8> {
    pages::tree_leaf(&[pages::owner(0, "root")], count, groups)
}

#[test]
fn a_repository_restores_as_it_was_written() {
    let (temp, content) = written();
    let mut repository = open(temp.path());
    assert!(repository.damaged().is_empty());
    let root = only_root(&repository);
    let target = temp.path().join("target");
    let refused = restore(&mut repository, &root, &target).expect("restores");
    // A file system without extended attributes may refuse them; nothing else is refused.
    assert!(
        refused.iter().all(|r| r.place.contains("attribute")),
        "{refused:?}"
    );

    let hello = fs::read(target.join("hello")).expect("reads");
    assert_eq!(hello[..12], content.chunks[0][..]);
    assert_eq!(hello[12..], [0; 4196]);
    let meta = |name: &str| fs::symlink_metadata(target.join(name)).expect("is there");
    assert_eq!(meta("hello").ino(), meta("second\nname").ino());
    assert_eq!(
        fs::read_link(target.join("link")).expect("a link"),
        Path::new("folder/sparse")
    );
    assert_eq!(meta("none").len(), 0);
    assert!(meta("fifo").file_type().is_fifo() && meta("socket").file_type().is_socket());
    assert_eq!(meta("").permissions().mode() & 0o7777, 0o2750);
    let is_root = rustix::process::geteuid().is_root();
    for name in [
        "",
        "empty",
        "folder",
        "folder/sparse",
        "hello",
        "link",
        "fifo",
        "socket",
    ] {
        assert!(!is_root || u64::from(meta(name).uid()) == OWNER, "{name}");
        assert_eq!(
            (meta(name).mtime(), meta(name).mtime_nsec()),
            (MTIME.0, 987_654_321),
            "{name}"
        );
    }
    if refused.is_empty() {
        let mut value = [0; 16];
        let path = target.join("hello");
        let len = rustix::fs::lgetxattr(path, "user.colour", &mut value).expect("an attribute");
        assert_eq!(&value[..len], b"green");
    }
}

#[test]
fn holes_are_restored_as_holes() {
    let (temp, _) = written();
    let mut repository = open(temp.path());
    let root = only_root(&repository);
    let target = temp.path().join("target");
    restore(&mut repository, &root, &target).expect("restores");
    let sparse = fs::read(target.join("folder/sparse")).expect("reads");
    for n in 0..SPARSE_EXTENTS {
        let expected = if n % 2 == 0 {
            sparse_chunk(n)
        } else {
            vec![0; CHUNK as usize]
        };
        assert_eq!(
            sparse[(n * CHUNK) as usize..((n + 1) * CHUNK) as usize],
            expected,
            "{n}"
        );
    }
    let allocated = fs::metadata(target.join("folder/sparse"))
        .expect("is there")
        .blocks()
        * 512;
    // A file system may count what it needs to find that many extents.
    let found_by = 2 * 4096;
    assert!(
        allocated <= SPARSE_EXTENTS / 2 * CHUNK + found_by,
        "{allocated} bytes are allocated"
    );
}

#[test]
fn another_password_opens_nothing() {
    let (temp, _) = written();
    let refused = Repository::open(temp.path(), Secret::Password(b"wrong horse"));
    assert_eq!(refused.expect_err("refused").fault, Fault::WrongKey);
}

#[test]
fn a_torn_pack_is_named_and_stops_only_what_needs_it() {
    let (temp, _) = written();
    let torn = format!("packs/{SESSION_HEX}/00000007.data");
    put(temp.path(), &torn, &[0x8b; 500]);
    let mut repository = open(temp.path());
    assert_eq!(repository.damaged().len(), 1);
    assert!(repository.damaged()[0].place.starts_with(&torn));
    let root = only_root(&repository);
    restore(&mut repository, &root, &temp.path().join("target")).expect("restores");

    fs::remove_file(
        temp.path()
            .join(format!("packs/{SESSION_HEX}/00000000.data")),
    )
    .expect("gone");
    let mut repository = open(temp.path());
    let refused = restore(&mut repository, &root, &temp.path().join("second"));
    assert_eq!(
        refused.expect_err("chunks are missing").fault,
        Fault::Missing
    );
}

#[test]
fn a_changed_chunk_is_never_restored() {
    let (temp, _) = written();
    let pack = temp
        .path()
        .join(format!("packs/{SESSION_HEX}/00000000.data"));
    let mut bytes = fs::read(&pack).expect("reads");
    bytes[130] ^= 1;
    fs::write(&pack, bytes).expect("written");
    let mut repository = open(temp.path());
    let root = only_root(&repository);
    let refused = restore(&mut repository, &root, &temp.path().join("target"));
    assert_eq!(refused.expect_err("refused").fault, Fault::BadChecksum);
}

#[test]
fn a_chunk_under_the_id_of_another_is_never_restored() {
    let (temp, content) = written();
    let (first, rest) = content.chunks.split_at(1);
    let mut data = Object::new(1, vec![Pieces::plain(&[&first[0]]), compressed(rest)]);
    data.edit_table = |table| {
        let taken = table.chunks[2].0;
        table.chunks[2].0 = std::mem::replace(&mut table.chunks[1].0, taken);
    };
    let name = format!("packs/{SESSION_HEX}/00000000.data");
    put(temp.path(), &name, &numbered(data, 0));
    let mut repository = open(temp.path());
    let root = only_root(&repository);
    let refused = restore(&mut repository, &root, &temp.path().join("target"));
    assert_eq!(refused.expect_err("refused").fault, Fault::BadChecksum);
}

#[test]
fn a_chunk_has_the_length_of_its_extent() {
    let temp = TempDir::new().expect("a folder");
    let chunk = b"twelve bytes".to_vec();
    let file = entry(b"", 1).with(2, pages::chunk(11, id("chunk", &chunk)));
    let leaf = one_leaf(&[pages::group(b"", &[file.encode()])], 1);
    let (name, page) = (b"/source".to_vec(), id("page", &leaf));
    let fields = RootFields {
        name,
        page_type: 1,
        page,
        level: 0,
        entries: 1,
        bytes: 11,
    };
    let root = payload::root(&fields);
    write_repository(
        temp.path(),
        &Content {
            chunks: vec![chunk],
            pages: vec![leaf],
            root,
        },
    );
    let mut repository = open(temp.path());
    let root = only_root(&repository);
    let refused = restore(&mut repository, &root, &temp.path().join("target"));
    assert_eq!(refused.expect_err("refused").fault, Fault::Malformed);
}

#[test]
fn the_parent_of_every_entry_is_a_folder() {
    let root = pages::group(b"", &[folder(b"").encode(), entry(b"a", 4).encode()]);
    let absent = pages::group(b"b", &[entry(b"x", 4).encode()]);
    let not_a_folder = pages::group(b"a", &[entry(b"x", 4).encode()]);
    assert_eq!(
        refusal(vec![one_leaf(&[root.clone(), absent], 3)], 0, 3),
        Fault::Malformed
    );
    assert_eq!(
        refusal(vec![one_leaf(&[root, not_a_folder], 3)], 0, 3),
        Fault::Malformed
    );
    let headless = pages::group(b"", &[entry(b"a", 4).encode()]);
    assert_eq!(
        refusal(vec![one_leaf(&[headless], 1)], 0, 1),
        Fault::Malformed
    );
}

#[test]
fn a_symbolic_link_is_no_way_out_of_the_target() {
    let link = entry(b"a", 3).with(4, b"/tmp".to_vec());
    let root = pages::group(b"", &[folder(b"").encode(), link.encode()]);
    let through = pages::group(b"a", &[entry(b"x", 4).encode()]);
    assert_eq!(
        refusal(vec![one_leaf(&[root, through], 3)], 0, 3),
        Fault::Malformed
    );
}

#[test]
fn a_hard_link_repeats_what_its_leader_has() {
    let tree = |leader: Entry, link: Entry| {
        let link = link.with(6, pages::place(b"", &leader.name)).encode();
        let entries = [folder(b"").encode(), leader.encode(), link];
        refusal(vec![one_leaf(&[pages::group(b"", &entries)], 3)], 0, 3)
    };
    let other_mode = Entry {
        mode: 0o600,
        ..entry(b"b", 8)
    };
    assert_eq!(tree(entry(b"a", 1), other_mode), Fault::Malformed);
    let folder_leader = Entry {
        mode: 0o640,
        ..folder(b"a")
    };
    assert_eq!(tree(folder_leader, entry(b"b", 8)), Fault::Malformed);
}

#[test]
fn inner_pages_say_what_is_below_them() {
    let leaf_a = one_leaf(&[pages::group(b"", &[folder(b"").encode()])], 1);
    let leaf_b = one_leaf(&[pages::group(b"", &[entry(b"a", 4).encode()])], 1);
    let inner = |name: &[u8], entries: u64, len: u64| {
        let children = [
            pages::tree_child(b"", b"", 1, 0, id("page", &leaf_a)),
            pages::tree_child(b"", name, entries, len, id("page", &leaf_b)),
        ];
        vec![
            leaf_a.clone(),
            leaf_b.clone(),
            pages::page(1, 1, 2, &children),
        ]
    };
    assert_eq!(refusal(inner(b"b", 1, 0), 1, 2), Fault::Malformed);
    assert_eq!(refusal(inner(b"a", 2, 0), 1, 3), Fault::Malformed);
    assert_eq!(refusal(inner(b"a", 1, 5), 1, 2), Fault::Malformed);
    assert_eq!(refusal(inner(b"a", 1, 0), 2, 2), Fault::Malformed);
    assert_eq!(refusal(inner(b"a", 1, 0), 1, 3), Fault::Malformed);
    let child = pages::tree_child(b"", b"", 1, 0, id("page", &leaf_a));
    assert_eq!(
        refusal(vec![leaf_a, pages::page(1, 1, 1, &[child])], 1, 1),
        Fault::Malformed
    );
}

#[test]
fn the_program_lists_and_restores() {
    let (temp, _) = written();
    let target = temp.path().join("target");
    let program = |password: &str, arguments: &[&std::ffi::OsStr]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_blockstore-decode"))
            .env("BLOCKSTORE_PASSWORD", password)
            .args(arguments)
            .output()
            .expect("runs")
    };
    let password = std::str::from_utf8(PASSWORD).expect("a text");
    let listed = program(password, &[temp.path().as_os_str()]);
    assert!(listed.status.success());
    let line = String::from_utf8(listed.stdout).expect("a text");
    assert!(
        line.starts_with(SESSION_HEX) && line.contains("/source"),
        "{line}"
    );
    let restored = program(
        password,
        &[
            temp.path().as_os_str(),
            SESSION_HEX.as_ref(),
            target.as_os_str(),
        ],
    );
    assert!(
        matches!(restored.status.code(), Some(0 | 2)),
        "{restored:?}"
    );
    assert_eq!(fs::read(target.join("hello")).expect("reads").len(), 4208);
    let refused = program("wrong horse", &[temp.path().as_os_str()]);
    assert_eq!(refused.status.code(), Some(1));
}
