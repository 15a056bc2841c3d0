//! Several layers as one: what they come to on the layers below them. What was made and deleted within is in neither, and a
//! whiteout is there only for what the layers below show. Copies, and never mounts anything. Runs in the home namespace.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::Mode;

use super::copied::{CopiedError, Copier, KEPT, check_depth, inside, open_directory};
use super::layer::{LayerPath, TempLayer};
use super::merged::{Merged, Shown};
use super::whiteouts;
use crate::sys::copy::copy_attributes;
use crate::sys::{fault, fs, xattr};

/// One place, as it is seen from three sides.
struct Sides {
    /// The layers that stay.
    below: Merged,
    /// Those that become one.
    layers: Merged,
    /// Both.
    all: Merged,
}

/// Writes into an empty layer what `layers` change in those `below`, both bottom first. The looks of its root are not set.
pub fn squash(below: &[PathBuf], layers: &[PathBuf], into: &TempLayer) -> Result<(), CopiedError> {
    let top = LayerPath(Vec::new());
    let opened = |layers: &[PathBuf]| Merged::of_layers(layers).map_err(inside("open", &top));
    let sides = Sides {
        below: opened(below)?,
        layers: opened(layers)?,
        all: opened(&[below, layers].concat())?,
    };
    let root = fs::open_directory_readable(into.root()).map_err(inside("open", &top))?;
    let mut copier = Copier::into(&root);
    directory(&mut copier, &sides, &root, &top, 0)
}

/// A directory through which the layers below are seen.
fn directory(
    copier: &mut Copier<'_>,
    sides: &Sides,
    target: &OwnedFd,
    path: &LayerPath,
    depth: usize,
) -> Result<(), CopiedError> {
    check_depth(path, depth)?;
    for name in sides.layers.list().map_err(inside("list", path))? {
        let child = path.join(&name);
        let looked = |merged: &Merged| merged.look(&name).map_err(inside("look at", &child));
        match looked(&sides.layers)? {
            None => {}
            Some(Shown::Other { stat, part }) => {
                copier.entry((&sides.layers, part), target, &stat, &child)?;
            }
            Some(Shown::Directory { directory: own, .. }) => {
                let made = fault::at("make directory")
                    .and_then(|()| rustix::fs::mkdirat(target, &name, Mode::RWXU));
                made.map_err(inside("make", &child))?;
                let new = open_directory(target, &name).map_err(inside("open", &child))?;
                match (looked(&sides.below)?, looked(&sides.all)?) {
                    // More parts than the layers have themselves: something below is seen.
                    (
                        Some(Shown::Directory {
                            directory: below, ..
                        }),
                        Some(Shown::Directory { directory: all, .. }),
                    ) if all.parts().len() > own.parts().len() => {
                        let sides = Sides {
                            below,
                            layers: own,
                            all,
                        };
                        directory(copier, &sides, &new, &child, depth + 1)?;
                    }
                    (below, _) => {
                        copier.directory(&own, &new, &child, depth + 1)?;
                        if matches!(below, Some(Shown::Directory { .. })) {
                            let marked = xattr::set(&new, b"user.overlay.opaque", b"y");
                            marked.map_err(inside("mark as opaque", &child))?;
                        }
                    }
                }
            }
        }
    }
    for name in sides.below.list().map_err(inside("list", path))? {
        let child = path.join(&name);
        let shown = sides.all.look(&name).map_err(inside("look at", &child))?;
        if shown.is_none() {
            whiteouts::make(target, &name).map_err(inside("delete", &child))?;
        }
    }
    // Its time comes last: entries below change it.
    let top = sides.layers.top().filter(|_| depth > 0);
    let copied = top.map_or(Ok(()), |top| copy_attributes(top, target.as_fd(), KEPT));
    copied.map_err(inside("set the attributes of", path))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::unpack::tests::Scratch;
    use std::fs as plain;

    /// Everything of a layer, with what it hides: `name/` a directory, `name*` an opaque one, `-name` a whiteout.
    fn shown(directory: &OwnedFd, path: &str, lines: &mut Vec<String>) {
        let mut names = fs::list_directory(directory).unwrap();
        names.sort();
        for (name, is_directory) in names {
            let text = format!("{path}{}", String::from_utf8_lossy(&name));
            let stat = fs::stat_at(directory, &name).unwrap().unwrap();
            if is_directory {
                let below = open_directory(directory, &name).unwrap();
                let opaque = xattr::get(&below, b"user.overlay.opaque")
                    .unwrap()
                    .is_some();
                lines.push(format!("{text}{}", if opaque { "*" } else { "/" }));
                shown(&below, &format!("{text}/"), lines);
            } else if whiteouts::is_whiteout(&stat) {
                lines.push(format!("-{text}"));
            } else {
                lines.push(text);
            }
        }
    }

    #[test]
    fn several_layers_become_what_they_change_in_those_below() {
        let scratch = Scratch::new();
        let layer = |files: &[&str], deleted: &[&str], opaque: &[&str]| {
            let layer = scratch.store.begin_layer().unwrap();
            for file in files {
                let path = layer.path().join(file);
                plain::create_dir_all(path.parent().unwrap()).unwrap();
                plain::write(path, file).unwrap();
            }
            for path in deleted {
                let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
                plain::create_dir_all(layer.path().join(parent)).unwrap();
                let parent = fs::open_directory(&layer.path().join(parent)).unwrap();
                whiteouts::make(&parent, name.as_bytes()).unwrap();
            }
            for path in opaque {
                let path = layer.path().join(path);
                plain::create_dir_all(&path).unwrap();
                let marked = fs::open_directory(&path).unwrap();
                xattr::set(&marked, b"user.overlay.opaque", b"y").unwrap();
            }
            layer
        };
        let base = layer(
            &[
                "etc/a",
                "etc/b",
                "gone/x",
                "again/old",
                "opaque/old",
                "file",
                "dir/x",
            ],
            &[],
            &[],
        );
        let first = layer(
            &["tmp/made", "etc/c", "etc/b", "again2"],
            &["again", "file"],
            &[],
        );
        let second = layer(
            &["again/new", "opaque/new", "file/now", "dir"],
            &["tmp", "etc/a", "gone", "etc/c", "never"],
            &["opaque"],
        );
        let into = scratch.store.begin_layer().unwrap();
        squash(&[base.path()], &[first.path(), second.path()], &into).unwrap();
        let mut lines = Vec::new();
        shown(
            &fs::open_directory_readable(into.root()).unwrap(),
            "",
            &mut lines,
        );
        let expected = [
            "again*",
            "again/new",
            "again2",
            "dir",
            "etc/",
            "-etc/a",
            "etc/b",
            "file/",
            "file/now",
            "-gone",
            "opaque*",
            "opaque/new",
        ];
        assert_eq!(lines, expected);
    }
}
