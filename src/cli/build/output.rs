//! `build --output`, `--push`, `--load`: what becomes of what was built. Asks the engine; writes nothing itself but what is said of it.

use std::path::{Path, PathBuf};

use super::annotations::Annotation;
use crate::build::Built;
use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind};
use crate::cli::progress::Bars;
use crate::engine::images::{Tree, TreeOutput};
use crate::engine::push::PushRequest;
use crate::engine::request::{SaveRequest, TagRequest};
use crate::engine::{Engine, EngineError};
use crate::image::{
    Digest, Index, LayerForm, Method, Platform, Reference, Said, SaveFormat, statement,
};
use crate::registry::{Packing, Progress, PushOptions};
use crate::sys::fs;

/// What is brought somewhere.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    pub built: &'a [(Option<Platform>, Built)],
    /// All of it, with what is said.
    pub index: &'a Index,
    /// The digest that it has in the store, and the one by which it is found there.
    pub stored: &'a Digest,
    pub found_by: &'a Digest,
    /// The names that it is to get.
    pub given: &'a [Reference],
    /// What an OCI layout says of it.
    pub noted: &'a std::collections::BTreeMap<String, String>,
}

/// In what form layers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    pub packing: Packing,
    /// Those of the base image, too.
    pub force: bool,
}

/// One place where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Image(ImageOutput),
    Files(FilesOutput),
    Archive(ArchiveOutput),
    /// Only what the next build need not do again.
    Nothing,
}

/// Into the store, and from there to its registries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageOutput {
    pub names: Vec<Reference>,
    pub push: bool,
    /// Pushed without a tag.
    pub by_digest: bool,
    /// It stays in the store.
    pub is_kept: bool,
    /// It gets a name by its digest, too.
    pub is_canonical: bool,
    /// One without a name gets one by its digest in this repository.
    pub dangling: Option<Reference>,
    pub packed: Option<Packed>,
    pub oci_types: Option<bool>,
    pub annotations: Vec<Annotation>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesOutput {
    pub to: TreeOutput,
    /// A directory for each platform; None: if there are several.
    pub split: Option<bool>,
    /// Of the names of what is said.
    pub prefix: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveOutput {
    pub names: Vec<Reference>,
    pub format: SaveFormat,
    /// None: standard output.
    pub to: Option<PathBuf>,
    pub packed: Option<Packed>,
    pub oci_types: Option<bool>,
    pub annotations: Vec<Annotation>,
}

impl FilesOutput {
    pub fn new(to: TreeOutput) -> FilesOutput {
        FilesOutput {
            to,
            split: None,
            prefix: String::new(),
        }
    }

    fn splits(&self, built: &[(Option<Platform>, Built)]) -> bool {
        self.split.unwrap_or(built.len() > 1)
    }
}

fn failed(error: EngineError) -> CliError {
    CliError::engine(Kind::Failed, &error)
}

impl Output {
    pub fn is_on_stdout(&self) -> bool {
        let none = |to: &Option<PathBuf>| to.is_none();
        match self {
            Output::Files(files) => matches!(files.to, TreeOutput::Tar(None)),
            Output::Archive(archive) => none(&archive.to),
            _ => false,
        }
    }

    /// The image stays in the store for it.
    pub fn keeps_image(&self) -> bool {
        matches!(self, Output::Image(image) if image.is_kept)
    }

    /// There is a place for an index: several images, and what is said of one.
    pub fn takes_index(&self) -> bool {
        match self {
            Output::Archive(archive) => archive.format != SaveFormat::DockerArchive,
            _ => true,
        }
    }

    /// There is a place for what is said of an image.
    pub fn takes_statements(&self) -> bool {
        match self {
            Output::Image(_) => true,
            Output::Files(files) => matches!(files.to, TreeOutput::Directory(_)),
            Output::Archive(_) => self.takes_index(),
            Output::Nothing => false,
        }
    }

    /// Media types of OCI or docker's, where something is said of them.
    pub fn oci_types(&self) -> Option<bool> {
        match self {
            Output::Image(image) => image.oci_types,
            Output::Archive(archive) => archive.oci_types,
            _ => None,
        }
    }

    pub fn annotations(&self) -> &[Annotation] {
        match self {
            Output::Image(image) => &image.annotations,
            Output::Archive(archive) => &archive.annotations,
            _ => &[],
        }
    }

    /// The names that the image gets in the store for it.
    pub fn store_names<'a>(&'a self, given: &'a [Reference]) -> &'a [Reference] {
        match self {
            Output::Image(image) => own_or(&image.names, given),
            _ => &[],
        }
    }

    /// What is done once the image is in the store; the digest that a registry knows it by.
    pub fn write(
        &self,
        engine: &Engine,
        delivery: &Delivery<'_>,
        quiet: bool,
        invocation: &Invocation,
    ) -> Result<Option<Digest>, CliError> {
        match self {
            Output::Nothing => Ok(None),
            Output::Image(image) => image.write(engine, delivery, quiet, invocation),
            Output::Files(files) => files.write(engine, delivery, invocation).map(|()| None),
            Output::Archive(archive) => {
                archive.write(engine, delivery, quiet, invocation)?;
                Ok(None)
            }
        }
    }
}

/// The names that an output says itself, else those of the build.
fn own_or<'a>(own: &'a [Reference], given: &'a [Reference]) -> &'a [Reference] {
    match own.is_empty() {
        true => given,
        false => own,
    }
}

impl ImageOutput {
    fn write(
        &self,
        engine: &Engine,
        delivery: &Delivery<'_>,
        quiet: bool,
        invocation: &Invocation,
    ) -> Result<Option<Digest>, CliError> {
        let names = own_or(&self.names, delivery.given);
        let by_digest = names.iter().filter(|_| self.is_canonical);
        let nameless = self.dangling.iter().filter(|_| names.is_empty());
        for name in by_digest.chain(nameless).filter(|_| self.is_kept) {
            let request = TagRequest {
                source: delivery.found_by.to_string(),
                target: name.with_digest(delivery.stored.clone()),
            };
            engine.tag_image(&request).map_err(failed)?;
        }
        let mut pushed = None;
        let bars = Bars::new(&invocation.ui);
        let progress = bars.unless(quiet);
        for name in names.iter().filter(|_| self.push) {
            let digest = self.pushed_as(engine, delivery.index, name, progress);
            let digest = digest.map_err(failed)?;
            if !quiet {
                invocation.ui.note(&format!("pushed {name}@{digest}"));
            }
            pushed = Some(digest);
        }
        Ok(pushed)
    }

    /// One image under its name; several under their digests, and an index of them.
    fn pushed_as(
        &self,
        engine: &Engine,
        index: &Index,
        name: &Reference,
        progress: &dyn Progress,
    ) -> Result<Digest, EngineError> {
        let options = PushOptions {
            packing: self.packed.map(|packed| packed.packing),
            keeps_others: self.packed.is_some_and(|packed| !packed.force),
            untagged: self.by_digest,
            ..PushOptions::default()
        };
        let outcome = match &index.images[..] {
            [one] if !index.is_needed() => {
                let request = PushRequest {
                    image: one.id.to_string(),
                    target: name.clone(),
                    options,
                    platform: None,
                    manifest: Some(one.manifest.clone()),
                };
                engine.push(&request, progress)?
            }
            _ => engine.push_index(index, name, &options, progress)?,
        };
        Ok(outcome.digest)
    }
}

impl FilesOutput {
    fn write(
        &self,
        engine: &Engine,
        delivery: &Delivery<'_>,
        invocation: &Invocation,
    ) -> Result<(), CliError> {
        let Delivery { built, index, .. } = *delivery;
        let splits = self.splits(built);
        let directory = |platform: &Option<Platform>| match splits {
            true => directory_of(platform.as_ref().unwrap_or(&Platform::host())),
            false => String::new(),
        };
        let trees: Vec<Tree> = built
            .iter()
            .map(|(platform, one)| Tree {
                image: one.image.id.clone(),
                below: directory(platform),
            })
            .collect();
        let warnings = engine.export_trees(&trees, &self.to).map_err(failed)?;
        for warning in warnings {
            invocation.ui.warning(&warning);
        }
        let TreeOutput::Directory(path) = &self.to else {
            return Ok(());
        };
        for ((platform, one), image) in built.iter().zip(&index.images) {
            // BuildKit's names, with the platform where all are in one directory.
            let ending = match platform {
                Some(platform) if !splits && self.split.is_some() => {
                    format!(".{}", directory_of(platform))
                }
                _ => String::new(),
            };
            let path = path.join(directory(platform));
            write_statements(&path, (&self.prefix, &ending), one, &image.said)?;
        }
        Ok(())
    }
}

impl ArchiveOutput {
    fn write(
        &self,
        engine: &Engine,
        delivery: &Delivery<'_>,
        quiet: bool,
        invocation: &Invocation,
    ) -> Result<(), CliError> {
        let names = own_or(&self.names, delivery.given);
        let request = SaveRequest {
            images: Vec::new(),
            output: self.to.clone(),
            platform: None,
            format: self.format,
            compress: false,
            require_digest: false,
            form: self.packed.map(form),
        };
        let mut index = delivery.index.clone();
        if self.format == SaveFormat::DockerArchive {
            for image in &mut index.images {
                image.said = Said::default();
            }
        }
        let notes = engine.save_index_as(index, names, delivery.noted, &request);
        for note in notes.map_err(failed)?.iter().filter(|_| !quiet) {
            invocation.ui.note(note);
        }
        Ok(())
    }
}

fn form(packed: Packed) -> LayerForm {
    LayerForm {
        method: match packed.packing {
            Packing::None => None,
            Packing::Gzip(level) => Some(Method::Gzip(level)),
            Packing::Zstd(level) | Packing::ZstdChunked(level) => Some(Method::Zstd(level)),
        },
        force: packed.force,
    }
}

/// Each in a file of its own, by BuildKit's names.
fn write_statements(
    directory: &Path,
    (prefix, ending): (&str, &str),
    built: &Built,
    said: &Said,
) -> Result<(), CliError> {
    for predicate in &said.predicates {
        let name = match predicate.kind.starts_with("https://spdx.dev/") {
            true => "sbom.spdx",
            false => "provenance",
        };
        let statement = statement(predicate, &said.names, &built.image.manifest);
        // What an image left there, also as a link, is replaced and not written through.
        let path = directory.join(format!("{prefix}{name}{ending}.json"));
        let written = fs::replace_file(&path, format!("{statement:#}\n").as_bytes());
        written.map_err(|error| {
            let path = path.display();
            CliError::new(Kind::Failed, format!("write {path}: {error}"))
        })?;
    }
    Ok(())
}

/// BuildKit's `linux_arm_v7`; that of arm64 is left out, as there is no other.
fn directory_of(platform: &Platform) -> String {
    let Platform {
        os,
        architecture,
        variant,
    } = platform;
    match variant.as_deref() {
        Some(variant) if (architecture.as_str(), variant) != ("arm64", "v8") => {
            format!("{os}_{architecture}_{variant}")
        }
        _ => format!("{os}_{architecture}"),
    }
}
