//! `image scp`: images to and from another host, for which a program of that name stands that keeps its own store.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::env::{TestEnv, test_env};
use crate::image::busybox;

/// An `ssh` in PATH that writes down how it was called, and runs the words with another store, as the other side's shell would.
fn with_ssh(env: &mut TestEnv) -> String {
    let bryo = crate::env::bryo().display().to_string();
    let there = env.path("home/there").display().to_string();
    let asked = env.path("home/asked").display().to_string();
    let programs = env.path("home/programs");
    fs::create_dir_all(&programs).expect("home is writable");
    fs::create_dir_all(&there).expect("home is writable");
    let bin = format!("{there}/bin");
    fs::create_dir_all(&bin).expect("home is writable");
    std::os::unix::fs::symlink(&bryo, format!("{bin}/bryo")).expect("home is writable");
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$*\" >> {asked}\n\
         case $3 in broken) exit 255 ;; esac\n\
         export XDG_DATA_HOME={there}/data XDG_CACHE_HOME={there}/cache PATH={bin}:$PATH\n\
         exec sh -c \"$4\"\n"
    );
    let ssh = programs.join("ssh");
    fs::write(&ssh, script).expect("home is writable");
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let path = std::env::var("PATH").unwrap_or_default();
    env.set("PATH", &format!("{}:{path}", programs.display()));
    asked
}

#[test]
fn images_go_to_another_host_and_come_back() {
    let mut env = test_env!();
    let asked = with_ssh(&mut env);
    env.load(&busybox().docker_archive("carried:1"));
    env.run(&["image", "scp", "carried:1", "user@there::"])
        .ok()
        .prints("Loaded image: carried:1");
    env.run(&["rmi", "carried:1"]).ok();
    env.run(&["image", "scp", "there::carried:1"])
        .ok()
        .prints("Loaded image: carried:1");
    let id = env.out(&["images", "-q", "--no-trunc", "carried"]);
    assert_eq!(id, format!("sha256:{}", busybox().id()));
    for flag in ["-q", "--quiet"] {
        let quiet = env
            .run(&["image", "scp", flag, "carried:1", "there::"])
            .ok();
        assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    }
    env.run(&["image", "scp", "there::carried:1", "other::"])
        .ok();
    let asked = fs::read_to_string(asked).expect("it was asked");
    let lines: Vec<&str> = asked.lines().collect();
    assert_eq!(
        lines,
        [
            "-T -- user@there bryo load",
            "-T -- there bryo save carried:1",
            "-T -- there bryo load -q",
            "-T -- there bryo load -q",
            "-T -- there bryo save carried:1",
            "-T -- other bryo load",
        ]
    );
    // No archive stays.
    let cache = crate::env::names(&env.path("cache/bryo"));
    assert!(
        cache.iter().all(|name| !name.starts_with("scp-")),
        "{cache:?}"
    );
}

#[test]
fn what_could_be_taken_for_something_else_is_refused() {
    let mut env = test_env!();
    let asked = with_ssh(&mut env);
    env.load(&busybox().docker_archive("carried:1"));
    let scp = |words: &[&str]| env.run(&[&["image", "scp"][..], words].concat());
    scp(&["carried:1", "-oProxyCommand=x::"]).fails(125, "");
    scp(&["--", "carried:1", "-oProxyCommand=x::"]).fails(1, "is no host");
    scp(&["carried:1", "::"]).fails(1, "is no host");
    scp(&["there::x;touch y"]).fails(1, "is no image name");
    scp(&["there::-x"]).fails(1, "is no image name");
    scp(&["carried:1"]).fails(1, "both here");
    scp(&["there::"]).fails(125, "names no image");
    scp(&["carried:1", "there::other"]).fails(125, "keeps its names");
    assert!(!std::path::Path::new(&asked).exists(), "nobody was asked");
    scp(&["nothing:1", "there::"]).fails(1, "nothing:1");
    scp(&["carried:1", "broken::"]).fails(1, "bryo load on broken ended with");
    scp(&["there::nothing:1"]).fails(1, "bryo save nothing:1 on there ended with");
}
