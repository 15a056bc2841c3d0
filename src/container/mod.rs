//! Container records on disk: id, name, config, status, lock; and the log of events. Never starts or signals a process.

mod check;
mod config;
mod event;
mod event_log;
mod exit;
mod folder;
mod health;
mod id;
mod limits;
mod log;
pub mod mountpoints;
mod name;
mod names;
mod namespaces;
mod outline;
mod record;
mod secret;
mod settings;
mod state;
mod store;
mod volume;

pub use check::{BrokenRecord, RecordFault, RecordRepair, Records};
pub use config::{
    ContainerConfig, DeviceConfig, EndpointConfig, FileConfig, GroupConfig, HostConfig,
    MountConfig, NameConfig, ProcessConfig, SecretConfig, SecretPlace, UlimitConfig, VolumePlace,
    VolumeUse,
};
pub use event::{Event, EventKind};
pub use event_log::{EventLog, EventReader, EventWatch};
pub use exit::ExitRecord;
pub use folder::Folder;
pub use health::{
    Health, HealthAction, HealthActionError, HealthCheck, HealthResult, HealthStatus,
};
pub use id::{ContainerId, ContainerIdError};
pub use limits::{DeviceLimit, Limits};
pub use log::{
    LogAttributes, LogDriver, LogDriverError, LogOptionError, LogOptions, LogSettings, LogSource,
};
pub use name::{ContainerName, ContainerNameError};
pub use namespaces::{IpcMode, MapLine, NamespaceError, Namespaces, Sharing, UserMode};
pub use outline::Outline;
pub use record::{Record, Status};
pub use secret::{Secret, SecretError, SecretName, SecretNameError, SecretValue, Secrets};
pub use settings::{RestartPolicy, RestartPolicyError, Settings, SettingsChange};
pub use state::{HeldRest, LockedRecord, RunState};
pub use store::{ContainerError, Containers, CreatorLock, Rubbish};
pub use volume::{
    ANONYMOUS_LABEL, Volume, VolumeConfig, VolumeError, VolumeName, VolumeNameError, VolumeUsers,
    Volumes,
};
