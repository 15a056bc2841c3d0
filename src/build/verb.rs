//! The verbs of Go's fmt package, which bake files and templates write: flags, width, precision, and numbers with them. Pure.

use std::iter::Peekable;
use std::str::Chars;

/// Widths end here: beyond it nobody wants blanks.
pub const WIDEST: usize = 4096;

/// What stands between `%` and its letter.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verb {
    pub minus: bool,
    pub plus: bool,
    pub space: bool,
    pub zero: bool,
    pub sharp: bool,
    pub width: usize,
    pub precision: Option<usize>,
}

impl Verb {
    pub fn read(letters: &mut Peekable<Chars<'_>>) -> Result<Verb, String> {
        let mut verb = Verb::default();
        while let Some(flag) = letters.next_if(|letter| "-+ 0#".contains(*letter)) {
            match flag {
                '-' => verb.minus = true,
                '+' => verb.plus = true,
                ' ' => verb.space = true,
                '0' => verb.zero = true,
                _ => verb.sharp = true,
            }
        }
        verb.width = digits(letters)?.unwrap_or(0);
        if letters.next_if_eq(&'.').is_some() {
            verb.precision = Some(digits(letters)?.unwrap_or(0));
        }
        Ok(verb)
    }

    pub fn cut(&self, text: &str) -> String {
        let length = self.precision.unwrap_or(usize::MAX);
        text.chars().take(length).collect()
    }

    pub fn padded(&self, text: &str) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        match self.minus {
            true => format!("{text}{:missing$}", ""),
            false => format!("{:missing$}{text}", ""),
        }
    }

    /// `d`, `b`, `o`, `x` or `X`.
    pub fn whole(&self, letter: char, is_negative: bool, size: u128) -> String {
        let (prefix, digits) = match letter {
            'x' => ("0x", format!("{size:x}")),
            'X' => ("0X", format!("{size:X}")),
            'o' => ("0", format!("{size:o}")),
            'b' => ("0b", format!("{size:b}")),
            _ => ("", size.to_string()),
        };
        let prefix = if self.sharp { prefix } else { "" };
        self.signed(is_negative, prefix, &digits)
    }

    /// `f` or `F`, `e` or `E`.
    pub fn fraction(&self, letter: char, number: f64) -> String {
        let (size, precision) = (number.abs(), self.precision.unwrap_or(6));
        let digits = match letter {
            'e' | 'E' => exponent(size, precision, letter),
            _ => format!("{size:.precision$}"),
        };
        self.signed(number < 0.0, "", &digits)
    }

    /// One that has its digits already.
    pub fn padded_number(&self, text: &str) -> String {
        let digits = text.trim_start_matches('-');
        self.signed(digits.len() < text.len(), "", digits)
    }

    fn signed(&self, is_negative: bool, prefix: &str, digits: &str) -> String {
        let sign = match (is_negative, self.plus, self.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        if self.zero && !self.minus {
            let taken = sign.len() + digits.len();
            let zeros = self.width.saturating_sub(taken);
            return format!("{sign}{prefix}{}{digits}", "0".repeat(zeros));
        }
        self.padded(&format!("{sign}{prefix}{digits}"))
    }
}

pub fn digits(letters: &mut Peekable<Chars<'_>>) -> Result<Option<usize>, String> {
    let mut text = String::new();
    while let Some(digit) = letters.next_if(char::is_ascii_digit) {
        text.push(digit);
    }
    match text.parse() {
        _ if text.is_empty() => Ok(None),
        Ok(number) if number <= WIDEST => Ok(Some(number)),
        _ => Err(format!("width out of range: {text}")),
    }
}

/// `1.500000e+02`
fn exponent(size: f64, precision: usize, letter: char) -> String {
    let text = format!("{size:.precision$e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    let sign = if power < 0 { '-' } else { '+' };
    format!("{digits}{letter}{sign}{:02}", power.abs())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn verb(text: &str) -> (Verb, char) {
        let mut letters = text.chars().peekable();
        let verb = Verb::read(&mut letters).unwrap();
        (verb, letters.next().unwrap())
    }

    /// Written by Go's fmt.Printf.
    #[test]
    fn numbers_are_go_s() {
        let whole = |text: &str, number: i64| {
            let (verb, letter) = verb(text);
            verb.whole(letter, number < 0, number.unsigned_abs().into())
        };
        assert_eq!(whole("+5d", 7), "   +7");
        assert_eq!(whole("-5d", -7), "-7   ");
        assert_eq!(whole("05d", -7), "-0007");
        assert_eq!(whole("-05d", 7), "7    ");
        assert_eq!(whole(" d", 7), " 7");
        assert_eq!(whole("#x", -255), "-0xff");
        assert_eq!(whole("#06X", 255), "0X0000FF");
        assert_eq!(whole("#o", 8), "010");
        assert_eq!(whole("b", 5), "101");
        let fraction = |text: &str, number: f64| {
            let (verb, letter) = verb(text);
            verb.fraction(letter, number)
        };
        assert_eq!(fraction("f", 1.5), "1.500000");
        assert_eq!(fraction("+8.2f", 1.5), "   +1.50");
        assert_eq!(fraction("e", 150.0), "1.500000e+02");
        assert_eq!(fraction(".1E", -0.015), "-1.5E-02");
    }

    #[test]
    fn what_is_too_wide_is_refused() {
        let read = |text: &str| Verb::read(&mut text.chars().peekable());
        assert!(read("4097d").is_err());
        assert!(read("1.99999999999999999999f").is_err());
    }
}
