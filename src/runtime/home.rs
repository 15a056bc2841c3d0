//! The home namespace: the user namespace that all monitors and workers of a user share. Never enters it in the cli itself.
//!
//! It maps 0 to the user and 1… to the user's subordinate ids. Nobody keeps it alive on purpose: every monitor lives in
//! it, so while one does the next command joins with `setns` instead of paying for the id-map helpers.

use std::cell::{Cell, OnceCell};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use super::idmap::IdMap;
use super::isolation::Isolation;
use super::subids::{Subids, write_maps};
use super::userns::Maps;
use crate::paths::{Paths, PathsError};
use crate::sys::gate::{Gate, Opener};
use crate::sys::process::{Cloned, Forked, ProcessName};
use crate::sys::{disk, lock, namespace, pidfd, process, procfs, role};

#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    #[error(transparent)]
    Paths(#[from] PathsError),
    #[error("lock {path}: {source}")]
    Lock { path: PathBuf, source: io::Error },
    #[error("create a user namespace: {source}")]
    CreateNamespace { source: io::Error },
    #[error("join the home namespace of process {pid}: {source}")]
    Join { pid: i32, source: io::Error },
    #[error("start {helper}: {source}")]
    StartHelper {
        helper: &'static str,
        source: io::Error,
    },
    #[error("{helper} could not write the id map: {message}")]
    Helper {
        helper: &'static str,
        message: String,
    },
    #[error("write {file} of a new user namespace: {source}")]
    WriteMap {
        file: &'static str,
        source: io::Error,
    },
    #[error("fork a role: {source}")]
    Fork { source: io::Error },
    #[error("make a pipe: {source}")]
    Pipe { source: io::Error },
}

/// A child of the caller that lives in the home namespace.
pub struct Entered {
    pub pid: Pid,
    /// Held until the new member is recorded: a command that wants to make a home of its own waits for it.
    pub lock: Option<lock::Guard>,
    /// Maps the ids of a new home, beside the caller's own work.
    mapper: Option<Pid>,
}

impl Entered {
    /// Waits until the ids of its home are mapped; `false`: they can't be, and the child has ended.
    pub fn is_mapped(&mut self) -> bool {
        let mapper = self.mapper.take();
        mapper.is_none_or(|mapper| matches!(pidfd::wait_child(mapper), Ok(0)))
    }

    /// Whether its home is being made beside the caller's work, and others wait until that is recorded.
    pub fn is_founding(&self) -> bool {
        self.mapper.is_some()
    }
}

/// How to look for a living home.
pub struct Home<'a> {
    pub paths: &'a Paths,
    /// Living monitors according to the locked container records: asked only if the home record was lost.
    pub members: &'a dyn Fn() -> Vec<ProcessName>,
    /// The member that was found last, to be found again at less cost.
    pub known: &'a Cell<Option<Found>>,
    /// How containers are kept apart, once it was asked for or a home was found.
    pub isolation: &'a OnceCell<Isolation>,
    /// Called before the lock is asked for: whoever is making a home already must give that up, or would wait for itself.
    pub give_up: &'a dyn Fn(),
}

impl Home<'_> {
    /// Forks a child into the home namespace and runs `job` there; `job` gives its exit code. The `gift` and the gate are the only
    /// descriptors it inherits. With `becomes_member` it is expected to record itself (`record`).
    pub fn enter(
        &self,
        becomes_member: bool,
        gift: OwnedFd,
        job: impl FnOnce(Gate, OwnedFd) -> i32,
    ) -> Result<Entered, HomeError> {
        self.paths.make_runtime()?;
        Paths::make(&self.paths.data)?;
        let shared = self.lock(lock::Mode::Shared)?;
        if let Some(found) = self.find() {
            return enter_existing(&found, shared, gift, job, || ());
        }
        if self.isolation() == Isolation::Chroot {
            return stay(gift, job);
        }
        if !becomes_member {
            return enter_new(None, gift, job);
        }
        drop(shared);
        let exclusive = self.lock(lock::Mode::Exclusive)?;
        match self.find() {
            Some(found) => enter_existing(&found, exclusive, gift, job, || ()),
            None => enter_new(Some(exclusive), gift, job),
        }
    }

    /// The same before it is known whether the child is needed: a home that has to be made gets its ids beside the caller's own work.
    /// `None`, and neither is run, where others are at it. `meanwhile` is the caller's, once the child is on its way. Also says whether
    /// that home has one id.
    pub fn enter_early(
        &self,
        gift: OwnedFd,
        job: impl FnOnce(Gate, OwnedFd) -> i32,
        meanwhile: impl FnOnce(),
    ) -> Result<Option<(Entered, bool)>, HomeError> {
        self.paths.make_runtime()?;
        Paths::make(&self.paths.data)?;
        let Some(shared) = self.try_lock(lock::Mode::Shared)? else {
            return Ok(None);
        };
        if let Some(found) = self.recorded() {
            let mut single_id = false;
            let entered = enter_existing(&found, shared, gift, job, || {
                meanwhile();
                single_id = found.has_single_id();
            })?;
            self.known.set(Some(found));
            return Ok(Some((entered, single_id)));
        }
        drop(shared);
        if self.isolation() == Isolation::Chroot {
            return Ok(None);
        }
        let Some(exclusive) = self.try_lock(lock::Mode::Exclusive)? else {
            return Ok(None);
        };
        // The record was lost, or another command was faster: nobody keeps those out who only want to join.
        if self.find().is_some() {
            return Ok(None);
        }
        let subids = Subids::find();
        let entered = enter_new_beside(exclusive, subids.as_ref(), gift, job)?;
        meanwhile();
        Ok(Some((entered, subids.is_none())))
    }

    /// The same where there is a living home, looked for by its record alone; `None`, and `job` is not run, where there is none.
    pub fn enter_living(
        &self,
        gift: OwnedFd,
        job: impl FnOnce(Gate, OwnedFd) -> i32,
    ) -> Result<Option<Entered>, HomeError> {
        let shared = self.lock(lock::Mode::Shared)?;
        let found = self.recorded();
        found
            .map(|found| enter_existing(&found, shared, gift, job, || ()))
            .transpose()
    }

    /// Whether whoever enters next has a single id: as the living home has it, be it older than the user's subordinate ids,
    /// else as a new one will.
    pub fn has_single_id(&self) -> bool {
        match self.find() {
            Some(found) => {
                let single = found.has_single_id();
                self.known.set(Some(found));
                single
            }
            None => match self.isolation() {
                Isolation::Namespaces => Subids::find().is_none(),
                Isolation::Chroot => is_single_id(),
            },
        }
    }

    /// How containers are kept apart here: tried once, and only where neither this process nor a living home says it.
    pub fn isolation(&self) -> Isolation {
        if let Some(known) = self.isolation.get() {
            return *known;
        }
        let found = match Isolation::is_in_doubt().then(|| self.recorded()) {
            Some(None) => Isolation::tried(),
            Some(found) => {
                self.known.set(found);
                Isolation::Namespaces
            }
            None => Isolation::Namespaces,
        };
        *self.isolation.get_or_init(|| found)
    }

    /// Whether there is a living home, which whoever enters next joins.
    pub fn is_alive(&self) -> bool {
        self.find().is_some()
    }

    /// Whether there certainly is a living home with more ids: looked for by its record alone, which costs little.
    pub fn surely_has_many_ids(&self) -> bool {
        let Some(found) = self.recorded() else {
            return false;
        };
        let many = !found.has_single_id();
        self.known.set(Some(found));
        many
    }

    fn lock_path(&self) -> PathBuf {
        self.paths.data.join("home.lock")
    }

    fn try_lock(&self, mode: lock::Mode) -> Result<Option<lock::Guard>, HomeError> {
        let path = self.lock_path();
        lock::try_lock(&path, mode).map_err(|source| HomeError::Lock { path, source })
    }

    fn lock(&self, mode: lock::Mode) -> Result<lock::Guard, HomeError> {
        (self.give_up)();
        let path = self.lock_path();
        lock::lock(&path, mode).map_err(|source| HomeError::Lock { path, source })
    }

    /// The living member that was found last or, if there is none, that the record names.
    fn recorded(&self) -> Option<Found> {
        let known = self.known.take();
        let found = known
            .filter(|found| pidfd::is_alive(found.alive.as_fd()))
            .or_else(|| read_record(&self.paths.home_record()).and_then(open_member));
        if found.is_some() {
            // A second time is no other answer.
            let _ = self.isolation.set(Isolation::Namespaces);
        }
        found
    }

    /// The user namespace of a living member: by the record, else by the container records.
    fn find(&self) -> Option<Found> {
        self.recorded().or_else(|| {
            let found = (self.members)().into_iter().find_map(open_member)?;
            // So that the next command need not search; if it fails, that one searches too.
            let _ = record(self.paths, found.member);
            Some(found)
        })
    }
}

/// A living member. Joined only if it lives still: its namespace would go on for whoever joins, but nobody would find it.
pub struct Found {
    member: ProcessName,
    alive: OwnedFd,
    namespace: OwnedFd,
    /// Never changes.
    single_id: Cell<Option<bool>>,
}

impl Found {
    fn has_single_id(&self) -> bool {
        let read = || maps_of(self.member.pid).is_ok_and(|maps| maps.is_single_id());
        let single = self.single_id.get().unwrap_or_else(read);
        self.single_id.set(Some(single));
        single
    }
}

/// Opens a member's user namespace; the descriptor pins it, so it cannot end between here and the join.
fn open_member(member: ProcessName) -> Option<Found> {
    let alive = member.open().ok()??;
    let namespace = namespace::open(member.pid, "user").ok()?;
    // The pid may have been given to another process before the namespace was opened, but not while this one lives.
    let still_it = pidfd::is_alive(alive.as_fd());
    let own = namespace::open(std::process::id() as i32, "user").ok()?;
    let other =
        namespace::identity(namespace.as_fd()).ok()? != namespace::identity(own.as_fd()).ok()?;
    (still_it && other).then_some(Found {
        member,
        alive,
        namespace,
        single_id: Cell::new(None),
    })
}

fn read_record(path: &Path) -> Option<ProcessName> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Names a process as one to join. Called by the first member, once it is one, and where the record had to be found again.
pub fn record(paths: &Paths, member: ProcessName) -> io::Result<()> {
    let text = serde_json::to_vec(&member).map_err(io::Error::other)?;
    let path = paths.home_record();
    // Several may name the same member at once.
    let temporary = path.with_extension(format!("{}-{}", member.pid, std::process::id()));
    disk::write(&temporary, text)?;
    disk::rename(&temporary, &path)
}

fn enter_existing(
    found: &Found,
    lock: lock::Guard,
    gift: OwnedFd,
    job: impl FnOnce(Gate, OwnedFd) -> i32,
    meanwhile: impl FnOnce(),
) -> Result<Entered, HomeError> {
    let (report, child_end) = pipe()?;
    let pid = match process::fork().map_err(|source| HomeError::Fork { source })? {
        Forked::Parent(pid) => pid,
        Forked::Child => {
            let joined = namespace::join(found.namespace.as_fd(), CloneFlags::CLONE_NEWUSER);
            let errno = joined
                .err()
                .and_then(|error| error.raw_os_error())
                .unwrap_or(0);
            let _ = rustix::io::write(&child_end, &errno.to_le_bytes());
            if errno != 0 {
                process::exit_now(125);
            }
            keep_only(&[gift.as_fd()]);
            process::exit_now(job(Gate::opened(), gift))
        }
    };
    drop((child_end, gift));
    meanwhile();
    let mut errno = [0u8; 4];
    match rustix::io::read(&report, &mut errno) {
        Ok(4) if i32::from_le_bytes(errno) == 0 => Ok(Entered {
            pid,
            lock: Some(lock),
            mapper: None,
        }),
        read => {
            let _ = pidfd::wait_child(pid);
            let source = match read {
                Ok(4) => io::Error::from_raw_os_error(i32::from_le_bytes(errno)),
                _ => io::Error::from(io::ErrorKind::UnexpectedEof),
            };
            Err(HomeError::Join {
                pid: found.member.pid,
                source,
            })
        }
    }
}

/// A child that stays where its parent is: there is no home namespace, and none is needed.
fn stay(gift: OwnedFd, job: impl FnOnce(Gate, OwnedFd) -> i32) -> Result<Entered, HomeError> {
    match process::fork().map_err(|source| HomeError::Fork { source })? {
        Forked::Parent(pid) => Ok(Entered {
            pid,
            lock: None,
            mapper: None,
        }),
        Forked::Child => {
            keep_only(&[gift.as_fd()]);
            process::exit_now(job(Gate::opened(), gift))
        }
    }
}

fn enter_new(
    lock: Option<lock::Guard>,
    gift: OwnedFd,
    job: impl FnOnce(Gate, OwnedFd) -> i32,
) -> Result<Entered, HomeError> {
    let (child, opener) = clone_home(gift, None, job)?;
    let mapped = write_maps(child.pid, Subids::find().as_ref(), || ());
    if let Err(error) = mapped {
        let _ = pidfd::kill_hard(child.pidfd.as_fd());
        let _ = pidfd::reap(child.pidfd.as_fd());
        return Err(error);
    }
    opener.open();
    Ok(Entered {
        pid: child.pid,
        lock,
        mapper: None,
    })
}

/// The same without waiting for the ids: a fork waits for the helpers that map them. The child begins, and this returns, when both
/// are at it: they are what the container waits for, so where processors are few they go before all other work.
fn enter_new_beside(
    lock: lock::Guard,
    subids: Option<&Subids>,
    gift: OwnedFd,
    job: impl FnOnce(Gate, OwnedFd) -> i32,
) -> Result<Entered, HomeError> {
    let (begun, begin) = pipe()?;
    let (child, opener) = clone_home(gift, Some(&begun), job)?;
    let mapper = match process::fork() {
        Ok(Forked::Parent(mapper)) => mapper,
        Ok(Forked::Child) => {
            role::set("id map");
            keep_only(&[opener.as_fd(), begin.as_fd()]);
            let mapped = write_maps(child.pid, subids, || drop(begin));
            match &mapped {
                Ok(()) => opener.open(),
                // It is said when it is tried again.
                Err(error) => tracing::debug!(%error, "the ids are not mapped"),
            }
            process::exit_now(mapped.is_err().into())
        }
        Err(source) => {
            drop(opener);
            let _ = pidfd::reap(child.pidfd.as_fd());
            return Err(HomeError::Fork { source });
        }
    };
    drop((begin, opener));
    wait_end(&begun);
    Ok(Entered {
        pid: child.pid,
        lock: Some(lock),
        mapper: Some(mapper),
    })
}

/// A child in a user namespace of its own that has no ids yet, and what opens the gate at which it waits for them. It begins when
/// the other end of `first` is closed.
fn clone_home(
    gift: OwnedFd,
    first: Option<&OwnedFd>,
    job: impl FnOnce(Gate, OwnedFd) -> i32,
) -> Result<(Cloned, Opener), HomeError> {
    let (gate, opener) = Gate::closed().map_err(|source| HomeError::Pipe { source })?;
    let cloned = process::clone3(libc::CLONE_NEWUSER as u64, None);
    let Some(child) = cloned.map_err(|source| HomeError::CreateNamespace { source })? else {
        drop(opener);
        let kept = [Some(gift.as_fd()), gate.fd(), first.map(AsFd::as_fd)];
        keep_only(&kept.into_iter().flatten().collect::<Vec<_>>());
        if let Some(first) = first {
            wait_end(first);
        }
        process::exit_now(job(gate, gift));
    };
    Ok((child, opener))
}

/// Until all writers of a pipe have closed it.
fn wait_end(pipe: &OwnedFd) {
    let _ = rustix::io::read(pipe, &mut [0u8; 1]);
}

/// A role keeps what it was given and the trace.
fn keep_only(fds: &[BorrowedFd<'_>]) {
    let mut kept = fds.to_vec();
    kept.extend(role::trace_fd());
    // Failing leaves descriptors open that are close-on-exec all the same.
    let _ = process::close_all_except(&kept);
}

fn pipe() -> Result<(OwnedFd, OwnedFd), HomeError> {
    pipe_with(PipeFlags::CLOEXEC).map_err(|source| HomeError::Pipe {
        source: source.into(),
    })
}

/// The id maps of the namespace the calling process is in: a container's map is made from them.
pub fn maps() -> io::Result<Maps> {
    maps_of_path("self")
}

/// Those of another process's, whose outside is the caller's namespace if that is above it.
pub fn maps_of(pid: i32) -> io::Result<Maps> {
    maps_of_path(&pid.to_string())
}

fn maps_of_path(process: &str) -> io::Result<Maps> {
    let read = |file: &str| {
        let text = procfs::text(format!("/proc/{process}/{file}"))?;
        IdMap::parse(&text)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unexpected id map"))
    };
    Ok(Maps {
        users: read("uid_map")?,
        groups: read("gid_map")?,
    })
}

/// Whether the namespace the calling process is in maps nothing but one id: then `chown` to any other must not fail.
pub fn is_single_id() -> bool {
    maps().is_ok_and(|maps| maps.is_single_id())
}
