//! `run` before its command line is understood: a monitor is called for it, so that namespaces are made on another processor
//! meanwhile. Guesses from the words what it will need; a wrong guess costs time and nothing else.

use std::ffi::OsString;

use super::Invocation;
use super::commands::GlobalFlags;
use crate::engine::{BUILTIN_WORDS, Called, Engine, Expectation};

/// What `run` finds ready.
pub struct Early {
    pub engine: Engine,
    pub called: Option<Called>,
}

impl Early {
    /// `None` where the words are no `run`, or nothing can be known yet.
    pub fn begin(words: &[OsString]) -> Option<Early> {
        let words: Vec<&str> = words.iter().map_while(|word| word.to_str()).collect();
        let expectation = expectation(&words)?;
        // The flags that all commands have come before the word. What is wrong with it is said when it is opened again.
        let engine = Invocation::new(GlobalFlags::default(), None)
            .engine()
            .ok()?;
        let called = engine.call_monitor(expectation);
        Some(Early { engine, called })
    }
}

/// The flags after which all that is expected is different, and what would be called is called for nothing.
const OTHERWISE: [&str; 17] = [
    "--help",
    "--userns",
    "--memory",
    "-m",
    "--cpus",
    "-c",
    "--pids-limit",
    "--cpuset-cpus",
    "--cpu-shares",
    "--log-driver",
    "--preserve-fd",
    "--preserve-fds",
    "--uidmap",
    "--gidmap",
    // Read first, and that may take as long as whoever writes them.
    "--env-file",
    "--label-file",
    "--security-opt",
];

fn expectation(words: &[&str]) -> Option<Expectation> {
    let rest = match words {
        [_, "run", rest @ ..] | [_, "container", "run", rest @ ..] => rest,
        _ => return None,
    };
    let mut expected = Expectation {
        // The embedded image has no network, and nothing is to be started for it that may ask somebody.
        default_network: !rest.iter().any(|word| BUILTIN_WORDS.contains(word)),
        ..Expectation::default()
    };
    let mut after_flag = true;
    let mut image = false;
    let mut before = "";
    for word in rest {
        let flag = word.starts_with('-');
        if !flag && !after_flag {
            image = true;
            break;
        }
        let name = word.split('=').next().unwrap_or_default();
        // One that shares a namespace is cloned when it is known which.
        if word.ends_with("host") || word.contains("container:") || OTHERWISE.contains(&name) {
            return None;
        }
        image |= !flag;
        expected.own_pasta |= is_own_pasta(before, word);
        expected.tells_pasta |= tells_pasta(name);
        before = word;
        after_flag = flag && !word.contains('=');
        match word.strip_prefix("--") {
            Some("interactive") => expected.open_stdin = true,
            Some("tty") => expected.terminal = true,
            Some(_) if ["--network", "--net"].contains(&name) => expected.default_network = false,
            Some("") => break,
            Some(_) => {}
            None if flag => short(&word[1..], &mut expected),
            None => {}
        }
    }
    image.then_some(expected)
}

/// A network of its own, as it is without options.
fn is_own_pasta(before: &str, word: &str) -> bool {
    let said = |flag: &&str| word.strip_prefix(flag) == Some("=pasta");
    let flags = ["--network", "--net"];
    flags.iter().any(said) || flags.contains(&before) && word == "pasta"
}

/// The flags of what pasta has to be told at its start, and letters among which one may be.
fn tells_pasta(name: &str) -> bool {
    match name.strip_prefix("--") {
        Some(name) => ["publish", "publish-all", "dns"].contains(&name),
        None => name.starts_with('-') && name.contains(['p', 'P']),
    }
}

/// The letters of `-it`, up to one that has a value.
fn short(letters: &str, expected: &mut Expectation) {
    for letter in letters.chars() {
        match letter {
            'i' => expected.open_stdin = true,
            't' => expected.terminal = true,
            'd' | 'q' | 'P' => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(line: &str) -> Option<(bool, bool)> {
        let words: Vec<&str> = line.split(' ').collect();
        let expected = expectation(&words)?;
        Some((expected.open_stdin, expected.terminal))
    }

    #[test]
    fn a_network_is_expected_where_nothing_else_is_said() {
        for (line, expected) in [
            ("bryo run busybox", true),
            ("bryo run --network none busybox", false),
            ("bryo run --net mine busybox", false),
            ("bryo run --rm hello", false),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let guess = expectation(&words).map(|expected| expected.default_network);
            assert_eq!(guess, Some(expected), "{line}");
        }
    }

    #[test]
    fn a_pasta_is_expected_where_it_is_asked_for() {
        for (line, expected) in [
            ("bryo run busybox", false),
            ("bryo run --network pasta busybox", true),
            ("bryo run --rm --net=pasta busybox", true),
            ("bryo run --network pasta:--mtu,1400 busybox", false),
            ("bryo run --network mine busybox pasta", false),
            ("bryo run --network pasta -e A=b busybox ls -p", true),
            ("bryo run --network pasta -p 80 busybox", false),
            ("bryo run -itP --network pasta busybox", false),
            ("bryo run --publish=80 --network pasta busybox", false),
            ("bryo run --network pasta --dns 192.0.2.1 busybox", false),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let guess = expectation(&words).expect(line);
            assert_eq!(guess.own_pasta && !guess.tells_pasta, expected, "{line}");
        }
    }

    #[test]
    fn the_words_of_a_run_tell_how_it_begins() {
        for (line, expected) in [
            ("bryo run busybox", Some((false, false))),
            (
                "bryo run --rm --network none busybox ls -it",
                Some((false, false)),
            ),
            ("bryo run -it --rm busybox", Some((true, true))),
            ("bryo run -dit busybox sh", Some((true, true))),
            ("bryo run -e it busybox cat -t", Some((false, false))),
            ("bryo run --network=none busybox", Some((false, false))),
            ("bryo container run --tty busybox", Some((false, true))),
            ("bryo run --network host busybox", None),
            ("bryo run --pid=host busybox", None),
            ("bryo run --memory=1g busybox", None),
            ("bryo run --network container:web busybox", None),
            ("bryo run --help", None),
            ("bryo run", None),
            ("bryo create busybox", None),
        ] {
            assert_eq!(guess(line), expected, "{line}");
        }
    }
}
