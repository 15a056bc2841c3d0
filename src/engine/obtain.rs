//! An image for a container: from the store, from the program itself, or from a registry, as the pull policy says.

use super::pull::{self, PullOutcome, PullRequest};
use super::request::{CreateRequest, PullPolicy};
use super::worker::RoleFailure;
use super::{Engine, EngineError};
use crate::container::Event;
use crate::image::{Image, ImageError, Platform, Reference, install_builtin};
use crate::registry::{Progress, RegistryConfig, RegistryError};
use crate::runtime::embedded::HELLO;
use crate::runtime::home;

/// The name of the image embedded in the program, which no registry is asked for.
const BUILTIN: &str = "docker.io/library/hello:latest";
/// Docker's: asked for at the registry, and answered by the embedded one where there is no reaching it.
const BUILTIN_FALLBACK: &str = "docker.io/library/hello-world:latest";

impl Engine {
    /// The image that `create` and `run` name, if there is nothing to fetch for it.
    pub fn at_hand(&self, request: &CreateRequest) -> Result<Option<Image>, EngineError> {
        let found = match self.images()?.resolve(&request.image) {
            Err(ImageError::Unknown { .. }) => return Ok(None),
            found => found?,
        };
        let enough = match request.pull {
            PullPolicy::Missing => fits(&found, request)?,
            PullPolicy::Never => true,
            _ => false,
        };
        Ok(enough.then_some(found))
    }

    /// The image that `create` and `run` name. `note` is told what is not found and fetched.
    pub fn obtain(
        &self,
        request: &CreateRequest,
        progress: &dyn Progress,
        note: &mut dyn FnMut(&str),
    ) -> Result<Image, EngineError> {
        let store = self.images()?;
        let found = match store.resolve(&request.image) {
            Err(error @ ImageError::Unknown { .. }) => Err(error),
            found => Ok(found?),
        };
        let here = found.is_ok();
        tracing::debug!(image = request.image, here, policy = %request.pull, "look for the image");
        let missing = match (found, request.pull) {
            (Ok(image), PullPolicy::Missing) if fits(&image, request)? => return Ok(image),
            (Ok(image), PullPolicy::Never) => return Ok(image),
            (Err(error), PullPolicy::Never) => Some(error),
            _ => None,
        };
        if let Some(error) = missing {
            return Err(error.into());
        }
        let reference: Reference = request.image.parse().map_err(ImageError::Reference)?;
        if reference.to_string() == BUILTIN {
            self.install_builtin(&reference)?;
            return Ok(store.resolve_reference(&reference)?);
        }
        let said = |line: String, note: &mut dyn FnMut(&str)| {
            if !request.quiet_pull {
                note(&line);
            }
        };
        if !here {
            let name = reference.familiar();
            said(format!("Unable to find image '{name}' locally"), note);
        }
        let outcome = self.pull(&reference, request.platform.clone(), progress)?;
        for warning in &outcome.warnings {
            note(&format!("WARNING: {warning}"));
        }
        for line in outcome.summary(&reference) {
            said(line, note);
        }
        Ok(store.resolve_reference(&reference)?)
    }

    fn install_builtin(&self, reference: &Reference) -> Result<(), EngineError> {
        let store = self.images()?;
        let names = [reference.clone()];
        self.in_home("worker", || {
            let installed = install_builtin(&store, &names, HELLO);
            installed
                .map(drop)
                .map_err(|error| RoleFailure::of(&error, Vec::new()))
        })
    }

    /// Brings an image from its registry into the store, in a role of its own.
    pub fn pull(
        &self,
        reference: &Reference,
        platform: Option<String>,
        progress: &dyn Progress,
    ) -> Result<PullOutcome, EngineError> {
        let store = self.images()?;
        let config = self.registry_config();
        let outcome: PullOutcome = self.in_home("transfer", || {
            let single_id = home::is_single_id();
            let request = PullRequest {
                reference: reference.clone(),
                platform,
                single_id,
            };
            match pull::pull(&store, &request, &config, progress) {
                Err(pull::PullError::Registry(error))
                    if is_out_of_reach(&error) && reference.to_string() == BUILTIN_FALLBACK =>
                {
                    let id = install_builtin(&store, std::slice::from_ref(reference), HELLO);
                    let id = id.map_err(|error| RoleFailure::of(&error, Vec::new()))?;
                    progress.note(&format!("{error}; using the image embedded in bryo"));
                    Ok(PullOutcome {
                        digest: id.clone(),
                        id,
                        up_to_date: false,
                        warnings: Vec::new(),
                    })
                }
                pulled => pulled.map_err(|error| RoleFailure::of(&error, error.hints())),
            }
        })?;
        let name = reference.familiar();
        self.emit(&Event::image(name.as_str(), &name, "pull"));
        Ok(outcome)
    }

    /// What the configuration and docker's own files say of registries.
    fn registry_config(&self) -> RegistryConfig {
        RegistryConfig {
            docker_config: self.docker_config(),
            ..RegistryConfig::new(&self.config, &self.paths)
        }
    }
}

/// Whether an image of the store is for the platform that was asked for.
fn fits(image: &Image, request: &CreateRequest) -> Result<bool, EngineError> {
    let Some(text) = &request.platform else {
        return Ok(true);
    };
    let wanted: Platform = text
        .parse()
        .map_err(|source| EngineError::Platform { source })?;
    let own = Platform {
        os: image.config.os().to_string(),
        architecture: image.config.architecture().to_string(),
        variant: image.config.variant().clone(),
    };
    Ok(wanted.rank(&own).is_some())
}

fn is_out_of_reach(error: &RegistryError) -> bool {
    matches!(
        error,
        RegistryError::UnknownHost { .. }
            | RegistryError::Connect { .. }
            | RegistryError::Timeout { .. }
            | RegistryError::Broken { .. }
            | RegistryError::Unavailable { .. }
            | RegistryError::Tls { .. }
    )
}
