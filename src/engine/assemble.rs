//! `imagetools create`: an index of what registries have, put together from images and other indexes, attestations and all. Asks only
//! registries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::manifests::{OfIndex, as_index, failure, fetched, member_of, members_of};
use super::worker::RoleFailure;
use super::{Engine, EngineError};
use crate::image::{Digest, ManifestList, Member, MemberPlatform, Platform, Reference};
use crate::registry::{self, ListMember, ListToPush, Progress, RegistryConfig};

/// What an index is to be made of.
#[derive(Clone, Debug, Default)]
pub struct AssembleRequest {
    /// Images and indexes, in the order of what comes of them.
    pub sources: Vec<Wanted>,
    /// Only these, with what is said of them; empty: all.
    pub platforms: Vec<Platform>,
    /// A single image gets an index around it; else it stays what it is.
    pub prefer_index: bool,
    /// Of the index.
    pub annotations: BTreeMap<String, String>,
    /// Of entries: of one platform, or of all.
    pub of_entries: Vec<(Option<Platform>, String, String)>,
}

/// An image or index, and what its entry is to say of an image.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub reference: Reference,
    /// Instead of what its configuration says.
    pub platform: Option<MemberPlatform>,
    pub annotations: BTreeMap<String, String>,
}

impl Wanted {
    pub fn of(reference: Reference) -> Wanted {
        Wanted {
            reference,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }

    fn say(&self, source: &mut Source) {
        if let (None, [member]) = (&source.whole, &mut source.members[..]) {
            if let Some(platform) = &self.platform {
                member.platform.clone_from(platform);
            }
            member.annotations.extend(self.annotations.clone());
        }
    }
}

/// A document with all that it names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Assembled {
    pub json: String,
    media_type: String,
    members: Vec<Member>,
}

/// An image, or an index with its bytes and media type.
#[derive(Serialize, Deserialize)]
struct Source {
    whole: Option<(String, String)>,
    members: Vec<Member>,
}

impl Engine {
    pub fn assemble(
        &self,
        name: &Reference,
        request: &AssembleRequest,
    ) -> Result<Assembled, EngineError> {
        let mut sources = Vec::new();
        for wanted in &request.sources {
            let reference = &wanted.reference;
            let config = self.registry_config_for(reference)?;
            let mut found = self.beside("transfer", || source(reference, &config))?;
            wanted.say(&mut found);
            sources.push(found);
        }
        Ok(request.join(name, sources))
    }

    /// Puts it under a name, after what it names.
    pub fn push_assembled(
        &self,
        assembled: &Assembled,
        target: &Reference,
        progress: &dyn Progress,
    ) -> Result<Digest, EngineError> {
        let members = assembled.members.iter().map(|member| ListMember {
            reference: member.reference.clone(),
            bytes: member.manifest.clone().into_bytes(),
            media_type: member.media_type.clone(),
        });
        let to_push = ListToPush {
            bytes: assembled.json.clone().into_bytes(),
            media_type: assembled.media_type.clone(),
            members: members.collect(),
            blobs: Vec::new(),
        };
        let config = self.registry_config_for(target)?;
        self.beside("transfer", || {
            let pushed = registry::push_list(&to_push, target, &config, progress);
            pushed.map_err(|error| failure(&error))
        })
    }
}

fn source(reference: &Reference, config: &RegistryConfig) -> Result<Source, RoleFailure> {
    let document = fetched(reference, config)?;
    let Some(index) = as_index(reference, &document)? else {
        let name = reference.with_digest(document.digest.clone());
        return Ok(Source {
            whole: None,
            members: vec![member_of(name, document, None)?],
        });
    };
    let members = members_of(reference, &index, OfIndex::All, config)?;
    let text = String::from_utf8_lossy(&document.bytes).into_owned();
    Ok(Source {
        whole: Some((text, document.media_type)),
        members,
    })
}

impl AssembleRequest {
    fn is_plain(&self) -> bool {
        self.platforms.is_empty() && self.annotations.is_empty() && self.of_entries.is_empty()
    }

    fn join(&self, name: &Reference, mut sources: Vec<Source>) -> Assembled {
        if let ([only], true) = (&mut sources[..], self.is_plain()) {
            // What is there already keeps its digest.
            if let Some((json, media_type)) = only.whole.take() {
                return Assembled {
                    json,
                    media_type,
                    members: std::mem::take(&mut only.members),
                };
            }
            if let ([member], false) = (&only.members[..], self.prefer_index) {
                return Assembled {
                    json: member.manifest.clone(),
                    media_type: member.media_type.clone(),
                    members: vec![member.clone()],
                };
            }
        }
        let mut list = ManifestList::new(name.clone());
        list.annotations.clone_from(&self.annotations);
        let members = sources.into_iter().flat_map(|source| source.members);
        members.for_each(|member| list.put(member));
        self.keep_wanted(&mut list);
        for (platform, key, value) in &self.of_entries {
            for member in &mut list.members {
                if platform
                    .as_ref()
                    .is_none_or(|platform| is_for(member, platform))
                {
                    member.annotations.insert(key.clone(), value.clone());
                }
            }
        }
        Assembled {
            json: String::from_utf8_lossy(&list.to_json()).into_owned(),
            media_type: list.media_type().to_owned(),
            members: list.members,
        }
    }

    fn keep_wanted(&self, list: &mut ManifestList) {
        if self.platforms.is_empty() {
            return;
        }
        let is_wanted = |member: &Member| {
            self.platforms
                .iter()
                .any(|platform| is_for(member, platform))
        };
        let kept: Vec<String> = list
            .members
            .iter()
            .filter(|member| is_wanted(member))
            .map(|member| member.digest().to_string())
            .collect();
        list.members.retain(|member| {
            let about = member.about().map(str::to_owned);
            kept.contains(&about.unwrap_or_else(|| member.digest().to_string()))
        });
    }
}

fn is_for(member: &Member, platform: &Platform) -> bool {
    let of_member = &member.platform;
    let variant = platform.variant.as_deref().unwrap_or_default();
    of_member.os == platform.os
        && of_member.architecture == platform.architecture
        // arm64 has one variant, which is often left out.
        && (of_member.variant == variant || platform.architecture == "arm64")
}
