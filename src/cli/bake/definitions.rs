//! The files that `bake` reads: of this directory, behind a URL, of a repository; and the directories that they name there. Builds nothing.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::build::SecretSource;
use crate::build::attest::Material;
use crate::build::bake::{BakeFile, Target};
use crate::cli::Invocation;
use crate::cli::build::contexts::{Brought, Files, Lent, bring, inside};
use crate::cli::error::{CliError, Kind};
use crate::cli::progress::Bars;
use crate::config::parse_bool;
use crate::engine::Authorizations;
use crate::engine::request::GitSource;

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
/// What is of this directory, wherever the other files are.
const HERE: &str = "cwd://";

/// The words of the command line.
pub struct Words<'a> {
    /// Where the files are, if not here.
    remote: Option<&'a str>,
    /// `BAKE_CMD_CONTEXT`
    pub context: &'a str,
    pub targets: &'a [String],
}

impl Words<'_> {
    pub fn of(words: &[String]) -> Words<'_> {
        let mut found = Words {
            remote: None,
            context: HERE,
            targets: words,
        };
        if let [first, rest @ ..] = found.targets
            && is_remote(first)
        {
            (found.remote, found.targets) = (Some(first.as_str()), rest);
            if let [second, rest @ ..] = found.targets
                && is_remote(second)
            {
                (found.context, found.targets) = (second, rest);
            }
        }
        found
    }
}

/// What opens private definitions, by buildx's names: variables of the host, as no target's secrets are known yet.
fn lent() -> BTreeMap<String, SecretSource> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let lent = names.filter_map(|name| {
        let id = name.strip_prefix("BUILDX_BAKE_")?;
        let id = Authorizations::takes(id).then(|| id.to_owned())?;
        Some((id, SecretSource::Variable(name)))
    });
    lent.collect()
}

/// What there is to be read, for as long as what it names is needed.
pub struct Definitions {
    pub files: Vec<BakeFile>,
    /// What names directories is in a tree that was brought here.
    tree: Option<Tree>,
}

struct Tree {
    directory: PathBuf,
    /// Where it was brought from.
    source: Option<Material>,
    _brought: Brought,
}

/// A context that was brought here with the definitions.
#[derive(Clone, Debug)]
pub struct Foreign {
    pub source: Option<Material>,
}

impl Definitions {
    pub fn read(
        words: &Words<'_>,
        named: &[PathBuf],
        invocation: &Invocation,
        debug: bool,
    ) -> Result<Definitions, CliError> {
        let is_here = |path: &&PathBuf| words.remote.is_none() || path.starts_with(HERE);
        let (here, there): (Vec<&PathBuf>, Vec<&PathBuf>) = named.iter().partition(is_here);
        let mut found = Definitions {
            files: Vec::new(),
            tree: None,
        };
        if let Some(remote) = words.remote {
            found.bring(remote, &there, invocation, debug)?;
        }
        let usual = || USUAL.iter().map(PathBuf::from);
        let here: Vec<PathBuf> = match named.is_empty() && words.remote.is_none() {
            true => usual().filter(|path| path.exists()).collect(),
            false => here.into_iter().map(|path| own(path)).collect(),
        };
        for path in here {
            found.files.push(read(&path)?);
        }
        match found.files.is_empty() {
            false => Ok(found),
            true => Err(CliError::new(
                Kind::Failed,
                format!(
                    "couldn't find a bake definition: no docker-bake.hcl, docker-bake.json or compose file is {}",
                    words.remote.unwrap_or("here")
                ),
            )),
        }
    }

    fn bring(
        &mut self,
        remote: &str,
        named: &[&PathBuf],
        invocation: &Invocation,
        debug: bool,
    ) -> Result<(), CliError> {
        let engine = invocation.engine_with(debug)?;
        let bars = Bars::new(&invocation.ui);
        let secrets = lent();
        let lent = Lent {
            secrets: &secrets,
            agents: &BTreeMap::new(),
        };
        let brought = bring(&engine, remote, false, lent, &bars)?;
        let missing = |what: &dyn std::fmt::Display| {
            CliError::new(Kind::Failed, format!("{remote}: {what}: not found"))
        };
        let brought = brought.ok_or_else(|| missing(&"definitions"))?;
        let directory = match &brought.files {
            Files::Single(file) => {
                let name = remote.to_owned();
                let text = read(file)?.text;
                self.files.push(BakeFile { name, text });
                return Ok(());
            }
            Files::Directory(directory) => directory.clone(),
        };
        let usual = USUAL.iter().map(PathBuf::from);
        let paths = match named.is_empty() {
            true => usual
                .filter_map(|path| Some((inside(&directory, &path)?, path)))
                .collect(),
            false => named
                .iter()
                .map(|path| {
                    let found = inside(&directory, path);
                    Ok((
                        found.ok_or_else(|| missing(&path.display()))?,
                        path.to_path_buf(),
                    ))
                })
                .collect::<Result<Vec<_>, CliError>>()?,
        };
        for (place, path) in paths {
            let name = path.display().to_string();
            let text = read(&place)?.text;
            self.files.push(BakeFile { name, text });
        }
        self.tree = Some(Tree {
            directory,
            source: brought.source.clone(),
            _brought: brought,
        });
        Ok(())
    }

    /// Puts the places of directories in the tree in place of what names them; gives what is said of the context, if it is one of these.
    pub fn place(&self, target: &mut Target) -> Result<Option<Foreign>, CliError> {
        let Some(tree) = &self.tree else {
            return Ok(None);
        };
        for place in target.contexts.values_mut() {
            if let Some(found) = tree.place(place)? {
                *place = found;
            }
        }
        let context = target.context.as_deref().unwrap_or(".");
        let Some(found) = tree.place(context)? else {
            return Ok(None);
        };
        target.context = Some(found);
        if let Some(file) = target.dockerfile.as_deref()
            && let Some(file) = file.strip_prefix(HERE)
        {
            target.dockerfile_inline = Some(read(Path::new(file))?.text);
            target.dockerfile = None;
        }
        Ok(Some(Foreign {
            source: tree.source.clone(),
        }))
    }
}

impl Tree {
    /// None: it is no directory of the tree.
    fn place(&self, named: &str) -> Result<Option<String>, CliError> {
        if named.contains("://") || named.starts_with("target:") || is_remote(named) {
            return Ok(None);
        }
        let found = inside(&self.directory, Path::new(named));
        let found = found.filter(|path| path.is_dir()).ok_or_else(|| {
            let message = format!(
                "unable to prepare context: {named:?} is no directory of the definition's tree"
            );
            CliError::new(Kind::Failed, message)
        })?;
        let text = crate::sys::text::from_os(found.as_os_str());
        Ok(Some(text))
    }
}

/// Variables of this directory, unless compose is told not to look.
pub fn dotenv() -> Result<Option<BakeFile>, CliError> {
    let ignored = std::env::var("COMPOSE_DISABLE_ENV_FILE");
    let is_ignored = ignored.is_ok_and(|text| parse_bool(&text) == Some(true));
    let path = Path::new(DOTENV);
    match path.is_file() && !is_ignored {
        true => read(path).map(Some),
        false => Ok(None),
    }
}

fn is_remote(word: &str) -> bool {
    let is_web = word.starts_with("http://") || word.starts_with("https://");
    is_web || !matches!(GitSource::parse(word), Ok(None))
}

fn own(path: &Path) -> PathBuf {
    path.strip_prefix(HERE).unwrap_or(path).to_owned()
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
