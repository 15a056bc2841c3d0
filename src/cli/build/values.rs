//! The values of `build`'s flags that have a grammar of their own. Pure, but for the environment.

use crate::build::{Allows, SecretSource};
use crate::cli::error::{CliError, Kind};
use std::collections::BTreeMap;

pub fn pair<'a>(flag: &str, text: &'a str) -> Result<(&'a str, &'a str), CliError> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| {
            CliError::usage(format!(
                "invalid value {text:?} for {flag}: expected NAME=VALUE"
            ))
        })
}

/// A name alone takes the host's value, and is not given where the host has none.
pub fn arguments(flags: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let mut arguments = BTreeMap::new();
    for text in flags {
        match text.split_once('=') {
            Some((name, value)) => drop(arguments.insert(name.to_owned(), value.to_owned())),
            None => {
                if let Some(value) = std::env::var_os(text) {
                    arguments.insert(text.clone(), crate::sys::text::from_os(&value));
                }
            }
        }
    }
    if arguments.contains_key("") {
        return Err(CliError::usage(
            "invalid value for --build-arg: it has no name",
        ));
    }
    Ok(arguments)
}

/// `SOURCE_DATE_EPOCH`
pub fn epoch(text: &str) -> Result<i64, CliError> {
    text.parse().map_err(|_| {
        CliError::usage(format!(
            "invalid SOURCE_DATE_EPOCH {text}: seconds since 1970 are expected"
        ))
    })
}

pub fn labels(flags: &[String]) -> Result<Vec<(String, String)>, CliError> {
    let split = flags.iter().map(|text| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        match name.is_empty() {
            true => Err(CliError::usage(format!(
                "invalid label {text:?}: it has no name"
            ))),
            false => Ok((name.to_owned(), value.to_owned())),
        }
    });
    split.collect()
}

/// `id=x,src=FILE`, `id=x,env=VARIABLE`, `id=x`: of the environment, else the file of that name.
pub fn secrets(flags: &[String]) -> Result<BTreeMap<String, SecretSource>, CliError> {
    let mut secrets = BTreeMap::new();
    for text in flags {
        let (mut id, mut file, mut variable, mut is_variable) = (None, None, None, None);
        for field in text.split(',') {
            let (key, value) = pair("--secret", field)?;
            match key.to_ascii_lowercase().as_str() {
                "id" => id = Some(value.to_owned()),
                "src" | "source" => file = Some(value.to_owned()),
                "env" => variable = Some(value.to_owned()),
                "type" if value == "env" => is_variable = Some(true),
                "type" if value == "file" => is_variable = Some(false),
                _ => {
                    let message = format!(
                        "invalid field {field:?} for --secret: id, src, env and type are known"
                    );
                    return Err(CliError::usage(message));
                }
            }
        }
        let id = id.ok_or_else(|| CliError::usage(format!("--secret {text:?} has no id")))?;
        let source = match (file, variable, is_variable) {
            (None, Some(name), _) | (Some(name), None, Some(true)) => SecretSource::Variable(name),
            (Some(file), None, _) => SecretSource::File(file.into()),
            (None, None, Some(true)) => SecretSource::Variable(id.clone()),
            (None, None, None) if std::env::var_os(&id).is_some() => {
                SecretSource::Variable(id.clone())
            }
            (None, None, _) => SecretSource::File(id.clone().into()),
            (Some(_), Some(_), _) => {
                return Err(CliError::usage(format!(
                    "--secret {text:?} has a file and a variable"
                )));
            }
        };
        if let SecretSource::File(path) = &source {
            // Who asks for it may do without, and would not tell.
            std::fs::metadata(path).map_err(|error| {
                let message = format!("--secret {text:?}: stat {}: {error}", path.display());
                CliError::new(Kind::Failed, message)
            })?;
        }
        secrets.insert(id, source);
    }
    Ok(secrets)
}

pub fn allows(flags: &[String]) -> Result<Allows, CliError> {
    let mut allows = Allows::default();
    for text in flags {
        match text.as_str() {
            "network.host" => allows.host_network = true,
            "security.insecure" => allows.insecure = true,
            "device" => allows.devices = true,
            text if text.starts_with("device=") => allows.device_names.push(text[7..].to_owned()),
            _ => {
                let message = format!(
                    "invalid entitlement {text:?} for --allow: network.host, security.insecure and device[=NAME] are known"
                );
                return Err(CliError::usage(message));
            }
        }
    }
    Ok(allows)
}
