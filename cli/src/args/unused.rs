//! Limits of a prune as a person types them: a share or a size, and spans of time.

use std::str::FromStr;
use std::time::Duration;

use blockstore::operations::prune::MaxUnused;

use crate::args::size::ByteSize;

/// `5%`, `0.5%`, `2G`, `0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnusedLimit(pub(crate) MaxUnused);

impl FromStr for UnusedLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(share) = text.strip_suffix('%') else {
            let size = text.parse::<ByteSize>()?;
            return Ok(Self(MaxUnused::Bytes(size.0)));
        };
        let expected = || format!("{text:?}: expected a share from 0% to 100%");
        let share: f64 = share.trim().parse().map_err(|_| expected())?;
        match (0.0..=100.0).contains(&share) {
            true => Ok(Self(MaxUnused::Permille((share * 10.0).round() as u32))),
            false => Err(expected()),
        }
    }
}

/// `90s`, `30m`, `2h`, `7d`: a day has 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeSpan(pub(crate) Duration);

impl FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("{text:?}: expected a time as 90s, 30m, 2h or 7d");
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| expected())?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            "w" => 7 * 24 * 60 * 60,
            _ => return Err(expected()),
        };
        let seconds = number.checked_mul(seconds).ok_or_else(expected)?;
        Ok(Self(Duration::from_secs(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_sizes_are_read() {
        let read = |text: &str| text.parse::<UnusedLimit>().map(|limit| limit.0);
        assert_eq!(read("5%"), Ok(MaxUnused::Permille(50)));
        assert_eq!(read("0.5%"), Ok(MaxUnused::Permille(5)));
        assert_eq!(read("0"), Ok(MaxUnused::Bytes(0)));
        assert_eq!(read("2G"), Ok(MaxUnused::Bytes(2 << 30)));
        for text in ["101%", "-1%", "%", "NaN%", "x"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_are_read_with_their_unit_and_no_other_way() {
        let read = |text: &str| text.parse::<TimeSpan>().map(|span| span.0.as_secs());
        assert_eq!(read("90s"), Ok(90));
        assert_eq!(read("2h"), Ok(7200));
        assert_eq!(read("7d"), Ok(604_800));
        for text in [
            "7",
            "d",
            "1y",
            "99999999999999999999d",
            "18446744073709551615w",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
