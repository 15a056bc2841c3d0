//! Profiles as users write them: docker's format with its conditions, or the runtime specification's `linux.seccomp`.
//! Never lenient: a field that nobody knows could be the one that was meant to protect.

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompBuilder, LinuxSeccompFilterFlag, LinuxSeccompOperator, LinuxSyscall,
    LinuxSyscallBuilder,
};
use serde::Deserialize;

use super::super::capability::{Capability, CapabilitySet};
use super::{Machine, SeccompError};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Profile {
    default_action: LinuxSeccompAction,
    default_errno_ret: Option<u32>,
    architectures: Option<Vec<Arch>>,
    arch_map: Option<Vec<ArchMap>>,
    flags: Option<Vec<LinuxSeccompFilterFlag>>,
    /// Of `SCMP_ACT_NOTIFY`, which is refused where a rule uses it.
    #[serde(rename = "listenerPath")]
    _listener_path: Option<String>,
    #[serde(rename = "listenerMetadata")]
    _listener_metadata: Option<String>,
    syscalls: Option<Vec<Call>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ArchMap {
    architecture: Arch,
    sub_architectures: Option<Vec<Arch>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Call {
    /// The old form of `names`.
    name: Option<String>,
    names: Option<Vec<String>>,
    action: LinuxSeccompAction,
    errno_ret: Option<u32>,
    args: Option<Vec<Argument>>,
    #[serde(rename = "comment")]
    _comment: Option<String>,
    includes: Option<Condition>,
    excludes: Option<Condition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Argument {
    index: usize,
    value: u64,
    value_two: Option<u64>,
    op: LinuxSeccompOperator,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Condition {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// What docker's conditions are about.
struct Host {
    capabilities: CapabilitySet,
    machine: Machine,
    kernel: (u32, u32),
}

/// A profile with its conditions decided for a container with `capabilities` on this machine and kernel (major, minor).
pub fn parse(
    json: &[u8],
    capabilities: CapabilitySet,
    machine: Machine,
    kernel: (u32, u32),
) -> Result<LinuxSeccomp, SeccompError> {
    let profile: Profile =
        serde_json::from_slice(json).map_err(|source| SeccompError::Syntax { source })?;
    let host = Host {
        capabilities,
        machine,
        kernel,
    };
    let mut calls = Vec::new();
    for (rule, call) in profile.syscalls.into_iter().flatten().enumerate() {
        calls.extend(resolve(call, rule + 1, &host)?);
    }
    let mut builder = LinuxSeccompBuilder::default()
        .default_action(profile.default_action)
        .syscalls(calls);
    if let Some(errno) = profile.default_errno_ret {
        builder = builder.default_errno_ret(errno);
    }
    if let Some(flags) = profile.flags {
        builder = builder.flags(flags);
    }
    let architectures = match (profile.architectures, profile.arch_map) {
        (Some(listed), Some(map)) if !listed.is_empty() && !map.is_empty() => {
            return Err(SeccompError::TwoArchitectureLists);
        }
        (_, Some(map)) if !map.is_empty() => of_map(map, machine),
        (listed, _) => listed.unwrap_or_default(),
    };
    Ok(builder
        .architectures(architectures)
        .build()
        .expect("a profile has no required field"))
}

fn of_map(map: Vec<ArchMap>, machine: Machine) -> Vec<Arch> {
    let native = machine.arches()[0];
    let ours = map.into_iter().find(|entry| entry.architecture == native);
    let with_parts =
        |entry: ArchMap| [vec![native], entry.sub_architectures.unwrap_or_default()].concat();
    ours.map(with_parts).unwrap_or_default()
}

/// `None` for a rule whose conditions do not hold; `rule` counts from 1.
fn resolve(call: Call, rule: usize, host: &Host) -> Result<Option<LinuxSyscall>, SeccompError> {
    let names = match (call.name, call.names.filter(|names| !names.is_empty())) {
        (Some(name), None) => vec![name],
        (None, Some(names)) => names,
        _ => return Err(SeccompError::RuleName { rule }),
    };
    let excluded = applies(&call.excludes.unwrap_or_default(), rule, host, Any)?;
    let included = applies(&call.includes.unwrap_or_default(), rule, host, All)?;
    if excluded || !included {
        return Ok(None);
    }
    let mut arguments = Vec::new();
    for argument in call.args.into_iter().flatten() {
        if argument.index > 5 {
            let name = names.first().cloned().unwrap_or_default();
            return Err(SeccompError::ArgumentIndex {
                name,
                index: argument.index,
            });
        }
        arguments.push(oci_argument(&argument));
    }
    let mut builder = LinuxSyscallBuilder::default()
        .names(names)
        .action(call.action)
        .args(arguments);
    if let Some(errno) = call.errno_ret {
        builder = builder.errno_ret(errno);
    }
    Ok(Some(builder.build().expect("names and action are given")))
}

fn oci_argument(argument: &Argument) -> LinuxSeccompArg {
    let mut builder = LinuxSeccompArgBuilder::default()
        .index(argument.index)
        .value(argument.value)
        .op(argument.op);
    if let Some(second) = argument.value_two {
        builder = builder.value_two(second);
    }
    builder
        .build()
        .expect("index, value and operator are given")
}

/// An excluding condition applies when any part holds, an including one when all given parts do (of arches: one).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Any,
    All,
}
use Need::{All, Any};

fn applies(
    condition: &Condition,
    rule: usize,
    host: &Host,
    need: Need,
) -> Result<bool, SeccompError> {
    let mut parts = Vec::new();
    // A capability that nobody knows cannot be held.
    let held = |name: &String| {
        name.parse::<Capability>()
            .is_ok_and(|one| host.capabilities.contains(one))
    };
    for name in condition.caps.iter().flatten() {
        parts.push(held(name));
    }
    if let Some(arches) = condition
        .arches
        .as_ref()
        .filter(|arches| !arches.is_empty())
    {
        parts.push(arches.iter().any(|arch| arch == host.machine.go_name()));
    }
    if let Some(text) = &condition.min_kernel {
        let wrong = || SeccompError::KernelVersion {
            rule,
            text: text.clone(),
        };
        let (major, minor) = text.split_once('.').ok_or_else(wrong)?;
        let number = |part: &str| part.parse::<u32>().map_err(|_| wrong());
        parts.push(host.kernel >= (number(major)?, number(minor)?));
    }
    Ok(match need {
        Any => parts.contains(&true),
        All => !parts.contains(&false),
    })
}
