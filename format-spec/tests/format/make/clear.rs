//! Vectors of config and key slots.

use crate::encode::payload::Cbor;
use crate::encode::payload::text;
use crate::encode::payload::with;
use crate::encode::record;
use crate::encode::record::Record;
use crate::make::CHECKSUM;
use crate::make::FLAG;
use crate::make::LIMIT;
use crate::make::MALFORMED;
use crate::make::Set;
use crate::make::TRUNCATED;
use crate::make::VALID;
use crate::make::VERSION;
use crate::make::WRONG_KEY;
use blockstore_format_spec::vectors::SLOT;

pub(crate) fn all() -> Vec<Set> {
    vec![config_envelope(), config_body(), slot()]
}

fn set() -> Set {
    Set::new("config", "config/00000001", "test keys")
}

fn edited(edit: fn(&mut Record)) -> Vec<u8> {
    let mut record = record::config(record::config_body());
    edit(&mut record);
    record.encode()
}

fn config_envelope() -> Set {
    let mut set = set();
    let valid = edited(|_| ());
    set.add("valid", VALID, "a plain config", valid.clone());
    set.add(
        "optional_flag",
        VALID,
        "optional flags are ignored",
        edited(|r| r.optional = 1 << 31),
    );
    set.add("empty", TRUNCATED, "no bytes at all", []);
    set.add(
        "cut_in_fixed_part",
        TRUNCATED,
        "the first 20 bytes",
        &valid[..20],
    );
    set.add(
        "cut_by_one",
        CHECKSUM,
        "the last byte is absent, another 32 bytes are the hash",
        &valid[..valid.len() - 1],
    );
    set.add(
        "magic",
        MALFORMED,
        "the sixth byte of the magic differs",
        edited(|r| r.magic[5] = 0),
    );
    set.add(
        "kind",
        MALFORMED,
        "a key slot under the name of a config",
        edited(|r| r.kind = 2),
    );
    set.add(
        "kind_zero",
        MALFORMED,
        "kind 0 is never valid",
        edited(|r| r.kind = 0),
    );
    set.add("version", VERSION, "version 2", edited(|r| r.version = 2));
    set.add(
        "reserved",
        MALFORMED,
        "a reserved byte is 1",
        edited(|r| r.reserved = 1),
    );
    set.add(
        "required_flag",
        FLAG,
        "bit 0 of required",
        edited(|r| r.required = 1),
    );
    set.add(
        "body_len_limit",
        LIMIT,
        "one byte above the longest body",
        edited(|r| {
            r.body = vec![0; 65_449];
        }),
    );
    set.add(
        "longer_than_hash",
        CHECKSUM,
        "a byte follows the hash, another 32 bytes are the hash",
        [&valid[..], &[0]].concat(),
    );
    set.add(
        "body_len_greatest",
        MALFORMED,
        "the longest record, zeros are no body",
        edited(|r| r.body = vec![0; 65_448]),
    );
    set.add(
        "body_len_above",
        LIMIT,
        "a stated body longer than any",
        edited(|r| r.body_len = Some(65_449)),
    );
    set.add(
        "body_len_more",
        MALFORMED,
        "a stated body one byte longer than its record",
        edited(|r| r.body_len = Some(r.body.len() as u32 + 1)),
    );
    set.add(
        "body_len_less",
        MALFORMED,
        "a stated body one byte shorter than its record",
        edited(|r| r.body_len = Some(r.body.len() as u32 - 1)),
    );
    set.add(
        "tag",
        CHECKSUM,
        "tagged by another key",
        edited(|r| r.tag_key[0] ^= 1),
    );
    let mut changed = valid.clone();
    changed[30] ^= 1;
    set.add(
        "changed_body",
        CHECKSUM,
        "one bit of the body changed",
        changed,
    );
    let mut changed = valid;
    *changed.last_mut().expect("not empty") ^= 1;
    set.add(
        "changed_hash",
        CHECKSUM,
        "one bit of the hash changed",
        changed,
    );
    set
}

fn config_body() -> Set {
    let mut set = set();
    let body = |key, value| record::config(with(record::config_body(), key, value)).encode();
    let uint = |key, value| body(key, Some(Cbor::Uint(value)));
    set.add(
        "unknown_key",
        VALID,
        "an unknown key is ignored",
        body(99, Some(text("later"))),
    );
    let nested = Cbor::Map(vec![(
        0,
        Cbor::Array(vec![Cbor::Raw(vec![0xf9, 0x3c, 0x00])]),
    )]);
    set.add(
        "unknown_nested",
        VALID,
        "an unknown key holds a map",
        body(99, Some(nested)),
    );
    set.add(
        "unknown_null",
        MALFORMED,
        "null under an unknown key",
        body(99, Some(Cbor::Raw(vec![0xf6]))),
    );
    let depth = |depth| Cbor::Raw([vec![0x81; depth], vec![0]].concat());
    set.add(
        "unknown_depth_16",
        VALID,
        "an unknown key nests 16 deep with the body",
        body(99, Some(depth(14))),
    );
    set.add(
        "unknown_depth_17",
        MALFORMED,
        "an unknown key nests 17 deep with the body",
        body(99, Some(depth(15))),
    );
    let turned = vec![0xa2, 1, 0, 0, 0];
    set.add(
        "unknown_keys_descend",
        MALFORMED,
        "keys descend in a map under an unknown key",
        body(99, Some(Cbor::Raw(turned))),
    );
    set.add(
        "long_number",
        VALID,
        "a number in eight bytes where one is enough",
        body(7, Some(Cbor::Raw(vec![0x1b, 0, 0, 0, 0, 0, 0, 0, 1]))),
    );
    set.add(
        "epoch_wide",
        MALFORMED,
        "an epoch of 33 bits",
        uint(7, 1 << 32),
    );
    set.add(
        "longest_wide",
        LIMIT,
        "a longest chunk of 33 bits",
        uint(4, 1 << 32),
    );
    set.add(
        "id_len",
        MALFORMED,
        "a repository id of 15 bytes",
        body(0, Some(Cbor::Bytes(vec![1; 15]))),
    );
    set.add(
        "shortest_63",
        MALFORMED,
        "a shortest chunk below 64",
        uint(2, 63),
    );
    set.add(
        "shortest_64",
        VALID,
        "the smallest shortest chunk",
        uint(2, 64),
    );
    set.add(
        "shortest_above_average",
        MALFORMED,
        "shortest above average",
        uint(2, 65_537),
    );
    set.add(
        "average_not_a_power",
        MALFORMED,
        "an average of 65,537",
        uint(3, 65_537),
    );
    let small = with(record::config_body(), 2, Some(Cbor::Uint(64)));
    let small = record::config(with(small, 3, Some(Cbor::Uint(4096)))).encode();
    set.add("average_4096", MALFORMED, "an average below 8192", small);
    set.add(
        "longest_below_average",
        MALFORMED,
        "average above longest",
        uint(4, 65_535),
    );
    set.add(
        "longest_16_mib",
        VALID,
        "the greatest longest chunk",
        uint(4, 16 << 20),
    );
    set.add(
        "longest_limit",
        LIMIT,
        "a longest chunk above 16 MiB",
        uint(4, (16 << 20) + 1),
    );
    set.add("aead", MALFORMED, "AEAD 3 is unknown", uint(5, 3));
    set.add(
        "epoch",
        MALFORMED,
        "epoch 9 is not in the bundle",
        uint(7, 9),
    );
    set.add("key_absent", MALFORMED, "no chunk size", body(3, None));
    set.add(
        "type",
        MALFORMED,
        "a text where a number belongs",
        body(1, Some(text("now"))),
    );
    let raw = |bytes: Vec<u8>| record::config_of_bytes(bytes).encode();
    let plain = Cbor::Map(record::config_body()).encode();
    set.add(
        "not_a_map",
        MALFORMED,
        "the body is the number 0",
        raw(vec![0]),
    );
    set.add(
        "body_longer",
        MALFORMED,
        "a byte follows the map",
        raw([&plain[..], &[0]].concat()),
    );
    let indefinite = [&[0xbf], &plain[1..], &[0xff]].concat();
    set.add(
        "indefinite",
        MALFORMED,
        "a map of indefinite length",
        raw(indefinite),
    );
    let text_key = [&plain[..1], &[0x61, b'a'], &plain[2..]].concat();
    set.add("key_text", MALFORMED, "a key that is a text", raw(text_key));
    let mut turned = record::config_body();
    turned.swap(2, 3);
    set.add(
        "keys_descend",
        MALFORMED,
        "key 3 before key 2",
        record::config(turned).encode(),
    );
    let mut doubled = record::config_body();
    doubled.push((7, Cbor::Uint(1)));
    set.add(
        "key_twice",
        MALFORMED,
        "key 7 twice",
        record::config(doubled).encode(),
    );
    set
}

fn slot() -> Set {
    let name = format!("keys/{}", hex(&SLOT));
    let mut set = Set::new("slot", &name, "password");
    let kek = record::password_kek();
    let with_bundle =
        |bundle: &[u8]| record::slot(&kek, record::slot_body(1, &kek, SLOT, bundle)).encode();
    let body = |key, value| {
        let plain = record::slot_body(1, &kek, SLOT, &record::bundle());
        record::slot(&kek, with(plain, key, value)).encode()
    };
    let uint = |key, value| body(key, Some(Cbor::Uint(value)));
    let valid = record::password_slot().encode();
    set.add(
        "valid_password",
        VALID,
        "Argon2id, 8 KiB, 1 pass, 1 lane",
        valid.clone(),
    );
    set.add_in(
        "other password",
        "wrong_password",
        WRONG_KEY,
        "another password",
        valid,
    );
    let file_kek = record::key_file_kek();
    let file_body = record::slot_body(2, &file_kek, SLOT, &record::bundle());
    let by_file = record::slot(&file_kek, file_body).encode();
    set.add_in("key file", "valid_key_file", VALID, "a key file", by_file);
    let mut kind = record::password_slot();
    kind.kind = 1;
    set.add(
        "kind",
        MALFORMED,
        "a config under the name of a slot",
        kind.encode(),
    );
    set.add("way_3", MALFORMED, "the way in 3 is reserved", uint(0, 3));
    set.add("way_0", MALFORMED, "the way in 0 is unknown", uint(0, 0));
    set.add(
        "salt_len",
        MALFORMED,
        "a salt of 31 bytes",
        body(1, Some(Cbor::Bytes(vec![0; 31]))),
    );
    set.add(
        "memory_limit",
        LIMIT,
        "more than 2 GiB for Argon2",
        uint(2, 2_097_153),
    );
    set.add(
        "memory_huge",
        LIMIT,
        "a memory of 64 bits",
        uint(2, u64::MAX),
    );
    set.add("memory_small", MALFORMED, "7 KiB for a lane", uint(2, 7));
    set.add("passes_none", MALFORMED, "no pass", uint(3, 0));
    set.add("lanes_none", MALFORMED, "no lane", uint(4, 0));
    set.add(
        "lanes_absent",
        MALFORMED,
        "lanes are not said",
        body(4, None),
    );
    set.add("passes_limit", LIMIT, "17 passes", uint(3, 17));
    set.add("lanes_limit", LIMIT, "65 lanes", uint(4, 65));
    set.add("aead", MALFORMED, "AEAD 3 is unknown", uint(5, 3));
    set.add(
        "bundle_limit",
        LIMIT,
        "16 KiB and 1 byte",
        body(6, Some(Cbor::Bytes(vec![0; 16_385]))),
    );
    set.add(
        "label_not_utf8",
        MALFORMED,
        "a label that is no text",
        body(8, Some(Cbor::Raw(vec![0x61, 0xff]))),
    );
    let other = record::slot_body(1, &kek, [0x99; 16], &record::bundle());
    let other = record::slot(&kek, other).encode();
    set.add(
        "of_another_name",
        CHECKSUM,
        "sealed under the name of another slot",
        other,
    );
    let bundle = record::bundle();
    let mut edited = bundle.clone();
    edited[0] = 2;
    set.add(
        "bundle_version",
        VERSION,
        "a bundle of version 2",
        with_bundle(&edited),
    );
    let mut edited = bundle.clone();
    edited[1] = 2;
    set.add(
        "bundle_grant",
        MALFORMED,
        "grant 2 is reserved",
        with_bundle(&edited),
    );
    let mut edited = bundle.clone();
    edited[36] = 2;
    set.add(
        "bundle_epochs_equal",
        MALFORMED,
        "epoch 2 twice",
        with_bundle(&edited),
    );
    let none = [&[1, 1, 0, 0], &bundle[4..36]].concat();
    set.add("bundle_no_epoch", MALFORMED, "no epoch", with_bundle(&none));
    let longer = [&bundle[..], &[0]].concat();
    set.add(
        "bundle_longer",
        MALFORMED,
        "a byte follows the last epoch",
        with_bundle(&longer),
    );
    let cut = &bundle[..bundle.len() - 1];
    set.add(
        "bundle_cut",
        TRUNCATED,
        "the last epoch ends early",
        with_bundle(cut),
    );
    set
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
