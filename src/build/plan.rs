//! Which stages a build needs, and what each of them begins with. Pure.

use std::collections::BTreeSet;

use super::dockerfile::{Dockerfile, DockerfileError, Instruction, Location, Stage};
use super::error::{BuildError, Place, StepError};
use super::scope::Given;
use crate::image::Platform;

/// What a stage begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    Scratch,
    /// An earlier one.
    Stage(usize),
    /// An image, by its name.
    Image(String),
}

/// A name that `--from` gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    Stage(usize),
    /// A named context or an image.
    Other(String),
}

/// The stages of a build.
#[derive(Clone, Debug)]
pub struct Plan {
    pub target: usize,
    /// Those that the target needs, itself too.
    pub needed: BTreeSet<usize>,
    /// Of every needed stage.
    pub bases: Vec<Option<(Base, Option<Platform>)>>,
}

/// Finds the stage that is asked for: by name or number, or the last one.
pub fn target(file: &Dockerfile, wanted: Option<&str>) -> Result<usize, BuildError> {
    let Some(wanted) = wanted else {
        return Ok(file.stages.len() - 1);
    };
    let lower = wanted.to_lowercase();
    let named = |stage: &Stage| stage.name.as_deref() == Some(lower.as_str());
    let found = file.stages.iter().rposition(named);
    let number = wanted.parse::<usize>().ok();
    found
        .or(number.filter(|number| *number < file.stages.len()))
        .ok_or_else(|| BuildError::Target {
            name: wanted.to_owned(),
        })
}

/// Arguments before the first `FROM`.
pub fn declare_globals(file: &Dockerfile, given: &mut Given) -> Result<(), DockerfileError> {
    let escape = file.directives.escape;
    for declaration in &file.globals {
        let lookup = |name: &str| given.global(name);
        let value = &declaration.value;
        let name = file.source.expand(&value.name, escape, &lookup)?;
        let default = value
            .default
            .as_ref()
            .map(|word| file.source.expand(word, escape, &lookup))
            .transpose()?;
        given.declare(&name, default);
    }
    Ok(())
}

/// What the target needs.
pub fn plan(
    file: &Dockerfile,
    target: usize,
    given: &Given,
    is_context: &dyn Fn(&str) -> bool,
) -> Result<Plan, BuildError> {
    let mut plan = Plan {
        target,
        needed: BTreeSet::new(),
        bases: vec![None; file.stages.len()],
    };
    let mut waiting = vec![target];
    while let Some(number) = waiting.pop() {
        if !plan.needed.insert(number) {
            continue;
        }
        let stage = &file.stages[number];
        let base = base(file, number, given, is_context)?;
        if let (Base::Stage(earlier), _) = base {
            waiting.push(earlier);
        }
        plan.bases[number] = Some(base);
        for instruction in &stage.instructions {
            for (from, location) in froms(&instruction.value) {
                match resolve_from(file, number, from, is_context) {
                    Some(From::Stage(earlier)) => waiting.push(earlier),
                    Some(From::Other(_)) => {}
                    None => {
                        return Err(BuildError::Step {
                            place: Box::new(Place::of(&file.source, location, &instruction.text)),
                            source: StepError::LaterStage {
                                name: from.to_owned(),
                            },
                        });
                    }
                }
            }
        }
    }
    Ok(plan)
}

/// The names of all arguments that what is built declares.
pub fn declared(file: &Dockerfile, plan: &Plan) -> Vec<String> {
    let stages = plan.needed.iter();
    let instructions = stages.flat_map(|number| &file.stages[*number].instructions);
    let of_stages = instructions.filter_map(|instruction| match &instruction.value {
        Instruction::Arg(declarations) => Some(declarations),
        _ => None,
    });
    let globals = file.globals.iter().map(|declaration| &declaration.value);
    let all = globals.chain(of_stages.flatten());
    all.map(|declaration| declaration.name.text.clone())
        .collect()
}

fn base(
    file: &Dockerfile,
    number: usize,
    given: &Given,
    is_context: &dyn Fn(&str) -> bool,
) -> Result<(Base, Option<Platform>), BuildError> {
    let stage = &file.stages[number];
    let escape = file.directives.escape;
    let lookup = |name: &str| given.global(name);
    let failed = |source| BuildError::Step {
        place: Box::new(Place::of(&file.source, stage.location, &stage.text)),
        source,
    };
    let name = file.source.expand(&stage.base, escape, &lookup)?;
    if name.is_empty() {
        return Err(failed(StepError::BlankBase {
            word: stage.base.text.clone(),
        }));
    }
    let platform = match &stage.platform {
        None => None,
        Some(word) => {
            let text = file.source.expand(word, escape, &lookup)?;
            let parsed = (!text.is_empty()).then(|| text.parse::<Platform>());
            parsed
                .transpose()
                .map_err(|error| failed(StepError::Platform(error)))?
        }
    };
    let lower = name.to_lowercase();
    let earlier = file.stages[..number]
        .iter()
        .rposition(|stage| stage.name.as_deref() == Some(lower.as_str()));
    let base = match earlier {
        Some(earlier) => Base::Stage(earlier),
        None if name == "scratch" && !is_context(&name) => Base::Scratch,
        None => Base::Image(name),
    };
    Ok((base, platform))
}

/// What a name after `--from` in a stage is; None: that stage itself or a later one.
pub fn resolve_from(
    file: &Dockerfile,
    in_stage: usize,
    name: &str,
    is_context: &dyn Fn(&str) -> bool,
) -> Option<From> {
    let lower = name.to_lowercase();
    let named = |stage: &Stage| stage.name.as_deref() == Some(lower.as_str());
    if let Some(earlier) = file.stages[..in_stage].iter().rposition(named) {
        return Some(From::Stage(earlier));
    }
    if is_context(name) {
        return Some(From::Other(name.to_owned()));
    }
    if file.stages[in_stage..].iter().any(named) {
        return None;
    }
    match name.parse::<usize>() {
        Ok(number) if number < in_stage => Some(From::Stage(number)),
        Ok(_) => None,
        Err(_) => Some(From::Other(name.to_owned())),
    }
}

/// The names that an instruction takes files from.
pub fn froms(instruction: &Instruction) -> Vec<(&str, Location)> {
    match instruction {
        Instruction::Copy(copy) => {
            let from = copy.from.iter();
            from.map(|word| (word.text.as_str(), word.location))
                .collect()
        }
        Instruction::Run(run) => {
            let mounts = run.mounts.iter().filter_map(|mount| mount.from());
            mounts
                .map(|word| (word.text.as_str(), word.location))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// What progress and errors call a stage: its name, or its number where there are several.
pub fn label(file: &Dockerfile, number: usize) -> String {
    match &file.stages[number].name {
        Some(name) => name.clone(),
        None if file.stages.len() > 1 => format!("stage-{number}"),
        None => String::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::dockerfile::parse;
    use super::*;
    use std::collections::BTreeMap;

    fn planned(text: &str, wanted: Option<&str>) -> Result<Plan, BuildError> {
        let file = parse("Dockerfile", text.as_bytes()).unwrap();
        let mut given = Given::new(BTreeMap::new(), &Platform::host(), "");
        declare_globals(&file, &mut given).unwrap();
        plan(&file, target(&file, wanted)?, &given, &|_| false)
    }

    const FILE: &str = "ARG V=12\nFROM debian:$V AS base\nFROM base AS tools\nRUN x\nFROM scratch AS app\n\
        COPY --from=tools /a /a\nFROM alpine AS other\nCOPY --from=0 /b /b\nRUN --mount=from=busybox,target=/m x\n";

    #[test]
    fn only_what_the_target_needs_is_planned() {
        let plan = planned(FILE, Some("App")).unwrap();
        assert_eq!(plan.needed, BTreeSet::from([0, 1, 2]));
        let base = |number: usize| plan.bases[number].clone().unwrap().0;
        assert_eq!(base(0), Base::Image("debian:12".to_owned()));
        assert_eq!(base(1), Base::Stage(0));
        assert_eq!(base(2), Base::Scratch);
        assert_eq!(planned(FILE, None).unwrap().needed, BTreeSet::from([0, 3]));
        assert_eq!(planned(FILE, Some("1")).unwrap().target, 1);
        assert!(planned(FILE, Some("nothing")).is_err());
    }

    #[test]
    fn a_stage_takes_nothing_from_itself_or_a_later_one() {
        for text in [
            "FROM a AS x\nCOPY --from=y / /\nFROM b AS y\n",
            "FROM a AS x\nCOPY --from=x / /\n",
            "FROM a AS x\nCOPY --from=0 / /\n",
        ] {
            let error = planned(text, Some("0")).unwrap_err();
            assert!(error.to_string().starts_with("Dockerfile:2:"), "{error}");
        }
        let error = planned("ARG B\nFROM $B\n", None).unwrap_err();
        assert!(error.to_string().contains("should not be blank"), "{error}");
    }
}
