//! Trees of hostile and of ordinary files.

use serde_json::{Value, json};

use super::*;

fn read(text: &str) -> Value {
    let documents = documents(text, 0).expect("a good file");
    documents.first().map_or(Value::Null, Node::to_value)
}

fn wrong(text: &str) -> Wrong {
    documents(text, 0).expect_err("a bad file")
}

#[test]
fn words_are_what_docker_takes_them_for() {
    let text = "[1, 0x1f, 0o17, 017, 1_000, 1.5, .5, 1e3, true, yes, ~, null, '1', 22:22, 1.2.3, -3, +4, '', 08, - , a]";
    let expected = json!([
        1, 31, 15, 15, 1000, 1.5, 0.5, 1000.0, true, "yes", null, null, "1", "22:22", "1.2.3", -3,
        4, "", 8.0, null, "a"
    ]);
    let text = text.replace("- ,", "~,");
    assert_eq!(read(&text), expected);
}

#[test]
fn anchors_are_laid_under_what_a_map_says() {
    let text = "x: &x {a: 1, b: 2}\ny: &y {a: 3, c: 4}\nz:\n  b: 5\n  <<: [*x, *y]\n";
    assert_eq!(read(text)["z"], json!({"a": 1, "b": 5, "c": 4}));
    assert!(wrong("a: {<<: 3}").text.contains("map merge"));
}

#[test]
fn places_are_those_of_the_text() {
    let found = documents("a:\n  bcd: &x\n    - é: 1\n", 3).expect("a good file");
    let list = found[0]
        .get("a")
        .and_then(|a| a.get("bcd"))
        .expect("it is there");
    assert_eq!((list.key.line, list.key.column, list.key.file), (2, 3, 3));
    let item = list.list().expect("a list")[0]
        .get("é")
        .expect("it is there");
    assert_eq!((item.key.line, item.key.column), (3, 7));
    assert_eq!((item.at.line, item.at.column), (3, 10));
}

#[test]
fn what_costs_too_much_is_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for n in 1..10 {
        bomb += &format!(
            "a{n}: &a{n} [{}]\n",
            vec![format!("*a{}", n - 1); 9].join(", ")
        );
    }
    assert_eq!(wrong(&bomb).text, "document contains excessive aliasing");
    let long = format!(
        "a: &a {}\nb: [{}]\n",
        "x".repeat(1 << 20),
        ["*a"; 100].join(", ")
    );
    assert_eq!(wrong(&long).text, "document contains excessive aliasing");
    for deep in ["[".repeat(5000), "{a: ".repeat(5000), "- ".repeat(5000)] {
        wrong(&deep);
    }
    assert_eq!(wrong("a: &a [*a]").text, "anchor contains itself");
    assert!(
        wrong("a: 1\nb: 2\na: 3\n")
            .text
            .contains("already defined at line 1")
    );
    assert!(
        wrong("1: 2\n")
            .text
            .contains("non-string key at top level: 1")
    );
}

#[test]
fn texts_are_written_as_docker_writes_them() {
    let plain = [
        "a", "a b", "a:b", "/a", "$x", "a#b", "é", "0x", "1.2.3", "a'b", "=", "a,b", "-a", "?a",
        "a\"b",
    ];
    for text in plain {
        assert_eq!(super::text(&json!(text)), format!("{text}\n"));
    }
    for text in [
        "",
        "1",
        "true",
        "null",
        "~",
        "yes",
        "n",
        "1.5",
        "0x1f",
        "2024-01-02",
        "22:22",
        "1_0",
    ] {
        assert_eq!(super::text(&json!(text)), format!("\"{text}\"\n"));
    }
    for text in [
        "*a", "a: b", "a #b", "[a", "{a", " a", "a ", "- a", "@a", "!a", "%a", "&a", "a:", "---",
    ] {
        assert_eq!(super::text(&json!(text)), format!("'{text}'\n"));
    }
    assert_eq!(super::text(&json!({"a": "b\nc"})), "a: |-\n  b\n  c\n");
    assert_eq!(super::text(&json!({"a": ["b\n"]})), "a:\n  - |\n    b\n");
    assert_eq!(super::text(&json!({"a": "b\n\n"})), "a: |+\n  b\n\n");
    assert_eq!(super::text(&json!({"a": "b \nc"})), "a: \"b \\nc\"\n");
    assert_eq!(super::text(&json!("\t")), "\"\\t\"\n");
    assert_eq!(
        super::text(&json!([[1, 2], {"a": {}, "b": []}])),
        "- - 1\n  - 2\n- a: {}\n  b: []\n"
    );
    assert_eq!(float(0.5), "0.5");
    assert_eq!(float(1e6), "1e+06");
    assert_eq!(float(123456.0), "123456");
}

#[test]
fn names_of_maps_stand_in_go_yamls_order() {
    let mut value = json!({"10": 1, "9": 1, "A": 1, "_B": 1, "a-1": 1, "a1": 1, "a10": 1, "a2": 1});
    sorted(&mut value);
    let names: Vec<&String> = value.as_object().expect("a map").keys().collect();
    assert_eq!(names, ["_B", "9", "10", "A", "a-1", "a1", "a2", "a10"]);
    let mut fields = json!({"z": 1, "a": {"b": 1}});
    sorted(&mut fields);
    assert_eq!(text(&fields), "z: 1\na:\n  b: 1\n");
}

#[test]
fn lines_end_as_places_count_them() {
    let text = "a: 1\rb: 2\r\nc: 3\n\rd: [";
    let all: Vec<&str> = lines(text).collect();
    assert_eq!(all, ["a: 1", "b: 2", "c: 3", "", "d: ["]);
    let wrong = documents(text, 0).expect_err("it has no end");
    assert!((5..=6).contains(&wrong.at.line), "{:?}", wrong.at);
    assert_eq!(lines("").count(), 0);
}
