//! `COPY` and `ADD`: from what is written to what is copied.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::attest::{Material, without_secrets};
use super::builder::{Builder, StageRun};
use super::copy::{CopyStep, Fetched, InlineFile, Origin, Unpack};
use super::dockerfile::{Heredoc, Instruction, Source, Word, expand_heredoc};
use super::error::StepError;
use super::history;
use super::mode::ModeChange;
use super::plan::{self, From};
use super::request::{Context, NamedContext, SecretSource};
use super::settings::Wrong;
use super::work::{Activity, absolute};
use crate::engine::request::GitSource;
use crate::engine::{self, Authorizations, Remote};
use crate::image::{Digest, TempLayer};

/// What is to be copied.
pub(super) struct Planned {
    pub step: CopyStep,
    /// What of it has to be brought here first.
    pub remotes: Vec<Remote>,
    /// Its row of the history.
    pub row: String,
}

/// What both instructions have.
struct Parts<'a> {
    is_add: bool,
    sources: &'a [Word],
    inline: &'a [Heredoc],
    destination: &'a Word,
    chown: Option<&'a Word>,
    chmod: Option<&'a Word>,
    exclude: &'a [Word],
    link: bool,
    parents: bool,
    unpack: Unpack,
}

impl Builder<'_> {
    /// None: a stage that it takes files from has not ended.
    pub(super) fn copy_step(
        &mut self,
        stage: &mut StageRun,
        source: &Source,
        instruction: &Instruction,
    ) -> Result<Option<Planned>, Wrong> {
        let (parts, from) = match instruction {
            Instruction::Copy(copy) => {
                let parts = Parts {
                    is_add: false,
                    sources: &copy.sources,
                    inline: &copy.inline,
                    destination: &copy.destination,
                    chown: copy.chown.as_ref(),
                    chmod: copy.chmod.as_ref(),
                    exclude: &copy.exclude,
                    link: copy.link,
                    parents: copy.parents,
                    unpack: Unpack::Nothing,
                };
                (parts, copy.from.as_ref())
            }
            Instruction::Add(add) => {
                let parts = Parts {
                    is_add: true,
                    sources: &add.sources,
                    inline: &add.inline,
                    destination: &add.destination,
                    chown: add.chown.as_ref(),
                    chmod: add.chmod.as_ref(),
                    exclude: &add.exclude,
                    link: add.link,
                    parents: false,
                    unpack: match add.unpack {
                        None => Unpack::Local,
                        Some(true) => Unpack::Everything,
                        Some(false) => Unpack::Nothing,
                    },
                };
                (parts, None)
            }
            _ => unreachable!("all others copy nothing"),
        };
        let (mut step, row) = self.expanded(stage, source, &parts)?;
        let needs_files = match instruction {
            Instruction::Add(_) => step.sources.iter().any(|source| !is_remote(source)),
            _ => !step.sources.is_empty(),
        };
        let from = from.map(|word| word.text.as_str());
        let Some(origin) = self.origin(stage, from, needs_files)? else {
            return Ok(None);
        };
        step.origin = origin;
        let mut remotes = Vec::new();
        if let Instruction::Add(add) = instruction {
            let settings = self.settings(stage, source, self.file.directives.escape);
            let checksum = add.checksum.as_ref().map(|word| settings.expand(word));
            let checksum = checksum.transpose()?;
            remotes = take_remotes(&mut step, checksum.as_deref(), add.keep_git_dir)?;
        }
        Ok(Some(Planned { step, remotes, row }))
    }

    /// What has come is a source like others.
    pub(super) fn take_fetched(
        &mut self,
        step: &mut CopyStep,
        (remote, place): (Remote, &TempLayer),
        arrived: engine::Fetched,
    ) {
        let (uri, digest, fetched) = match (remote, arrived) {
            (Remote::Url { url, .. }, engine::Fetched::File(file)) => {
                let digest = ("sha256".to_owned(), file.digest.hex().to_owned());
                let fetched = Fetched {
                    directory: place.path(),
                    file: Some(file.name),
                    latest: None,
                };
                (without_secrets(&url), digest, fetched)
            }
            (Remote::Repository { source, .. }, engine::Fetched::Repository(cloned)) => {
                let digest = ("sha1".to_owned(), cloned.commit);
                let fetched = Fetched {
                    directory: cloned.directory,
                    file: None,
                    latest: Some(cloned.time),
                };
                (without_secrets(&source.remote), digest, fetched)
            }
            _ => unreachable!("what comes is of the kind that was asked for"),
        };
        self.materials.insert(Material { uri, digest });
        step.fetched.push(fetched);
    }

    fn expanded(
        &mut self,
        stage: &mut StageRun,
        source: &Source,
        parts: &Parts<'_>,
    ) -> Result<(CopyStep, String), Wrong> {
        let escape = self.file.directives.escape;
        let epoch = self.request.epoch;
        let settings = self.settings(stage, source, escape);
        let expand_all = |words: &[Word]| -> Result<Vec<String>, Wrong> {
            words.iter().map(|word| settings.expand(word)).collect()
        };
        let optional = |word: Option<&Word>| word.map(|word| settings.expand(word)).transpose();
        let destination = settings.expand(parts.destination)?;
        let into_directory =
            destination.ends_with('/') || destination.ends_with("/.") || destination == ".";
        let sources = expand_all(parts.sources)?;
        let has_several = sources.len() + parts.inline.len() > 1;
        if has_several && !into_directory {
            let what = "one of several";
            return Err(StepError::NoSlash { what }.into());
        }
        let mut inline = Vec::new();
        for heredoc in parts.inline {
            let text = heredoc.content();
            let lookup = |name: &str| settings.lookup(name);
            let content = match heredoc.expand {
                true => expand_heredoc(&text, &lookup).map_err(|error| StepError::Heredoc {
                    name: heredoc.name.clone(),
                    source: error,
                })?,
                false => text,
            };
            inline.push(InlineFile {
                name: heredoc.name.clone(),
                content: crate::sys::text::bytes(&content).into_owned(),
            });
        }
        let chown = optional(parts.chown)?.filter(|text| !text.is_empty());
        let chmod_text = optional(parts.chmod)?.unwrap_or_default();
        let exclude = parts.exclude.iter().map(|word| word.text.clone()).collect();
        let row = history::Copied {
            is_add: parts.is_add,
            parents: parts.parents,
            chown: chown.as_deref(),
            chmod: Some(chmod_text.as_str()).filter(|text| !text.is_empty()),
            sources: &sources,
            inline: inline.iter().map(|file| file.name.as_str()).collect(),
            destination: &destination,
        };
        let row = row.row();
        let destination = absolute(stage.draft.text("WorkingDir"), &destination);
        let chmod = match chmod_text.as_str() {
            "" => None,
            text => Some(ModeChange::parse(text).map_err(StepError::from)?),
        };
        let step = CopyStep {
            origin: Origin::Layers(Vec::new()),
            sources,
            inline,
            destination,
            into_directory,
            chown,
            chmod,
            chmod_text,
            link: parts.link,
            parents: parts.parents,
            exclude,
            unpack: parts.unpack,
            fetched: Vec::new(),
            epoch,
        };
        Ok((step, row))
    }

    /// Where files come from: the context, a stage, an image. None: the stage has not ended or the image is not here, and it is
    /// waited for.
    pub(super) fn origin(
        &mut self,
        stage: &mut StageRun,
        from: Option<&str>,
        needs_files: bool,
    ) -> Result<Option<Origin>, StepError> {
        let tree = |context: &Context| Origin::Tree {
            path: context.directory.clone(),
            ignore: context.ignore.clone(),
        };
        let Some(name) = from else {
            return match &self.request.context {
                Some(context) => Ok(Some(tree(context))),
                None if needs_files => Err(StepError::NoContext),
                None => Ok(Some(Origin::Layers(Vec::new()))),
            };
        };
        let is_context = |name: &str| self.request.named_contexts.contains_key(name);
        let found = plan::resolve_from(&self.file, stage.number, name, &is_context);
        match found.expect("it was found when the build was planned") {
            From::Stage(earlier) => match self.finished_stage(earlier) {
                Some(other) => {
                    let directories = other.draft.directories();
                    Ok(Some(Origin::Layers(self.layer_paths(&directories))))
                }
                None => {
                    stage.activity = Activity::WaitingFor(earlier);
                    Ok(None)
                }
            },
            From::Other(name) => {
                if let Some(NamedContext::Directory(context)) =
                    self.request.named_contexts.get(&name)
                {
                    return Ok(Some(tree(context)));
                }
                let key = self.image_key(&name, None);
                let Some(image) = self.image(&key)? else {
                    stage.activity = Activity::WaitingForImage(key);
                    return Ok(None);
                };
                let layers = image
                    .layers
                    .iter()
                    .map(|layer| self.store.layer_path(layer));
                Ok(Some(Origin::Layers(layers.collect())))
            }
        }
    }
}

/// Of a build's secrets those that remote sources ask for, and of its agents the one that ssh asks for them.
pub fn authorizations(
    secrets: &BTreeMap<String, SecretSource>,
    agents: &BTreeMap<String, PathBuf>,
) -> Result<Authorizations, StepError> {
    let mut found = Authorizations::default();
    let meant = secrets.iter().filter(|(id, _)| Authorizations::takes(id));
    for (id, source) in meant {
        let content = source.read().map_err(|source| StepError::ReadSecret {
            id: id.clone(),
            source,
        })?;
        found.insert(id, &content)?;
    }
    Ok(found.with_agent(agents.get("default").cloned()))
}

/// Takes out what is elsewhere.
fn take_remotes(
    step: &mut CopyStep,
    checksum: Option<&str>,
    keep_git_directory: Option<bool>,
) -> Result<Vec<Remote>, StepError> {
    let (remote, local): (Vec<String>, Vec<String>) =
        step.sources.drain(..).partition(|source| is_remote(source));
    step.sources = local;
    if checksum.is_some() && (remote.len() != 1 || !step.sources.is_empty()) {
        return Err(StepError::ChecksumOf);
    }
    let remotes = remote.into_iter().map(|text| {
        let Some(source) = GitSource::parse(&text)? else {
            let expected = checksum.map(str::parse::<Digest>).transpose();
            let expected = expected.map_err(|error| StepError::Checksum {
                text: checksum.unwrap_or_default().to_owned(),
                source: error,
            })?;
            return Ok(Remote::Url {
                url: text,
                expected,
            });
        };
        Ok(Remote::Repository {
            source: source.with(checksum, keep_git_directory)?,
        })
    });
    remotes.collect()
}

/// A source that is not in the context.
fn is_remote(source: &str) -> bool {
    let lower = source.to_ascii_lowercase();
    let is_web = lower.starts_with("http://") || lower.starts_with("https://");
    is_web || !matches!(GitSource::parse(source), Ok(None))
}
