//! A whole file: directives, global arguments, stages and their instructions. Never opens the file.

use super::ast::{Dockerfile, Instruction, Located, MountText, RunMount, Stage, Word};
use super::directive;
use super::error::{DockerfileError, Fault};
use super::expand::{self, ExpandError, Lookup};
use super::finding::{Finding, Rule};
use super::flags::Wrong;
use super::heredoc;
use super::instruction::{Parsed, Statement};
use super::lines::{Lines, Logical};
use super::source::{Location, Source};
use crate::sys::text;

/// No file that a person wrote is larger.
pub const MAX_FILE: usize = 2 << 20;

/// Reads a Dockerfile; `name` is what messages call it.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Dockerfile, DockerfileError> {
    if bytes.len() > MAX_FILE {
        let limit = MAX_FILE;
        return Err(Source::new(name, "").error(Location::at(1, 1), Fault::TooLarge { limit }));
    }
    let source = Source::new(name, &text::from_bytes(bytes));
    match Reader::read(&source) {
        Ok((directives, mut reader)) => Ok(Dockerfile {
            directives,
            globals: std::mem::take(&mut reader.globals),
            stages: reader.stages,
            remarks: reader.remarks,
            source,
        }),
        Err(wrong) => Err(source.error(wrong.location, wrong.fault)),
    }
}

/// Reads what an `ONBUILD` of the base image left for this build. The text is its own source: its places are in it.
pub fn parse_trigger(trigger: &str) -> Result<(Source, Located<Instruction>), DockerfileError> {
    let source = Source::new("ONBUILD", trigger);
    if trigger.len() > MAX_FILE {
        let limit = MAX_FILE;
        return Err(source.error(Location::at(1, 1), Fault::TooLarge { limit }));
    }
    let read = || {
        let mut lines = Lines::new(&source, '\\');
        let Some(line) = lines.logical() else {
            return Err(Wrong::at(Location::at(1, 1), Fault::Empty));
        };
        let (parsed, location) = statement(&line, &mut lines, &mut Vec::new())?;
        let refuse = |keyword: &str| {
            let keyword = keyword.to_owned();
            Err(Wrong::at(location, Fault::Trigger { keyword }))
        };
        match parsed {
            Parsed::Stage(_) => refuse("FROM"),
            Parsed::Instruction(instruction) => match *instruction {
                Instruction::Onbuild(_) => refuse("ONBUILD"),
                Instruction::Maintainer(_) => refuse("MAINTAINER"),
                value => Ok(Located {
                    value,
                    location,
                    text: line.text.trim().to_owned(),
                }),
            },
        }
    };
    let read = read();
    match read {
        Ok(instruction) => Ok((source, instruction)),
        Err(wrong) => Err(source.error(wrong.location, wrong.fault)),
    }
}

impl Source {
    /// Replaces the variables, quotes and escapes of a word of this text.
    pub fn expand(
        &self,
        word: &Word,
        escape: char,
        lookup: Lookup,
    ) -> Result<String, DockerfileError> {
        expand::expand(&word.text, escape, lookup).map_err(|error| self.expand_error(word, error))
    }

    /// As `expand`, then split at blanks.
    pub fn expand_words(
        &self,
        word: &Word,
        escape: char,
        lookup: Lookup,
    ) -> Result<Vec<String>, DockerfileError> {
        expand::expand_words(&word.text, escape, lookup)
            .map_err(|error| self.expand_error(word, error))
    }

    /// The typed mount, its values expanded.
    pub fn mount(
        &self,
        mount: &MountText,
        escape: char,
        lookup: Lookup,
    ) -> Result<RunMount, DockerfileError> {
        let expand = |word: &Word| {
            expand::expand(&word.text, escape, lookup)
                .map_err(|error| Wrong::at(inside(word, error.offset), Fault::Expand(error.fault)))
        };
        mount
            .resolve_with(expand)
            .map_err(|wrong| self.error(wrong.location, wrong.fault))
    }

    fn expand_error(&self, word: &Word, error: ExpandError) -> DockerfileError {
        self.error(inside(word, error.offset), Fault::Expand(error.fault))
    }
}

/// A place in a word; one that goes over several lines is told by its beginning.
fn inside(word: &Word, offset: usize) -> Location {
    Location {
        column: word.location.column + offset,
        ..word.location
    }
}

#[derive(Default)]
struct Reader {
    globals: Vec<Located<super::ast::ArgDeclaration>>,
    stages: Vec<Stage>,
    remarks: Vec<Finding>,
}

impl Reader {
    fn read(source: &Source) -> Result<(super::ast::Directives, Reader), Wrong> {
        let directives = directive::read(source)?;
        let mut reader = Reader::default();
        let mut lines = Lines::new(source, directives.escape);
        while let Some(line) = lines.logical() {
            reader.one(&line, &mut lines)?;
        }
        if reader.stages.is_empty() {
            let location = Location::at(source.lines().max(1), 1);
            let fault = match reader.globals.is_empty() {
                true => Fault::Empty,
                false => Fault::NoStage,
            };
            return Err(Wrong::at(location, fault));
        }
        Ok((directives, reader))
    }

    fn one(&mut self, line: &Logical, lines: &mut Lines) -> Result<(), Wrong> {
        let (parsed, location) = statement(line, lines, &mut self.remarks)?;
        let text = line.text.trim();
        match parsed {
            Parsed::Stage(stage) => self.stages.push(Stage { location, ..*stage }),
            Parsed::Instruction(instruction) => match (self.stages.last_mut(), *instruction) {
                (Some(stage), value) => {
                    let text = text.to_owned();
                    stage.instructions.push(Located {
                        value,
                        location,
                        text,
                    });
                }
                (None, Instruction::Arg(arguments)) => {
                    let located = |value| Located {
                        value,
                        location,
                        text: text.to_owned(),
                    };
                    self.globals.extend(arguments.into_iter().map(located));
                }
                (None, _) => {
                    let keyword = text
                        .split_whitespace()
                        .next()
                        .unwrap_or_default()
                        .to_uppercase();
                    return Err(Wrong::at(location, Fault::OutsideStage { keyword }));
                }
            },
        }
        Ok(())
    }
}

/// One instruction with the bodies of its heredocs.
fn statement(
    line: &Logical,
    lines: &mut Lines,
    remarks: &mut Vec<Finding>,
) -> Result<(Parsed, Location), Wrong> {
    let mut statement = Statement::cut(line, lines.escape)?;
    let mut location = statement.start();
    if let Some(number) = line.empty_continuation {
        let at = Location::at(number, 1);
        remarks.push(Finding::new(
            Rule::NoEmptyContinuation,
            at,
            "Empty continuation line",
        ));
    }
    location.last_line = heredoc::read_bodies(&mut statement.heredocs, lines, line.last)
        .map_err(|fault| Wrong::at(location, fault))?;
    let parsed = statement.parse(remarks)?;
    Ok((parsed, location))
}

#[cfg(test)]
#[path = "parse_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
