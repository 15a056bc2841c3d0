//! Arguments split into words, with the place of each; quotes, escapes and variables stay in them. Expands nothing.

/// The byte where a word begins, and the word.
pub type Split = Vec<(usize, String)>;

const BLANKS: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// At blanks, whatever quotes there are: `FROM`, `COPY`, `EXPOSE`, `VOLUME`.
pub fn at_blanks(text: &str) -> Split {
    text.split(BLANKS)
        .filter(|word| !word.is_empty())
        .map(|word| {
            (
                word.as_ptr() as usize - text.as_ptr() as usize,
                word.to_owned(),
            )
        })
        .collect()
}

/// The first word, and what follows the blanks after it, with where that begins.
pub fn first(text: &str) -> (&str, Option<(usize, &str)>) {
    let Some(end) = text.find(BLANKS) else {
        return (text, None);
    };
    let rest = text[end..].trim_start_matches(BLANKS);
    (&text[..end], Some((text.len() - rest.len(), rest)))
}

/// At blanks that are neither quoted nor escaped: `ENV`, `LABEL`, `ARG`.
pub fn unquoted(text: &str, escape: char) -> Split {
    let mut words = Vec::new();
    let mut word: Option<(usize, String)> = None;
    let mut quote = None;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let (_, text) = word.get_or_insert_with(|| (at, String::new()));
        match quote {
            None if matches!(character, '"' | '\'') => quote = Some(character),
            Some(open) if open == character => quote = None,
            _ => {}
        }
        // Nothing is escaped between single quotes; an escape at the very end is dropped.
        if character == escape && quote != Some('\'') {
            let Some((_, escaped)) = characters.next() else {
                break;
            };
            text.push(character);
            text.push(escaped);
        } else {
            text.push(character);
        }
    }
    words.extend(word.filter(|(_, text)| !text.is_empty()));
    words
}

/// A comma-separated record with `"` around fields, as in `--mount`; `None`: a quote that is not closed or not at the edge.
pub fn record(text: &str) -> Option<Split> {
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let Some(quoted) = rest.strip_prefix('"') else {
            let end = rest.find(',').unwrap_or(rest.len());
            if rest[..end].contains('"') {
                return None;
            }
            fields.push((at, rest[..end].to_owned()));
            match end < rest.len() {
                true => at += end + 1,
                false => return Some(fields),
            }
            continue;
        };
        let mut field = String::new();
        let mut begin = 0;
        let end = loop {
            let end = begin + quoted[begin..].find('"')?;
            field.push_str(&quoted[begin..end]);
            if !quoted[end + 1..].starts_with('"') {
                break end;
            }
            field.push('"');
            begin = end + 2;
        };
        fields.push((at + 1, field));
        at += end + 2;
        match text[at..].chars().next() {
            None => return Some(fields),
            Some(',') => at += 1,
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn strings(split: Split) -> Vec<String> {
        split.into_iter().map(|(_, word)| word).collect()
    }

    #[test]
    fn quotes_and_escapes_keep_words_together() {
        let words = |text| strings(unquoted(text, '\\'));
        assert_eq!(
            words(r#"a=1 b="x y" c='p q' d=r\ s"#),
            ["a=1", r#"b="x y""#, "c='p q'", r"d=r\ s"]
        );
        assert_eq!(words(r#"a="x\" y" b"#), [r#"a="x\" y""#, "b"]);
        assert_eq!(words(r"a='x\' b"), [r"a='x\'", "b"]);
        assert_eq!(words(r#""" ''"#), [r#""""#, "''"]);
        assert_eq!(words("a=\"open b"), ["a=\"open b"]);
        assert_eq!(words(r"a\"), ["a"]);
        assert_eq!(words(r"\"), [""; 0]);
        assert_eq!(strings(unquoted("a=`\" b c", '`')), ["a=`\"", "b", "c"]);
        assert_eq!(
            unquoted("  a  bä c", '\\')
                .iter()
                .map(|(at, _)| *at)
                .collect::<Vec<_>>(),
            [2, 5, 9]
        );
    }

    #[test]
    fn blanks_split_everything_else() {
        assert_eq!(
            at_blanks("a  \"b c\""),
            [(0, "a".into()), (3, "\"b".into()), (6, "c\"".into())]
        );
        assert_eq!(first("a \t b c"), ("a", Some((4, "b c"))));
        assert_eq!(first("a"), ("a", None));
    }

    #[test]
    fn records_have_quoted_fields() {
        let fields = |text| record(text).map(strings);
        assert_eq!(fields("a=1,b").unwrap(), ["a=1", "b"]);
        assert_eq!(fields(r#""a=1,2",b"#).unwrap(), ["a=1,2", "b"]);
        assert_eq!(fields(r#""a""b""#).unwrap(), [r#"a"b"#]);
        assert_eq!(fields("").unwrap(), [""]);
        assert_eq!(fields("a,").unwrap(), ["a", ""]);
        for bad in [r#"a"b"#, r#""a"#, r#""a"b"#] {
            assert_eq!(fields(bad), None, "{bad}");
        }
    }
}
