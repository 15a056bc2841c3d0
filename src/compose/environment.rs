//! The variables and labels that services have from files of their own.

use std::path::Path;

use super::ComposeWarning;
use super::error::ComposeError;
use super::model::{EnvFile, Project, Service, Texts, Variables};
use super::sources;
use crate::build::dotenv;
use crate::build::interpolate::Variables as Asked;

/// Reads the `label_file`s of all active services, and their `env_file`s if these are wanted; what the compose file says itself
/// goes before them.
pub fn resolve(
    project: &mut Project,
    with_variables: bool,
    warnings: &mut Vec<ComposeWarning>,
) -> Result<(), ComposeError> {
    for service in project.services.values_mut() {
        if with_variables {
            let own = variables(service, &project.environment, warnings)?;
            for (name, value) in own {
                service.environment.entry(name).or_insert(value);
            }
            service.env_file.clear();
        }
        for (name, value) in labels(service, &project.environment, warnings)? {
            service.labels.entry(name).or_insert(value);
        }
        service.label_file.clear();
    }
    Ok(())
}

fn variables(
    service: &Service,
    environment: &Texts,
    warnings: &mut Vec<ComposeWarning>,
) -> Result<Variables, ComposeError> {
    let mut made = Texts::new();
    for file in &service.env_file {
        let path = Path::new(&file.path);
        if !path.exists() {
            match file.required {
                Some(false) => continue,
                _ => {
                    let path = path.to_owned();
                    return Err(ComposeError::NoServiceEnvFile { path });
                }
            }
        }
        // The service's own variables, then those of the files before, then the host's.
        let own = |name: &str| match service.environment.get(name) {
            Some(value) => value.clone(),
            None => made.get(name).cloned(),
        };
        let lookup = |name: &str| own(name).or_else(|| environment.get(name).cloned());
        let read = read(file, &lookup, warnings)?;
        made.extend(read);
    }
    Ok(made
        .into_iter()
        .map(|(name, value)| (name, Some(value)))
        .collect())
}

fn read(
    file: &EnvFile,
    lookup: &dyn Fn(&str) -> Option<String>,
    warnings: &mut Vec<ComposeWarning>,
) -> Result<Texts, ComposeError> {
    let path = Path::new(&file.path);
    let text = sources::text(path)?;
    match file.format.as_str() {
        "raw" => Ok(raw(&text, lookup)),
        "" => dotenv_of(path, &text, lookup, warnings),
        other => Err(ComposeError::Invalid {
            text: format!("unsupported env_file format {other:?}"),
        }),
    }
}

fn dotenv_of(
    path: &Path,
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    warnings: &mut Vec<ComposeWarning>,
) -> Result<Texts, ComposeError> {
    let unset = std::cell::RefCell::new(Vec::new());
    let asked = Asked {
        lookup,
        unset: &|name| unset.borrow_mut().push(ComposeWarning::unset(name)),
    };
    let read = dotenv::read(text, asked);
    warnings.extend(unset.into_inner());
    read.map_err(|source| ComposeError::Dotenv {
        path: path.to_owned(),
        source,
    })
}

/// As `run --env-file` reads it: nothing is replaced, and quotes are part of a value.
fn raw(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Texts {
    let mut made = Texts::new();
    for line in text.lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once('=') {
            Some((name, value)) => drop(made.insert(name.to_owned(), value.to_owned())),
            None => {
                if let Some(value) = lookup(line) {
                    made.insert(line.to_owned(), value);
                }
            }
        }
    }
    made
}

fn labels(
    service: &Service,
    environment: &Texts,
    warnings: &mut Vec<ComposeWarning>,
) -> Result<Texts, ComposeError> {
    let mut made = Texts::new();
    for file in &service.label_file {
        let path = Path::new(file);
        if !path.exists() {
            return Err(ComposeError::Invalid {
                text: format!("label file {file} not found"),
            });
        }
        let text = sources::text(path)?;
        let lookup = |name: &str| environment.get(name).cloned();
        made.extend(dotenv_of(path, &text, &lookup, warnings)?);
    }
    Ok(made)
}
