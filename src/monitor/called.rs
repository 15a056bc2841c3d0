//! A monitor that is called before its container is made: it clones an init meanwhile, on another processor, and waits to be told
//! the rest. Without that it ends, and leaves nothing: it has no record yet.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::begin::{Briefed, Newborn};
use super::fault;
use super::network::PastaOrders;
use super::supervise::{self, Birth, Orders};
use crate::container::ContainerId;
use crate::net::start::Holder;
use crate::paths::Paths;
use crate::runtime::cgroup::{NoCgroup, Place, Wanted};
use crate::runtime::execute::Launch;
use crate::sys::{process, role, socket};

/// What is expected of a container that is being made: all its namespaces to itself, no limits, and this.
pub struct Expected {
    pub paths: Paths,
    pub id: ContainerId,
    pub terminal: bool,
    pub open_stdin: bool,
    /// Started before the rest is known: what the orders say later is the same.
    pub pasta: Option<PastaOrders>,
}

impl Orders {
    /// Sends them to a monitor that was called before; `false` if that can't be, and then they have to be given otherwise.
    pub fn send(&self, socket: BorrowedFd<'_>) -> bool {
        // A path that is not UTF-8 can't be sent, nor what is larger than a message.
        let texts = serde_json::to_vec(self).and_then(|orders| {
            let launch = serde_json::to_vec(&self.launch)?;
            Ok([launch, orders])
        });
        let Ok(texts) = texts else { return false };
        let mut all = texts.iter();
        texts.iter().all(|text| text.len() <= socket::MESSAGE_MAX)
            && all.all(|text| socket::send(socket, &[text], &[]).is_ok())
    }
}

/// Where a monitor that was called makes the container's cgroup: the first that it is told.
pub fn tell_place(socket: BorrowedFd<'_>, place: &Result<Place, NoCgroup>) -> io::Result<()> {
    let text = serde_json::to_vec(place)?;
    socket::send(socket, &[&text], &[]).map(drop)
}

/// `None` if the client has gone.
fn receive_place(client: BorrowedFd<'_>) -> io::Result<Option<Wanted>> {
    let Some((text, _)) = socket::receive_message(client)? else {
        return Ok(None);
    };
    Ok(Some(Wanted::at(serde_json::from_slice(&text)?)))
}

/// Runs in the role that entered the home namespace, as `supervise::run` does.
/// `holder`: what holds the shared networks, to be started where a new home is made.
pub fn wait(expected: Expected, holder: Option<Holder>, mut birth: Birth) -> i32 {
    let _ = rustix::process::setsid();
    if let Err(error) = process::detach_standard_streams() {
        return supervise::refuse(birth.client, "leave the session", &error);
    }
    if let Some(holder) = holder {
        // Outside the monitor's pid namespace, which ends with this container. If it fails, it fails again for the monitor, which
        // tells why.
        let _ = holder.ensure_beside(&birth.gate);
    }
    let cgroup = match receive_place(birth.client.as_fd()) {
        Ok(Some(cgroup)) => cgroup,
        Ok(None) => return 0,
        Err(error) => return supervise::refuse(birth.client, "learn of the cgroup", &error),
    };
    match supervise::become_monitor(&cgroup, false, &mut birth.gate) {
        Ok(()) => prepare(expected, &cgroup, birth),
        Err(error) => supervise::refuse(birth.client, "clone the monitor", &error),
    }
}

fn prepare(expected: Expected, cgroup: &Wanted, mut birth: Birth) -> i32 {
    role::set("monitor");
    let _ = rustix::process::chdir("/");
    if !birth.gate.wait() {
        return 125;
    }
    // If it can't be made now, it is tried again once there is a record that can tell of the failure.
    let newborn = Newborn::make(&expected, cgroup)
        .inspect_err(|error| tracing::debug!(%error, "no init is cloned beforehand"));
    fault::step("waiting");
    match receive(birth.client.as_fd(), newborn.ok()) {
        Ok(Some((orders, newborn))) => supervise::supervise(orders, birth, newborn),
        // Nobody wants it any more.
        Ok(None) => 0,
        Err(error) => supervise::refuse(birth.client, "read the monitor's orders", &error),
    }
}

/// The launch, which init is told at once, and the orders; `None` if the client has gone. From then on the socket does not block.
fn receive(
    client: BorrowedFd<'_>,
    newborn: Option<Newborn>,
) -> io::Result<Option<(Orders, Option<Briefed>)>> {
    let Some((launch, _)) = socket::receive_message(client)? else {
        return Ok(None);
    };
    // One that has ended meanwhile is cloned once more, and then there is a record that can tell why.
    let newborn = newborn.and_then(|newborn| newborn.told(&launch).ok());
    let Some((orders, _)) = socket::receive_message(client)? else {
        return Ok(None);
    };
    socket::set_nonblocking(client)?;
    let mut orders: Orders = serde_json::from_slice(&orders)?;
    orders.launch = Launch::from_bytes(&launch)?;
    Ok(Some((orders, newborn)))
}
