//! `pull` from real registry servers: names, platforms, access, what is fetched twice and what is not.

use std::fs;

use crate::env::{TestEnv, count, test_env};
use crate::image::{Compression, Image, Layer, busybox};
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

/// Gives the test's user `tester`'s password, as `docker login` keeps it.
fn log_in(env: &TestEnv, registry: &str) {
    // base64 of tester:secret
    let auths = serde_json::json!({ "auths": { registry: { "auth": "dGVzdGVyOnNlY3JldA==" } } });
    env.file(".docker/config.json", auths.to_string());
}

/// Pulls with everything traced; no password and no token may be in it.
fn pull_traced(env: &TestEnv, name: &str) {
    let file = env.path("home/trace");
    for pull in [
        env.command(&["-D", "pull", name]).var("BRYO_LOG", "trace"),
        env.command(&["pull", name])
            .var("BRYO_LOG", "trace")
            .var("BRYO_LOG_FILE", &file),
    ] {
        let pull = pull.run().ok();
        let file = fs::read_to_string(&file).unwrap_or_default();
        let all = [pull.stdout, pull.stderr, file].concat();
        assert!(all.contains("transfer"), "nothing was traced: {all}");
        // The password, the same in base64, the beginning of every JWT.
        for leak in ["secret", "dGVzdGVyOnNlY3JldA", "eyJ"] {
            let line = all.lines().find(|line| line.contains(leak));
            assert_eq!(line, None, "{leak} is told");
        }
        env.run(&["rmi", "-f", name]).ok();
    }
}

#[test]
fn a_password_comes_from_dockers_config_and_never_appears() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Basic);
    let name = registry.push(&env, &busybox(), "app");
    env.run(&["pull", &name]).fails(1, &registry.address);
    log_in(&env, &registry.address);
    pull_traced(&env, &name);
}

#[test]
fn a_token_is_fetched_for_the_password_and_never_appears() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Token);
    let name = registry.push(&env, &busybox(), "app");
    env.run(&["pull", &name]).fails(1, &registry.address);
    log_in(&env, &registry.address);
    pull_traced(&env, &name);
}

#[test]
fn a_token_for_everybody_needs_no_password() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::AnonymousToken);
    let name = registry.push(&env, &busybox(), "app");
    pull_traced(&env, &name);
}

#[test]
fn dockers_own_manifests_are_understood() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    let image = busybox().compressed(Compression::Gzip);
    let name = registry.push_schema2(&env, &image, "app");
    env.run(&["pull", &name]).ok();
    assert_eq!(env.out(&["images", "-q", "--no-trunc"]).len(), 71);
    let word = ["run", "--rm", "--network", "none", &name, "echo", "word"];
    assert_eq!(env.out(&word), "word");
}

#[test]
fn the_platform_chooses_from_an_index() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    let foreign = Image::new(
        &[Layer::new().file("for", 0o644, "s390x")],
        serde_json::json!({}),
    )
    .on("s390x");
    let name = registry.push_index(&env, &[foreign.clone(), busybox()], "app");
    let ids = || env.out(&["images", "-q", "--no-trunc"]);
    env.run(&["pull", &name]).ok();
    assert_eq!(ids(), format!("sha256:{}", busybox().id()));
    env.run(&["rmi", "-f", &name]).ok();

    let pull = env.run(&["pull", "--platform", "linux/s390x", &name]).ok();
    assert!(!pull.stderr.contains("WARNING"), "{pull:?}");
    assert_eq!(ids(), format!("sha256:{}", foreign.id()));
    env.run(&["pull", "--platform", "linux/riscv64", &name])
        .fails(1, "linux/riscv64")
        .says("linux/s390x");
    env.run(&["pull", "--platform", "nonsense/", &name])
        .fails(1, "nonsense");

    // Without a choice, what is there is taken, and said.
    let alone = registry.push(&env, &foreign, "alone");
    env.run(&["pull", &alone])
        .ok()
        .says("WARNING: the requested image's platform (linux/s390x)");
}

#[test]
fn a_digest_beside_a_tag_decides() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    let older = busybox().configured("User", serde_json::json!("1"));
    let digest = crate::image::digest(&older.blobs().0);
    registry.push(&env, &older, "app:1");
    let name = registry.push(&env, &busybox(), "app:1");
    env.run(&["pull", &format!("{name}@{digest}")])
        .ok()
        .prints(&format!("Digest: {digest}"));
    assert_eq!(
        env.out(&["images", "-q", "--no-trunc"]),
        format!("sha256:{}", older.id())
    );
    env.run(&["image", "inspect", &name]).code(1);
}

#[test]
fn quiet_prints_the_name_alone() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    let name = registry.push(&env, &busybox(), "app");
    let pull = env.run(&["pull", "-q", &name]).ok();
    assert_eq!(pull.out(), format!("{name}:latest"));
    assert_eq!(pull.stderr, "");
}

#[test]
fn docker_hub_is_another_host_where_the_configuration_says_so() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    registry.push(&env, &busybox(), "library/app");
    let config = env.path("config/bryo/config.toml");
    fs::create_dir_all(config.parent().expect("it has one")).expect("the test's own directory");
    let text = format!(
        "[registries.\"docker.io\"]\nlocation = \"{}\"\n",
        registry.address
    );
    fs::write(config, text).expect("the test's own directory");
    env.run(&["pull", "app"])
        .ok()
        .prints("docker.io/library/app:latest\n")
        .says("app stands for docker.io/library/app:latest");
    assert_eq!(env.out(&["images", "--format", "{{.Repository}}"]), "app");
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
