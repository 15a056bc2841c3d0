//! The container's cgroup: where the user may make one (cgroups(7)), the controllers it has, its end. Never what a limit means.
//!
//! Three kinds of places: below a cgroup that contains the command and is the user's, without systemd or where systemd was told
//! to delegate it; in a scope that the user's systemd is asked for; or nowhere, and then everything runs but limits, pause and stats.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Access, Mode, OFlags, StatFs};
use serde::{Deserialize, Serialize};

use super::limits::{self, LimitError, Setting};
use super::systemd::{MONITORS, SCOPE, SLICE, SystemdError, UserSystemd};
use crate::sys::lock;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::process::ProcessName;
use crate::sys::procfs;

/// statfs(2)
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;

/// What limits and statistics use, where it can be had.
const CONTROLLERS: [&str; 5] = ["cpu", "memory", "pids", "io", "cpuset"];

/// How often a scope that is ending is asked for again, and how long after.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// Why containers get no cgroup of their own here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum NoCgroup {
    #[error("no cgroup v2 hierarchy is mounted")]
    NotMounted,
    #[error("the cgroup of this session is not delegated to the user")]
    NotDelegated,
}

#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error(transparent)]
    Systemd(#[from] SystemdError),
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error("{operation} {path}: {source}")]
    File {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("the user's systemd put the monitor into {found:?} instead of {SCOPE}")]
    Elsewhere { found: String },
}

/// What a container's monitor is told of its cgroup.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wanted {
    pub place: Result<Place, NoCgroup>,
    /// Never sent: who has one is not expected.
    #[serde(skip)]
    pub parent: Option<Parent>,
    /// The same.
    #[serde(skip)]
    pub limits: Vec<Setting>,
    /// Why none could be made after all.
    pub failure: Option<String>,
}

impl Wanted {
    /// One of its own, for a container that asks for nothing else.
    pub fn at(place: Result<Place, NoCgroup>) -> Wanted {
        Wanted {
            place,
            parent: None,
            limits: Vec::new(),
            failure: None,
        }
    }

    /// A container that asked for nothing runs without one, too.
    pub fn is_optional(&self) -> bool {
        self.parent.is_none() && self.limits.is_empty()
    }

    /// Why the container has none.
    pub fn why_none(&self) -> Option<String> {
        let nowhere = self.place.as_ref().err();
        nowhere
            .map(NoCgroup::to_string)
            .or_else(|| self.failure.clone())
    }

    /// Where a monitor is best born: to be moved later costs several milliseconds, since the kernel waits for all processors.
    /// `None` where it has to be, because there is no scope yet, or where it stays. From a login session nothing can be cloned there.
    pub fn birthplace(&self) -> Option<OwnedFd> {
        let Ok(Place::Scope { around, .. }) = &self.place else {
            return None;
        };
        let own = mount()?.join(own_cgroup()?);
        if !own.starts_with(around) {
            return None;
        }
        let monitors = around.join(SLICE).join(SCOPE).join(MONITORS);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(monitors, flags, Mode::empty()).ok()
    }

    /// Makes the cgroup of one container, with its limits; `None` where there is no place for one. Called by its monitor, which
    /// systemd moves into the scope first: a process may only go where it has the right to write to the common ancestor of both
    /// cgroups, and that of a login session and the user's systemd is root's. `guard` is a file of the user's to lock.
    pub fn make(&self, container_hex: &str, guard: &Path) -> Result<Option<PathBuf>, CgroupError> {
        let own = match &self.place {
            Err(_) => return Ok(None),
            Ok(Place::Tree(directory)) => {
                enable_controllers(directory);
                directory.clone()
            }
            Ok(Place::Scope { systemd, .. }) => enter_scope(systemd, guard)?,
        };
        let parent = match &self.parent {
            Some(parent) => parent.make(&own)?,
            None => own,
        };
        let directory = path_of(&parent, container_hex);
        let made = self.make_at(&directory);
        made.inspect_err(|_| drop(remove(&directory)))?;
        Ok(Some(directory))
    }

    /// Makes it at its place, if it is not there, and limits it.
    pub fn make_at(&self, directory: &Path) -> Result<(), CgroupError> {
        create(directory).map_err(|source| CgroupError::File {
            operation: "make the cgroup",
            path: directory.to_owned(),
            source,
        })?;
        if self.limits.is_empty() {
            return Ok(());
        }
        let controllers = read(directory, "cgroup.controllers");
        let mut limits = self.limits.iter();
        limits.try_for_each(|limit| limit.check(&controllers, directory))?;
        Ok(limits::apply(directory, &self.limits)?)
    }
}

/// `--cgroup-parent`, found to be a place that the user may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The cgroup that it is below; None: that of bryo's own, wherever this is when the container begins.
    base: Option<PathBuf>,
    /// Normal components alone.
    below: PathBuf,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParentError {
    #[error("{text:?} is no path of a cgroup, which names one and goes nowhere by `..`")]
    Malformed { text: String },
    #[error("{text} is not in the cgroup tree that this user was given, {tree}")]
    Outside { text: String, tree: String },
    #[error(transparent)]
    NoCgroup(#[from] NoCgroup),
}

fn malformed(text: &str) -> ParentError {
    ParentError::Malformed {
        text: text.to_owned(),
    }
}

impl Parent {
    /// A relative path is below the cgroup that containers get theirs in; an absolute one is from the root of all, as docker has
    /// it, and may also be spelt with the place where that is mounted.
    pub fn find(text: &str, place: &Result<Place, NoCgroup>) -> Result<Parent, ParentError> {
        let mut below = PathBuf::new();
        for component in Path::new(text).components() {
            match component {
                Component::Normal(name) => below.push(name),
                Component::CurDir | Component::RootDir => {}
                Component::ParentDir | Component::Prefix(_) => return Err(malformed(text)),
            }
        }
        if text.contains('\0') {
            return Err(malformed(text));
        }
        let place = place.as_ref().map_err(|reason| *reason)?;
        if !text.starts_with('/') {
            return match below.as_os_str().is_empty() {
                true => Err(malformed(text)),
                false => Ok(Parent { base: None, below }),
            };
        }
        let mount = mount().ok_or(NoCgroup::NotMounted)?;
        let spelt = below.strip_prefix(mount.strip_prefix("/").unwrap_or(mount));
        let full = mount.join(spelt.unwrap_or(&below));
        let tree = place.tree(mount);
        match full.strip_prefix(&tree) {
            Ok(below) => Ok(Parent {
                below: below.to_owned(),
                base: Some(tree),
            }),
            Err(_) => Err(ParentError::Outside {
                text: text.to_owned(),
                tree: tree.display().to_string(),
            }),
        }
    }

    /// Makes what of it is not there, and has each cgroup on the way hand its controllers on. It stays when the container goes:
    /// it may be somebody's who has limited it.
    fn make(&self, own: &Path) -> Result<PathBuf, CgroupError> {
        let mut directory = self.base.as_deref().unwrap_or(own).to_owned();
        for name in &self.below {
            enable_controllers(&directory);
            directory.push(name);
            create(&directory).map_err(|source| CgroupError::File {
                operation: "make the cgroup",
                path: directory.clone(),
                source,
            })?;
        }
        enable_controllers(&directory);
        Ok(directory)
    }
}

/// Where containers get cgroups of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// Children of this directory.
    Tree(PathBuf),
    /// A scope of the user's systemd, whose own cgroup this is.
    Scope {
        systemd: UserSystemd,
        around: PathBuf,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tree(directory) => {
                let directory = directory.display();
                write!(
                    f,
                    "containers get cgroups in {directory}, which is the user's"
                )
            }
            Place::Scope { around, .. } => {
                let around = around.display();
                write!(
                    f,
                    "containers get cgroups in {SCOPE}, of the user's systemd at {around}"
                )
            }
        }
    }
}

impl Place {
    /// Of the calling process.
    pub fn find() -> Result<Place, NoCgroup> {
        let mount = mount().ok_or(NoCgroup::NotMounted)?;
        let own = own_cgroup().ok_or(NoCgroup::NotMounted)?;
        let directory = mount.join(&own);
        if !is_delegated_by_systemd(mount, &directory)
            && let Some(systemd) = UserSystemd::find()
        {
            let around = mount.join(around_scopes(&own));
            return Ok(Place::Scope { systemd, around });
        }
        match is_ours(&directory) {
            true => Ok(Place::Tree(roomy(mount, &directory))),
            false => Err(NoCgroup::NotDelegated),
        }
    }

    /// Docker's word for who makes them.
    pub fn driver(&self) -> &'static str {
        match self {
            Place::Tree(_) => "cgroupfs",
            Place::Scope { .. } => "systemd",
        }
    }

    /// The top of what was given away: whatever is below it, processes may be born into.
    fn tree(&self, mount: &Path) -> PathBuf {
        match self {
            Place::Tree(directory) => {
                let ours = directory.ancestors();
                let ours = ours.take_while(|path| path.starts_with(mount) && is_ours(path));
                ours.last().unwrap_or(directory).to_owned()
            }
            Place::Scope { around, .. } => around.join(SLICE).join(SCOPE),
        }
    }

    /// The directory that decides which controllers containers get.
    pub fn directory(&self) -> &Path {
        match self {
            Place::Tree(directory) => directory,
            Place::Scope { around, .. } => around,
        }
    }

    /// The controllers that a container's cgroup will have, as `cgroup.controllers` shows them.
    pub fn controllers(&self) -> String {
        match self {
            Place::Tree(directory) if has_room(directory) => read(directory, "cgroup.controllers"),
            Place::Tree(directory) => read(directory, "cgroup.subtree_control"),
            Place::Scope { around, .. } => read(around, "cgroup.controllers"),
        }
    }
}

/// The scope's directory, with the calling process inside.
fn enter_scope(systemd: &UserSystemd, guard: &Path) -> Result<PathBuf, CgroupError> {
    if let Ok(scope) = entered_scope() {
        return Ok(scope);
    }
    let own = ProcessName::own().map_err(|source| CgroupError::File {
        operation: "read",
        path: "/proc/self/stat".into(),
        source,
    })?;
    let pid = own.pid.unsigned_abs();
    let mut systemd = systemd.connect()?;
    match systemd.attach(pid) {
        Err(SystemdError::Refused { .. }) => {}
        attached => {
            return attached
                .map_err(CgroupError::from)
                .and_then(|()| entered_scope());
        }
    }
    // Whoever finds no scope makes it, one at a time. One that has lost its last container is there for a moment longer.
    let _one = lock::lock(guard, lock::Mode::Exclusive).map_err(|source| CgroupError::File {
        operation: "lock",
        path: guard.to_owned(),
        source,
    })?;
    let mut tries = 0;
    loop {
        if systemd.start_scope(pid)? {
            return found_scope();
        }
        match systemd.attach(pid) {
            Err(SystemdError::Refused { .. }) if tries < TRIES => tries += 1,
            attached => {
                return attached
                    .map_err(CgroupError::from)
                    .and_then(|()| entered_scope());
            }
        }
        std::thread::sleep(PAUSE);
    }
}

fn entered_scope() -> Result<PathBuf, CgroupError> {
    let found = own_cgroup().unwrap_or_default();
    match found
        .strip_suffix(MONITORS)
        .map(|scope| scope.trim_end_matches('/'))
    {
        Some(scope) if scope.ends_with(SCOPE) => {
            Ok(mount().unwrap_or(Path::new(MOUNTS[0])).join(scope))
        }
        _ => Err(CgroupError::Elsewhere { found }),
    }
}

/// The first monitor of a new scope leaves the scope itself empty, and has it hand its controllers on.
fn found_scope() -> Result<PathBuf, CgroupError> {
    let found = own_cgroup().unwrap_or_default();
    if !found.ends_with(SCOPE) {
        return Err(CgroupError::Elsewhere { found });
    }
    let scope = mount().unwrap_or(Path::new(MOUNTS[0])).join(found);
    let monitors = scope.join(MONITORS);
    let moved = create(&monitors).and_then(|()| fs::write(monitors.join("cgroup.procs"), "0"));
    moved.map_err(|source| CgroupError::File {
        operation: "move the monitor into",
        path: monitors,
        source,
    })?;
    enable_controllers(&scope);
    Ok(scope)
}

const MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

fn mount() -> Option<&'static Path> {
    let is_cgroup2 = |path: &&Path| {
        rustix::fs::statfs(*path)
            .is_ok_and(|stat: StatFs| stat.f_type as u64 == CGROUP2_SUPER_MAGIC)
    };
    MOUNTS.into_iter().map(Path::new).find(is_cgroup2)
}

/// Relative to the mount.
fn own_cgroup() -> Option<String> {
    let own = procfs::text("/proc/self/cgroup").ok()?;
    let mut lines = own.lines();
    let path = lines.find_map(|line| line.strip_prefix("0::/"))?;
    Some(path.to_owned())
}

fn read(directory: &Path, file: &str) -> String {
    let text = procfs::text(directory.join(file)).unwrap_or_default();
    text.trim().to_owned()
}

/// Moving a process needs the right to write where it comes from and to their common ancestor, which this is.
fn is_ours(directory: &Path) -> bool {
    let writable = |path: &Path| rustix::fs::access(path, Access::WRITE_OK).is_ok();
    writable(directory) && writable(&directory.join("cgroup.procs"))
}

/// systemd marks the units that it gives away (`Delegate=yes`); everything else below it, though it may belong to the user, is
/// its own to change and to end. The user's manager is such a unit itself, and gives nothing away by that.
fn is_delegated_by_systemd(mount: &Path, directory: &Path) -> bool {
    let is_manager = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("user@"))
    };
    directory
        .ancestors()
        .take_while(|path| *path != mount && !is_manager(path))
        .any(|path| {
            let mut value = [0u8; 4];
            let marked = rustix::fs::getxattr(path, "user.delegate", &mut value[..]);
            marked.is_ok_and(|length| value[..length] == *b"1")
        })
}

/// Where the user's manager has its units: above the scope that the command is in, else where systemd puts every user's.
fn around_scopes(own: &str) -> String {
    let uid = rustix::process::getuid().as_raw();
    let name = format!("user@{uid}.service");
    match own.split_once(&format!("{name}/")) {
        Some((before, _)) => format!("{before}{name}"),
        None => format!("user.slice/user-{uid}.slice/{name}"),
    }
}

/// A cgroup with processes of its own hands no controllers on, so of the user's cgroups that contain the command the nearest
/// that does or can is taken; if none, the command's own, which is as good for everything but limits. That one is known to be the
/// user's, and has a process: the command.
fn roomy(mount: &Path, own: &Path) -> PathBuf {
    let hands_on = |path: &Path| !read(path, "cgroup.subtree_control").is_empty();
    if hands_on(own) {
        return own.to_owned();
    }
    let mut above = own
        .ancestors()
        .skip(1)
        .take_while(|path| path.starts_with(mount) && is_ours(path));
    let found = above.find(|path| {
        hands_on(path) || has_room(path) && !read(path, "cgroup.controllers").is_empty()
    });
    found.unwrap_or(own).to_owned()
}

fn has_room(directory: &Path) -> bool {
    read(directory, "cgroup.procs").is_empty()
}

/// Each by itself, since one that can't be had must not keep the others away. What fails is missed by whoever needs it.
fn enable_controllers(directory: &Path) {
    let available = read(directory, "cgroup.controllers");
    let enabled = read(directory, "cgroup.subtree_control");
    let has = |list: &str, wanted: &str| list.split_whitespace().any(|have| have == wanted);
    for controller in CONTROLLERS {
        if has(&available, controller) && !has(&enabled, controller) {
            let _ = fs::write(
                directory.join("cgroup.subtree_control"),
                format!("+{controller}"),
            );
        }
    }
}

/// Where the cgroup of one container goes.
fn path_of(parent: &Path, container_hex: &str) -> PathBuf {
    parent.join(format!("bryo-{container_hex}"))
}

fn create(directory: &Path) -> io::Result<()> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// How many processes in the cgroup the kernel has ended because its memory was used up (`memory.events`).
pub fn oom_kills(directory: &Path) -> u64 {
    let events = read(directory, "memory.events");
    let mut counts = events.lines().filter_map(|line| line.split_once(' '));
    let found = counts.find(|(event, _)| *event == "oom_kill");
    found.and_then(|(_, count)| count.parse().ok()).unwrap_or(0)
}

/// Ends everything in the cgroup at once (`cgroup.kill`, Linux 5.14). Without it the pid namespace does the same.
pub fn kill(directory: &Path) {
    // An older kernel has no such file; the caller ends the processes by other means too.
    let _ = fs::write(directory.join("cgroup.kill"), "1");
}

/// How long the kernel may take to stop every task: one that waits for a disk has to come back first.
const FREEZE_TIMEOUT: Duration = Duration::from_secs(2);

/// Freezes everything in the cgroup, or lets it go on (`cgroup.freeze`, Linux 5.2). All of it or nothing: where a task cannot
/// be stopped in time, none stays so.
pub fn freeze(directory: &Path, on: bool) -> io::Result<()> {
    let write = |on: bool| fs::write(directory.join("cgroup.freeze"), if on { "1" } else { "0" });
    write(on)?;
    let mut events = File::open(directory.join("cgroup.events"))?;
    let deadline = Instant::now() + FREEZE_TIMEOUT;
    loop {
        let mut text = String::new();
        events.rewind()?;
        events.read_to_string(&mut text)?;
        if text.lines().any(|line| line == "frozen 1") == on {
            return Ok(());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let _ = write(!on);
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        let mut set = PollSet::new();
        set.add(events.as_fd(), Interest::Exceptional, ());
        set.wait(Some(left))?;
    }
}

/// Removes the cgroup; it may be busy for an instant after its last process ended.
pub fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_is_found_from_inside_and_outside_of_it() {
        let uid = rustix::process::getuid().as_raw();
        let manager = format!("user.slice/user-{uid}.slice/user@{uid}.service");
        assert_eq!(
            around_scopes(&format!("user.slice/user-{uid}.slice/session-1.scope")),
            manager
        );
        assert_eq!(
            around_scopes(&format!("{manager}/app.slice/a.scope")),
            manager
        );
        let other = format!("machine.slice/user@{uid}.service");
        assert_eq!(around_scopes(&format!("{other}/app.slice/a.scope")), other);
    }

    #[test]
    fn a_parent_is_below_what_was_given_away() {
        let place = Ok(Place::Tree("/sys/fs/cgroup/x".into()));
        let relative = Parent {
            base: None,
            below: "a/b".into(),
        };
        for text in ["a/b", "./a/b", "a//b/"] {
            assert_eq!(Parent::find(text, &place), Ok(relative.clone()), "{text}");
        }
        for text in ["..", "a/../b", "/a/..", ".", "a\0b"] {
            assert_eq!(Parent::find(text, &place), Err(malformed(text)), "{text}");
        }
        let nowhere = Parent::find("a", &Err(NoCgroup::NotDelegated));
        assert_eq!(nowhere, Err(ParentError::NoCgroup(NoCgroup::NotDelegated)));
    }
}
