//! One file over another: docker compose's rules for what replaces and what adds.

use super::fault::Fault;
use super::path::Path;
use super::yaml::{Map, Mark, Node, Yaml};

/// Lays `over` on top of `under`.
pub fn merge(mut under: Node, over: Node) -> Result<Node, Fault> {
    make_room(&mut under, &over);
    merged(under, over, &mut Path::default())
}

/// The same for two services.
pub fn merge_services(mut under: Node, over: Node) -> Result<Node, Fault> {
    make_room(&mut under, &over);
    merged(under, over, &mut Path::of(["services", "x"]))
}

/// Takes away from below what `!reset` and `!override` name above.
fn make_room(under: &mut Node, over: &Node) {
    let (Some(below), Some(above)) = (under.map_mut(), over.map()) else {
        return;
    };
    for (key, node) in above {
        match node.mark {
            Mark::Reset | Mark::Override => drop(below.remove(key)),
            Mark::None => {
                if let Some(before) = below.get_mut(key) {
                    make_room(before, node);
                }
            }
        }
    }
}

fn merged(under: Node, over: Node, path: &mut Path) -> Result<Node, Fault> {
    match path.keys()[..] {
        ["services", _, "command" | "entrypoint"] | ["services", _, "healthcheck", "test"] => {
            Ok(over)
        }
        [
            "services",
            _,
            "annotations" | "environment" | "labels" | "sysctls" | "dns" | "dns_opt" | "dns_search"
            | "env_file" | "label_file" | "tmpfs",
        ]
        | [
            "services",
            _,
            "build",
            "args" | "additional_contexts" | "labels",
        ]
        | ["services", _, "deploy", "labels"]
        | ["networks" | "volumes", _, "labels"] => Ok(sequences(under, over)),
        ["services", _, "extra_hosts"] | ["services", _, "build", "extra_hosts"] => {
            let mut made = sequences(under, over);
            let mut seen = std::collections::HashSet::new();
            let list = made.list_mut().expect("it was made one");
            list.retain(|node| seen.insert(node.shown()));
            Ok(made)
        }
        ["services", _, "build"] => {
            let keyed = |node: Node| match node.value {
                Yaml::Text(text) => {
                    Node::new(Yaml::Null, node.at).map_of([("context", text.into())])
                }
                _ => node,
            };
            mappings(keyed(under), keyed(over), path)
        }
        ["services", _, "depends_on"] => {
            let started = |node: &Node| {
                node.map_of([
                    ("condition", "service_started".into()),
                    ("required", true.into()),
                ])
            };
            mappings(keyed(under, started), keyed(over, started), path)
        }
        ["services", _, "networks" | "models"] => {
            let nothing = |node: &Node| node.with(Yaml::Null);
            mappings(keyed(under, nothing), keyed(over, nothing), path)
        }
        ["services", _, "logging"] => {
            let (one, other) = (under.text_at("driver"), over.text_at("driver"));
            match one.is_none() || other.is_none() || one == other {
                true => mappings(under, over, path),
                false => Ok(over),
            }
        }
        ["services", _, "ulimits", _] => match (under.map(), over.map()) {
            (Some(_), Some(_)) => mappings(under, over, path),
            _ => Ok(over),
        },
        ["networks", _, "ipam", "config"] => pools(under, over, path),
        _ => ordinary(under, over, path),
    }
}

fn ordinary(under: Node, mut over: Node, path: &mut Path) -> Result<Node, Fault> {
    match (&under.value, &mut over.value) {
        (Yaml::Map(_), Yaml::Map(_)) => mappings(under, over, path),
        (Yaml::List(_), Yaml::List(list)) => {
            let mut both = under;
            both.list_mut().expect("it is one").append(list);
            Ok(both)
        }
        (Yaml::Map(_) | Yaml::List(_), _) => {
            Err(Fault::new(over.at, format!("cannot override {path}")))
        }
        _ => Ok(over),
    }
}

fn mappings(mut under: Node, over: Node, path: &mut Path) -> Result<Node, Fault> {
    let at = over.at;
    let (Some(below), Yaml::Map(above)) = (under.map_mut(), over.value) else {
        return Err(Fault::new(at, format!("cannot override {path}")));
    };
    for (key, node) in above {
        match below.remove(&key) {
            None => drop(below.insert(key, node)),
            Some(before) => {
                let both = path.under(&key, |path| merged(before, node, path))?;
                below.insert(key, both);
            }
        }
    }
    Ok(under)
}

/// Both as lists, one behind the other.
fn sequences(under: Node, over: Node) -> Node {
    let mut made = sequence(under);
    let more = sequence(over);
    if let (Some(list), Yaml::List(more)) = (made.list_mut(), more.value) {
        list.extend(more);
    }
    made
}

/// `{A: b, C: null, D: [e, f]}` → `[A=b, C, D=e, D=f]`
fn sequence(node: Node) -> Node {
    let (at, key) = (node.at, node.key);
    let list = match node.value {
        Yaml::List(list) => list,
        Yaml::Null => Vec::new(),
        Yaml::Map(map) => {
            let mut list = Vec::new();
            for (name, node) in map {
                let one = |value: &Node| {
                    value.with(format!("{name}={}", value.shown().unwrap_or_default()))
                };
                match &node.value {
                    Yaml::Null => list.push(node.with(name.as_str())),
                    Yaml::List(values) => list.extend(values.iter().map(one)),
                    _ => list.push(one(&node)),
                }
            }
            list
        }
        _ => vec![node],
    };
    Node {
        value: Yaml::List(list),
        at,
        key,
        mark: Mark::None,
    }
}

/// `[a, b]` → `{a: …, b: …}`
fn keyed(mut node: Node, value: impl Fn(&Node) -> Node) -> Node {
    if let Yaml::List(list) = &node.value {
        let entries = list.iter();
        let entries = entries.map(|item| (item.shown().unwrap_or_default(), value(item)));
        node.value = Yaml::Map(entries.collect::<Map>());
    }
    if node.is_null() {
        node.value = Yaml::Map(Map::new());
    }
    node
}

/// Those of the same subnet are one.
fn pools(under: Node, over: Node, path: &mut Path) -> Result<Node, Fault> {
    let mut made = under;
    let at = over.at;
    let (Some(list), Yaml::List(more)) = (made.list_mut(), over.value) else {
        return Err(Fault::new(at, format!("cannot override {path}")));
    };
    for pool in more {
        let same = list
            .iter()
            .position(|known| known.get("subnet") == pool.get("subnet"));
        match same {
            Some(position) => {
                let before = list.remove(position);
                let both = path.under("x", |path| mappings(before, pool, path))?;
                list.insert(position, both);
            }
            None => list.push(pool),
        }
    }
    Ok(made)
}

/// Takes away what `!reset` names, and the marks.
pub fn without_marks(node: &mut Node) {
    node.mark = Mark::None;
    match &mut node.value {
        Yaml::Map(map) => {
            map.retain(|_, node| node.mark != Mark::Reset);
            map.values_mut().for_each(without_marks);
        }
        Yaml::List(list) => {
            list.retain(|node| node.mark != Mark::Reset);
            list.iter_mut().for_each(without_marks);
        }
        _ => {}
    }
}
