//! The hidden verb that the shells ask what a word of a command line can be: commands and flags by their definition, names by the
//! store. It never fails: a shell that gets nothing completes file names.

use std::ffi::OsString;

use clap::Command;
use clap_complete::engine::complete;

use super::Invocation;
use super::commands::definition;
use super::error::CliError;

mod names;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Which of the words is to be completed, the first of all being 0
    #[arg(value_name = "INDEX")]
    index: usize,
    /// The command line as far as it has been typed
    #[arg(value_name = "WORD", last = true)]
    words: Vec<OsString>,
}

/// One candidate a line, and what it is behind a tab.
pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let typed = args.words.get(1..args.index).unwrap_or_default().to_vec();
    let mut command = names::known_to(definition(), &typed);
    let here = std::env::current_dir().ok();
    if is_a_programs_own(&command, &typed) {
        return Ok(0);
    }
    let word = args.words.get(args.index).cloned().unwrap_or_default();
    let wants_flags = word.as_encoded_bytes().starts_with(b"-");
    let found = complete(&mut command, args.words, args.index, here.as_deref());
    let mut text = String::new();
    for candidate in found.unwrap_or_default() {
        let value = candidate.get_value().to_string_lossy();
        // Flags are for whoever has begun one, as in docker's.
        if value.starts_with('-') && !wants_flags {
            continue;
        }
        text += &value;
        let help = candidate.get_help().map(ToString::to_string);
        if let Some(line) = help.as_deref().and_then(|help| help.lines().next()) {
            text.push('\t');
            text += line;
        }
        text.push('\n');
    }
    invocation.ui.result(&text)?;
    Ok(0)
}

/// Whether what follows these words belongs to a program: that begins behind the first word that is no flag and no flag's value, where a
/// command ends in such words.
fn is_a_programs_own(command: &Command, words: &[OsString]) -> bool {
    let mut command = command;
    let mut words = words.iter().filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        match word.strip_prefix('-').filter(|flag| !flag.is_empty()) {
            Some(flag) => {
                if wants_another(command, flag) {
                    words.next();
                }
            }
            None => match command.find_subcommand(word) {
                Some(found) => command = found,
                None => {
                    let mut all = command.get_positionals();
                    return all.any(clap::Arg::is_trailing_var_arg_set);
                }
            },
        }
    }
    false
}

/// Whether the value of a flag, without its first dash, is the next word.
fn wants_another(command: &Command, flag: &str) -> bool {
    let takes = |found: &clap::Arg| {
        let values = found.get_num_args();
        values.is_some_and(|values| values.takes_values()) && !found.is_require_equals_set()
    };
    if let Some(long) = flag.strip_prefix('-') {
        let is = |found: &&clap::Arg| {
            let mut aliases = found.get_all_aliases().into_iter().flatten();
            found.get_long() == Some(long) || aliases.any(|alias| alias == long)
        };
        return command.get_arguments().find(is).is_some_and(takes);
    }
    // Of several letters the first that takes a value takes the rest.
    let of = |letter: char| {
        command
            .get_arguments()
            .find(|found| found.get_short() == Some(letter))
    };
    let first = flag
        .chars()
        .position(|letter| of(letter).is_some_and(takes));
    first.is_some_and(|first| first + 1 == flag.chars().count())
}
