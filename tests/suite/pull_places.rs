//! Where a pull gets its bytes: all tags, mirrors, `registries.conf`, and what an earlier pull left.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::env::{TestEnv, count, test_env};
use crate::image::busybox;
use crate::misbehaving::{Fault, Registry as Fake, TestImage, TestLayer, image};
use crate::need::{Need, need};
use crate::process::eventually;
use crate::registry::{Access, Registry};
use crate::spellings::ask;

macro_rules! need_registry {
    () => {
        need!(
            Need::Program("docker-registry"),
            Need::Program("skopeo"),
            Need::Program("openssl")
        );
    };
}

fn configure(env: &TestEnv, file: &str, text: &str) {
    let path = env.path("config").join(file);
    fs::create_dir_all(path.parent().expect("it has one")).expect("the test's own directory");
    fs::write(path, text).expect("the test's own directory");
}

#[test]
fn all_tags_are_pulled() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    let name = format!("{}/app", registry.address);
    for tag in ["1", "2", "latest"] {
        registry.push(&env, &busybox(), &format!("app:{tag}"));
    }
    for (command, flag) in [
        ("pull", "-a"),
        ("pull", "--all-tags"),
        ("image pull", "-a"),
        ("image pull", "--all-tags"),
    ] {
        let pull = ask(&env, command, &[flag, &name]).ok();
        assert!(pull.stdout.ends_with(&format!("{name}\n")), "{pull:?}");
        assert!(pull.stdout.contains("2: Pulling from app\n"), "{pull:?}");
        let mut tags: Vec<String> = env
            .out(&["images", "--format", "{{.Tag}}"])
            .lines()
            .map(str::to_owned)
            .collect();
        tags.sort();
        assert_eq!(tags, ["1", "2", "latest"]);
        env.run(&[
            "rmi",
            "-f",
            env.out(&["images", "-q"]).lines().next().expect("one"),
        ])
        .ok();
    }
    env.run(&["pull", "-a", &format!("{name}:1")])
        .fails(1, "tag can't be used with --all-tags/-a");
    env.run(&["pull", "-a", &format!("{}/nothing", registry.address)])
        .fails(1, &registry.address);
}

#[test]
fn mirrors_are_asked_first_and_may_fail() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    registry.push(&env, &busybox(), "library/app");
    let at = &registry.address;
    let gone = "127.0.0.1:1";
    let pull = |text: &str, file: &str| {
        configure(&env, file, text);
        let pull = env.run(&["pull", "app"]);
        env.run(&["rmi", "-f", "app"]);
        fs::remove_file(env.path("config").join(file)).expect("it was written");
        pull
    };
    let own = format!(
        "[registries.\"docker.io\"]\nlocation = \"{gone}\"\nmirrors = [\"{gone}\", \"{at}\"]\n"
    );
    pull(&own, "bryo/config.toml")
        .ok()
        .says(&format!("mirror {gone}: "));
    let containers = format!(
        "[[registry]]\nlocation = \"docker.io\"\n[[registry.mirror]]\nlocation = \"{gone}\"\n[[registry.mirror]]\nlocation = \"{at}\"\n"
    );
    pull(&containers, "containers/registries.conf")
        .ok()
        .says(&format!("mirror {gone}: "));
    pull(&containers, "containers/registries.conf.d/50-mirror.conf").ok();
    let moved =
        format!("[[registry]]\nprefix = \"docker.io/library\"\nlocation = \"{at}/library\"\n");
    pull(&moved, "containers/registries.conf").ok();
    let blocked = "[[registry]]\nprefix = \"docker.io\"\nblocked = true\n";
    pull(blocked, "containers/registries.conf").fails(1, "registry docker.io is blocked by");
    let blocked = "[registries.\"docker.io\"]\nblocked = true\n";
    pull(blocked, "bryo/config.toml").fails(1, "registry docker.io is blocked by config.toml");
    pull("[[registry]]\nlocation = 1\n", "containers/registries.conf").fails(1, "line 2");
}

#[test]
fn short_names_follow_containers_rules_where_that_is_wanted() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    registry.push(&env, &busybox(), "app");
    let at = &registry.address;
    let rules = format!(
        "unqualified-search-registries = [\"127.0.0.1:1\", \"{at}\"]\n[aliases]\n\"nick\" = \"{at}/app\"\n"
    );
    configure(&env, "containers/registries.conf", &rules);
    configure(&env, "bryo/config.toml", "short-names = \"containers\"\n");
    env.run(&["pull", "app"])
        .ok()
        .says("127.0.0.1:1/app:latest: ")
        .prints(&format!("{at}/app:latest\n"));
    let run = |name: &str| {
        let words = [
            "run",
            "--rm",
            "--network",
            "none",
            "--pull",
            "never",
            name,
            "echo",
            "x",
        ];
        env.command(&words).run()
    };
    assert_eq!(run("app").ok().out(), "x");
    env.run(&["rmi", "-f", &format!("{at}/app")]).ok();
    run("nick").code(125);
    env.run(&["run", "--rm", "--network", "none", "nick:latest", "true"])
        .ok();
    run("nick").ok();
    // As docker without that setting.
    env.run(&["rmi", "-f", &format!("{at}/app")]).ok();
    let docker = env.command(&["run", "--rm", "--pull", "never", "nick"]);
    docker
        .var("BRYO_SHORT_NAMES", "docker")
        .run()
        .fails(125, "nick");
}

#[test]
fn a_killed_pull_goes_on_where_it_was() {
    let env = test_env!();
    let mut state = 1_u64;
    // 40 MB, or 1 GiB.
    let content: Vec<u8> = (0..count(5_000_000, 128 << 20))
        .flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .collect();
    let layer = TestLayer::plain(&image::tar(&[("noise", &content)]));
    let size = layer.blob.len();
    let cut = size / 10 * 6;
    let registry = Fake::start();
    registry.add("app", "1", &TestImage::new(vec![layer.clone()]));
    let name = registry.reference("app:1");
    registry.misbehave(
        &layer.digest(),
        1,
        Fault::Stall(cut, Duration::from_secs(30)),
    );
    let pull = env.spawn(&["pull", &name]);
    let partial = env
        .path("cache/bryo/partial")
        .join(&layer.digest()["sha256:".len()..]);
    let length = || fs::metadata(&partial).map_or(0, |metadata| metadata.len());
    let cut = u64::try_from(cut).expect("it is small");
    // What is kept comes in whole pieces of the stream.
    eventually("60 % have been kept", || length() + (256 << 10) >= cut);
    pull.signal(Signal::SIGKILL);
    pull.wait();
    let kept = length();

    env.run(&["pull", &name]).ok();
    let requests = registry.requests();
    let second = requests
        .iter()
        .rev()
        .find(|request| request.path.ends_with(&layer.digest()))
        .expect("it was asked for");
    assert_eq!(
        second.header("range"),
        Some(format!("bytes={kept}-").as_str())
    );
    let moved = size as u64 - kept;
    assert!(moved * 100 <= size as u64 * 42, "{moved} of {size}");
    assert!(!partial.exists());

    // What was left is never believed.
    env.run(&["rmi", "-f", &name]).ok();
    fs::write(&partial, vec![7; size / 2]).expect("the cache is the test's own");
    env.run(&["pull", &name]).ok();
    assert!(!partial.exists());
}
