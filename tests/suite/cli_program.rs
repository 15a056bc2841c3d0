//! Runs the program for the tests of its words: an empty home, no network, nothing but what the command line says.

use std::process::{Command, Stdio};

pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A command of the program whose home does not exist, so that nothing of the host's is read or written.
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bryo"));
    command
        .args(words)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null());
    command
}

pub fn bryo(words: &[&str]) -> Ended {
    let output = command(words).output().expect("the program was built");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
