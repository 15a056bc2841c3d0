//! `diff`: what a container changed in its image, without what the engine put there to mount on.

use std::collections::HashSet;
use std::io;

use super::super::worker::RoleFailure;
use super::super::{Engine, EngineError};
use super::door::failure;
use super::own_layer::OwnLayer;
use crate::container::{ContainerConfig, Record};
use crate::image::{ChangeKind, LayerPath, Layers};
use crate::runtime::rootfs::{Driver, clean};
use crate::sys::process;

/// Made at every start, on whatever lies there; docker keeps them in a layer of their own.
const ENGINE_MADE: [&str; 6] = [
    "proc",
    "sys",
    "dev",
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
];

impl Engine {
    /// The changed paths, in their order.
    pub fn changes(&self, text: &str) -> Result<Vec<(LayerPath, ChangeKind)>, EngineError> {
        let record = self.find(text)?;
        let config = self.config_of(&record)?;
        let mut mount_points = engine_made();
        let targets = config.host.mounts.iter().map(|mount| &mount.target);
        let targets = targets.chain(&config.process.volumes);
        for target in targets {
            let path = clean(target.as_ref());
            let path = path.strip_prefix("/").expect("clean paths are absolute");
            mount_points.insert(LayerPath(path.as_os_str().as_encoded_bytes().to_vec()));
        }
        let store = self.images()?;
        self.in_home("worker", || {
            process::allow_descriptors();
            let rootfs = self.rootfs(&record, &config);
            let own = OwnLayer::of(&store, &rootfs)?;
            let layers = Layers {
                upper: own.path(),
                below: &rootfs.lower,
                mount_points,
                marker_files: has_marker_files(&record),
            };
            let changes = layers.changes();
            Ok(changes.map_err(|source| unread(&config, source))?.list)
        })
    }
}

pub fn engine_made() -> HashSet<LayerPath> {
    let made = ENGINE_MADE.iter();
    made.map(|path| LayerPath(path.as_bytes().to_vec()))
        .collect()
}

/// Whether fuse-overlayfs, which may write whiteouts as files, made the layer.
pub fn has_marker_files(record: &Record) -> bool {
    let last = record.last_run().map(|run| run.driver);
    last.as_deref() == Some(Driver::FuseOverlayfs.name())
}

pub fn unread(config: &ContainerConfig, source: io::Error) -> RoleFailure {
    failure(&EngineError::Changes {
        name: config.id.short().to_owned(),
        source,
    })
}
