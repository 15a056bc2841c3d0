//! What can be wrong with a Dockerfile, with its place and the nearest right word. Prints nothing.

use super::expand::ExpandFault;
use super::source::{Location, Source};

/// The message begins with `file:line:col`, so that editors jump there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {fault}")]
pub struct DockerfileError {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The text of that line.
    pub text: String,
    pub fault: Box<Fault>,
}

impl DockerfileError {
    /// The line and a caret below the place, for a terminal; long lines are cut around it.
    pub fn excerpt(&self) -> String {
        excerpt(self.line, self.column, &self.text)
    }
}

const BEFORE: usize = 80;
const AFTER: usize = 80;

/// Of an instruction with more lines the first ones are shown.
const LINES_MAX: usize = 40;

/// The same with all lines of the instruction that is there.
pub fn excerpt_of_all(source: &Source, place: Location) -> String {
    let end = place.last_line.min(place.line + LINES_MAX - 1);
    let width = end.to_string().len();
    let first = excerpt_of(place.line, width, place.column, source.line(place.line));
    let further = (place.line + 1..=end).map(|line| {
        let text: String = source.line(line).chars().take(BEFORE + AFTER).collect();
        format!("\n  {line:width$} | {text}").trim_end().to_owned()
    });
    let cut = format!("\n  {:width$} | …", "");
    let rest = (end < place.last_line).then_some(cut);
    std::iter::once(first).chain(further).chain(rest).collect()
}

/// `  12 | FORM debian` and a caret below the column.
pub fn excerpt(line: usize, column: usize, text: &str) -> String {
    excerpt_of(line, 0, column, text)
}

fn excerpt_of(line: usize, width: usize, column: usize, text: &str) -> String {
    let number = format!("{line:width$}");
    let skipped = column.saturating_sub(BEFORE);
    let shown = text.chars().skip(skipped).take(BEFORE + AFTER);
    // A tab stays one in the line below, so that the caret stands where the terminal puts the character.
    let indent: String = text
        .chars()
        .skip(skipped)
        .take(column.saturating_sub(1 + skipped))
        .map(|character| if character == '\t' { '\t' } else { ' ' })
        .collect();
    format!(
        "  {number} | {}\n  {} | {indent}^",
        shown.collect::<String>(),
        " ".repeat(number.len())
    )
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the file is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("file with no instructions")]
    Empty,
    #[error("no FROM: the file has no stage to build")]
    NoStage,
    #[error("{keyword} before the first FROM: there only ARG may stand")]
    OutsideStage { keyword: String },
    #[error("unknown instruction {word}, did you mean {nearest}?")]
    UnknownInstruction { word: String, nearest: String },
    #[error("unknown flag --{flag} for {keyword}, did you mean --{nearest}?")]
    UnknownFlag {
        keyword: String,
        flag: String,
        nearest: String,
    },
    #[error("unknown flag --{flag}: {keyword} has none")]
    NoFlags { keyword: String, flag: String },
    #[error("--{flag} is given twice")]
    FlagTwice { flag: String },
    #[error("--{flag} needs a value: --{flag}=VALUE")]
    FlagWithoutValue { flag: String },
    #[error("--{flag}: wrong value {value:?}, expected {expected}")]
    FlagValue {
        flag: String,
        value: String,
        expected: &'static str,
    },
    #[error("--{flag}: unknown value {value:?}, did you mean {nearest}?")]
    FlagWord {
        flag: String,
        value: String,
        nearest: String,
    },
    #[error("--{flag}: {value:?} is less than 1ms")]
    TooShort { flag: String, value: String },
    #[error("{flag} does not expand variables: give the stage or image a name with FROM … AS")]
    NoVariables { flag: String },

    #[error("{keyword} requires {count}")]
    Arguments {
        keyword: String,
        count: &'static str,
    },
    #[error("{keyword} requires its arguments as a JSON array")]
    NotJson { keyword: String },
    #[error("a JSON array of arguments must be comprised of strings only")]
    JsonNotStrings,
    #[error("{keyword}: {word:?} has no =, expected NAME=VALUE")]
    NoEquals { keyword: String, word: String },
    #[error("{keyword} names can not be blank")]
    BlankName { keyword: String },
    #[error("{keyword} can not have an empty path")]
    EmptyPath { keyword: String },
    #[error("FROM requires either one or three arguments: FROM IMAGE [AS NAME]")]
    From,
    #[error("unknown word {word:?}, did you mean AS?")]
    FromWord { word: String },
    #[error(
        "invalid name for build stage: {name:?}, expected a letter, then letters, digits, '-', '_' or '.'"
    )]
    StageName { name: String },
    #[error("{keyword} isn't allowed as an ONBUILD trigger")]
    Trigger { keyword: String },
    #[error("unknown type {word:?} in HEALTHCHECK, did you mean {nearest}?")]
    HealthcheckType { word: String, nearest: String },
    #[error("HEALTHCHECK NONE takes no {what}")]
    HealthcheckNone { what: &'static str },

    #[error("unterminated heredoc: no line {name:?}")]
    Unterminated { name: String },
    #[error("{keyword} cannot accept a heredoc as a destination")]
    HeredocDestination { keyword: String },

    #[error("only one {name} parser directive can be used")]
    DirectiveTwice { name: String },
    #[error("invalid escape {value:?}, expected \\ or `")]
    Escape { value: String },
    #[error("check: unknown option {option:?}, did you mean {nearest}?")]
    CheckOption { option: String, nearest: String },
    #[error("check: error={value:?}, expected true or false")]
    CheckError { value: String },

    #[error("--{flag}: a quote is not closed, or text follows it")]
    Quote { flag: &'static str },
    #[error("unknown mount option {key:?}, did you mean {nearest}?")]
    MountKey { key: String, nearest: String },
    #[error("mount option {key} is not for type={kind}")]
    MountKeyOfType { key: String, kind: &'static str },
    #[error("mount option {key} needs a value: {key}=VALUE")]
    MountNoValue { key: String },
    #[error("unsupported mount type {value:?}, did you mean {nearest}?")]
    MountType { value: String, nearest: String },
    #[error("unsupported sharing value {value:?}, did you mean {nearest}?")]
    Sharing { value: String, nearest: String },
    #[error("mount option {key}: wrong value {value:?}, expected {expected}")]
    MountValue {
        key: String,
        value: String,
        expected: &'static str,
    },
    #[error("a {kind} mount needs {option}")]
    MountNeeds {
        kind: &'static str,
        option: &'static str,
    },
    #[error("a secret mount can not have both source and id")]
    SecretTwoNames,
    #[error("unknown device option {key:?}, did you mean {nearest}?")]
    DeviceKey { key: String, nearest: String },
    #[error("a device needs a name: --device=VENDOR/CLASS=NAME")]
    DeviceName,

    #[error("{0}")]
    Expand(ExpandFault),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_is_shown_with_all_its_lines() {
        let text = format!("{}RUN a \\\n\n  b\nRUN c\n", "\n".repeat(7));
        let mut place = Location::at(8, 1);
        place.last_line = 10;
        let shown = excerpt_of_all(&Source::new("-", &text), place);
        assert_eq!(shown, "   8 | RUN a \\\n     | ^\n   9 |\n  10 |   b");
        let long = Source::new("-", &"x\n".repeat(200));
        place.last_line = 100;
        let shown = excerpt_of_all(&long, place);
        assert_eq!(shown.lines().count(), LINES_MAX + 2);
        assert!(shown.ends_with("\n  47 | x\n     | …"), "{shown}");
    }

    #[test]
    fn the_caret_stands_below_the_column() {
        assert_eq!(excerpt(12, 3, "\tRUN"), "  12 | \tRUN\n     | \t ^");
        let long = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let cut = excerpt(1, 501, &long);
        let (line, caret) = cut.split_once('\n').unwrap_or_default();
        assert_eq!(line.find('X'), caret.find('^'));
        assert!(line.len() < 200);
    }
}
