//! A volume as docker's `volume inspect` shows it: the same keys, in the same order.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::engine::VolumeSummary;

pub fn document(summary: &VolumeSummary) -> Value {
    let volume = &summary.volume;
    let config = &volume.config;
    json!({
        "CreatedAt": config.created,
        "Driver": "local",
        "Labels": map_or_null(&config.labels),
        "Mountpoint": volume.data().to_string_lossy(),
        "Name": volume.name.as_str(),
        "Options": map_or_null(&config.options),
        "Scope": "local",
    })
}

fn map_or_null(map: &BTreeMap<String, String>) -> Value {
    match map.is_empty() {
        true => Value::Null,
        false => json!(map),
    }
}
