//! An image as docker's `image inspect` shows it: the same keys, in the same order.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::engine::images::ImageDetails;
use crate::image::Reference;

pub fn document(image: &ImageDetails) -> Value {
    let names =
        |names: &[Reference]| -> Vec<String> { names.iter().map(|name| name.familiar()).collect() };
    let shown = |path: &PathBuf| path.to_string_lossy().into_owned();
    // topmost first, as overlay wants them
    let mut directories = image.directories.iter().rev().map(shown);
    let upper = directories.next().unwrap_or_default();
    let lower: Vec<String> = directories.collect();
    let config = &image.config;
    let text = |key: &str| config[key].as_str().unwrap_or_default();
    let last = config["history"].as_array().and_then(|steps| steps.last());
    json!({
        "Id": image.id.to_string(),
        "RepoTags": names(&image.tags),
        "RepoDigests": names(&image.digests),
        "Parent": "",
        "Comment": last.and_then(|step| step["comment"].as_str()).unwrap_or_default(),
        "Created": config["created"],
        "DockerVersion": "",
        "Author": text("author"),
        "Architecture": text("architecture"),
        "Variant": config["variant"],
        "Os": text("os"),
        "Size": image.size,
        "GraphDriver": {
            "Data": {"LowerDir": lower.join(":"), "UpperDir": upper},
            "Name": "overlay2",
        },
        "RootFS": {
            "Type": "layers",
            "Layers": image.layers,
        },
        "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"},
        "Config": program(&config["config"]),
    })
}

/// Docker's keys in docker's order, then those of the image that docker shows only where they are set.
fn program(config: &Value) -> Value {
    let Some(stored) = config.as_object() else {
        return Value::Null;
    };
    let mut shown = json!({
        "Hostname": "",
        "Domainname": "",
        "User": config["User"].as_str().unwrap_or_default(),
        "AttachStdin": false,
        "AttachStdout": false,
        "AttachStderr": false,
        "ExposedPorts": config["ExposedPorts"],
        "Tty": false,
        "OpenStdin": false,
        "StdinOnce": false,
        "Env": config["Env"],
        "Cmd": config["Cmd"],
        "Image": "",
        "Volumes": config["Volumes"],
        "WorkingDir": config["WorkingDir"].as_str().unwrap_or_default(),
        "Entrypoint": config["Entrypoint"],
        "OnBuild": config["OnBuild"],
        "Labels": config["Labels"],
        "StopSignal": config["StopSignal"],
    });
    for key in ["Healthcheck", "Shell"] {
        if let Some(value) = stored.get(key) {
            shown[key] = value.clone();
        }
    }
    shown
}
