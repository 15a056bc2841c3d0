//! Go's text/template over JSON values, as far as docker's `--format` uses it. Pure; what it prints goes back as text.

mod eval;
mod format;
mod functions;
mod left_out;
mod lex;
mod parse;

use serde_json::{Map, Value};

/// A parsed format.
#[derive(Debug)]
pub struct Template {
    nodes: Vec<Node>,
}

/// Where a node begins: line from 1, byte column from 0, as Go counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    line: usize,
    column: usize,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TemplateError {
    #[error("template: :{line}: {reason}")]
    Parse { line: usize, reason: String },
    #[error("template: :{line}:{column}: executing \"\" at <{node}>: {reason}")]
    Execute {
        line: usize,
        column: usize,
        node: String,
        reason: String,
    },
}

#[derive(Debug)]
enum Node {
    Text(String),
    /// Prints its value, unless it only sets variables.
    Action(Pipeline),
    If(Pipeline, Vec<Node>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    Range(Pipeline, Vec<Node>, Vec<Node>),
    Break,
    Continue,
}

#[derive(Clone, Debug)]
struct Pipeline {
    /// `$i, $v :=`.
    variables: Vec<String>,
    declares: bool,
    commands: Vec<Command>,
}

#[derive(Clone, Debug)]
struct Command {
    position: Position,
    operands: Vec<Operand>,
}

#[derive(Clone, Debug)]
struct Operand {
    position: Position,
    kind: Kind,
    /// `.a.b` behind it.
    fields: Vec<String>,
}

#[derive(Clone, Debug)]
enum Kind {
    Dot,
    Variable(String),
    Function(String),
    Constant(Value),
    Nested(Pipeline),
}

/// Marks an object whose keys are found as the fields of Go's struct are called (`diff_ids` as `DiffIDs`): `json` prints it as it was,
/// indented.
const STRUCT: &str = "\u{1}";

pub fn as_struct(value: &mut Value) {
    if let Value::Object(map) = value {
        map.insert(STRUCT.to_owned(), Value::Null);
    }
}

/// The key that a field of a marked object stands for.
fn struct_key<'a>(map: &'a Map<String, Value>, field: &str) -> Option<&'a String> {
    let bare = |text: &str| text.replace(['_', '.'], "").to_ascii_lowercase();
    map.get(STRUCT)?;
    map.keys().find(|key| bare(key) == bare(field))
}

/// What the dot is at the beginning.
pub struct Scope<'a> {
    pub root: &'a Value,
    /// What `.Label "key"` looks into, in the tables whose rows have labels.
    pub labels: Option<&'a Map<String, Value>>,
}

impl Template {
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        Ok(Template {
            nodes: parse::parse(lex::lex(text)?)?,
        })
    }

    pub fn render(&self, scope: &Scope<'_>) -> Result<String, TemplateError> {
        eval::render(&self.nodes, scope)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn data() -> Value {
        json!({
            "Name": "web", "Id": "abc123", "Size": 12, "Ratio": 1.5, "On": true, "Off": false, "Nothing": null,
            "List": ["a", "b", "c"], "Empty": [],
            "Config": {"Labels": {"x": "1", "a.b": "2"}, "Env": ["A=1"]},
            "Mounts": [{"Source": "/a", "RW": true}, {"Source": "/b", "RW": false}],
        })
    }

    fn render(text: &str) -> Result<String, String> {
        let data = data();
        let labels = data["Config"]["Labels"].as_object();
        Template::parse(text)
            .and_then(|template| {
                template.render(&Scope {
                    root: &data,
                    labels,
                })
            })
            .map_err(|error| error.to_string())
    }

    #[track_caller]
    fn gives(text: &str, expected: &str) {
        assert_eq!(render(text).as_deref(), Ok(expected), "{text}");
    }

    #[test]
    fn fields_and_text() {
        gives("a {{.Name}} b{{ .Id }}", "a web babc123");
        gives("{{.Config.Labels.x}}", "1");
        gives("{{.Config.Labels.none}}", "<no value>");
        gives("{{.Size}} {{.Ratio}} {{.On}}", "12 1.5 true");
        gives("{{.List}} {{.Config.Labels}}", "[a b c] map[a.b:2 x:1]");
        gives("{{.Nothing}}", "<nil>");
        gives("{{.}}{{/* nothing */}}", &render("{{$}}").unwrap());
        gives("x  {{- .Name -}}  y", "xweby");
        gives("{{.Label \"x\"}}|{{.Label \"none\"}}", "1|");
    }

    #[test]
    fn what_docker_leaves_out_is_empty_and_no_error() {
        let object = json!({
            "RestartCount": 0,
            "State": {"OOMKilled": false},
            "Mounts": [{"Destination": "/a"}, {"Destination": "/b", "Name": "data"}],
            "HostConfig": {"NetworkMode": "none"},
            "Config": {"WorkingDir": "", "Healthcheck": {"Test": ["NONE"]}},
        });
        let scope = Scope {
            root: &object,
            labels: None,
        };
        let render = |text: &str| Template::parse(text)?.render(&scope);
        for (text, expected) in [
            (
                "{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}",
                "none",
            ),
            ("{{with .State.Health}}x{{end}}{{.State.Health}}", "<nil>"),
            (
                "{{range .Mounts}}{{.Name}}:{{.Destination}} {{end}}",
                ":/a data:/b ",
            ),
            (
                "{{.HostConfig.Mounts}}{{json .HostConfig}}",
                "[]{\"NetworkMode\":\"none\"}",
            ),
            (
                "{{.Config.Healthcheck.Interval}}{{.Config.StopSignal}}",
                "0",
            ),
            ("{{.SizeRw}}", "<nil>"),
        ] {
            assert_eq!(render(text).as_deref(), Ok(expected), "{text}");
        }
        let error = render("{{.State.Health.Status}}").unwrap_err();
        let expected = "nil data; no entry for key \"Status\"";
        assert!(error.to_string().ends_with(expected), "{error}");
        assert!(render("{{.State.Name}}").is_err());
    }

    /// The documents have null where docker's structures have an empty list or map, or a pointer to nothing.
    #[test]
    fn null_is_printed_as_what_it_stands_for() {
        let object = json!({
            "Binds": null, "Labels": null, "Health": null,
            "Networks": {"one": {"Aliases": null, "DriverOpts": null, "IPAMConfig": null}},
        });
        let scope = Scope {
            root: &object,
            labels: None,
        };
        let text =
            "{{.Binds}} {{.Labels}} {{.Health}} {{len .Binds}} {{json .Binds}} {{.Networks}}";
        let shown = Template::parse(text).unwrap().render(&scope);
        let expected =
            "[] map[] <nil> 0 null map[one:map[Aliases:[] DriverOpts:map[] IPAMConfig:<nil>]]";
        assert_eq!(shown.as_deref(), Ok(expected));
    }

    #[test]
    fn docker_s_functions() {
        gives(
            "{{json .Config}}",
            r#"{"Labels":{"x":"1","a.b":"2"},"Env":["A=1"]}"#,
        );
        gives("{{json .Name}} {{.List | json}}", r#""web" ["a","b","c"]"#);
        gives("{{join .List \", \"}}", "a, b, c");
        gives(
            "{{upper .Name}}{{.Name | upper | lower}}{{title .Name}}",
            "WEBwebWeb",
        );
        gives("{{index (split \"a:b\" \":\") 1}}", "b");
        gives("{{truncate .Id 3}}{{truncate .Id 30}}", "abcabc123");
        gives("[{{pad .Name 1 2}}][{{pad \"\" 1 2}}]", "[ web  ][]");
        gives("{{println .Name .Size}}", "web 12\n");
        gives("{{print .Name .Size}}|{{print 1 2}}", "web12|1 2");
        gives(
            "{{printf \"%-5s|%5d|%05d|%q|%v|%x|%t|%%|%.2f\" .Name 7 7 .Name .List 255 .On .Ratio}}",
            "web  |    7|00007|\"web\"|[a b c]|ff|true|%|1.50",
        );
        gives(
            "{{printf \"%e|% d|%+.1f|%08.2f|%#X|%5c|%g\" .Ratio 7 .Ratio .Ratio 255 65 .Ratio}}",
            "1.500000e+00| 7|+1.5|00001.50|0XFF|    A|1.5",
        );
        gives(
            "{{printf \"%d\" .Name}}|{{printf \"%s\"}}",
            "%!d(string=web)|%!s(MISSING)",
        );
        gives("{{len .List}}{{len .Name}}{{len .Config.Labels}}", "332");
        gives(
            "{{index .List 1}}{{index .Config.Labels \"a.b\"}}{{index .Config.Labels \"none\"}}",
            "b2",
        );
        gives("{{slice .Id 1 3}}{{slice .List 2}}", "bc[c]");
        gives("{{(index .Mounts 1).Source}}", "/b");
    }

    #[test]
    fn comparison_and_logic() {
        gives(
            "{{eq .Size 12}}{{ne .Name \"x\"}}{{lt 1 2}}{{le 2 2}}{{gt \"b\" \"a\"}}{{ge 1 2}}",
            "truetruetruetruetruefalse",
        );
        gives("{{eq .Name \"x\" \"web\"}}", "true");
        gives(
            "{{and .On .Name}}{{or .Off .Name}}{{not .Empty}}",
            "webwebtrue",
        );
    }

    #[test]
    fn control() {
        gives(
            "{{if .On}}a{{else}}b{{end}}{{if .Empty}}a{{else if .Name}}c{{else}}d{{end}}",
            "ac",
        );
        gives(
            "{{range .List}}<{{.}}>{{end}}{{range .Empty}}x{{else}}none{{end}}",
            "<a><b><c>none",
        );
        gives(
            "{{range $i, $v := .List}}{{if $i}},{{end}}{{$i}}={{$v}}{{end}}",
            "0=a,1=b,2=c",
        );
        gives(
            "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}",
            "a.b=2;x=1;",
        );
        gives(
            "{{range .Mounts}}{{.Source}}:{{$.Name}} {{end}}",
            "/a:web /b:web ",
        );
        gives(
            "{{with .Config}}{{.Env}}{{end}}{{with .Nothing}}x{{else}}y{{end}}",
            "[A=1]y",
        );
        gives(
            "{{$x := 1}}{{if true}}{{$x = 2}}{{$y := 3}}{{$y}}{{end}}{{$x}}",
            "32",
        );
        gives("{{range 3}}{{.}}{{end}}", "012");
        gives(
            "{{range .List}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}",
            "a",
        );
        gives(
            "{{range .List}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}",
            "ac",
        );
    }

    #[test]
    fn errors_are_docker_s() {
        let error = |text: &str| render(text).unwrap_err();
        assert_eq!(error("{{.Name"), "template: :1: unclosed action");
        assert_eq!(error("{{if .Name}}x"), "template: :1: unexpected EOF");
        assert_eq!(error("{{end}}"), "template: :1: unexpected {{end}}");
        assert_eq!(
            error("{{foo .Name}}"),
            "template: :1: function \"foo\" not defined"
        );
        assert_eq!(error("{{$x}}"), "template: :1: undefined variable \"$x\"");
        assert_eq!(
            error("a\n{{.Name | }}"),
            "template: :2: missing value for command"
        );
        assert_eq!(
            error("{{\"abc}}"),
            "template: :1: unterminated quoted string"
        );
        assert_eq!(
            error("{{.Config.Foo}}"),
            "template: :1:9: executing \"\" at <.Config.Foo>: map has no entry for key \"Foo\""
        );
        assert_eq!(
            error("{{index .List 5}}"),
            "template: :1:2: executing \"\" at <index .List 5>: error calling index: index out of range: 5"
        );
        assert_eq!(
            error("{{.Name.x}}"),
            "template: :1:7: executing \"\" at <.Name.x>: can't evaluate field x in type string"
        );
        assert!(error("{{len 3}}").ends_with("error calling len: len of type int"));
        assert!(error("{{lt 1 \"a\"}}").ends_with("incompatible types for comparison"));
        assert!(error("{{join .Name}}").contains("wrong number of args for join: want 2 got 1"));
        assert!(error("{{range .Name}}{{end}}").ends_with("range can't iterate over web"));
    }

    #[test]
    fn hostile_templates_end() {
        assert!(render(&"(".repeat(100_000)).is_ok());
        assert!(render(&format!("{{{{{}1}}}}", "(".repeat(100_000))).is_err());
        assert!(render(&"{{if .On}}".repeat(50_000)).is_err());
        assert!(render("{{printf \"%999999999d\" 1}}").is_err());
        assert!(render("{{pad \"x\" 999999999 1}}").is_err());
    }
}
