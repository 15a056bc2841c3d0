//! Lock files of languages: what a build has pinned. Pure.

use serde_json::Value;

use super::{Package, purl};

/// Dependencies of dependencies, in npm's first form.
const DEPTH: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lock {
    Npm,
    Cargo,
    Requirements,
    Poetry,
    GoSum,
    GoMod,
    Gem,
    Composer,
}

pub(super) fn kind(name: &str) -> Option<Lock> {
    Some(match name {
        "package-lock.json" | "npm-shrinkwrap.json" => Lock::Npm,
        "Cargo.lock" => Lock::Cargo,
        "requirements.txt" => Lock::Requirements,
        "poetry.lock" => Lock::Poetry,
        "go.sum" => Lock::GoSum,
        "go.mod" => Lock::GoMod,
        "Gemfile.lock" => Lock::Gem,
        "composer.lock" => Lock::Composer,
        _ => return None,
    })
}

fn package(kind: &str, name: &str, version: &str, license: &str) -> Package {
    Package {
        name: name.to_owned(),
        version: version.to_owned(),
        purl: purl(kind, name, version, &[]),
        license: license.to_owned(),
        supplier: String::new(),
        found_in: String::new(),
    }
}

impl Lock {
    /// None: it is not what its name says.
    pub fn read(self, text: &str) -> Option<Vec<Package>> {
        match self {
            Lock::Npm => npm(text),
            Lock::Cargo => pinned(text, "cargo", str::to_owned),
            Lock::Poetry => pinned(text, "pypi", python_name),
            Lock::Requirements => Some(requirements(text)),
            Lock::GoSum => Some(go_sum(text)),
            Lock::GoMod => Some(go_mod(text)),
            Lock::Gem => Some(gems(text)),
            Lock::Composer => composer(text),
        }
    }
}

fn npm(text: &str) -> Option<Vec<Package>> {
    let document: Value = serde_json::from_str(text).ok()?;
    let mut found = Vec::new();
    match document["packages"].as_object() {
        Some(packages) => {
            for (path, one) in packages {
                let Some((_, name)) = path.rsplit_once("node_modules/") else {
                    continue;
                };
                let name = one["name"].as_str().unwrap_or(name);
                let license = one["license"].as_str().unwrap_or_default();
                if let Some(version) = one["version"].as_str() {
                    found.push(package("npm", name, version, license));
                }
            }
        }
        None => dependencies(&document, 0, &mut found),
    }
    Some(found)
}

fn dependencies(document: &Value, depth: usize, found: &mut Vec<Package>) {
    let listed = document["dependencies"].as_object();
    for (name, one) in listed.into_iter().flatten() {
        if let Some(version) = one["version"].as_str() {
            found.push(package("npm", name, version, ""));
        }
        if depth < DEPTH {
            dependencies(one, depth + 1, found);
        }
    }
}

/// `[[package]]` tables of TOML.
fn pinned(text: &str, kind: &str, named: fn(&str) -> String) -> Option<Vec<Package>> {
    let document: toml::Table = text.parse().ok()?;
    let packages = document.get("package").and_then(toml::Value::as_array);
    let packages = packages.into_iter().flatten().filter_map(|one| {
        let name = one.get("name")?.as_str()?;
        let version = one.get("version")?.as_str()?;
        Some(package(kind, &named(name), version, ""))
    });
    Some(packages.collect())
}

/// As the index of Python's packages compares them.
fn python_name(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '.'], "-")
}

/// Only what is pinned to one version.
fn requirements(text: &str) -> Vec<Package> {
    let lines = text
        .lines()
        .map(|line| line.split(['#', ';']).next().unwrap_or_default());
    let pinned = lines.filter_map(|line| {
        let (name, version) = line.trim().split_once("==")?;
        let name = name.split('[').next().unwrap_or(name).trim();
        let version = version.trim_start_matches('=').split_whitespace().next()?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let one = !name.is_empty() && name.chars().all(is_name) && !version.contains(['*', ',']);
        one.then(|| package("pypi", &python_name(name), version, ""))
    });
    pinned.collect()
}

fn go_sum(text: &str) -> Vec<Package> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, version) = (words.next()?, words.next()?);
        let is_module = !version.ends_with("/go.mod") && words.next()?.starts_with("h1:");
        is_module.then(|| package("golang", name, version, ""))
    });
    lines.collect()
}

/// `require NAME VERSION`, also several in parentheses.
fn go_mod(text: &str) -> Vec<Package> {
    let mut found = Vec::new();
    let mut within = false;
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default().trim();
        let words = match (within, line) {
            (_, "require (") => {
                within = true;
                continue;
            }
            (true, ")") => {
                within = false;
                continue;
            }
            (true, line) => line,
            (false, line) => match line.strip_prefix("require ") {
                Some(line) => line,
                None => continue,
            },
        };
        let mut words = words.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            found.push(package("golang", name, version, ""));
        }
    }
    found
}

/// Lines `    NAME (VERSION)` below `specs:`; deeper ones are what these need.
fn gems(text: &str) -> Vec<Package> {
    let lines = text.lines().filter_map(|line| {
        let line = line
            .strip_prefix("    ")
            .filter(|line| !line.starts_with(' '))?;
        let (name, version) = line.split_once(" (")?;
        Some(package("gem", name, version.strip_suffix(')')?, ""))
    });
    lines.collect()
}

fn composer(text: &str) -> Option<Vec<Package>> {
    let document: Value = serde_json::from_str(text).ok()?;
    let lists = ["packages", "packages-dev"].map(|key| document[key].as_array());
    let packages = lists.into_iter().flatten().flatten().filter_map(|one| {
        let license = one["license"][0].as_str().unwrap_or_default();
        Some(package(
            "composer",
            one["name"].as_str()?,
            one["version"].as_str()?,
            license,
        ))
    });
    Some(packages.collect())
}
