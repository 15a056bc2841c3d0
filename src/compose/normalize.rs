//! What a project has although no file says so: the default network, names, and what a service's links and namespaces depend on.

use super::model::Texts;
use super::places::clean;
use super::yaml::{Map, Node, Yaml};

/// Namespaces that may be another service's.
const SHARED: [&str; 5] = ["network_mode", "ipc", "pid", "uts", "cgroup"];

pub fn normalize(tree: &mut Node, project: &str, environment: &Texts) {
    let at = tree.at;
    let Some(map) = tree.map_mut() else { return };
    let mut uses_default = false;
    if let Some(services) = map.get_mut("services").and_then(Node::map_mut) {
        for service in services.values_mut() {
            uses_default |= default_network(service);
            self::service(service, environment);
        }
    }
    if uses_default {
        let networks = map.entry("networks".to_owned());
        let networks = networks.or_insert_with(|| Node::new(Map::new(), at));
        if networks.is_null() {
            networks.value = Map::new().into();
        }
        if let Some(networks) = networks.map_mut() {
            let usual = networks.entry("default".to_owned());
            usual.or_insert_with(|| Node::new(Yaml::Null, at));
        }
    }
    for part in ["networks", "volumes", "secrets", "configs"] {
        if let Some(entries) = map.get_mut(part).and_then(Node::map_mut) {
            for (key, entry) in entries {
                named(entry, key, project);
            }
        }
    }
}

/// True if it has a place in the default network.
fn default_network(service: &mut Node) -> bool {
    let at = service.at;
    let Some(map) = service.map_mut() else {
        return false;
    };
    if map.contains_key("provider") {
        return false;
    }
    let says_nothing = match map.get("networks") {
        None => true,
        Some(networks) => networks.is_null() || networks.map().is_some_and(Map::is_empty),
    };
    if says_nothing && !map.contains_key("network_mode") {
        let place = Map::from([("default".to_owned(), Node::new(Yaml::Null, at))]);
        map.insert("networks".to_owned(), Node::new(place, at));
        return true;
    }
    let networks = map.get("networks").and_then(Node::map);
    networks.is_some_and(|networks| networks.contains_key("default"))
}

fn service(service: &mut Node, environment: &Texts) {
    let Some(map) = service.map_mut() else { return };
    if map.get("pull_policy").and_then(Node::text) == Some("if_not_present")
        && let Some(policy) = map.get_mut("pull_policy")
    {
        policy.value = "missing".into();
    }
    if let Some(build) = map.get_mut("build") {
        self::build(build, environment);
    }
    if let Some(variables) = map.get_mut("environment") {
        resolved(variables, environment, true);
    }
    for mount in map
        .get_mut("volumes")
        .and_then(Node::list_mut)
        .into_iter()
        .flatten()
    {
        let target = mount.map_mut().and_then(|map| map.get_mut("target"));
        if let Some(Yaml::Text(target)) = target.map(|node| &mut node.value) {
            *target = clean(std::path::Path::new(target.as_str()));
        }
    }
    depends(map);
}

fn build(build: &mut Node, environment: &Texts) {
    let at = build.at;
    let Some(map) = build.map_mut() else { return };
    let context = map.entry("context".to_owned());
    context.or_insert_with(|| Node::new(".", at));
    if !map.contains_key("dockerfile") && !map.contains_key("dockerfile_inline") {
        map.insert("dockerfile".to_owned(), Node::new("Dockerfile", at));
    }
    if let Some(arguments) = map.get_mut("args") {
        resolved(arguments, environment, false);
    }
}

/// A name without a value has the host's; without that either, it stays (or goes).
fn resolved(variables: &mut Node, environment: &Texts, stays: bool) {
    match &mut variables.value {
        Yaml::List(list) => {
            for node in list.iter_mut() {
                let Some(name) = node.text().filter(|text| !text.contains('=')) else {
                    continue;
                };
                if let Some(value) = environment.get(name) {
                    node.value = format!("{name}={value}").into();
                }
            }
            list.retain(|node| stays || node.text().is_some_and(|text| text.contains('=')));
        }
        Yaml::Map(map) => {
            for (name, node) in map.iter_mut() {
                if let Some(value) = environment.get(name).filter(|_| node.is_null()) {
                    node.value = value.as_str().into();
                }
            }
            map.retain(|_, node| stays || !node.is_null());
        }
        _ => {}
    }
}

/// What is used of another service is waited for.
fn depends(map: &mut Map) {
    let mut needed: Vec<(String, bool, Node)> = Vec::new();
    let list = |key: &str| map.get(key).and_then(Node::list).into_iter().flatten();
    for link in list("links") {
        let name = link.text().unwrap_or_default();
        let name = name.split(':').next().unwrap_or_default();
        needed.push((name.to_owned(), true, link.clone()));
    }
    for key in SHARED {
        let node = map.get(key);
        if let Some((name, node)) =
            node.and_then(|node| Some((node.text()?.strip_prefix("service:")?, node)))
        {
            needed.push((name.to_owned(), true, node.clone()));
        }
    }
    for from in list("volumes_from") {
        let text = from.text().unwrap_or_default();
        if !text.starts_with("container:") {
            let name = text.split(':').next().unwrap_or_default();
            needed.push((name.to_owned(), false, from.clone()));
        }
    }
    for (name, restart, node) in needed {
        let depends = map.entry("depends_on".to_owned());
        let depends = depends.or_insert_with(|| Node::new(Map::new(), node.at));
        if let Some(depends) = depends.map_mut() {
            depends.entry(name).or_insert_with(|| {
                Node::new(Yaml::Null, node.at).map_of([
                    ("condition", "service_started".into()),
                    ("restart", restart.into()),
                    ("required", true.into()),
                ])
            });
        }
    }
}

fn named(entry: &mut Node, key: &str, project: &str) {
    let at = entry.at;
    if entry.is_null() {
        entry.value = Map::new().into();
    }
    let Some(map) = entry.map_mut() else { return };
    let external = map.get("external").map(|node| &node.value) == Some(&Yaml::Bool(true));
    let has_name = map
        .get("name")
        .and_then(Node::text)
        .is_some_and(|name| !name.is_empty());
    if !has_name {
        let name = match external {
            true => key.to_owned(),
            false => format!("{project}_{key}"),
        };
        map.insert("name".to_owned(), Node::new(name, at));
    }
}
