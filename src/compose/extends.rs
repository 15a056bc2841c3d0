//! `extends`: a service that begins as another one, of this file or of another.

use std::path::{Path, PathBuf};

use super::ComposeError;
use super::canonical::canonical;
use super::discover::is_remote;
use super::fault::Fault;
use super::load::{Reading, Set};
use super::merge::{merge_services, without_marks};
use super::places::Places;
use super::yaml::{Map, Node, documents};

/// Services that one another extend.
const DEPTH: usize = 64;

pub struct Extending<'a, 'b> {
    reading: &'a mut Reading<'b>,
    set: &'a Set<'a>,
    file: &'a Path,
    /// File and service of each that is being extended.
    above: Vec<(PathBuf, String)>,
}

impl<'a, 'b> Extending<'a, 'b> {
    pub fn new(reading: &'a mut Reading<'b>, set: &'a Set<'a>, file: &'a Path) -> Self {
        Extending {
            reading,
            set,
            file,
            above: Vec::new(),
        }
    }

    /// Replaces each service of a file that extends another by what both say.
    pub fn apply(&mut self, document: &mut Node) -> Result<(), ComposeError> {
        let Some(services) = document.map_mut().and_then(|map| map.get_mut("services")) else {
            return Ok(());
        };
        let Some(services) = services.map_mut() else {
            return Ok(());
        };
        let extend = |node: &Node| node.get("extends").is_some();
        let names: Vec<String> = services
            .iter()
            .filter(|(_, node)| extend(node))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            let file = self.file.to_owned();
            let directory = self.set.directory.to_owned();
            let made = self.extended(&name, services, &file, &directory)?;
            services.insert(name, made);
        }
        Ok(())
    }

    fn told(&self, at: &Node, text: String) -> ComposeError {
        self.reading.sources.told(Fault::new(at.at, text))
    }

    /// A service with everything that it extends.
    fn extended(
        &mut self,
        name: &str,
        services: &Map,
        file: &Path,
        directory: &Path,
    ) -> Result<Node, ComposeError> {
        let Some(mut service) = services.get(name).cloned() else {
            let name = name.to_owned();
            return Err(ComposeError::NoService { name });
        };
        let Some(extends) = service.map_mut().and_then(|map| map.remove("extends")) else {
            return Ok(service);
        };
        let place = (file.to_owned(), name.to_owned());
        if self.above.len() >= DEPTH {
            let text = format!("services extend one another more than {DEPTH} deep");
            return Err(self.told(&extends, text));
        }
        if self.above.contains(&place) {
            let chain = self.above.iter().chain([&place]);
            let chain = chain.map(|(file, name)| format!("{name} in {}", file.display()));
            let chain = chain.collect::<Vec<_>>().join(", extends ");
            return Err(self.told(
                &extends,
                format!("Circular reference with extends: {chain}"),
            ));
        }
        let other = extends.text().or_else(|| extends.text_at("service"));
        let Some(other) = other.map(str::to_owned) else {
            let text = format!("services.{name}.extends missing property 'service'");
            return Err(self.told(&extends, text));
        };
        self.above.push(place);
        let base = match extends.text_at("file") {
            Some(path) => self.of_file(path, &other, &extends, (name, directory))?,
            None if services.contains_key(&other) => {
                self.extended(&other, services, file, directory)?
            }
            None => {
                let text = format!(
                    "cannot extend service {name:?} in {}: service {other:?} not found",
                    file.display()
                );
                return Err(self.told(&extends, text));
            }
        };
        self.above.pop();
        let made = merge_services(base, service);
        made.map_err(|fault| self.reading.sources.told(fault))
    }

    /// The service of another file; its relative paths begin where that file is.
    fn of_file(
        &mut self,
        path: &str,
        other: &str,
        extends: &Node,
        (name, directory): (&str, &Path),
    ) -> Result<Node, ComposeError> {
        if is_remote(path) {
            let text = format!("extends of {path}: compose files of other hosts are not read");
            return Err(self.told(extends, text));
        }
        let home = self.set.environment.get("HOME").cloned();
        let places = Places {
            directory,
            home: home.as_deref(),
        };
        let path = PathBuf::from(places.absolute(path));
        let number = self.reading.sources.read(&path, false)?;
        let documents = documents(self.reading.sources.text(number), number);
        let documents = documents.map_err(|wrong| self.reading.sources.told(wrong.into()))?;
        let mut services = Map::new();
        for mut document in documents {
            if !self.reading.request.options.no_interpolate {
                self.reading.replace(&mut document, self.set.environment)?;
            }
            let found = document.map_mut().and_then(|map| map.remove("services"));
            if let Some(mut found) = found
                && let Some(map) = found.map_mut()
            {
                services.append(map);
            }
        }
        if !services.contains_key(other) {
            let text = format!(
                "cannot extend service {name:?} in {}: service {other:?} not found",
                path.display()
            );
            return Err(self.told(extends, text));
        }
        let below = path.parent().unwrap_or(Path::new("/")).to_owned();
        let made = self.extended(other, &services, &path, &below)?;
        self.placed(made, other, &below)
    }

    /// In the long form, with the paths of where it was read.
    fn placed(&mut self, made: Node, name: &str, directory: &Path) -> Result<Node, ComposeError> {
        let at = made.at;
        let services = Node::new(Map::from([(name.to_owned(), made)]), at);
        let mut tree = Node::new(Map::from([("services".to_owned(), services)]), at);
        let no_path_resolution = self.reading.request.options.no_path_resolution;
        let long = canonical(&mut tree);
        long.map_err(|fault| self.reading.sources.told(fault))?;
        if !no_path_resolution {
            Places {
                directory,
                home: self.set.environment.get("HOME").map(String::as_str),
            }
            .resolve(&mut tree);
        }
        without_marks(&mut tree);
        let services = tree.map_mut().and_then(|map| map.remove("services"));
        let service = services.and_then(|mut services| services.map_mut()?.remove(name));
        Ok(service.expect("it was put there above"))
    }
}
