//! An image in the making: its settings, history and layers. Pure; what the instructions mean is decided elsewhere.

use serde_json::{Map, Value, json};

use super::layers::Layer;
use crate::image::{CACHE_FIELD, Digest, Platform, configuration, remove_makers};

/// What docker says made an entry of the history.
const COMMENT: &str = "buildkit.dockerfile.v0";

/// What `PATH` is where an image has none.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image, or what a stage has come to so far.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The base's configuration, whose settings, history and layers are below.
    document: Map<String, Value>,
    pub config: Map<String, Value>,
    history: Vec<Value>,
    /// The image that it began as, and how many of the rows are that one's.
    base: Option<Digest>,
    base_rows: usize,
    pub layers: Vec<Layer>,
    /// What its files come from: the key of the last step that changed any.
    pub key: Digest,
    /// RFC 3339: when the last step was done.
    pub created: String,
    /// A later `CMD` was seen than the base's: an `ENTRYPOINT` leaves it.
    pub has_own_command: bool,
}

/// Nothing was ever made before this.
const BEGINNING: &str = "1970-01-01T00:00:00Z";

impl Draft {
    /// `FROM scratch`
    pub fn empty(platform: &Platform) -> Draft {
        let mut document = Map::new();
        document.insert("architecture".to_owned(), json!(platform.architecture));
        document.insert("os".to_owned(), json!(platform.os));
        if let Some(variant) = &platform.variant {
            document.insert("variant".to_owned(), json!(variant));
        }
        let mut config = Map::new();
        config.insert("Env".to_owned(), json!([format!("PATH={PATH}")]));
        config.insert("WorkingDir".to_owned(), "/".into());
        Draft {
            document,
            config,
            history: Vec::new(),
            base: None,
            base_rows: 0,
            layers: Vec::new(),
            key: Digest::of(b"scratch"),
            created: BEGINNING.to_owned(),
            has_own_command: false,
        }
    }

    /// An image of the store, by its configuration; `layers` are those it lists.
    pub fn of_image(id: &Digest, mut document: Map<String, Value>, layers: Vec<Layer>) -> Draft {
        remove_makers(&mut document);
        document.remove(CACHE_FIELD);
        let config = match document.remove("config") {
            Some(Value::Object(config)) => config,
            _ => Map::new(),
        };
        let history = match document.remove("history") {
            Some(Value::Array(history)) => history,
            _ => Vec::new(),
        };
        let created = match document.remove("created") {
            Some(Value::String(created)) => created,
            _ => BEGINNING.to_owned(),
        };
        let mut draft = Draft {
            document,
            config,
            base: Some(id.clone()),
            base_rows: history.len(),
            history,
            layers,
            key: id.clone(),
            created,
            has_own_command: false,
        };
        if draft.variable("PATH").is_none() {
            draft.set_variable("PATH", PATH);
        }
        draft
    }

    /// The variables, in order.
    pub fn variables(&self) -> Vec<(String, String)> {
        let env = self.config.get("Env").and_then(Value::as_array);
        let assignments = env.into_iter().flatten().filter_map(Value::as_str);
        assignments
            .map(|text| text.split_once('=').unwrap_or((text, "")))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    pub fn variable(&self, name: &str) -> Option<String> {
        let found = self.variables().into_iter().rev();
        found
            .into_iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    pub fn set_variable(&mut self, name: &str, value: &str) {
        let assignment = Value::from(format!("{name}={value}"));
        let env = self.list("Env");
        let prefix = format!("{name}=");
        let known = env.iter_mut().find(|entry| {
            entry
                .as_str()
                .is_some_and(|text| text.starts_with(&prefix) || text == name)
        });
        match known {
            Some(entry) => *entry = assignment,
            None => env.push(assignment),
        }
    }

    pub fn text(&self, key: &str) -> &str {
        self.config
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The shell that runs commands which are no list.
    pub fn shell(&self) -> Vec<String> {
        let shell = self.config.get("Shell").and_then(Value::as_array);
        match shell {
            Some(words) if !words.is_empty() => words
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            _ => ["/bin/sh", "-c"].map(str::to_owned).to_vec(),
        }
    }

    pub fn set(&mut self, key: &str, value: Value) {
        self.config.insert(key.to_owned(), value);
    }

    /// The list under `key`, made where there is none.
    pub fn list(&mut self, key: &str) -> &mut Vec<Value> {
        let value = self.config.entry(key).or_insert_with(|| json!([]));
        if !value.is_array() {
            *value = json!([]);
        }
        value.as_array_mut().expect("it was made one")
    }

    pub fn object(&mut self, key: &str) -> &mut Map<String, Value> {
        let value = self.config.entry(key).or_insert_with(|| json!({}));
        if !value.is_object() {
            *value = json!({});
        }
        value.as_object_mut().expect("it was made one")
    }

    /// The base's triggers, which are no part of what is made from it.
    pub fn take_triggers(&mut self) -> Vec<String> {
        let triggers = match self.config.remove("OnBuild") {
            Some(Value::Array(list)) => list,
            _ => Vec::new(),
        };
        let texts = triggers.iter().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }

    /// What the image's steps came to, for whoever names it as a cache.
    pub fn set_cache(&mut self, records: Value) {
        let field = crate::image::CACHE_FIELD.to_owned();
        self.document.insert(field, records);
    }

    pub fn set_author(&mut self, author: &str) {
        self.document.insert("author".to_owned(), author.into());
    }

    /// One row of the history; without a layer the instruction has changed settings only.
    pub fn record(&mut self, created_by: String, layer: Option<Layer>) {
        let mut entry = Map::new();
        entry.insert("created".to_owned(), self.created.as_str().into());
        entry.insert("created_by".to_owned(), created_by.into());
        entry.insert("comment".to_owned(), COMMENT.into());
        if let Some(author) = self.document.get("author") {
            entry.insert("author".to_owned(), author.clone());
        }
        match layer {
            Some(layer) => self.layers.push(layer),
            None => drop(entry.insert("empty_layer".to_owned(), true.into())),
        }
        self.history.push(Value::Object(entry));
    }

    /// One layer in the place of those that were added to the base's, as docker's `build --squash` has it: the rows stay, and have none.
    /// `id` is the image that it would be otherwise.
    pub fn squash(&mut self, id: &Digest, layer: Layer) {
        for row in self.history.iter_mut().skip(self.base_rows) {
            if let Value::Object(row) = row {
                row.insert("empty_layer".to_owned(), true.into());
            }
        }
        let comment = match &self.base {
            Some(base) => format!("merge {id} to {base}"),
            None => format!("create new from {id}"),
        };
        self.history
            .push(json!({ "created": self.created, "comment": comment }));
        self.layers
            .retain(|layer| matches!(layer, Layer::Base { .. }));
        self.layers.push(layer);
    }

    /// The configuration's bytes, once every layer has its DiffID.
    pub fn to_json(&self, diff_ids: &[Digest]) -> Vec<u8> {
        let (config, history) = (self.config.clone(), self.history.clone());
        configuration(
            self.document.clone(),
            &self.created,
            config,
            history,
            diff_ids,
        )
    }

    /// The directory of the base image, below `layers/`, that is seen as `/`. Those that are made here have none in their archives.
    pub fn root(&self) -> Option<String> {
        let base = self.layers.iter().rev();
        base.filter(|layer| matches!(layer, Layer::Base { .. }))
            .find_map(Layer::directory)
    }

    /// The layers' directories below `layers/`, bottom first, each once at its topmost place.
    pub fn directories(&self) -> Vec<String> {
        let mut seen = std::collections::HashSet::new();
        let named = self.layers.iter().rev().filter_map(Layer::directory);
        let mut directories: Vec<String> = named.filter(|name| seen.insert(name.clone())).collect();
        directories.reverse();
        directories
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_keeps_its_place_and_metadata_has_the_time_of_the_last_layer() {
        let mut draft = Draft::empty(&Platform::host());
        draft.set_variable("A", "1");
        draft.set_variable("B", "2");
        draft.set_variable("A", "3=4");
        let names: Vec<(String, String)> = draft.variables();
        assert_eq!(names[1], ("A".to_owned(), "3=4".to_owned()));
        assert_eq!(names.len(), 3);
        draft.record("ENV A=1".to_owned(), None);
        let json: Value = serde_json::from_slice(&draft.to_json(&[])).expect("it is JSON");
        assert_eq!(json["history"][0]["empty_layer"], true);
        assert_eq!(json["history"][0]["created"], BEGINNING);
        assert_eq!(json["created"], BEGINNING);
    }
}
