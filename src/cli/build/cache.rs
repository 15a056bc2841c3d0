//! `build --cache-to`, `--cache-from`: where what steps came to goes to and comes from. Parses words and asks the engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::build::Built;
use crate::build::dockerfile::record;
use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind, chain};
use crate::engine::push::PushRequest;
use crate::engine::request::SaveRequest;
use crate::engine::{Engine, EngineError, StoredImage};
use crate::image::{Index, Reference, ReferenceError, SaveFormat};
use crate::registry::{PushOptions, Silent};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheTo {
    pub to: CachePlace,
    /// Also what the result has not: `mode=max`.
    all: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheFrom(CachePlace);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CachePlace {
    Local(PathBuf),
    Registry(Reference),
    /// In the image's configuration.
    Inline,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    #[error("a quote has no end")]
    Form,
    #[error(
        "type={kind} belongs to a service that bryo does not speak to: local, registry and inline are known"
    )]
    Service { kind: String },
    #[error("type {kind:?} is not known: local, registry and inline are")]
    Kind { kind: String },
    #[error("{field} is required for type={kind}")]
    Missing { kind: String, field: &'static str },
    #[error("field {field:?} is not known for type={kind}")]
    Field { kind: String, field: String },
    #[error("mode {mode:?} is neither min nor max")]
    Mode { mode: String },
    #[error("inline is where a cache goes to; it comes from the image: type=registry,ref=IMAGE")]
    FromInline,
    #[error("ref {text:?}: {source}")]
    Name {
        text: String,
        source: ReferenceError,
    },
}

fn place(text: &str, directory: &'static str) -> Result<(CachePlace, Option<String>), CacheError> {
    let name = |text: String| {
        text.parse::<Reference>()
            .map_err(|source| CacheError::Name { text, source })
    };
    if !text.contains('=') {
        return Ok((CachePlace::Registry(name(text.to_owned())?), None));
    }
    let mut fields: Vec<(String, String)> = record(text)
        .ok_or(CacheError::Form)?
        .into_iter()
        .map(|(_, field)| {
            let (key, value) = field.split_once('=').unwrap_or((&field, ""));
            (key.trim().to_ascii_lowercase(), value.to_owned())
        })
        .collect();
    let mut take = |key: &str| {
        let at = fields.iter().position(|(known, _)| known == key)?;
        Some(fields.remove(at).1)
    };
    let kind = take("type").unwrap_or_default();
    let mode = take("mode");
    let missing = |field| CacheError::Missing {
        kind: kind.clone(),
        field,
    };
    let place = match kind.as_str() {
        "local" => CachePlace::Local(take(directory).ok_or_else(|| missing(directory))?.into()),
        "registry" => CachePlace::Registry(name(take("ref").ok_or_else(|| missing("ref"))?)?),
        "inline" => CachePlace::Inline,
        "gha" | "s3" | "azblob" => return Err(CacheError::Service { kind }),
        _ => return Err(CacheError::Kind { kind }),
    };
    match fields.into_iter().next() {
        None => Ok((place, mode)),
        Some((field, _)) => Err(CacheError::Field { kind, field }),
    }
}

impl FromStr for CacheTo {
    type Err = CacheError;

    fn from_str(text: &str) -> Result<CacheTo, CacheError> {
        let (to, mode) = place(text, "dest")?;
        let all = match mode.as_deref() {
            None | Some("min") => false,
            Some("max") => true,
            Some(mode) => {
                return Err(CacheError::Mode {
                    mode: mode.to_owned(),
                });
            }
        };
        Ok(CacheTo { to, all })
    }
}

impl FromStr for CacheFrom {
    type Err = CacheError;

    fn from_str(text: &str) -> Result<CacheFrom, CacheError> {
        match place(text, "src")? {
            (CachePlace::Inline, _) => Err(CacheError::FromInline),
            (from, None) => Ok(CacheFrom(from)),
            (_, Some(_)) => Err(CacheError::Field {
                kind: "registry".to_owned(),
                field: "mode".to_owned(),
            }),
        }
    }
}

impl CacheFrom {
    /// Before the build. What cannot be had is no reason not to build.
    pub fn import(&self, engine: &Engine, quiet: bool, invocation: &Invocation) {
        let (shown, taken) = match &self.0 {
            CachePlace::Local(directory) => (
                directory.display().to_string(),
                engine.import_cache(directory),
            ),
            CachePlace::Registry(name) => (name.familiar(), engine.pull_cache(name, &Silent)),
            CachePlace::Inline => return,
        };
        match taken {
            Ok(taken) if !quiet => {
                let note = format!("importing cache of {shown}: {taken} steps that were not known");
                invocation.ui.note(&note);
            }
            Ok(_) => {}
            Err(error) => {
                let reason = chain(&error);
                let warning = format!("importing cache of {shown} failed: {reason}");
                invocation.ui.warning(&warning);
            }
        }
    }
}

impl CacheTo {
    /// After the build.
    pub fn export(&self, engine: &Engine, built: &[&Built]) -> Result<(), CliError> {
        let failed = |error: EngineError| CliError::engine(Kind::Failed, &error);
        // Those of all platforms; what they share is there once.
        let mut steps = Vec::new();
        for one in built {
            let own = match self.all {
                true => one.steps.clone(),
                false => one.steps_of_image(),
            };
            for (key, record) in own {
                if !steps.iter().any(|(known, _)| *known == key) {
                    steps.push((key, record));
                }
            }
        }
        if self.to == CachePlace::Inline {
            return Ok(());
        }
        let before = engine.image_ids().map_err(failed)?;
        let stored = engine.store_cache(&steps).map_err(failed)?;
        let written = match &self.to {
            CachePlace::Local(directory) => into_directory(engine, &stored, directory),
            CachePlace::Registry(name) => engine
                .push(
                    &PushRequest {
                        image: stored.id.to_string(),
                        target: name.clone(),
                        options: PushOptions::default(),
                        platform: None,
                        manifest: None,
                    },
                    &Silent,
                )
                .map(drop)
                .map_err(failed),
            CachePlace::Inline => Ok(()),
        };
        if !before.contains(&stored.id) {
            engine.forget_unnamed(&stored.id).map_err(failed)?;
        }
        written
    }
}

/// Over what an earlier build wrote there, and nothing else.
fn into_directory(engine: &Engine, image: &StoredImage, directory: &Path) -> Result<(), CliError> {
    let shown = directory.display();
    let failed = |operation: &str, error: std::io::Error| {
        CliError::new(Kind::Failed, format!("{operation} {shown}: {error}"))
    };
    let has_entries = std::fs::read_dir(directory).is_ok_and(|mut all| all.next().is_some());
    if has_entries && !directory.join("oci-layout").is_file() {
        return Err(CliError::new(
            Kind::Failed,
            format!("{shown}: it is neither empty nor a cache that an earlier build wrote"),
        ));
    }
    let mut fresh = directory.as_os_str().to_owned();
    fresh.push(format!(".{}", std::process::id()));
    let fresh = PathBuf::from(fresh);
    let request = SaveRequest {
        images: Vec::new(),
        output: Some(fresh.clone()),
        platform: None,
        format: SaveFormat::OciDir,
        compress: false,
        require_digest: false,
        form: None,
    };
    engine
        .save_index_as(
            Index::of(image.id.clone(), image.manifest.clone()),
            &[],
            &BTreeMap::new(),
            &request,
        )
        .map_err(|error| CliError::engine(Kind::Failed, &error))?;
    if directory.exists() {
        std::fs::remove_dir_all(directory).map_err(|error| failed("replace", error))?;
    }
    std::fs::rename(&fresh, directory).map_err(|error| failed("write", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_has_a_place() {
        let name = || "reg/app:c".parse().expect("a name");
        let to: CacheTo = "type=registry,ref=reg/app:c,mode=max".parse().expect("one");
        assert_eq!((to.to, to.all), (CachePlace::Registry(name()), true));
        let from: CacheFrom = "reg/app:c".parse().expect("one");
        assert_eq!(from.0, CachePlace::Registry(name()));
        let from: CacheFrom = "type=local,src=/x".parse().expect("one");
        assert_eq!(from.0, CachePlace::Local("/x".into()));
        let wrong = |text: &str| text.parse::<CacheTo>().expect_err(text);
        let service = CacheError::Service {
            kind: "gha".to_owned(),
        };
        assert_eq!(wrong("type=gha,scope=x"), service);
        assert!(matches!(
            wrong("type=local"),
            CacheError::Missing { field: "dest", .. }
        ));
        assert!(matches!(wrong("type=inline,x=y"), CacheError::Field { .. }));
        assert!(matches!(
            wrong("type=inline,mode=all"),
            CacheError::Mode { .. }
        ));
    }
}
