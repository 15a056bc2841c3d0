//! Failures and warnings that the host is to blame for, in the words of `doctor`.

use std::net::SocketAddr;

use super::{Engine, EngineError};
use crate::monitor::{PublishedPort, StartFailure};
use crate::net::occupant;
use crate::net::publish::PublishError;
use crate::paths::RuntimeFallback;
use crate::runtime::doctor::{Check, Finding, explain};
use crate::runtime::execute::SetupError;
use crate::runtime::home::HomeError;
use crate::runtime::isolation::Isolation;
use crate::runtime::subids::Subids;
use crate::sys::text;

impl Engine {
    /// The first finding that explains a failure to enter the home namespace.
    pub(super) fn explain_home(&self, source: HomeError) -> EngineError {
        let checks: &[Check] = match &source {
            HomeError::CreateNamespace { .. } => {
                &[Check::UserNamespaces, Check::Kernel, Check::NoNewPrivileges]
            }
            HomeError::StartHelper { .. } | HomeError::Helper { .. } => &[
                Check::IdMapHelpers,
                Check::SubordinateIds,
                Check::NoNewPrivileges,
            ],
            HomeError::WriteMap { .. } => &[Check::UserNamespaces, Check::Nesting],
            HomeError::Paths(_) => &[Check::RuntimeDirectory, Check::Store],
            _ => &[],
        };
        match self.first_finding(checks) {
            Some(finding) => EngineError::Host {
                failure: Box::new(source.into()),
                finding,
            },
            None => EngineError::Home(source),
        }
    }

    /// Whose a port is that was to be published, and which is free: this process may look at what the monitor may not.
    fn explain_taken(&self, address: SocketAddr) -> Vec<String> {
        let port = address.port();
        let containers = self.containers.all().unwrap_or_default().into_iter();
        let mut containers = containers.filter(|record| {
            let mut ports = PublishedPort::read(&record.directory).into_iter();
            ports.any(|published| published.host_port == port) && record.is_held().unwrap_or(false)
        });
        let owner = match (containers.next(), occupant::occupant(port)) {
            (Some(record), _) => {
                let name = self.containers.name_of(&record);
                format!("container {name} has it: bryo port {name}")
            }
            (None, Some(occupant)) => {
                let (command, pid) = (text::shown(&occupant.command), occupant.pid);
                format!("{command} has it: ps -p {pid}")
            }
            (None, None) => format!("see who listens there: sudo ss -lntup 'sport = :{port}'"),
        };
        let next =
            occupant::next_free(address).map(|next| format!("use the next free port, {next}"));
        std::iter::once(owner).chain(next).collect()
    }

    /// The same for a port of a container that runs.
    pub(super) fn explain_publish(&self, error: &PublishError) -> EngineError {
        self.explain_start(StartFailure::Network {
            message: error.to_string(),
            hints: error.hints(),
            taken: error.taken(),
        })
    }

    /// The same for a container that could not be set up.
    pub fn explain_start(&self, mut failure: StartFailure) -> EngineError {
        if let StartFailure::Network {
            hints,
            taken: Some(address),
            ..
        } = &mut failure
        {
            hints.splice(0..0, self.explain_taken(*address));
        }
        let checks: &[Check] = match &failure {
            StartFailure::Setup(SetupError::Root { .. }) => {
                &[Check::Overlay, Check::Store, Check::Kernel]
            }
            StartFailure::Setup(SetupError::Fuse(_)) => &[Check::Fuse, Check::Store],
            StartFailure::Setup(SetupError::Step { .. }) => {
                &[Check::UserNamespaces, Check::Nesting]
            }
            StartFailure::NoTun => &[Check::Tun],
            _ => &[],
        };
        match self.first_finding(checks) {
            Some(finding) => EngineError::Host {
                failure: Box::new(EngineError::Start(failure)),
                finding,
            },
            None => EngineError::Start(failure),
        }
    }

    /// What of the ways to keep containers apart is not to be had here, and why.
    pub fn confinement(&self) -> Option<Finding> {
        match self.isolation() {
            Isolation::Namespaces => None,
            Isolation::Chroot => self.first_finding(&[Check::UserNamespaces]),
        }
    }

    fn first_finding(&self, checks: &[Check]) -> Option<Finding> {
        checks.iter().find_map(|check| explain(*check, &self.paths))
    }

    /// What a user who starts containers should know of this host: what limits them without stopping them, and can be cured.
    /// Looks only where something is known to be amiss, or where looking costs nothing.
    pub fn host_warnings(&self) -> Vec<Finding> {
        if let Some(finding) = self.confinement() {
            return vec![finding];
        }
        // With a single id, programs cannot become other users.
        let has_many = self.with_home(|home| home.surely_has_many_ids());
        let ids = match has_many || Subids::find().is_some() {
            true => None,
            false => self.first_finding(&[
                Check::IdMapHelpers,
                Check::NoNewPrivileges,
                Check::SubordinateIds,
            ]),
        };
        // A session without a runtime directory is usual (cron, su); one with that of another user is a mistake.
        let runtime = match self.paths.runtime_fallback {
            Some(RuntimeFallback::NotOurs { .. }) => self.first_finding(&[Check::RuntimeDirectory]),
            _ => None,
        };
        let store = self.first_finding(&[Check::Store]);
        let store = store.filter(|finding| !finding.cure.is_empty());
        [ids, runtime, store].into_iter().flatten().collect()
    }
}
