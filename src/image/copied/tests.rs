//! A copy has what the layers show, and its changes are what an overlay's upper directory would hold.

#![allow(clippy::unwrap_used)]

use std::fs as plain;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{Timespec, Timestamps, UTIME_OMIT};

use super::*;

struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_path(&self.0);
    }
}

fn scratch(name: &str) -> Scratch {
    let top = std::env::temp_dir().join(format!("bryo-copied-{name}-{}", std::process::id()));
    for path in [
        "low/etc", "low/gone", "low/kept", "high/etc", "upper", "changes",
    ] {
        plain::create_dir_all(top.join(path)).unwrap();
    }
    for (path, text) in [
        ("low/etc/hosts", "one"),
        ("low/etc/old", "old"),
        ("low/gone/file", "x"),
        ("low/kept/first", "same"),
        ("low/kept/touched", "same"),
        ("high/etc/hosts", "two"),
    ] {
        plain::write(top.join(path), text).unwrap();
    }
    plain::hard_link(top.join("low/kept/first"), top.join("low/kept/second")).unwrap();
    symlink("etc/hosts", top.join("low/link")).unwrap();
    Scratch(top)
}

fn copied<'a>(
    top: &Path,
    place: &'a Path,
    below: &'a mut Vec<PathBuf>,
    upper: &'a Path,
) -> CopiedRoot<'a> {
    *below = ["low", "high"].map(|name| top.join(name)).to_vec();
    CopiedRoot {
        place,
        below,
        upper,
        lent: &[],
    }
}

/// Paths below `top`, directories with a slash, whiteouts with a minus.
fn listed(top: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![top.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in plain::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let meta = plain::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
            if meta.is_dir() {
                waiting.push(path);
                found.push(format!("{name}/"));
            } else if meta.file_type().is_char_device() {
                found.push(format!("-{name}"));
            } else {
                // On an overlay.
                let deleted = name.contains(".wh.").then(|| name.replace(".wh.", ""));
                found.push(deleted.map_or(name, |name| format!("-{name}")));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_copy_is_what_the_layers_show_and_its_changes_are_an_upper_directory() {
    let top = scratch("changes");
    let (place, upper, mut below) = (top.0.join("root"), top.0.join("upper"), Vec::new());
    let root = copied(&top.0, &place, &mut below, &upper);
    // What a copy that was killed has left.
    plain::create_dir(top.0.join("root.new")).unwrap();
    plain::write(top.0.join("root.new/rest"), "x").unwrap();
    root.make(false).unwrap();
    let read = |path: &str| plain::read_to_string(place.join(path)).unwrap();
    assert_eq!(read("link"), "two");
    let number = |path: &str| plain::metadata(place.join(path)).unwrap().ino();
    assert_eq!(number("kept/first"), number("kept/second"));
    let changes = top.0.join("changes");
    let target = fs::open_directory(&changes).unwrap();
    root.write_changes(target.as_fd()).unwrap();
    assert_eq!(listed(&changes), Vec::<String>::new());

    plain::remove_file(place.join("etc/old")).unwrap();
    plain::create_dir(place.join("new")).unwrap();
    plain::write(place.join("new/file"), "x").unwrap();
    // Neither its size nor its time tells.
    let file = place.join("kept/touched");
    let time = plain::metadata(&file).unwrap();
    plain::write(&file, "SAME").unwrap();
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: time.mtime(),
            tv_nsec: time.mtime_nsec(),
        },
    };
    rustix::fs::utimensat(rustix::fs::CWD, &file, &times, AtFlags::empty()).unwrap();
    // Only opened, and given the mode that it has.
    let mode = PermissionsExt::from_mode(plain::metadata(place.join("etc/hosts")).unwrap().mode());
    plain::set_permissions(place.join("etc/hosts"), mode).unwrap();
    root.write_changes(target.as_fd()).unwrap();
    assert_eq!(
        listed(&changes),
        [
            "-etc/old",
            "etc/",
            "kept/",
            "kept/touched",
            "new/",
            "new/file"
        ]
    );
    assert_eq!(plain::read(changes.join("kept/touched")).unwrap(), b"SAME");
}

#[test]
fn what_an_overlay_had_changed_before_stays_a_change() {
    let top = scratch("before");
    let (place, upper, mut below) = (top.0.join("root"), top.0.join("upper"), Vec::new());
    let root = copied(&top.0, &place, &mut below, &upper);
    plain::create_dir(upper.join("etc")).unwrap();
    plain::write(upper.join("etc/hosts"), "own").unwrap();
    root.make(false).unwrap();
    assert_eq!(plain::read(place.join("etc/hosts")).unwrap(), b"own");
    let changes = top.0.join("changes");
    let target = fs::open_directory(&changes).unwrap();
    root.write_changes(target.as_fd()).unwrap();
    assert_eq!(listed(&changes), ["etc/", "etc/hosts"]);
}
