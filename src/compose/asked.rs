//! Which variables files ask for: what `config --variables` shows.

use std::collections::BTreeMap;

use super::load::Loaded;
use super::yaml::{Node, Yaml};
use crate::build::interpolate::{Form, Part, parts};

/// Words of variables in words of variables.
const DEPTH: usize = 32;

/// A variable, and what a file says of its absence and of its presence.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub name: String,
    pub required: bool,
    pub default: String,
    pub alternative: String,
}

impl Loaded {
    /// By their names.
    pub fn variables(&self) -> Vec<Asked> {
        let mut found = BTreeMap::new();
        // The project's name is made before all else.
        let parts = self.tree.map().into_iter().flatten();
        for (_, part) in parts.filter(|(key, _)| *key != "name") {
            walk(part, &mut found);
        }
        found.into_values().collect()
    }

    /// The names in a part of the tree.
    pub fn keys(&self, part: &str) -> Vec<String> {
        let part = self.tree.get(part).and_then(Node::map);
        part.into_iter()
            .flat_map(|map| map.keys().cloned())
            .collect()
    }

    /// The tree with the project's name, as far as it was normalized.
    pub fn named(&self) -> Node {
        let mut tree = self.tree.clone();
        let at = tree.at;
        if let Some(map) = tree.map_mut().filter(|_| self.is_normalized) {
            let name = self.project.name.as_str();
            map.insert("name".to_owned(), Node::new(name, at));
        }
        tree
    }
}

fn walk(node: &Node, found: &mut BTreeMap<String, Asked>) {
    match &node.value {
        Yaml::Text(text) => text_of(text, found, 0),
        Yaml::List(list) => list.iter().for_each(|node| walk(node, found)),
        Yaml::Map(map) => map.values().for_each(|node| walk(node, found)),
        _ => {}
    }
}

fn text_of(text: &str, found: &mut BTreeMap<String, Asked>, depth: usize) {
    if depth > DEPTH || !text.contains('$') {
        return;
    }
    for part in parts(text).unwrap_or_default() {
        let Part::Variable {
            name, form, word, ..
        } = part
        else {
            continue;
        };
        text_of(word, found, depth + 1);
        let variable = found.entry(name.to_owned()).or_insert_with(|| Asked {
            name: name.to_owned(),
            ..Asked::default()
        });
        match form {
            Form::Plain => {}
            Form::Default => variable.default = word.to_owned(),
            Form::Alternative => variable.alternative = word.to_owned(),
            Form::Required => variable.required = true,
        }
    }
}
