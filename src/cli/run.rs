//! `run`.

use super::Invocation;
use super::attachment::{Attachment, chosen_keys};
use super::container_flags::ContainerFlags;
use super::create::image_for;
use super::early::Early;
use super::error::CliError;
use super::error::Kind;
use super::preserved::PreservedFlags;
use crate::engine::request::RunRequest;
use crate::engine::{EngineError, StartOptions};

#[derive(clap::Args, Debug)]
#[command(override_usage = "bryo run [OPTIONS] IMAGE [COMMAND] [ARG...]")]
pub struct Args {
    #[command(flatten)]
    container: ContainerFlags,
    /// Run in the background and print the container's id
    #[arg(short, long)]
    detach: bool,
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    #[command(flatten)]
    preserved: PreservedFlags,
    /// Forward signals to the program
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    sig_proxy: bool,
}

impl Args {
    fn request(self, invocation: &Invocation) -> Result<RunRequest, CliError> {
        let detach_keys = self.detach_keys.as_deref();
        let mut request = RunRequest {
            create: self
                .container
                .request(&invocation.ui)
                .map_err(CliError::for_container)?,
            detach: self.detach,
            sig_proxy: self.sig_proxy,
            detach_keys: detach_keys
                .map(chosen_keys)
                .transpose()
                .map_err(CliError::for_container)?,
        };
        if request.detach && request.create.attach.is_some() {
            return Err(CliError::new(
                Kind::Failed,
                "conflicting options: cannot specify both --attach and --detach",
            ));
        }
        if request.detach {
            request.create.attach = Some(Vec::new());
        }
        Ok(request)
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let preserved = args.preserved.descriptors()?;
    let request = args.request(invocation)?;
    let attachment = Attachment::of(&request)?;
    let (engine, mut called) = match invocation.early.take() {
        Some(Early { engine, called }) => (engine, called),
        None => (invocation.engine()?, None),
    };
    let failed = |error: EngineError| CliError::engine(Kind::Engine, &error);
    let image = match engine.at_hand(&request.create).map_err(failed)? {
        Some(image) => image,
        None => {
            engine.dismiss(&mut called);
            image_for(invocation, &engine, &request.create, Kind::Engine)?
        }
    };
    invocation.warn_of_host(&engine, &image);
    let options = StartOptions {
        preserved,
        ..attachment.options()
    };
    let started = engine.run(&request.create, &image, called, options);
    let (record, started) = started.map_err(failed)?;
    if request.detach {
        invocation.ui.line(record.id.as_str())?;
        return Ok(0);
    }
    attachment.follow(started, &engine, Kind::Engine)
}
