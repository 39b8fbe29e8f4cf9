//! Times as seconds since 1970, where a file system has them as something else.

use crate::format::entry::Timestamp;
use crate::operations::forget::calendar::day_number;

/// 100 ns that passed from 1601, where times of NTFS begin, to 1970.
const NTFS_EPOCH: i128 = 116_444_736_000_000_000;
const NTFS_PER_SECOND: i128 = 10_000_000;

/// A time of NTFS: 100 ns since 1601.
pub(super) fn of_ntfs(ticks: u64) -> Timestamp {
    let ticks = i128::from(ticks) - NTFS_EPOCH;
    Timestamp {
        // A number of 64 bits, divided by ten million, and less than that.
        seconds: ticks.div_euclid(NTFS_PER_SECOND) as i64,
        nanoseconds: ticks.rem_euclid(NTFS_PER_SECOND) as u32 * 100,
    }
}

/// A date and a time of day, taken as those of UTC. Days and months beyond their range count on, so
/// that a damaged date is some date.
pub(super) fn of_date([year, month, day]: [u16; 3], [hour, minute, second]: [u16; 3]) -> Timestamp {
    let months = 12 * i64::from(year) + i64::from(month) - 1;
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
    let days = day_number(year, month, day.into());
    let of_day = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
    Timestamp {
        seconds: days * 86_400 + of_day,
        nanoseconds: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_ntfs_are_seconds_since_1970_rounded_down() {
        let at = |seconds, nanoseconds| Timestamp {
            seconds,
            nanoseconds,
        };
        assert_eq!(of_ntfs(132_539_328_000_000_001), at(1_609_459_200, 100));
        assert_eq!(of_ntfs(NTFS_EPOCH as u64 - 1), at(-1, 999_999_900));
        assert_eq!(of_ntfs(0).seconds, -11_644_473_600);
        assert!(of_ntfs(u64::MAX).seconds > 0);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let seconds = |date, time| of_date(date, time).seconds;
        assert_eq!(seconds([1970, 1, 1], [0, 0, 0]), 0);
        assert_eq!(seconds([1980, 1, 1], [0, 0, 2]), 315_532_802);
        assert_eq!(seconds([2000, 2, 29], [23, 59, 59]), 951_868_799);
        assert_eq!(seconds([2024, 3, 1], [0, 0, 0]), 1_709_251_200);
        assert_eq!(seconds([2023, 15, 1], [0, 0, 0]), 1_709_251_200);
        assert_eq!(seconds([1970, 0, 32], [0, 0, 0]), 0);
        assert_eq!(
            seconds([2107, 15, 31], [31, 63, 62]),
            seconds([2107, 15, 31], [0, 0, 0]) + 115_442
        );
    }
}
