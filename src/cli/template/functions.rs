//! The functions a format may call: Go's own and docker's (json, join, split, lower, upper, title, truncate, pad).

use std::cmp::Ordering;

use serde_json::Value;

use super::{STRUCT, format};
use crate::build::verb::WIDEST;

type Result = std::result::Result<Value, String>;

/// Name, fewest and most arguments.
const FUNCTIONS: [(&str, usize, usize); 25] = [
    ("and", 1, usize::MAX),
    ("or", 1, usize::MAX),
    ("not", 1, 1),
    ("eq", 2, usize::MAX),
    ("ne", 2, 2),
    ("lt", 2, 2),
    ("le", 2, 2),
    ("gt", 2, 2),
    ("ge", 2, 2),
    ("len", 1, 1),
    ("index", 1, usize::MAX),
    ("slice", 1, 4),
    ("print", 0, usize::MAX),
    ("printf", 1, usize::MAX),
    ("println", 0, usize::MAX),
    ("html", 0, usize::MAX),
    ("urlquery", 0, usize::MAX),
    ("json", 1, 1),
    ("join", 2, 2),
    ("split", 2, 2),
    ("lower", 1, 1),
    ("upper", 1, 1),
    ("title", 1, 1),
    ("truncate", 2, 2),
    ("pad", 3, 3),
];

pub fn exists(name: &str) -> bool {
    FUNCTIONS.iter().any(|(known, _, _)| *known == name)
}

pub fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(on) => *on,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

pub fn call(name: &str, arguments: Vec<Value>) -> Result {
    let Some((_, least, most)) = FUNCTIONS.iter().find(|(known, _, _)| *known == name) else {
        return Err(format!("function {name:?} not defined"));
    };
    let count = arguments.len();
    if count < *least || count > *most {
        let least = if least == most {
            least.to_string()
        } else {
            format!("at least {least}")
        };
        return Err(format!(
            "wrong number of args for {name}: want {least} got {count}"
        ));
    }
    let called = match name {
        "and" | "or" => logic(name, arguments),
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" => compare(name, &arguments),
        "index" => index(arguments),
        "slice" => slice(&arguments),
        "print" => Ok(format::print(&arguments).into()),
        "println" => Ok(format::println(&arguments).into()),
        "printf" => format::printf(&arguments).map(Value::from),
        "html" => Ok(html(&format::print(&arguments)).into()),
        "urlquery" => Ok(url::form_urlencoded::byte_serialize(
            format::print(&arguments).as_bytes(),
        )
        .collect::<String>()
        .into()),
        "pad" => pad(&arguments),
        "join" | "split" | "truncate" => two(name, &arguments[0], &arguments[1]),
        _ => one(name, &arguments[0]),
    };
    called.map_err(|reason| format!("error calling {name}: {reason}"))
}

fn one(name: &str, value: &Value) -> Result {
    Ok(match name {
        "not" => (!truth(value)).into(),
        "len" => length(value)?.into(),
        "json" => json(value).into(),
        "lower" => text(value)?.to_lowercase().into(),
        "upper" => text(value)?.to_uppercase().into(),
        _ => title(text(value)?).into(),
    })
}

fn two(name: &str, first: &Value, second: &Value) -> Result {
    match (name, first) {
        ("join", Value::Array(list)) => {
            let words: Vec<String> = list.iter().map(format::printed).collect();
            Ok(words.join(text(second)?).into())
        }
        ("join", Value::Null) => Ok("".into()),
        ("join", other) => Err(format!(
            "expected []string; found {}",
            format::go_type(other)
        )),
        ("split", value) => Ok(text(value)?.split(text(second)?).collect::<Vec<_>>().into()),
        (_, value) => {
            let length = number(second)?.max(0);
            Ok(text(value)?
                .chars()
                .take(usize::try_from(length).unwrap_or(0))
                .collect::<String>()
                .into())
        }
    }
}

/// docker's `json` escapes no HTML and ends without a line feed.
pub fn json(value: &Value) -> String {
    let mut plain = value.clone();
    match unmark(&mut plain) {
        true => format!("{plain:#}"),
        false => plain.to_string(),
    }
}

/// Takes all marks away; whether there were some.
fn unmark(value: &mut Value) -> bool {
    let mut was = false;
    match value {
        Value::Object(map) => {
            was = map.shift_remove(STRUCT).is_some();
            for value in map.values_mut() {
                was |= unmark(value);
            }
        }
        Value::Array(list) => {
            for value in list {
                was |= unmark(value);
            }
        }
        _ => {}
    }
    was
}

fn text(value: &Value) -> std::result::Result<&str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("expected string; found {}", format::go_type(value)))
}

fn number(value: &Value) -> std::result::Result<i64, String> {
    value
        .as_i64()
        .ok_or_else(|| format!("expected integer; found {}", format::go_type(value)))
}

fn length(value: &Value) -> std::result::Result<usize, String> {
    match value {
        Value::String(text) => Ok(text.len()),
        Value::Array(list) => Ok(list.len()),
        Value::Object(map) => Ok(map.len()),
        Value::Null => Ok(0),
        other => Err(format!("len of type {}", format::go_type(other))),
    }
}

fn title(text: &str) -> String {
    let mut start = true;
    let upper = |c: char| c.to_uppercase().collect::<String>();
    text.chars()
        .map(|c| {
            let shown = if start { upper(c) } else { c.to_string() };
            start = c.is_whitespace();
            shown
        })
        .collect()
}

/// Blanks around a text, none around an empty one.
fn pad(arguments: &[Value]) -> Result {
    let width = |value| {
        number(value).and_then(|n| {
            usize::try_from(n)
                .ok()
                .filter(|n| *n <= WIDEST)
                .ok_or_else(|| format!("width out of range: {n}"))
        })
    };
    let shown = text(&arguments[0])?;
    let (before, after) = (width(&arguments[1])?, width(&arguments[2])?);
    if shown.is_empty() {
        return Ok("".into());
    }
    Ok(format!("{:before$}{shown}{:after$}", "", "").into())
}

fn logic(name: &str, arguments: Vec<Value>) -> Result {
    let decides = name == "or";
    let mut last = Value::Null;
    for value in arguments {
        let stop = truth(&value) == decides;
        last = value;
        if stop {
            break;
        }
    }
    Ok(last)
}

fn compare(name: &str, arguments: &[Value]) -> Result {
    let first = &arguments[0];
    let is_one_of = |others: &[Value]| -> std::result::Result<bool, String> {
        for other in others {
            if order(first, other, true)? == Ordering::Equal {
                return Ok(true);
            }
        }
        Ok(false)
    };
    Ok(match name {
        "eq" => is_one_of(&arguments[1..])?,
        "ne" => !is_one_of(&arguments[1..])?,
        _ => {
            let order = order(first, &arguments[1], false)?;
            match name {
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                _ => order.is_ge(),
            }
        }
    }
    .into())
}

fn order(a: &Value, b: &Value, equality: bool) -> std::result::Result<Ordering, String> {
    let incompatible = || "incompatible types for comparison".to_owned();
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let whole = a.as_i64().zip(b.as_i64()).map(|(a, b)| a.cmp(&b));
            whole
                .or_else(|| {
                    a.as_f64()
                        .zip(b.as_f64())
                        .and_then(|(a, b)| a.partial_cmp(&b))
                })
                .ok_or_else(incompatible)
        }
        (Value::String(a), Value::String(b)) => Ok(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) if equality => Ok(a.cmp(b)),
        (Value::Null, Value::Null) if equality => Ok(Ordering::Equal),
        (Value::Null, _) | (_, Value::Null) if equality => Ok(Ordering::Less),
        (Value::Array(_) | Value::Object(_), _) => Err("non-comparable type".to_owned()),
        _ => Err(incompatible()),
    }
}

fn index(arguments: Vec<Value>) -> Result {
    let mut arguments = arguments.into_iter();
    let mut value = arguments.next().unwrap_or(Value::Null);
    for key in arguments {
        value = match (&value, &key) {
            (Value::Array(list), Value::Number(_)) => {
                let at = number(&key)?;
                let item = usize::try_from(at).ok().and_then(|at| list.get(at));
                item.cloned()
                    .ok_or_else(|| format!("index out of range: {at}"))?
            }
            (Value::Object(map), Value::String(key)) => match map.get(key) {
                Some(item) => item.clone(),
                // Go gives the zero value of the map's type
                None if map.values().all(Value::is_string) => "".into(),
                None => Value::Null,
            },
            (Value::String(text), Value::Number(_)) => {
                let at = number(&key)?;
                let byte = usize::try_from(at)
                    .ok()
                    .and_then(|at| text.as_bytes().get(at));
                byte.copied()
                    .ok_or_else(|| format!("index out of range: {at}"))?
                    .into()
            }
            (Value::Null, _) => return Err("index of untyped nil".to_owned()),
            (Value::Array(_) | Value::Object(_), key) => {
                return Err(format!(
                    "cannot index slice/array with type {}",
                    format::go_type(key)
                ));
            }
            (other, _) => {
                return Err(format!(
                    "can't index item of type {}",
                    format::go_type(other)
                ));
            }
        };
    }
    Ok(value)
}

fn slice(arguments: &[Value]) -> Result {
    let bound = |at: usize, otherwise: usize| -> std::result::Result<usize, String> {
        let Some(value) = arguments.get(at) else {
            return Ok(otherwise);
        };
        let number = number(value)?;
        usize::try_from(number).map_err(|_| format!("index out of range: {number}"))
    };
    let whole = length(&arguments[0])?;
    let (from, to) = (bound(1, 0)?, bound(2, whole)?);
    let out = || format!("index out of range: {}", from.max(to));
    match &arguments[0] {
        Value::String(text) => text.get(from..to).map(Value::from).ok_or_else(out),
        Value::Array(list) => list.get(from..to).map(Value::from).ok_or_else(out),
        other => Err(format!(
            "can't slice item of type {}",
            format::go_type(other)
        )),
    }
}

fn html(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '&' => "&amp;".to_owned(),
            '\'' => "&#39;".to_owned(),
            '"' => "&#34;".to_owned(),
            c => c.to_string(),
        })
        .collect()
}
