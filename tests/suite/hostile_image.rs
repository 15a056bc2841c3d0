//! Images that mean harm once they run: what the engine mounts and writes inside them stays inside.

use std::fs;

use serde_json::json;

use crate::env::{TestEnv, test_env};
use crate::image::{Layer, busybox};

/// Runs an image whose layer has a path that the engine will use, pointed at a directory of the host.
fn run_with(env: &TestEnv, layer: &Layer, flags: &[&str]) -> crate::process::Outcome {
    env.load(&busybox().with(layer).docker_archive("hostile:latest"));
    env.run(
        &[
            &["run", "--rm", "--network", "none"],
            flags,
            &["hostile", "/bin/true"],
        ]
        .concat(),
    )
}

fn canary(env: &TestEnv) -> String {
    let path = env.path("home/canary");
    fs::create_dir(&path).expect("home is writable");
    path.to_str().expect("test paths are UTF-8").to_owned()
}

#[test]
fn paths_that_the_engine_mounts_on_cannot_be_pointed_at_the_host() {
    // CVE-2019-16884, CVE-2023-27561, CVE-2026-41579, CVE-2025-31133, CVE-2025-52565, CVE-2026-88264
    let env = test_env!();
    let canary = canary(&env);
    let gone = |name: &str| Layer::new().file(&format!(".wh.{name}"), 0o644, "");
    for (what, layer, flags) in [
        (
            "/proc is a symlink",
            gone("proc").symlink("proc", &canary),
            &[][..],
        ),
        ("/proc is a file", gone("proc").file("proc", 0o644, ""), &[]),
        (
            "/sys is a symlink",
            gone("sys").symlink("sys", &canary),
            &[],
        ),
        (
            "/dev is a symlink",
            gone("dev").symlink("dev", &canary),
            &[],
        ),
        (
            "/dev/null is a symlink",
            Layer::new().symlink("dev/null", &format!("{canary}/null")),
            &[],
        ),
        (
            "/dev/pts is a symlink",
            Layer::new().symlink("dev/pts", &canary),
            &["-t"],
        ),
        (
            "/dev/console is a symlink",
            Layer::new().symlink("dev/console", &format!("{canary}/console")),
            &["-t"],
        ),
        (
            "/dev/shm is a symlink",
            Layer::new().symlink("dev/shm", &canary),
            &[],
        ),
        (
            "/etc is a symlink",
            gone("etc").symlink("etc", &canary),
            &[],
        ),
        (
            "/etc/hosts is a symlink",
            Layer::new().symlink("etc/hosts", &format!("{canary}/hosts")),
            &[],
        ),
        (
            "/etc/resolv.conf is a symlink",
            Layer::new().symlink("etc/resolv.conf", &format!("{canary}/resolv.conf")),
            &[],
        ),
        (
            "/etc/hostname is a directory",
            Layer::new().directory("etc/hostname", 0o755),
            &[],
        ),
        (
            "a bind target is a symlink",
            Layer::new().symlink("target", &canary),
            &["-v", "/etc:/target/made"],
        ),
        (
            "a tmpfs target is a symlink",
            Layer::new().symlink("target", &canary),
            &["--tmpfs", "/target/made"],
        ),
        (
            "the working directory is a symlink",
            Layer::new().symlink("target", &canary),
            &["-w", "/target/made"],
        ),
    ] {
        let run = run_with(&env, &layer, flags);
        assert!(!run.stderr.contains("panicked"), "{what}: {run:?}");
        assert!(
            crate::env::names(canary.as_ref()).is_empty(),
            "{what}: {:?}",
            crate::env::names(canary.as_ref())
        );
    }
}

#[test]
fn a_proc_that_is_no_directory_stops_the_start() {
    let env = test_env!();
    let canary = canary(&env);
    for layer in [
        Layer::new()
            .file(".wh.proc", 0o644, "")
            .symlink("proc", &canary),
        Layer::new()
            .file(".wh.proc", 0o644, "")
            .symlink("proc", "/tmp"),
        Layer::new()
            .file(".wh.proc", 0o644, "")
            .file("proc", 0o644, ""),
    ] {
        run_with(&env, &layer, &[]).fails(125, "/proc");
    }
}

#[test]
fn volumes_of_an_image_do_not_leave_its_root() {
    // CVE-2022-23648
    let env = test_env!();
    let canary = canary(&env);
    fs::write(format!("{canary}/secret"), "host").expect("home is writable");
    for path in [
        format!("/../../../../../../../..{canary}"),
        "/proc".to_owned(),
        "/link/made".to_owned(),
    ] {
        let image = busybox()
            .with(&Layer::new().symlink("link", &canary))
            .configured("Volumes", json!({ path.clone(): {} }));
        env.load(&image.docker_archive("volumes:latest"));
        let run = env.run(&[
            "run",
            "--rm",
            "--network",
            "none",
            "volumes",
            "find",
            "/",
            "-name",
            "secret",
        ]);
        assert!(!run.stdout.contains("secret"), "{path}: {run:?}");
        assert_eq!(crate::env::names(canary.as_ref()), ["secret"], "{path}");
    }
}

#[test]
fn labels_and_variables_of_an_image_reach_no_shell() {
    // CVE-2026-53488
    let env = test_env!();
    let marker = env.path("home/marker");
    let text = format!(
        "$(touch {0}); touch {0}; `touch {0}`\ntouch {0}",
        marker.display()
    );
    let image = busybox()
        .configured("Labels", json!({ text.clone(): text.clone() }))
        .configured("Env", json!([format!("X={text}"), "PATH=/bin"]));
    env.load(&image.docker_archive("labels:latest"));
    env.run(&["run", "--rm", "--network", "none", "labels", "true"])
        .ok();
    env.run(&["inspect", "labels"]).ok();
    assert!(!marker.exists());
}

#[test]
fn a_file_of_etc_that_is_a_symlink_to_nowhere_is_made_inside_the_image() {
    // Many images have /etc/resolv.conf -> ../run/systemd/resolve/stub-resolv.conf.
    let env = test_env!();
    let canary = canary(&env);
    let gone = |name: &str| format!("etc/.wh.{name}");
    let layer = Layer::new()
        .file(&gone("resolv.conf"), 0o644, "")
        .symlink("etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf")
        .file(&gone("hosts"), 0o644, "")
        .symlink("etc/hosts", &format!("{canary}/hosts"))
        .file(&gone("hostname"), 0o644, "")
        .symlink(
            "etc/hostname",
            &format!("../../../../..{canary}/deep/hostname"),
        );
    env.load(&busybox().with(&layer).docker_archive("hostile:latest"));
    let script = "grep -c localhost /etc/hosts; cat /etc/hostname; ls /run/systemd/resolve";
    let run = [
        "run",
        "--rm",
        "--network",
        "none",
        "-h",
        "own",
        "hostile",
        "sh",
        "-c",
        script,
    ];
    let out = env.out(&run);
    assert!(out.ends_with("own\nstub-resolv.conf"), "{out}");
    assert!(crate::env::names(canary.as_ref()).is_empty());
}

#[test]
fn a_symlink_does_not_lead_the_engines_files_over_procfs() {
    // CVE-2025-52881: what the kernel says in /proc must come from the kernel.
    let env = test_env!();
    for place in [
        "/proc/1/environ",
        "/proc/sys/kernel/hostname",
        "/proc/self/attr/current",
    ] {
        let layer = Layer::new()
            .file("etc/.wh.resolv.conf", 0o644, "")
            .symlink("etc/resolv.conf", place);
        run_with(&env, &layer, &[]).fails(125, "/etc/resolv.conf");
    }
}

#[test]
fn ids_in_the_images_files_that_do_not_fit_name_nobody() {
    // 4294967295 is "unchanged" for setresuid(2): root.
    let env = test_env!();
    for id in ["4294967295", "2147483648", "-1", "+0"] {
        for line in [
            format!("x:x:{id}:5::/:/bin/sh"),
            format!("x:x:5:{id}::/:/bin/sh"),
        ] {
            let layer = Layer::new().file("etc/passwd", 0o644, format!("{line}\n"));
            run_with(&env, &layer, &["-u", "x"]).fails(125, "unable to find user x");
        }
    }
}
