//! `build --check` and `--call`: what a Dockerfile holds, in BuildKit's words or as its JSON, and the findings of a build. Builds nothing.

use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::failed_quietly;
use crate::build::dockerfile::{Finding, Location, Source, excerpt};
use crate::build::{BuildRequest, Checked, Need, Outline, Target, check, outline, targets};
use crate::cli::Invocation;
use crate::cli::error::CliError;
use crate::cli::table::align;
use crate::cli::ui::Ui;
use crate::engine::Engine;

/// `METHOD[,format=json][,ignorestatus=true]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    what: Method,
    json: bool,
    /// Findings are no failure.
    ignore_status: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Check,
    Outline,
    Targets,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("build, check, outline and targets are known")]
    Method,
    #[error("format=text, format=json and ignorestatus=BOOL may follow")]
    Option,
}

/// None: `build`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice(pub Option<Call>);

impl FromStr for Choice {
    type Err = CallError;

    fn from_str(text: &str) -> Result<Choice, CallError> {
        let mut fields = text.split(',');
        let what = match fields.next().unwrap_or_default() {
            "build" => None,
            "check" | "lint" | "subrequests.lint" => Some(Method::Check),
            "outline" | "subrequests.outline" => Some(Method::Outline),
            "targets" | "subrequests.targets" => Some(Method::Targets),
            _ => return Err(CallError::Method),
        };
        let (mut json, mut ignore_status) = (false, false);
        for field in fields {
            match field.split_once('=') {
                Some(("format", "json")) => json = true,
                Some(("format", "text")) => json = false,
                Some(("ignorestatus", "true" | "1")) => ignore_status = true,
                Some(("ignorestatus", "false" | "0")) => ignore_status = false,
                _ => return Err(CallError::Option),
            }
        }
        Ok(Choice(what.map(|what| Call {
            what,
            json,
            ignore_status,
        })))
    }
}

impl Call {
    /// `--check`
    pub const CHECK: Call = Call {
        what: Method::Check,
        json: false,
        ignore_status: false,
    };

    pub fn run(
        self,
        engine: &Engine,
        request: &BuildRequest,
        invocation: &Invocation,
    ) -> Result<u8, CliError> {
        let ui = &invocation.ui;
        match self.what {
            Method::Check => {
                let checked = check(engine, request);
                let checked = checked.map_err(|error| failed_quietly(&error, ui))?;
                ui.result(&match self.json {
                    true => format!("{:#}\n", checked_json(&checked)),
                    false => checked_text(&checked),
                })?;
                let fails = !checked.findings.is_empty() && !self.ignore_status;
                Ok(u8::from(fails))
            }
            Method::Outline => {
                let (source, outline) =
                    outline(request).map_err(|error| failed_quietly(&error, ui))?;
                ui.result(&match self.json {
                    true => format!("{:#}\n", outline_json(&source, &outline)),
                    false => outline_text(&outline),
                })?;
                Ok(0)
            }
            Method::Targets => {
                let (source, targets) =
                    targets(request).map_err(|error| failed_quietly(&error, ui))?;
                ui.result(&match self.json {
                    true => format!("{:#}\n", targets_json(&source, &targets)),
                    false => targets_text(&targets),
                })?;
                Ok(0)
            }
        }
    }
}

/// At the end of a build: one line each, or with `--debug` everything.
pub fn tell(checked: &Checked, debug: bool, ui: &Ui) {
    let findings = &checked.findings;
    if findings.is_empty() {
        return;
    }
    let count = match findings.len() {
        1 => "1 warning found".to_owned(),
        many => format!("{many} warnings found"),
    };
    let how = if debug {
        ""
    } else {
        " (use bryo build --debug to expand)"
    };
    ui.note(&format!("\n {count}{how}:"));
    for finding in findings {
        let (rule, line) = (finding.rule, finding.location.line);
        ui.note(&format!(
            " - {}: {} (line {line})",
            rule.name(),
            finding.message
        ));
        if debug {
            ui.note(rule.description());
            ui.note(&format!("More info: {}", rule.url()));
            ui.note(&place(&checked.source, finding));
            ui.note("");
        }
    }
}

/// `Dockerfile:7:1`, the line and a caret.
fn place(source: &Source, finding: &Finding) -> String {
    let Location { line, column, .. } = finding.location;
    let shown = excerpt(line, column, source.line(line));
    format!("{}:{line}:{column}\n{shown}", source.name)
}

fn checked_text(checked: &Checked) -> String {
    let mut text = match checked.findings.len() {
        0 => return "Check complete, no warnings found.\n".to_owned(),
        1 => "Check complete, 1 warning has been found!\n".to_owned(),
        many => format!("Check complete, {many} warnings have been found!\n"),
    };
    for finding in &checked.findings {
        let (rule, message) = (finding.rule, &finding.message);
        let place = place(&checked.source, finding);
        text += &format!(
            "\nWARNING: {} - {}\n{message}\n{place}\n",
            rule.name(),
            rule.url()
        );
    }
    text
}

fn location(location: Location) -> Value {
    let range =
        json!({ "start": { "line": location.line }, "end": { "line": location.last_line } });
    json!({ "ranges": [range] })
}

/// As protobuf's JSON has bytes.
fn data(source: &Source) -> String {
    use base64::Engine as _;
    let bytes = crate::sys::text::bytes(source.text());
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn checked_json(checked: &Checked) -> Value {
    let warnings = checked.findings.iter().map(|finding| {
        json!({
            "ruleName": finding.rule.name(),
            "description": finding.rule.description(),
            "url": finding.rule.url(),
            "detail": finding.message,
            "location": location(finding.location),
        })
    });
    let source = json!({
        "filename": checked.source.name,
        "language": "Dockerfile",
        "data": data(&checked.source),
    });
    json!({ "warnings": warnings.collect::<Vec<_>>(), "sources": [source] })
}

/// Empty texts are left out, as in Go's JSON.
fn with_text(object: &mut Map<String, Value>, key: &str, text: &str) {
    if !text.is_empty() {
        object.insert(key.to_owned(), text.into());
    }
}

fn targets_json(source: &Source, targets: &[Target]) -> Value {
    let targets = targets.iter().map(|target| {
        let mut object = Map::new();
        with_text(&mut object, "name", target.name.as_deref().unwrap_or(""));
        if target.is_default {
            object.insert("default".to_owned(), true.into());
        }
        with_text(&mut object, "description", &target.description);
        with_text(&mut object, "base", &target.base);
        with_text(&mut object, "platform", &target.platform);
        object.insert("location".to_owned(), location(target.location));
        Value::Object(object)
    });
    json!({ "targets": targets.collect::<Vec<_>>(), "sources": [data(source)] })
}

fn targets_text(targets: &[Target]) -> String {
    let heading = vec!["TARGET".to_owned(), "DESCRIPTION".to_owned()];
    let rows = targets.iter().map(|target| {
        let name = match (&target.name, target.is_default) {
            (None, true) => "(default)".to_owned(),
            (None, false) => target.number.to_string(),
            (Some(name), true) => format!("{name} (default)"),
            (Some(name), false) => name.clone(),
        };
        vec![name, target.description.clone()]
    });
    align(std::iter::once(heading).chain(rows))
}

fn outline_json(source: &Source, outline: &Outline) -> Value {
    let mut object = Map::new();
    with_text(&mut object, "name", outline.name.as_deref().unwrap_or(""));
    with_text(&mut object, "description", &outline.description);
    let arguments = outline.arguments.iter().map(|argument| {
        let mut object = Map::new();
        object.insert("name".to_owned(), argument.name.as_str().into());
        with_text(&mut object, "description", &argument.description);
        with_text(&mut object, "value", &argument.value);
        object.insert("location".to_owned(), location(argument.location));
        Value::Object(object)
    });
    let needs = |key: &str, list: &[Need]| -> Vec<Value> {
        let objects = list.iter().map(|need| {
            let mut object = Map::new();
            object.insert(key.to_owned(), need.id.as_str().into());
            if need.required {
                object.insert("required".to_owned(), true.into());
            }
            object.insert("location".to_owned(), location(need.location));
            Value::Object(object)
        });
        objects.collect()
    };
    for (key, list) in [
        ("args", arguments.collect()),
        ("secrets", needs("name", &outline.secrets)),
        ("ssh", needs("name", &outline.agents)),
        ("cache", needs("ID", &outline.caches)),
    ] {
        if !list.is_empty() {
            object.insert(key.to_owned(), Value::Array(list));
        }
    }
    object.insert("sources".to_owned(), json!([data(source)]));
    Value::Object(object)
}

fn outline_text(outline: &Outline) -> String {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let mut tables: Vec<Vec<Vec<String>>> = Vec::new();
    let mut text = String::new();
    if outline.name.is_some() || !outline.description.is_empty() {
        let name = outline.name.as_deref().unwrap_or("(default)");
        text += &format!("TARGET:      {name}\n");
        if !outline.description.is_empty() {
            text += &format!("DESCRIPTION: {}\n", outline.description);
        }
        text.push('\n');
    }
    if !outline.arguments.is_empty() {
        let mut table = vec![words(&["BUILD ARG", "VALUE", "DESCRIPTION"])];
        table.extend(
            outline
                .arguments
                .iter()
                .map(|one| words(&[&one.name, &one.value, &one.description])),
        );
        tables.push(table);
    }
    for (heading, list) in [("SECRET", &outline.secrets), ("SSH", &outline.agents)] {
        if !list.is_empty() {
            let mut table = vec![words(&[heading, "REQUIRED"])];
            table.extend(list.iter().map(|need| {
                let required = if need.required { "true" } else { "" };
                words(&[&need.id, required])
            }));
            tables.push(table);
        }
    }
    if !outline.caches.is_empty() {
        let mut table = vec![words(&["CACHE ID"])];
        table.extend(outline.caches.iter().map(|need| words(&[&need.id])));
        tables.push(table);
    }
    for table in tables {
        text += &align(table);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_a_method_with_options() {
        assert_eq!("build".parse(), Ok(Choice(None)));
        assert_eq!("check".parse(), Ok(Choice(Some(Call::CHECK))));
        let json = Call {
            json: true,
            ..Call::CHECK
        };
        assert_eq!("lint,format=json".parse(), Ok(Choice(Some(json))));
        assert_eq!("describe".parse::<Choice>(), Err(CallError::Method));
        assert_eq!("targets,x=y".parse::<Choice>(), Err(CallError::Option));
    }
}
