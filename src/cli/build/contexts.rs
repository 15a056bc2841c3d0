//! Where a build's files come from: a directory, an archive on standard input or behind a URL, a repository.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::build::attest::{Material, without_secrets};
use crate::build::dockerfile::{Ignore, MAX_FILE};
use crate::build::{Context, NamedContext, SecretSource, authorizations};
use crate::cli::container_flags::value;
use crate::cli::error::{CliError, Kind};
use crate::engine::request::{GitSource, Input, LoadRequest};
use crate::engine::{Authorizations, Engine, EngineError};
use crate::image::{Digest, OneImage, Platform, TempLayer};
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

/// What was elsewhere, for as long as this lives.
pub struct Brought {
    pub files: Files,
    pub source: Option<Material>,
    held: Vec<TempLayer>,
}

pub enum Files {
    Directory(PathBuf),
    /// It is no archive.
    Single(PathBuf),
}

/// `--build-context`: what their names stand for.
#[derive(Default)]
pub struct Others {
    pub contexts: BTreeMap<String, NamedContext>,
    /// Images of layouts, which are brought for each platform.
    pub layouts: Vec<Layout>,
    held: Vec<TempLayer>,
}

/// `oci-layout://DIRECTORY[:TAG][@DIGEST]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub name: String,
    pub directory: PathBuf,
    pub image: OneImage,
}

impl Layout {
    fn parse(name: &str, place: &str) -> Result<Layout, CliError> {
        let (place, digest) = match place.split_once('@') {
            Some((place, digest)) => (place, Some(value("--build-context", digest)?)),
            None => (place, None),
        };
        let (directory, tag) = match place.rsplit_once(':') {
            Some((directory, tag)) if !tag.contains('/') => (directory, Some(tag.to_owned())),
            _ => (place, None),
        };
        Ok(Layout {
            name: name.to_owned(),
            directory: directory.into(),
            image: OneImage { tag, digest },
        })
    }

    /// Its image, which has no name in the store.
    pub fn load(&self, engine: &Engine, platform: Option<&Platform>) -> Result<Digest, CliError> {
        let loaded = engine.load_images(&LoadRequest {
            only: Some(self.image.clone()),
            input: Input::File(self.directory.clone()),
            platform: platform.map(ToString::to_string),
        });
        let loaded = loaded.map_err(|error| failed(&error))?;
        Ok(loaded[0].id.clone())
    }
}

impl Others {
    /// Opens or brings what one of them says.
    pub fn add(
        &mut self,
        engine: &Engine,
        (name, place): (&str, &str),
        lent: Lent<'_>,
        progress: &dyn Progress,
    ) -> Result<(), CliError> {
        let context = if let Some(image) = place.strip_prefix("docker-image://") {
            NamedContext::Image(image.to_owned())
        } else if let Some(layout) = place.strip_prefix("oci-layout://") {
            self.layouts.push(Layout::parse(name, layout)?);
            return Ok(());
        } else if let Some(brought) = bring(engine, place, false, lent, progress)? {
            let directory = match &brought.files {
                Files::Directory(directory) => directory.clone(),
                // A file that is no archive is what is in the context.
                Files::Single(file) => file.parent().map(Path::to_owned).unwrap_or_default(),
            };
            self.held.extend(brought.held);
            NamedContext::Directory(context_at(&directory, None)?)
        } else if place.contains("://") {
            return Err(CliError::usage(format!(
                "invalid value {place:?} for --build-context: a directory, docker-image://, oci-layout://, a repository, or an archive by http or https"
            )));
        } else {
            NamedContext::Directory(context_at(Path::new(place), None)?)
        };
        self.contexts.insert(name.to_owned(), context);
        Ok(())
    }
}

/// How a build's files are named.
pub struct Named<'a> {
    pub place: &'a Path,
    pub dockerfile: Option<&'a Path>,
    /// The Dockerfile itself.
    pub inline: Option<&'a str>,
    /// `.git` of a repository stays.
    pub keeps_git: bool,
    pub lent: Lent<'a>,
    /// The directory was brought here: nothing of it leads out of it.
    pub is_foreign: bool,
}

fn failed(error: &EngineError) -> CliError {
    CliError::engine(Kind::Failed, error)
}

/// Opens what the command line names.
pub fn open(
    engine: &Engine,
    named: &Named<'_>,
    progress: &dyn Progress,
) -> Result<Opened, CliError> {
    let from_stdin = Path::new("-");
    if named.place == from_stdin && named.dockerfile == Some(from_stdin) {
        return Err(CliError::usage(
            "invalid argument: can't use stdin for both build context and dockerfile",
        ));
    }
    let text = named.place.to_string_lossy();
    let brought = match named.place == from_stdin {
        true => Some(spooled(engine)?),
        false => bring(engine, &text, named.keeps_git, named.lent, progress)?,
    };
    let Some(brought) = brought else {
        return named.open_at(named.place, named.is_foreign);
    };
    let mut opened = match &brought.files {
        Files::Directory(directory) => named.open_at(directory, true)?,
        // A Dockerfile that needs no files.
        Files::Single(file) => Opened {
            name: "-".to_owned(),
            dockerfile: read(file)?,
            context: None,
            source: None,
            _held: Vec::new(),
        },
    };
    opened.source = brought.source;
    opened._held = brought.held;
    Ok(opened)
}

impl Named<'_> {
    fn open_at(&self, directory: &Path, is_foreign: bool) -> Result<Opened, CliError> {
        let (name, path) = self.dockerfile_at(directory, is_foreign)?;
        let context = context_at(directory, path.as_deref())?;
        let dockerfile = match (&path, self.inline) {
            (Some(path), _) => read(path)?,
            (None, Some(text)) => text.as_bytes().to_owned(),
            (None, None) => read_stdin()?,
        };
        Ok(Opened {
            name,
            dockerfile,
            context: Some(context),
            source: None,
            _held: Vec::new(),
        })
    }

    /// What it is called and, if it is one, the file.
    fn dockerfile_at(
        &self,
        directory: &Path,
        is_foreign: bool,
    ) -> Result<(String, Option<PathBuf>), CliError> {
        let file = self.dockerfile.unwrap_or(Path::new(USUAL));
        let name = |file: &Path| file.display().to_string();
        if self.inline.is_some() {
            return Ok((USUAL.to_owned(), None));
        }
        if self.dockerfile == Some(Path::new("-")) {
            return Ok((name(file), None));
        }
        let place = |file: &Path| match self.dockerfile {
            // Of what was brought here nothing else is meant.
            _ if is_foreign => inside(directory, file),
            Some(_) => Some(file.to_owned()),
            None => Some(directory.join(file)),
        };
        let found = place(file).filter(|path| path.symlink_metadata().is_ok());
        match (
            found,
            small(file).and_then(|small| Some((place(&small)?, small))),
        ) {
            (None, Some((path, small))) if path.exists() => Ok((name(&small), Some(path))),
            (None, _) if is_foreign => {
                let message = format!("failed to read dockerfile: open {}: not found", name(file));
                Err(CliError::new(Kind::Failed, message))
            }
            (found, _) => Ok((name(file), found.or_else(|| place(file)))),
        }
    }
}

/// What a Dockerfile is called that is not named.
const USUAL: &str = "Dockerfile";

/// `dockerfile`, which is as good where there is no `Dockerfile`.
fn small(file: &Path) -> Option<PathBuf> {
    let is_usual = file.file_name()? == USUAL;
    is_usual.then(|| file.with_file_name(USUAL.to_ascii_lowercase()))
}

/// What a build has that opens remote sources.
#[derive(Clone, Copy)]
pub struct Lent<'a> {
    pub secrets: &'a BTreeMap<String, SecretSource>,
    pub agents: &'a BTreeMap<String, PathBuf>,
}

/// Brings what a URL or a repository's name says. None: it names a directory.
pub fn bring(
    engine: &Engine,
    text: &str,
    keeps_git: bool,
    lent: Lent<'_>,
    progress: &dyn Progress,
) -> Result<Option<Brought>, CliError> {
    let repository = GitSource::parse(text).map_err(|error| CliError::failed(&error))?;
    if let Some(mut repository) = repository.filter(|_| !Path::new(text).is_dir()) {
        if keeps_git {
            repository.keep_git_directory = Some(true);
        }
        let here = scratch(engine)?;
        let cloned = engine.fetch_git(&repository, &here.path(), &lent.read()?);
        let cloned = cloned.map_err(|error| {
            let hints = error.hints().into_iter();
            hints.fold(CliError::failed(&error), CliError::hint)
        })?;
        return Ok(Some(Brought {
            files: Files::Directory(cloned.directory),
            source: Some(Material {
                uri: without_secrets(&repository.remote),
                digest: ("sha1".to_owned(), cloned.commit),
            }),
            held: vec![here],
        }));
    }
    if !text.starts_with("http://") && !text.starts_with("https://") {
        return Ok(None);
    }
    let place = scratch(engine)?;
    let fetched = engine.fetch_url(text, None, &place.path(), &lent.read()?, progress);
    let fetched = fetched.map_err(|error| failed(&error))?;
    let source = Material {
        uri: without_secrets(text),
        digest: ("sha256".to_owned(), fetched.digest.hex().to_owned()),
    };
    let file = place.path().join(fetched.name);
    unpacked(engine, file, place, Some(source)).map(Some)
}

impl Lent<'_> {
    fn read(self) -> Result<Authorizations, CliError> {
        authorizations(self.secrets, self.agents).map_err(|error| CliError::failed(&error))
    }
}

/// Standard input, as a file: whether it is an archive is seen then.
fn spooled(engine: &Engine) -> Result<Brought, CliError> {
    let place = scratch(engine)?;
    let file = place.path().join("stdin");
    let copied = std::fs::File::create_new(&file)
        .and_then(|mut file| std::io::copy(&mut std::io::stdin().lock(), &mut file));
    copied.map_err(|error| CliError::new(Kind::Failed, format!("read standard input: {error}")))?;
    unpacked(engine, file, place, None)
}

/// An archive as the directory that it holds.
fn unpacked(
    engine: &Engine,
    file: PathBuf,
    place: TempLayer,
    source: Option<Material>,
) -> Result<Brought, CliError> {
    let here = scratch(engine)?;
    let directory = here.path();
    let is_archive = engine.unpack_context(&file, &directory);
    let (files, held) = match is_archive.map_err(|error| failed(&error))? {
        true => (Files::Directory(directory), vec![here]),
        false => (Files::Single(file), vec![place]),
    };
    Ok(Brought {
        files,
        source,
        held,
    })
}

fn scratch(engine: &Engine) -> Result<TempLayer, CliError> {
    let store = engine.images().map_err(|error| failed(&error))?;
    store
        .begin_layer()
        .map_err(|error| CliError::failed(&error))
}

/// Something in a foreign tree, whose links lead nowhere else. None: it is not there.
pub fn inside(directory: &Path, path: &Path) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    let tree = crate::image::Merged::plain(directory).ok()?;
    let resolved = tree.resolve(path.as_os_str().as_bytes(), true).ok()?;
    resolved.shown.as_ref()?;
    Some(resolved.below(directory))
}

/// A directory with what its `.dockerignore` leaves out; that of the Dockerfile goes before that of the directory.
pub fn context_at(directory: &Path, dockerfile: Option<&Path>) -> Result<Context, CliError> {
    let shown = directory.display();
    let real = std::fs::canonicalize(directory).map_err(|error| {
        let message = format!("unable to prepare context: path \"{shown}\": {error}");
        CliError::new(Kind::Failed, message)
    })?;
    if !real.is_dir() {
        let message = format!("unable to prepare context: path \"{shown}\" is no directory");
        return Err(CliError::new(Kind::Failed, message));
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
