//! `doctor`: findings, exit codes, and the same words in the message of `run`.

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::process::Outcome;

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

/// A host of the test's own, to be broken: a user namespace with a root, beside whom the test's user is an ordinary user with
/// subordinate ids and helpers to map them, and a mount namespace in which root can replace whatever there is.
struct Host<'a> {
    env: &'a TestEnv,
    /// Shell lines for its root. `$T` is a directory for them; what they put into `$ENTER` starts the user's command.
    breakage: &'a str,
}

/// What `doctor` says of one thing.
struct Finding {
    found: String,
    cure: String,
}

const GOOD_HOST: &str = r#"
    set -e
    T=$HOME/host; ENTER=; mkdir -p $T; chmod 755 $HOME $T
    for helper in newuidmap newgidmap; do
        cp -f "$(command -v $helper)" $T/$helper
        chmod 4755 $T/$helper
        mount --bind $T/$helper "$(command -v $helper)"
    done
    echo $TEST_UID:10000:50000 > $T/subid
    mount --bind $T/subid /etc/subuid
    mount --bind $T/subid /etc/subgid
"#;

impl Host<'_> {
    /// A shell line as the host's ordinary user; `$BRYO` is the program under test.
    fn user(&self, line: &str) -> Outcome {
        let become_user = "exec $ENTER setpriv --reuid $TEST_UID --regid $TEST_GID --clear-groups";
        let script = format!(
            "{GOOD_HOST}\n{}\n{become_user} sh -c '{line}'",
            self.breakage
        );
        let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
        let mut words = vec!["--user", "--mount", "--map-auto", "--map-current-user"];
        words.extend(["--setuid", "0", "--setgid", "0", "sh", "-c", &script]);
        self.env
            .other("unshare", &words)
            .var("BRYO", crate::env::bryo())
            .var("TEST_UID", uid.to_string())
            .var("TEST_GID", gid.to_string())
            .run()
    }

    /// A container of an image that is not embedded.
    fn run(&self, flags: &str) -> Outcome {
        self.user(&format!(
            "exec $BRYO run --rm {flags} busybox cat /proc/self/uid_map"
        ))
    }

    /// What `doctor` finds of one thing, the same in JSON and in text.
    #[track_caller]
    fn finds(&self, check: &str, state: &str) -> Finding {
        let json = self.user("exec $BRYO doctor --json");
        let findings: Vec<serde_json::Value> =
            serde_json::from_str(&json.stdout).unwrap_or_else(|error| panic!("{error}: {json:?}"));
        let broken = findings.iter().any(|finding| finding["state"] == "broken");
        let json = json.code(i32::from(broken));
        let finding = findings.iter().find(|finding| finding["check"] == check);
        let finding = finding.unwrap_or_else(|| panic!("no {check}: {json:?}"));
        assert_eq!(finding["state"], state, "{finding}");
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let (found, cure) = (text(&finding["found"]), text(&finding["cure"][0]));
        assert!(!found.is_empty() && !cure.is_empty(), "{finding}");
        let shown = self.user("exec $BRYO doctor").code(i32::from(broken));
        shown
            .prints(&format!("{state:<7}  {found}\n"))
            .prints(&format!("         cure: {cure}\n"));
        Finding { found, cure }
    }
}

impl Finding {
    /// Another command says the same as doctor, and what cures it.
    #[track_caller]
    fn is_said_by(&self, run: Outcome) -> Outcome {
        run.says(&self.found).says(&self.cure)
    }
}

/// Skips the test unless a host of its own can be made, with busybox in its store.
macro_rules! host {
    ($env:ident, $breakage:expr) => {{
        need!(Need::SubordinateIds, Need::Program("setpriv"));
        $env.busybox();
        Host {
            env: &$env,
            breakage: $breakage,
        }
    }};
}

fn ids(run: &Outcome) -> Vec<String> {
    let lines = run.stdout.lines();
    lines
        .map(|line| {
            line.split_whitespace()
                .nth(2)
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

#[test]
fn a_host_of_the_tests_own_is_no_hindrance_before_it_is_broken() {
    let env = test_env!();
    let host = host!(env, "");
    let run = host.run("--network none").ok();
    assert_eq!(run.stderr, "");
    assert_eq!(ids(&run), ["1", "50000"], "{run:?}");
}

#[test]
fn no_user_namespaces_is_diagnosed_by_doctor_and_by_run() {
    let env = test_env!();
    let host = host!(env, "echo 0 > /proc/sys/user/max_user_namespaces");
    let finding = host.finds("user-namespaces", "broken");
    assert_eq!(finding.found, "user.max_user_namespaces is 0");
    finding.is_said_by(
        host.run("--network none")
            .fails(125, "no container can run"),
    );
    finding.is_said_by(host.user("exec $BRYO run --rm hello").code(125));
}

/// A namespace is refused as that rule refuses it, here by chroot(2), and the rule is there to be blamed.
#[test]
fn the_apparmor_rule_is_diagnosed_by_doctor_and_by_run() {
    let env = test_env!();
    let host = host!(
        env,
        "mkdir -p $T/kernel $T/root
         for file in /proc/sys/kernel/*; do
             test ! -f $file || cat $file > $T/kernel/${file##*/} 2>/dev/null || :
         done
         echo 1 > $T/kernel/apparmor_restrict_unprivileged_userns
         mount --bind $T/kernel /proc/sys/kernel
         mount --rbind / $T/root
         ENTER=\"chroot $T/root\""
    );
    let finding = host.finds("user-namespaces", "broken");
    let rule = "kernel.apparmor_restrict_unprivileged_userns";
    assert!(finding.found.starts_with(&format!("{rule} is 1")));
    assert!(finding.cure.contains(&format!("{rule}=0")));
    finding.is_said_by(
        host.run("--network none")
            .fails(125, "no container can run"),
    );
}

#[test]
fn missing_subordinate_ids_are_diagnosed_and_no_hindrance() {
    let env = test_env!();
    let host = host!(env, ": > $T/subid");
    let finding = host.finds("subordinate-ids", "limited");
    assert!(finding.found.ends_with("has no line in /etc/subuid"));
    let run = finding.is_said_by(host.run("--network none").ok());
    assert_eq!(ids(&run), ["1"], "{run:?}");
    let hello = host.user("exec $BRYO run --rm hello").ok();
    assert_eq!(hello.stderr, "", "the embedded image needs no other ids");
}

#[test]
fn subordinate_ids_that_the_helper_refuses_are_diagnosed() {
    let env = test_env!();
    let host = host!(env, "printf %s:10000:50000 $TEST_UID > $T/subid");
    // Some versions of the helper read it.
    let finding = host.finds("subordinate-ids", "limited");
    assert!(finding.found.ends_with("does not end with a line feed"));
    let host = host!(env, "echo $TEST_UID:$TEST_UID:50000 > $T/subid");
    let finding = host.finds("subordinate-ids", "broken");
    assert!(finding.found.contains("its own id"), "{}", finding.found);
    finding.is_said_by(host.run("--network none").fails(125, "newuidmap"));
}

#[test]
fn a_missing_id_map_helper_is_diagnosed_and_no_hindrance() {
    let env = test_env!();
    let host = host!(env, "mount --bind /dev/null \"$(command -v newuidmap)\"");
    let finding = host.finds("id-map-helpers", "limited");
    assert_eq!(finding.found, "newuidmap is not installed");
    let run = finding.is_said_by(host.run("--network none").ok());
    assert_eq!(ids(&run), ["1"], "{run:?}");
}

#[test]
fn an_id_map_helper_without_its_bit_is_diagnosed_and_no_hindrance() {
    let env = test_env!();
    for helper in ["newuidmap", "newgidmap"] {
        let breakage = format!("chmod u-s $T/{helper}");
        let host = host!(env, &breakage);
        let finding = host.finds("id-map-helpers", "limited");
        assert!(finding.found.contains(helper), "{}", finding.found);
        assert!(finding.cure.contains("chmod u+s"), "{}", finding.cure);
        let run = finding.is_said_by(host.run("--network none").ok());
        assert_eq!(ids(&run), ["1"], "{run:?}");
    }
}

#[test]
fn a_missing_fuse_device_is_diagnosed_and_stops_what_needs_it() {
    need!(Need::Program("fuse-overlayfs"));
    let env = test_env!();
    let host = host!(env, "mount --bind /dev/null /dev/fuse");
    let finding = host.finds("fuse", "limited");
    assert!(finding.found.starts_with("/dev/fuse can't be opened: "));
    host.run("--network none").ok();
    let with_fuse = host
        .user("BRYO_STORAGE_DRIVER=fuse-overlayfs exec $BRYO run --rm --network none busybox true");
    finding.is_said_by(with_fuse.fails(125, "/dev/fuse"));
}

#[test]
fn a_missing_tun_device_is_diagnosed_and_stops_only_images_that_need_it() {
    need!(Need::Program("pasta"));
    let env = test_env!();
    for breakage in [
        "mount -t tmpfs none /dev/net",
        "mount --bind /dev/null /dev/net/tun",
    ] {
        let host = host!(env, breakage);
        let finding = host.finds("tun", "limited");
        assert!(finding.found.starts_with("/dev/net/tun can't be opened: "));
        finding.is_said_by(host.run("").fails(125, "--network none"));
        host.run("--network none").ok();
    }
}

#[test]
fn another_users_runtime_directory_is_diagnosed_and_no_hindrance() {
    let env = test_env!();
    let host = host!(
        env,
        "mkdir -p $T/foreign; chmod 700 $T/foreign; mount -t tmpfs -o mode=1777 none /tmp
         export XDG_RUNTIME_DIR=$T/foreign"
    );
    let finding = host.finds("runtime-directory", "limited");
    assert!(finding.found.ends_with("/foreign, which belongs to user 0"));
    finding.is_said_by(host.run("--network none").ok());
    host.user("exec $BRYO info").ok().prints(&finding.found);
    let made = host.user("$BRYO run --rm --network none busybox true && stat -c %a /tmp/bryo-*");
    assert_eq!(made.ok().out(), "700");
}

#[test]
fn a_store_on_tmpfs_is_diagnosed_and_no_hindrance() {
    let env = test_env!();
    let host = host!(
        env,
        "mount -t tmpfs -o mode=0700,uid=$TEST_UID,gid=$TEST_GID none $XDG_DATA_HOME
         mkdir -m 700 $XDG_DATA_HOME/bryo; chown $TEST_UID:$TEST_GID $XDG_DATA_HOME/bryo"
    );
    let finding = host.finds("store", "limited");
    assert!(finding.found.ends_with(" is on tmpfs"), "{}", finding.found);
    let run = host.user(
        "$BRYO load -q -i $HOME/image.tar && exec $BRYO run --rm --network none busybox true",
    );
    finding.is_said_by(run.ok());
}

#[test]
fn a_missing_network_helper_is_diagnosed_and_stops_only_images_that_need_it() {
    let env = test_env!();
    let lacking = |line: &str| env.lacking(&["pasta", "slirp4netns"], line);
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

/// systemd is there by its directory, and by the program that says who lingers.
#[test]
fn a_user_whose_processes_end_at_logout_is_told() {
    let env = test_env!();
    need!(Need::Program("loginctl"));
    let host = host!(
        env,
        "mount -t tmpfs -o mode=0755 none /run
         mkdir -p /run/systemd/system"
    );
    let finding = host.finds("linger", "limited");
    assert_eq!(finding.cure, "loginctl enable-linger");
    assert!(
        finding.found.ends_with("doesn't linger"),
        "{}",
        finding.found
    );
    let host = host!(
        env,
        "mount -t tmpfs -o mode=0755 none /run
         mkdir -p /run/systemd/system
         test -d /var/lib/systemd
         mount -t tmpfs -o mode=0755 none /var/lib/systemd
         mkdir /var/lib/systemd/linger
         touch /var/lib/systemd/linger/$(id -nu $TEST_UID)"
    );
    let said = host.user("exec $BRYO doctor");
    assert!(said.stdout.contains("outlive the session"), "{said:?}");
}
