//! Values → YAML, letter by letter as Go's yaml.v3 writes it with two spaces for a level.

use std::fmt::Write as _;

use serde_json::Value;

use super::node::Yaml;
use super::scalar::{is_time, resolved};

/// So long is a key that stands before its colon on one line.
const SIMPLE_KEY: usize = 128;

/// Which of two names of a map comes first: numbers in them count as numbers.
pub fn before(one: &str, other: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut digits = false;
    for i in 0..a.len().min(b.len()) {
        if a[i] == b[i] {
            digits = a[i].is_ascii_digit();
            continue;
        }
        let (letter, other_letter) = (a[i].is_alphabetic(), b[i].is_alphabetic());
        if letter && other_letter {
            return a[i] < b[i];
        }
        if letter || other_letter {
            return if digits { letter } else { other_letter };
        }
        return number_before(&a, &b, i);
    }
    a.len() < b.len()
}

/// The same from where two names differ first, and neither has a letter there.
fn number_before(a: &[char], b: &[char], at: usize) -> bool {
    let zeros = a[at] == '0' || b[at] == '0';
    let before = a[..at].iter().rev().take_while(|c| c.is_ascii_digit());
    let start = u128::from(zeros && before.clone().any(|c| *c != '0'));
    let number = |text: &[char]| {
        let digits = text[at..].iter().map_while(|c| c.to_digit(10));
        let (mut number, mut count) = (start, 0);
        for digit in digits {
            number = number.saturating_mul(10).saturating_add(u128::from(digit));
            count += 1;
        }
        (number, count)
    };
    match (number(a), number(b)) {
        (one, other) if one != other => one < other,
        _ => a[at] < b[at],
    }
}

/// A value whose maps stand in that order. What stands in another one than that of the letters is no map but has its own.
pub fn sorted(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.keys().is_sorted() {
                let mut entries: Vec<(String, Value)> = std::mem::take(map).into_iter().collect();
                entries.sort_by(|(one, _), (other, _)| match before(one, other) {
                    true => std::cmp::Ordering::Less,
                    false if one == other => std::cmp::Ordering::Equal,
                    false => std::cmp::Ordering::Greater,
                });
                map.extend(entries);
            }
            map.values_mut().for_each(sorted);
        }
        Value::Array(list) => list.iter_mut().for_each(sorted),
        _ => {}
    }
}

/// The document of a value.
pub fn text(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => object(&mut text, map, 0),
        Value::Array(list) if !list.is_empty() => array(&mut text, list, 0),
        other => {
            scalar(&mut text, other, 0);
            text.push('\n');
        }
    }
    text
}

fn indent(text: &mut String, level: usize) {
    text.extend(std::iter::repeat_n(' ', level));
}

fn object(text: &mut String, map: &serde_json::Map<String, Value>, level: usize) {
    for (position, (key, value)) in map.iter().enumerate() {
        if position > 0 {
            indent(text, level);
        }
        if key.len() > SIMPLE_KEY || key.contains('\n') {
            text.push_str("? ");
            string(text, key, level + 2, false);
            text.push('\n');
            indent(text, level);
        } else {
            string(text, key, level, true);
        }
        text.push(':');
        match value {
            Value::Object(map) if !map.is_empty() => {
                text.push('\n');
                indent(text, level + 2);
                object(text, map, level + 2);
            }
            Value::Array(list) if !list.is_empty() => {
                text.push('\n');
                indent(text, level + 2);
                array(text, list, level + 2);
            }
            other => {
                text.push(' ');
                scalar(text, other, level + 2);
                text.push('\n');
            }
        }
    }
}

fn array(text: &mut String, list: &[Value], level: usize) {
    for (position, value) in list.iter().enumerate() {
        if position > 0 {
            indent(text, level);
        }
        text.push_str("- ");
        match value {
            Value::Object(map) if !map.is_empty() => object(text, map, level + 2),
            Value::Array(list) if !list.is_empty() => array(text, list, level + 2),
            other => {
                scalar(text, other, level + 2);
                text.push('\n');
            }
        }
    }
}

fn scalar(text: &mut String, value: &Value, level: usize) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => match number.is_f64() {
            true => text.push_str(&float(number.as_f64().unwrap_or_default())),
            false => text.push_str(&number.to_string()),
        },
        Value::String(value) => string(text, value, level, false),
        Value::Array(_) => text.push_str("[]"),
        Value::Object(_) => text.push_str("{}"),
    }
}

/// Go's `%g`: with an exponent where that is below -4 or above 5.
pub fn float(value: f64) -> String {
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let plain = format!("{value:e}");
    let (mantissa, exponent) = plain.split_once('e').expect("LowerExp writes one");
    let exponent: i32 = exponent.parse().expect("and a number behind it");
    if value != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    value.to_string()
}

fn string(text: &mut String, value: &str, level: usize, is_key: bool) {
    let form = Form::of(value);
    let resolves = !matches!(resolved(value), Yaml::Text(_))
        || is_time(value)
        || is_base60(value)
        || is_old_bool(value);
    if value.contains('\n') {
        match form.block && !is_key {
            true => literal(text, value, level),
            false => double(text, value),
        }
    } else if resolves {
        double(text, value);
    } else if form.plain {
        text.push_str(value);
    } else if form.single {
        let _ = write!(text, "'{}'", value.replace('\'', "''"));
    } else {
        double(text, value);
    }
}

/// What YAML 1.1 took for a truth.
fn is_old_bool(value: &str) -> bool {
    matches!(
        value,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "off"
            | "Off"
            | "OFF"
    )
}

/// `[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?`
fn is_base60(value: &str) -> bool {
    let value = value.strip_prefix(['-', '+']).unwrap_or(value);
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let of = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let Some((first, rest)) = whole.split_once(':') else {
        return false;
    };
    let sixty = |part: &str| match part.as_bytes() {
        [digit] => digit.is_ascii_digit(),
        [tens, digit] => (b'0'..=b'5').contains(tens) && digit.is_ascii_digit(),
        _ => false,
    };
    first.starts_with(|c: char| c.is_ascii_digit())
        && of(first)
        && of(fraction)
        && rest.split(':').all(sixty)
}

/// In which of the styles a text may be written.
struct Form {
    plain: bool,
    single: bool,
    block: bool,
}

impl Form {
    fn of(value: &str) -> Form {
        let mut indicators = value.starts_with("---") || value.starts_with("...");
        let (mut before_is_blank, mut before) = (true, '\0');
        let (mut space_break, mut break_space, mut tab, mut special) = (false, false, false, false);
        let mut characters = value.chars().peekable();
        let mut first = true;
        while let Some(c) = characters.next() {
            let blank_follows = characters
                .peek()
                .is_none_or(|next| matches!(next, ' ' | '\t' | '\n'));
            indicators |= match c {
                '#' => first || before_is_blank,
                ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
                | '@' | '`' => first,
                ':' => blank_follows,
                '?' | '-' => first && blank_follows,
                _ => false,
            };
            tab |= c == '\t';
            special |= !is_printable(c) && c != '\t';
            break_space |= c == ' ' && is_break(before);
            space_break |= is_break(c) && before == ' ';
            before_is_blank = matches!(c, ' ' | '\t') || is_break(c);
            before = c;
            first = false;
        }
        let around = |c: Option<char>| c.is_some_and(|c| c == ' ' || is_break(c));
        let breaks = value.contains(is_break);
        let outside = around(value.chars().next()) || around(value.chars().next_back());
        let single = !break_space && !space_break && !tab && !special;
        Form {
            plain: !indicators && !outside && !breaks && single,
            single,
            block: !value.ends_with(' ') && !space_break && !special,
        }
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && c != '\u{feff}'
}

/// `|`, with `-` where no line ends it and `+` where empty ones do.
fn literal(text: &mut String, value: &str, level: usize) {
    text.push('|');
    if value.starts_with([' ', '\n']) {
        text.push('2');
    }
    if !value.ends_with('\n') {
        text.push('-');
    } else if value == "\n" || value.ends_with("\n\n") {
        text.push('+');
    }
    for line in value.strip_suffix('\n').unwrap_or(value).split('\n') {
        text.push('\n');
        if !line.is_empty() {
            indent(text, level);
            text.push_str(line);
        }
    }
}

fn double(text: &mut String, value: &str) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            '\0' => text.push_str("\\0"),
            '\u{7}' => text.push_str("\\a"),
            '\u{8}' => text.push_str("\\b"),
            '\u{b}' => text.push_str("\\v"),
            '\u{c}' => text.push_str("\\f"),
            '\u{1b}' => text.push_str("\\e"),
            '\u{85}' => text.push_str("\\N"),
            '\u{2028}' => text.push_str("\\L"),
            '\u{2029}' => text.push_str("\\P"),
            c if is_printable(c) => text.push(c),
            c => {
                let code = u32::from(c);
                let _ = match code {
                    0..=0xff => write!(text, "\\x{code:02X}"),
                    0x100..=0xffff => write!(text, "\\u{code:04X}"),
                    _ => write!(text, "\\U{code:08X}"),
                };
            }
        }
    }
    text.push('"');
}
