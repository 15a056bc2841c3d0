//! Which driver stacks the layers of containers, and why. Mounts nothing but in a probe that ends at once.

use super::Engine;
use crate::config::StorageDriver;
use crate::runtime::doctor::{self, Check, State};
use crate::runtime::fuse;
use crate::runtime::isolation::{FORBIDDEN, Isolation};
use crate::runtime::rootfs::{Driver, Fallback};

/// What the next start of a container uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageChoice {
    pub driver: Driver,
    /// If that fails, what comes next is tried.
    pub may_fall_back: bool,
    pub reason: String,
}

impl Engine {
    /// As configured; where nothing is, overlay unless it has failed here before. Costs no probe.
    pub fn storage_choice(&self) -> StorageChoice {
        let set = |driver| StorageChoice {
            driver,
            may_fall_back: false,
            reason: format!(
                "storage.driver is set by {}",
                self.config.source("storage.driver")
            ),
        };
        if self.isolation() == Isolation::Chroot {
            return StorageChoice {
                driver: Driver::Copy,
                may_fall_back: false,
                reason: FORBIDDEN.to_owned(),
            };
        }
        match self.config.storage_driver {
            StorageDriver::Overlay => set(Driver::Overlay),
            StorageDriver::FuseOverlayfs => set(Driver::FuseOverlayfs),
            StorageDriver::Copy => set(Driver::Copy),
            StorageDriver::Auto => match Fallback::known(&self.paths) {
                Some(fallback) => StorageChoice {
                    driver: without_overlay(),
                    may_fall_back: true,
                    reason: fallback.reason,
                },
                None => StorageChoice {
                    driver: Driver::Overlay,
                    may_fall_back: true,
                    reason: String::new(),
                },
            },
        }
    }

    /// The driver for `info`, with its reason; where none is configured or remembered, overlay is tried as `doctor` does.
    pub fn storage_driver(&self) -> StorageChoice {
        let choice = self.storage_choice();
        if !choice.may_fall_back || choice.driver != Driver::Overlay {
            return choice;
        }
        let finding = doctor::finding(Check::Overlay, &self.paths);
        let driver = match finding.state {
            State::Fine => Driver::Overlay,
            State::Limited | State::Broken => without_overlay(),
        };
        StorageChoice {
            driver,
            reason: finding.found,
            ..choice
        }
    }
}

/// What stacks layers where the kernel does not.
fn without_overlay() -> Driver {
    match fuse::usable() {
        Ok(()) => Driver::FuseOverlayfs,
        Err(_) => Driver::Copy,
    }
}
