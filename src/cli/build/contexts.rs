//! Where a build's files come from: a directory, an archive on standard input or behind a URL, a repository.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::build::Context;
use crate::build::attest::{Material, without_secrets};
use crate::build::dockerfile::{Ignore, MAX_FILE};
use crate::cli::error::{CliError, Kind};
use crate::engine::request::GitSource;
use crate::engine::{Engine, EngineError};
use crate::image::TempLayer;
use crate::registry::Progress;

/// The Dockerfile and the files of a build.
pub struct Opened {
    pub name: String,
    pub dockerfile: Vec<u8>,
    pub context: Option<Context>,
    /// Where it was brought from.
    pub source: Option<Material>,
    /// What was brought here, for as long as the build goes on.
    _held: Vec<TempLayer>,
}

fn failed(error: &EngineError) -> CliError {
    CliError::engine(Kind::Failed, error)
}

/// Opens what the command line names.
pub fn open(
    engine: &Engine,
    place: &Path,
    file: Option<&Path>,
    inline: Option<&str>,
    progress: &dyn Progress,
) -> Result<Opened, CliError> {
    let from_stdin = Path::new("-");
    let stdin_file = file == Some(from_stdin);
    if place == from_stdin && stdin_file {
        return Err(CliError::usage(
            "invalid argument: can't use stdin for both build context and dockerfile",
        ));
    }
    let text = place.to_string_lossy();
    let mut held = Vec::new();
    let mut source = None;
    let repository = GitSource::parse(&text).map_err(|error| CliError::failed(&error))?;
    let is_web = text.starts_with("http://") || text.starts_with("https://");
    let directory = match repository {
        Some(repository) if !place.is_dir() => {
            let here = scratch(engine)?;
            let cloned = engine.fetch_git(&repository, false, &here.path());
            let cloned = cloned.map_err(|error| CliError::failed(&error))?;
            held.push(here);
            source = Some(Material {
                uri: without_secrets(&repository.remote),
                digest: ("sha1".to_owned(), cloned.commit),
            });
            Some(cloned.directory)
        }
        _ if place == from_stdin || is_web => {
            let spooled = scratch(engine)?;
            let archive = match is_web {
                true => {
                    let fetched = engine.fetch_url(&text, None, &spooled.path(), progress);
                    let fetched = fetched.map_err(|error| failed(&error))?;
                    source = Some(Material {
                        uri: without_secrets(&text),
                        digest: ("sha256".to_owned(), fetched.digest.hex().to_owned()),
                    });
                    spooled.path().join(fetched.name)
                }
                false => spool(&spooled.path().join("stdin"))?,
            };
            let here = scratch(engine)?;
            let unpacked = engine.unpack_context(&archive, &here.path());
            if !unpacked.map_err(|error| failed(&error))? {
                // No archive: a Dockerfile that needs no files.
                return Ok(Opened {
                    name: "-".to_owned(),
                    dockerfile: read(&archive)?,
                    context: None,
                    source,
                    _held: held,
                });
            }
            let directory = here.path();
            held.push(here);
            Some(directory)
        }
        _ => None,
    };
    let is_own = directory.is_none();
    let directory = directory.unwrap_or_else(|| place.to_owned());
    let (name, path) = match file {
        _ if inline.is_some() => ("Dockerfile".to_owned(), None),
        Some(file) if stdin_file => (file.display().to_string(), None),
        Some(file) if is_own => (file.display().to_string(), Some(file.to_owned())),
        // Of what was brought here nothing else is meant.
        Some(file) => (file.display().to_string(), Some(inside(&directory, file)?)),
        None if is_own => ("Dockerfile".to_owned(), Some(directory.join("Dockerfile"))),
        None => {
            let file = inside(&directory, Path::new("Dockerfile"))?;
            ("Dockerfile".to_owned(), Some(file))
        }
    };
    let context = context_at(&directory, path.as_deref())?;
    let dockerfile = match (&path, inline) {
        (Some(path), _) => read(path)?,
        (None, Some(text)) => text.as_bytes().to_owned(),
        (None, None) => read_stdin()?,
    };
    Ok(Opened {
        name,
        dockerfile,
        context: Some(context),
        source,
        _held: held,
    })
}

fn scratch(engine: &Engine) -> Result<TempLayer, CliError> {
    let store = engine.images().map_err(|error| failed(&error))?;
    store
        .begin_layer()
        .map_err(|error| CliError::failed(&error))
}

/// A file of a foreign tree, whose links lead nowhere else.
fn inside(directory: &Path, file: &Path) -> Result<PathBuf, CliError> {
    use std::os::unix::ffi::OsStrExt;
    let missing = || {
        let file = file.display();
        CliError::new(
            Kind::Failed,
            format!("failed to read dockerfile: open {file}: not found"),
        )
    };
    let tree = crate::image::Merged::plain(directory).map_err(|_| missing())?;
    let resolved = tree.resolve(file.as_os_str().as_bytes(), true);
    let resolved = resolved.map_err(|_| missing())?;
    if resolved.shown.is_none() {
        return Err(missing());
    }
    Ok(resolved.below(directory))
}

/// A directory with what its `.dockerignore` leaves out; that of the Dockerfile goes before that of the directory.
pub fn context_at(directory: &Path, dockerfile: Option<&Path>) -> Result<Context, CliError> {
    let shown = directory.display();
    let real = std::fs::canonicalize(directory).map_err(|error| {
        CliError::usage(format!(
            "unable to prepare context: path \"{shown}\": {error}"
        ))
    })?;
    if !real.is_dir() {
        return Err(CliError::usage(format!(
            "unable to prepare context: path \"{shown}\" is no directory"
        )));
    }
    let beside = dockerfile.and_then(|file| {
        let mut name = file.file_name()?.to_owned();
        name.push(".dockerignore");
        Some(file.with_file_name(name))
    });
    for path in beside.into_iter().chain([real.join(".dockerignore")]) {
        match crate::sys::fs::read_bounded(&path, MAX_FILE as u64) {
            Ok(bytes) => {
                let name = path.display().to_string();
                let ignore = Ignore::parse(&name, &bytes);
                return Ok(Context {
                    directory: real,
                    ignore: Some(ignore.map_err(|error| CliError::failed(&error))?),
                });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let path = path.display();
                return Err(CliError::new(Kind::Failed, format!("open {path}: {error}")));
            }
        }
    }
    Ok(Context {
        directory: real,
        ignore: None,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let text = path.display();
    crate::sys::fs::read_bounded(path, MAX_FILE as u64).map_err(|error| {
        let message = format!("failed to read dockerfile: open {text}: {error}");
        CliError::new(Kind::Failed, message)
    })
}

fn read_stdin() -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let limit = MAX_FILE as u64 + 1;
    let read = std::io::stdin().lock().take(limit).read_to_end(&mut bytes);
    read.map_err(|error| CliError::new(Kind::Failed, format!("read standard input: {error}")))?;
    Ok(bytes)
}

/// Whether it is an archive is seen once it is a file.
fn spool(path: &Path) -> Result<PathBuf, CliError> {
    let copied = std::fs::File::create_new(path)
        .and_then(|mut file| std::io::copy(&mut std::io::stdin().lock(), &mut file));
    copied.map_err(|error| CliError::new(Kind::Failed, format!("read standard input: {error}")))?;
    Ok(path.to_owned())
}
