//! `stats`: what a running container uses now, from its cgroup; what that does not count, from its processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::processes::{cgroup_of, pids};
use super::{Engine, EngineError};
use crate::container::{Record, RunState};
use crate::sys::procfs;

/// Counters of one moment; rates come from two of them.
#[derive(Clone, Debug)]
pub struct Sample {
    pub taken: Instant,
    /// Nanoseconds of processor time so far.
    pub cpu: u64,
    /// Bytes in use, page cache that could be given back left out.
    pub memory: u64,
    /// The container's limit, else the host's memory.
    pub memory_limit: u64,
    /// Bytes received and sent; None: the network is the host's.
    pub network: Option<(u64, u64)>,
    /// Bytes read and written.
    pub block: (u64, u64),
    /// Processes and threads.
    pub tasks: u64,
    /// What no cgroup counts, so that it was added up over the processes that live now.
    pub added_up: Vec<&'static str>,
}

impl Sample {
    /// Processors in use between two moments, 1 for a whole one.
    pub fn processors_since(&self, earlier: &Sample) -> f64 {
        let time = self.taken.duration_since(earlier.taken).as_nanos() as f64;
        match time > 0.0 {
            true => self.cpu.saturating_sub(earlier.cpu) as f64 / time,
            false => 0.0,
        }
    }
}

impl Engine {
    /// What a container uses; `None` if it does not run.
    pub fn sample(&self, record: &Record) -> Result<Option<Sample>, EngineError> {
        let state = match self.run_of(record) {
            Err(EngineError::NotRunning { .. } | EngineError::Restarting { .. }) => {
                return Ok(None);
            }
            other => other?,
        };
        let config = self.config_of(record)?;
        let sources = Sources::of(record, &state);
        let network = match config.host.network.as_str() {
            "host" => None,
            _ => Some(procfs::network_bytes(state.init).unwrap_or_default()),
        };
        Ok(Some(sources.sample(network)))
    }
}

/// Where the figures of one container come from.
struct Sources {
    cgroup: Option<PathBuf>,
    pids: Vec<i32>,
    added_up: Vec<&'static str>,
}

impl Sources {
    fn of(record: &Record, state: &RunState) -> Sources {
        Sources {
            cgroup: cgroup_of(&record.id, state.init),
            pids: pids(&record.id, state),
            added_up: Vec::new(),
        }
    }

    fn sample(mut self, network: Option<(u64, u64)>) -> Sample {
        let stats = self.pids.iter().filter_map(|pid| procfs::stat(*pid).ok());
        let stats: Vec<_> = stats.collect();
        let tick = 1e9 / procfs::ticks_per_second();
        let taken = Instant::now();
        let cpu = self.counted("cpu", cpu).unwrap_or_else(|| {
            // Children that have ended count with the one that waited for them.
            let ticks: u64 = stats.iter().map(|stat| stat.ticks + stat.child_ticks).sum();
            (ticks as f64 * tick) as u64
        });
        let memory = self.counted("memory", memory).unwrap_or_else(|| {
            let of = |stat: &procfs::Stat| {
                let resident = stat.resident_pages * procfs::page_size();
                procfs::proportional_memory(stat.pid).unwrap_or(resident)
            };
            stats.iter().map(of).sum()
        });
        let block = self.counted("block I/O", block).unwrap_or_else(|| {
            let disk = stats.iter().filter_map(|stat| procfs::disk_bytes(stat.pid));
            disk.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        });
        let tasks = self.counted("pids", |group| number(group, "pids.current"));
        let limit = self
            .cgroup
            .as_deref()
            .and_then(|group| number(group, "memory.max"));
        let host = procfs::total_memory().unwrap_or_default();
        Sample {
            taken,
            cpu,
            memory,
            memory_limit: limit.map_or(host, |limit| limit.min(host)),
            network,
            block,
            tasks: tasks.unwrap_or_else(|| stats.iter().map(|stat| stat.threads).sum()),
            added_up: self.added_up,
        }
    }

    /// What the cgroup says; where it does not, that is remembered.
    fn counted<T>(&mut self, what: &'static str, read: impl Fn(&Path) -> Option<T>) -> Option<T> {
        let counted = self.cgroup.as_deref().and_then(read);
        if counted.is_none() {
            self.added_up.push(what);
        }
        counted
    }
}

fn number(group: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(group.join(file))
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// One line of a flat-keyed file (cgroups(7)).
fn keyed(group: &Path, file: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(group.join(file)).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, value) = lines.find(|(name, _)| *name == key)?;
    value.parse().ok()
}

fn cpu(group: &Path) -> Option<u64> {
    Some(keyed(group, "cpu.stat", "usage_usec")? * 1000)
}

/// As docker counts it: without the file pages that nobody has used for a while.
fn memory(group: &Path) -> Option<u64> {
    let used = number(group, "memory.current")?;
    let idle = keyed(group, "memory.stat", "inactive_file").unwrap_or(0);
    Some(used.saturating_sub(idle))
}

/// `8:0 rbytes=1 wbytes=2 …`, a line per device.
fn block(group: &Path) -> Option<(u64, u64)> {
    let text = fs::read_to_string(group.join("io.stat")).ok()?;
    let sum = |key: &str| {
        let words = text.split_ascii_whitespace();
        let values = words.filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok());
        values.sum()
    };
    Some((sum("rbytes="), sum("wbytes=")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroups_files_are_read() {
        let group = std::env::temp_dir().join(format!("bryo-stats-{}", std::process::id()));
        fs::create_dir_all(&group).unwrap();
        for (name, text) in [
            (
                "cpu.stat",
                "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n",
            ),
            ("memory.current", "9000\n"),
            ("memory.stat", "anon 100\ninactive_file 1000\n"),
            ("memory.max", "max\n"),
            (
                "io.stat",
                "8:0 rbytes=100 wbytes=20 rios=3\n8:16 rbytes=1 wbytes=2\n",
            ),
        ] {
            fs::write(group.join(name), text).unwrap();
        }
        assert_eq!(cpu(&group), Some(1_500_000));
        assert_eq!(memory(&group), Some(8000));
        assert_eq!(block(&group), Some((101, 22)));
        assert_eq!(number(&group, "memory.max"), None);
        let sources = Sources {
            cgroup: Some(group.clone()),
            pids: vec![std::process::id() as i32],
            added_up: Vec::new(),
        };
        let sample = sources.sample(None);
        assert_eq!(sample.added_up, ["pids"]);
        assert!(sample.tasks >= 1 && sample.memory_limit > 1 << 20);
        fs::remove_dir_all(group).unwrap();
    }
}
