//! The patterns of `${x#p}`, `${x%p}` and `${x/p/r}`: `*`, `?` and `\` before those; there are no brackets. Never a path.
//!
//! A set of positions in the pattern goes through the text once, so that no pattern is slow: `a*a*a*…` would be for one that tries
//! and goes back.

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\\{0} is no escape: only *, ?, }}, / and \\ can be")]
pub struct PatternError(pub String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// Any text within a line.
    Star,
    /// Any character but a line's end.
    Any,
    One(char),
}

pub struct Pattern {
    tokens: Vec<Token>,
}

/// Positions in the pattern: what matched so far could go on at each.
struct Positions<'a> {
    tokens: &'a [Token],
    now: Vec<bool>,
    next: Vec<bool>,
}

impl<'a> Positions<'a> {
    fn new(tokens: &'a [Token]) -> Positions<'a> {
        Positions {
            tokens,
            now: vec![false; tokens.len() + 1],
            next: vec![false; tokens.len() + 1],
        }
    }

    fn begin(&mut self) {
        self.now[0] = true;
        skip_stars(self.tokens, &mut self.now);
    }

    fn accepts(&self) -> bool {
        self.now[self.tokens.len()]
    }

    /// Whether anything can still match.
    fn step(&mut self, character: char) -> bool {
        self.next.fill(false);
        for (index, token) in self.tokens.iter().enumerate() {
            if !self.now[index] {
                continue;
            }
            match token {
                Token::Star if character != '\n' => self.next[index] = true,
                Token::Any if character != '\n' => self.next[index + 1] = true,
                Token::One(one) if *one == character => self.next[index + 1] = true,
                _ => {}
            }
        }
        skip_stars(self.tokens, &mut self.next);
        std::mem::swap(&mut self.now, &mut self.next);
        self.now.contains(&true)
    }
}

/// A star may be nothing.
fn skip_stars(tokens: &[Token], positions: &mut [bool]) {
    for (index, token) in tokens.iter().enumerate() {
        if positions[index] && *token == Token::Star {
            positions[index + 1] = true;
        }
    }
}

impl Pattern {
    pub fn new(text: &str) -> Result<Pattern, PatternError> {
        let mut tokens = Vec::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let token = match character {
                '*' => Token::Star,
                '?' => Token::Any,
                '\\' => match characters.next() {
                    Some(escaped @ ('*' | '?' | '\\' | '}' | '/')) => Token::One(escaped),
                    other => return Err(PatternError(other.map(String::from).unwrap_or_default())),
                },
                other => Token::One(other),
            };
            // Two stars are one.
            if token != Token::Star || tokens.last() != Some(&Token::Star) {
                tokens.push(token);
            }
        }
        Ok(Pattern { tokens })
    }

    pub fn without_prefix<'v>(&self, value: &'v str, longest: bool) -> &'v str {
        let end = match_end(&self.tokens, value.chars(), longest);
        &value[end.unwrap_or(0)..]
    }

    pub fn without_suffix(&self, value: &str, longest: bool) -> String {
        let tokens: Vec<Token> = self.tokens.iter().rev().copied().collect();
        let length = match_end(&tokens, value.chars().rev(), longest).unwrap_or(0);
        value[..value.len() - length].to_owned()
    }

    /// The first match, or every one, always the longest from where it begins. `None`: longer than the limit.
    pub fn replace(
        &self,
        value: &str,
        replacement: &str,
        all: bool,
        limit: usize,
    ) -> Option<String> {
        let begins = self.begins(value);
        let mut out = String::new();
        let mut copied = 0;
        // Where the last match ended: an empty one right there is not another.
        let mut last_end = None;
        let mut at = 0;
        while at <= value.len() {
            let end = match begins[at] {
                true => match_end(&self.tokens, value[at..].chars(), true).map(|end| at + end),
                false => None,
            };
            match end {
                Some(end) if end > at || last_end != Some(at) => {
                    out.push_str(&value[copied..at]);
                    out.push_str(replacement);
                    if out.len() > limit {
                        return None;
                    }
                    copied = end;
                    last_end = Some(end);
                    if !all {
                        break;
                    }
                    at = match end > at {
                        true => end,
                        false => after(value, at),
                    };
                }
                _ => at = after(value, at),
            }
        }
        out.push_str(&value[copied..]);
        Some(out)
    }

    /// For each byte of the text, and its end, whether a match begins there: the pattern backwards, ending anywhere.
    fn begins(&self, value: &str) -> Vec<bool> {
        let tokens: Vec<Token> = self.tokens.iter().rev().copied().collect();
        let mut begins = vec![false; value.len() + 1];
        let mut positions = Positions::new(&tokens);
        positions.begin();
        begins[value.len()] = positions.accepts();
        for (at, character) in value.char_indices().rev() {
            positions.step(character);
            positions.begin();
            begins[at] = positions.accepts();
        }
        begins
    }
}

fn after(value: &str, at: usize) -> usize {
    at + value[at..].chars().next().map_or(1, char::len_utf8)
}

/// How many bytes from the beginning match: as few or as many as can be.
fn match_end(
    tokens: &[Token],
    characters: impl Iterator<Item = char>,
    longest: bool,
) -> Option<usize> {
    let mut positions = Positions::new(tokens);
    positions.begin();
    let mut end = positions.accepts().then_some(0);
    let mut at = 0;
    for character in characters {
        if end.is_some() && !longest {
            break;
        }
        if !positions.step(character) {
            break;
        }
        at += character.len_utf8();
        if positions.accepts() {
            end = Some(at);
        }
    }
    end
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text).unwrap()
    }

    #[test]
    fn prefixes_and_suffixes_are_as_short_or_long_as_can_be() {
        assert_eq!(pattern("*/").without_prefix("a/b/c", false), "b/c");
        assert_eq!(pattern("*/").without_prefix("a/b/c", true), "c");
        assert_eq!(pattern("/*").without_suffix("a/b/c", false), "a/b");
        assert_eq!(pattern("/*").without_suffix("a/b/c", true), "a");
        assert_eq!(pattern("?").without_prefix("äb", false), "b");
        assert_eq!(pattern("x").without_prefix("ab", true), "ab");
        assert_eq!(pattern("\\*").without_suffix("a*", true), "a");
        assert_eq!(pattern("*").without_prefix("a\nb", true), "\nb");
    }

    #[test]
    fn matches_are_replaced_once_or_everywhere() {
        let all = |text: &str, value, with| pattern(text).replace(value, with, true, 100).unwrap();
        assert_eq!(all("a", "banana", "o"), "bonono");
        assert_eq!(
            pattern("a").replace("banana", "o", false, 9).unwrap(),
            "bonana"
        );
        assert_eq!(all("b*b", "abcbd", ""), "ad");
        assert_eq!(all("*", "abc", "x"), "x");
        assert_eq!(all("", "ab", "-"), "-a-b-");
        assert_eq!(all("?", "äö", "x"), "xx");
        assert_eq!(pattern("a").replace("aaaa", "0123456789", true, 20), None);
    }

    #[test]
    fn other_escapes_are_refused() {
        assert_eq!(Pattern::new("\\d").err(), Some(PatternError("d".into())));
        assert_eq!(Pattern::new("\\").err(), Some(PatternError(String::new())));
    }

    #[test]
    fn no_pattern_is_slow() {
        let value = "a".repeat(20_000);
        let text = "a*".repeat(100) + "b";
        assert_eq!(
            pattern(&text).replace(&value, "", true, 1 << 20),
            Some(value)
        );
    }
}
