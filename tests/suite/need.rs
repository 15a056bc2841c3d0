//! What a test needs of its host, and how it says that something is missing. Never installs anything.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Something a host may lack. CI has all of them, so there a missing one is a failure.
#[derive(Clone, Copy, Debug)]
pub enum Need {
    Program(&'static str),
    SubordinateIds,
    /// A device node that this user may open.
    Device(&'static str),
    /// A cgroup2 directory of the user's that contains this process.
    Cgroup,
    /// Something that `tests/env/fixtures` makes.
    Fixture(&'static str),
}

impl Need {
    /// Why it is not there.
    pub fn missing(self) -> Option<String> {
        let there = match self {
            Need::Program(name) => program(name).is_some(),
            Need::SubordinateIds => {
                ["/etc/subuid", "/etc/subgid"].into_iter().all(has_own_line)
                    && program("newuidmap").is_some()
            }
            Need::Device(path) => fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .is_ok(),
            Need::Cgroup => {
                std::env::var_os("BRYO_TEST_CGROUP").is_some_and(|group| !group.is_empty())
            }
            Need::Fixture(name) => fixture(name).exists(),
        };
        (!there).then(|| match self {
            Need::Program(name) => format!("{name} is not installed"),
            Need::SubordinateIds => "no subordinate ids, or no newuidmap".to_owned(),
            Need::Device(path) => format!("{path} can't be opened"),
            Need::Cgroup => "no delegated cgroup2 tree".to_owned(),
            Need::Fixture(name) => format!("the fixture {name} could not be made"),
        })
    }
}

/// Skips the test unless the host has everything named.
macro_rules! need {
    ($($need:expr),+ $(,)?) => {
        $(if let Some(reason) = $crate::need::Need::missing($need) {
            $crate::need::lacks($crate::need::test_name!(), &reason);
            return;
        })+
    };
}
pub(crate) use need;

/// The test's own name, also where the harness gives its thread none.
macro_rules! test_name {
    () => {{
        fn here() {}
        std::any::type_name_of_val(&here)
    }};
}
pub(crate) use test_name;

/// Records that a test is skipped because the host lacks something.
pub fn lacks(test: &str, reason: &str) {
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!in_ci, "CI has to have this: {reason}");
    skip(test, reason);
}

/// Records that a test is skipped; `tests/run` counts it.
pub fn skip(test: &str, reason: &str) {
    let test = test
        .trim_start_matches("suite::")
        .trim_end_matches("::here");
    if let Some(file) = std::env::var_os("BRYO_TEST_SKIPS") {
        let opened = fs::OpenOptions::new().append(true).create(true).open(file);
        let mut file = opened.expect("tests/run made the file");
        writeln!(file, "{test}\t{reason}").expect("tests/run made the file");
    }
}

/// Where a program is.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// What `tests/env/fixtures` makes: `debian.tar`, `syscalls`.
pub fn fixture(name: &str) -> PathBuf {
    let fixtures =
        std::env::var_os("BRYO_TEST_FIXTURES").unwrap_or_else(|| "target/test-fixtures".into());
    Path::new(&fixtures).join(name)
}

fn has_own_line(file: &str) -> bool {
    let uid = nix::unistd::getuid();
    let name = nix::unistd::User::from_uid(uid)
        .ok()
        .flatten()
        .map(|user| user.name);
    fs::read_to_string(file)
        .unwrap_or_default()
        .lines()
        .any(|line| {
            let owner = line.split(':').next();
            owner == Some(uid.to_string().as_str()) || (owner.is_some() && owner == name.as_deref())
        })
}
