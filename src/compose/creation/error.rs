//! What of a service no container can be made from.

use std::error::Error;

#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("service {service:?}: {key} {value:?}")]
    Value {
        service: String,
        key: &'static str,
        value: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("service {service:?}: {key} {value:?}: {reason}")]
    Wrong {
        service: String,
        key: &'static str,
        value: String,
        reason: &'static str,
    },
    #[error("service {service:?}: {key} is not possible with bryo: {reason}")]
    Refused {
        service: String,
        key: &'static str,
        reason: &'static str,
    },
    #[error("service {service:?} refers to undefined {kind} {name:?}")]
    Undefined {
        service: String,
        kind: &'static str,
        name: String,
    },
    #[error("environment variable {variable:?} required by {kind} {name:?} is not set")]
    NoVariable {
        kind: &'static str,
        name: String,
        variable: String,
    },
    #[error("unsupported external {kind} {name}")]
    External { kind: &'static str, name: String },
    #[error(
        "service {service:?}: service {other:?}, of which it has a namespace, has no container"
    )]
    NoContainer { service: String, other: String },
}

/// Makes errors about one service.
#[derive(Clone, Copy)]
pub(super) struct Of<'a>(pub &'a str);

impl Of<'_> {
    /// A value of a key that cannot be read.
    pub fn value<E>(self, key: &'static str, value: &str) -> impl FnOnce(E) -> ServiceError
    where
        E: Error + Send + Sync + 'static,
    {
        move |source| ServiceError::Value {
            service: self.0.to_owned(),
            key,
            value: value.to_owned(),
            source: Box::new(source),
        }
    }

    pub fn wrong(self, key: &'static str, value: &str, reason: &'static str) -> ServiceError {
        ServiceError::Wrong {
            service: self.0.to_owned(),
            key,
            value: value.to_owned(),
            reason,
        }
    }

    pub fn refused(self, key: &'static str, reason: &'static str) -> ServiceError {
        ServiceError::Refused {
            service: self.0.to_owned(),
            key,
            reason,
        }
    }

    pub fn undefined(self, kind: &'static str, name: &str) -> ServiceError {
        ServiceError::Undefined {
            service: self.0.to_owned(),
            kind,
            name: name.to_owned(),
        }
    }

    /// A text as its type.
    pub fn parse<T>(self, key: &'static str, text: &str) -> Result<T, ServiceError>
    where
        T: std::str::FromStr,
        T::Err: Error + Send + Sync + 'static,
    {
        text.parse().map_err(self.value(key, text))
    }
}
