//! How Go's fmt package writes values: `%v` and the verbs of printf.

use serde_json::Value;

use super::left_out::printed_null;
use crate::build::verb::Verb;

/// As `{{.x}}` prints it.
pub fn printed(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(on) => on.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(printed).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries: Vec<String> = entries
                .into_iter()
                .map(|(key, value)| format!("{key}:{}", printed_as(key, value)))
                .collect();
            format!("map[{}]", entries.join(" "))
        }
    }
}

/// The same for what a key of this name holds.
pub fn printed_as(name: &str, value: &Value) -> String {
    match value {
        Value::Null => printed_null(name).to_owned(),
        value => printed(value),
    }
}

pub fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// A blank between two operands when neither is a string.
pub fn print(values: &[Value]) -> String {
    let mut text = String::new();
    for (at, value) in values.iter().enumerate() {
        if at > 0 && !value.is_string() && !values[at - 1].is_string() {
            text.push(' ');
        }
        text.push_str(&printed(value));
    }
    text
}

pub fn println(values: &[Value]) -> String {
    let words: Vec<String> = values.iter().map(printed).collect();
    format!("{}\n", words.join(" "))
}

pub fn printf(values: &[Value]) -> Result<String, String> {
    let [format, arguments @ ..] = values else {
        return Ok(String::new());
    };
    let format = format
        .as_str()
        .ok_or_else(|| format!("expected string; found {}", go_type(format)))?;
    let mut arguments = arguments.iter();
    let mut text = String::new();
    let mut rest = format.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let verb = Verb::read(&mut rest)?;
        match rest.next() {
            None => text.push_str("%!(NOVERB)"),
            Some('%') => text.push('%'),
            Some(letter) => match arguments.next() {
                None => text.push_str(&format!("%!{letter}(MISSING)")),
                Some(value) => text.push_str(&apply(&verb, letter, value)),
            },
        }
    }
    let left: Vec<String> = arguments
        .map(|value| format!("{}={}", go_type(value), printed(value)))
        .collect();
    if !left.is_empty() {
        text.push_str(&format!("%!(EXTRA {})", left.join(", ")));
    }
    Ok(text)
}

fn apply(verb: &Verb, letter: char, value: &Value) -> String {
    let wrong = || format!("%!{letter}({}={})", go_type(value), printed(value));
    let body = match (letter, value) {
        ('d' | 'x' | 'X' | 'o' | 'b', Value::Number(number)) => match number.as_i64() {
            Some(number) => return verb.whole(letter, number < 0, number.unsigned_abs().into()),
            None => return wrong(),
        },
        ('f' | 'F' | 'e' | 'E', Value::Number(number)) if number.is_f64() => {
            return verb.fraction(letter, number.as_f64().unwrap_or(0.0));
        }
        // As it is written, and the flags of numbers count.
        ('v' | 'g', Value::Number(number)) if letter == 'v' || number.is_f64() => {
            return verb.padded_number(&number.to_string());
        }
        ('c', Value::Number(number)) => match number.as_i64() {
            Some(number) => letter_of(number).to_string(),
            None => return wrong(),
        },
        ('v', value) => printed(value),
        ('s', Value::String(text)) => verb.cut(text),
        ('s', Value::Array(_) | Value::Object(_)) => printed(value),
        ('q', Value::String(text)) => format!("{text:?}"),
        ('x', Value::String(text)) => text.bytes().map(|b| format!("{b:02x}")).collect(),
        ('t', Value::Bool(on)) => on.to_string(),
        ('T', value) => go_type(value).to_owned(),
        _ => return wrong(),
    };
    verb.padded(&body)
}

fn letter_of(number: i64) -> char {
    let letter = u32::try_from(number).ok().and_then(char::from_u32);
    letter.unwrap_or(char::REPLACEMENT_CHARACTER)
}
