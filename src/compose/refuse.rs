//! What cannot work here: told by its place when something is to be done, and left alone by what only looks at the file.

use super::fault::Fault;
use super::path::Path;
use super::yaml::{Node, Yaml};

const WINDOWS: &str = "a setting of Windows containers";
const LIMIT: &str = "the kernel has no such limit in cgroup v2";
/// Keys of services, with the reason.
pub const REFUSED: &[(&str, &str)] = &[
    ("cpu_count", WINDOWS),
    ("cpu_percent", WINDOWS),
    ("cpu_rt_period", LIMIT),
    ("cpu_rt_runtime", LIMIT),
    ("credential_spec", WINDOWS),
    (
        "device_cgroup_rules",
        "without root no devices controller can be given a rule",
    ),
    ("mem_swappiness", LIMIT),
    ("models", "bryo runs no models"),
    (
        "oom_kill_disable",
        "the kernel has no such switch in cgroup v2",
    ),
    ("provider", "bryo runs no programs in place of containers"),
    (
        "storage_opt",
        "without root no file system quota can be set",
    ),
    (
        "use_api_socket",
        "bryo has no API socket that a container could be given",
    ),
];
/// Keys of `deploy:` that only a swarm knows; docker compose takes them without a word.
pub const SWARM: &[&str] = &[
    "endpoint_mode",
    "placement",
    "rollback_config",
    "update_config",
];

/// The first thing in a project that cannot work.
pub fn refused(tree: &Node) -> Option<Fault> {
    let mut found = Vec::new();
    walk(tree, &mut Path::default(), &mut |node, path| {
        found.extend(refusal(node, path));
    });
    found.into_iter().min_by_key(|fault| fault.at)
}

/// What has no effect here, with its place.
pub fn without_effect(tree: &Node) -> Vec<Fault> {
    let mut found = Vec::new();
    walk(tree, &mut Path::default(), &mut |node, path| {
        let keys = path.keys();
        if let ["services", _, "deploy", key] = keys[..]
            && SWARM.contains(&key)
        {
            let text = format!("{path} has an effect in a swarm only");
            found.push(Fault::new(node.key, text));
        }
    });
    found
}

fn walk(node: &Node, path: &mut Path, what: &mut dyn FnMut(&Node, &Path)) {
    what(node, path);
    match &node.value {
        Yaml::Map(map) => {
            for (key, node) in map {
                path.under(key, |path| walk(node, path, what));
            }
        }
        Yaml::List(list) => {
            for (position, node) in list.iter().enumerate() {
                path.under(&format!("[{position}]"), |path| walk(node, path, what));
            }
        }
        _ => {}
    }
}

fn refusal(node: &Node, path: &Path) -> Option<Fault> {
    let fault = |reason: &str| {
        let text = format!("{path} is not supported by bryo: {reason}");
        Some(Fault::new(node.key, text))
    };
    let text = node.text().unwrap_or_default();
    match path.keys()[..] {
        // What says `false` asks for nothing.
        ["services", _, _] if node.value == Yaml::Bool(false) => None,
        ["services", _, key] => match REFUSED.iter().find(|(name, _)| *name == key) {
            Some((_, reason)) => fault(reason),
            None if key == "isolation" && text != "default" => fault(WINDOWS),
            None => None,
        },
        ["services", _, "volumes", _, "type"] if text == "npipe" => fault(WINDOWS),
        ["services", _, "volumes", _, "type"] if text == "cluster" => {
            fault("there are no volumes of a swarm")
        }
        ["services", _, "deploy", "mode"] if text.ends_with("-job") || text == "global" => {
            fault("there is no swarm; replicated is what one host can do")
        }
        ["secrets" | "configs", _, "driver" | "template_driver"] => {
            fault("there is no swarm whose drivers could be asked")
        }
        ["secrets" | "configs", _, "external"] if node.value == Yaml::Bool(true) => None,
        _ => None,
    }
}
