//! What leads the shared namespace to the outside: pasta, or slirp4netns where that is missing. Knows no container.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::pasta::{self, Features, PastaError, PastaOptions, Plan};
use super::route::HostRoutes;
use super::slirp::{self, SlirpError, SlirpOptions};
use super::start::StartError;
use crate::sys::network;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Uplink {
    Pasta { binary: PathBuf, features: Features },
    Slirp { binary: PathBuf },
}

/// One on its way.
pub enum Starting {
    Pasta(pasta::Starting),
    Slirp(slirp::Starting),
}

impl Uplink {
    /// What is installed; `None`: neither. `cache` remembers what pasta can do.
    pub fn find(cache: &Path) -> Result<Option<Uplink>, PastaError> {
        if let Some(binary) = pasta::find() {
            let features = pasta::probe(&binary, cache)?;
            return Ok(Some(Uplink::Pasta { binary, features }));
        }
        Ok(slirp::find().map(|binary| Uplink::Slirp { binary }))
    }

    /// What is in its way for certain is told before anything begins.
    pub fn check(&self) -> Result<(), StartError> {
        match (network::try_tun(), self) {
            (Ok(()), _) => Ok(()),
            (Err(_), Uplink::Pasta { .. }) => Err(StartError::of_pasta(&PastaError::Tun)),
            (Err(_), Uplink::Slirp { .. }) => Err(of_slirp(&SlirpError::Tun)),
        }
    }

    /// It has to be started anew to lead IPv6 out too, which the host has had no way for until now.
    pub fn lacks_ipv6(&self, routes: HostRoutes) -> bool {
        match self {
            Uplink::Pasta { features, .. } => !routes.ipv6 && !features.gains_ipv6(),
            Uplink::Slirp { .. } => false,
        }
    }

    pub fn start(&self, netns: BorrowedFd<'_>, routes: HostRoutes) -> Result<Starting, StartError> {
        match self {
            Uplink::Pasta { binary, features } => {
                let plan = Plan {
                    mappings: &[],
                    routes,
                    options: &PastaOptions::default(),
                    dns_forward: false,
                    is_shared: true,
                };
                let started = pasta::start(binary, *features, netns, &plan);
                let started = started.map_err(|error| StartError::of_pasta(&error))?;
                Ok(Starting::Pasta(started))
            }
            Uplink::Slirp { binary } => {
                let options = SlirpOptions::default();
                let root = Path::new("/");
                let started = slirp::start(binary, &options, netns, root, Vec::new());
                Ok(Starting::Slirp(started.map_err(|error| of_slirp(&error))?))
            }
        }
    }
}

impl Starting {
    /// Reads when `hear` would not wait.
    pub fn source(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Starting::Pasta(pasta) => pasta.source(),
            Starting::Slirp(slirp) => Some(slirp.source()),
        }
    }

    /// When its source reads; `true`: `wait` gives the outcome without waiting.
    pub fn hear(&mut self) -> bool {
        match self {
            Starting::Pasta(pasta) => pasta.hear(),
            // It says one word, or ends.
            Starting::Slirp(_) => true,
        }
    }

    /// Until the interface is there.
    pub fn wait(self) -> Result<(), StartError> {
        match self {
            Starting::Pasta(pasta) => pasta.wait().map_err(|error| StartError::of_pasta(&error)),
            Starting::Slirp(slirp) => slirp.wait().map_err(|error| of_slirp(&error)),
        }
    }
}

fn of_slirp(error: &SlirpError) -> StartError {
    StartError {
        message: error.to_string(),
        hints: error.hints(),
        no_tun: matches!(error, SlirpError::Tun),
    }
}
