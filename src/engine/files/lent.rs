//! What a step of a build was lent to write into, a cache: taken back from the step's copy of its layers once nothing of it runs.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::super::worker::RoleFailure;
use super::super::{Engine, EngineError};
use super::own_layer::copy_of_step;
use crate::image::TempLayer;
use crate::runtime::home;
use crate::sys::copy::{Owners, copy_tree};
use crate::sys::fs::{
    Links, open_directory, open_directory_in_root, open_in_root, random_name, remove_path,
};

impl Engine {
    /// Each directory becomes what the step has left at the path beside it.
    pub fn take_back(
        &self,
        layer: &TempLayer,
        lent: &[(PathBuf, String)],
    ) -> Result<(), EngineError> {
        if lent.is_empty() {
            return Ok(());
        }
        let copy = copy_of_step(layer);
        self.in_home("worker", || {
            for (directory, target) in lent {
                let taken = take(&copy, target, directory);
                taken.map_err(|source| {
                    let error = EngineError::File {
                        operation: "take back the cache",
                        path: directory.clone(),
                        source,
                    };
                    RoleFailure::of(&error, Vec::new())
                })?;
            }
            Ok(())
        })
    }
}

/// Links that the step has made lead nowhere but into its own root; where it has left no directory the cache stays as it was.
fn take(copy: &Path, target: &str, directory: &Path) -> io::Result<()> {
    let target = Path::new(target);
    let (Some(above), Some(name)) = (target.parent(), target.file_name()) else {
        return Ok(());
    };
    let root = open_directory(copy)?;
    let above = above.as_os_str().as_encoded_bytes();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let left = open_directory_in_root(&root, above, Links::InRoot).and_then(|parent| {
        let name = name.as_encoded_bytes();
        let left = open_in_root(&parent, name, flags, Mode::empty(), Links::Refuse)?;
        Ok((parent, left))
    });
    let Ok((parent, left)) = left else {
        return Ok(());
    };
    let beside = |what: &str| {
        let mut path = directory.as_os_str().to_owned();
        path.push(format!(".tmp-{}{what}", random_name()));
        PathBuf::from(path)
    };
    let (new, old) = (beside("-new"), beside("-old"));
    match rustix::fs::renameat(&parent, name, rustix::fs::CWD, &new) {
        Err(rustix::io::Errno::XDEV) => {
            std::fs::create_dir(&new)?;
            let owners = match home::is_single_id() {
                true => Owners::Single,
                false => Owners::Kept,
            };
            copy_tree(left.as_fd(), open_directory(&new)?.as_fd(), owners)?;
        }
        renamed => renamed?,
    }
    std::fs::rename(directory, &old)?;
    std::fs::rename(&new, directory)?;
    remove_path(&old).map_err(|error| error.source)
}
