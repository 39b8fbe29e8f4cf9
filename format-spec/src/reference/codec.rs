//! Codecs of frames: as it is, or one zstd frame (FORMAT.md section 7, RFC 8878).
//!
//! The header and the blocks of a zstd frame are walked here before the decoder sees them, because what
//! version 1 forbids (dictionary, checksum, unknown size, several frames) a general decoder accepts.

use crate::reference::bytes::Reader;
use crate::reference::fault::Fault;
use crate::reference::fault::Result;

const ZSTD_MAGIC: u32 = 0xfd2f_b528;
const WINDOW_MAX: u64 = 8 << 20;

/// Whether version 1 writes this codec.
pub fn is_known(codec: u8) -> bool {
    codec <= 1
}

/// The plaintext, of exactly `plain_len` bytes.
pub fn decompress(codec: u8, stored: &[u8], plain_len: usize) -> Result<Vec<u8>> {
    let reader = Reader::new("codec", stored);
    let plaintext = match codec {
        0 => stored.to_vec(),
        1 => decompress_zstd(stored, plain_len)?,
        _ => return Err(reader.fault(Fault::Malformed, "an unknown codec")),
    };
    reader.require(
        plaintext.len() == plain_len,
        "the plaintext has another length",
    )?;
    Ok(plaintext)
}

fn decompress_zstd(stored: &[u8], plain_len: usize) -> Result<Vec<u8>> {
    let mut reader = Reader::new("zstd frame", stored);
    let content_size = read_frame_header(&mut reader)?;
    reader.require(
        content_size == plain_len as u64,
        "the content size is not plain_len",
    )?;
    skip_blocks(&mut reader)?;
    reader.finish()?;
    let mut plaintext = vec![0; plain_len];
    let written = ruzstd::decoding::FrameDecoder::new()
        .decode_all(stored, &mut plaintext)
        .map_err(|error| reader.fault(Fault::Malformed, error.to_string()))?;
    plaintext.truncate(written);
    Ok(plaintext)
}

/// Reads the header and returns the content size.
fn read_frame_header(reader: &mut Reader<'_>) -> Result<u64> {
    let magic = reader.u32()?;
    reader.require(magic == ZSTD_MAGIC, "not a zstd frame")?;
    let descriptor = reader.u8()?;
    let single_segment = descriptor & 0x20 != 0;
    reader.require(descriptor & 0x0b == 0, "a reserved bit or a dictionary")?;
    reader.require(descriptor & 0x04 == 0, "a zstd checksum")?;
    let window = if single_segment {
        None
    } else {
        Some(window_size(reader.u8()?))
    };
    let content_size = match (descriptor >> 6, single_segment) {
        (0, true) => u64::from(reader.u8()?),
        (0, false) => return Err(reader.fault(Fault::Malformed, "no content size")),
        (1, _) => u64::from(reader.u16()?) + 256,
        (2, _) => u64::from(reader.u32()?),
        _ => reader.u64()?,
    };
    reader.limit(
        window.unwrap_or(content_size),
        WINDOW_MAX,
        "the zstd window",
    )?;
    Ok(content_size)
}

fn window_size(byte: u8) -> u64 {
    let base = 1_u64 << (10 + (byte >> 3));
    base + base / 8 * u64::from(byte & 7)
}

fn skip_blocks(reader: &mut Reader<'_>) -> Result<()> {
    loop {
        let block = reader.u24()?;
        let size = (block >> 3) as usize;
        match block >> 1 & 3 {
            0 | 2 => reader.take(size)?,
            1 => reader.take(1)?,
            _ => return Err(reader.fault(Fault::Malformed, "a reserved zstd block")),
        };
        if block & 1 == 1 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compress(plaintext: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(plaintext, 3).expect("compresses")
    }

    #[test]
    fn real_frames_of_every_size_are_read() {
        let text: Vec<u8> = (0..3_000_000_u32)
            .map(|i| ((i % 251) ^ (i >> 13)) as u8)
            .collect();
        for len in [0, 1, 255, 256, 65_791, 65_792, 300_000, 3_000_000] {
            let plaintext = &text[..len];
            assert_eq!(
                decompress(1, &compress(plaintext), len),
                Ok(plaintext.to_vec()),
                "{len}"
            );
        }
    }

    #[test]
    fn one_frame_of_the_announced_size_and_nothing_else() {
        let frame = compress(&[7; 1000]);
        let fault = |bytes: &[u8], len| decompress(1, bytes, len).expect_err("rejected").fault;
        assert_eq!(fault(&frame, 999), Fault::Malformed);
        assert_eq!(
            fault(&[frame.clone(), frame.clone()].concat(), 2000),
            Fault::Malformed
        );
        assert_eq!(fault(&frame[..frame.len() - 1], 1000), Fault::Truncated);
        assert_eq!(
            fault(&[0x28, 0xb5, 0x2f, 0xfd, 0x84, 0x00], 1),
            Fault::Malformed
        );
    }
}
