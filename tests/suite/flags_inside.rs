//! The flags of `run` and `create` whose effect the program inside sees, in every spelling.

use crate::env::test_env;
use crate::need::{Need, need};
use crate::process::eventually;
use crate::spellings::WAYS;

/// `CapEff` and the like of the program.
fn status(text: &str, key: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.strip_prefix(':'))
        .expect("the kernel shows it")
        .trim()
        .to_owned()
}

const STATUS: [&str; 3] = ["busybox", "cat", "/proc/self/status"];

#[test]
fn cap_add_is_in_the_effective_set() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let flags = ["--cap-drop", "ALL", "--cap-add", "CHOWN"];
        let out = way.out(&env, &[&flags[..], &STATUS].concat());
        assert_eq!(status(&out, "CapEff"), "0000000000000001", "{way:?}");
    }
}

#[test]
fn cap_drop_is_not_in_the_effective_set() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let out = way.out(&env, &[&["--cap-drop", "CHOWN"], &STATUS[..]].concat());
        assert_eq!(status(&out, "CapEff"), "00000000a80425fa", "{way:?}");
    }
}

#[test]
fn privileged_has_every_capability_of_the_user() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let out = way.out(&env, &[&["--privileged"], &STATUS[..]].concat());
        let mask = u64::from_str_radix(&status(&out, "CapEff"), 16).expect("it is hexadecimal");
        let last = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").expect("it is there");
        let last: u32 = last.trim().parse().expect("it is a number");
        assert_eq!(mask.count_ones(), last + 1, "{way:?}: {mask:x}");
        assert_eq!(status(&out, "Seccomp"), "0", "{way:?}");
    }
}

#[test]
fn security_opt_sets_no_new_privileges() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let out = way.out(
            &env,
            &[&["--security-opt", "no-new-privileges"], &STATUS[..]].concat(),
        );
        assert_eq!(status(&out, "NoNewPrivs"), "1", "{way:?}");
        let covered = [
            "busybox",
            "grep",
            "-c",
            " /proc/sys ",
            "/proc/self/mountinfo",
        ];
        assert_eq!(way.out(&env, &covered), "1", "{way:?}");
        let open = ["--security-opt", "systempaths=unconfined"];
        let open = way.run(&env, &[&open[..], &covered].concat());
        assert_eq!(open.code(1).out(), "0", "{way:?}");
    }
}

#[test]
fn entrypoint_replaces_the_images() {
    let env = test_env!();
    let image = crate::image::busybox()
        .configured("Entrypoint", serde_json::json!(["echo", "entry"]))
        .configured("Cmd", serde_json::json!(["command"]));
    env.load(&image.docker_archive("enters:latest"));
    for way in WAYS {
        assert_eq!(way.out(&env, &["enters", "mine"]), "entry mine");
        let flags = ["--entrypoint", "printf", "enters", "%s", "replaced"];
        assert_eq!(way.out(&env, &flags), "replaced", "{way:?}");
    }
}

#[test]
fn env_sets_and_hands_on_variables() {
    let mut env = test_env!();
    env.set("HOSTS_OWN", "taken over");
    env.busybox();
    for way in WAYS {
        for flag in ["-e", "--env"] {
            let flags = [flag, "GIVEN=1", flag, "HOSTS_OWN", "busybox", "env"];
            let out = way.out(&env, &flags);
            assert!(out.contains("GIVEN=1\n"), "{way:?} {flag}: {out}");
            assert!(
                out.contains("HOSTS_OWN=taken over"),
                "{way:?} {flag}: {out}"
            );
        }
    }
}

#[test]
fn env_file_sets_variables() {
    let env = test_env!();
    env.busybox();
    let file = env.file("variables", "# nothing\nFROM_FILE=of the file\n");
    for way in WAYS {
        let out = way.out(&env, &["--env-file", &file, "busybox", "env"]);
        assert!(out.contains("FROM_FILE=of the file"), "{way:?}: {out}");
    }
}

#[test]
fn hostname_is_seen_inside() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        for flag in ["-h", "--hostname"] {
            let out = way.out(&env, &[flag, "mine", "busybox", "hostname"]);
            assert_eq!(out, "mine", "{way:?} {flag}");
        }
    }
}

#[test]
fn init_is_pid_1_and_forwards_signals() {
    let env = test_env!();
    env.busybox();
    let script = "trap 'exit 9' TERM; echo $$; while :; do sleep 0.05; done";
    for way in WAYS {
        let flags = ["--network", "none", "--init", "busybox", "sh", "-c", script];
        let id = way.start(&env, &flags);
        eventually("the trap", || !env.out(&["logs", &id]).is_empty());
        assert_ne!(env.out(&["logs", &id]), "1", "{way:?}");
        env.run(&["kill", "-s", "TERM", &id]).ok();
        assert_eq!(env.out(&["wait", &id]), "9", "{way:?}");
    }
}

#[test]
fn interactive_reads_standard_input() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        for flag in ["-i", "--interactive"] {
            let fed = way.feed(&env, &[flag, "busybox", "cat"], "through\n");
            assert_eq!(fed.ok().stdout, "through\n", "{way:?} {flag}");
        }
        let unfed = way.feed(&env, &["busybox", "cat"], "secret\n");
        assert_eq!(unfed.ok().stdout, "", "{way:?}");
    }
}

#[test]
fn tty_gives_a_terminal() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        for flag in ["-t", "--tty"] {
            let out = way.out(&env, &[flag, "busybox", "tty"]);
            assert_eq!(out.trim(), "/dev/pts/0", "{way:?} {flag}");
        }
        way.run(&env, &["busybox", "tty"]).code(1);
    }
}

#[test]
fn volume_binds_a_directory() {
    let env = test_env!();
    env.busybox();
    env.file("shared/file", "from outside\n");
    let volume = format!("{}:/in/side:ro", env.path("home/shared").display());
    for way in WAYS {
        for flag in ["-v", "--volume"] {
            let out = way.out(&env, &[flag, &volume, "busybox", "cat", "/in/side/file"]);
            assert_eq!(out, "from outside", "{way:?} {flag}");
        }
    }
}

#[test]
fn mount_binds_and_makes_tmpfs() {
    let env = test_env!();
    env.busybox();
    let file = env.file("one", "from outside\n");
    let bind = format!("type=bind,source={file},target=/one,readonly,bind-recursive=readonly");
    let tmpfs = "type=tmpfs,target=/scratch,tmpfs-size=1m,tmpfs-mode=1770";
    let script =
        "cat /one; echo x 2>/dev/null > /one; stat -c %a /scratch; df -k /scratch | grep -c 1024";
    for way in WAYS {
        let flags = ["--mount", &bind, "--mount", tmpfs];
        let out = way.out(
            &env,
            &[&flags[..], &["busybox", "sh", "-c", script]].concat(),
        );
        assert_eq!(out, "from outside\n1770\n1", "{way:?}");
        let part = format!("type=bind,source={file},target=/one,bind-nonrecursive");
        let refused = way.run(&env, &["--mount", &part, "busybox", "true"]);
        refused.fails(125, "bind-nonrecursive");
    }
}

#[test]
fn tmpfs_is_mounted() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let flags = ["--tmpfs", "/scratch:size=1m", "busybox"];
        let program = ["stat", "-f", "-c", "%T", "/scratch"];
        let out = way.out(&env, &[&flags[..], &program].concat());
        assert_eq!(out, "tmpfs", "{way:?}");
    }
}

#[test]
fn read_only_root_cannot_be_written() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        way.run(&env, &["--read-only", "busybox", "touch", "/no"])
            .code(1)
            .says("Read-only file system");
        way.run(&env, &["busybox", "touch", "/yes"]).ok();
    }
}

#[test]
fn network_none_has_only_loopback() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let devices = |network: &str| {
            let flags = ["--network", network, "busybox"];
            // The last of a flag that is given twice would be a second network.
            let id = way.start(
                &env,
                &[&flags[..], &["sh", "-c", "cut -d: -f1 -s /proc/net/dev"]].concat(),
            );
            env.run(&["wait", &id]).ok();
            env.out(&["logs", &id])
        };
        let names = |text: String| -> Vec<String> {
            let words = text.split_whitespace();
            words.map(str::to_owned).collect()
        };
        assert_eq!(names(devices("none")), ["lo"], "{way:?}");
        let host = std::fs::read_to_string("/proc/net/dev").expect("/proc is mounted");
        let here: Vec<String> = host
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, _)| name.trim().to_owned())
            .collect();
        assert_eq!(names(devices("host")), here, "{way:?}");
    }
}

#[test]
fn shm_size_is_the_size_of_dev_shm() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let flags = ["--shm-size", "8m", "busybox", "df", "-k", "/dev/shm"];
        let out = way.out(&env, &flags);
        assert!(out.split_whitespace().any(|word| word == "8192"), "{out}");
    }
}

#[test]
fn sysctl_is_set_inside() {
    let env = test_env!();
    env.busybox();
    let file = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    for way in WAYS {
        let sysctl = "net.ipv4.ip_unprivileged_port_start=77";
        let out = way.out(&env, &["--sysctl", sysctl, "busybox", "cat", file]);
        assert_eq!(out, "77", "{way:?}");
    }
}

#[test]
fn ulimit_is_in_force() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let flags = ["--ulimit", "nofile=123:456", "busybox"];
        let program = ["sh", "-c", "ulimit -Sn; ulimit -Hn"];
        let out = way.out(&env, &[&flags[..], &program].concat());
        assert_eq!(out, "123\n456", "{way:?}");
    }
}

#[test]
fn user_is_resolved_in_the_image() {
    let env = test_env!();
    need!(Need::SubordinateIds);
    env.busybox();
    for way in WAYS {
        for flag in ["-u", "--user"] {
            let out = way.out(&env, &[flag, "app", "busybox", "id", "-u"]);
            assert_eq!(out, "1000", "{way:?} {flag}");
        }
    }
}

#[test]
fn workdir_is_where_the_program_starts() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        for flag in ["-w", "--workdir"] {
            let out = way.out(&env, &[flag, "/made/here", "busybox", "pwd"]);
            assert_eq!(out, "/made/here", "{way:?} {flag}");
        }
    }
}
