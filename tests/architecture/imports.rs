//! The layer rule: a module imports only from the lines below its own.

use crate::source::{Source, rust_files};
use crate::{Complaints, assert_caught, assert_none};

/// From the top line to the bottom one. Modules of one line do not import each other.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli", "api"],
    &["compose", "kube"],
    &["build"],
    &["engine"],
    &["monitor", "registry"],
    &["runtime", "net", "container", "image"],
    &["config"],
    &["sys", "paths"],
];

fn line_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|line| line.contains(&module))
}

#[test]
fn modules_import_only_downwards() {
    let sources = rust_files("src");
    assert!(sources.len() > 10, "the sources were not found");
    assert_none(sources.iter().flat_map(upward_imports).collect());
}

#[test]
fn every_folder_of_src_has_a_line() {
    let unknown = rust_files("src")
        .into_iter()
        .map(|source| source.module()[0].to_owned())
        .filter(|module| module != "lib" && module != "embedded" && line_of(module).is_none())
        .map(|module| {
            format!("src/{module}: in no layer; DESIGN and tests/architecture name them all")
        });
    assert_none(unknown.collect());
}

#[test]
fn an_upward_import_is_caught() {
    let bad = |path, text| upward_imports(&Source::new(path, text));
    assert_caught(
        bad("src/sys/fs.rs", "use crate::image::Digest;"),
        "src/sys/fs.rs:1: sys imports image",
    );
    assert_caught(
        bad("src/image/a.rs", "\nuse crate::{sys::fs, net};"),
        "src/image/a.rs:2: image imports net",
    );
    assert_caught(
        bad("src/engine/a.rs", "fn f() { crate::cli::main(); }"),
        "engine imports cli",
    );
    assert_caught(
        bad("src/image/mod.rs", "use super::registry::pull;"),
        "image imports registry",
    );
    assert_none(bad(
        "src/engine/a.rs",
        "use crate::{image::{Digest, Reference}, sys};",
    ));
    assert_none(bad("src/cli/a.rs", "use super::image;"));
}

/// The edges from a file to modules that stand on its own line or above.
fn upward_imports(source: &Source) -> Complaints {
    let module = source.module();
    let own = module[0];
    let Some(line) = line_of(own) else {
        return Vec::new();
    };
    let mut complaints = Vec::new();
    for (offset, target) in
        targets(&source.code, "crate::")
            .into_iter()
            .chain(if module.len() == 1 {
                targets(&source.code, "super::")
            } else {
                Vec::new()
            })
    {
        if target == own {
            continue;
        }
        if let Some(other) = line_of(&target).filter(|other| *other <= line) {
            let where_ = if other == line {
                "beside it"
            } else {
                "above it"
            };
            complaints.push(format!(
                "{}:{}: {own} imports {target}, which stands {where_}",
                source.path,
                source.line_of(offset)
            ));
        }
    }
    complaints
}

/// The first names after each `prefix`: one for a path, several for a group.
fn targets(code: &str, prefix: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (offset, _) in code.match_indices(prefix) {
        let joined = code[..offset].chars().next_back();
        if joined.is_some_and(|before| before.is_alphanumeric() || before == '_' || before == ':') {
            continue;
        }
        let rest = &code[offset + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(group_names(group).into_iter().map(|name| (offset, name))),
            None => found.push((offset, leading_name(rest))),
        }
    }
    found
}

fn leading_name(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(|char| char.is_alphanumeric() || *char == '_')
        .collect()
}

fn group_names(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.push(leading_name(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(leading_name(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    names
}
