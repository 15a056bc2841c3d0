//! Reads one `config.toml` into `Config`, with the place of every mistake. Never opens a file.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::nearest;
use super::policy::{Policy, PolicyRule};
use super::values::RegistryHost;
use super::{Config, ConfigError, Fault, KEYS, Source};

const REGISTRIES: &str = "registries";
const POLICY: &str = "policy";

/// The key of a registry's setting as `info` shows it and TOML accepts it.
pub(super) fn registry_key(host: &str, name: &str) -> String {
    format!("{REGISTRIES}.\"{host}\".{name}")
}

/// The same for the policy of a registry or repository.
pub(super) fn policy_key(scope: &str, name: &str) -> String {
    format!("{POLICY}.\"{scope}\".{name}")
}

/// The file being read: turns byte offsets into places.
struct Place<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    fn line(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or(self.text);
        before.matches('\n').count() + 1
    }

    fn error(&self, span: Range<usize>, fault: Fault) -> ConfigError {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let text = self.text[start..].lines().next().unwrap_or_default();
        ConfigError::File {
            path: self.path.to_owned(),
            line: self.line(span.start),
            column: before[start..].chars().count() + 1,
            text: text.to_owned(),
            fault: Box::new(fault),
        }
    }

    fn source(&self, span: &Range<usize>) -> Source {
        Source::File {
            path: self.path.to_owned(),
            line: self.line(span.start),
        }
    }
}

impl Config {
    pub(super) fn read_text(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let place = Place { path, text };
        let table = DeTable::parse(text).map_err(|error| {
            let fault = Fault::Syntax {
                message: error.message().lines().collect::<Vec<_>>().join("; "),
            };
            place.error(error.span().unwrap_or_default(), fault)
        })?;
        self.read_table(&place, "", table.get_ref())
    }

    /// `prefix` is empty or a section's name with its dot.
    fn read_table(
        &mut self,
        place: &Place<'_>,
        prefix: &str,
        table: &DeTable<'_>,
    ) -> Result<(), ConfigError> {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            let section = format!("{name}.");
            if prefix.is_empty() && name == REGISTRIES {
                self.read_registries(place, as_table(place, &name, value)?)?;
            } else if prefix.is_empty() && name == POLICY {
                self.read_policy(place, as_table(place, &name, value)?)?;
            } else if KEYS.iter().any(|known| known.name == name) {
                let text = as_text(place, &name, value)?;
                self.set(&name, text, place.source(&key.span()))
                    .map_err(|expected| wrong_value(place, &name, value, text, expected))?;
            } else if KEYS.iter().any(|known| known.name.starts_with(&section)) {
                self.read_table(place, &section, as_table(place, &name, value)?)?;
            } else {
                let known = KEYS.iter().map(|known| known.name);
                let sections = [REGISTRIES, POLICY, "log", "network", "storage"];
                let nearest = nearest(&name, known.chain(sections)).to_owned();
                let fault = Fault::UnknownKey { key: name, nearest };
                return Err(place.error(key.span(), fault));
            }
        }
        Ok(())
    }

    fn read_registries(
        &mut self,
        place: &Place<'_>,
        hosts: &DeTable<'_>,
    ) -> Result<(), ConfigError> {
        for (host, value) in hosts {
            let host = host.get_ref().to_string();
            let table_name = format!("{REGISTRIES}.\"{host}\"");
            for (key, value) in as_table(place, &table_name, value)? {
                self.read_registry_key(place, &host, key, value)?;
            }
        }
        Ok(())
    }

    /// A scope's table is one rule: it replaces that of an earlier file as a whole.
    fn read_policy(&mut self, place: &Place<'_>, scopes: &DeTable<'_>) -> Result<(), ConfigError> {
        for (scope, value) in scopes {
            let text = scope.get_ref().to_string();
            let table_name = format!("{POLICY}.\"{text}\"");
            if !Policy::is_scope(&text) {
                let fault = Fault::WrongValue {
                    key: POLICY.to_owned(),
                    value: text,
                    expected: "default, or a registry and what is below it, as docker.io/library/debian",
                };
                return Err(place.error(scope.span(), fault));
            }
            let rule = read_rule(
                place,
                &text,
                as_table(place, &table_name, value)?,
                scope.span(),
            )?;
            self.policy.set(&text, rule);
            self.sources
                .insert(policy_key(&text, "type"), place.source(&scope.span()));
        }
        Ok(())
    }

    fn read_registry_key(
        &mut self,
        place: &Place<'_>,
        host: &str,
        key: &Spanned<toml::de::DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), ConfigError> {
        let name = registry_key(host, key.get_ref());
        let registry = self.registries.entry(host.to_owned()).or_default();
        match key.get_ref().as_ref() {
            RegistryHost::LOCATION => {
                let text = as_text(place, &name, value)?;
                if !RegistryHost::is_location(text) {
                    let expected = RegistryHost::LOCATION_VALUES;
                    return Err(wrong_value(place, &name, value, text, expected));
                }
                registry.location = Some(text.to_owned());
            }
            RegistryHost::INSECURE => registry.insecure = Some(as_bool(place, &name, value)?),
            RegistryHost::BLOCKED => registry.blocked = Some(as_bool(place, &name, value)?),
            RegistryHost::MIRRORS => {
                registry.mirrors = Some(as_locations(place, &name, value)?);
            }
            other => {
                let names = [
                    RegistryHost::LOCATION,
                    RegistryHost::INSECURE,
                    RegistryHost::MIRRORS,
                    RegistryHost::BLOCKED,
                ];
                let fault = Fault::UnknownKey {
                    key: name,
                    nearest: nearest(other, names).to_owned(),
                };
                return Err(place.error(key.span(), fault));
            }
        }
        self.sources.insert(name, place.source(&key.span()));
        Ok(())
    }
}

fn read_rule(
    place: &Place<'_>,
    scope: &str,
    table: &DeTable<'_>,
    span: Range<usize>,
) -> Result<PolicyRule, ConfigError> {
    let (mut word, mut keys, mut lookaside) = (None, None, None);
    for (key, value) in table {
        let name = policy_key(scope, key.get_ref());
        match key.get_ref().as_ref() {
            "type" => word = Some(as_text(place, &name, value)?),
            "keys" => keys = Some(as_paths(place, &name, value)?),
            "lookaside" => lookaside = Some(as_text(place, &name, value)?.to_owned()),
            other => {
                let fault = Fault::UnknownKey {
                    nearest: nearest(other, PolicyRule::FIELDS).to_owned(),
                    key: name,
                };
                return Err(place.error(key.span(), fault));
            }
        }
    }
    let word = word.unwrap_or_default();
    PolicyRule::parse(word, keys, lookaside).map_err(|expected| {
        let fault = Fault::WrongValue {
            key: policy_key(scope, "type"),
            value: word.to_owned(),
            expected,
        };
        place.error(span, fault)
    })
}

fn as_paths(
    place: &Place<'_>,
    name: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<PathBuf>, ConfigError> {
    let array = value.get_ref().as_array();
    let array = array.ok_or_else(|| wrong_type(place, name, value, "an array of strings"))?;
    let path = |value| {
        let text = as_text(place, name, value)?;
        match text.starts_with('/') {
            true => Ok(PathBuf::from(text)),
            false => Err(wrong_value(place, name, value, text, "an absolute path")),
        }
    };
    array.iter().map(path).collect()
}

fn as_table<'a, 'i>(
    place: &Place<'_>,
    name: &str,
    value: &'a Spanned<DeValue<'i>>,
) -> Result<&'a DeTable<'i>, ConfigError> {
    let table = value.get_ref().as_table();
    table.ok_or_else(|| wrong_type(place, name, value, "a table"))
}

fn as_text<'a>(
    place: &Place<'_>,
    name: &str,
    value: &'a Spanned<DeValue<'_>>,
) -> Result<&'a str, ConfigError> {
    let text = value.get_ref().as_str();
    text.ok_or_else(|| wrong_type(place, name, value, "a string"))
}

fn as_bool(
    place: &Place<'_>,
    name: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<bool, ConfigError> {
    let boolean = value.get_ref().as_bool();
    boolean.ok_or_else(|| wrong_type(place, name, value, "true or false"))
}

fn as_locations(
    place: &Place<'_>,
    name: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<String>, ConfigError> {
    let array = value.get_ref().as_array();
    let array = array.ok_or_else(|| wrong_type(place, name, value, "an array of strings"))?;
    let location = |value| {
        let text = as_text(place, name, value)?;
        match RegistryHost::is_location(text) {
            true => Ok(text.to_owned()),
            false => {
                let expected = RegistryHost::LOCATION_VALUES;
                Err(wrong_value(place, name, value, text, expected))
            }
        }
    };
    array.iter().map(location).collect()
}

fn wrong_type(
    place: &Place<'_>,
    name: &str,
    value: &Spanned<DeValue<'_>>,
    expected: &'static str,
) -> ConfigError {
    let found = match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    let fault = Fault::WrongType {
        key: name.to_owned(),
        expected,
        found,
    };
    place.error(value.span(), fault)
}

fn wrong_value(
    place: &Place<'_>,
    name: &str,
    value: &Spanned<DeValue<'_>>,
    text: &str,
    expected: &'static str,
) -> ConfigError {
    let fault = Fault::WrongValue {
        key: name.to_owned(),
        value: text.to_owned(),
        expected,
    };
    place.error(value.span(), fault)
}
