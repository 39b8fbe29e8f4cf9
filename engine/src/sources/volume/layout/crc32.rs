//! The checksum of GPT: CRC-32 as in IEEE 802.3, a table of 256 words made by the compiler.

const TABLE: [u32; 256] = table(0xedb8_8320);

pub(super) const fn table(polynomial: u32) -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut word = index as u32;
        let mut bit = 0;
        while bit < 8 {
            let carry = word & 1;
            word >>= 1;
            if carry == 1 {
                word ^= polynomial;
            }
            bit += 1;
        }
        table[index] = word;
        index += 1;
    }
    table
}

/// A checksum of bytes that come in pieces.
pub(crate) struct Crc32(u32);

impl Crc32 {
    pub(crate) fn new() -> Self {
        Self::starting_with(u32::MAX)
    }

    /// With another word to begin with, for formats that chose one of their own.
    pub(crate) fn starting_with(word: u32) -> Self {
        Self(word)
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let index = (self.0 ^ u32::from(*byte)) & 0xff;
            self.0 = TABLE[index as usize] ^ (self.0 >> 8);
        }
    }

    pub(crate) fn finish(self) -> u32 {
        !self.0
    }
}

/// The checksum of bytes in one piece.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc32::new();
    crc.update(bytes);
    crc.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_standard_comes_out() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn pieces_give_the_same_as_the_whole() {
        let mut crc = Crc32::new();
        crc.update(b"1234");
        crc.update(b"");
        crc.update(b"56789");
        assert_eq!(crc.finish(), crc32(b"123456789"));
    }
}
