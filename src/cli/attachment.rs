//! Which of a container's streams the terminal takes part in, for `run` and `start -a`.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use super::error::{CliError, Kind};
use crate::config::{DetachKeys, UnknownDetachKeys};
use crate::container::LogDriver;
use crate::engine::request::{RunRequest, Stream};
use crate::engine::{Engine, EngineError, Foreground, Outcome, Session, StartOptions};
use crate::monitor::Attach;
use crate::sys::terminal;

#[derive(Clone, Debug)]
pub struct Attachment {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
    pub signal_proxy: bool,
    /// None: the configuration's.
    pub detach_keys: Option<DetachKeys>,
}

/// What a `--detach-keys` names.
pub fn chosen_keys(text: &str) -> Result<DetachKeys, CliError> {
    text.parse()
        .map_err(|error: UnknownDetachKeys| CliError::failed(&error))
}

impl Attachment {
    /// docker's rules: output always unless detached, input with `-i`, or exactly what `-a` names.
    pub fn of(request: &RunRequest) -> Result<Attachment, CliError> {
        let create = &request.create;
        let wants = |stream, otherwise| match &create.attach {
            _ if request.detach => false,
            Some(streams) => streams.contains(&stream),
            None => otherwise,
        };
        // The program reads it itself then, and writes where bryo does not see it.
        let passthrough = create.log_driver == Some(LogDriver::Passthrough);
        if passthrough && create.attach.is_some() && !request.detach {
            return Err(CliError::usage(
                "cannot specify --attach with --log-driver=passthrough",
            ));
        }
        let attachment = Attachment {
            stdin: wants(Stream::Stdin, create.interactive) && !passthrough,
            stdout: wants(Stream::Stdout, true),
            stderr: wants(Stream::Stderr, true),
            tty: create.tty,
            signal_proxy: request.sig_proxy && !request.detach,
            detach_keys: request.detach_keys.clone(),
        };
        if attachment.stdin && attachment.tty && !std::io::stdin().is_terminal() {
            return Err(Attachment::no_terminal());
        }
        Ok(attachment)
    }

    /// docker's words for `-it` in a pipe.
    pub fn no_terminal() -> CliError {
        CliError::new(Kind::Failed, "the input device is not a TTY")
            .hint("leave -t away where the input is no terminal")
    }

    pub fn options(&self) -> StartOptions {
        let attach = Attach {
            stdin: self.stdin,
            stdout: self.stdout,
            stderr: self.stderr,
        };
        StartOptions {
            attach,
            wait: attach != Attach::default(),
            terminal_size: terminal::size(std::io::stdout().as_fd()).filter(|_| self.tty),
            ..StartOptions::default()
        }
    }

    /// Stays until the container ends or is detached from; the exit code. `unstarted`: what it is when its start turns out to have failed.
    pub fn follow(
        self,
        session: Session,
        engine: &Engine,
        unstarted: Kind,
    ) -> Result<u8, CliError> {
        let keys = self.detach_keys.as_ref();
        let keys = keys.unwrap_or(&engine.config.detach_keys);
        let foreground = Foreground {
            stdin: self.stdin,
            signal_proxy: self.signal_proxy,
            detach_keys: keys.bytes().to_vec(),
        };
        match session.follow(foreground) {
            Ok(Outcome::Exited(code)) => Ok(code as u8),
            Ok(Outcome::Detached) => Ok(0),
            Ok(Outcome::OutputClosed) => Err(CliError::said(Kind::OutputClosed)),
            Err(EngineError::Start(failure)) => {
                Err(CliError::engine(unstarted, &engine.explain_start(failure)))
            }
            Err(error) => Err(CliError::engine(Kind::Engine, &error)),
        }
    }
}
