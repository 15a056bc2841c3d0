//! Real registry servers on the loopback, each with one way of letting clients in. Images reach them through skopeo.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::env::TestEnv;
use crate::image::{Image, layout};
use crate::misbehaving::token::{Issuer, TokenServer};
use crate::process::eventually;

/// `tester` with the password `secret`, as `htpasswd -B` writes it.
const HTPASSWD: &str = "tester:$2y$05$WjrvDyGUtUv2q2bXwKD08uuIAdinzX4Aj/SKbv.GxwgmwsyZLF.8O\n";

/// How a registry lets clients in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Http,
    /// HTTPS with a certificate of a private authority.
    Https,
    /// Plain HTTP and a password.
    Basic,
    /// Plain HTTP and a token, which a server beside it gives for the same password.
    Token,
    /// Plain HTTP and a token that everybody gets.
    AnonymousToken,
}

pub struct Registry {
    server: Child,
    pub address: String,
    access: Access,
    /// The authority's certificate, for `Access::Https`.
    pub authority: String,
    /// Ends with the registry.
    _tokens: Option<TokenServer>,
}

impl Registry {
    pub fn start(env: &TestEnv, access: Access) -> Registry {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("the loopback has ports")
            .port();
        let address = format!("127.0.0.1:{port}");
        let data = env.path("home/registry");
        fs::create_dir_all(&data).expect("home is writable");
        let mut config = format!(
            "version: 0.1\nlog: {{ level: error, accesslog: {{ disabled: true }} }}\nstorage: {{ filesystem: {{ rootdirectory: {} }}, delete: {{ enabled: true }} }}\n",
            data.display()
        );
        if access == Access::Basic {
            let file = env.file("htpasswd", HTPASSWD);
            config += &format!("auth: {{ htpasswd: {{ realm: tests, path: {file} }} }}\n");
        }
        let mut http = format!("http:\n  addr: {address}\n");
        let mut authority = String::new();
        if access == Access::Https {
            authority = certificates(env);
            let at = |name: &str| env.path("home").join(name).display().to_string();
            http += &format!(
                "  tls: {{ certificate: {}, key: {} }}\n",
                at("server.pem"),
                at("server.key")
            );
        }
        let mut tokens = None;
        if let Access::Token | Access::AnonymousToken = access {
            let issuer = Issuer {
                issuer: "tests".to_owned(),
                service: "registry".to_owned(),
                directory: env.path("home"),
                user: "tester".to_owned(),
                password: "secret".to_owned(),
                anonymous: access == Access::AnonymousToken,
            };
            issuer.prepare();
            let roots = issuer.certificate();
            let server = TokenServer::start(issuer);
            config += &format!(
                "auth: {{ token: {{ realm: \"{}\", service: registry, issuer: tests, rootcertbundle: {} }} }}\n",
                server.realm(),
                roots.display()
            );
            tokens = Some(server);
        }
        let file = env.file("registry.yml", config + &http);
        let server = Command::new("docker-registry")
            .args(["serve", &file])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is installed");
        let registry = Registry {
            server,
            address,
            access,
            authority,
            _tokens: tokens,
        };
        eventually("the registry listens", || {
            TcpStream::connect(&registry.address).is_ok()
        });
        registry
    }

    /// Puts an image there and gives its full name.
    pub fn push(&self, env: &TestEnv, image: &Image, name: &str) -> String {
        self.copy(
            env,
            std::slice::from_ref(image),
            name,
            &["--preserve-digests"],
        )
    }

    /// The same as an index of images for several platforms.
    pub fn push_index(&self, env: &TestEnv, images: &[Image], name: &str) -> String {
        self.copy(env, images, name, &["--all", "--preserve-digests"])
    }

    /// The same with Docker's own manifest, image manifest version 2, schema 2.
    pub fn push_schema2(&self, env: &TestEnv, image: &Image, name: &str) -> String {
        self.copy(
            env,
            std::slice::from_ref(image),
            name,
            &["--format", "v2s2"],
        )
    }

    /// From a directory, because skopeo unpacks archives with their owners, which an ordinary user can't give.
    fn copy(&self, env: &TestEnv, images: &[Image], name: &str, options: &[&str]) -> String {
        let directory = env.path("home/push");
        for (path, bytes) in layout(images, "pushed") {
            env.file(&format!("push/{path}"), bytes);
        }
        let source = format!("oci:{}:pushed", directory.display());
        let target = format!("docker://{}/{name}", self.address);
        let mut arguments = vec!["--insecure-policy", "copy", "--quiet"];
        arguments.push("--dest-tls-verify=false");
        if !matches!(self.access, Access::Http | Access::Https) {
            arguments.extend(["--dest-creds", "tester:secret"]);
        }
        arguments.extend(options);
        arguments.extend([source.as_str(), target.as_str()]);
        env.other("skopeo", &arguments).run().ok();
        fs::remove_dir_all(directory).expect("it was just written");
        format!("{}/{name}", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Makes an authority and a server certificate for the loopback; gives the authority's file.
fn certificates(env: &TestEnv) -> String {
    let extension = env.file(
        "san.cnf",
        "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n",
    );
    let openssl = |arguments: &str| {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        env.other("openssl", &words).run().ok();
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!(
        "req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=tests-authority -addext keyUsage=critical,keyCertSign"
    ));
    openssl(&format!(
        "req {key} -keyout server.key -out server.csr -subj /CN=127.0.0.1"
    ));
    openssl(&format!(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile {extension}"
    ));
    env.path("home/ca.pem").display().to_string()
}
