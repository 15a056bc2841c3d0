//! `--preserve-fds` and `--preserve-fd`, for `run` and `exec`.

use super::error::{CliError, Kind};
use crate::runtime::preserved::Preserved;

#[derive(clap::Args, Debug)]
pub struct PreservedFlags {
    /// Give the program these descriptors too, under their own numbers (comma-separated)
    #[arg(long, value_name = "FD", value_delimiter = ',', value_parser = clap::value_parser!(i32).range(3..))]
    preserve_fd: Vec<i32>,
    /// Give the program descriptors 3 to 3+N-1 too
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u16,
}

impl PreservedFlags {
    /// They have to be there since this program began.
    pub fn descriptors(&self) -> Result<Preserved, CliError> {
        let several = 3..3 + i32::from(self.preserve_fds);
        let named = self.preserve_fd.iter().copied();
        let mut numbers: Vec<i32> = several.chain(named).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let flag = match self.preserve_fd.is_empty() {
            true => "preserve-fds",
            false => "preserve-fd",
        };
        match Preserved::inherited(numbers) {
            Ok(Ok(preserved)) => Ok(preserved),
            Ok(Err(number)) => Err(CliError::new(
                Kind::Engine,
                format!(
                    "file descriptor {number} is not available - the {flag} option requires that file descriptors must be passed"
                ),
            )),
            Err(error) => Err(CliError::new(
                Kind::Engine,
                format!("copy the descriptors to preserve: {error}"),
            )),
        }
    }
}
