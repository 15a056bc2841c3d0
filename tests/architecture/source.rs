//! Finds the repository's files and gives Rust text without its comments and string contents. Judges nothing.

use std::fs;
use std::path::{Path, PathBuf};

/// One Rust file: its path from the repository's root, its text, and its code.
pub struct Source {
    pub path: String,
    pub text: String,
    /// `text` with comments and the contents of string and character literals replaced by spaces; same lines, same columns.
    pub code: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
            code: blank(text),
        }
    }

    /// The line (from 1) that holds a byte of `code`.
    pub fn line_of(&self, offset: usize) -> usize {
        self.code[..offset].matches('\n').count() + 1
    }

    /// The module's path in the crate: `src/image/mod.rs` is `["image"]`, `src/sys/fs.rs` is `["sys", "fs"]`.
    pub fn module(&self) -> Vec<&str> {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let inner = inner.strip_suffix(".rs").unwrap_or(inner);
        let mut parts: Vec<&str> = inner.split('/').collect();
        if parts.last() == Some(&"mod") {
            parts.pop();
        }
        parts
    }
}

/// All Rust files below a directory of the repository.
pub fn rust_files(below: &str) -> Vec<Source> {
    files(Path::new(below))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let text = fs::read_to_string(&path).expect("sources are readable UTF-8");
            Source::new(path.to_str().expect("sources have UTF-8 names"), &text)
        })
        .collect()
}

/// All files below a directory, without build output and version control.
pub fn files(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if below.is_file() {
        return vec![below.to_owned()];
    }
    let Ok(entries) = fs::read_dir(below) else {
        return found;
    };
    for entry in entries {
        let path = entry.expect("the checkout can be listed").path();
        let name = path.file_name().expect("an entry has a name");
        if name == "target" || name == ".git" || path.is_symlink() {
            continue;
        }
        let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => find(bytes, at, b"\n"),
            b'/' if bytes[at..].starts_with(b"/*") => block_comment_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'r' if raw_string_hashes(bytes, at).is_some() => {
                let hashes = raw_string_hashes(bytes, at).unwrap_or(0);
                let close = format!("\"{}", "#".repeat(hashes));
                let open = at + 1 + hashes + 1;
                (find(bytes, open, close.as_bytes()) + close.len()).min(bytes.len())
            }
            b'\'' => match character_end(bytes, at) {
                Some(end) => end,
                None => {
                    at += 1;
                    continue;
                }
            },
            _ => {
                at += 1;
                continue;
            }
        };
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).expect("whole literals were replaced")
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    let from = from.min(bytes.len());
    bytes[from..]
        .windows(what.len())
        .position(|window| window == what)
        .map_or(bytes.len(), |found| from + found)
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The number of `#` if a raw string begins here.
fn raw_string_hashes(bytes: &[u8], at: usize) -> Option<usize> {
    let before = at.checked_sub(1).map(|index| bytes[index]);
    if before.is_some_and(|byte| (byte.is_ascii_alphanumeric() && byte != b'b') || byte == b'_') {
        return None;
    }
    let hashes = bytes[at + 1..]
        .iter()
        .take_while(|byte| **byte == b'#')
        .count();
    (bytes.get(at + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

/// The end of a character literal, or nothing for a lifetime.
fn character_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at + 1) == Some(&b'\\') {
        // At most `'\u{10ffff}'`; the closing quote of `'\''` is the second one.
        return (at + 3..at + 13)
            .find(|end| bytes.get(*end) == Some(&b'\''))
            .map(|end| end + 1);
    }
    // One character of one to four bytes, then the quote.
    let first = *bytes.get(at + 1)?;
    let width = match first {
        0..=0x7f => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        _ => 4,
    };
    (bytes.get(at + 1 + width) == Some(&b'\'')).then_some(at + width + 2)
}

#[test]
fn comments_and_strings_are_no_code() {
    let source = Source::new(
        "src/x.rs",
        "let a = \"unsafe // no\"; // unsafe\nlet b = r#\"unsafe\"#; /* unsafe /* x */ unsafe */ let c = '\"'; let d: &'static str = b;\n",
    );
    assert!(!source.code.contains("unsafe"));
    assert!(source.code.contains("let d: &'static str = b;"));
    assert_eq!(source.text.len(), source.code.len());
}
