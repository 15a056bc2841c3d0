//! What every container gets unless told otherwise, docker's values: mounts, devices, hidden and read-only paths, `PATH`.
//! Never a choice between them (`spec`).

use oci_spec::runtime::{Mount, MountBuilder};

use super::spec::{Place, Places};

/// Where programs are looked for when the image sets no `PATH`.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `TERM` with `-t`.
pub const TERM: &str = "xterm";

/// Size of /dev/shm in bytes.
pub const SHM_SIZE: u64 = 64 << 20;

/// The umask a program starts with.
pub const UMASK: u32 = 0o022;

/// Paths that a container must not read: they describe the host. Those that do not exist are left out at mount time.
const MASKED_PATHS: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Paths that a container must not write: they change the host.
const READ_ONLY_PATHS: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Character devices bound from the host into the new /dev.
pub const DEVICES: [&str; 6] = [
    "/dev/full",
    "/dev/null",
    "/dev/random",
    "/dev/tty",
    "/dev/urandom",
    "/dev/zero",
];

/// Symbolic links in the new /dev: (link, target).
pub const DEVICE_LINKS: [(&str, &str); 6] = [
    ("/dev/core", "/proc/kcore"),
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/ptmx", "pts/ptmx"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
];

/// Where the container's terminal is bound, with `-t`.
pub const CONSOLE: &str = "/dev/console";

/// The masked paths of a host with so many processors: each one's thermal counters are a covert channel.
pub fn masked_paths(processors: u32) -> Vec<String> {
    let throttles = (0..processors)
        .map(|number| format!("/sys/devices/system/cpu/cpu{number}/thermal_throttle"));
    MASKED_PATHS
        .iter()
        .map(ToString::to_string)
        .chain(throttles)
        .collect()
}

pub fn read_only_paths() -> Vec<String> {
    READ_ONLY_PATHS.iter().map(ToString::to_string).collect()
}

/// What the default mounts depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MountChoice {
    /// sysfs shows a network namespace, procfs a pid namespace, mqueue an ipc namespace, cgroup2 a cgroup namespace, and only the
    /// owner of that one may mount it: with the host's, what the host has mounted is bound.
    pub places: Places,
    /// /sys and the cgroup tree can be written.
    pub writable_sys: bool,
    /// The map has only id 0, so group 5 (tty) does not exist.
    pub single_id: bool,
    pub shm_size: u64,
}

/// In mounting order.
pub fn mounts(choice: MountChoice) -> Vec<Mount> {
    if choice.places.mount == Place::Host {
        return Vec::new();
    }
    let sys_mode = if choice.writable_sys { "rw" } else { "ro" };
    let terminals = "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620";
    let terminals = if choice.single_id {
        terminals.into()
    } else {
        format!("{terminals},gid=5")
    };
    let places = choice.places;
    // The host's, with everything below it.
    let bound = |path: &str, mode: &str| {
        let options = format!("rbind,rprivate,nosuid,noexec,nodev,{mode}");
        mount(path, "bind", path, &options)
    };
    let own = |place: Place| place != Place::Host;
    let proc = match own(places.pid) {
        true => mount("/proc", "proc", "proc", "nosuid,noexec,nodev"),
        false => bound("/proc", "rw"),
    };
    let sys = match own(places.network) {
        true => mount(
            "/sys",
            "sysfs",
            "sysfs",
            &format!("nosuid,noexec,nodev,{sys_mode}"),
        ),
        false => bound("/sys", sys_mode),
    };
    let cgroup = match own(places.cgroup) {
        true => mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &format!("nosuid,noexec,nodev,{sys_mode}"),
        ),
        false => bound("/sys/fs/cgroup", sys_mode),
    };
    let mut mounts = vec![
        proc,
        mount(
            "/dev",
            "tmpfs",
            "tmpfs",
            "nosuid,strictatime,mode=755,size=65536k",
        ),
        mount("/dev/pts", "devpts", "devpts", &terminals),
        sys,
        cgroup,
    ];
    mounts.extend(shared_memory(choice));
    mounts
}

/// Message queues and /dev/shm. That of another container is not in the host's sight: the executor brings it.
fn shared_memory(choice: MountChoice) -> Vec<Mount> {
    let queues = mount("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev");
    let host = |path: &str| mount(path, "bind", path, "rbind,rprivate,nosuid,noexec,nodev");
    let size = choice.shm_size;
    let own = || {
        let options = format!("nosuid,noexec,nodev,mode=1777,size={size}");
        mount("/dev/shm", "tmpfs", "shm", &options)
    };
    match choice.places.ipc {
        Place::Private if choice.places.no_shared_memory => vec![queues],
        Place::Private => vec![queues, own()],
        Place::Of(_) => vec![queues],
        Place::Host => {
            let queues = choice.places.host_queues.then(|| host("/dev/mqueue"));
            queues.into_iter().chain([host("/dev/shm")]).collect()
        }
    }
}

fn mount(destination: &str, kind: &str, source: &str, options: &str) -> Mount {
    let options: Vec<String> = options.split(',').map(String::from).collect();
    let mount = MountBuilder::default()
        .destination(destination)
        .typ(kind)
        .source(source)
        .options(options);
    mount.build().expect("a mount has no required field")
}
