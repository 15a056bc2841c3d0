//! `pull` from real registry servers: names, platforms, access, what is fetched twice and what is not.

use std::fs;

use crate::env::{count, test_env};
use crate::image::{Compression, Layer, busybox};
use crate::need::{Need, need};
use crate::registry::{Access, Registry};

macro_rules! need_registry {
    () => {
        need!(
            Need::Program("docker-registry"),
            Need::Program("skopeo"),
            Need::Program("openssl")
        );
    };
}

#[test]
fn an_image_is_pulled_and_run() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    for (number, form) in [Compression::Gzip, Compression::Zstd, Compression::None]
        .into_iter()
        .enumerate()
    {
        let image = busybox()
            .with(&Layer::new().file("form", 0o644, number.to_string()))
            .compressed(form);
        let name = registry.push(&env, &image, &format!("form:{number}"));
        let pull = env
            .run(&["pull", &name])
            .ok()
            .prints(&name)
            .prints("Digest: sha256:");
        assert!(
            pull.stdout
                .contains(&format!("Status: Downloaded newer image for {name}")),
            "{pull:?}"
        );
        assert_eq!(
            env.out(&["run", "--rm", "--network", "none", &name, "cat", "/form"]),
            number.to_string()
        );
    }
}

#[test]
fn a_second_pull_fetches_nothing() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    let name = registry.push(&env, &busybox(), "app");
    env.run(&["pull", &name]).ok();
    env.run(&["pull", &name])
        .ok()
        .prints(&format!("Status: Image is up to date for {name}:latest"));
    assert_eq!(env.out(&["pull", "-q", &name]), format!("{name}:latest"));
}

#[test]
fn an_image_is_pulled_by_its_digest() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    let (manifest, _) = busybox().blobs();
    let digest = crate::image::digest(&manifest);
    let name = registry.push(&env, &busybox(), "app:1");
    let by_digest = format!("{}@{digest}", name.trim_end_matches(":1"));
    env.run(&["pull", &by_digest]).ok().prints(&digest);
    env.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--pull",
        "never",
        &by_digest,
        "true",
    ])
    .ok();
    let wrong = format!("{}@sha256:{}", name.trim_end_matches(":1"), "0".repeat(64));
    env.run(&["pull", &wrong]).fails(1, &"0".repeat(64));
}

#[test]
fn run_pulls_what_is_missing_and_says_so() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    let name = registry.push(&env, &busybox(), "app");
    let run = env
        .run(&["run", "--rm", "--network", "none", &name, "echo", "yes"])
        .ok();
    assert_eq!(run.stdout, "yes\n");
    run.says(&format!("Unable to find image '{name}:latest' locally"));
    let run = env
        .run(&["run", "--rm", "--network", "none", &name, "echo", "yes"])
        .ok();
    assert_eq!(run.stderr, "");
}

#[test]
fn an_unknown_image_and_an_unreachable_registry_are_named() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    env.run(&["pull", &format!("{}/nothing", registry.address)])
        .fails(1, &registry.address);
    env.run(&["pull", "127.0.0.1:1/x"]).fails(1, "127.0.0.1:1");
    assert!(env.half_made().is_empty());
}

#[test]
fn a_private_authority_is_refused_until_it_is_trusted() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Https);
    let name = registry.push(&env, &busybox(), "app");
    env.run(&["pull", &name])
        .fails(1, &registry.address)
        .says("certs.d");
    let directory = env.path("config/bryo/certs.d").join(&registry.address);
    fs::create_dir_all(&directory).expect("the test's own directory");
    fs::copy(&registry.authority, directory.join("ca.crt")).expect("the test's own directory");
    env.run(&["pull", &name]).ok();
}

#[test]
fn a_password_comes_from_dockers_config_and_never_appears() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Basic);
    let name = registry.push(&env, &busybox(), "app");
    env.run(&["pull", &name]).fails(1, &registry.address);
    // base64 of tester:secret
    let auths = serde_json::json!({ "auths": { registry.address.clone(): { "auth": "dGVzdGVyOnNlY3JldA==" } } });
    env.file(".docker/config.json", auths.to_string());
    let pull = env
        .command(&["-D", "pull", &name])
        .var("BRYO_LOG", "trace")
        .run()
        .ok();
    for leak in ["secret", "dGVzdGVyOnNlY3JldA"] {
        assert!(
            !pull.stdout.contains(leak) && !pull.stderr.contains(leak),
            "{leak} in {pull:?}"
        );
    }
}

#[test]
fn two_pulls_of_one_image_at_once_both_succeed() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    let name = registry.push(&env, &busybox().compressed(Compression::Gzip), "app");
    for _ in 0..count(2, 20) {
        let pulls: Vec<_> = (0..2).map(|_| env.spawn(&["pull", &name])).collect();
        for pull in pulls {
            pull.wait().ok();
        }
        env.run(&["run", "--rm", "--network", "none", &name, "true"])
            .ok();
        env.run(&["rmi", "-f", &name]).ok();
    }
}
