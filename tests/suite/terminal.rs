//! A person at a terminal: types, reads, resizes, closes the window. Knows no program.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::process::{LIMIT, code};

pub struct Terminal {
    child: Child,
    /// The person's side; nothing once the window is closed.
    master: Option<File>,
    /// The program's side, held open so that its settings can be read after the program has ended.
    slave: OwnedFd,
    output: Receiver<Vec<u8>>,
    closing: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
    seen: String,
    /// Up to where `seen` has been expected.
    expected: usize,
}

impl Terminal {
    /// Runs a command as the leader of a session of its own whose controlling terminal this is.
    pub fn start(command: Command) -> Terminal {
        // Close-on-exec, or the program itself would keep its terminal's other side open.
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("the host has ptys");
        unlockpt(&master).expect("it is a master");
        let slave_end = ioctl_tiocgptpeer(&master, flags).expect("it is a master");
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&slave_end, size).expect("it is a terminal");
        let slave = || File::from(slave_end.try_clone().expect("descriptors can be copied"));
        let mut leader = Command::new("setsid");
        leader
            .arg("--ctty")
            .arg(command.get_program())
            .args(command.get_args());
        leader.env_clear();
        leader.envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        if let Some(directory) = command.get_current_dir() {
            leader.current_dir(directory);
        }
        leader.stdin(slave()).stdout(slave()).stderr(slave());
        let child = leader.spawn().expect("setsid is part of util-linux");
        let master = File::from(master);
        let (sender, output) = channel();
        let closing = Arc::new(AtomicBool::new(false));
        let (reading, closed) = (
            master.try_clone().expect("descriptors can be copied"),
            closing.clone(),
        );
        let reader = std::thread::spawn(move || read(reading, &closed, &sender));
        Terminal {
            child,
            master: Some(master),
            slave: slave_end,
            output,
            closing,
            reader: Some(reader),
            seen: String::new(),
            expected: 0,
        }
    }

    pub fn types(&mut self, text: &str) {
        let master = self.master.as_mut().expect("the window is open");
        master
            .write_all(text.as_bytes())
            .expect("a terminal takes input");
    }

    /// Waits until a text appears after the last one that was expected.
    #[track_caller]
    pub fn expect(&mut self, part: &str) {
        let begin = Instant::now();
        loop {
            if let Some(at) = self.seen[self.expected..].find(part) {
                self.expected += at + part.len();
                return;
            }
            match self
                .output
                .recv_timeout(LIMIT.saturating_sub(begin.elapsed()))
            {
                Ok(piece) => self.seen.push_str(&String::from_utf8_lossy(&piece)),
                Err(_) => panic!("the terminal never showed {part:?}, but {:?}", self.seen),
            }
        }
    }

    /// What has been seen so far.
    pub fn everything(&self) -> &str {
        &self.seen
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.slave, size).expect("it is a terminal");
    }

    /// Closes the window: the kernel hangs up the session.
    pub fn close(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        self.master = None;
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader does not panic");
        }
    }

    pub fn settings(&self) -> Termios {
        tcgetattr(&self.slave).expect("it is a terminal")
    }

    /// Waits for the program's end and gives its exit code.
    #[track_caller]
    pub fn wait(&mut self) -> i32 {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is a child") {
                return code(status);
            }
            if begin.elapsed() > LIMIT {
                let _ = self.child.kill();
                panic!(
                    "the program on the terminal did not end; it showed {:?}",
                    self.seen
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Copies what the terminal shows until the window is closed; looks up now and then, so that it lets go of the master.
fn read(mut master: File, closing: &AtomicBool, sender: &Sender<Vec<u8>>) {
    let pause = Timespec {
        tv_sec: 0,
        tv_nsec: 20_000_000,
    };
    let mut buffer = [0; 4096];
    while !closing.load(Ordering::Relaxed) {
        let ready = poll(&mut [PollFd::new(&master, PollFlags::IN)], Some(&pause));
        if !matches!(ready, Ok(1..)) {
            continue;
        }
        let Ok(length @ 1..) = master.read(&mut buffer) else {
            return;
        };
        if sender.send(buffer[..length].to_vec()).is_err() {
            return;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.close();
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
