//! Why a build fails, with the place in the Dockerfile where there is one.

use super::copy::CopyError;
use super::dockerfile::{DockerfileError, ExpandError, Location, Source, excerpt_of_all};
use super::mode::ModeError;
use crate::engine::request::GitSourceError;
use crate::engine::{AuthorizationError, EngineError, FetchError};
use crate::image::{DigestError, DocumentError, ImageError, PlatformError, StoreError};

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("{0}")]
    Dockerfile(#[from] DockerfileError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error("{place}: {source}")]
    Step {
        place: Box<Place>,
        source: StepError,
    },
    #[error("target stage {name:?} could not be found")]
    Target { name: String },
    #[error("lint violation found for rules: {rules}")]
    Findings { rules: String },
    #[error("{operation}: {source}")]
    System {
        operation: &'static str,
        source: std::io::Error,
    },
    #[error("interrupted")]
    Interrupted { signal: i32 },
}

/// Where in the Dockerfile a step is.
#[derive(Debug)]
pub struct Place {
    pub file: String,
    pub location: Location,
    /// The lines, with their numbers.
    pub excerpt: String,
    /// The instruction in one line.
    pub text: String,
}

impl Place {
    pub fn of(source: &Source, location: Location, text: &str) -> Place {
        Place {
            file: source.name.clone(),
            location,
            excerpt: excerpt_of_all(source, location),
            text: text.to_owned(),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}:{}:{}",
            self.file, self.location.line, self.location.column
        )
    }
}

/// What went wrong with one instruction.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error("process {command:?} did not complete successfully: exit code: {code}")]
    Exit { command: String, code: i32 },
    #[error("{0}")]
    Engine(#[from] EngineError),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Copy(#[from] CopyError),
    #[error("--chmod: {0}")]
    Mode(#[from] ModeError),
    #[error("<<{name}: {source}")]
    Heredoc { name: String, source: ExpandError },
    #[error("base name ({word}) should not be blank")]
    BlankBase { word: String },
    #[error(transparent)]
    Platform(#[from] PlatformError),
    #[error("{flag} is not allowed: allow it with --allow {entitlement}")]
    NotAllowed {
        flag: &'static str,
        entitlement: &'static str,
    },
    #[error(
        "{platform}: commands for it cannot run on this host: no emulator is registered (install qemu-user-binfmt)"
    )]
    Foreign { platform: String },
    #[error("secret {id} not found: pass it with --secret id={id},src=FILE")]
    NoSecret { id: String },
    #[error("no agent {id:?} to forward: pass it with --ssh {id}")]
    NoAgent { id: String },
    #[error("there is no build context to copy from: only a Dockerfile was given")]
    NoContext,
    #[error(transparent)]
    Git(#[from] GitSourceError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Authorization(#[from] AuthorizationError),
    #[error("--checksum {text:?}: {source}")]
    Checksum { text: String, source: DigestError },
    #[error("--checksum is for exactly one source, which is an http or https URL or a repository")]
    ChecksumOf,
    #[error("invalid containerPort: {port}")]
    Port { port: String },
    #[error("invalid signal: {signal}")]
    Signal { signal: String },
    #[error("{name} names can not be blank")]
    Blank { name: &'static str },
    #[error("a source that is {what} needs a destination that ends with /")]
    NoSlash { what: &'static str },
    #[error("invalid from flag value {name}: a stage cannot take from itself or from a later one")]
    LaterStage { name: String },
    #[error("read secret {id}: {source}")]
    ReadSecret { id: String, source: std::io::Error },
    #[error("{operation}: {source}")]
    System {
        operation: &'static str,
        source: std::io::Error,
    },
}

impl BuildError {
    pub fn system(operation: &'static str) -> impl FnOnce(std::io::Error) -> BuildError {
        move |source| BuildError::System { operation, source }
    }

    /// The lines of the Dockerfile that it is about.
    pub fn excerpt(&self) -> Option<String> {
        match self {
            BuildError::Dockerfile(error) => Some(error.excerpt()),
            BuildError::Step { place, .. } => Some(place.excerpt.clone()),
            _ => None,
        }
    }

    /// What the user may do about it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            BuildError::Engine(error)
            | BuildError::Step {
                source: StepError::Engine(error),
                ..
            } => error.hints(),
            _ => Vec::new(),
        }
    }
}
