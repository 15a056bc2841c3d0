//! Unpacking real and hostile archives.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use super::*;
use crate::image::{Digest, Store, TempLayer};
use crate::paths::Paths;
use crate::sys::{fs as sys_fs, xattr};

/// A store of its own, with a canary beside it that must never change.
pub(crate) struct Scratch {
    pub(crate) path: PathBuf,
    pub(crate) store: Store,
}

impl Scratch {
    pub(crate) fn new() -> Scratch {
        let path = std::env::temp_dir().join(format!("bryo-image-{}", sys_fs::random_name()));
        fs::create_dir(&path).unwrap();
        fs::create_dir(path.join("canary")).unwrap();
        fs::write(path.join("canary/file"), "untouched").unwrap();
        fs::set_permissions(path.join("canary/file"), fs::Permissions::from_mode(0o640)).unwrap();
        let paths = Paths {
            data: path.join("data"),
            cache: path.join("cache"),
            config: path.join("config"),
            runtime: path.join("run"),
            runtime_fallback: None,
        };
        let store = Store::open(&paths).unwrap();
        Scratch { path, store }
    }

    pub(crate) fn unpack(&self, tar: &[u8]) -> Result<(TempLayer, LayerReport), UnpackError> {
        self.unpack_with(tar, &options())
    }

    fn unpack_with(
        &self,
        tar: &[u8],
        options: &UnpackOptions,
    ) -> Result<(TempLayer, LayerReport), UnpackError> {
        let layer = self.store.begin_layer().unwrap();
        let report = unpack(tar, &layer, options)?;
        Ok((layer, report))
    }

    /// The error of a hostile archive, after which nothing may be left.
    fn refused(&self, tar: &[u8]) -> String {
        let Err(error) = self.unpack(tar) else {
            panic!("the archive was accepted");
        };
        error.to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let canary = self.path.join("canary/file");
            assert_eq!(fs::read(&canary).unwrap(), b"untouched");
            assert_eq!(fs::metadata(&canary).unwrap().mode() & 0o7777, 0o640);
            assert_eq!(fs::read_dir(self.path.join("canary")).unwrap().count(), 1);
            assert!(!self.store.has_rubbish());
        }
        sys_fs::remove_path(&self.path).unwrap();
    }
}

/// Whether owners can be kept here: as root, in a namespace that maps more than one id.
fn owns_ids() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    let lines = map.lines().filter(|line| !line.trim_end().ends_with(" 1"));
    rustix::process::geteuid().is_root() && lines.count() > 0
}

/// The warnings about the archive, without the one that a single id brings.
fn warnings(report: &LayerReport) -> Vec<&String> {
    let others = |warning: &&String| !warning.starts_with("owners");
    report.warnings.iter().filter(others).collect()
}

pub(crate) fn options() -> UnpackOptions {
    UnpackOptions {
        single_id: !owns_ids(),
        ..UnpackOptions::default()
    }
}

/// Writes archives, hostile ones too: names go into the header as they are.
pub(crate) struct Archive(Builder<Vec<u8>>);

impl Archive {
    pub(crate) fn new() -> Archive {
        Archive(Builder::new(Vec::new()))
    }

    pub(crate) fn raw(
        mut self,
        kind: u8,
        path: &str,
        link: &str,
        mode: u32,
        content: &[u8],
    ) -> Archive {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(EntryType::new(kind));
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        header.set_device_major(0).unwrap();
        header.set_device_minor(0).unwrap();
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    pub(crate) fn file(self, path: &str, content: &str) -> Archive {
        self.raw(b'0', path, "", 0o644, content.as_bytes())
    }

    pub(crate) fn directory(self, path: &str, mode: u32) -> Archive {
        self.raw(b'5', path, "", mode, b"")
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Archive {
        self.raw(b'2', path, target, 0o777, b"")
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Archive {
        self.raw(b'1', path, target, 0o644, b"")
    }

    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Archive {
        let mut content = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + rest.to_string().len();
            if length.to_string().len() != rest.to_string().len() {
                length += 1;
            }
            content.extend_from_slice(format!("{length} {key}=").as_bytes());
            content.extend_from_slice(value);
            content.push(b'\n');
        }
        self.raw(b'x', "PaxHeaders/x", "", 0o644, &content)
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn implicit(report: &LayerReport) -> Vec<String> {
    report
        .implicit_dirs
        .iter()
        .map(LayerPath::to_string)
        .collect()
}

#[test]
fn an_ordinary_layer_is_unpacked_with_modes_times_and_links() {
    let scratch = Scratch::new();
    let tar = Archive::new()
        .directory("./", 0o755)
        .directory("usr/", 0o755)
        .directory("usr/lib", 0o555)
        .file("usr/lib/a", "content")
        .raw(b'0', "usr/suid", "", 0o4755, b"#!")
        .hard_link("usr/b", "usr/lib/a")
        .symlink("lib", "usr/lib")
        .file("lib/through", "link")
        .raw(b'6', "fifo", "", 0o600, b"")
        .finish();
    let (layer, report) = scratch.unpack(&tar).unwrap();
    let root = layer.path();
    assert_eq!(text(&root.join("usr/lib/through")), "link");
    let (a, b) = (root.join("usr/lib/a"), root.join("usr/b"));
    assert_eq!(
        fs::metadata(&a).unwrap().ino(),
        fs::metadata(&b).unwrap().ino()
    );
    assert_eq!(fs::metadata(&a).unwrap().mtime(), 1_000_000_000);
    assert_eq!(
        fs::metadata(root.join("usr/lib")).unwrap().mode() & 0o7777,
        0o555
    );
    assert_eq!(
        fs::metadata(root.join("usr/lib")).unwrap().mtime(),
        1_000_000_000
    );
    assert_eq!(
        fs::metadata(root.join("usr/suid")).unwrap().mode() & 0o7777,
        0o4755
    );
    assert!(
        fs::symlink_metadata(root.join("fifo"))
            .unwrap()
            .file_type()
            .is_fifo()
    );
    assert_eq!(
        fs::symlink_metadata(root.join("lib")).unwrap().mtime(),
        1_000_000_000
    );
    assert_eq!(report.diff_id, Digest::of(&tar));
    assert_eq!(
        (report.entries, report.size, report.tar_size),
        (9, 13, tar.len() as u64)
    );
    assert_eq!(implicit(&report), Vec::<String>::new());
}

#[test]
fn writer_threads_give_the_same_tree() {
    let scratch = Scratch::new();
    let mut archive = Archive::new();
    for n in 0..1000 {
        archive = archive.file(&format!("d{}/f{n}", n % 7), &format!("content {n}"));
        if n % 10 == 0 {
            archive = archive.hard_link(&format!("d0/l{n}"), &format!("d{}/f{n}", n % 7));
        }
        if n % 50 == 0 {
            // Replaced while its first content may still be under way.
            archive = archive.file(&format!("d{}/f{n}", n % 7), &format!("second {n}"));
        }
    }
    let tar = archive.finish();
    let threads = UnpackOptions {
        writers: 2,
        ..options()
    };
    let (layer, report) = scratch.unpack_with(&tar, &threads).unwrap();
    for n in 0..1000 {
        let path = layer.path().join(format!("d{}/f{n}", n % 7));
        let word = if n % 50 == 0 { "second" } else { "content" };
        assert_eq!(text(&path), format!("{word} {n}"));
        assert_eq!(fs::metadata(&path).unwrap().mtime(), 1_000_000_000);
    }
    assert_eq!(text(&layer.path().join("d0/l50")), "content 50");
    assert_eq!(report.implicit_dirs.len(), 8);
}

#[test]
fn directories_nobody_lists_are_remembered_by_their_real_paths() {
    let scratch = Scratch::new();
    let tar = Archive::new()
        .directory("usr/lib", 0o755)
        .symlink("lib", "/usr/lib")
        .file("lib/x/y/z", "1")
        .file("opt/a/b", "2")
        .directory("opt/a", 0o700)
        .finish();
    let (_layer, report) = scratch.unpack(&tar).unwrap();
    assert_eq!(
        implicit(&report),
        ["/", "/opt", "/usr", "/usr/lib/x", "/usr/lib/x/y"]
    );
}

#[test]
fn later_entries_replace_earlier_ones() {
    let scratch = Scratch::new();
    let tar = Archive::new()
        .directory("a", 0o755)
        .file("a/old", "1")
        .file("a", "now a file")
        .file("b", "1")
        .directory("b", 0o711)
        .file("b/c", "2")
        .directory("b", 0o700)
        .symlink("s", "b")
        .file("s", "no longer a link")
        .finish();
    let (layer, report) = scratch.unpack(&tar).unwrap();
    assert_eq!(text(&layer.path().join("a")), "now a file");
    assert_eq!(text(&layer.path().join("b/c")), "2");
    assert_eq!(text(&layer.path().join("s")), "no longer a link");
    assert_eq!(
        fs::metadata(layer.path().join("b")).unwrap().mode() & 0o777,
        0o700
    );
    assert_eq!(implicit(&report), ["/"]);
}

#[test]
fn paths_and_links_out_of_the_root_are_refused_by_name() {
    let scratch = Scratch::new();
    let canary = scratch.path.join("canary");
    let canary = canary.to_str().unwrap();
    let up = "../../../../canary";
    for (tar, expected) in [
        (Archive::new().file("../../../canary/x", ""), "leads out"),
        (Archive::new().file("a/../../x", ""), "leads out"),
        (Archive::new().file("..", ""), "leads out"),
        (
            Archive::new().symlink(".", up),
            "root directory is replaced",
        ),
        (
            Archive::new().symlink("/", up),
            "root directory is replaced",
        ),
        (Archive::new().file(".", ""), "root directory is replaced"),
        (
            Archive::new().symlink("l", up).file("l/x", ""),
            "lies below",
        ),
        (
            Archive::new().symlink("l", canary).file("l/x", ""),
            "lies below",
        ),
        (
            Archive::new().symlink("l", "l").file("l/x", ""),
            "lies below",
        ),
        (Archive::new().file("f", "").file("f/x", ""), "lies below"),
        (
            Archive::new().hard_link("h", &format!("{up}/file")),
            "leads out",
        ),
        (
            Archive::new().hard_link("h", &format!("{canary}/file")),
            "not in the same layer",
        ),
        (
            Archive::new().symlink("l", canary).hard_link("h", "l/file"),
            "not in the same layer",
        ),
        (
            Archive::new().directory("d", 0o755).hard_link("h", "d"),
            "is a directory",
        ),
        (
            Archive::new().hard_link("h", "lower/only"),
            "not in the same layer",
        ),
        (Archive::new().hard_link("h", "."), "not in the same layer"),
        (
            Archive::new().raw(b'0', "x/.wh..", "", 0, b""),
            "not a valid whiteout",
        ),
    ] {
        let error = scratch.refused(&tar.finish());
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_link_is_never_followed_to_change_its_target() {
    let scratch = Scratch::new();
    let file = scratch.path.join("canary/file");
    let file = file.to_str().unwrap();
    let directory = scratch.path.join("canary");
    let directory = directory.to_str().unwrap();
    let tar = Archive::new()
        .symlink("f", file)
        .raw(b'0', "f", "", 0o4777, b"mine")
        .symlink("d", directory)
        .directory("d", 0o777)
        .file("d/inside", "x")
        .symlink("s", file)
        .hard_link("h", "s")
        .finish();
    let (layer, _) = scratch.unpack(&tar).unwrap();
    assert_eq!(text(&layer.path().join("f")), "mine");
    assert_eq!(text(&layer.path().join("d/inside")), "x");
    assert!(
        fs::symlink_metadata(layer.path().join("h"))
            .unwrap()
            .is_symlink()
    );
}

#[test]
fn absolute_paths_and_links_mean_the_root() {
    let scratch = Scratch::new();
    let tar = Archive::new()
        .directory("/data", 0o755)
        .symlink("/link", "/data")
        .file("/link/file", "in")
        .hard_link("/hard", "/link/file")
        .finish();
    let (layer, _) = scratch.unpack(&tar).unwrap();
    assert_eq!(text(&layer.path().join("data/file")), "in");
    assert_eq!(text(&layer.path().join("hard")), "in");
}

#[test]
fn devices_are_left_out_with_one_warning() {
    let scratch = Scratch::new();
    let tar = Archive::new()
        .directory("dev", 0o755)
        .raw(b'3', "dev/null", "", 0o666, b"")
        .raw(b'3', "deleted", "", 0, b"")
        .raw(b'4', "dev/sda", "", 0o600, b"")
        .finish();
    let (layer, report) = scratch.unpack(&tar).unwrap();
    assert_eq!(fs::read_dir(layer.path()).unwrap().count(), 1);
    assert_eq!(warnings(&report).len(), 1);
    assert!(
        warnings(&report)[0].contains("/dev/null"),
        "{:?}",
        report.warnings
    );
}

#[test]
fn overlay_attributes_are_escaped_and_others_kept() {
    let scratch = Scratch::new();
    let tar = Archive::new()
        .pax(&[
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.note", b"a\0b=c\n"),
        ])
        .directory("d", 0o755)
        .finish();
    let (layer, report) = scratch.unpack(&tar).unwrap();
    let fd = sys_fs::open_directory(&layer.path().join("d")).unwrap();
    assert_eq!(xattr::get(&fd, b"user.overlay.opaque").unwrap(), None);
    assert_eq!(xattr::get(&fd, b"trusted.overlay.opaque").unwrap(), None);
    assert_eq!(
        xattr::get(&fd, b"user.overlay.overlay.opaque")
            .unwrap()
            .unwrap(),
        b"y"
    );
    assert_eq!(xattr::get(&fd, b"user.note").unwrap().unwrap(), b"a\0b=c\n");
    assert_eq!(warnings(&report).len(), 1);
}

#[test]
fn whiteouts_become_devices_and_opaque_marks() {
    let scratch = Scratch::new();
    let tar = Archive::new()
        .file("etc/.wh.gone", "")
        .directory("etc", 0o755)
        .directory("opaque", 0o755)
        .file("opaque/.wh.inside", "")
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/sub/.wh.deeper", "")
        .file(".wh.again", "")
        .directory("again", 0o755)
        .file("replaced", "new")
        .file(".wh.replaced", "")
        .file("only/below/.wh.x", "")
        .file(".wh..wh.aufs", "")
        .finish();
    let (layer, report) = scratch.unpack(&tar).unwrap();
    let root = layer.path();
    for gone in ["etc/gone", "only/below/x"] {
        let meta = fs::symlink_metadata(root.join(gone)).unwrap();
        assert!(meta.file_type().is_char_device() && meta.rdev() == 0);
    }
    for marked in ["opaque", "again"] {
        let fd = sys_fs::open_directory(&root.join(marked)).unwrap();
        assert_eq!(
            xattr::get(&fd, b"user.overlay.opaque").unwrap().unwrap(),
            b"y"
        );
    }
    assert_eq!(fs::read_dir(root.join("opaque")).unwrap().count(), 0);
    assert_eq!(text(&root.join("replaced")), "new");
    assert!(!root.join(".wh..wh.aufs").exists());
    let whiteouts: Vec<String> = report.whiteouts.iter().map(LayerPath::to_string).collect();
    assert_eq!(whiteouts, ["/etc/gone", "/only/below/x"]);
    assert_eq!(implicit(&report), ["/", "/only", "/only/below"]);
    assert!(!report.opaque_root);
}

#[test]
fn bombs_end_early() {
    let scratch = Scratch::new();
    let limited = |limits: Limits, tar: &[u8]| {
        let options = UnpackOptions {
            limits,
            ..options()
        };
        scratch
            .unpack_with(tar, &options)
            .err()
            .unwrap()
            .to_string()
    };
    let files = (0..50).fold(Archive::new(), |tar, n| tar.file(&format!("f{n}"), "x"));
    let entries = Limits {
        entries: 40,
        ..Limits::default()
    };
    assert!(limited(entries, &files.finish()).contains("more than 40 entries"));
    let bytes = Limits {
        bytes: 4096,
        ..Limits::default()
    };
    let big = Archive::new().file("big", &"x".repeat(8192)).finish();
    assert!(limited(bytes, &big).contains("larger than the 4096 bytes"));
    let deep = Archive::new()
        .pax(&[("path", "d/".repeat(600).as_bytes())])
        .directory("d", 0o755);
    assert!(scratch.refused(&deep.finish()).contains("deeper than 512"));
    let long = Archive::new().pax(&[("path", &[b'a'; 5000])]).file("a", "");
    assert!(
        scratch
            .refused(&long.finish())
            .contains("path of 5000 bytes")
    );
    let remembered = Limits {
        remembered: 1000,
        ..Limits::default()
    };
    let many = (0..50).fold(Archive::new(), |tar, n| {
        tar.directory(&format!("d{n}"), 0o755)
    });
    assert!(limited(remembered, &many.finish()).contains("too many names to be remembered"));
    let component = Archive::new().pax(&[("path", &[b'a'; 300])]).file("a", "");
    assert!(scratch.refused(&component.finish()).contains("make /aaa"));
}

#[test]
fn a_stream_that_fails_or_is_cut_is_an_error() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the line went dead"))
        }
    }
    let scratch = Scratch::new();
    let tar = Archive::new().file("a", &"x".repeat(2000)).finish();
    for length in [1, 511, 512, 1000, 2048, 2500] {
        assert!(
            scratch
                .refused(&tar[..length])
                .contains("ends in the middle"),
            "{length}"
        );
    }
    let layer = scratch.store.begin_layer().unwrap();
    let reader = (&tar[..1000]).chain(Failing);
    let error = unpack(reader, &layer, &options()).unwrap_err();
    assert!(error.to_string().contains("the line went dead"));
}

#[test]
fn owners_are_kept_where_ids_allow_it() {
    let scratch = Scratch::new();
    let tar = Archive::new()
        .pax(&[("uid", b"12"), ("gid", b"34")])
        .file("f", "x")
        .pax(&[("uid", b"5000000000")])
        .file("g", "x")
        .finish();
    assert!(
        scratch
            .refused(&tar)
            .contains("owner 5000000000:0 is outside")
    );
    let one = Archive::new()
        .pax(&[("uid", b"12"), ("gid", b"34")])
        .file("f", "x");
    let (layer, report) = scratch.unpack(&one.finish()).unwrap();
    let meta = fs::metadata(layer.path().join("f")).unwrap();
    if owns_ids() {
        assert_eq!((meta.uid(), meta.gid()), (12, 34));
    } else {
        assert!(report.warnings[0].contains("owners"));
    }
}

#[test]
fn an_abandoned_layer_is_swept_and_a_live_one_is_not() {
    let scratch = Scratch::new();
    let live = scratch.store.begin_layer().unwrap();
    let dead = scratch.path.join("data/layers/.tmp-dead");
    fs::create_dir_all(dead.join("fs/a")).unwrap();
    symlink(scratch.path.join("canary"), dead.join("fs/link")).unwrap();
    assert!(scratch.store.has_rubbish());
    scratch.store.sweep().unwrap();
    assert!(!dead.exists() && live.path().exists());
}

/// Paths of as many parts as they may have, none of whose directories is listed.
#[test]
fn deep_paths_are_made_and_remembered() {
    let scratch = Scratch::new();
    let mut archive = Archive::new();
    let deep = "d/".repeat(500);
    for number in 0..4 {
        let path = format!("{number}/{deep}file");
        archive = archive.pax(&[("path", path.as_bytes())]).file("short", "x");
    }
    let (layer, report) = scratch.unpack(&archive.finish()).unwrap();
    assert_eq!(report.entries, 4);
    assert_eq!(text(&layer.path().join(format!("3/{deep}file"))), "x");
    assert_eq!(report.implicit_dirs.len(), 4 * 501 + 1);
}

#[test]
fn names_may_be_replaced_often() {
    let scratch = Scratch::new();
    let mut archive = Archive::new();
    for number in 0..200 {
        archive = archive.file(&format!("{number}/file"), "");
        archive = archive.symlink("again", "somewhere");
    }
    let (layer, report) = scratch.unpack(&archive.finish()).unwrap();
    assert_eq!(report.implicit_dirs.len(), 201);
    assert!(layer.path().join("again").is_symlink());
}
