//! The verbs on secrets, and handing them to a container that starts. A value is in memory only.

use std::path::PathBuf;

use super::request::{CreateSecretRequest, SecretFilters};
use super::{Engine, EngineError};
use crate::container::{ContainerConfig, Secret, SecretConfig, SecretPlace, SecretValue};
use crate::runtime::secrets::SecretFile;

impl Engine {
    pub fn create_secret(&self, request: CreateSecretRequest) -> Result<Secret, EngineError> {
        let name = request.name.parse()?;
        let value = SecretValue::new(request.value)?;
        let labels = request.labels;
        Ok(self
            .secrets
            .create(&name, &value, labels, request.replace)?)
    }

    /// By name, id or beginning of an id.
    pub fn secret(&self, text: &str) -> Result<(Secret, SecretValue), EngineError> {
        Ok(self.secrets.find(text)?)
    }

    pub fn list_secrets(&self, filters: &SecretFilters) -> Result<Vec<Secret>, EngineError> {
        let any = |wanted: &[String], text: &str| {
            wanted.is_empty() || wanted.iter().any(|start| text.starts_with(start))
        };
        let keep = |secret: &Secret| {
            any(&filters.ids, &secret.id)
                && any(&filters.names, &secret.name)
                && filters.labels.fit(&secret.labels)
        };
        let mut all = self.secrets.all()?;
        all.retain(keep);
        Ok(all)
    }

    /// Refused while a container needs it for its next start; gives its id.
    pub fn remove_secret(&self, text: &str) -> Result<String, EngineError> {
        let (secret, _) = self.secrets.find(text)?;
        let mut users = Vec::new();
        for record in self.containers.all()? {
            let Ok(config) = record.config() else {
                continue;
            };
            let mut used = config.host.secrets.iter();
            if used.any(|used| used.name == secret.name) {
                users.push(self.containers.name_of(&record));
            }
        }
        if !users.is_empty() {
            return Err(EngineError::SecretInUse {
                name: secret.name,
                users,
            });
        }
        self.secrets.remove(&secret)?;
        Ok(secret.id)
    }

    /// Whether all of them are there.
    pub(super) fn check_secrets(&self, wanted: &[SecretConfig]) -> Result<(), EngineError> {
        let mut wanted = wanted.iter();
        wanted.try_for_each(|secret| self.secrets.find(&secret.name).map(drop))?;
        Ok(())
    }

    /// A container's secrets and the files of its record: the files, and the variables as `NAME=value`.
    pub(super) fn launch_secrets(
        &self,
        config: &ContainerConfig,
    ) -> Result<(Vec<SecretFile>, Vec<String>), EngineError> {
        let own = config.host.files.iter().map(|file| SecretFile {
            target: PathBuf::from(&file.target),
            content: file.content.clone(),
            uid: file.uid,
            gid: file.gid,
            mode: file.mode,
        });
        let (mut files, mut variables) = (own.collect::<Vec<_>>(), Vec::new());
        for wanted in &config.host.secrets {
            let (_, value) = self.secrets.find(&wanted.name)?;
            match &wanted.place {
                SecretPlace::File {
                    target,
                    uid,
                    gid,
                    mode,
                } => files.push(SecretFile {
                    target: PathBuf::from(target),
                    content: value.expose().to_vec(),
                    uid: *uid,
                    gid: *gid,
                    mode: *mode,
                }),
                SecretPlace::Variable { name } => {
                    let text = std::str::from_utf8(value.expose()).ok();
                    let text = text.filter(|text| !text.contains('\0'));
                    let text = text.ok_or_else(|| EngineError::SecretVariable {
                        name: wanted.name.clone(),
                    })?;
                    variables.push(format!("{name}={text}"));
                }
            }
        }
        Ok((files, variables))
    }
}
