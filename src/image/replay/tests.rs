//! Archives of every kind of entry, unpacked and given back.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::image::outside::Ids;
use crate::image::unpack::tests::{Archive, Scratch, options};
use crate::image::{
    Compare, KnownBlob, LayerDir, LayerReport, Packer, Tree, UnpackError, UnpackOptions, unpack,
};
use crate::sys::xattr;

fn stored(scratch: &Scratch, tar: &[u8], writers: usize) -> Result<LayerReport, UnpackError> {
    let layer = scratch.store.begin_layer().unwrap();
    let options = UnpackOptions {
        writers,
        ..options()
    };
    let report = unpack(tar, &layer, &options)?;
    scratch.store.commit_layer(layer, &report).unwrap();
    Ok(report)
}

fn replayed(scratch: &Scratch, diff_id: &Digest) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let written = scratch.store.write_tar(diff_id, &mut bytes);
    let written = written.map_err(|error| error.to_string())?;
    assert_eq!(written, bytes.len() as u64);
    Ok(bytes)
}

/// Unpacks with and without writer threads and expects the same bytes back.
fn comes_back(tar: &[u8]) -> LayerReport {
    let mut reports = Vec::new();
    for writers in [0, 2] {
        let scratch = Scratch::new();
        let report = stored(&scratch, tar, writers).unwrap();
        let bytes = replayed(&scratch, &report.diff_id).unwrap();
        assert!(bytes == tar, "another tar came back ({writers} writers)");
        reports.push(report);
    }
    reports.remove(0)
}

/// Access times of a large image are thousands of inodes to be written.
#[test]
fn giving_back_leaves_access_times() {
    let scratch = Scratch::new();
    let tar = Archive::new().file("a", "content").finish();
    let report = stored(&scratch, &tar, 0).unwrap();
    let layer = LayerDir::base(&report.diff_id);
    let path = scratch.store.layer_path(&layer).join("a");
    // Older than the last change, so that a usual open would renew it.
    let file = std::fs::File::open(&path).unwrap();
    let long_ago = std::time::UNIX_EPOCH;
    file.set_times(std::fs::FileTimes::new().set_accessed(long_ago))
        .unwrap();
    replayed(&scratch, &report.diff_id).unwrap();
    assert_eq!(path.metadata().unwrap().accessed().unwrap(), long_ago);
}

#[test]
fn every_kind_of_entry_comes_back() {
    let long = "n".repeat(150);
    let tar = Archive::new()
        .directory("./", 0o755)
        .directory("usr/", 0o755)
        .file("usr/a", "content")
        .file("usr/empty", "")
        .file("usr/block", &"x".repeat(512))
        .hard_link("usr/b", "usr/a")
        .symlink("lib", "usr")
        .file("lib/through", "a link")
        .raw(b'6', "fifo", "", 0o600, b"")
        .raw(b'3', "dev/null", "", 0o666, b"")
        .raw(b'4', "dev/disk", "", 0o660, b"")
        .file("etc/.wh.gone", "")
        .file("srv/.wh..wh..opq", "")
        .file(".wh..wh.plnk/5.6", "notes of another program")
        .pax(&[("path", long.as_bytes()), ("mtime", b"-5.25")])
        .file("short", "under a long name")
        .pax(&[("SCHILY.xattr.user.overlay.opaque", b"y")])
        .directory("opaque", 0o755)
        .pax(&[("SCHILY.xattr.trusted.overlay.redirect", b"/")])
        .file("redirected", "x")
        .raw(
            b'L',
            "././@LongLink",
            "",
            0o644,
            &["m".repeat(150).as_bytes(), b"\0"].concat(),
        )
        .file("cut", "GNU")
        .raw(b'g', "PaxGlobal", "", 0o644, b"14 comment=ab\n")
        .raw(b'V', "label", "", 0o644, b"a volume's label")
        .finish();
    let report = comes_back(&tar);
    assert!(report.replaced.is_empty());
}

#[test]
fn what_was_replaced_comes_back_with_its_first_content() {
    let tar = Archive::new()
        .file("a", "first")
        .file("a", "second, longer")
        .hard_link("kept", "a")
        .file("a", "third")
        .directory("d/e", 0o755)
        .file("d/e/f", "deep")
        .file("d/e/f", "deep again")
        .file("d", "now a file")
        .directory("d", 0o700)
        .file("d/e", "and a directory again")
        .symlink("l", "d")
        .file("l/e", "through a link")
        .file("d/e", "and without")
        .file("l", "no link any more")
        .hard_link("d/e", "a")
        .finish();
    let report = comes_back(&tar);
    let paths: Vec<String> = report.replaced.iter().map(|r| r.path.to_string()).collect();
    assert_eq!(
        paths,
        ["/a", "/a", "/d/e/f", "/d", "/d", "/d/e", "/d/e", "/d/e"]
    );
}

#[test]
fn whatever_follows_the_end_comes_back() {
    let whole = Archive::new().file("a", "1").file("b", "22").finish();
    let cut = whole.len() - 1024;
    for tar in [
        whole[..cut].to_vec(),
        whole[..cut + 512].to_vec(),
        [&whole[..], &[0; 9000]].concat(),
        [&whole[..], b"not zero at all, and not a whole block"].concat(),
        Vec::new(),
        vec![0; 1024],
    ] {
        comes_back(&tar);
    }
}

#[test]
fn a_file_of_many_buffers_comes_back() {
    let content: String = (0..400_000).map(|n| format!("{n:06x}\n")).collect();
    let tar = Archive::new()
        .file("large", &content)
        .file("small", "x")
        .finish();
    comes_back(&tar);
}

#[test]
fn a_layer_that_was_tampered_with_is_refused_by_name() {
    let scratch = Scratch::new();
    let tar = Archive::new().file("etc/file", "content").finish();
    let report = stored(&scratch, &tar, 0).unwrap();
    let layer = LayerDir::base(&report.diff_id);
    let file = scratch.store.layer_path(&layer).join("etc/file");
    let refused = |expected: &str| {
        let error = replayed(&scratch, &report.diff_id).unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains(report.diff_id.as_str()), "{error}");
    };
    std::fs::write(&file, "Content").unwrap();
    refused("was changed in the store");
    std::fs::write(&file, "longer content").unwrap();
    refused("/etc/file is no longer the file of 7 bytes");
    std::fs::remove_file(&file).unwrap();
    refused("read /etc/file");
    symlink(scratch.path.join("canary/file"), &file).unwrap();
    refused("read /etc/file");
    std::fs::remove_file(&file).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &file, FileType::Fifo, Mode::RUSR, 0).unwrap();
    refused("/etc/file is no longer the file");
    let split = scratch.path.join("data/layers").join(layer.as_str());
    std::fs::write(split.join(SPLIT), "rubbish").unwrap();
    refused("split.zst");
    std::fs::remove_file(split.join(SPLIT)).unwrap();
    refused("stored by an older bryo");
}

#[test]
fn damage_is_found_by_the_sum_that_was_noted_and_an_older_record_gets_one() {
    let scratch = Scratch::new();
    let tar = Archive::new().file("etc/file", "content").finish();
    let noted = stored(&scratch, &tar, 0).unwrap();
    assert!(noted.tar_crc.is_some());
    let (store, diff_id) = (&scratch.store, &noted.diff_id);
    let file = store.layer_path(&LayerDir::base(diff_id)).join("etc/file");
    let given = || {
        let mut bytes = Vec::new();
        let written = store.write_compared(diff_id, Compare::Sum, &mut bytes);
        written.map_err(|error| error.to_string())?;
        Ok::<_, String>(bytes == tar)
    };
    let found = |crc: u32| store.layer_report(diff_id).unwrap().tar_crc == Some(crc);
    assert_eq!(given(), Ok(true));
    let damage = || std::fs::write(&file, "Content").unwrap();
    let cure = || std::fs::write(&file, "content").unwrap();
    damage();
    assert!(given().unwrap_err().contains("has another sum now"));
    cure();
    let mut record = noted.clone();
    record.tar_size += 512;
    store.replace_report(&record).unwrap();
    assert!(given().unwrap_err().contains("has another sum now"));
    (record.tar_size, record.tar_crc) = (0, None);
    store.replace_report(&record).unwrap();
    damage();
    assert!(given().unwrap_err().contains("has digest"));
    assert_eq!(store.layer_report(diff_id).unwrap(), record);
    cure();
    assert_eq!(given(), Ok(true));
    assert!(found(noted.tar_crc.unwrap()));
    assert_eq!(store.layer_report(diff_id).unwrap(), noted);
}

#[test]
fn forms_of_a_layer_are_remembered_once_and_not_without_end() {
    let scratch = Scratch::new();
    let tar = Archive::new().file("a", "1").finish();
    let diff_id = stored(&scratch, &tar, 0).unwrap().diff_id;
    let blob = |number: u64| KnownBlob {
        digest: Digest::of(&number.to_le_bytes()),
        size: number,
        media_type: "application/vnd.oci.image.layer.v1.tar+zstd".to_owned(),
        as_made_here: false,
    };
    for number in [1, 1].into_iter().chain(2..=20) {
        scratch.store.remember_blob(&diff_id, blob(number)).unwrap();
    }
    let known = scratch.store.layer_report(&diff_id).unwrap().blobs;
    assert_eq!(
        (known.len(), &known[0], &known[15]),
        (16, &blob(5), &blob(20))
    );
    assert!(replayed(&scratch, &diff_id).unwrap() == tar);
}

/// One entry over few paths, so that entries meet.
fn entry() -> impl Strategy<Value = (u8, &'static str, &'static str, u32, usize)> {
    let path = prop::sample::select(vec![
        "a",
        "b",
        "a/b",
        "b/a",
        "l",
        "l/a",
        "a/b/c",
        "./a",
        "a/.wh.b",
        ".wh.c",
        "a/.wh..wh..opq",
        "d/e/f",
    ]);
    let kind = prop::sample::select(b"0000551126".to_vec());
    let target = prop::sample::select(vec!["a", "b", "a/b", "/b"]);
    let mode = prop::sample::select(vec![0o644u32, 0o755, 0o700, 0o4755, 0o600]);
    (kind, path, target, mode, 0usize..1100)
}

fn archive(entries: &[(u8, &str, &str, u32, usize)]) -> Vec<u8> {
    let mut archive = Archive::new();
    for (number, (kind, path, target, mode, size)) in entries.iter().enumerate() {
        let content = vec![number as u8; if *kind == b'0' { *size } else { 0 }];
        let link = if b"12".contains(kind) { target } else { "" };
        // A directory that its owner can't enter is nobody's but root's to work in.
        let mode = if *kind == b'5' { mode | 0o700 } else { *mode };
        archive = archive.raw(*kind, path, link, mode, &content);
    }
    archive.finish()
}

/// Everything that an unpacked layer is, the root's own attributes apart.
fn tree(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut waiting = vec![root.to_owned()];
    let mut inodes = HashMap::new();
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let shown = path.strip_prefix(root).unwrap().display().to_string();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let kind = meta.file_type();
            let what = if kind.is_symlink() {
                format!("-> {}", std::fs::read_link(&path).unwrap().display())
            } else if kind.is_file() {
                let content = std::fs::read(&path).unwrap();
                format!("file {}", Digest::of(&content))
            } else if kind.is_dir() {
                waiting.push(path.clone());
                let fd = fs::open_directory(&path).unwrap();
                let opaque = xattr::get(&fd, b"user.overlay.opaque").unwrap();
                format!("directory, opaque: {}", opaque.is_some())
            } else {
                format!("device or FIFO {} {}", kind.is_fifo(), meta.rdev())
            };
            // Made for something below them: their times are whenever that was.
            let mtime = if kind.is_dir() { 0 } else { meta.mtime() };
            let mtime = if kind.is_char_device() { 0 } else { mtime };
            lines.push((shown, meta.mode(), mtime, what, meta.ino()));
        }
    }
    lines.sort();
    let names = |(shown, mode, mtime, what, inode): (String, u32, i64, String, u64)| {
        let first = inodes.entry(inode).or_insert_with(|| shown.clone());
        format!("{shown} {mode:o} {mtime} {what} = {first}")
    };
    lines.into_iter().map(names).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Any archive that is accepted comes back.
    #[test]
    fn any_archive_comes_back(entries in prop::collection::vec(entry(), 0..14), writers in 0usize..2) {
        let tar = archive(&entries);
        let scratch = Scratch::new();
        if let Ok(report) = stored(&scratch, &tar, writers) {
            prop_assert!(replayed(&scratch, &report.diff_id).unwrap() == tar);
        }
    }

    /// The tar made from an upper directory applies to the same tree.
    #[test]
    fn a_packed_layer_unpacks_to_the_same_tree(entries in prop::collection::vec(entry(), 0..14)) {
        let scratch = Scratch::new();
        if let Ok((layer, _)) = scratch.unpack(&archive(&entries)) {
            let hidden = std::collections::HashSet::new();
            let mut packed = Vec::new();
            let tree_of = Tree::Layer { hidden: &hidden, marker_files: false, ids: Ids::Home };
            let mut packer = Packer::new(&mut packed, tree_of);
            let root = fs::open_directory(&layer.path()).unwrap();
            packer.add_directory(root, b"").unwrap();
            packer.finish().unwrap();
            let again = scratch.store.begin_layer().unwrap();
            let report = unpack(&packed[..], &again, &options()).unwrap();
            prop_assert_eq!(tree(&layer.path()), tree(&again.path()));
            scratch.store.commit_layer(again, &report).unwrap();
            prop_assert!(replayed(&scratch, &report.diff_id).unwrap() == packed);
        }
    }
}

/// A file of 1 MiB of which 50 parts are no holes, and one that is all hole.
fn sparse_files(directory: &Path) {
    use std::os::unix::fs::FileExt;
    std::fs::create_dir(directory).unwrap();
    let parts = std::fs::File::create(directory.join("parts")).unwrap();
    for number in 0..50u64 {
        let text = format!("part {number}").repeat(700);
        parts
            .write_all_at(text.as_bytes(), number * 32 * 1024)
            .unwrap();
    }
    parts.set_len(8 << 20).unwrap();
    let hole = std::fs::File::create(directory.join("hole")).unwrap();
    hole.set_len(1 << 30).unwrap();
    std::fs::write(directory.join("whole"), "no hole").unwrap();
}

#[test]
fn sparse_files_of_gnu_tar_come_back_and_stay_sparse() {
    let scratch = Scratch::new();
    let source = scratch.path.join("source");
    sparse_files(&source);
    for form in [
        &["--format=gnu"][..],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=1.0"],
    ] {
        let mut tar = std::process::Command::new("tar");
        tar.args(["--sparse", "-C"]).arg(&source).args(form);
        let Ok(made) = tar.args(["-cf", "-", "."]).output() else {
            return;
        };
        assert!(made.stdout.len() < 4 << 20, "{form:?}: it is sparse itself");
        for writers in [0, 2] {
            let scratch = Scratch::new();
            let report = stored(&scratch, &made.stdout, writers).unwrap();
            let base = LayerDir::base(&report.diff_id);
            let root = scratch.store.layer_path(&base);
            for name in ["parts", "hole", "whole"] {
                let meta = root.join(name).metadata().unwrap();
                assert_eq!(meta.len(), source.join(name).metadata().unwrap().len());
                assert!(meta.blocks() * 512 < 2 << 20, "{form:?}: {name} is sparse");
            }
            let content = |path: &Path| std::fs::read(path).unwrap();
            assert!(content(&root.join("parts")) == content(&source.join("parts")));
            assert_eq!(content(&root.join("whole")), b"no hole");
            let again = replayed(&scratch, &report.diff_id).unwrap();
            assert!(again == made.stdout, "{form:?}: another tar came back");
        }
    }
}

#[test]
fn sparse_files_that_say_two_things_are_refused() {
    let words = |words: &[(&str, &[u8])]| {
        let tar = Archive::new().pax(words).file("file", "1234").finish();
        let scratch = Scratch::new();
        stored(&scratch, &tar, 0).unwrap_err().to_string()
    };
    for (map, size) in [
        ("0,2,1,2", "9"),
        ("8,2,0,2", "20"),
        ("0,3", "9"),
        ("0,4,4", "9"),
        ("0,4", "3"),
        ("0,4,18446744073709551615,1", "9"),
    ] {
        let map = map.as_bytes();
        let size = size.as_bytes();
        let refused = words(&[("GNU.sparse.size", size), ("GNU.sparse.map", map)]);
        assert!(
            refused.contains("sparse") || refused.contains("invalid number"),
            "{refused}"
        );
    }
    let unknown = words(&[("GNU.sparse.major", b"2"), ("GNU.sparse.realsize", b"9")]);
    assert!(unknown.contains("sparse"), "{unknown}");
    let huge = words(&[
        ("GNU.sparse.size", b"4611686018427387903"),
        ("GNU.sparse.map", b"0,4"),
    ]);
    assert!(huge.contains("larger than"), "{huge}");
}
