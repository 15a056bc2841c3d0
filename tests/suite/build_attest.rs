//! `--sbom`, `--provenance`, `--attest`: what is said of an image, held against what the specifications demand.

use serde_json::Value;

use crate::dockerfile::{build, build_by, context, inspected};
use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::registry::{Access, Registry};

const TEXT: &str = "FROM busybox AS base\nARG TOKEN\nRUN --mount=type=secret,id=key test -n \"$TOKEN\" && test -s /run/secrets/key\n\
    COPY status /var/lib/dpkg/status\nCOPY Cargo.lock package-lock.json /app/\n";
const STATUS: &str = "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nMaintainer: Matthias <m@example.org>\nVersion: 5.2-1\n";
const CARGO: &str = "[[package]]\nname = \"serde\"\nversion = \"1.0.2\"\n";
const NPM: &str = r#"{"packages": {"node_modules/@a/b": {"version": "1.0.0", "license": "MIT"}}}"#;

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} is no text in {value:#}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key]
        .as_array()
        .unwrap_or_else(|| panic!("{key} is no list in {value:#}"))
}

/// RFC 3339 in whole seconds and UTC, as both specifications want it.
fn is_time(text: &str) -> bool {
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    shape == "0000-00-00T00:00:00Z"
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Only these keys.
fn has_only(value: &Value, keys: &[&str]) {
    for key in value.as_object().expect("an object").keys() {
        assert!(
            keys.contains(&key.as_str()),
            "{key} is not known in {value:#}"
        );
    }
}

/// in-toto's Statement, version 1; its subject is this manifest. Gives the predicate.
fn statement<'a>(statement: &'a Value, kind: &str, manifest: &str) -> &'a Value {
    has_only(
        statement,
        &["_type", "subject", "predicateType", "predicate"],
    );
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], kind);
    let subjects = list(statement, "subject");
    assert!(!subjects.is_empty());
    for subject in subjects {
        assert!(!text(subject, "name").is_empty());
        assert_eq!(
            format!("sha256:{}", text(&subject["digest"], "sha256")),
            manifest
        );
    }
    &statement["predicate"]
}

/// SPDX 2.3, clauses 6, 7 and 11, for what a document without files has.
fn check_spdx(document: &Value) {
    assert_eq!(document["spdxVersion"], "SPDX-2.3");
    assert_eq!(document["dataLicense"], "CC0-1.0");
    assert_eq!(document["SPDXID"], "SPDXRef-DOCUMENT");
    assert!(!text(document, "name").is_empty());
    let namespace = text(document, "documentNamespace");
    assert!(
        namespace.starts_with("https://") && !namespace.contains('#'),
        "{namespace}"
    );
    assert!(is_time(text(&document["creationInfo"], "created")));
    for creator in list(&document["creationInfo"], "creators") {
        let creator = creator.as_str().expect("text");
        assert!(
            ["Tool: ", "Person: ", "Organization: "]
                .iter()
                .any(|kind| creator.starts_with(kind))
        );
    }
    let mut ids = vec!["SPDXRef-DOCUMENT".to_owned()];
    for package in list(document, "packages") {
        has_only(
            package,
            &[
                "SPDXID",
                "name",
                "versionInfo",
                "downloadLocation",
                "filesAnalyzed",
                "sourceInfo",
                "licenseConcluded",
                "licenseDeclared",
                "licenseComments",
                "copyrightText",
                "externalRefs",
                "supplier",
                "primaryPackagePurpose",
            ],
        );
        let id = text(package, "SPDXID");
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        assert!(
            id.strip_prefix("SPDXRef-")
                .is_some_and(|id| id.chars().all(plain)),
            "{id}"
        );
        assert!(!ids.contains(&id.to_owned()), "{id} twice");
        ids.push(id.to_owned());
        assert!(!text(package, "name").is_empty());
        assert_eq!(package["downloadLocation"], "NOASSERTION");
        assert_eq!(package["filesAnalyzed"], false);
        for reference in package["externalRefs"].as_array().into_iter().flatten() {
            assert_eq!(text(reference, "referenceCategory"), "PACKAGE-MANAGER");
            assert_eq!(text(reference, "referenceType"), "purl");
            assert!(text(reference, "referenceLocator").starts_with("pkg:"));
        }
    }
    for relationship in list(document, "relationships") {
        assert!(["DESCRIBES", "CONTAINS"].contains(&text(relationship, "relationshipType")));
        for end in ["spdxElementId", "relatedSpdxElement"] {
            assert!(
                ids.contains(&text(relationship, end).to_owned()),
                "{relationship}"
            );
        }
    }
}

/// SLSA 1.0: what a provenance must have, and the shape of what it may.
fn check_slsa(predicate: &Value) {
    has_only(predicate, &["buildDefinition", "runDetails"]);
    let definition = &predicate["buildDefinition"];
    has_only(
        definition,
        &[
            "buildType",
            "externalParameters",
            "internalParameters",
            "resolvedDependencies",
        ],
    );
    assert!(text(definition, "buildType").contains(':'), "it is a URI");
    assert!(definition["externalParameters"].is_object());
    for one in list(definition, "resolvedDependencies") {
        assert!(text(one, "uri").contains(':'), "it is a URI");
        for (algorithm, digest) in one["digest"].as_object().expect("an object") {
            let length = if algorithm == "sha1" { 40 } else { 64 };
            assert!(is_hex(digest.as_str().expect("text"), length), "{one}");
        }
    }
    let details = &predicate["runDetails"];
    has_only(details, &["builder", "metadata", "byproducts"]);
    assert!(text(&details["builder"], "id").contains(':'), "it is a URI");
    has_only(
        &details["metadata"],
        &["invocationId", "startedOn", "finishedOn"],
    );
    for time in ["startedOn", "finishedOn"] {
        assert!(is_time(text(&details["metadata"], time)));
    }
}

fn files(env: &TestEnv) -> (String, String) {
    let files = [
        ("Dockerfile", TEXT),
        ("status", STATUS),
        ("Cargo.lock", CARGO),
        ("package-lock.json", NPM),
    ];
    let directory = context(env, "app", &files);
    let key = env.file("key", "very-secret-key");
    (directory, format!("id=key,src={key}"))
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("it is JSON")
}

/// A blob of an OCI layout.
fn blob(layout: &std::path::Path, digest: &str) -> Vec<u8> {
    let hex = digest.strip_prefix("sha256:").expect("a digest");
    std::fs::read(layout.join("blobs/sha256").join(hex)).expect("it is there")
}

#[test]
fn attestations_stand_beside_the_image_in_an_index() {
    let env = test_env!();
    env.busybox();
    let (directory, secret) = files(&env);
    let base = inspected(&env, "busybox");
    let out = env.path("home/layout");
    let place = format!("type=oci,tar=false,dest={}", out.display());
    let flags = [
        "--secret",
        &secret,
        "--build-arg",
        "TOKEN=very-secret-token",
        "-t",
        "example.org/app:1",
        "-o",
        &place,
    ];
    let asked: [(&str, &[&str]); 3] = [
        ("build", &["--sbom", "true", "--provenance", "mode=min"]),
        ("image build", &["--sbom=true", "--provenance=true"]),
        (
            "builder build",
            &[
                "--attest",
                "type=sbom",
                "--attest",
                "type=provenance,mode=min",
            ],
        ),
    ];
    for (command, asked) in asked {
        build_by(&env, command, &directory, &[&flags[..], asked].concat()).ok();
        let index = json(&std::fs::read(out.join("index.json")).expect("it is there"));
        let outer = &list(&index, "manifests")[0];
        assert_eq!(
            text(outer, "mediaType"),
            "application/vnd.oci.image.index.v1+json"
        );
        let inner = json(&blob(&out, text(outer, "digest")));
        let [image, said] = &list(&inner, "manifests")[..] else {
            panic!("the image and what is said of it: {inner:#}");
        };
        assert_eq!(text(&image["platform"], "os"), "linux");
        let manifest = text(image, "digest");
        let nobodys = serde_json::json!({"architecture": "unknown", "os": "unknown"});
        assert_eq!(said["platform"], nobodys);
        assert_eq!(
            said["annotations"],
            serde_json::json!({
                "vnd.docker.reference.digest": manifest, "vnd.docker.reference.type": "attestation-manifest",
            })
        );
        let said = blob(&out, text(said, "digest"));
        let said = json(&said);
        let config = json(&blob(&out, text(&said["config"], "digest")));
        assert_eq!(config["os"], "unknown");
        let kinds = [
            "https://spdx.dev/Document",
            "https://slsa.dev/provenance/v1",
        ];
        let layers = list(&said, "layers");
        assert_eq!(layers.len(), 2);
        let mut everything = String::new();
        for ((layer, kind), id) in layers
            .iter()
            .zip(kinds)
            .zip(list(&config["rootfs"], "diff_ids"))
        {
            assert_eq!(text(layer, "mediaType"), "application/vnd.in-toto+json");
            assert_eq!(
                text(&layer["annotations"], "in-toto.io/predicate-type"),
                kind
            );
            assert_eq!(layer["digest"], *id);
            let bytes = blob(&out, text(layer, "digest"));
            everything += &String::from_utf8_lossy(&bytes);
            let document = json(&bytes);
            let predicate = statement(&document, kind, manifest);
            match kind.contains("spdx") {
                true => {
                    check_spdx(predicate);
                    let purls: Vec<&str> = list(predicate, "packages")
                        .iter()
                        .filter_map(|package| {
                            package["externalRefs"][0]["referenceLocator"].as_str()
                        })
                        .collect();
                    for purl in [
                        "pkg:deb/debian/bash@5.2-1?arch=amd64",
                        "pkg:cargo/serde@1.0.2",
                        "pkg:npm/%40a/b@1.0.0",
                    ] {
                        assert!(purls.contains(&purl), "{purl} in {purls:?}");
                    }
                }
                false => {
                    check_slsa(predicate);
                    let definition = &predicate["buildDefinition"];
                    let base_id = &list(definition, "resolvedDependencies")[0];
                    assert!(text(base_id, "uri").starts_with("pkg:docker/busybox"));
                    assert_eq!(definition["externalParameters"]["args"][0], "TOKEN");
                    assert_eq!(definition["externalParameters"]["secrets"][0]["id"], "key");
                }
            }
        }
        assert!(!everything.contains("very-secret"), "{everything}");
        // It is an image as any other to whoever loads it.
        env.run(&["load", "-i", out.to_str().expect("UTF-8")]).ok();
        assert_eq!(inspected(&env, "example.org/app:1")["Os"], base["Os"]);
        env.run(&["rmi", "example.org/app:1"]).ok();
        std::fs::remove_dir_all(&out).expect("it is the user's");
    }
}

#[test]
fn attestations_are_pushed_and_written_into_directories() {
    need!(Need::Program("docker-registry"));
    let env = test_env!();
    env.busybox();
    let registry = Registry::start(&env, Access::Http);
    let (directory, secret) = files(&env);
    let name = format!("{}/app:1", registry.address);
    let out = env.path("home/out");
    let out_text = out.to_str().expect("UTF-8");
    let flags = [
        "--secret",
        &secret,
        "--build-arg",
        "TOKEN=x",
        "-t",
        &name,
        "--push",
        "-o",
        out_text,
        "--sbom=1",
        "--provenance",
        "mode=max,builder-id=https://ci.example.org/7",
    ];
    build(&env, &directory, &flags).ok();
    let raw = env.out(&["buildx", "imagetools", "inspect", "--raw", &name]);
    let index = json(raw.as_bytes());
    let said = &list(&index, "manifests")[1];
    assert_eq!(
        text(&said["annotations"], "vnd.docker.reference.type"),
        "attestation-manifest"
    );
    let place = format!("{}/app@{}", registry.address, text(said, "digest"));
    let manifest = json(
        env.out(&["buildx", "imagetools", "inspect", "--raw", &place])
            .as_bytes(),
    );
    assert_eq!(list(&manifest, "layers").len(), 2);
    env.run(&["rmi", "-f", &name]).ok();
    env.run(&["pull", "-q", &name]).ok();
    let written = json(&std::fs::read(out.join("provenance.json")).expect("it was written"));
    let predicate = &written["predicate"];
    check_slsa(predicate);
    assert_eq!(
        predicate["runDetails"]["builder"]["id"],
        "https://ci.example.org/7"
    );
    let definition = &predicate["buildDefinition"];
    assert_eq!(definition["externalParameters"]["args"]["TOKEN"], "x");
    assert_eq!(definition["internalParameters"]["dockerfile"], TEXT);
    let written = json(&std::fs::read(out.join("sbom.spdx.json")).expect("it was written"));
    check_spdx(&written["predicate"]);
    // Nothing is said unless it is asked for.
    std::fs::remove_dir_all(&out).expect("it is the user's");
    let plain = [
        "--secret",
        &secret,
        "--build-arg",
        "TOKEN=x",
        "-o",
        out_text,
    ];
    build(
        &env,
        &directory,
        &[&plain[..], &["--provenance=false"]].concat(),
    )
    .ok();
    assert!(!out.join("provenance.json").exists());
    for (flag, value) in [
        ("--attest", "mode=max"),
        ("--attest", "type=sbom,generator=x"),
        ("--provenance", "version=v0.2"),
        ("--sbom", "maybe=1"),
    ] {
        build(&env, &directory, &[flag, value]).fails(125, flag);
    }
}

#[test]
fn bake_says_of_its_images_what_is_asked_for() {
    let env = test_env!();
    env.busybox();
    let text = "target \"default\" {\n dockerfile-inline = \"FROM busybox\\nRUN true\\n\"\n network = \"none\"\n output = [\"out\"]\n}\n";
    let directory = context(&env, "project", &[("docker-bake.hcl", text)]);
    let out = env.path("home/project/out");
    for command in ["bake", "buildx bake"] {
        let words: Vec<&str> = command
            .split(' ')
            .chain(["--sbom", "true", "--provenance=true"])
            .collect();
        env.command(&words).directory(&directory).run().ok();
        for name in ["sbom.spdx.json", "provenance.json"] {
            json(&std::fs::read(out.join(name)).expect("it was written"));
        }
        std::fs::remove_dir_all(&out).expect("it is the user's");
    }
}
