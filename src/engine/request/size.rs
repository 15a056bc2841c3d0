//! Memory sizes as docker reads them: `64m`, `1.5GiB`, `512 kb`, always powers of 1024.

use std::str::FromStr;

/// Bytes.
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
        let number = || SizeError::Number {
            text: text.to_owned(),
        };
        let end = text
            .rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')
            .ok_or_else(number)?
            + 1;
        let (digits, suffix) = text.split_at(end);
        // one blank may stand between number and unit
        let digits = digits.strip_suffix(' ').unwrap_or(digits);
        if !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Err(number());
        }
        let value: f64 = digits.parse().map_err(|_| number())?;
        let factor = factor(suffix).ok_or_else(|| SizeError::Suffix {
            suffix: suffix.to_owned(),
        })?;
        let bytes = value * factor;
        // f64 holds every size below 2^53 exactly; above i64::MAX docker overflows, we refuse
        if bytes >= i64::MAX as f64 {
            return Err(number());
        }
        Ok(Size(bytes as u64))
    }
}

/// `k`, `kb`, `kib` and so on in any case; nothing or `b` is bytes.
fn factor(suffix: &str) -> Option<f64> {
    let lower = suffix.to_ascii_lowercase();
    let mut letters = lower.chars();
    let power = match letters.next() {
        None => return Some(1.0),
        Some('b') => 0,
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some('p') => 5,
        Some(_) => return None,
    };
    match (power, letters.as_str()) {
        (0, "") => Some(1.0),
        (0, _) => None,
        (_, "" | "b" | "ib") => Some(1024f64.powi(power)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        let bytes = |text: &str| text.parse::<Size>().ok().map(|size| size.0);
        assert_eq!(bytes("32"), Some(32));
        assert_eq!(bytes("32b"), Some(32));
        assert_eq!(bytes("32k"), Some(32 << 10));
        assert_eq!(bytes("32 KB"), Some(32 << 10));
        assert_eq!(bytes("32KiB"), Some(32 << 10));
        assert_eq!(bytes("1.5g"), Some(3 << 29));
        assert_eq!(bytes("1T"), Some(1 << 40));
        for bad in [
            "",
            "m",
            "-1",
            "32bb",
            "32x",
            "32 mm",
            "1e3",
            "32  k",
            "99999999999p",
        ] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn errors_are_docker_s() {
        assert_eq!(
            "12x".parse::<Size>().map_err(|e| e.to_string()),
            Err("invalid suffix: 'x'".to_owned())
        );
        assert_eq!(
            "hello".parse::<Size>().map_err(|e| e.to_string()),
            Err("invalid size: 'hello'".to_owned())
        );
    }
}
