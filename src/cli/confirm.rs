//! The question before something is removed for good.

use std::io::BufRead;

use super::Invocation;
use super::error::CliError;

impl Invocation {
    /// docker's question before `what`, unless it is forced; only `y` is a yes, the end of the input is none. A no is said.
    pub(super) fn confirmed(
        &self,
        what: &str,
        force: bool,
        warning: &str,
    ) -> Result<bool, CliError> {
        if force {
            return Ok(true);
        }
        let question = format!("{warning}\nAre you sure you want to continue? [y/N] ");
        self.ui.result(&question)?;
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        let yes = read.is_ok() && answer.trim().eq_ignore_ascii_case("y");
        if !yes {
            self.ui.note(&format!("{what} has been cancelled"));
        }
        Ok(yes)
    }
}
