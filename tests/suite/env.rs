//! Where a test lives: its own HOME, XDG directories and store, the program under test, and what must be gone afterwards.
//! Knows nothing of what the program does with them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::image;
use crate::process::{Background, Invocation, Outcome};
use crate::terminal::Terminal;

/// The variable by which the processes of a test are found.
pub const MARK: &str = "BRYO_TEST_ENV";

/// How long asynchronous teardown may take before it counts as left behind.
const TEARDOWN: Duration = Duration::from_secs(5);

/// Whose expectations are being tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Bryo,
    /// The original, to see whether an expectation is wrong.
    Podman,
    /// Its daemon is shared by all tests, so that only those of `docker_lines` run on it.
    Docker,
}

impl Engine {
    pub fn chosen() -> Engine {
        match std::env::var("BRYO_TEST_ENGINE").as_deref() {
            Ok("podman") => Engine::Podman,
            Ok("docker") => Engine::Docker,
            _ => Engine::Bryo,
        }
    }
}

/// How often a test repeats something: `long` with `tests/run --long`, else `short`.
pub fn count(short: usize, long: usize) -> usize {
    match std::env::var("BRYO_TEST_LONG") {
        Ok(value) if !value.is_empty() => long,
        _ => short,
    }
}

/// One test's world. Dropping it removes its containers and asserts that nothing else is left.
pub struct TestEnv {
    pub engine: Engine,
    root: PathBuf,
    /// Variables that every run of the program gets beside those of `new`.
    variables: Vec<(String, String)>,
}

/// A world for bryo alone; skips the test when the original is being tested.
macro_rules! test_env {
    () => {{
        if $crate::env::Engine::chosen() != $crate::env::Engine::Bryo {
            $crate::need::skip($crate::need::test_name!(), "expectation of bryo alone");
            return;
        }
        $crate::env::TestEnv::new()
    }};
}
pub(crate) use test_env;

/// A world for what bryo and the original do alike.
macro_rules! shared_env {
    () => {{
        if $crate::env::Engine::chosen() == $crate::env::Engine::Docker {
            $crate::need::skip($crate::need::test_name!(), "docker's daemon is shared");
            return;
        }
        $crate::env::TestEnv::new()
    }};
}
pub(crate) use shared_env;

impl TestEnv {
    pub fn new() -> TestEnv {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let engine = Engine::chosen();
        // Short, because a socket's path has room for 108 bytes; podman (4.3) takes no more than 50 for its runtime directory,
        // and says so only where a container ends, to nobody.
        let name = format!("t{}-{number}", std::process::id());
        let root = match engine {
            Engine::Podman => {
                let run = std::env::var("BRYO_TEST_RUN").unwrap_or_default();
                PathBuf::from("/tmp").join(run.replace("bryo-test-", "b-") + &name)
            }
            Engine::Bryo | Engine::Docker => std::env::var_os("TMPDIR")
                .map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
                .join(name),
        };
        for name in ["", "home", "data", "config", "cache", "run", "tmp"] {
            let made = fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(root.join(name));
            made.expect("the temporary directory is writable");
        }
        TestEnv {
            engine,
            root,
            variables: Vec::new(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// `$XDG_DATA_HOME/bryo`.
    pub fn store(&self) -> PathBuf {
        self.root.join("data/bryo")
    }

    /// Writes a file for the test below its temporary directory and gives its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.root.join("home").join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("home is writable");
        fs::write(&path, content).expect("home is writable");
        path.to_str().expect("test paths are UTF-8").to_owned()
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// The program with these arguments, ready to be changed and run.
    pub fn command(&self, arguments: &[&str]) -> Invocation {
        let mut command = match self.engine {
            Engine::Bryo => Command::new(bryo()),
            Engine::Podman => {
                let mut command = Command::new("podman");
                command.args(["--cgroup-manager", "cgroupfs", "--events-backend", "none"]);
                command
            }
            Engine::Docker => Command::new("docker"),
        };
        command.args(arguments);
        self.give_environment(&mut command);
        Invocation::new(command)
    }

    /// Any other program, in this environment.
    pub fn other(&self, program: &str, arguments: &[&str]) -> Invocation {
        let mut command = Command::new(program);
        command.args(arguments);
        self.give_environment(&mut command);
        Invocation::new(command)
    }

    /// Shell lines as root of a private user and network namespace, and of what else `flags` of unshare(1) ask for; `$BRYO` is the
    /// program under test.
    pub fn apart(&self, flags: &[&str], lines: &str) -> Invocation {
        self.unshared(&[&["--net"], flags].concat(), lines)
    }

    /// Shell lines on a host that lacks these programs wherever they are looked for, as root of a private user and mount
    /// namespace; `$BRYO` is the program under test.
    pub fn lacking(&self, programs: &[&str], lines: &str) -> Outcome {
        let hide = format!(
            "for name in {}; do for dir in /usr/local/bin /usr/local/sbin /usr/bin /usr/sbin /bin /sbin; do \
             ! test -e $dir/$name || mount --bind /dev/null $dir/$name || exit 99; done; done",
            programs.join(" ")
        );
        let script = format!("{hide}\n{lines}");
        self.unshared(&["--mount"], &script).run()
    }

    fn unshared(&self, namespaces: &[&str], lines: &str) -> Invocation {
        let user = ["--user", "--map-root-user"];
        let words = [&user[..], namespaces, &["sh", "-c", lines]].concat();
        self.other("unshare", &words).var("BRYO", bryo())
    }

    /// Makes the file whose coming ends a container: that end, and with it the end of all in it, may come before touch's own.
    #[track_caller]
    pub fn end_by_file(&self, container: &str, file: &str) {
        let touched = self.run(&["exec", container, "touch", file]);
        assert!(matches!(touched.code, 0 | 137), "{touched:?}");
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.command(arguments).run()
    }

    /// Runs the program, expects success, gives its standard output without the last newline.
    pub fn out(&self, arguments: &[&str]) -> String {
        self.run(arguments).ok().out()
    }

    /// Starts the program and goes on.
    pub fn spawn(&self, arguments: &[&str]) -> Background {
        self.command(arguments).spawn()
    }

    /// Starts the program on a new terminal of 24 rows and 80 columns.
    pub fn terminal(&self, arguments: &[&str]) -> Terminal {
        Terminal::start(self.command(arguments).into_command())
    }

    /// Loads the busybox image as `busybox:latest`.
    pub fn busybox(&self) {
        self.load(&image::busybox().docker_archive("busybox:latest"));
    }

    pub fn load(&self, archive: &[u8]) -> Outcome {
        let file = self.file("image.tar", archive);
        self.run(&["load", "-i", &file]).ok()
    }

    fn give_environment(&self, command: &mut Command) {
        command.env_clear().current_dir(self.root.join("home"));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("LANG", "C.UTF-8").env("TERM", "xterm");
        for (name, directory) in [
            ("HOME", "home"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_RUNTIME_DIR", "run"),
            ("TMPDIR", "tmp"),
        ] {
            command.env(name, self.root.join(directory));
        }
        command.env(MARK, &self.root);
        for name in ["USER", "BRYO_TEST_RUN", "DOCKER_HOST"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
    }

    /// Processes of this test: by their environment, their mounts or the paths and ids on their command line.
    pub fn processes(&self) -> BTreeSet<String> {
        let root = self.root.to_str().expect("test paths are UTF-8");
        let mark = format!("{MARK}={root}");
        let mut marks = vec![format!("{root}/")];
        marks.extend(self.containers());
        let mut found = BTreeSet::new();
        for entry in fs::read_dir("/proc").expect("/proc is mounted").flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
                continue;
            };
            let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
            let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
            let environment = String::from_utf8_lossy(&read("environ")).into_owned();
            let mounts = String::from_utf8_lossy(&read("mountinfo")).into_owned();
            let ours = pid != std::process::id()
                && (environment.split('\0').any(|variable| variable == mark)
                    || mounts.contains(&format!("{root}/"))
                    || marks.iter().any(|mark| command.contains(mark.as_str())));
            if ours && !is_zombie(&entry.path()) {
                found.insert(format!("{pid} {command}"));
            }
        }
        found
    }

    /// The full ids of the containers that have a directory in the store.
    pub fn containers(&self) -> Vec<String> {
        names(&self.store().join("containers"))
    }

    /// Sockets below the runtime directory.
    pub fn sockets(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut directories = vec![self.path("run")];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => directories.push(entry.path()),
                    Ok(kind) if kind.is_socket() => found.push(entry.path()),
                    _ => {}
                }
            }
        }
        found
    }

    /// Half-made things in the store: nothing may find them, and the next command sweeps them.
    pub fn half_made(&self) -> Vec<String> {
        [
            "layers",
            "containers",
            "images",
            "images/blobs/sha256",
            "images/stacks",
            "images/signatures",
            "images/kept",
            "names",
        ]
        .into_iter()
        .flat_map(|directory| names(&self.store().join(directory)))
        // Files that are only ever locked stay.
        .filter(|name| name.starts_with('.') && name != ".adding" && !name.ends_with(".lock"))
        .collect()
    }

    fn leftovers(&self) -> Vec<String> {
        let mut left: Vec<String> = self
            .processes()
            .into_iter()
            .map(|process| format!("process {process}"))
            .collect();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let root = self.root.to_str().expect("test paths are UTF-8");
        left.extend(
            mounts
                .lines()
                .filter(|line| line.contains(root))
                .map(|line| format!("mount {line}")),
        );
        if self.engine == Engine::Bryo {
            left.extend(
                self.sockets()
                    .iter()
                    .map(|socket| format!("socket {}", socket.display())),
            );
            left.extend(
                names(&self.path("tmp"))
                    .iter()
                    .map(|name| format!("temporary file {name}")),
            );
            left.extend(
                self.half_made()
                    .iter()
                    .map(|name| format!("half-made {name}")),
            );
        }
        left
    }

    /// Removes every container, then says what is left of the test once teardown has had its time.
    fn end(&self) -> Vec<String> {
        let all = self.command(&["ps", "-aq", "--no-trunc"]).try_run();
        let ids: Vec<&str> = all
            .as_ref()
            .map(|outcome| outcome.stdout.split_whitespace().collect())
            .unwrap_or_default();
        if !ids.is_empty() {
            let mut arguments = vec!["rm", "-f"];
            arguments.extend(ids);
            self.command(&arguments).try_run();
        }
        let begin = Instant::now();
        loop {
            let left = self.leftovers();
            if left.is_empty() || begin.elapsed() > TEARDOWN || self.engine != Engine::Bryo {
                return left;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn remove(&self) {
        // Files of subordinate ids can only be deleted inside a user namespace that maps them.
        let removed = Command::new("unshare")
            .args(["--user", "--map-root-user", "--map-auto", "rm", "-rf"])
            .arg(&self.root)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !removed.is_ok_and(|status| status.success()) {
            let _ = Command::new("chmod")
                .args(["-R", "u+rwX"])
                .arg(&self.root)
                .stderr(Stdio::null())
                .status();
            let _ = fs::remove_dir_all(&self.root);
        }
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        let left = self.end();
        for process in self.processes() {
            let pid = process.split(' ').next().and_then(|pid| pid.parse().ok());
            if let Some(pid) = pid {
                let _ = nix::sys::signal::kill(
                    nix::unistd::Pid::from_raw(pid),
                    nix::sys::signal::Signal::SIGKILL,
                );
            }
        }
        self.remove();
        // The original keeps a process of its own alive on purpose.
        if !std::thread::panicking() && self.engine == Engine::Bryo {
            assert!(
                left.is_empty(),
                "the test left behind:\n{}",
                left.join("\n")
            );
        }
    }
}

/// The program under test.
pub fn bryo() -> PathBuf {
    std::env::var_os("BRYO_BIN")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_bryo")), PathBuf::from)
}

/// The names in a directory; none where there is no such directory.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

fn is_zombie(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    // The state follows the name, which may itself hold parentheses.
    stat.rsplit(')')
        .next()
        .is_none_or(|rest| rest.trim_start().starts_with('Z') || rest.is_empty())
}
