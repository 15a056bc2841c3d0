//! The modules of bryo, in layer order: a module imports only from those below it (`tests/architecture`).
pub mod cli;

pub mod compose;

pub mod build;

pub mod engine;

pub mod monitor;
pub mod registry;

pub mod container;
pub mod image;
pub mod net;
pub mod runtime;

pub mod config;
pub mod paths;
pub mod sys;
