//! The verbs, in typed requests: what cli (later api, compose and build) may ask for. Never clap, Docker JSON or printing.

mod arriving;
mod artifacts;
pub mod assemble;
mod authorizations;
pub mod boot;
mod bridged;
mod build;
mod build_cache;
mod cache_transfer;
mod call;
mod check;
mod confined;
mod containers;
mod control;
mod create;
mod devices;
mod diagnose;
mod disk;
mod download_cache;
mod error;
mod events;
mod exec;
mod fetch;
mod files;
mod filter;
pub mod images;
mod info;
mod keeper;
mod kill;
mod launch;
mod limits;
mod login;
mod logs;
pub mod manifests;

mod migrate;
mod mounts;
mod namespaces;
mod network_change;
mod network_orders;
mod networks;
mod obtain;
mod output;
mod owed;
mod processes;
mod prune;
pub mod pull;
pub mod push;
pub mod remote;
mod remove;
pub mod request;
mod reset;
pub mod search;
mod secrets;
mod session;
mod start;
mod starting;
mod stats;
mod stop;
mod storage;
mod trust;
mod volumes;
mod wait;
mod worker;

pub use arriving::{Arriving, PullNews, PulledImage};
pub use artifacts::{AddArtifactRequest, WhichBlobs};
pub use authorizations::{AuthorizationError, Authorizations};
pub use bridged::EndpointRequestError;
pub use build::{FinishedLayer, NewImage, StoredImage, WrittenLayer};
pub use build_cache::{CacheEntry, CacheKind};
pub use call::{Called, Expectation};
pub use check::{CheckReport, CheckRequest};
pub use containers::{ContainerSummary, ListedContainer, SizeOf};
pub use disk::{DiskUsage, ImageUsage};
pub use error::EngineError;
pub use events::EventFollower;
pub use fetch::{Cloned, FetchError, Fetched, FetchedFile, Remote};
pub use files::{Committed, Copied};
pub use images::{Carry, Place};
pub use info::EngineFacts;
pub use keeper::Keeper;
pub use launch::guarded_paths;
pub use logs::{Joining, LogEvent, LogLabel, RunEnd};
pub use networks::{NetworkMember, NetworkRequestError, NetworkSummary};
pub use obtain::{BUILTIN_WORDS, Elsewhere, Sought};
pub use processes::{ContainerProcess, Identity};
pub use prune::Pruned;
pub use session::{Foreground, Outcome, Session};
pub use start::StartOptions;
pub use starting::BeingStarted;
pub use stats::Sample;
pub use stop::{Stopped, Stops};
pub use storage::StorageChoice;
pub use volumes::{PrunedVolumes, VolumeSummary};
pub use wait::Watch;
pub use worker::{Job, RoleFailure};

pub use crate::monitor::PublishedPort;

use std::cell::{Cell, OnceCell, RefCell};
use std::path::PathBuf;

use crate::config::Config;
use crate::container::{Containers, Secrets, Volumes};
use crate::image::Store;
use crate::paths::Paths;
use crate::registry::{Access, RegistryConfig};
use crate::runtime::home::{Found, Home};
use crate::runtime::isolation::Isolation;
use crate::sys::process::ProcessName;

/// One user's engine: where things are. Opening it costs nothing; nothing runs when no container runs.
pub struct Engine {
    pub paths: Paths,
    pub config: Config,
    /// Where docker's `config.json` with registry credentials is, if not where docker has it.
    docker_directory: Option<PathBuf>,
    /// What the command line says about registries.
    access: Access,
    containers: Containers,
    /// Told what the user should know although the verb goes on.
    warn: Box<dyn Fn(&str)>,
    /// Something is said once.
    has_warned: Cell<bool>,
    volumes: Volumes,
    secrets: Secrets,
    /// The image half of the store, once it was opened.
    images: OnceCell<Store>,
    /// A member of the home namespace.
    home: Cell<Option<Found>>,
    /// How containers are kept apart, once that is known.
    isolation: OnceCell<Isolation>,
    /// To a monitor that was called before its container is made.
    line: RefCell<call::Line>,
}

impl Engine {
    pub fn new(paths: Paths, config: Config) -> Engine {
        let containers = Containers::new(&paths);
        let volumes = Volumes::new(&paths);
        let secrets = Secrets::new(&paths);
        Engine {
            paths,
            config,
            docker_directory: None,
            access: Access::default(),
            containers,
            volumes,
            secrets,
            warn: Box::new(|_| {}),
            has_warned: Cell::new(false),
            images: OnceCell::new(),
            home: Cell::new(None),
            isolation: OnceCell::new(),
            line: RefCell::default(),
        }
    }

    /// With somebody who listens to warnings.
    pub fn with_warnings(self, warn: impl Fn(&str) + 'static) -> Engine {
        Engine {
            warn: Box::new(warn),
            ..self
        }
    }

    /// With docker's files in another directory (`--config`).
    pub fn with_docker_directory(self, directory: Option<PathBuf>) -> Engine {
        Engine {
            docker_directory: directory,
            ..self
        }
    }

    /// With what one command says about its registries.
    pub fn with_access(self, access: Access) -> Engine {
        Engine { access, ..self }
    }

    /// Docker's `config.json`.
    fn docker_config(&self) -> Option<PathBuf> {
        match &self.docker_directory {
            Some(directory) => Some(directory.join("config.json")),
            None => RegistryConfig::docker_config_from_environment(),
        }
    }

    /// The image half of the store.
    pub fn images(&self) -> Result<Store, EngineError> {
        if let Some(opened) = self.images.get() {
            return Ok(opened.clone());
        }
        let opened = Store::open(&self.paths).map_err(|source| EngineError::Store {
            source: Box::new(source),
        })?;
        Ok(self.images.get_or_init(|| opened).clone())
    }

    /// Calls `use_home` with the way to the home namespace.
    fn with_home<T>(&self, use_home: impl FnOnce(&Home<'_>) -> T) -> T {
        let members = || self.living_monitors();
        use_home(&Home {
            paths: &self.paths,
            members: &members,
            known: &self.home,
            isolation: &self.isolation,
            give_up: &|| self.give_up_home(),
        })
    }

    /// Asked only where the record of the home namespace was lost.
    fn living_monitors(&self) -> Vec<ProcessName> {
        let records = self.containers.all().unwrap_or_default();
        let running = records.iter().filter_map(|record| {
            let status = record.status().ok()?;
            status.live().map(|state| state.monitor)
        });
        running.collect()
    }
}
