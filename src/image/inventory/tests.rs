//! What is found in a tree, and what is not.

use std::fs;

use super::{Inventory, Merged, Package};

/// A directory of files, gone with its test.
fn inventory(files: &[(&str, &str)]) -> Inventory {
    let name = format!("bryo-inventory-{}", crate::sys::fs::random_name());
    let top = std::env::temp_dir().join(name);
    for (path, content) in files {
        let path = top.join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        fs::write(path, content).expect("it can be written");
    }
    let found = Inventory::of(Merged::plain(&top).expect("it is a directory"));
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
