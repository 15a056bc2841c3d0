//! Files that say what they may, and files that do not.

use super::*;
use crate::compose::yaml::documents;

fn told(text: &str) -> (String, u32, u32, Option<String>) {
    let mut documents = documents(text, 0).expect("YAML it is");
    let fault = check(&mut documents[0], &FILE, true).expect_err("it is wrong");
    (fault.text, fault.at.line, fault.at.column, fault.near)
}

#[test]
fn an_unknown_key_is_told_with_its_place_and_the_nearest() {
    let (text, line, column, near) = told("services:\n  a:\n    enviroment: {A: 1}\n");
    assert_eq!(
        text,
        "services.a additional properties 'enviroment' not allowed"
    );
    assert_eq!((line, column, near.as_deref()), (3, 5, Some("environment")));
    let (text, ..) = told("servces: {}\n");
    assert_eq!(text, "additional properties 'servces' not allowed");
    let (_, _, _, near) = told("services: {a: {zzzzzz: 1}}\n");
    assert_eq!(near, None);
}

#[test]
fn wrong_types_are_told_in_dockers_words() {
    let cases = [
        ("image: [x]", "services.a.image must be a string"),
        ("ports: x", "services.a.ports must be a array"),
        ("healthcheck: x", "services.a.healthcheck must be a mapping"),
        (
            "privileged: 3",
            "services.a.privileged must be a boolean or string",
        ),
        ("deploy: 3", "services.a.deploy must be a mapping or null"),
        (
            "mem_limit: [1]",
            "services.a.mem_limit must be a number or string",
        ),
        (
            "depends_on: [b, b]",
            "services.a.depends_on items at 0 and 1 are equal",
        ),
        (
            "depends_on: {b: {}}",
            "services.a.depends_on.b missing property 'condition'",
        ),
        ("gpus: some", "services.a.gpus value must be 'all'"),
        (
            "labels: {a: [1]}",
            "services.a.labels.a must be a boolean, number, null or string",
        ),
        (
            "privileged: maybe",
            "services.a.privileged: failed to cast to expected type: invalid boolean: maybe",
        ),
    ];
    for (key, expected) in cases {
        let (text, line, ..) = told(&format!("services:\n  a:\n    {key}\n"));
        assert_eq!((text.as_str(), line), (expected, 3));
    }
}

#[test]
fn texts_become_what_is_meant() {
    let text = "services: {a: {tty: 'yes', scale: '3', cpus: '0.5', image: '1', x-any: [1], ulimits: {a: '4'}}}";
    let mut documents = documents(text, 0).expect("YAML it is");
    check(&mut documents[0], &FILE, true).expect("a good file");
    let expected = serde_json::json!({
        "tty": true, "scale": 3, "cpus": 0.5, "image": "1", "x-any": [1], "ulimits": {"a": 4}
    });
    assert_eq!(documents[0].to_value()["services"]["a"], expected);
}

/// What docs/compose.md says of each key is what the program does.
#[test]
fn the_table_of_keys_is_that_of_the_code() {
    let page = include_str!("../../../docs/compose.md");
    let table = page
        .split("\n## ")
        .find(|part| part.starts_with("Keys of a service"));
    let rows = table
        .expect("the page has the table")
        .lines()
        .filter_map(|line| {
            let (key, state) = line.strip_prefix("| `")?.split_once("` | ")?;
            Some((key, state.trim_end_matches(" |")))
        });
    let rows: std::collections::BTreeMap<&str, &str> = rows.collect();
    let keys: std::collections::BTreeSet<&str> = SERVICE.keys().collect();
    let told: std::collections::BTreeSet<&str> = rows.keys().copied().collect();
    assert_eq!(told, keys);
    for (key, state) in rows {
        let refused = crate::compose::refuse::REFUSED
            .iter()
            .find(|(name, _)| *name == key);
        let expected = refused.map(|(_, reason)| format!("refused: {reason}"));
        assert_eq!(
            state.strip_prefix("refused").map(|_| state.to_owned()),
            expected,
            "{key}"
        );
    }
    let deploy = page
        .lines()
        .find(|line| line.starts_with("| `deploy` |"))
        .expect("it is told");
    for key in crate::compose::refuse::SWARM {
        assert!(deploy.contains(&format!("`{key}`")), "{key}");
    }
}
