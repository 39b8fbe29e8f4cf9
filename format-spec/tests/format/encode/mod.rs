//! A writer of the format for tests, from FORMAT.md alone: fields in, bytes out, every field open to lies.
//!
//! It shares no code with the reference decoder but the constants of the vectors.

pub(crate) mod object;
pub(crate) mod pages;
pub(crate) mod payload;
pub(crate) mod record;

use aes_gcm::KeyInit;
use aes_gcm::aead::Aead;
use aes_gcm::aead::Payload;

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

pub(crate) fn zigzag(value: i64) -> Vec<u8> {
    varint(((value << 1) ^ (value >> 63)) as u64)
}

pub(crate) fn bytes(content: &[u8]) -> Vec<u8> {
    [varint(content.len() as u64), content.to_vec()].concat()
}

pub(crate) fn derive(context: &str, material: &[u8]) -> [u8; 32] {
    blake3::derive_key(context, material)
}

pub(crate) fn hash(content: &[u8]) -> [u8; 32] {
    *blake3::hash(content).as_bytes()
}

pub(crate) fn keyed(key: &[u8; 32], content: &[u8]) -> [u8; 32] {
    *blake3::keyed_hash(key, content).as_bytes()
}

pub(crate) fn seal(
    aead: u8,
    key: &[u8; 32],
    counter: u64,
    aad: &[u8],
    plaintext: &[u8],
) -> Vec<u8> {
    let nonce = [&counter.to_le_bytes()[..], &[0; 4]].concat();
    let payload = Payload {
        msg: plaintext,
        aad,
    };
    if aead == 2 {
        let cipher = chacha20poly1305::ChaCha20Poly1305::new(key.into());
        let nonce = chacha20poly1305::Nonce::try_from(&nonce[..]).expect("12 bytes");
        return cipher.encrypt(&nonce, payload).expect("seals");
    }
    let cipher = aes_gcm::Aes256Gcm::new(key.into());
    let nonce = aes_gcm::aead::Nonce::<aes_gcm::Aes256Gcm>::try_from(&nonce[..]).expect("12 bytes");
    cipher.encrypt(&nonce, payload).expect("seals")
}

/// A zstd frame of raw blocks, made by hand so that no version of a compressor shows in a vector.
pub(crate) fn zstd_raw(content: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend((content.len() as u32).to_le_bytes());
    let mut blocks = content.chunks(100_000).peekable();
    while let Some(block) = blocks.next() {
        let last = u32::from(blocks.peek().is_none());
        frame.extend(&((block.len() as u32) << 3 | last).to_le_bytes()[..3]);
        frame.extend(block);
    }
    frame
}
