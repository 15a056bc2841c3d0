//! Heredocs: which words of a line begin one, and the lines up to its terminator. Never runs or expands one.

use super::ast::{Command, Heredoc, Run, RunBody};
use super::error::Fault;
use super::lines::Lines;

impl Heredoc {
    /// What it says; the tabs that `<<-` takes away are gone.
    pub fn content(&self) -> String {
        match self.strip_tabs {
            false => self.raw.clone(),
            true => self
                .raw
                .split_inclusive('\n')
                .map(|line| line.trim_start_matches('\t'))
                .collect(),
        }
    }

    /// `<<NAME`, if that is what the word is; digits in front name a descriptor, which only a shell understands.
    pub fn begun_by(word: &str) -> Option<Heredoc> {
        let rest = word.trim_start_matches(|character: char| character.is_ascii_digit());
        let rest = rest.strip_prefix("<<")?;
        let (strip_tabs, rest) = match rest.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if rest.contains('<') {
            return None;
        }
        let name = without_quotes(rest)?;
        (!name.is_empty()).then(|| Heredoc {
            expand: name == rest,
            name,
            raw: String::new(),
            strip_tabs,
        })
    }
}

impl Run {
    /// What is executed. A heredoc alone is the script; others are given back to the shell as they were.
    pub fn body(&self) -> RunBody {
        let text = match &self.command {
            Command::Exec(arguments) => return RunBody::Exec(arguments.clone()),
            Command::Shell(text) => text,
        };
        let Some(first) = self.heredocs.first() else {
            return RunBody::Shell(text.clone());
        };
        if Heredoc::begun_by(text).is_none() {
            let bodies = self
                .heredocs
                .iter()
                .map(|heredoc| format!("\n{}{}", heredoc.raw, heredoc.name));
            return RunBody::Shell(text.clone() + &bodies.collect::<String>());
        }
        let content = first.content();
        match first.raw.starts_with("#!") {
            true => RunBody::Script {
                name: first.name.clone(),
                content,
            },
            false => RunBody::Shell(content),
        }
    }

    /// The first line of a heredoc that is the whole command, as BuildKit shows it behind the instruction.
    pub fn summary(&self) -> Option<String> {
        let Command::Shell(text) = &self.command else {
            return None;
        };
        Heredoc::begun_by(text)?;
        let mut lines = self.heredocs.first()?.raw.trim().lines();
        let first = lines.next().unwrap_or_default();
        let more = if lines.next().is_some() { "..." } else { "" };
        Some(format!("{first}{more}"))
    }
}

/// The heredocs that the arguments of an instruction begin, in order.
pub fn begun_in(text: &str) -> Vec<Heredoc> {
    if !text.contains("<<") {
        return Vec::new();
    }
    let words = shell_words(text).unwrap_or_default();
    words
        .iter()
        .filter_map(|word| Heredoc::begun_by(word))
        .collect()
}

/// Reads the bodies; tells the last line.
pub fn read_bodies(
    heredocs: &mut [Heredoc],
    lines: &mut Lines,
    mut last: usize,
) -> Result<usize, Fault> {
    for heredoc in heredocs {
        loop {
            let Some((number, line)) = lines.raw() else {
                return Err(Fault::Unterminated {
                    name: heredoc.name.clone(),
                });
            };
            last = number;
            let end = line.trim_end_matches(['\r', '\n']);
            let end = match heredoc.strip_tabs {
                true => end.trim_start_matches('\t'),
                false => end,
            };
            if end == heredoc.name {
                break;
            }
            heredoc.raw.push_str(line);
        }
    }
    Ok(last)
}

/// The word without its quotes and escapes; `None`: a quote is not closed, or it is several words.
fn without_quotes(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\'' => loop {
                match characters.next()? {
                    '\'' => break,
                    inner => out.push(inner),
                }
            },
            '"' => loop {
                match characters.next()? {
                    '"' => break,
                    '\\' => match characters.next()? {
                        escaped @ ('"' | '$' | '\\') => out.push(escaped),
                        other => out.extend(['\\', other]),
                    },
                    inner => out.push(inner),
                }
            },
            '\\' => out.extend(characters.next()),
            blank if blank.is_whitespace() => return None,
            other => out.push(other),
        }
    }
    Some(out)
}

/// Words of a shell's line as they are written; `None`: a quote or brace is not closed, so that nothing can be told of the line.
fn shell_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut characters = text.chars().peekable();
    let mut braces = 0usize;
    while let Some(character) = characters.next() {
        match character {
            '\'' => {
                word.push(character);
                loop {
                    let inner = characters.next()?;
                    word.push(inner);
                    if inner == '\'' {
                        break;
                    }
                }
            }
            '"' => {
                word.push(character);
                loop {
                    let inner = characters.next()?;
                    word.push(inner);
                    match inner {
                        '"' => break,
                        '\\' => word.push(characters.next()?),
                        _ => {}
                    }
                }
            }
            '\\' => {
                word.push(character);
                word.extend(characters.next());
            }
            '$' if characters.peek() == Some(&'{') => {
                word.push(character);
                word.extend(characters.next());
                braces += 1;
            }
            '}' if braces > 0 => {
                word.push(character);
                braces -= 1;
            }
            blank if blank.is_whitespace() && braces == 0 => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            other => word.push(other),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    (braces == 0).then_some(words)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_that_begin_a_heredoc() {
        let begun = |word| {
            Heredoc::begun_by(word)
                .map(|heredoc| (heredoc.name, heredoc.expand, heredoc.strip_tabs))
        };
        assert_eq!(begun("<<EOF"), Some(("EOF".into(), true, false)));
        assert_eq!(begun("<<-EOF"), Some(("EOF".into(), true, true)));
        assert_eq!(begun("<<\"EOF\""), Some(("EOF".into(), false, false)));
        assert_eq!(begun("<<-'E F'"), Some(("E F".into(), false, true)));
        assert_eq!(begun("3<<E\\OF"), Some(("EOF".into(), false, false)));
        assert_eq!(begun("<<E'O'F"), Some(("EOF".into(), false, false)));
        for not in [
            "<<<EOF", "<<", "<<-", "<EOF", "a<<EOF", "<<'EOF", "<<''", "EOF",
        ] {
            assert_eq!(begun(not), None, "{not}");
        }
    }

    #[test]
    fn quoted_ones_are_text() {
        let names = |text| {
            begun_in(text)
                .into_iter()
                .map(|heredoc| heredoc.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names("cat <<A && cat <<B"), ["A", "B"]);
        assert_eq!(names("echo '<<A' \"<<B\" $((1<<2)) \\<<C"), [""; 0]);
        assert_eq!(names("cat <<A # it's"), [""; 0]);
        assert_eq!(names("cat ${X:-<<A} <<B"), ["B"]);
    }

    #[test]
    fn tabs_are_taken_away_from_lines_alone() {
        let mut heredoc = Heredoc::begun_by("<<-A").unwrap();
        heredoc.raw = "\t\ta\tb\n \tc\n".into();
        assert_eq!(heredoc.content(), "a\tb\n \tc\n");
    }
}
