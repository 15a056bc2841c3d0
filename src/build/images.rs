//! The images that a build begins with or takes files from: found in the store, or pulled while other steps go on, several at once.

use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use super::attest::Material;
use super::builder::Builder;
use super::error::StepError;
use super::plan::{self, From};
use super::progress::Vertex;
use super::request::NamedContext;
use crate::engine::request::{CreateRequest, PullPolicy};
use crate::engine::{Arriving, Elsewhere, EngineError, Sought};
use crate::image::{Image, Platform, Reference};

/// A name, and the platform that it is wanted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ImageKey {
    name: String,
    platform: Option<String>,
}

/// What is known of an image that was asked for.
pub(super) enum Wanted {
    Here(Rc<Image>),
    Coming(Box<Coming>),
    /// Until somebody needs it: that is where the build ends.
    Failed(EngineError),
}

/// A pull at work.
pub(super) struct Coming {
    arriving: Arriving,
    vertex: Vertex,
    /// The line of progress is its own, and not a stage's.
    has_own_vertex: bool,
}

impl Builder<'_> {
    pub fn image_key(&self, name: &str, platform: Option<&Platform>) -> ImageKey {
        let platform = platform.or(self.request.platform.as_ref());
        ImageKey {
            name: name.to_owned(),
            platform: platform.map(ToString::to_string),
        }
    }

    /// Looks for an image, and begins to pull it where it is not here. What goes wrong is told to whoever needs it.
    pub fn seek(&mut self, key: &ImageKey, vertex: Option<Vertex>) {
        if self.images.contains_key(key) {
            return;
        }
        let request = self.wanted(key);
        let found = match self.engine.look_for(&request) {
            Ok(Sought::Here(image)) => self.here(key, *image),
            Ok(Sought::Elsewhere(elsewhere)) => self.begin_pull(key, &elsewhere, vertex),
            Err(error) => Wanted::Failed(error),
        };
        self.images.insert(key.clone(), found);
    }

    /// The images that the instructions of a stage take files from, as far as their names are known now.
    pub fn seek_images_of(&mut self, number: usize) {
        let is_context = |name: &str| self.request.named_contexts.contains_key(name);
        let instructions = self.file.stages[number].instructions.iter();
        let names = instructions.flat_map(|one| plan::froms(&one.value));
        let wanted: Vec<String> = names
            .filter(|(name, _)| !name.contains(['$', '\\']))
            .filter_map(|(name, _)| plan::resolve_from(&self.file, number, name, &is_context))
            .filter_map(|from| match from {
                From::Other(name) => Some(name),
                From::Stage(_) => None,
            })
            .filter(|name| {
                let context = self.request.named_contexts.get(name);
                !matches!(context, Some(NamedContext::Directory(_)))
            })
            .collect();
        for name in wanted {
            self.seek(&self.image_key(&name, None), None);
        }
    }

    /// An image that was asked for. `None`: it is coming.
    pub fn image(&mut self, key: &ImageKey) -> Result<Option<Rc<Image>>, StepError> {
        self.seek(key, None);
        match &self.images[key] {
            Wanted::Here(image) => return Ok(Some(Rc::clone(image))),
            Wanted::Coming(_) => return Ok(None),
            Wanted::Failed(_) => {}
        }
        match self.images.remove(key) {
            Some(Wanted::Failed(error)) => Err(StepError::Engine(error)),
            _ => unreachable!("it was just looked at"),
        }
    }

    pub fn is_coming(&self, key: &ImageKey) -> bool {
        matches!(self.images.get(key), Some(Wanted::Coming(_)))
    }

    /// The pulls at work, each with what becomes readable.
    pub fn coming(&self) -> impl Iterator<Item = (&ImageKey, BorrowedFd<'_>)> {
        self.images.iter().filter_map(|(key, wanted)| match wanted {
            Wanted::Coming(coming) => Some((key, coming.arriving.as_fd())),
            Wanted::Here(_) | Wanted::Failed(_) => None,
        })
    }

    /// Reads what a pull tells.
    pub fn receive(&mut self, key: &ImageKey) {
        let Some(Wanted::Coming(coming)) = self.images.get_mut(key) else {
            return;
        };
        let (watcher, vertex, own) = (self.watcher, coming.vertex, coming.has_own_vertex);
        let read = coming
            .arriving
            .read(&mut |news| watcher.pulls(vertex, &news));
        let pulled = match read {
            Ok(None) => return,
            Ok(Some(pulled)) => {
                for warning in &pulled.outcome.warnings {
                    watcher.warn(warning);
                }
                self.engine.take_pulled(&pulled)
            }
            Err(error) => Err(error),
        };
        if own {
            let shown = pulled.as_ref().err().map(ToString::to_string);
            watcher.end(vertex, shown.as_deref());
        }
        let wanted = match pulled {
            Ok(image) => self.here(key, image),
            Err(error) => Wanted::Failed(error),
        };
        self.images.insert(key.clone(), wanted);
    }

    fn wanted(&self, key: &ImageKey) -> CreateRequest {
        let (image, pull) = match self.request.named_contexts.get(&key.name) {
            Some(NamedContext::Image(name)) => (name.clone(), self.request.pull),
            Some(NamedContext::Stored(id)) => (id.to_string(), PullPolicy::Never),
            _ => (key.name.clone(), self.request.pull),
        };
        CreateRequest {
            image,
            pull,
            platform: key.platform.clone(),
            ..CreateRequest::default()
        }
    }

    fn here(&mut self, key: &ImageKey, image: Image) -> Wanted {
        let wanted = self.wanted(key);
        let digest = ("sha256".to_owned(), image.manifest.hex().to_owned());
        let uri = package_url(&wanted.image, wanted.platform.as_deref());
        self.materials.insert(Material { uri, digest });
        Wanted::Here(Rc::new(image))
    }

    fn begin_pull(
        &mut self,
        key: &ImageKey,
        elsewhere: &Elsewhere,
        vertex: Option<Vertex>,
    ) -> Wanted {
        // Otherwise each of several would make a home namespace for itself.
        if let Err(error) = self.keep_home() {
            return Wanted::Failed(error);
        }
        let arriving = match self.engine.begin_pull(elsewhere) {
            Ok(arriving) => arriving,
            Err(error) => return Wanted::Failed(error),
        };
        Wanted::Coming(Box::new(Coming {
            arriving,
            vertex: vertex.unwrap_or_else(|| self.new_vertex(&format!("FROM {}", key.name))),
            has_own_vertex: vertex.is_none(),
        }))
    }
}

/// As BuildKit names base images.
fn package_url(image: &str, platform: Option<&str>) -> String {
    let platform = platform.map_or_else(|| Platform::host().to_string(), str::to_owned);
    let platform = platform.replace('/', "%2F");
    match image.parse::<Reference>() {
        Ok(name) => {
            let tag = name.tag().map(|tag| format!("@{tag}")).unwrap_or_default();
            format!(
                "pkg:docker/{}{tag}?platform={platform}",
                name.familiar_name()
            )
        }
        Err(_) => format!("docker-image://{image}"),
    }
}
