//! Points in time as docker's `--since`, `--until` read them, and Go durations.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A point in time given on a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Timestamp);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "invalid value for {what:?}: {text:?} is neither a duration (10m), a date (2024-01-31T15:04:05) nor a Unix time"
)]
pub struct MomentError {
    what: &'static str,
    text: String,
}

impl Moment {
    /// A Go duration before `now`, an RFC 3339 date (zone and smaller parts may be missing: local time, zero), or seconds
    /// since 1970 with a fraction. `what` is the flag, for the message.
    pub fn parse(what: &'static str, text: &str, now: Timestamp) -> Result<Moment, MomentError> {
        parse_go_duration(text)
            .and_then(|nanoseconds| {
                let then = now.as_nanosecond().checked_sub(nanoseconds)?;
                Timestamp::from_nanosecond(then).ok()
            })
            .or_else(|| unix(text))
            .or_else(|| date(text))
            .map(Moment)
            .ok_or_else(|| MomentError {
                what,
                text: text.to_owned(),
            })
    }
}

/// As Go writes a duration: `1h0m5s`, `1.5s`, `300ms`.
pub fn go_duration(time: Duration) -> String {
    let nanoseconds = time.as_nanos();
    let fraction = |value: u128, unit: u128| {
        let digits = unit.ilog10() as usize;
        let text = format!("{}.{:0digits$}", value / unit, value % unit);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match nanoseconds {
        0 => return "0s".to_owned(),
        1..1_000 => return format!("{nanoseconds}ns"),
        1_000..1_000_000 => return fraction(nanoseconds, 1_000) + "µs",
        1_000_000..1_000_000_000 => return fraction(nanoseconds, 1_000_000) + "ms",
        _ => {}
    }
    let minute = 60_000_000_000;
    let (hours, minutes) = (nanoseconds / minute / 60, nanoseconds / minute % 60);
    let seconds = fraction(nanoseconds % minute, 1_000_000_000) + "s";
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

/// Nanoseconds of a Go duration, `1h30m`, `-1.5s`, `0`.
pub fn parse_go_duration(text: &str) -> Option<i128> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let scale: f64 = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        total = total.checked_add((number * scale) as i128)?;
        rest = tail;
    }
    Some(sign * total)
}

fn unix(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().ok()?;
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanoseconds: i32 = format!("{fraction:0<9}").parse().ok()?;
    Timestamp::new(seconds, nanoseconds).ok()
}

fn date(text: &str) -> Option<Timestamp> {
    if let Ok(exact) = text.parse::<Timestamp>() {
        return Some(exact);
    }
    let (text, zone) = match text.strip_suffix('Z') {
        Some(text) => (text, TimeZone::UTC),
        None => (text, TimeZone::system()),
    };
    let full = match text.len() {
        10 => format!("{text}T00:00:00"),
        13 => format!("{text}:00:00"),
        16 => format!("{text}:00"),
        _ => text.to_owned(),
    };
    let civil: DateTime = full.parse().ok()?;
    civil.to_zoned(zone).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<i64> {
        let now = Timestamp::from_second(1_000_000).unwrap();
        Moment::parse("since", text, now)
            .ok()
            .map(|moment| moment.0.as_second())
    }

    #[test]
    fn durations_are_written_as_go_does() {
        for (nanoseconds, shown) in [
            (0, "0s"),
            (5, "5ns"),
            (1_500, "1.5µs"),
            (300_000_000, "300ms"),
            (5_000_000_000, "5s"),
            (60_000_000_000, "1m0s"),
            (3_601_500_000_000, "1h0m1.5s"),
        ] {
            assert_eq!(go_duration(Duration::from_nanos(nanoseconds)), shown);
        }
    }

    #[test]
    fn durations_dates_and_unix_times() {
        assert_eq!(seconds("10m"), Some(1_000_000 - 600));
        assert_eq!(seconds("1h30m"), Some(1_000_000 - 5400));
        assert_eq!(seconds("1.5s"), Some(999_998));
        assert_eq!(seconds("1136073600"), Some(1_136_073_600));
        assert_eq!(seconds("1136073600.000000001"), Some(1_136_073_600));
        assert_eq!(seconds("2006-01-01T00:00:00Z"), Some(1_136_073_600));
        assert_eq!(seconds("2006-01-01T02:00:00+02:00"), Some(1_136_073_600));
        assert_eq!(seconds("2006-01-01T00Z"), Some(1_136_073_600));
        assert_eq!(seconds("2006-01-01Z"), Some(1_136_073_600));
        assert!(seconds("2006-01-01").is_some());
        for bad in ["", "yesterday", "10", "10x", "1.2.3s"] {
            // a bare number is Unix time, as in docker
            assert_eq!(seconds(bad).is_some(), bad == "10", "{bad}");
        }
    }
}
