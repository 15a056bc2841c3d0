//! `build --output`: BuildKit's fields of each type, each with what it does.

use serde_json::Value;

use crate::dockerfile::{build, build_text, context, inspected};
use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::registry::{Access, Registry};

fn files(env: &TestEnv) -> String {
    env.busybox();
    context(
        env,
        "app",
        &[("Dockerfile", "FROM busybox\nRUN echo x > /x\n")],
    )
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON")
}

/// The manifest of an archive's only image.
fn manifest(env: &TestEnv, archive: &str) -> (Value, Value) {
    let member = |name: &str| json(&env.other("tar", &["xOf", archive, name]).run().ok().stdout);
    let layout = member("index.json");
    let digest = layout["manifests"][0]["digest"].as_str().expect("a digest");
    let manifest = member(&format!("blobs/{}", digest.replace(':', "/")));
    (layout, manifest)
}

fn types(manifest: &Value) -> Vec<&str> {
    let layers = manifest["layers"].as_array().expect("layers");
    layers
        .iter()
        .filter_map(|layer| layer["mediaType"].as_str())
        .collect()
}

#[test]
fn layers_of_archives_are_compressed_as_asked_for() {
    let env = test_env!();
    let directory = files(&env);
    let archive = env.path("home/app.tar");
    let archive = archive.to_str().expect("UTF-8");
    let oci = "application/vnd.oci.image.layer.v1.tar";
    for (fields, ending) in [
        ("", ""),
        (",compression=uncompressed", ""),
        (",compression=gzip", "+gzip"),
        (",compression-level=9", "+gzip"),
        (
            ",compression=zstd,compression-level=19,force-compression=true",
            "+zstd",
        ),
    ] {
        let annotated = "annotation.org.x=y";
        let place = format!("type=oci,dest={archive},{annotated}{fields}");
        build(&env, &directory, &["-o", &place, "-t", "packed"]).ok();
        let (_, found) = manifest(&env, archive);
        assert_eq!(
            types(&found),
            [format!("{oci}{ending}"), format!("{oci}{ending}")],
            "{fields}"
        );
        assert_eq!(found["annotations"]["org.x"], "y", "{fields}");
        env.run(&["load", "-i", archive]).ok();
        assert_eq!(
            env.out(&["run", "--rm", "--network", "none", "packed", "cat", "/x"]),
            "x"
        );
        env.run(&["rmi", "packed"]).ok();
    }
    let out = env.path("home/layout");
    let place = format!("type=oci,tar=false,dest={},compression=gzip", out.display());
    build(&env, &directory, &["-o", &place, "-t", "packed"]).ok();
    env.run(&["load", "-i", out.to_str().expect("UTF-8")]).ok();
    env.run(&["rmi", "packed"]).ok();
    let place = format!("type=docker,dest={archive},compression=gzip,oci-mediatypes=false");
    build(&env, &directory, &["-o", &place, "-t", "packed"]).ok();
    let (_, found) = manifest(&env, archive);
    assert_eq!(
        types(&found),
        ["application/vnd.docker.image.rootfs.diff.tar.gzip"; 2]
    );
    env.run(&["load", "-i", archive]).ok();
}

#[test]
fn annotations_of_descriptors_stand_in_the_layout() {
    let env = test_env!();
    let directory = files(&env);
    let archive = env.path("home/app.tar");
    let archive = archive.to_str().expect("UTF-8");
    let place = format!(
        "type=oci,dest={archive},annotation-manifest-descriptor.a=1,annotation-index-descriptor.b=2"
    );
    build(&env, &directory, &["-o", &place, "-t", "noted"]).ok();
    let (layout, found) = manifest(&env, archive);
    let noted = &layout["manifests"][0]["annotations"];
    assert_eq!((&noted["a"], &noted["b"]), (&json("\"1\""), &json("\"2\"")));
    assert!(found["annotations"].is_null());
    for (flags, message) in [
        (
            ["--annotation", "index:a=b"],
            "not supported for single platform export",
        ),
        (
            ["--annotation", "manifest-descriptor:a=b"],
            "there is none here",
        ),
        (["--annotation", "planet:a=b"], "unknown annotation type"),
        (
            ["-o", "type=image,annotation-index.a=b"],
            "not supported for single platform",
        ),
    ] {
        build(&env, &directory, &flags).fails(125, message);
    }
}

#[test]
fn fields_of_images_say_where_they_are_and_how() {
    need!(Need::Program("docker-registry"));
    let env = test_env!();
    let registry = Registry::start(&env, Access::Http);
    let directory = files(&env);
    let repository = format!("{}/app", registry.address);
    let raw = |name: &str| json(&env.out(&["buildx", "imagetools", "inspect", "--raw", name]));
    let rows = || {
        let rows = env.out(&["images", "-a", "--format", "{{.Repository}} {{.Tag}}"]);
        rows.lines()
            .filter(|row| !row.starts_with("busybox"))
            .count()
    };
    let output = |fields: &str| {
        let place = format!("type=image,{fields}");
        build(&env, &directory, &["-q", "-o", &place]).ok().out()
    };
    // Pushed and not kept.
    output(&format!(
        "name={repository}:1,push=true,store=false,compression=zstd,force-compression=true"
    ));
    assert_eq!(
        types(&raw(&format!("{repository}:1"))),
        ["application/vnd.oci.image.layer.v1.tar+zstd"; 2]
    );
    assert_eq!(rows(), 0);
    output(&format!(
        "name={repository}:2,push=true,oci-mediatypes=false"
    ));
    let found = raw(&format!("{repository}:2"));
    assert_eq!(
        found["mediaType"],
        "application/vnd.docker.distribution.manifest.v2+json"
    );
    assert_eq!(
        types(&found),
        ["application/vnd.docker.image.rootfs.diff.tar.gzip"; 2]
    );
    env.run(&["rmi", &format!("{repository}:2")]).ok();
    // Without a tag there.
    let quiet = format!("name={repository}:untagged,push=true,push-by-digest=true");
    build(
        &env,
        &directory,
        &[
            "-o",
            &format!("type=image,{quiet}"),
            "--metadata-file",
            &env.file("md", ""),
        ],
    )
    .ok();
    let metadata = json(&std::fs::read_to_string(env.path("home/md")).expect("written"));
    let digest = metadata["containerimage.digest"]
        .as_str()
        .expect("a digest");
    assert!(raw(&format!("{repository}@{digest}"))["layers"].is_array());
    env.run(&[
        "buildx",
        "imagetools",
        "inspect",
        &format!("{repository}:untagged"),
    ])
    .code(1);
    env.run(&["rmi", &format!("{repository}:untagged")]).ok();
    // Names by digest.
    output("name=canonical:1,name-canonical=true");
    let digests = inspected(&env, "canonical:1")["RepoDigests"][0].clone();
    assert!(
        digests
            .as_str()
            .is_some_and(|name| name.starts_with("canonical@sha256:")),
        "{digests}"
    );
    env.run(&["rmi", "canonical:1"]).ok();
    let id = output("dangling-name-prefix=nobody");
    let names = inspected(&env, &id)["RepoDigests"].clone();
    assert!(
        names[0]
            .as_str()
            .is_some_and(|name| name.starts_with("nobody@sha256:")),
        "{names}"
    );
    for (place, message) in [
        (
            "type=image,unpack=false",
            "unpack=false: layers of the store",
        ),
        ("type=image,registry.insecure=true", "config.toml"),
        ("type=image,oci-artifact=true", "attestations are images"),
        (
            "type=image,rewrite-timestamp=false",
            "rewrite-timestamp=false",
        ),
        ("type=oci,dest=x,compression=estargz", "compression=estargz"),
        (
            "type=image,compression=lzma",
            "uncompressed, gzip and zstd are",
        ),
        (
            "type=docker,dest=x,tar=false",
            "docker's format is an archive",
        ),
        ("type=image,context=far", "there is one store"),
    ] {
        let refused = env.run(&["build", "-o", place, &directory]);
        assert_eq!(refused.code, 125, "{place}");
        let is_said = refused.stderr.contains(message) || place.ends_with("far");
        assert!(is_said, "{place}: {}", refused.stderr);
    }
    build(
        &env,
        &directory,
        &["-o", "type=image,rewrite-timestamp=true,unpack=true", "-q"],
    )
    .ok();
}

#[test]
fn platforms_are_split_or_merged_as_asked_for() {
    let env = test_env!();
    let text = "FROM scratch\nARG TARGETARCH\nCOPY only-$TARGETARCH /sub/\n";
    let files = [
        ("Dockerfile", text),
        ("only-amd64", "a"),
        ("only-s390x", "b"),
    ];
    let directory = context(&env, "app", &files);
    let both = ["--platform", "linux/amd64,linux/s390x", "--provenance=true"];
    let out = env.path("home/out");
    let built = |fields: &str| {
        let place = format!("type=local,dest={}{fields}", out.display());
        build(&env, &directory, &[&both[..], &["-o", &place]].concat()).ok();
        let mut found = Vec::new();
        let listed = env.other(
            "find",
            &[
                out.to_str().expect("UTF-8"),
                "-type",
                "f",
                "-printf",
                "%P\n",
            ],
        );
        found.extend(listed.run().ok().stdout.lines().map(str::to_owned));
        found.sort();
        std::fs::remove_dir_all(&out).expect("it is the user's");
        found
    };
    assert_eq!(
        built(",attestation-prefix=of-"),
        [
            "linux_amd64/of-provenance.json",
            "linux_amd64/sub/only-amd64",
            "linux_s390x/of-provenance.json",
            "linux_s390x/sub/only-s390x"
        ]
    );
    assert_eq!(
        built(",platform-split=false,mode=copy"),
        [
            "provenance.linux_amd64.json",
            "provenance.linux_s390x.json",
            "sub/only-amd64",
            "sub/only-s390x"
        ]
    );
    let tar = env.path("home/out.tar");
    let place = format!("type=tar,dest={}", tar.display());
    build(&env, &directory, &[&both[..2], &["-o", &place]].concat()).ok();
    let listed = env
        .other("tar", &["tf", tar.to_str().expect("UTF-8")])
        .run()
        .ok();
    assert_eq!(
        listed.stdout,
        "linux_amd64/\nlinux_amd64/sub/\nlinux_amd64/sub/only-amd64\nlinux_s390x/\nlinux_s390x/sub/\nlinux_s390x/sub/only-s390x\n"
    );
    let one = format!("type=local,dest={},platform-split=true", out.display());
    build_text(&env, "FROM scratch\nCOPY Dockerfile /\n", &["-o", &one]);
    assert!(out.join("linux_amd64/Dockerfile").exists());
    // Two that would lie in one place.
    let clash = context(
        &env,
        "clash",
        &[("Dockerfile", "FROM scratch\nCOPY Dockerfile /sub/\n")],
    );
    let place = format!("type=local,dest={},platform-split=false", out.display());
    build(&env, &clash, &[&both[..2], &["-o", &place]].concat())
        .fails(1, "cannot overwrite sub/Dockerfile");
    let place = format!("type=local,dest={},mode=delete", out.display());
    build(&env, &clash, &["-o", &place]).fails(125, "mode: files are copied over what is there");
}
