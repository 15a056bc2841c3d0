//! The flags that limit what a container may use, in every spelling: in force where the host delegates the controller, which an
//! emulated machine does (`machine`), and refused in one line where it does not. Never a container that runs without its limit.

use std::path::Path;

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::process::eventually;
use crate::spellings::{WAYS, Way, ask};

/// The controllers that containers can have here, by `info`.
fn controllers(env: &TestEnv) -> Vec<String> {
    let facts = env.out(&["info", "--format", "{{json .CgroupControllers}}"]);
    serde_json::from_str(&facts).expect("it is a list")
}

/// The files of the container's cgroup have these contents, or `flag` is refused.
#[track_caller]
fn in_force_or_refused(
    env: &TestEnv,
    way: Way,
    flags: &[&str],
    flag: &str,
    files: &[(&str, &str)],
) {
    let (file, _) = files[0];
    let controller = file.split('.').next().expect("it has one");
    let script = files
        .iter()
        .map(|(file, _)| format!("cat /sys/fs/cgroup/{file};"));
    let script: String = script.collect();
    let words = [flags, &["busybox", "sh", "-c", &script]].concat();
    let ended = way.run(env, &words);
    if controllers(env).iter().any(|have| have == controller) {
        let values: Vec<&str> = files.iter().map(|(_, value)| *value).collect();
        assert_eq!(ended.ok().out(), values.join("\n"), "{way:?} {flags:?}");
        return;
    }
    let line = ended.code(125).stderr;
    assert!(
        line.starts_with(&format!("Error: {flag}: ")),
        "{way:?} {flags:?}: {line}"
    );
    assert!(
        line.contains("delegated") || line.contains("cgroup"),
        "{way:?}: {line}"
    );
    assert_eq!(env.containers(), Vec::<String>::new(), "{way:?} {flags:?}");
}

#[test]
fn memory_limits_are_in_force_or_refused() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let check = |flags: &[&str], flag, files: &[(&str, &str)]| {
            in_force_or_refused(&env, way, flags, flag, files);
        };
        let files = [("memory.max", "67108864"), ("memory.swap.max", "67108864")];
        check(&["-m", "64m"], "--memory", &files);
        check(&["--memory", "64m"], "--memory", &files);
        let files = [("memory.max", "67108864"), ("memory.swap.max", "0")];
        check(&["--memory=64m", "--memory-swap=64m"], "--memory", &files);
        let files = [("memory.low", "33554432")];
        check(
            &["--memory-reservation", "32m"],
            "--memory-reservation",
            &files,
        );
    }
}

#[test]
fn cpu_limits_are_in_force_or_refused() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let check = |flags: &[&str], flag, file, value| {
            in_force_or_refused(&env, way, flags, flag, &[(file, value)]);
        };
        check(&["--cpus", "0.5"], "--cpus", "cpu.max", "50000 100000");
        check(
            &["--cpu-quota", "50000"],
            "--cpu-quota",
            "cpu.max",
            "50000 100000",
        );
        let both = ["--cpu-period", "20000", "--cpu-quota", "10000"];
        check(&both, "--cpu-quota", "cpu.max", "10000 20000");
        check(&["-c", "2048"], "--cpu-shares", "cpu.weight", "174");
        check(&["--cpu-shares", "2"], "--cpu-shares", "cpu.weight", "1");
    }
}

#[test]
fn cpusets_are_in_force_or_refused() {
    let env = test_env!();
    env.busybox();
    let flags = ["--cpuset-cpus", "0", "--cpuset-mems", "0"];
    let files = [("cpuset.cpus", "0"), ("cpuset.mems", "0")];
    for way in WAYS {
        in_force_or_refused(&env, way, &flags, "--cpuset-cpus", &files);
    }
}

#[test]
fn pids_limit_is_in_force_or_refused() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let flags = ["--pids-limit", "20"];
        in_force_or_refused(&env, way, &flags, "--pids-limit", &[("pids.max", "20")]);
        // No limit needs no controller.
        let unlimited = way.out(&env, &["--pids-limit", "-1", "busybox", "echo", "ran"]);
        assert_eq!(unlimited, "ran", "{way:?}");
    }
}

#[test]
fn block_device_limits_are_in_force_or_refused() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        for flags in [
            ["--blkio-weight-device", "/dev/null:500"],
            ["--device-read-bps", "/dev/null:1mb"],
            ["--device-write-bps", "/dev/null:1mb"],
            ["--device-read-iops", "/dev/null:100"],
            ["--device-write-iops", "/dev/null:100"],
        ] {
            let ended = way.run(&env, &[&flags[..], &["busybox", "true"]].concat());
            assert_ne!(ended.code, 0, "{way:?} {flags:?}");
            let expected = format!("Error: {}: /dev/null is no block device\n", flags[0]);
            assert_eq!(ended.stderr, expected, "{way:?} {flags:?}");
        }
        if !controllers(&env).contains(&"io".to_owned()) {
            // What it is where it can be depends on the scheduler; the values are tested where they are translated.
            let flags = ["--blkio-weight", "500"];
            in_force_or_refused(&env, way, &flags, "--blkio-weight", &[("io.weight", "")]);
        }
    }
}

#[test]
fn limits_that_contradict_each_other_are_dockers_errors() {
    let env = test_env!();
    env.busybox();
    for (flags, words) in [
        (
            ["-m", "4m", "--cpus", "1"],
            "Minimum memory limit allowed is 6MB",
        ),
        (
            ["--cpus", "1", "--cpu-quota", "1000"],
            "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
        ),
        (
            ["-m", "8m", "--memory-swap", "7m"],
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        (
            ["--cpus", "x", "-m", "8m"],
            "invalid argument \"x\" for \"--cpus\" flag: failed to parse x as a rational number",
        ),
        (
            ["--pids-limit", "x", "-m", "8m"],
            "invalid argument \"x\" for \"--pids-limit\" flag: strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
    ] {
        let ended = env.run(&[&["run", "--rm"], &flags[..], &["busybox", "true"]].concat());
        let line = ended.code(125).stderr.clone();
        assert_eq!(
            line.lines().next(),
            Some(format!("Error: {words}").as_str()),
            "{flags:?}"
        );
    }
    assert_eq!(env.containers(), Vec::<String>::new());
}

/// Every limit of `update`, on a container that runs and on one that does not.
#[test]
fn update_limits_are_in_force_or_refused() {
    let env = test_env!();
    env.busybox();
    env.out(&[
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "runs",
        "busybox",
        "sleep",
        "1000",
    ]);
    env.out(&[
        "create",
        "--network",
        "none",
        "--name",
        "rests",
        "busybox",
        "sleep",
        "1000",
    ]);
    let controllers = controllers(&env);
    for update in ["update", "container update"] {
        for (flags, flag, file, value) in [
            (&["-m", "64m"][..], "--memory", "memory.max", "67108864"),
            (
                &["--memory", "32m", "--memory-swap", "32m"],
                "--memory",
                "memory.swap.max",
                "0",
            ),
            (
                &["--memory-swap", "-1"],
                "--memory",
                "memory.swap.max",
                "max",
            ),
            (
                &["--memory-reservation", "16m"],
                "--memory",
                "memory.low",
                "16777216",
            ),
            (
                &["--cpu-quota", "50000"],
                "--cpu",
                "cpu.max",
                "50000 100000",
            ),
            (
                &["--cpu-period", "20000", "--cpu-quota", "10000"],
                "--cpu",
                "cpu.max",
                "10000 20000",
            ),
            (&["-c", "2048"], "--cpu", "cpu.weight", "174"),
            (&["--cpu-shares", "2"], "--cpu", "cpu.weight", "1"),
            (&["--cpuset-cpus", "0"], "--cpuset-cpus", "cpuset.cpus", "0"),
            (&["--cpuset-mems", "0"], "--cpuset", "cpuset.mems", "0"),
            (&["--pids-limit", "20"], "--pids-limit", "pids.max", "20"),
            (
                &["--blkio-weight", "500"],
                "--blkio-weight",
                "io.weight",
                "",
            ),
        ] {
            let ended = ask(&env, update, &[flags, &["runs", "rests"]].concat());
            let controller = file.split('.').next().expect("it has one");
            if !controllers.iter().any(|have| have == controller) {
                // Neither is touched, and each says why.
                let ended = ended.fails(1, flag);
                assert_eq!(ended.stdout, "", "{flags:?}");
                assert_eq!(ended.stderr.matches("Error: ").count(), 2, "{ended:?}");
                assert!(!ended.stderr.contains("no cgroup that"), "{ended:?}");
                continue;
            }
            assert_eq!(ended.ok().out(), "runs\nrests", "{flags:?}");
            if value.is_empty() {
                continue;
            }
            let read =
                ["exec", "runs", "cat", &format!("/sys/fs/cgroup/{file}")].map(str::to_owned);
            let read: Vec<&str> = read.iter().map(String::as_str).collect();
            assert_eq!(env.out(&read), value, "{flags:?}");
        }
        let ended = ask(&env, update, &["--cpus", "0.5", "runs"]);
        assert_ne!(ended.code, 125, "--cpus is known: {ended:?}");
    }
    if !controllers.is_empty() {
        return;
    }
    let limits = "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}";
    assert_eq!(
        env.out(&["inspect", "-f", limits, "runs", "rests"]),
        "0 <nil>\n0 <nil>"
    );
}

/// The cgroup of a running container.
fn cgroup_of(env: &TestEnv, id: &str) -> String {
    let pid = env.out(&["inspect", "-f", "{{.State.Pid}}", id]);
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs");
    let own = text.lines().find_map(|line| line.strip_prefix("0::"));
    own.expect("there is a cgroup2 tree").to_owned()
}

/// What containers get their cgroups in, as a path of files and from the root of all cgroups.
fn own_tree(env: &TestEnv) -> (String, String) {
    let tree = env.out(&["info", "--format", "{{.CgroupParent}}"]);
    let from_root = tree.strip_prefix("/sys/fs/cgroup").map(str::to_owned);
    (tree.clone(), from_root.expect("it is mounted there"))
}

#[test]
fn cgroup_parent_holds_the_containers_cgroup() {
    let env = test_env!();
    need!(Need::Cgroup);
    env.busybox();
    let (tree, root) = own_tree(&env);
    let named = |parent: &str| {
        let flag = format!("--cgroup-parent={parent}");
        [
            flag.as_str(),
            "--network",
            "none",
            "busybox",
            "sleep",
            "9999",
        ]
        .map(str::to_owned)
    };
    // A cgroup is busy for an instant after its last process has ended.
    let tidy = |below: &str| {
        let place = Path::new(&tree).join(below);
        eventually("it is empty", || std::fs::remove_dir(&place).is_ok());
    };
    for way in WAYS {
        for (parent, below) in [
            ("parents/of-flags".to_owned(), "parents/of-flags"),
            (format!("{root}/parents"), "parents"),
            (format!("{tree}/parents/"), "parents"),
        ] {
            let words = named(&parent);
            let id = way.start(&env, &words.each_ref().map(String::as_str));
            assert_eq!(cgroup_of(&env, &id), format!("{root}/{below}/bryo-{id}"));
            let kept = env.out(&["inspect", "-f", "{{.HostConfig.CgroupParent}}", &id]);
            assert_eq!(kept, parent, "{way:?}");
            // Its next life has one of the same place, also where somebody has tidied up.
            env.out(&["stop", "-t", "0", &id]);
            tidy(below);
            env.out(&["start", &id]);
            assert_eq!(cgroup_of(&env, &id), format!("{root}/{below}/bryo-{id}"));
            env.out(&["rm", "-f", &id]);
            tidy(below);
        }
        for (parent, reason) in [
            ("../elsewhere", "goes nowhere by `..`"),
            (
                "/elsewhere",
                "is not in the cgroup tree that this user was given",
            ),
            ("/", "is not in the cgroup tree that this user was given"),
        ] {
            let line = way.run(&env, &["--cgroup-parent", parent, "busybox", "true"]);
            let line = line.code(125).stderr;
            assert!(line.starts_with("Error: --cgroup-parent: "), "{line}");
            assert!(line.contains(reason), "{way:?} {parent}: {line}");
            assert_eq!(env.containers(), Vec::<String>::new(), "{way:?}");
        }
    }
}

#[test]
fn cgroup_parent_of_a_build_holds_the_cgroups_of_its_steps() {
    let env = test_env!();
    need!(Need::Cgroup);
    env.busybox();
    let (tree, _) = own_tree(&env);
    let text = "FROM busybox\nRUN true\n";
    let directory = crate::dockerfile::context(&env, "app", &[("Dockerfile", text)]);
    let place = Path::new(&tree).join("of-builds");
    for command in ["build", "image build", "builder build"] {
        let flags = [
            "--no-cache",
            "--cgroup-parent",
            "of-builds/steps",
            &directory,
        ];
        ask(&env, command, &flags).ok();
        assert!(place.join("steps").is_dir());
        // A cgroup is busy for an instant after its last process has ended.
        eventually("no step is left", || {
            std::fs::remove_dir(place.join("steps")).is_ok()
        });
        std::fs::remove_dir(&place).expect("it is empty");
        let line = ask(
            &env,
            command,
            &["--cgroup-parent", "/elsewhere", &directory],
        );
        let line = line.code(125).stderr;
        assert!(
            line.contains("Error: --cgroup-parent: /elsewhere"),
            "{line}"
        );
    }
}

#[test]
fn cgroup_parent_is_refused_where_no_tree_is_given() {
    let env = test_env!();
    env.busybox();
    let covered =
        "mount -t tmpfs none /sys/fs/cgroup && exec \"$0\" create --cgroup-parent a busybox";
    let bryo = crate::env::bryo();
    let words = ["--user", "--map-root-user", "--mount", "sh", "-c", covered];
    let words = [&words[..], &[bryo.to_str().expect("its path is text")]].concat();
    let refused = env.other("unshare", &words).run().code(125);
    let reason = "Error: --cgroup-parent: no cgroup v2 hierarchy is mounted\n";
    assert!(refused.stderr.starts_with(reason), "{refused:?}");
}
