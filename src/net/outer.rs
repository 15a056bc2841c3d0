//! The outer half of `bryo net`: it lives in the host's network namespace as PID 1 of a pid namespace of its own, keeps pasta
//! (or slirp4netns) and the inner half, and makes sockets for it. When one of the three ends all do, and the next who notices starts them anew.

use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::sched::CloneFlags;
use nix::sys::signal::Signal;
use rustix::pipe::{PipeFlags, pipe_with};

use super::firewall::Firewall;
use super::inner::{Inner, Line};
use super::record::{NetworkConfig, Networks};
use super::route::HostRoutes;
use super::start::{Holder, StartError};
use super::uplink::Starting;
use super::wire::{HostSocket, Way};
use crate::sys::gate::Gate;
use crate::sys::netlink::{self, Netlink};
use crate::sys::network::{self, Transport};
use crate::sys::poll::{Interest, PollSet};
use crate::sys::process::{self, Cloned};
use crate::sys::signal::Signals;
use crate::sys::socket::{self, Received};
use crate::sys::timer::Moment;
use crate::sys::{namespace, pidfd, role, signal};

/// What the inner half says when it can be spoken to.
const READY: &[u8] = b"ready";

/// Children that have to live: the way out and the inner half.
const KEPT: usize = 2;

/// A way out that is not there by then never will be.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the inner half may take to tell its members that there is none.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long an interface may ask whether its addresses are its own.
const SETTLING: Duration = Duration::from_secs(5);

#[derive(Clone, Copy)]
enum Token {
    Inner,
    Child,
    Uplink,
}

/// The main of this role; `report` is told how its start went, and closed.
pub fn run(
    holder: &Holder,
    shared: Option<OwnedFd>,
    (listener, gate): (OwnedFd, Gate),
    report: OwnedFd,
) -> i32 {
    role::set("net");
    let begun = begin(holder, shared, listener, gate);
    let told = match &begun {
        Ok(_) => Ok(()),
        Err(error) => Err(error.clone()),
    };
    let text = serde_json::to_vec(&told).unwrap_or_default();
    let written = std::fs::File::from(report).write_all(&text);
    match (begun, written) {
        (Ok(begun), Ok(())) => {
            process::trim_memory();
            watch(&begun);
            0
        }
        _ => 1,
    }
}

/// All of it is there.
struct Begun {
    /// The line to the inner half.
    inner: OwnedFd,
    signals: Signals,
    /// Reads when the host's ways of IPv6 change, where one that it gains has to be led to (`watch_for_ipv6`).
    gained: Option<OwnedFd>,
}

/// Starts the inner half and the way out; gives the line to the former, which hears what becomes of the latter.
fn begin(
    holder: &Holder,
    shared: Option<OwnedFd>,
    listener: OwnedFd,
    gate: Gate,
) -> Result<Begun, StartError> {
    let failed = |operation: &'static str| {
        move |error: io::Error| StartError::plain(format!("{operation}: {error}"))
    };
    let signals = Signals::watch(&[Signal::SIGCHLD]).map_err(failed("watch for signals"))?;
    let (ours, theirs) = socket::pair().map_err(failed("make a socket pair"))?;
    let routes = Netlink::watch().map_err(failed("watch the host's addresses"))?;
    let (news, teller) =
        pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed("make a pipe")(error.into()))?;
    let line = Line {
        listener,
        outer: theirs,
        routes: routes.into(),
        news,
        host: HostRoutes::host_address(),
    };
    let (cloned, namespace) = clone_inner(holder, shared, line)?;
    // Those that the holder knows may be of long ago.
    let ways = HostRoutes::read();
    let gained = watch_for_ipv6(holder, ways);
    let led = lead_out(holder, namespace, gate, ways, (&ours, &cloned));
    let text = serde_json::to_vec(&led).unwrap_or_default();
    let _ = std::fs::File::from(teller).write_all(&text);
    if led.is_err() {
        // All who are here are to hear of it, and this process takes the inner half with it.
        let mut set = PollSet::new();
        set.add(cloned.pidfd.as_fd(), Interest::Read, ());
        let _ = set.wait(Some(FAREWELL));
    }
    led.map(|()| Begun {
        inner: ours,
        signals,
        gained,
    })
}

/// Returns when the way out is there, and the inner half is too.
fn lead_out(
    holder: &Holder,
    namespace: OwnedFd,
    mut gate: Gate,
    routes: HostRoutes,
    (line, inner): (&OwnedFd, &Cloned),
) -> Result<(), StartError> {
    if !gate.wait() {
        return Err(StartError::plain(
            "the home namespace was not made".to_owned(),
        ));
    }
    let uplink = holder.uplink.start(namespace.as_fd(), routes)?;
    drop(namespace);
    settle(uplink, line, inner)
}

/// What is told of a way of IPv6 that the host gains, where this way out can't follow it and a network would have it.
fn watch_for_ipv6(holder: &Holder, routes: HostRoutes) -> Option<OwnedFd> {
    let networks = Networks::at(holder.networks.clone()).all();
    let wanted = networks.is_ok_and(|all| all.iter().any(NetworkConfig::has_ipv6));
    let lacks = wanted && holder.uplink.lacks_ipv6(routes);
    lacks.then(|| Netlink::watch_ipv6().ok().map(OwnedFd::from))?
}

/// Serves the inner half, whose containers ask for names already, until both are there.
fn settle(mut uplink: Starting, line: &OwnedFd, inner: &Cloned) -> Result<(), StartError> {
    let failed = |error: io::Error| StartError::plain(format!("wait for the way out: {error}"));
    let begun = Moment::now();
    let mut buffer = [0u8; 64];
    let (mut is_ready, mut is_led) = (false, false);
    while !(is_ready && is_led) {
        let mut set = PollSet::new();
        set.add(line.as_fd(), Interest::Read, Token::Inner);
        match uplink.source() {
            Some(source) if !is_led => set.add(source, Interest::Read, Token::Uplink),
            _ => is_led = true,
        }
        let left = PATIENCE.saturating_sub(begun.elapsed());
        if left.is_zero() {
            let late = format!("the way out is not there after {} s", PATIENCE.as_secs());
            return Err(StartError::plain(late));
        }
        let ready = set.wait(Some(left)).map_err(failed)?;
        for token in ready {
            match token {
                Token::Uplink => is_led = uplink.hear(),
                _ if !is_ready => {
                    wait_ready(line, inner)?;
                    is_ready = true;
                }
                _ => match socket::receive(line.as_fd(), &mut buffer).map_err(failed)? {
                    Received::Message(length, _) => answer(line.as_fd(), &buffer[..length]),
                    Received::Empty => {}
                    Received::Closed => return Err(StartError::ended()),
                },
            }
        }
    }
    // It is reaped before the loop looks for ends.
    uplink.wait()
}

/// The inner half, and the namespace it lives in: a new one, or one that has outlived the last `bryo net`.
fn clone_inner(
    holder: &Holder,
    shared: Option<OwnedFd>,
    line: Line,
) -> Result<(Cloned, OwnedFd), StartError> {
    let failed = |error: io::Error| StartError::plain(format!("clone bryo net: {error}"));
    let flags = match shared {
        Some(_) => 0,
        None => libc::CLONE_NEWNET as u64,
    };
    let Some(cloned) = process::clone3(flags, None).map_err(failed)? else {
        process::exit_now(run_inner(holder, shared, line));
    };
    let namespace = match shared {
        Some(shared) => Ok(shared),
        None => pidfd::host_pid(cloned.pidfd.as_fd()).and_then(|pid| namespace::open(pid, "net")),
    };
    Ok((cloned, namespace.map_err(failed)?))
}

fn wait_ready(line: &OwnedFd, inner: &Cloned) -> Result<(), StartError> {
    match socket::receive_message(line.as_fd()) {
        Ok(Some((text, _))) if text == READY => Ok(()),
        Ok(Some((text, _))) => Err(serde_json::from_slice(&text).unwrap_or_default()),
        _ => {
            let _ = pidfd::kill_hard(inner.pidfd.as_fd());
            Err(StartError::ended())
        }
    }
}

/// In the clone.
fn run_inner(holder: &Holder, shared: Option<OwnedFd>, line: Line) -> i32 {
    role::set("net, inside");
    let mut kept = vec![
        line.listener.as_fd(),
        line.outer.as_fd(),
        line.routes.as_fd(),
        line.news.as_fd(),
    ];
    kept.extend(shared.as_ref().map(AsFd::as_fd));
    kept.extend(role::trace_fd());
    let _ = process::close_all_except(&kept);
    let outer = line.outer.try_clone();
    let is_again = shared.is_some();
    let begun = enter(shared).and_then(|()| {
        // A relayed connection may end at any time.
        signal::ignore_broken_pipes()
            .map_err(|error| StartError::plain(format!("ignore a signal: {error}")))?;
        let firewall = Firewall::load(line.host, is_again);
        let firewall = firewall.map_err(|error| StartError::of_firewall(&error))?;
        process::allow_descriptors();
        // What has outlived another has its gateways, and connections by them.
        let way = if is_again { Way::Coming } else { Way::Held };
        Inner::new(holder, line, firewall, way)
            .map_err(|error| StartError::plain(format!("prepare the shared network: {error}")))
    });
    let Ok(outer) = outer else { return 1 };
    match begun {
        Ok(inner) => {
            let told = socket::send(outer.as_fd(), &[READY], &[]);
            drop(outer);
            process::trim_memory();
            if told.is_ok() {
                inner.live();
            }
            0
        }
        Err(error) => {
            let text = serde_json::to_vec(&error).unwrap_or_default();
            let _ = socket::send(outer.as_fd(), &[&text], &[]);
            1
        }
    }
}

fn enter(shared: Option<OwnedFd>) -> Result<(), StartError> {
    let Some(shared) = shared else { return Ok(()) };
    let joined = namespace::join(shared.as_fd(), CloneFlags::CLONE_NEWNET);
    joined.map_err(|error| StartError::plain(format!("join the shared network: {error}")))
}

/// Until the way out or the inner half has ended, or another way out is needed: whoever notices the end starts all of it anew.
fn watch(begun: &Begun) {
    let (inner, signals) = (begun.inner.as_fd(), &begun.signals);
    let mut buffer = [0u8; 64];
    let mut gained: Option<Moment> = None;
    loop {
        if let Some(since) = &gained
            && (HostRoutes::is_ipv6_settled() || since.elapsed() > SETTLING)
        {
            return;
        }
        let mut set = PollSet::new();
        set.add(inner, Interest::Read, Token::Inner);
        set.add(signals.as_fd(), Interest::Read, Token::Child);
        if let Some(gained) = &begun.gained {
            set.add(gained.as_fd(), Interest::Read, Token::Uplink);
        }
        let patience = gained.as_ref().map(|_| SETTLING / 50);
        for token in set.wait(patience).unwrap_or_default() {
            match token {
                Token::Child => {
                    while let Ok(Some(_)) = signals.next() {}
                    while pidfd::reap_any().is_some() {}
                    // Some that pasta has left behind end too.
                    if process::children(0).len() < KEPT {
                        return;
                    }
                }
                Token::Uplink => {
                    if let Some(told) = &begun.gained {
                        netlink::forget_waiting(told.as_fd(), &mut buffer);
                    }
                    let has_ipv6 = HostRoutes::read().ipv6;
                    gained = has_ipv6.then(|| gained.unwrap_or_else(Moment::now));
                }
                Token::Inner => match socket::receive(inner, &mut buffer) {
                    Ok(Received::Message(length, _)) => answer(inner, &buffer[..length]),
                    Ok(Received::Empty) => {}
                    Ok(Received::Closed) | Err(_) => return,
                },
            }
        }
    }
}

/// A socket for each word.
fn answer(inner: BorrowedFd<'_>, words: &[u8]) {
    for word in words {
        let made = HostSocket::of(*word).and_then(|kind| make(kind).ok());
        let fds: Vec<_> = made.iter().map(AsFd::as_fd).collect();
        let _ = socket::send(inner, &[&[*word]], &fds);
    }
}

fn make(kind: HostSocket) -> io::Result<OwnedFd> {
    let (any, transport) = match kind {
        HostSocket::Udp4 => (Ipv4Addr::UNSPECIFIED.into(), Transport::Udp),
        HostSocket::Udp6 => (Ipv6Addr::UNSPECIFIED.into(), Transport::Udp),
        HostSocket::Tcp4 => (Ipv4Addr::UNSPECIFIED.into(), Transport::Tcp),
        HostSocket::Tcp6 => (Ipv6Addr::UNSPECIFIED.into(), Transport::Tcp),
    };
    network::socket(transport, any)
}
