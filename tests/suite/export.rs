//! `export`: a container's whole root as a tar, without what is mounted below it.

use std::fs;

use crate::env::{TestEnv, shared_env, test_env};
use crate::spellings::{ask, words};

fn listing(env: &TestEnv, file: &str) -> String {
    let flags = ["--numeric-owner", "-tvf", file];
    env.other("tar", &flags).run().ok().out()
}

/// A container with a changed root, with something bound into it, that runs or has ended.
fn changed(env: &TestEnv, name: &str, runs: bool) {
    env.file("bound/secret", "of the host");
    let volume = format!("{}:/data", env.path("home/bound").display());
    let script = "echo new > /new; ln /new /same; chown 1000:50 /new; mkfifo /pipe; rm /etc/group; cat /data/secret";
    let mut run = vec!["run", "--network", "none", "-v", &volume, "--name", name];
    let script = match runs {
        true => format!("{script}; echo ready; exec sleep 1000"),
        false => script.to_owned(),
    };
    if runs {
        run.push("-d");
    }
    run.extend(["busybox", "sh", "-c", &script]);
    env.run(&run).ok();
    if runs {
        let mut logs = env.spawn(&["logs", "-f", name]);
        logs.until("ready");
        logs.signal(nix::sys::signal::Signal::SIGKILL);
        logs.wait();
    }
}

#[test]
fn export_writes_the_root_as_a_tar() {
    let env = shared_env!();
    env.busybox();
    changed(&env, "running", true);
    changed(&env, "ended", false);
    for name in ["running", "ended"] {
        for command in ["export", "container export"] {
            let tar = env.path("home").join("out.tar");
            let out = fs::File::create(&tar).expect("home is writable");
            let mut export = env.command(&words(command, &[name])).into_command();
            let status = export.stdout(out).status().expect("it starts");
            assert!(status.success(), "{command} {name}");
            let listed = listing(&env, tar.to_str().expect("test paths are UTF-8"));
            let line = |end: &str| listed.lines().find(|line| line.ends_with(end));
            let new = line(" new").unwrap_or_else(|| panic!("{listed}"));
            assert!(new.starts_with("-rw-r--r-- 1000/50 "), "{new}");
            assert!(line(" same link to new").is_some(), "{listed}");
            assert!(line(" bin/sh -> busybox").is_some(), "{listed}");
            assert!(line(" pipe").is_some_and(|line| line.starts_with('p')));
            assert!(line(" etc/group").is_none(), "{listed}");
            assert!(line("data/secret").is_none(), "{listed}");
            let shown = ["proc/1", "sys/kernel", "dev/null"];
            for path in shown {
                assert!(!listed.contains(path), "{path} in {listed}");
            }
        }
    }
}

#[test]
fn export_output_names_the_file() {
    let env = test_env!();
    env.busybox();
    changed(&env, "ended", false);
    for command in ["export", "container export"] {
        for flag in ["-o", "--output"] {
            let file = env.path("home").join("root.tar");
            let file = file.to_str().expect("test paths are UTF-8");
            assert_eq!(ask(&env, command, &[flag, file, "ended"]).ok().stdout, "");
            let name = format!("again:{}", command.len() + flag.len());
            env.run(&["import", file, &name]).ok();
            let cat = [
                "run",
                "--rm",
                "--network",
                "none",
                &name,
                "/bin/cat",
                "/new",
            ];
            assert_eq!(env.out(&cat), "new");
            fs::remove_file(file).expect("it was written");
        }
    }
    env.run(&["export", "-o", "/no/such/file", "ended"])
        .fails(1, "invalid output path");
    env.run(&["export", "-o", "/dev/null", "ended"])
        .fails(1, "got a device");
    let file = env.path("home").join("none.tar");
    let file = file.to_str().expect("test paths are UTF-8");
    env.run(&["export", "-o", file, "nobody"])
        .fails(1, "No such container: nobody");
    assert!(!std::path::Path::new(file).exists());
    let left = crate::env::names(&env.path("home"));
    assert!(
        left.iter().all(|name| !name.starts_with(".tmp-")),
        "{left:?}"
    );
}

#[test]
fn export_does_not_write_to_a_terminal() {
    let env = test_env!();
    env.busybox();
    changed(&env, "ended", false);
    let mut terminal = env.terminal(&["export", "ended"]);
    terminal.expect("cowardly refusing to save to a terminal");
    assert_eq!(terminal.wait(), 1);
}
