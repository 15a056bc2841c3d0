//! `manifest`: lists of manifests that are put together here, from what registries have, and pushed there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::push::{PushOutcome, PushRequest};
use super::worker::RoleFailure;
use super::{Engine, EngineError};
use crate::image::{
    Attestation, Digest, Document, ImageError, Index, ListError, ManifestList, ManifestLists,
    Member, MemberPlatform, Platform, Reference, media_type,
};
use crate::registry::{
    self, ListMember, ListToPush, Progress, PushOptions, RegistryConfig, RegistryError,
    RemoteDocument, Silent,
};

/// What a list's entry says of its manifest besides what the image says itself.
#[derive(Clone, Debug, Default)]
pub struct MemberWords {
    pub os: Option<String>,
    pub architecture: Option<String>,
    pub os_version: Option<String>,
    pub os_features: Vec<String>,
    pub variant: Option<String>,
    pub annotations: BTreeMap<String, String>,
}

/// Which manifests are added of something that is an index itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfIndex {
    /// docker's: an index is refused.
    Nothing,
    /// podman's: the one for this host.
    Host,
    All,
}

/// What `manifest inspect` found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ManifestView {
    One(Box<Member>),
    List {
        json: String,
        /// Empty unless they were asked for.
        members: Vec<Member>,
    },
}

impl Engine {
    /// Makes a list of what registries have under these names.
    pub fn create_manifest_list(
        &self,
        name: &Reference,
        members: &[Reference],
        amend: bool,
    ) -> Result<(), EngineError> {
        let lists = ManifestLists::new(&self.paths);
        if !amend && lists.get(name)?.is_some() {
            return Err(ListError::Exists.into());
        }
        let mut found = Vec::new();
        for reference in members {
            found.extend(self.members(reference, OfIndex::Nothing)?);
        }
        lists.change(name, |list| {
            if list.is_some() && !amend {
                return Err(ListError::Exists);
            }
            let mut list = list.unwrap_or_else(|| ManifestList::new(name.clone()));
            found.into_iter().for_each(|member| list.put(member));
            Ok((list, ()))
        })?;
        Ok(())
    }

    /// Adds one more to a list that there is.
    pub fn add_to_manifest_list(
        &self,
        name: &Reference,
        reference: &Reference,
        of_index: OfIndex,
        words: &MemberWords,
    ) -> Result<(), EngineError> {
        let lists = ManifestLists::new(&self.paths);
        if lists.get(name)?.is_none() {
            return Err(unknown(name));
        }
        let mut found = self.members(reference, of_index)?;
        for member in &mut found {
            words.apply(member)?;
        }
        lists.change_known(name, |list| {
            found.into_iter().for_each(|member| list.put(member));
            Ok(())
        })?;
        Ok(())
    }

    /// Changes what a list says of one of its manifests.
    pub fn annotate_manifest(
        &self,
        name: &Reference,
        reference: &Reference,
        words: &MemberWords,
    ) -> Result<(), EngineError> {
        ManifestLists::new(&self.paths).change_known(name, |list| {
            let member = list.members.iter_mut().find(|member| member.is(reference));
            let member = member.ok_or_else(|| no_member(name, reference))?;
            words.apply(member)
        })?;
        Ok(())
    }

    pub fn remove_from_manifest_list(
        &self,
        name: &Reference,
        which: &str,
    ) -> Result<(), EngineError> {
        let digest: Option<Digest> = which.parse().ok();
        let reference: Option<Reference> = which.parse().ok();
        let is_meant = |member: &Member| match (&digest, &reference) {
            (Some(digest), _) => member.digest() == *digest,
            (None, Some(reference)) => member.is(reference),
            (None, None) => false,
        };
        ManifestLists::new(&self.paths).change_known(name, |list| {
            let before = list.members.len();
            list.members.retain(|member| !is_meant(member));
            match list.members.len() == before {
                true => Err(ListError::NoMember {
                    image: which.to_owned(),
                    list: name.to_string(),
                }),
                false => Ok(()),
            }
        })?;
        Ok(())
    }

    pub fn remove_manifest_list(&self, name: &Reference) -> Result<(), EngineError> {
        Ok(ManifestLists::new(&self.paths).remove(name)?)
    }

    pub fn manifest_list_exists(&self, name: &Reference) -> Result<bool, EngineError> {
        Ok(ManifestLists::new(&self.paths).get(name)?.is_some())
    }

    /// A manifest of a list, a list, or what a registry has; in this order.
    pub fn inspect_manifest(
        &self,
        list: Option<&Reference>,
        reference: &Reference,
        with_members: bool,
    ) -> Result<ManifestView, EngineError> {
        let lists = ManifestLists::new(&self.paths);
        if let Some(name) = list {
            let list = lists.get(name)?.ok_or_else(|| unknown(name))?;
            let mut members = list.members.into_iter();
            let member = members.find(|member| member.is(reference));
            let member = member.ok_or_else(|| no_member(name, reference))?;
            return Ok(ManifestView::One(Box::new(member)));
        }
        if let Some(list) = lists.get(reference)? {
            return Ok(ManifestView::List {
                json: String::from_utf8_lossy(&list.to_json()).into_owned(),
                members: list.members,
            });
        }
        let config = self.registry_config_for(reference)?;
        self.beside("transfer", || {
            let document = fetched(reference, &config)?;
            let Some(index) = as_index(reference, &document)? else {
                let member = member_of(reference.clone(), document, None)?;
                return Ok(ManifestView::One(Box::new(member)));
            };
            let members = match with_members {
                true => members_of(reference, &index, OfIndex::All, &config)?,
                false => Vec::new(),
            };
            Ok(ManifestView::List {
                json: text(reference, document.bytes)?,
                members,
            })
        })
    }

    /// Pushes a list with all that it names; gives its digest.
    pub fn push_manifest_list(
        &self,
        name: &Reference,
        destination: &Reference,
        progress: &dyn Progress,
    ) -> Result<Digest, EngineError> {
        let list = ManifestLists::new(&self.paths).get(name)?;
        let list = list.ok_or_else(|| unknown(name))?;
        self.push_list(&list, Vec::new(), destination, progress)
    }

    /// Pushes images of the store under their digests, and an index of them, and of what is said of them, under a name.
    pub fn push_index(
        &self,
        index: &Index,
        target: &Reference,
        options: &PushOptions,
        progress: &dyn Progress,
    ) -> Result<PushOutcome, EngineError> {
        let mut list = ManifestList::new(target.clone());
        list.annotations.clone_from(&index.annotations);
        let mut attestations = Vec::new();
        let mut blobs = Vec::new();
        let mut changed = Vec::new();
        for image in &index.images {
            let request = PushRequest {
                image: image.id.to_string(),
                target: target.clone(),
                options: PushOptions {
                    untagged: true,
                    ..*options
                },
                platform: None,
                manifest: Some(image.manifest.clone()),
            };
            let outcome = self.push(&request, progress)?;
            changed.extend(outcome.changed);
            let digest = outcome.digest;
            let pushed = format!("{}@{digest}", target.name()).parse();
            let pushed = pushed.map_err(ImageError::Reference)?;
            for mut member in self.members(&pushed, OfIndex::Nothing)? {
                member.annotations.clone_from(&image.annotations);
                list.put(member);
            }
            let said = &image.said;
            if !said.predicates.is_empty() {
                let attestation = Attestation::new(&said.predicates, &said.names, &digest);
                attestations.push(attesting(target, &attestation));
                blobs.extend(attestation.blobs);
            }
        }
        // BuildKit's order: first what can be run.
        attestations.into_iter().for_each(|member| list.put(member));
        let size = list.to_json().len() as u64;
        let digest = self.push_list(&list, blobs, target, progress)?;
        Ok(PushOutcome {
            digest,
            size,
            changed,
        })
    }

    fn push_list(
        &self,
        list: &ManifestList,
        blobs: Vec<Vec<u8>>,
        destination: &Reference,
        progress: &dyn Progress,
    ) -> Result<Digest, EngineError> {
        for member in &list.members {
            if member.platform.os.is_empty() || member.platform.architecture.is_empty() {
                let image = member.reference.to_string();
                return Err(ListError::NoPlatform { image }.into());
            }
        }
        let members = list.members.iter().map(|member| ListMember {
            reference: member.reference.clone(),
            bytes: member.manifest.clone().into_bytes(),
            media_type: member.media_type.clone(),
        });
        let to_push = ListToPush {
            bytes: list.to_json(),
            media_type: list.media_type().to_owned(),
            members: members.collect(),
            blobs,
        };
        let config = self.registry_config_for(destination)?;
        self.beside("transfer", || {
            let pushed = registry::push_list(&to_push, destination, &config, progress);
            pushed.map_err(|error| failure(&error))
        })
    }

    /// The manifests that a name stands for at its registry.
    fn members(
        &self,
        reference: &Reference,
        of_index: OfIndex,
    ) -> Result<Vec<Member>, EngineError> {
        let config = self.registry_config_for(reference)?;
        self.beside("transfer", || {
            let document = fetched(reference, &config)?;
            match as_index(reference, &document)? {
                None => Ok(vec![member_of(reference.clone(), document, None)?]),
                Some(_) if of_index == OfIndex::Nothing => Err(RoleFailure {
                    message: format!("{} is a manifest list", reference.familiar()),
                    hints: vec![format!("bryo manifest add LIST {}", reference.familiar())],
                }),
                Some(index) => members_of(reference, &index, of_index, &config),
            }
        })
    }

    /// The digests of an index's image manifests; of an image without an index its own.
    pub fn remote_platforms(&self, reference: &Reference) -> Result<Vec<Digest>, EngineError> {
        let config = self.registry_config_for(reference)?;
        self.beside("transfer", || {
            let document = fetched(reference, &config)?;
            let Some(index) = as_index(reference, &document)? else {
                return Ok(vec![document.digest]);
            };
            let images = index.into_iter().filter(|entry| entry.is_image());
            Ok(images.map(|entry| entry.digest).collect())
        })
    }
}

/// For a platform that nobody has, so that nobody takes it for an image.
fn attesting(target: &Reference, attestation: &Attestation) -> Member {
    let annotations = attestation.annotations().into_iter();
    Member {
        reference: target.with_digest(Digest::of(&attestation.manifest)),
        manifest: String::from_utf8_lossy(&attestation.manifest).into_owned(),
        media_type: media_type::OCI_MANIFEST.to_owned(),
        platform: MemberPlatform {
            architecture: "unknown".to_owned(),
            os: "unknown".to_owned(),
            ..MemberPlatform::default()
        },
        annotations: annotations
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }
}

impl MemberWords {
    /// As docker's `annotate` does it: what is not said stays, features come together.
    fn apply(&self, member: &mut Member) -> Result<(), ListError> {
        let platform = &mut member.platform;
        let set = |to: &mut String, from: &Option<String>| {
            if let Some(text) = from {
                text.clone_into(to);
            }
        };
        set(&mut platform.os, &self.os);
        set(&mut platform.architecture, &self.architecture);
        set(&mut platform.os_version, &self.os_version);
        set(&mut platform.variant, &self.variant);
        for feature in &self.os_features {
            if !platform.os_features.contains(feature) {
                platform.os_features.push(feature.clone());
            }
        }
        member.annotations.extend(self.annotations.clone());
        if !is_known(&platform.os, &platform.architecture) {
            return Err(ListError::OddPlatform {
                os: platform.os.clone(),
                architecture: platform.architecture.clone(),
            });
        }
        Ok(())
    }
}

/// The pairs that docker's `annotate` takes: those that Go can be compiled for.
fn is_known(os: &str, architecture: &str) -> bool {
    let architectures: &[&str] = match os {
        "linux" => &[
            "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle",
            "ppc64", "ppc64le", "riscv64", "s390x",
        ],
        "darwin" | "windows" => &["386", "amd64", "arm", "arm64"],
        "freebsd" | "netbsd" | "openbsd" => &["386", "amd64", "arm", "arm64"],
        "plan9" => &["386", "amd64", "arm"],
        "android" => &["386", "amd64", "arm", "arm64"],
        "dragonfly" | "solaris" | "illumos" => &["amd64"],
        "wasip1" => &["wasm"],
        _ => &[],
    };
    architectures.contains(&architecture)
}

/// An entry of an index, as far as it matters here.
pub(super) struct IndexEntry {
    digest: Digest,
    platform: Option<oci_spec::image::Platform>,
    /// What it says of itself, in a list's own form.
    words: Option<MemberPlatform>,
    annotations: BTreeMap<String, String>,
}

impl IndexEntry {
    /// What buildx adds about an image (attestations) is for a platform that nobody has.
    fn is_image(&self) -> bool {
        let words = self.words.as_ref();
        words.is_none_or(|platform| platform.architecture != "unknown")
    }
}

pub(super) fn as_index(
    reference: &Reference,
    document: &RemoteDocument,
) -> Result<Option<Vec<IndexEntry>>, RoleFailure> {
    let subject = format!("manifest of {}", reference.familiar());
    let parsed = Document::parse(&subject, &document.bytes, Some(&document.media_type));
    let Document::Index(index) = parsed.map_err(|error| RoleFailure::of(&error, Vec::new()))?
    else {
        return Ok(None);
    };
    let entries = index.manifests().iter().map(|descriptor| {
        let digest = crate::image::descriptor_digest(&subject, descriptor);
        let platform = descriptor.platform().clone();
        let words = platform
            .as_ref()
            .and_then(|platform| serde_json::to_vec(platform).ok())
            .map(|json| MemberPlatform::of_config(&json));
        Ok(IndexEntry {
            digest: digest.map_err(|error| RoleFailure::of(&error, Vec::new()))?,
            platform,
            words,
            annotations: descriptor
                .annotations()
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect(),
        })
    });
    entries.collect::<Result<_, _>>().map(Some)
}

pub(super) fn members_of(
    reference: &Reference,
    index: &[IndexEntry],
    which: OfIndex,
    config: &RegistryConfig,
) -> Result<Vec<Member>, RoleFailure> {
    let host = Platform::host();
    let rank = |entry: &IndexEntry| match &entry.platform {
        Some(platform) => host.matches(platform),
        None => Some(u32::MAX),
    };
    let chosen: Vec<&IndexEntry> = match which {
        OfIndex::All => index.iter().collect(),
        _ => {
            let fitting = index.iter().filter_map(|entry| Some((rank(entry)?, entry)));
            let best = fitting.min_by_key(|(rank, _)| *rank);
            let best = best.ok_or_else(|| RoleFailure {
                message: format!("{} has nothing for {host}", reference.familiar()),
                hints: vec!["--all adds every platform".to_owned()],
            })?;
            vec![best.1]
        }
    };
    let fetch = |entry: &&IndexEntry| {
        let name = reference.with_digest(entry.digest.clone());
        let document = fetched(&name, config)?;
        let member = member_of(name, document, entry.words.clone())?;
        Ok(Member {
            annotations: entry.annotations.clone(),
            ..member
        })
    };
    chosen.iter().map(fetch).collect()
}

pub(super) fn fetched(
    reference: &Reference,
    config: &RegistryConfig,
) -> Result<RemoteDocument, RoleFailure> {
    registry::document(reference, config, &Silent).map_err(|error| failure(&error))
}

pub(super) fn failure(error: &RegistryError) -> RoleFailure {
    RoleFailure::of(error, error.hints())
}

pub(super) fn member_of(
    reference: Reference,
    document: RemoteDocument,
    platform: Option<MemberPlatform>,
) -> Result<Member, RoleFailure> {
    let of_config = |config: &Vec<u8>| MemberPlatform::of_config(config);
    let own = document.config.as_ref().map(of_config);
    Ok(Member {
        manifest: text(&reference, document.bytes)?,
        media_type: document.media_type,
        platform: platform.or(own).unwrap_or_default(),
        annotations: BTreeMap::new(),
        reference,
    })
}

/// JSON is UTF-8, or it would not have been read as JSON.
fn text(reference: &Reference, bytes: Vec<u8>) -> Result<String, RoleFailure> {
    String::from_utf8(bytes).map_err(|_| RoleFailure {
        message: format!("manifest of {} is no UTF-8", reference.familiar()),
        hints: Vec::new(),
    })
}

fn unknown(name: &Reference) -> EngineError {
    let name = name.to_string();
    ListError::Unknown { name }.into()
}

fn no_member(list: &Reference, image: &Reference) -> ListError {
    ListError::NoMember {
        image: image.to_string(),
        list: list.to_string(),
    }
}
