//! `build --build-context`: the places that a Dockerfile's names can stand for.

use crate::dockerfile::{build, build_by, context, shell};
use crate::env::test_env;
use crate::image::{Compression, Layer};
use crate::misbehaving::Registry;

#[test]
fn a_name_stands_for_an_image_of_a_layout() {
    let env = test_env!();
    env.busybox();
    let text = "FROM scratch\nARG TARGETARCH\nCOPY only-$TARGETARCH /which\n";
    let files = [
        ("Dockerfile", text),
        ("only-amd64", "here"),
        ("only-s390x", "elsewhere"),
    ];
    let base = context(&env, "base", &files);
    let both = ["--platform", "linux/amd64,linux/s390x"];
    let layout = env.path("home/layout");
    let layout = layout.to_str().expect("UTF-8");
    let place = format!("type=oci,tar=false,dest={layout}");
    build(
        &env,
        &base,
        &[&both[..], &["-o", &place, "-t", "base:v1"]].concat(),
    )
    .ok();
    let index = std::fs::read_to_string(format!("{layout}/index.json")).expect("it was written");
    let index: serde_json::Value = serde_json::from_str(&index).expect("it is JSON");
    let digest = index["manifests"][0]["digest"].as_str().expect("a digest");
    let app = context(
        &env,
        "app",
        &[("Dockerfile", "FROM base\nCOPY --from=base /which /copy\n")],
    );
    let out = env.path("home/out");
    for command in ["build", "image build", "builder build"] {
        for place in [
            layout.to_owned(),
            format!("{layout}:v1"),
            format!("{layout}@{digest}"),
        ] {
            let named = format!("base=oci-layout://{place}");
            let output = format!("type=local,dest={}", out.display());
            let flags = ["--build-context", &named, "-o", &output];
            build_by(&env, command, &app, &[&both[..], &flags].concat()).ok();
            for (platform, content) in [("amd64", "here"), ("s390x", "elsewhere")] {
                for name in ["which", "copy"] {
                    let path = out.join(format!("linux_{platform}/{name}"));
                    assert_eq!(
                        std::fs::read_to_string(path).expect("it was built"),
                        content
                    );
                }
            }
            std::fs::remove_dir_all(&out).expect("it is the user's");
        }
    }
    // The layout's images were there for the build alone.
    assert_eq!(env.out(&["images", "-aq"]).lines().count(), 1);
    let none = format!("base=oci-layout://{layout}:v2");
    build(&env, &app, &["--build-context", &none]).fails(1, "has no image v2");
    let missing = format!("base=oci-layout://{layout}-not");
    build(&env, &app, &["--build-context", &missing]).fails(1, "No such file");
    build(&env, &app, &["--build-context", "base=ftp://x"]).fails(125, "--build-context");
}

#[test]
fn a_name_stands_for_what_a_url_brings() {
    let env = test_env!();
    env.busybox();
    let server = Registry::start();
    let archive = Layer::new().file("sub/inside", 0o644, "unpacked").tar();
    server.put(
        "/a.tar.gz",
        Compression::Gzip.apply(&archive),
        "application/gzip",
    );
    server.put("/file.txt", b"downloaded".to_vec(), "text/plain");
    let text = "FROM busybox\nCOPY --from=archive /sub/ /a/\nCOPY --from=file file.txt /f\n";
    let app = context(&env, "app", &[("Dockerfile", text)]);
    let archive = format!("archive=http://{}/a.tar.gz", server.host());
    let file = format!("file=http://{}/file.txt", server.host());
    let flags = [
        "--build-context",
        &archive,
        "--build-context",
        &file,
        "-t",
        "made",
    ];
    build(&env, &app, &flags).ok();
    assert_eq!(
        shell(&env, "made", "cat /a/inside /f"),
        "unpackeddownloaded"
    );
}

#[test]
fn a_server_of_files_is_called_no_registry() {
    let env = test_env!();
    // Nobody listens there: the port was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr());
    let url = format!("http://{}/x", port.expect("the loopback has ports"));
    let app = context(
        &env,
        "app",
        &[("Dockerfile", &format!("FROM scratch\nADD {url} /x\n"))],
    );
    let message = format!("connect to {}: Connection refused", &url[7..url.len() - 2]);
    let quiet = env.run(&["build", "-q", &url]);
    assert!(
        quiet.stderr.starts_with(&format!("Error: {message}")),
        "{}",
        quiet.stderr
    );
    for failed in [
        build(&env, &app, &[]),
        env.run(&["build", &url]),
        env.run(&["import", &url]),
    ] {
        assert_eq!(failed.code, 1);
        assert!(failed.stderr.contains(&message), "{}", failed.stderr);
        assert!(!failed.stderr.contains("registry"), "{}", failed.stderr);
    }
}
