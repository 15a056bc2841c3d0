//! `diff`: docker's letters for what a container changed, and nothing of what the engine put there.

use crate::env::{TestEnv, shared_env, test_env};
use crate::image::{Layer, busybox};
use crate::spellings::ask;

const CHANGES: &str = "echo x > /new; mkdir /made; echo y > /made/inside; rm /etc/group; chmod 700 /home/app; \
    echo more >> /etc/passwd; rm -r /usr; ln -s a /link";

fn image(env: &TestEnv) {
    let below = Layer::new()
        .directory("keep/", 0o755)
        .file("keep/file", 0o644, "kept")
        .file("keep/other", 0o644, "other");
    env.load(&busybox().with(&below).docker_archive("layers:latest"));
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn diff_lists_what_was_added_changed_and_deleted() {
    let env = shared_env!();
    image(&env);
    let script = format!("{CHANGES}; echo ready; exec sleep 1000");
    for (name, script) in [("running", script.as_str()), ("ended", CHANGES)] {
        let mut run = vec!["run", "--network", "none", "--name", name];
        if name == "running" {
            run.push("-d");
        }
        env.run(&[&run[..], &["layers", "sh", "-c", script]].concat())
            .ok();
        if name == "running" {
            let mut logs = env.spawn(&["logs", "-f", name]);
            logs.until("ready");
            logs.signal(nix::sys::signal::Signal::SIGKILL);
            logs.wait();
        }
        for command in ["diff", "container diff"] {
            let found = ask(&env, command, &[name]).ok().out();
            let expected = [
                "A /link",
                "A /made",
                "A /made/inside",
                "A /new",
                "C /etc",
                "C /etc/passwd",
                "C /home",
                "C /home/app",
                "D /etc/group",
                "D /usr",
            ];
            assert_eq!(sorted(&found), expected, "{name}, {command}");
        }
    }
}

#[test]
fn an_untouched_container_has_no_changes() {
    let env = test_env!();
    image(&env);
    let file = env.file("bound/file", "x");
    let bound = file.strip_suffix("/file").expect("it is its name");
    let volume = format!("{bound}:/deep/er/data");
    let one = format!("{file}:/etc/one");
    let made = [
        "run",
        "--name",
        "quiet",
        "--network",
        "none",
        "-v",
        &volume,
        "-v",
        &one,
        "--tmpfs",
        "/scratch",
    ];
    env.run(
        &[
            &made[..],
            &[
                "layers",
                "sh",
                "-c",
                "cat /keep/file; chmod 644 /keep/other",
            ],
        ]
        .concat(),
    )
    .ok();
    assert_eq!(env.out(&["diff", "quiet"]), "");
    let id = env.out(&["create", "--network", "none", "layers"]);
    assert_eq!(env.out(&["diff", &id]), "");
    env.run(&["diff", "nobody"])
        .fails(1, "No such container: nobody");
}

#[test]
fn a_replaced_directory_shows_what_it_lost() {
    let env = test_env!();
    image(&env);
    let script = "rm -r /keep; mkdir /keep; echo new > /keep/file";
    let run = ["run", "--name", "replaced", "--network", "none", "layers"];
    env.run(&[&run[..], &["sh", "-c", script]].concat()).ok();
    let found = env.out(&["diff", "replaced"]);
    assert_eq!(sorted(&found), ["C /keep", "C /keep/file", "D /keep/other"]);
}
