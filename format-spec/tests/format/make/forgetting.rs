//! Vectors of what lets snapshots and packs go: tombstones, protections, and the steps of prunes.

use crate::encode::object::Object;
use crate::encode::object::Pieces;
use crate::encode::payload;
use crate::encode::payload::Cbor;
use crate::encode::payload::Step;
use crate::encode::payload::StepPack;
use crate::encode::payload::with;
use crate::make::LIMIT;
use crate::make::MALFORMED;
use crate::make::Set;
use crate::make::TRUNCATED;
use crate::make::VALID;
use crate::make::sealed::name;

const TOMBSTONE: u8 = 7;
const PLAN: u8 = 8;
const SEAL: u8 = 9;
const DONE: u8 = 10;
const PROTECTION: u8 = 11;

pub(crate) fn all() -> Vec<Set> {
    vec![
        tombstone(),
        protection(),
        plan(),
        plan_order(),
        seal(),
        sealed_tombstone(),
        sealed_protection(),
        sealed_plan(),
        sealed_seal(),
        sealed_done(),
    ]
}

pub(super) fn time(nanoseconds: u64) -> Option<Cbor> {
    let time = vec![(0, Cbor::Negative(4)), (1, Cbor::Uint(nanoseconds))];
    Some(Cbor::Map(time))
}

fn tombstone() -> Set {
    let mut set = Set::new("tombstone", &name(TOMBSTONE), "");
    let edited = |key, value| Cbor::Map(with(payload::tombstone(), key, value)).encode();
    let valid = Cbor::Map(payload::tombstone()).encode();
    set.add("valid", VALID, "a snapshot is forgotten", valid.clone());
    set.add(
        "unknown_key",
        VALID,
        "an unknown key is ignored",
        edited(40, Some(Cbor::Uint(1))),
    );
    set.add(
        "before_1970",
        VALID,
        "the last nanosecond of a second before 1970",
        edited(1, time(999_999_999)),
    );
    set.add(
        "session",
        MALFORMED,
        "another session than the name",
        edited(0, Some(Cbor::Bytes(vec![1; 16]))),
    );
    set.add(
        "session_len",
        MALFORMED,
        "a session of 15 bytes",
        edited(0, Some(Cbor::Bytes(vec![0x70; 15]))),
    );
    set.add("forgotten_absent", MALFORMED, "no time", edited(1, None));
    set.add(
        "forgotten_type",
        MALFORMED,
        "a time that is not a map",
        edited(1, Some(Cbor::Uint(1))),
    );
    set.add(
        "forgotten_limit",
        MALFORMED,
        "a second of nanoseconds",
        edited(1, time(1_000_000_000)),
    );
    set.add("host_absent", MALFORMED, "no host", edited(2, None));
    set.add("user_absent", MALFORMED, "no user", edited(3, None));
    set.add(
        "user_type",
        MALFORMED,
        "a user of bytes",
        edited(3, Some(Cbor::Bytes(vec![b'u']))),
    );
    set.add_ends(
        MALFORMED,
        "the payload ends early, the envelope did not",
        &valid,
    );
    set
}

fn protection() -> Set {
    let mut set = Set::new("protection", &name(PROTECTION), "");
    let edited = |key, value| Cbor::Map(with(payload::protection(), key, value)).encode();
    let valid = Cbor::Map(payload::protection()).encode();
    set.add("valid", VALID, "a snapshot is protected", valid.clone());
    set.add(
        "unknown_key",
        VALID,
        "an unknown key is ignored",
        edited(40, Some(Cbor::Uint(1))),
    );
    set.add(
        "until_before_decided",
        VALID,
        "a protection that ended before it began",
        edited(1, time(0)),
    );
    set.add(
        "session",
        MALFORMED,
        "another session than the name",
        edited(0, Some(Cbor::Bytes(vec![1; 16]))),
    );
    set.add("until_absent", MALFORMED, "no end", edited(1, None));
    set.add(
        "until_limit",
        MALFORMED,
        "a second of nanoseconds",
        edited(1, time(1_000_000_000)),
    );
    set.add(
        "decided_absent",
        MALFORMED,
        "no time of the decision",
        edited(2, None),
    );
    set.add(
        "decided_type",
        MALFORMED,
        "a time that is not a map",
        edited(2, Some(Cbor::Uint(1))),
    );
    set.add("host_absent", MALFORMED, "no host", edited(3, None));
    set.add("user_absent", MALFORMED, "no user", edited(4, None));
    set.add(
        "tombstone",
        MALFORMED,
        "a tombstone where a protection is",
        Cbor::Map(payload::tombstone()).encode(),
    );
    set.add_ends(
        MALFORMED,
        "the payload ends early, the envelope did not",
        &valid,
    );
    set
}

fn edited(edit: fn(&mut Step)) -> Vec<u8> {
    let mut step = Step::new();
    edit(&mut step);
    step.encode()
}

fn plan() -> Set {
    let mut set = Set::new("plan", &name(PLAN), "");
    let valid = edited(|_| ());
    set.add("valid", VALID, "three packs, two snapshots", valid.clone());
    set.add(
        "empty",
        VALID,
        "no packs and no snapshots",
        edited(|s| {
            s.packs.clear();
            s.snapshots.clear();
        }),
    );
    set.add(
        "number",
        MALFORMED,
        "another number than the name",
        edited(|s| s.number = 2),
    );
    set.add(
        "reserved",
        MALFORMED,
        "a reserved byte is 1",
        edited(|s| s.reserved[3] = 1),
    );
    set.add(
        "pack_class_0",
        MALFORMED,
        "a pack of class 0",
        edited(|s| s.packs[0].class = 0),
    );
    set.add(
        "pack_class_3",
        MALFORMED,
        "a pack of class 3",
        edited(|s| s.packs[2].class = 3),
    );
    set.add(
        "pack_reserved",
        MALFORMED,
        "a reserved byte of a pack is 1",
        edited(|s| s.packs[1].reserved[2] = 1),
    );
    set.add(
        "packs_huge",
        TRUNCATED,
        "2^32 - 1 packs, none behind the third",
        edited(|s| {
            s.counts = Some([u32::MAX, 0]);
            s.snapshots.clear();
        }),
    );
    set.add(
        "snapshots_huge",
        TRUNCATED,
        "2^32 - 1 snapshots, none behind the second",
        edited(|s| s.counts = Some([3, u32::MAX])),
    );
    set.add(
        "snapshots_fewer",
        MALFORMED,
        "a snapshot follows the last",
        edited(|s| s.counts = Some([3, 1])),
    );
    set.add("no_bytes", TRUNCATED, "no bytes", []);
    set.add("cut_in_counts", TRUNCATED, "15 bytes", &valid[..15]);
    set.add_ends(TRUNCATED, "the last snapshot ends early", &valid);
    set
}

fn plan_order() -> Set {
    let mut set = Set::new("plan", &name(PLAN), "");
    set.add(
        "pack_numbers",
        VALID,
        "packs ascend by numbers, not by their bytes",
        edited(|s| {
            s.packs[0].number = 2;
            s.packs[1].number = 256;
        }),
    );
    set.add(
        "packs_descend",
        MALFORMED,
        "sessions of packs descend",
        edited(|s| s.packs.rotate_left(1)),
    );
    set.add(
        "pack_numbers_descend",
        MALFORMED,
        "numbers of packs of one session descend",
        edited(|s| s.packs[0].number = 1),
    );
    set.add(
        "pack_classes_descend",
        MALFORMED,
        "meta before data, of one number",
        edited(|s| s.packs.swap(0, 1)),
    );
    set.add(
        "pack_twice",
        MALFORMED,
        "a pack twice",
        edited(|s| {
            let pack: StepPack = s.packs[2].clone();
            s.packs.push(pack);
        }),
    );
    set.add(
        "snapshots_descend",
        MALFORMED,
        "snapshots descend",
        edited(|s| s.snapshots.swap(0, 1)),
    );
    set.add(
        "snapshot_twice",
        MALFORMED,
        "a snapshot twice",
        edited(|s| s.snapshots[1] = s.snapshots[0]),
    );
    set
}

fn seal() -> Set {
    let mut set = Set::new("seal", &name(SEAL), "");
    let valid = edited(|_| ());
    set.add("valid", VALID, "three packs, two snapshots", valid.clone());
    set.add(
        "empty",
        VALID,
        "nothing is deleted, nothing remains",
        edited(|s| {
            s.packs.clear();
            s.snapshots.clear();
        }),
    );
    set.add(
        "number",
        MALFORMED,
        "another number than the name",
        edited(|s| s.number = 0),
    );
    set.add(
        "snapshots_descend",
        MALFORMED,
        "snapshots descend",
        edited(|s| s.snapshots.swap(0, 1)),
    );
    set.add(
        "cut",
        TRUNCATED,
        "the last snapshot ends early",
        &valid[..valid.len() - 1],
    );
    set
}

pub(super) fn set(kind: u8) -> Set {
    Set::new("object", &name(kind), "test keys")
}

pub(super) fn sealed(kind: u8, payload: &[u8]) -> Object {
    Object::new(kind, vec![Pieces::plain(&[payload])])
}

/// Of frames that promise more plaintext than an object of this kind may have.
pub(super) fn too_long(kind: u8, frames: usize) -> Vec<u8> {
    let mut object = Object::new(kind, vec![Pieces::zstd(&[b"payload"]); frames]);
    object.edit_table = |table| {
        table
            .frames
            .iter_mut()
            .for_each(|frame| frame.plain_len = 17_301_504);
    };
    object.encode()
}

fn sealed_tombstone() -> Set {
    let mut set = set(TOMBSTONE);
    let payload = Cbor::Map(payload::tombstone()).encode();
    let whole = sealed(TOMBSTONE, &payload);
    set.add("tombstone", VALID, "a tombstone", whole.encode());
    set.add(
        "tombstone_without_frame",
        MALFORMED,
        "a tombstone without a frame",
        Object::new(TOMBSTONE, vec![]).encode(),
    );
    let mut renamed = whole;
    renamed.session = [1; 16];
    set.add(
        "tombstone_renamed",
        MALFORMED,
        "the table is of another session",
        renamed.encode(),
    );
    set.add(
        "intent_as_tombstone",
        MALFORMED,
        "kind 6 under forgotten/",
        sealed(6, &payload).encode(),
    );
    set.add(
        "tombstone_limit",
        LIMIT,
        "a payload above 16 MiB",
        too_long(TOMBSTONE, 1),
    );
    set
}

fn sealed_protection() -> Set {
    let mut set = set(PROTECTION);
    let whole = sealed(PROTECTION, &Cbor::Map(payload::protection()).encode());
    set.add("protection", VALID, "a protection", whole.encode());
    let mut renumbered = whole;
    renumbered.number = 2;
    set.add(
        "protection_renumbered",
        MALFORMED,
        "the table is of another number",
        renumbered.encode(),
    );
    set.add(
        "protection_limit",
        LIMIT,
        "a payload above 16 MiB",
        too_long(PROTECTION, 1),
    );
    set
}

fn sealed_plan() -> Set {
    let mut set = set(PLAN);
    let payload = Step::new().encode();
    let whole = sealed(PLAN, &payload);
    set.add("plan", VALID, "a plan", whole.encode());
    let (start, end) = payload.split_at(30);
    let pieces = vec![Pieces::plain(&[start]), Pieces::zstd(&[end])];
    set.add(
        "plan_in_pieces",
        VALID,
        "a payload cut anywhere",
        Object::new(PLAN, pieces).encode(),
    );
    set.add(
        "plan_without_frame",
        TRUNCATED,
        "a plan without a frame",
        Object::new(PLAN, vec![]).encode(),
    );
    let mut renumbered = whole.clone();
    renumbered.number = 2;
    set.add(
        "plan_renumbered",
        MALFORMED,
        "the table is of another number",
        renumbered.encode(),
    );
    let mut of_a_session = whole;
    of_a_session.session = [1; 16];
    set.add(
        "plan_session",
        MALFORMED,
        "a session in the table of an object without",
        of_a_session.encode(),
    );
    set.add(
        "seal_as_plan",
        MALFORMED,
        "kind 9 under the name of a plan",
        sealed(SEAL, &payload).encode(),
    );
    set.add(
        "plan_limit",
        LIMIT,
        "a payload above 256 MiB",
        too_long(PLAN, 16),
    );
    set
}

fn sealed_seal() -> Set {
    let mut set = set(SEAL);
    let payload = Step::new().encode();
    set.add("seal", VALID, "a seal", sealed(SEAL, &payload).encode());
    set.add(
        "plan_as_seal",
        MALFORMED,
        "kind 8 under the name of a seal",
        sealed(PLAN, &payload).encode(),
    );
    set.add(
        "seal_limit",
        LIMIT,
        "a payload above 256 MiB",
        too_long(SEAL, 16),
    );
    set
}

fn sealed_done() -> Set {
    let mut set = set(DONE);
    let done = Object::new(DONE, vec![]);
    set.add("done", VALID, "a prune is finished", done.encode());
    set.add(
        "done_with_frame",
        MALFORMED,
        "a done with a frame",
        sealed(DONE, b"x").encode(),
    );
    let mut renumbered = done;
    renumbered.number = 2;
    set.add(
        "done_renumbered",
        MALFORMED,
        "the table is of another number",
        renumbered.encode(),
    );
    let mut abort = Object::new(5, vec![]);
    (abort.session, abort.number) = ([0; 16], 1);
    set.add(
        "abort_as_done",
        MALFORMED,
        "kind 5 under the name of a done",
        abort.encode(),
    );
    set
}
