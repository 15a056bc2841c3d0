//! A command's text → its words, as a shell takes it apart and as docker does it for compose files.

/// Quotes and backslashes as in a shell; nothing is replaced in them.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            // A backslash before a line's end joins the lines.
            '\\' => match characters.next() {
                Some('\n') => {}
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err("invalid command line string".to_owned()),
            },
            '\'' | '"' => {
                let made = word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some(end) if end == c => break,
                        Some('\\') if c == '"' => match characters.next() {
                            Some('\n') => {}
                            Some(escaped @ ('"' | '\\' | '$' | '`')) => made.push(escaped),
                            Some(other) => made.extend(['\\', other]),
                            None => return Err("invalid command line string".to_owned()),
                        },
                        Some(other) => made.push(other),
                        None => return Err("invalid command line string".to_owned()),
                    }
                }
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_command_is_taken_apart_as_a_shell_does() {
        let text = "a  'b c' \"d \\\"e\\\" $x\" f\\ g '' h'i'j\n\"k\\n\"";
        let expected = ["a", "b c", "d \"e\" $x", "f g", "", "hij", "k\\n"];
        assert_eq!(split(text).expect("it is good"), expected);
        for open in ["'a", "a \"b", "a \\"] {
            split(open).expect_err("it is open");
        }
    }
}
