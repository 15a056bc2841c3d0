//! `compose wait`: until the containers of services have ended.

use super::found::{self, Which, failed};
use super::{Globals, Invocation, project};
use crate::cli::error::{CliError, Kind};
use crate::compose::Project;
use crate::compose::execute::Down;
use crate::compose::labels::OneOff;
use crate::container::Record;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "SERVICE")]
    services: Vec<String>,
    /// Then stop and remove the project's containers and networks
    #[arg(long)]
    down_project: bool,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let scope = globals.scope(&[], invocation)?;
    let engine = invocation.engine()?;
    let which = Which {
        oneoff: OneOff::Include,
        all: false,
        services: &args.services,
    };
    let found = found::containers(&engine, &scope.name, which)?;
    if found.is_empty() {
        let name = &scope.name;
        return Err(failed(format!("no containers for project {name:?}")));
    }
    let records: Vec<Record> = found.into_iter().map(|found| found.record).collect();
    let (mut last, mut said) = (0, Ok(()));
    let waited = engine.wait_each(&records, |place, code| {
        let id = &records[place].id;
        let line = format!("container \"{id}\" exited with status code {code}");
        last = code;
        said = invocation.ui.line(&line);
        said.is_ok()
    });
    waited.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    said?;
    if args.down_project {
        let project = scope.project.unwrap_or_else(|| Project {
            name: scope.name,
            ..Project::default()
        });
        let progress = globals.told(&invocation.ui)?;
        let down = Down {
            services: Vec::new(),
            volumes: false,
            orphans: true,
            timeout: None,
        };
        let executor = globals.executor(&engine, &project, &progress);
        executor.down(&down).map_err(project::failed)?;
    }
    Ok(last as u8)
}
