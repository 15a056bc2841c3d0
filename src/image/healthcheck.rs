//! The `Healthcheck` of an image's configuration: docker's extension of the OCI format, so it is read beside it.

use serde::Deserialize;

/// Durations are nanoseconds; 0 and what is missing mean docker's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    pub test: Vec<String>,
    pub interval: u64,
    pub timeout: u64,
    pub start_period: u64,
    pub start_interval: u64,
    pub retries: u32,
}

#[derive(Deserialize)]
struct Document {
    config: Option<Settings>,
}

#[derive(Deserialize)]
struct Settings {
    #[serde(rename = "Healthcheck")]
    healthcheck: Option<Healthcheck>,
}

impl Healthcheck {
    /// From a configuration that was parsed already; one whose check makes no sense has none.
    pub fn parse(config: &[u8]) -> Option<Healthcheck> {
        const NAME: &[u8] = b"Healthcheck";
        // Hardly any image has one, and every start of a container comes by here.
        config
            .windows(NAME.len())
            .any(|window| window == NAME)
            .then_some(())?;
        let document: Document = serde_json::from_slice(config).ok()?;
        document.config?.healthcheck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_found_where_docker_writes_it() {
        let text = br#"{"config":{"Healthcheck":{"Test":["CMD","x"],"Interval":5,"Retries":2}}}"#;
        let found = Healthcheck::parse(text).expect("it is there");
        assert_eq!((found.interval, found.retries, found.timeout), (5, 2, 0));
        for other in [&br#"{"config":{}}"#[..], br#"{"Healthcheck":{}}"#, b"{}"] {
            assert_eq!(Healthcheck::parse(other), None);
        }
    }
}
