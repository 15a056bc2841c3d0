//! `info` and `system info`.

use serde_json::{Value, json};

use super::error::{CliError, Kind};
use super::{Invocation, info_host};
use crate::engine::EngineFacts;
use crate::runtime::cgroup::Place;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// `json` or a Go template
    #[arg(short, long)]
    format: Option<String>,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let facts = invocation.engine()?.facts();
    let facts = facts.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    match &args.format {
        Some(format) => invocation.formatted(format, &document(&facts))?,
        None => invocation.ui.result(&text(&facts))?,
    }
    Ok(0)
}

/// Docker's keys where there is such a thing, bryo's own beside them.
fn document(facts: &EngineFacts) -> Value {
    let system = nix::sys::utsname::uname().ok();
    let kernel = system.map(|system| system.release().to_string_lossy().into_owned());
    let settings: serde_json::Map<String, Value> = facts
        .settings
        .iter()
        .map(|entry| {
            let value = json!({"Value": entry.value, "Source": entry.source.to_string()});
            (entry.key.clone(), value)
        })
        .collect();
    let mut document = json!({
        "Containers": facts.containers,
        "ContainersRunning": facts.running,
        "ContainersPaused": facts.paused,
        "ContainersStopped": facts.stopped(),
        "Images": facts.images,
        "Driver": facts.storage.driver.name(),
        "DriverReason": facts.storage.reason,
        "Isolation": facts.isolation.name(),
        "IsolationReason": facts.isolation_reason,
        "DockerRootDir": facts.data,
        "CacheDir": facts.cache,
        "RuntimeDir": facts.runtime,
        "RuntimeDirReason": facts.runtime_fallback,
        "CgroupDriver": facts.cgroup.as_ref().map_or("none", Place::driver),
        "CgroupVersion": if facts.cgroup.is_ok() { "2" } else { "" },
        "CgroupParent": facts.cgroup.as_ref().ok().map(Place::directory),
        "CgroupReason": cgroup(facts),
        "CgroupControllers": facts.controllers,
        "MemoryLimit": facts.has_controller("memory"),
        "SwapLimit": facts.has_controller("memory"),
        "CpuCfsPeriod": facts.has_controller("cpu"),
        "CpuCfsQuota": facts.has_controller("cpu"),
        "CPUShares": facts.has_controller("cpu"),
        "CPUSet": facts.has_controller("cpuset"),
        "PidsLimit": facts.has_controller("pids"),
        "Ids": facts.ids,
        "Pasta": facts.pasta,
        "KernelVersion": kernel,
        "OSType": std::env::consts::OS,
        "Architecture": std::env::consts::ARCH,
        "NCPU": std::thread::available_parallelism().map_or(0, |count| count.get()),
        "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"],
        "ServerVersion": env!("CARGO_PKG_VERSION"),
        "Settings": settings,
    });
    if let Some(map) = document.as_object_mut() {
        map.extend(info_host::document(facts));
    }
    document
}

/// The choice and its reason.
fn cgroup(facts: &EngineFacts) -> String {
    match &facts.cgroup {
        Ok(place) => place.to_string(),
        Err(reason) => format!("containers get no cgroups: {reason}"),
    }
}

fn text(facts: &EngineFacts) -> String {
    let stopped = facts.stopped();
    let cgroup = cgroup(facts);
    let limits = match facts.controllers.as_slice() {
        [] => "none".to_owned(),
        controllers => controllers.join(" "),
    };
    let ids = match facts.ids {
        1 => {
            "1: no subordinate ids, so chown and setgroups have no effect in containers".to_owned()
        }
        ids => ids.to_string(),
    };
    let pasta = facts.pasta.as_ref();
    let pasta = pasta.map_or("not installed".to_owned(), |path| {
        path.display().to_string()
    });
    let mut runtime = facts.runtime.display().to_string();
    if let Some(reason) = &facts.runtime_fallback {
        runtime = format!("{runtime} ({reason})");
    }
    let mut isolation = facts.isolation.name().to_owned();
    if !facts.isolation_reason.is_empty() {
        isolation = format!("{isolation} ({})", facts.isolation_reason);
    }
    let mut text = format!(
        "Containers: {} ({} running, {} paused, {stopped} stopped)\nImages: {}\nStore: {}\nCache: {}\nRuntime directory: {runtime}\nStorage driver: {} ({})\nIsolation: {isolation}\nCgroup: {cgroup}\nLimits: {limits}\nIds: {ids}\npasta: {pasta}\nSettings:\n",
        facts.containers,
        facts.running,
        facts.paused,
        facts.images,
        facts.data.display(),
        facts.cache.display(),
        facts.storage.driver.name(),
        facts.storage.reason,
    );
    for entry in &facts.settings {
        text += &format!(" {} = {:?} ({})\n", entry.key, entry.value, entry.source);
    }
    text
}
