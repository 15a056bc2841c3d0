//! Sizes, ages and moments in docker's words (go-units).

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `1.23MB`: powers of 1000, three significant digits, as `images` and `ps -s` show sizes.
pub fn size(bytes: u64) -> String {
    scaled(bytes, 1000.0, 3, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// `7.654GiB`: powers of 1024, four significant digits, as `info` shows memory.
pub fn binary_size(bytes: u64) -> String {
    scaled(
        bytes,
        1024.0,
        4,
        &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"],
    )
}

fn scaled(bytes: u64, base: f64, digits: usize, units: &[&str]) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    format!("{}{}", significant(value, digits), units[unit])
}

/// C's `%.Ng`: so many significant digits, no trailing zeros; docker really prints `1e+03kB`.
fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent >= digits as i32 {
        return format!("{}e+{exponent:02}", trimmed(mantissa));
    }
    let decimals = usize::try_from(digits as i32 - 1 - exponent).unwrap_or(0);
    trimmed(&format!("{value:.decimals$}"))
}

/// `About a minute`, `3 weeks`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let minutes = seconds / 60;
    let hours = (duration.as_secs_f64() / 3600.0 + 0.5) as u64;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// `3 weeks ago`; a moment that is still to come is `Less than a second ago`.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    format!("{} ago", elapsed(then, now))
}

pub fn elapsed(then: Timestamp, now: Timestamp) -> String {
    let passed = now.duration_since(then);
    duration(passed.try_into().unwrap_or(Duration::ZERO))
}

/// The user's time zone. jiff would first list every zone there is (some 100 system calls, half of what `ps` takes);
/// without `TZ` the one file says all that a time needs.
pub fn local_zone() -> TimeZone {
    if std::env::var_os("TZ").is_some_and(|name| !name.is_empty()) {
        return TimeZone::system();
    }
    let file = std::fs::read("/etc/localtime").ok();
    let zone = file.and_then(|bytes| TimeZone::tzif("Local", &bytes).ok());
    zone.unwrap_or(TimeZone::UTC)
}

/// `2006-01-02 15:04:05 -0700 MST`, as `ps` and `images` show `CreatedAt`.
pub fn created_at(moment: Timestamp, zone: &TimeZone) -> String {
    moment
        .to_zoned(zone.clone())
        .strftime("%Y-%m-%d %H:%M:%S %z %Z")
        .to_string()
}

/// `2006-01-02T15:04:05+01:00`, as `history` shows it.
pub fn created_at_iso(moment: Timestamp, zone: &TimeZone) -> String {
    let zoned = moment.to_zoned(zone.clone());
    zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// At most so many letters, the last one an ellipsis where something is missing.
pub fn shortened(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let kept: String = text.chars().take(length.saturating_sub(1)).collect();
    kept + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_go_units() {
        for (bytes, shown) in [
            (0, "0B"),
            (1, "1B"),
            (999, "999B"),
            (1000, "1kB"),
            (1024, "1.02kB"),
            (1_230_000, "1.23MB"),
            (117_000_000, "117MB"),
            (999_900, "1e+03kB"),
            (2_500_000_000, "2.5GB"),
            (10_050_000, "10.1MB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
        assert_eq!(binary_size(1 << 20), "1MiB");
        assert_eq!(binary_size(8_218_000_000), "7.654GiB");
    }

    #[test]
    fn durations_are_go_units() {
        let hour = 3600;
        for (seconds, shown) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (45, "45 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (59 * 60, "59 minutes"),
            (hour, "About an hour"),
            (89 * 60, "About an hour"),
            (90 * 60, "2 hours"),
            (47 * hour, "47 hours"),
            (48 * hour, "2 days"),
            (13 * 24 * hour, "13 days"),
            (14 * 24 * hour, "2 weeks"),
            (59 * 24 * hour, "8 weeks"),
            (60 * 24 * hour, "2 months"),
            (729 * 24 * hour, "24 months"),
            (730 * 24 * hour, "2 years"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), shown, "{seconds}");
        }
    }

    #[test]
    fn ages_and_dates() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap_or_default();
        assert_eq!(ago(at(0), at(75)), "About a minute ago");
        assert_eq!(ago(at(75), at(0)), "Less than a second ago");
        assert_eq!(
            created_at(at(1_136_214_245), &TimeZone::UTC),
            "2006-01-02 15:04:05 +0000 UTC"
        );
    }
}
