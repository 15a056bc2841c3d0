//! From what a user typed to an image of the store. Reads only; takes no lock.

use oci_spec::image::ImageConfiguration;

use super::digest::Digest;
use super::document::parse_config;
use super::healthcheck::Healthcheck;
use super::layer::LayerDir;
use super::names::{NameEntry, Names};
use super::reference::{Reference, ReferenceError};
use super::store::{Store, StoreError};

/// An image of the store.
#[derive(Clone, Debug)]
pub struct Image {
    /// The digest of the config.
    pub id: Digest,
    pub manifest: Digest,
    /// `repository:tag` names and `repository@digest` names.
    pub names: Vec<Reference>,
    pub config: ImageConfiguration,
    /// Docker's own addition to the configuration.
    pub healthcheck: Option<Healthcheck>,
    /// Bytes of the unpacked layers.
    pub size: u64,
    /// RFC 3339, as the config has it.
    pub created: Option<String>,
    /// The overlay lower directories, bottom first.
    pub layers: Vec<LayerDir>,
}

#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("No such image: {text}")]
    Unknown { text: String },
    #[error("image id {text} is ambiguous: {} begin with it", list(.candidates))]
    Ambiguous {
        text: String,
        candidates: Vec<Digest>,
    },
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn list(candidates: &[Digest]) -> String {
    let short: Vec<&str> = candidates.iter().map(Digest::short).collect();
    short.join(", ")
}

/// How an image was named: `rmi` of an id takes all names, of a name only that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedBy {
    Reference(Reference),
    Id,
    /// By the digest of the index that it stands for.
    Index,
}

impl Store {
    /// The image that `text` names: `name[:tag]`, `name@digest`, `name:tag@digest`, a full id with or without
    /// `sha256:`, or the beginning of one. Names go before short ids, as in docker.
    pub fn resolve(&self, text: &str) -> Result<Image, ImageError> {
        let names = self.names()?;
        let (entry, _) = find(&names, text)?;
        Ok(self.image(&names, &entry.id)?)
    }

    /// The image a parsed reference names.
    pub fn resolve_reference(&self, reference: &Reference) -> Result<Image, ImageError> {
        let names = self.names()?;
        let entry = by_reference(&names, reference).ok_or_else(|| ImageError::Unknown {
            text: reference.familiar(),
        })?;
        Ok(self.image(&names, &entry.id)?)
    }

    /// The image with this id.
    pub fn image_by_id(&self, id: &Digest) -> Result<Image, ImageError> {
        let names = self.names()?;
        if names.of_image(id).next().is_none() {
            return Err(ImageError::Unknown {
                text: id.to_string(),
            });
        }
        Ok(self.image(&names, id)?)
    }

    fn image(&self, names: &Names, id: &Digest) -> Result<Image, StoreError> {
        let entries: Vec<&NameEntry> = names.of_image(id).collect();
        let first = entries.first().expect("the caller found an entry");
        let blob = self.read_blob(id)?;
        let config = parse_config(&format!("config of image {id}"), &blob)?;
        Ok(Image {
            id: id.clone(),
            manifest: first.manifest.clone(),
            names: entries.iter().filter_map(|e| e.reference.clone()).collect(),
            config,
            healthcheck: Healthcheck::parse(&blob),
            size: first.size,
            created: first.created.clone(),
            layers: self.read_stack(id)?.layers,
        })
    }
}

/// Finds what `text` names, and in which way it does.
pub fn find<'a>(names: &'a Names, text: &str) -> Result<(&'a NameEntry, NamedBy), ImageError> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    let looks_like_id = !hex.is_empty()
        && hex.len() <= 64
        && hex
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let is_id_only = text.len() != hex.len() || hex.len() == 64;
    if !(looks_like_id && is_id_only) {
        match text.parse::<Reference>() {
            Ok(reference) => {
                if let Some(entry) = by_reference(names, &reference) {
                    return Ok((entry, NamedBy::Reference(reference)));
                }
            }
            Err(error) if !looks_like_id => return Err(error.into()),
            Err(_) => {}
        }
    }
    if !looks_like_id {
        return Err(unknown(text));
    }
    let mut matching: Vec<&NameEntry> = Vec::new();
    for entry in names.entries.iter().filter(|e| e.id.hex().starts_with(hex)) {
        if matching.iter().all(|other| other.id != entry.id) {
            matching.push(entry);
        }
    }
    if matching.is_empty() {
        let fits = |entry: &&NameEntry| {
            entry
                .head()
                .is_some_and(|index| index.hex().starts_with(hex))
        };
        if let Some(entry) = names.entries.iter().find(fits) {
            return Ok((entry, NamedBy::Index));
        }
    }
    match matching[..] {
        [] => Err(unknown(text)),
        [entry] => Ok((entry, NamedBy::Id)),
        _ => Err(ImageError::Ambiguous {
            text: text.to_owned(),
            candidates: matching.iter().map(|entry| entry.id.clone()).collect(),
        }),
    }
}

/// docker's words for a name that is not here: with `:latest` where no tag was typed.
fn unknown(text: &str) -> ImageError {
    let text = match text.parse::<Reference>() {
        Ok(reference) => reference.familiar(),
        Err(_) => text.to_owned(),
    };
    ImageError::Unknown { text }
}

/// With a digest the digest decides and the tag is not looked at; the digest may be that of the index the pull was
/// answered with (it is then a name of its own), that of an index of the store, or that of the platform's manifest.
fn by_reference<'a>(names: &'a Names, reference: &Reference) -> Option<&'a NameEntry> {
    let Some(digest) = reference.digest() else {
        return names.get(reference);
    };
    let exact = reference.with_digest(digest.clone());
    let of_repository = || {
        names.entries.iter().filter(|entry| {
            let name = entry.reference.as_ref();
            name.is_some_and(|name| name.name() == reference.name())
        })
    };
    let indexes = of_repository().filter_map(NameEntry::head);
    names
        .get(&exact)
        .or_else(|| of_repository().find(|entry| entry.head() == Some(digest)))
        .or_else(|| of_repository().find(|entry| entry.manifest == *digest))
        .or_else(|| {
            let mut members = indexes.flat_map(|index| names.members(index));
            members.find(|member| member.manifest == *digest)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::document::media_type;

    fn entry(name: Option<&str>, image: &str) -> NameEntry {
        NameEntry {
            reference: name.map(|name| name.parse().expect("valid")),
            manifest: Digest::of(format!("manifest {image}").as_bytes()),
            manifest_size: 7,
            media_type: media_type::OCI_MANIFEST.to_owned(),
            id: Digest::of(image.as_bytes()),
            created: None,
            size: 42,
            index: None,
        }
    }

    fn found(names: &Names, text: &str) -> Result<Digest, ImageError> {
        find(names, text).map(|(entry, _)| entry.id.clone())
    }

    #[test]
    fn every_way_of_naming_an_image_finds_it() {
        let a = Digest::of(b"a");
        let index = Digest::of(b"index");
        let mut names = Names::default();
        names.set(entry(Some("debian:12"), "a"));
        names.set(entry(Some(&format!("debian@{index}")), "a"));
        names.set(entry(Some("other"), "b"));
        let manifest = Digest::of(b"manifest a");
        for text in [
            "debian:12".to_owned(),
            "docker.io/library/debian:12".to_owned(),
            format!("debian@{index}"),
            format!("debian:nonsense@{index}"),
            format!("debian@{manifest}"),
            a.to_string(),
            a.hex().to_owned(),
            a.short().to_owned(),
            format!("sha256:{}", a.short()),
        ] {
            assert_eq!(found(&names, &text).expect("found"), a, "{text}");
        }
        for text in [
            "debian",
            "debian:13",
            "0000",
            "sha256:0000",
            &format!("x@{manifest}"),
        ] {
            assert!(
                matches!(found(&names, text), Err(ImageError::Unknown { .. })),
                "{text}"
            );
        }
        assert!(matches!(
            found(&names, "Debian"),
            Err(ImageError::Reference(_))
        ));
    }

    #[test]
    fn an_ambiguous_short_id_and_a_name_of_hex_digits() {
        let mut names = Names::default();
        let ids: Vec<String> = (0..40).map(|n| format!("{n}")).collect();
        for id in &ids {
            names.set(entry(None, id));
        }
        let first = Digest::of(b"0").hex()[..1].to_owned();
        assert!(matches!(
            found(&names, &first),
            Err(ImageError::Ambiguous { .. })
        ));
        names.set(entry(Some(&first), "named"));
        assert_eq!(found(&names, &first).expect("found"), Digest::of(b"named"));
    }
}
