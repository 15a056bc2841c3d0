//! Names that say nothing are not used, neither for types nor for modules.

use crate::source::{Source, rust_files};
use crate::{Complaints, assert_caught, assert_none};

/// Anywhere in a type's name.
const EMPTY_WORDS: &[&str] = &[
    "Manager", "Handler", "Helper", "Helpers", "Util", "Utils", "Common", "Misc",
];
/// At the end of a type's name.
const EMPTY_ENDINGS: &[&str] = &["Data", "Info", "Impl"];

#[test]
fn no_name_says_nothing() {
    let sources = ["src", "tests"].into_iter().flat_map(rust_files);
    assert_none(sources.flat_map(|source| empty_names(&source)).collect());
}

#[test]
fn empty_names_are_caught() {
    let bad = |path, text| empty_names(&Source::new(path, text));
    assert_caught(bad("src/a.rs", "pub struct ImageManager;"), "ImageManager");
    assert_caught(bad("src/a.rs", "enum HandlerKind {}"), "HandlerKind");
    assert_caught(bad("src/a.rs", "type ImageInfo = u8;"), "ImageInfo");
    assert_caught(bad("src/image/utils.rs", ""), "src/image/utils.rs");
    assert_none(bad(
        "src/cli/info.rs",
        "struct InfoArgs; struct Information; struct Utility;",
    ));
}

fn empty_names(source: &Source) -> Complaints {
    let mut complaints = Vec::new();
    for part in source.module() {
        let part = part.replace('_', "").to_lowercase();
        if EMPTY_WORDS.iter().any(|word| word.to_lowercase() == part) {
            complaints.push(format!("{}: a module named {part}", source.path));
        }
    }
    for keyword in ["struct ", "enum ", "trait ", "type ", "union "] {
        for (offset, _) in source.code.match_indices(keyword) {
            if source.code[..offset].ends_with(|char: char| char.is_alphanumeric() || char == '_') {
                continue;
            }
            let name: String = source.code[offset + keyword.len()..]
                .chars()
                .take_while(|char| char.is_alphanumeric() || *char == '_')
                .collect();
            let words = words(&name);
            let last = words.last().map(String::as_str).unwrap_or_default();
            if words
                .iter()
                .any(|word| EMPTY_WORDS.contains(&word.as_str()))
                || EMPTY_ENDINGS.contains(&last)
            {
                complaints.push(format!(
                    "{}:{}: a type named {name}",
                    source.path,
                    source.line_of(offset)
                ));
            }
        }
    }
    complaints
}

/// `ImageManager` is `["Image", "Manager"]`.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for char in name.chars() {
        match words.last_mut() {
            Some(word) if !char.is_uppercase() => word.push(char),
            _ => words.push(char.to_string()),
        }
    }
    words
}
