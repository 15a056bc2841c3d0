//! What bake files come to.

use super::{Bake, BakeFile, Override, bake};

fn read(files: &[(&str, &str)], sets: &[&str]) -> Result<Bake, String> {
    let files: Vec<BakeFile> = files
        .iter()
        .map(|(name, text)| BakeFile {
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        })
        .collect();
    let sets = sets.iter().map(|text| Override::parse(text));
    let sets: Result<Vec<_>, _> = sets.collect();
    let sets = sets.map_err(|error| error.to_string())?;
    let known = [("BAKE_LOCAL_PLATFORM", "linux/amd64".to_owned())];
    bake(&files, None, sets, &host, &known).map_err(|error| error.to_string())
}

fn host(name: &str) -> Option<String> {
    let value = match name {
        "TAG" => "v2",
        "COUNT" => "7",
        "FLAGS" => "a,\"b,c\"",
        "EMPTY" => "",
        _ => return None,
    };
    Some(value.to_owned())
}

/// A target as `--print` shows it.
fn shown(bake: &Bake, name: &str) -> serde_json::Value {
    let target = bake.target(name, &host).expect("the target is there");
    serde_json::to_value(target).expect("it is JSON")
}

/// The value of an expression, as an argument has it.
fn computed(expression: &str) -> Result<String, String> {
    let text = format!("target \"t\" {{\n args = {{ v = {expression} }}\n}}\n");
    let bake = read(&[("docker-bake.hcl", &text)], &[])?;
    let target = bake.target("t", &host).map_err(|error| error.to_string())?;
    Ok(target.args["v"].clone().unwrap_or_default())
}

const HCL: &str = r#"
variable "TAG" { default = "latest" }
variable "COUNT" { default = 1 }
variable "FLAGS" { default = [] }
variable "NAME" { default = "app-${TAG}" }
suffix = "x"

function "tag" {
  params = [name]
  variadic_params = more
  result = ["registry.example/${name}:${TAG}", length(more) > 0 ? "registry.example/${name}:${more[0]}" : ""]
}

group "default" { targets = ["app", "tools"] }
group "tools" { targets = ["lint"] }

target "_base" {
  args = { A = "base", B = "base", GONE = "x" }
  labels = { "org.example.base" = "yes" }
  platforms = ["linux/amd64"]
  cache-from = ["user/app:cache"]
}
target "app" {
  inherits = ["_base"]
  dockerfile = "app.Dockerfile"
  args = { B = NAME, N = COUNT + 1, GONE = null, F = join("|", FLAGS) }
  tags = compact(tag("app", suffix))
  output = ["type=image", { type = "local", dest = "out" }]
  no-cache = true
}
target "lint" {
  context = "lint"
  target = target.app.dockerfile
  platforms = [BAKE_LOCAL_PLATFORM]
}
"#;

#[test]
fn targets_inherit_and_variables_come_from_the_host() {
    let bake = read(&[("docker-bake.hcl", HCL)], &[]).expect("it is right");
    let wanted = bake.wanted(&["default".to_owned()]).expect("it is there");
    assert_eq!(wanted, ["app", "lint"]);
    assert_eq!(
        shown(&bake, "app"),
        serde_json::json!({
            "context": ".",
            "dockerfile": "app.Dockerfile",
            "args": {"A": "base", "B": "app-v2", "F": "a|b,c", "N": "8"},
            "labels": {"org.example.base": "yes"},
            "tags": ["registry.example/app:v2", "registry.example/app:x"],
            "cache-from": [{"type": "registry", "ref": "user/app:cache"}],
            "platforms": ["linux/amd64"],
            "output": [{"type": "image"}, {"type": "local", "dest": "out"}],
            "no-cache": true,
        })
    );
    assert_eq!(
        shown(&bake, "lint"),
        serde_json::json!({
            "context": "lint", "dockerfile": "Dockerfile", "target": "app.Dockerfile", "platforms": ["linux/amd64"],
        })
    );
}

#[test]
fn a_matrix_is_a_target_for_each_of_its_parts() {
    let text = r#"
target "app" {
  name = "app-${tgt}-${sanitize(v)}"
  matrix = { tgt = ["a", "b"], v = ["1.0", "2.0"] }
  args = { VERSION = v }
  target = tgt
}
"#;
    let bake = read(&[("docker-bake.hcl", text)], &[]).expect("it is right");
    let wanted = bake.wanted(&["app".to_owned()]).expect("a group of them");
    assert_eq!(wanted, ["app-a-1_0", "app-a-2_0", "app-b-1_0", "app-b-2_0"]);
    let last = shown(&bake, "app-b-2_0");
    assert_eq!(
        (&last["target"], &last["args"]["VERSION"]),
        (&"b".into(), &"2.0".into())
    );
}

#[test]
fn json_is_read_as_hcl_and_later_files_lie_over_earlier_ones() {
    let json = r#"{
      "variable": {"TAG": {"default": "none"}, "HERE": {"default": "h"}},
      "group": {"default": {"targets": ["app"]}},
      "target": {"app": {"args": {"T": "${TAG}-${upper(HERE)}", "X": 1}, "tags": ["a:${TAG}"]}}
    }"#;
    let over = "target \"app\" {\n args = { X = 2 }\n tags = [\"b\"]\n}\n";
    let files = [
        ("docker-bake.json", json),
        ("docker-bake.override.hcl", over),
    ];
    let bake = read(&files, &[]).expect("both are right");
    let app = shown(&bake, "app");
    assert_eq!(app["args"], serde_json::json!({"T": "v2-H", "X": "2"}));
    assert_eq!(app["tags"], serde_json::json!(["b"]));
}

#[test]
fn a_compose_files_build_sections_are_targets() {
    let text = r#"
services:
  db: { image: postgres }
  web.app:
    image: me/web:${TAG:-none}
    build:
      context: ./web
      args: [A=1, "B=${MISSING-d}", "C=$$x"]
      tags: ["more:${EMPTY:-e}"]
      additional_contexts: { base: "service:base" }
      secrets: [token]
      ulimits: { nofile: { soft: 1, hard: 2 } }
      extra_hosts: ["h:10.0.0.1"]
      platforms: [linux/arm64]
      x-bake:
        tags: ["again:1", "more:e"]
        platforms: linux/amd64
        output: type=cacheonly
  base: { image: "me/base:1", build: ./base }
secrets:
  token: { environment: TOKEN }
"#;
    let bake = read(&[("compose.yaml", text)], &[]).expect("it is right");
    assert_eq!(bake.groups["default"].targets, ["base", "web_app"]);
    assert_eq!(
        shown(&bake, "base")["tags"],
        serde_json::json!(["me/base:1"])
    );
    assert_eq!(
        shown(&bake, "web_app"),
        serde_json::json!({
            "context": "./web",
            "contexts": {"base": "target:base"},
            "dockerfile": "Dockerfile",
            "args": {"A": "1", "B": "d", "C": "$x"},
            "tags": ["more:e", "again:1"],
            "secret": [{"id": "token", "env": "TOKEN"}],
            "platforms": ["linux/arm64", "linux/amd64"],
            "output": [{"type": "cacheonly"}],
            "ulimits": ["nofile=1:2"],
            "extra-hosts": {"h": "10.0.0.1"},
        })
    );
}

#[test]
fn overrides_name_targets_by_patterns() {
    let sets = [
        "*.platform=linux/arm64",
        "app.args.B=set",
        "app.tags=one",
        "app.tags=two",
        "app.cache-from+=type=local,src=x",
        "l?nt.no-cache=true",
    ];
    let bake = read(&[("docker-bake.hcl", HCL)], &sets).expect("it is right");
    let app = shown(&bake, "app");
    assert_eq!(app["platforms"], serde_json::json!(["linux/arm64"]));
    assert_eq!(app["args"]["B"], "set");
    assert_eq!(app["tags"], serde_json::json!(["one", "two"]));
    assert_eq!(app["cache-from"].as_array().map(Vec::len), Some(2));
    assert_eq!(shown(&bake, "lint")["no-cache"], true);
    for (set, message) in [
        (
            "nothing.args.x=1",
            "could not find any target matching \"nothing\"",
        ),
        ("app.color=blue", "color is no key"),
        ("app", "TARGET.KEY=VALUE"),
        ("app.args=1", "TARGET.KEY=VALUE"),
    ] {
        let outcome = read(&[("docker-bake.hcl", HCL)], &[set]);
        let error =
            outcome.and_then(|bake| bake.target("app", &host).map_err(|error| error.to_string()));
        let error = error.expect_err(set);
        assert!(error.contains(message), "{set}: {error}");
    }
}

#[test]
fn expressions_are_computed() {
    for (expression, value) in [
        (r#"upper("a${lower("B")}")"#, "AB"),
        (r#"join(",", [for n in range(3): n * 2 if n > 0])"#, "2,4"),
        (
            r#"jsonencode({for k, v in {a = 1}: upper(k) => v})"#,
            r#"{"A":1}"#,
        ),
        (r#""%{ if true }yes%{ else }no%{ endif }""#, "yes"),
        (r#""%{ for x in ["a", "b"] }<${x}>%{ endfor }""#, "<a><b>"),
        (r#"replace("1.2.3", "/\\.[0-9]+$/", "")"#, "1.2"),
        (r#"try(split("/", "a/b")[5], "none")"#, "none"),
        (r#"can(regex("^v", "v1")) ? "v" : "n""#, "v"),
        (r#"format("%s-%d%%", "a", 3)"#, "a-3%"),
        (
            r#"format("%03d|%5s|%-5s|%.2f|%x|%X|%b|%o|%+d", 7, "a", "b", 1.5, 255, 255, 5, 8, 3)"#,
            "007|    a|b    |1.50|ff|FF|101|10|+3",
        ),
        (
            r#"format("%q %t %v %#v %[1]s %.1s", "a\"b", true, [1], "x")"#,
            "\"a\\\"b\" true [1] \"x\" a\"b t",
        ),
        (
            r#"format("%e|%05.1f|% d|%6.2f|%-6d|", 150, 2.25, 4, 3.14159, 5)"#,
            "1.500000e+02|002.2| 4|  3.14|5     |",
        ),
        (r#"format("%v %v %s", 1.5, true, 12)"#, "1.5 true 12"),
        ("keys({b = 1, a = 2})[0]", "a"),
        (r#"jsonencode({b = 1, a = 2})"#, "{\"a\":2,\"b\":1}"),
        (
            r#"join(",", [for k, v in merge({z = 1}, {c = 2}) : k])"#,
            "c,z",
        ),
        (r#"substr("hello", -3, 2)"#, "ll"),
        (
            r#"sha256("")"#,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (r#"base64decode(base64encode("é"))"#, "é"),
        (
            r#"formattimestamp("YYYYMMDD", "2026-02-03T04:05:06Z")"#,
            "20260203",
        ),
        (r#"merge({a = 1}, {a = "2"}).a"#, "2"),
        (r#"1 == 1 && !(2 > 3) ? "t" : "f""#, "t"),
        (r#"element(sort(["b", "a"]), 3)"#, "b"),
        (r#"max(1, add(1, 1.5))"#, "2.5"),
    ] {
        assert_eq!(computed(expression), Ok(value.to_owned()), "{expression}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let deep =
        "function \"f\" {\n params = [n]\n result = f(n)\n}\ntarget \"t\" { tags = [f(1)] }\n";
    for (text, message) in [
        (
            "\ntarget \"t\" { a = 1 b = 2 }\n",
            "failed to parse docker-bake.hcl:2:20: invalid block body",
        ),
        (
            "target \"t\" { color = \"blue\" }\n",
            "unknown field `color`",
        ),
        (
            "target \"t\" { tags = [X] }\n",
            "target \"t\": tags: there is no variable \"X\"",
        ),
        (
            "A = B\nB = A\ntarget \"t\" { tags = [A] }\n",
            "needs itself",
        ),
        (
            "target \"t\" { tags = [nothing()] }\n",
            "there is no function \"nothing\"",
        ),
        (deep, "more than 64 deep"),
        ("thing \"t\" {}\n", "thing is not known"),
        ("target \"a b\" {}\n", "invalid name \"a b\""),
        (
            "variable \"COUNT\" {\n default = 1\n validation {\n condition = COUNT < 5\n error_message = \"too many\"\n }\n}\n",
            "too many",
        ),
        (
            "variable \"TAG\" { default = true }\n",
            "\"v2\" is no truth value",
        ),
        (
            "target \"t\" { matrix = { a = [\"x\"] } }\n",
            "its matrix needs a name",
        ),
    ] {
        let error = read(&[("docker-bake.hcl", text)], &[]).expect_err(text);
        assert!(error.contains(message), "{text}: {error}");
    }
    let text = "target \"a\" { inherits = [\"b\"] }\ntarget \"b\" { inherits = [\"a\"] }\ngroup \"g\" { targets = [\"h\"] }\ngroup \"h\" { targets = [\"g\"] }\n";
    let bake = read(&[("docker-bake.hcl", text)], &[])
        .expect("circles are seen when they are gone through");
    assert!(bake.target("a", &host).is_err());
    assert!(bake.wanted(&["g".to_owned()]).is_err());
    assert!(bake.wanted(&["none".to_owned()]).is_err());
}

#[test]
fn arguments_of_compose_without_a_value_are_the_hosts() {
    let text = "services:\n  a: { build: { args: [TAG, EMPTY, MISSING] } }\n  b: { build: { args: { TAG: null, MISSING: null, X: 1 } } }\n";
    let bake = read(&[("compose.yaml", text)], &[]).expect("it is right");
    assert_eq!(
        shown(&bake, "a")["args"],
        serde_json::json!({"EMPTY": "", "TAG": "v2"})
    );
    assert_eq!(
        shown(&bake, "b")["args"],
        serde_json::json!({"TAG": "v2", "X": "1"})
    );
}

#[test]
fn only_a_list_is_taken_apart() {
    assert_eq!(computed(r#"max([1, 3]...)"#), Ok("3".to_owned()));
    for one in ["\"3\"", "null", "{a = 3}"] {
        let error = computed(&format!("max(1, {one}...)")).expect_err(one);
        assert!(error.contains("is no list"), "{one}: {error}");
    }
}

/// What each of so many lines is.
fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

#[test]
fn expressions_without_a_bound_end() {
    let chain = |line: fn(usize) -> String| {
        let lines = lines(70_000, line);
        format!("{lines}v70000 = 1\ntarget \"t\" {{ tags = [v0] }}\n")
    };
    let function = |n: usize, result: String| {
        format!("function \"f{n:02}\" {{\n params = [x]\n result = {result}\n}}\n")
    };
    let last = function(60, "x".to_owned());
    let calls = lines(60, |n| {
        function(n, format!("f{0:02}(x) + f{0:02}(x)", n + 1))
    });
    for (text, message) in [
        (
            chain(|n| format!("v{n} = v{}\n", n + 1)),
            "need each other more than 64 deep",
        ),
        // Known one after the other, in the order of their names.
        (
            lines(400, |n| match n {
                0 => "w000 = [1]\n".to_owned(),
                n => format!("w{n:03} = [w{:03}]\n", n - 1),
            }),
            "nested more than 128 deep",
        ),
        (
            lines(60, |n| match n {
                0 => "w00 = \"0123456789\"\n".to_owned(),
                n => format!("w{n:02} = \"${{w{0:02}}}${{w{0:02}}}\"\n", n - 1),
            }),
            "more than 2000000 steps",
        ),
        (
            format!("{calls}{last}target \"t\" {{ tags = [f00(1)] }}\n"),
            "more than 2000000 steps",
        ),
    ] {
        let error = read(&[("docker-bake.hcl", &text)], &[]).expect_err(message);
        assert!(error.contains(message), "{message}: {error}");
    }
    for expression in [
        "jsonencode(range(100000000000000000, 100000000000000512))",
        "jsonencode(range(3, 0))",
    ] {
        computed(expression).expect(expression);
    }
    for expression in ["range(2000)", "range(0, 1, 0)", "range(\"nan\")"] {
        let error = computed(expression).expect_err(expression);
        assert!(error.contains("1024 members"), "{expression}: {error}");
    }
}

#[test]
fn targets_and_groups_without_a_bound_end() {
    let asked = |text: &str| {
        let bake = read(&[("docker-bake.hcl", text)], &[])?;
        let failed = |error: super::BakeError| error.to_string();
        let wanted = bake.wanted(&["g0".to_owned()]).map_err(failed)?;
        bake.target("t0", &host).map_err(failed)?;
        Ok::<usize, String>(wanted.len())
    };
    let end = |n: usize| format!("target \"t{n}\" {{}}\ngroup \"g{n}\" {{ targets = [\"t0\"] }}\n");
    let twice = |n: usize| {
        format!(
            "target \"t{n}\" {{ inherits = [\"t{0}\", \"t{0}\"] }}\ngroup \"g{n}\" {{ targets = [\"g{0}\", \"g{0}\"] }}\n",
            n + 1
        )
    };
    let text = format!("{}{}", lines(60, twice), end(60));
    assert_eq!(asked(&text), Ok(1));
    let long = format!("{}{}", lines(2000, twice), end(2000));
    let error = asked(&long).expect_err("it is too deep");
    assert!(error.contains("over more than 64"), "{error}");
    let wide = format!(
        "target \"t0\" {{ inherits = [for n in range(1024): \"t1\"] }}\ntarget \"t1\" {{ inherits = [\"t2\"] }}\ntarget \"t2\" {{}}\n{}",
        "group \"g0\" { targets = [\"t0\"] }\n"
    );
    let error = asked(&wide).expect_err("these are too many");
    assert!(error.contains("inherits more than 1024"), "{error}");
    let matrix = "target \"t\" {\n name = \"t-${a}-${b}\"\n matrix = { a = range(100), b = range(100) }\n}\n";
    let error = read(&[("docker-bake.hcl", matrix)], &[]).expect_err("these are too many");
    assert!(error.contains("more than 1024 parts"), "{error}");
}

#[test]
fn nested_interpolations_end() {
    let nested = |depth: usize| {
        let text = format!("{}x{}", "${MISSING-".repeat(depth), "}".repeat(depth));
        let text = format!("services:\n  a: {{ image: \"{text}\", build: . }}\n");
        read(&[("compose.yaml", &text)], &[]).map(|bake| shown(&bake, "a")["tags"].clone())
    };
    assert_eq!(nested(30), Ok(serde_json::json!(["x"])));
    let error = nested(70_000).expect_err("it is too deep");
    assert!(error.contains("nested more than 32 deep"), "{error}");
}
