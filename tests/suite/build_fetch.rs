//! What a build takes from elsewhere: URLs and git repositories.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use crate::dockerfile::{build, build_text, cached, context, shell};
use crate::env::{TestEnv, test_env};
use crate::image::{Compression, Layer};
use crate::misbehaving::real::make_certificates;
use crate::misbehaving::{Answer, Fault, Registry, Request, Server, TestImage, TestLayer, image};
use crate::need::{Need, need};

#[test]
fn add_downloads_what_a_url_names() {
    let env = test_env!();
    env.busybox();
    let archive = Layer::new().file("inside", 0o644, "unpacked");
    let archive = Compression::Gzip.apply(&archive.tar());
    let server = Registry::start();
    server.put("/dir/file.txt", b"downloaded".to_vec(), "text/plain");
    server.put("/a.tar.gz", archive, "application/gzip");
    let url = |path: &str| format!("http://{}{path}", server.host());
    let digest = crate::image::digest(b"downloaded");
    let text = format!(
        "FROM busybox\nADD {0} /to/\nADD --checksum={digest} {0} /name\nADD {1} /raw/\nADD --unpack=true {1} /un/\n\
         ADD --chmod=644 --chown=5:6 {0} local /both/\n",
        url("/dir/file.txt"),
        url("/a.tar.gz")
    );
    let directory = context(&env, "app", &[("Dockerfile", &text), ("local", "local")]);
    build(&env, &directory, &["-t", "made"]).ok();
    let seen = shell(
        &env,
        "made",
        "cat /to/file.txt /name /un/inside /both/file.txt /both/local; ls /raw; stat -c '%a %u %g %Y' /to/file.txt /both/file.txt",
    );
    let expected = "downloadeddownloadedunpackeddownloadedlocala.tar.gz\n600 0 0 0\n644 5 6 0";
    assert_eq!(seen, expected);
    assert_eq!(cached(&build(&env, &directory, &[]).ok()), 5);
    let wrong = crate::image::digest(b"else");
    for (flag, source, message) in [
        (
            format!("--checksum={wrong}"),
            url("/dir/file.txt"),
            "digest mismatch",
        ),
        (
            "--checksum=md5:1".to_owned(),
            url("/dir/file.txt"),
            "--checksum",
        ),
        (
            format!("--checksum={digest}"),
            "local".to_owned(),
            "exactly one source",
        ),
        (String::new(), url("/nothing"), "404"),
    ] {
        let text = format!("FROM scratch\nADD {flag} {source} /x\n");
        let directory = context(&env, "app", &[("Dockerfile", &text)]);
        let failed = build(&env, &directory, &[]);
        assert_eq!(failed.code, 1);
        assert!(
            failed.stderr.contains(message),
            "{message}: {}",
            failed.stderr
        );
    }
}

/// What was asked for, and with which authorization.
fn authorizations(requests: &[Request]) -> Vec<(String, Option<String>)> {
    let seen = requests.iter().map(|request| {
        let header = request.header("authorization").map(str::to_owned);
        (request.path.clone(), header)
    });
    seen.collect()
}

#[test]
fn add_sends_a_secret_to_its_host_alone() {
    let mut env = test_env!();
    let registry = Registry::start();
    registry.put("/public", b"public".to_vec(), "text/plain");
    let other = registry.host();
    let server = Server::start(move |request| {
        let is_known = matches!(
            request.header("authorization"),
            Some("Bearer s3cr3t-token" | "Basic s3cr3t-header")
        );
        match request.path.as_str() {
            _ if !is_known => Answer::new(401),
            "/away" => Answer::redirect(302, &format!("http://{other}/public")),
            "/here" => Answer::redirect(302, "/file"),
            _ => Answer {
                body: b"private".to_vec(),
                ..Answer::new(200)
            },
        }
    });
    let host = server.host();
    env.set("TOKEN", "s3cr3t-token");
    env.set("HEADER", "Basic s3cr3t-header");
    env.set("BROKEN", "one\ntwo");
    let token = ["--secret", "id=HTTP_AUTH_TOKEN_127.0.0.1,env=TOKEN"];
    let text = format!("FROM scratch\nADD http://{host}/file http://{host}/here /to/\n");
    let built = build_text(&env, &text, &[&token[..], &["-o", "out"]].concat()).ok();
    assert!(!built.stderr.contains("s3cr3t"), "{}", built.stderr);
    let read = |path: &str| {
        let path = env.path("home/out").join(path);
        std::fs::read_to_string(path).expect("it was built")
    };
    assert_eq!(read("to/file") + &read("to/here"), "privateprivate");
    let header = ["--secret", "id=HTTP_AUTH_HEADER_127.0.0.1,env=HEADER"];
    build_text(&env, &text, &header).ok();
    // A redirect to another host, of which a port is a part, has none.
    let text = format!("FROM scratch\nADD http://{host}/away /\n");
    build_text(&env, &text, &token).ok();
    let seen = authorizations(&registry.requests());
    assert_eq!(seen, [("/public".to_owned(), None)]);
    let text = format!("FROM scratch\nADD http://{host}/file /\n");
    let unknown = format!("HTTP_AUTH_TOKEN_x{host},env=TOKEN");
    let unknown = format!("id={unknown}");
    for (secret, message) in [
        (None, "the server answered 401"),
        (None, "--secret id=HTTP_AUTH_TOKEN_127.0.0.1,env=VARIABLE"),
        (Some(unknown.as_str()), "the server answered 401"),
        (
            Some("id=HTTP_AUTH_HEADER_127.0.0.1,env=TOKEN"),
            "was refused",
        ),
        (
            Some("id=HTTP_AUTH_TOKEN_127.0.0.1,env=BROKEN"),
            "is no header's value",
        ),
        (
            Some("id=HTTP_AUTH_TOKEN_127.0.0.1,env=NOT_SET"),
            "$NOT_SET is not set",
        ),
    ] {
        let flags = secret.map(|secret| ["--secret", secret]);
        let failed = build_text(&env, &text, flags.as_ref().map_or(&[], |flags| &flags[..]));
        assert_eq!(failed.code, 1, "{secret:?}");
        let said = &failed.stderr;
        assert!(said.contains(message), "{secret:?}: {said}");
        assert!(!said.contains("s3cr3t"), "{said}");
    }
    // A context by its URL is opened as well.
    let failed = build(&env, &format!("http://{host}/file"), &token);
    let said = &failed.stderr;
    assert!(said.contains("private"), "the Dockerfile: {said}");
}

/// Answers as `git http-backend` does for repositories in a directory.
fn git_answer(directory: &std::path::Path, request: &Request) -> Answer {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut backend = Command::new("git");
    backend
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", directory)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", request.query.trim_start_matches('?'))
        .env("CONTENT_LENGTH", request.bytes.len().to_string());
    for (variable, name) in [
        ("CONTENT_TYPE", "content-type"),
        ("GIT_PROTOCOL", "git-protocol"),
        ("HTTP_CONTENT_ENCODING", "content-encoding"),
    ] {
        if let Some(value) = request.header(name) {
            backend.env(variable, value);
        }
    }
    let piped = backend.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut backend = piped.spawn().expect("git is there");
    let mut input = backend.stdin.take().expect("it is a pipe");
    input.write_all(&request.bytes).expect("git reads");
    drop(input);
    let said = backend.wait_with_output().expect("git ends").stdout;
    let end = said.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.expect("there are headers");
    let mut answer = Answer {
        body: said[end + 4..].to_vec(),
        ..Answer::new(200)
    };
    for line in String::from_utf8_lossy(&said[..end]).lines() {
        match line.split_once(": ") {
            Some(("Status", status)) => answer.status = status[..3].parse().expect("a number"),
            Some((name, value)) => answer = answer.with(name, value),
            None => {}
        }
    }
    answer
}

#[test]
fn a_token_opens_repositories_of_its_host() {
    let mut env = test_env!();
    need!(Need::Program("openssl"));
    env.busybox();
    repository(&mut env);
    let tls = env.path("home/tls");
    std::fs::create_dir(&tls).expect("home is writable");
    make_certificates(&tls);
    let authority = tls.join("ca.crt");
    env.set(
        "GIT_SSL_CAINFO",
        authority.to_str().expect("test paths are UTF-8"),
    );
    env.set("TOKEN", "s3cr3t-token");
    let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
    let elsewhere = Arc::clone(&seen);
    let other = Server::start_tls(Ipv4Addr::LOCALHOST, &tls, move |request| {
        elsewhere
            .lock()
            .expect("nothing panics")
            .push(request.clone());
        Answer::new(404)
    });
    let (place, away) = (env.path("home"), other.host());
    let server = Server::start_tls(Ipv4Addr::LOCALHOST, &tls, move |request| {
        // x-access-token:s3cr3t-token
        let right = "Basic eC1hY2Nlc3MtdG9rZW46czNjcjN0LXRva2Vu";
        match request.header("authorization") {
            Some(header) if header == right => {}
            _ => return Answer::new(401).with("WWW-Authenticate", "Basic realm=test"),
        }
        match request.path.strip_prefix("/away.git") {
            Some(rest) => {
                let query = request.query.trim_start_matches('?');
                Answer::redirect(302, &format!("https://{away}/away.git{rest}?{query}"))
            }
            None => git_answer(&place, request),
        }
    });
    let host = server.host();
    let remote = format!("https://{host}/repo/.git");
    let of_host = format!("id=GIT_AUTH_TOKEN.{host},env=TOKEN");
    let text = format!("FROM busybox\nADD {remote}#v1 /one/\n");
    for secret in ["id=GIT_AUTH_TOKEN,env=TOKEN", &of_host] {
        let flags = ["--no-cache", "--secret", secret];
        let built = build_text(&env, &text, &flags).ok();
        assert!(!built.stderr.contains("s3cr3t"), "{}", built.stderr);
        assert_eq!(shell(&env, "made", "cat /one/file"), "first");
    }
    build(&env, &remote, &["-t", "made", "--secret", &of_host]).ok();
    assert_eq!(shell(&env, "made", "cat /all/file"), "second");
    let of_other = format!("id=GIT_AUTH_TOKEN.{},env=TOKEN", other.host());
    let hint = format!("--secret id=GIT_AUTH_TOKEN.{host},env=VARIABLE");
    for flags in [&[][..], &["--secret", &of_other]] {
        for failed in [build_text(&env, &text, flags), build(&env, &remote, flags)] {
            assert_eq!(failed.code, 1, "{flags:?}");
            assert!(failed.stderr.contains(&hint), "{}", failed.stderr);
        }
    }
    let text = format!("FROM busybox\nADD https://{host}/away.git /\n");
    let failed = build_text(&env, &text, &["--secret", &of_host]);
    assert!(failed.stderr.contains("away.git"), "{}", failed.stderr);
    let seen = authorizations(&seen.lock().expect("nothing panics"));
    assert_eq!(seen, []);
}

/// A repository of two commits, the first tagged, and an ssh that reaches it without a network.
fn repository(env: &mut TestEnv) {
    let script = "set -e; mkdir repo; cd repo; git init -q -b main; git config user.email a@b; git config user.name a\n\
        mkdir -p sub/deep; echo first > file; echo deep > sub/deep/f; ln -s /etc sub/out; ln -s ../../../../../../etc up\n\
        printf '#!/bin/sh\\ntouch /tmp/bryo-hook-ran\\n' > hook; chmod +x hook; printf '* filter=evil\\n' > .gitattributes\n\
        printf 'FROM busybox\\nCOPY . /all/\\n' > Dockerfile; git add -A; GIT_COMMITTER_DATE='2020-01-01T00:00:00Z' git commit -q -m one; git tag v1\n\
        echo second > file; git commit -q -am two\n";
    env.other("sh", &["-c", script]).run().ok();
    let ssh = env.file("ssh", "#!/bin/sh\nshift $(($# - 1))\nexec sh -c \"$1\"\n");
    std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755))
        .expect("home is writable");
    env.set("GIT_SSH_COMMAND", &ssh);
}

#[test]
fn add_clones_repositories_and_runs_nothing_of_theirs() {
    let mut env = test_env!();
    env.busybox();
    repository(&mut env);
    let remote = format!("ssh://git@host{}", env.path("home/repo").display());
    let text = format!(
        "FROM busybox\nADD {remote}#v1 /one/\nADD --keep-git-dir=true {remote} /two/\nADD {remote}#main:sub/deep /sub/\n"
    );
    build_text(&env, &text, &[]).ok();
    let seen = shell(
        &env,
        "made",
        "cat /one/file /two/file /sub/f; ls -d /one/.git /two/.git; stat -c %Y /one/file; readlink /one/sub/out",
    );
    assert_eq!(seen, "first\nsecond\ndeep\n/two/.git\n1577836800\n/etc");
    for (source, message) in [
        (format!("{remote}#main:sub/out"), "is no directory"),
        (format!("{remote}#main:up"), "is no directory"),
        (format!("{remote}#nothing"), "clone ssh://"),
        ("git://host/a".to_owned(), "by https and ssh only"),
        (format!("{remote}#--upload-pack=x"), "no reference"),
    ] {
        let failed = build_text(&env, &format!("FROM scratch\nADD {source} /x\n"), &[]);
        assert!(
            failed.stderr.contains(message),
            "{source}: {}",
            failed.stderr
        );
    }
}

#[test]
fn add_takes_the_commit_that_was_meant() {
    let mut env = test_env!();
    env.busybox();
    repository(&mut env);
    let repo = env.path("home/repo");
    let remote = format!("ssh://git@host{}", repo.display());
    let name = |reference: &str| {
        let directory = repo.to_str().expect("test paths are UTF-8");
        let words = ["-C", directory, "rev-parse", reference];
        env.other("git", &words).run().ok().out()
    };
    let (first, second) = (name("v1"), name("main"));
    let text = format!(
        "FROM busybox\nADD --checksum={first} {remote}#v1 /one/\nADD --checksum={} {remote} /two/\n\
         ADD {remote}?tag=v1&subdir=sub/deep /three/\nADD {remote}?branch=main&commit={second}&keep-git-dir /four/\n\
         ADD {remote}#{} /five/\nADD {remote}?checksum={first} /six/\n",
        &second[..7],
        &first[..7]
    );
    build_text(&env, &text, &[]).ok();
    let seen = shell(
        &env,
        "made",
        "cat /one/file /two/file /three/f /four/file /five/file /six/file; ls -d /three/* /?/.git /four/.git 2>/dev/null; true",
    );
    let expected = "first\nsecond\ndeep\nsecond\nfirst\nfirst\n/four/.git\n/three/f";
    assert_eq!(seen, expected);
    for (add, message) in [
        (
            format!("--checksum={second} {remote}#v1"),
            "checksum mismatch",
        ),
        (
            format!("{remote}?tag=v1&checksum={second}"),
            "checksum mismatch",
        ),
        (
            format!("--checksum={first} {remote}?checksum={second}"),
            "checksum conflicts",
        ),
        (
            format!("--checksum=sha256:{first} {remote}"),
            "beginning of a commit's name",
        ),
        (
            format!("--keep-git-dir=false {remote}?keep-git-dir=1"),
            "keep-git-dir conflicts",
        ),
        (format!("{remote}?tag=v1&branch=main"), "ref conflicts"),
        (format!("{remote}?depth=1"), "unexpected query \"depth\""),
        (format!("{remote}#0123456"), "0123456"),
    ] {
        let failed = build_text(&env, &format!("FROM scratch\nADD {add} /x\n"), &[]);
        assert_eq!(failed.code, 1, "{add}");
        let said = &failed.stderr;
        assert!(said.contains(message), "{add}: {said}");
    }
}

#[test]
fn a_repository_or_an_archive_is_a_context() {
    let mut env = test_env!();
    env.busybox();
    repository(&mut env);
    let remote = format!("ssh://git@host{}", env.path("home/repo").display());
    build(&env, &format!("{remote}#v1"), &["-t", "made"]).ok();
    assert_eq!(
        shell(
            &env,
            "made",
            "cat /all/file; ls -d /all/.git 2>/dev/null; true"
        ),
        "first"
    );
    let kept = [
        "-t",
        "made",
        "--build-arg",
        "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1",
    ];
    build(&env, &format!("{remote}?branch=main"), &kept).ok();
    assert_eq!(
        shell(&env, "made", "cat /all/file; ls -d /all/.git"),
        "second\n/all/.git"
    );
    let tar = Layer::new()
        .file("Dockerfile", 0o644, "FROM busybox\nCOPY f /f\n")
        .file("f", 0o644, "of the archive")
        .symlink("out", "/etc/hostname");
    let tar = Compression::Gzip.apply(&tar.tar());
    for command in ["build", "image build"] {
        let words = crate::spellings::words(command, &["--network", "none", "-t", "made", "-"]);
        env.command(&words).input(tar.clone()).run().ok();
        assert_eq!(shell(&env, "made", "cat /f"), "of the archive");
    }
    let server = Registry::start();
    server.put("/c.tar.gz", tar, "application/gzip");
    let alone = b"FROM busybox\nRUN echo alone > /f\n".to_vec();
    server.put("/Dockerfile", alone, "text/plain");
    let url = format!("http://{}", server.host());
    build(&env, &format!("{url}/c.tar.gz"), &["-t", "made"]).ok();
    assert_eq!(shell(&env, "made", "cat /f"), "of the archive");
    build(&env, &format!("{url}/Dockerfile"), &["-t", "made"]).ok();
    assert_eq!(shell(&env, "made", "cat /f"), "alone");
    let evil = Layer::new()
        .file("Dockerfile", 0o644, "FROM scratch\nCOPY out /\n")
        .symlink("out", "/etc/hostname");
    let words = ["build", "-"];
    let failed = env.command(&words).input(evil.tar()).run();
    assert!(failed.stderr.contains("not found"), "{}", failed.stderr);
    assert!(env.half_made().is_empty(), "{:?}", env.half_made());
}

/// `name:1`, an image of one file.
fn add_image(registry: &Registry, name: &str) -> TestLayer {
    let layer = TestLayer::gzip(&image::tar(&[(name, name.as_bytes())]));
    registry.add(name, "1", &TestImage::new(vec![layer.clone()]));
    layer
}

#[test]
fn images_come_at_the_same_time_and_beside_other_steps() {
    let env = test_env!();
    let registry = Registry::start();
    let layers = ["one", "two", "three"].map(|name| add_image(&registry, name));
    registry.put("/file", b"downloaded".to_vec(), "text/plain");
    // Each waits for the next one to be asked for, and the last for a step of a stage that needs none of them.
    registry.misbehave("/v2/one/manifests", 1, Fault::After("/v2/two/".to_owned()));
    registry.misbehave(
        "/v2/two/manifests",
        1,
        Fault::After("/v2/three/".to_owned()),
    );
    registry.misbehave(&layers[2].digest(), 1, Fault::After("/file".to_owned()));
    let host = registry.host();
    let text = format!(
        "FROM {host}/one:1 AS a\nFROM {host}/two:1 AS b\nFROM scratch AS c\nADD http://{host}/file /file\n\
         FROM a\nCOPY --from=b /two /\nCOPY --from={host}/three:1 /three /\nCOPY --from=c /file /\n"
    );
    let built = build_text(&env, &text, &["-o", "out"]).ok();
    let mut names = crate::env::names(&env.path("home/out"));
    names.sort();
    assert_eq!(names, ["file", "one", "three", "two"]);
    for layer in &layers {
        let end = format!("extracting {} done", layer.digest());
        assert!(built.stderr.contains(&end), "{}", built.stderr);
    }
    assert_eq!(cached(&build_text(&env, &text, &["-t", "made"]).ok()), 4);
}

#[test]
fn downloads_come_at_the_same_time_and_beside_other_stages() {
    let env = test_env!();
    env.busybox();
    let registry = Registry::start();
    for name in ["/one", "/two", "/three"] {
        registry.put(name, name.as_bytes().to_vec(), "text/plain");
    }
    // The first waits for one that a stage asks for after a command of its own.
    registry.misbehave("/one", 1, Fault::After("/three".to_owned()));
    let host = registry.host();
    let text = format!(
        "FROM scratch AS a\nADD http://{host}/one http://{host}/two /\n\
         FROM busybox AS b\nRUN --network=none echo done > /ran\nADD http://{host}/three /\n\
         FROM scratch\nCOPY --from=a /one /two /\nCOPY --from=b /three /ran /\n"
    );
    let built = build_text(&env, &text, &["-o", "out"]).ok();
    let mut names = crate::env::names(&env.path("home/out"));
    names.sort();
    assert_eq!(names, ["one", "ran", "three", "two"]);
    let line = format!("[a 2/2] ADD http://{host}/one");
    assert!(built.stderr.contains(&line), "{}", built.stderr);
    // What never comes ends with the build, at its line.
    registry.misbehave("/one", 1, Fault::After("/never".to_owned()));
    let text = format!(
        "FROM scratch AS a\nADD http://{host}/one /\nFROM scratch AS b\nADD http://{host}/missing /\n\
         FROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\n"
    );
    let failed = build_text(&env, &text, &[]);
    assert!(failed.stderr.contains("Dockerfile:4:"), "{}", failed.stderr);
    assert!(env.half_made().is_empty(), "{:?}", env.half_made());
}

#[test]
fn an_image_that_is_not_there_is_said_at_its_line() {
    let env = test_env!();
    let registry = Registry::start();
    add_image(&registry, "one");
    let host = registry.host();
    for (text, line) in [
        (
            format!("FROM {host}/one:1 AS a\nFROM {host}/none:1\nCOPY --from=a /one /\n"),
            2,
        ),
        (
            format!("FROM {host}/one:1\nCOPY --from={host}/none:1 / /\n"),
            2,
        ),
    ] {
        let failed = build_text(&env, &text, &[]);
        assert_eq!(failed.code, 1);
        for part in [format!("Dockerfile:{line}:"), format!("{host}/none:1")] {
            assert!(failed.stderr.contains(&part), "{part}: {}", failed.stderr);
        }
    }
    assert!(env.half_made().is_empty(), "{:?}", env.half_made());
}
