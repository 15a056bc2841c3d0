//! Instructions of words: `ARG`, `ENV`, `LABEL`, `EXPOSE`, `VOLUME` and those with a single one. Never expands them.

use super::super::ast::{ArgDeclaration, Word};
use super::super::error::Fault;
use super::super::finding::{Finding, Rule};
use super::super::flags::Wrong;
use super::super::words;
use super::Statement;
use super::from::description;

impl Statement<'_, '_> {
    pub(super) fn arguments(&self) -> Result<Vec<ArgDeclaration>, Wrong> {
        let words = words::unquoted(self.rest, self.escape);
        if words.is_empty() {
            return Err(self.requires("at least one argument"));
        }
        let declaration = |(at, text): (usize, String)| {
            let (name, default) = match text.split_once('=') {
                Some((name, default)) => (name, Some(self.word_at(at + name.len() + 1, default))),
                None => (text.as_str(), None),
            };
            if name.is_empty() {
                return Err(self.blank_name(at));
            }
            Ok(ArgDeclaration {
                name: self.word_at(at, name),
                default,
                description: description(self.line, name),
            })
        };
        words.into_iter().map(declaration).collect()
    }

    pub(super) fn blank_name(&self, at: usize) -> Wrong {
        let keyword = self.keyword.to_owned();
        Wrong::at(self.word_at(at, "").location, Fault::BlankName { keyword })
    }

    /// `A=1 B=2`, or the old `A 1 with spaces`.
    pub(super) fn pairs(&self, remarks: &mut Vec<Finding>) -> Result<Vec<(Word, Word)>, Wrong> {
        let words = words::unquoted(self.rest, self.escape);
        let Some((_, first)) = words.first() else {
            return Err(self.requires("at least one argument"));
        };
        if !first.contains('=') {
            let (name, value) = words::first(self.rest);
            let Some((at, value)) = value else {
                return Err(self.requires("two arguments: NAME=VALUE"));
            };
            let message = format!(
                "\"{0} key=value\" should be used instead of legacy \"{0} key value\" format",
                self.keyword
            );
            remarks.push(Finding::new(
                Rule::LegacyKeyValueFormat,
                self.start(),
                message,
            ));
            return Ok(vec![(self.word_at(0, name), self.word_at(at, value))]);
        }
        let pair = |(at, text): (usize, String)| match text.split_once('=') {
            Some(("", _)) => Err(self.blank_name(at)),
            Some((name, value)) => Ok((
                self.word_at(at, name),
                self.word_at(at + name.len() + 1, value),
            )),
            None => Err(Wrong::at(
                self.word_at(at, "").location,
                Fault::NoEquals {
                    keyword: self.keyword.to_owned(),
                    word: text,
                },
            )),
        };
        words.into_iter().map(pair).collect()
    }

    pub(super) fn single(&self) -> Result<Word, Wrong> {
        match self.rest {
            "" => Err(self.requires("exactly one argument")),
            rest => Ok(self.word_at(0, rest)),
        }
    }

    /// As docker has it, in the order of their text.
    pub(super) fn ports(&self) -> Result<Vec<Word>, Wrong> {
        let mut ports: Vec<Word> = words::at_blanks(self.rest)
            .into_iter()
            .map(|(at, port)| self.word_at(at, port))
            .collect();
        ports.sort_by(|left, right| left.text.cmp(&right.text));
        match ports.is_empty() {
            true => Err(self.requires("at least one argument")),
            false => Ok(ports),
        }
    }

    /// The strings of a JSON array, or the words between blanks.
    pub(super) fn list(&self) -> Result<Vec<Word>, Wrong> {
        Ok(match self.json()? {
            Some(strings) => strings
                .into_iter()
                .map(|text| self.word_at(0, text))
                .collect(),
            None => words::at_blanks(self.rest)
                .into_iter()
                .map(|(at, text)| self.word_at(at, text))
                .collect(),
        })
    }

    pub(super) fn volumes(&self) -> Result<Vec<Word>, Wrong> {
        let volumes = self.list()?;
        if volumes.is_empty() {
            return Err(self.requires("at least one argument"));
        }
        match volumes.iter().find(|volume| volume.text.trim().is_empty()) {
            Some(volume) => {
                let keyword = self.keyword.to_owned();
                Err(Wrong::at(volume.location, Fault::EmptyPath { keyword }))
            }
            None => Ok(volumes),
        }
    }
}
