//! Every script is bash, stops at its first error and can be executed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::source::files;
use crate::{Complaints, assert_caught, assert_none};

const SHEBANG: &str = "#!/usr/bin/env bash";
const STRICT: &str = "set -euo pipefail";

#[test]
fn every_script_is_strict_bash() {
    let mut scripts = 0;
    let mut complaints = Vec::new();
    for path in files(Path::new(".")) {
        // What is fuzzed with may look like anything.
        if path.starts_with("fuzz/corpus") {
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        if !text.starts_with("#!") || text.starts_with("#![") {
            continue;
        }
        scripts += 1;
        let mode = fs::metadata(&path)
            .expect("it was just read")
            .permissions()
            .mode();
        complaints.extend(careless(&path.display().to_string(), &text, mode));
    }
    assert!(scripts > 3, "the scripts were not found");
    assert_none(complaints);
}

#[test]
fn a_careless_script_is_caught() {
    assert_caught(
        careless("a", "#!/bin/sh\nset -euo pipefail\n", 0o755),
        SHEBANG,
    );
    assert_caught(careless("a", "#!/usr/bin/env bash\necho\n", 0o755), STRICT);
    assert_caught(
        careless("a", "#!/usr/bin/env bash\nset -euo pipefail\n", 0o644),
        "executable",
    );
    assert_none(careless(
        "a",
        "#!/usr/bin/env bash\nset -euo pipefail\n",
        0o755,
    ));
}

fn careless(path: &str, text: &str, mode: u32) -> Complaints {
    let mut complaints = Vec::new();
    if text.lines().next() != Some(SHEBANG) {
        complaints.push(format!("{path}:1: not {SHEBANG}"));
    }
    if !text.lines().any(|line| line == STRICT) {
        complaints.push(format!("{path}: without {STRICT}"));
    }
    if mode & 0o111 == 0 {
        complaints.push(format!("{path}: not executable"));
    }
    complaints
}
