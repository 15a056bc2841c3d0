//! The question before something is removed for good.

use std::io::BufRead;

use super::Invocation;
use super::error::CliError;

impl Invocation {
    /// docker's question; only `y` is a yes, the end of the input is none.
    pub(super) fn confirmed(&self, warning: &str) -> Result<bool, CliError> {
        let question = format!("{warning}\nAre you sure you want to continue? [y/N] ");
        self.ui.result(&question)?;
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        Ok(read.is_ok() && answer.trim().eq_ignore_ascii_case("y"))
    }
}
