//! How a container's init gets into its namespaces: those of other containers by its files below /proc, new ones by clone, its ids by
//! a map. Called by the monitor; nothing here runs inside a container.
//!
//! Another container's namespaces belong to its user namespace, so that one is joined too, first (kernel.md, 4). Whoever joined
//! can't come back: a fork of the monitor does it and clones init as its own sibling, the monitor's child (CLONE_PARENT).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sched::CloneFlags;
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;

use super::execute::{Launch, SetupError};
use super::home;
use super::userns::Maps;
use crate::sys::fs::{Links, open_in_root};
use crate::sys::process::{self, Cloned, Forked, ProcessName};
use crate::sys::socket::{self, Received};
use crate::sys::{mount, namespace, pidfd};

/// Namespaces of one running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// As messages call it.
    pub container: String,
    pub init: ProcessName,
    /// All but the user namespace, which is always joined.
    pub kinds: CloneFlags,
}

/// What was found out, and is held, until init is born.
pub struct Entrance {
    /// In the order of entering: a network by its file, then a user namespace, if it is not the monitor's own, and what it owns.
    namespaces: Vec<(CloneFlags, OwnedFd)>,
    /// The mount namespace of the container whose ipc namespace is joined.
    lender: Option<OwnedFd>,
    maps: Maps,
    shifted: bool,
}

/// Names below `/proc/PID/ns`.
const KINDS: [(CloneFlags, &str); 5] = [
    (CloneFlags::CLONE_NEWNET, "net"),
    (CloneFlags::CLONE_NEWPID, "pid"),
    (CloneFlags::CLONE_NEWIPC, "ipc"),
    (CloneFlags::CLONE_NEWUTS, "uts"),
    (CloneFlags::CLONE_NEWCGROUP, "cgroup"),
];

fn network_file(path: &Path) -> Result<OwnedFd, SetupError> {
    let failed = |error: io::Error| {
        SetupError::step(
            format!("open the network namespace {}", path.display()),
            &error,
        )
    };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty());
    file.map_err(|error| failed(error.into()))
}

impl Entrance {
    /// Of a container that has its own namespaces, and the ids of the home namespace.
    pub fn private() -> io::Result<Entrance> {
        Ok(Entrance {
            namespaces: Vec::new(),
            lender: None,
            maps: Maps::identity_of(&home::maps()?),
            shifted: false,
        })
    }

    pub fn open(launch: &Launch) -> Result<Entrance, SetupError> {
        let home = home::maps()
            .map_err(|error| SetupError::step("read the home namespace's id map", &error))?;
        let mut entrance = Entrance {
            namespaces: Vec::new(),
            lender: None,
            maps: launch.user.maps(&home).map_err(|error| SetupError::User {
                message: format!("map the container's ids: {error}"),
            })?,
            shifted: false,
        };
        if let Some(path) = &launch.network_file {
            // First: the rights over it are the home namespace's.
            entrance
                .namespaces
                .push((CloneFlags::CLONE_NEWNET, network_file(path)?));
        }
        entrance.join(&launch.joins, &home)?;
        entrance.shifted = entrance.maps != Maps::identity_of(&home);
        Ok(entrance)
    }

    /// By the namespaces' files, which the host's procfs has: a pidfd of a process beside the monitor's own pid namespace can't
    /// be opened in it.
    fn join(&mut self, joins: &[Join], home: &Maps) -> Result<(), SetupError> {
        let mut first: Option<(u64, &str)> = None;
        for join in joins {
            let name = join.container.as_str();
            let failed = |error: io::Error| {
                SetupError::step(format!("join the namespaces of container {name}"), &error)
            };
            let pid = join.init.pid;
            let open = |kind| namespace::open(pid, kind).map_err(failed);
            let user = open("user")?;
            let identity = namespace::identity(user.as_fd()).map_err(failed)?;
            match first {
                None => {
                    first = Some((identity, name));
                    if identity == namespace::own_identity("user").map_err(failed)? {
                        self.maps = Maps::identity_of(home);
                    } else {
                        self.maps = home::maps_of(pid).map_err(failed)?;
                        self.namespaces.push((CloneFlags::CLONE_NEWUSER, user));
                    }
                }
                Some((known, _)) if known == identity => {}
                Some((_, other)) => {
                    return Err(failed(io::Error::other(format!(
                        "container {other}, whose namespaces are joined too, has another user namespace"
                    ))));
                }
            }
            for (kind, file) in KINDS {
                if join.kinds.contains(kind) {
                    self.namespaces.push((kind, open(file)?));
                }
            }
            if join.kinds.contains(CloneFlags::CLONE_NEWIPC) {
                self.lender = Some(open("mnt")?);
            }
            // The pid may have been given to another process before all of them were opened.
            if ProcessName::of(pid).ok() != Some(join.init) {
                return Err(failed(io::Error::other("it does not run any more")));
            }
        }
        Ok(())
    }

    /// The ids of the container that are not those of the store, for fuse-overlayfs.
    pub fn shift(&self) -> Option<&Maps> {
        self.shifted.then_some(&self.maps)
    }

    pub fn maps(&self) -> &Maps {
        &self.maps
    }

    /// Clones init; `None` in init itself.
    pub fn clone_init(
        &self,
        flags: u64,
        cgroup: Option<BorrowedFd<'_>>,
    ) -> io::Result<Option<Cloned>> {
        if self.namespaces.is_empty() {
            return process::clone3(flags, cgroup);
        }
        let (ours, theirs) = socket::pair()?;
        let child = match process::fork()? {
            Forked::Parent(child) => child,
            Forked::Child => {
                drop(ours);
                return self.clone_inside(flags, cgroup, theirs);
            }
        };
        drop(theirs);
        let mut buffer = vec![0; socket::MESSAGE_MAX];
        let received = socket::receive(ours.as_fd(), &mut buffer);
        pidfd::wait_child(child)?;
        let Received::Message(length, mut fds) = received? else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let number = buffer[..length].try_into().map(i32::from_le_bytes);
        let number = number.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        // A failure is a negative number, which is no pid at all.
        match (fds.pop(), Pid::from_raw(number.max(0))) {
            (Some(pidfd), Some(pid)) => Ok(Some(Cloned { pid, pidfd })),
            _ => Err(io::Error::from_raw_os_error(number.saturating_neg())),
        }
    }

    /// In the fork: joins, clones, tells the monitor, ends. Returns only in init.
    fn clone_inside(
        &self,
        flags: u64,
        cgroup: Option<BorrowedFd<'_>>,
        monitor: OwnedFd,
    ) -> io::Result<Option<Cloned>> {
        let flags = flags | libc::CLONE_PARENT as u64;
        let cloned = self.enter().and_then(|()| process::clone3(flags, cgroup));
        let sent = match cloned {
            Ok(None) => return Ok(None),
            Ok(Some(init)) => {
                let number = init.pid.as_raw_nonzero().get().to_le_bytes();
                socket::send(monitor.as_fd(), &[&number], &[init.pidfd.as_fd()])
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                socket::send(monitor.as_fd(), &[&(-errno).to_le_bytes()], &[])
            }
        };
        process::exit_now(i32::from(sent.is_err()))
    }

    fn enter(&self) -> io::Result<()> {
        let mut namespaces = self.namespaces.iter();
        namespaces.try_for_each(|(kind, file)| namespace::join(file.as_fd(), *kind))
    }

    /// A copy of the `/dev/shm` of whoever's ipc namespace is joined.
    pub fn shared_memory(&self) -> io::Result<Option<OwnedFd>> {
        let Some(lender) = &self.lender else {
            return Ok(None);
        };
        let (ours, theirs) = socket::pair()?;
        let child = match process::fork()? {
            Forked::Parent(child) => child,
            Forked::Child => {
                let copied = self.copy_shared_memory(lender.as_fd());
                let sent = match copied {
                    Ok(tree) => socket::send(theirs.as_fd(), &[b"m"], &[tree.as_fd()]),
                    Err(error) => {
                        let errno = error.raw_os_error().unwrap_or(libc::EIO);
                        socket::send(theirs.as_fd(), &[&errno.to_le_bytes()], &[])
                    }
                };
                process::exit_now(i32::from(sent.is_err()))
            }
        };
        drop(theirs);
        let mut buffer = vec![0; socket::MESSAGE_MAX];
        let received = socket::receive(ours.as_fd(), &mut buffer);
        pidfd::wait_child(child)?;
        let Received::Message(length, mut fds) = received? else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        match (
            fds.pop(),
            buffer[..length].try_into().map(i32::from_le_bytes),
        ) {
            (Some(tree), _) => Ok(Some(tree)),
            (None, Ok(errno)) => Err(io::Error::from_raw_os_error(errno)),
            (None, Err(_)) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Enters the other container's mount namespace, whose root becomes ours, and follows no link of its making.
    fn copy_shared_memory(&self, lender: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        self.enter()?;
        namespace::join(lender, CloneFlags::CLONE_NEWNS)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open("/", flags, Mode::empty())?;
        let directory = open_in_root(
            root.as_fd(),
            b"dev/shm",
            flags,
            Mode::empty(),
            Links::Refuse,
        )?;
        mount::clone_tree(directory.as_fd(), Path::new(""))
    }
}
