//! `build`: an image of a Dockerfile, its stages, settings, history and cache.

use serde_json::json;

use crate::dockerfile::{build, build_by, build_text, cached, context, inspected, layers, shell};
use crate::env::test_env;
use crate::image::{Layer, busybox};

#[test]
fn build_makes_an_image_of_its_dockerfile() {
    let env = test_env!();
    env.busybox();
    let directory = context(
        &env,
        "app",
        &[
            (
                "Dockerfile",
                "FROM busybox AS base\nARG WHO=world\nENV GREETING=\"hello $WHO\"\nWORKDIR /app\nCOPY . .\n\
                 RUN echo $GREETING > greeting && rm a && id -u > id\nUSER 1000:50\n\
                 FROM base\nCMD [\"cat\", \"greeting\"]\n",
            ),
            ("a", "gone"),
            ("sub/b", "kept"),
        ],
    );
    for (number, command) in ["build", "image build", "builder build"]
        .into_iter()
        .enumerate()
    {
        for flag in ["-t", "--tag"] {
            let name = format!("made{number}:{}", flag.len());
            let build_arg = format!("WHO=you{number}");
            let flags = [flag, &name, "--build-arg", &build_arg];
            build_by(&env, command, &directory, &flags).ok();
            let said = env.out(&["run", "--rm", "--network", "none", &name]);
            assert_eq!(said, format!("hello you{number}"));
            let seen = shell(&env, &name, "ls; cat sub/b id; id -u");
            assert_eq!(seen, "Dockerfile\ngreeting\nid\nsub\nkept0\n1000");
        }
    }
    let image = inspected(&env, "made0:2");
    assert_eq!(image["Config"]["WorkingDir"], "/app");
    assert_eq!(image["Config"]["User"], "1000:50");
    // One for each of WORKDIR, COPY and RUN, beside the base's.
    assert_eq!(layers(&env, "made0:2").len(), 1 + 3);
    let history = env.out(&[
        "history",
        "--no-trunc",
        "--format",
        "{{.CreatedBy}}",
        "made0:2",
    ]);
    let rows: Vec<&str> = history.lines().take(7).collect();
    assert_eq!(
        rows,
        [
            "CMD [\"cat\" \"greeting\"]",
            "USER 1000:50",
            "RUN |1 WHO=you0 /bin/sh -c echo $GREETING > greeting && rm a && id -u > id # buildkit",
            "COPY . . # buildkit",
            "WORKDIR /app",
            "ENV GREETING=hello you0",
            "ARG WHO=you0",
        ]
    );
    assert!(env.out(&["ps", "-aq"]).is_empty(), "steps are in no list");
    assert!(env.out(&["system", "check"]).is_empty());
}

#[test]
fn what_was_built_before_is_not_built_again() {
    let env = test_env!();
    env.busybox();
    let files = |content| {
        [
            (
                "Dockerfile",
                "FROM busybox\nRUN echo $RANDOM$$ > /first\nCOPY data /data\nRUN date +%s%N > /second\n",
            ),
            ("data", content),
        ]
    };
    let directory = context(&env, "app", &files("one"));
    let first = build(&env, &directory, &["-t", "one", "-q"]).ok().out();
    // The same files elsewhere, in another process, with other times.
    let other = context(&env, "other", &files("one"));
    let again = build(&env, &other, &["-t", "two", "-q"]).ok().out();
    assert_eq!(first, again, "the same image, with the same id");
    let again = build(&env, &other, &["-t", "two"]).ok();
    assert_eq!(cached(&again), 3, "{}", again.stderr);
    context(&env, "other", &files("two"));
    let changed = build(&env, &other, &["-t", "three"]).ok();
    assert_eq!(cached(&changed), 1, "{}", changed.stderr);
    let (one, three) = (layers(&env, "one"), layers(&env, "three"));
    assert_eq!(one[..2], three[..2]);
    assert_eq!(shell(&env, "three", "cat /data"), "two");
    for command in ["build", "image build", "builder build"] {
        let anew = build_by(&env, command, &other, &["--no-cache"]).ok();
        assert_eq!(cached(&anew), 0, "{}", anew.stderr);
    }
    // Layers that only the cache has stay until the cache is given up.
    env.run(&["rmi", "-f", "one", "two", "three"]).ok();
    assert_eq!(cached(&build(&env, &other, &[]).ok()), 3);
}

#[test]
fn only_the_stages_that_are_needed_are_built() {
    let env = test_env!();
    env.busybox();
    let text = "FROM busybox AS never\nRUN exit 1\nFROM busybox AS tools\nRUN echo tool > /tool\n\
        FROM scratch AS app\nCOPY --from=tools /tool /bin/tool\nCOPY --from=busybox:latest /etc/passwd /etc/\n\
        FROM app AS last\nCOPY --from=never / /\n";
    let directory = context(&env, "app", &[("Dockerfile", text)]);
    for command in ["build", "image build", "builder build"] {
        let flags = ["--target", "App", "-t", "app"];
        let built = build_by(&env, command, &directory, &flags).ok();
        assert!(!built.stderr.contains("[never"), "{}", built.stderr);
        let failed = build_by(&env, command, &directory, &[]);
        assert_eq!(failed.code, 1);
        assert!(
            failed
                .stderr
                .contains("Dockerfile:2:1: process \"/bin/sh -c exit 1\""),
            "{}",
            failed.stderr
        );
        let failed = build_by(&env, command, &directory, &["--target", "nothing"]);
        assert!(
            failed.stderr.contains("target stage \"nothing\""),
            "{}",
            failed.stderr
        );
        let flags = ["--target", "tools", "--no-cache-filter", "tools"];
        assert_eq!(cached(&build_by(&env, command, &directory, &flags).ok()), 0);
    }
    let listed = env.run(&["export", &env.out(&["create", "app", "x"])]).ok();
    assert!(listed.stdout.contains("bin/tool") && listed.stdout.contains("etc/passwd"));
}

#[test]
fn independent_stages_are_built_at_the_same_time() {
    let env = test_env!();
    env.busybox();
    // Each waits for the other: one after the other they would never end.
    let text = "FROM busybox AS one\nRUN --mount=type=cache,target=/m touch /m/one && until test -e /m/two; do sleep 0.01; done\n\
        FROM busybox AS two\nRUN --mount=type=cache,target=/m touch /m/two && until test -e /m/one; do sleep 0.01; done\n\
        FROM scratch\nCOPY --from=one /etc/passwd /one\nCOPY --from=two /etc/passwd /two\n";
    build_text(&env, text, &[]).ok();
}

#[test]
fn build_reads_its_dockerfile_from_where_it_is_told() {
    let env = test_env!();
    env.busybox();
    let directory = context(
        &env,
        "app",
        &[
            ("docker/app.Dockerfile", "FROM busybox\nCOPY . /all\n"),
            (
                "docker/app.Dockerfile.dockerignore",
                "docker\nskip*\n!skip-not\n",
            ),
            (".dockerignore", "*\n"),
            ("kept", ""),
            ("skipped", ""),
            ("skip-not", ""),
        ],
    );
    let file = format!("{directory}/docker/app.Dockerfile");
    for command in ["build", "image build", "builder build"] {
        for flag in ["-f", "--file"] {
            build_by(&env, command, &directory, &["-t", "made", flag, &file]).ok();
            assert_eq!(
                shell(&env, "made", "cd /all; echo * .[a-z]*"),
                "kept skip-not .dockerignore"
            );
        }
        let input = "FROM busybox\nRUN echo piped > /x\n";
        let words = crate::spellings::words(command, &["--network", "none", "-t", "piped", "-"]);
        env.command(&words).input(input).run().ok();
        assert_eq!(shell(&env, "piped", "cat /x"), "piped");
    }
    let missing = build(&env, &directory, &[]);
    assert_eq!(missing.code, 1);
    assert!(
        missing.stderr.contains("failed to read dockerfile"),
        "{}",
        missing.stderr
    );
    // Where there is no `Dockerfile`, `dockerfile` is as good.
    let small = context(&env, "small", &[("dockerfile", "FROM busybox\nRUM x\n")]);
    for flags in [&[][..], &["-f", &format!("{small}/Dockerfile")]] {
        let wrong = build(&env, &small, flags);
        assert!(
            wrong.stderr.contains("dockerfile:2:1: unknown"),
            "{}",
            wrong.stderr
        );
    }
    env.file("small/Dockerfile", "FROM busybox\n");
    build(&env, &small, &[]).ok();
    let copied = env
        .command(&["build", "-"])
        .input("FROM scratch\nCOPY a /\n")
        .run();
    assert!(
        copied.stderr.contains("no build context"),
        "{}",
        copied.stderr
    );
}

#[test]
fn build_says_what_it_made() {
    let env = test_env!();
    env.busybox();
    let directory = context(
        &env,
        "app",
        &[(
            "Dockerfile",
            "FROM busybox\nRUN echo loud\nLABEL a=dockerfile\n",
        )],
    );
    for command in ["build", "image build", "builder build"] {
        for flag in ["-q", "--quiet"] {
            let (id, meta) = (env.path("home/id"), env.path("home/meta"));
            let (id, meta) = (
                id.to_str().unwrap_or_default(),
                meta.to_str().unwrap_or_default(),
            );
            let flags = ["-t", "made", flag, "--iidfile", id, "--metadata-file", meta];
            let more = [
                "--label",
                "a=flag",
                "--label",
                "b",
                "--load",
                "--builder",
                "any",
                "--progress",
                "plain",
            ];
            let built = build_by(&env, command, &directory, &[&flags[..], &more].concat()).ok();
            assert_eq!(built.stderr, "", "it is quiet");
            let image = inspected(&env, "made");
            assert_eq!(image["Id"], built.out());
            assert_eq!(image["Config"]["Labels"], json!({ "a": "flag", "b": "" }));
            let read = |path: &str| std::fs::read_to_string(path).expect("it was written");
            assert_eq!(read(id), built.out());
            let meta: serde_json::Value = serde_json::from_str(&read(meta)).expect("it is JSON");
            assert_eq!(meta["containerimage.config.digest"], built.out());
            assert_eq!(meta["image.name"], "docker.io/library/made:latest");
        }
    }
    let plain = build(&env, &directory, &["--no-cache"]).ok();
    assert!(
        plain.stderr.contains("#2 [2/2] RUN echo loud\n"),
        "{}",
        plain.stderr
    );
    assert!(
        plain.stderr.lines().any(|line| line.ends_with(" loud")),
        "{}",
        plain.stderr
    );
    assert!(plain.stdout.is_empty());
}

#[test]
fn an_error_says_where_and_shows_the_last_lines() {
    let env = test_env!();
    env.busybox();
    let failed = build_text(
        &env,
        "FROM busybox\n\nRUN echo before; \\\n    echo reason >&2; exit 7\n",
        &[],
    );
    assert_eq!(failed.code, 1);
    let message = failed.stderr.as_str();
    assert!(message.contains(" > [2/2] RUN echo before;"), "{message}");
    assert!(message.contains(" reason\n"), "{message}");
    assert!(
        message.contains("  3 | RUN echo before; \\\n    | ^\n  4 |     echo reason >&2; exit 7\n"),
        "{message}"
    );
    let process = "process \"/bin/sh -c echo before;     echo reason >&2; exit 7\"";
    assert!(
        message.contains(&format!(
            "{process} did not complete successfully: exit code: 7"
        )),
        "{message}"
    );
    let heredoc = "FROM busybox\nRUN <<END\necho before\nexit 3\nEND\nRUN true\n";
    let message = build_text(&env, heredoc, &[]).stderr;
    for told in [
        "#2 [2/3] RUN <<END (echo before...)\n",
        "  2 | RUN <<END\n    | ^\n  3 | echo before\n  4 | exit 3\n  5 | END\nError",
        "process \"/bin/sh -c echo before\\nexit 3\\n\" did not",
    ] {
        assert!(message.contains(told), "{told}: {message}");
    }
    let wrong = build_text(&env, "FROM busybox\nRUM echo\n", &[]);
    assert!(
        wrong
            .stderr
            .contains("Dockerfile:2:1: unknown instruction RUM, did you mean RUN?"),
        "{}",
        wrong.stderr
    );
    assert!(
        wrong.stderr.contains("  2 | RUM echo\n    | ^\n"),
        "{}",
        wrong.stderr
    );
    let missing = build_text(&env, "FROM busybox\nCOPY nothing /\n", &[]);
    assert!(
        missing
            .stderr
            .contains("Dockerfile:2:1: \"nothing\": not found"),
        "{}",
        missing.stderr
    );
    let nowhere = env.run(&["build", &env.path("nowhere").to_string_lossy()]);
    assert_eq!(nowhere.code, 1);
    assert!(
        nowhere.stderr.contains("unable to prepare context: path"),
        "{}",
        nowhere.stderr
    );
    // The steps before the one that failed are kept.
    let text = "FROM busybox\nRUN date +%N > /x\n";
    build_text(&env, &format!("{text}RUN exit 1\n"), &[]);
    assert_eq!(cached(&build_text(&env, text, &[]).ok()), 1);
    assert!(env.half_made().is_empty());
}

#[test]
fn triggers_run_in_the_image_built_on_theirs() {
    let env = test_env!();
    env.busybox();
    let base = "FROM busybox\nWORKDIR /src\nONBUILD COPY file .\nONBUILD RUN cat file > /copied\nONBUILD ENV A=1\n";
    let directory = context(&env, "base", &[("Dockerfile", base)]);
    build(&env, &directory, &["-t", "base"]).ok();
    let directory = context(
        &env,
        "child",
        &[
            ("Dockerfile", "FROM base\nRUN echo $A >> /copied\n"),
            ("file", "x\n"),
        ],
    );
    build(&env, &directory, &["-t", "child"]).ok();
    assert_eq!(shell(&env, "child", "cat /copied"), "x\n1");
    assert!(
        inspected(&env, "child")["Config"]
            .get("OnBuild")
            .is_none_or(|value| value.is_null())
    );
}

#[test]
fn the_same_files_make_the_same_image() {
    let env = test_env!();
    env.load(
        &busybox()
            .with(&Layer::new().file("base", 0o644, "x"))
            .docker_archive("base:latest"),
    );
    let files = [
        (
            "Dockerfile",
            "FROM base\nCOPY . /new/deep/\nENV A=1\nWORKDIR /made\n",
        ),
        ("f", "content"),
    ];
    let directory = context(&env, "one", &files);
    let age = |directory: &str| {
        for name in ["Dockerfile", "f"] {
            let old =
                std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
            let file = std::fs::File::options()
                .write(true)
                .open(format!("{directory}/{name}"));
            file.and_then(|file| file.set_modified(old))
                .expect("it is ours");
        }
    };
    age(&directory);
    let first = build(&env, &directory, &["-q", "--no-cache"]).ok().out();
    let other = context(&env, "two", &files);
    age(&other);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(build(&env, &other, &["-q", "--no-cache"]).ok().out(), first);
    // What a command writes has the time of the build, unless it is told another.
    let text = [(
        "Dockerfile",
        "FROM base\nRUN echo x > /x; mkdir /d; ln -s x /l\n",
    )];
    let directory = context(&env, "three", &text);
    let flags = ["-q", "--no-cache", "--source-date-epoch", "1700000000"];
    let first = build(&env, &directory, &flags).ok().out();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(build(&env, &directory, &flags).ok().out(), first);
    let by_argument = |text: &str| {
        let argument = format!("SOURCE_DATE_EPOCH={text}");
        build(
            &env,
            &directory,
            &["-q", "--no-cache", "--build-arg", &argument],
        )
    };
    assert_eq!(by_argument("1700000000").ok().out(), first);
    by_argument("yesterday").fails(125, "invalid SOURCE_DATE_EPOCH yesterday");
}

#[test]
fn ctrl_c_ends_a_build_and_everything_of_it() {
    let env = test_env!();
    env.busybox();
    let directory = context(
        &env,
        "app",
        &[("Dockerfile", "FROM busybox\nRUN echo ready; sleep 1000\n")],
    );
    for signal in [
        nix::sys::signal::Signal::SIGINT,
        nix::sys::signal::Signal::SIGKILL,
    ] {
        let mut building = env.spawn(&["build", "--network", "none", &directory]);
        building.until("ready");
        building.signal(signal);
        let ended = building.wait();
        assert_eq!(ended.code, 128 + signal as i32);
        crate::process::eventually("everything of the build has ended", || {
            env.processes().is_empty()
        });
        env.run(&["ps", "-a"]).ok();
        assert!(env.containers().is_empty(), "{:?}", env.containers());
    }
    env.run(&["system", "check"]).ok();
}

#[test]
fn plain_progress_says_what_is_at_work_and_what_nobody_waits_for() {
    let env = test_env!();
    env.busybox();
    let text =
        "FROM busybox AS one\nRUN sleep 1000\nFROM busybox\nRUN cat /never\nCOPY --from=one /x /\n";
    let directory = context(&env, "app", &[("Dockerfile", text)]);
    let flags = ["build", "--network", "none", "--progress"];
    let of_one = ["plain", "--target", "one", &directory];
    let mut building = env.spawn(&[&flags[..], &of_one].concat());
    building.until("\n#2 [one 2/2] RUN sleep 1000\n");
    building.signal(nix::sys::signal::Signal::SIGINT);
    let ended = building.wait();
    assert_eq!(ended.code, 130);
    assert!(
        ended.stderr.ends_with("\n#2 CANCELED\n"),
        "{}",
        ended.stderr
    );
    // One step of another stage fails.
    let failed = env.run(&[&flags[..], &["plain", &directory]].concat());
    assert_eq!(failed.code, 1);
    let canceled = failed.stderr.matches(" CANCELED\n").count();
    assert_eq!(canceled, 1, "{}", failed.stderr);
    let raw = env.run(&[&flags[..], &["rawjson", &directory]].concat());
    let canceled = raw.stderr.matches("\"error\":\"context canceled\"").count();
    assert_eq!(canceled, 1, "{}", raw.stderr);
}

#[test]
fn more_steps_than_a_mount_has_places_for() {
    let env = test_env!();
    env.load(
        &busybox()
            .with(&Layer::new().file("base", 0o644, "x"))
            .docker_archive("base:latest"),
    );
    let copies: String = (0..105).map(|n| format!("COPY f /f{n}\n")).collect();
    let text = format!(
        "FROM scratch\nCOPY --from=base /bin /bin\n{copies}RUN [\"/bin/sh\", \"-c\", \"echo x > /made\"]\n"
    );
    let directory = context(&env, "app", &[("Dockerfile", &text), ("f", "f")]);
    build(&env, &directory, &["-t", "made"]).ok();
    let image = inspected(&env, "made");
    let top = image["GraphDriver"]["Data"]["UpperDir"].as_str();
    // Nothing of what the engine had to make for /proc and /etc/hosts is in the layer.
    assert_eq!(crate::env::names(top.expect("a path").as_ref()), ["made"]);
}
