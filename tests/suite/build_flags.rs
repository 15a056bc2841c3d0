//! Flags of `build` that every `RUN` feels, and those that say where a base comes from.

use crate::dockerfile::{build, build_by, build_text, context, inspected, shell};
use crate::env::test_env;
use crate::image::platforms;
use crate::need::{Need, need};
use crate::network_bridge::{need_bridges, stay};
use crate::registry::{Access, Registry};
use crate::spellings::words;

#[test]
fn every_command_has_the_limits_and_names_asked_for() {
    let env = test_env!();
    env.busybox();
    let text = "FROM busybox\nRUN ulimit -n; df -k /dev/shm | tail -1; grep extra /etc/hosts; ls /sys/class/net\n";
    let directory = context(&env, "app", &[("Dockerfile", text)]);
    for command in ["build", "image build", "builder build"] {
        let flags = [
            "--no-cache",
            "--ulimit",
            "nofile=77:78",
            "--shm-size",
            "3m",
            "--add-host",
            "extra:10.1.2.3",
        ];
        let built = build_by(&env, command, &directory, &flags).ok();
        let said: Vec<&str> = built
            .stderr
            .lines()
            .filter(|line| line.starts_with("#2 "))
            .collect();
        let said = said.join("\n");
        assert!(
            said.contains(" 77\n") && said.contains(" 3072 ") && said.contains("10.1.2.3"),
            "{said}"
        );
        assert!(
            said.ends_with(" lo\n#2 DONE 0.0s") || said.contains(" lo\n"),
            "{said}"
        );
    }
}

#[test]
fn the_host_is_reached_only_where_it_is_allowed() {
    let env = test_env!();
    env.busybox();
    let text = "FROM busybox\nRUN --network=host ls /sys/class/net | wc -l\n";
    let directory = context(&env, "app", &[("Dockerfile", text)]);
    let plain = "FROM busybox\nRUN ls /sys/class/net | sort\n";
    let plain = context(&env, "plain", &[("Dockerfile", plain)]);
    let host = crate::env::names("/sys/class/net".as_ref()).remove(0);
    let insecure = "FROM busybox\nRUN --security=insecure grep Seccomp: /proc/self/status\n";
    let insecure = context(&env, "insecure", &[("Dockerfile", insecure)]);
    for command in ["build", "image build", "builder build"] {
        let refused = build_by(&env, command, &directory, &[]);
        assert!(
            refused
                .stderr
                .contains("allow it with --allow network.host"),
            "{}",
            refused.stderr
        );
        build_by(&env, command, &directory, &["--allow", "network.host"]).ok();
        let whole = words(command, &["--no-cache", "--network", "host", &plain]);
        let names = env.run(&whole).ok().stderr;
        assert!(names.contains(&format!(" {host}\n")), "{names}");
        let refused = build_by(&env, command, &insecure, &[]);
        assert!(
            refused.stderr.contains("--allow security.insecure"),
            "{}",
            refused.stderr
        );
        let flags = ["--no-cache", "--allow", "security.insecure"];
        let built = build_by(&env, command, &insecure, &flags).ok();
        assert!(built.stderr.contains("Seccomp:\t0"), "{}", built.stderr);
        env.run(&words(command, &["--allow", "everything", &directory]))
            .fails(125, "invalid entitlement");
    }
    let text = "FROM busybox\nRUN grep Seccomp: /proc/self/status\n";
    let built = build_text(&env, text, &[]).ok();
    assert!(
        built.stderr.contains("Seccomp:\t2"),
        "a filter is always there: {}",
        built.stderr
    );
}

#[test]
fn named_contexts_stand_for_images_and_directories() {
    let env = test_env!();
    env.busybox();
    env.run(&["tag", "busybox", "other:1"]).ok();
    let more = context(
        &env,
        "more",
        &[
            ("file", "from another place"),
            ("skipped", ""),
            (".dockerignore", "skipped\n"),
        ],
    );
    let text = "FROM base\nCOPY --from=more . /more/\nCOPY --from=pic /etc/passwd /p\n";
    let directory = context(&env, "app", &[("Dockerfile", text)]);
    for command in ["build", "image build", "builder build"] {
        let place = format!("more={more}");
        let flags = [
            "-t",
            "made",
            "--build-context",
            &place,
            "--build-context",
            "base=docker-image://other:1",
            "--build-context",
            "pic=docker-image://busybox",
        ];
        build_by(&env, command, &directory, &flags).ok();
        assert_eq!(
            shell(&env, "made", "cat /more/file; ls /more"),
            "from another placefile"
        );
    }
}

#[test]
fn a_base_is_pulled_for_the_platform_asked_for() {
    need!(Need::Program("docker-registry"), Need::Program("skopeo"));
    let env = test_env!();
    let registry = Registry::start(&env, Access::Http);
    let name = registry.push_index(&env, &platforms(), "both");
    let text = format!("FROM {name}\nLABEL a=b\n");
    let directory = context(&env, "app", &[("Dockerfile", &text)]);
    for command in ["build", "image build", "builder build"] {
        for (platform, architecture) in [("linux/arm64", "arm64"), ("linux/amd64", "amd64")] {
            build_by(
                &env,
                command,
                &directory,
                &["-t", "made", "--pull", "--platform", platform],
            )
            .ok();
            assert_eq!(
                inspected(&env, "made")["Architecture"],
                architecture,
                "{command}"
            );
        }
    }
}

#[test]
fn proxies_are_there_in_capitals_and_in_small_letters() {
    let env = test_env!();
    env.busybox();
    let text = "FROM busybox\nARG no_proxy\nRUN env\n";
    let directory = context(&env, "app", &[("Dockerfile", text)]);
    let given = [
        "HTTP_PROXY=one",
        "no_proxy=two",
        "ftp_proxy=3",
        "FTP_PROXY=4",
    ];
    let flags = given.iter().flat_map(|one| ["--build-arg", one]);
    let built = build(&env, &directory, &flags.collect::<Vec<_>>()).ok();
    let seen = [
        "HTTP_PROXY=one",
        "http_proxy=one",
        "NO_PROXY=two",
        "no_proxy=two",
        "ftp_proxy=3",
        "FTP_PROXY=4",
    ];
    for line in seen {
        let line = format!(" {line}\n");
        assert!(built.stderr.contains(&line), "{line}: {}", built.stderr);
    }
    assert!(!built.stderr.contains("HTTPS_PROXY"), "{}", built.stderr);
}

/// Flags that docker hides; editors and old scripts give them.
#[test]
fn nothing_of_a_steps_container_remains() {
    let env = test_env!();
    env.busybox();
    let directory = context(&env, "app", &[("Dockerfile", "FROM busybox\nRUN true\n")]);
    for command in ["build", "image build", "builder build"] {
        for flags in [
            &["--rm", "--force-rm"][..],
            &["--rm=true"],
            &["--force-rm=true"],
        ] {
            build_by(&env, command, &directory, flags).ok();
        }
        assert!(env.containers().is_empty());
        let kept = build_by(&env, command, &directory, &["--rm=false"]);
        kept.fails(125, "the containers of steps are always removed");
    }
}

#[test]
fn commands_find_their_own_name_on_every_network() {
    let env = test_env!();
    env.busybox();
    let text = "FROM busybox\nRUN grep -c buildkitsandbox /etc/hosts && ping -c 1 $(hostname) | head -n 1\n";
    let directory = context(&env, "app", &[("Dockerfile", text)]);
    for network in ["none", "host"] {
        let flags = ["--no-cache", "--network", network];
        let said = build_by(&env, "build", &directory, &flags).ok().stderr;
        assert!(said.contains("(127.0.0.1)"), "{network}: {said}");
    }
}

#[test]
fn commands_are_on_the_network_that_is_named() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.run(&["network", "create", "ours", "--subnet", "10.93.7.0/24"])
        .ok();
    stay(&env, "web", &["--network", "ours"]);
    let text = "FROM busybox\nRUN ip -4 addr | grep -o 10.93.7 | head -n 1; ping -c 1 web > /dev/null && echo reached\n";
    let directory = context(&env, "app", &[("Dockerfile", text)]);
    for command in ["build", "image build", "builder build"] {
        let named = words(command, &["--no-cache", "--network", "ours", &directory]);
        let said = env.run(&named).ok().stderr;
        assert!(
            said.contains(" 10.93.7\n") && said.contains(" reached\n"),
            "{said}"
        );
        env.run(&words(command, &["--network", "nobodys", &directory]))
            .fails(1, "network nobodys not found");
    }
    env.run(&["rm", "-f", "web"]).ok();
    env.run(&["network", "rm", "ours"]).ok();
}
