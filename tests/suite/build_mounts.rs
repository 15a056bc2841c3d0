//! `RUN --mount`: what a command sees beside its files, and that nothing of it is left in the image.

use crate::dockerfile::{build, build_text, cached, context, layers, shell};
use crate::env::test_env;

#[test]
fn a_cache_outlives_the_build_and_is_no_part_of_the_image() {
    let env = test_env!();
    env.busybox();
    let text = |n: u32| {
        format!(
            "FROM busybox\nWORKDIR /w\nRUN --mount=type=cache,target=sub,id=mine echo {n} >> sub/log && cat sub/log > /seen\n\
             RUN --mount=type=cache,target=/cold,uid=7,gid=8,mode=0711 stat -c '%u %g %a' /cold > /looks\n"
        )
    };
    for n in 1..=2 {
        build_text(&env, &text(n), &[]).ok();
    }
    assert_eq!(
        shell(
            &env,
            "made",
            "cat /seen /looks; ls -d /cold /w/* 2>/dev/null; true"
        ),
        "1\n2\n7 8 711"
    );
    // One that another user can write is another.
    let looks = "FROM busybox\nRUN --mount=type=cache,target=/c,id=mine,uid=5 stat -c %u /c > /seen; ls /c >> /seen\n\
        RUN --mount=type=cache,target=/c,id=mine stat -c %u /c >> /seen; ls /c >> /seen\n";
    build_text(&env, looks, &[]).ok();
    assert_eq!(shell(&env, "made", "cat /seen"), "5\n0\nlog");
    // Caches of another name space are others.
    let apart = ["--build-arg", "BUILDKIT_CACHE_MOUNT_NS=apart"];
    let looked = "FROM busybox\nRUN --mount=type=cache,target=/c,id=mine cat /c/log > /seen || echo none > /seen\n";
    for (flags, seen) in [(&apart[..], "none"), (&[], "1\n2")] {
        build_text(&env, looked, &[flags, &["--no-cache"]].concat()).ok();
        assert_eq!(shell(&env, "made", "cat /seen"), seen);
    }
    let escaping =
        "FROM busybox\nRUN --mount=type=cache,id=../../../escaped,target=/c touch /c/x\n";
    build_text(&env, escaping, &[]).ok();
    assert!(!env.path("escaped").exists() && !env.path("cache/escaped").exists());
    // Two at once have one after the other, or one of their own.
    let locked = "FROM busybox AS a\nRUN --mount=type=cache,target=/c,sharing=locked mkdir /c/in && sleep 0.2 && rmdir /c/in\n\
        FROM busybox AS b\nRUN --mount=type=cache,target=/c,sharing=locked mkdir /c/in && sleep 0.2 && rmdir /c/in\n\
        FROM busybox\nCOPY --from=a /etc/passwd /a\nCOPY --from=b /etc/passwd /b\n";
    build_text(&env, locked, &[]).ok();
    build_text(
        &env,
        &locked
            .replace("locked", "private")
            .replace("/c,", "/p,")
            .replace("/c/", "/p/"),
        &[],
    )
    .ok();
}

#[test]
fn a_mount_shows_the_context_or_a_stage_and_takes_no_writes() {
    let env = test_env!();
    env.busybox();
    let text = "FROM busybox AS tools\nRUN mkdir -p /t/bin && echo tool > /t/bin/x && ln -s /t/bin /l\nFROM busybox\n\
        RUN --mount=target=/ctx --mount=from=tools,source=/l,target=/tools --mount=type=bind,source=dir/f,target=/one,rw \
        cat /ctx/dir/f /tools/x /one > /seen; ls /ctx >> /seen; echo w > /one; ! touch /ctx/w 2>/dev/null && echo ro >> /seen\n\
        RUN --mount=type=bind,target=/rw,rw touch /rw/dir/new && ls /rw/dir > /seen2\n\
        RUN --mount=type=tmpfs,target=/t,size=1m df -k /t | tail -1 | awk '{print $1, $2}' > /tmpfs\n";
    let files = [
        ("Dockerfile", text),
        (".dockerignore", "hidden\n"),
        ("dir/f", "file\n"),
        ("hidden", "secret"),
    ];
    let directory = context(&env, "app", &files);
    build(&env, &directory, &["-t", "made"]).ok();
    let seen = shell(
        &env,
        "made",
        "cat /seen /seen2 /tmpfs; ls -d /ctx /tools /one /rw /t 2>/dev/null; true",
    );
    assert_eq!(
        seen,
        "file\ntool\nfile\nDockerfile\ndir\nro\nf\nnew\ntmpfs 1024"
    );
    let written = crate::env::names(format!("{directory}/dir").as_ref());
    assert_eq!(written, ["f"], "a command cannot write into the context");
    let read = std::fs::read_to_string(format!("{directory}/dir/f")).expect("it is there");
    assert_eq!(read, "file\n");
    // What is mounted is what the step depends on.
    assert_eq!(cached(&build(&env, &directory, &[]).ok()), 4);
    context(&env, "app", &[("hidden", "other")]);
    assert_eq!(cached(&build(&env, &directory, &[]).ok()), 4);
    context(&env, "app", &[("dir/f", "changed\n")]);
    assert_eq!(cached(&build(&env, &directory, &[]).ok()), 1);
}

#[test]
fn secrets_are_seen_and_never_kept() {
    let mut env = test_env!();
    env.busybox();
    env.set("TOKEN", "from-the-environment");
    let file = env.file("secret", "from-a-file");
    // The Dockerfile's own words are in the history: it knows the secrets' lengths only.
    let text = "FROM busybox\n\
        RUN --mount=type=secret,id=one wc -c < /run/secrets/one && stat -c %a /run/secrets/one\n\
        RUN --mount=type=secret,id=TOKEN,env=INSIDE --mount=type=secret,id=one,target=/etc/key,mode=0440,uid=5 \
        echo ${#INSIDE} $(wc -c < /etc/key) && stat -c '%u %a' /etc/key\n\
        RUN --mount=type=secret,id=missing test ! -e /run/secrets/missing\n";
    let directory = context(&env, "app", &[("Dockerfile", text)]);
    let secret = format!("id=one,src={file}");
    for command in ["build", "image build", "builder build"] {
        let flags = [
            "-t",
            "made",
            "--no-cache",
            "--secret",
            &secret,
            "--secret",
            "id=TOKEN",
        ];
        let built = crate::dockerfile::build_by(&env, command, &directory, &flags).ok();
        for said in [" 11\n", " 400\n", " 20 11\n", " 5 440\n"] {
            assert!(built.stderr.contains(said), "{said:?}: {}", built.stderr);
        }
    }
    let left = "ls -d /run/secrets /etc/key 2>/dev/null; true";
    assert_eq!(shell(&env, "made", left), "");
    for place in ["data", "cache", "run", "tmp"] {
        let place = env.path(place);
        let place = place.to_str().expect("test paths are UTF-8");
        let values = "from-a-file|from-the-environment";
        let found = env.other("grep", &["-rlsE", values, place]).run();
        assert_eq!(found.stdout, "");
    }
    // Another secret is no other step.
    let other = env.file("other", "another");
    let secret = format!("id=one,src={other}");
    let again = build(&env, &directory, &["--secret", &secret]).ok();
    assert_eq!(cached(&again), 3);
    // Who may do without one is told that its file is not there.
    for flag in ["id=one,src=/nowhere", "id=nowhere"] {
        let failed = build(&env, &directory, &["--secret", flag]);
        assert_eq!(failed.code, 1);
        let message = format!("Error: --secret {flag:?}: stat ");
        assert!(failed.stderr.starts_with(&message), "{}", failed.stderr);
    }
    let text = "FROM busybox\nRUN --mount=type=secret,id=needed,required=true true\n";
    let failed = build_text(&env, text, &[]);
    let message = "Dockerfile:2:1: secret needed not found";
    assert!(failed.stderr.contains(message), "{}", failed.stderr);
}

#[test]
fn an_agent_is_forwarded() {
    let env = test_env!();
    env.busybox();
    let socket = env.path("home/agent");
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("home is writable");
    let agent = format!("default={}", socket.display());
    let text = "FROM busybox\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK > /where\n";
    let directory = context(&env, "app", &[("Dockerfile", text)]);
    for command in ["build", "image build", "builder build"] {
        crate::dockerfile::build_by(&env, command, &directory, &["-t", "made", "--ssh", &agent])
            .ok();
    }
    assert_eq!(
        shell(
            &env,
            "made",
            "cat /where; ls /run/buildkit 2>/dev/null; true"
        ),
        "/run/buildkit/ssh_agent.0"
    );
    drop(listener);
    let text = text.replace("type=ssh", "type=ssh,required=true");
    let failed = build_text(&env, &text, &[]);
    assert!(
        failed.stderr.contains("no agent \"default\" to forward"),
        "{}",
        failed.stderr
    );
}

#[test]
fn only_what_changed_is_in_the_layer_of_a_command() {
    let env = test_env!();
    env.busybox();
    let text = "FROM busybox\nRUN true\nRUN --mount=type=tmpfs,target=/deep/in/t true\nRUN echo x > /only\n";
    build_text(&env, text, &[]).ok();
    let nothing = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
    let made = layers(&env, "made");
    assert_eq!(made[1..3], [nothing, nothing]);
    let image = crate::dockerfile::inspected(&env, "made");
    let top = image["GraphDriver"]["Data"]["UpperDir"]
        .as_str()
        .expect("a path");
    assert_eq!(crate::env::names(top.as_ref()), ["only"]);
}
