//! The values of a bake file's expressions. Variables are computed when they are first needed; nothing but the declared ones of the
//! host is looked at.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use hcl::eval::{Context, Evaluate};
use hcl::expr::{
    BinaryOp, Conditional, Expression, ForExpr, FuncCall, ObjectKey, Operation, TemplateExpr,
    Traversal, TraversalOperator, UnaryOp,
};
use hcl::template::{Directive, Element, ForDirective, IfDirective, Interpolation, Template};
use hcl::{Map, Value};

use super::Lookup;
use super::error::BakeError;
use super::functions::{self, in_order};
use super::source::{Declared, Function, Variable};
use crate::config::parse_bool;

/// Functions, variables and keys of targets that need each other.
const DEPTH: usize = 64;
/// Expressions within expressions, values within values.
const NESTED: usize = 128;
/// What all expressions of all files together may take: values that are computed, and each part of them.
const STEPS: u64 = 2_000_000;
/// A text counts as one, and as one for each so many bytes.
const TEXT: usize = 8;

#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    #[error("there is no variable {name:?}")]
    Variable { name: String },
    #[error("variable {name:?} needs itself")]
    Circle { name: String },
    #[error("there is no function {name:?}")]
    Function { name: String },
    #[error("function {name:?}: {text}")]
    Call { name: String, text: String },
    #[error("functions and variables need each other more than {DEPTH} deep")]
    Depth,
    #[error("expressions or values are nested more than {NESTED} deep")]
    Nested,
    #[error("it takes more than {STEPS} steps to compute")]
    Steps,
    #[error("{text} is no list, and can't be taken apart by ...")]
    Expanded { text: String },
    #[error("target {name:?} has no {key:?}")]
    Key { name: String, key: String },
    #[error("{text} is neither true nor false")]
    Truth { text: String },
    #[error("{text} is no list and no object")]
    Collection { text: String },
    #[error("{text} is no text")]
    Text { text: String },
    #[error("{0}")]
    Hcl(String),
}

fn of_hcl(error: impl std::fmt::Display) -> EvalError {
    EvalError::Hcl(error.to_string())
}

/// Names that hold inside of a function, a `for` or a part of a matrix.
pub(super) type Locals = BTreeMap<String, Value>;

pub(super) struct Evaluator<'a> {
    declared: &'a Declared,
    lookup: Lookup<'a>,
    known: RefCell<BTreeMap<String, Value>>,
    at_work: RefCell<Vec<String>>,
    nested: Cell<usize>,
    steps: Cell<u64>,
}

/// What a value takes, with all in it. None: it is nested too deep.
fn weight(value: &Value, depth: usize) -> Option<u64> {
    if depth > NESTED {
        return None;
    }
    let of_text = |text: &str| (text.len() / TEXT) as u64;
    match value {
        Value::String(text) => Some(1 + of_text(text)),
        Value::Array(values) => values
            .iter()
            .try_fold(1, |sum, value| Some(sum + weight(value, depth + 1)?)),
        Value::Object(object) => object.iter().try_fold(1, |sum, (key, value)| {
            Some(sum + of_text(key) + weight(value, depth + 1)?)
        }),
        _ => Some(1),
    }
}

impl<'a> Evaluator<'a> {
    pub fn new(declared: &'a Declared, lookup: Lookup<'a>, known: &[(&str, String)]) -> Self {
        let known = known.iter();
        let known = known.map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
        Evaluator {
            declared,
            lookup,
            known: RefCell::new(known.collect()),
            at_work: RefCell::new(Vec::new()),
            nested: Cell::new(0),
            steps: Cell::new(0),
        }
    }

    fn spend(&self, steps: u64) -> Result<(), EvalError> {
        let spent = self.steps.get().saturating_add(steps);
        self.steps.set(spent);
        match spent > STEPS {
            true => Err(EvalError::Steps),
            false => Ok(()),
        }
    }

    fn spend_value(&self, value: &Value) -> Result<(), EvalError> {
        self.spend(weight(value, 0).ok_or(EvalError::Nested)?)
    }

    /// They are copied.
    pub fn spend_locals(&self, locals: &Locals) -> Result<(), EvalError> {
        let mut values = locals.values();
        values.try_for_each(|value| self.spend_value(value))
    }

    /// The conditions of all variables.
    pub fn validate(&self) -> Result<(), BakeError> {
        for (name, variable) in &self.declared.variables {
            let invalid = |text: String| BakeError::Invalid {
                name: name.clone(),
                text,
            };
            self.environment(name, variable)?;
            for (condition, message) in &variable.validations {
                let none = Locals::new();
                let holds = self.truth(condition, &none);
                if holds.map_err(|error| invalid(error.to_string()))? {
                    continue;
                }
                let said = message.as_ref().map(|text| self.value(text, &none));
                return Err(invalid(match said {
                    Some(Ok(Value::String(text))) => text,
                    _ => format!("{condition} does not hold"),
                }));
            }
        }
        Ok(())
    }

    /// What the host says it is, in the kind that its default has.
    fn environment(&self, name: &str, variable: &Variable) -> Result<Option<Value>, BakeError> {
        let Some(text) = (self.lookup)(name) else {
            return Ok(None);
        };
        let wrong = |kind| BakeError::Environment {
            name: name.to_owned(),
            text: text.clone(),
            kind,
        };
        let kind = match (&variable.kind, &variable.default) {
            (Some(Expression::Variable(kind)), _) => kind.to_string(),
            (Some(Expression::FuncCall(call)), _) => call.name.to_string(),
            (None, Some(Expression::Bool(_))) => "bool".to_owned(),
            (None, Some(Expression::Number(_))) => "number".to_owned(),
            (None, Some(Expression::Array(_))) => "list".to_owned(),
            _ => "string".to_owned(),
        };
        Ok(Some(match kind.as_str() {
            "bool" => Value::Bool(parse_bool(&text).ok_or_else(|| wrong("truth value"))?),
            "number" => functions::number(&text).ok_or_else(|| wrong("number"))?,
            "list" | "set" | "tuple" if text.is_empty() => Value::Array(Vec::new()),
            "list" | "set" | "tuple" => {
                let fields = crate::build::dockerfile::record(&text);
                let fields = fields.ok_or_else(|| wrong("list"))?.into_iter();
                fields.map(|(_, field)| Value::from(field)).collect()
            }
            "map" | "object" => return Err(wrong("object")),
            _ => Value::from(text.as_str()),
        }))
    }

    fn variable(&self, name: &str) -> Result<Value, EvalError> {
        if let Some(value) = self.known.borrow().get(name) {
            return Ok(value.clone());
        }
        let missing = || EvalError::Variable {
            name: name.to_owned(),
        };
        let variable = self.declared.variables.get(name).ok_or_else(missing)?;
        let given = self.environment(name, variable).map_err(of_hcl)?;
        let value = match (given, &variable.default) {
            (Some(value), _) => value,
            (None, Some(default)) => self.alone(name, default)?,
            // Without any it is an empty text, unless its type says that there is something else.
            (None, None) if variable.kind.is_some() => Value::Null,
            (None, None) => Value::from(""),
        };
        let mut known = self.known.borrow_mut();
        known.insert(name.to_owned(), value.clone());
        Ok(value)
    }

    /// What must not need itself.
    fn alone(&self, name: &str, expression: &Expression) -> Result<Value, EvalError> {
        if self.at_work.borrow().iter().any(|other| other == name) {
            return Err(EvalError::Circle {
                name: name.to_owned(),
            });
        }
        self.within(name.to_owned(), expression, &Locals::new())
    }

    /// The value of something that has a name.
    fn within(
        &self,
        name: String,
        expression: &Expression,
        locals: &Locals,
    ) -> Result<Value, EvalError> {
        if self.at_work.borrow().len() >= DEPTH {
            return Err(EvalError::Depth);
        }
        self.at_work.borrow_mut().push(name);
        let value = self.value(expression, locals);
        self.at_work.borrow_mut().pop();
        value
    }

    pub fn value(&self, expression: &Expression, locals: &Locals) -> Result<Value, EvalError> {
        self.spend(1)?;
        if self.nested.get() >= NESTED {
            return Err(EvalError::Nested);
        }
        self.nested.set(self.nested.get() + 1);
        let value = self.value_within(expression, locals);
        self.nested.set(self.nested.get() - 1);
        let value = value?;
        self.spend_value(&value)?;
        Ok(value)
    }

    fn value_within(&self, expression: &Expression, locals: &Locals) -> Result<Value, EvalError> {
        match expression {
            Expression::Array(values) => {
                let values = values.iter().map(|value| self.value(value, locals));
                Ok(Value::Array(values.collect::<Result<_, _>>()?))
            }
            Expression::Object(entries) => {
                let mut object = Map::new();
                for (key, value) in entries {
                    let key = match key {
                        ObjectKey::Identifier(name) => name.to_string(),
                        ObjectKey::Expression(key) => self.text(key, locals)?,
                        other => String::from(other.clone()),
                    };
                    object.insert(key, self.value(value, locals)?);
                }
                Ok(Value::Object(in_order(object)))
            }
            Expression::TemplateExpr(template) => self.template(template, locals),
            Expression::Variable(name) => match locals.get(name.as_str()) {
                Some(value) => Ok(value.clone()),
                None => self.variable(name.as_str()),
            },
            Expression::Traversal(traversal) => self.traverse(traversal, locals),
            Expression::FuncCall(call) => self.call(call, locals),
            Expression::Parenthesis(inner) => self.value(inner, locals),
            Expression::Conditional(conditional) => {
                let Conditional {
                    cond_expr,
                    true_expr,
                    false_expr,
                } = &**conditional;
                match self.truth(cond_expr, locals)? {
                    true => self.value(true_expr, locals),
                    false => self.value(false_expr, locals),
                }
            }
            Expression::Operation(operation) => {
                let value = |expression| Ok(Expression::from(self.value(expression, locals)?));
                let operation = match &**operation {
                    Operation::Unary(one) => {
                        Operation::from(UnaryOp::new(one.operator, value(&one.expr)?))
                    }
                    Operation::Binary(two) => {
                        let (left, right) = (value(&two.lhs_expr)?, value(&two.rhs_expr)?);
                        Operation::from(BinaryOp::new(left, two.operator, right))
                    }
                };
                operation.evaluate(&Context::new()).map_err(of_hcl)
            }
            Expression::ForExpr(each) => self.each(each, locals),
            literal => literal.evaluate(&Context::new()).map_err(of_hcl),
        }
    }

    fn truth(&self, expression: &Expression, locals: &Locals) -> Result<bool, EvalError> {
        let value = self.value(expression, locals)?;
        functions::truth(&value).ok_or_else(|| EvalError::Truth {
            text: value.to_string(),
        })
    }

    fn text(&self, expression: &Expression, locals: &Locals) -> Result<String, EvalError> {
        let value = self.value(expression, locals)?;
        functions::text(&value).ok_or_else(|| EvalError::Text {
            text: value.to_string(),
        })
    }

    /// `target.NAME.KEY` is what that target's file says.
    fn traverse(&self, traversal: &Traversal, locals: &Locals) -> Result<Value, EvalError> {
        use TraversalOperator::GetAttr;
        let is_target = |name: &str| name == "target" && !locals.contains_key(name);
        let (base, rest) = match (&traversal.expr, &traversal.operators[..]) {
            (Expression::Variable(name), [GetAttr(target), GetAttr(key), rest @ ..])
                if is_target(name.as_str()) =>
            {
                (self.key_of(target, key)?, rest)
            }
            (base, operators) => (self.value(base, locals)?, operators),
        };
        let mut operators = Vec::new();
        for operator in rest {
            operators.push(match operator {
                TraversalOperator::Index(index) => {
                    TraversalOperator::Index(Expression::from(self.value(index, locals)?))
                }
                other => other.clone(),
            });
        }
        let reduced = Traversal::new(Expression::from(base), operators);
        reduced.evaluate(&Context::new()).map_err(of_hcl)
    }

    fn key_of(&self, target: &str, key: &str) -> Result<Value, EvalError> {
        let declared = self.declared.targets.iter().rev();
        let mut keys = declared
            .filter(|(_, name, _)| name == target)
            .flat_map(|(_, _, keys)| keys);
        match keys.find(|(known, _)| known == key) {
            Some((_, expression)) => self.alone(&format!("target.{target}.{key}"), expression),
            None => Err(EvalError::Key {
                name: target.to_owned(),
                key: key.to_owned(),
            }),
        }
    }

    fn call(&self, call: &FuncCall, locals: &Locals) -> Result<Value, EvalError> {
        let name = call.name.to_string();
        // What may fail and is tried in turn is not computed before.
        if name == "can" {
            let can = call.args.iter().all(|one| self.value(one, locals).is_ok());
            return Ok(Value::Bool(can));
        }
        if name == "try" {
            let mut tried = call.args.iter().map(|one| self.value(one, locals));
            return tried.find(Result::is_ok).unwrap_or_else(|| {
                Err(EvalError::Call {
                    name,
                    text: "nothing of it can be computed".to_owned(),
                })
            });
        }
        let mut arguments = Vec::new();
        for argument in &call.args {
            arguments.push(self.value(argument, locals)?);
        }
        if call.expand_final {
            match arguments.pop() {
                Some(Value::Array(rest)) => arguments.extend(rest),
                other => {
                    let text = other.unwrap_or_default().to_string();
                    return Err(EvalError::Expanded { text });
                }
            }
        }
        if let Some(function) = self.declared.functions.get(&name) {
            return self.call_own(&name, function, arguments);
        }
        match functions::call(&name, &arguments) {
            Some(value) => value.map_err(|text| EvalError::Call { name, text }),
            None => Err(EvalError::Function { name }),
        }
    }

    fn call_own(
        &self,
        name: &str,
        function: &Function,
        mut arguments: Vec<Value>,
    ) -> Result<Value, EvalError> {
        let expected = function.parameters.len();
        let fits = match function.rest {
            Some(_) => arguments.len() >= expected,
            None => arguments.len() == expected,
        };
        if !fits {
            return Err(EvalError::Call {
                name: name.to_owned(),
                text: format!("it takes {expected} arguments, not {}", arguments.len()),
            });
        }
        let rest = arguments.split_off(expected);
        let parameters = function.parameters.iter().cloned();
        let mut locals: Locals = parameters.zip(arguments).collect();
        if let Some(name) = &function.rest {
            locals.insert(name.clone(), Value::Array(rest));
        }
        self.within(format!("{name}()"), &function.result, &locals)
    }

    /// Of a list or an object, each with its place or key.
    fn members(
        &self,
        collection: &Expression,
        locals: &Locals,
    ) -> Result<Vec<(Value, Value)>, EvalError> {
        match self.value(collection, locals)? {
            Value::Array(values) => {
                let values = values.into_iter().enumerate();
                Ok(values.map(|(at, value)| (Value::from(at), value)).collect())
            }
            Value::Object(object) => {
                let object = object.into_iter();
                Ok(object
                    .map(|(key, value)| (Value::from(key), value))
                    .collect())
            }
            other => Err(EvalError::Collection {
                text: other.to_string(),
            }),
        }
    }

    fn each(&self, each: &ForExpr, locals: &Locals) -> Result<Value, EvalError> {
        let mut list = Vec::new();
        let mut object: Map<String, Value> = Map::new();
        for (key, value) in self.members(&each.collection_expr, locals)? {
            self.spend_locals(locals)?;
            let mut locals = locals.clone();
            if let Some(name) = &each.key_var {
                locals.insert(name.to_string(), key);
            }
            locals.insert(each.value_var.to_string(), value);
            if let Some(condition) = &each.cond_expr
                && !self.truth(condition, &locals)?
            {
                continue;
            }
            let value = self.value(&each.value_expr, &locals)?;
            match &each.key_expr {
                None => list.push(value),
                Some(key) if each.grouping => {
                    let group = object.entry(self.text(key, &locals)?);
                    let group = group.or_insert_with(|| Value::Array(Vec::new()));
                    if let Value::Array(values) = group {
                        values.push(value);
                    }
                }
                Some(key) => drop(object.insert(self.text(key, &locals)?, value)),
            }
        }
        Ok(match each.key_expr {
            None => Value::Array(list),
            Some(_) => Value::Object(in_order(object)),
        })
    }

    fn template(&self, template: &TemplateExpr, locals: &Locals) -> Result<Value, EvalError> {
        let template = Template::from_expr(template).map_err(of_hcl)?;
        // What is nothing but one value is not made a text.
        if let [Element::Interpolation(only)] = template.elements() {
            return self.value(&only.expr, locals);
        }
        let reduced = self.reduced(&template, locals)?;
        let text = reduced.evaluate(&Context::new()).map_err(of_hcl)?;
        Ok(Value::from(text))
    }

    /// The same template with values for its expressions; what it repeats stands there as often.
    fn reduced(&self, template: &Template, locals: &Locals) -> Result<Template, EvalError> {
        let mut reduced = Template::new();
        for element in template.elements() {
            reduced = match element {
                Element::Literal(text) => {
                    self.spend(1 + (text.len() / TEXT) as u64)?;
                    reduced.add_literal(text.as_str())
                }
                Element::Interpolation(one) => {
                    let text = self.text(&one.expr, locals)?;
                    reduced.add_interpolation(Interpolation::new(text).with_strip(one.strip))
                }
                Element::Directive(directive) => match &**directive {
                    Directive::If(one) => reduced.add_directive(self.chosen(one, locals)?),
                    Directive::For(all) => {
                        let all = self.repeated(all, locals)?;
                        all.into_iter().fold(reduced, Template::add_directive)
                    }
                },
            };
        }
        Ok(reduced)
    }

    fn chosen(&self, one: &IfDirective, locals: &Locals) -> Result<IfDirective, EvalError> {
        let holds = self.truth(&one.cond_expr, locals)?;
        let mut reduced = one.clone();
        reduced.cond_expr = Expression::Bool(holds);
        match (holds, &one.false_template) {
            (true, _) => reduced.true_template = self.reduced(&one.true_template, locals)?,
            (false, Some(other)) => reduced.false_template = Some(self.reduced(other, locals)?),
            (false, None) => {}
        }
        Ok(reduced)
    }

    fn repeated(&self, all: &ForDirective, locals: &Locals) -> Result<Vec<IfDirective>, EvalError> {
        let part = |holds: bool, body: Template| {
            IfDirective::new(Expression::Bool(holds), body)
                .with_if_strip(all.for_strip)
                .with_endif_strip(all.endfor_strip)
        };
        let mut parts = Vec::new();
        for (key, value) in self.members(&all.collection_expr, locals)? {
            self.spend_locals(locals)?;
            let mut locals = locals.clone();
            if let Some(name) = &all.key_var {
                locals.insert(name.to_string(), key);
            }
            locals.insert(all.value_var.to_string(), value);
            parts.push(part(true, self.reduced(&all.template, &locals)?));
        }
        if parts.is_empty() {
            parts.push(part(false, Template::new()));
        }
        Ok(parts)
    }
}
