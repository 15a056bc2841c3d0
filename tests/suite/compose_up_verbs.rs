//! `compose start`, `stop`, `restart`, `kill`, `rm`, `pull`, `push`, `build` and `run`.

use nix::sys::signal::Signal;

use crate::compose_up::{compose, id, inspected, ok, project, states};
use crate::env::test_env;
use crate::need::{Need, need};
use crate::network_bridge::need_bridges;
use crate::registry::{Access, Registry};

const TWO: &str = r#"
services:
  db:
    image: busybox
    command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 0.05; done"]
  web:
    image: busybox
    command: [sh, -c, "trap 'exit 3' TERM; trap 'echo heard' USR1; echo up; while :; do sleep 0.05; done"]
    depends_on: {db: {condition: service_started, restart: true}}
    volumes: [/anonymous]
"#;

#[test]
fn compose_stops_starts_restarts_and_kills_services() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    project(&env, TWO);
    compose(&env, &["compose start"])
        .run()
        .fails(1, "service \"db\" has no container to start");
    compose(&env, &["compose kill"])
        .run()
        .fails(1, "no container to kill");
    ok(&env, &["compose up", "-d"]);
    let stop = ok(&env, &["compose stop"]);
    let place = |words: &str| stop.stderr.find(words).expect("it is said");
    assert!(place("shop-web-1  Stopped") < place("shop-db-1  Stopping"));
    assert_eq!(states(&env), ["shop-db-1 exited", "shop-web-1 exited"]);
    ok(&env, &["compose start", "db"]);
    assert_eq!(states(&env), ["shop-db-1 running", "shop-web-1 exited"]);
    ok(&env, &["compose start"]);
    let started = |name: &str| inspected(&env, name, "{{.State.StartedAt}}");
    let (db, web) = (started("shop-db-1"), started("shop-web-1"));
    ok(&env, &["compose restart", "--no-deps", "db"]);
    assert_ne!(started("shop-db-1"), db);
    assert_eq!(started("shop-web-1"), web);
    ok(&env, &["compose restart", "db"]);
    assert_ne!(
        started("shop-web-1"),
        web,
        "it says that it is started again with db"
    );
    let code = |name: &str| inspected(&env, name, "{{.State.ExitCode}}");
    for flag in ["-t", "--timeout"] {
        project(&env, &TWO.replace("exit 3", "echo no"));
        ok(&env, &["compose up", "-d"]);
        ok(&env, &["compose stop", flag, "0", "web"]);
        assert_eq!(code("shop-web-1"), "137");
        ok(&env, &["compose start"]);
        ok(&env, &["compose restart", flag, "0", "web"]);
        assert_eq!(states(&env), ["shop-db-1 running", "shop-web-1 running"]);
    }
    for flag in ["-s", "--signal"] {
        ok(&env, &["compose kill", flag, "USR1", "web"]).says(" Container shop-web-1  Killed");
    }
    crate::process::eventually("both signals were heard", || {
        env.out(&["logs", "shop-web-1"]).matches("heard").count() >= 1
    });
    ok(&env, &["compose kill"]);
    assert_eq!(code("shop-web-1"), "137");
    assert_eq!(code("shop-db-1"), "137");
    compose(&env, &["compose stop", "nobody"])
        .run()
        .fails(1, "no such service: nobody");
    ok(&env, &["compose down"]);
}

#[test]
fn compose_rm_takes_away_what_is_stopped() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    project(&env, TWO);
    ok(&env, &["compose rm", "-f"]).says("No stopped containers");
    let volumes = || env.out(&["volume", "ls", "-q"]).lines().count();
    let up = || {
        ok(&env, &["compose up", "-d"]);
        ok(&env, &["compose stop", "-t", "0", "web"]);
    };
    up();
    // A no, and no answer, change nothing.
    compose(&env, &["compose rm"]).input("n\n").run().ok();
    compose(&env, &["compose rm"]).input("").run().ok();
    assert_eq!(states(&env), ["shop-db-1 running", "shop-web-1 exited"]);
    compose(&env, &["compose rm"]).input("y\n").run().ok();
    assert_eq!(states(&env), ["shop-db-1 running"]);
    assert_eq!(volumes(), 1);
    for force in ["-f", "--force"] {
        up();
        ok(&env, &["compose rm", force]).says("Going to remove shop-web-1");
        assert_eq!(states(&env), ["shop-db-1 running"]);
    }
    for (stop, with) in [("-s", "-v"), ("--stop", "--volumes")] {
        let before = volumes();
        ok(&env, &["compose up", "-d"]);
        assert_eq!(volumes(), before + 1);
        ok(&env, &["compose rm", "-f", stop, with, "web"]);
        assert_eq!(states(&env), ["shop-db-1 running"]);
        assert_eq!(volumes(), before);
    }
    ok(&env, &["compose down", "-t", "0"]);
}

const TASKS: &str = r#"
services:
  db: {image: busybox, command: [sleep, "1000"], stop_signal: SIGKILL}
  web:
    image: busybox
    command: [sh, -c, "echo own command"]
    depends_on: [db]
    ports: ["127.0.0.1:0:80"]
    environment: {A: file}
"#;

#[test]
fn compose_run_makes_one_more_container_for_a_task() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    project(&env, TASKS);
    let run = |words: &[&str]| compose(&env, &[&["compose run"], words].concat()).run();
    run(&["--rm", "web"]).ok().prints("own command");
    run(&["--rm", "web", "sh", "-c", "exit 7"]).code(7);
    assert_eq!(
        states(&env),
        ["shop-db-1 running"],
        "what it needs is started and stays"
    );
    let found = run(&["--rm", "web", "nslookup", "db"]).ok();
    assert!(found.stdout.contains("Name:"), "{}", found.stdout);
    env.file("shop/variables", "B=of a file\n");
    for (e, user, dir, volume, entry) in [
        ("-e", "-u", "-w", "-v", "--entrypoint"),
        ("--env", "--user", "--workdir", "--volume", "--entrypoint"),
    ] {
        let script = "echo $A $B $(id -u) $PWD $(ls /mnt)";
        let words = [
            "--rm",
            e,
            "A=flag",
            "--env-from-file",
            "variables",
            user,
            "9",
            dir,
            "/tmp",
            volume,
            "./:/mnt:ro",
            entry,
            "sh -c",
            "web",
            script,
        ];
        run(&words)
            .ok()
            .prints("flag of a file 9 /tmp compose.yaml variables");
    }
    for (detach, label, name) in [("-d", "-l", "--name"), ("--detach", "--label", "--name")] {
        let words = [
            detach,
            label,
            "a=b",
            name,
            "task",
            "--cap-add",
            "NET_ADMIN",
            "--cap-drop",
            "CHOWN",
            "web",
            "sleep",
            "1000",
        ];
        let shown = run(&words).ok().out();
        assert_eq!(shown, id(&env, "task"));
        let format = "{{.Config.Labels.a}} {{index .Config.Labels \"com.docker.compose.oneoff\"}} {{.HostConfig.CapAdd}} {{.HostConfig.CapDrop}} {{len .NetworkSettings.Ports}}";
        let seen = inspected(&env, "task", format);
        assert!(
            seen.starts_with("b True [CAP_NET_ADMIN] [CAP_CHOWN]"),
            "{seen}"
        );
        assert_eq!(env.out(&["port", "task"]), "");
        env.run(&["exec", "shop-db-1", "nslookup", "web"]).code(1);
        env.run(&["rm", "-f", "task"]).ok();
    }
    let task = |flags: &[&str]| {
        let words = [&["-d", "--name", "task"], flags, &["web", "sleep", "1000"]].concat();
        run(&words).ok();
        let ports = env.out(&["port", "task"]);
        let found = env.run(&["exec", "shop-db-1", "nslookup", "web"]).code;
        env.run(&["rm", "-f", "task"]).ok();
        (ports, found)
    };
    for flag in ["-P", "--service-ports"] {
        assert!(task(&[flag]).0.starts_with("80/tcp -> 127.0.0.1:"));
    }
    for flag in ["-p", "--publish"] {
        assert!(
            task(&[flag, "127.0.0.1:0:81"])
                .0
                .starts_with("81/tcp -> 127.0.0.1:")
        );
    }
    assert_eq!(task(&["--use-aliases"]).1, 0);
    ok(&env, &["compose down"]);
    run(&["--rm", "--no-deps", "web"]).ok();
    assert_eq!(states(&env), [""; 0]);
    // Without -i nothing is read.
    let input = |flags: &[&str]| {
        let words = [
            &["compose run", "--rm", "--no-deps"],
            flags,
            &["web", "cat"],
        ]
        .concat();
        compose(&env, &words).input("typed").run().ok().stdout
    };
    assert_eq!(input(&["-i"]), "typed");
    assert_eq!(input(&["--interactive=false"]), "");
    for quiet in ["-q", "--quiet"] {
        let told = run(&["--rm", quiet, "web"]).ok();
        assert_eq!(told.stderr, "");
    }
    ok(&env, &["compose up", "-d", "db"]);
    project(
        &env,
        &TASKS.replace("  db:", "  base:").replace("[db]", "[base]"),
    );
    run(&["--rm", "--remove-orphans", "web"])
        .ok()
        .says("Container shop-db-1  Removed");
    run(&["nobody"]).fails(1, "no such service: nobody");
    ok(&env, &["compose down"]);
}

#[test]
fn compose_run_has_a_terminal_where_there_is_one() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let file = project(&env, "services: {web: {image: busybox}}\n") + "/compose.yaml";
    let mut seen = env.terminal(&[
        "compose",
        "-f",
        &file,
        "run",
        "--rm",
        "web",
        "sh",
        "-c",
        "test -t 1 && echo terminal",
    ]);
    seen.expect("terminal");
    assert_eq!(seen.wait(), 0);
    for flag in ["-T", "--no-TTY"] {
        let words = [
            "compose",
            "-f",
            &file,
            "run",
            "--rm",
            flag,
            "web",
            "sh",
            "-c",
            "test -t 1 || echo plain",
        ];
        let mut seen = env.terminal(&words);
        seen.expect("plain");
        assert_eq!(seen.wait(), 0);
    }
    let mut task = compose(
        &env,
        &[
            "compose run",
            "--rm",
            "web",
            "sh",
            "-c",
            "trap 'exit 5' INT; echo up; while :; do sleep 0.05; done",
        ],
    )
    .spawn();
    task.until("up");
    task.signal(Signal::SIGINT);
    task.wait().code(5);
    ok(&env, &["compose down"]);
}

#[test]
fn compose_pulls_and_pushes_the_images_of_services() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    need!(Need::Program("docker-registry"));
    let registry = Registry::start(&env, Access::Http);
    let name = |name: &str| format!("{}/{name}:1", registry.address);
    env.run(&["tag", "busybox", &name("base")]).ok();
    env.run(&["push", "-q", &name("base")]).ok();
    let text = format!(
        "services:\n  db: {{image: {:?}, command: ['true']}}\n  web: {{image: {:?}, depends_on: [db], build: {{dockerfile_inline: \"FROM busybox\\nLABEL a=b\\n\"}}}}\n",
        name("base"),
        name("web")
    );
    project(&env, &text);
    let forget = || {
        let _ = env.run(&["rmi", &name("base")]);
    };
    let is_there = || env.run(&["image", "inspect", &name("base")]).code == 0;
    forget();
    ok(&env, &["compose pull", "--dry-run", "db"]).says(" DRY-RUN MODE -  db  Pulling");
    assert!(!is_there());
    ok(&env, &["compose pull", "db"]).says(" db  Pulled");
    assert!(is_there());
    forget();
    for quiet in ["-q", "--quiet"] {
        assert_eq!(ok(&env, &["compose pull", quiet, "db"]).stderr, "");
    }
    // What is only there after a build is no failure of `pull`, and can be left out.
    ok(&env, &["compose pull"]).says("Some service image(s) must be built from source");
    ok(&env, &["compose pull", "--ignore-buildable"]).says(" web  Image can be built");
    forget();
    ok(&env, &["compose pull", "--ignore-buildable", "web"]);
    assert!(!is_there());
    ok(
        &env,
        &[
            "compose pull",
            "--include-deps",
            "--ignore-buildable",
            "web",
        ],
    );
    assert!(is_there());
    let missing = ok(&env, &["compose pull", "--policy", "missing", "db"]);
    assert_eq!(missing.stderr, "", "nobody is asked for what is there");
    ok(&env, &["compose pull", "--policy", "always", "db"]).says(" db  Pulled");
    project(&env, &text.replace("base:1", "none:1"));
    compose(&env, &["compose pull", "db"])
        .run()
        .fails(1, "service \"db\"");
    ok(&env, &["compose pull", "--ignore-pull-failures", "db"]).says("service \"db\"");
    project(&env, &text);

    ok(&env, &["compose build"]);
    ok(&env, &["compose push", "--dry-run", "web"]).says(" DRY-RUN MODE -  web  Pushed");
    ok(&env, &["compose push"])
        .says(" web  Pushed")
        .says(" db  Skipped");
    for quiet in ["-q", "--quiet"] {
        let pushed = ok(&env, &["compose push", quiet, "web"]);
        assert!(!pushed.stderr.contains("Push"), "{}", pushed.stderr);
    }
    ok(&env, &["compose push", "--include-deps", "web"]).says(" db  Skipped");
    env.run(&["rmi", &name("web")]).ok();
    ok(&env, &["compose pull", "web"]).says(" web  Pulled");
    env.run(&["rmi", &name("web")]).ok();
    compose(&env, &["compose push", "web"])
        .run()
        .fails(1, "service \"web\"");
    ok(&env, &["compose push", "--ignore-push-failures", "web"]).says("service \"web\"");
    // `up` pulls what is missing, and what it is told to.
    forget();
    compose(&env, &["compose up", "-d", "--pull", "never", "db"])
        .run()
        .fails(1, "base:1");
    ok(&env, &["compose up", "-d", "db"]).says(" db  Pulled");
    ok(&env, &["compose up", "-d", "--pull", "always", "db"]).says(" db  Pulling");
    let quiet = ok(
        &env,
        &["compose up", "-d", "--pull", "always", "--quiet-pull", "db"],
    );
    assert!(!quiet.stderr.contains("Pull"));
    ok(&env, &["compose create", "--pull", "always", "db"]).says(" db  Pulling");
    let quiet = ok(
        &env,
        &["compose create", "--pull", "always", "--quiet-pull", "db"],
    );
    assert!(!quiet.stderr.contains("Pull"));
    ok(&env, &["compose run", "--rm", "--pull", "always", "db"]).says(" db  Pulling");
    let quiet = ok(
        &env,
        &[
            "compose run",
            "--rm",
            "--pull",
            "always",
            "--quiet-pull",
            "db",
        ],
    );
    assert!(!quiet.stderr.contains("Pull"));
    ok(&env, &["compose down", "--rmi", "all"]).says("Removed");
    assert!(!is_there());
}

#[test]
fn compose_builds_the_images_of_services() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    env.file("shop/app/Dockerfile", "FROM busybox\nARG WORD=none\nRUN --network=none echo $WORD >/word\nCMD [\"cat\", \"/word\"]\n");
    let text = "services:\n  base: {build: {context: app}, command: ['true']}\n  web:\n    build: {context: app, args: {WORD: file}, network: none}\n    depends_on: [base]\n    image: web:own\n";
    project(&env, text);
    let word =
        |env: &crate::env::TestEnv| env.out(&["run", "--rm", "--network", "none", "web:own"]);
    ok(&env, &["compose up", "-d"])
        .says(" web:own  Built")
        .says(" shop-base  Built");
    assert_eq!(word(&env), "file");
    let image = || inspected(&env, "web:own", "{{.Id}}");
    let first = image();
    assert!(!ok(&env, &["compose up", "-d"]).stderr.contains("Building"));
    env.file("shop/app/Dockerfile", "FROM busybox\nARG WORD=none\nRUN --network=none echo $WORD again >/word\nCMD [\"cat\", \"/word\"]\n");
    for command in [
        &["compose up", "-d"][..],
        &["compose create"],
        &["compose run", "--rm", "-T"],
    ] {
        let before = image();
        let words: Vec<&str> = [command, &["--build", "web"]].concat();
        ok(&env, &words).says(" web:own  Building");
        if command[0] == "compose up" {
            assert_ne!(image(), before);
            assert_eq!(word(&env), "file again");
        }
    }
    assert_ne!(image(), first);
    ok(&env, &["compose down", "--rmi", "local"]).says(" Image shop-base  Removed");
    env.run(&["image", "inspect", "web:own"]).ok();
    compose(&env, &["compose up", "-d", "--no-build", "base"])
        .run()
        .fails(1, "shop-base");
    compose(&env, &["compose create", "--no-build", "base"])
        .run()
        .fails(1, "shop-base");
    let quiet = ok(&env, &["compose up", "-d", "--quiet-build", "base"]);
    assert!(!quiet.stderr.contains("RUN"), "{}", quiet.stderr);
    let quiet = ok(
        &env,
        &["compose run", "--rm", "--build", "--quiet-build", "base"],
    );
    assert!(!quiet.stderr.contains("RUN"), "{}", quiet.stderr);
    ok(&env, &["compose down", "--rmi", "all"]);
    env.run(&["image", "inspect", "web:own"]).code(1);

    ok(&env, &["compose build", "--build-arg", "WORD=flag", "web"]);
    assert_eq!(word(&env), "flag again");
    assert!(env.run(&["image", "inspect", "shop-base"]).code != 0);
    ok(&env, &["compose build", "--with-dependencies", "web"]).says(" shop-base  Built");
    for flag in ["-q", "--quiet"] {
        let quiet = ok(&env, &["compose build", flag, "--no-cache", "web"]);
        assert!(!quiet.stderr.contains("RUN"), "{}", quiet.stderr);
    }
    let cached = ok(&env, &["compose build", "web"]);
    assert!(cached.stderr.contains("CACHED"), "{}", cached.stderr);
    let anew = ok(&env, &["compose build", "--no-cache", "web"]);
    assert!(!anew.stderr.contains("CACHED"), "{}", anew.stderr);
    ok(&env, &["compose build", "--dry-run", "web"]).says(" DRY-RUN MODE -  web:own  Built");
    ok(&env, &["compose build", "--check", "web"]).prints("Check complete, no warnings found.");
    ok(&env, &["compose build", "--builder", "any", "web"]);
    let shown = ok(&env, &["compose build", "--print", "web"]).out();
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["target"]["web"]["args"]["WORD"], "file");
    assert_eq!(shown["target"]["web"]["tags"][0], "web:own");
    compose(&env, &["compose build", "-m", "1g"])
        .run()
        .code(125);
    compose(&env, &["compose build", "nobody"])
        .run()
        .fails(1, "no such service: nobody");
    ok(&env, &["compose down"]);
}

#[test]
fn compose_build_hands_its_flags_on() {
    let env = test_env!();
    need!(Need::Program("docker-registry"));
    env.busybox();
    let registry = Registry::start(&env, Access::Http);
    let image = format!("{}/flags:1", registry.address);
    let base = format!("{}/base:1", registry.address);
    let with = |lines: &str| {
        let text = format!(
            "services: {{web: {{image: {image:?}, build: {{network: none, dockerfile_inline: {lines:?}}}}}}}\n"
        );
        project(&env, &text);
    };
    with("FROM busybox\nLABEL a=b\n");
    env.run(&["image", "inspect", &image]).code(1);
    ok(&env, &["compose build", "--push"]);
    env.run(&["rmi", &image]).ok();
    env.run(&["pull", &image]).ok();
    // Statements make an index of the image.
    for flag in ["--sbom=true", "--provenance=true"] {
        ok(&env, &["compose build", "--push", flag]);
        let raw = env.out(&["buildx", "imagetools", "inspect", "--raw", &image]);
        assert!(raw.contains("attestation-manifest"), "{flag}: {raw}");
    }
    // Newer bases are asked for where that is said.
    env.run(&["tag", "busybox", &base]).ok();
    with(&format!("FROM {base}\n"));
    ok(&env, &["compose build"]);
    compose(&env, &["compose build", "--pull"])
        .run()
        .fails(1, "base");
    // An agent that is not there is missed where it is asked for.
    with("FROM busybox\nRUN --mount=type=ssh,required true\n");
    compose(&env, &["compose build"]).run().fails(1, "ssh");
    compose(&env, &["compose build", "--ssh", "default=/no/such/socket"])
        .run()
        .fails(125, "/no/such/socket");
}
