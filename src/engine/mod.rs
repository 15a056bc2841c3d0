//! The verbs, in typed requests: what cli (later api, compose and build) may ask for. Never clap, Docker JSON or printing.

pub mod images;
pub mod pull;
pub mod request;
