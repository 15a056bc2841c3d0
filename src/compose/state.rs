//! What there is of a project: asked of the engine, given as the values that plans are made from.

use super::labels::{self, OneOff};
use super::plan::{Existing, State};
use crate::engine::request::{PsRequest, Status};
use crate::engine::{Engine, EngineError, ListedContainer};

/// A project's containers, in the order in which they were made.
pub fn containers(
    engine: &Engine,
    project: &str,
    oneoff: OneOff,
) -> Result<Vec<ListedContainer>, EngineError> {
    let request = PsRequest {
        all: true,
        filters: labels::containers(project, oneoff),
        ..PsRequest::default()
    };
    let mut found = engine.list(&request)?;
    found.reverse();
    Ok(found)
}

pub fn existing(engine: &Engine, project: &str) -> Result<Vec<Existing>, EngineError> {
    let found = containers(engine, project, OneOff::Include)?;
    Ok(found.iter().map(|one| of(engine, one)).collect())
}

fn of(engine: &Engine, one: &ListedContainer) -> Existing {
    let labels = &one.config.labels;
    let text = |key: &str| labels.get(key).cloned().unwrap_or_default();
    Existing {
        id: one.record.id.to_string(),
        name: one.name.clone(),
        service: text(labels::SERVICE),
        number: labels::number(labels),
        hash: text(labels::CONFIG_HASH),
        image: one.config.image_id.clone(),
        state: state(one),
        replaces: labels.get(labels::REPLACE).cloned(),
        is_held: one.state() == Status::Created && engine.is_being_made(&one.record),
        is_oneoff: labels::is_oneoff(labels),
        is_new: false,
    }
}

pub fn state(one: &ListedContainer) -> State {
    match one.state() {
        Status::Running => State::Running,
        Status::Paused => State::Paused,
        Status::Restarting => State::Restarting,
        Status::Created => State::Created,
        Status::Exited | Status::Dead | Status::Removing => State::Exited,
    }
}
