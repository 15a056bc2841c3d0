//! The Dockerfile's language: text in, typed instructions with their places out. Pure: opens no file, knows no image.

mod ast;
mod source;

pub use ast::{
    Add, ArgDeclaration, Bind, Cache, Check, Command, Copy, Device, Directives, Dockerfile,
    Healthcheck, Heredoc, Instruction, Located, MountText, Run, RunBody, RunMount, RunNetwork,
    RunSecurity, Secret, Sharing, Ssh, Stage, Tmpfs, Word,
};
pub use source::{Location, Source};
