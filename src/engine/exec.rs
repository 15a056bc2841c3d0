//! `exec` and `attach`: conversations with a running container's monitor about its streams.

use std::io;
use std::os::fd::BorrowedFd;

use super::error::NotAttachable;
use super::request::{AttachRequest, ExecRequest};
use super::session::Session;
use super::{Engine, EngineError};
use crate::container::{ContainerId, Record, Status};
use crate::monitor::{Connection, ExecOrders, Reply, Request, VERSION};
use crate::runtime::isolation::Isolation;
use crate::runtime::preserved::Preserved;

impl Engine {
    /// Starts one more program in a running container, which also gets these of the client's descriptors; returns when it runs.
    pub fn exec(
        &self,
        record: &Record,
        request: &ExecRequest,
        preserved: &Preserved,
    ) -> Result<Session, EngineError> {
        if request.program.privileged && self.isolation() == Isolation::Chroot {
            return Err(EngineError::Confined {
                what: "--privileged".to_owned(),
            });
        }
        let (mut connection, name) = self.connect_running(record)?;
        let id = ContainerId::random().map_err(EngineError::system("make an exec id"))?;
        tracing::debug!(name, id = id.as_str(), "ask the monitor for a program");
        let orders = ExecOrders {
            id: id.as_str().to_owned(),
            program: request.program.clone(),
            attach: request.attach,
            terminal_size: request.terminal_size,
            preserves: preserved.numbers().to_vec(),
        };
        let order = Request::Exec(Box::new(orders));
        let reply = ask_with(&mut connection, &order, &preserved.fds())?;
        match reply {
            Some(Reply::Started) => Ok(Session {
                connection,
                name,
                tty: request.program.terminal,
            }),
            Some(Reply::Failed(failure)) => Err(EngineError::Start(failure)),
            other => Err(unexpected(name, other)),
        }
    }

    /// Takes part in a running container's streams.
    pub fn attach(&self, record: &Record, request: &AttachRequest) -> Result<Session, EngineError> {
        let config = self.config_of(record)?;
        let refusal = match record.status() {
            Ok(Status::Running(_)) => None,
            Ok(Status::Paused(_)) => Some(NotAttachable::Paused),
            Ok(Status::Restarting(..)) => Some(NotAttachable::Restarting),
            _ => Some(NotAttachable::Stopped),
        };
        if let Some(state) = refusal {
            return Err(EngineError::Attach { state });
        }
        let (mut connection, name) = self.connect_running(record)?;
        match ask(&mut connection, &Request::Attach(request.attach))? {
            Some(Reply::Done) => Ok(Session {
                connection,
                name,
                tty: config.process.tty,
            }),
            other => Err(unexpected(name, other)),
        }
    }

    /// The monitor of a container that runs, and the container's name.
    fn connect_running(&self, record: &Record) -> Result<(Connection, String), EngineError> {
        let name = self.containers.name_of(record);
        if !record.status().is_ok_and(|status| status.is_running()) {
            return Err(EngineError::NotRunning { name });
        }
        let connection = self.connect(record, &name)?;
        Ok((connection, name))
    }
}

pub(super) fn ask(
    connection: &mut Connection,
    request: &Request,
) -> Result<Option<Reply>, EngineError> {
    ask_with(connection, request, &[])
}

fn ask_with(
    connection: &mut Connection,
    request: &Request,
    fds: &[BorrowedFd<'_>],
) -> Result<Option<Reply>, EngineError> {
    match connection.request_with(request, fds) {
        // A monitor that ends meanwhile gives no answer.
        Ok(()) => Ok(connection.reply().unwrap_or(None)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(EngineError::system("ask the monitor")(error)),
    }
}

/// The monitor has ended since it was connected to.
pub(super) fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected)
}

/// What a monitor says that does not do what it was asked.
pub(super) fn unexpected(name: String, reply: Option<Reply>) -> EngineError {
    match reply {
        Some(Reply::Refused(message)) => EngineError::Refused { name, message },
        Some(Reply::Version(theirs)) => EngineError::MonitorVersion {
            name,
            theirs,
            ours: VERSION,
        },
        _ => EngineError::MonitorDied { name },
    }
}
