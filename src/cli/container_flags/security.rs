//! What the container may do: capabilities, filters, kernel parameters, limits. Reads seccomp profiles; looks nothing else up.

use std::collections::BTreeMap;

use super::value;
use crate::cli::error::CliError;
use crate::engine::request::{
    CreateRequest, SeccompChoice, SecurityOption, Sysctl, Ulimit, capability_name,
};

#[derive(clap::Args, Debug)]
pub struct SecurityFlags {
    /// Add a capability
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Drop a capability
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// Take the container's guards away, as far as your own rights go
    #[arg(long)]
    privileged: bool,
    /// Security option (no-new-privileges, seccomp=FILE|unconfined, systempaths=unconfined)
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// Set a namespaced kernel parameter (NAME=VALUE)
    #[arg(long, value_name = "SYSCTL")]
    sysctl: Vec<String>,
    /// Set a resource limit (NAME=SOFT[:HARD])
    #[arg(long, value_name = "LIMIT")]
    ulimit: Vec<String>,
}

impl SecurityFlags {
    pub fn apply(self, request: &mut CreateRequest) -> Result<(), CliError> {
        let names = |list: &[String]| list.iter().map(|name| capability_name(name)).collect();
        request.cap_add = names(&self.cap_add);
        request.cap_drop = names(&self.cap_drop);
        request.privileged = self.privileged;
        let options = self.security_opt.iter().map(|option| security(option));
        request.security = options.collect::<Result<_, _>>()?;
        request.sysctls = sysctls(&self.sysctl)?;
        request.ulimits = ulimits(&self.ulimit)?;
        Ok(())
    }
}

/// Reads the profile that `seccomp=FILE` names; that it is JSON is checked here, what it says by the runtime.
fn security(text: &str) -> Result<SecurityOption, CliError> {
    let option = text
        .parse::<SecurityOption>()
        .map_err(|error| CliError::usage(error.to_string()))?;
    let SecurityOption::SeccompFile(path) = option else {
        return Ok(option);
    };
    let profile = std::fs::read_to_string(&path).map_err(|error| {
        CliError::usage(format!("opening seccomp profile ({path}) failed: {error}"))
    })?;
    serde_json::from_str::<serde::de::IgnoredAny>(&profile).map_err(|error| {
        CliError::usage(format!("reading seccomp profile ({path}) failed: {error}"))
    })?;
    Ok(SecurityOption::Seccomp(SeccompChoice::Profile(profile)))
}

fn sysctls(flags: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let mut sysctls = BTreeMap::new();
    for text in flags {
        let sysctl: Sysctl = value("--sysctl", text)?;
        sysctls.insert(sysctl.name, sysctl.value);
    }
    Ok(sysctls)
}

pub fn ulimits(flags: &[String]) -> Result<Vec<Ulimit>, CliError> {
    let mut ulimits: Vec<Ulimit> = Vec::new();
    for text in flags {
        let ulimit: Ulimit = value("--ulimit", text)?;
        ulimits.retain(|known| known.resource != ulimit.resource);
        ulimits.push(ulimit);
    }
    Ok(ulimits)
}
