//! The container's init before it becomes the program: follows the plan, then gives up its rights. Never returns.
//!
//! Runs in a fork of the monitor inside the new namespaces, non-dumpable, with no descriptor but those it was given.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Gid, Signal, Uid};

use super::execute::{Launch, SetupError, Streams, keep_list};
use super::preserved::Preserved;
use super::seccomp::{self, Program};
use super::steps::{Given, Setup};
use super::user::{self, Account};
use super::{privileges, program};
use crate::sys::socket::{self, Received};
use crate::sys::{keyring, network, process, role, signal, terminal};

/// The descriptors that cross the clone.
pub struct Inherited {
    pub socket: OwnedFd,
    pub failure: OwnedFd,
    pub stub: OwnedFd,
    /// The root's mount, unless init makes it.
    pub root: Option<OwnedFd>,
    /// Another container's /dev/shm.
    pub shared_memory: Option<OwnedFd>,
    pub streams: Streams,
    pub preserved: Preserved,
}

impl Inherited {
    /// Out of the way of the preserved ones: what is needed to the end.
    fn lift(&mut self) -> io::Result<()> {
        if self.preserved.is_empty() {
            return Ok(());
        }
        let above = self.preserved.above();
        for fd in [&mut self.socket, &mut self.failure, &mut self.stub] {
            *fd = process::above(fd.as_fd(), above)?;
        }
        self.preserved.lift()
    }

    /// The number of the stub's error pipe.
    fn error_pipe(&self) -> i32 {
        match self.preserved.is_empty() {
            true => 3,
            false => self.failure.as_raw_fd(),
        }
    }
}

/// Sets the container up and executes its program; a failure is reported on the socket.
/// Without a launch it waits for one.
pub fn run(launch: Option<&Launch>, mut inherited: Inherited) -> ! {
    let Err(error) = become_program(launch, &mut inherited);
    let text = serde_json::to_vec(&error).unwrap_or_default();
    let _ = socket::send(inherited.socket.as_fd(), &[b"e", &text], &[]);
    process::exit_now(error.exit_code())
}

fn become_program(
    launch: Option<&Launch>,
    inherited: &mut Inherited,
) -> Result<std::convert::Infallible, SetupError> {
    role::set("init");
    begin_role(inherited, &[])?;
    expect(inherited, b'm');
    hide()?;
    let left = keyring::leave_session();
    let told;
    let launch = match launch {
        Some(launch) => launch,
        None => {
            // Its network is its own: what there is to do is done while it waits. The step that does it says if it can't be done.
            let _ = network::bring_up("lo");
            told = receive_launch(inherited)?;
            &told
        }
    };
    need_no_keyring(launch, left)?;
    let given = Given {
        root: inherited.root.as_ref(),
        shared_memory: inherited.shared_memory.as_ref(),
    };
    let mut setup = Setup::new(launch, given);
    if !rustix::process::geteuid().is_root() {
        setup.open_sources()?;
        become_root()?;
    }
    for step in &launch.steps {
        setup.execute(step)?;
    }
    finish(launch, setup.root(), setup.terminal.as_ref(), inherited)
}

/// What every role that becomes a program does first: nothing of the monitor is left but what it was given and `more`.
pub(super) fn begin_role(
    inherited: &mut Inherited,
    more: &[Option<&OwnedFd>],
) -> Result<(), SetupError> {
    let failed = |what: &'static str| move |error: io::Error| SetupError::step(what, &error);
    signal::reset_all().map_err(failed("reset signals"))?;
    inherited
        .lift()
        .map_err(failed("make room for preserved descriptors"))?;
    let (stdin, stdout, stderr) = match &inherited.streams {
        Streams::Terminal | Streams::Nothing => (None, None, None),
        Streams::Pipes {
            stdin,
            stdout,
            stderr,
        } => (stdin.as_ref(), Some(stdout), Some(stderr)),
        Streams::Passed([stdin, stdout, stderr]) => (Some(stdin), Some(stdout), Some(stderr)),
    };
    let all = [
        Some(&inherited.socket),
        Some(&inherited.failure),
        Some(&inherited.stub),
        inherited.root.as_ref(),
        inherited.shared_memory.as_ref(),
        stdin,
        stdout,
        stderr,
    ];
    let mut kept = keep_list(&all);
    kept.extend(keep_list(more));
    kept.extend(inherited.preserved.fds());
    // Closes with the exec of the stub.
    kept.extend(role::trace_fd());
    process::close_all_except(&kept).map_err(failed("close inherited descriptors"))?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    Ok(())
}

/// Only once the id map is written: a process that is not dumpable cannot have it written.
pub(super) fn hide() -> Result<(), SetupError> {
    let hidden = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    hidden.map_err(|error| SetupError::step("hide the role from the container", &error.into()))
}

/// From a root that stands to the program: who it runs as, what it is, the monitor's last word, streams, privileges.
pub(super) fn finish(
    launch: &Launch,
    root: BorrowedFd<'_>,
    terminal: Option<&(OwnedFd, OwnedFd)>,
    inherited: &Inherited,
) -> Result<std::convert::Infallible, SetupError> {
    let failed = |what: &'static str| move |error: io::Error| SetupError::step(what, &error);
    let account = account(launch, root)?;
    let program = program::find(launch, root, &account)?;
    let master = terminal.map(|(master, _)| master);
    let ready = socket::send(inherited.socket.as_fd(), &[b"r"], &keep_list(&[master]));
    ready.map_err(failed("report to the monitor"))?;
    let filter = receive_filter(inherited);
    take_streams(terminal, inherited, &account)?;
    let preserved = inherited.preserved.install();
    preserved.map_err(failed("install preserved descriptors"))?;
    privileges::limit_resources(launch)?;
    privileges::drop_privileges(launch, filter.as_ref(), &account)?;
    if launch.shares_pids() {
        die_with_monitor(inherited)?;
    }
    let arguments = program.arguments(launch, &account, inherited.error_pipe())?;
    if let Some(mask) = launch.process()?.user().umask() {
        rustix::process::umask(Mode::from_raw_mode(mask));
    }
    let error = process::execute(inherited.stub.as_fd(), &arguments.args, &arguments.env);
    Err(SetupError::step("execute the stub", &error))
}

/// Where the user's own id is not the container's 0, what init makes would belong to the wrong one, or to nobody.
pub(super) fn become_root() -> Result<(), SetupError> {
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .and_then(|()| rustix::thread::set_thread_res_uid(uid, uid, uid))
        .map_err(|error| SetupError::step("become the container's root", &error.into()))
}

/// Without a pid namespace that ends with its monitor, init at least gets its death signal. It is lost when the program changes its
/// own uid or executes a setuid file: then the next command ends what is left (`sweep`). Set last, since `setresuid` clears it.
fn die_with_monitor(inherited: &Inherited) -> Result<(), SetupError> {
    let signal = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    signal
        .map_err(|error| SetupError::step("ask for the monitor's death signal", &error.into()))?;
    // It may have died before that.
    let mut sockets = [PollFd::new(&inherited.socket, PollFlags::empty())];
    let now = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match rustix::event::poll(&mut sockets, Some(&now)) {
        Ok(0) => Ok(()),
        _ => process::exit_now(125),
    }
}

/// The user's session keyring may hold secrets. Users have a quota of keyrings (200); beyond it, as on kernels without keys,
/// the filter, which refuses keyctl(2), has to do.
pub(super) fn need_no_keyring(launch: &Launch, left: io::Result<()>) -> Result<(), SetupError> {
    match left {
        Err(error)
            if !seccomp::confines(&launch.spec) && error.raw_os_error() != Some(libc::ENOSYS) =>
        {
            Err(SetupError::step("leave the session keyring", &error))
        }
        _ => Ok(()),
    }
}

/// Waits to be told what to become; without that nobody waits for an answer.
fn receive_launch(inherited: &Inherited) -> Result<Launch, SetupError> {
    match socket::receive_message(inherited.socket.as_fd()) {
        Ok(Some((bytes, _))) => {
            let launch = Launch::from_bytes(&bytes);
            launch.map_err(|error| SetupError::step("read what the container is", &error))
        }
        _ => process::exit_now(125),
    }
}

/// Waits for the last word, which carries the filter; nothing behind it is no filter.
fn receive_filter(inherited: &Inherited) -> Option<Program> {
    let received = socket::receive_message(inherited.socket.as_fd());
    let Ok(Some((message, _))) = received else {
        process::exit_now(125)
    };
    match message.split_first() {
        Some((b'x', [])) => None,
        Some((b'x', bytes)) => match Program::from_bytes(bytes) {
            Some(program) => Some(program),
            None => process::exit_now(125),
        },
        _ => process::exit_now(125),
    }
}

/// Waits for the monitor's word; anything else means that it has given up, and then nobody waits for an answer.
pub(super) fn expect(inherited: &Inherited, word: u8) {
    let mut buffer = [0; 16];
    match socket::receive(inherited.socket.as_fd(), &mut buffer) {
        Ok(Received::Message(1, _)) if buffer[0] == word => {}
        _ => process::exit_now(125),
    }
}

/// Who the program runs as, by the image's own files.
fn account(launch: &Launch, root: BorrowedFd<'_>) -> Result<Account, SetupError> {
    let wanted = launch
        .process()?
        .user()
        .username()
        .clone()
        .unwrap_or_default();
    let account = user::resolve(root, &wanted)
        .and_then(|account| user::add_groups(root, account, &launch.added_groups));
    account.map_err(|error| SetupError::User {
        message: error.to_string(),
    })
}

/// They are given to the program's user, as docker does: else `/dev/stdout` can't be opened by it.
fn take_streams(
    terminal: Option<&(OwnedFd, OwnedFd)>,
    inherited: &Inherited,
    account: &Account,
) -> Result<(), SetupError> {
    let failed = |error: io::Error| SetupError::step("install the standard streams", &error);
    match (&inherited.streams, terminal) {
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
                    give(stream, account)?;
                    process::install_fd(stream.as_fd(), target).map_err(failed)?;
                }
            }
            rustix::process::setsid().map_err(|error| failed(error.into()))?;
        }
        (Streams::Passed(streams), _) => {
            for (target, stream) in (0..).zip(streams) {
                process::install_fd(stream.as_fd(), target).map_err(failed)?;
            }
            rustix::process::setsid().map_err(|error| failed(error.into()))?;
        }
        (Streams::Terminal, Some((_, slave))) => {
            give(slave, account)?;
            for target in 0..3 {
                process::install_fd(slave.as_fd(), target).map_err(failed)?;
            }
            terminal::take_control(slave.as_fd()).map_err(failed)?;
        }
        // Those of the monitor, which are /dev/null.
        (Streams::Nothing, _) => {
            rustix::process::setsid().map_err(|error| failed(error.into()))?;
        }
        (Streams::Terminal, None) => {
            return Err(failed(io::Error::other("no terminal was opened")));
        }
    }
    process::install_fd(inherited.failure.as_fd(), inherited.error_pipe()).map_err(failed)
}

/// Makes the program's user the owner of a stream; the group stays, which for a terminal is tty.
fn give(stream: &OwnedFd, account: &Account) -> Result<(), SetupError> {
    if account.uid == 0 {
        return Ok(());
    }
    let uid = Uid::from_raw(account.uid);
    rustix::fs::fchown(stream, Some(uid), None).map_err(|error| {
        SetupError::identity("give the streams to user", account.uid, &error.into())
    })
}
