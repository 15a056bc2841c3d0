//! `volume export` and `volume import`: what is in a volume as a tar.

use std::fs::File;
use std::io::{self, BufWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use super::super::images::unpack_options;
use super::super::request::Input;
use super::super::worker::RoleFailure;
use super::super::{Engine, EngineError};
use super::open;
use crate::image::{Decompressed, Packer, Tree, UnpackOptions, unpack_into};

impl Engine {
    /// Writes the tar to a file, or to the standard output.
    pub fn export_volume(&self, name: &str, output: Option<PathBuf>) -> Result<(), EngineError> {
        let volume = self.volume(name)?.volume;
        let place = self.place_of(&volume, "export")?;
        self.in_home("worker", || {
            let directory = open(&place)?;
            let file = match &output {
                Some(path) => File::create(path),
                None => duplicate(io::stdout()),
            };
            let file = file.map_err(|error| failed("write", output.as_ref(), &error))?;
            let mut packer = Packer::new(BufWriter::new(file), Tree::Plain { keep_owners: true });
            let packed = packer.add_directory(directory, b".");
            let packed = packed.and_then(|()| packer.finish());
            packed
                .map(drop)
                .map_err(|error| RoleFailure::of(&error, Vec::new()))
        })
    }

    /// Unpacks a tar (plain, gzip, zstd) over what is there; gives what could not be kept.
    pub fn import_volume(&self, name: &str, input: &Input) -> Result<Vec<String>, EngineError> {
        let volume = self.volume(name)?.volume;
        let place = self.place_of(&volume, "import")?;
        self.in_home("worker", || {
            let path = match input {
                Input::Stdin => None,
                Input::File(path) => Some(path),
            };
            let file = match path {
                None => duplicate(io::stdin()),
                Some(path) => File::open(path),
            };
            let file = file.map_err(|error| failed("open", path, &error))?;
            let archive = Decompressed::new(file);
            let archive = archive.map_err(|error| RoleFailure::of(&error, Vec::new()))?;
            let directory = open(&place)?;
            let options = UnpackOptions {
                plain: true,
                ..unpack_options()
            };
            let report = unpack_into(archive, directory.as_fd(), &options);
            let report = report.map_err(|error| RoleFailure::of(&error, Vec::new()))?;
            Ok(report.warnings)
        })
    }
}

fn duplicate(stream: impl AsFd) -> io::Result<File> {
    let copy: OwnedFd = stream.as_fd().try_clone_to_owned()?;
    Ok(File::from(copy))
}

fn failed(operation: &str, path: Option<&PathBuf>, error: &io::Error) -> RoleFailure {
    let path = path.map_or("-".to_owned(), |path| path.display().to_string());
    RoleFailure {
        message: format!("{operation} {path}: {error}"),
        hints: Vec::new(),
    }
}
