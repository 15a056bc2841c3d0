//! `format` of a bake file: Go's verbs with their flags, width and precision. Pure.

use std::iter::Peekable;
use std::str::Chars;

use super::functions::Given;

/// What stands between `%` and its letter.
#[derive(Default)]
struct Shape {
    minus: bool,
    plus: bool,
    space: bool,
    zero: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

/// Beyond this nobody wants blanks.
const WIDTH_MAX: usize = 1000;

/// The pattern, which is the first that is given, with each verb replaced by what comes behind.
pub(super) fn format(given: &Given<'_>) -> Result<String, String> {
    let pattern = given.text(0)?;
    let mut made = String::new();
    let (mut place, mut last) = (0, 0);
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            made.push(letter);
            continue;
        }
        let mut shape = Shape::default();
        while let Some(flag) = letters.next_if(|letter| "-+ 0#".contains(*letter)) {
            match flag {
                '-' => shape.minus = true,
                '+' => shape.plus = true,
                ' ' => shape.space = true,
                '0' => shape.zero = true,
                _ => shape.sharp = true,
            }
        }
        shape.width = digits(&mut letters).unwrap_or(0);
        if letters.next_if_eq(&'.').is_some() {
            shape.precision = Some(digits(&mut letters).unwrap_or(0));
        }
        if letters.next_if_eq(&'[').is_some() {
            let number = digits(&mut letters);
            let closed = letters.next_if_eq(&']').is_some();
            let number = number.filter(|number| closed && *number > 0);
            place = number.ok_or("%[ needs the number of an argument")? - 1;
        }
        let verb = letters.next().unwrap_or(' ');
        if verb == '%' {
            made.push('%');
            continue;
        }
        place += 1;
        last = last.max(place);
        made.push_str(&shape.verb(verb, place, given)?);
    }
    match given.count() > last + 1 {
        true => Err(format!("too many arguments: {last} are used")),
        false => Ok(made),
    }
}

fn digits(letters: &mut Peekable<Chars<'_>>) -> Option<usize> {
    let mut number = None;
    while let Some(digit) = letters.next_if(char::is_ascii_digit) {
        let more = number.unwrap_or(0) * 10 + digit.to_digit(10).map_or(0, |digit| digit as usize);
        number = Some(more.min(WIDTH_MAX));
    }
    number
}

impl Shape {
    fn verb(&self, verb: char, place: usize, given: &Given<'_>) -> Result<String, String> {
        Ok(match verb {
            'v' if self.sharp => self.padded(json(given, place)?),
            's' | 'v' => {
                // A list or an object has no text of its own.
                let text = given.text(place).or_else(|_| json(given, place))?;
                self.padded(self.cut(text))
            }
            'q' => {
                let text = self.cut(given.text(place)?);
                self.padded(serde_json::Value::from(text).to_string())
            }
            't' => self.padded(given.truth(place)?.to_string()),
            'd' | 'b' | 'o' | 'x' | 'X' => {
                let number = given.number(place)?.trunc();
                let whole = number.abs() as u128;
                let digits = match verb {
                    'd' => whole.to_string(),
                    'b' => format!("{whole:b}"),
                    'o' => format!("{whole:o}"),
                    'x' => format!("{whole:x}"),
                    _ => format!("{whole:X}"),
                };
                self.number(number < 0.0, digits)
            }
            'f' | 'e' | 'E' => {
                let number = given.number(place)?;
                let (size, precision) = (number.abs(), self.precision.unwrap_or(6));
                let digits = match verb {
                    'f' => format!("{size:.precision$}"),
                    _ => exponent(size, precision, verb),
                };
                self.number(number < 0.0, digits)
            }
            other => return Err(format!("%{other} is not known")),
        })
    }

    fn cut(&self, text: String) -> String {
        match self.precision {
            Some(length) => text.chars().take(length).collect(),
            None => text,
        }
    }

    fn padded(&self, text: String) -> String {
        let blanks = " ".repeat(self.width.saturating_sub(text.chars().count()));
        match self.minus {
            true => text + &blanks,
            false => blanks + &text,
        }
    }

    fn number(&self, is_negative: bool, digits: String) -> String {
        let sign = match (is_negative, self.plus, self.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        if self.zero && !self.minus {
            let zeros = self.width.saturating_sub(sign.len() + digits.len());
            return format!("{sign}{}{digits}", "0".repeat(zeros));
        }
        self.padded(format!("{sign}{digits}"))
    }
}

fn json(given: &Given<'_>, place: usize) -> Result<String, String> {
    serde_json::to_string(given.at(place)?).map_err(|error| error.to_string())
}

/// `1.500000e+02`
fn exponent(size: f64, precision: usize, letter: char) -> String {
    let text = format!("{size:.precision$e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    let sign = if power < 0 { '-' } else { '+' };
    format!("{digits}{letter}{sign}{:02}", power.abs())
}
