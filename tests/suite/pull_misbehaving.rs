//! `pull` from a registry that misbehaves: an error that names the subject, and a store as it was.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::env::{TestEnv, names, test_env};
use crate::misbehaving::{Answer, Fault, Registry, Request, Server, TestImage, TestLayer, image};
use crate::process::Outcome;

/// A registry with `app:1`, an image of two layers; the second one's digest.
fn registry() -> (Registry, String, String) {
    let registry = Registry::start();
    let layers = ["one", "two"].map(|name| {
        let content = name.repeat(30_000);
        TestLayer::gzip(&image::tar(&[(name, content.as_bytes())]))
    });
    let digest = layers[1].digest();
    registry.add("app", "1", &TestImage::new(layers.to_vec()));
    let name = registry.reference("app:1");
    (registry, name, digest)
}

/// Everything in the store but locks.
fn content(env: &TestEnv) -> BTreeSet<String> {
    fn walk(directory: &Path, found: &mut BTreeSet<String>) {
        for name in names(directory) {
            let path = directory.join(name);
            if path.is_dir() {
                walk(&path, found);
            } else {
                found.insert(path.display().to_string());
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(&env.store(), &mut found);
    found.retain(|path| !path.contains("lock"));
    found
}

/// A pull that fails, naming `part`; nothing may have changed, and once the registry behaves it works.
#[track_caller]
fn refused(env: &TestEnv, name: &str, part: &str) -> Outcome {
    env.run(&["images"]).ok();
    let before = content(env);
    let outcome = env.run(&["pull", name]).fails(1, part);
    assert_eq!(content(env), before, "{outcome:?}");
    assert!(env.half_made().is_empty(), "{:?}", env.half_made());
    outcome
}

#[test]
fn retry_says_how_often_and_retry_delay_after_how_long() {
    let env = test_env!();
    let (registry, name, digest) = registry();
    let manifest = "/app/manifests/1";
    let down = || Fault::Answer(Answer::new(503));
    let pull = |words: &[&str]| env.run(&[&["pull"], words, &[&name]].concat());
    for (retries, tries) in [("0", 1), ("2", 3)] {
        let before = registry.count(manifest);
        registry.misbehave(manifest, tries, down());
        pull(&["--retry", retries, "--retry-delay", "1ms"]).fails(1, "503");
        assert_eq!(registry.count(manifest) - before, tries, "{retries}");
    }
    // Waits that grow from half a second would take much more than the eight of a millisecond.
    registry.misbehave(manifest, 8, down());
    let patient = ["--retry", "8", "--retry-delay", "1ms"];
    let told = pull(&patient).ok();
    assert_eq!(told.stderr.matches("again in 0.0 s").count(), 8, "{told:?}");
    env.run(&["rmi", &name]).ok();
    registry.misbehave(&digest, 1, Fault::Truncate(50));
    pull(&["--retry", "0"]).fails(1, &digest);
    registry.misbehave(&digest, 1, Fault::Truncate(50));
    pull(&["--retry", "1", "--retry-delay", "1ms"]).ok();
    let artifact = ["artifact", "pull", "--retry", "0", &name];
    registry.misbehave(manifest, 1, down());
    env.run(&artifact).fails(1, "503");
    for (flag, wrong) in [("--retry", "often"), ("--retry-delay", "soon")] {
        pull(&[flag, wrong]).fails(125, flag);
    }
}

#[test]
fn a_layer_that_breaks_off_goes_on_where_it_stopped() {
    let env = test_env!();
    let (registry, name, digest) = registry();
    registry.misbehave(&digest, 1, Fault::Truncate(50));
    env.run(&["pull", &name]).ok();
    let requests = registry.requests();
    let ranged = requests
        .iter()
        .find(|request| request.path.contains(&digest) && request.header("range").is_some());
    let range = ranged.expect("a range was asked for").header("range");
    assert_eq!(range, Some("bytes=50-"));
}

#[test]
fn a_layer_that_never_comes_whole_is_named() {
    let env = test_env!();
    let (registry, name, digest) = registry();
    registry.misbehave(&digest, 99, Fault::Truncate(0));
    refused(&env, &name, &digest);
}

#[test]
fn a_layer_of_other_bytes_is_named() {
    let env = test_env!();
    for fault in [Fault::Garble, Fault::Lengthen] {
        let (registry, name, digest) = registry();
        registry.misbehave(&digest, 99, fault);
        refused(&env, &name, &digest);
    }
}

#[test]
fn a_corrupt_stream_is_named() {
    let env = test_env!();
    for broken in [TestLayer::gzip, TestLayer::zstd] {
        let registry = Registry::start();
        let mut layer = broken(&image::tar(&[("one", &[1; 9000])]));
        let middle = layer.blob.len() / 2;
        layer.blob.truncate(middle);
        let digest = layer.digest();
        registry.add("app", "1", &TestImage::new(vec![layer]));
        refused(&env, &registry.reference("app:1"), &digest);
    }
}

#[test]
fn a_registry_that_asks_to_wait_is_waited_for() {
    let env = test_env!();
    let (registry, name, _) = registry();
    let busy = Answer::new(429).with("Retry-After", "1");
    registry.misbehave("manifests", 1, Fault::Answer(busy));
    let pull = env.run(&["pull", &name]).ok();
    assert!(pull.took >= Duration::from_secs(1), "{pull:?}");
}

#[test]
fn a_rate_limit_of_an_hour_is_told_and_not_waited_for() {
    let env = test_env!();
    let (registry, name, _) = registry();
    let busy = Answer::new(429).with("Retry-After", "3600");
    registry.misbehave("manifests", 99, Fault::Answer(busy));
    let pull = refused(&env, &name, "rate limit");
    assert!(pull.took < Duration::from_secs(30), "{pull:?}");
}

#[test]
fn a_manifest_without_end_is_refused() {
    let env = test_env!();
    let (registry, name, _) = registry();
    let huge = Answer::new(200).with("Content-Type", "application/json");
    let announced = huge.clone().with("Content-Length", "10737418240");
    registry.misbehave("manifests", 1, Fault::Answer(announced));
    refused(&env, &name, "manifest is larger than");
    let unannounced = Answer {
        chunked: true,
        body: vec![b' '; 64 << 20],
        ..huge
    };
    registry.misbehave("manifests", 1, Fault::Answer(unannounced));
    refused(&env, &name, "manifest is larger than");
}

#[test]
fn a_redirect_in_a_circle_ends() {
    let env = test_env!();
    let (registry, name, digest) = registry();
    let here = format!("http://{}/v2/app/blobs/{digest}", registry.host());
    registry.misbehave(&digest, 99, Fault::Answer(Answer::redirect(302, &here)));
    refused(&env, &name, "redirect loop");
}

#[test]
fn credentials_stay_with_their_host() {
    let env = test_env!();
    let (registry, name, digest) = registry();
    let blob = Arc::new(Mutex::new(Vec::<Request>::new()));
    let seen = Arc::clone(&blob);
    let body = TestLayer::gzip(&image::tar(&[("two", "two".repeat(30_000).as_bytes())])).blob;
    let elsewhere = Server::start(move |request| {
        seen.lock()
            .expect("no thread panicked")
            .push(request.clone());
        Answer {
            body: body.clone(),
            ..Answer::new(200)
        }
    });
    // base64 of tester:secret
    let auths =
        serde_json::json!({ "auths": { registry.host(): { "auth": "dGVzdGVyOnNlY3JldA==" } } });
    env.file(".docker/config.json", auths.to_string());
    let challenge = Answer::new(401).with("WWW-Authenticate", "Basic realm=\"tests\"");
    registry.misbehave("manifests", 1, Fault::Answer(challenge));
    let target = format!("http://{}/two", elsewhere.host());
    registry.misbehave(&digest, 1, Fault::Answer(Answer::redirect(307, &target)));
    env.run(&["pull", &name]).ok();
    let at_home = registry.requests();
    let known = |request: &&Request| request.header("authorization").is_some();
    assert!(at_home.iter().any(|request| known(&request)), "never sent");
    let strangers = blob.lock().expect("no thread panicked");
    assert_eq!(strangers.len(), 1);
    assert!(!strangers.iter().any(|request| known(&request)));
}

#[test]
fn a_server_that_fails_three_times_is_given_up() {
    let env = test_env!();
    let (registry, name, _) = registry();
    registry.misbehave("manifests", 99, Fault::Answer(Answer::new(503)));
    refused(&env, &name, "503");
}

#[test]
fn a_signal_ends_a_pull_that_stalls_and_leaves_nothing() {
    let env = test_env!();
    for (signal, code) in [
        (Signal::SIGINT, 130),
        (Signal::SIGTERM, 143),
        (Signal::SIGHUP, 129),
    ] {
        let (registry, name, digest) = registry();
        let stall = Fault::Stall(60, Duration::from_secs(20));
        registry.misbehave(&digest, 99, stall);
        let mut pull = env.spawn(&["pull", &name]);
        pull.until("Pulling fs layer");
        pull.signal(signal);
        pull.wait().code(code);
        assert_eq!(env.out(&["images", "-aq"]), "");
        // A command that writes sweeps; then nothing is half-made.
        env.busybox();
        assert!(env.half_made().is_empty(), "{:?}", env.half_made());
        env.run(&["rmi", "busybox"]).ok();
    }
}

/// Runs shell lines in an empty network namespace; how often something in it tried to reach somebody.
fn attempts(env: &TestEnv, lines: &str) -> u64 {
    const ATTEMPTS: [&str; 3] = ["ActiveOpens", "OutNoRoutes", "OutDatagrams"];
    // The id-map helpers have no effect in a namespace of one's own; without them the engine uses its single-id map.
    let script = format!(
        "exec unshare --net sh -c '{lines}\necho COUNTERS\ncat /proc/net/snmp /proc/net/snmp6'"
    );
    let run = env.lacking(&["newuidmap", "newgidmap"], &script).ok();
    let counters = run.stdout.split("COUNTERS\n").nth(1);
    let counters: Vec<Vec<&str>> = counters
        .expect("the lines ended well")
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let mut found = Vec::new();
    // `Tcp: ActiveOpens …` over `Tcp: 0 …`.
    for pair in counters.windows(2).filter(|pair| pair[0][0] == pair[1][0]) {
        found.extend(pair[0].iter().zip(&pair[1]));
    }
    // `Ip6OutNoRoutes 0`.
    let plain = counters.iter().filter(|words| words.len() == 2);
    found.extend(plain.map(|words| (&words[0], &words[1])));
    let attempts = found
        .into_iter()
        .filter(|(name, _)| ATTEMPTS.iter().any(|attempt| name.ends_with(attempt)));
    let values = attempts.map(|(_, value)| value.parse::<u64>().expect("it is a number"));
    values.collect::<Vec<_>>().into_iter().sum()
}

#[test]
fn what_needs_no_registry_opens_no_connection() {
    let env = test_env!();
    let archive = crate::image::busybox().docker_archive("busybox:latest");
    let archive = env.file("busybox.tar", archive);
    let lines = format!(
        "set -e
        $BRYO load -i {archive}
        $BRYO images
        $BRYO image inspect busybox
        $BRYO tag busybox other
        $BRYO run --network none --name it busybox true
        $BRYO run --rm hello
        $BRYO ps -a
        $BRYO inspect it
        $BRYO logs it
        $BRYO rm it
        $BRYO rmi busybox other
        $BRYO info
        $BRYO version
        $BRYO doctor || true"
    );
    assert_eq!(attempts(&env, &lines), 0);
    // What does need one is seen to try.
    let pull = "! $BRYO pull 192.0.2.1:5000/app 2>/dev/null";
    assert!(attempts(&env, pull) > 0);
}
