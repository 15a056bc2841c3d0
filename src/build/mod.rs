//! Builds images from Dockerfiles. Never runs a process except through `engine`.

pub mod dockerfile;
