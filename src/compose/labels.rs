//! How what compose makes is found again: docker's labels, and what they filter. Makes nothing and asks nobody.

use std::collections::BTreeMap;

use crate::engine::request::{LabelFilters, NetworkFilters, PsFilters, VolumeFilters};

/// Whose it is: of containers, networks and volumes.
pub const PROJECT: &str = "com.docker.compose.project";
/// Of a container: its service's key.
pub const SERVICE: &str = "com.docker.compose.service";
/// Of a container: which of its service's, from 1.
pub const NUMBER: &str = "com.docker.compose.container-number";
/// `True` for those of `run`, else `False`.
pub const ONEOFF: &str = "com.docker.compose.oneoff";
/// Of those of `run`: what tells them apart.
pub const SLUG: &str = "com.docker.compose.slug";
/// What it was made from; another hash is another container, network or volume.
pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
/// The id of its image.
pub const IMAGE: &str = "com.docker.compose.image";
/// `db:service_healthy:true,cache:service_started:false`: what its service waits for, and whether it is started again with that.
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// The project's directory.
pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// The project's files, with commas between them.
pub const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
/// Of a container that is to take another's place: the name of that one, which it gets.
pub const REPLACE: &str = "com.docker.compose.replace";
/// Of a network: its key in the file.
pub const NETWORK: &str = "com.docker.compose.network";
/// Of a volume: its key in the file.
pub const VOLUME: &str = "com.docker.compose.volume";
/// Which compose made it.
pub const VERSION: &str = "com.docker.compose.version";

/// The docker compose whose labels these are.
pub const COMPOSE_VERSION: &str = "2.40.3";

/// Which of a project's containers are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OneOff {
    /// Those of services alone.
    #[default]
    Exclude,
    /// Those of `run` as well.
    Include,
    /// Those of `run` alone.
    Only,
}

fn is(key: &str, value: &str) -> String {
    format!("{key}={value}")
}

fn of_project(project: &str) -> LabelFilters {
    let mut labels = LabelFilters::default();
    labels.want(&is(PROJECT, project));
    labels
}

/// A project's containers, whatever their state.
pub fn containers(project: &str, oneoff: OneOff) -> PsFilters {
    let mut labels = of_project(project);
    match oneoff {
        OneOff::Exclude => labels.want(&is(ONEOFF, "False")),
        OneOff::Include => {}
        OneOff::Only => labels.want(&is(ONEOFF, "True")),
    }
    PsFilters {
        labels,
        ..PsFilters::default()
    }
}

/// The same of one service.
pub fn containers_of(project: &str, service: &str, oneoff: OneOff) -> PsFilters {
    let mut filters = containers(project, oneoff);
    filters.labels.want(&is(SERVICE, service));
    filters
}

/// The containers of all projects.
pub fn every_container() -> PsFilters {
    let mut filters = PsFilters::default();
    filters.labels.want(PROJECT);
    filters
}

pub fn networks(project: &str) -> NetworkFilters {
    NetworkFilters {
        labels: of_project(project),
        ..NetworkFilters::default()
    }
}

pub fn volumes(project: &str) -> VolumeFilters {
    VolumeFilters {
        labels: of_project(project),
        ..VolumeFilters::default()
    }
}

/// Which of its service's a container is.
pub fn number(labels: &BTreeMap<String, String>) -> u32 {
    let number = labels.get(NUMBER).and_then(|text| text.parse().ok());
    number.unwrap_or(0)
}

/// Whether a container is one of `run`'s.
pub fn is_oneoff(labels: &BTreeMap<String, String>) -> bool {
    labels.get(ONEOFF).is_some_and(|text| text == "True")
}
