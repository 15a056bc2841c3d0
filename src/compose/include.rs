//! `include`: other files with a directory and variables of their own, whose parts become parts of this project.

use std::path::{Path, PathBuf};

use super::ComposeError;
use super::discover::{env_files, is_remote};
use super::fault::Fault;
use super::load::{Reading, Set};
use super::places::Places;
use super::schema;
use super::yaml::{Map, Node, Yaml};

/// Files that one another include.
const DEPTH: usize = 32;
const PARTS: [&str; 6] = [
    "services", "volumes", "networks", "secrets", "configs", "models",
];

/// Reads what a document includes, and puts it into the document.
pub fn apply(
    reading: &mut Reading<'_>,
    document: &mut Node,
    set: &Set<'_>,
) -> Result<(), ComposeError> {
    let Some(mut includes) = document.map_mut().and_then(|map| map.remove("include")) else {
        return Ok(());
    };
    let checked = schema::check_at(&mut includes, &schema::INCLUDES, "include");
    checked.map_err(|fault| reading.sources.told(fault))?;
    let Yaml::List(entries) = includes.value else {
        let fault = Fault::new(includes.at, "`include` must be a list");
        return Err(reading.sources.told(fault));
    };
    for entry in entries {
        let included = included(reading, &entry, set)?;
        for part in PARTS {
            import(document, &included, part).map_err(|fault| reading.sources.told(fault))?;
        }
    }
    Ok(())
}

fn texts(node: Option<&Node>) -> Vec<String> {
    match node.map(|node| &node.value) {
        Some(Yaml::Text(text)) => vec![text.clone()],
        Some(Yaml::List(list)) => list.iter().filter_map(Node::shown).collect(),
        _ => Vec::new(),
    }
}

fn included(reading: &mut Reading<'_>, entry: &Node, set: &Set<'_>) -> Result<Node, ComposeError> {
    let fault = |text: String| Fault::new(entry.at, text);
    let paths = match entry.text() {
        Some(path) => vec![path.to_owned()],
        None => texts(entry.get("path")),
    };
    if paths.is_empty() {
        let fault = fault("include missing property 'path'".to_owned());
        return Err(reading.sources.told(fault));
    }
    if let Some(path) = paths.iter().find(|path| is_remote(path)) {
        let text = format!("include of {path}: compose files of other hosts are not read");
        return Err(reading.sources.told(fault(text)));
    }
    let home = set.environment.get("HOME").cloned();
    let here = Places {
        directory: set.directory,
        home: home.as_deref(),
    };
    let absolute = |path: &String| PathBuf::from(here.absolute(path));
    let files: Vec<PathBuf> = paths.iter().map(absolute).collect();
    let first = files[0].clone();
    if reading.above.len() >= DEPTH {
        let text = format!("files include one another more than {DEPTH} deep");
        return Err(reading.sources.told(fault(text)));
    }
    if reading.above.contains(&first) {
        let chain = reading.above.iter().map(|path| path.display().to_string());
        let chain = chain.collect::<Vec<_>>().join(", include ");
        let text = format!(
            "include cycle detected: {chain}, include {}",
            first.display()
        );
        return Err(reading.sources.told(fault(text)));
    }
    let directory = match entry.text_at("project_directory") {
        Some(directory) => PathBuf::from(here.absolute(directory)),
        None => first.parent().unwrap_or(Path::new("/")).to_owned(),
    };
    let mut env_paths: Vec<PathBuf> = texts(entry.get("env_file")).iter().map(absolute).collect();
    let usual = directory.join(".env");
    if entry.get("env_file").is_none() && usual.is_file() {
        env_paths.push(usual);
    }
    let mut environment = set.environment.clone();
    let own = env_files(&env_paths, &environment, &mut reading.warnings)?;
    for (name, value) in own {
        environment.entry(name).or_insert(value);
    }
    reading.above.push(first);
    let tree = reading.tree(&Set {
        files: &files,
        directory: &directory,
        environment: &environment,
        is_given: false,
    });
    reading.above.pop();
    tree
}

/// A name stands for one thing, unless both say the same of it.
fn import(document: &mut Node, included: &Node, part: &str) -> Result<(), Fault> {
    let Some(theirs) = included.get(part).and_then(Node::map) else {
        return Ok(());
    };
    let at = document.at;
    let Some(map) = document.map_mut() else {
        return Ok(());
    };
    let ours = map.entry(part.to_owned());
    let ours = ours.or_insert_with(|| Node::new(Map::new(), at));
    if ours.is_null() {
        ours.value = Map::new().into();
    }
    let Some(ours) = ours.map_mut() else {
        return Ok(());
    };
    for (name, node) in theirs {
        match ours.get(name) {
            Some(own) if own != node => {
                let text = format!("{part}.{name} conflicts with imported resource");
                return Err(Fault::new(own.key, text));
            }
            Some(_) => {}
            None => drop(ours.insert(name.clone(), node.clone())),
        }
    }
    Ok(())
}
