//! One-layer images from a root filesystem: `import`, and the image that bryo carries inside itself.

use std::io::Read;

use oci_spec::image::ImageConfiguration;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::compression::Decompressed;
use super::digest::Digest;
use super::layer::{LayerReport, TempLayer};
use super::manifest::NewConfig;
use super::platform::Platform;
use super::reference::Reference;
use super::store::{Store, StoreError};
use super::tar::TarWriter;
use super::unpack::{UnpackError, UnpackOptions, unpack};

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("{source_name}: {source}")]
    Open {
        source_name: String,
        source: std::io::Error,
    },
    #[error("{source_name}: {source}")]
    Unpack {
        source_name: String,
        source: UnpackError,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What `import` adds to the archive.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Shown in errors, and in the history as docker does: a file name, or `-`.
    pub source: String,
    pub message: Option<String>,
    pub platform: Platform,
    /// The image's settings: what `--change` says.
    pub config: Map<String, Value>,
    pub unpack: UnpackOptions,
}

/// An image that was just made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    pub id: Digest,
    pub warnings: Vec<String>,
}

/// Makes an image of a root filesystem's tar, plain or compressed. Runs in the home namespace.
pub fn import(
    store: &Store,
    archive: impl Read + Send,
    name: Option<&Reference>,
    options: &ImportOptions,
) -> Result<Imported, ImportError> {
    store.sweep()?;
    let _lease = store.lease()?;
    let archive = Decompressed::new(archive).map_err(|source| ImportError::Open {
        source_name: options.source.clone(),
        source,
    })?;
    let (layer, report) = make_layer(store, archive, &options.source, &options.unpack)?;
    let config = NewConfig {
        platform: options.platform.clone(),
        created: jiff::Timestamp::now().to_string(),
        comment: match &options.message {
            Some(message) => message.clone(),
            None => format!("Imported from {}", options.source),
        },
        created_by: None,
        config: options.config.clone(),
    };
    let names: Vec<Reference> = name.cloned().into_iter().collect();
    let warnings = report.warnings.clone();
    Ok(Imported {
        id: commit(store, &config, layer, report, &names)?,
        warnings,
    })
}

fn make_layer(
    store: &Store,
    tar: impl Read,
    source_name: &str,
    options: &UnpackOptions,
) -> Result<(TempLayer, LayerReport), ImportError> {
    let layer = store.begin_layer()?;
    let report = unpack(tar, &layer, options).map_err(|source| ImportError::Unpack {
        source_name: source_name.to_owned(),
        source,
    })?;
    Ok((layer, report))
}

fn commit(
    store: &Store,
    config: &NewConfig,
    layer: TempLayer,
    report: LayerReport,
    names: &[Reference],
) -> Result<Digest, StoreError> {
    let diff_ids = [report.diff_id.clone()];
    let config = config.to_json(&diff_ids);
    store.commit_config(&config, &diff_ids, names, None, vec![(layer, report)])
}

/// When the embedded image says it was made: it is the same bytes in every build of one program.
const BUILTIN_CREATED: &str = "2026-01-01T00:00:00Z";

const BUILTIN_COMMENT: &str = "embedded in bryo";

/// Whether an image is the embedded one, which needs no network.
pub fn is_builtin(config: &ImageConfiguration) -> bool {
    let last = config.history().iter().flatten().next_back();
    last.is_some_and(|entry| entry.comment().as_deref() == Some(BUILTIN_COMMENT))
}

/// Stores the image that bryo carries inside itself, a root filesystem of the one file `/hello`, under these names.
/// It goes the way of every image. Runs in the home namespace.
pub fn install_builtin(
    store: &Store,
    names: &[Reference],
    program: &[u8],
) -> Result<Digest, ImportError> {
    let _lease = store.lease()?;
    let mut tar = TarWriter::new();
    tar.file("hello", 0o755, program);
    let tar = tar.finish();
    // Its one file is root's, which whoever runs this is wherever it matters.
    let options = UnpackOptions {
        single_id: true,
        ..UnpackOptions::default()
    };
    let (layer, report) = make_layer(store, &tar[..], "embedded image", &options)?;
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut settings = Map::new();
    settings.insert("Env".to_owned(), json!([path]));
    settings.insert("Cmd".to_owned(), json!(["/hello"]));
    let config = NewConfig {
        platform: Platform::host(),
        created: BUILTIN_CREATED.to_owned(),
        comment: BUILTIN_COMMENT.to_owned(),
        created_by: Some("bryo".to_owned()),
        config: settings,
    };
    Ok(commit(store, &config, layer, report, names)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::unpack::tests::{Archive, Scratch, options};

    fn import_options() -> ImportOptions {
        ImportOptions {
            source: "-".to_owned(),
            message: None,
            platform: Platform::host(),
            config: Map::new(),
            unpack: options(),
        }
    }

    #[test]
    fn an_imported_archive_is_an_image_with_one_layer() {
        let scratch = Scratch::new();
        let tar = Archive::new()
            .directory("etc", 0o755)
            .file("etc/hostname", "x")
            .finish();
        let zstd = zstd::encode_all(&tar[..], 3).unwrap();
        let name: Reference = "imported:1".parse().unwrap();
        let made = import(&scratch.store, &zstd[..], Some(&name), &import_options()).unwrap();
        let image = scratch.store.resolve("imported:1").unwrap();
        assert_eq!(image.id, made.id);
        assert_eq!(image.names, [name]);
        assert_eq!(
            image.config.rootfs().diff_ids(),
            &[Digest::of(&tar).to_string()]
        );
        assert_eq!(
            image.config.history().as_ref().unwrap()[0]
                .comment()
                .as_deref(),
            Some("Imported from -")
        );
        let root = scratch.store.layer_path(&image.layers[0]);
        assert_eq!(
            std::fs::read_to_string(root.join("etc/hostname")).unwrap(),
            "x"
        );
        assert_eq!(image.size, 1);
    }

    #[test]
    fn a_failed_import_changes_nothing() {
        let scratch = Scratch::new();
        let tar = Archive::new().file("a", "x").file("../b", "x").finish();
        let error = import(&scratch.store, &tar[..], None, &import_options()).unwrap_err();
        assert!(
            error.to_string().contains("-: \"../b\": leads out"),
            "{error}"
        );
        assert!(scratch.store.names().unwrap().entries.is_empty());
    }

    #[test]
    fn the_embedded_image_is_installed_twice_as_once() {
        let scratch = Scratch::new();
        let names: Vec<Reference> = ["hello", "hello-world"]
            .map(|name| name.parse().unwrap())
            .into();
        let first = install_builtin(&scratch.store, &names, b"\x7fELF").unwrap();
        assert_eq!(
            install_builtin(&scratch.store, &names, b"\x7fELF").unwrap(),
            first
        );
        let image = scratch.store.resolve("hello").unwrap();
        assert_eq!((image.id, image.names.len()), (first, 2));
        let path = scratch.store.layer_path(&image.layers[0]).join("hello");
        assert_eq!(std::fs::read(path).unwrap(), b"\x7fELF");
    }
}
