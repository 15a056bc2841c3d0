//! `--filter` of `ps`, `images` and `container prune`, typed. Different keys must all hold; of one key's values any (of labels: all).

use std::collections::BTreeMap;

use regex::Regex;

use super::label::LabelFilters;
use super::time::Moment;
use crate::container::RestartPolicy;
use crate::net::ports::ExposedPorts;

/// What a container is doing, as `ps` counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
}

/// A filter that does not count is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PsFilters {
    /// Prefixes of ids.
    pub id: Vec<String>,
    /// Regular expressions found in a name: `name_matches`.
    pub name: Vec<String>,
    pub labels: LabelFilters,
    pub exited: Vec<i32>,
    pub status: Vec<Status>,
    /// Images (or their descendants): name, id.
    pub ancestor: Vec<String>,
    /// Containers created before, after this one.
    pub before: Option<String>,
    pub since: Option<String>,
    /// Mount targets or sources.
    pub volume: Vec<String>,
    pub network: Vec<String>,
    pub publish: Vec<ExposedPorts>,
    pub expose: Vec<ExposedPorts>,
    pub health: Vec<String>,
    /// Names of restart policies.
    pub restart_policy: Vec<String>,
    /// Those that are to run after the host has booted, or those that are not.
    pub should_start_on_boot: Option<bool>,
}

/// Which of the containers that do not run `container prune` removes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneFilters {
    /// Made before.
    pub until: Option<Moment>,
    pub labels: LabelFilters,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFilters {
    pub dangling: Option<bool>,
    pub labels: LabelFilters,
    pub before: Option<String>,
    pub since: Option<String>,
    /// Made before.
    pub until: Option<Moment>,
    /// Patterns as `path.Match` reads them, `debian`, `*/x:1.*`.
    pub reference: Vec<String>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FilterError {
    #[error("bad format of filter (expected name=value)")]
    Form,
    #[error("invalid filter '{key}'")]
    Key { key: String },
    #[error("invalid filter '{key}={value}': {expected}")]
    Value {
        key: String,
        value: String,
        expected: &'static str,
    },
}

pub(super) fn split(text: &str) -> Result<(String, &str), FilterError> {
    let (key, value) = text.split_once('=').ok_or(FilterError::Form)?;
    Ok((key.trim().to_ascii_lowercase(), value.trim()))
}

/// `true`, `1`, `False` …; `expected` is said of anything else.
pub(super) fn boolean(
    key: String,
    value: &str,
    expected: &'static str,
) -> Result<bool, FilterError> {
    let parsed = crate::config::parse_bool(&value.to_ascii_lowercase());
    parsed.ok_or(FilterError::Value {
        key,
        value: value.to_owned(),
        expected,
    })
}

impl Status {
    pub fn parse(text: &str) -> Option<Status> {
        Some(match text {
            "created" => Status::Created,
            "running" => Status::Running,
            "paused" => Status::Paused,
            "restarting" => Status::Restarting,
            "removing" => Status::Removing,
            "exited" => Status::Exited,
            "dead" => Status::Dead,
            _ => return None,
        })
    }
}

impl PsFilters {
    /// Adds one `key=value`.
    pub fn add(&mut self, text: &str) -> Result<(), FilterError> {
        let (key, value) = split(text)?;
        let wrong = |expected| FilterError::Value {
            key: key.clone(),
            value: value.to_owned(),
            expected,
        };
        let owned = value.to_owned();
        match key.as_str() {
            "id" => self.id.push(owned),
            "name" => {
                Regex::new(value).map_err(|_| wrong("no regular expression"))?;
                self.name.push(owned);
            }
            "label" => self.labels.want(value),
            "exited" => {
                let code = value.parse().map_err(|_| wrong("no exit code"))?;
                self.exited.push(code);
            }
            "status" => {
                let expected =
                    "one of created, running, paused, restarting, removing, exited, dead";
                let status = Status::parse(value).ok_or_else(|| wrong(expected))?;
                self.status.push(status);
            }
            "ancestor" => self.ancestor.push(owned),
            "before" => self.before = Some(owned),
            "since" => self.since = Some(owned),
            "volume" => self.volume.push(owned),
            "network" => self.network.push(owned),
            "publish" | "expose" => {
                let ports = value
                    .parse()
                    .map_err(|_| wrong("a port, as in 80, 53/udp, 8000-8010"))?;
                match key.as_str() {
                    "publish" => self.publish.push(ports),
                    _ => self.expose.push(ports),
                }
            }
            "health" => self.health.push(owned),
            "restart-policy" => {
                let policy = value.parse::<RestartPolicy>();
                let policy = policy.map_err(|_| wrong("no restart policy"))?;
                self.restart_policy.push(policy.name().to_owned());
            }
            "should-start-on-boot" => {
                let on = crate::config::parse_bool(&value.to_ascii_lowercase());
                self.should_start_on_boot = Some(on.ok_or_else(|| wrong("true or false"))?);
            }
            _ => return Err(FilterError::Key { key }),
        }
        Ok(())
    }

    /// True if a container of this name passes the name filters: regular expressions, with or without docker's
    /// leading slash.
    pub fn name_matches(&self, name: &str) -> bool {
        let slashed = format!("/{name}");
        self.name.is_empty()
            || self.name.iter().any(|pattern| match Regex::new(pattern) {
                Ok(regex) => regex.is_match(name) || regex.is_match(&slashed),
                Err(_) => pattern == name,
            })
    }
}

fn until(key: String, value: &str, now: jiff::Timestamp) -> Result<Moment, FilterError> {
    Moment::parse("until", value, now).map_err(|_| FilterError::Value {
        key,
        value: value.to_owned(),
        expected: "a duration (10m), a date (2024-01-31T15:04:05) or a Unix time",
    })
}

impl PruneFilters {
    /// Adds one `key=value`; a duration is counted back from `now`.
    pub fn add(&mut self, text: &str, now: jiff::Timestamp) -> Result<(), FilterError> {
        let (key, value) = split(text)?;
        match key.as_str() {
            "until" => self.until = Some(until(key, value, now)?),
            "label" => self.labels.want(value),
            "label!" => self.labels.exclude(value),
            _ => return Err(FilterError::Key { key }),
        }
        Ok(())
    }

    /// Whether something made then, with these labels, is to go.
    pub fn matches(
        &self,
        created: Option<jiff::Timestamp>,
        labels: &BTreeMap<String, String>,
    ) -> bool {
        self.until
            .is_none_or(|until| created.is_some_and(|created| created < until.0))
            && self.labels.fit(labels)
    }
}

impl ImageFilters {
    /// Adds one `key=value`; a duration is counted back from `now`.
    pub fn add(&mut self, text: &str, now: jiff::Timestamp) -> Result<(), FilterError> {
        let (key, value) = split(text)?;
        let owned = value.to_owned();
        match key.as_str() {
            "dangling" => {
                self.dangling = Some(boolean(key, value, "true or false")?);
            }
            "label" => self.labels.want(value),
            "label!" => self.labels.exclude(value),
            "before" => self.before = Some(owned),
            "since" => self.since = Some(owned),
            "until" => self.until = Some(until(key, value, now)?),
            "reference" => self.reference.push(owned),
            _ => return Err(FilterError::Key { key }),
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn named(pattern: &str, name: &str) -> bool {
        let mut filters = PsFilters::default();
        filters.add(&format!("name={pattern}")).unwrap();
        filters.name_matches(name)
    }

    #[test]
    fn names_match_as_expressions() {
        assert!(named("web", "my-web-1"));
        assert!(named("^web$", "web"));
        assert!(named("^/web$", "web"));
        assert!(!named("^web$", "web2"));
        assert!(named("web[0-9]+$", "web12"));
        assert!(!named("web[^0-9]", "web12"));
        assert!(named("^a.*z$", "abcz"));
        assert!(named("x|web", "web"));
        assert!(named("w?eb", "eb"));
        assert!(PsFilters::default().add("name=(").is_err());
    }

    #[test]
    fn filters_are_typed() {
        let mut filters = PsFilters::default();
        for text in [
            "label=a=b",
            "label=c",
            "exited=137",
            "status=running",
            "id=abc",
        ] {
            filters.add(text).unwrap();
        }
        assert_eq!(filters.exited, [137]);
        assert_eq!(filters.status, [Status::Running]);
        let fit = |pairs: [(&str, &str); 2]| {
            let labels = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
            filters.labels.fit(&BTreeMap::from(labels))
        };
        assert!(fit([("a", "b"), ("c", "anything")]));
        assert!(!fit([("a", "c"), ("c", "anything")]));
        assert!(!fit([("a", "b"), ("d", "anything")]));
    }

    #[test]
    fn what_is_pruned_is_old_and_has_the_labels() {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        let labels = BTreeMap::from([("tier".to_owned(), "front".to_owned())]);
        let goes = |filters: &[&str]| {
            let mut all = PruneFilters::default();
            for text in filters {
                all.add(text, at(1000)).unwrap();
            }
            all.matches(Some(at(900)), &labels)
        };
        assert!(goes(&[]));
        assert!(goes(&["until=1m"]));
        assert!(!goes(&["until=2m"]));
        assert!(goes(&["label=tier", "label=tier=front"]));
        assert!(!goes(&["label=tier=back"]));
        assert!(goes(&["label!=tier=back", "label!=other"]));
        assert!(!goes(&["label!=tier"]));
        let refused = PruneFilters::default().add("until=soon", at(0));
        assert!(refused.is_err());
    }

    #[test]
    fn wrong_filters_are_named() {
        let error = |text: &str| PsFilters::default().add(text).unwrap_err().to_string();
        assert_eq!(error("web"), "bad format of filter (expected name=value)");
        assert_eq!(error("colour=red"), "invalid filter 'colour'");
        assert!(error("status=fine").starts_with("invalid filter 'status=fine': one of"));
        assert!(
            ImageFilters::default()
                .add("dangling=maybe", jiff::Timestamp::UNIX_EPOCH)
                .is_err()
        );
        let mut images = ImageFilters::default();
        images
            .add("dangling=TRUE", jiff::Timestamp::UNIX_EPOCH)
            .unwrap();
        assert_eq!(images.dangling, Some(true));
    }
}
