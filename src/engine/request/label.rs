//! `key=value` labels.

use std::str::FromStr;

/// `key=value`, or `key` alone with an empty value. Of two with one key the last counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    pub key: String,
    pub value: String,
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
