//! What the verbs can fail with: the subject, the source, and the commands that cure it.

use std::io;
use std::path::PathBuf;

use super::boot::BootError;
use super::bridged::EndpointRequestError;
use super::images::CarryError;
use super::networks::NetworkRequestError;
use super::request::{LimitsError, UnknownNetwork, VolumeOptionError};
use super::worker::RoleFailure;
use crate::container::{
    ContainerError, ContainerNameError, LogOptionError, Record, SecretError, SecretNameError,
    VolumeError, VolumeNameError,
};
use crate::image::{
    ArtifactError, ImageError, ListError, Platform, PlatformError, RemoveImageError, StoreError,
};
use crate::monitor::StartFailure;
use crate::net::egress::EgressError;
use crate::net::hosted::HostPortError;
use crate::net::hosts::ExtraHostError;
use crate::net::pasta::PastaError;
use crate::net::ports::PortSpecError;
use crate::net::record::NetworkError;
use crate::net::slirp::SlirpError;
use crate::registry::RegistryError;
use crate::runtime::cdi::CdiError;
use crate::runtime::cgroup::{NoCgroup, ParentError};
use crate::runtime::doctor::Finding;
use crate::runtime::home::HomeError;
use crate::runtime::isolation::FORBIDDEN;
use crate::runtime::limits::LimitError;
use crate::runtime::plan::PlanError;
use crate::runtime::seccomp::SeccompError;
use crate::runtime::spec::SpecError;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Store { source: Box<StoreError> },
    #[error(transparent)]
    Image(Box<ImageError>),
    #[error(transparent)]
    RemoveImage(Box<RemoveImageError>),
    #[error(transparent)]
    Artifact(Box<ArtifactError>),
    #[error(transparent)]
    Container(#[from] ContainerError),
    #[error(transparent)]
    ContainerName(#[from] ContainerNameError),
    #[error(transparent)]
    LogOption(#[from] LogOptionError),
    #[error("the '--log-driver passthrough' option cannot be used on a TTY")]
    PassthroughTerminal,
    #[error("failed to initialize logging driver: journald is not enabled on this host")]
    NoJournal,
    #[error("configured logging driver does not support reading")]
    UnreadableLog,
    #[error(
        "the logs of container {name} are in the journal, and journalctl, which reads it, {reason}"
    )]
    Journalctl { name: String, reason: String },
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error(transparent)]
    VolumeName(#[from] VolumeNameError),
    #[error(transparent)]
    VolumeOption(#[from] VolumeOptionError),
    #[error("the image declares a volume at {path:?}, which is its root directory")]
    ImageVolume { path: String },
    #[error("error looking up volume plugin {driver}: plugin {driver:?} not found")]
    VolumeDriver { driver: String },
    #[error("remove {name}: volume is in use - [{}]", users.join(", "))]
    VolumeInUse { name: String, users: Vec<String> },
    #[error("volume {name} is kept by its options, not in the store: nothing to {operation}")]
    VolumeElsewhere {
        name: String,
        operation: &'static str,
    },
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    SecretName(#[from] SecretNameError),
    #[error("secret {name} is in use by the following containers: {}", users.join(", "))]
    SecretInUse { name: String, users: Vec<String> },
    #[error("secret {name}: a variable can hold neither a NUL byte nor what is no UTF-8")]
    SecretVariable { name: String },
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Something failed because of the host; `doctor` says the same.
    #[error("{failure}: {}", finding.message())]
    Host {
        failure: Box<EngineError>,
        finding: Finding,
    },
    #[error(transparent)]
    Spec(#[from] SpecError),
    #[error("{what} is not possible here: {FORBIDDEN}")]
    Confined { what: String },
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Seccomp(#[from] SeccompError),
    #[error(transparent)]
    Boot(#[from] BootError),
    #[error(transparent)]
    Limits(#[from] LimitsError),
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error(
        "the log opt '{name}' of a container that was made does not change (max-size and max-file do)"
    )]
    FixedLogOption { name: String },
    #[error("unable to find user {name} on the host")]
    NoHostUser { name: String },
    #[error("{flag}: {reason}")]
    NoLimits {
        flag: std::borrow::Cow<'static, str>,
        reason: NoCgroup,
    },
    #[error("--cgroup-parent: {reason}")]
    CgroupParent { reason: ParentError },
    #[error(
        "range of CPUs is from 0.01 to {processors}.00, as there are only {processors} CPUs available"
    )]
    FewProcessors { processors: usize },
    #[error("Requested {what} are not available - requested {requested}, available: {available}")]
    NotInSet {
        what: &'static str,
        requested: String,
        available: String,
    },
    #[error("{flag}: {path} is no block device")]
    NoBlockDevice { flag: &'static str, path: String },
    #[error(transparent)]
    PortSpec(#[from] PortSpecError),
    #[error(transparent)]
    Pasta(#[from] PastaError),
    #[error(transparent)]
    Slirp(#[from] SlirpError),
    #[error(transparent)]
    NetworkMode(#[from] UnknownNetwork),
    #[error("network namespace {path}: {reason}")]
    NetworkFile { path: String, reason: String },
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(transparent)]
    NetworkRequest(#[from] NetworkRequestError),
    #[error(transparent)]
    EndpointRequest(#[from] EndpointRequestError),
    #[error(transparent)]
    Egress(#[from] EgressError),
    #[error(transparent)]
    HostPort(#[from] HostPortError),
    #[error(transparent)]
    Start(StartFailure),
    #[error(transparent)]
    Role(RoleFailure),
    #[error(transparent)]
    Registry(Box<RegistryError>),
    #[error(transparent)]
    ManifestList(#[from] ListError),
    #[error(transparent)]
    Carry(#[from] CarryError),
    #[error(transparent)]
    Platform(#[from] PlatformError),
    #[error("An image does not exist locally with the tag: {name}")]
    NotLocal { name: String },
    #[error(
        "image with reference {image} was found but does not provide the specified platform ({wanted})"
    )]
    OtherPlatform { image: String, wanted: Platform },
    #[error("{image} is an index: images of it are not removed one by one")]
    PartOfIndex { image: String },
    #[error("interrupted by signal {signal}")]
    Interrupted { signal: i32 },
    #[error("the {role} ended without a result (code {code})")]
    RoleDied { role: &'static str, code: i32 },
    #[error("{operation} {path}: {source}")]
    File {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{operation}: {source}")]
    System {
        operation: &'static str,
        source: io::Error,
    },
    #[error("bind source path does not exist: {path}")]
    NoBindSource { path: PathBuf },
    #[error(
        "cidfile {path} exists already: make sure the other container isn't running or delete it"
    )]
    CidFileExists { path: PathBuf },
    #[error("read the changes of container {name}: {source}")]
    Changes { name: String, source: io::Error },
    #[error("invalid output path: {path:?}: {reason}")]
    Output { path: PathBuf, reason: String },
    #[error("{failure}")]
    Command { failure: RoleFailure, code: i32 },
    #[error("the root of a stopped container whose layers fuse-overlayfs stacks can't be shown")]
    FuseAtRest,
    #[error("the root of an image can't be shown where fuse-overlayfs stacks the layers")]
    FuseImage,
    #[error("You cannot attach to a {state}")]
    Attach { state: NotAttachable },
    #[error("container {name} is removed when it ends: it cannot have a restart policy")]
    RestartOfRemoved { name: String },
    #[error("container {name} is not running")]
    NotRunning { name: String },
    #[error("cannot remove container \"{name}\": container is {state}")]
    RemoveRunning { name: String, state: NotRemovable },
    #[error("container {name} is running, refusing to clean up")]
    CleanUpRunning { name: String },
    #[error("container {name} has no terminal")]
    NoTerminal { name: String },
    #[error("the monitor of container {name} ended; everything in the container with it")]
    MonitorDied { name: String },
    #[error("the monitor of container {name} speaks protocol {theirs}, this bryo {ours}")]
    MonitorVersion {
        name: String,
        theirs: u32,
        ours: u32,
    },
    #[error("the monitor of container {name} does not answer")]
    Silent { name: String },
    #[error("container {name} is not paused")]
    NotPaused { name: String },
    #[error("container {name}: cannot start a paused container, try unpause instead")]
    StartPaused { name: String },
    #[error("container {name} is restarting, wait until it runs")]
    Restarting { name: String },
    /// In its monitor's words.
    #[error("container {name}: {message}")]
    Refused { name: String, message: String },
    #[error(transparent)]
    Cdi(#[from] CdiError),
    #[error("error gathering device information while adding custom device \"{path}\": {source}")]
    Device { path: String, source: io::Error },
    #[error("{message}")]
    Conflict { message: &'static str },
    #[error("cannot join the namespaces of a non running container: {name}")]
    JoinEnded { name: String },
    #[error("non-shareable IPC (hint: use IpcMode:shareable for the donor container): {name}")]
    IpcNotShareable { name: String },
    #[error(
        "--userns {mode} needs fuse-overlayfs to show the image's files under other ids: {reason}"
    )]
    NoShiftedIds { mode: String, reason: String },
    #[error("unknown time zone {zone}: the host has no such file below /usr/share/zoneinfo")]
    UnknownTimezone { zone: String },
    #[error(transparent)]
    ExtraHost(#[from] ExtraHostError),
    #[error(
        "{image} wants a network, and neither pasta nor slirp4netns, which connect it without root, is installed"
    )]
    NoNetworkHelper { image: String },
}

/// What a monitor is at with a container that is to be removed, with docker's advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRemovable {
    #[error("running: stop the container before removing or force remove")]
    Running,
    #[error("paused and must be unpaused first")]
    Paused,
    #[error("restarting: stop the container before removing or force remove")]
    Restarting,
}

/// Why nobody can take part in a container's streams now, with docker's advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAttachable {
    #[error("stopped container, start it first")]
    Stopped,
    #[error("paused container, unpause it first")]
    Paused,
    #[error("restarting container, wait until it is running")]
    Restarting,
}

impl EngineError {
    /// Commands to type, most useful first.
    pub fn hints(&self) -> Vec<String> {
        match self {
            EngineError::Role(failure) => failure.hints.clone(),
            EngineError::Registry(error) => error.hints(),
            EngineError::Start(StartFailure::Network { hints, .. }) => hints.clone(),
            EngineError::Start(StartFailure::NoTun) => PastaError::Tun.hints(),
            EngineError::Pasta(error) => error.hints(),
            EngineError::Slirp(error) => error.hints(),
            EngineError::Host { finding, .. } => finding
                .cure
                .iter()
                .cloned()
                .chain(["bryo doctor".to_owned()])
                .collect(),
            EngineError::Home(_)
            | EngineError::Limit(_)
            | EngineError::NoLimits { .. }
            | EngineError::CgroupParent {
                reason: ParentError::NoCgroup(_),
            } => vec!["bryo doctor".to_owned()],
            EngineError::Silent { name } | EngineError::RemoveRunning { name, .. } => {
                vec![format!("bryo rm -f {name}")]
            }
            EngineError::Confined { .. } => vec![
                "start the container around with --security-opt seccomp=unconfined".to_owned(),
                "bryo doctor".to_owned(),
            ],
            EngineError::NoJournal => vec!["use --log-driver json-file".to_owned()],
            EngineError::Cdi(CdiError::Unknown { name, .. }) if name.starts_with("nvidia.com/") => {
                vec!["nvidia-ctk cdi generate --output ~/.config/cdi/nvidia.yaml".to_owned()]
            }
            EngineError::JoinEnded { name } => vec![format!("bryo start {name}")],
            EngineError::NoShiftedIds { .. } => vec![
                "install the package fuse-overlayfs, and load the module: sudo modprobe fuse"
                    .to_owned(),
                "bryo doctor".to_owned(),
            ],
            EngineError::NoNetworkHelper { .. } => {
                vec![
                    "install the package passt".to_owned(),
                    "or use --network none, or --network host".to_owned(),
                ]
            }
            _ => Vec::new(),
        }
    }

    /// What is missing of a container that another command has removed meanwhile is the container.
    pub(super) fn or_removed(self, record: &Record) -> EngineError {
        match &self {
            EngineError::File { source, .. }
                if source.kind() == io::ErrorKind::NotFound && !record.directory.exists() =>
            {
                let name = record.id.short().to_owned();
                ContainerError::NotFound { name }.into()
            }
            _ => self,
        }
    }

    /// This host can't do what was asked for, whatever else is wrong.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            EngineError::Limit(_)
                | EngineError::NoLimits { .. }
                | EngineError::CgroupParent { .. }
                | EngineError::Confined { .. }
        )
    }

    /// Docker's exit code of `run`, `create` and `start`.
    pub fn exit_code(&self) -> i32 {
        match self {
            EngineError::Start(failure) => failure.exit_code(),
            EngineError::Command { code, .. } => *code,
            EngineError::Interrupted { signal } => 128 + signal,
            _ => 125,
        }
    }

    pub(super) fn file(
        operation: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(io::Error) -> EngineError {
        let path = path.to_owned();
        move |source| EngineError::File {
            operation,
            path,
            source,
        }
    }

    pub(super) fn system(operation: &'static str) -> impl FnOnce(io::Error) -> EngineError {
        move |source| EngineError::System { operation, source }
    }
}

impl From<StoreError> for EngineError {
    fn from(source: StoreError) -> EngineError {
        EngineError::Store {
            source: Box::new(source),
        }
    }
}

impl From<ImageError> for EngineError {
    fn from(source: ImageError) -> EngineError {
        EngineError::Image(Box::new(source))
    }
}

impl From<RemoveImageError> for EngineError {
    fn from(source: RemoveImageError) -> EngineError {
        EngineError::RemoveImage(Box::new(source))
    }
}
