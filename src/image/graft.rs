//! Writing copies of files into a layer that lies on others: what the layers below have of the way there is taken over, what is
//! missing made, and nothing is looked up by a path that a link could bend. Runs in the home namespace; files are written
//! by threads (`copiers`).

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{FileType, Gid, Mode, OFlags, Stat, Timestamps, Uid};

use super::layer::{TempLayer, join_path};
use super::merged::{Merged, Shown, is_link};
use super::tar::Limits;
use crate::sys::copy::{copy_xattrs, times, times_at};
use crate::sys::fault;
use crate::sys::fs::{self, Links};

mod copiers;
mod leaf;
mod origins;

use copiers::Copiers;
use leaf::{Leaf, Target, create};
pub use origins::Former;
pub(super) use origins::new_files;
use origins::{Origins, enter};

#[derive(Debug, thiserror::Error)]
#[error("{operation} /{}: {source}", path.display())]
pub struct GraftError {
    pub operation: &'static str,
    /// In the image.
    pub path: PathBuf,
    pub source: io::Error,
}

fn failed<E: Into<io::Error>>(
    operation: &'static str,
    path: &[u8],
) -> impl FnOnce(E) -> GraftError {
    let path = PathBuf::from(OsStr::from_bytes(path));
    move |source| GraftError {
        operation,
        path,
        source: source.into(),
    }
}

/// What copies look like, where it is not what they are copies of.
#[derive(Clone, Copy)]
pub struct Appearance<'a> {
    /// Of the home namespace.
    pub owner: Option<(u32, u32)>,
    /// The permissions a thing gets that has these; whether it is a directory.
    pub mode: Option<&'a dyn Fn(u32, bool) -> u32>,
    /// Seconds: nothing is newer.
    pub latest: Option<i64>,
    /// Where a directory would lie on a link to one, what is in it goes there: as an archive is unpacked.
    pub through_links: bool,
}

impl Appearance<'_> {
    fn times(&self, stat: &Stat) -> Timestamps {
        match self.latest {
            Some(latest) if stat.st_mtime >= latest => times_at(latest),
            _ => times(stat),
        }
    }
}

/// Whether something below what is copied is copied too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Take,
    Leave,
    /// A directory that is left out unless something in it is not.
    LookInside,
}

/// Asked for each path below what is copied, relative to it.
pub type Choose<'a> = &'a dyn Fn(&[u8], bool) -> Choice;

/// A directory of the layer, and what the layers below show there.
#[derive(Debug)]
pub struct Place {
    upper: Arc<OwnedFd>,
    below: Merged,
    path: Vec<u8>,
    /// It was just made, and nothing lies below it.
    is_new: bool,
    /// What is made in it gets its group (the set-group-id bit).
    gives_group: bool,
    /// Of an earlier layer, the directory with this path.
    former: Option<Arc<OwnedFd>>,
}

/// The layer being written.
pub struct Graft<'a> {
    layer: &'a TempLayer,
    below: Merged,
    /// Owners that are not the one id that there is are left alone.
    single_id: bool,
    /// Times of directories, and of files that are copies of none, set when nothing changes any more; None: when it was made.
    times: HashMap<Vec<u8>, Option<Timestamps>>,
    /// Where a file with several names is, by device and inode.
    linked: HashMap<(u64, u64), Vec<u8>>,
    warnings: Vec<String>,
    copiers: Copiers,
    former: Option<Former>,
    /// Kept where the next layer may want to know it.
    origins: Option<Origins>,
}

/// `S_ISGID`
const SET_GROUP: u32 = 0o2000;

/// One directory on its way.
struct Level {
    source: Merged,
    names: std::vec::IntoIter<Vec<u8>>,
    /// Below what is copied.
    relative: Vec<u8>,
    /// None until something in it is copied.
    place: Option<Place>,
    /// Its name in the level above, and what it looks like.
    name: Vec<u8>,
    stat: Option<Stat>,
}

impl<'a> Graft<'a> {
    pub fn new(layer: &'a TempLayer, below: Merged, single_id: bool) -> Graft<'a> {
        Graft {
            layer,
            below,
            single_id,
            times: HashMap::new(),
            linked: HashMap::new(),
            warnings: Vec::new(),
            copiers: Copiers::default(),
            former: None,
            origins: None,
        }
    }

    /// Writes down what files are copies of, and takes those that an earlier layer has already from there.
    pub fn after(mut self, former: Option<Former>) -> Graft<'a> {
        self.origins = Some(Origins::new());
        self.former = former;
        self
    }

    /// What the layer and those below it show now.
    pub fn view(&self) -> io::Result<Merged> {
        self.below.under(self.layer.root())
    }

    /// The directory at a path without links, made with all that is missing above it.
    pub fn directory(
        &mut self,
        path: &[Vec<u8>],
        owner: Option<(u32, u32)>,
        mode: u32,
    ) -> Result<Place, GraftError> {
        let opened = fs::open_directory_readable(self.layer.root());
        let mut place = Place {
            upper: Arc::new(opened.map_err(failed("open", b""))?),
            below: self.below.clone(),
            path: Vec::new(),
            is_new: false,
            gives_group: false,
            former: self.former.as_ref().map(Former::root),
        };
        for name in path {
            place = self.step(&place, name, owner, mode)?;
        }
        Ok(place)
    }

    /// Ends the layer's changes; what is a copy of nothing was made at `made_at`, in seconds. Gives what could not be copied.
    pub fn finish(self, made_at: i64) -> Result<Vec<String>, GraftError> {
        for (path, times) in self.times {
            let times = &times.unwrap_or_else(|| times_at(made_at));
            let flags = OFlags::RDONLY | OFlags::NONBLOCK;
            let opened = fs::open_in_root(
                self.layer.root(),
                &path,
                flags,
                Mode::empty(),
                Links::Refuse,
            );
            opened
                .and_then(|fd| Ok(rustix::fs::futimens(fd, times)?))
                .map_err(failed("set the time of", &path))?;
        }
        if let Some(origins) = &self.origins {
            let new = match self.former {
                Some(_) => self.copiers.copied(),
                None => None,
            };
            let saved = origins.save(self.layer, new.as_deref());
            saved.map_err(failed("write down the files of", b""))?;
        }
        Ok(self.warnings)
    }

    /// Copies what `source` shows as `from` to `name` in `place`, with everything in it that is chosen.
    pub fn copy(
        &mut self,
        source: &Merged,
        from: &[u8],
        place: &Place,
        name: &[u8],
        appearance: &Appearance<'_>,
        choose: Choose<'_>,
    ) -> Result<(), GraftError> {
        let path = join_path(&place.path, name);
        let shown = source.look(from).map_err(failed("look at", from))?;
        match shown {
            None => Err(failed("find", from)(io::Error::from(
                io::ErrorKind::NotFound,
            ))),
            Some(Shown::Other { stat, part }) => {
                let leaf = Leaf {
                    source,
                    part,
                    name: from,
                    stat: &stat,
                };
                self.leaf(
                    &leaf,
                    &Target {
                        place,
                        name,
                        appearance,
                    },
                )?;
                self.copiers.settle()
            }
            Some(Shown::Directory { stat, directory }) => {
                let place = self.made(place, name, &stat, directory.top(), appearance)?;
                let level = level(directory, Vec::new(), Some(place), &path)?;
                self.walk(level, appearance, choose)
            }
        }
    }

    /// Copies what is in a directory, not the directory itself.
    pub fn copy_content(
        &mut self,
        source: Merged,
        place: Place,
        appearance: &Appearance<'_>,
        choose: Choose<'_>,
    ) -> Result<(), GraftError> {
        let path = place.path.clone();
        let level = level(source, Vec::new(), Some(place), &path)?;
        self.walk(level, appearance, choose)
    }

    /// Copies what is in a directory into a new one that looks like it.
    pub fn copy_directory(
        &mut self,
        source: Merged,
        place: &Place,
        name: &[u8],
        appearance: &Appearance<'_>,
        choose: Choose<'_>,
    ) -> Result<(), GraftError> {
        let path = join_path(&place.path, name);
        let top = source.top();
        let stat = top.map(rustix::fs::fstat).transpose();
        let Some(stat) = stat.map_err(failed("look at", &path))? else {
            return Ok(());
        };
        let made = self.made(place, name, &stat, source.top(), appearance)?;
        self.copy_content(source, made, appearance, choose)
    }

    /// A new file of these bytes.
    pub fn write(
        &mut self,
        place: &Place,
        name: &[u8],
        bytes: &[u8],
        appearance: &Appearance<'_>,
    ) -> Result<(), GraftError> {
        let path = join_path(&place.path, name);
        self.clear(place, name, &path)?;
        let mode = appearance.mode.map_or(0o644, |mode| mode(0o644, false));
        let written = create(&place.upper, name).and_then(|file| {
            let mut file = File::from(file);
            io::Write::write_all(&mut file, bytes)?;
            self.own(place, file.as_fd(), appearance.owner.unwrap_or((0, 0)))?;
            Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?)
        });
        written.map_err(failed("write", &path))?;
        self.copiers.note(path.clone());
        self.times.insert(path, None);
        Ok(())
    }

    fn walk(
        &mut self,
        top: Level,
        appearance: &Appearance<'_>,
        choose: Choose<'_>,
    ) -> Result<(), GraftError> {
        let limit = Limits::default().depth;
        let mut stack = vec![top];
        while let Some(level) = stack.last_mut() {
            let Some(name) = level.names.next() else {
                stack.pop();
                continue;
            };
            let relative = join_path(&level.relative, &name);
            let shown = level.source.look(&name);
            let Some(shown) = shown.map_err(failed("look at", &relative))? else {
                // It went away meanwhile.
                continue;
            };
            let is_directory = matches!(shown, Shown::Directory { .. });
            let choice = choose(&relative, is_directory);
            if choice == Choice::Leave || (choice == Choice::LookInside && !is_directory) {
                continue;
            }
            if choice == Choice::Take {
                self.place(&mut stack, appearance)?;
            }
            let level = stack.last().expect("it was there");
            match shown {
                Shown::Other { stat, part } => {
                    let place = level.place.as_ref().expect("it was just made");
                    let leaf = Leaf {
                        source: &level.source,
                        part,
                        name: &name,
                        stat: &stat,
                    };
                    let name = &name;
                    self.leaf(
                        &leaf,
                        &Target {
                            place,
                            name,
                            appearance,
                        },
                    )?;
                }
                Shown::Directory { stat, directory } => {
                    let place = match (choice, &level.place) {
                        (Choice::Take, Some(above)) => {
                            Some(self.made(above, &name, &stat, directory.top(), appearance)?)
                        }
                        _ => None,
                    };
                    if stack.len() > limit {
                        let error = io::Error::from_raw_os_error(libc::ENAMETOOLONG);
                        return Err(failed("copy", &relative)(error));
                    }
                    let names = directory.list().map_err(failed("list", &relative))?;
                    stack.push(Level {
                        source: directory,
                        names: names.into_iter(),
                        relative,
                        place,
                        name,
                        stat: Some(stat),
                    });
                }
            }
        }
        self.copiers.settle()
    }

    /// Makes the directories that were left out so far, down to the last.
    fn place(
        &mut self,
        stack: &mut [Level],
        appearance: &Appearance<'_>,
    ) -> Result<(), GraftError> {
        let first = stack.iter().position(|level| level.place.is_none());
        for number in first.unwrap_or(stack.len())..stack.len() {
            let (above, rest) = stack.split_at_mut(number);
            let above = above.last().and_then(|level| level.place.as_ref());
            let above = above.expect("the first level has a place");
            let level = &mut rest[0];
            let stat = level.stat.expect("only the first level has none");
            let made = self.made(above, &level.name, &stat, level.source.top(), appearance)?;
            level.place = Some(made);
        }
        Ok(())
    }

    /// A directory like another one; one that is there already gets its looks.
    fn made(
        &mut self,
        place: &Place,
        name: &[u8],
        stat: &Stat,
        source: Option<BorrowedFd<'_>>,
        appearance: &Appearance<'_>,
    ) -> Result<Place, GraftError> {
        if appearance.through_links
            && let Some(there) = self.behind_link(place, name)?
        {
            return Ok(there);
        }
        let mut made = self.step(place, name, None, 0o755)?;
        let owner = appearance.owner.unwrap_or((stat.st_uid, stat.st_gid));
        let mode = stat.st_mode & 0o7777;
        let mode = appearance.mode.map_or(mode, |change| change(mode, true));
        let looks = self
            .own(place, made.upper.as_fd(), owner)
            .and_then(|()| Ok(rustix::fs::fchmod(&made.upper, Mode::from_raw_mode(mode))?))
            .and_then(|()| {
                source.map_or(Ok(()), |source| copy_attributes(source, made.upper.as_fd()))
            });
        looks.map_err(failed("set the attributes of", &made.path))?;
        made.gives_group = mode & SET_GROUP != 0;
        let times = appearance.times(stat);
        self.times.insert(made.path.clone(), Some(times));
        Ok(made)
    }

    /// The directory that a link leads to.
    fn behind_link(&mut self, place: &Place, name: &[u8]) -> Result<Option<Place>, GraftError> {
        let path = join_path(&place.path, name);
        let view = self.view().map_err(failed("open", &path))?;
        let here = view.resolve(&path, false);
        let is_a_link = match here.map_err(failed("look at", &path))?.shown {
            Some((_, Some(Shown::Other { stat, .. }))) => is_link(&stat),
            _ => false,
        };
        if !is_a_link {
            return Ok(None);
        }
        let there = view.resolve(&path, true);
        let there = there.map_err(failed("follow", &path))?;
        match there.shown {
            Some((_, None | Some(Shown::Directory { .. }))) => {
                self.directory(&there.path, None, 0o755).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The directory `name` in `place`.
    fn step(
        &mut self,
        place: &Place,
        name: &[u8],
        owner: Option<(u32, u32)>,
        mode: u32,
    ) -> Result<Place, GraftError> {
        let path = join_path(&place.path, name);
        let found = fs::stat_at(&place.upper, name).map_err(failed("look at", &path))?;
        let is_here = match found {
            None => false,
            Some(stat) if is_directory(&stat) => true,
            Some(_) => {
                let error = io::Error::from_raw_os_error(libc::ENOTDIR);
                return Err(failed("copy a directory to", &path)(error));
            }
        };
        let below = place.below.look(name).map_err(failed("look at", &path))?;
        if let (false, Some(Shown::Other { .. })) = (is_here, &below) {
            let error = io::Error::from_raw_os_error(libc::ENOTDIR);
            return Err(failed("copy a directory to", &path)(error));
        }
        if !is_here {
            fault::at("make directory").map_err(failed("make", &path))?;
            let made = rustix::fs::mkdirat(&place.upper, name, Mode::RWXU);
            made.map_err(failed("make", &path))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let upper = rustix::fs::openat(&place.upper, name, flags, Mode::empty());
        let upper = upper.map_err(failed("open", &path))?;
        let is_new = !is_here && below.is_none();
        let below = match below {
            Some(Shown::Directory { stat, directory }) => {
                if !is_here {
                    self.take_over(place, &upper, (&stat, &directory))
                        .map_err(failed("set the attributes of", &path))?;
                    self.times.insert(path.clone(), Some(times(&stat)));
                }
                directory
            }
            _ => {
                if !is_here {
                    let made = self.own(place, upper.as_fd(), owner.unwrap_or((0, 0)));
                    made.and_then(|()| Ok(rustix::fs::fchmod(&upper, Mode::from_raw_mode(mode))?))
                        .map_err(failed("set the attributes of", &path))?;
                    self.times.insert(path.clone(), None);
                }
                Merged::default()
            }
        };
        let stat = rustix::fs::fstat(&upper).map_err(failed("look at", &path))?;
        Ok(Place {
            gives_group: stat.st_mode & SET_GROUP != 0,
            upper: Arc::new(upper),
            below,
            path,
            is_new,
            former: enter(place.former.as_ref(), name),
        })
    }

    /// What a directory of the layers below looks like, for the one that lies on it.
    fn take_over(
        &self,
        place: &Place,
        upper: &OwnedFd,
        (stat, below): (&Stat, &Merged),
    ) -> io::Result<()> {
        self.own(place, upper.as_fd(), (stat.st_uid, stat.st_gid))?;
        rustix::fs::fchmod(upper, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
        below
            .top()
            .map_or(Ok(()), |top| copy_attributes(top, upper.as_fd()))
    }

    /// What is made here is root's, who runs this; None: and so it is to be.
    fn new_owner(&self, place: &Place, owner: (u32, u32)) -> Option<(u32, u32)> {
        let is_made_so = owner == (0, 0) && !place.gives_group;
        (!self.single_id && !is_made_so).then_some(owner)
    }

    fn own(&self, place: &Place, fd: BorrowedFd<'_>, owner: (u32, u32)) -> io::Result<()> {
        let Some((uid, gid)) = self.new_owner(place, owner) else {
            return Ok(());
        };
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        Ok(rustix::fs::fchown(fd, Some(uid), Some(gid))?)
    }
}

fn level(
    source: Merged,
    relative: Vec<u8>,
    place: Option<Place>,
    path: &[u8],
) -> Result<Level, GraftError> {
    let names = source.list().map_err(failed("list", path))?;
    Ok(Level {
        source,
        names: names.into_iter(),
        relative,
        place,
        name: Vec::new(),
        stat: None,
    })
}

/// Overlay's marks mean something where they are only.
fn copy_attributes(source: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    copy_xattrs(source, target, |name| !name.starts_with(b"user.overlay."))
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}
