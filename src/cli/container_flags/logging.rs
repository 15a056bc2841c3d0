//! Where the output is kept. Looks nothing up; what an option means is for its driver to say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::cli::error::CliError;
use crate::container::{LogDriver, LogDriverError};
use crate::engine::request::CreateRequest;

#[derive(clap::Args, Debug)]
pub struct LoggingFlags {
    /// Where the output is kept: json-file, k8s-file, journald, none, passthrough
    #[arg(long, value_name = "DRIVER")]
    log_driver: Option<String>,
    /// Option of the log driver (NAME=VALUE: max-size, max-file, compress, path, tag, labels, env, ...)
    #[arg(long, value_name = "OPTION")]
    log_opt: Vec<String>,
}

impl LoggingFlags {
    pub fn apply(self, request: &mut CreateRequest) -> Result<(), CliError> {
        // docker takes an empty name for the default
        let named = self.log_driver.as_deref().filter(|name| !name.is_empty());
        let driver = named.map(str::parse::<LogDriver>).transpose();
        request.log_driver = driver.map_err(|error: LogDriverError| CliError::failed(&error))?;
        request.log_options = log_options(&self.log_opt);
        Ok(())
    }
}

/// The last of a name counts. A path is the client's, whose directory the monitor does not know.
pub fn log_options(flags: &[String]) -> BTreeMap<String, String> {
    let directory = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let mut options = BTreeMap::new();
    for text in flags {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let value = match name {
            "path" => directory.join(value).to_string_lossy().into_owned(),
            _ => value.to_owned(),
        };
        options.insert(name.to_owned(), value);
    }
    options
}
