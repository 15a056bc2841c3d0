//! Logging in to registries and out. The registry is asked by a role with threads; files and helpers are the caller's own
//! session's, so no role touches them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::worker::RoleFailure;
use super::{Engine, EngineError};
use crate::image::Reference;
use crate::registry::{
    self, Credentials, Kept, RegistryConfig, RegistryError, Rules, Secret, Server,
};

/// What a registry has let in, on its way through the role's pipe. Never in a trace: it has no `Debug`.
#[derive(Serialize, Deserialize)]
struct Accepted {
    identity: Option<String>,
}

impl Engine {
    /// Asks the registry, and keeps the credentials if it takes them.
    pub fn login(&self, server: &Server, credentials: &Credentials) -> Result<Kept, EngineError> {
        let config = self.login_config()?;
        let accepted: Accepted = self.beside("transfer", || {
            let accepted = registry::check(server, credentials, &config);
            let accepted = accepted.map_err(|error| RoleFailure::of(&error, error.hints()))?;
            Ok(Accepted {
                identity: match accepted {
                    Credentials::Identity { token, .. } => Some(token.expose().to_owned()),
                    Credentials::Password { .. } => None,
                },
            })
        })?;
        let kept = match accepted.identity {
            Some(token) => Credentials::Identity {
                user: credentials.user().to_owned(),
                token: Secret::new(token),
            },
            None => credentials.clone(),
        };
        Ok(registry::keep(server, &kept, &config)?)
    }

    /// Whom a registry's requests are made for.
    pub fn logged_in(&self, server: &Server) -> Result<Option<Credentials>, EngineError> {
        Ok(registry::logged_in(server, &self.login_config()?)?)
    }

    /// Names a file of other tools' that still has credentials.
    pub fn logout(&self, server: &Server) -> Result<Option<PathBuf>, EngineError> {
        Ok(registry::forget(server, &self.login_config()?)?)
    }

    /// The registries that `logout --all` leaves.
    pub fn logins(&self) -> Result<Vec<Server>, EngineError> {
        Ok(registry::servers(&self.login_config()?)?)
    }

    /// What the configuration, docker's own files and containers' say of registries.
    pub(super) fn registry_config(&self) -> Result<RegistryConfig, EngineError> {
        Ok(self
            .configured_registries()?
            .with_access(&self.access, false)?)
    }

    /// The same for who writes the file of credentials, which therefore need not be there.
    fn login_config(&self) -> Result<RegistryConfig, EngineError> {
        Ok(self
            .configured_registries()?
            .with_access(&self.access, true)?)
    }

    fn configured_registries(&self) -> Result<RegistryConfig, EngineError> {
        Ok(RegistryConfig {
            docker_config: self.docker_config(),
            rules: Rules::from_environment()?,
            ..RegistryConfig::new(&self.config, &self.paths)
        })
    }

    /// The same with the credentials for what a transfer of `reference` will ask: its role could call no helper.
    pub(super) fn registry_config_for(
        &self,
        reference: &Reference,
    ) -> Result<RegistryConfig, EngineError> {
        let mut config = self.registry_config()?;
        config.look_up(reference)?;
        Ok(config)
    }
}

impl From<RegistryError> for EngineError {
    fn from(source: RegistryError) -> EngineError {
        EngineError::Registry(Box::new(source))
    }
}
