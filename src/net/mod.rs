//! Networks as the host and the container see them: ports, pasta, name files. Never reads containers' records.
pub mod hosts;
pub mod pasta;
pub mod ports;
pub mod publish;
pub mod resolver;
pub mod route;
