//! What a stage is at, and the steps that change files: begun here, gone on with when something of theirs is ready.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use super::builder::{Builder, StageRun, now, timestamp};
use super::copy::{Copied, CopyStep, CopyTarget, copy, make_directory};
use super::dockerfile::{Instruction, Located, Source, Word};
use super::error::StepError;
use super::images::ImageKey;
use super::key::KeyBuilder;
use super::layers::{Layer, Made, Row};
use super::progress::Vertex;
use super::run::{Running, begin_run};
use super::settings::Wrong;
use super::sources::{Planned, authorizations};
use crate::engine::{Arriving, EngineError, Fetched, Job, Remote, RoleFailure, WrittenLayer};
use crate::image::{Digest, NOTHING, StepRecord, Store, TempLayer};
use crate::monitor::{FromMonitor, Reply};
use crate::runtime::home;

/// What a stage waits for.
pub(super) enum Activity {
    Ready,
    /// The image that it begins with: its line of progress ends when it is there.
    BaseImage {
        image: ImageKey,
        vertex: Vertex,
    },
    /// An image that the next instruction takes files from.
    WaitingForImage(ImageKey),
    /// The stage that it is built on.
    BaseOf(usize),
    /// One that the next instruction takes files from.
    WaitingFor(usize),
    /// A cache that another command has: this ends when it is free.
    Locked(Job<()>),
    /// What a step takes from elsewhere is on its way.
    Fetching(Box<Fetching>),
    Copying(Box<Copying>),
    Running(Box<Running>),
    /// What a command has changed is put into its layer.
    TakingChanges(Job<Vec<String>>, Box<Running>),
}

/// An `ADD` whose sources are on their way.
pub(super) struct Fetching {
    arriving: Arriving<Vec<Fetched>>,
    vertex: Vertex,
    row: Row,
    step: CopyStep,
    /// Each with the directory that it is brought into.
    remotes: Vec<(Remote, TempLayer)>,
}

/// `COPY`, `ADD` or `WORKDIR` at work.
pub(super) struct Copying {
    job: Job<Copied>,
    layer: TempLayer,
    vertex: Vertex,
    row: Row,
    /// Sources that were brought here for it.
    _held: Vec<TempLayer>,
}

impl Activity {
    pub fn is_ready(&self) -> bool {
        matches!(self, Activity::Ready)
    }

    /// Something is going to be ready to be read.
    pub fn is_at_work(&self) -> bool {
        self.source().is_some()
    }

    /// Its line of progress, where it has one.
    pub fn vertex(&self) -> Option<Vertex> {
        match self {
            Activity::BaseImage { vertex, .. } => Some(*vertex),
            Activity::Fetching(fetching) => Some(fetching.vertex),
            Activity::Copying(copying) => Some(copying.vertex),
            Activity::Running(running) | Activity::TakingChanges(_, running) => {
                Some(running.vertex)
            }
            _ => None,
        }
    }

    pub fn source(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Activity::Fetching(fetching) => Some(fetching.arriving.as_fd()),
            Activity::Copying(copying) => Some(copying.job.as_fd()),
            Activity::Running(running) => Some(running.session.connection.as_fd()),
            Activity::Locked(waiting) => Some(waiting.as_fd()),
            Activity::TakingChanges(job, _) => Some(job.as_fd()),
            _ => None,
        }
    }
}

impl Builder<'_> {
    /// Begins an instruction that changes files.
    pub(super) fn begin_step(
        &mut self,
        stage: &mut StageRun,
        source: &Source,
        instruction: &Located<Instruction>,
    ) -> Result<(), Wrong> {
        match &instruction.value {
            Instruction::Workdir(word) => self.workdir(stage, source, word),
            Instruction::Run(run) => begin_run(self, stage, source, run, instruction),
            Instruction::Copy(_) | Instruction::Add(_) => {
                let Some(planned) = self.copy_step(stage, source, &instruction.value)? else {
                    return Ok(());
                };
                let Planned { step, remotes, row } = planned;
                let row = Row::of_files(row);
                let name = self.step_name(stage, &instruction.text);
                let vertex = self.new_vertex(&name);
                let begun = match remotes.is_empty() {
                    true => self.begin_copy(stage, (vertex, row), step, Vec::new()),
                    false => self.begin_fetch(stage, (vertex, row), step, remotes),
                };
                begun.map_err(|error| {
                    self.watcher.end(vertex, Some(&error.to_string()));
                    Wrong::Meaning(error)
                })
            }
            _ => unreachable!("all others change settings"),
        }
    }

    fn workdir(&mut self, stage: &mut StageRun, source: &Source, word: &Word) -> Result<(), Wrong> {
        let escape = self.file.directives.escape;
        let asked = self.settings(stage, source, escape).expand(word)?;
        let path = absolute(stage.draft.text("WorkingDir"), &asked);
        stage.draft.set("WorkingDir", path.as_str().into());
        let row = Row::of_directory(&path);
        let user = stage.draft.text("User").to_owned();
        let key = KeyBuilder::new("workdir")
            .with(stage.draft.key.as_str())
            .with(&path)
            .with(&user)
            .with(self.epoch_text())
            .finish();
        if path == "/" {
            stage.draft.record(row.text, None);
            stage.next += 1;
            return Ok(());
        }
        let name = self.step_name(stage, &row.text);
        if let Some(record) = self.known(stage, &key) {
            let vertex = self.new_vertex(&name);
            self.watcher.cached(vertex);
            self.take_known(stage, key, record, row);
            return Ok(());
        }
        let begun = self.begin_directory(stage, name, row, &path, &user, key);
        begun.map_err(Wrong::Meaning)
    }

    fn begin_directory(
        &mut self,
        stage: &mut StageRun,
        name: String,
        row: Row,
        path: &str,
        user: &str,
        key: Digest,
    ) -> Result<(), StepError> {
        let vertex = self.new_vertex(&name);
        let layer = self.new_layer()?;
        let target = self.copy_target(stage, &layer);
        let (path, user) = (path.to_owned(), user.to_owned());
        let made_at = self
            .request
            .epoch
            .unwrap_or_else(|| seconds(&stage.draft.created));
        let job = self.engine.start_in_home("worker", move || {
            let made = make_directory(&path, &user, &target.borrowed(), made_at);
            made.map_err(|error| RoleFailure::of(&error, Vec::new()))?;
            Ok(Copied::Made {
                key,
                newest: made_at,
                warnings: Vec::new(),
            })
        })?;
        stage.activity = Activity::Copying(Box::new(Copying {
            job,
            layer,
            vertex,
            row,
            _held: Vec::new(),
        }));
        Ok(())
    }

    fn begin_fetch(
        &mut self,
        stage: &mut StageRun,
        (vertex, row): (Vertex, Row),
        step: CopyStep,
        remotes: Vec<Remote>,
    ) -> Result<(), StepError> {
        let places = remotes
            .into_iter()
            .map(|remote| Ok((remote, self.new_layer()?)));
        let remotes = places.collect::<Result<Vec<_>, StepError>>()?;
        let wanted = remotes.iter();
        let wanted = wanted.map(|(remote, place)| (remote.clone(), place.path()));
        let lent = authorizations(&self.request.secrets, &self.request.agents)?;
        let arriving = self.engine.begin_fetch(wanted.collect(), lent)?;
        stage.activity = Activity::Fetching(Box::new(Fetching {
            arriving,
            vertex,
            row,
            step,
            remotes,
        }));
        Ok(())
    }

    /// All of it is here: now it can be copied.
    fn fetched(
        &mut self,
        stage: &mut StageRun,
        fetching: Fetching,
        arrived: Vec<Fetched>,
    ) -> Result<(), StepError> {
        let mut step = fetching.step;
        let mut held = Vec::new();
        for ((remote, place), arrived) in fetching.remotes.into_iter().zip(arrived) {
            self.take_fetched(&mut step, (remote, &place), arrived);
            held.push(place);
        }
        self.begin_copy(stage, (fetching.vertex, fetching.row), step, held)
    }

    fn begin_copy(
        &mut self,
        stage: &mut StageRun,
        (vertex, row): (Vertex, Row),
        step: CopyStep,
        held: Vec<TempLayer>,
    ) -> Result<(), StepError> {
        let layer = self.new_layer()?;
        let target = self.copy_target(stage, &layer);
        let job = self.engine.start_in_home("worker", move || {
            crate::sys::process::allow_descriptors();
            copy(&step, &target.borrowed()).map_err(|error| RoleFailure::of(&error, Vec::new()))
        })?;
        stage.activity = Activity::Copying(Box::new(Copying {
            job,
            layer,
            vertex,
            row,
            _held: held,
        }));
        Ok(())
    }

    /// `[app 2/5] RUN make`, and one step further.
    pub(super) fn step_name(&self, stage: &mut StageRun, text: &str) -> String {
        stage.step += 1;
        let label = self.stage_label(stage.number);
        format!("[{label}{}/{}] {text}", stage.step, stage.steps)
    }

    pub(super) fn new_layer(&mut self) -> Result<TempLayer, StepError> {
        self.keep_home()?;
        Ok(self.store.begin_layer()?)
    }

    pub(super) fn epoch_text(&self) -> String {
        self.request
            .epoch
            .map(|epoch| epoch.to_string())
            .unwrap_or_default()
    }

    /// What is known of a step, unless it is to be done anew.
    pub(super) fn known(&self, stage: &StageRun, key: &Digest) -> Option<StepRecord> {
        self.store.step(key).filter(|_| !stage.ignore_cache)
    }

    pub(super) fn copy_target(&self, stage: &StageRun, layer: &TempLayer) -> OwnTarget {
        self.copy_target_of(stage, layer.name())
    }

    pub(super) fn copy_target_of(&self, stage: &StageRun, layer: &str) -> OwnTarget {
        OwnTarget {
            store: self.store.clone(),
            parent: stage.draft.key.clone(),
            below: self.layer_paths(&stage.draft.directories()),
            layer: layer.to_owned(),
            files: self.engine.paths.build_files(),
            ignore_cache: stage.ignore_cache,
        }
    }

    /// The directories with their files, of names below `layers/`.
    pub(super) fn layer_paths(&self, directories: &[String]) -> Vec<PathBuf> {
        let layers = self.engine.paths.layers();
        directories
            .iter()
            .map(|name| layers.join(name).join("fs"))
            .collect()
    }

    /// The step was done before: its layer is there.
    pub(super) fn take_known(
        &mut self,
        stage: &mut StageRun,
        key: Digest,
        record: StepRecord,
        row: Row,
    ) {
        let layer = Layer::known(&record.layer);
        stage.end_step(key.clone(), record.created.clone(), row, layer);
        self.used.push((key, record));
    }

    /// Something of a stage's step is ready.
    pub(super) fn continue_step(&mut self, stage: &mut StageRun) -> Result<(), StepError> {
        match &mut stage.activity {
            Activity::Locked(waiting) => {
                if waiting.read()?.is_some() {
                    stage.activity = Activity::Ready;
                }
                Ok(())
            }
            Activity::Fetching(_) => self.continue_fetch(stage),
            Activity::Copying(_) => self.continue_copy(stage),
            Activity::Running(_) => self.continue_run(stage),
            Activity::TakingChanges(..) => self.continue_taking(stage),
            _ => Ok(()),
        }
    }

    fn continue_fetch(&mut self, stage: &mut StageRun) -> Result<(), StepError> {
        let Activity::Fetching(fetching) = &mut stage.activity else {
            return Ok(());
        };
        let (watcher, vertex) = (self.watcher, fetching.vertex);
        let read = fetching
            .arriving
            .read(&mut |news| watcher.pulls(vertex, &news));
        let arrived = read.inspect_err(|error| {
            watcher.end(vertex, Some(&error.to_string()));
        });
        let Some(arrived) = arrived? else {
            return Ok(());
        };
        let Activity::Fetching(fetching) = std::mem::replace(&mut stage.activity, Activity::Ready)
        else {
            return Ok(());
        };
        self.fetched(stage, *fetching, arrived)
    }

    fn continue_copy(&mut self, stage: &mut StageRun) -> Result<(), StepError> {
        let Activity::Copying(copying) = &mut stage.activity else {
            return Ok(());
        };
        let copied = match copying.job.read() {
            Ok(None) => return Ok(()),
            Ok(Some(copied)) => Ok(copied),
            Err(error) => Err(error),
        };
        let vertex = copying.vertex;
        if let Err(error) = &copied {
            self.watcher.end(vertex, Some(&error.to_string()));
        }
        let copied = copied?;
        let Activity::Copying(copying) = std::mem::replace(&mut stage.activity, Activity::Ready)
        else {
            return Ok(());
        };
        self.copied(stage, *copying, copied)
    }

    fn continue_run(&mut self, stage: &mut StageRun) -> Result<(), StepError> {
        let Activity::Running(running) = &mut stage.activity else {
            return Ok(());
        };
        let vertex = running.vertex;
        let code = match running.session.connection.receive() {
            Ok(FromMonitor::Output(_, bytes)) => {
                self.watcher.output(vertex, bytes);
                return Ok(());
            }
            Ok(FromMonitor::Reply(Reply::Exited(code))) => code,
            Ok(FromMonitor::Reply(_) | FromMonitor::Nothing) => return Ok(()),
            Ok(FromMonitor::Closed) | Err(_) => {
                let name = running.session.name.clone();
                return Err(EngineError::MonitorDied { name }.into());
            }
        };
        let Activity::Running(running) = std::mem::replace(&mut stage.activity, Activity::Ready)
        else {
            return Ok(());
        };
        self.ran(stage, *running, code)
    }

    fn continue_taking(&mut self, stage: &mut StageRun) -> Result<(), StepError> {
        let Activity::TakingChanges(job, running) = &mut stage.activity else {
            return Ok(());
        };
        let vertex = running.vertex;
        let taken = job.read().inspect_err(|error| {
            self.watcher.end(vertex, Some(&error.to_string()));
        });
        let Some(warnings) = taken? else {
            return Ok(());
        };
        for warning in warnings {
            self.watcher.warn(&warning);
        }
        let Activity::TakingChanges(_, running) =
            std::mem::replace(&mut stage.activity, Activity::Ready)
        else {
            return Ok(());
        };
        self.has_written(stage, *running)
    }

    fn copied(
        &mut self,
        stage: &mut StageRun,
        copying: Copying,
        copied: Copied,
    ) -> Result<(), StepError> {
        match copied {
            Copied::Known { key, record } => {
                self.watcher.cached(copying.vertex);
                self.take_known(stage, key, record, copying.row);
            }
            Copied::Made {
                key,
                newest,
                warnings,
            } => {
                warnings
                    .iter()
                    .for_each(|warning| self.watcher.warn(warning));
                self.watcher.end(copying.vertex, None);
                // Made of files alone, it is the same whenever it is made.
                let created = match self.request.epoch {
                    Some(epoch) => timestamp(epoch),
                    None => timestamp(newest.max(seconds(&stage.draft.created))),
                };
                let done = DoneStep {
                    layer: copying.layer,
                    key,
                    created,
                    row: copying.row,
                    mount_points: Vec::new(),
                    was_mounted: false,
                };
                self.take_layer(stage, done)?;
            }
        }
        Ok(())
    }

    /// What a step has written is the next layer. Where that is nothing no directory is needed for it.
    pub(super) fn take_layer(
        &mut self,
        stage: &mut StageRun,
        done: DoneStep,
    ) -> Result<(), StepError> {
        let layer = if done.mount_points.is_empty() && done.layer.is_empty() {
            done.layer.remove_empty_work();
            let record = StepRecord {
                layer: NOTHING.parse().expect("it is a digest"),
                created: done.created.clone(),
                size: 0,
                description: done.row.text.clone(),
            };
            self.nothing.push((done.key.clone(), record));
            Layer::Nothing
        } else {
            let written = WrittenLayer {
                name: done.layer.name().to_owned(),
                below: self.layer_paths(&stage.draft.directories()),
                root: self.layer_paths(stage.draft.root().as_slice()).pop(),
                mount_points: done.mount_points,
                epoch: self.request.epoch,
                was_mounted: done.was_mounted,
            };
            let text = done.row.text.clone();
            let made = Made::new(done.layer, done.key.clone(), text, done.created.clone());
            self.add_layer(made, written)?
        };
        stage.end_step(done.key, done.created, done.row, layer);
        Ok(())
    }
}

impl StageRun {
    /// The step that was at work has come to this layer.
    fn end_step(&mut self, key: Digest, created: String, row: Row, layer: Layer) {
        self.draft.key = key;
        self.draft.created = created;
        let is_shown = row.has_empty_layer || !matches!(layer, Layer::Nothing);
        self.draft.record(row.text, is_shown.then_some(layer));
        self.next += 1;
        self.activity = Activity::Ready;
    }
}

/// A step that has written its layer.
pub(super) struct DoneStep {
    pub layer: TempLayer,
    pub key: Digest,
    /// RFC 3339.
    pub created: String,
    pub row: Row,
    /// Where the engine had to make something to mount on.
    pub mount_points: Vec<String>,
    pub was_mounted: bool,
}

/// A copy's target that a role can be given.
pub(super) struct OwnTarget {
    store: Store,
    parent: Digest,
    below: Vec<PathBuf>,
    layer: String,
    files: PathBuf,
    ignore_cache: bool,
}

impl OwnTarget {
    /// The files themselves are needed: a known step is no answer.
    pub fn anew(mut self) -> OwnTarget {
        self.ignore_cache = true;
        self
    }

    /// In the role.
    pub fn borrowed(&self) -> CopyTarget<'_> {
        CopyTarget {
            store: &self.store,
            parent: &self.parent,
            below: &self.below,
            layer: &self.layer,
            files: self.files.clone(),
            single_id: home::is_single_id(),
            ignore_cache: self.ignore_cache,
        }
    }
}

/// A path, from the working directory where it is relative, without `.` and `..`.
pub(super) fn absolute(working_directory: &str, path: &str) -> String {
    let base = match working_directory {
        "" => "/",
        directory => directory,
    };
    let joined = std::path::Path::new(base).join(path);
    let cleaned = crate::runtime::rootfs::clean(&joined);
    cleaned.to_string_lossy().into_owned()
}

/// Of a time in RFC 3339, in seconds.
pub(super) fn seconds(time: &str) -> i64 {
    let parsed = time.parse::<jiff::Timestamp>();
    parsed.map_or_else(|_| now(), |time| time.as_second())
}
