//! `bake`: builds what files describe. Which images these are is `build::bake`'s to say; each is built as `build` would.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::Invocation;
use super::build::{self, ForEvery, Outcome, Performed, perform};
use super::error::{CliError, Kind};
use super::table::align;
use crate::build::bake::{Bake, BakeError, BakeFile, DEPTH, Entry, Override, Target, bake};
use crate::config::parse_bool;
use crate::image::{Digest, Platform};

/// What is read if no file is named: all of these that are there, in this order.
const USUAL: [&str; 8] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "docker-bake.json",
    "docker-bake.hcl",
    "docker-bake.override.json",
    "docker-bake.override.hcl",
];
/// Variables of compose files.
const DOTENV: &str = ".env";
/// A file is a text that somebody wrote.
const FILE_MAX: u64 = 2 << 20;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Targets and groups to build (default: the group or target `default`)
    #[arg(value_name = "TARGET")]
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
    /// Put the images into the store, also where they go elsewhere
    #[arg(long)]
    load: bool,
    /// Push the images to the registries of their names
    #[arg(long)]
    push: bool,
    /// Do every step anew
    #[arg(long)]
    no_cache: bool,
    /// Ask the registry for newer base images
    #[arg(long)]
    pull: bool,
    /// How progress looks: auto, plain, tty, quiet, rawjson
    #[arg(long, value_name = "KIND", default_value = "auto")]
    progress: String,
    /// Write what was built to a file, as JSON by target
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// What targets may ask for: network.host, security.insecure
    #[arg(long, value_name = "ENTITLEMENT")]
    allow: Vec<String>,
    /// Say what is installed in the images: true, false
    #[arg(long, value_name = "BOOL")]
    sbom: Option<String>,
    /// Say where the images came from: true, false, mode=min, mode=max
    #[arg(long, value_name = "BOOL|FIELDS")]
    provenance: Option<String>,
    /// Builder to use: there is one, whatever it is called
    #[arg(long, value_name = "NAME")]
    builder: Option<String>,
    /// Only look for what is wrong with the Dockerfiles: --call=check
    #[arg(long)]
    check: bool,
    /// What to do: build, check, outline or targets
    #[arg(long, value_name = "METHOD")]
    call: Option<String>,
    /// Say everything of every warning, and write a line per step of the engine
    #[arg(short = 'D', long)]
    debug: bool,
}

fn failed(error: BakeError) -> CliError {
    CliError::failed(&error)
}

impl Args {
    fn files(&self) -> Result<Vec<BakeFile>, CliError> {
        let usual = USUAL.iter().map(PathBuf::from).filter(|path| path.exists());
        let paths: Vec<PathBuf> = match self.file.is_empty() {
            true => usual.collect(),
            false => self.file.clone(),
        };
        if paths.is_empty() {
            return Err(CliError::new(
                Kind::Failed,
                "couldn't find a bake definition: no docker-bake.hcl, docker-bake.json or compose file is here",
            ));
        }
        paths.iter().map(|path| read(path)).collect()
    }

    /// Of this directory, unless compose is told not to look.
    fn dotenv(&self) -> Result<Option<BakeFile>, CliError> {
        let ignored = std::env::var("COMPOSE_DISABLE_ENV_FILE");
        let is_ignored = ignored.is_ok_and(|text| parse_bool(&text) == Some(true));
        let path = Path::new(DOTENV);
        match path.is_file() && !is_ignored {
            true => read(path).map(Some),
            false => Ok(None),
        }
    }

    fn common(&self) -> Result<ForEvery, CliError> {
        // Files outside of the working directory need no word: they are read with the user's own rights.
        let is_ours = |text: &&String| !text.starts_with("fs") && !text.starts_with("ssh");
        let epoch = std::env::var_os("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty());
        let epoch = epoch.map(|text| {
            let number = text.to_str().and_then(|text| text.parse().ok());
            number.ok_or_else(|| {
                let text = text.display();
                CliError::usage(format!(
                    "invalid SOURCE_DATE_EPOCH {text}: seconds since 1970 are expected"
                ))
            })
        });
        Ok(ForEvery {
            source_date_epoch: epoch.transpose()?,
            no_cache: self.no_cache,
            pull: self.pull,
            load: self.load,
            push: self.push,
            progress: self.progress.clone(),
            allow: self.allow.iter().filter(is_ours).cloned().collect(),
            builder: self.builder.clone(),
            sbom: self.sbom.clone(),
            provenance: self.provenance.clone(),
            call: match self.check {
                true => Some("check".to_owned()),
                false => self.call.clone(),
            },
            debug: self.debug,
        })
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

fn read(path: &Path) -> Result<BakeFile, CliError> {
    let name = path.display().to_string();
    let bytes = match name.as_str() {
        "-" => {
            let mut bytes = Vec::new();
            let read = std::io::stdin()
                .lock()
                .take(FILE_MAX)
                .read_to_end(&mut bytes);
            read.map(|_| bytes)
        }
        _ => crate::sys::fs::read_bounded(path, FILE_MAX),
    };
    let text = bytes.and_then(|bytes| {
        String::from_utf8(bytes).map_err(|error| std::io::Error::other(error.to_string()))
    });
    let text =
        text.map_err(|error| CliError::new(Kind::Failed, format!("read {name}: {error}")))?;
    Ok(BakeFile { name, text })
}

/// The targets that are built, and those that they have as contexts.
struct Planned {
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
    let planned = plan(args)?;
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
    if let Some(path) = &args.metadata_file {
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

fn plan(args: &Args) -> Result<Planned, CliError> {
    let (is_far, words): (Vec<String>, Vec<String>) = args
        .targets
        .iter()
        .cloned()
        .partition(|word| word.contains("://"));
    if let Some(place) = is_far.first() {
        return Err(CliError::not_yet(&format!("bake {place}")));
    }
    let sets = args.set.iter().map(|text| Override::parse(text));
    let sets: Vec<Override> = sets.collect::<Result<_, _>>().map_err(failed)?;
    let lookup = |name: &str| args.lookup(name);
    let known = [
        ("BAKE_CMD_CONTEXT", "cwd://".to_owned()),
        ("BAKE_LOCAL_PLATFORM", Platform::host().to_string()),
    ];
    let dotenv = args.dotenv()?;
    let bake = bake(&args.files()?, dotenv.as_ref(), sets, &lookup, &known).map_err(failed)?;
    let words = match words.is_empty() {
        true => vec!["default".to_owned()],
        false => words,
    };
    let mut planned = Planned {
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
            .find(|one| !args.allow.contains(one));
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
    let mut common = args.common()?;
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
        let mut images = BTreeMap::new();
        for (context, other) in links(&target) {
            let built = outcomes.iter().find(|(name, _)| *name == other);
            match built.map(|(_, outcome)| &outcome.images[..]) {
                Some([image]) => drop(images.insert(context, Digest::clone(image))),
                Some(_) => {
                    return Err(CliError::not_yet(&format!(
                        "bake: target:{other} of several platforms as a context"
                    )));
                }
                // Only looked at: nothing was built.
                None => drop(target.contexts.remove(&context)),
            }
        }
        common.load = args.load && is_wanted;
        common.push = args.push && is_wanted;
        common.sbom = args.sbom.clone().filter(|_| is_wanted);
        common.provenance = args.provenance.clone().filter(|_| is_wanted);
        if planned.order.len() > 1 && args.progress != "quiet" && args.progress != "rawjson" {
            invocation.ui.note(&format!("[{name}]"));
        }
        let flags = build::Args::of_target(&target, images, &common);
        match perform(&flags, invocation)? {
            Performed::Called(one) => code = code.max(one),
            Performed::Built(outcome) => outcomes.push((name.clone(), outcome)),
        }
    }
    Ok(code)
}

fn list(bake: &Bake, kind: &str, invocation: &Invocation) -> Result<u8, CliError> {
    let row = |cells: &[&str]| {
        cells
            .iter()
            .map(|cell| (*cell).to_owned())
            .collect::<Vec<_>>()
    };
    let kind = kind.strip_prefix("type=").unwrap_or(kind);
    let rows: Vec<Vec<String>> = match kind {
        "targets" => {
            let known = bake.known().map(|(name, about)| row(&[name, about]));
            std::iter::once(row(&["TARGET", "DESCRIPTION"]))
                .chain(known)
                .collect()
        }
        "variables" => {
            let known = bake.variables.iter();
            let known = known.map(|(name, value, about)| row(&[name, value, about]));
            std::iter::once(row(&["VARIABLE", "VALUE", "DESCRIPTION"]))
                .chain(known)
                .collect()
        }
        other => {
            let message = format!("invalid list type {other:?}: targets and variables are known");
            return Err(CliError::usage(message));
        }
    };
    invocation.ui.result(&align(rows))?;
    Ok(0)
}
