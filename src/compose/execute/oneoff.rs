//! A container of a service for one task: named, numbered and labelled as `run` makes it.

use super::{ExecuteError, Executor};
use crate::compose::creation::Container;
use crate::container::ContainerId;
use crate::engine::EngineError;
use crate::engine::request::CreateRequest;
use crate::image::Image;

impl Executor<'_> {
    /// The request for it, and what should be said.
    pub fn oneoff(
        &self,
        service: &str,
        name: Option<String>,
        (hash, image): (&str, &Image),
        with_aliases: bool,
    ) -> Result<(CreateRequest, Vec<String>), ExecuteError> {
        let random = ContainerId::random().map_err(|source| EngineError::System {
            operation: "make a container's name",
            source,
        })?;
        let slug = random.short();
        let project = &self.project.name;
        let sep = self.separator;
        let name = name.unwrap_or_else(|| format!("{project}{sep}{service}{sep}run{sep}{slug}"));
        let container = Container {
            project: self.project,
            service: &self.project.services[service],
            name: &name,
            number: 1,
            slug: Some(slug),
            hash,
            image: &self.image_name(service),
            image_id: &image.id.to_string(),
            with_aliases,
            replaces: None,
            members: &|other| self.there(other).unwrap_or_default(),
        };
        let mut warnings = Vec::new();
        let request = container.request(&mut |text| warnings.push(text))?;
        Ok((request, warnings))
    }
}
