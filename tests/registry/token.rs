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

/// What a login gets in the password's place.
const IDENTITY: &str = "stays-in";

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

    pub fn token(&self, repositories: &[String]) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let pem = std::fs::read_to_string(self.certificate()).unwrap();
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let access: Vec<serde_json::Value> = repositories
            .iter()
            .map(|name| json!({"type": "repository", "name": name, "actions": ["pull", "push"]}))
            .chain([json!({"type": "registry", "name": "catalog", "actions": ["*"]})])
            .collect();
        let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [der]});
        let claims = json!({
            "iss": self.issuer, "sub": self.user, "aud": self.service,
            "exp": now + 300, "nbf": now - 10, "iat": now, "jti": format!("{now}"),
            "access": access,
        });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = sign(&self.key(), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn answer(&self, request: &Request) -> Answer {
        let pair = STANDARD.encode(format!("{}:{}", self.user, self.password));
        let fields = |text: &str| -> Vec<(String, String)> {
            url::form_urlencoded::parse(text.as_bytes())
                .into_owned()
                .collect()
        };
        let fields = [fields(&request.query), fields(&request.body)].concat();
        let all = |name: &str| -> Vec<String> {
            let named = fields.iter().filter(|(key, _)| key == name);
            named.map(|(_, value)| value.clone()).collect()
        };
        let known = request.header("authorization") == Some(&format!("Basic {pair}"))
            || all("refresh_token") == [IDENTITY];
        if !known && !self.anonymous {
            return Answer::json(
                401,
                r#"{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}"#,
            );
        }
        let repositories: Vec<String> = all("scope")
            .iter()
            .flat_map(|scopes| scopes.split(' '))
            .filter_map(|scope| Some(scope.split(':').nth(1)?.to_owned()))
            .collect();
        let mut answer = json!({"token": self.token(&repositories), "expires_in": 300});
        if all("offline_token") == ["true"] {
            answer["refresh_token"] = IDENTITY.into();
        }
        Answer::json(200, &answer.to_string())
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
