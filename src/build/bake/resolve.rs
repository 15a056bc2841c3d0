//! From what the files declare to what is to be built: groups taken apart, matrices multiplied, inherited targets laid below. Pure.

use std::collections::{BTreeMap, HashSet};

use hcl::Value;
use hcl::expr::Expression;
use serde::{Deserialize, Serialize};

use super::error::BakeError;
use super::eval::{Evaluator, Locals};
use super::overrides::Override;
use super::source::{Declared, Keys};
use super::target::Target;
use super::{BakeFile, Lookup, compose, functions};
use crate::build::dotenv;
use crate::build::interpolate::Variables;

/// Groups of groups, targets that inherit or have each other as contexts.
pub const DEPTH: usize = 64;
/// Of one target, counted each time that one is laid below another.
pub(super) const BASES: usize = 1024;
/// Of one matrix.
pub(super) const PARTS: usize = 1024;

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Group {
    pub targets: Vec<String>,
    #[serde(skip_serializing)]
    pub description: Option<String>,
}

/// What all files together say.
#[derive(Clone, Debug, Default)]
pub struct Bake {
    pub groups: BTreeMap<String, Group>,
    targets: BTreeMap<String, Target>,
    overrides: Vec<Override>,
    pub variables: Vec<KnownVariable>,
}

/// A variable as it is listed.
#[derive(Clone, Debug)]
pub struct KnownVariable {
    pub name: String,
    /// What its type is called, if one was said.
    pub kind: Option<String>,
    /// None: it is null.
    pub value: Option<String>,
    pub about: String,
}

/// A type in the words of HCL's own library: `list(string)` is a `list of string`.
fn type_name(kind: &Expression) -> String {
    match kind {
        Expression::FuncCall(call) => {
            let name = call.name.name.to_string();
            match (name.as_str(), call.args.first()) {
                ("list" | "set" | "map", Some(of)) => format!("{name} of {}", type_name(of)),
                _ => name,
            }
        }
        Expression::Variable(name) if name.as_str() == "any" => "dynamic".to_owned(),
        Expression::Variable(name) => name.as_str().to_owned(),
        other => other.to_string(),
    }
}

/// Groups that were gone through, and targets that were found.
#[derive(Default)]
struct Taken {
    groups: HashSet<String>,
    targets: HashSet<String>,
}

/// What one target inherits: computed once each.
#[derive(Default)]
struct Below {
    above: Vec<String>,
    known: BTreeMap<String, Target>,
    laid: usize,
}

/// Reads the files in their order: a later one lies over the earlier ones. `dotenv` has variables for compose files that the
/// host has not.
pub fn bake(
    files: &[BakeFile],
    dotenv: Option<&BakeFile>,
    overrides: Vec<Override>,
    lookup: Lookup<'_>,
    known: &[(&str, String)],
) -> Result<Bake, BakeError> {
    let mut declared = Declared::default();
    let mut bake = Bake::default();
    for file in files {
        let lower = file.name.to_ascii_lowercase();
        let is_yaml = lower.ends_with(".yml") || lower.ends_with(".yaml");
        if is_yaml || looks_like_compose(file) {
            let unset = &|_: &str| {};
            let own = dotenv.map(|dotenv| {
                let read = dotenv::read(&dotenv.text, Variables { lookup, unset });
                read.map_err(|source| BakeError::Dotenv {
                    file: dotenv.name.clone(),
                    source,
                })
            });
            let own = own.transpose()?.unwrap_or_default();
            let lookup = |name: &str| lookup(name).or_else(|| own.get(name).cloned());
            compose::read(&mut bake, file, &lookup)?;
        } else if lower.ends_with(".json") {
            declared.read_json(file)?;
        } else {
            declared.read_hcl(file)?;
        }
    }
    let evaluator = Evaluator::new(&declared, lookup, known);
    evaluator.validate()?;
    for (file, name, keys) in &declared.groups {
        let document = document(
            &evaluator,
            file,
            &format!("group {name:?}"),
            keys,
            &Locals::new(),
        )?;
        let group = serde_json::from_value(document).map_err(|source| BakeError::Group {
            file: file.clone(),
            group: name.clone(),
            source,
        })?;
        bake.groups.insert(name.clone(), group);
    }
    for (file, name, keys) in &declared.targets {
        bake.read_target(&evaluator, file, name, keys)?;
    }
    for (name, variable) in &declared.variables {
        let value = |expression: &Expression| {
            let value = evaluator.value(expression, &Locals::new());
            value.map_err(|source| BakeError::Value {
                file: "variable".to_owned(),
                place: name.clone(),
                source,
            })
        };
        let own = Expression::Variable(hcl::expr::Variable::unchecked(name.as_str()));
        let shown = value(&own)?;
        let json = || serde_json::to_string(&shown).unwrap_or_default();
        let shown = match &shown {
            Value::Null => None,
            shown => Some(functions::text(shown).unwrap_or_else(json)),
        };
        let about = variable.description.as_ref().map(value).transpose()?;
        let about = about.and_then(|about| functions::text(&about));
        bake.variables.push(KnownVariable {
            name: name.clone(),
            kind: variable.kind.as_ref().map(type_name),
            value: shown,
            about: about.unwrap_or_default(),
        });
    }
    for one in &overrides {
        if !bake.targets.keys().any(|name| one.fits(name)) {
            let pattern = one.pattern().to_owned();
            return Err(BakeError::Pattern { pattern });
        }
    }
    bake.overrides = overrides;
    Ok(bake)
}

/// A file without an ending that tells.
fn looks_like_compose(file: &BakeFile) -> bool {
    let is_other = file.name.ends_with(".hcl") || file.name.ends_with(".json");
    !is_other && file.text.lines().any(|line| line.trim_end() == "services:")
}

fn document(
    evaluator: &Evaluator<'_>,
    file: &str,
    place: &str,
    keys: &Keys,
    locals: &Locals,
) -> Result<serde_json::Value, BakeError> {
    let mut document = serde_json::Map::new();
    for (key, expression) in keys {
        let failed = |source| BakeError::Value {
            file: file.to_owned(),
            place: format!("{place}: {key}"),
            source,
        };
        let value = evaluator.value(expression, locals).map_err(failed)?;
        if value == Value::Null {
            continue;
        }
        let value = serde_json::to_value(&value)
            .map_err(|error| failed(super::eval::EvalError::Hcl(error.to_string())))?;
        document.insert(key.clone(), value);
    }
    Ok(document.into())
}

fn checked_name(name: &str) -> Result<(), BakeError> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match !name.is_empty() && name.chars().all(is_fine) {
        true => Ok(()),
        false => Err(BakeError::Name {
            name: name.to_owned(),
        }),
    }
}

impl Bake {
    /// One target, or one for each part of its matrix and a group of these.
    fn read_target(
        &mut self,
        evaluator: &Evaluator<'_>,
        file: &str,
        name: &str,
        keys: &Keys,
    ) -> Result<(), BakeError> {
        let place = format!("target {name:?}");
        let key = |wanted: &str| keys.iter().find(|(key, _)| key == wanted);
        let plain = |(key, _): &&(String, Expression)| !matches!(key.as_str(), "matrix" | "name");
        let rest: Keys = keys.iter().filter(plain).cloned().collect();
        let Some((_, matrix)) = key("matrix") else {
            let document = document(evaluator, file, &place, &rest, &Locals::new())?;
            return self.lay_down(file, name, document);
        };
        let wrong = || BakeError::Matrix {
            target: name.to_owned(),
        };
        let failed = |source| BakeError::Value {
            file: file.to_owned(),
            place: place.clone(),
            source,
        };
        let Some((_, pattern)) = key("name") else {
            return Err(wrong());
        };
        let matrix = evaluator.value(matrix, &Locals::new()).map_err(failed)?;
        let matrix = matrix.as_object().ok_or_else(wrong)?;
        let mut parts = vec![Locals::new()];
        for (axis, values) in matrix {
            let values = values.as_array().ok_or_else(wrong)?;
            if parts.len().saturating_mul(values.len()) > PARTS {
                let target = name.to_owned();
                return Err(BakeError::Parts { target });
            }
            let of_part = |part: &Locals| {
                let part = part.clone();
                let axis = axis.clone();
                values.iter().map(move |value| {
                    let mut part = part.clone();
                    part.insert(axis.clone(), value.clone());
                    part
                })
            };
            parts = parts.iter().flat_map(of_part).collect();
        }
        let mut names: Vec<String> = Vec::new();
        for part in &parts {
            evaluator.spend_locals(part).map_err(failed)?;
            let value = evaluator.value(pattern, part).map_err(failed)?;
            let part_name = functions::text(&value).ok_or_else(wrong)?;
            if names.contains(&part_name) {
                return Err(wrong());
            }
            let document = document(evaluator, file, &place, &rest, part)?;
            self.lay_down(file, &part_name, document)?;
            names.push(part_name);
        }
        let group = Group {
            targets: names,
            description: None,
        };
        self.groups.insert(name.to_owned(), group);
        Ok(())
    }

    fn lay_down(
        &mut self,
        file: &str,
        name: &str,
        document: serde_json::Value,
    ) -> Result<(), BakeError> {
        let target = serde_json::from_value(document).map_err(|source| BakeError::Target {
            file: file.to_owned(),
            target: name.to_owned(),
            source,
        })?;
        self.add(name, target)
    }

    pub(super) fn add(&mut self, name: &str, target: Target) -> Result<(), BakeError> {
        checked_name(name)?;
        let known = self.targets.entry(name.to_owned()).or_default();
        known.lay_over(target);
        Ok(())
    }

    /// The names of all targets and groups in their order, each with what it is for, and whether it is a group; of a group its targets are
    /// said too, as buildx has it.
    pub fn known(&self) -> Vec<(String, String, bool)> {
        let of_group = |group: &Group| {
            let targets = group.targets.join(", ");
            match &group.description {
                Some(about) => format!("{about} ({targets})"),
                None => targets,
            }
        };
        let groups = self.groups.iter();
        let groups = groups.map(|(name, group)| (name.clone(), of_group(group), true));
        let about = |target: &Target| target.description.clone().unwrap_or_default();
        let targets = self.targets.iter();
        let targets = targets.map(|(name, target)| (name.clone(), about(target), false));
        let mut all: Vec<_> = groups.chain(targets).collect();
        all.sort();
        all
    }

    /// The targets that these words, of targets and groups, come to, each once.
    pub fn wanted(&self, words: &[String]) -> Result<Vec<String>, BakeError> {
        let mut wanted = Vec::new();
        let mut taken = Taken::default();
        for word in words {
            self.take(word, &mut Vec::new(), &mut taken, &mut wanted)?;
        }
        Ok(wanted)
    }

    fn take(
        &self,
        word: &str,
        within: &mut Vec<String>,
        taken: &mut Taken,
        wanted: &mut Vec<String>,
    ) -> Result<(), BakeError> {
        let name = word.to_owned();
        if within.contains(&name) {
            return Err(BakeError::Circle { name });
        }
        let Some(group) = self.groups.get(word) else {
            if !self.targets.contains_key(word) {
                return Err(BakeError::Unknown { name });
            }
            if taken.targets.insert(name.clone()) {
                wanted.push(name);
            }
            return Ok(());
        };
        if taken.groups.contains(word) {
            return Ok(());
        }
        if within.len() >= DEPTH {
            return Err(BakeError::Deep { name });
        }
        within.push(name);
        for member in &group.targets {
            // A group and a target may have one name: it is the target that the group means.
            if within.last().is_some_and(|last| last == member) && self.targets.contains_key(member)
            {
                if taken.targets.insert(member.clone()) {
                    wanted.push(member.clone());
                }
                continue;
            }
            self.take(member, within, taken, wanted)?;
        }
        within.pop();
        taken.groups.insert(word.to_owned());
        Ok(())
    }

    /// A target with all that it inherits.
    pub fn target(&self, name: &str, lookup: Lookup<'_>) -> Result<Target, BakeError> {
        let mut target = self.inherited(name, &mut Below::default(), lookup)?;
        target.inherits.clear();
        let usual = |text: &str| Some(text.to_owned());
        target.context = target.context.or_else(|| usual("."));
        if target.dockerfile_inline.is_none() {
            target.dockerfile = target.dockerfile.or_else(|| usual("Dockerfile"));
        }
        // What has no value is not given.
        target.args.retain(|_, value| value.is_some());
        target.labels.retain(|_, value| value.is_some());
        Ok(target)
    }

    fn inherited(
        &self,
        name: &str,
        below: &mut Below,
        lookup: Lookup<'_>,
    ) -> Result<Target, BakeError> {
        let name = name.to_owned();
        if let Some(known) = below.known.get(&name) {
            return Ok(known.clone());
        }
        let Some(own) = self.targets.get(&name) else {
            return Err(BakeError::Unknown { name });
        };
        if below.above.contains(&name) {
            return Err(BakeError::Circle { name });
        }
        if below.above.len() >= DEPTH {
            return Err(BakeError::Deep { name });
        }
        below.above.push(name.clone());
        let mut target = Target::default();
        for base in &own.inherits {
            below.laid += 1;
            if below.laid > BASES {
                let name = below.above.swap_remove(0);
                return Err(BakeError::Bases { name });
            }
            target.lay_over(self.inherited(base, below, lookup)?);
        }
        below.above.pop();
        target.lay_over(own.clone());
        let fitting = self.overrides.iter().filter(|one| one.fits(&name));
        target.override_with(&fitting.collect::<Vec<_>>(), lookup)?;
        below.known.insert(name, target.clone());
        Ok(target)
    }
}
