//! `ADD` of a URL whose file has not changed: the server is asked, and nothing is downloaded again.

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
