//! `compose export`: the root filesystem of a service's container as a tar archive.

use std::path::PathBuf;

use super::found::{self, failed};
use super::{Globals, Invocation};
use crate::cli::cp;
use crate::cli::error::CliError;
use crate::compose::report::Phase;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "SERVICE")]
    service: String,
    /// Which of the service's containers
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    index: u32,
    /// Write to a file, not to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let name = globals.name(invocation)?;
    let engine = invocation.engine()?;
    let container = found::running_one(&engine, &name, &args.service, args.index)?;
    let to = args.output.as_deref();
    if to.is_none() && invocation.ui.stdout_is_terminal {
        let hint = format!("bryo compose export -o root.tar {}", args.service);
        return Err(failed("output option is required when exporting to terminal").hint(hint));
    }
    let shown = to.map_or(String::new(), |path| path.display().to_string());
    let subject = &container.name;
    let what = format!("export {subject} to {shown}");
    let progress = globals.told(&invocation.ui)?;
    let tell = progress.about(subject, &what);
    tell(Phase::Working, "Exporting");
    if !globals.dry_run {
        let exported = engine.export(container.record.id.as_str(), to);
        let exported = exported.map_err(|error| cp::failed(&error))?;
        for warning in &exported.warnings {
            invocation.ui.warning(warning);
        }
    }
    if to.is_some() {
        tell(Phase::Done, "Exported");
    }
    Ok(0)
}
