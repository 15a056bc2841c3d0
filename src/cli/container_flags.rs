//! The flags that `run` and `create` share, and what they mean together. Reads the files they name; looks nothing else up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

use super::error::CliError;
use super::ui::Ui;
use crate::container::{LogDriver, LogDriverError};
use crate::engine::request::{
    CreateRequest, Label, Mount, NetworkMode, SeccompChoice, SecurityOption, Size, Sysctl, Ulimit,
    Variable, capability_name, duplicate_target, parse_env_file, parse_variable,
};
use crate::net::ports::PortSpec;

#[derive(Args, Debug)]
pub struct ContainerFlags {
    /// Image, then the program and its arguments (everything after IMAGE belongs to them)
    #[arg(required = true, trailing_var_arg = true, value_names = ["IMAGE", "COMMAND"])]
    words: Vec<String>,

    /// Name of the container
    #[arg(long)]
    name: Option<String>,
    /// Set a variable (KEY=VALUE), or hand on the host's (KEY)
    #[arg(short, long, value_name = "VARIABLE", allow_hyphen_values = true)]
    env: Vec<String>,
    /// Read variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// User and group, names or numbers (USER[:GROUP])
    #[arg(short, long)]
    user: Option<String>,
    /// Program to start instead of the image's entrypoint
    #[arg(long, value_name = "PROGRAM", allow_hyphen_values = true)]
    entrypoint: Option<String>,
    /// Host name of the container
    #[arg(short = 'h', long, value_name = "NAME")]
    hostname: Option<String>,
    /// Set a label (KEY=VALUE)
    #[arg(short, long, value_name = "LABEL")]
    label: Vec<String>,
    /// Read labels from a file
    #[arg(long, value_name = "FILE")]
    label_file: Vec<PathBuf>,
    /// Start an init that forwards signals and reaps processes
    #[arg(long)]
    init: bool,
    /// Bind a directory or file (SOURCE:TARGET[:OPTIONS])
    #[arg(short, long, value_name = "VOLUME")]
    volume: Vec<String>,
    /// Attach a mount (type=bind|tmpfs,source=...,target=...)
    #[arg(long, value_name = "MOUNT")]
    mount: Vec<String>,
    /// Mount a tmpfs (TARGET[:OPTIONS])
    #[arg(long, value_name = "TMPFS")]
    tmpfs: Vec<String>,
    /// Make the container's root filesystem read-only
    #[arg(long)]
    read_only: bool,
    /// When to ask the registry: always, missing, never
    #[arg(long, value_name = "WHEN", default_value = "missing")]
    pull: String,
    /// Show no progress of a pull
    #[arg(short, long)]
    quiet: bool,
    /// Write the container's id to a file
    #[arg(long, value_name = "FILE")]
    cidfile: Option<PathBuf>,
    /// Signal that stops the container
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
    /// Seconds between that signal and SIGKILL
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    stop_timeout: Option<String>,
    /// Add a capability
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Drop a capability
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// Take the container's guards away, as far as your own rights go
    #[arg(long)]
    privileged: bool,
    /// Security option (no-new-privileges, seccomp=FILE|unconfined, systempaths=unconfined)
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// Set a namespaced kernel parameter (NAME=VALUE)
    #[arg(long, value_name = "SYSCTL")]
    sysctl: Vec<String>,
    /// Set a resource limit (NAME=SOFT[:HARD])
    #[arg(long, value_name = "LIMIT")]
    ulimit: Vec<String>,
    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES")]
    shm_size: Option<String>,
    /// Platform of the image (os/arch[/variant])
    #[arg(long)]
    platform: Option<String>,
    /// Network of the container: none, host, pasta
    #[arg(long, visible_alias = "net", value_name = "NETWORK")]
    network: Vec<String>,
    /// Publish a port ([[IP:]HOST:]CONTAINER[/PROTOCOL])
    #[arg(short, long, value_name = "PORT")]
    publish: Vec<String>,
    /// Where the output is kept: json-file, k8s-file, journald, none, passthrough
    #[arg(long, value_name = "DRIVER")]
    log_driver: Option<String>,
    /// Option of the log driver (NAME=VALUE: max-size, max-file, path, tag, labels, env, ...)
    #[arg(long, value_name = "OPTION")]
    log_opt: Vec<String>,
    /// Give the program a terminal
    #[arg(short, long)]
    tty: bool,
    /// Keep standard input open
    #[arg(short, long)]
    interactive: bool,
    /// Remove the container when it ends
    #[arg(long)]
    rm: bool,
    /// Attach only these streams: stdin, stdout, stderr
    #[arg(short, long, value_name = "STREAM")]
    attach: Vec<String>,
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
        if let Some(other) = self
            .isolation
            .as_deref()
            .filter(|i| !matches!(*i, "" | "default"))
        {
            return Err(CliError::usage(format!(
                "invalid isolation {other:?}: only \"default\" exists on Linux"
            )));
        }
        let directory = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let mut words = self.words.into_iter();
        let image = words.next().unwrap_or_default();
        let stop_signal = self.stop_signal.as_deref();
        let network = match self.network.as_slice() {
            [] => NetworkMode::Default,
            [one] => NetworkMode::from_str(one)
                .map_err(|error| CliError::argument("--network", one, &error))?,
            _ => {
                return Err(CliError::usage(
                    "run --network: several networks: not yet supported by bryo",
                ));
            }
        };
        if network != NetworkMode::Default
            && network != NetworkMode::Pasta
            && !self.publish.is_empty()
        {
            ui.warning(&format!(
                "published ports are discarded when using {network} network mode"
            ));
        }
        Ok(CreateRequest {
            image,
            command: words.collect(),
            name: self.name,
            env: environment(&self.env_file, &self.env)?,
            workdir: self.workdir,
            user: self.user,
            entrypoint: self.entrypoint.map(|program| match program.as_str() {
                "" => Vec::new(),
                _ => vec![program],
            }),
            hostname: self.hostname,
            labels: labels(&self.label_file, &self.label)?,
            init: self.init,
            mounts: mounts(&self.volume, &self.mount, &self.tmpfs, &directory)?,
            read_only: self.read_only,
            pull: value("--pull", &self.pull)?,
            quiet_pull: self.quiet,
            cidfile: self.cidfile,
            stop_signal: stop_signal.map(|s| value("--stop-signal", s)).transpose()?,
            stop_timeout: self
                .stop_timeout
                .as_deref()
                .map(|text| value("--stop-timeout", text))
                .transpose()?,
            cap_add: self
                .cap_add
                .iter()
                .map(|name| capability_name(name))
                .collect(),
            cap_drop: self
                .cap_drop
                .iter()
                .map(|name| capability_name(name))
                .collect(),
            privileged: self.privileged,
            security: self
                .security_opt
                .iter()
                .map(|option| security(option))
                .collect::<Result<_, _>>()?,
            sysctls: sysctls(&self.sysctl)?,
            ulimits: ulimits(&self.ulimit)?,
            shm_size: shm_size(self.shm_size.as_deref())?,
            platform: self.platform,
            network,
            ports: ports(&self.publish)?,
            log_driver: log_driver(self.log_driver.as_deref())?,
            log_options: log_options(&self.log_opt, &directory)?,
            tty: self.tty,
            interactive: self.interactive,
            auto_remove: self.rm,
            attach: match self.attach.as_slice() {
                [] => None,
                streams => Some(
                    streams
                        .iter()
                        .map(|stream| value("-a, --attach", stream))
                        .collect::<Result<_, _>>()?,
                ),
            },
        })
    }
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

fn host(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn read(flag: &str, path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path)
        .map_err(|error| CliError::usage(format!("{flag}: open {}: {error}", path.display())))
}

fn environment(files: &[PathBuf], flags: &[String]) -> Result<Vec<Variable>, CliError> {
    let mut variables = Vec::new();
    for path in files {
        let bytes = read("--env-file", path)?;
        let parsed = parse_env_file(&bytes, host).map_err(|error| {
            CliError::usage(format!("invalid env file ({}): {error}", path.display()))
        })?;
        variables.extend(parsed);
    }
    for text in flags {
        let parsed = parse_variable(text, host);
        variables.push(parsed.map_err(|error| CliError::argument("-e, --env", text, &error))?);
    }
    Ok(variables)
}

fn labels(files: &[PathBuf], flags: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let mut labels = BTreeMap::new();
    for path in files {
        // labels take nothing from the host: a key alone has an empty value
        let bytes = read("--label-file", path)?;
        let parsed = parse_env_file(&bytes, |_| Some(String::new())).map_err(|error| {
            CliError::usage(format!("invalid label file ({}): {error}", path.display()))
        })?;
        labels.extend(
            parsed
                .into_iter()
                .map(|v| (v.name, v.value.unwrap_or_default())),
        );
    }
    for text in flags {
        let label: Label = value("-l, --label", text)?;
        labels.insert(label.key, label.value);
    }
    Ok(labels)
}

fn mounts(
    volumes: &[String],
    long: &[String],
    tmpfs: &[String],
    directory: &Path,
) -> Result<Vec<Mount>, CliError> {
    let mut mounts = Vec::new();
    for text in volumes {
        let mount = Mount::from_volume_flag(text, directory);
        mounts.push(mount.map_err(|error| CliError::usage(error.to_string()))?);
    }
    for text in long {
        let mount = Mount::from_mount_flag(text, directory);
        mounts.push(mount.map_err(|error| CliError::argument("--mount", text, &error))?);
    }
    for text in tmpfs {
        let mount = Mount::from_tmpfs_flag(text);
        mounts.push(mount.map_err(|error| CliError::argument("--tmpfs", text, &error))?);
    }
    duplicate_target(&mounts).map_err(|error| CliError::usage(error.to_string()))?;
    Ok(mounts)
}

/// Reads the profile that `seccomp=FILE` names; that it is JSON is checked here, what it says by the runtime.
fn security(text: &str) -> Result<SecurityOption, CliError> {
    let option = text
        .parse::<SecurityOption>()
        .map_err(|error| CliError::usage(error.to_string()))?;
    let SecurityOption::SeccompFile(path) = option else {
        return Ok(option);
    };
    let profile = std::fs::read_to_string(&path).map_err(|error| {
        CliError::usage(format!("opening seccomp profile ({path}) failed: {error}"))
    })?;
    serde_json::from_str::<serde::de::IgnoredAny>(&profile).map_err(|error| {
        CliError::usage(format!("reading seccomp profile ({path}) failed: {error}"))
    })?;
    Ok(SecurityOption::Seccomp(SeccompChoice::Profile(profile)))
}

/// What `-p` says, in its one canonical form.
fn ports(flags: &[String]) -> Result<Vec<String>, CliError> {
    let canonical = |text: &String| match text.parse::<PortSpec>() {
        Ok(spec) => Ok(spec.to_string()),
        Err(error) => Err(CliError::usage(error.to_string())),
    };
    flags.iter().map(canonical).collect()
}

/// docker takes an empty name for the default.
fn log_driver(text: Option<&str>) -> Result<Option<LogDriver>, CliError> {
    let named = text.filter(|text| !text.is_empty());
    let driver = named.map(str::parse).transpose();
    driver.map_err(|error: LogDriverError| CliError::usage(error.to_string()))
}

/// The last of a name counts. A path is the client's, whose directory the monitor does not know.
fn log_options(flags: &[String], directory: &Path) -> Result<BTreeMap<String, String>, CliError> {
    let mut options = BTreeMap::new();
    for text in flags {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let value = match name {
            "path" => directory.join(value).to_string_lossy().into_owned(),
            _ => value.to_owned(),
        };
        options.insert(name.to_owned(), value);
    }
    Ok(options)
}

fn sysctls(flags: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let mut sysctls = BTreeMap::new();
    for text in flags {
        let sysctl: Sysctl = value("--sysctl", text)?;
        sysctls.insert(sysctl.name, sysctl.value);
    }
    Ok(sysctls)
}

fn ulimits(flags: &[String]) -> Result<Vec<Ulimit>, CliError> {
    let mut ulimits: Vec<Ulimit> = Vec::new();
    for text in flags {
        let ulimit: Ulimit = value("--ulimit", text)?;
        ulimits.retain(|known| known.resource != ulimit.resource);
        ulimits.push(ulimit);
    }
    Ok(ulimits)
}

fn shm_size(text: Option<&str>) -> Result<Option<u64>, CliError> {
    let size = text
        .map(|text| value::<Size>("--shm-size", text))
        .transpose()?;
    // docker takes 0 for its own default
    Ok(size.map(|size| size.0).filter(|bytes| *bytes > 0))
}
