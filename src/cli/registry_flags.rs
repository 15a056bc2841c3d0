//! podman's flags of every command that speaks to a registry: `--tls-verify`, `--authfile`, `--creds`, `--cert-dir`, `--retry`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;

use super::Invocation;
use super::error::{CliError, Kind};
use super::login;
use crate::engine::request::parse_go_duration;
use crate::registry::{Access, Credentials, Secret};

#[derive(clap::Args, Debug)]
pub struct RegistryFlags {
    #[command(flatten)]
    pub place: PlaceFlags,
    /// User and password for the registry, which everybody on this machine can read here
    #[arg(long, value_name = "USER[:PASSWORD]")]
    creds: Option<Password>,
    /// How many times to try again what failed and may go well the next time (4)
    #[arg(long, value_name = "N")]
    retry: Option<u32>,
    /// How long to wait before each of these tries, instead of longer each time
    #[arg(long, value_name = "DURATION", value_parser = delay)]
    retry_delay: Option<Duration>,
}

// Those that a login has too.
#[derive(clap::Args, Debug)]
pub struct PlaceFlags {
    /// Speak TLS and verify certificates whatever is configured, or with =false neither
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub tls_verify: Option<bool>,
    /// File of registry credentials, instead of all others
    #[arg(long, value_name = "FILE")]
    authfile: Option<PathBuf>,
    /// Directory of the authorities to trust (*.crt) and of client certificates (*.cert, *.key), instead of those in certs.d
    #[arg(long, value_name = "DIRECTORY")]
    cert_dir: Option<PathBuf>,
}

/// An argument that no debug output shows.
#[derive(Clone)]
pub struct Password(pub Secret);

impl From<String> for Password {
    fn from(text: String) -> Password {
        Password(Secret::new(text))
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl PlaceFlags {
    pub fn access(&self) -> Access {
        Access {
            tls_verify: self.tls_verify,
            auth_file: self.authfile.clone(),
            cert_dir: self.cert_dir.clone(),
            ..Access::default()
        }
    }
}

impl RegistryFlags {
    /// A password that is not there is asked for.
    pub fn access(&self, invocation: &Invocation) -> Result<Access, CliError> {
        let credentials = match &self.creds {
            None => None,
            Some(given) => Some(credentials(given, invocation)?),
        };
        Ok(Access {
            credentials,
            retries: self.retry,
            retry_delay: self.retry_delay,
            ..self.place.access()
        })
    }

    /// docker's `--insecure` for the same.
    pub fn access_of(&self, insecure: bool, invocation: &Invocation) -> Result<Access, CliError> {
        let access = self.access(invocation)?;
        match (insecure, access.tls_verify) {
            (true, Some(true)) => Err(CliError::usage(
                "--insecure and --tls-verify say the opposite of each other",
            )),
            (true, _) => Ok(Access {
                tls_verify: Some(false),
                ..access
            }),
            (false, _) => Ok(access),
        }
    }
}

fn delay(text: &str) -> Result<Duration, String> {
    let nanoseconds = parse_go_duration(text).and_then(|value| u64::try_from(value).ok());
    let parsed = nanoseconds.map(Duration::from_nanos);
    parsed.ok_or_else(|| format!("{text:?} is no duration, as in 5s"))
}

fn credentials(given: &Password, invocation: &Invocation) -> Result<Credentials, CliError> {
    let text = given.0.expose();
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, password.to_owned()),
        None => (text, login::ask_password(invocation)?),
    };
    if user.is_empty() {
        return Err(CliError::new(Kind::Failed, "--creds: a user is required"));
    }
    Ok(Credentials::Password {
        user: user.to_owned(),
        password: Secret::new(password),
    })
}
