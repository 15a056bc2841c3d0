//! How Go's fmt package writes values: `%v` and the verbs of printf.

use serde_json::Value;

use super::functions::WIDEST;
use super::left_out::printed_null;

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

#[derive(Default)]
struct Verb {
    minus: bool,
    plus: bool,
    zero: bool,
    sharp: bool,
    width: Option<usize>,
    precision: Option<usize>,
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
        let verb = flags(&mut rest)?;
        match rest.next() {
            None => text.push_str("%!(NOVERB)"),
            Some('%') => text.push('%'),
            Some(letter) => match arguments.next() {
                None => text.push_str(&format!("%!{letter}(MISSING)")),
                Some(value) => text.push_str(&verb.apply(letter, value)),
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

fn flags(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Verb, String> {
    let mut verb = Verb::default();
    while let Some(c) = rest.next_if(|c| matches!(c, '-' | '+' | '0' | '#' | ' ')) {
        match c {
            '-' => verb.minus = true,
            '+' => verb.plus = true,
            '0' => verb.zero = true,
            '#' => verb.sharp = true,
            _ => {}
        }
    }
    verb.width = digits(rest)?;
    if rest.next_if_eq(&'.').is_some() {
        verb.precision = Some(digits(rest)?.unwrap_or(0));
    }
    Ok(verb)
}

fn digits(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Option<usize>, String> {
    let mut text = String::new();
    while let Some(c) = rest.next_if(char::is_ascii_digit) {
        text.push(c);
    }
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<usize>() {
        Ok(width) if width <= WIDEST => Ok(Some(width)),
        _ => Err(format!("width out of range: {text}")),
    }
}

impl Verb {
    fn apply(&self, letter: char, value: &Value) -> String {
        let wrong = || format!("%!{letter}({}={})", go_type(value), printed(value));
        let body = match (letter, value) {
            ('v', value) => printed(value),
            ('s', Value::String(text)) => self.cut(text),
            ('s', Value::Array(_) | Value::Object(_)) => printed(value),
            ('q', Value::String(text)) => format!("{text:?}"),
            ('x', Value::String(text)) => text.bytes().map(|b| format!("{b:02x}")).collect(),
            ('t', Value::Bool(on)) => on.to_string(),
            ('T', value) => go_type(value).to_owned(),
            ('d' | 'x' | 'X' | 'o' | 'b' | 'c', Value::Number(number)) => match number.as_i64() {
                Some(number) => self.integer(letter, number),
                None => return wrong(),
            },
            ('f' | 'F' | 'e' | 'g', Value::Number(number)) if number.is_f64() => {
                let number = number.as_f64().unwrap_or(0.0);
                match letter {
                    'e' => format!("{number:e}"),
                    'g' => number.to_string(),
                    _ => format!("{number:.*}", self.precision.unwrap_or(6)),
                }
            }
            _ => return wrong(),
        };
        self.widen(body, value.is_number())
    }

    fn cut(&self, text: &str) -> String {
        text.chars()
            .take(self.precision.unwrap_or(usize::MAX))
            .collect()
    }

    fn integer(&self, letter: char, number: i64) -> String {
        let sign = match number {
            n if n < 0 => "-",
            _ if self.plus => "+",
            _ => "",
        };
        let size = number.unsigned_abs();
        let (prefix, digits) = match letter {
            'x' => ("0x", format!("{size:x}")),
            'X' => ("0X", format!("{size:X}")),
            'o' => ("0", format!("{size:o}")),
            'b' => ("0b", format!("{size:b}")),
            'c' => {
                let c = u32::try_from(size).ok().and_then(char::from_u32);
                return c.unwrap_or('\u{fffd}').to_string();
            }
            _ => ("", size.to_string()),
        };
        let prefix = if self.sharp { prefix } else { "" };
        format!("{sign}{prefix}{digits}")
    }

    fn widen(&self, body: String, number: bool) -> String {
        let missing = self.width.unwrap_or(0).saturating_sub(body.chars().count());
        match (self.minus, self.zero && number) {
            (true, _) => format!("{body}{:missing$}", ""),
            (false, false) => format!("{:missing$}{body}", ""),
            (false, true) => {
                let digits = body.trim_start_matches(['+', '-']);
                let sign = &body[..body.len() - digits.len()];
                format!("{sign}{}{digits}", "0".repeat(missing))
            }
        }
    }
}
