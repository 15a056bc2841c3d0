//! A token server as docker's registry expects it (distribution's "token authentication"): basic authentication in, an
//! RS256 JWT out. `openssl` makes the key and signs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::server::{Answer, Request, Server};

/// Serves tokens for any repository, to `user` with `password` or, if `anonymous`, to everybody.
pub struct TokenServer {
    server: Server,
}

#[derive(Clone)]
pub struct Issuer {
    pub issuer: String,
    pub service: String,
    /// Where `token.key` and `token.crt` lie; the registry's `rootcertbundle` is the latter.
    pub directory: PathBuf,
    pub user: String,
    pub password: String,
    pub anonymous: bool,
}

impl Issuer {
    /// Makes the key pair.
    pub fn prepare(&self) {
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=token",
            ])
            .arg("-keyout")
            .arg(self.key())
            .arg("-out")
            .arg(self.certificate())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success());
    }

    fn key(&self) -> PathBuf {
        self.directory.join("token.key")
    }

    pub fn certificate(&self) -> PathBuf {
        self.directory.join("token.crt")
    }

    pub fn token(&self, repository: &str) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let pem = std::fs::read_to_string(self.certificate()).unwrap();
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [der]});
        let claims = json!({
            "iss": self.issuer, "sub": self.user, "aud": self.service,
            "exp": now + 300, "nbf": now - 10, "iat": now, "jti": format!("{now}"),
            "access": [{"type": "repository", "name": repository, "actions": ["pull", "push"]}],
        });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = sign(&self.key(), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn answer(&self, request: &Request) -> Answer {
        let pair = STANDARD.encode(format!("{}:{}", self.user, self.password));
        let known = request.header("authorization") == Some(&format!("Basic {pair}"));
        if !known && !self.anonymous {
            return Answer::json(
                401,
                r#"{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}"#,
            );
        }
        let scope = url::form_urlencoded::parse(request.query.as_bytes())
            .find(|(key, _)| key == "scope")
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default();
        let repository = scope.split(':').nth(1).unwrap_or_default();
        Answer::json(
            200,
            &json!({"token": self.token(repository), "expires_in": 300}).to_string(),
        )
    }
}

fn sign(key: &Path, data: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(data).unwrap();
    child.wait_with_output().unwrap().stdout
}

impl TokenServer {
    pub fn start(issuer: Issuer) -> TokenServer {
        TokenServer {
            server: Server::start(move |request| issuer.answer(request)),
        }
    }

    /// For the registry's `auth.token.realm`.
    pub fn realm(&self) -> String {
        format!("http://{}/token", self.server.host())
    }
}
