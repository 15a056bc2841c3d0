//! Sizes as docker reads them (go-units): a number, at most one blank, a unit. Of memory they are powers of 1024 always.

use std::str::FromStr;

/// Bytes of memory: `64m`, `1.5GiB`, `512 kb`, `1e3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SizeError {
    #[error("invalid size: '{text}'")]
    Number { text: String },
    #[error("invalid suffix: '{suffix}'")]
    Suffix { suffix: String },
}

impl FromStr for Size {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Size, SizeError> {
        read(text, |_| 1024.0).map(Size)
    }
}

/// `10m` is 10,000,000, `10MiB` is 10 × 1024 × 1024; nothing below one byte.
pub(super) fn stored(text: &str) -> Option<u64> {
    let base = |binary| if binary { 1024.0 } else { 1000.0 };
    read(text, base).ok().filter(|bytes| *bytes > 0)
}

/// `base`: what `k` is, for a unit that says that it is binary and for one that doesn't.
fn read(text: &str, base: impl Fn(bool) -> f64) -> Result<u64, SizeError> {
    let wrong = || SizeError::Number {
        text: text.to_owned(),
    };
    let last = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ');
    let (number, suffix) = text.split_at(last.ok_or_else(wrong)? + 1);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let value: f64 = number.parse().map_err(|_| wrong())?;
    let (power, is_binary) = unit(suffix).ok_or_else(|| SizeError::Suffix {
        suffix: suffix.to_owned(),
    })?;
    let bytes = value * base(is_binary).powi(power);
    // f64 holds every size below 2^53 exactly; above i64::MAX docker overflows, we refuse
    match value >= 0.0 && bytes < i64::MAX as f64 {
        true => Ok(bytes as u64),
        false => Err(wrong()),
    }
}

/// Which power of the base it is: `k`, `kb`, `kib` and so on in any case; nothing or `b` is bytes. And whether it says `i`.
fn unit(suffix: &str) -> Option<(i32, bool)> {
    let lower = suffix.to_ascii_lowercase();
    let unit = lower.strip_suffix('b').unwrap_or(&lower);
    let (letter, is_binary) = match unit.strip_suffix('i') {
        Some(letter) if unit.len() < lower.len() => (letter, true),
        _ => (unit, false),
    };
    let powers = ["", "k", "m", "g", "t", "p"];
    let power = powers.iter().position(|power| *power == letter)?;
    (power > 0 || !is_binary).then_some((power as i32, is_binary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        let bytes = |text: &str| text.parse::<Size>().ok().map(|size| size.0);
        for (text, size) in [
            ("32", 32),
            ("32b", 32),
            ("32 b", 32),
            ("32 ", 32),
            ("32k", 32 << 10),
            ("32 KB", 32 << 10),
            ("32KiB", 32 << 10),
            ("1.5g", 3 << 29),
            (".5k", 512),
            ("5.", 5),
            ("+5", 5),
            ("1T", 1 << 40),
            ("1e3", 1000),
            ("1e2k", 102_400),
        ] {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
        for bad in [
            "",
            "m",
            "-1",
            "-1k",
            " 1g",
            "1g ",
            "32bb",
            "32x",
            "32i",
            "32ib",
            "32mi",
            "32 mm",
            "32  k",
            "32\tk",
            "1.5.5",
            "1mb1",
            "1e",
            "1e400",
            "inf ",
            "nan ",
            "99999999999p",
        ] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn errors_are_docker_s() {
        let error = |text: &str| text.parse::<Size>().map_err(|e| e.to_string());
        assert_eq!(error("12x"), Err("invalid suffix: 'x'".to_owned()));
        assert_eq!(error("hello"), Err("invalid size: 'hello'".to_owned()));
    }
}
