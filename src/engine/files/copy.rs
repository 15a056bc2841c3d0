//! `cp`: a tar stream between a role inside the container and one of the host's.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::pipe::{PipeFlags, pipe_with};
use serde::{Deserialize, Serialize};

use super::super::request::{CopyRequest, CopyWay};
use super::super::worker::RoleFailure;
use super::super::{Engine, EngineError};
use super::door::{Door, Entrance, failure};
use super::place::{self, Asked, PlaceError};
use super::side::{Done, Side, Stopped};
use crate::image::{Decompressed, Destination, ExtractOptions, extract};
use crate::runtime::home;
use crate::sys::fs::Links;
use crate::sys::{signal, text};

/// A copy that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Bytes of the archive that went from one side to the other.
    pub bytes: u64,
    pub warnings: Vec<String>,
}

impl Engine {
    /// Copies between a container and the host or the standard streams.
    pub fn copy(&self, request: &CopyRequest) -> Result<Copied, EngineError> {
        let name = match &request.way {
            CopyWay::Out { container, .. } | CopyWay::In { container, .. } => container,
        };
        let record = self.find(name)?;
        let config = self.config_of(&record)?;
        let entrance = self.entrance(&record, &config, true)?;
        let here = std::env::current_dir();
        let here = here.map_err(EngineError::system("find the working directory"))?;
        tracing::debug!(name, "copy");
        let copied = self.in_home("worker", || {
            let door = entrance.open().map_err(|error| failure(&error))?;
            match &request.way {
                CopyWay::Out {
                    container,
                    path,
                    to,
                } => {
                    let asked = Asked::new(Path::new(&text::os(path)), Some(container));
                    match to {
                        Some(to) => {
                            let to = Asked::new(&here.join(to), None);
                            copy_out(&entrance, door, request, &asked, to)
                        }
                        None => stream_out(&entrance, door, request, &asked),
                    }
                }
                CopyWay::In {
                    from,
                    container,
                    path,
                } => {
                    let asked = Asked::new(Path::new(&text::os(path)), Some(container));
                    match from {
                        Some(from) => {
                            let from = Asked::new(&here.join(from), None);
                            copy_in(&entrance, door, request, from, &asked)
                        }
                        None => stream_in(&entrance, door, &asked),
                    }
                }
            }
        })?;
        let action = match &request.way {
            CopyWay::Out { .. } => "archive-path",
            CopyWay::In { .. } => "extract-to-dir",
        };
        let name = self.containers.name_of(&record);
        self.emit_container(&config, &name, action);
        Ok(copied)
    }
}

fn copy_out(
    entrance: &Entrance,
    door: Door,
    request: &CopyRequest,
    asked: &Asked,
    to: Asked,
) -> Result<Copied, RoleFailure> {
    let (reader, writer) = pipe()?;
    let options = ExtractOptions {
        keep_owners: request.archive,
        single_id: home::is_single_id(),
        // Of somebody else's files the user would make programs that act in his name.
        keep_set_id: false,
        links: Links::Refuse,
        rename: true,
    };
    let side = Side::start(reader, !request.archive, move |pipe| {
        let root = open_root()?;
        let mut destination = place::destination(root.as_fd(), &to).map_err(misplaced)?;
        let pinned = place::pinned(root.as_fd(), &mut destination, &to).map_err(misplaced)?;
        let archive = File::from(pipe);
        extracted(archive, pinned.as_fd(), &destination, options)
    });
    let side = side.map_err(|error| failure(&error))?;
    let packed = ignoring_broken_pipes(entrance, door, || {
        let root = open_root();
        Ok(root.and_then(|root| write(root, asked, request, true, File::from(writer))))
    })?;
    agreed(packed, side.wait())
}

fn copy_in(
    entrance: &Entrance,
    door: Door,
    request: &CopyRequest,
    from: Asked,
    asked: &Asked,
) -> Result<Copied, RoleFailure> {
    let (reader, writer) = pipe()?;
    let options = ExtractOptions {
        keep_owners: true,
        single_id: home::is_single_id(),
        keep_set_id: true,
        links: Links::InRoot,
        rename: true,
    };
    let request = request.clone();
    let side = Side::start(writer, !request.archive, move |pipe| {
        let archive = request.archive;
        write(open_root()?, &from, &request, archive, File::from(pipe))
    });
    let side = side.map_err(|error| failure(&error))?;
    let extracted = ignoring_broken_pipes(entrance, door, || {
        let archive = File::from(reader);
        let work = || {
            let root = open_root()?;
            let destination = place::destination(root.as_fd(), asked).map_err(misplaced)?;
            extracted(archive, root.as_fd(), &destination, options)
        };
        Ok(work())
    })?;
    agreed(side.wait(), extracted)
}

/// Straight to standard output; where nobody reads it any more SIGPIPE ends the role.
fn stream_out(
    entrance: &Entrance,
    door: Door,
    request: &CopyRequest,
    asked: &Asked,
) -> Result<Copied, RoleFailure> {
    let done = entrance.inside(door, || {
        let out = io::stdout().as_fd().try_clone_to_owned();
        let out = out.map_err(|source| said("use the standard output", source))?;
        let root = open_root().map_err(|stopped| stopped.failure)?;
        write(root, asked, request, true, File::from(out)).map_err(|stopped| stopped.failure)
    })?;
    Ok(Copied {
        bytes: done.bytes,
        warnings: done.warnings,
    })
}

/// The archive as it is, owners included, into a directory.
fn stream_in(entrance: &Entrance, door: Door, asked: &Asked) -> Result<Copied, RoleFailure> {
    let options = ExtractOptions {
        keep_owners: true,
        single_id: home::is_single_id(),
        keep_set_id: true,
        links: Links::InRoot,
        rename: false,
    };
    entrance.inside(door, || {
        let input = io::stdin().as_fd().try_clone_to_owned();
        let input = input.map_err(|source| said("use the standard input", source))?;
        let mut counted = Counted {
            inner: File::from(input),
            bytes: 0,
        };
        let root = open_root().map_err(|stopped| stopped.failure)?;
        let destination = place::stream_destination(root.as_fd(), asked);
        let destination = destination.map_err(|error| RoleFailure::of(&error, Vec::new()))?;
        let archive = Decompressed::new(&mut counted);
        let archive = archive.map_err(|source| said("read the archive", source))?;
        let warnings = extract(archive, root.as_fd(), &destination, options)
            .map_err(|error| RoleFailure::of(&error, Vec::new()))?;
        Ok(Copied {
            bytes: counted.bytes,
            warnings,
        })
    })
}

/// A side that is left alone says that it is, instead of dying of it.
fn ignoring_broken_pipes(
    entrance: &Entrance,
    door: Door,
    job: impl FnOnce() -> Result<Result<Done, Stopped>, RoleFailure>,
) -> Result<Result<Done, Stopped>, RoleFailure> {
    signal::ignore_broken_pipes().map_err(|source| said("ignore a signal", source))?;
    entrance.inside(door, job)
}

fn write(
    root: OwnedFd,
    asked: &Asked,
    request: &CopyRequest,
    keep_owners: bool,
    out: impl Write,
) -> Result<Done, Stopped> {
    let out = io::BufWriter::with_capacity(64 * 1024, out);
    let packed = place::pack(root.as_fd(), asked, request.follow_link, keep_owners, out);
    match packed {
        Ok((bytes, warnings)) => Ok(Done { bytes, warnings }),
        Err(error) => Err(Stopped {
            consequence: matches!(&error, PlaceError::Pack(error) if error.is_closed()),
            failure: RoleFailure::of(&error, Vec::new()),
        }),
    }
}

/// What both sides together came to: of two failures the one that was not the other's doing.
fn agreed(
    packed: Result<Done, Stopped>,
    extracted: Result<Done, Stopped>,
) -> Result<Copied, RoleFailure> {
    match (packed, extracted) {
        (Ok(done), Ok(made)) => Ok(Copied {
            bytes: done.bytes,
            warnings: [done.warnings, made.warnings].concat(),
        }),
        (Err(packed), Err(extracted)) if packed.consequence => Err(extracted.failure),
        (Err(stopped), _) | (_, Err(stopped)) => Err(stopped.failure),
    }
}

fn misplaced(error: PlaceError) -> Stopped {
    Stopped {
        failure: RoleFailure::of(&error, Vec::new()),
        consequence: false,
    }
}

fn extracted(
    archive: impl Read,
    root: BorrowedFd<'_>,
    destination: &Destination,
    options: ExtractOptions,
) -> Result<Done, Stopped> {
    let extracted = extract(archive, root, destination, options);
    let warnings = extracted.map_err(|error| Stopped {
        consequence: error.is_cut(),
        failure: RoleFailure::of(&error, Vec::new()),
    })?;
    Ok(Done { bytes: 0, warnings })
}

fn open_root() -> Result<OwnedFd, Stopped> {
    place::open_root().map_err(|source| Stopped {
        failure: said("open the root directory", source),
        consequence: false,
    })
}

fn said(operation: &'static str, source: io::Error) -> RoleFailure {
    failure(&EngineError::System { operation, source })
}

fn pipe() -> Result<(OwnedFd, OwnedFd), RoleFailure> {
    pipe_with(PipeFlags::CLOEXEC).map_err(|error| said("make a pipe", error.into()))
}

struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}
