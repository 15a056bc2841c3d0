//! `compose build`, and the builds of other verbs: each service's `build:` is a target of `bake`, built as `build` would.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::Globals;
use super::project::{choose, failed};
use crate::build::bake::{Entry, Target};
use crate::cli::Invocation;
use crate::cli::build::shared::Shared;
use crate::cli::build::{self, OfTarget, Performed, perform};
use crate::cli::error::{CliError, Kind};
use crate::compose::execute::{ExecuteError, Executor};
use crate::compose::model::{Build, Service, Ulimit};
use crate::compose::order::in_steps;
use crate::compose::report::{News, Phase};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Services to build (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Value of an ARG: NAME=VALUE, or NAME for the host's variable
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,
    /// Builder to use: there is one, whatever it is called
    #[arg(long, value_name = "NAME")]
    builder: Option<String>,
    /// Only look for what is wrong with the Dockerfiles
    #[arg(long)]
    check: bool,
    /// Do every step anew
    #[arg(long)]
    no_cache: bool,
    /// Show what would be built, as a bake file, and build nothing
    #[arg(long)]
    print: bool,
    /// Say where the images came from: true, false, mode=min, mode=max
    #[arg(long, value_name = "BOOL|FIELDS", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    provenance: Option<String>,
    /// Ask the registry for newer base images
    #[arg(long)]
    pull: bool,
    /// Push the images to the registries of their names
    #[arg(long)]
    push: bool,
    /// Show nothing of the builds
    #[arg(short, long)]
    quiet: bool,
    /// Say what is installed in the images: true, false
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    sbom: Option<String>,
    /// Agent for RUN --mount=type=ssh: default, ID[=SOCKET]
    #[arg(long, value_name = "AGENT")]
    ssh: Vec<String>,
    /// Build also the services that these depend on
    #[arg(long)]
    with_dependencies: bool,
}

/// What is said of all builds.
#[derive(Clone, Debug, Default)]
pub struct BuildWords {
    pub args: Vec<String>,
    pub builder: Option<String>,
    pub check: bool,
    pub no_cache: bool,
    pub provenance: Option<String>,
    pub pull: bool,
    pub push: bool,
    pub quiet: bool,
    pub sbom: Option<String>,
    pub ssh: Vec<String>,
}

impl BuildWords {
    fn shared(&self, build: &Build) -> Shared {
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Shared {
            no_cache: self.no_cache,
            pull: self.pull,
            // The file is the user's own, and says itself what it wants.
            allow: build.entitlements.clone(),
            metadata_file: None,
            progress: if self.quiet { "quiet" } else { "auto" }.to_owned(),
            load: true,
            push: self.push,
            sbom: self.sbom.clone().or_else(|| said(&build.sbom)),
            provenance: self.provenance.clone().or_else(|| said(&build.provenance)),
            builder: self.builder.clone(),
            check: self.check,
            call: None,
            debug: false,
        }
    }
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let project = globals.load(&args.services, invocation)?;
    let engine = invocation.engine()?;
    let progress = globals.told(&invocation.ui)?;
    let executor = globals.executor(&engine, &project, &progress);
    let chosen = choose(&project, &args.services, args.with_dependencies)?;
    let can_build = |name: &String| project.services[name].build.is_some();
    let built: Vec<String> = chosen.into_iter().filter(can_build).collect();
    let words = BuildWords {
        args: args.build_arg.clone(),
        builder: args.builder.clone(),
        check: args.check,
        no_cache: args.no_cache,
        provenance: args.provenance.clone(),
        pull: args.pull,
        push: args.push,
        quiet: args.quiet || progress.is_quiet(),
        sbom: args.sbom.clone(),
        ssh: args.ssh.clone(),
    };
    if args.print {
        let shown = print(&executor, &built, &words)?;
        invocation.ui.result(&format!("{shown:#}\n"))?;
        return Ok(0);
    }
    if built.is_empty() {
        invocation.ui.warning("No services to build");
    }
    build_services(&executor, &built, &words, invocation)
}

fn print(executor: &Executor<'_>, names: &[String], words: &BuildWords) -> Result<Value, CliError> {
    let mut targets = Map::new();
    for name in names {
        let target = target(executor, &executor.project.services[name], words)?;
        let target = serde_json::to_value(target).map_err(|error| CliError::failed(&error))?;
        targets.insert(name.clone(), target);
    }
    Ok(json!({"group": {"default": {"targets": names}}, "target": targets}))
}

/// One after the other, as each already uses all there is; what one has as a context comes before it.
pub fn build_services(
    executor: &Executor<'_>,
    names: &[String],
    words: &BuildWords,
    invocation: &Invocation,
) -> Result<u8, CliError> {
    let mut images: BTreeMap<String, OfTarget> = BTreeMap::new();
    let mut code = 0;
    for name in in_order(executor, names)? {
        let service = &executor.project.services[&name];
        let subject = executor.image_name(&name);
        executor.report.news(News {
            subject: &subject,
            detail: "",
            phase: Phase::Working,
            words: "Building",
        });
        if !executor.dry_run {
            let mut target = target(executor, service, words)?;
            let mut of_targets = BTreeMap::new();
            for (context, other) in links(service) {
                target.contexts.remove(&context);
                if let Some(built) = images.get(&other) {
                    of_targets.insert(context, built.clone());
                }
            }
            let build = service
                .build
                .as_ref()
                .expect("only such services are built");
            let flags =
                build::Args::of_target(&target, (of_targets, None), (None, words.shared(build)));
            let performed = perform(&flags, invocation).map_err(|error| CliError {
                message: format!("service {name:?}: build: {}", error.message),
                ..error
            })?;
            match performed {
                Performed::Called(one) => {
                    code = code.max(one);
                    continue;
                }
                Performed::Built(outcome) => {
                    images.insert(name.clone(), outcome.by_platform());
                    let kept = outcome.kept().iter().cloned().collect();
                    outcome.forget_passing(&kept)?;
                }
            }
        }
        executor.report.news(News {
            subject: &subject,
            detail: "",
            phase: Phase::Done,
            words: "Built",
        });
    }
    Ok(code)
}

/// Contexts that are other services' images: what they are called, and the service.
fn links(service: &Service) -> Vec<(String, String)> {
    let contexts = service
        .build
        .iter()
        .flat_map(|build| &build.additional_contexts);
    let links = contexts.filter_map(|(name, place)| {
        let other = place.strip_prefix("service:")?;
        Some((name.clone(), other.to_owned()))
    });
    links.collect()
}

/// With those whose images they are built on.
fn in_order(executor: &Executor<'_>, names: &[String]) -> Result<Vec<String>, CliError> {
    let services = &executor.project.services;
    let mut all: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut waiting: Vec<&str> = names.iter().map(String::as_str).collect();
    while let Some(name) = waiting.pop() {
        let Some((name, service)) = services.get_key_value(name) else {
            let name = name.to_owned();
            return Err(failed(ExecuteError::NoService { name }));
        };
        if all.contains_key(name.as_str()) {
            continue;
        }
        let needed = links(service).into_iter().map(|(_, other)| other);
        let needed: BTreeSet<String> = needed.collect();
        for other in &needed {
            match services.get_key_value(other) {
                Some((other, found)) if found.build.is_some() => waiting.push(other),
                _ => {
                    let message = format!(
                        "service {name:?}: build: additional_contexts: service {other:?} has no build"
                    );
                    return Err(CliError::new(Kind::Failed, message));
                }
            }
        }
        all.insert(name, needed);
    }
    let steps = in_steps(all).map_err(|names| failed(ExecuteError::Circle { names }))?;
    Ok(steps.into_iter().flatten().collect())
}

/// A directory of the project's, or whatever else a context may be.
fn place(executor: &Executor<'_>, text: &str) -> String {
    let is_elsewhere =
        text.contains("://") || text.starts_with("git@") || text.starts_with("github.com/");
    match is_elsewhere {
        true => text.to_owned(),
        false => {
            let path = executor.project.working_dir.join(text);
            path.to_string_lossy().into_owned()
        }
    }
}

fn target(
    executor: &Executor<'_>,
    service: &Service,
    words: &BuildWords,
) -> Result<Target, CliError> {
    let build = service.build.as_deref().cloned().unwrap_or_default();
    let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut args = build.args.clone();
    for text in &words.args {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (
                text.as_str(),
                executor.project.environment.get(text).cloned(),
            ),
        };
        args.insert(name.to_owned(), value);
    }
    let mut tags = vec![executor.image_name(&service.name)];
    tags.extend(build.tags.iter().cloned());
    let hosts = build.extra_hosts.iter().filter_map(|text| {
        let (name, address) = text.split_once('=').or_else(|| text.split_once(':'))?;
        Some((name.to_owned(), Some(address.to_owned())))
    });
    let contexts = build.additional_contexts.iter().map(|(name, text)| {
        let is_named = text.starts_with("service:") || text.starts_with("docker-image:");
        let place = if is_named {
            text.clone()
        } else {
            place(executor, text)
        };
        (name.clone(), place)
    });
    let ulimits = build.ulimits.iter().map(|(name, limit)| match limit {
        Ulimit::Single(both) => format!("{name}={both}"),
        Ulimit::Both { soft, hard } => format!("{name}={soft}:{hard}"),
    });
    let labels = build.labels.iter();
    let ssh = build.ssh.iter().chain(&words.ssh);
    let platforms = match (build.platforms.as_slice(), service.platform.as_str()) {
        ([], "") => Vec::new(),
        ([], one) => vec![one.to_owned()],
        (several, _) => several.to_vec(),
    };
    if build.privileged {
        let message = format!(
            "service {:?}: build: privileged: a step of a build has no more rights than you; entitlements: [security.insecure] takes its guards away",
            service.name
        );
        return Err(CliError::new(Kind::Unsupported, message));
    }
    Ok(Target {
        context: Some(place(executor, &build.context)),
        contexts: contexts.collect(),
        dockerfile: said(&build.dockerfile),
        dockerfile_inline: said(&build.dockerfile_inline),
        args: args.into_iter().collect(),
        labels: labels
            .map(|(name, value)| (name.clone(), Some(value.clone())))
            .collect(),
        tags,
        cache_from: build
            .cache_from
            .iter()
            .map(|text| Entry::cache(text))
            .collect(),
        cache_to: build
            .cache_to
            .iter()
            .map(|text| Entry::cache(text))
            .collect(),
        target: said(&build.target),
        secret: secrets(executor, &build)?,
        ssh: ssh.map(|text| Entry::agent(text)).collect(),
        platforms,
        pull: build.pull.then_some(true),
        no_cache: build.no_cache.then_some(true),
        network: said(&build.network),
        shm_size: (build.shm_size.0 > 0).then(|| build.shm_size.0.to_string()),
        ulimits: ulimits.collect(),
        entitlements: build.entitlements.clone(),
        extra_hosts: hosts.collect(),
        ..Target::default()
    })
}

fn secrets(executor: &Executor<'_>, build: &Build) -> Result<Vec<Entry>, CliError> {
    let mut entries = Vec::new();
    for wanted in &build.secrets {
        let name = &wanted.source;
        let undefined = || {
            let message = format!("build: secrets: undefined secret {name:?}");
            CliError::new(Kind::Failed, message)
        };
        let object = executor.project.secrets.get(name).ok_or_else(undefined)?;
        let id = match wanted.target.as_str() {
            "" => name,
            target => target,
        };
        let entry = match (object.file.as_str(), object.environment.as_str()) {
            ("", "") => {
                let message = format!(
                    "build: secrets: {name:?} is neither a file nor a variable, which a build could take"
                );
                return Err(CliError::new(Kind::Unsupported, message));
            }
            ("", variable) => Entry::of(&[("id", id), ("env", variable)]),
            (file, _) => {
                let path = executor.project.working_dir.join(file);
                Entry::of(&[("id", id), ("src", &path.to_string_lossy())])
            }
        };
        entries.push(entry);
    }
    Ok(entries)
}
