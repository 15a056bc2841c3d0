//! `export`: a container's root, without what is mounted below it, as a tar archive.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::super::output::Unfinished;
use super::super::worker::RoleFailure;
use super::super::{Engine, EngineError};
use super::copy::Copied;
use super::door::failure;
use super::own_layer::lent_to;
use super::place::open_root;
use crate::image::{Packer, Tree};
use crate::runtime::isolation::Isolation;
use crate::sys::mount;

impl Engine {
    /// Writes the archive to a file, which appears when it is whole, or to standard output.
    pub fn export(&self, name: &str, to: Option<&Path>) -> Result<Copied, EngineError> {
        let record = self.find(name)?;
        let config = self.config_of(&record)?;
        let entrance = self.entrance(&record, &config, false)?;
        let unfinished = to.map(Unfinished::file).transpose()?;
        tracing::debug!(name, "export");
        let exported = self.in_home("worker", || {
            // Opened before the role goes where there are no files of the host.
            let out = match &unfinished {
                Some(unfinished) => unfinished.open(),
                None => io::stdout().as_fd().try_clone_to_owned().map(File::from),
            };
            let out = out.map_err(said("open the output"))?;
            let door = entrance.open().map_err(|error| failure(&error))?;
            let lent = lent_to(&entrance.rest.rootfs)?;
            let isolation = entrance.rest.isolation;
            entrance.inside(door, || pack_root(out, isolation, &lent))
        })?;
        if let Some(unfinished) = unfinished {
            unfinished.keep()?;
        }
        let name = self.containers.name_of(&record);
        self.emit_container(&config, &name, "export");
        Ok(exported)
    }
}

fn pack_root(out: File, isolation: Isolation, lent: &[PathBuf]) -> Result<Copied, RoleFailure> {
    let root = open_root().and_then(|root| match isolation {
        Isolation::Namespaces => mount::clone_mount(root.as_fd()),
        Isolation::Chroot => Ok(root),
    });
    let root = root.and_then(readable).map_err(said("open the root"))?;
    let out = io::BufWriter::with_capacity(256 * 1024, out);
    let mut packer = Packer::new(out, Tree::Plain { keep_owners: true }).without(lent);
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
