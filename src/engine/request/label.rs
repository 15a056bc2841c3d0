//! `key=value` labels, and the filters for them.

use std::collections::BTreeMap;
use std::str::FromStr;

/// `key=value`, or `key` alone with an empty value. Of two with one key the last counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub key: String,
    pub value: String,
}

/// `key` (any value) or `key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LabelFilter {
    key: String,
    value: Option<String>,
}

/// `label=` and `label!=` of a command: all of those and none of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelFilters {
    wanted: Vec<LabelFilter>,
    excluded: Vec<LabelFilter>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid label '{text}': empty name")]
pub struct LabelError {
    text: String,
}

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Label, LabelError> {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        if key.is_empty() {
            return Err(LabelError {
                text: text.to_owned(),
            });
        }
        Ok(Label {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl LabelFilter {
    fn parse(text: &str) -> LabelFilter {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        LabelFilter {
            key: key.to_owned(),
            value,
        }
    }

    /// Whether one of these is such a label.
    fn is_among(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        value.is_some_and(|value| self.value.as_ref().is_none_or(|wanted| wanted == value))
    }
}

impl LabelFilters {
    /// `label=TEXT`.
    pub fn want(&mut self, text: &str) {
        self.wanted.push(LabelFilter::parse(text));
    }

    /// `label!=TEXT`.
    pub(super) fn exclude(&mut self, text: &str) {
        self.excluded.push(LabelFilter::parse(text));
    }

    /// Whether any labels fit.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty() && self.excluded.is_empty()
    }

    /// Whether what has these labels is meant.
    pub fn fit(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |filter: &LabelFilter| filter.is_among(labels);
        self.wanted.iter().all(has) && !self.excluded.iter().any(has)
    }
}
