//! Compression of frames: zstd, or nothing where it does not pay. §7, codecs.
//!
//! Contexts live as long as their worker; nothing is allocated for a frame.

use zstd::zstd_safe::{CCtx, CParameter, DCtx, DParameter};

use crate::format::DecodeError;
use crate::format::table::Codec;

/// Largest zstd window that a reader accepts: 8 MiB.
const WINDOW_LOG_MAX: u32 = 23;
/// A frame is stored as it is unless zstd saves at least one part in this many.
const WORTH_ONE_IN: usize = 32;
/// Samples whose byte entropy tells incompressible data.
const SAMPLES: usize = 4;
const SAMPLE_LEN: usize = 1024;
/// Below this many bytes probing costs more than it can save.
const PROBE_LEN_MIN: usize = 16 * 1024;
/// Bits a byte above which a sample counts as incompressible. Random kilobytes measure 7.81.
const INCOMPRESSIBLE_BITS: f32 = 7.75;

/// Compresses frames.
pub struct Compressor {
    context: CCtx<'static>,
    level: i32,
    /// After a frame that did not shrink the next one is probed first; text never pays for it.
    suspicious: bool,
}

/// Decompresses frames.
pub struct Decompressor {
    context: DCtx<'static>,
}

impl Compressor {
    /// A compressor of this zstd level; level 0 stores everything.
    pub fn new(level: i32) -> Self {
        let mut context = CCtx::create();
        context
            .set_parameter(CParameter::CompressionLevel(level))
            .expect("zstd clamps every level to its range");
        Self {
            context,
            level,
            suspicious: true,
        }
    }

    /// Codes `plain` into `out`, replacing what it held, and says how.
    pub fn compress(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Codec {
        let skip = self.level == 0 || (self.suspicious && is_incompressible(plain));
        if !skip && self.try_zstd(plain, out) {
            self.suspicious = false;
            return Codec::Zstd;
        }
        self.suspicious = true;
        out.clear();
        out.extend_from_slice(plain);
        Codec::Stored
    }

    /// True if zstd made `plain` small enough to be worth its time on every later read.
    fn try_zstd(&mut self, plain: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        out.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        let worth = plain.len() - plain.len().div_ceil(WORTH_ONE_IN);
        self.context
            .compress2(out, plain)
            .is_ok_and(|len| len <= worth)
    }
}

impl Decompressor {
    /// A decompressor with bounded memory.
    pub fn new() -> Self {
        let mut context = DCtx::create();
        context
            .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
            .expect("zstd takes every window from 1 KiB to 2 GiB");
        Self { context }
    }

    /// Decodes `coded` into `out`, replacing what it held; exactly `plain_len` bytes or an error.
    ///
    /// # Errors
    /// If `coded` is no frame of this codec, or of another length.
    pub fn decompress(
        &mut self,
        coded: &[u8],
        codec: Codec,
        plain_len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        out.clear();
        match codec {
            Codec::Stored => out.extend_from_slice(coded),
            Codec::Zstd => {
                out.reserve(plain_len);
                let decoded = self.context.decompress(out, coded);
                decoded
                    .map_err(|_| DecodeError::Malformed("frame is no zstd frame of its length"))?;
            }
        }
        if out.len() == plain_len {
            Ok(())
        } else {
            Err(DecodeError::Malformed("frame decodes to another length"))
        }
    }
}

impl Default for Decompressor {
    fn default() -> Self {
        Self::new()
    }
}

/// True if samples over `plain` look like ciphertext or compressed data.
fn is_incompressible(plain: &[u8]) -> bool {
    if plain.len() < PROBE_LEN_MIN {
        return false;
    }
    let stride = (plain.len() - SAMPLE_LEN) / (SAMPLES - 1);
    let mut samples = (0..SAMPLES).filter_map(|i| plain.get(i * stride..i * stride + SAMPLE_LEN));
    samples.all(|sample| entropy_bits(sample) > INCOMPRESSIBLE_BITS)
}

/// Bits of entropy a byte.
fn entropy_bits(sample: &[u8]) -> f32 {
    let mut counts = [0_u16; 256];
    for &byte in sample {
        counts[usize::from(byte)] += 1;
    }
    let len = sample.len() as f32;
    let occurring = counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| f32::from(count));
    occurring
        .map(|count| count / len * (len / count).log2())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        blake3::Hasher::new().finalize_xof().fill(&mut out);
        out
    }

    fn round_trip(plain: &[u8], level: i32) -> Codec {
        let (mut coded, mut decoded) = (Vec::new(), Vec::new());
        let codec = Compressor::new(level).compress(plain, &mut coded);
        Decompressor::new()
            .decompress(&coded, codec, plain.len(), &mut decoded)
            .unwrap();
        assert_eq!(decoded, plain);
        assert!(coded.len() <= plain.len());
        codec
    }

    #[test]
    fn text_shrinks_and_noise_is_stored_as_it_is() {
        assert_eq!(
            round_trip(&b"all work and no play ".repeat(9000), 1),
            Codec::Zstd
        );
        assert_eq!(round_trip(&noise(300_000), 1), Codec::Stored);
        assert_eq!(round_trip(&noise(100), 3), Codec::Stored);
        assert_eq!(round_trip(b"", 1), Codec::Stored);
        assert_eq!(round_trip(&[0; 100_000], 0), Codec::Stored);
    }

    #[test]
    fn half_noise_is_still_compressed() {
        let mut plain = noise(100_000);
        plain.resize(200_000, b'x');
        assert_eq!(round_trip(&plain, 1), Codec::Zstd);
    }

    #[test]
    fn a_frame_that_lies_about_its_length_is_refused_within_that_length() {
        let mut coded = Vec::new();
        let plain = vec![0; 8 << 20];
        assert_eq!(Compressor::new(1).compress(&plain, &mut coded), Codec::Zstd);
        let mut out = Vec::new();
        assert!(
            Decompressor::new()
                .decompress(&coded, Codec::Zstd, 1000, &mut out)
                .is_err()
        );
        assert!(out.capacity() < 1 << 20);
        assert!(
            Decompressor::new()
                .decompress(&coded, Codec::Zstd, 9 << 20, &mut out)
                .is_err()
        );
    }
}
