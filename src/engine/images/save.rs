//! `save`: images as an archive or a directory.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd;

use super::super::output::Unfinished;
use super::super::request::SaveRequest;
use super::super::worker::RoleFailure;
use super::super::{Engine, EngineError};
use super::{check_platform, image_for};
use crate::container::Event;
use crate::image::{
    self, Index, IndexToSave, NameEntry, NamedBy, Names, NoOriginals, Originals, Reference,
    SaveError, SaveFormat, SaveOptions, SaveSet, Store, ToSave,
};
use crate::registry::{self, RegistryConfig};

impl Engine {
    /// Writes the images to the output, which appears when it is whole, or to standard output. What is worth saying of their
    /// digests is returned.
    pub fn save_images(&self, request: &SaveRequest) -> Result<Vec<String>, EngineError> {
        let store = self.images()?;
        let names = store.names()?;
        let mut set = SaveSet::default();
        for text in &request.images {
            for found in named(&names, text)? {
                let index = found.index.clone();
                let index = index.filter(|_| request.format != SaveFormat::DockerDir);
                match (index, &request.platform) {
                    (Some(index), None) => add_index(&mut set, store.index(&index)?, found.tag),
                    (Some(_), Some(platform)) => {
                        let image = image_for(&store, text, Some(platform))?;
                        let found = Found {
                            id: image.id,
                            manifest: image.manifest,
                            ..found
                        };
                        add(&mut set.images, found);
                    }
                    (None, _) => add(&mut set.images, found),
                }
            }
        }
        let platform = request.platform.as_deref();
        for image in set.images.iter().filter(|_| platform.is_some()) {
            check_platform(&store.image_by_id(&image.id)?, &name(image), platform)?;
        }
        self.save(&set, request)
    }

    /// Writes what was built under these names, which it need not have in the store: an index where one is needed.
    pub fn save_index_as(
        &self,
        index: Index,
        names: &[Reference],
        noted: &BTreeMap<String, String>,
        request: &SaveRequest,
    ) -> Result<Vec<String>, EngineError> {
        let mut set = SaveSet {
            noted: noted.clone(),
            ..SaveSet::default()
        };
        let needed = index.is_needed();
        for image in &index.images {
            set.images.push(ToSave {
                id: image.id.clone(),
                manifest: image.manifest.clone(),
                tags: if needed { Vec::new() } else { names.to_vec() },
            });
        }
        if needed {
            set.indexes.push(IndexToSave {
                index,
                tags: names.to_vec(),
            });
        }
        self.save(&set, request)
    }

    fn save(&self, set: &SaveSet, request: &SaveRequest) -> Result<Vec<String>, EngineError> {
        let store = self.images()?;
        let options = SaveOptions {
            format: request.format,
            compress: request.compress,
            require_digest: request.require_digest,
            form: request.form,
        };
        let unfinished = match &request.output {
            Some(path) if request.format.is_directory() => Some(Unfinished::directory(path)?),
            Some(path) => Some(Unfinished::file(path)?),
            None => None,
        };
        let config = match request.format {
            SaveFormat::DockerArchive if !request.require_digest => None,
            _ => self.origins(&store, &set.images),
        };
        let originals: &dyn Originals = match &config {
            Some(config) => &FromRegistries(config),
            None => &NoOriginals,
        };
        let notes: Vec<String> = self.in_home("transfer", || {
            let saved = match &unfinished {
                Some(unfinished) if request.format.is_directory() => {
                    image::save_directory(&store, set, &options, originals, unfinished.temporary())
                }
                Some(unfinished) => {
                    let mut file = unfinished.open().map_err(opened)?;
                    image::save_archive(&store, set, &options, originals, &mut file)
                }
                None => {
                    let stdout = std::io::stdout().as_fd().try_clone_to_owned();
                    let mut stdout = stdout.map(File::from).map_err(opened)?;
                    image::save_archive(&store, set, &options, originals, &mut stdout)
                }
            };
            saved.map_err(|error| RoleFailure::of(&error, hints(&error, request)))
        })?;
        if let Some(unfinished) = unfinished {
            unfinished.keep()?;
        }
        for image in &set.images {
            self.emit(&Event::image(image.id.as_str(), &name(image), "save"));
        }
        Ok(notes)
    }

    /// How to ask the registries that the images' layers came from; what stands in the way of that is none of a save's.
    fn origins(&self, store: &Store, images: &[ToSave]) -> Option<RegistryConfig> {
        let mut all = Vec::new();
        for image in images {
            let config = store.image_by_id(&image.id).ok()?.config;
            all.extend(image::diff_ids("config", &config).ok()?);
        }
        let config = self.registry_config();
        let config = config.and_then(|mut config| {
            config.look_up_origins(&all)?;
            Ok(config)
        });
        if let Err(error) = &config {
            tracing::debug!(%error, "no registry is asked for layers");
        }
        config.ok()
    }
}

/// Layers that came compressed, from where they came.
struct FromRegistries<'a>(&'a RegistryConfig);

impl Originals for FromRegistries<'_> {
    fn fetch(
        &self,
        diff_id: &image::Digest,
        digest: &image::Digest,
        size: u64,
        file: &File,
    ) -> Option<bool> {
        registry::original(diff_id, digest, size, self.0, file)
    }
}

/// Its first tag, or its id.
fn name(image: &ToSave) -> String {
    let tag = image.tags.first().map(Reference::familiar);
    tag.unwrap_or_else(|| image.id.to_string())
}

fn opened(error: std::io::Error) -> RoleFailure {
    RoleFailure {
        message: format!("open the output: {error}"),
        hints: Vec::new(),
    }
}

fn hints(error: &SaveError, request: &SaveRequest) -> Vec<String> {
    let name = request.images.first().map_or("IMAGE", String::as_str);
    match error {
        SaveError::Replay(error) => error.hints(name),
        _ => Vec::new(),
    }
}

/// The images that one word means, with the tags under which they are saved. As docker, a name without a tag stands for all
/// tags of the repository, and an id or a digest for an image without a name.
fn named(names: &Names, text: &str) -> Result<Vec<Found>, EngineError> {
    let is_bare = !text.rsplit('/').next().unwrap_or(text).contains([':', '@']);
    if is_bare && let Ok(reference) = text.parse::<Reference>() {
        let tags = names.entries.iter().filter_map(|entry| {
            let tag = entry.reference.as_ref()?;
            let is_one = tag.digest().is_none() && tag.name() == reference.name();
            is_one.then(|| Found::of(entry, Some(tag.clone())))
        });
        let tags: Vec<_> = tags.collect();
        if !tags.is_empty() {
            return Ok(tags);
        }
    }
    let (entry, by) = image::find(names, text)?;
    let is_id = by == NamedBy::Id;
    let tag = match by {
        NamedBy::Reference(reference) if reference.digest().is_none() => Some(reference),
        _ => None,
    };
    let mut found = Found::of(entry, tag);
    found.index = found.index.filter(|_| !is_id);
    Ok(vec![found])
}

/// An image of the store, and what it is to be called.
struct Found {
    id: image::Digest,
    manifest: image::Digest,
    /// What the tag stands for, if that is more than the image.
    index: Option<image::Digest>,
    tag: Option<Reference>,
}

impl Found {
    fn of(entry: &NameEntry, tag: Option<Reference>) -> Found {
        Found {
            id: entry.id.clone(),
            manifest: entry.manifest.clone(),
            index: entry.head().cloned(),
            tag,
        }
    }
}

/// Its images are saved without names of their own.
fn add_index(set: &mut SaveSet, index: Index, tag: Option<Reference>) {
    for image in &index.images {
        let found = Found {
            id: image.id.clone(),
            manifest: image.manifest.clone(),
            index: None,
            tag: None,
        };
        add(&mut set.images, found);
    }
    match set.indexes.iter_mut().find(|known| known.index == index) {
        Some(known) => known.tags.extend(tag),
        None => set.indexes.push(IndexToSave {
            index,
            tags: tag.into_iter().collect(),
        }),
    }
}

fn add(images: &mut Vec<ToSave>, found: Found) {
    let is_same = |image: &ToSave| image.id == found.id && image.manifest == found.manifest;
    let at = images.iter().position(is_same).unwrap_or_else(|| {
        images.push(ToSave {
            id: found.id.clone(),
            manifest: found.manifest.clone(),
            tags: Vec::new(),
        });
        images.len() - 1
    });
    let tags = &mut images[at].tags;
    if let Some(tag) = found.tag.filter(|tag| !tags.contains(tag)) {
        tags.push(tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    fn entry(name: Option<&str>, image: &str) -> NameEntry {
        NameEntry {
            reference: name.map(|name| name.parse().expect("valid")),
            manifest: Digest::of(b"manifest"),
            manifest_size: 8,
            media_type: String::new(),
            id: Digest::of(image.as_bytes()),
            created: None,
            size: 1,
            index: None,
        }
    }

    #[test]
    fn a_name_without_a_tag_stands_for_all_tags() {
        let a = Digest::of(b"a");
        let mut names = Names::default();
        names.set(entry(Some("x:1"), "a"));
        names.set(entry(Some(&format!("x@{a}")), "a"));
        names.set(entry(Some("x:2"), "b"));
        names.set(entry(Some("y"), "a"));
        let tags = |text: &str| {
            let found = named(&names, text).expect("found").into_iter();
            found
                .map(|found| found.tag.map(|tag| tag.familiar()))
                .collect::<Vec<_>>()
        };
        assert_eq!(tags("x"), [Some("x:1".to_owned()), Some("x:2".to_owned())]);
        assert_eq!(tags("docker.io/library/x:2"), [Some("x:2".to_owned())]);
        assert_eq!(tags("y"), [Some("y:latest".to_owned())]);
        assert_eq!(tags(a.short()), [None]);
        assert_eq!(tags(&format!("x@{a}")), [None]);
        assert!(named(&names, "z").is_err());
        let mut images = Vec::new();
        for text in ["x:1", "y", "x", a.short()] {
            for found in named(&names, text).unwrap_or_default() {
                add(&mut images, found);
            }
        }
        assert_eq!((images.len(), images[0].tags.len()), (2, 2));
    }
}
