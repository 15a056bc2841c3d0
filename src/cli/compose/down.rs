//! `compose down`.

use std::collections::BTreeSet;

use super::Globals;
use super::project::{engine_failed, failed, is_set, known, stop_timeout, timeout};
use crate::cli::Invocation;
use crate::cli::error::CliError;
use crate::compose::execute::{Down, Executor};
use crate::compose::report::{News, Phase};
use crate::engine::EngineError;
use crate::image::RemoveImageError;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Services to take away (default: all, with networks)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Take away the containers of services too that the files do not have
    #[arg(long)]
    remove_orphans: bool,
    /// Remove the images of the services: local (those without a name in the file), all
    #[arg(long, value_name = "WHICH")]
    rmi: Option<String>,
    /// Seconds before a container is killed
    #[arg(short, long, value_name = "SECONDS", allow_hyphen_values = true)]
    timeout: Option<String>,
    /// Remove the volumes too: those of the file, and anonymous ones
    #[arg(short, long)]
    volumes: bool,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let which = match args.rmi.as_deref() {
        None => None,
        Some("all") => Some(true),
        Some("local") => Some(false),
        Some(other) => {
            return Err(CliError::usage(format!(
                "invalid value for --rmi: {other:?}"
            )));
        }
    };
    let project = globals.load_or_named(&args.services, invocation)?;
    known(&project, &args.services)?;
    let engine = invocation.engine()?;
    let progress = globals.told(&invocation.ui)?;
    let executor = globals.executor(&engine, &project, &progress);
    let down = Down {
        services: args.services.clone(),
        volumes: args.volumes,
        orphans: args.remove_orphans || is_set("COMPOSE_REMOVE_ORPHANS"),
        timeout: timeout(args.timeout.as_deref())?.map(|seconds| stop_timeout(Some(seconds))),
    };
    let mut any = executor.down(&down).map_err(failed)?;
    if let Some(all) = which {
        any |= remove_images(&executor, &args.services, all)?;
    }
    if !any {
        let name = &project.name;
        invocation.ui.note(&format!(
            "Warning: No resource found to remove for project {name:?}."
        ));
    }
    Ok(0)
}

/// `all`: also those that the file names.
fn remove_images(
    executor: &Executor<'_>,
    services: &[String],
    all: bool,
) -> Result<bool, CliError> {
    let is_meant = |name: &str| services.is_empty() || services.iter().any(|one| one == name);
    let meant = executor.project.services.iter();
    let meant = meant.filter(|(name, service)| is_meant(name) && (all || service.image.is_empty()));
    let images: BTreeSet<String> = meant.map(|(name, _)| executor.image_name(name)).collect();
    let mut any = false;
    for image in images {
        let subject = format!("Image {image}");
        let tell = |phase, words| {
            executor.report.news(News {
                subject: &subject,
                detail: "",
                phase,
                words,
            });
        };
        if !executor
            .engine
            .image_exists(&image)
            .map_err(engine_failed)?
        {
            tell(Phase::Warning, "No such image");
            continue;
        }
        any = true;
        tell(Phase::Working, "Removing");
        if !executor.dry_run {
            match executor.engine.remove_image(&image, false, true, None) {
                Ok(_) => {}
                Err(EngineError::RemoveImage(error))
                    if matches!(
                        *error,
                        RemoveImageError::NameInUse { .. }
                            | RemoveImageError::Running { .. }
                            | RemoveImageError::Stopped { .. }
                    ) =>
                {
                    tell(Phase::Warning, "Resource is still in use");
                    continue;
                }
                Err(error) => return Err(engine_failed(error)),
            }
        }
        tell(Phase::Done, "Removed");
    }
    Ok(any)
}
