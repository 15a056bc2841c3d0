//! What `top` can show of a process, by the names of ps(1) and of podman. Pure.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::engine::ContainerProcess as Process;
use crate::engine::request::go_duration;
use crate::runtime::capability::CapabilitySet;

/// When and where it is shown.
pub struct Moment {
    pub now: Timestamp,
    pub zone: TimeZone,
}

type Show = fn(&Process, &Moment) -> String;

#[derive(Clone, Copy)]
pub struct Column {
    pub heading: &'static str,
    pub show: Show,
}

/// What `ps -o` calls it, its heading, its value. Numbers are the host's, names the container's.
const PS: &[(&[&str], &str, Show)] = &[
    (&["pid", "tgid"], "PID", |p, _| p.pid.to_string()),
    (&["ppid"], "PPID", |p, _| p.parent.to_string()),
    (&["pgid"], "PGID", |p, _| p.group_leader.to_string()),
    (&["pgrp"], "PGRP", |p, _| p.group_leader.to_string()),
    (&["sid"], "SID", |p, _| p.session.to_string()),
    (&["sess", "session"], "SESS", |p, _| p.session.to_string()),
    (&["user", "uname"], "USER", |p, _| p.user.name.clone()),
    (&["euser"], "EUSER", |p, _| p.user.name.clone()),
    (&["ruser"], "RUSER", |p, _| p.real_user.name.clone()),
    (&["uid", "euid"], "UID", |p, _| p.user.inside.to_string()),
    (&["ruid"], "RUID", |p, _| p.real_user.inside.to_string()),
    (&["group", "egroup"], "GROUP", |p, _| p.group.name.clone()),
    (&["rgroup"], "RGROUP", |p, _| p.real_group.name.clone()),
    (&["gid", "egid"], "GID", |p, _| p.group.inside.to_string()),
    (&["rgid"], "RGID", |p, _| p.real_group.inside.to_string()),
    (&["comm", "ucmd", "ucomm"], "COMMAND", |p, _| {
        p.command.clone()
    }),
    (&["args", "command"], "COMMAND", |p, _| arguments(p)),
    (&["cmd"], "CMD", |p, _| arguments(p)),
    (&["tty", "tt"], "TT", |p, _| terminal(p)),
    (&["tname"], "TTY", |p, _| terminal(p)),
    (&["time", "cputime"], "TIME", |p, _| clock(p.cpu)),
    (&["bsdtime"], "TIME", |p, _| short_clock(p.cpu)),
    (&["etime"], "ELAPSED", |p, _| elapsed(p.elapsed)),
    (&["etimes"], "ELAPSED", |p, _| {
        p.elapsed.as_secs().to_string()
    }),
    (&["stime"], "STIME", start),
    (&["start", "start_time", "bsdstart"], "START", start),
    (&["lstart"], "STARTED", |p, moment| {
        let zoned = p.started.to_zoned(moment.zone.clone());
        zoned.strftime("%a %b %e %H:%M:%S %Y").to_string()
    }),
    (&["pcpu", "%cpu"], "%CPU", |p, _| {
        format!("{:.1}", percent(p))
    }),
    (&["c"], "C", |p, _| format!("{:.0}", percent(p).floor())),
    (&["pmem", "%mem"], "%MEM", |p, _| {
        format!("{:.1}", p.memory_share * 100.0)
    }),
    (&["vsz", "vsize"], "VSZ", |p, _| {
        (p.virtual_size / 1024).to_string()
    }),
    (&["rss", "rssize", "rsz"], "RSS", |p, _| {
        (p.resident / 1024).to_string()
    }),
    (&["s", "state"], "S", |p, _| p.state.to_string()),
    (&["stat"], "STAT", |p, _| state(p)),
    (&["ni", "nice"], "NI", |p, _| p.nice.to_string()),
    (&["pri"], "PRI", |p, _| (39 - p.priority).to_string()),
    (&["nlwp", "thcount"], "NLWP", |p, _| p.threads.to_string()),
];

/// Podman's words. Numbers and names are the container's, those with an `h` in front the host's.
const PODMAN: &[(&[&str], &str, Show)] = &[
    (&["args", "%a"], "COMMAND", |p, _| arguments(p)),
    (&["capamb"], "AMBIENT CAPS", |p, _| {
        capabilities(p, "CapAmb")
    }),
    (&["capbnd"], "BOUNDING CAPS", |p, _| {
        capabilities(p, "CapBnd")
    }),
    (&["capeff"], "EFFECTIVE CAPS", |p, _| {
        capabilities(p, "CapEff")
    }),
    (&["capinh"], "INHERITED CAPS", |p, _| {
        capabilities(p, "CapInh")
    }),
    (&["capprm"], "PERMITTED CAPS", |p, _| {
        capabilities(p, "CapPrm")
    }),
    (&["comm", "%c"], "COMMAND", |p, _| p.command.clone()),
    (&["etime", "%t"], "ELAPSED", |p, _| {
        go_duration(whole_seconds(p.elapsed))
    }),
    (&["group", "%G"], "GROUP", |p, _| p.group.name.clone()),
    (&["groups"], "GROUPS", |p, _| p.groups.join(",")),
    (&["hgroup"], "HGROUP", |p, _| p.group.outside.to_string()),
    (&["hpid"], "HPID", |p, _| p.pid.to_string()),
    (&["huser"], "HUSER", |p, _| p.user.outside.to_string()),
    (&["nice", "%n"], "NI", |p, _| p.nice.to_string()),
    (&["pcpu", "%C"], "%CPU", |p, _| format!("{:.3}", percent(p))),
    (&["pgid", "%r"], "PGID", |p, _| p.group_leader.to_string()),
    (&["pid", "%p"], "PID", |p, _| p.inner_pid.to_string()),
    (&["ppid", "%P"], "PPID", |p, _| p.inner_parent.to_string()),
    (&["rgroup", "%g"], "RGROUP", |p, _| {
        p.real_group.name.clone()
    }),
    (&["rss"], "RSS", |p, _| (p.resident / 1024).to_string()),
    (&["ruser", "%u"], "RUSER", |p, _| p.real_user.name.clone()),
    (&["seccomp"], "SECCOMP", |p, _| {
        let words = ["disabled", "strict", "filter"];
        let word = words.get(p.seccomp as usize);
        (*word.unwrap_or(&"unknown")).to_owned()
    }),
    (&["state"], "STATE", |p, _| p.state.to_string()),
    (&["stime"], "STIME", start),
    (&["time", "%x"], "TIME", |p, _| go_duration(p.cpu)),
    (&["tty", "%y"], "TTY", |p, _| terminal(p)),
    (&["user", "%U"], "USER", |p, _| p.user.name.clone()),
    (&["vsz", "%z"], "VSZ", |p, _| {
        (p.virtual_size / 1024).to_string()
    }),
];

fn by_name(table: &[(&[&str], &'static str, Show)], name: &str) -> Option<Column> {
    let found = table.iter().find(|(names, ..)| names.contains(&name));
    found.map(|(_, heading, show)| Column {
        heading,
        show: *show,
    })
}

/// What `ps -o` calls `name`.
pub fn of_ps(name: &str) -> Option<Column> {
    by_name(PS, &name.to_ascii_lowercase())
}

/// What podman calls `name`.
pub fn of_podman(name: &str) -> Option<Column> {
    by_name(PODMAN, name)
}

/// The user's name under the heading that `ps -f` gives it.
pub const USER_AS_UID: Column = Column {
    heading: "UID",
    show: |process, _| process.user.name.clone(),
};

fn arguments(process: &Process) -> String {
    match process.arguments.is_empty() {
        true if process.state == 'Z' => format!("[{}] <defunct>", process.command),
        true => format!("[{}]", process.command),
        false => process.arguments.clone(),
    }
}

fn terminal(process: &Process) -> String {
    process.terminal.clone().unwrap_or_else(|| "?".to_owned())
}

/// Of one processor, over the whole life.
fn percent(process: &Process) -> f64 {
    let life = process.elapsed.as_secs_f64();
    match life > 0.0 {
        true => process.cpu.as_secs_f64() / life * 100.0,
        false => 0.0,
    }
}

/// Hours and minutes of this day, else the day, else the year.
fn start(process: &Process, moment: &Moment) -> String {
    let started = process.started.to_zoned(moment.zone.clone());
    let now = moment.now.to_zoned(moment.zone.clone());
    let format = match (started.date() == now.date(), started.year() == now.year()) {
        (true, _) => "%H:%M",
        (false, true) => "%b%d",
        (false, false) => "%Y",
    };
    started.strftime(format).to_string()
}

/// `[days-]hours:minutes:seconds`
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, rest) = (seconds / 86400, seconds % 86400);
    let clock = format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    match days {
        0 => clock,
        days => format!("{days}-{clock}"),
    }
}

/// `minutes:seconds`
fn short_clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

/// `[[days-]hours:]minutes:seconds`
fn elapsed(time: Duration) -> String {
    let whole = clock(time);
    whole
        .strip_prefix("00:")
        .map_or(whole.clone(), str::to_owned)
}

fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

/// The letter, and what else ps says of it: nice, leader of a session, threads, in the foreground.
fn state(process: &Process) -> String {
    let marks = [
        (process.nice < 0, '<'),
        (process.nice > 0, 'N'),
        (process.session == process.pid, 's'),
        (process.threads > 1, 'l'),
        (process.in_foreground, '+'),
    ];
    let marks = marks.iter().filter(|(applies, _)| *applies);
    std::iter::once(process.state)
        .chain(marks.map(|(_, mark)| *mark))
        .collect()
}

/// `none`, `full`, or the names without `CAP_`.
fn capabilities(process: &Process, which: &str) -> String {
    let bits = process.capabilities.get(which).copied().unwrap_or(0);
    if bits == 0 {
        return "none".to_owned();
    }
    if bits & CapabilitySet::NAMED.bits() == CapabilitySet::NAMED.bits() {
        return "full".to_owned();
    }
    let set = CapabilitySet::NAMED.iter();
    let held = set.filter(|capability| bits >> capability.number() & 1 == 1);
    let names: Vec<String> = held
        .map(|capability| capability.to_string().trim_start_matches("CAP_").to_owned())
        .collect();
    names.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_ps() {
        let seconds = Duration::from_secs;
        assert_eq!(clock(seconds(3_661)), "01:01:01");
        assert_eq!(clock(seconds(90_000)), "1-01:00:00");
        assert_eq!(short_clock(seconds(3_661)), "61:01");
        assert_eq!(elapsed(seconds(61)), "01:01");
        assert_eq!(elapsed(seconds(3_661)), "01:01:01");
        assert_eq!(go_duration(seconds(3_661)), "1h1m1s");
        assert_eq!(go_duration(seconds(5)), "5s");
    }

    #[test]
    fn no_name_stands_for_two_columns() {
        for table in [PS, PODMAN] {
            let mut names: Vec<&str> = table
                .iter()
                .flat_map(|(names, ..)| *names)
                .copied()
                .collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all);
        }
    }
}
