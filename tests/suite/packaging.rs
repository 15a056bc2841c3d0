//! The Debian package: what it holds, and that what it holds runs.

use std::os::unix::fs::PermissionsExt;

use crate::env::test_env;
use crate::need::{Need, need};

#[test]
fn the_package_unpacks_to_a_program_that_runs() {
    let env = test_env!();
    need!(Need::Program("dpkg-deb"));
    let (bryo, out, root) = (
        crate::env::bryo(),
        env.path("home/out"),
        env.path("home/root"),
    );
    let script = std::fs::canonicalize("packaging/deb/build")
        .expect("the checkout is the working directory");
    let text = |path: &std::path::Path| path.to_str().expect("test paths are UTF-8").to_owned();
    let built = env
        .other(&text(&script), &["--binary", &text(&bryo), &text(&out)])
        .run()
        .ok();
    let package = built.out();
    env.other("dpkg-deb", &["-x", &package, &text(&root)])
        .run()
        .ok();
    let program = root.join("usr/bin/bryo");
    let mode = std::fs::metadata(&program)
        .expect("the package holds the program")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o755, "the program is not setuid");
    env.other(&text(&program), &["--version"])
        .run()
        .ok()
        .prints("bryo");
    let control = env.other("dpkg-deb", &["-f", &package]).run().ok();
    for field in [
        "Package: bryo",
        "Recommends: uidmap, passt, fuse-overlayfs",
        "Maintainer: The bryo contributors",
    ] {
        assert!(
            control.stdout.contains(field),
            "no {field:?} in {}",
            control.stdout
        );
    }
    let content = env.other("dpkg-deb", &["-c", &package]).run().ok();
    for file in [
        "./usr/share/doc/bryo/copyright",
        "./usr/share/doc/bryo/changelog.gz",
        "./usr/share/doc/bryo/README.md",
    ] {
        assert!(
            content.stdout.contains(file),
            "no {file} in {}",
            content.stdout
        );
    }
    let scripts = env.other("dpkg-deb", &["-I", &package]).run().ok();
    assert!(!scripts.stdout.contains("postinst"), "{}", scripts.stdout);
}
