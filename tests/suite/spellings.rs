//! Both of docker's spellings of every command, so that a test of a flag covers each. Judges nothing.

use crate::env::TestEnv;
use crate::process::Outcome;

/// A way to a container: `run`, or `create` with `start` after it.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub make: &'static str,
    start: Option<&'static str>,
}

/// Each flag that `run` and `create` share is passed in these ways.
pub const WAYS: [Way; 4] = [
    Way {
        make: "run",
        start: None,
    },
    Way {
        make: "container run",
        start: None,
    },
    Way {
        make: "create",
        start: Some("start"),
    },
    Way {
        make: "container create",
        start: Some("container start"),
    },
];

/// `command`, which may be two words, and what follows it.
pub fn words<'a>(command: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    command.split(' ').chain(rest.iter().copied()).collect()
}

/// Runs the program with one spelling of a command.
pub fn ask(env: &TestEnv, command: &str, rest: &[&str]) -> Outcome {
    env.run(&words(command, rest))
}

impl Way {
    /// What a failure of docker's daemon ends with: its client's `run` has a code of its own for that.
    pub fn engine_failure(self) -> i32 {
        if self.start.is_some() { 1 } else { 125 }
    }

    /// Flags, image, program: run to its end. Without a network, which most flags have nothing to do with.
    pub fn run(self, env: &TestEnv, rest: &[&str]) -> Outcome {
        self.feed(env, rest, "")
    }

    /// The same with something to read, if the flags keep the standard input open.
    pub fn feed(self, env: &TestEnv, rest: &[&str], input: &str) -> Outcome {
        let rest = [&["--network", "none"], rest].concat();
        let Some(start) = self.start else {
            let rest = [&["--rm"], &rest[..]].concat();
            return env.command(&words(self.make, &rest)).input(input).run();
        };
        let made = ask(env, self.make, &rest);
        if made.code != 0 {
            return made;
        }
        let id = made.out();
        let flags = if input.is_empty() { "-a" } else { "-ai" };
        let ended = env.command(&words(start, &[flags, &id])).input(input).run();
        // What removes itself is gone already.
        ask(env, "rm", &["-f", &id]).ok();
        ended
    }

    /// What a successful program wrote.
    #[track_caller]
    pub fn out(self, env: &TestEnv, rest: &[&str]) -> String {
        self.run(env, rest).ok().out()
    }

    /// A container in the background; its id.
    #[track_caller]
    pub fn start(self, env: &TestEnv, rest: &[&str]) -> String {
        let Some(start) = self.start else {
            return ask(env, self.make, &[&["-d"], rest].concat()).ok().out();
        };
        let id = ask(env, self.make, rest).ok().out();
        ask(env, start, &[&id]).ok();
        id
    }
}
