//! The checksum of iSCSI, which XFS and btrfs have over their metadata: CRC-32 of another polynomial.

use crate::sources::volume::layout::crc32::table;

const TABLE: [u32; 256] = table(0x82f6_3b78);

/// The checksum of bytes that come in pieces.
pub(crate) fn crc32c(pieces: &[&[u8]]) -> u32 {
    let mut word = u32::MAX;
    for piece in pieces {
        for byte in *piece {
            let index = (word ^ u32::from(*byte)) & 0xff;
            word = TABLE[index as usize] ^ (word >> 8);
        }
    }
    !word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_standard_comes_out_however_the_bytes_are_cut() {
        assert_eq!(crc32c(&[b"123456789"]), 0xe306_9283);
        assert_eq!(crc32c(&[b"1234", b"", b"56789"]), 0xe306_9283);
    }
}
