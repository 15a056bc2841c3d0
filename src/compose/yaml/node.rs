//! The tree of a file: values with their places.

use std::collections::BTreeMap;

use serde_json::Value;

/// A place: which of the files that were read, its line and its column from 1. A line of 0 is nowhere.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct At {
    pub file: u32,
    pub line: u32,
    pub column: u32,
}

/// What a tag of compose's says of a value that is merged over another.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mark {
    #[default]
    None,
    /// `!reset`: as if neither were there.
    Reset,
    /// `!override`: it replaces the other.
    Override,
}

pub type Map = BTreeMap<String, Node>;

#[derive(Clone, Debug, Default, PartialEq)]
pub enum Yaml {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Map),
}

#[derive(Clone, Debug, Default)]
pub struct Node {
    pub value: Yaml,
    pub at: At,
    /// Where its key stands, if it has one.
    pub key: At,
    pub mark: Mark,
}

impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.value == other.value
    }
}

impl Node {
    pub fn new(value: impl Into<Yaml>, at: At) -> Node {
        Node {
            value: value.into(),
            at,
            key: at,
            mark: Mark::None,
        }
    }

    /// The same place with another value.
    pub fn with(&self, value: impl Into<Yaml>) -> Node {
        Node {
            value: value.into(),
            at: self.at,
            key: self.key,
            mark: self.mark,
        }
    }

    /// A map of these, each of them standing where this stands.
    pub fn map_of<const N: usize>(&self, entries: [(&str, Yaml); N]) -> Node {
        let entries = entries.into_iter();
        let entries = entries.map(|(key, value)| (key.to_owned(), Node::new(value, self.at)));
        self.with(Yaml::Map(entries.collect()))
    }

    pub fn is_null(&self) -> bool {
        matches!(self.value, Yaml::Null)
    }

    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Yaml::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn map(&self) -> Option<&Map> {
        match &self.value {
            Yaml::Map(map) => Some(map),
            _ => None,
        }
    }

    pub fn map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Yaml::Map(map) => Some(map),
            _ => None,
        }
    }

    pub fn list(&self) -> Option<&Vec<Node>> {
        match &self.value {
            Yaml::List(list) => Some(list),
            _ => None,
        }
    }

    pub fn list_mut(&mut self) -> Option<&mut Vec<Node>> {
        match &mut self.value {
            Yaml::List(list) => Some(list),
            _ => None,
        }
    }

    /// What stands at a key of a map.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.map()?.get(key)
    }

    /// The text at a key of a map.
    pub fn text_at(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }

    /// A scalar as Go's `fmt` shows it.
    pub fn shown(&self) -> Option<String> {
        match &self.value {
            Yaml::Null => Some(String::new()),
            Yaml::Bool(value) => Some(value.to_string()),
            Yaml::Int(value) => Some(value.to_string()),
            Yaml::Float(value) => Some(super::float(*value)),
            Yaml::Text(text) => Some(text.clone()),
            Yaml::List(_) | Yaml::Map(_) => None,
        }
    }

    /// Without places.
    pub fn to_value(&self) -> Value {
        match &self.value {
            Yaml::Null => Value::Null,
            Yaml::Bool(value) => (*value).into(),
            Yaml::Int(value) => (*value).into(),
            Yaml::Float(value) => (*value).into(),
            Yaml::Text(text) => text.as_str().into(),
            Yaml::List(list) => list.iter().map(Node::to_value).collect(),
            Yaml::Map(map) => {
                let entries = map.iter();
                let entries = entries.map(|(key, node)| (key.clone(), node.to_value()));
                Value::Object(entries.collect())
            }
        }
    }
}

impl From<&str> for Yaml {
    fn from(text: &str) -> Yaml {
        Yaml::Text(text.to_owned())
    }
}

impl From<String> for Yaml {
    fn from(text: String) -> Yaml {
        Yaml::Text(text)
    }
}

impl From<bool> for Yaml {
    fn from(value: bool) -> Yaml {
        Yaml::Bool(value)
    }
}

impl From<i64> for Yaml {
    fn from(value: i64) -> Yaml {
        Yaml::Int(value)
    }
}

impl From<Map> for Yaml {
    fn from(map: Map) -> Yaml {
        Yaml::Map(map)
    }
}

impl From<Vec<Node>> for Yaml {
    fn from(list: Vec<Node>) -> Yaml {
        Yaml::List(list)
    }
}
