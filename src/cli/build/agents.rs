//! `build --ssh`: agents that a command may ask. One that has only these keys is started where keys are named, and ends with the
//! build. Keys are read by ssh's own programs, and only by them.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io::{self, BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cli::error::{CliError, Kind};
use crate::sys::fs::{open_directory, random_name};
use crate::sys::lock;

/// Tells who the agent is, and lives until its standard input is closed, as the agent does then.
const KEEPER: &str = "echo $SSH_AGENT_PID; exec cat";
/// Of directories of agents.
const PREFIX: &str = "agent-";
/// Held while one is made or swept away.
const LOCK: &str = "agents.lock";

/// By the ids that the Dockerfile calls them by.
#[derive(Default)]
pub struct Agents {
    pub sockets: BTreeMap<String, PathBuf>,
    own: Vec<OwnAgent>,
}

/// An agent of this build alone.
struct OwnAgent {
    keeper: Child,
    agent: Pid,
    directory: PathBuf,
    /// Locked: whoever made the directory lives.
    _held: OwnedFd,
}

impl Drop for OwnAgent {
    fn drop(&mut self) {
        // All of it is for the best: without its keeper the agent goes on its own.
        let _ = kill(self.agent, Signal::SIGTERM);
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Agents {
    /// `default`, `ID`, `ID=SOCKET`, `ID=KEY[,KEY…]`; private things are below `runtime`.
    pub fn of(flags: &[String], runtime: &Path) -> Result<Agents, CliError> {
        let mut agents = Agents::default();
        for text in flags {
            let (id, places) = match text.split_once('=') {
                Some((id, places)) => (id, places.split(',').map(PathBuf::from).collect()),
                None => (text.as_str(), usual(text)?),
            };
            let socket = match &places[..] {
                [socket] if is_socket(socket) => socket.clone(),
                keys => {
                    let own = OwnAgent::start(text, keys, runtime)?;
                    let socket = own.socket();
                    agents.own.push(own);
                    socket
                }
            };
            agents.sockets.insert(id.to_owned(), socket);
        }
        Ok(agents)
    }
}

fn usual(text: &str) -> Result<Vec<PathBuf>, CliError> {
    let socket = std::env::var_os("SSH_AUTH_SOCK").map(PathBuf::from);
    let socket = socket.ok_or_else(|| {
        CliError::usage(format!(
            "--ssh {text}: no agent runs, SSH_AUTH_SOCK is not set"
        ))
        .hint(format!("--ssh {text}=~/.ssh/KEY"))
    })?;
    match is_socket(&socket) {
        true => Ok(vec![socket]),
        false => Err(CliError::usage(format!(
            "--ssh {text}: SSH_AUTH_SOCK is {}, which is no socket",
            socket.display()
        ))),
    }
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}

impl OwnAgent {
    fn socket(&self) -> PathBuf {
        self.directory.join("agent")
    }

    fn start(text: &str, keys: &[PathBuf], runtime: &Path) -> Result<OwnAgent, CliError> {
        for key in keys {
            if !key.is_file() {
                let key = key.display();
                return Err(CliError::usage(format!(
                    "--ssh {text}: {key} is neither a socket nor a key"
                )));
            }
        }
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            CliError::new(Kind::Failed, format!("--ssh {text}: {what}: {error}"))
        };
        let (directory, held) =
            own_directory(runtime).map_err(|error| failed("make a directory", &error))?;
        let socket = directory.join("agent");
        let keeper = Command::new("ssh-agent")
            .arg("-a")
            .arg(&socket)
            .args(["sh", "-c", KEEPER])
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut keeper = keeper.map_err(|error| {
            let _ = std::fs::remove_dir_all(&directory);
            failed("run ssh-agent", &error)
        })?;
        let mut line = String::new();
        // It listens before it runs its keeper.
        let said = keeper.stdout.take().map(BufReader::new);
        let read = said.map(|mut said| said.read_line(&mut line));
        let agent = line
            .trim()
            .parse::<i32>()
            .ok()
            .filter(|_| matches!(read, Some(Ok(_))));
        let Some(agent) = agent else {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
            let _ = std::fs::remove_dir_all(&directory);
            return Err(failed("run ssh-agent", &"it did not start"));
        };
        let own = OwnAgent {
            keeper,
            agent: Pid::from_raw(agent),
            directory,
            _held: held,
        };
        for key in keys {
            let added = Command::new("ssh-add")
                .arg("-q")
                .arg("--")
                .arg(key)
                .env("SSH_AUTH_SOCK", &socket)
                // A key with a passphrase is for an agent that the user runs.
                // Told never to ask by a program, ssh-add would ask on the terminal.
                .env("SSH_ASKPASS_REQUIRE", "force")
                .env("SSH_ASKPASS", "/bin/false")
                .stdin(Stdio::null())
                .output();
            let added = added.map_err(|error| failed("run ssh-add", &error))?;
            if !added.status.success() {
                let said = String::from_utf8_lossy(&added.stderr);
                let said = said.trim().replace('\n', "; ");
                return Err(failed(&format!("add {}", key.display()), &said)
                    .hint("eval $(ssh-agent) && ssh-add, then --ssh default"));
            }
        }
        Ok(own)
    }
}

/// A new directory, which is held; those whose makers were killed are removed.
fn own_directory(runtime: &Path) -> io::Result<(PathBuf, OwnedFd)> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(runtime)?;
    let _making = lock::lock(&runtime.join(LOCK), lock::Mode::Exclusive)?;
    for entry in std::fs::read_dir(runtime)?.flatten() {
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let left = open_directory(&entry.path()).and_then(lock::try_hold_alone);
        if matches!(left, Ok(true)) {
            // The next one tries it again.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let directory = runtime.join(format!("{PREFIX}{}", random_name()));
    DirBuilder::new().mode(0o700).create(&directory)?;
    let held = open_directory(&directory)?;
    lock::hold_alone(&held)?;
    Ok((directory, held))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_lasts_as_long_as_its_maker() {
        let runtime = std::env::temp_dir().join(random_name());
        let (first, held) = own_directory(&runtime).expect("it is made");
        let (second, _held) = own_directory(&runtime).expect("it is made");
        assert!(first.is_dir() && second.is_dir());
        drop(held);
        let (third, _also) = own_directory(&runtime).expect("it is made");
        assert!(!first.exists() && second.is_dir() && third.is_dir());
        std::fs::remove_dir_all(&runtime).expect("it is ours");
    }
}
