//! The reader against archives of every form, and against GNU tar's own reading of them.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::header::BLOCK;
use super::*;

/// A header block with a right checksum.
fn block(kind: u8, path: &str, size: u64, magic: &[u8]) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    block[..path.len()].copy_from_slice(path.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    block[108..115].copy_from_slice(b"0000000");
    block[116..123].copy_from_slice(b"0000000");
    block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    block[136..147].copy_from_slice(b"00000000000");
    block[156] = kind;
    block[257..257 + magic.len()].copy_from_slice(magic);
    sum(&mut block);
    block
}

fn sum(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block[..BLOCK].iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

const USTAR: &[u8] = b"ustar\x0000";
const GNU: &[u8] = b"ustar  \0";

fn entry(kind: u8, path: &str, content: &[u8]) -> Vec<u8> {
    let magic = if b"LK".contains(&kind) { GNU } else { USTAR };
    let mut bytes = block(kind, path, content.len() as u64, magic);
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    pax_of_kind(b'x', records)
}

fn pax_of_kind(kind: u8, records: &[(&str, &str)]) -> Vec<u8> {
    let record = |(key, value): &(&str, &str)| {
        let rest = key.len() + value.len() + 3;
        let length = (rest + 1..)
            .find(|n| rest + n.to_string().len() == *n)
            .unwrap();
        format!("{length} {key}={value}\n")
    };
    let content: String = records.iter().map(record).collect();
    entry(kind, "PaxHeaders/x", content.as_bytes())
}

fn archive(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = parts.concat();
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    bytes
}

fn ours(bytes: &[u8]) -> Result<Vec<(String, u64)>, String> {
    let mut reader = TarReader::new(bytes, Limits::default());
    let mut list = Vec::new();
    while let Some(entry) = reader.next_entry().map_err(|error| error.to_string())? {
        list.push((
            String::from_utf8_lossy(&entry.path).into_owned(),
            entry.size,
        ));
    }
    Ok(list)
}

/// What GNU tar lists; `None` where it reports an error or is not installed.
fn gnu(bytes: &[u8]) -> Option<Vec<String>> {
    let tar = Command::new("tar")
        .args(["--list", "--quoting-style=literal", "-P", "-f", "-"])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut tar = tar.ok()?;
    // It may stop reading before the end.
    let _ = tar.stdin.take().unwrap().write_all(bytes);
    let output = tar.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output
        .status
        .success()
        .then(|| text.lines().map(str::to_owned).collect())
}

/// The same listing as GNU tar, or refused.
fn agrees(bytes: &[u8]) -> Result<Vec<(String, u64)>, String> {
    let list = ours(bytes)?;
    if let Some(theirs) = gnu(bytes) {
        let paths: Vec<&str> = list.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, theirs);
    }
    Ok(list)
}

fn listed(list: &[(&str, u64)]) -> Result<Vec<(String, u64)>, String> {
    Ok(list
        .iter()
        .map(|(path, size)| ((*path).to_owned(), *size))
        .collect())
}

#[test]
fn pax_size_goes_before_the_headers_whatever_that_says() {
    // CVE-2026-33055, CVE-2025-62518: a hidden entry in what one of the two sizes calls content.
    let hidden = entry(b'0', "hidden", b"");
    for header_size in [0, 512] {
        let mut file = block(b'0', "file", header_size, USTAR);
        file.extend_from_slice(&hidden);
        let bytes = archive(&[pax(&[("size", "512")]), file, entry(b'0', "next", b"")]);
        assert_eq!(agrees(&bytes), listed(&[("file", 512), ("next", 0)]));
    }
    let mut file = block(b'0', "file", 512, USTAR);
    file.extend_from_slice(&hidden);
    let bytes = archive(&[pax(&[("size", "0")]), file]);
    assert_eq!(agrees(&bytes), listed(&[("file", 0), ("hidden", 0)]));
}

#[test]
fn a_long_name_between_pax_and_file_changes_neither() {
    // CVE-2026-33055's kin: the PAX size belongs to the file, not to the long name's own header.
    let long = format!("{}\0", "n".repeat(200));
    let content = [0; 600];
    let mut file = block(b'0', "short", 0, GNU);
    file.extend_from_slice(&content);
    file.resize(file.len().next_multiple_of(BLOCK), 0);
    let bytes = archive(&[
        pax(&[("size", "600")]),
        entry(b'L', "././@LongLink", long.as_bytes()),
        file,
        entry(b'0', "next", b"x"),
    ]);
    assert_eq!(
        agrees(&bytes),
        listed(&[(&"n".repeat(200), 600), ("next", 1)])
    );
    let bytes = archive(&[
        entry(b'L', "././@LongLink", long.as_bytes()),
        pax(&[("path", "from/pax")]),
        entry(b'0', "short", b"x"),
    ]);
    assert_eq!(agrees(&bytes), listed(&[("from/pax", 1)]));
}

#[test]
fn ustar_prefixes_and_gnu_headers_are_told_apart() {
    let mut ustar = block(b'0', "name", 0, USTAR);
    ustar[345..351].copy_from_slice(b"prefix");
    sum(&mut ustar);
    let mut gnu = block(b'0', "name", 0, GNU);
    gnu[345..351].copy_from_slice(b"123456");
    sum(&mut gnu);
    assert_eq!(
        agrees(&archive(&[ustar, gnu])),
        listed(&[("prefix/name", 0), ("name", 0)])
    );
}

#[test]
fn sizes_beyond_octal_are_read() {
    let mut big = block(b'0', "big", 0, GNU);
    big[124..136].copy_from_slice(b"\x80\0\0\0\0\0\0\0\0\0\x02\0");
    sum(&mut big);
    big.extend_from_slice(&[7; 512]);
    assert_eq!(
        agrees(&archive(&[big, entry(b'0', "next", b"")])),
        listed(&[("big", 512), ("next", 0)])
    );
    let mut huge = block(b'0', "huge", 0, GNU);
    huge[124..136].copy_from_slice(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    sum(&mut huge);
    assert!(
        ours(&archive(&[huge]))
            .unwrap_err()
            .contains("invalid size")
    );
}

#[test]
fn what_programs_read_differently_is_refused() {
    let refused = |parts: &[Vec<u8>], expected: &str| {
        let error = ours(&archive(parts)).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    let file = || entry(b'0', "f", b"");
    refused(
        &[pax(&[("path", "a")]), pax(&[("path", "b")]), file()],
        "second extended header",
    );
    let long = || entry(b'L', "././@LongLink", b"long\0");
    refused(&[long(), long(), file()], "second long name");
    refused(&[vec![0; BLOCK], file()], "single zero block");
    refused(&[pax(&[("path", "a")])], "ends in the middle");
    refused(&[entry(b'2', "link", b"content")], "content");
    refused(
        &[pax(&[("size", "9")]), entry(b'1', "link", b"")],
        "content",
    );
    refused(&[entry(b'S', "sparse", b"")], "sparse");
    refused(&[pax(&[("GNU.sparse.major", "1")]), file()], "sparse");
    refused(&[entry(b'M', "rest", b"")], "type 'M'");
    refused(&[entry(b'Z', "what", b"")], "type 'Z'");
    refused(
        &[pax_of_kind(b'g', &[("path", "all")]), file()],
        "global header",
    );
    refused(&[pax(&[("path", "a\0b")]), file()], "NUL");
    let mut wrong = file();
    wrong[0] ^= 1;
    refused(&[wrong], "wrong checksum");
    let mut unsized_file = file();
    unsized_file[124..136].fill(b' ');
    sum(&mut unsized_file);
    refused(&[unsized_file], "invalid size");
}

#[test]
fn global_headers_give_defaults() {
    let bytes = archive(&[
        pax_of_kind(b'g', &[("mtime", "77.5"), ("uid", "5"), ("comment", "x")]),
        pax(&[("uid", "6")]),
        entry(b'0', "a", b""),
        entry(b'0', "b", b""),
    ]);
    let mut reader = TarReader::new(&bytes[..], Limits::default());
    let a = reader.next_entry().unwrap().unwrap();
    let b = reader.next_entry().unwrap().unwrap();
    assert_eq!((a.uid, b.uid), (6, 5));
    assert_eq!((a.mtime, b.mtime), ((77, 500_000_000), (77, 500_000_000)));
}

#[test]
fn what_the_writer_writes_is_read_back() {
    let mut writer = TarWriter::new();
    writer.directory("d", 0o750);
    writer.file("d/f", 0o4755, b"content");
    assert_eq!(agrees(&writer.finish()), listed(&[("d", 0), ("d/f", 7)]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any names and sizes, written by a program that is not ours, read as GNU tar reads them.
    #[test]
    fn archives_of_any_names_read_as_in_gnu_tar(
        members in proptest::collection::vec(("[a-zA-Z0-9 ._/-]{1,180}", 0usize..2000), 1..8)
    ) {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, size) in &members {
            let mut header = tar::Header::new_gnu();
            header.set_size(*size as u64);
            header.set_mode(0o644);
            // Names that the builder or our reader refuses have tests of their own.
            if name.ends_with('/') || name.contains("..") || name.starts_with('/') {
                continue;
            }
            builder.append_data(&mut header, name, &vec![1; *size][..]).unwrap();
        }
        let bytes = builder.into_inner().unwrap();
        prop_assert!(agrees(&bytes).is_ok());
    }

    /// No bytes make the reader panic or read without end.
    #[test]
    fn any_change_to_an_archive_is_survived(position in 0usize..3072, value in any::<u8>()) {
        let mut bytes = archive(&[
            pax(&[("path", "a/b"), ("mtime", "1.5")]),
            entry(b'0', "f", b"content"),
            entry(b'L', "././@LongLink", b"long\0"),
        ]);
        let position = position % bytes.len();
        bytes[position] = value;
        let header = position / BLOCK * BLOCK;
        sum(&mut bytes[header..header + BLOCK]);
        let _ = ours(&bytes);
    }
}
