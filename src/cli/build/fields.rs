//! The words of `build --output`: a type with fields, each of which means something or is refused by its name. Pure.

use std::path::PathBuf;
use std::str::FromStr;

use super::annotations::{Annotation, AnnotationError, Annotations};
use super::output::{ArchiveOutput, FilesOutput, ImageOutput, Output, Packed};
use crate::build::dockerfile::record;
use crate::config::parse_bool;
use crate::engine::images::TreeOutput;
use crate::image::{GZIP_LEVEL, Reference, SaveFormat, ZSTD_LEVEL};
use crate::registry::Packing;

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
    #[error("{field}: {reason}")]
    Refused { field: String, reason: &'static str },
    #[error("dest is required for type={kind}")]
    Destination { kind: String },
    #[error("{text:?} is neither true nor false")]
    Bool { text: String },
    #[error("name {text:?}: {source}")]
    Name {
        text: String,
        source: crate::image::ReferenceError,
    },
    #[error("compression {text:?} is not known: uncompressed, gzip and zstd are")]
    Compression { text: String },
    #[error("compression-level {text:?}: from 1 to {most}")]
    Level { text: String, most: i32 },
    #[error(transparent)]
    Annotation(#[from] AnnotationError),
}

/// What BuildKit has, and this program has not.
const REFUSED: [(&str, &str); 8] = [
    (
        "registry.insecure",
        "which registries are asked by http stands in config.toml",
    ),
    (
        "oci-artifact",
        "attestations are images, as every registry takes them",
    ),
    (
        "buildinfo",
        "BuildKit has none any more: --provenance says it",
    ),
    (
        "buildinfo-attrs",
        "BuildKit has none any more: --provenance says it",
    ),
    (
        "build-info",
        "BuildKit has none any more: --provenance says it",
    ),
    ("nydus-fs-version", "there is no nydus here"),
    (
        "context",
        "an image goes into one store: docker's contexts mean nothing here",
    ),
    (
        "prefer-nondist-layers",
        "layers that no registry may have are not written",
    ),
];

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

    /// A field without a value says yes.
    fn take_choice(&mut self, key: &str) -> Result<Option<bool>, OutputError> {
        let Some(text) = self.take(key) else {
            return Ok(None);
        };
        let said = match text.as_str() {
            "" => Some(true),
            text => parse_bool(text),
        };
        said.map(Some).ok_or(OutputError::Bool { text })
    }

    fn take_bool(&mut self, key: &str, without: bool) -> Result<bool, OutputError> {
        Ok(self.take_choice(key)?.unwrap_or(without))
    }

    fn take_names(&mut self) -> Result<Vec<Reference>, OutputError> {
        let text = self.take("name").unwrap_or_default();
        let names = text.split(',').filter(|name| !name.is_empty());
        names.map(parsed).collect()
    }

    /// None is standard output.
    fn take_destination(&mut self) -> Option<PathBuf> {
        let path = self.take("dest").filter(|path| path != "-");
        path.map(PathBuf::from)
    }

    fn take_annotations(&mut self) -> Result<Vec<Annotation>, OutputError> {
        let mut found = Vec::new();
        let mut rest = Vec::new();
        for (key, value) in std::mem::take(&mut self.fields) {
            match Annotations::of_field(&key, &value) {
                Some(annotation) => found.push(annotation?),
                None => rest.push((key, value)),
            }
        }
        self.fields = rest;
        Ok(found)
    }

    fn take_packed(&mut self) -> Result<Option<Packed>, OutputError> {
        let text = self.take("compression");
        let level = self.take("compression-level");
        let force = self.take_bool("force-compression", false)?;
        let within = |most: i32, usual: i32| match &level {
            None => Ok(usual),
            Some(text) => {
                let level = text.parse().ok();
                let level = level.filter(|level| (1..=most).contains(level));
                level.ok_or_else(|| OutputError::Level {
                    text: text.clone(),
                    most,
                })
            }
        };
        let gzip = || -> Result<Packing, OutputError> {
            Ok(Packing::Gzip(within(9, GZIP_LEVEL as i32)?.unsigned_abs()))
        };
        let packing = match text.as_deref() {
            None if level.is_none() && !force => return Ok(None),
            None | Some("gzip") => gzip()?,
            Some("zstd") => Packing::Zstd(within(22, ZSTD_LEVEL)?),
            Some("uncompressed") if level.is_some() => {
                return Err(OutputError::Refused {
                    field: "compression-level".to_owned(),
                    reason: "what is uncompressed has none",
                });
            }
            Some("uncompressed") => Packing::None,
            Some("estargz") => {
                return Err(OutputError::Refused {
                    field: "compression=estargz".to_owned(),
                    reason: "gzip and zstd are written, and nothing here reads a layer in part",
                });
            }
            Some(text) => {
                let text = text.to_owned();
                return Err(OutputError::Compression { text });
            }
        };
        Ok(Some(Packed { packing, force }))
    }

    /// What all images may have, wherever they go.
    fn take_common(&mut self) -> Result<OfImage, OutputError> {
        if self.take_choice("rewrite-timestamp")? == Some(false) {
            return Err(OutputError::Refused {
                field: "rewrite-timestamp=false".to_owned(),
                reason: "with SOURCE_DATE_EPOCH nothing that is built is newer than that, and without it no time is rewritten",
            });
        }
        Ok(OfImage {
            names: self.take_names()?,
            packed: self.take_packed()?,
            oci_types: self.take_choice("oci-mediatypes")?,
            annotations: self.take_annotations()?,
        })
    }

    fn end(self) -> Result<(), OutputError> {
        let Some((field, _)) = self.fields.into_iter().next() else {
            return Ok(());
        };
        match REFUSED.into_iter().find(|(name, _)| *name == field) {
            Some((_, reason)) => Err(OutputError::Refused { field, reason }),
            None => Err(OutputError::Field {
                kind: self.kind,
                field,
            }),
        }
    }
}

/// The fields that every image may have.
struct OfImage {
    names: Vec<Reference>,
    packed: Option<Packed>,
    oci_types: Option<bool>,
    annotations: Vec<Annotation>,
}

fn parsed(name: &str) -> Result<Reference, OutputError> {
    name.parse().map_err(|source| OutputError::Name {
        text: name.to_owned(),
        source,
    })
}

impl FromStr for Output {
    type Err = OutputError;

    fn from_str(text: &str) -> Result<Output, OutputError> {
        if !text.contains('=') {
            return Ok(Output::Files(FilesOutput::new(match text {
                "-" => TreeOutput::Tar(None),
                path => TreeOutput::Directory(path.into()),
            })));
        }
        let fields = record(text).ok_or(OutputError::Form)?;
        let fields = fields.into_iter().map(|(_, field)| {
            let (key, value) = field.split_once('=').unwrap_or((&field, ""));
            let key = key.trim();
            // The name of an annotation is what it is.
            let key = match key.to_ascii_lowercase() {
                lower if lower.starts_with("annotation") => key.to_owned(),
                lower => lower,
            };
            (key, value.to_owned())
        });
        let mut fields = Fields {
            kind: String::new(),
            fields: fields.collect(),
        };
        fields.kind = fields.take("type").ok_or(OutputError::Type)?;
        let output = match fields.kind.as_str() {
            "local" => match fields.take_destination() {
                Some(path) => files(&mut fields, TreeOutput::Directory(path))?,
                None => {
                    let kind = fields.kind.clone();
                    return Err(OutputError::Destination { kind });
                }
            },
            "tar" => {
                let to = TreeOutput::Tar(fields.take_destination());
                files(&mut fields, to)?
            }
            "oci" => {
                let format = match fields.take_bool("tar", true)? {
                    true => SaveFormat::OciArchive,
                    false => SaveFormat::OciDir,
                };
                archive(&mut fields, format)?
            }
            // Without a place it is what `--load` means.
            "docker" if !fields.fields.iter().any(|(key, _)| key == "dest") => {
                image(&mut fields, false)?
            }
            "docker" => {
                if !fields.take_bool("tar", true)? {
                    return Err(OutputError::Refused {
                        field: "tar=false".to_owned(),
                        reason: "docker's format is an archive; type=oci,tar=false is a directory",
                    });
                }
                archive(&mut fields, SaveFormat::DockerArchive)?
            }
            "image" => image(&mut fields, false)?,
            "registry" => image(&mut fields, true)?,
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

fn files(fields: &mut Fields, to: TreeOutput) -> Result<Output, OutputError> {
    let refused = |field: &str, reason| {
        Err(OutputError::Refused {
            field: field.to_owned(),
            reason,
        })
    };
    match fields.take("mode").as_deref() {
        None | Some("copy") => {}
        Some(_) => {
            return refused(
                "mode",
                "files are copied over what is there; what a build has not written is not deleted",
            );
        }
    }
    Ok(Output::Files(FilesOutput {
        to,
        split: fields.take_choice("platform-split")?,
        prefix: fields.take("attestation-prefix").unwrap_or_default(),
    }))
}

fn image(fields: &mut Fields, push: bool) -> Result<Output, OutputError> {
    let common = fields.take_common()?;
    if !fields.take_bool("unpack", true)? {
        return Err(OutputError::Refused {
            field: "unpack=false".to_owned(),
            reason: "layers of the store are what containers run on",
        });
    }
    let dangling = fields.take("dangling-name-prefix");
    Ok(Output::Image(ImageOutput {
        names: common.names,
        push: fields.take_bool("push", push)?,
        by_digest: fields.take_bool("push-by-digest", false)?,
        is_kept: fields.take_bool("store", true)?,
        is_canonical: fields.take_bool("name-canonical", false)?,
        dangling: dangling.as_deref().map(parsed).transpose()?,
        packed: common.packed,
        oci_types: common.oci_types,
        annotations: common.annotations,
    }))
}

fn archive(fields: &mut Fields, format: SaveFormat) -> Result<Output, OutputError> {
    let common = fields.take_common()?;
    let to = fields.take_destination();
    if to.is_none() && format.is_directory() {
        let kind = fields.kind.clone();
        return Err(OutputError::Destination { kind });
    }
    Ok(Output::Archive(ArchiveOutput {
        names: common.names,
        format,
        to,
        packed: common.packed,
        oci_types: common.oci_types,
        annotations: common.annotations,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image_of(text: &str) -> ImageOutput {
        match text.parse() {
            Ok(Output::Image(image)) => image,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn an_output_is_a_path_or_a_type_with_fields() {
        let directory = Output::Files(FilesOutput::new(TreeOutput::Directory("out".into())));
        assert_eq!("out".parse(), Ok(directory.clone()));
        assert_eq!("type=local,dest=out".parse(), Ok(directory));
        for text in ["-", "type=tar", "type=tar,dest=-"] {
            let tar = Output::Files(FilesOutput::new(TreeOutput::Tar(None)));
            assert_eq!(text.parse(), Ok(tar));
        }
        let oci: Result<Output, OutputError> = "type=oci".parse();
        assert!(oci.is_ok_and(|output| output.is_on_stdout()));
        let names = ["a", "b:1"].map(|name| name.parse().expect("a name"));
        let image = image_of("type=registry,\"name=a,b:1\"");
        assert_eq!((&image.names[..], image.push), (&names[..], true));
        assert!(!image_of("type=image,name=a,push=false").push);
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

    #[test]
    fn every_field_of_buildkits_means_something_or_is_refused() {
        let packed = |text: &str| image_of(&format!("type=image,{text}")).packed;
        let of = |packing, force| Some(Packed { packing, force });
        assert_eq!(packed("push=true"), None);
        let zstd = "compression=zstd,compression-level=7,force-compression=true";
        assert_eq!(packed(zstd), of(Packing::Zstd(7), true));
        assert_eq!(packed("compression=uncompressed"), of(Packing::None, false));
        assert_eq!(packed("compression-level=9"), of(Packing::Gzip(9), false));
        let image = image_of(
            "type=image,name=a,store=false,name-canonical=true,dangling-name-prefix=b,push-by-digest,oci-mediatypes=false,unpack=true,annotation.X.y=z",
        );
        assert!(!image.is_kept && image.is_canonical && image.by_digest);
        assert_eq!(
            (image.oci_types, image.dangling.is_some()),
            (Some(false), true)
        );
        assert_eq!(image.annotations[0].name, "X.y");
        for text in [
            "type=image,unpack=false",
            "type=image,registry.insecure=true",
            "type=image,rewrite-timestamp=false",
            "type=oci,compression=estargz",
            "type=image,compression=uncompressed,compression-level=1",
            "type=docker,dest=x,tar=false",
            "type=docker,context=x",
            "type=local,dest=x,mode=delete",
        ] {
            let refused = text.parse::<Output>();
            assert!(
                matches!(refused, Err(OutputError::Refused { .. })),
                "{text}: {refused:?}"
            );
        }
        assert!(matches!(
            "type=oci,compression=gzip,compression-level=10".parse::<Output>(),
            Err(OutputError::Level { .. })
        ));
        assert!(matches!(
            "type=oci,annotation-planet.x=y".parse::<Output>(),
            Err(OutputError::Annotation(_))
        ));
    }
}
