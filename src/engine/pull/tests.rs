//! Pulls from the misbehaving registry into a real store: what is in it afterwards, above all after a failure.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::paths::Paths;
use crate::registry::misbehaving::scratch::Directory;
use crate::registry::misbehaving::{Fault, Registry, TestImage, TestLayer, image};
use crate::registry::{Limits as RegistryLimits, Silent};

struct Setup {
    registry: Registry,
    store: Store,
    directory: Directory,
}

fn setup() -> Setup {
    let directory = Directory::new();
    let at = |name: &str| directory.path().join(name);
    let paths = Paths {
        data: at("data"),
        cache: at("cache"),
        config: at("config"),
        runtime: at("runtime"),
        runtime_fallback: None,
    };
    Setup {
        registry: Registry::start(),
        store: Store::open(&paths).unwrap(),
        directory,
    }
}

fn config() -> RegistryConfig {
    RegistryConfig {
        limits: RegistryLimits {
            backoff: Duration::from_millis(1),
            resumes: 2,
            ..RegistryLimits::default()
        },
        ..RegistryConfig::default()
    }
}

impl Setup {
    fn request(&self, name: &str) -> PullRequest {
        PullRequest {
            any_platform: false,
            keep_blobs: false,
            reference: self.registry.reference(name).parse().unwrap(),
            platform: None,
            single_id: true,
            max: None,
        }
    }

    fn pull(&self, name: &str) -> Result<PullOutcome, PullError> {
        pull(
            &self.store,
            &self.request(name),
            &config(),
            &|| Ok(Vec::new()),
            &Silent,
        )
    }

    /// Every path in the store.
    fn content(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        walk(&self.directory.path().join("data"), &mut found);
        found
    }

    fn names(&self) -> BTreeSet<String> {
        let names = self.store.names().unwrap();
        let references = names
            .entries
            .iter()
            .filter_map(|entry| entry.reference.as_ref());
        references.map(ToString::to_string).collect()
    }
}

fn walk(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        found.insert(entry.path().display().to_string());
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), found);
        }
    }
}

fn layer(name: &str) -> TestLayer {
    TestLayer::gzip(&image::tar(&[(name, b"content")]))
}

#[test]
fn a_pulled_image_is_named_by_tag_and_by_digest() {
    let setup = setup();
    let digest = setup
        .registry
        .add("app", "1", &TestImage::new(vec![layer("a"), layer("b")]));
    let outcome = setup.pull("app:1").unwrap();
    assert_eq!(outcome.digest.as_str(), digest);
    assert!(!outcome.up_to_date);
    let name = setup.registry.reference("app");
    let expected = [format!("{name}:1"), format!("{name}@{digest}")];
    assert_eq!(setup.names(), expected.into());
    let stored = setup.store.resolve(&format!("{name}:1")).unwrap();
    assert_eq!(stored.id, outcome.id);
    let root = setup.store.layer_path(&stored.layers[0]);
    assert_eq!(std::fs::read(root.join("a")).unwrap(), b"content");
}

#[test]
fn a_pulled_layer_remembers_its_blob_and_gives_its_tar_back() {
    let setup = setup();
    let added = TestImage::new(vec![layer("a"), layer("b")]);
    setup.registry.add("app", "1", &added);
    setup.pull("app:1").unwrap();
    let stored = setup.store.resolve(&setup.registry.reference("app:1"));
    let stored = stored.unwrap();
    let manifest = setup.store.read_blob(&stored.manifest).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    for (number, name) in ["a", "b"].into_iter().enumerate() {
        let diff_id = stored.layers[number].diff_id();
        let known = setup.store.layer_report(&diff_id).unwrap().blobs;
        let descriptor = &manifest["layers"][number];
        assert_eq!(descriptor["digest"], known[0].digest.as_str());
        assert_eq!(descriptor["size"], known[0].size);
        assert_eq!(descriptor["mediaType"], known[0].media_type);
        let mut tar = Vec::new();
        setup.store.write_tar(&diff_id, &mut tar).unwrap();
        assert!(tar == image::tar(&[(name, b"content")]));
    }
}

#[test]
fn a_second_pull_asks_for_no_layer_and_says_that_nothing_is_new() {
    let setup = setup();
    let layer = layer("a");
    setup
        .registry
        .add("app", "1", &TestImage::new(vec![layer.clone()]));
    setup.pull("app:1").unwrap();
    assert!(setup.pull("app:1").unwrap().up_to_date);
    assert_eq!(setup.registry.count(&layer.digest()), 1);
}

#[test]
fn a_pull_by_digest_gives_no_tag() {
    let setup = setup();
    let digest = setup
        .registry
        .add("app", "1", &TestImage::new(vec![layer("a")]));
    setup.pull(&format!("app:1@{digest}")).unwrap();
    let expected = setup.registry.reference(&format!("app@{digest}"));
    assert_eq!(setup.names(), [expected].into());
}

/// Pulls an image with this bad layer between good ones; the error, after checking that the store is as before.
fn refusal(bad: &TestLayer, fault: Option<Fault>) -> String {
    let setup = setup();
    drop(setup.store.lease().unwrap());
    let before = setup.content();
    let layers = vec![layer("good"), bad.clone(), layer("other")];
    setup.registry.add("bad", "1", &TestImage::new(layers));
    if let Some(fault) = fault {
        setup.registry.misbehave(&bad.digest(), 99, fault);
    }
    let error = setup.pull("bad:1").unwrap_err();
    assert_eq!(setup.content(), before, "{error}");
    let mut text = error.to_string();
    let mut next = std::error::Error::source(&error);
    while let Some(error) = next {
        text.push_str(&format!(": {error}"));
        next = error.source();
    }
    assert!(text.contains(&bad.digest()), "{text}");
    text
}

#[test]
fn a_layer_with_another_diff_id_leaves_nothing() {
    let mut lying = layer("lying");
    lying.diff_id = layer("something else").diff_id;
    let text = refusal(&lying, None);
    assert!(text.contains("the image's configuration says"), "{text}");
}

#[test]
fn a_broken_or_wrong_layer_leaves_nothing() {
    refusal(&layer("bad"), Some(Fault::Truncate(20)));
    refusal(&layer("bad"), Some(Fault::Garble));
    refusal(&layer("bad"), Some(Fault::Lengthen));
}

#[test]
fn an_archive_that_leads_outside_or_ends_early_leaves_nothing() {
    let text = refusal(&TestLayer::gzip(&escape()), None);
    assert!(text.contains("escape"), "{text}");
    refusal(
        &TestLayer::gzip(&image::tar(&[("x", &[7; 3000])])[..2000]),
        None,
    );
}

#[test]
fn two_pulls_of_one_image_at_once_both_succeed() {
    let setup = setup();
    let layers: Vec<TestLayer> = (0..6)
        .map(|number| layer(&format!("file{number}")))
        .collect();
    setup.registry.add("app", "1", &TestImage::new(layers));
    std::thread::scope(|scope| {
        let pulls: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| setup.pull("app:1").unwrap().id))
            .collect();
        let ids: BTreeSet<Digest> = pulls.into_iter().map(|pull| pull.join().unwrap()).collect();
        assert_eq!(ids.len(), 1);
    });
    assert!(!setup.content().iter().any(|path| path.contains("/.tmp-")));
    let name = setup.registry.reference("app:1");
    assert_eq!(setup.store.resolve(&name).unwrap().layers.len(), 6);
}

#[test]
fn what_a_killed_pull_left_is_swept_by_the_next() {
    let setup = setup();
    let left = setup.directory.path().join("data/layers/.tmp-killed");
    std::fs::create_dir_all(left.join("fs/a")).unwrap();
    setup
        .registry
        .add("app", "1", &TestImage::new(vec![layer("a")]));
    assert!(setup.pull("app:1").unwrap().warnings.is_empty());
    assert!(!left.exists());
}

#[test]
fn an_image_for_another_platform_is_pulled_with_a_warning() {
    let setup = setup();
    let foreign = TestImage::for_platform(vec![layer("a")], "linux", "s390x");
    setup.registry.add("app", "1", &foreign);
    let warnings = setup.pull("app:1").unwrap().warnings;
    assert!(
        warnings[0].contains("(linux/s390x) does not match"),
        "{warnings:?}"
    );
}

/// An archive whose one file lies outside.
fn escape() -> Vec<u8> {
    let mut tar = image::tar(&[("aa/escape", b"x")]);
    tar[..9].copy_from_slice(b"../escape");
    let sum: u32 = tar[..148]
        .iter()
        .chain(&tar[156..512])
        .map(|byte| u32::from(*byte))
        .sum::<u32>()
        + 8 * 32;
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar
}
