//! Lock files of languages: what a build has pinned. Pure.

use super::found::{Found, Told};
use super::listed::{self, One, Word};

/// Of a document of TOML, which is kept as a whole while it is read, many times as large as its text.
const TOML_MAX: u64 = 4 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

impl Lock {
    pub fn size_max(self) -> u64 {
        match self {
            Lock::Cargo | Lock::Poetry => TOML_MAX,
            _ => super::FILE_MAX,
        }
    }

    /// None: it is not what its name says.
    pub fn read(self, text: &str, found: &mut Found<'_>) -> Option<()> {
        match self {
            Lock::Npm => npm(text, found)?,
            Lock::Cargo => {
                let take = &mut |_: &str, one: One| add(found, "cargo", &one.name.0, &one);
                listed::toml(text, &["package"], take)?;
            }
            Lock::Poetry => {
                let take = &mut |_: &str, one: One| {
                    add(found, "pypi", &python_name(&one.name.0), &one);
                };
                listed::toml(text, &["package"], take)?;
            }
            Lock::Requirements => requirements(text, found),
            Lock::GoSum => go_sum(text, found),
            Lock::GoMod => go_mod(text, found),
            Lock::Gem => gems(text, found),
            Lock::Composer => {
                let take = &mut |_: &str, one: One| add(found, "composer", &one.name.0, &one);
                listed::json(text, &["packages", "packages-dev"], take)?;
            }
        }
        Some(())
    }
}

/// What has no name or no version is no package.
fn add(found: &mut Found<'_>, kind: &str, name: &str, one: &One) {
    let (Word(version), Word(license)) = (&one.version, &one.license);
    if !name.is_empty() && !version.is_empty() {
        found.add(Told {
            kind,
            name,
            version,
            license,
            ..Told::default()
        });
    }
}

fn add_line(found: &mut Found<'_>, kind: &str, name: &str, version: &str) {
    found.add(Told {
        kind,
        name,
        version,
        ..Told::default()
    });
}

fn npm(text: &str, found: &mut Found<'_>) -> Option<()> {
    let take = &mut |path: &str, one: One| {
        if let Some((_, name)) = path.rsplit_once("node_modules/") {
            let named = Some(one.name.0.as_str()).filter(|name| !name.is_empty());
            add(found, "npm", named.unwrap_or(name), &one);
        }
    };
    if !listed::json(text, &["packages"], take)? {
        let take = &mut |name: &str, one: One| add(found, "npm", name, &one);
        listed::json(text, &["dependencies"], take)?;
    }
    Some(())
}

/// As the index of Python's packages compares them.
fn python_name(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '.'], "-")
}

/// Only what is pinned to one version.
fn requirements(text: &str, found: &mut Found<'_>) {
    let pinned = text.lines().filter_map(|line| {
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let (name, version) = line.trim().split_once("==")?;
        let name = name.split('[').next().unwrap_or(name).trim();
        let version = version.trim_start_matches('=').split_whitespace().next()?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let one = !name.is_empty() && name.chars().all(is_name) && !version.contains(['*', ',']);
        one.then_some((name, version))
    });
    for (name, version) in pinned {
        add_line(found, "pypi", &python_name(name), version);
    }
}

fn go_sum(text: &str, found: &mut Found<'_>) {
    let modules = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, version) = (words.next()?, words.next()?);
        let is_module = !version.ends_with("/go.mod") && words.next()?.starts_with("h1:");
        is_module.then_some((name, version))
    });
    for (name, version) in modules {
        add_line(found, "golang", name, version);
    }
}

/// `require NAME VERSION`, also several in parentheses.
fn go_mod(text: &str, found: &mut Found<'_>) {
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
            add_line(found, "golang", name, version);
        }
    }
}

/// Lines `    NAME (VERSION)` below `specs:`; deeper ones are what these need.
fn gems(text: &str, found: &mut Found<'_>) {
    let gems = text.lines().filter_map(|line| {
        let line = line
            .strip_prefix("    ")
            .filter(|line| !line.starts_with(' '))?;
        let (name, version) = line.split_once(" (")?;
        Some((name, version.strip_suffix(')')?))
    });
    for (name, version) in gems {
        add_line(found, "gem", name, version);
    }
}
