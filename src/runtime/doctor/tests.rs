//! What the checks make of given files, as values.

use std::io;

use super::identity::Ids;
use super::kernel::Limits;
use super::probe::{Outcome, Step};
use super::*;
use crate::paths::RuntimeFallback;
use crate::runtime::cgroup::{NoCgroup, Place};
use crate::runtime::idmap::SubidRange;

fn failed(step: Step, errno: i32) -> Outcome {
    Outcome::Failed {
        step,
        source: io::Error::from_raw_os_error(errno),
    }
}

#[test]
fn old_kernels_are_broken() {
    assert_eq!(kernel::judge_version("6.1.0-13-amd64").state, State::Fine);
    assert_eq!(kernel::judge_version("5.11").state, State::Fine);
    assert_eq!(
        kernel::judge_version("5.10.0-28-amd64").state,
        State::Broken
    );
    assert_eq!(kernel::judge_version("4.18.0").state, State::Broken);
}

#[test]
fn setting_that_blocks_user_namespaces_is_named_with_its_cure() {
    let judge = |step, errno, limits| kernel::judge_user_namespaces(&failed(step, errno), limits);
    let none = Limits {
        max: Some(0),
        ..Limits::default()
    };
    let finding = judge(Step::UserNamespace, libc::ENOSPC, none);
    assert_eq!(finding.state, State::Broken);
    assert_eq!(
        finding.cure,
        [
            "echo user.max_user_namespaces=15000 | sudo tee -a /etc/sysctl.d/99-bryo.conf && sudo sysctl --system"
        ]
    );
    let debian = Limits {
        max: Some(9),
        unprivileged: Some(0),
        ..Limits::default()
    };
    let finding = judge(Step::UserNamespace, libc::EPERM, debian);
    assert!(finding.cure[0].contains("kernel.unprivileged_userns_clone=1"));
    let ubuntu = Limits {
        max: Some(9),
        unprivileged: Some(1),
        apparmor: Some(1),
    };
    let finding = judge(Step::WriteMap, libc::EPERM, ubuntu);
    assert!(finding.cure[0].contains("kernel.apparmor_restrict_unprivileged_userns=0"));
    let finding = judge(Step::UserNamespace, libc::EPERM, Limits::default());
    assert_eq!(
        finding.found,
        "a user namespace can't be created: operation not permitted"
    );
    assert!(finding.meaning.contains("seccomp"));
    assert_eq!(
        kernel::judge_user_namespaces(&Outcome::Done, ubuntu).state,
        State::Fine
    );
}

#[test]
fn no_new_privs_is_seen() {
    assert_eq!(
        kernel::judge_no_new_privileges("NoNewPrivs:\t0\n").state,
        State::Fine
    );
    assert_eq!(
        kernel::judge_no_new_privileges("A:\t1\nNoNewPrivs:\t1\n").state,
        State::Limited
    );
}

fn judge_ids(text: &str, own: &[(u32, u32)]) -> Finding {
    let own: Vec<SubidRange> = own
        .iter()
        .map(|&(first, size)| SubidRange { first, size })
        .collect();
    identity::judge(&Ids {
        user: "ann",
        uid: 1000,
        files: [
            ("/etc/subuid", text, own.clone()),
            ("/etc/subgid", text, own),
        ],
    })
}

#[test]
fn subordinate_ids_are_judged() {
    let finding = judge_ids("bob:100000:65536\n", &[]);
    assert_eq!(finding.found, "ann has no line in /etc/subuid");
    assert_eq!(
        finding.cure,
        ["sudo usermod --add-subuids 165536-231071 --add-subgids 165536-231071 ann"]
    );
    let finding = judge_ids("ann:100000:100\n", &[(100_000, 100)]);
    assert_eq!(finding.found, "/etc/subuid gives ann only 100 ids");
    let finding = judge_ids("ann:100000:65536", &[(100_000, 65536)]);
    assert_eq!(
        finding.found,
        "the last line of /etc/subuid does not end with a line feed"
    );
    assert_eq!(finding.cure, ["echo | sudo tee -a /etc/subuid"]);
    let finding = judge_ids("ann:900:65536\n", &[(900, 65536)]);
    assert_eq!(
        finding.found,
        "/etc/subuid gives ann its own id 1000 once more"
    );
    let finding = judge_ids("ann:100000:65536\nbob:165535:65536\n", &[(100_000, 65536)]);
    assert_eq!(
        finding.found,
        "ids of ann in /etc/subuid are also those of bob"
    );
    let finding = judge_ids(
        "ann:100000:65536\n1000:100000:65536\nbob:165536:9\n",
        &[(100_000, 65536)],
    );
    assert_eq!(finding.state, State::Fine);
    assert_eq!(
        judge_ids("", &[]).cure[0],
        "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ann"
    );
}

#[test]
fn helper_without_its_bit_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::temp_dir().join(format!("bryo-newuidmap-{}", std::process::id()));
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let finding = identity::judge_helper(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(
        finding
            .found
            .ends_with("has neither the setuid bit nor a file capability")
    );
    assert!(finding.cure[0].contains("chmod u+s"));
}

#[test]
fn overlay_failure_is_broken_only_without_fuse() {
    let place = Path::new("/home/ann");
    let outcome = failed(Step::Job, libc::EINVAL);
    let copied = storage::judge_overlay(place, &outcome, None);
    assert_eq!(copied.state, State::Limited);
    assert!(copied.meaning.contains("a copy of its image"));
    assert_eq!(
        copied.found,
        "overlay can't be mounted on /home/ann: invalid argument"
    );
    let limited =
        storage::judge_overlay(place, &outcome, Some(Path::new("/usr/bin/fuse-overlayfs")));
    assert_eq!(limited.state, State::Limited);
    let unknown = storage::judge_overlay(place, &failed(Step::UserNamespace, libc::EPERM), None);
    assert_eq!(unknown.state, State::Limited);
}

#[test]
fn file_systems_of_the_store_are_told() {
    let judge = |magic| storage::judge_store(Path::new("/s"), magic, true);
    assert_eq!(judge(0xef53).state, State::Fine);
    assert_eq!(judge(0x0102_1994).found, "/s is on tmpfs");
    assert_eq!(judge(0x6969).found, "/s is on a network file system");
    assert_eq!(
        storage::judge_store(Path::new("/s"), 0xef53, false).state,
        State::Broken
    );
}

#[test]
fn cgroup_is_judged_by_its_controllers() {
    let directory = || Ok(Place::Tree("/sys/fs/cgroup/x".into()));
    assert_eq!(
        session::judge_cgroup(directory(), "cpu io memory pids", true).state,
        State::Fine
    );
    let finding = session::judge_cgroup(directory(), "pids", true);
    assert_eq!(
        finding.found,
        "containers get cgroups in /sys/fs/cgroup/x, which is the user's, without cpu, memory"
    );
    let finding = session::judge_cgroup(Err(NoCgroup::NotDelegated), "", true);
    assert!(finding.cure[0].starts_with("loginctl"));
}

#[test]
fn replaced_runtime_directory_is_told() {
    let mut paths = Paths {
        data: "/d".into(),
        cache: "/c".into(),
        config: "/e".into(),
        runtime: "/tmp/bryo-1000".into(),
        runtime_fallback: None,
    };
    assert_eq!(session::judge_runtime(&paths).state, State::Fine);
    paths.runtime_fallback = Some(RuntimeFallback::NotOurs {
        path: "/run/user/0".into(),
        owner: 0,
    });
    let finding = session::judge_runtime(&paths);
    assert!(
        finding
            .message()
            .contains("/run/user/0, which belongs to user 0: /tmp/bryo-1000 is used instead")
    );
}

#[test]
fn every_check_has_a_finding_and_a_name() {
    let paths = Paths::from_environment().unwrap();
    let findings = examine(&paths);
    assert_eq!(findings.len(), CHECKS.len());
    let text = serde_json::to_string(&findings).unwrap();
    assert!(text.contains("\"user-namespaces\""), "{text}");
    assert!(
        findings
            .iter()
            .all(|finding| finding.state == State::Fine || !finding.meaning.is_empty())
    );
}
