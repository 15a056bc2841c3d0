//! From nothing to a running program: root filesystem, streams, init, network. Knows no client and no record.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use super::output::Output;
use super::passthrough::PassedStreams;
use super::protocol::{StartFailure, Stream};
use super::supervise::{Orders, failure};
use crate::runtime::doctor::{self, Check};
use crate::runtime::execute::{Init, SetupError, Streams};
use crate::runtime::fuse;
use crate::runtime::rootfs::{Driver, Fallback};
use crate::runtime::seccomp::Program;
use crate::sys::{process, socket, terminal};

/// A container whose program runs, as the monitor holds it.
pub struct Running {
    pub init: Init,
    /// The terminal's master.
    pub terminal: Option<OwnedFd>,
    pub input: Option<OwnedFd>,
    pub outputs: Vec<Output>,
    /// What stacks its layers.
    pub driver: Driver,
    /// fuse-overlayfs.
    pub daemon: Option<Pid>,
}

/// Starts the program; where the kernel turns out not to stack the layers, once more with fuse-overlayfs, if that is wanted
/// and there.
pub fn start(orders: &Orders, passed: Option<PassedStreams>) -> Result<Running, StartFailure> {
    let rootfs = &orders.launch.rootfs;
    match attempt(orders, rootfs.driver, passed.as_ref()) {
        Err(StartFailure::Setup(error))
            if rootfs.may_fall_back
                && rootfs.driver == Driver::Overlay
                && error.says_no_overlay()
                && fuse::find().is_some() =>
        {
            tracing::warn!(%error, "start once more, with fuse-overlayfs");
            // The network helper of the first attempt holds the ports.
            process::end_all_others();
            let running = attempt(orders, Driver::FuseOverlayfs, passed.as_ref())?;
            remember(orders, &error);
            Ok(running)
        }
        other => other,
    }
}

/// So that the next start does not try in vain; one that is not remembered is only slower. The fault may have been this
/// container's alone: an overlay of nothing decides.
fn remember(orders: &Orders, error: &SetupError) {
    if doctor::explain(Check::Overlay, &orders.paths).is_none() {
        return;
    }
    if let Err(source) = Fallback::remember(&orders.paths, &error.to_string()) {
        tracing::debug!(%source, "the fallback is not remembered");
    }
}

fn attempt(
    orders: &Orders,
    driver: Driver,
    passed: Option<&PassedStreams>,
) -> Result<Running, StartFailure> {
    let spec = orders.launch.spec.process().as_ref();
    let program = spec.and_then(|process| process.args().as_ref()?.first().cloned());
    let program = program.unwrap_or_default();
    let has_terminal = spec.is_some_and(|process| process.terminal().unwrap_or(false));
    let (root, daemon) = match driver {
        Driver::Overlay => {
            orders.launch.rootfs.forget_volatile();
            (None, None)
        }
        Driver::FuseOverlayfs => {
            let mounted = fuse::mount(&orders.launch.rootfs);
            let mounted = mounted.map_err(|error| StartFailure::Setup(SetupError::Fuse(error)))?;
            (Some(mounted.tree), mounted.daemon)
        }
    };
    let (streams, input, outputs) = match passed {
        _ if has_terminal => (Streams::Terminal, None, Vec::new()),
        Some(passed) => {
            let streams = passed.streams().map_err(failure("pass the streams on"))?;
            (streams, None, Vec::new())
        }
        None => pipes(orders.open_stdin).map_err(failure("make pipes"))?,
    };
    let (init, filter, master) = become_ready(orders, root, streams)?;
    let mut running = Running {
        init,
        terminal: None,
        input,
        outputs,
        driver,
        daemon,
    };
    if has_terminal {
        let master = master.ok_or(StartFailure::Setup(SetupError::Ended { code: -1 }))?;
        running
            .use_terminal(master, orders.terminal_size)
            .map_err(failure("prepare the terminal"))?;
    }
    running
        .init
        .execute(&program, filter.as_ref())
        .map_err(StartFailure::Setup)?;
    Ok(running)
}

impl Running {
    fn use_terminal(&mut self, master: OwnedFd, size: Option<(u16, u16)>) -> io::Result<()> {
        socket::set_nonblocking(master.as_fd())?;
        if let Some(size) = size {
            let _ = terminal::set_size(master.as_fd(), size);
        }
        self.input = Some(master.try_clone()?);
        self.outputs = vec![Output::new(Stream::Stdout, master.try_clone()?)];
        self.terminal = Some(master);
        Ok(())
    }
}

/// The network helper starts, and the system call filter is compiled, while init sets the root up.
fn become_ready(
    orders: &Orders,
    root: Option<OwnedFd>,
    streams: Streams,
) -> Result<(Init, Option<Program>, Option<OwnedFd>), StartFailure> {
    let init = Init::spawn(&orders.launch, root, streams).map_err(StartFailure::Setup)?;
    let helper = match (&orders.network, &init.network_namespace) {
        (Some(network), Some(namespace)) => Some(network.begin(namespace.as_fd())?),
        _ => None,
    };
    let filter = orders.launch.filter();
    let filter = filter.map_err(|error| StartFailure::Monitor {
        operation: "compile the system call filter".to_owned(),
        message: error.to_string(),
    })?;
    tracing::debug!(pid = init.host_pid, "wait for init");
    let master = init.wait_ready().map_err(StartFailure::Setup)?;
    if let Some(helper) = helper {
        helper.finish(&orders.directory)?;
    }
    Ok((init, filter, master))
}

/// The program's ends, the input's and the outputs' ends of ours, which do not block.
fn pipes(open_stdin: bool) -> io::Result<(Streams, Option<OwnedFd>, Vec<Output>)> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from);
    let (stdin, input) = match open_stdin {
        true => pipe().map(|(read, write)| (Some(read), Some(write)))?,
        false => (None, None),
    };
    let (out_source, stdout) = pipe()?;
    let (err_source, stderr) = pipe()?;
    for end in [Some(&out_source), Some(&err_source), input.as_ref()]
        .into_iter()
        .flatten()
    {
        socket::set_nonblocking(end.as_fd())?;
    }
    let outputs = vec![
        Output::new(Stream::Stdout, out_source),
        Output::new(Stream::Stderr, err_source),
    ];
    Ok((
        Streams::Pipes {
            stdin,
            stdout,
            stderr,
        },
        input,
        outputs,
    ))
}
