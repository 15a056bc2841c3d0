//! Reads a file of command lines and compares their output with what stands there. Runs nothing.
//!
//! ```text
//! $ docker run --rm busybox echo hi    the line, for `sh -c`
//! > hi                                 its standard output, a line each;
//! ~ [0-9a-f]{64}                       `~`: the whole line, as a regular expression; `...`: any lines, also none
//! ! 3                                  its exit code, if not 0
//! 2~ no such                           a line of its standard error contains this regular expression
//! @podman the reason                   the expectation does not hold there
//! # a comment
//! ```
//! A line that succeeds and has no `2~` writes nothing to its standard error.

use regex::Regex;

use crate::env::Engine;

#[derive(Debug)]
pub enum Expected {
    Exact(String),
    Like(Regex),
    Any,
}

pub struct Block {
    /// `tests/docker_lines/run.txt:12`.
    pub place: String,
    pub command: String,
    pub output: Vec<Expected>,
    pub code: i32,
    pub errors: Vec<Regex>,
    otherwise: Vec<(Engine, String)>,
}

impl Block {
    /// Why the expectation does not hold on an engine.
    pub fn otherwise(&self, engine: Engine) -> Option<&str> {
        let noted = self.otherwise.iter().find(|(noted, _)| *noted == engine);
        noted.map(|(_, reason)| reason.as_str())
    }
}

pub fn parse(path: &str, text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let place = format!("{path}:{}", number + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(command) = line.strip_prefix("$ ") {
            blocks.push(Block {
                place,
                command: command.to_owned(),
                output: Vec::new(),
                code: 0,
                errors: Vec::new(),
                otherwise: Vec::new(),
            });
            continue;
        }
        let block = blocks
            .last_mut()
            .unwrap_or_else(|| panic!("{place}: no line stands before it"));
        expectation(block, &place, line);
    }
    blocks
}

fn expectation(block: &mut Block, place: &str, line: &str) {
    let pattern = |text: &str| Regex::new(text).unwrap_or_else(|error| panic!("{place}: {error}"));
    let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
    match mark {
        ">" => block.output.push(Expected::Exact(rest.to_owned())),
        "~" => block
            .output
            .push(Expected::Like(pattern(&format!("^(?:{rest})$")))),
        "..." => block.output.push(Expected::Any),
        "2~" => block.errors.push(pattern(rest)),
        "!" => {
            block.code = rest
                .parse()
                .unwrap_or_else(|_| panic!("{place}: no exit code"))
        }
        _ => {
            let engine = match mark {
                "@bryo" => Engine::Bryo,
                "@podman" => Engine::Podman,
                "@docker" => Engine::Docker,
                _ => panic!("{place}: {mark:?} means nothing"),
            };
            assert!(!rest.is_empty(), "{place}: {mark} without a reason");
            block.otherwise.push((engine, rest.to_owned()));
        }
    }
}

/// Whether the lines are the expected ones.
pub fn matches(expected: &[Expected], lines: &[&str]) -> bool {
    match (expected.split_first(), lines.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((Expected::Any, more)), None) => matches(more, lines),
        (Some((Expected::Any, more)), Some((_, after))) => {
            matches(more, lines) || matches(expected, after)
        }
        (Some(_), None) => false,
        (Some((Expected::Exact(text), more)), Some((line, after))) => {
            text == line && matches(more, after)
        }
        (Some((Expected::Like(pattern), more)), Some((line, after))) => {
            pattern.is_match(line) && matches(more, after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_lines_may_be_none_or_many() {
        let block = &parse("f", "$ x\n> a\n...\n~ [0-9]+\n")[0];
        for (right, lines) in [
            (true, &["a", "1"][..]),
            (true, &["a", "b", "c", "12"]),
            (false, &["a"]),
            (false, &["a", "1", "b"]),
            (false, &["a", "x1"]),
            (false, &["1"]),
        ] {
            assert_eq!(matches(&block.output, lines), right, "{lines:?}");
        }
    }
}
