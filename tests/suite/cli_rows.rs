//! Every command and flag of docker's help has a row in `tests/cli_rows.tsv`, and the program keeps what the row says.

use std::collections::BTreeSet;

use crate::cli_program::bryo;
use crate::spellings::WAYS;

const DOCKER: &str = include_str!("../docker_cli.tsv");
const ROWS: &str = include_str!("../cli_rows.tsv");

struct Row {
    command: &'static str,
    flag: &'static str,
    state: &'static str,
}

fn rows() -> Vec<Row> {
    ROWS.lines()
        .map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
            [command, flag, state] => Row {
                command,
                flag,
                state,
            },
            _ => panic!("a row has three columns: {line:?}"),
        })
        .collect()
}

fn without_fault(faults: Vec<String>) {
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn every_word_of_docker_has_one_row() {
    let mut seen = BTreeSet::new();
    for row in rows() {
        assert!(
            seen.insert((row.command, row.flag)),
            "{} {} twice",
            row.command,
            row.flag
        );
    }
    let missing = DOCKER.lines().filter_map(|line| {
        let (command, flag) = line.split_once('\t')?;
        let flag = flag.split('\t').next()?;
        (!seen.contains(&(command, flag))).then(|| format!("{command} {flag} has no row"))
    });
    without_fault(missing.collect());
}

#[test]
fn every_state_is_one_of_three() {
    let wrong = rows().into_iter().filter(|row| {
        let known = row.state == "later"
            || row
                .state
                .strip_prefix("refused ")
                .is_some_and(|reason| !reason.is_empty())
            || row
                .state
                .strip_prefix("works ")
                .is_some_and(|test| !test.contains(' '));
        !known
    });
    without_fault(
        wrong
            .map(|row| format!("{} {}: {:?}", row.command, row.flag, row.state))
            .collect(),
    );
}

#[test]
fn refused_and_later_words_end_with_125_and_one_line() {
    let rows: Vec<Row> = rows()
        .into_iter()
        .filter(|row| !row.state.starts_with("works "))
        .collect();
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let share = rows.len().div_ceil(threads);
    let faults = std::thread::scope(|scope| {
        let parts: Vec<_> = rows
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().flat_map(refusal_faults).collect()))
            .collect();
        let joined = parts
            .into_iter()
            .map(|part| part.join().expect("no fault panics"));
        joined.flat_map(|faults: Vec<String>| faults).collect()
    });
    without_fault(faults);
}

/// A flag is tried alone, with a value behind it and with a value in it.
fn refusal_faults(row: &Row) -> Vec<String> {
    let forms: Vec<Vec<String>> = match row.flag {
        "(command)" => vec![vec![]],
        flag if flag.starts_with("--") => vec![
            vec![flag.to_owned(), "value".to_owned()],
            vec![format!("{flag}=value")],
        ],
        flag => vec![
            vec![flag.to_owned(), "value".to_owned()],
            vec![format!("{flag}value")],
        ],
    };
    forms
        .into_iter()
        .filter_map(|form| fault(row, form))
        .collect()
}

fn fault(row: &Row, form: Vec<String>) -> Option<String> {
    let command: Vec<&str> = row.command.split(' ').filter(|word| *word != ".").collect();
    let words: Vec<&str> = command
        .iter()
        .copied()
        .chain(form.iter().map(String::as_str))
        .collect();
    let ended = bryo(&words);
    let subject = match (row.command, row.flag) {
        (".", flag) => flag.to_owned(),
        (command, "(command)") => command.to_owned(),
        (command, flag) => format!("{command} {flag}"),
    };
    let reason = row
        .state
        .strip_prefix("refused ")
        .unwrap_or("not yet supported by bryo");
    let expected = format!("Error: {subject}: {reason}\n");
    let right = ended.code == Some(125) && ended.stdout.is_empty() && ended.stderr == expected;
    (!right).then(|| {
        format!(
            "bryo {}: exit {:?}, {:?} instead of {expected:?}",
            words.join(" "),
            ended.code,
            ended.stderr
        )
    })
}

#[test]
fn every_word_that_works_is_passed_by_the_test_it_names() {
    let sources = suite_sources();
    let faults = rows().into_iter().filter_map(|row| {
        let test = row.state.strip_prefix("works ")?;
        let (command, flag) = (row.command, row.flag);
        let Some(body) = sources.iter().find_map(|source| body(source, test)) else {
            return Some(format!("{command} {flag}: no test {test}"));
        };
        let in_spelling = command == "." || asks(body, command);
        let passed = in_spelling && (flag == "(command)" || passes(body, flag));
        (!passed).then(|| format!("{command} {flag}: {test} does not pass it"))
    });
    without_fault(faults.collect());
}

/// The command stands there in this spelling, or the test goes through all the ways to a container.
fn asks(body: &str, command: &str) -> bool {
    let way = WAYS.iter().any(|way| way.make == command);
    (way && passes(body, "WAYS")) || body.contains(&format!("\"{command}\""))
}

fn suite_sources() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite");
    let files = std::fs::read_dir(folder).expect("the suite's folder is there");
    files
        .map(|file| file.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| std::fs::read_to_string(path).expect("it can be read"))
        .collect()
}

/// From the function's name to its closing brace at the left margin.
fn body<'a>(source: &'a str, test: &str) -> Option<&'a str> {
    let start = source.find(&format!("\nfn {test}()"))?;
    let rest = &source[start..];
    Some(&rest[..rest.find("\n}\n").unwrap_or(rest.len())])
}

/// The flag stands there as a word of its own: `"-e"`, `"--env=A"`, `run -e A`.
fn passes(body: &str, flag: &str) -> bool {
    body.match_indices(flag).any(|(at, _)| {
        let inside_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let before = body[..at].chars().next_back();
        let after = body[at + flag.len()..].chars().next();
        !before.is_some_and(inside_word) && !after.is_some_and(inside_word)
    })
}
