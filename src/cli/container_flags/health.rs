//! The flags about a container's health, for `run`, `create` and `update`. Looks nothing up.

use std::time::Duration;

use super::value;
use crate::cli::error::CliError;
use crate::container::HealthCheck;
use crate::engine::request::parse_go_duration;

#[derive(clap::Args, Debug)]
pub struct HealthFlags {
    /// Program that checks the health (a line for /bin/sh, or a JSON array of words)
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true)]
    health_cmd: Option<String>,
    /// Time between two checks (30s)
    #[arg(long, value_name = "TIME")]
    health_interval: Option<String>,
    /// Failures in a row that mean bad health (3)
    #[arg(long, value_name = "COUNT")]
    health_retries: Option<String>,
    /// Time after the start in which failures do not count (0s)
    #[arg(long, value_name = "TIME")]
    health_start_period: Option<String>,
    /// Time between two checks while it lasts (5s)
    #[arg(long, value_name = "TIME")]
    health_start_interval: Option<String>,
    /// Time that one check may take (30s)
    #[arg(long, value_name = "TIME")]
    health_timeout: Option<String>,
    /// What follows from bad health: none, kill, restart, stop
    #[arg(long, value_name = "ACTION")]
    health_on_failure: Option<String>,
    /// Do not check the health, whatever the image says
    #[arg(long)]
    no_healthcheck: bool,
}

impl HealthFlags {
    /// What they say; None: nothing.
    pub fn parse(&self) -> Result<Option<HealthCheck>, CliError> {
        let time = |flag, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| duration(flag, text)).transpose()
        };
        let retries = self.health_retries.as_deref();
        let on_failure = self.health_on_failure.as_deref();
        let mut check = HealthCheck {
            test: self.health_cmd.as_deref().map_or(Vec::new(), test),
            interval: time("--health-interval", &self.health_interval)?,
            timeout: time("--health-timeout", &self.health_timeout)?,
            start_period: time("--health-start-period", &self.health_start_period)?,
            start_interval: time("--health-start-interval", &self.health_start_interval)?,
            retries: retries
                .map(|text| value("--health-retries", text))
                .transpose()?,
            on_failure: on_failure
                .map(|text| value("--health-on-failure", text))
                .transpose()?,
        };
        let said = check != HealthCheck::default();
        if self.no_healthcheck {
            if said {
                return Err(CliError::usage(
                    "--no-healthcheck conflicts with --health-* options",
                ));
            }
            check.test = vec!["NONE".to_owned()];
        }
        Ok((said || self.no_healthcheck).then_some(check))
    }
}

/// Docker takes the text for a shell's line; podman's JSON array is one of words.
fn test(text: &str) -> Vec<String> {
    if let Ok(words) = serde_json::from_str::<Vec<String>>(text)
        && !words.is_empty()
    {
        let named = matches!(words[0].as_str(), "CMD" | "CMD-SHELL" | "NONE");
        let first = (!named).then(|| "CMD".to_owned());
        return first.into_iter().chain(words).collect();
    }
    match text {
        "none" => vec!["NONE".to_owned()],
        line => vec!["CMD-SHELL".to_owned(), line.to_owned()],
    }
}

/// Docker's bounds: nothing, which means the default, or at least a millisecond.
fn duration(flag: &str, text: &str) -> Result<Duration, CliError> {
    let wrong = |why: &str| {
        CliError::usage(format!(
            "invalid argument {text:?} for {flag:?} flag: {why}"
        ))
    };
    let nanoseconds = parse_go_duration(text).ok_or_else(|| wrong("invalid duration"))?;
    let nanoseconds = u64::try_from(nanoseconds).map_err(|_| wrong("it cannot be negative"))?;
    if (1..1_000_000).contains(&nanoseconds) {
        return Err(wrong("it cannot be less than 1ms"));
    }
    Ok(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_for_the_shell_and_an_array_is_not() {
        assert_eq!(test("test -e /x"), ["CMD-SHELL", "test -e /x"]);
        assert_eq!(test(r#"["/bin/check", "-v"]"#), ["CMD", "/bin/check", "-v"]);
        assert_eq!(test(r#"["CMD-SHELL", "a && b"]"#), ["CMD-SHELL", "a && b"]);
        assert_eq!(test("none"), ["NONE"]);
    }

    #[test]
    fn times_are_go_s_and_not_too_short() {
        assert_eq!(duration("-x", "1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("-x", "0"), Ok(Duration::ZERO));
        for wrong in ["-1s", "10us", "5", "soon"] {
            assert!(duration("-x", wrong).is_err(), "{wrong} was accepted");
        }
    }
}
