//! Compression of frames: zstd, or nothing where it does not pay. §7, codecs.
//!
//! Contexts live as long as their worker; nothing is allocated for a frame.

use zstd::zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

use crate::format::cursor::Cursor;
use crate::format::table::Codec;
use crate::format::{DecodeError, ensure};
use crate::limits::ZSTD_LEVEL_DEFAULT;

/// Largest zstd window that a reader accepts: 8 MiB.
const WINDOW_LOG_MAX: u32 = 23;
const WINDOW_LEN_MAX: u64 = 1 << WINDOW_LOG_MAX;
/// Highest level whose window is no larger.
const LEVEL_MAX: i32 = 19;
const MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();
/// Entries of the two match tables of the default level, as a power of two. zstd's own choice for frames
/// of a megabyte is twice as large for one of them, which costs a tenth more time and saves nothing:
/// both and the frame no longer fit a core's cache.
const DEFAULT_TABLE_LOG: u32 = 16;
/// A frame is stored as it is unless zstd saves at least one part in this many.
const WORTH_ONE_IN: usize = 32;
/// Samples whose byte entropy tells incompressible data.
const SAMPLES: usize = 4;
const SAMPLE_LEN: usize = 1024;
/// Below this many bytes probing costs more than it can save.
const PROBE_LEN_MIN: usize = 16 * 1024;
/// What zstd needs of a frame to say how much it needs next.
const FRAME_HEAD_LEN: usize = 5;
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
            .set_parameter(CParameter::CompressionLevel(level.min(LEVEL_MAX)))
            .expect("zstd clamps every level to its range");
        if level == ZSTD_LEVEL_DEFAULT {
            let tables = [CParameter::HashLog, CParameter::ChainLog];
            for table in tables {
                context
                    .set_parameter(table(DEFAULT_TABLE_LOG))
                    .expect("zstd takes every table from 2^6 to 2^30 entries");
            }
        }
        Self {
            context,
            level,
            suspicious: true,
        }
    }

    /// Codes `plain` with the help of `buffer`, and says how: what is stored as it is, is not copied.
    pub fn compress<'a>(&mut self, plain: &'a [u8], buffer: &'a mut Vec<u8>) -> (Codec, &'a [u8]) {
        let skip = self.level == 0 || (self.suspicious && is_incompressible(plain));
        self.suspicious = skip || !self.try_zstd(plain, buffer);
        if self.suspicious {
            (Codec::Stored, plain)
        } else {
            (Codec::Zstd, buffer)
        }
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
        // What is decoded in parts is decoded where it is wanted, without a copy in between.
        context
            .set_parameter(DParameter::StableOutBuffer(true))
            .expect("zstd knows an output that stays in its place");
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
        self.decoded(coded, codec, plain_len, out)?;
        if codec == Codec::Stored {
            out.clear();
            out.extend_from_slice(coded);
        }
        Ok(())
    }

    /// Decodes the start of `coded` into `out`, replacing what it held: `wanted_len` bytes or more,
    /// since what lies behind them costs time. What is left out is not looked at.
    ///
    /// # Errors
    /// If `coded` does not begin as a frame of this codec, or ends before.
    pub fn decompress_start(
        &mut self,
        coded: &[u8],
        codec: Codec,
        (wanted_len, plain_len): (usize, usize),
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        if wanted_len >= plain_len {
            return self.decompress(coded, codec, plain_len, out);
        }
        out.clear();
        match codec {
            Codec::Stored => out.extend(coded.iter().take(wanted_len)),
            Codec::Zstd => {
                check_frame(coded)?;
                out.reserve_exact(plain_len);
                self.stream_start(coded, wanted_len, out)?;
            }
        }
        ensure(out.len() >= wanted_len, "frame decodes to another length")
    }

    /// `out` has room for more than `wanted_len` bytes.
    fn stream_start(
        &mut self,
        coded: &[u8],
        wanted_len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        let no_frame = |_| DecodeError::Malformed("frame is no zstd frame");
        let mut output = OutBuffer::around(out);
        let (mut coded, mut step_len, mut result) = (coded, FRAME_HEAD_LEN, Ok(()));
        // Block by block: zstd says how long the next is.
        while result.is_ok() && output.pos() < wanted_len && step_len > 0 && !coded.is_empty() {
            let (step, rest) = coded.split_at(step_len.min(coded.len()));
            coded = rest;
            let mut input = InBuffer::around(step);
            while result.is_ok() && input.pos() < step.len() {
                let next = self.context.decompress_stream(&mut output, &mut input);
                result = next.map(|next| step_len = next).map_err(no_frame);
            }
        }
        // The context may be in the middle of a frame.
        let reset = self.context.reset(ResetDirective::SessionOnly);
        result.and(reset.map(drop).map_err(no_frame))
    }

    /// The plaintext of `coded`, with the help of `buffer`: what was stored as it is, is not copied.
    ///
    /// # Errors
    /// If `coded` is no frame of this codec, or of another length.
    pub fn decoded<'a>(
        &mut self,
        coded: &'a [u8],
        codec: Codec,
        plain_len: usize,
        buffer: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], DecodeError> {
        let plain = match codec {
            Codec::Stored => coded,
            Codec::Zstd => {
                check_frame(coded)?;
                buffer.clear();
                buffer.reserve_exact(plain_len);
                let decoded = self.context.decompress(buffer, coded);
                decoded
                    .map_err(|_| DecodeError::Malformed("frame is no zstd frame of its length"))?;
                buffer.as_slice()
            }
        };
        ensure(plain.len() == plain_len, "frame decodes to another length")?;
        Ok(plain)
    }
}

impl Default for Decompressor {
    fn default() -> Self {
        Self::new()
    }
}

/// Checks that `coded` is one zstd frame of the few forms that the format allows: zstd itself also
/// takes several frames, dictionaries, checksums, and any window where the whole output is at hand.
fn check_frame(coded: &[u8]) -> Result<(), DecodeError> {
    let mut cursor = Cursor::new(coded);
    ensure(cursor.array()? == MAGIC, "frame is no zstd frame")?;
    let descriptor = cursor.u8()?;
    ensure(descriptor & 0x08 == 0, "reserved bit of a zstd frame")?;
    ensure(descriptor & 0x07 == 0, "zstd checksum or dictionary")?;
    let single_segment = descriptor & 0x20 != 0;
    let window = if single_segment {
        None
    } else {
        Some(window_len(cursor.u8()?))
    };
    let content_len = match (descriptor >> 6, single_segment) {
        (0, true) => cursor.u8()?.into(),
        (0, false) => return Err(DecodeError::Malformed("zstd frame without its length")),
        (1, _) => u64::from(cursor.u16()?) + 256,
        (2, _) => cursor.u32()?.into(),
        _ => cursor.u64()?,
    };
    if window.unwrap_or(content_len) > WINDOW_LEN_MAX {
        return Err(DecodeError::LimitExceeded("window of a zstd frame"));
    }
    let len = zstd::zstd_safe::find_frame_compressed_size(coded);
    let len = len.map_err(|_| DecodeError::Malformed("frame is no zstd frame"))?;
    ensure(len == coded.len(), "bytes follow a zstd frame")
}

/// Length of a zstd window from its byte (RFC 8878 §3.1.1.1.2).
fn window_len(byte: u8) -> u64 {
    let base = 1_u64 << (10 + (byte >> 3));
    base + base / 8 * u64::from(byte & 7)
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
        let mut compressor = Compressor::new(level);
        let (codec, coded) = compressor.compress(plain, &mut coded);
        Decompressor::new()
            .decompress(coded, codec, plain.len(), &mut decoded)
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
    fn the_start_of_a_frame_is_decoded_without_the_rest_of_it() {
        const BLOCK_LEN_MAX: usize = 128 * 1024;
        let texts = (0..40_000_u32).flat_map(|number| format!("line {number}, ").into_bytes());
        let (text, noise) = (texts.collect::<Vec<_>>(), noise(300_000));
        let mut decompressor = Decompressor::new();
        for plain in [&text, &noise] {
            let mut coded = Vec::new();
            let (codec, coded) = Compressor::new(1).compress(plain, &mut coded);
            let mut out = vec![1; 7];
            for wanted in [0, 1, 5_000, 200_000, plain.len() - 1, plain.len()] {
                let lens = (wanted, plain.len());
                decompressor
                    .decompress_start(coded, codec, lens, &mut out)
                    .unwrap();
                assert!(out.len() >= wanted && plain.starts_with(&out), "{wanted}");
                assert!(
                    out.len() <= wanted + BLOCK_LEN_MAX,
                    "{} for {wanted}",
                    out.len()
                );
                decompressor
                    .decompress(coded, codec, plain.len(), &mut out)
                    .unwrap();
                assert_eq!(&out, plain, "the context is whole after {wanted}");
            }
        }
    }

    #[test]
    fn a_frame_that_is_cut_off_or_damaged_before_what_is_wanted_is_refused() {
        let plain: Vec<u8> = (0..60_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut coded = Vec::new();
        let (codec, coded) = Compressor::new(1).compress(&plain, &mut coded);
        assert_eq!(codec, Codec::Zstd);
        let mut decompressor = Decompressor::new();
        let mut out = Vec::new();
        let lens = (plain.len() - 1, plain.len());
        for len in [0, 1, 9, coded.len() / 2, coded.len() - 1] {
            let cut = decompressor.decompress_start(&coded[..len], codec, lens, &mut out);
            assert!(cut.is_err(), "{len} bytes");
        }
        let longer = (plain.len() + 1, plain.len() + 2);
        assert!(
            decompressor
                .decompress_start(coded, codec, longer, &mut out)
                .is_err()
        );
        decompressor
            .decompress(coded, codec, plain.len(), &mut out)
            .unwrap();
        assert_eq!(out, plain);
    }

    #[test]
    fn half_noise_is_still_compressed() {
        let mut plain = noise(100_000);
        plain.resize(200_000, b'x');
        assert_eq!(round_trip(&plain, 1), Codec::Zstd);
    }

    #[test]
    fn zstd_frames_of_other_forms_than_the_formats_are_refused() {
        let plain = b"all work and no play ".repeat(100);
        let mut coded = Vec::new();
        assert_eq!(
            Compressor::new(3).compress(&plain, &mut coded).0,
            Codec::Zstd
        );
        let decode = |coded: &[u8]| {
            Decompressor::new().decompress(coded, Codec::Zstd, plain.len(), &mut Vec::new())
        };
        assert_eq!(decode(&coded), Ok(()));
        let mut checksummed = CCtx::create();
        checksummed
            .set_parameter(CParameter::ChecksumFlag(true))
            .unwrap();
        let mut with_checksum = Vec::with_capacity(plain.len());
        checksummed.compress2(&mut with_checksum, &plain).unwrap();
        let skippable = [&coded[..], &[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]].concat();
        let mut wide = vec![0x28, 0xb5, 0x2f, 0xfd, 0x80, 0x69];
        wide.extend_from_slice(&(plain.len() as u32).to_le_bytes());
        assert!(decode(&with_checksum).is_err());
        assert!(decode(&skippable).is_err());
        assert!(decode(&coded[..coded.len() - 1]).is_err());
        let over = Err(DecodeError::LimitExceeded("window of a zstd frame"));
        assert_eq!(decode(&wide), over);
    }

    #[test]
    fn the_highest_level_stays_within_the_window_that_a_reader_takes() {
        let nibbles: Vec<u8> = noise(100_000).iter().map(|byte| byte & 0x0f).collect();
        let plain = nibbles.repeat(91);
        assert!(plain.len() as u64 > WINDOW_LEN_MAX);
        assert_eq!(round_trip(&plain, 22), Codec::Zstd);
    }

    #[test]
    fn a_frame_that_lies_about_its_length_is_refused_within_that_length() {
        let mut coded = Vec::new();
        let plain = vec![0; 8 << 20];
        assert_eq!(
            Compressor::new(1).compress(&plain, &mut coded).0,
            Codec::Zstd
        );
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
