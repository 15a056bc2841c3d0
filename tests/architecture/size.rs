//! Files and functions stay small enough to be read: 800 and 120 lines are the end, 500 and 60 want a reason.

use crate::source::{Source, rust_files};
use crate::{Complaints, assert_caught, assert_none};

const FILE_LINES: usize = 800;
const FUNCTION_LINES: usize = 120;

#[test]
fn no_file_is_longer_than_800_lines() {
    assert_none(all().iter().filter_map(too_long).collect());
}

#[test]
fn no_function_is_longer_than_120_lines() {
    assert_none(all().iter().flat_map(long_functions).collect());
}

#[test]
fn every_module_begins_with_what_it_owns() {
    assert_none(all().iter().filter_map(no_first_line).collect());
}

#[test]
fn long_files_and_functions_and_missing_first_lines_are_caught() {
    let long = Source::new("src/a.rs", &"\n".repeat(FILE_LINES + 1));
    assert_caught(too_long(&long).into_iter().collect(), "801 lines");
    let body = "    step();\n".repeat(FUNCTION_LINES);
    let function = Source::new(
        "src/a.rs",
        &format!(
            "\nfn long<T>(a: [u8; 3]) -> T\nwhere\n    T: X,\n{{\n{body}}}\nfn short() {{}}\n"
        ),
    );
    assert_caught(
        long_functions(&function),
        "src/a.rs:2: fn long has 125 lines",
    );
    assert_eq!(long_functions(&function).len(), 1);
    assert_caught(
        no_first_line(&Source::new("src/a.rs", "use x;\n"))
            .into_iter()
            .collect(),
        "//!",
    );
    assert!(no_first_line(&Source::new("src/a.rs", "//! Owns a. Never b.\n")).is_none());
}

fn all() -> Vec<Source> {
    let sources: Vec<Source> = ["src", "tests"].into_iter().flat_map(rust_files).collect();
    assert!(sources.len() > 20, "the sources were not found");
    sources
}

fn too_long(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    (lines > FILE_LINES).then(|| format!("{}: {lines} lines, at most {FILE_LINES}", source.path))
}

fn no_first_line(source: &Source) -> Option<String> {
    (!source.text.starts_with("//! ")).then(|| {
        format!(
            "{}:1: does not begin with //! and what it owns",
            source.path
        )
    })
}

fn long_functions(source: &Source) -> Complaints {
    let mut complaints = Vec::new();
    for (offset, _) in source.code.match_indices("fn ") {
        let before = source.code[..offset].chars().next_back();
        if before.is_some_and(|char| char.is_alphanumeric() || char == '_') {
            continue;
        }
        let name: String = source.code[offset + 3..]
            .chars()
            .take_while(|char| char.is_alphanumeric() || *char == '_')
            .collect();
        let Some(end) = body_end(&source.code[offset..]).filter(|_| !name.is_empty()) else {
            continue;
        };
        let lines = source.code[offset..offset + end].matches('\n').count() + 1;
        if lines > FUNCTION_LINES {
            let line = source.line_of(offset);
            complaints.push(format!(
                "{}:{line}: fn {name} has {lines} lines, at most {FUNCTION_LINES}",
                source.path
            ));
        }
    }
    complaints
}

/// Where the body that follows a signature ends; nothing for a declaration without one.
fn body_end(code: &str) -> Option<usize> {
    let mut braces = 0;
    let mut brackets = 0;
    for (at, char) in code.char_indices() {
        match char {
            '(' | '[' if braces == 0 => brackets += 1,
            ')' | ']' if braces == 0 => brackets -= 1,
            ';' if braces == 0 && brackets == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if braces <= 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}
