//! From a container's record to everything its monitor needs to start it.

use std::fs;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, MountBuilder, PosixRlimit, PosixRlimitBuilder, SpecBuilder};

use super::{Engine, EngineError};
use crate::container::{ContainerConfig, MountConfig, Record, UlimitConfig};
use crate::net::hosts::{self, HostsFile};
use crate::net::resolver::{self, Overrides, Reach};
use crate::net::route::HostRoutes;
use crate::runtime::capability::CapabilitySet;
use crate::runtime::cgroup::{Place, Wanted};
use crate::runtime::execute::Launch;
use crate::runtime::plan::{self, BindExtras, BindMount, SetupStep};
use crate::runtime::rootfs::{Driver, Rootfs};
use crate::runtime::seccomp::{self, Machine};
use crate::runtime::spec::{self, ContainerParameters, NetworkChoice, SeccompChoice};

/// A launch, and whether its name service needs pasta's help.
pub struct Prepared {
    pub launch: Launch,
    pub dns_forward: bool,
    pub cgroup: Wanted,
}

impl Engine {
    /// Writes the container's own /etc files and makes its specification, plan and filter.
    pub fn prepare(
        &self,
        record: &Record,
        config: &ContainerConfig,
    ) -> Result<Prepared, EngineError> {
        let single_id = self.with_home(|home| home.has_single_id());
        let dns_forward = write_network_files(record, config)?;
        let (mounts, binds) = self.launch_mounts(record, config)?;
        let (secrets, variables) = self.launch_secrets(config)?;
        let mut parameters = parameters(config, single_id)?;
        parameters.env.extend(variables);
        parameters.mounts = mounts.iter().map(mount).collect();
        parameters.mounts.extend(network_file_mounts(record));
        let spec = spec::spec(&parameters)?;
        let extras = plan::Extras { binds, secrets };
        let launch = Launch {
            steps: plan::plan(&spec, &extras)?,
            fake_chown: single_id,
            rootfs: self.rootfs(record, config),
            init: config.host.init,
            cgroup: None,
            spec,
        };
        // The built-in profile compiles; the user's may not, and is better refused before there is a monitor.
        if seccomp::own_profile(&launch.spec).is_some() {
            launch.filter()?;
        }
        Ok(Prepared {
            cgroup: self.cgroup(record, config)?,
            launch,
            dns_forward,
        })
    }

    fn cgroup(&self, record: &Record, config: &ContainerConfig) -> Result<Wanted, EngineError> {
        let path = record.path("settings.json");
        let settings = record.settings();
        let settings = settings.map_err(EngineError::file("read", &path))?;
        Ok(Wanted {
            place: Place::find(),
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
            mounts.extend(network_file_mounts(record));
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

    pub(super) fn rootfs(&self, record: &Record, config: &ContainerConfig) -> Rootfs {
        let layers = self.paths.layers();
        let mut choice = self.storage_choice();
        // fuse-overlayfs leaves marks in the upper directory that the kernel does not know: who has begun goes on.
        let last = record.last_run().map(|run| run.driver);
        if choice.may_fall_back && last.as_deref() == Some(Driver::FuseOverlayfs.name()) {
            choice.driver = Driver::FuseOverlayfs;
        }
        Rootfs {
            lower: config
                .layers
                .iter()
                .map(|layer| layers.join(layer).join("fs"))
                .collect(),
            upper: record.upper(),
            work: record.path("work"),
            merged: record.path("merged"),
            volatile: config.host.auto_remove,
            by_names: cfg!(debug_assertions) && std::env::var_os("BRYO_TEST_OLD_OVERLAY").is_some(),
            driver: choice.driver,
            may_fall_back: choice.may_fall_back,
        }
    }
}

fn parameters(
    config: &ContainerConfig,
    single_id: bool,
) -> Result<ContainerParameters, EngineError> {
    let host = &config.host;
    let process = &config.process;
    let mut parameters = ContainerParameters {
        args: config.arguments(),
        env: process.env.clone(),
        cwd: PathBuf::from(&process.working_dir),
        user: process.user.clone(),
        hostname: config.hostname.clone(),
        terminal: process.tty,
        read_only_root: host.read_only_root,
        cap_add: host.cap_add.clone(),
        cap_drop: host.cap_drop.clone(),
        known_capabilities: CapabilitySet::up_to(crate::sys::capability::last()),
        privileged: host.privileged,
        no_new_privileges: host.no_new_privileges,
        open_system_paths: host.open_system_paths,
        sysctls: host.sysctls.clone().into_iter().collect(),
        rlimits: host.ulimits.iter().map(rlimit).collect(),
        shm_size: host.shm_size,
        network: if host.network == "host" {
            NetworkChoice::Host
        } else {
            NetworkChoice::Private
        },
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

/// All that the host has, whatever this process may use of them: a container sees all of them in /sys.
fn processors() -> u32 {
    let configured = nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_CONF);
    let configured = configured.ok().flatten().unwrap_or(0);
    configured.try_into().unwrap_or(0)
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

fn network_file_mounts(record: &Record) -> impl Iterator<Item = Mount> {
    NETWORK_FILES.iter().map(|name| {
        mount(&MountConfig {
            kind: "bind".to_owned(),
            source: record.path(name).to_string_lossy().into_owned(),
            target: format!("/etc/{name}"),
            options: vec!["rbind".to_owned(), "rprivate".to_owned()],
            ..MountConfig::default()
        })
    })
}

/// Gives whether pasta must forward name queries.
fn write_network_files(record: &Record, config: &ContainerConfig) -> Result<bool, EngineError> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let network = config.host.network.as_str();
    let own = match network {
        "pasta" => Some((crate::net::pasta::address(), config.hostname.as_str())),
        _ => None,
    };
    let host_file = (network == "host").then(|| read("/etc/hosts"));
    let hosts = HostsFile {
        host_file: host_file.as_deref(),
        extra: &[],
        host_gateway: None,
        own,
    };
    let reach = match network {
        "host" => Reach::Host,
        "none" => Reach::Nothing,
        _ => {
            let routes = HostRoutes::read();
            Reach::Pasta {
                ipv6: routes.ipv4 && routes.ipv6,
            }
        }
    };
    let resolver = resolver::resolver(&read("/etc/resolv.conf"), &Overrides::default(), reach);
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

/// Readable by every user of the container, whatever the umask.
fn write_shared(path: &Path, text: &str) -> Result<(), EngineError> {
    use std::os::unix::fs::PermissionsExt;
    let written = fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o644)));
    written.map_err(EngineError::file("write", path))
}
