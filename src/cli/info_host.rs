//! What `info` says of the machine and of the program itself, in docker's keys. Scripts ask for it by `--format`.

use serde_json::{Map, Value, json};

use crate::container::LogDriver;
use crate::engine::EngineFacts;
use crate::image::release_field;
use crate::sys::procfs;

/// The keys, to be put beside those of the engine.
pub fn document(facts: &EngineFacts) -> Map<String, Value> {
    let system = nix::sys::utsname::uname().ok();
    let name = system.map(|system| system.nodename().to_string_lossy().into_owned());
    let release = release();
    let system = match release_field(&release, "PRETTY_NAME") {
        name if name.is_empty() => "Linux".to_owned(),
        name => name,
    };
    let setting = |key: &str| {
        let mut settings = facts.settings.iter();
        settings
            .find(|entry| entry.key == key)
            .map(|entry| entry.value.clone())
    };
    let level = setting("log-level").unwrap_or_default();
    let mut document = json!({
        "Name": name,
        "OperatingSystem": system,
        "OSVersion": release_field(&release, "VERSION_ID"),
        "MemTotal": procfs::total_memory().unwrap_or_default(),
        "SystemTime": jiff::Timestamp::now().to_string(),
        "LoggingDriver": setting("log.driver").unwrap_or_default(),
        "Debug": matches!(level.as_str(), "debug" | "trace"),
        "HttpProxy": proxy(["HTTP_PROXY", "http_proxy"]),
        "HttpsProxy": proxy(["HTTPS_PROXY", "https_proxy"]),
        "NoProxy": proxy(["NO_PROXY", "no_proxy"]),
        "DefaultRuntime": "bryo",
        "Runtimes": {"bryo": {"path": std::env::current_exe().ok()}},
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "null"],
            "Authorization": null,
            "Log": LogDriver::ALL.map(LogDriver::name),
        },
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": false,
            "Error": "",
            "RemoteManagers": null,
        },
        "OomKillDisable": false,
        "LiveRestoreEnabled": true,
        "ExperimentalBuild": false,
        "Labels": [],
        "Warnings": warnings(facts),
    });
    document
        .as_object_mut()
        .map(std::mem::take)
        .unwrap_or_default()
}

/// What cannot be limited here, in docker's words.
fn warnings(facts: &EngineFacts) -> Vec<String> {
    let limits = [
        ("memory", "No memory limit support"),
        ("cpu", "No cpu cfs quota support"),
        ("cpuset", "No cpuset support"),
        ("pids", "No pids limit support"),
        ("io", "No blkio weight support"),
    ];
    let missing = limits
        .iter()
        .filter(|(controller, _)| !facts.has_controller(controller));
    missing
        .map(|(_, words)| format!("WARNING: {words}"))
        .collect()
}

/// Of a variable of the environment; who may use the proxy is nobody's business.
fn proxy(names: [&str; 2]) -> String {
    let mut set = names.iter().filter_map(|name| std::env::var(name).ok());
    let text = set.next().unwrap_or_default();
    let Ok(mut address) = url::Url::parse(&text) else {
        return text;
    };
    if address.username().is_empty() && address.password().is_none() {
        return text;
    }
    // Docker's word for both.
    let hidden = address.set_username("xxxxx");
    match hidden.and_then(|()| address.set_password(Some("xxxxx"))) {
        Ok(()) => address.to_string(),
        Err(()) => String::new(),
    }
}

/// os-release(5).
fn release() -> String {
    let mut places = ["/etc/os-release", "/usr/lib/os-release"].iter();
    let text = places.find_map(|path| std::fs::read_to_string(path).ok());
    text.unwrap_or_default()
}
