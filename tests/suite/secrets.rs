//! Secrets: kept for the user alone, and handed to containers in memory.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::env::{TestEnv, names, test_env};
use crate::need::{Need, need};
use crate::spellings::{WAYS, ask};

const RUN: [&str; 4] = ["run", "--rm", "--network", "none"];

fn make(env: &TestEnv, name: &str, value: &str) -> String {
    let created = env.command(&["secret", "create", name, "-"]);
    created.input(value).run().ok().out()
}

#[test]
fn a_secret_is_a_file_on_a_tmpfs_or_a_variable() {
    need!(Need::SubordinateIds);
    let env = test_env!();
    env.busybox();
    make(&env, "token", "hunter2\n");
    make(&env, "key", "s3cr3t");
    let script = "stat -c '%n %a %u:%g' /run/secrets/token /etc/my/key; cat /run/secrets/token; cat /etc/my/key; echo; \
                  stat -f -c %T /run/secrets/token; (echo x > /run/secrets/token) 2>/dev/null || echo read-only; \
                  echo $key $OTHER; ls -A /run/secrets; ls -A / | grep -c secret || true";
    for way in WAYS {
        let flags = [
            "--secret",
            "token",
            "--secret",
            "source=key,target=/etc/my/key,uid=1000,gid=50,mode=0400",
            "--secret",
            "key,type=env",
            "--secret=token,type=env,target=OTHER",
            "busybox",
            "sh",
            "-c",
            script,
        ];
        let out = way.run(&env, &flags).ok().stdout;
        assert_eq!(
            out,
            "/run/secrets/token 444 0:0\n/etc/my/key 400 1000:50\nhunter2\ns3cr3t\ntmpfs\nread-only\n\
             s3cr3t hunter2\ntoken\n0\n",
            "{way:?}"
        );
    }
}

#[test]
fn a_value_is_in_no_record_and_no_output() {
    let env = test_env!();
    env.busybox();
    make(&env, "token", "hunter2");
    let flags = [
        "--network",
        "none",
        "--secret",
        "token",
        "--secret",
        "token,type=env",
        "busybox",
        "true",
    ];
    let made = env.out(&[&["create", "--name", "c1"], &flags[..]].concat());
    let logged = env.run(&["--debug", "start", "-a", "c1"]).ok();
    assert!(!logged.stderr.contains("hunter2"), "{logged:?}");
    for words in [
        &["inspect", "c1"][..],
        &["secret", "inspect", "token"],
        &["secret", "ls"],
    ] {
        assert!(!env.out(words).contains("hunter2"), "{words:?}");
    }
    // Only the user reads the one file that has it.
    let store = env.store();
    let secret = fs::metadata(store.join("secrets/token")).expect("it is there");
    assert_eq!(secret.permissions().mode() & 0o777, 0o600);
    let directory = fs::metadata(store.join("secrets")).expect("it is there");
    assert_eq!(directory.permissions().mode() & 0o777, 0o700);
    let container = store.join("containers").join(made);
    for name in names(&container) {
        let content = fs::read(container.join(&name)).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&content).contains("hunter2"),
            "{name}"
        );
    }
    let upper = fs::metadata(container.join("upper/run/secrets/token"));
    assert_eq!(upper.expect("a place to mount on").len(), 0);
}

#[test]
fn what_is_no_secret_is_refused() {
    let env = test_env!();
    env.busybox();
    let run =
        |secret: &str| env.run(&[&RUN[..], &["--secret", secret, "busybox", "true"]].concat());
    run("nothing").fails(125, "no such secret: nothing");
    make(&env, "token", "a\0b");
    run("token").ok();
    run("token,type=env").fails(125, "a variable can hold neither");
    for bad in [
        "token,type=socket",
        "token,mode=9",
        "token,target=../x",
        "type=env",
    ] {
        run(bad).fails(125, "--secret");
    }
    let empty = env.command(&["secret", "create", "empty", "-"]).input("");
    empty.run().fails(1, "secret data must be larger than 0");
    let large = env.command(&["secret", "create", "large", "-"]);
    large
        .input(vec![b'x'; 512_000])
        .run()
        .fails(1, "less than 512000");
    let named = env.command(&["secret", "create", "../x", "-"]).input("x");
    named.run().fails(1, "invalid secret name");
    assert_eq!(names(&env.store().join("secrets")), ["token"]);
}

#[test]
fn a_new_value_is_seen_by_the_next_start() {
    let env = test_env!();
    env.busybox();
    make(&env, "token", "old");
    let flags = [
        "--network",
        "none",
        "--secret",
        "token",
        "busybox",
        "cat",
        "/run/secrets/token",
    ];
    env.run(&[&["create", "--name", "c1"], &flags[..]].concat())
        .ok();
    assert_eq!(env.out(&["start", "-a", "c1"]), "old");
    let replaced = env.command(&["secret", "create", "--replace", "token", "-"]);
    replaced.input("new").run().ok();
    assert_eq!(env.out(&["start", "-a", "c1"]), "new");
}

#[test]
fn secret_create_keeps_a_file_or_a_variable() {
    let mut env = test_env!();
    env.set("FROM_HERE", "value of a variable");
    let file = env.file("secret.txt", "value of a file");
    let id = ask(&env, "secret create", &["one", &file]).ok().out();
    assert_eq!(id.len(), 25);
    ask(&env, "secret create", &["one", &file]).fails(1, "name in use");
    ask(&env, "secret create", &["--env", "two", "FROM_HERE"]).ok();
    ask(&env, "secret create", &["--env", "no", "NOT_SET"]).fails(125, "NOT_SET is not set");
    ask(&env, "secret create", &["no", "/no/such/file"]).fails(1, "/no/such/file");
    let value = |name: &str| {
        let flags = ["--showsecret", "-f", "{{.SecretData}}", name];
        ask(&env, "secret inspect", &flags).ok().out()
    };
    assert_eq!(value("one"), "value of a file");
    assert_eq!(value("two"), "value of a variable");
    for (number, flag) in ["-l", "--label"].iter().enumerate() {
        let name = format!("labelled{number}");
        ask(&env, "secret create", &[flag, "a=b", &name, &file]).ok();
        let format = ["-f", "{{json .Spec.Labels}}", &name];
        let labels = ask(&env, "secret inspect", &format).ok().out();
        assert_eq!(labels, "{\"a\":\"b\"}");
    }
    for (number, flag) in ["-d", "--driver"].iter().enumerate() {
        let name = format!("driver{number}");
        ask(&env, "secret create", &[flag, "file", &name, &file]).ok();
        ask(&env, "secret create", &[flag, "vault", "no", &file])
            .fails(125, "only \"file\" exists");
    }
    env.run(&["secret", "exists", "one"]).ok();
    env.run(&["secret", "exists", "no"]).code(1);
}

#[test]
fn secret_ls_filters_and_formats() {
    let env = test_env!();
    let id = make(&env, "alpha", "1");
    let labelled = env.command(&["secret", "create", "-l", "tier=db", "beta", "-"]);
    labelled.input("2").run().ok();
    let table = ask(&env, "secret ls", &[]).ok().stdout;
    let head: Vec<&str> = table
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    assert_eq!(head, ["ID", "NAME", "DRIVER", "CREATED", "UPDATED"]);
    for flag in ["-f", "--filter"] {
        for (filter, found) in [
            ("name=al", "alpha"),
            ("label=tier", "beta"),
            (&format!("id={}", &id[..9]), "alpha"),
            ("name=x", ""),
        ] {
            let shown = ask(&env, "secret ls", &[flag, filter, "--format", "{{.Name}}"]);
            assert_eq!(shown.ok().out(), found, "{filter}");
        }
    }
    for flag in ["-q", "--quiet"] {
        let ids = ask(&env, "secret ls", &[flag, "-f", "name=alpha"]);
        assert_eq!(ids.ok().out(), id);
    }
}

#[test]
fn secret_inspect_shows_all_but_the_value() {
    let env = test_env!();
    let made = env.command(&["secret", "create", "-l", "tier=db", "token", "-"]);
    let id = made.input("hunter2").run().ok().out();
    let whole = ask(&env, "secret inspect", &["token"]).ok().stdout;
    let parsed: serde_json::Value = serde_json::from_str(&whole).expect("it is JSON");
    assert_eq!(parsed[0]["ID"], id.as_str());
    assert_eq!(parsed[0]["Spec"]["Name"], "token");
    assert!(parsed[0].get("SecretData").is_none());
    for flag in ["-f", "--format"] {
        let shown = ask(&env, "secret inspect", &[flag, "{{.Spec.Name}}", &id[..8]]);
        assert_eq!(shown.ok().out(), "token");
    }
    let pretty = ask(&env, "secret inspect", &["--pretty", "token"])
        .ok()
        .stdout;
    let start = format!(
        "ID:              {id}\nName:              token\nLabels:\n - tier=db\nDriver:            file\n"
    );
    assert!(pretty.starts_with(&start), "{pretty}");
    ask(&env, "secret inspect", &["none"]).fails(1, "no such secret: none");
}

#[test]
fn secret_rm_removes_what_no_container_needs() {
    let env = test_env!();
    env.busybox();
    for name in ["one", "two", "three"] {
        make(&env, name, "x");
    }
    let flags = ["create", "--name", "c1", "--secret", "one", "busybox"];
    env.run(&flags).ok();
    ask(&env, "secret rm", &["one"])
        .fails(1, "secret one is in use by the following containers: c1");
    let removed = ask(&env, "secret rm", &["two", "none"]).fails(1, "no such secret: none");
    assert_eq!(removed.stdout, "two\n");
    ask(&env, "secret rm", &["--ignore", "none"]).ok();
    env.run(&["rm", "c1"]).ok();
    assert_eq!(
        ask(&env, "secret rm", &["--all"]).ok().stdout,
        "one\nthree\n"
    );
    assert!(names(&env.store().join("secrets")).is_empty());
}
