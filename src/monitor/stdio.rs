//! The streams of one program as the monitor holds them: its input, its outputs, and its terminal if it has one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};

use super::input::Input;
use super::output::Output;
use super::protocol::Stream;
use crate::runtime::execute::Streams;
use crate::sys::{socket, terminal};

pub struct Stdio {
    pub input: Input,
    /// With a terminal there is one.
    pub outputs: Vec<Output>,
    /// The terminal's master, for its size.
    pub terminal: Option<OwnedFd>,
}

impl Stdio {
    /// Nothing is read and nothing is kept.
    pub fn nothing() -> Stdio {
        Stdio {
            input: Input::new(None),
            outputs: Vec::new(),
            terminal: None,
        }
    }

    /// The program's ends, and ours, which do not block.
    pub fn pipes(open_stdin: bool) -> io::Result<(Streams, Stdio)> {
        Stdio::over(open_stdin, pipe()?, pipe()?)
    }

    /// The same, of which those of the outputs have these names: where there is no /proc the program finds them by those.
    pub fn named_pipes(
        open_stdin: bool,
        [stdout, stderr]: [PathBuf; 2],
    ) -> io::Result<(Streams, Stdio)> {
        Stdio::over(open_stdin, named_pipe(&stdout)?, named_pipe(&stderr)?)
    }

    fn over(
        open_stdin: bool,
        (out_source, stdout): (OwnedFd, OwnedFd),
        (err_source, stderr): (OwnedFd, OwnedFd),
    ) -> io::Result<(Streams, Stdio)> {
        let (stdin, input) = match open_stdin {
            true => pipe().map(|(read, write)| (Some(read), Some(write)))?,
            false => (None, None),
        };
        for end in [Some(&out_source), Some(&err_source), input.as_ref()]
            .into_iter()
            .flatten()
        {
            socket::set_nonblocking(end.as_fd())?;
        }
        let streams = Streams::Pipes {
            stdin,
            stdout,
            stderr,
        };
        let stdio = Stdio {
            input: Input::new(input),
            outputs: vec![
                Output::new(Stream::Stdout, out_source),
                Output::new(Stream::Stderr, err_source),
            ],
            terminal: None,
        };
        Ok((streams, stdio))
    }

    /// Over a terminal whose master this is.
    pub fn terminal(master: OwnedFd, size: Option<(u16, u16)>) -> io::Result<Stdio> {
        socket::set_nonblocking(master.as_fd())?;
        if let Some(size) = size {
            // A size that the kernel refuses is no reason not to run.
            let _ = terminal::set_size(master.as_fd(), size);
        }
        Ok(Stdio {
            input: Input::new(Some(master.try_clone()?)),
            outputs: vec![Output::new(Stream::Stdout, master.try_clone()?)],
            terminal: Some(master),
        })
    }

    pub fn resize(&self, size: (u16, u16)) -> io::Result<()> {
        match &self.terminal {
            Some(terminal) => terminal::set_size(terminal.as_fd(), size),
            None => Ok(()),
        }
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from)
}

/// Of the last run there may be one.
fn named_pipe(path: &Path) -> io::Result<(OwnedFd, OwnedFd)> {
    match rustix::fs::unlink(path) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, mode, 0)?;
    let open = |flags| rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty());
    // Without waiting for the other end.
    let source = open(OFlags::RDONLY | OFlags::NONBLOCK)?;
    Ok((source, open(OFlags::WRONLY)?))
}
