//! The Dockerfile's language: text in, typed instructions with their places out. Pure: opens no file, knows no image.

mod ast;
mod directive;
mod error;
mod expand;
mod finding;
mod flags;
pub mod glob;
mod heredoc;
mod ignore;
mod instruction;
mod lines;
mod lint;
mod mount;
mod parse;
mod pattern;
mod source;
mod words;

pub use ast::{
    Add, ArgDeclaration, Bind, Cache, Check, Command, Copy, Device, Directives, Dockerfile,
    Healthcheck, Heredoc, Instruction, Located, MountText, Run, RunBody, RunMount, RunNetwork,
    RunSecurity, Secret, Sharing, Ssh, Stage, Tmpfs, Word,
};
pub use directive::check as parse_check;
pub use error::{DockerfileError, Fault, excerpt, excerpt_of_all};
pub use expand::{
    ExpandError, ExpandFault, Lookup, MAX_HEREDOC, MAX_WORD, expand, expand_heredoc, expand_words,
};
pub use finding::{Finding, RULES, Rule};
pub use ignore::{Above, Ignore, IgnoreError, IgnoreFault, Verdict, clean};
pub use lint::{LintContext, lint};
pub use parse::{MAX_FILE, parse, parse_trigger};
pub use source::{Location, Source};
pub use words::record;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod corpus_tests;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod coverage_tests;
