//! Who is let in, and where credentials go and do not go.

use std::sync::{Arc, Mutex};

use super::super::misbehaving::scratch::Directory;
use super::super::misbehaving::server::Request;
use super::super::misbehaving::{Answer, Fault, Server};
use super::*;

const PASSWORD: &str = "hunter2-secret";

/// A configuration whose docker file knows `user` at the registry.
fn with_credentials(host: &str, entry: &str) -> (RegistryConfig, Directory) {
    let directory = Directory::new();
    let path = directory.path().join("config.json");
    std::fs::write(&path, format!(r#"{{"auths":{{"{host}":{entry}}}}}"#)).unwrap();
    let config = RegistryConfig {
        docker_config: Some(path),
        ..quick()
    };
    (config, directory)
}

fn password_entry() -> String {
    format!(r#"{{"username":"user","password":"{PASSWORD}"}}"#)
}

fn unauthorized(challenge: &str) -> Fault {
    Fault::Answer(Answer::new(401).with("WWW-Authenticate", challenge))
}

/// What a server was asked.
type Log = Arc<Mutex<Vec<Request>>>;

fn logging(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> (Server, Log) {
    let log: Log = Arc::default();
    let kept = Arc::clone(&log);
    let server = Server::start(move |request| {
        kept.lock().unwrap().push(request.clone());
        answer(request)
    });
    (server, log)
}

#[test]
fn basic_authentication_uses_dockers_credentials() {
    let (registry, reference, _) = one_layer();
    let (config, _directory) = with_credentials(&registry.host(), &password_entry());
    registry.misbehave("manifests", 1, unauthorized(r#"Basic realm="x""#));
    pull_with(&config, &reference, &MemorySink::default()).unwrap();
    let requests = registry.requests();
    let sent: Vec<&Request> = requests
        .iter()
        .filter(|r| r.header("authorization").is_some())
        .collect();
    // The second manifest request and everything after it, never the first.
    assert_eq!(sent.len(), 3);
    assert!(requests[0].header("authorization").is_none());
}

#[test]
fn refused_credentials_are_reported_and_never_shown() {
    let (registry, reference, _) = one_layer();
    let (config, _directory) = with_credentials(&registry.host(), &password_entry());
    registry.misbehave("manifests", 99, unauthorized(r#"Basic realm="x""#));
    let error = pull_with(&config, &reference, &MemorySink::default()).unwrap_err();
    let everything = format!("{} {error:?} {:?} {config:?}", chain(&error), error.hints());
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
    assert!(everything.contains("were refused"));
    assert!(!everything.contains(PASSWORD));
    assert_eq!(registry.count("manifests"), 2);
}

#[test]
fn without_credentials_the_cure_is_named() {
    let (registry, reference, _) = one_layer();
    registry.misbehave("manifests", 99, unauthorized(r#"Basic realm="x""#));
    let error = pull_error(&reference);
    assert!(chain(&error).contains("pull access denied"), "{error}");
    assert!(error.hints()[0].contains("bryo login"));
}

#[test]
fn a_bearer_token_is_fetched_once_and_used_for_everything() {
    let (tokens, log) = logging(|_| Answer::json(200, r#"{"access_token":"t0ken"}"#));
    let (registry, reference, layer) = one_layer();
    let challenge = format!(r#"Bearer realm="http://{}/t",service="s""#, tokens.host());
    registry.misbehave("manifests", 1, unauthorized(&challenge));
    pull(&reference).unwrap();
    let log = log.lock().unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].query, "service=s&scope=repository%3Aapp%3Apull");
    assert!(log[0].header("authorization").is_none());
    let requests = registry.requests();
    let blob = requests
        .iter()
        .find(|r| r.path.ends_with(&layer.digest()))
        .unwrap();
    assert_eq!(blob.header("authorization"), Some("Bearer t0ken"));
}

#[test]
fn an_expired_token_is_renewed() {
    let (tokens, log) = logging(|_| Answer::json(200, r#"{"token":"t"}"#));
    let (registry, reference, layer) = one_layer();
    let challenge = format!(r#"Bearer realm="http://{}/t",service="s""#, tokens.host());
    registry.misbehave("manifests", 1, unauthorized(&challenge));
    registry.misbehave(&layer.digest(), 1, unauthorized(&challenge));
    pull(&reference).unwrap();
    assert_eq!(log.lock().unwrap().len(), 2);
}

#[test]
fn an_identity_token_is_posted_to_the_realm() {
    let (tokens, log) = logging(|_| Answer::json(200, r#"{"access_token":"t"}"#));
    let (registry, reference, _) = one_layer();
    let (config, _directory) =
        with_credentials(&registry.host(), r#"{"identitytoken":"refresh/me"}"#);
    let challenge = format!(r#"Bearer realm="http://{}/t",service="s""#, tokens.host());
    registry.misbehave("manifests", 1, unauthorized(&challenge));
    pull_with(&config, &reference, &MemorySink::default()).unwrap();
    let log = log.lock().unwrap();
    assert_eq!(log[0].method, "POST");
    assert!(log[0].body.contains("refresh_token=refresh%2Fme"));
    assert!(log[0].query.is_empty());
}

#[test]
fn a_realm_off_this_machine_must_be_https() {
    for realm in [
        "http://192.0.2.1/t",
        "ftp://127.0.0.1/t",
        "nonsense",
        "http://u:p@127.0.0.1/t",
    ] {
        let (registry, reference, _) = one_layer();
        registry.misbehave(
            "manifests",
            99,
            unauthorized(&format!(r#"Bearer realm="{realm}""#)),
        );
        let error = pull_error(&reference);
        assert!(
            matches!(error, RegistryError::Realm { .. }),
            "{realm}: {error}"
        );
    }
}

#[test]
fn broken_token_answers_are_errors_without_their_content() {
    for body in [
        r#"{"token":""}"#,
        "{}",
        r#"{"token":"s3cret"#,
        r#"{"token":"s3c\nret"}"#,
    ] {
        let (tokens, _log) = logging(move |_| Answer::json(200, body));
        let (registry, reference, _) = one_layer();
        registry.misbehave(
            "manifests",
            99,
            unauthorized(&format!(r#"Bearer realm="http://{}/t""#, tokens.host())),
        );
        let error = pull_error(&reference);
        assert!(matches!(error, RegistryError::Token { .. }), "{error}");
        assert!(!format!("{error:?}").contains("s3c"));
    }
}

#[test]
fn credentials_do_not_follow_a_redirect_to_another_host() {
    let (registry, reference, layer) = one_layer();
    let blob = layer.blob.clone();
    let (content, log) = logging(move |request| match request.header("authorization") {
        None => Answer {
            body: blob.clone(),
            ..Answer::new(200)
        },
        Some(_) => Answer::new(400),
    });
    let (config, _directory) = with_credentials(&registry.host(), &password_entry());
    registry.misbehave("manifests", 1, unauthorized("Basic"));
    let target = format!("http://{}/blob", content.host());
    registry.misbehave(
        &layer.digest(),
        1,
        Fault::Answer(Answer::redirect(307, &target)),
    );
    pull_with(&config, &reference, &MemorySink::default()).unwrap();
    assert_eq!(log.lock().unwrap().len(), 1);
}

#[test]
fn another_host_that_asks_for_credentials_gets_none() {
    let (registry, reference, layer) = one_layer();
    let (content, log) = logging(|_| Answer::new(401).with("WWW-Authenticate", "Basic"));
    let (config, _directory) = with_credentials(&registry.host(), &password_entry());
    registry.misbehave("manifests", 1, unauthorized("Basic"));
    let target = format!("http://{}/blob", content.host());
    registry.misbehave(
        &layer.digest(),
        99,
        Fault::Answer(Answer::redirect(307, &target)),
    );
    let error = pull_with(&config, &reference, &MemorySink::default()).unwrap_err();
    let elsewhere = matches!(&error, RegistryError::Status { host, status: 401, .. } if *host == content.host());
    assert!(elsewhere, "{error}");
    let log = log.lock().unwrap();
    assert!(
        log.iter()
            .all(|request| request.header("authorization").is_none())
    );
}

/// A subscriber is a matter of a whole process, so this test has one of its own: itself, started again.
#[test]
fn traces_and_progress_show_no_secret() {
    const CHILD: &str = "BRYO_TEST_TRACED";
    if std::env::var_os(CHILD).is_some() {
        return traced_pull();
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "registry::tests::access::traces_and_progress_show_no_secret",
        ])
        .arg("--nocapture")
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&[child.stdout, child.stderr].concat()).into_owned();
    assert!(child.status.success(), "{text}");
    assert!(text.contains("status=307"), "nothing was traced: {text}");
    let basic = "dXNlcjpodW50ZXIyLXNlY3JldA";
    for secret in [PASSWORD, "t0ken", "s1gned", basic] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

fn traced_pull() {
    let level = tracing::Level::TRACE;
    tracing_subscriber::fmt().with_max_level(level).init();
    let (tokens, _log) = logging(|_| Answer::json(200, r#"{"token":"t0ken-secret"}"#));
    let (registry, reference, layer) = one_layer();
    let (config, _directory) = with_credentials(&registry.host(), &password_entry());
    let challenge = format!(r#"Bearer realm="http://{}/t",service="s""#, tokens.host());
    registry.misbehave("manifests", 1, unauthorized(&challenge));
    let signed = format!("/v2/app/blobs/{}?signature=s1gned-secret", layer.digest());
    let redirect = Answer::redirect(307, &signed);
    registry.misbehave(&layer.digest(), 1, Fault::Answer(redirect));
    pull_with(&config, &reference, &MemorySink::default()).unwrap();
}
