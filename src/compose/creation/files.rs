//! A container's secrets and configs. One that is a file of the host's is bound; one that the compose file or a variable has the
//! content of is in the container's record, and on a tmpfs: nothing of it is written where an image or a program could have put
//! a link.

use super::{Container, ServiceError};
use crate::compose::model::{FileObject, FileRef, Named};
use crate::container::{FileConfig, SecretConfig, SecretPlace};
use crate::engine::request::{BindOptions, CreateRequest, Mount, MountKind, Propagation, clean};

/// As docker makes them.
const MODE: u32 = 0o444;

#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    key: &'static str,
    /// Where those are that name no place.
    directory: &'static str,
}

const SECRET: Kind = Kind {
    name: "secret",
    key: "secrets",
    directory: "/run/secrets/",
};
const CONFIG: Kind = Kind {
    name: "config",
    key: "configs",
    directory: "/",
};

impl Container<'_> {
    pub(super) fn files(
        &self,
        request: &mut CreateRequest,
        warn: &mut dyn FnMut(String),
    ) -> Result<(), ServiceError> {
        let service = self.service;
        for (wanted, all, kind) in [
            (&service.secrets, &self.project.secrets, SECRET),
            (&service.configs, &self.project.configs, CONFIG),
        ] {
            for one in wanted {
                self.file(one, (all, kind), request, warn)?;
            }
        }
        Ok(())
    }

    fn file(
        &self,
        wanted: &FileRef,
        (all, kind): (&Named<FileObject>, Kind),
        request: &mut CreateRequest,
        warn: &mut dyn FnMut(String),
    ) -> Result<(), ServiceError> {
        let source = &wanted.source;
        let object = all.get(source);
        let object = object.ok_or_else(|| self.of().undefined(kind.name, source))?;
        let target = match wanted.target.as_str() {
            "" => format!("{}{source}", kind.directory),
            path if path.starts_with('/') => path.to_owned(),
            name => format!("{}{name}", kind.directory),
        };
        let target = clean(&target);
        let mode = wanted.mode.as_deref().map_or(Ok(MODE), |text| {
            let mode = u32::from_str_radix(text, 8)
                .ok()
                .filter(|mode| *mode <= 0o7777);
            mode.ok_or_else(|| self.of().wrong(kind.key, text, "a mode is octal"))
        })?;
        let id = |text: &str| match text {
            "" => Ok(0),
            text => self.of().parse::<u32>(kind.key, text),
        };
        let (uid, gid) = (id(&wanted.uid)?, id(&wanted.gid)?);
        if object.external {
            if kind.name != SECRET.name {
                let (kind, name) = (kind.name, source.clone());
                return Err(ServiceError::External { kind, name });
            }
            // bryo keeps secrets itself.
            request.secrets.push(SecretConfig {
                name: object.name.clone(),
                place: SecretPlace::File {
                    target,
                    uid,
                    gid,
                    mode,
                },
            });
            return Ok(());
        }
        if !object.file.is_empty() {
            let asks = wanted.mode.is_some() || !wanted.uid.is_empty() || !wanted.gid.is_empty();
            if asks {
                let key = kind.key;
                warn(format!(
                    "{key} `uid`, `gid` and `mode` are not supported, they will be ignored"
                ));
            }
            let source = self.project.working_dir.join(&object.file);
            request.mounts.push(Mount {
                kind: MountKind::Bind(BindOptions {
                    source: clean(&source.to_string_lossy()).into(),
                    create_source: false,
                    propagation: Propagation::default(),
                }),
                target,
                read_only: true,
                chown: false,
            });
            return Ok(());
        }
        request.files.push(FileConfig {
            target,
            content: self.content(object, (source, kind.name))?,
            uid,
            gid,
            mode,
        });
        Ok(())
    }

    fn content(
        &self,
        object: &FileObject,
        (name, kind): (&str, &'static str),
    ) -> Result<Vec<u8>, ServiceError> {
        let text = match object.environment.as_str() {
            "" => &object.content,
            variable => {
                let value = self.project.environment.get(variable);
                value.ok_or_else(|| ServiceError::NoVariable {
                    kind,
                    name: name.to_owned(),
                    variable: variable.to_owned(),
                })?
            }
        };
        Ok(crate::sys::text::bytes(text).into_owned())
    }
}
