//! One joined line to one typed instruction. Never expands variables, and knows nothing of the lines around it.

mod command;
mod from;
mod paths;
mod trigger;
mod words;

use super::ast::{Heredoc, Instruction, Stage, Word};
use super::error::Fault;
use super::finding::Finding;
use super::flags::{self, Flags, Kind, Wrong, closest};
use super::lines::Logical;
use super::source::Location;
use super::words::first;

/// Every instruction.
pub const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// The flags of each instruction that has some.
pub fn known_flags(keyword: &str) -> &'static [(&'static str, Kind)] {
    match keyword {
        "FROM" => &[("platform", Kind::Text)],
        "RUN" => &[
            ("mount", Kind::List),
            ("network", Kind::Text),
            ("security", Kind::Text),
            ("device", Kind::List),
        ],
        "COPY" => &[
            ("from", Kind::Text),
            ("chown", Kind::Text),
            ("chmod", Kind::Text),
            ("link", Kind::Bool),
            ("parents", Kind::Bool),
            ("exclude", Kind::List),
        ],
        "ADD" => &[
            ("chown", Kind::Text),
            ("chmod", Kind::Text),
            ("link", Kind::Bool),
            ("exclude", Kind::List),
            ("checksum", Kind::Text),
            ("keep-git-dir", Kind::Bool),
            ("unpack", Kind::Bool),
        ],
        "HEALTHCHECK" => &[
            ("interval", Kind::Text),
            ("timeout", Kind::Text),
            ("start-period", Kind::Text),
            ("start-interval", Kind::Text),
            ("retries", Kind::Text),
        ],
        _ => &[],
    }
}

/// An instruction cut into keyword, flags and arguments; its heredocs are still to be read.
pub struct Statement<'l, 's> {
    line: &'l Logical<'s>,
    /// As it is written.
    pub word: &'l str,
    /// In upper case.
    keyword: &'static str,
    written_flags: Vec<(Location, String)>,
    rest: &'l str,
    rest_at: usize,
    escape: char,
    pub heredocs: Vec<Heredoc>,
}

pub enum Parsed {
    Stage(Box<Stage>),
    Instruction(Box<Instruction>),
}

impl<'l, 's> Statement<'l, 's> {
    pub fn cut(line: &'l Logical<'s>, escape: char) -> Result<Statement<'l, 's>, Wrong> {
        let text = line.text.trim();
        let begin = line.text.len() - line.text.trim_start().len();
        Statement::cut_at(line, begin, text, escape)
    }

    /// Of the instruction that begins at a byte of the line.
    fn cut_at(
        line: &'l Logical<'s>,
        begin: usize,
        text: &'l str,
        escape: char,
    ) -> Result<Statement<'l, 's>, Wrong> {
        let (word, rest) = first(text);
        let Some(keyword) = KEYWORDS
            .iter()
            .find(|known| known.eq_ignore_ascii_case(word))
        else {
            let shown: String = word.chars().take(40).collect();
            return Err(Wrong::at(
                line.place(begin),
                Fault::UnknownInstruction {
                    nearest: closest(&shown.to_uppercase(), KEYWORDS),
                    word: shown,
                },
            ));
        };
        let (rest_at, rest) = rest.unwrap_or((text.len(), ""));
        let (written, skipped) = flags::take(rest);
        let place = |flag: flags::Written| (line.place(begin + rest_at + flag.at), flag.text);
        let mut statement = Statement {
            line,
            word,
            keyword,
            written_flags: written.into_iter().map(place).collect(),
            rest: rest[skipped..].trim_end(),
            rest_at: begin + rest_at + skipped,
            escape,
            heredocs: Vec::new(),
        };
        statement.heredocs = statement.begun_heredocs()?;
        Ok(statement)
    }

    fn here(&self) -> Location {
        self.line.place(self.rest_at)
    }

    fn word_at(&self, at: usize, text: impl Into<String>) -> Word {
        Word {
            text: text.into(),
            location: self.line.place(self.rest_at + at),
        }
    }

    fn requires(&self, count: &'static str) -> Wrong {
        let keyword = self.keyword.to_owned();
        Wrong::at(self.start(), Fault::Arguments { keyword, count })
    }

    /// The keyword's place.
    pub fn start(&self) -> Location {
        self.line
            .place(self.word.as_ptr() as usize - self.line.text.as_ptr() as usize)
    }

    /// What it means; `remarks` gets what only the text shows.
    pub fn parse(mut self, remarks: &mut Vec<Finding>) -> Result<Parsed, Wrong> {
        let written = std::mem::take(&mut self.written_flags);
        let mut flags = Flags::check(self.keyword, written, known_flags(self.keyword))?;
        let instruction = match self.keyword {
            "FROM" => {
                return self
                    .from(&mut flags, remarks)
                    .map(Box::new)
                    .map(Parsed::Stage);
            }
            "ARG" => {
                let declarations = self.arguments()?;
                let names: Vec<&str> = declarations
                    .iter()
                    .map(|declaration| declaration.name.text.as_str())
                    .collect();
                self.check_description("ARG", &names, remarks);
                Instruction::Arg(declarations)
            }
            "ENV" => Instruction::Env(self.pairs(remarks)?),
            "LABEL" => Instruction::Label(self.pairs(remarks)?),
            "RUN" => Instruction::Run(self.run(&mut flags)?),
            "COPY" => Instruction::Copy(self.copy(&mut flags)?),
            "ADD" => Instruction::Add(self.add(&mut flags)?),
            "WORKDIR" => Instruction::Workdir(self.single()?),
            "USER" => Instruction::User(self.single()?),
            "STOPSIGNAL" => Instruction::StopSignal(self.single()?),
            "MAINTAINER" => Instruction::Maintainer(self.single()?.text),
            "EXPOSE" => Instruction::Expose(self.ports()?),
            "VOLUME" => Instruction::Volume(self.volumes()?),
            "CMD" => Instruction::Cmd(self.command()?),
            "ENTRYPOINT" => Instruction::Entrypoint(self.command()?),
            "SHELL" => Instruction::Shell(self.shell()?),
            "HEALTHCHECK" => Instruction::Healthcheck(self.healthcheck(&mut flags)?),
            _ => Instruction::Onbuild(self.onbuild()?),
        };
        Ok(Parsed::Instruction(Box::new(instruction)))
    }
}
