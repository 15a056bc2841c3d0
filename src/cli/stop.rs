//! `stop`.

use super::Invocation;
use super::container_flags::value;
use super::error::{CliError, Kind};
use super::ui::Ui;
use crate::engine::request::{Signal, StopTimeout};
use crate::engine::{EngineError, Stopped};

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "CONTAINER")]
    names: Vec<String>,
    #[command(flatten)]
    end: EndFlags,
}

// How a program is asked to end, for `stop` and `restart`.
#[derive(clap::Args, Debug)]
pub struct EndFlags {
    /// Signal to send
    #[arg(short, long)]
    signal: Option<String>,
    /// Seconds to wait before killing it (-1: for ever)
    #[arg(
        short,
        long,
        visible_alias = "time",
        value_name = "SECONDS",
        allow_hyphen_values = true
    )]
    timeout: Option<String>,
}

impl EndFlags {
    /// None: the container's own stop signal.
    pub fn parse(&self) -> Result<(Option<Signal>, StopTimeout), CliError> {
        let signal = self.signal.as_deref();
        let signal: Result<Option<Signal>, _> = signal.map(str::parse).transpose();
        let signal = signal.map_err(|error| CliError::failed(&error))?;
        let timeout = self.timeout.as_deref();
        let timeout: Option<i32> = timeout
            .map(|text| value("-t, --timeout", text))
            .transpose()?;
        let timeout = match timeout.map(u32::try_from) {
            None => StopTimeout::Default,
            Some(Ok(seconds)) => StopTimeout::Seconds(seconds),
            Some(Err(_)) => StopTimeout::Forever,
        };
        Ok((signal, timeout))
    }
}

/// Says why a program was not given its time.
pub fn note(ui: &Ui, name: &str, how: Stopped) {
    if let Stopped::Deaf(signal) = how {
        ui.note(&format!(
            "{name}: its program has no handler for {signal}, so it was killed at once"
        ));
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let (signal, timeout) = args.end.parse()?;
    let engine = invocation.engine()?;
    let mut failed = false;
    let mut fail = |error: &EngineError| {
        let error = CliError::engine(Kind::Failed, error);
        invocation.ui.error(&error);
        failed = true;
    };
    let (mut names, mut records) = (Vec::new(), Vec::new());
    for name in &args.names {
        match engine.find(name) {
            Ok(record) => {
                names.push(name);
                records.push(record);
            }
            Err(error) => fail(&error),
        }
    }
    let mut closed = Ok(());
    let stopped = engine.stop_all(records, signal, timeout, |index, how| {
        let name = names[index];
        match how {
            Err(error) => return fail(&error),
            Ok(how) => note(&invocation.ui, name, how),
        }
        if closed.is_ok() {
            closed = invocation.ui.line(name);
        }
    });
    stopped.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    closed?;
    match failed {
        true => Err(CliError::said(Kind::Failed)),
        false => Ok(0),
    }
}
