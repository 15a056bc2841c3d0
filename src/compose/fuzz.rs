//! What is fuzzed of this module: files before anything else is asked about them. It takes any bytes and fails only where a promise
//! is broken. The same inputs are replayed by the tests; only they and `fuzz/` are built with it.

use serde_json::Value;

use super::canonical::{canonical, defaults};
use super::fault::Fault;
use super::interpolate;
use super::merge::{merge, without_marks};
use super::model::{Project, Texts};
use super::schema::{self, FILE};
use super::unique::unique;
use super::yaml::{self, At, Map, Node};
use super::{check, decode, refuse, render};
use crate::build::interpolate::Variables;

/// What is written of a tree reads back as the same; a fault is at a place that the text has; a project of it can be shown.
pub fn compose(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines = yaml::lines(&text).count().max(1);
    let known = |at: At| assert!((at.line as usize) <= lines + 1, "{at:?}");
    let documents = match yaml::documents(&text, 0) {
        Ok(documents) => documents,
        Err(wrong) => return known(wrong.at),
    };
    // Nothing but maps is ever written.
    for document in documents.iter().filter(|one| one.map().is_some()) {
        let value = document.to_value();
        let written = yaml::text(&value);
        let again = yaml::documents(&written, 0).map(|all| all[0].to_value());
        assert!(
            again.is_ok_and(|again| is_same(&again, &value)),
            "{written}"
        );
    }
    match project(documents) {
        Ok(project) => {
            render::yaml(&project);
            for service in project.services.values() {
                render::hash(service);
            }
        }
        Err(fault) => known(fault.at),
    }
}

/// As docker, `3.0` is written as 3.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let has = |(key, value): (&String, &Value)| {
                other.get(key).is_some_and(|other| is_same(value, other))
            };
            one.len() == other.len() && one.iter().all(has)
        }
        _ => one == other,
    }
}

/// As `load` goes about it, without other files and directories.
fn project(documents: Vec<Node>) -> Result<Project, Fault> {
    let variables = Variables {
        lookup: &|name| (name.len() % 2 == 1).then(|| name.repeat(2)),
        unset: &|_| {},
    };
    let mut tree = Node::new(Map::new(), At::default());
    for mut document in documents {
        if document.map().is_none() {
            continue;
        }
        interpolate::replace(&mut document, variables)?;
        tree = merge(tree, document)?;
        without_marks(&mut tree);
        unique(&mut tree)?;
        schema::check(&mut tree, &FILE, true)?;
        canonical(&mut tree)?;
        unique(&mut tree)?;
    }
    defaults(&mut tree);
    check::tree(&tree)?;
    refuse::refused(&tree);
    refuse::without_effect(&tree);
    decode::project(&tree, &Texts::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::corpus::replay;

    #[test]
    fn the_corpus_holds_no_finding() {
        replay("compose", compose);
    }
}
