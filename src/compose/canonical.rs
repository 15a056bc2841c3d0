//! Short forms → long ones, so that all that follows knows one form; and the values that docker takes where none is given.

use super::fault::Fault;
use super::path::Path;
use super::short;
use super::yaml::{At, Map, Node, Yaml};

/// Every part of a project in its long form.
pub fn canonical(node: &mut Node) -> Result<(), Fault> {
    walked(node, &mut Path::default())
}

/// What a short form stands for; one with a variable that is left alone may be none yet, and stays what it is.
fn parsed<T>(text: &str, form: Result<T, Fault>) -> Result<Option<T>, Fault> {
    match form {
        Err(_) if text.contains('$') => Ok(None),
        form => form.map(Some),
    }
}

fn walked(node: &mut Node, path: &mut Path) -> Result<(), Fault> {
    long(node, &path.keys())?;
    path.try_each_below(node, walked)
}

fn long(node: &mut Node, keys: &[&str]) -> Result<(), Fault> {
    let text = node.text().map(str::to_owned);
    match (keys, text) {
        (["services", _, "build"], Some(text)) => {
            *node = node.map_of([("context", text.into())]);
        }
        (["services", _, "build", "provenance" | "sbom"], None) => {
            node.value = node.shown().unwrap_or_default().into();
        }
        (["services", _, "depends_on"], _) => depends_on(node),
        (["services", _, "env_file"], _) => env_files(node)?,
        (["services", _, "extends"], Some(text)) => {
            *node = node.map_of([("service", text.into())]);
        }
        (["services", _, "networks" | "models"], _) => by_name(node, |_| Yaml::Null),
        (["services", _, "dns" | "label_file"], Some(_)) => {
            let entry = Node::new(std::mem::take(&mut node.value), node.at);
            node.value = Yaml::List(vec![entry]);
        }
        (["services", _, "volumes", _], Some(text)) => {
            if let Some(mount) = parsed(&text, short::mount(node, &text))? {
                *node = mount;
            }
        }
        (["services", _, "devices", _], Some(text)) => *node = short::device(node, &text)?,
        (
            ["services", _, "secrets" | "configs", _] | ["services", _, "build", "secrets", _],
            Some(text),
        ) => {
            *node = node.map_of([("source", text.into())]);
        }
        (["services", _, "ports"], _) => ports(node)?,
        (["services", _, "gpus"], Some(_)) => {
            let all = node.map_of([("count", "all".into())]);
            node.value = Yaml::List(vec![all]);
        }
        (["networks" | "volumes" | "secrets" | "configs", _], _) => external(node),
        (["services", _, "build", "additional_contexts" | "ssh"], _) => {
            by_assignment(node);
        }
        _ => {}
    }
    Ok(())
}

fn depends_on(node: &mut Node) {
    by_name(node, |_| Yaml::Map(Map::new()));
    let Some(map) = node.map_mut() else { return };
    for entry in map.values_mut() {
        let at = entry.at;
        if let Some(map) = entry.map_mut() {
            let mut default = |key: &str, value: Yaml| {
                map.entry(key.to_owned()).or_insert(Node::new(value, at));
            };
            default("condition", "service_started".into());
            default("required", true.into());
        }
    }
}

/// A list of names → a map.
fn by_name(node: &mut Node, value: impl Fn(&Node) -> Yaml) {
    if let Yaml::List(list) = &node.value {
        let entries = list.iter();
        let entries =
            entries.map(|item| (item.shown().unwrap_or_default(), item.with(value(item))));
        node.value = Yaml::Map(entries.collect());
    }
}

/// A list of `NAME=VALUE` → a map.
pub fn by_assignment(node: &mut Node) {
    if let Yaml::List(list) = &node.value {
        let entries = list.iter().map(|item| {
            let text = item.shown().unwrap_or_default();
            match text.split_once('=') {
                Some((name, value)) => (name.to_owned(), item.with(value)),
                None => (text, item.with(Yaml::Null)),
            }
        });
        node.value = Yaml::Map(entries.collect());
    }
}

fn env_files(node: &mut Node) -> Result<(), Fault> {
    if node.text().is_some() {
        let entry = Node::new(std::mem::take(&mut node.value), node.at);
        node.value = Yaml::List(vec![entry]);
    }
    let Some(list) = node.list_mut() else {
        return Ok(());
    };
    for entry in list {
        match entry.text().map(str::to_owned) {
            Some(path) => {
                *entry = entry.map_of([("path", path.into()), ("required", true.into())]);
            }
            None => {
                let at = entry.at;
                if let Some(map) = entry.map_mut() {
                    map.entry("required".to_owned())
                        .or_insert(Node::new(true, at));
                }
            }
        }
    }
    Ok(())
}

fn ports(node: &mut Node) -> Result<(), Fault> {
    let Some(list) = node.list_mut() else {
        return Ok(());
    };
    let mut made = Vec::new();
    for entry in std::mem::take(list) {
        match &entry.value {
            Yaml::Map(_) => made.push(entry),
            Yaml::Float(_) => {
                return Err(Fault::new(entry.at, "invalid type float64 for port"));
            }
            _ => {
                let text = entry.shown().unwrap_or_default();
                match parsed(&text, short::ports(&entry, &text))? {
                    Some(ports) => made.extend(ports),
                    None => made.push(entry),
                }
            }
        }
    }
    *list = made;
    Ok(())
}

/// `external: {name: x}`, which is an old way to say two things.
fn external(node: &mut Node) {
    let Some(map) = node.map_mut() else { return };
    let Some(external) = map.get_mut("external") else {
        return;
    };
    if let Yaml::Map(named) = &mut external.value {
        let name = named.remove("name");
        external.value = true.into();
        if let Some(name) = name {
            map.entry("name".to_owned()).or_insert(name);
        }
    }
}

/// What docker takes where a file says nothing.
pub fn defaults(node: &mut Node) {
    defaulted(node, &mut Path::default());
}

fn default(map: &mut Map, key: &str, value: impl Into<Yaml>, at: At) {
    map.entry(key.to_owned())
        .or_insert_with(|| Node::new(value, at));
}

fn defaulted(node: &mut Node, path: &mut Path) {
    let at = node.at;
    if let Some(map) = node.map_mut() {
        match path.keys()[..] {
            ["services", _, "build"] => default(map, "context", ".", at),
            ["services", _, "secrets", _] => {
                let source = map.get("source").and_then(Node::shown);
                let target = format!("/run/secrets/{}", source.unwrap_or_default());
                default(map, "target", target, at);
            }
            ["services", _, "ports", _] => {
                default(map, "mode", "ingress", at);
                default(map, "protocol", "tcp", at);
            }
            ["services", _, "gpus", _]
            | [
                "services",
                _,
                "deploy",
                "resources",
                "reservations",
                "devices",
                _,
            ] if !map.contains_key("device_ids") => {
                default(map, "count", "all", at);
            }
            _ => {}
        }
    }
    path.each_below(node, defaulted);
}
