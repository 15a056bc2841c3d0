//! Starts `bryo net` where none lives. Called by whoever is about to connect a container, or has lost the connection of one.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::firewall::FirewallError;
use super::outer;
use super::pasta::PastaError;
use super::uplink::Uplink;
use super::wire::{self, FromInner, ToInner};
use crate::sys::gate::Gate;
use crate::sys::lock::{self, Guard, Mode};
use crate::sys::process::Forked;
use crate::sys::{namespace, pidfd, process, role, signal, socket};

/// What `bryo net` needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Holder {
    pub socket: PathBuf,
    pub lock: PathBuf,
    /// Where the networks are recorded.
    pub networks: PathBuf,
    pub uplink: Uplink,
}

/// The right to start one, and where members will find it.
pub struct Turn {
    guard: Guard,
    listener: OwnedFd,
}

/// Why it did not start: its words, since they have come from another process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    pub message: String,
    pub hints: Vec<String>,
    /// pasta found no tun device that it may use.
    pub no_tun: bool,
}

impl StartError {
    pub fn plain(message: String) -> StartError {
        StartError {
            message,
            ..StartError::default()
        }
    }

    /// It has not said why.
    pub fn ended() -> StartError {
        StartError::plain("bryo net ended during its start".to_owned())
    }

    pub fn of_pasta(error: &PastaError) -> StartError {
        StartError {
            message: error.to_string(),
            hints: error.hints(),
            no_tun: matches!(error, PastaError::Tun),
        }
    }

    pub fn of_firewall(error: &FirewallError) -> StartError {
        StartError {
            message: error.to_string(),
            hints: error.hints(),
            no_tun: false,
        }
    }
}

impl Holder {
    /// Whether one lives. Asked from outside of the home namespace.
    pub fn is_there(&self) -> bool {
        socket::connect(&self.socket).is_ok()
    }

    /// Whether one lives that this process can use: its home namespace is this one's.
    fn lives(&self) -> bool {
        self.greet().unwrap_or(false)
    }

    /// `Ok(false)`: one of another home namespace, whose last container has gone; it goes too.
    fn greet(&self) -> io::Result<bool> {
        let socket = socket::connect(&self.socket)?;
        socket::limit_waiting(socket.as_fd(), wire::PATIENCE)?;
        let own = namespace::open_own("user")?;
        wire::send(socket.as_fd(), &ToInner::Hello, &[own.as_fd()])?;
        let mut buffer = [0; 1024];
        let answer = wire::receive(socket.as_fd(), &mut buffer)?;
        if matches!(answer, Some((FromInner::Done, _))) {
            return Ok(true);
        }
        // Until it has.
        while let Ok(Some(_)) = wire::receive::<FromInner>(socket.as_fd(), &mut buffer) {}
        Ok(false)
    }

    /// Who holds it is the one to start one; the others wait for it.
    fn turn(&self) -> Result<Guard, StartError> {
        lock::lock(&self.lock, Mode::Exclusive)
            .map_err(|error| StartError::plain(format!("lock bryo net: {error}")))
    }

    /// The turn to start one; `None` if one lives. Asked from outside of the home namespace.
    pub fn turn_outside(&self) -> Option<Guard> {
        // It costs nothing where one lives, as usual.
        let turn = (!self.is_there()).then(|| self.turn().ok())??;
        (!self.is_there()).then_some(turn)
    }

    /// Waits until nobody is starting one: only then is all of it ready, or has failed. While the guard is held, none begins or leaves.
    pub fn settle(&self) -> Result<Guard, StartError> {
        lock::lock(&self.lock, Mode::Shared)
            .map_err(|error| StartError::plain(format!("wait for bryo net: {error}")))
    }

    /// Sees to it that one lives. The caller is in the home user namespace and the host's network namespace and has one
    /// thread. `shared` is the namespace of one that has ended, where it has outlived it.
    pub fn ensure(&self, shared: Option<OwnedFd>) -> Result<(), StartError> {
        let turn = self.turn()?;
        match self.lives() {
            true => Ok(()),
            false => self.start(self.prepare(turn)?, shared, Gate::opened()),
        }
    }

    /// From now on members may come: they are answered as soon as there is a place.
    fn prepare(&self, guard: Guard) -> Result<Turn, StartError> {
        self.uplink.check()?;
        let listener = socket::listen(&self.socket).map_err(|error| {
            StartError::plain(format!("listen for members of networks: {error}"))
        })?;
        Ok(Turn { guard, listener })
    }

    /// The same in a fork, beside the caller: whoever calls `ensure` waits for it, and tries again if it fails. The way out waits at
    /// the gate: its program needs the ids of the home namespace.
    pub fn ensure_beside(&self, gate: &Gate) -> Result<Option<Pid>, StartError> {
        // Whose way out is being made can be joined already, and who starts it has the turn for as long.
        if self.lives() {
            return Ok(None);
        }
        let turn = self.turn()?;
        match self.lives() {
            true => Ok(None),
            false => self.start_beside(turn, gate).map(Some),
        }
    }

    /// The same for who has the turn. When it returns, members may come.
    pub fn start_beside(&self, turn: Guard, gate: &Gate) -> Result<Pid, StartError> {
        let failed = |error| StartError::plain(format!("fork a role: {error}"));
        let gate = gate.for_fork().map_err(failed)?;
        let turn = self.prepare(turn)?;
        match process::fork().map_err(failed)? {
            Forked::Parent(pid) => Ok(pid),
            Forked::Child => {
                let mut kept = vec![turn.guard.as_fd(), turn.listener.as_fd()];
                kept.extend(gate.fd());
                kept.extend(role::trace_fd());
                let _ = process::close_all_except(&kept);
                process::exit_now(self.start(turn, None, gate).is_err().into())
            }
        }
    }

    /// Returns when all of it is there.
    fn start(&self, turn: Turn, shared: Option<OwnedFd>, gate: Gate) -> Result<(), StartError> {
        let failed = |operation: &'static str| {
            move |error: io::Error| StartError::plain(format!("{operation}: {error}"))
        };
        let Turn { guard, listener } = turn;
        let (told, report) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed("make a pipe")(error.into()))?;
        let cloned = process::clone3(libc::CLONE_NEWPID as u64, None);
        let Some(child) = cloned.map_err(failed("clone bryo net"))? else {
            let mut kept = vec![report.as_fd(), listener.as_fd()];
            kept.extend(shared.as_ref().map(AsFd::as_fd));
            kept.extend(gate.fd());
            kept.extend(role::trace_fd());
            let _ = process::close_all_except(&kept);
            let _ = rustix::process::setsid();
            let _ = rustix::process::chdir("/");
            let ready = signal::reset_all().and_then(|()| process::detach_standard_streams());
            let code = match ready {
                Ok(()) => outer::run(self, shared, (listener, gate), report),
                Err(_) => 1,
            };
            process::exit_now(code)
        };
        drop((report, shared, listener, gate));
        let mut text = Vec::new();
        let _ = std::fs::File::from(told).read_to_end(&mut text);
        let outcome = serde_json::from_slice(&text).unwrap_or_else(|_| Err(StartError::ended()));
        if outcome.is_err() {
            // Whoever has the turn next is not to meet what is about to end.
            let _ = pidfd::reap(child.pidfd.as_fd());
            let _ = crate::sys::disk::remove_file(&self.socket);
        }
        drop(guard);
        outcome
    }
}
