//! The flags of `volume`, and those of `run`, `create` and `rm` that are about volumes.

use crate::env::{TestEnv, test_env};
use crate::spellings::{WAYS, ask};

const NONE: [&str; 2] = ["--network", "none"];

fn listed(env: &TestEnv, flags: &[&str]) -> Vec<String> {
    let out = ask(env, "volume ls", flags).ok().out();
    out.lines().map(str::to_owned).collect()
}

#[test]
fn volume_driver_is_local() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let flags = ["--volume-driver", "local", "-v", "db:/x", "busybox"];
        let out = way.out(
            &env,
            &[&flags[..], &["sh", "-c", "echo x >> /x/y; echo done"]].concat(),
        );
        assert_eq!(out, "done", "{way:?}");
        let other = [
            "--volume-driver",
            "flocker",
            "-v",
            "other:/x",
            "busybox",
            "true",
        ];
        let code = if way.make.contains("run") { 125 } else { 1 };
        way.run(&env, &other)
            .fails(code, "plugin \"flocker\" not found");
    }
    assert_eq!(listed(&env, &["-q"]), ["db"]);
}

#[test]
fn volumes_from_mounts_what_another_mounts() {
    let env = test_env!();
    env.busybox();
    let source = env.file("shared/file", "bound\n");
    let bind = format!("{source}:/bound");
    let flags = ["create", "--name", "first", "-v", "db:/x", "-v", &bind];
    env.run(&[&flags[..], &["--tmpfs", "/t", "busybox"]].concat())
        .ok();
    let script = "cat /bound; echo x >> /x/y || echo no; test -e /t || echo no tmpfs";
    for way in WAYS {
        let program = ["busybox", "sh", "-c", script];
        let both = way.run(&env, &[&["--volumes-from", "first"], &program[..]].concat());
        assert_eq!(both.ok().stdout, "bound\nno tmpfs\n", "{way:?}");
        let read = way.run(&env, &[&["--volumes-from=first:ro"], &program[..]].concat());
        assert_eq!(read.ok().stdout, "bound\nno\nno tmpfs\n", "{way:?}");
        let code = if way.make.contains("run") { 125 } else { 1 };
        way.run(&env, &["--volumes-from", "nobody", "busybox"])
            .fails(code, "No such container: nobody");
        way.run(&env, &["--volumes-from", "first:x", "busybox"])
            .fails(125, "invalid mode: x");
    }
    let id = env.out(&["create", "--volumes-from", "first:ro", "busybox"]);
    let shown = env.out(&["inspect", "-f", "{{json .HostConfig.VolumesFrom}}", &id]);
    assert_eq!(shown, "[\"first:ro\"]");
}

#[test]
fn rm_volumes_removes_the_anonymous_ones() {
    let env = test_env!();
    env.busybox();
    for command in ["rm", "container rm"] {
        for flag in ["-v", "--volumes"] {
            let id = env.out(&["create", "-v", "/x", "-v", "kept:/y", "busybox"]);
            assert_eq!(listed(&env, &["-q"]).len(), 2);
            ask(&env, command, &[flag, &id]).ok();
            assert_eq!(listed(&env, &["-q"]), ["kept"], "{command} {flag}");
        }
    }
}

#[test]
fn volume_create_takes_driver_labels_and_options() {
    let env = test_env!();
    env.busybox();
    assert_eq!(ask(&env, "volume create", &["one"]).ok().out(), "one");
    assert_eq!(ask(&env, "volume create", &["one"]).ok().out(), "one");
    assert_eq!(ask(&env, "volume create", &[]).ok().out().len(), 64);
    for (number, flag) in ["-d", "--driver"].iter().enumerate() {
        let name = format!("driver{number}");
        ask(&env, "volume create", &[flag, "local", &name]).ok();
        ask(&env, "volume create", &[flag, "other", "no"]).fails(1, "plugin \"other\" not found");
    }
    let flags = ["--label", "a=b", "--label", "c", "labelled"];
    ask(&env, "volume create", &flags).ok();
    let format = "{{json .Labels}} {{json .Options}}";
    let shown = |name: &str| env.out(&["volume", "inspect", "-f", format, name]);
    assert_eq!(shown("labelled"), "{\"a\":\"b\",\"c\":\"\"} null");
    for (number, flag) in ["-o", "--opt"].iter().enumerate() {
        let name = format!("options{number}");
        let flags = [
            flag,
            "type=tmpfs",
            flag,
            "device=tmpfs",
            flag,
            "o=size=2m",
            &name,
        ];
        ask(&env, "volume create", &flags).ok();
        assert_eq!(
            shown(&name),
            "null {\"device\":\"tmpfs\",\"o\":\"size=2m\",\"type\":\"tmpfs\"}"
        );
        let mount = format!("{name}:/x");
        let size = [
            "run", "--rm", NONE[0], NONE[1], "-v", &mount, "busybox", "df", "-k", "/x",
        ];
        env.run(&size).ok().prints("2048");
    }
    assert!(!listed(&env, &["-q"]).contains(&"no".to_owned()));
}

#[test]
fn volume_ls_filters_and_formats() {
    let env = test_env!();
    env.busybox();
    for (name, label) in [
        ("alpha", "tier=web"),
        ("beta", "tier=db"),
        ("alphabet", "x=y"),
    ] {
        ask(&env, "volume create", &["--label", label, name]).ok();
    }
    env.run(&["create", "-v", "beta:/x", "busybox"]).ok();
    assert_eq!(
        ask(&env, "volume ls", &[]).ok().stdout,
        "DRIVER    VOLUME NAME\nlocal     alpha\nlocal     alphabet\nlocal     beta\n"
    );
    for flag in ["-f", "--filter"] {
        for (filter, found) in [
            ("dangling=true", &["alpha", "alphabet"][..]),
            ("dangling=false", &["beta"]),
            ("name=alpha", &["alpha", "alphabet"]),
            ("name=^alpha$", &["alpha"]),
            ("label=tier", &["alpha", "beta"]),
            ("label=tier=db", &["beta"]),
            ("driver=local", &["alpha", "alphabet", "beta"]),
            ("driver=other", &[]),
        ] {
            assert_eq!(listed(&env, &["-q", flag, filter]), found, "{filter}");
        }
        ask(&env, "volume ls", &[flag, "colour=red"]).fails(1, "invalid filter 'colour'");
    }
    for flag in ["-q", "--quiet"] {
        assert_eq!(listed(&env, &[flag]), ["alpha", "alphabet", "beta"]);
    }
    let format = ["--filter", "name=beta", "--format"];
    let shown = |text: &str| {
        ask(&env, "volume ls", &[&format[..], &[text]].concat())
            .ok()
            .out()
    };
    assert_eq!(
        shown("{{.Name}} {{.Label \"tier\"}} {{.Scope}}"),
        "beta db local"
    );
    assert!(shown("json").contains("\"Name\":\"beta\""));
}

#[test]
fn volume_inspect_shows_dockers_keys() {
    let env = test_env!();
    ask(&env, "volume create", &["db"]).ok();
    let whole = ask(&env, "volume inspect", &["db"]).ok().stdout;
    let parsed: serde_json::Value = serde_json::from_str(&whole).expect("it is JSON");
    let keys: Vec<&String> = parsed[0].as_object().expect("an object").keys().collect();
    let expected = [
        "CreatedAt",
        "Driver",
        "Labels",
        "Mountpoint",
        "Name",
        "Options",
        "Scope",
    ];
    assert_eq!(keys, expected);
    for flag in ["-f", "--format"] {
        let shown = ask(
            &env,
            "volume inspect",
            &[flag, "{{.Driver}} {{.Name}}", "db"],
        );
        assert_eq!(shown.ok().out(), "local db");
    }
    ask(&env, "volume inspect", &["db", "none"]).fails(1, "get none: no such volume");
}

#[test]
fn volume_rm_removes_several() {
    let env = test_env!();
    for name in ["one", "two"] {
        ask(&env, "volume create", &[name]).ok();
    }
    let removed = ask(&env, "volume rm", &["one", "none", "two"]);
    let removed = removed.fails(1, "get none: no such volume");
    assert_eq!(removed.stdout, "one\ntwo\n");
    for flag in ["-f", "--force"] {
        assert_eq!(ask(&env, "volume rm", &[flag, "none"]).ok().out(), "none");
    }
}

#[test]
fn volume_prune_removes_what_nobody_uses() {
    let env = test_env!();
    env.busybox();
    let make = || {
        ask(&env, "volume create", &["--label", "keep=1", "labelled"]).ok();
        ask(&env, "volume create", &["named"]).ok();
        ask(&env, "volume create", &[]).ok().out()
    };
    make();
    env.run(&["create", "-v", "used:/x", "busybox"]).ok();
    let write = ["run", "--rm", NONE[0], NONE[1], "-v", "named:/x", "busybox"];
    let script = ["sh", "-c", "head -c 5000 /dev/zero > /x/file"];
    env.run(&[&write[..], &script].concat()).ok();
    let asked = env.command(&["volume", "prune"]).input("n\n").run();
    asked.ok().says("volume prune has been cancelled").prints(
        "WARNING! This will remove anonymous local volumes not used by at least one container.",
    );
    assert_eq!(listed(&env, &["-q"]).len(), 4);
    let asked = env.command(&["volume", "prune"]).input("y\n").run();
    asked.ok().prints("Total reclaimed space: 0B\n");
    assert_eq!(listed(&env, &["-q"]), ["labelled", "named", "used"]);
    for flag in ["-f", "--force"] {
        let anonymous = make();
        let pruned = ask(&env, "volume prune", &[flag]).ok().stdout;
        assert_eq!(
            pruned,
            format!("Deleted Volumes:\n{anonymous}\n\nTotal reclaimed space: 0B\n")
        );
    }
    let filtered = ask(
        &env,
        "volume prune",
        &["-f", "-a", "--filter", "label!=keep"],
    );
    let words = "Deleted Volumes:\nnamed\n\nTotal reclaimed space: 5kB\n";
    assert_eq!(filtered.ok().stdout, words);
    let all = ask(
        &env,
        "volume prune",
        &["-f", "--all", "--filter", "label=keep"],
    );
    all.ok().prints("Deleted Volumes:\nlabelled\n");
    assert_eq!(listed(&env, &["-q"]), ["used"]);
    let nothing = ask(&env, "volume prune", &["-af"]).ok().stdout;
    assert_eq!(nothing, "Total reclaimed space: 0B\n");
    ask(&env, "volume prune", &["-f", "--filter", "x=y"]).fails(1, "invalid filter 'x'");
}
