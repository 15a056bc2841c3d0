//! Where `unsafe` and `process::exit` may stand, and that every `unsafe` says why it is sound.

use crate::source::{Source, rust_files};
use crate::{Complaints, assert_caught, assert_none};

/// The kernel's front, and the small programs that run without a standard library, the tests' own among them.
const UNSAFE_PLACES: &[&str] = &["src/sys/", "src/embedded/", "tests/programs/"];
const UNSAFE_SITES: usize = 60;
/// How many lines above the `unsafe` its reason may begin.
const REASON_REACH: usize = 8;
/// The mains: of the program, and of the roles that are forked from it.
const EXIT_PLACES: &[&str] = &[
    "src/main.rs",
    "src/cli/",
    "src/embedded/",
    "src/monitor/",
    "src/net/outer.rs",
    "src/net/inner.rs",
    "src/registry/transfer.rs",
    "src/image/worker.rs",
    "src/runtime/home.rs",
    "src/runtime/execute.rs",
    "src/sys/process.rs",
];

#[test]
fn unsafe_stands_only_in_sys_and_embedded() {
    let sources = ["src", "tests", "build.rs"]
        .into_iter()
        .flat_map(rust_files);
    assert_none(
        sources
            .flat_map(|source| misplaced_unsafe(&source))
            .collect(),
    );
}

#[test]
fn sys_has_at_most_60_unsafe_sites() {
    let sites: usize = rust_files("src/sys")
        .iter()
        .map(|source| unsafe_sites(source).len())
        .sum();
    assert!(
        sites <= UNSAFE_SITES,
        "src/sys has {sites} unsafe sites, at most {UNSAFE_SITES}"
    );
}

#[test]
fn every_unsafe_says_why_it_is_sound() {
    assert_none(
        rust_files("src")
            .iter()
            .flat_map(unexplained_unsafe)
            .collect(),
    );
}

#[test]
fn only_the_mains_exit() {
    assert_none(rust_files("src").iter().flat_map(misplaced_exits).collect());
}

#[test]
fn printing_is_allowed_only_to_the_ui() {
    assert_none(
        rust_files("src")
            .iter()
            .flat_map(misplaced_printing)
            .collect(),
    );
}

#[test]
fn misplaced_unsafe_exits_and_printing_are_caught() {
    let bad = |text| Source::new("src/image/a.rs", text);
    assert_caught(
        misplaced_unsafe(&bad("fn f() { unsafe { g() } }")),
        "src/image/a.rs:1: unsafe",
    );
    assert_none(misplaced_unsafe(&bad(
        "#![deny(unsafe_op_in_unsafe_fn)] // unsafe",
    )));
    assert_eq!(
        unsafe_sites(&bad(
            "unsafe fn f() {}\nunsafe impl A for B {}\nunsafe { x }"
        ))
        .len(),
        3
    );
    assert_caught(
        unexplained_unsafe(&bad("let x = 1;\nunsafe { g() }")),
        "src/image/a.rs:2: unsafe without",
    );
    assert_none(unexplained_unsafe(&bad(
        "// SAFETY: g has no conditions.\nlet x = unsafe { g() };",
    )));
    assert_none(unexplained_unsafe(&bad(
        "/// # Safety\n/// None.\nunsafe fn f() {}",
    )));
    assert_caught(
        misplaced_exits(&bad("std::process::exit(1)")),
        "src/image/a.rs:1",
    );
    assert_caught(
        misplaced_printing(&bad("#[allow(clippy::print_stdout)]")),
        "src/image/a.rs:1",
    );
}

fn stands_in(source: &Source, places: &[&str]) -> bool {
    places.iter().any(|place| source.path.starts_with(place))
}

/// Offsets of the keyword; an attribute such as `#[unsafe(naked)]` is none.
fn unsafe_sites(source: &Source) -> Vec<usize> {
    words(&source.code, "unsafe")
        .filter(|offset| !source.code[offset + "unsafe".len()..].starts_with('('))
        .collect()
}

fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part_of_name = |char: char| char.is_alphanumeric() || char == '_';
    code.match_indices(word)
        .map(|(offset, _)| offset)
        .filter(move |offset| {
            !code[..*offset].ends_with(part_of_name)
                && !code[offset + word.len()..].starts_with(part_of_name)
        })
}

fn misplaced_unsafe(source: &Source) -> Complaints {
    if stands_in(source, UNSAFE_PLACES) {
        return Vec::new();
    }
    let line = |offset| source.line_of(offset);
    unsafe_sites(source)
        .into_iter()
        .map(|offset| {
            format!(
                "{}:{}: unsafe outside src/sys and src/embedded",
                source.path,
                line(offset)
            )
        })
        .collect()
}

fn unexplained_unsafe(source: &Source) -> Complaints {
    let lines: Vec<&str> = source.text.lines().collect();
    unsafe_sites(source)
        .into_iter()
        .map(|offset| source.line_of(offset))
        .filter(|line| {
            let from = line.saturating_sub(REASON_REACH + 1);
            !lines[from..*line]
                .iter()
                .any(|text| text.contains("SAFETY:") || text.contains("# Safety"))
        })
        .map(|line| format!("{}:{line}: unsafe without a SAFETY comment", source.path))
        .collect()
}

fn misplaced_exits(source: &Source) -> Complaints {
    if stands_in(source, EXIT_PLACES) {
        return Vec::new();
    }
    [
        "process::exit",
        "libc::exit",
        "libc::_exit",
        "process::abort",
    ]
    .into_iter()
    .flat_map(|call| words(&source.code, call).map(move |offset| (call, offset)))
    .map(|(call, offset)| {
        format!(
            "{}:{}: {call} away from a main",
            source.path,
            source.line_of(offset)
        )
    })
    .collect()
}

fn misplaced_printing(source: &Source) -> Complaints {
    if source.path == "src/cli/ui.rs" {
        return Vec::new();
    }
    ["clippy::print_stdout", "clippy::print_stderr"]
        .into_iter()
        .flat_map(|lint| source.code.match_indices(lint))
        .map(|(offset, lint)| {
            format!(
                "{}:{}: {lint} is switched off outside cli/ui.rs",
                source.path,
                source.line_of(offset)
            )
        })
        .collect()
}
