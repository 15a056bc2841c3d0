//! TLS on every way out: what is not trusted is not spoken to, whoever sends one there.

use std::net::Ipv4Addr;
use std::path::Path;

use super::super::HostConfig;
use super::super::misbehaving::real::{make_certificates, make_client_certificates};
use super::super::misbehaving::scratch::Directory;
use super::super::misbehaving::{Answer, Fault, Server};
use super::*;

/// A server with a certificate of a private CA, and its directory.
fn secure(answer: fn(&super::super::misbehaving::Request) -> Answer) -> (Server, Directory) {
    let directory = Directory::new();
    make_certificates(directory.path());
    let server = Server::start_tls(Ipv4Addr::LOCALHOST, directory.path(), answer);
    (server, directory)
}

/// Trusts the CA for the server.
fn trust(config: &mut RegistryConfig, directory: &Path, host: &str) {
    let certs = directory.join("certs.d");
    std::fs::create_dir_all(certs.join(host)).unwrap();
    std::fs::copy(directory.join("ca.crt"), certs.join(host).join("ca.crt")).unwrap();
    config.certs_dirs = vec![certs];
}

#[test]
fn redirects_and_realms_with_untrusted_certificates_are_refused() {
    let (server, _directory) = secure(|_| Answer::json(200, r#"{"token":"t"}"#));
    let (registry, reference, layer) = one_layer();
    let target = format!("https://{}/x", server.host());
    for (path, answer) in [
        (layer.digest(), Answer::redirect(307, &target)),
        ("manifests".to_owned(), Answer::redirect(307, &target)),
        (
            "manifests".to_owned(),
            Answer::new(401).with(
                "WWW-Authenticate",
                &format!(r#"Bearer realm="{target}",service="s""#),
            ),
        ),
    ] {
        registry.misbehave(&path, 1, Fault::Answer(answer));
        let error = pull_error(&reference);
        assert!(
            matches!(&error, RegistryError::Certificate { host, .. } if *host == server.host()),
            "{error}"
        );
    }
}

#[test]
fn a_redirect_from_https_to_http_is_refused() {
    let (server, directory) = secure(|_| Answer::redirect(307, "http://127.0.0.1:1/x"));
    let mut config = quick();
    trust(&mut config, directory.path(), &server.host());
    let reference = format!("{}/app:1", server.host());
    let error = pull_with(&config, &reference, &MemorySink::default()).unwrap_err();
    assert!(
        matches!(error, RegistryError::RedirectDowngrade { .. }),
        "{error}"
    );
}

#[test]
fn a_realm_in_plain_http_is_refused_for_an_https_registry() {
    let (server, directory) = secure(|_| {
        Answer::new(401).with("WWW-Authenticate", r#"Bearer realm="http://127.0.0.1:1/t""#)
    });
    let mut config = quick();
    trust(&mut config, directory.path(), &server.host());
    let reference = format!("{}/app:1", server.host());
    let error = pull_with(&config, &reference, &MemorySink::default()).unwrap_err();
    assert!(matches!(error, RegistryError::Realm { .. }), "{error}");
}

#[test]
fn a_ca_for_one_host_is_not_one_for_another() {
    let (server, directory) = secure(|_| Answer::new(200));
    let mut config = quick();
    trust(&mut config, directory.path(), "other.example");
    let entry = HostConfig {
        location: Some(server.host()),
        insecure: false,
        ..Default::default()
    };
    config.hosts.insert("other.example".to_owned(), entry);
    let error = pull_with(&config, "other.example/app:1", &MemorySink::default()).unwrap_err();
    assert!(
        matches!(error, RegistryError::Certificate { .. }),
        "{error}"
    );
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let directory = Directory::new();
    make_certificates(directory.path());
    // The certificate is for 127.0.0.1.
    let address = Ipv4Addr::new(127, 0, 0, 2);
    let server = Server::start_tls(address, directory.path(), |_| Answer::new(200));
    let host = server.host();
    let mut config = quick();
    trust(&mut config, directory.path(), &host);
    let error = pull_with(&config, &format!("{host}/app:1"), &MemorySink::default()).unwrap_err();
    assert!(
        matches!(error, RegistryError::Certificate { .. }),
        "{error}"
    );
    assert!(!chain(&error).contains("unknown authority"), "{error}");
}

/// What a server says to a pull that has a certificate of its authority, whose directory gets these files of two clients.
fn pull_showing(files: &[(&str, &str)], access: Access) -> RegistryError {
    let directory = Directory::new();
    make_certificates(directory.path());
    make_client_certificates(directory.path());
    let server = Server::start_mutual(directory.path(), |_| Answer::new(404));
    let mut config = quick();
    trust(&mut config, directory.path(), &server.host());
    config.access = access;
    for (from, to) in files {
        let certs = config.certs_dirs[0].join(server.host());
        std::fs::copy(directory.path().join(from), certs.join(to)).unwrap();
    }
    let reference = format!("{}/app:1", server.host());
    pull_with(&config, &reference, &MemorySink::default()).unwrap_err()
}

#[test]
fn a_client_certificate_is_shown_to_who_asks_for_it() {
    let error = pull_showing(&[], Access::default());
    let hint = error.hints().concat();
    assert!(
        matches!(error, RegistryError::NoClientCertificate { .. }),
        "{error:?}"
    );
    assert!(hint.contains("/client.cert and "), "{hint}");
    let own = [("client.cert", "client.cert"), ("client.key", "client.key")];
    let stranger = [("a.cert", "a.cert"), ("a.key", "a.key")];
    // Of two, the one whose authority the server names.
    for files in [&own[..], &[own, stranger].concat()] {
        let error = pull_showing(files, Access::default());
        assert!(
            matches!(error, RegistryError::UnknownManifest { .. }),
            "{error:?}"
        );
    }
    let error = pull_showing(&stranger, Access::default());
    assert!(
        matches!(error, RegistryError::NoClientCertificate { .. }),
        "{error:?}"
    );
    let unverified = Access {
        tls_verify: Some(false),
        ..Access::default()
    };
    let error = pull_showing(&own, unverified);
    assert!(
        matches!(error, RegistryError::UnknownManifest { .. }),
        "{error:?}"
    );
}

#[test]
fn half_a_client_certificate_is_an_error() {
    for (files, words) in [
        (
            &[("client.cert", "client.cert")][..],
            "the key of a client's certificate (an authority's is called *.crt) is missing: ",
        ),
        (
            &[("client.key", "client.key")],
            "the certificate of a client's key is missing: ",
        ),
        (
            &[("client.cert", "x.cert"), ("a.key", "x.key")],
            "x.key: it is not the key of ",
        ),
        (
            &[("client.cert", "x.cert"), ("ca.crt", "x.key")],
            "x.key: no PEM key without a passphrase in it",
        ),
        (
            &[("client.key", "x.cert"), ("client.key", "x.key")],
            "x.cert: no PEM certificate in it",
        ),
    ] {
        let error = pull_showing(files, Access::default());
        assert!(
            matches!(error, RegistryError::ReadCertificates { .. }),
            "{error:?}"
        );
        assert!(chain(&error).contains(words), "{}", chain(&error));
    }
}
