//! Every verb and every flag with a value has enough lines. Runs none of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{FILES, blocks};

const DOCKER: &str = include_str!("../../docker_cli.tsv");
const ROWS: &str = include_str!("../../cli_rows.tsv");

const VERBS: [&str; 31] = [
    "run",
    "create",
    "start",
    "stop",
    "restart",
    "kill",
    "pause",
    "unpause",
    "wait",
    "rm",
    "rename",
    "exec",
    "attach",
    "logs",
    "top",
    "stats",
    "cp",
    "diff",
    "export",
    "commit",
    "inspect",
    "port",
    "update",
    "events",
    "ps",
    "container prune",
    "volume create",
    "volume ls",
    "volume rm",
    "volume inspect",
    "volume prune",
];

/// Flags without a line that has a bad value, and why.
const NO_BAD_VALUE: [(&str, &str); 7] = [
    ("commit --author", "any text"),
    ("commit --message", "any text"),
    ("logs --tail", "what is no number means all"),
    (
        "run --cgroup-parent",
        "what is outside of the engine's own tree is each engine's own affair",
    ),
    ("run --dns-option", "any text"),
    ("run --domainname", "any text"),
    (
        "run --volume-driver",
        "means nothing without a second flag, --volume",
    ),
];
/// Flags without a line that works, and why.
const NO_GOOD_VALUE: [(&str, &str); 2] = [
    ("run --gpus", "needs the device and its vendor's files"),
    ("run --runtime", "each engine has names of its own"),
];

/// A flag of a verb, by its long name.
type Flag = (String, String);

/// The flags with a value that work, and the long name of each spelling.
struct Flags {
    valued: BTreeSet<Flag>,
    long: BTreeMap<Flag, String>,
}

impl Flags {
    fn read() -> Flags {
        let works: BTreeSet<(&str, &str)> = ROWS
            .lines()
            .filter_map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
                [command, flag, state] if state.starts_with("works ") => Some((command, flag)),
                _ => None,
            })
            .collect();
        let mut flags = Flags {
            valued: BTreeSet::new(),
            long: BTreeMap::new(),
        };
        for line in DOCKER.lines() {
            let columns: Vec<&str> = line.split('\t').collect();
            let [command, flag, value, ref long @ ..] = columns[..] else {
                continue;
            };
            let long = long.first().copied().unwrap_or(flag);
            let key = |flag: &str| (family(command).to_owned(), flag.to_owned());
            flags.long.insert(key(flag), long.to_owned());
            if !value.is_empty() && works.contains(&(command, long)) && is_verb(command) {
                flags.valued.insert(key(long));
            }
        }
        flags
    }

    /// The flags with a value among the words behind a verb.
    fn among(&self, verb: &str, words: &[String]) -> BTreeSet<Flag> {
        let known = words.iter().filter_map(|word| {
            let name = word.split('=').next()?;
            let key = (family(verb).to_owned(), name.to_owned());
            let long = self.long.get(&key)?;
            let flag = (key.0, long.clone());
            self.valued.contains(&flag).then_some(flag)
        });
        known.collect()
    }
}

/// `run` and `create` have the same flags from one definition.
fn family(verb: &str) -> &str {
    if verb == "create" { "run" } else { verb }
}

fn is_verb(command: &str) -> bool {
    VERBS.contains(&command)
}

/// Each `docker VERB …` of a shell line: the verb and the words behind it.
fn commands(line: &str) -> Vec<(String, Vec<String>)> {
    let plain = line.replace(['\'', '"', '(', ')', '`'], " ");
    let words: Vec<&str> = plain.split_whitespace().collect();
    let mut found = Vec::new();
    for (at, _) in words
        .iter()
        .enumerate()
        .filter(|(_, word)| **word == "docker")
    {
        let mut rest = words[at + 1..].iter().copied().peekable();
        let mut verb = rest.next().unwrap_or_default().to_owned();
        if verb == "container" || verb == "volume" {
            let second = rest.next().unwrap_or_default();
            let two = format!("{verb} {second}");
            verb = if is_verb(&two) {
                two
            } else {
                second.to_owned()
            };
        }
        let arguments = rest
            .take_while(|word| !["|", ";", "&&", "||", "docker"].contains(word))
            .map(str::to_owned);
        found.push((verb, arguments.collect()));
    }
    found
}

#[derive(Default)]
struct Count {
    lines: usize,
    errors: usize,
}

#[test]
fn every_verb_and_every_flag_with_a_value_has_lines() {
    let flags = Flags::read();
    let mut verbs: BTreeMap<String, Count> = BTreeMap::new();
    let mut values: BTreeMap<Flag, Count> = BTreeMap::new();
    let mut total = 0;
    for block in FILES.iter().flat_map(|file| blocks(file)) {
        total += 1;
        let commands = commands(&block.command);
        let error = commands.len() == 1 && block.code != 0 && !block.errors.is_empty();
        for (verb, words) in &commands {
            let count = verbs.entry(verb.clone()).or_default();
            count.lines += 1;
            count.errors += usize::from(error);
            let used = flags.among(verb, words);
            // With two of them it would not be known which one is wrong.
            let errors = usize::from(error && used.len() == 1);
            for flag in used {
                let count = values.entry(flag).or_default();
                count.lines += usize::from(!error);
                count.errors += errors;
            }
        }
    }
    let mut faults: Vec<String> = VERBS
        .into_iter()
        .filter(|verb| {
            verbs
                .get(*verb)
                .is_none_or(|count| count.lines < 3 || count.errors < 1)
        })
        .map(|verb| format!("{verb}: fewer than three lines or no error"))
        .collect();
    for (verb, flag) in &flags.valued {
        let name = format!("{verb} {flag}");
        let excused = |list: &[(&str, &str)]| list.iter().any(|(excused, _)| *excused == name);
        let count = values
            .remove(&(verb.clone(), flag.clone()))
            .unwrap_or_default();
        for (lines, excused, what) in [
            (count.lines, excused(&NO_GOOD_VALUE), "line that works"),
            (
                count.errors,
                excused(&NO_BAD_VALUE),
                "line with a bad value",
            ),
        ] {
            match (lines, excused) {
                (0, false) => faults.push(format!("{name}: no {what}")),
                (1.., true) => faults.push(format!("{name}: has a {what} after all")),
                _ => {}
            }
        }
    }
    assert!(total >= 150, "{total} lines");
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
