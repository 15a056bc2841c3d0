//! The life of images in a store: named, shared, removed, collected.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::unpack::tests::{Archive, Scratch, options};
use super::*;
use crate::sys::fs::Drafts;

fn import_options(message: Option<&str>) -> ImportOptions {
    ImportOptions {
        source: "-".to_owned(),
        message: message.map(str::to_owned),
        platform: Platform::host(),
        config: serde_json::Map::new(),
        unpack: options(),
    }
}

fn import_named(scratch: &Scratch, name: &str, content: &str) -> Digest {
    let tar = Archive::new()
        .directory("./", 0o755)
        .file("f", content)
        .finish();
    let options = import_options(Some(name));
    let name = name.parse().unwrap();
    import(&scratch.store, &tar[..], Some(&name), &options)
        .unwrap()
        .id
}

fn nobody() -> Result<Vec<Use>, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Vec::new())
}

fn count(path: &Path) -> usize {
    let visible = |entry: &fs::DirEntry| !entry.file_name().to_string_lossy().starts_with('.');
    fs::read_dir(path)
        .unwrap()
        .filter(|entry| visible(entry.as_ref().unwrap()))
        .count()
}

/// Layers, blobs and stacks in the store.
fn sizes(scratch: &Scratch) -> (usize, usize, usize) {
    let data = scratch.path.join("data");
    (
        count(&data.join("layers")),
        count(&data.join("images/blobs/sha256")),
        count(&data.join("images/stacks")),
    )
}

#[test]
fn removing_an_image_frees_exactly_its_own_layers() {
    let scratch = Scratch::new();
    let first = import_named(&scratch, "a:1", "same");
    let second = import_named(&scratch, "b:1", "same");
    import_named(&scratch, "c:1", "other");
    assert_ne!(first, second);
    assert_eq!(sizes(&scratch), (2, 6, 3));
    let removed = scratch.store.remove("a:1", false, true, &nobody).unwrap();
    assert_eq!(
        removed,
        [
            Removed::Untagged("a:1".parse().unwrap()),
            Removed::Deleted(first)
        ]
    );
    assert_eq!(sizes(&scratch), (2, 4, 2));
    let layer = scratch.store.resolve("b:1").unwrap().layers[0].diff_id();
    let removed = scratch
        .store
        .remove(second.short(), false, true, &nobody)
        .unwrap();
    assert_eq!(
        removed[1..],
        [Removed::Deleted(second), Removed::Deleted(layer)]
    );
    assert_eq!(sizes(&scratch), (1, 2, 1));
    assert!(scratch.store.resolve("c:1").is_ok());
}

#[test]
fn layers_of_a_container_outlive_their_image() {
    let scratch = Scratch::new();
    let id = import_named(&scratch, "a:1", "x");
    let image = scratch.store.resolve("a:1").unwrap();
    let users = || {
        Ok(vec![Use {
            image: id.clone(),
            layers: image.layers.clone(),
            container: "c0ffee".to_owned(),
            running: false,
        }])
    };
    assert!(scratch.store.remove("a:1", false, true, &users).is_err());
    scratch.store.remove("a:1", true, true, &users).unwrap();
    assert!(scratch.store.resolve("a:1").is_err());
    assert!(
        scratch
            .store
            .layer_path(&image.layers[0])
            .join("f")
            .exists()
    );
    // What a killed writer leaves goes as well.
    let images = scratch.path.join("data/images");
    for left in [
        ".tmp-1-index.json",
        "blobs/sha256/.tmp-1-x",
        "stacks/.tmp-1-x",
    ] {
        fs::write(images.join(left), "half").unwrap();
    }
    scratch.store.collect_garbage(&nobody).unwrap();
    assert_eq!(sizes(&scratch), (0, 0, 0));
    assert!(!images.join(".tmp-1-index.json").exists());
    assert_eq!(fs::read_dir(images.join("stacks")).unwrap().count(), 0);
}

#[test]
fn while_an_image_is_being_added_no_layer_goes() {
    let scratch = Scratch::new();
    import_named(&scratch, "a:1", "x");
    let lease = scratch.store.lease().unwrap();
    scratch.store.collect_garbage(&nobody).unwrap();
    let owed = scratch.path.join("data/lock.owed");
    assert!(!owed.exists(), "there is nothing to leave behind");
    scratch.store.remove("a:1", false, true, &nobody).unwrap();
    assert_eq!(sizes(&scratch), (1, 0, 0));
    // It is noted, and for whoever gives up the last lease.
    assert!(owed.exists() && !scratch.store.owes_layers());
    drop(lease);
    assert!(scratch.store.owes_layers());
    assert_eq!(scratch.store.collect_garbage(&nobody).unwrap().len(), 1);
    assert_eq!(sizes(&scratch), (0, 0, 0));
    assert!(!scratch.store.owes_layers());
}

#[test]
fn an_image_whose_layer_is_gone_cannot_be_committed() {
    let scratch = Scratch::new();
    import_named(&scratch, "a:1", "x");
    let image = scratch.store.resolve("a:1").unwrap();
    let (config, manifest) = (
        scratch.store.read_blob(&image.id).unwrap(),
        scratch.store.read_blob(&image.manifest).unwrap(),
    );
    let diff_ids = [image.layers[0].diff_id()];
    scratch.store.remove("a:1", false, true, &nobody).unwrap();
    let again = |diff_ids: &[Digest]| {
        scratch.store.commit_image(
            &manifest,
            media_type::OCI_MANIFEST,
            &config,
            diff_ids,
            &[],
            Vec::new(),
        )
    };
    assert!(matches!(
        again(&diff_ids),
        Err(StoreError::MissingLayer { .. })
    ));
    assert!(matches!(again(&[]), Err(StoreError::LayerCount { .. })));
    let wrong = [Digest::of(b"another")];
    assert!(matches!(again(&wrong), Err(StoreError::LayerOrder { .. })));
    assert!(scratch.store.names().unwrap().entries.is_empty());
}

/// Names are drafted without their lock: whoever was quicker loses nothing.
#[test]
fn names_that_were_given_meanwhile_stay() {
    let scratch = Scratch::new();
    import_named(&scratch, "a:1", "x");
    let store = &scratch.store;
    let before = store.read_names().unwrap();
    let forget = |all: &mut Names| {
        all.remove_name(&"a:1".parse().unwrap());
        Ok(())
    };
    let mut drafted = store.names().unwrap();
    forget(&mut drafted).unwrap();
    let place = || {
        let json = drafted.to_json();
        let files = [(store.index_path(), &json[..])];
        let draft = Drafts::write(&files).unwrap();
        store.place_names(before.as_deref(), draft, forget).unwrap();
    };
    import_named(&scratch, "b:1", "y");
    place();
    assert!(store.resolve("a:1").is_err());
    assert!(store.resolve("b:1").is_ok());
    let half = |name: &fs::DirEntry| name.file_name().to_string_lossy().starts_with(".tmp-");
    let images = fs::read_dir(scratch.path.join("data/images")).unwrap();
    assert_eq!(images.flatten().filter(half).count(), 0);
}

/// What an image brings has no name yet when its stack is settled; a variant is one of a layer that has.
#[test]
fn a_layer_that_comes_with_its_image_is_settled() {
    let scratch = Scratch::new();
    let tar = Archive::new()
        .file("kept", "x")
        .file("elsewhere/.wh.nothing", "")
        .finish();
    // Somebody else has stored the layer: that is the one with the name.
    let (stored, report) = scratch.unpack(&tar).unwrap();
    scratch.store.commit_layer(stored, &report).unwrap();
    let made = import(&scratch.store, &tar[..], None, &import_options(None)).unwrap();
    let stack = scratch.store.read_stack(&made.id).unwrap();
    let [layer] = &stack.layers[..] else {
        panic!("{stack:?}");
    };
    let base = LayerDir::base(&Digest::of(&tar));
    assert_ne!(*layer, base);
    let ino = |layer| {
        fs::metadata(scratch.store.layer_path(layer).join("kept"))
            .unwrap()
            .ino()
    };
    assert_eq!(ino(layer), ino(&base));
    assert!(scratch.store.has_layer(&base.diff_id()));
    // The same once more: what is there is kept.
    let again = import(&scratch.store, &tar[..], None, &import_options(None)).unwrap();
    assert_eq!(scratch.store.read_stack(&again.id).unwrap(), stack);
    assert_eq!(sizes(&scratch).0, 2);
}

#[test]
fn names_move_and_leave_dangling_images() {
    let scratch = Scratch::new();
    let old = import_named(&scratch, "a:1", "old");
    let new = import_named(&scratch, "a:1", "new");
    assert_eq!(scratch.store.resolve("a:1").unwrap().id, new);
    let dangling = scratch.store.resolve(old.short()).unwrap();
    assert!(dangling.names.is_empty());
    scratch
        .store
        .tag(old.hex(), &"kept:1".parse().unwrap())
        .unwrap();
    assert_eq!(scratch.store.resolve("kept:1").unwrap().id, old);
    assert_eq!(scratch.store.names().unwrap().entries.len(), 2);
    assert!(
        scratch
            .store
            .tag("nothing", &"x:1".parse().unwrap())
            .is_err()
    );
}

#[test]
fn many_commands_at_once_leave_a_valid_store() {
    let scratch = Scratch::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let scratch = &scratch;
            scope.spawn(move || {
                for round in 0..8 {
                    let name = format!("n{}:{thread}", round % 3);
                    import_named(scratch, &name, &format!("{}", round % 4));
                    // Another thread may have removed it by its id already.
                    let _ = scratch.store.remove(&name, false, true, &nobody);
                }
            });
        }
    });
    scratch.store.collect_garbage(&nobody).unwrap();
    for entry in &scratch.store.names().unwrap().entries {
        let image = scratch.store.image_by_id(&entry.id).unwrap();
        assert!(
            scratch
                .store
                .layer_path(&image.layers[0])
                .join("f")
                .exists()
        );
    }
}

#[test]
fn a_newer_store_is_refused_and_its_directories_are_private() {
    use std::os::unix::fs::MetadataExt;
    let scratch = Scratch::new();
    let data = scratch.path.join("data");
    for path in ["", "layers", "images", "images/blobs/sha256"] {
        assert_eq!(fs::metadata(data.join(path)).unwrap().mode() & 0o777, 0o700);
    }
    fs::write(data.join("version"), "7\n").unwrap();
    let paths = crate::paths::Paths {
        data: data.clone(),
        cache: data.clone(),
        config: data.clone(),
        runtime: data.clone(),
        runtime_fallback: None,
    };
    let error = Store::open(&paths).unwrap_err().to_string();
    assert!(error.contains("format 7"), "{error}");
}

#[test]
fn readers_wait_for_no_lock() {
    let scratch = Scratch::new();
    import_named(&scratch, "a:1", "x");
    let _gc = scratch.store.lock_exclusive().unwrap();
    let _names = scratch.store.lock_names().unwrap();
    assert!(scratch.store.resolve("a:1").is_ok());
    assert!(!scratch.store.has_rubbish());
}
