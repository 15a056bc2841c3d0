//! Every part of the language is in a file of `tests/dockerfiles`: the table `coverage.md` says in which.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use super::corpus_tests::{directory, files};
use super::instruction::{KEYWORDS, known_flags};
use super::mount::known_keys;
use super::*;

/// Asked with a keyword and the instruction's text.
type IsUsed = Box<dyn Fn(&str, &str) -> bool>;

/// Every part of the reference, and what shows in an instruction's text that it is used.
fn parts() -> Vec<(String, IsUsed)> {
    let mut parts = Vec::new();
    let mut part = |name: String, is_used: IsUsed| parts.push((name, is_used));
    for keyword in KEYWORDS {
        part(keyword.to_owned(), Box::new(move |used, _| used == keyword));
        for (flag, _) in known_flags(keyword) {
            let written = format!("--{flag}");
            let is_used = move |used: &str, text: &str| {
                let is_flag = |word: &str| word.split('=').next() == Some(&written);
                used == keyword && text.split_whitespace().any(is_flag)
            };
            part(format!("{keyword} --{flag}"), Box::new(is_used));
        }
    }
    for key in known_keys() {
        let is_used = move |used: &str, text: &str| {
            let mounts = text
                .split_whitespace()
                .filter_map(|word| word.strip_prefix("--mount="));
            let mut keys = mounts
                .flat_map(|mount| mount.split(','))
                .filter_map(|field| field.split('=').next());
            used == "RUN" && keys.any(|used| used == key)
        };
        part(format!("--mount {key}"), Box::new(is_used));
    }
    for value in [
        "type=bind",
        "type=cache",
        "type=tmpfs",
        "type=secret",
        "type=ssh",
        "sharing=shared",
        "sharing=private",
        "sharing=locked",
    ] {
        part(
            format!("--mount {value}"),
            Box::new(move |used, text| used == "RUN" && text.contains(value)),
        );
    }
    let forms = [
        "$x",
        "${x}",
        "${unset:-",
        "${unset-",
        "${x:+",
        "${x+",
        "${x:?",
        "${x?",
        "${x#*",
        "${x##",
        "${x%/",
        "${x%%",
        "${x/f",
        "${x//",
        "network=none",
        "network=host",
        "network=default",
        "security=insecure",
        "security=sandbox",
        "<<EOF",
        "<<-EOF",
        "<<\"EOF\"",
        "<<-'THREE'",
        "3<<",
        "[\"",
        "HEALTHCHECK NONE",
        "https://",
        ".git",
        "keep-git-dir=true",
        "unpack=false",
        "**/",
        "[a-c]",
    ];
    for form in forms {
        part(
            format!("`{form}`"),
            Box::new(move |_, text| text.contains(form)),
        );
    }
    parts
}

/// Directives and forms of whole files.
fn file_parts(bytes: &[u8], file: &Dockerfile) -> Vec<&'static str> {
    let text = String::from_utf8_lossy(bytes);
    let globals = !file.globals.is_empty();
    let comment_inside = text.contains("\\\n#") || text.contains("\\\n    #");
    [
        ("# syntax=", file.directives.syntax.is_some()),
        ("# escape=`", file.directives.escape == '`'),
        ("# check=", file.directives.check.is_some()),
        ("ARG before FROM", globals),
        ("several stages", file.stages.len() > 1),
        ("a comment inside of a continuation", comment_inside),
        ("lines that end in CR LF", text.contains("\r\n")),
        ("a byte order mark", text.starts_with('\u{feff}')),
        (
            "bytes that are no UTF-8",
            std::str::from_utf8(bytes).is_err(),
        ),
        ("keywords in lower case", text.starts_with("from ")),
    ]
    .into_iter()
    .filter_map(|(name, is_used)| is_used.then_some(name))
    .collect()
}

const FILE_PARTS: [&str; 10] = [
    "# syntax=",
    "# escape=`",
    "# check=",
    "ARG before FROM",
    "several stages",
    "a comment inside of a continuation",
    "lines that end in CR LF",
    "a byte order mark",
    "bytes that are no UTF-8",
    "keywords in lower case",
];

#[test]
fn every_part_of_the_reference_is_in_a_file() {
    let mut table: BTreeMap<String, Vec<String>> = FILE_PARTS
        .iter()
        .map(|name| ((*name).to_owned(), Vec::new()))
        .collect();
    let parts = parts();
    for (name, bytes) in files(directory()) {
        let file = parse(&name, &bytes).unwrap();
        let stages = file.stages.iter();
        let texts: Vec<String> = file
            .globals
            .iter()
            .map(|global| global.text.clone())
            .chain(stages.flat_map(|stage| {
                std::iter::once(stage.text.clone())
                    .chain(stage.instructions.iter().map(|one| one.text.clone()))
            }))
            .collect();
        for (part, is_used) in &parts {
            let cell = table.entry(part.clone()).or_default();
            let uses = |text: &String| {
                let keyword = text
                    .split_whitespace()
                    .next()
                    .unwrap_or_default()
                    .to_uppercase();
                is_used(&keyword, text)
            };
            if texts.iter().any(uses) {
                cell.push(name.clone());
            }
        }
        for part in file_parts(&bytes, &file) {
            table.get_mut(part).unwrap().push(name.clone());
        }
    }
    let empty: Vec<_> = table
        .iter()
        .filter(|(_, files)| files.is_empty())
        .map(|(part, _)| part)
        .collect();
    assert!(empty.is_empty(), "in no file: {empty:?}");
    let mut text = String::from(
        "# Which file shows what\nWritten by the test that reads it (`BRYO_WRITE_COVERAGE=1`); at most three files are named.\n\n| part | files |\n|---|---|\n",
    );
    for (part, files) in &table {
        let shown = files.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        writeln!(text, "| {} | {shown} |", part.replace('|', "\\|")).unwrap();
    }
    let path = directory().join("coverage.md");
    if std::env::var_os("BRYO_WRITE_COVERAGE").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap() == text,
        "{} is out of date: BRYO_WRITE_COVERAGE=1",
        path.display()
    );
}
