//! `compose push`.

use super::Globals;
use super::project::{choose, engine_failed};
use crate::cli::Invocation;
use crate::cli::error::{CliError, chain};
use crate::cli::progress::Bars;
use crate::compose::report::{News, Phase, Report};
use crate::engine::push::PushRequest;
use crate::image::{Reference, ReferenceError};
use crate::registry::PushOptions;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Services whose images are pushed (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Push what can be pushed, and fail for nothing
    #[arg(long)]
    ignore_push_failures: bool,
    /// Push also those of the services that these need
    #[arg(long)]
    include_deps: bool,
    /// Show nothing of the pushes
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let project = globals.load(&args.services, invocation)?;
    let engine = invocation.engine()?;
    let progress = globals.told(&invocation.ui)?;
    let bars = Bars::new(&invocation.ui);
    let shown = bars.unless(args.quiet);
    let tell = |subject: &str, phase, words: &str| {
        if !args.quiet {
            progress.news(News {
                subject,
                detail: "",
                phase,
                words,
            });
        }
    };
    for name in choose(&project, &args.services, args.include_deps)? {
        let service = &project.services[&name];
        // What was not built here is nobody's to push.
        let Some(build) = service.build.as_ref().filter(|_| !service.image.is_empty()) else {
            tell(&name, Phase::Warning, "Skipped");
            continue;
        };
        for image in std::iter::once(&service.image).chain(&build.tags) {
            tell(&name, Phase::Working, "Pushing");
            let target: Result<Reference, ReferenceError> = image.parse();
            let request = PushRequest {
                image: image.clone(),
                target: target.map_err(|error| CliError::failed(&error))?,
                options: PushOptions::default(),
                platform: None,
                manifest: None,
            };
            if globals.dry_run {
                tell(&name, Phase::Done, "Pushed");
                continue;
            }
            match engine.push(&request, shown) {
                Ok(_) => tell(&name, Phase::Done, "Pushed"),
                Err(error) if args.ignore_push_failures => {
                    let words = chain(&error);
                    invocation.ui.warning(&format!("service {name:?}: {words}"));
                }
                Err(error) => {
                    tell(&name, Phase::Failed, "Error");
                    let error = engine_failed(error);
                    return Err(CliError {
                        message: format!("service {name:?}: {}", error.message),
                        ..error
                    });
                }
            }
        }
    }
    Ok(0)
}
