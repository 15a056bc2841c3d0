//! `artifact`: podman's verbs, a real registry, and a store that knows them.

use std::fs;

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::registry::{Access, Registry};
use crate::system_check::assert_sound;

fn list(env: &TestEnv) -> String {
    env.out(&[
        "artifact",
        "ls",
        "-n",
        "--format",
        "{{.Repository}}:{{.Tag}} {{.Digest}}",
    ])
}

/// The digest that `artifact add` prints.
fn add(env: &TestEnv, arguments: &[&str]) -> String {
    let arguments = [&["artifact", "add"], arguments].concat();
    let digest = env.out(&arguments);
    assert_eq!(digest.len(), 64, "{digest}");
    digest
}

#[test]
fn files_become_an_artifact_and_come_back() {
    let env = test_env!();
    let text = env.file("notes.txt", "some words\n");
    let binary = env.path("weights.bin");
    fs::write(&binary, vec![0u8; 3 << 20]).expect("it is ours");
    let binary = binary.display().to_string();
    let name = "localhost/model:1";
    let digest = add(
        &env,
        &[
            "--type",
            "application/vnd.test",
            "--annotation",
            "a=b",
            name,
            &text,
        ],
    );
    env.run(&["artifact", "add", name, &text])
        .fails(1, "artifact already exists");
    let second = add(
        &env,
        &["--append", "--file-type", "application/x-w", name, &binary],
    );
    assert_ne!(digest, second);
    env.run(&["artifact", "add", "-a", name, &binary])
        .fails(1, "has a file weights.bin already");
    env.run(&["artifact", "add", "-a", "localhost/none", &binary])
        .fails(1, "artifact does not exist");
    assert_eq!(list(&env), format!("localhost/model:1 {}", &second[..12]));
    let whole = ["artifact", "ls", "--no-trunc", "--noheading"];
    assert!(env.out(&whole).contains(&format!("sha256:{second}")));
    assert!(env.out(&["artifact", "ls"]).starts_with("REPOSITORY "));
    let inspect = env.out(&["artifact", "inspect", &second[..12]]);
    let inspect: serde_json::Value = serde_json::from_str(&inspect).expect("JSON");
    let manifest = &inspect["Manifest"];
    assert_eq!(manifest["artifactType"], "application/vnd.test");
    let layers = manifest["layers"].as_array().expect("a list");
    assert_eq!(layers[0]["mediaType"], "text/plain; charset=utf-8");
    assert_eq!(layers[0]["annotations"]["a"], "b");
    assert_eq!(layers[1]["mediaType"], "application/x-w");
    assert_eq!(
        layers[1]["annotations"]["org.opencontainers.image.title"],
        "weights.bin"
    );
    for flag in ["-f", "--format"] {
        let named = env.out(&["artifact", "inspect", flag, "{{.Name}}", name]);
        assert_eq!(named, name);
    }
    let out = env.path("out");
    fs::create_dir(&out).expect("it is ours");
    let at = out.display().to_string();
    env.run(&["artifact", "extract", name, &at]).ok();
    assert_eq!(
        fs::read_to_string(out.join("notes.txt")).expect("it came"),
        "some words\n"
    );
    assert_eq!(
        fs::metadata(out.join("weights.bin"))
            .expect("it came")
            .len(),
        3 << 20
    );
    let one = env.path("one").display().to_string();
    env.run(&["artifact", "extract", name, &one])
        .fails(1, "several blobs");
    env.run(&["artifact", "extract", "--title", "notes.txt", name, &one])
        .ok();
    assert_eq!(fs::read_to_string(&one).expect("it came"), "some words\n");
    let blob = layers[1]["digest"].as_str().expect("a text");
    env.run(&["artifact", "extract", "--digest", blob, name, &one])
        .ok();
    assert_eq!(fs::metadata(&one).expect("it came").len(), 3 << 20);
    let third = add(&env, &["--replace", name, &text]);
    assert_sound(&env, "replaced");
    assert!(
        !env.store()
            .join("images/blobs/sha256")
            .join(&blob[7..])
            .exists()
    );
    assert_eq!(env.out(&["artifact", "rm", name]), third);
    assert_eq!(list(&env), "");
    env.run(&["artifact", "rm", name])
        .fails(1, "artifact does not exist");
    for flag in ["-i", "--ignore"] {
        env.run(&["artifact", "rm", flag, name]).ok();
    }
}

#[test]
fn artifacts_outlive_prunes_and_damage_is_found() {
    let env = test_env!();
    let text = env.file("notes.txt", "some words\n");
    env.busybox();
    for name in ["localhost/a", "localhost/b"] {
        add(&env, &[name, &text]);
    }
    env.run(&["system", "prune", "-a", "-f"]).ok();
    assert_sound(&env, "pruned");
    let inspect = env.out(&["artifact", "inspect", "localhost/a"]);
    let inspect: serde_json::Value = serde_json::from_str(&inspect).expect("JSON");
    let blob = inspect["Manifest"]["layers"][0]["digest"]
        .as_str()
        .expect("a text");
    let path = env.store().join("images/blobs/sha256").join(&blob[7..]);
    fs::write(&path, "other words").expect("it is ours");
    env.run(&[
        "artifact",
        "extract",
        "localhost/a",
        &env.path("x").display().to_string(),
    ])
    .fails(1, "damaged");
    let check = env.run(&["system", "check"]).fails(1, "repair");
    assert!(check.stdout.contains(&blob[7..]), "{check:?}");
    env.run(&["system", "check", "--repair"])
        .ok()
        .prints("removed artifact localhost/a:latest");
    assert_sound(&env, "repaired");
    assert_eq!(list(&env), "");
    for flag in ["-a", "--all"] {
        add(&env, &["localhost/c", &text]);
        env.run(&["artifact", "rm", flag]).ok();
        assert_eq!(list(&env), "");
    }
}

#[test]
fn artifacts_go_to_a_registry_and_back() {
    let env = test_env!();
    need!(Need::Program("docker-registry"), Need::Program("openssl"));
    let registry = Registry::start(&env, Access::Basic);
    let text = env.file("notes.txt", "some words\n");
    let large = env.path("large.bin");
    let bytes: Vec<u8> = (0..13u32 << 20)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    fs::write(&large, &bytes).expect("it is ours");
    let name = format!("{}/team/model:1", registry.address);
    let digest = add(&env, &[&name, &text, &large.display().to_string()]);
    env.run(&["artifact", "push", &name]).fails(1, "");
    let file = env.path("digest").display().to_string();
    let access = ["--creds", "tester:secret", "--tls-verify=false"];
    let push = [
        &["artifact", "push", "--quiet", "--digestfile", &file],
        &access[..],
        &[&name],
    ];
    assert_eq!(env.out(&push.concat()), digest);
    assert_eq!(
        fs::read_to_string(&file).expect("it is there"),
        format!("sha256:{digest}")
    );
    env.run(&["artifact", "rm", "-a"]).ok();
    let auth = env.path("auth.json").display().to_string();
    let login = [
        "login",
        "--authfile",
        &auth,
        "-u",
        "tester",
        "-p",
        "secret",
        &registry.address,
    ];
    env.run(&login).ok();
    for flag in ["-q", "--quiet"] {
        let pull = ["artifact", "pull", flag, "--authfile", &auth, &name];
        assert_eq!(env.out(&pull), digest);
    }
    let out = env.path("out");
    fs::create_dir(&out).expect("it is ours");
    env.run(&["artifact", "extract", &name, &out.display().to_string()])
        .ok();
    assert!(fs::read(out.join("large.bin")).expect("it came") == bytes);
    assert_sound(&env, "pulled");
}

/// A title is what the artifact's maker wrote.
#[test]
fn a_title_leads_nowhere() {
    let env = test_env!();
    let text = env.file("notes.txt", "some words\n");
    let name = "localhost/hostile";
    let digest = add(&env, &[name, &text]);
    let blobs = env.store().join("images/blobs/sha256");
    let manifest = fs::read_to_string(blobs.join(&digest)).expect("it is there");
    for title in ["../escaped", "/tmp/escaped", "..", "a/b", ""] {
        let hostile = manifest.replace("notes.txt", title);
        let now = crate::image::digest(hostile.as_bytes());
        fs::write(blobs.join(&now[7..]), &hostile).expect("it is ours");
        let record = env.store().join("images/artifacts.json");
        let text = fs::read_to_string(&record).expect("it is there");
        let before: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let old = before[0]["manifest"].as_str().expect("a text").to_owned();
        fs::write(&record, text.replace(&old, &now)).expect("it is ours");
        let out = env.path("out");
        fs::create_dir_all(&out).expect("it is ours");
        env.run(&["artifact", "extract", name, &out.display().to_string()])
            .fails(1, "invalid name");
        assert!(fs::read_dir(&out).expect("it is there").next().is_none());
    }
    assert!(!env.path("escaped").exists());
}
