//! Where namespaces and mounts are forbidden, as in a container of docker's or bryo's with default settings, containers are kept apart by
//! chroot alone: they work, they say so, and what they cannot have is refused by name.

use std::fs;

use crate::dockerfile::{build, context, layers};
use crate::env::{TestEnv, bryo, test_env};
use crate::image::{Layer, busybox};
use crate::need::{Need, fixture, need};
use crate::process::{Outcome, eventually};

/// A container of bryo with default settings, bryo inside it, and the images that a test has given it.
struct Around<'a> {
    env: &'a TestEnv,
    container: String,
}

impl<'a> Around<'a> {
    fn start(env: &'a TestEnv) -> Around<'a> {
        let tar = fixture("debian.tar").display().to_string();
        env.run(&["import", &tar, "debian"]).ok();
        let bind =
            |source: &std::path::Path, target: &str| format!("{}:{target}:ro", source.display());
        let program = bind(&bryo(), "/usr/local/bin/bryo");
        let home = bind(&env.path("home"), "/work");
        let words = [
            "run",
            "-d",
            "--init",
            "--network",
            "none",
            "-v",
            &program,
            "-v",
            &home,
        ];
        let words = [&words[..], &["debian", "sleep", "infinity"]].concat();
        let container = env.run(&words).ok().out();
        let around = Around { env, container };
        around.load(busybox().docker_archive("busybox:latest"));
        around
    }

    fn load(&self, archive: impl AsRef<[u8]>) {
        self.env.file("image.tar", archive);
        self.bryo(&["load", "-q", "-i", "/work/image.tar"]).ok();
    }

    fn bryo(&self, arguments: &[&str]) -> Outcome {
        let words = [&["exec", &self.container, "bryo"], arguments].concat();
        self.env.run(&words)
    }

    /// What a shell beside its containers says.
    fn sh(&self, lines: &str) -> Outcome {
        self.env.run(&["exec", &self.container, "sh", "-c", lines])
    }

    /// The command lines of all its processes.
    fn processes(&self) -> String {
        let all =
            "for one in /proc/[0-9]*; do tr '\\0' ' ' < $one/cmdline; echo; done 2>/dev/null; true";
        self.sh(all).ok().stdout
    }

    fn end(self) {
        self.env.run(&["rm", "-f", &self.container]).ok();
    }
}

macro_rules! needs_around {
    () => {
        need!(Need::SubordinateIds, Need::Fixture("debian.tar"))
    };
}

const WARNING: &str = "kept apart by chroot alone";

#[test]
fn a_container_runs_where_namespaces_and_mounts_are_forbidden_and_it_is_told() {
    needs_around!();
    let env = test_env!();
    let around = Around::start(&env);
    let hello = around.bryo(&["run", "hello"]).ok();
    assert!(
        hello.stdout.contains("Hello from bryo!"),
        "{}",
        hello.stdout
    );
    assert_eq!(hello.stderr.matches(WARNING).count(), 1, "{}", hello.stderr);
    let run = |script: &str| around.bryo(&["run", "--rm", "busybox", "sh", "-c", script]);
    run("exit 7").code(7);
    around
        .bryo(&["run", "--rm", "busybox", "nothing"])
        .code(127);
    around.bryo(&["run", "--rm", "busybox", "/etc"]).code(126);
    let streams = run("echo out > /dev/stdout; echo err > /dev/stderr").ok();
    assert_eq!(streams.out(), "out");
    assert!(streams.stderr.ends_with("err\n"), "{}", streams.stderr);
    let null = "echo much > /dev/null; n=0; while test -s /dev/null -a $n -lt 100; do sleep 0.1; n=$((n+1)); done; \
        cat < /dev/null; ls -A /dev";
    let listed = run(null).ok().out();
    assert_eq!(listed, "core\nfd\nnull\nshm\nstderr\nstdin\nstdout");
    let user = around.bryo(&[
        "run",
        "--rm",
        "-u",
        "12:34",
        "-w",
        "/made",
        "busybox",
        "sh",
        "-c",
        "id -u; id -g; pwd",
    ]);
    assert_eq!(user.ok().out(), "12\n34\n/made");
    let input = "echo given | bryo run -i --rm busybox cat";
    assert_eq!(around.sh(input).ok().out(), "given");
    around
        .bryo(&["run", "-d", "--name", "up", "busybox", "sleep", "1000"])
        .ok();
    let look = "pid=$(bryo inspect -f '{{.State.Pid}}' up); grep -E '^(Cap(Prm|Eff|Bnd|Inh|Amb)|Seccomp):' /proc/$pid/status; \
        ls /proc/$pid/fd | tr '\\n' ' '; readlink /proc/$pid/exe";
    let state = around.sh(look).ok().out();
    // Docker's without CAP_SYS_CHROOT, under the filter of the surroundings.
    let set = "00000000a80025fb";
    let none = "0000000000000000";
    let expected = format!(
        "CapInh:\t{none}\nCapPrm:\t{set}\nCapEff:\t{set}\nCapBnd:\t{set}\nCapAmb:\t{none}\nSeccomp:\t2\n0 1 2 "
    );
    assert!(state.starts_with(&expected), "{state}");
    assert!(state.ends_with("/work/root/bin/busybox"), "{state}");
    let isolation = ["inspect", "-f", "{{.HostConfig.Isolation}}", "up"];
    assert_eq!(around.bryo(&isolation).ok().out(), "chroot");
    let info = around.bryo(&["info"]).ok().stdout;
    for line in [
        "Isolation: chroot (a user namespace can't be created",
        "Storage driver: copy (namespaces and mounts are forbidden",
    ] {
        assert!(info.contains(line), "{info}");
    }
    let doctor = around.bryo(&["doctor"]).ok().stdout;
    assert!(doctor.contains(WARNING), "{doctor}");
    // Another user may not even do that.
    let other = "HOME=/tmp setpriv --reuid 1000 --regid 1000 --clear-groups bryo run hello";
    let refused = around.sh(other).code(125).stderr;
    assert!(refused.contains("or run bryo as its root"), "{refused}");
    around.end();
}

#[test]
fn its_life_and_its_files_are_those_of_any_container() {
    needs_around!();
    let env = test_env!();
    let around = Around::start(&env);
    let out = |arguments: &[&str]| around.bryo(arguments).ok().out();
    let script = "echo new > /new; rm /etc/passwd; echo more >> /etc/hosts; trap 'echo bye; exit 3' TERM; echo up; \
        while :; do sleep 0.1; done";
    out(&["run", "-d", "--name", "box", "busybox", "sh", "-c", script]);
    eventually("it is up", || out(&["logs", "box"]) == "up");
    assert_eq!(out(&["exec", "box", "cat", "/new"]), "new");
    assert_eq!(around.bryo(&["exec", "box", "sh", "-c", "exit 5"]).code, 5);
    assert!(out(&["top", "box"]).contains("echo bye"));
    assert_eq!(out(&["ps", "--format", "{{.Names}}"]), "box");
    let file =
        around.sh("echo given > /given; bryo cp /given box:/srv; bryo cp box:/new /got; cat /got");
    assert_eq!(file.ok().out(), "new");
    let changed = "C /etc\nD /etc/passwd\nA /new\nA /srv";
    assert_eq!(out(&["diff", "box"]), changed);
    out(&["commit", "box", "made"]);
    out(&["stop", "box"]);
    assert_eq!(out(&["logs", "box"]), "up\nbye");
    let ended = around.bryo(&["wait", "box"]).ok().out();
    assert_eq!(ended, "3");
    assert_eq!(out(&["diff", "box"]), changed);
    let made =
        "cat /new /srv; ls /etc/passwd; grep -c more /etc/hosts; grep -c localhost /etc/hosts";
    let made = around.bryo(&["run", "--rm", "made", "sh", "-c", made]);
    assert_eq!(made.stdout, "new\ngiven\n0\n2\n", "{}", made.stderr);
    let listed = around
        .sh("bryo export box | tar t | grep -vE '^(bin|home|root|tmp|usr|var)' | tr '\\n' ' '");
    assert_eq!(
        listed.ok().out(),
        "dev/ etc/ etc/group etc/mtab new proc/ srv sys/ "
    );
    // The same container once more.
    out(&["start", "box"]);
    eventually("it is up again", || {
        out(&["logs", "box"]).ends_with("bye\nup")
    });
    out(&["kill", "box"]);
    assert_eq!(out(&["wait", "box"]), "137");
    out(&["rm", "box"]);
    assert_eq!(
        around
            .sh("ls /root/.local/share/bryo/containers")
            .ok()
            .out(),
        ""
    );
    around.end();
}

const REFUSED: [&[&str]; 14] = [
    &["-v", "/tmp:/x"],
    &["--mount", "type=bind,src=/tmp,dst=/x"],
    &["--tmpfs", "/x"],
    &["-v", "name:/x"],
    &["--read-only"],
    &["--network", "none"],
    &["-p", "80:80"],
    &["--privileged"],
    &["--cap-add", "SYS_CHROOT"],
    &["--cap-add", "ALL"],
    &["--sysctl", "net.ipv4.ip_forward=1"],
    &["--device", "/dev/null"],
    &["--userns", "keep-id"],
    &["--shm-size", "1m"],
];

#[test]
fn what_needs_a_mount_or_a_namespace_is_refused_by_name() {
    needs_around!();
    let env = test_env!();
    let around = Around::start(&env);
    for flags in REFUSED {
        let words = [&["run", "--rm"], flags, &["busybox", "true"]].concat();
        let refused = around.bryo(&words);
        let lines = refused.stderr.lines();
        let errors: Vec<&str> = lines.filter(|line| line.starts_with("Error: ")).collect();
        let [error] = errors[..] else {
            panic!("{flags:?}: {}", refused.stderr)
        };
        let named = match flags[0] {
            "-v" => "--volume",
            "-p" => "--publish",
            flag => flag,
        };
        assert!(
            refused.code == 125
                && error.contains(named)
                && error
                    .ends_with("is not possible here: namespaces and mounts are forbidden here"),
            "{flags:?}: {}",
            refused.stderr
        );
    }
    let run = ["run", "-d", "--name", "up", "busybox", "sleep", "1000"];
    around.bryo(&run).ok();
    for words in [
        &["unshare", "true"][..],
        &["exec", "--privileged", "up", "true"],
        &["image", "mount", "busybox", "true"],
    ] {
        let refused = around.bryo(words);
        assert!(
            refused.code == 125 && refused.stderr.contains("forbidden here"),
            "{}",
            refused.stderr
        );
    }
    around.bryo(&["rm", "-f", "up"]).ok();
    assert_eq!(around.bryo(&["ps", "-aq"]).ok().out(), "");
    assert_eq!(around.bryo(&["volume", "ls", "-q"]).ok().out(), "");
    around.end();
}

#[test]
fn nothing_of_it_outlives_its_monitor() {
    needs_around!();
    let env = test_env!();
    let around = Around::start(&env);
    let script = "(busybox setsid sleep 1001 &) & busybox setsid sleep 1002 & sleep 1003";
    let run = [
        "run", "-d", "--name", "box", "-u", "5:5", "busybox", "sh", "-c", script,
    ];
    let sleepers = || {
        let all = around.processes();
        all.lines()
            .filter(|line| line.starts_with("sleep 100"))
            .count()
    };
    let kill = |names: &str| {
        let all = format!(
            "for one in /proc/[0-9]*; do case \"$(tr '\\0' ' ' < $one/cmdline)\" in {names}) kill -9 ${{one#/proc/}};; esac; done 2>/dev/null; true"
        );
        around.sh(&all).ok();
    };
    around.bryo(&run).ok();
    eventually("all run", || sleepers() == 3);
    kill("'bryo: monitor'*");
    eventually("the guard ends them", || sleepers() == 0);
    let status = around
        .bryo(&["ps", "-a", "--format", "{{.Status}}"])
        .ok()
        .out();
    assert!(status.contains("with its monitor"), "{status}");
    around.bryo(&["rm", "box"]).ok();
    // An end of its own takes everything along too.
    let short = "(busybox setsid sleep 1001 &) & busybox setsid sleep 1002 & exit 4";
    around
        .bryo(&["run", "--rm", "busybox", "sh", "-c", short])
        .code(4);
    assert_eq!(sleepers(), 0);
    // Without both of them the next command ends what it may look at.
    around
        .bryo(&["run", "-d", "--name", "box", "busybox", "sh", "-c", script])
        .ok();
    eventually("all run again", || sleepers() == 3);
    kill("'bryo: guard'*|'bryo: monitor'*");
    around.bryo(&["rm", "-f", "box"]).ok();
    assert_eq!(sleepers(), 0);
    let processes = around.processes();
    assert!(!processes.contains("bryo: "), "{processes}");
    around.end();
}

#[test]
fn links_of_a_hostile_image_lead_nowhere_out_of_it() {
    needs_around!();
    let env = test_env!();
    let around = Around::start(&env);
    around
        .sh("mkdir /canary; cp /etc/hosts /etc/resolv.conf /")
        .ok();
    let gone = |name: &str| Layer::new().file(&format!(".wh.{name}"), 0o644, "");
    let hostile = [
        gone("dev").symlink("dev", "/canary"),
        gone("dev").symlink("dev", "../../../../../../../canary"),
        gone("dev").file("dev", 0o644, ""),
        Layer::new().symlink("dev/null", "/canary/null"),
        Layer::new().symlink("dev/shm", "/canary"),
        gone("etc").symlink("etc", "/canary"),
        gone("etc").symlink("etc", "../../../../../../../../canary"),
        gone("etc").symlink("etc", "/dev"),
        Layer::new().symlink("etc/hosts", "/canary/hosts"),
        Layer::new().symlink("etc/hosts", "../../../../../../../../../etc/hosts"),
        Layer::new().symlink("etc/resolv.conf", "/dev/null"),
        Layer::new()
            .directory("etc/hosts/", 0o755)
            .file("etc/hosts/x", 0o644, ""),
        gone("proc").symlink("proc", "/canary"),
        Layer::new().symlink("work", "../../../../../../../../canary"),
    ];
    let script = "grep -c 127.0.0.1 /etc/hosts; echo x > /dev/null; test -d /dev -a ! -L /dev || echo link; cd ..; pwd; \
        ls ../../canary 2>/dev/null; chroot / true 2>/dev/null; mknod /x b 8 0 2>/dev/null";
    for (number, layer) in hostile.iter().enumerate() {
        around.load(busybox().with(layer).docker_archive("hostile:latest"));
        let words = [
            "run",
            "--rm",
            "-w",
            "/work/below",
            "hostile",
            "sh",
            "-c",
            script,
        ];
        let ran = around.bryo(&words);
        // The root may have a directory of that name: it is the container's own then.
        assert!(
            ran.stdout.starts_with("1\n") && !ran.stdout.contains("link"),
            "{number}: {}{}",
            ran.stdout,
            ran.stderr
        );
        assert_eq!(ran.code, 1, "{number}: {}", ran.stderr);
        let intact = "ls -A /canary; cmp /hosts /etc/hosts; cmp /resolv.conf /etc/resolv.conf; test -c /dev/null";
        assert_eq!(around.sh(intact).ok().out(), "", "{number}");
    }
    around.end();
}

const DOCKERFILE: &str = "FROM busybox AS tools\nWORKDIR /tools\nCOPY Dockerfile .\nRUN echo one > one && ln one two && rm /etc/group\n\
    RUN true\nRUN echo three > three && chmod 700 /tools && mkdir -p /a/b && echo x > /a/b/c\n\
    FROM busybox\nCOPY --from=tools /tools /tools\nVOLUME /volume\nRUN rm /tools/two && mv /tools/one /volume\n\
    RUN <<END\n#!/bin/sh\necho script > /script\nEND\n";

#[test]
fn a_build_comes_to_the_same_layers_as_elsewhere() {
    needs_around!();
    let env = test_env!();
    env.load(&busybox().docker_archive("busybox:latest"));
    let directory = context(&env, "app", &[("Dockerfile", DOCKERFILE)]);
    let flags = ["-t", "made", "--source-date-epoch", "1700000000"];
    build(
        &env,
        &directory,
        &[&flags[..], &["--network", "none"]].concat(),
    )
    .ok();
    let around = Around::start(&env);
    let build = [&["build"], &flags[..], &["/work/app"]].concat();
    let built = around.bryo(&build).ok();
    assert_eq!(built.stderr.matches(WARNING).count(), 1, "{}", built.stderr);
    assert!(!built.stderr.contains("stacked by"), "{}", built.stderr);
    let inspect = [
        "image",
        "inspect",
        "--format",
        "{{join .RootFS.Layers \" \"}}",
        "made",
    ];
    let inside = around.bryo(&inspect).ok().out();
    assert_eq!(inside, layers(&env, "made").join(" "));
    let again = around.bryo(&build).ok();
    assert_eq!(crate::dockerfile::cached(&again), 8, "{}", again.stderr);
    around.end();
}

const MOUNTS: &str = "FROM busybox\n\
    RUN --mount=type=secret,id=word,mode=0440 cat /run/secrets/word > /dev/null && stat -c %a /run/secrets/word\n\
    RUN --mount=type=bind,target=/given,rw ls /given && echo x > /given/Dockerfile\n\
    RUN --mount=type=tmpfs,target=/bin/deep ls -A /bin/deep && touch /bin/deep/new\n\
    RUN --mount=type=cache,target=/cache,id=c echo first >> /cache/file\n\
    RUN --mount=type=cache,target=/cache,id=c cat /cache/file && ln -s /etc /cache/link\n\
    RUN --mount=type=cache,target=/cache,id=c rm -r /cache && ln -s / /cache\n\
    RUN --mount=type=cache,target=/cache,id=c ls /cache && echo failed >> /cache/file\n\
    RUN ls -d /cache /run/secrets /given /bin/deep 2>/dev/null; true\n";

#[test]
fn what_a_step_of_a_build_has_mounted_elsewhere_is_put_there_for_its_time() {
    needs_around!();
    let env = test_env!();
    context(&env, "app", &[("Dockerfile", MOUNTS)]);
    env.file("word", "open-sesame");
    let around = Around::start(&env);
    let build = [
        "build",
        "--progress",
        "plain",
        "--secret",
        "id=word,src=/work/word",
        "-t",
        "made",
        "/work/app",
    ];
    let built = around.bryo(&build).ok().stderr;
    let said: Vec<&str> = built
        .lines()
        .filter(|line| line.starts_with('#') && !line.contains("DONE") && !line.contains('['))
        .filter_map(|line| line.split_once(' ')?.1.split_once(' '))
        .map(|(_, text)| text)
        .filter(|text| !text.contains("image") && !text.contains("naming"))
        .collect();
    // The link that took the cache's place is none: the cache stays as it was.
    assert_eq!(
        said,
        ["440", "Dockerfile", "first", "file", "link"],
        "{built}"
    );
    assert_eq!(
        fs::read_to_string(env.path("home/app/Dockerfile"))
            .ok()
            .as_deref(),
        Some(MOUNTS)
    );
    let left = "grep -rl open-sesame /root /tmp /run /var/tmp";
    assert_eq!(around.sh(left).out(), "");
    let list = "ls -Ad /cache /run /given /bin/deep 2>/dev/null; true";
    let list = around.bryo(&["run", "--rm", "made", "sh", "-c", list]);
    assert_eq!(list.ok().out(), "");
    for (dockerfile, named) in [
        ("FROM busybox\nRUN --network=none true\n", "--network none"),
        (
            "FROM busybox\nRUN --security=insecure true\n",
            "--security=insecure",
        ),
    ] {
        context(&env, "refused", &[("Dockerfile", dockerfile)]);
        let refused = around.bryo(&["build", "--allow", "security.insecure", "/work/refused"]);
        assert!(
            refused.code == 1
                && refused.stderr.contains(named)
                && refused.stderr.contains("forbidden here"),
            "{}",
            refused.stderr
        );
    }
    around.end();
}
