//! The flags of an instruction, `--name[=value]` before its arguments. Never knows what a value means.

use super::ast::Word;
use super::error::Fault;
use super::source::Location;
use crate::config::nearest;

/// A fault and its place.
#[derive(Debug)]
pub struct Wrong {
    pub location: Location,
    pub fault: Fault,
}

impl Wrong {
    pub fn at(location: Location, fault: Fault) -> Wrong {
        Wrong { location, fault }
    }
}

/// The candidate that a word is probably meant to be. Of a very long one only the beginning counts.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let beginning: String = word.chars().take(60).collect();
    nearest(&beginning, candidates).to_owned()
}

/// How a flag is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `--link`, `--link=false`
    Bool,
    /// `--from=x`, once
    Text,
    /// `--mount=x`, as often as one likes
    List,
}

/// One flag as written, its quotes gone.
#[derive(Clone, Debug)]
struct Flag {
    name: String,
    value: Option<Word>,
    location: Location,
}

/// The flags that were given, all of them known to the instruction.
#[derive(Debug, Default)]
pub struct Flags {
    given: Vec<Flag>,
}

/// A flag in the text: where it begins, and what it says without quotes.
pub struct Written {
    pub at: usize,
    pub text: String,
}

/// The flags at the beginning of the arguments, and where the arguments begin. `--` alone ends them.
pub fn take(text: &str) -> (Vec<Written>, usize) {
    let mut flags = Vec::new();
    let mut at = 0;
    loop {
        let rest = text[at..].trim_start();
        at = text.len() - rest.len();
        if !rest.starts_with("--") {
            return (flags, at);
        }
        let (flag, length) = one(rest);
        if flag == "--" {
            return (flags, text.len() - text[at + length..].trim_start().len());
        }
        flags.push(Written { at, text: flag });
        at += length;
    }
}

/// A word without its quotes and escapes, and how long it is as written. Here the escape is always `\`.
fn one(text: &str) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match (quote, character) {
            (None, blank) if blank.is_whitespace() => return (word, at),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (_, '\\') => word.extend(characters.next().map(|(_, escaped)| escaped)),
            (_, other) => word.push(other),
        }
    }
    (word, text.len())
}

impl Flags {
    /// Checks what is written against what the instruction has.
    pub fn check(
        keyword: &str,
        written: Vec<(Location, String)>,
        known: &[(&str, Kind)],
    ) -> Result<Flags, Wrong> {
        let mut given: Vec<Flag> = Vec::with_capacity(written.len());
        for (location, text) in written {
            let (name, value) = match text[2..].split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (&text[2..], None),
            };
            let wrong = |fault| Err(Wrong::at(location, fault));
            let flag = name.to_owned();
            let Some((_, kind)) = known.iter().find(|(known, _)| *known == name) else {
                let keyword = keyword.to_owned();
                if known.is_empty() {
                    return wrong(Fault::NoFlags { keyword, flag });
                }
                let nearest = closest(name, known.iter().map(|(name, _)| *name));
                return wrong(Fault::UnknownFlag {
                    keyword,
                    flag,
                    nearest,
                });
            };
            if *kind != Kind::List && given.iter().any(|given| given.name == name) {
                return wrong(Fault::FlagTwice { flag });
            }
            if *kind != Kind::Bool && value.is_none() {
                return wrong(Fault::FlagWithoutValue { flag });
            }
            let value = value.map(|value| Word {
                text: value.to_owned(),
                location: Location::at(location.line, location.column + 3 + name.chars().count()),
            });
            given.push(Flag {
                name: flag,
                value,
                location,
            });
        }
        Ok(Flags { given })
    }

    pub fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// The place of the first flag.
    pub fn first(&self) -> Option<Location> {
        self.given.first().map(|flag| flag.location)
    }

    pub fn text(&mut self, name: &str) -> Option<Word> {
        let index = self.given.iter().position(|flag| flag.name == name)?;
        self.given.remove(index).value
    }

    pub fn list(&mut self, name: &str) -> Vec<Word> {
        let (wanted, others) = std::mem::take(&mut self.given)
            .into_iter()
            .partition(|flag| flag.name == name);
        self.given = others;
        let wanted: Vec<Flag> = wanted;
        wanted.into_iter().filter_map(|flag| flag.value).collect()
    }

    /// `None`: not given.
    pub fn bool(&mut self, name: &str) -> Result<Option<bool>, Wrong> {
        let Some(index) = self.given.iter().position(|flag| flag.name == name) else {
            return Ok(None);
        };
        match self.given.remove(index).value {
            None => Ok(Some(true)),
            Some(word) => match word.text.to_lowercase().as_str() {
                "true" => Ok(Some(true)),
                "false" => Ok(Some(false)),
                _ => Err(Wrong::at(
                    word.location,
                    Fault::FlagValue {
                        flag: name.to_owned(),
                        value: word.text,
                        expected: "true or false",
                    },
                )),
            },
        }
    }

    /// One of several words; `None`: not given.
    pub fn one_of<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Wrong> {
        let Some(word) = self.text(name) else {
            return Ok(None);
        };
        match words.iter().find(|(known, _)| *known == word.text) {
            Some((_, value)) => Ok(Some(*value)),
            None => Err(Wrong::at(
                word.location,
                Fault::FlagWord {
                    flag: name.to_owned(),
                    nearest: closest(&word.text, words.iter().map(|(word, _)| *word)),
                    value: word.text,
                },
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> (Vec<String>, &str) {
        let (flags, at) = take(text);
        (
            flags.into_iter().map(|flag| flag.text).collect(),
            &text[at..],
        )
    }

    #[test]
    fn flags_stand_before_the_arguments() {
        let flags = |list: &[&str]| {
            list.iter()
                .map(|flag| (*flag).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            taken("--a --b=c d --e"),
            (flags(&["--a", "--b=c"]), "d --e")
        );
        assert_eq!(taken("--a='x y' \"z\""), (flags(&["--a=x y"]), "\"z\""));
        assert_eq!(taken("--a=x\\ y z"), (flags(&["--a=x y"]), "z"));
        assert_eq!(taken("--a -- --b"), (flags(&["--a"]), "--b"));
        assert_eq!(taken("-a"), (flags(&[]), "-a"));
        assert_eq!(taken("--a=\"open"), (flags(&["--a=open"]), ""));
    }
}
