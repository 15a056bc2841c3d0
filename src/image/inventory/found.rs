//! What the files of an image say is installed, as far as there is room for it: how much is read, how many packages there are and
//! how long what is said of them may be. Knows no format but the package URL. Pure.

use super::Package;

/// Of a name, a version, a licence: what is longer is none.
pub(super) const FIELD_MAX: usize = 4096;

/// What is left for all files together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Bytes of files.
    pub read: u64,
    pub packages: usize,
    /// Bytes of what is said of packages.
    pub text: usize,
}

impl Room {
    pub const MOST: Room = Room {
        read: 256 << 20,
        packages: 200_000,
        text: 128 << 20,
    };
}

/// A package, in the words of a file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told<'a> {
    /// Of a package URL: its type, what is before the name, what is behind the version.
    pub kind: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub version: &'a str,
    pub qualifiers: &'a [(&'a str, &'a str)],
    pub license: &'a str,
    pub supplier: &'a str,
}

/// The packages of one file.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// From the image's root.
    pub place: &'a str,
    pub packages: Vec<Package>,
    pub room: Room,
    /// Something had no room.
    pub short: bool,
}

impl<'a> Found<'a> {
    pub fn new(place: &'a str, room: Room) -> Found<'a> {
        Found {
            place,
            packages: Vec::new(),
            room,
            short: false,
        }
    }

    /// Nothing is copied before it is sure that there is room for it.
    pub fn add(&mut self, told: Told<'_>) {
        let is_long = |text: &str| text.len() > FIELD_MAX;
        let mut names = vec![told.namespace, told.name, told.version];
        names.extend(told.qualifiers.iter().map(|(_, value)| *value));
        if self.room.packages == 0 || names.into_iter().any(is_long) {
            self.short = true;
            return;
        }
        self.short |= is_long(told.license) || is_long(told.supplier);
        let short = |text: &str| if is_long(text) { "" } else { text }.to_owned();
        let package = Package {
            purl: purl(&told),
            name: told.name.to_owned(),
            version: told.version.to_owned(),
            license: short(told.license),
            supplier: short(told.supplier),
            found_in: self.place.to_owned(),
        };
        match self.room.text.checked_sub(size(&package)) {
            Some(left) => {
                self.room.text = left;
                self.room.packages -= 1;
                self.packages.push(package);
            }
            None => self.short = true,
        }
    }
}

fn size(package: &Package) -> usize {
    let Package {
        name,
        version,
        purl,
        license,
        supplier,
        found_in,
    } = package;
    let texts = [name, version, purl, license, supplier, found_in];
    texts.map(String::len).iter().sum()
}

/// `pkg:TYPE/NAME@VERSION?QUALIFIERS`; a name's slashes part its namespace from it.
fn purl(told: &Told<'_>) -> String {
    let mut purl = format!("pkg:{}", told.kind);
    let namespace = Some(told.namespace).filter(|namespace| !namespace.is_empty());
    for part in namespace.into_iter().chain(told.name.split('/')) {
        purl.push('/');
        purl.push_str(&coded(part));
    }
    if !told.version.is_empty() {
        purl.push('@');
        purl.push_str(&coded(told.version));
    }
    let qualifiers = told.qualifiers.iter();
    let said = qualifiers.filter(|(_, value)| !value.is_empty());
    for (number, (key, value)) in said.enumerate() {
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
