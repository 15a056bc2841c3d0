//! What is found in a request's Dockerfile without building it: the rules, with what the command line and the store know. Asks
//! no registry.

use super::dockerfile::{
    Check, Dockerfile, DockerfileError, Finding, LintContext, Source, lint, parse, parse_check,
};
use super::error::BuildError;
use super::plan::{self, Plan};
use super::request::{BuildRequest, NamedContext};
use super::scope::Given;
use crate::engine::Engine;
use crate::image::{Platform, Store};

/// The argument that adds to the file's `# check=`.
const CHECK_ARGUMENT: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// What was found.
#[derive(Clone, Debug)]
pub struct Checked {
    pub source: Source,
    /// In the order of the file.
    pub findings: Vec<Finding>,
    /// Any finding stops the build.
    pub stops: bool,
}

impl Checked {
    /// BuildKit's words for a build that its findings stop.
    pub fn stopped(&self) -> Option<BuildError> {
        if !self.stops || self.findings.is_empty() {
            return None;
        }
        let mut rules: Vec<&str> = self.findings.iter().map(|one| one.rule.name()).collect();
        rules.sort_unstable();
        rules.dedup();
        Some(BuildError::Findings {
            rules: rules.join(", "),
        })
    }
}

/// A request whose Dockerfile was read: the stages it needs, with the values of the arguments before the first.
pub(super) struct Read {
    pub file: Dockerfile,
    pub given: Given,
    pub plan: Plan,
}

/// Reads the Dockerfile and plans its stages.
pub(super) fn read(request: &BuildRequest) -> Result<Read, BuildError> {
    let file = parse(&request.dockerfile_name, &request.dockerfile)?;
    let target = plan::target(&file, request.target.as_deref())?;
    let platform = request.platform.clone().unwrap_or_else(Platform::host);
    let stage = file.stages[target].name.clone();
    let stage = stage.unwrap_or_else(|| "default".to_owned());
    let mut given = Given::new(request.args.clone(), &platform, &stage);
    plan::declare_globals(&file, &mut given)?;
    let is_context = |name: &str| request.named_contexts.contains_key(name);
    let plan = plan::plan(&file, target, &given, &is_context)?;
    Ok(Read { file, given, plan })
}

/// Looks for what the rules forbid; what the build itself would stop at is an error.
pub fn check(engine: &Engine, request: &BuildRequest) -> Result<Checked, BuildError> {
    let Read { file, given, .. } = read(request)?;
    let more = match request.args.get(CHECK_ARGUMENT) {
        Some(text) => Some(of_argument(text)?),
        None => None,
    };
    let store = engine.images()?;
    let context = LintContext {
        build_arguments: &request.args,
        platform_arguments: &given.platform_arguments(),
        image_variables: &|name| variables(&store, request, name),
        ignore: request
            .context
            .as_ref()
            .and_then(|context| context.ignore.as_ref()),
        check: more.as_ref(),
    };
    let findings = lint(&file, &context);
    let of_file = file.directives.check.as_ref();
    let stops = [of_file, more.as_ref()].into_iter().flatten();
    Ok(Checked {
        stops: stops.into_iter().any(|check| check.error),
        findings,
        source: file.source,
    })
}

fn of_argument(text: &str) -> Result<Check, DockerfileError> {
    let source = Source::new(&format!("--build-arg {CHECK_ARGUMENT}"), text);
    parse_check(text).map_err(|fault| {
        let location = super::dockerfile::Location::at(1, 1);
        source.error(location, fault)
    })
}

/// The names of the variables that an image of the store sets.
fn variables(store: &Store, request: &BuildRequest, name: &str) -> Option<Vec<String>> {
    let name = match request.named_contexts.get(name) {
        Some(NamedContext::Image(image)) => image,
        Some(NamedContext::Stored(id)) => id.as_str(),
        Some(NamedContext::Directory(_)) => return None,
        None => name,
    };
    let image = store.resolve(name).ok()?;
    let env = image.config.config().as_ref()?.env().clone();
    let names = env.unwrap_or_default().into_iter();
    let names = names.map(|text| match text.split_once('=') {
        Some((name, _)) => name.to_owned(),
        None => text,
    });
    Some(names.collect())
}
