//! `compose events`: what happens to a project's containers.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::{Globals, Invocation};
use crate::cli::error::{CliError, Kind};
use crate::cli::{events, units};
use crate::compose::labels;
use crate::container::Event;
use crate::engine::request::EventFilters;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Services (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Show a JSON object for each event
    #[arg(long)]
    json: bool,
    /// Show what came after a moment (2024-01-31T15:04:05Z) or in the last while (42m)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// End at a moment
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
}

/// Labels with this beginning are compose's own.
const OWN: &str = "com.docker.compose.";

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    // As docker has it, a service of that name may still come.
    let scope = globals.scope(&[], invocation)?;
    let filters = EventFilters {
        kind: vec![crate::container::EventKind::Container],
        labels: labels::containers(&scope.name, labels::OneOff::Include).labels,
        ..EventFilters::default()
    };
    let request = events::request(&args.since, &args.until, true, filters)?;
    let engine = invocation.engine()?;
    let zone = units::local_zone();
    let mut ended = Ok(());
    let shown = engine.events(&request, |event| {
        if !is_wanted(event, &args.services) {
            return true;
        }
        ended = invocation.ui.line(&match args.json {
            true => document(event, &zone).to_string(),
            false => text(event, &zone),
        });
        ended.is_ok()
    });
    shown.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    ended.map(|()| 0)
}

fn service(event: &Event) -> &str {
    let service = event.attributes.get(labels::SERVICE);
    service.map_or("", String::as_str)
}

/// Not of `run`, and of one of these services, or of any.
fn is_wanted(event: &Event, services: &[String]) -> bool {
    let named = services.is_empty() || services.iter().any(|name| name == service(event));
    named && !labels::is_oneoff(&event.attributes)
}

fn attributes(event: &Event) -> impl Iterator<Item = (&String, &String)> {
    let attributes = event.attributes.iter();
    attributes.filter(|(key, _)| !key.starts_with(OWN))
}

fn time(event: &Event) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(event.time)).unwrap_or_default()
}

/// `2026-01-31 12:00:00.000000 container start 4f5a… (image=busybox, name=shop-web-1)`
fn text(event: &Event, zone: &TimeZone) -> String {
    let time = time(event).to_zoned(zone.clone());
    let attributes: Vec<String> = attributes(event).map(|(k, v)| format!("{k}={v}")).collect();
    events::harmless(&format!(
        "{} container {} {} ({})",
        time.strftime("%Y-%m-%d %H:%M:%S.%6f"),
        event.action,
        event.id,
        attributes.join(", ")
    ))
}

fn document(event: &Event, zone: &TimeZone) -> Value {
    let zoned = time(event).to_zoned(zone.clone());
    let offset = match zoned.offset().is_zero() {
        true => "Z".to_owned(),
        false => zoned.strftime("%:z").to_string(),
    };
    let attributes: Map<String, Value> = attributes(event)
        .map(|(key, value)| (key.clone(), value.as_str().into()))
        .collect();
    json!({
        "action": event.action,
        "attributes": attributes,
        "id": event.id,
        "service": service(event),
        "time": format!("{}{offset}", zoned.strftime("%Y-%m-%dT%H:%M:%S.%9f")),
        "type": "container",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::EventKind;

    #[test]
    fn an_event_is_docker_s_without_the_labels_of_compose() {
        let mut event = Event::new(EventKind::Container, "4f5a", "die")
            .with("image", "busybox")
            .with("exitCode", "3")
            .with(labels::SERVICE, "web")
            .with(labels::PROJECT, "shop");
        event.time = 1_136_214_245_000_000_007;
        assert_eq!(
            text(&event, &TimeZone::UTC),
            "2006-01-02 15:04:05.000000 container die 4f5a (exitCode=3, image=busybox)"
        );
        assert_eq!(
            document(&event, &TimeZone::UTC).to_string(),
            r#"{"action":"die","attributes":{"exitCode":"3","image":"busybox"},"id":"4f5a","service":"web","time":"2006-01-02T15:04:05.000000007Z","type":"container"}"#
        );
        assert!(is_wanted(&event, &[]) && is_wanted(&event, &["web".to_owned()]));
        assert!(!is_wanted(&event, &["db".to_owned()]));
        assert!(!is_wanted(&event.with(labels::ONEOFF, "True"), &[]));
    }
}
