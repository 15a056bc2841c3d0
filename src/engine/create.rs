//! `create`: an image and what the user asked for become a container's record.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use oci_spec::image::ImageConfiguration;

use super::namespaces::kept_user;
use super::network_orders::default_network;
use super::request::{
    CreateRequest, MountKind, NetworkMode, SeccompChoice, SecurityOption, Stream,
};
use super::{Engine, EngineError};
use crate::config::{Config, NetworkDefault};
use crate::container::{
    ContainerConfig, ContainerError, ContainerId, ContainerName, CreatorLock, EndpointConfig,
    HealthCheck, HostConfig, LogDriver, LogSettings, ProcessConfig, Record, Settings, Sharing,
    UlimitConfig,
};
use crate::image::{Digest, Healthcheck, Image, ImageError, is_builtin};
use crate::net::ports::PortSpec;
use crate::runtime::capability::{self, CapabilitySet};
use crate::runtime::defaults;
use crate::runtime::isolation::Isolation;
use crate::runtime::spec::SpecError;

pub(super) mod accounts;
mod environment;

/// What a container is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose<'a> {
    /// To be started by somebody, some time.
    Later,
    /// To be started by whoever makes it, who holds its lock until then.
    Now,
    /// The same, as a step of a build: on these directories below `layers/`, writing into one more.
    Step { below: &'a [String], layer: &'a str },
}

/// A container that was just made.
pub(super) struct Made {
    pub record: Record,
    pub known: Known,
    /// Without it, nobody is going to start it.
    pub lock: CreatorLock,
}

/// What has to be known of a container to start it.
pub(super) struct Known {
    pub config: ContainerConfig,
    pub settings: Settings,
    /// It has not run before.
    pub is_new: bool,
}

impl Engine {
    /// Makes the container of an image that is in the store.
    pub fn create(
        &self,
        request: &CreateRequest,
        image: &Image,
    ) -> Result<(Record, CreatorLock), EngineError> {
        let made = self.make(request, image, None, Purpose::Later)?;
        Ok((made.record, made.lock))
    }

    /// The same, with an id that was chosen before.
    pub(super) fn make(
        &self,
        request: &CreateRequest,
        image: &Image,
        id: Option<ContainerId>,
        purpose: Purpose<'_>,
    ) -> Result<Made, EngineError> {
        let name = request
            .name
            .as_deref()
            .map(str::parse::<ContainerName>)
            .transpose()?;
        check_process(request)?;
        tracing::debug!(image = request.image, id = %image.id, "create a container");
        self.limits(&request.limits)?;
        self.check_cgroup_parent(request.cgroup_parent.as_deref())?;
        self.containers.prepare()?;
        if let (true, Some(name)) = (request.replace, &name)
            && let Some(record) = self.containers.named(name)
        {
            self.remove(&record, true, true)?;
            self.empty_trash()?;
        }
        if let Some(zone) = &request.timezone {
            super::launch::zone_file(zone)?;
        }
        let id = id.map_or_else(ContainerId::random, Ok);
        let id = id.map_err(EngineError::system("make a container id"))?;
        self.check_secrets(&request.secrets)?;
        let defaults = ImageDefaults::of(&image.config);
        // Where nothing can be mounted a volume that an image declares is a directory of the container's.
        let declared: &[String] = match self.isolation() {
            Isolation::Namespaces => &defaults.volumes,
            Isolation::Chroot => &[],
        };
        let mut mounts = self.mounts(request, declared)?;
        let configs = std::mem::take(&mut mounts.configs);
        let only = match request.network {
            NetworkMode::Default => self.only_network(is_builtin(&image.config)),
            _ => None,
        };
        let default = self.config.network_default;
        let network = only.unwrap_or_else(|| network(&request.network, default, &image.config));
        let endpoints = endpoints(request, &network)?;
        self.check_endpoints(&endpoints)?;
        let (mut namespaces, network) = self.settle_namespaces(request, network)?;
        let proxies = environment::docker_proxies(self.docker_config().as_deref())?;
        let mut config = container_config(request, image, id, &network, &proxies)?;
        super::bridged::check_reach(&config.host)?;
        config.host.mounts = configs;
        config.host.endpoints = endpoints;
        if let (None, Some(user)) = (&request.user, kept_user(&namespaces)) {
            config.process.user = user;
        }
        let _ranges = self.allot_range(&mut namespaces, &config.process.user)?;
        config.host.namespaces = namespaces;
        (config.host.devices, config.host.device_names) = self.settle_devices(&request.devices)?;
        config.host.starts_at_once = purpose != Purpose::Later;
        if let Purpose::Step { below, layer } = purpose {
            config.layers = below.to_vec();
            config.host.step = Some(layer.to_owned());
        }
        self.check_isolation(&config)?;
        config.host.requires = self.required(&request.requires)?;
        let invented = name.is_none();
        let mut name = name.unwrap_or_else(|| self.containers.invent_name(&config.id));
        config.name = name.to_string();
        accounts::accounts(&config)?;
        let settings = settings(request, image, &self.config)?;
        let cidfile = request.cidfile.as_deref().map(CidFile::claim).transpose()?;
        let (record, lock) = loop {
            match self.record(&config, &settings, &name, &image.id) {
                // Another command has taken the name since it was free.
                Err(EngineError::Container(ContainerError::NameTaken { .. })) if invented => {
                    name = self.containers.invent_name(&config.id);
                    config.name = name.to_string();
                }
                other => break other?,
            }
        };
        // The record comes first: a volume that no record names would be nobody's after a crash. What is missing is made
        // when the container starts.
        for (volume, new) in &mounts.volumes {
            if let Err(error) = self.volumes.create(volume, new, !request.auto_remove) {
                self.containers.discard(&record, &config.name)?;
                return Err(error.into());
            }
        }
        if let Some(cidfile) = cidfile {
            cidfile.fill(&config.id)?;
        }
        Ok(Made {
            record,
            known: Known {
                config,
                settings,
                is_new: true,
            },
            lock,
        })
    }

    /// The full ids of the containers that are to be started before another.
    fn required(&self, names: &[String]) -> Result<Vec<String>, EngineError> {
        let find = |name: &String| Ok(self.find(name)?.id.to_string());
        names.iter().map(find).collect()
    }

    /// Another container of the same image and with the same settings; what was written into the first stays there.
    pub fn clone_container(
        &self,
        record: &Record,
        name: Option<&str>,
    ) -> Result<(Record, String), EngineError> {
        let _using = self.volumes.lock_shared()?;
        let mut config = self.config_of(record)?;
        let image = config.image_id.parse().map_err(|_| ImageError::Unknown {
            text: config.image.clone(),
        })?;
        let name = match name {
            Some(name) => name.parse()?,
            None => self
                .containers
                .free_name(&format!("{}-clone", self.containers.name_of(record)))?,
        };
        let id = ContainerId::random().map_err(EngineError::system("make a container id"))?;
        if config.hostname == config.id.short() {
            config.hostname = id.short().to_owned();
        }
        config.id = id;
        config.name = name.to_string();
        config.created = Timestamp::now().to_string();
        config.host.starts_at_once = false;
        let path = record.path("settings.json");
        let settings = record.settings();
        let settings = Settings {
            stopped: false,
            ..settings.map_err(EngineError::file("read", &path))?
        };
        let (clone, _made) = self.record(&config, &settings, &name, &image)?;
        Ok((clone, config.name))
    }

    /// From before the record is written to after it nobody may collect the image's layers.
    fn record(
        &self,
        config: &ContainerConfig,
        settings: &Settings,
        name: &ContainerName,
        image: &Digest,
    ) -> Result<(Record, CreatorLock), EngineError> {
        let store = self.images()?;
        let _using = store.lock_shared()?;
        // What a build uses has no name yet, and is kept by the build.
        let is_step = config.host.step.is_some();
        if !is_step && store.names()?.of_image(image).next().is_none() {
            return Err(ImageError::Unknown {
                text: config.image.clone(),
            }
            .into());
        }
        store.touch(image);
        let durable = !config.host.auto_remove;
        Ok(self.containers.create(config, settings, name, durable)?)
    }
}

/// `--cidfile`: claimed before the container is made, gone again if it could not be.
struct CidFile {
    path: PathBuf,
    file: Option<fs::File>,
}

impl CidFile {
    fn claim(path: &Path) -> Result<CidFile, EngineError> {
        let path = path.to_owned();
        let made = fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&path);
        match made {
            Ok(file) => Ok(CidFile {
                path,
                file: Some(file),
            }),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(EngineError::CidFileExists { path })
            }
            Err(error) => Err(EngineError::file("write", &path)(error)),
        }
    }

    fn fill(mut self, id: &ContainerId) -> Result<(), EngineError> {
        let mut file = self.file.take().expect("it is taken only here");
        let written = file.write_all(id.as_str().as_bytes());
        written.map_err(EngineError::file("write", &self.path))
    }
}

impl Drop for CidFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn container_config(
    request: &CreateRequest,
    image: &Image,
    id: ContainerId,
    network: &NetworkMode,
    proxies: &[(String, String)],
) -> Result<ContainerConfig, EngineError> {
    let defaults = ImageDefaults::of(&image.config);
    let mut labels = defaults.labels.clone();
    labels.extend(request.labels.clone());
    Ok(ContainerConfig {
        created: Timestamp::now().to_string(),
        image: request.image.clone(),
        image_id: image.id.to_string(),
        layers: image
            .layers
            .iter()
            .map(|layer| layer.as_str().to_owned())
            .collect(),
        hostname: hostname(request, &id, network),
        domainname: request.domainname.clone().unwrap_or_default(),
        labels: labels.into_iter().collect(),
        process: process_config(request, defaults, proxies),
        host: host_config(request, network)?,
        name: String::new(),
        id,
    })
}

fn settings(
    request: &CreateRequest,
    image: &Image,
    config: &Config,
) -> Result<Settings, EngineError> {
    let of_image = image.healthcheck.as_ref().map(health_check);
    let health = match (of_image, &request.health) {
        (Some(of_image), Some(flags)) => Some(of_image.with(flags)),
        (of_image, flags) => of_image.or_else(|| flags.clone()),
    };
    Ok(Settings {
        restart: request.restart,
        log: log_settings(request, config)?,
        health,
        ..Settings::default()
    })
}

fn health_check(of_image: &Healthcheck) -> HealthCheck {
    let time = |nanoseconds: u64| (nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds));
    HealthCheck {
        test: of_image.test.clone(),
        interval: time(of_image.interval),
        timeout: time(of_image.timeout),
        start_period: time(of_image.start_period),
        start_interval: time(of_image.start_interval),
        retries: Some(of_image.retries),
        on_failure: None,
    }
}

fn hostname(request: &CreateRequest, id: &ContainerId, network: &NetworkMode) -> String {
    let hosts = *network == NetworkMode::Host || request.namespaces.uts == Sharing::Host;
    match (&request.hostname, hosts) {
        (Some(name), _) => name.clone(),
        (None, true) => rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
        (None, false) => id.short().to_owned(),
    }
}

/// What the image says, emptied of options.
#[derive(Default)]
struct ImageDefaults {
    entrypoint: Vec<String>,
    command: Vec<String>,
    env: Vec<String>,
    user: String,
    working_dir: String,
    stop_signal: Option<String>,
    exposed_ports: Vec<String>,
    volumes: Vec<String>,
    labels: std::collections::HashMap<String, String>,
}

impl ImageDefaults {
    fn of(config: &ImageConfiguration) -> ImageDefaults {
        let Some(config) = config.config() else {
            return ImageDefaults::default();
        };
        ImageDefaults {
            entrypoint: config.entrypoint().clone().unwrap_or_default(),
            command: config.cmd().clone().unwrap_or_default(),
            env: config.env().clone().unwrap_or_default(),
            user: config.user().clone().unwrap_or_default(),
            working_dir: config.working_dir().clone().unwrap_or_default(),
            stop_signal: config.stop_signal().clone(),
            exposed_ports: config.exposed_ports().clone().unwrap_or_default(),
            volumes: config.volumes().clone().unwrap_or_default(),
            labels: config.labels().clone().unwrap_or_default(),
        }
    }
}

/// Docker's rule: another entrypoint drops the image's command.
fn process_config(
    request: &CreateRequest,
    image: ImageDefaults,
    proxies: &[(String, String)],
) -> ProcessConfig {
    let replaced = request.entrypoint.is_some();
    let command = match request.command.is_empty() {
        true if replaced => Vec::new(),
        true => image.command,
        false => request.command.clone(),
    };
    let (env, unset_env) = environment::environment(&image.env, request, proxies);
    let mut exposed_ports = image.exposed_ports;
    for port in &request.expose {
        if !exposed_ports.contains(port) {
            exposed_ports.push(port.clone());
        }
    }
    // What is published is exposed, too.
    let specs = request.ports.iter().filter_map(|text| text.parse().ok());
    for port in specs.flat_map(|spec: PortSpec| spec.expand()) {
        let inside = format!("{}/{}", port.container, port.protocol);
        if !exposed_ports.contains(&inside) {
            exposed_ports.push(inside);
        }
    }
    ProcessConfig {
        entrypoint: request.entrypoint.clone().unwrap_or(image.entrypoint),
        command,
        env,
        user: request.user.clone().unwrap_or(image.user),
        working_dir: request.workdir.clone().unwrap_or(image.working_dir),
        tty: request.tty,
        open_stdin: request.interactive,
        attached: attached(request),
        stop_signal: request.stop_signal.clone().or(image.stop_signal),
        stop_timeout: request.stop_timeout,
        exposed_ports,
        volumes: volume_paths(image.volumes, request),
        umask: request.umask,
        unset_env,
    }
}

/// What could never be started is not made either.
fn check_process(request: &CreateRequest) -> Result<(), SpecError> {
    capability::chosen(&request.cap_add, &request.cap_drop, CapabilitySet::NAMED)?;
    match request.workdir.as_deref().map(Path::new) {
        Some(cwd) if cwd.is_relative() && !cwd.as_os_str().is_empty() => {
            Err(SpecError::RelativeCwd { cwd: cwd.into() })
        }
        _ => Ok(()),
    }
}

/// What the image declares, and what `-v PATH` adds to it.
fn volume_paths(mut paths: Vec<String>, request: &CreateRequest) -> Vec<String> {
    for mount in &request.mounts {
        let unnamed = matches!(&mount.kind, MountKind::Volume(volume) if volume.name.is_none());
        if unnamed && !paths.contains(&mount.target) {
            paths.push(mount.target.clone());
        }
    }
    paths
}

/// Docker's: without `-a` the output, and the input where it is kept open.
fn attached(request: &CreateRequest) -> Vec<String> {
    let streams = request.attach.clone().unwrap_or_else(|| {
        let input = request.interactive.then_some(Stream::Stdin);
        input
            .into_iter()
            .chain([Stream::Stdout, Stream::Stderr])
            .collect()
    });
    streams.iter().map(ToString::to_string).collect()
}

fn host_config(request: &CreateRequest, network: &NetworkMode) -> Result<HostConfig, EngineError> {
    let limit = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
    let ulimits = request.ulimits.iter().map(|ulimit| UlimitConfig {
        name: ulimit.resource.name().to_owned(),
        soft: limit(ulimit.soft),
        hard: limit(ulimit.hard),
    });
    let mut host = HostConfig {
        network: network.to_string(),
        ports: request.ports.clone(),
        host_ports: request.host_ports.clone(),
        egress: request.egress.clone(),
        volumes_from: request
            .volumes_from
            .iter()
            .map(|from| from.text.clone())
            .collect(),
        secrets: request.secrets.clone(),
        files: request.files.clone(),
        read_only_root: request.read_only,
        cap_add: request.cap_add.clone(),
        cap_drop: request.cap_drop.clone(),
        privileged: request.privileged,
        sysctls: request.sysctls.clone(),
        ulimits: ulimits.collect(),
        limits: request.limits.clone(),
        cgroup_parent: request.cgroup_parent.clone(),
        shm_size: request.shm_size.unwrap_or(defaults::SHM_SIZE),
        init: request.init,
        auto_remove: request.auto_remove,
        annotations: request.annotations.clone(),
        groups: request.groups.clone(),
        names: request.names.clone(),
        publish_all: request.publish_all,
        oom_score_adj: request.oom_score_adj,
        timezone: request.timezone.clone(),
        timeout: request.timeout,
        host_users: request.host_users.clone(),
        account: request.account,
        ..HostConfig::default()
    };
    for option in &request.security {
        match option {
            SecurityOption::NoNewPrivileges(on) => host.no_new_privileges = *on,
            SecurityOption::OpenSystemPaths => host.open_system_paths = true,
            SecurityOption::Unconfined(words) => host.unconfined.push(words.clone()),
            SecurityOption::Seccomp(SeccompChoice::Default) => host.seccomp = None,
            SecurityOption::Seccomp(SeccompChoice::Unconfined) => {
                host.seccomp = Some("unconfined".to_owned())
            }
            SecurityOption::Seccomp(SeccompChoice::Profile(text)) => {
                host.seccomp = Some(text.clone())
            }
            SecurityOption::SeccompFile(path) => host.seccomp = Some(read_profile(path)?),
        }
    }
    Ok(host)
}

/// What was said, else what the configuration says. What bryo does anyway is not written down, so that a container without
/// flags needs no settings of its own.
fn log_settings(request: &CreateRequest, config: &Config) -> Result<LogSettings, EngineError> {
    let mut log = LogSettings {
        driver: request.log_driver.unwrap_or(config.log_driver.into()),
        options: request.log_options.clone(),
    };
    if log.driver == LogDriver::Passthrough && request.tty {
        return Err(EngineError::PassthroughTerminal);
    }
    if log.driver.has_file() {
        let built_in = Config::default();
        if config.log_max_size != built_in.log_max_size {
            let size = config.log_max_size.to_string();
            log.options.entry("max-size".to_owned()).or_insert(size);
        }
        if config.log_max_file != built_in.log_max_file {
            let files = config.log_max_file.0.to_string();
            log.options.entry("max-file".to_owned()).or_insert(files);
        }
    }
    log.options()?;
    Ok(log)
}

/// What was said, else what the configuration says and the host can do; the embedded image needs nothing.
fn network(
    asked: &NetworkMode,
    default: NetworkDefault,
    image: &ImageConfiguration,
) -> NetworkMode {
    match asked {
        NetworkMode::Default if is_builtin(image) => NetworkMode::None,
        NetworkMode::Default => default_network(default),
        asked => asked.clone(),
    }
}

/// The container's places in networks that it shares, where the default one may be of that kind.
fn endpoints(
    request: &CreateRequest,
    network: &NetworkMode,
) -> Result<Vec<EndpointConfig>, EngineError> {
    let mut endpoints = request.endpoints.clone();
    match (&request.network, network) {
        (NetworkMode::Default, NetworkMode::Named(name)) => {
            if endpoints.is_empty() {
                endpoints.push(EndpointConfig::default());
            }
            endpoints[0].network.clone_from(name);
            Ok(endpoints)
        }
        (_, NetworkMode::Named(_)) => Ok(endpoints),
        _ if endpoints.is_empty() => Ok(endpoints),
        _ => Err(EngineError::Conflict {
            message: "conflicting options: addresses, names and links are of a network that containers share: --network NAME",
        }),
    }
}

fn read_profile(path: &str) -> Result<String, EngineError> {
    let path = std::path::Path::new(path);
    fs::read_to_string(path).map_err(EngineError::file("read the seccomp profile", path))
}
