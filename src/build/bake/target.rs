//! One target of a bake file: what to build, as the file's keys have it. Holds no default.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::build::dockerfile::record;
use crate::config::parse_bool;

/// What is left out is what an inherited target says, or the default of `build`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Target {
    #[serde(skip_serializing)]
    pub description: Option<String>,
    #[serde(skip_serializing)]
    pub inherits: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "entries")]
    pub attest: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub contexts: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile_inline: Option<String>,
    /// Without a value it is not given.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "texts")]
    pub args: BTreeMap<String, Option<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "texts")]
    pub labels: BTreeMap<String, Option<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "caches")]
    pub cache_from: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "caches")]
    pub cache_to: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "entries")]
    pub secret: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "agents")]
    pub ssh: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "outputs")]
    pub output: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "flag")]
    pub pull: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "flag")]
    pub no_cache: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_cache_filter: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ulimits: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entitlements: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "texts")]
    pub extra_hosts: BTreeMap<String, Option<String>>,
}

/// What `build` takes as `key=value,key=value`; written as such, or as an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Entry(pub BTreeMap<String, String>);

impl Entry {
    pub fn of(fields: &[(&str, &str)]) -> Entry {
        let fields = fields.iter();
        Entry(
            fields
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    /// Fields with their keys; None: it is a word that stands for something.
    pub fn parse(text: &str) -> Option<Entry> {
        let mut fields = BTreeMap::new();
        for (_, field) in record(text)? {
            let (key, value) = field.split_once('=')?;
            fields.insert(key.trim().to_owned(), value.to_owned());
        }
        Some(Entry(fields))
    }

    pub fn cache(text: &str) -> Entry {
        Entry::parse(text).unwrap_or_else(|| Entry::of(&[("type", "registry"), ("ref", text)]))
    }

    pub fn output(text: &str) -> Entry {
        Entry::parse(text).unwrap_or_else(|| match text {
            "-" => Entry::of(&[("type", "tar"), ("dest", "-")]),
            directory => Entry::of(&[("type", "local"), ("dest", directory)]),
        })
    }

    /// `default`, or an id with the places of its keys.
    pub fn agent(text: &str) -> Entry {
        match text.split_once('=') {
            Some((id, paths)) => Entry::of(&[("id", id), ("paths", paths)]),
            None => Entry::of(&[("id", text)]),
        }
    }

    /// As a flag has it; what has a comma or a quote in it is quoted.
    pub fn words(&self) -> String {
        let fields = self.0.iter().map(|(key, value)| {
            let field = format!("{key}={value}");
            match field.contains([',', '"']) {
                true => format!("\"{}\"", field.replace('"', "\"\"")),
                false => field,
            }
        });
        fields.collect::<Vec<_>>().join(",")
    }
}

/// What a file may write where a text is meant.
pub(super) fn text_of(value: Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Bool(value) => Ok(Some(value.to_string())),
        Value::Number(number) => Ok(Some(number.to_string())),
        other => Err(format!("{other} is no text")),
    }
}

fn texts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Option<String>>, D::Error> {
    let read = BTreeMap::<String, Value>::deserialize(deserializer)?;
    let read = read.into_iter();
    read.map(|(key, value)| Ok((key, text_of(value).map_err(D::Error::custom)?)))
        .collect()
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::Bool(value) => Ok(Some(value)),
        Value::String(text) => {
            let value = parse_bool(&text);
            value
                .map(Some)
                .ok_or_else(|| D::Error::custom(format!("{text:?} is neither true nor false")))
        }
        other => Err(D::Error::custom(format!(
            "{other} is neither true nor false"
        ))),
    }
}

fn list<'de, D: Deserializer<'de>>(
    deserializer: D,
    word: fn(&str) -> Option<Entry>,
) -> Result<Vec<Entry>, D::Error> {
    let read = Vec::<Value>::deserialize(deserializer)?;
    let entries = read
        .into_iter()
        .filter(|one| !matches!(one, Value::String(text) if text.is_empty()));
    entries
        .map(|one| match one {
            Value::String(text) => word(&text)
                .ok_or_else(|| D::Error::custom(format!("{text:?}: KEY=VALUE is expected"))),
            Value::Object(object) => {
                let mut fields = BTreeMap::new();
                for (key, value) in object {
                    let value = match value {
                        Value::Array(values) => {
                            let values = values.into_iter().map(text_of);
                            let values: Result<Vec<_>, _> = values.collect();
                            let values = values.map_err(D::Error::custom)?;
                            Some(values.into_iter().flatten().collect::<Vec<_>>().join(","))
                        }
                        value => text_of(value).map_err(D::Error::custom)?,
                    };
                    if let Some(value) = value {
                        fields.insert(key, value);
                    }
                }
                Ok(Entry(fields))
            }
            other => Err(D::Error::custom(format!(
                "{other} is neither text nor object"
            ))),
        })
        .collect()
}

fn entries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
    list(deserializer, Entry::parse)
}

fn caches<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
    list(deserializer, |text| Some(Entry::cache(text)))
}

fn outputs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
    list(deserializer, |text| Some(Entry::output(text)))
}

fn agents<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
    list(deserializer, |text| Some(Entry::agent(text)))
}
