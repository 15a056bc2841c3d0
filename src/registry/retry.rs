//! When a request is sent again, and after how long. Never retries what a second try cannot change.

use std::time::{Duration, SystemTime};

use reqwest::blocking::Response;
use reqwest::header::RETRY_AFTER;

use super::config::Limits;
use super::error::RegistryError;
use super::exchange::{Exchange, Request, host_of, printable, read_bounded};
use super::progress::Progress;
use super::redirect;

/// Sends a request, following redirects, until the answer is final. 401 and 404 are answers, 429 and 5xx are not.
pub(super) fn send(
    exchange: &Exchange<'_>,
    request: &Request,
    progress: &dyn Progress,
) -> Result<Response, RegistryError> {
    if request.once {
        return redirect::send(exchange, request);
    }
    let limits = &exchange.config().limits;
    let mut attempt = 1;
    loop {
        let failure = match redirect::send(exchange, request) {
            Ok(response) if !is_temporary(response.status().as_u16()) => return Ok(response),
            Ok(response) => Failure::Answer(response),
            Err(error) if is_transient(&error) => Failure::Error(error),
            Err(error) => return Err(error),
        };
        let wait = failure.wait(limits, attempt);
        if attempt >= limits.attempts || wait > limits.retry_after_cap {
            return Err(failure.give_up(&host_of(&request.url), attempt));
        }
        let why = failure.reason();
        tracing::debug!(attempt, ?wait, why, "retry");
        progress.note(&format!(
            "{}: {why}, trying again in {:.1} s",
            host_of(&request.url),
            wait.as_secs_f32()
        ));
        exchange.pause(wait)?;
        attempt += 1;
    }
}

enum Failure {
    Answer(Response),
    Error(RegistryError),
}

impl Failure {
    fn wait(&self, limits: &Limits, attempt: u32) -> Duration {
        let asked = match self {
            Failure::Answer(response) => retry_after(response, SystemTime::now()),
            Failure::Error(_) => None,
        };
        asked.unwrap_or_else(|| backoff(limits, attempt))
    }

    fn reason(&self) -> String {
        match self {
            Failure::Answer(response) => format!("answered {}", response.status()),
            Failure::Error(error) => error.to_string(),
        }
    }

    fn give_up(self, host: &str, attempts: u32) -> RegistryError {
        let host = host.to_owned();
        match self {
            Failure::Error(error) => error,
            Failure::Answer(mut response) if response.status().as_u16() == 429 => {
                RegistryError::RateLimited {
                    host,
                    limit: rate_limit(&response),
                    retry_after: retry_after(&response, SystemTime::now()),
                    message: server_message(&mut response),
                }
            }
            Failure::Answer(mut response) => RegistryError::Unavailable {
                host,
                status: response.status().as_u16(),
                attempts,
                message: server_message(&mut response),
            },
        }
    }
}

pub(super) fn is_temporary(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// A refused connection, an unknown host or an untrusted certificate stays what it is; a broken or silent one may not.
pub(super) fn is_transient(error: &RegistryError) -> bool {
    matches!(
        error,
        RegistryError::Broken { .. } | RegistryError::Timeout { .. }
    )
}

/// How long to wait before the next try.
pub(super) fn backoff(limits: &Limits, attempt: u32) -> Duration {
    let delay = limits.retry_delay;
    delay.unwrap_or_else(|| doubled(limits.backoff, attempt))
}

/// Doubles with each attempt, up to sixteen times the first, since a person waits.
/// Up to a quarter is added so that clients of one outage do not return in step.
fn doubled(base: Duration, attempt: u32) -> Duration {
    let doubled = base.saturating_mul(1 << attempt.saturating_sub(1).min(4));
    let nanos = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos());
    doubled + (doubled / 4).mul_f64(f64::from(nanos % 1000) / 1000.0)
}

fn retry_after(response: &Response, now: SystemTime) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    parse_retry_after(value, now)
}

/// Docker Hub's `RateLimit-Limit: 100;w=21600`: so many requests in so many seconds.
fn rate_limit(response: &Response) -> String {
    let value = response.headers().get("ratelimit-limit");
    let value = value.and_then(|value| value.to_str().ok());
    value.and_then(parse_rate_limit).unwrap_or_default()
}

fn parse_rate_limit(value: &str) -> Option<String> {
    let (count, window) = value.split_once(";w=")?;
    let count: u64 = count.trim().parse().ok()?;
    let window: u64 = window.trim().parse().ok()?;
    let window = match (window / 3600, window / 60) {
        (1, _) => "an hour".to_owned(),
        (hours @ 2.., _) => format!("{hours} hours"),
        (_, 2..) => format!("{} minutes", window / 60),
        _ => format!("{window} s"),
    };
    Some(format!(" ({count} requests in {window})"))
}

/// RFC 9110 section 10.2.3: seconds, or an HTTP date.
fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(value)
        .ok()?;
    let then = SystemTime::from(date);
    Some(then.duration_since(now).unwrap_or(Duration::ZERO))
}

/// `: <what the server said>`, from the distribution spec's error document; empty where there is none.
pub(super) fn server_message(response: &mut Response) -> String {
    let Ok(Some(body)) = read_bounded(response, 16 * 1024) else {
        return String::new();
    };
    message_of(&body)
}

fn message_of(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Document {
        errors: Vec<Entry>,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let Ok(document) = serde_json::from_slice::<Document>(body) else {
        return String::new();
    };
    match document.errors.first() {
        Some(entry) if !entry.message.is_empty() => format!(": {}", printable(&entry.message, 200)),
        Some(entry) if !entry.code.is_empty() => format!(": {}", printable(&entry.code, 60)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let parse = |text| parse_retry_after(text, now);
        assert_eq!(parse("7"), Some(Duration::from_secs(7)));
        assert_eq!(
            parse("Sun, 06 Nov 1994 08:50:37 GMT"),
            Some(Duration::from_secs(60))
        );
        assert_eq!(parse("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(parse("soon"), None);
    }

    #[test]
    fn docker_hubs_limit_is_said_in_words() {
        let words = |value| parse_rate_limit(value).unwrap_or_default();
        assert_eq!(words("100;w=21600"), " (100 requests in 6 hours)");
        assert_eq!(words("10;w=60"), " (10 requests in 60 s)");
        assert_eq!(words("100"), "");
        assert_eq!(words("x;w=y"), "");
    }

    #[test]
    fn waits_double_and_stay_bounded() {
        let base = Duration::from_millis(100);
        for (attempt, least) in [(1, 100), (2, 200), (3, 400), (40, 1600)] {
            let wait = doubled(base, attempt).as_millis();
            assert!(
                wait >= least && wait <= least * 5 / 4 + 1,
                "{attempt}: {wait}"
            );
        }
    }

    #[test]
    fn a_servers_message_cannot_drive_the_terminal() {
        let body = br#"{"errors":[{"code":"X","message":"bad\u001b[2J\nname"}]}"#;
        assert_eq!(message_of(body), ": bad [2J name");
        assert_eq!(message_of(b"<html>"), "");
    }
}
