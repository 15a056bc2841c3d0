//! `compose pull`.

use super::Globals;
use super::images;
use super::project::choose;
use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind};
use crate::compose::model::Service;
use crate::compose::report::{News, Phase, Report};
use crate::engine::request::PullPolicy;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Services whose images are pulled (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Leave out what can be built
    #[arg(long)]
    ignore_buildable: bool,
    /// Pull what can be pulled, and fail for nothing
    #[arg(long)]
    ignore_pull_failures: bool,
    /// Pull also for the services that these need
    #[arg(long)]
    include_deps: bool,
    /// When to ask the registry: missing, always
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// Show nothing of the pulls
    #[arg(short, long)]
    quiet: bool,
}

impl Args {
    /// Nothing: why there is nothing to pull.
    fn policy_of(&self, service: &Service) -> Result<Result<PullPolicy, &'static str>, CliError> {
        if service.image.is_empty() {
            return Ok(Err("No image to be pulled"));
        }
        if service.build.is_some() && self.ignore_buildable {
            return Ok(Err("Image can be built"));
        }
        let said = self.policy.as_deref().unwrap_or(&service.pull_policy);
        Ok(match said {
            "missing" | "if_not_present" => Ok(PullPolicy::Missing),
            "never" | "build" => Err("Skipped"),
            "" | "always" | "daily" | "weekly" => Ok(PullPolicy::Always),
            every if every.starts_with("every_") => Ok(PullPolicy::Always),
            other => {
                return Err(CliError::usage(format!(
                    "invalid --policy option {other:?}: must be \"missing\" or \"always\""
                )));
            }
        })
    }
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let project = globals.load(&args.services, invocation)?;
    let engine = invocation.engine()?;
    let progress = globals.told(&invocation.ui)?;
    let executor = globals.executor(&engine, &project, &progress);
    let chosen = choose(&project, &args.services, args.include_deps)?;
    let mut sought = Vec::new();
    for name in chosen {
        match args.policy_of(&project.services[&name])? {
            Ok(policy) => sought.push((name, policy)),
            Err(words) if !args.quiet => progress.news(News {
                subject: &name,
                detail: "",
                phase: Phase::Warning,
                words,
            }),
            Err(_) => {}
        }
    }
    let pulled = images::pull(&executor, &sought, args.quiet, &progress)?;
    let mut to_build = Vec::new();
    let mut failure = None;
    for (name, error) in pulled.failures {
        if project.services[&name].build.is_some() {
            to_build.push(name);
        } else if args.ignore_pull_failures {
            invocation
                .ui
                .warning(&format!("service {name:?}: {}", error.message));
        } else {
            let message = format!("service {name:?}: {}", error.message);
            failure.get_or_insert(CliError { message, ..error });
        }
    }
    if !to_build.is_empty() {
        let names = to_build.join(" ");
        invocation.ui.warning(&format!(
            "Some service image(s) must be built from source by running: bryo compose build {names}"
        ));
    }
    match failure {
        Some(error) => Err(CliError {
            kind: Kind::Failed,
            ..error
        }),
        None => Ok(0),
    }
}
