//! Containers' `registries.conf`, version 2, with its drop-ins: which registries stand for others, what short names mean.
//! Reads those files and nothing else; containers-registries.conf(5) is the source.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::RegistryError;
use crate::image::Reference;
use crate::sys::fs;

/// More than any real file.
const LIMIT: u64 = 4 << 20;

/// Everything the files say, later ones over earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<Rule>,
    /// What a name without a registry stands for.
    pub aliases: BTreeMap<String, String>,
    /// Registries that are asked for such names, in this order; nothing means docker.io.
    pub search: Vec<String>,
}

/// A `[[registry]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// `host[:port][/namespace…]`, or `*.domain`.
    prefix: String,
    pub location: Option<String>,
    pub insecure: bool,
    pub blocked: bool,
    pub mirrors: Vec<Mirror>,
    /// Where it stands, for messages.
    pub file: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mirror {
    pub location: String,
    pub insecure: bool,
    tags: bool,
    digests: bool,
}

impl Mirror {
    pub fn serves(&self, by_digest: bool) -> bool {
        if by_digest { self.digests } else { self.tags }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    unqualified_search_registries: Option<Vec<String>>,
    #[serde(default)]
    registry: Vec<Table>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    /// Version 1, which nobody reads any more.
    registries: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Table {
    prefix: Option<String>,
    location: Option<String>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    mirror: Vec<MirrorTable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MirrorTable {
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: String,
}

impl Rules {
    /// `$CONTAINERS_REGISTRIES_CONF` alone, or the user's file (else the host's), then the drop-ins of both.
    pub fn from_environment() -> Result<Rules, RegistryError> {
        let named =
            std::env::var_os("CONTAINERS_REGISTRIES_CONF").filter(|value| !value.is_empty());
        let host = PathBuf::from("/etc/containers");
        let user = directories::BaseDirs::new().map(|base| base.config_dir().join("containers"));
        let mut rules = Rules::default();
        if let Some(path) = named {
            rules.read(Path::new(&path))?;
            return Ok(rules);
        }
        let mut main = host.join("registries.conf");
        if let Some(own) = user.as_ref().map(|user| user.join("registries.conf"))
            && own.exists()
        {
            main = own;
        }
        rules.read(&main)?;
        for directory in [Some(host), user].into_iter().flatten() {
            rules.read_directory(&directory.join("registries.conf.d"))?;
        }
        Ok(rules)
    }

    /// Every `*.conf`, by name.
    fn read_directory(&mut self, directory: &Path) -> Result<(), RegistryError> {
        let Ok(entries) = std::fs::read_dir(directory) else {
            return Ok(());
        };
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "conf")
            })
            .collect();
        files.sort();
        files.iter().try_for_each(|path| self.read(path))
    }

    fn read(&mut self, path: &Path) -> Result<(), RegistryError> {
        let fault = |reason: String| RegistryError::RegistriesConf {
            path: path.to_owned(),
            reason,
        };
        let bytes = match fs::read_bounded(path, LIMIT) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(fault(error.to_string())),
        };
        let text = String::from_utf8(bytes).map_err(|error| fault(error.to_string()))?;
        self.add(path, &text).map_err(fault)
    }

    fn add(&mut self, path: &Path, text: &str) -> Result<(), String> {
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| {
                text.get(..span.start).unwrap_or(text).matches('\n').count() + 1
            });
            format!("line {line}: {}", error.message())
        })?;
        if file.registries.is_some() {
            return Err(
                "is in version 1 of the format; version 2 has [[registry]] tables".to_owned(),
            );
        }
        if let Some(search) = file.unqualified_search_registries {
            self.search = search;
        }
        self.aliases.extend(file.aliases);
        for table in file.registry {
            let rule = table.rule(path)?;
            self.rules.retain(|other| other.prefix != rule.prefix);
            self.rules.push(rule);
        }
        Ok(())
    }

    /// The rule of the longest prefix.
    pub(super) fn of(&self, reference: &Reference) -> Option<&Rule> {
        self.matching(reference.registry(), reference.repository())
    }

    pub(super) fn of_registry(&self, registry: &str) -> Option<&Rule> {
        self.matching(registry, "")
    }

    fn matching(&self, registry: &str, repository: &str) -> Option<&Rule> {
        let fitting = self.rules.iter();
        let fitting = fitting.filter(|rule| rule.matches(registry, repository));
        fitting.max_by_key(|rule| rule.prefix.len())
    }
}

impl Table {
    fn rule(self, path: &Path) -> Result<Rule, String> {
        let prefix = self.prefix.clone().or_else(|| self.location.clone());
        let prefix = prefix.filter(|prefix| !prefix.is_empty());
        let prefix = prefix.ok_or("a [[registry]] has neither prefix nor location")?;
        let location = self.location.filter(|location| !location.is_empty());
        if prefix.starts_with("*.") && location.is_some() {
            return Err(format!("prefix {prefix:?} can't stand for a location"));
        }
        let only_digests = self.mirror_by_digest_only;
        let mirrors = self
            .mirror
            .into_iter()
            .map(|mirror| mirror.mirror(only_digests));
        Ok(Rule {
            prefix: prefix.trim_end_matches('/').to_owned(),
            location,
            insecure: self.insecure,
            blocked: self.blocked,
            mirrors: mirrors.collect::<Result<_, _>>()?,
            file: path.to_owned(),
        })
    }
}

impl MirrorTable {
    fn mirror(self, only_digests: bool) -> Result<Mirror, String> {
        let (tags, digests) = match self.pull_from_mirror.as_str() {
            "" if only_digests => (false, true),
            "" | "all" => (true, true),
            "digest-only" => (false, true),
            "tag-only" => (true, false),
            other => return Err(format!("pull-from-mirror {other:?} is not known")),
        };
        Ok(Mirror {
            location: self.location,
            insecure: self.insecure,
            tags,
            digests,
        })
    }
}

impl Rule {
    fn matches(&self, registry: &str, repository: &str) -> bool {
        if let Some(domain) = self.prefix.strip_prefix('*') {
            return registry.ends_with(domain) && registry.len() > domain.len();
        }
        let name = format!("{registry}/{repository}");
        match name.strip_prefix(&self.prefix) {
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    /// The part of the repository's name that the rule's locations stand for.
    pub fn stripped(&self, registry: &str, repository: &str) -> String {
        let below = self.prefix.strip_prefix(registry).unwrap_or_default();
        let below = below.trim_start_matches('/');
        match repository.starts_with(below) {
            true => below.to_owned(),
            false => String::new(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        let mut rules = Rules::default();
        rules.add(Path::new("test.conf"), text).unwrap();
        rules
    }

    fn reference(text: &str) -> Reference {
        text.parse().unwrap()
    }

    #[test]
    fn the_longest_prefix_wins_and_ends_at_a_slash() {
        let rules = rules(
            "[[registry]]\nlocation = 'example.org'\n[[registry]]\nprefix = 'example.org/a'\nlocation = 'b.net/x'\n[[registry]]\nprefix = '*.lan'\nblocked = true",
        );
        let of = |text| rules.of(&reference(text)).map(|rule| rule.prefix.as_str());
        assert_eq!(of("example.org/a/b"), Some("example.org/a"));
        assert_eq!(of("example.org/ab"), Some("example.org"));
        assert_eq!(of("example.org.evil/a"), None);
        assert_eq!(of("host.lan/a"), Some("*.lan"));
        assert_eq!(of("lan.net/a"), None);
    }

    #[test]
    fn a_later_file_replaces_the_rule_of_the_same_prefix() {
        let mut rules =
            rules("unqualified-search-registries = ['a', 'b']\n[[registry]]\nlocation = 'x.org'");
        let more = "[[registry]]\nlocation = 'x.org'\ninsecure = true\n[aliases]\nd = 'y.org/d'";
        rules.add(Path::new("later.conf"), more).unwrap();
        assert_eq!(rules.rules.len(), 1);
        assert!(rules.rules[0].insecure);
        assert_eq!(rules.search, ["a", "b"]);
        assert_eq!(rules.aliases["d"], "y.org/d");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let fault = |text| Rules::default().add(Path::new("x"), text).unwrap_err();
        assert!(fault("[registries.search]\nregistries = ['a']").contains("version 1"));
        assert!(fault("[[registry]]\ninsecure = true").contains("neither"));
        assert!(fault("\n[[registry]]\nlocation = 3").starts_with("line 3"));
    }
}
