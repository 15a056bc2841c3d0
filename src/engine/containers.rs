//! Looking at containers: `ps`, `inspect`, and finding the ones a verb is about. Takes no lock and waits for none.

use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::Timestamp;

use super::files::OwnLayer;
use super::request::{PsRequest, Status as StatusWord};
use super::{Engine, EngineError};
use crate::container::{
    ContainerConfig, ContainerError, ContainerId, Folder, Health, HealthCheck, Outline, Record,
    Settings, Status,
};
use crate::monitor::{PublishedPort, read_endpoints};
use crate::net::wire::Endpoint;

/// Bytes of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeOf {
    /// Its own layer.
    pub own: u64,
    /// With the image below.
    pub total: u64,
}

/// One container as it is now, with all of its configuration or what lists show of it.
#[derive(Clone, Debug)]
pub struct ContainerSummary<C = ContainerConfig> {
    pub record: Record,
    pub name: String,
    pub config: C,
    pub settings: Settings,
    /// What the checks of the present or last run have said; None: it was not checked.
    pub health: Option<Health>,
    pub status: Status,
    /// The host's ports that lead into it now.
    pub ports: Vec<PublishedPort>,
    /// Where it is connected now with networks that it shares.
    pub endpoints: Vec<Endpoint>,
    /// Only where it was asked for.
    pub size: Option<SizeOf>,
}

/// One of a list.
pub type ListedContainer = ContainerSummary<Outline>;

impl<C> ContainerSummary<C> {
    /// Docker's word for the state.
    pub fn state(&self) -> StatusWord {
        match self.status {
            Status::Created => StatusWord::Created,
            Status::Running(_) => StatusWord::Running,
            Status::Paused(_) => StatusWord::Paused,
            Status::Restarting(..) => StatusWord::Restarting,
            Status::Exited(_) | Status::Killed(_) => StatusWord::Exited,
        }
    }

    /// The exit code, where it has ended; a container whose monitor was killed ended by SIGKILL.
    pub fn exit_code(&self) -> Option<i32> {
        match &self.status {
            Status::Exited(exit) => Some(exit.code),
            Status::Killed(_) => Some(137),
            Status::Created | Status::Running(_) | Status::Paused(_) | Status::Restarting(..) => {
                None
            }
        }
    }

    /// Docker's word for its health.
    pub fn health_word(&self) -> &'static str {
        match &self.health {
            Some(health) if self.status.is_running() => health.status.name(),
            _ => "none",
        }
    }
}

impl ListedContainer {
    pub fn created(&self) -> Option<Timestamp> {
        self.config.created.parse().ok()
    }
}

impl Engine {
    /// The record that a name, id or beginning of an id stands for.
    pub fn find(&self, text: &str) -> Result<Record, EngineError> {
        Ok(self.containers.find(text)?)
    }

    /// One container, whole.
    pub fn container(&self, text: &str, size: bool) -> Result<ContainerSummary, EngineError> {
        let record = self.find(text)?;
        let name = self.containers.name_of(&record);
        let status = record.status();
        let status = status.map_err(EngineError::file("read", &record.path("state")))?;
        let config = self.config_of(&record)?;
        let settings = record.settings();
        let settings =
            settings.map_err(EngineError::file("read", &record.path("settings.json")))?;
        let connected = Connected {
            publishes: !config.ports(&settings).is_empty() || config.host.publish_all,
            is_bridged: config.host.is_bridged(),
        };
        let mut summary = summary(record, name, status, (config, connected), settings);
        if size {
            self.measure(&mut summary.size, &summary.record, &summary.config)?;
        }
        Ok(summary)
    }

    /// Whether the command that has made it still holds it.
    pub fn is_being_made(&self, record: &Record) -> bool {
        self.containers.is_being_made(record)
    }

    /// Waits until that command does not.
    pub fn wait_until_made(&self, record: &Record) -> Result<(), EngineError> {
        let waited = self.containers.wait_until_made(record);
        waited.map_err(EngineError::system("wait for a container's maker"))
    }

    /// One container as a list has it, by its name, its id or a beginning of that.
    pub fn listed(&self, text: &str) -> Result<ListedContainer, EngineError> {
        let record = self.find(text)?;
        let name = self.containers.name_of(&record);
        let status = record.status();
        let status = status.map_err(EngineError::file("read", &record.path("state")))?;
        in_list(record.clone(), record.folder(), name, status)
    }

    /// The containers that `ps` shows, newest first. One that is removed meanwhile is left out.
    pub fn list(&self, request: &PsRequest) -> Result<Vec<ListedContainer>, EngineError> {
        let running_only =
            !request.all && request.last.is_none() && !request.filters.asks_for_status();
        let mut names: Option<HashMap<ContainerId, String>> = None;
        let mut found = Vec::new();
        let directory = self.containers.directory();
        let directory = directory.map_err(EngineError::system("open the containers' directory"))?;
        let Some(all) = directory else {
            return Ok(found);
        };
        for record in self.containers.all()? {
            let (all, id) = (&all, &record.id.clone());
            let folder = Folder::In { all, id };
            let status = match running_only {
                true => folder.status_if_held().unwrap_or_default(),
                false => match folder.status() {
                    Ok(status) => Some(status),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                    Err(error) => {
                        return Err(EngineError::file("read", &record.path("state"))(error));
                    }
                },
            };
            let Some(status) = status else { continue };
            let names = names.get_or_insert_with(|| self.containers.names());
            let name = names
                .get(&record.id)
                .cloned()
                .unwrap_or_else(|| record.id.short().to_owned());
            match in_list(record, folder, name, status) {
                Ok(summary) if running_only && !summary.status.is_running() => {}
                Ok(summary) if self.discard_abandoned(&summary) => {}
                Ok(summary) if summary.config.host.step.is_some() => {}
                Ok(summary) => {
                    self.end_remains(&summary.record, &summary.status)?;
                    found.push(summary);
                }
                Err(EngineError::Container(ContainerError::NotFound { .. })) => {}
                Err(EngineError::File { source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        found.sort_by(|a, b| {
            b.config
                .created
                .cmp(&a.config.created)
                .then_with(|| b.record.id.cmp(&a.record.id))
        });
        let mut found = self.filter(found, request)?;
        if let Some(last) = request.last {
            found.truncate(last);
        }
        // What is unlocked and unnamed is rubbish of commands that were killed; failing to delete it spoils no list.
        if request.all
            && let Err(error) = self.empty_trash()
        {
            tracing::debug!(%error, "sweep");
        }
        if request.size {
            for summary in &mut found {
                let config = self.config_of(&summary.record)?;
                self.measure(&mut summary.size, &summary.record, &config)?;
            }
        }
        Ok(found)
    }

    /// Removes what a `run --rm` left that was killed before its container started; `true` if it did.
    fn discard_abandoned(&self, summary: &ListedContainer) -> bool {
        let host = &summary.config.host;
        if !(host.auto_remove && host.starts_at_once && summary.status == Status::Created) {
            return false;
        }
        let abandoned = self.containers.is_abandoned(&summary.record);
        abandoned.is_some_and(|_locked| {
            let config = summary.record.config();
            let discarded = self.containers.discard(&summary.record, &summary.name);
            if let Ok(config) = config {
                self.release_volumes(&config);
            }
            discarded.is_ok()
        })
    }

    fn measure(
        &self,
        size: &mut Option<SizeOf>,
        record: &Record,
        config: &ContainerConfig,
    ) -> Result<(), EngineError> {
        let layers = self.images()?;
        let own = self.in_home("worker", || {
            let own = OwnLayer::of(&layers, &self.rootfs(record, config))?;
            Ok(tree_size(own.path()))
        })?;
        let image: u64 = match config.image_id.parse() {
            Ok(id) => layers.image_by_id(&id).map_or(0, |image| image.size),
            Err(_) => 0,
        };
        *size = Some(SizeOf {
            own,
            total: own + image,
        });
        Ok(())
    }
}

/// What a container may have of the host's network.
struct Connected {
    publishes: bool,
    is_bridged: bool,
}

fn in_list(
    record: Record,
    folder: Folder<'_>,
    name: String,
    status: Status,
) -> Result<ListedContainer, EngineError> {
    let config = folder.parsed("config.json");
    let config = config.map_err(EngineError::file("read", &record.path("config.json")));
    let config: Outline = config.map_err(|error| error.or_removed(&record))?;
    let settings = Settings::read(folder);
    let settings = settings.map_err(EngineError::file("read", &record.path("settings.json")))?;
    let connected = Connected {
        publishes: !config.ports(&settings).is_empty() || config.host.publish_all,
        is_bridged: config.is_bridged(),
    };
    Ok(summary(record, name, status, (config, connected), settings))
}

fn summary<C>(
    record: Record,
    name: String,
    status: Status,
    (config, connected): (C, Connected),
    settings: Settings,
) -> ContainerSummary<C> {
    let ports = match status.is_running() && connected.publishes {
        true => PublishedPort::read(&record.directory),
        false => Vec::new(),
    };
    let endpoints = match status.is_running() && connected.is_bridged {
        true => read_endpoints(&record.directory),
        false => Vec::new(),
    };
    let checked = settings.health.as_ref().and_then(HealthCheck::program);
    let run = checked.and_then(|_| record.last_run());
    let health = run.and_then(|run| Health::read(&record.directory, run.run));
    ContainerSummary {
        settings,
        health,
        ports,
        endpoints,
        record,
        name,
        config,
        status,
        size: None,
    }
}

/// Apparent bytes of all regular files and links below a directory, as docker counts; a hard-linked file once.
pub(super) fn tree_size(directory: &Path) -> u64 {
    let mut total = 0;
    each_below(directory, |meta| {
        if meta.is_file() || meta.is_symlink() {
            total += meta.len();
        }
    });
    total
}

/// Everything below a directory, a hard-linked file once; what cannot be read is passed over.
pub(super) fn each_below(directory: &Path, mut see: impl FnMut(&Metadata)) {
    let mut seen = HashSet::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                waiting.push(entry.path());
            } else if meta.nlink() > 1 && !seen.insert((meta.dev(), meta.ino())) {
                continue;
            }
            see(&meta);
        }
    }
}
