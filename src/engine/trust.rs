//! Whether the policy lets an image be used: asked whenever one of the store is about to be run, and before an archive is loaded.

use super::{Engine, EngineError};
use crate::config::Policy;
use crate::image::{Image, Reference, Store};
use crate::registry::{self, KeptSignatures, RegistryError, TrustError};

impl Engine {
    /// The image, if its policy lets it be used under the name that was typed, or, asked for by its id, under one it has.
    pub(super) fn admitted(
        &self,
        store: &Store,
        image: Image,
        text: &str,
    ) -> Result<Image, EngineError> {
        let policy = &self.config.policy;
        if policy.is_empty() {
            return Ok(image);
        }
        let typed: Option<Reference> = text.parse().ok();
        let is_typed = |name: &Reference| {
            let typed = typed.as_ref();
            typed.is_some_and(|typed| typed.name() == name.name())
        };
        let by_name = image.names.iter().any(is_typed);
        let names: Vec<Option<&Reference>> = match (&typed, image.names.is_empty()) {
            (Some(typed), _) if by_name => vec![Some(typed)],
            (_, true) => vec![None],
            (_, false) => image.names.iter().map(Some).collect(),
        };
        // What cannot be read is as good as absent: it lets nobody in.
        let kept = store.signatures(&image.manifest)?;
        let kept: KeptSignatures = kept
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let mut refusal: Option<TrustError> = None;
        for name in names {
            match registry::judge_kept(policy, name, &kept, &self.paths.cache) {
                Ok(()) => return Ok(image),
                Err(error) => {
                    refusal.get_or_insert(error);
                }
            }
        }
        match refusal {
            Some(error) => Err(RegistryError::from(error).into()),
            None => Ok(image),
        }
    }
}

/// An archive's image, by each of its names.
pub(super) fn admit_unsigned(
    policy: &Policy,
    names: &[Reference],
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    if names.is_empty() {
        registry::admit_unsigned(policy, None)?;
    }
    for name in names {
        registry::admit_unsigned(policy, Some(name))?;
    }
    Ok(())
}
