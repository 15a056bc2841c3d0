//! `export`: a container's root, without what is mounted below it, as a tar archive.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::super::worker::RoleFailure;
use super::super::{Engine, EngineError};
use super::copy::Copied;
use super::door::failure;
use super::place::open_root;
use crate::image::{Packer, Tree};
use crate::sys::mount;

impl Engine {
    /// Writes the archive to a file, which appears when it is whole, or to standard output.
    pub fn export(&self, name: &str, to: Option<&Path>) -> Result<Copied, EngineError> {
        let record = self.find(name)?;
        let config = self.config_of(&record)?;
        let entrance = self.entrance(&record, &config, false)?;
        let unfinished = to.map(Unfinished::beside).transpose()?;
        tracing::debug!(name, "export");
        let exported = self.in_home("worker", || {
            // Opened before the role goes where there are no files of the host.
            let out = match &unfinished {
                Some(unfinished) => unfinished.open(),
                None => io::stdout().as_fd().try_clone_to_owned().map(File::from),
            };
            let out = out.map_err(said("open the output"))?;
            let door = entrance.open().map_err(|error| failure(&error))?;
            entrance.inside(door, || pack_root(out))
        })?;
        if let Some(unfinished) = unfinished {
            unfinished.keep()?;
        }
        Ok(exported)
    }
}

fn pack_root(out: File) -> Result<Copied, RoleFailure> {
    let root = open_root().and_then(|root| mount::clone_mount(root.as_fd()));
    let root = root.and_then(readable).map_err(said("open the root"))?;
    let out = io::BufWriter::with_capacity(256 * 1024, out);
    let mut packer = Packer::new(out, Tree::Plain { keep_owners: true });
    let packed = packer.add_directory(root, b"");
    let packed = packed.and_then(|()| packer.finish());
    let (bytes, warnings) = packed.map_err(|error| RoleFailure::of(&error, Vec::new()))?;
    Ok(Copied { bytes, warnings })
}

/// A mount's descriptor only names a place.
fn readable(root: OwnedFd) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(root, ".", flags, Mode::empty())?)
}

fn said(operation: &'static str) -> impl FnOnce(io::Error) -> RoleFailure {
    move |source| failure(&EngineError::System { operation, source })
}

/// A file that takes its name when it is whole; dropped before, it goes.
struct Unfinished {
    temporary: PathBuf,
    path: PathBuf,
    kept: bool,
}

impl Unfinished {
    fn beside(path: &Path) -> Result<Unfinished, EngineError> {
        let refused = |reason: String| EngineError::Output {
            path: path.to_owned(),
            reason,
        };
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        let parent = parent.unwrap_or(Path::new("."));
        if !parent.is_dir() {
            let parent = parent.display();
            return Err(refused(format!("directory {parent:?} does not exist")));
        }
        if let Ok(meta) = fs::metadata(path) {
            let kind = meta.file_type();
            if kind.is_dir() {
                return Err(refused("it is a directory".to_owned()));
            }
            if kind.is_char_device() || kind.is_block_device() || !kind.is_file() {
                return Err(refused("got a device".to_owned()));
            }
        }
        let random = crate::sys::fs::random_name();
        Ok(Unfinished {
            temporary: parent.join(format!(".tmp-{random}")),
            path: path.to_owned(),
            kept: false,
        })
    }

    fn open(&self) -> io::Result<File> {
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.temporary)
    }

    fn keep(mut self) -> Result<(), EngineError> {
        let renamed = fs::rename(&self.temporary, &self.path);
        renamed.map_err(EngineError::file("write", &self.path))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
