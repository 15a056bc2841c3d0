//! The secrets that open remote sources of a build, by BuildKit's names: which header goes to which host. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use crate::registry::Secret;

/// The value of `Authorization`, and what becomes one.
const GIT: (&str, &str) = ("GIT_AUTH_HEADER", "GIT_AUTH_TOKEN");
/// What follows is a host.
const HTTP: (&str, &str) = ("HTTP_AUTH_HEADER_", "HTTP_AUTH_TOKEN_");

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("secret {id} is no header's value: that is one line of printable ASCII")]
pub struct AuthorizationError {
    id: String,
}

/// What opens remote sources.
#[derive(Clone, Debug, Default)]
pub struct Authorizations {
    /// Values by the names of the secrets. One that is empty is none.
    secrets: BTreeMap<String, Secret>,
    /// The socket of the agent that ssh asks, instead of that of the session.
    agent: Option<PathBuf>,
}

impl Authorizations {
    /// Whether a secret of this name is meant for remote sources.
    pub fn takes(id: &str) -> bool {
        let is_git = [GIT.0, GIT.1].into_iter().any(|name| {
            let rest = id.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        is_git || id.starts_with(HTTP.0) || id.starts_with(HTTP.1)
    }

    pub fn with_agent(self, agent: Option<PathBuf>) -> Authorizations {
        Authorizations { agent, ..self }
    }

    pub(super) fn agent(&self) -> Option<&Path> {
        self.agent.as_deref()
    }

    /// A line's end behind it does not count: files have one.
    pub fn insert(&mut self, id: &str, value: &[u8]) -> Result<(), AuthorizationError> {
        let value = value.trim_ascii();
        let is_line = value.iter().all(|byte| (b' '..=b'~').contains(byte));
        let text = std::str::from_utf8(value).ok().filter(|_| is_line);
        let text = text.ok_or_else(|| AuthorizationError { id: id.to_owned() })?;
        if !text.is_empty() {
            self.secrets
                .insert(id.to_owned(), Secret::new(text.to_owned()));
        }
        Ok(())
    }

    /// For a download, whatever the port; a token goes before a header.
    pub(super) fn of_url(&self, url: &str) -> Option<Secret> {
        let url = Url::parse(url).ok()?;
        let host = url.host_str()?.trim_matches(['[', ']']);
        if let Some(token) = self.named(HTTP.1, host) {
            return Some(Secret::new(format!("Bearer {}", token.expose())));
        }
        self.named(HTTP.0, host).cloned()
    }

    /// For git: settings that are no arguments, since other users see those. Each host's header goes to that host alone, and where it
    /// leads to is not followed: git would take the header along. What names no host is for that of the repository.
    pub(super) fn git_variables(&self, remote: &str) -> Vec<(String, String)> {
        let mut headers = BTreeMap::new();
        for (name, is_token) in [(GIT.1, true), (GIT.0, false)] {
            for (id, value) in &self.secrets {
                let host = id
                    .strip_prefix(name)
                    .and_then(|rest| rest.strip_prefix('.'))
                    .filter(|host| !host.contains(['/', '?', '#', '@', '\\']));
                if let Some(host) = host.and_then(|host| web_host(&format!("https://{host}"))) {
                    headers.insert(host, git_header(value, is_token));
                }
            }
        }
        let general = match (self.secrets.get(GIT.0), self.secrets.get(GIT.1)) {
            (Some(header), _) => Some(git_header(header, false)),
            (None, token) => token.map(|token| git_header(token, true)),
        };
        if let (Some(header), Some(host)) = (general, web_host(remote)) {
            headers.entry(host).or_insert(header);
        }
        let settings = headers.into_iter().flat_map(|(host, header)| {
            let key = |name| format!("http.https://{host}/.{name}");
            [
                (key("extraHeader"), header),
                (key("followRedirects"), "false".to_owned()),
            ]
        });
        let mut variables = Vec::new();
        for (number, (key, value)) in settings.enumerate() {
            variables.push((format!("GIT_CONFIG_KEY_{number}"), key));
            variables.push((format!("GIT_CONFIG_VALUE_{number}"), value));
        }
        if !variables.is_empty() {
            let count = variables.len() / 2;
            variables.push(("GIT_CONFIG_COUNT".to_owned(), count.to_string()));
        }
        variables
    }

    fn named(&self, prefix: &str, host: &str) -> Option<&Secret> {
        let mut all = self.secrets.iter();
        let found = all.find(|(id, _)| {
            let of = id.strip_prefix(prefix);
            of.is_some_and(|of| of.trim_matches(['[', ']']).eq_ignore_ascii_case(host))
        });
        found.map(|(_, value)| value)
    }
}

fn git_header(value: &Secret, is_token: bool) -> String {
    let value = value.expose();
    match is_token {
        true => format!(
            "Authorization: Basic {}",
            STANDARD.encode(format!("x-access-token:{value}"))
        ),
        false => format!("Authorization: {value}"),
    }
}

/// `host` or `host:port` of an address of https.
pub(super) fn web_host(remote: &str) -> Option<String> {
    let url = Url::parse(remote).ok()?;
    let host = url.host_str().filter(|_| url.scheme() == "https")?;
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn given(secrets: &[(&str, &str)]) -> Authorizations {
        let mut given = Authorizations::default();
        for (id, value) in secrets {
            assert!(Authorizations::takes(id), "{id}");
            given.insert(id, value.as_bytes()).unwrap();
        }
        given
    }

    #[test]
    fn a_download_has_what_is_for_its_host() {
        let given = given(&[
            ("HTTP_AUTH_TOKEN_a.test", "one\n"),
            ("HTTP_AUTH_HEADER_b.test", "Basic two"),
            ("HTTP_AUTH_TOKEN_c.test", ""),
            ("HTTP_AUTH_HEADER_d.test", "Basic lost"),
            ("HTTP_AUTH_TOKEN_d.test", "three"),
            ("HTTP_AUTH_TOKEN_::1", "four"),
        ]);
        for (url, header) in [
            ("https://a.test/x", Some("Bearer one")),
            ("https://A.TEST:8443/x", Some("Bearer one")),
            ("https://b.test/x", Some("Basic two")),
            ("https://c.test/x", None),
            ("https://d.test/x", Some("Bearer three")),
            ("https://[::1]/x", Some("Bearer four")),
            ("https://x.a.test/", None),
            ("https://a.test.evil/", None),
            ("https://a.test@evil/", None),
            ("a.test", None),
        ] {
            let found = given.of_url(url);
            assert_eq!(found.as_ref().map(Secret::expose), header, "{url}");
        }
    }

    #[test]
    fn git_has_a_header_for_each_host_in_its_environment() {
        let given = given(&[
            ("GIT_AUTH_TOKEN", "every"),
            ("GIT_AUTH_TOKEN.a.test", "one"),
            ("GIT_AUTH_HEADER.b.test:8443", "Bearer two"),
            ("GIT_AUTH_TOKEN.b.test:8443", "lost"),
            ("GIT_AUTH_TOKEN.a.test/path", "no host"),
        ]);
        let header = |text: &str| format!("Authorization: Basic {}", STANDARD.encode(text));
        let settings = |remote: &str| {
            let variables = given.git_variables(remote);
            let (count, pairs) = variables.split_last().unwrap();
            assert_eq!(
                (count.0.as_str(), count.1.as_str()),
                ("GIT_CONFIG_COUNT", (pairs.len() / 2).to_string().as_str())
            );
            let mut found = BTreeMap::new();
            for (number, pair) in pairs.chunks(2).enumerate() {
                assert_eq!(pair[0].0, format!("GIT_CONFIG_KEY_{number}"));
                assert_eq!(pair[1].0, format!("GIT_CONFIG_VALUE_{number}"));
                found.insert(pair[0].1.clone(), pair[1].1.clone());
            }
            found
        };
        let of_hosts = |more: &[(&str, String)]| {
            let always = [
                ("a.test", header("x-access-token:one")),
                ("b.test:8443", "Authorization: Bearer two".to_owned()),
            ];
            let all = always.iter().chain(more);
            let pairs = all.flat_map(|(host, header)| {
                let key = |name| format!("http.https://{host}/.{name}");
                [
                    (key("extraHeader"), header.clone()),
                    (key("followRedirects"), "false".to_owned()),
                ]
            });
            pairs.collect::<BTreeMap<_, _>>()
        };
        let every = header("x-access-token:every");
        assert_eq!(
            settings("https://c.test/x.git"),
            of_hosts(&[("c.test", every)])
        );
        for remote in [
            "https://a.test/x.git",
            "ssh://git@c.test/x",
            "git@c.test:x",
            "http://c.test/x.git",
        ] {
            assert_eq!(settings(remote), of_hosts(&[]), "{remote}");
        }
        let none = Authorizations::default();
        assert_eq!(none.git_variables("https://c.test/x.git"), []);
    }

    #[test]
    fn nothing_becomes_a_second_header() {
        let mut given = Authorizations::default();
        for value in ["a\nX: b", "a\rb", "a\0b", "caf\u{e9}"] {
            assert!(given.insert("GIT_AUTH_TOKEN", value.as_bytes()).is_err());
        }
        for id in ["GIT_AUTH_TOKENS", "HTTP_AUTH", "GIT_AUTH", "token"] {
            assert!(!Authorizations::takes(id), "{id}");
        }
    }
}
