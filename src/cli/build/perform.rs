//! A build from its flags to what they ask for: read, checked, built for each platform, and brought where it goes.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use super::agents::Agents;
use super::annotations::{Annotations, Place};
use super::attest::Wanted;
use super::cache::{CachePlace, CacheTo};
use super::call::{self, Call, Choice};
use super::contexts::{self, Layout, Lent, Named};
use super::logs::Logs;
use super::output::{Delivery, Output};
use super::raw::RawJson;
use super::shown::Shown;
use super::values;
use super::{Args, OfTarget};
use super::{failed, failed_quietly};
use crate::build::{BuildRequest, Built, Checked, NamedContext, check};
use crate::cli::Invocation;
use crate::cli::container_flags::value;
use crate::cli::error::{CliError, Kind};
use crate::cli::progress::Bars;
use crate::config::parse_bool;
use crate::engine::{Engine, EngineError};
use crate::image::{Digest, Index, IndexedImage, Platform, Reference};

pub enum Performed {
    /// `--call`, `--check`: the exit code.
    Called(u8),
    Built(Box<Outcome>),
}

/// What a build came to.
pub struct Outcome {
    engine: Engine,
    /// What `--iidfile` has.
    pub id: Digest,
    /// The images, one for each platform.
    pub images: Vec<Digest>,
    platforms: Vec<Option<Platform>>,
    /// What `--metadata-file` has.
    pub metadata: Value,
    /// The output itself is on standard output.
    pub on_stdout: bool,
    is_kept: bool,
    /// Images that are in the store only on their way elsewhere.
    passing: Vec<Digest>,
}

impl Outcome {
    pub fn by_platform(&self) -> OfTarget {
        let platforms = self.platforms.iter().cloned();
        platforms.zip(self.images.iter().cloned()).collect()
    }

    /// The images that were asked for as such.
    pub fn kept(&self) -> &[Digest] {
        match self.is_kept {
            true => &self.images,
            false => &[],
        }
    }

    /// But for those that somebody else has asked for.
    pub fn forget_passing(&self, kept: &HashSet<Digest>) -> Result<(), CliError> {
        let passing = self.passing.iter().filter(|id| !kept.contains(id));
        forget(&self.engine, passing).map_err(of_engine)
    }
}

/// As many of them as possible; the first failure.
fn forget<'a>(
    engine: &Engine,
    images: impl Iterator<Item = &'a Digest>,
) -> Result<(), EngineError> {
    let each: Vec<_> = images.map(|id| engine.forget_unnamed(id)).collect();
    each.into_iter().collect()
}

fn of_engine(error: EngineError) -> CliError {
    CliError::engine(Kind::Failed, &error)
}

/// Images of layouts: in the store, without names, for as long as this lives.
struct Borrowed {
    engine: Engine,
    layouts: Vec<Layout>,
    /// And those of other targets of a bake file, which bake takes away.
    targets: BTreeMap<String, OfTarget>,
    before: HashSet<Digest>,
    brought: RefCell<HashSet<Digest>>,
}

impl Borrowed {
    fn new(
        engine: Engine,
        layouts: &[Layout],
        targets: &BTreeMap<String, OfTarget>,
    ) -> Result<Borrowed, CliError> {
        let before = match layouts {
            [] => HashSet::new(),
            _ => engine.image_ids().map_err(of_engine)?,
        };
        Ok(Borrowed {
            engine,
            layouts: layouts.to_owned(),
            targets: targets.clone(),
            before,
            brought: RefCell::default(),
        })
    }

    /// Those for a platform become what the Dockerfile's names stand for.
    fn bring(
        &self,
        request: &mut BuildRequest,
        platform: Option<&Platform>,
    ) -> Result<(), CliError> {
        let wanted = platform.cloned().unwrap_or_else(Platform::host);
        for (name, images) in &self.targets {
            let fits = |(of, _): &&(Option<Platform>, Digest)| {
                *of.as_ref().unwrap_or(&Platform::host()) == wanted
            };
            let (_, id) = match &images[..] {
                [only] => only,
                several => several.iter().find(fits).ok_or_else(|| {
                    let message =
                        format!("target:{name} is built for other platforms than {wanted}");
                    CliError::new(Kind::Failed, message)
                })?,
            };
            let context = NamedContext::Stored(id.clone());
            request.named_contexts.insert(name.clone(), context);
        }
        for layout in &self.layouts {
            let id = layout.load(&self.engine, platform)?;
            self.brought.borrow_mut().insert(id.clone());
            let context = NamedContext::Stored(id);
            request.named_contexts.insert(layout.name.clone(), context);
        }
        Ok(())
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let brought = self.brought.borrow();
        if let Err(error) = forget(&self.engine, brought.difference(&self.before)) {
            tracing::warn!(%error, "forget an image of a layout");
        }
    }
}

/// What the flags say before anything is read.
struct Task<'a> {
    args: &'a Args,
    borrowed: Borrowed,
    invocation: &'a Invocation,
    engine: Engine,
    shown: Shown,
    outputs: Vec<Output>,
    platforms: Vec<Option<Platform>>,
    cache_to: Vec<CacheTo>,
    wanted: Wanted,
    annotations: Annotations,
    on_stdout: bool,
    /// The image stays in the store.
    is_kept: bool,
    /// It is an index there.
    is_index: bool,
}

/// Does what the flags say. What is in the store only on its way is still there.
pub fn perform(args: &Args, invocation: &Invocation) -> Result<Performed, CliError> {
    let ui = &invocation.ui;
    let shown = Shown::choose(&args.shared.progress, args.quiet, ui.stderr_is_terminal)?;
    let outputs = args.outputs()?;
    let platforms = args.platforms(&outputs)?;
    let annotations = args.annotations(&outputs)?;
    let docker_types = Args::has_docker_types(&outputs)?;
    let on_stdout = outputs.iter().any(Output::is_on_stdout);
    if on_stdout && ui.stdout_is_terminal {
        return Err(CliError::new(
            Kind::Failed,
            "cowardly refusing to write the output to a terminal: name a file with dest= or redirect",
        ));
    }
    let (cache_from, cache_to) = args.caches()?;
    let wanted = Wanted::of(args)?;
    let wanted = match outputs.iter().any(Output::takes_statements) {
        true => wanted,
        false => wanted.without_place().ok_or_else(|| {
            CliError::usage(
                "attestations have no place there: they go into the store, to a registry (--push), an OCI archive (-o type=oci,dest=FILE) or a directory (-o DIR)",
            )
        })?,
    };
    let is_index = platforms.len() > 1 || wanted.is_some();
    check_annotations(&annotations, &outputs, is_index)?;
    if docker_types && (wanted.is_some() || annotations.has(Place::Manifest)) {
        return Err(CliError::usage(
            "oci-mediatypes=false: attestations and annotations need OCI's media types",
        ));
    }
    let engine = invocation.engine_with(args.shared.debug)?;
    tracing::debug!(builder = ?args.shared.builder, "there is one builder");
    let secrets = values::secrets(&args.secret)?;
    // Those of its own end with the build.
    let agents = Agents::of(&args.ssh, &engine.paths.runtime)?;
    let lent = Lent {
        secrets: &secrets,
        agents: &agents.sockets,
    };
    let bars = Bars::new(ui);
    let progress = bars.unless(shown == Shown::Nothing);
    let opened = {
        let named = Named {
            lent,
            place: &args.context,
            dockerfile: args.file.as_deref(),
            inline: args.inline.as_deref(),
            is_foreign: args.foreign.is_some(),
            keeps_git: is_on(&args.build_arg, "BUILDKIT_CONTEXT_KEEP_GIT_DIR"),
        };
        contexts::open(&engine, &named, progress)?
    };
    let others = args.named_contexts(&engine, lent, progress)?;
    let mut request = args.request(&opened, secrets)?;
    request.named_contexts.clone_from(&others.contexts);
    let borrowed = Borrowed::new(invocation.engine()?, &others.layouts, &args.of_targets)?;
    borrowed.bring(&mut request, platforms[0].as_ref())?;
    engine
        .check_cgroup_parent(request.cgroup_parent.as_deref())
        .map_err(of_engine)?;
    engine.check_network(&request.network).map_err(of_engine)?;
    request.agents.clone_from(&agents.sockets);
    request.platform.clone_from(&platforms[0]);
    request.inline_cache = cache_to.iter().any(|one| one.to == CachePlace::Inline)
        || is_on(&args.build_arg, "BUILDKIT_INLINE_CACHE");
    let given = std::mem::take(&mut request.names);
    request.docker_types = docker_types;
    let is_kept = outputs.iter().any(Output::keeps_image);
    if is_kept && !is_index {
        let names = outputs.iter().flat_map(|one| one.store_names(&given));
        request.names = names.cloned().collect();
    }
    let Choice(call) = value("--call", args.shared.call.as_deref().unwrap_or("build"))?;
    if let Some(call) = args.shared.check.then_some(Call::CHECK).or(call) {
        return call
            .run(&engine, &request, invocation)
            .map(Performed::Called);
    }
    let task = Task {
        borrowed,
        args,
        invocation,
        engine,
        shown,
        outputs,
        platforms,
        cache_to,
        wanted,
        annotations,
        on_stdout,
        is_kept,
        is_index,
    };
    let checked = task.checked(&request)?;
    for from in &cache_from {
        from.import(&task.engine, task.is_quiet(), invocation);
    }
    task.build(request, &checked, &given)
        .map(|outcome| Performed::Built(Box::new(outcome)))
}

/// Each has a place, or BuildKit's words say that it has none.
fn check_annotations(
    annotations: &Annotations,
    outputs: &[Output],
    is_index: bool,
) -> Result<(), CliError> {
    if annotations.has(Place::Index) && !is_index {
        let message = "index annotations not supported for single platform export";
        return Err(CliError::usage(message));
    }
    let has_layout = outputs
        .iter()
        .any(|output| matches!(output, Output::Archive(_)));
    let of_layout = annotations.has(Place::IndexDescriptor)
        || (annotations.has(Place::ManifestDescriptor) && !is_index);
    if of_layout && !has_layout {
        return Err(CliError::usage(
            "annotations of a descriptor stand in an index or an OCI layout: there is none here (-o type=oci,dest=FILE)",
        ));
    }
    Ok(())
}

impl Task<'_> {
    fn is_quiet(&self) -> bool {
        self.shown == Shown::Nothing
    }

    fn tell(&self, checked: &Checked) {
        let ui = &self.invocation.ui;
        match self.shown {
            Shown::Nothing => {}
            Shown::RawJson => RawJson::new(ui, &Logs::default()).findings(checked),
            Shown::Plain | Shown::Tree => call::tell(checked, self.args.shared.debug, ui),
        }
    }

    /// Findings that are to stop the build do.
    fn checked(&self, request: &BuildRequest) -> Result<Checked, CliError> {
        let ui = &self.invocation.ui;
        let checked = check(&self.engine, request);
        let checked = checked.map_err(|error| failed_quietly(&error, ui))?;
        if let Some(error) = checked.stopped() {
            self.tell(&checked);
            return Err(failed_quietly(&error, ui));
        }
        Ok(checked)
    }

    /// For each platform, and to all places; what only passes through the store is forgotten if it does not get there.
    fn build(
        self,
        mut request: BuildRequest,
        checked: &Checked,
        given: &[Reference],
    ) -> Result<Outcome, CliError> {
        let before = match self.is_kept && !self.is_index {
            true => HashSet::new(),
            false => self.engine.image_ids().map_err(of_engine)?,
        };
        let mut built = Vec::new();
        let index = self.each(&mut request, given, &mut built);
        self.tell(checked);
        let brought = index.and_then(|index| self.bring(&built, index, given));
        let images: Vec<Digest> = built.iter().map(|(_, one)| one.image.id.clone()).collect();
        let new = images.iter().filter(|id| !before.contains(id)).cloned();
        let brought = match brought {
            Ok(brought) => brought,
            Err(error) => {
                let passing: Vec<Digest> = new.filter(|_| !self.is_kept || self.is_index).collect();
                if let Err(error) = forget(&self.engine, passing.iter()) {
                    tracing::warn!(%error, "forget what was built");
                }
                return Err(error);
            }
        };
        let passing = new.filter(|_| !self.is_kept).collect();
        let (id, metadata) = told(&built, &brought, given);
        Ok(Outcome {
            engine: self.engine,
            platforms: self.platforms,
            id,
            images,
            metadata,
            on_stdout: self.on_stdout,
            is_kept: self.is_kept,
            passing,
        })
    }

    /// Builds for one platform after the other; what it came to so far is in `built` even where one fails.
    fn each(
        &self,
        request: &mut BuildRequest,
        given: &[Reference],
        built: &mut Vec<(Option<Platform>, Built)>,
    ) -> Result<Index, CliError> {
        let mut index = Index {
            images: Vec::new(),
            annotations: self.annotations.at(Place::Index, None),
        };
        for platform in &self.platforms {
            let at = |place| self.annotations.at(place, platform.as_ref());
            request.platform.clone_from(platform);
            request.annotations = at(Place::Manifest);
            self.borrowed.bring(request, platform.as_ref())?;
            let logs = Logs::default();
            let began = jiff::Timestamp::now();
            let ui = &self.invocation.ui;
            let one = self.shown.build(&self.engine, request, &logs, ui);
            let one = one.map_err(|error| failed(&error, &logs, self.invocation))?;
            let said = self.wanted.say(&self.engine, request, &one, given, began);
            let (id, manifest) = (one.image.id.clone(), one.image.manifest.clone());
            built.push((platform.clone(), one));
            index.images.push(IndexedImage {
                id,
                manifest,
                said: said?,
                annotations: match self.is_index {
                    true => at(Place::ManifestDescriptor),
                    false => BTreeMap::new(),
                },
            });
        }
        Ok(index)
    }

    /// Gives it its names in the store, and brings it to all its places.
    fn bring(
        &self,
        built: &[(Option<Platform>, Built)],
        index: Index,
        given: &[Reference],
    ) -> Result<Brought, CliError> {
        let first = &index.images[0];
        let names = self.outputs.iter().flat_map(|one| one.store_names(given));
        let names: Vec<Reference> = names.cloned().collect();
        let stored = match (self.is_index, self.is_kept) {
            (false, _) => Ok(first.manifest.clone()),
            (true, true) => self.engine.store_index(&index, &names),
            (true, false) => self.engine.index_digest(&index),
        };
        let stored = stored.map_err(of_engine)?;
        let mut noted = self.annotations.at(Place::IndexDescriptor, None);
        if !self.is_index {
            let platform = self.platforms[0].as_ref();
            noted.extend(self.annotations.at(Place::ManifestDescriptor, platform));
        }
        let pushed = self.deliver(&Delivery {
            built,
            index: &index,
            stored: &stored,
            found_by: if self.is_index { &stored } else { &first.id },
            given,
            noted: &noted,
        })?;
        Ok(Brought { stored, pushed })
    }

    /// Writes what was built to all its places; the digest that a registry knows it by.
    fn deliver(&self, delivery: &Delivery<'_>) -> Result<Option<Digest>, CliError> {
        let mut pushed = None;
        for output in &self.outputs {
            let quiet = self.is_quiet();
            let digest = output.write(&self.engine, delivery, quiet, self.invocation)?;
            pushed = digest.or(pushed);
        }
        let built: Vec<&Built> = delivery.built.iter().map(|(_, one)| one).collect();
        for to in &self.cache_to {
            to.export(&self.engine, &built)?;
        }
        Ok(pushed)
    }
}

/// Where it is now.
struct Brought {
    /// The digest that the store knows it by.
    stored: Digest,
    /// And a registry, if it is there.
    pushed: Option<Digest>,
}

/// The id and the metadata; of several platforms it is the index that is told.
fn told(
    built: &[(Option<Platform>, Built)],
    brought: &Brought,
    given: &[Reference],
) -> (Digest, Value) {
    let image = &built[0].1.image;
    let digest = brought.pushed.as_ref().unwrap_or(&brought.stored);
    let names: Vec<String> = given.iter().map(ToString::to_string).collect();
    let mut metadata = json!({ "containerimage.digest": digest.as_str() });
    if !names.is_empty() {
        metadata["image.name"] = names.join(",").into();
    }
    let id = match built {
        [_] => {
            metadata["containerimage.config.digest"] = image.id.as_str().into();
            &image.id
        }
        _ => digest,
    };
    (id.clone(), metadata)
}

/// Whether an argument says yes, the last of its name; without a value it is the host's.
fn is_on(arguments: &[String], name: &str) -> bool {
    let value = arguments.iter().rev().find_map(|argument| {
        let (known, value) = argument.split_once('=').unwrap_or((argument, ""));
        let is_bare = !argument.contains('=');
        (known == name).then(|| match is_bare {
            true => std::env::var(name).unwrap_or_default(),
            false => value.to_owned(),
        })
    });
    value.and_then(|text| parse_bool(&text)).unwrap_or(false)
}
