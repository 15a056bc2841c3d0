//! From a plan to a process: the container's init is cloned by its monitor, sets up its own root, and executes the stub.
//!
//! The monitor's half is `Init`, the child's is `child`; they talk over one socket: `m` (map written) → the `Launch`, where it was not
//! known before → steps → `r` (ready,
//! with the terminal's master if there is one) or `e` (a `SetupError`) → `x` (execute, with the system call filter). The socket closes with the exec.

use std::cell::OnceCell;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespaceType, Spec};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Gid, Uid};
use serde::{Deserialize, Serialize};

use super::child;
use super::embedded::STUB;
use super::entrance::{Entrance, Join};
use super::fuse::FuseError;
use super::plan::{self, Extras, SetupStep, has_namespace};
use super::preserved::Preserved;
use super::rootfs::{Driver, Rootfs};
use super::seccomp::{self, Machine, Program, SeccompError};
use super::userns::{Maps, UserNamespace};
use crate::sys::{namespace, pidfd, socket, text};

/// Everything the setup of one container needs; made before its monitor exists, or sent to one that was called before.
#[derive(Default, Serialize, Deserialize)]
pub struct Launch {
    pub spec: Spec,
    /// What the plan is made of beside the specification.
    pub extras: Extras,
    #[serde(skip)]
    pub steps: Vec<SetupStep>,
    pub rootfs: Rootfs,
    /// The id map has only one id: changing an owner succeeds without effect.
    pub fake_chown: bool,
    #[serde(skip)]
    pub user: UserNamespace,
    /// Other containers whose namespaces init joins, as the specification's paths say.
    #[serde(skip)]
    pub joins: Vec<Join>,
    /// A network namespace by its file, which init joins too.
    #[serde(skip)]
    pub network_file: Option<PathBuf>,
    /// Groups beside the user's own, by the image's names or as numbers.
    pub added_groups: Vec<String>,
    /// Keep the groups of the user who starts it instead of taking the image's.
    pub keep_groups: bool,
    /// What the specification's hooks read, in JSON.
    pub hook_state: String,
    /// Run the program below bryo's own reaper.
    pub init: bool,
    /// The directory of that cgroup, once its monitor has made it.
    pub cgroup: Option<PathBuf>,
}

impl Launch {
    /// The filter the specification asks for; compiled by the monitor while init sets the root up.
    pub fn filter(&self) -> Result<Option<Program>, SeccompError> {
        // That needs CAP_SYS_ADMIN, or a program that can't get more rights. The surroundings' filter is upon it in any case.
        let process = self.spec.process().as_ref();
        let is_fixed = process.is_some_and(|p| p.no_new_privileges().unwrap_or(false));
        if self.is_confined() && !is_fixed {
            return Ok(None);
        }
        seccomp::program(&self.spec, Machine::host(), self.fake_chown)
    }

    /// As it was sent: a launch of a container that has all its namespaces to itself.
    pub fn from_bytes(bytes: &[u8]) -> io::Result<Launch> {
        let mut launch: Launch = serde_json::from_slice(bytes)?;
        let steps = plan::plan(&launch.spec, &launch.extras);
        launch.steps = steps.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(launch)
    }

    /// How its init is cloned.
    pub fn shape(&self) -> Shape {
        Shape {
            namespaces: clone_flags(&self.spec),
            cgroup: self.cgroup.clone(),
        }
    }

    /// Whether init can be cloned, and can hide itself, before anything else is known of the container (`Shape::private`).
    pub fn is_private(&self) -> bool {
        self.joins.is_empty()
            && self.network_file.is_none()
            && self.user == UserNamespace::Nested
            && self.rootfs.driver == Driver::Overlay
            && oom_score(&self.spec).is_none()
            && clone_flags(&self.spec) == all_namespaces()
    }

    /// It has no mounts of its own, nor any namespace: chroot(2) confines it to a copy of its layers.
    pub fn is_confined(&self) -> bool {
        !has_namespace(&self.spec, LinuxNamespaceType::Mount)
    }

    /// The container has no pid namespace that ends with its init: `sweep` has to end what is left.
    pub fn shares_pids(&self) -> bool {
        !has_namespace(&self.spec, LinuxNamespaceType::Pid)
    }

    pub(super) fn process(&self) -> Result<&oci_spec::runtime::Process, SetupError> {
        let missing = || SetupError::User {
            message: "the specification has no process".to_owned(),
        };
        self.spec.process().as_ref().ok_or_else(missing)
    }
}

/// What has to be known of a container when its init is cloned.
pub struct Shape {
    /// CLONE_NEW*.
    namespaces: u64,
    /// The directory of the container's own cgroup.
    pub cgroup: Option<PathBuf>,
}

impl Shape {
    /// Of a container that has all its namespaces to itself.
    pub fn private(cgroup: Option<PathBuf>) -> Shape {
        Shape {
            namespaces: all_namespaces(),
            cgroup,
        }
    }
}

/// What the program gets as descriptors 0 to 2. With a terminal they come from the container's own devpts.
pub enum Streams {
    Terminal,
    Nothing,
    Pipes {
        stdin: Option<OwnedFd>,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
    /// Those of whoever starts the container: whatever they are, their owner does not change.
    Passed([OwnedFd; 3]),
}

impl Streams {
    /// The user's own id may mean nothing in the container: init can hand on only what belongs to its root.
    pub(super) fn give_to_root(&self, shift: &Maps) -> io::Result<()> {
        let (
            Some((uid, gid)),
            Streams::Pipes {
                stdin,
                stdout,
                stderr,
            },
        ) = (shift.root(), self)
        else {
            return Ok(());
        };
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        for stream in [stdin.as_ref(), Some(stdout), Some(stderr)]
            .into_iter()
            .flatten()
        {
            rustix::fs::fchown(stream, Some(uid), Some(gid))?;
        }
        Ok(())
    }
}

/// Why a container could not be set up: the step and what the kernel said. Crosses the socket from init to monitor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SetupError {
    #[error("{step}: {message}")]
    Step {
        step: String,
        message: String,
        errno: Option<i32>,
    },
    #[error("mount the root filesystem: {message}")]
    Root { message: String, errno: Option<i32> },
    #[error("mount the root filesystem: {0}")]
    Fuse(FuseError),
    #[error("exec: {program:?}: executable file not found in $PATH")]
    NotFound { program: String },
    #[error("exec: {program:?}: {message}")]
    NotExecutable { program: String, message: String },
    #[error("{message}")]
    User { message: String },
    #[error("the container's init ended during its setup (code {code})")]
    Ended { code: i32 },
}

impl SetupError {
    /// Docker's exit codes for a container that did not start.
    pub fn exit_code(&self) -> i32 {
        match self {
            SetupError::NotFound { .. } => 127,
            SetupError::NotExecutable { .. } => 126,
            _ => 125,
        }
    }

    pub(super) fn root(error: &io::Error) -> SetupError {
        SetupError::Root {
            message: error.to_string(),
            errno: error.raw_os_error(),
        }
    }

    /// The kernel or the store's file system can't stack layers, as far as the error tells: a missing layer, a full disk or
    /// too little memory is no reason to try another way.
    pub fn says_no_overlay(&self) -> bool {
        let kinds = [
            libc::ENODEV,
            libc::EINVAL,
            libc::ENOSYS,
            libc::EOPNOTSUPP,
            libc::EPERM,
            libc::EACCES,
        ];
        matches!(self, SetupError::Root { errno: Some(errno), .. } if kinds.contains(errno))
    }

    pub(super) fn step(step: impl Into<String>, error: &io::Error) -> SetupError {
        SetupError::Step {
            step: step.into(),
            message: error.to_string(),
            errno: error.raw_os_error(),
        }
    }

    /// A step that takes a user's or a group's id; EINVAL says that the id map has none for it (user_namespaces(7)).
    pub(super) fn identity(step: &str, id: u32, error: &io::Error) -> SetupError {
        match error.raw_os_error() {
            Some(libc::EINVAL) => SetupError::User {
                message: format!(
                    "{step} {id}: not among the ids that the container has; bryo doctor shows whether there are subordinate ones"
                ),
            },
            _ => SetupError::step(format!("{step} {id}"), error),
        }
    }
}

/// A container's init: cloned, mapped and setting itself up.
pub struct Init {
    /// As the monitor's own pid namespace numbers it: what its waits report.
    pub pid: rustix::process::Pid,
    pub pidfd: OwnedFd,
    /// As the host's procfs names it.
    pub host_pid: i32,
    /// Keeps the mount namespace until its owner drops it: so its teardown is not part of the program's exit.
    pub mount_namespace: Option<OwnedFd>,
    pub network_namespace: Option<OwnedFd>,
    /// Its id maps, once they were asked for; none where they are those of the home namespace. They never change.
    pub(super) shift: OnceCell<Option<Maps>>,
    socket: OwnedFd,
    failure: OwnedFd,
}

impl Init {
    /// Clones init into new namespaces, maps its ids and lets it begin; `root` is the root's mount if init does not make it.
    /// Called by the monitor. Without a launch init waits until it is told one (`brief`).
    pub fn spawn(
        shape: &Shape,
        launch: Option<&Launch>,
        entrance: &Entrance,
        root: Option<OwnedFd>,
        (streams, preserved): (Streams, Preserved),
    ) -> Result<Init, SetupError> {
        let failed = |what: &'static str| move |error: io::Error| SetupError::step(what, &error);
        if let Some(shift) = entrance.shift() {
            streams
                .give_to_root(shift)
                .map_err(failed("hand over the standard streams"))?;
        }
        let shared_memory = entrance.shared_memory();
        let shared_memory = shared_memory.map_err(failed("copy the other container's /dev/shm"))?;
        let (socket, child_socket) = socket::pair().map_err(failed("make a socket pair"))?;
        let (failure, child_failure) = pipe_with(PipeFlags::CLOEXEC)
            .map_err(|error| SetupError::step("make a pipe", &error.into()))?;
        let stub = stub_program().map_err(failed("copy the stub to memory"))?;
        let cgroup = shape.cgroup.as_deref().map(open_directory).transpose();
        let cgroup = cgroup.map_err(failed("open the container's cgroup"))?;
        let cloned = entrance.clone_init(shape.namespaces, cgroup.as_ref().map(AsFd::as_fd));
        let cloned = cloned.map_err(failed("clone the container's init into new namespaces"))?;
        let Some(cloned) = cloned else {
            let gift = child::Inherited {
                socket: child_socket,
                failure: child_failure,
                stub,
                root,
                shared_memory,
                streams,
                preserved,
            };
            child::run(launch, gift)
        };
        drop((
            child_socket,
            child_failure,
            stub,
            root,
            shared_memory,
            streams,
            preserved,
        ));
        let host_pid =
            pidfd::host_pid(cloned.pidfd.as_fd()).map_err(failed("find the init's pid"))?;
        if shape.namespaces & libc::CLONE_NEWUSER as u64 != 0 {
            write_maps(host_pid, entrance.maps())?;
        }
        if let Some(launch) = launch {
            write_oom_score(&launch.spec, host_pid)?;
        }
        // Before init hides itself.
        let open = |kind| namespace::open(host_pid, kind);
        let init = Init {
            mount_namespace: open("mnt").ok(),
            network_namespace: open("net").ok(),
            pid: cloned.pid,
            pidfd: cloned.pidfd,
            host_pid,
            shift: OnceCell::new(),
            socket,
            failure,
        };
        init.say(b'm')?;
        Ok(init)
    }

    /// Tells an init that waits for it what to become: a `Launch` as bytes, one that a waiting init can become (`is_private`).
    pub fn brief(&self, launch: &[u8]) -> Result<(), SetupError> {
        match socket::send(self.socket.as_fd(), &[launch], &[]) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.ended()),
        }
    }

    /// Waits until everything but the program itself is set up; gives the terminal's master, if there is one.
    pub fn wait_ready(&self) -> Result<Option<OwnedFd>, SetupError> {
        match socket::receive_message(self.socket.as_fd()) {
            Ok(Some((message, mut fds))) => match message.split_first() {
                Some((b'r', _)) => Ok(fds.pop()),
                Some((b'e', error)) => Err(decode(error)),
                _ => Err(self.ended()),
            },
            _ => Err(self.ended()),
        }
    }

    /// Lets the program run once everything else is set up. May be said before init is ready, which then waits for nobody.
    pub fn release(&self, filter: Option<&Program>) -> io::Result<()> {
        let filter = filter.map(Program::to_bytes).unwrap_or_default();
        socket::send(self.socket.as_fd(), &[b"x", &filter], &[]).map(drop)
    }

    /// Returns when the program runs, or with the reason why it does not.
    pub fn wait_executed(&self, program: &str) -> Result<(), SetupError> {
        if let Ok(Some((message, _))) = socket::receive_message(self.socket.as_fd())
            && let Some((b'e', error)) = message.split_first()
        {
            return Err(decode(error));
        }
        let mut errno = [0; 4];
        match rustix::io::read(&self.failure, &mut errno) {
            Ok(0) => Ok(()),
            Ok(4) => Err(execve_error(program, i32::from_le_bytes(errno))),
            _ => Err(self.ended()),
        }
    }

    fn say(&self, word: u8) -> Result<(), SetupError> {
        match socket::send(self.socket.as_fd(), &[&[word]], &[]) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.ended()),
        }
    }

    /// Sees to it that init has ended: it went away without a word (killed, or a bug), or is not wanted any more.
    pub fn ended(&self) -> SetupError {
        let _ = pidfd::kill_hard(self.pidfd.as_fd());
        let code = pidfd::reap(self.pidfd.as_fd()).unwrap_or(-1);
        SetupError::Ended { code }
    }
}

pub(super) fn decode(error: &[u8]) -> SetupError {
    serde_json::from_slice(error).unwrap_or(SetupError::Ended { code: -1 })
}

/// The words for what the stub's execve said. A missing file that was found before is a missing interpreter.
pub(super) fn execve_error(program: &str, errno: i32) -> SetupError {
    let program = program.to_owned();
    let message = io::Error::from_raw_os_error(errno);
    match errno {
        libc::ENOENT => SetupError::NotExecutable {
            program,
            message: "its interpreter is missing in the image".into(),
        },
        libc::ENOEXEC => SetupError::NotExecutable {
            program,
            message: "exec format error".into(),
        },
        libc::EACCES => SetupError::NotExecutable {
            program,
            message: "permission denied".into(),
        },
        _ => SetupError::NotExecutable {
            program,
            message: message.to_string(),
        },
    }
}

const NAMESPACES: [(LinuxNamespaceType, i32); 6] = [
    (LinuxNamespaceType::Mount, libc::CLONE_NEWNS),
    (LinuxNamespaceType::Network, libc::CLONE_NEWNET),
    (LinuxNamespaceType::Ipc, libc::CLONE_NEWIPC),
    (LinuxNamespaceType::Uts, libc::CLONE_NEWUTS),
    (LinuxNamespaceType::Pid, libc::CLONE_NEWPID),
    (LinuxNamespaceType::User, libc::CLONE_NEWUSER),
];

fn all_namespaces() -> u64 {
    let all = NAMESPACES.iter();
    all.fold(0, |flags, (_, flag)| flags | flag) as u64
}

fn clone_flags(spec: &Spec) -> u64 {
    let chosen = NAMESPACES
        .iter()
        .filter(|(kind, _)| has_namespace(spec, *kind));
    chosen.fold(0, |flags, (_, flag)| flags | flag) as u64
}

/// Written by the monitor, which has the rights over both namespaces, so no helper is needed.
fn write_maps(host_pid: i32, maps: &Maps) -> Result<(), SetupError> {
    for (file, map) in [("uid_map", &maps.users), ("gid_map", &maps.groups)] {
        namespace::write_proc(&format!("/proc/{host_pid}/{file}"), &map.text())
            .map_err(|error| SetupError::step(format!("write the container's {file}"), &error))?;
    }
    Ok(())
}

fn oom_score(spec: &Spec) -> Option<i32> {
    spec.process().as_ref().and_then(|p| p.oom_score_adj())
}

/// Before init makes itself undumpable, which would give the file to root.
fn write_oom_score(spec: &Spec, host_pid: i32) -> Result<(), SetupError> {
    let Some(score) = oom_score(spec) else {
        return Ok(());
    };
    let path = format!("/proc/{host_pid}/oom_score_adj");
    namespace::write_proc(&path, &score.to_string()).map_err(|error| {
        let step = format!("set oom_score_adj to {score}, below the user's own");
        SetupError::step(step, &error)
    })
}

/// A sealed copy in memory: neither the binary on disk nor its pages can be reached through `/proc/PID/exe`.
pub(super) fn stub_program() -> io::Result<OwnedFd> {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = memfd_create("stub", flags)?;
    let mut rest = STUB;
    while !rest.is_empty() {
        rest = &rest[rustix::io::write(&memory, rest)?..];
    }
    fcntl_add_seals(
        &memory,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )?;
    Ok(memory)
}

pub(super) fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags =
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::open(path, flags, rustix::fs::Mode::empty()).map_err(io::Error::from)
}

/// NUL-terminated copies for the exec; an argument with a NUL inside cannot exist for a program.
/// Of bytes as [`text`] has them.
pub(super) fn c_strings<'a>(strings: impl Iterator<Item = &'a str>) -> io::Result<Vec<CString>> {
    strings
        .map(|string| CString::new(text::bytes(string)).map_err(io::Error::from))
        .collect()
}

/// A borrowed view for the places that take either.
pub(super) fn keep_list<'a>(fds: &[Option<&'a OwnedFd>]) -> Vec<BorrowedFd<'a>> {
    fds.iter().copied().flatten().map(AsFd::as_fd).collect()
}
