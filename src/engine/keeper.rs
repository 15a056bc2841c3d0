//! A member of the home namespace that does nothing: while a build needs the namespace again and again, nobody has to make it
//! again and again.

use std::os::fd::{AsFd, OwnedFd};

use super::{Engine, EngineError};
use crate::runtime::home;
use crate::sys::process::ProcessName;
use crate::sys::{pidfd, role, signal, socket};

/// The home namespace lives for as long as this does.
pub struct Keeper {
    line: Option<OwnedFd>,
    pid: rustix::process::Pid,
}

impl Engine {
    pub fn keep_home(&self) -> Result<Keeper, EngineError> {
        let (ours, theirs) = socket::pair().map_err(EngineError::system("make a socket pair"))?;
        let paths = &self.paths;
        let entered = self.with_home(|home| {
            home.enter(true, theirs, |mut gate, line| {
                let is_founder = gate.is_new();
                role::set("keeper");
                if signal::reset_all().is_err() || !gate.wait() {
                    return 125;
                }
                let recorded = !is_founder
                    || ProcessName::own()
                        .and_then(|own| home::record(paths, own))
                        .is_ok();
                let _ = socket::send(line.as_fd(), &[&[u8::from(recorded)]], &[]);
                // Until the other end is closed.
                while let Ok(Some(_)) = socket::receive_message(line.as_fd()) {}
                0
            })
        });
        let entered = entered.map_err(|error| self.explain_home(error))?;
        let _ = socket::receive_message(ours.as_fd());
        drop(entered.lock);
        Ok(Keeper {
            line: Some(ours),
            pid: entered.pid,
        })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.line.take());
        let _ = pidfd::wait_child(self.pid);
    }
}
