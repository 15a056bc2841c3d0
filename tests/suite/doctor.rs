//! `doctor`: findings, exit codes, and the same words in the message of `run`.

use crate::env::test_env;
use crate::need::{Need, need};

#[test]
fn a_good_host_is_fine() {
    let env = test_env!();
    need!(
        Need::SubordinateIds,
        Need::Device("/dev/fuse"),
        Need::Device("/dev/net/tun"),
        Need::Cgroup,
        Need::Program("pasta")
    );
    let run = env.run(&["doctor"]);
    assert!(!run.stdout.contains("broken"), "{run:?}");
}

#[test]
fn json_is_one_document() {
    let env = test_env!();
    let run = env.run(&["doctor", "--json"]);
    let document: serde_json::Value =
        serde_json::from_str(&run.stdout).expect("doctor --json prints JSON");
    assert!(document.is_array() || document.is_object(), "{document}");
}

/// A shell line run as root of a private user and mount namespace, so that the host can be broken for one command.
/// Inside, the user has no more id maps to give, so what is broken is seen beside what nesting itself changes.
fn broken(env: &crate::env::TestEnv, breakage: &str, verb: &str) -> crate::process::Outcome {
    let line = format!("{breakage}; exec {} {verb}", crate::env::bryo().display());
    env.other(
        "unshare",
        &["--user", "--map-root-user", "--mount", "sh", "-c", &line],
    )
    .run()
}

#[test]
fn no_user_namespaces_is_diagnosed_by_doctor_and_by_run() {
    let env = test_env!();
    let breakage = "echo 0 > /proc/sys/user/max_user_namespaces";
    let doctor = broken(&env, breakage, "doctor");
    assert_eq!(doctor.code, 1, "{doctor:?}");
    assert!(doctor.stdout.contains("max_user_namespaces"), "{doctor:?}");
    broken(&env, breakage, "run --rm hello")
        .code(125)
        .says("max_user_namespaces");
}

#[test]
fn missing_subordinate_ids_are_diagnosed_and_no_hindrance() {
    let env = test_env!();
    let breakage = "mount --bind /dev/null /etc/subuid; mount --bind /dev/null /etc/subgid";
    let doctor = broken(&env, breakage, "doctor");
    assert!(doctor.stdout.contains("/etc/subuid"), "{doctor:?}");
    broken(&env, breakage, "run --rm hello").ok();
}

#[test]
fn a_missing_network_helper_is_diagnosed_and_stops_only_images_that_need_it() {
    let env = test_env!();
    let lacking = |line: &str| env.lacking(&["pasta"], line);
    let doctor = lacking("exec $BRYO doctor");
    assert!(
        doctor.stdout.contains("pasta is not installed") && doctor.stdout.contains("passt"),
        "{doctor:?}"
    );
    let archive = crate::image::busybox().docker_archive("busybox:latest");
    let file = env.file("busybox.tar", archive);
    lacking(&format!("exec $BRYO load -i {file}")).ok();
    lacking("exec $BRYO run --rm busybox true")
        .fails(125, "pasta")
        .says("--network none");
    lacking("exec $BRYO run --rm --network none busybox true").ok();
    lacking("exec $BRYO run --rm hello").ok();
}
