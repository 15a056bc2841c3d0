//! The kernel: clone, pidfds, mounts, openat2, locks, sockets, poll, terminals. The only `unsafe`; never bryo's words or policy.

pub mod capability;
pub mod copy;
#[cfg(test)]
pub mod corpus;
pub mod disk;
pub mod entry;
pub mod fault;
pub mod fs;
pub mod gate;
pub mod keyring;
pub mod lock;
mod math;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod network;
pub mod nflog;
pub mod nftables;
pub mod pidfd;
pub mod pipe;
pub mod poll;
pub mod process;
pub mod procfs;
pub mod program;
pub mod prompt;
pub mod role;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod terminal;
pub mod text;
pub mod timer;
pub mod xattr;
