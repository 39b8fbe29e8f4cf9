//! Vectors of packs with frames that were sealed in other objects and moved.

use crate::encode::object::Object;
use crate::encode::object::Origin;
use crate::encode::object::Pieces;
use crate::encode::pages;
use crate::make::CHECKSUM;
use crate::make::MALFORMED;
use crate::make::Set;
use crate::make::VALID;
use crate::make::WRONG_KEY;
use crate::make::sealed::name;

pub(crate) fn all() -> Vec<Set> {
    vec![data_packs(), meta_packs(), left_out(), tables()]
}

/// A frame of a data pack of epoch 2 by ChaCha20-Poly1305, moved here.
fn moved(piece: &[u8], counter: u64) -> Pieces {
    let origin = Origin::new(true, 2, 2, [0xc3; 32]);
    Pieces {
        moved: Some((origin, counter)),
        ..Pieces::plain(&[piece])
    }
}

/// Frames that were moved, about one that was sealed here.
fn mixed() -> Object {
    let own = Pieces::plain(&[b"sealed here"]);
    Object::new(
        1,
        vec![moved(b"moved here", 7), own, moved(b"moved too", 3)],
    )
}

/// Frames of two origins, none of them sealed here.
fn all_moved() -> Object {
    let other = Origin::new(true, 1, 1, [0xc4; 32]);
    let other = Pieces {
        moved: Some((other, 0)),
        ..Pieces::zstd(&[b"moved from", b"another pack"])
    };
    Object::new(1, vec![moved(b"moved here", 7), other])
}

/// Two pages, moved.
fn moved_pages() -> Object {
    let origin = Origin::new(false, 1, 1, [0xc5; 32]);
    let frame = |page: &[u8], counter| Pieces {
        moved: Some((origin.clone(), counter)),
        ..Pieces::zstd(&[page])
    };
    let first = pages::page(3, 0, 1, &[pages::hole(10)]);
    let second = pages::page(3, 0, 1, &[pages::zero(20)]);
    Object::new(2, vec![frame(&first, 4), frame(&second, 1)])
}

fn leave_out(mut object: Object) -> Vec<u8> {
    object.edit_table = |table| table.origins[0].commitment = [0; 32];
    object.encode()
}

fn data_packs() -> Set {
    let mut set = Set::new("object", &name(1), "test keys");
    set.add(
        "moved_frames",
        VALID,
        "frames of another epoch and AEAD, counters kept",
        mixed().encode(),
    );
    set.add(
        "moved_alone",
        VALID,
        "frames of two other packs and none of its own",
        all_moved().encode(),
    );
    let mut lost = mixed();
    lost.edit_table = |table| table.origins[1].epoch = 3;
    set.add(
        "origin_epoch",
        WRONG_KEY,
        "the origin of a frame is of an epoch that is not there",
        lost.encode(),
    );
    let mut turned = mixed();
    turned.edit_table = |table| table.frames[0].counter = 8;
    set.add(
        "moved_counter",
        CHECKSUM,
        "a moved frame under the counter of another",
        turned.encode(),
    );
    let mut exchanged = all_moved();
    exchanged.edit_table = |table| table.frames[1].origin = 1;
    set.add(
        "moved_origin",
        CHECKSUM,
        "a moved frame under the origin of another",
        exchanged.encode(),
    );
    set
}

fn meta_packs() -> Set {
    let mut set = Set::new("object", &name(2), "test keys");
    set.add(
        "moved_pages",
        VALID,
        "pages that were moved, and none sealed here",
        moved_pages().encode(),
    );
    set.add(
        "moved_pages_uncommitted",
        VALID,
        "pages that were moved, origin 0 commits to nothing",
        leave_out(moved_pages()),
    );
    set
}

/// Whose origin 0 commits to nothing: 32 zero bytes.
fn left_out() -> Set {
    let mut set = Set::new("object", &name(1), "test keys");
    set.add(
        "moved_uncommitted",
        VALID,
        "all frames were moved, origin 0 commits to nothing",
        leave_out(all_moved()),
    );
    set.add(
        "moved_uncommitted_own",
        WRONG_KEY,
        "a frame was sealed here, origin 0 commits to nothing",
        leave_out(mixed()),
    );
    set.add(
        "uncommitted_empty",
        WRONG_KEY,
        "there is no frame, origin 0 commits to nothing",
        leave_out(Object::new(1, vec![])),
    );
    let mut other = all_moved();
    other.edit_table = |table| table.origins[0].commitment = [9; 32];
    set.add(
        "moved_commitment",
        WRONG_KEY,
        "all frames were moved, origin 0 commits to another frame key",
        other.encode(),
    );
    let mut other = all_moved();
    other.edit_table = |table| table.origins[1].commitment = [0; 32];
    set.add(
        "moved_origin_uncommitted",
        WRONG_KEY,
        "the origin of a moved frame commits to nothing",
        other.encode(),
    );
    let mut other = all_moved();
    other.edit_table = |table| {
        table.origins[0].commitment = [0; 32];
        table.origins[0].salt[0] ^= 1;
    };
    set.add(
        "moved_uncommitted_salt",
        MALFORMED,
        "origin 0 commits to nothing and has another salt than the header",
        other.encode(),
    );
    set
}

fn tables() -> Set {
    let (body, table) = all_moved().body_and_table();
    let at = format!("table offset {}", body.len());
    let mut set = Set::new("table", &name(1), &at);
    set.add(
        "moved_frames",
        VALID,
        "frames of two origins, counters as they were",
        table.encode(),
    );
    set
}
