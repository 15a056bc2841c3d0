//! The functions that expressions of a bake file may call. Pure, but for the time.

use std::collections::BTreeMap;

use hcl::{Map, Number, Value};
use regex::Regex;

use super::format;
use crate::config::parse_bool;

/// Bytes: what a function may make of texts that are shorter.
const TEXT_MAX: usize = 16 << 20;

type Called = Result<Value, String>;

/// As HCL makes a text of it.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

pub(super) fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) => parse_bool(text),
        _ => None,
    }
}

pub(super) fn number(text: &str) -> Option<Value> {
    let whole = text.parse::<i64>().map(Value::from).ok();
    whole.or_else(|| {
        let number = text.parse::<f64>().ok().and_then(Number::from_f64)?;
        Some(Value::Number(number))
    })
}

fn counted(value: f64) -> Called {
    let whole = value.fract() == 0.0 && value.abs() < 9e15;
    match whole {
        true => Ok(Value::from(value as i64)),
        false => Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| format!("{value} is no number")),
    }
}

/// What a function was given.
pub(super) struct Given<'a>(&'a [Value]);

impl<'a> Given<'a> {
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn at(&self, place: usize) -> Result<&'a Value, String> {
        let missing = || format!("argument {} is missing", place + 1);
        self.0.get(place).ok_or_else(missing)
    }

    pub(super) fn text(&self, place: usize) -> Result<String, String> {
        let value = self.at(place)?;
        text(value).ok_or_else(|| format!("argument {} is no text: {value}", place + 1))
    }

    pub(super) fn truth(&self, place: usize) -> Result<bool, String> {
        let value = self.at(place)?;
        truth(value).ok_or_else(|| format!("argument {} is no truth value: {value}", place + 1))
    }

    pub(super) fn number(&self, place: usize) -> Result<f64, String> {
        let value = self.at(place)?;
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| format!("argument {} is no number: {value}", place + 1))
    }

    fn place(&self, place: usize) -> Result<usize, String> {
        let number = self.number(place)?;
        match number >= 0.0 && number.fract() == 0.0 {
            true => Ok(number as usize),
            false => Err(format!("argument {} is no place: {number}", place + 1)),
        }
    }

    fn list(&self, place: usize) -> Result<&'a [Value], String> {
        match self.at(place)? {
            Value::Array(values) => Ok(values),
            other => Err(format!("argument {} is no list: {other}", place + 1)),
        }
    }

    fn texts(&self, place: usize) -> Result<Vec<String>, String> {
        let values = self.list(place)?.iter();
        values
            .map(|value| text(value).ok_or_else(|| format!("{value} is no text")))
            .collect()
    }

    fn object(&self, place: usize) -> Result<&'a Map<String, Value>, String> {
        match self.at(place)? {
            Value::Object(object) => Ok(object),
            other => Err(format!("argument {} is no object: {other}", place + 1)),
        }
    }
}

/// None: there is no such function.
pub(super) fn call(name: &str, arguments: &[Value]) -> Option<Called> {
    let given = Given(arguments);
    of_texts(name, &given)
        .or_else(|| of_numbers(name, &given))
        .or_else(|| of_lists(name, &given))
        .or_else(|| of_codes(name, &given))
}

/// So many pieces of this length have a place in one text.
fn fits(count: usize, length: usize) -> Result<(), String> {
    match count.saturating_mul(length) > TEXT_MAX {
        true => Err(format!("it would be longer than {TEXT_MAX} bytes")),
        false => Ok(()),
    }
}

fn texts_of(words: impl IntoIterator<Item = String>) -> Value {
    Value::Array(words.into_iter().map(Value::from).collect())
}

fn of_texts(name: &str, given: &Given<'_>) -> Option<Called> {
    let with_text =
        |change: &dyn Fn(&str) -> String| -> Called { Ok(Value::from(change(&given.text(0)?))) };
    let with_two = |change: &dyn Fn(&str, &str) -> Value| -> Called {
        Ok(change(&given.text(0)?, &given.text(1)?))
    };
    Some(match name {
        "upper" => with_text(&str::to_uppercase),
        "lower" => with_text(&str::to_lowercase),
        "title" => with_text(&title),
        "trimspace" => with_text(&|text| text.trim().to_owned()),
        "chomp" => with_text(&|text| text.trim_end_matches(['\n', '\r']).to_owned()),
        "strrev" => with_text(&|text| text.chars().rev().collect()),
        "sanitize" => with_text(&sanitized),
        "basename" => with_text(&|text| {
            text.trim_end_matches('/')
                .rsplit('/')
                .next()
                .unwrap_or("")
                .to_owned()
        }),
        "dirname" => with_text(&|text| match text.trim_end_matches('/').rsplit_once('/') {
            Some(("", _)) => "/".to_owned(),
            Some((directory, _)) => directory.to_owned(),
            None => ".".to_owned(),
        }),
        "strlen" => given.text(0).map(|text| Value::from(text.chars().count())),
        "trim" => with_two(&|text, set| Value::from(text.trim_matches(|c| set.contains(c)))),
        "trimprefix" => {
            with_two(&|text, part| Value::from(text.strip_prefix(part).unwrap_or(text)))
        }
        "trimsuffix" => {
            with_two(&|text, part| Value::from(text.strip_suffix(part).unwrap_or(text)))
        }
        "startswith" => with_two(&|text, part| Value::from(text.starts_with(part))),
        "endswith" => with_two(&|text, part| Value::from(text.ends_with(part))),
        "split" => with_two(&|at, text| texts_of(text.split(at).map(str::to_owned))),
        "join" => join(given),
        "replace" => replace(given),
        "substr" => substr(given),
        "indent" => indent(given),
        "format" => format::format(given).map(Value::from),
        "regex" | "regexall" | "regex_replace" => regex(name, given),
        _ => return None,
    })
}

fn title(text: &str) -> String {
    let mut titled = String::new();
    let mut in_word = false;
    for c in text.chars() {
        match in_word {
            true => titled.push(c),
            false => titled.extend(c.to_uppercase()),
        }
        in_word = c.is_alphanumeric();
    }
    titled
}

/// What a target may be called.
fn sanitized(text: &str) -> String {
    let is_kept = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let kept = text.chars();
    kept.map(|c| if is_kept(c) { c } else { '_' }).collect()
}

fn join(given: &Given<'_>) -> Called {
    let between = given.text(0)?;
    let mut words = Vec::new();
    for place in 1..given.0.len() {
        words.extend(given.texts(place)?);
    }
    fits(words.len(), between.len())?;
    Ok(Value::from(words.join(&between)))
}

/// A part between slashes is a pattern.
fn replace(given: &Given<'_>) -> Called {
    let (text, part, new) = (given.text(0)?, given.text(1)?, given.text(2)?);
    let pattern = part
        .strip_prefix('/')
        .and_then(|rest| rest.strip_suffix('/'));
    Ok(Value::from(match pattern {
        Some(pattern) if !pattern.is_empty() => {
            let pattern = Regex::new(pattern).map_err(|error| error.to_string())?;
            with_pattern(&pattern, &text, &new)?
        }
        _ => {
            fits(text.matches(&part).count(), new.len())?;
            text.replace(&part, &new)
        }
    }))
}

fn with_pattern(pattern: &Regex, text: &str, new: &str) -> Result<String, String> {
    // Each of its groups may stand there again.
    let groups = new.matches('$').count();
    fits(pattern.find_iter(text).count(), new.len())?;
    fits(groups, text.len())?;
    Ok(pattern.replace_all(text, new).into_owned())
}

fn substr(given: &Given<'_>) -> Called {
    let letters: Vec<char> = given.text(0)?.chars().collect();
    let (offset, length) = (given.number(1)?, given.number(2)?);
    let from = match offset < 0.0 {
        true => letters.len().saturating_sub(-offset as usize),
        false => (offset as usize).min(letters.len()),
    };
    let to = match length < 0.0 {
        true => letters.len(),
        false => from.saturating_add(length as usize).min(letters.len()),
    };
    Ok(Value::from(letters[from..to].iter().collect::<String>()))
}

fn indent(given: &Given<'_>) -> Called {
    let space = " ".repeat(given.place(0)?.min(1000));
    let text = given.text(1)?;
    fits(text.matches('\n').count(), space.len())?;
    Ok(Value::from(text.replace('\n', &format!("\n{space}"))))
}

fn regex(name: &str, given: &Given<'_>) -> Called {
    let at = usize::from(name == "regex_replace");
    let (pattern, text) = (given.text(at)?, given.text(1 - at)?);
    let pattern = Regex::new(&pattern).map_err(|error| error.to_string())?;
    let of = |found: &regex::Captures<'_>| {
        let part = |at: usize| {
            found
                .get(at)
                .map_or(Value::Null, |part| Value::from(part.as_str()))
        };
        match found.len() {
            1 => part(0),
            count => Value::Array((1..count).map(part).collect()),
        }
    };
    match name {
        "regex" => {
            let found = pattern.captures(&text);
            found
                .map(|found| of(&found))
                .ok_or_else(|| format!("{text:?} does not match {pattern}"))
        }
        "regexall" => Ok(Value::Array(
            pattern
                .captures_iter(&text)
                .map(|found| of(&found))
                .collect(),
        )),
        _ => with_pattern(&pattern, &text, &given.text(2)?).map(Value::from),
    }
}

fn of_numbers(name: &str, given: &Given<'_>) -> Option<Called> {
    let two = |change: &dyn Fn(f64, f64) -> f64| -> Called {
        counted(change(given.number(0)?, given.number(1)?))
    };
    let compared = |holds: &dyn Fn(f64, f64) -> bool| -> Called {
        Ok(Value::from(holds(given.number(0)?, given.number(1)?)))
    };
    let of_all = |choose: fn(f64, f64) -> f64| -> Called {
        let all: Result<Vec<f64>, String> = (0..given.0.len()).map(|at| given.number(at)).collect();
        let chosen = all?.into_iter().reduce(choose);
        counted(chosen.ok_or_else(|| "a number is expected".to_owned())?)
    };
    Some(match name {
        "add" => two(&|a, b| a + b),
        "subtract" => two(&|a, b| a - b),
        "multiply" => two(&|a, b| a * b),
        "divide" => two(&|a, b| a / b),
        "modulo" => two(&|a, b| a % b),
        "negate" => given.number(0).and_then(|number| counted(-number)),
        "abs" | "absolute" => given.number(0).and_then(|number| counted(number.abs())),
        "ceil" => given.number(0).and_then(|number| counted(number.ceil())),
        "floor" => given.number(0).and_then(|number| counted(number.floor())),
        "int" => given.number(0).and_then(|number| counted(number.trunc())),
        "min" => of_all(f64::min),
        "max" => of_all(f64::max),
        "greaterthan" => compared(&|a, b| a > b),
        "greaterthanorequalto" => compared(&|a, b| a >= b),
        "lessthan" => compared(&|a, b| a < b),
        "lessthanorequalto" => compared(&|a, b| a <= b),
        "equal" => equal(given).map(Value::from),
        "notequal" => equal(given).map(|equal| Value::from(!equal)),
        "not" => given.truth(0).map(|value| Value::from(!value)),
        "and" => both(given, |a, b| a && b),
        "or" => both(given, |a, b| a || b),
        "parseint" => parseint(given),
        _ => return None,
    })
}

fn equal(given: &Given<'_>) -> Result<bool, String> {
    Ok(given.at(0)? == given.at(1)?)
}

fn both(given: &Given<'_>, joined: fn(bool, bool) -> bool) -> Called {
    Ok(Value::from(joined(given.truth(0)?, given.truth(1)?)))
}

fn parseint(given: &Given<'_>) -> Called {
    let (text, base) = (given.text(0)?, given.place(1)?);
    if !(2..=36).contains(&base) {
        return Err(format!("{base} is no base"));
    }
    let parsed = i64::from_str_radix(&text, base as u32);
    parsed
        .map(Value::from)
        .map_err(|error| format!("{text:?}: {error}"))
}

/// What looks at lists, and gives no part of them.
fn of_lists(name: &str, given: &Given<'_>) -> Option<Called> {
    Some(match name {
        "length" => given.at(0).and_then(|value| match value {
            Value::Array(values) => Ok(Value::from(values.len())),
            Value::Object(object) => Ok(Value::from(object.len())),
            other => Err(format!("{other} has no length")),
        }),
        "coalesce" => {
            let found = given.0.iter().find(|value| **value != Value::Null);
            found.cloned().ok_or_else(|| "all is null".to_owned())
        }
        "contains" => given
            .list(0)
            .and_then(|list| Ok(Value::from(list.contains(given.at(1)?)))),
        "element" => given.list(0).and_then(|list| match list.len() {
            0 => Err("the list is empty".to_owned()),
            length => Ok(list[given.place(1)? % length].clone()),
        }),
        "index" => index(given),
        "hasindex" => Ok(Value::from(index(given).is_ok())),
        "range" => range(given),
        _ => return to_lists(name, given).or_else(|| of_objects(name, given)),
    })
}

/// What makes lists of lists.
fn to_lists(name: &str, given: &Given<'_>) -> Option<Called> {
    Some(match name {
        "concat" => {
            let lists = (0..given.0.len()).map(|at| given.list(at));
            lists
                .collect::<Result<Vec<_>, _>>()
                .map(|lists| Value::Array(lists.concat()))
        }
        "compact" => given.list(0).map(|list| {
            let kept = list
                .iter()
                .filter(|value| !matches!(value, Value::Null) && **value != Value::from(""));
            kept.cloned().collect()
        }),
        "distinct" => given.list(0).map(distinct),
        "flatten" => given.list(0).map(|list| Value::Array(flat(list))),
        "reverse" | "reverselist" => given
            .list(0)
            .map(|list| list.iter().rev().cloned().collect()),
        "sort" => given.texts(0).map(|mut words| {
            words.sort();
            texts_of(words)
        }),
        "slice" => slice(given),
        "chunklist" => given.list(0).and_then(|list| {
            let size = given.place(1)?.max(1);
            Ok(list
                .chunks(size)
                .map(|chunk| Value::Array(chunk.to_vec()))
                .collect())
        }),
        _ => return None,
    })
}

fn of_objects(name: &str, given: &Given<'_>) -> Option<Called> {
    Some(match name {
        "keys" => given
            .object(0)
            .map(|object| texts_of(object.keys().cloned())),
        "values" => given
            .object(0)
            .map(|object| object.values().cloned().collect()),
        "merge" => merge(given),
        "lookup" => given
            .object(0)
            .and_then(|object| match object.get(&given.text(1)?) {
                Some(value) => Ok(value.clone()),
                None => given.at(2).cloned(),
            }),
        "zipmap" => given.texts(0).and_then(|keys| {
            let values = given.list(1)?.iter().cloned();
            Ok(Value::Object(keys.into_iter().zip(values).collect()))
        }),
        _ => return None,
    })
}

fn distinct(list: &[Value]) -> Value {
    let mut kept: Vec<Value> = Vec::new();
    for value in list {
        if !kept.contains(value) {
            kept.push(value.clone());
        }
    }
    Value::Array(kept)
}

fn slice(given: &Given<'_>) -> Called {
    let list = given.list(0)?;
    let to = match given.0.len() > 2 {
        true => given.place(2)?,
        false => list.len(),
    };
    let part = list.get(given.place(1)?..to);
    part.map(|part| part.iter().cloned().collect())
        .ok_or_else(|| "the list is shorter".to_owned())
}

fn index(given: &Given<'_>) -> Called {
    let found = match given.at(0)? {
        Value::Array(values) => values.get(given.place(1)?),
        Value::Object(object) => object.get(&given.text(1)?),
        _ => None,
    };
    found
        .cloned()
        .ok_or_else(|| "it has no such member".to_owned())
}

fn flat(list: &[Value]) -> Vec<Value> {
    let parts = list.iter().map(|value| match value {
        Value::Array(inner) => flat(inner),
        other => vec![other.clone()],
    });
    parts.collect::<Vec<_>>().concat()
}

fn merge(given: &Given<'_>) -> Called {
    let mut merged = Map::new();
    for place in 0..given.0.len() {
        let object = given.object(place)?.iter();
        merged.extend(object.map(|(key, value)| (key.clone(), value.clone())));
    }
    Ok(Value::Object(in_order(merged)))
}

/// HCL's objects are in the order of their keys, however they were written.
pub(super) fn in_order(object: Map<String, Value>) -> Map<String, Value> {
    let sorted: BTreeMap<String, Value> = object.into_iter().collect();
    sorted.into_iter().collect()
}

/// `range(end)`, `range(start, end)`, `range(start, end, step)`
fn range(given: &Given<'_>) -> Called {
    let (start, end) = match given.0.len() {
        1 => (0.0, given.number(0)?),
        _ => (given.number(0)?, given.number(1)?),
    };
    let usual = if end < start { -1.0 } else { 1.0 };
    let step = if given.0.len() > 2 {
        given.number(2)?
    } else {
        usual
    };
    // Counted before: to a big number a small one may be added forever.
    let count = ((end - start) / step).ceil();
    if step == 0.0 || count.is_nan() || count > 1024.0 {
        return Err("it has more than 1024 members".to_owned());
    }
    let values = (0..count.max(0.0) as u32).map(|at| counted(start + step * f64::from(at)));
    values.collect::<Result<_, _>>().map(Value::Array)
}

fn of_codes(name: &str, given: &Given<'_>) -> Option<Called> {
    use base64::Engine as _;
    let code = base64::engine::general_purpose::STANDARD;
    Some(match name {
        "base64encode" => given.text(0).map(|text| Value::from(code.encode(text))),
        "base64decode" => given.text(0).and_then(|text| {
            let bytes = code.decode(text).map_err(|error| error.to_string())?;
            String::from_utf8(bytes)
                .map(Value::from)
                .map_err(|error| error.to_string())
        }),
        "sha256" => given.text(0).map(|text| {
            let digest = crate::image::Digest::of(text.as_bytes());
            Value::from(digest.hex())
        }),
        "jsonencode" => given.at(0).and_then(|value| {
            serde_json::to_string(value)
                .map(Value::from)
                .map_err(|error| error.to_string())
        }),
        "jsondecode" => given.text(0).and_then(|text| {
            serde_json::from_str::<Value>(&text).map_err(|error| error.to_string())
        }),
        "urlencode" => given.text(0).map(|text| {
            let coded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
            Value::from(coded)
        }),
        "timestamp" => {
            let now = jiff::Timestamp::now();
            let seconds = jiff::Timestamp::from_second(now.as_second()).unwrap_or(now);
            Ok(Value::from(seconds.to_string()))
        }
        "formattimestamp" => formatted_time(given),
        _ => return None,
    })
}

/// In HCL's words: YYYY, MM, DD, hh, mm, ss.
fn formatted_time(given: &Given<'_>) -> Called {
    let (layout, time) = (given.text(0)?, given.text(1)?);
    let time: jiff::Timestamp = time.parse().map_err(|error| format!("{time:?}: {error}"))?;
    let words = [
        ("YYYY", "%Y"),
        ("YY", "%y"),
        ("MM", "%m"),
        ("DD", "%d"),
        ("hh", "%H"),
        ("mm", "%M"),
        ("ss", "%S"),
    ];
    let layout = words
        .iter()
        .fold(layout, |layout, (word, ours)| layout.replace(word, ours));
    let zoned = time.to_zoned(jiff::tz::TimeZone::UTC);
    jiff::fmt::strtime::format(&layout, &zoned)
        .map(Value::from)
        .map_err(|error| error.to_string())
}
