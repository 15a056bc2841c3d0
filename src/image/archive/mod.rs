//! Images out of archives: `load` for what `docker save` and OCI tools write, plain or compressed, from a file or a
//! stream. Everything in an archive is input from outside: bounded, and verified by digest.

mod docker;
mod docker_v1;
mod indexed;
mod members;
mod oci;
mod unpacking;

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use oci_spec::image::ImageConfiguration;
use serde::{Deserialize, Serialize};

use super::compression::{Compression, Decompressed};
use super::digest::Digest;
use super::document::DocumentError;
use super::layer::make_locked;
use super::platform::Platform;
use super::reference::{Reference, ReferenceError};
use super::store::{Store, StoreError};
use super::tar::TarError;
use super::unpack::{UnpackError, UnpackOptions};
use crate::sys::{fault, fs};
use members::Members;

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("{operation} {subject}: {source}")]
    Io {
        operation: &'static str,
        subject: String,
        source: io::Error,
    },
    #[error("{archive}: {source}")]
    Tar { archive: String, source: TarError },
    #[error(
        "{archive} holds neither a docker archive (manifest.json) nor an OCI layout (index.json)"
    )]
    NoImages { archive: String },
    #[error("the parents of {image} are more than {most} layers, or a circle")]
    Chain { image: String, most: usize },
    #[error("load {archive}: {source}")]
    Refused {
        archive: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{archive} is a root filesystem, not an image: \"bryo import\" makes an image of it")]
    RootFilesystem { archive: String },
    #[error("{archive} has no member {member:?}, which {by} names")]
    MissingMember {
        archive: String,
        member: String,
        by: String,
    },
    #[error("{archive}: member {member:?} is not a plain path to a file of the archive")]
    Member { archive: String, member: String },
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error("{image}: {listed} layers in the config, {found} in the manifest")]
    LayerCount {
        image: String,
        listed: usize,
        found: usize,
    },
    #[error("layer {member}: {source}")]
    Layer { member: String, source: UnpackError },
    #[error("layer {member} has DiffID {found}, its image says {expected}")]
    DiffId {
        member: String,
        expected: Digest,
        found: Digest,
    },
    #[error("{member}: {source}")]
    Content { member: String, source: io::Error },
    #[error("the name of an image: {0}")]
    Name(#[from] ReferenceError),
    #[error("{index} has no image for {platform}; it has {offered}")]
    Platform {
        index: String,
        platform: Platform,
        offered: String,
    },
    #[error("image {image} is for {found}, not for {wanted}")]
    OtherPlatform {
        image: Digest,
        found: String,
        wanted: String,
    },
    #[error("{archive} has no image {wanted}")]
    NotThere { archive: String, wanted: String },
    #[error("{index}: indexes inside indexes inside indexes")]
    Nesting { index: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One image that was loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    pub id: Digest,
    /// The names the archive gave it; without any, the id is what docker prints.
    pub names: Vec<Reference>,
    pub warnings: Vec<String>,
}

/// How an archive is loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// The file's name, or `-`: for messages.
    pub source: String,
    /// Images for another one are not loaded; absent, the host's is preferred where there is a choice.
    pub platform: Option<Platform>,
    /// Of a layout only this image, and without its names.
    pub only: Option<OneImage>,
    pub unpack: UnpackOptions,
    /// Layers that are unpacked at the same time; 1 where threads are not allowed.
    pub parallel: usize,
}

/// Which image of a layout: the one of this digest, else of this tag, else `latest` or the only one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OneImage {
    pub tag: Option<String>,
    pub digest: Option<Digest>,
}

/// Says whether an image may come in under these names; an image without a name has none.
pub type Judge<'a> =
    &'a (dyn Fn(&[Reference]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> + Sync);

/// Loads all images of an archive; names go to them as `docker load` does. Runs in the home namespace.
pub fn load(
    store: &Store,
    input: File,
    options: &LoadOptions,
    judge: Judge<'_>,
) -> Result<Vec<Loaded>, ArchiveError> {
    store.sweep()?;
    let _lease = store.lease()?;
    let spool;
    let members = if input.metadata().is_ok_and(|meta| meta.is_dir()) {
        Members::of_directory(OwnedFd::from(input), &options.source)
    } else {
        spool = Spool::of(store, input, options)?;
        Members::read(&spool.file, &options.source)?
    };
    let mut job = Job {
        store,
        members: &members,
        options,
        judge,
        blobs: "blobs/sha256/",
    };
    if let Some(one) = &options.only {
        return oci::load_only(&job, one).map(|loaded| vec![loaded]);
    }
    let has_both = members.has("manifest.json") && members.has("index.json");
    if has_both && indexed::is_anywhere(&job)? {
        return oci::load(&job);
    }
    if members.has("manifest.json") {
        if !members.has("version") || members.has("index.json") {
            return docker::load(&job);
        }
        job.blobs = "";
        return oci::load_bare(&job);
    }
    if members.has("index.json") {
        return oci::load(&job);
    }
    let archive = options.source.clone();
    if ["etc", "bin", "usr"]
        .iter()
        .any(|name| members.has_directory(name))
    {
        return Err(ArchiveError::RootFilesystem { archive });
    }
    let loaded = docker_v1::load(&job)?;
    match loaded.is_empty() {
        true => Err(ArchiveError::NoImages { archive }),
        false => Ok(loaded),
    }
}

/// What the two formats need in common.
struct Job<'a> {
    store: &'a Store,
    members: &'a Members<'a>,
    options: &'a LoadOptions,
    judge: Judge<'a>,
    /// What stands before the digits of a blob's digest in its name.
    blobs: &'static str,
}

impl Job<'_> {
    fn blob_name(&self, digest: &Digest) -> String {
        format!("{}{}", self.blobs, digest.hex())
    }

    /// Before anything of it is stored.
    fn admit(&self, names: &[Reference]) -> Result<(), ArchiveError> {
        (self.judge)(names).map_err(|source| ArchiveError::Refused {
            archive: self.options.source.clone(),
            source,
        })
    }

    /// Refuses an image for another platform than the one asked for.
    fn check_platform(&self, id: &Digest, config: &ImageConfiguration) -> Result<(), ArchiveError> {
        let found = Platform::of_config(config);
        match &self.options.platform {
            Some(wanted) if wanted.rank(&found).is_none() => Err(ArchiveError::OtherPlatform {
                image: id.clone(),
                found: found.to_string(),
                wanted: wanted.to_string(),
            }),
            _ => Ok(()),
        }
    }
}

/// The archive as a plain tar that can be read at any position: the input itself, or a copy below the store that goes
/// away with this (by the next sweep after a crash).
struct Spool {
    file: File,
    directory: Option<(PathBuf, OwnedFd)>,
}

impl Spool {
    fn of(store: &Store, mut input: File, options: &LoadOptions) -> Result<Spool, ArchiveError> {
        let error = |operation| {
            let subject = options.source.clone();
            move |source| ArchiveError::Io {
                operation,
                subject,
                source,
            }
        };
        let metadata = input.metadata().map_err(error("look at"))?;
        if metadata.is_file() && input.stream_position().is_ok_and(|position| position == 0) {
            let mut start = [0; 8];
            let count = input.read(&mut start).map_err(error("read"))?;
            input.rewind().map_err(error("read"))?;
            let compression = Compression::detect(&start[..count]).map_err(io::Error::other);
            if compression.map_err(error("read"))? == Compression::None {
                return Ok(Spool {
                    file: input,
                    directory: None,
                });
            }
        }
        let (path, lock) = make_locked(&store.layers).map_err(error("spool"))?;
        let mut spool = Spool {
            file: input,
            directory: Some((path.clone(), lock)),
        };
        fault::at("make spool").map_err(|errno| error("spool")(errno.into()))?;
        let copy = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path.join("archive"));
        let mut copy = copy.map_err(error("spool"))?;
        let mut plain = Decompressed::new(&spool.file).map_err(error("read"))?;
        io::copy(&mut plain, &mut copy).map_err(error("read"))?;
        drop(plain);
        spool.file = copy;
        Ok(spool)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Some((path, _lock)) = &self.directory {
            // What stays is unlocked rubbish for the next sweep.
            let _ = fs::remove_path(path);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
