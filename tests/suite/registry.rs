//! Real registry servers on the loopback, each with one way of letting clients in. Images reach them through skopeo.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::env::TestEnv;
use crate::image::{Image, platforms_archive};
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
}

pub struct Registry {
    server: Child,
    pub address: String,
    access: Access,
    /// The authority's certificate, for `Access::Https`.
    pub authority: String,
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
        };
        eventually("the registry listens", || {
            TcpStream::connect(&registry.address).is_ok()
        });
        registry
    }

    /// Puts an image there and gives its full name.
    pub fn push(&self, env: &TestEnv, image: &Image, name: &str) -> String {
        self.push_archive(env, image.oci_archive("pushed"), name)
    }

    /// Puts an index there with an image for each architecture and gives its full name.
    pub fn push_platforms(&self, env: &TestEnv, architectures: &[&str], name: &str) -> String {
        self.push_archive(env, platforms_archive(architectures, "pushed"), name)
    }

    fn push_archive(&self, env: &TestEnv, archive: Vec<u8>, name: &str) -> String {
        let file = env.file("push.tar", archive);
        let target = format!("docker://{}/{name}", self.address);
        let mut arguments = vec![
            "--insecure-policy",
            "copy",
            "--quiet",
            "--dest-tls-verify=false",
            "--preserve-digests",
            "--all",
        ];
        if self.access == Access::Basic {
            arguments.extend(["--dest-creds", "tester:secret"]);
        }
        let source = format!("oci-archive:{file}:pushed");
        arguments.extend([source.as_str(), target.as_str()]);
        env.other("skopeo", &arguments).run().ok();
        fs::remove_file(file).expect("it was just written");
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
