//! Where an entry goes: its path checked and normalised, its parent directory opened inside the root, directories that
//! the archive does not list made and remembered.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::super::layer::{LayerPath, Replaced};
use super::super::tar::Limits;
use super::UnpackError;
use super::aside::Aside;
use crate::sys::fault;
use crate::sys::fs::{self, Links};

/// Drops `.` and empty parts and a leading `/` (as docker and GNU tar do); `..` is refused.
pub(super) fn normalise(path: &[u8], limits: &Limits) -> Result<LayerPath, UnpackError> {
    let mut clean = Vec::with_capacity(path.len());
    let mut depth = 0;
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                return Err(UnpackError::Escapes {
                    path: String::from_utf8_lossy(path).into_owned(),
                });
            }
            _ => {
                if depth > 0 {
                    clean.push(b'/');
                }
                clean.extend_from_slice(part);
                depth += 1;
            }
        }
    }
    let clean = LayerPath(clean);
    if depth > limits.depth {
        return Err(UnpackError::Depth {
            path: clean,
            limit: limits.depth,
        });
    }
    Ok(clean)
}

/// The directories of the layer being unpacked.
pub(super) struct Directories<'a> {
    root: BorrowedFd<'a>,
    /// The root's path as the kernel prints it, to find out the real path of a directory reached through symlinks.
    root_path: Vec<u8>,
    /// The parent of the last entry: most entries share it with the one before.
    last: Option<(LayerPath, Rc<OwnedFd>)>,
    /// Its real path, once somebody has asked.
    last_real: Option<LayerPath>,
    /// Where the tar is to be given back: what is replaced is kept.
    aside: Option<Aside<'a>>,
    /// Directories made without being listed, by their real paths; the root until it is listed.
    implicit: BTreeSet<LayerPath>,
    remembered: u64,
    limit: u64,
    /// Parts of paths that were walked from the root, and remembered names that were looked at.
    #[cfg(test)]
    work: std::cell::Cell<usize>,
}

impl<'a> Directories<'a> {
    pub(super) fn new(
        root: BorrowedFd<'a>,
        limits: &Limits,
        aside: Option<Aside<'a>>,
    ) -> Result<Directories<'a>, UnpackError> {
        let top = LayerPath(Vec::new());
        let root_path = fs::path_of(root).map_err(UnpackError::io("find", &top))?;
        Ok(Directories {
            root,
            root_path,
            last: None,
            last_real: None,
            aside,
            implicit: BTreeSet::from([top]),
            remembered: 0,
            limit: limits.remembered,
            #[cfg(test)]
            work: std::cell::Cell::default(),
        })
    }

    /// The open parent directory of `path`, made if nothing is there.
    pub(super) fn parent(&mut self, path: &LayerPath) -> Result<Rc<OwnedFd>, UnpackError> {
        let parent = path.parent().unwrap_or(LayerPath(Vec::new()));
        if let Some((_, fd)) = self.last.as_ref().filter(|(last, _)| *last == parent) {
            return Ok(Rc::clone(fd));
        }
        let fd = Rc::new(self.open_or_make(&parent)?);
        self.last = Some((parent, Rc::clone(&fd)));
        self.last_real = None;
        Ok(fd)
    }

    /// The real path of a file just made, where its content is to be found again; `None` where nobody will look for it.
    pub(super) fn file_to_keep(
        &mut self,
        path: &LayerPath,
    ) -> Result<Option<LayerPath>, UnpackError> {
        let Some(aside) = &mut self.aside else {
            return Ok(None);
        };
        aside.count_file();
        let parent = self.parent(path)?;
        let above = match self.last_real.take() {
            Some(real) => real,
            None => self.real_path(&parent, path)?,
        };
        let real = above.join(path.name());
        self.last_real = Some(above);
        Ok(Some(real))
    }

    /// The directory at a path, symlinks followed inside the root.
    fn walk(&self, path: &[u8]) -> std::io::Result<OwnedFd> {
        #[cfg(test)]
        self.count(path.split(|byte| *byte == b'/').count());
        fs::open_directory_in_root(self.root, path, Links::InRoot)
    }

    #[cfg(test)]
    fn count(&self, work: usize) {
        self.work.set(self.work.get() + work);
    }

    /// The open directory at `path` if there is one, symlinks followed inside the root.
    pub(super) fn open(&self, path: &LayerPath) -> Result<Option<OwnedFd>, UnpackError> {
        match self.walk(&path.0) {
            Ok(fd) => Ok(Some(fd)),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
                _ => Err(UnpackError::io("open", path)(error)),
            },
        }
    }

    pub(super) fn open_or_make(&mut self, path: &LayerPath) -> Result<OwnedFd, UnpackError> {
        match self.walk(&path.0) {
            Ok(fd) => return Ok(fd),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::NOENT) => {}
                Some(Errno::NOTDIR | Errno::LOOP) => {
                    return Err(UnpackError::Parent { path: path.clone() });
                }
                _ => return Err(UnpackError::io("open", path)(error)),
            },
        }
        let (mut above, there) = self.deepest(path)?;
        let mut real = self.real_path(&above, path)?;
        for part in path.0[there..].split(|byte| *byte == b'/') {
            if !part.is_empty() {
                above = self.make_implicit(&above, part, path)?;
                real = real.join(part);
                self.remember(&real)?;
                self.implicit.insert(real.clone());
            }
        }
        Ok(above)
    }

    /// The directory above `path` that is there and has nothing of it below, and how much of the path leads to it. Halving
    /// finds it: each question resolves the path from the root again, and a path may have hundreds of parts.
    fn deepest(&self, path: &LayerPath) -> Result<(OwnedFd, usize), UnpackError> {
        let slashes = path.0.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let ends: Vec<usize> = slashes.map(|(at, _)| at).collect();
        let root = self.walk(b"");
        let mut found = (root.map_err(UnpackError::io("open", path))?, 0);
        let (mut low, mut high) = (0, ends.len());
        while low < high {
            let middle = (low + high) / 2;
            let end = ends[middle];
            match self.walk(&path.0[..end]) {
                Ok(fd) => {
                    found = (fd, end);
                    low = middle + 1;
                }
                Err(_) => high = middle,
            }
        }
        Ok(found)
    }

    /// The caller remembers it.
    fn make_implicit(
        &self,
        above: &OwnedFd,
        name: &[u8],
        path: &LayerPath,
    ) -> Result<OwnedFd, UnpackError> {
        let made = fault::at("make directory");
        match made.and_then(|()| rustix::fs::mkdirat(above, name, Mode::RWXU)) {
            Ok(()) => {}
            // A symlink that leads nowhere, or a loop.
            Err(Errno::EXIST) => return Err(UnpackError::Parent { path: path.clone() }),
            Err(errno) => return Err(UnpackError::io("make a directory for", path)(errno)),
        }
        let fd = open_made(above, name, path)?;
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o755))
            .map_err(UnpackError::io("set the mode above", path))?;
        Ok(fd)
    }

    /// The path below the root at which an open directory really is.
    pub(super) fn real_path(
        &self,
        fd: impl AsFd,
        path: &LayerPath,
    ) -> Result<LayerPath, UnpackError> {
        let full = fs::path_of(fd).map_err(UnpackError::io("find", path))?;
        let below = full.strip_prefix(self.root_path.as_slice());
        let below = below.ok_or_else(|| UnpackError::Parent { path: path.clone() })?;
        Ok(LayerPath(
            below.strip_prefix(b"/").unwrap_or(below).to_vec(),
        ))
    }

    /// An archive lists this directory after all.
    pub(super) fn listed(&mut self, fd: impl AsFd, path: &LayerPath) -> Result<(), UnpackError> {
        if !self.implicit.is_empty() {
            let real = self.real_path(fd, path)?;
            self.implicit.remove(&real);
        }
        Ok(())
    }

    /// Removes whatever is at `name` in `parent`, because another entry takes its place. Content that the tar is made of is
    /// put aside.
    pub(super) fn clear(&mut self, parent: &OwnedFd, path: &LayerPath) -> Result<(), UnpackError> {
        self.last = None;
        if self.implicit.len() > 1 || self.aside.is_some() {
            let real = self.real_path(parent, path)?.join(path.name());
            self.forget_implicit(&real);
            if let Some(aside) = &mut self.aside {
                let kept = aside.keep(parent, path.name(), &real);
                if kept.map_err(UnpackError::io("put aside", path))? {
                    return self.remember(&real);
                }
            }
        }
        fs::remove_tree(parent, path.name())
            .map_err(|failed| UnpackError::io("replace", path)(failed.source))
    }

    /// What goes with a directory. Looked up, not searched for: an archive may replace one name a million times.
    fn forget_implicit(&mut self, real: &LayerPath) {
        let below = LayerPath([&real.0[..], b"/"].concat());
        let from = self.implicit.range(&below..);
        #[cfg(test)]
        let from = from.inspect(|_| self.count(1));
        let gone: Vec<LayerPath> = from
            .take_while(|kept| kept.0.starts_with(&below.0))
            .cloned()
            .collect();
        for path in gone.iter().chain([real]) {
            self.implicit.remove(path);
        }
    }

    /// Accounts for a path that stays in memory until the end.
    pub(super) fn remember(&mut self, path: &LayerPath) -> Result<(), UnpackError> {
        // 64 is about what a collection's node costs beside the bytes.
        self.remembered += path.0.len() as u64 + 64;
        if self.remembered > self.limit {
            return Err(UnpackError::Remembered { limit: self.limit });
        }
        Ok(())
    }

    /// The directories that nobody listed, and what was put aside.
    pub(super) fn into_records(self) -> (Vec<LayerPath>, Vec<Replaced>) {
        let replaced = self.aside.map(Aside::into_replaced).unwrap_or_default();
        (self.implicit.into_iter().collect(), replaced)
    }
}

/// Opens a directory just made, for attributes that need more than `O_PATH`.
pub(super) fn open_made(
    parent: &OwnedFd,
    name: &[u8],
    path: &LayerPath,
) -> Result<OwnedFd, UnpackError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(UnpackError::io("open", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::unpack::tests::Scratch;
    use proptest::prelude::*;

    /// Of as many parts as a path may have, none of whose directories is listed.
    #[test]
    fn a_deep_path_is_looked_for_in_few_places() {
        let scratch = Scratch::new();
        let layer = scratch.store.begin_layer().expect("a new layer");
        let root = layer.root();
        let mut directories =
            Directories::new(root, &Limits::default(), None).expect("it has a path");
        let deep = "d/".repeat(500);
        for number in 0..10 {
            let path = LayerPath(format!("{number}/{deep}d").into_bytes());
            directories.open_or_make(&path).expect("nothing is there");
        }
        // Each of its 500 directories would have been walked to from the root, 250 parts at the mean.
        let parts = directories.work.get();
        assert!(parts < 10 * 502 * 12, "{parts}");
        assert_eq!(directories.into_records().0.len(), 10 * 502 + 1);
    }

    #[test]
    fn what_is_remembered_is_not_gone_through_for_each_name_that_is_replaced() {
        let scratch = Scratch::new();
        let layer = scratch.store.begin_layer().expect("a new layer");
        let root = layer.root();
        let mut directories =
            Directories::new(root, &Limits::default(), None).expect("it has a path");
        let names = (0..20_000).map(|number| LayerPath(format!("{number}").into_bytes()));
        directories.implicit.extend(names);
        let again = LayerPath(b"again".to_vec());
        for _ in 0..100 {
            rustix::fs::symlinkat("somewhere", root, "again").expect("it was removed");
            let parent = directories.parent(&again).expect("the root");
            directories.clear(&parent, &again).expect("it is ours");
        }
        assert_eq!(directories.implicit.len(), 20_001);
        let looked_at = directories.work.get();
        assert!(looked_at < 1000, "{looked_at}");
    }

    #[test]
    fn paths_are_normalised_and_never_lead_out() {
        let normal = |path: &[u8]| normalise(path, &Limits::default()).map(|path| path.0).ok();
        assert_eq!(normal(b"./usr//lib/"), Some(b"usr/lib".to_vec()));
        assert_eq!(normal(b"/etc/passwd"), Some(b"etc/passwd".to_vec()));
        assert_eq!(normal(b"./"), Some(Vec::new()));
        for bad in [&b".."[..], b"../x", b"a/../../x", b"a/..", b"/../x"] {
            assert_eq!(normal(bad), None);
        }
        assert_eq!(normal(&b"a/".repeat(600)), None);
        assert_eq!(normal(b"..."), Some(b"...".to_vec()));
    }

    proptest! {
        #[test]
        fn any_normalised_path_is_plain(path in proptest::collection::vec(prop_oneof![Just(b'/'), Just(b'.'), any::<u8>()], 0..64)) {
            if let Ok(LayerPath(clean)) = normalise(&path, &Limits::default()) {
                let again = normalise(&clean, &Limits::default()).expect("still plain");
                prop_assert_eq!(&again.0, &clean);
                prop_assert!(!clean.starts_with(b"/"));
                let plain = clean.is_empty()
                    || clean.split(|b| *b == b'/').all(|part| !matches!(part, b"" | b"." | b".."));
                prop_assert!(plain);
            }
        }
    }
}
