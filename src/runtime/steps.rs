//! The executor of a plan: each step by descriptors inside the new root, so that nothing an image contains is followed out.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::CloneFlags;
use oci_spec::runtime::Hook;
use rustix::fs::{FileType, MemfdFlags, Mode, OFlags, PROC_SUPER_MAGIC};
use rustix::process::{Pid, PidfdFlags};

use super::execute::{Launch, SetupError, open_directory};
use super::fill::Filling;
use super::lend::Lending;
use super::mounts::{DEVICES, Mounts};
use super::plan::{BindMount, SetupStep};
use super::rootfs::{TargetKind, engine_directory, make_directories, mount_target};
use super::{accounts, secrets, user};
use crate::sys::copy::{Owners, own_tree};
use crate::sys::fs::{Links, open_in_root};
use crate::sys::mount::{self, Attributes};
use crate::sys::poll::{Interest, PollSet};
use crate::sys::{namespace, network, terminal};

/// A container's root in the making.
pub struct Setup<'a> {
    pub launch: &'a Launch,
    pub given: Given<'a>,
    /// Where the root is mounted, and what the plan binds, in its order: opened before init became the container's root.
    opened: Option<OwnedFd>,
    sources: VecDeque<OwnedFd>,
    mounts: Option<Mounts>,
    /// Master and slave.
    pub terminal: Option<(OwnedFd, OwnedFd)>,
}

const ROOT_FIRST: &str = "the plan mounts the root before anything below it";

/// Mounts that the monitor hands over.
#[derive(Clone, Copy, Default)]
pub struct Given<'a> {
    /// The root, unless init makes it.
    pub root: Option<&'a OwnedFd>,
    /// Another container's /dev/shm.
    pub shared_memory: Option<&'a OwnedFd>,
}

impl<'a> Setup<'a> {
    pub fn new(launch: &'a Launch, given: Given<'a>) -> Setup<'a> {
        Setup {
            launch,
            given,
            opened: None,
            sources: VecDeque::new(),
            mounts: None,
            terminal: None,
        }
    }

    /// Opens what the plan finds by path on the host. For containers without the user's own id, whose root may not look into
    /// the user's private directories.
    pub fn open_sources(&mut self) -> Result<(), SetupError> {
        let place = self.launch.rootfs.open_place();
        self.opened = Some(place.map_err(|error| SetupError::root(&error))?);
        for step in &self.launch.steps {
            if let SetupStep::Bind(bind) = step {
                let source = open_source(bind);
                let tree =
                    source.and_then(|source| mount::clone_tree(source.as_fd(), Path::new("")));
                let tree = tree.map_err(|error| SetupError::step(describe(step), &error))?;
                self.sources.push_back(tree);
            }
        }
        Ok(())
    }

    pub fn execute(&mut self, step: &SetupStep) -> Result<(), SetupError> {
        tracing::debug!(step = describe(step), "set up");
        let done = match step {
            SetupStep::CgroupNamespace => namespace::leave(CloneFlags::CLONE_NEWCGROUP),
            SetupStep::Loopback => network::bring_up("lo"),
            SetupStep::Hostname(name) => {
                unless_forbidden(nix::unistd::sethostname(name).map_err(io::Error::from))
            }
            SetupStep::Domainname(name) => {
                let set = rustix::system::setdomainname(name.as_bytes());
                unless_forbidden(set.map_err(io::Error::from))
            }
            SetupStep::IsolatedMounts => mount::isolate_propagation(),
            SetupStep::Root => return self.mount_root(),
            SetupStep::Accounts(wanted) => accounts::add(self.root(), wanted),
            SetupStep::Fill { target, volume } => self.fill(target, volume),
            SetupStep::FileSystem(file_system) => self.mounts().file_system(file_system),
            SetupStep::Bind(wanted) => self.bind(wanted),
            SetupStep::Device(name) => self.mounts().device(name),
            SetupStep::Symlink { target, link } => self.mounts().link(link, target),
            SetupStep::SharedMemory => self.attach_shared_memory(),
            SetupStep::Terminal => self.open_terminal(),
            SetupStep::Directory(path) => make_directories(self.root(), path).map(drop),
            SetupStep::Secrets(files) => {
                secrets::mount(self.root(), &self.launch.rootfs.work, files, self.owners())
            }
            SetupStep::Masked(path) => self.mounts().mask(path),
            SetupStep::ReadOnly(path) => self.mounts().make_read_only(path),
            SetupStep::ReadOnlyRoot => self.make_root_read_only(),
            SetupStep::Hook(hook) => run_hook(hook, &self.launch.hook_state),
            SetupStep::Pivot => mount::pivot(self.root()),
            SetupStep::Sysctl { key, value } => self.mounts().write_sysctl(key, value),
            SetupStep::Copy => self.open_copy(),
            SetupStep::Nodes => self.lending().devices(),
            SetupStep::Lent(lent) => self.lending().lend(lent, self.owners()),
            SetupStep::HostTerminal => self.open_host_terminal(),
            SetupStep::Chroot => confine(self.root()),
        };
        done.map_err(|error| SetupError::step(describe(step), &error))
    }

    pub fn root(&self) -> BorrowedFd<'_> {
        self.mounts.as_ref().expect(ROOT_FIRST).root.as_fd()
    }

    fn mounts(&mut self) -> &mut Mounts {
        self.mounts.as_mut().expect(ROOT_FIRST)
    }

    fn mount_root(&mut self) -> Result<(), SetupError> {
        let given = self.given.root.map(AsFd::as_fd);
        let root = self.launch.rootfs.mount(given, self.opened.take());
        let root = root.map_err(|error| SetupError::root(&error))?;
        self.mounts = Some(Mounts::below(root));
        Ok(())
    }

    fn open_copy(&mut self) -> io::Result<()> {
        let root = open_directory(&self.launch.rootfs.copy())?;
        self.mounts = Some(Mounts::below(root));
        Ok(())
    }

    fn lending(&self) -> Lending<'_> {
        Lending {
            root: self.root(),
            rootfs: &self.launch.rootfs,
        }
    }

    fn open_host_terminal(&mut self) -> io::Result<()> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let master = rustix::fs::open("/dev/ptmx", flags, Mode::empty())?;
        let slave = terminal::open_peer(master.as_fd())?;
        self.terminal = Some((master, slave));
        Ok(())
    }

    fn bind(&mut self, wanted: &BindMount) -> io::Result<()> {
        let tree = match self.sources.pop_front() {
            Some(opened) => opened,
            None => {
                let source = open_source(wanted)?;
                if wanted.chown {
                    self.give_to_user(source.as_fd())?;
                }
                mount::clone_tree(source.as_fd(), Path::new(""))?
            }
        };
        if wanted.target == Path::new(DEVICES) {
            self.mounts().devices = None;
        }
        attach(self.root(), &tree, wanted)
    }

    /// From what the image has at `target`; where it has no directory, nothing is to be done.
    fn fill(&self, target: &Path, volume: &Filling) -> io::Result<()> {
        let path = target.as_os_str().as_encoded_bytes();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        match open_in_root(self.root(), path, flags, Mode::empty(), Links::InRoot) {
            Ok(source) => volume.fill(source.as_fd(), self.owners()),
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP)
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn owners(&self) -> Owners {
        match self.launch.fake_chown {
            true => Owners::Single,
            false => Owners::Kept,
        }
    }

    fn give_to_user(&self, source: BorrowedFd<'_>) -> io::Result<()> {
        if self.owners() == Owners::Single {
            return Ok(());
        }
        let process = self.launch.process().map_err(io::Error::other)?;
        let wanted = process.user().username().clone().unwrap_or_default();
        let account = user::resolve(self.root(), &wanted).map_err(io::Error::other)?;
        Ok(own_tree(source, account.uid, account.gid)?)
    }

    fn attach_shared_memory(&self) -> io::Result<()> {
        let tree = self.given.shared_memory;
        let tree = tree.ok_or_else(|| io::Error::other("it was not handed over"))?;
        let target = mount_target(self.root(), Path::new("/dev/shm"), TargetKind::Directory)?;
        mount::attach(tree.as_fd(), target.as_fd())
    }

    /// The master is opened in the devpts that was just made for this container, without following anything.
    fn open_terminal(&mut self) -> io::Result<()> {
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let master = open_in_root(
            self.root(),
            b"dev/pts/ptmx",
            flags,
            Mode::empty(),
            Links::Refuse,
        )?;
        let slave = terminal::open_peer(master.as_fd())?;
        let number = terminal::peer_number(master.as_fd())?;
        let name = format!("dev/pts/{number}");
        let path = open_in_root(
            self.root(),
            name.as_bytes(),
            OFlags::PATH,
            Mode::empty(),
            Links::Refuse,
        )?;
        let tree = mount::clone_tree(path.as_fd(), Path::new(""))?;
        let console = mount_target(self.root(), Path::new("/dev/console"), TargetKind::File)?;
        mount::attach(tree.as_fd(), console.as_fd())?;
        self.terminal = Some((master, slave));
        Ok(())
    }

    /// Only the root mount itself: what is mounted below keeps its own mode. It is covered by a read-only clone.
    fn make_root_read_only(&mut self) -> io::Result<()> {
        mount::set_attributes_here(
            self.root(),
            Attributes {
                read_only: true,
                ..Attributes::default()
            },
        )
    }
}

/// Its own namespace has a name that init may change, unless a filter of the container around forbids the call as such (podman's
/// does): then it keeps that container's name.
fn unless_forbidden(set: io::Result<()>) -> io::Result<()> {
    match set {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) && is_filtered() => {
            tracing::warn!(%error, "the surroundings forbid names of hosts");
            Ok(())
        }
        set => set,
    }
}

/// Whether a system call filter is upon this process, which init has not given itself yet.
fn is_filtered() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line == "Seccomp:\t2")
}

/// With the rights of the container's root, while the host's programs are still in sight. What it says goes to memory: a pipe
/// could fill.
fn run_hook(hook: &Hook, state: &str) -> io::Result<()> {
    let mut said = File::from(rustix::fs::memfd_create("hook", MemfdFlags::CLOEXEC)?);
    let mut arguments = hook.args().iter().flatten();
    let mut command = Command::new(hook.path());
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let variables = hook.env().iter().flatten();
    let mut child = command
        .args(arguments)
        .env_clear()
        .envs(variables.filter_map(|variable| variable.split_once('=')))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(said.try_clone()?)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(state.as_bytes()) {
            // It need not read it.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
    }
    let in_time = wait_for_hook(&child, hook.timeout())?;
    if !in_time {
        child.kill()?;
    }
    let status = child.wait()?;
    if in_time && status.success() {
        return Ok(());
    }
    let mut text = Vec::new();
    said.rewind()?;
    said.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let end = match in_time {
        true => status.to_string(),
        false => format!("not done after {} s", hook.timeout().unwrap_or_default()),
    };
    Err(io::Error::other(format!("{end}: {}", text.trim())))
}

/// Whether it ends within so many seconds, if there is an end to them.
fn wait_for_hook(child: &Child, seconds: Option<i64>) -> io::Result<bool> {
    let Some(seconds) = seconds else {
        return Ok(true);
    };
    let limit = Duration::from_secs(seconds.unsigned_abs());
    let pidfd = rustix::process::pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut set = PollSet::new();
        set.add(pidfd.as_fd(), Interest::Read, ());
        match set.wait(Some(left))?.is_empty() {
            false => return Ok(true),
            true if left.is_zero() => return Ok(false),
            true => {}
        }
    }
}

/// The working directory becomes `/`, and there is no other way out than by rights that the program does not get.
pub(super) fn confine(root: BorrowedFd<'_>) -> io::Result<()> {
    rustix::process::fchdir(root)?;
    rustix::process::chroot(".")?;
    rustix::process::chdir("/").map_err(io::Error::from)
}

/// What is bound. Another container may be putting links in the place of directories: never out of the source.
fn open_source(wanted: &BindMount) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let source = rustix::fs::open(&wanted.source, flags, Mode::empty())?;
    match wanted.subpath.as_os_str().as_encoded_bytes() {
        [] => Ok(source),
        below => open_in_root(&source, below, OFlags::PATH, Mode::empty(), Links::InRoot),
    }
}

/// Binds a directory or file of the host below `root`.
pub(super) fn bind(root: BorrowedFd<'_>, wanted: &BindMount) -> io::Result<()> {
    let source = open_source(wanted)?;
    let tree = mount::clone_tree(source.as_fd(), Path::new(""))?;
    attach(root, &tree, wanted)
}

/// Mounts what was cloned, as it is wanted.
fn attach(root: BorrowedFd<'_>, tree: &OwnedFd, wanted: &BindMount) -> io::Result<()> {
    let is_directory =
        FileType::from_raw_mode(rustix::fs::fstat(tree)?.st_mode) == FileType::Directory;
    if wanted.attributes != Attributes::default() {
        mount::set_attributes(tree.as_fd(), wanted.attributes)?;
    }
    let kind = if is_directory {
        TargetKind::Directory
    } else {
        TargetKind::File
    };
    let target = match wanted.engine && is_directory {
        true => engine_directory(root, &wanted.target)?,
        false => mount_target(root, &wanted.target, kind)?,
    };
    // A mount over a file of procfs could make the kernel's answers lies (CVE-2025-52881): not unless asked for by name.
    let asked = wanted.target.starts_with("/proc");
    if !asked && rustix::fs::fstatfs(&target)?.f_type == PROC_SUPER_MAGIC {
        return Err(io::Error::other("a symlink in the image leads into /proc"));
    }
    mount::attach(tree.as_fd(), target.as_fd())?;
    let Some(propagation) = wanted.propagation else {
        return Ok(());
    };
    // By descriptor of what was just mounted, never by a path that a container could have changed.
    let place = PathBuf::from(format!("/proc/self/fd/{}", tree.as_raw_fd()));
    mount::set_propagation(&place, propagation)
}

fn describe(step: &SetupStep) -> String {
    match step {
        SetupStep::CgroupNamespace => "leave the cgroup namespace".to_owned(),
        SetupStep::Loopback => "bring up the loopback interface".to_owned(),
        SetupStep::Hostname(name) => format!("set the hostname {name}"),
        SetupStep::Domainname(name) => format!("set the domain name {name}"),
        SetupStep::IsolatedMounts => "isolate the mount namespace".to_owned(),
        SetupStep::Root => "mount the root filesystem".to_owned(),
        SetupStep::Accounts(_) => "add accounts to the image's".to_owned(),
        SetupStep::Fill { target, .. } => {
            format!("fill the volume at {}", target.display())
        }
        SetupStep::FileSystem(mount) => {
            format!("mount {} at {}", mount.kind, mount.target.display())
        }
        SetupStep::Bind(bind) => {
            let (source, target) = (bind.source.display(), bind.target.display());
            match bind.subpath.as_os_str().is_empty() {
                true => format!("mount {source} at {target}"),
                false => format!("mount {} of {source} at {target}", bind.subpath.display()),
            }
        }
        SetupStep::Device(name) => format!("provide {name}"),
        SetupStep::Symlink { link, .. } => format!("make the link {link}"),
        SetupStep::SharedMemory => "share the other container's /dev/shm".to_owned(),
        SetupStep::Terminal => "open a terminal".to_owned(),
        SetupStep::Directory(path) => {
            format!("make the directory {}", path.display())
        }
        SetupStep::Secrets(_) => "mount the secrets".to_owned(),
        SetupStep::Masked(path) => format!("mask {}", path.display()),
        SetupStep::ReadOnly(path) => format!("make {} read-only", path.display()),
        SetupStep::ReadOnlyRoot => "make the root read-only".to_owned(),
        SetupStep::Hook(hook) => format!("run the device's hook {}", hook.path().display()),
        SetupStep::Pivot => "change to the new root".to_owned(),
        SetupStep::Sysctl { key, .. } => format!("set the sysctl {key}"),
        SetupStep::Copy => "open the copy of the layers".to_owned(),
        SetupStep::Nodes => "make /dev".to_owned(),
        SetupStep::Lent(lent) => format!("put {} in its place", lent.target.display()),
        SetupStep::HostTerminal => "open a terminal".to_owned(),
        SetupStep::Chroot => "change to the copy of the layers".to_owned(),
    }
}
