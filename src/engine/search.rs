//! `search`, and the tags of a repository: questions to registries that touch no store.

use serde::{Deserialize, Serialize};

use super::worker::RoleFailure;
use super::{Engine, EngineError};
use crate::image::Reference;
use crate::registry::{self, FoundRepository, Progress};

/// Which repositories a search is to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchRequest {
    pub registry: String,
    pub word: String,
    pub limit: usize,
    pub is_official: Option<bool>,
    pub is_automated: Option<bool>,
    /// At least so many.
    pub stars: u64,
}

impl Engine {
    pub fn search(&self, request: &SearchRequest) -> Result<Vec<FoundRepository>, EngineError> {
        let mut config = self.registry_config()?;
        config.look_up_registry(&request.registry)?;
        let found: Vec<FoundRepository> = self.beside("transfer", || {
            let found = registry::search(&request.registry, &request.word, request.limit, &config);
            found.map_err(|error| RoleFailure::of(&error, error.hints()))
        })?;
        let fits = |repository: &FoundRepository| {
            repository.star_count >= request.stars
                && request
                    .is_official
                    .is_none_or(|yes| yes == repository.is_official)
                && request
                    .is_automated
                    .is_none_or(|yes| yes == repository.is_automated)
        };
        Ok(found.into_iter().filter(fits).collect())
    }

    /// Every tag that the reference's repository has at its registry.
    pub fn remote_tags(
        &self,
        reference: &Reference,
        progress: &dyn Progress,
    ) -> Result<Vec<Reference>, EngineError> {
        let config = self.registry_config_for(reference)?;
        let tags: Vec<String> = self.beside("transfer", || {
            let tags = registry::tags(reference, &config, progress);
            tags.map_err(|error| RoleFailure::of(&error, error.hints()))
        })?;
        let named = tags.iter().map(|tag| reference.with_tag(tag));
        Ok(named
            .collect::<Result<_, _>>()
            .map_err(crate::image::ImageError::from)?)
    }
}
