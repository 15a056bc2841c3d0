//! The processes of a running container, as `top` shows them and `stats` adds them up. Asks `/proc` only; runs nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::{Engine, EngineError};
use crate::container::{ContainerId, Record, RunState, Status};
use crate::runtime::user::{self, AccountNames};
use crate::sys::fs::open_directory;
use crate::sys::procfs::{self, Stat};

/// One process of a container.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerProcess {
    /// Its number on the host, and in the container.
    pub pid: i32,
    pub inner_pid: i32,
    pub parent: i32,
    /// 0 where the parent is outside.
    pub inner_parent: i32,
    pub group_leader: i32,
    pub session: i32,
    pub user: Identity,
    pub real_user: Identity,
    pub group: Identity,
    pub real_group: Identity,
    /// Names of the supplementary groups.
    pub groups: Vec<String>,
    /// The name of its executable, at most 15 bytes of it.
    pub command: String,
    /// Empty for one that has ended.
    pub arguments: String,
    /// The kernel's letter.
    pub state: char,
    pub in_foreground: bool,
    /// `pts/0`; None without a terminal.
    pub terminal: Option<String>,
    pub started: Timestamp,
    pub elapsed: Duration,
    pub cpu: Duration,
    pub nice: i64,
    pub priority: i64,
    pub threads: u64,
    /// Bytes.
    pub virtual_size: u64,
    pub resident: u64,
    /// Of the host's memory, 0 to 1.
    pub memory_share: f64,
    /// `SECCOMP` as the kernel counts it: 0 none, 1 strict, 2 filter.
    pub seccomp: u32,
    /// By their names in `/proc/PID/status`, `CapEff`.
    pub capabilities: BTreeMap<&'static str, u64>,
}

/// Who a process is, on both sides of the id map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The name in the container, else the number there.
    pub name: String,
    pub inside: u32,
    pub outside: u32,
}

const CAPABILITIES: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

impl Engine {
    /// The processes of a container that runs, by their numbers.
    pub fn processes(&self, record: &Record) -> Result<Vec<ContainerProcess>, EngineError> {
        let state = self.run_of(record)?;
        let view = View::of(state.init);
        let pids = pids(&record.id, &state);
        let read = |pid| Some((procfs::stat(pid).ok()?, procfs::status(pid).ok()?));
        let found: Vec<_> = pids.into_iter().filter_map(read).collect();
        let inner: HashMap<i32, i32> = found
            .iter()
            .map(|(stat, status)| (stat.pid, inner_pid(status)))
            .collect();
        let mut processes: Vec<ContainerProcess> = found
            .iter()
            .map(|(stat, status)| view.process(stat, status, &inner))
            .collect();
        processes.sort_by_key(|process| process.inner_pid);
        let name = self.containers.name_of(record);
        self.emit_container(&self.config_of(record)?, &name, "top");
        Ok(processes)
    }

    pub(super) fn run_of(&self, record: &Record) -> Result<RunState, EngineError> {
        match record.status() {
            Ok(Status::Running(state) | Status::Paused(state)) => Ok(state),
            Ok(Status::Restarting(..)) => Err(EngineError::Restarting {
                name: self.containers.name_of(record),
            }),
            _ => Err(EngineError::NotRunning {
                name: self.containers.name_of(record),
            }),
        }
    }
}

fn inner_pid(status: &procfs::Status) -> i32 {
    let numbers = status.numbers("NSpid");
    numbers.last().map_or(0, |pid| *pid as i32)
}

/// The directory of the container's own cgroup; None where it has none.
pub(super) fn cgroup_of(id: &ContainerId, init: i32) -> Option<PathBuf> {
    let path = procfs::cgroup(init)?;
    let end = path.find(id.as_str())? + id.as_str().len();
    // Its program may stand in one further below.
    let own = &path[1..end + path[end..].find('/').unwrap_or(path.len() - end)];
    let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
    let mut found = mounts.into_iter().map(|mount| mount.join(own));
    found.find(|path| path.join("cgroup.procs").exists())
}

/// The host's numbers of all of a container's processes.
pub(super) fn pids(id: &ContainerId, state: &RunState) -> Vec<i32> {
    match cgroup_of(id, state.init) {
        Some(directory) => in_cgroup(&directory),
        None => below_monitor(state),
    }
}

fn in_cgroup(directory: &Path) -> Vec<i32> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        let text = std::fs::read_to_string(next.join("cgroup.procs")).unwrap_or_default();
        // 0 is a process of a pid namespace that cannot be seen from here.
        let pids = text.lines().filter_map(|line| line.parse::<i32>().ok());
        found.extend(pids.filter(|pid| *pid > 0));
        let below = std::fs::read_dir(&next).into_iter().flatten().flatten();
        waiting.extend(
            below
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
    found
}

/// The children of the monitor that are in the container's mount namespace (the program, and what `exec` started; what
/// serves the network or the root is not), and all that come from them.
fn below_monitor(state: &RunState) -> Vec<i32> {
    let parents: HashMap<i32, i32> = procfs::pids()
        .into_iter()
        .filter_map(|pid| Some((pid, procfs::stat(pid).ok()?.parent)))
        .collect();
    let inside = procfs::namespace(state.init, "mnt");
    let belongs = |pid: i32| {
        pid == state.init || (inside.is_some() && procfs::namespace(pid, "mnt") == inside)
    };
    let children = parents
        .iter()
        .filter(|(_, parent)| **parent == state.monitor.pid)
        .map(|(pid, _)| *pid);
    let mut found: HashSet<i32> = children.filter(|pid| belongs(*pid)).collect();
    found.insert(state.init);
    loop {
        let more: Vec<i32> = parents
            .iter()
            .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            return found
                .into_iter()
                .filter(|pid| parents.contains_key(pid))
                .collect();
        }
        found.extend(more);
    }
}

/// What is the same for all processes of a container.
struct View {
    names: AccountNames,
    uids: Vec<[u32; 3]>,
    gids: Vec<[u32; 3]>,
    now: Timestamp,
    /// Since boot.
    uptime: f64,
    memory: u64,
}

impl View {
    fn of(init: i32) -> View {
        let root = open_directory(&PathBuf::from(format!("/proc/{init}/root")));
        View {
            names: root.map_or_else(
                |_| AccountNames::default(),
                |root| user::names(root.as_fd()),
            ),
            uids: procfs::id_map(init, "uid_map"),
            gids: procfs::id_map(init, "gid_map"),
            now: Timestamp::now(),
            uptime: procfs::uptime().unwrap_or_default(),
            memory: procfs::total_memory().unwrap_or_default(),
        }
    }

    fn identity(map: &[[u32; 3]], names: &BTreeMap<u32, String>, outside: u32) -> Identity {
        let inside = map.iter().find_map(|[inner, outer, count]| {
            let offset = outside.checked_sub(*outer)?;
            (offset < *count).then(|| inner + offset)
        });
        // What is not mapped is the overflow id inside.
        let inside = inside.unwrap_or(65534);
        Identity {
            name: names
                .get(&inside)
                .cloned()
                .unwrap_or_else(|| inside.to_string()),
            inside,
            outside,
        }
    }

    fn process(
        &self,
        stat: &Stat,
        status: &procfs::Status,
        inner: &HashMap<i32, i32>,
    ) -> ContainerProcess {
        let at = |numbers: &[u32], place: usize| numbers.get(place).copied().unwrap_or_default();
        let (uids, gids) = (status.numbers("Uid"), status.numbers("Gid"));
        let user = |place| View::identity(&self.uids, &self.names.users, at(&uids, place));
        let group = |id| View::identity(&self.gids, &self.names.groups, id);
        let ticks = procfs::ticks_per_second();
        let started = stat.started as f64 / ticks;
        let elapsed = Duration::from_secs_f64((self.uptime - started).max(0.0));
        let resident = stat.resident_pages * procfs::page_size();
        let bits = CAPABILITIES.iter().map(|key| (*key, status.bits(key)));
        ContainerProcess {
            pid: stat.pid,
            inner_pid: inner.get(&stat.pid).copied().unwrap_or_default(),
            parent: stat.parent,
            inner_parent: inner.get(&stat.parent).copied().unwrap_or_default(),
            group_leader: stat.group,
            session: stat.session,
            real_user: user(0),
            user: user(1),
            real_group: group(at(&gids, 0)),
            group: group(at(&gids, 1)),
            groups: status
                .numbers("Groups")
                .into_iter()
                .map(|id| group(id).name)
                .collect(),
            command: stat.command.clone(),
            arguments: words(&procfs::arguments(stat.pid)),
            state: stat.state,
            in_foreground: stat.terminal != 0 && stat.foreground == stat.group,
            terminal: terminal(stat.terminal),
            started: self.now.checked_sub(elapsed).unwrap_or(self.now),
            elapsed,
            cpu: Duration::from_secs_f64(stat.ticks as f64 / ticks),
            nice: stat.nice,
            priority: stat.priority,
            threads: stat.threads,
            virtual_size: stat.virtual_size,
            resident,
            memory_share: match self.memory {
                0 => 0.0,
                memory => resident as f64 / memory as f64,
            },
            seccomp: at(&status.numbers("Seccomp"), 0),
            capabilities: bits.filter_map(|(key, bits)| Some((key, bits?))).collect(),
        }
    }
}

/// The arguments with blanks between them; a program may write anything there, so what moves a cursor is shown as `?`.
fn words(arguments: &[u8]) -> String {
    let trimmed = arguments.strip_suffix(b"\0").unwrap_or(arguments);
    let shown = |c: char| match c {
        '\0' => ' ',
        c if c.is_control() => '?',
        c => c,
    };
    String::from_utf8_lossy(trimmed)
        .chars()
        .map(shown)
        .collect()
}

/// Device numbers of Linux: pseudo terminals have 136 to 143, consoles 4.
fn terminal(device: u32) -> Option<String> {
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xfff00);
    match major {
        _ if device == 0 => None,
        136..=143 => Some(format!("pts/{}", minor + (major - 136) * 256)),
        4 => Some(format!("tty{minor}")),
        _ => Some("?".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_have_names() {
        assert_eq!(terminal(0), None);
        assert_eq!(terminal(34816).as_deref(), Some("pts/0"));
        assert_eq!(terminal(0x1000_8803).as_deref(), Some("pts/65539"));
        assert_eq!(terminal(0x0401).as_deref(), Some("tty1"));
    }

    #[test]
    fn ids_are_those_inside() {
        let map = [[0, 1000, 1], [1, 100_000, 65536]];
        let names = BTreeMap::from([(0, "root".to_owned())]);
        let seen = |outside| View::identity(&map, &names, outside).name;
        assert_eq!(seen(1000), "root");
        assert_eq!(seen(100_000), "1");
        assert_eq!(seen(7), "65534");
    }

    #[test]
    fn arguments_move_no_cursor() {
        assert_eq!(words(b"sh\0-c\0\x1b[2J\nx\0"), "sh -c ?[2J?x");
        assert_eq!(words(b""), "");
    }
}
