//! An image for a container: from the store, from the program itself, or from a registry, as the pull policy says.

use super::arriving::{Arriving, PulledImage, Said};
use super::pull::{self, PullOutcome, PullRequest};
use super::remove::users_of;
use super::request::{CreateRequest, PullPolicy};
use super::worker::RoleFailure;
use super::{Engine, EngineError};
use crate::config::{KeepBlobs, ShortNames};
use crate::container::{Containers, Event};
use crate::image::{Digest, Image, ImageError, Platform, Reference, Store, install_builtin};
use crate::registry::{self, Progress, RegistryConfig, RegistryError, Rules};
use crate::runtime::embedded::HELLO;
use crate::runtime::home;

/// The name of the image embedded in the program, which no registry is asked for.
const BUILTIN: &str = "docker.io/library/hello:latest";
/// Docker's: asked for at the registry, and answered by the embedded one where there is no reaching it.
const BUILTIN_FALLBACK: &str = "docker.io/library/hello-world:latest";

/// What the embedded image is usually called.
pub const BUILTIN_WORDS: [&str; 2] = ["hello", "hello-world"];

/// Where an image is.
pub enum Sought {
    Here(Box<Image>),
    Elsewhere(Elsewhere),
}

/// An image that is with a registry.
pub struct Elsewhere {
    /// What its name may stand for, likeliest first; never empty.
    candidates: Vec<Reference>,
    platform: Option<String>,
    /// There is none of this name in the store.
    is_unknown: bool,
}

impl Engine {
    /// The image that `create` and `run` name, if there is nothing to fetch for it.
    pub fn at_hand(&self, request: &CreateRequest) -> Result<Option<Image>, EngineError> {
        let found = match here_for(&self.images()?, request)? {
            Err(ImageError::Unknown { .. }) => return Ok(None),
            found => found?,
        };
        let enough = match request.pull {
            PullPolicy::Missing => fits(&found, request)?,
            PullPolicy::Never => true,
            _ => false,
        };
        match enough {
            true => self
                .admitted(&self.images()?, found, &request.image)
                .map(Some),
            false => Ok(None),
        }
    }

    /// The image that `create` and `run` name. `note` is told what is not found and fetched.
    pub fn obtain(
        &self,
        request: &CreateRequest,
        progress: &dyn Progress,
        note: &mut dyn FnMut(&str),
    ) -> Result<Image, EngineError> {
        let elsewhere = match self.look_for(request)? {
            Sought::Here(image) => return Ok(*image),
            Sought::Elsewhere(elsewhere) => elsewhere,
        };
        let said = |line: String, note: &mut dyn FnMut(&str)| {
            if !request.quiet_pull {
                note(&line);
            }
        };
        let mut candidates = elsewhere.candidates;
        let reference = candidates.remove(0);
        if elsewhere.is_unknown {
            let name = reference.familiar();
            said(format!("Unable to find image '{name}' locally"), note);
        }
        let platform = &request.platform;
        let (reference, outcome) = self.pull_any(reference, candidates, platform, progress)?;
        for warning in &outcome.warnings {
            note(&format!("WARNING: {warning}"));
        }
        for line in outcome.summary(&reference) {
            said(line, note);
        }
        self.arrived(&reference)
    }

    /// Where the image is that a request names: in the store, in the program itself, or with a registry.
    pub fn look_for(&self, request: &CreateRequest) -> Result<Sought, EngineError> {
        let store = self.images()?;
        let here = |image| {
            let admitted = self.admitted(&store, image, &request.image)?;
            Ok(Sought::Here(Box::new(admitted)))
        };
        let found = match here_for(&store, request)? {
            Err(error @ ImageError::Unknown { .. }) => {
                self.resolve_short(&store, request, error)?
            }
            found => Ok(found?),
        };
        let is_unknown = found.is_err();
        tracing::debug!(image = request.image, is_unknown, policy = %request.pull, "look for the image");
        match (found, request.pull) {
            (Ok(image), PullPolicy::Missing) if fits(&image, request)? => return here(image),
            (Ok(image), PullPolicy::Never) => return here(image),
            (Err(error), PullPolicy::Never) => return Err(error.into()),
            // The id of an image of this store, and no repository anywhere.
            (Err(error), _) if request.image.parse::<Digest>().is_ok() => return Err(error.into()),
            _ => {}
        }
        let candidates = self.stands_for(&request.image)?;
        if candidates[0].to_string() == BUILTIN {
            self.install_builtin(&candidates[0])?;
            return here(store.resolve_reference(&candidates[0])?);
        }
        Ok(Sought::Elsewhere(Elsewhere {
            candidates,
            platform: request.platform.clone(),
            is_unknown,
        }))
    }

    /// An image that was just pulled.
    fn arrived(&self, reference: &Reference) -> Result<Image, EngineError> {
        let store = self.images()?;
        let image = store.resolve_reference(reference)?;
        self.admitted(&store, image, &reference.to_string())
    }

    /// Pulls without waiting, so that several come at once.
    pub fn begin_pull(&self, elsewhere: &Elsewhere) -> Result<Arriving, EngineError> {
        let mut transfers = Vec::new();
        for reference in &elsewhere.candidates {
            let platform = elsewhere.platform.clone();
            transfers.push(self.transfer_of(reference, platform, false)?);
        }
        let containers = self.containers.clone();
        let job = self.start_saying_in_home("transfer", |saying| {
            let said = Said::new(saying);
            let mut before: Option<RoleFailure> = None;
            for transfer in &transfers {
                let reference = &transfer.reference;
                if let Some(failure) = before.take() {
                    said.note(&format!("{failure}, trying {}", reference.familiar()));
                }
                match transfer.perform(&containers, &said) {
                    Ok(outcome) => return Ok(PulledImage::new(reference, outcome)),
                    Err(failure) => before = Some(failure),
                }
            }
            Err(before.expect("a name stands for something"))
        })?;
        Ok(Arriving::new(job))
    }

    /// The image that a pull has brought.
    pub fn take_pulled(&self, pulled: &PulledImage) -> Result<Image, EngineError> {
        let PulledImage { reference, .. } = pulled;
        let name = reference.familiar();
        self.emit(&Event::image(name.as_str(), &name, "pull"));
        self.arrived(reference)
    }

    /// What an image's name may stand for, likeliest first; never empty.
    pub fn stands_for(&self, text: &str) -> Result<Vec<Reference>, EngineError> {
        let rules = match self.config.short_names {
            ShortNames::Docker => Rules::default(),
            ShortNames::Containers => Rules::from_environment()?,
        };
        Ok(registry::candidates(text, &rules).map_err(ImageError::Reference)?)
    }

    /// An image of the store under what a short name stands for. `unknown` where there is none.
    fn resolve_short(
        &self,
        store: &Store,
        request: &CreateRequest,
        unknown: ImageError,
    ) -> Result<Result<Image, ImageError>, EngineError> {
        if self.config.short_names == ShortNames::Docker {
            return Ok(Err(unknown));
        }
        for reference in self.stands_for(&request.image)? {
            match store.resolve_reference(&reference) {
                Err(ImageError::Unknown { .. }) => {}
                found => return Ok(Ok(found?)),
            }
        }
        Ok(Err(unknown))
    }

    /// Pulls the first of several that can be pulled; of the others it is said why not.
    pub fn pull_any(
        &self,
        first: Reference,
        others: Vec<Reference>,
        platform: &Option<String>,
        progress: &dyn Progress,
    ) -> Result<(Reference, PullOutcome), EngineError> {
        let mut reference = first;
        for next in others {
            match self.pull(&reference, platform.clone(), progress) {
                Ok(outcome) => return Ok((reference, outcome)),
                Err(error @ EngineError::Interrupted { .. }) => return Err(error),
                Err(error) => {
                    let name = reference.familiar();
                    progress.note(&format!("{name}: {error}, trying {}", next.familiar()));
                }
            }
            reference = next;
        }
        let outcome = self.pull(&reference, platform.clone(), progress)?;
        Ok((reference, outcome))
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
        self.transfer(reference, platform, false, progress)
    }

    /// Brings the images for every platform of an index. This host's gets the name; the others have only their digests, by
    /// which `run --platform` cannot mistake them for it. Gives what the reference itself came to.
    pub fn pull_all_platforms(
        &self,
        reference: &Reference,
        progress: &dyn Progress,
    ) -> Result<PullOutcome, EngineError> {
        let mut warnings = Vec::new();
        for digest in self.remote_platforms(reference)? {
            let one = reference.with_digest(digest);
            let outcome = self.transfer(&one, None, true, progress)?;
            warnings.extend(outcome.warnings);
        }
        let mut outcome = self.transfer(reference, None, false, progress)?;
        warnings.append(&mut outcome.warnings);
        warnings.dedup();
        Ok(PullOutcome {
            warnings,
            ..outcome
        })
    }

    fn transfer(
        &self,
        reference: &Reference,
        platform: Option<String>,
        any_platform: bool,
        progress: &dyn Progress,
    ) -> Result<PullOutcome, EngineError> {
        let transfer = self.transfer_of(reference, platform, any_platform)?;
        let containers = self.containers.clone();
        let outcome: PullOutcome =
            self.in_home("transfer", || transfer.perform(&containers, progress))?;
        let name = reference.familiar();
        self.emit(&Event::image(name.as_str(), &name, "pull"));
        Ok(outcome)
    }

    fn transfer_of(
        &self,
        reference: &Reference,
        platform: Option<String>,
        any_platform: bool,
    ) -> Result<Transfer, EngineError> {
        Ok(Transfer {
            store: self.images()?,
            config: self.registry_config_for(reference)?,
            reference: reference.clone(),
            platform,
            any_platform,
            max: self.config.storage_max.bytes,
            keep_blobs: self.config.keep_blobs == KeepBlobs::Always,
        })
    }
}

/// One pull, with all that its role needs.
struct Transfer {
    store: Store,
    config: RegistryConfig,
    reference: Reference,
    platform: Option<String>,
    any_platform: bool,
    max: Option<u64>,
    keep_blobs: bool,
}

impl Transfer {
    /// In the home namespace.
    fn perform(
        &self,
        containers: &Containers,
        progress: &dyn Progress,
    ) -> Result<PullOutcome, RoleFailure> {
        let Transfer {
            store,
            config,
            reference,
            ..
        } = self;
        let request = PullRequest {
            reference: reference.clone(),
            platform: self.platform.clone(),
            any_platform: self.any_platform,
            single_id: home::is_single_id(),
            max: self.max,
            keep_blobs: self.keep_blobs,
        };
        let users = || users_of(containers);
        match pull::pull(store, &request, config, &users, progress) {
            Err(pull::PullError::Registry(error))
                if is_out_of_reach(&error)
                    && reference.to_string() == BUILTIN_FALLBACK
                    && registry::is_accepted(config, reference) =>
            {
                let id = install_builtin(store, std::slice::from_ref(reference), HELLO);
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
    }
}

/// The image of the store that a request names, for the platform that it names.
fn here_for(
    store: &Store,
    request: &CreateRequest,
) -> Result<Result<Image, ImageError>, EngineError> {
    let wanted: Option<Platform> = request.platform.as_deref().map(str::parse).transpose()?;
    Ok(store.resolve_for(&request.image, wanted.as_ref()))
}

/// Whether an image of the store is for the platform that was asked for.
fn fits(image: &Image, request: &CreateRequest) -> Result<bool, EngineError> {
    let Some(text) = &request.platform else {
        return Ok(true);
    };
    let wanted: Platform = text.parse()?;
    Ok(wanted.rank(&Platform::of_config(&image.config)).is_some())
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
