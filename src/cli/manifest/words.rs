//! The flags of `manifest add` and `annotate`: what a list says of a manifest.

use std::collections::BTreeMap;

use crate::cli::error::CliError;
use crate::engine::manifests::MemberWords;

#[derive(clap::Args, Debug)]
pub struct Words {
    /// Set the architecture
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,
    /// Set the operating system
    #[arg(long, value_name = "OS")]
    os: Option<String>,
    /// Add features of the operating system
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    os_features: Vec<String>,
    /// Set the operating system's version
    #[arg(long, value_name = "VERSION")]
    os_version: Option<String>,
    /// Set the architecture's variant
    #[arg(long, value_name = "VARIANT")]
    variant: Option<String>,
    /// Set an annotation of the entry
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,
}

impl Words {
    pub fn parsed(self) -> Result<MemberWords, CliError> {
        let mut annotations = BTreeMap::new();
        for text in &self.annotation {
            let Some((key, value)) = text.split_once('=') else {
                return Err(CliError::usage(format!(
                    "invalid argument {text:?} for \"--annotation\" flag: it has the form KEY=VALUE"
                )));
            };
            annotations.insert(key.to_owned(), value.to_owned());
        }
        Ok(MemberWords {
            os: self.os,
            architecture: self.arch,
            os_version: self.os_version,
            os_features: self.os_features,
            variant: self.variant,
            annotations,
        })
    }
}
