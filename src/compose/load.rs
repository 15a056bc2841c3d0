//! From a command line's words to a project: the files in their order, each over those before it.

use std::path::{Path, PathBuf};

use super::canonical::{canonical, defaults};
use super::discover::{self, Found};
use super::extends::Extending;
use super::fault::Fault;
use super::include;
use super::interpolate;
use super::merge::{merge, without_marks};
use super::model::{Project, Texts};
use super::places::Places;
use super::schema::{self, FILE};
use super::sources::Sources;
use super::unique::unique;
use super::yaml::{Map, Node, documents};
use super::{ComposeError, ComposeWarning, Request, check, decode, normalize, refuse, select};
use crate::build::interpolate::{Variables, interpolated};

/// A project, and what should be said of its files.
#[derive(Debug)]
pub struct Loaded {
    pub project: Project,
    /// The tree that the project was made of: what `config --no-interpolate` shows.
    pub tree: Node,
    pub is_normalized: bool,
    pub warnings: Vec<ComposeWarning>,
    /// What cannot work here, by its place: an error for all that does not only look at the file.
    pub refused: Option<ComposeError>,
    /// What is taken and does nothing: to be said by the same.
    pub without_effect: Vec<ComposeWarning>,
}

/// One reading of a project.
pub struct Reading<'a> {
    pub request: &'a Request,
    pub sources: Sources,
    pub warnings: Vec<ComposeWarning>,
    /// Included files that are being read.
    pub above: Vec<PathBuf>,
}

/// Files that are read as one, and what is known while they are.
pub struct Set<'a> {
    pub files: &'a [PathBuf],
    pub directory: &'a Path,
    pub environment: &'a Texts,
    /// The command line names them.
    pub is_given: bool,
}

pub fn load(request: &Request) -> Result<Loaded, ComposeError> {
    let mut warnings = Vec::new();
    let found = discover::discover(request, &mut warnings)?;
    let mut reading = Reading {
        request,
        sources: Sources::default(),
        warnings,
        above: found.files.first().cloned().into_iter().collect(),
    };
    let mut found = found;
    let mut tree = read_all(&mut reading, &mut found)?;
    let name = found.name.clone().unwrap_or_default();
    if !request.options.no_normalize {
        // What is not interpolated has nothing of the host's.
        let nothing = Texts::new();
        let environment = match request.options.no_interpolate {
            true => &nothing,
            false => &found.environment,
        };
        normalize::normalize(&mut tree, &name, environment);
    }
    let refused = refuse::refused(&tree).map(|fault| reading.sources.told(fault));
    let without_effect = refuse::without_effect(&tree).into_iter();
    let without_effect = without_effect.map(|fault| {
        let place = reading.sources.place(fault.at);
        ComposeWarning(format!("{place}: {}", fault.text))
    });
    let without_effect = without_effect.collect();
    let mut project = Project::default();
    if !request.options.no_interpolate {
        let decoded = decode::project(&tree, &found.environment);
        project = decoded.map_err(|fault| reading.sources.told(fault))?;
    }
    project.name = name;
    project.working_dir = found.directory.clone();
    project.files = found.files.clone();
    project.environment = found.environment.clone();
    if !request.options.no_interpolate {
        select::activate(&mut project, &found.profiles, request)?;
        reading.finish(&mut project)?;
    }
    Ok(Loaded {
        project,
        tree,
        is_normalized: !request.options.no_normalize,
        warnings: reading.warnings,
        refused,
        without_effect,
    })
}

/// The tree of all files, with the project's name known to what is replaced in them.
fn read_all(reading: &mut Reading<'_>, found: &mut Found) -> Result<Node, ComposeError> {
    let name = match found.name.take() {
        Some(name) if discover::normalized(&name) != name => {
            return Err(ComposeError::Name { name });
        }
        Some(name) => name,
        None => {
            let named = reading.name_of(&found.files, &found.environment)?;
            let directory = found.directory.file_name().unwrap_or_default();
            let name = named.unwrap_or_else(|| directory.to_string_lossy().into_owned());
            discover::normalized(&name)
        }
    };
    if name.is_empty() {
        return Err(ComposeError::NoName);
    }
    let variable = "COMPOSE_PROJECT_NAME".to_owned();
    found.environment.insert(variable, name.clone());
    found.name = Some(name);
    reading.tree(&Set {
        files: &found.files,
        directory: &found.directory,
        environment: &found.environment,
        is_given: true,
    })
}

impl Reading<'_> {
    /// What the files' `name:` says, the last one of them.
    fn name_of(
        &mut self,
        files: &[PathBuf],
        environment: &Texts,
    ) -> Result<Option<String>, ComposeError> {
        let mut found = None;
        for path in files {
            // Standard input can be read once.
            if path.as_os_str() == "-" {
                continue;
            }
            let mut sources = Sources::default();
            let file = sources.read(path, true)?;
            let Ok(documents) = documents(sources.text(file), file) else {
                continue;
            };
            for document in documents {
                let Some(name) = document.text_at("name") else {
                    continue;
                };
                let variables = Variables {
                    lookup: &|name| environment.get(name).cloned(),
                    unset: &|_| {},
                };
                let name = match self.request.options.no_interpolate {
                    true => Ok(name.to_owned()),
                    false => interpolated(name, variables),
                };
                found = name.ok().filter(|name| !name.is_empty()).or(found);
            }
        }
        Ok(found)
    }

    /// The files of a set as one tree: merged, in the long form, with absolute paths.
    pub fn tree(&mut self, set: &Set<'_>) -> Result<Node, ComposeError> {
        let mut tree = Node::new(Map::new(), Default::default());
        for path in set.files {
            tree = self.over(tree, path, set)?;
        }
        let done = self.completed(&mut tree, set);
        done.map_err(|fault| self.sources.told(fault))?;
        Ok(tree)
    }

    fn completed(&mut self, tree: &mut Node, set: &Set<'_>) -> Result<(), Fault> {
        defaults(tree);
        check::tree(tree)?;
        if !self.request.options.no_path_resolution {
            Places {
                directory: set.directory,
                home: set.environment.get("HOME").map(String::as_str),
            }
            .resolve(tree);
        }
        Ok(())
    }

    /// A file laid over what was read before it.
    fn over(&mut self, mut tree: Node, path: &Path, set: &Set<'_>) -> Result<Node, ComposeError> {
        let file = self.sources.read(path, set.is_given)?;
        let documents = documents(self.sources.text(file), file);
        let documents = documents.map_err(|wrong| self.sources.told(wrong.into()))?;
        if documents.iter().all(Node::is_null) {
            return Err(ComposeError::Empty);
        }
        for document in documents {
            tree = self.document_over(tree, document, path, set)?;
        }
        Ok(tree)
    }

    fn document_over(
        &mut self,
        tree: Node,
        mut document: Node,
        path: &Path,
        set: &Set<'_>,
    ) -> Result<Node, ComposeError> {
        if document.map().is_none() {
            let fault = Fault::new(document.at, "top-level object must be a mapping");
            return Err(self.sources.told(fault));
        }
        if !self.request.options.no_interpolate {
            self.replace(&mut document, set.environment)?;
        }
        let mut extending = Extending::new(self, set, path);
        extending.apply(&mut document)?;
        include::apply(self, &mut document, set)?;
        let made = self.laid(tree, document);
        made.map_err(|fault| self.sources.told(fault))
    }

    fn laid(&mut self, tree: Node, document: Node) -> Result<Node, Fault> {
        let mut tree = merge(tree, document)?;
        without_marks(&mut tree);
        self.one_form(&mut tree)?;
        Ok(tree)
    }

    /// Held against the schema, and in the long form.
    pub fn one_form(&mut self, tree: &mut Node) -> Result<(), Fault> {
        unique(tree)?;
        schema::check(tree, &FILE, !self.request.options.no_interpolate)?;
        if let Some(map) = tree.map_mut()
            && let Some(version) = map.remove("version")
        {
            let place = self.sources.place(version.key);
            self.warnings.push(ComposeWarning(format!(
                "{place}: the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion"
            )));
        }
        canonical(tree)?;
        unique(tree)
    }

    pub fn replace(&mut self, tree: &mut Node, environment: &Texts) -> Result<(), ComposeError> {
        let unset = std::cell::RefCell::new(Vec::new());
        let variables = Variables {
            lookup: &|name| environment.get(name).cloned(),
            unset: &|name| unset.borrow_mut().push(ComposeWarning::unset(name)),
        };
        let replaced = interpolate::replace(tree, variables);
        replaced.map_err(|fault| self.sources.told(fault))?;
        for warning in unset.into_inner() {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        Ok(())
    }

    /// What is asked of other files, and whether all of it fits together.
    fn finish(&mut self, project: &mut Project) -> Result<(), ComposeError> {
        let options = &self.request.options;
        super::environment::resolve(project, !options.no_env_resolution, &mut self.warnings)?;
        if !options.no_consistency {
            check::project(project)?;
        }
        Ok(())
    }
}
