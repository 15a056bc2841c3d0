//! Variables, quotes and escapes in the arguments of instructions, as BuildKit's shell words have them. Never runs a shell.
//!
//! `$x ${x} ${x:-w} ${x-w} ${x:+w} ${x+w} ${x:?m} ${x?m} ${x#p} ${x##p} ${x%p} ${x%%p} ${x/p/r} ${x//p/r}`; `w`, `m`, `p` and `r`
//! are expanded themselves. Time is linear in what is written and what comes out, which is bounded.

use super::pattern::{Pattern, PatternError};

/// The value of a variable, if it is set.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// How long a word may become: no longer variable can be given to a program (Linux's `MAX_ARG_STRLEN`). Ten instructions that each
/// repeat the last one ten times would make a word of gigabytes.
pub const MAX_WORD: usize = 128 << 10;
/// How long a heredoc may become.
pub const MAX_HEREDOC: usize = 8 << 20;
/// How deep `${a:-${b:-…}}` may go.
const MAX_DEPTH: usize = 64;

/// A fault and where in the word it is, in characters from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct ExpandError {
    pub offset: usize,
    pub fault: ExpandFault,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandFault {
    #[error("unexpected end of statement while looking for matching {0}")]
    Unclosed(&'static str),
    #[error("missing '}}' of ${{{name}")]
    NoBrace { name: String },
    #[error("missing '/' in ${{{name}/")]
    NoSlash { name: String },
    #[error("bad substitution: ${{ needs a variable's name")]
    BadSubstitution,
    #[error("unsupported modifier {modifier:?} in ${{{name}{modifier}")]
    Modifier { name: String, modifier: String },
    #[error("{name}: {message}")]
    Required { name: String, message: String },
    #[error("invalid pattern {pattern:?} in ${{{name}}}: {source}")]
    Pattern {
        name: String,
        pattern: String,
        source: PatternError,
    },
    #[error("substitutions inside substitutions, more than {MAX_DEPTH} deep")]
    TooDeep,
    #[error("the expanded text is longer than {0} bytes")]
    TooLong(usize),
}

/// One word in, one out: spaces stay.
pub fn expand(text: &str, escape: char, lookup: Lookup) -> Result<String, ExpandError> {
    if !text.contains(['$', '"', '\'', escape]) {
        return Ok(text.to_owned());
    }
    Expansion::new(text, escape, true, lookup)
        .run()
        .map(|(word, _)| word)
}

/// Splits what comes out at spaces that are not quoted, as `EXPOSE` does.
pub fn expand_words(text: &str, escape: char, lookup: Lookup) -> Result<Vec<String>, ExpandError> {
    let splitting = Expansion {
        splits: true,
        ..Expansion::new(text, escape, true, lookup)
    };
    splitting.run().map(|(_, words)| words)
}

/// The content of a heredoc whose name is not quoted: quotes are text, and `\` escapes whatever the file's escape is.
pub fn expand_heredoc(content: &str, lookup: Lookup) -> Result<String, ExpandError> {
    if !content.contains(['$', '\\']) {
        return Ok(content.to_owned());
    }
    Expansion::new(content, '\\', false, lookup)
        .run()
        .map(|(word, _)| word)
}

/// Words as they grow, where they are wanted: spaces split only what neither quotes nor escapes protect.
#[derive(Default)]
struct Words {
    is_wanted: bool,
    word: String,
    done: Vec<String>,
}

impl Words {
    fn extend(&mut self, text: &str) {
        if !self.is_wanted {
            return;
        }
        for character in text.chars() {
            if !character.is_whitespace() {
                self.word.push(character);
            } else if !self.word.is_empty() {
                self.done.push(std::mem::take(&mut self.word));
            }
        }
    }

    /// Spaces in it are content.
    fn extend_protected(&mut self, text: &str) {
        if self.is_wanted {
            self.word.push_str(text);
        }
    }

    fn finish(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.done.push(self.word);
        }
        self.done
    }
}

struct Expansion<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
    escape: char,
    quotes: bool,
    limit: usize,
    /// The words of the result are asked for.
    splits: bool,
    /// Escapes stay in the output: in patterns.
    raw: bool,
    depth: usize,
    lookup: Lookup<'a>,
}

/// A fault and its place in bytes.
type Failed = (usize, ExpandFault);

impl<'a> Expansion<'a> {
    fn new(text: &'a str, escape: char, quotes: bool, lookup: Lookup<'a>) -> Expansion<'a> {
        Expansion {
            text,
            at: 0,
            escape,
            quotes,
            limit: match quotes {
                true => MAX_WORD,
                false => MAX_HEREDOC,
            },
            splits: false,
            raw: false,
            depth: 0,
            lookup,
        }
    }

    fn run(mut self) -> Result<(String, Vec<String>), ExpandError> {
        self.until(None).map_err(|(at, fault)| ExpandError {
            offset: self.text[..at].chars().count(),
            fault,
        })
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Up to the stop, which is consumed, or to the end.
    fn until(&mut self, stop: Option<char>) -> Result<(String, Vec<String>), Failed> {
        let begin = self.at;
        let mut out = String::new();
        let mut words = Words {
            is_wanted: self.splits && stop.is_none(),
            ..Words::default()
        };
        while let Some(next) = self.peek() {
            if out.len() > self.limit {
                return Err((begin, ExpandFault::TooLong(self.limit)));
            }
            match next {
                _ if Some(next) == stop => {
                    self.at += next.len_utf8();
                    return Ok((out, words.finish()));
                }
                '$' => {
                    let value = self.dollar()?;
                    words.extend(&value);
                    out.push_str(&value);
                }
                '\'' | '"' if self.quotes => {
                    let quoted = self.quoted(next)?;
                    words.extend_protected(&quoted);
                    out.push_str(&quoted);
                }
                _ if next == self.escape => {
                    self.at += next.len_utf8();
                    if self.raw {
                        words.extend_protected(next.encode_utf8(&mut [0; 4]));
                        out.push(next);
                    }
                    if let Some(escaped) = self.next() {
                        words.extend_protected(escaped.encode_utf8(&mut [0; 4]));
                        out.push(escaped);
                    }
                }
                _ => {
                    let plain = self.plain(stop);
                    words.extend(plain);
                    out.push_str(plain);
                }
            }
        }
        match stop {
            Some('/') => Err((begin, ExpandFault::Unclosed("slash"))),
            Some(_) => Err((begin, ExpandFault::Unclosed("brace"))),
            None if out.len() > self.limit => Err((begin, ExpandFault::TooLong(self.limit))),
            None => Ok((out, words.finish())),
        }
    }

    /// What comes before the next character that may mean something; at least one.
    fn plain(&mut self, stop: Option<char>) -> &'a str {
        let rest = &self.text[self.at..];
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let (escape, stop) = (self.escape, stop.unwrap_or('$'));
        let end = rest[first..].find(['$', '"', '\'', escape, stop]);
        let plain = &rest[..end.map_or(rest.len(), |end| first + end)];
        self.at += plain.len();
        plain
    }

    fn quoted(&mut self, quote: char) -> Result<String, Failed> {
        let begin = self.at;
        let unclosed = match quote {
            '"' => "double-quote",
            _ => "single-quote",
        };
        self.at += 1;
        let mut out = String::new();
        loop {
            match self.peek() {
                None => return Err((begin, ExpandFault::Unclosed(unclosed))),
                Some(next) if next == quote => {
                    self.at += 1;
                    return Ok(out);
                }
                Some('$') if quote == '"' => {
                    out.push_str(&self.dollar()?);
                    if out.len() > self.limit {
                        return Err((begin, ExpandFault::TooLong(self.limit)));
                    }
                }
                Some(next) if next == self.escape && quote == '"' => {
                    self.at += next.len_utf8();
                    if self.raw {
                        out.push(next);
                    }
                    // Only these can be escaped, in front of others an escape is text.
                    match self.peek() {
                        None => {}
                        Some(escaped) if matches!(escaped, '"' | '$') || escaped == self.escape => {
                            self.at += escaped.len_utf8();
                            out.push(escaped);
                        }
                        Some(_) => out.push(next),
                    }
                }
                Some(next) => {
                    self.at += next.len_utf8();
                    out.push(next);
                }
            }
        }
    }

    fn dollar(&mut self) -> Result<String, Failed> {
        let begin = self.at;
        self.at += 1;
        if self.peek() != Some('{') {
            let name = self.name();
            return Ok(match name {
                "" => "$".to_owned(),
                name => (self.lookup)(name).unwrap_or_default(),
            });
        }
        self.at += 1;
        match self.peek() {
            None => {
                let name = String::new();
                return Err((begin, ExpandFault::NoBrace { name }));
            }
            Some('{' | '}' | ':') => return Err((begin, ExpandFault::BadSubstitution)),
            Some(_) => {}
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err((begin, ExpandFault::TooDeep));
        }
        let name = self.name();
        let result = self.braced(begin, name);
        self.depth -= 1;
        result
    }

    /// What follows the name in `${name…}`.
    fn braced(&mut self, begin: usize, name: &str) -> Result<String, Failed> {
        let fail = |fault| Err((begin, fault));
        let modifier_at = self.at;
        let Some(mut modifier) = self.next() else {
            return fail(ExpandFault::NoBrace { name: name.into() });
        };
        let null_is_unset = modifier == ':';
        if null_is_unset {
            match self.next() {
                Some(next) => modifier = next,
                None => return fail(ExpandFault::NoBrace { name: name.into() }),
            }
        }
        match modifier {
            '}' if !null_is_unset => Ok((self.lookup)(name).unwrap_or_default()),
            '-' | '+' | '?' => {
                let word = self.inner(begin, name, '}', false)?;
                let value = (self.lookup)(name);
                let is_set = value.is_some();
                let value = value.filter(|value| !(null_is_unset && value.is_empty()));
                match (modifier, value) {
                    ('-', value) => Ok(value.unwrap_or(word)),
                    ('+', value) => Ok(value.map(|_| word).unwrap_or_default()),
                    (_, Some(value)) => Ok(value),
                    (_, None) => fail(ExpandFault::Required {
                        name: name.into(),
                        message: match (word.is_empty(), is_set) {
                            (false, _) => word,
                            (true, false) => "is not allowed to be unset".into(),
                            (true, true) => "is not allowed to be empty".into(),
                        },
                    }),
                }
            }
            '#' | '%' => {
                let word = self.inner(begin, name, '}', true)?;
                let value = (self.lookup)(name).unwrap_or_default();
                let (pattern, longest) = match word.strip_prefix(modifier) {
                    Some(pattern) => (pattern, true),
                    None => (word.as_str(), false),
                };
                let matcher = compile(begin, name, pattern)?;
                Ok(match modifier {
                    '#' => matcher.without_prefix(&value, longest).to_owned(),
                    _ => matcher.without_suffix(&value, longest),
                })
            }
            '/' if !null_is_unset => {
                let all = self.peek() == Some('/');
                if all {
                    self.at += 1;
                }
                let pattern = self.inner(begin, name, '/', true)?;
                let replacement = self.inner(begin, name, '}', true)?;
                let value = (self.lookup)(name).unwrap_or_default();
                compile(begin, name, &pattern)?
                    .replace(&value, &replacement, all, self.limit)
                    .ok_or((begin, ExpandFault::TooLong(self.limit)))
            }
            _ => fail(ExpandFault::Modifier {
                name: name.into(),
                modifier: self.text[modifier_at..self.at].into(),
            }),
        }
    }

    /// A part of a substitution up to its end.
    fn inner(&mut self, begin: usize, name: &str, stop: char, raw: bool) -> Result<String, Failed> {
        let before = std::mem::replace(&mut self.raw, raw);
        let inner = self.until(Some(stop));
        self.raw = before;
        inner
            .map(|(word, _)| word)
            .map_err(|failed| match failed.1 {
                ExpandFault::Unclosed("slash") => {
                    (begin, ExpandFault::NoSlash { name: name.into() })
                }
                ExpandFault::Unclosed("brace") => {
                    (begin, ExpandFault::NoBrace { name: name.into() })
                }
                _ => failed,
            })
    }

    /// Letters, digits and `_`; only digits after a digit; or one of the shell's special parameters.
    fn name(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let length = match rest.chars().next() {
            Some(first) if first.is_numeric() => rest
                .find(|character: char| !character.is_numeric())
                .unwrap_or(rest.len()),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => rest
                .find(|character: char| !character.is_alphanumeric() && character != '_')
                .unwrap_or(rest.len()),
        };
        self.at += length;
        &rest[..length]
    }
}

fn compile(begin: usize, name: &str, pattern: &str) -> Result<Pattern, Failed> {
    Pattern::new(pattern).map_err(|source| {
        let fault = ExpandFault::Pattern {
            name: name.into(),
            pattern: pattern.into(),
            source,
        };
        (begin, fault)
    })
}

#[cfg(test)]
#[path = "expand_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
