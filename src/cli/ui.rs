//! The only place that prints. Results go to standard output, everything else to standard error.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{CliError, Kind};
use crate::sys::text;

/// Where a line's destination and looks follow from its meaning.
#[derive(Debug)]
pub struct Ui {
    colour: AtomicBool,
    pub stdout_is_terminal: bool,
    pub stderr_is_terminal: bool,
}

#[derive(Clone, Copy)]
enum Colour {
    Red = 31,
    Yellow = 33,
    Cyan = 36,
}

impl Ui {
    pub fn from_environment() -> Ui {
        let stderr_is_terminal = std::io::stderr().is_terminal();
        Ui {
            colour: AtomicBool::new(colour_wanted(
                |name| std::env::var(name).ok(),
                stderr_is_terminal,
            )),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal,
        }
    }

    /// A command line that says more of colours than the environment does.
    pub fn set_colour(&self, colour: bool) {
        self.colour.store(colour, Ordering::Relaxed);
    }

    /// A result: written at once, so that nothing is left in a buffer when a role is forked.
    pub fn result(&self, text: &str) -> Result<(), CliError> {
        self.bytes(text.as_bytes())
    }

    pub fn line(&self, text: &str) -> Result<(), CliError> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    pub fn bytes(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut out = std::io::stdout().lock();
        let written = out.write_all(bytes).and_then(|()| out.flush());
        written.map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => CliError::said(Kind::OutputClosed),
            _ => CliError::new(Kind::Failed, format!("write to standard output: {error}")),
        })
    }

    /// What a container wrote to its standard error.
    pub fn error_bytes(&self, bytes: &[u8]) -> Result<(), CliError> {
        let written = std::io::stderr().lock().write_all(bytes);
        written.map_err(|_| CliError::said(Kind::OutputClosed))
    }

    /// Progress and remarks.
    pub fn note(&self, text: &str) {
        self.stderr(text);
    }

    pub fn warning(&self, text: &str) {
        self.stderr(&format!(
            "{} {text}",
            self.painted("WARNING:", Colour::Yellow)
        ));
    }

    pub fn hint(&self, text: &str) {
        self.stderr(&format!("{} {text}", self.painted("Hint:", Colour::Cyan)));
    }

    /// `Error: …` on one line, then its hints.
    pub fn error(&self, error: &CliError) {
        if !error.message.is_empty() {
            let word = self.painted("Error:", Colour::Red);
            self.stderr(&format!("{word} {}", error.message));
        }
        for hint in &error.hints {
            self.hint(hint);
        }
    }

    fn painted(&self, word: &str, colour: Colour) -> String {
        if self.colour.load(Ordering::Relaxed) {
            return format!("\x1b[1;{}m{word}\x1b[0m", colour as u8);
        }
        word.to_owned()
    }

    /// Where standard error is closed there is nobody to tell.
    fn stderr(&self, text: &str) {
        let text = text::without_numbers(text);
        let _ = std::io::stderr()
            .lock()
            .write_all(format!("{text}\n").as_bytes());
    }
}

/// `NO_COLOR` (anything) forbids, `CLICOLOR_FORCE` (not `0`) demands, else a terminal that is not dumb gets colours.
fn colour_wanted(environment: impl Fn(&str) -> Option<String>, terminal: bool) -> bool {
    let set = |name| environment(name).is_some_and(|value| !value.is_empty());
    if set("NO_COLOR") {
        return false;
    }
    if environment("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0") {
        return true;
    }
    terminal && environment("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_obey_the_environment() {
        let wanted = |pairs: &[(&str, &str)], terminal| {
            colour_wanted(
                |name| {
                    let found = pairs.iter().find(|(key, _)| *key == name);
                    found.map(|(_, value)| (*value).to_owned())
                },
                terminal,
            )
        };
        assert!(wanted(&[], true));
        assert!(!wanted(&[], false));
        assert!(!wanted(&[("TERM", "dumb")], true));
        assert!(!wanted(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true));
        assert!(wanted(&[("CLICOLOR_FORCE", "1")], false));
        assert!(!wanted(&[("CLICOLOR_FORCE", "0")], false));
        assert!(wanted(&[("NO_COLOR", "")], true));
    }
}
