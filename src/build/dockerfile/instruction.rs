//! One joined line to one typed instruction. Never expands variables, and knows nothing of the lines around it.

use std::time::Duration;

use super::ast::{
    Add, ArgDeclaration, Command, Copy, Device, Healthcheck, Heredoc, Instruction, MountText, Run,
    RunNetwork, RunSecurity, Stage, Word,
};
use super::error::Fault;
use super::finding::{Finding, Rule};
use super::flags::{Flags, Kind, Wrong};
use super::lines::Logical;
use super::source::Location;
use super::{flags, heredoc, words};
use crate::config::nearest;
use crate::engine::request::parse_go_duration;

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
        let (word, rest) = words::first(text);
        let Some(keyword) = KEYWORDS
            .iter()
            .find(|known| known.eq_ignore_ascii_case(word))
        else {
            let upper = word.to_uppercase();
            return Err(Wrong::at(
                line.place(begin),
                Fault::UnknownInstruction {
                    word: word.chars().take(40).collect(),
                    nearest: nearest(upper.get(..40).unwrap_or(&upper), KEYWORDS).to_owned(),
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

    fn begun_heredocs(&self) -> Result<Vec<Heredoc>, Wrong> {
        match self.keyword {
            // One of itself is refused later; going into each of a million would exhaust the stack.
            "ONBUILD" if words::first(self.rest).0.eq_ignore_ascii_case("ONBUILD") => {
                Ok(Vec::new())
            }
            "ONBUILD" => Ok(self
                .trigger()
                .map_or_else(|_| Vec::new(), |trigger| trigger.heredocs)),
            "RUN" | "COPY" | "ADD" if self.json()?.is_none() => Ok(heredoc::begun_in(self.rest)),
            _ => Ok(Vec::new()),
        }
    }

    fn trigger(&self) -> Result<Statement<'l, 's>, Wrong> {
        Statement::cut_at(self.line, self.rest_at, self.rest, self.escape)
    }

    /// The arguments, if they are a JSON array; of anything but strings it is an error, and what is no JSON is other text.
    fn json(&self) -> Result<Option<Vec<String>>, Wrong> {
        json(self.rest).map_err(|fault| Wrong::at(self.here(), fault))
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

    fn from(&self, flags: &mut Flags, remarks: &mut Vec<Finding>) -> Result<Stage, Wrong> {
        let words: Vec<Word> = words::at_blanks(self.rest)
            .into_iter()
            .map(|(at, word)| self.word_at(at, word))
            .collect();
        let platform = flags.text("platform");
        let (base, written_name) = match words.as_slice() {
            [base] => (base.clone(), None),
            [base, keyword, name] if keyword.text.eq_ignore_ascii_case("as") => {
                if !same_case(self.word, &keyword.text) {
                    remarks.push(Finding::new(
                        Rule::FromAsCasing,
                        self.start(),
                        format!(
                            "'{}' and '{}' keywords' casing do not match",
                            keyword.text, self.word
                        ),
                    ));
                }
                (base.clone(), Some(name.clone()))
            }
            [_, keyword, _] => {
                let word = keyword.text.clone();
                return Err(Wrong::at(keyword.location, Fault::FromWord { word }));
            }
            _ => return Err(Wrong::at(self.start(), Fault::From)),
        };
        let name = written_name.as_ref().map(|name| name.text.to_lowercase());
        if let (Some(lower), Some(written)) = (&name, &written_name) {
            if !is_stage_name(lower) {
                let name = written.text.clone();
                return Err(Wrong::at(written.location, Fault::StageName { name }));
            }
            if *lower != written.text {
                let message = format!("Stage name '{}' should be lowercase", written.text);
                remarks.push(Finding::new(Rule::StageNameCasing, self.start(), message));
            }
        }
        let described: Vec<&str> = name.as_deref().into_iter().collect();
        self.check_description("FROM", &described, remarks);
        Ok(Stage {
            description: name
                .as_deref()
                .and_then(|name| description(self.line, name)),
            name,
            written_name,
            base,
            platform,
            location: self.start(),
            text: self.line.text.trim().to_owned(),
            instructions: Vec::new(),
        })
    }

    fn arguments(&self) -> Result<Vec<ArgDeclaration>, Wrong> {
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

    fn blank_name(&self, at: usize) -> Wrong {
        let keyword = self.keyword.to_owned();
        Wrong::at(self.word_at(at, "").location, Fault::BlankName { keyword })
    }

    /// `A=1 B=2`, or the old `A 1 with spaces`.
    fn pairs(&self, remarks: &mut Vec<Finding>) -> Result<Vec<(Word, Word)>, Wrong> {
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

    fn single(&self) -> Result<Word, Wrong> {
        match self.rest {
            "" => Err(self.requires("exactly one argument")),
            rest => Ok(self.word_at(0, rest)),
        }
    }

    /// As docker has it, in the order of their text.
    fn ports(&self) -> Result<Vec<Word>, Wrong> {
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
    fn list(&self) -> Result<Vec<Word>, Wrong> {
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

    fn volumes(&self) -> Result<Vec<Word>, Wrong> {
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

    fn command(&self) -> Result<Command, Wrong> {
        Ok(match self.json()? {
            Some(arguments) => Command::Exec(arguments),
            None => Command::Shell(self.rest.to_owned()),
        })
    }

    fn shell(&self) -> Result<Vec<String>, Wrong> {
        let keyword = self.keyword.to_owned();
        match self.json()? {
            Some(arguments) if arguments.is_empty() => Err(self.requires("at least one argument")),
            Some(arguments) => Ok(arguments),
            None => Err(Wrong::at(self.here(), Fault::NotJson { keyword })),
        }
    }

    fn run(self, flags: &mut Flags) -> Result<Run, Wrong> {
        let command = self.command()?;
        if matches!(&command, Command::Shell(text) if text.is_empty())
            || command == Command::Exec(Vec::new())
        {
            return Err(self.requires("at least one argument"));
        }
        let networks = [
            ("default", RunNetwork::Default),
            ("none", RunNetwork::None),
            ("host", RunNetwork::Host),
        ];
        let securities = [
            ("sandbox", RunSecurity::Sandbox),
            ("insecure", RunSecurity::Insecure),
        ];
        Ok(Run {
            command,
            mounts: flags
                .list("mount")
                .iter()
                .map(MountText::parse)
                .collect::<Result<_, _>>()?,
            network: flags.one_of("network", &networks)?.unwrap_or_default(),
            security: flags.one_of("security", &securities)?.unwrap_or_default(),
            devices: flags
                .list("device")
                .iter()
                .map(Device::parse)
                .collect::<Result<_, _>>()?,
            heredocs: self.heredocs,
        })
    }

    /// Sources, inline files and the destination.
    fn paths(&self) -> Result<(Vec<Word>, Vec<Heredoc>, Word), Wrong> {
        let mut paths = self.list()?;
        let keyword = || self.keyword.to_owned();
        let destination = match paths.pop() {
            Some(destination) if !paths.is_empty() => destination,
            _ => return Err(self.requires("at least two arguments: a source and the destination")),
        };
        if self.heredocs.is_empty() {
            return Ok((paths, Vec::new(), destination));
        }
        if Heredoc::begun_by(&destination.text).is_some() {
            let fault = Fault::HeredocDestination { keyword: keyword() };
            return Err(Wrong::at(destination.location, fault));
        }
        // Of two with one name the last one's content counts, as in BuildKit.
        let body = |named: &Heredoc| {
            self.heredocs
                .iter()
                .rev()
                .find(|heredoc| heredoc.name == named.name)
                .cloned()
        };
        let mut inline = Vec::new();
        paths.retain(
            |path| match Heredoc::begun_by(&path.text).as_ref().and_then(body) {
                Some(heredoc) => {
                    inline.push(heredoc);
                    false
                }
                None => true,
            },
        );
        Ok((paths, inline, destination))
    }

    fn copy(&self, flags: &mut Flags) -> Result<Copy, Wrong> {
        let (sources, inline, destination) = self.paths()?;
        let from = flags.text("from");
        if let Some(from) = from.as_ref().filter(|from| from.text.contains('$')) {
            let flag = "--from".to_owned();
            return Err(Wrong::at(from.location, Fault::NoVariables { flag }));
        }
        Ok(Copy {
            sources,
            inline,
            destination,
            from: from.filter(|from| !from.text.is_empty()),
            chown: flags.text("chown"),
            chmod: flags.text("chmod"),
            link: flags.bool("link")?.unwrap_or(false),
            parents: flags.bool("parents")?.unwrap_or(false),
            exclude: flags.list("exclude"),
        })
    }

    fn add(&self, flags: &mut Flags) -> Result<Add, Wrong> {
        let (sources, inline, destination) = self.paths()?;
        Ok(Add {
            sources,
            inline,
            destination,
            chown: flags.text("chown"),
            chmod: flags.text("chmod"),
            link: flags.bool("link")?.unwrap_or(false),
            exclude: flags.list("exclude"),
            checksum: flags.text("checksum"),
            keep_git_dir: flags.bool("keep-git-dir")?.unwrap_or(false),
            unpack: flags.bool("unpack")?,
        })
    }

    fn healthcheck(&self, flags: &mut Flags) -> Result<Healthcheck, Wrong> {
        let (kind, rest) = words::first(self.rest);
        let (at, rest) = rest.unwrap_or((0, ""));
        match kind.to_ascii_uppercase().as_str() {
            "" => Err(self.requires("at least one argument: CMD or NONE")),
            "NONE" if !rest.is_empty() => {
                let what = "arguments";
                Err(Wrong::at(
                    self.word_at(at, "").location,
                    Fault::HealthcheckNone { what },
                ))
            }
            "NONE" if !flags.is_empty() => {
                let what = "flags";
                let location = flags.first().unwrap_or(self.start());
                Err(Wrong::at(location, Fault::HealthcheckNone { what }))
            }
            "NONE" => Ok(Healthcheck::None),
            "CMD" => {
                let location = self.word_at(at, "").location;
                let command = match json(rest).map_err(|fault| Wrong::at(location, fault))? {
                    Some(arguments) => Command::Exec(arguments),
                    None => Command::Shell(rest.to_owned()),
                };
                if rest.is_empty() || command == Command::Exec(Vec::new()) {
                    return Err(self.requires("a command after CMD"));
                }
                Ok(Healthcheck::Check {
                    command,
                    interval: duration(flags, "interval")?,
                    timeout: duration(flags, "timeout")?,
                    start_period: duration(flags, "start-period")?,
                    start_interval: duration(flags, "start-interval")?,
                    retries: retries(flags)?,
                })
            }
            other => Err(Wrong::at(
                self.here(),
                Fault::HealthcheckType {
                    word: kind.to_owned(),
                    nearest: nearest(other, ["CMD", "NONE"]).to_owned(),
                },
            )),
        }
    }

    /// The trigger is read once now, so that its mistakes are this file's and not a child's.
    fn onbuild(&self) -> Result<String, Wrong> {
        if self.rest.is_empty() {
            return Err(self.requires("at least one argument"));
        }
        let mut trigger = self.trigger()?;
        if let keyword @ ("ONBUILD" | "MAINTAINER" | "FROM") = trigger.keyword {
            let keyword = keyword.to_owned();
            return Err(Wrong::at(trigger.start(), Fault::Trigger { keyword }));
        }
        trigger.heredocs.clone_from(&self.heredocs);
        trigger.parse(&mut Vec::new())?;
        let bodies = self
            .heredocs
            .iter()
            .map(|heredoc| format!("\n{}{}", heredoc.raw, heredoc.name));
        Ok(self.rest.to_owned() + &bodies.collect::<String>())
    }

    /// A comment directly above that does not begin with the name of what it stands above.
    fn check_description(&self, keyword: &str, names: &[&str], remarks: &mut Vec<Finding>) {
        let Some(comment) = self.line.comments.last() else {
            return;
        };
        let first = comment.split(' ').next().unwrap_or_default();
        if names.is_empty() || names.contains(&first) {
            return;
        }
        let example = match names {
            [name] => name,
            _ => "<arg_key>",
        };
        let message =
            format!("Comment for {keyword} should follow the format: `# {example} <description>`");
        remarks.push(Finding::new(
            Rule::InvalidDefinitionDescription,
            self.start(),
            message,
        ));
    }
}

/// What follows the name in the comment directly above.
fn description(line: &Logical, name: &str) -> Option<String> {
    let (first, rest) = line.comments.last()?.split_once(' ')?;
    (first == name && !rest.trim().is_empty()).then(|| rest.trim().to_owned())
}

/// Where the keyword has no case of its own (`From`), that is another rule's.
fn same_case(from: &str, keyword: &str) -> bool {
    if from == from.to_lowercase() {
        keyword == keyword.to_lowercase()
    } else if from == from.to_uppercase() {
        keyword == keyword.to_uppercase()
    } else {
        true
    }
}

fn is_stage_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
}

fn json(text: &str) -> Result<Option<Vec<String>>, Fault> {
    if !text.starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(text) else {
        return Ok(None);
    };
    let strings = values.into_iter().map(|value| match value {
        serde_json::Value::String(text) => Ok(text),
        _ => Err(Fault::JsonNotStrings),
    });
    strings.collect::<Result<_, _>>().map(Some)
}

/// docker's least is a millisecond; 0 is the default.
fn duration(flags: &mut Flags, name: &str) -> Result<Option<Duration>, Wrong> {
    let Some(word) = flags.text(name) else {
        return Ok(None);
    };
    let flag = name.to_owned();
    let nanoseconds = match parse_go_duration(&word.text) {
        Some(0) => return Ok(None),
        Some(nanoseconds) => nanoseconds,
        None => {
            let expected = "a duration, as in 1m30s";
            let value = word.text;
            return Err(Wrong::at(
                word.location,
                Fault::FlagValue {
                    flag,
                    value,
                    expected,
                },
            ));
        }
    };
    match u64::try_from(nanoseconds) {
        Ok(nanoseconds) if nanoseconds >= 1_000_000 => Ok(Some(Duration::from_nanos(nanoseconds))),
        _ => {
            let value = word.text;
            Err(Wrong::at(word.location, Fault::TooShort { flag, value }))
        }
    }
}

fn retries(flags: &mut Flags) -> Result<Option<u32>, Wrong> {
    let Some(word) = flags.text("retries") else {
        return Ok(None);
    };
    match word.text.parse::<u32>() {
        Ok(retries) if retries <= i32::MAX as u32 => {
            Ok(Some(retries).filter(|retries| *retries > 0))
        }
        _ => Err(Wrong::at(
            word.location,
            Fault::FlagValue {
                flag: "retries".into(),
                value: word.text,
                expected: "a number of at least 0",
            },
        )),
    }
}
