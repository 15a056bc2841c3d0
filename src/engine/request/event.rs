//! What `events` is asked for: a span of time, and which events of it.

use super::filter::{FilterError, split};
use super::label::LabelFilters;
use super::time::Moment;
use crate::container::{Event, EventKind};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventsRequest {
    /// None, and no `until` either: only what happens from now on.
    pub since: Option<Moment>,
    /// None: for ever.
    pub until: Option<Moment>,
    /// Go on when all that has happened is shown.
    pub follow: bool,
    pub filters: EventFilters,
}

/// Different keys must all hold; of one key's values any (of labels: all). A filter that does not count is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilters {
    pub kind: Vec<EventKind>,
    pub action: Vec<String>,
    pub labels: LabelFilters,
    /// Beginnings of ids or names.
    pub container: Vec<String>,
    pub volume: Vec<String>,
    pub network: Vec<String>,
    /// Names (with or without their tag) and ids: the image's own events, and those of its containers.
    pub image: Vec<String>,
}

const KINDS: [EventKind; 5] = [
    EventKind::Container,
    EventKind::Image,
    EventKind::Volume,
    EventKind::Network,
    EventKind::Builder,
];

impl EventFilters {
    /// Adds one `key=value`.
    pub fn add(&mut self, text: &str) -> Result<(), FilterError> {
        let (key, value) = split(text)?;
        let owned = value.to_owned();
        match key.as_str() {
            "type" => {
                let kind = KINDS.into_iter().find(|kind| kind.name() == value);
                self.kind.push(kind.ok_or(FilterError::Value {
                    key,
                    value: owned,
                    expected: "one of container, image, volume, network, builder",
                })?);
            }
            // Everything there is is local.
            "scope" if value == "local" => {}
            "scope" => {
                return Err(FilterError::Value {
                    key,
                    value: owned,
                    expected: "local, the only scope without a swarm",
                });
            }
            "event" => self.action.push(owned),
            "label" => self.labels.want(value),
            "container" => self.container.push(owned),
            "volume" => self.volume.push(owned),
            "network" => self.network.push(owned),
            "image" => self.image.push(owned),
            _ => return Err(FilterError::Key { key }),
        }
        Ok(())
    }

    pub fn matches(&self, event: &Event) -> bool {
        let any = |wanted: &[String], test: &dyn Fn(&str) -> bool| {
            wanted.is_empty() || wanted.iter().any(|text| test(text))
        };
        (self.kind.is_empty() || self.kind.contains(&event.kind))
            && any(&self.action, &|action| {
                event.action == action || event.plain_action() == action
            })
            // Docker looks for labels among all attributes.
            && self.labels.fit(&event.attributes)
            && any(&self.container, &|name| {
                concerns(event, EventKind::Container, name)
            })
            && any(&self.volume, &|name| {
                concerns(event, EventKind::Volume, name)
            })
            && any(&self.network, &|name| {
                concerns(event, EventKind::Network, name)
            })
            && any(&self.image, &|name| is_of_image(event, name))
    }
}

/// An event of such a thing, or one of another that names it (a volume's `mount` has a `container`).
fn concerns(event: &Event, kind: EventKind, beginning: &str) -> bool {
    let own = event.kind == kind;
    let key = if own { "name" } else { kind.name() };
    let named = event.attributes.get(key);
    (own && event.id.starts_with(beginning))
        || named.is_some_and(|name| name.starts_with(beginning))
}

fn is_of_image(event: &Event, wanted: &str) -> bool {
    let key = match event.kind {
        EventKind::Image => "name",
        _ => "image",
    };
    let name = event.attributes.get(key).map(String::as_str);
    let id = (event.kind == EventKind::Image).then_some(event.id.as_str());
    let candidates = [id, name].into_iter().flatten();
    candidates
        .flat_map(|text| [text, without_tag(text)])
        .any(|text| text == wanted)
}

fn without_tag(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fits(event: &Event, filters: &[&str]) -> bool {
        let mut all = EventFilters::default();
        filters.iter().for_each(|text| all.add(text).unwrap());
        all.matches(event)
    }

    #[test]
    fn filters_are_docker_s() {
        let event = Event::new(EventKind::Container, "4f5ad1", "health_status: healthy")
            .with("image", "localhost:5000/web:1")
            .with("name", "shop")
            .with("tier", "front");
        for good in [
            &["type=container"][..],
            &["type=image", "type=container"],
            &["event=health_status"],
            &["event=health_status: healthy"],
            &["event=start", "event=health_status"],
            &["container=4f5a"],
            &["container=shop", "label=tier"],
            &["label=tier=front"],
            &["image=localhost:5000/web"],
            &["image=localhost:5000/web:1"],
            &["scope=local"],
        ] {
            assert!(fits(&event, good), "{good:?}");
        }
        for bad in [
            &["type=image"][..],
            &["event=health"],
            &["container=other"],
            &["label=tier=back"],
            &["label=tier", "label=none"],
            &["image=localhost"],
            &["volume=shop"],
            &["type=container", "event=start"],
        ] {
            assert!(!fits(&event, bad), "{bad:?}");
        }
        let mounted = Event::new(EventKind::Volume, "disk", "mount").with("container", "4f5ad1");
        assert!(fits(&mounted, &["container=4f5a"]));
        assert!(fits(&mounted, &["volume=disk"]));
    }

    #[test]
    fn what_there_is_no_such_thing_of_is_refused() {
        for text in ["daemon=x", "type=daemon", "scope=swarm", "colour=red"] {
            assert!(EventFilters::default().add(text).is_err(), "{text}");
        }
    }
}
