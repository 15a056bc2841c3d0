//! Which plain words are numbers, truths and nothing: as Go's yaml.v3, which docker reads with, has it.

use super::node::Yaml;

/// The value of a plain word.
pub fn resolved(word: &str) -> Yaml {
    match word {
        "" | "~" | "null" | "Null" | "NULL" => return Yaml::Null,
        "true" | "True" | "TRUE" => return Yaml::Bool(true),
        "false" | "False" | "FALSE" => return Yaml::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Yaml::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Yaml::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Yaml::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let first = word.as_bytes()[0];
    if !first.is_ascii_digit() && !matches!(first, b'+' | b'-' | b'.') {
        return Yaml::Text(word.to_owned());
    }
    let plain = word.replace('_', "");
    if let Some(number) = integer(&plain) {
        return Yaml::Int(number);
    }
    if is_float(&plain)
        && let Ok(number) = plain.parse()
    {
        return Yaml::Float(number);
    }
    Yaml::Text(word.to_owned())
}

/// Go's base 0: `0x1f`, `0o17`, `017`, `0b11`, `12`.
fn integer(plain: &str) -> Option<i64> {
    let (negative, digits) = match plain.as_bytes().first()? {
        b'-' => (true, &plain[1..]),
        b'+' => (false, &plain[1..]),
        _ => (false, plain),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let number = i128::from_str_radix(digits, base).ok()?;
    i64::try_from(if negative { -number } else { number }).ok()
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(plain: &str) -> bool {
    let plain = plain.strip_prefix(['-', '+']).unwrap_or(plain);
    let (mantissa, exponent) = match plain.find(['e', 'E']) {
        Some(at) => (&plain[..at], Some(&plain[at + 1..])),
        None => (plain, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = match mantissa.split_once('.') {
        Some(("", after)) => !after.is_empty() && digits(after),
        Some((before, after)) => digits(before) && digits(after),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent = exponent.is_none_or(|text| {
        let text = text.strip_prefix(['-', '+']).unwrap_or(text);
        !text.is_empty() && digits(text)
    });
    fits && exponent
}

/// True for a plain word that yaml.v3 takes for a moment: written, it is quoted.
pub fn is_time(word: &str) -> bool {
    let bytes = word.as_bytes();
    let digits = |from: usize, to: usize| {
        bytes
            .get(from..to)
            .is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    digits(0, 4)
        && bytes.get(4) == Some(&b'-')
        && match bytes.len() {
            8..=10 => {
                let mut parts = word[5..].split('-');
                let mut part = || {
                    let text = parts.next().unwrap_or_default();
                    (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
                };
                part() && part() && parts.next().is_none()
            }
            _ => {
                digits(5, 7)
                    && bytes.get(7) == Some(&b'-')
                    && digits(8, 10)
                    && matches!(bytes.get(10), Some(b'T' | b't' | b' '))
                    && digits(11, 13)
                    && bytes.get(13) == Some(&b':')
                    && digits(14, 16)
                    && bytes.get(16) == Some(&b':')
                    && digits(17, 19)
            }
        }
}
