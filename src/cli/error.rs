//! What went wrong, as the terminal needs it: who is at fault (the exit code), the chain on one line, hints.

use std::error::Error;

use crate::engine::EngineError;

/// So much of a value that can't be read is shown.
const SHOWN: usize = 200;

/// Who is at fault: decides the exit code, and nothing else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line cannot be understood.
    Usage,
    /// A word of docker's that bryo does not do, or not yet.
    Unsupported,
    /// bryo could not do what was asked of it.
    Failed,
    /// `run`, `create`, `start`: the container could not be made or started by the engine.
    Engine,
    /// The program is there but cannot be executed.
    NotExecutable,
    /// There is no such program in the image.
    ProgramNotFound,
    /// A signal ended our own work.
    Interrupted(u8),
    /// Standard output was closed by its reader: not worth a word.
    OutputClosed,
}

impl Kind {
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Usage | Kind::Unsupported | Kind::Engine => 125,
            Kind::Failed => 1,
            Kind::NotExecutable => 126,
            Kind::ProgramNotFound => 127,
            Kind::Interrupted(signal) => 128 + signal,
            // SIGPIPE, which is what an ordinary program would have died of
            Kind::OutputClosed => 141,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliError {
    pub kind: Kind,
    /// The whole chain on one line; empty when everything has been said already.
    pub message: String,
    /// Exact commands to type, without the word `Hint`.
    pub hints: Vec<String>,
}

impl CliError {
    pub fn new(kind: Kind, message: impl Into<String>) -> CliError {
        CliError {
            kind,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    /// From an error of a lower layer: its chain becomes the message.
    pub fn of(kind: Kind, error: &(dyn Error + 'static)) -> CliError {
        CliError::new(kind, chain(error))
    }

    /// The engine says itself which exit code `run` gives; for other verbs its failures are ordinary ones.
    pub fn engine(kind: Kind, error: &EngineError) -> CliError {
        let kind = match (error.exit_code(), kind) {
            (126, Kind::Engine) => Kind::NotExecutable,
            (127, Kind::Engine) => Kind::ProgramNotFound,
            _ if error.is_refusal() => Kind::Unsupported,
            (code @ 129..=192, _) => Kind::Interrupted((code - 128) as u8),
            (_, kind) => kind,
        };
        CliError {
            hints: error.hints(),
            ..CliError::of(kind, error)
        }
    }

    pub fn usage(message: impl Into<String>) -> CliError {
        CliError::new(Kind::Usage, message)
    }

    pub fn failed(error: &(dyn Error + 'static)) -> CliError {
        CliError::of(Kind::Failed, error)
    }

    /// docker's words for a flag's value that cannot be read.
    pub fn argument(flag: &str, value: &str, error: &(dyn Error + 'static)) -> CliError {
        let chain = chain(error);
        let (shown, more) = match value.char_indices().nth(SHOWN) {
            Some((end, _)) => (&value[..end], "…"),
            None => (value, ""),
        };
        CliError::usage(format!(
            "invalid argument {shown:?}{more} for {flag:?} flag: {chain}"
        ))
    }

    /// Whether a word is a filter docker's client sees; whether there is such a filter only its daemon, whose failures are ordinary ones.
    pub fn filter(flag: &str, text: &str, error: &(dyn Error + 'static)) -> CliError {
        match text.contains('=') {
            true => CliError::failed(error),
            false => CliError::argument(flag, text, error),
        }
    }

    /// Everything has been printed already; only the exit code is left to give.
    pub fn said(kind: Kind) -> CliError {
        CliError::new(kind, "")
    }

    /// A verb whose engine part is still missing.
    pub fn not_yet(what: &str) -> CliError {
        CliError::new(
            Kind::Unsupported,
            format!("{what}: not yet supported by bryo"),
        )
    }

    /// The same failure on the way to a container.
    pub fn for_container(self) -> CliError {
        match self.kind {
            Kind::Failed => CliError {
                kind: Kind::Engine,
                ..self
            },
            _ => self,
        }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> CliError {
        self.hints.push(hint.into());
        self
    }
}

/// `outer: middle: inner`; a source that its parent's text already ends with is not said twice.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.ends_with(&part) && !part.is_empty() {
            text = format!("{text}: {part}");
        }
        source = error.source();
    }
    one_line(&text)
}

/// Line feeds in foreign messages would break the one-line promise.
fn one_line(text: &str) -> String {
    text.split('\n')
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("read a\nb")]
    struct Outer {
        source: Inner,
    }

    #[derive(Debug, thiserror::Error)]
    #[error("open it: {source}")]
    struct Inner {
        source: std::io::Error,
    }

    #[test]
    fn a_chain_is_one_line_and_says_nothing_twice() {
        let error = Outer {
            source: Inner {
                source: std::io::Error::other("no luck"),
            },
        };
        assert_eq!(chain(&error), "read a b: open it: no luck");
    }

    #[test]
    fn exit_codes_are_docker_s() {
        assert_eq!(Kind::Usage.exit_code(), 125);
        assert_eq!(Kind::ProgramNotFound.exit_code(), 127);
        assert_eq!(Kind::Interrupted(2).exit_code(), 130);
    }
}
