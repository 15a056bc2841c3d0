//! What the kernel says of other processes in `/proc` (proc(5)). Parses; judges nothing.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// The whole of a small file that the kernel makes up. Such a file has no size to ask for, so it is read into more room than it
/// needs, not into a little at first and ever more.
pub fn text(path: impl AsRef<Path>) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut buffer = [0; 4096];
    let mut bytes = Vec::new();
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The fields of `/proc/PID/stat` that are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    pub pid: i32,
    pub command: String,
    pub state: char,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    /// Device number of the controlling terminal, 0 for none.
    pub terminal: u32,
    /// The process group in the foreground of that terminal.
    pub foreground: i32,
    /// Clock ticks in user and kernel mode, of the process itself.
    pub ticks: u64,
    /// The same of its children that it has waited for.
    pub child_ticks: u64,
    pub nice: i64,
    pub priority: i64,
    pub threads: u64,
    /// Clock ticks after boot.
    pub started: u64,
    /// Bytes of address space.
    pub virtual_size: u64,
    /// Pages in memory.
    pub resident_pages: u64,
}

/// `/proc/PID/stat`.
pub fn stat(pid: i32) -> io::Result<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat"))?;
    parse_stat(&String::from_utf8_lossy(&text))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a stat file without its fields"))
}

/// The name stands in parentheses and may itself hold any.
fn parse_stat(text: &str) -> Option<Stat> {
    let (pid, rest) = text.split_once(" (")?;
    let (command, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // Counted as proc(5) does: 3 is the state.
    let field = |number: usize| fields.get(number - 3).copied();
    let unsigned = |number| field(number)?.parse::<u64>().ok();
    let signed = |number| field(number)?.parse::<i32>().ok();
    Some(Stat {
        pid: pid.parse().ok()?,
        command: command.to_owned(),
        state: field(3)?.chars().next()?,
        parent: signed(4)?,
        group: signed(5)?,
        session: signed(6)?,
        terminal: signed(7)? as u32,
        foreground: signed(8)?,
        ticks: unsigned(14)? + unsigned(15)?,
        child_ticks: unsigned(16)? + unsigned(17)?,
        priority: field(18)?.parse().ok()?,
        nice: field(19)?.parse().ok()?,
        threads: unsigned(20)?,
        started: unsigned(22)?,
        virtual_size: unsigned(23)?,
        resident_pages: unsigned(24)?,
    })
}

/// `/proc/PID/status`, looked into by key.
#[derive(Clone, Debug)]
pub struct Status(String);

/// `/proc/PID/status`.
pub fn status(pid: i32) -> io::Result<Status> {
    let text = fs::read(format!("/proc/{pid}/status"))?;
    Ok(Status(String::from_utf8_lossy(&text).into_owned()))
}

impl Status {
    pub fn field(&self, key: &str) -> Option<&str> {
        self.0.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name == key).then(|| value.trim())
        })
    }

    /// Numbers between blanks: `Uid`, `Groups`, `NSpid`.
    pub fn numbers(&self, key: &str) -> Vec<u32> {
        let text = self.field(key).unwrap_or_default();
        text.split_ascii_whitespace()
            .filter_map(|number| number.parse().ok())
            .collect()
    }

    /// A set of bits in hexadecimal: `SigCgt`, `CapEff`.
    pub fn bits(&self, key: &str) -> Option<u64> {
        u64::from_str_radix(self.field(key)?, 16).ok()
    }

    /// Whether sending signal `number` would have no effect on the process: it ignores it, or is the first process of its
    /// pid namespace and has no handler, for which the kernel drops it too (pid_namespaces(7)). One that is blocked is
    /// kept for it.
    pub fn is_deaf_to(&self, number: i32) -> bool {
        let kill_or_stop = [libc::SIGKILL, libc::SIGSTOP];
        if !(1..=64).contains(&number) || kill_or_stop.contains(&number) {
            return false;
        }
        let has = |key| self.bits(key).map(|bits| bits >> (number - 1) & 1 == 1);
        let (Some(caught), Some(ignored), Some(blocked)) =
            (has("SigCgt"), has("SigIgn"), has("SigBlk"))
        else {
            return false;
        };
        let first = self.numbers("NSpid").last() == Some(&1);
        !blocked && (ignored || (first && !caught))
    }
}

/// The arguments with which the process was started, each ended by a NUL; empty for one that has ended.
pub fn arguments(pid: i32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

/// All processes of the mounted procfs.
pub fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Which namespace of a kind (`mnt`, `pid`) a process is in; None where that may not be known.
pub fn namespace(pid: i32, kind: &str) -> Option<String> {
    let link = fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok()?;
    Some(link.to_string_lossy().into_owned())
}

/// The cgroup2 path of a process, `/user.slice/…`, below the cgroup namespace of the caller.
pub fn cgroup(pid: i32) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(path.to_owned())
}

/// Lines of the id map of a process, as the caller's user namespace sees it: first inside, first outside, how many.
pub fn id_map(pid: impl fmt::Display, map: &str) -> Vec<[u32; 3]> {
    let text = fs::read_to_string(format!("/proc/{pid}/{map}")).unwrap_or_default();
    let numbers = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map(|n| n.parse().ok());
        Some([numbers.next()??, numbers.next()??, numbers.next()??])
    };
    text.lines().filter_map(numbers).collect()
}

/// Bytes in one page of memory.
pub fn page_size() -> u64 {
    rustix::param::page_size() as u64
}

/// What `Stat` counts processor time and starts in.
pub fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// Seconds since boot.
pub fn uptime() -> io::Result<f64> {
    let text = fs::read_to_string("/proc/uptime")?;
    let first = text.split(' ').next().and_then(|text| text.parse().ok());
    first.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// Bytes of memory of the host.
pub fn total_memory() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(kilobytes)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// `  1234 kB`
fn kilobytes(text: &str) -> Option<u64> {
    let number = text.trim().strip_suffix("kB")?.trim();
    Some(number.parse::<u64>().ok()? * 1024)
}

/// Bytes of memory of a process, what it shares with others by its share (`smaps_rollup`); None where that may not be known.
pub fn proportional_memory(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(kilobytes)
}

/// Bytes that a process has read from disks and written to them; None where that may not be known.
pub fn disk_bytes(pid: i32) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let field = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().parse().ok()
    };
    Some((field("read_bytes:")?, field("write_bytes:")?))
}

/// Bytes received and sent over the interfaces of a process's network namespace, the loopback left out.
pub fn network_bytes(pid: i32) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/net/dev")).ok()?;
    Some(sum_interfaces(&text))
}

fn sum_interfaces(text: &str) -> (u64, u64) {
    let mut sum = (0, 0);
    for line in text.lines() {
        let Some((name, numbers)) = line.split_once(':').filter(|(name, _)| name.trim() != "lo")
        else {
            continue;
        };
        let mut numbers = numbers.split_ascii_whitespace();
        let mut bytes = |place| numbers.nth(place).and_then(|n| n.parse::<u64>().ok());
        let (Some(received), Some(sent)) = (bytes(0), bytes(7)) else {
            tracing::debug!(name, "an interface without its numbers");
            continue;
        };
        sum = (sum.0 + received, sum.1 + sent);
    }
    sum
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_is_a_name() {
        let text = "7 (a) b) S 1 7 7 34816 7 4194560 1 2 3 4 50 6 7 8 20 0 3 0 900 4096000 250 18446744073709551615 1";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.pid, stat.command.as_str()), (7, "a) b"));
        assert_eq!((stat.parent, stat.threads, stat.started), (1, 3, 900));
        assert_eq!((stat.ticks, stat.child_ticks), (56, 15));
        assert_eq!((stat.virtual_size, stat.resident_pages), (4_096_000, 250));
        assert_eq!(parse_stat("7 (a"), None);
    }

    #[test]
    fn the_own_process_is_there() {
        let own = std::process::id() as i32;
        assert_eq!(stat(own).unwrap().pid, own);
        assert!(pids().contains(&own));
        assert_eq!(status(own).unwrap().numbers("Uid").len(), 4);
    }

    #[test]
    fn interfaces_are_added_up_without_the_loopback() {
        let text = "Inter-|   Receive\n face |bytes packets errs\n    lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n  eth0: 700 2 0 0 0 0 0 0 90 1 0 0 0 0 0 0\n  tap0:1 2 0 0 0 0 0 0 3 1 0 0 0 0 0 0\n";
        assert_eq!(sum_interfaces(text), (701, 93));
    }

    fn deaf(fields: &str, signal: i32) -> bool {
        Status(fields.to_owned()).is_deaf_to(signal)
    }

    #[test]
    fn pid_1_without_a_handler_is_deaf() {
        let none = "0000000000000000";
        let term = "0000000000004000";
        let with = |blocked, ignored, caught, pids| {
            format!("NSpid:\t{pids}\nSigBlk:\t{blocked}\nSigIgn:\t{ignored}\nSigCgt:\t{caught}\n")
        };
        assert!(deaf(&with(none, none, none, "900\t3\t1"), 15));
        assert!(!deaf(&with(none, none, term, "900\t3\t1"), 15));
        assert!(!deaf(&with(term, none, none, "900\t3\t1"), 15));
        assert!(!deaf(&with(none, none, none, "900"), 15));
        assert!(deaf(&with(none, term, none, "900"), 15));
        assert!(!deaf(&with(none, none, none, "900\t1"), 9));
        assert!(!deaf("", 15));
    }
}
