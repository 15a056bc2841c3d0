//! A `.env` file, as compose reads it: names and values of variables. Opens no file.

use std::collections::BTreeMap;

use super::interpolate::{InterpolateError, Variables, interpolated};

/// What is wrong with a line, counted from 1.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct DotenvError {
    pub line: usize,
    what: What,
}

#[derive(Debug, thiserror::Error)]
enum What {
    #[error("key cannot contain a space")]
    Space,
    #[error("unexpected character {0:?} in variable name {1:?}")]
    Character(char, String),
    #[error("a line without a name: {0:?}")]
    Nameless(String),
    #[error("unterminated quoted value {0}")]
    Open(String),
    #[error(transparent)]
    Interpolate(#[from] InterpolateError),
}

/// Each name with its value; values see the host's variables, and those that stand before them. A name alone has the host's value.
pub fn read(text: &str, variables: Variables<'_>) -> Result<BTreeMap<String, String>, DotenvError> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    while !rest.is_empty() {
        let line = rest.split('\n').next().unwrap_or_default();
        let number = text[..text.len() - rest.len()].matches('\n').count() + 1;
        let wrong = |what| DotenvError { line: number, what };
        if line.starts_with('#') {
            rest = rest[line.len()..].trim_start();
            continue;
        }
        let (name, begin) = named(line).map_err(wrong)?;
        let Some(begin) = begin else {
            if let Some(value) = (variables.lookup)(name) {
                values.insert(name.to_owned(), value);
            }
            rest = rest[line.len()..].trim_start();
            continue;
        };
        let known = |name: &str| (variables.lookup)(name).or_else(|| values.get(name).cloned());
        let variables = Variables {
            lookup: &known,
            ..variables
        };
        let replaced =
            |text: &str| interpolated(text, variables).map_err(|error| wrong(error.into()));
        let value = rest[begin..].trim_start_matches([' ', '\t']);
        let value = match value.chars().next() {
            // What is quoted may go over several lines.
            Some(quote @ ('\'' | '"')) => {
                let open = || {
                    wrong(What::Open(
                        value.lines().next().unwrap_or_default().to_owned(),
                    ))
                };
                let (text, after) = quoted(&value[1..], quote).ok_or_else(open)?;
                rest = &after[after.find('\n').unwrap_or(after.len())..];
                match quote {
                    '"' => replaced(&text)?,
                    _ => text,
                }
            }
            _ => {
                rest = &rest[line.len()..];
                replaced(without_comment(&line[begin..]))?
            }
        };
        rest = rest.trim_start();
        values.insert(name.to_owned(), value);
    }
    Ok(values)
}

/// A line's name, and where its value begins, behind `=` or `:`.
fn named(line: &str) -> Result<(&str, Option<usize>), What> {
    let words = line.strip_prefix("export ").unwrap_or(line);
    let separator = words.find(['=', ':']);
    let name = words[..separator.unwrap_or(words.len())].trim();
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']');
    match name.chars().find(|c| !fits(*c)) {
        Some(c) if c.is_whitespace() => Err(What::Space),
        Some(c) => Err(What::Character(c, line.trim_end().to_owned())),
        None if name.is_empty() => Err(What::Nameless(line.trim_end().to_owned())),
        None => Ok((name, separator.map(|at| line.len() - words.len() + at + 1))),
    }
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

    fn read_text(text: &str) -> Result<BTreeMap<String, String>, DotenvError> {
        let variables = Variables {
            lookup: &|name| (name == "HOST").then(|| "host".to_owned()),
            unset: &|_| {},
        };
        read(text, variables)
    }

    #[test]
    fn values_are_plain_or_quoted() {
        let text = "\u{feff}# first\n\nA=one\nexport B = two words # said\nC='l$A # it\\'s'\nD=\"x\\ty\\n\\$A ${A}\" # x\r\n\
            E=$HOST-${A:-no}\nF=\nHOST\nG=\"over\nlines\"\nH=a#b\nI='\\n'\nJ: yaml=style\nK.x-1 : y";
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
            ("HOST", "host"),
            ("I", "\\n"),
            ("J", "yaml=style"),
            ("K.x-1", "y"),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(values, expected);
    }

    #[test]
    fn what_is_no_variable_is_an_error() {
        for text in ["a b=c", "=x", "A='open", "two words", "A=${"] {
            let error = read_text(&format!("#\n{text}")).unwrap_err().to_string();
            assert!(error.starts_with("line 2: "), "{text}: {error}");
        }
    }
}
