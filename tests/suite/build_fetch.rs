//! What a build takes from elsewhere: URLs and git repositories.

use std::os::unix::fs::PermissionsExt;

use crate::dockerfile::{build, build_text, cached, context, shell};
use crate::env::{TestEnv, test_env};
use crate::image::{Compression, Layer};
use crate::misbehaving::{Fault, Registry, TestImage, TestLayer, image};

#[test]
fn add_downloads_what_a_url_names() {
    let env = test_env!();
    env.busybox();
    let archive = Layer::new().file("inside", 0o644, "unpacked");
    let archive = Compression::Gzip.apply(&archive.tar());
    let server = Registry::start();
    server.put("/dir/file.txt", b"downloaded".to_vec(), "text/plain");
    server.put("/a.tar.gz", archive, "application/gzip");
    let url = |path: &str| format!("http://{}{path}", server.host());
    let digest = crate::image::digest(b"downloaded");
    let text = format!(
        "FROM busybox\nADD {0} /to/\nADD --checksum={digest} {0} /name\nADD {1} /raw/\nADD --unpack=true {1} /un/\n\
         ADD --chmod=644 --chown=5:6 {0} local /both/\n",
        url("/dir/file.txt"),
        url("/a.tar.gz")
    );
    let directory = context(&env, "app", &[("Dockerfile", &text), ("local", "local")]);
    build(&env, &directory, &["-t", "made"]).ok();
    let seen = shell(
        &env,
        "made",
        "cat /to/file.txt /name /un/inside /both/file.txt /both/local; ls /raw; stat -c '%a %u %g %Y' /to/file.txt /both/file.txt",
    );
    let expected = "downloadeddownloadedunpackeddownloadedlocala.tar.gz\n600 0 0 0\n644 5 6 0";
    assert_eq!(seen, expected);
    assert_eq!(cached(&build(&env, &directory, &[]).ok()), 5);
    let wrong = crate::image::digest(b"else");
    for (flag, source, message) in [
        (
            format!("--checksum={wrong}"),
            url("/dir/file.txt"),
            "digest mismatch",
        ),
        (
            "--checksum=md5:1".to_owned(),
            url("/dir/file.txt"),
            "--checksum",
        ),
        (
            format!("--checksum={digest}"),
            "local".to_owned(),
            "exactly one source",
        ),
        (String::new(), url("/nothing"), "404"),
    ] {
        let text = format!("FROM scratch\nADD {flag} {source} /x\n");
        let directory = context(&env, "app", &[("Dockerfile", &text)]);
        let failed = build(&env, &directory, &[]);
        assert_eq!(failed.code, 1);
        assert!(
            failed.stderr.contains(message),
            "{message}: {}",
            failed.stderr
        );
    }
}

/// A repository of two commits, the first tagged, and an ssh that reaches it without a network.
fn repository(env: &mut TestEnv) {
    let script = "set -e; mkdir repo; cd repo; git init -q -b main; git config user.email a@b; git config user.name a\n\
        mkdir -p sub/deep; echo first > file; echo deep > sub/deep/f; ln -s /etc sub/out; ln -s ../../../../../../etc up\n\
        printf '#!/bin/sh\\ntouch /tmp/bryo-hook-ran\\n' > hook; chmod +x hook; printf '* filter=evil\\n' > .gitattributes\n\
        printf 'FROM busybox\\nCOPY . /all/\\n' > Dockerfile; git add -A; GIT_COMMITTER_DATE='2020-01-01T00:00:00Z' git commit -q -m one; git tag v1\n\
        echo second > file; git commit -q -am two\n";
    env.other("sh", &["-c", script]).run().ok();
    let ssh = env.file("ssh", "#!/bin/sh\nshift $(($# - 1))\nexec sh -c \"$1\"\n");
    std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755))
        .expect("home is writable");
    env.set("GIT_SSH_COMMAND", &ssh);
}

#[test]
fn add_clones_repositories_and_runs_nothing_of_theirs() {
    let mut env = test_env!();
    env.busybox();
    repository(&mut env);
    let remote = format!("ssh://git@host{}", env.path("home/repo").display());
    let text = format!(
        "FROM busybox\nADD {remote}#v1 /one/\nADD --keep-git-dir=true {remote} /two/\nADD {remote}#main:sub/deep /sub/\n"
    );
    build_text(&env, &text, &[]).ok();
    let seen = shell(
        &env,
        "made",
        "cat /one/file /two/file /sub/f; ls -d /one/.git /two/.git; stat -c %Y /one/file; readlink /one/sub/out",
    );
    assert_eq!(seen, "first\nsecond\ndeep\n/two/.git\n1577836800\n/etc");
    for (source, message) in [
        (format!("{remote}#main:sub/out"), "is no directory"),
        (format!("{remote}#main:up"), "is no directory"),
        (format!("{remote}#nothing"), "clone ssh://"),
        ("git://host/a".to_owned(), "by https and ssh only"),
        (format!("{remote}#--upload-pack=x"), "no reference"),
    ] {
        let failed = build_text(&env, &format!("FROM scratch\nADD {source} /x\n"), &[]);
        assert!(
            failed.stderr.contains(message),
            "{source}: {}",
            failed.stderr
        );
    }
}

#[test]
fn add_takes_the_commit_that_was_meant() {
    let mut env = test_env!();
    env.busybox();
    repository(&mut env);
    let repo = env.path("home/repo");
    let remote = format!("ssh://git@host{}", repo.display());
    let name = |reference: &str| {
        let directory = repo.to_str().expect("test paths are UTF-8");
        let words = ["-C", directory, "rev-parse", reference];
        env.other("git", &words).run().ok().out()
    };
    let (first, second) = (name("v1"), name("main"));
    let text = format!(
        "FROM busybox\nADD --checksum={first} {remote}#v1 /one/\nADD --checksum={} {remote} /two/\n\
         ADD {remote}?tag=v1&subdir=sub/deep /three/\nADD {remote}?branch=main&commit={second}&keep-git-dir /four/\n\
         ADD {remote}#{} /five/\nADD {remote}?checksum={first} /six/\n",
        &second[..7],
        &first[..7]
    );
    build_text(&env, &text, &[]).ok();
    let seen = shell(
        &env,
        "made",
        "cat /one/file /two/file /three/f /four/file /five/file /six/file; ls -d /three/* /?/.git /four/.git 2>/dev/null; true",
    );
    let expected = "first\nsecond\ndeep\nsecond\nfirst\nfirst\n/four/.git\n/three/f";
    assert_eq!(seen, expected);
    for (add, message) in [
        (
            format!("--checksum={second} {remote}#v1"),
            "checksum mismatch",
        ),
        (
            format!("{remote}?tag=v1&checksum={second}"),
            "checksum mismatch",
        ),
        (
            format!("--checksum={first} {remote}?checksum={second}"),
            "checksum conflicts",
        ),
        (
            format!("--checksum=sha256:{first} {remote}"),
            "beginning of a commit's name",
        ),
        (
            format!("--keep-git-dir=false {remote}?keep-git-dir=1"),
            "keep-git-dir conflicts",
        ),
        (format!("{remote}?tag=v1&branch=main"), "ref conflicts"),
        (format!("{remote}?depth=1"), "unexpected query \"depth\""),
        (format!("{remote}#0123456"), "0123456"),
    ] {
        let failed = build_text(&env, &format!("FROM scratch\nADD {add} /x\n"), &[]);
        assert_eq!(failed.code, 1, "{add}");
        let said = &failed.stderr;
        assert!(said.contains(message), "{add}: {said}");
    }
}

#[test]
fn a_repository_or_an_archive_is_a_context() {
    let mut env = test_env!();
    env.busybox();
    repository(&mut env);
    let remote = format!("ssh://git@host{}", env.path("home/repo").display());
    build(&env, &format!("{remote}#v1"), &["-t", "made"]).ok();
    assert_eq!(
        shell(
            &env,
            "made",
            "cat /all/file; ls -d /all/.git 2>/dev/null; true"
        ),
        "first"
    );
    let kept = [
        "-t",
        "made",
        "--build-arg",
        "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1",
    ];
    build(&env, &format!("{remote}?branch=main"), &kept).ok();
    assert_eq!(
        shell(&env, "made", "cat /all/file; ls -d /all/.git"),
        "second\n/all/.git"
    );
    let tar = Layer::new()
        .file("Dockerfile", 0o644, "FROM busybox\nCOPY f /f\n")
        .file("f", 0o644, "of the archive")
        .symlink("out", "/etc/hostname");
    let tar = Compression::Gzip.apply(&tar.tar());
    for command in ["build", "image build"] {
        let words = crate::spellings::words(command, &["--network", "none", "-t", "made", "-"]);
        env.command(&words).input(tar.clone()).run().ok();
        assert_eq!(shell(&env, "made", "cat /f"), "of the archive");
    }
    let server = Registry::start();
    server.put("/c.tar.gz", tar, "application/gzip");
    let alone = b"FROM busybox\nRUN echo alone > /f\n".to_vec();
    server.put("/Dockerfile", alone, "text/plain");
    let url = format!("http://{}", server.host());
    build(&env, &format!("{url}/c.tar.gz"), &["-t", "made"]).ok();
    assert_eq!(shell(&env, "made", "cat /f"), "of the archive");
    build(&env, &format!("{url}/Dockerfile"), &["-t", "made"]).ok();
    assert_eq!(shell(&env, "made", "cat /f"), "alone");
    let evil = Layer::new()
        .file("Dockerfile", 0o644, "FROM scratch\nCOPY out /\n")
        .symlink("out", "/etc/hostname");
    let words = ["build", "-"];
    let failed = env.command(&words).input(evil.tar()).run();
    assert!(failed.stderr.contains("not found"), "{}", failed.stderr);
    assert!(env.half_made().is_empty(), "{:?}", env.half_made());
}

/// `name:1`, an image of one file.
fn add_image(registry: &Registry, name: &str) -> TestLayer {
    let layer = TestLayer::gzip(&image::tar(&[(name, name.as_bytes())]));
    registry.add(name, "1", &TestImage::new(vec![layer.clone()]));
    layer
}

#[test]
fn images_come_at_the_same_time_and_beside_other_steps() {
    let env = test_env!();
    let registry = Registry::start();
    let layers = ["one", "two", "three"].map(|name| add_image(&registry, name));
    registry.put("/file", b"downloaded".to_vec(), "text/plain");
    // Each waits for the next one to be asked for, and the last for a step of a stage that needs none of them.
    registry.misbehave("/v2/one/manifests", 1, Fault::After("/v2/two/".to_owned()));
    registry.misbehave(
        "/v2/two/manifests",
        1,
        Fault::After("/v2/three/".to_owned()),
    );
    registry.misbehave(&layers[2].digest(), 1, Fault::After("/file".to_owned()));
    let host = registry.host();
    let text = format!(
        "FROM {host}/one:1 AS a\nFROM {host}/two:1 AS b\nFROM scratch AS c\nADD http://{host}/file /file\n\
         FROM a\nCOPY --from=b /two /\nCOPY --from={host}/three:1 /three /\nCOPY --from=c /file /\n"
    );
    let built = build_text(&env, &text, &["-o", "out"]).ok();
    let mut names = crate::env::names(&env.path("home/out"));
    names.sort();
    assert_eq!(names, ["file", "one", "three", "two"]);
    for layer in &layers {
        let end = format!("extracting {} done", layer.digest());
        assert!(built.stderr.contains(&end), "{}", built.stderr);
    }
    assert_eq!(cached(&build_text(&env, &text, &["-t", "made"]).ok()), 4);
}

#[test]
fn downloads_come_at_the_same_time_and_beside_other_stages() {
    let env = test_env!();
    env.busybox();
    let registry = Registry::start();
    for name in ["/one", "/two", "/three"] {
        registry.put(name, name.as_bytes().to_vec(), "text/plain");
    }
    // The first waits for one that a stage asks for after a command of its own.
    registry.misbehave("/one", 1, Fault::After("/three".to_owned()));
    let host = registry.host();
    let text = format!(
        "FROM scratch AS a\nADD http://{host}/one http://{host}/two /\n\
         FROM busybox AS b\nRUN --network=none echo done > /ran\nADD http://{host}/three /\n\
         FROM scratch\nCOPY --from=a /one /two /\nCOPY --from=b /three /ran /\n"
    );
    let built = build_text(&env, &text, &["-o", "out"]).ok();
    let mut names = crate::env::names(&env.path("home/out"));
    names.sort();
    assert_eq!(names, ["one", "ran", "three", "two"]);
    let line = format!("[a 2/2] ADD http://{host}/one");
    assert!(built.stderr.contains(&line), "{}", built.stderr);
    // What never comes ends with the build, at its line.
    registry.misbehave("/one", 1, Fault::After("/never".to_owned()));
    let text = format!(
        "FROM scratch AS a\nADD http://{host}/one /\nFROM scratch AS b\nADD http://{host}/missing /\n\
         FROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\n"
    );
    let failed = build_text(&env, &text, &[]);
    assert!(failed.stderr.contains("Dockerfile:4:"), "{}", failed.stderr);
    assert!(env.half_made().is_empty(), "{:?}", env.half_made());
}

#[test]
fn an_image_that_is_not_there_is_said_at_its_line() {
    let env = test_env!();
    let registry = Registry::start();
    add_image(&registry, "one");
    let host = registry.host();
    for (text, line) in [
        (
            format!("FROM {host}/one:1 AS a\nFROM {host}/none:1\nCOPY --from=a /one /\n"),
            2,
        ),
        (
            format!("FROM {host}/one:1\nCOPY --from={host}/none:1 / /\n"),
            2,
        ),
    ] {
        let failed = build_text(&env, &text, &[]);
        assert_eq!(failed.code, 1);
        for part in [format!("Dockerfile:{line}:"), format!("{host}/none:1")] {
            assert!(failed.stderr.contains(&part), "{part}: {}", failed.stderr);
        }
    }
    assert!(env.half_made().is_empty(), "{:?}", env.half_made());
}
