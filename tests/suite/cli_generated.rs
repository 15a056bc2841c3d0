//! `completions/` and `man/` are what the definition of the commands gives now.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cli_program::bryo;

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

fn is_fresh(kind: &str) {
    let fresh = std::env::temp_dir().join(format!("bryo-{kind}-{}", std::process::id()));
    let ended = bryo(&["generate", kind, &fresh.to_string_lossy()]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
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
