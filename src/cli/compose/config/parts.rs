//! Parts of a project that scripts ask for: names, hashes, variables, one per line.

use std::collections::BTreeSet;

use super::Args;
use crate::cli::compose::Globals;
use crate::cli::error::{CliError, Kind};
use crate::cli::table::align;
use crate::compose::{self, Loaded, Project};

/// The part that the flags ask for, or nothing where they ask for the whole.
pub fn asked(args: &Args, globals: &Globals, loaded: &Loaded) -> Result<Option<String>, CliError> {
    let project = &loaded.project;
    let names = |part: &str, typed: Vec<String>| match args.no_interpolate {
        true => loaded.keys(part),
        false => typed,
    };
    let lines: Vec<String> = if args.service_names {
        names("services", project.services.keys().cloned().collect())
    } else if args.volumes {
        names("volumes", project.volumes.keys().cloned().collect())
    } else if args.networks {
        names("networks", project.networks.keys().cloned().collect())
    } else if args.models {
        let models = project.models.values();
        models.map(|model| model.model.clone()).collect()
    } else if let Some(names) = &args.hash {
        hashes(project, names)?
    } else if args.profiles {
        profiles(project)
    } else if args.images {
        let services = project.services.values();
        let images = services.map(|service| globals.image_of(service, project));
        images.collect()
    } else if args.variables {
        return variables(args, loaded).map(Some);
    } else if args.variables_known {
        let known = project.environment.iter();
        known
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    } else {
        return Ok(None);
    };
    Ok(Some(lines.iter().map(|line| format!("{line}\n")).collect()))
}

fn profiles(project: &Project) -> Vec<String> {
    let services = project.services.values().chain(project.disabled.values());
    let names: BTreeSet<String> = services
        .flat_map(|service| service.profiles.iter().cloned())
        .collect();
    names.into_iter().collect()
}

fn hashes(project: &Project, names: &str) -> Result<Vec<String>, CliError> {
    let mut names: Vec<&str> = match names {
        "*" => project.services.keys().map(String::as_str).collect(),
        names => names.split(',').collect(),
    };
    names.sort_unstable();
    let hashes = names
        .into_iter()
        .map(|name| match project.services.get(name) {
            Some(service) => Ok(format!("{name} {}", compose::hash(service))),
            None => {
                let why = match project.disabled.contains_key(name) {
                    true => "disabled",
                    false => "not found",
                };
                let message = format!("no such service: {name}: {why}");
                Err(CliError::new(Kind::Failed, message))
            }
        });
    hashes.collect()
}

fn variables(args: &Args, loaded: &Loaded) -> Result<String, CliError> {
    let asked = loaded.variables();
    if args.format.as_deref() == Some("json") {
        let objects = asked.into_iter().map(|variable| {
            let object = serde_json::json!({
                "Name": variable.name,
                "DefaultValue": variable.default,
                "PresenceValue": variable.alternative,
                "Required": variable.required,
            });
            (variable.name, object)
        });
        let object = serde_json::Value::Object(objects.collect());
        let mut bytes = Vec::new();
        let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, indent);
        let written = serde::Serialize::serialize(&object, &mut serializer);
        written.map_err(|error| CliError::failed(&error))?;
        return Ok(String::from_utf8_lossy(&bytes).into_owned() + "\n\n");
    }
    let head = ["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    table.extend(asked.into_iter().map(|variable| {
        vec![
            variable.name,
            variable.required.to_string(),
            variable.default,
            variable.alternative,
        ]
    }));
    Ok(align(table))
}
