//! Logging in and out: which registry a name means, whether it takes a password, and where what it takes is kept.

use std::path::PathBuf;

use super::auth::{Session, Subject};
use super::config::{DOCKER_HUB, RegistryConfig};
use super::credentials::{self, Credentials, Found, Kept};
use super::endpoint::Endpoint;
use super::error::RegistryError;
use super::exchange::{Exchange, Request};
use super::progress::Silent;
use super::retry;

/// A registry as `login` and `logout` take it: `host[:port]`, and whatever docker's users write around that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// As references name it.
    registry: String,
}

impl Server {
    /// Without a name it is Docker Hub, as with docker.
    pub fn named(text: Option<&str>) -> Server {
        let text = text.unwrap_or(DOCKER_HUB);
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let host = rest.split('/').next().unwrap_or(rest);
        let registry = match host {
            "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB,
            host => host,
        };
        Server {
            registry: registry.to_owned(),
        }
    }

    pub fn is_docker_hub(&self) -> bool {
        self.registry == DOCKER_HUB
    }

    /// How messages name it.
    pub fn name(&self) -> &str {
        match self.is_docker_hub() {
            true => "https://index.docker.io/v1/",
            false => &self.registry,
        }
    }
}

/// Asks the registry whether it lets this user in. What is to be kept: a token in the password's place, where the registry
/// gives one for it.
pub fn check(
    server: &Server,
    credentials: &Credentials,
    config: &RegistryConfig,
) -> Result<Credentials, RegistryError> {
    let exchange = Exchange::new(config);
    let endpoint = Endpoint::find(&exchange, &server.registry)?;
    let subject = Subject {
        name: server.name().to_owned(),
        is_login: true,
        ..Subject::default()
    };
    let found = Found {
        credentials: Some(credentials.clone()),
        helper_fault: None,
    };
    let session = Session::with(exchange, &endpoint, subject, found, &Silent);
    let mut response = session.send(Request::get(endpoint.base()))?;
    let status = response.status();
    if !status.is_success() {
        return Err(RegistryError::Login {
            url: endpoint.base().to_string(),
            status: status.to_string(),
            message: retry::server_message(&mut response),
        });
    }
    Ok(match (session.identity(), credentials) {
        (Some(token), Credentials::Password { user, .. }) => Credentials::Identity {
            user: user.clone(),
            token,
        },
        _ => credentials.clone(),
    })
}

/// Keeps what was accepted, where docker would.
pub fn keep(
    server: &Server,
    credentials: &Credentials,
    config: &RegistryConfig,
) -> Result<Kept, RegistryError> {
    credentials::keep(config, &server.registry, credentials)
}

/// Who is logged in, by whatever file or helper.
pub fn logged_in(
    server: &Server,
    config: &RegistryConfig,
) -> Result<Option<Credentials>, RegistryError> {
    Ok(credentials::find(config, &server.registry, None)?.credentials)
}

/// Forgets the credentials for a registry; a file of other tools' that still lets this user in is named.
pub fn forget(server: &Server, config: &RegistryConfig) -> Result<Option<PathBuf>, RegistryError> {
    credentials::forget(config, &server.registry)?;
    Ok(credentials::elsewhere(config, &server.registry))
}

/// Every registry that docker's file has credentials for.
pub fn servers(config: &RegistryConfig) -> Result<Vec<Server>, RegistryError> {
    let hosts = credentials::hosts(config)?;
    Ok(hosts.iter().map(|host| Server::named(Some(host))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_its_host_and_docker_hub_has_many_names() {
        for (text, registry) in [
            ("h:5000", "h:5000"),
            ("https://h:5000/v2/", "h:5000"),
            ("http://h", "h"),
            ("https://index.docker.io/v1/", DOCKER_HUB),
            ("registry-1.docker.io", DOCKER_HUB),
        ] {
            assert_eq!(Server::named(Some(text)).registry, registry);
        }
        assert!(Server::named(None).is_docker_hub());
    }
}
