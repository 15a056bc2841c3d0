//! Who the container is: names, labels, the user and groups it runs as. Reads label files; looks nothing else up.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{read, value};
use crate::cli::error::CliError;
use crate::container::GroupConfig;
use crate::engine::request::{CreateRequest, Label, parse_env_file};

#[derive(clap::Args, Debug)]
pub struct IdentityFlags {
    /// Name of the container
    #[arg(long)]
    name: Option<String>,
    /// Host name of the container
    #[arg(short = 'h', long, value_name = "NAME")]
    hostname: Option<String>,
    /// NIS domain name of the container
    #[arg(long, value_name = "NAME")]
    domainname: Option<String>,
    /// User and group, names or numbers (USER[:GROUP])
    #[arg(short, long)]
    user: Option<String>,
    /// Give the program's user an account where the image has none (podman's; --passwd=false for none with keep-id)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    passwd: Option<bool>,
    /// Give a user of the host an account in the container
    #[arg(long, value_name = "USER")]
    hostuser: Vec<String>,
    /// Another group of the program, name or number, or `keep-groups` for those of your own
    #[arg(long, value_name = "GROUP")]
    group_add: Vec<String>,
    /// Set a label (KEY=VALUE)
    #[arg(short, long, value_name = "LABEL")]
    label: Vec<String>,
    /// Read labels from a file
    #[arg(long, value_name = "FILE")]
    label_file: Vec<PathBuf>,
    /// Add an annotation of the runtime specification (KEY=VALUE)
    #[arg(long, value_name = "ANNOTATION")]
    annotation: Vec<String>,
    /// Write the container's id to a file
    #[arg(long, value_name = "FILE")]
    cidfile: Option<PathBuf>,
}

impl IdentityFlags {
    pub fn apply(self, request: &mut CreateRequest) -> Result<(), CliError> {
        request.name = self.name;
        request.hostname = self.hostname;
        request.domainname = self.domainname;
        request.user = self.user;
        request.account = self.passwd;
        request.host_users = self.hostuser;
        request.groups = groups(self.group_add)?;
        request.labels = labels(&self.label_file, &self.label)?;
        request.annotations = annotations(&self.annotation)?;
        request.cidfile = self.cidfile;
        Ok(())
    }
}

const KEEP_GROUPS: &str = "keep-groups";

/// podman's rule: they come from the user whole, or not at all.
fn groups(flags: Vec<String>) -> Result<GroupConfig, CliError> {
    let keep = flags.iter().any(|group| group == KEEP_GROUPS);
    if keep && flags.len() > 1 {
        return Err(CliError::usage(format!(
            "the '--group-add {KEEP_GROUPS}' option is not allowed with any other --group-add options"
        )));
    }
    Ok(GroupConfig {
        add: if keep { Vec::new() } else { flags },
        keep,
    })
}

/// docker's rule: an annotation has a value.
fn annotations(flags: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(CliError::usage(format!(
            "invalid argument {text:?} for \"--annotation\" flag: an annotation is KEY=VALUE"
        ))),
    };
    flags.iter().map(pair).collect()
}

fn labels(files: &[PathBuf], flags: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let mut labels = BTreeMap::new();
    for path in files {
        // docker reads it as a file of variables of which the host has none: a key alone is no label
        let bytes = read("--label-file", path)?;
        let parsed = parse_env_file(&bytes, |_| None).map_err(|error| {
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
