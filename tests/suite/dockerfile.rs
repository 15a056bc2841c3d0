//! A build context in a test: its files, and what a build of it comes to.

use serde_json::Value;

use crate::env::TestEnv;
use crate::process::Outcome;
use crate::spellings::words;

/// A directory with these files.
pub fn context(env: &TestEnv, name: &str, files: &[(&str, &str)]) -> String {
    for (path, content) in files {
        env.file(&format!("{name}/{path}"), content);
    }
    let directory = env.path("home").join(name);
    directory.to_str().expect("test paths are UTF-8").to_owned()
}

/// Builds without a network, by one of the spellings.
pub fn build_by(env: &TestEnv, command: &str, directory: &str, flags: &[&str]) -> Outcome {
    let rest = [&["--network", "none"], flags, &[directory]].concat();
    env.run(&words(command, &rest))
}

pub fn build(env: &TestEnv, directory: &str, flags: &[&str]) -> Outcome {
    build_by(env, "build", directory, flags)
}

/// Builds a Dockerfile that needs no other file, as `made`.
pub fn build_text(env: &TestEnv, dockerfile: &str, flags: &[&str]) -> Outcome {
    let directory = context(env, "text", &[("Dockerfile", dockerfile)]);
    build(env, &directory, &[&["-t", "made"], flags].concat())
}

/// `image inspect` of one.
pub fn inspected(env: &TestEnv, image: &str) -> Value {
    let text = env.out(&["image", "inspect", image]);
    let all: Value = serde_json::from_str(&text).expect("it is JSON");
    all[0].clone()
}

/// What a shell in the image says.
pub fn shell(env: &TestEnv, image: &str, script: &str) -> String {
    let run = [
        "run",
        "--rm",
        "--network",
        "none",
        image,
        "sh",
        "-c",
        script,
    ];
    env.out(&run)
}

pub fn layers(env: &TestEnv, image: &str) -> Vec<String> {
    let image = inspected(env, image);
    let layers = image["RootFS"]["Layers"].as_array().expect("a list");
    layers
        .iter()
        .map(|layer| layer.as_str().expect("a digest").to_owned())
        .collect()
}

/// The steps that were not done again.
pub fn cached(outcome: &Outcome) -> usize {
    outcome
        .stderr
        .lines()
        .filter(|line| line.ends_with(" CACHED"))
        .count()
}
