//! Looks for what `--check` tells: BuildKit's rules on a parsed file. Never changes a build, and asks no registry.

mod stage;
mod variables;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::ast::{Check, Dockerfile, Stage};
use super::finding::{Finding, Rule};
use super::ignore::Ignore;
use super::source::Location;
use super::{Source, expand};
use crate::image::{Platform, Reference};
use variables::Variables;

/// What the build adds to the file.
pub struct LintContext<'a> {
    /// `--build-arg`.
    pub build_arguments: &'a BTreeMap<String, String>,
    /// `TARGETPLATFORM`, `BUILDARCH` and the others that every `FROM` knows.
    pub platform_arguments: &'a BTreeMap<String, String>,
    /// The names of the variables that an image sets. `None`: not known, so nothing is said of variables of its stages.
    pub image_variables: &'a dyn Fn(&str) -> Option<Vec<String>>,
    /// The context's, if it has one.
    pub ignore: Option<&'a Ignore>,
    /// What the command line adds to the file's `# check=`.
    pub check: Option<&'a Check>,
}

impl Finding {
    /// Told by whoever has got the base image.
    pub fn base_platform(
        location: Location,
        image: &str,
        expected: &Platform,
        actual: &Platform,
    ) -> Finding {
        let message = format!(
            "Base image {image} was pulled with platform \"{actual}\", expected \"{expected}\" for current build"
        );
        Finding::new(Rule::InvalidBaseImagePlatform, location, message)
    }
}

impl Check {
    /// Whether findings of a rule are told.
    pub fn wants(&self, rule: Rule) -> bool {
        let names = |list: &[String]| {
            list.iter()
                .any(|name| name == "all" || name.eq_ignore_ascii_case(rule.name()))
        };
        !names(&self.skip) && (!rule.is_experimental() || names(&self.experimental))
    }
}

/// Everything that is found, in the order of the file, without what is to be skipped.
pub fn lint(dockerfile: &Dockerfile, context: &LintContext) -> Vec<Finding> {
    let mut findings = dockerfile.remarks.clone();
    casing(dockerfile, &mut findings);
    stage_names(&dockerfile.stages, &mut findings);
    let globals = globals(dockerfile, context, true);
    default_bases(dockerfile, context, &mut findings);
    for stage in &dockerfile.stages {
        from(dockerfile, stage, &globals, &mut findings);
    }
    stage::lint_all(dockerfile, context, &globals, &mut findings);
    let mut check = dockerfile.directives.check.clone().unwrap_or_default();
    if let Some(more) = context.check {
        check.skip.extend_from_slice(&more.skip);
        check.experimental.extend_from_slice(&more.experimental);
    }
    findings.retain(|finding| check.wants(finding.rule));
    findings.sort();
    findings.dedup();
    findings
}

/// The global arguments and their values, as `FROM` sees them.
fn globals(
    dockerfile: &Dockerfile,
    context: &LintContext,
    with_build_arguments: bool,
) -> Variables {
    let mut globals = Variables::new();
    for (name, value) in context.platform_arguments {
        globals.set(name, Some(value.clone()));
    }
    for global in &dockerfile.globals {
        let declaration = &global.value;
        let name = &declaration.name.text;
        let given = context
            .build_arguments
            .get(name)
            .filter(|_| with_build_arguments)
            .cloned();
        let default = || {
            let default = declaration.default.as_ref()?;
            expand(&default.text, dockerfile.directives.escape, &|name| {
                globals.value(name)
            })
            .ok()
        };
        let value = given.or_else(default);
        globals.set(name, value);
    }
    globals
}

/// A name that is probably meant; a file with hundreds of findings needs other help.
fn suggest<'v>(variables: &'v Variables, name: &str, findings: &[Finding]) -> Option<&'v str> {
    const MANY: usize = 200;
    (findings.len() < MANY)
        .then(|| variables.nearest(name))
        .flatten()
}

/// Which variables a text uses: those that are set, and those that are not.
struct Used {
    text: String,
    set: BTreeSet<String>,
    unset: BTreeSet<String>,
}

/// `None`: the text can't be expanded, which the build itself tells.
fn uses(text: &str, escape: char, lookup: &dyn Fn(&str) -> Option<String>) -> Option<Used> {
    let used = RefCell::new((BTreeSet::new(), BTreeSet::new()));
    let noting = |name: &str| {
        let value = lookup(name);
        let (set, unset) = &mut *used.borrow_mut();
        if value.is_some() { set } else { unset }.insert(name.to_owned());
        value
    };
    let text = expand(text, escape, &noting).ok()?;
    let (set, unset) = used.into_inner();
    Some(Used { text, set, unset })
}

/// The keyword of an instruction as it is written.
fn keyword(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

fn casing(dockerfile: &Dockerfile, findings: &mut Vec<Finding>) {
    let words = || {
        dockerfile.stages.iter().flat_map(|stage| {
            let instructions = stage.instructions.iter();
            std::iter::once((keyword(&stage.text), stage.location)).chain(
                instructions.map(|instruction| (keyword(&instruction.text), instruction.location)),
            )
        })
    };
    let is_lower = |word: &str| word == word.to_lowercase();
    let is_upper = |word: &str| word == word.to_uppercase();
    let lower = words().filter(|(word, _)| is_lower(word)).count();
    let upper = words().filter(|(word, _)| is_upper(word)).count();
    for (word, location) in words() {
        let (fits, majority) = match lower > upper {
            true => (is_lower(word), "lowercase"),
            false => (is_upper(word), "uppercase"),
        };
        if !fits {
            let message = format!(
                "Command '{word}' should match the case of the command majority ({majority})"
            );
            findings.push(Finding::new(
                Rule::ConsistentInstructionCasing,
                location,
                message,
            ));
        }
    }
}

fn stage_names(stages: &[Stage], findings: &mut Vec<Finding>) {
    let mut seen = BTreeSet::new();
    for stage in stages {
        let Some(name) = &stage.name else {
            continue;
        };
        if matches!(name.as_str(), "context" | "scratch") {
            let message =
                format!("Stage name should not use the same name as reserved stage \"{name}\"");
            findings.push(Finding::new(
                Rule::ReservedStageName,
                stage.location,
                message,
            ));
        }
        if !seen.insert(name) {
            let message = format!("Duplicate stage name \"{name}\", stage names should be unique");
            findings.push(Finding::new(
                Rule::DuplicateStageName,
                stage.location,
                message,
            ));
        }
    }
}

/// With the defaults alone, every base has to be an image's name.
fn default_bases(dockerfile: &Dockerfile, context: &LintContext, findings: &mut Vec<Finding>) {
    let defaults = globals(dockerfile, context, false);
    for stage in &dockerfile.stages {
        let base = expand(&stage.base.text, dockerfile.directives.escape, &|name| {
            defaults.value(name)
        });
        if base.is_ok_and(|base| base.parse::<Reference>().is_err()) {
            let message = format!(
                "Default value for ARG {} results in empty or invalid base image name",
                stage.base.text
            );
            findings.push(Finding::new(
                Rule::InvalidDefaultArgInFrom,
                stage.location,
                message,
            ));
        }
    }
}

fn from(dockerfile: &Dockerfile, stage: &Stage, globals: &Variables, findings: &mut Vec<Finding>) {
    let escape = dockerfile.directives.escape;
    let lookup = |name: &str| globals.value(name);
    let words = [Some(&stage.base), stage.platform.as_ref()];
    for used in words
        .into_iter()
        .flatten()
        .filter_map(|word| uses(&word.text, escape, &lookup))
    {
        for name in used.unset.iter().filter(|name| !globals.is_declared(name)) {
            let mut message = format!("FROM argument '{name}' is not declared");
            if let Some(nearest) = suggest(globals, name, findings) {
                message += &format!(" (did you mean {nearest}?)");
            }
            findings.push(Finding::new(
                Rule::UndefinedArgInFrom,
                stage.location,
                message,
            ));
        }
    }
    let Some(platform) = &stage.platform else {
        return;
    };
    let Some(used) = uses(&platform.text, escape, &lookup) else {
        return;
    };
    let only_target = used.set.iter().eq(["TARGETPLATFORM"]) && used.unset.is_empty();
    if only_target
        && globals
            .value("TARGETPLATFORM")
            .is_some_and(|target| target == used.text)
    {
        let message = format!(
            "Setting platform to predefined {} in FROM is redundant as this is the default behavior",
            platform.text
        );
        findings.push(Finding::new(
            Rule::RedundantTargetPlatform,
            stage.location,
            message,
        ));
    }
    if used.set.is_empty() && used.unset.is_empty() {
        constant_platform(stage, &used.text, findings);
    }
}

/// A stage that is named after its platform is meant to be for that one.
fn constant_platform(stage: &Stage, platform: &str, findings: &mut Vec<Finding>) {
    let Ok(parsed) = platform.parse::<Platform>() else {
        return;
    };
    let name = stage.name.as_deref().unwrap_or_default();
    if !name.contains(&parsed.os) && !name.contains(&parsed.architecture) {
        let message = format!("FROM --platform flag should not use constant value \"{platform}\"");
        findings.push(Finding::new(
            Rule::FromPlatformFlagConstDisallowed,
            stage.location,
            message,
        ));
    }
}

impl Source {
    /// `Dockerfile:3`, the rule and its message, then the line with a caret, for a terminal.
    pub fn finding(&self, finding: &Finding) -> String {
        let Location { line, column, .. } = finding.location;
        format!(
            "{}:{line}:{column}: {}: {}\n{}",
            self.name,
            finding.rule.name(),
            finding.message,
            super::excerpt(line, column, self.line(line))
        )
    }
}

#[cfg(test)]
#[path = "lint_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
