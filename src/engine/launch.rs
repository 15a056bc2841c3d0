//! From a container's record to everything its monitor needs to start it.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use oci_spec::runtime::{
    Hook, HookBuilder, HooksBuilder, Mount, MountBuilder, PosixRlimit, PosixRlimitBuilder, Spec,
    SpecBuilder,
};

use super::call::Called;
use super::create::{Known, accounts};
use super::namespaces::Settled;
use super::network_orders::network_mode;
use super::request::NetworkMode;
use super::{Engine, EngineError, limits};
use crate::container::{
    ContainerConfig, MountConfig, NameConfig, Record, Settings, UlimitConfig, mountpoints,
};
use crate::image::WORK;
use crate::net::hosts::{self, ExtraHost, HostsFile};
use crate::net::pasta;
use crate::net::resolver::{self, Overrides, Reach, Resolver};
use crate::net::route::HostRoutes;
use crate::runtime::cgroup::{Place, Wanted};
use crate::runtime::execute::Launch;
use crate::runtime::isolation::Isolation;
use crate::runtime::plan::{self, BindExtras, BindMount, SetupStep};
use crate::runtime::rootfs::{Driver, Rootfs, old_overlay};
use crate::runtime::seccomp::{self, Machine};
use crate::runtime::spec::{self, ContainerParameters, SeccompChoice};
use crate::runtime::{cdi, defaults, doctor};
use crate::sys::{disk, namespace};

/// An image of so many layers gets none more: kernels without `lowerdir+` have an end to them.
pub(super) const CROWDED: usize = 100;

/// A launch, and whether its name service needs pasta's help.
pub struct Prepared {
    pub launch: Launch,
    pub dns_forward: bool,
    pub cgroup: Wanted,
}

impl Engine {
    /// Writes the container's own /etc files and makes its specification, plan and filter.
    pub(super) fn prepare(
        &self,
        record: &Record,
        known: &Known,
        called: Option<&Called>,
    ) -> Result<Prepared, EngineError> {
        let Known {
            config, settings, ..
        } = known;
        self.check_isolation(config)?;
        let settled = self.namespaces_of(config)?;
        let single_id = match called {
            Some(called) => called.single_id,
            None => self.with_home(|home| home.has_single_id()),
        };
        let lender = self.lender(config)?;
        let dns_forward = match &lender {
            Some((lender, _)) => borrow_network_files(record, lender).map(|()| false)?,
            None => write_network_files(record, config)?,
        };
        let (mounts, binds) = self.launch_mounts(record, config)?;
        let (secrets, variables) = self.launch_secrets(config)?;
        let mut parameters = parameters(config, &settled, single_id, self.isolation())?;
        parameters.env.extend(variables);
        parameters.mounts = mounts.iter().map(mount).collect();
        if let Some((_, lender)) = lender {
            parameters.hostname = lender.hostname;
            parameters.domainname = Some(lender.domainname).filter(|name| !name.is_empty());
        }
        parameters
            .mounts
            .extend(network_file_mounts(record, config.host.read_only_root));
        let zone = config.host.timezone.as_deref();
        parameters.mounts.extend(zone.map(timezone).transpose()?);
        let devices = self.devices(&config.host)?;
        parameters.mounts.extend(devices.mounts.iter().map(mount));
        parameters.env.extend(devices.env);
        let mut spec = spec::spec(&parameters)?;
        let hook_state = match devices.hooks.is_empty() {
            true => String::new(),
            false => add_hooks(&mut spec, record, &devices.hooks)?,
        };
        let extras = plan::Extras {
            binds,
            secrets,
            accounts: accounts::accounts(config)?,
            nested: doctor::surroundings().is_some(),
        };
        let launch = Launch {
            steps: plan::plan(&spec, &extras)?,
            extras,
            fake_chown: single_id,
            rootfs: match known.is_new {
                true => self.rootfs_after(record, config, None),
                false => self.rootfs(record, config),
            },
            user: settled.user,
            joins: settled.joins,
            network_file: network_file(config)?,
            init: config.host.init,
            added_groups: [config.host.groups.add.clone(), devices.groups].concat(),
            hook_state,
            keep_groups: config.host.groups.keep,
            cgroup: None,
            spec,
        };
        // The built-in profile compiles; the user's may not, and is better refused before there is a monitor.
        if seccomp::own_profile(&launch.spec).is_some() {
            launch.filter()?;
        }
        Ok(Prepared {
            cgroup: self.cgroup(config, settings, called)?,
            launch,
            dns_forward,
        })
    }

    fn cgroup(
        &self,
        config: &ContainerConfig,
        settings: &Settings,
        called: Option<&Called>,
    ) -> Result<Wanted, EngineError> {
        let place = called.map_or_else(Place::find, |called| called.place.clone());
        Ok(Wanted {
            parent: limits::cgroup_parent(config.host.cgroup_parent.as_deref(), &place)?,
            place,
            failure: None,
            limits: self.limits(settings.limits.as_ref().unwrap_or(&config.host.limits))?,
        })
    }

    /// What is bound below the root of a container that does not run: its binds and volumes, and its own /etc files.
    pub(super) fn binds_at_rest(
        &self,
        record: &Record,
        config: &ContainerConfig,
    ) -> Result<Vec<BindMount>, EngineError> {
        let (mounts, extras) = self.launch_mounts(record, config)?;
        let binds = mounts.iter().filter(|mount| mount.kind == "bind");
        let mut mounts: Vec<Mount> = binds.map(mount).collect();
        // One that never ran has none of these yet.
        if record.path(NETWORK_FILES[0]).exists() {
            mounts.extend(network_file_mounts(record, config.host.read_only_root));
        }
        // Filling and giving away are for a start.
        let binds = extras.into_iter().map(|extra| BindExtras {
            fill: None,
            chown: false,
            ..extra
        });
        let extras = plan::Extras {
            binds: binds.collect(),
            ..plan::Extras::default()
        };
        let spec = SpecBuilder::default().mounts(mounts).build();
        let spec = spec.expect("a specification has no required field");
        let binds = plan::plan(&spec, &extras)?
            .into_iter()
            .filter_map(|step| match step {
                SetupStep::Bind(bind) => Some(bind),
                _ => None,
            });
        Ok(binds.collect())
    }

    /// The container whose network this one has: its names are this one's, as in docker.
    fn lender(
        &self,
        config: &ContainerConfig,
    ) -> Result<Option<(Record, ContainerConfig)>, EngineError> {
        let Some(id) = config.host.network.strip_prefix("container:") else {
            return Ok(None);
        };
        let record = self.find(id)?;
        let config = self.config_of(&record)?;
        Ok(Some((record, config)))
    }

    pub(super) fn rootfs(&self, record: &Record, config: &ContainerConfig) -> Rootfs {
        let last = record.last_run().map(|run| run.driver);
        self.rootfs_after(record, config, last)
    }

    /// An image's layers, bottom first, with what every container mounts on below them.
    pub(super) fn stacked(&self, of_image: Vec<PathBuf>) -> Vec<PathBuf> {
        let has_room = of_image.len() < CROWDED;
        let places = has_room.then(|| mountpoints::directory(&self.paths));
        places.flatten().into_iter().chain(of_image).collect()
    }

    /// The same, where it is known what stacked the layers in the last run; `None`: there was none.
    fn rootfs_after(
        &self,
        record: &Record,
        config: &ContainerConfig,
        last: Option<String>,
    ) -> Rootfs {
        let layers = self.paths.layers();
        let mut choice = self.storage_choice();
        // fuse-overlayfs leaves marks in the upper directory that the kernel does not know: who has begun goes on.
        if choice.may_fall_back && last.as_deref() == Some(Driver::FuseOverlayfs.name()) {
            choice.driver = Driver::FuseOverlayfs;
            choice.may_fall_back = false;
        }
        let of_image = config
            .layers
            .iter()
            .map(|layer| layers.join(layer).join("fs"));
        let (upper, work) = match &config.host.step {
            Some(step) => (layers.join(step).join("fs"), layers.join(step).join(WORK)),
            None => (record.upper(), record.path("work")),
        };
        let mut rootfs = Rootfs {
            lower: self.stacked(of_image.collect()),
            upper,
            work,
            merged: record.path("merged"),
            volatile: config.host.auto_remove,
            by_names: old_overlay(),
            driver: choice.driver,
            may_fall_back: choice.may_fall_back,
        };
        // Whatever it is that could stack them now: its changes are there.
        if rootfs.copy().exists() {
            rootfs.driver = Driver::Copy;
        }
        rootfs
    }
}

fn parameters(
    config: &ContainerConfig,
    settled: &Settled,
    single_id: bool,
    isolation: Isolation,
) -> Result<ContainerParameters, EngineError> {
    let host = &config.host;
    let process = &config.process;
    let mut parameters = ContainerParameters {
        args: config.arguments(),
        env: process.env.clone(),
        cwd: PathBuf::from(&process.working_dir),
        user: process.user.clone(),
        hostname: config.hostname.clone(),
        domainname: Some(config.domainname.clone()).filter(|name| !name.is_empty()),
        terminal: process.tty,
        read_only_root: host.read_only_root,
        cap_add: host.cap_add.clone(),
        cap_drop: host.cap_drop.clone(),
        known_capabilities: isolation.capabilities(),
        privileged: host.privileged,
        // With one id the filter makes chown succeed, and it can't be loaded otherwise there.
        no_new_privileges: host.no_new_privileges || single_id && isolation == Isolation::Chroot,
        open_system_paths: host.open_system_paths,
        sysctls: host.sysctls.clone().into_iter().collect(),
        relayed: host.network != "none",
        rlimits: host.ulimits.iter().map(rlimit).collect(),
        shm_size: host.shm_size,
        oom_score_adj: host.oom_score_adj,
        umask: process.umask.unwrap_or(defaults::UMASK),
        unset_env: process.unset_env.clone(),
        annotations: host.annotations.clone().into_iter().collect(),
        places: settled.places,
        single_id,
        processors: processors(),
        ..ContainerParameters::default()
    };
    parameters.seccomp = match host.seccomp.as_deref() {
        None => SeccompChoice::Default,
        Some("unconfined") => SeccompChoice::Unconfined,
        Some(text) => {
            let capabilities = parameters.capabilities().map_err(spec::SpecError::from)?;
            SeccompChoice::Profile(Box::new(seccomp::parse(
                text.as_bytes(),
                capabilities,
                Machine::host(),
                kernel(),
            )?))
        }
    };
    Ok(parameters)
}

/// What a container cannot see of /proc and /sys, and what it cannot change there.
pub fn guarded_paths() -> [Vec<String>; 2] {
    [
        defaults::masked_paths(processors()),
        defaults::read_only_paths(),
    ]
}

/// All that the host has, whatever this process may use of them: a container sees all of them in /sys.
/// Asked once: the kernel answers from sysfs, which it locks while it makes a network namespace.
pub(super) fn processors() -> u32 {
    static COUNT: OnceLock<u32> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let configured = nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_CONF);
        let configured = configured.ok().flatten().unwrap_or(0);
        configured.try_into().unwrap_or(0)
    })
}

/// Major and minor version of the running kernel, which profiles may ask for.
fn kernel() -> (u32, u32) {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn rlimit(ulimit: &UlimitConfig) -> PosixRlimit {
    let name = format!("RLIMIT_{}", ulimit.name.to_ascii_uppercase());
    let kind = name
        .parse()
        .expect("the request's resources are those of the runtime specification");
    let built = PosixRlimitBuilder::default()
        .typ::<oci_spec::runtime::PosixRlimitType>(kind)
        .soft(ulimit.soft)
        .hard(ulimit.hard)
        .build();
    built.expect("kind and both limits are given")
}

fn mount(config: &MountConfig) -> Mount {
    let builder = MountBuilder::default()
        .destination(&config.target)
        .typ(config.kind.clone())
        .source(if config.source.is_empty() {
            &config.kind
        } else {
            &config.source
        })
        .options(config.options.clone());
    builder.build().expect("a mount has no required field")
}

const NETWORK_FILES: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

/// As docker has them: written to by the container, unless its root is read-only.
fn network_file_mounts(record: &Record, read_only: bool) -> impl Iterator<Item = Mount> {
    let access = read_only.then_some("ro");
    NETWORK_FILES.iter().map(move |name| {
        let options = ["rbind", "rprivate"].into_iter().chain(access);
        mount(&MountConfig {
            kind: "bind".to_owned(),
            source: record.path(name).to_string_lossy().into_owned(),
            target: format!("/etc/{name}"),
            options: options.map(str::to_owned).collect(),
            ..MountConfig::default()
        })
    })
}

/// Hooks find the root by the bundle's `config.json` (OCI runtime specification, "State"): the state they are told.
fn add_hooks(spec: &mut Spec, record: &Record, hooks: &[cdi::Hook]) -> Result<String, EngineError> {
    let hook = |hook: &cdi::Hook| {
        let mut builder = HookBuilder::default()
            .path(&hook.path)
            .args(hook.args.clone())
            .env(hook.env.clone());
        if let Some(seconds) = hook.timeout {
            builder = builder.timeout(seconds);
        }
        builder.build().expect("the path is given")
    };
    let hooks: Vec<Hook> = hooks.iter().map(hook).collect();
    let hooks = HooksBuilder::default().create_container(hooks).build();
    spec.set_hooks(Some(hooks.expect("hooks have no required field")));
    let bundle = record.path("bundle");
    let path = bundle.join("config.json");
    let mut described = spec.clone();
    let root = described.root_mut().as_mut();
    root.expect("every specification has a root")
        .set_path(record.path("merged"));
    let text = serde_json::to_vec(&described).map_err(|error| error.into());
    text.and_then(|text| fs::create_dir_all(&bundle).and_then(|()| disk::write(&path, text)))
        .map_err(EngineError::file("write", &path))?;
    let state = serde_json::json!({
        "ociVersion": spec.version(),
        "id": record.id.as_str(),
        "status": "creating",
        "bundle": bundle,
        "annotations": spec.annotations(),
    });
    Ok(state.to_string())
}

const ZONES: &str = "/usr/share/zoneinfo";

/// The host's file of a time zone, over the image's `/etc/localtime`.
fn timezone(zone: &str) -> Result<Mount, EngineError> {
    Ok(mount(&MountConfig {
        kind: "bind".to_owned(),
        source: zone_file(zone)?.to_string_lossy().into_owned(),
        target: "/etc/localtime".to_owned(),
        options: ["rbind", "rprivate", "ro"].map(str::to_owned).to_vec(),
        ..MountConfig::default()
    }))
}

/// `local` is the host's own; else the name is one below the host's directory, whatever it looks like.
pub(super) fn zone_file(zone: &str) -> Result<PathBuf, EngineError> {
    let unknown = || EngineError::UnknownTimezone {
        zone: zone.to_owned(),
    };
    let file = match zone {
        "local" => fs::canonicalize("/etc/localtime"),
        zone => fs::canonicalize(Path::new(ZONES).join(zone)),
    };
    let file = file.map_err(|_| unknown())?;
    let known = zone == "local" || file.starts_with(ZONES);
    (known && file.is_file())
        .then_some(file)
        .ok_or_else(unknown)
}

/// Copies, not the other's own: what sees those is taken for its process when it has to be ended (`runtime::sweep`).
fn borrow_network_files(record: &Record, lender: &Record) -> Result<(), EngineError> {
    for name in NETWORK_FILES {
        let path = lender.path(name);
        let text = fs::read_to_string(&path).map_err(EngineError::file("read", &path))?;
        write_shared(&record.path(name), &text)?;
    }
    Ok(())
}

/// `--network ns:PATH`, and that there is one.
fn network_file(config: &ContainerConfig) -> Result<Option<PathBuf>, EngineError> {
    let NetworkMode::File(path) = network_mode(config)? else {
        return Ok(None);
    };
    let wrong = |reason: String| EngineError::NetworkFile {
        path: path.display().to_string(),
        reason,
    };
    let is_network = namespace::is_network(&path);
    match is_network.map_err(|error| wrong(error.to_string()))? {
        true => Ok(Some(path)),
        false => Err(wrong("it is no network namespace".to_owned())),
    }
}

/// Gives whether pasta must forward name queries.
fn write_network_files(record: &Record, config: &ContainerConfig) -> Result<bool, EngineError> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mode = network_mode(config)?;
    let names = &config.host.names;
    let own_ip = match &mode {
        NetworkMode::Pasta(options) => Some(options.ipv4().unwrap_or(pasta::ADDRESS)),
        NetworkMode::Slirp(options) => Some(options.address()),
        _ => None,
    };
    // Of a network of its own it is the address that the host has when the container starts.
    let host = match own_ip {
        Some(_) => HostRoutes::host_address(),
        None => config.host.is_bridged().then_some(hosts::HOST),
    };
    let host_file = (mode == NetworkMode::Host).then(|| read("/etc/hosts"));
    let extra = names.extra_hosts.iter().map(|text| text.parse());
    let extra = extra.collect::<Result<Vec<ExtraHost>, _>>()?;
    let hosts = HostsFile {
        host_file: host_file.as_deref(),
        extra: &extra,
        host_gateway: match extra.as_slice() {
            [] => None,
            _ => host.or_else(HostRoutes::host_address).map(IpAddr::V4),
        },
        host: host.map(IpAddr::V4),
        own: own_ip.map(|ip| {
            let names = (config.hostname.as_str(), config.domainname.as_str());
            (IpAddr::V4(ip), names.0, names.1)
        }),
    };
    let resolver = resolver_for(&mode, names);
    let texts = [
        hosts.text(),
        hosts::hostname_text(&config.hostname),
        resolver.text,
    ];
    for (name, text) in NETWORK_FILES.iter().zip(texts) {
        write_shared(&record.path(name), &text)?;
    }
    Ok(resolver.forward)
}

/// The name servers of a container with such a network.
pub(super) fn resolver_for(mode: &NetworkMode, names: &NameConfig) -> Resolver {
    let overrides = Overrides {
        servers: names.servers.clone(),
        search: names.search.clone(),
        options: names.options.clone(),
    };
    let host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    resolver::resolver(&host, &overrides, reach(mode))
}

fn reach(mode: &NetworkMode) -> Reach {
    match mode {
        NetworkMode::Host => Reach::Host,
        NetworkMode::Named(_) => Reach::Bridged,
        NetworkMode::Slirp(options) => Reach::Helper(options.server().into()),
        NetworkMode::Pasta(options) => match options.dns_forward() {
            Some(server) => Reach::Helper(server),
            None => {
                let routes = HostRoutes::read();
                Reach::Pasta {
                    ipv6: routes.ipv4 && routes.ipv6,
                }
            }
        },
        _ => Reach::Nothing,
    }
}

/// Readable by every user of the container, whatever the umask.
fn write_shared(path: &Path, text: &str) -> Result<(), EngineError> {
    use std::os::unix::fs::PermissionsExt;
    let written = disk::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o644)));
    written.map_err(EngineError::file("write", path))
}
