//! What is saved is loaded again as it was.
#![allow(clippy::unwrap_used)]

use std::fs;

use super::*;
use crate::image::archive::tests::{config, docker_archive, load_bytes, load_options, two_layers};
use crate::image::load;
use crate::image::manifest::manifest_of;
use crate::image::unpack::tests::Scratch;

const OPTIONS: SaveOptions = SaveOptions {
    format: SaveFormat::DockerArchive,
    compress: false,
    require_digest: false,
    form: None,
};

fn all(scratch: &Scratch) -> SaveSet {
    let names = scratch.store.names().unwrap();
    let mut images: Vec<ToSave> = Vec::new();
    for entry in &names.entries {
        match images
            .iter_mut()
            .find(|image| image.id == entry.id && image.manifest == entry.manifest)
        {
            Some(image) => image.tags.extend(entry.reference.clone()),
            None => images.push(ToSave {
                id: entry.id.clone(),
                manifest: entry.manifest.clone(),
                tags: entry.reference.clone().into_iter().collect(),
            }),
        }
    }
    SaveSet {
        images,
        ..SaveSet::default()
    }
}

/// Everything that names, ids and digests say of a store's images.
fn told(scratch: &Scratch) -> Vec<String> {
    let names = scratch.store.names().unwrap();
    let mut lines: Vec<String> = names
        .entries
        .iter()
        .map(|entry| {
            let name = entry.reference.as_ref().map(Reference::familiar);
            format!("{name:?} {} {} {}", entry.id, entry.manifest, entry.size)
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn archives_of_both_formats_load_as_they_were() {
    let scratch = Scratch::new();
    load_bytes(&scratch, &docker_archive("config.json")).unwrap();
    for format in [SaveFormat::DockerArchive, SaveFormat::OciArchive] {
        let options = SaveOptions {
            format,
            require_digest: true,
            ..OPTIONS
        };
        let mut bytes = Vec::new();
        let notes = save_archive(
            &scratch.store,
            &all(&scratch),
            &options,
            &NoOriginals,
            &mut bytes,
        )
        .unwrap();
        assert!(notes.is_empty(), "{notes:?}");
        let mut again = Vec::new();
        save_archive(
            &scratch.store,
            &all(&scratch),
            &options,
            &NoOriginals,
            &mut again,
        )
        .unwrap();
        assert!(bytes == again, "saved twice, and not the same");
        let other = Scratch::new();
        load_bytes(&other, &bytes).unwrap();
        assert_eq!(told(&other), told(&scratch), "{format:?}");
    }
}

#[test]
fn directories_load_as_they_were_compressed_or_not() {
    for format in [SaveFormat::OciDir, SaveFormat::DockerDir] {
        for compress in [false, true] {
            let scratch = Scratch::new();
            load_bytes(&scratch, &docker_archive("config.json")).unwrap();
            let options = SaveOptions {
                format,
                compress,
                ..OPTIONS
            };
            let path = scratch.path.join("saved");
            let notes = save_directory(
                &scratch.store,
                &all(&scratch),
                &options,
                &NoOriginals,
                &path,
            )
            .unwrap();
            assert_eq!(notes.len(), usize::from(compress), "{notes:?}");
            let other = Scratch::new();
            let directory = std::fs::File::open(&path).unwrap();
            let loaded = load(&other.store, directory, &load_options(), &|_| Ok(())).unwrap();
            assert_eq!(loaded[0].id, all(&scratch).images[0].id);
            let image = other.store.image_by_id(&loaded[0].id).unwrap();
            assert_eq!(image.size, 4);
            let names = if format == SaveFormat::OciDir { 2 } else { 0 };
            assert_eq!(image.names.len(), names);
            let gzip = fs::read_dir(path.join(if format == SaveFormat::OciDir {
                BLOBS
            } else {
                ""
            }))
            .unwrap();
            let gzip = gzip.filter(|entry| {
                fs::read(entry.as_ref().unwrap().path())
                    .is_ok_and(|bytes| bytes.starts_with(&[0x1f, 0x8b]))
            });
            assert_eq!(gzip.count(), if compress { 2 } else { 0 });
        }
    }
}

const BLOBS: &str = "blobs/sha256";

#[test]
fn a_manifest_that_would_change_is_said_or_refused() {
    let scratch = Scratch::new();
    let (first, _) = two_layers();
    let diff_id = Digest::of(&first);
    let (layer, report) = scratch.unpack(&first).unwrap();
    scratch.store.commit_layer(layer, &report).unwrap();
    let config = config(std::slice::from_ref(&diff_id));
    // As if the layer had come compressed.
    let compressed = Digest::of(b"compressed");
    let manifest = manifest_of(&config, &[(compressed.clone(), 7)]);
    let name = ["x:1".parse().unwrap()];
    let commit = scratch.store.commit_image(
        &manifest,
        media_type::OCI_MANIFEST,
        &config,
        &[diff_id],
        &name,
        Vec::new(),
    );
    commit.unwrap();
    let images = all(&scratch);
    let options = SaveOptions {
        format: SaveFormat::OciArchive,
        ..OPTIONS
    };
    let notes = save_archive(
        &scratch.store,
        &images,
        &options,
        &NoOriginals,
        &mut Vec::new(),
    )
    .unwrap();
    assert!(notes[0].starts_with("x:1: manifest"), "{notes:?}");
    assert!(notes[0].contains(compressed.short()), "{notes:?}");
    for format in [SaveFormat::OciArchive, SaveFormat::DockerArchive] {
        let options = SaveOptions {
            format,
            require_digest: true,
            ..OPTIONS
        };
        let mut bytes = Vec::new();
        let refused = save_archive(&scratch.store, &images, &options, &NoOriginals, &mut bytes);
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("another manifest digest"), "{refused}");
        assert!(bytes.is_empty());
    }
    let two = SaveSet {
        images: vec![images.images[0].clone(), images.images[0].clone()],
        ..SaveSet::default()
    };
    let options = SaveOptions {
        format: SaveFormat::DockerDir,
        ..OPTIONS
    };
    let refused = save_directory(
        &scratch.store,
        &two,
        &options,
        &NoOriginals,
        &scratch.path.join("none"),
    );
    assert!(matches!(refused, Err(SaveError::OneImage { count: 2 })));
}
