//! A container's state in docker's words: the columns of `ps`, the `State` of `inspect`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::published::{self, ShownPort};
use super::table::{Row, Wanted};
use super::units;
use crate::container::{Health, HealthStatus, Outline, Status};
use crate::engine::ListedContainer;
use crate::sys::text;

/// `created`, `running`, `exited`.
pub fn state(status: &Status) -> &'static str {
    match status {
        Status::Created => "created",
        Status::Running(_) => "running",
        Status::Paused(_) => "paused",
        Status::Restarting(..) => "restarting",
        Status::Exited(_) | Status::Killed(_) => "exited",
    }
}

/// `Up 2 hours (healthy)`, `Exited (0) 3 minutes ago`.
pub fn status(status: &Status, health: Option<&Health>, now: Timestamp) -> String {
    let moment = |text: &str| text.parse::<Timestamp>().unwrap_or(now);
    match status {
        Status::Created => "Created".to_owned(),
        Status::Running(run) => {
            let health = match health.map(|health| health.status) {
                Some(HealthStatus::Starting) => " (health: starting)",
                Some(HealthStatus::Healthy) => " (healthy)",
                Some(HealthStatus::Unhealthy) => " (unhealthy)",
                None => "",
            };
            format!("Up {}{health}", units::elapsed(moment(&run.started), now))
        }
        Status::Paused(run) => {
            format!("Up {} (Paused)", units::elapsed(moment(&run.started), now))
        }
        Status::Restarting(_, exit) => {
            let ago = units::ago(moment(&exit.finished), now);
            format!("Restarting ({}) {ago}", exit.code)
        }
        Status::Exited(exit) => {
            let ago = units::ago(moment(&exit.finished), now);
            format!("Exited ({}) {ago}", exit.code)
        }
        Status::Killed(_) => "Exited (137) with its monitor, which was killed".to_owned(),
    }
}

/// One line of `ps`: the `wanted` fields; `whole` is `--no-trunc`.
pub fn row(
    container: &ListedContainer,
    wanted: &Wanted,
    whole: bool,
    now: Timestamp,
    zone: &TimeZone,
) -> Row {
    let config = &container.config;
    let created = || container.created().unwrap_or(now);
    let id = &container.record.id;
    let mut row = Row::default();
    let mut set = |field: &str, text: &dyn Fn() -> String| {
        if wanted.has(field) {
            row.set(field, text());
        }
    };
    set("ID", &|| match whole {
        true => id.to_string(),
        false => id.short().to_owned(),
    });
    set("Image", &|| image(&config.image, whole));
    set("Command", &|| command(config, whole));
    set("CreatedAt", &|| units::created_at(created(), zone));
    set("RunningFor", &|| units::ago(created(), now));
    set("State", &|| state(&container.status).to_owned());
    set("Status", &|| {
        status(&container.status, container.health.as_ref(), now)
    });
    set("Ports", &|| ports(container));
    set("Names", &|| container.name.clone());
    set("Size", &|| size(container));
    set("Labels", &|| {
        let labels = config.labels.iter().map(|(k, v)| format!("{k}={v}"));
        labels.collect::<Vec<_>>().join(",")
    });
    set("Mounts", &|| mounts(config, whole));
    set("LocalVolumes", &|| {
        let volumes = config.host.mounts.iter();
        let volumes = volumes.filter(|mount| mount.volume.is_some());
        volumes.count().to_string()
    });
    set("Networks", &|| networks(container));
    set("Platform", &String::new);
    row.labels = config
        .labels
        .iter()
        .map(|(k, v)| (k.clone(), v.as_str().into()))
        .collect();
    row
}

fn size(container: &ListedContainer) -> String {
    container.size.map_or("0B".to_owned(), |size| {
        format!(
            "{} (virtual {})",
            units::size(size.own),
            units::size(size.total)
        )
    })
}

fn mounts(config: &Outline, whole: bool) -> String {
    let mounts = config.host.mounts.iter();
    let names = mounts.filter_map(|mount| match &mount.volume {
        Some(volume) => Some(&volume.name),
        None => Some(&mount.source).filter(|source| !source.is_empty()),
    });
    let shown = names.map(|name| units::shortened(name, if whole { usize::MAX } else { 15 }));
    shown.collect::<Vec<_>>().join(",")
}

fn networks(container: &ListedContainer) -> String {
    let config = &container.config;
    let endpoints = config.endpoints(&container.settings).iter();
    let names: Vec<&str> = endpoints
        .map(|endpoint| endpoint.network.as_str())
        .collect();
    match config.is_bridged() {
        true => names.join(","),
        false => config.host.network.clone(),
    }
}

/// A nameless image is shown by its short id, as docker does.
fn image(name: &str, whole: bool) -> String {
    match name.strip_prefix("sha256:") {
        Some(digits) if !whole => digits.chars().take(12).collect(),
        _ => name.to_owned(),
    }
}

/// `"sh -c 'sleep 5'"`, at most twenty letters of it.
fn command(config: &Outline, whole: bool) -> String {
    let words: Vec<String> = config
        .arguments()
        .map(|word| match word.contains(' ') {
            true => format!("'{}'", text::shown(word)),
            false => text::shown(word).into_owned(),
        })
        .collect();
    format!(
        "{:?}",
        units::shortened(&words.join(" "), if whole { usize::MAX } else { 20 })
    )
}

/// `0.0.0.0:8080->80/tcp, 443/tcp`: published, then exposed ones; only of what runs.
fn ports(container: &ListedContainer) -> String {
    published::text(shown_ports(container))
}

/// Published, then exposed ports; none of what does not run.
pub fn shown_ports(container: &ListedContainer) -> Vec<ShownPort> {
    if !container.status.is_running() {
        return Vec::new();
    }
    let exposed = container.config.process.exposed_ports.iter();
    let exposed = exposed.filter_map(|port| {
        let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        Some(ShownPort {
            outside: None,
            inside: number.parse().ok()?,
            protocol: protocol.to_owned(),
        })
    });
    let published = container.ports.iter().map(|port| ShownPort {
        outside: Some((port.host_ip, port.host_port)),
        inside: port.container_port,
        protocol: port.protocol.clone(),
    });
    let mut all: Vec<ShownPort> = published.collect();
    let is_known = |port: &ShownPort| {
        let mut known = container.ports.iter();
        known.any(|known| known.container_port == port.inside && known.protocol == port.protocol)
    };
    all.extend(exposed.filter(|port| !is_known(port)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_end_in_an_ellipsis() {
        assert_eq!(
            units::shortened("/docker-entrypoint.sh nginx", 20),
            "/docker-entrypoint.…"
        );
        assert_eq!(units::shortened("sh", 20), "sh");
    }

    #[test]
    fn a_created_container_is_created() {
        assert_eq!(
            status(&Status::Created, None, Timestamp::UNIX_EPOCH),
            "Created"
        );
        assert_eq!(state(&Status::Created), "created");
    }
}
