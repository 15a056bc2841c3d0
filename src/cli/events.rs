//! `events` and `system events`.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::Invocation;
use super::error::{CliError, Kind};
use super::filters::filtered;
use super::template::{Scope, Template};
use crate::container::{Event, EventKind};
use crate::engine::request::{EventFilters, EventsRequest, Moment};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show only what fits: type, event, container, image, volume, network, label, scope
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// `json` or a Go template
    #[arg(long)]
    format: Option<String>,
    /// Show what came after a moment (2024-01-31T15:04:05Z) or in the last while (42m)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// End at a moment
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Go on when all that has happened is shown (`--stream=false` ends then)
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    stream: bool,
}

impl Args {
    fn request(&self) -> Result<EventsRequest, CliError> {
        let filters = filtered("-f, --filter", &self.filter, EventFilters::add)?;
        request(&self.since, &self.until, self.stream, filters)
    }
}

/// Such events between two moments, which docker's words tell apart where they are the wrong way round.
pub(super) fn request(
    since: &Option<String>,
    until: &Option<String>,
    follow: bool,
    filters: EventFilters,
) -> Result<EventsRequest, CliError> {
    let now = Timestamp::now();
    let moment = |what, text: &Option<String>| {
        text.as_ref()
            .map(|text| Moment::parse(what, text, now))
            .transpose()
            .map_err(|error| CliError::failed(&error))
    };
    let request = EventsRequest {
        since: moment("since", since)?,
        until: moment("until", until)?,
        follow,
        filters,
    };
    match (request.since, request.until) {
        (Some(since), Some(until)) if until < since => Err(CliError::new(
            Kind::Failed,
            format!(
                "`since` time ({}) cannot be after `until` time ({})",
                since.0, until.0
            ),
        )),
        _ => Ok(request),
    }
}

/// How an event is shown.
enum Form {
    Text(TimeZone),
    Json,
    Template(Template),
}

impl Form {
    fn new(format: Option<&str>) -> Result<Form, CliError> {
        match format {
            None | Some("") => Ok(Form::Text(super::units::local_zone())),
            Some("json" | "{{json .}}") => Ok(Form::Json),
            Some(text) => Template::parse(&text.replace("\\t", "\t").replace("\\n", "\n"))
                .map(Form::Template)
                .map_err(|error| Invocation::template(&error)),
        }
    }

    fn show(&self, event: &Event) -> Result<String, CliError> {
        match self {
            Form::Text(zone) => Ok(text(event, zone)),
            Form::Json => Ok(document(event).to_string()),
            Form::Template(template) => {
                let root = fields(event);
                let scope = Scope {
                    root: &root,
                    labels: None,
                };
                template
                    .render(&scope)
                    .map_err(|error| Invocation::template(&error))
            }
        }
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = args.request()?;
    let form = Form::new(args.format.as_deref())?;
    let engine = invocation.engine()?;
    let mut ended = Ok(());
    let shown = engine.events(&request, |event| {
        ended = form.show(event).and_then(|line| invocation.ui.line(&line));
        ended.is_ok()
    });
    shown.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    ended.map(|()| 0)
}

/// `2026-01-31T12:00:00.000000000+01:00 container start 4f5a… (image=busybox, name=web)`
fn text(event: &Event, zone: &TimeZone) -> String {
    let time = Timestamp::from_nanosecond(i128::from(event.time)).unwrap_or_default();
    let zoned = time.to_zoned(zone.clone());
    let offset = match zoned.offset().is_zero() {
        true => "Z".to_owned(),
        false => zoned.strftime("%:z").to_string(),
    };
    let attributes = event.attributes.iter();
    let attributes: Vec<String> = attributes.map(|(k, v)| format!("{k}={v}")).collect();
    let mut line = format!(
        "{}{offset} {} {} {}",
        zoned.strftime("%Y-%m-%dT%H:%M:%S.%9f"),
        event.kind.name(),
        event.action,
        event.id
    );
    if !attributes.is_empty() {
        line += &format!(" ({})", attributes.join(", "));
    }
    harmless(&line)
}

/// Labels are an image's own words: none of them moves the cursor or begins a line.
pub(super) fn harmless(line: &str) -> String {
    let shown = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    line.chars().map(shown).collect()
}

/// What docker's API sends.
fn document(event: &Event) -> Value {
    let mut document = json!({});
    for (key, value) in legacy(event) {
        document[key] = value.into();
    }
    document["Type"] = event.kind.name().into();
    document["Action"] = event.action.as_str().into();
    document["Actor"] = json!({"ID": event.id, "Attributes": event.attributes});
    document["scope"] = "local".into();
    document["time"] = seconds(event).into();
    document["timeNano"] = event.time.into();
    document
}

/// The keys that docker had before `Actor`, and still sends of containers and images.
fn legacy(event: &Event) -> Vec<(&'static str, &str)> {
    let from = event.attributes.get("image").map(String::as_str);
    match event.kind {
        EventKind::Container => vec![
            ("status", event.action.as_str()),
            ("id", event.id.as_str()),
            ("from", from.unwrap_or_default()),
        ],
        EventKind::Image => vec![("status", &event.action), ("id", &event.id)],
        _ => Vec::new(),
    }
}

/// The same by the names that templates use.
fn fields(event: &Event) -> Value {
    json!({
        "Type": event.kind.name(),
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": event.attributes},
        "Status": event.action,
        "ID": event.id,
        "From": event.attributes.get("image").map_or("", String::as_str),
        "Scope": "local",
        "Time": seconds(event),
        "TimeNano": event.time,
    })
}

fn seconds(event: &Event) -> i64 {
    event.time.div_euclid(1_000_000_000)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_docker_s_and_hostile_labels_stay_on_it() {
        let mut event = Event::new(EventKind::Container, "4f5a", "start")
            .with("image", "busybox")
            .with("name", "web");
        event.time = 1_136_214_245_000_000_007;
        assert_eq!(
            text(&event, &TimeZone::UTC),
            "2006-01-02T15:04:05.000000007Z container start 4f5a (image=busybox, name=web)"
        );
        let zone = TimeZone::fixed(jiff::tz::offset(-5));
        assert!(text(&event, &zone).starts_with("2006-01-02T10:04:05.000000007-05:00 "));
        let hostile = event.with("label", "x\n\x1b[2J");
        assert!(text(&hostile, &zone).ends_with("label=x\\n\\u{1b}[2J, name=web)"));
    }

    #[test]
    fn json_has_docker_s_keys() {
        let mut event = Event::new(EventKind::Image, "busybox:latest", "pull");
        event.time = 1_000_000_000;
        assert_eq!(
            document(&event).to_string(),
            r#"{"status":"pull","id":"busybox:latest","Type":"image","Action":"pull","Actor":{"ID":"busybox:latest","Attributes":{}},"scope":"local","time":1,"timeNano":1000000000}"#
        );
    }
}
