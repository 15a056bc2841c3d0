//! `commit`: an image of what a container has become, and what may be said of it.

use crate::dockerfile::{inspected, shell as out};
use crate::env::{TestEnv, shared_env, test_env};
use crate::image::{Layer, busybox};
use crate::spellings::ask;

fn container(env: &TestEnv, name: &str, script: &str) {
    let run = ["run", "--network", "none", "--name", name, "busybox"];
    env.run(&[&run[..], &["sh", "-c", script]].concat()).ok();
}

#[test]
fn commit_makes_an_image_of_the_changes() {
    let env = shared_env!();
    let below = Layer::new()
        .directory("keep/", 0o755)
        .file("keep/file", 0o644, "kept")
        .file("keep/gone", 0o644, "other");
    env.load(&busybox().with(&below).docker_archive("busybox:latest"));
    let script = "echo new > /new; ln /new /same; chown 1000:50 /new; chmod 4711 /new; rm /etc/group; \
        rm -r /keep; mkdir /keep; echo again > /keep/file; mkfifo /pipe; ln -s /new /link";
    container(&env, "ended", script);
    for (number, command) in ["commit", "container commit"].into_iter().enumerate() {
        let name = format!("made:{number}");
        let id = ask(&env, command, &["ended", &name]).ok().out();
        assert_eq!(id.trim_start_matches("sha256:").len(), 64, "{id}");
        let seen = "cat /new; stat -c '%u %g %a %h' /new; ls /keep; cat /link; test -p /pipe && echo pipe; \
            test -e /etc/group || echo gone";
        let found = out(&env, &name, seen);
        assert_eq!(
            found, "new\n1000 50 4711 2\nfile\nnew\npipe\ngone",
            "{command}"
        );
        // The program is the container's.
        assert_eq!(
            inspected(&env, &name)["Config"]["Cmd"],
            serde_json::json!(["sh", "-c", script])
        );
    }
}

#[test]
fn the_layer_holds_what_was_changed_and_nothing_else() {
    let env = test_env!();
    env.busybox();
    container(&env, "one", "echo new > /srv-file");
    let id = env.out(&["commit", "one", "small"]);
    assert!(id.starts_with("sha256:"), "{id}");
    let image = inspected(&env, "small");
    let layers = image["RootFS"]["Layers"]
        .as_array()
        .expect("a list")
        .clone();
    assert_eq!(layers.len(), 2);
    let top = image["GraphDriver"]["Data"]["UpperDir"].as_str();
    assert_eq!(
        crate::env::names(top.expect("a path").as_ref()),
        ["srv-file"]
    );
    // A container that changed nothing adds none.
    container(&env, "nothing", "true");
    env.run(&["commit", "nothing", "same"]).ok();
    let image = inspected(&env, "same");
    assert_eq!(image["RootFS"]["Layers"].as_array().map(Vec::len), Some(1));
    // The same changes again are the same layer.
    env.run(&["commit", "one", "small-again"]).ok();
    assert_eq!(
        inspected(&env, "small-again")["RootFS"]["Layers"],
        serde_json::json!(layers)
    );
    // An image on an image, after the first container is gone.
    env.run(&[
        "run",
        "--network",
        "none",
        "--name",
        "two",
        "small",
        "rm",
        "/srv-file",
    ])
    .ok();
    env.run(&["commit", "two", "third"]).ok();
    env.run(&["rm", "one", "two", "nothing"]).ok();
    assert_eq!(out(&env, "third", "test -e /srv-file || echo gone"), "gone");
    assert_eq!(out(&env, "small", "cat /srv-file"), "new");
}

#[test]
fn commit_change_takes_dockerfile_instructions() {
    let env = test_env!();
    env.busybox();
    container(&env, "base", "true");
    for command in ["commit", "container commit"] {
        for flag in ["-c", "--change"] {
            let changes = [
                flag,
                "ENV A=1 B=\"two words\"",
                flag,
                "WORKDIR /work",
                flag,
                "USER app",
                flag,
                "EXPOSE 80",
                flag,
                "LABEL x=y",
                flag,
                "VOLUME /v",
                flag,
                "ONBUILD RUN x",
                flag,
                "STOPSIGNAL SIGINT",
                flag,
                "HEALTHCHECK --interval=5s CMD true",
                flag,
                "ENTRYPOINT [\"sh\", \"-c\"]",
                flag,
                "CMD [\"echo $A $B; pwd; id -un\"]",
                "base",
                "changed",
            ];
            ask(&env, command, &changes).ok();
            let config = inspected(&env, "changed")["Config"].clone();
            assert_eq!(config["ExposedPorts"], serde_json::json!({ "80/tcp": {} }));
            assert_eq!(config["Labels"]["x"], "y");
            assert_eq!(config["Volumes"], serde_json::json!({ "/v": {} }));
            assert_eq!(config["OnBuild"], serde_json::json!(["RUN x"]));
            assert_eq!(config["StopSignal"], "SIGINT");
            assert_eq!(
                config["Healthcheck"]["Test"],
                serde_json::json!(["CMD-SHELL", "true"])
            );
            let run = ["run", "--rm", "--network", "none", "changed"];
            assert_eq!(env.out(&run), "1 two words\n/work\napp");
            ask(&env, command, &[flag, "RUN x", "base", "never"])
                .fails(1, "RUN is not a valid change command");
        }
    }
    assert_eq!(env.run(&["image", "inspect", "never"]).code, 1);
}

#[test]
fn commit_author_and_message_are_in_the_image() {
    let env = test_env!();
    env.busybox();
    container(&env, "base", "true");
    for command in ["commit", "container commit"] {
        for (author, message) in [("-a", "-m"), ("--author", "--message")] {
            let said = [author, "A. Uthor", message, "why", "base", "said"];
            ask(&env, command, &said).ok();
            let image = inspected(&env, "said");
            assert_eq!(image["Author"], "A. Uthor", "{command}");
            assert_eq!(image["Comment"], "why");
        }
    }
}

#[test]
fn commit_pause_stops_the_container_meanwhile() {
    let env = test_env!();
    env.busybox();
    // The first file and the last differ by one at most, unless it goes on while the big one between them is read.
    let script = "dd if=/dev/zero of=/big bs=1M count=16; i=0; echo ready; while true; do i=$((i+1)); echo $i > /a; echo $i > /zz; done";
    env.run(&[
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "busy",
        "busybox",
        "sh",
        "-c",
        script,
    ])
    .ok();
    let mut logs = env.spawn(&["logs", "-f", "busy"]);
    logs.until("ready");
    logs.signal(nix::sys::signal::Signal::SIGKILL);
    logs.wait();
    let same = "a=$(cat /a); z=$(cat /zz); test -z \"$a\" -o -z \"$z\" || test $((a-z)) -ge 0 -a $((a-z)) -le 1 && echo same";
    for command in ["commit", "container commit"] {
        for flags in [&["-p"][..], &["--pause"], &["--pause=true"], &[]] {
            let words = [flags, &["busy", "still"]].concat();
            let made = ask(&env, command, &words).ok();
            if made.stderr.contains("was not paused") {
                // A host that delegates no cgroup.
                assert!(!flags.is_empty(), "{made:?}");
                continue;
            }
            assert_eq!(out(&env, "still", same), "same", "{command} {flags:?}");
        }
        for flags in [&["--pause=false"][..], &["-p=false"], &["--no-pause"]] {
            let made = ask(&env, command, &[flags, &["busy", "moving"]].concat()).ok();
            // A file that is written meanwhile may be cut: that is said.
            assert!(
                !made.stderr.contains("paused"),
                "{command} {flags:?}: {made:?}"
            );
        }
    }
    // It goes on afterwards.
    let first = env.out(&["cp", "busy:/a", "-"]);
    crate::process::eventually("the container runs again", || {
        env.out(&["cp", "busy:/a", "-"]) != first
    });
}

#[test]
fn a_container_cannot_delete_files_of_the_image_by_names() {
    let env = test_env!();
    env.busybox();
    container(
        &env,
        "evil",
        "touch /etc/.wh.passwd /bin/.wh..wh..opq; echo x > /good",
    );
    let made = env.run(&["commit", "evil", "made"]).ok();
    assert!(made.stderr.contains("WARNING"), "{made:?}");
    assert_eq!(out(&env, "made", "test -s /etc/passwd && cat /good"), "x");
    env.run(&["commit", "nobody"])
        .fails(1, "No such container: nobody");
}
