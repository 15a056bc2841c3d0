//! Text → tokens. Trim markers and comments end here.

use serde_json::Value;

use super::{Position, TemplateError};

#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub at: Position,
    pub kind: TokenKind,
    /// A blank stands before it: `.a .b` is two operands, `.a.b` is one.
    pub spaced: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum TokenKind {
    Text(String),
    /// `{{` and `}}`.
    Open,
    Close,
    Word(String),
    /// `.` alone.
    Dot,
    /// `.name`, without the dot.
    Field(String),
    /// With its `$`.
    Variable(String),
    Constant(Value),
    LeftParen,
    RightParen,
    Pipe,
    Comma,
    /// `:=`
    Declare,
    /// `=`
    Assign,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    line_start: usize,
    tokens: Vec<Token>,
}

pub fn lex(text: &str) -> Result<Vec<Token>, TemplateError> {
    let mut lexer = Lexer {
        text,
        at: 0,
        line: 1,
        line_start: 0,
        tokens: Vec::new(),
    };
    let mut trim_next = false;
    while lexer.at < text.len() {
        trim_next = lexer.text_and_action(trim_next)?;
    }
    Ok(lexer.tokens)
}

impl Lexer<'_> {
    /// The text up to the next action and that action; true if the text after it loses its leading blanks.
    fn text_and_action(&mut self, trim_start: bool) -> Result<bool, TemplateError> {
        let rest = &self.text[self.at..];
        let end = rest.find("{{").unwrap_or(rest.len());
        let mut shown = &rest[..end];
        if trim_start {
            shown = shown.trim_start();
        }
        let action = rest[end..].strip_prefix("{{");
        let trims = action.is_some_and(|a| {
            a.strip_prefix('-')
                .is_some_and(|a| a.starts_with(char::is_whitespace))
        });
        if trims {
            shown = shown.trim_end();
        }
        let shown = shown.to_owned();
        self.push(TokenKind::Text(shown), false);
        self.advance(end);
        if action.is_none() {
            return Ok(false);
        }
        self.advance(if trims { 3 } else { 2 });
        let inside = &self.text[self.at..];
        if let Some(comment) = inside.trim_start().strip_prefix("/*") {
            return self.comment(inside.len() - comment.len());
        }
        self.push(TokenKind::Open, false);
        self.action()
    }

    fn comment(&mut self, before: usize) -> Result<bool, TemplateError> {
        let rest = &self.text[self.at + before..];
        let Some(end) = rest.find("*/") else {
            return Err(self.error("unclosed comment"));
        };
        let after = &rest[end + 2..];
        let (close, trims) = match after.trim_start() {
            a if a.starts_with("}}") => (after.len() - a.len() + 2, false),
            a if a.starts_with("-}}") => (after.len() - a.len() + 3, true),
            _ => return Err(self.error("comment ends before closing delimiter")),
        };
        self.advance(before + end + 2 + close);
        Ok(trims)
    }

    fn action(&mut self) -> Result<bool, TemplateError> {
        loop {
            let rest = &self.text[self.at..];
            let blank = rest.len() - rest.trim_start().len();
            let after = &rest[blank..];
            let trims = blank > 0 && after.starts_with("-}}");
            if trims || after.starts_with("}}") {
                self.push(TokenKind::Close, blank > 0);
                self.advance(blank + if trims { 3 } else { 2 });
                return Ok(trims);
            }
            if after.is_empty() {
                return Err(self.error("unclosed action"));
            }
            self.advance(blank);
            let (kind, length) = self.token()?;
            self.push(kind, blank > 0);
            self.advance(length);
        }
    }

    fn token(&self) -> Result<(TokenKind, usize), TemplateError> {
        let rest = &self.text[self.at..];
        let word_end = |from: usize| {
            rest[from..]
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .map_or(rest.len(), |end| from + end)
        };
        let first = rest.chars().next().unwrap_or(' ');
        let second = rest[first.len_utf8()..].chars().next().unwrap_or(' ');
        let simple = |kind, length| Ok((kind, length));
        match first {
            '(' => simple(TokenKind::LeftParen, 1),
            ')' => simple(TokenKind::RightParen, 1),
            '|' => simple(TokenKind::Pipe, 1),
            ',' => simple(TokenKind::Comma, 1),
            ':' if second == '=' => simple(TokenKind::Declare, 2),
            '=' => simple(TokenKind::Assign, 1),
            '"' => self.quoted(rest),
            '`' => match rest[1..].find('`') {
                Some(end) => {
                    let raw = rest[1..=end].to_owned();
                    Ok((TokenKind::Constant(Value::String(raw)), end + 2))
                }
                None => Err(self.error("unterminated raw quoted string")),
            },
            '.' if second.is_alphabetic() || second == '_' => {
                let end = word_end(1);
                Ok((TokenKind::Field(rest[1..end].to_owned()), end))
            }
            '.' if !second.is_ascii_digit() => simple(TokenKind::Dot, 1),
            '$' => {
                let end = word_end(1);
                Ok((TokenKind::Variable(rest[..end].to_owned()), end))
            }
            c if c.is_ascii_digit() || matches!(c, '+' | '-' | '.') => self.number(rest),
            c if c.is_alphabetic() || c == '_' => {
                let end = word_end(0);
                Ok((TokenKind::Word(rest[..end].to_owned()), end))
            }
            c => Err(self.error(&format!("unexpected {c:?} in command"))),
        }
    }

    fn number(&self, rest: &str) -> Result<(TokenKind, usize), TemplateError> {
        let end = rest[1..]
            .find(|c: char| !c.is_alphanumeric() && c != '.' && c != '_')
            .map_or(rest.len(), |end| end + 1);
        let text = &rest[..end];
        let value = text
            .parse::<i64>()
            .map(Value::from)
            .or_else(|_| text.parse::<f64>().map(Value::from));
        match value {
            Ok(value) if !value.is_null() => Ok((TokenKind::Constant(value), end)),
            _ => Err(self.error(&format!("bad number syntax: {text:?}"))),
        }
    }

    fn quoted(&self, rest: &str) -> Result<(TokenKind, usize), TemplateError> {
        let unterminated = || self.error("unterminated quoted string");
        let mut text = String::new();
        let mut chars = rest.char_indices().skip(1);
        while let Some((index, c)) = chars.next() {
            match c {
                '"' => return Ok((TokenKind::Constant(Value::String(text)), index + 1)),
                '\n' => return Err(unterminated()),
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, c @ ('"' | '\\' | '\''))) => text.push(c),
                    Some((_, 'x')) => {
                        let digits: String = chars.by_ref().take(2).map(|(_, c)| c).collect();
                        let byte = u8::from_str_radix(&digits, 16)
                            .map_err(|_| self.error("invalid syntax"))?;
                        text.push(char::from(byte));
                    }
                    Some(_) => return Err(self.error("invalid syntax")),
                    None => return Err(unterminated()),
                },
                c => text.push(c),
            }
        }
        Err(unterminated())
    }

    fn push(&mut self, kind: TokenKind, spaced: bool) {
        let at = Position {
            line: self.line,
            column: self.at - self.line_start,
        };
        if kind != TokenKind::Text(String::new()) {
            self.tokens.push(Token { at, kind, spaced });
        }
    }

    fn advance(&mut self, bytes: usize) {
        let passed = &self.text[self.at..self.at + bytes];
        self.line += passed.matches('\n').count();
        if let Some(last) = passed.rfind('\n') {
            self.line_start = self.at + last + 1;
        }
        self.at += bytes;
    }

    fn error(&self, reason: &str) -> TemplateError {
        TemplateError::Parse {
            line: self.line,
            reason: reason.to_owned(),
        }
    }
}
