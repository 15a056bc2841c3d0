//! What compose files may say: shapes of values, and how values are held against them. The tables beside it are the compose
//! specification's; what keys mean is nothing to it.

mod service;
mod top;

#[cfg(test)]
mod tests;

use super::fault::Fault;
use super::yaml::{Node, Yaml};

use service::SERVICE;
pub use top::{FILE, INCLUDES};

const TEXT: u8 = 1;
const BOOL: u8 = 2;
const INT: u8 = 4;
const FLOAT: u8 = 8;
const NULL: u8 = 16;

/// What a text stands for where another type is meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cast {
    Keep,
    Bool,
    Int,
    Float,
}

/// What a value may be: each of the kinds that it has.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    scalars: u8,
    cast: Cast,
    list: Option<&'static Shape>,
    unique: bool,
    map: Option<Fields>,
    values: &'static [&'static str],
}

#[derive(Clone, Copy, Debug)]
pub enum Fields {
    /// These keys, and `x-…`.
    Named(
        &'static [(&'static str, &'static Shape)],
        &'static [&'static str],
    ),
    /// Names that the file's author chooses.
    Every(&'static Shape),
    /// The same, of the letters that names of services have.
    Names(&'static Shape),
}

const fn scalars(scalars: u8) -> Shape {
    Shape {
        scalars,
        cast: Cast::Keep,
        list: None,
        unique: false,
        map: None,
        values: &[],
    }
}

const fn cast(shape: Shape, cast: Cast) -> Shape {
    Shape { cast, ..shape }
}

const fn list(of: &'static Shape) -> Shape {
    Shape {
        list: Some(of),
        ..scalars(0)
    }
}

const fn every(of: &'static Shape) -> Shape {
    Shape {
        map: Some(Fields::Every(of)),
        ..scalars(0)
    }
}

const fn names(of: &'static Shape) -> Shape {
    Shape {
        map: Some(Fields::Names(of)),
        ..scalars(0)
    }
}

const fn object(fields: &'static [(&'static str, &'static Shape)]) -> Shape {
    Shape {
        map: Some(Fields::Named(fields, &[])),
        ..scalars(0)
    }
}

const fn needing(
    needed: &'static [&'static str],
    fields: &'static [(&'static str, &'static Shape)],
) -> Shape {
    Shape {
        map: Some(Fields::Named(fields, needed)),
        ..scalars(0)
    }
}

const fn one_of(values: &'static [&'static str]) -> Shape {
    Shape {
        values,
        ..scalars(TEXT)
    }
}

impl Shape {
    const fn or(self, scalars: u8) -> Shape {
        Shape {
            scalars: self.scalars | scalars,
            ..self
        }
    }

    const fn or_list(self, of: &'static Shape) -> Shape {
        Shape {
            list: Some(of),
            ..self
        }
    }

    const fn or_map(self, other: Shape) -> Shape {
        Shape {
            map: other.map,
            ..self
        }
    }

    const fn unique(self) -> Shape {
        Shape {
            unique: true,
            ..self
        }
    }

    /// Keys that this shape knows by name.
    #[cfg(test)]
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        let fields = match self.map {
            Some(Fields::Named(fields, _)) => fields,
            _ => &[],
        };
        fields.iter().map(|(name, _)| *name)
    }
}

// What many keys have.
static STRING: Shape = scalars(TEXT);
static STRING_NULL: Shape = scalars(TEXT | NULL);
static FLAG: Shape = cast(scalars(BOOL | TEXT), Cast::Bool);
static INTEGER: Shape = cast(scalars(INT | TEXT), Cast::Int);
static NUMBER: Shape = cast(scalars(INT | FLOAT | TEXT), Cast::Float);
static SIZE: Shape = scalars(INT | FLOAT | TEXT);
static STRING_NUMBER: Shape = scalars(INT | FLOAT | TEXT);
static STRINGS: Shape = list(&STRING).unique();
static STRING_OR_LIST: Shape = scalars(TEXT).or_list(&STRING);
static PLAIN: Shape = scalars(TEXT | BOOL | INT | FLOAT | NULL);
static LIST_OR_DICT: Shape = list(&STRING).or_map(every(&PLAIN));
static COMMAND: Shape = scalars(TEXT | NULL).or_list(&STRING);
static OPTIONS: Shape = every(&STRING_NUMBER_NULL);
static STRING_NUMBER_NULL: Shape = scalars(INT | FLOAT | TEXT | NULL);

/// Holds a value against its shape; texts that stand for something else become that, unless variables are still in them.
pub fn check(node: &mut Node, shape: &Shape, casting: bool) -> Result<(), Fault> {
    held(node, shape, casting, &mut Vec::new())
}

/// The same for what stands at a key of the top.
pub fn check_at(node: &mut Node, shape: &Shape, key: &str) -> Result<(), Fault> {
    held(node, shape, true, &mut vec![key.to_owned()])
}

fn held(
    node: &mut Node,
    shape: &Shape,
    casting: bool,
    path: &mut Vec<String>,
) -> Result<(), Fault> {
    if casting {
        cast_to(node, shape.cast, path)?;
    }
    let fault = |node: &Node, text: String| Fault::new(node.at, text);
    let kind = match &mut node.value {
        Yaml::List(items) => {
            let Some(of) = shape.list else {
                return Err(wrong_kind(node, shape, path));
            };
            for (position, item) in items.iter_mut().enumerate() {
                path.push(position.to_string());
                held(item, of, casting, path)?;
                path.pop();
            }
            if shape.unique
                && let Some((first, second)) = twice(items)
            {
                let place = place(path);
                let at = items[second].at;
                return Err(Fault::new(
                    at,
                    format!("{place} items at {first} and {second} are equal"),
                ));
            }
            return Ok(());
        }
        Yaml::Map(_) => match shape.map {
            Some(fields) => return held_map(node, fields, casting, path),
            None => return Err(wrong_kind(node, shape, path)),
        },
        Yaml::Text(text) => {
            if !shape.values.is_empty() && !shape.values.contains(&text.as_str()) {
                let values = shape.values.iter().map(|value| format!("'{value}'"));
                let values = values.collect::<Vec<_>>().join(", ");
                let text = match shape.values {
                    [_] => format!("{} value must be {values}", place(path)),
                    _ => format!("{} value must be one of {values}", place(path)),
                };
                return Err(fault(node, text));
            }
            TEXT
        }
        Yaml::Null => NULL,
        Yaml::Bool(_) => BOOL,
        Yaml::Int(_) => INT,
        Yaml::Float(_) => FLOAT,
    };
    match shape.scalars & kind {
        0 => Err(wrong_kind(node, shape, path)),
        _ => Ok(()),
    }
}

fn twice(items: &[Node]) -> Option<(usize, usize)> {
    let mut seen = std::collections::HashMap::new();
    for (position, item) in items.iter().enumerate() {
        if let Some(first) = seen.insert(item.shown()?, position) {
            return Some((first, position));
        }
    }
    None
}

fn held_map(
    node: &mut Node,
    fields: Fields,
    casting: bool,
    path: &mut Vec<String>,
) -> Result<(), Fault> {
    let at = node.at;
    let map = node.map_mut().expect("the caller looked");
    // Where several keys are unknown, the first one in the file is told.
    let mut unknown: Option<(&String, &Node)> = None;
    for (key, node) in map.iter() {
        let known = match fields {
            Fields::Named(fields, _) => {
                key.starts_with("x-") || fields.iter().any(|(name, _)| name == key)
            }
            Fields::Every(_) => !key.is_empty(),
            Fields::Names(_) => {
                let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
                !key.is_empty() && key.chars().all(fits)
            }
        };
        if !known && unknown.is_none_or(|(_, first)| node.key < first.key) {
            unknown = Some((key, node));
        }
    }
    if let Some((key, node)) = unknown {
        let text = format!("{} additional properties '{key}' not allowed", place(path));
        let mut fault = Fault::new(node.key, text.trim_start().to_owned());
        if let Fields::Named(fields, _) = fields {
            fault.near = nearest(key, fields.iter().map(|(name, _)| *name)).map(str::to_owned);
        }
        return Err(fault);
    }
    if let Fields::Named(_, needed) = fields
        && let Some(missing) = needed.iter().find(|key| !map.contains_key(**key))
    {
        let text = format!("{} missing property '{missing}'", place(path));
        return Err(Fault::new(at, text));
    }
    for (key, node) in map.iter_mut() {
        let shape = match fields {
            Fields::Named(_, _) if key.starts_with("x-") => continue,
            Fields::Named(fields, _) => fields.iter().find(|(name, _)| name == key),
            Fields::Every(shape) | Fields::Names(shape) => Some(&("", shape)),
        };
        let shape = shape.expect("unknown keys were told above").1;
        path.push(key.clone());
        held(node, shape, casting, path)?;
        path.pop();
    }
    Ok(())
}

fn wrong_kind(node: &Node, shape: &Shape, path: &[String]) -> Fault {
    let mut kinds = Vec::new();
    if shape.map.is_some() {
        kinds.push("mapping");
    }
    if shape.list.is_some() {
        kinds.push("array");
    }
    let scalars = [
        (BOOL, "boolean"),
        (INT, "integer"),
        (FLOAT, "number"),
        (NULL, "null"),
        (TEXT, "string"),
    ];
    let is_number = shape.scalars & FLOAT != 0;
    let scalars = scalars
        .iter()
        .filter(|(bit, word)| shape.scalars & bit != 0 && !(*word == "integer" && is_number));
    kinds.extend(scalars.map(|(_, word)| *word));
    let kinds = match kinds.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "absent".to_owned(),
    };
    let place = match path.is_empty() {
        true => "top-level object".to_owned(),
        false => place(path),
    };
    Fault::new(node.at, format!("{place} must be a {kinds}"))
}

fn place(path: &[String]) -> String {
    path.join(".")
}

fn cast_to(node: &mut Node, cast: Cast, path: &[String]) -> Result<(), Fault> {
    let Yaml::Text(text) = &node.value else {
        return Ok(());
    };
    let value = match cast {
        Cast::Keep => return Ok(()),
        Cast::Bool => match text.to_ascii_lowercase().as_str() {
            "true" | "y" | "yes" | "on" => Ok(Yaml::Bool(true)),
            "false" | "n" | "no" | "off" => Ok(Yaml::Bool(false)),
            _ => Err(format!("invalid boolean: {text}")),
        },
        Cast::Int => text
            .parse()
            .map(Yaml::Int)
            .map_err(|_| format!("parsing {text:?}: invalid syntax")),
        Cast::Float => text
            .parse()
            .map(Yaml::Float)
            .map_err(|_| format!("parsing {text:?}: invalid syntax")),
    };
    let value = value.map_err(|what| {
        let text = format!("{}: failed to cast to expected type: {what}", place(path));
        Fault::new(node.at, text)
    });
    node.value = value?;
    Ok(())
}

/// The name that was most likely meant.
pub fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let far = (word.chars().count() / 3).max(1) + 1;
    let near = names.map(|name| (distance(word, name), name));
    let near = near.filter(|(distance, _)| *distance <= far);
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Letters to be changed, put in or taken away.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().take(64).enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.iter().enumerate() {
            let changed = corner + usize::from(a != *b);
            corner = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(corner + 1);
        }
    }
    row[other.len()]
}
