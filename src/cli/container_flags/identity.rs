//! Who the container is: names, labels, the user it runs as. Reads label files; looks nothing else up.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{read, value};
use crate::cli::error::CliError;
use crate::engine::request::{CreateRequest, Label, parse_env_file};

#[derive(clap::Args, Debug)]
pub struct IdentityFlags {
    /// Name of the container
    #[arg(long)]
    name: Option<String>,
    /// Host name of the container
    #[arg(short = 'h', long, value_name = "NAME")]
    hostname: Option<String>,
    /// User and group, names or numbers (USER[:GROUP])
    #[arg(short, long)]
    user: Option<String>,
    /// Set a label (KEY=VALUE)
    #[arg(short, long, value_name = "LABEL")]
    label: Vec<String>,
    /// Read labels from a file
    #[arg(long, value_name = "FILE")]
    label_file: Vec<PathBuf>,
    /// Write the container's id to a file
    #[arg(long, value_name = "FILE")]
    cidfile: Option<PathBuf>,
}

impl IdentityFlags {
    pub fn apply(self, request: &mut CreateRequest) -> Result<(), CliError> {
        request.name = self.name;
        request.hostname = self.hostname;
        request.user = self.user;
        request.labels = labels(&self.label_file, &self.label)?;
        request.cidfile = self.cidfile;
        Ok(())
    }
}

fn labels(files: &[PathBuf], flags: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let mut labels = BTreeMap::new();
    for path in files {
        // labels take nothing from the host: a key alone has an empty value
        let bytes = read("--label-file", path)?;
        let parsed = parse_env_file(&bytes, |_| Some(String::new())).map_err(|error| {
            CliError::usage(format!("invalid label file ({}): {error}", path.display()))
        })?;
        labels.extend(
            parsed
                .into_iter()
                .map(|v| (v.name, v.value.unwrap_or_default())),
        );
    }
    for text in flags {
        let label: Label = value("-l, --label", text)?;
        labels.insert(label.key, label.value);
    }
    Ok(labels)
}
