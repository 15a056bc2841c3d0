//! `import`: an image of a root filesystem that is read from a file, from standard input or from where a URL leads.

use std::io::Read;

use serde_json::Map;

use super::super::request::{ConfigChange, ImportRequest, ImportSource};
use super::super::worker::RoleFailure;
use super::super::{Engine, EngineError};
use super::room::length;
use super::{open, unpack_options};
use crate::container::Event;
use crate::image::{self, ImportOptions, Imported, Platform, Reference};
use crate::registry::{self, Progress, RegistryError};

impl Engine {
    /// Makes an image of a root filesystem. What is downloaded is unpacked while it comes.
    pub fn import_image(
        &self,
        request: &ImportRequest,
        progress: &dyn Progress,
    ) -> Result<Imported, EngineError> {
        let store = self.images()?;
        let platform = match &request.platform {
            Some(text) => text.parse()?,
            None => Platform::host(),
        };
        registry::admit_unsigned(&self.config.policy, request.reference.as_ref())
            .map_err(RegistryError::from)?;
        let mut config = Map::new();
        ConfigChange::apply_all(&request.changes, &mut config);
        let registries = self.registry_config()?;
        let role = match &request.source {
            ImportSource::Archive(_) => "worker",
            ImportSource::Url(_) => "transfer",
        };
        let imported: Imported = self.in_home(role, || {
            let (archive, source): (Box<dyn Read + Send>, String) = match &request.source {
                ImportSource::Archive(input) => {
                    let (file, source) = open(input)?;
                    self.make_room(&store, length(input))?;
                    (Box::new(file), source)
                }
                ImportSource::Url(url) => {
                    let download = registry::download(url, &registries, progress);
                    let download =
                        download.map_err(|error| RoleFailure::of(&error, error.hints()))?;
                    let source = download.url.clone();
                    (Box::new(download), source)
                }
            };
            let options = ImportOptions {
                source,
                message: request.message.clone(),
                platform,
                config,
                unpack: unpack_options(),
            };
            let imported = image::import(&store, archive, request.reference.as_ref(), &options)
                .map_err(|error| RoleFailure::of(&error, Vec::new()))?;
            self.make_room_beside(&store, [imported.id.clone()]);
            Ok(imported)
        })?;
        let name = request.reference.as_ref().map(Reference::familiar);
        let name = name.unwrap_or_else(|| imported.id.to_string());
        self.emit(&Event::image(imported.id.as_str(), &name, "import"));
        Ok(imported)
    }
}
