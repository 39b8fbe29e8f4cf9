//! Every reader of bytes from outside as a function that must come back, whatever it is given.
//!
//! One list for the fuzzers of `fuzz/` and for `tests/decoders_never_panic.rs`: a new decoder is
//! added to [`all`], with a target of the same name. Where a structure has one spelling, what
//! decodes must encode to the same bytes; where CBOR leaves room, to the same value. A checksum in
//! front of a structure is repaired on a second try, or nothing behind it would ever be reached.

use crate::format::boot::Boot;
use crate::format::config::Config;
use crate::format::cursor::Cursor;
use crate::format::cuts;
use crate::format::cuts::CutsLeafWriter;
use crate::format::envelope::HEADER_LEN;
use crate::format::envelope::Header;
use crate::format::envelope::SealedKind;
use crate::format::envelope::TAIL_LEN;
use crate::format::envelope::Tail;
use crate::format::envelope::Trailer;
use crate::format::extents;
use crate::format::id::SessionId;
use crate::format::index_run::IndexRun;
use crate::format::name::ObjectName;
use crate::format::name::PackClass;
use crate::format::name::PruneStep;
use crate::format::page::PageHead;
use crate::format::prune::PruneRecord;
use crate::format::record;
use crate::format::record::Record;
use crate::format::record::RecordKind;
use crate::format::retention::Protection;
use crate::format::retention::Tombstone;
use crate::format::scan;
use crate::format::scan::ScanLeafWriter;
use crate::format::slot::Bundle;
use crate::format::slot::Slot;
use crate::format::snapshot::Intent;
use crate::format::snapshot::Snapshot;
use crate::format::table::Codec;
use crate::format::table::Table;
use crate::format::table::TableName;
use crate::format::tree;
use crate::format::tree::TreeLeafWriter;
use crate::limits::FRAME_LEN_LIMIT;
use crate::repository::object;
use crate::serve;
use crate::serve::overlay::State;
use crate::sources::folder::Excludes;
use crate::sources::folder::is_excluded;
use crate::sources::volume::ChangedRanges;
use crate::sources::volume::layout::DiskLayout;
use crate::sources::volume::layout::FileSystem;
use crate::sources::volume::layout::FileSystemKind;
use crate::sources::volume::layout::HintOptions;
use crate::sources::volume::layout::Hints;
use crate::sources::volume::layout::Partition;
use crate::sources::volume::layout::lvm::VolumeGroup;
use crate::sources::volume::layout::lvm::read_group;
use crate::sources::volume::layout::read_layout;
use crate::sources::volume::nbd;
use crate::testing::hostile_images;
use crate::testing::hostile_repository;
use crate::testing::keys;
use crate::testing::tiny_volumes::TinyVolume;
use crate::testing::tiny_volumes::repair_gpt;
use crate::testing::tiny_volumes::repair_lvm;
use crate::transform::chunk::ChunkSizes;
use crate::transform::chunk::Chunker;
use crate::transform::compress::Decompressor;
use crate::transform::derive::Secret;
use crate::transform::seal;
use crate::transform::seal::Aead;

/// A name, and what reads the bytes; it panics where a promise is broken.
pub type Decoder = (&'static str, fn(&[u8]));

/// Every decoder.
pub fn all() -> &'static [Decoder] {
    &[
        ("config", config),
        ("slot", slot),
        ("bundle", bundle),
        ("header", header),
        ("trailer", trailer),
        ("table", table),
        ("index_run", index_run),
        ("page_head", page_head),
        ("tree_leaf", tree_leaf),
        ("tree_inner", tree_inner),
        ("scan_leaf", scan_leaf),
        ("scan_inner", scan_inner),
        ("extents_leaf", extents_leaf),
        ("extents_inner", extents_inner),
        ("cuts_leaf", cuts_leaf),
        ("cuts_inner", cuts_inner),
        ("snapshot", snapshot),
        ("intent", intent),
        ("tombstone", tombstone),
        ("protection", protection),
        ("boot", boot),
        ("prune_record", prune_record),
        ("object_name", object_name),
        ("sealed_object", sealed_object),
        ("decompress", decompress),
        ("chunker", chunker),
        ("excludes", excludes),
        ("disk_layout", disk_layout),
        ("disk_hints", disk_hints),
        ("nbd_reply", nbd_reply),
        ("nbd_request", nbd_request),
        ("changed_ranges", changed_ranges),
        ("image_ext", hostile_images::ext),
        ("image_fat", hostile_images::fat),
        ("image_ntfs", hostile_images::ntfs),
        ("image_btrfs", hostile_images::btrfs),
        ("image_xfs", hostile_images::xfs),
        ("lvm", lvm),
        ("overlay_state", overlay_state),
        ("repository_model", hostile_repository::run),
    ]
}

/// The config record.
pub fn config(bytes: &[u8]) {
    each_record(bytes, RecordKind::Config, |body| {
        if let Ok(config) = Config::decode(body) {
            assert_eq!(Config::decode(&config.encode()), Ok(config));
            let (min, avg) = (config.chunk_len_min, config.chunk_len_avg);
            ChunkSizes::new(min, avg, config.chunk_len_max)
                .expect("a config that decodes has sizes that the chunker takes");
        }
    });
}

/// A key slot.
pub fn slot(bytes: &[u8]) {
    each_record(bytes, RecordKind::Slot, |body| {
        if let Ok(slot) = Slot::decode(body) {
            assert_eq!(Slot::decode(&slot.encode()), Ok(slot));
        }
    });
}

/// The record as it is, and with its hash repaired.
fn each_record(bytes: &[u8], kind: RecordKind, body: impl Fn(&[u8])) {
    let mut repaired = bytes.to_vec();
    if let Some((hashed, hash)) = repaired.split_last_chunk_mut::<32>() {
        *hash = *blake3::hash(hashed).as_bytes();
    }
    for bytes in [bytes, repaired.as_slice()] {
        let Ok(record) = Record::decode(bytes, kind) else {
            continue;
        };
        body(record.body);
        let written = record::encode(kind, record.body, |_| record.tag);
        assert!(same_but_for_optional_flags(&written, bytes), "one spelling");
    }
}

/// Optional flags are for newer software: a reader passes over them, a writer sets none.
fn same_but_for_optional_flags(written: &[u8], read: &[u8]) -> bool {
    let has_flags = read.get(16..20) != Some(&[0; 4]);
    written.len() == read.len() && (has_flags || written == read)
}

/// The secrets that a slot wraps, sealed and unsealed.
pub fn bundle(bytes: &[u8]) {
    if let Ok(bundle) = Bundle::decode(bytes) {
        assert_eq!(bundle.encode().as_slice(), bytes);
    }
    for aead in [Aead::Aes256Gcm, Aead::ChaCha20Poly1305] {
        let _ = seal::unseal_bundle(aead, &Secret::from([7; 32]), b"context", bytes);
    }
}

/// The first 128 bytes of a sealed object.
pub fn header(bytes: &[u8]) {
    let mut repaired = bytes.to_vec();
    repair_header(&mut repaired);
    for bytes in [bytes, repaired.as_slice()] {
        if let Ok(header) = Header::decode(bytes) {
            let read = &bytes[..HEADER_LEN];
            assert!(same_but_for_optional_flags(&header.encode(), read));
        }
    }
}

fn repair_header(bytes: &mut [u8]) {
    if let Some((header, _)) = bytes.split_first_chunk_mut::<HEADER_LEN>() {
        let hash = blake3::hash(&header[..112]);
        header[112..].copy_from_slice(&hash.as_bytes()[..16]);
    }
}

/// Block hashes and tail. What they say of the object's length is believed first, or most inputs
/// would end there.
pub fn trailer(bytes: &[u8]) {
    let mut repaired = bytes.to_vec();
    repair_trailer(&mut repaired);
    for bytes in [bytes, repaired.as_slice()] {
        let Some(tail) = bytes.last_chunk::<TAIL_LEN>() else {
            continue;
        };
        let stated = u64::from_le_bytes(std::array::from_fn(|i| tail[HEADER_LEN + i]));
        for object_len in [stated, bytes.len() as u64] {
            let _ = Tail::decode(tail, object_len);
            if let Ok(trailer) = Trailer::decode(bytes, object_len) {
                let mut written = Vec::new();
                trailer.encode_into(&mut written);
                assert_eq!(written, bytes);
            }
        }
    }
}

fn repair_trailer(bytes: &mut [u8]) {
    if let Some(hashed_len) = bytes.len().checked_sub(40) {
        let hash = blake3::hash(&bytes[..hashed_len]);
        bytes[hashed_len..][..32].copy_from_slice(hash.as_bytes());
    }
}

/// An unsealed table behind nine bytes: whether it is that of a pack, and where it lies.
pub fn table(bytes: &[u8]) {
    let Some(([is_pack, at @ ..], plain)) = bytes.split_first_chunk::<9>() else {
        return;
    };
    let (name, offset) = (name_in(plain), u64::from_le_bytes(*at));
    if let Ok(table) = Table::decode(plain, name, offset, is_pack & 1 == 1) {
        let (written, padding) = plain.split_at(table.encoded_len());
        assert_eq!(table.encode(), written);
        assert!(padding.iter().all(|&byte| byte == 0));
    }
}

/// The name that the bytes say they have: a wrong name is refused before anything else.
fn name_in(bytes: &[u8]) -> TableName {
    let mut cursor = Cursor::new(bytes);
    TableName {
        session: SessionId(cursor.array().unwrap_or_default()),
        number: cursor.u32().unwrap_or_default(),
    }
}

/// A run of the index.
pub fn index_run(bytes: &[u8]) {
    if let Ok(run) = IndexRun::decode(bytes, name_in(bytes)) {
        let names_replaced = bytes[36..40] != [0; 4];
        assert!(names_replaced || run.encode() == bytes, "one spelling");
    }
}

/// The head of any page.
pub fn page_head(bytes: &[u8]) {
    if let Ok((head, cursor)) = PageHead::decode(bytes) {
        assert_eq!(head.encode(cursor.rest()), bytes);
    }
}

/// A leaf of a tree.
pub fn tree_leaf(bytes: &[u8]) {
    if let Ok(items) = tree::decode_leaf(bytes) {
        let mut writer = TreeLeafWriter::default();
        for item in &items {
            writer.push(&item.folder, &item.entry);
        }
        assert_eq!(writer.finish(), bytes);
    }
}

/// An inner page of a tree.
pub fn tree_inner(bytes: &[u8]) {
    if let Ok((level, children)) = tree::decode_inner(bytes) {
        assert_eq!(tree::encode_inner(level, &children), bytes);
    }
}

/// A leaf of a scan.
pub fn scan_leaf(bytes: &[u8]) {
    if let Ok(items) = scan::decode_leaf(bytes) {
        let mut writer = ScanLeafWriter::default();
        for item in &items {
            writer.push(&item.folder, &item.name, &item.seen);
        }
        assert_eq!(writer.finish(), bytes);
    }
}

/// An inner page of a scan.
pub fn scan_inner(bytes: &[u8]) {
    if let Ok((level, children)) = scan::decode_inner(bytes) {
        assert_eq!(scan::encode_inner(level, &children), bytes);
    }
}

/// A leaf of extents.
pub fn extents_leaf(bytes: &[u8]) {
    if let Ok(list) = extents::decode_leaf(bytes) {
        assert_eq!(extents::encode_leaf(&list), bytes);
    }
}

/// An inner page of extents.
pub fn extents_inner(bytes: &[u8]) {
    if let Ok((level, children)) = extents::decode_inner(bytes) {
        assert_eq!(extents::encode_inner(level, &children), bytes);
    }
}

/// A leaf of cuts.
pub fn cuts_leaf(bytes: &[u8]) {
    if let Ok(cuts) = cuts::decode_leaf(bytes) {
        let mut writer = CutsLeafWriter::default();
        cuts.iter().for_each(|&cut| writer.push(cut));
        assert_eq!(writer.finish(), bytes);
    }
}

/// An inner page of cuts.
pub fn cuts_inner(bytes: &[u8]) {
    if let Ok((level, children)) = cuts::decode_inner(bytes) {
        assert_eq!(cuts::encode_inner(level, &children), bytes);
    }
}

/// The payload of a snapshot.
pub fn snapshot(bytes: &[u8]) {
    if let Ok(snapshot) = Snapshot::decode(bytes, keys::SESSION) {
        let written = snapshot.encode();
        assert_eq!(Snapshot::decode(&written, keys::SESSION), Ok(snapshot));
    }
}

/// The payload of an intent.
pub fn intent(bytes: &[u8]) {
    if let Ok(intent) = Intent::decode(bytes, keys::SESSION) {
        let written = intent.encode();
        assert_eq!(Intent::decode(&written, keys::SESSION), Ok(intent));
    }
}

/// The payload of a tombstone.
pub fn tombstone(bytes: &[u8]) {
    if let Ok(tombstone) = Tombstone::decode(bytes, keys::SESSION) {
        let written = tombstone.encode();
        assert_eq!(Tombstone::decode(&written, keys::SESSION), Ok(tombstone));
    }
}

/// The payload of a protection.
pub fn protection(bytes: &[u8]) {
    if let Ok(protection) = Protection::decode(bytes, keys::SESSION) {
        let written = protection.encode();
        assert_eq!(Protection::decode(&written, keys::SESSION), Ok(protection));
    }
}

/// The payload of a boot.
pub fn boot(bytes: &[u8]) {
    if let Ok(boot) = Boot::decode(bytes, keys::SESSION) {
        let written = boot.encode();
        assert_eq!(Boot::decode(&written, keys::SESSION), Ok(boot));
    }
}

/// The payload of a plan or a seal, under the number that it says.
pub fn prune_record(bytes: &[u8]) {
    let number = Cursor::new(bytes).u32().unwrap_or_default();
    if let Ok(record) = PruneRecord::decode(bytes, number) {
        assert_eq!(record.encode(), bytes);
    }
}

/// The name of an object.
pub fn object_name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(name) = text.parse::<ObjectName>() {
        assert_eq!(name.to_string(), text);
        assert!(text.starts_with(name.kind().folder()));
    }
}

/// A whole object sealed under the keys of tests, its checksums repaired.
pub fn sealed_object(bytes: &[u8]) {
    let mut repaired = bytes.to_vec();
    repair_object(&mut repaired);
    let keys = keys::keys();
    for bytes in [bytes, repaired.as_slice()] {
        for number in 0..2 {
            let name = name_of_sealed(bytes, number);
            if let Ok(object) = object::open_bytes(&keys, &name, bytes) {
                let _ = object::verify_blocks(&object, bytes);
                let _ = object::payload(&keys, &object, bytes);
            }
        }
    }
}

/// A name that an object with this header may have.
fn name_of_sealed(bytes: &[u8], number: u32) -> ObjectName {
    let session = keys::SESSION;
    let pack = |class| ObjectName::Pack {
        session,
        number,
        class,
    };
    match Header::decode(bytes).map(|header| header.kind) {
        Ok(SealedKind::DataPack) => pack(PackClass::Data),
        Ok(SealedKind::MetaPack) => pack(PackClass::Meta),
        Ok(SealedKind::IndexRun) => ObjectName::Index { session, number },
        Ok(SealedKind::Intent) => ObjectName::Intent(session),
        Ok(SealedKind::Tombstone) => ObjectName::Forgotten(session),
        Ok(SealedKind::Protection) => ObjectName::Protected { session, number },
        Ok(SealedKind::Boot) => ObjectName::Boot { session, number },
        Ok(SealedKind::PrunePlan) => ObjectName::Prune(PruneStep::Plan, number),
        Ok(SealedKind::PruneSeal) => ObjectName::Prune(PruneStep::Seal, number),
        Ok(SealedKind::PruneDone) => ObjectName::Prune(PruneStep::Done, number),
        Ok(SealedKind::Commit | SealedKind::Abort) | Err(_) => ObjectName::Snapshot(session),
    }
}

fn repair_object(bytes: &mut [u8]) {
    repair_header(bytes);
    let blocks = bytes.last_chunk::<TAIL_LEN>().and_then(|tail| {
        let count = Cursor::new(&tail[HEADER_LEN + 24..]).u32().ok()? as usize;
        bytes.len().checked_sub(count.checked_mul(32)? + TAIL_LEN)
    });
    if let Some(from) = blocks {
        repair_trailer(&mut bytes[from..]);
    }
}

/// A zstd frame behind three bytes of the length that its table would give it.
pub fn decompress(bytes: &[u8]) {
    let Some((len, coded)) = bytes.split_first_chunk::<3>() else {
        return;
    };
    let plain_len = u32::from_le_bytes([len[0], len[1], len[2], 0]) as usize;
    let plain_len = plain_len.min(FRAME_LEN_LIMIT);
    let mut out = Vec::new();
    for codec in [Codec::Zstd, Codec::Stored] {
        let decoded = Decompressor::new().decompress(coded, codec, plain_len, &mut out);
        assert!(decoded.is_err() || out.len() == plain_len);
        assert!(out.capacity() <= 2 * plain_len.max(coded.len()) + 64);
    }
}

/// Cuts of a stream: the bytes repeated, so that a short input makes several chunks.
pub fn chunker(bytes: &[u8]) {
    let Some((&[times, step], bytes)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let stream = bytes.repeat(usize::from(times) % 32 + 1);
    let sizes = ChunkSizes::new(64, 8192, 16_384).expect("sizes within their limits");
    let chunker = Chunker::new(&[step; 32], sizes);
    let cuts: Vec<_> = chunker.cuts(&stream).collect();
    assert_eq!(cuts.last().copied().unwrap_or(0), stream.len());
    let mut start = 0;
    for &cut in &cuts {
        assert!(cut - start <= sizes.max() && (cut - start >= sizes.min() || cut == stream.len()));
        start = cut;
    }
    let mut candidates = Vec::new();
    let step = usize::from(step) * 64 + 1;
    for from in (0..stream.len()).step_by(step) {
        let read = stream.len().min(from + step);
        chunker.scan(&stream[..read], from, &mut candidates);
    }
    let mut selected = Vec::new();
    let len = stream.len();
    chunker.select(&candidates, 0, len, len, true, &mut selected);
    assert_eq!(
        selected, cuts,
        "scanned in steps and selected, or cut at once"
    );
}

/// Patterns to exclude, one a line; the last line is the path that is asked for.
pub fn excludes(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut patterns: Vec<_> = text.split('\n').map(str::to_owned).collect();
    let path = patterns.pop().unwrap_or_default();
    let excludes = Excludes {
        patterns,
        ..Excludes::default()
    };
    for is_folder in [false, true] {
        let _ = is_excluded(&excludes, path.as_bytes(), is_folder);
    }
}

/// Partition tables and the marks of file systems.
pub fn disk_layout(bytes: &[u8]) {
    let mut repaired = bytes.to_vec();
    repair_gpt(&mut repaired);
    for bytes in [bytes.to_vec(), repaired] {
        for sector_len in [None, Some(512), Some(4096)] {
            let volume = TinyVolume(bytes.clone());
            let layout = layout_of(&volume, sector_len);
            assert_eq!(
                layout,
                layout_of(&volume, sector_len),
                "the same every time"
            );
            assert_sound_partitions_are_apart(&layout);
        }
    }
}

fn layout_of(volume: &TinyVolume, sector_len: Option<u32>) -> DiskLayout {
    let layout = read_layout(volume, volume.0.len() as u64, sector_len);
    layout.expect("whatever a volume holds is no error")
}

fn assert_sound_partitions_are_apart(layout: &DiskLayout) {
    let sound = layout.partitions.iter().filter(|one| one.is_sound());
    let mut places: Vec<_> = sound
        .filter(|one| !one.is_container())
        .map(|Partition { offset, len, .. }| (*offset, offset + len))
        .collect();
    places.sort_unstable();
    assert!(places.is_sorted_by(|a, b| a.1 <= b.0), "{places:?}");
    assert!(
        places
            .iter()
            .all(|place| place.0 < place.1 && place.1 <= layout.len)
    );
}

/// Every walk through a file system, whether the volume is recognized as one or not.
pub fn disk_hints(bytes: &[u8]) {
    let volume = TinyVolume(bytes.to_vec());
    for kind in [
        FileSystemKind::Ext4,
        FileSystemKind::Fat32,
        FileSystemKind::Ntfs,
    ] {
        let mut layout = DiskLayout::unknown(bytes.len() as u64, 512);
        layout.file_system = Some(FileSystem::of(kind));
        assert_hints(&volume, &layout);
    }
    assert_hints(&volume, &layout_of(&volume, None));
}

fn assert_hints(volume: &TinyVolume, layout: &DiskLayout) {
    let options = HintOptions {
        memory_bytes: 1 << 20,
        ..HintOptions::default()
    };
    let hints = Hints::collect(volume, layout, &options).expect("no file is written");
    let offsets: Vec<_> = hints
        .iter()
        .map(|hint| hint.expect("no file is read"))
        .collect();
    assert!(offsets.is_sorted_by(|a, b| a < b), "ascending, each once");
    assert!(offsets.last().is_none_or(|last| *last <= layout.len));
}

/// A physical volume with its checksums repaired, and the metadata of a group by itself.
pub fn lvm(bytes: &[u8]) {
    let mut repaired = bytes.to_vec();
    repair_lvm(&mut repaired);
    for bytes in [bytes, repaired.as_slice()] {
        let volume = TinyVolume(bytes.to_vec());
        if let Ok(Some(group)) = read_group(&volume, 0, bytes.len() as u64) {
            assert_pieces_follow_each_other(&group);
        }
    }
    if let Ok(group) = VolumeGroup::decode(&String::from_utf8_lossy(bytes)) {
        assert_pieces_follow_each_other(&group);
    }
}

fn assert_pieces_follow_each_other(group: &VolumeGroup) {
    for volume in &group.volumes {
        let mut end = 0;
        for piece in volume.pieces.iter().flatten() {
            assert!(piece.start == end && piece.member < group.members.len());
            end += piece.len;
        }
        assert!(volume.pieces.is_err() || end == volume.len);
    }
}

/// All that an NBD server says, from its greeting on; or the URL that leads to it.
pub fn nbd_reply(bytes: &[u8]) {
    let _ = nbd::transcript(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = nbd::Url::parse(text);
    }
}

/// All that a client says to the NBD server, from its flags on.
pub fn nbd_request(bytes: &[u8]) {
    let heard = serve::nbd::transcript(bytes);
    // Each request is answered with the export at most, and each option with what is told of it.
    assert!(heard <= 1024 + bytes.len() * (80 << 10) / 16);
}

/// A list of changed ranges that another tool wrote: what is read is in its one spelling.
pub fn changed_ranges(bytes: &[u8]) {
    const LEN: u64 = 8 << 20;
    let Ok(found) = ChangedRanges::read(bytes, LEN) else {
        return;
    };
    let ranges = &found.ranges;
    assert!(
        ranges
            .iter()
            .all(|range| range.start < range.end && range.end <= LEN)
    );
    assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
    assert!(ranges.len() as u64 <= found.entries);
}

/// What an overlay says it lies over, its checksum repaired.
pub fn overlay_state(bytes: &[u8]) {
    let mut repaired = bytes.to_vec();
    let body_len = bytes.windows(9).rposition(|word| word == b"checksum ");
    if let Some(len) = body_len {
        repaired.truncate(len);
        let checksum = blake3::hash(&repaired).to_hex();
        repaired.extend_from_slice(format!("checksum {checksum}\n").as_bytes());
    }
    for bytes in [bytes, repaired.as_slice()] {
        if let Ok(state) = State::decode(bytes) {
            let written = state.encode();
            assert_eq!(State::decode(written.as_bytes()), Ok(state));
        }
    }
}
