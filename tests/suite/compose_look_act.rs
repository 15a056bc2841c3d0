//! `compose` and what is done to a project's containers: exec, attach, cp, export, commit, pause, unpause, wait.

use std::io::Write;

use crate::compose_look::{container, filed, in_shop, member, shop};
use crate::env::{TestEnv, test_env};
use crate::process::{Background, Outcome, eventually};

const SLEEP: [&str; 3] = ["busybox", "sleep", "1000"];

fn two(env: &TestEnv) {
    env.busybox();
    member(env, "web", 1, &SLEEP);
    member(env, "web", 2, &SLEEP);
}

#[test]
fn compose_exec_runs_a_program_in_a_service() {
    let env = test_env!();
    two(&env);
    let exec = |words: &[&str]| shop(&env, "compose exec", words);
    let script = |words: &[&'static str], script: &str| {
        exec(&[words, &["web", "sh", "-c", script]].concat())
    };
    script(&[], "echo out; echo error >&2; exit 7")
        .code(7)
        .says("error")
        .prints("out");
    let host = |words: &[&'static str]| script(words, "hostname").ok().out();
    let id = |name| env.out(&["inspect", "-f", "{{.Config.Hostname}}", name]);
    assert_eq!(host(&[]), id("shop-web-1"));
    assert_eq!(host(&["--index", "2"]), id("shop-web-2"));
    assert_eq!(script(&["-u", "app"], "id -un").ok().out(), "app");
    assert_eq!(script(&["--user=app"], "id -un").ok().out(), "app");
    assert_eq!(script(&["-w", "/usr"], "pwd").ok().out(), "/usr");
    assert_eq!(script(&["--workdir", "/usr"], "pwd").ok().out(), "/usr");
    let variables = ["-e", "A=1", "--env", "B=2"];
    assert_eq!(script(&variables, "echo $A$B").ok().out(), "12");
    let held = |words: &[&'static str]| script(words, "grep CapEff /proc/self/status").ok().out();
    assert!(held(&["--privileged"]) != held(&[]));
    // A pipe is no terminal, and is read.
    let words = in_shop("compose exec", &["web", "sh", "-c", "tty; cat"]);
    let fed = env.command(&words).input("typed").run();
    assert_eq!(fed.stdout, "not a tty\ntyped");
    for detach in ["-d", "--detach"] {
        assert_eq!(script(&[detach], "echo x; touch /tmp/here").ok().stdout, "");
        eventually("the program to have run", || {
            script(&[], "rm /tmp/here").code == 0
        });
    }
    exec(&["db", "true"]).fails(1, "service \"db\" is not running");
    exec(&["--index=3", "web", "true"]).fails(1, "service \"web\" is not running container #3");
    exec(&["web", "no-such-program"]).fails(127, "no-such-program");
    exec(&["--dry-run", "web", "true"])
        .fails(1, "interactive exec is not supported in dry-run mode");
    exec(&["--dry-run", "-d", "web", "touch", "/tmp/dry"]).ok();
    script(&[], "ls /tmp/dry").code(1);
}

#[test]
fn compose_exec_gives_a_terminal_where_there_is_one() {
    let env = test_env!();
    two(&env);
    let tty = |words: &[&'static str]| {
        let words = [words, &["web", "sh", "-c", "tty; exit 5"]].concat();
        let mut terminal = env.terminal(&in_shop("compose exec", &words));
        let shown = if words.contains(&"-T") || words.contains(&"--no-tty") {
            "not a tty"
        } else {
            "/dev/pts/"
        };
        terminal.expect(shown);
        assert_eq!(terminal.wait(), 5);
    };
    tty(&[]);
    tty(&["-it"]);
    tty(&["-T"]);
    tty(&["--no-tty"]);
    let words = ["--no-tty=false", "web", "tty"];
    shop(&env, "compose exec", &words).fails(1, "the input device is not a TTY");
}

#[test]
fn compose_exec_hands_on_variables_of_the_project() {
    let env = test_env!();
    two(&env);
    let words = in_shop(
        "compose exec",
        &["-e", "GIVEN", "-e", "MISSING", "web", "env"],
    );
    let shown = env.command(&words).var("GIVEN", "here").run().ok();
    assert!(shown.stdout.contains("GIVEN=here\n"), "{shown:#?}");
    assert!(!shown.stdout.contains("MISSING"), "{shown:#?}");
    env.file(
        "shop/compose.yaml",
        "services:\n  web:\n    image: busybox\n",
    );
    env.file("shop/.env", "MISSING=of the project\n");
    let words = ["-e", "MISSING", "web", "sh", "-c", "echo $MISSING"];
    let shown = filed(&env, "compose exec", &words);
    assert_eq!(shown.ok().out(), "of the project");
}

#[test]
fn compose_attach_takes_part_in_a_service() {
    let env = test_env!();
    env.busybox();
    let script = "while ! read -t 1 x; do echo tick; done; echo got $x; exit 5";
    for number in [1, 2] {
        member(&env, "web", number, &["-i", "busybox", "sh", "-c", script]);
    }
    let attach = |words: &[&'static str]| in_shop("compose attach", words);
    let mut quiet = env.spawn(&attach(&["--no-stdin", "--index", "2", "web"]));
    let (mut typist, mut stdin) = env
        .command(&attach(&["--index=2", "web"]))
        .spawn_interactive();
    quiet.until("tick");
    typist.until("tick");
    writeln!(stdin, "word").expect("it is read");
    assert!(typist.wait().code(5).stdout.ends_with("got word\n"));
    assert!(quiet.wait().code(5).stdout.ends_with("got word\n"));
    // The first one goes on; its client is ended alone.
    let mut client = env.spawn(&attach(&["--sig-proxy=false", "--no-stdin", "web"]));
    client.until("tick");
    client.signal(nix::sys::signal::Signal::SIGTERM);
    client.wait();
    assert_eq!(
        shop(&env, "compose attach", &["--dry-run", "web"])
            .ok()
            .stdout,
        ""
    );
    shop(&env, "compose attach", &["db"]).fails(1, "service \"db\" is not running");
    shop(&env, "compose attach", &["--index", "2", "web"])
        .fails(1, "service \"web\" is not running container #2");
}

#[test]
fn compose_attach_is_left_by_keys_and_passes_signals_on() {
    let env = test_env!();
    env.busybox();
    let script = "trap 'echo trapped; exit 4' TERM; while :; do echo tick; sleep 0.1; done";
    member(&env, "web", 1, &["-it", "busybox", "sh", "-c", script]);
    let keys = ["--detach-keys", "ctrl-x,y", "web"];
    let mut terminal = env.terminal(&in_shop("compose attach", &keys));
    terminal.expect("tick");
    terminal.types("\x18y");
    assert_eq!(terminal.wait(), 0);
    assert_eq!(env.out(&["ps", "-q"]).lines().count(), 1);
    let proxy = in_shop("compose attach", &["--sig-proxy", "--no-stdin", "web"]);
    let mut client = env.spawn(&proxy);
    client.until("tick");
    client.signal(nix::sys::signal::Signal::SIGTERM);
    client.wait().code(4).prints("trapped");
}

#[test]
fn compose_cp_copies_to_all_and_from_one() {
    let env = test_env!();
    two(&env);
    container(&env, "shop", "shop-web-run-1", ("web", 1, "True"), &SLEEP);
    let cp = |words: &[&str]| shop(&env, "compose cp", words);
    let held = |name: &str, path: &str| env.run(&["exec", name, "cat", path]).stdout;
    let file = env.file("greeting", "hello");
    let copied = cp(&[&file, "web:/tmp/one"]).ok();
    let says = format!(" shop-web-2 copy {file} to shop-web-2:/tmp/one Copied");
    assert!(copied.says(&says).stdout.is_empty());
    assert_eq!(held("shop-web-1", "/tmp/one"), "hello");
    assert_eq!(held("shop-web-2", "/tmp/one"), "hello");
    assert_eq!(held("shop-web-run-1", "/tmp/one"), "");
    cp(&["--all", &file, "web:/tmp/all"]).ok();
    assert_eq!(held("shop-web-run-1", "/tmp/all"), "hello");
    cp(&["--index", "2", &file, "web:/tmp/two"]).ok();
    assert_eq!(held("shop-web-1", "/tmp/two"), "");
    assert_eq!(held("shop-web-2", "/tmp/two"), "hello");
    cp(&["--dry-run", &file, "web:/tmp/dry"])
        .ok()
        .says(" DRY-RUN MODE -  shop-web-1 copy ");
    assert_eq!(held("shop-web-1", "/tmp/dry"), "");
    let back = env.path("home/back").display().to_string();
    cp(&["--index=2", "web:/tmp/two", &back]).ok();
    assert_eq!(
        std::fs::read_to_string(&back).expect("it was copied"),
        "hello"
    );
    cp(&["a", "b"]).fails(1, "unknown copy direction");
    cp(&["web:/a", "db:/b"]).fails(1, "copying between services is not supported");
    cp(&["db:/a", "."]).fails(1, "no container found for service \"db\"");
    let archive = in_shop("compose cp", &["-", "web:/tmp"]);
    env.command(&archive)
        .input("")
        .run()
        .fails(1, "choose one by --index");
}

#[test]
fn compose_cp_keeps_owners_and_follows_links() {
    let env = test_env!();
    env.busybox();
    let script =
        "echo x > /tmp/x; chown 1000 /tmp/x; ln -s x /tmp/link; touch /tmp/ready; exec sleep 1000";
    member(&env, "web", 1, &["busybox", "sh", "-c", script]);
    eventually("its files", || {
        env.run(&["exec", "shop-web-1", "ls", "/tmp/ready"]).code == 0
    });
    let stream = |words: &[&str]| shop(&env, "compose cp", &[words, &["-"]].concat()).ok();
    let kind = |outcome: Outcome| outcome.stdout.as_bytes().get(156).copied();
    assert_eq!(kind(stream(&["web:/tmp/link"])), Some(b'2'));
    assert_eq!(kind(stream(&["-L", "web:/tmp/link"])), Some(b'0'));
    assert_eq!(
        kind(stream(&["--follow-link", "web:/tmp/link"])),
        Some(b'0')
    );
    let file = env.file("mine", "x");
    let owner = |flags: &[&str], path: &str| {
        let to = format!("web:{path}");
        shop(&env, "compose cp", &[flags, &[&file, &to]].concat()).ok();
        env.out(&["exec", "shop-web-1", "stat", "-c", "%u", path])
    };
    // As with cp: the user's own files are root's inside, and with -a whoever they belong to.
    let plain = |flags: &[&str], path: &str| {
        let to = format!("shop-web-1:{path}");
        env.run(&[&["cp"], flags, &[&file, &to]].concat()).ok();
        env.out(&["exec", "shop-web-1", "stat", "-c", "%u", path])
    };
    assert_eq!(owner(&[], "/tmp/1"), plain(&[], "/tmp/2"));
    for archive in ["-a", "--archive"] {
        assert_eq!(owner(&[archive], "/tmp/3"), plain(&["-a"], "/tmp/4"));
    }
}

#[test]
fn compose_export_writes_the_root_of_a_service() {
    let env = test_env!();
    two(&env);
    env.run(&["exec", "shop-web-2", "touch", "/tmp/second"])
        .ok();
    let export = |words: &[&str]| shop(&env, "compose export", words);
    let piped = export(&["web"]).ok();
    assert!(piped.stdout.contains("bin/busybox") && !piped.stdout.contains("tmp/second"));
    for (flag, name) in [("-o", "one.tar"), ("--output", "two.tar")] {
        let path = env.path("home").join(name).display().to_string();
        let dry = export(&["--dry-run", flag, &path, "web"]).ok();
        assert!(
            dry.stderr
                .contains(" DRY-RUN MODE -  shop-web-1 export shop-web-1 to ")
        );
        assert!(!env.path("home").join(name).exists());
        let says = format!(" shop-web-2 export shop-web-2 to {path} Exported");
        export(&["--index", "2", flag, &path, "web"])
            .ok()
            .says(&says);
        let archive = std::fs::read(&path).expect("it was written");
        assert!(archive.windows(10).any(|window| window == b"tmp/second"));
    }
    export(&["db"]).fails(1, "service \"db\" is not running");
    let mut terminal = env.terminal(&in_shop("compose export", &["web"]));
    terminal.expect("output option is required when exporting to terminal");
    assert_eq!(terminal.wait(), 1);
}

#[test]
fn compose_commit_makes_an_image_of_a_service() {
    let env = test_env!();
    two(&env);
    env.run(&["exec", "shop-web-2", "touch", "/second"]).ok();
    let commit = |words: &[&str]| shop(&env, "compose commit", words);
    commit(&["--dry-run", "web", "dry"])
        .ok()
        .says(" DRY-RUN MODE -  shop-web-1 Commit shop-web-1 Committed");
    env.run(&["inspect", "dry"]).code(1);
    let made = commit(&[
        "--index",
        "2",
        "-a",
        "A <a@b.c>",
        "-c",
        "CMD ls /second",
        "-m",
        "said",
        "web",
        "made:1",
    ]);
    let id = env.out(&["inspect", "-f", "{{.Id}}", "made:1"]);
    let says = format!(" shop-web-2 Commit shop-web-2 Committed as {id}");
    assert_eq!(made.ok().says(&says).stdout, "");
    let look = |name: &str| {
        env.out(&[
            "inspect",
            "-f",
            "{{.Author}} {{.Comment}} {{.Config.Cmd}}",
            name,
        ])
    };
    assert_eq!(look("made:1"), "A <a@b.c> said [/bin/sh -c ls /second]");
    assert_eq!(
        env.out(&["run", "--rm", "--network", "none", "made:1"]),
        "/second"
    );
    let long = [
        "--author=B",
        "--change=CMD [\"x\"]",
        "--message",
        "more",
        "--index=1",
        "web",
        "made:2",
    ];
    commit(&long).ok();
    assert_eq!(look("made:2"), "B more [x]");
    commit(&["db"]).fails(1, "service \"db\" is not running");
}

#[test]
fn compose_commit_pauses_unless_it_is_not_to() {
    let env = test_env!();
    two(&env);
    // Where nothing can be frozen, who asked for it is told.
    for pause in ["-p", "--pause"] {
        let warned = |words: &[&str]| {
            let outcome = shop(&env, "compose commit", &[words, &["web"]].concat()).ok();
            outcome.stderr.contains("was not paused")
        };
        let plain = |words: &[&str]| {
            let outcome = env
                .run(&[&["commit"], words, &["shop-web-1"]].concat())
                .ok();
            outcome.stderr.contains("was not paused")
        };
        assert_eq!(warned(&[pause]), plain(&["-p"]));
        let not = format!("{pause}=false");
        assert!(!warned(&[&not]));
    }
}

#[test]
fn compose_pause_and_unpause_freeze_services() {
    let env = test_env!();
    two(&env);
    member(&env, "db", 1, &SLEEP);
    let states = || {
        let words = ["ps", "--format", "{{.Names}} {{.State}}"];
        let shown = env.out(&words);
        let mut lines: Vec<String> = shown.lines().map(str::to_owned).collect();
        lines.sort();
        let last = |line: &String| line.rsplit(' ').next().map(str::to_owned);
        lines.iter().filter_map(last).collect::<Vec<_>>().join(" ")
    };
    let dry = shop(&env, "compose pause", &["--dry-run", "web"]).ok();
    assert_eq!(
        dry.stderr,
        " DRY-RUN MODE -  Container shop-web-1  Paused\n DRY-RUN MODE -  Container shop-web-2  Paused\n"
    );
    assert_eq!(states(), "running running running");
    let paused = shop(&env, "compose pause", &["web"]).ok();
    assert_eq!(
        paused.stderr,
        " Container shop-web-1  Paused\n Container shop-web-2  Paused\n"
    );
    assert_eq!(states(), "running paused paused");
    // What is paused is not paused again, and the others are.
    shop(&env, "compose pause", &[])
        .code(1)
        .says(" Container shop-db-1  Paused");
    assert_eq!(states(), "paused paused paused");
    shop(&env, "compose unpause", &["--dry-run"]).ok();
    assert_eq!(states(), "paused paused paused");
    shop(&env, "compose unpause", &["db"])
        .ok()
        .says(" Container shop-db-1  Unpaused");
    assert_eq!(states(), "running paused paused");
    env.file(
        "shop/compose.yaml",
        "services:\n  web:\n    image: busybox\n",
    );
    filed(&env, "compose pause", &["db"]).fails(1, "no such service: db");
    filed(&env, "compose unpause", &[]).ok();
    assert_eq!(states(), "running running running");
}

/// Until it is connected to so many monitors: a container that has ended before is none that it waits for.
fn until_it_asks(waiting: &Background, monitors: usize) {
    let files = format!("/proc/{}/fd", waiting.pid());
    eventually("a connection to each monitor", || {
        let files = std::fs::read_dir(&files).expect("it runs").flatten();
        let targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        let sockets = targets.filter(|target| target.to_string_lossy().starts_with("socket:"));
        sockets.count() >= monitors
    });
}

#[test]
fn compose_wait_tells_each_end_when_it_comes() {
    let env = test_env!();
    env.busybox();
    let script = |code: u32| format!("while [ ! -e /tmp/end ]; do sleep 0.02; done; exit {code}");
    let first = member(&env, "web", 1, &["busybox", "sh", "-c", &script(3)]);
    let second = member(&env, "web", 2, &["busybox", "sh", "-c", &script(4)]);
    let third = member(&env, "db", 1, &SLEEP);
    let end = |id: &str| env.end_by_file(id, "/tmp/end");
    let mut waiting = env.spawn(&in_shop("compose wait", &["--dry-run", "web"]));
    until_it_asks(&waiting, 2);
    end(&second);
    waiting.until(&format!(
        "container \"{second}\" exited with status code 4\n"
    ));
    assert!(waiting.is_running());
    end(&first);
    let outcome = waiting.wait().code(3);
    assert_eq!(
        outcome.lines()[1],
        format!("container \"{first}\" exited with status code 3")
    );
    let killed = env.spawn(&in_shop("compose wait", &["db", "web"]));
    until_it_asks(&killed, 1);
    env.run(&["kill", &third]).ok();
    killed.wait().code(137);
    shop(&env, "compose wait", &["web"]).fails(1, "no containers for project \"shop\"");
    env.run(&["start", &third]).ok();
    let words = ["--down-project", "db"];
    let last = env.spawn(&in_shop("compose wait", &words));
    until_it_asks(&last, 1);
    env.run(&["kill", &third]).ok();
    let down = last.wait().code(137);
    assert!(
        down.stderr.contains(" Container shop-db-1  Removed"),
        "{down:#?}"
    );
    assert_eq!(env.out(&["ps", "-aq"]), "");
    shop(&env, "compose wait", &[]).code(1);
}
