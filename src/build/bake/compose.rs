//! The `build:` sections of a compose file, as targets. All else of it is not looked at.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::BakeError;
use super::resolve::Bake;
use super::target::{Target, text_of};
use super::{BakeFile, Lookup};
use crate::build::interpolate::{Variables, interpolated};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    services: BTreeMap<String, Service>,
    secrets: BTreeMap<String, Secret>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Service {
    image: Option<String>,
    build: Option<Section>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Secret {
    file: Option<String>,
    environment: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Section {
    Context(String),
    Full(Map<String, Value>),
}

pub(super) fn read(bake: &mut Bake, file: &BakeFile, lookup: Lookup<'_>) -> Result<(), BakeError> {
    let parsed: Value = serde_saphyr::from_str(&file.text).map_err(|error| BakeError::Parse {
        file: file.name.clone(),
        text: error.to_string(),
    })?;
    let parsed = replaced(parsed, file, lookup)?;
    let document: Document = serde_json::from_value(parsed).map_err(|error| BakeError::Parse {
        file: file.name.clone(),
        text: error.to_string(),
    })?;
    let mut names = Vec::new();
    for (name, service) in document.services {
        let Some(section) = service.build else {
            continue;
        };
        let keys = match section {
            Section::Context(context) => Map::from_iter([("context".to_owned(), context.into())]),
            Section::Full(keys) => keys,
        };
        // A dot has no place in the name of a target.
        let name = name.replace('.', "_");
        let target = target(keys, service.image, &document.secrets, lookup);
        let target = target.map_err(|source| BakeError::Service {
            file: file.name.clone(),
            service: name.clone(),
            source,
        })?;
        bake.add(&name, target)?;
        names.push(name);
    }
    let group = bake.groups.entry("default".to_owned()).or_default();
    for name in names {
        if !group.targets.contains(&name) {
            group.targets.push(name);
        }
    }
    Ok(())
}

/// compose's words for what a target has; `x-bake` says what compose has no word for.
fn target(
    mut keys: Map<String, Value>,
    image: Option<String>,
    secrets: &BTreeMap<String, Secret>,
    lookup: Lookup<'_>,
) -> Result<Target, serde_json::Error> {
    let mut made = Map::new();
    let extra = keys.remove("x-bake");
    for (key, value) in keys {
        let (key, value) = match key.as_str() {
            "args" | "labels" | "additional_contexts" | "extra_hosts" => {
                let between = if key == "extra_hosts" {
                    &['=', ':'][..]
                } else {
                    &['=']
                };
                let key = match key.as_str() {
                    "additional_contexts" => "contexts",
                    "extra_hosts" => "extra-hosts",
                    same => same,
                };
                let value = pairs(value, between);
                match key {
                    "args" => (key, with_the_hosts(value, lookup)),
                    _ => (key, value),
                }
            }
            "context" | "dockerfile" | "target" | "network" | "platforms" | "pull" | "ssh"
            | "tags" => (key.as_str(), value),
            "dockerfile_inline" => ("dockerfile-inline", value),
            "cache_from" => ("cache-from", value),
            "cache_to" => ("cache-to", value),
            "no_cache" => ("no-cache", value),
            "shm_size" => ("shm-size", text(value)),
            "entitlements" => ("entitlements", value),
            "ulimits" => ("ulimits", ulimits(value)),
            "secrets" => ("secret", secret_entries(value, secrets)),
            other if other.starts_with("x-") => continue,
            // What is not known is told by its own name.
            other => (other, value),
        };
        made.insert(key.to_owned(), value);
    }
    if let Some(Value::Object(extra)) = extra {
        for (key, value) in extra {
            let listed = matches!(value, Value::Array(_) | Value::Object(_));
            let is_list = !matches!(
                key.as_str(),
                "pull" | "no-cache" | "context" | "dockerfile" | "target" | "network" | "call"
            );
            // One text stands for a list of one.
            let value = if is_list && !listed {
                json!([value])
            } else {
                value
            };
            let both = match made.remove(&key) {
                Some(before) => laid_over(&key, before, value),
                None => value,
            };
            made.insert(key, both);
        }
    }
    // The image is what it is called where nothing else is said.
    if let (Some(image), None) = (image, made.get("tags")) {
        made.insert("tags".to_owned(), json!([image]));
    }
    let mut target: Target = serde_json::from_value(made.into())?;
    for place in target.contexts.values_mut() {
        if let Some(service) = place.strip_prefix("service:") {
            *place = format!("target:{}", service.replace('.', "_"));
        }
    }
    Ok(target)
}

/// What `x-bake` says beside what compose says, as buildx has it: most lists go on, names of contexts lie over each other.
fn laid_over(key: &str, before: Value, value: Value) -> Value {
    match (key, before, value) {
        (
            "tags" | "cache-from" | "cache-to" | "secret" | "ssh" | "platforms" | "output",
            Value::Array(mut all),
            Value::Array(more),
        ) => {
            for one in more {
                if !all.contains(&one) {
                    all.push(one);
                }
            }
            Value::Array(all)
        }
        ("contexts", Value::Object(mut all), Value::Object(more)) => {
            all.extend(more);
            Value::Object(all)
        }
        (_, _, value) => value,
    }
}

fn text(value: Value) -> Value {
    match text_of(value.clone()) {
        Ok(Some(text)) => text.into(),
        _ => value,
    }
}

/// `NAME=VALUE` lines, or an object already.
fn pairs(value: Value, between: &[char]) -> Value {
    let Value::Array(lines) = value else {
        return value;
    };
    let pairs = lines.into_iter().filter_map(|line| match line {
        Value::String(line) => Some(match line.split_once(between) {
            Some((name, value)) => (name.to_owned(), value.into()),
            None => (line, Value::Null),
        }),
        _ => None,
    });
    Value::Object(pairs.collect())
}

/// `nofile: 1024`, `nofile: {soft: 1, hard: 2}`
fn ulimits(value: Value) -> Value {
    let Value::Object(limits) = value else {
        return value;
    };
    let limits = limits.into_iter().map(|(name, limit)| match limit {
        Value::Object(both) => json!(format!("{name}={}:{}", both["soft"], both["hard"])),
        one => json!(format!("{name}={one}")),
    });
    Value::Array(limits.collect())
}

/// Names of secrets that the file describes elsewhere.
fn secret_entries(value: Value, secrets: &BTreeMap<String, Secret>) -> Value {
    let Value::Array(names) = value else {
        return value;
    };
    let entries = names.into_iter().map(|entry| {
        let name = match &entry {
            Value::Object(fields) => fields.get("source").and_then(Value::as_str),
            other => other.as_str(),
        };
        let name = name.unwrap_or_default().to_owned();
        match secrets.get(&name) {
            Some(Secret {
                file: Some(file), ..
            }) => json!({"id": name, "src": file}),
            Some(Secret {
                environment: Some(variable),
                ..
            }) => json!({"id": name, "env": variable}),
            _ => json!({"id": name}),
        }
    });
    Value::Array(entries.collect())
}

/// What has no value is the host's, if the host has it.
fn with_the_hosts(arguments: Value, lookup: Lookup<'_>) -> Value {
    let Value::Object(arguments) = arguments else {
        return arguments;
    };
    let arguments = arguments.into_iter().filter_map(|(name, value)| {
        let value = match value {
            Value::Null => Value::from(lookup(&name)?),
            value => value,
        };
        Some((name, value))
    });
    Value::Object(arguments.collect())
}

/// All texts with their `${VARIABLE}`s replaced.
fn replaced(value: Value, file: &BakeFile, lookup: Lookup<'_>) -> Result<Value, BakeError> {
    Ok(match value {
        Value::String(text) => {
            let unset = &|_: &str| {};
            let made = interpolated(&text, Variables { lookup, unset });
            Value::String(made.map_err(|source| BakeError::Interpolation {
                file: file.name.clone(),
                source,
            })?)
        }
        Value::Array(values) => {
            let values = values
                .into_iter()
                .map(|value| replaced(value, file, lookup));
            Value::Array(values.collect::<Result<_, _>>()?)
        }
        Value::Object(object) => {
            let mut made = Map::new();
            for (key, value) in object {
                made.insert(key, replaced(value, file, lookup)?);
            }
            Value::Object(made)
        }
        other => other,
    })
}
