//! Names before the lines of several containers, in docker's colours. Where the lines come from is for others.

use super::Globals;
use crate::cli::ui::Ui;

/// docker's, in the order in which containers get them.
const COLOURS: [&str; 10] = [
    "36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1",
];

/// Who speaks, in the order of arrival.
#[derive(Debug, Default)]
pub struct Prefixes {
    pub colours: bool,
    names: Vec<String>,
    /// Of the longest name.
    width: usize,
}

impl Globals {
    /// Whether escape sequences are for standard output.
    pub fn colours(&self, ui: &Ui) -> bool {
        let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let said = std::env::var("COMPOSE_ANSI").ok();
        let said = said.filter(|when| !when.is_empty() && self.ansi == "auto");
        match said.as_deref().unwrap_or(&self.ansi) {
            _ if forbidden => false,
            "always" => true,
            "never" => false,
            // Also the default, "auto".
            _ => ui.stdout_is_terminal,
        }
    }
}

impl Prefixes {
    pub fn new(colours: bool) -> Prefixes {
        Prefixes {
            colours,
            ..Prefixes::default()
        }
    }

    /// Its place, counted from 0.
    pub fn add(&mut self, name: &str) -> usize {
        self.make_room(name);
        self.names.push(name.to_owned());
        self.names.len() - 1
    }

    pub fn place_of(&mut self, name: &str) -> usize {
        let known = self.names.iter().position(|known| known == name);
        known.unwrap_or_else(|| self.add(name))
    }

    /// It may speak later, and has the room from now on.
    pub fn make_room(&mut self, name: &str) {
        self.width = self.width.max(name.chars().count());
    }

    /// `web-1  | `
    pub fn before_line(&self, place: usize) -> String {
        let (name, width) = (&self.names[place], self.width + 1);
        self.painted(place, &format!("{name:<width$} | "))
    }

    /// `web-1 exited with code 0`
    pub fn remark(&self, place: usize, text: &str) -> String {
        self.painted(place, &format!("{} {text}", self.names[place]))
    }

    fn painted(&self, place: usize, text: &str) -> String {
        match self.colours {
            true => format!("\x1b[{}m{text}\x1b[0m", COLOURS[place % COLOURS.len()]),
            false => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_width_and_the_eleventh_the_first_s_colour() {
        let mut names = Prefixes::new(true);
        for number in 1..=11 {
            names.add(&format!("a-{number}"));
        }
        assert_eq!(names.before_line(0), "\x1b[36ma-1   | \x1b[0m");
        assert_eq!(names.before_line(9), "\x1b[34;1ma-10  | \x1b[0m");
        assert_eq!(names.remark(10, "ended"), "\x1b[36ma-11 ended\x1b[0m");
        assert_eq!(names.place_of("a-2"), 1);
        names.colours = false;
        names.make_room("longer");
        assert_eq!(names.place_of("b"), 11);
        assert_eq!(names.before_line(11), "b       | ");
    }
}
