//! `push` to real registry servers: what is sent, what is not sent twice, access, compression, and that it pulls back.

use std::fs;

use crate::env::{TestEnv, test_env};
use crate::image::{Compression, Layer, busybox};
use crate::need::{Need, need};
use crate::process::Outcome;
use crate::registry::{Access, Registry};
use crate::spellings::ask;

macro_rules! need_registry {
    () => {
        need!(
            Need::Program("docker-registry"),
            Need::Program("skopeo"),
            Need::Program("openssl")
        );
    };
}

/// The digest in docker's last line, `TAG: digest: sha256:… size: N`.
#[track_caller]
fn digest_of(push: &Outcome, tag: &str) -> String {
    let begin = format!("{tag}: digest: ");
    let line = push
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix(&begin));
    let (digest, size) = line
        .and_then(|line| line.split_once(" size: "))
        .expect("docker's line");
    assert!(size.parse::<u64>().is_ok_and(|size| size > 100), "{push:?}");
    digest.to_owned()
}

/// The manifest that the registry has.
fn manifest(env: &TestEnv, name: &str) -> serde_json::Value {
    let at = format!("docker://{name}");
    let inspect = env.other("skopeo", &["inspect", "--raw", "--tls-verify=false", &at]);
    serde_json::from_str(&inspect.run().ok().stdout).expect("a manifest")
}

fn id(env: &TestEnv, name: &str) -> String {
    env.out(&["image", "inspect", "--format", "{{.Id}}", name])
}

#[test]
fn what_is_pushed_pulls_back() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    env.busybox();
    let before = id(&env, "busybox");
    for (number, command) in ["push", "image push"].into_iter().enumerate() {
        let name = format!("{}/pushed/app:{number}", registry.address);
        env.run(&["tag", "busybox", &name]).ok();
        let push = ask(&env, command, &[&name]).ok();
        let digest = digest_of(&push, &number.to_string());
        let at = format!(
            "The push refers to repository [{}/pushed/app]",
            registry.address
        );
        assert!(push.stdout.starts_with(&at), "{push:?}");
        env.run(&["rmi", "-f", "busybox", &name]).ok();
        env.run(&["pull", &name])
            .ok()
            .prints(&format!("Digest: {digest}"));
        assert_eq!(id(&env, &name), before);
        let run = ["run", "--rm", "--network", "none", &name, "echo", "back"];
        assert_eq!(env.out(&run), "back");
        env.run(&["tag", &name, "busybox"]).ok();
    }
    // Another tool takes it for what it is.
    let name = format!("docker://{}/pushed/app:1", registry.address);
    let inspect = ["inspect", "--tls-verify=false", "--config", &name];
    env.other("skopeo", &inspect).run().ok().prints("rootfs");
}

#[test]
fn what_is_pushed_is_known_by_its_digest() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    env.busybox();
    let digests = |name: &str| {
        let names = env.out(&[
            "image",
            "inspect",
            "-f",
            "{{join .RepoDigests \" \"}}",
            name,
        ]);
        names.split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    let repository = format!("{}/pushed/app", registry.address);
    let name = format!("{repository}:1");
    env.run(&["tag", "busybox", &name]).ok();
    let digest = digest_of(&env.run(&["push", &name]).ok(), "1");
    let by_digest = format!("{repository}@{digest}");
    assert_eq!(digests("busybox"), std::slice::from_ref(&by_digest));
    assert_eq!(id(&env, &by_digest), id(&env, "busybox"));
    // Each of an image's manifests is pushed again as what it is.
    env.run(&["push", &by_digest]).ok();
    let second = format!("{repository}:2");
    env.run(&["tag", "busybox", &second]).ok();
    let zstd = env.run(&["push", "--compression", "zstd", &second]).ok();
    let zstd = digest_of(&zstd, "2");
    assert_ne!(zstd, digest);
    let mut both = [by_digest.clone(), format!("{repository}@{zstd}")];
    both.sort();
    let mut known = digests("busybox");
    known.sort();
    assert_eq!(known, both);
    // Nothing is to be known of a repository that it has no tag of here.
    let elsewhere = format!("{}/pushed/elsewhere:1", registry.address);
    env.run(&["push", "busybox", &elsewhere]).ok();
    assert_eq!(digests("busybox").len(), 2);
    env.run(&["system", "check"]).ok();
    env.run(&["rmi", &second]).ok();
    env.run(&["rmi", &name]).ok().prints(&by_digest);
    assert_eq!(digests("busybox"), [""]);
    // A pull shows each tag with its own digest.
    env.run(&["pull", "--all-tags", &repository]).ok();
    let shown = env.out(&[
        "images",
        "--digests",
        "--format",
        "{{.Tag}} {{.Digest}}",
        &repository,
    ]);
    assert_eq!(shown, format!("1 {digest}\n2 {zstd}"));
}

#[test]
fn a_layer_that_was_changed_in_the_store_is_not_pushed() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    let layer = Layer::new().file("marked", 0o644, "as it was\n");
    env.load(&busybox().with(&layer).docker_archive("marked:latest"));
    let root = env.out(&[
        "image",
        "inspect",
        "--format",
        "{{.GraphDriver.Data.UpperDir}}",
        "marked",
    ]);
    let marked = std::path::Path::new(&root).join("marked");
    let name = format!("{}/pushed/marked:1", registry.address);
    env.run(&["tag", "marked", &name]).ok();
    fs::write(&marked, "as it is\n\n").expect("it is the user's");
    env.run(&["push", &name])
        .fails(1, "was changed in the store");
    env.run(&["pull", &name]).fails(1, "not found");
    fs::write(&marked, "as it was\n").expect("it is the user's");
    env.run(&["push", &name]).ok();
}

#[test]
fn nothing_is_sent_twice() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    let image = busybox().with(&Layer::new().file("more", 0o644, "more"));
    env.load(&image.docker_archive("busybox:latest"));
    let at = |name: &str| format!("{}/{name}", registry.address);
    for name in [at("one"), at("two")] {
        env.run(&["tag", "busybox", &name]).ok();
    }
    let first = env.run(&["push", &at("one")]).ok().says("Pushed");
    assert!(
        first.stdout.contains("Using default tag: latest"),
        "{first:?}"
    );
    let again = env
        .run(&["push", &at("one")])
        .ok()
        .says("Layer already exists");
    assert!(!again.stderr.contains("Pushed"), "{again:?}");
    let mounted = env.run(&["push", &at("two")]).ok().says("Mounted from one");
    assert!(!mounted.stderr.contains("Pushed"), "{mounted:?}");
    assert_eq!(digest_of(&first, "latest"), digest_of(&again, "latest"));
    assert_eq!(digest_of(&first, "latest"), digest_of(&mounted, "latest"));
}

#[test]
fn what_was_pulled_keeps_its_digest() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    let image = busybox().compressed(Compression::Gzip);
    let name = registry.push(&env, &image, "from/app:1");
    env.run(&["pull", &name]).ok();
    let digest = crate::image::digest(&image.blobs().0);
    let other = format!("{}/to/app:2", registry.address);
    env.run(&["tag", &name, &other]).ok();
    // The layer lies in the same registry, and the pull knows where.
    let push = env
        .run(&["push", &other])
        .ok()
        .says("Mounted from from/app");
    assert_eq!(digest_of(&push, "2"), digest);
    let by_digest = format!("{}/to/app@{digest}", registry.address);
    let push = env.run(&[
        "push",
        &other
            .replace(":2", &format!("@{digest}"))
            .replace("/to/", "/from/"),
    ]);
    assert_eq!(digest_of(&push.ok(), &digest), digest);
    env.run(&["rmi", "-f", &id(&env, &name)]).ok();
    env.run(&["pull", &by_digest]).ok();
}

#[test]
fn push_flags_are_dockers() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    env.busybox();
    for (command, repository) in [("push", "a"), ("image push", "b")] {
        let at = format!("{}/{repository}", registry.address);
        for tag in ["1", "2"] {
            env.run(&["tag", "busybox", &format!("{at}:{tag}")]).ok();
        }
        for quiet in ["-q", "--quiet"] {
            let push = ask(&env, command, &[quiet, &format!("{at}:1")]).ok();
            assert_eq!((push.out(), push.stderr.as_str()), (format!("{at}:1"), ""));
        }
        for all in ["-a", "--all-tags"] {
            let push = ask(&env, command, &[all, &at]).ok();
            assert_eq!(digest_of(&push, "1"), digest_of(&push, "2"));
            ask(&env, command, &[all, &format!("{at}:1")])
                .fails(1, "tag can't be used with --all-tags/-a");
        }
        let host = format!("linux/{}", crate::image::architecture());
        ask(&env, command, &["--platform", &host, &format!("{at}:1")]).ok();
        ask(
            &env,
            command,
            &["--platform", "linux/s390x", &format!("{at}:1")],
        )
        .fails(1, "does not provide the specified platform (linux/s390x)");
        ask(
            &env,
            command,
            &["--disable-content-trust", &format!("{at}:1")],
        )
        .ok();
        ask(&env, command, &[&format!("{at}:3")]).fails(
            1,
            &format!("An image does not exist locally with the tag: {at}"),
        );
    }
}

#[test]
fn layers_are_compressed_as_asked() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    env.busybox();
    for (format, suffix) in [
        ("gzip", "tar+gzip"),
        ("zstd", "tar+zstd"),
        ("zstd:chunked", "tar+zstd"),
        ("none", "layer.v1.tar"),
    ] {
        let name = format!("{}/as/{format}", registry.address);
        env.run(&["push", "--compression-format", format, "busybox", &name])
            .ok()
            .says("Pushed");
        let layer = manifest(&env, &name)["layers"][0]["mediaType"].to_string();
        assert!(layer.trim_matches('"').ends_with(suffix), "{layer}");
        env.run(&["rmi", "-f", &name]);
        env.run(&["pull", &name]).ok();
        assert_eq!(id(&env, &name), id(&env, "busybox"));
    }
    let sizes = ["1", "9"].map(|level| {
        let name = format!("{}/level/{level}", registry.address);
        // A blob that is known would do, whatever its level.
        let _ = fs::remove_dir_all(env.path("cache/bryo/blobs"));
        env.run(&["push", "--compression-level", level, "busybox", &name])
            .ok();
        manifest(&env, &name)["layers"][0]["size"]
            .as_u64()
            .expect("a number")
    });
    assert!(sizes[1] < sizes[0], "{sizes:?}");
    let name = format!("{}/level/0", registry.address);
    env.run(&["push", "--compression-level", "77", "busybox", &name])
        .fails(125, "from 1 to 9");
    env.run(&["push", "--compression-format", "lzma", "busybox", &name])
        .fails(125, "gzip, zstd, zstd:chunked or none");
    // The manifest here names the layer uncompressed, so its digest can't stay.
    env.run(&["push", "--require-digest", "busybox", &name])
        .fails(1, "differ");
}

#[test]
fn a_push_needs_a_login_and_never_tells_the_password() {
    let env = test_env!();
    need_registry!();
    env.busybox();
    for access in [Access::Basic, Access::Token] {
        let registry = Registry::start(&env, access);
        // Both registries keep their files in one place.
        let first = format!("{access:?}/x").to_lowercase();
        let second = format!("{access:?}/y").to_lowercase();
        let names = [&first, &second].map(|name| format!("{}/{name}", registry.address));
        let mounted = format!("Mounted from {first}");
        for name in &names {
            env.run(&["tag", "busybox", name]).ok();
        }
        env.run(&["push", &names[0]])
            .fails(1, "push access denied")
            .says("bryo login");
        env.command(&[
            "login",
            "-u",
            "tester",
            "--password-stdin",
            &registry.address,
        ])
        .input("secret")
        .run()
        .ok();
        let first = env
            .command(&["push", &names[0]])
            .var("BRYO_LOG", "trace")
            .run();
        let first = first.ok().says("Pushed");
        let second = env
            .command(&["push", &names[1]])
            .var("BRYO_LOG", "trace")
            .run();
        let second = second.ok().says(&mounted);
        for push in [first, second] {
            let all = [push.stdout, push.stderr].concat();
            assert!(all.contains("transfer"), "nothing was traced: {all}");
            for leak in ["secret", "dGVzdGVyOnNlY3JldA", "eyJ", "stays-in"] {
                let line = all.lines().find(|line| line.contains(leak));
                assert_eq!(line, None, "{leak} is told");
            }
        }
        env.run(&["logout", &registry.address]).ok();
    }
}

#[test]
fn a_large_layer_goes_in_chunks() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..2_000_000)
        .flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .collect();
    let image = busybox().with(&Layer::new().file("noise", 0o644, &noise));
    env.load(&image.docker_archive("noisy:latest"));
    let name = format!("{}/noisy", registry.address);
    env.run(&["push", "noisy", &name]).ok();
    env.run(&["rmi", "-f", "noisy"]).ok();
    env.run(&["pull", &name]).ok();
    let file = env.path("home/noise");
    let made = env.out(&["create", "--network", "none", &name]);
    let to = file.display().to_string();
    env.run(&["cp", &format!("{made}:/noise"), &to]).ok();
    assert!(fs::read(file).expect("it was copied") == noise);
}

#[test]
fn what_was_pulled_keeps_its_digest_at_another_registry() {
    let env = test_env!();
    need_registry!();
    let (from, to) = (
        Registry::start(&env, Access::Basic),
        Registry::start(&env, Access::Http),
    );
    for (number, compression) in [Compression::Gzip, Compression::Zstd]
        .into_iter()
        .enumerate()
    {
        let own = Layer::new().file("own", 0o644, format!("{compression:?}"));
        let image = busybox().with(&own).compressed(compression);
        let digest = crate::image::digest(&image.blobs().0);
        let name = from.push(&env, &image, &format!("from/app{number}:1"));
        let login = ["login", "-u", "tester", "--password-stdin", &from.address];
        env.command(&login).input("secret").run().ok();
        env.run(&["pull", &name]).ok();
        // No compressor of ours makes these bytes, but the registry still has them.
        let first = format!("{}/to/app{number}:1", to.address);
        let push = env.run(&["push", "--require-digest", &name, &first]).ok();
        assert_eq!(digest_of(&push, "1"), digest);
        assert_eq!(manifest(&env, &first)["layers"], {
            let (bytes, _) = image.blobs();
            let parsed: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
            parsed["layers"].clone()
        });
        // Who may not read them any more makes others, and says so.
        env.run(&["logout", &from.address]).ok();
        let second = format!("{}/other/app{number}:1", to.address);
        fs::remove_dir_all(env.path("cache/bryo/blobs")).expect("the hints are there");
        env.run(&["push", "--require-digest", &name, &second])
            .fails(1, "digest");
        let push = env.run(&["push", &name, &second]).ok();
        let push = push.says("its compressed bytes differ from the manifest's here");
        assert_ne!(digest_of(&push, "1"), digest);
        // The next image shares a layer, which has to come again in its own form.
        env.run(&["rmi", &name]).ok();
    }
}

#[test]
fn a_registry_that_lost_a_layer_is_no_obstacle() {
    let env = test_env!();
    need_registry!();
    let from = Registry::start(&env, Access::Basic);
    let to = Registry::start(&env, Access::Http);
    let image = busybox().compressed(Compression::Gzip);
    let name = from.push(&env, &image, "from/app:1");
    let creds = ["pull", "--creds", "tester:secret", &name];
    env.run(&creds).ok();
    let other = format!("{}/to/app:1", to.address);
    // Nobody is logged in there now.
    env.run(&["push", &name, &other])
        .ok()
        .says("its compressed bytes differ");
    drop(from);
    let third = format!("{}/third/app:1", to.address);
    env.run(&["push", "--require-digest", &name, &third])
        .fails(1, "digest");
}

/// The digest of what another tool finds in a saved image.
fn saved_digest(env: &TestEnv, at: &str) -> String {
    let inspect = env.other("skopeo", &["inspect", "--raw", at]).run().ok();
    crate::image::digest(inspect.stdout.as_bytes())
}

#[test]
fn save_fetches_layers_again_that_came_compressed() {
    let env = test_env!();
    need_registry!();
    let from = Registry::start(&env, Access::Basic);
    let login = ["login", "-u", "tester", "--password-stdin", &from.address];
    let own = Layer::new().file("own", 0o644, "gzip");
    let mut digests = Vec::new();
    // The second has layers of the first in another form: they are not fetched by its pull.
    for (number, image) in [
        busybox().with(&own).compressed(Compression::Gzip),
        busybox().with(&own).compressed(Compression::Zstd),
    ]
    .iter()
    .enumerate()
    {
        env.command(&login).input("secret").run().ok();
        let digest = crate::image::digest(&image.blobs().0);
        let name = from.push(&env, image, &format!("from/app{number}:1"));
        digests.push(digest.clone());
        env.run(&["pull", &name]).ok();
        let path = |file: &str| {
            let file = format!("home/{file}{number}");
            env.path(&file).display().to_string()
        };
        for (format, file, transport) in [
            ("oci-archive", "a", "oci-archive"),
            ("oci-dir", "d", "oci"),
            ("docker-dir", "e", "dir"),
        ] {
            let path = path(file);
            let words = ["save", "--require-digest", "--format", format, "-o", &path];
            env.run(&[&words[..], &[&name]].concat()).ok();
            assert_eq!(saved_digest(&env, &format!("{transport}:{path}")), digest);
        }
        if number == 1 {
            // Each keeps its own form of the layer that they share, or one of them had another digest.
            let both = path("both");
            let words = [
                "save",
                "--require-digest",
                "--format",
                "oci-archive",
                "-o",
                &both,
            ];
            let first = format!("{}/from/app0:1", from.address);
            env.run(&[&words[..], &[&first, &name]].concat()).ok();
            let listed = env.other("tar", &["tf", &both]).run().ok().out();
            for digest in [digests.first().expect("the first"), &digest] {
                assert!(listed.contains(&digest.replace(':', "/")), "{listed}");
            }
        }
        let to = format!("{}/to/app{number}:1", from.address);
        let push = env.run(&["push", "--require-digest", &name, &to]).ok();
        assert_eq!(digest_of(&push, "1"), digest);
        // What is saved loads again.
        env.run(&["rmi", "-f", &name]).ok();
        env.run(&["load", "-i", &path("a")]).ok();
        env.run(&["rmi", "-f", &name]).ok();
        // Nobody gives them any more.
        env.run(&["pull", &name]).ok();
        env.run(&["logout", &from.address]).ok();
        let again = path("again");
        let words = ["save", "--format", "oci-archive", "-o", &again, &name];
        env.run(&words).ok().says("came in another form");
        assert_ne!(saved_digest(&env, &format!("oci-archive:{again}")), digest);
        let refused = env.path("home/refused").display().to_string();
        let words = ["save", "--require-digest", "--format", "oci-archive", "-o"];
        env.run(&[&words[..], &[&refused, &name]].concat())
            .fails(1, "another manifest digest");
        assert!(!std::path::Path::new(&refused).exists());
        if number == 1 {
            break;
        }
        env.command(&login).input("secret").run().ok();
    }
}

/// What bryo compressed once it compresses again to the same bytes: nobody needs to have them.
#[test]
fn what_was_compressed_here_keeps_its_digest_without_a_registry() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    // More than one block.
    let content: Vec<u8> = (0..3_000_000_u32)
        .flat_map(|n| (n / 7).to_le_bytes())
        .collect();
    let image = busybox().with(&Layer::new().file("large", 0o644, content));
    env.load(&image.docker_archive("it:1"));
    let mut pushed = Vec::new();
    for format in ["gzip", "zstd"] {
        let name = format!("{}/made/{format}:1", registry.address);
        let push = ["push", "--compression", format, "it:1", &name];
        pushed.push((name.clone(), digest_of(&env.run(&push).ok(), "1")));
    }
    env.run(&["rmi", "-f", "it:1"]).ok();
    for (name, digest) in &pushed {
        env.run(&["pull", name]).ok();
        fs::remove_dir_all(env.path("cache/bryo/blobs")).expect("the hints are there");
        let saved = env.path("home/saved").display().to_string();
        for format in ["oci-archive", "docker-archive"] {
            let words = ["save", "--require-digest", "--format", format, "-o", &saved];
            env.run(&[&words[..], &[name]].concat()).ok();
            let listed = env.other("tar", &["tf", &saved]).run().ok().out();
            assert!(
                listed.contains(&digest.replace(':', "/")),
                "{format}: {listed}"
            );
            env.run(&["rmi", "-f", name]).ok();
            env.run(&["load", "-i", &saved]).ok();
        }
        env.run(&["rmi", "-f", name]).ok();
    }
}

#[test]
fn kept_blobs_give_every_push_and_save_the_digests_of_the_pull() {
    let env = test_env!();
    need_registry!();
    fs::create_dir_all(env.path("config/bryo")).expect("it is writable");
    let settings = "[storage]\nkeep-blobs = \"always\"\n";
    fs::write(env.path("config/bryo/config.toml"), settings).expect("it is writable");
    let from = Registry::start(&env, Access::Http);
    let image = busybox().compressed(Compression::Gzip);
    let digest = crate::image::digest(&image.blobs().0);
    let name = from.push(&env, &image, "from/app:1");
    env.run(&["pull", &name]).ok();
    drop(from);
    fs::remove_dir_all(env.path("cache/bryo")).expect("it is there");
    let to = Registry::start(&env, Access::Http);
    let other = format!("{}/to/app:1", to.address);
    let push = env.run(&["push", "--require-digest", &name, &other]).ok();
    assert_eq!(digest_of(&push, "1"), digest);
    let kept = env.store().join("images/kept");
    let blobs = crate::env::names(&kept);
    assert_eq!(blobs.len(), 1, "{blobs:?}");
    for (format, file) in [
        ("oci-archive", "a.tar"),
        ("oci-dir", "d"),
        ("docker-dir", "e"),
    ] {
        let path = env.path("home").join(file).display().to_string();
        let words = ["save", "--require-digest", "--format", format, "-o", &path];
        env.run(&[&words[..], &[&name]].concat()).ok();
        let at = match format {
            "oci-archive" => format!("oci-archive:{path}"),
            "oci-dir" => format!("oci:{path}"),
            _ => format!("dir:{path}"),
        };
        let inspect = env.other("skopeo", &["inspect", "--raw", &at]).run().ok();
        assert_eq!(crate::image::digest(inspect.stdout.as_bytes()), digest);
    }
    // Docker's own archive has them too.
    let path = env.path("home/f.tar").display().to_string();
    let save = env.run(&["save", "-o", &path, &name]).ok();
    assert_eq!(save.stderr, "");
    let listed = env.other("tar", &["tf", &path]).run().ok().out();
    assert!(listed.contains(&digest.replace(':', "/")), "{listed}");
    // What was damaged is none, and not given to anybody.
    let blob = kept.join(&blobs[0]);
    let mut bytes = fs::read(&blob).expect("it is there");
    bytes[100] ^= 1;
    fs::write(&blob, bytes).expect("it is ours");
    let third = format!("{}/third/app:1", to.address);
    fs::remove_dir_all(env.path("cache/bryo")).expect("it is there");
    env.run(&["push", "--require-digest", &name, &third])
        .fails(1, "digest");
    let path = env.path("home/b.tar").display().to_string();
    let words = ["save", "--require-digest", "--format", "oci-archive"];
    env.run(&[&words[..], &["-o", &path, &name]].concat())
        .fails(1, "another manifest digest");
    env.run(&["rmi", &name]).ok();
    assert_eq!(crate::env::names(&kept).len(), 0);
}

/// Where the table of contents is stands in the manifest, as long as the layer is that very blob.
#[test]
fn a_table_of_contents_is_told_of_with_its_layer() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    env.busybox();
    let at = |name: &str| format!("{}/{name}", registry.address);
    let push = |format: &str, from: &str, to: &str| {
        let words = ["push", "--compression-format", format, from, to];
        env.run(&words).ok()
    };
    let told = |name: &str| {
        let layer = manifest(&env, name)["layers"][0].clone();
        let position = "io.github.containers.zstd-chunked.manifest-position";
        let position = layer["annotations"][position].as_str();
        (layer["digest"].to_string(), position.map(str::to_owned))
    };
    push("zstd", "busybox", &at("plain:1")).says("Pushed");
    assert_eq!(told(&at("plain:1")).1, None);
    // The layer is known in zstd, but without a table.
    push("zstd:chunked", "busybox", &at("plain:2")).says("Pushed");
    let chunked = told(&at("plain:2"));
    let numbers = chunked.1.as_deref().expect("it has one").split(':');
    assert_eq!(numbers.count(), 4);
    push("zstd:chunked", "busybox", &at("plain:2")).says("Layer already exists");
    assert_eq!(told(&at("plain:2")), chunked);
    push("zstd:chunked", "busybox", &at("other:2")).says("Mounted from plain");
    assert_eq!(told(&at("other:2")), chunked);
    let before = id(&env, "busybox");
    env.run(&["rmi", "-f", "busybox"]).ok();
    env.run(&["pull", &at("other:2")]).ok();
    assert_eq!(id(&env, &at("other:2")), before);
    // Nobody else knows where it lies now, but the manifest.
    fs::remove_dir_all(env.path("cache/bryo/blobs")).expect("it is there");
    push("zstd:chunked", &at("other:2"), &at("other:3")).says("Layer already exists");
    assert_eq!(told(&at("other:3")), chunked);
    push("gzip", &at("other:2"), &at("other:4")).says("Pushed");
    assert_eq!(told(&at("other:4")).1, None);
}

/// Layers are pushed as several members or frames: skopeo (and so podman), gunzip and zstd read them as one stream.
#[test]
fn other_programs_read_the_blocks_of_a_layer() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    let content: Vec<u8> = (0..5u32 << 20)
        .map(|n| (n.wrapping_mul(n) >> 11) as u8)
        .collect();
    let image = busybox().with(&Layer::new().file("five", 0o644, content));
    env.load(&image.docker_archive("five:latest"));
    let formats = [
        ("gzip", "gunzip"),
        ("zstd", "zstd"),
        ("zstd:chunked", "zstd"),
    ];
    for (format, program) in formats {
        let tag = format.replace(':', "-");
        let name = format!("{}/five:{tag}", registry.address);
        env.run(&["push", "--compression-format", format, "five", &name])
            .ok();
        // Its layers are named by the digests of their uncompressed bytes then: the DiffIDs.
        let directory = env.path(&format!("home/{tag}"));
        let from = format!("docker://{name}");
        let to = format!("dir:{}", directory.display());
        let copy = [
            "copy",
            "--src-tls-verify=false",
            "--dest-decompress",
            &from,
            &to,
        ];
        env.other("skopeo", &copy).run().ok();
        let copied = fs::read_to_string(directory.join("manifest.json")).expect("it is there");
        let diff_ids = [
            "image",
            "inspect",
            "-f",
            "{{range .RootFS.Layers}}{{.}} {{end}}",
            "five",
        ];
        for diff_id in env.out(&diff_ids).split_whitespace() {
            assert!(copied.contains(diff_id), "{diff_id}: {copied}");
        }
        let layers = manifest(&env, &name);
        let layers = layers["layers"].as_array().expect("a list");
        let digest = layers.last().and_then(|layer| layer["digest"].as_str());
        let hex = &digest.expect("a layer")["sha256:".len()..];
        let blob = env
            .path("home/registry/docker/registry/v2/blobs/sha256")
            .join(&hex[..2])
            .join(hex)
            .join("data");
        let line = format!(
            "command -v {program} >/dev/null || exit 0; {program} -c -d < {}",
            blob.display()
        );
        let unpacked = env
            .other("sh", &["-c", &format!("{{ {line}; }} | wc -c")])
            .run()
            .ok();
        let length: usize = unpacked.out().parse().expect("a number");
        assert!(length == 0 || length > 5 << 20, "{program}: {length}");
    }
}
