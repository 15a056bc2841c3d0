//! The flags that say who the program is and what it finds around it: domain, groups, variables, umask, time zone, annotations.

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::spellings::{WAYS, ask};

fn shell<'a>(flags: &[&'a str], script: &'a str) -> Vec<&'a str> {
    [flags, &["busybox", "sh", "-c", script]].concat()
}

/// What `inspect` shows of a container that was only made.
fn shown(env: &TestEnv, command: &str, flags: &[&str], format: &str) -> String {
    let flags = [flags, &["busybox", "true"]].concat();
    let id = match command.ends_with("run") {
        true => ask(
            env,
            command,
            &[&["-d", "--network", "none"], &flags[..]].concat(),
        ),
        false => ask(env, command, &flags),
    };
    env.out(&["inspect", "-f", format, &id.ok().out()])
}

#[test]
fn domainname_is_the_kernels() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let out = way.out(
            &env,
            &shell(
                &["--domainname", "nis.test"],
                "cat /proc/sys/kernel/domainname",
            ),
        );
        assert_eq!(out, "nis.test", "{way:?}");
        let flags = ["--domainname", "nis.test"];
        let shown = shown(&env, way.make, &flags, "{{.Config.Domainname}}");
        assert_eq!(shown, "nis.test", "{way:?}");
    }
    // The whole name is in the hosts file, and the short one is the host's.
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    for network in ["bridge", "pasta"] {
        let flags = ["--domainname", "nis.test", "-h", "aa", "--network", network];
        let flags = shell(&flags, "hostname -f; hostname; cat /etc/hostname");
        let names = env.out(&[&["run", "--rm"][..], &flags].concat());
        assert_eq!(names, "aa.nis.test\naa\naa", "{network}");
    }
}

#[test]
fn annotation_is_kept_and_has_to_have_a_value() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let flags = ["--annotation", "org.test.key=a=b"];
        let format = "{{index .HostConfig.Annotations \"org.test.key\"}}";
        assert_eq!(shown(&env, way.make, &flags, format), "a=b", "{way:?}");
        way.run(&env, &["--annotation", "alone", "busybox", "true"])
            .fails(125, "invalid argument \"alone\" for \"--annotation\" flag");
    }
}

#[test]
fn group_add_takes_names_of_the_image_and_numbers() {
    let env = test_env!();
    need!(Need::SubordinateIds);
    env.busybox();
    for way in WAYS {
        let flags = [
            "--group-add",
            "staff",
            "--group-add",
            "4711",
            "-u",
            "app:app",
        ];
        let out = way.out(&env, &shell(&flags, "grep ^Groups /proc/self/status"));
        let groups: Vec<&str> = out.split_whitespace().skip(1).collect();
        assert_eq!(groups, ["50", "1000", "4711"], "{way:?}");
        let shown = shown(&env, way.make, &flags, "{{.HostConfig.GroupAdd}}");
        assert_eq!(shown, "[staff 4711]", "{way:?}");
    }
    let unknown = [
        "run",
        "--rm",
        "--group-add",
        "nobody-here",
        "busybox",
        "true",
    ];
    env.run(&unknown)
        .fails(125, "unable to find group nobody-here");
}

#[test]
fn group_add_keep_groups_keeps_the_users() {
    let env = test_env!();
    env.busybox();
    let count = |text: &str| text.split_whitespace().skip(1).count();
    let own = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let own = own.lines().find(|line| line.starts_with("Groups"));
    let own = count(own.expect("the kernel shows them"));
    let script = "grep ^Groups /proc/self/status";
    for way in WAYS {
        let kept = way.out(
            &env,
            &shell(&["--group-add", "keep-groups", "-u", "0:0"], script),
        );
        assert_eq!(count(&kept), own, "{way:?}: {kept}");
        way.run(
            &env,
            &[
                "--group-add",
                "keep-groups",
                "--group-add",
                "5",
                "busybox",
                "true",
            ],
        )
        .fails(125, "not allowed with any other --group-add");
    }
}

#[test]
fn oom_score_adj_is_set_and_not_below_the_users_own() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let out = way.out(
            &env,
            &shell(&["--oom-score-adj", "500"], "cat /proc/self/oom_score_adj"),
        );
        assert_eq!(out, "500", "{way:?}");
        way.run(&env, &["--oom-score-adj", "1001", "busybox", "true"])
            .fails(
                way.engine_failure(),
                "range for oom score adj is [-1000, 1000]",
            );
        way.run(&env, &["--oom-score-adj", "-1000", "busybox", "true"])
            .fails(
                if way.make.ends_with("run") { 125 } else { 1 },
                "oom_score_adj to -1000",
            );
    }
}

#[test]
fn runtime_is_bryos_own_or_an_error() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        assert_eq!(
            way.out(&env, &["--runtime", "bryo", "busybox", "echo", "ran"]),
            "ran"
        );
        way.run(&env, &["--runtime", "runc", "busybox", "true"])
            .fails(
                way.engine_failure(),
                "unknown or invalid runtime name: runc",
            );
    }
}

#[test]
fn umask_and_time_zone_are_podmans() {
    let env = test_env!();
    env.busybox();
    let out = |flags: &[&str], script: &str| {
        env.out(
            &[
                &["run", "--rm", "--network", "none"],
                &shell(flags, script)[..],
            ]
            .concat(),
        )
    };
    assert_eq!(out(&[], "umask"), "0022");
    assert_eq!(out(&["--umask", "077"], "umask"), "0077");
    env.run(&["run", "--umask", "0888", "busybox"])
        .fails(125, "invalid umask");
    let local = std::fs::read("/etc/localtime").map(|bytes| bytes.len());
    if let Ok(length) = local {
        let seen = out(&["--tz", "local"], "wc -c < /etc/localtime");
        assert_eq!(seen.trim(), length.to_string());
    }
    for outside in ["../../../etc/passwd", "/etc/passwd", "No/Where"] {
        env.run(&["run", "--tz", outside, "busybox"])
            .fails(125, &format!("unknown time zone {outside}"));
    }
}

#[test]
fn variables_of_host_and_image_are_taken_and_left_as_podman_does() {
    let mut env = test_env!();
    env.set("OF_THE_HOST", "host");
    let image = crate::image::busybox().configured(
        "Env",
        serde_json::json!(["PATH=/bin", "IMAGE=one", "OTHER=two"]),
    );
    env.load(&image.docker_archive("vars:latest"));
    let out = |flags: &[&str]| {
        let start = ["run", "--rm", "--network", "none"];
        env.out(&[&start, flags, &["vars", "/bin/env"]].concat())
    };
    let has = |text: &str, line: &str| text.lines().any(|other| other == line);
    let plain = out(&[]);
    assert!(has(&plain, "IMAGE=one") && !has(&plain, "OF_THE_HOST=host"));
    assert!(has(&out(&["--env-host"]), "OF_THE_HOST=host"));
    let merged = out(&["--env-merge", "PATH=${PATH}:/more"]);
    assert!(has(&merged, "PATH=/bin:/more"), "{merged}");
    let without = out(&["--unsetenv", "IMAGE"]);
    assert!(!has(&without, "IMAGE=one") && has(&without, "OTHER=two"));
    let none = out(&["--unsetenv-all", "-e", "MINE=3"]);
    assert!(has(&none, "MINE=3"), "{none}");
    for name in ["IMAGE=", "OTHER=", "PATH=", "HOSTNAME="] {
        assert!(!none.lines().any(|line| line.starts_with(name)), "{none}");
    }
}

#[test]
fn proxies_of_dockers_configuration_become_variables() {
    let env = test_env!();
    env.busybox();
    let proxies =
        r#"{"proxies": {"default": {"httpProxy": "http://proxy.test:3128", "noProxy": "*.test"}}}"#;
    env.file("docker/config.json", proxies);
    let directory = env.path("home/docker");
    let directory = directory.to_str().expect("test paths are UTF-8");
    let out = |flags: &[&str]| {
        let start = ["--config", directory, "run", "--rm", "--network", "none"];
        env.out(&[&start, flags, &["busybox", "env"]].concat())
    };
    let all = out(&[]);
    for line in [
        "HTTP_PROXY=http://proxy.test:3128",
        "http_proxy=http://proxy.test:3128",
        "NO_PROXY=*.test",
        "no_proxy=*.test",
    ] {
        assert!(all.lines().any(|other| other == line), "{line}: {all}");
    }
    assert!(!all.contains("HTTPS_PROXY"), "{all}");
    let mine = out(&["-e", "http_proxy=mine"]);
    assert!(mine.contains("http_proxy=mine\n"), "{mine}");
    assert!(
        mine.contains("HTTP_PROXY=http://proxy.test:3128\n"),
        "{mine}"
    );
}

#[test]
fn replace_removes_who_has_the_name() {
    let env = test_env!();
    env.busybox();
    let start = ["run", "-d", "--network", "none", "--name", "one"];
    let first = env.out(&[&start[..], &["busybox", "sleep", "1000"]].concat());
    let taken = [&start[..], &["busybox", "true"]].concat();
    env.run(&taken).fails(125, "is already in use");
    let second = env.out(&[&start[..], &["--replace", "busybox", "sleep", "1000"]].concat());
    assert_ne!(first, second);
    let names = env.out(&["ps", "-a", "--no-trunc", "--format", "{{.ID}}"]);
    assert_eq!(names, second);
}

#[test]
fn a_read_only_root_with_writable_tmpfs() {
    let env = test_env!();
    env.busybox();
    let start = ["run", "--rm", "--network", "none"];
    let script = "touch /tmp/x /run/x /var/tmp/x && ! touch /x 2>/dev/null && echo so";
    let flags = shell(&["--read-only", "--read-only-tmpfs"], script);
    assert_eq!(env.out(&[&start[..], &flags].concat()), "so");
    let script = "for file in hosts hostname resolv.conf; do echo x 2>/dev/null >>/etc/$file || echo $file; done";
    let flags = shell(&["--read-only"], script);
    let kept = env.out(&[&start[..], &flags].concat());
    assert_eq!(kept, "hosts\nhostname\nresolv.conf");
    env.run(&["run", "--read-only-tmpfs", "busybox"])
        .fails(125, "needs --read-only");
}

#[test]
fn an_account_for_the_programs_user_and_for_users_of_the_host() {
    let env = test_env!();
    env.busybox();
    let own = nix::unistd::User::from_uid(nix::unistd::getuid());
    let own = own
        .ok()
        .flatten()
        .expect("whoever runs tests has an account");
    let start = ["run", "--rm", "--network", "none"];
    let out = |flags: &[&str], script: &str| env.out(&[&start[..], &shell(flags, script)].concat());
    let of_program = "id -un 2>/dev/null; grep -c :4321: /etc/passwd; echo $HOME";
    let flags = ["--passwd", "-u", "4321:99", "-w", "/srv"];
    assert_eq!(out(&flags, of_program), "4321\n1\n/srv");
    // Docker's way, unless it is asked for.
    assert_eq!(out(&["-u", "4321"], of_program), "4321\n0\n/");
    // Whom the image knows stays as it is.
    assert_eq!(out(&["--passwd"], "echo $HOME"), "/root");
    for way in WAYS {
        let flags = ["--hostuser", &own.name];
        let line = format!(":{}:", own.uid);
        let script = format!("grep ^{}: /etc/passwd | grep -c {line}", own.name);
        assert_eq!(way.out(&env, &shell(&flags, &script)), "1", "{way:?}");
    }
    // Also where the root is read-only; and a file of the host's is never written to.
    let file = env.file("passwd", "root:x:0:0::/root:/bin/sh\n");
    let over = format!("{file}:/etc/passwd");
    let flags = ["--hostuser", &own.name, "-v", &over];
    assert_eq!(out(&flags, "wc -l </etc/passwd"), "1");
    assert_eq!(
        std::fs::read_to_string(&file).expect("it is there"),
        "root:x:0:0::/root:/bin/sh\n"
    );
    let flags = ["--read-only", "--hostuser", &own.name];
    assert_eq!(
        out(&flags, &format!("grep -c ^{}: /etc/passwd", own.name)),
        "1"
    );
    let unknown = [
        &start[..],
        &["--hostuser", "nobody-of-that-name", "busybox", "true"],
    ]
    .concat();
    env.run(&unknown)
        .fails(125, "unable to find user nobody-of-that-name");
}

#[test]
fn the_kept_id_has_a_name() {
    let env = test_env!();
    need!(Need::Device("/dev/fuse"), Need::Program("fuse-overlayfs"));
    env.busybox();
    let own = nix::unistd::User::from_uid(nix::unistd::getuid());
    let own = own
        .ok()
        .flatten()
        .expect("whoever runs tests has an account");
    let start = ["run", "--rm", "--network", "none", "--userns", "keep-id"];
    let out = |flags: &[&str], script: &str| env.out(&[&start[..], &shell(flags, script)].concat());
    assert_eq!(
        out(&["-w", "/srv"], "id -un; id -gn; echo $HOME"),
        format!("{0}\n{0}\n/srv", own.name)
    );
    let none = out(
        &["--passwd=false"],
        &format!("grep -c ^{}: /etc/passwd; true", own.name),
    );
    assert_eq!(none, "0");
}

#[test]
fn timeout_ends_each_of_its_lives() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let ended = way.run(&env, &["--timeout", "1", "busybox", "sleep", "1000"]);
        assert_eq!(ended.code, 137, "{way:?} {ended:?}");
    }
    let never = WAYS[0].out(&env, &["--timeout", "0", "busybox", "echo", "ended"]);
    assert_eq!(never, "ended");
    let start = [
        "run",
        "-d",
        "--network",
        "none",
        "--restart",
        "on-failure:1",
        "--timeout",
        "1",
    ];
    let id = env.out(&[&start[..], &["busybox", "sleep", "1000"]].concat());
    assert_eq!(env.out(&["wait", &id]), "137");
    crate::process::eventually("the end of the second life", || {
        let format = "{{.RestartCount}} {{.State.Status}}";
        env.out(&["inspect", "-f", format, &id]) == "1 exited"
    });
}

#[test]
fn required_containers_are_started_first() {
    let env = test_env!();
    env.busybox();
    let make = ["create", "--network", "none", "--name"];
    for (name, requires) in [("base", ""), ("middle", "base"), ("other", "base")] {
        let required = ["--requires", requires];
        let flags = if requires.is_empty() {
            &[][..]
        } else {
            &required[..]
        };
        env.out(&[&make[..], &[name], flags, &["busybox", "sleep", "1000"]].concat());
    }
    let start = [
        "run",
        "--rm",
        "--network",
        "none",
        "--requires=middle,other",
    ];
    env.out(&[&start[..], &["busybox", "true"]].concat());
    let mut running: Vec<String> = env
        .out(&["ps", "--format", "{{.Names}}"])
        .lines()
        .map(str::to_owned)
        .collect();
    running.sort_unstable();
    assert_eq!(running, ["base", "middle", "other"]);
    env.out(&["rm", "-f", "base"]);
    env.out(&["stop", "middle"]);
    env.run(&["start", "middle"]).fails(1, "No such container");
    let unknown = [&make[..], &["wrong", "--requires", "nobody", "busybox"]].concat();
    env.run(&unknown).fails(1, "No such container: nobody");
}
