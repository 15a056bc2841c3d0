//! The variables of a new container: the host's, docker's proxies, the image's and the flags', in podman's order. Reads docker's
//! `config.json` for the proxies; never a container.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::engine::EngineError;
use crate::engine::request::CreateRequest;
use crate::runtime::defaults;
use crate::sys::text;

/// What programs get without being told: taken away with `--unsetenv-all`.
const OWN: [&str; 3] = ["PATH", "HOSTNAME", "TERM"];

/// `NAME=value`, in order; and the names of those that every program gets, where this one shall not.
pub fn environment(
    image: &[String],
    request: &CreateRequest,
    proxies: &[(String, String)],
) -> (Vec<String>, Vec<String>) {
    let sources = &request.environment;
    let mut variables = Variables::default();
    if sources.host {
        for (name, value) in std::env::vars_os() {
            variables.set(&text::from_os(&name), Some(&text::from_os(&value)));
        }
    }
    if !sources.unset_all {
        variables.take_image(image);
    }
    for name in &sources.unset {
        variables.set(name, None);
    }
    let explicit = |name: &str| request.env.iter().any(|change| change.name == name);
    for (name, value) in proxies {
        if !explicit(name) {
            variables.set(name, Some(value));
        }
    }
    for change in &request.env {
        variables.set(&change.name, change.value.as_deref());
    }
    // Every program gets a PATH, so it is there to be added to.
    let is_unset = sources.unset_all || sources.unset.iter().any(|name| name == "PATH");
    let default = |name: &str| match name == "PATH" && !is_unset {
        true => defaults::PATH,
        false => "",
    };
    for change in &sources.merge {
        let value = variables.expand(change.value.as_deref().unwrap_or_default(), default);
        variables.set(&change.name, Some(&value));
    }
    let unset = match sources.unset_all {
        true => OWN.map(str::to_owned).to_vec(),
        false => sources.unset.clone(),
    };
    (variables.lines(), unset)
}

/// In the order in which their names first came.
#[derive(Default)]
struct Variables(Vec<(String, String)>);

impl Variables {
    fn set(&mut self, name: &str, value: Option<&str>) {
        let at = self.0.iter().position(|(known, _)| known == name);
        match (at, value) {
            (Some(at), Some(value)) => self.0[at].1 = value.to_owned(),
            (Some(at), None) => drop(self.0.remove(at)),
            (None, Some(value)) => self.0.push((name.to_owned(), value.to_owned())),
            (None, None) => {}
        }
    }

    /// Entries of the image that are no assignment bring nothing in (CVE-2026-57231).
    fn take_image(&mut self, image: &[String]) {
        for entry in image {
            if let Some((name, value)) = entry.split_once('=').filter(|(name, _)| !name.is_empty())
            {
                self.set(name, Some(value));
            }
        }
    }

    /// `$NAME` and `${NAME}`; what is not set is empty, and a `$` before anything else is itself.
    fn expand(&self, text: &str, default: impl Fn(&str) -> &'static str) -> String {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('$') {
            expanded.push_str(before);
            let braced = behind
                .strip_prefix('{')
                .and_then(|inside| inside.split_once('}'));
            let bare = behind.find(|c| !is_name(c)).unwrap_or(behind.len());
            let (name, after) = match (braced, bare) {
                (Some(pair), _) => pair,
                (None, 0) => {
                    expanded.push('$');
                    rest = behind;
                    continue;
                }
                (None, length) => behind.split_at(length),
            };
            let known = self.0.iter().find(|(known, _)| known == name);
            expanded.push_str(known.map_or_else(|| default(name), |(_, value)| value));
            rest = after;
        }
        expanded + rest
    }

    fn lines(self) -> Vec<String> {
        let lines = self.0.into_iter();
        lines
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }
}

/// The part of docker's `config.json` that is about proxies.
#[derive(Default, Deserialize)]
struct DockerFile {
    #[serde(default)]
    proxies: BTreeMap<String, Proxies>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Proxies {
    http_proxy: String,
    https_proxy: String,
    ftp_proxy: String,
    no_proxy: String,
    all_proxy: String,
}

/// Docker's `proxies.default`, each in capitals and in small letters. A file that is not there has none.
pub fn docker_proxies(file: Option<&Path>) -> Result<Vec<(String, String)>, EngineError> {
    let Some(path) = file else {
        return Ok(Vec::new());
    };
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(EngineError::file("read", path)(error)),
    };
    let parsed = serde_json::from_slice::<DockerFile>(&text);
    let mut file = parsed.map_err(|error| EngineError::file("read", path)(error.into()))?;
    let proxies = file.proxies.remove("default").unwrap_or_default();
    let pairs = [
        ("HTTP_PROXY", proxies.http_proxy),
        ("HTTPS_PROXY", proxies.https_proxy),
        ("FTP_PROXY", proxies.ftp_proxy),
        ("NO_PROXY", proxies.no_proxy),
        ("ALL_PROXY", proxies.all_proxy),
    ];
    let set = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    let both = set.flat_map(|(name, value)| {
        [
            (name.to_owned(), value.clone()),
            (name.to_ascii_lowercase(), value),
        ]
    });
    Ok(both.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::request::{EnvironmentSources, Variable};

    fn change(name: &str, value: Option<&str>) -> Variable {
        Variable {
            name: name.into(),
            value: value.map(str::to_owned),
        }
    }

    fn made(image: &[&str], request: &CreateRequest) -> Vec<String> {
        let image: Vec<String> = image.iter().map(|entry| (*entry).to_owned()).collect();
        environment(&image, request, &[("http_proxy".into(), "p".into())]).0
    }

    #[test]
    fn image_variables_without_a_value_bring_nothing_in() {
        let request = CreateRequest {
            env: vec![
                change("A", Some("3")),
                change("B", None),
                change("C", Some("")),
                change("http_proxy", None),
            ],
            ..CreateRequest::default()
        };
        let image = ["SECRET", "SEC*", "*", "=x", "A=1", "B=2"];
        assert_eq!(made(&image, &request), ["A=3", "C="]);
    }

    #[test]
    fn merged_values_refer_to_what_is_set_so_far() {
        let request = CreateRequest {
            environment: EnvironmentSources {
                unset: vec!["B".into()],
                merge: vec![
                    change("A", Some("${A}:$A-$B$")),
                    change("C", Some("$A${open")),
                ],
                ..EnvironmentSources::default()
            },
            ..CreateRequest::default()
        };
        let lines = made(&["A=1", "B=2"], &request);
        assert_eq!(lines, ["A=1:1-$", "http_proxy=p", "C=1:1-$${open"]);
    }

    #[test]
    fn merged_values_refer_to_the_path_that_every_program_gets() {
        let path = |unset: &[&str], unset_all| {
            let request = CreateRequest {
                environment: EnvironmentSources {
                    unset: unset.iter().map(ToString::to_string).collect(),
                    unset_all,
                    merge: vec![change("PATH", Some("${PATH}:/more"))],
                    ..EnvironmentSources::default()
                },
                ..CreateRequest::default()
            };
            made(&[], &request).pop()
        };
        let whole = format!("PATH={}:/more", defaults::PATH);
        assert_eq!(path(&[], false).as_deref(), Some(&*whole));
        assert_eq!(path(&["PATH"], false).as_deref(), Some("PATH=:/more"));
        assert_eq!(path(&[], true).as_deref(), Some("PATH=:/more"));
    }
}
