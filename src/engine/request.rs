//! What may be asked of the engine, as plain typed data, and the parsers of the single values in it (docker's grammar).
//! Never opens the store, never prints; whether an image or container exists is for the verbs to find out.

mod attach;
mod cache;
mod change;
mod commit;
mod condition;
mod copy;
mod create;
mod device;
mod environment;
mod event;
mod expand;
mod filter;
mod git;
mod label;
mod limits;
mod mount;
mod network;
mod secret;
mod security;
mod signal;
mod sysctl;
mod time;
mod ulimit;
mod volume;

pub use attach::{AttachError, Stream};
pub use cache::{CacheFilters, CacheLimits, CachePrune};
pub use change::{ChangeError, ConfigChange, exposed_ports};
pub use commit::{CommitRequest, PauseChoice};
pub use condition::{Condition, ConditionError};
pub use copy::{CopyEnd, CopyError, CopyRequest, CopyWay};
pub use create::{
    CreateRequest, EnvironmentSources, NetworkMode, PullPolicy, RunRequest, UnknownNetwork,
    UnknownPull, capability_name,
};
pub use device::{DeviceError, DeviceRequest, parse_gpus};
pub use environment::{EnvError, Variable, parse_env_file, parse_variable};
pub use event::{EventFilters, EventsRequest};
pub use filter::{FilterError, ImageFilters, PruneFilters, PsFilters, Status};
pub use git::{GitSource, GitSourceError};
pub use label::{Label, LabelError, LabelFilters};
pub use limits::{
    Cpus, LimitsError, SwapSize, check_limits, device_operations, device_rate, device_weight,
    parse_set, whole_number,
};
pub use mount::{
    BindOptions, Mount, MountError, MountKind, Propagation, TmpfsOptions, VolumeOptions, clean,
    joined,
};
pub use network::{
    CreateNetworkRequest, EndpointError, NetworkChange, NetworkFilters, add_to_endpoint,
    has_fields, mac_bytes, parse_alias, parse_driver_option, parse_endpoint, parse_ipv4,
    parse_ipv6, parse_link, parse_link_local, parse_mac, parse_priority,
};
pub use secret::{CreateSecretRequest, SecretFilters, SecretFlagError, parse_secret};
pub use security::{SeccompChoice, SecurityError, SecurityOption};
pub use signal::{Signal, SignalError};
pub use sysctl::{Sysctl, SysctlError};
pub use time::{Moment, MomentError, go_duration, parse_go_duration};
pub use ulimit::{Limit, Resource, Ulimit, UlimitError};
pub use volume::{
    Backing, CreateVolumeRequest, VolumeFilters, VolumeOptionError, VolumesFrom, VolumesFromError,
};

use std::path::PathBuf;

use crate::config::DetachKeys;
use crate::image::{LayerForm, OneImage, Reference, SaveFormat};
use crate::monitor::Attach;
use crate::runtime::enter::ProgramChoice;

/// `start`: the named containers again, with what was written into them so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRequest {
    pub names: Vec<String>,
    /// Show its output and wait for its end; only with one name.
    pub attach: bool,
    pub interactive: bool,
    /// None: the configuration's.
    pub detach_keys: Option<DetachKeys>,
    pub sig_proxy: bool,
}

/// How long `stop` waits before it kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopTimeout {
    /// What the container says, else ten seconds.
    Default,
    Seconds(u32),
    Forever,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillRequest {
    pub names: Vec<String>,
    pub signal: Signal,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoveRequest {
    pub names: Vec<String>,
    /// Kill a running one first; a name that does not exist is no error.
    pub force: bool,
    /// Its anonymous volumes too.
    pub volumes: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogsRequest {
    pub names: Vec<String>,
    pub follow: bool,
    /// The last so many lines; None: all.
    pub tail: Option<u64>,
    pub since: Option<Moment>,
    pub until: Option<Moment>,
}

/// `exec`: one more program in a running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecRequest {
    pub program: ProgramChoice,
    /// Nothing: it runs in the background.
    pub attach: Attach,
    /// Rows and columns of the client's terminal.
    pub terminal_size: Option<(u16, u16)>,
}

/// `attach`: the streams of a running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachRequest {
    pub attach: Attach,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitRequest {
    pub names: Vec<String>,
    /// Any of them; none: docker's, that it does not run.
    pub conditions: Vec<Condition>,
    /// How often at least a condition is looked at.
    pub interval: std::time::Duration,
    /// A name that does not exist is no error.
    pub ignore: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PsRequest {
    /// Those that do not run, too.
    pub all: bool,
    /// The so many created last, whatever their status (`-l` is 1).
    pub last: Option<usize>,
    /// Sum up the sizes of the writable layers, which takes time.
    pub size: bool,
    pub filters: PsFilters,
}

/// What a name given to `inspect` may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    Container,
    Image,
    Volume,
    Network,
    Secret,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectRequest {
    pub names: Vec<String>,
    /// None: containers first, then images, volumes, networks, secrets.
    pub kind: Option<ObjectKind>,
    /// That images have to be of.
    pub platform: Option<String>,
    pub size: bool,
}

/// Where `load` and `import` read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Stdin,
    File(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadRequest {
    pub input: Input,
    /// In `Platform`'s own notation; the host's is preferred where absent.
    pub platform: Option<String>,
    /// Of a layout only this image, and without its names.
    pub only: Option<OneImage>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaveRequest {
    pub images: Vec<String>,
    /// None: standard output.
    pub output: Option<PathBuf>,
    /// An image for another one is an error.
    pub platform: Option<String>,
    pub format: SaveFormat,
    pub compress: bool,
    pub require_digest: bool,
    /// How layers are written; None: as they came, or uncompressed.
    pub form: Option<LayerForm>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ImportRequest {
    pub source: ImportSource,
    pub reference: Option<Reference>,
    pub message: Option<String>,
    /// The host's where absent.
    pub platform: Option<String>,
    pub changes: Vec<ConfigChange>,
}

/// Where the root filesystem of an `import` comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportSource {
    Archive(Input),
    /// Of http or https.
    Url(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRequest {
    /// Name, digest, full or short id.
    pub source: String,
    pub target: Reference,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListImagesRequest {
    /// Those without a name, too.
    pub all: bool,
    /// `debian`, `debian:12`, `quay.io/*`: the positional argument of `images`.
    pub pattern: Option<String>,
    pub filters: ImageFilters,
}
