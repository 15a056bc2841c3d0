//! Starts `bryo net` where none lives. Called by whoever is about to connect a container, or has lost the connection of one.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};

use super::firewall::FirewallError;
use super::outer;
use super::pasta::{Features, PastaError};
use super::route::HostRoutes;
use super::wire::{self, FromInner, ToInner};
use crate::sys::lock::{self, Mode};
use crate::sys::{namespace, process, role, signal, socket};

/// What `bryo net` needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Holder {
    pub socket: PathBuf,
    pub lock: PathBuf,
    pub pasta: PathBuf,
    pub features: Features,
    pub routes: HostRoutes,
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

    /// Sees to it that one lives. The caller is in the home user namespace and the host's network namespace and has one
    /// thread. `shared` is the namespace of one that has ended, where it has outlived it.
    pub fn ensure(&self, shared: Option<OwnedFd>) -> Result<(), StartError> {
        let failed = |operation: &'static str| {
            move |error: io::Error| StartError::plain(format!("{operation}: {error}"))
        };
        let guard = lock::lock(&self.lock, Mode::Exclusive).map_err(failed("lock bryo net"))?;
        if self.lives() {
            return Ok(());
        }
        let (told, report) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed("make a pipe")(error.into()))?;
        let cloned = process::clone3(libc::CLONE_NEWPID as u64, None);
        let Some(_child) = cloned.map_err(failed("clone bryo net"))? else {
            let mut kept = vec![report.as_fd()];
            kept.extend(shared.as_ref().map(AsFd::as_fd));
            kept.extend(role::trace_fd());
            let _ = process::close_all_except(&kept);
            let _ = rustix::process::setsid();
            let _ = rustix::process::chdir("/");
            let ready = signal::reset_all().and_then(|()| process::detach_standard_streams());
            let code = match ready {
                Ok(()) => outer::run(self, shared, report),
                Err(_) => 1,
            };
            process::exit_now(code)
        };
        drop((report, shared));
        let mut text = Vec::new();
        let _ = std::fs::File::from(told).read_to_end(&mut text);
        drop(guard);
        match serde_json::from_slice::<Result<(), StartError>>(&text) {
            Ok(outcome) => outcome,
            Err(_) => Err(StartError::plain(
                "bryo net ended during its start".to_owned(),
            )),
        }
    }
}
