//! `compose up`, `create`, `scale` and `down`: what files say becomes containers, networks and volumes, and goes again.

use crate::env::{TestEnv, test_env};
use crate::network_bridge::need_bridges;
use crate::process::{Invocation, Outcome};

/// A project `shop` of this file, in a directory of its own.
pub fn project(env: &TestEnv, text: &str) -> String {
    let file = env.file("shop/compose.yaml", text);
    file.trim_end_matches("/compose.yaml").to_owned()
}

/// A command of compose's, spelt whole in the first word, in the project's directory.
pub fn compose(env: &TestEnv, words: &[&str]) -> Invocation {
    let mut all: Vec<&str> = Vec::new();
    all.push("compose");
    // Flags of compose itself may come before it.
    all.extend(
        words
            .iter()
            .map(|word| word.strip_prefix("compose ").unwrap_or(word)),
    );
    env.command(&all).directory(env.path("home/shop"))
}

#[track_caller]
pub fn ok(env: &TestEnv, words: &[&str]) -> Outcome {
    compose(env, words).run().ok()
}

/// The names and states of all containers, sorted.
pub fn states(env: &TestEnv) -> Vec<String> {
    let format = "{{.Names}} {{.State}}";
    let mut all: Vec<String> = env
        .out(&["ps", "-a", "--format", format])
        .lines()
        .map(str::to_owned)
        .collect();
    all.sort();
    all
}

pub fn inspected(env: &TestEnv, name: &str, format: &str) -> String {
    env.out(&["inspect", "--format", format, name])
}

pub fn id(env: &TestEnv, name: &str) -> String {
    inspected(env, name, "{{.Id}}")
}

const TWO: &str = r#"
services:
  db:
    image: busybox
    command: ["sh", "-c", "exec sleep 1000"]
    stop_signal: SIGKILL
    volumes: [data:/data, /scratch]
  web:
    image: busybox
    command: ["sh", "-c", "exec sleep 1000"]
    stop_signal: SIGKILL
    depends_on: [db]
    networks: {default: {aliases: [shopfront]}}
    labels: {tier: front}
volumes: {data: {}}
"#;

#[test]
fn compose_up_makes_what_files_say_and_down_takes_it_away() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    project(&env, TWO);
    let up = ok(&env, &["compose up", "-d"]);
    let words: Vec<&str> = up.stderr.lines().collect();
    assert_eq!(
        words,
        [
            " Network shop_default  Creating",
            " Network shop_default  Created",
            " Volume shop_data  Creating",
            " Volume shop_data  Created",
            " Container shop-db-1  Creating",
            " Container shop-db-1  Created",
            " Container shop-web-1  Creating",
            " Container shop-web-1  Created",
            " Container shop-db-1  Starting",
            " Container shop-db-1  Started",
            " Container shop-web-1  Starting",
            " Container shop-web-1  Started",
        ]
    );
    assert_eq!(states(&env), ["shop-db-1 running", "shop-web-1 running"]);
    // By service, by alias and by container they find each other.
    for name in ["db", "shop-db-1"] {
        env.run(&["exec", "shop-web-1", "nslookup", name]).ok();
    }
    env.run(&["exec", "shop-db-1", "nslookup", "shopfront"])
        .ok();
    let label = |name: &str| {
        let format = format!("{{{{index .Config.Labels {name:?}}}}}");
        inspected(&env, "shop-web-1", &format)
    };
    for (name, value) in [
        ("com.docker.compose.project", "shop"),
        ("com.docker.compose.service", "web"),
        ("com.docker.compose.container-number", "1"),
        ("com.docker.compose.oneoff", "False"),
        ("com.docker.compose.depends_on", "db:service_started:false"),
        ("com.docker.compose.version", "2.40.3"),
        ("tier", "front"),
    ] {
        assert_eq!(label(name), value, "{name}");
    }
    let hash = ok(&env, &["compose config", "--hash", "web"]).out();
    assert!(
        hash.ends_with(&label("com.docker.compose.config-hash")),
        "{hash}"
    );
    let network = "{{index .Labels \"com.docker.compose.network\"}}";
    let network = env.out(&["network", "inspect", "-f", network, "shop_default"]);
    assert_eq!(network, "default");
    env.run(&["exec", "shop-db-1", "touch", "/data/kept"]).ok();

    let down = ok(&env, &["compose down"]);
    let stopped = |name: &str| down.stderr.find(&format!(" Container {name}  Stopped"));
    assert!(
        stopped("shop-web-1") < stopped("shop-db-1"),
        "{}",
        down.stderr
    );
    assert_eq!(env.containers(), [""; 0]);
    assert!(!env.out(&["network", "ls"]).contains("shop"));
    assert!(env.out(&["volume", "ls", "-q"]).contains("shop_data"));
    ok(&env, &["compose up", "--detach", "db"]);
    env.run(&["exec", "shop-db-1", "test", "-e", "/data/kept"])
        .ok();
    assert_eq!(states(&env), ["shop-db-1 running"]);
    for flag in ["-v", "--volumes"] {
        ok(&env, &["compose down", flag, "-t", "0"]);
        assert!(!env.out(&["volume", "ls", "-q"]).contains("shop_data"));
        ok(&env, &["compose up", "-d", "db"]);
    }
    ok(&env, &["compose down", "--volumes", "--timeout", "0"]);
    let nothing = ok(&env, &["compose down"]);
    let words = "Warning: No resource found to remove for project \"shop\".";
    assert_eq!(nothing.stderr.trim_end(), words);
    // Without the file, by name alone.
    ok(&env, &["compose up", "-d"]);
    env.run(&["compose", "-p", "shop", "down", "-v"]).ok();
    assert_eq!(env.containers(), [""; 0]);
}

#[test]
fn compose_up_again_changes_nothing_and_what_is_another_is_made_anew() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    project(&env, TWO);
    ok(&env, &["compose up", "-d"]);
    let both = [id(&env, "shop-db-1"), id(&env, "shop-web-1")];
    let again = ok(&env, &["compose up", "-d"]);
    let words = " Container shop-db-1  Running\n Container shop-web-1  Running\n";
    assert_eq!(again.stderr, words);
    assert_eq!([id(&env, "shop-db-1"), id(&env, "shop-web-1")], both);

    let scratch = |env: &TestEnv| {
        inspected(
            env,
            "shop-db-1",
            "{{range .Mounts}}{{.Destination}}={{.Name}} {{end}}",
        )
    };
    let mounted = scratch(&env);
    project(
        &env,
        &TWO.replace("volumes: [data", "environment: [A=b]\n    volumes: [data"),
    );
    let changed = ok(&env, &["compose up", "-d"]);
    let words = " Container shop-db-1  Recreate\n Container shop-db-1  Recreated\n Container shop-web-1  Running\n";
    assert!(changed.stderr.starts_with(words), "{}", changed.stderr);
    assert_ne!(id(&env, "shop-db-1"), both[0]);
    assert_eq!(scratch(&env), mounted, "anonymous volumes stay");
    // `--no-recreate` leaves what is another, `--force-recreate` what is not; both mean those that are named.
    project(&env, TWO);
    let now = id(&env, "shop-db-1");
    ok(&env, &["compose up", "-d", "--no-recreate"]);
    assert_eq!(id(&env, "shop-db-1"), now);
    ok(&env, &["compose up", "-d"]);
    let now = id(&env, "shop-db-1");
    ok(&env, &["compose up", "-d", "--force-recreate", "web"]);
    assert_eq!(id(&env, "shop-db-1"), now, "what it needs is not meant");
    assert_ne!(id(&env, "shop-web-1"), both[1]);
    ok(
        &env,
        &[
            "compose up",
            "-d",
            "--force-recreate",
            "--always-recreate-deps",
            "web",
        ],
    );
    assert_ne!(id(&env, "shop-db-1"), now);
    assert_eq!(scratch(&env), mounted);
    for flag in ["-V", "--renew-anon-volumes"] {
        let before = scratch(&env);
        ok(
            &env,
            &["compose up", "-d", "--force-recreate", "-t", "0", flag],
        );
        assert_ne!(scratch(&env), before);
    }
    let now = id(&env, "shop-db-1");
    ok(&env, &["compose create", "--force-recreate", "db"]);
    assert_ne!(id(&env, "shop-db-1"), now);
    let now = id(&env, "shop-db-1");
    project(
        &env,
        &TWO.replace("volumes: [data", "environment: [A=b]\n    volumes: [data"),
    );
    ok(&env, &["compose create", "--no-recreate", "db"]);
    assert_eq!(id(&env, "shop-db-1"), now);
    ok(&env, &["compose create", "db"]);
    assert_ne!(id(&env, "shop-db-1"), now);
    assert_eq!(states(&env), ["shop-db-1 created", "shop-web-1 running"]);
}

#[test]
fn compose_up_warns_of_orphans_or_removes_them() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let alone =
        "services: {db: {image: busybox, command: [sleep, '1000'], stop_signal: SIGKILL}}\n";
    let orphans = |env: &TestEnv| {
        project(env, TWO);
        ok(env, &["compose up", "-d"]);
        project(env, alone);
    };
    orphans(&env);
    let words = "Found orphan containers ([shop-web-1]) for this project. If you removed or renamed this service in your compose file, you can run this command with the --remove-orphans flag to clean it up.";
    ok(&env, &["compose up", "-d"]).says(words);
    let quiet = compose(&env, &["compose up", "-d"]).var("COMPOSE_IGNORE_ORPHANS", "1");
    assert!(!quiet.run().ok().stderr.contains("orphan"));
    ok(&env, &["compose up", "-d", "--remove-orphans"]).says(" Container shop-web-1  Removed");
    assert_eq!(states(&env), ["shop-db-1 running"]);
    orphans(&env);
    ok(&env, &["compose create", "--remove-orphans"]);
    assert_eq!(states(&env), ["shop-db-1 created"]);
    orphans(&env);
    // The network is still the orphan's.
    ok(&env, &["compose down"]).says(" Network shop_default  Resource is still in use");
    assert_eq!(states(&env), ["shop-web-1 running"]);
    ok(&env, &["compose kill", "--remove-orphans"]);
    assert_eq!(states(&env), ["shop-web-1 exited"]);
    ok(&env, &["compose down", "--remove-orphans", "-v"]);
    assert_eq!(env.containers(), [""; 0]);
}

#[test]
fn compose_scales_services() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let text = TWO.replace("labels: {tier: front}", "deploy: {replicas: 2}");
    project(&env, &text);
    ok(&env, &["compose up", "-d"]);
    let web = |numbers: &[u32]| {
        let web = numbers
            .iter()
            .map(|number| format!("shop-web-{number} running"));
        std::iter::once("shop-db-1 running".to_owned())
            .chain(web)
            .collect::<Vec<_>>()
    };
    assert_eq!(states(&env), web(&[1, 2]));
    // One name, the addresses of all.
    let found = env.out(&["exec", "shop-db-1", "nslookup", "web"]);
    assert_eq!(found.matches("Address: ").count(), 2, "{found}");
    ok(&env, &["compose up", "-d", "--scale", "web=4"]);
    assert_eq!(states(&env), web(&[1, 2, 3, 4]));
    ok(&env, &["compose scale", "web=1"]);
    assert_eq!(states(&env), web(&[1]));
    env.run(&["rm", "-f", "shop-db-1"]).ok();
    ok(&env, &["compose scale", "--no-deps", "web=2"]);
    assert_eq!(states(&env), web(&[1, 2])[1..]);
    ok(&env, &["compose create", "--scale", "web=3"]);
    assert!(states(&env).contains(&"shop-web-3 created".to_owned()));
    compose(&env, &["compose up", "-d", "--scale", "nobody=1"])
        .run()
        .fails(1, "no such service: nobody");
    compose(&env, &["compose scale", "web"])
        .run()
        .fails(125, "should be SERVICE=NUM");
    let named = text.replace("depends_on: [db]", "container_name: only");
    project(&env, &named);
    compose(&env, &["compose up", "-d"])
        .run()
        .fails(1, "container name must be unique");
}

#[test]
fn compose_up_makes_without_starting_and_without_what_is_needed() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    project(&env, TWO);
    ok(&env, &["compose up", "--no-start"]);
    assert_eq!(states(&env), ["shop-db-1 created", "shop-web-1 created"]);
    ok(&env, &["compose down", "-v"]);
    ok(&env, &["compose up", "-d", "--no-deps", "web"]);
    assert_eq!(states(&env), ["shop-web-1 running"]);
    ok(&env, &["compose down", "-v"]);
    // What would be done is said, and nothing is done.
    let dry = ok(&env, &["compose up", "-d", "--dry-run"]);
    let words = " DRY-RUN MODE -  Container shop-web-1  Started";
    assert!(dry.stderr.contains(words), "{}", dry.stderr);
    ok(&env, &["compose create", "--dry-run"])
        .says(" DRY-RUN MODE -  Container shop-web-1  Created");
    assert_eq!(env.containers(), [""; 0]);
    assert!(!env.out(&["network", "ls"]).contains("shop"));
    ok(&env, &["compose create"]);
    for (words, said) in [
        (&["compose start"][..], "Started"),
        (&["compose scale", "web=2"], "shop-web-2  Created"),
        (&["compose rm", "-f"], "Removed"),
        (&["compose down"], "Removed"),
    ] {
        ok(&env, &[words, &["--dry-run"]].concat())
            .says(said)
            .says(" DRY-RUN MODE - ");
    }
    assert_eq!(states(&env), ["shop-db-1 created", "shop-web-1 created"]);
    ok(&env, &["compose start"]);
    for (words, said) in [
        (&["compose stop"][..], "Stopped"),
        (&["compose restart"], "Restarting"),
        (&["compose kill"], "Killed"),
    ] {
        ok(&env, &[words, &["--dry-run"]].concat())
            .says(said)
            .says(" DRY-RUN MODE - ");
    }
    assert_eq!(states(&env), ["shop-db-1 running", "shop-web-1 running"]);
    ok(&env, &["compose run", "--dry-run", "web", "touch", "/x"]);
    assert_eq!(env.containers().len(), 2);
}

#[test]
fn an_interrupted_compose_up_is_put_right_by_the_next() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    project(&env, TWO);
    ok(&env, &["compose up", "-d", "db"]);
    let old = id(&env, "shop-db-1");
    let mounts = "{{range .Mounts}}{{.Name}} {{end}}";
    let mounted = inspected(&env, "shop-db-1", mounts);
    // Before the old one was gone, as a killed `up` leaves it: the new one is taken back.
    let temporary = format!("{}_shop-db-1", &old[..12]);
    let label = |key: &str, value: &str| format!("com.docker.compose.{key}={value}");
    let labels = [
        label("project", "shop"),
        label("service", "db"),
        label("container-number", "1"),
        label("oneoff", "False"),
        label("replace", "shop-db-1"),
    ];
    let mut words = vec!["create", "--name", &temporary];
    labels
        .iter()
        .for_each(|label| words.extend(["--label", label]));
    words.extend(["busybox", "sleep", "1000"]);
    env.run(&words).ok();
    ok(&env, &["compose up", "-d", "db"]);
    assert_eq!(states(&env), ["shop-db-1 running"]);
    assert_eq!(id(&env, "shop-db-1"), old);
    assert_eq!(inspected(&env, "shop-db-1", mounts), mounted);
    // After the old one was gone: the new one gets its name, and what it should be.
    env.run(&words).ok();
    env.run(&["rm", "-f", "shop-db-1"]).ok();
    ok(&env, &["compose up", "-d", "db"]);
    assert_eq!(states(&env), ["shop-db-1 running"]);
    env.run(&words).ok();
    ok(&env, &["compose down", "-v"]);
    assert_eq!(env.containers(), [""; 0]);
}

#[test]
fn two_compose_ups_at_once_make_everything_once() {
    let env = test_env!();
    need_bridges!();
    env.busybox();
    let text = TWO.replace("labels: {tier: front}", "deploy: {replicas: 3}");
    project(&env, &text);
    let four = ["shop-db-1", "shop-web-1", "shop-web-2", "shop-web-3"];
    let four = four.map(|name| format!("{name} running"));
    for flags in [
        &["compose up", "-d"][..],
        &["compose up", "-d", "--force-recreate", "-t", "0"],
    ] {
        let all = [(); 3].map(|()| compose(&env, flags).spawn());
        for one in all {
            one.wait().ok();
        }
        assert_eq!(states(&env), four);
    }
    ok(&env, &["compose down", "-v", "-t", "0"]);
}
