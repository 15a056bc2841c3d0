//! Runs a program with a time limit and keeps what it wrote. Judges nothing but the limit and open pipes.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longer than anything takes on a busy machine; a test that reaches it has found a hang.
pub const LIMIT: Duration = Duration::from_secs(60);
/// How long a pipe may stay open after its program has ended.
const PIPES: Duration = Duration::from_secs(5);

/// A program about to be run.
pub struct Invocation {
    command: Command,
    input: Option<Vec<u8>>,
    limit: Duration,
}

/// How a program ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code, or 128 and the signal's number, as a shell gives it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
    what: String,
}

/// A running program.
pub struct Background {
    child: Child,
    what: String,
    begin: Instant,
    limit: Duration,
    output: Receiver<(Stream, Vec<u8>)>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    open: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Out,
    Error,
}

impl Invocation {
    pub fn new(command: Command) -> Invocation {
        Invocation {
            command,
            input: None,
            limit: LIMIT,
        }
    }

    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Invocation {
        self.input = Some(bytes.into());
        self
    }

    /// Where it is run.
    pub fn directory(mut self, path: impl AsRef<std::path::Path>) -> Invocation {
        self.command.current_dir(path);
        self
    }

    pub fn var(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Invocation {
        self.command.env(name, value);
        self
    }

    pub fn without(mut self, name: &str) -> Invocation {
        self.command.env_remove(name);
        self
    }

    pub fn limit(mut self, limit: Duration) -> Invocation {
        self.limit = limit;
        self
    }

    pub fn into_command(self) -> Command {
        self.command
    }

    pub fn run(self) -> Outcome {
        self.spawn().wait()
    }

    /// Nothing where the program can't be run at all.
    pub fn try_run(mut self) -> Option<Outcome> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = self.command.output().ok()?;
        Some(Outcome {
            code: code(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: Duration::ZERO,
            what: String::new(),
        })
    }

    pub fn spawn(mut self) -> Background {
        let what = describe(&self.command);
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        if self.input.is_some() {
            self.command.stdin(Stdio::piped());
        }
        let begin = Instant::now();
        let mut child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let (sender, output) = channel();
        read(
            child.stdout.take().expect("it is a pipe"),
            Stream::Out,
            sender.clone(),
        );
        read(
            child.stderr.take().expect("it is a pipe"),
            Stream::Error,
            sender,
        );
        if let Some(input) = self.input {
            let stdin = child.stdin.take().expect("it is a pipe");
            std::thread::spawn(move || feed(stdin, &input));
        }
        Background {
            child,
            what,
            begin,
            limit: self.limit,
            output,
            stdout: Vec::new(),
            stderr: Vec::new(),
            open: 2,
        }
    }

    /// Starts the program with a pipe as standard input that the test writes to.
    pub fn spawn_interactive(mut self) -> (Background, ChildStdin) {
        self.command.stdin(Stdio::piped());
        let mut background = self.spawn();
        let stdin = background.child.stdin.take().expect("it is a pipe");
        (background, stdin)
    }
}

impl Outcome {
    /// Asserts success.
    #[track_caller]
    pub fn ok(self) -> Outcome {
        self.code(0)
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Outcome {
        assert_eq!(self.code, code, "exit code of `{}`: {self:#?}", self.what);
        self
    }

    /// Standard output without the last newline.
    pub fn out(&self) -> String {
        self.stdout
            .strip_suffix('\n')
            .unwrap_or(&self.stdout)
            .to_owned()
    }

    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }

    /// Asserts that standard error contains a text.
    #[track_caller]
    pub fn says(self, part: &str) -> Outcome {
        assert!(
            self.stderr.contains(part),
            "stderr without {part:?}: {self:#?}"
        );
        self
    }

    #[track_caller]
    pub fn prints(self, part: &str) -> Outcome {
        assert!(
            self.stdout.contains(part),
            "stdout without {part:?}: {self:#?}"
        );
        self
    }

    /// Asserts what every failure of the engine is: this code, one `Error:` line first, no panic, no bare errno.
    #[track_caller]
    pub fn fails(self, code: i32, part: &str) -> Outcome {
        let outcome = self.code(code).says(part);
        let first = outcome
            .stderr
            .lines()
            .find(|line| line.starts_with("Error: "));
        assert!(first.is_some(), "no line begins with Error: {outcome:#?}");
        for wrong in [
            "panicked",
            "RUST_BACKTRACE",
            "failed to failed",
            "Error: Error",
        ] {
            assert!(
                !outcome.stderr.contains(wrong),
                "stderr with {wrong:?}: {outcome:#?}"
            );
        }
        outcome
    }
}

impl Background {
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("pids fit")
    }

    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("it has not been waited for");
    }

    /// Waits until the program has written a text to either stream.
    #[track_caller]
    pub fn until(&mut self, part: &str) {
        while !self.has(part) {
            let left = self
                .limit
                .checked_sub(self.begin.elapsed())
                .unwrap_or_default();
            match self.output.recv_timeout(left) {
                Ok(piece) => self.take(piece),
                Err(_) => panic!(
                    "{} did not write {part:?}; stdout: {:?}; stderr: {:?}",
                    self.what,
                    String::from_utf8_lossy(&self.stdout),
                    String::from_utf8_lossy(&self.stderr)
                ),
            }
        }
    }

    fn has(&self, part: &str) -> bool {
        let within = |bytes: &[u8]| {
            bytes
                .windows(part.len())
                .any(|window| window == part.as_bytes())
        };
        within(&self.stdout) || within(&self.stderr)
    }

    fn take(&mut self, (stream, piece): (Stream, Vec<u8>)) {
        match (piece.is_empty(), stream) {
            (true, _) => self.open -= 1,
            (false, Stream::Out) => self.stdout.extend(piece),
            (false, Stream::Error) => self.stderr.extend(piece),
        }
    }

    /// Whether it has written a text by now; does not wait for it.
    pub fn has_written(&mut self, part: &str) -> bool {
        while let Ok(piece) = self.output.try_recv() {
            self.take(piece);
        }
        self.has(part)
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is a child").is_none()
    }

    #[track_caller]
    pub fn wait(mut self) -> Outcome {
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is a child") {
                break status;
            }
            if self.begin.elapsed() > self.limit {
                let _ = self.child.kill();
                panic!(
                    "{} did not end; stderr: {}",
                    self.what,
                    String::from_utf8_lossy(&self.stderr)
                );
            }
            match self.output.recv_timeout(Duration::from_millis(2)) {
                Ok(piece) => self.take(piece),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let took = self.begin.elapsed();
        let ended = Instant::now();
        while self.open > 0 {
            match self
                .output
                .recv_timeout(PIPES.saturating_sub(ended.elapsed()))
            {
                Ok(piece) => self.take(piece),
                Err(_) => panic!(
                    "{}: something holds its output open after its end",
                    self.what
                ),
            }
        }
        Outcome {
            code: code(status),
            stdout: String::from_utf8_lossy(&self.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&self.stderr).into_owned(),
            took,
            what: self.what.clone(),
        }
    }
}

/// Waits for a condition that no event tells of; the limit only ends a test that fails.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < LIMIT, "never came: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

fn feed(mut stdin: ChildStdin, input: &[u8]) {
    // A program that ends before it has read everything is not the writer's concern.
    let _ = stdin.write_all(input);
}

fn read(pipe: impl Read + Send + 'static, stream: Stream, sender: Sender<(Stream, Vec<u8>)>) {
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        loop {
            let piece = pipe.fill_buf().map(<[u8]>::to_vec).unwrap_or_default();
            let length = piece.len();
            // An empty piece is the end.
            if sender.send((stream, piece)).is_err() || length == 0 {
                return;
            }
            pipe.consume(length);
        }
    });
}
