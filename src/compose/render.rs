//! A project → the text that docker writes of it, and the hash of a service, which is made of such a text.

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::model::{Project, Service};
use super::yaml::{self, Node};

/// Before the names of extensions, until it is known whether they are shown.
pub const EXTENSION: char = '\u{1}';

/// What `config` shows.
pub fn yaml(project: &Project) -> String {
    let mut value = value(project);
    walk(&mut value, &mut Vec::new(), true);
    yaml::sorted(&mut value);
    yaml::text(&value)
}

/// The same as JSON; without extensions but those of the top, as docker has it.
pub fn json(project: &Project) -> String {
    let value = value(project);
    let Value::Object(map) = value else {
        return String::new();
    };
    let mut sorted: Vec<(String, Value)> = map.into_iter().collect();
    // docker forgets them here.
    sorted.retain(|(key, _)| key != "models");
    for (key, _) in &mut sorted {
        if let Some(plain) = key.strip_prefix(EXTENSION) {
            *key = plain.to_owned();
        }
    }
    sorted.sort_by(|one, other| one.0.cmp(&other.0));
    let mut value = Value::Object(sorted.into_iter().collect());
    walk(&mut value, &mut Vec::new(), false);
    indented(&value)
}

/// The tree of the files in YAML, or in JSON.
pub fn tree(tree: &Node, as_json: bool) -> String {
    let mut value = tree.to_value();
    if as_json {
        return indented(&value);
    }
    yaml::sorted(&mut value);
    yaml::text(&value)
}

/// What changes when containers of a service have to be made anew: docker's, of the same text.
pub fn hash(service: &Service) -> String {
    let mut service = service.clone();
    service.build = None;
    service.pull_policy.clear();
    service.scale = None;
    if let Some(deploy) = &mut service.deploy {
        deploy.replicas = None;
    }
    service.depends_on.clear();
    service.profiles.clear();
    let mut value = value(&service);
    let mut path = vec!["services".to_owned(), service.name.clone()];
    walk(&mut value, &mut path, false);
    let text = escaped(&value.to_string());
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).expect("keys are texts, and numbers are numbers")
}

/// Go's JSON is to be put into HTML.
fn escaped(json: &str) -> String {
    let mut made = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' => made.push_str("\\u003c"),
            '>' => made.push_str("\\u003e"),
            '&' => made.push_str("\\u0026"),
            '\u{2028}' => made.push_str("\\u2028"),
            '\u{2029}' => made.push_str("\\u2029"),
            c => made.push(c),
        }
    }
    made
}

fn indented(value: &Value) -> String {
    escaped(&serde_json::to_string_pretty(value).expect("keys are texts"))
}

/// Takes away what one of the two forms does not have.
fn walk(value: &mut Value, path: &mut Vec<String>, is_yaml: bool) {
    match value {
        Value::Object(map) => {
            if map.keys().any(|key| key.starts_with(EXTENSION)) {
                extensions(map, is_yaml);
            }
            for (key, value) in map.iter_mut() {
                path.push(key.clone());
                walk(value, path, is_yaml);
                path.pop();
            }
            let keys: Vec<&str> = path.iter().map(String::as_str).collect();
            match is_yaml {
                true => without_empty(map, &keys),
                false => capitals(map, &keys),
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| walk(value, path, is_yaml)),
        _ => {}
    }
}

fn extensions(map: &mut Map<String, Value>, shown: bool) {
    let entries = std::mem::take(map);
    for (key, value) in entries {
        match key.strip_prefix(EXTENSION) {
            None => drop(map.insert(key, value)),
            Some(plain) if shown => drop(map.insert(plain.to_owned(), value)),
            Some(_) => {}
        }
    }
}

/// Three fields that docker has no small names for in JSON.
fn capitals(map: &mut Map<String, Value>, path: &[&str]) {
    if !matches!(path, ["services", _, "blkio_config", _]) {
        return;
    }
    let entries = std::mem::take(map).into_iter();
    map.extend(entries.map(|(key, value)| match key.as_str() {
        "path" => ("Path".to_owned(), value),
        "weight" => ("Weight".to_owned(), value),
        "rate" => ("Rate".to_owned(), value),
        _ => (key, value),
    }));
}

fn without_empty(map: &mut Map<String, Value>, path: &[&str]) {
    let (keys, is_empty): (&[&str], fn(&Value) -> bool) = match path {
        ["services", _] => (&["command", "entrypoint"], Value::is_null),
        ["services", _, "deploy"] => (&["resources", "placement"], |value| {
            value.as_object().is_some_and(Map::is_empty)
        }),
        ["services", _, "develop", "watch"] => (&["exec"], |value| {
            value.get("command").is_some_and(Value::is_null)
        }),
        ["networks", _] => (&["ipam"], |value| {
            value.as_object().is_some_and(Map::is_empty)
        }),
        _ => return,
    };
    for key in keys {
        if map.get(*key).is_some_and(is_empty) {
            map.shift_remove(*key);
        }
    }
}
