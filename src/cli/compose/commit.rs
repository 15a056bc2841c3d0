//! `compose commit`: an image of what a service's container has become.

use super::found;
use super::{Globals, Invocation};
use crate::cli::error::{CliError, Kind};
use crate::compose::report::Phase;
use crate::engine::request::{CommitRequest, ConfigChange, PauseChoice};
use crate::image::Reference;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "SERVICE")]
    service: String,
    /// Name for the image: REPOSITORY[:TAG]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Who made it
    #[arg(short, long, value_name = "AUTHOR")]
    author: Option<String>,
    /// Change a setting by a Dockerfile instruction (CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR)
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Which of the service's containers
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    index: u32,
    /// Say something about the image
    #[arg(short, long)]
    message: Option<String>,
    /// Pause the container meanwhile (default true)
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pause: Option<bool>,
}

impl Args {
    fn request(&self) -> Result<CommitRequest, CliError> {
        let name = self.name.as_deref().map(str::parse::<Reference>);
        let mut changes = Vec::new();
        for text in &self.change {
            let change = ConfigChange::parse(text);
            changes.extend(change.map_err(|error| CliError::failed(&error))?);
        }
        Ok(CommitRequest {
            container: String::new(),
            reference: name.transpose().map_err(|error| CliError::failed(&error))?,
            author: self.author.clone(),
            message: self.message.clone(),
            changes,
            pause: match self.pause {
                Some(false) => PauseChoice::No,
                Some(true) => PauseChoice::Asked,
                None => PauseChoice::Default,
            },
        })
    }
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let mut request = args.request()?;
    let name = globals.name(invocation)?;
    let engine = invocation.engine()?;
    let container = found::running_one(&engine, &name, &args.service, args.index)?;
    let subject = &container.name;
    let what = format!("Commit {subject}");
    let progress = globals.told(&invocation.ui)?;
    let tell = progress.about(subject, &what);
    tell(Phase::Working, "Committing");
    if globals.dry_run {
        tell(Phase::Done, "Committed");
        return Ok(0);
    }
    request.container = container.record.id.to_string();
    let made = engine.commit(&request);
    let made = made.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    for warning in &made.warnings {
        invocation.ui.warning(warning);
    }
    let asked = request.pause == PauseChoice::Asked;
    if let Some(reason) = made.unpaused.filter(|_| asked) {
        let text = format!("container {subject} was not paused: {reason}");
        invocation.ui.warning(&text);
    }
    tell(Phase::Done, &format!("Committed as {}", made.id));
    Ok(0)
}
