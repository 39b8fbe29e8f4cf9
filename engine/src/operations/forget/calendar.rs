//! Days, weeks and months of timestamps: what a bucket is, and how far back a span reaches.
//!
//! Pure arithmetic on the proleptic Gregorian calendar, for any timestamp there can be. The zone is
//! an offset that the caller gives; nothing here knows of summer time.

use std::fmt;

use crate::format::entry::Timestamp;

const DAY_SECONDS: i64 = 86_400;
const HOUR_SECONDS: i64 = 3_600;
/// Days from the first of March of year 0 to the first day of 1970.
const EPOCH_DAY: i64 = 719_468;
/// Days of 400 years, after which the calendar repeats.
const ERA_DAYS: i64 = 146_097;

/// A length of time as people give it: months are those of the calendar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Years.
    pub years: u32,
    /// Months.
    pub months: u32,
    /// Days of 24 hours.
    pub days: u32,
    /// Hours.
    pub hours: u32,
}

/// What a bucket spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week of ISO 8601: it begins on Monday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

/// One hour, day, week, month or year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket {
    period: Period,
    /// Counts periods; of months from year 0 on, of years from year 0 on, else from 1970 on.
    number: i64,
}

impl Span {
    /// The moment this long before `time`, in the zone of this offset; at the end of a month that
    /// is too short, its last day.
    pub fn before(&self, time: Timestamp, offset_seconds: i32) -> Timestamp {
        self.shift(time, offset_seconds, -1)
    }

    /// The moment this long after `time`, likewise.
    pub fn after(&self, time: Timestamp, offset_seconds: i32) -> Timestamp {
        self.shift(time, offset_seconds, 1)
    }

    fn shift(&self, time: Timestamp, offset_seconds: i32, sign: i64) -> Timestamp {
        let local = local_seconds(time, offset_seconds);
        let (year, month, day) = date_of(local.div_euclid(DAY_SECONDS));
        let months = 12 * i64::from(self.years) + i64::from(self.months);
        let months = 12 * year + month - 1 + sign * months;
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
        let day = day_number(year, month, day.min(days_in(year, month)));
        let rest = i64::from(self.days) * DAY_SECONDS + i64::from(self.hours) * HOUR_SECONDS;
        let seconds = i128::from(day) * i128::from(DAY_SECONDS)
            + i128::from(local.rem_euclid(DAY_SECONDS))
            + i128::from(sign * rest)
            - i128::from(offset_seconds);
        let within = seconds.clamp(i64::MIN.into(), i64::MAX.into());
        Timestamp {
            seconds: i64::try_from(within).unwrap_or_default(),
            ..time
        }
    }
}

impl Period {
    /// All periods, the shortest first.
    pub const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// The bucket that `time` lies in, in the zone of this offset.
    pub fn bucket(self, time: Timestamp, offset_seconds: i32) -> Bucket {
        let local = local_seconds(time, offset_seconds);
        let day = local.div_euclid(DAY_SECONDS);
        let number = match self {
            Self::Hour => local.div_euclid(HOUR_SECONDS),
            Self::Day => day,
            // The first day of 1970 was a Thursday.
            Self::Week => (day + 3).div_euclid(7),
            Self::Month => {
                let (year, month, _) = date_of(day);
                12 * year + month - 1
            }
            Self::Year => date_of(day).0,
        };
        Bucket {
            period: self,
            number,
        }
    }
}

impl Bucket {
    /// What it spans.
    pub fn period(&self) -> Period {
        self.period
    }
}

/// `2026-11-21 13h`, `2026-11-21`, `2026-W47`, `2026-11`, `2026`
impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number;
        match self.period {
            Period::Hour => {
                write_date(f, number.div_euclid(24))?;
                write!(f, " {:02}h", number.rem_euclid(24))
            }
            Period::Day => write_date(f, number),
            Period::Week => {
                // A week belongs to the year that its Thursday lies in.
                let thursday = 7 * number;
                let (year, ..) = date_of(thursday);
                let week = (thursday - day_number(year, 1, 1)) / 7 + 1;
                write!(f, "{year:04}-W{week:02}")
            }
            Period::Month => {
                let (year, month) = (number.div_euclid(12), number.rem_euclid(12) + 1);
                write!(f, "{year:04}-{month:02}")
            }
            Period::Year => write!(f, "{number:04}"),
        }
    }
}

/// `2026-11-21 13:05:09 UTC`
pub(crate) fn utc(time: Timestamp) -> String {
    let second = time.seconds.rem_euclid(DAY_SECONDS);
    let (hour, minute) = (second / HOUR_SECONDS, second / 60 % 60);
    let day = Period::Day.bucket(time, 0);
    format!("{day} {hour:02}:{minute:02}:{:02} UTC", second % 60)
}

fn write_date(f: &mut fmt::Formatter<'_>, day: i64) -> fmt::Result {
    let (year, month, day) = date_of(day);
    write!(f, "{year:04}-{month:02}-{day:02}")
}

fn local_seconds(time: Timestamp, offset_seconds: i32) -> i64 {
    time.seconds.saturating_add(offset_seconds.into())
}

/// Year, month and day of the month of the day with this number since 1970.
fn date_of(day: i64) -> (i64, i64, i64) {
    // Years that begin in March end with the leap day.
    let since = day + EPOCH_DAY;
    let (era, day) = (since.div_euclid(ERA_DAYS), since.rem_euclid(ERA_DAYS));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// Number since 1970 of a day; months are 1 to 12, days count on beyond the end of a month.
pub(crate) fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAY
}

fn days_in(year: i64, month: i64) -> i64 {
    let next = 12 * year + month;
    day_number(next.div_euclid(12), next.rem_euclid(12) + 1, 1) - day_number(year, month, 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(year: i64, month: i64, day: i64, seconds: i64) -> Timestamp {
        Timestamp {
            seconds: day_number(year, month, day) * DAY_SECONDS + seconds,
            nanoseconds: 7,
        }
    }

    fn shown(period: Period, time: Timestamp) -> String {
        period.bucket(time, 0).to_string()
    }

    #[test]
    fn buckets_are_named_as_people_and_iso_8601_name_them() {
        let time = at(2026, 11, 21, 13 * HOUR_SECONDS + 59);
        let names = Period::ALL.map(|period| shown(period, time));
        assert_eq!(
            names,
            [
                "2026-11-21 13h",
                "2026-11-21",
                "2026-W47",
                "2026-11",
                "2026"
            ]
        );
        // From the tables of ISO 8601.
        for (date, week) in [
            ((2005, 1, 1), "2004-W53"),
            ((2007, 1, 1), "2007-W01"),
            ((2008, 12, 29), "2009-W01"),
            ((2010, 1, 3), "2009-W53"),
            ((1969, 12, 29), "1970-W01"),
        ] {
            assert_eq!(
                shown(Period::Week, at(date.0, date.1, date.2, 5)),
                week,
                "{date:?}"
            );
        }
        assert_eq!(
            shown(Period::Day, at(1969, 12, 31, DAY_SECONDS - 1)),
            "1969-12-31"
        );
        assert_eq!(shown(Period::Day, at(2024, 2, 29, 0)), "2024-02-29");
    }

    #[test]
    fn a_moment_is_shown_to_the_second() {
        let time = at(2026, 11, 21, 13 * HOUR_SECONDS + 5 * 60 + 9);
        assert_eq!(utc(time), "2026-11-21 13:05:09 UTC");
    }

    #[test]
    fn the_offset_of_the_caller_moves_the_end_of_a_day() {
        let late = at(2026, 12, 31, DAY_SECONDS - 1);
        let there = |offset| Period::Day.bucket(late, offset).to_string();
        assert_eq!(there(0), "2026-12-31");
        assert_eq!(there(1), "2027-01-01");
        assert_eq!(there(-i32::MAX), "1958-12-13");
    }

    #[test]
    fn a_month_before_the_end_of_a_longer_month_is_its_last_day() {
        let month = Span {
            months: 1,
            ..Span::default()
        };
        assert_eq!(month.before(at(2026, 3, 31, 9), 0), at(2026, 2, 28, 9));
        assert_eq!(month.before(at(2024, 3, 31, 9), 0), at(2024, 2, 29, 9));
        assert_eq!(month.after(at(2026, 12, 31, 9), 0), at(2027, 1, 31, 9));
        let long = Span {
            years: 2,
            months: 6,
            days: 1,
            hours: 2,
        };
        assert_eq!(
            long.before(at(2026, 11, 21, 8_000), 0),
            at(2024, 5, 20, 800)
        );
        // In the zone of the caller it is the first of March already.
        assert_eq!(
            month.before(at(2026, 2, 28, DAY_SECONDS - 1), 2),
            at(2026, 1, 31, DAY_SECONDS - 1)
        );
    }

    proptest! {
        #[test]
        fn every_timestamp_has_buckets_and_a_past(
            seconds in prop_oneof![any::<i64>(), -100_000_000_000..100_000_000_000_i64],
            offset in any::<i32>(),
            span in any::<[u32; 4]>(),
        ) {
            let time = Timestamp { seconds, nanoseconds: 0 };
            for period in Period::ALL {
                prop_assert!(!period.bucket(time, offset).to_string().is_empty());
            }
            let [years, months, days, hours] = span;
            let span = Span { years, months, days, hours };
            prop_assert!(span.before(time, 0) <= time);
            prop_assert!(span.after(time, 0) >= time);
        }

        #[test]
        fn dates_and_day_numbers_are_each_others_inverse(day in -10_000_000..10_000_000_i64) {
            let (year, month, of_month) = date_of(day);
            prop_assert_eq!(day_number(year, month, of_month), day);
            prop_assert!((1..=12).contains(&month) && of_month <= days_in(year, month));
            prop_assert_eq!(date_of(day + 1) > date_of(day), true);
        }
    }
}
