//! Removing names and images as docker does (`daemon/images/image_delete.go` describes the rules), and collecting what
//! nobody needs any more: renamed away under the exclusive lock, deleted after it.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::image::ImageConfiguration;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::layer::{DEAD, LayerDir, TEMPORARY};
use super::names::Names;
use super::reference::{Reference, ReferenceError};
use super::resolve::{ImageError, NamedBy, find};
use super::store::{Store, StoreError};
use crate::sys::disk;
use crate::sys::fs;
use crate::sys::lock::{self, Mode};

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

/// A process may have a thousand files open, and deleting takes some more.
const MOST_HELD: usize = 256;

/// What a collection took out of sight.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// The layers that are no more.
    pub(super) freed: Vec<Digest>,
    /// Their directories, locked: who has collected them deletes them, and nobody who came for something else.
    pub(super) dead: Dead,
}

/// Directories to be deleted, each locked.
pub(super) type Dead = Vec<(PathBuf, OwnedFd)>;

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

    /// Deletes layers, configs and manifests that no image and no container needs: what interrupted pulls left.
    /// The layers freed are returned. Runs in the home namespace.
    pub fn collect_garbage(&self, users: Users<'_>) -> Result<Vec<Digest>, RemoveImageError> {
        let collected = {
            let _lock = self.lock_exclusive()?;
            let users = users().map_err(|source| RemoveImageError::Users { source })?;
            self.collect(users.iter().flat_map(|user| &user.layers))?
        };
        self.delete(collected.dead)?;
        Ok(collected.freed)
    }

    /// Under the exclusive lock: renames layers away that no image and nobody else uses, and unlinks unneeded documents. Layers stay for a later
    /// time while somebody holds a [`Store::lease`].
    pub(super) fn collect<'a>(
        &self,
        used: impl Iterator<Item = &'a LayerDir>,
    ) -> Result<Collected, StoreError> {
        let names = self.names()?;
        let ids: HashSet<&Digest> = names.entries.iter().map(|entry| &entry.id).collect();
        let mut layers: HashSet<LayerDir> = HashSet::new();
        let mut keep = |directory: &LayerDir| {
            // A variant's base stays: it is what "this layer is here" means.
            layers.insert(LayerDir::base(&directory.diff_id()));
            layers.insert(directory.clone());
        };
        for id in &ids {
            self.read_stack(id)?.layers.iter().for_each(&mut keep);
        }
        used.for_each(&mut keep);
        for step in self.steps()? {
            keep(&LayerDir::base(&step.record.layer));
        }
        let stacks = ids.iter().map(|id| id.hex()).collect();
        self.unlink_except(&self.images.join("stacks"), &stacks)?;
        let manifests: HashSet<&str> = names
            .entries
            .iter()
            .map(|entry| entry.manifest.hex())
            .collect();
        self.unlink_except(&self.images.join("signatures"), &manifests)?;
        self.collect_documents(&names)?;
        self.unlink_interrupted()?;
        let lease = self.lease_path();
        let lease =
            lock::try_lock(&lease, Mode::Exclusive).map_err(StoreError::io("lock", &lease))?;
        match lease {
            Some(_held) => {
                self.forget_kept(&names)?;
                let collected = self.rename_away(&layers)?;
                self.settle_debt();
                Ok(collected)
            }
            None => {
                self.note_debt(&layers)?;
                Ok(Collected::default())
            }
        }
    }

    /// Whether a removal has left layers to whoever held a lease, and nobody holds one now.
    pub fn owes_layers(&self) -> bool {
        let free = || lock::try_lock(&self.lease_path(), Mode::Exclusive);
        self.debt_path().exists() && free().is_ok_and(|held| held.is_some())
    }

    /// Without room for the note they wait for the next collection.
    fn note_debt(&self, keep: &HashSet<LayerDir>) -> Result<(), StoreError> {
        let path = self.debt_path();
        let is_owed = self
            .layer_directories()?
            .iter()
            .any(|layer| !keep.contains(layer));
        if is_owed
            && !path.exists()
            && let Err(error) = disk::create(&path)
        {
            tracing::debug!(%error, "layers are left behind unnoted");
        }
        Ok(())
    }

    /// One that stays costs a collection that finds nothing.
    fn settle_debt(&self) {
        let path = self.debt_path();
        if path.exists() {
            let _ = disk::remove_file(&path);
        }
    }

    /// Under the exclusive lock: unlinks documents that no image and no artifact names.
    pub(super) fn collect_documents(&self, names: &Names) -> Result<(), StoreError> {
        let of_images = names.entries.iter();
        let mut needed: HashSet<&str> = of_images
            .flat_map(|entry| [entry.id.hex(), entry.manifest.hex()])
            .collect();
        let Some(of_artifacts) = self.blobs_of_artifacts() else {
            return Ok(());
        };
        needed.extend(of_artifacts.iter().map(Digest::hex));
        self.unlink_except(&self.images.join("blobs/sha256"), &needed)
    }

    fn layer_directories(&self) -> Result<Vec<LayerDir>, StoreError> {
        let error = |operation| StoreError::io(operation, &self.layers);
        let directory = fs::open_directory(&self.layers).map_err(error("open"))?;
        let listed = fs::list_directory(&directory).map_err(error("list"))?;
        let names = listed
            .iter()
            .filter_map(|(name, _)| std::str::from_utf8(name).ok());
        Ok(names.filter_map(|name| name.parse().ok()).collect())
    }

    fn rename_away(&self, keep: &HashSet<LayerDir>) -> Result<Collected, StoreError> {
        let error = |operation| StoreError::io(operation, &self.layers);
        let directory = fs::open_directory(&self.layers).map_err(error("open"))?;
        let mut collected = Collected::default();
        for layer in self.layer_directories()? {
            if keep.contains(&layer) {
                continue;
            }
            let dead = format!("{DEAD}{}", fs::random_name());
            // Before it has a name that any sweep would take it by.
            let held = match collected.dead.len() < MOST_HELD {
                true => fs::open_directory(&self.layers.join(layer.as_str()))
                    .and_then(|fd| Ok(lock::try_hold_alone(&fd)?.then_some(fd))),
                false => Ok(None),
            };
            let name = layer.as_str().as_bytes();
            fs::rename_new(&directory, name, dead.as_bytes()).map_err(error("rename in"))?;
            if let Ok(Some(held)) = held {
                collected.dead.push((self.layers.join(dead), held));
            }
            if layer == LayerDir::base(&layer.diff_id()) {
                collected.freed.push(layer.diff_id());
            }
        }
        collected.freed.sort();
        Ok(collected)
    }

    /// Temporary names of `index.json` whose writers were killed: its writers hold the names' lock.
    fn unlink_interrupted(&self) -> Result<(), StoreError> {
        let _lock = self.lock_names()?;
        let error = |operation| StoreError::io(operation, &self.images);
        let directory = fs::open_directory(&self.images).map_err(error("open"))?;
        for (name, is_directory) in fs::list_directory(&directory).map_err(error("list"))? {
            if !is_directory && name.starts_with(TEMPORARY.as_bytes()) {
                fs::remove_tree(&directory, &name)
                    .map_err(|failed| error("remove a file in")(failed.source))?;
            }
        }
        Ok(())
    }

    /// Files of a directory that is written only under the store lock, shared: temporary ones are rubbish here.
    pub(super) fn unlink_except(
        &self,
        path: &std::path::Path,
        keep: &HashSet<&str>,
    ) -> Result<(), StoreError> {
        let error = |operation| StoreError::io(operation, path);
        let directory = fs::open_directory(path).map_err(error("open"))?;
        for (name, _) in fs::list_directory(&directory).map_err(error("list"))? {
            if std::str::from_utf8(&name).is_ok_and(|name| keep.contains(name)) {
                continue;
            }
            fs::remove_tree(&directory, &name).map_err(|failed| StoreError::Io {
                operation: "remove",
                path: path.join(failed.path),
                source: failed.source,
            })?;
        }
        Ok(())
    }

    /// Whether [`Store::sweep`] would find anything; cheap, takes no lock that anybody waits for.
    pub fn has_rubbish(&self) -> bool {
        self.rubbish().is_ok_and(|found| !found.is_empty())
    }

    /// Removes temporary directories whose makers are gone. Runs in the home namespace. Goes on after a failure and
    /// reports the first (`cleanup/all`).
    pub fn sweep(&self) -> Result<(), StoreError> {
        self.delete(Vec::new())
    }

    /// The same, after what this process has collected itself.
    pub(super) fn delete(&self, dead: Dead) -> Result<(), StoreError> {
        let mut first = None;
        for (path, _lock) in dead.into_iter().chain(self.rubbish()?) {
            if let Err(failed) = fs::remove_path(&path) {
                first.get_or_insert(StoreError::Io {
                    operation: "remove",
                    path: path.join(failed.path),
                    source: failed.source,
                });
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Unlocked temporary directories, each now locked by us so that two sweeps don't meet in one.
    fn rubbish(&self) -> Result<Dead, StoreError> {
        let error = |operation| StoreError::io(operation, &self.layers);
        let directory = fs::open_directory(&self.layers).map_err(error("open"))?;
        let mut found = Vec::new();
        for (name, is_directory) in fs::list_directory(&directory).map_err(error("list"))? {
            let temporary =
                name.starts_with(TEMPORARY.as_bytes()) || name.starts_with(DEAD.as_bytes());
            let Some(text) = std::str::from_utf8(&name)
                .ok()
                .filter(|_| temporary && is_directory)
            else {
                continue;
            };
            let path = self.layers.join(text);
            // It may have been committed or removed since it was listed.
            let Ok(lock) = fs::open_directory(&path) else {
                continue;
            };
            if lock::try_hold_alone(&lock).map_err(StoreError::io("lock", &path))? && path.is_dir()
            {
                found.push((path, lock));
            }
        }
        for directory in ["", "blobs/sha256", "stacks", "signatures", "kept"] {
            found.extend(self.unlocked_files(&self.images.join(directory))?);
        }
        Ok(found)
    }

    /// Files under a temporary name whose writers are gone.
    fn unlocked_files(&self, directory: &Path) -> Result<Vec<(PathBuf, OwnedFd)>, StoreError> {
        let entries = std::fs::read_dir(directory).map_err(StoreError::io("list", directory))?;
        let temporary = entries.flatten().filter(|entry| {
            let name = entry.file_name();
            name.as_encoded_bytes()
                .starts_with(fs::TEMPORARY_FILE.as_bytes())
        });
        let unlocked = temporary.filter_map(|entry| {
            let file = std::fs::File::open(entry.path()).ok()?;
            let free = lock::try_hold_alone(&file).unwrap_or(false);
            free.then(|| (entry.path(), OwnedFd::from(file)))
        });
        Ok(unlocked.collect())
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
