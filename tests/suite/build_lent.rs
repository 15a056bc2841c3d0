//! What a build lends to its commands: keys in an agent of their own, devices that have a name.

use std::os::unix::fs::PermissionsExt;

use crate::dockerfile::{build, context, shell};
use crate::env::test_env;
use crate::need::{Need, fixture, need};

#[test]
fn keys_are_in_an_agent_of_the_builds_own() {
    need!(
        Need::Fixture("debian.tar"),
        Need::Program("ssh-agent"),
        Need::Program("ssh-keygen")
    );
    let env = test_env!();
    let tar = fixture("debian.tar");
    env.run(&["import", tar.to_str().expect("UTF-8"), "debian:fixture"])
        .ok();
    let key = env.path("home/key");
    let key = key.to_str().expect("UTF-8");
    env.other(
        "ssh-keygen",
        &[
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            "of-the-test",
            "-f",
            key,
        ],
    )
    .run()
    .ok();
    env.other(
        "ssh-keygen",
        &[
            "-q",
            "-t",
            "ed25519",
            "-N",
            "secret",
            "-f",
            &format!("{key}2"),
        ],
    )
    .run()
    .ok();
    // The agent's own protocol: which keys are there? The answer has each key's comment.
    let text = "FROM debian:fixture\nRUN --mount=type=ssh,id=deploy,required=true perl -MSocket -e '\
        socket(S, PF_UNIX, SOCK_STREAM, 0); connect(S, sockaddr_un($ENV{SSH_AUTH_SOCK})) or die; \
        syswrite S, \"\\0\\0\\0\\1\\13\"; sysread S, $b, 65536; $b =~ s/[^a-z-]//g; print $b' > /keys\n";
    let directory = context(&env, "app", &[("Dockerfile", text)]);
    let lent = format!("deploy={key}");
    build(&env, &directory, &["-t", "made", "--ssh", &lent]).ok();
    let seen = shell(&env, "made", "cat /keys");
    assert!(seen.contains("of-the-test"), "{seen}");
    // Nothing of the agent is left, also where a key cannot be used.
    let locked = format!("deploy={key}2");
    build(&env, &directory, &["--no-cache", "--ssh", &locked]).fails(1, "add ");
    build(&env, &directory, &["--ssh", "deploy=/etc/none"])
        .fails(125, "neither a socket nor a key");
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    build(&env, &directory, &["--no-cache", "--ssh", &lent]).fails(1, "add ");
}

#[test]
fn devices_with_a_name_are_lent_to_a_command() {
    let env = test_env!();
    env.busybox();
    let directory = env.path("config/cdi");
    std::fs::create_dir_all(&directory).expect("it can be made");
    let description = r#"{"cdiVersion": "0.6.0", "kind": "vendor.test/device", "devices": [
        {"name": "zero", "containerEdits": {"env": ["ONE=zero"], "deviceNodes": [{"path": "/dev/vendor/zero", "hostPath": "/dev/zero"}]}}]}"#;
    std::fs::write(directory.join("a.json"), description).expect("it can be written");
    let text = "FROM busybox\nARG N=zero\nRUN --device=vendor.test/device=$N,required head -c 3 /dev/vendor/zero | wc -c > /count && echo $ONE >> /count\n\
        RUN --device=vendor.test/device=none test ! -e /dev/vendor\n";
    let app = context(&env, "app", &[("Dockerfile", text)]);
    build(&env, &app, &[]).fails(1, "--allow device");
    for allow in [
        &["--allow", "device"][..],
        &[
            "--allow",
            "device=vendor.test/device=zero",
            "--allow",
            "device=vendor.test/device=none",
            "--no-cache",
        ],
    ] {
        build(&env, &app, &[&["-t", "made"], allow].concat()).ok();
        assert_eq!(
            shell(&env, "made", "cat /count; ls /dev"),
            shell(&env, "made", "echo 3; echo zero; ls /dev")
        );
    }
    let needed = ["--allow", "device", "--build-arg", "N=gone"];
    build(&env, &app, &needed).fails(1, "vendor.test/device=gone");
}
