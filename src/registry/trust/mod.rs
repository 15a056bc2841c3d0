//! Whether an image may come in and be used: what the policy demands of its name, and whose signatures there are of it. What
//! cannot be read, fetched or understood is no signature; nothing that fails lets an image in.

mod cosign;
mod gpg;
mod payload;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::auth::Session;
use super::config::RegistryConfig;
use super::endpoint::Endpoint;
use super::error::RegistryError;
use crate::config::{Policy, PolicyRule};
use crate::image::{Digest, Reference};
use payload::SignatureFault;

/// A signature that has counted once: kept with the image, so that it can be asked again whenever the image is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Evidence {
    /// What was signed, and the signature in base64, both as the registry had them.
    Cosign { payload: String, signature: String },
    /// An OpenPGP message, in base64.
    Gpg { message: String },
}

/// What is kept of an image's signatures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSignatures {
    /// What they may be of: the image's manifest, and the index that named it.
    pub digests: Vec<Digest>,
    pub evidence: Vec<Evidence>,
}

#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("{image} is refused: the policy of {scope} is \"reject\"")]
    Rejected { image: String, scope: String },
    #[error("{image} is refused: the policy of {scope} demands a signature, and {why}")]
    Unsigned {
        image: String,
        scope: String,
        why: String,
    },
    #[error("{image} is refused: the policy of {scope} demands a signature: key {path}: {reason}")]
    Key {
        image: String,
        scope: String,
        path: PathBuf,
        reason: String,
    },
    #[error("{image} is refused: the policy of {scope} demands a signature: {reason}")]
    Unreadable {
        image: String,
        scope: String,
        reason: String,
    },
}

/// What one image has to meet.
struct Demand {
    scope: String,
    rule: PolicyRule,
}

impl Demand {
    fn unreadable(&self, image: &str, reason: impl ToString) -> TrustError {
        TrustError::Unreadable {
            image: image.to_owned(),
            scope: self.scope.clone(),
            reason: reason.to_string(),
        }
    }
}

/// The policy's demand on a name; an error where it lets nobody in.
fn demand_of(policy: &Policy, reference: Option<&Reference>) -> Result<Demand, TrustError> {
    let name = reference.map(Reference::name);
    let (scope, rule) = policy.of(name.as_deref());
    match rule {
        PolicyRule::Reject => Err(TrustError::Rejected {
            image: shown(reference),
            scope: scope.to_owned(),
        }),
        rule => Ok(Demand {
            scope: scope.to_owned(),
            rule: rule.clone(),
        }),
    }
}

fn shown(reference: Option<&Reference>) -> String {
    reference.map_or("an image without a name".to_owned(), Reference::familiar)
}

/// The policy's demand, and that of the command line.
fn demands(config: &RegistryConfig, reference: &Reference) -> Result<Vec<Demand>, TrustError> {
    let mut demands = vec![demand_of(&config.policy, Some(reference))?];
    if let Some(key) = &config.access.signed_by {
        demands.push(Demand {
            scope: "--verify-signature".to_owned(),
            rule: PolicyRule::Cosign {
                keys: vec![key.clone()],
            },
        });
    }
    Ok(demands)
}

/// Refuses what no signature could help, before anything is asked for.
pub(super) fn refuse_rejected(
    config: &RegistryConfig,
    reference: &Reference,
) -> Result<(), RegistryError> {
    demands(config, reference)
        .map(drop)
        .map_err(RegistryError::from)
}

/// Whether nothing at all is demanded of a name.
pub fn is_accepted(config: &RegistryConfig, reference: &Reference) -> bool {
    let demands = demands(config, reference).unwrap_or_default();
    let mut rules = demands.iter().map(|demand| &demand.rule);
    !demands.is_empty() && rules.all(|rule| *rule == PolicyRule::Accept)
}

/// Lets an image in that a registry has, or not: its signatures are fetched from where the demand says. `digests` are those of
/// its manifest and of the index that named it.
pub(super) fn admit(
    session: &Session<'_>,
    endpoint: &Endpoint,
    reference: &Reference,
    digests: &[Digest],
) -> Result<KeptSignatures, RegistryError> {
    let config = session.exchange().config();
    // The manifest and what named it are often the same.
    let distinct = digests.iter().enumerate();
    let distinct = distinct.filter(|(at, digest)| !digests[..*at].contains(digest));
    let distinct: Vec<Digest> = distinct.map(|(_, digest)| digest.clone()).collect();
    let mut kept = KeptSignatures {
        digests: digests.to_vec(),
        evidence: Vec::new(),
    };
    for demand in demands(config, reference).map_err(RegistryError::from)? {
        let found = match &demand.rule {
            PolicyRule::Accept => continue,
            PolicyRule::Cosign { .. } => cosign::fetch(session, endpoint, reference, &distinct)?,
            PolicyRule::Gpg { lookaside, .. } => {
                let found = gpg::fetch(session.exchange(), lookaside, reference, &distinct);
                found.map_err(|reason| {
                    RegistryError::from(demand.unreadable(&reference.familiar(), reason))
                })?
            }
            PolicyRule::Reject => Vec::new(),
        };
        let scratch = config.cache.as_deref();
        let good =
            judge(&demand, reference, digests, &found, scratch).map_err(RegistryError::from)?;
        kept.evidence.push(good);
    }
    Ok(kept)
}

impl From<TrustError> for RegistryError {
    fn from(error: TrustError) -> RegistryError {
        RegistryError::Untrusted(Box::new(error))
    }
}

/// Whether an image of the store may be used under a name, with what was kept of its signatures.
pub fn judge_kept(
    policy: &Policy,
    reference: Option<&Reference>,
    kept: &KeptSignatures,
    scratch: &Path,
) -> Result<(), TrustError> {
    let demand = demand_of(policy, reference)?;
    match (&demand.rule, reference) {
        (PolicyRule::Accept, _) => Ok(()),
        (_, Some(reference)) => {
            let KeptSignatures { digests, evidence } = kept;
            judge(&demand, reference, digests, evidence, Some(scratch)).map(drop)
        }
        (_, None) => Err(TrustError::Unsigned {
            image: shown(None),
            scope: demand.scope,
            why: "it has no name that one could be of".to_owned(),
        }),
    }
}

/// Whether something may come in that brings no signatures: an archive.
pub fn admit_unsigned(policy: &Policy, reference: Option<&Reference>) -> Result<(), TrustError> {
    let demand = demand_of(policy, reference)?;
    match demand.rule {
        PolicyRule::Accept => Ok(()),
        _ => Err(TrustError::Unsigned {
            image: shown(reference),
            scope: demand.scope,
            why: "an archive has none".to_owned(),
        }),
    }
}

/// The keys of a demand, read.
enum Verifier {
    Cosign(cosign::Keys),
    Gpg(gpg::Keyring),
}

impl Verifier {
    fn verify(
        &self,
        evidence: &Evidence,
        reference: &Reference,
        digests: &[Digest],
    ) -> Result<(), SignatureFault> {
        match self {
            Verifier::Cosign(keys) => keys.verify(evidence, reference, digests),
            Verifier::Gpg(ring) => ring.verify(evidence, reference, digests),
        }
    }
}

/// The first signature that counts.
fn judge(
    demand: &Demand,
    reference: &Reference,
    digests: &[Digest],
    found: &[Evidence],
    scratch: Option<&Path>,
) -> Result<Evidence, TrustError> {
    let image = reference.familiar();
    let key_fault = |(path, reason): (PathBuf, String)| TrustError::Key {
        image: image.clone(),
        scope: demand.scope.clone(),
        path,
        reason,
    };
    let keys = match &demand.rule {
        PolicyRule::Cosign { keys } => {
            Verifier::Cosign(cosign::Keys::read(keys).map_err(key_fault)?)
        }
        PolicyRule::Gpg { keys, .. } => {
            let ring = gpg::Keyring::new(scratch).map_err(|r| demand.unreadable(&image, r))?;
            ring.import(keys).map_err(key_fault)?;
            Verifier::Gpg(ring)
        }
        PolicyRule::Accept | PolicyRule::Reject => {
            return Err(demand.unreadable(&image, "it is of no kind that signatures have"));
        }
    };
    let mut faults: Vec<String> = Vec::new();
    for evidence in found {
        match keys.verify(evidence, reference, digests) {
            Ok(()) => return Ok(evidence.clone()),
            Err(fault) => faults.push(fault.to_string()),
        }
    }
    faults.dedup();
    Err(TrustError::Unsigned {
        why: match faults.is_empty() {
            true => "there is none".to_owned(),
            false => format!("none counts: {}", faults.join("; ")),
        },
        image,
        scope: demand.scope.clone(),
    })
}
