//! The options of ps(1), in its three styles, and podman's words: which columns they ask for. Pure.

use super::columns::{Column, USER_AS_UID, of_podman, of_ps};
use crate::cli::error::{CliError, Kind};

/// The columns, each with its heading.
pub struct Selection {
    pub columns: Vec<(Column, String)>,
    /// There is a line of headings.
    pub headed: bool,
}

impl Selection {
    pub fn headings(&self) -> Vec<String> {
        let columns = self.columns.iter();
        columns.map(|(_, heading)| heading.clone()).collect()
    }

    /// Nothing: docker's `-ef`.
    pub fn parse(words: &[String]) -> Result<Selection, CliError> {
        if let Some(columns) = podman(words) {
            return Ok(Selection {
                columns,
                headed: true,
            });
        }
        let mut asked = Asked::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            asked.option(word, &mut words)?;
        }
        let columns = match (asked.listed, asked.style) {
            (listed, _) if !listed.is_empty() => listed,
            (_, Some(style)) => style.columns(),
            (_, None) => Style::Full.columns(),
        };
        let headed = !asked.headless && columns.iter().any(|(_, heading)| !heading.is_empty());
        Ok(Selection { columns, headed })
    }
}

/// Words that are all podman's, with blanks or commas between them.
fn podman(words: &[String]) -> Option<Vec<(Column, String)>> {
    let names = words.iter().flat_map(|word| word.split(','));
    let columns: Option<Vec<_>> = names
        .map(|name| of_podman(name).map(|column| (column, column.heading.to_owned())))
        .collect();
    columns.filter(|columns| !columns.is_empty())
}

/// A set of columns that a letter stands for.
#[derive(Clone, Copy)]
enum Style {
    /// `-e` alone.
    Short,
    /// `-f`
    Full,
    /// `-j`
    Jobs,
    /// `u`
    User,
    /// `ax` alone
    Plain,
}

impl Style {
    fn columns(self) -> Vec<(Column, String)> {
        let names: &[&str] = match self {
            Style::Short => &["pid", "tname", "time", "comm"],
            Style::Full => &["uid", "pid", "ppid", "c", "stime", "tname", "time", "cmd"],
            Style::Jobs => &["pid", "pgid", "sid", "tname", "time", "comm"],
            Style::User => &[
                "user", "pid", "%cpu", "%mem", "vsz", "rss", "tname", "stat", "start", "bsdtime",
                "command",
            ],
            Style::Plain => &["pid", "tname", "stat", "bsdtime", "command"],
        };
        let column = |name: &&str| match (self, *name) {
            (Style::Full, "uid") => USER_AS_UID,
            _ => of_ps(name).expect("every style names columns that there are"),
        };
        let heading = |name: &&str, column: Column| match (self, *name) {
            // `-e` and `-j` name the executable and call it what `-f` calls its arguments.
            (Style::Short | Style::Jobs, "comm") => "CMD".to_owned(),
            _ => column.heading.to_owned(),
        };
        names
            .iter()
            .map(|name| (column(name), heading(name, column(name))))
            .collect()
    }
}

#[derive(Default)]
struct Asked {
    listed: Vec<(Column, String)>,
    style: Option<Style>,
    headless: bool,
}

impl Asked {
    fn option<'a>(
        &mut self,
        word: &str,
        rest: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), CliError> {
        match word.strip_prefix("--") {
            Some("no-headers" | "no-heading" | "no-headings") => self.headless = true,
            Some("format") => return self.list(rest.next()),
            Some(long) => match long.strip_prefix("format=") {
                Some(list) => return self.list(Some(list)),
                None => return Err(unsupported(word)),
            },
            None => return self.letters(word, rest),
        }
        Ok(())
    }

    /// `-ef`, `aux`, `-opid`, `-o pid`.
    fn letters<'a>(
        &mut self,
        word: &str,
        rest: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), CliError> {
        let (letters, dashed) = match word.strip_prefix('-') {
            Some(letters) => (letters, true),
            None => (word, false),
        };
        for (at, letter) in letters.char_indices() {
            match (dashed, letter) {
                // Every process of the container is shown anyway, and lines are never cut.
                (true, 'e' | 'A' | 'a' | 'd' | 'x') => {
                    self.style.get_or_insert(Style::Short);
                }
                (false, 'a' | 'x') => {
                    self.style.get_or_insert(Style::Plain);
                }
                (_, 'w') => {}
                (true, 'f') => self.style = Some(Style::Full),
                (true, 'j') => self.style = Some(Style::Jobs),
                (false, 'u') => self.style = Some(Style::User),
                (_, 'o') => {
                    let attached = &letters[at + 1..];
                    return match attached.is_empty() {
                        true => self.list(rest.next()),
                        false => self.list(Some(attached)),
                    };
                }
                _ => return Err(unsupported(word)),
            }
        }
        match letters.is_empty() {
            true => Err(unsupported(word)),
            false => Ok(()),
        }
    }

    /// `pid,user args`, `pid=NUMBER,args=`: after a `=` the rest is one heading, as POSIX has it, unless commas follow it.
    fn list(&mut self, list: Option<impl AsRef<str>>) -> Result<(), CliError> {
        let list = list.ok_or_else(|| {
            CliError::usage("format specification must follow -o")
                .hint("bryo top CONTAINER -o pid,args")
        })?;
        for name in list
            .as_ref()
            .split([',', ' '])
            .filter(|name| !name.is_empty())
        {
            let (name, heading) = match name.split_once('=') {
                Some((name, heading)) => (name, Some(heading)),
                None => (name, None),
            };
            let column = of_ps(name).ok_or_else(|| {
                CliError::new(
                    Kind::Failed,
                    format!("unknown user-defined format specifier {name:?}"),
                )
            })?;
            let heading = heading.unwrap_or(column.heading).to_owned();
            self.listed.push((column, heading));
        }
        Ok(())
    }
}

fn unsupported(word: &str) -> CliError {
    CliError::usage(format!("top: unsupported option of ps: {word:?}"))
        .hint("bryo top CONTAINER -o pid,user,args")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headings(words: &[&str]) -> Result<String, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let selection = Selection::parse(&words).map_err(|error| error.message)?;
        let headings = selection.columns.into_iter().map(|(_, heading)| heading);
        Ok(headings.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn options_of_ps_are_understood_in_each_style() {
        for (words, shown) in [
            (&[][..], "UID PID PPID C STIME TTY TIME CMD"),
            (&["-ef"], "UID PID PPID C STIME TTY TIME CMD"),
            (&["-e"], "PID TTY TIME CMD"),
            (
                &["aux"],
                "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND",
            ),
            (&["ax"], "PID TTY STAT TIME COMMAND"),
            (&["-o", "pid,comm"], "PID COMMAND"),
            (&["-opid", "-o", "user args"], "PID USER COMMAND"),
            (&["-eo", "pid=NUMBER,%cpu"], "NUMBER %CPU"),
            (&["axo", "pid,stat"], "PID STAT"),
            (&["--format=pid"], "PID"),
            (&["pid", "user", "args"], "PID USER COMMAND"),
            (&["pid,huser", "%C"], "PID HUSER %CPU"),
        ] {
            assert_eq!(headings(words).as_deref(), Ok(shown), "{words:?}");
        }
    }

    #[test]
    fn headings_can_be_left_out() {
        let headed = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            Selection::parse(&words)
                .map(|selection| selection.headed)
                .ok()
        };
        assert_eq!(headed(&["-o", "pid="]), Some(false));
        assert_eq!(headed(&["-o", "pid=,args"]), Some(true));
        assert_eq!(headed(&["-ef", "--no-headers"]), Some(false));
    }

    #[test]
    fn what_is_none_is_refused() {
        for words in [
            &["-Z"][..],
            &["-"],
            &["--forest"],
            &["auxf"],
            &["-o"],
            &["-o", "nothing"],
        ] {
            assert!(headings(words).is_err(), "{words:?}");
        }
    }
}
