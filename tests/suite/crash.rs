//! A role dies, or the disk fails, at each point at which a command changes the disk: no ordinary command needs a repair
//! afterwards, and nothing is broken.

use std::fs;
use std::io::Write;

use crate::dockerfile::context;
use crate::env::{TestEnv, count, names, test_env};
use crate::image::{Layer, busybox};
use crate::misbehaving::{Registry, TestImage, TestLayer};
use crate::need::{Need, need};
use crate::process::{Outcome, eventually};
use crate::signatures;
use crate::system_check::assert_sound;

/// EIO, in the words of glibc and of musl.
const IO_ERROR: [&str; 2] = ["Input/output error", "I/O error"];

/// A command, how to come to where it can be given, and what it may say when its first try had been enough.
struct Verb<'a> {
    before: &'a [&'a [&'a str]],
    words: &'a [&'a str],
    done: &'a str,
    /// How many points it has; one more or less is to be looked into.
    points: usize,
}

/// Three layers of every kind of entry.
fn layers() -> [Layer; 3] {
    let mut files = Layer::new().directory("dir", 0o755);
    for number in 0..20 {
        files = files.file(&format!("dir/file-{number}"), 0o644, format!("{number}\n"));
    }
    let links = Layer::new()
        .file("link/target", 0o600, "linked\n")
        .hard_link("link/hard", "link/target")
        .symlink("link/soft", "target")
        .fifo("fifo")
        .device("null", 1, 3)
        .directory("closed", 0o000)
        .file("twice", 0o644, "first\n")
        .file("twice", 0o644, "second\n");
    let whiteouts = Layer::new()
        .file("dir/.wh.file-3", 0o644, "")
        .file("link/.wh..wh..opq", 0o644, "")
        .file("elsewhere/.wh.nothing", 0o644, "")
        .file("implied/deeper/file", 0o644, "x");
    [files, links, whiteouts]
}

/// The command with its points listed, and what strikes at one of them.
fn strike(env: &TestEnv, words: &[&str], fault: &str) -> (Outcome, Vec<String>) {
    let list = env.file("points", "");
    let run = env
        .command(words)
        .var("BRYO_TEST_POINTS", &list)
        .var("BRYO_TEST_FAULT", fault)
        .run();
    // A monitor has more to do when the command has ended.
    eventually("the end of all of it", || env.processes().is_empty());
    let text = fs::read_to_string(&list).expect("it was made");
    (
        run,
        text.lines()
            .map(|line| line.trim_end().to_owned())
            .collect(),
    )
}

/// Every point in the long run, some in the short one.
fn step_of(points: &[String]) -> usize {
    count(points.len() / 6 + 1, 1)
}

fn prepare(env: &TestEnv, verb: &Verb) {
    for words in verb.before {
        // What is there or gone already is no matter.
        env.run(words);
    }
}

/// Nothing has to be repaired, and nothing half-made is left.
#[track_caller]
fn assert_whole(env: &TestEnv, verb: &Verb, what: &str) {
    for words in [&["images", "-a"][..], &["ps", "-a"]] {
        let run = env.run(words);
        assert_eq!(run.code, 0, "{what}: {run:?}");
    }
    assert_eq!(env.half_made(), [""; 0], "{what}");
    assert_sound(env, what);
    let lists = names(&env.store().join("manifests")).into_iter();
    let lists: Vec<String> = lists.filter(|name| name.starts_with(".tmp")).collect();
    assert_eq!(lists, [""; 0], "{what}");
    let again = env.run(verb.words);
    assert!(
        again.code == 0 || !verb.done.is_empty() && again.stderr.contains(verb.done),
        "{what}, again: {again:?}"
    );
    assert_eq!(env.half_made(), [""; 0], "{what}, again");
}

fn strike_everywhere(env: &TestEnv, verb: &Verb) {
    prepare(env, verb);
    let (run, points) = strike(env, verb.words, "");
    run.ok();
    let list: Vec<String> = points
        .iter()
        .enumerate()
        .map(|(number, point)| format!("{:3} {point}", number + 1))
        .collect();
    let name = verb.words[..2].join(" ");
    // Past the test runner, which keeps what a test that passes prints to itself.
    let _ = writeln!(std::io::stderr(), "{name}: {} points", points.len());
    if step_of(&points) == 1 {
        let _ = writeln!(std::io::stderr(), "{}", list.join("\n"));
    }
    assert_eq!(points.len(), verb.points, "{name}: the number of points");
    let step = step_of(&points);
    for number in (1..=points.len()).step_by(step) {
        prepare(env, verb);
        let what = format!("{name} killed at {number}, {}", points[number - 1]);
        let (run, passed) = strike(env, verb.words, &format!("kill:{number}"));
        assert!(
            passed.len() >= number,
            "{what}: it did not come there: {run:?}"
        );
        assert_whole(env, verb, &what);
    }
    for (fault, words) in [
        ("enospc", &["No space left on device"][..]),
        ("eio", &IO_ERROR[..]),
    ] {
        for number in (1 + step / 2..=points.len()).step_by(step) {
            prepare(env, verb);
            let what = format!("{name} with {fault} at {number}, {}", points[number - 1]);
            let (run, passed) = strike(env, verb.words, &format!("{fault}:{number}"));
            assert!(
                passed.len() >= number,
                "{what}: it did not come there: {run:?}"
            );
            if run.code != 0 {
                let named = |line: &str| words.iter().find_map(|words| line.find(words));
                let mut lines = run.stderr.lines();
                let said = lines.find_map(|line| Some((line, named(line)?)));
                let (said, at) = said.unwrap_or_else(|| panic!("{what}: {run:?}"));
                let subject = &said[..at];
                assert!(subject.len() > "Error: : ".len() + 4, "{what}: {said}");
            }
            assert!(!run.stderr.contains("panicked"), "{what}: {run:?}");
            assert_whole(env, verb, &what);
        }
    }
}

fn small(env: &TestEnv) -> String {
    let image = crate::image::Image::new(&layers(), serde_json::json!({ "Cmd": ["/none"] }));
    env.file("small.tar", image.docker_archive("small:latest"))
}

#[test]
fn at_any_point_of_load() {
    let env = test_env!();
    let file = small(&env);
    strike_everywhere(
        &env,
        &Verb {
            before: &[&["rmi", "-f", "small"]],
            words: &["load", "-q", "-i", &file],
            done: "",
            points: 123,
        },
    );
}

/// Two images and what keeps them under one name.
#[test]
fn at_any_point_of_loading_an_index() {
    let env = test_env!();
    let text = "FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n";
    let directory = context(&env, "multi", &[("Dockerfile", text)]);
    let archive = env.path("home/multi.tar");
    let archive = archive.to_str().expect("UTF-8");
    let place = format!("type=oci,dest={archive}");
    let platforms = ["--platform", "linux/amd64,linux/s390x", "--provenance=true"];
    let words = ["build", "-q", "-t", "multi:1", "-o", &place, &directory];
    env.run(&[&words[..], &platforms].concat()).ok();
    let load = ["load", "-q", "-i", archive];
    env.run(&load).ok();
    let both = |env: &TestEnv| {
        let tree = env.out(&["images", "--tree", "multi:1"]);
        tree.contains("linux/amd64") && tree.contains("linux/s390x")
    };
    assert!(both(&env));
    strike_everywhere(
        &env,
        &Verb {
            before: &[&["rmi", "-f", "multi:1"], &["image", "prune", "-f"]],
            words: &load,
            done: "",
            points: 87,
        },
    );
    assert!(both(&env), "the last one was whole");
}

/// A disk that fails while a layer's content is written before its end: the sync that counts would hear nothing of it any more.
#[test]
fn an_error_of_writing_ahead_fails_what_is_written() {
    let env = test_env!();
    let block: Vec<u8> = (0..20u32 << 20).map(|n| (n >> 3) as u8).collect();
    let mut layer = Layer::new();
    for number in 0..3 {
        layer = layer.file(&format!("large-{number}"), 0o644, &block);
    }
    let image = crate::image::Image::new(&[layer], serde_json::json!({ "Cmd": ["/none"] }));
    let large = env.file("large.tar", image.docker_archive("large:latest"));
    for (point, file) in [("write ahead", large), ("write pages", small(&env))] {
        let verb = Verb {
            before: &[],
            words: &["load", "-q", "-i", &file],
            done: "",
            points: 0,
        };
        let (run, passed) = strike(&env, verb.words, &format!("eio:{point}"));
        let words = format!(": {point}");
        assert!(
            passed.iter().any(|passed| passed.ends_with(&words)),
            "{passed:?}"
        );
        assert_eq!(run.code, 1, "{run:?}");
        let is_named = IO_ERROR.iter().any(|words| run.stderr.contains(words));
        assert!(is_named, "{run:?}");
        assert_eq!(env.out(&["images", "-aq"]), "", "{point}");
        assert_whole(&env, &verb, point);
        env.run(&["rmi", "large"]);
    }
}

#[test]
fn a_push_that_has_arrived_is_one_whatever_becomes_of_its_name_here() {
    let env = test_env!();
    need!(Need::Program("docker-registry"));
    let registry = crate::registry::Registry::start(&env, crate::registry::Access::Http);
    env.busybox();
    let push = |repository: &str, fault: &str| {
        let name = format!("{}/{repository}:1", registry.address);
        env.run(&["tag", "busybox", &name]).ok();
        let list = env.file("points", "");
        let push = env.command(&["push", &name]);
        let push = push.var("BRYO_TEST_POINTS", &list);
        let run = push.var("BRYO_TEST_FAULT", fault).run().ok();
        let points = fs::read_to_string(&list).expect("it was made");
        (run, points.lines().count())
    };
    push("whole", "");
    // From now on the registry has its layer.
    let (_, points) = push("mounted", "");
    // The last thing before the event is what the image is known by from now on.
    let (struck, _) = push("struck", &format!("enospc:{}", points - 1));
    assert!(
        struck.stderr.contains("is in the registry, but not known"),
        "{struck:?}"
    );
    assert_sound(&env, "a push whose name is lost");
    let there = format!("{}/struck:1", registry.address);
    env.run(&["rmi", "-f", "busybox", &there]).ok();
    env.run(&["pull", &there]).ok();
}

#[test]
fn at_any_point_of_pull() {
    let env = test_env!();
    let registry = Registry::start();
    let layers = layers().map(|layer| TestLayer::gzip(&layer.tar()));
    registry.add("small", "1", &TestImage::new(layers.to_vec()));
    let name = registry.reference("small:1");
    // Where the layers are is remembered from here on.
    env.run(&["pull", &name]).ok();
    strike_everywhere(
        &env,
        &Verb {
            before: &[&["rmi", "-f", &name]],
            words: &["pull", &name],
            done: "",
            points: 123,
        },
    );
}

#[test]
fn at_any_point_of_a_pull_that_keeps_blobs_and_signatures() {
    let env = test_env!();
    need!(Need::Program("openssl"));
    let registry = Registry::start();
    let (name, repository, digest) = signatures::app(&registry);
    let key = signatures::key(&env, "good", signatures::P256);
    let payload = signatures::payload(signatures::COSIGN, &repository, &digest);
    signatures::attach(&env, &registry, &digest, &[("good", &payload, &payload)]);
    signatures::policy(
        &env,
        &format!(
            "[storage]\nkeep-blobs = \"always\"\n[policy.\"{repository}\"]\ntype = \"cosign\"\nkeys = [\"{key}\"]\n"
        ),
    );
    env.run(&["pull", &name]).ok();
    for kept in ["images/kept", "images/signatures"] {
        assert_eq!(names(&env.store().join(kept)).len(), 1, "{kept}");
    }
    strike_everywhere(
        &env,
        &Verb {
            before: &[&["rmi", "-f", &name]],
            words: &["pull", &name],
            done: "",
            points: 49,
        },
    );
}

#[test]
fn at_any_point_of_the_changes_of_a_manifest_list() {
    let env = test_env!();
    let registry = Registry::start();
    let layer = TestLayer::gzip(&Layer::new().file("file", 0o644, "x").tar());
    registry.add("app", "1", &TestImage::new(vec![layer]));
    let (list, image) = (registry.reference("list:1"), registry.reference("app:1"));
    let make: [&str; 5] = ["manifest", "create", "--amend", &list, &image];
    strike_everywhere(
        &env,
        &Verb {
            before: &[&["manifest", "rm", &list]],
            words: &make,
            done: "",
            points: 5,
        },
    );
    let annotate = ["manifest", "annotate", "--variant", "v1", &list, &image];
    strike_everywhere(
        &env,
        &Verb {
            before: &[&make],
            words: &annotate,
            done: "",
            points: 5,
        },
    );
    strike_everywhere(
        &env,
        &Verb {
            before: &[&make],
            words: &["manifest", "rm", &list],
            done: "No such manifest",
            points: 1,
        },
    );
}

#[test]
fn at_any_point_of_tag_rmi_and_prune() {
    let env = test_env!();
    let file = small(&env);
    let load = ["load", "-q", "-i", &file];
    strike_everywhere(
        &env,
        &Verb {
            before: &[&load, &["rmi", "other:1"]],
            words: &["tag", "small", "other:1"],
            done: "",
            points: 6,
        },
    );
    env.run(&["rmi", "other:1"]);
    strike_everywhere(
        &env,
        &Verb {
            before: &[&load],
            words: &["rmi", "small"],
            done: "No such image",
            points: 79,
        },
    );
    strike_everywhere(
        &env,
        &Verb {
            before: &[&load, &["untag", "small"]],
            words: &["image", "prune", "-f"],
            done: "",
            points: 75,
        },
    );
}

#[test]
fn at_any_point_of_run_commit_and_rm() {
    let env = test_env!();
    env.load(&busybox().docker_archive("busybox:latest"));
    let clear = ["container", "prune", "-f"];
    let run = ["run", "--network", "none", "busybox", "true"];
    // The first makes what all of a store's containers share; its home is gone before the next is made.
    env.run(&run).ok();
    eventually("the end of the first", || env.processes().is_empty());
    strike_everywhere(
        &env,
        &Verb {
            before: &[&clear],
            words: &run,
            done: "",
            points: 37,
        },
    );
    let make = [
        "run",
        "--network",
        "none",
        "--name",
        "box",
        "busybox",
        "sh",
        "-c",
        "mkdir /made; echo x > /made/file; ln -s file /made/link; rm /bin/ls",
    ];
    strike_everywhere(
        &env,
        &Verb {
            before: &[&make, &["rmi", "-f", "made:1"]],
            words: &["commit", "box", "made:1"],
            done: "",
            points: 37,
        },
    );
    // A file that is not the user's takes the home namespace.
    let script =
        "mkdir /made; echo x > /made/file; chown 5 /made/file; ln -s file /made/link; rm /bin/ls";
    let make = [&make[..8], &[script]].concat();
    strike_everywhere(
        &env,
        &Verb {
            before: &[&clear, &make, &["rmi", "-f", "made:1"]],
            words: &["commit", "box", "made:1"],
            done: "",
            points: 37,
        },
    );
    strike_everywhere(
        &env,
        &Verb {
            before: &[&make],
            words: &["rm", "box"],
            done: "No such container",
            points: 24,
        },
    );
}
