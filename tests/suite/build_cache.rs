//! What builds keep for the next one: how it is shown, pruned and kept below the budget.

use crate::dockerfile::{build, build_by, build_text, cached, context};
use crate::env::{TestEnv, test_env};
use crate::spellings::ask;

const TEXT: &str = "FROM busybox\nCOPY data /data\nRUN head -c 900000 /dev/urandom > /big\n\
    RUN --mount=type=cache,target=/c,id=mine head -c 500000 /dev/urandom > /c/x; echo $RANDOM > /small\n";

/// An image, its steps, a cache mount, the digests of its context.
fn built(env: &TestEnv) -> String {
    env.busybox();
    let directory = context(env, "app", &[("Dockerfile", TEXT), ("data", "x")]);
    build(env, &directory, &["-t", "made"]).ok();
    directory
}

fn rows(env: &TestEnv) -> Vec<String> {
    let shown = env.out(&["buildx", "du"]);
    let rows = shown.lines().skip(1);
    rows.take_while(|line| !line.contains(':'))
        .map(str::to_owned)
        .collect()
}

/// The cells of the last line of `system df`.
fn cache_line(env: &TestEnv) -> Vec<String> {
    let table = env.out(&["system", "df"]);
    let line = table.lines().last().unwrap_or_default();
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn prune_removes_what_no_image_has_and_with_all_the_rest() {
    let env = test_env!();
    let directory = built(&env);
    let question = "WARNING! This will remove all dangling build cache.\nAre you sure you want to continue? [y/N] ";
    let asked = env.command(&["builder", "prune"]).input("n\n").run().ok();
    assert_eq!(asked.stdout, question);
    assert_eq!(
        rows(&env).len(),
        5,
        "three steps, a mount, digests of files"
    );
    let table = ask(&env, "builder prune", &["-f", "--builder", "any"]).ok();
    assert!(table.stdout.starts_with("ID "), "{}", table.stdout);
    assert!(table.stdout.contains("\nTotal:    5"), "{}", table.stdout);
    // The steps whose layers the image has are still known.
    assert_eq!(rows(&env).len(), 3);
    assert_eq!(cached(&build(&env, &directory, &[]).ok()), 3);
    for flag in ["-a", "--all"] {
        let question =
            "WARNING! This will remove all build cache.\nAre you sure you want to continue? [y/N] ";
        let asked = env
            .command(&["builder", "prune", flag])
            .input("n\n")
            .run()
            .ok();
        assert_eq!(asked.stdout, question);
        ask(&env, "builder prune", &[flag, "--force"]).ok();
        assert!(rows(&env).is_empty());
        env.run(&[
            "run",
            "--rm",
            "--network",
            "none",
            "made",
            "test",
            "-e",
            "/big",
        ])
        .ok();
        assert_eq!(cached(&build(&env, &directory, &[]).ok()), 0);
    }
    // Without the image and the cache nothing is left of the layers.
    env.run(&["rmi", "-f", "made"]).ok();
    env.run(&["image", "prune", "-f"]).ok();
    ask(&env, "builder prune", &["-f", "-a"]).ok();
    assert_eq!(
        env.out(&[
            "unshare",
            "sh",
            "-c",
            "ls $XDG_DATA_HOME/bryo/layers | wc -l"
        ]),
        "1"
    );
    assert!(env.out(&["system", "check"]).is_empty());
}

#[test]
fn prune_filters_and_leaves_as_much_as_it_is_told() {
    let env = test_env!();
    built(&env);
    env.run(&["rmi", "made"]).ok();
    for (flag, value) in [
        ("--filter", "until=1h"),
        ("--filter", "type=frontend"),
        ("--max-used-space", "1g"),
        ("--reserved-space", "1g"),
        ("--min-free-space", "1"),
    ] {
        let kept = ask(&env, "builder prune", &["-f", flag, value]).ok();
        assert_eq!(kept.stdout, "Total:    0B\n", "{flag} {value}");
        assert_eq!(rows(&env).len(), 5);
    }
    for flag in ["-D", "--debug"] {
        let said = ask(&env, "builder prune", &["-f", "--filter=id=none", flag]).ok();
        assert!(said.stderr.contains("DEBUG"), "{}", said.stderr);
    }
    ask(&env, "builder prune", &["-f", "--filter", "color=blue"])
        .fails(1, "invalid filter 'color'");
    let gone = ask(
        &env,
        "builder prune",
        &["-f", "--verbose", "--filter", "type=exec.cachemount"],
    )
    .ok();
    assert!(
        gone.stdout.contains("Description:   cached mount mine\n"),
        "{}",
        gone.stdout
    );
    assert_eq!(rows(&env).len(), 4);
    // The large one goes, and what was not used longer.
    ask(&env, "builder prune", &["-f", "--keep-storage", "100kB"]).ok();
    let left = rows(&env);
    assert!(!left.is_empty() && left.len() < 4, "{left:?}");
    ask(&env, "builder prune", &["-f"]).ok();
    assert!(rows(&env).is_empty());
}

#[test]
fn a_cache_mount_that_a_build_uses_stays() {
    let env = test_env!();
    env.busybox();
    let text = "FROM busybox\nRUN --mount=type=cache,target=/c echo ready; until test -e /c/end; do sleep 0.01; done; echo ended\n";
    let directory = context(&env, "app", &[("Dockerfile", text)]);
    let mut building = env.spawn(&["build", "--network", "none", &directory]);
    building.until("ready");
    assert!(
        env.out(&["buildx", "du", "--filter", "inuse=true"])
            .contains("false")
    );
    ask(&env, "builder prune", &["-a", "-f"]).ok();
    let end = "for d in $XDG_CACHE_HOME/bryo/build/mounts/*/; do touch $d/end; done";
    env.run(&["unshare", "sh", "-c", end]).ok();
    assert_eq!(building.wait().code, 0);
    ask(&env, "builder prune", &["-a", "-f"]).ok();
    assert!(rows(&env).is_empty());
}

#[test]
fn df_and_system_prune_know_what_builds_keep() {
    let env = test_env!();
    built(&env);
    let line = cache_line(&env);
    assert_eq!(line[..4], ["Build", "Cache", "5", "0"], "{line:?}");
    env.run(&["rmi", "made"]).ok();
    let line = cache_line(&env);
    assert!(
        line[4].starts_with("1.4") && line[4].ends_with("MB"),
        "{line:?}"
    );
    let verbose = env.out(&["system", "df", "-v"]);
    assert!(verbose.contains("\n\nBuild cache usage: 1.4"), "{verbose}");
    assert!(verbose.contains("\nCACHE ID "), "{verbose}");
    let kept = env
        .run(&["system", "prune", "-f", "--filter", "label=a"])
        .ok();
    assert!(!kept.stdout.contains("build cache"), "{}", kept.stdout);
    let pruned = env.run(&["system", "prune", "-f"]).ok();
    assert!(
        pruned.stdout.contains("Deleted build cache objects:\n"),
        "{}",
        pruned.stdout
    );
    assert!(
        pruned.stdout.contains("\nTotal reclaimed space: 1.4"),
        "{}",
        pruned.stdout
    );
    assert_eq!(cache_line(&env)[2], "0");
}

#[test]
fn the_budget_takes_steps_that_were_not_used_for_longest() {
    let mut env = test_env!();
    env.set("BRYO_STORAGE_MAX", "5MB");
    env.busybox();
    let text =
        |number: usize| format!("FROM busybox\nRUN head -c 900000 /dev/urandom > /{number}\n");
    for number in 0..6 {
        build_text(&env, &text(number), &[]).ok();
        env.run(&["rmi", "made"]).ok();
    }
    let left = rows(&env).len();
    assert!((1..6).contains(&left), "{left} steps are left");
    assert_eq!(cached(&build_text(&env, &text(5), &[]).ok()), 1);
    assert_eq!(cached(&build_text(&env, &text(0), &[]).ok()), 0);
}

#[test]
fn buildx_is_another_word_for_the_same() {
    let env = test_env!();
    env.busybox();
    let directory = context(
        &env,
        "app",
        &[("Dockerfile", "FROM busybox\nRUN echo x > /x\n")],
    );
    let created = env
        .run(&["buildx", "create", "--name", "fast", "--use"])
        .ok();
    assert_eq!(created.stdout, "fast\n");
    assert_eq!(created.stderr, "there is one builder: fast stands for it\n");
    env.run(&["buildx", "create", "--driver", "kubernetes"])
        .fails(125, "failed to find driver");
    env.run(&["buildx", "use", "fast"]).ok();
    for command in ["buildx build", "buildx b"] {
        build_by(
            &env,
            command,
            &directory,
            &["--builder", "fast", "--load", "-t", "made"],
        )
        .ok();
    }
    let row = env.out(&["buildx", "ls", "--format", "{{.Name}} {{.Platforms}}"]);
    assert!(row.starts_with("default* linux/"), "{row}");
    assert!(
        env.out(&["buildx", "inspect", "--bootstrap"])
            .contains("Driver: bryo")
    );
    assert!(
        env.out(&["buildx", "version"])
            .contains(env!("CARGO_PKG_VERSION"))
    );
    let shown = env.out(&["buildx", "du", "--verbose"]);
    assert!(shown.contains("echo x > /x # buildkit\n"), "{shown}");
    env.run(&["buildx", "prune", "-af"]).ok();
    assert!(rows(&env).is_empty());
    env.run(&["buildx", "rm", "fast"]).ok();
}
