//! What becomes of what was built: files, archives, registries; and how a build's progress looks.

use serde_json::Value;

use crate::dockerfile::{build_by, build_text, context, inspected, layers};
use crate::env::{TestEnv, bryo, test_env};
use crate::need::{Need, need};
use crate::registry::{Access, Registry};
use crate::spellings::words;

const TEXT: &str = "FROM busybox\nRUN mkdir /out && echo built > /out/file && ln -s file /out/link && chmod 750 /out/file && chown 1:2 /out/file\n\
    RUN rm /bin/true\nFROM scratch\nCOPY --from=0 /out /\n";

fn ids(env: &TestEnv) -> usize {
    env.out(&["images", "-aq"]).lines().count()
}

#[test]
fn files_of_an_image_go_to_a_directory_or_a_tar() {
    let env = test_env!();
    env.busybox();
    let directory = context(&env, "app", &[("Dockerfile", TEXT)]);
    let out = env.path("home/out");
    let out = out.to_str().expect("UTF-8");
    for command in ["build", "image build", "builder build"] {
        for flag in ["-o", "--output"] {
            for place in [out.to_owned(), format!("type=local,dest={out}")] {
                build_by(&env, command, &directory, &[flag, &place, "-t", "never"]).ok();
                let read = |name: &str| std::fs::read_to_string(format!("{out}/{name}"));
                assert_eq!(read("file").expect("it was written"), "built\n");
                assert_eq!(read("link").expect("a link"), "built\n");
                let link = std::fs::symlink_metadata(format!("{out}/link"));
                assert!(link.expect("it is there").is_symlink());
                std::fs::remove_dir_all(out).expect("it is the user's");
            }
            let tar = format!("{out}.tar");
            let place = format!("type=tar,dest={tar}");
            build_by(&env, command, &directory, &[flag, &place]).ok();
            let listed = env.other("tar", &["tvf", &tar]).run().ok();
            assert!(
                listed.stdout.contains("-rwxr-x--- 1/2"),
                "{}",
                listed.stdout
            );
            for place in ["-", "type=tar"] {
                let program = bryo();
                let piped = format!(
                    "{} build -q --network none -o {place} {directory} | tar t",
                    program.display()
                );
                let listed = env.other("sh", &["-c", &piped]).run().ok();
                assert!(listed.stdout.contains("file\n"), "{place}");
            }
        }
    }
    // Nothing was left in the store for it, and no link that is there already is followed.
    assert_eq!(ids(&env), 1);
    let elsewhere = env.file("elsewhere/kept", "x");
    let elsewhere = std::path::Path::new(&elsewhere)
        .parent()
        .expect("it has one");
    std::fs::create_dir(out).expect("it is new");
    std::os::unix::fs::symlink(elsewhere, format!("{out}/deep")).expect("it is new");
    build_text(
        &env,
        "FROM busybox\nWORKDIR /deep\nRUN echo > x\n",
        &["-o", out],
    );
    assert_eq!(
        std::fs::read_dir(elsewhere).expect("it is there").count(),
        1
    );
    for wrong in [
        "type=s3",
        "type=oci,tar=false",
        "dest=x",
        "type=tar,dest=x,color=blue",
    ] {
        env.run(&["build", "-o", wrong, &directory])
            .fails(125, "--output");
    }
}

#[test]
fn archives_of_an_image_can_be_loaded() {
    let env = test_env!();
    env.busybox();
    let directory = context(
        &env,
        "app",
        &[("Dockerfile", "FROM busybox\nRUN echo x > /x\n")],
    );
    let file = env.path("home/image.tar");
    let file = file.to_str().expect("UTF-8");
    for command in ["build", "image build", "builder build"] {
        for kind in ["oci", "docker"] {
            let place = format!("type={kind},dest={file}");
            let annotation = [
                "--annotation",
                "org.example=yes",
                "--annotation",
                "manifest:b=c",
            ];
            let flags = [&["-o", &place, "-t", "loaded:1"][..], &annotation].concat();
            build_by(&env, command, &directory, &flags).ok();
            assert_ne!(env.run(&["image", "exists", "loaded:1"]).code, 0);
            env.run(&["load", "-i", file]).ok();
            assert_eq!(layers(&env, "loaded:1").len(), 2, "{kind}");
            env.run(&["rmi", "loaded:1"]).ok();
        }
    }
    let place = format!("type=oci,dest={file}");
    build_by(
        &env,
        "build",
        &directory,
        &["-o", &place, "--annotation", "a=b", "--load", "-t", "kept"],
    )
    .ok();
    let blobs = env.other("sh", &["-c", &format!("tar xOf {file} --wildcards 'blobs/sha256/*' | grep -ac '\"annotations\":{{\"a\":\"b\"}}'")]);
    assert_ne!(blobs.run().ok().out(), "0");
    assert_eq!(inspected(&env, "kept")["RepoTags"][0], "kept:latest");
    env.run(&["build", "--annotation", "planet:a=b", &directory])
        .fails(125, "unknown annotation type");
    build_by(&env, "build", &directory, &["-o", "type=cacheonly"]).ok();
}

#[test]
fn what_is_built_is_pushed() {
    need!(Need::Program("docker-registry"));
    let env = test_env!();
    let registry = Registry::start(&env, Access::Http);
    env.busybox();
    let directory = context(
        &env,
        "app",
        &[("Dockerfile", "FROM busybox\nRUN echo x > /x\n")],
    );
    for (number, command) in ["build", "image build", "builder build"]
        .into_iter()
        .enumerate()
    {
        let name = format!("{}/built{number}:1", registry.address);
        let meta = env.path("home/meta");
        let meta = meta.to_str().expect("UTF-8");
        build_by(
            &env,
            command,
            &directory,
            &["--push", "-t", &name, "--metadata-file", meta],
        )
        .ok();
        env.run(&["rmi", &name]).ok();
        env.run(&["pull", "-q", &name]).ok();
        let digest = inspected(&env, &name)["RepoDigests"][0].clone();
        let said = std::fs::read_to_string(meta).expect("it was written");
        let said: Value = serde_json::from_str(&said).expect("it is JSON");
        let pushed = said["containerimage.digest"].as_str().expect("a digest");
        assert!(
            digest
                .as_str()
                .is_some_and(|digest| digest.ends_with(pushed)),
            "{digest}"
        );
        for kind in ["registry", "image"] {
            let other = format!("{}/{kind}{number}:1", registry.address);
            let place = format!("type={kind},push=true,name={other}");
            let place = if kind == "registry" {
                place.replace("push=true,", "")
            } else {
                place
            };
            build_by(&env, command, &directory, &["-o", &place]).ok();
            env.run(&["rmi", &other]).ok();
            env.run(&["pull", "-q", &other]).ok();
        }
        env.run(&words(command, &["--push", &directory]))
            .fails(125, "tag is needed when pushing to registry");
    }
}

#[test]
fn progress_is_a_tree_on_a_terminal_and_json_where_it_is_wanted() {
    let env = test_env!();
    env.busybox();
    let text = "FROM busybox\nRUN echo early; sleep 0.5; printf 'late\\033[2J\\n'\n";
    let directory = context(&env, "app", &[("Dockerfile", text)]);
    let failing = context(
        &env,
        "failing",
        &[("Dockerfile", "FROM busybox\nRUN echo reason; exit 3\n")],
    );
    for command in ["build", "image build", "builder build"] {
        for mode in [&["--progress", "tty"][..], &[]] {
            let flags = [
                &["--network", "none", "--no-cache"][..],
                mode,
                &[&directory],
            ]
            .concat();
            let mut terminal = env.terminal(&words(command, &flags));
            terminal.expect("[+] Building");
            terminal.expect("=> # ");
            terminal.expect("early");
            terminal.expect("FINISHED");
            assert_eq!(terminal.wait(), 0);
            assert!(
                !terminal.seen().contains("late\u{1b}[2J"),
                "a program draws over the tree"
            );
        }
        let flags = ["--network", "none", "--progress", "tty", &failing];
        let mut terminal = env.terminal(&words(command, &flags));
        terminal.expect("ERROR [2/2] RUN echo reason; exit 3");
        terminal.expect("reason");
        terminal.expect("exit code: 3");
        assert_eq!(terminal.wait(), 1);
        let raw = build_by(
            &env,
            command,
            &directory,
            &["--no-cache", "--progress", "rawjson"],
        )
        .ok();
        let statuses: Vec<Value> = raw
            .stderr
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        assert!(statuses.iter().any(|one| {
            one["vertexes"][0]["name"]
                .as_str()
                .is_some_and(|name| name.starts_with("[2/2] RUN"))
        }));
        assert!(
            statuses
                .iter()
                .any(|one| one["logs"][0]["data"] == "ZWFybHkK"),
            "{}",
            raw.stderr
        );
        env.run(&words(command, &["--progress", "tty", &directory]))
            .fails(1, "no terminal");
        env.run(&words(command, &["--progress", "dots", &directory]))
            .fails(125, "invalid progress mode");
    }
}

#[test]
fn commands_of_another_architecture_need_an_emulator() {
    let env = test_env!();
    let text = "FROM scratch AS files\nCOPY Dockerfile /\nFROM --platform=linux/loong64 scratch\nRUN [\"/x\"]\n";
    let directory = context(&env, "app", &[("Dockerfile", text)]);
    let failed = build_by(&env, "build", &directory, &[]);
    assert_eq!(failed.code, 1);
    assert!(
        failed.stderr.contains("Dockerfile:4:1: linux/loong64"),
        "{}",
        failed.stderr
    );
    assert!(
        !failed.stderr.contains("#1 "),
        "nothing was begun: {}",
        failed.stderr
    );
    build_by(
        &env,
        "build",
        &directory,
        &["--target", "files", "--platform", "linux/loong64"],
    )
    .ok();
}

#[test]
fn several_platforms_make_an_index() {
    need!(Need::Program("docker-registry"));
    let env = test_env!();
    let registry = Registry::start(&env, Access::Http);
    let text = "FROM scratch\nARG TARGETARCH\nCOPY only-$TARGETARCH /\n";
    let files = [
        ("Dockerfile", text),
        ("only-amd64", "a"),
        ("only-arm64", "b"),
    ];
    let directory = context(&env, "app", &files);
    let name = format!("{}/both:1", registry.address);
    let out = env.path("home/out");
    for command in ["build", "image build", "builder build"] {
        let both = ["--platform", "linux/amd64,linux/arm64"];
        let flags = [&both[..], &["--push", "-q", "-t", &name]].concat();
        let index = build_by(&env, command, &directory, &flags).ok().out();
        assert_eq!(ids(&env), 1, "the index is in the store");
        env.run(&["rmi", &name]).ok();
        let shown = env
            .run(&words("buildx imagetools", &["inspect", &name]))
            .ok();
        assert!(
            shown.stdout.contains(&format!("Digest:    {index}\n")),
            "{}",
            shown.stdout
        );
        for platform in ["linux/amd64", "linux/arm64"] {
            assert!(
                shown.stdout.contains(&format!("  Platform:  {platform}")),
                "{}",
                shown.stdout
            );
            env.run(&["pull", "-q", "--platform", platform, &name]).ok();
            assert_eq!(inspected(&env, &name)["Architecture"], platform[6..]);
            env.run(&["rmi", &name]).ok();
        }
        let raw = env.out(&["buildx", "imagetools", "inspect", "--raw", &name]);
        let raw: Value = serde_json::from_str(&raw).expect("it is JSON");
        assert_eq!(raw["manifests"].as_array().map(Vec::len), Some(2));
        let place = out.to_str().expect("UTF-8");
        build_by(
            &env,
            command,
            &directory,
            &[&both[..], &["-o", place]].concat(),
        )
        .ok();
        assert!(
            out.join("linux_amd64/only-amd64").exists()
                && out.join("linux_arm64/only-arm64").exists()
        );
        std::fs::remove_dir_all(&out).expect("it is the user's");
        let place = format!("type=docker,dest={place}");
        let refused = [&both[..], &["-o", &place, &directory]].concat();
        env.run(&words(command, &refused)).fails(
            125,
            "docker exporter does not currently support exporting manifest lists",
        );
    }
}
