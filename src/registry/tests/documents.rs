//! Manifests, indexes and configurations: the wrong, the hostile and the merely many.

use serde_json::json;

use super::super::misbehaving::{Answer, Fault, Server};
use super::super::{HostConfig, ManifestFault};
use super::*;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[test]
fn an_unknown_image_is_named_and_nothing_else_is_tried() {
    let registry = Registry::start();
    let error = pull_error(&registry.reference("none:7"));
    let text = chain(&error);
    assert!(
        text.contains("manifest unknown") && text.contains("none:7"),
        "{text}"
    );
    assert_eq!(registry.count("/v2/none"), 1);
}

#[test]
fn a_huge_manifest_is_refused_before_it_is_read() {
    let (registry, reference, _) = one_layer();
    let huge = (10_u64 << 30).to_string();
    registry.misbehave("manifests", 1, Fault::Header("Content-Length", huge));
    let error = pull_error(&reference);
    assert!(
        matches!(error, RegistryError::ManifestTooLarge { .. }),
        "{error}"
    );

    let unannounced = Answer {
        body: vec![b' '; 5 << 20],
        chunked: true,
        ..Answer::new(200)
    };
    registry.misbehave("manifests", 1, Fault::Answer(unannounced));
    let error = pull_error(&reference);
    assert!(
        matches!(error, RegistryError::ManifestTooLarge { .. }),
        "{error}"
    );
}

#[test]
fn a_manifest_has_the_digest_it_was_asked_for_by() {
    let (registry, _, layer) = one_layer();
    let good = TestImage::new(vec![layer.clone()]);
    let digest = image::digest(&good.manifest());
    let reference = registry.reference(&format!("app@{digest}"));
    pull(&reference).unwrap();
    pull(&registry.reference(&format!("app:1@{digest}"))).unwrap();

    let other = TestImage::for_platform(vec![layer], "linux", "arm64").manifest();
    registry.put(&format!("/v2/app/manifests/{digest}"), other, MANIFEST);
    let error = pull_error(&reference);
    assert!(
        matches!(error, RegistryError::ManifestDigest { .. }),
        "{error}"
    );
    assert!(chain(&error).contains(&digest));
}

#[test]
fn the_content_digest_header_is_believed_only_when_it_is_right() {
    let (registry, reference, _) = one_layer();
    let wrong = Digest::of(b"x").to_string();
    registry.misbehave(
        "manifests",
        1,
        Fault::Header("Docker-Content-Digest", wrong),
    );
    let error = pull_error(&reference);
    assert!(
        matches!(error, RegistryError::ManifestDigest { .. }),
        "{error}"
    );
    registry.misbehave(
        "manifests",
        1,
        Fault::Header("Docker-Content-Digest", "sha256:../../x".to_owned()),
    );
    let error = pull_error(&reference);
    assert!(
        matches!(error, RegistryError::ContentDigest { .. }),
        "{error}"
    );
}

#[test]
fn both_shapes_and_disagreeing_types_are_refused() {
    let (registry, reference, layer) = one_layer();
    let mut both = TestImage::new(vec![layer]).document();
    both["manifests"] = json!([]);
    for media_type in [MANIFEST, image::INDEX] {
        registry.add_manifest("app", "1", both.to_string().into_bytes(), media_type);
        let error = pull_error(&reference);
        let fault = matches!(
            error,
            RegistryError::Manifest {
                fault: ManifestFault::BothShapes,
                ..
            }
        );
        assert!(fault, "{error}");
    }
}

#[test]
fn hostile_digests_are_refused_before_anything_is_asked_for() {
    let (registry, reference, layer) = one_layer();
    for bad in [
        "../../x",
        &format!("sha256:{}", "a".repeat(63)),
        &layer.digest().to_uppercase(),
    ] {
        let mut document = TestImage::new(vec![layer.clone()]).document();
        document["layers"][0]["digest"] = json!(bad);
        registry.add_manifest("app", "1", document.to_string().into_bytes(), MANIFEST);
        let error = pull_error(&reference);
        assert!(
            matches!(error, RegistryError::Manifest { .. }),
            "{bad}: {error}"
        );
    }
    assert_eq!(registry.count("/blobs/"), 0);
}

#[test]
fn foreign_layers_are_refused_and_their_urls_never_asked() {
    let elsewhere = Server::start(|request| {
        assert!(request.header("authorization").is_none());
        Answer::new(401).with("WWW-Authenticate", "Basic")
    });
    let (registry, reference, layer) = one_layer();
    for media_type in [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    ] {
        let mut document = TestImage::new(vec![layer.clone()]).document();
        document["layers"][0]["mediaType"] = json!(media_type);
        document["layers"][0]["urls"] = json!([format!("http://{}/x", elsewhere.host())]);
        registry.add_manifest("app", "1", document.to_string().into_bytes(), MANIFEST);
        let error = pull_error(&reference);
        assert!(chain(&error).contains("foreign layer"), "{error}");
    }
}

#[test]
fn the_platform_decides_which_manifest_of_an_index_is_taken() {
    let registry = Registry::start();
    let mut entries = Vec::new();
    for (architecture, variant) in [
        ("arm", Some("v6")),
        ("arm", Some("v7")),
        ("amd64", None),
        ("arm64", Some("v8")),
    ] {
        let name = format!("{architecture}{variant:?}");
        let image = TestImage::for_platform(vec![layer(&name)], "linux", architecture);
        registry.add(
            "multi",
            &name.to_lowercase().replace(['(', ')', '"'], ""),
            &image,
        );
        let mut platform = json!({"os": "linux", "architecture": architecture});
        if let Some(variant) = variant {
            platform["variant"] = json!(variant);
        }
        entries.push(image.entry(platform));
    }
    let named = registry.add_manifest("multi", "1", image::index(&entries), image::INDEX);
    let reference = registry.reference("multi:1").parse().unwrap();
    let pull = |text: &str| {
        super::super::pull(
            &reference,
            Some(&platform(text)),
            &quick(),
            &MemorySink::default(),
            &Silent,
        )
    };
    for (wanted, entry) in [
        ("linux/arm/v6", 0),
        ("linux/arm/v7", 1),
        ("linux/amd64", 2),
        ("linux/arm64", 3),
    ] {
        let pulled = pull(wanted);
        let digest = pulled.as_ref().unwrap().digest.to_string();
        assert_eq!(json!(digest), entries[entry]["digest"], "{wanted}");
        assert_eq!(pulled.unwrap().named_digest.as_str(), named);
    }
    let error = pull("linux/s390x").unwrap_err();
    let text = chain(&error);
    assert!(
        text.contains("linux/s390x")
            && text.contains("it has linux/amd64, linux/arm/v6, linux/arm/v7, linux/arm64"),
        "{text}"
    );
    assert!(error.hints()[0].contains("--platform"));
}

#[test]
fn a_single_image_for_another_platform_is_refused_only_when_one_was_asked_for() {
    let registry = Registry::start();
    let image = TestImage::for_platform(vec![layer("x")], "linux", "s390x");
    registry.add("app", "1", &image);
    let reference = registry.reference("app:1");
    assert_eq!(pull(&reference).unwrap().platform, platform("linux/s390x"));
    let wanted = platform("linux/amd64");
    let error = super::super::pull(
        &reference.parse().unwrap(),
        Some(&wanted),
        &quick(),
        &MemorySink::default(),
        &Silent,
    )
    .unwrap_err();
    assert!(
        matches!(error, RegistryError::WrongPlatform { .. }),
        "{error}"
    );
}

#[test]
fn indexes_nest_but_not_for_ever() {
    let registry = Registry::start();
    let image = TestImage::new(vec![layer("x")]);
    registry.add("nest", "image", &image);
    let entry = |document: &[u8]| json!({"mediaType": image::INDEX, "digest": image::digest(document), "size": document.len()});
    let mut document =
        image::index(&[image.entry(json!({"os": "linux", "architecture": "amd64"}))]);
    for depth in 0..6 {
        registry.add_manifest("nest", &format!("d{depth}"), document.clone(), image::INDEX);
        document = image::index(&[entry(&document)]);
    }
    let amd64 = platform("linux/amd64");
    let pull = |tag: &str| {
        let reference = registry.reference(&format!("nest:{tag}")).parse().unwrap();
        super::super::pull(
            &reference,
            Some(&amd64),
            &quick(),
            &MemorySink::default(),
            &Silent,
        )
    };
    pull("d1").unwrap();
    let error = pull("d5").unwrap_err();
    assert!(
        matches!(error, RegistryError::NestedIndexes { .. }),
        "{error}"
    );
}

#[test]
fn configurations_must_fit_their_manifest() {
    let (registry, reference, layer) = one_layer();
    let mut image = TestImage::new(vec![layer]);
    image.config["rootfs"]["diff_ids"] = json!([]);
    registry.add("app", "1", &image);
    let error = pull_error(&reference);
    assert!(
        chain(&error).contains("names 0 layers, the manifest has 1"),
        "{error}"
    );
    image.config["rootfs"]["diff_ids"] = json!(["../../x"]);
    registry.add("app", "1", &image);
    let error = pull_error(&reference);
    assert!(matches!(error, RegistryError::Config { .. }), "{error}");
    let mut document = image.document();
    document["config"]["size"] = json!(1_u64 << 40);
    registry.add_manifest("app", "1", document.to_string().into_bytes(), MANIFEST);
    let error = pull_error(&reference);
    assert!(chain(&error).contains("is larger than"), "{error}");
}

#[test]
fn a_location_that_is_no_host_is_refused() {
    let mut config = quick();
    for bad in ["", "ftp://x", "user@host", "a b", "host?x"] {
        let entry = HostConfig {
            location: Some(bad.to_owned()),
            insecure: true,
            ..Default::default()
        };
        config.hosts.insert("docker.io".to_owned(), entry);
        let error = pull_with(&config, "debian", &MemorySink::default()).unwrap_err();
        assert!(
            matches!(error, RegistryError::Location { .. }),
            "{bad}: {error}"
        );
    }
}
