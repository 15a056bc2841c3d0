//! The user's own systemd, asked over D-Bus for one delegated scope in which all monitors and containers live, and to take each
//! further monitor in. Speaks to the manager's private socket, so no bus has to run. Never waits for it longer than `PATIENCE`.

mod message;

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use message::{Body, Kind, Message};

/// The scope: one for all containers of the user, gone with the last.
pub const SCOPE: &str = "bryo.scope";

/// Where the scope is, below the manager's own cgroup.
pub const SLICE: &str = "app.slice";

/// The child of the scope that the monitors are in. The scope itself has to stay empty: a cgroup with processes of its own hands
/// no controllers on to its children.
pub const MONITORS: &str = "monitors";

const PATIENCE: Duration = Duration::from_secs(10);
const STOP_MICROSECONDS: u64 = 15_000_000;
const PATH: &str = "/org/freedesktop/systemd1";
const INTERFACE: &str = "org.freedesktop.systemd1.Manager";

/// The most that one answer may hold; what systemd says here has a few hundred bytes.
const MESSAGE_MAX: usize = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum SystemdError {
    #[error("connect to the user's systemd at {path}: {source}")]
    Connect { path: PathBuf, source: io::Error },
    #[error("talk to the user's systemd: {source}")]
    Talk { source: io::Error },
    #[error("the user's systemd refused the connection: {answer:?}")]
    Authenticate { answer: String },
    #[error("the user's systemd refused {method}: {text} ({name})")]
    Refused {
        method: &'static str,
        name: String,
        text: String,
    },
    #[error("the user's systemd could not start {SCOPE}: {result}")]
    Job { result: String },
}

impl SystemdError {
    fn is(&self, wanted: &str) -> bool {
        matches!(self, SystemdError::Refused { name, .. } if name == wanted)
    }
}

/// A user's systemd that runs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UserSystemd {
    socket: PathBuf,
}

impl UserSystemd {
    /// The one of this session; `None` where there is none.
    pub fn find() -> Option<UserSystemd> {
        let runtime = match std::env::var_os("XDG_RUNTIME_DIR") {
            Some(directory) => PathBuf::from(directory),
            // cron and su set no such variable, yet the manager may run.
            None => PathBuf::from(format!("/run/user/{}", rustix::process::getuid().as_raw())),
        };
        let socket = runtime.join("systemd/private");
        socket.exists().then_some(UserSystemd { socket })
    }

    pub fn connect(&self) -> Result<Connection, SystemdError> {
        let opened = UnixStream::connect(&self.socket);
        let stream = opened.map_err(|source| SystemdError::Connect {
            path: self.socket.clone(),
            source,
        })?;
        Connection::over(stream)
    }
}

/// A conversation with the manager, authenticated.
pub struct Connection {
    stream: UnixStream,
    serial: u32,
}

fn talk(source: io::Error) -> SystemdError {
    SystemdError::Talk { source }
}

impl Connection {
    fn over(stream: UnixStream) -> Result<Connection, SystemdError> {
        let patience = Some(PATIENCE);
        stream.set_read_timeout(patience).map_err(talk)?;
        stream.set_write_timeout(patience).map_err(talk)?;
        let mut connection = Connection { stream, serial: 0 };
        connection.authenticate()?;
        Ok(connection)
    }

    /// The kernel tells systemd who we are, so no name is given: inside the home namespace we would not know it.
    fn authenticate(&mut self) -> Result<(), SystemdError> {
        let said = self
            .stream
            .write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n");
        said.map_err(talk)?;
        for wanted in ["DATA", "OK "] {
            let answer = self.line()?;
            if !answer.starts_with(wanted) {
                return Err(SystemdError::Authenticate { answer });
            }
        }
        Ok(())
    }

    fn line(&mut self) -> Result<String, SystemdError> {
        let mut line = Vec::new();
        // Byte by byte, since a message may follow.
        while !line.ends_with(b"\r\n") && line.len() < 256 {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).map_err(talk)?;
            line.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    /// Moves a process into the scope, beside the other monitors. Refused if there is no scope, or it is just ending or beginning.
    pub fn attach(&mut self, pid: u32) -> Result<(), SystemdError> {
        let mut body = Body::new();
        body.string(SCOPE);
        body.string(&format!("/{MONITORS}"));
        body.array(4, |pids| pids.number(pid));
        self.call("AttachProcessesToUnit", "ssau", &body)
    }

    /// Starts the scope around a process; `false` if it is there already.
    pub fn start_scope(&mut self, pid: u32) -> Result<bool, SystemdError> {
        let started = self.start_transient(pid, true);
        let started = match started {
            // Before systemd 253 scopes had no such property.
            Err(error) if error.is("org.freedesktop.DBus.Error.PropertyReadOnly") => {
                self.start_transient(pid, false)
            }
            other => other,
        };
        match started {
            Ok(()) => self.wait_for_job().map(|()| true),
            Err(error) if error.is("org.freedesktop.systemd1.UnitExists") => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Has the manager read its unit files again.
    pub fn reload(&mut self) -> Result<(), SystemdError> {
        self.call("Reload", "", &Body::new())
    }

    fn start_transient(&mut self, pid: u32, survive_oom: bool) -> Result<(), SystemdError> {
        let mut body = Body::new();
        body.string(SCOPE);
        body.string("fail");
        body.array(8, |properties| {
            properties.property("Description", "s", |v| v.string("Containers of bryo"));
            properties.property("Slice", "s", |v| v.string(SLICE));
            properties.property("Delegate", "b", |v| v.number(1));
            // As long as docker gives all containers when the host goes down; a program that is deaf to SIGTERM would hold it up.
            properties.property("TimeoutStopUSec", "t", |v| v.long(STOP_MICROSECONDS));
            properties.property("CollectMode", "s", |v| {
                v.string("inactive-or-failed");
            });
            properties.property("PIDs", "au", |v| {
                v.array(4, |pids| pids.number(pid));
            });
            if survive_oom {
                // Else systemd ends all containers when one of them runs into its memory limit.
                properties.property("OOMPolicy", "s", |v| v.string("continue"));
            }
        });
        body.array(8, |_auxiliary_units| {});
        self.call("StartTransientUnit", "ssa(sv)a(sa(sv))", &body)
    }

    /// The job's end is a signal that systemd sends to all private connections.
    fn wait_for_job(&mut self) -> Result<(), SystemdError> {
        loop {
            let message = self.receive()?;
            if message.kind != Kind::Signal || message.member != "JobRemoved" {
                continue;
            }
            // uoss: the job's number and path, the unit, the result.
            match message.strings("uoss").as_slice() {
                [_, unit, result] if unit == SCOPE && result == "done" => return Ok(()),
                [_, unit, result] if unit == SCOPE => {
                    return Err(SystemdError::Job {
                        result: result.clone(),
                    });
                }
                _ => {}
            }
        }
    }

    fn call(
        &mut self,
        method: &'static str,
        signature: &str,
        body: &Body,
    ) -> Result<(), SystemdError> {
        self.serial += 1;
        let bytes = message::call(self.serial, PATH, INTERFACE, method, signature, body);
        self.stream.write_all(&bytes).map_err(talk)?;
        loop {
            let message = self.receive()?;
            if message.reply_to != self.serial {
                continue;
            }
            return match message.kind {
                Kind::Error => Err(SystemdError::Refused {
                    method,
                    text: message.strings("s").pop().unwrap_or_default(),
                    name: message.error,
                }),
                _ => Ok(()),
            };
        }
    }

    fn receive(&mut self) -> Result<Message, SystemdError> {
        let mut bytes = vec![0; message::FIXED];
        self.stream.read_exact(&mut bytes).map_err(talk)?;
        let nonsense = || {
            talk(io::Error::new(
                io::ErrorKind::InvalidData,
                "no message of D-Bus",
            ))
        };
        let length = message::length(&bytes).filter(|length| *length <= MESSAGE_MAX);
        bytes.resize(length.ok_or_else(nonsense)?, 0);
        let rest = &mut bytes[message::FIXED..];
        self.stream.read_exact(rest).map_err(talk)?;
        Message::parse(&bytes).ok_or_else(nonsense)
    }
}
