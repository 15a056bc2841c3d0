//! `-e` and `--env-file`: docker's rules for variables. The host's environment comes in as a function.

use serde::{Deserialize, Serialize};

/// A change to the image's environment: set, or (no value) taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    pub name: String,
    pub value: Option<String>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvError {
    #[error("invalid environment variable: {text}")]
    Nameless { text: String },
    #[error("invalid environment variable: {text:?} has a NUL byte in it")]
    Nul { text: String },
    #[error("line {line}: no variable name on line {text:?}")]
    FileNameless { line: usize, text: String },
    #[error("line {line}: variable {name:?} contains whitespaces")]
    FileWhitespace { line: usize, name: String },
    #[error("line {line} is no valid UTF-8")]
    FileUtf8 { line: usize },
}

/// `KEY=VALUE`; `KEY` alone takes the host's value, and where the host has none, takes the image's variable away.
pub fn parse_variable(
    text: &str,
    host: impl Fn(&str) -> Option<String>,
) -> Result<Variable, EnvError> {
    if text.contains('\0') {
        return Err(EnvError::Nul {
            text: text.to_owned(),
        });
    }
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, host(text)),
    };
    if name.is_empty() {
        return Err(EnvError::Nameless {
            text: text.to_owned(),
        });
    }
    Ok(Variable {
        name: name.to_owned(),
        value,
    })
}

/// A file of `KEY=VALUE` lines: no quoting, `#` begins a comment only at the start of a line, a value keeps its
/// trailing blanks; `KEY` alone takes the host's value and is left out where there is none.
pub fn parse_env_file(
    bytes: &[u8],
    host: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Variable>, EnvError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut variables = Vec::new();
    for (index, raw) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = index + 1;
        let text = std::str::from_utf8(raw).map_err(|_| EnvError::FileUtf8 { line })?;
        let text = text.strip_suffix('\r').unwrap_or(text).trim_start();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        variables.extend(file_line(line, text, &host)?);
    }
    Ok(variables)
}

fn file_line(
    line: usize,
    text: &str,
    host: impl Fn(&str) -> Option<String>,
) -> Result<Option<Variable>, EnvError> {
    if text.contains('\0') {
        return Err(EnvError::Nul {
            text: text.to_owned(),
        });
    }
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text.trim_end(), None),
    };
    if name.is_empty() {
        return Err(EnvError::FileNameless {
            line,
            text: text.to_owned(),
        });
    }
    if name.contains(char::is_whitespace) {
        return Err(EnvError::FileWhitespace {
            line,
            name: name.to_owned(),
        });
    }
    let name = name.to_owned();
    Ok(value.or_else(|| host(&name)).map(|value| Variable {
        name,
        value: Some(value),
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn host(name: &str) -> Option<String> {
        (name == "HOST").then(|| "from host".to_owned())
    }

    fn set(name: &str, value: &str) -> Variable {
        Variable {
            name: name.to_owned(),
            value: Some(value.to_owned()),
        }
    }

    #[test]
    fn a_variable_is_set_taken_from_the_host_or_taken_away() {
        assert_eq!(parse_variable("A=b=c", host), Ok(set("A", "b=c")));
        assert_eq!(parse_variable("A=", host), Ok(set("A", "")));
        assert_eq!(parse_variable("HOST", host), Ok(set("HOST", "from host")));
        assert_eq!(parse_variable("GONE", host).unwrap().value, None);
        assert_eq!(
            parse_variable("=x", host).unwrap_err().to_string(),
            "invalid environment variable: =x"
        );
        assert!(parse_variable("", host).is_err());
    }

    #[test]
    fn env_files_follow_docker() {
        let text = b"\xef\xbb\xbf# comment\n\n  A=1 # no comment \r\nB=\"q\"\nHOST\nGONE\nC=\n";
        assert_eq!(
            parse_env_file(text, host).unwrap(),
            vec![
                set("A", "1 # no comment "),
                set("B", "\"q\""),
                set("HOST", "from host"),
                set("C", "")
            ]
        );
        let bad = |text: &[u8]| parse_env_file(text, host).unwrap_err().to_string();
        assert_eq!(
            bad(b"X=1\nA B=1"),
            "line 2: variable \"A B\" contains whitespaces"
        );
        assert_eq!(bad(b"=1"), "line 1: no variable name on line \"=1\"");
        assert_eq!(bad(b"A=\xff"), "line 1 is no valid UTF-8");
    }
}
