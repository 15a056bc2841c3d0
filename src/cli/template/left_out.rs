//! What docker's documents leave out where it is empty, and its templates know all the same: they see the structure that the
//! document was made of. Knows each by a key that all of its kind have.

use serde_json::{Value, json};

/// The key that tells the structure, the key that is missing, and what Go has in its place.
const LEFT_OUT: [(&str, &[&str], Zero); 17] = [
    // What no other engine has.
    ("SandboxKey", &["ClientAddressLost"], Zero::List),
    ("NetworkMode", &["HostPorts"], Zero::List),
    ("NetworkMode", &["Egress"], Zero::Text),
    ("ConfigOnly", &["Egress"], Zero::Text),
    ("ConfigOnly", &["NetworkDNSServers", "Routes"], Zero::List),
    ("OOMKilled", &["Health"], Zero::Nil),
    ("Destination", &["Name", "Driver"], Zero::Text),
    ("NetworkMode", &["Mounts"], Zero::List),
    ("NetworkMode", &["StorageOpt", "Annotations"], Zero::Map),
    ("WorkingDir", &["Healthcheck", "StopTimeout"], Zero::Nil),
    ("WorkingDir", &["StopSignal", "MacAddress"], Zero::Text),
    (
        "WorkingDir",
        &["ArgsEscaped", "NetworkDisabled"],
        Zero::False,
    ),
    ("WorkingDir", &["Shell"], Zero::List),
    (
        "RestartCount",
        &["SizeRw", "SizeRootFs", "ImageManifestDescriptor"],
        Zero::Nil,
    ),
    ("RepoTags", &["Variant", "OsVersion"], Zero::Text),
    (
        "Test",
        &[
            "Interval",
            "Timeout",
            "StartPeriod",
            "StartInterval",
            "Retries",
        ],
        Zero::Number,
    ),
    (
        "Mountpoint",
        &["Status", "UsageData", "ClusterVolume"],
        Zero::Nil,
    ),
];

#[derive(Clone, Copy)]
enum Zero {
    /// A pointer to nothing.
    Nil,
    Text,
    Number,
    False,
    List,
    Map,
}

/// What is null in docker's documents where it is empty, by the names that it has there: lists, and maps.
const LISTS: [&str; 22] = [
    "Aliases",
    "Binds",
    "CapAdd",
    "CapDrop",
    "Cmd",
    "Config",
    "DNSNames",
    "DeviceCgroupRules",
    "DeviceRequests",
    "Entrypoint",
    "Env",
    "ExecIDs",
    "ExtraHosts",
    "GroupAdd",
    "LinkLocalIPs",
    "Links",
    "OnBuild",
    "SecondaryIPAddresses",
    "SecondaryIPv6Addresses",
    "SecurityOpt",
    "Shell",
    "VolumesFrom",
];
const MAPS: [&str; 7] = [
    "DriverOpts",
    "ExposedPorts",
    "Labels",
    "Options",
    "PortBindings",
    "Sysctls",
    "Volumes",
];

/// How a template prints a null: as the empty list or map that it stands for.
pub fn printed_null(name: &str) -> &'static str {
    match name {
        name if LISTS.contains(&name) => "[]",
        name if MAPS.contains(&name) => "map[]",
        _ => "<nil>",
    }
}

/// What a template sees for a key that the map does not have; `None`: docker's structure has none of that name either.
pub fn zero(map: &serde_json::Map<String, Value>, name: &str) -> Option<Value> {
    let mut known = LEFT_OUT.iter();
    let (.., zero) = known.find(|(of, names, _)| names.contains(&name) && map.contains_key(*of))?;
    Some(match zero {
        Zero::Nil => Value::Null,
        Zero::Text => json!(""),
        Zero::Number => json!(0),
        Zero::False => json!(false),
        Zero::List => json!([]),
        Zero::Map => json!({}),
    })
}
