//! `buildx imagetools create`: indexes of what registries have.

use serde_json::Value;

use crate::dockerfile::{build, context};
use crate::env::{TestEnv, test_env};
use crate::image::{digest, platforms};
use crate::need::{Need, need};
use crate::registry::{Access, Registry};
use crate::spellings::ask;

fn raw(env: &TestEnv, name: &str) -> (Value, String) {
    let text = env.out(&["buildx", "imagetools", "inspect", "--raw", name]);
    let json = serde_json::from_str(&text).expect("it is JSON");
    (json, text)
}

fn digests(index: &Value) -> Vec<&str> {
    let members = index["manifests"].as_array().expect("an index");
    members
        .iter()
        .map(|member| member["digest"].as_str().expect("a digest"))
        .collect()
}

#[test]
fn an_index_is_made_of_what_registries_have() {
    need!(Need::Program("docker-registry"), Need::Program("skopeo"));
    let env = test_env!();
    let registry = Registry::start(&env, Access::Http);
    let create = |rest: &[&str]| ask(&env, "buildx imagetools create", rest);
    let [amd64, arm64] = platforms();
    let ours = [digest(&amd64.blobs().0), digest(&arm64.blobs().0)];
    let names = [
        registry.push(&env, &amd64, "app:amd64"),
        registry.push(&env, &arm64, "app:arm64"),
    ];
    let both = format!("{}/app:both", registry.address);
    let also = format!("{}/app:also", registry.address);
    // The same of it is told without a registry being changed.
    let dry = create(&["--dry-run", &names[0], &names[1]]).ok();
    let dry: Value = serde_json::from_str(&dry.stdout).expect("it is JSON");
    assert_eq!(digests(&dry), ours);
    env.run(&["pull", &both]).code(1);
    let flags = [
        "-t",
        &both,
        "--tag",
        &also,
        "--annotation",
        "org.example=yes",
        "--annotation",
        "index:a=b",
        "--annotation",
        "manifest-descriptor[linux/arm64]:c=d",
        "--progress",
        "plain",
        "--builder",
        "any",
        "-D",
    ];
    create(&[&flags[..], &[&names[0], &names[1]]].concat()).ok();
    let (index, text) = raw(&env, &both);
    assert_eq!(raw(&env, &also).1, text);
    assert_eq!(digests(&index), ours);
    assert_eq!(
        index["annotations"],
        serde_json::json!({"a": "b", "org.example": "yes"})
    );
    assert_eq!(index["manifests"][1]["annotations"]["c"], "d");
    assert!(index["manifests"][0]["annotations"].is_null());
    // One that is there keeps its bytes; with --append there is more of it.
    let copy = format!("{}/other/app:copy", registry.address);
    create(&["-t", &copy, &both, "--debug"]).ok();
    assert_eq!(raw(&env, &copy).1, text);
    let grown = format!("{}/app:grown", registry.address);
    create(&["-t", &grown, &names[0]]).ok();
    assert_eq!(digests(&raw(&env, &grown).0), ours[..1]);
    create(&["--append", "-t", &grown, &ours[1]]).ok();
    assert_eq!(digests(&raw(&env, &grown).0), ours);
    // A file with a descriptor, and only one platform of an index.
    let file = env.file(
        "descriptor.json",
        format!("{{\"digest\": \"{}\", \"size\": 1}}", ours[1]),
    );
    for flag in ["-f", "--file"] {
        let one = format!("{}/app:of-file", registry.address);
        create(&["-t", &one, flag, &file, "--prefer-index=false"]).ok();
        assert!(raw(&env, &one).0["layers"].is_array(), "it stayed an image");
    }
    // What the descriptor says goes before what the image says.
    let said = format!(
        "{{\"digest\": \"{}\", \"platform\": {{\"os\": \"linux\", \"architecture\": \"riscv64\"}}, \"annotations\": {{\"org.example.of\": \"file\"}}}}",
        ours[1]
    );
    let file = env.file("said.json", said);
    let other = format!("{}/app:said", registry.address);
    create(&["-t", &other, "--file", &file]).ok();
    let entry = raw(&env, &other).0["manifests"][0].clone();
    assert_eq!(entry["platform"]["architecture"], "riscv64", "{entry}");
    assert_eq!(entry["annotations"]["org.example.of"], "file", "{entry}");
    let broken = env.file("broken.json", "{\"size\": 1}");
    create(&["-t", &other, "-f", &broken]).fails(125, "invalid descriptor: missing field `digest`");
    let part = format!("{}/app:part", registry.address);
    create(&["-t", &part, "--platform", "linux/arm64", &both]).ok();
    assert_eq!(digests(&raw(&env, &part).0), ours[1..]);
    for (rest, message) in [
        (&["-t", &both][..], "no sources specified"),
        (&[&names[0]], "can't push without a name"),
        (&["--dry-run", &ours[0]], "needs a repository"),
        (
            &["--dry-run", &names[0], "--annotation", "manifest:a=b"],
            "cannot be made here",
        ),
        (
            &["--append", "--dry-run", &names[0]],
            "--append needs the name",
        ),
    ] {
        create(rest).fails(125, message);
    }
    create(&["--dry-run", &format!("{}/nothing", registry.address)]).fails(1, "nothing");
}

#[test]
fn attestations_stay_with_their_image_in_another_index() {
    need!(Need::Program("docker-registry"));
    let env = test_env!();
    env.busybox();
    let registry = Registry::start(&env, Access::Http);
    let create = |rest: &[&str]| ask(&env, "buildx imagetools create", rest);
    let name = format!("{}/app:said", registry.address);
    let directory = context(&env, "app", &[("Dockerfile", "FROM busybox\nRUN true\n")]);
    build(&env, &directory, &["-t", &name, "--push", "--sbom=true"]).ok();
    let copy = format!("{}/app:copy", registry.address);
    create(&["-t", &copy, "--annotation", "a=b", &name]).ok();
    let (before, _) = raw(&env, &name);
    let (after, _) = raw(&env, &copy);
    assert_eq!(before["manifests"], after["manifests"]);
    let platform = format!(
        "linux/{}",
        before["manifests"][0]["platform"]["architecture"]
            .as_str()
            .expect("text")
    );
    create(&["-t", &copy, "--platform", &platform, &name]).ok();
    assert_eq!(digests(&raw(&env, &copy).0).len(), 2);
}

#[test]
fn a_template_shows_what_a_registry_has() {
    need!(Need::Program("docker-registry"));
    let env = test_env!();
    env.busybox();
    let registry = Registry::start(&env, Access::Http);
    let text = "FROM scratch\nARG TARGETARCH\nLABEL for=$TARGETARCH\nCOPY Dockerfile /\n";
    let directory = context(&env, "app", &[("Dockerfile", text)]);
    let inspect = |name: &str, rest: &[&str]| {
        let words = [&[name][..], rest].concat();
        ask(&env, "buildx imagetools inspect", &words)
    };
    let format = |name: &str, format: &str| {
        let shown = inspect(name, &["--format", format]).ok().out();
        shown.trim_end().to_owned()
    };
    let both = format!("{}/app:both", registry.address);
    let flags = [
        "--platform",
        "linux/amd64,linux/arm64",
        "--sbom=true",
        "--provenance=true",
        "--annotation",
        "manifest-descriptor:a=b",
        "--push",
        "-t",
        &both,
    ];
    build(&env, &directory, &flags).ok();
    let (index, raw) = raw(&env, &both);
    let digest = digest(raw.as_bytes());
    assert_eq!(
        format(&both, "{{.Name}} {{.Manifest.Digest}}"),
        format!("{both} {digest}")
    );
    let each = "{{range .Manifest.Manifests}}{{.Platform.OS}}/{{.Platform.Architecture}} {{end}}";
    let platforms = "linux/amd64 linux/arm64 unknown/unknown unknown/unknown";
    assert_eq!(format(&both, each), platforms);
    let json = |text: &str| -> Value { serde_json::from_str(text).expect("it is JSON") };
    let manifest = json(&format(&both, "{{json .Manifest}}"));
    assert_eq!(manifest["manifests"], index["manifests"]);
    assert_eq!(manifest["digest"], digest.as_str());
    let labels = "{{range $platform, $image := .Image}}{{$platform}} {{index $image.Config.Labels \"for\"}} {{end}}";
    assert_eq!(format(&both, labels), "linux/amd64 amd64 linux/arm64 arm64");
    let whole = json(&format(&both, "{{json .}}"));
    let keys: Vec<&String> = whole.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["name", "manifest", "image"]);
    let said = json(&format(
        &both,
        "{{json (index .Provenance \"linux/arm64\").SLSA}}",
    ));
    assert_eq!(
        said["buildDefinition"]["externalParameters"]["platform"],
        "linux/arm64/v8"
    );
    let bill = json(&format(&both, "{{json .SBOM}}"));
    assert_eq!(bill["linux/amd64"]["SPDX"]["spdxVersion"], "SPDX-2.3");
    let shown = inspect(&both, &["--builder", "any", "-D"]).ok().stdout;
    assert!(shown.contains("  Annotations:\n    a: b\n"), "{shown}");
    assert_eq!(
        inspect(&both, &["--raw", "--debug"]).ok().stdout.trim_end(),
        raw
    );
    inspect(&both, &["--raw", "--format", "x"]).fails(125, "cannot be used together");
    let one = format!("{}/app:one", registry.address);
    build(&env, &directory, &["--push", "-t", &one]).ok();
    assert_eq!(
        format(&one, "{{.Image.Architecture}} {{json .Provenance}}"),
        "amd64 {}"
    );
    let rows = "{{range .Image.History}}{{.CreatedBy}}|{{end}}{{len .Image.RootFS.DiffIDs}}";
    assert!(format(&one, rows).ends_with("COPY Dockerfile / # buildkit|1"));
    inspect(&one, &["--format", "{{.Nosuch}}"]).code(1);
}
