//! `build --output`, `--push`, `--load`: what becomes of what was built. Parses words and asks the engine; writes nothing itself.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::build::Built;
use crate::build::dockerfile::record;
use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind};
use crate::cli::progress::Bars;
use crate::engine::images::TreeOutput;
use crate::engine::push::PushRequest;
use crate::engine::request::SaveRequest;
use crate::engine::{Engine, EngineError};
use crate::image::{Digest, Platform, Reference, Said, SaveFormat, statement};
use crate::registry::{Progress, PushOptions, Silent};
use crate::sys::fs;

/// What is brought somewhere.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    pub built: &'a [(Option<Platform>, Built)],
    /// Of each.
    pub said: &'a [Said],
    /// The names that it is to get.
    pub given: &'a [Reference],
}

/// One place where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Into the store, and from there to its registries.
    Image {
        names: Vec<Reference>,
        push: bool,
    },
    Tree(TreeOutput),
    Archive {
        names: Vec<Reference>,
        format: SaveFormat,
        /// None: standard output.
        to: Option<PathBuf>,
    },
    /// Only what the next build need not do again.
    Nothing,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    #[error("a quote has no end")]
    Form,
    #[error("type is required for output")]
    Type,
    #[error("type {kind} is not known: local, tar, oci, docker, image, registry and cacheonly are")]
    Kind { kind: String },
    #[error("field {field:?} is not known for type={kind}")]
    Field { kind: String, field: String },
    #[error("dest is required for type={kind}")]
    Destination { kind: String },
    #[error("{text:?} is neither true nor false")]
    Bool { text: String },
    #[error("name {text:?}: {source}")]
    Name {
        text: String,
        source: crate::image::ReferenceError,
    },
}

/// The fields that are left are unknown ones.
struct Fields {
    kind: String,
    fields: Vec<(String, String)>,
}

impl Fields {
    fn take(&mut self, key: &str) -> Option<String> {
        let at = self.fields.iter().position(|(known, _)| known == key)?;
        Some(self.fields.remove(at).1)
    }

    fn take_bool(&mut self, key: &str, without: bool) -> Result<bool, OutputError> {
        match self.take(key).as_deref() {
            None => Ok(without),
            Some("true" | "1" | "") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(text) => Err(OutputError::Bool {
                text: text.to_owned(),
            }),
        }
    }

    fn take_names(&mut self) -> Result<Vec<Reference>, OutputError> {
        let text = self.take("name").unwrap_or_default();
        let names = text.split(',').filter(|name| !name.is_empty());
        names
            .map(|name| {
                name.parse().map_err(|source| OutputError::Name {
                    text: name.to_owned(),
                    source,
                })
            })
            .collect()
    }

    /// None is standard output.
    fn take_destination(&mut self) -> Option<PathBuf> {
        let path = self.take("dest").filter(|path| path != "-");
        path.map(PathBuf::from)
    }

    fn end(self) -> Result<(), OutputError> {
        match self.fields.into_iter().next() {
            None => Ok(()),
            Some((field, _)) => Err(OutputError::Field {
                kind: self.kind,
                field,
            }),
        }
    }
}

impl FromStr for Output {
    type Err = OutputError;

    fn from_str(text: &str) -> Result<Output, OutputError> {
        if !text.contains('=') {
            return Ok(Output::Tree(match text {
                "-" => TreeOutput::Tar(None),
                path => TreeOutput::Directory(path.into()),
            }));
        }
        let fields = record(text).ok_or(OutputError::Form)?;
        let fields = fields.into_iter().map(|(_, field)| {
            let (key, value) = field.split_once('=').unwrap_or((&field, ""));
            (key.trim().to_ascii_lowercase(), value.to_owned())
        });
        let mut fields = Fields {
            kind: String::new(),
            fields: fields.collect(),
        };
        fields.kind = fields.take("type").ok_or(OutputError::Type)?;
        let output = match fields.kind.as_str() {
            "local" => match fields.take_destination() {
                Some(path) => Output::Tree(TreeOutput::Directory(path)),
                None => {
                    let kind = fields.kind.clone();
                    return Err(OutputError::Destination { kind });
                }
            },
            "tar" => Output::Tree(TreeOutput::Tar(fields.take_destination())),
            "oci" => {
                let format = match fields.take_bool("tar", true)? {
                    true => SaveFormat::OciArchive,
                    false => SaveFormat::OciDir,
                };
                archive(&mut fields, format)?
            }
            // Without a place it is what `--load` means.
            "docker" if !fields.fields.iter().any(|(key, _)| key == "dest") => Output::Image {
                names: fields.take_names()?,
                push: false,
            },
            "docker" => archive(&mut fields, SaveFormat::DockerArchive)?,
            "image" => Output::Image {
                names: fields.take_names()?,
                push: fields.take_bool("push", false)?,
            },
            "registry" => Output::Image {
                names: fields.take_names()?,
                push: true,
            },
            "cacheonly" => Output::Nothing,
            kind => {
                return Err(OutputError::Kind {
                    kind: kind.to_owned(),
                });
            }
        };
        fields.end()?;
        Ok(output)
    }
}

fn archive(fields: &mut Fields, format: SaveFormat) -> Result<Output, OutputError> {
    let names = fields.take_names()?;
    let to = fields.take_destination();
    if to.is_none() && format.is_directory() {
        let kind = fields.kind.clone();
        return Err(OutputError::Destination { kind });
    }
    Ok(Output::Archive { names, format, to })
}

impl Output {
    pub fn is_on_stdout(&self) -> bool {
        matches!(
            self,
            Output::Tree(TreeOutput::Tar(None)) | Output::Archive { to: None, .. }
        )
    }

    pub fn is_image(&self) -> bool {
        matches!(self, Output::Image { .. })
    }

    /// Images for several platforms can go there.
    pub fn takes_several(&self) -> bool {
        matches!(
            self,
            Output::Image { push: true, .. }
                | Output::Tree(TreeOutput::Directory(_))
                | Output::Nothing
        )
    }

    /// There is a place for what is said of an image.
    pub fn takes_statements(&self) -> bool {
        match self {
            Output::Image { push, .. } => *push,
            Output::Tree(to) => matches!(to, TreeOutput::Directory(_)),
            Output::Archive { format, .. } => {
                matches!(format, SaveFormat::OciArchive | SaveFormat::OciDir)
            }
            Output::Nothing => false,
        }
    }

    /// The names that the image gets in the store for it.
    pub fn store_names<'a>(&'a self, given: &'a [Reference]) -> &'a [Reference] {
        match self {
            Output::Image { names, .. } if !names.is_empty() => names,
            Output::Image { .. } => given,
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
        let Delivery { built, said, given } = *delivery;
        let failed = |error: EngineError| CliError::engine(Kind::Failed, &error);
        match self {
            Output::Image { push: false, .. } | Output::Nothing => Ok(None),
            Output::Image { push: true, .. } => {
                let mut pushed = None;
                let bars = Bars::new(&invocation.ui);
                let progress: &dyn Progress = if quiet { &Silent } else { &bars };
                for name in self.store_names(given) {
                    let digest = pushed_as(engine, built, said, name, progress).map_err(failed)?;
                    if !quiet {
                        invocation.ui.note(&format!("pushed {name}@{digest}"));
                    }
                    pushed = Some(digest);
                }
                Ok(pushed)
            }
            Output::Tree(to) => {
                for ((platform, one), said) in built.iter().zip(said) {
                    let to = match (to, platform) {
                        (TreeOutput::Directory(path), Some(platform)) if built.len() > 1 => {
                            let name = directory_of(platform);
                            TreeOutput::Directory(path.join(name))
                        }
                        (to, _) => to.clone(),
                    };
                    let warnings = engine.export_tree(&one.image.id, &to).map_err(failed)?;
                    for warning in warnings {
                        invocation.ui.warning(&warning);
                    }
                    if let TreeOutput::Directory(path) = &to {
                        write_statements(path, one, said)?;
                    }
                }
                Ok(None)
            }
            Output::Archive { names, format, to } => {
                let names = if names.is_empty() { given } else { names };
                let request = SaveRequest {
                    images: Vec::new(),
                    output: to.clone(),
                    platform: None,
                    format: *format,
                    compress: false,
                    require_digest: false,
                };
                for ((_, one), said) in built.iter().zip(said) {
                    let said = match self.takes_statements() {
                        true => said.clone(),
                        false => Said::default(),
                    };
                    let notes = engine
                        .save_image_as(&one.image, names, said, &request)
                        .map_err(failed)?;
                    for note in notes.iter().filter(|_| !quiet) {
                        invocation.ui.note(note);
                    }
                }
                Ok(None)
            }
        }
    }
}

/// Each in a file of its own, by BuildKit's names.
fn write_statements(directory: &Path, built: &Built, said: &Said) -> Result<(), CliError> {
    for predicate in &said.predicates {
        let name = match predicate.kind.starts_with("https://spdx.dev/") {
            true => "sbom.spdx.json",
            false => "provenance.json",
        };
        let statement = statement(predicate, &said.names, &built.image.manifest);
        // What an image left there, also as a link, is replaced and not written through.
        let path = directory.join(name);
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

/// One image under its name; several under their digests, and an index of them.
fn pushed_as(
    engine: &Engine,
    built: &[(Option<Platform>, Built)],
    said: &[Said],
    name: &Reference,
    progress: &dyn Progress,
) -> Result<Digest, EngineError> {
    let is_silent = said.iter().all(|said| said.predicates.is_empty());
    if let ([(_, one)], true) = (built, is_silent) {
        let request = PushRequest {
            image: one.image.id.to_string(),
            target: name.clone(),
            options: PushOptions::default(),
            platform: None,
        };
        return Ok(engine.push(&request, progress)?.digest);
    }
    let images = built.iter().zip(said);
    let images: Vec<(Digest, Said)> = images
        .map(|((_, one), said)| (one.image.id.clone(), said.clone()))
        .collect();
    engine.push_index(&images, name, progress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_a_path_or_a_type_with_fields() {
        let directory = Output::Tree(TreeOutput::Directory("out".into()));
        assert_eq!("out".parse(), Ok(directory.clone()));
        assert_eq!("type=local,dest=out".parse(), Ok(directory));
        for text in ["-", "type=tar", "type=tar,dest=-"] {
            assert_eq!(text.parse(), Ok(Output::Tree(TreeOutput::Tar(None))));
        }
        let oci: Result<Output, OutputError> = "type=oci".parse();
        assert!(oci.is_ok_and(|output| output.is_on_stdout()));
        let image = |push| Output::Image {
            names: vec!["a".parse().expect("a name"), "b:1".parse().expect("one")],
            push,
        };
        assert_eq!("type=registry,\"name=a,b:1\"".parse(), Ok(image(true)));
        assert_eq!(
            "type=image,\"name=a,b:1\",push=false".parse(),
            Ok(image(false))
        );
        for (text, error) in [
            ("dest=x", OutputError::Type),
            (
                "type=oci,tar=false",
                OutputError::Destination {
                    kind: "oci".to_owned(),
                },
            ),
            (
                "type=local,dest=-",
                OutputError::Destination {
                    kind: "local".to_owned(),
                },
            ),
            (
                "type=tar,dest=x,y=z",
                OutputError::Field {
                    kind: "tar".to_owned(),
                    field: "y".to_owned(),
                },
            ),
            (
                "type=s3",
                OutputError::Kind {
                    kind: "s3".to_owned(),
                },
            ),
        ] {
            assert_eq!(text.parse::<Output>(), Err(error), "{text}");
        }
    }
}
