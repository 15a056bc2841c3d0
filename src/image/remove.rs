//! Removing names and images as docker does (`daemon/images/image_delete.go` describes the rules). What becomes free by that is
//! collected by `collect`.

use std::collections::BTreeSet;

use oci_spec::image::ImageConfiguration;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::layer::LayerDir;
use super::names::{NameEntry, Names, OfIndex};
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
    #[error(
        "conflict: unable to delete {} (cannot be forced) - image is part of {index}", id.short()
    )]
    OfIndex { id: Digest, index: String },
}

/// The containers that use images; asked under the exclusive store lock.
pub type Users<'a> = &'a dyn Fn() -> Result<Vec<Use>, Box<dyn std::error::Error + Send + Sync>>;

/// What a removal comes to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    untag: Vec<Reference>,
    delete: Option<Digest>,
    /// An index without a name, whose image may have others.
    index: Option<Digest>,
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
            let before = self.names()?;
            let plan = plan(&before, text, force, &users)?;
            // One that cannot be read has no parents that could be found.
            let config = plan.delete.as_ref().filter(|_| parents);
            let config = config.and_then(|id| self.config_of(id).ok());
            self.remove_names(|names| {
                for reference in &plan.untag {
                    names.remove_name(reference);
                }
                if let Some(index) = &plan.index {
                    names.remove_index(index);
                }
                if let Some(id) = &plan.delete {
                    names.remove_image(id);
                }
                Ok(())
            })?;
            removed.extend(plan.untag.into_iter().map(Removed::Untagged));
            let after = self.names()?;
            let mut gone = gone(&before, &after);
            let indexes = gone_indexes(&before, &after);
            // The one that was named comes first, then the others of its index.
            gone.sort_by_key(|id| Some(id) != plan.delete.as_ref());
            if !gone.is_empty() || !indexes.is_empty() {
                removed.extend(indexes.into_iter().map(Removed::Deleted));
                removed.extend(gone.into_iter().map(Removed::Deleted));
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

    /// Remembers by which digest a repository has an image now, if it has a tag of that repository here: what docker calls a
    /// RepoDigest. An image that is gone, or has lost that tag, gets no name.
    pub fn name_pushed(
        &self,
        id: &Digest,
        by_digest: &Reference,
        manifest: &[u8],
        media_type: &str,
    ) -> Result<(), StoreError> {
        let _lock = self.lock_shared()?;
        let is_tag = |entry: &&NameEntry| {
            let name = entry.reference.as_ref();
            name.is_some_and(|name| name.name() == by_digest.name() && name.tag().is_some())
        };
        let names = self.names()?;
        if names.get(by_digest).is_some() || !names.of_image(id).any(|entry| is_tag(&entry)) {
            return Ok(());
        }
        let digest = self.write_blob(manifest)?;
        self.change_names(|names| {
            let tagged = names.of_image(id).find(is_tag).cloned();
            if let Some(tagged) = tagged {
                names.set(NameEntry {
                    reference: Some(by_digest.clone()),
                    manifest: digest,
                    manifest_size: manifest.len() as u64,
                    media_type: media_type.to_owned(),
                    index: None,
                    ..tagged
                });
            }
            Ok(())
        })
    }

    /// Gives an image one more name, which another image may lose by it.
    pub fn tag(&self, text: &str, name: &Reference) -> Result<(), ImageError> {
        let _lock = self.lock_shared()?;
        let names = self.names()?;
        let (entry, named_by) = find(&names, text)?;
        let (id, by_id) = (entry.id.clone(), named_by == NamedBy::Id);
        let found = self.change_names(|names| {
            // A name of an index gives the index, an id the image alone.
            let same = match find(names, text) {
                Ok((entry, NamedBy::Reference(_) | NamedBy::Index)) if entry.id == id => {
                    Some(entry)
                }
                _ => names.of_image(&id).next(),
            };
            let Some(entry) = same else {
                return Ok(false);
            };
            let index = entry.head().filter(|_| !by_id).cloned();
            let entry = NameEntry {
                reference: Some(name.clone()),
                index: index.map(OfIndex::Head),
                ..entry.clone()
            };
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

/// Images that have no entry any more, in their order.
fn gone(before: &Names, after: &Names) -> Vec<Digest> {
    let mut ids: Vec<Digest> = Vec::new();
    for entry in &before.entries {
        if after.of_image(&entry.id).next().is_none() && !ids.contains(&entry.id) {
            ids.push(entry.id.clone());
        }
    }
    ids
}

fn gone_indexes(before: &Names, after: &Names) -> BTreeSet<Digest> {
    let of = |names: &Names| -> BTreeSet<Digest> {
        let heads = names.entries.iter().filter_map(NameEntry::head);
        heads.cloned().collect()
    };
    &of(before) - &of(after)
}

fn plan(names: &Names, text: &str, force: bool, users: &[Use]) -> Result<Plan, RemoveImageError> {
    let (entry, named_by) = find(names, text)?;
    let id = entry.id.clone();
    let all: Vec<Reference> = names
        .of_image(&id)
        .filter_map(|entry| entry.reference.clone())
        .collect();
    // Whoever uses another image of the index uses the index.
    let members = names.of_image(&id).filter_map(NameEntry::head);
    let members: Vec<&Digest> = members
        .flat_map(|index| names.members(index))
        .map(|member| &member.id)
        .collect();
    let uses = |user: &&Use| user.image == id || members.contains(&&user.image);
    let user = || users.iter().find(uses);
    let nameless = entry.head().filter(|_| entry.reference.is_none());
    if let (Some(index), NamedBy::Index) = (nameless, &named_by)
        && names.of_image(&id).any(|other| other != entry)
    {
        let user = users.iter().find(|user| members.contains(&&user.image));
        return match user {
            Some(user) if user.running || !force => Err(held(id, user)),
            _ => Ok(Plan {
                index: Some(index.clone()),
                ..Plan::default()
            }),
        };
    }
    if let (Some(index), true, NamedBy::Id) = (index_of(names, &id), all.is_empty(), &named_by) {
        return Err(RemoveImageError::OfIndex { id, index });
    }
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
        // An index without a name keeps its image.
        let is_nameless = |other: &NameEntry| other.reference.is_none() && other.head().is_some();
        if untag.len() < all.len() || names.of_image(&id).any(is_nameless) {
            return Ok(Plan {
                index: index_without(names, entry, &untag),
                untag,
                ..Plan::default()
            });
        }
    } else if is_single(&all) || force {
        untag = all;
    } else {
        return Err(RemoveImageError::SeveralNames { id });
    }
    let using = users.iter().filter(uses);
    if let Some(user) = using.clone().find(|user| user.running) {
        if matches!(named_by, NamedBy::Reference(_)) && force {
            // docker takes the name away and keeps what runs.
            return Ok(Plan {
                untag,
                ..Plan::default()
            });
        }
        return Err(held(id, user));
    }
    if let Some(user) = user().filter(|_| !force) {
        return Err(held(id, user));
    }
    Ok(Plan {
        untag,
        delete: Some(id),
        index: None,
    })
}

/// Why an image that this container uses stays.
fn held(id: Digest, user: &Use) -> RemoveImageError {
    let container = user.container.clone();
    match user.running {
        true => RemoveImageError::Running { id, container },
        false => RemoveImageError::Stopped { id, container },
    }
}

/// What messages call the index that an image is part of.
fn index_of(names: &Names, id: &Digest) -> Option<String> {
    let index = names.of_image(id).find_map(NameEntry::member_of)?;
    let mut entries = names.entries.iter();
    let head = entries.find(|entry| entry.head() == Some(index));
    let name = head.and_then(|head| head.reference.as_ref());
    Some(name.map_or_else(|| format!("index {index}"), Reference::familiar))
}

/// The entry's index, where these are all its names: the last of them takes it along.
fn index_without(names: &Names, entry: &NameEntry, untag: &[Reference]) -> Option<Digest> {
    let index = entry.head()?;
    let mut heads = names.entries.iter();
    let stays = heads.any(|other| {
        let name = other.reference.as_ref();
        other.head() == Some(index) && name.is_none_or(|name| !untag.contains(name))
    });
    (!stays).then(|| index.clone())
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
                index: None,
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
