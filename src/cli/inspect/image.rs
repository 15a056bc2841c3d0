//! An image as docker's `image inspect` shows it: the same keys, in the same order.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::image::Image;

pub fn document(image: &Image, layers: &Path) -> Value {
    let with = |digest: bool| -> Vec<String> {
        let names = image
            .names
            .iter()
            .filter(|name| name.digest().is_some() == digest);
        names.map(|name| name.familiar()).collect()
    };
    let config = &image.config;
    // topmost first, as overlay wants them
    let mut directories = image.layers.iter().rev().map(|layer| {
        layers
            .join(layer.as_str())
            .join("fs")
            .to_string_lossy()
            .into_owned()
    });
    let upper = directories.next().unwrap_or_default();
    let lower: Vec<String> = directories.collect();
    json!({
        "Id": image.id.to_string(),
        "RepoTags": with(false),
        "RepoDigests": with(true),
        "Parent": "",
        "Comment": config.history().as_ref().and_then(|h| h.last()).and_then(|h| h.comment().clone()).unwrap_or_default(),
        "Created": image.created,
        "DockerVersion": "",
        "Author": config.author().clone().unwrap_or_default(),
        "Architecture": config.architecture().to_string(),
        "Variant": config.variant().clone(),
        "Os": config.os().to_string(),
        "Size": image.size,
        "GraphDriver": {
            "Data": {"LowerDir": lower.join(":"), "UpperDir": upper},
            "Name": "overlay2",
        },
        "RootFS": {
            "Type": "layers",
            "Layers": config.rootfs().diff_ids(),
        },
        "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"},
        "Config": program(image),
    })
}

fn program(image: &Image) -> Value {
    let Some(config) = image.config.config() else {
        return Value::Null;
    };
    let set = |list: &Option<Vec<String>>| -> Value {
        let Some(list) = list else {
            return Value::Null;
        };
        let map: Map<String, Value> = list.iter().map(|key| (key.clone(), json!({}))).collect();
        map.into()
    };
    let labels = config.labels().as_ref().map(|labels| {
        let sorted: std::collections::BTreeMap<&String, &String> = labels.iter().collect();
        json!(sorted)
    });
    json!({
        "Hostname": "",
        "Domainname": "",
        "User": config.user().clone().unwrap_or_default(),
        "AttachStdin": false,
        "AttachStdout": false,
        "AttachStderr": false,
        "ExposedPorts": set(config.exposed_ports()),
        "Tty": false,
        "OpenStdin": false,
        "StdinOnce": false,
        "Env": config.env(),
        "Cmd": config.cmd(),
        "Image": "",
        "Volumes": set(config.volumes()),
        "WorkingDir": config.working_dir().clone().unwrap_or_default(),
        "Entrypoint": config.entrypoint(),
        "OnBuild": null,
        "Labels": labels,
        "StopSignal": config.stop_signal(),
    })
}
