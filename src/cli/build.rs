//! `build`.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::Invocation;
use super::bake::definitions::Foreign;
use super::container_flags::{ulimits, value};
use super::error::{CliError, Kind};
use super::ui::Ui;
use crate::build::{BuildError, BuildRequest, SecretSource};
use crate::config::Size;
use crate::engine::Engine;
use crate::engine::request::{NetworkMode, PullPolicy};
use crate::image::{Digest, Platform, Reference};
use crate::net::hosts::ExtraHost;
use crate::registry::Progress;

mod agents;
mod annotations;
mod attest;
mod baked;
mod cache;
mod call;
pub mod contexts;
mod fields;
mod logs;
mod output;
mod perform;
mod plain;
mod pulled;
mod raw;
pub mod shared;
mod shown;
mod tree;
pub mod values;

use annotations::Annotations;
use cache::{CacheFrom, CacheTo};
use contexts::{Lent, Opened, Others};
use logs::Logs;
use output::{ImageOutput, Output};
pub use perform::{Outcome, Performed, perform};
use shared::Shared;
use values::{allows, arguments, epoch, labels, pair};

/// The images of a target, one for each of its platforms.
pub type OfTarget = Vec<(Option<Platform>, Digest)>;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Files that COPY and ADD take: a directory, a git repository or archive by its URL, `-` for an archive or Dockerfile on standard input
    #[arg(value_name = "PATH|URL|-")]
    context: PathBuf,
    /// Dockerfile, `-` for standard input (default: PATH/Dockerfile)
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Name for the image: NAME[:TAG]
    #[arg(short, long, value_name = "NAME")]
    tag: Vec<String>,
    /// Value of an ARG: NAME=VALUE, or NAME for the host's variable
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,
    /// Another place for --from and FROM: NAME=DIRECTORY|docker-image://IMAGE|oci-layout://DIRECTORY[:TAG|@DIGEST]|URL
    #[arg(long, value_name = "NAME=PLACE")]
    build_context: Vec<String>,
    /// Stage to build, by name or number (default: the last one)
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Label of the image
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// Remove the containers of steps, which is done whatever is said
    #[arg(long, alias = "force-rm", hide = true, num_args = 0..=1, require_equals = true, value_name = "BOOL",
        default_value = "true", default_missing_value = "true", action = clap::ArgAction::Set, overrides_with = "rm")]
    rm: bool,
    /// Make one layer of all that the steps add to the base image
    #[arg(long)]
    squash: bool,
    /// Do the steps of this stage anew
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    no_cache_filter: Vec<String>,
    /// What the image is for (os/arch[/variant]), if not for this host; several make an index
    #[arg(long, value_delimiter = ',')]
    platform: Vec<String>,
    /// Network of RUN: default, none, host, pasta, or the name of one
    #[arg(long, default_value = "default")]
    network: String,
    /// Another name in /etc/hosts of RUN (NAME:ADDRESS, `host-gateway` is the host)
    #[arg(long, value_name = "NAME:ADDRESS")]
    add_host: Vec<String>,
    /// Size of /dev/shm of RUN
    #[arg(long, value_name = "SIZE")]
    shm_size: Option<String>,
    /// Resource limit of RUN: NAME=SOFT[:HARD]
    #[arg(long, value_name = "LIMIT")]
    ulimit: Vec<String>,
    /// Cgroup that those of RUN are made in: below bryo's own, or with a / before it within the tree that is yours
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<String>,
    /// Secret of RUN --mount=type=secret: id=NAME[,src=FILE|,env=VARIABLE]
    #[arg(long, value_name = "SECRET")]
    secret: Vec<String>,
    /// Agent for RUN --mount=type=ssh: default, ID[=SOCKET], or ID=KEY[,KEY] for one that has only these keys
    #[arg(long, value_name = "AGENT")]
    ssh: Vec<String>,
    /// Nothing in the image is newer than this (seconds since 1970)
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH")]
    source_date_epoch: Option<i64>,
    /// Write the image's id to a file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Print the image's id and nothing else
    #[arg(short, long)]
    quiet: bool,
    /// Take what steps came to from: IMAGE, type=registry,ref=IMAGE, type=local,src=DIRECTORY
    #[arg(long, value_name = "CACHE")]
    cache_from: Vec<String>,
    /// Write what steps came to: type=registry,ref=IMAGE, type=local,dest=DIRECTORY, type=inline; with mode=min or max
    #[arg(long, value_name = "CACHE")]
    cache_to: Vec<String>,
    /// Where it goes: DIRECTORY, - (a tar), or type=TYPE[,dest=PLACE][,name=NAME][,push=BOOL] with local, tar, oci, docker, image, registry or cacheonly as TYPE
    #[arg(short, long, value_name = "OUTPUT")]
    output: Vec<String>,
    /// Annotation: [manifest|index|manifest-descriptor|index-descriptor[PLATFORM]:]NAME=VALUE
    #[arg(long, value_name = "NAME=VALUE")]
    annotation: Vec<String>,
    /// Say something of the image: type=sbom, type=provenance[,mode=min|max]
    #[arg(long, value_name = "ATTESTATION")]
    attest: Vec<String>,
    #[command(flatten)]
    shared: Shared,
    /// The Dockerfile itself, where a bake file has it.
    #[arg(skip)]
    inline: Option<String>,
    /// Images of other targets of a bake file, by the names that the Dockerfile calls them by.
    #[arg(skip)]
    of_targets: BTreeMap<String, OfTarget>,
    /// The context came with a bake file.
    #[arg(skip)]
    foreign: Option<Foreign>,
}

impl Args {
    fn request(
        &self,
        opened: &Opened,
        secrets: BTreeMap<String, SecretSource>,
    ) -> Result<BuildRequest, CliError> {
        let names = self
            .tag
            .iter()
            .map(|text| value::<Reference>("--tag", text));
        let network = match self.network.as_str() {
            "bridge" => NetworkMode::Default,
            text => value("--network", text)?,
        };
        if let NetworkMode::Container(_) = network {
            return Err(CliError::not_yet("build --network container:NAME"));
        }
        let args = arguments(&self.build_arg)?;
        // As BuildKit has it: for all that is made, whether an ARG says so or not.
        let dated = args.get("SOURCE_DATE_EPOCH");
        let dated = dated.filter(|text| !text.is_empty());
        let dated = dated.map(|text| epoch(text));
        Ok(BuildRequest {
            dockerfile: opened.dockerfile.clone(),
            dockerfile_name: opened.name.clone(),
            context: opened.context.clone(),
            source: match &self.foreign {
                Some(foreign) => foreign.source.clone(),
                None => opened.source.clone(),
            },
            named_contexts: BTreeMap::new(),
            names: names.collect::<Result<_, _>>()?,
            args,
            target: self.target.clone().filter(|target| !target.is_empty()),
            labels: labels(&self.label)?,
            annotations: BTreeMap::new(),
            docker_types: false,
            squash: self.squash,
            ignore_cache: self.shared.no_cache,
            ignore_cache_of: self.no_cache_filter.clone(),
            pull: match self.shared.pull {
                true => PullPolicy::Always,
                false => PullPolicy::Missing,
            },
            platform: None,
            network,
            extra_hosts: self
                .add_host
                .iter()
                .map(|text| value::<ExtraHost>("--add-host", text).map(|host| host.to_string()))
                .collect::<Result<_, _>>()?,
            shm_size: self
                .shm_size
                .as_deref()
                .map(|text| value::<Size>("--shm-size", text).map(|size| size.0))
                .transpose()?,
            ulimits: ulimits(&self.ulimit)?,
            cgroup_parent: self.cgroup_parent.clone().filter(|path| !path.is_empty()),
            secrets,
            agents: BTreeMap::new(),
            allows: allows(&self.shared.allow)?,
            inline_cache: false,
            epoch: dated.transpose()?.or(self.source_date_epoch),
        })
    }

    /// The places where it goes; without any the store.
    fn outputs(&self) -> Result<Vec<Output>, CliError> {
        let parsed = self.output.iter();
        let parsed = parsed.map(|text| value::<Output>("--output", text));
        let mut outputs: Vec<Output> = parsed.collect::<Result<_, _>>()?;
        let is_image = |output: &Output| matches!(output, Output::Image(_));
        if outputs.is_empty()
            || ((self.shared.load || self.shared.push) && !outputs.iter().any(is_image))
        {
            outputs.push(Output::Image(ImageOutput {
                is_kept: true,
                ..ImageOutput::default()
            }));
        }
        for output in &mut outputs {
            if let Output::Image(image) = output {
                image.push |= self.shared.push;
                image.is_kept |= self.shared.load;
                if image.push && image.names.is_empty() && self.tag.is_empty() {
                    return Err(CliError::usage("tag is needed when pushing to registry"));
                }
            }
        }
        match outputs.iter().filter(|one| one.is_on_stdout()).count() {
            0 | 1 => Ok(outputs),
            _ => Err(CliError::usage(
                "--output: only one can go to standard output",
            )),
        }
    }

    /// Each is built on its own; None: the host's.
    fn platforms(&self, outputs: &[Output]) -> Result<Vec<Option<Platform>>, CliError> {
        let mut platforms = Vec::new();
        for text in self.platform.iter().filter(|text| !text.is_empty()) {
            let platform = Some(value::<Platform>("--platform", text)?);
            if !platforms.contains(&platform) {
                platforms.push(platform);
            }
        }
        match platforms.len() {
            0 => return Ok(vec![None]),
            1 => return Ok(platforms),
            _ => {}
        }
        match outputs.iter().all(Output::takes_index) {
            true => Ok(platforms),
            // BuildKit's words.
            false => Err(CliError::usage(
                "docker exporter does not currently support exporting manifest lists",
            )),
        }
    }

    /// Those of all outputs, too: there is one image.
    fn annotations(&self, outputs: &[Output]) -> Result<Annotations, CliError> {
        let mut all = Annotations::default();
        for text in &self.annotation {
            all.0.extend(value::<Annotations>("--annotation", text)?.0);
        }
        let mut of_outputs = outputs
            .iter()
            .filter(|output| !matches!(output, Output::Nothing | Output::Files(_)));
        let first = of_outputs.next().map_or(&[][..], Output::annotations);
        if of_outputs.any(|output| output.annotations() != first) {
            return Err(CliError::usage(
                "--output: annotations are of the image, which is the same for all outputs: use --annotation",
            ));
        }
        all.0.extend_from_slice(first);
        Ok(all)
    }

    /// Docker's media types: all outputs have to say the same.
    fn has_docker_types(outputs: &[Output]) -> Result<bool, CliError> {
        let said = outputs.iter().filter_map(Output::oci_types);
        let said: HashSet<bool> = said.collect();
        match said.len() {
            2 => Err(CliError::usage(
                "--output: oci-mediatypes is of the image, which is the same for all outputs",
            )),
            _ => Ok(said.contains(&false)),
        }
    }

    fn caches(&self) -> Result<(Vec<CacheFrom>, Vec<CacheTo>), CliError> {
        let from = self.cache_from.iter();
        let from = from.map(|text| value::<CacheFrom>("--cache-from", text));
        let to = self.cache_to.iter();
        let to = to.map(|text| value::<CacheTo>("--cache-to", text));
        Ok((
            from.collect::<Result<_, _>>()?,
            to.collect::<Result<_, _>>()?,
        ))
    }

    /// `--iidfile`, `--metadata-file`, `-q`.
    fn report(&self, outcome: &Outcome, invocation: &Invocation) -> Result<(), CliError> {
        if let Some(path) = &self.iidfile {
            write(path, outcome.id.as_str())?;
        }
        if let Some(path) = &self.shared.metadata_file {
            write(path, &format!("{:#}\n", outcome.metadata))?;
        }
        if self.quiet && !outcome.on_stdout {
            invocation.ui.line(outcome.id.as_str())?;
        }
        Ok(())
    }

    /// Those that the command line names.
    fn named_contexts(
        &self,
        engine: &Engine,
        lent: Lent<'_>,
        progress: &dyn Progress,
    ) -> Result<Others, CliError> {
        let mut others = Others::default();
        for text in &self.build_context {
            let named = pair("--build-context", text)?;
            others.add(engine, named, lent, progress)?;
        }
        Ok(others)
    }
}

/// `buildx build`: buildx passes over `--squash` with a warning.
pub fn run_as_buildx(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    if args.squash {
        let message = "buildx build --squash: buildx has no such flag any more";
        return Err(CliError::new(Kind::Unsupported, message).hint("bryo build --squash"));
    }
    run(args, invocation)
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    if !args.rm {
        let message = "--rm=false: the containers of steps are always removed";
        return Err(CliError::usage(message));
    }
    match perform(&args, invocation)? {
        Performed::Called(code) => Ok(code),
        Performed::Built(outcome) => {
            outcome.forget_passing(&HashSet::new())?;
            args.report(&outcome, invocation)?;
            Ok(0)
        }
    }
}

/// The lines of the Dockerfile, and the reason.
fn failed_quietly(error: &BuildError, ui: &Ui) -> CliError {
    if let Some(excerpt) = error.excerpt() {
        ui.note(&excerpt);
    }
    CliError::failed(error)
}

/// What the step wrote last, the lines of the Dockerfile, and the reason.
fn failed(error: &BuildError, logs: &Logs, invocation: &Invocation) -> CliError {
    let ui = &invocation.ui;
    if let BuildError::Interrupted { signal } = error {
        let signal = u8::try_from(*signal).unwrap_or(0);
        return CliError::said(Kind::Interrupted(signal));
    }
    if let Some((name, log)) = logs.failure() {
        ui.note("------");
        ui.note(&format!(" > {name}:"));
        log.iter().for_each(|line| ui.note(line));
        ui.note("------");
    }
    if let Some(excerpt) = error.excerpt() {
        ui.note(&excerpt);
    }
    let mut shown = CliError::new(Kind::Failed, error.to_string());
    for hint in error.hints() {
        shown = shown.hint(hint);
    }
    shown
}

pub fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let path_text = path.display();
    std::fs::write(path, text)
        .map_err(|error| CliError::new(Kind::Failed, format!("write {path_text}: {error}")))
}
