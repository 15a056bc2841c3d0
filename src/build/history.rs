//! The rows of a history in the words that docker has for them. Pure.

use std::fmt::Write;
use std::time::Duration;

use super::dockerfile::Healthcheck;

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

/// `1h0m5s`, `1.5s`, `300ms`
fn go_duration(time: Duration) -> String {
    let nanoseconds = time.as_nanos();
    let fraction = |value: u128, unit: u128| {
        let digits = unit.ilog10() as usize;
        let text = format!("{}.{:0digits$}", value / unit, value % unit);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match nanoseconds {
        0 => return "0s".to_owned(),
        1..1_000 => return format!("{nanoseconds}ns"),
        1_000..1_000_000 => return fraction(nanoseconds, 1_000) + "µs",
        1_000_000..1_000_000_000 => return fraction(nanoseconds, 1_000_000) + "ms",
        _ => {}
    }
    let minute = 60_000_000_000;
    let (hours, minutes) = (nanoseconds / minute / 60, nanoseconds / minute % 60);
    let seconds = fraction(nanoseconds % minute, 1_000_000_000) + "s";
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_numbers_and_times_are_written_as_go_does() {
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
        for (nanoseconds, shown) in [
            (0, "0s"),
            (5, "5ns"),
            (1_500, "1.5µs"),
            (300_000_000, "300ms"),
            (5_000_000_000, "5s"),
            (60_000_000_000, "1m0s"),
            (3_601_500_000_000, "1h0m1.5s"),
        ] {
            assert_eq!(go_duration(Duration::from_nanos(nanoseconds)), shown);
        }
    }
}
