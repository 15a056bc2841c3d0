//! What `info` says of the machine and of the program itself, in docker's keys. Scripts ask for it by `--format`.

use serde_json::{Map, Value, json};

use crate::container::LogDriver;
use crate::engine::EngineFacts;

/// The keys, to be put beside those of the engine.
pub fn document(facts: &EngineFacts) -> Map<String, Value> {
    let system = nix::sys::utsname::uname().ok();
    let name = system.map(|system| system.nodename().to_string_lossy().into_owned());
    let release = Release::read();
    let setting = |key: &str| {
        let mut settings = facts.settings.iter();
        settings
            .find(|entry| entry.key == key)
            .map(|entry| entry.value.clone())
    };
    let level = setting("log-level").unwrap_or_default();
    let proxy = |names: [&str; 2]| {
        let mut set = names.iter().filter_map(|name| std::env::var(name).ok());
        set.next().unwrap_or_default()
    };
    let mut document = json!({
        "Name": name,
        "OperatingSystem": release.field("PRETTY_NAME").unwrap_or("Linux".to_owned()),
        "OSVersion": release.field("VERSION_ID").unwrap_or_default(),
        "MemTotal": memory(),
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

/// Bytes.
fn memory() -> u64 {
    let info = rustix::system::sysinfo();
    #[allow(clippy::useless_conversion)] // 32 bits on some processors
    let total = u64::from(info.totalram);
    total.saturating_mul(u64::from(info.mem_unit))
}

/// os-release(5).
struct Release(String);

impl Release {
    fn read() -> Release {
        let mut places = ["/etc/os-release", "/usr/lib/os-release"].iter();
        let text = places.find_map(|path| std::fs::read_to_string(path).ok());
        Release(text.unwrap_or_default())
    }

    fn field(&self, key: &str) -> Option<String> {
        let mut lines = self.0.lines();
        let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(value.trim_matches(['"', '\'']).to_owned())
    }
}
