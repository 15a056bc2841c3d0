//! The short forms of ports, mounts and devices, taken apart.

use super::fault::Fault;
use super::places::clean;
use super::yaml::{Map, Node, Yaml};

/// Ports of one entry.
const PORTS: usize = 65_536;

/// `8080:80`, `127.0.0.1:8000-8010:80-90/udp`, `3000`: an entry for each port of the container.
pub fn ports(node: &Node, text: &str) -> Result<Vec<Node>, Fault> {
    let fault = |text: String| Fault::new(node.at, text);
    let (rest, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(fault(format!("Invalid proto: {protocol}")));
    }
    let (before, target) = match rest.rsplit_once(':') {
        Some((before, target)) => (Some(before), target),
        None => (None, rest),
    };
    let (address, published) = match before {
        None => (None, ""),
        Some(before) => match before.rsplit_once(':') {
            Some((address, published)) => (Some(address), published),
            None => (None, before),
        },
    };
    let address = address.map(|text| {
        match text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'))
        {
            Some(inner) => inner,
            None => text,
        }
    });
    if let Some(address) = address.filter(|address| !address.is_empty())
        && address.parse::<std::net::IpAddr>().is_err()
    {
        return Err(fault(format!("Invalid ip address: {address}")));
    }
    if target.is_empty() {
        return Err(fault(format!("No port specified: {text}<empty>")));
    }
    let wrong = |what: &str, text: &str| fault(format!("Invalid {what}: {text}"));
    let (first, last) = range(target).ok_or_else(|| wrong("containerPort", target))?;
    let host = match published {
        "" => None,
        text => Some(range(text).ok_or_else(|| wrong("hostPort", text))?),
    };
    let count = usize::from(last - first) + 1;
    let several = host.is_some_and(|(low, high)| usize::from(high - low) + 1 != count);
    if several && count != 1 {
        let text = format!(
            "Invalid ranges specified for container and host Ports: {target} and {published}"
        );
        return Err(fault(text));
    }
    let mut made = Vec::new();
    for (offset, target) in (first..=last).enumerate().take(PORTS) {
        let mut entry = node.map_of([
            ("mode", "ingress".into()),
            ("protocol", protocol.as_str().into()),
            ("target", i64::from(target).into()),
        ]);
        let map = entry.map_mut().expect("it was made one");
        let mut put = |key: &str, value: String| {
            map.insert(key.to_owned(), Node::new(value, node.at));
        };
        if let Some(address) = address.filter(|address| !address.is_empty()) {
            put("host_ip", address.to_owned());
        }
        match host {
            Some(_) if several => put("published", published.to_owned()),
            Some((low, _)) => put("published", (usize::from(low) + offset).to_string()),
            None => {}
        }
        made.push(entry);
    }
    Ok(made)
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

/// A source that is a path and not a volume's name.
pub fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~']) || is_windows(source)
}

fn is_windows(source: &str) -> bool {
    let is_drive = matches!(source.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    is_drive || source.starts_with("\\\\")
}

/// The parts of `SOURCE:TARGET:OPTIONS`; the colon behind a drive's letter is none.
fn split(text: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut part = String::new();
    let mut braces = 0;
    for c in text.chars() {
        // A variable that is left alone may have colons in it.
        match c {
            '{' if part.ends_with('$') || braces > 0 => braces += 1,
            '}' if braces > 0 => braces -= 1,
            _ => {}
        }
        let is_drive = part.len() == 1 && part.starts_with(|c: char| c.is_ascii_alphabetic());
        match c {
            ':' if !is_drive && braces == 0 => parts.push(std::mem::take(&mut part)),
            c => part.push(c),
        }
    }
    parts.push(part);
    parts
}

/// Where a short form mounts.
pub fn mount_target(text: &str) -> String {
    match &split(text)[..] {
        _ if text.chars().count() < 3 => text.to_owned(),
        [target] | [_, target, ..] => target.clone(),
        [] => String::new(),
    }
}

/// `SOURCE:TARGET:OPTIONS`, `SOURCE:TARGET` or `TARGET` as a mount.
pub fn mount(node: &Node, text: &str) -> Result<Node, Fault> {
    let fault = |what: &str| Err(Fault::new(node.at, format!("invalid spec: {text}: {what}")));
    match text.chars().count() {
        0 => return Err(Fault::new(node.at, "invalid empty volume spec")),
        1 | 2 => return Ok(node.map_of([("type", "volume".into()), ("target", text.into())])),
        _ => {}
    }
    let parts = split(text);
    let (source, target, options) = match &parts[..] {
        parts if parts.iter().any(String::is_empty) => {
            return fault("empty section between colons");
        }
        [target] => (None, target, ""),
        [source, target] => (Some(source.as_str()), target, ""),
        [source, target, options] => (Some(source.as_str()), target, options.as_str()),
        _ => return fault("too many colons"),
    };
    let own = |value: Yaml| Node::new(value, node.at);
    let target = clean(std::path::Path::new(target.as_str()));
    let mut map = Map::from([("target".to_owned(), own(target.into()))]);
    let mut put = |key: &str, value: Yaml| drop(map.insert(key.to_owned(), own(value)));
    let (mut bind, mut volume) = (Map::new(), Map::new());
    for option in options.split(',') {
        let key = match option {
            "ro" => {
                put("read_only", true.into());
                continue;
            }
            "nocopy" => {
                volume.insert(option.to_owned(), own(true.into()));
                continue;
            }
            "z" | "Z" => "selinux",
            "shared" | "rshared" | "slave" | "rslave" | "private" | "rprivate" => "propagation",
            // What is not known is no error with docker.
            _ => continue,
        };
        bind.insert(key.to_owned(), own(option.into()));
    }
    if let Some(source) = source {
        put("source", source.into());
    }
    match source.is_some_and(is_path) {
        true => {
            bind.insert("create_host_path".to_owned(), own(true.into()));
            put("type", "bind".into());
            put("bind", bind.into());
            if !volume.is_empty() {
                put("volume", volume.into());
            }
        }
        false => {
            put("type", "volume".into());
            put("volume", volume.into());
            if !bind.is_empty() {
                put("bind", bind.into());
            }
        }
    }
    Ok(node.with(map))
}

/// `SOURCE:TARGET:PERMISSIONS`, or a device of the Container Device Interface.
pub fn device(node: &Node, text: &str) -> Result<Node, Fault> {
    let (source, target, permissions) = match text.split(':').collect::<Vec<_>>()[..] {
        [source, target, permissions] => (source, target, permissions),
        [source, target] => (source, target, "rwm"),
        [source] => (source, source, "rwm"),
        _ => {
            let text = format!("confusing device mapping, please use long syntax: {text}");
            return Err(Fault::new(node.at, text));
        }
    };
    Ok(node.map_of([
        ("source", source.into()),
        ("target", target.into()),
        ("permissions", permissions.into()),
    ]))
}
