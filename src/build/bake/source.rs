//! The text of a bake file, HCL or JSON, as what it declares. Computes no value.

use std::collections::BTreeMap;

use hcl::expr::{Expression, ObjectKey, TemplateExpr};
use hcl::{Block, Body, Structure};
use serde_json::{Map, Value};

use super::BakeFile;
use super::error::BakeError;

#[derive(Clone, Debug, Default)]
pub(super) struct Variable {
    pub default: Option<Expression>,
    pub kind: Option<Expression>,
    pub description: Option<Expression>,
    /// Conditions, each with what is said when it does not hold.
    pub validations: Vec<(Expression, Option<Expression>)>,
}

#[derive(Clone, Debug)]
pub(super) struct Function {
    pub parameters: Vec<String>,
    /// Takes what is left of the arguments.
    pub rest: Option<String>,
    pub result: Expression,
}

/// Keys with what they are to be.
pub(super) type Keys = Vec<(String, Expression)>;

/// What all files of one kind declare, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Declared {
    pub variables: BTreeMap<String, Variable>,
    pub functions: BTreeMap<String, Function>,
    /// File, name, keys: a name may come again, and lies over what was.
    pub groups: Vec<(String, String, Keys)>,
    pub targets: Vec<(String, String, Keys)>,
}

fn form(file: &BakeFile, place: &str, text: &'static str) -> BakeError {
    BakeError::Form {
        file: file.name.clone(),
        place: place.to_owned(),
        text,
    }
}

impl Declared {
    pub fn read_hcl(&mut self, file: &BakeFile) -> Result<(), BakeError> {
        let parsed = hcl::parse(&file.text);
        let body: Body = parsed.map_err(|error| BakeError::syntax(file, &error))?;
        for structure in body {
            match structure {
                Structure::Attribute(attribute) => {
                    self.set(attribute.key(), attribute.expr().clone());
                }
                Structure::Block(block) => self.read_block(file, &block)?,
            }
        }
        Ok(())
    }

    /// A key outside of all blocks is a variable with a value.
    fn set(&mut self, name: &str, value: Expression) {
        let variable = self.variables.entry(name.to_owned()).or_default();
        variable.default = Some(value);
    }

    fn read_block(&mut self, file: &BakeFile, block: &Block) -> Result<(), BakeError> {
        let kind = block.identifier();
        let [name] = block.labels() else {
            return Err(form(file, kind, "it has one name"));
        };
        let mut keys = Vec::new();
        let mut validations = Vec::new();
        for structure in block.body() {
            match structure {
                Structure::Attribute(attribute) => {
                    keys.push((attribute.key().to_owned(), attribute.expr().clone()));
                }
                Structure::Block(inner)
                    if kind == "variable" && inner.identifier() == "validation" =>
                {
                    let inner = inner.body().attributes();
                    let keys = inner.map(|one| (one.key().to_owned(), one.expr().clone()));
                    validations.push(keys.collect());
                }
                Structure::Block(inner) => {
                    let what = format!("{} of {kind} {:?}", inner.identifier(), name.as_str());
                    let file = file.name.clone();
                    return Err(BakeError::Block { file, what });
                }
            }
        }
        self.add(file, kind, name.as_str(), keys, validations)
    }

    fn add(
        &mut self,
        file: &BakeFile,
        kind: &str,
        name: &str,
        mut keys: Keys,
        validations: Vec<Keys>,
    ) -> Result<(), BakeError> {
        let place = format!("{kind} {name:?}");
        let mut take = |key: &str| {
            let at = keys.iter().position(|(known, _)| known == key)?;
            Some(keys.remove(at).1)
        };
        match kind {
            "target" => self
                .targets
                .push((file.name.clone(), name.to_owned(), keys)),
            "group" => self.groups.push((file.name.clone(), name.to_owned(), keys)),
            "variable" => {
                let variable = self.variables.entry(name.to_owned()).or_default();
                variable.default = take("default").or(variable.default.take());
                variable.kind = take("type").or(variable.kind.take());
                variable.description = take("description").or(variable.description.take());
                for mut validation in validations {
                    let mut take = |key: &str| {
                        let at = validation.iter().position(|(known, _)| known == key)?;
                        Some(validation.remove(at).1)
                    };
                    let condition = take("condition")
                        .ok_or_else(|| form(file, &place, "its validation has no condition"))?;
                    variable
                        .validations
                        .push((condition, take("error_message")));
                }
                if !keys.is_empty() {
                    let text = "default, type, description and validation are its keys";
                    return Err(form(file, &place, text));
                }
            }
            "function" => {
                let parameters = names(take("params"))
                    .ok_or_else(|| form(file, &place, "its params are a list of names"))?;
                let rest = match take("variadic_params") {
                    None => None,
                    Some(Expression::Variable(name)) => Some(name.to_string()),
                    Some(Expression::String(name)) => Some(name),
                    Some(_) => return Err(form(file, &place, "its variadic_params is a name")),
                };
                let result =
                    take("result").ok_or_else(|| form(file, &place, "it has no result"))?;
                let function = Function {
                    parameters,
                    rest,
                    result,
                };
                self.functions.insert(name.to_owned(), function);
            }
            other => {
                return Err(BakeError::Block {
                    file: file.name.clone(),
                    what: other.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// `{"target": {"NAME": {…}}, …}`, where every text is a template.
    pub fn read_json(&mut self, file: &BakeFile) -> Result<(), BakeError> {
        let document: Map<String, Value> =
            serde_json::from_str(&file.text).map_err(|error| BakeError::Parse {
                file: file.name.clone(),
                text: error.to_string(),
            })?;
        for (kind, value) in document {
            let is_block = matches!(kind.as_str(), "target" | "group" | "variable" | "function");
            if !is_block {
                self.set(&kind, expression(value));
                continue;
            }
            // One object, or several in a list.
            let blocks = match value {
                Value::Array(blocks) => blocks,
                one => vec![one],
            };
            for block in blocks {
                let Value::Object(block) = block else {
                    return Err(form(file, &kind, "an object with names is expected"));
                };
                for (name, keys) in block {
                    self.read_object(file, &kind, &name, keys)?;
                }
            }
        }
        Ok(())
    }

    fn read_object(
        &mut self,
        file: &BakeFile,
        kind: &str,
        name: &str,
        keys: Value,
    ) -> Result<(), BakeError> {
        let Value::Object(mut keys) = keys else {
            return Err(form(
                file,
                &format!("{kind} {name:?}"),
                "an object is expected",
            ));
        };
        let mut validations = Vec::new();
        if kind == "variable" {
            match keys.remove("validation") {
                Some(Value::Object(one)) => validations.push(conditions(one)),
                Some(Value::Array(all)) => {
                    let all = all.into_iter().filter_map(|one| match one {
                        Value::Object(one) => Some(conditions(one)),
                        _ => None,
                    });
                    validations.extend(all);
                }
                _ => {}
            }
        }
        let keys = keys.into_iter();
        let keys = keys.map(|(key, value)| (key, expression(value))).collect();
        self.add(file, kind, name, keys, validations)
    }
}

fn conditions(object: Map<String, Value>) -> Keys {
    let keys = object.into_iter();
    keys.map(|(key, value)| (key, expression(value))).collect()
}

/// Of parameters: bare words in HCL, texts in JSON.
fn names(list: Option<Expression>) -> Option<Vec<String>> {
    let Some(Expression::Array(list)) = list else {
        return list.is_none().then(Vec::new);
    };
    let names = list.into_iter().map(|one| match one {
        Expression::Variable(name) => Some(name.to_string()),
        Expression::String(name) => Some(name),
        _ => None,
    });
    names.collect()
}

fn expression(value: Value) -> Expression {
    match value {
        Value::Null => Expression::Null,
        Value::Bool(value) => Expression::Bool(value),
        Value::Number(number) => number
            .as_i64()
            .map(Expression::from)
            .or(number.as_f64().map(Expression::from))
            .unwrap_or(Expression::Null),
        Value::String(text) if text.contains("${") || text.contains("%{") => {
            Expression::TemplateExpr(Box::new(TemplateExpr::QuotedString(text)))
        }
        Value::String(text) => Expression::String(text),
        Value::Array(values) => Expression::Array(values.into_iter().map(expression).collect()),
        Value::Object(object) => {
            let entries = object.into_iter();
            let entries = entries.map(|(key, value)| {
                (
                    ObjectKey::Expression(Expression::String(key)),
                    expression(value),
                )
            });
            Expression::Object(entries.collect())
        }
    }
}
