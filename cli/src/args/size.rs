//! Sizes as a person types them.

use std::str::FromStr;

/// A number of bytes: `4096`, `64K`, `256MiB`, `1G`. Units are binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteSize(pub(crate) u64);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number
            .parse()
            .map_err(|_| "expected a number of bytes, as 4096, 64K or 256MiB".to_owned())?;
        let shift = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kib" => 10,
            "m" | "mib" => 20,
            "g" | "gib" => 30,
            "t" | "tib" => 40,
            _ => {
                return Err(format!(
                    "unknown unit {unit:?}: expected K, M, G, T or KiB, MiB, .."
                ));
            }
        };
        let too_large = || format!("{text} is more than 2^64 bytes");
        number
            .checked_mul(1 << shift)
            .map(Self)
            .ok_or_else(too_large)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_binary_and_their_case_does_not_matter() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("12b", 12),
            ("64k", 64 << 10),
            ("64KiB", 64 << 10),
            ("256MiB", 256 << 20),
            ("1G", 1 << 30),
            ("2tib", 2 << 40),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn what_could_mean_two_things_or_nothing_is_refused() {
        for text in [
            "",
            "K",
            "-1",
            "1.5G",
            "1 G",
            "1KB",
            "1x",
            "16777216T",
            "99999999999999999999",
        ] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
