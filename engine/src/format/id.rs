//! Identifiers: fixed arrays of bytes, each with a type of its own, written as lowercase hex.
//! Below: nothing. Above: every other module of `format`.

use std::fmt;
use std::str::FromStr;

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The bytes.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let mut bytes = [0; $len];
                parse_hex(text, &mut bytes).map(|()| Self(bytes))
            }
        }
    };
}

id_type! {
    /// Names a chunk or a page by the keyed hash of its plaintext.
    ChunkId, 32
}
id_type! {
    /// Names one repository, drawn at random when it is made.
    RepositoryId, 16
}
id_type! {
    /// Names one writer's work, and the snapshot that it commits; drawn at random, never used twice.
    SessionId, 16
}
id_type! {
    /// Names one key slot, drawn at random.
    SlotId, 16
}

/// A page is named in the same way as a chunk, under a key of its own.
pub type PageId = ChunkId;

/// Text that is not the lowercase hex form of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseIdError;

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an id: expected lowercase hexadecimal digits of the right number")
    }
}

impl std::error::Error for ParseIdError {}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn parse_hex(text: &str, out: &mut [u8]) -> Result<(), ParseIdError> {
    let digits = text.as_bytes();
    if digits.len() != out.len() * 2 {
        return Err(ParseIdError);
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else {
            return Err(ParseIdError);
        };
        *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
    }
    Ok(())
}

/// Uppercase is refused: an object must have exactly one name, also on stores that fold case.
fn hex_digit(digit: u8) -> Result<u8, ParseIdError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(ParseIdError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text() {
        let id = SessionId(std::array::from_fn(|i| (i * 37) as u8));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 32);
    }

    #[test]
    fn text_of_another_length_or_case_is_refused() {
        assert_eq!("00".parse::<SessionId>(), Err(ParseIdError));
        assert_eq!("0A".repeat(16).parse::<SessionId>(), Err(ParseIdError));
        assert_eq!("0g".repeat(16).parse::<SessionId>(), Err(ParseIdError));
    }
}
