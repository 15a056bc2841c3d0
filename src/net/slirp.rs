//! slirp4netns, a container's way out where it is asked for, and everybody's where pasta is missing: its command line, its start, its
//! published ports. Never enters a namespace.
//!
//! It stays in the foreground as a child of whoever starts it, and keeps the namespace by its tap device: it has to be ended by
//! whoever's it is. Ports are published by words over its own socket, once, before the container runs.

mod options;

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::net::{IpAddr, Shutdown};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use rustix::pipe::{PipeFlags, pipe_with};

pub use options::{SlirpOptionError, SlirpOptions};

use super::publish::{PortMapping, PublishError};
use crate::sys::program;

/// The interface's name, as docker's containers see it.
const INTERFACE: &str = "eth0";

/// In the container's directory, while its ports are being published.
const SOCKET: &str = "slirp.sock";

#[derive(Debug, thiserror::Error)]
pub enum SlirpError {
    #[error("slirp4netns is not installed, and the container's network needs it")]
    Missing,
    #[error("start {path}: {source}")]
    Start { path: PathBuf, source: io::Error },
    #[error("wait for slirp4netns: {source}")]
    Wait { source: io::Error },
    #[error("slirp4netns can't use /dev/net/tun")]
    Tun,
    #[error("slirp4netns failed: {message}")]
    Failed { message: String },
    #[error("publish a port through slirp4netns: {source}")]
    Socket { source: io::Error },
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("slirp4netns publishes ports of IPv4 alone, and {mapping} is none")]
    Family { mapping: PortMapping },
}

impl SlirpError {
    /// What to type next, one line each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            SlirpError::Missing => vec![
                "install it: sudo apt install slirp4netns (Debian, Ubuntu), sudo dnf install slirp4netns (Fedora)"
                    .to_owned(),
            ],
            SlirpError::Publish(error) => error.hints(),
            SlirpError::Family { .. } => vec!["use --network pasta, or a bridge".to_owned()],
            _ => vec!["see what this host lacks: bryo doctor".to_owned()],
        }
    }
}

/// The installed slirp4netns.
pub fn find() -> Option<PathBuf> {
    program::find("slirp4netns")
}

/// Its arguments; `ready` is where it says that it is. Pure.
fn command_line(options: &SlirpOptions, publishes: bool, ready: i32) -> Vec<String> {
    let mut line = vec![
        "--configure".to_owned(),
        "--enable-sandbox".to_owned(),
        "--enable-seccomp".to_owned(),
        format!("--ready-fd={ready}"),
        format!("--mtu={}", options.mtu),
    ];
    if !options.allow_host_loopback {
        line.push("--disable-host-loopback".to_owned());
    }
    if options.enable_ipv6 {
        line.push("--enable-ipv6".to_owned());
    }
    line.extend(options.cidr.map(|cidr| format!("--cidr={cidr}")));
    let outbound = [
        ("--outbound-addr", &options.outbound_addr),
        ("--outbound-addr6", &options.outbound_addr6),
    ];
    for (option, value) in outbound {
        line.extend(value.as_ref().map(|value| format!("{option}={value}")));
    }
    if publishes {
        line.push(format!("--api-socket=/proc/self/fd/1/{SOCKET}"));
    }
    line.extend(["--netns-type=path", "/proc/self/fd/0", INTERFACE].map(str::to_owned));
    line
}

/// One that is setting up its namespace while the caller does other things.
#[derive(Debug)]
pub struct Starting {
    child: Child,
    ready: OwnedFd,
    /// What it complains of.
    words: File,
    directory: OwnedFd,
    options: SlirpOptions,
    mappings: Vec<PortMapping>,
}

/// Starts it for `netns`. The caller is single-threaded, lives in the home user namespace and the host's network namespace, and
/// has given up the mappings' ports just now. `directory` is the caller's own.
pub fn start(
    binary: &Path,
    options: &SlirpOptions,
    netns: impl AsFd,
    directory: &Path,
    mappings: Vec<PortMapping>,
) -> Result<Starting, SlirpError> {
    let wrong = mappings.iter().find(|m| !m.host_ip.is_ipv4());
    if let Some(mapping) = wrong.cloned() {
        return Err(SlirpError::Family { mapping });
    }
    let failed = |source: io::Error| SlirpError::Start {
        path: binary.to_owned(),
        source,
    };
    let errno = |error: rustix::io::Errno| failed(error.into());
    let netns = rustix::io::fcntl_dupfd_cloexec(netns, 0).map_err(errno)?;
    let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
    let directory = rustix::fs::open(directory, flags, Mode::empty()).map_err(errno)?;
    let (ready, teller) = pipe_with(PipeFlags::CLOEXEC).map_err(errno)?;
    // No pipe: it would be ended by its first complaint once nobody reads there.
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let words = rustix::fs::memfd_create("slirp4netns", flags).map_err(errno)?;
    // The child gets this one under its own number.
    let inherited = rustix::io::dup(&teller).map_err(errno)?;
    let line = command_line(options, !mappings.is_empty(), inherited.as_raw_fd());
    tracing::debug!(?line, "start slirp4netns");
    let output = directory.try_clone().map_err(failed)?;
    let child = program::unblock_signals(&mut Command::new(binary))
        .args(line)
        .current_dir("/")
        .env_clear()
        .stdin(netns)
        .stdout(output)
        .stderr(words.try_clone().map_err(failed)?)
        .spawn()
        .map_err(failed)?;
    Ok(Starting {
        child,
        ready,
        words: words.into(),
        directory,
        options: options.clone(),
        mappings,
    })
}

impl Starting {
    /// Reads when it is known whether the interface is there.
    pub fn source(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }

    /// Blocks until the interface is configured and all ports listen, or it has failed. Must be called before anything reaps
    /// children of its own accord.
    pub fn wait(mut self) -> Result<(), SlirpError> {
        let mut said = Vec::new();
        let wait = |source| SlirpError::Wait { source };
        File::from(self.ready.try_clone().map_err(wait)?)
            .read_to_end(&mut said)
            .map_err(wait)?;
        if said.is_empty() {
            self.child.wait().map_err(wait)?;
            return Err(self.failure());
        }
        // What it says from now on is for nobody.
        let _ = rustix::fs::fcntl_add_seals(&self.words, SealFlags::GROW);
        let published = self.mappings.iter().try_for_each(|one| self.publish(one));
        if !self.mappings.is_empty() {
            let _ = rustix::fs::unlinkat(&self.directory, SOCKET, rustix::fs::AtFlags::empty());
        }
        if published.is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        published
    }

    fn failure(&mut self) -> SlirpError {
        let mut text = Vec::new();
        let read = self.words.rewind();
        let _ = read.and_then(|()| (&self.words).take(16 << 10).read_to_end(&mut text));
        explain(&String::from_utf8_lossy(&text))
    }

    fn publish(&self, mapping: &PortMapping) -> Result<(), SlirpError> {
        let said = self.say(mapping);
        let said = said.map_err(|source| SlirpError::Socket { source })?;
        let answer: serde_json::Value = serde_json::from_slice(&said).unwrap_or_default();
        match answer.get("return") {
            Some(_) => Ok(()),
            // It was free a moment ago.
            None => Err(PublishError::InUse {
                address: mapping.host(),
            }
            .into()),
        }
    }

    fn say(&self, mapping: &PortMapping) -> io::Result<Vec<u8>> {
        let path = format!("/proc/self/fd/{}/{SOCKET}", self.directory.as_raw_fd());
        let mut socket = UnixStream::connect(path)?;
        let host_addr: IpAddr = mapping.host_ip;
        let request = serde_json::json!({
            "execute": "add_hostfwd",
            "arguments": {
                "proto": mapping.protocol.to_string(),
                "host_addr": host_addr.to_string(),
                "host_port": mapping.host_port,
                "guest_addr": self.options.address().to_string(),
                "guest_port": mapping.container_port,
            },
        });
        socket.write_all(request.to_string().as_bytes())?;
        socket.shutdown(Shutdown::Write)?;
        let mut answer = Vec::new();
        socket.take(4096).read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// Turns its last words into an error. Pure.
fn explain(words: &str) -> SlirpError {
    let lines = words.lines().map(str::trim);
    let lines: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.starts_with("WARNING: Support for"))
        .collect();
    let message = lines.join("; ");
    match message {
        message if message.contains("/dev/net/tun") => SlirpError::Tun,
        message if message.is_empty() => SlirpError::Failed {
            message: "it gave no reason".to_owned(),
        },
        message => SlirpError::Failed { message },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_loopback_is_open_to_those_alone_who_ask() {
        let line = |text: &str| command_line(&text.parse().unwrap(), false, 7).join(" ");
        let plain = command_line(&SlirpOptions::default(), true, 7).join(" ");
        assert_eq!(
            plain,
            "--configure --enable-sandbox --enable-seccomp --ready-fd=7 --mtu=65520 --disable-host-loopback --enable-ipv6 \
             --api-socket=/proc/self/fd/1/slirp.sock --netns-type=path /proc/self/fd/0 eth0"
        );
        let open = line("allow_host_loopback=true,mtu=1400,cidr=10.7.0.0/24,enable_ipv6=false");
        assert!(
            !open.contains("loopback") && !open.contains("ipv6"),
            "{open}"
        );
        assert!(open.contains("--mtu=1400 --cidr=10.7.0.0/24"), "{open}");
    }

    #[test]
    fn its_last_words_are_told() {
        let words = "WARNING: Support for seccomp is experimental\nopen(\"/dev/net/tun\"): Permission denied\n";
        assert!(matches!(explain(words), SlirpError::Tun));
        assert_eq!(explain("x\n\ny\n").to_string(), "slirp4netns failed: x; y");
    }
}
