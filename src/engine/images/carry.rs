//! `image scp`: an image from one host's bryo to another's, as an archive through ssh. What the other side runs is its own `bryo
//! save` and `bryo load`; ssh decides who may.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use super::super::request::{Input, LoadRequest, SaveRequest};
use super::super::{Engine, EngineError};
use crate::image::SaveFormat;
use crate::sys::fs::{random_name, remove_path};
use crate::sys::signal::Signals;

/// Where an image is, or is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Here,
    /// As ssh takes it.
    Host(String),
}

#[derive(Clone, Debug)]
pub struct Carry {
    pub image: String,
    pub from: Place,
    pub to: Place,
    pub quiet: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    #[error("source and destination are both here")]
    BothHere,
    #[error("{host:?} is no host that ssh could be given")]
    Host { host: String },
    #[error("{image:?} is no image name")]
    Image { image: String },
    #[error("ssh: {source}")]
    Ssh { source: std::io::Error },
    #[error("{words} on {host} ended with {status}")]
    Failed {
        words: String,
        host: String,
        status: std::process::ExitStatus,
    },
    #[error("{path}: {source}")]
    Archive {
        path: PathBuf,
        source: std::io::Error,
    },
}

/// The archive on its way; removed whatever happens.
struct Archive(PathBuf);

impl Drop for Archive {
    fn drop(&mut self) {
        let _ = remove_path(&self.0);
    }
}

impl Archive {
    fn failed(&self) -> impl FnOnce(std::io::Error) -> CarryError {
        let path = self.0.clone();
        move |source| CarryError::Archive { path, source }
    }
}

impl Engine {
    /// Carries an image; gives the names under which it is here now, if it was carried here.
    pub fn carry(&self, carry: &Carry) -> Result<Vec<String>, EngineError> {
        if carry.from == Place::Here && carry.to == Place::Here {
            return Err(CarryError::BothHere.into());
        }
        for place in [&carry.from, &carry.to] {
            check_host(place)?;
        }
        let cache = &self.paths.cache;
        std::fs::create_dir_all(cache).map_err(EngineError::file("make", cache))?;
        let archive = Archive(cache.join(format!("scp-{}", random_name())));
        match &carry.from {
            Place::Here => {
                self.save_images(&SaveRequest {
                    images: vec![carry.image.clone()],
                    output: Some(archive.0.clone()),
                    platform: None,
                    format: SaveFormat::DockerArchive,
                    compress: false,
                    require_digest: false,
                    form: None,
                })?;
            }
            Place::Host(host) => fetch(host, &carry.image, &archive)?,
        }
        match &carry.to {
            Place::Here => self.load_archive(&archive.0),
            Place::Host(host) => {
                send(host, &archive, carry.quiet)?;
                Ok(Vec::new())
            }
        }
    }

    fn load_archive(&self, path: &Path) -> Result<Vec<String>, EngineError> {
        let loaded = self.load_images(&LoadRequest {
            only: None,
            input: Input::File(path.to_owned()),
            platform: None,
        })?;
        let names = loaded.iter().flat_map(|image| &image.names);
        Ok(names.map(|name| name.familiar()).collect())
    }
}

/// ssh takes what begins with a hyphen for one of its flags.
fn check_host(place: &Place) -> Result<(), CarryError> {
    match place {
        Place::Host(host) if host.is_empty() || host.starts_with('-') => {
            Err(CarryError::Host { host: host.clone() })
        }
        _ => Ok(()),
    }
}

/// The other side gives its words to a shell: no name has a letter that means anything there.
fn check_image(image: &str) -> Result<(), CarryError> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-/:@".contains(letter);
    match image.chars().all(is_plain) && !image.starts_with('-') {
        true => Ok(()),
        false => Err(CarryError::Image {
            image: image.to_owned(),
        }),
    }
}

fn fetch(host: &str, image: &str, archive: &Archive) -> Result<(), CarryError> {
    check_image(image)?;
    let file = File::create_new(&archive.0).map_err(archive.failed())?;
    ssh(host, &["save", image], Stdio::null(), Stdio::from(file))
}

fn send(host: &str, archive: &Archive, quiet: bool) -> Result<(), CarryError> {
    let file = File::open(&archive.0).map_err(archive.failed())?;
    let words: &[&str] = if quiet { &["load", "-q"] } else { &["load"] };
    let said = if quiet {
        Stdio::null()
    } else {
        Stdio::inherit()
    };
    ssh(host, words, Stdio::from(file), said)
}

fn ssh(host: &str, words: &[&str], input: Stdio, output: Stdio) -> Result<(), CarryError> {
    let words = format!("bryo {}", words.join(" "));
    // What is typed is meant for ssh; how it ends decides here.
    let signals = Signals::watch(&[Signal::SIGINT, Signal::SIGQUIT]);
    let signals = signals.map_err(|source| CarryError::Ssh { source })?;
    let status = Command::new("ssh")
        .args(["-T", "--", host, &words])
        .stdin(input)
        .stdout(output)
        .status();
    while let Ok(Some(_)) = signals.next() {}
    let status = status.map_err(|source| CarryError::Ssh { source })?;
    match status.success() {
        true => Ok(()),
        false => Err(CarryError::Failed {
            words,
            host: host.to_owned(),
            status,
        }),
    }
}
