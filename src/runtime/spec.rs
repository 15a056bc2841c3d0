//! What a container was asked to be, as an OCI runtime specification. Pure: never looks at the host, an image or the store.
//!
//! Left to the executor, because they need the root file system or the host: the numbers of `process.user.username`, `HOME`,
//! the capabilities of a user that is not root (`capability::ProcessCapabilities`), id maps, cgroup path, devices of /dev.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::{
    Linux, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxNamespaceBuilder, LinuxNamespaceType,
    LinuxSeccomp, Mount, PosixRlimit, Process, ProcessBuilder, RootBuilder, Spec, SpecBuilder,
    UserBuilder,
};

use super::capability::{self, CapabilitySet, UnknownCapability};
use super::defaults::{self, MountChoice};

/// The annotation by which a specification says `default` instead of carrying the 400 names of the built-in seccomp profile:
/// it is compiled for the specification's own capabilities at start (`seccomp::program`).
pub const SECCOMP_ANNOTATION: &str = "org.bryo.seccomp";
pub const SECCOMP_DEFAULT: &str = "default";

/// The version of the runtime specification that is followed.
const OCI_VERSION: &str = "1.2.0";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("no command specified")]
    NoCommand,
    #[error("the working directory '{}' is invalid, it needs to be an absolute path", .cwd.display())]
    RelativeCwd { cwd: PathBuf },
    #[error("{subject} {text:?} contains a null byte")]
    NullByte { subject: &'static str, text: String },
    #[error("mount destination {destination:?} is not an absolute path without \"..\"")]
    MountDestination { destination: PathBuf },
    #[error("mount destination {destination:?} is inside /proc, which protects the host")]
    MountOverProc { destination: PathBuf },
    #[error("sysctl {name:?} is not one of a container's own: {reason}")]
    Sysctl { name: String, reason: &'static str },
    #[error(transparent)]
    Capability(#[from] UnknownCapability),
}

/// Whose namespace it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place {
    /// The container's own.
    #[default]
    Private,
    Host,
    /// That of the process with this pid: another container's init.
    Of(i32),
}

/// The container's namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Places {
    /// `Host`: the home namespace.
    pub user: Place,
    /// `Host`: nothing is mounted for it, and it has no other namespace either.
    pub mount: Place,
    /// A network of its own, whatever connects it.
    pub network: Place,
    pub pid: Place,
    pub ipc: Place,
    pub uts: Place,
    pub cgroup: Place,
    /// `--ipc none`: no /dev/shm.
    pub no_shared_memory: bool,
    /// The host has /dev/mqueue, for those who share its ipc namespace.
    pub host_queues: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SeccompChoice {
    #[default]
    Default,
    Unconfined,
    /// A user's profile, resolved for the container's capabilities (`seccomp::parse`).
    Profile(Box<LinuxSeccomp>),
}

/// Everything that decides a specification. `Default` is docker's `run` without flags, for an image without settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerParameters {
    pub args: Vec<String>,
    /// The image's variables, then the flags'; a later one replaces an earlier one of its name. Entries without `=` or without
    /// a name bring nothing in.
    pub env: Vec<String>,
    /// Empty: `/`.
    pub cwd: PathBuf,
    /// As typed: name or number, with or without `:group`; empty: root.
    pub user: String,
    pub hostname: String,
    pub domainname: Option<String>,
    pub terminal: bool,
    pub read_only_root: bool,
    /// Binds, tmpfs and what else is mounted beside the defaults; replaces a default of the same destination.
    pub mounts: Vec<Mount>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    /// What the kernel has (`CapabilitySet::up_to(sys::capability::last())`).
    pub known_capabilities: CapabilitySet,
    pub privileged: bool,
    pub no_new_privileges: bool,
    pub seccomp: SeccompChoice,
    /// No masked and no read-only paths (`--security-opt systempaths=unconfined`).
    pub open_system_paths: bool,
    pub sysctls: Vec<(String, String)>,
    /// What leaves the container goes through pasta or slirp4netns.
    pub relayed: bool,
    /// Those of `--ulimit`; others are the user's.
    pub rlimits: Vec<PosixRlimit>,
    pub oom_score_adj: Option<i32>,
    pub umask: u32,
    /// Variables of every program that this one does not get, unless `env` sets them.
    pub unset_env: Vec<String>,
    pub shm_size: u64,
    pub places: Places,
    /// The id map has only 0: no subordinate ids on this host.
    pub single_id: bool,
    /// Of the host, for the per-processor masks.
    pub processors: u32,
    pub annotations: HashMap<String, String>,
}

impl Places {
    /// No namespace of its own.
    pub fn of_host() -> Places {
        Places {
            user: Place::Host,
            mount: Place::Host,
            network: Place::Host,
            pid: Place::Host,
            ipc: Place::Host,
            uts: Place::Host,
            cgroup: Place::Host,
            ..Places::default()
        }
    }
}

impl Default for ContainerParameters {
    fn default() -> Self {
        ContainerParameters {
            args: Vec::new(),
            env: Vec::new(),
            cwd: PathBuf::new(),
            user: String::new(),
            hostname: String::new(),
            domainname: None,
            terminal: false,
            read_only_root: false,
            mounts: Vec::new(),
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            known_capabilities: CapabilitySet::NAMED,
            privileged: false,
            no_new_privileges: false,
            seccomp: SeccompChoice::Default,
            open_system_paths: false,
            sysctls: Vec::new(),
            relayed: false,
            rlimits: Vec::new(),
            oom_score_adj: None,
            umask: defaults::UMASK,
            unset_env: Vec::new(),
            shm_size: defaults::SHM_SIZE,
            places: Places::default(),
            single_id: false,
            processors: 0,
            annotations: HashMap::new(),
        }
    }
}

impl ContainerParameters {
    /// The bounding set: for `--cap-add`, `--cap-drop`, `--privileged`, and for resolving a user's seccomp profile.
    pub fn capabilities(&self) -> Result<CapabilitySet, UnknownCapability> {
        let chosen = capability::chosen(&self.cap_add, &self.cap_drop, self.known_capabilities)?;
        Ok(if self.privileged {
            self.known_capabilities
        } else {
            chosen
        })
    }
}

/// The specification of one container; `root.path` is `rootfs`, for the executor to replace.
pub fn spec(parameters: &ContainerParameters) -> Result<Spec, SpecError> {
    let mut annotations = parameters.annotations.clone();
    if parameters.seccomp == SeccompChoice::Default && !parameters.privileged {
        annotations.insert(SECCOMP_ANNOTATION.into(), SECCOMP_DEFAULT.into());
    }
    let root = RootBuilder::default()
        .path("rootfs")
        .readonly(parameters.read_only_root)
        .build();
    let mut spec = SpecBuilder::default()
        .version(OCI_VERSION)
        .root(root.expect("path and mode are given"))
        .mounts(mounts(parameters)?)
        .process(process(parameters)?)
        .hostname(parameters.hostname.clone())
        .annotations(annotations)
        .linux(linux(parameters)?)
        .build()
        .expect("a specification has no required field");
    spec.set_domainname(parameters.domainname.clone());
    Ok(spec)
}

fn process(parameters: &ContainerParameters) -> Result<Process, SpecError> {
    if parameters.args.is_empty() {
        return Err(SpecError::NoCommand);
    }
    for argument in &parameters.args {
        refuse_null("argument", argument)?;
    }
    let mut cwd = parameters.cwd.as_path();
    if cwd.as_os_str().is_empty() {
        cwd = Path::new("/");
    }
    if !cwd.is_absolute() {
        return Err(SpecError::RelativeCwd { cwd: cwd.into() });
    }
    let mut user = UserBuilder::default()
        .uid(0u32)
        .gid(0u32)
        .umask(parameters.umask);
    if !parameters.user.is_empty() {
        user = user.username(parameters.user.clone());
    }
    let set = parameters.capabilities()?;
    let capabilities = LinuxCapabilitiesBuilder::default()
        .bounding(set)
        .permitted(set)
        .effective(set)
        .inheritable(CapabilitySet::EMPTY)
        .ambient(CapabilitySet::EMPTY);
    let mut process = ProcessBuilder::default()
        .terminal(parameters.terminal)
        .user(user.build().expect("both ids are given"))
        .args(parameters.args.clone())
        .env(environment(parameters)?)
        .cwd(cwd)
        .capabilities(capabilities.build().expect("all five sets are given"))
        .rlimits(parameters.rlimits.clone())
        .no_new_privileges(parameters.no_new_privileges)
        .build()
        .expect("a process has no required field");
    process.set_oom_score_adj(parameters.oom_score_adj);
    Ok(process)
}

/// Docker's order: `PATH`, `HOSTNAME`, `TERM` with a terminal, then the image's and the flags' in theirs.
fn environment(parameters: &ContainerParameters) -> Result<Vec<String>, SpecError> {
    let mut variables = vec![
        format!("PATH={}", defaults::PATH),
        format!("HOSTNAME={}", parameters.hostname),
    ];
    if parameters.terminal {
        variables.push(format!("TERM={}", defaults::TERM));
    }
    variables.retain(|variable| {
        let name = variable.split('=').next();
        !parameters
            .unset_env
            .iter()
            .any(|unset| Some(unset.as_str()) == name)
    });
    for entry in &parameters.env {
        refuse_null("environment variable", entry)?;
        let Some((name, _)) = entry.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            continue;
        };
        let same_name = |known: &&mut String| {
            known
                .split_once('=')
                .is_some_and(|(known, _)| known == name)
        };
        match variables.iter_mut().find(same_name) {
            Some(known) => known.clone_from(entry),
            None => variables.push(entry.clone()),
        }
    }
    Ok(variables)
}

fn refuse_null(subject: &'static str, text: &str) -> Result<(), SpecError> {
    if text.contains('\0') {
        return Err(SpecError::NullByte {
            subject,
            text: text.replace('\0', "\\0"),
        });
    }
    Ok(())
}

fn linux(parameters: &ContainerParameters) -> Result<Linux, SpecError> {
    let open = parameters.privileged || parameters.open_system_paths;
    let mut linux = LinuxBuilder::default()
        .namespaces(namespaces(parameters.places))
        .sysctl(sysctls(parameters)?)
        .masked_paths(if open {
            Vec::new()
        } else {
            defaults::masked_paths(parameters.processors)
        })
        .readonly_paths(if open {
            Vec::new()
        } else {
            defaults::read_only_paths()
        })
        .build()
        .expect("linux has no required field");
    linux.set_resources(None);
    if let (SeccompChoice::Profile(profile), false) = (&parameters.seccomp, parameters.privileged) {
        linux.set_seccomp(Some(profile.as_ref().clone()));
    }
    Ok(linux)
}

fn namespaces(places: Places) -> Vec<oci_spec::runtime::LinuxNamespace> {
    let kinds = [
        (LinuxNamespaceType::User, places.user, "user"),
        (LinuxNamespaceType::Mount, places.mount, "mnt"),
        (LinuxNamespaceType::Pid, places.pid, "pid"),
        (LinuxNamespaceType::Ipc, places.ipc, "ipc"),
        (LinuxNamespaceType::Uts, places.uts, "uts"),
        (LinuxNamespaceType::Cgroup, places.cgroup, "cgroup"),
        (LinuxNamespaceType::Network, places.network, "net"),
    ];
    let described = kinds.into_iter().filter_map(|(kind, place, file)| {
        let new = LinuxNamespaceBuilder::default().typ(kind);
        let builder = match place {
            Place::Private => new,
            Place::Host => return None,
            Place::Of(pid) => new.path(format!("/proc/{pid}/ns/{file}")),
        };
        Some(builder.build().expect("the kind is given"))
    });
    described.collect()
}

/// System V limits of the ipc namespace; message queues and the network's have a prefix of their own.
const IPC_SYSCTLS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// What bryo sets by itself. As docker: a program that is not root binds port 80 of its own network.
const UNPRIVILEGED_PORTS: (&str, &str) = ("net.ipv4.ip_unprivileged_port_start", "0");

/// For a connection that ends at pasta or slirp4netns. They take what they can pass on, and more at once is lost: with the kernel's 4 MiB the container
/// sends a burst, and waits 200 ms for each (`docs/performance.md` has the figures). The second is known since Linux 6.11.
const RELAYED: [(&str, &str); 2] = [
    ("net.ipv4.tcp_wmem", "4096\t16384\t262144"),
    ("net.ipv4.tcp_rto_min_us", "20000"),
];

/// Whether nobody asked for it.
pub fn is_own_sysctl(key: &str, value: &str) -> bool {
    (key, value) == UNPRIVILEGED_PORTS || RELAYED.contains(&(key, value))
}

fn sysctls(parameters: &ContainerParameters) -> Result<HashMap<String, String>, SpecError> {
    let mut sysctls = HashMap::new();
    let private = parameters.places.network == Place::Private;
    let own_ipc = parameters.places.ipc == Place::Private;
    if private {
        let relayed = RELAYED.iter().filter(|_| parameters.relayed);
        let own = relayed.chain([&UNPRIVILEGED_PORTS]);
        sysctls.extend(own.map(|(name, value)| ((*name).into(), (*value).into())));
    }
    for (name, value) in &parameters.sysctls {
        // sysctl(8) takes both separators.
        let name = name.replace('/', ".");
        let refuse = |reason| {
            Err(SpecError::Sysctl {
                name: name.clone(),
                reason,
            })
        };
        if name.contains("..") || name.contains('\0') || value.contains('\0') {
            return refuse("the name is malformed");
        } else if name.starts_with("net.") && !private {
            return refuse(
                "net.* belongs to the host with --network host, or to the container whose network it is",
            );
        }
        let of_ipc = name.starts_with("fs.mqueue.") || IPC_SYSCTLS.contains(&name.as_str());
        if of_ipc && !own_ipc {
            return refuse("it belongs to those whose ipc namespace is shared");
        }
        if !(of_ipc || name.starts_with("net.")) {
            return refuse("only net.*, fs.mqueue.* and the System V limits of kernel.* are");
        }
        sysctls.insert(name, value.clone());
    }
    Ok(sysctls)
}

/// Files of /proc that programs like lxcfs replace for a container; nothing else below /proc can be covered.
const COVERABLE: [&str; 9] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/net/dev",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
];

/// Defaults that nobody replaces, then the asked-for ones, parents first.
fn mounts(parameters: &ContainerParameters) -> Result<Vec<Mount>, SpecError> {
    let mut wanted = parameters.mounts.clone();
    for mount in &mut wanted {
        check_destination(mount)?;
    }
    wanted.sort_by_key(|mount| mount.destination().components().count());
    let replaced = |default: &Mount| {
        wanted.iter().any(|mount| {
            let (mount, default) = (mount.destination(), default.destination());
            mount == default || (mount == Path::new("/dev") && default.starts_with("/dev"))
        })
    };
    let mut mounts = defaults::mounts(MountChoice {
        places: parameters.places,
        writable_sys: parameters.privileged,
        single_id: parameters.single_id,
        shm_size: parameters.shm_size,
    });
    mounts.retain(|mount| !replaced(mount));
    mounts.extend(wanted);
    Ok(mounts)
}

/// Normal components only; nothing over /proc (CVE-2019-16884). Trailing slashes and `.` are dropped.
fn check_destination(mount: &mut Mount) -> Result<(), SpecError> {
    let destination = mount.destination().clone();
    let plain = |part: Component| matches!(part, Component::RootDir | Component::Normal(_));
    if !destination.is_absolute() || !destination.components().all(plain) {
        return Err(SpecError::MountDestination { destination });
    }
    let normal: PathBuf = destination.components().collect();
    let covers_root = normal == Path::new("/");
    if covers_root {
        return Err(SpecError::MountDestination { destination });
    }
    if normal.starts_with("/proc") && !COVERABLE.iter().any(|file| normal == Path::new(file)) {
        return Err(SpecError::MountOverProc { destination });
    }
    mount.set_destination(normal);
    Ok(())
}

#[cfg(test)]
#[path = "spec_tests.rs"]
mod tests;
