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

/// As with docker: ssh asks the agent called `default`, for a context and for what ADD names.
#[test]
fn repositories_are_opened_by_the_agent_called_default() {
    need!(Need::Program("ssh-agent"), Need::Program("ssh-keygen"));
    let mut env = test_env!();
    env.busybox();
    let key = env.path("home/key");
    let key = key.to_str().expect("UTF-8");
    let words = ["-qt", "ed25519", "-N", "", "-C", "of-the-test", "-f", key];
    env.other("ssh-keygen", &words).run().ok();
    let script = "set -e; git init -q -b main repo; cd repo; git config user.email a@b; git config user.name a\n\
        printf 'FROM busybox\\nCOPY . /all/\\n' > Dockerfile; git add -A; git commit -q -m one\n";
    env.other("sh", &["-c", script]).run().ok();
    // What a server would do: without the key nobody comes in.
    let ssh = env.file(
        "ssh",
        "#!/bin/sh\ncase $(ssh-add -l) in *of-the-test*) shift $(($# - 1)); exec sh -c \"$1\" ;; esac\n\
         echo \"$DENIED\" >&2\necho >&2\nexit 255\n"
            .replace("$DENIED", "git@host: Permission denied (publickey)."),
    );
    std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    env.set("GIT_SSH_COMMAND", &ssh);
    let remote = format!("ssh://git@host{}", env.path("home/repo").display());
    let lent = format!("default={key}");
    let none = env.run(&["build", "-q", &remote]);
    none.fails(1, "Permission denied (publickey).")
        .says("Hint: --ssh default");
    env.run(&["build", "-q", "--ssh", &lent, &remote]).ok();
    let other = env.run(&["build", "-q", "--ssh", &format!("other={key}"), &remote]);
    assert!(!other.fails(1, "denied").stderr.contains(";;"));
    let text = format!("FROM scratch\nADD {remote} /\n");
    let directory = context(&env, "app", &[("Dockerfile", &text)]);
    build(&env, &directory, &[]).fails(1, "Permission denied");
    build(&env, &directory, &["--ssh", &lent]).ok();
    let named = format!("src={remote}");
    let text = "FROM scratch\nCOPY --from=src Dockerfile /\n";
    let directory = context(&env, "app", &[("Dockerfile", text)]);
    build(
        &env,
        &directory,
        &["--ssh", &lent, "--build-context", &named],
    )
    .ok();
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
