//! What can go wrong while a project is worked on: whose fault it is, and why.

use crate::compose::creation::ServiceError;
use crate::compose::resources::ResourceError;
use crate::engine::EngineError;

#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    #[error("no such service: {name}")]
    NoService { name: String },
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error(transparent)]
    Resource(#[from] ResourceError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// What was done with what.
    #[error("{subject}: {source}")]
    Of {
        subject: String,
        source: EngineError,
    },
    #[error(
        "service {service:?} has neither an image nor a build context specified: invalid compose project"
    )]
    NoImage { service: String },
    #[error(
        "The {service:?} service is using the custom container name {name:?}. A name is one container's alone. Remove the custom name to scale the service"
    )]
    NamedScale { service: String, name: String },
    #[error("services need each other in a circle: {}", names.join(", "))]
    Circle { names: Vec<String> },
    #[error(
        "network {name} was found but has incorrect label {label} set to {found:?} (expected: {expected:?})"
    )]
    ForeignNetwork {
        name: String,
        label: &'static str,
        found: String,
        expected: String,
    },
    #[error("network {name} declared as external, but could not be found")]
    NoNetwork { name: String },
    #[error("external volume {name:?} not found")]
    NoVolume { name: String },
    #[error("dependency failed to start: {reason}")]
    Dependency { reason: String },
    #[error("service {service:?} didn't complete successfully: exit {code}")]
    NotCompleted { service: String, code: i32 },
    #[error("container {name} is unhealthy")]
    Unhealthy { name: String },
    #[error("container {name} exited ({code})")]
    Exited { name: String, code: i32 },
    #[error("container {name} has no healthcheck configured")]
    NoHealthCheck { name: String },
    #[error("application not healthy after {seconds}s")]
    Late { seconds: u64 },
    #[error("service {service:?} has no container to start")]
    NoContainer { service: String },
    #[error("{hook} hook of container {name} exited with status code {code}")]
    Hook {
        hook: &'static str,
        name: String,
        code: i32,
    },
    /// `up` in the foreground was told to end.
    #[error("interrupted")]
    Interrupted,
}

impl ExecuteError {
    pub(super) fn of(subject: impl Into<String>) -> impl FnOnce(EngineError) -> ExecuteError {
        let subject = subject.into();
        |source| ExecuteError::Of { subject, source }
    }
}
