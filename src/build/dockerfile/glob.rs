//! Patterns of paths on bytes: Go's `filepath.Match`, as `COPY` sources have it, and the same with `**`, as `.dockerignore` and
//! `--exclude` have it. Never looks at a file.
//!
//! A set of positions in the pattern goes through the path once: time is the product of both lengths at worst.

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
}

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    tokens: Vec<Token>,
    /// The only path it matches.
    plain: Option<Vec<u8>>,
}

/// Go's `filepath.Match`.
pub fn matches(pattern: &[u8], path: &[u8]) -> Result<bool, BadPattern> {
    Ok(Glob::new(pattern)?.is_match(path))
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

impl Glob {
    /// As `filepath.Match` reads it: two stars are as one.
    pub fn new(pattern: &[u8]) -> Result<Glob, BadPattern> {
        Glob::compile(pattern, false)
    }

    /// With `**` for any number of directories.
    pub fn deep(pattern: &[u8]) -> Result<Glob, BadPattern> {
        Glob::compile(pattern, true)
    }

    fn compile(pattern: &[u8], deep: bool) -> Result<Glob, BadPattern> {
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
        let is_plain = !pattern.iter().any(|byte| b"*?[\\".contains(byte));
        Ok(Glob {
            tokens,
            plain: is_plain.then(|| pattern.to_owned()),
        })
    }

    pub fn is_match(&self, path: &[u8]) -> bool {
        match &self.plain {
            Some(plain) => plain == path,
            None => self.run(path, |_| {})[self.tokens.len()],
        }
    }

    /// Whether it matches the path or a directory above it.
    pub fn is_match_or_above(&self, path: &[u8]) -> bool {
        if let Some(plain) = &self.plain {
            let rest = path.strip_prefix(plain.as_slice());
            return rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
        }
        let accepts = |positions: &[bool]| positions[self.tokens.len()];
        let mut above = false;
        let end = self.run(path, |positions| above |= accepts(positions));
        accepts(&end) || above
    }

    /// Whether something below the directory could match.
    pub fn could_match_below(&self, directory: &[u8]) -> bool {
        let inside = [directory, b"/"].concat();
        self.run(&inside, |_| {}).contains(&true)
    }

    /// The positions that can be reached with the whole of the path; those in front of each slash are shown.
    fn run(&self, path: &[u8], mut before_slash: impl FnMut(&[bool])) -> Vec<bool> {
        let mut now = vec![false; self.tokens.len() + 1];
        let mut then = now.clone();
        self.enter(&mut now, 0);
        let mut rest = path;
        while let Some(character) = next(&mut rest) {
            let is_slash = character == u32::from(b'/');
            if is_slash {
                before_slash(&now);
            }
            then.fill(false);
            for (at, token) in self.tokens.iter().enumerate().filter(|(at, _)| now[*at]) {
                match token {
                    Token::One(one) if *one == character => self.enter(&mut then, at + 1),
                    Token::Any if !is_slash => self.enter(&mut then, at + 1),
                    Token::Star if !is_slash => self.enter(&mut then, at),
                    Token::All => self.enter(&mut then, at),
                    Token::Directories => {
                        then[at] = true;
                        if is_slash {
                            self.enter(&mut then, at + 1);
                        }
                    }
                    Token::Class { negated, ranges } => {
                        let is_in = ranges.iter().any(|range| range.contains(&character));
                        if is_in != *negated {
                            self.enter(&mut then, at + 1);
                        }
                    }
                    _ => {}
                }
            }
            std::mem::swap(&mut now, &mut then);
            if !now.contains(&true) {
                break;
            }
        }
        now
    }

    /// A position, and those behind tokens that may be nothing.
    fn enter(&self, positions: &mut [bool], mut at: usize) {
        while !positions[at] {
            positions[at] = true;
            match self.tokens.get(at) {
                Some(Token::Star | Token::All | Token::Directories) => at += 1,
                _ => break,
            }
        }
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
#[path = "glob_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
