//! Stacks that need settling, and stacks that don't.
#![allow(clippy::unwrap_used)]

use std::fs as std_fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::*;
use crate::image::unpack::tests::{Archive, Scratch};

fn add(scratch: &Scratch, archive: Archive) -> Digest {
    let (layer, report) = scratch.unpack(&archive.finish()).unwrap();
    scratch.store.commit_layer(layer, &report).unwrap();
    report.diff_id
}

fn settle(
    store: &Store,
    settled: Vec<LayerDir>,
    diff_ids: &[Digest],
) -> Result<Vec<LayerDir>, StoreError> {
    super::settle(store, settled, diff_ids, &mut Ready::default())
}

fn paths(scratch: &Scratch, layers: &[LayerDir]) -> Vec<PathBuf> {
    layers
        .iter()
        .map(|layer| scratch.store.layer_path(layer))
        .collect()
}

fn mode(path: PathBuf) -> u32 {
    std_fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_stack_of_complete_layers_is_used_as_it_is() {
    let scratch = Scratch::new();
    let bottom = add(
        &scratch,
        Archive::new()
            .directory("./", 0o755)
            .directory("tmp", 0o1777),
    );
    let top = add(&scratch, Archive::new().file("x/y", "1"));
    let stack = settle(&scratch.store, Vec::new(), &[bottom.clone(), top.clone()]).unwrap();
    assert_eq!(stack, [LayerDir::base(&bottom), LayerDir::base(&top)]);
}

#[test]
fn unlisted_directories_look_like_those_below() {
    let scratch = Scratch::new();
    let private = add(
        &scratch,
        Archive::new()
            .directory("./", 0o711)
            .directory("a", 0o700)
            .directory("a/b", 0o1777),
    );
    let middle = add(&scratch, Archive::new().file("a/b/m", "1"));
    let top = add(
        &scratch,
        Archive::new()
            .file("a/b/c/t", "1")
            .hard_link("a/b/l", "a/b/c/t"),
    );
    let other = add(
        &scratch,
        Archive::new().directory("./", 0o755).directory("a", 0o750),
    );
    let below = settle(
        &scratch.store,
        Vec::new(),
        &[private.clone(), middle.clone()],
    )
    .unwrap();
    let on_them = settle(&scratch.store, below, std::slice::from_ref(&top)).unwrap();
    let stack = settle(&scratch.store, Vec::new(), &[private, middle, top.clone()]).unwrap();
    assert_eq!(on_them, stack);
    for path in &paths(&scratch, &stack)[1..] {
        assert_eq!(mode(path.clone()), 0o711);
        assert_eq!(mode(path.join("a")), 0o700);
        assert_eq!(mode(path.join("a/b")), 0o1777);
    }
    let settled = scratch.store.layer_path(&stack[2]);
    assert_eq!(mode(settled.join("a/b/c")), 0o755);
    let links = std_fs::metadata(settled.join("a/b/l")).unwrap();
    assert_eq!(links.nlink(), 4);
    // Another stack disagrees, and both stay.
    let second = settle(&scratch.store, Vec::new(), &[other, top.clone()]).unwrap();
    assert_ne!(second[1], stack[2]);
    assert_eq!(mode(scratch.store.layer_path(&second[1]).join("a")), 0o750);
    assert_eq!(mode(settled.join("a")), 0o700);
    // The layer alone is as it was unpacked.
    let alone = settle(&scratch.store, Vec::new(), std::slice::from_ref(&top)).unwrap();
    assert_eq!(alone, [LayerDir::base(&top)]);
    assert_eq!(mode(scratch.store.layer_path(&alone[0]).join("a")), 0o755);
}

#[test]
fn a_root_that_has_the_looks_of_the_one_below_needs_no_variant_there_and_one_alone() {
    let scratch = Scratch::new();
    let private = add(&scratch, Archive::new().directory("./", 0o711));
    let below = settle(&scratch.store, Vec::new(), &[private]).unwrap();
    let (layer, report) = scratch
        .unpack(&Archive::new().file("x", "1").finish())
        .unwrap();
    take_root_looks(&layer, &scratch.store.layer_path(&below[0])).unwrap();
    scratch.store.commit_layer(layer, &report).unwrap();
    let top = report.diff_id;
    let on_it = settle(&scratch.store, below, std::slice::from_ref(&top)).unwrap();
    assert_eq!(on_it[1], LayerDir::base(&top));
    assert_eq!(mode(scratch.store.layer_path(&on_it[1])), 0o711);
    let alone = settle(&scratch.store, Vec::new(), std::slice::from_ref(&top)).unwrap();
    assert_ne!(alone[0], on_it[1]);
    assert_eq!(mode(scratch.store.layer_path(&alone[0])), 0o755);
    assert_eq!(mode(scratch.store.layer_path(&on_it[1])), 0o711);
}

#[test]
fn whiteouts_of_nothing_disappear_with_the_directories_made_for_them() {
    let scratch = Scratch::new();
    let bottom = add(
        &scratch,
        Archive::new().directory("./", 0o755).file("etc/gone", "1"),
    );
    let top = add(
        &scratch,
        Archive::new()
            .directory("./", 0o755)
            .file("etc/.wh.gone", "")
            .directory("new", 0o755)
            .file("new/.wh.ghost", "")
            .file("new/real", "1")
            .file("only/for/.wh.ghost", ""),
    );
    let stack = settle(&scratch.store, Vec::new(), &[bottom, top.clone()]).unwrap();
    let path = scratch.store.layer_path(&stack[1]);
    assert!(path.join("etc/gone").symlink_metadata().is_ok());
    assert!(path.join("new/ghost").symlink_metadata().is_err());
    assert!(path.join("new/real").exists());
    assert!(!path.join("only").exists());
    let base = scratch.store.layer_path(&LayerDir::base(&top));
    assert!(base.join("new/ghost").symlink_metadata().is_ok());
    let time = |path: PathBuf| std_fs::metadata(path).unwrap().mtime();
    assert_eq!(time(path.join("new")), time(base.join("new")));
}

#[test]
fn what_a_middle_layer_hides_is_not_looked_up_further_down() {
    let scratch = Scratch::new();
    let bottom = add(
        &scratch,
        Archive::new()
            .directory("./", 0o755)
            .directory("a", 0o700)
            .directory("b", 0o700)
            .directory("b/c", 0o700),
    );
    let deletes = add(
        &scratch,
        Archive::new()
            .directory("./", 0o755)
            .file(".wh.a", "")
            .directory("b", 0o755)
            .file("b/.wh..wh..opq", ""),
    );
    let top = add(
        &scratch,
        Archive::new()
            .directory("./", 0o755)
            .file("a/x", "1")
            .file("b/c/x", "1"),
    );
    let stack = settle(&scratch.store, Vec::new(), &[bottom, deletes, top]).unwrap();
    let path = scratch.store.layer_path(&stack[2]);
    assert_eq!(mode(path.join("a")), 0o755);
    assert_eq!(mode(path.join("b/c")), 0o755);
}

#[test]
fn nothing_is_mounted_below_an_opaque_root() {
    let scratch = Scratch::new();
    let bottom = add(
        &scratch,
        Archive::new().directory("./", 0o755).file("old", "1"),
    );
    let top = add(
        &scratch,
        Archive::new()
            .directory("./", 0o755)
            .file(".wh..wh..opq", "")
            .file("new", "1"),
    );
    let stack = settle(&scratch.store, Vec::new(), &[bottom, top.clone()]).unwrap();
    assert_eq!(stack, [LayerDir::base(&top)]);
}
