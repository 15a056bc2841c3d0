//! `build` for several platforms, and with attestations, into the store: an index under one name, and what every command makes of it.

use serde_json::Value;

use crate::dockerfile::{build, build_by, context, inspected, shell};
use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::registry::{Access, Registry};

/// For this host and another architecture; what runs is this host's.
const TEXT: &str = "FROM --platform=$BUILDPLATFORM busybox AS tools\nFROM scratch\nCOPY --from=tools / /\nARG TARGETARCH\nCOPY only-$TARGETARCH /which\n";

const BOTH: [&str; 2] = ["--platform", "linux/s390x,linux/amd64"];

fn files(env: &TestEnv) -> String {
    env.busybox();
    let files = [
        ("Dockerfile", TEXT),
        ("only-amd64", "here"),
        ("only-s390x", "elsewhere"),
    ];
    context(env, "app", &files)
}

fn rows(env: &TestEnv, flags: &[&str]) -> Vec<String> {
    let format = ["--format", "{{.Repository}}:{{.Tag}}", "-a"];
    let listed = env.out(&[&["images"], &format[..], flags].concat());
    let mut rows: Vec<String> = listed.lines().map(str::to_owned).collect();
    rows.sort();
    rows
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON")
}

/// A member of an archive.
fn member(env: &TestEnv, archive: &str, name: &str) -> Value {
    json(&env.other("tar", &["xOf", archive, name]).run().ok().stdout)
}

fn blob(env: &TestEnv, archive: &str, descriptor: &Value) -> Value {
    let digest = descriptor["digest"].as_str().expect("a digest");
    member(env, archive, &format!("blobs/{}", digest.replace(':', "/")))
}

fn architectures(index: &Value) -> Vec<&str> {
    let manifests = index["manifests"].as_array().expect("an index");
    manifests
        .iter()
        .map(|one| one["platform"]["architecture"].as_str().unwrap_or_default())
        .collect()
}

#[test]
fn an_index_stays_in_the_store_under_its_name() {
    let env = test_env!();
    let directory = files(&env);
    for command in ["build", "image build", "builder build", "buildx build"] {
        let iid = env.path("home/iid");
        let flags = [
            "-t",
            "app:1",
            "--iidfile",
            iid.to_str().expect("UTF-8"),
            "-q",
        ];
        let index = build_by(&env, command, &directory, &[&BOTH[..], &flags].concat())
            .ok()
            .out();
        assert_eq!(std::fs::read_to_string(&iid).expect("written"), index);
        assert_eq!(rows(&env, &["--filter", "reference=app"]), ["app:1"]);
        assert_eq!(rows(&env, &["--filter", "dangling=true"]), [""; 0]);
        let shown = env.out(&["images", "--digests", "--format", "{{.Digest}}", "app"]);
        assert_eq!(shown, index);
        // This host's is the one that runs.
        assert_eq!(shell(&env, "app:1", "cat /which"), "here");
        assert_eq!(shell(&env, &index, "cat /which"), "here");
        assert_eq!(inspected(&env, "app:1")["Architecture"], "amd64");
        let other = ["image", "inspect", "--platform", "linux/s390x", "app:1"];
        let other = json(&env.out(&other))[0].clone();
        assert_eq!(other["Architecture"], "s390x");
        assert_eq!(other["RepoTags"][0], "app:1");
        env.run(&["image", "inspect", "--platform", "linux/arm", "app:1"])
            .fails(1, "does not provide the specified platform");
        let other = other["Id"].as_str().expect("an id");
        let created = [
            "create",
            "--platform",
            "linux/s390x",
            "--pull",
            "never",
            "app:1",
        ];
        let container = env.out(&created);
        let image = env.out(&["inspect", "--format", "{{.Image}}", &container]);
        assert_eq!(image, other);
        // All of it goes, or nothing.
        env.run(&["rmi", other]).fails(1, "image is part of app:1");
        env.run(&["rmi", "--platform", "linux/s390x", "app:1"])
            .fails(1, "is an index");
        env.run(&["rmi", "app:1"]).fails(1, "must force");
        env.run(&["rm", &container]).ok();
        let tree = env.out(&["images", "--tree", "app"]);
        assert!(
            tree.contains("├─ linux/amd64") && tree.contains("└─ linux/s390x"),
            "{tree}"
        );
        // A name of one of its images is none of the index.
        let head = inspected(&env, "app:1")["Id"].clone();
        env.run(&["tag", head.as_str().expect("an id"), "alone:1"])
            .ok();
        let alone = env.out(&["images", "--tree", "alone"]);
        assert_eq!(alone.lines().count(), 3, "{alone}");
        let both = env.out(&["images", "--tree"]);
        let at = |part: &str| both.lines().position(|line| line.contains(part));
        assert_eq!(
            at("linux/s390x"),
            at("app:1").map(|line| line + 2),
            "{both}"
        );
        env.run(&["rmi", "alone:1"]).ok();
        // Another name is one of the index.
        env.run(&["tag", "app:1", "app:2"]).ok();
        env.run(&["rmi", "app:1"]).ok();
        env.run(&["image", "inspect", "--platform", "linux/s390x", "app:2"])
            .ok();
        assert!(env.out(&["system", "check"]).is_empty());
        let gone = env.out(&["rmi", "app:2"]);
        for deleted in [index.as_str(), other] {
            assert!(gone.contains(&format!("Deleted: {deleted}")), "{gone}");
        }
        assert_eq!(rows(&env, &[]), ["busybox:latest"]);
        env.run(&["builder", "prune", "-af"]).ok();
        assert!(env.out(&["system", "check"]).is_empty());
    }
}

#[test]
fn an_index_without_a_name_goes_as_a_whole() {
    let env = test_env!();
    let directory = files(&env);
    build(&env, &directory, &["-t", "one"]).ok();
    let index = build(&env, &directory, &[&BOTH[..], &["-q"]].concat())
        .ok()
        .out();
    // The image for this host has a name of its own already.
    assert_eq!(
        rows(&env, &[]),
        ["<none>:<none>", "busybox:latest", "one:latest"]
    );
    let pruned = env.out(&["image", "prune", "-f"]);
    assert!(pruned.contains(&format!("deleted: {index}")), "{pruned}");
    assert_eq!(rows(&env, &[]), ["busybox:latest", "one:latest"]);
    // One that loses its name to another image is one without a name.
    build(&env, &directory, &[&BOTH[..], &["-t", "moved"]].concat()).ok();
    env.run(&["tag", "busybox", "moved"]).ok();
    env.run(&["rmi", "one"]).ok();
    assert_eq!(
        rows(&env, &[]),
        ["<none>:<none>", "busybox:latest", "moved:latest"]
    );
    env.run(&["rmi", &index]).ok();
    assert_eq!(rows(&env, &[]), ["busybox:latest", "moved:latest"]);
    assert!(env.out(&["system", "check"]).is_empty());
    // What cannot be built for one platform leaves nothing of the others.
    let text = "FROM scratch\nARG TARGETARCH\nCOPY only-$TARGETARCH /\n";
    let broken = context(&env, "broken", &[("Dockerfile", text), ("only-s390x", "")]);
    assert_eq!(
        build(&env, &broken, &[&BOTH[..], &["-t", "broken"]].concat()).code,
        1
    );
    assert_eq!(rows(&env, &[]), ["busybox:latest", "moved:latest"]);
}

#[test]
fn an_index_is_saved_and_is_a_base_for_each_platform() {
    let env = test_env!();
    let directory = files(&env);
    let annotated = [
        "--annotation",
        "index:org.a=1",
        "--annotation",
        "manifest[linux/s390x]:org.b=2",
        "--annotation",
        "manifest-descriptor:org.c=3",
    ];
    build(
        &env,
        &directory,
        &[&BOTH[..], &annotated, &["-t", "app"]].concat(),
    )
    .ok();
    let archive = env.path("home/app.tar");
    let archive = archive.to_str().expect("UTF-8");
    for format in ["docker-archive", "oci-archive"] {
        env.run(&["save", "--format", format, "-o", archive, "app"])
            .ok();
        let layout = member(&env, archive, "index.json");
        let index = blob(&env, archive, &layout["manifests"][0]);
        assert_eq!(architectures(&index), ["s390x", "amd64"], "{format}");
        assert_eq!(index["annotations"]["org.a"], "1");
        assert_eq!(index["manifests"][1]["annotations"]["org.c"], "3");
        let s390x = blob(&env, archive, &index["manifests"][0]);
        assert_eq!(s390x["annotations"]["org.b"], "2");
        assert!(blob(&env, archive, &index["manifests"][1])["annotations"].is_null());
        std::fs::remove_file(archive).expect("it was written");
    }
    env.run(&["save", "-o", archive, "--platform", "linux/s390x", "app"])
        .ok();
    let listed = member(&env, archive, "manifest.json");
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_eq!(listed[0]["RepoTags"][0], "app:latest");
    env.run(&["rmi", "app"]).ok();
    env.run(&["load", "--platform", "linux/s390x", "-i", archive])
        .ok();
    assert_eq!(inspected(&env, "app")["Architecture"], "s390x");
    // From the archive of all, all is taken, in each format; of one platform, that.
    let place = format!("type=oci,dest={archive}");
    build(
        &env,
        &directory,
        &[&BOTH[..], &["-t", "app", "-o", &place]].concat(),
    )
    .ok();
    let digest =
        |env: &TestEnv| env.out(&["images", "--digests", "--format", "{{.Digest}}", "app"]);
    let made = {
        build(
            &env,
            &directory,
            &[&BOTH[..], &annotated, &["-t", "app"]].concat(),
        )
        .ok();
        digest(&env)
    };
    let formats = ["docker-archive", "oci-archive"];
    let saved = formats.map(|format| env.path(&format!("home/{format}")));
    let saved = saved.map(|path| path.to_string_lossy().into_owned());
    for (format, saved) in formats.iter().zip(&saved) {
        env.run(&["save", "--format", format, "-o", saved, "app"])
            .ok();
    }
    for saved in &saved {
        env.run(&["rmi", "app"]).ok();
        assert_eq!(rows(&env, &[]), ["busybox:latest"]);
        let loaded = env.run(&["load", "-i", saved]).ok();
        assert!(
            loaded.stdout.contains("Loaded image: app:latest"),
            "{loaded:?}"
        );
        assert_eq!(digest(&env), made, "{saved}: with its annotations");
        env.run(&["image", "inspect", "--platform", "linux/s390x", "app"])
            .ok();
    }
    env.run(&["rmi", "app"]).ok();
    env.run(&["load", "--platform", "linux/s390x", "-i", archive])
        .ok();
    assert_eq!(inspected(&env, "app")["Architecture"], "s390x");
    env.run(&["rmi", "app"]).ok();
    env.run(&["load", "-i", archive]).ok();
    assert_eq!(shell(&env, "app", "cat /which"), "here");
    // A build on an index takes what is for its platform.
    build(&env, &directory, &[&BOTH[..], &["-t", "app"]].concat()).ok();
    let text = "FROM app\nCOPY Dockerfile /d\n";
    let above = context(&env, "above", &[("Dockerfile", text)]);
    build(&env, &above, &[&BOTH[..], &["-t", "above"]].concat()).ok();
    env.run(&["save", "-o", archive, "above"]).ok();
    let index = blob(
        &env,
        archive,
        &member(&env, archive, "index.json")["manifests"][0],
    );
    assert_eq!(architectures(&index), ["s390x", "amd64"]);
    let of_above = shell(&env, "above", "cat /which /d");
    assert_eq!(of_above, format!("here{}", text.trim_end()));
}

#[test]
fn an_index_of_the_store_is_pushed_with_what_is_said() {
    need!(Need::Program("docker-registry"));
    let env = test_env!();
    let registry = Registry::start(&env, Access::Http);
    let directory = files(&env);
    let name = format!("{}/app:1", registry.address);
    let said = [
        "--sbom=true",
        "--provenance=mode=max",
        "--annotation",
        "index:org.a=1",
    ];
    build(
        &env,
        &directory,
        &[&BOTH[..], &said, &["-t", &name]].concat(),
    )
    .ok();
    env.run(&["push", &name]).ok();
    let raw = |name: &str| json(&env.out(&["buildx", "imagetools", "inspect", "--raw", name]));
    let index = raw(&name);
    assert_eq!(
        architectures(&index),
        ["s390x", "amd64", "unknown", "unknown"]
    );
    assert_eq!(index["annotations"]["org.a"], "1");
    let repository = format!("{}/app", registry.address);
    for number in 0..2 {
        let image = &index["manifests"][number];
        let about = &index["manifests"][number + 2];
        assert_eq!(
            about["annotations"]["vnd.docker.reference.digest"],
            image["digest"]
        );
        let digest = about["digest"].as_str().expect("a digest");
        let manifest = raw(&format!("{repository}@{digest}"));
        let kinds = manifest["layers"].as_array().expect("statements").iter();
        let kinds: Vec<&str> = kinds
            .filter_map(|layer| layer["annotations"]["in-toto.io/predicate-type"].as_str())
            .collect();
        assert_eq!(
            kinds,
            [
                "https://spdx.dev/Document",
                "https://slsa.dev/provenance/v1"
            ]
        );
    }
    // One of its images can be pushed alone.
    env.run(&["tag", &name, &format!("{repository}:alone")])
        .ok();
    env.run(&[
        "push",
        "--platform",
        "linux/s390x",
        &format!("{repository}:alone"),
    ])
    .ok();
    assert!(raw(&format!("{repository}:alone"))["layers"].is_array());
    env.run(&["rmi", &name, &format!("{repository}:alone")])
        .ok();
    for (platform, architecture) in [("linux/amd64", "amd64"), ("linux/s390x", "s390x")] {
        env.run(&["pull", "-q", "--platform", platform, &name]).ok();
        assert_eq!(inspected(&env, &name)["Architecture"], architecture);
    }
}

#[test]
fn attestations_stay_in_the_store() {
    let env = test_env!();
    env.busybox();
    let directory = context(
        &env,
        "app",
        &[("Dockerfile", "FROM busybox\nRUN echo x > /x\n")],
    );
    let flags = ["--sbom=true", "--provenance=true", "-t", "said"];
    for command in ["build", "image build", "builder build"] {
        build_by(&env, command, &directory, &flags).ok();
        assert_eq!(shell(&env, "said", "cat /x"), "x");
        let archive = env.path("home/said.tar");
        let archive = archive.to_str().expect("UTF-8");
        env.run(&["save", "-o", archive, "said"]).ok();
        let index = blob(
            &env,
            archive,
            &member(&env, archive, "index.json")["manifests"][0],
        );
        assert_eq!(architectures(&index), ["amd64", "unknown"]);
        let about = blob(&env, archive, &index["manifests"][1]);
        let statement = blob(&env, archive, &about["layers"][0]);
        let subject = statement["subject"][0]["digest"]["sha256"]
            .as_str()
            .expect("a digest");
        assert_eq!(index["manifests"][0]["digest"], format!("sha256:{subject}"));
        assert!(env.out(&["system", "check"]).is_empty());
        // The same image without what is said is the same image.
        let plain = build(&env, &directory, &["-q"]).ok().out();
        assert_eq!(inspected(&env, "said")["Id"], plain.as_str());
        env.run(&["rmi", "said"]).ok();
    }
    build(&env, &directory, &["--sbom=true", "-o", "type=cacheonly"]).fails(125, "have no place");
}
