//! A line typed by a person at a terminal, shown or not. The terminal is as before afterwards, also when a signal ends the
//! waiting.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::signal::Signal;
use rustix::termios::{LocalModes, OptionalActions, Termios};

use super::poll::{Interest, PollSet};
use super::signal::Signals;

/// How the waiting ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// Without its end.
    Line(String),
    End,
    Signal(i32),
}

/// What is typed is not shown, its newline is. Dropping it restores what was.
struct Silence {
    terminal: OwnedFd,
    before: Termios,
}

impl Silence {
    fn begin(fd: BorrowedFd<'_>) -> io::Result<Silence> {
        let before = rustix::termios::tcgetattr(fd)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent
            .local_modes
            .insert(LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        let terminal = fd.try_clone_to_owned()?;
        // Flush: what was typed before the question is no answer to it.
        rustix::termios::tcsetattr(fd, OptionalActions::Flush, &silent)?;
        Ok(Silence { terminal, before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone has nothing to restore.
        let _ = rustix::termios::tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

#[derive(Clone, Copy)]
enum Token {
    Terminal,
    Signal,
}

/// Waits for a line from the terminal `fd`. Bytes that are no UTF-8 are an error.
pub fn read_line(fd: BorrowedFd<'_>, shown: bool) -> io::Result<Typed> {
    // SIGTSTP too: a shell must not get the terminal back without its echo.
    let watched = [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGTSTP,
    ];
    let signals = Signals::watch(&watched)?;
    // Dropped before `signals`, in the order that restores first and dies then.
    let _silence = match shown {
        true => None,
        false => Some(Silence::begin(fd)?),
    };
    let mut line = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let mut set = PollSet::new();
        set.add(signals.as_fd(), Interest::Read, Token::Signal);
        set.add(fd, Interest::Read, Token::Terminal);
        for token in set.wait(None)? {
            match token {
                Token::Signal => match signals.next()? {
                    Some(number) if number != Signal::SIGTSTP as i32 => {
                        return Ok(Typed::Signal(number));
                    }
                    _ => {}
                },
                // In canonical mode a read gives one line at the most, so nothing of a next one is lost.
                Token::Terminal => match rustix::io::read(fd, &mut buffer) {
                    Ok(0) if line.is_empty() => return Ok(Typed::End),
                    Ok(0) => return text(line),
                    Ok(length) => line.extend_from_slice(&buffer[..length]),
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                },
            }
        }
        if line.last() == Some(&b'\n') {
            line.pop();
            return text(line);
        }
    }
}

fn text(line: Vec<u8>) -> io::Result<Typed> {
    let line = String::from_utf8(line);
    let invalid = |_| io::Error::new(io::ErrorKind::InvalidData, "what was typed is no UTF-8");
    line.map(Typed::Line).map_err(invalid)
}
