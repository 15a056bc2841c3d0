//! Values that begin with a dash: Go's flags take the next word whatever it is, clap's do not. Writes `--name -x` as `--name=-x`;
//! says nothing about what is wrong with a command line.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

/// The same command line with such values joined to their flags; `None` where there are none.
pub fn joined(words: &[OsString], tree: &Command) -> Option<Vec<OsString>> {
    let mut written: Vec<OsString> = Vec::with_capacity(words.len());
    let mut place = tree;
    let mut changed = false;
    let mut rest = words.iter();
    written.extend(rest.next().cloned());
    while let Some(word) = rest.next() {
        let text = word.to_string_lossy();
        written.push(word.clone());
        if !is_dashed(word) {
            match place.find_subcommand(text.as_ref()) {
                Some(inner) => place = inner,
                None if ends_flags(place) => break,
                None => {}
            }
            continue;
        }
        if text == "--" {
            break;
        }
        if !wants_next(place, &text) {
            continue;
        }
        let Some(value) = rest.next() else { break };
        match (is_dashed(value), written.last_mut()) {
            (true, Some(flag)) => {
                flag.push("=");
                flag.push(value);
                changed = true;
            }
            _ => written.push(value.clone()),
        }
    }
    written.extend(rest.cloned());
    changed.then_some(written)
}

fn is_dashed(word: &OsStr) -> bool {
    let bytes = word.as_encoded_bytes();
    bytes.len() > 1 && bytes[0] == b'-'
}

/// The first word that is no flag is followed by another program's.
fn ends_flags(place: &Command) -> bool {
    place.get_positionals().any(Arg::is_trailing_var_arg_set)
}

/// Whether the value of this flag, or of the last letter of this cluster, is the next word.
fn wants_next(place: &Command, word: &str) -> bool {
    let takes_value = |arg: &Arg| {
        let at_least = arg.get_num_args().map_or(1, |count| count.min_values());
        arg.get_action().takes_values() && at_least > 0 && !arg.is_require_equals_set()
    };
    if let Some(long) = word.strip_prefix("--") {
        let is_it = |arg: &&Arg| {
            arg.get_long() == Some(long)
                || arg.get_all_aliases().is_some_and(|all| all.contains(&long))
        };
        return place.get_arguments().find(is_it).is_some_and(takes_value);
    }
    let letters: Vec<char> = word.chars().skip(1).collect();
    let first = letters.iter().position(|letter| {
        let mut arguments = place.get_arguments();
        arguments.any(|arg| arg.get_short() == Some(*letter) && takes_value(arg))
    });
    first.is_some_and(|at| at + 1 == letters.len())
}
