//! How containers are kept apart here: the one place that decides it. What follows from it is in specification and plan: a container
//! without a mount namespace of its own is confined to a copy of its layers.

use super::capability::{Capability, CapabilitySet};
use super::doctor::probe::{Outcome, in_new_namespace};
use crate::sys::{capability, process};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// By namespaces and mounts of their own.
    #[default]
    Namespaces,
    /// By chroot(2) alone: the surroundings, a container of docker's or bryo's with default settings, forbid namespaces and mounts, and
    /// this is their root.
    Chroot,
}

/// Why it is no better.
pub const FORBIDDEN: &str = "namespaces and mounts are forbidden here";

impl Isolation {
    pub fn name(self) -> &'static str {
        match self {
            Isolation::Namespaces => "namespaces",
            Isolation::Chroot => "chroot",
        }
    }

    pub fn find() -> Isolation {
        match Isolation::is_in_doubt() {
            true => Isolation::tried(),
            false => Isolation::Namespaces,
        }
    }

    /// Whether it can be anything but namespaces: for an ordinary user not, of which the kernel is not asked, nor where root may mount.
    pub fn is_in_doubt() -> bool {
        let is_candidate = |held: CapabilitySet| {
            !held.contains(Capability::SYS_ADMIN) && held.contains(Capability::SYS_CHROOT)
        };
        process::began_as_root() && is_candidate(held())
    }

    /// By an attempt.
    pub fn tried() -> Isolation {
        match in_new_namespace(|| Ok(())) {
            Outcome::Failed { .. } => Isolation::Chroot,
            Outcome::Done | Outcome::Untried { .. } => Isolation::Namespaces,
        }
    }

    /// What a program may have of all that the kernel knows. One that may use chroot(2) gets out of a directory that it is confined to.
    pub fn capabilities(self) -> CapabilitySet {
        match self {
            Isolation::Namespaces => CapabilitySet::up_to(capability::last()),
            Isolation::Chroot => held().without([Capability::SYS_CHROOT].into_iter().collect()),
        }
    }
}

fn held() -> CapabilitySet {
    let held = capability::get().unwrap_or_default();
    CapabilitySet::of_bits(held.effective & held.permitted)
}
