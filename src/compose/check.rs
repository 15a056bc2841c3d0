//! Whether the parts of a project fit together: in docker's words.

use std::collections::BTreeMap;

use super::error::ComposeError;
use super::fault::Fault;
use super::model::{MountKind, Project, Service};
use super::path::Path;
use super::yaml::{Map, Node, Yaml};

/// What can be said before names are known.
pub fn tree(node: &Node) -> Result<(), Fault> {
    walked(node, &mut Path::default())
}

fn walked(node: &Node, path: &mut Path) -> Result<(), Fault> {
    of_part(node, path)?;
    of_service(node, path)?;
    match &node.value {
        Yaml::Map(map) => {
            for (key, node) in map {
                path.under(key, |path| walked(node, path))?;
            }
        }
        Yaml::List(list) => {
            for (position, node) in list.iter().enumerate() {
                path.under(&format!("[{position}]"), |path| walked(node, path))?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// What is wrong with a value of a service.
fn of_service(node: &Node, path: &Path) -> Result<(), Fault> {
    let fault = |text: String| Err(Fault::new(node.at, text));
    match (&path.keys()[..], &node.value) {
        (["services", _, "ports", _], Yaml::Map(map)) => {
            if !map.contains_key("target") {
                return fault(format!("service ports {path} is missing a target port"));
            }
            if let Some(address) = map.get("host_ip").and_then(Node::text)
                && !address.is_empty()
                && address.parse::<std::net::IpAddr>().is_err()
            {
                return fault(format!("{path}: invalid ip address: {address}"));
            }
        }
        (["services", _, "volumes", _], Yaml::Map(map)) => {
            if !map.contains_key("target") {
                return fault(format!("service volume {path} is missing a mount target"));
            }
            if map.get("type").and_then(Node::text) == Some("bind") && !map.contains_key("source") {
                let text =
                    r#"invalid mount config for type "bind": field Source must not be empty"#;
                return fault(text.to_owned());
            }
        }
        (
            ["services", _, "gpus", _]
            | [
                "services",
                _,
                "deploy",
                "resources",
                "reservations",
                "devices",
                _,
            ],
            Yaml::Map(map),
        ) if map.contains_key("count") && map.contains_key("device_ids") => {
            return fault(format!(
                "{path}: \"count\" and \"device_ids\" attributes are exclusive"
            ));
        }
        (["services", _, "scale"] | ["services", _, "deploy", "replicas"], Yaml::Int(count))
            if *count < 0 =>
        {
            return fault(format!("{path}: must be greater than or equal to 0"));
        }
        (["services", _, "container_name"], Yaml::Text(name)) if !is_container_name(name) => {
            return fault(format!(
                "{path} '{name}' does not match pattern '[a-zA-Z0-9][a-zA-Z0-9_.-]+'"
            ));
        }
        (["services", _, "pull_policy"], Yaml::Text(policy)) if !is_policy(policy) => {
            return fault(format!(
                "{path} '{policy}' does not match pattern 'always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+'"
            ));
        }
        _ => {}
    }
    Ok(())
}

/// The same for the other parts of a file.
fn of_part(node: &Node, path: &Path) -> Result<(), Fault> {
    let fault = |text: String| Err(Fault::new(node.at, text));
    match (&path.keys()[..], &node.value) {
        (["services"], value) if !matches!(value, Yaml::Map(_)) => {
            return fault("services must be a mapping".to_owned());
        }
        (["volumes", _], Yaml::Map(map)) if is_external(map) => {
            let others = ["driver", "driver_opts", "labels"];
            if let Some(key) = others.iter().find(|key| map.contains_key(**key)) {
                return fault(format!(
                    "{path}: conflicting parameters \"external\" and {key:?} specified"
                ));
            }
        }
        (["secrets", _], Yaml::Map(map)) => one_source(node, map, path, &["file", "environment"])?,
        (["configs", _], Yaml::Map(map)) => {
            one_source(node, map, path, &["file", "environment", "content"])?;
        }
        _ => {}
    }
    Ok(())
}

fn is_external(map: &Map) -> bool {
    map.get("external").map(|node| &node.value) == Some(&Yaml::Bool(true))
}

fn is_container_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    name.contains('$')
        || name.len() > 1
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(fits)
}

fn is_policy(policy: &str) -> bool {
    let usual = [
        "always",
        "never",
        "build",
        "if_not_present",
        "missing",
        "refresh",
        "daily",
        "weekly",
    ];
    let is_period = |text: &str| super::model::Period::parse(text).is_some();
    policy.contains('$')
        || usual.contains(&policy)
        || policy.strip_prefix("every_").is_some_and(is_period)
}

fn one_source(node: &Node, map: &Map, path: &Path, keys: &[&str]) -> Result<(), Fault> {
    if is_external(map) || map.contains_key("driver") {
        return Ok(());
    }
    let given = keys.iter().filter(|key| map.contains_key(**key)).count();
    let all = keys.join("|");
    let text = match given {
        0 => format!("{path}: one of {all} must be set"),
        1 => return Ok(()),
        _ => format!("{path}: {all} attributes are mutually exclusive"),
    };
    Err(Fault::new(node.at, text))
}

/// What names refer to, and what excludes what.
pub fn project(project: &Project) -> Result<(), ComposeError> {
    for (name, service) in &project.services {
        let checks = [
            exclusive(name, service),
            references(project, name, service),
            limits(name, service),
            targets(name, service),
        ];
        if let Some(text) = checks.into_iter().flatten().next() {
            return Err(ComposeError::Inconsistent { text });
        }
    }
    container_names(project)?;
    cycles(project)
}

fn exclusive(name: &str, service: &Service) -> Option<String> {
    if service.build.is_none() && service.image.is_empty() && service.provider.is_none() {
        return Some(format!(
            "service {name:?} has neither an image nor a build context specified"
        ));
    }
    if let Some(build) = &service.build {
        if !build.dockerfile_inline.is_empty() && !build.dockerfile.is_empty() {
            return Some(format!(
                "service {name:?} declares mutualy exclusive dockerfile and dockerfile_inline"
            ));
        }
        let platforms = &build.platforms;
        if !platforms.is_empty()
            && !service.platform.is_empty()
            && !platforms.contains(&service.platform)
        {
            return Some(format!(
                "service.build.platforms MUST include service.platform {:?}",
                service.platform
            ));
        }
    }
    if !service.network_mode.is_empty() && !service.networks.is_empty() {
        return Some(format!(
            "service {name} declares mutually exclusive `network_mode` and `networks`"
        ));
    }
    for watch in service.develop.iter().flat_map(|develop| &develop.watch) {
        if watch.target.is_empty() && watch.action != "rebuild" && watch.action != "restart" {
            return Some(format!(
                "services.{name}.develop.watch: target is required for non-rebuild actions"
            ));
        }
    }
    None
}

fn references(project: &Project, name: &str, service: &Service) -> Option<String> {
    let undefined =
        |kind: &str, key: &str| Some(format!("service {name:?} refers to undefined {kind} {key}"));
    for (other, dependency) in &service.depends_on {
        if project.services.contains_key(other) {
            continue;
        }
        match project.disabled.get(other) {
            Some(disabled) if dependency.required => {
                return Some(format!(
                    "service {other:?} is required by {name:?} but is disabled. Can be enabled by profiles [{}]",
                    disabled.profiles.join(" ")
                ));
            }
            Some(_) => {}
            None => {
                return Some(format!(
                    "service {name:?} depends on undefined service {other:?}"
                ));
            }
        }
    }
    if let Some(key) = service
        .networks
        .keys()
        .find(|key| !project.networks.contains_key(*key))
    {
        return undefined("network", key);
    }
    for mount in service
        .volumes
        .iter()
        .filter(|mount| mount.kind == MountKind::Volume)
    {
        if !mount.source.is_empty() && !project.volumes.contains_key(&mount.source) {
            return undefined("volume", &mount.source);
        }
    }
    let builds = service.build.iter().flat_map(|build| &build.secrets);
    for secret in service.secrets.iter().chain(builds) {
        if !project.secrets.contains_key(&secret.source) {
            return undefined("secret", &secret.source);
        }
    }
    for config in &service.configs {
        if !project.configs.contains_key(&config.source) {
            return undefined("config", &config.source);
        }
    }
    let model = service
        .models
        .keys()
        .find(|key| !project.models.contains_key(*key));
    model.and_then(|key| undefined("model", key))
}

fn limits(name: &str, service: &Service) -> Option<String> {
    let deploy = service.deploy.as_ref()?;
    let distinct = |key: &str, other: &str| {
        Some(format!(
            "services.{name}: can't set distinct values on '{key}' and 'deploy.{other}'"
        ))
    };
    if let (Some(scale), Some(replicas)) = (service.scale, deploy.replicas)
        && scale != replicas
    {
        return distinct("scale", "replicas");
    }
    if let Some(limits) = &deploy.resources.limits {
        if service.cpus != 0.0 && limits.cpus != service.cpus {
            return distinct("cpus", "resources.limits.cpus");
        }
        if service.mem_limit.0 != 0 && limits.memory != service.mem_limit {
            return distinct("mem_limit", "resources.limits.memory");
        }
        if service.pids_limit != 0 && limits.pids != service.pids_limit {
            return distinct("pids_limit", "resources.limits.pids");
        }
    }
    let reservations = deploy.resources.reservations.as_ref()?;
    match service.mem_reservation.0 != 0 && reservations.memory != service.mem_reservation {
        true => distinct("mem_reservation", "resources.reservations.memory"),
        false => None,
    }
}

/// Two things mounted at one place.
fn targets(name: &str, service: &Service) -> Option<String> {
    let mut places: BTreeMap<&str, String> = BTreeMap::new();
    let tmpfs = service.tmpfs.iter().enumerate().map(|(position, text)| {
        let target = text.split(':').next().unwrap_or_default();
        (target, format!("services.{name}.tmpfs[{position}]"))
    });
    let mounts = service.volumes.iter().enumerate();
    let mounts = mounts.map(|(position, mount)| {
        (
            mount.target.as_str(),
            format!("services.{name}.volumes[{position}]"),
        )
    });
    for (target, place) in tmpfs.chain(mounts) {
        if let Some(before) = places.get(target) {
            return Some(format!(
                "{place}: target {target} already mounted as {before}"
            ));
        }
        places.insert(target, place);
    }
    None
}

fn container_names(project: &Project) -> Result<(), ComposeError> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, service) in &project.services {
        let own = service.container_name.as_str();
        if own.is_empty() {
            continue;
        }
        let text = if service.scale() > 1 {
            format!(
                "can't set container_name and {name} as container name must be unique: {own:?} of {} containers",
                service.scale()
            )
        } else if let Some(other) = seen.insert(own, name) {
            format!("services.{name}: container name {own:?} is already in use by service {other}")
        } else {
            continue;
        };
        return Err(ComposeError::Inconsistent { text });
    }
    Ok(())
}

fn cycles(project: &Project) -> Result<(), ComposeError> {
    let mut done = std::collections::BTreeSet::new();
    for name in project.services.keys() {
        let mut above: Vec<(&str, Vec<&str>)> = Vec::new();
        let needs = |name: &str| -> Vec<&str> {
            let service = project.services.get(name);
            let keys = service
                .into_iter()
                .flat_map(|service| service.depends_on.keys());
            keys.map(String::as_str).rev().collect()
        };
        above.push((name, needs(name)));
        while let Some((current, left)) = above.last_mut() {
            let Some(next) = left.pop() else {
                done.insert(*current);
                above.pop();
                continue;
            };
            if let Some(begin) = above.iter().position(|(name, _)| *name == next) {
                let circle = above[begin..].iter().map(|(name, _)| *name);
                let circle: Vec<&str> = circle.chain([next]).collect();
                let text = format!("dependency cycle detected: {}", circle.join(" -> "));
                return Err(ComposeError::Invalid { text });
            }
            if !done.contains(next) {
                above.push((next, needs(next)));
            }
        }
    }
    Ok(())
}
