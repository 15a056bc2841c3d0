//! The flags of the verbs on images, in every spelling.

use crate::env::{TestEnv, test_env};
use crate::image::{Layer, busybox, platforms};
use crate::need::{Need, need};
use crate::registry::{Access, Registry};
use crate::spellings::{ask, words};

/// `busybox:latest`, and the image that had this name before.
fn named_and_nameless(env: &TestEnv) {
    env.busybox();
    let newer = busybox().with(&Layer::new().file("new", 0o644, "1"));
    env.load(&newer.docker_archive("busybox:latest"));
}

#[test]
fn images_lists_names() {
    let env = test_env!();
    env.busybox();
    for command in ["images", "image ls"] {
        let table = ask(&env, command, &[]).ok().out();
        assert!(table.starts_with("REPOSITORY"), "{table}");
        let row = table.lines().nth(1).expect("there is one image");
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words[..2], ["busybox", "latest"], "{command}");
    }
}

#[test]
fn images_all_lists_everything() {
    let env = test_env!();
    named_and_nameless(&env);
    for command in ["images", "image ls"] {
        let names = ask(&env, command, &["--format", "{{.Repository}}"]).ok();
        assert_eq!(names.lines(), ["busybox"], "{command}");
        for flag in ["-a", "--all"] {
            let names = ask(&env, command, &[flag, "--format", "{{.Repository}}"]).ok();
            let mut names = names.lines();
            names.sort_unstable();
            assert_eq!(names, ["<none>", "busybox"], "{command} {flag}");
        }
    }
}

#[test]
fn images_digests_adds_a_column() {
    let env = test_env!();
    env.busybox();
    for command in ["images", "image ls"] {
        let table = ask(&env, command, &["--digests"]).ok().out();
        assert!(table.contains("DIGEST"), "{command}: {table}");
        assert!(!ask(&env, command, &[]).ok().out().contains("DIGEST"));
    }
}

#[test]
fn images_filter_dangling() {
    let env = test_env!();
    named_and_nameless(&env);
    let old = busybox().id();
    for command in ["images", "image ls"] {
        for flag in ["-f", "--filter"] {
            let ids = ask(&env, command, &["-q", "--no-trunc", flag, "dangling=true"]);
            assert_eq!(ids.ok().out(), format!("sha256:{old}"), "{command} {flag}");
        }
    }
    let line = format!(
        "{0} images -q --filter dangling=true | xargs {0} rmi",
        crate::env::bryo().display()
    );
    env.other("sh", &["-c", &line]).run().ok();
    assert_eq!(env.out(&["images", "-aq"]).lines().count(), 1);
}

#[test]
fn images_filter_by_labels_that_are_there_or_not() {
    let env = test_env!();
    env.busybox();
    let file = env.file("root.tar", crate::image::busybox_layer().tar());
    env.run(&["import", "-c", "LABEL tier=front", &file, "front:1"])
        .ok();
    for (filter, shown) in [
        ("label=tier", "front"),
        ("label=tier=front", "front"),
        ("label=tier=back", ""),
        ("label!=tier", "busybox"),
        ("label!=tier=back", "front\nbusybox"),
    ] {
        let names = ["--format", "{{.Repository}}", "--filter", filter];
        assert_eq!(ask(&env, "images", &names).ok().out(), shown, "{filter}");
    }
}

#[test]
fn images_format_takes_templates() {
    let env = test_env!();
    env.busybox();
    for command in ["images", "image ls"] {
        let out = ask(&env, command, &["--format", "{{.Repository}}:{{.Tag}}"]);
        assert_eq!(out.ok().out(), "busybox:latest", "{command}");
        let out = ask(&env, command, &["--format", "json"]).ok().out();
        let row: serde_json::Value = serde_json::from_str(&out).expect("it is JSON");
        assert_eq!(row["Tag"], "latest");
    }
}

#[test]
fn images_no_trunc_shows_whole_ids() {
    let env = test_env!();
    env.busybox();
    let id = busybox().id();
    for command in ["images", "image ls"] {
        assert!(ask(&env, command, &["--no-trunc"]).ok().out().contains(&id));
        assert!(!ask(&env, command, &[]).ok().out().contains(&id));
    }
}

#[test]
fn images_quiet_prints_ids() {
    let env = test_env!();
    env.busybox();
    let id = busybox().id();
    for command in ["images", "image ls"] {
        for flag in ["-q", "--quiet"] {
            let out = ask(&env, command, &[flag]).ok().out();
            assert_eq!(out, id[..12], "{command} {flag}");
        }
    }
}

#[test]
fn image_inspect_shows_dockers_keys() {
    let env = test_env!();
    let image = busybox().configured(
        "Healthcheck",
        serde_json::json!({ "Test": ["CMD", "true"] }),
    );
    env.load(&image.docker_archive("busybox:latest"));
    let out = ask(&env, "image inspect", &["busybox"]).ok().out();
    let documents: serde_json::Value = serde_json::from_str(&out).expect("it is JSON");
    let document = &documents[0];
    assert_eq!(document["Id"], format!("sha256:{}", image.id()));
    assert_eq!(document["RepoTags"][0], "busybox:latest");
    assert_eq!(document["Created"], "2024-01-02T03:04:05Z");
    assert_eq!(document["Config"]["Cmd"][0], "sh");
    assert_eq!(document["Config"]["Healthcheck"]["Test"][1], "true");
    let layer = crate::image::digest(&image.layers[0]);
    assert_eq!(document["RootFS"]["Layers"][0], layer);
    let upper = document["GraphDriver"]["Data"]["UpperDir"].as_str();
    assert!(std::path::Path::new(upper.expect("a path")).is_dir());
}

#[test]
fn image_inspect_format() {
    let env = test_env!();
    env.busybox();
    for flag in ["-f", "--format"] {
        let out = ask(
            &env,
            "image inspect",
            &[flag, "{{.Os}} {{index .RepoTags 0}}", "busybox"],
        );
        assert_eq!(out.ok().out(), "linux busybox:latest", "{flag}");
    }
}

#[test]
fn import_makes_an_image() {
    let env = test_env!();
    let file = env.file("root.tar", crate::image::busybox_layer().tar());
    for (number, command) in ["import", "image import"].into_iter().enumerate() {
        let name = format!("made:{number}");
        let id = ask(&env, command, &[&file, &name]).ok().out();
        assert!(id.starts_with("sha256:"), "{command}: {id}");
        let run = [
            "run",
            "--rm",
            "--network",
            "none",
            &name,
            "/bin/echo",
            "yes",
        ];
        assert_eq!(env.out(&run), "yes", "{command}");
    }
}

#[test]
fn import_gives_no_name_with_a_digest() {
    let env = test_env!();
    let file = env.file("root.tar", crate::image::busybox_layer().tar());
    let name = format!("made@sha256:{}", "0".repeat(64));
    let import = env.run(&["import", &file, &name]);
    import.fails(1, "cannot import digest reference");
    assert_eq!(env.out(&["images", "-aq"]), "");
}

#[test]
fn import_message_is_in_the_image() {
    let env = test_env!();
    let file = env.file("root.tar", crate::image::busybox_layer().tar());
    for command in ["import", "image import"] {
        for flag in ["-m", "--message"] {
            let text = format!("said with {command} {flag}");
            let id = ask(&env, command, &[flag, &text, &file]).ok().out();
            assert_eq!(
                env.out(&["image", "inspect", "-f", "{{.Comment}}", &id]),
                text
            );
        }
    }
}

#[test]
fn load_reads_standard_input() {
    let env = test_env!();
    for command in ["load", "image load"] {
        let load = env.command(&words(command, &[]));
        let load = load.input(busybox().docker_archive("busybox:latest")).run();
        assert_eq!(load.ok().out(), "Loaded image: busybox:latest");
        env.run(&["rmi", "busybox"]).ok();
    }
}

#[test]
fn load_input_reads_a_file() {
    let env = test_env!();
    let file = env.file("image.tar", busybox().docker_archive("busybox:latest"));
    for command in ["load", "image load"] {
        for flag in ["-i", "--input"] {
            let load = ask(&env, command, &[flag, &file]).ok();
            assert_eq!(load.out(), "Loaded image: busybox:latest");
            env.run(&["rmi", "busybox"]).ok();
        }
    }
}

#[test]
fn load_quiet_shows_no_progress() {
    let env = test_env!();
    let file = env.file("image.tar", busybox().docker_archive("busybox:latest"));
    for command in ["load", "image load"] {
        let loud = ask(&env, command, &["-i", &file]).ok();
        assert!(
            !loud.stderr.is_empty(),
            "{command} says nothing of its progress"
        );
        env.run(&["rmi", "busybox"]).ok();
        for flag in ["-q", "--quiet"] {
            let quiet = ask(&env, command, &[flag, "-i", &file]).ok();
            assert_eq!(quiet.stderr, "", "{command} {flag}");
            env.run(&["rmi", "busybox"]).ok();
        }
    }
}

#[test]
fn pull_stores_an_image() {
    let env = test_env!();
    need!(Need::Program("docker-registry"), Need::Program("skopeo"));
    let registry = Registry::start(&env, Access::Http);
    let name = registry.push(&env, &busybox(), "app");
    for command in ["pull", "image pull"] {
        let pull = ask(&env, command, &[&name]).ok();
        assert!(pull.stdout.contains(&name), "{command}: {pull:?}");
        assert_eq!(env.out(&["images", "-q"]), busybox().id()[..12]);
        env.run(&["rmi", "-f", &name]).ok();
    }
}

#[test]
fn pull_quiet_prints_only_the_name() {
    let env = test_env!();
    need!(Need::Program("docker-registry"), Need::Program("skopeo"));
    let registry = Registry::start(&env, Access::Http);
    let name = registry.push(&env, &busybox(), "app");
    for command in ["pull", "image pull"] {
        for flag in ["-q", "--quiet"] {
            let pull = ask(&env, command, &[flag, &name]).ok();
            let said = (pull.stdout.trim_end(), pull.stderr.as_str());
            assert_eq!(said, (format!("{name}:latest").as_str(), ""));
            env.run(&["rmi", "-f", &name]).ok();
        }
    }
}

#[test]
fn pull_platform_chooses_from_an_index() {
    let env = test_env!();
    need!(Need::Program("docker-registry"), Need::Program("skopeo"));
    let registry = Registry::start(&env, Access::Http);
    let name = registry.push_index(&env, &platforms(), "both");
    for command in ["pull", "image pull"] {
        for architecture in ["amd64", "arm64"] {
            let platform = format!("linux/{architecture}");
            ask(&env, command, &["--platform", &platform, &name]).ok();
            let pulled = env.out(&["image", "inspect", "-f", "{{.Architecture}}", &name]);
            assert_eq!(pulled, architecture, "{command}");
        }
    }
}

#[test]
fn pull_disable_content_trust_gives_dockers_notice() {
    let env = test_env!();
    need!(Need::Program("docker-registry"), Need::Program("skopeo"));
    let registry = Registry::start(&env, Access::Http);
    let name = registry.push(&env, &busybox(), "app");
    for command in ["pull", "image pull"] {
        ask(&env, command, &["--disable-content-trust", &name])
            .ok()
            .says("Flag --disable-content-trust has been deprecated");
    }
}

#[test]
fn rmi_untags_then_deletes() {
    let env = test_env!();
    for command in ["rmi", "image rm"] {
        env.busybox();
        env.run(&["tag", "busybox", "second:name"]).ok();
        let first = ask(&env, command, &["second:name"]).ok();
        assert_eq!(first.stdout, "Untagged: second:name\n", "{command}");
        let last = ask(&env, command, &["busybox"]).ok();
        assert!(
            last.stdout.contains("Deleted: sha256:"),
            "{command}: {last:?}"
        );
        assert_eq!(env.out(&["images", "-aq"]), "");
    }
}

#[test]
fn rmi_force_removes_every_name() {
    let env = test_env!();
    let id = busybox().id();
    for command in ["rmi", "image rm"] {
        for flag in ["-f", "--force"] {
            env.busybox();
            env.run(&["tag", "busybox", "second:name"]).ok();
            assert_ne!(ask(&env, command, &[&id]).code, 0, "{command}");
            ask(&env, command, &[flag, &id]).ok();
            assert_eq!(env.out(&["images", "-aq"]), "", "{command} {flag}");
        }
    }
}

#[test]
fn tag_gives_another_name() {
    let env = test_env!();
    env.busybox();
    for (number, command) in ["tag", "image tag"].into_iter().enumerate() {
        let name = format!("other:{number}");
        ask(&env, command, &["busybox", &name]).ok();
        let id = env.out(&["images", "-q", &name]);
        assert_eq!(id, busybox().id()[..12], "{command}");
    }
}

#[test]
fn history_shows_the_steps() {
    let env = test_env!();
    let image = busybox().with(&Layer::new().file("new", 0o644, vec![0; 2000]));
    env.load(&image.docker_archive("busybox:latest"));
    let id = image.id();
    for command in ["history", "image history"] {
        let table = ask(&env, command, &["busybox"]).ok();
        let lines = table.lines();
        let headings: Vec<&str> = lines[0]
            .split("  ")
            .filter(|part| !part.is_empty())
            .collect();
        let headings: Vec<&str> = headings.iter().map(|heading| heading.trim()).collect();
        assert_eq!(
            headings,
            ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"]
        );
        assert!(lines[1].starts_with(&id[..12]), "{command}: {table:?}");
        assert!(lines[1].contains(" ago ") && lines[1].contains("a test"));
        assert!(lines[1].contains("2kB"), "{command}: {table:?}");
        assert!(lines[2].starts_with("<missing>"), "{command}: {table:?}");
        for flag in ["-q", "--quiet"] {
            let ids = ask(&env, command, &[flag, "busybox"]).ok().out();
            assert_eq!(ids, format!("{}\n<missing>", &id[..12]));
        }
        let ids = ask(&env, command, &["-q", "--no-trunc", "busybox"]).ok();
        assert_eq!(ids.lines()[0], format!("sha256:{id}"));
    }
}

#[test]
fn history_human_and_format() {
    let env = test_env!();
    let image = busybox().with(&Layer::new().file("new", 0o644, vec![0; 2000]));
    env.load(&image.docker_archive("busybox:latest"));
    for command in ["history", "image history"] {
        for flag in ["-H=false", "--human=false"] {
            let table = ask(&env, command, &[flag, "busybox"]).ok();
            let lines = table.lines();
            assert!(lines[0].contains("CREATED AT"), "{command}: {table:?}");
            assert!(lines[1].contains("2024-01-02T") && lines[1].contains(" 2000 "));
        }
        for flag in ["-H", "--human"] {
            let table = ask(&env, command, &[flag, "busybox"]).ok();
            assert!(table.lines()[1].contains("2kB"));
        }
        let format = ["--format", "{{.Size}} {{.CreatedBy}}", "busybox"];
        let out = ask(&env, command, &format).ok();
        assert_eq!(out.lines()[0], "2kB a test", "{command}");
        let out = ask(&env, command, &["--format", "json", "busybox"]).ok();
        let row: serde_json::Value = serde_json::from_str(out.lines()[0]).expect("it is JSON");
        assert_eq!(row["CreatedBy"], "a test");
        let here = format!("linux/{}", crate::image::architecture());
        ask(&env, command, &["--platform", &here, "busybox"]).ok();
        ask(&env, command, &["--platform", "linux/s390x", "busybox"])
            .fails(1, "does not provide the specified platform (linux/s390x)");
        ask(&env, command, &["nothing"]).fails(1, "No such image: nothing");
    }
}

#[test]
fn untag_takes_names_away_and_keeps_the_image() {
    let env = test_env!();
    env.busybox();
    for command in ["untag", "image untag"] {
        for name in ["a:1", "b:1", "c:1"] {
            env.run(&["tag", "busybox", name]).ok();
        }
        ask(&env, command, &["busybox", "a:1"]).ok();
        ask(&env, "image exists", &["a:1"]).code(1);
        ask(&env, command, &["busybox", "a:1"]).fails(1, "No such image: a:1");
        ask(&env, "image exists", &["b:1"]).ok();
        ask(&env, command, &["b:1"]).ok();
        assert_eq!(env.out(&["images", "-q"]), "", "{command}");
        let missing = ask(&env, "image exists", &["c:1"]).code(1);
        assert_eq!((missing.stdout.as_str(), missing.stderr.as_str()), ("", ""));
        ask(&env, "image exists", &[&busybox().id()[..12]]).ok();
        env.run(&["tag", &busybox().id(), "busybox"]).ok();
    }
}

#[test]
fn import_reads_urls_and_what_xz_and_bzip2_compressed() {
    let env = test_env!();
    let tar = crate::image::busybox_layer().tar();
    let file = env.file("root.tar", &tar);
    env.other("sh", &["-c", "xz -0k root.tar && bzip2 -1k root.tar"])
        .run()
        .ok();
    let server = crate::misbehaving::Registry::start();
    server.put("/files/root.tar", tar.clone(), "application/x-tar");
    let compressed = std::fs::read(format!("{file}.xz")).expect("it was just made");
    server.put("/files/root.tar.xz", compressed, "application/x-xz");
    let url = format!("http://{}/files/root.tar", server.host());
    let sources = [
        format!("{file}.xz"),
        format!("{file}.bz2"),
        url.clone(),
        format!("{url}.xz"),
    ];
    for (number, command) in ["import", "image import"].into_iter().enumerate() {
        for source in &sources {
            let name = format!("made:{number}");
            ask(&env, command, &[source, &name]).ok();
            let layer = [
                "image",
                "inspect",
                "-f",
                "{{index .RootFS.Layers 0}}",
                &name,
            ];
            assert_eq!(env.out(&layer), crate::image::digest(&tar), "{source}");
        }
        let comment = env.out(&["image", "inspect", "-f", "{{.Comment}}", "made:0"]);
        assert_eq!(comment, format!("Imported from {url}.xz"));
    }
    env.run(&["import", &format!("{url}.zip")])
        .fails(1, "the server answered 404");
    env.run(&["import", "http://127.0.0.1:1/x"])
        .fails(1, "127.0.0.1:1");
    let cut = crate::misbehaving::Fault::Truncate(1000);
    server.misbehave("root.tar", 1, cut);
    env.run(&["import", &url]).code(1);
}

#[test]
fn import_change_and_platform_are_in_the_image() {
    let env = test_env!();
    let file = env.file("root.tar", crate::image::busybox_layer().tar());
    for command in ["import", "image import"] {
        for flag in ["-c", "--change"] {
            let words = [
                flag,
                "CMD [\"/bin/echo\", \"yes\"]",
                flag,
                "HEALTHCHECK CMD true",
                "--platform",
                "linux/arm64/v8",
                &file,
                "made:1",
            ];
            ask(&env, command, &words).ok();
            let format = "{{.Config.Cmd}} {{.Config.Healthcheck.Test}} {{.Os}}/{{.Architecture}}";
            let said = env.out(&["image", "inspect", "-f", format, "made:1"]);
            assert_eq!(said, "[/bin/echo yes] [CMD-SHELL true] linux/arm64");
        }
        let native = ["-c", "CMD [\"/bin/echo\", \"yes\"]", &file, "made:2"];
        ask(&env, command, &native).ok();
        let out = env.out(&["run", "--rm", "--network", "none", "made:2"]);
        assert_eq!(out, "yes", "{command}");
        ask(&env, command, &["-c", "FROM x", &file]).fails(1, "not a valid change command");
        ask(&env, command, &["--platform", "a/b/c/d", &file]).fails(1, "platform");
    }
}

#[test]
fn load_reads_what_xz_and_bzip2_compressed() {
    let env = test_env!();
    env.file("image.tar", busybox().docker_archive("busybox:latest"));
    env.other("sh", &["-c", "xz -0k image.tar && bzip2 -1k image.tar"])
        .run()
        .ok();
    for name in ["image.tar.xz", "image.tar.bz2"] {
        let load = env.out(&["load", "-i", name]);
        assert_eq!(load, "Loaded image: busybox:latest", "{name}");
        env.run(&["rmi", "busybox"]).ok();
    }
}

#[test]
fn rmi_platform() {
    let env = test_env!();
    let here = format!("linux/{}", crate::image::architecture());
    for command in ["rmi", "image rm"] {
        named_and_nameless(&env);
        ask(&env, command, &["--platform", "linux/s390x", "busybox"])
            .fails(1, "does not provide the specified platform (linux/s390x)");
        ask(&env, command, &["--platform", &here, "busybox"]).ok();
        ask(&env, "image exists", &["busybox"]).code(1);
        env.run(&["image", "prune", "-f"]).ok();
    }
}

#[test]
fn image_inspect_platform() {
    let env = test_env!();
    env.busybox();
    let here = format!("linux/{}", crate::image::architecture());
    let inspect = |platform| ask(&env, "image inspect", &["--platform", platform, "busybox"]);
    inspect(&here).ok();
    inspect("linux/s390x").fails(1, "does not provide the specified platform (linux/s390x)");
}

#[test]
fn images_filter_until() {
    let env = test_env!();
    env.busybox();
    // The images of the tests were made in 2024.
    for (until, shown) in [("2023-01-01", 0), ("24h", 1), ("2024-02-01T00:00:00Z", 1)] {
        let filter = format!("until={until}");
        for command in ["images", "image ls"] {
            let ids = ask(&env, command, &["-q", "--filter", &filter]).ok();
            assert_eq!(ids.lines().len(), shown, "{command} {until}");
        }
    }
    ask(&env, "images", &["--filter", "until=soon"]).fails(1, "until=soon");
}

#[test]
fn image_tree_and_diff_show_layers() {
    let env = test_env!();
    env.busybox();
    let layer = Layer::new()
        .file("new", 0o644, vec![0; 2000])
        .file("etc/passwd", 0o644, "root:x:0:0::/:/bin/sh\n")
        .file("bin/.wh.vi", 0o644, "");
    let image = busybox().with(&layer);
    env.load(&image.docker_archive("above:1"));
    let tree = ask(&env, "image tree", &["above:1"]).ok();
    let lines = tree.lines();
    assert_eq!(lines[0], format!("Image ID: {}", &image.id()[..12]));
    assert_eq!(lines[1], "Tags:     [above:1]");
    assert_eq!(lines[3], "Image Layers");
    assert!(
        lines[4].starts_with("├── ID: ") && lines[4].ends_with(" Top Layer of: [busybox:latest]")
    );
    assert!(
        lines[5].starts_with("└── ID: ") && lines[5].contains(" Size:  2.02kB "),
        "{tree:?}"
    );
    let changed = ask(&env, "image diff", &["above:1"]).ok();
    let mut changed = changed.lines();
    changed.sort_unstable();
    assert_eq!(
        changed,
        ["A /new", "C /bin", "C /etc", "C /etc/passwd", "D /bin/vi"]
    );
    ask(&env, "image diff", &["nothing"]).fails(1, "No such image: nothing");
}

#[test]
fn images_tree_shows_platforms() {
    let env = test_env!();
    env.busybox();
    env.run(&["tag", "busybox", "second:name"]).ok();
    env.run(&["create", "busybox"]).ok();
    for command in ["images", "image ls"] {
        let out = ask(&env, command, &["--tree"]).ok();
        let lines = out.lines();
        let heading: Vec<&str> = lines[0].split_whitespace().collect();
        let expected = "IMAGE ID DISK USAGE CONTENT SIZE EXTRA";
        assert_eq!(heading.join(" "), expected, "{command}");
        assert_eq!(lines[1], "busybox:latest", "{command}");
        let row: Vec<&str> = lines[2].split_whitespace().collect();
        assert_eq!(row[..2], ["second:name", &busybox().id()[..12]]);
        assert!(row[2].ends_with("MB") && row[4] == "U", "{row:?}");
        let platform = format!("linux/{}", crate::image::architecture());
        assert!(lines[3].starts_with(&format!("└─ {platform}")), "{lines:?}");
        for (flag, words) in [
            ("-q", "--quiet"),
            ("--no-trunc", "--no-trunc"),
            ("--digests", "--show-digest"),
            ("--format=json", "--format"),
        ] {
            let message = format!("{words} is not yet supported with --tree");
            ask(&env, command, &["--tree", flag]).fails(1, &message);
        }
        let none = ask(&env, command, &["--tree", "-f", "dangling=true"]).ok();
        assert_eq!(none.lines().len(), 1, "{none:?}");
    }
}

/// A nameless image, and `child` that was made from it.
fn child_of_nameless(env: &TestEnv) -> String {
    env.run(&[
        "run",
        "--name",
        "maker",
        "--network",
        "none",
        "busybox",
        "touch",
        "/x",
    ])
    .ok();
    env.run(&["commit", "maker", "parent"]).ok();
    env.run(&["rm", "maker"]).ok();
    env.run(&[
        "run",
        "--name",
        "maker",
        "--network",
        "none",
        "parent",
        "touch",
        "/y",
    ])
    .ok();
    env.run(&["commit", "maker", "child"]).ok();
    env.run(&["rm", "maker"]).ok();
    let id = env.out(&["image", "inspect", "-f", "{{.Id}}", "parent"]);
    env.run(&["untag", "parent"]).ok();
    id
}

#[test]
fn rmi_no_prune_keeps_nameless_parents() {
    let env = test_env!();
    env.busybox();
    for command in ["rmi", "image rm"] {
        let parent = child_of_nameless(&env);
        let removed = ask(&env, command, &["--no-prune", "child"]).ok();
        assert!(!removed.stdout.contains(&parent), "{removed:?}");
        env.run(&["image", "exists", &parent]).ok();
        env.run(&["rmi", &parent]).ok();

        let parent = child_of_nameless(&env);
        env.run(&["create", "--name", "user", &parent]).ok();
        ask(&env, command, &["child"]).ok();
        env.run(&["image", "exists", &parent]).ok();
        env.run(&["rm", "user"]).ok();
        env.run(&["rmi", &parent]).ok();

        let parent = child_of_nameless(&env);
        ask(&env, command, &["child"])
            .ok()
            .prints(&format!("Deleted: {parent}"));
        env.run(&["image", "exists", &parent]).code(1);
        // Its own parent has a name.
        env.run(&["image", "exists", "busybox"]).ok();
    }
}
