//! What was written is read the way containers/storage reads it: by the annotations, the table, tar-split.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::*;
use crate::image::digest::Digest;

/// A tar of these entries and two zero blocks, made by another writer.
fn tar_of(fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    fill(&mut builder);
    builder.into_inner().unwrap()
}

fn add(builder: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, name: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o640);
    header.set_uid(1000);
    header.set_gid(7);
    header.set_mtime(1_700_000_000);
    header.set_size(bytes.len() as u64);
    if kind == tar::EntryType::Symlink {
        header.set_link_name("file").unwrap();
    }
    builder.append_data(&mut header, name, bytes).unwrap();
}

fn noise(length: usize) -> Vec<u8> {
    let bytes = (0..length as u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56);
    bytes.map(|byte| byte as u8).collect()
}

fn write(tar: &[u8]) -> (Vec<u8>, Option<Toc>) {
    let writer = ChunkedWriter::new(&Workers::default(), 3, Vec::new()).unwrap();
    let (blob, toc) = writer.write(tar).unwrap();
    // Every reader of zstd has the tar, whatever else there is.
    assert!(zstd::decode_all(&blob[..]).unwrap() == tar);
    (blob, toc)
}

/// `OFFSET:LENGTH:LENGTH[:KIND]`, decompressed.
fn document(blob: &[u8], position: &str) -> (Vec<u8>, Vec<u8>) {
    let numbers: Vec<usize> = position.split(':').map(|n| n.parse().unwrap()).collect();
    let packed = &blob[numbers[0]..numbers[0] + numbers[1]];
    let document = zstd::decode_all(packed).unwrap();
    assert_eq!(document.len(), numbers[2]);
    (packed.to_vec(), document)
}

/// The content of every file by its name, read part by part.
fn contents(blob: &[u8], table: &Value) -> BTreeMap<String, Vec<u8>> {
    let lines = table["entries"].as_array().unwrap();
    let mut contents = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        let number = |line: &Value, key: &str| line[key].as_u64().unwrap_or(0) as usize;
        let name = line["name"].as_str().unwrap();
        if line["type"] != "reg" || number(line, "size") == 0 {
            continue;
        }
        let chunks = lines[at + 1..]
            .iter()
            .take_while(|next| next["type"] == "chunk");
        let parts: Vec<&Value> = std::iter::once(line).chain(chunks).collect();
        let mut content = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            assert_eq!(part["name"], name);
            assert_eq!(number(part, "chunkOffset"), content.len());
            let end = match parts.get(at + 1) {
                Some(next) => number(next, "offset"),
                None => number(line, "endOffset"),
            };
            let bytes = zstd::decode_all(&blob[number(part, "offset")..end]).unwrap();
            if parts.len() > 1 {
                assert_eq!(number(part, "chunkSize"), bytes.len());
                assert_eq!(part["chunkDigest"], Digest::of(&bytes).as_str());
            }
            content.extend_from_slice(&bytes);
        }
        assert_eq!(number(line, "size"), content.len());
        assert_eq!(line["digest"], Digest::of(&content).as_str());
        contents.insert(name.to_owned(), content);
    }
    contents
}

/// The tar that tar-split's lines and the files make.
fn joined(split: &[u8], contents: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut tar = Vec::new();
    let lines = split
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    for (position, line) in lines.enumerate() {
        let line: Value = serde_json::from_slice(line).unwrap();
        assert_eq!(line["position"], position);
        let payload = line["payload"].as_str();
        let payload = payload.map(|text| BASE64.decode(text).unwrap());
        match line["type"].as_u64() {
            Some(2) => tar.extend(payload.unwrap()),
            Some(1) if line["size"].is_null() => assert_eq!(payload, None),
            Some(1) => {
                let content = &contents[line["name"].as_str().unwrap()];
                let mut crc = Crc64::new();
                crc.update(content);
                assert_eq!(payload.unwrap(), crc.sum());
                tar.extend_from_slice(content);
            }
            other => panic!("{other:?}"),
        }
    }
    tar
}

#[test]
fn a_layer_is_found_again_by_its_table() {
    let long = "long/".repeat(40);
    let big = noise(3 << 20);
    let mut tar = tar_of(|builder| {
        add(builder, tar::EntryType::Directory, "d/", b"");
        add(builder, tar::EntryType::Regular, "d/file", b"content");
        add(builder, tar::EntryType::Regular, "d/empty", b"");
        builder
            .append_pax_extensions([("SCHILY.xattr.user.a", &b"\xff\0"[..])])
            .unwrap();
        add(builder, tar::EntryType::Regular, "big", &big);
        add(builder, tar::EntryType::Symlink, "link", b"");
        add(
            builder,
            tar::EntryType::Regular,
            &format!("{long}file"),
            &[7; 512],
        );
    });
    // Trailing zeros are part of the archive.
    tar.resize(tar.len() + (3 << 20), 0);
    let (blob, toc) = write(&tar);
    let toc = toc.expect("it has a table");
    let annotations = toc.annotations();
    let annotations: BTreeMap<String, String> = annotations
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(Toc::of(&annotations), Some(toc));
    let prefix = "io.github.containers.zstd-chunked.";
    let (packed, table) = document(&blob, &annotations[&format!("{prefix}manifest-position")]);
    assert_eq!(
        annotations[&format!("{prefix}manifest-checksum")],
        Digest::of(&packed).as_str()
    );
    let (packed, split) = document(&blob, &annotations[&format!("{prefix}tarsplit-position")]);
    let table: Value = serde_json::from_slice(&table).unwrap();
    assert_eq!(table["tarSplitDigest"], Digest::of(&packed).as_str());
    assert_eq!(table["version"], 1);
    let contents = contents(&blob, &table);
    assert_eq!(contents.len(), 3);
    assert!(contents["big"] == big);
    assert!(joined(&split, &contents) == tar);

    let lines = table["entries"].as_array().unwrap();
    let line = |name: &str| lines.iter().find(|line| line["name"] == name).unwrap();
    let time = "2023-11-14T22:13:20Z";
    let file = line("d/file");
    assert_eq!(file["modtime"], time);
    assert_eq!(
        (&file["mode"], &file["uid"], &file["gid"]),
        (&416.into(), &1000.into(), &7.into())
    );
    assert_eq!(
        line("big")["xattrs"],
        serde_json::json!({ "user.a": "/wA=" })
    );
    assert_eq!(line("link")["linkName"], "file");
    assert_eq!(line("d/")["type"], "dir");
    assert!(line("d/empty")["digest"].is_null());

    let footer = &blob[blob.len() - 64..];
    assert_eq!(&footer[56..], b"GNUlInUx");
    let numbers: Vec<String> = footer[..56]
        .as_chunks::<8>()
        .0
        .iter()
        .map(|number| u64::from_le_bytes(*number).to_string())
        .collect();
    assert_eq!(
        numbers[..4].join(":"),
        annotations[&format!("{prefix}manifest-position")]
    );
    assert_eq!(
        numbers[4..].join(":"),
        annotations[&format!("{prefix}tarsplit-position")]
    );
    assert_eq!(write(&tar).0, blob, "the same bytes make the same layer");
}

#[test]
fn what_is_read_differently_has_no_table() {
    use tar::EntryType::{GNUSparse, Regular, XGlobalHeader};
    let file = |builder: &mut tar::Builder<Vec<u8>>| add(builder, Regular, "file", b"content");
    let with = |fill: &dyn Fn(&mut tar::Builder<Vec<u8>>)| {
        tar_of(|builder| {
            file(builder);
            fill(builder);
            add(builder, Regular, "last", &noise(300_000));
        })
    };
    let pax = |name: &'static str, value: &'static [u8]| {
        move |builder: &mut tar::Builder<Vec<u8>>| {
            builder.append_pax_extensions([(name, value)]).unwrap();
            add(builder, Regular, "pax", b"x");
        }
    };
    let sparse = |builder: &mut tar::Builder<Vec<u8>>| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(GNUSparse);
        header.set_path("sparse").unwrap();
        header.set_mode(0o644);
        header.set_size(1);
        let gnu = header.as_gnu_mut().unwrap();
        gnu.realsize.copy_from_slice(b"00000002000\0");
        gnu.sparse[0].offset.copy_from_slice(b"00000001777\0");
        gnu.sparse[0].numbytes.copy_from_slice(b"00000000001\0");
        header.set_cksum();
        builder.append(&header, &b"x"[..]).unwrap();
    };
    let strange = |builder: &mut tar::Builder<Vec<u8>>| {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..2].copy_from_slice(b"a\xff");
        header.set_mode(0o644);
        header.set_size(0);
        header.set_cksum();
        builder.append(&header, &b""[..]).unwrap();
    };
    let cases: [(&str, Vec<u8>); 8] = [
        (
            "a file twice",
            with(&|builder| add(builder, Regular, "./file", b"other")),
        ),
        (
            "a global header",
            with(&|builder| add(builder, XGlobalHeader, "g", b"13 uid=100000\n")),
        ),
        ("a time of access", with(&pax("atime", b"1.5"))),
        ("an empty attribute", with(&pax("SCHILY.xattr.user.a", b""))),
        (
            "a time that Go can't say",
            with(&pax("mtime", b"999999999999")),
        ),
        ("a sparse file", with(&sparse)),
        ("a name that is no text", with(&strange)),
        (
            "something after the end",
            [with(&|_| ()), b"more".to_vec()].concat(),
        ),
    ];
    assert!(write(&with(&|_| ())).1.is_some());
    for (what, tar) in cases {
        assert_eq!(write(&tar).1, None, "{what}");
    }
    // Nothing that is no tar is lost either.
    for bytes in [&b""[..], b"no tar", &[0; 700], &noise(5 << 20)] {
        write(bytes);
    }
    assert!(write(&[0; 1024]).1.is_some());
}
