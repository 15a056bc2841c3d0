//! The rows of a history in the words that docker has for them. Pure.

use std::fmt::Write;

use super::dockerfile::Healthcheck;
use crate::engine::request::go_duration;

/// A `COPY` or `ADD`, its variables replaced.
pub struct Copied<'a> {
    pub is_add: bool,
    pub parents: bool,
    pub chown: Option<&'a str>,
    pub chmod: Option<&'a str>,
    pub sources: &'a [String],
    /// Names of files whose content stands in the Dockerfile.
    pub inline: Vec<&'a str>,
    pub destination: &'a str,
}

impl Copied<'_> {
    /// `COPY --chown=1 a <<b /to/ # buildkit`: nothing of where files come from, nor of how they are taken.
    pub fn row(&self) -> String {
        let mut row = if self.is_add { "ADD" } else { "COPY" }.to_owned();
        if self.parents {
            row += " --parents";
        }
        for (flag, value) in [("chown", self.chown), ("chmod", self.chmod)] {
            if let Some(value) = value {
                row += &format!(" --{flag}={value}");
            }
        }
        for source in self.sources {
            row += &format!(" {source}");
        }
        for name in &self.inline {
            row += &format!(" <<{name}");
        }
        row + &format!(" {} # buildkit", self.destination)
    }
}

/// `HEALTHCHECK &{["CMD" "true"] "5s" "0s" "0s" "0s" '\x02'}`
pub fn healthcheck(check: &Healthcheck, test: &[String]) -> String {
    let (times, retries) = match check {
        Healthcheck::None => ([None; 4], None),
        Healthcheck::Check {
            interval,
            timeout,
            start_period,
            start_interval,
            retries,
            ..
        } => (
            [*interval, *timeout, *start_period, *start_interval],
            *retries,
        ),
    };
    let mut row = format!("HEALTHCHECK &{{{}", list(test));
    for time in times {
        row += &format!(" \"{}\"", go_duration(time.unwrap_or_default()));
    }
    row + &format!(" '{}'}}", rune(retries.unwrap_or_default()))
}

/// `["nginx" "-g" "daemon off;"]`
pub fn list(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", quoted.join(" "))
}

/// Go's `%q` of a text.
fn quoted(word: &str) -> String {
    let mut quoted = String::from("\"");
    for character in word.chars() {
        escape(character, '"', &mut quoted);
    }
    quoted + "\""
}

/// Go's `%q` of a number, without its quotes: the character that it is of.
fn rune(number: u32) -> String {
    let mut shown = String::new();
    escape(
        char::from_u32(number).unwrap_or('\u{fffd}'),
        '\'',
        &mut shown,
    );
    shown
}

fn escape(character: char, quote: char, to: &mut String) {
    let written = match character {
        '\u{7}' => write!(to, "\\a"),
        '\u{8}' => write!(to, "\\b"),
        '\u{c}' => write!(to, "\\f"),
        '\n' => write!(to, "\\n"),
        '\r' => write!(to, "\\r"),
        '\t' => write!(to, "\\t"),
        '\u{b}' => write!(to, "\\v"),
        '\\' => write!(to, "\\\\"),
        _ if character == quote => write!(to, "\\{quote}"),
        '\0'..='\u{1f}' | '\u{7f}' => write!(to, "\\x{:02x}", u32::from(character)),
        '\u{80}'..='\u{9f}' => write!(to, "\\u{:04x}", u32::from(character)),
        _ => write!(to, "{character}"),
    };
    written.expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_numbers_are_written_as_go_does() {
        assert_eq!(quoted("a\"b\\\n\u{7}\u{1}é"), "\"a\\\"b\\\\\\n\\a\\x01é\"");
        for (number, shown) in [
            (0, "\\x00"),
            (2, "\\x02"),
            (7, "\\a"),
            (39, "\\'"),
            (65, "A"),
        ] {
            assert_eq!(rune(number), shown);
        }
    }
}
