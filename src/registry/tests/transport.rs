//! Servers that are busy, broken, absent or send one elsewhere.

use std::time::Instant;

use super::super::HostConfig;
use super::super::misbehaving::{Answer, Fault, Server};
use super::*;

#[test]
fn temporary_failures_are_retried() {
    let (registry, reference, layer) = one_layer();
    registry.misbehave("manifests", 1, Fault::Answer(Answer::new(500)));
    registry.misbehave("manifests", 1, Fault::Hang);
    registry.misbehave(&layer.digest(), 1, Fault::Answer(Answer::new(503)));
    pull(&reference).unwrap();
    assert_eq!(registry.count("manifests"), 3);
}

#[test]
fn a_server_that_stays_broken_is_reported_with_its_status() {
    let (registry, reference, _) = one_layer();
    registry.misbehave("manifests", 99, Fault::Answer(Answer::new(502)));
    let error = pull_error(&reference);
    assert!(chain(&error).contains("502 3 times"), "{error}");
    assert_eq!(registry.count("manifests"), 3);
}

#[test]
fn retry_after_is_waited_for() {
    let (registry, reference, _) = one_layer();
    let busy = Answer::new(429).with("Retry-After", "1");
    registry.misbehave("manifests", 1, Fault::Answer(busy));
    let start = Instant::now();
    pull(&reference).unwrap();
    assert!(start.elapsed().as_millis() >= 1000);
}

#[test]
fn a_rate_limit_that_lasts_is_explained_at_once() {
    let (registry, reference, _) = one_layer();
    let busy = Answer::new(429).with("Retry-After", "3600");
    registry.misbehave("manifests", 99, Fault::Answer(busy));
    let start = Instant::now();
    let error = pull_error(&reference);
    assert!(start.elapsed().as_secs() < 2);
    assert!(
        chain(&error).contains("rate limit reached, it asks to wait 3600 s"),
        "{error}"
    );
    assert!(error.hints()[0].contains("log in"));
}

#[test]
fn an_absent_registry_is_named() {
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap()
    };
    let error = pull_error(&format!("{port}/app:1"));
    assert!(matches!(error, RegistryError::Connect { .. }), "{error}");
    assert!(chain(&error).contains(&port.to_string()));
    assert!(chain(&error).contains("onnection refused"));
}

#[test]
fn an_unknown_host_is_named() {
    let error = pull_error("registry.invalid/app:1");
    assert!(chain(&error).contains("registry.invalid"), "{error}");
    assert!(
        matches!(error, RegistryError::UnknownHost { .. }),
        "{error:?}"
    );
}

#[test]
fn another_host_is_never_spoken_to_in_plain_http() {
    // 192.0.2.1 is reserved for documentation: whoever answers there is not a registry.
    let mut config = quick();
    config.limits.connect_timeout = Duration::from_millis(200);
    let location = |location: &str| HostConfig {
        location: Some(location.to_owned()),
        insecure: false,
        ..Default::default()
    };
    config
        .hosts
        .insert("docker.io".to_owned(), location("http://192.0.2.1"));
    let error = pull_with(&config, "debian", &MemorySink::default()).unwrap_err();
    assert!(
        matches!(error, RegistryError::RedirectDowngrade { .. }),
        "{error}"
    );
    config
        .hosts
        .insert("docker.io".to_owned(), location("192.0.2.1"));
    let error = pull_with(&config, "debian", &MemorySink::default()).unwrap_err();
    assert!(
        matches!(
            error,
            RegistryError::Timeout { .. } | RegistryError::Connect { .. }
        ),
        "{error}"
    );
}

#[test]
fn docker_hub_can_be_sent_elsewhere() {
    let registry = Registry::start();
    registry.add(
        "hub/library/debian",
        "latest",
        &TestImage::new(vec![layer("x")]),
    );
    let mut config = quick();
    let entry = HostConfig {
        location: Some(format!("{}/hub", registry.host())),
        insecure: false,
        ..HostConfig::default()
    };
    config.hosts.insert("docker.io".to_owned(), entry);
    pull_with(&config, "debian", &MemorySink::default()).unwrap();
}

#[test]
fn redirects_are_followed_within_bounds() {
    let (registry, reference, layer) = one_layer();
    let content = Server::start({
        let blob = layer.blob.clone();
        move |_| Answer {
            body: blob.clone(),
            ..Answer::new(200)
        }
    });
    let elsewhere = format!("http://{}/blob?signature=s3cret", content.host());
    registry.misbehave(
        &layer.digest(),
        1,
        Fault::Answer(Answer::redirect(307, &elsewhere)),
    );
    pull(&reference).unwrap();
}

#[test]
fn redirect_loops_and_chains_end() {
    let (registry, reference, layer) = one_layer();
    let here = format!("/v2/app/blobs/{}", layer.digest());
    registry.misbehave(
        &layer.digest(),
        99,
        Fault::Answer(Answer::redirect(302, &here)),
    );
    let error = pull_error(&reference);
    assert!(
        matches!(error, RegistryError::RedirectLoop { .. }),
        "{error}"
    );

    let (registry, reference, layer) = one_layer();
    for hop in 0..9 {
        let next = format!("/hop/{}", hop + 1);
        let path = if hop == 0 {
            layer.digest()
        } else {
            format!("/hop/{hop}")
        };
        registry.misbehave(&path, 1, Fault::Answer(Answer::redirect(302, &next)));
    }
    let error = pull_error(&reference);
    assert!(
        matches!(error, RegistryError::TooManyRedirects { .. }),
        "{error}"
    );
    assert_eq!(registry.count("/hop/"), 5);
}

#[test]
fn redirects_to_plain_http_off_this_machine_or_to_other_schemes_are_refused() {
    for target in [
        "http://192.0.2.1/x",
        "file:///etc/passwd",
        "ftp://192.0.2.1/x",
        "http://u:p@127.0.0.1/x",
        "//",
        "",
    ] {
        let (registry, reference, layer) = one_layer();
        registry.misbehave(
            &layer.digest(),
            99,
            Fault::Answer(Answer::redirect(302, target)),
        );
        let error = pull_error(&reference);
        assert!(
            matches!(error, RegistryError::RedirectTarget { .. }),
            "{target:?}: {error}"
        );
        assert!(!chain(&error).contains("u:p@"));
    }
}
