//! From nothing to a running program: root filesystem, streams, init, network. Knows no client and no record.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::process::Pid;

use super::bridged::Bridged;
use super::called::Expected;
use super::fault;
use super::network::StartingNetwork;
use super::null_file::NullFile;
use super::protocol::StartFailure;
use super::stdio::Stdio;
use super::supervise::{Orders, failure};
use crate::image::CopiedRoot;
use crate::runtime::apart;
use crate::runtime::cgroup::{self, Wanted};
use crate::runtime::doctor::{self, Check};
use crate::runtime::entrance::Entrance;
use crate::runtime::execute::{Init, SetupError, Shape, Streams};
use crate::runtime::fuse;
use crate::runtime::preserved::Preserved;
use crate::runtime::rootfs::{Driver, Fallback, Rootfs};
use crate::runtime::seccomp::Program;
use crate::sys::{process, text};

/// A container whose program runs, as the monitor holds it.
pub struct Running {
    pub init: Init,
    pub stdio: Stdio,
    /// What stacks its layers.
    pub driver: Driver,
    /// fuse-overlayfs.
    pub daemon: Option<Pid>,
    /// Its places in networks that it shares.
    pub network: Option<Box<Bridged>>,
    pub null_file: Option<NullFile>,
}

/// What the monitor does while init sets the root up; it may be called again, and fails the start.
pub type Meanwhile<'a> = &'a mut dyn FnMut() -> Result<(), StartFailure>;

/// Starts the program; where the layers turn out not to be stacked, once more with what comes next, if that is wanted.
pub fn start(
    orders: &Orders,
    newborn: Option<Briefed>,
    meanwhile: Meanwhile<'_>,
) -> Result<Running, StartFailure> {
    let rootfs = &orders.launch.rootfs;
    let mut driver = rootfs.driver;
    let mut started = attempt(orders, driver, newborn, meanwhile);
    let mut refused = None;
    while let Err(StartFailure::Setup(error)) = &started
        && rootfs.may_fall_back
        && let Some(next) = after(driver, error)
    {
        tracing::warn!(%error, driver = next.name(), "start once more");
        if driver == Driver::Overlay {
            refused = Some(error.clone());
        }
        // The network helper of the first attempt holds the ports.
        process::end_all_others();
        driver = next;
        started = attempt(orders, driver, None, meanwhile);
    }
    if let (Ok(_), Some(error)) = (&started, refused) {
        remember(orders, &error);
    }
    started
}

/// What is to be tried when one has failed, and if it was to blame.
fn after(driver: Driver, error: &SetupError) -> Option<Driver> {
    match (driver, error) {
        (Driver::Overlay, error) if error.says_no_overlay() => Some(match fuse::usable() {
            Ok(()) => Driver::FuseOverlayfs,
            Err(_) => Driver::Copy,
        }),
        (Driver::FuseOverlayfs, SetupError::Fuse(_)) => Some(Driver::Copy),
        _ => None,
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
    newborn: Option<Briefed>,
    meanwhile: Meanwhile<'_>,
) -> Result<Running, StartFailure> {
    let spec = orders.launch.spec.process().as_ref();
    let program = spec.and_then(|process| process.args().as_ref()?.first().cloned());
    let program = text::shown(&program.unwrap_or_default()).into_owned();
    let has_terminal = spec.is_some_and(|process| process.terminal().unwrap_or(false));
    let Cloned {
        init,
        stdio,
        driver,
        daemon,
        network,
    } = match newborn {
        Some(newborn) => newborn.begin(),
        None => clone(orders, driver, has_terminal)?,
    };
    fault::step("cloned");
    let ready = become_ready(orders, &init, network, has_terminal, meanwhile)?;
    let mut running = Running {
        init,
        stdio,
        driver,
        daemon,
        network: ready.network,
        null_file: NullFile::of(&orders.launch),
    };
    if has_terminal {
        let master = ready
            .master
            .ok_or(StartFailure::Setup(SetupError::Ended { code: -1 }))?;
        running.stdio = Stdio::terminal(master, orders.terminal_size)
            .map_err(failure("prepare the terminal"))?;
    }
    fault::step("ready");
    let init = &running.init;
    if !ready.released && init.release(ready.filter.as_ref()).is_err() {
        return Err(StartFailure::Setup(init.ended()));
    }
    init.wait_executed(&program).map_err(StartFailure::Setup)?;
    fault::step("executed");
    Ok(running)
}

/// An init on its way, and what came with it.
struct Cloned {
    init: Init,
    stdio: Stdio,
    driver: Driver,
    daemon: Option<Pid>,
    /// On its way already.
    network: Option<StartingNetwork>,
}

fn clone(orders: &Orders, driver: Driver, has_terminal: bool) -> Result<Cloned, StartFailure> {
    let entrance = Entrance::open(&orders.launch).map_err(StartFailure::Setup)?;
    // Only fuse-overlayfs shows files under other ids than they have.
    let driver = match entrance.shift() {
        Some(_) => Driver::FuseOverlayfs,
        None => driver,
    };
    let (root, daemon) = match driver {
        Driver::Overlay => {
            orders.launch.rootfs.forget_volatile();
            (None, None)
        }
        Driver::FuseOverlayfs => {
            let mounted = fuse::mount(&orders.launch.rootfs, entrance.shift());
            let mounted = mounted.map_err(|error| StartFailure::Setup(SetupError::Fuse(error)))?;
            (Some(mounted.tree), mounted.daemon)
        }
        Driver::Copy => {
            let launch = &orders.launch;
            let copied = apart::copied(&launch.rootfs, !launch.is_confined(), || {
                copy(&launch.rootfs)
            });
            (copied.map_err(StartFailure::Setup)?, None)
        }
    };
    let (streams, stdio) = match &orders.passed {
        _ if has_terminal => (Streams::Terminal, Stdio::nothing()),
        Some(passed) => {
            let streams = passed.streams().map_err(failure("pass the streams on"))?;
            (streams, Stdio::nothing())
        }
        None if orders.launch.is_confined() => {
            let names = orders.launch.rootfs.named_streams();
            let pipes = Stdio::named_pipes(orders.open_stdin, names);
            pipes.map_err(failure("make named pipes"))?
        }
        None => Stdio::pipes(orders.open_stdin).map_err(failure("make pipes"))?,
    };
    let launch = &orders.launch;
    let preserved = orders.preserved.try_clone();
    let preserved = preserved.map_err(failure("preserve descriptors"))?;
    let given = (streams, preserved);
    let init = Init::spawn(&launch.shape(), Some(launch), &entrance, root, given);
    Ok(Cloned {
        init: init.map_err(StartFailure::Setup)?,
        stdio,
        driver,
        daemon,
        network: None,
    })
}

fn copy(rootfs: &Rootfs) -> io::Result<()> {
    let (place, lent) = (rootfs.copy(), rootfs.lent()?);
    let root = CopiedRoot {
        place: &place,
        below: &rootfs.lower,
        upper: &rootfs.upper,
        lent: &lent,
    };
    root.make(!rootfs.volatile).map_err(io::Error::other)
}

/// An init that waits to be told what to become. Unless that happens, it and its cgroup go again.
pub struct Newborn {
    born: Option<(Init, Stdio)>,
    network: Option<StartingNetwork>,
    cgroup: Option<PathBuf>,
}

impl Newborn {
    pub fn make(expected: &Expected, cgroup: &Wanted) -> Result<Newborn, StartFailure> {
        let made = cgroup.make(expected.id.as_str(), &expected.paths.cgroup_lock());
        let cgroup = made.map_err(|error| failure("make the cgroup")(io::Error::other(error)))?;
        let mut newborn = Newborn {
            born: None,
            network: None,
            cgroup,
        };
        let (streams, stdio) = match expected.terminal {
            true => (Streams::Terminal, Stdio::nothing()),
            false => Stdio::pipes(expected.open_stdin).map_err(failure("make pipes"))?,
        };
        let entrance = Entrance::private().map_err(failure("read the home namespace's id map"))?;
        let shape = Shape::private(newborn.cgroup.clone());
        let given = (streams, Preserved::default());
        let init = Init::spawn(&shape, None, &entrance, None, given);
        let init = init.map_err(StartFailure::Setup)?;
        if let (Some(pasta), Some(namespace)) = (&expected.pasta, &init.network_namespace) {
            // What is in its way is in the way once more, and told then.
            newborn.network = pasta.begin(namespace.as_fd()).ok();
        }
        newborn.born = Some((init, stdio));
        Ok(newborn)
    }

    /// Told what to become, a `Launch` as bytes: it sets its root up from now on, while the monitor reads the rest of its orders.
    pub fn told(self, launch: &[u8]) -> Result<Briefed, StartFailure> {
        if let Some((init, _)) = &self.born {
            init.brief(launch).map_err(StartFailure::Setup)?;
        }
        Ok(Briefed {
            cgroup: self.cgroup.clone(),
            newborn: self,
        })
    }
}

impl Drop for Newborn {
    fn drop(&mut self) {
        if let Some((init, _)) = self.born.take() {
            let _ = init.ended();
        }
        // It would keep the namespace, and the ports.
        if self.network.take().is_some() {
            process::end_all_others();
        }
        if let Some(cgroup) = self.cgroup.take() {
            let _ = cgroup::remove(&cgroup);
        }
    }
}

/// One that sets its root up.
pub struct Briefed {
    newborn: Newborn,
    pub cgroup: Option<PathBuf>,
}

impl Briefed {
    fn begin(mut self) -> Cloned {
        let (init, stdio) = self.newborn.born.take().expect("it is taken only here");
        let network = self.newborn.network.take();
        // The container's now.
        self.newborn.cgroup = None;
        Cloned {
            init,
            stdio,
            driver: Driver::Overlay,
            daemon: None,
            network,
        }
    }
}

/// An init whose root stands.
struct Ready {
    master: Option<OwnedFd>,
    filter: Option<Program>,
    network: Option<Box<Bridged>>,
    /// The program runs already, or is about to.
    released: bool,
}

/// The network helper starts, and the system call filter is compiled, while init sets the root up. A terminal gets its size, and a
/// network is there, before the program sees them: else init need not wait for an answer when it is ready.
fn become_ready(
    orders: &Orders,
    init: &Init,
    begun: Option<StartingNetwork>,
    has_terminal: bool,
    meanwhile: Meanwhile<'_>,
) -> Result<Ready, StartFailure> {
    let helper = match (&orders.network, &init.network_namespace) {
        _ if begun.is_some() => begun,
        (Some(network), Some(namespace)) => Some(network.begin(orders, namespace.as_fd())?),
        _ => None,
    };
    let filter = orders.launch.filter();
    let filter = filter.map_err(|error| StartFailure::Monitor {
        operation: "compile the system call filter".to_owned(),
        message: error.to_string(),
    })?;
    // Its cgroup can be removed only without it.
    meanwhile().inspect_err(|_| drop(init.ended()))?;
    let is_connected = matches!(helper, None | Some(StartingNetwork::Bridged(_)));
    // One that has failed meanwhile says so below.
    let released = !has_terminal && is_connected && init.release(filter.as_ref()).is_ok();
    tracing::debug!(pid = init.host_pid, "wait for init");
    let master = init.wait_ready().map_err(StartFailure::Setup)?;
    let network = match helper {
        Some(helper) => helper.finish(&orders.directory)?,
        None => None,
    };
    Ok(Ready {
        master,
        filter,
        network,
        released,
    })
}
