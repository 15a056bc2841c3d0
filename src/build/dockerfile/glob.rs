//! Patterns of paths on bytes: Go's `filepath.Match`, as `COPY` sources have it, and the same with `**`, as `.dockerignore` and
//! `--exclude` have it. Never looks at a file.
//!
//! All patterns of a file are one automaton, and the positions in it that a path has reached go through the path once: those at a
//! directory are where each path below it goes on. A character costs as many steps as there are positions left.

use std::ops::RangeInclusive;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid pattern {pattern:?}: a [ without its ], an empty or open range, or a \\ at the end"
)]
pub struct BadPattern {
    pub pattern: String,
}

/// A character, or a byte that is none, beyond them.
type Character = u32;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    One(Character),
    /// `?`: not a slash.
    Any,
    /// `*`: no slashes.
    Star,
    /// `**/`: nothing, or anything up to a slash.
    Directories,
    /// `**` at the end, and before a plain ending.
    All,
    /// `[a-z]`, `[^a-z]`: may be a slash.
    Class {
        negated: bool,
        ranges: Vec<RangeInclusive<Character>>,
    },
    /// Behind the last of the pattern with this number.
    End(usize),
}

/// Compiled patterns, numbered in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Globs {
    tokens: Vec<Token>,
    /// Where each pattern begins among the tokens.
    begins: Vec<usize>,
}

/// Where the patterns may go on behind a text: places of tokens, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(Vec<u32>);

/// Go's `filepath.Match`.
pub fn matches(pattern: &[u8], path: &[u8]) -> Result<bool, BadPattern> {
    let mut globs = Globs::default();
    globs.push(pattern)?;
    Ok(globs.last_match(&globs.go_on(&globs.begin(), path)) == Some(0))
}

/// Whether it names more than itself: `*`, `?` or `[` that no `\` stands before.
pub fn has_wildcards(pattern: &[u8]) -> bool {
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

impl Globs {
    /// Adds one as `filepath.Match` reads it: two stars are as one.
    pub fn push(&mut self, pattern: &[u8]) -> Result<(), BadPattern> {
        self.compile(pattern, false)
    }

    /// Adds one with `**` for any number of directories.
    pub fn push_deep(&mut self, pattern: &[u8]) -> Result<(), BadPattern> {
        self.compile(pattern, true)
    }

    fn compile(&mut self, pattern: &[u8], deep: bool) -> Result<(), BadPattern> {
        let bad = || BadPattern {
            pattern: String::from_utf8_lossy(pattern).into_owned(),
        };
        let mut tokens: Vec<Token> = Vec::new();
        let mut rest = pattern;
        while let Some(character) = next(&mut rest) {
            let token = match u8::try_from(character).unwrap_or(0) {
                b'*' if deep && rest.starts_with(b"*") => {
                    rest = &rest[1..];
                    let begins_plainly = tokens.is_empty()
                        && !rest.starts_with(b"/")
                        && !rest.iter().any(|byte| b"*?[]\\".contains(byte));
                    rest = rest.strip_prefix(b"/").unwrap_or(rest);
                    match rest.is_empty() || begins_plainly {
                        true => Token::All,
                        false => Token::Directories,
                    }
                }
                b'*' => Token::Star,
                b'?' => Token::Any,
                b'[' => class(&mut rest).ok_or_else(bad)?,
                b'\\' => Token::One(next(&mut rest).ok_or_else(bad)?),
                _ => Token::One(character),
            };
            if token != Token::Star || tokens.last() != Some(&Token::Star) {
                tokens.push(token);
            }
        }
        tokens.push(Token::End(self.begins.len()));
        self.begins.push(self.tokens.len());
        self.tokens.append(&mut tokens);
        Ok(())
    }

    /// Before the first character.
    pub fn begin(&self) -> Positions {
        let mut first = Positions::default();
        for begin in &self.begins {
            self.enter(&mut first, *begin);
        }
        first
    }

    /// Behind more text.
    pub fn go_on(&self, from: &Positions, text: &[u8]) -> Positions {
        let (mut now, mut then) = (from.clone(), Positions::default());
        let mut rest = text;
        while let Some(character) = next(&mut rest) {
            self.step(&now, character, &mut then);
            std::mem::swap(&mut now, &mut then);
            if now.0.is_empty() {
                break;
            }
        }
        now
    }

    /// The last of the patterns that match what was read.
    pub fn last_match(&self, positions: &Positions) -> Option<usize> {
        positions
            .0
            .iter()
            .rev()
            .find_map(|at| match self.tokens[*at as usize] {
                Token::End(number) => Some(number),
                _ => None,
            })
    }

    /// The patterns that more text may match, or that match by now; one with several places comes several times.
    pub fn left<'p>(&'p self, positions: &'p Positions) -> impl Iterator<Item = usize> + 'p {
        let begins_before = |at: &u32| {
            self.begins
                .partition_point(|begin| *begin <= *at as usize)
                .saturating_sub(1)
        };
        positions.0.iter().map(begins_before)
    }

    fn step(&self, now: &Positions, character: Character, then: &mut Positions) {
        let is_slash = character == u32::from(b'/');
        then.0.clear();
        #[cfg(test)]
        STEPS.set(STEPS.get() + now.0.len());
        for at in now.0.iter().map(|at| *at as usize) {
            match &self.tokens[at] {
                Token::One(one) if *one == character => self.enter(then, at + 1),
                Token::Any if !is_slash => self.enter(then, at + 1),
                Token::Star if !is_slash => self.enter(then, at),
                Token::All => self.enter(then, at),
                Token::Directories => {
                    then.add(at);
                    if is_slash {
                        self.enter(then, at + 1);
                    }
                }
                Token::Class { negated, ranges } => {
                    let is_in = ranges.iter().any(|range| range.contains(&character));
                    if is_in != *negated {
                        self.enter(then, at + 1);
                    }
                }
                _ => {}
            }
        }
    }

    /// A position, and those behind tokens that may be nothing.
    fn enter(&self, positions: &mut Positions, mut at: usize) {
        while positions.add(at) {
            match self.tokens[at] {
                Token::Star | Token::All | Token::Directories => at += 1,
                _ => break,
            }
        }
    }
}

impl Positions {
    /// False where it is there. They come in order, each with all that follow from it: what is not behind the last is there.
    fn add(&mut self, at: usize) -> bool {
        let at = u32::try_from(at).expect("a file of patterns is far below 4 GiB");
        let is_new = self.0.last().is_none_or(|last| *last < at);
        if is_new {
            self.0.push(at);
        }
        is_new
    }
}

/// Takes a character; a byte that is no UTF-8 is one of its own.
fn next(bytes: &mut &[u8]) -> Option<Character> {
    let first = *bytes.first()?;
    let length = match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let character = bytes
        .get(..length)
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .and_then(|text| text.chars().next());
    *bytes = &bytes[character.map_or(1, char::len_utf8)..];
    Some(character.map_or(0x11_0000 + u32::from(first), u32::from))
}

/// What follows a `[`; `-`, `]` and `\` are only in it behind a `\`.
fn class(rest: &mut &[u8]) -> Option<Token> {
    let negated = rest.starts_with(b"^");
    if negated {
        *rest = &rest[1..];
    }
    let mut ranges = Vec::new();
    loop {
        if rest.starts_with(b"]") && !ranges.is_empty() {
            *rest = &rest[1..];
            return Some(Token::Class { negated, ranges });
        }
        let low = member(rest)?;
        let high = match rest.strip_prefix(b"-") {
            Some(after) => {
                *rest = after;
                member(rest)?
            }
            None => low,
        };
        ranges.push(low..=high);
    }
}

fn member(rest: &mut &[u8]) -> Option<Character> {
    if rest.starts_with(b"-") || rest.starts_with(b"]") {
        return None;
    }
    if rest.starts_with(b"\\") {
        *rest = &rest[1..];
    }
    next(rest)
}

#[cfg(test)]
thread_local! {
    /// How many positions were looked at.
    pub static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
#[path = "glob_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
