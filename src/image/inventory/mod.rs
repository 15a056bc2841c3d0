//! What is installed in an image: the databases of its package managers, and the lock files of languages. Reads the layers as they
//! lie on each other, and believes nothing of them but that it is text; runs nothing.

mod locks;
mod rpm;
mod system;

use std::io::{self, Read};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::merged::{Merged, Shown};

/// Of one database or lock file.
const FILE_MAX: u64 = 32 << 20;
const RPM_MAX: u64 = 256 << 20;
/// Of all of them: a hostile image has no more to say.
const PACKAGES_MAX: usize = 200_000;
const DEPTH_MAX: usize = 128;

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
    /// In order, each once.
    pub packages: Vec<Package>,
    /// Files that could not be read as what their name says.
    pub unread: Vec<String>,
}

impl Inventory {
    /// Of layers' directories, bottom first.
    pub fn of_layers(layers: &[PathBuf]) -> io::Result<Inventory> {
        Inventory::of(Merged::of_layers(layers)?)
    }

    fn of(root: Merged) -> io::Result<Inventory> {
        let mut inventory = Inventory::default();
        for path in ["etc/os-release", "usr/lib/os-release"] {
            if let Some(text) = read_at(&root, path.as_bytes())? {
                inventory.system = system::field(&text, "ID");
                inventory.release = system::field(&text, "VERSION_ID");
                break;
            }
        }
        inventory.walk(&root, &mut Vec::new())?;
        inventory.packages.sort();
        inventory.packages.dedup();
        Ok(inventory)
    }

    fn walk(&mut self, directory: &Merged, path: &mut Vec<Vec<u8>>) -> io::Result<()> {
        if path.len() >= DEPTH_MAX {
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
                Some(Shown::Other { part, .. }) => self.file(directory, part, path, &name)?,
                None => {}
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        directory: &Merged,
        part: usize,
        path: &[Vec<u8>],
        name: &[u8],
    ) -> io::Result<()> {
        let mut place = path.join(&b'/');
        if !path.is_empty() {
            place.push(b'/');
        }
        place.extend_from_slice(name);
        let place = String::from_utf8_lossy(&place).into_owned();
        let of_system = system::kind(&place);
        let of_rpm = rpm::kind(&place);
        let of_language = locks::kind(&String::from_utf8_lossy(name));
        if of_system.is_none() && of_rpm.is_none() && of_language.is_none() {
            return Ok(());
        }
        // A link or a device by such a name is nothing that was installed.
        let limit = if of_rpm.is_some() { RPM_MAX } else { FILE_MAX };
        let Some(bytes) = bytes_of(directory, part, name, limit) else {
            return Ok(());
        };
        let shown = format!("/{place}");
        let text = || String::from_utf8_lossy(&bytes);
        let (system, release) = (&self.system, &self.release);
        let found = match (of_rpm, of_system, of_language) {
            (Some(kind), _, _) => kind.read(&bytes, system, release),
            (None, Some(kind), _) => Some(kind.read(&text(), system, release)),
            (None, None, kind) => kind.and_then(|kind| kind.read(&text())),
        };
        let Some(found) = found else {
            self.unread.push(shown);
            return Ok(());
        };
        let left = PACKAGES_MAX.saturating_sub(self.packages.len());
        if found.len() > left {
            self.unread.push(shown.clone());
        }
        let found = found.into_iter().take(left).map(|package| Package {
            found_in: shown.clone(),
            ..package
        });
        self.packages.extend(found);
        Ok(())
    }
}

fn bytes_of(directory: &Merged, part: usize, name: &[u8], limit: u64) -> Option<Vec<u8>> {
    let file = std::fs::File::from(directory.open_file(part, name).ok()?);
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// A file whose path may lead over links.
fn read_at(root: &Merged, path: &[u8]) -> io::Result<Option<String>> {
    let resolved = root.resolve(path, true)?;
    let Some((directory, Some(Shown::Other { part, .. }))) = resolved.shown else {
        return Ok(None);
    };
    let Some(name) = resolved.path.last() else {
        return Ok(None);
    };
    let bytes = bytes_of(&directory, part, name, FILE_MAX);
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// `pkg:TYPE/NAME@VERSION?QUALIFIERS`; a name's slashes part its namespace from it.
fn purl(kind: &str, name: &str, version: &str, qualifiers: &[(&str, &str)]) -> String {
    let name: Vec<String> = name.split('/').map(coded).collect();
    let mut purl = format!("pkg:{kind}/{}", name.join("/"));
    if !version.is_empty() {
        purl.push('@');
        purl.push_str(&coded(version));
    }
    let told = qualifiers.iter().filter(|(_, value)| !value.is_empty());
    for (number, (key, value)) in told.enumerate() {
        purl.push(if number == 0 { '?' } else { '&' });
        purl.push_str(&format!("{key}={}", coded(value)));
    }
    purl
}

/// The purl specification's percent-encoding.
fn coded(text: &str) -> String {
    let mut coded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                coded.push(char::from(byte));
            }
            _ => coded.push_str(&format!("%{byte:02X}")),
        }
    }
    coded
}

#[cfg(test)]
mod tests;
