//! Terminals: raw mode that is always undone, window sizes, and the pseudo-terminals of containers.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, Termios, Winsize};

/// A terminal in raw mode; dropping it restores what was.
pub struct RawMode {
    terminal: OwnedFd,
    before: Termios,
}

impl RawMode {
    /// Puts the terminal behind `fd` in raw mode; `None` if it is none.
    pub fn enter(fd: BorrowedFd<'_>) -> io::Result<Option<RawMode>> {
        if !fd.is_terminal() {
            return Ok(None);
        }
        let before = rustix::termios::tcgetattr(fd)?;
        let mut raw = before.clone();
        raw.make_raw();
        let terminal = fd.try_clone_to_owned()?;
        rustix::termios::tcsetattr(fd, OptionalActions::Now, &raw)?;
        Ok(Some(RawMode { terminal, before }))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that is gone has nothing to restore.
        let _ = rustix::termios::tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Rows and columns, in that order.
pub fn size(fd: BorrowedFd<'_>) -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(fd).ok()?;
    Some((size.ws_row, size.ws_col))
}

pub fn set_size(fd: BorrowedFd<'_>, (rows, columns): (u16, u16)) -> io::Result<()> {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(fd, size).map_err(io::Error::from)
}

/// Unlocks the pseudo-terminal whose master this is and opens the other side without a path (TIOCGPTPEER), so that no
/// name a container controls is ever followed.
pub fn open_peer(master: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    rustix::pty::unlockpt(master)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    rustix::pty::ioctl_tiocgptpeer(master, flags).map_err(io::Error::from)
}

/// The number N of `/dev/pts/N` behind a master.
pub fn peer_number(master: BorrowedFd<'_>) -> io::Result<u32> {
    let name = rustix::pty::ptsname(master, Vec::new())?;
    let text = name.to_str().unwrap_or_default();
    let number = text.rsplit('/').next().and_then(|n| n.parse().ok());
    number.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unexpected terminal name"))
}

/// Makes the terminal the controlling one of this process, which leads a new session.
pub fn take_control(terminal: BorrowedFd<'_>) -> io::Result<()> {
    rustix::process::setsid()?;
    rustix::process::ioctl_tiocsctty(terminal.as_fd()).map_err(io::Error::from)
}
