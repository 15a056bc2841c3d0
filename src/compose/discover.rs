//! Which files a command line means, in which directory, with which variables.

use std::path::{Path, PathBuf};

use super::error::ComposeError;
use super::model::Texts;
use super::places::clean;
use super::sources;
use super::{ComposeWarning, Request};
use crate::build::dotenv;
use crate::build::interpolate::Variables;
use crate::config::parse_bool;

/// In the order in which they are looked for.
const NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What is to be read.
#[derive(Debug)]
pub struct Found {
    pub files: Vec<PathBuf>,
    pub directory: PathBuf,
    pub environment: Texts,
    pub profiles: Vec<String>,
    /// From the command line or the environment; the file's `name:` comes after it.
    pub name: Option<String>,
}

/// Looks for everything that a request leaves open.
pub fn discover(
    request: &Request,
    warnings: &mut Vec<ComposeWarning>,
) -> Result<Found, ComposeError> {
    let mut environment = request.environment.clone();
    let here = crate::sys::text::from_os(request.directory.as_os_str());
    environment.entry("PWD".to_owned()).or_insert(here);
    let absolute = |path: &Path| match path.as_os_str() == "-" {
        true => path.to_owned(),
        false => PathBuf::from(clean(&request.directory.join(path))),
    };
    let mut files: Vec<PathBuf> = request.files.iter().map(|path| absolute(path)).collect();
    let given = request.project_directory.as_deref().map(absolute);
    let directory = |files: &[PathBuf]| match (&given, files.first()) {
        (Some(directory), _) => directory.clone(),
        (None, Some(file)) if file.as_os_str() != "-" => {
            file.parent().unwrap_or(Path::new("/")).to_owned()
        }
        _ => request.directory.clone(),
    };
    add_env_files(request, &directory(&files), &mut environment, warnings)?;
    if files.is_empty()
        && let Some(list) = environment
            .get("COMPOSE_FILE")
            .filter(|list| !list.is_empty())
    {
        let separator = environment.get("COMPOSE_PATH_SEPARATOR");
        let separator = separator.filter(|text| !text.is_empty());
        let separator = separator.map_or(":", String::as_str);
        files = list
            .split(separator)
            .map(|path| absolute(Path::new(path)))
            .collect();
    }
    if files.is_empty() {
        files = usual(&directory(&files), warnings).ok_or(ComposeError::NoFile)?;
    }
    local_only(request, &files)?;
    let directory = directory(&files);
    add_env_files(request, &directory, &mut environment, warnings)?;
    let list = |name: &str| {
        let text = environment.get(name).filter(|text| !text.is_empty());
        let parts = text.map(|text| text.split(',').map(|part| part.trim().to_owned()));
        parts.map(Iterator::collect).unwrap_or_default()
    };
    let profiles = match request.profiles.is_empty() {
        true => list("COMPOSE_PROFILES"),
        false => request.profiles.clone(),
    };
    let name = request.project_name.clone().filter(|name| !name.is_empty());
    let name = name.or_else(|| environment.get("COMPOSE_PROJECT_NAME").cloned());
    Ok(Found {
        files,
        directory,
        profiles,
        name: name.filter(|name| !name.is_empty()),
        environment,
    })
}

/// Neither as they were given nor as they were found do files belong to another host.
fn local_only(request: &Request, files: &[PathBuf]) -> Result<(), ComposeError> {
    let mut names = request.files.iter().chain(files);
    let remote = names.find(|path| is_remote(&path.to_string_lossy()));
    match remote {
        Some(path) => Err(ComposeError::Remote {
            name: path.display().to_string(),
        }),
        None => Ok(()),
    }
}

/// docker compose fetches these: whoever writes the file decides what is read, and where to (CVE-2025-62725).
pub fn is_remote(name: &str) -> bool {
    name.starts_with("oci://")
        || name.starts_with("git@")
        || name.starts_with("github.com/")
        || name.contains("://")
        || name.contains(".git#")
        || name.ends_with(".git")
}

/// The files of `--env-file`, or `.env`; what the host says has the say, and of several files the last one.
fn add_env_files(
    request: &Request,
    directory: &Path,
    environment: &mut Texts,
    warnings: &mut Vec<ComposeWarning>,
) -> Result<(), ComposeError> {
    let mut named: Vec<PathBuf> = request.env_files.clone();
    if named.is_empty()
        && let Some(list) = request.environment.get("COMPOSE_ENV_FILES")
    {
        let parts = list.split(',').filter(|part| !part.is_empty());
        named = parts.map(PathBuf::from).collect();
    }
    let mut paths = Vec::new();
    for path in &named {
        let path = request.directory.join(path);
        match path.exists() {
            true => paths.push(path),
            false => return Err(ComposeError::NoEnvFile { path }),
        }
    }
    if named.is_empty() {
        let ignored = environment.get("COMPOSE_DISABLE_ENV_FILE");
        let usual = directory.join(".env");
        if ignored.and_then(|text| parse_bool(text)) != Some(true) && usual.is_file() {
            paths.push(usual);
        }
    }
    let read = env_files(&paths, environment, warnings)?;
    for (name, value) in read {
        environment.entry(name).or_insert(value);
    }
    Ok(())
}

/// What files of variables say, a later one over an earlier one; they see what is known already.
pub fn env_files(
    paths: &[PathBuf],
    known: &Texts,
    warnings: &mut Vec<ComposeWarning>,
) -> Result<Texts, ComposeError> {
    let mut made = Texts::new();
    let unset = std::cell::RefCell::new(Vec::new());
    for path in paths {
        let text = sources::text(path)?;
        let lookup = |name: &str| known.get(name).or_else(|| made.get(name)).cloned();
        let variables = Variables {
            lookup: &lookup,
            unset: &|name| unset.borrow_mut().push(ComposeWarning::unset(name)),
        };
        let read = dotenv::read(&text, variables).map_err(|source| ComposeError::Dotenv {
            path: path.clone(),
            source,
        })?;
        made.extend(read);
    }
    warnings.extend(unset.into_inner());
    Ok(made)
}

/// The usual files of a directory, or of the nearest one above that has them.
fn usual(directory: &Path, warnings: &mut Vec<ComposeWarning>) -> Option<Vec<PathBuf>> {
    let mut found = |directory: &Path, names: &[&str]| {
        let paths = names.iter().map(|name| directory.join(name));
        let paths: Vec<PathBuf> = paths.filter(|path| path.is_file()).collect();
        if let [first, _, ..] = &paths[..] {
            let names = paths.iter().map(|path| path.display().to_string());
            warnings.push(ComposeWarning(format!(
                "Found multiple config files with supported names: {}; using {}",
                names.collect::<Vec<_>>().join(", "),
                first.display()
            )));
        }
        paths.into_iter().next()
    };
    for directory in directory.ancestors() {
        if let Some(first) = found(directory, &NAMES) {
            let mut files = vec![first];
            files.extend(found(directory, &OVERRIDES));
            return Some(files);
        }
    }
    None
}

/// A project's name from a directory's: small letters, digits, `-` and `_`.
pub fn normalized(name: &str) -> String {
    let fits = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let name: String = name.to_lowercase().chars().filter(fits).collect();
    name.trim_start_matches(['-', '_']).to_owned()
}
