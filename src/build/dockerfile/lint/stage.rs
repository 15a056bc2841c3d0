//! The rules on the instructions of a stage. Never looks at `FROM` or at other stages' lines.

use super::super::ast::{Command, Dockerfile, Heredoc, Instruction, Located, Stage, Word};
use super::super::finding::{Finding, Rule};
use super::super::ignore::clean;
use super::super::source::Location;
use super::super::{expand, expand_heredoc};
use super::variables::Variables;
use super::{LintContext, keyword, suggest, uses};

/// Given to scanners, so nobody declares them.
const SCANNER_ARGUMENTS: [&str; 2] = ["BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"];
/// Parts of names that are secrets', unless a harmless part is beside them.
const SECRET_WORDS: [&str; 10] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "password",
    "pword",
    "passwd",
    "secret",
    "token",
];
/// Of a file with more stages the rest is not looked at: each begins with the variables of another.
const MAX_STAGES: usize = 1_000;
const HARMLESS_WORDS: [&str; 3] = ["public", "file", "version"];

/// What a stage hands on to those that begin with it.
#[derive(Clone, Default)]
struct State {
    environment: Variables,
    arguments: Variables,
    has_shell: bool,
    has_workdir: bool,
}

/// Where each instruction of which only the last one counts was last seen.
#[derive(Default)]
struct Last {
    cmd: Option<Location>,
    entrypoint: Option<Location>,
    healthcheck: Option<Location>,
}

struct Linter<'a> {
    dockerfile: &'a Dockerfile,
    context: &'a LintContext<'a>,
    globals: &'a Variables,
    findings: &'a mut Vec<Finding>,
    state: State,
    last: Last,
}

pub fn lint_all(
    dockerfile: &Dockerfile,
    context: &LintContext,
    globals: &Variables,
    findings: &mut Vec<Finding>,
) {
    let mut states: Vec<State> = Vec::new();
    for stage in dockerfile.stages.iter().take(MAX_STAGES) {
        let state = begin(dockerfile, context, globals, stage, &states);
        let mut linter = Linter {
            dockerfile,
            context,
            globals,
            findings,
            state,
            last: Last::default(),
        };
        for instruction in &stage.instructions {
            linter.instruction(instruction);
        }
        states.push(linter.state);
    }
}

/// What the base gives a stage.
fn begin(
    dockerfile: &Dockerfile,
    context: &LintContext,
    globals: &Variables,
    stage: &Stage,
    states: &[State],
) -> State {
    let lookup = |name: &str| globals.value(name);
    let base = expand(&stage.base.text, dockerfile.directives.escape, &lookup).unwrap_or_default();
    let lower = base.to_lowercase();
    let earlier = dockerfile.stages[..states.len()]
        .iter()
        .rposition(|earlier| earlier.name.as_ref() == Some(&lower));
    if let Some(index) = earlier {
        return states[index].clone();
    }
    let mut state = State::default();
    let names = match base.as_str() {
        "scratch" => Some(Vec::new()),
        image => (context.image_variables)(image),
    };
    state.environment.is_open = names.is_none();
    for name in names
        .unwrap_or_default()
        .iter()
        .map(String::as_str)
        .chain(["PATH"])
    {
        state.environment.set(name, Some(String::new()));
    }
    state
}

impl Linter<'_> {
    fn found(&mut self, rule: Rule, location: Location, message: String) {
        self.findings.push(Finding::new(rule, location, message));
    }

    fn value(&self, name: &str) -> Option<String> {
        self.state
            .environment
            .value(name)
            .or_else(|| self.state.arguments.value(name))
    }

    fn instruction(&mut self, located: &Located<Instruction>) {
        let location = located.location;
        let word = keyword(&located.text);
        self.undefined_variables(&located.value, location);
        match &located.value {
            Instruction::Arg(declarations) => {
                for declaration in declarations {
                    let name = &declaration.name.text;
                    self.secret("ARG", name, location);
                    let given = self.context.build_arguments.get(name).cloned();
                    let default = declaration
                        .default
                        .as_ref()
                        .and_then(|word| self.expanded(word));
                    let value = given.or(default).or_else(|| self.globals.value(name));
                    self.state.arguments.set(name, value);
                }
            }
            Instruction::Env(pairs) => {
                let expanded: Vec<_> = pairs
                    .iter()
                    .map(|(name, value)| (self.expanded(name), self.expanded(value)))
                    .collect();
                for (name, value) in expanded {
                    let Some(name) = name else { continue };
                    self.secret("ENV", &name, location);
                    self.state
                        .environment
                        .set(&name, Some(value.unwrap_or_default()));
                }
            }
            Instruction::Workdir(path) => self.workdir(path, location),
            Instruction::Shell(_) => self.state.has_shell = true,
            Instruction::Maintainer(_) => self.found(
                Rule::MaintainerDeprecated,
                location,
                "Maintainer instruction is deprecated in favor of using label".into(),
            ),
            Instruction::Cmd(command) => {
                let earlier = self.last.cmd.replace(location);
                self.once(word, earlier);
                self.json_form(command, word, location);
            }
            Instruction::Entrypoint(command) => {
                let earlier = self.last.entrypoint.replace(location);
                self.once(word, earlier);
                self.json_form(command, word, location);
            }
            Instruction::Healthcheck(_) => {
                let earlier = self.last.healthcheck.replace(location);
                self.once(word, earlier);
            }
            Instruction::Expose(ports) => self.ports(ports, location),
            Instruction::Copy(copy) if copy.from.is_none() => {
                self.ignored("Copy", &copy.sources, location)
            }
            Instruction::Add(add) => self.ignored("Add", &add.sources, location),
            _ => {}
        }
    }

    /// `None`: it can't be expanded, which the build itself tells.
    fn expanded(&self, word: &Word) -> Option<String> {
        expand(&word.text, self.dockerfile.directives.escape, &|name| {
            self.value(name)
        })
        .ok()
    }

    /// The place of the earlier one is told: it is the one without effect.
    fn once(&mut self, word: &str, earlier: Option<Location>) {
        if let Some(earlier) = earlier {
            let message = format!(
                "Multiple {word} instructions should not be used in the same stage because only the last one will be used"
            );
            self.found(Rule::MultipleInstructionsDisallowed, earlier, message);
        }
    }

    fn json_form(&mut self, command: &Command, word: &str, location: Location) {
        if matches!(command, Command::Shell(_)) && !self.state.has_shell {
            let message = format!(
                "JSON arguments recommended for {word} to prevent unintended behavior related to OS signals"
            );
            self.found(Rule::JSONArgsRecommended, location, message);
        }
    }

    fn workdir(&mut self, path: &Word, location: Location) {
        let Some(path) = self.expanded(path) else {
            return;
        };
        if !self.state.has_workdir && !path.starts_with('/') {
            let message = format!(
                "Relative workdir \"{path}\" can have unexpected results if the base image changes"
            );
            self.found(Rule::WorkdirRelativePath, location, message);
        }
        self.state.has_workdir = true;
    }

    fn secret(&mut self, instruction: &str, name: &str, location: Location) {
        let lower = name.to_lowercase();
        let has = |words: &[&str]| lower.split('_').any(|part| words.contains(&part));
        if has(&SECRET_WORDS) && !has(&HARMLESS_WORDS) {
            let message = format!(
                "Do not use ARG or ENV instructions for sensitive data ({instruction} \"{name}\")"
            );
            self.found(Rule::SecretsUsedInArgOrEnv, location, message);
        }
    }

    fn ports(&mut self, ports: &[Word], location: Location) {
        for port in ports {
            let escape = self.dockerfile.directives.escape;
            let Ok(words) =
                super::super::expand_words(&port.text, escape, &|name| self.value(name))
            else {
                continue;
            };
            for word in words {
                if word.contains(':') {
                    let message = format!(
                        "EXPOSE instruction should not define an IP address or host-port mapping, found '{word}'"
                    );
                    self.found(Rule::ExposeInvalidFormat, location, message);
                }
                let protocol = word.split_once('/').map(|(_, protocol)| protocol);
                if protocol.is_some_and(|protocol| protocol != protocol.to_lowercase()) {
                    let message = format!(
                        "Defined protocol '{word}' in EXPOSE instruction should be lowercase"
                    );
                    self.found(Rule::ExposeProtoCasing, location, message);
                }
            }
        }
    }

    /// With a `!` among the patterns nothing is told: what is excluded may hold what is not.
    fn ignored(&mut self, verb: &str, sources: &[Word], location: Location) {
        let Some(ignore) = self
            .context
            .ignore
            .filter(|ignore| !ignore.has_exceptions())
        else {
            return;
        };
        for source in sources {
            let Some(source) = self
                .expanded(source)
                .filter(|source| !source.contains("://"))
            else {
                continue;
            };
            let cleaned = clean(source.trim_start_matches('/').as_bytes());
            let excluded = match cleaned.as_slice() {
                b"." => ignore.excludes_everything(),
                path => ignore.excludes(path),
            };
            if excluded {
                let shown = String::from_utf8_lossy(&cleaned);
                let message = format!(
                    "Attempting to {verb} file \"{shown}\" that is excluded by .dockerignore"
                );
                self.found(Rule::CopyIgnoredFile, location, message);
            }
        }
    }

    fn undefined_variables(&mut self, instruction: &Instruction, location: Location) {
        if self.state.environment.is_open || self.state.arguments.is_open {
            return;
        }
        let escape = self.dockerfile.directives.escape;
        let words = expanded_words(instruction);
        let inline = match instruction {
            Instruction::Copy(copy) => copy.inline.as_slice(),
            Instruction::Add(add) => add.inline.as_slice(),
            _ => &[],
        };
        let mut unset = std::collections::BTreeSet::new();
        for word in words {
            let used = uses(&word.text, escape, &|name| self.value(name));
            unset.extend(used.map(|used| used.unset).unwrap_or_default());
        }
        for name in inline.iter().flat_map(|heredoc| self.unset_in(heredoc)) {
            unset.insert(name);
        }
        for name in unset {
            let is_declared = self.state.arguments.is_declared(&name)
                || SCANNER_ARGUMENTS.contains(&name.as_str());
            if is_declared {
                continue;
            }
            let mut message = format!("Usage of undefined variable '${name}'");
            let nearest = suggest(&self.state.arguments, &name, self.findings)
                .or_else(|| suggest(&self.state.environment, &name, self.findings));
            if let Some(nearest) = nearest {
                message += &format!(" (did you mean ${nearest}?)");
            }
            self.found(Rule::UndefinedVar, location, message);
        }
    }

    fn unset_in(&self, heredoc: &Heredoc) -> Vec<String> {
        if !heredoc.expand {
            return Vec::new();
        }
        let unset = std::cell::RefCell::new(Vec::new());
        let noting = |name: &str| {
            let value = self.value(name);
            if value.is_none() {
                unset.borrow_mut().push(name.to_owned());
            }
            value
        };
        // What can't be expanded is told by the build.
        let _ = expand_heredoc(&heredoc.content(), &noting);
        unset.into_inner()
    }
}

/// The words of an instruction in which variables are replaced, but for `EXPOSE`, of which docker says nothing.
fn expanded_words(instruction: &Instruction) -> Vec<&Word> {
    match instruction {
        Instruction::Arg(declarations) => declarations
            .iter()
            .flat_map(|declaration| [Some(&declaration.name), declaration.default.as_ref()])
            .flatten()
            .collect(),
        Instruction::Env(pairs) | Instruction::Label(pairs) => pairs
            .iter()
            .flat_map(|(name, value)| [name, value])
            .collect(),
        Instruction::Run(run) => {
            let fields = run.mounts.iter().flat_map(|mount| &mount.fields);
            fields.filter_map(|(_, value)| value.as_ref()).collect()
        }
        Instruction::Copy(copy) => {
            let one = [
                Some(&copy.destination),
                copy.chown.as_ref(),
                copy.chmod.as_ref(),
            ];
            copy.sources
                .iter()
                .chain(one.into_iter().flatten())
                .collect()
        }
        Instruction::Add(add) => {
            let one = [
                Some(&add.destination),
                add.chown.as_ref(),
                add.chmod.as_ref(),
                add.checksum.as_ref(),
            ];
            add.sources
                .iter()
                .chain(one.into_iter().flatten())
                .collect()
        }
        Instruction::Workdir(word) | Instruction::User(word) | Instruction::StopSignal(word) => {
            vec![word]
        }
        Instruction::Volume(words) => words.iter().collect(),
        _ => Vec::new(),
    }
}
