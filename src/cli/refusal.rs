//! Words that the parser did not understand: docker's words for them, and one line for what docker has and bryo has not.
//! The table of those (`tests/cli_rows.tsv`) is looked at only here, so that a normal start pays nothing for it.

mod dashed;

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::commands::definition;
use super::error::{CliError, Kind};
use crate::config::parse_bool;

/// `command <tab> flag or (command) <tab> state`, for everything docker's help shows.
const ROWS: &str = include_str!("../../tests/cli_rows.tsv");

/// What to do instead of the command.
#[derive(Debug)]
pub enum Answer {
    /// Help was asked for.
    Show(String),
    /// The same command in words that the parser knows (`--rm=true`).
    Again(Vec<OsString>),
}

pub fn answer(error: &clap::Error, words: Vec<OsString>) -> Result<Answer, CliError> {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        // the parser's suggestions come with the likeliest last
        Some(ContextValue::Strings(texts)) => texts.last().cloned(),
        Some(ContextValue::StyledStr(text)) => Some(text.to_string()),
        _ => None,
    };
    let argument = context(ContextKind::InvalidArg).unwrap_or_default();
    let value = context(ContextKind::InvalidValue).unwrap_or_default();
    let path = match error.kind() {
        // `-H x ps`: the flag is bryo's own, not that of `ps`
        ErrorKind::UnknownArgument => path(before(&words, &argument)),
        _ => path(&words),
    };
    let no_value = error.kind() == ErrorKind::InvalidValue && value.is_empty();
    if (no_value || error.kind() == ErrorKind::UnknownArgument)
        && let Some(words) = dashed::joined(&words, &definition())
    {
        return Ok(Answer::Again(words));
    }
    match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::MissingSubcommand => Ok(Answer::Show(error.render().to_string())),
        ErrorKind::DisplayVersion => Ok(Answer::Show(super::version::line() + "\n")),
        ErrorKind::UnknownArgument if argument.starts_with("-=") => short_boolean(words),
        ErrorKind::UnknownArgument if argument == "-h" => Ok(Answer::Show(help(&path))),
        ErrorKind::UnknownArgument
            if argument.starts_with('-') && !is_no_flag(&words, &argument) =>
        {
            Err(unknown_flag(
                &path,
                &argument,
                context(ContextKind::SuggestedArg),
            ))
        }
        ErrorKind::UnknownArgument => Err(too_many(&path, &argument)),
        ErrorKind::InvalidSubcommand => Err(unknown_command(
            &path,
            &words,
            context(ContextKind::SuggestedSubcommand),
        )),
        ErrorKind::TooFewValues => Err(missing(&path)),
        ErrorKind::TooManyValues => written_out_boolean(&argument, &value, words),
        ErrorKind::MissingRequiredArgument => Err(missing(&path)),
        ErrorKind::InvalidValue if value.is_empty() => Err(CliError::usage(format!(
            "flag needs an argument: {}",
            flag_name(&argument)
        ))),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => Err(CliError::usage(format!(
            "invalid argument {value:?} for {:?} flag",
            flag_name(&argument)
        ))),
        ErrorKind::InvalidUtf8 => Err(CliError::usage("an argument is no valid UTF-8")),
        _ => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            Err(CliError::usage(first.trim_start_matches("error: ")))
        }
    }
}

/// `--publish <PORT>` is `--publish`.
fn flag_name(argument: &str) -> &str {
    argument.split([' ', '=', '[']).next().unwrap_or(argument)
}

fn unknown_flag(path: &[String], argument: &str, suggested: Option<String>) -> CliError {
    let flag = flag_name(argument);
    if let Some(refused) = refused(path, flag) {
        return refused;
    }
    let error = match flag.strip_prefix("--") {
        Some(_) => CliError::usage(format!("unknown flag: {flag}")),
        None => {
            let letter = flag.chars().nth(1).unwrap_or('-');
            CliError::usage(format!("unknown shorthand flag: {letter:?} in {flag}"))
        }
    };
    let command = full_name(path);
    match suggested {
        Some(near) => error.hint(format!("{command} {}", flag_name(&near))),
        None => error.hint(format!("{command} --help")),
    }
}

fn unknown_command(path: &[String], words: &[OsString], suggested: Option<String>) -> CliError {
    let flags: Vec<&str> = words
        .iter()
        .filter_map(|word| word.to_str())
        .filter(|word| word.starts_with('-') && word.len() > 1)
        .map(flag_name)
        .collect();
    // `compose up -d` has a row; of `compose -f x up` only `compose -f` has, of `plugin install` only `plugin`
    for length in (1..=path.len()).rev() {
        let path = &path[..length];
        let flag = flags.iter().find_map(|flag| {
            let letter = flag.get(..2).filter(|letter| *letter != "--");
            refused(path, flag).or_else(|| refused(path, letter?))
        });
        if let Some(refused) = flag.or_else(|| refused(path, "(command)")) {
            return refused;
        }
    }
    let topic = match path {
        [help] if help == "help" => words.get(2).and_then(|word| word.to_str()),
        _ => None,
    };
    if let Some(topic) = topic {
        let error = CliError::new(Kind::Failed, format!("unknown help topic: {topic}"));
        return error.hint("bryo --help");
    }
    let error = CliError::new(
        Kind::Failed,
        format!("unknown command: {}", full_name(path)),
    );
    match suggested {
        Some(near) => error.hint(full_name(
            &[&path[..path.len().saturating_sub(1)], &[near]].concat(),
        )),
        None => error.hint("bryo --help"),
    }
}

/// The one line, if docker has this flag or command and bryo has not.
fn refused(path: &[String], flag: &str) -> Option<CliError> {
    let name = match path {
        [] => ".".to_owned(),
        path => path.join(" "),
    };
    let state = state(&name, flag)?;
    let subject = match (path, flag) {
        ([], flag) => flag.to_owned(),
        (_, "(command)") => name,
        (_, flag) => format!("{name} {flag}"),
    };
    let reason = match state.split_once(' ') {
        Some(("refused", reason)) => reason,
        None if state == "later" => "not yet supported by bryo",
        _ => return None,
    };
    Some(CliError::new(
        Kind::Unsupported,
        format!("{subject}: {reason}"),
    ))
}

fn state(command: &str, flag: &str) -> Option<&'static str> {
    ROWS.lines().find_map(|line| {
        let mut columns = line.split('\t');
        let fits = columns.next() == Some(command) && columns.next() == Some(flag);
        fits.then(|| columns.next()).flatten()
    })
}

/// The words up to the one that was not understood.
fn before<'a>(words: &'a [OsString], argument: &str) -> &'a [OsString] {
    let flag = flag_name(argument);
    let letter = flag.chars().nth(1).filter(|_| !flag.starts_with("--"));
    let is_it = |word: &OsString| {
        let word = word.to_str().unwrap_or_default();
        let cluster =
            |letter| word.starts_with('-') && !word.starts_with("--") && word.contains(letter);
        flag_name(word) == flag || letter.is_some_and(cluster)
    };
    let at = words.iter().skip(1).position(is_it);
    at.map_or(words, |at| &words[..=at])
}

/// Behind `--` nothing is one.
fn is_no_flag(words: &[OsString], argument: &str) -> bool {
    before(words, argument).iter().any(|word| word == "--")
}

/// `-d=false`: the parser takes `=` for the next letter of the cluster.
fn short_boolean(words: Vec<OsString>) -> Result<Answer, CliError> {
    let found = words.iter().skip(1).find_map(|word| {
        let (letters, value) = word.to_str()?.strip_prefix('-')?.split_once('=')?;
        let short = !letters.is_empty() && letters.chars().all(|c| c.is_ascii_alphabetic());
        short.then(|| {
            (
                format!("-{}", &letters[letters.len() - 1..]),
                value.to_owned(),
            )
        })
    });
    match found {
        Some((flag, value)) => written_out_boolean(&flag, &value, words),
        None => Err(CliError::usage("a flag without a name")),
    }
}

/// Go's flags take `--rm=true`; the parser's take no value, so it is written the other way and parsed again.
fn written_out_boolean(
    argument: &str,
    value: &str,
    mut words: Vec<OsString>,
) -> Result<Answer, CliError> {
    let Some(on) = parse_bool(value) else {
        return Err(CliError::usage(format!(
            "invalid argument {value:?} for {argument:?} flag: neither true nor false"
        )));
    };
    let names: Vec<&str> = argument
        .split([',', ' '])
        .filter(|name| name.starts_with('-'))
        .collect();
    let written = |word: &OsString| {
        let word = word.to_str()?.strip_suffix(value)?.strip_suffix('=')?;
        let long = names.contains(&word);
        // the last letter of `-it=false`
        let cluster = !word.starts_with("--")
            && names
                .iter()
                .any(|name| name.len() == 2 && word.ends_with(&name[1..]));
        (long || cluster).then(|| word.to_owned())
    };
    let found = words
        .iter()
        .enumerate()
        .find_map(|(at, word)| Some((at, written(word)?)));
    let Some((at, word)) = found else {
        return Err(CliError::usage(format!(
            "invalid argument {value:?} for {argument:?} flag"
        )));
    };
    match (on, word.starts_with("--"), word.len()) {
        (true, _, _) => words[at] = word.into(),
        (false, false, 3..) => words[at] = word[..word.len() - 1].into(),
        (false, _, _) => {
            words.remove(at);
        }
    }
    Ok(Answer::Again(words))
}

/// `ps -h`: docker still takes it for `--help` where it means nothing else.
fn help(path: &[String]) -> String {
    let mut tree = definition();
    let found = path
        .iter()
        .try_fold(&mut tree, |place, word| place.find_subcommand_mut(word));
    found.map_or(String::new(), |command| command.render_help().to_string())
}

fn missing(path: &[String]) -> CliError {
    let tree = definition();
    let found = path
        .iter()
        .try_fold(&tree, |place, word| place.find_subcommand(word));
    let all: Vec<&clap::Arg> =
        found.map_or(Vec::new(), |command| command.get_positionals().collect());
    let required = all.iter().copied().filter(|arg| arg.is_required_set());
    let wanted: Vec<&clap::Arg> = match required.collect::<Vec<_>>() {
        // Required unless a flag stands for it.
        required if required.is_empty() => all,
        required => required,
    };
    let several = |arg: &&clap::Arg| arg.get_num_args().is_some_and(|n| n.max_values() > 1);
    let least = if wanted.iter().any(several) {
        "at least "
    } else {
        ""
    };
    let command = full_name(path);
    // `exec CONTAINER COMMAND...` is one list of words that is never shorter than two.
    let least_of = |arg: &&clap::Arg| arg.get_num_args().map_or(1, |n| n.min_values().max(1));
    let count = wanted.iter().map(least_of).sum::<usize>().max(1);
    let plural = if count == 1 { "" } else { "s" };
    CliError::new(
        Kind::Failed,
        format!("\"{command}\" requires {least}{count} argument{plural}"),
    )
    .hint(format!("{command} --help"))
}

fn too_many(path: &[String], argument: &str) -> CliError {
    let command = full_name(path);
    CliError::new(
        Kind::Failed,
        format!("\"{command}\" does not take the argument {argument:?}"),
    )
    .hint(format!("{command} --help"))
}

fn full_name(path: &[String]) -> String {
    let words = std::iter::once("bryo").chain(path.iter().map(String::as_str));
    words.collect::<Vec<_>>().join(" ")
}

/// The command's words, `["container", "ls"]`, aliases as the name that the rows use. Empty: none was given.
fn path(words: &[OsString]) -> Vec<String> {
    const WITH_VALUE: [&str; 10] = [
        "--config",
        "-l",
        "--log-level",
        "-H",
        "--host",
        "-c",
        "--context",
        "--tlscacert",
        "--tlscert",
        "--tlskey",
    ];
    let mut words = words.iter().skip(1).filter_map(|word| word.to_str());
    let mut path: Vec<String> = Vec::new();
    let tree = definition();
    let mut place = Some(&tree);
    while let Some(word) = words.next() {
        if word.starts_with('-') {
            if path.is_empty() && WITH_VALUE.contains(&word) {
                words.next();
                continue;
            }
            if path.is_empty() || is_group(&path) {
                continue;
            }
            break;
        }
        if !path.is_empty() && !is_group(&path) {
            break;
        }
        place = place.and_then(|place| place.find_subcommand(word));
        path.push(place.map_or(word, |found| found.get_name()).to_owned());
    }
    path
}

/// True for `compose`, `network`: other words follow in the table.
fn is_group(path: &[String]) -> bool {
    let prefix = path.join(" ") + " ";
    ROWS.lines().any(|line| {
        let command = line.split('\t').next().unwrap_or_default();
        command.starts_with(&prefix)
    })
}
