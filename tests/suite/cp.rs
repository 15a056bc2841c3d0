//! `cp` both ways, on running and stopped containers, by docker's rules for paths, and against containers that fight it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use crate::env::{TestEnv, bryo, count, shared_env, test_env};
use crate::image::Layer;
use crate::process::{Outcome, eventually};
use crate::spellings::{ask, words};
use crate::terminal::Terminal;

/// A container that runs and one that ended, each with these files.
fn both(env: &TestEnv) -> [&'static str; 2] {
    let script = "mkdir -p /d/sub /empty; echo one > /d/one; echo two > /d/sub/two; ln -s sub /d/link; \
        ln -s /d/one /flink; ln -s /d /dlink; chown 1000:50 /d/sub/two; chmod 750 /d/one";
    let network = ["--network", "none"];
    let running = format!("{script}; echo ready; exec sleep 1000");
    let parts = [&["run", "-d", "--name", "running"], &network[..]].concat();
    env.run(&[&parts[..], &["busybox", "sh", "-c", &running]].concat())
        .ok();
    let mut logs = env.spawn(&["logs", "-f", "running"]);
    logs.until("ready");
    logs.signal(nix::sys::signal::Signal::SIGKILL);
    logs.wait();
    let parts = [&["run", "--name", "ended"], &network[..]].concat();
    env.run(&[&parts[..], &["busybox", "sh", "-c", script]].concat())
        .ok();
    ["running", "ended"]
}

fn home(env: &TestEnv, name: &str) -> String {
    let path = env.path("home").join(name);
    path.to_str().expect("test paths are UTF-8").to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a program in the container prints, running or not.
fn inside(env: &TestEnv, container: &str, path: &str) -> String {
    let tar = env.command(&["cp", &format!("{container}:{path}"), "-"]);
    tar.run().ok().stdout
}

fn listing(env: &TestEnv, tar: &[u8]) -> Vec<String> {
    let file = env.file("listed.tar", tar);
    let listed = env.other("tar", &["-tf", &file]).run().ok();
    listed.lines().into_iter().map(str::to_owned).collect()
}

#[test]
fn cp_copies_files_both_ways() {
    let env = shared_env!();
    env.busybox();
    for name in both(&env) {
        for spelling in ["cp", "container cp"] {
            let source = env.file("source", format!("for {name} by {spelling}"));
            let target = format!("{name}:/tmp/{}", spelling.len());
            let copied = ask(&env, spelling, &[&source, &target]).ok();
            assert_eq!(copied.stdout, "");
            let back = home(&env, "back");
            ask(&env, spelling, &[&target, &back]).ok();
            assert_eq!(read(&back), format!("for {name} by {spelling}"));
        }
        let missing = env.run(&["cp", &format!("{name}:/no/such"), "x"]);
        assert_ne!(missing.code, 0, "{missing:?}");
    }
}

#[test]
fn cp_into_a_container_that_never_ran_is_there_when_it_starts() {
    let env = shared_env!();
    env.busybox();
    let id = env.out(&[
        "create",
        "--network",
        "none",
        "busybox",
        "cat",
        "/new/dir/file",
    ]);
    fs::create_dir_all(home(&env, "new/dir")).expect("home is writable");
    env.file("new/dir/file", "written before");
    env.run(&["cp", &home(&env, "new"), &format!("{id}:/")])
        .ok();
    assert_eq!(env.out(&["start", "-a", &id]), "written before");
}

#[test]
fn directories_go_where_docker_puts_them() {
    let env = shared_env!();
    env.busybox();
    both(&env);
    for name in ["running", "ended"] {
        let at = |path: &str| format!("{name}:{path}");
        let to = |path: &str| home(&env, &format!("{name}-{path}"));
        // Into a name that does not exist: the directory takes it.
        env.run(&["cp", &at("/d"), &to("new")]).ok();
        assert_eq!(read(format!("{}/sub/two", to("new"))), "two\n");
        // Into a directory that does: below its own name.
        env.run(&["cp", &at("/d"), &to("new")]).ok();
        assert_eq!(read(format!("{}/d/one", to("new"))), "one\n");
        // Only the content.
        fs::create_dir(to("content")).expect("home is writable");
        env.run(&["cp", &at("/d/."), &to("content")]).ok();
        assert_eq!(read(format!("{}/one", to("content"))), "one\n");
        assert!(!Path::new(&to("content")).join("d").exists());
        // A file into a directory, and over a file.
        env.run(&["cp", &at("/d/one"), &to("content/sub")]).ok();
        assert_eq!(read(format!("{}/sub/one", to("content"))), "one\n");
        env.run(&["cp", &at("/d/sub/two"), &to("content/one")]).ok();
        assert_eq!(read(to("content/one")), "two\n");
        // The other way.
        env.run(&["cp", &to("content"), &at("/in")]).ok();
        env.run(&["cp", &to("content"), &at("/in")]).ok();
        env.run(&["cp", &format!("{}/.", to("content")), &at("/empty")])
            .ok();
        let all = listing(&env, inside(&env, name, "/in").as_bytes());
        for path in ["in/one", "in/sub/two", &format!("in/{name}-content/one")] {
            assert!(all.iter().any(|found| found == path), "{path} in {all:?}");
        }
        let all = listing(&env, inside(&env, name, "/empty").as_bytes());
        assert!(all.iter().any(|found| found == "empty/one"), "{all:?}");
    }
}

#[test]
fn what_cannot_be_copied_is_refused_in_docker_s_words() {
    let env = test_env!();
    env.busybox();
    both(&env);
    let file = env.file("file", "x");
    fs::create_dir(home(&env, "directory")).expect("home is writable");
    let directory = home(&env, "directory");
    let inside_file = env.file("directory/one", "x");
    for (source, destination, words) in [
        (
            "running:/none",
            ".",
            "Could not find the file /none in container running",
        ),
        (
            &*file,
            "running:/none/x",
            "Could not find the file /none/x in container running",
        ),
        ("/no/such", "running:/", "no such file or directory"),
        (
            "running:/d",
            &*file,
            &*format!("cannot copy directory to {file}, which is none"),
        ),
        (
            &*directory,
            "running:/d/one",
            "cannot copy directory to /d/one, which is none",
        ),
        (&*file, "running:/none/", "no such directory: /none"),
        (&*file, "running:/proc/none", "make /proc/none: "),
        (&*inside_file, "ended:/d/sub/../../dlink/../d", ""),
        (
            "running:/x",
            "ended:/x",
            "copying between containers is not supported",
        ),
        ("x", "y", "must specify at least one container source"),
        ("running:/d/one", "/dev/null", "got a device"),
        (
            "running:/d/one",
            "/no/such/place",
            "no such file or directory",
        ),
        ("nobody:/x", ".", "No such container: nobody"),
    ] {
        let copied = env.run(&["cp", source, destination]);
        if words.is_empty() {
            copied.ok();
        } else {
            copied.fails(1, words);
        }
    }
    // A directory where a file should go, inside a directory that exists.
    fs::create_dir_all(home(&env, "tree/one")).expect("home is writable");
    env.run(&["cp", "running:/d/one", &home(&env, "tree")])
        .fails(1, "cannot overwrite directory");
    let tree = format!("{}/.", home(&env, "tree"));
    env.run(&["cp", &tree, "running:/d"])
        .fails(1, "cannot overwrite non-directory");
}

#[test]
fn cp_a_dash_is_a_tar_stream() {
    let env = shared_env!();
    env.busybox();
    both(&env);
    let tar = Layer::new()
        .entry(&crate::image::Entry {
            name: "owned",
            uid: 1000,
            gid: 50,
            mode: 0o640,
            content: b"from a stream",
            ..Default::default()
        })
        .directory("sub/", 0o711)
        .file("sub/file", 0o600, "deep")
        .tar();
    for name in ["running", "ended"] {
        for spelling in ["cp", "container cp"] {
            let copy = env.command(&words(spelling, &["-", &format!("{name}:/empty")]));
            copy.input(tar.clone()).run().ok();
            let out = env.run(&words(spelling, &[&format!("{name}:/empty"), "-"]));
            let file = env.file("out.tar", out.ok().stdout);
            let listed = env
                .other("tar", &["--numeric-owner", "-tvf", &file])
                .run()
                .ok()
                .out();
            let owned = listed.lines().find(|line| line.ends_with("empty/owned"));
            let owned = owned.unwrap_or_else(|| panic!("{listed}"));
            assert!(owned.starts_with("-rw-r-----"), "{owned}");
            assert!(owned.contains("1000/50"), "{owned}");
            assert!(listed.contains("empty/sub/file"), "{listed}");
        }
    }
    let copy = env.command(&["cp", "-", "running:/d/one"]).input(tar);
    assert_ne!(copy.run().code, 0, "a stream went into a file");
}

#[test]
fn a_compressed_stream_is_unpacked_without_programs_of_the_container() {
    let env = test_env!();
    let evil = "#!/bin/sh\ntouch /tmp/was-run\n";
    let layer = Layer::new()
        .file("bin/gzip", 0o755, evil)
        .file("bin/unpigz", 0o755, evil)
        .file("bin/zstd", 0o755, evil);
    env.load(&crate::image::busybox().with(&layer).docker_archive("evil"));
    let id = env.out(&["run", "-d", "--network", "none", "evil", "sleep", "1000"]);
    let tar = Layer::new().file("inside", 0o644, "x").tar();
    for compression in [
        crate::image::Compression::Gzip,
        crate::image::Compression::Zstd,
    ] {
        let copy = env.command(&["cp", "-", &format!("{id}:/tmp")]);
        copy.input(compression.apply(&tar)).run().ok();
    }
    let all = listing(&env, inside(&env, &id, "/tmp").as_bytes());
    assert_eq!(all, ["tmp/", "tmp/inside"]);
}

#[test]
fn cp_follow_link_copies_what_a_link_stands_for() {
    let env = test_env!();
    env.busybox();
    both(&env);
    env.file("target", "host target");
    symlink("target", home(&env, "hlink")).expect("home is writable");
    for name in ["running", "ended"] {
        for spelling in ["cp", "container cp"] {
            for flag in ["-L", "--follow-link"] {
                let to = home(&env, "followed");
                let _ = fs::remove_file(&to);
                ask(&env, spelling, &[flag, &format!("{name}:/flink"), &to]).ok();
                assert_eq!(read(&to), "one\n");
                assert!(!Path::new(&to).is_symlink(), "{spelling} {flag}");
                let into = format!("{name}:/empty/followed");
                ask(&env, spelling, &[flag, &home(&env, "hlink"), &into]).ok();
                ask(&env, spelling, &[&into, &to]).ok();
                assert_eq!(read(&to), "host target");
            }
        }
        // Without it the link itself is copied.
        let to = home(&env, &format!("{name}-link"));
        env.run(&["cp", &format!("{name}:/flink"), &to]).ok();
        assert_eq!(
            fs::read_link(&to).expect("it is a link"),
            Path::new("/d/one")
        );
        // A slash at the end follows a link to a directory.
        let to = home(&env, &format!("{name}-directory"));
        env.run(&["cp", &format!("{name}:/dlink/"), &to]).ok();
        assert_eq!(read(format!("{to}/one")), "one\n");
    }
    // The destination's last link is followed, inside the container.
    let file = env.file("file", "through a link");
    env.run(&["cp", &file, "running:/flink"]).ok();
    env.run(&["cp", "running:/d/one", &home(&env, "seen")]).ok();
    assert_eq!(read(home(&env, "seen")), "through a link");
}

#[test]
fn cp_gives_files_to_root_inside_and_to_the_user_outside() {
    let env = test_env!();
    env.busybox();
    both(&env);
    let own = nix::unistd::getuid().as_raw();
    let to = home(&env, "plain");
    env.run(&["cp", "running:/d", &to]).ok();
    let two = fs::metadata(format!("{to}/sub/two")).expect("it was copied");
    assert_eq!(two.uid(), own);
    let one = fs::metadata(format!("{to}/one")).expect("it was copied");
    assert_eq!(one.permissions().mode() & 0o7777, 0o750);
    env.run(&["cp", &to, "ended:/owned"]).ok();
    let file = env.file("out.tar", inside(&env, "ended", "/owned"));
    let listed = env.other("tar", &["--numeric-owner", "-tvf", &file]).run();
    for line in listed.ok().lines() {
        assert!(line.contains(" 0/0 "), "{line}");
    }
}

#[test]
fn cp_archive_keeps_owners_both_ways() {
    let env = test_env!();
    env.busybox();
    both(&env);
    let own = nix::unistd::getuid().as_raw();
    for (number, spelling) in ["cp", "container cp"].into_iter().enumerate() {
        for flag in ["-a", "--archive"] {
            let to = home(&env, &format!("kept{number}{flag}"));
            ask(&env, spelling, &[flag, "running:/d", &to]).ok();
            let two = fs::metadata(format!("{to}/sub/two")).expect("it was copied");
            assert_ne!(two.uid(), own, "{spelling} {flag}");
            let into = format!("ended:/kept{number}{flag}");
            ask(&env, spelling, &[flag, &to, &into]).ok();
            let file = env.file("out.tar", inside(&env, "ended", &into["ended:".len()..]));
            let listed = env.other("tar", &["--numeric-owner", "-tvf", &file]).run();
            let listed = listed.ok().out();
            let two = listed.lines().find(|line| line.ends_with("sub/two"));
            assert!(two.is_some_and(|two| two.contains(" 1000/50 ")), "{listed}");
        }
    }
}

#[test]
fn cp_quiet_says_nothing() {
    let env = test_env!();
    env.busybox();
    both(&env);
    for spelling in ["cp", "container cp"] {
        let to = home(&env, "said");
        let said = format!("Successfully copied 2.05kB to {to}");
        let mut terminal = env.terminal(&words(spelling, &["running:/d/one", &to]));
        terminal.expect(&said);
        assert_eq!(terminal.wait(), 0);
        for flag in ["-q", "--quiet"] {
            let line = format!("\"$BRYO\" {spelling} {flag} running:/d/one {to}; echo end=$?");
            let shell = env.other("sh", &["-c", &line]).var("BRYO", bryo());
            let mut terminal = Terminal::start(shell.into_command());
            terminal.expect("end=0");
            assert_eq!(terminal.seen().trim(), "end=0");
        }
        // A script is not told.
        let quiet = ask(&env, spelling, &["running:/d/one", &to]).ok();
        assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    }
}

#[test]
fn cp_goes_through_binds_of_running_and_stopped_containers() {
    let env = shared_env!();
    env.busybox();
    fs::create_dir(home(&env, "bound")).expect("home is writable");
    let volume = format!("{}:/data", home(&env, "bound"));
    let make = [
        "create",
        "--network",
        "none",
        "-v",
        &volume,
        "--name",
        "bound",
    ];
    env.run(&[&make[..], &["busybox", "sleep", "1000"]].concat())
        .ok();
    let file = env.file("file", "into the bind");
    for name in ["stopped", "running"] {
        env.run(&["cp", &file, &format!("bound:/data/{name}")]).ok();
        assert_eq!(read(env.path("home/bound").join(name)), "into the bind");
        let back = home(&env, "back");
        env.run(&["cp", &format!("bound:/data/{name}"), &back]).ok();
        assert_eq!(read(&back), "into the bind");
        env.run(&["start", "bound"]).ok();
    }
}

#[test]
fn links_of_a_container_never_lead_out() {
    let env = test_env!();
    env.busybox();
    let canary = env.path("canary");
    fs::create_dir(&canary).expect("the test's directory is writable");
    fs::write(canary.join("secret"), "of the host").expect("it is writable");
    let outside = canary.to_str().expect("test paths are UTF-8");
    let script = format!(
        "ln -s / /root-link; ln -s {outside} /abs; ln -s ../../../../../..{outside} /rel; mkdir -p /out; \
         ln -s {outside} /out/dir; ln -s {outside}/secret /secret"
    );
    env.run(&[
        "run",
        "--name",
        "links",
        "--network",
        "none",
        "busybox",
        "sh",
        "-c",
        &script,
    ])
    .ok();
    let file = env.file("planted", "planted");
    for target in ["/abs/planted", "/rel/planted", "/abs/", "/rel"] {
        // Inside the container there is no such directory.
        assert_ne!(env.run(&["cp", &file, &format!("links:{target}")]).code, 0);
    }
    for source in ["/abs/secret", "/rel/secret", "/root-link/secret/"] {
        let to = home(&env, "stolen");
        assert_ne!(env.run(&["cp", &format!("links:{source}"), &to]).code, 0);
        assert_ne!(
            env.run(&["cp", "-L", &format!("links:{source}"), &to]).code,
            0
        );
        assert!(!Path::new(&to).exists(), "{source}");
    }
    // Links arrive as links, and nothing is written through them.
    env.run(&["cp", "links:/out", &home(&env, "tree")]).ok();
    let link = env.path("home/tree/dir");
    assert!(link.is_symlink());
    fs::create_dir_all(home(&env, "evil/dir")).expect("home is writable");
    env.file("evil/dir/planted", "planted");
    let evil = format!("{}/.", home(&env, "evil"));
    assert_ne!(env.run(&["cp", &evil, "links:/out"]).code, 0);
    assert_eq!(crate::env::names(&canary), ["secret"]);
    assert_eq!(read(canary.join("secret")), "of the host");
}

#[test]
fn cp_against_swapped_directories_stays_inside() {
    let env = test_env!();
    env.busybox();
    let canary = env.path("canary");
    fs::create_dir(&canary).expect("the test's directory is writable");
    fs::write(canary.join("file"), "SECRET").expect("it is writable");
    let outside = canary.to_str().expect("test paths are UTF-8");
    // The same path exists inside, so that a followed link finds something there, too.
    let script = format!(
        "mkdir -p {outside} /a /b/t/deep; echo x > /b/t/planted; echo inside > {outside}/file; echo inside > /a/file; ln -s {outside} /l; \
         mkdir -p /shared/t; ln -s {outside} /shared/l; echo ready; \
         while true; do mv /a /x; mv /l /a; mv /a /l; mv /x /a; \
         mv /shared/t /shared/x; mv /shared/l /shared/t; mv /shared/t /shared/l; mv /shared/x /shared/t; done"
    );
    fs::create_dir(home(&env, "shared")).expect("home is writable");
    let volume = format!("{}:/shared", home(&env, "shared"));
    env.run(&[
        "run",
        "-d",
        "--network",
        "none",
        "-v",
        &volume,
        "--name",
        "flip",
        "busybox",
        "sh",
        "-c",
        &script,
    ])
    .ok();
    let logs = env.command(&["logs", "-f", "flip"]);
    let mut logs = logs.limit(Duration::from_secs(1200)).spawn();
    logs.until("ready");
    fs::create_dir(home(&env, "in")).expect("home is writable");
    env.file("in/planted", "planted");
    let source = format!("{}/.", home(&env, "in"));
    let out = home(&env, "got");
    let copy = || {
        let copied = env.run(&["cp", "-q", "flip:/a/file", &out]).code == 0;
        if copied {
            assert_eq!(read(&out), "inside\n");
        }
        copied
    };
    // Before anything is copied in: what is made there in a moment when nothing has that name ends the swapping.
    eventually("a copy comes through", copy);
    for _ in 0..count(50, 1000) {
        // Many fail.
        let _ = env.run(&["cp", "-q", &source, "flip:/a"]);
        let _ = copy();
        // What is written to on the host is swapped, too.
        let _ = env.run(&["cp", "-q", "flip:/b/.", &home(&env, "shared")]);
        assert_eq!(crate::env::names(&canary), ["file"]);
        assert_eq!(read(canary.join("file")), "SECRET");
    }
    logs.signal(nix::sys::signal::Signal::SIGKILL);
    let _: Outcome = logs.wait();
}

#[test]
fn a_read_only_root_takes_no_files_but_its_volumes_do() {
    let env = test_env!();
    env.busybox();
    std::fs::create_dir(home(&env, "bound")).expect("home is writable");
    let volume = format!("{}:/data", home(&env, "bound"));
    let make = ["create", "--read-only", "--network", "none", "-v", &volume];
    let id = env.out(&[&make[..], &["busybox", "sleep", "1000"]].concat());
    let file = env.file("file", "x");
    for state in ["created", "running"] {
        env.run(&["cp", &file, &format!("{id}:/etc/new")])
            .fails(1, "/etc/new: the file system is read-only");
        env.run(&["cp", &file, &format!("{id}:/data/{state}")]).ok();
        env.run(&["start", &id]).ok();
    }
}

#[test]
fn devices_are_left_out_and_named() {
    let env = test_env!();
    env.busybox();
    both(&env);
    let alone = home(&env, "null");
    let refused = env.run(&["cp", "running:/dev/null", &alone]);
    refused.fails(1, &format!("{alone}: only root can make a device"));
    let all = home(&env, "dev");
    let copied = env.run(&["cp", "running:/dev", &all]).ok();
    let warning = format!("WARNING: {all}/null: a device, left out");
    assert!(copied.stderr.contains(&warning), "{}", copied.stderr);
    assert!(crate::env::names(Path::new(&all)).contains(&"shm".to_owned()));
    let archive = env
        .run(&["cp", "running:/dev", "-"])
        .ok()
        .stdout
        .into_bytes();
    let again = env.command(&["cp", "-", "ended:/"]).input(archive).run();
    let warning = "WARNING: /dev/null: a device, left out";
    assert!(again.ok().stderr.contains(warning));
}
