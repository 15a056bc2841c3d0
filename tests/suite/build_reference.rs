//! Dockerfiles that other builders of this kind refuse or read otherwise, with the tree and the configuration that Docker's reference
//! says they come to, written by hand.

use std::io::Read;

use serde_json::Value;

use crate::dockerfile::{build, context, inspected};
use crate::env::{TestEnv, test_env};
use crate::misbehaving::Registry;

/// A Dockerfile, the flags it is built with, and what comes of it.
struct Case {
    text: &'static str,
    flags: &'static [&'static str],
    /// Every path, with its content; in brackets a mode or owner that is not the usual one.
    tree: &'static [&'static str],
    /// Keys of `Config`, with their JSON.
    config: &'static [(&'static str, &'static str)],
}

const fn tree(text: &'static str, tree: &'static [&'static str]) -> Case {
    Case {
        text,
        flags: &[],
        tree,
        config: &[],
    }
}

const fn config(text: &'static str, config: &'static [(&'static str, &'static str)]) -> Case {
    Case {
        text,
        flags: &[],
        tree: &[],
        config,
    }
}

const PARENTS: [Case; 11] = [
    tree(
        "FROM scratch\nCOPY --parents **/*.md /out/\n",
        &[
            "out/",
            "out/dir/",
            "out/dir/sub/",
            "out/dir/sub/deep/",
            "out/dir/sub/deep/four.md 4",
            "out/dir/two.md 2",
        ],
    ),
    tree(
        "FROM scratch\nCOPY --parents dir/**/./deep/**/four.md **/**/b.txt /\n",
        &["b.txt b", "deep/", "deep/four.md 4"],
    ),
    tree(
        "FROM scratch\nCOPY --parents dir/./sub/** /\n",
        &["sub/", "sub/deep/", "sub/deep/four.md 4", "sub/three.txt 3"],
    ),
    tree(
        "FROM scratch\nCOPY **/*.md /out/\n",
        &["out/", "out/two.md 2"],
    ),
    tree(
        "FROM scratch\nCOPY --parents dir/sub/three.txt /out/\n",
        &[
            "out/",
            "out/dir/",
            "out/dir/sub/",
            "out/dir/sub/three.txt 3",
        ],
    ),
    tree(
        "FROM scratch\nCOPY --parents ./dir/./sub/*.txt /out/\n",
        &["out/", "out/sub/", "out/sub/three.txt 3"],
    ),
    tree(
        "FROM scratch\nCOPY --parents dir/*/*.txt a.txt /\n",
        &["a.txt a", "dir/", "dir/sub/", "dir/sub/three.txt 3"],
    ),
    tree(
        "FROM scratch\nCOPY --parents dir/*.md dir/sub/deep/*.md /out/\n",
        &[
            "out/",
            "out/dir/",
            "out/dir/sub/",
            "out/dir/sub/deep/",
            "out/dir/sub/deep/four.md 4",
            "out/dir/two.md 2",
        ],
    ),
    tree(
        "FROM scratch AS one\nCOPY dir /x/dir/\nFROM scratch\nCOPY --parents --from=one /x/dir/one.txt /out/\n",
        &["out/", "out/x/", "out/x/dir/", "out/x/dir/one.txt 1"],
    ),
    tree(
        "FROM scratch AS one\nCOPY dir /x/dir/\nFROM scratch\nCOPY --parents --from=one /x/./dir/one.txt /out/\n",
        &["out/", "out/dir/", "out/dir/one.txt 1"],
    ),
    tree(
        "FROM scratch\nCOPY --parents --exclude=**/*.md dir/sub /out/\n",
        &[
            "out/",
            "out/dir/",
            "out/dir/sub/",
            "out/dir/sub/deep/",
            "out/dir/sub/three.txt 3",
        ],
    ),
];

const EXCLUDE: [Case; 6] = [
    tree(
        "FROM scratch\nARG X=*.md\nCOPY --exclude=$X dir/sub/deep /out/\n",
        &["out/", "out/four.md 4"],
    ),
    tree(
        "FROM scratch\nCOPY --exclude=**/*.md dir /out/\n",
        &[
            "out/",
            "out/one.txt 1",
            "out/sub/",
            "out/sub/deep/",
            "out/sub/three.txt 3",
        ],
    ),
    tree(
        "FROM scratch\nCOPY --exclude=**/*.md --exclude=sub dir /out/\n",
        &["out/", "out/one.txt 1"],
    ),
    tree(
        "FROM scratch\nCOPY --exclude=a.txt *.txt /out/\n",
        &["out/", "out/b.txt b"],
    ),
    tree(
        "FROM scratch\nADD --exclude=b* *.txt /out/\n",
        &["out/", "out/a.txt a"],
    ),
    tree(
        "FROM scratch AS one\nCOPY dir /x\nFROM scratch\nCOPY --from=one --exclude=sub --exclude=*.md /x /\n",
        &["one.txt 1"],
    ),
];

const LINK: [Case; 4] = [
    tree(
        "FROM scratch\nCOPY --link a.txt /out/\n",
        &["out/", "out/a.txt a"],
    ),
    tree(
        "FROM scratch\nCOPY --link --chmod=640 --chown=3:4 a.txt /f\n",
        &["f a [640 3:4]"],
    ),
    tree(
        "FROM scratch\nADD --link dir/sub /out\n",
        &["out/", "out/deep/", "out/deep/four.md 4", "out/three.txt 3"],
    ),
    tree(
        "FROM scratch\nCOPY a.txt /f\nCOPY --link b.txt /f\n",
        &["f b"],
    ),
];

const HEREDOCS: [Case; 11] = [
    tree(
        "FROM scratch\nCOPY <<EOF /f\none\ntwo\nEOF\n",
        &["f one\\ntwo\\n"],
    ),
    tree(
        "FROM scratch\nCOPY <<one.txt <<two.txt /out/\n1\none.txt\n2\ntwo.txt\n",
        &["out/", "out/one.txt 1\\n", "out/two.txt 2\\n"],
    ),
    tree(
        "FROM scratch\nCOPY <<-EOF /f\n\tone\n\t\ttwo\n\tEOF\n",
        &["f one\\ntwo\\n"],
    ),
    tree(
        "FROM scratch\nARG X=x\nCOPY <<EOF /f\n$X ${X:-y} ${Y:-z} \\$X\nEOF\n",
        &["f x x z $X\\n"],
    ),
    tree(
        "FROM scratch\nARG X=x\nCOPY <<\"EOF\" /f\n$X ${X}\nEOF\n",
        &["f $X ${X}\\n"],
    ),
    tree(
        "FROM scratch\nARG X=x\nCOPY <<'EOF' /f\n$X\nEOF\n",
        &["f $X\\n"],
    ),
    tree(
        "FROM scratch\nCOPY --chmod=755 --chown=1:2 <<EOF /f\n#!/bin/sh\nEOF\n",
        &["f #!/bin/sh\\n [755 1:2]"],
    ),
    tree(
        "FROM scratch\nCOPY <<EOF a.txt /out/\nx\nEOF\n",
        &["out/", "out/EOF x\\n", "out/a.txt a"],
    ),
    tree("FROM scratch\nADD <<EOF /f\nadded\nEOF\n", &["f added\\n"]),
    tree(
        "FROM scratch\nCOPY <<EOF /f\n# no comment\n\n  # neither\nEOF\n",
        &["f # no comment\\n\\n  # neither\\n"],
    ),
    tree(
        "FROM busybox AS b\nRUN <<EOF\nmkdir /out\necho $((1 + 1)) > /out/f\nEOF\nRUN <<sh\n#!/bin/sh -e\necho script > /out/g\nsh\n\
         RUN cat <<A > /out/h && cat <<B >> /out/h\na\nA\nb\nB\nFROM scratch\nCOPY --from=b /out /\n",
        &["f 2\\n", "g script\\n", "h a\\nb\\n"],
    ),
];

const ATTRIBUTES: [Case; 7] = [
    tree(
        "FROM scratch\nCOPY --chmod=g=u,o-r a.txt /f\n",
        &["f a [660]"],
    ),
    tree(
        "FROM scratch\nCOPY --chmod=u+x,g-r,o= a.txt /f\n",
        &["f a [700]"],
    ),
    tree(
        "FROM scratch\nCOPY --chmod=a=rX dir/sub /out\n",
        &[
            "out/ [555]",
            "out/deep/ [555]",
            "out/deep/four.md 4 [444]",
            "out/three.txt 3 [444]",
        ],
    ),
    tree(
        "FROM scratch\nCOPY --chmod=4711 a.txt /f\n",
        &["f a [4711]"],
    ),
    tree(
        "FROM scratch\nARG MODE=600\nCOPY --chmod=$MODE a.txt /f\n",
        &["f a [600]"],
    ),
    tree(
        "FROM scratch\nARG WHO=7:8\nCOPY --chown=${WHO} a.txt dir/one.txt /out/\n",
        &["out/ [7:8]", "out/a.txt a [7:8]", "out/one.txt 1 [7:8]"],
    ),
    tree("FROM scratch\nCOPY link /l\n", &["l a"]),
];

const FETCHED: [Case; 4] = [
    tree(
        "FROM scratch\nADD --checksum={digest} {url}/file.txt /f\n",
        &["f downloaded [600]"],
    ),
    tree(
        "FROM scratch\nADD --chmod=644 {url}/file.txt /out/\n",
        &["out/", "out/file.txt downloaded"],
    ),
    tree(
        "FROM scratch\nADD --unpack=true --chmod=644 {url}/x.tar /out/\n",
        &["out/", "out/inside in"],
    ),
    tree(
        "FROM scratch\nARG U={url}\nADD --chown=5 --chmod=u=rw,go=r $U/file.txt /f\n",
        &["f downloaded [5:5]"],
    ),
];

const ARGUMENTS: [Case; 4] = [
    tree(
        "FROM busybox AS a\nARG X=1 Y\nFROM a AS b\nARG Z=$X\nRUN echo $X $Z > /f\nFROM scratch\nCOPY --from=b /f /\n",
        &["f 1 1\\n"],
    ),
    tree(
        "FROM busybox AS b\nENV A=3 B=3\nARG A=1\nARG B\nRUN echo $A $B > /f\nENV A=$A$A\nRUN echo $A >> /f\nFROM scratch\nCOPY --from=b /f /\n",
        &["f 1 3\\n11\\n"],
    ),
    tree(
        "FROM busybox AS b\nRUN hostname > /f; env | grep -c HOSTNAME >> /f; true\nFROM scratch\nCOPY --from=b /f /\n",
        &["f buildkitsandbox\\n0\\n"],
    ),
    Case {
        text: "FROM busybox AS b\nRUN hostname > /f\nFROM scratch\nCOPY --from=b /f /\n",
        flags: &["--build-arg", "BUILDKIT_SANDBOX_HOSTNAME=other"],
        tree: &["f other\\n"],
        config: &[],
    },
];

const STAGES: [Case; 7] = [
    tree(
        "FROM scratch AS one\nCOPY a.txt /a\nFROM scratch AS two\nCOPY b.txt /b\nFROM scratch\nCOPY --from=0 /a /\nCOPY --from=two /b /\n",
        &["a a", "b b"],
    ),
    tree(
        "FROM scratch AS One\nCOPY a.txt /a\nFROM one\nCOPY b.txt /b\n",
        &["a a", "b b"],
    ),
    tree(
        "ARG BASE=scratch\nFROM ${BASE}\nARG BASE\nCOPY <<EOF /f\n$BASE\nEOF\n",
        &["f scratch\\n"],
    ),
    tree(
        "ARG OUT=no\nFROM scratch\nCOPY <<EOF /f\n[$OUT]\nEOF\n",
        &["f []\\n"],
    ),
    Case {
        text: "FROM scratch\nCOPY --from=other one.txt /f\n",
        flags: &["--build-context", "other=dir"],
        tree: &["f 1"],
        config: &[],
    },
    Case {
        text: "FROM scratch AS first\nCOPY a.txt /f\nFROM scratch AS last\nCOPY b.txt /f\n",
        flags: &["--target", "FIRST"],
        tree: &["f a"],
        config: &[],
    },
    Case {
        text: "FROM --platform=$BUILDPLATFORM scratch AS b\nARG TARGETOS\nCOPY <<EOF /f\n$TARGETOS\nEOF\nFROM scratch\nCOPY --from=b /f /\n",
        flags: &["--platform", "linux/riscv64"],
        tree: &["f linux\\n"],
        config: &[],
    },
];

const MOUNTS: [Case; 5] = [
    tree(
        "FROM busybox AS b\nRUN --mount=type=bind,source=dir,target=/in cp /in/one.txt /f && ! touch /in/x\nFROM scratch\nCOPY --from=b /f /\n",
        &["f 1"],
    ),
    tree(
        "FROM busybox AS b\nRUN --mount=type=bind,target=/in,rw echo x > /in/new && cp /in/new /f\nFROM scratch\nCOPY --from=b /f /\n",
        &["f x\\n"],
    ),
    tree(
        "FROM scratch AS src\nCOPY dir /d\nFROM busybox AS b\nRUN --mount=from=src,source=/d,target=/in cat /in/one.txt /in/two.md > /f\nFROM scratch\nCOPY --from=b /f /\n",
        &["f 12"],
    ),
    tree(
        "FROM busybox AS b\nRUN --mount=type=tmpfs,target=/t,size=1m echo x > /t/x && cp /t/x /f\nRUN test ! -e /t/x\nFROM scratch\nCOPY --from=b /f /\n",
        &["f x\\n"],
    ),
    tree(
        "FROM scratch AS seed\nCOPY --chown=9:9 dir/one.txt /c/seed\nFROM busybox AS b\nRUN --mount=type=cache,id=reference,from=seed,source=/c,target=/c cat /c/seed > /f && stat -c %u /c/seed >> /f && echo more > /c/more\n\
         RUN --mount=type=cache,id=reference,from=seed,source=/c,target=/c cat /c/more >> /f\n\
         RUN --mount=type=cache,id=reference,target=/c test -z \"$(ls /c)\"\nFROM scratch\nCOPY --from=b /f /\n",
        &["f 19\\nmore\\n"],
    ),
];

const SETTINGS: [Case; 15] = [
    config("FROM scratch\nENV a=1\n", &[("WorkingDir", "\"/\"")]),
    config(
        "FROM scratch\nENV a=1 b=\"2 3\" c=4\\ 5\n",
        &[(
            "Env",
            r#"["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","a=1","b=2 3","c=4 5"]"#,
        )],
    ),
    config(
        "FROM scratch\nENV PATH=/b v=foo.tar.gz\nENV w=${v%.*} x=${v%%.*} y=${v#*.} z=${v/tar/zip} q=${n:-no} r=${v:+yes}\n",
        &[(
            "Env",
            r#"["PATH=/b","v=foo.tar.gz","w=foo.tar","x=foo","y=tar.gz","z=foo.zip.gz","q=no","r=yes"]"#,
        )],
    ),
    config(
        "FROM scratch\nENV PATH=/b abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc\n",
        &[("Env", r#"["PATH=/b","abc=bye","def=hello","ghi=bye"]"#)],
    ),
    config(
        "FROM scratch\nLABEL a=1 \"b c\"='d e' f=\"g\\\nh\"\n",
        &[("Labels", r#"{"a":"1","b c":"d e","f":"gh"}"#)],
    ),
    config(
        "FROM scratch\nARG P=80\nEXPOSE $P 90/udp 100-102/tcp 8080:70 127.0.0.1:1-2:71-72/udp\n",
        &[(
            "ExposedPorts",
            r#"{"100/tcp":{},"101/tcp":{},"102/tcp":{},"70/tcp":{},"71/udp":{},"72/udp":{},"80/tcp":{},"90/udp":{}}"#,
        )],
    ),
    config(
        "FROM scratch\nVOLUME [\"/a\", \"/b c\"]\nVOLUME /d /e\n",
        &[("Volumes", r#"{"/a":{},"/b c":{},"/d":{},"/e":{}}"#)],
    ),
    config(
        "FROM scratch\nWORKDIR /a\nWORKDIR b\nENV D=/e\nWORKDIR $D/../f\n",
        &[("WorkingDir", "\"/f\"")],
    ),
    config(
        "FROM scratch\nHEALTHCHECK --interval=5m --timeout=3s --start-period=1m --start-interval=2s --retries=4 CMD curl x || exit 1\n",
        &[(
            "Healthcheck",
            r#"{"Interval":300000000000,"Retries":4,"StartInterval":2000000000,"StartPeriod":60000000000,"Test":["CMD-SHELL","curl x || exit 1"],"Timeout":3000000000}"#,
        )],
    ),
    config(
        "FROM scratch\nHEALTHCHECK CMD [\"a\", \"b\"]\nHEALTHCHECK NONE\n",
        &[("Healthcheck", r#"{"Test":["NONE"]}"#)],
    ),
    config(
        "FROM scratch\nSHELL [\"/bin/ash\", \"-c\"]\nCMD echo $x\n",
        &[
            ("Cmd", r#"["/bin/ash","-c","echo $x"]"#),
            ("Shell", r#"["/bin/ash","-c"]"#),
        ],
    ),
    config(
        "FROM scratch AS a\nCMD [\"inherited\"]\nFROM a\nENTRYPOINT [\"/e\"]\n",
        &[("Cmd", "null"), ("Entrypoint", r#"["/e"]"#)],
    ),
    config(
        "FROM scratch\nARG S=SIGUSR1 U=4\nSTOPSIGNAL $S\nUSER ${U}:5\n",
        &[("StopSignal", "\"SIGUSR1\""), ("User", "\"4:5\"")],
    ),
    config(
        "FROM scratch\nONBUILD COPY <<EOF /f\n$X\nEOF\nONBUILD RUN a \\\n  b\n",
        &[("OnBuild", r#"["COPY <<EOF /f\n$X\nEOF","RUN a   b"]"#)],
    ),
    config(
        "# syntax=docker/dockerfile:1\n# escape=`\n# check=skip=all\nFROM scratch\nENV PATH=C:\\x a=b` c\n",
        &[("Env", r#"["PATH=C:\\x","a=b c"]"#)],
    ),
];

/// What an archive holds, a line each, in order.
fn lines(archive: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().expect("it is a tar") {
        let mut entry = entry.expect("it is whole");
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = path.trim_start_matches("./").to_owned();
        let header = entry.header().clone();
        let is_directory = header.entry_type().is_dir();
        if path.is_empty() {
            continue;
        }
        let mut line = path;
        if let Some(target) = entry.link_name_bytes() {
            line += &format!(" -> {}", String::from_utf8_lossy(&target));
        } else if !is_directory {
            let mut content = String::new();
            entry.read_to_string(&mut content).expect("it is text");
            line += &format!(" {}", content.replace('\n', "\\n"));
        }
        let mut odd = Vec::new();
        let mode = header.mode().expect("a number") & 0o7777;
        if mode != if is_directory { 0o755 } else { 0o644 } {
            odd.push(format!("{mode:o}"));
        }
        let owner = (
            header.uid().expect("a number"),
            header.gid().expect("a number"),
        );
        if owner != (0, 0) {
            odd.push(format!("{}:{}", owner.0, owner.1));
        }
        if !odd.is_empty() {
            line += &format!(" [{}]", odd.join(" "));
        }
        lines.push(line);
    }
    lines.sort();
    lines
}

/// All that is not as it should be.
fn faults(env: &TestEnv, cases: &[Case], replace: &[(&str, &str)]) -> Vec<String> {
    let files = [
        ("a.txt", "a"),
        ("b.txt", "b"),
        ("dir/one.txt", "1"),
        ("dir/two.md", "2"),
        ("dir/sub/three.txt", "3"),
        ("dir/sub/deep/four.md", "4"),
    ];
    let directory = context(env, "app", &files);
    let link = format!("{directory}/link");
    if std::fs::symlink_metadata(&link).is_err() {
        std::os::unix::fs::symlink("a.txt", &link).expect("it is new");
    }
    let archive = env.path("home/tree.tar");
    let place = format!("type=tar,dest={}", archive.display());
    let mut faults = Vec::new();
    for case in cases {
        let replaced = replace
            .iter()
            .fold(case.text.to_owned(), |text, (from, to)| {
                text.replace(from, to)
            });
        env.file("app/Dockerfile", &replaced);
        let flags = case
            .flags
            .iter()
            .map(|flag| flag.replace("=dir", &format!("={directory}/dir")));
        let flags: Vec<String> = flags.collect();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let built = build(
            env,
            &directory,
            &[&flags[..], &["--load", "-t", "case", "-o", &place]].concat(),
        );
        if built.code != 0 {
            faults.push(format!("{replaced}\n{}", built.stderr));
            continue;
        }
        if !case.tree.is_empty() {
            let found = lines(&std::fs::read(&archive).expect("it was written"));
            if found != case.tree {
                faults.push(format!(
                    "{replaced}\n  {found:?}\n  instead of\n  {:?}",
                    case.tree
                ));
            }
        }
        let image = inspected(env, "case");
        for (key, expected) in case.config {
            let expected: Value = serde_json::from_str(expected).expect("the table has JSON");
            if image["Config"][key] != expected {
                faults.push(format!(
                    "{replaced}\n  {key}: {} instead of {expected}",
                    image["Config"][key]
                ));
            }
        }
    }
    faults
}

#[track_caller]
fn without_fault(faults: Vec<String>) {
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn there_are_forty_cases_and_more() {
    let count = PARENTS.len()
        + EXCLUDE.len()
        + LINK.len()
        + HEREDOCS.len()
        + ATTRIBUTES.len()
        + FETCHED.len()
        + STAGES.len();
    assert!(count + MOUNTS.len() + SETTINGS.len() >= 60);
}

#[test]
fn copies_are_what_the_reference_says() {
    let env = test_env!();
    for cases in [&PARENTS[..], &EXCLUDE, &LINK, &ATTRIBUTES] {
        without_fault(faults(&env, cases, &[]));
    }
}

#[test]
fn heredocs_stages_and_mounts_are_what_the_reference_says() {
    let env = test_env!();
    env.busybox();
    for cases in [&HEREDOCS[..], &ARGUMENTS, &STAGES, &MOUNTS] {
        without_fault(faults(&env, cases, &[]));
    }
}

#[test]
fn fetched_files_are_what_the_reference_says() {
    let env = test_env!();
    let server = Registry::start();
    server.put("/file.txt", b"downloaded".to_vec(), "text/plain");
    let inside = crate::image::Layer::new().file("inside", 0o644, "in");
    server.put("/x.tar", inside.tar(), "application/x-tar");
    let url = format!("http://{}", server.host());
    let digest = crate::image::digest(b"downloaded");
    without_fault(faults(
        &env,
        &FETCHED,
        &[("{url}", &url), ("{digest}", &digest)],
    ));
}

#[test]
fn settings_are_what_the_reference_says() {
    let env = test_env!();
    without_fault(faults(&env, &SETTINGS, &[]));
}

/// What docker 28 has in its history for them.
const ROWS: [(&str, &[&str]); 7] = [
    (
        "FROM scratch AS a\nARG W=3:4\nCOPY --link --chmod=640 --chown=$W a.txt /f\nFROM scratch\nCOPY --from=a --exclude=x /f /g\n",
        &["COPY /f /g # buildkit"],
    ),
    (
        "FROM scratch\nARG W=3:4 M=640 D=out\nCOPY --link --chmod=$M --chown=$W a.txt \"dir/one.txt\" /$D/\n",
        &[
            "COPY --chown=3:4 --chmod=640 a.txt dir/one.txt /out/ # buildkit",
            "ARG W=3:4 M=640 D=out",
        ],
    ),
    (
        "FROM scratch\nCOPY [\"a.txt\", \"b.txt\", \"/with space/\"]\nCOPY <<-'EOF' a.txt /x/\n\ty\n\tEOF\nADD <<B /x/\nB\n",
        &[
            "ADD <<B /x/ # buildkit",
            "COPY a.txt <<EOF /x/ # buildkit",
            "COPY a.txt b.txt /with space/ # buildkit",
        ],
    ),
    (
        "FROM scratch\nHEALTHCHECK --interval=5m --timeout=3s --start-period=1m --start-interval=2s --retries=4 CMD curl x || exit 1\nHEALTHCHECK NONE\n",
        &[
            r#"HEALTHCHECK &{["NONE"] "0s" "0s" "0s" "0s" '\x00'}"#,
            r#"HEALTHCHECK &{["CMD-SHELL" "curl x || exit 1"] "5m0s" "3s" "1m0s" "2s" '\x04'}"#,
        ],
    ),
    (
        "FROM scratch\nENV a=b c=\"d e\"\nLABEL l=m\nWORKDIR /w\nUSER 5\nEXPOSE 80 90/udp\nVOLUME /a /b\nSTOPSIGNAL 9\nSHELL [\"/bin/ash\", \"-c\"]\n\
         ENTRYPOINT [\"a\", \"b c\"]\nCMD echo $a\n",
        &[
            r#"CMD ["/bin/ash" "-c" "echo $a"]"#,
            r#"ENTRYPOINT ["a" "b c"]"#,
            "SHELL [/bin/ash -c]",
            "STOPSIGNAL 9",
            "VOLUME [/a /b]",
            "EXPOSE [80/tcp 90/udp]",
            "USER 5",
            "WORKDIR /w",
            "LABEL l=m",
            "ENV a=b c=d e",
        ],
    ),
    (
        "FROM busybox AS b\nRUN [\"true\", \"a b\"]\nARG A=1\nARG B\nARG C=\nRUN --network=none --mount=type=tmpfs,target=/t true $A\n",
        &[
            "RUN |3 A=1 B= C= /bin/sh -c true $A # buildkit",
            "ARG C=",
            "ARG B",
            "ARG A=1",
            "RUN true a b # buildkit",
        ],
    ),
    (
        "FROM busybox AS a\nARG A=1 HTTP_PROXY=x\nENV A=2\nFROM a\nARG A=3\nRUN true\nENV A=4\nRUN true\n",
        &[
            "RUN |2 A=4 HTTP_PROXY=x /bin/sh -c true # buildkit",
            "ENV A=4",
            "RUN |2 A=3 HTTP_PROXY=x /bin/sh -c true # buildkit",
            "ARG A=3",
            "ENV A=2",
            "ARG A=1 HTTP_PROXY=x",
        ],
    ),
];

#[test]
fn rows_of_the_history_are_in_dockers_words() {
    let env = test_env!();
    env.busybox();
    let directory = context(
        &env,
        "app",
        &[("a.txt", "a"), ("b.txt", "b"), ("dir/one.txt", "1")],
    );
    for (text, expected) in ROWS {
        env.file("app/Dockerfile", text);
        build(&env, &directory, &["-t", "rows"]).ok();
        let format = ["--no-trunc", "--format", "{{.CreatedBy}}"];
        let rows = env.out(&[&["history"][..], &format, &["rows"]].concat());
        let rows: Vec<&str> = rows.lines().take(expected.len()).collect();
        assert_eq!(rows, expected, "{text}");
    }
}
