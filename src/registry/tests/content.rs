//! Layers: what arrives, what arrives wrongly, what is not asked for.

use std::time::Duration;

use super::super::misbehaving::{Answer, Fault};
use super::*;

#[test]
fn layers_of_every_compression_arrive_in_both_manifest_families() {
    for docker in [false, true] {
        let registry = Registry::start();
        let tar = |name| image::tar(&[(name, noise(1_000_000).as_slice())]);
        let mut layers = vec![
            TestLayer::gzip(&tar("gzip")),
            TestLayer::zstd(&tar("zstd")),
            TestLayer::plain(&tar("plain")),
        ];
        if docker {
            // Docker has one media type for every compression.
            for layer in &mut layers {
                layer.media_type = "application/vnd.docker.image.rootfs.diff.tar.gzip".to_owned();
            }
        }
        let mut image = TestImage::new(layers.clone());
        image.docker = docker;
        let digest = registry.add("a/b", "1", &image);
        let sink = MemorySink::default();
        let pulled = pull_with(&quick(), &registry.reference("a/b:1"), &sink).unwrap();
        assert_eq!(pulled.digest.as_str(), digest);
        assert_eq!(pulled.config, image.config_bytes());
        let expected: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        let got: Vec<&str> = pulled.diff_ids.iter().map(Digest::as_str).collect();
        assert_eq!(got, expected);
        assert_eq!(sink.stored.lock().unwrap().len(), 3);
    }
}

#[test]
fn several_gzip_members_are_one_layer() {
    let registry = Registry::start();
    let tar = image::tar(&[("x", b"y")]);
    let (front, back) = tar.split_at(700);
    let mut layer = TestLayer::gzip(&tar);
    layer.blob = [image::gzip(front), image::gzip(back)].concat();
    registry.add("app", "1", &TestImage::new(vec![layer]));
    pull(&registry.reference("app:1")).unwrap();
}

#[test]
fn a_layer_in_the_store_is_never_asked_for() {
    let registry = Registry::start();
    let (old, new) = (layer("old"), layer("new"));
    registry.add("app", "1", &TestImage::new(vec![old.clone(), new.clone()]));
    let sink = MemorySink {
        present: vec![old.diff_id.parse().unwrap()],
        ..MemorySink::default()
    };
    pull_with(&quick(), &registry.reference("app:1"), &sink).unwrap();
    assert_eq!(registry.count(&old.digest()), 0);
    assert_eq!(registry.count(&new.digest()), 1);
}

#[test]
fn a_layer_that_occurs_twice_is_fetched_once() {
    let registry = Registry::start();
    let layers = vec![layer("same"), layer("other"), layer("same")];
    registry.add("app", "1", &TestImage::new(layers.clone()));
    let pulled = pull(&registry.reference("app:1")).unwrap();
    assert_eq!(pulled.diff_ids.len(), 3);
    assert_eq!(registry.count(&layers[0].digest()), 1);
}

#[test]
fn a_broken_download_is_taken_up_where_it_broke() {
    let (registry, reference, layer) = one_layer();
    registry.misbehave(&layer.digest(), 2, Fault::Truncate(100_000));
    pull(&reference).unwrap();
    let ranges: Vec<Option<String>> = registry
        .requests()
        .iter()
        .filter(|request| request.path.ends_with(&layer.digest()))
        .map(|request| request.header("range").map(str::to_owned))
        .collect();
    let expected = [None, Some("bytes=100000-"), Some("bytes=200000-")];
    assert_eq!(ranges, expected.map(|range| range.map(str::to_owned)));
}

#[test]
fn a_server_without_ranges_is_survived() {
    let (registry, reference, layer) = one_layer();
    registry.misbehave(&layer.digest(), 1, Fault::Truncate(100_000));
    registry.misbehave(&layer.digest(), 1, Fault::NoRanges);
    pull(&reference).unwrap();
}

#[test]
fn a_silent_server_is_given_up_and_asked_again() {
    let (registry, reference, layer) = one_layer();
    let long = Duration::from_secs(20);
    registry.misbehave(&layer.digest(), 1, Fault::Stall(1000, long));
    pull(&reference).unwrap();
    assert_eq!(registry.count(&layer.digest()), 2);
}

#[test]
fn a_download_that_always_breaks_ends_naming_the_blob() {
    let (registry, reference, layer) = one_layer();
    registry.misbehave(&layer.digest(), 99, Fault::Truncate(10));
    let error = pull_error(&reference);
    assert!(matches!(error, RegistryError::BlobBroken { .. }), "{error}");
    assert!(chain(&error).contains(&layer.digest()));
    assert_eq!(registry.count(&layer.digest()), 4);
}

#[test]
fn wrong_bytes_are_refused_by_digest() {
    let (registry, reference, layer) = one_layer();
    registry.misbehave(&layer.digest(), 99, Fault::Garble);
    let error = pull_error(&reference);
    assert!(
        matches!(
            error,
            RegistryError::BlobDigest { .. } | RegistryError::NotCompressed { .. }
        ),
        "{error}"
    );
    assert!(chain(&error).contains(&layer.digest()));
}

#[test]
fn wrong_bytes_behind_a_good_start_are_refused_by_digest() {
    let (registry, reference, layer) = one_layer();
    let mut bytes = layer.blob.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    registry.put(&format!("/v2/app/blobs/{}", layer.digest()), bytes, "x");
    let error = pull_error(&reference);
    assert!(matches!(error, RegistryError::BlobDigest { .. }), "{error}");
}

#[test]
fn blobs_of_the_wrong_length_are_refused() {
    let (registry, reference, layer) = one_layer();
    registry.misbehave(&layer.digest(), 99, Fault::Lengthen);
    let error = pull_error(&reference);
    assert!(
        matches!(error, RegistryError::BlobTooLong { .. }),
        "{error}"
    );
    assert!(chain(&error).contains(&layer.digest()));

    let (registry, reference, layer) = one_layer();
    let short = layer.blob[..1000].to_vec();
    registry.put(&format!("/v2/app/blobs/{}", layer.digest()), short, "x");
    let error = pull_error(&reference);
    assert!(
        matches!(error, RegistryError::BlobSize { actual: 1000, .. }),
        "{error}"
    );
}

#[test]
fn corrupt_compression_under_a_right_digest_is_named() {
    let tar = image::tar(&[("x", noise(200_000).as_slice())]);
    for good in [TestLayer::gzip(&tar), TestLayer::zstd(&tar)] {
        let middle = good.blob.len() / 2;
        let mut flipped = good.clone();
        flipped.blob[middle] ^= 0xff;
        let mut cut = good.clone();
        cut.blob.truncate(middle);
        for bad in [flipped, cut] {
            let registry = Registry::start();
            registry.add("app", "1", &TestImage::new(vec![bad.clone()]));
            let error = pull_error(&registry.reference("app:1"));
            // A flipped bit that still decompresses shows in the DiffID.
            let named = matches!(
                error,
                RegistryError::Corrupt { .. } | RegistryError::StoreLayer { .. }
            );
            assert!(named, "{error}");
            assert!(chain(&error).contains(&bad.digest()));
        }
    }
}

#[test]
fn decompression_bombs_are_refused() {
    let zeros = vec![0; 8 << 20];
    for bomb in [TestLayer::gzip(&zeros), TestLayer::zstd(&zeros)] {
        let registry = Registry::start();
        registry.add("app", "1", &TestImage::new(vec![bomb.clone()]));
        let mut config = quick();
        config.limits.ratio_free_bytes = 1 << 20;
        config.limits.ratio = 50;
        let sink = MemorySink::default();
        let error = pull_with(&config, &registry.reference("app:1"), &sink).unwrap_err();
        assert!(matches!(error, RegistryError::Bomb { .. }), "{error}");
        pull(&registry.reference("app:1")).unwrap();
    }
}

#[test]
fn a_missing_blob_is_named() {
    let (registry, reference, layer) = one_layer();
    registry.misbehave(&layer.digest(), 99, Fault::Answer(Answer::new(404)));
    let error = pull_error(&reference);
    assert!(
        matches!(error, RegistryError::UnknownBlob { .. }),
        "{error}"
    );
}

#[test]
fn a_sink_that_fails_ends_the_pull_with_its_own_words() {
    let registry = Registry::start();
    let layers = vec![layer("a"), layer("b"), layer("c"), layer("d")];
    registry.add("app", "1", &TestImage::new(layers));
    let sink = MemorySink {
        fail: true,
        ..MemorySink::default()
    };
    let error = pull_with(&quick(), &registry.reference("app:1"), &sink).unwrap_err();
    assert!(chain(&error).contains("no space left"), "{error}");
    assert_eq!(error.hints(), ["df"]);
}

#[test]
fn zstd_windows_are_accepted_up_to_128_mib() {
    let tar = image::tar(&[("x", noise(100_000).as_slice())]);
    let good = TestLayer::zstd(&tar);
    assert_eq!(good.blob[4] & 0x20, 0, "a frame with a window");
    for (log, accepted) in [(23, true), (27, true), (28, false), (31, false)] {
        let mut layer = good.clone();
        layer.blob[5] = (log - 10) << 3;
        let registry = Registry::start();
        registry.add("app", "1", &TestImage::new(vec![layer]));
        let pulled = pull(&registry.reference("app:1"));
        assert_eq!(pulled.is_ok(), accepted, "{log}: {:?}", pulled.err());
    }
}

#[test]
fn a_failure_does_not_wait_for_another_layers_next_try() {
    let registry = Registry::start();
    let layers = vec![layer("bad"), layer("busy")];
    registry.add("app", "1", &TestImage::new(layers.clone()));
    let busy = Answer::new(503).with("Retry-After", "30");
    registry.misbehave(&layers[1].digest(), 1, Fault::Answer(busy));
    registry.misbehave(&layers[0].digest(), 99, Fault::Answer(Answer::new(404)));
    let mut config = quick();
    config.limits.retry_after_cap = Duration::from_secs(60);
    let start = std::time::Instant::now();
    let error = pull_with(
        &config,
        &registry.reference("app:1"),
        &MemorySink::default(),
    )
    .unwrap_err();
    assert!(
        matches!(error, RegistryError::UnknownBlob { .. }),
        "{error}"
    );
    assert!(start.elapsed() < Duration::from_secs(10));
}
