//! `commit`.

use super::Invocation;
use super::error::{CliError, Kind};
use crate::engine::request::{CommitRequest, ConfigChange, PauseChoice};
use crate::image::Reference;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Name for the image: REPOSITORY[:TAG]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Who made it
    #[arg(short, long, value_name = "AUTHOR")]
    author: Option<String>,
    /// Change a setting by a Dockerfile instruction (CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR)
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Say something about the image
    #[arg(short, long)]
    message: Option<String>,
    /// Pause the container meanwhile (default true)
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", overrides_with = "no_pause")]
    pause: Option<bool>,
    /// Do not pause the container meanwhile
    #[arg(long)]
    no_pause: bool,
}

impl Args {
    fn request(self) -> Result<CommitRequest, CliError> {
        let name = self.name.as_deref().map(str::parse::<Reference>);
        let mut changes = Vec::new();
        for text in &self.change {
            let change = ConfigChange::parse(text);
            changes.extend(change.map_err(|error| CliError::failed(&error))?);
        }
        Ok(CommitRequest {
            container: self.container,
            reference: name.transpose().map_err(|error| CliError::failed(&error))?,
            author: self.author,
            message: self.message,
            changes,
            pause: match (self.pause, self.no_pause) {
                (Some(false), _) | (None, true) => PauseChoice::No,
                (Some(true), _) => PauseChoice::Asked,
                (None, false) => PauseChoice::Default,
            },
        })
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = args.request()?;
    let made = invocation.engine()?.commit(&request);
    let made = made.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    for warning in &made.warnings {
        invocation.ui.warning(warning);
    }
    if let Some(reason) = made
        .unpaused
        .filter(|_| request.pause == PauseChoice::Asked)
    {
        let name = &request.container;
        let text = format!("container {name} was not paused: {reason}");
        invocation.ui.warning(&text);
    }
    invocation.ui.line(made.id.as_str())?;
    Ok(0)
}
