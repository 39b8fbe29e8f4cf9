//! Counts, sizes, durations and times as people read them.

use std::time::Duration;

use blockstore::format::entry::Timestamp;
use jiff::tz::TimeZone;

/// `1,204`
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 file`, `1,204 files`
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// `12.1 MiB`
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut scaled = number as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be shown as 1024.0.
    while scaled >= 1023.95 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    format!("{scaled:.1} {}", UNITS[unit])
}

/// `1.24 GB/s`, `210 MB/s`: media and processors are compared in powers of ten.
pub(crate) fn speed(bytes_per_second: f64) -> String {
    let mega = bytes_per_second / 1e6;
    match mega {
        0.0..10.0 => format!("{mega:.1} MB/s"),
        10.0..995.0 => format!("{mega:.0} MB/s"),
        995.0..99_500.0 => format!("{:.2} GB/s", mega / 1e3),
        _ => format!("{:.0} GB/s", mega / 1e3),
    }
}

/// `480,000 files/s`
pub(crate) fn rate(per_second: f64, unit: &str) -> String {
    format!("{} {unit}/s", count(per_second.round() as u64))
}

/// `2.3 s`, `4 min 10 s`, `3 h 02 min`
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", time.as_millis() as f64 / 1000.0),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// In local time, to the second.
pub(crate) fn local_time(timestamp: Timestamp) -> String {
    match instant(timestamp) {
        Some(instant) => {
            let local = instant.to_zoned(TimeZone::system());
            local.strftime("%Y-%m-%d %H:%M:%S").to_string()
        }
        None => format!("@{}", timestamp.seconds),
    }
}

/// RFC 3339 in UTC; `@seconds` for years that it cannot write.
pub(crate) fn utc_time(timestamp: Timestamp) -> String {
    let beyond = || format!("@{}.{:09}", timestamp.seconds, timestamp.nanoseconds);
    instant(timestamp).map_or_else(beyond, |instant| instant.to_string())
}

fn instant(timestamp: Timestamp) -> Option<jiff::Timestamp> {
    let whole = jiff::Timestamp::from_second(timestamp.seconds).ok()?;
    whole
        .checked_add(Duration::from_nanos(timestamp.nanoseconds.into()))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let shown: Vec<_> = [0, 999, 1_000, 106_201, u64::MAX].map(count).into();
        assert_eq!(
            shown,
            ["0", "999", "1,000", "106,201", "18,446,744,073,709,551,615"]
        );
        assert_eq!(counted(1, "file", "files"), "1 file");
        assert_eq!(counted(0, "file", "files"), "0 files");
    }

    #[test]
    fn sizes_have_one_digit_and_the_unit_below_1024() {
        let sizes = [
            0,
            1023,
            1024,
            1 << 20,
            (1 << 20) - 1,
            1_717_986_918,
            u64::MAX,
        ];
        let shown: Vec<_> = sizes.map(bytes).into();
        let expected = [
            "0 B", "1023 B", "1.0 KiB", "1.0 MiB", "1.0 MiB", "1.6 GiB", "16.0 EiB",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn speeds_are_decimal_and_have_three_digits() {
        let shown = [0.0, 9_940_000.0, 210_400_000.0, 996e6, 1.24e9, 100e9].map(speed);
        let expected = [
            "0.0 MB/s",
            "9.9 MB/s",
            "210 MB/s",
            "1.00 GB/s",
            "1.24 GB/s",
            "100 GB/s",
        ];
        assert_eq!(shown, expected);
        assert_eq!(rate(480_000.4, "files"), "480,000 files/s");
    }

    #[test]
    fn durations_show_two_units_at_most() {
        let show = |millis| duration(Duration::from_millis(millis));
        assert_eq!(show(2_300), "2.3 s");
        assert_eq!(show(250_000), "4 min 10 s");
        assert_eq!(show(10_920_000), "3 h 02 min");
    }

    #[test]
    fn times_before_1970_and_beyond_the_calendar_are_shown() {
        let at = |seconds, nanoseconds| {
            utc_time(Timestamp {
                seconds,
                nanoseconds,
            })
        };
        assert_eq!(at(0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(at(-1, 500_000_000), "1969-12-31T23:59:59.5Z");
        assert_eq!(at(i64::MAX, 1), "@9223372036854775807.000000001");
    }
}
