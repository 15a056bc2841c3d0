//! Words of a Dockerfile's line, quotes and variables in them, as docker's shell lexer reads them. Pure.

/// Splits at blanks outside of quotes; quotes and backslashes stay for [`expand`].
pub fn words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            (' ' | '\t', None) => {
                if !word.is_empty() {
                    all.push(std::mem::take(&mut word));
                }
                continue;
            }
            ('\\', None | Some('"')) => {
                word.push(letter);
                word.extend(letters.next());
                continue;
            }
            ('"' | '\'', None) => quote = Some(letter),
            (_, Some(open)) if open == letter => quote = None,
            _ => {}
        }
        word.push(letter);
    }
    if !word.is_empty() {
        all.push(word);
    }
    all
}

/// A word without its quotes, variables replaced: `$A`, `${A}`, `${A:-default}`, `${A:+other}`; not between single quotes.
pub fn expand(word: &str, env: &[(String, String)]) -> String {
    let letters: Vec<char> = word.chars().collect();
    let mut out = String::new();
    let mut quote = None;
    let mut at = 0;
    while let Some(letter) = letters.get(at).copied() {
        at += 1;
        match (letter, quote) {
            ('\'' | '"', None) => quote = Some(letter),
            (_, Some(open)) if open == letter => quote = None,
            ('\\', None) => {
                out.extend(letters.get(at));
                at += 1;
            }
            ('\\', Some('"')) => match letters.get(at) {
                Some(next @ ('"' | '$' | '\\')) => {
                    out.push(*next);
                    at += 1;
                }
                _ => out.push('\\'),
            },
            ('$', None | Some('"')) => out.push_str(&variable(&letters, &mut at, env)),
            _ => out.push(letter),
        }
    }
    out
}

/// What stands behind a `$`.
fn variable(letters: &[char], at: &mut usize, env: &[(String, String)]) -> String {
    let value = |name: &str| {
        let found = env.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    };
    if letters.get(*at) != Some(&'{') {
        let rest = letters[*at..].iter();
        let name: String = rest.take_while(|letter| is_name(**letter)).collect();
        *at += name.len();
        return match name.is_empty() {
            true => "$".to_owned(),
            false => value(&name).unwrap_or_default(),
        };
    }
    let rest = &letters[*at + 1..];
    let Some(end) = rest.iter().position(|letter| *letter == '}') else {
        return "$".to_owned();
    };
    let inner: String = rest[..end].iter().collect();
    *at += end + 2;
    let name: String = inner
        .chars()
        .take_while(|letter| is_name(*letter))
        .collect();
    let found = value(&name).filter(|value| !value.is_empty());
    match inner[name.len()..].split_at_checked(2) {
        Some((":-", default)) => found.unwrap_or_else(|| expand(default, env)),
        Some((":+", other)) => found.map_or_else(String::new, |_| expand(other, env)),
        _ => found.unwrap_or_default(),
    }
}

fn is_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_variables_mean_what_they_do_in_a_dockerfile() {
        assert_eq!(
            words("a=b  'c d'=e\\ f \"g h\""),
            ["a=b", "'c d'=e\\ f", "\"g h\""]
        );
        let env = [
            ("A".to_owned(), "1".to_owned()),
            ("E".to_owned(), String::new()),
        ];
        for (word, expected) in [
            ("$A-${A}", "1-1"),
            ("'$A'", "$A"),
            ("\"$A x\"", "1 x"),
            ("\\$A", "$A"),
            ("\"\\$A\\n\"", "$A\\n"),
            ("${E:-d}${B:-$A}", "d1"),
            ("${A:+y}${B:+n}", "y"),
            ("$", "$"),
            ("${A", "${A"),
            ("é\\ b", "é b"),
        ] {
            assert_eq!(expand(word, &env), expected, "{word}");
        }
    }
}
