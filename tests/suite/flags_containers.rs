//! The flags of the verbs on containers that exist, in every spelling.

use crate::env::{TestEnv, test_env};
use crate::process::eventually;
use crate::spellings::{ask, words};

const NONE: [&str; 2] = ["--network", "none"];
const PS: [&str; 2] = ["ps", "container ls"];
const NAMES: [&str; 2] = ["--format", "{{.Names}}"];

fn run(env: &TestEnv, name: &str, program: &[&str]) {
    let flags = ["run", "-d", NONE[0], NONE[1], "--name", name, "busybox"];
    env.run(&[&flags[..], program].concat()).ok();
}

/// One that has ended with 3, and after it one that runs.
fn ended_and_running(env: &TestEnv) {
    env.busybox();
    run(env, "ended", &["sh", "-c", "exit 3"]);
    env.run(&["wait", "ended"]).ok();
    run(env, "runs", &["sleep", "1000"]);
}

/// Ends by a trap with the number of its signal: 10 + n; pid 1 ignores what it has no trap for.
fn trapping(env: &TestEnv, name: &str) {
    let script = "trap 'exit 11' HUP; trap 'exit 20' USR1; trap 'exit 25' TERM; echo ready; while :; do sleep 0.05; done";
    run(env, name, &["sh", "-c", script]);
    eventually("the traps", || env.out(&["logs", name]) == "ready");
}

#[test]
fn ps_lists_running_containers() {
    let env = test_env!();
    ended_and_running(&env);
    for command in ["ps", "container ls"] {
        let table = ask(&env, command, &[]).ok().out();
        assert!(table.starts_with("CONTAINER ID"), "{table}");
        assert!(
            table.ends_with("runs") && !table.contains("ended"),
            "{table}"
        );
    }
}

#[test]
fn ps_all_lists_stopped_ones() {
    let env = test_env!();
    ended_and_running(&env);
    for command in ["ps", "container ls"] {
        for flag in ["-a", "--all"] {
            let names = ask(&env, command, &[flag, NAMES[0], NAMES[1]]).ok();
            assert_eq!(names.lines(), ["runs", "ended"], "{command} {flag}");
        }
    }
}

#[test]
fn ps_filter_keeps_what_fits() {
    let env = test_env!();
    ended_and_running(&env);
    for command in ["ps", "container ls"] {
        for flag in ["-f", "--filter"] {
            for (filter, name) in [
                ("status=exited", "ended"),
                ("name=run", "runs"),
                ("exited=3", "ended"),
            ] {
                let rest = ["-a", flag, filter, NAMES[0], NAMES[1]];
                let names = ask(&env, command, &rest).ok();
                assert_eq!(names.lines(), [name], "{command} {flag} {filter}");
            }
        }
    }
}

#[test]
fn ps_format_takes_templates_and_json() {
    let env = test_env!();
    ended_and_running(&env);
    for command in ["ps", "container ls"] {
        let template = ask(&env, command, &["--format", "{{.Names}}: {{.Image}}"]);
        assert_eq!(template.ok().out(), "runs: busybox");
        let json = ask(&env, command, &["--format", "json"]).ok().out();
        let row: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
        assert_eq!(row["Names"], "runs");
        let table = ask(&env, command, &["--format", "table {{.Names}}\t{{.State}}"]);
        let table = table.ok().out();
        let words: Vec<&str> = table.split_whitespace().collect();
        assert_eq!(words, ["NAMES", "STATE", "runs", "running"]);
    }
}

#[test]
fn ps_last_counts_stopped_ones_too() {
    let env = test_env!();
    env.busybox();
    for name in ["one", "two", "three"] {
        env.run(&["create", "--name", name, "busybox"]).ok();
    }
    for command in ["ps", "container ls"] {
        for flag in ["-n", "--last"] {
            let names = ask(&env, command, &[flag, "2", NAMES[0], NAMES[1]]).ok();
            assert_eq!(names.lines(), ["three", "two"], "{command} {flag}");
        }
    }
}

#[test]
fn ps_latest_is_one() {
    let env = test_env!();
    env.busybox();
    for name in ["one", "two"] {
        env.run(&["create", "--name", name, "busybox"]).ok();
    }
    for command in ["ps", "container ls"] {
        for flag in ["-l", "--latest"] {
            let names = ask(&env, command, &[flag, NAMES[0], NAMES[1]]).ok();
            assert_eq!(names.lines(), ["two"], "{command} {flag}");
        }
    }
}

#[test]
fn ps_no_trunc_shows_whole_ids() {
    let env = test_env!();
    env.busybox();
    let id = env.out(&[
        "create",
        "busybox",
        "echo",
        "a very long command that is cut",
    ]);
    for command in PS {
        let row = ask(&env, command, &["-a", "--no-trunc"]).ok();
        assert!(row.stdout.contains(&id) && row.stdout.contains("that is cut"));
        let row = ask(&env, command, &["-a"]).ok();
        assert!(!row.stdout.contains(&id) && !row.stdout.contains("that is cut"));
    }
    assert_eq!(PS, ["ps", "container ls"]);
}

#[test]
fn ps_quiet_prints_ids() {
    let env = test_env!();
    env.busybox();
    let id = env.out(&["create", "busybox"]);
    for command in ["ps", "container ls"] {
        for flag in ["-q", "--quiet"] {
            let ids = ask(&env, command, &["-a", flag]).ok().out();
            assert_eq!(ids, id[..12], "{command} {flag}");
        }
    }
}

#[test]
fn ps_size_shows_the_layers_bytes() {
    let env = test_env!();
    env.busybox();
    run(
        &env,
        "sized",
        &["dd", "if=/dev/zero", "of=/file", "bs=1000", "count=500"],
    );
    env.run(&["wait", "sized"]).ok();
    for command in ["ps", "container ls"] {
        for flag in ["-s", "--size"] {
            let size = ask(&env, command, &["-a", flag, "--format", "{{.Size}}"]);
            let size = size.ok().out();
            assert!(
                size.starts_with("500kB (virtual "),
                "{command} {flag}: {size}"
            );
            let table = ask(&env, command, &["-a", flag]).ok().out();
            assert!(table.contains("SIZE"), "{table}");
        }
        assert!(!ask(&env, command, &["-a"]).ok().out().contains("SIZE"));
    }
}

#[test]
fn inspect_shows_dockers_keys() {
    let env = test_env!();
    env.busybox();
    let id = env.out(&["create", "--name", "looked-at", "busybox", "true"]);
    for command in ["inspect", "container inspect"] {
        let out = ask(&env, command, &["looked-at"]).ok().out();
        let documents: serde_json::Value = serde_json::from_str(&out).expect("it is JSON");
        let document = &documents[0];
        assert_eq!(document["Id"], id.as_str());
        assert_eq!(document["Name"], "/looked-at");
        assert_eq!(document["State"]["Status"], "created");
        assert_eq!(document["Config"]["Cmd"][0], "true");
        for (part, keys) in [
            ("", KEYS),
            ("State", STATE),
            ("HostConfig", HOST),
            ("Config", CONFIG),
        ] {
            let part = document.get(part).unwrap_or(document);
            let there = |key: &&str| part.get(*key).is_some();
            let missing: Vec<&str> = keys.split_whitespace().filter(|key| !there(key)).collect();
            assert!(missing.is_empty(), "{missing:?}");
        }
    }
    let masked = "{{len .HostConfig.MaskedPaths}} {{len .HostConfig.ReadonlyPaths}}";
    let seen = env.out(&["inspect", "-f", masked, "looked-at"]);
    let (masked, read_only) = seen.split_once(' ').expect("two numbers");
    assert!(
        masked.parse::<usize>().is_ok_and(|number| number >= 9),
        "{seen}"
    );
    assert_eq!(read_only, "5");
    env.run(&["create", "--name", "open", "--privileged", "busybox"])
        .ok();
    let open = "{{json .HostConfig.MaskedPaths}}{{json .HostConfig.ReadonlyPaths}}";
    assert_eq!(env.out(&["inspect", "-f", open, "open"]), "nullnull");
}

/// Those that docker's API (1.47) never leaves out of the answer for a container on Linux.
const KEYS: &str = "AppArmorProfile Args Config Created Driver ExecIDs GraphDriver HostConfig HostnamePath HostsPath Id Image \
    LogPath MountLabel Mounts Name NetworkSettings Path Platform ProcessLabel ResolvConfPath RestartCount State";
const STATE: &str =
    "Dead Error ExitCode FinishedAt OOMKilled Paused Pid Restarting Running StartedAt Status";
const HOST: &str = "AutoRemove Binds BlkioDeviceReadBps BlkioDeviceReadIOps BlkioDeviceWriteBps BlkioDeviceWriteIOps \
    BlkioWeight BlkioWeightDevice CapAdd CapDrop Cgroup CgroupParent CgroupnsMode ConsoleSize ContainerIDFile CpuCount \
    CpuPercent CpuPeriod CpuQuota CpuRealtimePeriod CpuRealtimeRuntime CpuShares CpusetCpus CpusetMems DeviceCgroupRules \
    DeviceRequests Devices Dns DnsOptions DnsSearch ExtraHosts GroupAdd IOMaximumBandwidth IOMaximumIOps IpcMode Isolation \
    Links LogConfig MaskedPaths Memory MemoryReservation MemorySwap MemorySwappiness NanoCpus NetworkMode OomKillDisable \
    OomScoreAdj PidMode PidsLimit PortBindings Privileged PublishAllPorts ReadonlyPaths ReadonlyRootfs RestartPolicy Runtime \
    SecurityOpt ShmSize UTSMode Ulimits UsernsMode VolumeDriver VolumesFrom";
const CONFIG: &str = "AttachStderr AttachStdin AttachStdout Cmd Domainname Entrypoint Env Hostname Image Labels OnBuild \
    OpenStdin StdinOnce Tty User Volumes WorkingDir";

#[test]
fn inspect_format_takes_templates() {
    let env = test_env!();
    env.busybox();
    env.out(&["create", "--name", "looked-at", "busybox", "true"]);
    for command in ["inspect", "container inspect"] {
        for flag in ["-f", "--format"] {
            let out = ask(
                &env,
                command,
                &[flag, "{{.Name}} {{json .Config.Cmd}}", "looked-at"],
            );
            assert_eq!(out.ok().out(), "/looked-at [\"true\"]", "{command} {flag}");
        }
    }
}

#[test]
fn inspect_size_adds_sizes() {
    let env = test_env!();
    env.busybox();
    run(
        &env,
        "sized",
        &["dd", "if=/dev/zero", "of=/file", "bs=1000", "count=500"],
    );
    env.run(&["wait", "sized"]).ok();
    for command in ["inspect", "container inspect"] {
        for flag in ["-s", "--size"] {
            let out = ask(&env, command, &[flag, "-f", "{{.SizeRw}}", "sized"])
                .ok()
                .out();
            assert_eq!(out, "500000", "{command} {flag}");
        }
        let without = ask(&env, command, &["sized"]).ok();
        assert!(!without.stdout.contains("SizeRw"), "{command}");
    }
}

#[test]
fn inspect_type_looks_for_one_kind() {
    let env = test_env!();
    env.busybox();
    env.out(&["create", "--name", "busybox", "busybox", "true"]);
    let id = |kind: &str| env.out(&["inspect", "--type", kind, "-f", "{{.Id}}", "busybox"]);
    assert_eq!(id("container").len(), 64);
    assert!(id("image").starts_with("sha256:"));
    env.run(&["rm", "busybox"]).ok();
    env.run(&["inspect", "--type", "container", "busybox"])
        .fails(1, "busybox");
}

#[test]
fn kill_ends_it() {
    let env = test_env!();
    env.busybox();
    for command in ["kill", "container kill"] {
        run(&env, "victim", &["sleep", "1000"]);
        assert_eq!(ask(&env, command, &["victim"]).ok().out(), "victim");
        assert_eq!(env.out(&["wait", "victim"]), "137", "{command}");
        env.run(&["rm", "victim"]).ok();
    }
}

#[test]
fn kill_signal_is_delivered() {
    let env = test_env!();
    env.busybox();
    for command in ["kill", "container kill"] {
        for flag in ["-s", "--signal"] {
            trapping(&env, "victim");
            ask(&env, command, &[flag, "HUP", "victim"]).ok();
            assert_eq!(env.out(&["wait", "victim"]), "11", "{command} {flag}");
            env.run(&["rm", "victim"]).ok();
        }
    }
}

#[test]
fn logs_shows_both_streams() {
    let env = test_env!();
    env.busybox();
    run(&env, "two", &["sh", "-c", "echo out; echo error >&2"]);
    env.run(&["wait", "two"]).ok();
    for command in ["logs", "container logs"] {
        let logs = ask(&env, command, &["two"]).ok();
        let shown = (logs.stdout.as_str(), logs.stderr.as_str());
        assert_eq!(shown, ("out\n", "error\n"), "{command}");
    }
}

#[test]
fn logs_follow_ends_with_the_container() {
    let env = test_env!();
    env.busybox();
    for command in ["logs", "container logs"] {
        for flag in ["-f", "--follow"] {
            run(&env, "talks", &["sh", "-c", "echo first; sleep 1000"]);
            let mut logs = env.spawn(&words(command, &[flag, "talks"]));
            logs.until("first");
            assert!(logs.is_running(), "{command} {flag}");
            env.run(&["kill", "talks"]).ok();
            assert_eq!(logs.wait().ok().stdout, "first\n");
            env.run(&["rm", "talks"]).ok();
        }
    }
}

#[test]
fn logs_since_and_until_cut() {
    let env = test_env!();
    env.busybox();
    run(
        &env,
        "timed",
        &[
            "sh",
            "-c",
            "echo one; sleep 0.1; echo two; sleep 0.1; echo three",
        ],
    );
    env.run(&["wait", "timed"]).ok();
    let lines = env.out(&["logs", "-t", "timed"]);
    let second = lines.lines().nth(1).expect("there are three");
    let time = second.split(' ').next().expect("a time comes first");
    for command in ["logs", "container logs"] {
        let since = ask(&env, command, &["--since", time, "timed"]).ok();
        assert_eq!(since.lines(), ["two", "three"], "{command}");
        let until = ask(&env, command, &["--until", time, "timed"]).ok();
        assert_eq!(until.lines(), ["one", "two"], "{command}");
    }
}

#[test]
fn logs_tail_counts_from_the_end() {
    let env = test_env!();
    env.busybox();
    run(&env, "many", &["seq", "1", "100"]);
    env.run(&["wait", "many"]).ok();
    for command in ["logs", "container logs"] {
        for flag in ["-n", "--tail"] {
            let tail = ask(&env, command, &[flag, "2", "many"]).ok();
            assert_eq!(tail.lines(), ["99", "100"], "{command} {flag}");
        }
    }
}

#[test]
fn logs_timestamps_begin_lines() {
    let env = test_env!();
    env.busybox();
    run(&env, "timed", &["echo", "now"]);
    env.run(&["wait", "timed"]).ok();
    for command in ["logs", "container logs"] {
        for flag in ["-t", "--timestamps"] {
            let line = ask(&env, command, &[flag, "timed"]).ok().out();
            let (time, text) = line.split_once(' ').expect("a time and a text");
            assert_eq!((time.len(), text), (30, "now"), "{command} {flag}");
        }
    }
}

#[test]
fn rm_frees_name_and_layer() {
    let env = test_env!();
    env.busybox();
    for command in ["rm", "container rm"] {
        run(&env, "gone", &["touch", "/file"]);
        env.run(&["wait", "gone"]).ok();
        let upper = env.out(&["inspect", "-f", "{{.GraphDriver.Data.UpperDir}}", "gone"]);
        assert!(std::path::Path::new(&upper).join("file").exists());
        assert_eq!(ask(&env, command, &["gone"]).ok().out(), "gone");
        assert!(!std::path::Path::new(&upper).exists(), "{command}");
        assert!(env.containers().is_empty(), "{command}");
    }
}

#[test]
fn rm_force_kills_first() {
    let env = test_env!();
    env.busybox();
    for command in ["rm", "container rm"] {
        for flag in ["-f", "--force"] {
            run(&env, "busy", &["sleep", "1000"]);
            ask(&env, command, &["busy"]).fails(1, "busy");
            ask(&env, command, &[flag, "busy"]).ok();
            assert_eq!(env.out(&["ps", "-aq"]), "", "{command} {flag}");
        }
    }
}

#[test]
fn start_goes_on_with_the_layer() {
    let env = test_env!();
    env.busybox();
    for command in ["start", "container start"] {
        run(
            &env,
            "keeps",
            &["sh", "-c", "echo line >> /count; wc -l < /count"],
        );
        env.run(&["wait", "keeps"]).ok();
        assert_eq!(ask(&env, command, &["keeps"]).ok().out(), "keeps");
        env.run(&["wait", "keeps"]).ok();
        assert_eq!(env.out(&["logs", "keeps"]), "1\n2", "{command}");
        env.run(&["rm", "keeps"]).ok();
    }
}

#[test]
fn start_attach_shows_output_and_exit_code() {
    let env = test_env!();
    env.busybox();
    let flags = ["create", NONE[0], NONE[1], "--name", "again", "busybox"];
    env.run(&[&flags[..], &["sh", "-c", "echo once more; exit 6"]].concat())
        .ok();
    for command in ["start", "container start"] {
        for flag in ["-a", "--attach"] {
            let ran = ask(&env, command, &[flag, "again"]).code(6);
            assert_eq!(ran.stdout, "once more\n", "{command} {flag}");
        }
    }
}

#[test]
fn start_interactive_reads_input() {
    let env = test_env!();
    env.busybox();
    env.run(&[
        "create", "-i", NONE[0], NONE[1], "--name", "reads", "busybox", "cat",
    ])
    .ok();
    for command in ["start", "container start"] {
        for flag in ["-i", "--interactive"] {
            let ran = env.command(&words(command, &[flag, "reads"]));
            let ran = ran.input("through\n").run().ok();
            assert_eq!(ran.stdout, "through\n", "{command} {flag}");
        }
    }
}

#[test]
fn start_detach_keys_leave_it_running() {
    let env = test_env!();
    env.busybox();
    env.run(&[
        "create", "-it", NONE[0], NONE[1], "--name", "left", "busybox", "sh",
    ])
    .ok();
    for command in ["start", "container start"] {
        let rest = ["-ai", "--detach-keys", "ctrl-a,x", "left"];
        let mut terminal = env.terminal(&words(command, &rest));
        terminal.expect("# ");
        terminal.types("\x01x");
        assert_eq!(terminal.wait(), 0, "{command}");
        assert_eq!(env.out(&["ps", NAMES[0], NAMES[1]]), "left", "{command}");
        env.run(&["stop", "-t", "0", "left"]).ok();
    }
}

#[test]
fn stop_sends_the_stop_signal() {
    let env = test_env!();
    env.busybox();
    for command in ["stop", "container stop"] {
        trapping(&env, "polite");
        assert_eq!(ask(&env, command, &["polite"]).ok().out(), "polite");
        assert_eq!(env.out(&["wait", "polite"]), "25", "{command}");
        env.run(&["rm", "polite"]).ok();
    }
}

#[test]
fn stop_signal_can_be_chosen() {
    let env = test_env!();
    env.busybox();
    for command in ["stop", "container stop"] {
        for flag in ["-s", "--signal"] {
            trapping(&env, "polite");
            ask(&env, command, &[flag, "USR1", "polite"]).ok();
            assert_eq!(env.out(&["wait", "polite"]), "20", "{command} {flag}");
            env.run(&["rm", "polite"]).ok();
        }
    }
}

#[test]
fn stop_timeout_kills() {
    let env = test_env!();
    env.busybox();
    for command in ["stop", "container stop"] {
        for flag in ["-t", "--timeout"] {
            // PID 1 without a trap ignores SIGTERM: only the end of the wait ends it.
            run(&env, "deaf", &["sleep", "1000"]);
            let stop = ask(&env, command, &[flag, "0", "deaf"]).ok();
            assert!(stop.took.as_secs() < 9, "the default is ten seconds");
            assert_eq!(env.out(&["wait", "deaf"]), "137", "{command} {flag}");
            env.run(&["rm", "deaf"]).ok();
        }
    }
}

#[test]
fn wait_prints_the_exit_code() {
    let env = test_env!();
    env.busybox();
    run(&env, "three", &["sh", "-c", "exit 3"]);
    for command in ["wait", "container wait"] {
        assert_eq!(ask(&env, command, &["three"]).ok().out(), "3");
    }
}
