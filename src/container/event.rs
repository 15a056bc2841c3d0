//! What happened to a container, image, volume or network, in docker's names and attributes. Where it is kept is for the log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::ContainerConfig;

/// One line of the event log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Nanoseconds since 1970. The first field: a reader finds the beginning of a line that was glued to a torn one by it.
    pub time: i64,
    pub kind: EventKind,
    /// Docker's word, with what it appends: `start`, `health_status: healthy`, `exec_create: sh -c true`.
    pub action: String,
    /// Of what it happened to: a container's full id, an image's id or name, a volume's or network's name.
    pub id: String,
    /// Its labels, its name, and what the action adds (`exitCode`, `signal`, `oldName`).
    pub attributes: BTreeMap<String, String>,
}

/// Docker's `type` of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    Container,
    Image,
    Volume,
    Network,
    Builder,
}

impl EventKind {
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Container => "container",
            EventKind::Image => "image",
            EventKind::Volume => "volume",
            EventKind::Network => "network",
            EventKind::Builder => "builder",
        }
    }
}

impl Event {
    /// Something that happens now.
    pub fn new(kind: EventKind, id: impl Into<String>, action: impl Into<String>) -> Event {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let nanoseconds = since.map_or(0, |since| since.as_nanos());
        Event {
            time: i64::try_from(nanoseconds).unwrap_or(i64::MAX),
            kind,
            action: action.into(),
            id: id.into(),
            attributes: BTreeMap::new(),
        }
    }

    /// With a container's labels, image and present name, as docker adds them to each of its events.
    pub fn container(config: &ContainerConfig, name: &str, action: impl Into<String>) -> Event {
        let mut event = Event::new(EventKind::Container, config.id.as_str(), action);
        event.attributes.clone_from(&config.labels);
        event.with("image", &config.image).with("name", name)
    }

    /// `id` is what the action was asked of: an id, or the name that was pulled or pushed.
    pub fn image(id: impl Into<String>, name: &str, action: impl Into<String>) -> Event {
        Event::new(EventKind::Image, id, action).with("name", name)
    }

    pub fn volume(name: &str, action: &str) -> Event {
        Event::new(EventKind::Volume, name, action).with("driver", "local")
    }

    /// Something else that happens to the same now.
    pub fn again(&self, action: impl Into<String>) -> Event {
        let mut event = Event::new(self.kind, self.id.clone(), action);
        event.attributes.clone_from(&self.attributes);
        event
    }

    /// With one more attribute, or another value of it.
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Event {
        self.attributes.insert(key.to_owned(), value.into());
        self
    }

    /// The action without what is appended to it: `exec_create` of `exec_create: sh`.
    pub fn plain_action(&self) -> &str {
        let plain = self.action.split_once(": ");
        plain.map_or(self.action.as_str(), |(plain, _)| plain)
    }
}
