//! Policies and signatures: keys and signatures that `openssl` and `gpg` make, and everything about them that can be wrong.

use std::fs;
use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::env::{TestEnv, test_env};
use crate::image::busybox;
use crate::misbehaving::real::make_certificates;
use crate::misbehaving::{Answer, Fault, Registry, Server, TestImage, TestLayer, image};
use crate::need::{Need, need};

const NONE: &str = "demands a signature, and there is none";

pub fn policy(env: &TestEnv, text: &str) {
    fs::create_dir_all(env.path("config/bryo")).expect("it is writable");
    fs::write(env.path("config/bryo/config.toml"), text).expect("it is writable");
}

fn openssl(env: &TestEnv, words: &str) {
    let words: Vec<&str> = words.split_whitespace().collect();
    env.other("openssl", &words).run().ok();
}

/// A key pair `name.pem`, `name.pub` of openssl's algorithm; the public one's path.
pub fn key(env: &TestEnv, name: &str, algorithm: &str) -> String {
    openssl(
        env,
        &format!("genpkey -algorithm {algorithm} -out {name}.pem"),
    );
    openssl(env, &format!("pkey -in {name}.pem -pubout -out {name}.pub"));
    env.path(&format!("home/{name}.pub")).display().to_string()
}

pub const P256: &str = "EC -pkeyopt ec_paramgen_curve:P-256";

/// What cosign signs, and with the other kind what gpg does.
pub fn payload(kind: &str, name: &str, digest: &str) -> String {
    json!({
        "critical": {
            "identity": { "docker-reference": name },
            "image": { "docker-manifest-digest": digest },
            "type": kind,
        },
        "optional": { "creator": "tests" },
    })
    .to_string()
}

pub const COSIGN: &str = "cosign container image signature";
const SIMPLE: &str = "atomic container signature";

/// Puts signatures beside an image, each a payload and what `name.pem` makes of another, usually the same.
pub fn attach(env: &TestEnv, registry: &Registry, digest: &str, signed: &[(&str, &str, &str)]) {
    let mut layers = Vec::new();
    for (key, payload, said) in signed {
        env.file("payload", payload);
        openssl(
            env,
            &format!("dgst -sha256 -sign {key}.pem -out signature payload"),
        );
        let signature = fs::read(env.path("home/signature")).expect("openssl wrote it");
        let blob = said.as_bytes().to_vec();
        let blob_digest = image::digest(&blob);
        layers.push(json!({
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
            "digest": blob_digest,
            "size": blob.len(),
            "annotations": { "dev.cosignproject.cosign/signature": STANDARD.encode(signature) },
        }));
        registry.put(
            &format!("/v2/app/blobs/{blob_digest}"),
            blob,
            "application/octet-stream",
        );
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": image::digest(b"{}"),
            "size": 2,
        },
        "layers": layers,
    });
    let tag = format!("{}.sig", digest.replace(':', "-"));
    registry.add_manifest(
        "app",
        &tag,
        manifest.to_string().into_bytes(),
        "application/vnd.oci.image.manifest.v1+json",
    );
}

/// `app:1` in a registry; its reference, the repository's name and the digest.
pub fn app(registry: &Registry) -> (String, String, String) {
    let layer = TestLayer::gzip(&image::tar(&[("file", b"content")]));
    let digest = registry.add("app", "1", &TestImage::new(vec![layer]));
    (
        registry.reference("app:1"),
        registry.reference("app"),
        digest,
    )
}

#[track_caller]
fn refused(env: &TestEnv, name: &str, part: &str) {
    let pull = env.run(&["pull", name]).fails(1, part);
    assert!(pull.stderr.contains("is refused"), "{pull:?}");
    assert_eq!(env.out(&["images", "-aq"]), "", "{pull:?}");
}

#[test]
fn a_policy_rejects_and_accepts_by_scope() {
    let env = test_env!();
    let registry = Registry::start();
    let (name, repository, _) = app(&registry);
    policy(&env, "[policy.default]\ntype = \"reject\"\n");
    refused(&env, &name, "the policy of default is \"reject\"");
    // Nobody was asked for anything.
    assert_eq!(registry.requests().len(), 0);
    policy(
        &env,
        &format!(
            "[policy.default]\ntype = \"reject\"\n[policy.\"{repository}\"]\ntype = \"accept\"\n"
        ),
    );
    env.run(&["pull", &name]).ok();
    env.run(&["create", "--name", "made", &name, "/x"]).ok();
    let id = env.out(&["images", "-q"]);
    policy(
        &env,
        &format!("[policy.\"{}\"]\ntype = \"reject\"\n", registry.host()),
    );
    for image in [&name, &id] {
        env.run(&["create", image, "/x"]).fails(1, "is \"reject\"");
        env.run(&["run", "--rm", image, "/x"])
            .fails(125, "is \"reject\"");
    }
    let archive = env.file("image.tar", busybox().docker_archive("busybox:latest"));
    let rootfs = env.file("root.tar", crate::image::busybox_layer().tar());
    env.run(&["load", "-i", &archive]).ok();
    env.run(&["import", &rootfs, "mine:1"]).ok();
    env.run(&["rmi", "busybox", "mine:1"]).ok();
    let before = env.out(&["images", "-aq"]);
    policy(&env, "[policy.\"docker.io/library\"]\ntype = \"reject\"\n");
    env.run(&["load", "-i", &archive])
        .fails(1, "busybox:latest is refused");
    env.run(&["import", &rootfs, "mine:1"])
        .fails(1, "mine:1 is refused");
    assert_eq!(env.out(&["images", "-aq"]), before);
    env.run(&["import", &rootfs]).ok();
}

#[test]
fn a_policy_that_cannot_be_read_lets_nobody_in() {
    let env = test_env!();
    let registry = Registry::start();
    let (name, ..) = app(&registry);
    for (text, part) in [
        (
            "[policy.default]\ntype = \"maybe\"\n",
            "expected accept, reject, cosign or gpg",
        ),
        (
            "[policy.default]\n",
            "expected accept, reject, cosign or gpg",
        ),
        ("[policy.default]\ntype = \"cosign\"\n", "keys beside it"),
        (
            "[policy.default]\ntype = \"cosign\"\nkeys = []\n",
            "keys beside it",
        ),
        (
            "[policy.default]\ntype = \"cosign\"\nkeys = [\"k\"]\n",
            "an absolute path",
        ),
        (
            "[policy.default]\ntype = \"gpg\"\nkeys = [\"/k\"]\n",
            "a lookaside beside it",
        ),
        (
            "[policy.default]\ntype = \"accept\"\nkeys = [\"/k\"]\n",
            "cosign or gpg where",
        ),
        (
            "[policy.default]\ntype = \"reject\"\nkey = 1\n",
            "did you mean \"keys\"",
        ),
        (
            "[policy.debian]\ntype = \"reject\"\n",
            "as docker.io/library/debian",
        ),
        ("[policy.default]\ntype = \"reject\n", "config.toml:2"),
        ("policy = \"reject\"\n", "must be a table"),
    ] {
        policy(&env, text);
        env.run(&["pull", &name]).fails(125, part);
    }
    fs::remove_file(env.path("config/bryo/config.toml")).expect("it was written");
    fs::create_dir(env.path("config/bryo/config.toml")).expect("it is writable");
    env.run(&["pull", &name]).fails(125, "config.toml");
}

#[test]
fn cosign_signatures_by_the_right_key_of_the_right_image_count() {
    let env = test_env!();
    need!(Need::Program("openssl"));
    let registry = Registry::start();
    let (name, repository, digest) = app(&registry);
    let good = key(&env, "good", P256);
    key(&env, "other", P256);
    let rule = format!("[policy.\"{repository}\"]\ntype = \"cosign\"\nkeys = [\"{good}\"]\n");
    policy(&env, &rule);
    refused(&env, &name, NONE);
    let right = payload(COSIGN, &repository, &digest);
    let other_digest = payload(COSIGN, &repository, &image::digest(b"other"));
    let other_name = payload(COSIGN, &registry.reference("app2"), &digest);
    let other_tag = payload(COSIGN, &registry.reference("app:2"), &digest);
    let other_kind = payload(SIMPLE, &repository, &digest);
    for (key, signed, said, part) in [
        ("other", &right, &right, "not made with a key that counts"),
        (
            "good",
            &other_digest,
            &right,
            "not made with a key that counts",
        ),
        ("good", &other_digest, &other_digest, "it is of sha256:"),
        (
            "good",
            &other_name,
            &other_name,
            "it is of the repository or tag",
        ),
        (
            "good",
            &other_tag,
            &other_tag,
            "it is of the repository or tag",
        ),
        ("good", &other_kind, &other_kind, "it cannot be read"),
        (
            "good",
            &"no JSON".to_owned(),
            &"no JSON".to_owned(),
            "it cannot be read",
        ),
    ] {
        attach(&env, &registry, &digest, &[(key, signed, said)]);
        refused(&env, &name, part);
    }
    // A registry that fails while it is asked says nothing of signatures.
    attach(&env, &registry, &digest, &[("good", &right, &right)]);
    let answer = || Fault::Answer(crate::misbehaving::Answer::new(403));
    registry.misbehave(".sig", 1, answer());
    let pull = env.run(&["pull", &name]);
    assert_eq!(pull.code, 1, "{pull:?}");
    registry.misbehave(&image::digest(right.as_bytes()), 1, Fault::Garble);
    let pull = env.run(&["pull", &name]);
    assert_eq!((pull.code, env.out(&["images", "-aq"])), (1, String::new()));
    // One good signature among others is enough.
    let both = [
        ("other", right.as_str(), right.as_str()),
        ("good", &right, &right),
    ];
    attach(&env, &registry, &digest, &both);
    env.run(&["pull", &name]).ok();
    let by_digest = format!("{repository}@{digest}");
    for image in [&name, &by_digest, &env.out(&["images", "-q"])] {
        env.run(&["create", image, "/x"]).ok();
    }
    // Under another name it is not the image that was signed, wherever that name leads.
    let elsewhere = format!("{}/moved:1", registry.host());
    env.run(&["tag", &name, &elsewhere]).ok();
    policy(&env, &rule.replace(&repository, &registry.host()));
    env.run(&["create", &elsewhere, "/x"])
        .fails(1, "it is of the repository or tag");
    // A key that is taken away counts no more, also for what is here.
    let bad = key(&env, "bad", P256);
    policy(&env, &rule.replace(&good, &bad));
    env.run(&["create", &name, "/x"])
        .fails(1, "not made with a key that counts");
    for (content, part) in [(None, "No such file"), (Some("no key"), "is no public key")] {
        match content {
            None => fs::remove_file(&bad).expect("it was made"),
            Some(text) => fs::write(&bad, text).expect("it is writable"),
        }
        env.run(&["create", &name, "/x"]).fails(1, part);
        env.run(&["pull", &name]).fails(1, part);
    }
}

#[test]
fn verify_signature_demands_one_whatever_the_policy_says() {
    let env = test_env!();
    need!(Need::Program("openssl"));
    let registry = Registry::start();
    let (name, repository, digest) = app(&registry);
    let payload = payload(COSIGN, &repository, &digest);
    let other = key(&env, "other", P256);
    for (kind, algorithm) in [
        ("ec", P256),
        ("rsa", "RSA -pkeyopt rsa_keygen_bits:2048"),
        ("wide", "EC -pkeyopt ec_paramgen_curve:P-384"),
    ] {
        let public = key(&env, kind, algorithm);
        env.run(&["pull", "--verify-signature", &other, &name])
            .fails(1, "--verify-signature demands a signature");
        attach(&env, &registry, &digest, &[(kind, &payload, &payload)]);
        env.run(&["pull", "--verify-signature", &public, &name])
            .ok();
    }
    let private = env.path("home/ec.pem").display().to_string();
    env.run(&["pull", "--verify-signature", &private, &name])
        .fails(1, "is no public key");
}

#[test]
fn what_was_here_before_the_policy_is_not_run() {
    let env = test_env!();
    need!(Need::Program("openssl"));
    let registry = Registry::start();
    let (name, repository, digest) = app(&registry);
    let good = key(&env, "good", P256);
    env.run(&["pull", &name]).ok();
    policy(
        &env,
        &format!("[policy.\"{repository}\"]\ntype = \"cosign\"\nkeys = [\"{good}\"]\n"),
    );
    env.run(&["create", &name, "/x"]).fails(1, NONE);
    let archive = env.path("home/saved.tar").display().to_string();
    env.run(&["save", "-o", &archive, &name]).ok();
    env.run(&["load", "-i", &archive])
        .fails(1, "an archive has none");
    let payload = payload(COSIGN, &repository, &digest);
    attach(&env, &registry, &digest, &[("good", &payload, &payload)]);
    env.run(&["pull", &name]).ok();
    env.run(&["create", &name, "/x"]).ok();
    env.run(&["system", "check"]).ok();
    env.run(&["container", "prune", "-f"]).ok();
    env.run(&["rmi", &name]).ok();
    let kept = env.store().join("images/signatures");
    assert_eq!(fs::read_dir(kept).expect("it is there").count(), 0);
}

/// gpg with a home of its own, and no agent that stays.
fn gpg(env: &TestEnv, words: &[&str]) {
    let home = env.path("home/gnupg").display().to_string();
    let front = [
        "--homedir",
        &home,
        "--batch",
        "--yes",
        "--no-tty",
        "--passphrase",
        "",
    ];
    let pinentry = ["--pinentry-mode", "loopback"];
    env.other("gpg", &[&front, &pinentry[..], words].concat())
        .run()
        .ok();
}

struct Signer<'a> {
    env: &'a TestEnv,
}

impl Signer<'_> {
    fn new(env: &TestEnv) -> Signer<'_> {
        use std::os::unix::fs::DirBuilderExt;
        let mut builder = fs::DirBuilder::new();
        let made = builder.mode(0o700).create(env.path("home/gnupg"));
        made.expect("home is writable");
        Signer { env }
    }

    /// Makes a key and gives the file with its public half.
    fn key(&self, name: &str, time: &[&str], expires: &str) -> String {
        let words = ["--quick-gen-key", name, "ed25519", "sign", expires];
        gpg(self.env, &[time, &words[..]].concat());
        let file = self.env.path(&format!("home/{name}.gpg"));
        let path = file.display().to_string();
        gpg(self.env, &["--output", &path, "--export", name]);
        path
    }

    fn sign(&self, name: &str, payload: &str, time: &[&str], to: &str) {
        let file = self.env.file("payload", payload);
        let words = ["--local-user", name, "--output", to, "--sign", &file];
        gpg(self.env, &[time, &words[..]].concat());
    }
}

impl Drop for Signer<'_> {
    fn drop(&mut self) {
        let home = self.env.path("home/gnupg").display().to_string();
        let words = ["--homedir", &home, "--kill", "gpg-agent"];
        let _ = self.env.other("gpgconf", &words).run();
    }
}

#[test]
fn simple_signatures_that_gpg_makes_count() {
    let env = test_env!();
    need!(Need::Program("gpg"), Need::Program("gpgconf"));
    let registry = Registry::start();
    let (name, repository, digest) = app(&registry);
    let signer = Signer::new(&env);
    let good = signer.key("good@example.org", &[], "never");
    signer.key("other@example.org", &[], "never");
    let then = ["--faked-system-time", "20200101T000000!"];
    let old = signer.key("old@example.org", &then, "1d");
    let lookaside = env.path("home/lookaside");
    let rule = |keys: &str| {
        format!(
            "[policy.\"{}\"]\ntype = \"gpg\"\nkeys = [{keys}]\nlookaside = \"file://{}\"\n",
            registry.host(),
            lookaside.display()
        )
    };
    policy(&env, &rule(&format!("\"{good}\", \"{old}\"")));
    refused(&env, &name, NONE);
    let directory = lookaside.join(format!("app@{}", digest.replace(':', "=")));
    fs::create_dir_all(&directory).expect("home is writable");
    let first = directory.join("signature-1").display().to_string();
    let tagged = payload(SIMPLE, &name, &digest);
    let no_time: &[&str] = &[];
    for (key, text, time, part) in [
        (
            "other@example.org",
            tagged.clone(),
            no_time,
            "not made with a key that counts",
        ),
        (
            "old@example.org",
            tagged.clone(),
            &then[..],
            "it has expired",
        ),
        (
            "good@example.org",
            payload(SIMPLE, &name, &image::digest(b"x")),
            no_time,
            "it is of sha256:",
        ),
        (
            "good@example.org",
            payload(SIMPLE, &registry.reference("app:2"), &digest),
            no_time,
            "it is of the repository or tag",
        ),
        (
            "good@example.org",
            payload(COSIGN, &repository, &digest),
            no_time,
            "it cannot be read",
        ),
    ] {
        signer.sign(key, &text, time, &first);
        refused(&env, &name, part);
    }
    // No message, a text that nobody signed, and a signature without its text.
    fs::write(&first, "nothing of gpg's").expect("it is writable");
    refused(&env, &name, "it is no signed message");
    let file = env.file("payload", &tagged);
    gpg(&env, &["--output", &first, "--store", &file]);
    refused(&env, &name, "it is no signed message");
    let detached = ["--local-user", "good@example.org", "--output", &first];
    gpg(&env, &[&detached[..], &["--detach-sign", &file]].concat());
    refused(&env, &name, "is refused");
    // The second one counts, as soon as it is there.
    let second = directory.join("signature-2").display().to_string();
    signer.sign("good@example.org", &tagged, &[], &second);
    env.run(&["pull", &name]).ok();
    env.run(&["create", &name, "/x"]).ok();
    // Nothing of gpg's stays.
    let cache = crate::env::names(&env.path("cache/bryo"));
    assert!(
        !cache.iter().any(|name| name.starts_with("gpg-")),
        "{cache:?}"
    );
    policy(&env, &rule("\"/no/key\""));
    env.run(&["create", &name, "/x"]).fails(1, "No such file");
    policy(&env, &rule(&format!("\"{file}\"")));
    env.run(&["create", &name, "/x"])
        .fails(1, "is no OpenPGP public key");
    policy(&env, &rule(&format!("\"{good}\"")));
    let without = env.command(&["pull", &name]).var("PATH", "/nowhere");
    without.run().fails(1, "gpg is not installed");
}

/// The same below an `https:` lookaside, whose server is trusted as a registry is.
#[test]
fn simple_signatures_are_fetched_by_https() {
    let env = test_env!();
    need!(
        Need::Program("gpg"),
        Need::Program("gpgconf"),
        Need::Program("openssl")
    );
    let registry = Registry::start();
    let (name, _, digest) = app(&registry);
    let signer = Signer::new(&env);
    let key = signer.key("good@example.org", &[], "never");
    let tls = env.path("home/tls");
    let signatures = env.path("home/lookaside");
    for directory in [&tls, &signatures] {
        fs::create_dir(directory).expect("home is writable");
    }
    make_certificates(&tls);
    let served = signatures.clone();
    let server = Server::start_tls(Ipv4Addr::LOCALHOST, &tls, move |request| {
        let file = request
            .path
            .strip_prefix("/sigstore/")
            .map(|path| served.join(path));
        let body = file.and_then(|file| fs::read(file).ok());
        match body {
            Some(body) if body == b"broken" => Answer::new(403),
            Some(body) => Answer {
                body,
                ..Answer::new(200)
            },
            None => Answer::new(404),
        }
    });
    let rules = |scheme: &str| {
        format!(
            "[policy.\"{}\"]\ntype = \"gpg\"\nkeys = [\"{key}\"]\nlookaside = \"{scheme}://{}/sigstore\"\n",
            registry.host(),
            server.host()
        )
    };
    policy(&env, &rules("https"));
    refused(&env, &name, "unknown authority");
    let trusted = env.path("config/bryo/certs.d").join(server.host());
    fs::create_dir_all(&trusted).expect("the test's own directory");
    fs::copy(tls.join("ca.crt"), trusted.join("ca.crt")).expect("the test's own directory");
    refused(&env, &name, NONE);
    let directory = signatures.join(format!("app@{}", digest.replace(':', "=")));
    fs::create_dir(&directory).expect("home is writable");
    let first = directory.join("signature-1");
    // What cannot be fetched may be anything: it is no "there is none".
    fs::write(&first, "broken").expect("home is writable");
    refused(&env, &name, "the server answered 403");
    let to = first.display().to_string();
    signer.sign(
        "good@example.org",
        &payload(SIMPLE, &registry.reference("app:2"), &digest),
        &[],
        &to,
    );
    refused(&env, &name, "it is of the repository or tag");
    signer.sign(
        "good@example.org",
        &payload(SIMPLE, &name, &digest),
        &[],
        &to,
    );
    env.run(&["pull", &name]).ok();
    policy(&env, &rules("http"));
    env.run(&["rmi", &name]).ok();
    refused(&env, &name, "neither file: nor https:");
}
