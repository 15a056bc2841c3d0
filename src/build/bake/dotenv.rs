//! A `.env` file, as compose reads it: names and values for the variables of compose files. Opens no file.

use std::collections::BTreeMap;

use super::compose::interpolated;
use super::error::BakeError;
use super::{BakeFile, Lookup};

/// Each name with its value; values see the host's variables, and those that stand before them.
pub(super) fn read(
    file: &BakeFile,
    lookup: Lookup<'_>,
) -> Result<BTreeMap<String, String>, BakeError> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    let mut rest = file.text.trim_start_matches('\u{feff}').trim_start();
    while !rest.is_empty() {
        let line = rest.lines().next().unwrap_or_default();
        let wrong = || BakeError::Line {
            file: file.name.clone(),
            text: line.trim_end().to_owned(),
        };
        let words = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, _)) = words.split_once('=').filter(|_| !line.starts_with('#')) else {
            // A name alone has the host's value, which goes before the file's anyway.
            if !line.starts_with('#') && !is_name(words.trim()) {
                return Err(wrong());
            }
            rest = rest[line.len()..].trim_start();
            continue;
        };
        let begin = line.len() - words.len() + name.len() + 1;
        let name = name.trim();
        if !is_name(name) {
            return Err(wrong());
        }
        let known = |name: &str| lookup(name).or_else(|| values.get(name).cloned());
        let value = rest[begin..].trim_start_matches([' ', '\t']);
        let value = match value.chars().next() {
            // What is quoted may go over several lines.
            Some(quote @ ('\'' | '"')) => {
                let (text, after) = quoted(&value[1..], quote).ok_or_else(wrong)?;
                rest = &after[after.find('\n').unwrap_or(after.len())..];
                match quote {
                    '"' => interpolated(&text, file, &known, 0)?,
                    _ => text,
                }
            }
            _ => {
                rest = &rest[line.len()..];
                interpolated(without_comment(&line[begin..]), file, &known, 0)?
            }
        };
        rest = rest.trim_start();
        values.insert(name.to_owned(), value);
    }
    Ok(values)
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']');
    !text.is_empty() && text.chars().all(fits)
}

/// A `#` behind a space begins one.
fn without_comment(value: &str) -> &str {
    let end = value.find(" #").unwrap_or(value.len());
    value[..end].trim()
}

/// Up to the next such quote, and what follows it. Between double quotes a backslash stands for something, and what stands for a
/// dollar sign does so until interpolation.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            c if c == quote => return Some((value, &text[at + c.len_utf8()..])),
            '\\' => match (quote, characters.next()?.1) {
                ('"', 'n') => value.push('\n'),
                ('"', 'r') => value.push('\r'),
                ('"', 't') => value.push('\t'),
                ('"', '$') => value.push_str("$$"),
                ('"', other @ ('"' | '\\')) | ('\'', other @ '\'') => value.push(other),
                (_, other) => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<BTreeMap<String, String>, BakeError> {
        let file = BakeFile {
            name: ".env".to_owned(),
            text: text.to_owned(),
        };
        read(&file, &|name| (name == "HOST").then(|| "host".to_owned()))
    }

    #[test]
    fn values_are_plain_or_quoted() {
        let text = "\u{feff}# first\n\nA=one\nexport B = two words # said\nC='l$A # it\\'s'\nD=\"x\\ty\\n\\$A ${A}\" # x\r\n\
            E=$HOST-${A:-no}\nF=\nHOST\nG=\"over\nlines\"\nH=a#b\nI='\\n'";
        let values = read_text(text).unwrap();
        let expected = [
            ("A", "one"),
            ("B", "two words"),
            ("C", "l$A # it's"),
            ("D", "x\ty\n$A one"),
            ("E", "host-one"),
            ("F", ""),
            ("G", "over\nlines"),
            ("H", "a#b"),
            ("I", "\\n"),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(values, expected);
    }

    #[test]
    fn what_is_no_variable_is_an_error() {
        for text in ["a b=c", "=x", "A='open", "two words", "A=${"] {
            let error = read_text(text).unwrap_err().to_string();
            assert!(error.starts_with(".env: "), "{text}: {error}");
        }
    }
}
