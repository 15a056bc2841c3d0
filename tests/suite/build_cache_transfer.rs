//! `build --cache-to` and `--cache-from`: what steps came to, on its way to another store.

use crate::dockerfile::{build_by, cached, context, inspected};
use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::registry::{Access, Registry};

const TEXT: &str = "FROM busybox AS tools\nRUN echo tool > /tool\nFROM busybox\nCOPY --from=tools /tool /copied\n\
    RUN date +%N > /x\nRUN true\n";

/// Nothing is known here any more.
fn forget(env: &TestEnv) {
    env.run(&["builder", "prune", "-af"]).ok();
    env.run(&["image", "prune", "-f"]).ok();
}

#[test]
fn a_directory_or_a_registry_has_what_steps_came_to() {
    need!(Need::Program("docker-registry"));
    let env = test_env!();
    let registry = Registry::start(&env, Access::Http);
    env.busybox();
    let directory = context(&env, "app", &[("Dockerfile", TEXT)]);
    let place = env.path("home/cache");
    let place = place.to_str().expect("UTF-8");
    let name = format!("{}/cache:1", registry.address);
    for command in ["build", "image build", "builder build"] {
        let ways = [
            (
                format!("type=local,dest={place},mode=max"),
                format!("type=local,src={place}"),
                4,
            ),
            (
                format!("type=registry,ref={name},mode=max"),
                name.clone(),
                4,
            ),
            // Without the stage that only gave files.
            (
                format!("type=local,dest={place}"),
                format!("type=local,src={place}"),
                3,
            ),
        ];
        for (to, from, known) in ways {
            let built = build_by(
                &env,
                command,
                &directory,
                &["--no-cache", "-q", "--cache-to", &to],
            )
            .ok();
            forget(&env);
            let images = env.out(&["images", "-aq"]);
            assert_eq!(images.lines().count(), 1, "only the base is left: {images}");
            let flags = ["--cache-from", &from, "-t", "again"];
            let again = build_by(&env, command, &directory, &flags).ok();
            assert_eq!(cached(&again), known, "{to}: {}", again.stderr);
            if known == 4 {
                assert_eq!(inspected(&env, "again")["Id"], built.out());
            }
            env.run(&["rmi", "again"]).ok();
            forget(&env);
        }
        let missing = ["--cache-from", "type=local,src=/nowhere"];
        let built = build_by(&env, command, &directory, &missing).ok();
        assert!(
            built.stderr.contains("importing cache of /nowhere failed"),
            "{}",
            built.stderr
        );
        let flags = ["--cache-to", "type=gha"];
        build_by(&env, command, &directory, &flags).fails(125, "type=gha belongs to a service");
        let flags = ["--cache-from", "type=s3,bucket=x"];
        build_by(&env, command, &directory, &flags).fails(125, "type=s3 belongs to a service");
    }
    let other = context(&env, "other", &[("kept", "x")]);
    let to = format!("type=local,dest={other}");
    build_by(&env, "build", &directory, &["--cache-to", &to]).fails(1, "neither empty nor a cache");
}

#[test]
fn an_image_is_a_cache_only_where_it_says_so_and_is_named() {
    need!(Need::Program("docker-registry"));
    let env = test_env!();
    let registry = Registry::start(&env, Access::Http);
    env.busybox();
    let directory = context(&env, "app", &[("Dockerfile", TEXT)]);
    let [plain, inline] = ["plain", "inline"].map(|name| format!("{}/{name}:1", registry.address));
    build_by(&env, "build", &directory, &["--push", "-t", &plain]).ok();
    let flags = ["--push", "-t", &inline, "--cache-to", "type=inline"];
    let built = build_by(&env, "build", &directory, &[&flags[..], &["-q"]].concat()).ok();
    let argument = ["--build-arg", "BUILDKIT_INLINE_CACHE=1", "-q"];
    let said = build_by(&env, "build", &directory, &argument).ok();
    assert_eq!(built.out(), said.out(), "another word for it");
    let no = ["--build-arg", "BUILDKIT_INLINE_CACHE=0", "-q"];
    let without = build_by(&env, "build", &directory, &no).ok();
    assert_ne!(built.out(), without.out());
    env.run(&["rmi", &plain, &inline]).ok();
    forget(&env);
    // It is here, and nobody named it.
    env.run(&["pull", "-q", &inline]).ok();
    let built = build_by(&env, "build", &directory, &[]).ok();
    assert_eq!(cached(&built), 0, "{}", built.stderr);
    forget(&env);
    let built = build_by(&env, "build", &directory, &["--cache-from", &plain]).ok();
    assert_eq!(cached(&built), 0, "it says nothing: {}", built.stderr);
    assert_ne!(
        env.run(&["image", "exists", &plain]).code,
        0,
        "names stay what they were"
    );
    forget(&env);
    let built = build_by(&env, "build", &directory, &["--cache-from", &inline]).ok();
    assert_eq!(cached(&built), 3, "{}", built.stderr);
    assert_eq!(
        env.run(&["image", "exists", &inline]).code,
        0,
        "it was here before"
    );
    // What is built on such an image does not carry its list on.
    let text = format!("FROM {inline}\nLABEL a=b\n");
    let child = context(&env, "child", &[("Dockerfile", &text)]);
    let archive = env.path("home/child.tar");
    let place = format!("type=oci,dest={}", archive.display());
    build_by(&env, "build", &child, &["-o", &place]).ok();
    let bytes = std::fs::read(&archive).expect("it was written");
    let field = b"bryo.build-cache";
    assert!(!bytes.windows(field.len()).any(|window| window == field));
}
