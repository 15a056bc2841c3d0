//! A monitor is called for a container that is about to be made: it clones an init, and makes the home namespace if none lives, while
//! the command line is parsed, the image looked for and the record written. Guesses; a wrong guess costs time and nothing else.

use std::os::fd::{AsFd, OwnedFd};

use super::{Engine, launch};
use crate::config::NetworkDefault;
use crate::container::{ContainerId, LogDriver};
use crate::monitor::{self, Birth, Expected, NetworkOrders, Orders, PastaOrders};
use crate::runtime::cgroup::{NoCgroup, Place};
use crate::runtime::home::Entered;
use crate::runtime::rootfs::Driver;
use crate::sys::gate::Gate;
use crate::sys::{fault, pidfd, socket};

/// What is expected of the container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    pub terminal: bool,
    pub open_stdin: bool,
    /// Nothing is said of a network.
    pub default_network: bool,
    /// Or a pasta of its own is asked for, without a word about it.
    pub own_pasta: bool,
    /// There is something that pasta has to be told.
    pub tells_pasta: bool,
}

/// What is known of a container before it is made.
pub struct Called {
    /// The id that its container has to have.
    pub id: ContainerId,
    pub(super) place: Result<Place, NoCgroup>,
    pub(super) single_id: bool,
    expectation: Expectation,
    /// The pasta that is on its way.
    pasta: Option<PastaOrders>,
}

/// The monitor. Unless it is told to start a container it goes away again, and this waits for it.
#[derive(Default)]
pub(super) struct Line(Option<(OwnedFd, Entered)>);

impl Engine {
    /// `None` where that does not help. What is in the way of it is said when it is tried again.
    pub fn call_monitor(&self, expectation: Expectation) -> Option<Called> {
        let usual = self.config.network_default != NetworkDefault::Host
            && self.storage_choice().driver == Driver::Overlay;
        let id = ContainerId::random().ok().filter(|_| usual)?;
        let (ours, theirs) = socket::pair().ok()?;
        let default = expectation
            .default_network
            .then_some(self.config.network_default);
        let bridged = default == Some(NetworkDefault::Bridge);
        let own_pasta = expectation.own_pasta || default == Some(NetworkDefault::Pasta);
        let pasta = (own_pasta && !expectation.tells_pasta).then(|| self.expected_pasta());
        let pasta = pasta.flatten();
        let expected = Expected {
            pasta: pasta.clone(),
            paths: self.paths.clone(),
            id: id.clone(),
            terminal: expectation.terminal,
            open_stdin: expectation.open_stdin,
        };
        let mut place = Err(NoCgroup::NotMounted);
        let entered = self.with_home(|home| {
            let job = |gate: Gate, client| {
                // Where nothing lives yet, `bryo net` does not either.
                let holder = || self.holder("").ok();
                let holder = (bridged && gate.is_new()).then(holder).flatten();
                monitor::wait(expected, holder, Birth { client, gate })
            };
            home.enter_early(theirs, job, || {
                place = Place::find();
                // One that has gone is noticed when it is told the rest.
                let _ = monitor::tell_place(ours.as_fd(), &place);
                // Before it makes namespaces.
                launch::processors();
            })
        });
        let (entered, single_id) = entered.ok()??;
        self.line.replace(Line(Some((ours, entered))));
        Some(Called {
            id,
            place,
            single_id,
            expectation,
            pasta,
        })
    }

    /// Nobody waits in the home namespace for what takes long.
    pub fn dismiss(&self, called: &mut Option<Called>) {
        *called = None;
        self.line.take();
    }

    /// A monitor that makes the home for itself keeps all others out until it has it, this command too.
    pub(super) fn give_up_home(&self) {
        let founding = self.line.borrow().is_founding();
        if founding {
            self.line.take();
        }
    }

    /// Before the monitor that was called is told: starts what holds the shared networks, if that is for this command to do. Whoever makes a home never waits for that turn: who has it may be waiting for the home.
    pub(super) fn start_holder_beside(&self, called: &Called, network: Option<&NetworkOrders>) {
        let bridged = matches!(network, Some(NetworkOrders::Bridged(_)));
        if bridged && !called.expectation.default_network {
            self.give_up_home();
        }
        let joined = self.line.borrow().has_joined();
        if joined {
            self.start_holder(network);
        }
    }

    /// Tells it what to do, if that is what was expected: gives the conversation with it.
    pub(super) fn tell(&self, called: &Called, orders: &Orders) -> Option<(OwnedFd, Entered)> {
        let mut line = self.line.take();
        let (socket, entered) = line.0.as_mut()?;
        fault::linger("tell");
        let told = called.expected(orders) && entered.is_mapped() && orders.send(socket.as_fd());
        tracing::debug!(told, "the monitor was called before");
        told.then(|| line.0.take()).flatten()
    }
}

impl Called {
    fn expected(&self, orders: &Orders) -> bool {
        let process = orders.launch.spec.process().as_ref();
        let terminal = process.is_some_and(|process| process.terminal().unwrap_or(false));
        // With a terminal there is no pipe to keep open.
        let input = terminal || orders.open_stdin == self.expectation.open_stdin;
        let is_pasta = |pasta| matches!(&orders.network, Some(NetworkOrders::Pasta(wanted)) if wanted == pasta);
        orders.launch.is_private()
            && self.pasta.as_ref().is_none_or(is_pasta)
            && terminal == self.expectation.terminal
            && input
            && orders.cgroup.is_optional()
            && orders.log.driver != LogDriver::Passthrough
            && orders.preserves.is_empty()
    }
}

impl Line {
    fn is_founding(&self) -> bool {
        let entered = self.0.as_ref();
        entered.is_some_and(|(_, entered)| entered.is_founding())
    }

    /// It lives in a home that there was before.
    fn has_joined(&self) -> bool {
        self.0.is_some() && !self.is_founding()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Some((socket, mut entered)) = self.0.take() else {
            return;
        };
        let _ = socket::end_sending(socket.as_fd());
        // Its end closes the other side; what it says before is of no use.
        while let Ok(Some(_)) = socket::receive_message(socket.as_fd()) {}
        let _ = pidfd::wait_child(entered.pid);
        entered.is_mapped();
    }
}
