//! What a container has mounted.

use std::path::PathBuf;

use super::{Container, ServiceError, text};
use crate::compose::model::{self, MountKind as Kind};
use crate::compose::order::volumes_of;
use crate::engine::request::{
    BindOptions, CreateRequest, Mount, MountKind, Propagation, VolumeOptions, clean, joined,
};

const KEY: &str = "volumes";

impl Container<'_> {
    pub(super) fn mount(
        &self,
        request: &mut CreateRequest,
        warn: &mut dyn FnMut(String),
    ) -> Result<(), ServiceError> {
        let service = self.service;
        let volumes = service.volumes.iter().map(|mount| self.one(mount));
        let tmpfs = service
            .tmpfs
            .iter()
            .map(|text| Mount::from_tmpfs_flag(text).map_err(self.of().value("tmpfs", text)));
        let (volumes, tmpfs) = (
            volumes.collect::<Result<_, _>>()?,
            tmpfs.collect::<Result<_, _>>()?,
        );
        self.files(request, warn)?;
        let files = std::mem::take(&mut request.mounts);
        let mounts = joined(volumes, files, tmpfs);
        request.mounts = mounts.map_err(self.of().value(KEY, "targets"))?;
        request.volume_driver = text(&service.volume_driver);
        for from in &service.volumes_from {
            let (container, access) = self.volumes_from(from)?;
            let text = format!("{container}{access}");
            request
                .volumes_from
                .push(self.of().parse("volumes_from", &text)?);
        }
        Ok(())
    }

    /// The container that is meant, and `:ro` where it is said.
    fn volumes_from<'t>(&self, text: &'t str) -> Result<(String, &'t str), ServiceError> {
        let Some(service) = volumes_of(text) else {
            let named = text.strip_prefix("container:").unwrap_or(text);
            return Ok((named.to_owned(), ""));
        };
        Ok((self.first_of(service)?, &text[service.len()..]))
    }

    fn one(&self, mount: &model::Mount) -> Result<Mount, ServiceError> {
        let kind = match mount.kind {
            Kind::Bind => MountKind::Bind(self.bind(mount)?),
            Kind::Volume => MountKind::Volume(self.volume(mount)?),
            Kind::Tmpfs => return self.tmpfs(mount),
            Kind::Image => {
                return Err(self
                    .of()
                    .refused("volumes.type image", "it mounts no images"));
            }
            Kind::Npipe => {
                let reason = "named pipes exist on Windows only";
                return Err(self.of().refused("volumes.type npipe", reason));
            }
            Kind::Cluster => {
                let reason = "cluster volumes need a swarm, and bryo has none";
                return Err(self.of().refused("volumes.type cluster", reason));
            }
        };
        let target = match mount.target.starts_with('/') {
            true => clean(&mount.target),
            false => {
                let reason = "a target is an absolute path";
                return Err(self.of().wrong(KEY, &mount.target, reason));
            }
        };
        if target == "/" {
            let reason = "destination can't be '/'";
            return Err(self.of().wrong(KEY, &mount.target, reason));
        }
        Ok(Mount {
            kind,
            target,
            read_only: mount.read_only,
            chown: false,
        })
    }

    fn bind(&self, mount: &model::Mount) -> Result<BindOptions, ServiceError> {
        let source = self.project.working_dir.join(&mount.source);
        let said = mount.bind.clone().unwrap_or_default();
        match said.recursive.as_str() {
            "" | "enabled" => {}
            "readonly" if mount.read_only => {}
            "readonly" => {
                let reason = "it is for a mount that is read_only";
                return Err(self
                    .of()
                    .wrong("volumes.bind.recursive", "readonly", reason));
            }
            other => {
                let reason = "what is mounted below the source comes along, and is as it is";
                return Err(self.of().wrong("volumes.bind.recursive", other, reason));
            }
        }
        let propagation = match said.propagation.as_str() {
            "" => Propagation::default(),
            text => Propagation::parse(text).ok_or_else(|| {
                let reason = "unknown propagation";
                self.of().wrong("volumes.bind.propagation", text, reason)
            })?,
        };
        Ok(BindOptions {
            source: PathBuf::from(clean(&source.to_string_lossy())),
            create_source: said.create_host_path,
            propagation,
        })
    }

    fn volume(&self, mount: &model::Mount) -> Result<VolumeOptions, ServiceError> {
        let said = mount.volume.clone().unwrap_or_default();
        let name = match mount.source.as_str() {
            "" => None,
            key => {
                let volume = self.project.volumes.get(key);
                let volume = volume.ok_or_else(|| self.of().undefined("volume", key))?;
                Some(volume.name.clone())
            }
        };
        Ok(VolumeOptions {
            name,
            inherited: false,
            no_copy: said.nocopy,
            subpath: said.subpath,
            labels: said.labels,
            driver: None,
            options: Default::default(),
        })
    }

    fn tmpfs(&self, mount: &model::Mount) -> Result<Mount, ServiceError> {
        let said = mount.tmpfs.clone().unwrap_or_default();
        let mut options = Vec::new();
        if said.size.0 > 0 {
            options.push(format!("size={}", said.size.0));
        }
        if said.mode > 0 {
            options.push(format!("mode={:o}", said.mode));
        }
        if mount.read_only {
            options.push("ro".to_owned());
        }
        let text = match options.as_slice() {
            [] => mount.target.clone(),
            options => format!("{}:{}", mount.target, options.join(",")),
        };
        Mount::from_tmpfs_flag(&text).map_err(self.of().value(KEY, &text))
    }
}
