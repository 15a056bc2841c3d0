//! `build`.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::Invocation;
use super::container_flags::{ulimits, value};
use super::error::{CliError, Kind};
use super::progress::Bars;
use super::ui::Ui;
use crate::build::{
    Allows, BuildError, BuildRequest, NamedContext, SecretSource, StepError, build, check,
};
use crate::engine::request::{NetworkMode, PullPolicy, Size};
use crate::engine::{Engine, StoredImage};
use crate::image::{Platform, Reference};
use crate::net::hosts::ExtraHost;
use crate::registry::Silent;

mod call;
mod contexts;
mod logs;
mod output;
mod plain;
mod raw;
mod tree;

use call::{Call, Choice};
use contexts::{Opened, context_at};
use logs::Logs;
use output::Output;
use plain::Plain;
use raw::RawJson;
use tree::Tree;

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
    /// Another place for --from and FROM: NAME=DIRECTORY, NAME=docker-image://IMAGE
    #[arg(long, value_name = "NAME=PLACE")]
    build_context: Vec<String>,
    /// Stage to build, by name or number (default: the last one)
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Label of the image
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// Do every step anew
    #[arg(long)]
    no_cache: bool,
    /// Do the steps of this stage anew
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    no_cache_filter: Vec<String>,
    /// Ask the registry for newer base images
    #[arg(long)]
    pull: bool,
    /// What the image is for (os/arch[/variant]), if not for this host
    #[arg(long)]
    platform: Option<String>,
    /// Network of RUN: default, none, host, pasta
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
    /// Secret of RUN --mount=type=secret: id=NAME[,src=FILE|,env=VARIABLE]
    #[arg(long, value_name = "SECRET")]
    secret: Vec<String>,
    /// Agent's socket for RUN --mount=type=ssh: default, or ID[=SOCKET]
    #[arg(long, value_name = "AGENT")]
    ssh: Vec<String>,
    /// What RUN may do beyond the usual: network.host, security.insecure
    #[arg(long, value_name = "ENTITLEMENT")]
    allow: Vec<String>,
    /// Nothing in the image is newer than this (seconds since 1970)
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH")]
    source_date_epoch: Option<i64>,
    /// Write the image's id to a file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Write what was built to a file, as JSON
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// Print the image's id and nothing else
    #[arg(short, long)]
    quiet: bool,
    /// How progress looks: auto, plain, tty, quiet, rawjson
    #[arg(long, value_name = "KIND", default_value = "auto")]
    progress: String,
    /// Put the image into the store, also where it goes elsewhere
    #[arg(long)]
    load: bool,
    /// Where it goes: DIRECTORY, - (a tar), type=local|tar|oci|docker|image|registry|cacheonly[,dest=PLACE][,name=NAME][,push=BOOL]
    #[arg(short, long, value_name = "OUTPUT")]
    output: Vec<String>,
    /// Push the image to the registries of its names
    #[arg(long)]
    push: bool,
    /// Annotation of the manifest: [manifest:]NAME=VALUE
    #[arg(long, value_name = "NAME=VALUE")]
    annotation: Vec<String>,
    /// Builder to use: there is one, whatever it is called
    #[arg(long, value_name = "NAME")]
    builder: Option<String>,
    /// Only look for what is wrong with the Dockerfile: --call=check
    #[arg(long)]
    check: bool,
    /// What to do: build, check, outline or targets, with format=json as its JSON
    #[arg(long, value_name = "METHOD", default_value = "build")]
    call: String,
    /// Say everything of every warning, and write a line per step of the engine
    #[arg(short = 'D', long)]
    debug: bool,
}

impl Args {
    fn request(&self, opened: &Opened) -> Result<BuildRequest, CliError> {
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
        Ok(BuildRequest {
            dockerfile: opened.dockerfile.clone(),
            dockerfile_name: opened.name.clone(),
            context: opened.context.clone(),
            named_contexts: self.named_contexts()?,
            names: names.collect::<Result<_, _>>()?,
            args: arguments(&self.build_arg)?,
            target: self.target.clone().filter(|target| !target.is_empty()),
            labels: labels(&self.label)?,
            annotations: annotations(&self.annotation)?,
            ignore_cache: self.no_cache,
            ignore_cache_of: self.no_cache_filter.clone(),
            pull: match self.pull {
                true => PullPolicy::Always,
                false => PullPolicy::Missing,
            },
            platform: self
                .platform
                .as_deref()
                .map(|text| value::<Platform>("--platform", text))
                .transpose()?,
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
            secrets: secrets(&self.secret)?,
            agents: agents(&self.ssh)?,
            allows: allows(&self.allow)?,
            epoch: self.source_date_epoch,
        })
    }

    /// The places where it goes; without any the store.
    fn outputs(&self) -> Result<Vec<Output>, CliError> {
        let parsed = self.output.iter();
        let parsed = parsed.map(|text| value::<Output>("--output", text));
        let mut outputs: Vec<Output> = parsed.collect::<Result<_, _>>()?;
        let is_image = |output: &Output| matches!(output, Output::Image { .. });
        if outputs.is_empty() || ((self.load || self.push) && !outputs.iter().any(is_image)) {
            outputs.push(Output::Image {
                names: Vec::new(),
                push: false,
            });
        }
        for output in &mut outputs {
            if let Output::Image { push, names } = output {
                *push |= self.push;
                if *push && names.is_empty() && self.tag.is_empty() {
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

    fn named_contexts(&self) -> Result<BTreeMap<String, NamedContext>, CliError> {
        let mut contexts = BTreeMap::new();
        for text in &self.build_context {
            let (name, place) = pair("--build-context", text)?;
            let context = match place.strip_prefix("docker-image://") {
                Some(image) => NamedContext::Image(image.to_owned()),
                None if place.contains("://") => {
                    return Err(CliError::not_yet(&format!("--build-context {place}")));
                }
                None => NamedContext::Directory(context_at(Path::new(place), None)?),
            };
            contexts.insert(name.to_owned(), context);
        }
        Ok(contexts)
    }
}

/// How progress looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Nothing,
    Plain,
    Tree,
    RawJson,
}

impl Shown {
    fn choose(word: &str, quiet: bool, is_terminal: bool) -> Result<Shown, CliError> {
        Ok(match word {
            "auto" | "plain" | "tty" | "rawjson" if quiet => Shown::Nothing,
            "quiet" => Shown::Nothing,
            "auto" if is_terminal => Shown::Tree,
            "auto" | "plain" => Shown::Plain,
            "tty" if is_terminal => Shown::Tree,
            "tty" => {
                let message = "--progress tty: standard error is no terminal";
                return Err(CliError::new(Kind::Failed, message));
            }
            "rawjson" => Shown::RawJson,
            other => {
                return Err(CliError::usage(format!(
                    "invalid progress mode {other:?}: auto, plain, tty, quiet and rawjson are known"
                )));
            }
        })
    }

    fn build(
        self,
        engine: &Engine,
        request: &BuildRequest,
        logs: &Logs,
        ui: &Ui,
    ) -> Result<StoredImage, BuildError> {
        let bars = Bars::new(ui);
        match self {
            Shown::Tree => {
                let tree = Tree::new(ui, logs);
                let built = build(engine, request, &tree, &bars);
                tree.finish();
                built
            }
            Shown::RawJson => build(engine, request, &RawJson::new(ui, logs), &Silent),
            Shown::Plain => build(engine, request, &Plain::new(ui, logs, false), &bars),
            Shown::Nothing => build(engine, request, &Plain::new(ui, logs, true), &bars),
        }
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let ui = &invocation.ui;
    let shown = Shown::choose(&args.progress, args.quiet, ui.stderr_is_terminal)?;
    let quiet = shown == Shown::Nothing;
    let outputs = args.outputs()?;
    let on_stdout = outputs.iter().any(Output::is_on_stdout);
    if on_stdout && invocation.ui.stdout_is_terminal {
        return Err(CliError::new(
            Kind::Failed,
            "cowardly refusing to write the output to a terminal: name a file with dest= or redirect",
        ));
    }
    let engine = invocation.engine_with(args.debug)?;
    tracing::debug!(builder = ?args.builder, "there is one builder");
    let opened = {
        let bars = Bars::new(ui);
        contexts::open(&engine, &args.context, args.file.as_deref(), &bars)?
    };
    let mut request = args.request(&opened)?;
    let given = std::mem::take(&mut request.names);
    let names = outputs.iter().flat_map(|one| one.store_names(&given));
    request.names = names.cloned().collect();
    let Choice(call) = value("--call", &args.call)?;
    if let Some(call) = args.check.then_some(Call::CHECK).or(call) {
        return call.run(&engine, &request, invocation);
    }
    let checked = check(&engine, &request);
    let checked = checked.map_err(|error| failed_quietly(&error, &invocation.ui))?;
    if let Some(error) = checked.stopped() {
        call::tell(&checked, args.debug, &invocation.ui);
        return Err(failed_quietly(&error, &invocation.ui));
    }
    let is_stored = outputs
        .iter()
        .any(|one| matches!(one, Output::Image { .. }));
    let before = match is_stored {
        true => HashSet::new(),
        false => engine
            .image_ids()
            .map_err(|error| CliError::engine(Kind::Failed, &error))?,
    };
    let logs = Logs::default();
    let built = shown.build(&engine, &request, &logs, ui);
    match shown {
        Shown::Nothing => {}
        Shown::RawJson => RawJson::new(ui, &logs).findings(&checked),
        Shown::Plain | Shown::Tree => call::tell(&checked, args.debug, ui),
    }
    let built = built.map_err(|error| failed(&error, &logs, invocation))?;
    let mut pushed = None;
    let mut written = Ok(());
    for output in &outputs {
        match output.write(&engine, &built, &given, quiet, invocation) {
            Ok(digest) => pushed = digest.or(pushed),
            Err(error) => {
                written = Err(error);
                break;
            }
        }
    }
    if !is_stored && !before.contains(&built.id) {
        let forgotten = engine.forget_unnamed(&built.id);
        forgotten.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    }
    written?;
    if let Some(path) = &args.iidfile {
        write(path, built.id.as_str())?;
    }
    if let Some(path) = &args.metadata_file {
        let names: Vec<String> = given.iter().map(ToString::to_string).collect();
        let metadata = serde_json::json!({
            "containerimage.config.digest": built.id.as_str(),
            "containerimage.digest": pushed.as_ref().unwrap_or(&built.manifest).as_str(),
            "image.name": names.join(","),
        });
        write(path, &format!("{metadata:#}\n"))?;
    }
    if args.quiet && !on_stdout {
        invocation.ui.line(built.id.as_str())?;
    }
    Ok(0)
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
    if let BuildError::Step {
        source: StepError::Exit { .. },
        ..
    } = error
        && logs.failure().is_none()
    {
        shown = shown.hint("bryo build --progress plain");
    }
    shown
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let path_text = path.display();
    std::fs::write(path, text)
        .map_err(|error| CliError::new(Kind::Failed, format!("write {path_text}: {error}")))
}

fn pair<'a>(flag: &str, text: &'a str) -> Result<(&'a str, &'a str), CliError> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| {
            CliError::usage(format!(
                "invalid value {text:?} for {flag}: expected NAME=VALUE"
            ))
        })
}

/// A name alone takes the host's value, and is not given where the host has none.
fn arguments(flags: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let mut arguments = BTreeMap::new();
    for text in flags {
        match text.split_once('=') {
            Some((name, value)) => drop(arguments.insert(name.to_owned(), value.to_owned())),
            None => {
                if let Some(value) = std::env::var_os(text) {
                    arguments.insert(text.clone(), crate::sys::text::from_os(&value));
                }
            }
        }
    }
    if arguments.contains_key("") {
        return Err(CliError::usage(
            "invalid value for --build-arg: it has no name",
        ));
    }
    Ok(arguments)
}

fn labels(flags: &[String]) -> Result<Vec<(String, String)>, CliError> {
    let split = flags.iter().map(|text| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        match name.is_empty() {
            true => Err(CliError::usage(format!(
                "invalid label {text:?}: it has no name"
            ))),
            false => Ok((name.to_owned(), value.to_owned())),
        }
    });
    split.collect()
}

/// Of the manifest; those of an index need one.
fn annotations(flags: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let mut annotations = BTreeMap::new();
    for text in flags {
        let (name, value) = pair("--annotation", text)?;
        let name = match name.split_once(':') {
            None => name,
            Some(("manifest", name)) => name,
            Some((kind @ ("index" | "manifest-descriptor" | "index-descriptor"), _)) => {
                return Err(CliError::not_yet(&format!("build --annotation {kind}:")));
            }
            Some((kind, _)) => {
                let message = format!("unknown annotation type {kind:?}: manifest is known");
                return Err(CliError::usage(message));
            }
        };
        annotations.insert(name.to_owned(), value.to_owned());
    }
    Ok(annotations)
}

/// `id=x,src=FILE`, `id=x,env=VARIABLE`, `id=x`: of the environment, else the file of that name.
fn secrets(flags: &[String]) -> Result<BTreeMap<String, SecretSource>, CliError> {
    let mut secrets = BTreeMap::new();
    for text in flags {
        let (mut id, mut file, mut variable, mut is_variable) = (None, None, None, None);
        for field in text.split(',') {
            let (key, value) = pair("--secret", field)?;
            match key.to_ascii_lowercase().as_str() {
                "id" => id = Some(value.to_owned()),
                "src" | "source" => file = Some(value.to_owned()),
                "env" => variable = Some(value.to_owned()),
                "type" if value == "env" => is_variable = Some(true),
                "type" if value == "file" => is_variable = Some(false),
                _ => {
                    let message = format!(
                        "invalid field {field:?} for --secret: id, src, env and type are known"
                    );
                    return Err(CliError::usage(message));
                }
            }
        }
        let id = id.ok_or_else(|| CliError::usage(format!("--secret {text:?} has no id")))?;
        let source = match (file, variable, is_variable) {
            (None, Some(name), _) | (Some(name), None, Some(true)) => SecretSource::Variable(name),
            (Some(file), None, _) => SecretSource::File(file.into()),
            (None, None, Some(true)) => SecretSource::Variable(id.clone()),
            (None, None, None) if std::env::var_os(&id).is_some() => {
                SecretSource::Variable(id.clone())
            }
            (None, None, _) => SecretSource::File(id.clone().into()),
            (Some(_), Some(_), _) => {
                return Err(CliError::usage(format!(
                    "--secret {text:?} has a file and a variable"
                )));
            }
        };
        secrets.insert(id, source);
    }
    Ok(secrets)
}

fn agents(flags: &[String]) -> Result<BTreeMap<String, PathBuf>, CliError> {
    let mut agents = BTreeMap::new();
    for text in flags {
        let (id, socket) = match text.split_once('=') {
            Some((id, socket)) => (id, Some(PathBuf::from(socket))),
            None => (text.as_str(), None),
        };
        let usual = || std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from);
        let socket = socket.or_else(usual).ok_or_else(|| {
            CliError::usage(format!(
                "--ssh {text}: no agent runs, SSH_AUTH_SOCK is not set"
            ))
        })?;
        if !is_socket(&socket) {
            let path = socket.display();
            return Err(CliError::usage(format!(
                "--ssh {text}: {path} is no socket (keys are not yet supported by bryo: start an agent)"
            )));
        }
        agents.insert(id.to_owned(), socket);
    }
    Ok(agents)
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}

fn allows(flags: &[String]) -> Result<Allows, CliError> {
    let mut allows = Allows::default();
    for text in flags {
        match text.as_str() {
            "network.host" => allows.host_network = true,
            "security.insecure" => allows.insecure = true,
            _ => {
                let message = format!(
                    "invalid entitlement {text:?} for --allow: network.host and security.insecure are known"
                );
                return Err(CliError::usage(message));
            }
        }
    }
    Ok(allows)
}
