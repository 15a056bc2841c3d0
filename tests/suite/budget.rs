//! `storage.max`: what is removed so that more fits, and what never is.

use crate::env::{TestEnv, count, test_env};
use crate::image::{Layer, busybox};
use crate::misbehaving::{Registry, TestImage, TestLayer, image};

/// Bytes of the one layer of each image below.
const LAYER: usize = 1_000_000;

/// A layer that no compressor makes smaller.
fn layer(seed: u64, size: usize) -> TestLayer {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut content = Vec::with_capacity(size + 8);
    while content.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend(state.to_le_bytes());
    }
    TestLayer::plain(&image::tar(&[("file", &content)]))
}

fn add(registry: &Registry, number: u64) -> String {
    let name = format!("app{number}");
    let image = TestImage::new(vec![layer(number, LAYER)]);
    registry.add(&name, "1", &image);
    registry.reference(&format!("{name}:1"))
}

/// What the layers take, by du.
fn taken(env: &TestEnv) -> usize {
    let layers = env.store().join("layers");
    let du = ["unshare", "du", "-s", "--block-size=1"];
    let du = env.out(&[&du[..], &[layers.to_str().expect("UTF-8")]].concat());
    let size = du.split_whitespace().next().expect("a number");
    size.parse().expect("a number")
}

fn has(env: &TestEnv, name: &str) -> bool {
    env.run(&["image", "exists", name]).code == 0
}

#[test]
fn many_pulls_stay_below_the_budget() {
    let mut env = test_env!();
    env.set("BRYO_STORAGE_MAX", "5MB");
    let registry = Registry::start();
    for number in 0..count(20, 60) as u64 {
        let name = add(&registry, number);
        env.run(&["pull", "-q", &name]).ok();
        let taken = taken(&env);
        assert!(taken <= 5_000_000 + LAYER, "{taken} bytes after {number}");
        assert!(has(&env, &name));
    }
    let left = env.out(&["images", "-q"]).lines().count();
    assert_eq!(left, 4, "what fits stays");
}

#[test]
fn what_was_not_used_for_longest_goes_and_what_is_used_never() {
    let mut env = test_env!();
    let file = env.file("config/bryo/config.toml", "[storage]\nmax = \"3.9MB\"\n");
    let config = std::path::Path::new(&file).ancestors().nth(2);
    env.set(
        "XDG_CONFIG_HOME",
        config.and_then(|path| path.to_str()).expect("UTF-8"),
    );
    let registry = Registry::start();
    let names: Vec<String> = (0..6).map(|number| add(&registry, number)).collect();
    let pull = |number: usize| env.run(&["pull", "-q", &names[number]]);
    let here = || {
        (0..6)
            .filter(|number| has(&env, &names[*number]))
            .collect::<Vec<_>>()
    };
    (0..3).for_each(|number| drop(pull(number).ok()));
    let keeps = env.out(&["create", "--network", "none", &names[0]]);
    let used = env.out(&["create", "--network", "none", &names[1]]);
    env.run(&["rm", &used]).ok();
    pull(3).ok();
    assert_eq!(here(), [0, 1, 3]);
    pull(4).ok();
    assert_eq!(here(), [0, 3, 4]);
    // Both others are in use too: there is no room left for one more, and nothing goes for it.
    let more: Vec<String> = [3, 4]
        .map(|number: usize| env.out(&["create", "--network", "none", &names[number]]))
        .into();
    pull(5).fails(1, "does not fit into storage.max (3900000 bytes)");
    assert_eq!(here(), [0, 3, 4]);
    env.run(&["rm", &more[0]]).ok();
    pull(5).ok();
    assert_eq!(here(), [0, 4, 5]);
    env.run(&["rm", &keeps]).ok();
}

#[test]
fn what_is_larger_than_the_budget_is_refused_before_it_begins() {
    let mut env = test_env!();
    env.set("BRYO_STORAGE_MAX", "2MB");
    let registry = Registry::start();
    let small = add(&registry, 0);
    env.run(&["pull", "-q", &small]).ok();
    let large = layer(7, 2_500_000);
    registry.add("large", "1", &TestImage::new(vec![large.clone()]));
    let refused = env.run(&["pull", &registry.reference("large:1")]);
    refused.fails(1, "more could be freed");
    assert_eq!(registry.count(&large.digest()), 0, "no byte was asked for");
    let archive = busybox().with(&Layer::new().file("big", 0o644, vec![0; 3_000_000]));
    let archive = env.file("large.tar", archive.docker_archive("large:2"));
    env.run(&["load", "-i", &archive]).fails(1, "storage.max");
    let root = Layer::new().file("big", 0o644, vec![0; 3_000_000]).tar();
    let root = env.file("root.tar", root);
    env.run(&["import", &root]).fails(1, "storage.max");
    assert!(has(&env, &small), "nothing goes for what does not fit");
}

#[test]
fn kept_blobs_count() {
    let mut env = test_env!();
    env.set("BRYO_STORAGE_MAX", "4.5MB");
    env.set("BRYO_KEEP_BLOBS", "always");
    let registry = Registry::start();
    let names: Vec<String> = (0..3).map(|number| add(&registry, number)).collect();
    let kept = env.store().join("images/kept");
    for name in &names {
        env.run(&["pull", "-q", name]).ok();
    }
    // Each takes its bytes twice: only two of them fit.
    let here: Vec<bool> = names.iter().map(|name| has(&env, name)).collect();
    assert_eq!(here, [false, true, true]);
    assert_eq!(crate::env::names(&kept).len(), 2);
    for flag in ["-v", "--verbose"] {
        let shown = env.run(&["system", "df", flag]).ok().out();
        let line = shown.lines().find(|line| line.starts_with("Kept blobs"));
        let line = line.expect("a line");
        assert!(line.starts_with("Kept blobs usage: 2.0"), "{line}");
        assert!(line.ends_with("MB in 2 blobs"), "{line}");
    }
    let df = ["system", "df", "--format", "{{.Size}} {{.Reclaimable}}"];
    let lines = env.out(&df);
    let images = lines.lines().next().expect("of images");
    let (size, reclaimable) = images.split_once(' ').expect("two words");
    assert!(size.starts_with("4.") && size.ends_with("MB"), "{images}");
    assert!(reclaimable.starts_with("4."), "{images}");
    registry.add("twice", "1", &TestImage::new(vec![layer(9, 2_400_000)]));
    env.run(&["pull", &registry.reference("twice:1")])
        .fails(1, "does not fit into storage.max");
    env.run(&["rmi", &names[1], &names[2]]).ok();
    assert_eq!(crate::env::names(&kept).len(), 0);
}

#[test]
fn an_index_goes_as_a_whole_or_not_at_all() {
    let mut env = test_env!();
    let directory = env.path("home/multi");
    std::fs::create_dir(&directory).expect("home is writable");
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(directory.join(name), bytes).expect("home is writable");
    };
    write(
        "Dockerfile",
        b"FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /file\n",
    );
    write("amd64", &[7; LAYER]);
    write("s390x", &[8; LAYER]);
    let directory = directory.to_str().expect("UTF-8");
    let platforms = ["--platform", "linux/amd64,linux/s390x", "-t", "multi:1"];
    let build = [&["build", "-q", directory], &platforms[..]].concat();
    env.run(&build).ok();
    // Nobody but the index needs its layers.
    env.run(&["builder", "prune", "-af"]).ok();
    env.set("BRYO_STORAGE_MAX", "3.5MB");
    let registry = Registry::start();
    let names: Vec<String> = (0..4).map(|number| add(&registry, number)).collect();
    // One of its images is used.
    let other = ["create", "--network", "none", "--platform", "linux/s390x"];
    let used = env.out(&[&other[..], &["multi:1", "/file"]].concat());
    for name in &names[..2] {
        env.run(&["pull", "-q", name]).ok();
    }
    assert!(has(&env, "multi:1") && !has(&env, &names[0]) && has(&env, &names[1]));
    let both = env.out(&["images", "--tree", "multi:1"]);
    assert!(
        both.contains("linux/amd64") && both.contains("linux/s390x"),
        "{both}"
    );
    env.run(&["rm", &used]).ok();
    env.run(&["pull", "-q", &names[2]]).ok();
    assert!(!has(&env, "multi:1") && has(&env, &names[1]) && has(&env, &names[2]));
    assert_eq!(env.out(&["images", "-aq"]).lines().count(), 2);
    let documents = crate::env::names(&env.store().join("images/blobs/sha256"));
    assert_eq!(
        documents.len(),
        4,
        "a manifest and a configuration of each: {documents:?}"
    );
    crate::system_check::assert_sound(&env, "without the index");
}

#[test]
fn load_import_and_commit_make_room_too() {
    let mut env = test_env!();
    env.set("BRYO_STORAGE_MAX", "2.5MB");
    let registry = Registry::start();
    let [first, second, third] = [0, 1, 2].map(|number| add(&registry, number));
    let tar = |byte: u8| Layer::new().file("file", 0o644, vec![byte; LAYER]);
    let archive = crate::image::Image::new(&[tar(1)], serde_json::json!({}));
    let archive = env.file("image.tar", archive.docker_archive("loaded:1"));
    let root = env.file("root.tar", tar(2).tar());
    env.run(&["pull", "-q", &first]).ok();
    env.run(&["pull", "-q", &second]).ok();
    env.run(&["load", "-q", "-i", &archive]).ok();
    assert!(!has(&env, &first) && has(&env, &second) && has(&env, "loaded:1"));
    env.run(&["import", &root, "imported:1"]).ok();
    assert!(!has(&env, &second) && has(&env, "loaded:1") && has(&env, "imported:1"));
    // From standard input nobody knows the size before; afterwards what is too much goes.
    env.run(&["pull", "-q", &third]).ok();
    let again = env
        .command(&["import", "-", "imported:2"])
        .input(tar(3).tar());
    again.run().ok();
    assert!(!has(&env, "imported:1") && has(&env, &third) && has(&env, "imported:2"));
    let made = env.out(&["create", "--network", "none", &third]);
    env.run(&["cp", &archive, &format!("{made}:/added")]).ok();
    env.run(&["commit", &made, "committed:1"]).ok();
    assert!(!has(&env, "imported:2") && has(&env, &third) && has(&env, "committed:1"));
}
