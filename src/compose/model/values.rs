//! Sizes, periods and extensions: values that files write in several ways and `config` in one.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::config::Size;

pub fn is_false(value: &bool) -> bool {
    !value
}

pub fn is_zero<T: PartialEq + Default>(value: &T) -> bool {
    *value == T::default()
}

pub fn is_empty<K, V>(map: &BTreeMap<K, V>) -> bool {
    map.is_empty()
}

/// `x-…` keys.
pub type Extensions = BTreeMap<String, Value>;

/// With a mark before the names, as only the top of a project has its extensions in JSON.
pub fn marked<S: Serializer>(extensions: &Extensions, serializer: S) -> Result<S::Ok, S::Error> {
    let mark = crate::compose::EXTENSION;
    let entries = extensions.iter();
    serializer.collect_map(entries.map(|(name, value)| (format!("{mark}{name}"), value)))
}

/// As few digits as tell it apart from others of its kind.
pub fn short<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    let text = value.to_string();
    let value: f64 = text.parse().unwrap_or_default();
    match value.fract() == 0.0 && value.abs() < 1e15 {
        true => serializer.serialize_i64(value as i64),
        false => serializer.serialize_f64(value),
    }
}

/// A size; written as a text of digits.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Bytes(pub i64);

impl Bytes {
    /// `1073741824`, `1g`, `1.5GiB`.
    pub fn parse(text: &str) -> Option<Bytes> {
        let size: Size = text.parse().ok()?;
        Some(Bytes(size.0 as i64))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) => match number.as_i64() {
                Some(bytes) => Ok(Bytes(bytes)),
                None => Ok(Bytes(number.as_f64().unwrap_or_default() as i64)),
            },
            Value::String(text) => match text.parse() {
                Ok(bytes) => Ok(Bytes(bytes)),
                Err(_) => Bytes::parse(&text)
                    .ok_or_else(|| de::Error::custom(format!("invalid size: '{text}'"))),
            },
            other => Err(de::Error::custom(format!("invalid size: {other}"))),
        }
    }
}

/// A period; written as Go does: `1m30s`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Period(pub Duration);

impl Period {
    /// `1h2m3.5s`, `100ms`, `2d`, `1w`, or a number of nanoseconds.
    pub fn parse(text: &str) -> Option<Period> {
        if text == "0" {
            return Some(Period::default());
        }
        let mut rest = text;
        let mut total = 0f64;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let number: f64 = rest[..digits].parse().ok()?;
            rest = &rest[digits..];
            let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.');
            let (unit, after) = rest.split_at(letters.unwrap_or(rest.len()));
            rest = after;
            total += number
                * match unit {
                    "ns" => 1e-9,
                    "us" | "µs" | "μs" => 1e-6,
                    "ms" => 1e-3,
                    "s" => 1.0,
                    "m" => 60.0,
                    "h" => 3600.0,
                    "d" => 86400.0,
                    "w" => 604_800.0,
                    _ => return None,
                };
        }
        let nanos = (total * 1e9).round();
        (!text.is_empty() && nanos < i64::MAX as f64)
            .then(|| Period(Duration::from_nanos(nanos as u64)))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let fraction = |value: u128, unit: u128| {
            let text = format!(
                "{}.{:0width$}",
                value / unit,
                value % unit,
                width = unit.ilog10() as usize
            );
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        match nanos {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{nanos}ns"),
            1_000..1_000_000 => write!(f, "{}µs", fraction(nanos, 1_000)),
            1_000_000..1_000_000_000 => write!(f, "{}ms", fraction(nanos, 1_000_000)),
            _ => {
                let minutes = nanos / 60_000_000_000;
                let seconds = fraction(nanos % 60_000_000_000, 1_000_000_000);
                match (minutes / 60, minutes % 60) {
                    (0, 0) => write!(f, "{seconds}s"),
                    (0, minutes) => write!(f, "{minutes}m{seconds}s"),
                    (hours, minutes) => write!(f, "{hours}h{minutes}m{seconds}s"),
                }
            }
        }
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Period, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Period::parse(&text)
                .ok_or_else(|| de::Error::custom(format!("time: invalid duration {text:?}"))),
            other => match other.as_u64() {
                Some(nanos) => Ok(Period(Duration::from_nanos(nanos))),
                None => Err(de::Error::custom(format!("time: invalid duration {other}"))),
            },
        }
    }
}
