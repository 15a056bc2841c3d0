//! What may pass between networks: one set of rules for all of them, told apart by the names of their bridges, so that a new
//! network or container changes none. Runs `nft` once per shared namespace.

use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::hosts::HOST;
use crate::sys::nftables::{Element, Nftables, Set};

/// What is sent to a transparent socket carries it.
pub const MARK: u32 = 1;

/// The table of what all networks have in common.
const TABLE: &str = "bryo";

/// In one transaction: a second run, in a namespace that has outlived its `bryo net`, replaces the rules of the first.
/// `br-…` are bridges, `bi-…` those of internal networks, and all but those and the loopback is the way out. What is sent to
/// the host by its name goes to the address that the host has now, or where a rule of the container's own (`guard`) leads it;
/// else nowhere.
const RULES: &str = r#"
table inet bryo {}
delete table inet bryo
table inet bryo {
    map host {
        type ipv4_addr : ipv4_addr
    }
    chain translate {
        type nat hook prerouting priority dstnat; policy accept;
        ip daddr 169.254.1.2 dnat ip to ip daddr map @host
    }
    chain host {
        type filter hook input priority filter; policy accept;
        ip daddr 169.254.1.2 ct status & dnat == 0 reject
    }
    chain prerouting {
        type filter hook prerouting priority mangle; policy accept;
        socket transparent 1 meta mark set 1 accept
    }
    chain forward {
        type filter hook forward priority filter; policy accept;
        ct state established,related accept
        iifname "bi-*" drop
        oifname "bi-*" drop
        iifname "br-*" oifname "br-*" drop
        iifname != "br-*" drop
    }
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        oifname "br-*" accept
        oifname "bi-*" accept
        oifname "lo" accept
        masquerade
    }
}
"#;

#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    #[error("nft is not installed, and networks that containers share need it")]
    Missing,
    #[error("start {path}: {source}")]
    Start {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("nft failed: {message}")]
    Failed { message: String },
}

impl FirewallError {
    pub fn hints(&self) -> Vec<String> {
        match self {
            FirewallError::Missing => vec![
                "install it: sudo apt install nftables (Debian, Ubuntu), sudo dnf install nftables (Fedora)"
                    .to_owned(),
                "or use a network of the container's own: --network pasta".to_owned(),
            ],
            FirewallError::Start { .. } | FirewallError::Failed { .. } => {
                vec!["sudo modprobe -a nf_tables nft_masq nft_socket".to_owned()]
            }
        }
    }
}

/// The installed nft.
pub fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from))
        .map(|directory| directory.join("nft"))
        .find(|candidate| candidate.is_file())
}

/// nft on its way.
pub struct Loading(Child);

/// Leads what is sent to `HOST` to this address of the host.
pub fn lead_to_host(address: Option<Ipv4Addr>) -> io::Result<()> {
    let (set, key) = (
        Set {
            table: TABLE,
            name: "host",
        },
        HOST.octets(),
    );
    let nftables = Nftables::open()?;
    match address {
        Some(address) => nftables.put(
            set,
            &Element {
                key: &key,
                data: Some(&address.octets()),
                timeout: None,
            },
        ),
        None => nftables.remove(set, &key),
    }
}

/// Starts to load the rules of all networks into the caller's network namespace.
pub fn load() -> Result<Loading, FirewallError> {
    load_text(RULES)
}

/// Changes the rules of one container.
pub fn apply(text: &str) -> Result<(), FirewallError> {
    load_text(text)?.wait()
}

fn load_text(text: &str) -> Result<Loading, FirewallError> {
    let path = find().ok_or(FirewallError::Missing)?;
    let failed = |source| FirewallError::Start {
        path: path.clone(),
        source,
    };
    let mut child = Command::new(&path)
        .args(["-f", "-"])
        .current_dir("/")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    // Shorter than a pipe is deep. What it could not be told is its failure, and said below.
    if let Some(mut input) = child.stdin.take() {
        let _ = input.write_all(text.as_bytes());
    }
    Ok(Loading(child))
}

impl Loading {
    /// Until the rules are in force.
    pub fn wait(mut self) -> Result<(), FirewallError> {
        let mut message = String::new();
        if let Some(stderr) = self.0.stderr.take() {
            let _ = stderr.take(16 << 10).read_to_string(&mut message);
        }
        match self.0.wait() {
            Ok(status) if status.success() => Ok(()),
            _ => Err(FirewallError::Failed {
                message: message.trim().replace('\n', "; "),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_and_the_hosts_file_know_the_host_by_one_address() {
        assert!(RULES.contains(&format!("ip daddr {HOST} dnat ip to")));
        assert!(RULES.contains(&format!("ip daddr {HOST} ct status & dnat == 0 reject")));
    }
}
