//! Archives of trees whose files are read ahead.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::fs::{create_dir_all, hard_link, write};
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::image::unpack::tests::Scratch;

/// Directories of a few files and one of many, large and empty files, files with a second name elsewhere, links and attributes.
fn grow(top: &Path) {
    for number in 0..700 {
        let directory = match number {
            0..300 => top.join(format!("{}", number / 5)).join("deep"),
            _ => top.join("many"),
        };
        create_dir_all(&directory).unwrap();
        let file = directory.join(format!("{number}"));
        let length = match number % 50 {
            0 => 0,
            1 => 70_000,
            2 => 32 << 10,
            3 => (32 << 10) + 1,
            length => length * 11,
        };
        write(&file, number.to_string().repeat(length)).unwrap();
        match number % 7 {
            0 => symlink("nowhere", directory.join(format!("{number}.link"))).unwrap(),
            1 => hard_link(&file, top.join(format!("{number}.name"))).unwrap(),
            2 => {
                let file = std::fs::File::open(&file).unwrap();
                let _ = xattr::set(&file, b"user.bryo-test", b"value");
            }
            _ => {}
        }
    }
    create_dir_all(top.join("empty")).unwrap();
}

fn packed(top: &Path, ahead: bool) -> Vec<u8> {
    let hidden = HashSet::new();
    let tree = Tree::Layer {
        hidden: &hidden,
        marker_files: false,
        ids: Ids::Home,
    };
    let mut bytes = Vec::new();
    let mut packer = Packer::new(&mut bytes, tree);
    if ahead {
        packer.queue = Some(Queue::default());
    }
    let top = fs::open_directory_readable(fs::open_directory(top).unwrap());
    packer.add_directory(top.unwrap(), b"").unwrap();
    packer.finish().unwrap();
    bytes
}

#[test]
fn an_archive_is_the_same_whoever_reads_its_files() {
    let scratch = Scratch::new();
    let top = scratch.path.join("tree");
    grow(&top);
    let alone = packed(&top, false);
    assert!(alone.len() > 700 * 512);
    for _ in 0..10 {
        assert!(packed(&top, true) == alone);
    }
}

#[test]
fn a_file_that_cannot_be_read_ahead_ends_the_archive() {
    let scratch = Scratch::new();
    let top = scratch.path.join("tree");
    grow(&top);
    let directory = fs::open_directory_readable(fs::open_directory(&top).unwrap()).unwrap();
    let hidden = HashSet::new();
    let tree = Tree::Layer {
        hidden: &hidden,
        marker_files: false,
        ids: Ids::Home,
    };
    let mut packer = Packer::new(Vec::new(), tree);
    packer.queue = Some(Queue::default());
    for number in 0..200 {
        let name = match number {
            150 => vec![b'x'; 300],
            number => number.to_string().into_bytes(),
        };
        let wanted = Wanted {
            directory: Arc::new(directory.try_clone().unwrap()),
            path: name.clone(),
            name,
        };
        packer.defer(wanted).unwrap();
    }
    let error = packer.finish().unwrap_err().to_string();
    assert!(error.starts_with("open /xxx"), "{error}");
}
