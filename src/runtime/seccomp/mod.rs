//! Which system calls a container may make: docker's default profile or the user's, compiled to a BPF decision tree.
//! Never loads a filter (`sys::seccomp`).

mod compile;
mod json;
mod numbers;
mod profile;
#[cfg(test)]
#[path = "oracle_tests.rs"]
mod tests;
mod tree;

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag, LinuxSeccompOperator, Spec,
};

use super::capability::{CapabilitySet, ProcessCapabilities};
use super::spec::{SECCOMP_ANNOTATION, SECCOMP_DEFAULT};
use crate::sys::seccomp::{Instruction, flag};

pub use json::parse;

#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    #[error("seccomp profile: {source}")]
    Syntax {
        #[source]
        source: serde_json::Error,
    },
    #[error("seccomp profile: \"architectures\" and \"archMap\" exclude each other")]
    TwoArchitectureLists,
    #[error("seccomp profile: rule {rule} needs either \"name\" or \"names\"")]
    RuleName { rule: usize },
    #[error("seccomp profile: {text:?} in rule {rule} is no kernel version such as \"4.8\"")]
    KernelVersion { rule: usize, text: String },
    #[error(
        "seccomp profile: rule for {name} tests argument {index}, but system calls have arguments 0 to 5"
    )]
    ArgumentIndex { name: String, index: usize },
    #[error("seccomp profile: {action} needs a listener, which bryo does not offer")]
    Notify { action: LinuxSeccompAction },
    #[error("seccomp profile: its filter has {instructions} instructions, the kernel takes 4096")]
    TooLong { instructions: usize },
}

/// A filter ready for `sys::seccomp::load`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    pub instructions: Vec<Instruction>,
    pub flags: u32,
}

impl Program {
    /// For the way from monitor to init: flags, then instructions, little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.flags.to_le_bytes().to_vec();
        for instruction in &self.instructions {
            bytes.extend(instruction.code.to_le_bytes());
            bytes.extend([instruction.jump_true, instruction.jump_false]);
            bytes.extend(instruction.constant.to_le_bytes());
        }
        bytes
    }

    /// What `to_bytes` made; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Program> {
        let (flags, rest) = bytes.split_first_chunk::<4>()?;
        let (chunks, []) = rest.as_chunks::<8>() else {
            return None;
        };
        let instructions = chunks.iter().map(|chunk| Instruction {
            code: u16::from_le_bytes([chunk[0], chunk[1]]),
            jump_true: chunk[2],
            jump_false: chunk[3],
            constant: u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]),
        });
        Some(Program {
            instructions: instructions.collect(),
            flags: u32::from_le_bytes(*flags),
        })
    }
}

/// The machine whose kernel runs the filter; each also runs programs of its 32-bit ancestor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    X86_64,
    Aarch64,
}

impl Machine {
    pub const fn host() -> Machine {
        if cfg!(target_arch = "aarch64") {
            Machine::Aarch64
        } else {
            Machine::X86_64
        }
    }

    fn arches(self) -> &'static [Arch] {
        match self {
            Machine::X86_64 => &[Arch::ScmpArchX86_64, Arch::ScmpArchX86, Arch::ScmpArchX32],
            Machine::Aarch64 => &[Arch::ScmpArchAarch64, Arch::ScmpArchArm],
        }
    }

    /// Go's name of it, which docker's profiles use.
    fn go_name(self) -> &'static str {
        match self {
            Machine::X86_64 => "amd64",
            Machine::Aarch64 => "arm64",
        }
    }
}

/// What a filter says of one call: `SECCOMP_RET_*`.
pub(crate) mod action {
    pub const KILL_PROCESS: u32 = 0x8000_0000;
    pub const KILL_THREAD: u32 = 0;
    pub const TRAP: u32 = 0x0003_0000;
    pub const ERRNO: u32 = 0x0005_0000;
    pub const TRACE: u32 = 0x7ff0_0000;
    pub const LOG: u32 = 0x7ffc_0000;
    pub const ALLOW: u32 = 0x7fff_0000;
}

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// A test of one argument as a 64-bit number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Check {
    index: u8,
    operator: LinuxSeccompOperator,
    value: u64,
    /// Of a masked comparison: what is compared; `value` is the mask.
    second: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule<'a> {
    name: &'a str,
    /// All must hold; none: always.
    checks: Vec<Check>,
    action: u32,
}

/// A profile without names of foreign machines, conditions on capabilities and other things known before start.
///
/// Of several rules for one call the first whose checks hold decides, one without checks comes last whatever its place.
/// A call without a rule gets `default`; one newer than every call the profile names fails with ENOSYS as on an older
/// kernel, because programs know how to go on from that and not from EPERM (runc does the same).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Policy<'a> {
    default: u32,
    arches: Vec<Arch>,
    rules: Vec<Rule<'a>>,
    flags: u32,
}

/// The filter that a specification asks for; `None` when it asks for none. With `fake_chown` changing an owner succeeds without
/// effect: in a map of a single id it could only fail, and most installers take that for fatal.
pub fn program(
    spec: &Spec,
    machine: Machine,
    fake_chown: bool,
) -> Result<Option<Program>, SeccompError> {
    let wants_default = wants_default(spec);
    match own_profile(spec) {
        Some(profile) => compile(profile, machine, fake_chown).map(Some),
        None if wants_default => {
            let process = spec.process().as_ref();
            let capabilities = process.and_then(|process| process.capabilities().as_ref());
            let bounding = ProcessCapabilities::from_spec(capabilities, 0).bounding;
            default_program(bounding, machine, fake_chown).map(Some)
        }
        None if fake_chown => {
            let arches = machine.arches().to_vec();
            let open = Policy {
                default: action::ALLOW,
                arches,
                rules: Vec::new(),
                flags: flag::SPEC_ALLOW,
            };
            compile::program(&open, machine, fake_chown).map(Some)
        }
        None => Ok(None),
    }
}

/// Whether a specification asks for a filter at all.
pub fn confines(spec: &Spec) -> bool {
    own_profile(spec).is_some() || wants_default(spec)
}

/// A profile of the user's.
pub fn own_profile(spec: &Spec) -> Option<&LinuxSeccomp> {
    let linux = spec.linux().as_ref();
    linux.and_then(|linux| linux.seccomp().as_ref())
}

fn wants_default(spec: &Spec) -> bool {
    let annotations = spec.annotations().as_ref();
    annotations
        .and_then(|all| all.get(SECCOMP_ANNOTATION))
        .is_some_and(|it| it == SECCOMP_DEFAULT)
}

/// Docker's default profile for a container with these capabilities.
pub fn default_program(
    capabilities: CapabilitySet,
    machine: Machine,
    fake_chown: bool,
) -> Result<Program, SeccompError> {
    compile::program(&profile::policy(capabilities, machine), machine, fake_chown)
}

/// A profile of the runtime specification.
pub fn compile(
    profile: &LinuxSeccomp,
    machine: Machine,
    fake_chown: bool,
) -> Result<Program, SeccompError> {
    compile::program(&policy(profile, machine)?, machine, fake_chown)
}

fn policy(profile: &LinuxSeccomp, machine: Machine) -> Result<Policy<'_>, SeccompError> {
    let native = machine.arches()[0];
    let arches = profile.architectures().clone().unwrap_or_default();
    let mut arches: Vec<Arch> = arches
        .into_iter()
        .map(|arch| {
            if arch == Arch::ScmpArchNative {
                native
            } else {
                arch
            }
        })
        .collect();
    if !arches.contains(&native) {
        arches.push(native);
    }
    let mut rules = Vec::new();
    for call in profile.syscalls().iter().flatten() {
        let action = verdict(call.action(), call.errno_ret())?;
        let mut checks = Vec::new();
        for argument in call.args().iter().flatten() {
            let name = || call.names().first().cloned().unwrap_or_default();
            let index = u8::try_from(argument.index())
                .ok()
                .filter(|index| *index < 6);
            let index = index.ok_or_else(|| SeccompError::ArgumentIndex {
                name: name(),
                index: argument.index(),
            })?;
            let second = argument.value_two().unwrap_or(0);
            checks.push(Check {
                index,
                operator: argument.op(),
                value: argument.value(),
                second,
            });
        }
        for name in call.names() {
            if repeats_an_argument(&checks) {
                // As runc: several tests of one argument are alternatives.
                rules.extend(checks.iter().map(|check| Rule {
                    name,
                    checks: vec![*check],
                    action,
                }));
            } else {
                rules.push(Rule {
                    name,
                    checks: checks.clone(),
                    action,
                });
            }
        }
    }
    allow_execution_by_descriptor(&mut rules);
    Ok(Policy {
        default: verdict(profile.default_action(), profile.default_errno_ret())?,
        arches,
        rules,
        flags: flags(profile),
    })
}

/// The payload is started by a stub that has no path in the container, hence by execveat; a profile written for another engine may
/// name only execve. It gives nothing away: execve of /proc/self/fd/N does the same.
fn allow_execution_by_descriptor(rules: &mut Vec<Rule>) {
    let of = |name: &'static str| move |rule: &&Rule| rule.name == name;
    let by_path = rules
        .iter()
        .find(of("execve"))
        .filter(|rule| rule.checks.is_empty());
    if let (Some(action), None) = (
        by_path.map(|rule| rule.action),
        rules.iter().find(of("execveat")),
    ) {
        rules.push(Rule {
            name: "execveat",
            checks: Vec::new(),
            action,
        });
    }
}

fn repeats_an_argument(checks: &[Check]) -> bool {
    checks.iter().enumerate().any(|(at, check)| {
        checks[..at]
            .iter()
            .any(|before| before.index == check.index)
    })
}

fn verdict(wanted: LinuxSeccompAction, errno: Option<u32>) -> Result<u32, SeccompError> {
    let data = errno.unwrap_or(EPERM) & 0xffff;
    Ok(match wanted {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => {
            action::KILL_THREAD
        }
        LinuxSeccompAction::ScmpActKillProcess => action::KILL_PROCESS,
        LinuxSeccompAction::ScmpActTrap => action::TRAP,
        LinuxSeccompAction::ScmpActErrno => action::ERRNO | data,
        LinuxSeccompAction::ScmpActTrace => action::TRACE | data,
        LinuxSeccompAction::ScmpActLog => action::LOG,
        LinuxSeccompAction::ScmpActAllow => action::ALLOW,
        LinuxSeccompAction::ScmpActNotify => return Err(SeccompError::Notify { action: wanted }),
    })
}

/// Without flags of its own a profile gets runc's default: no slower speculation for the sake of a filter.
fn flags(profile: &LinuxSeccomp) -> u32 {
    let Some(flags) = profile.flags() else {
        return flag::SPEC_ALLOW;
    };
    flags.iter().fold(0, |bits, wanted| {
        bits | match wanted {
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => flag::LOG,
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => flag::TSYNC,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => flag::SPEC_ALLOW,
            // Only of a listener.
            _ => 0,
        }
    })
}
