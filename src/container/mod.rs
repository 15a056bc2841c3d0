//! Container records on disk: id, name, config, status, lock; and the log of events. Never starts or signals a process.

mod config;
mod event;
mod event_log;
mod exit;
mod health;
mod id;
mod name;
mod namespaces;
mod record;
mod settings;
mod state;
mod store;

pub use config::{
    ContainerConfig, DeviceConfig, GroupConfig, HostConfig, MountConfig, NameConfig, ProcessConfig,
    UlimitConfig,
};
pub use event::{Event, EventKind};
pub use event_log::{EventLog, EventReader, EventWatch};
pub use exit::ExitRecord;
pub use health::{
    Health, HealthAction, HealthActionError, HealthCheck, HealthResult, HealthStatus,
};
pub use id::{ContainerId, ContainerIdError};
pub use name::{ContainerName, ContainerNameError};
pub use namespaces::{IpcMode, MapLine, NamespaceError, Namespaces, Sharing, UserMode};
pub use record::{Record, Status};
pub use settings::{RestartPolicy, RestartPolicyError, Settings, SettingsChange};
pub use state::{LockedRecord, RunState};
pub use store::{ContainerError, Containers, CreatorLock, Rubbish};
