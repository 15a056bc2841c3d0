//! `compose` and what a project has: ps, ls, images, port, top, stats, volumes, events. The containers are made by hand, with
//! the labels by which a project's are known.

use serde_json::Value;

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::process::{Outcome, eventually};
use crate::spellings::{self, ask};

/// The words of a command on the project `shop`, which no file describes.
pub fn in_shop<'a>(command: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    let (group, verb) = command.split_once(' ').expect("compose and a verb");
    [&[group, "-p", "shop", verb], rest].concat()
}

pub fn shop(env: &TestEnv, command: &str, rest: &[&str]) -> Outcome {
    env.run(&in_shop(command, rest))
}

/// The same where a file describes the project.
pub fn filed(env: &TestEnv, command: &str, rest: &[&str]) -> Outcome {
    let words = spellings::words(command, rest);
    let here = env.path("home/shop");
    env.command(&words).directory(here).run()
}

/// A container of a service, with what `run` is to be told besides; its id.
pub fn member(env: &TestEnv, service: &str, number: u32, rest: &[&str]) -> String {
    let name = format!("shop-{service}-{number}");
    container(env, "shop", &name, (service, number, "False"), rest)
}

pub fn container(
    env: &TestEnv,
    project: &str,
    name: &str,
    (service, number, oneoff): (&str, u32, &str),
    rest: &[&str],
) -> String {
    let labels = [
        format!("com.docker.compose.project={project}"),
        format!("com.docker.compose.service={service}"),
        format!("com.docker.compose.container-number={number}"),
        format!("com.docker.compose.oneoff={oneoff}"),
        format!("com.docker.compose.project.config_files=/srv/{project}.yaml"),
        "com.docker.compose.config-hash=0".to_owned(),
    ];
    let mut words = vec!["run", "-d", "--name", name];
    if !rest.contains(&"-p") {
        words.extend(["--network", "none"]);
    }
    for label in &labels {
        words.extend(["--label", label]);
    }
    env.out(&[&words, rest].concat())
}

const SLEEP: [&str; 3] = ["busybox", "sleep", "1000"];

/// Two of `web`, a `db` that has ended by 3, and one of `run`.
fn some(env: &TestEnv) {
    env.busybox();
    member(env, "web", 1, &SLEEP);
    member(env, "web", 2, &SLEEP);
    container(
        env,
        "shop",
        "mydb",
        ("db", 1, "False"),
        &["busybox", "sh", "-c", "exit 3"],
    );
    container(env, "shop", "shop-web-run-1", ("web", 1, "True"), &SLEEP);
    container(env, "other", "other-web-1", ("web", 1, "False"), &SLEEP);
    env.run(&["wait", "mydb"]).ok();
}

#[test]
fn compose_ps_lists_a_project() {
    let env = test_env!();
    some(&env);
    let names = |words: &[&str]| {
        let words = [&["--format", "{{.Name}}"], words].concat();
        shop(&env, "compose ps", &words).ok().stdout
    };
    let table = shop(&env, "compose ps", &[]).ok();
    let lines = table.lines();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        [
            "NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"
        ]
    );
    assert!(
        lines[1].starts_with("shop-web-1   busybox   \"sleep 1000\"   web       "),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 3);
    assert_eq!(names(&[]), "shop-web-1\nshop-web-2\n");
    assert_eq!(names(&["--dry-run"]), "shop-web-1\nshop-web-2\n");
    let all = "mydb\nshop-web-1\nshop-web-2\nshop-web-run-1\n";
    assert_eq!(names(&["-a"]), all);
    assert_eq!(names(&["--all"]), all);
    assert_eq!(names(&["--all", "db"]), "mydb\n");
    assert_eq!(names(&["--status", "exited"]), "mydb\n");
    let two = ["--status=exited", "--status", "running", "db"];
    assert_eq!(names(&two), "mydb\n");
    assert_eq!(names(&["--filter", "status=exited"]), "mydb\n");
    shop(&env, "compose ps", &["--filter", "status"])
        .fails(1, "arguments to --filter should be in form KEY=VAL");
    shop(&env, "compose ps", &["--filter=name=x"]).fails(1, "unknown filter name");
    let ids = env.out(&["inspect", "-f", "{{.Id}}", "shop-web-1", "shop-web-2"]);
    for quiet in ["-q", "--quiet"] {
        assert_eq!(shop(&env, "compose ps", &[quiet]).ok().out(), ids);
    }
    let services = shop(&env, "compose ps", &["-a", "--services"]).ok().stdout;
    assert_eq!(services, "db\nweb\n");
}

#[test]
fn compose_ps_formats_what_it_lists() {
    let env = test_env!();
    env.busybox();
    let long = ["--expose", "80", "busybox", "sh", "-c", "true; sleep 1000"];
    let id = member(&env, "web", 1, &long);
    let json = shop(&env, "compose ps", &["--format", "json"]).ok().stdout;
    let json: Value = serde_json::from_str(&json).expect("it is one object");
    assert_eq!(json["ID"], id[..12]);
    assert_eq!(
        (&json["Service"], &json["Project"], &json["Health"]),
        (&"web".into(), &"shop".into(), &"".into())
    );
    assert_eq!(json["ExitCode"], 0);
    assert_eq!(
        json["Publishers"].to_string(),
        r#"[{"URL":"","TargetPort":80,"PublishedPort":0,"Protocol":"tcp"}]"#
    );
    let keys: Vec<&String> = json.as_object().expect("it is one").keys().collect();
    assert_eq!(
        keys,
        [
            "Command",
            "CreatedAt",
            "ExitCode",
            "Health",
            "ID",
            "Image",
            "Labels",
            "LocalVolumes",
            "Mounts",
            "Name",
            "Names",
            "Networks",
            "Ports",
            "Project",
            "Publishers",
            "RunningFor",
            "Service",
            "Size",
            "State",
            "Status"
        ]
    );
    let shown = |words: &[&str]| shop(&env, "compose ps", words).ok().stdout;
    assert_eq!(
        shown(&["--format", "table {{.Service}}\t{{.State}}\t{{.Ports}}"]),
        "SERVICE   STATE     PORTS\nweb       running   80/tcp\n"
    );
    let command = ["--format", "{{.ID}} {{.Command}}"];
    assert_eq!(
        shown(&command),
        format!("{} \"sh -c 'true; sleep …\"\n", &id[..12])
    );
    assert_eq!(
        shown(&[&command[..], &["--no-trunc"]].concat()),
        format!("{id} \"sh -c 'true; sleep 1000'\"\n")
    );
}

#[test]
fn compose_ps_knows_what_a_file_has() {
    let env = test_env!();
    some(&env);
    env.file(
        "shop/compose.yaml",
        "name: shop\nservices:\n  db:\n    image: busybox\n    env_file: missing.env\n  none:\n    image: busybox\n",
    );
    let names = |words: &[&str]| {
        let words = [&["-a", "--format", "{{.Name}}"], words].concat();
        filed(&env, "compose ps", &words).ok().stdout
    };
    let all = "mydb\nshop-web-1\nshop-web-2\nshop-web-run-1\n";
    assert_eq!(names(&[]), all);
    assert_eq!(names(&["--orphans"]), all);
    assert_eq!(names(&["--orphans=true"]), all);
    assert_eq!(names(&["--orphans=false"]), "mydb\n");
    assert_eq!(names(&["none"]), "");
    filed(&env, "compose ps", &["web"]).fails(1, "no such service: web");
    // Without its file it is nobody's to say what the project has.
    assert_eq!(shop(&env, "compose ps", &["-q", "nothing"]).ok().stdout, "");
    // Nor does a broken file matter to one that is named.
    env.file("shop/compose.yaml", "services: [");
    filed(&env, "compose ps", &[]).code(1);
    let named = env
        .command(&["compose", "ps", "--services"])
        .directory(env.path("home/shop"))
        .var("COMPOSE_PROJECT_NAME", "shop");
    assert_eq!(named.run().ok().stdout, "web\n");
}

#[test]
fn compose_ls_lists_projects() {
    let env = test_env!();
    some(&env);
    env.run(&["kill", "other-web-1"]).ok();
    env.run(&["wait", "other-web-1"]).ok();
    let ls = |words: &[&str]| ask(&env, "compose ls", words).ok().stdout;
    let head = "NAME                STATUS              CONFIG FILES\n";
    let line = "shop                running(3)          /srv/shop.yaml\n";
    assert_eq!(ls(&[]), format!("{head}{line}"));
    assert_eq!(
        ls(&["--format", "table", "--dry-run"]),
        format!("{head}{line}")
    );
    for all in ["-a", "--all"] {
        assert_eq!(
            ls(&[all]),
            "NAME                STATUS                  CONFIG FILES\n\
             other               exited(1)               /srv/other.yaml\n\
             shop                exited(1), running(3)   /srv/shop.yaml\n"
        );
    }
    for quiet in ["-q", "--quiet"] {
        assert_eq!(ls(&[quiet]), "shop\n");
        assert_eq!(ls(&[quiet, "-a", "--filter", "name=^oth"]), "other\n");
    }
    assert_eq!(
        ls(&["-a", "--format=json", "--filter=name=other"]),
        "[{\"Name\":\"other\",\"Status\":\"exited(1)\",\"ConfigFiles\":\"/srv/other.yaml\"}]\n"
    );
    let wrong = ask(&env, "compose ls", &["--filter", "status=running"]);
    wrong.fails(1, "invalid filter 'status'");
    let wrong = ask(&env, "compose ls", &["--format", "yaml"]);
    wrong.fails(1, "format value \"yaml\" could not be parsed");
}

#[test]
fn compose_words_of_hostile_labels_stay_on_their_line() {
    let env = test_env!();
    env.busybox();
    let names = ("we\x1b[2Jb\nx", 1, "False");
    container(&env, "shop", "shop-web-1", names, &SLEEP);
    let files = "com.docker.compose.project.config_files=/a\n\x1b[31mb";
    let other = [
        "--label",
        "com.docker.compose.project=x\ny",
        "--label",
        files,
    ];
    env.run(&[&["run", "-d", "--network", "none"], &other[..], &SLEEP].concat())
        .ok();
    let listed = env.run(&["compose", "ls"]).ok().stdout;
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let shown = [
        listed,
        shop(&env, "compose ps", &[]).ok().stdout,
        shop(&env, "compose ps", &["--services"]).ok().stdout,
        shop(&env, "compose top", &[]).ok().stdout,
        shop(&env, "compose logs", &[]).ok().stdout,
    ];
    assert!(shown.iter().all(|text| !text.contains('\x1b')), "{shown:?}");
    assert_eq!(shown[1].lines().count(), 2, "{shown:?}");
    assert_eq!(shown[2].lines().count(), 1, "{shown:?}");
}

#[test]
fn compose_images_lists_what_containers_were_made_from() {
    let env = test_env!();
    some(&env);
    let id = env.out(&["images", "--no-trunc", "-q"]);
    let hex = id.strip_prefix("sha256:").expect("it is a digest");
    let images = |words: &[&str]| shop(&env, "compose images", words).ok();
    let table = images(&[]);
    let lines = table.lines();
    assert!(
        lines[0]
            .starts_with("CONTAINER           REPOSITORY          TAG                 PLATFORM"),
        "{lines:?}"
    );
    let cells: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(cells[..3], ["mydb", "busybox", "latest"]);
    assert_eq!(cells[4], &hex[..12]);
    assert!(cells[3].starts_with("linux/"), "{cells:?}");
    assert_eq!(lines.len(), 5);
    assert_eq!(images(&["db", "--dry-run"]).lines().len(), 2);
    assert_eq!(images(&["nothing"]).lines().len(), 1);
    for quiet in ["-q", "--quiet"] {
        assert_eq!(images(&[quiet]).out(), hex);
    }
    let json = images(&["--format", "json", "db"]).stdout;
    let json: Value = serde_json::from_str(&json).expect("it is an array");
    assert_eq!(json.as_array().map(Vec::len), Some(1));
    assert_eq!(json[0]["ID"], id);
    assert_eq!(json[0]["ContainerName"], "mydb");
    assert_eq!(
        (&json[0]["Repository"], &json[0]["Tag"]),
        (&"busybox".into(), &"latest".into())
    );
    assert!(json[0]["Size"].as_u64() > Some(500_000), "{json}");
    let wrong = shop(&env, "compose images", &["--format", "x"]);
    wrong.fails(1, "format value \"x\" could not be parsed");
}

#[test]
fn compose_port_says_where_a_port_is_found() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    env.busybox();
    let first = ["-p", "127.0.0.1::80", "-p", "127.0.0.1::80/udp"];
    member(
        &env,
        "web",
        1,
        &[&first[..], &["--expose", "9"], &SLEEP].concat(),
    );
    member(
        &env,
        "web",
        2,
        &[&["-p", "127.0.0.1::80"], &SLEEP[..]].concat(),
    );
    let port = |words: &[&str]| shop(&env, "compose port", words);
    let plain = |name, inside| env.out(&["port", name, inside]);
    assert_eq!(port(&["web", "80"]).ok().out(), plain("shop-web-1", "80"));
    assert_eq!(
        port(&["--dry-run", "--index", "2", "web", "80"]).ok().out(),
        plain("shop-web-2", "80")
    );
    assert_eq!(
        port(&["--protocol", "udp", "web", "80"]).ok().out(),
        plain("shop-web-1", "80/udp")
    );
    assert_eq!(port(&["web", "9"]).ok().out(), ":0");
    port(&["web", "81"]).fails(1, "no port 81/tcp for container shop-web-1: ");
    port(&["--index=3", "web", "80"]).fails(1, "service \"web\" is not running container #3");
    port(&["db", "80"]).fails(1, "service \"db\" is not running");
    port(&["web", "http"]).fails(1, "invalid port (http)");
}

#[test]
fn compose_top_shows_the_processes_of_all() {
    let env = test_env!();
    some(&env);
    let lines = |words: &[&str]| {
        let shown = shop(&env, "compose top", words).ok();
        let lines = shown.lines().into_iter();
        let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        lines.map(cells).collect::<Vec<Vec<String>>>()
    };
    let all = lines(&["--dry-run"]);
    assert_eq!(
        all[0],
        [
            "SERVICE", "#", "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"
        ]
    );
    let owners: Vec<&[String]> = all[1..].iter().map(|line| &line[..2]).collect();
    assert_eq!(owners, [["web", "1"], ["web", "2"], ["web", "1"]]);
    assert_eq!(all[1][9..], ["sleep", "1000"]);
    assert_eq!(lines(&["web"]).len(), 4);
    assert!(lines(&["db"]).is_empty() && lines(&["nothing"]).is_empty());
}

#[test]
fn compose_stats_measure_a_project() {
    let env = test_env!();
    some(&env);
    let stats = |words: &[&str]| {
        let words = [&["--no-stream", "--format", "{{.Name}}"], words].concat();
        shop(&env, "compose stats", &words).ok().stdout
    };
    let running = "shop-web-1\nshop-web-2\nshop-web-run-1\n";
    assert_eq!(stats(&["--dry-run"]), running);
    for all in ["-a", "--all"] {
        assert_eq!(stats(&[all]), format!("mydb\n{running}"));
    }
    assert_eq!(stats(&["web"]), running);
    assert_eq!(stats(&["db"]), "");
    let id = env.out(&["inspect", "-f", "{{.Id}}", "shop-web-1"]);
    let ids = ["--no-stream", "--no-trunc", "--format", "{{.ID}}", "web"];
    let ids = shop(&env, "compose stats", &ids).ok();
    assert_eq!(ids.lines()[0], id);
    // Without --no-stream they go on.
    let stream = in_shop("compose stats", &["--format", "json", "web"]);
    let mut stream = env.spawn(&stream);
    stream.until("\"Name\":\"shop-web-2\"");
    assert!(stream.is_running());
    stream.signal(nix::sys::signal::Signal::SIGTERM);
    stream.wait();
}

#[test]
fn compose_volumes_lists_a_projects_volumes() {
    let env = test_env!();
    env.busybox();
    for (name, project) in [
        ("shop_data", "shop"),
        ("shop_more", "shop"),
        ("x_data", "x"),
    ] {
        let label = format!("com.docker.compose.project={project}");
        env.run(&["volume", "create", "--label", &label, name]).ok();
    }
    member(
        &env,
        "db",
        1,
        &[&["-v", "shop_data:/data"], &SLEEP[..]].concat(),
    );
    let volumes = |words: &[&str]| shop(&env, "compose volumes", words).ok().stdout;
    assert_eq!(
        volumes(&["--dry-run"]),
        "DRIVER    VOLUME NAME\nlocal     shop_data\nlocal     shop_more\n"
    );
    for quiet in ["-q", "--quiet"] {
        assert_eq!(volumes(&[quiet]), "shop_data\nshop_more\n");
        assert_eq!(volumes(&[quiet, "db"]), "shop_data\n");
        assert_eq!(volumes(&[quiet, "web"]), "");
    }
    assert_eq!(volumes(&["--format", "{{.Name}}", "db"]), "shop_data\n");
    let json: Value = serde_json::from_str(&volumes(&["--format=json", "db"])).expect("an object");
    assert_eq!(json["Name"], "shop_data");
    assert_eq!(json["Labels"], "com.docker.compose.project=shop");
    env.file(
        "shop/compose.yaml",
        "services:\n  db:\n    image: busybox\n",
    );
    filed(&env, "compose volumes", &["web"]).fails(1, "no such service: web");
    assert_eq!(
        filed(&env, "compose volumes", &["-q", "db"]).ok().out(),
        "shop_data"
    );
}

#[test]
fn compose_events_tell_of_a_projects_containers() {
    let env = test_env!();
    some(&env);
    let events = |words: &[&str]| {
        let words = [&["--since", "1h", "--until", "0s"], words].concat();
        shop(&env, "compose events", &words).ok()
    };
    let id = env.out(&["inspect", "-f", "{{.Id}}", "mydb"]);
    let text = events(&["db", "--dry-run"]);
    let actions: Vec<&str> = text
        .lines()
        .iter()
        .map(|line| {
            line.split(' ')
                .nth(3)
                .expect("date, time, container, action")
        })
        .collect();
    assert_eq!(actions, ["create", "start", "die"]);
    assert!(
        text.lines()[0].ends_with(&format!(
            " container create {id} (image=busybox, name=mydb)"
        )),
        "{text:#?}"
    );
    let json = events(&["--json"]).stdout;
    let json: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect();
    // Those of `run` and of other projects are not told of.
    let told = json.iter().filter(|event| event["action"] == "start");
    assert_eq!(told.count(), 3);
    let end = json.iter().find(|event| event["action"] == "die");
    let end = end.expect("one has ended");
    assert_eq!((&end["service"], &end["id"]), (&"db".into(), &id.into()));
    assert_eq!(end["attributes"]["exitCode"], "3");
    assert!(
        end["attributes"]
            .get("com.docker.compose.project")
            .is_none()
    );
    // Without an end they go on.
    let mut follower = env.spawn(&in_shop("compose events", &["--since", "0s", "web"]));
    eventually("somebody to follow", || {
        env.run(&["pause", "shop-web-2"]).ok();
        env.run(&["unpause", "shop-web-2"]).ok();
        follower.has_written("container unpause ")
    });
    follower.signal(nix::sys::signal::Signal::SIGTERM);
    follower.wait();
    let wrong = ["--since", "1s", "--until", "1h"];
    shop(&env, "compose events", &wrong).fails(1, "cannot be after");
}
