//! A container's state in docker's words: the columns of `ps`, the `State` of `inspect`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::table::Row;
use super::units;
use crate::container::{ContainerConfig, Health, HealthStatus, Status};
use crate::engine::{ContainerSummary, PublishedPort};
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

/// One line of `ps`; `whole` is `--no-trunc`.
pub fn row(container: &ContainerSummary, whole: bool, now: Timestamp, zone: &TimeZone) -> Row {
    let config = &container.config;
    let created = container.created().unwrap_or(now);
    let mut row = Row::default();
    let id = container.record.id.as_str();
    row.set(
        "ID",
        if whole {
            id
        } else {
            container.record.id.short()
        },
    );
    row.set("Image", image(&config.image, whole));
    row.set("Command", command(config, whole));
    row.set("CreatedAt", units::created_at(created, zone));
    row.set("RunningFor", units::ago(created, now));
    row.set("State", state(&container.status));
    let shown = status(&container.status, container.health.as_ref(), now);
    row.set("Status", shown);
    row.set("Ports", ports(container));
    row.set("Names", container.name.as_str());
    let size = container.size.map_or(String::new(), |size| {
        format!(
            "{} (virtual {})",
            units::size(size.own),
            units::size(size.total)
        )
    });
    row.set("Size", if size.is_empty() { "0B" } else { &size });
    let labels: Vec<String> = config
        .labels
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    row.set("Labels", labels.join(","));
    let mounts: Vec<String> = config
        .host
        .mounts
        .iter()
        .filter_map(|mount| match &mount.volume {
            Some(volume) => Some(&volume.name),
            None => Some(&mount.source).filter(|source| !source.is_empty()),
        })
        .map(|name| units::shortened(name, if whole { usize::MAX } else { 15 }))
        .collect();
    let volumes = config
        .host
        .mounts
        .iter()
        .filter(|mount| mount.volume.is_some());
    row.set("Mounts", mounts.join(","));
    row.set("LocalVolumes", volumes.count().to_string());
    let endpoints = config.endpoints(&container.settings).iter();
    let networks: Vec<&str> = endpoints
        .map(|endpoint| endpoint.network.as_str())
        .collect();
    row.set(
        "Networks",
        match config.host.is_bridged() {
            true => networks.join(","),
            false => config.host.network.clone(),
        },
    );
    row.set("Platform", "");
    row.labels = config
        .labels
        .iter()
        .map(|(k, v)| (k.clone(), v.as_str().into()))
        .collect();
    row
}

/// A nameless image is shown by its short id, as docker does.
fn image(name: &str, whole: bool) -> String {
    match name.strip_prefix("sha256:") {
        Some(digits) if !whole => digits.chars().take(12).collect(),
        _ => name.to_owned(),
    }
}

/// `"sh -c 'sleep 5'"`, at most twenty letters of it.
fn command(config: &ContainerConfig, whole: bool) -> String {
    let words: Vec<String> = config
        .arguments()
        .into_iter()
        .map(|word| match word.contains(' ') {
            true => format!("'{}'", text::shown(&word)),
            false => text::shown(&word).into_owned(),
        })
        .collect();
    format!(
        "{:?}",
        units::shortened(&words.join(" "), if whole { usize::MAX } else { 20 })
    )
}

/// `0.0.0.0:8080->80/tcp, 443/tcp`: published, then exposed ones; only of what runs.
fn ports(container: &ContainerSummary) -> String {
    if !container.status.is_running() {
        return String::new();
    }
    let exposed =
        container
            .config
            .process
            .exposed_ports
            .iter()
            .map(|port| match port.contains('/') {
                true => port.clone(),
                false => format!("{port}/tcp"),
            });
    let published = &container.ports;
    let rest = exposed.filter(|port| !published.iter().any(|known| known.inside() == *port));
    let mut all: Vec<String> = published.iter().map(PublishedPort::shown).collect();
    all.extend(rest);
    all.join(", ")
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
