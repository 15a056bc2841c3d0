//! `images/index.json`: the names of the store's images, as an OCI image index. One descriptor per name; an image
//! without a name keeps one descriptor without `org.opencontainers.image.ref.name`. What `images` prints is in bryo's
//! annotations, so that listing reads this one file.

use std::borrow::Cow;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::document::media_type;
use super::reference::Reference;

/// The largest `index.json` that is read: some hundred thousand names.
pub(super) const MAX_INDEX: u64 = 256 << 20;

/// What an entry has to do with an index of several images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfIndex {
    /// It stands for the index; its image is the one for this host, or else the first.
    Head(Digest),
    /// Without a name: another image of it. It is there for as long as the head is.
    Member(Digest),
}

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
    pub index: Option<OfIndex>,
}

impl NameEntry {
    /// The index that it stands for.
    pub fn head(&self) -> Option<&Digest> {
        match &self.index {
            Some(OfIndex::Head(index)) => Some(index),
            _ => None,
        }
    }

    /// The index that it is there for.
    pub fn member_of(&self) -> Option<&Digest> {
        match &self.index {
            Some(OfIndex::Member(index)) => Some(index),
            _ => None,
        }
    }

    fn is_bare(&self) -> bool {
        self.reference.is_none() && self.index.is_none()
    }
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
        let file: IndexFile<'_> =
            serde_json::from_slice(bytes).map_err(|source| NamesError::Json { source })?;
        let entries = file.manifests.into_iter().enumerate();
        let entries = entries.map(|(position, descriptor)| descriptor.parse(position));
        Ok(Names {
            entries: entries.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let file = IndexFile {
            schema_version: 2,
            media_type: Some(media_type::OCI_INDEX.into()),
            manifests: self.entries.iter().map(EntryDescriptor::of).collect(),
        };
        serde_json::to_vec(&file).expect("strings and numbers always serialise")
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
    /// was its last; an image that gets a name, or an index, loses its nameless entry.
    pub fn set(&mut self, entry: NameEntry) {
        if entry.is_bare() {
            if self.of_image(&entry.id).next().is_none() {
                self.entries.push(entry);
            }
            return;
        }
        if let Some(reference) = &entry.reference {
            self.take_name(reference);
        }
        let is_named = entry.reference.is_some();
        self.entries.retain(|other| {
            let is_lost = other.is_bare()
                || (is_named && other.reference.is_none() && other.member_of().is_none());
            other.id != entry.id || !is_lost
        });
        if !self.entries.contains(&entry) {
            self.entries.push(entry);
        }
        self.drop_orphans();
    }

    /// Takes a name away; its image stays, nameless if need be. The entry that had it.
    pub fn remove_name(&mut self, reference: &Reference) -> Option<NameEntry> {
        let removed = self.take_name(reference);
        self.drop_orphans();
        removed
    }

    fn take_name(&mut self, reference: &Reference) -> Option<NameEntry> {
        let position = self
            .entries
            .iter()
            .position(|entry| entry.reference.as_ref() == Some(reference))?;
        let removed = self.entries.remove(position);
        let is_there = match removed.head() {
            Some(index) => self.entries.iter().any(|other| other.head() == Some(index)),
            None => self.of_image(&removed.id).next().is_some(),
        };
        if !is_there {
            self.entries.push(NameEntry {
                reference: None,
                ..removed.clone()
            });
        }
        Some(removed)
    }

    /// Forgets an image with all its names. Where an index has it, it stays for that.
    pub fn remove_image(&mut self, id: &Digest) {
        self.entries
            .retain(|entry| entry.id != *id || entry.member_of().is_some());
        self.drop_orphans();
    }

    /// Forgets an index that has no name.
    pub fn remove_index(&mut self, index: &Digest) {
        self.entries
            .retain(|entry| entry.reference.is_some() || entry.head() != Some(index));
        self.drop_orphans();
    }

    /// Forgets an image that is no more: an index that had it is none any more, and only the image for this host is left of it.
    pub fn forget_image(&mut self, id: &Digest) {
        let members = self.of_image(id).filter_map(NameEntry::member_of);
        let indexes: Vec<Digest> = members.cloned().collect();
        self.entries.retain(|entry| entry.id != *id);
        for entry in &mut self.entries {
            if entry.head().is_some_and(|index| indexes.contains(index)) {
                entry.index = None;
            }
        }
        self.drop_orphans();
    }

    /// Whether an image is there for an index, or stands for one.
    pub fn is_of_index(&self, id: &Digest) -> bool {
        self.of_image(id).any(|entry| entry.index.is_some())
    }

    /// The entries of all images of an index but the one that stands for it.
    pub fn members<'a>(&'a self, index: &'a Digest) -> impl Iterator<Item = &'a NameEntry> {
        let entries = self.entries.iter();
        entries.filter(move |entry| entry.member_of() == Some(index))
    }

    /// Members of indexes that nothing stands for.
    fn drop_orphans(&mut self) {
        let heads = self.entries.iter().filter_map(NameEntry::head);
        let heads: std::collections::HashSet<Digest> = heads.cloned().collect();
        self.entries
            .retain(|entry| entry.member_of().is_none_or(|index| heads.contains(index)));
    }
}

/// The file, as every command reads it: what an image index may have besides is not looked for, and no text is copied that need not be.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexFile<'a> {
    schema_version: u32,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    media_type: Option<Text<'a>>,
    #[serde(borrow)]
    manifests: Vec<EntryDescriptor<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryDescriptor<'a> {
    #[serde(borrow)]
    media_type: Text<'a>,
    #[serde(borrow)]
    digest: Text<'a>,
    size: u64,
    #[serde(borrow, default)]
    annotations: Annotations<'a>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Annotations<'a> {
    #[serde(
        borrow,
        rename = "org.opencontainers.image.ref.name",
        skip_serializing_if = "Option::is_none"
    )]
    name: Option<Text<'a>>,
    #[serde(
        borrow,
        rename = "bryo.image.id",
        skip_serializing_if = "Option::is_none"
    )]
    id: Option<Text<'a>>,
    #[serde(
        borrow,
        rename = "bryo.image.created",
        skip_serializing_if = "Option::is_none"
    )]
    created: Option<Text<'a>>,
    #[serde(
        borrow,
        rename = "bryo.image.size",
        skip_serializing_if = "Option::is_none"
    )]
    size: Option<Text<'a>>,
    #[serde(
        borrow,
        rename = "bryo.image.index",
        skip_serializing_if = "Option::is_none"
    )]
    index: Option<Text<'a>>,
    #[serde(
        borrow,
        rename = "bryo.image.member",
        skip_serializing_if = "Option::is_none"
    )]
    member: Option<Text<'a>>,
}

/// A string of the file.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Text<'a> {
        Text(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text(Cow::Owned(text))
    }
}

impl<'a> EntryDescriptor<'a> {
    fn of(entry: &'a NameEntry) -> EntryDescriptor<'a> {
        EntryDescriptor {
            media_type: entry.media_type.as_str().into(),
            digest: entry.manifest.as_str().into(),
            size: entry.manifest_size,
            annotations: Annotations {
                name: entry.reference.as_ref().map(|name| name.to_string().into()),
                id: Some(entry.id.as_str().into()),
                created: entry.created.as_deref().map(Text::from),
                size: Some(entry.size.to_string().into()),
                index: entry.head().map(|index| index.as_str().into()),
                member: entry.member_of().map(|index| index.as_str().into()),
            },
        }
    }

    fn parse(self, position: usize) -> Result<NameEntry, NamesError> {
        let said = self.annotations;
        let index = match (said.index, said.member) {
            (Some(index), _) => Some(OfIndex::Head(parsed(position, "index", &index)?)),
            (None, Some(index)) => Some(OfIndex::Member(parsed(position, "index", &index)?)),
            (None, None) => None,
        };
        let name = said.name.map(|name| parsed(position, "name", &name));
        let missing = |field| NamesError::Field { position, field };
        Ok(NameEntry {
            index,
            reference: name.transpose()?,
            manifest: parsed(position, "digest", &self.digest)?,
            manifest_size: self.size,
            media_type: self.media_type.0.into_owned(),
            id: parsed(position, "image id", &said.id.ok_or(missing("image id"))?)?,
            created: said.created.map(|created| created.0.into_owned()),
            size: parsed(position, "size", &said.size.ok_or(missing("size"))?)?,
        })
    }
}

fn parsed<T: FromStr>(
    position: usize,
    field: &'static str,
    text: &Text<'_>,
) -> Result<T, NamesError> {
    text.0
        .parse()
        .map_err(|_| NamesError::Field { position, field })
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
            index: None,
        }
    }

    #[test]
    fn images_of_an_index_are_there_for_as_long_as_its_name() {
        let index = Digest::of(b"index");
        let of = |name, image, index| NameEntry {
            index: Some(index),
            ..entry(name, image)
        };
        let head = of(Some("x"), "a", OfIndex::Head(index.clone()));
        let member = of(None, "b", OfIndex::Member(index.clone()));
        let mut names = Names::default();
        names.set(entry(None, "a"));
        names.set(entry(None, "b"));
        names.set(head.clone());
        names.set(member.clone());
        assert_eq!(names.entries, [head.clone(), member.clone()]);
        assert_eq!(Names::parse(&names.to_json()).expect("valid"), names);
        // An image of it that is built again is no image without a name.
        names.set(entry(None, "b"));
        assert_eq!(names.entries.len(), 2);
        names.set(entry(Some("y"), "b"));
        names.remove_image(&member.id);
        assert_eq!(names.entries, [head.clone(), member.clone()]);
        // Another image takes the name: the index is one without a name, until somebody removes it.
        let mut moved = names.clone();
        moved.set(entry(Some("x"), "c"));
        assert_eq!(moved.members(&index).count(), 1);
        moved.remove_image(&head.id);
        assert_eq!(moved.entries, [entry(Some("x"), "c")]);
        // One that lost an image is none.
        names.forget_image(&member.id);
        assert_eq!(names.entries, [entry(Some("x"), "a")]);
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
