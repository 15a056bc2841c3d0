//! A day of a developer's: clone, build, test, push, and pull on another machine; then one file changes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::dockerfile::{build, cached, layers};
use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::process::eventually;
use crate::registry::{Access, Registry};

const DOCKERFILE: &str = "FROM busybox AS test\nWORKDIR /app\nCOPY lib lib\nCOPY test.sh .\nRUN sh test.sh\n\
    FROM busybox\nWORKDIR /app\nCOPY lib lib\nCOPY test.sh .\nCOPY site /site\nEXPOSE 8000\nCMD [\"httpd\", \"-f\", \"-p\", \"8000\", \"-h\", \"/site\"]\n";

fn commit(env: &TestEnv, script: &str) -> String {
    let all = format!(
        "set -e; cd work; {script}; git add -A; git -c user.email=a@b -c user.name=a commit -q -m change; git push -q; git rev-parse --short HEAD"
    );
    env.other("sh", &["-c", &all]).run().ok().out()
}

/// What the container answers to a browser.
fn served(env: &TestEnv, image: &str) -> String {
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("the loopback has ports")
        .port();
    let publish = format!("127.0.0.1:{port}:8000");
    let id = env.out(&["run", "-d", "--rm", "-p", &publish, image]);
    let mut answer = String::new();
    eventually("the server answers", || {
        answer.clear();
        TcpStream::connect(("127.0.0.1", port))
            .and_then(|mut stream| {
                stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n")?;
                stream.read_to_string(&mut answer)
            })
            .is_ok_and(|length| length > 0)
    });
    env.run(&["stop", "-t", "0", &id]).ok();
    answer
        .rsplit("\r\n\r\n")
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_change_of_one_file_costs_one_layer_everywhere() {
    need!(
        Need::Program("docker-registry"),
        Need::Program("git"),
        Need::Program("pasta")
    );
    let (env, other) = (test_env!(), TestEnv::new());
    env.busybox();
    let registry = Registry::start(&env, Access::Http);
    let start = "set -e; git init -q --bare origin.git; git clone -q origin.git work 2>/dev/null; cd work; mkdir lib site; \
        echo 'add() { echo $(($1 + $2)); }' > lib/add; echo '. lib/add; test $(add 1 2) = 3 || exit 3' > test.sh; echo one > site/index.html";
    env.other("sh", &["-c", start]).run().ok();
    env.file("work/Dockerfile", DOCKERFILE);
    let sha = commit(&env, "true");
    let directory = env.path("home/work");
    let directory = directory.to_str().expect("test paths are UTF-8");
    let name = |sha: &str| format!("{}/app:{sha}", registry.address);
    let first = name(&sha);
    build(&env, directory, &["-t", &first]).ok();
    env.run(&["run", "--rm", "--network", "none", &first, "sh", "test.sh"])
        .ok();
    env.run(&["push", &first]).ok();
    other.run(&["pull", &first]).ok();
    assert_eq!(served(&other, &first), "one\n");
    assert_eq!(layers(&other, &first), layers(&env, &first));
    // One file changes: one layer is built, pushed and pulled.
    let sha = commit(&env, "echo two > site/index.html");
    let second = name(&sha);
    let built = build(&env, directory, &["-t", &second]).ok();
    assert_eq!(cached(&built), 3, "{}", built.stderr);
    let pushed = env.run(&["push", &second]).ok().stderr;
    let count = |text: &str, words: &str| text.lines().filter(|line| line.ends_with(words)).count();
    assert_eq!(count(&pushed, "Pushed"), 1, "{pushed}");
    let pulled = other.run(&["pull", &second]).ok();
    let all = format!("{}{}", pulled.stdout, pulled.stderr);
    assert_eq!(count(&all, "Pull complete"), 1, "{all}");
    assert_eq!(served(&other, &second), "two\n");
    // A test that fails stops the build, and a run of it says its code.
    commit(&env, "sed -i 's/+/-/' lib/add");
    let failed = build(&env, directory, &["--target", "test"]);
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains("exit code: 3"), "{}", failed.stderr);
    build(&env, directory, &["-t", "broken"]).ok();
    env.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        "broken",
        "sh",
        "test.sh",
    ])
    .code(3);
}
