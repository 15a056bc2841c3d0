//! `unshare`, `mount` and `image mount`: a command of the user's in the home namespace, where files of subordinate ids are the user's own,
//! and where a container's root may be visible. Nothing that is mounted outlives the command.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sched::CloneFlags;
use nix::sys::signal::Signal;
use rustix::pipe::{PipeFlags, pipe_with};

use super::super::worker::RoleFailure;
use super::super::{Engine, EngineError};
use super::door::{Door, Entrance, Hold, failure};
use super::own_layer::prepare;
use crate::image::TempLayer;
use crate::runtime::isolation::Isolation;
use crate::runtime::rootfs::{Driver, Rootfs, old_overlay};
use crate::runtime::view::{self, Rest};
use crate::sys::gate::Gate;
use crate::sys::mount::{self, Attributes};
use crate::sys::process::{self, Forked};
use crate::sys::signal::Signals;
use crate::sys::socket::{self, Received};
use crate::sys::{namespace, pidfd, role, signal};

/// What has to be kept as long as the command runs.
#[derive(Default)]
struct Kept {
    _hold: Option<Hold>,
    _image: Option<MountedImage>,
}

/// An image's root in this mount namespace. What overlayfs needs beside the image's layers is rubbish afterwards.
struct MountedImage {
    place: PathBuf,
    _layer: TempLayer,
}

impl Drop for MountedImage {
    fn drop(&mut self) {
        // Or the place could not be removed.
        let _ = rustix::process::chdir("/");
        let _ = mount::detach(&self.place);
    }
}

impl Engine {
    /// Runs a command as root of the home namespace, in a mount namespace of its own; gives its exit code.
    pub fn unshare(&self, words: &[String]) -> Result<i32, EngineError> {
        self.run_at_home(words, || {
            private_mounts()?;
            Ok(Kept::default())
        })
    }

    /// The same where the container's root is mounted, and the working directory.
    pub fn look_into(&self, name: &str, words: &[String]) -> Result<i32, EngineError> {
        let record = self.find(name)?;
        let config = self.config_of(&record)?;
        let entrance = self.entrance(&record, &config, true)?;
        let place = record.path("merged");
        self.run_at_home(words, || {
            let door = entrance.open().map_err(|error| failure(&error))?;
            let kept = match door {
                Door::Running { init, pid } => {
                    show_running(init, pid, &place)?;
                    Kept::default()
                }
                Door::AtRest { hold } => {
                    show_at_rest(&entrance)?;
                    Kept {
                        _hold: Some(hold),
                        ..Kept::default()
                    }
                }
            };
            Ok(kept)
        })
    }

    /// The same of an image, read-only. Its layers stay as long as the command runs.
    pub fn look_into_image(&self, name: &str, words: &[String]) -> Result<i32, EngineError> {
        let store = self.images()?;
        let _lease = store.lease()?;
        let image = store.resolve(name)?;
        let driver = self.storage_choice().driver;
        if driver == Driver::FuseOverlayfs {
            return Err(EngineError::FuseImage);
        }
        let lower: Vec<PathBuf> = image.layers.iter().map(|l| store.layer_path(l)).collect();
        self.run_at_home(words, || {
            let layer = store.begin_layer();
            let layer = layer.map_err(|error| RoleFailure::of(&error, Vec::new()))?;
            Ok(Kept {
                _image: Some(show_image(lower, layer, driver)?),
                ..Kept::default()
            })
        })
    }

    /// The command is a child of a role in the home namespace, which keeps what it needs. It gets the terminal's signals
    /// itself, and ends with whoever waits for it.
    fn run_at_home(
        &self,
        words: &[String],
        prepare: impl FnOnce() -> Result<Kept, RoleFailure>,
    ) -> Result<i32, EngineError> {
        if self.isolation() == Isolation::Chroot {
            return Err(EngineError::Confined {
                what: "a mount namespace for the command".to_owned(),
            });
        }
        let system = EngineError::system;
        let pipe = pipe_with(PipeFlags::CLOEXEC);
        let (result, report) = pipe.map_err(|error| system("make a pipe")(error.into()))?;
        let signals = Signals::watch(&[Signal::SIGINT, Signal::SIGQUIT]);
        let signals = signals.map_err(system("watch for signals"))?;
        let parent = rustix::process::getpid();
        let entered = self.with_home(|home| {
            home.enter(false, report, |gate, report| {
                let ran = run(gate, parent, words, prepare, &report);
                ran.unwrap_or_else(|failure| {
                    super::side::say(&report, &failure);
                    125
                })
            })
        });
        let entered = entered.map_err(|error| self.explain_home(error))?;
        let mut text = Vec::new();
        let read = File::from(result).read_to_end(&mut text);
        let code = pidfd::wait_child(entered.pid).map_err(system("wait for the command"))?;
        // What was typed was meant for the command.
        while let Ok(Some(_)) = signals.next() {}
        read.map_err(system("read the answer of a role"))?;
        match serde_json::from_slice::<RoleFailure>(&text) {
            Ok(failure) => Err(EngineError::Command { failure, code }),
            Err(_) => Ok(code),
        }
    }
}

fn run(
    mut gate: Gate,
    parent: rustix::process::Pid,
    words: &[String],
    prepare: impl FnOnce() -> Result<Kept, RoleFailure>,
    report: &OwnedFd,
) -> Result<i32, RoleFailure> {
    role::set("home");
    let reset = signal::reset_all();
    reset.map_err(said("reset signals"))?;
    if !gate.wait() || !dies_with(parent) {
        return Ok(125);
    }
    let kept = prepare()?;
    let this = rustix::process::getpid();
    let child = match process::fork().map_err(said("fork the command"))? {
        Forked::Parent(child) => child,
        Forked::Child => {
            if !dies_with(this) {
                process::exit_now(125);
            }
            process::exit_now(execute(words, report))
        }
    };
    let watched = Signals::watch(&[Signal::SIGINT, Signal::SIGQUIT]);
    let ended = pidfd::wait_child(child).map_err(said("wait for the command"));
    drop((watched, kept));
    ended
}

/// `false`: the parent has died before that could be asked for.
fn dies_with(parent: rustix::process::Pid) -> bool {
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    rustix::process::getppid() == Some(parent)
}

/// Becomes the command; a shell's exit codes for one that can't be.
fn execute(words: &[String], report: &OwnedFd) -> i32 {
    let shell = std::env::var("SHELL")
        .ok()
        .filter(|shell| !shell.is_empty());
    let shell = [shell.unwrap_or_else(|| "/bin/sh".to_owned())];
    let words = if words.is_empty() { &shell } else { words };
    let error = Command::new(&words[0]).args(&words[1..]).exec();
    let reason = match error.kind() {
        io::ErrorKind::NotFound if !words[0].contains('/') => {
            "executable file not found in $PATH".to_owned()
        }
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    let failure = RoleFailure {
        message: format!("exec: {:?}: {reason}", words[0]),
        hints: Vec::new(),
    };
    super::side::say(report, &failure);
    match error.kind() {
        io::ErrorKind::NotFound => 127,
        _ => 126,
    }
}

fn private_mounts() -> Result<(), RoleFailure> {
    namespace::leave(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount::isolate_propagation())
        .map_err(said("make a mount namespace"))
}

/// Mounts a copy of what a running container sees, taken by a role that goes in for it.
fn show_running(init: OwnedFd, pid: i32, place: &Path) -> Result<(), RoleFailure> {
    let (ours, theirs) = socket::pair().map_err(said("make a socket pair"))?;
    let child = match process::fork().map_err(said("fork a role"))? {
        Forked::Parent(child) => child,
        Forked::Child => process::exit_now(send_root(init.as_fd(), pid, theirs.as_fd())),
    };
    drop(theirs);
    let mut buffer = vec![0; socket::MESSAGE_MAX];
    let received = socket::receive(ours.as_fd(), &mut buffer);
    let _ = pidfd::wait_child(child);
    let tree = match received {
        Ok(Received::Message(_, mut fds)) => fds.pop(),
        _ => None,
    };
    let tree = tree.ok_or_else(|| {
        said("copy the container's root")(io::Error::from(io::ErrorKind::UnexpectedEof))
    })?;
    private_mounts()?;
    attach(tree, place)
}

/// The role that goes in.
fn send_root(init: BorrowedFd<'_>, pid: i32, socket: BorrowedFd<'_>) -> i32 {
    let sent = view::join(init, pid)
        .and_then(|()| super::place::open_root())
        .and_then(|root| mount::clone_tree(root.as_fd(), Path::new("")))
        .and_then(|tree| socket::send(socket, &[b"r"], &[tree.as_fd()]));
    i32::from(sent.is_err())
}

/// Programs of a container get no rights by their bits, its devices are none.
fn attach(tree: OwnedFd, place: &Path) -> Result<(), RoleFailure> {
    let attributes = Attributes {
        no_suid: true,
        no_dev: true,
        ..Attributes::default()
    };
    let place = crate::sys::fs::open_directory(place).map_err(said("open the mount point"))?;
    mount::set_attributes(tree.as_fd(), attributes)
        .and_then(|()| mount::attach(tree.as_fd(), place.as_fd()))
        .and_then(|()| Ok(rustix::process::fchdir(&tree)?))
        .map_err(said("mount the container's root"))
}

fn show_at_rest(entrance: &Entrance) -> Result<(), RoleFailure> {
    if entrance.rest.rootfs.driver == Driver::FuseOverlayfs {
        return Err(failure(&EngineError::FuseAtRest));
    }
    prepare(&entrance.rest.rootfs)?;
    let shown = view::show(&entrance.rest);
    shown.map_err(|error| RoleFailure::of(&error, Vec::new()))
}

/// The layer becomes the upper directory that nobody writes to.
fn show_image(
    lower: Vec<PathBuf>,
    layer: TempLayer,
    driver: Driver,
) -> Result<MountedImage, RoleFailure> {
    let place = layer.make_work().and_then(|()| layer.make_place());
    let place = place.map_err(said("make a place for the image's root"))?;
    let rest = Rest {
        rootfs: Rootfs {
            lower,
            upper: layer.path(),
            work: layer.work(),
            merged: place.clone(),
            by_names: old_overlay(),
            volatile: true,
            driver,
            ..Rootfs::default()
        },
        binds: Vec::new(),
        read_only: true,
        isolation: Isolation::Namespaces,
    };
    prepare(&rest.rootfs)?;
    let shown = view::show(&rest);
    shown.map_err(|error| RoleFailure::of(&error, Vec::new()))?;
    Ok(MountedImage {
        place,
        _layer: layer,
    })
}

fn said(operation: &'static str) -> impl FnOnce(io::Error) -> RoleFailure {
    move |source| failure(&EngineError::System { operation, source })
}
