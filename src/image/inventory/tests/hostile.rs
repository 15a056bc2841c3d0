//! Images whose files say more than is to be believed: reading them ends, and what was left out is told.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::super::found::{FIELD_MAX, Room};
use super::super::{DEPTH_MAX, FILE_MAX, MORE, Reading, UNREAD_MAX};
use super::{Database, Inventory, Merged, blob, inventory, ndb, read, rpm_header, sqlite, within};

fn unread(inventory: &Inventory) -> Vec<&str> {
    inventory.unread.iter().map(String::as_str).collect()
}

fn names(inventory: &Inventory) -> Vec<&str> {
    let packages = inventory.packages.iter();
    packages.map(|package| package.name.as_str()).collect()
}

#[test]
fn a_blob_has_one_slot_and_blobs_fit_into_their_file() {
    let header = rpm_header("bash", 0);
    let ndb_of = |blocks: &[u32], blobs: &[u8]| read(Database::Ndb, &ndb(blocks, blobs), "", "");
    let two = [blob(&header), blob(&header)].concat();
    let second = 256 + u32::try_from(blob(&header).len() / 16).expect("small");
    assert_eq!(
        ndb_of(&[256, second], &two).map(|found| found.len()),
        Some(2)
    );
    assert!(ndb_of(&[256, 256], &two).is_none());
    // Each in the one before it, and each up to the end.
    let blocks = 1000u32;
    let nested: Vec<u8> = (0..blocks)
        .flat_map(|number| {
            let length = (blocks - 1 - number) * 16;
            let mut block = b"BlbS\x07\0\0\0\0\0\0\0".to_vec();
            block.extend(length.to_le_bytes());
            block
        })
        .collect();
    // Slots of a thousand blobs take four pages.
    let first = 4 * 256;
    let all: Vec<u32> = (first..first + blocks).collect();
    assert!(ndb_of(&all, &nested).is_none());
    // The last ones alone are short enough.
    let last = &all[all.len() - 40..];
    let mut at_first_page = nested.clone();
    at_first_page.splice(..0, vec![0; 3 * 4096]);
    assert_eq!(
        ndb_of(last, &at_first_page).map(|found| found.len()),
        Some(0)
    );
}

#[test]
fn a_row_is_read_once_and_so_is_each_page() {
    let small = sqlite(&rpm_header("bash", 0));
    let read = |pages: &[Vec<u8>]| read(Database::Sqlite, &pages.concat(), "", "");
    assert_eq!(read(&small).map(|found| found.len()), Some(1));
    // All cells of the page are the same row.
    let mut again = small.clone();
    let pointer = [again[1][8], again[1][9]];
    again[1][4] = 40;
    for cell in 0..40 {
        again[1][8 + cell * 2..10 + cell * 2].copy_from_slice(&pointer);
    }
    assert!(read(&again).is_none());
    // The page that a row goes on in names itself as the next.
    let mut circle = sqlite(&rpm_header("bash", 3000));
    assert_eq!(read(&circle).map(|found| found.len()), Some(1));
    circle[2][..4].copy_from_slice(&3u32.to_be_bytes());
    assert!(read(&circle).is_none());
}

fn go_sum(count: usize) -> String {
    let lines = (0..count).map(|number| format!("m{number} v1 h1:x\n"));
    lines.collect()
}

#[test]
fn there_is_room_for_so_much_and_no_more() {
    let ten = go_sum(10);
    let files = [("a/go.sum", ten.as_str()), ("b/go.sum", ten.as_str())];
    let of = |room: Room| {
        let found = within(room, &files, |_| {});
        let unread = unread(&found).join(" ");
        (found.packages.len(), unread)
    };
    assert_eq!(of(Room::MOST), (20, String::new()));
    let packages = 13;
    let few = Room {
        packages,
        ..Room::MOST
    };
    assert_eq!(of(few), (13, "/b/go.sum".to_owned()));
    // A package has five texts here: `m0`, `v1`, `pkg:golang/m0@v1`, nothing, `/a/go.sum`.
    let short = Room {
        text: 3 * (2 + 2 + 16 + 9),
        ..Room::MOST
    };
    assert_eq!(of(short), (3, "/a/go.sum /b/go.sum".to_owned()));
    let read = ten.len() as u64 + 1;
    let little = Room { read, ..Room::MOST };
    assert_eq!(of(little), (10, "/b/go.sum".to_owned()));
}

#[test]
fn a_name_has_a_length() {
    let (fits, long) = ("x".repeat(FIELD_MAX), "x".repeat(FIELD_MAX + 1));
    let lock = |version: &str, license: &str| {
        format!(
            r#"{{"packages": {{"node_modules/a": {{"version": "{version}", "license": "{license}"}}, "node_modules/b": {{"version": "1"}}}}}}"#
        )
    };
    let of = |lock: &str| inventory(&[("package-lock.json", lock)]);
    let found = of(&lock(&fits, &fits));
    assert_eq!((names(&found), unread(&found)), (vec!["a", "b"], vec![]));
    let found = of(&lock(&long, ""));
    let told = vec!["/package-lock.json"];
    assert_eq!((names(&found), unread(&found)), (vec!["b"], told.clone()));
    let found = of(&lock("1", &long));
    assert_eq!((names(&found), unread(&found)), (vec!["a", "b"], told));
    assert_eq!(found.packages[0].license, "");
    // What each package's URL repeats is shorter still.
    let release = format!("ID={}\nVERSION_ID=1\n", "x".repeat(200));
    let found = inventory(&[("etc/os-release", &release)]);
    assert_eq!((found.system.as_str(), found.release.as_str()), ("", "1"));
}

#[test]
fn a_file_of_several_names_is_read_once() {
    let three = go_sum(3);
    let found = within(Room::MOST, &[("a/go.sum", &three)], |top| {
        fs::create_dir(top.join("b")).expect("it can be made");
        fs::hard_link(top.join("a/go.sum"), top.join("b/go.sum")).expect("it can be linked");
        // As another kind of file it says something else.
        fs::hard_link(top.join("a/go.sum"), top.join("b/Cargo.lock")).expect("it can be linked");
    });
    assert_eq!(found.packages.len(), 3);
    assert!(found.packages.iter().all(|one| one.found_in == "/a/go.sum"));
    assert_eq!(unread(&found), ["/b/Cargo.lock"]);
}

#[test]
fn what_was_not_read_is_told() {
    let one = go_sum(1);
    let deep = vec!["d"; DEPTH_MAX].join("/");
    let files = [
        ("a/go.sum", one.as_str()),
        (&format!("{deep}/go.sum"), &one),
        ("ok/go.sum", &one),
    ];
    let found = within(Room::MOST, &files, |top| {
        let long = |name: &str, length| {
            let file = fs::File::create(top.join(name)).expect("it can be made");
            file.set_len(length).expect("it can be long");
        };
        long("a/go.sum", FILE_MAX + 1);
        long("a/go.mod", FILE_MAX);
        // What TOML becomes in memory is many times as large.
        long("a/poetry.lock", (4 << 20) + 1);
        symlink("nowhere", top.join("ok/Cargo.lock")).expect("it can be made");
        fs::create_dir(top.join("ok/go.mod")).expect("it can be made");
    });
    let deep = format!("/{deep}");
    assert_eq!(unread(&found), ["/a/go.sum", "/a/poetry.lock", &deep]);
    assert_eq!(found.packages.len(), 1);
    assert_eq!(found.packages[0].found_in, "/ok/go.sum");
}

fn reading() -> Reading {
    Reading {
        inventory: Inventory::default(),
        room: Room::MOST,
        linked: std::collections::HashSet::new(),
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let top = Merged::plain(Path::new("/proc")).expect("it is a directory");
    let stat = rustix::fs::stat("/proc/self/status").expect("it is there");
    // It was a file when it was looked at, and is gone when it is opened.
    let mut reading = reading();
    reading.file(&top, 0, &[b"go.sum".to_vec()], &stat);
    assert_eq!(reading.inventory.unread, ["/go.sum"]);
    // A link that leads to itself is no reason to read nothing else.
    let found = within(Room::MOST, &[("a/go.sum", &go_sum(1))], |top| {
        fs::create_dir(top.join("etc")).expect("it can be made");
        symlink("os-release", top.join("etc/os-release")).expect("it can be made");
    });
    assert_eq!(
        (found.packages.len(), unread(&found)),
        (1, vec!["/etc/os-release"])
    );
}

#[test]
fn a_file_may_be_longer_than_it_looked() {
    let name = format!("bryo-inventory-{}", crate::sys::fs::random_name());
    let top = std::env::temp_dir().join(name);
    fs::create_dir(&top).expect("it can be made");
    fs::write(top.join("go.sum"), "m v1 h1:x\n").expect("it can be written");
    let stat = rustix::fs::stat(top.join("go.sum")).expect("it is there");
    fs::write(top.join("go.sum"), go_sum(100)).expect("it can be written");
    let directory = Merged::plain(&top).expect("it is a directory");
    let mut reading = reading();
    let mut bytes_of = |most| reading.bytes_of(&directory, 0, b"go.sum", &stat, most);
    assert!(bytes_of(20).is_none());
    assert!(bytes_of(1 << 20).is_some());
    fs::remove_dir_all(&top).expect("it is ours");
}

#[test]
fn what_is_told_has_an_end_too() {
    let paths: Vec<String> = (0..UNREAD_MAX + 5)
        .map(|number| format!("{number:05}/Cargo.lock"))
        .collect();
    let files: Vec<(&str, &str)> = paths
        .iter()
        .map(|path| (path.as_str(), "no toml"))
        .collect();
    let found = inventory(&files);
    assert_eq!(found.unread.len(), UNREAD_MAX);
    assert_eq!(found.unread.last().map(String::as_str), Some(MORE));
}

#[test]
fn documents_of_any_shape_end() {
    let deep = "[".repeat(100_000);
    let dotted = format!("{}a = 1\n", "a.".repeat(100_000));
    let nested = r#"{"dependencies": {"a": "#.repeat(50_000);
    let files = [
        ("a/package-lock.json", deep.as_str()),
        ("b/package-lock.json", &nested),
        ("c/Cargo.lock", &dotted),
        (
            "d/composer.lock",
            r#"{"packages": [{"name": 1}, {"name": ["x", 2], "version": {"a": [1]}}], "packages-dev": null}"#,
        ),
    ];
    let found = inventory(&files);
    assert_eq!(found.packages, []);
    assert_eq!(
        unread(&found),
        [
            "/a/package-lock.json",
            "/b/package-lock.json",
            "/c/Cargo.lock"
        ]
    );
}

#[test]
fn a_package_of_two_licences_is_one_of_its_file() {
    let lock = r#"{"packages": {"node_modules/a": {"version": "1"}, "node_modules/x/node_modules/a": {"version": "1", "license": "MIT"},
        "node_modules/y/node_modules/a": {"version": "1", "license": "ISC"}}}"#;
    let files = [("p/package-lock.json", lock), ("q/package-lock.json", lock)];
    let found = inventory(&files).packages.into_iter();
    let found: Vec<(String, String)> = found.map(|one| (one.found_in, one.license)).collect();
    let told = |path: &str| (path.to_owned(), "ISC".to_owned());
    assert_eq!(
        found,
        [told("/p/package-lock.json"), told("/q/package-lock.json")]
    );
}
