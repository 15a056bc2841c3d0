//! Where in a project a value is: keys from the top.

use std::convert::Infallible;

use super::yaml::{Node, Yaml};

/// The keys to a value; the position in a list is a key too.
#[derive(Clone, Debug, Default)]
pub struct Path(Vec<String>);

impl Path {
    pub fn of<const N: usize>(keys: [&str; N]) -> Path {
        Path(keys.map(str::to_owned).to_vec())
    }

    /// Does something one level deeper.
    pub fn under<T>(&mut self, key: &str, what: impl FnOnce(&mut Path) -> T) -> T {
        self.0.push(key.to_owned());
        let done = what(self);
        self.0.pop();
        done
    }

    /// Does something with each value directly below one, until one fails.
    pub fn try_each_below<E>(
        &mut self,
        node: &mut Node,
        mut what: impl FnMut(&mut Node, &mut Path) -> Result<(), E>,
    ) -> Result<(), E> {
        match &mut node.value {
            Yaml::Map(map) => map
                .iter_mut()
                .try_for_each(|(key, node)| self.under(key, |path| what(node, path))),
            Yaml::List(list) => list
                .iter_mut()
                .try_for_each(|node| self.under("*", |path| what(node, path))),
            _ => Ok(()),
        }
    }

    /// The same where nothing can fail.
    pub fn each_below(&mut self, node: &mut Node, mut what: impl FnMut(&mut Node, &mut Path)) {
        let done: Result<(), Infallible> = self.try_each_below(node, |node, path| {
            what(node, path);
            Ok(())
        });
        done.unwrap_or_else(|never| match never {});
    }

    /// To be matched with patterns.
    pub fn keys(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}
