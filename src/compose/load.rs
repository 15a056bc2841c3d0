//! From a command line's words to a project.

use std::path::{Path, PathBuf};

use super::model::Project;
use super::{ComposeError, Request};

/// In the order in which they are looked for.
const NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
];

/// A project, and what should be said of its files.
#[derive(Debug)]
pub struct Loaded {
    pub project: Project,
    pub warnings: Vec<String>,
}

pub fn load(request: &Request) -> Result<Loaded, ComposeError> {
    let file = match request.files.first() {
        Some(file) => request.directory.join(file),
        None => found(&request.directory).ok_or(ComposeError::NoFile)?,
    };
    let text = std::fs::read_to_string(&file).map_err(|source| ComposeError::Open {
        path: file.clone(),
        source,
    })?;
    let parse = |text: String| ComposeError::Parse {
        file: file.display().to_string(),
        text,
    };
    let mut project: Project =
        serde_saphyr::from_str(&text).map_err(|error| parse(error.to_string()))?;
    let directory = file.parent().unwrap_or(&request.directory).to_owned();
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    if project.name.is_empty() {
        project.name = request.project_name.clone().unwrap_or(name.into_owned());
    }
    for (name, service) in &mut project.services {
        service.name = name.clone();
    }
    project.working_dir = directory;
    project.files = vec![file];
    project.environment = request.environment.clone();
    Ok(Loaded {
        project,
        warnings: Vec::new(),
    })
}

fn found(directory: &Path) -> Option<PathBuf> {
    let mut above = directory.ancestors();
    above.find_map(|directory| {
        let mut names = NAMES.iter().map(|name| directory.join(name));
        names.find(|path| path.is_file())
    })
}
