//! `format` of a bake file: Go's verbs with their flags, width and precision. Pure.

use super::functions::Given;
use crate::build::verb::{Verb, digits};

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
        let verb = Verb::read(&mut letters)?;
        if letters.next_if_eq(&'[').is_some() {
            let number = digits(&mut letters)?;
            let closed = letters.next_if_eq(&']').is_some();
            let number = number.filter(|number| closed && *number > 0);
            place = number.ok_or("%[ needs the number of an argument")? - 1;
        }
        let letter = letters.next().unwrap_or(' ');
        if letter == '%' {
            made.push('%');
            continue;
        }
        place += 1;
        last = last.max(place);
        made.push_str(&apply(&verb, letter, place, given)?);
    }
    match given.count() > last + 1 {
        true => Err(format!("too many arguments: {last} are used")),
        false => Ok(made),
    }
}

fn apply(verb: &Verb, letter: char, place: usize, given: &Given<'_>) -> Result<String, String> {
    Ok(match letter {
        'v' if verb.sharp => verb.padded(&json(given, place)?),
        's' | 'v' => {
            // A list or an object has no text of its own.
            let text = given.text(place).or_else(|_| json(given, place))?;
            verb.padded(&verb.cut(&text))
        }
        'q' => {
            let text = verb.cut(&given.text(place)?);
            verb.padded(&serde_json::Value::from(text).to_string())
        }
        't' => verb.padded(&given.truth(place)?.to_string()),
        'd' | 'b' | 'o' | 'x' | 'X' => {
            let number = given.number(place)?.trunc();
            verb.whole(letter, number < 0.0, number.abs() as u128)
        }
        'f' | 'e' | 'E' => verb.fraction(letter, given.number(place)?),
        other => return Err(format!("%{other} is not known")),
    })
}

fn json(given: &Given<'_>, place: usize) -> Result<String, String> {
    serde_json::to_string(given.at(place)?).map_err(|error| error.to_string())
}
