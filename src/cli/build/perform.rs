//! A build from its flags to what they ask for: read, checked, built for each platform, and brought where it goes.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::Args;
use super::agents::Agents;
use super::attest::Wanted;
use super::cache::{CachePlace, CacheTo};
use super::call::{self, Call, Choice};
use super::contexts::{self, Named};
use super::logs::Logs;
use super::output::{Delivery, Output};
use super::raw::RawJson;
use super::shown::Shown;
use super::values;
use super::{failed, failed_quietly};
use crate::build::{BuildRequest, Built, Checked, check};
use crate::cli::Invocation;
use crate::cli::container_flags::value;
use crate::cli::error::{CliError, Kind};
use crate::cli::progress::Bars;
use crate::config::parse_bool;
use crate::engine::{Engine, EngineError};
use crate::image::{Digest, Platform, Reference};

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
    /// What `--metadata-file` has.
    pub metadata: Value,
    /// The output itself is on standard output.
    pub on_stdout: bool,
    is_kept: bool,
    /// Images that are in the store only on their way elsewhere.
    passing: Vec<Digest>,
}

impl Outcome {
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

/// What the flags say before anything is read.
struct Task<'a> {
    args: &'a Args,
    invocation: &'a Invocation,
    engine: Engine,
    shown: Shown,
    outputs: Vec<Output>,
    platforms: Vec<Option<Platform>>,
    cache_to: Vec<CacheTo>,
    wanted: Wanted,
    on_stdout: bool,
    /// The image stays in the store.
    is_kept: bool,
}

/// Does what the flags say. What is in the store only on its way is still there.
pub fn perform(args: &Args, invocation: &Invocation) -> Result<Performed, CliError> {
    let ui = &invocation.ui;
    let shown = Shown::choose(&args.shared.progress, args.quiet, ui.stderr_is_terminal)?;
    let outputs = args.outputs()?;
    let platforms = args.platforms(&outputs)?;
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
                "the store has no place for attestations: they go to a registry (--push), an OCI archive (-o type=oci,dest=FILE) or a directory (-o DIR)",
            )
        })?,
    };
    let engine = invocation.engine_with(args.shared.debug)?;
    tracing::debug!(builder = ?args.shared.builder, "there is one builder");
    let secrets = values::secrets(&args.secret)?;
    let opened = {
        let bars = Bars::new(ui);
        let named = Named {
            secrets: &secrets,
            place: &args.context,
            dockerfile: args.file.as_deref(),
            inline: args.inline.as_deref(),
            is_foreign: args.foreign.is_some(),
            keeps_git: is_on(&args.build_arg, "BUILDKIT_CONTEXT_KEEP_GIT_DIR"),
        };
        contexts::open(&engine, &named, &bars)?
    };
    let mut request = args.request(&opened, secrets)?;
    engine
        .check_cgroup_parent(request.cgroup_parent.as_deref())
        .map_err(|error| CliError::engine(Kind::Failed, &error))?;
    // Those of its own end with the build.
    let agents = Agents::of(&args.ssh, &engine.paths.runtime)?;
    request.agents.clone_from(&agents.sockets);
    request.platform.clone_from(&platforms[0]);
    request.inline_cache = cache_to.iter().any(|one| one.to == CachePlace::Inline)
        || is_on(&args.build_arg, "BUILDKIT_INLINE_CACHE");
    let given = std::mem::take(&mut request.names);
    let is_kept = platforms.len() == 1 && outputs.iter().any(Output::is_image);
    if is_kept {
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
        args,
        invocation,
        engine,
        shown,
        outputs,
        platforms,
        cache_to,
        wanted,
        on_stdout,
        is_kept,
    };
    let checked = task.checked(&request)?;
    for from in &cache_from {
        from.import(&task.engine, task.is_quiet(), invocation);
    }
    task.build(request, &checked, &given)
        .map(|outcome| Performed::Built(Box::new(outcome)))
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
        let before = match self.is_kept {
            true => HashSet::new(),
            false => self.engine.image_ids().map_err(of_engine)?,
        };
        let mut built: Vec<(Option<Platform>, Built)> = Vec::new();
        let mut said = Vec::new();
        let mut brought = Ok(None);
        for platform in &self.platforms {
            request.platform.clone_from(platform);
            let logs = Logs::default();
            let began = jiff::Timestamp::now();
            let ui = &self.invocation.ui;
            match self.shown.build(&self.engine, &request, &logs, ui) {
                Ok(one) => {
                    let about = self.wanted.say(&self.engine, &request, &one, given, began);
                    built.push((platform.clone(), one));
                    match about {
                        Ok(about) => said.push(about),
                        Err(error) => {
                            brought = Err(error);
                            break;
                        }
                    }
                }
                Err(error) => {
                    brought = Err(failed(&error, &logs, self.invocation));
                    break;
                }
            }
        }
        self.tell(checked);
        if brought.is_ok() {
            brought = self.deliver(&Delivery {
                built: &built,
                said: &said,
                given,
            });
        }
        let images: Vec<Digest> = built.iter().map(|(_, one)| one.image.id.clone()).collect();
        let passing = images.iter().filter(|_| !self.is_kept);
        let passing: Vec<Digest> = passing.filter(|id| !before.contains(id)).cloned().collect();
        let pushed = match brought {
            Ok(pushed) => pushed,
            Err(error) => {
                if let Err(error) = forget(&self.engine, passing.iter()) {
                    tracing::warn!(%error, "forget what was built");
                }
                return Err(error);
            }
        };
        let (id, metadata) = told(&built, pushed.as_ref(), given);
        Ok(Outcome {
            engine: self.engine,
            id,
            images,
            metadata,
            on_stdout: self.on_stdout,
            is_kept: self.is_kept,
            passing,
        })
    }

    /// Writes what was built to all its places; the digest that a registry knows it by.
    fn deliver(&self, delivery: &Delivery<'_>) -> Result<Option<Digest>, CliError> {
        let mut pushed = None;
        for output in &self.outputs {
            let quiet = self.is_quiet();
            let digest = output.write(&self.engine, delivery, quiet, self.invocation)?;
            pushed = digest.or(pushed);
        }
        for to in &self.cache_to {
            for (_, one) in delivery.built {
                to.export(&self.engine, one)?;
            }
        }
        Ok(pushed)
    }
}

/// The id and the metadata; of several platforms it is the index that is told.
fn told(
    built: &[(Option<Platform>, Built)],
    pushed: Option<&Digest>,
    given: &[Reference],
) -> (Digest, Value) {
    let image = &built[0].1.image;
    let (id, digest) = match (built, pushed) {
        ([_], Some(digest)) => (&image.id, digest),
        (_, Some(digest)) => (digest, digest),
        (_, None) => (&image.id, &image.manifest),
    };
    let names: Vec<String> = given.iter().map(ToString::to_string).collect();
    let mut metadata = json!({
        "containerimage.digest": digest.as_str(),
        "image.name": names.join(","),
    });
    if let [_] = built {
        metadata["containerimage.config.digest"] = image.id.as_str().into();
    }
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
