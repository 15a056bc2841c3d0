//! Which services a command is about: profiles, names, and what those need.

use std::collections::BTreeSet;

use super::model::Project;
use super::{ComposeError, Request};

/// Puts aside the services whose profiles are not active; those that are named are, and so are their profiles.
pub fn activate(
    project: &mut Project,
    profiles: &[String],
    request: &Request,
) -> Result<(), ComposeError> {
    let mut active: Vec<String> = profiles.to_vec();
    for name in &request.services {
        match project.services.get(name) {
            Some(service) => active.extend(service.profiles.iter().cloned()),
            None => {
                let name = name.clone();
                return Err(ComposeError::NoService { name });
            }
        }
    }
    let all = active.iter().any(|profile| profile == "*");
    let is_active = |profiles: &[String]| {
        all || profiles.is_empty() || profiles.iter().any(|profile| active.contains(profile))
    };
    let (kept, aside) = std::mem::take(&mut project.services)
        .into_iter()
        .partition(|(_, service)| is_active(&service.profiles));
    (project.services, project.disabled) = (kept, aside);
    project.profiles = active;
    Ok(())
}

impl Project {
    /// These services with everything that they need, or all of them where none is named.
    pub fn select(&mut self, names: &[String], with_needed: bool) -> Result<(), ComposeError> {
        if names.is_empty() {
            return Ok(());
        }
        let mut wanted = BTreeSet::new();
        let mut open: Vec<String> = names.to_vec();
        while let Some(name) = open.pop() {
            let Some(service) = self.services.get(&name) else {
                if names.contains(&name) {
                    return Err(ComposeError::NoService { name });
                }
                continue;
            };
            if wanted.insert(name) && with_needed {
                open.extend(service.depends_on.keys().cloned());
            }
        }
        let (kept, aside): (super::model::Named<_>, super::model::Named<_>) =
            std::mem::take(&mut self.services)
                .into_iter()
                .partition(|(name, _)| wanted.contains(name));
        self.services = kept;
        self.disabled.extend(aside);
        if !with_needed {
            let services: BTreeSet<String> = self.services.keys().cloned().collect();
            for service in self.services.values_mut() {
                service.depends_on.retain(|name, _| services.contains(name));
            }
        }
        Ok(())
    }

    /// Forgets networks, volumes, secrets, configs and models that no service uses.
    pub fn forget_unused(&mut self) {
        let services = || self.services.values();
        let networks: BTreeSet<&String> = services().flat_map(|s| s.networks.keys()).collect();
        let volumes: BTreeSet<&String> = services()
            .flat_map(|s| s.volumes.iter().map(|mount| &mount.source))
            .collect();
        let builds = services().filter_map(|s| s.build.as_ref());
        let secrets: BTreeSet<&String> = services()
            .flat_map(|s| &s.secrets)
            .chain(builds.flat_map(|build| &build.secrets))
            .map(|secret| &secret.source)
            .collect();
        let configs: BTreeSet<&String> = services()
            .flat_map(|s| s.configs.iter().map(|config| &config.source))
            .collect();
        let models: BTreeSet<&String> = services().flat_map(|s| s.models.keys()).collect();
        self.networks.retain(|name, _| networks.contains(name));
        self.volumes.retain(|name, _| volumes.contains(name));
        self.secrets.retain(|name, _| secrets.contains(name));
        self.configs.retain(|name, _| configs.contains(name));
        self.models.retain(|name, _| models.contains(name));
    }
}
