//! Ids of 16 bytes, in the two spellings that disks have for them.

use std::fmt;

/// An id of GPT: the first three groups are stored low byte first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// What an unused entry has for its type.
    pub const NIL: Self = Self([0; 16]);
}

impl fmt::Display for Guid {
    /// As the UEFI specification spells it, in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = &self.0;
        let swapped = [
            b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13],
            b[14], b[15],
        ];
        f.write_str(&uuid_text(swapped))
    }
}

/// A UUID whose bytes are stored in the order they are written.
pub(super) fn uuid_text(bytes: [u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&index) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// The same; nothing if no id was ever set.
pub(super) fn uuid_unless_nil(bytes: [u8; 16]) -> Option<String> {
    (bytes != [0; 16]).then(|| uuid_text(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_spelled_as_other_tools_do() {
        let esp = Guid([
            0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e,
            0xc9, 0x3b,
        ]);
        assert_eq!(esp.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
    }
}
