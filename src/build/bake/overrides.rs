//! `--set TARGET.KEY[.NAME]=VALUE`: what the command line says of targets. Pure.

use super::error::BakeError;
use super::target::{Entry, Target};
use crate::build::dockerfile::record;
use crate::config::parse_bool;

/// One of them; several of one key make a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    text: String,
    /// A target, or a pattern of several.
    pattern: String,
    key: String,
    /// Of an argument, a label or a context.
    name: Option<String>,
    /// None: `args.NAME` alone takes the host's.
    value: Option<String>,
    /// It is added to what is there.
    adds: bool,
}

impl Override {
    pub fn parse(text: &str) -> Result<Override, BakeError> {
        let wrong = || BakeError::Override {
            text: text.to_owned(),
        };
        let (left, value) = match text.split_once('=') {
            Some((left, value)) => (left, Some(value.to_owned())),
            None => (text, None),
        };
        let (left, adds) = match left.strip_suffix('+') {
            Some(left) => (left, true),
            None => (left, false),
        };
        let (pattern, key) = left.split_once('.').ok_or_else(wrong)?;
        let (key, name) = match key.split_once('.') {
            Some((key, name)) => (key, Some(name.to_owned())),
            None => (key, None),
        };
        let has_names = matches!(key, "args" | "labels" | "contexts" | "extra-hosts");
        if pattern.is_empty() || key.is_empty() || has_names != name.is_some() {
            return Err(wrong());
        }
        if value.is_none() && key != "args" {
            return Err(wrong());
        }
        Ok(Override {
            text: text.to_owned(),
            pattern: pattern.to_owned(),
            key: key.to_owned(),
            name,
            value,
            adds,
        })
    }

    pub(super) fn pattern(&self) -> &str {
        &self.pattern
    }

    pub(super) fn fits(&self, target: &str) -> bool {
        matches(self.pattern.as_bytes(), target.as_bytes())
    }
}

/// `*` and `?` of Go's `path.Match`; names of targets have nothing else to match.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=name.len()).any(|taken| matches(rest, &name[taken..])),
        (Some((b'?', pattern)), Some((_, name))) => matches(pattern, name),
        (Some((a, pattern)), Some((b, name))) if a == b => matches(pattern, name),
        _ => false,
    }
}

impl Target {
    /// All that fit this target, in their order: the first of a list's replaces what was there.
    pub(super) fn override_with(
        &mut self,
        overrides: &[&Override],
        lookup: super::Lookup<'_>,
    ) -> Result<(), BakeError> {
        let mut begun: Vec<&str> = Vec::new();
        for one in overrides {
            let is_first = !begun.contains(&one.key.as_str()) && !one.adds;
            begun.push(&one.key);
            if is_first {
                self.empty_list(&one.key);
            }
            self.override_one(one, lookup)?;
        }
        Ok(())
    }

    fn empty_list(&mut self, key: &str) {
        match key {
            "tags" => self.tags.clear(),
            "platform" | "platforms" => self.platforms.clear(),
            "no-cache-filter" => self.no_cache_filter.clear(),
            "annotations" => self.annotations.clear(),
            "ulimits" => self.ulimits.clear(),
            "entitlements" => self.entitlements.clear(),
            "cache-from" => self.cache_from.clear(),
            "cache-to" => self.cache_to.clear(),
            "output" => self.output.clear(),
            "secrets" | "secret" => self.secret.clear(),
            "ssh" => self.ssh.clear(),
            "attest" => self.attest.clear(),
            _ => {}
        }
    }

    fn override_one(&mut self, one: &Override, lookup: super::Lookup<'_>) -> Result<(), BakeError> {
        let wrong = || BakeError::Override {
            text: one.text.clone(),
        };
        let value = one.value.clone().unwrap_or_default();
        let name = one.name.clone().unwrap_or_default();
        let words = || {
            let fields = record(&value).ok_or_else(wrong)?.into_iter();
            let fields = fields.map(|(_, field)| field);
            Ok::<_, BakeError>(fields.filter(|field| !field.is_empty()).collect::<Vec<_>>())
        };
        let entry = || Entry::parse(&value).ok_or_else(wrong);
        match one.key.as_str() {
            "args" => {
                let value = one.value.clone().or_else(|| lookup(&name));
                self.args.insert(name, value);
            }
            "labels" => drop(self.labels.insert(name, Some(value))),
            "contexts" => drop(self.contexts.insert(name, value)),
            "extra-hosts" => drop(self.extra_hosts.insert(name, Some(value))),
            "context" => self.context = Some(value),
            "dockerfile" => self.dockerfile = Some(value),
            "dockerfile-inline" => self.dockerfile_inline = Some(value),
            "target" => self.target = Some(value),
            "call" => self.call = Some(value),
            "network" => self.network = Some(value),
            "shm-size" => self.shm_size = Some(value),
            "pull" => self.pull = Some(parse_bool(&value).ok_or_else(wrong)?),
            "no-cache" => self.no_cache = Some(parse_bool(&value).ok_or_else(wrong)?),
            "push" | "load" => {
                let (kind, wanted) = match one.key.as_str() {
                    "push" => ("registry", parse_bool(&value)),
                    _ => ("docker", parse_bool(&value)),
                };
                if wanted.ok_or_else(wrong)? {
                    self.output.push(Entry::of(&[("type", kind)]));
                }
            }
            "tags" => self.tags.extend(words()?),
            "platform" | "platforms" => self.platforms.extend(words()?),
            "no-cache-filter" => self.no_cache_filter.extend(words()?),
            "annotations" => self.annotations.push(value),
            "ulimits" => self.ulimits.push(value),
            "entitlements" => self.entitlements.extend(words()?),
            "cache-from" => self.cache_from.push(Entry::cache(&value)),
            "cache-to" => self.cache_to.push(Entry::cache(&value)),
            "output" => self.output.push(Entry::output(&value)),
            "secrets" | "secret" => self.secret.push(entry()?),
            "ssh" => self.ssh.push(Entry::agent(&value)),
            "attest" => self.attest.push(entry()?),
            key => {
                return Err(BakeError::OverrideKey {
                    text: one.text.clone(),
                    key: key.to_owned(),
                });
            }
        }
        Ok(())
    }
}
