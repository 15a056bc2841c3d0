//! `compose cp`: files between the containers of a service and the host.

use std::path::Path;

use super::found::{self, Which, failed};
use super::{Globals, Invocation};
use crate::cli::container_flags::any_bytes;
use crate::cli::cp;
use crate::cli::error::CliError;
use crate::compose::labels::OneOff;
use crate::compose::report::Phase;
use crate::engine::request::{CopyError, CopyRequest, CopyWay};
use crate::engine::{Engine, ListedContainer};
use crate::sys::text;

#[derive(clap::Args, Debug)]
#[command(
    override_usage = "bryo compose cp [OPTIONS] SERVICE:SRC_PATH DEST_PATH|-\n       bryo compose cp [OPTIONS] SRC_PATH|- SERVICE:DEST_PATH"
)]
pub struct Args {
    /// SERVICE:PATH, a path of the host, or `-` for a tar archive on standard input
    #[arg(value_name = "SOURCE", value_parser = any_bytes())]
    source: String,
    /// SERVICE:PATH, a path of the host, or `-` for a tar archive on standard output
    #[arg(value_name = "DESTINATION", value_parser = any_bytes())]
    destination: String,
    /// Also to or from containers of `run`
    #[arg(long)]
    all: bool,
    /// Keep the owners of files
    #[arg(short, long)]
    archive: bool,
    /// Copy what the symlink SOURCE stands for
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Which of the service's containers
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    index: u32,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let way = CopyWay::parse(&args.source, &args.destination).map_err(|error| match error {
        CopyError::TwoContainers => failed("copying between services is not supported"),
        CopyError::NoContainer => failed("unknown copy direction"),
        other => CliError::failed(&other),
    })?;
    let name = globals.name(invocation)?;
    let engine = invocation.engine()?;
    let (CopyWay::In {
        container: service, ..
    }
    | CopyWay::Out {
        container: service, ..
    }) = &way;
    let mut targets = targets(args, &engine, &name, service)?;
    match &way {
        CopyWay::Out { to, .. } => {
            if to.is_none() && invocation.ui.stdout_is_terminal {
                return Err(failed(
                    "cowardly refusing to write an archive to a terminal",
                ));
            }
            targets.truncate(1);
        }
        CopyWay::In { from: None, .. } if targets.len() > 1 => {
            return Err(failed(format!(
                "standard input can be copied to one container only, and service {service:?} has {}: choose one by --index",
                targets.len()
            )));
        }
        CopyWay::In { .. } => {}
    }
    for container in &targets {
        copy(args, &way, container, &engine, globals, invocation)?;
    }
    Ok(0)
}

fn targets(
    args: &Args,
    engine: &Engine,
    project: &str,
    service: &String,
) -> Result<Vec<ListedContainer>, CliError> {
    let mut which = Which {
        oneoff: OneOff::Exclude,
        all: true,
        services: std::slice::from_ref(service),
    };
    if args.index > 0 {
        return Ok(vec![found::one(engine, project, which, args.index)?]);
    }
    if args.all {
        which.oneoff = OneOff::Include;
    }
    let found = found::containers(engine, project, which)?;
    match found.is_empty() {
        true => Err(failed(format!(
            "no container found for service {service:?}"
        ))),
        false => Ok(found),
    }
}

fn copy(
    args: &Args,
    way: &CopyWay,
    container: &ListedContainer,
    engine: &Engine,
    globals: &Globals,
    invocation: &Invocation,
) -> Result<(), CliError> {
    let id = container.record.id.to_string();
    let (way, what) = of_one(way, id, &container.name);
    let what = format!("copy {what}");
    let progress = globals.told(&invocation.ui)?;
    let tell = progress.about(&container.name, &what);
    tell(Phase::Working, "Copying");
    if !globals.dry_run {
        let request = CopyRequest {
            way,
            archive: args.archive,
            follow_link: args.follow_link,
        };
        let copied = engine.copy(&request).map_err(|error| cp::failed(&error))?;
        for warning in &copied.warnings {
            invocation.ui.warning(warning);
        }
    }
    tell(Phase::Done, "Copied");
    Ok(())
}

/// The same copy of one container, and docker's words for it.
fn of_one(way: &CopyWay, id: String, name: &str) -> (CopyWay, String) {
    let host = |path: Option<&Path>| path.map_or("-".to_owned(), |path| path.display().to_string());
    let mut way = way.clone();
    let what = match &mut way {
        CopyWay::Out {
            container,
            path,
            to,
        } => {
            *container = id;
            format!("{name}:{} to {}", text::shown(path), host(to.as_deref()))
        }
        CopyWay::In {
            from,
            container,
            path,
        } => {
            *container = id;
            format!("{} to {name}:{}", host(from.as_deref()), text::shown(path))
        }
    };
    (way, what)
}
