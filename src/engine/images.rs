//! The verbs on images: list, tag, remove, inspect, load, import, save. What writes or deletes layers runs in the home namespace.

mod carry;
mod history;
mod import;
mod inspect;
mod inventory;
mod list;
mod platforms;
mod prune;
mod room;
mod save;
mod tree;
mod tree_export;

use std::fs::File;
use std::os::fd::AsFd;

pub use carry::{Carry, CarryError, Place};
pub use history::HistoryRow;
pub use inspect::ImageDetails;
pub use list::ImageRow;
pub use platforms::{TreeImage, TreePlatform};
pub use prune::PrunedImages;
pub use tree::{ImageTree, TreeLayer};
pub use tree_export::{Tree, TreeOutput};

use super::remove::users_of;
use super::request::{Input, ListImagesRequest, LoadRequest, TagRequest};
use super::trust::admit_unsigned;
use super::worker::RoleFailure;
use super::{Engine, EngineError};
use crate::container::Event;
use crate::image::{
    self, ArchiveError, Image, ImageError, Judge, LoadOptions, Loaded, OneImage, Platform,
    Reference, Removed, Store, UnpackOptions,
};
use crate::runtime::home;

impl Engine {
    /// The rows of `images`: one per name, one for each image without; newest first.
    pub fn list_images(&self, request: &ListImagesRequest) -> Result<Vec<ImageRow>, EngineError> {
        let store = self.images()?;
        // Failing to delete what killed commands left spoils no list.
        if let Err(error) = self.sweep_images(&store) {
            tracing::debug!(%error, "sweep");
        }
        list::rows(&store, request)
    }

    /// Everything `image inspect` shows; `platform` is the one it has to be of.
    pub fn inspect_image(
        &self,
        text: &str,
        platform: Option<&str>,
    ) -> Result<ImageDetails, EngineError> {
        let store = self.images()?;
        let image = image_for(&store, text, platform)?;
        inspect::details(&store, image)
    }

    /// The steps that made an image, the last one first; `platform` is the one it has to be of.
    pub fn image_history(
        &self,
        text: &str,
        platform: Option<&str>,
    ) -> Result<Vec<HistoryRow>, EngineError> {
        let store = self.images()?;
        let image = image_for(&store, text, platform)?;
        history::rows(&store, &image)
    }

    /// Whether an image of this name or id is in the store.
    pub fn image_exists(&self, text: &str) -> Result<bool, EngineError> {
        match self.images()?.resolve(text) {
            Ok(_) => Ok(true),
            Err(ImageError::Unknown { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes names away from an image, all of them where none is given. The image stays.
    pub fn untag_image(&self, text: &str, names: &[String]) -> Result<(), EngineError> {
        let store = self.images()?;
        let image = store.resolve(text)?;
        let mut untagged = Vec::new();
        for name in names {
            let wanted: Reference = name
                .parse()
                .map_err(|_| ImageError::Unknown { text: name.clone() })?;
            if !image.names.contains(&wanted) {
                return Err(ImageError::Unknown { text: name.clone() }.into());
            }
            untagged.push(wanted);
        }
        if names.is_empty() {
            untagged.clone_from(&image.names);
        }
        store.untag(&untagged)?;
        for name in &untagged {
            self.emit(&Event::image(image.id.as_str(), &name.familiar(), "untag"));
        }
        Ok(())
    }

    /// Gives an image one more name.
    pub fn tag_image(&self, request: &TagRequest) -> Result<(), EngineError> {
        let store = self.images()?;
        store.tag(&request.source, &request.target)?;
        if let Ok(image) = store.resolve_reference(&request.target) {
            let name = request.target.familiar();
            self.emit(&Event::image(image.id.as_str(), &name, "tag"));
        }
        Ok(())
    }

    /// Removes one name or image of a request; the caller goes through its images and goes on after a failure.
    /// It has to be of the `platform`, where one is given. With `parents` go nameless images that it was made from.
    pub fn remove_image(
        &self,
        text: &str,
        force: bool,
        parents: bool,
        platform: Option<&str>,
    ) -> Result<Vec<Removed>, EngineError> {
        let store = self.images()?;
        if platform.is_some() {
            let image = image_for(&store, text, platform)?;
            if store.names()?.is_of_index(&image.id) {
                let image = text.to_owned();
                return Err(EngineError::PartOfIndex { image });
            }
        }
        let users = || users_of(&self.containers);
        let image = store.resolve(text);
        let removed = self.in_home("worker", || {
            store
                .remove(text, force, parents, &users)
                .map_err(|error| RoleFailure::of(&error, remove_hints(&error, text)))
        });
        let (removed, image): (Vec<Removed>, _) = match (removed, image) {
            // Said by its kind: what another process says is text. One that was there has another reason.
            (Err(_), Err(unknown @ ImageError::Unknown { .. })) => return Err(unknown.into()),
            (removed, image) => (removed?, image.ok()),
        };
        for what in &removed {
            self.emit(&match (what, &image) {
                (Removed::Untagged(name), Some(image)) => {
                    Event::image(image.id.as_str(), &name.familiar(), "untag")
                }
                (Removed::Untagged(name), None) => {
                    Event::image(name.familiar(), &name.familiar(), "untag")
                }
                (Removed::Deleted(id), _) => Event::image(id.as_str(), id.as_str(), "delete"),
            });
        }
        Ok(removed)
    }

    /// Loads the images of an archive.
    pub fn load_images(&self, request: &LoadRequest) -> Result<Vec<Loaded>, EngineError> {
        let store = self.images()?;
        let platform = request.platform.as_deref().map(str::parse::<Platform>);
        let platform = platform.transpose()?;
        let loaded: Vec<Loaded> = self.in_home("worker", || {
            let (file, source) = open(&request.input)?;
            self.make_room(&store, room::length(&request.input))?;
            let policy = &self.config.policy;
            let judge = |names: &[Reference]| admit_unsigned(policy, names);
            let loaded = load_job(
                &store,
                file,
                &source,
                (platform, request.only.clone()),
                &judge,
            )?;
            self.make_room_beside(&store, loaded.iter().map(|image| image.id.clone()));
            Ok(loaded)
        })?;
        for image in &loaded {
            let name = image.names.first().map(Reference::familiar);
            let name = name.unwrap_or_else(|| image.id.to_string());
            self.emit(&Event::image(image.id.as_str(), &name, "load"));
        }
        Ok(loaded)
    }

    /// Removes what interrupted commands left in the image store; asks for the home namespace only if there is something.
    pub(super) fn sweep_images(&self, store: &Store) -> Result<(), EngineError> {
        if !store.has_rubbish() {
            return Ok(());
        }
        self.in_home("worker", || {
            store
                .sweep()
                .map_err(|error| RoleFailure::of(&error, Vec::new()))
        })
    }
}

/// The image that `text` names, of a platform if one is given: that of an index which fits.
pub(super) fn image_for(
    store: &Store,
    text: &str,
    platform: Option<&str>,
) -> Result<Image, EngineError> {
    let wanted: Option<Platform> = platform.map(str::parse).transpose()?;
    let image = store.resolve_for(text, wanted.as_ref())?;
    check_platform(&image, text, platform)?;
    Ok(image)
}

/// Whether an image that `text` names is of a platform. Without an index a store has one platform of each image.
pub(super) fn check_platform(
    image: &Image,
    text: &str,
    platform: Option<&str>,
) -> Result<(), EngineError> {
    let Some(wanted) = platform else {
        return Ok(());
    };
    let wanted: Platform = wanted.parse()?;
    if wanted.rank(&Platform::of_config(&image.config)).is_none() {
        return Err(EngineError::OtherPlatform {
            image: text.to_owned(),
            wanted,
        });
    }
    Ok(())
}

/// Loads an archive; runs in the home namespace.
pub fn load_job(
    store: &Store,
    input: File,
    source: &str,
    (platform, only): (Option<Platform>, Option<OneImage>),
    judge: Judge<'_>,
) -> Result<Vec<Loaded>, RoleFailure> {
    let options = LoadOptions {
        source: source.to_owned(),
        platform,
        only,
        unpack: unpack_options(),
        parallel: processors(),
    };
    image::load(store, input, &options, judge).map_err(|error| {
        let hints = match &error {
            ArchiveError::RootFilesystem { .. } => vec![format!("bryo import {source}")],
            _ => Vec::new(),
        };
        RoleFailure::of(&error, hints)
    })
}

/// How layers are unpacked in the namespace this is called in: with threads, and without failing on owners where only
/// one id is mapped.
pub fn unpack_options() -> UnpackOptions {
    UnpackOptions {
        writers: processors(),
        ..unpack_alone()
    }
}

/// The same without threads: to count the processors reads half a dozen files.
pub fn unpack_alone() -> UnpackOptions {
    UnpackOptions {
        single_id: home::is_single_id(),
        ..UnpackOptions::default()
    }
}

/// Threads beyond a few wait for the disk only.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().min(4))
}

/// In the role that reads it: a descriptor from before the fork is closed there.
fn open(input: &Input) -> Result<(File, String), RoleFailure> {
    let (file, source) = match input {
        Input::Stdin => {
            let stdin = std::io::stdin().as_fd().try_clone_to_owned();
            (stdin.map(File::from), "-".to_owned())
        }
        Input::File(path) => (File::open(path), path.display().to_string()),
    };
    let file = file.map_err(|error| RoleFailure {
        message: format!("open {source}: {error}"),
        hints: Vec::new(),
    })?;
    Ok((file, source))
}

fn remove_hints(error: &image::RemoveImageError, text: &str) -> Vec<String> {
    use image::RemoveImageError as Refused;
    match error {
        Refused::Running { container, .. } => vec![format!("bryo rm -f {container}")],
        Refused::NameInUse { container, .. } | Refused::Stopped { container, .. } => {
            vec![
                format!("bryo rm {container}"),
                format!("bryo rmi -f {text}"),
            ]
        }
        Refused::SeveralNames { .. } => vec![format!("bryo rmi -f {text}")],
        _ => Vec::new(),
    }
}
