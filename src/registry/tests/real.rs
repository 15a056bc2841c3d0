//! Pulls from a real registry server: plain HTTP, a private CA, basic authentication, bearer tokens.

use std::fs;

use super::super::misbehaving::real::{Options, RealRegistry, missing_program};
use super::super::misbehaving::scratch::Directory;
use super::*;

fn user() -> (String, String) {
    ("user".to_owned(), "hunter2-secret".to_owned())
}

/// A registry with `app:1` in it, and a configuration that knows nothing yet; `None` where a program is missing.
struct Setup {
    registry: RealRegistry,
    config: RegistryConfig,
    directory: Directory,
}

fn setup(options: &Options) -> Option<Setup> {
    if let Some(program) = missing_program() {
        let ci = std::env::var_os("CI").is_some();
        assert!(!ci, "{program} is not installed");
        return None;
    }
    let directory = Directory::new();
    let registry = RealRegistry::start(directory.path(), options);
    let layout = directory.path().join("layout");
    image::write_layout(&layout, &TestImage::new(vec![layer("a"), layer("b")]));
    let credentials = options.basic.as_ref().or(options.token.as_ref());
    registry.push(
        &format!("oci:{}:latest", layout.display()),
        "app:1",
        credentials,
    );
    let config = RegistryConfig {
        certs_dirs: vec![directory.path().join("certs.d")],
        docker_config: Some(directory.path().join("docker.json")),
        ..quick()
    };
    Some(Setup {
        registry,
        config,
        directory,
    })
}

impl Setup {
    fn pull(&self) -> Result<Pulled, RegistryError> {
        let reference = format!("{}/app:1", self.registry.host());
        pull_with(&self.config, &reference, &MemorySink::default())
    }

    fn log_in(&self, password: &str) {
        let entry = format!(r#"{{"username":"user","password":"{password}"}}"#);
        let host = self.registry.host();
        let text = format!(r#"{{"auths":{{"{host}":{entry}}}}}"#);
        fs::write(self.directory.path().join("docker.json"), text).unwrap();
    }

    fn assert_denied(&self) {
        let error = self.pull().unwrap_err();
        assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
        assert!(!error.hints().is_empty());
    }
}

#[test]
fn plain_http_on_loopback_works_without_configuration() {
    let Some(setup) = setup(&Options::default()) else {
        return;
    };
    assert_eq!(setup.pull().unwrap().diff_ids.len(), 2);
    let reference = format!("{}/app:2", setup.registry.host());
    let error = pull_with(&setup.config, &reference, &MemorySink::default()).unwrap_err();
    assert!(
        matches!(error, RegistryError::UnknownManifest { .. }),
        "{error}"
    );
    let localhost = reference
        .replace("127.0.0.1", "localhost")
        .replace(":2", ":1");
    pull_with(&setup.config, &localhost, &MemorySink::default()).unwrap();
}

#[test]
fn a_private_ca_is_refused_until_it_is_put_where_the_hint_says() {
    let options = Options {
        tls: true,
        ..Options::default()
    };
    let Some(setup) = setup(&options) else {
        return;
    };
    let error = setup.pull().unwrap_err();
    let text = chain(&error);
    assert!(
        text.contains(&setup.registry.host()) && text.contains("unknown authority"),
        "{text}"
    );
    let hint = error.hints().remove(0);
    let path = hint.split_whitespace().last().unwrap();
    fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
    fs::copy(setup.registry.ca(), path).unwrap();
    setup.pull().unwrap();

    fs::write(path, "not a certificate").unwrap();
    let error = setup.pull().unwrap_err();
    assert!(
        matches!(error, RegistryError::ReadCertificates { .. }),
        "{error}"
    );
    assert!(chain(&error).contains(path));
}

#[test]
fn a_registry_listed_as_insecure_is_not_sent_plain_http_it_does_not_speak() {
    let options = Options {
        tls: true,
        ..Options::default()
    };
    let Some(mut setup) = setup(&options) else {
        return;
    };
    let entry = super::super::HostConfig {
        location: None,
        insecure: true,
        ..Default::default()
    };
    setup.config.hosts.insert(setup.registry.host(), entry);
    let error = setup.pull().unwrap_err();
    assert!(
        matches!(error, RegistryError::Status { status: 400, .. }),
        "{error}"
    );
}

#[test]
fn basic_authentication_lets_in_who_has_the_password() {
    let options = Options {
        basic: Some(user()),
        ..Options::default()
    };
    let Some(setup) = setup(&options) else {
        return;
    };
    setup.assert_denied();
    setup.log_in("wrong");
    setup.assert_denied();
    setup.log_in(&user().1);
    setup.pull().unwrap();
}

#[test]
fn bearer_tokens_let_in_who_has_the_password() {
    let options = Options {
        token: Some(user()),
        ..Options::default()
    };
    let Some(setup) = setup(&options) else {
        return;
    };
    setup.assert_denied();
    setup.log_in("wrong");
    setup.assert_denied();
    setup.log_in(&user().1);
    setup.pull().unwrap();
}
