//! Dockerfiles, contexts and bases that do their worst: what they reach is theirs.

use std::os::unix::fs::symlink;

use serde_json::json;

use crate::dockerfile::{build, build_text, cached, context, shell};
use crate::env::{TestEnv, test_env};
use crate::image::{Compression, Layer, busybox};

/// A file of the host's, and its path in a Dockerfile's words.
fn canary(env: &TestEnv) -> String {
    env.file("canary/file", "of the host")
}

#[test]
fn a_mounts_source_never_leads_out_of_its_stage_or_context() {
    let env = test_env!();
    env.busybox();
    let canary = canary(&env);
    let text = format!(
        "FROM busybox AS bad\nRUN ln -s / /root-link && ln -s ../../../../../../../.. /up && ln -s {canary} /file\nFROM busybox\n\
         RUN --mount=type=bind,from=bad,source=/root-link,target=/m test -e /m/root-link && ! test -e /m{canary}\n\
         RUN --mount=type=bind,from=bad,source=/up,target=/m ! test -e /m{canary}\n\
         RUN --mount=type=bind,source=up,target=/m test -e /m/Dockerfile && ! test -e /m{canary}\n"
    );
    let directory = context(&env, "app", &[("Dockerfile", &text)]);
    symlink("../../../../../../../..", format!("{directory}/up")).expect("home is writable");
    symlink(&canary, format!("{directory}/out")).expect("home is writable");
    build(&env, &directory, &[]).ok();
    for (source, from) in [("/file", "from=bad,"), ("out", "")] {
        let text = format!(
            "FROM busybox AS bad\nRUN ln -s {canary} /file\nFROM busybox\nRUN --mount={from}source={source},target=/m cat /m\n"
        );
        context(&env, "app", &[("Dockerfile", &text)]);
        let failed = build(&env, &directory, &[]);
        assert!(failed.stderr.contains("not found"), "{}", failed.stderr);
        assert!(!failed.stderr.contains("of the host"), "{}", failed.stderr);
    }
    let text = "FROM busybox\nRUN --mount=type=bind,target=/m,bind-propagation=shared true\n";
    let refused = build_text(&env, text, &[]);
    assert!(
        refused.stderr.contains("Dockerfile:2:"),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.contains("bind-propagation"),
        "{}",
        refused.stderr
    );
}

#[test]
fn what_was_made_to_mount_on_is_taken_away_through_no_link() {
    let env = test_env!();
    env.busybox();
    let secret = env.file("secret", "x");
    let flag = format!("id=s,src={secret}");
    let text = "FROM busybox\nRUN --mount=type=secret,id=s,target=/x/passwd mv /x /y && ln -s /etc /x\n\
        RUN --mount=type=tmpfs,target=/deep/er/t mv /deep /moved && ln -s / /deep && mkdir -p /er && touch /er/t\n";
    build_text(&env, text, &["--secret", &flag]).ok();
    let seen = shell(
        &env,
        "made",
        "test -s /etc/passwd && readlink /x && ls -A /y; readlink /deep; test -e /er/t && echo kept",
    );
    // The command itself has moved what it was mounted on.
    assert_eq!(seen, "/etc\npasswd\n/\nkept");
}

#[test]
fn copies_take_nothing_from_outside_of_the_context() {
    let env = test_env!();
    env.busybox();
    let canary = canary(&env);
    let directory = context(&env, "app", &[("f", "")]);
    symlink(&canary, format!("{directory}/out")).expect("home is writable");
    symlink("../canary", format!("{directory}/up")).expect("home is writable");
    let at = |name: &str| format!("{directory}/{name}");
    nix::unistd::mkfifo(at("pipe").as_str(), nix::sys::stat::Mode::S_IRWXU)
        .expect("home is writable");
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).expect("home is writable");
    for source in [
        "../canary/file",
        "../../../../../../../../etc/hostname",
        "out",
        "up/file",
    ] {
        context(
            &env,
            "app",
            &[("Dockerfile", &format!("FROM scratch\nCOPY {source} /x\n"))],
        );
        let failed = build(&env, &directory, &[]);
        assert_eq!(failed.code, 1, "{source}");
        assert!(
            failed.stderr.contains("not found"),
            "{source}: {}",
            failed.stderr
        );
    }
    context(
        &env,
        "app",
        &[("Dockerfile", "FROM busybox\nCOPY . /all/\n")],
    );
    let built = build(&env, &directory, &["-t", "made"]).ok();
    assert!(
        built.stderr.contains("/all/socket: a socket is not copied"),
        "{}",
        built.stderr
    );
    let seen = shell(
        &env,
        "made",
        "cd /all; ls; test -p pipe && echo pipe; cat out 2>/dev/null; true",
    );
    assert_eq!(seen, "Dockerfile\nf\nout\npipe\nup\npipe");
}

#[test]
fn archives_stay_below_their_destination() {
    let env = test_env!();
    env.busybox();
    let attempts = [
        Layer::new().file("../../../escaped", 0o644, "x"),
        Layer::new().symlink("l", "/").file("l/escaped", 0o644, "x"),
        Layer::new()
            .symlink("l", "../../../..")
            .file("l/escaped", 0o644, "x"),
        Layer::new()
            .file("a", 0o644, "x")
            .hard_link("b", "/etc/passwd"),
    ];
    for (number, archive) in attempts.into_iter().enumerate() {
        let text = "FROM busybox\nADD evil.tar /inside/\n";
        let directory = context(&env, "app", &[("Dockerfile", text)]);
        let bytes = Compression::Gzip.apply(&archive.tar());
        std::fs::write(format!("{directory}/evil.tar"), bytes).expect("home is writable");
        let built = build(&env, &directory, &["-t", "made"]);
        if built.code == 0 {
            let seen = shell(
                &env,
                "made",
                "ls -d /escaped /inside/escaped 2>/dev/null; true",
            );
            assert!(
                !seen.contains("/escaped\n") || seen == "/inside/escaped",
                "{number}: {seen}"
            );
        }
        for place in [
            "home/escaped",
            "escaped",
            "data/escaped",
            "data/bryo/escaped",
        ] {
            assert!(!env.path(place).exists(), "{number}: {place}");
        }
    }
}

#[test]
fn an_image_is_no_cache_whatever_it_says() {
    let env = test_env!();
    env.busybox();
    let history = json!([
        { "created_by": "RUN /bin/sh -c echo good > /x # buildkit", "comment": "buildkit.dockerfile.v0" },
    ]);
    let evil = busybox().with(&Layer::new().file("x", 0o644, "evil"));
    env.load(
        &evil
            .configured("history", history)
            .docker_archive("evil:latest"),
    );
    let built = build_text(&env, "FROM busybox\nRUN echo good > /x\n", &[]).ok();
    assert_eq!(cached(&built), 0);
    assert_eq!(shell(&env, "made", "cat /x"), "good");
}

#[test]
fn a_working_directory_is_made_inside() {
    let env = test_env!();
    env.busybox();
    let base = "FROM busybox\nRUN ln -s ../../../../../../../../var/tmp /esc && ln -s /nowhere /dangling\n\
        WORKDIR /esc/made\nRUN pwd -P > where\nWORKDIR /dangling/x\nRUN pwd -P > where\n";
    build_text(&env, base, &[]).ok();
    let seen = shell(&env, "made", "cat /var/tmp/made/where /nowhere/x/where");
    assert_eq!(seen, "/var/tmp/made\n/nowhere/x");
    assert!(!std::path::Path::new("/var/tmp/made").exists());
}
