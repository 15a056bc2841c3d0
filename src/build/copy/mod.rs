//! `COPY`, and what of `ADD` is the same: sources in a tree become files of a layer. Runs in the home namespace, in a role of its
//! own.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::content::{Content, FileCache, Summary};
use super::dockerfile::{Ignore, IgnoreFault};
use super::filter::Filter;
use super::key::KeyBuilder;
use super::mode::ModeChange;
use super::select::{Named, SelectError, Selected, What, select};
use crate::image::{
    Choice, Digest, Former, Graft, GraftError, Merged, StepRecord, Store, StoreError, UnpackError,
    join_path,
};
use crate::runtime::user::UserError;

mod owner;
mod write;

#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error(transparent)]
    Select(#[from] SelectError),
    #[error(transparent)]
    Graft(#[from] GraftError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("--chown: {0}")]
    User(#[from] UserError),
    #[error("--exclude: {0}")]
    Exclude(#[from] IgnoreFault),
    #[error("unpack {name}: {source}")]
    Unpack { name: String, source: UnpackError },
    #[error("{operation}: {source}")]
    Io {
        operation: &'static str,
        source: std::io::Error,
    },
    #[error("{destination:?} is no directory, and a directory cannot become a file")]
    NoDirectory { destination: String },
}

fn io(operation: &'static str) -> impl FnOnce(std::io::Error) -> CopyError {
    move |source| CopyError::Io { operation, source }
}

/// Where sources are.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A directory of the host's.
    Tree {
        path: PathBuf,
        ignore: Option<Ignore>,
    },
    /// The directories of an image's or a stage's layers, bottom first.
    Layers(Vec<PathBuf>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpack {
    Nothing,
    /// Those that were not downloaded.
    Local,
    Everything,
}

/// What a URL or a repository named.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub directory: PathBuf,
    /// The only file in it; None: all of the directory.
    pub file: Option<String>,
    /// Seconds: nothing in it is newer.
    pub latest: Option<i64>,
}

/// A file whose content the Dockerfile has.
#[derive(Clone, Debug)]
pub struct InlineFile {
    pub name: String,
    pub content: Vec<u8>,
}

/// Everything that one instruction says, expanded.
#[derive(Clone, Debug)]
pub struct CopyStep {
    pub origin: Origin,
    pub sources: Vec<String>,
    pub inline: Vec<InlineFile>,
    /// Absolute.
    pub destination: String,
    /// It ends with a slash, so that it is one.
    pub into_directory: bool,
    pub chown: Option<String>,
    pub chmod: Option<ModeChange>,
    /// As written, for the key.
    pub chmod_text: String,
    /// The layers below are not looked at.
    pub link: bool,
    pub parents: bool,
    pub exclude: Vec<String>,
    /// Which sources that are archives are unpacked.
    pub unpack: Unpack,
    /// Sources that were brought here.
    pub fetched: Vec<Fetched>,
    /// Seconds: the time of everything that is newer, and of what is made.
    pub epoch: Option<i64>,
}

/// Where the result goes.
pub struct CopyTarget<'a> {
    pub store: &'a Store,
    /// The key of what the files so far come from.
    pub parent: &'a Digest,
    /// The layers' directories so far, bottom first.
    pub below: &'a [PathBuf],
    /// The name of the layer being made; empty: nothing is written.
    pub layer: &'a str,
    pub files: PathBuf,
    pub single_id: bool,
    /// Do it even if it was done before.
    pub ignore_cache: bool,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub enum Copied {
    Known {
        key: Digest,
        record: StepRecord,
    },
    Made {
        key: Digest,
        /// Seconds: the newest file.
        newest: i64,
        warnings: Vec<String>,
    },
}

/// Does it, unless it is known what comes of it.
pub fn copy(step: &CopyStep, target: &CopyTarget<'_>) -> Result<Copied, CopyError> {
    let tree = match &step.origin {
        Origin::Tree { path, .. } => Merged::plain(path),
        Origin::Layers(layers) => Merged::of_layers(layers),
    };
    let tree = tree.map_err(io("open the sources"))?;
    let mut cache = FileCache::open(&target.files, &tree_name(&step.origin));
    let has_to_be_read = cache.is_empty() || target.ignore_cache;
    if has_to_be_read && !target.layer.is_empty() {
        return copy_meanwhile(step, target, &tree, cache);
    }
    let filters = Filters::of(step)?;
    let selections = selections(step, &tree, &filters)?;
    let content = content(step, &mut cache, &selections, &filters)?;
    let key = key(step, target, &content.digest);
    let record = target.store.step(&key).filter(|_| !target.ignore_cache);
    let former = match record {
        None => former(step, target, &cache),
        Some(_) => None,
    };
    note(step, target, &mut cache, &key);
    cache.save();
    if let Some(record) = record {
        return Ok(Copied::Known { key, record });
    }
    let newest = content.newest;
    let warnings = match target.layer.is_empty() {
        true => Vec::new(),
        false => write::write(step, target, (selections, former), &filters, || Ok(newest))?,
    };
    Ok(Copied::Made {
        key,
        newest,
        warnings,
    })
}

/// Nothing of the sources was ever read, so that hardly anything is known of them: they are copied while they are read.
fn copy_meanwhile(
    step: &CopyStep,
    target: &CopyTarget<'_>,
    tree: &Merged,
    mut cache: FileCache,
) -> Result<Copied, CopyError> {
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let filters = Filters::of(step)?;
            let selections = selections(step, tree, &filters)?;
            let content = content(step, &mut cache, &selections, &filters)?;
            let key = key(step, target, &content.digest);
            note(step, target, &mut cache, &key);
            cache.save();
            Ok::<_, CopyError>((content.newest, key))
        });
        let mut read = None;
        let filters = Filters::of(step)?;
        let selections = selections(step, tree, &filters)?;
        let warnings = write::write(step, target, (selections, None), &filters, || {
            let (newest, key) = reading.join().expect("a panic ends the process")?;
            read = Some((newest, key));
            Ok(newest)
        })?;
        let (newest, key) = read.expect("it is asked for at the end of the writing");
        if let Some(record) = target.store.step(&key).filter(|_| !target.ignore_cache) {
            return Ok(Copied::Known { key, record });
        }
        Ok(Copied::Made {
            key,
            newest,
            warnings,
        })
    })
}

/// What of the sources is left out.
struct Filters {
    context: Option<Filter>,
    exclude: Option<Filter>,
}

impl Filters {
    fn of(step: &CopyStep) -> Result<Filters, CopyError> {
        let context = match &step.origin {
            Origin::Tree {
                ignore: Some(ignore),
                ..
            } => Filter::new(ignore.clone()),
            _ => None,
        };
        let exclude = step.exclude.iter().map(String::as_bytes);
        Ok(Filters {
            context,
            exclude: Filter::new(Ignore::from_patterns(exclude)?),
        })
    }

    /// For what is at `relative` below a source; empty: the source itself.
    fn choice(&self, source: &Named, relative: &[u8], is_directory: bool) -> Choice {
        let Named { path, name, .. } = source;
        let context = self.context.as_ref().filter(|_| !source.is_fetched);
        let choice = context.map_or(Choice::Take, |filter| {
            filter.choice(&join_path(path, relative), is_directory)
        });
        let Some(exclude) = self.exclude.as_ref().filter(|_| choice != Choice::Leave) else {
            return choice;
        };
        let place = match relative.is_empty() {
            true => name,
            false => relative,
        };
        match exclude.choice(place, is_directory) {
            Choice::Take => choice,
            other => other,
        }
    }

    /// A source that is left out as a whole. What `--exclude` leaves out of a directory is in it.
    fn leaves(&self, selected: &Selected) -> bool {
        match selected.what {
            What::Directory(_) => self
                .context
                .as_ref()
                .filter(|_| !selected.named.is_fetched)
                .is_some_and(|filter| filter.choice(&selected.named.path, true) == Choice::Leave),
            What::Other(..) => self.choice(&selected.named, b"", false) != Choice::Take,
        }
    }
}

fn selections(
    step: &CopyStep,
    tree: &Merged,
    filters: &Filters,
) -> Result<Vec<Selected>, CopyError> {
    let mut all = Vec::new();
    for source in &step.sources {
        let mut selected = select(tree, source, step.parents)?;
        let is_named =
            selected.len() == 1 && !super::dockerfile::glob::has_wildcards(source.as_bytes());
        let in_context = filters.context.is_some() && is_named;
        if in_context && selected.iter().any(|one| filters.leaves(one)) && step.exclude.is_empty() {
            let pattern = source.clone();
            return Err(SelectError::Ignored { pattern }.into());
        }
        selected.retain(|one| !filters.leaves(one));
        all.extend(selected);
    }
    for fetched in &step.fetched {
        let tree = Merged::plain(&fetched.directory).map_err(io("open what was fetched"))?;
        let name = fetched.file.clone().unwrap_or_default().into_bytes();
        all.push(Selected {
            named: Named {
                path: name.clone(),
                name: name.clone(),
                is_fetched: true,
                latest: fetched.latest,
            },
            matched: vec![name.clone()],
            pivot: 0,
            what: match fetched.file {
                Some(_) => What::Other(tree, name),
                None => What::Directory(tree),
            },
        });
    }
    Ok(all)
}

fn key(step: &CopyStep, target: &CopyTarget<'_>, content: &Digest) -> Digest {
    let key = match step.link {
        true => KeyBuilder::new("link"),
        false => KeyBuilder::new("copy").with(target.parent.as_str()),
    };
    key.with(content.as_str())
        .with(&step.destination)
        .with([
            u8::from(step.into_directory),
            u8::from(step.parents),
            step.unpack as u8,
        ])
        .with(step.chown.as_deref().unwrap_or_default())
        .with(&step.chmod_text)
        .with(
            step.epoch
                .map(|epoch| epoch.to_string())
                .unwrap_or_default(),
        )
        .finish()
}

/// What a step that writes a layer is whatever the files are. Only so much of what it says as makes it likely that its last layer
/// is like the next. None: its files are not what one looks at again.
fn instruction(step: &CopyStep, target: &CopyTarget<'_>) -> Option<Digest> {
    if target.layer.is_empty() || !matches!(step.origin, Origin::Tree { .. }) {
        return None;
    }
    let key = KeyBuilder::new("instruction")
        .with(&step.destination)
        .with([u8::from(step.into_directory), u8::from(step.parents)])
        .with_all(&step.sources);
    Some(key.finish())
}

/// Remembers what the step is this time.
fn note(step: &CopyStep, target: &CopyTarget<'_>, cache: &mut FileCache, key: &Digest) {
    if let Some(instruction) = instruction(step, target) {
        cache.note_step(instruction, key);
    }
}

/// The layer that the same instruction came to before, with other files.
fn former(step: &CopyStep, target: &CopyTarget<'_>, cache: &FileCache) -> Option<Former> {
    if target.ignore_cache {
        return None;
    }
    let known = cache.steps_of(&instruction(step, target)?).iter();
    let mut layers = known.filter_map(|key| target.store.step(key));
    layers.find_map(|record| target.store.former_layer(&record.layer))
}

/// What the digests of its files are kept under.
fn tree_name(origin: &Origin) -> PathBuf {
    match origin {
        Origin::Tree { path, .. } => path.clone(),
        Origin::Layers(layers) => {
            let all: Vec<&std::ffi::OsStr> = layers.iter().map(|path| path.as_os_str()).collect();
            PathBuf::from(all.join(std::ffi::OsStr::new(":")))
        }
    }
}

fn content(
    step: &CopyStep,
    cache: &mut FileCache,
    selections: &[Selected],
    filters: &Filters,
) -> Result<Content, CopyError> {
    let with_owners = matches!(step.origin, Origin::Layers(_));
    let mut summary = Summary::new(cache, with_owners);
    for file in &step.inline {
        summary.add_bytes(file.name.as_bytes(), &file.content);
    }
    for selected in selections {
        let choose = |relative: &[u8], is_directory: bool| {
            filters.choice(&selected.named, relative, is_directory)
        };
        let shown_as = match step.parents {
            true => selected.matched[selected.pivot..].join(&b'/'),
            false => selected.named.name.clone(),
        };
        let added = match &selected.what {
            What::Directory(directory) => {
                // Its content goes into the destination, whatever it is called.
                summary.add_bytes(if step.parents { &shown_as } else { b"" }, b"directory");
                summary.tree(directory, &selected.named.path, b"", &choose)
            }
            What::Other(parent, name) => {
                summary.add(parent, name, &selected.named.path, &shown_as, &choose)
            }
        };
        added.map_err(io("read the sources"))?;
    }
    summary.finish().map_err(io("read the sources"))
}

/// Makes a directory where there is none (`WORKDIR`); whether it had to.
pub fn make_directory(
    path: &str,
    user: &str,
    target: &CopyTarget<'_>,
    made_at: i64,
) -> Result<bool, CopyError> {
    let below = Merged::of_layers(target.below).map_err(io("open the layers below"))?;
    let resolved = below.resolve(path.as_bytes(), true);
    let resolved = resolved.map_err(io("look at the directory"))?;
    if resolved.shown.is_some() {
        return Ok(false);
    }
    let owner = match user {
        "" => None,
        text => Some(owner::owner(target.below, text)?),
    };
    let layer = target.store.borrow_layer(target.layer)?;
    let mut graft = Graft::new(&layer, below, target.single_id);
    graft.directory(&resolved.path, owner, 0o755)?;
    graft.finish(made_at)?;
    Ok(true)
}
