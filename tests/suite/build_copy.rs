//! `COPY` and `ADD`: which files, where to, with which looks.

use crate::dockerfile::{build, build_text, cached, context, layers, shell};
use crate::env::{TestEnv, test_env};
use crate::image::{Layer, busybox};

/// A base with links among its directories, as merged-usr systems have them.
fn linked_base(env: &TestEnv) {
    let layer = Layer::new()
        .directory("usr/", 0o755)
        .directory("usr/lib/", 0o2750)
        .file("usr/lib/below", 0o644, "below")
        .symlink("lib", "usr/lib")
        .symlink("current", "/srv/releases/1")
        .directory("srv/", 0o755)
        .file("file", 0o644, "file");
    env.load(&busybox().with(&layer).docker_archive("base:latest"));
}

#[test]
fn copies_follow_the_links_of_the_image_and_stay_inside() {
    let env = test_env!();
    linked_base(&env);
    let text = "FROM base\nCOPY a /lib/a\nCOPY a /current/x/\nCOPY a ../../../../up\nRUN ln -s ../../../../../lib /esc\nCOPY a /esc/b\n";
    let directory = context(&env, "app", &[("Dockerfile", text), ("a", "content")]);
    build(&env, &directory, &["-t", "made"]).ok();
    let seen = shell(
        &env,
        "made",
        "cat /usr/lib/a /srv/releases/1/x/a /up /usr/lib/b; readlink /lib; readlink /current; stat -c '%a %u' /usr/lib /srv/releases",
    );
    assert_eq!(
        seen,
        "contentcontentcontentcontentusr/lib\n/srv/releases/1\n2750 0\n755 0"
    );
    // A directory that was there comes into the layer with its own looks, and no file beside.
    assert_eq!(layers(&env, "made").len(), 2 + 5);
}

#[test]
fn a_directory_gives_its_content_and_a_slash_makes_one() {
    let env = test_env!();
    env.busybox();
    let text = "FROM busybox\nCOPY dir /new\nCOPY dir /etc\nCOPY dir/one two /both/\nCOPY two /name\nCOPY two /etc/\n\
        COPY d?r/o* /glob/\nCOPY no*thing /glob/\nCOPY dir/sub/ /sub\n";
    let directory = context(
        &env,
        "app",
        &[
            ("Dockerfile", text),
            ("dir/one", "1"),
            ("dir/sub/deep", "2"),
            ("two", "3"),
        ],
    );
    build(&env, &directory, &["-t", "made"]).ok();
    let seen = shell(
        &env,
        "made",
        "cd /new; find . | sort; cat /etc/one /etc/sub/deep /both/one /both/two /name /etc/two /sub/deep; ls /glob; test -f /etc/passwd && echo kept",
    );
    assert_eq!(seen, ".\n./one\n./sub\n./sub/deep\n1213332one\nkept");
    for (text, message) in [
        (
            "FROM busybox\nCOPY dir two /x\n",
            "needs a destination that ends with /",
        ),
        ("FROM busybox\nCOPY two /etc/passwd/x\n", "Not a directory"),
        ("FROM busybox\nCOPY dir /etc/passwd\n", "is no directory"),
        ("FROM busybox\nCOPY dir/x /\n", "not found"),
    ] {
        let directory = context(
            &env,
            "bad",
            &[("Dockerfile", text), ("dir/one", ""), ("two", "")],
        );
        let failed = build(&env, &directory, &[]);
        assert_eq!(failed.code, 1, "{text}");
        assert!(failed.stderr.contains(message), "{text}: {}", failed.stderr);
        assert!(
            failed.stderr.contains("Dockerfile:2:1: "),
            "{}",
            failed.stderr
        );
    }
}

#[test]
fn owners_and_modes_are_those_that_are_asked_for() {
    let env = test_env!();
    let accounts = Layer::new()
        .file(
            "etc/passwd",
            0o644,
            "root:x:0:0:root:/:/bin/sh\napp:x:1001:50::/:/bin/sh\n",
        )
        .file("etc/group", 0o644, "root:x:0:\nstaff:x:60:\n");
    env.load(&busybox().with(&accounts).docker_archive("base:latest"));
    let text = "FROM base\nARG WHO=app\nCOPY --chown=$WHO a /named/a\nCOPY --chown=app:staff a /group\nCOPY --chown=7 a /number\n\
        COPY --chown=7:staff --chmod=4711 a /both\nCOPY --chmod=u=rwX,go=rX dir /modes\nCOPY a /plain\nRUN chown 5:6 /plain\n\
        COPY --from=0 /plain /again\n";
    let text = text
        .replace("FROM base", "FROM base AS first")
        .replace("COPY --from=0", "FROM first\nCOPY --from=0");
    let directory = context(
        &env,
        "app",
        &[
            ("Dockerfile", &text),
            ("a", ""),
            ("dir/f", ""),
            ("dir/d/g", ""),
        ],
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(format!("{directory}/dir/d"), mode).expect("it is ours");
    build(&env, &directory, &["-t", "made"]).ok();
    let seen = shell(
        &env,
        "made",
        "stat -c '%u:%g %a' /named /named/a /group /number /both /modes/f /modes/d /plain /again",
    );
    let expected = [
        "1001:50 755",
        "1001:50 644",
        "1001:60 644",
        "7:7 644",
        "7:60 4711",
        "0:0 644",
        "0:0 755",
        "5:6 644",
        "5:6 644",
    ];
    assert_eq!(seen.lines().collect::<Vec<_>>(), expected);
    for (flag, message) in [
        ("--chown=nobody", "unable to find user nobody"),
        ("--chmod=999", "invalid mode"),
        ("--chown=4294967295", "out of range"),
    ] {
        let text = format!("FROM base\nCOPY {flag} a /\n");
        let directory = context(&env, "bad", &[("Dockerfile", &text), ("a", "")]);
        let failed = build(&env, &directory, &[]);
        assert!(failed.stderr.contains(message), "{flag}: {}", failed.stderr);
    }
}

/// Only what is in a directory is copied, and what is in an archive is as it is there.
#[test]
fn a_new_directory_and_what_is_unpacked_have_their_own_modes() {
    let env = test_env!();
    env.busybox();
    let text = "FROM busybox AS first\nRUN mkdir -m 700 /closed && touch /closed/f && chown 5 /closed\n\
        FROM busybox\nCOPY closed /a\nCOPY --chown=7 closed /b/c/\nCOPY --from=first /closed /d\nCOPY --chmod=750 closed /e/f\n\
        COPY --chmod=750 . /g\nADD --chmod=640 --chown=7 a.tar /h\n";
    let directory = context(&env, "app", &[("Dockerfile", text), ("closed/f", "")]);
    let closed = format!("{directory}/closed");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o3700);
    std::fs::set_permissions(closed, mode).expect("it is ours");
    let archive = Layer::new().directory("d/", 0o711).file("d/f", 0o604, "");
    env.file("app/a.tar", archive.tar());
    build(&env, &directory, &["-t", "made"]).ok();
    let seen = shell(
        &env,
        "made",
        "stat -c '%u %a' /a /b /b/c /b/c/f /d /e /e/f /g /h /h/d /h/d/f",
    );
    let expected = [
        "0 755", "7 755", "7 755", "7 644", "0 755", "0 755", "0 750", "0 750", "7 755", "7 711",
        "7 604",
    ];
    assert_eq!(seen.lines().collect::<Vec<_>>(), expected);
}

/// What is made in a directory with the set-group-id bit gets its group, unless it is told another.
#[test]
fn a_directory_that_gives_its_group_leaves_files_theirs() {
    let env = test_env!();
    env.busybox();
    let text = "FROM busybox AS first\nRUN mkdir -p /shared/dir && touch /shared/a /shared/dir/b && chown 0:50 /shared /shared/a && chmod 2775 /shared\n\
        FROM busybox\nRUN mkdir /to && chown 0:50 /to && chmod 2775 /to\nCOPY --from=first /shared /to\nCOPY one /to/\n";
    let directory = context(&env, "app", &[("Dockerfile", text), ("one", "")]);
    build(&env, &directory, &["-t", "made"]).ok();
    let seen = shell(
        &env,
        "made",
        "stat -c '%u:%g %a' /to /to/a /to/dir /to/dir/b /to/one",
    );
    let expected = ["0:50 2775", "0:50 644", "0:0 755", "0:0 644", "0:0 644"];
    assert_eq!(seen.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn links_parents_and_excludes() {
    let env = test_env!();
    env.busybox();
    let text = "FROM busybox\nCOPY --parents ./x/a/*.txt x/b/one.md /p/\nCOPY --parents ./x/./a/one.txt /q/\n\
        COPY --exclude=**/*.md --exclude=a x /e/\nCOPY --link x/b/one.md /linked/new/\nCOPY link followed /l/\nCOPY tree /tree\n";
    let files = [
        ("Dockerfile", text),
        ("x/a/one.txt", "1"),
        ("x/a/two.txt", "2"),
        ("x/b/one.md", "3"),
        ("x/b/c", "4"),
        ("tree/f", "5"),
    ];
    let directory = context(&env, "app", &files);
    for (link, target) in [
        ("link", "x/a/one.txt"),
        ("followed", "x/b/c"),
        ("tree/l", "f"),
        ("tree/out", "/etc/passwd"),
    ] {
        std::os::unix::fs::symlink(target, format!("{directory}/{link}"))
            .expect("home is writable");
    }
    std::fs::hard_link(
        format!("{directory}/tree/f"),
        format!("{directory}/tree/twin"),
    )
    .expect("it is ours");
    build(&env, &directory, &["-t", "made"]).ok();
    let seen = shell(
        &env,
        "made",
        "cd /; find p q e linked l -type f | sort; cat l/link l/followed; readlink tree/l; readlink tree/out; stat -c %h tree/f",
    );
    assert_eq!(
        seen,
        "e/b/c\nl/followed\nl/link\nlinked/new/one.md\np/x/a/one.txt\np/x/a/two.txt\np/x/b/one.md\nq/a/one.txt\n14f\n/etc/passwd\n2"
    );
    // A linked layer is the same on another base.
    let other = "FROM scratch\nCOPY --link x/b/one.md /linked/new/\n";
    let other = context(&env, "app", &[("Dockerfile", other)]);
    assert_eq!(cached(&build(&env, &other, &[]).ok()), 1);
}

#[test]
fn heredocs_are_files() {
    let env = test_env!();
    env.busybox();
    let text = "FROM busybox\nARG A=value\nCOPY <<one <<-\"two\" /dir/\n$A ${A}\none\n\t\tkept $A\n\ttwo\nCOPY --chmod=755 <<EOF /script\n#!/bin/sh\necho ran\nEOF\n\
        RUN <<EOF\necho first > /run-1\necho second >> /run-1\nEOF\nRUN <<-EOF cat > /run-2\n\tfrom stdin\n\tEOF\nRUN <<EOF\n#!/bin/cat\nprinted\nEOF\n";
    let built = build_text(&env, text, &[]).ok();
    assert!(built.stderr.contains(" printed\n"), "{}", built.stderr);
    let seen = shell(
        &env,
        "made",
        "cat /dir/one /dir/two; /script; cat /run-1 /run-2",
    );
    assert_eq!(seen, "value value\nkept $A\nran\nfirst\nsecond\nfrom stdin");
}

#[test]
fn add_unpacks_archives_through_links() {
    let env = test_env!();
    linked_base(&env);
    let archive = Layer::new()
        .directory("lib/", 0o755)
        .file("lib/new", 0o640, "new")
        .file(".wh.name", 0o644, "kept")
        .symlink("link", "lib/new");
    let directory = context(
        &env,
        "app",
        &[
            (
                "Dockerfile",
                "FROM base\nADD data.bin /\nADD data.bin text /to/\nADD --unpack=false data.bin /raw/\n",
            ),
            ("text", "text"),
        ],
    );
    std::fs::write(
        format!("{directory}/data.bin"),
        crate::image::Compression::Gzip.apply(&archive.tar()),
    )
    .expect("home is writable");
    build(&env, &directory, &["-t", "made"]).ok();
    let seen = shell(
        &env,
        "made",
        "readlink /lib; cat /usr/lib/new /usr/lib/below /.wh.name /link /to/lib/new /to/text; ls /to /raw",
    );
    let expected = "usr/lib\nnewbelowkeptnewnewtext/raw:\ndata.bin\n\n/to:\nlib\nlink\ntext";
    assert_eq!(seen, expected);
}
