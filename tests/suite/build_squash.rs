//! `build --squash`: one layer of all that the steps add to the base image.

use crate::dockerfile::{build, build_by, cached, context, inspected, layers, shell};
use crate::env::{TestEnv, test_env};

const BASE: &str = "FROM busybox\nRUN mkdir -p /etc/x /gone /opq && echo a > /etc/x/a && echo b > /etc/x/b && touch /gone/1 /opq/old\n";

const TEXT: &str = "FROM base\nENV A=b\nRUN echo secret > /secret && rm /etc/x/a && mkdir -m 750 /kept && chown 3:4 /kept\n\
    RUN rm -r /secret /gone /opq && mkdir /opq && echo new > /opq/new\nCOPY file /etc/x/c\n\
    RUN ln /etc/x/c /etc/x/d && ln -s d /etc/x/e && chown 5:6 /etc/x/c\nCMD [\"sh\"]\n";

fn history(env: &TestEnv, image: &str) -> Vec<String> {
    let rows = env.out(&[
        "history",
        "--no-trunc",
        "--format",
        "{{.Comment}}|{{.CreatedBy}}|{{.Size}}",
        image,
    ]);
    rows.lines().map(str::to_owned).collect()
}

/// The entries of the topmost layer's archive.
fn entries(env: &TestEnv, image: &str) -> Vec<String> {
    let archive = env.path("home/squashed.tar");
    let archive = archive.to_str().expect("UTF-8");
    env.run(&["save", "-o", archive, image]).ok();
    let layers = layers(env, image);
    let digest = layers.last().expect("it has some");
    let member = format!("blobs/{}", digest.replace(':', "/"));
    let piped = format!("tar xOf {archive} {member} | tar t");
    let listed = env.other("sh", &["-c", &piped]).run().ok();
    listed.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn squash_makes_one_layer_of_all_steps() {
    let env = test_env!();
    env.busybox();
    let base = context(&env, "base", &[("Dockerfile", BASE)]);
    build(&env, &base, &["-t", "base"]).ok();
    let app = context(&env, "app", &[("Dockerfile", TEXT), ("file", "content")]);
    build(&env, &app, &["-t", "plain"]).ok();
    let plain = inspected(&env, "plain");
    let base = inspected(&env, "base");
    for command in ["build", "image build", "builder build"] {
        build_by(&env, command, &app, &["--squash", "-t", "one"]).ok();
        let of_base = layers(&env, "base");
        let squashed = layers(&env, "one");
        assert_eq!(squashed.len(), of_base.len() + 1);
        assert_eq!(squashed[..of_base.len()], of_base);
        // docker's rows: those of the steps have no layer any more, one more says what became of them.
        let rows = history(&env, "one");
        let text = |image: &serde_json::Value| image["Id"].as_str().expect("an id").to_owned();
        let merge = format!("merge {} to {}||", text(&plain), text(&base));
        assert!(rows[0].starts_with(&merge), "{rows:?}");
        assert_eq!(rows[1], "buildkit.dockerfile.v0|CMD [\"sh\"]|0B");
        assert!(
            rows[1..7].iter().all(|row| row.ends_with("|0B")),
            "{rows:?}"
        );
        assert_eq!(rows[7..], history(&env, "base"));
    }
    assert_eq!(
        entries(&env, "one"),
        [
            "etc/",
            "etc/x/",
            "etc/x/.wh.a",
            "etc/x/c",
            "etc/x/d",
            "etc/x/e",
            ".wh.gone",
            "kept/",
            "opq/",
            "opq/.wh..wh..opq",
            "opq/new"
        ]
    );
    let script = "cd /; find etc/x kept gone opq secret -exec stat -c '%n %F %a %u:%g %h %Y' {} + 2>&1; cat etc/x/c etc/x/e opq/new";
    assert_eq!(shell(&env, "one", script), shell(&env, "plain", script));
    assert_eq!(inspected(&env, "one")["Config"], plain["Config"]);
    assert!(env.out(&["system", "check"]).is_empty());
}

#[test]
fn a_squashed_image_is_the_same_again() {
    let env = test_env!();
    env.busybox();
    let app = context(
        &env,
        "app",
        &[(
            "Dockerfile",
            "FROM busybox\nRUN date +%N > /x\nRUN rm /bin/true; touch /y\n",
        )],
    );
    let first = build(&env, &app, &["--squash", "-q"]).ok().out();
    let again = build(&env, &app, &["--squash", "-t", "again"]).ok();
    assert_eq!(cached(&again), 3, "{}", again.stderr);
    assert_eq!(inspected(&env, "again")["Id"], first.as_str());
    // Made anew, on another day, for files that are the same.
    let text = "FROM busybox\nRUN echo x > /x\nRUN rm /bin/true; touch /y\n";
    let app = context(&env, "app", &[("Dockerfile", text)]);
    let made = || {
        let dated = [
            "--squash",
            "--no-cache",
            "-q",
            "--source-date-epoch",
            "1700000000",
        ];
        build(&env, &app, &dated).ok().out()
    };
    let first = made();
    env.run(&["rmi", &first]).ok();
    env.run(&["builder", "prune", "-af"]).ok();
    assert_eq!(made(), first);
    // Settings alone make no layer.
    let app = context(&env, "app", &[("Dockerfile", "FROM busybox\nENV A=b\n")]);
    build(&env, &app, &["--squash", "-t", "settings"]).ok();
    assert_eq!(layers(&env, "settings"), layers(&env, "busybox"));
}

#[test]
fn squash_goes_with_stages_platforms_and_outputs() {
    let env = test_env!();
    env.busybox();
    let text = "FROM busybox AS tools\nRUN echo 1 > /one\nFROM tools AS more\nRUN echo 2 > /two; rm /one\nFROM scratch AS none\nCOPY --from=more /two /\n\
        COPY --from=more /two /three\n";
    let app = context(&env, "app", &[("Dockerfile", text)]);
    // Another stage is no base image: what it made is squashed, too.
    build(&env, &app, &["--squash", "--target", "more", "-t", "more"]).ok();
    assert_eq!(layers(&env, "more").len(), 2);
    assert_eq!(
        shell(&env, "more", "cat /two; test -e /one || echo gone"),
        "2\ngone"
    );
    assert_eq!(entries(&env, "more"), ["two"]);
    // Nor is nothing one, whatever the platform.
    let flags = ["--squash", "--platform", "linux/amd64", "-t", "none"];
    build(&env, &app, &flags).ok();
    assert_eq!(layers(&env, "none").len(), 1);
    let rows = history(&env, "none");
    assert!(rows[0].starts_with("create new from sha256:"), "{rows:?}");
    let other = context(
        &env,
        "other",
        &[
            ("Dockerfile", "FROM scratch\nCOPY a /\nCOPY b /\n"),
            ("a", ""),
            ("b", ""),
        ],
    );
    let out = env.path("home/out.tar");
    let place = format!("type=oci,dest={}", out.display());
    build(
        &env,
        &other,
        &[
            "--squash",
            "--platform",
            "linux/s390x",
            "-o",
            &place,
            "-t",
            "other",
        ],
    )
    .ok();
    env.run(&[
        "load",
        "--platform",
        "linux/s390x",
        "-i",
        out.to_str().expect("UTF-8"),
    ])
    .ok();
    assert_eq!(layers(&env, "other").len(), 1);
    assert_eq!(inspected(&env, "other")["Architecture"], "s390x");
    assert_eq!(entries(&env, "other"), ["a", "b"]);
    env.run(&["buildx", "build", "--squash", &app])
        .fails(125, "buildx has no such flag");
}
