//! `${VARIABLE}`s in the texts of compose files and of `.env` files: parts, and what becomes of them. Asks for values; has none.

/// Of variables in the words of variables.
const NESTED: usize = 32;

/// What interpolation asks about variables.
#[derive(Clone, Copy)]
pub struct Variables<'a> {
    pub lookup: &'a dyn Fn(&str) -> Option<String>,
    /// Told of each that has neither a value nor a word for that case.
    pub unset: &'a dyn Fn(&str),
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InterpolateError {
    #[error(
        "invalid interpolation format: {text:?}; a dollar sign that is meant as one is written $$"
    )]
    Format { text: String },
    #[error("interpolations are nested more than {NESTED} deep")]
    Nested,
    #[error("required variable {name} is missing a value{}{text}", if text.is_empty() { "" } else { ": " })]
    Required { name: String, text: String },
}

/// What stands behind a variable's name between braces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    Plain,
    /// `-`
    Default,
    /// `+`
    Alternative,
    /// `?`
    Required,
}

/// A text's part.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Part<'a> {
    Text(&'a str),
    Variable {
        name: &'a str,
        form: Form,
        /// `:` before it: an empty value is as good as none.
        empty_is_unset: bool,
        word: &'a str,
    },
}

/// `$NAME`, `${NAME}`, with `:-`, `-`, `:+`, `+`, `:?` and `?`; `$$` is a dollar sign.
pub fn parts(text: &str) -> Result<Vec<Part<'_>>, InterpolateError> {
    let wrong = || InterpolateError::Format {
        text: text.to_owned(),
    };
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        if at > 0 {
            parts.push(Part::Text(&rest[..at]));
        }
        rest = &rest[at + 1..];
        if rest.starts_with('$') {
            parts.push(Part::Text(&rest[..1]));
            rest = &rest[1..];
        } else if let Some(after) = rest.strip_prefix('{') {
            let end = closing(after).ok_or_else(wrong)?;
            parts.push(braced(&after[..end]).ok_or_else(wrong)?);
            rest = &after[end + 1..];
        } else {
            let (name, after) = rest.split_at(name_end(rest));
            parts.push(match name {
                // No variable: a dollar sign.
                "" => Part::Text("$"),
                name => Part::Variable {
                    name,
                    form: Form::Plain,
                    empty_is_unset: false,
                    word: "",
                },
            });
            rest = after;
        }
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

fn braced(inner: &str) -> Option<Part<'_>> {
    let (name, rest) = inner.split_at(name_end(inner));
    let (rest, empty_is_unset) = match rest.strip_prefix(':') {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let mut letters = rest.chars();
    let form = match letters.next() {
        None if !empty_is_unset => Form::Plain,
        Some('-') => Form::Default,
        Some('+') => Form::Alternative,
        Some('?') => Form::Required,
        _ => return None,
    };
    let word = letters.as_str();
    (!name.is_empty()).then_some(Part::Variable {
        name,
        form,
        empty_is_unset,
        word,
    })
}

/// A text with its variables replaced.
pub fn interpolated(text: &str, variables: Variables<'_>) -> Result<String, InterpolateError> {
    replaced(text, variables, 0)
}

fn replaced(
    text: &str,
    variables: Variables<'_>,
    depth: usize,
) -> Result<String, InterpolateError> {
    if depth > NESTED {
        return Err(InterpolateError::Nested);
    }
    let mut made = String::new();
    for part in parts(text)? {
        let (name, form, empty_is_unset, word) = match part {
            Part::Text(text) => {
                made.push_str(text);
                continue;
            }
            Part::Variable {
                name,
                form,
                empty_is_unset,
                word,
            } => (name, form, empty_is_unset, word),
        };
        let value = (variables.lookup)(name);
        let value = value.filter(|value| !empty_is_unset || !value.is_empty());
        let word = || replaced(word, variables, depth + 1);
        match (form, value) {
            (Form::Plain | Form::Default | Form::Required, Some(value)) => made.push_str(&value),
            (Form::Plain, None) => (variables.unset)(name),
            (Form::Default, None) | (Form::Alternative, Some(_)) => made.push_str(&word()?),
            (Form::Alternative, None) => {}
            (Form::Required, None) => {
                return Err(InterpolateError::Required {
                    name: name.to_owned(),
                    text: word()?,
                });
            }
        }
    }
    Ok(made)
}

fn name_end(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.find(|c| !is_name(c)).unwrap_or(text.len())
}

fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}
