//! `manifest`: lists put together here, pushed, and taken apart again by other tools; podman's flags of registry commands.

use serde_json::Value;

use crate::env::{TestEnv, test_env};
use crate::image::{Image, digest, platforms};
use crate::need::{Need, need};
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

/// `app:amd64` and `app:arm64`, and the digests of their manifests.
fn two(env: &TestEnv, registry: &Registry) -> [(String, String); 2] {
    let names = ["app:amd64", "app:arm64"];
    let push = |(image, name): (&Image, &str)| {
        let digest = digest(&image.blobs().0);
        (registry.push(env, image, name), digest)
    };
    let [amd64, arm64] = platforms();
    [push((&amd64, names[0])), push((&arm64, names[1]))]
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON")
}

fn raw(env: &TestEnv, name: &str) -> Value {
    let at = format!("docker://{name}");
    let inspect = env.other("skopeo", &["inspect", "--raw", "--tls-verify=false", &at]);
    json(&inspect.run().ok().stdout)
}

#[test]
fn a_manifest_list_is_made_pushed_and_pulled_by_platform() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    let [(amd64, amd64_digest), (arm64, arm64_digest)] = two(&env, &registry);
    let list = format!("{}/list/app:both", registry.address);
    ask(&env, "manifest create", &[&list, &amd64, &arm64])
        .ok()
        .prints(&format!("Created manifest list {list}"));
    ask(&env, "manifest create", &[&list, &amd64]).fails(
        1,
        "refusing to amend an existing manifest list with no --amend flag",
    );
    for flag in ["-a", "--amend"] {
        ask(&env, "manifest create", &[flag, &list, &amd64]).ok();
    }
    let shown = ask(&env, "manifest inspect", &[&list]).ok().out();
    assert!(shown.starts_with("{\n   \"schemaVersion\": 2,"), "{shown}");
    let shown = json(&shown);
    assert_eq!(
        shown["mediaType"],
        "application/vnd.oci.image.index.v1+json"
    );
    assert_eq!(shown["manifests"].as_array().expect("a list").len(), 2);
    assert_eq!(shown["manifests"][0]["digest"], amd64_digest.as_str());
    assert_eq!(shown["manifests"][1]["platform"]["architecture"], "arm64");

    let push = ask(&env, "manifest push", &[&list]).ok();
    let name = list.strip_suffix(":both").expect("it ends so");
    let push = push.says(&format!(
        "Pushed ref {name}@{arm64_digest} with digest: {arm64_digest}"
    ));
    assert_eq!(raw(&env, &list), shown);
    assert_eq!(raw(&env, &format!("{name}@{}", push.out())), shown);
    // Its manifests lie in a repository that never saw their layers before.
    for platform in ["amd64", "arm64"] {
        let flag = format!("linux/{platform}");
        env.run(&["pull", "--platform", &flag, &list]).ok();
        let pulled = env.out(&["image", "inspect", "-f", "{{.Architecture}}", &list]);
        assert_eq!(pulled, platform);
    }
    for flag in ["-p", "--purge"] {
        ask(&env, "manifest exists", &[&list]).ok();
        ask(&env, "manifest push", &[flag, &list]).ok();
        ask(&env, "manifest exists", &[&list]).code(1);
        ask(&env, "manifest create", &[&list, &amd64]).ok();
    }
    ask(&env, "manifest rm", &[&list, "no:such"])
        .fails(1, "No such manifest: docker.io/library/no:such");
    ask(&env, "manifest push", &[&list]).fails(1, &format!("No such manifest: {list}"));
}

#[test]
fn manifest_annotate_changes_what_the_list_says() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    let [(amd64, _), (arm64, _)] = two(&env, &registry);
    let list = "here/annotated:1";
    ask(&env, "manifest create", &[list, &amd64, &arm64]).ok();
    let annotate = |flags: &[&str]| {
        let words = [flags, &[list, &arm64]].concat();
        ask(&env, "manifest annotate", &words)
    };
    annotate(&["--os", "windows", "--arch", "arm"]).ok();
    annotate(&["--os-version", "10.0.1", "--variant", "v7"]).ok();
    annotate(&["--os-features", "win32k", "--os-features", "x,y"]).ok();
    annotate(&["--annotation", "a=b"]).ok();
    annotate(&["--os", "linux", "--arch", "z80"]).fails(
        1,
        "manifest entry for image has unsupported os/arch combination: linux/z80",
    );
    let shown = json(&ask(&env, "manifest inspect", &[list]).ok().out());
    let entry = &shown["manifests"][1];
    assert_eq!(entry["annotations"]["a"], "b");
    let platform = serde_json::json!({
        "architecture": "arm", "os": "windows", "os.version": "10.0.1",
        "os.features": ["win32k", "x", "y"], "variant": "v7",
    });
    assert_eq!(entry["platform"], platform);
    assert_eq!(shown["manifests"][0]["platform"]["os"], "linux");
    ask(&env, "manifest annotate", &[list, "not/in:it"]).fails(
        1,
        "manifest for image docker.io/not/in:it does not exist in docker.io/here/annotated:1",
    );
    ask(&env, "manifest rm", &[list]).ok();
    ask(&env, "manifest annotate", &[list, &arm64])
        .fails(1, "No such manifest: docker.io/here/annotated:1");
}

#[test]
fn manifest_inspect_shows_registries_and_members() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    let [(amd64, amd64_digest), (arm64, arm64_digest)] = two(&env, &registry);
    let index = registry.push_index(&env, &platforms(), "index");
    assert_eq!(
        json(&ask(&env, "manifest inspect", &[&amd64]).ok().out()),
        raw(&env, &amd64)
    );
    assert_eq!(
        json(&ask(&env, "manifest inspect", &[&index]).ok().out()),
        raw(&env, &index)
    );
    for flag in ["-v", "--verbose"] {
        let shown = json(&ask(&env, "manifest inspect", &[flag, &amd64]).ok().out());
        assert_eq!(shown["Ref"], amd64.as_str());
        assert_eq!(shown["Descriptor"]["digest"], amd64_digest.as_str());
        assert_eq!(shown["Descriptor"]["platform"]["architecture"], "amd64");
        assert_eq!(shown["OCIManifest"], raw(&env, &amd64));
        let shown = json(&ask(&env, "manifest inspect", &[flag, &index]).ok().out());
        assert_eq!(shown[1]["Descriptor"]["digest"], arm64_digest.as_str());
    }
    ask(&env, "manifest create", &["l:1", &amd64]).ok();
    let member = ask(&env, "manifest inspect", &["l:1", &amd64]).ok().out();
    assert_eq!(json(&member), raw(&env, &amd64));
    ask(&env, "manifest inspect", &["l:1", &arm64])
        .fails(1, "does not exist in docker.io/library/l:1");
    let missing = format!("{}/nothing:here", registry.address);
    ask(&env, "manifest inspect", &[&missing]).fails(1, "nothing:here");
}

#[test]
fn podmans_manifest_verbs_add_and_remove() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    let [(amd64, amd64_digest), (arm64, _)] = two(&env, &registry);
    let index = registry.push_index(&env, &platforms(), "index");
    ask(&env, "manifest exists", &["l:1"]).code(1);
    ask(&env, "manifest create", &["l:1"]).ok();
    let count = || {
        let shown = json(&ask(&env, "manifest inspect", &["l:1"]).ok().out());
        shown["manifests"].as_array().expect("a list").len()
    };
    ask(&env, "manifest create", &["-a", "l:1", &index]).fails(1, "is a manifest list");
    let flags = ["--variant", "v9", "--annotation", "x=y"];
    env.run(&[&["manifest", "add", "l:1", &arm64], &flags[..]].concat())
        .ok();
    assert_eq!(count(), 1);
    ask(&env, "manifest add", &["l:1", &index]).ok();
    let shown = json(&ask(&env, "manifest inspect", &["l:1"]).ok().out());
    assert!(
        shown["manifests"]
            .as_array()
            .is_some_and(|all| all.len() <= 2)
    );
    ask(&env, "manifest add", &["--all", "l:1", &index]).ok();
    assert_eq!(count(), 2);
    ask(&env, "manifest remove", &["l:1", &amd64_digest]).ok();
    ask(&env, "manifest remove", &["l:1", &amd64_digest])
        .fails(1, "does not exist in docker.io/library/l:1");
    assert_eq!(count(), 1);
    ask(&env, "manifest add", &["no:list", &amd64])
        .fails(1, "No such manifest: docker.io/library/no:list");
}

#[test]
fn manifest_insecure_speaks_to_whom_nobody_vouches_for() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Https);
    let [(amd64, _), (arm64, _)] = two(&env, &registry);
    let list = format!("{}/both:1", registry.address);
    let unknown = "signed by an unknown authority";
    ask(&env, "manifest create", &[&list, &amd64]).fails(1, unknown);
    ask(&env, "manifest create", &["--insecure", &list, &amd64]).ok();
    ask(&env, "manifest add", &["--tls-verify=false", &list, &arm64]).ok();
    ask(&env, "manifest push", &[&list]).fails(1, unknown);
    ask(&env, "manifest push", &["--insecure", &list]).ok();
    ask(&env, "manifest rm", &[&list]).ok();
    ask(&env, "manifest inspect", &[&list]).fails(1, unknown);
    ask(&env, "manifest inspect", &["--insecure", &list])
        .ok()
        .prints("arm64");
    ask(
        &env,
        "manifest inspect",
        &["--insecure", "--tls-verify", &list],
    )
    .fails(125, "the opposite of each other");
}

#[test]
fn tls_verify_is_podmans() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Https);
    let [(amd64, _), _] = two(&env, &registry);
    let unknown = "signed by an unknown authority";
    env.run(&["pull", &amd64]).fails(1, unknown);
    env.run(&["pull", "--tls-verify", &amd64]).fails(1, unknown);
    env.run(&["pull", "--tls-verify=false", &amd64]).ok();
    env.run(&["push", &amd64]).fails(1, unknown);
    env.run(&["push", "--tls-verify=false", &amd64]).ok();
    let everything = format!("{}/", registry.address);
    env.run(&["search", &everything]).fails(1, unknown);
    env.run(&["search", "--tls-verify=false", &everything])
        .ok()
        .prints("app");
    let plain = Registry::start(&env, Access::Http);
    let name = format!("{}/app:1", plain.address);
    env.run(&["tag", &amd64, &name]).ok();
    env.run(&["push", "--tls-verify=false", &name]).ok();
    // Where TLS is demanded, the loopback is no exception.
    let demanded = env.run(&["push", "--tls-verify=true", &name]);
    assert_eq!(demanded.code, 1, "{demanded:?}");
}

#[test]
fn cert_dir_is_podmans() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Https);
    let [(amd64, _), _] = two(&env, &registry);
    let directory = env.path("home/authorities");
    std::fs::create_dir(&directory).expect("home is writable");
    let at = directory.display().to_string();
    let unknown = "signed by an unknown authority";
    let pull = ["pull", "--cert-dir", &at, &amd64];
    env.run(&pull).fails(1, unknown);
    std::fs::copy(&registry.authority, directory.join("ca.crt")).expect("home is writable");
    env.run(&pull).ok();
    env.run(&["pull", "--cert-dir", "/no/such/place", &amd64])
        .fails(1, "certificates' directory /no/such/place is not there");
    env.run(&["push", &amd64]).fails(1, unknown);
    env.run(&["push", "--cert-dir", &at, &amd64]).ok();
    let everything = format!("{}/", registry.address);
    let search = ["search", "--cert-dir", &at, &everything];
    env.run(&search).ok().prints("app");
    let name = format!("{}/notes:1", registry.address);
    let file = env.file("notes", "words");
    let digest = env.out(&["artifact", "add", &name, &file]);
    env.run(&["artifact", "push", &name]).fails(1, unknown);
    let push = ["artifact", "push", "-q", "--cert-dir", &at, &name];
    assert_eq!(env.out(&push), digest);
    env.run(&["artifact", "rm", &name]).ok();
    let pull = ["artifact", "pull", "-q", "--cert-dir", &at, &name];
    assert_eq!(env.out(&pull), digest);
    // Nothing of it was kept.
    env.run(&["push", &amd64]).fails(1, unknown);
}

#[test]
fn creds_and_authfile_are_podmans() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Basic);
    let [(amd64, _), (arm64, _)] = two(&env, &registry);
    env.run(&["pull", &amd64]).fails(1, "bryo login");
    env.run(&["pull", "--creds", "tester:wrong", &amd64])
        .fails(1, &registry.address);
    env.run(&["pull", "--creds", "tester:secret", &amd64]).ok();
    env.run(&["push", "--creds", "tester:secret", &amd64]).ok();
    env.run(&["pull", "--creds", "tester", &amd64])
        .fails(1, "--creds USER:PASSWORD");
    let everything = format!("{}/", registry.address);
    env.run(&["search", "--creds", "tester:secret", &everything])
        .ok()
        .prints("app");
    // Nothing of it was kept.
    env.run(&["push", &amd64]).fails(1, "bryo login");

    let file = env.path("home/own.json").display().to_string();
    env.run(&["pull", "--authfile", &file, &arm64])
        .fails(1, "credentials file");
    let login = ["login", "--authfile", &file, "-u", "tester"];
    let login = [&login[..], &["--password-stdin", &registry.address]].concat();
    env.command(&login).input("secret").run().ok();
    env.run(&["pull", "--authfile", &file, &arm64]).ok();
    ask(
        &env,
        "manifest create",
        &["--authfile", &file, "l:1", &amd64],
    )
    .ok();
    ask(&env, "manifest create", &["l:2", &amd64]).fails(1, "bryo login");
    assert!(!env.path("home/.docker/config.json").exists());
    // Other tools read what was written.
    let inspect = [
        "inspect",
        "--raw",
        "--tls-verify=false",
        "--authfile",
        &file,
    ];
    let at = format!("docker://{amd64}");
    env.other("skopeo", &[&inspect[..], &[&at]].concat())
        .run()
        .ok();
}

#[test]
fn pull_all_platforms_brings_every_image() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Http);
    let name = registry.push_index(&env, &platforms(), "both:1");
    let pull = env.run(&["pull", "--all-platforms", &name]).ok();
    assert!(!pull.stderr.contains("does not match"), "{pull:?}");
    let repository = name.strip_suffix(":1").expect("it ends so");
    for image in platforms() {
        let by_digest = format!("{repository}@{}", digest(&image.blobs().0));
        let id = env.out(&["image", "inspect", "-f", "{{.Id}}", &by_digest]);
        assert_eq!(id, format!("sha256:{}", image.id()));
    }
    let host = env.out(&["image", "inspect", "-f", "{{.Architecture}}", &name]);
    assert_eq!(host, crate::image::architecture());
    let both = [
        "pull",
        "--all-platforms",
        "--platform",
        "linux/arm64",
        &name,
    ];
    assert_eq!(env.run(&both).code, 125);
}
