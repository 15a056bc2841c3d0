//! `secret create`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use crate::cli::Invocation;
use crate::cli::container_flags::value;
use crate::cli::error::{CliError, Kind};
use crate::engine::request::{CreateSecretRequest, Label};

/// More is refused anyway; nothing endless is read.
const READ_MAX: u64 = 1 << 20;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "SECRET")]
    name: String,
    /// File with the value, `-` for standard input; with --env the name of a variable
    #[arg(value_name = "FILE")]
    source: PathBuf,
    /// Where it is kept: only `file` exists
    #[arg(short, long, default_value = "file")]
    driver: String,
    /// Take the value from a variable of the environment
    #[arg(long)]
    env: bool,
    /// Set a label (KEY=VALUE)
    #[arg(short, long, value_name = "LABEL")]
    label: Vec<String>,
    /// Replace a secret of this name
    #[arg(long)]
    replace: bool,
}

impl Args {
    fn request(self) -> Result<CreateSecretRequest, CliError> {
        if self.driver != "file" {
            return Err(CliError::usage(format!(
                "invalid secret driver {:?}: only \"file\" exists",
                self.driver
            )));
        }
        let mut labels = BTreeMap::new();
        for text in &self.label {
            let label: Label = value("-l, --label", text)?;
            labels.insert(label.key, label.value);
        }
        Ok(CreateSecretRequest {
            value: self.value()?,
            name: self.name,
            labels,
            replace: self.replace,
        })
    }

    fn value(&self) -> Result<Vec<u8>, CliError> {
        use std::os::unix::ffi::OsStringExt;
        let failed = |error: std::io::Error| {
            let source = self.source.display();
            CliError::new(
                Kind::Failed,
                format!("read the secret from {source}: {error}"),
            )
        };
        if self.env {
            let found = std::env::var_os(&self.source);
            let not_set =
                || CliError::usage(format!("variable {} is not set", self.source.display()));
            return Ok(found.ok_or_else(not_set)?.into_vec());
        }
        let mut bytes = Vec::new();
        let read = match self.source.as_os_str().to_str() {
            Some("-") => std::io::stdin().take(READ_MAX).read_to_end(&mut bytes),
            _ => std::fs::File::open(&self.source)
                .and_then(|file| file.take(READ_MAX).read_to_end(&mut bytes)),
        };
        read.map_err(failed)?;
        Ok(bytes)
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = args.request()?;
    let made = invocation.engine()?.create_secret(request);
    let secret = made.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    invocation.ui.line(&secret.id)?;
    Ok(0)
}
