//! The flags that `run` and `create` share, by topic, and what they mean together. Looks nothing up.

use std::path::Path;
use std::str::FromStr;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::error::{CliError, Kind};
use super::limit_flags::{DeviceLimitFlags, ResourceFlags};
use super::ui::Ui;
use crate::engine::request::CreateRequest;
use crate::sys::text;

mod devices;
mod health;
mod identity;
mod logging;
mod namespaces;
mod network;
mod process;
mod security;
mod storage;

pub use health::HealthFlags;
pub use logging::log_options;
pub use process::{environment, restart_policy};
pub use security::ulimits;

#[derive(Args, Debug)]
pub struct ContainerFlags {
    /// Image, then the program and its arguments (everything after IMAGE belongs to them)
    #[arg(required = true, trailing_var_arg = true, value_names = ["IMAGE", "COMMAND"], value_parser = any_bytes())]
    words: Vec<String>,

    #[command(flatten)]
    identity: identity::IdentityFlags,
    #[command(flatten)]
    process: process::ProcessFlags,
    #[command(flatten)]
    storage: storage::StorageFlags,
    #[command(flatten)]
    network: network::NetworkFlags,
    #[command(flatten)]
    logging: logging::LoggingFlags,
    #[command(flatten)]
    health: HealthFlags,
    #[command(flatten)]
    security: security::SecurityFlags,
    #[command(flatten)]
    resources: ResourceFlags,
    #[command(flatten)]
    device_limits: DeviceLimitFlags,
    #[command(flatten)]
    devices: devices::DeviceFlags,
    #[command(flatten)]
    namespaces: namespaces::NamespaceFlags,

    /// When to ask the registry: always, missing, never
    #[arg(long, value_name = "WHEN", default_value = "missing")]
    pull: String,
    /// Show no progress of a pull
    #[arg(short, long)]
    quiet: bool,
    /// Platform of the image (os/arch[/variant])
    #[arg(long)]
    platform: Option<String>,
    /// Remove the container that has the name already
    #[arg(long)]
    replace: bool,
    /// End the program after so many seconds (0: never)
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        hide_default_value = true
    )]
    timeout: u64,
    /// Start these containers first
    #[arg(long, value_name = "CONTAINER", value_delimiter = ',')]
    requires: Vec<String>,
    /// OCI runtime (only `bryo`, which is its own)
    #[arg(long, value_name = "RUNTIME")]
    runtime: Option<String>,
    /// Prepare the container for systemd (only `false`)
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "true", value_name = "WHEN")]
    systemd: Option<String>,
    /// Isolation technology (only `default` exists on Linux)
    #[arg(long, hide = true)]
    isolation: Option<String>,
    /// Skip image verification (without meaning since docker removed content trust)
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, value_name = "BOOL")]
    disable_content_trust: Option<Option<String>>,
}

/// docker's own notice.
pub const CONTENT_TRUST_NOTICE: &str = "Flag --disable-content-trust has been deprecated, support for docker content trust was removed";

impl ContainerFlags {
    /// The typed request, or docker's words for the first value that cannot be one.
    pub fn request(self, ui: &Ui) -> Result<CreateRequest, CliError> {
        if self.disable_content_trust.is_some() {
            ui.note(CONTENT_TRUST_NOTICE);
        }
        let isolation = self.isolation.as_deref();
        if let Some(other) = isolation.filter(|i| !matches!(*i, "" | "default")) {
            return Err(CliError::new(
                Kind::Failed,
                format!("invalid isolation {other:?}: only \"default\" exists on Linux"),
            ));
        }
        if let Some(other) = self.runtime.as_deref().filter(|name| *name != "bryo") {
            return Err(CliError::new(
                Kind::Failed,
                format!(
                    "unknown or invalid runtime name: {other}: bryo is its own runtime, and no other can be chosen"
                ),
            ));
        }
        if self.systemd.as_deref().is_some_and(|when| when != "false") {
            return Err(CliError::new(
                Kind::Unsupported,
                "--systemd: bryo prepares no container for systemd; --tmpfs and --stop-signal can",
            ));
        }
        let mut words = self.words.into_iter();
        let mut request = CreateRequest {
            image: words.next().unwrap_or_default(),
            command: words.collect(),
            pull: value("--pull", &self.pull)?,
            quiet_pull: self.quiet,
            platform: self.platform,
            health: self.health.parse()?,
            replace: self.replace,
            timeout: self.timeout,
            requires: self.requires,
            ..CreateRequest::default()
        };
        self.identity.apply(&mut request)?;
        self.process.apply(&mut request)?;
        self.storage.apply(&mut request)?;
        self.network.apply(&mut request, ui)?;
        self.logging.apply(&mut request)?;
        self.devices.apply(&mut request)?;
        self.security.apply(&mut request)?;
        self.namespaces.apply(&mut request, ui)?;
        request.limits = self.resources.limits()?;
        self.device_limits.add_to(&mut request.limits)?;
        Ok(request)
    }
}

/// A word of the command line that need be no UTF-8, as `sys::text` has it.
pub fn any_bytes() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new().map(|word| text::from_os(&word))
}

/// A flag's value as its type, or docker's words.
pub fn value<T>(flag: &str, text: &str) -> Result<T, CliError>
where
    T: FromStr,
    T::Err: std::error::Error + 'static,
{
    text.parse()
        .map_err(|error| CliError::argument(flag, text, &error))
}

fn read(flag: &str, path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path)
        .map_err(|error| CliError::usage(format!("{flag}: open {}: {error}", path.display())))
}
