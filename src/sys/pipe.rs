//! Pipes of a size, and whose they are to the kernel. Knows not what goes through them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};
use rustix::process::{Uid, getuid};
use rustix::thread::set_thread_res_uid;

use super::procfs;

/// One that does not block.
pub struct Pipe {
    pub reader: OwnedFd,
    pub writer: OwnedFd,
    /// What it holds.
    pub size: usize,
}

impl Pipe {
    fn new() -> io::Result<Pipe> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let size = fcntl_getpipe_size(&writer)?;
        Ok(Pipe {
            reader,
            writer,
            size,
        })
    }

    /// If the kernel gives it.
    pub fn grow(&mut self, size: usize) {
        if let Ok(size) = fcntl_setpipe_size(self.writer.as_fd(), size) {
            self.size = size;
        }
    }
}

/// Among whose pipes new ones are counted. A user has 64 MiB of them, and beyond that the kernel gives two pages to each
/// (pipe(7), `pipe-user-pages-soft`). It goes by the real user id.
pub struct Share(Option<Uid>);

impl Share {
    /// Apart from the user's other pipes: that of the last id of this user namespace. Where there is but one id, the user's own.
    pub fn apart() -> Share {
        let lines = procfs::id_map("self", "uid_map");
        let ids = lines.iter().map(|[first, _, count]| first + (count - 1));
        let last = ids.max().map(Uid::from_raw);
        Share(last.filter(|id| *id != getuid()))
    }

    /// One for each direction. Only this thread is somebody else meanwhile, and by name alone: rights go by the effective id.
    pub fn pair(&self) -> io::Result<[Pipe; 2]> {
        let own = getuid();
        let is_other = self.0.is_some_and(|other| set_real(other).is_ok());
        let made = Pipe::new().and_then(|one| Ok([one, Pipe::new()?]));
        if is_other {
            set_real(own)?;
        }
        made
    }
}

fn set_real(uid: Uid) -> io::Result<()> {
    Ok(set_thread_res_uid(uid, None, None)?)
}
