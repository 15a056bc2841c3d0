//! The Dockerfiles of `tests/dockerfiles`: all are read, each bad one is refused where its table says, every part of the language is
//! in one of them, and no mutation of them makes the reader panic or hang.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::super::fuzz;
use super::*;

pub(super) fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/dockerfiles")
}

/// Names without `.Dockerfile`, and contents.
pub(super) fn files(directory: PathBuf) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "Dockerfile")
        })
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// Every word that a build expands, expanded with a few variables.
fn expand_all(file: &Dockerfile) -> Result<(), DockerfileError> {
    let lookup = |name: &str| match name {
        "x" => Some("foo/bar/foo".to_owned()),
        "empty" => Some(String::new()),
        "UID" => Some("1000".to_owned()),
        "CACHE" => Some("/cache".to_owned()),
        _ => None,
    };
    let escape = file.directives.escape;
    let word = |word: &Word| file.source.expand(word, escape, &lookup).map(drop);
    for stage in &file.stages {
        word(&stage.base)?;
        for located in &stage.instructions {
            match &located.value {
                Instruction::Arg(arguments) => {
                    arguments
                        .iter()
                        .filter_map(|argument| argument.default.as_ref())
                        .try_for_each(word)?;
                }
                Instruction::Env(pairs) | Instruction::Label(pairs) => {
                    pairs
                        .iter()
                        .flat_map(|(name, value)| [name, value])
                        .try_for_each(word)?;
                }
                Instruction::Run(run) => {
                    for mount in &run.mounts {
                        file.source.mount(mount, escape, &lookup)?;
                    }
                    run.body();
                }
                Instruction::Copy(copy) => {
                    copy.sources
                        .iter()
                        .chain([&copy.destination])
                        .try_for_each(word)?;
                    for heredoc in copy.inline.iter().filter(|heredoc| heredoc.expand) {
                        expand_heredoc(&heredoc.content(), &lookup).map_err(|error| {
                            file.source
                                .error(located.location, Fault::Expand(error.fault))
                        })?;
                    }
                }
                Instruction::Add(add) => add
                    .sources
                    .iter()
                    .chain([&add.destination])
                    .try_for_each(word)?,
                Instruction::Workdir(one)
                | Instruction::User(one)
                | Instruction::StopSignal(one) => word(one)?,
                Instruction::Volume(words) => words.iter().try_for_each(word)?,
                Instruction::Expose(words) => {
                    for port in words {
                        file.source.expand_words(port, escape, &lookup)?;
                    }
                }
                Instruction::Onbuild(trigger) => {
                    parse_trigger(trigger)?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn check(file: &Dockerfile) -> Vec<Finding> {
    let none = BTreeMap::new();
    lint(
        file,
        &LintContext {
            build_arguments: &none,
            platform_arguments: &none,
            image_variables: &|_| Some(Vec::new()),
            ignore: None,
            check: None,
        },
    )
}

#[test]
fn every_good_file_is_read() {
    let files = files(directory());
    assert!(files.len() >= 100, "{} files", files.len());
    for (name, bytes) in files {
        let read = parse(&name, &bytes).and_then(|file| expand_all(&file).map(|()| file));
        match read {
            Ok(file) => drop(check(&file)),
            Err(error) => panic!("{error}\n{}", error.excerpt()),
        }
    }
}

/// The lines of `bad/expected.tsv`: file, place, message.
fn expected() -> BTreeMap<String, (String, String)> {
    let table = fs::read_to_string(directory().join("bad/expected.tsv")).unwrap();
    let row = |line: &str| {
        let mut cells = line.splitn(3, '\t').map(str::to_owned);
        let mut cell = || cells.next().unwrap();
        (cell(), (cell(), cell()))
    };
    table.lines().map(row).collect()
}

#[test]
fn every_bad_file_is_refused_at_its_place() {
    let expected = expected();
    let files = files(directory().join("bad"));
    let names: Vec<_> = files.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(
        names,
        expected.keys().cloned().collect::<Vec<_>>(),
        "files and rows"
    );
    let mut told = String::new();
    let mut wanted = String::new();
    for (name, bytes) in files {
        let read = parse(&name, &bytes).and_then(|file| expand_all(&file));
        let error = read
            .err()
            .unwrap_or_else(|| panic!("{name} is not refused"));
        writeln!(
            told,
            "{name}\t{}:{}\t{}",
            error.line, error.column, error.fault
        )
        .unwrap();
        let (place, message) = &expected[&name];
        writeln!(wanted, "{name}\t{place}\t{message}").unwrap();
    }
    assert!(told == wanted, "told:\n{told}\nexpected:\n{wanted}");
}

/// The variants of the enum that begins with a line, from the source.
fn variants(source: &str, begin: &str) -> Vec<String> {
    let body = source
        .split_once(begin)
        .unwrap()
        .1
        .split_once("\n}")
        .unwrap()
        .0;
    body.lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(char::is_uppercase))
        .map(|line| {
            line.chars()
                .take_while(|character| character.is_alphanumeric())
                .collect()
        })
        .collect()
}

#[test]
fn every_refusal_has_a_bad_file() {
    let mut missing = variants(include_str!("error.rs"), "pub enum Fault {");
    missing.extend(variants(
        include_str!("expand.rs"),
        "pub enum ExpandFault {",
    ));
    assert!(missing.len() > 50, "{missing:?}");
    let mut found = vec![
        "TooLarge".to_owned(),
        "TooLong".to_owned(),
        "Expand".to_owned(),
    ];
    for (name, bytes) in files(directory().join("bad")) {
        let read = parse(&name, &bytes).and_then(|file| expand_all(&file));
        let debug = match *read.unwrap_err().fault {
            Fault::Expand(fault) => format!("{fault:?}"),
            fault => format!("{fault:?}"),
        };
        found.push(
            debug
                .chars()
                .take_while(|character| character.is_alphanumeric())
                .collect(),
        );
    }
    missing.retain(|variant| !found.contains(variant));
    assert!(missing.is_empty(), "no bad file for {missing:?}");
}

/// xorshift64*, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }
}

const PIECES: [&[u8]; 24] = [
    b"${",
    b"}",
    b"\"",
    b"'",
    b"\\",
    b"`",
    b"\n",
    b"\\\n",
    b"<<",
    b"<<-EOF\n",
    b"--mount=",
    b"[",
    b"]",
    b",",
    b"=",
    b"$",
    b"\xff",
    b"\xc3",
    b"ONBUILD ",
    b"FROM ",
    b"/",
    b"*",
    b"#",
    "ä".as_bytes(),
];

fn mutated(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(12)).min(bytes.len());
        match random.below(4) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            2 if at < bytes.len() => bytes[at] = random.below(256) as u8,
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes
}

#[test]
fn hostile_files_are_answered_without_panic_and_in_time() {
    let mut random = Random(0x00b7_0b5e_ed00_0001);
    for (name, bytes) in files(directory())
        .into_iter()
        .chain(files(directory().join("bad")))
    {
        for _ in 0..60 {
            let bytes = mutated(&bytes, &mut random);
            let begun = Instant::now();
            match parse(&name, &bytes) {
                Ok(file) => {
                    // Either answer is right.
                    let _ = expand_all(&file);
                    for finding in check(&file) {
                        file.source.finding(&finding);
                    }
                }
                Err(error) => {
                    assert!(error.line >= 1 && error.column >= 1, "{error}");
                    error.excerpt();
                }
            }
            assert!(
                begun.elapsed() < Duration::from_secs(2),
                "{:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
}

#[test]
fn hostile_ignore_files_decide_the_same_walked_or_asked() {
    let lines: [&[u8]; 16] = [
        b"*", b"**", b"!a", b"a/b", b"**/c", b"!**/c/*", b"a[b-", b"[^a]", b"\\", b"../x", b"/",
        b"!", b"a/**/b", b"***", b" x ", b"\xff?",
    ];
    let parts: [&[u8]; 7] = [b"a", b"b", b"c", b"ab", b"x", b"\xff", "ä".as_bytes()];
    let mut random = Random(0x00b7_0b5e_ed00_0002);
    for _ in 0..3_000 {
        let mut text = Vec::new();
        for _ in 0..=random.below(6) {
            text.extend_from_slice(lines[random.below(lines.len())]);
            text.push(b'\n');
        }
        let mut text = mutated(&text, &mut random);
        text.retain(|byte| *byte != 0);
        text.push(0);
        for depth in 0..4 {
            if depth > 0 {
                text.push(b'/');
            }
            text.extend_from_slice(parts[random.below(parts.len())]);
            fuzz::ignore(&text);
        }
    }
}
