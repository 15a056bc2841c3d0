//! Credential helpers: `docker-credential-NAME` with `get`, `store` or `erase`, what it is about on its standard input. A
//! secret is never among its arguments, and never in a message of ours.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::super::exchange::printable;
use super::super::secret::Secret;
use super::Credentials;
use crate::sys::poll::{Interest, PollSet};

/// More than any answer; and what a pipe takes without a reader, so that a helper that does not read blocks nobody.
const LIMIT: usize = 60 * 1024;
/// How docker's helpers mark an identity token.
const TOKEN_USER: &str = "<token>";
/// The protocol has no code for it, only these words.
const NOT_FOUND: &str = "credentials not found";

#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    #[error("credential helper {name:?}: a name has letters, digits, dots, dashes and underscores")]
    Name { name: String },
    #[error("credential helper {program} is not installed, or not in PATH")]
    Missing { program: String },
    #[error("start credential helper {program}: {source}")]
    Start { program: String, source: io::Error },
    #[error("credential helper {program} {verb}: {message}")]
    Failed {
        program: String,
        verb: &'static str,
        message: String,
    },
    #[error("credential helper {program} {verb}: no answer for {} s, ended", .after.as_secs_f32())]
    Timeout {
        program: String,
        verb: &'static str,
        after: Duration,
    },
    #[error("credential helper {program} get: its answer is not of the protocol's form")]
    Answer { program: String },
    #[error("credential helper {program} {verb}: more than {LIMIT} bytes")]
    TooLong { program: String, verb: &'static str },
}

pub(super) struct Keeper {
    program: String,
    timeout: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Account {
    #[serde(rename = "ServerURL", default)]
    server_url: String,
    username: String,
    secret: String,
}

impl Keeper {
    /// The name comes from a file: it must not become a path.
    pub fn named(name: &str, timeout: Duration) -> Result<Keeper, KeeperError> {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if name.is_empty() || !name.bytes().all(good) {
            return Err(KeeperError::Name {
                name: printable(name, 60),
            });
        }
        Ok(Keeper {
            program: format!("docker-credential-{name}"),
            timeout,
        })
    }

    pub fn get(&self, server: &str) -> Result<Option<Credentials>, KeeperError> {
        let answer = match self.run("get", server.as_bytes(), "") {
            Ok(answer) => answer,
            Err(KeeperError::Failed { message, .. }) if message.contains(NOT_FOUND) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        // serde's message could quote the secret.
        let account: Account =
            serde_json::from_slice(&answer).map_err(|_| KeeperError::Answer {
                program: self.program.clone(),
            })?;
        let secret = Secret::new(account.secret);
        if account.username == TOKEN_USER {
            return Ok(Some(Credentials::Identity {
                user: account.username,
                token: secret,
            }));
        }
        let has_user = !account.username.is_empty();
        Ok(has_user.then_some(Credentials::Password {
            user: account.username,
            password: secret,
        }))
    }

    pub fn store(&self, server: &str, credentials: &Credentials) -> Result<(), KeeperError> {
        let (user, secret) = match credentials {
            Credentials::Password { user, password } => (user.as_str(), password),
            Credentials::Identity { token, .. } => (TOKEN_USER, token),
        };
        let account = Account {
            server_url: server.to_owned(),
            username: user.to_owned(),
            secret: secret.expose().to_owned(),
        };
        let text = serde_json::to_vec(&account).expect("plain data always serialises");
        self.run("store", &text, secret.expose()).map(drop)
    }

    pub fn erase(&self, server: &str) -> Result<(), KeeperError> {
        match self.run("erase", server.as_bytes(), "") {
            Err(KeeperError::Failed { message, .. }) if message.contains(NOT_FOUND) => Ok(()),
            other => other.map(drop),
        }
    }

    fn run(&self, verb: &'static str, input: &[u8], secret: &str) -> Result<Vec<u8>, KeeperError> {
        let program = self.program.clone();
        if input.len() > LIMIT {
            return Err(KeeperError::TooLong { program, verb });
        }
        tracing::debug!(program, verb, "ask a credential helper");
        // Its standard error is the user's: some ask for a passphrase there.
        let spawned = Command::new(&program)
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = spawned.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => KeeperError::Missing {
                program: program.clone(),
            },
            _ => KeeperError::Start {
                program: program.clone(),
                source,
            },
        })?;
        // A helper that ends before it has read everything says in its answer why.
        let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input));
        let stdout = child.stdout.take().expect("it was piped");
        let answer = self.answer(stdout, verb);
        self.end(child, verb, answer, secret)
    }

    /// Everything it writes until it closes its output.
    fn answer(&self, mut stdout: ChildStdout, verb: &'static str) -> Result<Vec<u8>, KeeperError> {
        let program = || self.program.clone();
        let begin = Instant::now();
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let left = self.timeout.saturating_sub(begin.elapsed());
            if left.is_zero() {
                return Err(KeeperError::Timeout {
                    program: program(),
                    verb,
                    after: self.timeout,
                });
            }
            let mut set = PollSet::new();
            set.add(stdout.as_fd(), Interest::Read, ());
            if set.wait(Some(left)).unwrap_or_default().is_empty() {
                continue;
            }
            match stdout.read(&mut buffer) {
                Ok(0) => return Ok(answer),
                Ok(length) => answer.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(answer),
            }
            if answer.len() > LIMIT {
                return Err(KeeperError::TooLong {
                    program: program(),
                    verb,
                });
            }
        }
    }

    fn end(
        &self,
        mut child: Child,
        verb: &'static str,
        answer: Result<Vec<u8>, KeeperError>,
        secret: &str,
    ) -> Result<Vec<u8>, KeeperError> {
        if answer.is_err() {
            // It may have ended meanwhile; it is reaped either way.
            let _ = child.kill();
        }
        let status = child.wait().map_err(|source| KeeperError::Start {
            program: self.program.clone(),
            source,
        })?;
        let answer = answer?;
        if status.success() {
            return Ok(answer);
        }
        let mut message = String::from_utf8_lossy(&answer).into_owned();
        if !secret.is_empty() {
            message = message.replace(secret, "…");
        }
        let message = match message.trim() {
            "" => status.to_string(),
            said => printable(said, 200),
        };
        Err(KeeperError::Failed {
            program: self.program.clone(),
            verb,
            message,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::super::misbehaving::scratch::Directory;
    use super::*;

    /// Written by a shell: a file that this process has open for writing can't be executed by another of its threads.
    fn helper(directory: &Directory, script: &str) -> Keeper {
        let path = directory.path().join("docker-credential-test");
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod 755 \"$0\"";
        let written = Command::new("sh")
            .args(["-c", write])
            .arg(&path)
            .arg(script)
            .status();
        assert!(written.unwrap().success());
        Keeper {
            program: path.to_str().unwrap().to_owned(),
            timeout: Duration::from_millis(300),
        }
    }

    #[test]
    fn a_helper_that_hangs_is_ended() {
        let directory = Directory::new();
        let begin = Instant::now();
        let got = helper(&directory, "exec sleep 60").get("h");
        assert!(matches!(got, Err(KeeperError::Timeout { .. })), "{got:?}");
        assert!(begin.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_helper_that_repeats_the_secret_does_not_spread_it() {
        let directory = Directory::new();
        let password = Secret::new("hunter2".to_owned());
        let user = "user".to_owned();
        let credentials = Credentials::Password { user, password };
        let stored = helper(&directory, "cat; exit 1").store("h", &credentials);
        let message = stored.unwrap_err().to_string();
        assert!(
            message.contains("user") && !message.contains("hunter2"),
            "{message}"
        );
    }

    #[test]
    fn an_answer_without_form_or_end_is_refused() {
        let directory = Directory::new();
        let got = helper(&directory, "echo '{\"Secret\": 1}'").get("h");
        assert!(matches!(got, Err(KeeperError::Answer { .. })), "{got:?}");
        let got = helper(&directory, "exec yes").get("h");
        assert!(matches!(got, Err(KeeperError::TooLong { .. })), "{got:?}");
        let got = helper(
            &directory,
            "echo credentials not found in native keychain; exit 1",
        )
        .get("h");
        assert_eq!(got.unwrap(), None);
    }
}
