//! OCI runtime spec to a pure, ordered list of setup steps to a process: namespaces, id maps, cgroup, capabilities, seccomp.
//! Never the store, never image names.

pub mod accounts;
pub mod apart;
pub mod capability;
pub mod cdi;
pub mod cgroup;
mod child;
pub mod defaults;
pub mod doctor;
pub mod embedded;
pub mod enter;
pub mod entrance;
pub mod execute;
pub mod fill;
pub mod freeze;
pub mod fuse;
pub mod home;
pub mod idmap;
mod limit;
pub mod limits;
mod mounts;
pub mod plan;
pub mod preserved;
mod privileges;
mod program;
pub mod rootfs;
pub mod seccomp;
pub mod secrets;
pub mod spec;
mod steps;
pub mod subids;
pub mod sweep;
pub mod systemd;
pub mod user;
pub mod userns;
pub mod view;
