//! `completions/` and `man/` are what the definition of the commands gives now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli_program::bryo;
use crate::need::{Need, need};

fn files(folder: &Path) -> BTreeMap<String, String> {
    let listed = std::fs::read_dir(folder).expect("the folder is there");
    listed
        .map(|file| {
            let path = file.expect("it can be listed").path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            (name, std::fs::read_to_string(path).expect("it is text"))
        })
        .collect()
}

/// What the definition gives now, in a directory of the test's.
fn generated(kind: &str, of: &str) -> PathBuf {
    let name = format!("bryo-{kind}-{of}-{}", std::process::id());
    let fresh = std::env::temp_dir().join(name);
    let ended = bryo(&["generate", kind, &fresh.to_string_lossy()]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    fresh
}

fn is_fresh(kind: &str) {
    let fresh = generated(kind, "fresh");
    let made = files(&fresh);
    std::fs::remove_dir_all(&fresh).expect("it is ours");
    let kept = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(kind));
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    let cure = format!("cargo run -- generate {kind} {kind}");
    assert_eq!(names(&made), names(&kept), "run: {cure}");
    for (name, text) in made {
        assert!(kept[&name] == text, "{kind}/{name} is stale; run: {cure}");
    }
}

#[test]
fn completions_are_fresh() {
    is_fresh("completions");
}

#[test]
fn man_pages_are_fresh() {
    is_fresh("man");
}

#[test]
fn man_pages_render_without_warnings() {
    need!(Need::Program("man"));
    let fresh = generated("man", "shown");
    let mut faults = String::new();
    for name in files(&fresh).into_keys() {
        let shown = Command::new("man")
            .args(["--warnings", "-l"])
            .arg(fresh.join(&name))
            .envs([("LC_ALL", "C.UTF-8"), ("MANWIDTH", "80"), ("PAGER", "cat")])
            .output()
            .expect("man is installed");
        faults += &String::from_utf8_lossy(&shown.stderr);
        assert!(shown.stdout.len() > 300 && shown.status.success(), "{name}");
    }
    std::fs::remove_dir_all(&fresh).expect("it is ours");
    assert_eq!(faults, "");
}
