//! What has to be done between a fresh set of namespaces and a container's root, as a pure, ordered list made from an
//! OCI runtime specification (config.md, config-linux.md). Executes nothing.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Hook, LinuxNamespaceType, Mount, Spec};
use rustix::mount::MountPropagationFlags;
use serde::{Deserialize, Serialize};

use super::accounts::Accounts;
use super::defaults::{DEVICE_LINKS, DEVICES};
use super::fill::Filling;
use super::secrets::SecretFile;
use crate::sys::mount::{AccessTimes, Attributes};

/// One step of the setup, in the words of what is then true.
#[derive(Clone, Debug, PartialEq)]
pub enum SetupStep {
    CgroupNamespace,
    Loopback,
    Hostname(String),
    Domainname(String),
    /// What is mounted here from now on stays here.
    IsolatedMounts,
    Root,
    /// Before anything is mounted over the image's own files.
    Accounts(Accounts),
    /// The same.
    Fill {
        target: PathBuf,
        volume: Filling,
    },
    FileSystem(FileSystemMount),
    Bind(BindMount),
    /// Device nodes cannot be made in a user namespace: the host's are bound.
    Device(&'static str),
    Symlink {
        link: &'static str,
        target: &'static str,
    },
    /// The /dev/shm of the container whose ipc namespace is joined.
    SharedMemory,
    /// A pseudo-terminal of the container's own devpts, also at /dev/console.
    Terminal,
    /// Made where it is missing: the working directory.
    Directory(PathBuf),
    Secrets(Vec<SecretFile>),
    Masked(PathBuf),
    ReadOnly(PathBuf),
    ReadOnlyRoot,
    /// A program of the host's that finishes the root, before it is one.
    Hook(Hook),
    Pivot,
    Sysctl {
        key: String,
        value: String,
    },
    /// What a container without mounts of its own has instead of a root: the copy of its layers itself.
    Copy,
    /// A /dev of its own in that, with nodes instead of binds.
    Nodes,
    /// What would be mounted there: the engine's, and no change of the container's.
    Lent(Lent),
    /// A pseudo-terminal of the surroundings.
    HostTerminal,
    /// Instead of `Pivot`.
    Chroot,
}

/// Something that a container without mounts finds at an absolute path, whatever its image has there.
#[derive(Clone, Debug, PartialEq)]
pub struct Lent {
    pub target: PathBuf,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// An empty directory.
    Nothing,
    /// As this file or directory of the host is now, or this below it.
    CopyOf { source: PathBuf, subpath: PathBuf },
}

/// A new instance of a file system at an absolute path below the root.
#[derive(Clone, Debug, PartialEq)]
pub struct FileSystemMount {
    pub kind: String,
    pub source: String,
    pub target: PathBuf,
    pub options: Vec<(String, String)>,
    pub attributes: Attributes,
    /// `proc`, `sysfs` and the like, below directories that must not be symlinks.
    pub engine: bool,
    /// A kernel without this file system is no reason to fail.
    pub optional: bool,
    /// Where the kernel gives no new one, because parts of what is mounted here are covered, that is bound with its covers.
    pub or_bound: bool,
}

/// A directory or file of the host, with everything mounted below it.
#[derive(Clone, Debug, PartialEq)]
pub struct BindMount {
    pub source: PathBuf,
    pub target: PathBuf,
    pub attributes: Attributes,
    pub propagation: Option<MountPropagationFlags>,
    /// In place of a file system of the engine's own: its directory must not be a symlink.
    pub engine: bool,
    /// Only this below the source, which others may be changing: resolved inside it; empty: all of it.
    pub subpath: PathBuf,
    /// Give everything in it to the program's user.
    pub chown: bool,
}

/// What the specification has no words for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Extras {
    pub binds: Vec<BindExtras>,
    pub secrets: Vec<SecretFile>,
    pub accounts: Accounts,
    /// The caller lives in a container, or another user namespace than the host's: what `/proc` shows there are no processes of the
    /// host's. Elsewhere it may never be shown to a container.
    pub nested: bool,
}

/// More about the bind at `target`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BindExtras {
    pub target: PathBuf,
    pub fill: Option<Filling>,
    pub subpath: PathBuf,
    pub chown: bool,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlanError {
    #[error("mount at {target}: option {option:?} is not known")]
    UnknownOption { target: PathBuf, option: String },
    #[error("mount at {target} names no source")]
    NoSource { target: PathBuf },
    #[error("mount target {target:?} is not an absolute path")]
    RelativeTarget { target: PathBuf },
    #[error("{what}: a container without a mount namespace has none")]
    NeedsMounts { what: String },
}

/// The steps for `spec`, in an order that the kernel accepts.
pub fn plan(spec: &Spec, extras: &Extras) -> Result<Vec<SetupStep>, PlanError> {
    if !has_namespace(spec, LinuxNamespaceType::Mount) {
        return confined(spec, extras);
    }
    let mut steps = Vec::new();
    namespaces(spec, &mut steps);
    steps.extend([SetupStep::IsolatedMounts, SetupStep::Root]);
    if extras.accounts != Accounts::default() {
        steps.push(SetupStep::Accounts(extras.accounts.clone()));
    }
    steps.extend(extras.binds.iter().filter_map(|bind| {
        Some(SetupStep::Fill {
            target: bind.target.clone(),
            volume: bind.fill.clone()?,
        })
    }));
    mounts(spec, extras, &mut steps)?;
    if let Some(process) = spec.process() {
        if process.terminal().unwrap_or(false) {
            steps.push(SetupStep::Terminal);
        }
        steps.push(SetupStep::Directory(process.cwd().clone()));
    }
    if !extras.secrets.is_empty() {
        steps.push(SetupStep::Secrets(extras.secrets.clone()));
    }
    guarded_paths(spec, &mut steps);
    let hooks = spec.hooks().as_ref();
    let hooks = hooks.and_then(|hooks| hooks.create_container().clone());
    steps.extend(hooks.unwrap_or_default().into_iter().map(SetupStep::Hook));
    let root = spec.root().as_ref();
    if root.is_some_and(|root| root.readonly().unwrap_or(false)) {
        steps.push(SetupStep::ReadOnlyRoot);
    }
    steps.push(SetupStep::Pivot);
    Ok(steps)
}

/// The same without a mount namespace: everything is in a copy of the layers, and chroot(2) confines the program to that.
fn confined(spec: &Spec, extras: &Extras) -> Result<Vec<SetupStep>, PlanError> {
    let refuse = |what: String| Err(PlanError::NeedsMounts { what });
    if !extras.secrets.is_empty() {
        return refuse("secrets".to_owned());
    }
    let mut steps = vec![SetupStep::Copy];
    if extras.accounts != Accounts::default() {
        steps.push(SetupStep::Accounts(extras.accounts.clone()));
    }
    steps.push(SetupStep::Nodes);
    for mount in spec.mounts().iter().flatten() {
        let target = mount.destination();
        let extra = extras.binds.iter().find(|extra| extra.target == *target);
        let content = match mount_step(mount, false)? {
            SetupStep::Bind(bind) => Content::CopyOf {
                source: bind.source,
                subpath: extra.map_or_else(PathBuf::new, |extra| extra.subpath.clone()),
            },
            SetupStep::FileSystem(new) if new.kind == "tmpfs" => Content::Nothing,
            step => return refuse(format!("{step:?}")),
        };
        steps.push(SetupStep::Lent(Lent {
            target: target.clone(),
            content,
        }));
    }
    if let Some(process) = spec.process() {
        if process.terminal().unwrap_or(false) {
            steps.push(SetupStep::HostTerminal);
        }
        steps.push(SetupStep::Directory(process.cwd().clone()));
    }
    steps.push(SetupStep::Chroot);
    Ok(steps)
}

/// What a program that enters the container has to do where there is no namespace to be joined.
pub fn entering(spec: &Spec, terminal: bool) -> Vec<SetupStep> {
    if has_namespace(spec, LinuxNamespaceType::Mount) {
        return Vec::new();
    }
    let terminal = terminal.then_some(SetupStep::HostTerminal);
    let first = std::iter::once(SetupStep::Copy).chain(terminal);
    first.chain([SetupStep::Chroot]).collect()
}

/// What is set in new namespaces before anything is mounted.
fn namespaces(spec: &Spec, steps: &mut Vec<SetupStep>) {
    if has_namespace(spec, LinuxNamespaceType::Cgroup) {
        steps.push(SetupStep::CgroupNamespace);
    }
    if has_namespace(spec, LinuxNamespaceType::Network) {
        steps.push(SetupStep::Loopback);
    }
    if has_namespace(spec, LinuxNamespaceType::Uts) {
        let hostname = spec.hostname().iter().cloned();
        let domainname = spec.domainname().iter().cloned();
        steps.extend(hostname.map(SetupStep::Hostname));
        steps.extend(domainname.map(SetupStep::Domainname));
    }
}

fn mounts(spec: &Spec, extras: &Extras, steps: &mut Vec<SetupStep>) -> Result<(), PlanError> {
    let all = || spec.mounts().iter().flatten();
    for mount in all() {
        let mut step = mount_step(mount, extras.nested)?;
        let more = |extra: &&BindExtras| extra.target == *mount.destination();
        if let (SetupStep::Bind(bind), Some(extra)) = (&mut step, extras.binds.iter().find(more)) {
            bind.subpath.clone_from(&extra.subpath);
            bind.chown = extra.chown;
        }
        // A directory of the host at /dev is the user's: nothing is made in it.
        let own = matches!(step, SetupStep::FileSystem(_));
        steps.push(step);
        if own && mount.destination() == Path::new("/dev") {
            steps.extend(DEVICES.map(SetupStep::Device));
            steps.extend(DEVICE_LINKS.map(|(link, target)| SetupStep::Symlink { link, target }));
        }
    }
    let shared_memory = Path::new("/dev/shm");
    let is_mounted = all().any(|mount| mount.destination() == shared_memory);
    if joins_namespace(spec, LinuxNamespaceType::Ipc) && !is_mounted {
        steps.push(SetupStep::SharedMemory);
    }
    Ok(())
}

/// Sysctls, and then the paths that nobody may write or read, /proc/sys among them.
fn guarded_paths(spec: &Spec, steps: &mut Vec<SetupStep>) {
    let Some(linux) = spec.linux() else {
        return;
    };
    let mut sysctls: Vec<_> = linux.sysctl().iter().flatten().collect();
    sysctls.sort();
    steps.extend(sysctls.into_iter().map(|(key, value)| SetupStep::Sysctl {
        key: key.clone(),
        value: value.clone(),
    }));
    let read_only = linux.readonly_paths().iter().flatten();
    steps.extend(read_only.map(|path| SetupStep::ReadOnly(path.into())));
    let masked = linux.masked_paths().iter().flatten();
    steps.extend(masked.map(|path| SetupStep::Masked(path.into())));
}

/// Whether the container gets a namespace of this kind of its own.
pub fn has_namespace(spec: &Spec, kind: LinuxNamespaceType) -> bool {
    let namespaces = spec
        .linux()
        .as_ref()
        .and_then(|linux| linux.namespaces().as_ref());
    namespaces.is_some_and(|all| all.iter().any(|ns| ns.typ() == kind && ns.path().is_none()))
}

/// Whether it gets another container's.
fn joins_namespace(spec: &Spec, kind: LinuxNamespaceType) -> bool {
    let namespaces = spec.linux().as_ref().and_then(|l| l.namespaces().as_ref());
    namespaces.is_some_and(|all| all.iter().any(|ns| ns.typ() == kind && ns.path().is_some()))
}

fn mount_step(mount: &Mount, nested: bool) -> Result<SetupStep, PlanError> {
    let target = mount.destination().clone();
    if !target.is_absolute() {
        return Err(PlanError::RelativeTarget { target });
    }
    let mut parsed = MountOptions::default();
    for option in mount.options().iter().flatten() {
        parsed
            .take(option)
            .ok_or_else(|| PlanError::UnknownOption {
                target: target.clone(),
                option: option.clone(),
            })?;
    }
    let kind = mount.typ().clone().unwrap_or_default();
    if parsed.bind || kind == "bind" || kind.is_empty() {
        let source = mount.source().clone().ok_or_else(|| PlanError::NoSource {
            target: target.clone(),
        })?;
        let MountOptions {
            attributes,
            propagation,
            ..
        } = parsed;
        return Ok(SetupStep::Bind(BindMount {
            engine: ["/proc", "/sys", "/sys/fs/cgroup"]
                .map(Path::new)
                .contains(&target.as_path()),
            source,
            target,
            attributes,
            propagation,
            subpath: PathBuf::new(),
            chown: false,
        }));
    }
    let kind = if kind == "cgroup" {
        "cgroup2".to_owned()
    } else {
        kind
    };
    let source = mount.source().as_deref().map(Path::to_string_lossy);
    Ok(SetupStep::FileSystem(FileSystemMount {
        source: source.map_or_else(|| kind.clone(), Into::into),
        engine: kind != "tmpfs" || target == Path::new("/dev"),
        optional: matches!(kind.as_str(), "mqueue" | "cgroup2"),
        or_bound: nested && matches!(kind.as_str(), "proc" | "sysfs"),
        options: parsed.data,
        attributes: parsed.attributes,
        kind,
        target,
    }))
}

/// Options as mount(8) and the OCI specification spell them.
#[derive(Default)]
struct MountOptions {
    attributes: Attributes,
    bind: bool,
    propagation: Option<MountPropagationFlags>,
    data: Vec<(String, String)>,
}

impl MountOptions {
    fn take(&mut self, option: &str) -> Option<()> {
        match option {
            "ro" => self.attributes.read_only = true,
            "rw" => self.attributes.read_only = false,
            "nosuid" => self.attributes.no_suid = true,
            "nodev" => self.attributes.no_dev = true,
            "noexec" => self.attributes.no_exec = true,
            "suid" => self.attributes.no_suid = false,
            "dev" => self.attributes.no_dev = false,
            "exec" => self.attributes.no_exec = false,
            // Binds are always recursive: a non-recursive one of a tree with submounts is refused by the kernel here.
            "bind" | "rbind" => self.bind = true,
            "private" | "rprivate" => self.propagate(MountPropagationFlags::PRIVATE),
            "slave" | "rslave" => self.propagate(MountPropagationFlags::DOWNSTREAM),
            "shared" | "rshared" => self.propagate(MountPropagationFlags::SHARED),
            // The kernel's defaults.
            "defaults" | "norelatime" => {}
            "atime" | "relatime" | "nostrictatime" => {
                self.attributes.access_times = AccessTimes::Relative;
            }
            "noatime" => self.attributes.access_times = AccessTimes::Never,
            "strictatime" => self.attributes.access_times = AccessTimes::Always,
            "diratime" => self.attributes.no_directory_times = false,
            "nodiratime" => self.attributes.no_directory_times = true,
            "newinstance" | "sync" | "async" | "dirsync" | "mand" | "nomand" | "lazytime"
            | "nolazytime" => self.data.push((option.to_owned(), String::new())),
            _ => {
                let (key, value) = option.split_once('=')?;
                self.data.push((key.to_owned(), value.to_owned()));
            }
        }
        Some(())
    }

    fn propagate(&mut self, flags: MountPropagationFlags) {
        self.propagation = Some(flags | MountPropagationFlags::REC);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::{MountBuilder, SpecBuilder};

    fn mount(target: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let builder = MountBuilder::default()
            .destination(target)
            .typ(kind)
            .source(source)
            .options(options);
        builder.build().expect("complete")
    }

    #[test]
    fn devices_follow_dev_and_the_pivot_follows_every_mount() {
        let mounts = vec![
            mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount(
                "/dev",
                "tmpfs",
                "tmpfs",
                &["nosuid", "strictatime", "mode=755"],
            ),
            mount("/data", "bind", "/srv", &["rbind", "ro"]),
        ];
        let steps = plan(
            &SpecBuilder::default()
                .mounts(mounts)
                .build()
                .expect("complete"),
            &Extras::default(),
        )
        .expect("valid");
        let at = |wanted: &SetupStep| {
            steps
                .iter()
                .position(|step| step == wanted)
                .expect("in the plan")
        };
        let dev = steps
            .iter()
            .position(|s| matches!(s, SetupStep::FileSystem(m) if m.target == Path::new("/dev")));
        assert!(dev.expect("in the plan") < at(&SetupStep::Device("/dev/null")));
        let bind = SetupStep::Bind(BindMount {
            source: "/srv".into(),
            target: "/data".into(),
            attributes: Attributes {
                read_only: true,
                ..Attributes::default()
            },
            propagation: None,
            subpath: PathBuf::new(),
            chown: false,
            engine: false,
        });
        assert!(at(&SetupStep::Root) < at(&bind) && at(&bind) < at(&SetupStep::Pivot));
    }

    #[test]
    fn without_a_mount_namespace_everything_is_put_into_the_copy() {
        let spec = |mounts| {
            let linux = oci_spec::runtime::LinuxBuilder::default()
                .namespaces(Vec::new())
                .build();
            let built = SpecBuilder::default()
                .mounts(mounts)
                .linux(linux.expect("complete"))
                .build();
            built.expect("complete")
        };
        let mounts = vec![
            mount("/etc/hosts", "bind", "/store/hosts", &["rbind"]),
            mount("/scratch", "tmpfs", "tmpfs", &[]),
        ];
        let steps = plan(&spec(mounts), &Extras::default()).expect("valid");
        let hosts = SetupStep::Lent(Lent {
            target: "/etc/hosts".into(),
            content: Content::CopyOf {
                source: "/store/hosts".into(),
                subpath: PathBuf::new(),
            },
        });
        let scratch = SetupStep::Lent(Lent {
            target: "/scratch".into(),
            content: Content::Nothing,
        });
        let cwd = SetupStep::Directory("/".into());
        let own = [SetupStep::Copy, SetupStep::Nodes];
        let rest = [hosts, scratch, cwd, SetupStep::Chroot];
        assert_eq!(steps, [&own[..], &rest].concat());
        let proc = vec![mount("/proc", "proc", "proc", &[])];
        let refused = plan(&spec(proc), &Extras::default());
        assert!(matches!(refused, Err(PlanError::NeedsMounts { .. })));
        assert_eq!(
            entering(&spec(Vec::new()), false),
            [SetupStep::Copy, SetupStep::Chroot]
        );
    }

    #[test]
    fn volumes_are_filled_before_anything_covers_the_image() {
        let mounts = vec![
            mount("/a", "bind", "/srv", &["rbind"]),
            mount("/a/b", "bind", "/volume", &["rbind"]),
        ];
        let spec = SpecBuilder::default().mounts(mounts).build();
        let extras = Extras {
            binds: vec![BindExtras {
                target: "/a/b".into(),
                fill: Some(Filling {
                    directory: "/volume".into(),
                    durable: true,
                }),
                subpath: "sub".into(),
                chown: true,
            }],
            secrets: Vec::new(),
            ..Extras::default()
        };
        let steps = plan(&spec.expect("complete"), &extras).expect("valid");
        let at = |wanted: fn(&SetupStep) -> bool| steps.iter().position(wanted);
        assert!(
            at(|step| matches!(step, SetupStep::Fill { .. }))
                < at(|step| matches!(step, SetupStep::Bind(_)))
        );
        let bound = |step: &SetupStep| matches!(step, SetupStep::Bind(bind) if bind.chown && bind.subpath == Path::new("sub"));
        assert_eq!(steps.iter().filter(|step| bound(step)).count(), 1);
    }

    #[test]
    fn no_device_is_made_in_a_directory_of_the_host() {
        let mounts = vec![mount("/dev", "bind", "/srv", &["rbind"])];
        let spec = SpecBuilder::default().mounts(mounts).build();
        let steps = plan(&spec.expect("complete"), &Extras::default()).expect("valid");
        let made =
            |step: &SetupStep| matches!(step, SetupStep::Device(_) | SetupStep::Symlink { .. });
        assert!(!steps.iter().any(made), "{steps:?}");
    }

    #[test]
    fn an_unknown_mount_option_is_an_error() {
        let spec = SpecBuilder::default().mounts(vec![mount("/x", "tmpfs", "tmpfs", &["bogus"])]);
        let spec = spec.build().expect("complete");
        let error = plan(&spec, &Extras::default()).expect_err("bogus is no option");
        assert!(matches!(error, PlanError::UnknownOption { .. }));
    }
}
