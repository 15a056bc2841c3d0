//! The container's init before it becomes the program: executes the plan, then gives up its rights. Never returns.
//!
//! Runs in a fork of the monitor inside the new namespaces, non-dumpable, with no descriptor but those it was given.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;
use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags};
use rustix::process::{DumpableBehavior, Gid, Uid};

use rustix::fs::PROC_SUPER_MAGIC;

use super::capability::ProcessCapabilities;
use super::execute::{Launch, SetupError, Streams, c_strings, keep_list};
use super::plan::{BindMount, FileSystemMount, SetupStep};
use super::rootfs::{TargetKind, clean, engine_directory, make_directories, mount_target};
use super::user::{self, Account};
use crate::sys::fs::{Links, open_in_root};
use crate::sys::mount::{self, Attributes};
use crate::sys::socket::{self, Received};
use crate::sys::{
    capability, keyring, namespace, network, process, role, seccomp, signal, terminal,
};

/// The descriptors that cross the clone.
pub struct Inherited {
    pub socket: OwnedFd,
    pub failure: OwnedFd,
    pub stub: OwnedFd,
    /// The root's mount, unless init makes it.
    pub root: Option<OwnedFd>,
    pub streams: Streams,
}

/// Sets the container up and executes its program; a failure is reported on the socket.
pub fn run(launch: &Launch, inherited: Inherited) -> ! {
    let socket = inherited.socket.as_fd();
    let Err(error) = become_program(launch, &inherited);
    let text = serde_json::to_vec(&error).unwrap_or_default();
    let _ = socket::send(socket, &[b"e", &text], &[]);
    process::exit_now(error.exit_code())
}

fn become_program(
    launch: &Launch,
    inherited: &Inherited,
) -> Result<std::convert::Infallible, SetupError> {
    let failed = |what: &'static str| move |error: io::Error| SetupError::step(what, &error);
    role::set("init");
    signal::reset_all().map_err(failed("reset signals"))?;
    let (stdin, stdout, stderr) = match &inherited.streams {
        Streams::Terminal => (None, None, None),
        Streams::Pipes {
            stdin,
            stdout,
            stderr,
        } => (stdin.as_ref(), Some(stdout), Some(stderr)),
    };
    let all = [
        Some(&inherited.socket),
        Some(&inherited.failure),
        Some(&inherited.stub),
        inherited.root.as_ref(),
        stdin,
        stdout,
        stderr,
    ];
    let mut kept = keep_list(&all);
    // Closes with the exec of the stub.
    kept.extend(role::trace_fd());
    process::close_all_except(&kept).map_err(failed("close inherited descriptors"))?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    leave_keyring(launch)?;
    expect(inherited, b'm')?;
    // Only now: a process that is not dumpable cannot have its maps written.
    let hidden = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    hidden.map_err(|error| SetupError::step("make init undumpable", &error.into()))?;

    let mut setup = Setup {
        launch,
        given_root: inherited.root.as_ref(),
        root: None,
        terminal: None,
    };
    for step in &launch.steps {
        setup.execute(step)?;
    }
    let account = setup.account()?;
    let program = setup.find_program(&account)?;
    let master = setup.terminal.as_ref().map(|(master, _)| master);
    let ready = socket::send(inherited.socket.as_fd(), &[b"r"], &keep_list(&[master]));
    ready.map_err(failed("report to the monitor"))?;
    expect(inherited, b'x')?;
    setup.take_streams(inherited, &account)?;
    setup.limit_resources()?;
    setup.drop_privileges(&account)?;
    let arguments = program.arguments(launch, &account)?;
    let error = process::execute(inherited.stub.as_fd(), &arguments.args, &arguments.env);
    Err(SetupError::step("execute the stub", &error))
}

/// The user's session keyring may hold secrets. Users have a quota of keyrings (200); beyond it, as on kernels without keys,
/// the filter, which refuses keyctl(2), has to do.
fn leave_keyring(launch: &Launch) -> Result<(), SetupError> {
    match keyring::leave_session() {
        Err(error) if launch.seccomp.is_none() && error.raw_os_error() != Some(libc::ENOSYS) => {
            Err(SetupError::step("leave the session keyring", &error))
        }
        _ => Ok(()),
    }
}

/// Waits for the monitor's word; anything else means that it has given up, and then nobody waits for an answer.
fn expect(inherited: &Inherited, word: u8) -> Result<(), SetupError> {
    let mut buffer = [0; 16];
    match socket::receive(inherited.socket.as_fd(), &mut buffer) {
        Ok(Received::Message(1, _)) if buffer[0] == word => Ok(()),
        _ => process::exit_now(125),
    }
}

struct Setup<'a> {
    launch: &'a Launch,
    given_root: Option<&'a OwnedFd>,
    root: Option<OwnedFd>,
    /// Master and slave.
    terminal: Option<(OwnedFd, OwnedFd)>,
}

impl Setup<'_> {
    fn execute(&mut self, step: &SetupStep) -> Result<(), SetupError> {
        tracing::debug!(step = describe(step), "set up");
        let done = match step {
            SetupStep::CgroupNamespace => namespace::leave(CloneFlags::CLONE_NEWCGROUP),
            SetupStep::Loopback => network::bring_up("lo"),
            SetupStep::Hostname(name) => nix::unistd::sethostname(name).map_err(io::Error::from),
            SetupStep::IsolatedMounts => mount::isolate_propagation(),
            SetupStep::Root => return self.mount_root(),
            SetupStep::FileSystem(file_system) => self.mount_file_system(file_system),
            SetupStep::Bind(bind) => self.bind(bind),
            SetupStep::Device(name) => self.device(name),
            SetupStep::Symlink { target, link } => self.link(link, target),
            SetupStep::Terminal => self.open_terminal(),
            SetupStep::Directory(path) => make_directories(self.root(), path).map(drop),
            SetupStep::Masked(path) => self.mask(path),
            SetupStep::ReadOnly(path) => self.make_read_only(path),
            SetupStep::ReadOnlyRoot => self.make_root_read_only(),
            SetupStep::Pivot => mount::pivot(self.root()),
            SetupStep::Sysctl { key, value } => self.write_sysctl(key, value),
        };
        done.map_err(|error| SetupError::step(describe(step), &error))
    }

    fn root(&self) -> std::os::fd::BorrowedFd<'_> {
        self.root
            .as_ref()
            .expect("the plan mounts the root before anything below it")
            .as_fd()
    }

    fn mount_root(&mut self) -> Result<(), SetupError> {
        let given = self.given_root.map(AsFd::as_fd);
        let root = self.launch.rootfs.mount(given);
        self.root = Some(root.map_err(|error| SetupError::root(&error))?);
        Ok(())
    }

    fn mount_file_system(&self, wanted: &FileSystemMount) -> io::Result<()> {
        let target = if wanted.engine {
            engine_directory(self.root(), &wanted.target)?
        } else {
            mount_target(self.root(), &wanted.target, TargetKind::Directory)?
        };
        let options: Vec<(&str, &str)> = wanted
            .options
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        match mount::create(&wanted.kind, &options, wanted.attributes) {
            Ok(tree) => mount::attach(tree.as_fd(), target.as_fd()),
            Err(error) if wanted.optional && error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn bind(&self, wanted: &BindMount) -> io::Result<()> {
        let source = rustix::fs::open(
            &wanted.source,
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let is_directory =
            FileType::from_raw_mode(rustix::fs::fstat(&source)?.st_mode) == FileType::Directory;
        let tree = mount::clone_tree(source.as_fd(), Path::new(""))?;
        if wanted.attributes != Attributes::default() {
            mount::set_attributes(tree.as_fd(), wanted.attributes)?;
        }
        let kind = if is_directory {
            TargetKind::Directory
        } else {
            TargetKind::File
        };
        let target = mount_target(self.root(), &wanted.target, kind)?;
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

    fn device(&self, path: &str) -> io::Result<()> {
        let host = Path::new(path);
        let tree = mount::clone_tree(rustix::fs::CWD, host)?;
        if FileType::from_raw_mode(rustix::fs::fstat(&tree)?.st_mode) != FileType::CharacterDevice {
            return Err(io::Error::other(format!(
                "{} of the host is no device",
                host.display()
            )));
        }
        let target = mount_target(self.root(), host, TargetKind::File)?;
        mount::attach(tree.as_fd(), target.as_fd())
    }

    /// In a directory that the engine has just mounted and nobody else has seen.
    fn link(&self, link: &str, target: &str) -> io::Result<()> {
        let link = link.trim_start_matches('/');
        rustix::fs::symlinkat(target, self.root(), link).map_err(io::Error::from)
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

    /// A file is covered by the host's real null device, a directory by an empty read-only tmpfs; what is not there needs
    /// no mask.
    fn mask(&self, path: &Path) -> io::Result<()> {
        let Some(target) = self.existing(path)? else {
            return Ok(());
        };
        let is_directory =
            FileType::from_raw_mode(rustix::fs::fstat(&target)?.st_mode) == FileType::Directory;
        let cover = if is_directory {
            let read_only = Attributes {
                read_only: true,
                ..Attributes::default()
            };
            mount::create("tmpfs", &[("size", "0"), ("nr_inodes", "1")], read_only)?
        } else {
            let null = mount::clone_tree(rustix::fs::CWD, Path::new("/dev/null"))?;
            if rustix::fs::fstat(&null)?.st_rdev != rustix::fs::makedev(1, 3) {
                return Err(io::Error::other(
                    "the host's /dev/null is not the null device",
                ));
            }
            null
        };
        mount::attach(cover.as_fd(), target.as_fd())
    }

    fn make_read_only(&self, path: &Path) -> io::Result<()> {
        let Some(target) = self.existing(path)? else {
            return Ok(());
        };
        let tree = mount::clone_tree(target.as_fd(), Path::new(""))?;
        mount::set_attributes(
            tree.as_fd(),
            Attributes {
                read_only: true,
                ..Attributes::default()
            },
        )?;
        mount::attach(tree.as_fd(), target.as_fd())
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

    /// `net.ipv4.ip_forward` is `/proc/sys/net/ipv4/ip_forward`, on the procfs that was just mounted and no other
    /// (CVE-2025-52881).
    fn write_sysctl(&self, key: &str, value: &str) -> io::Result<()> {
        let path = format!("proc/sys/{}", key.replace('.', "/"));
        let file = open_in_root(
            self.root(),
            path.as_bytes(),
            OFlags::WRONLY,
            Mode::empty(),
            Links::Refuse,
        )?;
        let written = rustix::io::write(&file, value.as_bytes())?;
        if written == value.len() {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::WriteZero))
        }
    }

    fn existing(&self, path: &Path) -> io::Result<Option<OwnedFd>> {
        let bytes = path.as_os_str().as_encoded_bytes();
        match open_in_root(
            self.root(),
            bytes,
            OFlags::PATH,
            Mode::empty(),
            Links::Refuse,
        ) {
            Ok(found) => Ok(Some(found)),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn account(&self) -> Result<Account, SetupError> {
        let wanted = process_of(self.launch)?
            .user()
            .username()
            .clone()
            .unwrap_or_default();
        user::resolve(self.root(), &wanted).map_err(|error| SetupError::User {
            message: error.to_string(),
        })
    }

    /// Enters the working directory and finds the program, as the kernel will once privileges are dropped.
    fn find_program(&self, account: &Account) -> Result<Program, SetupError> {
        let spec = process_of(self.launch)?;
        let cwd = clean(spec.cwd());
        let failed = |error: io::Error| {
            SetupError::step(
                format!("enter the working directory {}", cwd.display()),
                &error,
            )
        };
        let directory = open_in_root(
            self.root(),
            cwd.as_os_str().as_encoded_bytes(),
            OFlags::PATH | OFlags::DIRECTORY,
            Mode::empty(),
            Links::InRoot,
        );
        rustix::process::fchdir(directory.map_err(failed)?)
            .map_err(|error| failed(error.into()))?;
        // CVE-2024-21626: a directory outside the root has no path in it.
        let here = rustix::process::getcwd(Vec::new()).map_err(|error| failed(error.into()))?;
        if !here.as_bytes().starts_with(b"/") {
            return Err(failed(io::Error::other(
                "it lies outside the container's root",
            )));
        }
        let name = spec
            .args()
            .iter()
            .flatten()
            .next()
            .cloned()
            .unwrap_or_default();
        let env = spec.env().iter().flatten();
        let path = env
            .filter_map(|variable| variable.strip_prefix("PATH="))
            .next_back()
            .unwrap_or_default();
        let file = search(&name, path, account)?;
        Ok(Program {
            file,
            home: account.home.clone(),
        })
    }

    /// They are given to the program's user, as docker does: else `/dev/stdout` can't be opened by it.
    fn take_streams(&mut self, inherited: &Inherited, account: &Account) -> Result<(), SetupError> {
        let failed = |error: io::Error| SetupError::step("install the standard streams", &error);
        match (&inherited.streams, &self.terminal) {
            (
                Streams::Pipes {
                    stdin,
                    stdout,
                    stderr,
                },
                _,
            ) => {
                let streams = [stdin.as_ref(), Some(stdout), Some(stderr)];
                for (target, stream) in (0..).zip(streams) {
                    if let Some(stream) = stream {
                        give(stream, account).map_err(failed)?;
                        process::install_fd(stream.as_fd(), target).map_err(failed)?;
                    }
                }
                rustix::process::setsid().map_err(|error| failed(error.into()))?;
            }
            (Streams::Terminal, Some((_, slave))) => {
                give(slave, account).map_err(failed)?;
                for target in 0..3 {
                    process::install_fd(slave.as_fd(), target).map_err(failed)?;
                }
                terminal::take_control(slave.as_fd()).map_err(failed)?;
            }
            (Streams::Terminal, None) => {
                return Err(failed(io::Error::other("no terminal was opened")));
            }
        }
        process::install_fd(inherited.failure.as_fd(), 3).map_err(failed)
    }

    fn limit_resources(&self) -> Result<(), SetupError> {
        for limit in process_of(self.launch)?.rlimits().iter().flatten() {
            let name = limit.typ().to_string();
            let failed = |error: io::Error| {
                SetupError::step(
                    format!("set {name} to {}:{}", limit.soft(), limit.hard()),
                    &error,
                )
            };
            super::limit::set(&name, limit.soft(), limit.hard()).map_err(failed)?;
        }
        Ok(())
    }

    /// Docker's order: the filter loads while CAP_SYS_ADMIN is still effective, unless no_new_privs is asked for, and then last.
    fn drop_privileges(&self, account: &Account) -> Result<(), SetupError> {
        let spec = process_of(self.launch)?;
        let failed = |what: &'static str| move |error: io::Error| SetupError::step(what, &error);
        let sets = ProcessCapabilities::from_spec(spec.capabilities().as_ref(), account.uid);
        let no_new_privileges = spec.no_new_privileges().unwrap_or(false);
        capability::limit_bounding(sets.bounding.bits())
            .map_err(failed("limit the bounding set"))?;
        capability::clear_ambient().map_err(failed("clear the ambient set"))?;
        take_ids(account)?;
        if let (Some(filter), false) = (&self.launch.seccomp, no_new_privileges) {
            seccomp::load(&filter.instructions, filter.flags)
                .map_err(failed("load the seccomp filter"))?;
        }
        let masks = capability::Masks {
            effective: sets.effective.bits(),
            permitted: sets.permitted.bits(),
            inheritable: sets.inheritable.bits(),
        };
        capability::set(masks).map_err(failed("set capabilities"))?;
        if no_new_privileges {
            capability::set_no_new_privileges().map_err(failed("set no_new_privs"))?;
            if let Some(filter) = &self.launch.seccomp {
                seccomp::load(&filter.instructions, filter.flags)
                    .map_err(failed("load the seccomp filter"))?;
            }
        }
        Ok(())
    }
}

/// Makes the program's user the owner of a stream; the group stays, which for a terminal is tty.
fn give(stream: &OwnedFd, account: &Account) -> io::Result<()> {
    if account.uid == 0 {
        return Ok(());
    }
    let uid = Uid::from_raw(account.uid);
    rustix::fs::fchown(stream, Some(uid), None).map_err(io::Error::from)
}

/// Groups, then gid, then uid; the capabilities stay until they are set on purpose.
fn take_ids(account: &Account) -> Result<(), SetupError> {
    let failed =
        |what: String| move |error: rustix::io::Errno| SetupError::step(what, &error.into());
    let gid = Gid::from_raw(account.gid);
    let groups: Vec<Gid> = account
        .groups
        .iter()
        .map(|group| Gid::from_raw(*group))
        .collect();
    match rustix::thread::set_thread_groups(&groups) {
        // A single-id namespace denies setgroups (user_namespaces(7)); then root keeps what the user had.
        Err(rustix::io::Errno::PERM) if super::home::is_single_id() => {}
        other => other.map_err(failed(format!("set the groups {:?}", account.groups)))?,
    }
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .map_err(failed(format!("set gid {}", account.gid)))?;
    capability::keep_across_setuid(true)
        .map_err(|error| SetupError::step("keep capabilities", &error))?;
    let uid = Uid::from_raw(account.uid);
    rustix::thread::set_thread_res_uid(uid, uid, uid)
        .map_err(failed(format!("set uid {}", account.uid)))?;
    // Effective capabilities are cleared by the change of uid, permitted ones are kept.
    let held = capability::get().map_err(|error| SetupError::step("read capabilities", &error))?;
    let raised = capability::Masks {
        effective: held.permitted,
        ..held
    };
    capability::set(raised).map_err(|error| SetupError::step("raise capabilities", &error))?;
    capability::keep_across_setuid(false)
        .map_err(|error| SetupError::step("keep capabilities", &error))
}

fn process_of(launch: &Launch) -> Result<&oci_spec::runtime::Process, SetupError> {
    let missing = || SetupError::User {
        message: "the specification has no process".to_owned(),
    };
    launch.spec.process().as_ref().ok_or_else(missing)
}

/// A program that was found, by a path inside the root.
struct Program {
    file: String,
    home: String,
}

struct Arguments {
    args: Vec<CString>,
    env: Vec<CString>,
}

impl Program {
    /// The stub's arguments: mode, path, then the program's own, argv\[0\] as it was asked for.
    fn arguments(&self, launch: &Launch, account: &Account) -> Result<Arguments, SetupError> {
        let spec = process_of(launch)?;
        let mode = if launch.init { "init" } else { "exec" };
        let args = spec.args().iter().flatten().map(String::as_str);
        let args = c_strings([mode, self.file.as_str()].into_iter().chain(args));
        let home = format!(
            "HOME={}",
            if account.home.is_empty() {
                "/"
            } else {
                &self.home
            }
        );
        let given = spec.env().iter().flatten().map(String::as_str);
        let has_home = spec
            .env()
            .iter()
            .flatten()
            .any(|variable| variable.starts_with("HOME="));
        let env = c_strings(given.chain((!has_home).then_some(home.as_str())));
        let failed = |error: io::Error| SetupError::step("prepare the program's arguments", &error);
        Ok(Arguments {
            args: args.map_err(failed)?,
            env: env.map_err(failed)?,
        })
    }
}

/// execvp's search, inside the root: names with a slash are taken as they are.
fn search(name: &str, path: &str, account: &Account) -> Result<String, SetupError> {
    let not_found = || SetupError::NotFound {
        program: name.to_owned(),
    };
    if name.is_empty() {
        return Err(not_found());
    }
    if name.contains('/') {
        return match judge(name, account) {
            Verdict::Runs => Ok(name.to_owned()),
            Verdict::Missing => Err(not_found()),
            Verdict::Refused(message) => Err(SetupError::NotExecutable {
                program: name.to_owned(),
                message,
            }),
        };
    }
    let mut refused = None;
    for directory in path.split(':') {
        let file = if directory.is_empty() {
            format!("./{name}")
        } else {
            format!("{directory}/{name}")
        };
        match judge(&file, account) {
            Verdict::Runs => return Ok(file),
            Verdict::Refused(message) => refused = Some(message),
            Verdict::Missing => {}
        }
    }
    match refused {
        Some(message) => Err(SetupError::NotExecutable {
            program: name.to_owned(),
            message,
        }),
        None => Err(not_found()),
    }
}

enum Verdict {
    Runs,
    Missing,
    Refused(String),
}

fn judge(file: &str, account: &Account) -> Verdict {
    let stat = match rustix::fs::stat(file) {
        Ok(stat) => stat,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Verdict::Missing,
        Err(error) => return Verdict::Refused(io::Error::from(error).to_string()),
    };
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Verdict::Refused("is a directory".to_owned());
    }
    let executable = stat.st_mode & 0o111 != 0;
    let for_root = account.uid != 0
        || rustix::fs::accessat(rustix::fs::CWD, file, Access::EXEC_OK, AtFlags::empty()).is_ok();
    if executable && for_root {
        Verdict::Runs
    } else {
        Verdict::Refused("permission denied".to_owned())
    }
}

fn describe(step: &SetupStep) -> String {
    match step {
        SetupStep::CgroupNamespace => "leave the cgroup namespace".to_owned(),
        SetupStep::Loopback => "bring up the loopback interface".to_owned(),
        SetupStep::Hostname(name) => format!("set the hostname {name}"),
        SetupStep::IsolatedMounts => "isolate the mount namespace".to_owned(),
        SetupStep::Root => "mount the root filesystem".to_owned(),
        SetupStep::FileSystem(mount) => {
            format!("mount {} at {}", mount.kind, mount.target.display())
        }
        SetupStep::Bind(bind) => format!(
            "mount {} at {}",
            bind.source.display(),
            bind.target.display()
        ),
        SetupStep::Device(name) => format!("provide {name}"),
        SetupStep::Symlink { link, .. } => format!("make the link {link}"),
        SetupStep::Terminal => "open a terminal".to_owned(),
        SetupStep::Directory(path) => {
            format!("make the directory {}", path.display())
        }
        SetupStep::Masked(path) => format!("mask {}", path.display()),
        SetupStep::ReadOnly(path) => format!("make {} read-only", path.display()),
        SetupStep::ReadOnlyRoot => "make the root read-only".to_owned(),
        SetupStep::Pivot => "change to the new root".to_owned(),
        SetupStep::Sysctl { key, .. } => format!("set the sysctl {key}"),
    }
}
