//! A monitor is called for a container that is about to be made, where there is a living home namespace: it clones an init while
//! the command line is parsed, the image looked for and the record written. Guesses; a wrong guess costs time and nothing else.

use std::os::fd::{AsFd, OwnedFd};

use super::Engine;
use crate::config::NetworkDefault;
use crate::container::{ContainerId, LogDriver};
use crate::monitor::{self, Birth, Expected, Orders};
use crate::runtime::cgroup::{NoCgroup, Place, Wanted};
use crate::runtime::home::Entered;
use crate::runtime::rootfs::Driver;
use crate::sys::{fault, pidfd, socket};

/// What is expected of the container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    pub terminal: bool,
    pub open_stdin: bool,
}

/// The monitor. Unless it is told to start a container it goes away again, and this waits for it.
pub struct Called {
    /// The id that its container has to have.
    pub id: ContainerId,
    pub(super) place: Result<Place, NoCgroup>,
    pub(super) single_id: bool,
    expectation: Expectation,
    line: Option<(OwnedFd, Entered)>,
}

impl Engine {
    /// `None` where that does not help. What is in the way of it is said when it is tried again.
    pub fn call_monitor(&self, expectation: Expectation) -> Option<Called> {
        let usual = self.config.network_default != NetworkDefault::Host
            && self.storage_choice().driver == Driver::Overlay
            && self.paths.home_record().exists();
        let id = ContainerId::random().ok().filter(|_| usual)?;
        let place = Place::find();
        let (ours, theirs) = socket::pair().ok()?;
        let expected = Expected {
            paths: self.paths.clone(),
            id: id.clone(),
            cgroup: Wanted {
                place: place.clone(),
                parent: None,
                limits: Vec::new(),
                failure: None,
            },
            terminal: expectation.terminal,
            open_stdin: expectation.open_stdin,
        };
        let entered = self.with_home(|home| {
            home.enter_living(theirs, |gate, client| {
                monitor::wait(expected, Birth { client, gate })
            })
        });
        let (entered, single_id) = entered.ok()??;
        Some(Called {
            id,
            place,
            single_id,
            expectation,
            line: Some((ours, entered)),
        })
    }
}

impl Called {
    /// Tells it what to do, if that is what was expected: gives the conversation with it.
    pub(super) fn tell(mut self, orders: &Orders) -> Option<(OwnedFd, Entered)> {
        let process = orders.launch.spec.process().as_ref();
        let terminal = process.is_some_and(|process| process.terminal().unwrap_or(false));
        // With a terminal there is no pipe to keep open.
        let input = terminal || orders.open_stdin == self.expectation.open_stdin;
        let expected = orders.launch.is_private()
            && terminal == self.expectation.terminal
            && input
            && orders.cgroup.is_optional()
            && orders.log.driver != LogDriver::Passthrough
            && orders.preserves.is_empty();
        let (socket, _) = self.line.as_ref()?;
        fault::linger("tell");
        let told = expected && orders.send(socket.as_fd());
        tracing::debug!(told, "the monitor was called before");
        told.then(|| self.line.take()).flatten()
    }
}

impl Drop for Called {
    fn drop(&mut self) {
        let Some((socket, entered)) = self.line.take() else {
            return;
        };
        let _ = socket::end_sending(socket.as_fd());
        // Its end closes the other side; what it says before is of no use.
        while let Ok(Some(_)) = socket::receive_message(socket.as_fd()) {}
        let _ = pidfd::wait_child(entered.pid);
    }
}
