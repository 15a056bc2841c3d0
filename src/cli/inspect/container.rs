//! A container as docker's `inspect` shows it: the same keys, in the same order.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::limits;
use super::networks;
use crate::cli::status;
use crate::container::{
    ContainerConfig, DeviceConfig, Health, HealthCheck, HealthResult, HostConfig, MountConfig,
    RestartPolicy, Settings, Sharing, Status,
};
use crate::engine::{self, ContainerSummary};
use crate::net::forward::Appearance;
use crate::net::ports::PortSpec;
use crate::runtime::isolation::Isolation;
use crate::sys::text;

/// docker's word for a moment that never came.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// What the container's record does not say itself.
pub struct Place<'a> {
    /// `…/layers`.
    pub layers: &'a Path,
    /// `…/volumes`.
    pub volumes: &'a Path,
}

pub fn document(container: &ContainerSummary, place: &Place<'_>) -> Value {
    let config = &container.config;
    let directory = &container.record.directory;
    let file = |name: &str| directory.join(name).to_string_lossy().into_owned();
    let arguments = config.arguments();
    let mut arguments = arguments.iter().map(|word| text::shown(word));
    let mut document = json!({
        "Id": container.record.id.as_str(),
        "Created": config.created,
        "Path": arguments.next().unwrap_or_default(),
        "Args": arguments.collect::<Vec<_>>(),
        "State": state(container),
        "Image": config.image_id,
        "ResolvConfPath": file("resolv.conf"),
        "HostnamePath": file("hostname"),
        "HostsPath": file("hosts"),
        "LogPath": log_path(container),
        "Name": format!("/{}", container.name),
        "RestartCount": container.record.last_run().map_or(0, |run| run.restarts),
        "Driver": driver(container),
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": null,
        "HostConfig": host_config(container),
        "GraphDriver": graph_driver(container, place),
        "Mounts": config.host.mounts.iter().map(|mount| mount_point(mount, place)).collect::<Vec<_>>(),
        "Config": program(config, &container.settings),
        "NetworkSettings": network(container),
    });
    if let (Some(size), Some(map)) = (container.size, document.as_object_mut()) {
        map.insert("SizeRw".to_owned(), size.own.into());
        map.insert("SizeRootFs".to_owned(), size.total.into());
    }
    document
}

fn state(container: &ContainerSummary) -> Value {
    let status = &container.status;
    let last = container.record.last_run();
    let begun = last.map_or_else(|| NEVER.to_owned(), |run| run.started);
    let oom_killed = match status {
        Status::Exited(exit) | Status::Restarting(_, exit) => exit.oom_killed,
        _ => false,
    };
    let (pid, code, error, started, finished) = match status {
        Status::Created => (0, 0, "", NEVER, NEVER),
        Status::Running(run) | Status::Paused(run) => {
            (run.init, 0, "", run.started.as_str(), NEVER)
        }
        Status::Restarting(run, exit) => (
            0,
            exit.code,
            exit.error.as_str(),
            run.started.as_str(),
            exit.finished.as_str(),
        ),
        Status::Exited(exit) => (
            0,
            exit.code,
            exit.error.as_str(),
            begun.as_str(),
            exit.finished.as_str(),
        ),
        Status::Killed(run) => (
            0,
            137,
            "the container's monitor was killed, and everything in the container with it",
            run.started.as_str(),
            NEVER,
        ),
    };
    let mut state = json!({
        "Status": status::state(status),
        "Running": status.is_running(),
        "Paused": matches!(status, Status::Paused(_)),
        "Restarting": matches!(status, Status::Restarting(..)),
        "OOMKilled": oom_killed,
        "Dead": false,
        "Pid": pid,
        "ExitCode": code,
        "Error": error,
        "StartedAt": started,
        "FinishedAt": finished,
    });
    if let (Some(health), Some(map)) = (&container.health, state.as_object_mut()) {
        map.insert("Health".to_owned(), self::health(health));
    }
    state
}

fn health(health: &Health) -> Value {
    let result = |one: &HealthResult| {
        json!({
            "Start": one.start,
            "End": one.end,
            "ExitCode": one.code,
            "Output": one.output,
        })
    };
    json!({
        "Status": health.status.name(),
        "FailingStreak": health.failing_streak,
        "Log": health.results.iter().map(result).collect::<Vec<_>>(),
    })
}

/// As docker writes it: in nanoseconds, and without what is zero.
fn health_check(check: &HealthCheck) -> Value {
    let nanoseconds = |time: Option<Duration>| time.map_or(0, |time| time.as_nanos() as u64);
    let numbers = [
        ("Interval", nanoseconds(check.interval)),
        ("Timeout", nanoseconds(check.timeout)),
        ("StartPeriod", nanoseconds(check.start_period)),
        ("StartInterval", nanoseconds(check.start_interval)),
        ("Retries", u64::from(check.retries.unwrap_or(0))),
    ];
    let mut shape = json!({ "Test": check.test });
    for (key, number) in numbers.into_iter().filter(|(_, number)| *number != 0) {
        shape[key] = json!(number);
    }
    shape
}

/// Empty where there is no file, as in docker.
fn log_path(container: &ContainerSummary) -> String {
    let log = &container.settings.log;
    match log.driver.has_file() {
        true => container.record.log(log).to_string_lossy().into_owned(),
        false => String::new(),
    }
}

fn restart_policy(policy: RestartPolicy) -> Value {
    let most = match policy {
        RestartPolicy::OnFailure { most } => most,
        _ => 0,
    };
    json!({"Name": policy.name(), "MaximumRetryCount": most})
}

fn host_config(container: &ContainerSummary) -> Value {
    let (config, settings) = (&container.config, &container.settings);
    let host = &config.host;
    let binds: Vec<String> = host.mounts.iter().filter_map(bind).collect();
    let tmpfs: Map<String, Value> = host
        .mounts
        .iter()
        .filter(|mount| mount.kind == "tmpfs")
        .map(|mount| (mount.target.clone(), mount.options.join(",").into()))
        .collect();
    let limit = |value: u64| i64::try_from(value).unwrap_or(-1);
    let ulimits: Vec<Value> = host
        .ulimits
        .iter()
        .map(|one| json!({"Name": one.name, "Hard": limit(one.hard), "Soft": limit(one.soft)}))
        .collect();
    let cgroup = match host.namespaces.cgroup {
        Sharing::Host => "host",
        _ => "private",
    };
    let [masked, read_only] = match host.privileged || host.open_system_paths {
        true => [Value::Null, Value::Null],
        false => engine::guarded_paths().map(Value::from),
    };
    let mut document = json!({
        "Binds": if binds.is_empty() { Value::Null } else { binds.into() },
        "ContainerIDFile": "",
        "LogConfig": {"Type": settings.log.driver.name(), "Config": settings.log.options},
        "NetworkMode": host.network,
        "PortBindings": bindings(config.ports(settings)),
        "RestartPolicy": restart_policy(settings.restart),
        "AutoRemove": host.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": list_or_null(&host.volumes_from),
        "Annotations": annotations(host),
        "CapAdd": list_or_null(&host.cap_add),
        "CapDrop": list_or_null(&host.cap_drop),
        "CgroupnsMode": cgroup,
        "CgroupParent": host.cgroup_parent.as_deref().unwrap_or_default(),
        "Devices": devices(host),
        "DeviceRequests": device_requests(host),
        "Dns": host.names.servers,
        "DnsOptions": host.names.options,
        "DnsSearch": host.names.search,
        "ExtraHosts": list_or_null(&host.names.extra_hosts),
        "GroupAdd": list_or_null(&groups(host)),
        "IpcMode": host.namespaces.ipc.to_string(),
        "Links": null,
        "OomScoreAdj": host.oom_score_adj.unwrap_or(0),
        "PidMode": host.namespaces.pid.to_string(),
        "Privileged": host.privileged,
        "PublishAllPorts": host.publish_all,
        "ReadonlyRootfs": host.read_only_root,
        "SecurityOpt": security(host),
        "Sysctls": host.sysctls,
        "Tmpfs": tmpfs,
        "UTSMode": host.namespaces.uts.to_string(),
        "UsernsMode": host.namespaces.user.to_string(),
        "ShmSize": host.shm_size,
        "Runtime": "bryo",
        "Isolation": isolation(container),
        "Init": host.init,
        "Ulimits": ulimits,
    });
    if let Some(map) = document.as_object_mut() {
        let changed = settings.limits.as_ref();
        map.extend(limits::document(changed.unwrap_or(&host.limits)));
        let others = [
            ("ConsoleSize", json!([0, 0])),
            ("Cgroup", json!("")),
            ("MaskedPaths", masked),
            ("ReadonlyPaths", read_only),
        ];
        map.extend(others.map(|(key, value)| (key.to_owned(), value)));
        if !host.host_ports.is_empty() {
            map.insert("HostPorts".to_owned(), json!(host.host_ports));
        }
        if let Some(egress) = settings.egress_or(host.egress.as_deref()) {
            map.insert("Egress".to_owned(), json!(egress));
        }
    }
    document
}

fn devices(host: &HostConfig) -> Vec<Value> {
    let device = |device: &DeviceConfig| {
        json!({
            "PathOnHost": device.source,
            "PathInContainer": device.target,
            "CgroupPermissions": "rwm",
        })
    };
    host.devices.iter().map(device).collect()
}

fn device_requests(host: &HostConfig) -> Value {
    match host.device_names.as_slice() {
        [] => Value::Null,
        names => json!([{
            "Driver": "cdi",
            "Count": 0,
            "DeviceIDs": names,
            "Capabilities": null,
            "Options": null,
        }]),
    }
}

fn groups(host: &HostConfig) -> Vec<String> {
    match host.groups.keep {
        true => vec!["keep-groups".to_owned()],
        false => host.groups.add.clone(),
    }
}

/// docker leaves the key out where there are none; templates take a null.
fn annotations(host: &HostConfig) -> Value {
    match host.annotations.is_empty() {
        true => Value::Null,
        false => json!(host.annotations),
    }
}

fn shown(texts: &[String]) -> Vec<String> {
    texts
        .iter()
        .map(|text| text::shown(text).into_owned())
        .collect()
}

fn list_or_null(list: &[String]) -> Value {
    match list {
        [] => Value::Null,
        list => list.into(),
    }
}

fn security(host: &HostConfig) -> Value {
    let mut options = host.unconfined.clone();
    if host.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    options.extend(
        host.seccomp
            .as_ref()
            .map(|profile| format!("seccomp={profile}")),
    );
    if host.open_system_paths {
        options.push("systempaths=unconfined".to_owned());
    }
    list_or_null(&options)
}

/// As `-v` says it; an anonymous volume is said by `Config.Volumes`.
fn bind(mount: &MountConfig) -> Option<String> {
    let source = match (&mount.volume, mount.kind.as_str()) {
        (Some(volume), _) if volume.anonymous => return None,
        (Some(volume), _) => &volume.name,
        (None, "bind") => &mount.source,
        _ => return None,
    };
    let mode = if mount.is_read_only() { ":ro" } else { "" };
    Some(format!("{source}:{}{mode}", mount.target))
}

fn mount_point(mount: &MountConfig, place: &Place<'_>) -> Value {
    if let Some(volume) = &mount.volume {
        return json!({
            "Type": "volume",
            "Name": volume.name,
            "Source": place.volumes.join(&volume.name).join("data").to_string_lossy(),
            "Destination": mount.target,
            "Driver": "local",
            "Mode": if mount.is_read_only() { "ro" } else { "" },
            "RW": !mount.is_read_only(),
            "Propagation": "",
        });
    }
    const PROPAGATIONS: [&str; 6] = [
        "private", "rprivate", "shared", "rshared", "slave", "rslave",
    ];
    let propagation = mount
        .options
        .iter()
        .find(|o| PROPAGATIONS.contains(&o.as_str()));
    json!({
        "Type": mount.kind,
        "Source": mount.source,
        "Destination": mount.target,
        "Mode": if mount.is_read_only() { "ro" } else { "" },
        "RW": !mount.is_read_only(),
        "Propagation": propagation.cloned().unwrap_or_default(),
    })
}

/// Of the last start; docker's word for the kernel's overlay, which is also what comes first.
fn driver(container: &ContainerSummary) -> String {
    match container.record.last_run() {
        Some(run) if run.driver != "overlay" && !run.driver.is_empty() => run.driver,
        _ => "overlay2".to_owned(),
    }
}

/// Of the last start; docker's for the usual one, which it has no word for.
fn isolation(container: &ContainerSummary) -> &'static str {
    match container.record.last_run() {
        Some(run) if run.confined => Isolation::Chroot.name(),
        _ => "",
    }
}

fn graph_driver(container: &ContainerSummary, place: &Place<'_>) -> Value {
    // overlay wants the topmost first, and so does docker show it
    let lower: Vec<String> = container
        .config
        .layers
        .iter()
        .rev()
        .map(|layer| {
            place
                .layers
                .join(layer)
                .join("fs")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    json!({
        "Data": {
            "ID": container.record.id.as_str(),
            "LowerDir": lower.join(":"),
            "MergedDir": container.record.path("merged").to_string_lossy(),
            "UpperDir": container.record.upper().to_string_lossy(),
            "WorkDir": container.record.path("work").to_string_lossy(),
        },
        "Name": driver(container),
    })
}

fn program(config: &ContainerConfig, settings: &Settings) -> Value {
    let process = &config.process;
    let attached = |stream: &str| process.attached.iter().any(|known| known == stream);
    let set = |list: &[String]| -> Map<String, Value> {
        // Docker sorts the keys of its sets.
        let keys: BTreeSet<&String> = list.iter().collect();
        keys.into_iter()
            .map(|key| (key.clone(), json!({})))
            .collect()
    };
    let mut program = json!({
        "Hostname": config.hostname,
        "Domainname": config.domainname,
        "User": process.user,
        "AttachStdin": attached("stdin"),
        "AttachStdout": attached("stdout"),
        "AttachStderr": attached("stderr"),
        "ExposedPorts": set(&process.exposed_ports),
        "Tty": process.tty,
        "OpenStdin": process.open_stdin,
        "StdinOnce": process.stdin_once(),
        "Env": shown(&process.env),
        "Cmd": list_or_null(&shown(&process.command)),
        "Image": config.image,
        "Volumes": set(&process.volumes),
        "WorkingDir": text::shown(&process.working_dir),
        "Entrypoint": list_or_null(&shown(&process.entrypoint)),
        "OnBuild": null,
        "Labels": config.labels,
        // Docker leaves it out where there is none, and has nothing for a template.
        "StopSignal": process.stop_signal.as_deref().unwrap_or_default(),
        "StopTimeout": process.stop_timeout,
    });
    if let (Some(check), Some(map)) = (&settings.health, program.as_object_mut()) {
        map.insert("Healthcheck".to_owned(), health_check(check));
    }
    program
}

/// What was asked for: `{"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}`.
fn bindings(ports: &[String]) -> Value {
    let specs = ports.iter().filter_map(|text| text.parse().ok());
    let expanded = specs.flat_map(|spec: PortSpec| spec.expand());
    by_port(expanded.map(|port| {
        let ip = port.host_ip.map(|ip| ip.to_string()).unwrap_or_default();
        let outside = port.host.map(|range| range.to_string()).unwrap_or_default();
        let inside = format!("{}/{}", port.container, port.protocol);
        (inside, ip, outside)
    }))
}

/// What the container's ports are now; one that is only exposed is `null`.
fn ports(container: &ContainerSummary) -> Value {
    if !container.status.is_running() {
        return json!({});
    }
    let published = container.ports.iter();
    let mut ports = by_port(published.map(|port| {
        let (ip, outside) = (port.host_ip.to_string(), port.host_port.to_string());
        (port.inside(), ip, outside)
    }));
    for text in &container.config.process.exposed_ports {
        let inside = match text.contains('/') {
            true => text.clone(),
            false => format!("{text}/tcp"),
        };
        if let Value::Object(ports) = &mut ports {
            ports.entry(inside).or_insert(Value::Null);
        }
    }
    ports
}

/// A map from the container's port, as in `80/tcp`, to the host's addresses and ports.
fn by_port(ports: impl Iterator<Item = (String, String, String)>) -> Value {
    let mut map: Map<String, Value> = Map::new();
    for (inside, ip, outside) in ports {
        let binding = json!({ "HostIp": ip, "HostPort": outside });
        if let Value::Array(list) = map.entry(inside).or_insert_with(|| json!([])) {
            list.push(binding);
        }
    }
    map.into()
}

/// What docker shows of a place in its `bridge` once more, from times when there was no other network.
const OF_BRIDGE: [&str; 8] = [
    "EndpointID",
    "Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "IPAddress",
    "IPPrefixLen",
    "IPv6Gateway",
    "MacAddress",
];

fn network(container: &ContainerSummary) -> Value {
    let networks = networks::document(container);
    let mut settings = json!({
        "Bridge": "",
        "SandboxID": "",
        "SandboxKey": "",
        "Ports": ports(container),
        "HairpinMode": false,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": null,
        "SecondaryIPv6Addresses": null,
    });
    for key in OF_BRIDGE {
        let nothing = match key.ends_with("Len") {
            true => json!(0),
            false => json!(""),
        };
        let place = networks.get("bridge").and_then(|place| place.get(key));
        settings[key] = place.cloned().unwrap_or(nothing);
    }
    settings["Networks"] = networks;
    // What docker's document has not.
    let lost = lost_clients(container);
    if !lost.is_empty() {
        settings["ClientAddressLost"] = lost.into();
    }
    settings
}

/// The published ports whose clients the container does not see as themselves; those of the host's loopback have no address that
/// could be one there.
fn lost_clients(container: &ContainerSummary) -> Vec<Value> {
    if !container.status.is_running() || !container.config.host.is_bridged() {
        return Vec::new();
    }
    let ports = container.ports.iter();
    let ports = ports.filter(|port| !port.host_ip.is_loopback());
    let lost =
        ports.filter_map(
            |port| match Appearance::of_clients(&container.endpoints, port.host_ip) {
                Appearance::Themselves => None,
                Appearance::Gateway(gateway) => Some(json!({
                    "Port": port.inside(),
                    "HostIp": port.host_ip,
                    "HostPort": port.host_port.to_string(),
                    "AppearsAs": gateway,
                })),
            },
        );
    lost.collect()
}
