//! `images/index.json`: the names of the store's images, as an OCI image index. One descriptor per name; an image
//! without a name keeps one descriptor without `org.opencontainers.image.ref.name`. What `images` prints is in bryo's
//! annotations, so that listing reads this one file.

use std::collections::HashMap;
use std::str::FromStr;

use oci_spec::image::{Descriptor, ImageIndex, ImageIndexBuilder, MediaType};

use super::digest::Digest;
use super::reference::Reference;

const NAME: &str = "org.opencontainers.image.ref.name";
const ID: &str = "bryo.image.id";
const CREATED: &str = "bryo.image.created";
const SIZE: &str = "bryo.image.size";

/// The largest `index.json` that is read: some hundred thousand names.
pub(super) const MAX_INDEX: u64 = 256 << 20;

/// One name of one image, or an image without any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameEntry {
    /// `repository:tag`, or `repository@digest` for the digest a pull was answered with.
    pub reference: Option<Reference>,
    pub manifest: Digest,
    pub manifest_size: u64,
    pub media_type: String,
    /// The image's id: the digest of its config.
    pub id: Digest,
    /// RFC 3339, as the config has it.
    pub created: Option<String>,
    /// Bytes of the unpacked layers.
    pub size: u64,
}

/// The whole index in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub entries: Vec<NameEntry>,
}

#[derive(Debug, thiserror::Error)]
pub enum NamesError {
    #[error("not a valid image index: {source}")]
    Json { source: serde_json::Error },
    #[error("descriptor {position} has no usable {field}")]
    Field {
        position: usize,
        field: &'static str,
    },
}

impl Names {
    pub(super) fn parse(bytes: &[u8]) -> Result<Names, NamesError> {
        let index: ImageIndex =
            serde_json::from_slice(bytes).map_err(|source| NamesError::Json { source })?;
        let entries = index.manifests().iter().enumerate();
        let entries = entries.map(|(position, descriptor)| parse_entry(position, descriptor));
        Ok(Names {
            entries: entries.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let index = ImageIndexBuilder::default()
            .schema_version(2u32)
            .media_type(MediaType::ImageIndex)
            .manifests(self.entries.iter().map(descriptor).collect::<Vec<_>>())
            .build()
            .expect("all required fields are set");
        serde_json::to_vec(&index).expect("strings and numbers always serialise")
    }

    /// The entry of exactly this name.
    pub fn get(&self, reference: &Reference) -> Option<&NameEntry> {
        self.entries
            .iter()
            .find(|entry| entry.reference.as_ref() == Some(reference))
    }

    /// All entries of one image.
    pub fn of_image<'a>(&'a self, id: &'a Digest) -> impl Iterator<Item = &'a NameEntry> {
        self.entries.iter().filter(move |entry| entry.id == *id)
    }

    /// Gives `entry.reference` to the entry's image. The image that had the name before keeps a nameless entry if this
    /// was its last; an image that gets a name loses its nameless entry.
    pub fn set(&mut self, entry: NameEntry) {
        match &entry.reference {
            Some(reference) => {
                self.remove_name(reference);
                self.entries
                    .retain(|other| other.id != entry.id || other.reference.is_some());
                self.entries.push(entry);
            }
            None if self.of_image(&entry.id).next().is_none() => self.entries.push(entry),
            None => {}
        }
    }

    /// Takes a name away; its image stays, nameless if need be. The entry that had it.
    pub fn remove_name(&mut self, reference: &Reference) -> Option<NameEntry> {
        let position = self
            .entries
            .iter()
            .position(|entry| entry.reference.as_ref() == Some(reference))?;
        let removed = self.entries.remove(position);
        if self.of_image(&removed.id).next().is_none() {
            self.entries.push(NameEntry {
                reference: None,
                ..removed.clone()
            });
        }
        Some(removed)
    }

    /// Forgets an image with all its names.
    pub fn remove_image(&mut self, id: &Digest) {
        self.entries.retain(|entry| entry.id != *id);
    }
}

fn parse_entry(position: usize, descriptor: &Descriptor) -> Result<NameEntry, NamesError> {
    let annotations = descriptor.annotations().as_ref();
    let text = |key: &str| annotations.and_then(|all| all.get(key));
    let reference = match text(NAME) {
        None => None,
        Some(name) => Some(parsed(position, "name", name)?),
    };
    let missing = |field| NamesError::Field { position, field };
    Ok(NameEntry {
        reference,
        manifest: parsed(position, "digest", descriptor.digest().as_ref())?,
        manifest_size: descriptor.size(),
        media_type: descriptor.media_type().to_string(),
        id: parsed(position, "image id", text(ID).ok_or(missing("image id"))?)?,
        created: text(CREATED).cloned(),
        size: parsed(position, "size", text(SIZE).ok_or(missing("size"))?)?,
    })
}

fn parsed<T: FromStr>(position: usize, field: &'static str, text: &str) -> Result<T, NamesError> {
    text.parse()
        .map_err(|_| NamesError::Field { position, field })
}

fn descriptor(entry: &NameEntry) -> Descriptor {
    let mut annotations = HashMap::from([
        (ID.to_owned(), entry.id.to_string()),
        (SIZE.to_owned(), entry.size.to_string()),
    ]);
    if let Some(reference) = &entry.reference {
        annotations.insert(NAME.to_owned(), reference.to_string());
    }
    if let Some(created) = &entry.created {
        annotations.insert(CREATED.to_owned(), created.clone());
    }
    let digest = oci_spec::image::Digest::from_str(entry.manifest.as_str())
        .expect("our digests are a subset of OCI's");
    let mut descriptor = Descriptor::new(
        MediaType::from(entry.media_type.as_str()),
        entry.manifest_size,
        digest,
    );
    descriptor.set_annotations(Some(annotations));
    descriptor
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: Option<&str>, image: &str) -> NameEntry {
        NameEntry {
            reference: name.map(|name| name.parse().expect("valid")),
            manifest: Digest::of(format!("manifest {image}").as_bytes()),
            manifest_size: 7,
            media_type: super::super::document::media_type::OCI_MANIFEST.to_owned(),
            id: Digest::of(image.as_bytes()),
            created: Some("2024-01-01T00:00:00Z".to_owned()),
            size: 42,
        }
    }

    #[test]
    fn the_index_reads_back_as_written() {
        let mut names = Names::default();
        names.set(entry(Some("debian"), "a"));
        names.set(entry(Some("localhost:5000/x:1"), "a"));
        names.set(entry(None, "b"));
        assert_eq!(Names::parse(&names.to_json()).expect("valid"), names);
        assert!(Names::parse(b"{\"schemaVersion\":2,\"manifests\":[]}").is_ok());
        assert!(Names::parse(b"{").is_err());
    }

    #[test]
    fn a_name_that_moves_leaves_its_image_nameless() {
        let mut names = Names::default();
        names.set(entry(Some("x"), "old"));
        names.set(entry(Some("x"), "new"));
        assert_eq!(names.entries, [entry(None, "old"), entry(Some("x"), "new")]);
        names.set(entry(Some("y"), "old"));
        assert_eq!(
            names.entries,
            [entry(Some("x"), "new"), entry(Some("y"), "old")]
        );
        names.set(entry(None, "old"));
        assert_eq!(names.entries.len(), 2);
    }

    #[test]
    fn setting_the_same_name_again_changes_nothing() {
        let mut names = Names::default();
        names.set(entry(Some("x"), "a"));
        names.set(entry(Some("x"), "a"));
        assert_eq!(names.entries, [entry(Some("x"), "a")]);
    }
}
