//! `compose wait`: until the containers of services have ended.

use super::found::{self, Which, failed};
use super::{Globals, Invocation};
use crate::cli::error::{CliError, Kind};
use crate::compose::labels::OneOff;
use crate::container::Record;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "SERVICE")]
    services: Vec<String>,
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
    said.map(|()| last as u8)
}
