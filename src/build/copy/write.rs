//! Copying into the layer: where each source goes, by docker's rules.

use std::os::fd::AsFd;

use super::owner::owner;
use super::{CopyError, CopyStep, CopyTarget, Filters, Origin, Unpack, io};
use crate::build::select::{Named, Selected, What};
use crate::image::{
    Appearance, Choice, Former, Graft, Merged, Place, Shown, UnpackOptions, is_archive,
    unpack_archive,
};
use crate::sys::fs;

pub(super) fn write(
    step: &CopyStep,
    target: &CopyTarget<'_>,
    (selections, former): (Vec<Selected>, Option<Former>),
    filters: &Filters,
    newest: impl FnOnce() -> Result<i64, CopyError>,
) -> Result<Vec<String>, CopyError> {
    let layer = target.store.borrow_layer(target.layer)?;
    let below = match step.link {
        true => Merged::default(),
        false => Merged::of_layers(target.below).map_err(io("open the layers below"))?,
    };
    let owner = match &step.chown {
        Some(text) => Some(owner(target.below, text)?),
        None if matches!(step.origin, Origin::Tree { .. }) => Some((0, 0)),
        None => None,
    };
    let mode = step
        .chmod
        .as_ref()
        .map(|change| move |mode: u32, is_directory: bool| change.apply(mode, is_directory));
    let appearance = Appearance {
        owner,
        mode: mode
            .as_ref()
            .map(|change| change as &dyn Fn(u32, bool) -> u32),
        latest: step.epoch,
        through_links: false,
    };
    let graft = Graft::new(&layer, below, target.single_id);
    let mut writer = Writer {
        step,
        target,
        filters,
        graft: match step.origin {
            Origin::Tree { .. } => graft.after(former),
            Origin::Layers(_) => graft,
        },
        appearance,
        directory_owner: owner.filter(|_| step.chown.is_some()),
        warnings: Vec::new(),
    };
    for file in &step.inline {
        let (place, name) = writer.file_target(file.name.as_bytes())?;
        writer
            .graft
            .write(&place, &name, &file.content, &writer.appearance)?;
    }
    for selected in selections {
        match step.parents {
            true => writer.put_with_parents(selected)?,
            false => writer.put(selected)?,
        }
    }
    let mut warnings = writer.warnings;
    let newest = newest()?;
    warnings.extend(writer.graft.finish(step.epoch.unwrap_or(newest))?);
    Ok(warnings)
}

struct Writer<'a> {
    step: &'a CopyStep,
    target: &'a CopyTarget<'a>,
    filters: &'a Filters,
    graft: Graft<'a>,
    appearance: Appearance<'a>,
    directory_owner: Option<(u32, u32)>,
    warnings: Vec<String>,
}

impl<'a> Writer<'a> {
    /// The destination as it is now: its real path, and whether it is a directory, something else, or nothing.
    fn destination(&self) -> Result<(Vec<Vec<u8>>, Option<bool>), CopyError> {
        let view = self.graft.view().map_err(io("open the layers below"))?;
        let resolved = view.resolve(self.step.destination.as_bytes(), true);
        let resolved = resolved.map_err(io("look at the destination"))?;
        let is_directory = resolved.shown.map(|(_, shown)| match shown {
            None | Some(Shown::Directory { .. }) => true,
            Some(Shown::Other { .. }) => false,
        });
        Ok((resolved.path, is_directory))
    }

    fn appearance_of(&self, named: &Named) -> Appearance<'a> {
        let latest = self.appearance.latest.into_iter().chain(named.latest).min();
        Appearance {
            latest,
            ..self.appearance
        }
    }

    fn directory(&mut self, path: &[Vec<u8>]) -> Result<Place, CopyError> {
        Ok(self.graft.directory(path, self.directory_owner, 0o755)?)
    }

    /// Where a single file of this name goes.
    fn file_target(&mut self, name: &[u8]) -> Result<(Place, Vec<u8>), CopyError> {
        let (path, is_directory) = self.destination()?;
        match path.split_last() {
            Some((last, parents)) if !self.step.into_directory && is_directory != Some(true) => {
                Ok((self.directory(parents)?, last.clone()))
            }
            _ => Ok((self.directory(&path)?, name.to_vec())),
        }
    }

    fn put(&mut self, selected: Selected) -> Result<(), CopyError> {
        let Selected { named, what, .. } = selected;
        match what {
            What::Directory(directory) => self.put_directory(directory, &named),
            What::Other(parent, from) => {
                let may_unpack = match self.step.unpack {
                    Unpack::Nothing => false,
                    Unpack::Local => !named.is_fetched,
                    Unpack::Everything => true,
                };
                if may_unpack && self.unpack(&parent, &from)? {
                    return Ok(());
                }
                let (place, target) = self.file_target(&named.name)?;
                let appearance = self.appearance_of(&named);
                self.graft
                    .copy(&parent, &from, &place, &target, &appearance, &take_all)?;
                Ok(())
            }
        }
    }

    /// The content of a directory becomes that of the destination.
    fn put_directory(&mut self, directory: Merged, named: &Named) -> Result<(), CopyError> {
        let filters = self.filters;
        let choose =
            |relative: &[u8], is_directory: bool| filters.choice(named, relative, is_directory);
        let appearance = self.appearance_of(named);
        let (there, is_directory) = self.destination()?;
        if is_directory == Some(false) {
            return Err(CopyError::NoDirectory {
                destination: self.step.destination.clone(),
            });
        }
        if let (None, Some((_, parents))) = (is_directory, there.split_last()) {
            self.directory(parents)?;
        }
        // Only what is in the source is copied: a new directory is like any other that is made, but for `--chmod`.
        let mode = appearance.mode.map_or(0o755, |change| change(0o755, true));
        let place = self.graft.directory(&there, self.directory_owner, mode)?;
        self.graft
            .copy_content(directory, place, &appearance, &choose)?;
        Ok(())
    }

    /// The parts of the path behind `/./`, or all of them, are made below the destination.
    fn put_with_parents(&mut self, selected: Selected) -> Result<(), CopyError> {
        let (mut there, _) = self.destination()?;
        let mut parts = selected.matched[selected.pivot..].to_vec();
        let Some(last) = parts.pop() else {
            return self.put(selected);
        };
        there.extend(parts);
        let place = self.directory(&there)?;
        let filters = self.filters;
        let named = &selected.named;
        let choose =
            |relative: &[u8], is_directory: bool| filters.choice(named, relative, is_directory);
        let appearance = self.appearance;
        match selected.what {
            What::Directory(directory) => {
                self.graft
                    .copy_directory(directory, &place, &last, &appearance, &choose)?;
            }
            What::Other(parent, from) => {
                self.graft
                    .copy(&parent, &from, &place, &last, &appearance, &take_all)?;
            }
        }
        Ok(())
    }

    /// What is in an archive goes below the destination, with its own owners and modes; `false` if it is none.
    fn unpack(&mut self, parent: &Merged, name: &[u8]) -> Result<bool, CopyError> {
        let shown = parent.look(name).map_err(io("look at a source"))?;
        let Some(Shown::Other { part, .. }) = shown else {
            return Ok(false);
        };
        let Ok(file) = parent.open_file(part, name) else {
            return Ok(false);
        };
        if !is_archive(&file).map_err(io("read a source"))? {
            return Ok(false);
        }
        let scratch = self.target.store.begin_layer()?;
        // Names that would stand for whiteouts in a layer are names here.
        let options = UnpackOptions {
            single_id: self.target.single_id,
            plain: true,
            ..UnpackOptions::default()
        };
        let unpacked = unpack_archive(file, scratch.root(), &options);
        self.warnings
            .extend(unpacked.map_err(|source| CopyError::Unpack {
                name: String::from_utf8_lossy(name).into_owned(),
                source,
            })?);
        let (there, _) = self.destination()?;
        let place = self.directory(&there)?;
        let top = fs::open_directory_readable(scratch.root().as_fd());
        let tree = Merged::open_plain(top.map_err(io("open the archive's files"))?);
        let appearance = Appearance {
            owner: self.directory_owner,
            mode: None,
            through_links: true,
            ..self.appearance
        };
        self.graft
            .copy_content(tree, place, &appearance, &take_all)?;
        Ok(true)
    }
}

fn take_all(_: &[u8], _: bool) -> Choice {
    Choice::Take
}
