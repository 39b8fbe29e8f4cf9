//! The footer that makes raw bytes a virtual hard disk of fixed size.
//!
//! After the public specification "Virtual Hard Disk Image Format": 512 bytes behind the data, all
//! numbers big-endian. Deliberately absent: dynamic and differencing disks.
#![expect(clippy::big_endian_bytes, reason = "the format is big-endian")]

/// Bytes of the footer, and the unit of the size of the disk.
pub const FOOTER_LEN: usize = 512;
/// Longest disk of the format: 2040 GiB.
pub const LEN_MAX: u64 = 2040 << 30;

const COOKIE: &[u8; 8] = b"conectix";
/// Bit 1 is reserved and always set.
const FEATURES: u32 = 2;
const VERSION: u32 = 0x0001_0000;
/// There is no other header.
const NO_OFFSET: u64 = u64::MAX;
/// Readers go by this whether they believe the size or the geometry, which is rounded: with this
/// value all believe the size.
const CREATOR: &[u8; 4] = b"win ";
const CREATOR_SYSTEM: &[u8; 4] = b"Wi2k";
const TYPE_FIXED: u32 = 2;
/// Most sectors that the geometry can say.
const GEOMETRY_SECTORS_MAX: u64 = 65_535 * 16 * 255;

/// Cylinders, heads and sectors of a track, by the algorithm in the appendix of the specification.
fn geometry(len: u64) -> (u16, u8, u8) {
    let total = (len / FOOTER_LEN as u64).min(GEOMETRY_SECTORS_MAX);
    let (sectors, heads, tracks) = if total >= 65_535 * 16 * 63 {
        (255, 16, total / 255)
    } else {
        let tracks = total / 17;
        let heads = tracks.div_ceil(1024).max(4);
        if tracks < heads * 1024 && heads <= 16 {
            (17, heads, tracks)
        } else if total / 31 < 16 * 1024 {
            (31, 16, total / 31)
        } else {
            (63, 16, total / 63)
        }
    };
    // At most 65,535 cylinders by the limit above; heads and sectors are small.
    ((tracks / heads) as u16, heads as u8, sectors)
}

/// The footer of a disk of `len` bytes, made at `seconds` since 1970, with an id of its own.
pub fn footer(len: u64, seconds: u64, unique_id: [u8; 16]) -> [u8; FOOTER_LEN] {
    /// 2000-01-01, where the format begins to count.
    const EPOCH: u64 = 946_684_800;
    let made = u32::try_from(seconds.saturating_sub(EPOCH)).unwrap_or(u32::MAX);
    let (cylinders, heads, sectors) = geometry(len);
    let mut bytes = Vec::with_capacity(FOOTER_LEN);
    bytes.extend_from_slice(COOKIE);
    bytes.extend_from_slice(&FEATURES.to_be_bytes());
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&NO_OFFSET.to_be_bytes());
    bytes.extend_from_slice(&made.to_be_bytes());
    bytes.extend_from_slice(CREATOR);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(CREATOR_SYSTEM);
    // The size when it was made, and now.
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(&cylinders.to_be_bytes());
    bytes.extend_from_slice(&[heads, sectors]);
    bytes.extend_from_slice(&TYPE_FIXED.to_be_bytes());
    let sum_at = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&unique_id);
    let mut footer = [0; FOOTER_LEN];
    footer[..bytes.len()].copy_from_slice(&bytes);
    let sum = !footer.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    footer[sum_at..sum_at + 4].copy_from_slice(&sum.to_be_bytes());
    footer
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_geometry_follows_the_specification() {
        assert_eq!(geometry(40 * MIB), (963, 5, 17));
        assert_eq!(geometry(100 * MIB), (1003, 12, 17));
        assert_eq!(geometry(384 * MIB), (780, 16, 63));
        assert_eq!(geometry(1024 * MIB), (2080, 16, 63));
        assert_eq!(geometry(127 << 30), (65278, 16, 255));
        assert_eq!(geometry(1 << 40), (65535, 16, 255));
        assert_eq!(geometry(512), (0, 4, 17));
    }

    #[test]
    fn a_footer_adds_up_and_says_the_exact_size() {
        let len = 384 * MIB + 512;
        let footer = footer(len, 1_790_000_000, [9; 16]);
        assert_eq!(&footer[..8], b"conectix");
        assert_eq!(footer[40..48], len.to_be_bytes());
        assert_eq!(footer[48..56], len.to_be_bytes());
        assert_eq!(footer[60..64], 2_u32.to_be_bytes());
        assert_eq!(footer[68..84], [9; 16]);
        let mut without_sum = footer;
        without_sum[64..68].fill(0);
        let sum = without_sum.iter().map(|&byte| u32::from(byte)).sum::<u32>();
        assert_eq!(footer[64..68], (!sum).to_be_bytes());
        assert!(footer[85..].iter().all(|&byte| byte == 0));
    }
}
