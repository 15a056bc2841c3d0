//! Debian's `docker-registry` on a loopback port, in the four ways a user meets one.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::token::{Issuer, TokenServer};

/// The programs these tests cannot do without; a test that lacks one is skipped with its name.
pub const PROGRAMS: [&str; 4] = ["docker-registry", "openssl", "htpasswd", "skopeo"];

/// The first of [`PROGRAMS`] that is not installed.
pub fn missing_program() -> Option<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = |name: &&str| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    PROGRAMS.into_iter().find(|name| !installed(name))
}

#[derive(Default)]
pub struct Options {
    pub tls: bool,
    /// `user`, `password`.
    pub basic: Option<(String, String)>,
    /// The same for a token server, which stands beside the registry.
    pub token: Option<(String, String)>,
}

/// A running registry; ended when dropped.
pub struct RealRegistry {
    process: Child,
    port: u16,
    directory: PathBuf,
    tokens: Option<TokenServer>,
}

impl RealRegistry {
    /// `directory` is the caller's, empty, and keeps everything.
    pub fn start(directory: &Path, options: &Options) -> RealRegistry {
        let port = free_port();
        let mut yaml = format!(
            "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            directory.join("data").display()
        );
        if options.tls {
            make_certificates(directory);
            yaml.push_str(&format!(
                "  tls:\n    certificate: {0}/server.crt\n    key: {0}/server.key\n",
                directory.display()
            ));
        }
        if let Some((user, password)) = &options.basic {
            let entry = output(Command::new("htpasswd").args(["-Bbn", user, password]));
            fs::write(directory.join("htpasswd"), entry).unwrap();
            yaml.push_str(&format!(
                "auth:\n  htpasswd:\n    realm: test\n    path: {}/htpasswd\n",
                directory.display()
            ));
        }
        let tokens = options.token.as_ref().map(|(user, password)| {
            let issuer = Issuer {
                issuer: "test-issuer".to_owned(),
                service: "test-registry".to_owned(),
                directory: directory.to_owned(),
                user: user.clone(),
                password: password.clone(),
                anonymous: false,
            };
            issuer.prepare();
            let certificate = issuer.certificate();
            let tokens = TokenServer::start(issuer);
            yaml.push_str(&format!(
                "auth:\n  token:\n    realm: {}\n    service: test-registry\n    issuer: test-issuer\n    rootcertbundle: {}\n",
                tokens.realm(),
                certificate.display()
            ));
            tokens
        });
        let config = directory.join("config.yml");
        fs::write(&config, yaml).unwrap();
        let log = fs::File::create(directory.join("log")).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let registry = RealRegistry {
            process,
            port,
            directory: directory.to_owned(),
            tokens,
        };
        registry.wait_until_it_listens();
        registry
    }

    /// `127.0.0.1:port`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The private CA's certificate, for `certs.d`.
    pub fn ca(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    /// Copies an image (in any of skopeo's notations) into the registry.
    pub fn push(&self, source: &str, name: &str, credentials: Option<&(String, String)>) {
        let mut command = Command::new("skopeo");
        command.args([
            "copy",
            "--quiet",
            "--insecure-policy",
            "--dest-tls-verify=false",
        ]);
        if let Some((user, password)) = credentials {
            command.arg(format!("--dest-creds={user}:{password}"));
        }
        command
            .arg(source)
            .arg(format!("docker://{}/{name}", self.host()));
        output(&mut command);
    }

    fn wait_until_it_listens(&self) {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "docker-registry does not listen"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for RealRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// `ca.crt`, and a server certificate for 127.0.0.1 and localhost signed by it.
pub fn make_certificates(directory: &Path) {
    let script = r#"
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=test CA' -keyout ca.key -out ca.crt
        openssl req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout server.key -out server.csr
        printf 'subjectAltName=IP:127.0.0.1,DNS:localhost' > san
        openssl x509 -req -days 2 -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile san -out server.crt
    "#;
    output(
        Command::new("sh")
            .args(["-ec", script])
            .current_dir(directory),
    );
}

/// Of two clients: `client.cert` and `client.key`, signed by that CA, and `a.cert` and `a.key`, signed by nobody else.
pub fn make_client_certificates(directory: &Path) {
    let script = r#"
        openssl req -newkey rsa:2048 -nodes -subj /CN=client -keyout client.key -out client.csr
        printf 'extendedKeyUsage=clientAuth' > usage
        openssl x509 -req -days 2 -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile usage -out client.cert
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=stranger -keyout a.key -out a.cert
    "#;
    output(
        Command::new("sh")
            .args(["-ec", script])
            .current_dir(directory),
    );
}

fn output(command: &mut Command) -> Vec<u8> {
    let done = command.stderr(Stdio::piped()).output().unwrap();
    assert!(
        done.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    done.stdout
}
