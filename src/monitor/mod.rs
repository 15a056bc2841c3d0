//! The process that supervises one container: its protocol, logs and exit record. Never threads, HTTP or image names.

mod begin;
mod bridged;
mod called;
mod client;
mod exec;
mod fault;
mod finish;
mod guard;
mod health;
mod input;
mod life;
mod log;
mod network;
mod networks;
mod null_file;
mod output;
mod passthrough;
mod protocol;
mod requests;
mod stdio;
mod supervise;
mod tell;
mod watch;

pub use bridged::{BridgedOrders, read_endpoints};
pub use called::{Expected, tell_place, wait};
pub use log::{JOURNAL_SOCKET, LogEntry, LogOrders, LogReader, Reach};
pub use network::{NetworkOrders, PastaOrders, PublishedPort, SlirpOrders};
pub use protocol::{
    Attach, CHUNK, Connection, ExecOrders, FromMonitor, Reply, Request, StartFailure, Stream,
    VERSION,
};
pub use supervise::{Birth, Orders, run};
