//! Vectors of sealed objects: headers, whole objects, tables, and what needs no key.

use crate::encode;
use crate::encode::object::Header;
use crate::encode::object::Object;
use crate::encode::object::Pieces;
use crate::encode::object::Table;
use crate::encode::object::Tail;
use crate::encode::pages;
use crate::encode::payload;
use crate::encode::payload::Cbor;
use crate::make::CHECKSUM;
use crate::make::FLAG;
use crate::make::LIMIT;
use crate::make::MALFORMED;
use crate::make::Set;
use crate::make::TRUNCATED;
use crate::make::VALID;
use crate::make::VERSION;
use crate::make::WRONG_KEY;

pub(crate) const SESSION_HEX: &str = "707172737475767778797a7b7c7d7e7f";

pub(crate) fn name(kind: u8) -> String {
    match kind {
        1 => format!("packs/{SESSION_HEX}/00000001.data"),
        2 => format!("packs/{SESSION_HEX}/00000001.meta"),
        3 => format!("index/{SESSION_HEX}-00000001"),
        6 => format!("intents/{SESSION_HEX}"),
        7 => format!("forgotten/{SESSION_HEX}"),
        8 => "prune/plan-00000001".into(),
        9 => "prune/seal-00000001".into(),
        10 => "prune/done-00000001".into(),
        11 => format!("protected/{SESSION_HEX}-00000001"),
        12 => format!("boots/{SESSION_HEX}-00000001"),
        _ => format!("snapshots/{SESSION_HEX}"),
    }
}

pub(crate) fn all() -> Vec<Set> {
    vec![
        headers(),
        packs(),
        meta_packs(),
        trailers(),
        codecs(),
        runs(),
        snapshots(),
        intents(),
        tables(),
        tables_without_chunks(),
        blocks(),
    ]
}

fn headers() -> Set {
    let mut set = Set::new("header", &name(1), "test keys");
    let edited = |edit: fn(&mut Header)| {
        let mut header = Header::new(1);
        edit(&mut header);
        header.encode()
    };
    let valid = edited(|_| ());
    set.add("valid", VALID, "a data pack, AES-256-GCM", valid.clone());
    set.add(
        "valid_chacha",
        VALID,
        "ChaCha20-Poly1305",
        edited(|h| h.aead = 2),
    );
    set.add(
        "optional_flag",
        VALID,
        "optional flags are ignored",
        edited(|h| h.optional = 0x8000_0001),
    );
    set.add(
        "epoch_2",
        VALID,
        "the second epoch",
        edited(|h| h.epoch = 2),
    );
    set.add("cut", TRUNCATED, "127 bytes", &valid[..127]);
    set.add(
        "magic",
        MALFORMED,
        "the magic of a record",
        edited(|h| h.magic[3] = b'R'),
    );
    set.add(
        "kind",
        MALFORMED,
        "a meta pack under the name of a data pack",
        edited(|h| h.kind = 2),
    );
    set.add(
        "kind_zero",
        MALFORMED,
        "kind 0 is never valid",
        edited(|h| h.kind = 0),
    );
    set.add(
        "kind_12",
        MALFORMED,
        "kind 12 is unknown",
        edited(|h| h.kind = 12),
    );
    set.add("version", VERSION, "version 2", edited(|h| h.version = 2));
    set.add(
        "aead",
        MALFORMED,
        "AEAD 3 is unknown",
        edited(|h| h.aead = 3),
    );
    set.add(
        "wrap",
        MALFORMED,
        "wrap 1 is reserved",
        edited(|h| h.wrap = 1),
    );
    set.add(
        "required_flag",
        FLAG,
        "bit 31 of required",
        edited(|h| h.required = 1 << 31),
    );
    set.add(
        "epoch",
        WRONG_KEY,
        "epoch 3 is not in the keys",
        edited(|h| h.epoch = 3),
    );
    set.add(
        "wrapped_len",
        MALFORMED,
        "a wrapped key that wrap 0 does not have",
        edited(|h| h.wrapped_len = 1),
    );
    set.add(
        "reserved",
        MALFORMED,
        "the last reserved byte is 1",
        edited(|h| h.reserved[5] = 1),
    );
    set.add(
        "repository",
        MALFORMED,
        "another repository",
        edited(|h| h.repository_id[0] ^= 1),
    );
    set.add(
        "commitment",
        WRONG_KEY,
        "another commitment",
        edited(|h| h.commitment = Some([9; 32])),
    );
    set.add_in(
        "other keys",
        "other_keys",
        WRONG_KEY,
        "the right header, other keys",
        valid.clone(),
    );
    let mut changed = valid;
    changed[50] ^= 1;
    set.add("changed", CHECKSUM, "one bit of the salt changed", changed);
    set
}

pub(crate) fn data_pack() -> Object {
    let frames = vec![
        Pieces::plain(&[b"first chunk", b"second"]),
        Pieces::zstd(&[b"third chunk"]),
    ];
    Object::new(1, frames)
}

fn packs() -> Set {
    let mut set = Set::new("object", &name(1), "test keys");
    set.add(
        "data_pack",
        VALID,
        "two frames, three chunks",
        data_pack().encode(),
    );
    let mut chacha = data_pack();
    chacha.header.aead = 2;
    set.add(
        "data_pack_chacha",
        VALID,
        "the same by ChaCha20-Poly1305",
        chacha.encode(),
    );
    set.add(
        "data_pack_empty",
        VALID,
        "no frames",
        Object::new(1, vec![]).encode(),
    );
    let blocks = Pieces::plain(&[&vec![7; 70_000]]);
    set.add(
        "two_blocks",
        VALID,
        "more than one block",
        Object::new(1, vec![blocks]).encode(),
    );
    let table = |edit: fn(&mut Table)| {
        Object {
            edit_table: edit,
            ..data_pack()
        }
        .encode()
    };
    set.add(
        "origin_0",
        MALFORMED,
        "origin 0 has another salt than the header",
        table(|t| t.origins[0].salt[0] ^= 1),
    );
    set.add(
        "origin_commitment",
        WRONG_KEY,
        "origin 0 commits to another frame key",
        table(|t| t.origins[0].commitment = [9; 32]),
    );
    set.add(
        "chunk_id",
        CHECKSUM,
        "an id that is not of its chunk",
        table(|t| t.chunks[1].0[0] ^= 1),
    );
    set.add(
        "plain_len",
        MALFORMED,
        "a stored frame is longer than plain_len",
        table(|t| {
            t.frames[0].plain_len -= 1;
            t.chunks[1].1 -= 1;
        }),
    );
    set.add(
        "counter",
        MALFORMED,
        "the second own frame has counter 2",
        table(|t| t.frames[1].counter = 2),
    );
    let body = |edit: fn(&mut Vec<u8>, usize)| {
        Object {
            edit_body: edit,
            ..data_pack()
        }
        .encode()
    };
    set.add(
        "origin_0_epoch",
        MALFORMED,
        "origin 0 is of another epoch than the header",
        table(|t| t.origins[0].epoch = 2),
    );
    set.add(
        "origin_0_aead",
        MALFORMED,
        "origin 0 is of another AEAD than the header",
        table(|t| t.origins[0].aead = 2),
    );
    set.add(
        "changed_frame",
        CHECKSUM,
        "one bit of a frame changed, block hashes agree",
        body(|b, _| b[130] ^= 1),
    );
    set.add(
        "changed_table",
        CHECKSUM,
        "one bit of the table changed, block hashes agree",
        body(|b, table| b[table + 5] ^= 1),
    );
    let mut swapped = data_pack();
    swapped.frames = vec![
        Pieces::plain(&[b"same len 1"]),
        Pieces::plain(&[b"same len 2"]),
    ];
    swapped.edit_body = |body, _| body[128..180].rotate_left(26);
    set.add(
        "frames_swapped",
        CHECKSUM,
        "two frames changed places, a counter is bound",
        swapped.encode(),
    );
    set
}

fn meta_packs() -> Set {
    let mut set = Set::new("object", &name(2), "test keys");
    let first = pages::page(3, 0, 1, &[pages::hole(10)]);
    let second = pages::page(3, 0, 1, &[pages::zero(20)]);
    let frames = vec![Pieces::zstd(&[&first]), Pieces::zstd(&[&second])];
    set.add(
        "meta_pack",
        VALID,
        "two frames of a page each",
        Object::new(2, frames).encode(),
    );
    set
}

fn trailers() -> Set {
    let mut set = Set::new("object", &name(1), "test keys");
    let tail = |edit: fn(&mut Tail)| {
        Object {
            edit_tail: edit,
            ..data_pack()
        }
        .encode()
    };
    let valid = data_pack().encode();
    set.add(
        "cut_after_header",
        TRUNCATED,
        "a header and half of a tail",
        &valid[..256],
    );
    set.add("cut_in_header", TRUNCATED, "100 bytes", &valid[..100]);
    set.add(
        "end_magic",
        MALFORMED,
        "the last byte differs",
        tail(|t| t.magic[7] = 0),
    );
    set.add(
        "header_copy",
        CHECKSUM,
        "the copy of the header is of another object",
        tail(|t| t.header[90] ^= 1),
    );
    set.add(
        "object_len",
        TRUNCATED,
        "the object was one byte longer",
        tail(|t| t.object_len += 1),
    );
    set.add(
        "table_offset",
        MALFORMED,
        "the table ends one byte later",
        tail(|t| t.table_offset += 1),
    );
    set.add(
        "table_offset_huge",
        MALFORMED,
        "the end of the table wraps around",
        tail(|t| t.table_offset = u64::MAX),
    );
    set.add(
        "table_len_limit",
        LIMIT,
        "a table of 64 MiB and 17 bytes",
        tail(|t| t.table_len = (64 << 20) + 17),
    );
    set.add(
        "block_len",
        MALFORMED,
        "blocks of 4096 bytes",
        tail(|t| t.block_len = 4096),
    );
    set.add(
        "block_count",
        MALFORMED,
        "two blocks where one is",
        tail(|t| t.block_count = 2),
    );
    set.add(
        "parity_kind",
        MALFORMED,
        "parity 1 is reserved",
        tail(|t| t.parity_kind = 1),
    );
    set.add(
        "tail_reserved_157",
        MALFORMED,
        "reserved byte 157",
        tail(|t| t.reserved_1[0] = 1),
    );
    set.add(
        "parity_geometry",
        MALFORMED,
        "a geometry without parity",
        tail(|t| t.geometry[0] = 1),
    );
    set.add(
        "tail_reserved_164",
        MALFORMED,
        "reserved byte 167",
        tail(|t| t.reserved_2[3] = 1),
    );
    set.add(
        "parity_offset",
        MALFORMED,
        "an offset without parity",
        tail(|t| t.parity_offset = 1),
    );
    set.add(
        "tail_reserved_176",
        MALFORMED,
        "reserved byte 215",
        tail(|t| t.reserved_3[39] = 1),
    );
    set.add(
        "cut_by_one",
        MALFORMED,
        "the last byte is absent, so that the magic is",
        &valid[..valid.len() - 1],
    );
    let mut changed = valid;
    let in_hashes = changed.len() - 256 - 5;
    changed[in_hashes] ^= 1;
    set.add(
        "trailer_hash",
        CHECKSUM,
        "one bit of a block hash changed",
        changed,
    );
    set
}

fn codecs() -> Set {
    let mut set = Set::new("object", &name(4), "test keys");
    let payload = Cbor::Map(payload::commit(payload::vector_root())).encode();
    let frame = encode::zstd_raw(&payload);
    let object = |codec, stored: &[u8]| {
        Object::new(4, vec![Pieces::stored(payload.len(), codec, stored)]).encode()
    };
    let edited = |at: usize, value: u8| {
        let mut frame = frame.clone();
        frame[at] = value;
        object(1, &frame)
    };
    set.add(
        "codec_2",
        MALFORMED,
        "codec 2 is reserved",
        object(2, &frame),
    );
    set.add(
        "codec_255",
        MALFORMED,
        "an unknown codec",
        object(255, &payload),
    );
    set.add("zstd_magic", MALFORMED, "not a zstd frame", edited(0, 0));
    set.add(
        "zstd_reserved_bit",
        MALFORMED,
        "the reserved bit of the descriptor",
        edited(4, 0xa8),
    );
    set.add(
        "zstd_size",
        MALFORMED,
        "a content size that is not plain_len",
        edited(5, frame[5] ^ 1),
    );
    let checksum = [&frame[..4], &[0xa4], &frame[5..], &[0; 4]].concat();
    set.add(
        "zstd_checksum",
        MALFORMED,
        "a frame with a checksum",
        object(1, &checksum),
    );
    let dictionary = [&frame[..4], &[0xa1, 7], &frame[5..]].concat();
    set.add(
        "zstd_dictionary",
        MALFORMED,
        "a frame with a dictionary",
        object(1, &dictionary),
    );
    let no_size = [&frame[..4], &[0x00, 0x58], &frame[9..]].concat();
    set.add(
        "zstd_no_size",
        MALFORMED,
        "a frame without content size",
        object(1, &no_size),
    );
    let window = [&frame[..4], &[0x80, 0x69], &frame[5..]].concat();
    set.add(
        "zstd_window_limit",
        LIMIT,
        "a window of 9 MiB",
        object(1, &window),
    );
    let window = [&frame[..4], &[0x80, 0x68], &frame[5..]].concat();
    set.add(
        "zstd_window_8_mib",
        VALID,
        "the greatest window",
        object(1, &window),
    );
    let reserved = edited(9, frame[9] | 6);
    set.add(
        "zstd_block",
        MALFORMED,
        "a block of the reserved type",
        reserved,
    );
    let two = [&frame[..], &frame[..]].concat();
    set.add(
        "zstd_two_frames",
        MALFORMED,
        "a second frame follows",
        object(1, &two),
    );
    set
}

fn runs() -> Set {
    let mut set = Set::new("object", &name(3), "test keys");
    let run = payload::Run::new().encode();
    let one = Object::new(3, vec![Pieces::zstd(&[&run])]);
    set.add("index_run", VALID, "a payload in one frame", one.encode());
    let two = Object::new(
        3,
        vec![Pieces::plain(&[&run[..77]]), Pieces::zstd(&[&run[77..]])],
    );
    set.add(
        "index_run_in_pieces",
        VALID,
        "a payload cut anywhere",
        two.encode(),
    );
    set
}

fn snapshots() -> Set {
    let mut set = Set::new("object", &name(4), "test keys");
    let payload = Cbor::Map(payload::commit(payload::vector_root())).encode();
    set.add(
        "commit",
        VALID,
        "a COMMIT",
        Object::new(4, vec![Pieces::zstd(&[&payload])]).encode(),
    );
    set.add("abort", VALID, "an ABORT", Object::new(5, vec![]).encode());
    let with_frame = Object::new(5, vec![Pieces::plain(&[b"x"])]);
    set.add(
        "abort_with_frame",
        MALFORMED,
        "an ABORT with a frame",
        with_frame.encode(),
    );
    set.add(
        "commit_without_frame",
        MALFORMED,
        "a COMMIT without a frame",
        Object::new(4, vec![]).encode(),
    );
    let two = vec![
        Pieces::plain(&[&payload[..9]]),
        Pieces::plain(&[&payload[9..]]),
    ];
    set.add(
        "commit_of_two_frames",
        VALID,
        "a payload cut anywhere",
        Object::new(4, two).encode(),
    );
    let mut other = Object::new(4, vec![Pieces::plain(&[&payload])]);
    other.session = [1; 16];
    set.add(
        "commit_renamed",
        MALFORMED,
        "the table is of another session",
        other.encode(),
    );
    set.add(
        "intent_as_snapshot",
        MALFORMED,
        "kind 6 under snapshots/",
        Object::new(6, vec![]).encode(),
    );
    set
}

fn intents() -> Set {
    let mut set = Set::new("object", &name(6), "test keys");
    let payload = Cbor::Map(payload::intent()).encode();
    set.add(
        "intent",
        VALID,
        "an intent",
        Object::new(6, vec![Pieces::plain(&[&payload])]).encode(),
    );
    set
}

fn tables() -> Set {
    let (body, table) = data_pack().body_and_table();
    let at = format!("table offset {}", body.len());
    let mut set = Set::new("table", &name(1), &at);
    let edited = |edit: fn(&mut Table)| {
        let mut table = table.clone();
        edit(&mut table);
        table.encode()
    };
    let valid = edited(|_| ());
    set.add(
        "valid",
        VALID,
        "two frames, three chunks, 16 bytes of padding",
        valid.clone(),
    );
    set.add(
        "no_padding",
        VALID,
        "padding is not needed",
        edited(|t| t.padding.clear()),
    );
    set.add(
        "padding",
        MALFORMED,
        "padding that is not zero",
        edited(|t| t.padding[15] = 1),
    );
    set.add(
        "session",
        MALFORMED,
        "another session than the name",
        edited(|t| t.session[0] ^= 1),
    );
    set.add(
        "number",
        MALFORMED,
        "another number than the name",
        edited(|t| t.number = 2),
    );
    let cut = &valid[..valid.len() - 16 - 1];
    set.add("cut", TRUNCATED, "the last chunk ends early", cut);
    set.add(
        "no_origin",
        MALFORMED,
        "origin 0 is absent",
        edited(|t| {
            t.origins.clear();
        }),
    );
    set.add(
        "origin_twice",
        MALFORMED,
        "origins are distinct",
        edited(|t| {
            t.origins.push(t.origins[0].clone());
        }),
    );
    set.add(
        "origin_aead",
        MALFORMED,
        "an origin of AEAD 3",
        edited(|t| t.origins[0].aead = 3),
    );
    set.add(
        "origin_wrap",
        MALFORMED,
        "an origin of wrap 1",
        edited(|t| t.origins[0].wrap = 1),
    );
    set.add(
        "origin_wrapped_len",
        MALFORMED,
        "an origin with a wrapped key",
        edited(|t| t.origins[0].wrapped_len = 1),
    );
    set.add(
        "frame_first",
        MALFORMED,
        "the first frame is not at 128",
        edited(|t| t.frames[0].offset = 129),
    );
    set.add(
        "frame_gap",
        MALFORMED,
        "a gap before the second frame",
        edited(|t| t.frames[1].offset += 1),
    );
    set.add(
        "frame_overlap",
        MALFORMED,
        "the second frame begins in the first",
        edited(|t| t.frames[1].offset -= 1),
    );
    set.add(
        "frame_last",
        MALFORMED,
        "the last frame ends before the table",
        edited(|t| t.frames[1].stored_len -= 1),
    );
    set.add(
        "frames_descend",
        MALFORMED,
        "frames in another order",
        edited(|t| t.frames.swap(0, 1)),
    );
    set.add(
        "frame_stored_len",
        MALFORMED,
        "a frame shorter than a tag",
        edited(|t| {
            t.frames[1].offset = 128 + 15;
            t.frames[1].stored_len += t.frames[0].stored_len - 15;
            t.frames[0].stored_len = 15;
        }),
    );
    set.add(
        "frame_plain_len_limit",
        LIMIT,
        "plain_len is 16.5 MiB and 1 byte",
        edited(|t| {
            t.frames[1].plain_len = 17_301_505;
            t.frames[1].chunk_count = 2;
            t.chunks = vec![
                ([0; 32], 11),
                ([1; 32], 6),
                ([2; 32], 16 << 20),
                ([3; 32], 524_289),
            ];
        }),
    );
    set.add(
        "frame_plain_len_greatest",
        VALID,
        "plain_len is 16.5 MiB",
        edited(|t| {
            t.frames[1].plain_len = 17_301_504;
            t.frames[1].chunk_count = 2;
            t.chunks = vec![
                ([0; 32], 11),
                ([1; 32], 6),
                ([2; 32], 16 << 20),
                ([3; 32], 524_288),
            ];
        }),
    );
    set.add(
        "frame_origin",
        MALFORMED,
        "a frame of an origin that is not there",
        edited(|t| t.frames[0].origin = 1),
    );
    set.add(
        "frame_codec",
        MALFORMED,
        "codec 2 is reserved",
        edited(|t| t.frames[0].codec = 2),
    );
    set.add(
        "chunk_empty",
        MALFORMED,
        "a chunk of no bytes",
        edited(|t| {
            t.chunks[0].1 = 0;
            t.chunks[1].1 = 17;
        }),
    );
    set.add(
        "chunk_limit",
        LIMIT,
        "a chunk of 16 MiB and 1 byte",
        edited(|t| {
            t.chunks[2].1 = (16 << 20) + 1;
            t.frames[1].plain_len = (16 << 20) + 1;
        }),
    );
    set.add(
        "chunk_sum",
        MALFORMED,
        "chunks of a frame do not sum to plain_len",
        edited(|t| t.chunks[0].1 += 1),
    );
    set.add(
        "frame_without_chunks",
        MALFORMED,
        "a frame of a pack without chunks",
        edited(|t| {
            t.frames[1].chunk_count = 0;
            t.frames[1].plain_len = 0;
            t.chunks.pop();
        }),
    );
    set.add(
        "counter",
        MALFORMED,
        "the first own frame has counter 1",
        edited(|t| t.frames[0].counter = 1),
    );
    set.add(
        "frame_stored_as_is",
        MALFORMED,
        "a frame of codec 0 is not as long as it says",
        edited(|t| {
            t.frames[0].plain_len -= 1;
            t.chunks[0].1 -= 1;
        }),
    );
    set.add(
        "chunk_unused",
        MALFORMED,
        "a chunk of no frame",
        edited(|t| t.chunks.push(([9; 32], 1))),
    );
    set.add(
        "chunk_lent",
        MALFORMED,
        "frames need more chunks than there are",
        edited(|t| t.frames[1].chunk_count = 2),
    );
    set
}

fn tables_without_chunks() -> Set {
    let object = Object::new(4, vec![Pieces::plain(&[b"payload"])]);
    let (body, mut table) = object.body_and_table();
    let mut set = Set::new("table", &name(4), &format!("table offset {}", body.len()));
    set.add(
        "of_a_snapshot",
        VALID,
        "no chunks, number 0",
        table.encode(),
    );
    let alone = Table {
        origins: vec![],
        frames: vec![],
        ..table.clone()
    };
    set.add_in(
        "table offset 128",
        "no_origin_no_frames",
        MALFORMED,
        "origin 0 is absent",
        alone.encode(),
    );
    table.number = 1;
    set.add(
        "of_a_snapshot_number",
        MALFORMED,
        "a number where the name has none",
        table.encode(),
    );
    table.number = 0;
    table.chunks.push(([1; 32], 7));
    table.frames[0].chunk_count = 1;
    set.add(
        "of_a_snapshot_chunks",
        MALFORMED,
        "an object that is not a pack has chunks",
        table.encode(),
    );
    set
}

fn blocks() -> Set {
    let mut set = Set::new("blocks", "", "");
    let object = Object::new(1, vec![Pieces::plain(&[&vec![7; 70_000]])]);
    let valid = object.encode();
    set.add(
        "valid",
        VALID,
        "two blocks, the last one shorter",
        valid.clone(),
    );
    let mut changed = valid.clone();
    changed[65_535] ^= 1;
    set.add(
        "changed_first",
        CHECKSUM,
        "the last byte of the first block changed",
        changed,
    );
    let mut changed = valid;
    changed[65_536] ^= 1;
    set.add(
        "changed_last",
        CHECKSUM,
        "the first byte of the last block changed",
        changed,
    );
    let hashes = Object {
        edit_hashes: |hashes| hashes[0] ^= 1,
        ..object
    };
    set.add(
        "wrong_hash",
        CHECKSUM,
        "a block hash that the trailer hash covers is wrong",
        hashes.encode(),
    );
    set
}
