//! Resource limits by their OCI names (`RLIMIT_NOFILE`), as setrlimit(2) takes them.

use std::io;

use nix::sys::resource::{Resource, setrlimit};

const NAMES: [(&str, Resource); 16] = [
    ("RLIMIT_AS", Resource::RLIMIT_AS),
    ("RLIMIT_CORE", Resource::RLIMIT_CORE),
    ("RLIMIT_CPU", Resource::RLIMIT_CPU),
    ("RLIMIT_DATA", Resource::RLIMIT_DATA),
    ("RLIMIT_FSIZE", Resource::RLIMIT_FSIZE),
    ("RLIMIT_LOCKS", Resource::RLIMIT_LOCKS),
    ("RLIMIT_MEMLOCK", Resource::RLIMIT_MEMLOCK),
    ("RLIMIT_MSGQUEUE", Resource::RLIMIT_MSGQUEUE),
    ("RLIMIT_NICE", Resource::RLIMIT_NICE),
    ("RLIMIT_NOFILE", Resource::RLIMIT_NOFILE),
    ("RLIMIT_NPROC", Resource::RLIMIT_NPROC),
    ("RLIMIT_RSS", Resource::RLIMIT_RSS),
    ("RLIMIT_RTPRIO", Resource::RLIMIT_RTPRIO),
    ("RLIMIT_RTTIME", Resource::RLIMIT_RTTIME),
    ("RLIMIT_SIGPENDING", Resource::RLIMIT_SIGPENDING),
    ("RLIMIT_STACK", Resource::RLIMIT_STACK),
];

/// Sets a limit of the calling process; `u64::MAX` is no limit.
pub fn set(name: &str, soft: u64, hard: u64) -> io::Result<()> {
    let found = NAMES.iter().find(|(known, _)| *known == name);
    let (_, resource) = found.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    setrlimit(*resource, soft, hard).map_err(io::Error::from)
}
