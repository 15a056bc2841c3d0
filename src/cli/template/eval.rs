//! Runs parsed nodes over a value.

use serde_json::{Map, Value};

use super::{
    Command, Kind, Node, Operand, Pipeline, Position, STRUCT, Scope, TemplateError, struct_key,
};
use super::{format, functions, left_out};

/// More output than this is no use to anybody, and nested ranges could make more than fits into memory.
const LIMIT: usize = 64 << 20;

/// Maps whose keys are the user's, not docker's: a missing one is no error there.
const FREE_MAPS: [&str; 10] = [
    "Labels",
    "Annotations",
    "Networks",
    "Ports",
    "PortBindings",
    "ExposedPorts",
    "Volumes",
    "Sysctls",
    "Tmpfs",
    "Options",
];

struct Run<'a> {
    scope: &'a Scope<'a>,
    variables: Vec<(String, Value)>,
    output: String,
}

#[derive(PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

/// Why a step failed; the node and its place are added where they are known.
type Step<T> = Result<T, String>;

pub fn render(nodes: &[Node], scope: &Scope<'_>) -> Result<String, TemplateError> {
    let mut run = Run {
        scope,
        variables: vec![("$".to_owned(), scope.root.clone())],
        output: String::new(),
    };
    run.list(nodes, scope.root)?;
    Ok(run.output)
}

impl Run<'_> {
    fn list(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, TemplateError> {
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, TemplateError> {
        match node {
            Node::Text(text) => self.output.push_str(text),
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.output
                        .push_str(&format::printed_as(last_name(pipeline), &value));
                }
            }
            Node::If(pipeline, body, otherwise) => {
                return self.branch(pipeline, body, otherwise, dot, false);
            }
            Node::With(pipeline, body, otherwise) => {
                return self.branch(pipeline, body, otherwise, dot, true);
            }
            Node::Range(pipeline, body, otherwise) => {
                let in_sight = self.variables.len();
                self.range(pipeline, body, otherwise, dot)?;
                self.variables.truncate(in_sight);
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        if self.output.len() > LIMIT {
            return Err(self.failed(&Position { line: 1, column: 0 }, "range", "output too long"));
        }
        Ok(Flow::On)
    }

    fn branch(
        &mut self,
        pipeline: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
        rebind: bool,
    ) -> Result<Flow, TemplateError> {
        let in_sight = self.variables.len();
        let value = self.pipeline(pipeline, dot)?;
        let flow = match (functions::truth(&value), rebind) {
            (true, true) => self.list(body, &value)?,
            (true, false) => self.list(body, dot)?,
            (false, _) => self.list(otherwise, dot)?,
        };
        self.variables.truncate(in_sight);
        Ok(flow)
    }

    fn range(
        &mut self,
        pipeline: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<(), TemplateError> {
        let value = self.commands(pipeline, dot)?;
        let items = match items(&value) {
            Some(items) => items,
            None => {
                let reason = format!("range can't iterate over {}", format::printed(&value));
                return Err(self.failed(&first_position(pipeline), &shown(pipeline), &reason));
            }
        };
        if items.is_empty() {
            self.list(otherwise, dot)?;
            return Ok(());
        }
        let in_sight = self.variables.len();
        for (key, item) in items {
            match &pipeline.variables[..] {
                [key_name, item_name] => {
                    self.assign(key_name, key, pipeline.declares);
                    self.assign(item_name, item.clone(), pipeline.declares);
                }
                [item_name] => self.assign(item_name, item.clone(), pipeline.declares),
                _ => {}
            }
            let flow = self.list(body, &item)?;
            self.variables.truncate(in_sight);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(())
    }

    fn assign(&mut self, name: &str, value: Value, declares: bool) {
        let known = self.variables.iter_mut().rev().find(|(n, _)| n == name);
        match known {
            Some((_, place)) if !declares => *place = value,
            _ => self.variables.push((name.to_owned(), value)),
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, TemplateError> {
        let value = self.commands(pipeline, dot)?;
        for name in &pipeline.variables {
            self.assign(name, value.clone(), pipeline.declares);
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, TemplateError> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(command, dot, value)?);
        }
        Ok(value.unwrap_or(Value::Null))
    }

    fn command(
        &mut self,
        command: &Command,
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, TemplateError> {
        let [first, rest @ ..] = &command.operands[..] else {
            return Ok(Value::Null);
        };
        let arguments = rest.iter().map(|operand| self.operand(operand, dot));
        let mut arguments = arguments.collect::<Result<Vec<Value>, _>>()?;
        let has_arguments = !arguments.is_empty() || piped.is_some();
        arguments.extend(piped);
        let fail = |run: &Self, reason: String| {
            run.failed(&command.position, &shown_command(command), &reason)
        };
        match &first.kind {
            Kind::Function(name) => {
                let value = functions::call(name, arguments)
                    .and_then(|value| fields(value, &first.fields))
                    .map_err(|reason| fail(self, reason))?;
                Ok(value)
            }
            Kind::Dot if first.fields == ["Label"] && has_arguments => {
                self.label(&arguments).map_err(|reason| fail(self, reason))
            }
            _ if has_arguments => {
                let reason = match first.fields.last() {
                    Some(name) => format!("{name} has arguments but cannot be invoked as function"),
                    None => format!(
                        "can't give argument to non-function {}",
                        shown_operand(first)
                    ),
                };
                Err(fail(self, reason))
            }
            _ => self.operand(first, dot),
        }
    }

    fn label(&self, arguments: &[Value]) -> Step<Value> {
        let (Some(labels), [Value::String(key)]) = (self.scope.labels, arguments) else {
            return Err("Label has arguments but cannot be invoked as function".to_owned());
        };
        Ok(labels.get(key).cloned().unwrap_or_else(|| "".into()))
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, TemplateError> {
        let base = match &operand.kind {
            Kind::Dot if operand.fields.is_empty() => return Ok(dot.clone()),
            // the dot is not copied whole for one field of it
            Kind::Dot => field_chain(dot, &operand.fields),
            Kind::Variable(name) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                field_chain(
                    known.map_or(&Value::Null, |(_, value)| value),
                    &operand.fields,
                )
            }
            Kind::Constant(value) => fields(value.clone(), &operand.fields),
            Kind::Nested(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                fields(value, &operand.fields)
            }
            Kind::Function(name) => {
                functions::call(name, Vec::new()).and_then(|value| fields(value, &operand.fields))
            }
        };
        base.map_err(|reason| {
            let mut position = operand.position;
            // Go points at the last part of a chain
            let length: usize = operand
                .fields
                .iter()
                .rev()
                .skip(1)
                .map(|f| f.len() + 1)
                .sum();
            position.column += length;
            self.failed(&position, &shown_operand(operand), &reason)
        })
    }

    fn failed(&self, position: &Position, node: &str, reason: &str) -> TemplateError {
        TemplateError::Execute {
            line: position.line,
            column: position.column,
            node: node.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

fn fields(value: Value, names: &[String]) -> Step<Value> {
    if names.is_empty() {
        return Ok(value);
    }
    field_chain(&value, names)
}

fn field_chain(value: &Value, names: &[String]) -> Step<Value> {
    let mut value = value;
    let mut free = false;
    for (at, name) in names.iter().enumerate() {
        let Value::Object(map) = value else {
            return Err(match value {
                Value::Null => format!("nil data; no entry for key {name:?}"),
                other => format!(
                    "can't evaluate field {name} in type {}",
                    format::go_type(other)
                ),
            });
        };
        let found = map.get(name);
        match found.or_else(|| struct_key(map, name).and_then(|key| map.get(key))) {
            Some(inner) => value = inner,
            None if free => return Ok(Value::String("<no value>".to_owned())),
            None => {
                let zero = left_out::zero(map, name);
                let zero = zero.ok_or_else(|| format!("map has no entry for key {name:?}"))?;
                return fields(zero, &names[at + 1..]);
            }
        }
        free = FREE_MAPS.contains(&name.as_str());
    }
    Ok(value.clone())
}

/// Keys and items in Go's order: maps by key.
fn items(value: &Value) -> Option<Vec<(Value, Value)>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(list) => Some(
            list.iter()
                .enumerate()
                .map(|(index, item)| (index.into(), item.clone()))
                .collect(),
        ),
        Value::Object(map) => Some(sorted(map)),
        Value::Number(number) => {
            let count = number.as_i64().filter(|n| *n < 1_000_000)?;
            Some((0..count).map(|n| (n.into(), n.into())).collect())
        }
        _ => None,
    }
}

fn sorted(map: &Map<String, Value>) -> Vec<(Value, Value)> {
    let mut entries: Vec<(&String, &Value)> =
        map.iter().filter(|(key, _)| *key != STRUCT).collect();
    entries.sort_by_key(|(key, _)| *key);
    entries
        .into_iter()
        .map(|(key, value)| (key.clone().into(), value.clone()))
        .collect()
}

/// The name of what a pipeline of nothing but fields gives: `Binds` of `{{.HostConfig.Binds}}`.
fn last_name(pipeline: &Pipeline) -> &str {
    let [command] = pipeline.commands.as_slice() else {
        return "";
    };
    match command.operands.as_slice() {
        [operand] => operand.fields.last().map_or("", String::as_str),
        _ => "",
    }
}

fn first_position(pipeline: &Pipeline) -> Position {
    pipeline
        .commands
        .first()
        .map_or(Position { line: 1, column: 0 }, |c| c.position)
}

fn shown(pipeline: &Pipeline) -> String {
    let commands: Vec<String> = pipeline.commands.iter().map(shown_command).collect();
    commands.join(" | ")
}

fn shown_command(command: &Command) -> String {
    let operands: Vec<String> = command.operands.iter().map(shown_operand).collect();
    operands.join(" ")
}

fn shown_operand(operand: &Operand) -> String {
    let mut text = match &operand.kind {
        Kind::Dot if operand.fields.is_empty() => ".".to_owned(),
        Kind::Dot => String::new(),
        Kind::Variable(name) | Kind::Function(name) => name.clone(),
        Kind::Constant(value) => value.to_string(),
        Kind::Nested(inner) => format!("({})", shown(inner)),
    };
    for field in &operand.fields {
        text.push('.');
        text.push_str(field);
    }
    text
}
