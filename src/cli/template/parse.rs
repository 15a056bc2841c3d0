//! Tokens → nodes. Knows which functions exist and which variables are in sight, so that execution need not ask.

use super::lex::{Token, TokenKind};
use super::{Command, Kind, Node, Operand, Pipeline, Position, TemplateError, functions};

/// Deeper nesting is an error: the parser and the evaluator recurse.
const DEPTH: usize = 100;

struct Parser {
    tokens: Tokens,
    line: usize,
    variables: Vec<String>,
    depth: usize,
    /// How many ranges we are inside of: `break` needs one.
    ranges: usize,
}

struct Tokens {
    list: Vec<Token>,
    at: usize,
}

impl Tokens {
    fn ahead(&self, distance: usize) -> Option<&TokenKind> {
        self.list.get(self.at + distance).map(|token| &token.kind)
    }

    fn next_if(&mut self, wanted: impl FnOnce(&Token) -> bool) -> Option<Token> {
        let token = self
            .list
            .get(self.at)
            .filter(|token| wanted(token))?
            .clone();
        self.at += 1;
        Some(token)
    }
}

/// What ended a list of nodes.
enum Stop {
    Eof,
    End,
    /// `else`, with the rest of its action still to come.
    Else,
}

pub fn parse(tokens: Vec<Token>) -> Result<Vec<Node>, TemplateError> {
    let mut parser = Parser {
        tokens: Tokens {
            list: tokens,
            at: 0,
        },
        line: 1,
        variables: vec!["$".to_owned()],
        depth: 0,
        ranges: 0,
    };
    match parser.list()? {
        (nodes, Stop::Eof) => Ok(nodes),
        (_, Stop::End) => Err(parser.error("unexpected {{end}}")),
        (_, Stop::Else) => Err(parser.error("unexpected {{else}}")),
    }
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.next_if(|_| true);
        if let Some(token) = &token {
            self.line = token.at.line;
        }
        token
    }

    fn error(&self, reason: &str) -> TemplateError {
        TemplateError::Parse {
            line: self.line,
            reason: reason.to_owned(),
        }
    }

    fn enter(&mut self) -> Result<(), TemplateError> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.error("max expression depth exceeded"));
        }
        Ok(())
    }

    fn list(&mut self) -> Result<(Vec<Node>, Stop), TemplateError> {
        let mut nodes = Vec::new();
        while let Some(token) = self.next() {
            if let TokenKind::Text(text) = token.kind {
                nodes.push(Node::Text(text));
                continue;
            }
            let word = match self.tokens.ahead(0) {
                Some(TokenKind::Word(word)) => word.clone(),
                _ => String::new(),
            };
            match word.as_str() {
                "end" => {
                    self.next();
                    self.close("{{end}}")?;
                    return Ok((nodes, Stop::End));
                }
                "else" => {
                    self.next();
                    return Ok((nodes, Stop::Else));
                }
                "if" | "with" | "range" => {
                    self.next();
                    nodes.push(self.control(&word)?);
                }
                "break" | "continue" => {
                    self.next();
                    self.close(&word)?;
                    nodes.push(self.leave(&word)?);
                }
                _ => {
                    let pipeline = self.pipeline(false)?;
                    self.close("command")?;
                    nodes.push(Node::Action(pipeline));
                }
            }
        }
        Ok((nodes, Stop::Eof))
    }

    fn leave(&self, word: &str) -> Result<Node, TemplateError> {
        match word {
            _ if self.ranges == 0 => {
                Err(self.error(&format!("{{{{{word}}}}} outside {{{{range}}}}")))
            }
            "break" => Ok(Node::Break),
            _ => Ok(Node::Continue),
        }
    }

    fn close(&mut self, context: &str) -> Result<(), TemplateError> {
        match self.next().map(|token| token.kind) {
            Some(TokenKind::Close) => Ok(()),
            Some(other) => Err(self.error(&format!("unexpected {} in {context}", shown(&other)))),
            None => Err(self.error("unclosed action")),
        }
    }

    fn control(&mut self, word: &str) -> Result<Node, TemplateError> {
        self.enter()?;
        let in_sight = self.variables.len();
        let pipeline = self.pipeline(word == "range")?;
        self.close(word)?;
        self.ranges += usize::from(word == "range");
        let (body, end) = self.list()?;
        self.ranges -= usize::from(word == "range");
        let otherwise = match end {
            Stop::Eof => return Err(self.error("unexpected EOF")),
            Stop::End => Vec::new(),
            Stop::Else => self.otherwise(word)?,
        };
        self.variables.truncate(in_sight);
        self.depth -= 1;
        Ok(match word {
            "if" => Node::If(pipeline, body, otherwise),
            "with" => Node::With(pipeline, body, otherwise),
            _ => Node::Range(pipeline, body, otherwise),
        })
    }

    /// After `else`: a list up to `end`, or another `if`/`with` which shares our `end`.
    fn otherwise(&mut self, word: &str) -> Result<Vec<Node>, TemplateError> {
        if let Some(TokenKind::Word(next)) = self.tokens.ahead(0) {
            let next = next.clone();
            if next != word || word == "range" {
                return Err(self.error(&format!("unexpected {next} in {{{{else}}}}")));
            }
            self.next();
            return Ok(vec![self.control(&next)?]);
        }
        self.close("{{else}}")?;
        match self.list()? {
            (nodes, Stop::End) => Ok(nodes),
            (_, Stop::Else) => Err(self.error("expected end; found {{else}}")),
            (_, Stop::Eof) => Err(self.error("unexpected EOF")),
        }
    }

    fn pipeline(&mut self, range: bool) -> Result<Pipeline, TemplateError> {
        let (variables, declares) = self.declarations(range)?;
        let mut commands = vec![self.command()?];
        while self.tokens.next_if(|t| t.kind == TokenKind::Pipe).is_some() {
            commands.push(self.command()?);
        }
        if declares {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipeline {
            variables,
            declares,
            commands,
        })
    }

    /// `$x :=`, `$x =`, in a range also `$i, $v :=`. `$x` alone may as well be an operand.
    fn declarations(&mut self, range: bool) -> Result<(Vec<String>, bool), TemplateError> {
        let ahead = |distance| self.tokens.ahead(distance);
        let (names, taken) = match (ahead(0), ahead(1), ahead(2), ahead(3)) {
            (
                Some(TokenKind::Variable(name)),
                Some(TokenKind::Declare | TokenKind::Assign),
                _,
                _,
            ) => (vec![name.clone()], 2),
            (
                Some(TokenKind::Variable(key)),
                Some(TokenKind::Comma),
                Some(TokenKind::Variable(value)),
                Some(TokenKind::Declare | TokenKind::Assign),
            ) if range => (vec![key.clone(), value.clone()], 4),
            _ => return Ok((Vec::new(), false)),
        };
        let mut declares = false;
        for _ in 0..taken {
            declares = matches!(self.next().map(|t| t.kind), Some(TokenKind::Declare));
        }
        if !declares {
            for name in &names {
                self.known_variable(name)?;
            }
        }
        Ok((names, declares))
    }

    fn known_variable(&self, name: &str) -> Result<(), TemplateError> {
        if self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(self.error(&format!("undefined variable {name:?}")))
    }

    fn command(&mut self) -> Result<Command, TemplateError> {
        let mut operands: Vec<Operand> = Vec::new();
        let mut position = Position {
            line: self.line,
            column: 0,
        };
        while let Some(operand) = self.operand(operands.is_empty())? {
            if operands.is_empty() {
                position = operand.position;
            }
            operands.push(operand);
        }
        if operands.is_empty() {
            return Err(self.error("missing value for command"));
        }
        Ok(Command { position, operands })
    }

    fn operand(&mut self, first: bool) -> Result<Option<Operand>, TemplateError> {
        let ends = |kind: &TokenKind| {
            matches!(
                kind,
                TokenKind::Close | TokenKind::RightParen | TokenKind::Pipe
            )
        };
        let Some(token) = self.tokens.next_if(|token| !ends(&token.kind)) else {
            return Ok(None);
        };
        self.line = token.at.line;
        let mut fields = Vec::new();
        let kind = match token.kind {
            TokenKind::Dot => Kind::Dot,
            TokenKind::Field(name) => {
                fields.push(name);
                Kind::Dot
            }
            TokenKind::Variable(name) => {
                self.known_variable(&name)?;
                Kind::Variable(name)
            }
            TokenKind::Constant(value) => Kind::Constant(value),
            TokenKind::Word(word) => self.word(word, first)?,
            TokenKind::LeftParen => {
                self.enter()?;
                let inner = self.pipeline(false)?;
                self.depth -= 1;
                if self.next().map(|t| t.kind) != Some(TokenKind::RightParen) {
                    return Err(self.error("unclosed left paren"));
                }
                Kind::Nested(inner)
            }
            other => {
                return Err(self.error(&format!("unexpected {} in operand", shown(&other))));
            }
        };
        while let Some(token) = self
            .tokens
            .next_if(|t| !t.spaced && matches!(t.kind, TokenKind::Field(_)))
        {
            if let TokenKind::Field(name) = token.kind {
                fields.push(name);
            }
        }
        Ok(Some(Operand {
            position: token.at,
            kind,
            fields,
        }))
    }

    fn word(&self, word: String, first: bool) -> Result<Kind, TemplateError> {
        match word.as_str() {
            "true" => Ok(Kind::Constant(true.into())),
            "false" => Ok(Kind::Constant(false.into())),
            "nil" if first => Err(self.error("nil is not a command")),
            "nil" => Ok(Kind::Constant(serde_json::Value::Null)),
            _ if functions::exists(&word) => Ok(Kind::Function(word)),
            _ => Err(self.error(&format!("function {word:?} not defined"))),
        }
    }
}

fn shown(kind: &TokenKind) -> String {
    match kind {
        TokenKind::Text(_) => "text".to_owned(),
        TokenKind::Open => "\"{{\"".to_owned(),
        TokenKind::Close => "\"}}\"".to_owned(),
        TokenKind::Word(word) => format!("<{word}>"),
        TokenKind::Dot => "<.>".to_owned(),
        TokenKind::Field(name) => format!("<.{name}>"),
        TokenKind::Variable(name) => format!("{name:?}"),
        TokenKind::Constant(value) => value.to_string(),
        TokenKind::LeftParen => "\"(\"".to_owned(),
        TokenKind::RightParen => "right paren".to_owned(),
        TokenKind::Pipe => "\"|\"".to_owned(),
        TokenKind::Comma => "\",\"".to_owned(),
        TokenKind::Declare => "\":=\"".to_owned(),
        TokenKind::Assign => "\"=\"".to_owned(),
    }
}
