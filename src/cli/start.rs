//! `start`.

use super::Invocation;
use super::attachment::{Attachment, chosen_keys};
use super::error::CliError;
use super::error::Kind;
use super::filters::filtered;
use crate::container::LogDriver;
use crate::engine::EngineError;
use crate::engine::request::{PsFilters, StartRequest};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required_unless_present_any = ["all", "filter"], value_name = "CONTAINER")]
    names: Vec<String>,
    /// Start all containers that do not run
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Start those of them that fit (restart-policy=always, should-start-on-boot=true, and what ps takes)
    #[arg(short, long, value_name = "FILTER", conflicts_with = "names")]
    filter: Vec<String>,
    /// Show the output and forward signals
    #[arg(short, long)]
    attach: bool,
    /// Attach standard input
    #[arg(short, long)]
    interactive: bool,
    /// Keys that leave the container running
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
}

impl Args {
    /// Which containers are meant, unless they are named.
    fn filters(&self) -> Result<Option<PsFilters>, CliError> {
        let filters = filtered("-f, --filter", &self.filter, PsFilters::add)?;
        Ok((self.all || !self.filter.is_empty()).then_some(filters))
    }

    fn request(self) -> Result<StartRequest, CliError> {
        let detach_keys = self.detach_keys.as_deref();
        let attach = self.attach || self.interactive;
        if attach && self.names.len() != 1 {
            return Err(CliError::new(
                Kind::Failed,
                "you cannot start and attach multiple containers at once",
            ));
        }
        Ok(StartRequest {
            names: self.names,
            attach,
            interactive: self.interactive,
            detach_keys: detach_keys.map(chosen_keys).transpose()?,
            sig_proxy: true,
        })
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let filters = args.filters()?;
    let mut request = args.request()?;
    let engine = invocation.engine()?;
    if let Some(filters) = filters {
        let stopped = engine.stopped(filters);
        request.names = stopped.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    }
    if !request.attach {
        return invocation.each(&request.names, |name| {
            engine.start(&engine.find(name)?, Default::default())?;
            Ok(Some(name.to_owned()))
        });
    }
    let failed = |error: EngineError| CliError::engine(Kind::Failed, &error);
    let name = request.names.first().map_or("", String::as_str);
    let container = engine.container(name, false).map_err(failed)?;
    let settings = container.record.settings().unwrap_or_default();
    let passthrough = settings.log.driver == LogDriver::Passthrough;
    let attachment = Attachment {
        stdin: request.interactive && container.config.process.open_stdin && !passthrough,
        stdout: true,
        stderr: true,
        tty: container.config.process.tty,
        signal_proxy: request.sig_proxy,
        detach_keys: request.detach_keys,
    };
    let started = engine.start(&container.record, attachment.options());
    attachment.follow(started.map_err(failed)?, &engine, Kind::Failed)
}
