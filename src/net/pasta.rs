//! pasta, which gives a container's network namespace a way out through ordinary sockets of the user: its command line,
//! what the installed version can do, its start, its failures explained. Never enters a namespace.
//!
//! How pasta behaves (tried with the versions of 2023 to 2026), and the choices that follow from it:
//! - It is started from the home user namespace with the container's network namespace as its standard input
//!   (`--netns-only --netns /proc/self/fd/0`): by a path below `/proc/PID` it would fail, as it drops its rights first, and
//!   every other descriptor it closes before it looks (since 2024-08).
//! - The process that was started ends when the interface is configured and the ports listen: its exit is "ready". The
//!   daemon it leaves behind keeps no descriptor of ours but lives on without the namespace's processes: it has to die with
//!   its parent, a monitor that is PID 1 of a pid namespace.
//! - Versions of 2026 look every second whether the namespace's file is there still, and end when it is not: a descriptor of their
//!   parent's is gone at once. So they are told not to look (`--no-netns-quit`), and are always ended by whoever started them.
//! - `-t 8080-8090` succeeds when *some* of the ports were free. So every port is an option of its own.
//! - pasta of 2023 takes a port's number once, at whatever address: both families at once are an option without an address.
//! - Without a default route it refuses to start (before 2024-11). With `-i lo`, an address, a gateway and a MAC of our own it
//!   does start, published ports work, and whatever network the host gets later is used, as sockets are not bound to an
//!   interface. So a laptop on a plane can run a web server.
//! - The container has a private address rather than a copy of the host's: it reaches services that the host offers on its
//!   own addresses, and looks the same everywhere. The host's loopback is never reachable (`--no-map-gw` and successors).
//! - A connection to a published port of 127.0.0.1 arrives on the container's loopback, unless pasta is of 2024-10 or later.
//! - pasta of 2023 loses the answers to datagrams that came over the host's loopback to a port with another number inside
//!   (`-p 127.0.0.1:5353:53/udp`); with one number on both sides, or over another address of the host, they arrive.

mod options;

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};

pub use options::{PastaOptionError, PastaOptions};

use super::ports::Protocol;
use super::publish::{self, PortMapping, PublishError};
use super::route::HostRoutes;
use crate::paths::Paths;
use crate::sys::program;

/// The container's address, its network's prefix and the gateway, on every host.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 100);
const PREFIX: &str = "24";
const GATEWAY: &str = "10.0.2.2";
/// What it has of IPv6 where the host has no way for one of the families: an address of nobody's, and nothing that `lo` would have to know.
const BOTH: &[&str] = &[
    "--address",
    "fd00:a:2::64",
    "--gateway",
    "fe80::1",
    "--interface",
    "lo",
];
/// The gateway's hardware address; `lo` has none to copy. Locally administered, the one newer versions choose themselves.
const GATEWAY_MAC: &str = "9a:55:9a:55:9a:55";
/// The interface's name, as docker's containers see it.
const INTERFACE: &str = "eth0";
/// Queries to this address go to the host's own resolver, be it on the host's loopback.
pub const DNS_FORWARD: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// Options that not every version has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// Until 2024-08 the only one against the gateway being the host's loopback; kept since as an alias.
    pub no_map_gw: bool,
    /// Since 2024-08.
    pub map_host_loopback: bool,
    /// Since 2024-08; its default maps nothing, but distributions have changed it.
    pub map_guest_addr: bool,
    pub dns_forward: bool,
    pub ns_ifname: bool,
    pub config_net: bool,
    pub no_netns_quit: bool,
}

impl Features {
    /// Reads `pasta --help`.
    pub fn from_help(help: &str) -> Features {
        let has = |option: &str| {
            help.split(|c: char| c.is_whitespace() || c == ',')
                .any(|word| word == option)
        };
        Features {
            no_map_gw: has("--no-map-gw"),
            map_host_loopback: has("--map-host-loopback"),
            map_guest_addr: has("--map-guest-addr"),
            dns_forward: has("--dns-forward"),
            ns_ifname: has("--ns-ifname"),
            config_net: has("--config-net"),
            no_netns_quit: has("--no-netns-quit"),
        }
    }

    /// It takes an address of IPv6 where the host has none. Those before need one of an interface's.
    pub fn gains_ipv6(self) -> bool {
        self.map_guest_addr
    }

    /// Isolation from the host's loopback can't be asked for: such a version must not be used.
    fn can_isolate(self) -> bool {
        self.no_map_gw || self.map_host_loopback
    }
}

#[derive(Debug, thiserror::Error)]
pub enum PastaError {
    #[error("pasta is not installed, and the container's network needs it")]
    Missing,
    #[error("pasta at {path} is too old: it has no {option}")]
    TooOld { path: PathBuf, option: &'static str },
    #[error("run {path} --help: {source}")]
    Probe {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("start {path}: {source}")]
    Start {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("pass the network namespace to pasta: {source}")]
    Namespace { source: std::io::Error },
    #[error("wait for pasta: {source}")]
    Wait { source: std::io::Error },
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(
        "driver failed programming external connectivity: Bind for {address} failed: this version of pasta publishes a port at one address alone"
    )]
    Overlap { address: SocketAddr },
    #[error("pasta can't use /dev/net/tun")]
    Tun,
    #[error("pasta can't open the container's network namespace: {message}")]
    OpenNamespace { message: String },
    #[error("pasta failed: {message}")]
    Failed { message: String },
}

impl PastaError {
    /// What to type next, one line each.
    pub fn hints(&self) -> Vec<String> {
        let lines: &[&str] = match self {
            PastaError::Missing => &[
                INSTALL,
                "or run without a way out: --network none, or with the host's network: --network host",
            ],
            PastaError::TooOld { .. } => &[INSTALL],
            PastaError::Tun => &[
                "sudo modprobe tun && sudo chmod 0666 /dev/net/tun",
                "or run without a way out: --network none, or with the host's network: --network host",
            ],
            PastaError::OpenNamespace { .. } => {
                &["an AppArmor or SELinux rule may forbid it: sudo dmesg | grep -i denied"]
            }
            PastaError::Overlap { .. } => &[
                "publish it at all addresses of both families: -p 0.0.0.0:PORT:PORT -p [::]:PORT:PORT",
                "or use a network that containers share: --network bridge",
            ],
            PastaError::Publish(error) => return error.hints(),
            _ => &["see what this host lacks: bryo doctor"],
        };
        lines.iter().map(|line| (*line).to_owned()).collect()
    }
}

/// The package is called the same everywhere.
pub const INSTALL: &str = "install it: sudo apt install passt (Debian, Ubuntu), sudo dnf install passt (Fedora), \
     sudo zypper install passt (openSUSE), sudo pacman -S passt (Arch), sudo apk add passt (Alpine)";

/// The installed pasta.
pub fn find() -> Option<PathBuf> {
    program::find("pasta")
}

/// What the cache remembers of a binary; any difference in the first three fields means probing again.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    path: PathBuf,
    size: u64,
    modified: Option<std::time::SystemTime>,
    features: Features,
}

/// Where the processor has AVX2, pasta executes the build of itself for that, which lies beside it: at once, it is ready a millisecond
/// earlier.
fn build_for_here(binary: &Path) -> Cow<'_, Path> {
    #[cfg(target_arch = "x86_64")]
    if let Ok(build) = binary.canonicalize() {
        let mut build = build.into_os_string();
        build.push(".avx2");
        if Path::new(&build).exists() && is_x86_feature_detected!("avx2") {
            return Cow::Owned(build.into());
        }
    }
    Cow::Borrowed(binary)
}

/// What this pasta can do. Asked once per binary: the answer is kept in the cache directory, since asking costs as much as a
/// container's start. A cache that can't be read or written is no error.
pub fn probe(binary: &Path, cache: &Path) -> Result<Features, PastaError> {
    let failed = |source| PastaError::Probe {
        path: binary.to_owned(),
        source,
    };
    let meta = binary.metadata().map_err(failed)?;
    let (size, modified) = (meta.len(), meta.modified().ok());
    let file = cache.join("pasta.json");
    let remembered = std::fs::read(&file)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Remembered>(&bytes).ok());
    if let Some(known) = remembered
        && (known.path.as_path(), known.size, known.modified) == (binary, size, modified)
    {
        return Ok(known.features);
    }
    let output = Command::new(binary)
        .arg("--help")
        .stdin(Stdio::null())
        .output()
        .map_err(failed)?;
    // Some versions print their help to stderr.
    let help = [output.stdout, output.stderr].concat();
    let features = Features::from_help(&String::from_utf8_lossy(&help));
    for (present, option) in [
        (features.config_net, "--config-net"),
        (features.can_isolate(), "--no-map-gw"),
    ] {
        if !present {
            return Err(PastaError::TooOld {
                path: binary.to_owned(),
                option,
            });
        }
    }
    remember(
        &file,
        &Remembered {
            path: binary.to_owned(),
            size,
            modified,
            features,
        },
    );
    Ok(features)
}

fn remember(file: &Path, known: &Remembered) {
    let temporary = file.with_extension(format!("{}.tmp", std::process::id()));
    if let Ok(bytes) = serde_json::to_vec(known) {
        if let Some(Err(error)) = file.parent().map(Paths::make) {
            tracing::debug!(%error, "there is no cache");
        }
        let written =
            std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, file));
        if let Err(error) = written {
            tracing::debug!(%error, "pasta's features are not remembered");
        }
    }
}

/// What one container's pasta shall do.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    pub mappings: &'a [PortMapping],
    pub routes: HostRoutes,
    /// What was asked for; it goes before what follows from the rest.
    pub options: &'a PastaOptions,
    /// Queries to `DNS_FORWARD` are wanted (`resolver::Resolver::forward`).
    pub dns_forward: bool,
    /// Nobody sees its addresses, so that it has some of both families in any case: what the host has no way for now, it may have later.
    pub is_shared: bool,
}

/// pasta's arguments. Pure.
pub fn command_line(features: Features, plan: &Plan<'_>) -> Vec<OsString> {
    let options = plan.options;
    let mut line = vec!["--quiet".to_owned(), "--netns-only".to_owned()];
    let mut push = |words: &[&str]| line.extend(words.iter().map(|word| (*word).to_owned()));
    push(&["--netns", "/proc/self/fd/0"]);
    push(&["--config-net"]);
    if features.no_netns_quit {
        push(&["--no-netns-quit"]);
    }
    if features.ns_ifname && !options.has("ns-ifname") {
        push(&["--ns-ifname", INTERFACE]);
    }
    if !options.opens_loopback() {
        // Where both exist `--no-map-gw` is an alias of the newer, but older packages of distributions differ: say both.
        if features.no_map_gw && !options.has("no-map-gw") {
            push(&["--no-map-gw"]);
        }
        if features.map_host_loopback {
            push(&["--map-host-loopback", "none"]);
        }
    }
    if features.map_guest_addr && !options.has("map-guest-addr") {
        push(&["--map-guest-addr", "none"]);
    }
    for word in addressing(features, plan) {
        push(&[&word]);
    }
    if plan.dns_forward && features.dns_forward && options.dns_forward().is_none() {
        push(&["--dns-forward", &DNS_FORWARD.to_string()]);
    }
    for (option, long, protocol) in [
        ("-t", "tcp-ports", Protocol::Tcp),
        ("-u", "udp-ports", Protocol::Udp),
    ] {
        let published = port_options(plan.mappings, protocol);
        if published.is_empty() && !options.has(long) {
            push(&[option, "none"]);
        }
        for (_, words) in &published {
            push(&[option, words]);
        }
    }
    for (option, long) in [("-T", "tcp-ns"), ("-U", "udp-ns")] {
        if !options.has(long) {
            push(&[option, "none"]);
        }
    }
    line.extend(options.words());
    line.into_iter().map(OsString::from).collect()
}

/// The options of the container's address; those that were asked for belong to another, and are pasta's to complete.
fn addressing(features: Features, plan: &Plan<'_>) -> Vec<String> {
    let options = plan.options;
    let routes = plan.routes;
    let gains_both = features.gains_ipv6() && (plan.is_shared || !routes.ipv4);
    let mut ports = plan.mappings.iter();
    let needs_ipv4 = ports.any(|mapping| mapping.host_ip.is_ipv4()) || plan.is_shared && gains_both;
    let only_ipv6 = !routes.ipv4 && routes.ipv6 && !needs_ipv4;
    if only_ipv6 || options.has("ipv6-only") {
        return Vec::new();
    }
    let own = ADDRESS.to_string();
    let is_own = options.ipv4().is_none();
    let lacks_one = !(routes.ipv4 && routes.ipv6);
    let both = gains_both && lacks_one && is_own && !has_places(options);
    let offline = !both && !routes.ipv4 && !options.has("interface");
    let wanted: [(bool, &[&str]); 6] = [
        (is_own, &["--address", &own]),
        (is_own && !options.has("netmask"), &["--netmask", PREFIX]),
        (is_own && !options.has("gateway"), &["--gateway", GATEWAY]),
        (!options.has("mac-addr"), &["--mac-addr", GATEWAY_MAC]),
        (offline, &["--ipv4-only", "--interface", "lo"]),
        (both, BOTH),
    ];
    let wanted = wanted.iter().filter(|(wanted, _)| *wanted);
    let words = wanted.flat_map(|(_, words)| words.iter());
    words.map(|word| (*word).to_owned()).collect()
}

/// Whether something is said of addresses that pasta would have to agree with.
fn has_places(options: &PastaOptions) -> bool {
    let mut names = ["address", "gateway", "interface", "ipv4-only"].into_iter();
    names.any(|name| options.has(name))
}

/// `ADDRESS/HOST:CONTAINER`, without an address for all of both families; never a range (see above).
fn port_options(mappings: &[PortMapping], protocol: Protocol) -> Vec<(&PortMapping, String)> {
    let is_everywhere = |mapping: &PortMapping, ip: IpAddr| {
        let wanted = PortMapping {
            host_ip: ip,
            ..mapping.clone()
        };
        mappings.contains(&wanted)
    };
    let (ipv4, ipv6) = (Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into());
    let of_protocol = mappings.iter().filter(|m| m.protocol == protocol);
    let options = of_protocol.filter_map(|mapping| {
        let ports = format!("{}:{}", mapping.host_port, mapping.container_port);
        let ip = mapping.host_ip;
        let both = is_everywhere(mapping, ipv4) && is_everywhere(mapping, ipv6);
        match both && ip.is_unspecified() {
            true => (ip == ipv4).then_some((mapping, ports)),
            false => Some((mapping, format!("{ip}/{ports}"))),
        }
    });
    options.collect()
}

/// A pasta that is setting up its namespace while the caller does other things.
#[derive(Debug)]
pub struct Starting {
    child: Child,
    mappings: Vec<PortMapping>,
    /// What it has complained of so far.
    said: Vec<u8>,
}

/// More of what pasta says is left out of the explanation.
const SAID_MAX: usize = 64 << 10;

/// Starts pasta for `netns`. The caller is single-threaded, lives in the home user namespace and the host's network
/// namespace, and has given up the mappings' ports just now (`ClaimedPorts::release`).
pub fn start(
    binary: &Path,
    features: Features,
    netns: impl AsFd,
    plan: &Plan<'_>,
) -> Result<Starting, PastaError> {
    let inherited =
        rustix::io::fcntl_dupfd_cloexec(netns, 0).map_err(|errno| PastaError::Namespace {
            source: errno.into(),
        })?;
    let line = command_line(features, plan);
    tracing::debug!(?line, "start pasta");
    let mut command = Command::new(build_for_here(binary).as_os_str());
    let child = program::unblock_signals(&mut command)
        .arg0(binary)
        .args(line)
        .current_dir("/")
        .env_clear()
        .stdin(inherited)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| PastaError::Start {
            path: binary.to_owned(),
            source,
        })?;
    Ok(Starting {
        child,
        mappings: plan.mappings.to_vec(),
        said: Vec::new(),
    })
}

impl Starting {
    /// Reads when `hear` would not wait.
    pub fn source(&self) -> Option<BorrowedFd<'_>> {
        self.child.stderr.as_ref().map(AsFd::as_fd)
    }

    /// Takes some of what it says; `true`: nothing more will come, and `wait` gives the outcome.
    pub fn hear(&mut self) -> bool {
        let Some(stderr) = &mut self.child.stderr else {
            return true;
        };
        let mut buffer = [0; 4096];
        // The daemon has closed its copy by the time its parent exits. A read error only shortens the explanation.
        match stderr.read(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => self.child.stderr = None,
            Ok(length) => {
                let room = SAID_MAX.saturating_sub(self.said.len()).min(length);
                self.said.extend_from_slice(&buffer[..room]);
            }
        }
        self.child.stderr.is_none()
    }

    /// Blocks until the interface is configured and all ports listen, or pasta has failed. Must be called before anything
    /// reaps children of its own accord.
    pub fn wait(mut self) -> Result<(), PastaError> {
        while !self.hear() {}
        let messages = String::from_utf8_lossy(&self.said).into_owned();
        let status = self
            .child
            .wait()
            .map_err(|source| PastaError::Wait { source })?;
        if status.success() {
            tracing::debug!("pasta is ready");
            return Ok(());
        }
        let first = publish::first_unprivileged_port();
        Err(explain(&messages, &self.mappings, first))
    }
}

/// Turns pasta's last words into an error that names what the user can change. Pure.
pub fn explain(messages: &str, mappings: &[PortMapping], first_port: u16) -> PastaError {
    // Where no system logger runs, every line is followed by a complaint about it.
    let lines: Vec<&str> = messages
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.ends_with("to syslog"))
        .collect();
    // 2023: "Failed to bind any port for '-t 0.0.0.0/8080:80', exiting"; 2024 on: "Failed to bind port 8080 (Address already
    // in use) for option '-t 0.0.0.0/8080:80', exiting".
    let mut options = port_options(mappings, Protocol::Tcp);
    options.extend(port_options(mappings, Protocol::Udp));
    for line in lines.iter().filter(|line| line.contains("Failed to bind")) {
        let named = |(_, words): &&(_, String)| line.contains(&format!(" {words}'"));
        if let Some((mapping, _)) = options.iter().find(named) {
            return PastaError::Publish(bind_failure(line, mapping, first_port));
        }
    }
    // 2023: "Overlapping port specifier 192.0.2.1/8080:80".
    for line in &lines {
        let Some((_, words)) = line.split_once("Overlapping port specifier ") else {
            continue;
        };
        if let Some((mapping, _)) = options.iter().find(|(_, known)| known == words) {
            let address = mapping.host();
            return PastaError::Overlap { address };
        }
    }
    let message = lines.join("; ");
    if message.contains("tun socket")
        || message.contains("/dev/net/tun")
        || message.contains("tuntap")
    {
        return PastaError::Tun;
    }
    if message.contains("network namespace") {
        return PastaError::OpenNamespace { message };
    }
    PastaError::Failed {
        message: if message.is_empty() {
            "it gave no reason".to_owned()
        } else {
            message
        },
    }
}

fn bind_failure(line: &str, mapping: &PortMapping, first_port: u16) -> PublishError {
    let address = mapping.host();
    if line.contains("Permission denied") || mapping.host_port < first_port {
        return PublishError::Privileged {
            address,
            first: first_port,
        };
    }
    if line.contains("Cannot assign requested address") {
        return PublishError::NoSuchAddress { address };
    }
    PublishError::InUse { address }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
