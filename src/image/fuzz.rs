//! What is fuzzed of this module: each function takes any bytes and fails only where a promise is broken. The same inputs are
//! replayed by the tests; only they and `fuzz/` are built with it.

use std::io::Read;
use std::path::PathBuf;
use std::sync::OnceLock;

use super::document::{self, Document};
use super::names::Names;
use super::tar::{EntryKind, Limits, SplitReader, TarReader};
use super::unpack::{UnpackOptions, unpack};
use super::{LayerDir, Reference, Store};
use crate::paths::Paths;
use crate::sys::fs;

/// A name reads back as the same name, in both its forms.
pub fn reference(bytes: &[u8]) {
    let Some(reference) = std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.parse::<Reference>().ok())
    else {
        return;
    };
    for text in [reference.to_string(), reference.familiar()] {
        assert_eq!(
            text.parse::<Reference>().ok().as_ref(),
            Some(&reference),
            "{text}"
        );
    }
}

/// Manifests, indexes and configurations.
pub fn documents(bytes: &[u8]) {
    for announced in [
        None,
        Some(document::media_type::OCI_MANIFEST),
        Some(document::media_type::OCI_INDEX),
    ] {
        if let Ok(Document::Manifest(manifest)) = Document::parse("it", bytes, announced) {
            for layer in manifest.layers() {
                let _ = document::descriptor_digest("it", layer);
            }
        }
    }
    if let Ok(config) = document::parse_config("it", bytes) {
        let _ = document::diff_ids("it", &config);
    }
    let _ = super::artifacts::artifact_blobs(bytes);
}

/// The file of the store's names: what was read is written as the same, and a name that is given belongs to its image.
pub fn names(bytes: &[u8]) {
    let Ok(read) = Names::parse(bytes) else {
        return;
    };
    let again = Names::parse(&read.to_json());
    assert!(again.is_ok_and(|again| again == read));
    let mut names = Names::default();
    for entry in read.entries.iter().take(100) {
        names.set(entry.clone());
        let head = entry.member_of().is_none();
        if let Some(reference) = entry.reference.as_ref().filter(|_| head) {
            assert_eq!(names.get(reference), Some(entry));
        }
        for other in &names.entries {
            let index = other.member_of();
            assert!(
                index.is_none_or(|index| names.entries.iter().any(|one| one.head() == Some(index)))
            );
        }
    }
    for entry in &read.entries {
        if let Some(reference) = &entry.reference {
            names.remove_name(reference);
            assert_eq!(names.get(reference), None);
        }
        names.remove_image(&entry.id);
        assert!(
            names
                .of_image(&entry.id)
                .all(|other| other.member_of().is_some())
        );
    }
}

fn limits() -> Limits {
    Limits {
        bytes: 8 << 20,
        entries: 10_000,
        remembered: 1 << 20,
        ..Limits::default()
    }
}

/// The content of all entries is as long as they say, and never longer than the archive.
pub fn tar(bytes: &[u8]) {
    for sparse in [false, true] {
        let mut reader = match sparse {
            true => TarReader::splitting(bytes, limits(), None),
            false => TarReader::new(bytes, limits()),
        };
        while let Ok(Some(entry)) = reader.next_entry() {
            let extents = reader.take_extents();
            let expected = match &extents {
                Some(extents) => extents.iter().map(|extent| extent.length).sum(),
                None => entry.size,
            };
            assert!(entry.kind == EntryKind::File || expected == 0);
            let mut content = Vec::new();
            match reader.read_to_end(&mut content) {
                Ok(length) => assert_eq!(length as u64, expected),
                Err(_) => break,
            }
            assert!(reader.offset() <= bytes.len() as u64);
        }
    }
}

/// A store for as long as the process lives, below a directory with a canary.
fn scratch() -> &'static (PathBuf, Store) {
    static SCRATCH: OnceLock<(PathBuf, Store)> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("bryo-fuzz-{}", fs::random_name()));
        std::fs::create_dir_all(path.join("canary")).expect("there is a temporary directory");
        std::fs::write(path.join("canary/file"), "untouched").expect("it is ours");
        let paths = Paths {
            data: path.join("data"),
            cache: path.join("cache"),
            config: path.join("config"),
            runtime: path.join("run"),
            runtime_fallback: None,
        };
        let store = Store::open(&paths).expect("it can be made");
        (path, store)
    })
}

/// A layer is refused, or unpacked into its own directory and given back to the last byte.
pub fn layer(bytes: &[u8]) {
    let (path, store) = scratch();
    let options = UnpackOptions {
        single_id: true,
        limits: limits(),
        ..UnpackOptions::default()
    };
    let layer = store.begin_layer().expect("the store is ours");
    if let Ok(report) = unpack(bytes, &layer, &options) {
        store
            .commit_layer(layer, &report)
            .expect("the store is ours");
        let mut again = Vec::new();
        let written = store.write_tar(&report.diff_id, &mut again);
        written.expect("it was unpacked just now");
        assert!(again == bytes, "another tar came back");
        let home = store.layer_home(&LayerDir::base(&report.diff_id));
        fs::remove_path(&home).expect("the store is ours");
    } else {
        drop(layer);
        store.sweep().expect("the store is ours");
    }
    let canary = std::fs::read(path.join("canary/file"));
    assert_eq!(canary.ok().as_deref(), Some(&b"untouched"[..]));
    let beside = std::fs::read_dir(path).expect("it is ours").count();
    assert!(beside <= 5, "something was made beside the store");
}

/// What gives a layer's tar back, damaged in any way, is an error or a list of pieces.
pub fn split(bytes: &[u8]) {
    for bytes in [
        bytes.to_vec(),
        zstd::encode_all(bytes, 1).unwrap_or_default(),
    ] {
        let Ok(mut reader) = SplitReader::new(&bytes[..]) else {
            continue;
        };
        // Each takes some bytes of what is read, but these may be few and compress well.
        for _ in 0..100_000 {
            match reader.next_piece() {
                Ok(Some(_)) => {}
                _ => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::corpus::replay;

    #[test]
    fn the_corpora_hold_no_finding() {
        replay("reference", reference);
        replay("documents", documents);
        replay("names", names);
        replay("tar", tar);
        replay("layer", layer);
        replay("layer", tar);
        replay("split", split);
        fs::remove_path(&scratch().0).expect("it is ours");
    }
}
