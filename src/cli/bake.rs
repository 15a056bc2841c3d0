//! `bake`: builds what files describe. Which images these are is `build::bake`'s to say; each is built as `build` would.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::Invocation;
use super::build::shared::Shared;
use super::build::{self, Outcome, Performed, perform};
use super::error::{CliError, Kind};
use super::table::align;
use crate::build::bake::{Bake, BakeError, DEPTH, Entry, Override, Target, bake};
use crate::image::{Digest, Platform};

pub mod definitions;

use definitions::{Definitions, Words, dotenv};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Targets and groups to build (default: the group or target `default`); before them a URL or repository that has the files
    #[arg(value_name = "[URL] TARGET")]
    targets: Vec<String>,
    /// File to read, `-` for standard input (default: compose and docker-bake files of this directory)
    #[arg(short, long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Say otherwise what a target has: TARGET.KEY=VALUE
    #[arg(long, value_name = "OVERRIDE")]
    set: Vec<String>,
    /// Value of a variable: NAME=VALUE
    #[arg(long, value_name = "NAME=VALUE")]
    var: Vec<String>,
    /// Show what would be built, as JSON, and build nothing
    #[arg(long)]
    print: bool,
    /// Show the names of targets, or variables
    #[arg(long, value_name = "KIND")]
    list: Option<String>,
    #[command(flatten)]
    shared: Shared,
}

fn failed(error: BakeError) -> CliError {
    CliError::failed(&error)
}

impl Args {
    /// What is said of all targets, and how old they are at most.
    fn of_every(&self) -> Result<(Option<i64>, Shared), CliError> {
        // Files outside of the working directory need no word: they are read with the user's own rights.
        let is_ours = |text: &&String| !text.starts_with("fs") && !text.starts_with("ssh");
        let epoch = std::env::var_os("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty());
        let epoch = epoch.map(|text| build::values::epoch(&text.to_string_lossy()));
        let check = || "check".to_owned();
        let shared = Shared {
            allow: self.shared.allow.iter().filter(is_ours).cloned().collect(),
            call: self.shared.check.then(check).or(self.shared.call.clone()),
            check: false,
            metadata_file: None,
            ..self.shared.clone()
        };
        Ok((epoch.transpose()?, shared))
    }

    /// A variable of the command line goes before the host's.
    fn lookup(&self, name: &str) -> Option<String> {
        let given = self.var.iter().rev();
        let mut given = given.filter_map(|text| text.split_once('='));
        let given = given.find(|(known, _)| *known == name);
        match given {
            Some((_, value)) => Some(value.to_owned()),
            None => std::env::var_os(name).map(|value| crate::sys::text::from_os(&value)),
        }
    }
}

/// The targets that are built, and those that they have as contexts.
struct Planned {
    definitions: Definitions,
    bake: Bake,
    words: Vec<String>,
    wanted: Vec<String>,
    targets: BTreeMap<String, Target>,
    /// Those that others need come first.
    order: Vec<String>,
}

impl Planned {
    /// A target, after those that it has as contexts.
    fn add(
        &mut self,
        name: &str,
        above: &mut Vec<String>,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), BakeError> {
        if self.targets.contains_key(name) {
            return Ok(());
        }
        let circle = above.iter().any(|other| other == name);
        if circle {
            let name = name.to_owned();
            return Err(BakeError::Circle { name });
        }
        if above.len() >= DEPTH {
            return Err(BakeError::Deep {
                name: name.to_owned(),
            });
        }
        above.push(name.to_owned());
        let target = self.bake.target(name, lookup)?;
        for (_, needed) in links(&target) {
            self.add(&needed, above, lookup)?;
        }
        above.pop();
        self.targets.insert(name.to_owned(), target);
        self.order.push(name.to_owned());
        Ok(())
    }

    fn json(&self) -> Value {
        let mut groups = Map::new();
        for (name, group) in &self.bake.groups {
            if self.words.contains(name) {
                groups.insert(name.clone(), json!(group));
            }
        }
        if self.words != ["default"] || groups.is_empty() {
            groups.insert("default".to_owned(), json!({"targets": self.words}));
        }
        json!({"group": groups, "target": self.targets})
    }
}

/// Contexts that are other targets: what they are called here, and the target.
fn links(target: &Target) -> Vec<(String, String)> {
    let contexts = target.contexts.iter();
    let links = contexts.filter_map(|(name, place)| {
        let other = place.strip_prefix("target:")?;
        Some((name.clone(), other.to_owned()))
    });
    links.collect()
}

pub fn run(args: &Args, invocation: &Invocation) -> Result<u8, CliError> {
    let planned = plan(args, invocation)?;
    if let Some(kind) = &args.list {
        return list(&planned.bake, kind, invocation);
    }
    if args.print {
        invocation.ui.result(&format!("{:#}\n", planned.json()))?;
        return Ok(0);
    }
    entitled(args, &planned)?;
    let mut outcomes = Vec::new();
    let done = build_all(args, &planned, &mut outcomes, invocation);
    let kept: HashSet<Digest> = outcomes
        .iter()
        .flat_map(|(_, outcome)| outcome.kept())
        .cloned()
        .collect();
    // All of them, whatever becomes of one.
    let each = outcomes.iter();
    let each = each.map(|(_, outcome)| outcome.forget_passing(&kept));
    let each: Vec<_> = each.collect();
    let forgotten: Result<(), CliError> = each.into_iter().collect();
    let code = done?;
    forgotten?;
    if let Some(path) = &args.shared.metadata_file {
        let wanted = outcomes
            .iter()
            .filter(|(name, _)| planned.wanted.contains(name));
        let metadata: Map<String, Value> = wanted
            .map(|(name, outcome)| (name.clone(), outcome.metadata.clone()))
            .collect();
        build::write(path, &format!("{:#}\n", Value::Object(metadata)))?;
    }
    Ok(code)
}

fn plan(args: &Args, invocation: &Invocation) -> Result<Planned, CliError> {
    let words = Words::of(&args.targets);
    let sets = args.set.iter().map(|text| Override::parse(text));
    let sets: Vec<Override> = sets.collect::<Result<_, _>>().map_err(failed)?;
    let lookup = |name: &str| args.lookup(name);
    let known = [
        ("BAKE_CMD_CONTEXT", words.context.to_owned()),
        ("BAKE_LOCAL_PLATFORM", Platform::host().to_string()),
    ];
    let dotenv = dotenv()?;
    let definitions = Definitions::read(&words, &args.file, invocation, args.shared.debug)?;
    let files = &definitions.files;
    let read = bake(files, dotenv.as_ref(), sets, &lookup, &known);
    let bake = read.map_err(|error| {
        if let Some(excerpt) = error.excerpt() {
            invocation.ui.note(&excerpt);
        }
        failed(error)
    })?;
    let words = match words.targets.is_empty() {
        true => vec!["default".to_owned()],
        false => words.targets.to_vec(),
    };
    let mut planned = Planned {
        definitions,
        wanted: Vec::new(),
        bake,
        words,
        targets: BTreeMap::new(),
        order: Vec::new(),
    };
    if args.list.is_some() {
        return Ok(planned);
    }
    planned.wanted = planned.bake.wanted(&planned.words).map_err(failed)?;
    for name in planned.wanted.clone() {
        let added = planned.add(&name, &mut Vec::new(), &lookup);
        added.map_err(failed)?;
    }
    Ok(planned)
}

/// What targets ask for beyond the usual has to be given on the command line.
fn entitled(args: &Args, planned: &Planned) -> Result<(), CliError> {
    for (name, target) in &planned.targets {
        let missing = target
            .entitlements
            .iter()
            .find(|one| !args.shared.allow.contains(one));
        if let Some(missing) = missing {
            let message = format!("target {name} asks for {missing}, which was not allowed");
            return Err(CliError::new(Kind::Failed, message).hint(format!("--allow {missing}")));
        }
    }
    Ok(())
}

/// One after the other, as each already uses all there is; what one needs of another comes before it.
fn build_all(
    args: &Args,
    planned: &Planned,
    outcomes: &mut Vec<(String, Box<Outcome>)>,
    invocation: &Invocation,
) -> Result<u8, CliError> {
    let (epoch, of_every) = args.of_every()?;
    let mut code = 0;
    for name in &planned.order {
        let is_wanted = planned.wanted.contains(name);
        let mut target = planned.targets[name].clone();
        if !is_wanted {
            // Only others see it.
            target.output = vec![Entry::of(&[("type", "cacheonly")])];
            target.tags.clear();
            target.attest.clear();
        }
        let foreign = planned.definitions.place(&mut target)?;
        let mut images = BTreeMap::new();
        for (context, other) in links(&target) {
            let built = outcomes.iter().find(|(name, _)| *name == other);
            match built.map(|(_, outcome)| outcome.by_platform()) {
                Some(of_target) => drop(images.insert(context, of_target)),
                // Only looked at: nothing was built.
                None => drop(target.contexts.remove(&context)),
            }
        }
        let mut shared = of_every.clone();
        shared.load &= is_wanted;
        shared.push &= is_wanted;
        shared.sbom = shared.sbom.filter(|_| is_wanted);
        shared.provenance = shared.provenance.filter(|_| is_wanted);
        if planned.order.len() > 1
            && args.shared.progress != "quiet"
            && args.shared.progress != "rawjson"
        {
            invocation.ui.note(&format!("[{name}]"));
        }
        let flags = build::Args::of_target(&target, (images, foreign), (epoch, shared));
        match perform(&flags, invocation)? {
            Performed::Called(one) => code = code.max(one),
            Performed::Built(outcome) => outcomes.push((name.clone(), outcome)),
        }
    }
    Ok(code)
}

fn list(bake: &Bake, kind: &str, invocation: &Invocation) -> Result<u8, CliError> {
    let wrong = || {
        CliError::usage(format!(
            "invalid list type {kind:?}: targets and variables are known, and format=json"
        ))
    };
    let (mut what, mut is_json) = (kind, false);
    for field in kind.split(',') {
        match field.split_once('=') {
            Some(("type", value)) => what = value,
            Some(("format", "json")) => is_json = true,
            Some(("format", "table")) => is_json = false,
            None => what = field,
            Some(_) => return Err(wrong()),
        }
    }
    // Each with the names of its columns.
    let (names, head, rows): (&[&str], &[&str], Vec<Vec<Value>>) = match what {
        "targets" => {
            let known = bake.known().into_iter();
            let known =
                known.map(|(name, about, group)| vec![name.into(), about.into(), group.into()]);
            (
                &["name", "description", "group"],
                &["TARGET", "DESCRIPTION"],
                known.collect(),
            )
        }
        "variables" => {
            let known = bake.variables.iter().map(|one| {
                let kind = one.kind.as_deref().unwrap_or_default();
                let value = one.value.clone().map_or(Value::Null, Value::from);
                vec![
                    one.name.as_str().into(),
                    kind.into(),
                    value,
                    one.about.as_str().into(),
                ]
            });
            (
                &["name", "type", "value", "description"],
                &["VARIABLE", "TYPE", "VALUE", "DESCRIPTION"],
                known.collect(),
            )
        }
        _ => return Err(wrong()),
    };
    if is_json {
        // buildx leaves out what is empty, but for a value.
        let is_said = |name: &str, value: &Value| match name {
            "value" => !value.is_null(),
            _ => *value != json!("") && *value != json!(false),
        };
        let objects = rows.into_iter().map(|row| {
            let said = names
                .iter()
                .zip(row)
                .filter(|(name, value)| is_said(name, value));
            said.map(|(name, value)| ((*name).to_owned(), value))
                .collect::<Map<String, Value>>()
        });
        let objects: Vec<_> = objects.collect();
        invocation.ui.result(&format!("{:#}\n", json!(objects)))?;
        return Ok(0);
    }
    let mut table = vec![head.iter().map(|cell| (*cell).to_owned()).collect()];
    table.extend(rows.into_iter().map(|row| {
        let cells = row.iter().take(head.len());
        let cells = cells.map(|cell| cell.as_str().unwrap_or("<null>").to_owned());
        cells.collect::<Vec<String>>()
    }));
    invocation.ui.result(&align(table))?;
    Ok(0)
}
