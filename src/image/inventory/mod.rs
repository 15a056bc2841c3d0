//! What is installed in an image: the databases of its package managers, and the lock files of languages. Reads the layers as they
//! lie on each other, and believes nothing of them but that it is text; runs nothing.

mod found;
mod listed;
mod locks;
mod rpm;
mod system;

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::PathBuf;

use rustix::fs::{FileType, Stat};
use serde::{Deserialize, Serialize};

use self::found::{Found, Room};
pub use self::system::release_field;
use super::merged::{Merged, Shown};

/// Of one database or lock file.
const FILE_MAX: u64 = 32 << 20;
const RPM_MAX: u64 = 256 << 20;
const DEPTH_MAX: usize = 128;
/// Of what could not be read: there is more, says the last one.
const UNREAD_MAX: usize = 1000;
const MORE: &str = "and more";

/// One package, as whoever installed it has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    pub name: String,
    pub version: String,
    /// A package URL.
    pub purl: String,
    /// In the words of the database.
    pub license: String,
    pub supplier: String,
    /// The file that says so, from the image's root.
    pub found_in: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// `ID` and `VERSION_ID` of `/etc/os-release`.
    pub system: String,
    pub release: String,
    /// In order, each once of a file.
    pub packages: Vec<Package>,
    /// Files that could not be read as what their name says, or not all of them, and directories that lie too deep.
    pub unread: Vec<String>,
}

impl Inventory {
    /// Of layers' directories, bottom first.
    pub fn of_layers(layers: &[PathBuf]) -> io::Result<Inventory> {
        Inventory::of(Merged::of_layers(layers)?)
    }

    fn of(root: Merged) -> io::Result<Inventory> {
        Inventory::within(root, Room::MOST)
    }

    fn within(root: Merged, room: Room) -> io::Result<Inventory> {
        let mut reading = Reading {
            inventory: Inventory::default(),
            room,
            linked: HashSet::new(),
        };
        for path in ["etc/os-release", "usr/lib/os-release"] {
            if reading.release(&root, path) {
                break;
            }
        }
        reading.walk(&root, &mut Vec::new())?;
        let mut inventory = reading.inventory;
        inventory.put_in_order();
        Ok(inventory)
    }

    /// A file that has a package twice, under two licences, has one package: what it is called by is all that tells it from others.
    fn put_in_order(&mut self) {
        fn key(one: &Package) -> [&String; 4] {
            [&one.name, &one.version, &one.purl, &one.found_in]
        }
        let by_key = |a: &Package, b: &Package| key(a).cmp(&key(b)).then_with(|| a.cmp(b));
        self.packages.sort_by(by_key);
        self.packages.dedup_by(|again, first| {
            let is_again = key(again) == key(first);
            if is_again && first.license.is_empty() {
                first.license = std::mem::take(&mut again.license);
            }
            is_again
        });
    }

    fn not_read(&mut self, place: &str) {
        match self.unread.len() {
            UNREAD_MAX.. => {}
            number if number + 1 == UNREAD_MAX => self.unread.push(MORE.to_owned()),
            _ => self.unread.push(place.to_owned()),
        }
    }
}

/// What a file is by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Rpm(rpm::Database),
    System(system::System),
    Lock(locks::Lock),
}

impl Kind {
    fn of(place: &str, name: &str) -> Option<Kind> {
        let of_rpm = rpm::kind(place).map(Kind::Rpm);
        let of_system = || system::kind(place).map(Kind::System);
        let of_language = || locks::kind(name).map(Kind::Lock);
        of_rpm.or_else(of_system).or_else(of_language)
    }

    fn size_max(self) -> u64 {
        match self {
            Kind::Rpm(_) => RPM_MAX,
            Kind::System(_) => FILE_MAX,
            Kind::Lock(kind) => kind.size_max(),
        }
    }
}

struct Reading {
    inventory: Inventory,
    room: Room,
    /// Files of several names that were read, and as what: device and inode.
    linked: HashSet<(u64, u64, Kind)>,
}

impl Reading {
    /// Whether it is there.
    fn release(&mut self, root: &Merged, path: &str) -> bool {
        // A file whose path may lead over links.
        let resolved = match root.resolve(path.as_bytes(), true) {
            Ok(resolved) => resolved,
            Err(_) => {
                self.inventory.not_read(&format!("/{path}"));
                return false;
            }
        };
        let Some((directory, Some(Shown::Other { stat, part }))) = resolved.shown else {
            return false;
        };
        let Some(name) = resolved.path.last().filter(|_| is_file(&stat)) else {
            return false;
        };
        match self.bytes_of(&directory, part, name, &stat, FILE_MAX) {
            Some(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                self.inventory.system = release_field(&text, "ID");
                self.inventory.release = release_field(&text, "VERSION_ID");
            }
            None => self.inventory.not_read(&format!("/{path}")),
        }
        true
    }

    fn walk(&mut self, directory: &Merged, path: &mut Vec<Vec<u8>>) -> io::Result<()> {
        if path.len() >= DEPTH_MAX {
            let place = path.join(&b'/');
            let place = String::from_utf8_lossy(&place);
            self.inventory.not_read(&format!("/{place}"));
            return Ok(());
        }
        for name in directory.list()? {
            let at_top = path.is_empty();
            if at_top && matches!(&name[..], b"proc" | b"sys" | b"dev") {
                continue;
            }
            match directory.look(&name)? {
                Some(Shown::Directory {
                    directory: inner, ..
                }) => {
                    path.push(name);
                    self.walk(&inner, path)?;
                    path.pop();
                }
                // A link or a device by such a name is nothing that was installed.
                Some(Shown::Other { stat, part }) if is_file(&stat) => {
                    path.push(name);
                    self.file(directory, part, path, &stat);
                    path.pop();
                }
                Some(Shown::Other { .. }) | None => {}
            }
        }
        Ok(())
    }

    fn file(&mut self, directory: &Merged, part: usize, path: &[Vec<u8>], stat: &Stat) {
        let Some(name) = path.last() else { return };
        let place = format!("/{}", String::from_utf8_lossy(&path.join(&b'/')));
        let Some(kind) = Kind::of(&place[1..], &String::from_utf8_lossy(name)) else {
            return;
        };
        if stat.st_nlink > 1 && !self.linked.insert((stat.st_dev, stat.st_ino, kind)) {
            return;
        }
        // Without reading what nothing can be made of.
        let is_old = kind == Kind::Rpm(rpm::Database::Old);
        let bytes = match is_old {
            true => None,
            false => self.bytes_of(directory, part, name, stat, kind.size_max()),
        };
        let mut found = Found::new(&place, self.room);
        let read = bytes.and_then(|bytes| {
            let text = || String::from_utf8_lossy(&bytes);
            let (system, release) = (&self.inventory.system, &self.inventory.release);
            match kind {
                Kind::Rpm(kind) => kind.read(&bytes, system, release, &mut found),
                Kind::System(kind) => {
                    kind.read(&text(), system, release, &mut found);
                    Some(())
                }
                Kind::Lock(kind) => kind.read(&text(), &mut found),
            }
        });
        if read.is_none() || found.short {
            self.inventory.not_read(&place);
        }
        if read.is_some() {
            self.room = found.room;
            self.inventory.packages.append(&mut found.packages);
        }
    }

    /// None: it can't be read, or it is longer than it may be or than there is room for; half of a file is none.
    fn bytes_of(
        &mut self,
        directory: &Merged,
        part: usize,
        name: &[u8],
        stat: &Stat,
        most: u64,
    ) -> Option<Vec<u8>> {
        let most = most.min(self.room.read);
        if u64::try_from(stat.st_size).ok()? > most {
            return None;
        }
        let file = std::fs::File::from(directory.open_file(part, name).ok()?);
        let mut bytes = Vec::new();
        let read = file.take(most + 1).read_to_end(&mut bytes);
        let length = bytes.len() as u64;
        self.room.read = self.room.read.saturating_sub(length);
        (read.is_ok() && length <= most).then_some(bytes)
    }
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

#[cfg(test)]
mod tests;
