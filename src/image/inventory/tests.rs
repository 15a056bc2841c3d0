//! What is found in a tree, and what is not.

use std::fs;
use std::path::Path;

use super::found::{Found, Room};
use super::rpm::Database;
use super::{Inventory, Merged, Package};

mod hostile;

/// Of a directory of files, gone with its test.
fn inventory(files: &[(&str, &str)]) -> Inventory {
    within(Room::MOST, files, |_| {})
}

/// `change` what the files alone don't say.
fn within(room: Room, files: &[(&str, &str)], change: impl FnOnce(&Path)) -> Inventory {
    let name = format!("bryo-inventory-{}", crate::sys::fs::random_name());
    let top = std::env::temp_dir().join(name);
    for (path, content) in files {
        let path = top.join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        fs::write(path, content).expect("it can be written");
    }
    change(&top);
    let found = Inventory::within(Merged::plain(&top).expect("it is a directory"), room);
    fs::remove_dir_all(&top).expect("it is ours");
    found.expect("all of it can be read")
}

fn purls(files: &[(&str, &str)]) -> Vec<String> {
    let packages = inventory(files).packages.into_iter();
    packages.map(|package| package.purl).collect()
}

#[test]
fn the_databases_of_dpkg_and_apk_are_read() {
    let status = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nMaintainer: A <a@b>\nVersion: 2:1.0+b1\nDescription: x\n more: y\n\n\
        Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n";
    let release = "NAME=x\nID=debian\nVERSION_ID=\"12\"\n";
    let files = [
        ("var/lib/dpkg/status", status),
        ("usr/lib/os-release", release),
        (
            "var/lib/dpkg/status.d/base",
            "Package: base\nVersion: 12\nArchitecture: all\n",
        ),
        ("var/lib/dpkg/status.d/base.md5sums", "Package: no\n"),
    ];
    let found = inventory(&files);
    assert_eq!(
        (found.system.as_str(), found.release.as_str()),
        ("debian", "12")
    );
    assert_eq!(found.packages.len(), 2);
    assert_eq!(
        found.packages[1],
        Package {
            name: "libc6".to_owned(),
            version: "2:1.0+b1".to_owned(),
            purl: "pkg:deb/debian/libc6@2:1.0%2Bb1?arch=amd64&distro=debian-12".to_owned(),
            license: String::new(),
            supplier: "A <a@b>".to_owned(),
            found_in: "/var/lib/dpkg/status".to_owned(),
        }
    );
    let installed = "C:Q1x\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\n\nP:busybox\nV:1.36\nA:x86_64\n";
    assert_eq!(
        purls(&[("lib/apk/db/installed", installed)]),
        [
            "pkg:apk/alpine/busybox@1.36?arch=x86_64",
            "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64"
        ]
    );
}

#[test]
fn lock_files_of_languages_are_read_wherever_they_are() {
    let npm = r#"{"packages": {"": {"version": "9"}, "node_modules/@a/b": {"version": "1.0.0"}, "node_modules/x/node_modules/y": {"version": "2"}}}"#;
    let old =
        r#"{"dependencies": {"a": {"version": "1", "dependencies": {"b": {"version": "2"}}}}}"#;
    let cargo = "version = 4\n[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\n";
    let cases: [(&str, &str, &[&str]); 9] = [
        (
            "app/package-lock.json",
            npm,
            &["pkg:npm/%40a/b@1.0.0", "pkg:npm/y@2"],
        ),
        ("package-lock.json", old, &["pkg:npm/a@1", "pkg:npm/b@2"]),
        ("src/Cargo.lock", cargo, &["pkg:cargo/serde@1.0.1"]),
        (
            "a/b/requirements.txt",
            "Flask_X[async]==2.0 ; python_version > '3' # c\nx>=1\n-r other\ny==1.*\n",
            &["pkg:pypi/flask-x@2.0"],
        ),
        (
            "poetry.lock",
            "[[package]]\nname = \"Zope.Interface\"\nversion = \"5\"\n",
            &["pkg:pypi/zope-interface@5"],
        ),
        (
            "go.sum",
            "golang.org/x/net v0.1.0 h1:abc=\ngolang.org/x/net v0.1.0/go.mod h1:def=\n",
            &["pkg:golang/golang.org/x/net@v0.1.0"],
        ),
        (
            "go.mod",
            "module m\nrequire a.b/c v1.0.0\nrequire (\n\td.e/f v2.0.0 // indirect\n)\n",
            &["pkg:golang/a.b/c@v1.0.0", "pkg:golang/d.e/f@v2.0.0"],
        ),
        (
            "Gemfile.lock",
            "GEM\n  specs:\n    rails (7.0)\n      rack (>= 2)\n    rack (3.0)\n",
            &["pkg:gem/rack@3.0", "pkg:gem/rails@7.0"],
        ),
        (
            "composer.lock",
            r#"{"packages": [{"name": "a/b", "version": "v1", "license": ["MIT"]}], "packages-dev": []}"#,
            &["pkg:composer/a/b@v1"],
        ),
    ];
    for (path, content, expected) in cases {
        assert_eq!(purls(&[(path, content)]), expected, "{path}");
    }
    let broken = inventory(&[("x/Cargo.lock", "no toml"), ("proc/go.sum", "a v1 h1:x\n")]);
    assert_eq!(
        (broken.packages.len(), broken.unread),
        (0, vec!["/x/Cargo.lock".to_owned()])
    );
}

fn read(kind: Database, bytes: &[u8], system: &str, release: &str) -> Option<Vec<Package>> {
    let mut found = Found::new("/db", Room::MOST);
    kind.read(bytes, system, release, &mut found)?;
    Some(found.packages)
}

/// A header as rpm keeps it: names, and an epoch.
fn rpm_header(name: &str, filling: usize) -> Vec<u8> {
    let texts = [
        (1000, name),
        (1001, "1.2"),
        (1002, "3.fc41"),
        (1022, "x86_64"),
        (1014, "MIT"),
    ];
    let mut index = Vec::new();
    let mut values: Vec<u8> = vec![0, 0, 0, 1];
    let mut entry = |tag: u32, kind: u32, at: usize| {
        for number in [tag, kind, u32::try_from(at).expect("small"), 1] {
            index.extend(number.to_be_bytes());
        }
    };
    entry(1003, 4, 0);
    for (tag, text) in texts {
        entry(tag, 6, values.len());
        values.extend(text.as_bytes());
        values.push(0);
    }
    values.extend(vec![7; filling]);
    let count = u32::try_from(texts.len() + 1).expect("small");
    let length = u32::try_from(values.len()).expect("small");
    [
        &count.to_be_bytes()[..],
        &length.to_be_bytes(),
        &index,
        &values,
    ]
    .concat()
}

fn varint(value: usize) -> Vec<u8> {
    let mut bytes = vec![(value & 0x7f) as u8];
    let mut rest = value >> 7;
    while rest > 0 {
        bytes.insert(0, (rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes
}

/// A row with these values, the numbers that say their kinds before them.
fn row(kinds: &[usize], values: &[&[u8]]) -> Vec<u8> {
    let kinds: Vec<u8> = kinds.iter().flat_map(|kind| varint(*kind)).collect();
    [&varint(kinds.len() + 1)[..], &kinds, &values.concat()].concat()
}

/// A leaf page of one row; what does not fit goes on in the pages behind it.
fn leaf(number: u32, row: &[u8], pages: &mut Vec<Vec<u8>>) {
    const PAGE: usize = 512;
    let head = if number == 1 { 100 } else { 0 };
    let inline = match row.len() <= PAGE - 35 {
        true => row.len(),
        false => {
            let least = (PAGE - 12) * 32 / 255 - 23;
            let fitting = least + (row.len() - least) % (PAGE - 4);
            if fitting <= PAGE - 35 { fitting } else { least }
        }
    };
    let mut cell = [varint(row.len()), varint(1), row[..inline].to_vec()].concat();
    let mut overflow = Vec::new();
    let first = number + 1;
    let chunks: Vec<&[u8]> = row[inline..].chunks(PAGE - 4).collect();
    if !chunks.is_empty() {
        cell.extend(first.to_be_bytes());
    }
    let behind = first + u32::try_from(chunks.len()).expect("small");
    for (next, chunk) in (first + 1..).zip(chunks) {
        let link = if next == behind { 0 } else { next };
        let mut page = [&link.to_be_bytes()[..], chunk].concat();
        page.resize(PAGE, 0);
        overflow.push(page);
    }
    let mut page = vec![0; PAGE];
    let at = PAGE - cell.len();
    page[head] = 0x0d;
    page[head + 4] = 1;
    page[head + 8..head + 10].copy_from_slice(&u16::try_from(at).expect("small").to_be_bytes());
    page[at..].copy_from_slice(&cell);
    pages.push(page);
    pages.extend(overflow);
}

/// A database of SQLite whose one table has one row.
fn sqlite(header: &[u8]) -> Vec<Vec<u8>> {
    let schema = row(
        &[23, 29, 29, 1, 13],
        &[b"table", b"Packages", b"Packages", &[2], b""],
    );
    let mut pages = Vec::new();
    leaf(1, &schema, &mut pages);
    leaf(2, &row(&[0, 12 + 2 * header.len()], &[header]), &mut pages);
    pages[0][..16].copy_from_slice(b"SQLite format 3\0");
    pages[0][16..18].copy_from_slice(&512u16.to_be_bytes());
    pages
}

/// A database of rpm's own form whose slots name these blocks; the blobs are behind the first page.
fn ndb(blocks: &[u32], blobs: &[u8]) -> Vec<u8> {
    let pages = u32::try_from((32 + blocks.len() * 16).div_ceil(4096)).expect("small");
    let mut ndb = [
        b"RpmP".to_vec(),
        vec![0; 8],
        pages.to_le_bytes().to_vec(),
        vec![0; 16],
    ]
    .concat();
    for block in blocks {
        ndb.extend(b"Slot");
        for number in [7u32, *block, 1] {
            ndb.extend(number.to_le_bytes());
        }
    }
    ndb.resize(pages as usize * 4096, 0);
    ndb.extend(blobs);
    ndb
}

fn blob(header: &[u8]) -> Vec<u8> {
    let length = u32::try_from(header.len()).expect("small");
    let mut blob = b"BlbS\x07\0\0\0\0\0\0\0".to_vec();
    blob.extend(length.to_le_bytes());
    blob.extend(header);
    blob.resize(blob.len().next_multiple_of(16), 0);
    blob
}

#[test]
fn the_databases_of_rpm_are_read() {
    let header = rpm_header("bash", 3000);
    let sqlite = sqlite(&header).concat();
    let kind = super::rpm::kind("var/lib/rpm/rpmdb.sqlite").expect("it is one");
    let found = read(kind, &sqlite, "fedora", "41").expect("it is a database");
    let purl = "pkg:rpm/fedora/bash@1.2-3.fc41?arch=x86_64&distro=fedora-41&epoch=1";
    assert_eq!(
        (
            found.len(),
            found[0].purl.as_str(),
            found[0].license.as_str()
        ),
        (1, purl, "MIT")
    );
    // Whatever is changed in it, nothing worse comes of it than that it is not read.
    for at in 0..sqlite.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut broken = sqlite.clone();
            broken[at] = value;
            let _ = read(kind, &broken, "", "");
        }
    }
    assert!(read(kind, &sqlite[..700], "", "").is_none());
    let ndb = ndb(&[256], &blob(&header));
    let kind = super::rpm::kind("usr/lib/sysimage/rpm/Packages.db").expect("it is one");
    let found = read(kind, &ndb, "opensuse", "").expect("it is a database");
    assert_eq!(found[0].name, "bash");
    assert!(read(kind, &ndb[..4200], "", "").is_none());
}
