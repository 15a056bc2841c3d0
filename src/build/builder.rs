//! The build itself: stages that go on side by side, each from one instruction to the next, in one process that waits for all of
//! them. What takes time is done by roles and containers.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::SystemTime;

use nix::sys::signal::Signal;
use serde_json::{Map, Value};

use super::attest::Material;
use super::check::{self, Read};
use super::dockerfile::{Dockerfile, Instruction, Located, Source, parse_trigger};
use super::draft::Draft;
use super::error::{BuildError, Place, StepError};
use super::finish::Built;
use super::foreign;
use super::images::{ImageKey, Wanted};
use super::layers::{Layer, Made};
use super::plan::{self, Base, Plan};
use super::progress::{Vertex, Watcher};
use super::request::BuildRequest;
use super::scope::{Arguments, Given};
use super::settings::{Settings, Wrong};
use super::work::Activity;
use crate::engine::request::NetworkMode;
use crate::engine::{Engine, EngineError, Job, Keeper, WrittenLayer};
use crate::image::{Digest, Image, LayerReport, Platform, StepRecord, Store, json};
use crate::runtime::isolation::Isolation;
use crate::sys::lock::Guard;
use crate::sys::poll::{Interest, PollSet};
use crate::sys::signal::Signals;

/// What a stage has come to.
pub(super) struct StageRun {
    pub number: usize,
    /// The instructions, those that the base left for it first.
    pub instructions: Vec<(Rc<Source>, Rc<Located<Instruction>>)>,
    /// The one that is next, or at work.
    pub next: usize,
    /// How many of them make a line of progress, and how many have.
    pub steps: usize,
    pub step: usize,
    pub draft: Draft,
    pub arguments: Arguments,
    pub activity: Activity,
    pub ignore_cache: bool,
}

/// A layer that is being read for its DiffID.
pub(super) struct Seal {
    pub made: Rc<Made>,
    pub job: Job<LayerReport>,
}

pub(super) struct Builder<'a> {
    pub engine: &'a Engine,
    pub request: &'a BuildRequest,
    pub watcher: &'a dyn Watcher,
    pub store: Store,
    pub file: Dockerfile,
    pub given: Given,
    pub plan: Plan,
    pub stages: Vec<Option<StageRun>>,
    pub images: HashMap<ImageKey, Wanted>,
    pub seals: Vec<Seal>,
    pub made: Vec<Rc<Made>>,
    /// What commands came to that changed nothing, until it is written down.
    pub nothing: Vec<(Digest, StepRecord)>,
    /// What came from elsewhere.
    pub materials: BTreeSet<Material>,
    /// What was known of steps that need not be done again.
    pub used: Vec<(Digest, StepRecord)>,
    vertices: usize,
    signals: Signals,
    /// While it lives nothing that this build uses is collected.
    _lease: Guard,
    keeper: Option<Keeper>,
    /// Of a `RUN` for which nothing was said, once one was there.
    network: OnceCell<NetworkMode>,
    pub has_said_driver: bool,
    pub has_said_isolation: bool,
}

#[derive(Clone, Copy)]
enum Token {
    Signal,
    Image(usize),
    Stage(usize),
    Seal(usize),
}

/// Makes the image that a Dockerfile describes.
pub fn build(
    engine: &Engine,
    request: &BuildRequest,
    watcher: &dyn Watcher,
) -> Result<Built, BuildError> {
    let Read { file, given, plan } = check::read(request)?;
    foreign::check(&file, &plan, request.platform.as_ref())?;
    let declared = plan::declared(&file, &plan);
    let unused = given.unused(&declared);
    if !unused.is_empty() {
        watcher.warn(&format!(
            "[Warning] One or more build-args {unused:?} were not consumed"
        ));
    }
    let store = engine.images()?;
    let lease = store.lease()?;
    let watched = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    let mut builder = Builder {
        stages: file.stages.iter().map(|_| None).collect(),
        engine,
        request,
        watcher,
        store,
        file,
        given,
        plan,
        images: HashMap::new(),
        seals: Vec::new(),
        made: Vec::new(),
        nothing: Vec::new(),
        used: Vec::new(),
        materials: BTreeSet::new(),
        vertices: 0,
        signals: Signals::watch(&watched).map_err(BuildError::system("watch for signals"))?,
        _lease: lease,
        keeper: None,
        network: OnceCell::new(),
        has_said_driver: false,
        has_said_isolation: false,
    };
    let built = builder.run();
    if let Err(error) = &built {
        builder.cancel_the_rest();
        builder.keep_what_is_done(error);
    }
    drop(builder);
    engine.sweep_layers();
    let image = built.as_ref().ok().map(|built| &built.image.id);
    if let Err(error) = engine.settle_after_build(image) {
        tracing::debug!(%error, "the disk budget");
    }
    built
}

impl Builder<'_> {
    fn run(&mut self) -> Result<Built, BuildError> {
        let needed: Vec<usize> = self.plan.needed.iter().copied().collect();
        for number in &needed {
            self.begin_stage(*number);
        }
        // Those that files are taken from come meanwhile, too.
        for number in needed {
            self.seek_images_of(number);
        }
        while !self.is_done() {
            let before = self.progress_mark();
            for number in 0..self.stages.len() {
                self.advance(number)?;
            }
            if self.is_done() {
                break;
            }
            // A stage that was waited for may have ended in this turn.
            if self.progress_mark() == before {
                self.wait()?;
            }
        }
        self.finish()
    }

    /// Says of what is at work that nobody waits for it any more.
    fn cancel_the_rest(&self) {
        let stages = self.stages.iter().flatten();
        for vertex in stages.filter_map(|stage| stage.activity.vertex()) {
            self.watcher.cancel(vertex);
        }
    }

    fn is_done(&self) -> bool {
        let target = self.stages[self.plan.target].as_ref();
        target.is_some_and(|stage| stage.is_finished()) && self.seals.is_empty()
    }

    fn progress_mark(&self) -> usize {
        let stages = self.stages.iter().flatten();
        stages
            .map(|stage| stage.next + usize::from(stage.activity.is_at_work()))
            .sum()
    }

    pub fn new_vertex(&mut self, name: &str) -> Vertex {
        self.vertices += 1;
        self.watcher.begin(self.vertices, name);
        self.vertices
    }

    fn begin_stage(&mut self, number: usize) {
        let (base, platform) = self.plan.bases[number].clone().expect("it is needed");
        let draft = match &base {
            // Its draft comes with that stage's end.
            Base::Stage(_) => Draft::empty(&Platform::host()),
            Base::Scratch => {
                let platform = platform.as_ref().or(self.request.platform.as_ref());
                Draft::empty(&platform.cloned().unwrap_or_else(Platform::host))
            }
            // And with the image.
            Base::Image(_) => Draft::empty(&Platform::host()),
        };
        let source = Rc::new(self.file.source.clone());
        let stage = &self.file.stages[number];
        let instructions = stage.instructions.iter();
        let instructions = instructions
            .map(|one| (Rc::clone(&source), Rc::new(one.clone())))
            .collect();
        let ignore_cache = self.request.ignore_cache
            || stage.name.as_ref().is_some_and(|name| {
                self.request
                    .ignore_cache_of
                    .iter()
                    .any(|other| other.eq_ignore_ascii_case(name))
            });
        let mut run = StageRun {
            number,
            instructions,
            next: 0,
            steps: self.steps_of(number),
            step: 1,
            draft,
            arguments: Arguments::default(),
            activity: Activity::Ready,
            ignore_cache,
        };
        match base {
            Base::Stage(earlier) => run.activity = Activity::BaseOf(earlier),
            Base::Scratch => {}
            Base::Image(name) => {
                let label = self.stage_label(number);
                let steps = self.steps_of(number);
                let vertex = self.new_vertex(&format!("[{label}1/{steps}] FROM {name}"));
                let image = self.image_key(&name, platform.as_ref());
                self.seek(&image, Some(vertex));
                run.activity = Activity::BaseImage { image, vertex };
            }
        }
        self.stages[number] = Some(run);
    }

    /// Steps as progress counts them: `FROM`, and what changes files.
    fn steps_of(&self, number: usize) -> usize {
        let instructions = self.file.stages[number].instructions.iter();
        1 + instructions.filter(|one| is_step(&one.value)).count()
    }

    pub fn stage_label(&self, number: usize) -> String {
        match plan::label(&self.file, number) {
            label if label.is_empty() => label,
            label => format!("{label} "),
        }
    }

    fn at_stage(&self, number: usize, source: StepError) -> BuildError {
        let stage = &self.file.stages[number];
        BuildError::Step {
            place: Box::new(Place::of(&self.file.source, stage.location, &stage.text)),
            source,
        }
    }

    /// What is built on an image begins with it.
    pub fn draft_of(&self, image: &Image) -> Result<Draft, BuildError> {
        let subject = format!("config of image {}", image.id);
        let bytes = self.store.read_blob(&image.id)?;
        let document: Map<String, Value> = json(&subject, &bytes)?;
        let listed = crate::image::diff_ids(&subject, &image.config)?;
        let mut layers = Vec::new();
        for (place, diff_id) in listed.iter().enumerate() {
            let is_topmost = !listed[place + 1..].contains(diff_id);
            let directory = image
                .layers
                .iter()
                .find(|layer| layer.diff_id() == *diff_id);
            layers.push(Layer::Base {
                diff_id: diff_id.clone(),
                directory: directory.filter(|_| is_topmost).cloned(),
            });
        }
        Ok(Draft::of_image(&image.id, document, layers))
    }

    /// Goes on with a stage until it waits for something or has ended.
    fn advance(&mut self, number: usize) -> Result<(), BuildError> {
        let Some(mut stage) = self.stages[number].take() else {
            return Ok(());
        };
        let advanced = self.advance_stage(&mut stage);
        self.stages[number] = Some(stage);
        advanced
    }

    fn advance_stage(&mut self, stage: &mut StageRun) -> Result<(), BuildError> {
        if let Activity::BaseOf(earlier) = stage.activity {
            let Some(base) = self.finished_stage(earlier) else {
                return Ok(());
            };
            stage.draft = base.draft.clone();
            stage.arguments = base.arguments.clone();
            stage.draft.has_own_command = false;
            stage.activity = Activity::Ready;
            take_triggers(stage)?;
        }
        if let Activity::BaseImage { image, vertex } = &stage.activity {
            let (key, vertex) = (image.clone(), *vertex);
            let image = match self.image(&key).transpose() {
                None => return Ok(()),
                Some(image) => image,
            };
            let shown = image.as_ref().err().map(ToString::to_string);
            self.watcher.end(vertex, shown.as_deref());
            let image = image.map_err(|error| self.at_stage(stage.number, error))?;
            stage.draft = self.draft_of(&image)?;
            stage.activity = Activity::Ready;
            take_triggers(stage)?;
        }
        if let Activity::WaitingForImage(image) = &stage.activity {
            if self.is_coming(image) {
                return Ok(());
            }
            stage.activity = Activity::Ready;
        }
        if let Activity::WaitingFor(earlier) = stage.activity {
            if self.finished_stage(earlier).is_none() {
                return Ok(());
            }
            stage.activity = Activity::Ready;
        }
        while stage.activity.is_ready() && stage.next < stage.instructions.len() {
            let (source, instruction) = stage.instructions[stage.next].clone();
            let done = self.instruct(stage, &source, &instruction);
            let place = || Box::new(Place::of(&source, instruction.location, &instruction.text));
            match done {
                Ok(()) => {}
                Err(Wrong::Text(error)) => return Err(error.into()),
                Err(Wrong::Meaning(source)) => {
                    return Err(BuildError::Step {
                        place: place(),
                        source,
                    });
                }
            }
        }
        Ok(())
    }

    pub fn finished_stage(&self, number: usize) -> Option<&StageRun> {
        let stage = self.stages[number].as_ref();
        stage.filter(|stage| stage.is_finished())
    }

    /// One instruction: done at once, or begun.
    fn instruct(
        &mut self,
        stage: &mut StageRun,
        source: &Source,
        instruction: &Located<Instruction>,
    ) -> Result<(), Wrong> {
        let escape = self.file.directives.escape;
        let row = self
            .settings(stage, source, escape)
            .apply(&instruction.value)?;
        if let Some(row) = row {
            stage.draft.record(row, None);
            stage.next += 1;
            return Ok(());
        }
        self.begin_step(stage, source, instruction)
    }

    pub fn settings<'s>(
        &'s self,
        stage: &'s mut StageRun,
        source: &'s Source,
        escape: char,
    ) -> Settings<'s> {
        Settings {
            draft: &mut stage.draft,
            arguments: &mut stage.arguments,
            given: &self.given,
            source,
            escape,
        }
    }

    /// The network of a step: inside a container in which nothing connects further ones, they have that container's.
    pub fn step_network(&self, wanted: &NetworkMode) -> NetworkMode {
        let is_confined = self.engine.isolation() == Isolation::Chroot;
        if *wanted != NetworkMode::Default || is_confined {
            return wanted.clone();
        }
        let found = self
            .network
            .get_or_init(|| match self.engine.without_way_out() {
                Some((around, missing)) => {
                    let line = format!(
                        "RUN has the network of {around}, which this is inside of: {missing}"
                    );
                    self.watcher.warn(&line);
                    NetworkMode::Host
                }
                None => NetworkMode::Default,
            });
        found.clone()
    }

    /// The home namespace lives on between the steps from here.
    pub fn keep_home(&mut self) -> Result<(), EngineError> {
        if self.keeper.is_none() {
            self.keeper = Some(self.engine.keep_home()?);
        }
        Ok(())
    }

    /// A layer that a step has written: its DiffID is found while the build goes on.
    pub fn add_layer(&mut self, made: Made, written: WrittenLayer) -> Result<Layer, StepError> {
        let made = Rc::new(made);
        let job = self.engine.seal(written)?;
        self.seals.push(Seal {
            made: Rc::clone(&made),
            job,
        });
        self.made.push(Rc::clone(&made));
        Ok(Layer::Made(made))
    }

    /// Waits for whatever comes first.
    pub(super) fn wait(&mut self) -> Result<(), BuildError> {
        let mut set = PollSet::new();
        set.add(self.signals.as_fd(), Interest::Read, Token::Signal);
        for (number, stage) in self.stages.iter().enumerate() {
            if let Some(source) = stage.as_ref().and_then(|stage| stage.activity.source()) {
                set.add(source, Interest::Read, Token::Stage(number));
            }
        }
        let coming: Vec<ImageKey> = self.coming().map(|(key, _)| key.clone()).collect();
        for (number, (_, source)) in self.coming().enumerate() {
            set.add(source, Interest::Read, Token::Image(number));
        }
        for (number, seal) in self.seals.iter().enumerate() {
            set.add(seal.job.as_fd(), Interest::Read, Token::Seal(number));
        }
        let ready = set
            .wait(self.watcher.pulse())
            .map_err(BuildError::system("wait for the build's steps"))?;
        self.watcher.tick();
        let mut sealed = Vec::new();
        for token in ready {
            match token {
                Token::Signal => {
                    if let Ok(Some(signal)) = self.signals.next() {
                        return Err(BuildError::Interrupted { signal });
                    }
                }
                Token::Image(number) => self.receive(&coming[number]),
                Token::Stage(number) => self.go_on(number)?,
                Token::Seal(number) => sealed.push(number),
            }
        }
        // From the last, so that the numbers of the others stay.
        for number in sealed.into_iter().rev() {
            if let Some(report) = self.seals[number].job.read()? {
                let seal = self.seals.remove(number);
                for warning in &report.warnings {
                    self.watcher.warn(warning);
                }
                *seal.made.report.borrow_mut() = Some(report);
            }
        }
        Ok(())
    }

    fn go_on(&mut self, number: usize) -> Result<(), BuildError> {
        let Some(mut stage) = self.stages[number].take() else {
            return Ok(());
        };
        let (source, instruction) = stage.instructions[stage.next].clone();
        let done = self.continue_step(&mut stage);
        self.stages[number] = Some(stage);
        done.map_err(|error| BuildError::Step {
            place: Box::new(Place::of(&source, instruction.location, &instruction.text)),
            source: error,
        })
    }
}

impl StageRun {
    pub fn is_finished(&self) -> bool {
        self.next >= self.instructions.len() && self.activity.is_ready()
    }
}

/// What changes files, or may.
fn is_step(instruction: &Instruction) -> bool {
    matches!(
        instruction,
        Instruction::Run(_) | Instruction::Copy(_) | Instruction::Add(_) | Instruction::Workdir(_)
    )
}

/// What the base left for whoever is built on it comes first.
fn take_triggers(stage: &mut StageRun) -> Result<(), BuildError> {
    let mut triggers = Vec::new();
    for text in stage.draft.take_triggers() {
        let (source, instruction) = parse_trigger(&text)?;
        stage.steps += usize::from(is_step(&instruction.value));
        triggers.push((Rc::new(source), Rc::new(instruction)));
    }
    stage.instructions.splice(0..0, triggers);
    Ok(())
}

/// RFC 3339, in whole seconds.
pub(super) fn timestamp(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds);
    time.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

pub(super) fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs() as i64)
}
