//! What there can be only one of: a later entry of a list takes the place of an earlier one with the same key.

use std::collections::HashMap;

use super::fault::Fault;
use super::path::Path;
use super::yaml::{Node, Yaml};

/// How entries of a list are told apart.
#[derive(Clone, Copy)]
enum By {
    /// `NAME=VALUE`
    Name,
    Whole,
    Port,
    Mount,
    Device,
    /// Its target, below this directory if it is none.
    File(&'static str),
    Path,
}

pub fn unique(node: &mut Node) -> Result<(), Fault> {
    walked(node, &mut Path::default())
}

fn by(keys: &[&str]) -> Option<By> {
    Some(match keys {
        ["networks" | "volumes", _, "labels"]
        | [
            "services",
            _,
            "annotations" | "environment" | "labels" | "sysctls" | "tmpfs",
        ]
        | [
            "services",
            _,
            "build",
            "args" | "additional_contexts" | "labels",
        ]
        | ["services", _, "deploy", "labels"] => By::Name,
        ["services", _, "build", "platforms" | "tags"]
        | [
            "services",
            _,
            "cap_add" | "cap_drop" | "dns" | "dns_opt" | "dns_search" | "expose" | "label_file"
            | "profiles" | "links" | "external_links" | "volumes_from",
        ]
        | ["services", _, "networks", _, "aliases" | "link_local_ips"] => By::Whole,
        ["services", _, "ports"] => By::Port,
        ["services", _, "volumes"] => By::Mount,
        ["services", _, "devices"] => By::Device,
        ["services", _, "configs"] => By::File(""),
        ["services", _, "secrets"] => By::File("/run/secrets"),
        ["services", _, "env_file"] => By::Path,
        _ => return None,
    })
}

fn walked(node: &mut Node, path: &mut Path) -> Result<(), Fault> {
    match &mut node.value {
        Yaml::Map(map) => {
            for (key, node) in map {
                path.under(key, |path| walked(node, path))?;
            }
            Ok(())
        }
        Yaml::List(list) => match by(&path.keys()) {
            Some(by) => {
                *list = only(std::mem::take(list), by)?;
                Ok(())
            }
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn only(list: Vec<Node>, by: By) -> Result<Vec<Node>, Fault> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut kept: Vec<Node> = Vec::new();
    for node in list {
        let Some(key) = key(&node, by) else {
            kept.push(node);
            continue;
        };
        match places.get(&key) {
            Some(place) => kept[*place] = node,
            None => {
                places.insert(key, kept.len());
                kept.push(node);
            }
        }
    }
    Ok(kept)
}

fn key(node: &Node, by: By) -> Option<String> {
    let text = node.shown();
    Some(match by {
        By::Name => {
            let text = text?;
            text.split_once('=')
                .map_or(text.as_str(), |(name, _)| name)
                .to_owned()
        }
        By::Whole => text?,
        By::Port => match text {
            Some(text) => text,
            None => {
                let part = |key: &str| node.get(key).and_then(Node::shown);
                let mut published = part("published");
                // What a range may be published at is no port yet.
                if published.is_none() {
                    published = Some(String::new());
                }
                format!(
                    "{}:{}:{}/{}",
                    part("host_ip").unwrap_or_else(|| "0.0.0.0".to_owned()),
                    published?,
                    part("target")?,
                    part("protocol").unwrap_or_else(|| "tcp".to_owned())
                )
            }
        },
        By::Mount => match text {
            Some(text) => super::short::mount_target(&text),
            None => node.text_at("target")?.to_owned(),
        },
        By::Device => match text {
            Some(text) => match text.split(':').collect::<Vec<_>>()[..] {
                [_, target, ..] => target.to_owned(),
                _ => text,
            },
            None => node.text_at("target")?.to_owned(),
        },
        By::File(directory) => {
            let target = match &text {
                Some(text) => text.as_str(),
                None => node.text_at("target").or(node.text_at("source"))?,
            };
            match target.starts_with('/') {
                true => target.to_owned(),
                false => format!("{directory}/{target}"),
            }
        }
        By::Path => match text {
            Some(text) => text,
            None => node.text_at("path")?.to_owned(),
        },
    })
}
