//! What of the store is used and what can go: `system df`, `image prune`, `system prune`.

use crate::env::{TestEnv, test_env};
use crate::image::{Layer, busybox};
use crate::spellings::ask;

const NONE: [&str; 2] = ["--network", "none"];

/// `busybox:latest`, an image without a name beneath another, and `other:1` with a label; the ids of the last two.
fn three(env: &TestEnv) -> [String; 2] {
    let old = busybox().with(&Layer::new().file("old", 0o644, vec![1; 500_000]));
    env.load(&old.docker_archive("busybox:latest"));
    env.busybox();
    let other = busybox()
        .with(&Layer::new().file("other", 0o644, vec![2; 300_000]))
        .configured("Labels", serde_json::json!({ "tier": "front" }));
    env.load(&other.docker_archive("other:1"));
    [old.id(), other.id()]
}

fn ids(env: &TestEnv) -> usize {
    let all = env.out(&["images", "-aq", "--no-trunc"]);
    all.lines().collect::<std::collections::BTreeSet<_>>().len()
}

#[test]
fn image_prune_removes_what_has_no_tag() {
    let env = test_env!();
    for flag in ["-f", "--force"] {
        let [old, _] = three(&env);
        let pruned = ask(&env, "image prune", &[flag]).ok();
        let lines = pruned.lines();
        assert_eq!(lines[0], "Deleted Images:");
        assert!(lines.contains(&format!("deleted: sha256:{old}").as_str()));
        assert_eq!(lines[lines.len() - 2], "");
        assert_eq!(lines[lines.len() - 1], "Total reclaimed space: 500kB");
        assert_eq!(ids(&env), 2);
        let again = ask(&env, "image prune", &[flag]).ok();
        assert_eq!(again.stdout, "Total reclaimed space: 0B\n");
        env.run(&["rmi", "busybox", "other:1"]).ok();
    }
}

#[test]
fn image_prune_all_keeps_what_a_container_has() {
    let env = test_env!();
    for flag in ["-a", "--all"] {
        three(&env);
        let made = env.out(&["create", NONE[0], NONE[1], "busybox"]);
        let pruned = ask(&env, "image prune", &[flag, "-f"]).ok();
        assert!(pruned.stdout.contains("untagged: other:1\n"), "{pruned:?}");
        let left = env.out(&["images", "-a", "--format", "{{.Repository}}"]);
        assert_eq!(left, "busybox", "{flag}");
        env.run(&["rm", &made]).ok();
        env.run(&["rmi", "busybox"]).ok();
    }
}

#[test]
fn image_prune_asks_first() {
    let env = test_env!();
    three(&env);
    for (flags, which) in [
        (&[][..], "all dangling images"),
        (
            &["--all"],
            "all images without at least one container associated to them",
        ),
    ] {
        let words = [&["image", "prune"], flags].concat();
        let asked = env.command(&words).input("n\n").run().ok();
        let question = format!(
            "WARNING! This will remove {which}.\nAre you sure you want to continue? [y/N] "
        );
        assert!(asked.stdout.starts_with(&question), "{asked:?}");
        assert_eq!(ids(&env), 3);
    }
    env.command(&["image", "prune"]).input("y\n").run().ok();
    assert_eq!(ids(&env), 2);
}

#[test]
fn image_prune_filters_choose() {
    let env = test_env!();
    three(&env);
    let left = |filters: &[&str]| {
        let mut words = vec!["-a", "-f"];
        for filter in filters {
            words.extend(["--filter", filter]);
        }
        ask(&env, "image prune", &words).ok();
        ids(&env)
    };
    // The images of the tests were made in 2024.
    assert_eq!(left(&["until=2023-01-01T00:00:00"]), 3);
    assert_eq!(left(&["label=tier=back"]), 3);
    assert_eq!(left(&["label=tier=front", "until=24h"]), 2);
    let dangling = ask(&env, "image prune", &["-f", "--filter", "dangling=true"]);
    assert!(dangling.ok().stdout.contains("deleted: sha256:"));
    assert_eq!(ids(&env), 1);
    let unused = ask(&env, "image prune", &["-f", "--filter", "dangling=false"]);
    assert!(unused.ok().stdout.contains("untagged: busybox:latest"));
    assert_eq!(ids(&env), 0);
    for filter in ["colour=red", "dangling=perhaps", "until=whenever"] {
        let refused = ask(&env, "image prune", &["-f", "--filter", filter]);
        refused.fails(1, filter.split('=').next().expect("it has a key"));
    }
}

#[test]
fn system_prune_removes_containers_and_images() {
    let env = test_env!();
    for flag in ["-f", "--force"] {
        three(&env);
        env.out(&["create", NONE[0], NONE[1], "-v", "/data", "busybox"]);
        let pruned = ask(&env, "system prune", &[flag]).ok();
        let text = &pruned.stdout;
        assert!(text.starts_with("Deleted Containers:\n"), "{text}");
        assert!(
            text.contains("\n\nDeleted Images:\ndeleted: sha256:"),
            "{text}"
        );
        assert!(text.ends_with("\nTotal reclaimed space: 500kB\n"), "{text}");
        assert_eq!((env.out(&["ps", "-aq"]).as_str(), ids(&env)), ("", 2));
        assert_eq!(env.out(&["volume", "ls", "-q"]).lines().count(), 1);
        env.run(&["volume", "prune", "-f"]).ok();
        env.run(&["rmi", "busybox", "other:1"]).ok();
    }
}

#[test]
fn system_prune_all_and_volumes_leave_nothing_unused() {
    let env = test_env!();
    for all in ["-a", "--all"] {
        three(&env);
        env.run(&["volume", "create", "kept"]).ok();
        env.out(&["create", NONE[0], NONE[1], "-v", "/data", "busybox"]);
        let pruned = ask(&env, "system prune", &[all, "--volumes", "-f"]).ok();
        assert!(pruned.stdout.contains("Deleted Volumes:\n"), "{pruned:?}");
        assert_eq!((env.out(&["ps", "-aq"]).as_str(), ids(&env)), ("", 0));
        assert_eq!(env.out(&["volume", "ls", "-q"]), "kept", "{all}");
        env.run(&["volume", "rm", "kept"]).ok();
    }
}

#[test]
fn system_prune_asks_first_and_filters() {
    let env = test_env!();
    three(&env);
    env.out(&["create", NONE[0], NONE[1], "--label", "keep", "busybox"]);
    let question = "WARNING! This will remove:\n  - all stopped containers\n  - all dangling images\n  - unused build cache\n\n  \
        Items to be pruned will be filtered with:\n  - label!=keep\n\n\
        Are you sure you want to continue? [y/N] ";
    let words = ["system", "prune", "--filter", "label!=keep"];
    let asked = env.command(&words).input("n\n").run().ok();
    assert!(asked.stdout.starts_with(question), "{asked:?}");
    assert_eq!(ids(&env), 3);
    ask(&env, "system prune", &["-f", "--filter", "label!=keep"]).ok();
    assert_eq!(env.out(&["ps", "-aq"]).lines().count(), 1);
    assert_eq!(ids(&env), 2);
    let refused = ["-f", "--volumes", "--filter", "until=1h"];
    ask(&env, "system prune", &refused).fails(125, "\"until\" filter is not supported");
}

/// Bytes of `1.234MB`.
fn bytes(text: &str) -> f64 {
    let end = text.find(|c: char| c.is_ascii_alphabetic());
    let (number, unit) = text.split_at(end.expect("it has a unit"));
    let power = ["B", "kB", "MB", "GB"].iter().position(|u| *u == unit);
    let number: f64 = number.parse().expect("a number");
    number * 1000_f64.powi(power.expect("a unit").try_into().expect("small"))
}

#[test]
fn system_df_counts_as_du_does() {
    let env = test_env!();
    three(&env);
    let script = "head -c 700000 /dev/zero > /file; head -c 200000 /dev/zero > /data/file";
    let run = [
        "run",
        "--name",
        "one",
        NONE[0],
        NONE[1],
        "-v",
        "vol:/data",
        "busybox",
        "sh",
        "-c",
        script,
    ];
    env.run(&run).ok();
    // An image that only its container still has.
    env.run(&["create", NONE[0], NONE[1], "other:1"]).ok();
    env.run(&["rmi", "-f", "other:1"]).ok();
    let table = ask(&env, "system df", &[]).ok();
    let lines = table.lines();
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        words(lines[0]),
        ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    );
    assert_eq!(words(lines[1])[..3], ["Images", "2", "1"]);
    assert_eq!(words(lines[2])[..3], ["Containers", "2", "0"]);
    assert_eq!(words(lines[3])[..4], ["Local", "Volumes", "1", "1"]);
    let sizes = ask(&env, "system df", &["--format", "{{.Size}}"]).ok();
    let said: f64 = sizes.lines().into_iter().map(bytes).sum();
    let store = env.store();
    let du = ["unshare", "du", "-s", "--block-size=1"];
    let du = env.out(&[&du[..], &[store.to_str().expect("UTF-8")]].concat());
    let true_size: f64 = du
        .split_whitespace()
        .next()
        .expect("a number")
        .parse()
        .expect("one");
    let difference = (said - true_size).abs() / true_size;
    assert!(difference < 0.02, "{said} instead of {true_size}");
    let json = ask(&env, "system df", &["--format=json"]).ok();
    let row: serde_json::Value = serde_json::from_str(json.lines()[0]).expect("JSON");
    assert_eq!(
        (&row["Type"], &row["Active"]),
        (&"Images".into(), &"1".into())
    );
}

#[test]
fn system_df_verbose_shows_each_thing() {
    let env = test_env!();
    let [_, other] = three(&env);
    env.out(&[
        "create",
        "--name",
        "one",
        NONE[0],
        NONE[1],
        "-v",
        "vol:/data",
        "other:1",
    ]);
    for flag in ["-v", "--verbose"] {
        let shown = ask(&env, "system df", &[flag]).ok().out();
        for part in [
            "Images space usage:\n\nREPOSITORY",
            "SHARED SIZE",
            "UNIQUE SIZE",
            "\n\nContainers space usage:\n\nCONTAINER ID",
            "\n\nLocal Volumes space usage:\n\nVOLUME NAME",
        ] {
            assert!(shown.contains(part), "{part:?} in {shown}");
        }
        let row = shown.lines().find(|line| line.starts_with("other "));
        let row: Vec<&str> = row.expect("a row").split_whitespace().collect();
        assert_eq!(row[2], &other[..12]);
        let [size, shared, unique, containers] = row[row.len() - 4..] else {
            panic!("{row:?}")
        };
        assert!((bytes(size) - bytes(shared) - bytes(unique)).abs() < 0.001 * bytes(size));
        assert!(
            bytes(unique) > 300_000.0 && bytes(unique) < 340_000.0,
            "{row:?}"
        );
        assert!(bytes(shared) > 1e6, "{row:?}");
        assert_eq!(containers, "1");
        let volume = shown.lines().find(|line| line.starts_with("vol "));
        assert_eq!(volume.expect("a row").split_whitespace().nth(1), Some("1"));
    }
    // What docker gives a template with -v: the four lists.
    let names = "{{range .Images}}{{.Repository}} {{.ID}} {{end}}{{range .Volumes}}{{.Name}} {{.Links}}{{end}}";
    let shown = ask(&env, "system df", &["-v", "--format", names])
        .ok()
        .out();
    assert!(shown.contains(&format!("other sha256:{other} ")), "{shown}");
    assert!(shown.ends_with("vol 1"), "{shown}");
    let json = ask(&env, "system df", &["-v", "--format", "json"])
        .ok()
        .out();
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    let images = json["Images"].as_array().expect("a list");
    assert!(images.iter().any(|image| image["Repository"] == "other"));
    assert_eq!(json["Containers"][0]["Image"], "other:1");
    assert_eq!(json["BuildCache"], serde_json::json!([]));
}
