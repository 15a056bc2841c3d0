//! Where a container's output goes: log drivers, their options, rotation, and what is left after accidents.

use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use crate::env::{TestEnv, bryo, test_env};
use crate::process::eventually;
use crate::recovery::pids;
use crate::spellings::{WAYS, ask};

const NONE: [&str; 2] = ["--network", "none"];

/// A container that writes and ends; gives nothing before it has.
#[track_caller]
fn ended(env: &TestEnv, name: &str, flags: &[&str], script: &str) {
    let begin = ["run", NONE[0], NONE[1], "--name", name];
    let program = ["busybox", "sh", "-c", script];
    env.run(&[&begin[..], flags, &program].concat()).ok();
}

fn inspect(env: &TestEnv, name: &str, format: &str) -> String {
    env.out(&["inspect", "--format", format, name])
}

/// The objects of a log in docker's format, by a JSON parser that knows nothing of it.
fn json_lines(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("JSON is UTF-8");
    let parse = |line: &str| serde_json::from_str(line).expect("each line is an object");
    text.lines().map(parse).collect()
}

#[test]
fn log_driver_and_options_are_obeyed_and_shown() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let script = "echo out; echo error >&2; printf open";
        let flags = [
            NONE[0],
            NONE[1],
            "--log-driver",
            "k8s-file",
            "--log-opt",
            "max-size=1m",
            "busybox",
            "sh",
            "-c",
            script,
        ];
        let id = way.start(&env, &flags);
        env.run(&["wait", &id]).ok();
        let logs = env.run(&["logs", &id]).ok();
        let shown = (logs.stdout.as_str(), logs.stderr.as_str());
        assert_eq!(shown, ("out\nopen", "error\n"), "{way:?}");
        let config = inspect(&env, &id, "{{json .HostConfig.LogConfig}}");
        assert_eq!(config, r#"{"Type":"k8s-file","Config":{"max-size":"1m"}}"#);
        let path = inspect(&env, &id, "{{.LogPath}}");
        let text = std::fs::read_to_string(path).expect("it is there");
        for line in [" stdout F out\n", " stderr F error\n", " stdout P open\n"] {
            assert!(text.contains(line), "{text}");
        }
    }
}

#[test]
fn logs_details_shows_tag_labels_and_variables() {
    let env = test_env!();
    env.busybox();
    let flags = [
        "--label",
        "team=a b",
        "--env",
        "OS=linux",
        "--env",
        "OTHER=no",
        "--log-opt",
        "labels=team",
        "--log-opt",
        "env-regex=^O.$",
        "--log-opt",
        "tag={{.Name}}/{{.ImageName}}",
    ];
    ended(&env, "tagged", &flags, "echo line");
    for command in ["logs", "container logs"] {
        let shown = ask(&env, command, &["--details", "tagged"]).ok();
        assert_eq!(
            shown.stdout, "OS=linux,tag=tagged%2Fbusybox,team=a+b line\n",
            "{command}"
        );
    }
    let lines = json_lines(&inspect(&env, "tagged", "{{.LogPath}}"));
    let expected = serde_json::json!({"OS": "linux", "tag": "tagged/busybox", "team": "a b"});
    assert_eq!(lines[0]["attrs"], expected);
}

#[test]
fn long_and_binary_lines_are_valid_json_and_come_back_whole() {
    let env = test_env!();
    env.busybox();
    let script = "head -c 40000 /dev/zero | tr '\\0' x; echo; printf 'a\\377\\0b\\nend'";
    ended(&env, "odd", &[], script);
    let lines = json_lines(&inspect(&env, "odd", "{{.LogPath}}"));
    let texts: Vec<&str> = lines
        .iter()
        .map(|line| line["log"].as_str().expect("a string"))
        .collect();
    let lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
    assert_eq!(lengths[..3], [16384, 16384, 40000 - 2 * 16384 + 1]);
    assert_eq!(texts[3..], ["a\u{fffd}\0b\n", "end"]);
    for line in &lines {
        assert_eq!(line["stream"], "stdout");
        let time = line["time"].as_str().expect("a string");
        assert_eq!((time.len(), &time[29..]), (30, "Z"), "{time}");
    }
    let line = format!("{} logs -n 2 odd | od -An -tx1", bryo().display());
    let bytes = env.other("sh", &["-c", &line]).run().ok();
    assert_eq!(bytes.out().trim(), "61 ff 00 62 0a 65 6e 64");
}

#[test]
fn rotation_loses_nothing_inside_the_cap_while_a_follower_reads() {
    let env = test_env!();
    env.busybox();
    let script = "while read first; do seq $first $((first + 99)); done";
    let flags = [
        "run",
        "-i",
        NONE[0],
        NONE[1],
        "--name",
        "turns",
        "--log-opt",
        "max-size=4k",
        "--log-opt",
        "max-file=3",
        "busybox",
        "sh",
        "-c",
        script,
    ];
    // A hundred lines are about 8 kB: every burst ends one file and begins another.
    let (mut container, mut input) = env.command(&flags).spawn_interactive();
    writeln!(input, "1").expect("it reads");
    container.until("\n100\n");
    let mut follower = env.spawn(&["logs", "-f", "turns"]);
    follower.until("\n100\n");
    for burst in 1..20 {
        writeln!(input, "{}", burst * 100 + 1).expect("it reads");
        follower.until(&format!("\n{}\n", burst * 100 + 100));
    }
    drop(input);
    container.wait().ok();
    let all: Vec<String> = (1..=2000).map(|number| number.to_string()).collect();
    assert_eq!(follower.wait().ok().lines(), all);

    let kept = env.run(&["logs", "turns"]).ok();
    let kept = kept.lines();
    assert!(
        kept.len() >= 90
            && all.ends_with(&kept.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>())
    );
    let tail = env.run(&["logs", "-n", "80", "turns"]).ok();
    assert_eq!(tail.lines(), all[1920..], "a tail reaches over the files");
    let path = inspect(&env, "turns", "{{.LogPath}}");
    for (suffix, there) in [
        ("", true),
        (".1", true),
        (".2", true),
        (".3", false),
        (".new", false),
    ] {
        let name = format!("{path}{suffix}");
        assert_eq!(Path::new(&name).exists(), there, "{name}");
        let size = std::fs::metadata(&name).map_or(0, |meta| meta.len());
        assert!(size < 4200, "{name} has {size} bytes");
    }
}

#[test]
fn a_flood_is_kept_whole_below_the_cap() {
    let env = test_env!();
    env.busybox();
    let flags = ["--log-opt", "max-size=2g"];
    ended(&env, "flood", &flags, "seq 1 200000; seq 1 50000 >&2");
    let logs = env.run(&["logs", "flood"]).ok();
    let numbers = |last: u32| (1..=last).map(|n| format!("{n}\n")).collect::<String>();
    assert!(logs.stdout == numbers(200_000), "stdout differs");
    assert!(logs.stderr == numbers(50_000), "stderr differs");
}

#[test]
fn the_cap_is_three_files_unless_the_settings_say_otherwise() {
    let mut env = test_env!();
    env.busybox();
    ended(
        &env,
        "plain",
        &[],
        "yes 0123456789012345678901234567890123456789 | head -n 400000",
    );
    let path = inspect(&env, "plain", "{{.LogPath}}");
    for number in 0..4 {
        let name = match number {
            0 => path.clone(),
            _ => format!("{path}.{number}"),
        };
        let size = std::fs::metadata(name).map_or(0, |meta| meta.len());
        let most = 10 * 1024 * 1024 + 200;
        assert!(
            size <= most && (size > 0) == (number < 3),
            "{number}: {size}"
        );
    }
    env.set("BRYO_LOG_DRIVER", "k8s-file");
    env.set("BRYO_LOG_MAX_SIZE", "1k");
    env.set("BRYO_LOG_MAX_FILE", "2");
    ended(&env, "set", &["--log-opt", "max-file=1"], "seq 1 1000");
    let config = inspect(&env, "set", "{{json .HostConfig.LogConfig}}");
    let expected = r#"{"Type":"k8s-file","Config":{"max-file":"1","max-size":"1k"}}"#;
    assert_eq!(config, expected);
    assert!(env.out(&["logs", "set"]).ends_with("\n1000"));
}

#[test]
fn what_the_driver_does_not_have_is_refused_by_name() {
    let env = test_env!();
    env.busybox();
    for (flag, words) in [
        (
            "--log-driver=local",
            "logging driver \"local\" is not supported by bryo",
        ),
        (
            "--log-driver=nonsense",
            "logger: no log driver named 'nonsense' is registered",
        ),
        (
            "--log-opt=colour=red",
            "unknown log opt 'colour' for json-file log driver",
        ),
        (
            "--log-opt=compress=perhaps",
            "invalid log opt compress=perhaps: neither true nor false",
        ),
        (
            "--log-opt=mode=non-blocking",
            "log opt 'mode=non-blocking' is not supported by bryo",
        ),
        ("--log-opt=max-size=big", "invalid log opt max-size=big"),
        ("--log-opt=max-file=0", "invalid log opt max-file=0"),
        ("--log-opt=tag={{.Nmae}}", "invalid log opt tag={{.Nmae}}"),
    ] {
        let run = env.run(&["run", NONE[0], NONE[1], flag, "busybox", "true"]);
        run.fails(125, words);
    }
    assert!(env.containers().is_empty());
}

#[test]
fn none_keeps_nothing_and_says_so() {
    let env = test_env!();
    env.busybox();
    let flags = [
        "run",
        NONE[0],
        NONE[1],
        "--name",
        "quiet",
        "--log-driver",
        "none",
    ];
    let run = env.run(&[&flags[..], &["busybox", "echo", "seen"]].concat());
    assert_eq!(run.ok().stdout, "seen\n");
    let logs = env.run(&["logs", "quiet"]);
    logs.fails(1, "configured logging driver does not support reading");
    assert_eq!(inspect(&env, "quiet", "{{.LogPath}}"), "");
}

#[test]
fn passthrough_gives_the_program_the_callers_own_streams() {
    let env = test_env!();
    env.busybox();
    let flags = ["run", NONE[0], NONE[1], "--log-driver", "passthrough"];
    let script = [
        "busybox",
        "sh",
        "-c",
        "echo out; echo error >&2; cat; exit 3",
    ];
    let words = [&flags[..], &["--name", "direct"], &script].concat();
    let ran = env.command(&words).input("typed\n").run().code(3);
    let shown = (ran.stdout.as_str(), ran.stderr.as_str());
    assert_eq!(shown, ("out\ntyped\n", "error\n"));
    let logs = env.run(&["logs", "direct"]);
    logs.fails(1, "configured logging driver does not support reading");
    // Detached, it still writes to where the command did; and a file does not change its owner.
    let line = format!(
        "{} {} -d -u 7 --name behind busybox echo later > out && {0} wait behind && stat -c %u out && cat out",
        bryo().display(),
        flags.join(" ")
    );
    let shown = env.other("sh", &["-c", &line]).run().ok();
    let uid = nix::unistd::getuid().to_string();
    assert_eq!(shown.lines()[..2], ["0", uid.as_str()]);
    assert!(shown.lines()[2..].contains(&"later"), "{shown:?}");
    let attached = [&flags[..], &["-a", "stdout", "busybox"]].concat();
    env.run(&attached).fails(125, "cannot specify --attach");
    let terminal = [&flags[..], &["-t", "busybox"]].concat();
    env.run(&terminal).fails(125, "cannot be used on a TTY");
}

#[test]
fn path_puts_the_log_elsewhere() {
    let env = test_env!();
    env.busybox();
    let flags = ["--log-opt", "path=own.log", "--log-opt", "max-size=1k"];
    ended(&env, "elsewhere", &flags, "seq 1 20");
    let path = env.path("home/own.log");
    assert_eq!(
        inspect(&env, "elsewhere", "{{.LogPath}}"),
        path.to_string_lossy()
    );
    assert!(path.exists() && env.path("home/own.log.1").exists());
    assert_eq!(
        env.out(&["logs", "-n", "15", "elsewhere"]).lines().count(),
        15
    );
}

#[test]
fn logs_names_tells_containers_apart() {
    let env = test_env!();
    env.busybox();
    ended(&env, "one", &[], "echo 1; echo 2");
    ended(&env, "two", &[], "echo 3");
    for command in ["logs", "container logs"] {
        let shown = ask(&env, command, &["--names", "one", "two"]).ok();
        assert_eq!(shown.stdout, "one 1\none 2\ntwo 3\n", "{command}");
    }
    let id = inspect(&env, "two", "{{.Id}}");
    let shown = env.run(&["logs", "-f", "one", "two"]).ok();
    let last = format!("{} 3", &id[..12]);
    assert_eq!(shown.lines().last(), Some(&last.as_str()));
    env.run(&["logs", "one", "absent"])
        .fails(1, "No such container: absent");
}

#[test]
fn a_follower_ends_at_until() {
    let env = test_env!();
    env.busybox();
    let words = [
        "run", "-d", NONE[0], NONE[1], "--name", "goes-on", "busybox",
    ];
    let script = ["sh", "-c", "echo first; sleep 1000"];
    env.run(&[&words[..], &script].concat()).ok();
    // A duration before now, so this is in a second.
    let logs = env.run(&["logs", "-f", "--until=-1s", "goes-on"]).ok();
    assert_eq!(logs.stdout, "first\n");
}

#[test]
fn a_killed_monitor_leaves_a_log_that_is_read_and_continued() {
    let env = test_env!();
    env.busybox();
    let script = "n=0; while true; do n=$((n + 1)); echo $n; done";
    let words = [
        "run",
        "-d",
        NONE[0],
        NONE[1],
        "--name",
        "cut",
        "--log-opt",
        "max-size=4m",
    ];
    env.run(&[&words[..], &["busybox", "sh", "-c", script]].concat())
        .ok();
    let mut follower = env.spawn(&["logs", "-f", "cut"]);
    follower.until("\n2000\n");
    for pid in pids(&env, "bryo: monitor cut") {
        kill(pid, Signal::SIGKILL).expect("it is ours");
    }
    follower.wait().ok();
    let consecutive = |text: &str| {
        let numbers: Vec<u32> = text
            .lines()
            .map(|line| line.parse().expect("a number"))
            .collect();
        numbers.len() > 100
            && numbers
                .windows(2)
                .all(|pair| pair[1] == pair[0] + 1 || pair[1] == 1)
    };
    let logs = env.out(&["logs", "cut"]);
    assert!(consecutive(&logs), "{logs}");
    env.run(&["start", "cut"]).ok();
    let follower = env.spawn(&["logs", "-f", "-n", "1", "cut"]);
    // The first line of the second run stands behind what the first one left.
    crate::process::eventually("the second run's lines", || {
        env.out(&["logs", "cut"]).contains("\n1\n")
    });
    env.run(&["kill", "cut"]).ok();
    follower.wait().ok();
    assert!(consecutive(&env.out(&["logs", "cut"])));
}

#[test]
fn a_full_disk_loses_lines_and_does_not_stop_the_program() {
    let env = test_env!();
    let file = env.file(
        "image.tar",
        crate::image::busybox().docker_archive("busybox:latest"),
    );
    let run = "run --network none --name full --log-opt path=$HOME/small/log --log-opt max-size=1m";
    let line = format!(
        "mkdir $HOME/small && mount -t tmpfs -o size=64k,mode=0700 none $HOME/small && {0} load -q -i {file} && \
         {0} {run} busybox sh -c 'seq 1 20000; exit 7' > all; echo code $?; tail -n 1 all; \
         {0} logs full > kept; wc -l < kept; \
         tail -c 1 $HOME/small/log | od -An -c; {0} rm full",
        bryo().display()
    );
    let words = ["--user", "--map-root-user", "--mount", "sh", "-c", &line];
    let ran = env.other("unshare", &words).run().ok();
    let lines: Vec<&str> = ran.stdout.lines().skip(1).map(str::trim).collect();
    let kept: u32 = lines[2].parse().expect("a number of lines");
    assert_eq!((lines[0], lines[1]), ("code 7", "20000"), "{ran:?}");
    assert!((500..20_000).contains(&kept), "{ran:?}");
    assert_eq!(
        lines[3..],
        ["\\n", "full"],
        "the last line is whole: {ran:?}"
    );
}

#[test]
fn journald_gets_dockers_fields_and_is_refused_where_there_is_none() {
    let env = test_env!();
    let file = env.file(
        "image.tar",
        crate::image::busybox().docker_archive("busybox:latest"),
    );
    let path = env.path("home/journal");
    let journal = UnixDatagram::bind(&path).expect("home is writable");
    journal
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("it is a socket");
    // A journal that gives back what the second half of the test lets it have.
    let reader = env.file(
        "bin/journalctl",
        "#!/bin/sh\necho \"$@\" >> $HOME/asked\necho '{\"MESSAGE\":\"text\",\"PRIORITY\":\"3\",\"__REALTIME_TIMESTAMP\":\"1700000000000001\",\"CONTAINER_TAG\":\"t\",\"TEAM\":\"a\"}'\n\
         echo '{\"MESSAGE\":[98,255],\"PRIORITY\":\"6\",\"SYSLOG_TIMESTAMP\":\"2024-01-02T03:04:05.000000006Z\",\"CONTAINER_PARTIAL_MESSAGE\":\"true\"}'\n",
    );
    std::process::Command::new("chmod")
        .args(["0755", &reader])
        .status()
        .expect("chmod runs");
    let run = "run --network none --name logged --label team=a --log-driver journald --log-opt labels=team --log-opt tag=t";
    let line = format!(
        "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && {0} load -q -i {file} && \
         {0} run --rm --network none --log-driver journald busybox true; echo code $?; \
         touch /run/systemd/journal/socket && mount --bind {1} /run/systemd/journal/socket && \
         {0} {run} busybox sh -c 'echo out; echo error >&2; head -c 20000 /dev/zero | tr \"\\0\" x' | wc -c; \
         PATH=$HOME/bin:$PATH {0} logs -t -n 5 --details logged 2>&1 | od -An -c | tr -d ' \\n'; {0} rm logged",
        bryo().display(),
        path.display()
    );
    let words = ["--user", "--map-root-user", "--mount", "sh", "-c", &line];
    let ran = env.other("unshare", &words).run();
    assert!(
        ran.stderr.contains("journald is not enabled on this host"),
        "{ran:?}"
    );
    assert!(ran.stdout.contains("code 125"), "{ran:?}");
    let mut seen = Vec::new();
    for _ in 0..4 {
        let mut buffer = vec![0; 64 * 1024];
        let length = journal.recv(&mut buffer).expect("four entries come");
        seen.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    let has = |entry: &str, fields: &[&str]| {
        for field in fields {
            assert!(
                entry.contains(&format!("{field}\n")),
                "no {field} in {entry}"
            );
        }
    };
    let all = [
        "CONTAINER_NAME=logged",
        "CONTAINER_TAG=t",
        "SYSLOG_IDENTIFIER=t",
        "IMAGE_NAME=busybox",
        "TEAM=a",
    ];
    seen.iter().for_each(|entry| has(entry, &all));
    let of = |text: &str| -> Vec<&String> {
        let beginning = seen.iter().filter(|entry| entry.starts_with(text));
        beginning.collect()
    };
    has(of("MESSAGE=out\n")[0], &["PRIORITY=6"]);
    has(of("MESSAGE=error\n")[0], &["PRIORITY=3"]);
    let parts = of("MESSAGE=xxx");
    let all = [
        "CONTAINER_PARTIAL_MESSAGE=true",
        "CONTAINER_PARTIAL_LAST=false",
    ];
    has(parts[0], &all);
    has(parts[1], &["CONTAINER_PARTIAL_ORDINAL=2"]);
    let shown =
        "2023-11-14T22:13:20.000001000ZTEAM=a,tag=ttext\\n2024-01-02T03:04:05.000000006Zb377";
    assert!(ran.stdout.contains(shown), "{ran:?}");
    let asked = std::fs::read_to_string(env.path("home/asked")).expect("it was asked");
    assert!(
        asked.contains("--lines=5") && asked.contains("CONTAINER_ID_FULL="),
        "{asked}"
    );
}

#[test]
fn update_bounds_the_log_of_a_container_that_runs() {
    let env = test_env!();
    env.busybox();
    let script = "while :; do head -c 1000 /dev/zero | tr '\\0' x; echo; done";
    env.out(&[
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "box",
        "busybox",
        "sh",
        "-c",
        script,
    ]);
    let directory = env.store().join("containers").join(&env.containers()[0]);
    let size = |name: &str| std::fs::metadata(directory.join(name)).map_or(0, |meta| meta.len());
    eventually("a log above the bound to come", || size("log") > 200_000);
    assert_eq!(size("log.1"), 0);
    env.out(&[
        "update",
        "--log-opt",
        "max-size=100k",
        "--log-opt",
        "max-file=2",
        "box",
    ]);
    eventually("a full file", || size("log.1") > 0);
    eventually("the second file of the new size", || {
        size("log.1") < 120_000 && size("log.1") > 90_000
    });
    assert_eq!(size("log.2"), 0);
    let shown = "{{json .HostConfig.LogConfig.Config}}";
    assert_eq!(
        env.out(&["inspect", "-f", shown, "box"]),
        r#"{"max-file":"2","max-size":"100k"}"#
    );
    // Fewer files: the surplus goes at once; and one that does not run keeps the bounds for its next life.
    env.out(&["container", "update", "--log-opt", "max-file=1", "box"]);
    assert_eq!(size("log.1"), 0);
    env.out(&["stop", "box"]);
    env.out(&["update", "--log-opt", "max-size=50k", "box"]);
    env.out(&["start", "box"]);
    eventually("a smaller file", || (1..60_000).contains(&size("log")));
    for (option, words) in [
        ("max-size=tiny", "max-size"),
        ("tag=other", "does not change"),
        ("nonsense=1", "nonsense"),
    ] {
        env.run(&["update", "--log-opt", option, "box"])
            .fails(1, words);
    }
}

/// The names of the old files that are there.
fn old_files(directory: &Path) -> Vec<String> {
    let names = crate::env::names(directory).into_iter();
    names.filter(|name| name.starts_with("log.")).collect()
}

fn numbers(from: usize, to: usize) -> Vec<String> {
    (from..=to).map(|number| number.to_string()).collect()
}

#[test]
fn compressed_files_are_part_of_the_log() {
    let env = test_env!();
    env.busybox();
    let go = env.path("home/go");
    std::fs::create_dir(&go).expect("home is writable");
    let script = "n=0; for i in 1 2 3; do seq $((n + 1)) $((n + 3000)); n=$((n + 3000)); until test -e /go/$i; do sleep 0.1; done; done";
    let volume = format!("{}:/go", go.display());
    let run = format!("run -d --network none --name box -v {volume} --log-opt compress=true");
    let run: Vec<&str> = run.split(' ').collect();
    let bounds = ["--log-opt", "max-size=100k", "--log-opt", "max-file=40"];
    env.run(&[&run[..], &bounds, &["busybox", "sh", "-c", script]].concat())
        .ok();
    let directory = env.store().join("containers").join(&env.containers()[0]);
    let mut follower = env.command(&["logs", "-f", "box"]).spawn();
    for round in 1..=3 {
        let all = round * 3000;
        follower.until(&format!("\n{all}\n"));
        eventually("every old file is compressed", || {
            let old = old_files(&directory);
            !old.is_empty() && old.iter().all(|name| name.ends_with(".gz"))
        });
        let shown = env.run(&["logs", "box"]).ok();
        assert_eq!(shown.lines(), numbers(1, all), "round {round}");
        let shown = env.run(&["logs", "-n", "2900", "box"]).ok();
        assert_eq!(shown.lines(), numbers(all - 2899, all), "round {round}");
        std::fs::write(go.join(round.to_string()), "").expect("home is writable");
    }
    // Who follows from the beginning sees no line twice and misses none, whatever became of the files.
    assert_eq!(follower.wait().ok().lines(), numbers(1, 9000));
    // What docker's readers find in one of docker's.
    let oldest = (1..).map(|number| directory.join(format!("log.{number}.gz")));
    let oldest = oldest.take_while(|path| path.exists()).last();
    let oldest = oldest.expect("there are some").display().to_string();
    let text = env.other("gzip", &["-dc", &oldest]).run().ok().stdout;
    let first: Value = serde_json::from_str(text.lines().next().expect("it has lines"))
        .expect("each line is an object");
    assert_eq!(
        (&first["log"], &first["stream"]),
        (&"1\n".into(), &"stdout".into())
    );
    assert!(text.ends_with("}\n"), "{text}");
}

#[test]
fn compressed_files_are_bounded_like_the_others() {
    let env = test_env!();
    env.busybox();
    let flags = ["--log-opt=compress=true", "--log-opt=max-size=10k"];
    let flags = [&flags[..], &["--log-opt=max-file=3"]].concat();
    ended(&env, "box", &flags, "seq 1 20000");
    let directory = env.store().join("containers").join(&env.containers()[0]);
    let has_either = |number: u32| {
        let (plain, packed) = (format!("log.{number}"), format!("log.{number}.gz"));
        directory.join(plain).exists() || directory.join(packed).exists()
    };
    assert!(
        has_either(1) && has_either(2) && !has_either(3),
        "{:?}",
        old_files(&directory)
    );
    let shown = env.run(&["logs", "box"]).ok();
    let shown = shown.lines();
    assert!((200..500).contains(&shown.len()), "{}", shown.len());
    assert_eq!(shown, numbers(20001 - shown.len(), 20000));
    // Its next life finds what was not compressed in time, and whatever a killed one had begun.
    std::fs::write(directory.join("log.gz.new"), "begun").expect("it is the user's");
    env.run(&["start", "-a", "box"]).ok();
    assert!(!has_either(3), "{:?}", old_files(&directory));
    let shown = env.run(&["logs", "box"]).ok();
    assert_eq!(shown.lines().last(), Some(&"20000"));
    let one = ["--log-opt", "compress=true", "--log-opt", "max-file=1"];
    env.run(&[&["run", NONE[0], NONE[1]], &one[..], &["busybox", "true"]].concat())
        .fails(
            125,
            "compress cannot be true when max-file is less than 2 or max-size is not set",
        );
}
