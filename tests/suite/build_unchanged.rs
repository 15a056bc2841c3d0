//! `ADD` of a URL whose file has not changed: the server is asked, and nothing is downloaded again.

use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use crate::dockerfile::{build, cached, context, shell};
use crate::env::test_env;
use crate::misbehaving::{Answer, Request, Server};

/// What the server has, and the bodies that it has sent.
struct Content {
    body: &'static str,
    etag: &'static str,
    sent: usize,
    confirmed: usize,
}

#[test]
fn what_has_not_changed_is_not_downloaded_again() {
    let env = test_env!();
    env.busybox();
    let content = Arc::new(Mutex::new(Content {
        body: "first",
        etag: "\"1\"",
        sent: 0,
        confirmed: 0,
    }));
    let shared = Arc::clone(&content);
    let server = Server::start(move |request: &Request| {
        let mut content = shared.lock().expect("no test panics with it");
        if request.header("if-none-match") == Some(content.etag) {
            content.confirmed += 1;
            return Answer::new(304).with("ETag", content.etag);
        }
        content.sent += 1;
        Answer {
            body: content.body.as_bytes().to_vec(),
            ..Answer::new(200).with("ETag", content.etag)
        }
    });
    let counts = || {
        let content = content.lock().expect("no test panics with it");
        (content.sent, content.confirmed)
    };
    let url = format!("http://{}/dir/file.txt?token=secret", server.host());
    let text = format!("FROM busybox\nADD {url} /to/\n");
    let directory = context(&env, "app", &[("Dockerfile", &text)]);
    build(&env, &directory, &["-t", "made"]).ok();
    assert_eq!(counts(), (1, 0));
    let again = build(&env, &directory, &["-t", "made"]).ok();
    assert_eq!((counts(), cached(&again)), ((1, 1), 1));
    assert_eq!(shell(&env, "made", "cat /to/file.txt"), "first");
    // Without the step's cache the file is the kept one, with the same name and content.
    let anew = build(&env, &directory, &["-t", "made", "--no-cache"]).ok();
    assert_eq!((counts(), cached(&anew)), ((1, 2), 0));
    assert_eq!(shell(&env, "made", "cat /to/file.txt"), "first");
    {
        let mut content = content.lock().expect("no test panics with it");
        content.body = "second";
        content.etag = "\"2\"";
    }
    build(&env, &directory, &["-t", "made"]).ok();
    assert_eq!(counts(), (2, 2));
    assert_eq!(shell(&env, "made", "cat /to/file.txt"), "second");
    // One whose bytes are no longer its own is downloaded again.
    let kept = env.path("cache/bryo/build/downloads");
    let file = std::fs::read_dir(&kept)
        .expect("it was kept")
        .flatten()
        .next()
        .expect("one file")
        .path();
    let mode = |path: &std::path::Path| {
        let meta = std::fs::metadata(path).expect("it is the user's");
        meta.permissions().mode() & 0o777
    };
    assert_eq!((mode(&kept), mode(&file)), (0o700, 0o600));
    let mut bytes = std::fs::read(&file).expect("it is the user's");
    assert!(
        !String::from_utf8_lossy(&bytes).contains("secret"),
        "a credential was kept"
    );
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&file, bytes).expect("it is the user's");
    build(&env, &directory, &["-t", "made", "--no-cache"]).ok();
    assert_eq!(counts(), (3, 3));
    assert_eq!(shell(&env, "made", "cat /to/file.txt"), "second");
    let shown = env.out(&["buildx", "du", "--verbose"]);
    let line = shown.lines().find(|line| line.contains("http url http://"));
    assert!(line.is_some_and(|line| !line.contains("secret")), "{shown}");
    env.run(&["builder", "prune", "-af"]).ok();
    assert_eq!(std::fs::read_dir(&kept).expect("it was kept").count(), 0);
}

/// The same word of another URL, a time alone, and a file that is not the one that was asked for say nothing.
#[test]
fn what_says_nothing_of_the_file_is_not_believed() {
    let env = test_env!();
    env.busybox();
    let place = Arc::new(Mutex::new("a"));
    let shared = Arc::clone(&place);
    let server = Server::start(move |request: &Request| {
        let place = *shared.lock().expect("no test panics with it");
        let content = |body: &str, name: &str| Answer {
            body: body.as_bytes().to_vec(),
            ..Answer::new(200).with(name, "\"same\"")
        };
        let asks = |name: &str| request.header(name).is_some();
        match &request.path[..] {
            "/go" => Answer::new(302).with("Location", &format!("/{place}")),
            _ if asks("if-none-match") || asks("if-modified-since") => Answer::new(304),
            "/timed" => Answer {
                body: place.as_bytes().to_vec(),
                ..Answer::new(200).with("Last-Modified", "Tue, 03 Feb 2026 04:05:06 GMT")
            },
            "/known" => content(place, "ETag"),
            path => content(path, "ETag"),
        }
    });
    let host = server.host();
    let text = format!("FROM busybox\nADD http://{host}/go http://{host}/timed /to/\n");
    let text = format!("{text}ADD http://{host}/known /to/\n");
    let directory = context(&env, "app", &[("Dockerfile", &text)]);
    let seen = || shell(&env, "made", "cat /to/go /to/timed /to/known");
    build(&env, &directory, &["-t", "made"]).ok();
    assert_eq!(seen(), "/aaa");
    *place.lock().expect("no test panics with it") = "b";
    build(&env, &directory, &["-t", "made"]).ok();
    // The last one is what the server says that it still is.
    assert_eq!(seen(), "/bba");
    let digest = crate::image::digest(b"b");
    let text = text.replace(
        &format!("ADD http://{host}/known"),
        &format!("ADD --checksum={digest} http://{host}/known"),
    );
    let directory = context(&env, "checked", &[("Dockerfile", &text)]);
    build(&env, &directory, &["-t", "made"]).ok();
    assert_eq!(seen(), "/bbb");
}
