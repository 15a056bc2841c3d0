//! Removing names and images as docker does (`daemon/images/image_delete.go` describes the rules). What becomes free by that is
//! collected by `collect`.

use oci_spec::image::ImageConfiguration;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::layer::LayerDir;
use super::names::Names;
use super::reference::{Reference, ReferenceError};
use super::resolve::{ImageError, NamedBy, find};
use super::store::{Store, StoreError};

/// A container that uses an image and its layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    pub image: Digest,
    pub layers: Vec<LayerDir>,
    /// The container's short id, for messages.
    pub container: String,
    pub running: bool,
}

/// One line of `rmi`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Removed {
    Untagged(Reference),
    Deleted(Digest),
}

#[derive(Debug, thiserror::Error)]
pub enum RemoveImageError {
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error("list the containers that use images: {source}")]
    Users {
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error(
        "conflict: unable to remove repository reference \"{text}\" (must force) - container {container} is using its referenced image {}", id.short()
    )]
    NameInUse {
        text: String,
        container: String,
        id: Digest,
    },
    #[error(
        "conflict: unable to delete {} (cannot be forced) - image is being used by running container {container}", id.short()
    )]
    Running { id: Digest, container: String },
    #[error(
        "conflict: unable to delete {} (must be forced) - image is being used by stopped container {container}", id.short()
    )]
    Stopped { id: Digest, container: String },
    #[error(
        "conflict: unable to delete {} (must be forced) - image is referenced in multiple repositories", id.short()
    )]
    SeveralNames { id: Digest },
}

/// The containers that use images; asked under the exclusive store lock.
pub type Users<'a> = &'a dyn Fn() -> Result<Vec<Use>, Box<dyn std::error::Error + Send + Sync>>;

/// What a removal comes to.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    untag: Vec<Reference>,
    delete: Option<Digest>,
}

impl Store {
    /// Removes what `text` names: a name only where the image has others, else the image. Layers that nothing else
    /// needs are deleted before this returns, and with `parents` nameless images that a removed one was made from. Runs in the home namespace.
    pub fn remove(
        &self,
        text: &str,
        force: bool,
        parents: bool,
        users: Users<'_>,
    ) -> Result<Vec<Removed>, RemoveImageError> {
        let mut removed = Vec::new();
        let mut dead = Vec::new();
        {
            let _lock = self.lock_exclusive()?;
            let users = users().map_err(|source| RemoveImageError::Users { source })?;
            let plan = plan(&self.names()?, text, force, &users)?;
            // One that cannot be read has no parents that could be found.
            let config = plan.delete.as_ref().filter(|_| parents);
            let config = config.and_then(|id| self.config_of(id).ok());
            self.remove_names(|names| {
                for reference in &plan.untag {
                    names.remove_name(reference);
                }
                if let Some(id) = &plan.delete {
                    names.remove_image(id);
                }
                Ok(())
            })?;
            removed.extend(plan.untag.into_iter().map(Removed::Untagged));
            if let Some(id) = plan.delete {
                removed.push(Removed::Deleted(id));
                if let Some(config) = config {
                    removed.extend(self.remove_parents(&config, &users)?);
                }
                let collected = self.collect(users.iter().flat_map(|user| &user.layers))?;
                removed.extend(collected.freed.into_iter().map(Removed::Deleted));
                dead = collected.dead;
            }
        }
        self.delete(dead)?;
        Ok(removed)
    }

    fn remove_parents(
        &self,
        config: &ImageConfiguration,
        users: &[Use],
    ) -> Result<Vec<Removed>, StoreError> {
        let parents = self.lonely_parents(&self.names()?, config, users)?;
        if !parents.is_empty() {
            self.remove_names(|names| {
                parents.iter().for_each(|id| names.remove_image(id));
                Ok(())
            })?;
        }
        Ok(parents.into_iter().map(Removed::Deleted).collect())
    }

    /// Takes these names away; images that have no other stay without one.
    pub fn untag(&self, names: &[Reference]) -> Result<(), StoreError> {
        let _lock = self.lock_shared()?;
        self.remove_names(|all| {
            for name in names {
                all.remove_name(name);
            }
            Ok(())
        })
    }

    /// Gives an image one more name, which another image may lose by it.
    pub fn tag(&self, text: &str, name: &Reference) -> Result<(), ImageError> {
        let _lock = self.lock_shared()?;
        let names = self.names()?;
        let (entry, _) = find(&names, text)?;
        let id = entry.id.clone();
        let found = self.change_names(|names| {
            let Some(mut entry) = names.of_image(&id).next().cloned() else {
                return Ok(false);
            };
            entry.reference = Some(name.clone());
            names.set(entry);
            Ok(true)
        })?;
        if found {
            Ok(())
        } else {
            Err(ImageError::Unknown {
                text: text.to_owned(),
            })
        }
    }
}

fn plan(names: &Names, text: &str, force: bool, users: &[Use]) -> Result<Plan, RemoveImageError> {
    let (entry, named_by) = find(names, text)?;
    let id = entry.id.clone();
    let all: Vec<Reference> = names
        .of_image(&id)
        .filter_map(|entry| entry.reference.clone())
        .collect();
    let user = || users.iter().find(|user| user.image == id);
    let mut untag = Vec::new();
    if let NamedBy::Reference(_) = named_by {
        let name = entry.reference.clone().expect("it was found by its name");
        if let Some(user) = user().filter(|_| !force && is_single(&all)) {
            return Err(RemoveImageError::NameInUse {
                text: text.to_owned(),
                container: user.container.clone(),
                id,
            });
        }
        untag.push(name.clone());
        untag.extend(orphaned_digests(&all, &name));
        if untag.len() < all.len() {
            return Ok(Plan {
                untag,
                delete: None,
            });
        }
    } else if is_single(&all) || force {
        untag = all;
    } else {
        return Err(RemoveImageError::SeveralNames { id });
    }
    let using = users.iter().filter(|user| user.image == id);
    if let Some(user) = using.clone().find(|user| user.running) {
        if named_by != NamedBy::Id && force {
            // docker takes the name away and keeps what runs.
            return Ok(Plan {
                untag,
                delete: None,
            });
        }
        return Err(RemoveImageError::Running {
            id,
            container: user.container.clone(),
        });
    }
    if let Some(user) = user().filter(|_| !force) {
        return Err(RemoveImageError::Stopped {
            id,
            container: user.container.clone(),
        });
    }
    Ok(Plan {
        untag,
        delete: Some(id),
    })
}

/// The digest names of a repository that go with its last tag.
fn orphaned_digests(all: &[Reference], name: &Reference) -> Vec<Reference> {
    let rest = all
        .iter()
        .filter(|other| *other != name && other.name() == name.name());
    if name.digest().is_some() || rest.clone().any(|other| other.digest().is_none()) {
        return Vec::new();
    }
    rest.cloned().collect()
}

/// At most one tag, and all digest names of its repository.
fn is_single(all: &[Reference]) -> bool {
    let tags = all.iter().filter(|name| name.digest().is_none()).count();
    let mut repositories: Vec<String> = all.iter().map(Reference::name).collect();
    repositories.dedup();
    repositories.sort();
    repositories.dedup();
    tags <= 1 && repositories.len() <= 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::document::media_type;
    use crate::image::names::NameEntry;

    fn names(pairs: &[(&str, &str)]) -> Names {
        let mut names = Names::default();
        for (name, image) in pairs {
            names.set(NameEntry {
                reference: (!name.is_empty()).then(|| name.parse().expect("valid")),
                manifest: Digest::of(image.as_bytes()),
                manifest_size: 1,
                media_type: media_type::OCI_MANIFEST.to_owned(),
                id: Digest::of(image.as_bytes()),
                created: None,
                size: 1,
            });
        }
        names
    }

    fn user(image: &str, running: bool) -> Use {
        Use {
            image: Digest::of(image.as_bytes()),
            layers: Vec::new(),
            container: "c0ffee".to_owned(),
            running,
        }
    }

    fn outcome(
        names: &Names,
        text: &str,
        force: bool,
        users: &[Use],
    ) -> Result<(Vec<String>, bool), String> {
        plan(names, text, force, users)
            .map(|plan| {
                let untag = plan.untag.iter().map(Reference::familiar).collect();
                (untag, plan.delete.is_some())
            })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn one_of_several_names_is_only_untagged() {
        let names = names(&[("x:1", "a"), ("y:1", "a")]);
        assert_eq!(
            outcome(&names, "x:1", false, &[]),
            Ok((vec!["x:1".into()], false))
        );
        let users = [user("a", true)];
        assert_eq!(
            outcome(&names, "x:1", false, &users),
            Ok((vec!["x:1".into()], false))
        );
    }

    #[test]
    fn the_last_name_takes_the_image_and_its_digest_name_with_it() {
        let digest = format!("x@{}", Digest::of(b"index"));
        let names = names(&[("x:1", "a"), (&digest, "a")]);
        let both = vec!["x:1".to_owned(), digest.clone()];
        assert_eq!(outcome(&names, "x:1", false, &[]), Ok((both.clone(), true)));
        let id = Digest::of(b"a");
        assert_eq!(outcome(&names, id.short(), false, &[]), Ok((both, true)));
    }

    #[test]
    fn an_image_in_several_repositories_is_deleted_by_id_only_by_force() {
        let names = names(&[("x:1", "a"), ("y:1", "a")]);
        let id = Digest::of(b"a");
        assert!(
            outcome(&names, id.short(), false, &[])
                .is_err_and(|e| e.contains("multiple repositories"))
        );
        assert!(
            outcome(&names, id.short(), true, &[])
                .is_ok_and(|(untag, delete)| untag.len() == 2 && delete)
        );
    }

    #[test]
    fn images_in_use_are_refused_in_dockers_words() {
        let names = names(&[("x", "a"), ("", "b")]);
        let running = [user("a", true), user("b", true)];
        let stopped = [user("a", false), user("b", false)];
        let id = Digest::of(b"b").hex().to_owned();
        assert!(outcome(&names, "x", false, &running).is_err_and(|e| e.contains("must force")));
        assert!(
            outcome(&names, "x", true, &running)
                .is_ok_and(|(untag, delete)| untag.len() == 1 && !delete)
        );
        assert!(outcome(&names, "x", true, &stopped).is_ok_and(|(_, delete)| delete));
        assert!(
            outcome(&names, &id, false, &stopped)
                .is_err_and(|e| e.contains("stopped container c0ffee"))
        );
        assert!(outcome(&names, &id, true, &stopped).is_ok_and(|(_, delete)| delete));
        assert!(
            outcome(&names, &id, true, &running).is_err_and(|e| e.contains("cannot be forced"))
        );
    }
}
