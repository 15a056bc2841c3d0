//! One more program in a running container: joins its namespaces, gives up its rights, executes the stub.
//!
//! The monitor's half is `Entering`, which never blocks: what the container's own files make the other half wait for is its
//! own affair. That other half is two processes: one that joins the namespaces and clones the second, which is then in the
//! pid namespace and the monitor's child. They say `p` (the clone's pid), then wait for `m` → `r` (ready, with the
//! terminal's master if there is one) or `e` (a `SetupError`) → `x` (execute, with the filter). The socket closes with the exec.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sched::CloneFlags;
use oci_spec::runtime::{LinuxCapabilities, Process};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::capability::CapabilitySet;
use super::child::{self, Inherited};
use super::defaults;
use super::execute::{
    Init, Launch, SetupError, Streams, decode, execve_error, open_directory, stub_program,
};
use super::home;
use super::plan::{self, Extras};
use super::preserved::Preserved;
use super::seccomp::Program;
use super::steps::{Given, Setup};
use super::userns::{Maps, UserNamespace};
use crate::sys::fs::{Links, open_in_root};
use crate::sys::process::{self, Forked};
use crate::sys::socket;
use crate::sys::{capability, fault, keyring, namespace, role, terminal, text};

/// What a program that enters a container differs in from the container's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramChoice {
    pub args: Vec<String>,
    /// `NAME=value`, over the container's.
    pub env: Vec<String>,
    /// None: the container's.
    pub cwd: Option<String>,
    pub user: Option<String>,
    pub terminal: bool,
    /// With all capabilities that the kernel has.
    pub privileged: bool,
}

impl ProgramChoice {
    /// The container's own process with these choices.
    fn process(&self, own: &Process) -> Process {
        let mut process = own.clone();
        process
            .set_args(Some(self.args.clone()))
            .set_terminal(Some(self.terminal));
        let mut env: Vec<String> = own.env().clone().unwrap_or_default();
        let name_of = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
        let term = self.terminal.then(|| format!("TERM={}", defaults::TERM));
        let known = |env: &[String], name: &str| env.iter().position(|one| name_of(one) == name);
        if let (Some(term), None) = (term, known(&env, "TERM")) {
            env.push(term);
        }
        for entry in &self.env {
            match known(&env, &name_of(entry)) {
                Some(at) => env[at].clone_from(entry),
                None => env.push(entry.clone()),
            }
        }
        process.set_env(Some(env));
        if let Some(cwd) = &self.cwd {
            process.set_cwd(cwd.into());
        }
        if let Some(user) = &self.user {
            let mut chosen = own.user().clone();
            chosen.set_username(Some(user.clone()));
            process.set_user(chosen);
        }
        if self.privileged {
            let all = CapabilitySet::up_to(capability::last());
            let mut sets: LinuxCapabilities = own.capabilities().clone().unwrap_or_default();
            sets.set_bounding(Some(all.into()))
                .set_permitted(Some(all.into()))
                .set_effective(Some(all.into()));
            process.set_capabilities(Some(sets));
        }
        process
    }
}

/// A program on its way into a container.
pub struct Entering {
    /// The process that joins the namespaces; it ends by itself.
    pub helper: Pid,
    /// The program's, once it is cloned, as the monitor's waits report it.
    pub pid: Option<Pid>,
    /// The terminal's master, if it has one.
    pub terminal: Option<OwnedFd>,
    has_terminal: bool,
    /// Rows and columns that the terminal has before the program sees it.
    size: Option<(u16, u16)>,
    program: String,
    filter: Option<Program>,
    /// None: it has closed, so the stub runs.
    socket: Option<OwnedFd>,
    failure: OwnedFd,
}

/// How far an entering program has come.
#[derive(Debug)]
pub enum Progress {
    Pending,
    Running,
    Failed(SetupError),
}

impl Entering {
    /// Forks the helper. Called by the monitor, whose children both processes are.
    pub fn begin(
        init: &Init,
        launch: &Launch,
        choice: &ProgramChoice,
        (streams, preserved): (Streams, Preserved),
        size: Option<(u16, u16)>,
    ) -> Result<Entering, SetupError> {
        let failed = |what: &'static str| move |error: io::Error| SetupError::step(what, &error);
        let filter = launch.filter().map_err(|error| SetupError::User {
            message: error.to_string(),
        })?;
        let (ours, theirs) = socket::pair().map_err(failed("make a socket pair"))?;
        let (failure, child_failure) = pipe_with(PipeFlags::CLOEXEC)
            .map_err(|error| SetupError::step("make a pipe", &error.into()))?;
        for end in [&ours, &failure] {
            socket::set_nonblocking(end.as_fd()).map_err(failed("prepare a socket"))?;
        }
        let stub = stub_program().map_err(failed("copy the stub to memory"))?;
        give_to_root(&streams, init).map_err(failed("hand over the standard streams"))?;
        let door = Door::to(init, launch).map_err(failed("find the container's namespaces"))?;
        let gift = Inherited {
            socket: theirs,
            failure: child_failure,
            stub,
            root: None,
            shared_memory: None,
            streams,
            preserved,
        };
        let helper = match process::fork().map_err(failed("fork a process"))? {
            Forked::Parent(pid) => pid,
            Forked::Child => enter(launch, choice, door, gift),
        };
        Ok(Entering {
            helper,
            pid: None,
            terminal: None,
            has_terminal: choice.terminal,
            size,
            program: choice
                .args
                .first()
                .map_or(String::new(), |name| text::shown(name).into_owned()),
            filter,
            socket: Some(ours),
            failure,
        })
    }

    /// What to wait on before `advance`.
    pub fn source(&self) -> BorrowedFd<'_> {
        self.socket.as_ref().unwrap_or(&self.failure).as_fd()
    }

    /// Takes what has been said; never waits.
    pub fn advance(&mut self) -> Progress {
        while let Some(socket) = &self.socket {
            match socket::receive_message(socket.as_fd()) {
                Ok(Some((message, fds))) => {
                    if let Err(error) = self.take(&message, fds) {
                        return Progress::Failed(error);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Progress::Pending;
                }
                Ok(None) | Err(_) => self.socket = None,
            }
        }
        let mut errno = [0; 4];
        match rustix::io::read(&self.failure, &mut errno) {
            // Closed by the exec; before there was a program to execute, by an end without a word.
            Ok(0) if self.pid.is_some() => Progress::Running,
            Ok(4) => Progress::Failed(execve_error(&self.program, i32::from_le_bytes(errno))),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Progress::Pending,
            _ => Progress::Failed(SetupError::Ended { code: -1 }),
        }
    }

    fn take(&mut self, message: &[u8], mut fds: Vec<OwnedFd>) -> Result<(), SetupError> {
        let ended = SetupError::Ended { code: -1 };
        match message.split_first() {
            Some((b'p', pid)) => {
                let pid = pid.try_into().ok().map(i32::from_le_bytes);
                self.pid = pid.and_then(Pid::from_raw);
                self.say(&[b"m"])?;
                if !self.has_terminal {
                    // It need not wait for it when it is ready. One that has failed meanwhile has said so.
                    let _ = self.release();
                }
                Ok(())
            }
            Some((b'r', _)) if self.has_terminal => {
                self.terminal = fds.pop();
                if let (Some(master), Some(size)) = (&self.terminal, self.size) {
                    // A size that the kernel refuses is no reason not to run.
                    let _ = terminal::set_size(master.as_fd(), size);
                }
                self.release()
            }
            Some((b'r', _)) => Ok(()),
            Some((b'e', error)) => Err(decode(error)),
            _ => Err(ended),
        }
    }

    /// The last word, with the filter.
    fn release(&self) -> Result<(), SetupError> {
        let filter = self.filter.as_ref().map(Program::to_bytes);
        self.say(&[b"x", &filter.unwrap_or_default()])
    }

    fn say(&self, parts: &[&[u8]]) -> Result<(), SetupError> {
        let sent = self
            .socket
            .as_ref()
            .is_some_and(|socket| socket::send(socket.as_fd(), parts, &[]).unwrap_or(false));
        match sent {
            true => Ok(()),
            false => Err(SetupError::Ended { code: -1 }),
        }
    }
}

/// Where the user's own id means nothing in the container, the program can be given only what belongs to its root.
fn give_to_root(streams: &Streams, init: &Init) -> io::Result<()> {
    if let Some(shift) = init.shift.get() {
        return shift.iter().try_for_each(|maps| streams.give_to_root(maps));
    }
    let (maps, home) = (home::maps_of(init.host_pid)?, home::maps()?);
    let is_home = maps == home || maps == Maps::identity_of(&home);
    let shift = init.shift.get_or_init(|| (!is_home).then_some(maps));
    shift.iter().try_for_each(|maps| streams.give_to_root(maps))
}

/// The way in: opened by the monitor, since nothing below /proc can be trusted inside.
struct Door {
    init: OwnedFd,
    /// Those that init does not share with the monitor; the cgroup namespace comes after the clone.
    kinds: CloneFlags,
    cgroup_namespace: Option<OwnedFd>,
    cgroup: Option<OwnedFd>,
}

impl Door {
    fn to(init: &Init, launch: &Launch) -> io::Result<Door> {
        if launch.is_confined() {
            // All of them are those of the surroundings.
            return Ok(Door {
                init: init.pidfd.try_clone()?,
                kinds: CloneFlags::empty(),
                cgroup_namespace: None,
                cgroup: launch.cgroup.as_deref().map(open_directory).transpose()?,
            });
        }
        const KINDS: [(&str, CloneFlags); 6] = [
            ("user", CloneFlags::CLONE_NEWUSER),
            ("mnt", CloneFlags::CLONE_NEWNS),
            ("pid", CloneFlags::CLONE_NEWPID),
            ("net", CloneFlags::CLONE_NEWNET),
            ("ipc", CloneFlags::CLONE_NEWIPC),
            ("uts", CloneFlags::CLONE_NEWUTS),
        ];
        let mut kinds = CloneFlags::empty();
        for (kind, flag) in KINDS {
            if differs(init, kind)? {
                kinds |= flag;
            }
        }
        let cgroup_namespace = match differs(init, "cgroup")? {
            true => Some(namespace::open(init.host_pid, "cgroup")?),
            false => None,
        };
        Ok(Door {
            init: init.pidfd.try_clone()?,
            kinds,
            cgroup_namespace,
            cgroup: launch.cgroup.as_deref().map(open_directory).transpose()?,
        })
    }
}

/// Whether init's namespace of this kind is not the monitor's own.
fn differs(init: &Init, kind: &str) -> io::Result<bool> {
    let inode = |path: String| rustix::fs::stat(path).map(|stat| stat.st_ino);
    let theirs = inode(format!("/proc/{}/ns/{kind}", init.host_pid))?;
    Ok(theirs != inode(format!("/proc/self/ns/{kind}"))?)
}

/// The helper's whole life.
fn enter(launch: &Launch, choice: &ProgramChoice, door: Door, mut gift: Inherited) -> ! {
    let Err(error) = pass(launch, choice, &door, &mut gift);
    let text = serde_json::to_vec(&error).unwrap_or_default();
    let _ = socket::send(gift.socket.as_fd(), &[b"e", &text], &[]);
    process::exit_now(error.exit_code())
}

fn pass(
    launch: &Launch,
    choice: &ProgramChoice,
    door: &Door,
    gift: &mut Inherited,
) -> Result<std::convert::Infallible, SetupError> {
    let failed = |what: &'static str| move |error: io::Error| SetupError::step(what, &error);
    role::set("exec");
    let Door {
        init,
        kinds,
        cgroup_namespace,
        cgroup,
    } = door;
    child::begin_role(
        gift,
        &[Some(init), cgroup_namespace.as_ref(), cgroup.as_ref()],
    )?;
    child::hide()?;
    if !kinds.is_empty() {
        namespace::join(init.as_fd(), *kinds).map_err(failed("join the container's namespaces"))?;
    }
    let cloned = process::clone3(libc::CLONE_PARENT as u64, cgroup.as_ref().map(AsFd::as_fd));
    if let Some(cloned) = cloned.map_err(failed("clone into the container"))? {
        let pid = cloned.pid.as_raw_nonzero().get().to_le_bytes();
        let said = socket::send(gift.socket.as_fd(), &[b"p", &pid], &[]);
        fault::linger("exec helper");
        process::exit_now(if said.is_ok() { 0 } else { 125 })
    }
    child::expect(gift, b'm');
    if let Some(namespace) = cgroup_namespace {
        namespace::join(namespace.as_fd(), CloneFlags::CLONE_NEWCGROUP)
            .map_err(failed("join the container's cgroup namespace"))?;
    }
    become_program(launch, choice, gift)
}

fn become_program(
    launch: &Launch,
    choice: &ProgramChoice,
    gift: &Inherited,
) -> Result<std::convert::Infallible, SetupError> {
    let failed = |what: &'static str| move |error: io::Error| SetupError::step(what, &error);
    let mut spec = launch.spec.clone();
    spec.set_process(Some(choice.process(launch.process()?)));
    let launch = Launch {
        spec,
        extras: Extras::default(),
        steps: plan::entering(&launch.spec, choice.terminal),
        rootfs: launch.rootfs.clone(),
        fake_chown: launch.fake_chown,
        user: UserNamespace::Joined,
        joins: Vec::new(),
        network_file: None,
        added_groups: launch.added_groups.clone(),
        keep_groups: launch.keep_groups,
        hook_state: String::new(),
        init: false,
        cgroup: None,
    };
    child::need_no_keyring(&launch, keyring::leave_session())?;
    if !rustix::process::geteuid().is_root() {
        child::become_root()?;
    }
    let mut setup = Setup::new(&launch, Given::default());
    for step in &launch.steps {
        setup.execute(step)?;
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty())
        .map_err(|error| SetupError::step("open the container's root", &error.into()))?;
    let terminal = match setup.terminal.take() {
        None if choice.terminal => Some(open_terminal(root.as_fd())),
        opened => opened.map(Ok),
    };
    let terminal = terminal.transpose().map_err(failed("open a terminal"))?;
    child::finish(&launch, root.as_fd(), terminal.as_ref(), gift)
}

/// A new terminal of the container's devpts: whatever lies at that path is only believed if it is one.
fn open_terminal(root: BorrowedFd<'_>) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let open = |flags| open_in_root(root, b"dev/pts/ptmx", flags, Mode::empty(), Links::Refuse);
    // Asked before it is opened: opening a device may have effects.
    let place = open(OFlags::PATH)?;
    let stat = rustix::fs::fstat(&place)?;
    let is_it = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && stat.st_rdev == rustix::fs::makedev(5, 2)
        && rustix::fs::fstatfs(&place)?.f_type == DEVPTS_SUPER_MAGIC;
    if !is_it {
        return Err(io::Error::other(
            "/dev/pts/ptmx of the container is none of its devpts",
        ));
    }
    let master = open(flags)?;
    let same = rustix::fs::fstat(&master)?;
    if (same.st_dev, same.st_ino) != (stat.st_dev, stat.st_ino) {
        return Err(io::Error::other("/dev/pts/ptmx was exchanged"));
    }
    let slave = terminal::open_peer(master.as_fd())?;
    Ok((master, slave))
}

/// statfs(2)
const DEVPTS_SUPER_MAGIC: rustix::fs::FsWord = 0x1cd1;

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::ProcessBuilder;

    #[test]
    fn choices_go_over_the_containers_own() {
        let own = ProcessBuilder::default()
            .args(["sleep".to_owned(), "9".to_owned()])
            .env(["PATH=/bin".to_owned(), "A=1".to_owned()])
            .cwd("/srv")
            .build()
            .expect("complete");
        let choice = ProgramChoice {
            args: vec!["sh".to_owned()],
            env: vec!["A=2".to_owned(), "B=".to_owned()],
            terminal: true,
            user: Some("app".to_owned()),
            ..ProgramChoice::default()
        };
        let process = choice.process(&own);
        let env = process.env().clone().unwrap_or_default();
        assert_eq!(env, ["PATH=/bin", "A=2", "TERM=xterm", "B="]);
        assert_eq!(process.args(), &Some(vec!["sh".to_owned()]));
        assert_eq!(process.cwd(), std::path::Path::new("/srv"));
        assert_eq!(process.user().username().as_deref(), Some("app"));
    }
}
