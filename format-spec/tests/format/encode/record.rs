//! Clear records and their bodies.

use crate::encode;
use crate::encode::payload::Cbor;
use blockstore_format_spec::vectors::KEY_FILE;
use blockstore_format_spec::vectors::PASSWORD;
use blockstore_format_spec::vectors::REPOSITORY_ID;
use blockstore_format_spec::vectors::SLOT;
use blockstore_format_spec::vectors::test_keys;

pub(crate) struct Record {
    pub magic: [u8; 8],
    pub kind: u8,
    pub version: u8,
    pub reserved: u16,
    pub required: u32,
    pub optional: u32,
    pub body_len: Option<u32>,
    pub body: Vec<u8>,
    pub tag_key: [u8; 32],
}

impl Record {
    pub(crate) fn new(kind: u8, body: Vec<u8>, tag_key: [u8; 32]) -> Record {
        let magic = *b"\x8bBKR\r\n\x1a\n";
        let (version, reserved, required, optional, body_len) = (1, 0, 0, 0, None);
        Record {
            magic,
            kind,
            version,
            reserved,
            required,
            optional,
            body_len,
            body,
            tag_key,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.magic.to_vec();
        out.extend([self.kind, self.version]);
        out.extend(self.reserved.to_le_bytes());
        out.extend(self.required.to_le_bytes());
        out.extend(self.optional.to_le_bytes());
        out.extend(
            self.body_len
                .unwrap_or(self.body.len() as u32)
                .to_le_bytes(),
        );
        out.extend(&self.body);
        out.extend(encode::keyed(&self.tag_key, &out));
        out.extend(encode::hash(&out));
        out
    }
}

pub(crate) fn config_body() -> Vec<(u64, Cbor)> {
    vec![
        (0, Cbor::Bytes(REPOSITORY_ID.to_vec())),
        (1, Cbor::Uint(1_700_000_000)),
        (2, Cbor::Uint(16 << 10)),
        (3, Cbor::Uint(64 << 10)),
        (4, Cbor::Uint(256 << 10)),
        (5, Cbor::Uint(1)),
        (6, Cbor::Uint(1)),
        (7, Cbor::Uint(1)),
    ]
}

pub(crate) fn config(body: Vec<(u64, Cbor)>) -> Record {
    config_of_bytes(Cbor::Map(body).encode())
}

pub(crate) fn config_of_bytes(body: Vec<u8>) -> Record {
    Record::new(
        1,
        body,
        encode::derive("blockstore v1 config key", &test_keys().stable),
    )
}

pub(crate) fn bundle() -> Vec<u8> {
    let keys = test_keys();
    let mut out = vec![1, 1, 2, 0];
    out.extend(keys.stable);
    for (epoch, secret) in &keys.epochs {
        out.extend(epoch.to_le_bytes());
        out.extend(secret);
    }
    out
}

const SALT: [u8; 32] = [0x5a; 32];

pub(crate) fn password_kek() -> [u8; 32] {
    let parameters = argon2::Params::new(8, 1, 1, Some(32)).expect("small and valid");
    let version = argon2::Version::V0x13;
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, version, parameters);
    let mut kek = [0; 32];
    argon2
        .hash_password_into(PASSWORD, &SALT, &mut kek)
        .expect("derives");
    kek
}

pub(crate) fn key_file_kek() -> [u8; 32] {
    encode::derive("blockstore v1 key file", &[&SALT[..], &KEY_FILE].concat())
}

/// Body of a slot with these secrets sealed under the name `slot`.
pub(crate) fn slot_body(
    way: u64,
    kek: &[u8; 32],
    slot: [u8; 16],
    bundle: &[u8],
) -> Vec<(u64, Cbor)> {
    let sealed = encode::seal(1, kek, 0, &[REPOSITORY_ID, slot].concat(), bundle);
    let mut body = vec![(0, Cbor::Uint(way)), (1, Cbor::Bytes(SALT.to_vec()))];
    if way == 1 {
        body.extend([(2, Cbor::Uint(8)), (3, Cbor::Uint(1)), (4, Cbor::Uint(1))]);
    }
    body.extend([
        (5, Cbor::Uint(1)),
        (6, Cbor::Bytes(sealed)),
        (7, Cbor::Uint(1_700_000_000)),
        (8, Cbor::Text("vector".into())),
    ]);
    body
}

pub(crate) fn slot(kek: &[u8; 32], body: Vec<(u64, Cbor)>) -> Record {
    Record::new(
        2,
        Cbor::Map(body).encode(),
        encode::derive("blockstore v1 commitment", kek),
    )
}

/// The slot with password of the vectors.
pub(crate) fn password_slot() -> Record {
    let kek = password_kek();
    slot(&kek, slot_body(1, &kek, SLOT, &bundle()))
}
