//! Texts → trees: anchors, aliases, merge keys and compose's tags. What a hostile file can cost is bounded here.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag, options};

use super::node::{At, Map, Mark, Node, Yaml};
use super::scalar;

/// Levels of one value in another.
const DEPTH: usize = 100;
/// Values of one file, with those that aliases repeat.
const NODES: usize = 500_000;
/// Bytes of its texts, with those that aliases repeat.
const BYTES: usize = 64 << 20;

/// What is wrong with a text, and where.
#[derive(Debug)]
pub struct Wrong {
    pub at: At,
    pub text: String,
}

/// The documents of a text, each a tree.
pub fn documents(text: &str, file: u32) -> Result<Vec<Node>, Wrong> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options = options! { emit_comments: false };
    let mut reader = Reader {
        parser: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        file,
        left: NODES,
        bytes: BYTES,
    };
    let mut documents = Vec::new();
    while let Some((event, span)) = reader.next()? {
        match event {
            Event::DocumentStart(..) => {
                let (event, span) = reader.needed(span)?;
                let node = reader.node(event, span, &mut Vec::new())?;
                documents.push(node);
                reader.anchors.clear();
            }
            Event::StreamEnd => break,
            _ => {}
        }
    }
    Ok(documents)
}

/// A value with what it costs to repeat it.
struct Anchored {
    node: Node,
    nodes: usize,
    bytes: usize,
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Anchored>,
    file: u32,
    left: usize,
    bytes: usize,
}

impl<'a> Reader<'a> {
    fn at(&self, span: Span) -> At {
        At {
            file: self.file,
            line: span.start.line() as u32,
            column: span.start.col() as u32 + 1,
        }
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Wrong> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok(found)) => Ok(Some(found)),
            Some(Err(error)) => Err(Wrong {
                at: At {
                    file: self.file,
                    line: error.marker().line() as u32,
                    column: error.marker().col() as u32 + 1,
                },
                text: error.info(),
            }),
        }
    }

    fn needed(&mut self, before: Span) -> Result<(Event<'a>, Span), Wrong> {
        match self.next()? {
            Some(found) => Ok(found),
            None => Err(Wrong {
                at: self.at(before),
                text: "unexpected end".to_owned(),
            }),
        }
    }

    fn node(
        &mut self,
        event: Event<'a>,
        span: Span,
        path: &mut Vec<String>,
    ) -> Result<Node, Wrong> {
        let at = self.at(span);
        let wrong = |text: String| Wrong { at, text };
        if path.len() > DEPTH {
            return Err(wrong(format!("values are nested more than {DEPTH} deep")));
        }
        let (left, bytes) = (self.left, self.bytes);
        self.spend(at, 1, 0)?;
        let (value, anchor, tag) = match event {
            Event::Alias(anchor) => return self.alias(anchor, at),
            Event::Scalar(text, style, anchor, tag) => {
                self.spend(at, 0, text.len())?;
                (scalar_of(&text, style, tag.as_deref()), anchor, tag)
            }
            Event::SequenceStart(_, anchor, tag) => {
                let mut list = Vec::new();
                loop {
                    let (event, span) = self.needed(span)?;
                    if matches!(event, Event::SequenceEnd) {
                        break;
                    }
                    path.push(format!("[{}]", list.len()));
                    list.push(self.node(event, span, path)?);
                    path.pop();
                }
                (Yaml::List(list), anchor, tag)
            }
            Event::MappingStart(_, anchor, tag) => (self.mapping(span, path)?, anchor, tag),
            other => return Err(wrong(format!("unexpected {other:?}"))),
        };
        let mut node = Node::new(value, at);
        node.mark = match tag.as_deref().filter(|tag| !tag.is_yaml_core_schema()) {
            Some(tag) if tag.suffix() == "reset" => Mark::Reset,
            Some(tag) if tag.suffix() == "override" => Mark::Override,
            _ => Mark::None,
        };
        if anchor != 0 {
            let kept = Anchored {
                node: node.clone(),
                nodes: left - self.left,
                bytes: bytes - self.bytes,
            };
            self.anchors.insert(anchor, kept);
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, at: At) -> Result<Node, Wrong> {
        match self.anchors.get(&anchor) {
            Some(kept) => {
                let (nodes, bytes) = (kept.nodes, kept.bytes);
                self.spend(at, nodes, bytes)?;
                Ok(self.anchors[&anchor].node.clone())
            }
            // Not ended yet: it would have itself in it.
            None => Err(Wrong {
                at,
                text: "anchor contains itself".to_owned(),
            }),
        }
    }

    fn spend(&mut self, at: At, nodes: usize, bytes: usize) -> Result<(), Wrong> {
        let left = self.left.checked_sub(nodes);
        let more = self.bytes.checked_sub(bytes);
        let (Some(left), Some(more)) = (left, more) else {
            let text = "document contains excessive aliasing".to_owned();
            return Err(Wrong { at, text });
        };
        (self.left, self.bytes) = (left, more);
        Ok(())
    }

    fn mapping(&mut self, begin: Span, path: &mut Vec<String>) -> Result<Yaml, Wrong> {
        let mut map = Map::new();
        let mut merged: Option<Node> = None;
        loop {
            let (event, span) = self.needed(begin)?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let at = self.at(span);
            let is_merge =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.key(event, span, path)?;
            let (event, span) = self.needed(span)?;
            path.push(key.clone());
            let mut node = self.node(event, span, path)?;
            path.pop();
            node.key = at;
            let line = match is_merge {
                true => merged.replace(node).map(|before| before.key.line),
                false => map.insert(key.clone(), node).map(|before| before.key.line),
            };
            if let Some(line) = line {
                let text = format!("mapping key {key:?} already defined at line {line}");
                return Err(Wrong { at, text });
            }
        }
        if let Some(merged) = merged {
            lay_under(&mut map, merged)?;
        }
        Ok(Yaml::Map(map))
    }

    fn key(
        &mut self,
        event: Event<'a>,
        span: Span,
        path: &mut Vec<String>,
    ) -> Result<String, Wrong> {
        let at = self.at(span);
        let is_merge =
            matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
        let node = self.node(event, span, path)?;
        match node.value {
            Yaml::Text(text) => Ok(text),
            _ if is_merge => Ok("<<".to_owned()),
            _ => {
                let shown = node
                    .shown()
                    .unwrap_or_else(|| "a mapping or a list".to_owned());
                let place = match path.is_empty() {
                    true => "at top level".to_owned(),
                    false => format!("in {}", path.join(".").replace(".[", "[")),
                };
                let text = format!("non-string key {place}: {shown}");
                Err(Wrong { at, text })
            }
        }
    }
}

/// What `<<` names: below what the map itself says; of several the first has the say.
fn lay_under(map: &mut Map, merged: Node) -> Result<(), Wrong> {
    let at = merged.at;
    let sources = match merged.value {
        Yaml::List(list) => list,
        _ => vec![merged],
    };
    for source in sources {
        let Yaml::Map(entries) = source.value else {
            let text = "map merge requires map or sequence of maps as the value".to_owned();
            return Err(Wrong { at, text });
        };
        for (key, node) in entries {
            map.entry(key).or_insert(node);
        }
    }
    Ok(())
}

fn scalar_of(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Yaml {
    let core = tag.and_then(Tag::core_suffix);
    match (core, style) {
        (Some("str"), _) => Yaml::Text(text.to_owned()),
        (Some("int" | "float" | "bool" | "null"), _) | (None, ScalarStyle::Plain) => {
            let value = scalar::resolved(text);
            match (core, value) {
                (Some("float"), Yaml::Int(number)) => Yaml::Float(number as f64),
                (_, value) => value,
            }
        }
        _ => Yaml::Text(text.to_owned()),
    }
}
