//! `-v`, `--mount`, `--tmpfs`, `--read-only`.

use crate::env::{shared_env, test_env};

const RUN: [&str; 4] = ["run", "--rm", "--network", "none"];

#[test]
fn a_bind_mount_shows_and_changes_the_hosts_files() {
    let env = shared_env!();
    env.busybox();
    let file = env.file("shared/file", "from outside\n");
    let directory = env.path("home/shared");
    let volume = format!("{}:/in/side", directory.display());
    let out = env.out(
        &[
            &RUN[..],
            &[
                "-v",
                &volume,
                "busybox",
                "sh",
                "-c",
                "cat /in/side/file; echo back > /in/side/new",
            ],
        ]
        .concat(),
    );
    assert_eq!(out, "from outside");
    assert_eq!(
        std::fs::read_to_string(directory.join("new")).expect("the container wrote it"),
        "back\n"
    );
    let mount = format!("type=bind,source={file},target=/one,readonly");
    let run = env
        .run(
            &[
                &RUN[..],
                &[
                    "--mount",
                    &mount,
                    "busybox",
                    "sh",
                    "-c",
                    "cat /one; echo x > /one",
                ],
            ]
            .concat(),
        )
        .code(1);
    assert_eq!(run.stdout, "from outside\n");
}

#[test]
fn a_read_only_bind_stays_read_only_below_its_submounts() {
    let env = test_env!();
    env.busybox();
    let out = env.run(
        &[
            &RUN[..],
            &[
                "-v",
                "/:/host:ro",
                "busybox",
                "touch",
                "/host/dev/shm/bryo-was-here",
            ],
        ]
        .concat(),
    );
    assert_ne!(out.code, 0);
    assert!(!std::path::Path::new("/dev/shm/bryo-was-here").exists());
}

#[test]
fn a_missing_bind_source_is_made_for_v_and_refused_for_mount() {
    let env = test_env!();
    env.busybox();
    let missing = env.path("home/missing");
    let volume = format!("{}:/x", missing.display());
    env.run(&[&RUN[..], &["-v", &volume, "busybox", "true"]].concat())
        .ok();
    assert!(missing.is_dir());
    let mount = format!("type=bind,source={}/more,target=/x", missing.display());
    env.run(&[&RUN[..], &["--mount", &mount, "busybox", "true"]].concat())
        .fails(125, "more");
}

#[test]
fn a_read_only_root_has_writable_tmpfs_where_asked() {
    let env = shared_env!();
    env.busybox();
    let script = "touch /no 2>/dev/null; echo $?; touch /scratch/yes; echo $?; stat -f -c %T /scratch; df -k /scratch | tail -n 1 | grep -c 1024";
    let out = env.out(
        &[
            &RUN[..],
            &[
                "--read-only",
                "--tmpfs",
                "/scratch:size=1m",
                "busybox",
                "sh",
                "-c",
                script,
            ],
        ]
        .concat(),
    );
    assert_eq!(out, "1\n0\ntmpfs\n1");
}

#[test]
fn a_volume_path_of_the_image_is_writable() {
    let env = shared_env!();
    let image = crate::image::busybox().configured("Volumes", serde_json::json!({ "/data": {} }));
    env.load(&image.docker_archive("volume:latest"));
    assert_eq!(
        env.out(
            &[
                &RUN[..],
                &["volume", "sh", "-c", "echo kept > /data/x; cat /data/x"]
            ]
            .concat()
        ),
        "kept"
    );
}

#[test]
fn malformed_mounts_are_refused_with_their_text() {
    let env = test_env!();
    env.busybox();
    for (flag, value) in [
        ("-v", "relative/target:not-absolute"),
        ("-v", "/a:/b:nonsense"),
        ("--mount", "type=bind,target=/x"),
        ("--mount", "type=nonsense,target=/x"),
        (
            "--mount",
            "type=bind,source=/,target=/x,bind-propagation=z,src=/etc",
        ),
    ] {
        env.run(&[&RUN[..], &[flag, value, "busybox", "true"]].concat())
            .fails(125, "");
    }
}
