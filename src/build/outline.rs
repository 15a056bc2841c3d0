//! What a Dockerfile offers whoever builds it: its targets, and the arguments, secrets, agents and caches of one. Builds nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::check::{Read, read};
use super::dockerfile::{
    ArgDeclaration, Dockerfile, Instruction, Located, Location, RunMount, Source, parse,
};
use super::error::BuildError;
use super::plan::Base;
use super::request::BuildRequest;
use super::scope::{Arguments, Given};

/// One stage that can be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// None: it has only its number.
    pub name: Option<String>,
    pub number: usize,
    pub is_default: bool,
    pub description: String,
    pub base: String,
    pub platform: String,
    pub location: Location,
}

/// What a target takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    pub name: Option<String>,
    pub description: String,
    pub arguments: Vec<Argument>,
    pub secrets: Vec<Need>,
    pub agents: Vec<Need>,
    pub caches: Vec<Need>,
}

/// `ARG`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    pub name: String,
    pub value: String,
    pub description: String,
    pub location: Location,
}

/// Something that a `RUN` mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    pub id: String,
    pub required: bool,
    pub location: Location,
}

/// Every stage, in the order of the file.
pub fn targets(request: &BuildRequest) -> Result<(Source, Vec<Target>), BuildError> {
    let file = parse(&request.dockerfile_name, &request.dockerfile)?;
    let last = file.stages.len() - 1;
    let stages = file.stages.iter().enumerate();
    let targets = stages.map(|(number, stage)| Target {
        name: stage.name.clone(),
        number,
        is_default: number == last,
        description: stage.description.clone().unwrap_or_default(),
        base: stage.base.text.clone(),
        platform: stage
            .platform
            .as_ref()
            .map(|word| word.text.clone())
            .unwrap_or_default(),
        location: stage.location,
    });
    let targets = targets.collect();
    Ok((file.source, targets))
}

/// What the target and the stages that it needs take.
pub fn outline(request: &BuildRequest) -> Result<(Source, Outline), BuildError> {
    let Read { file, given, plan } = read(request)?;
    let target = &file.stages[plan.target];
    let mut outline = Outline {
        name: target.name.clone(),
        description: target.description.clone().unwrap_or_default(),
        ..Outline::default()
    };
    let mut used = BTreeSet::new();
    // A stage comes behind the one that it is built on.
    let mut all: BTreeMap<usize, Arguments> = BTreeMap::new();
    for number in &plan.needed {
        let stage = &file.stages[*number];
        let words = [Some(&stage.base), stage.platform.as_ref()];
        for word in words.into_iter().flatten() {
            note_uses(&file, &given, &word.text, &mut used);
        }
        let base = plan.bases[*number].as_ref();
        let mut arguments = match base {
            Some((Base::Stage(earlier), _)) => all.get(earlier).cloned().unwrap_or_default(),
            _ => Arguments::default(),
        };
        for instruction in &stage.instructions {
            match &instruction.value {
                Instruction::Arg(declarations) => {
                    for declaration in declarations {
                        let found = declared(&file, &given, &arguments, declaration)?;
                        if let (None, Some(_)) = (&declaration.default, &found) {
                            used.insert(declaration.name.text.clone());
                        }
                        let has_default = declaration.default.is_some();
                        arguments.declare(&declaration.name.text, found.clone());
                        if has_default || !is_global(&file, &declaration.name.text) {
                            outline.add(declaration, found);
                        }
                    }
                }
                Instruction::Run(_) => {
                    outline.add_mounts(&file, &given, &arguments, instruction)?;
                }
                Instruction::Env(pairs) => {
                    for (name, _) in pairs {
                        arguments.hide(&name.text);
                    }
                }
                _ => {}
            }
        }
        all.insert(*number, arguments);
    }
    let globals = file.globals.iter().rev().map(|global| &global.value);
    for global in globals.filter(|global| used.contains(&global.name.text)) {
        let value = given.global(&global.name.text);
        outline.arguments.insert(0, argument(global, value));
    }
    Ok((file.source, outline))
}

/// The global arguments that a text of a `FROM` has.
fn note_uses(file: &Dockerfile, given: &Given, text: &str, used: &mut BTreeSet<String>) {
    let noted = std::cell::RefCell::new(used);
    let lookup = |name: &str| {
        noted.borrow_mut().insert(name.to_owned());
        given.global(name)
    };
    // What can't be expanded has stopped the plan.
    drop(super::dockerfile::expand(
        text,
        file.directives.escape,
        &lookup,
    ));
}

fn is_global(file: &Dockerfile, name: &str) -> bool {
    let mut globals = file.globals.iter();
    globals.any(|global| global.value.name.text == name)
}

fn declared(
    file: &Dockerfile,
    given: &Given,
    arguments: &Arguments,
    declaration: &ArgDeclaration,
) -> Result<Option<String>, BuildError> {
    let lookup = |name: &str| arguments.get(name);
    let default = match &declaration.default {
        Some(word) => Some(file.source.expand(word, file.directives.escape, &lookup)?),
        None => None,
    };
    Ok(given.in_stage(&declaration.name.text, default))
}

fn argument(declaration: &ArgDeclaration, value: Option<String>) -> Argument {
    Argument {
        name: declaration.name.text.clone(),
        value: value.unwrap_or_default(),
        description: declaration.description.clone().unwrap_or_default(),
        location: declaration.name.location,
    }
}

impl Outline {
    fn add(&mut self, declaration: &ArgDeclaration, value: Option<String>) {
        let new = argument(declaration, value);
        match self.arguments.iter_mut().find(|one| one.name == new.name) {
            Some(known) => *known = new,
            None => self.arguments.push(new),
        }
    }

    fn add_mounts(
        &mut self,
        file: &Dockerfile,
        given: &Given,
        arguments: &Arguments,
        instruction: &Located<Instruction>,
    ) -> Result<(), BuildError> {
        let Instruction::Run(run) = &instruction.value else {
            return Ok(());
        };
        let lookup = |name: &str| arguments.get(name).or_else(|| given.global(name));
        for text in &run.mounts {
            let mount = file.source.mount(text, file.directives.escape, &lookup)?;
            let (list, id, required) = match mount {
                RunMount::Secret(secret) => (&mut self.secrets, secret.id, secret.required),
                RunMount::Ssh(ssh) => (&mut self.agents, ssh.id, ssh.required),
                RunMount::Cache(cache) => {
                    (&mut self.caches, cache.id.unwrap_or(cache.target), false)
                }
                RunMount::Bind(_) | RunMount::Tmpfs(_) => continue,
            };
            match list.iter_mut().find(|need| need.id == id) {
                Some(known) => known.required |= required,
                None => list.push(Need {
                    id,
                    required,
                    location: text.location,
                }),
            }
        }
        Ok(())
    }
}
