//! The tree → the typed project: lists of assignments become maps, sizes and periods become numbers.

use std::collections::BTreeMap;

use super::canonical::by_assignment;
use super::fault::Fault;
use super::model::{Bytes, Period, Project, Texts};
use super::path::Path;
use super::words;
use super::yaml::{Node, Yaml};

pub fn project(tree: &Node, environment: &Texts) -> Result<Project, Fault> {
    let mut tree = tree.clone();
    walked(&mut tree, &mut Path::default())?;
    let at = tree.at;
    let read = serde_json::from_value::<Project>(tree.to_value());
    let mut project = read.map_err(|error| Fault::new(at, format!("decoding failed: {error}")))?;
    for (name, service) in &mut project.services {
        service.name = name.clone();
        service.egress = egress(service.extensions.get("x-bryo-egress"));
    }
    for network in project.networks.values_mut() {
        network.egress = egress(network.extensions.get("x-bryo-egress"));
    }
    let _ = environment;
    Ok(project)
}

fn egress(value: Option<&serde_json::Value>) -> Option<Vec<String>> {
    match value? {
        serde_json::Value::String(rule) => Some(vec![rule.clone()]),
        serde_json::Value::Array(rules) => {
            let rules = rules.iter().filter_map(|rule| rule.as_str());
            Some(rules.map(str::to_owned).collect())
        }
        _ => None,
    }
}

fn walked(node: &mut Node, path: &mut Path) -> Result<(), Fault> {
    let keys = path.keys();
    if keys.last().is_some_and(|key| key.starts_with("x-")) && is_extension(&keys) {
        return extension(node, &keys);
    }
    typed(node, &keys, path)?;
    path.try_each_below(node, walked)
}

/// `x-…` is a name like others where names are the author's.
fn is_extension(keys: &[&str]) -> bool {
    !matches!(
        keys[..keys.len() - 1],
        [
            ..,
            "environment" | "labels" | "annotations" | "args" | "sysctls" | "options"
        ] | [
            ..,
            "driver_opts" | "storage_opt" | "additional_contexts" | "extra_hosts"
        ] | ["services" | "networks" | "volumes" | "secrets" | "configs" | "models"]
            | ["services", _, "networks" | "depends_on" | "ulimits"]
    )
}

fn extension(node: &Node, keys: &[&str]) -> Result<(), Fault> {
    if keys.last() != Some(&"x-bryo-egress") {
        return Ok(());
    }
    let fits = match &node.value {
        Yaml::Text(_) => true,
        Yaml::List(rules) => rules.iter().all(|rule| rule.text().is_some()),
        _ => false,
    };
    match fits && matches!(keys, ["services" | "networks", _, _]) {
        true => Ok(()),
        false => Err(Fault::new(
            node.key,
            format!(
                "{} must be a list of rules, of a service or a network",
                keys.join(".")
            ),
        )),
    }
}

fn typed(node: &mut Node, keys: &[&str], path: &Path) -> Result<(), Fault> {
    match keys {
        ["services", _, "environment"]
        | ["services", _, "build", "args"]
        | ["services", _, "post_start" | "pre_stop", _, "environment"]
        | ["services", _, "develop", "watch", _, "exec", "environment"] => assignments(node, false),
        [
            "services",
            _,
            "labels" | "annotations" | "sysctls" | "storage_opt",
        ]
        | ["services", _, "build" | "deploy", "labels"]
        | ["services", _, "build", "additional_contexts"]
        | ["services", _, "logging", "options"]
        | ["services", _, "networks", _, "driver_opts"]
        | ["services", _, "volumes", _, "volume", "labels"]
        | ["services", _, "gpus", _, "options"]
        | [
            "services",
            _,
            "deploy",
            "resources",
            _,
            "devices",
            _,
            "options",
        ]
        | [
            "networks" | "volumes" | "secrets" | "configs",
            _,
            "labels" | "driver_opts",
        ]
        | ["networks", _, "ipam", "config", _, "aux_addresses"] => assignments(node, true),
        ["services", _, "command" | "entrypoint"]
        | ["services", _, "post_start" | "pre_stop", _, "command"]
        | ["services", _, "develop", "watch", _, "exec", "command"] => command(node)?,
        ["services", _, "healthcheck", "test"] => health(node)?,
        ["services", _, "extra_hosts"] | ["services", _, "build", "extra_hosts"] => hosts(node)?,
        ["services", _, "tmpfs" | "dns_search" | "label_file"]
        | ["services", _, "develop", "watch", _, "ignore" | "include"] => one_or_list(node),
        ["services", _, "expose" | "group_add"] => shown_all(node),
        ["services", _, "provider", "options", _] => {
            one_or_list(node);
            shown_all(node);
        }
        ["services", _, "ports", _, "published"] => shown(node),
        ["services", _, "build", "ssh"] => ssh(node),
        ["services", _, "deploy" | "develop"] | ["networks" | "volumes", _] if node.is_null() => {
            node.value = Yaml::Map(BTreeMap::new());
        }
        ["services", _, "secrets" | "configs", _, "mode"]
        | ["services", _, "build", "secrets", _, "mode"] => {
            if let Yaml::Int(mode) = node.value {
                node.value = format!("0{mode:o}").into();
            }
        }
        ["services", _, "volumes", _, "tmpfs", "mode"] => mode(node, path)?,
        ["services", _, "gpus", _, "count"]
        | [
            "services",
            _,
            "deploy",
            "resources",
            _,
            "devices",
            _,
            "count",
        ] => count(node, path)?,
        ["services", _, "deploy", "resources", _, "cpus"] => cpus(node, path)?,
        _ if is_size(keys) => size(node, path)?,
        _ if is_period(keys) => period(node, path)?,
        _ => {}
    }
    Ok(())
}

fn is_size(keys: &[&str]) -> bool {
    matches!(
        keys,
        [
            "services",
            _,
            "mem_limit" | "mem_reservation" | "memswap_limit" | "mem_swappiness" | "shm_size"
        ] | ["services", _, "build", "shm_size"]
            | ["services", _, "deploy", "resources", _, "memory"]
            | ["services", _, "volumes", _, "tmpfs", "size"]
            | ["services", _, "blkio_config", _, _, "rate"]
    )
}

fn is_period(keys: &[&str]) -> bool {
    matches!(
        keys,
        ["services", _, "stop_grace_period"]
            | [
                "services",
                _,
                "healthcheck",
                "interval" | "timeout" | "start_period" | "start_interval"
            ]
            | [
                "services",
                _,
                "deploy",
                "update_config" | "rollback_config",
                "delay" | "monitor"
            ]
            | [
                "services",
                _,
                "deploy",
                "restart_policy",
                "delay" | "window"
            ]
    )
}

fn assignments(node: &mut Node, empty: bool) {
    if node.is_null() {
        node.value = Yaml::Map(BTreeMap::new());
    }
    by_assignment(node);
    let Some(map) = node.map_mut() else { return };
    for node in map.values_mut() {
        match node.shown() {
            _ if node.is_null() && !empty => {}
            Some(text) => node.value = text.into(),
            None => {}
        }
    }
}

fn command(node: &mut Node) -> Result<(), Fault> {
    if let Yaml::Text(text) = &node.value {
        let words = words::split(text).map_err(|what| Fault::new(node.at, what))?;
        let at = node.at;
        node.value = Yaml::List(words.into_iter().map(|word| Node::new(word, at)).collect());
    }
    Ok(())
}

fn health(node: &mut Node) -> Result<(), Fault> {
    if let Some(text) = node.text() {
        let words = [Node::new("CMD-SHELL", node.at), Node::new(text, node.at)];
        node.value = Yaml::List(words.to_vec());
    }
    let first = node.list().and_then(|list| list.first());
    match first.map(|first| first.text().unwrap_or_default()) {
        None | Some("NONE" | "CMD" | "CMD-SHELL") => Ok(()),
        Some(_) => Err(Fault::new(
            node.at,
            r#"healthcheck.test must start either by "CMD", "CMD-SHELL" or "NONE""#,
        )),
    }
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`, or a map → `NAME=ADDRESS`, by the names.
fn hosts(node: &mut Node) -> Result<(), Fault> {
    let mut made: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut add = |name: &str, address: &str| {
        let address = address.trim();
        let inner = address
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let addresses = made.entry(name.trim().to_owned()).or_default();
        addresses.push(inner.unwrap_or(address).to_owned());
    };
    match &node.value {
        Yaml::Map(map) => {
            for (name, node) in map {
                match &node.value {
                    Yaml::List(list) => list
                        .iter()
                        .for_each(|node| add(name, node.text().unwrap_or_default())),
                    _ => add(name, &node.shown().unwrap_or_default()),
                }
            }
        }
        Yaml::List(list) => {
            for entry in list {
                let text = entry.shown().unwrap_or_default();
                let parts = text.split_once('=').or_else(|| text.split_once(':'));
                let Some((name, address)) = parts else {
                    let text = format!("invalid additional host, missing IP: {text}");
                    return Err(Fault::new(entry.at, text));
                };
                add(name, address);
            }
        }
        _ => return Ok(()),
    }
    let at = node.at;
    let lines = made.into_iter().flat_map(|(name, mut addresses)| {
        addresses.sort();
        let lines = addresses.into_iter();
        lines.map(move |address| Node::new(format!("{name}={address}"), at))
    });
    node.value = Yaml::List(lines.collect());
    Ok(())
}

fn one_or_list(node: &mut Node) {
    match &node.value {
        Yaml::List(_) => {}
        Yaml::Null => node.value = Yaml::List(Vec::new()),
        _ => {
            let entry = Node::new(std::mem::take(&mut node.value), node.at);
            node.value = Yaml::List(vec![entry]);
        }
    }
}

fn shown_all(node: &mut Node) {
    for entry in node.list_mut().into_iter().flatten() {
        if let Some(text) = entry.shown() {
            entry.value = text.into();
        }
    }
}

fn shown(node: &mut Node) {
    if let Some(text) = node.shown() {
        node.value = text.into();
    }
}

fn ssh(node: &mut Node) {
    if let Yaml::Map(map) = &node.value {
        let lines = map.iter().map(|(id, place)| match place.shown() {
            Some(path) if !path.is_empty() => place.with(format!("{id}={path}")),
            _ => place.with(id.as_str()),
        });
        node.value = Yaml::List(lines.collect());
    }
    one_or_list(node);
}

fn mode(node: &mut Node, path: &Path) -> Result<(), Fault> {
    if let Yaml::Text(text) = &node.value {
        let digits = text.trim_start_matches("0o");
        let mode = i64::from_str_radix(digits, 8);
        let wrong = |_| Fault::new(node.at, format!("{path} invalid mode: '{text}'"));
        node.value = mode.map_err(wrong)?.into();
    }
    Ok(())
}

fn count(node: &mut Node, path: &Path) -> Result<(), Fault> {
    if let Yaml::Text(text) = &node.value {
        let count = match text.to_ascii_lowercase().as_str() {
            "all" => Ok(-1),
            text => text.parse(),
        };
        let wrong = |_| {
            let what = "the only value allowed is 'all' or a number";
            Fault::new(node.at, format!("{path} invalid value {text:?}, {what}"))
        };
        node.value = Yaml::Int(count.map_err(wrong)?);
    }
    Ok(())
}

fn cpus(node: &mut Node, path: &Path) -> Result<(), Fault> {
    if let Yaml::Text(text) = &node.value {
        let wrong = |_| Fault::new(node.at, format!("{path} parsing {text:?}: invalid syntax"));
        node.value = Yaml::Float(text.parse().map_err(wrong)?);
    }
    Ok(())
}

fn size(node: &mut Node, path: &Path) -> Result<(), Fault> {
    let text = node.shown().unwrap_or_default();
    let bytes = text
        .parse()
        .ok()
        .or_else(|| Bytes::parse(&text).map(|bytes| bytes.0));
    let wrong = || Fault::new(node.at, format!("{path} invalid size: '{text}'"));
    node.value = Yaml::Int(bytes.ok_or_else(wrong)?);
    Ok(())
}

fn period(node: &mut Node, path: &Path) -> Result<(), Fault> {
    let text = node.shown().unwrap_or_default();
    match Period::parse(&text) {
        Some(_) => Ok(()),
        None => Err(Fault::new(
            node.at,
            format!("{path} time: invalid duration {text:?}"),
        )),
    }
}
