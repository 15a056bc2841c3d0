//! `inspect`, `container inspect`, `image inspect`.

mod container;
mod image;
mod limits;

use serde::Serialize;
use serde_json::Value;

use super::Invocation;
use super::error::CliError;
use super::error::Kind;
use super::template::{Scope, Template};
use crate::container::ContainerError;
use crate::engine::request::{InspectRequest, ObjectKind};
use crate::engine::{Engine, EngineError};
use crate::image::ImageError;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// `json` or a Go template
    #[arg(short, long)]
    format: Option<String>,
    /// Show sizes of containers
    #[arg(short, long)]
    size: bool,
    /// Look only for one kind: container, image
    #[arg(long = "type", value_name = "KIND")]
    kind: Option<String>,
}

#[derive(clap::Args, Debug)]
pub struct ContainerArgs {
    #[arg(required = true, value_name = "CONTAINER")]
    names: Vec<String>,
    /// `json` or a Go template
    #[arg(short, long)]
    format: Option<String>,
    /// Show sizes
    #[arg(short, long)]
    size: bool,
}

#[derive(clap::Args, Debug)]
pub struct ImageArgs {
    #[arg(required = true, value_name = "IMAGE")]
    names: Vec<String>,
    /// `json` or a Go template
    #[arg(short, long)]
    format: Option<String>,
}

impl From<ContainerArgs> for Args {
    fn from(args: ContainerArgs) -> Args {
        Args {
            names: args.names,
            format: args.format,
            size: args.size,
            kind: Some("container".to_owned()),
        }
    }
}

impl From<ImageArgs> for Args {
    fn from(args: ImageArgs) -> Args {
        Args {
            names: args.names,
            format: args.format,
            size: false,
            kind: Some("image".to_owned()),
        }
    }
}

impl Args {
    fn request(&self) -> Result<InspectRequest, CliError> {
        let kind = match self.kind.as_deref() {
            None | Some("") => None,
            Some("container") => Some(ObjectKind::Container),
            Some("image") => Some(ObjectKind::Image),
            Some(later @ ("network" | "volume" | "secret")) => {
                return Err(CliError::not_yet(&format!("inspect --type {later}")));
            }
            Some(other) => {
                return Err(CliError::usage(format!("unknown type: {other:?}")));
            }
        };
        Ok(InspectRequest {
            names: self.names.clone(),
            kind,
            size: self.size,
        })
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = args.request()?;
    let template = match args.format.as_deref() {
        None | Some("" | "json") => None,
        Some(format) => {
            Some(Template::parse(format).map_err(|error| Invocation::template(&error))?)
        }
    };
    let engine = invocation.engine()?;
    let mut documents = Vec::new();
    let mut failures = Vec::new();
    for name in &request.names {
        match find(&engine, name, &request) {
            Ok(document) => documents.push(document),
            Err(error) => failures.push(error),
        }
    }
    let shown = match (&template, args.format.as_deref()) {
        (Some(template), _) => templated(template, &documents)?,
        (None, Some("json")) => format!("{}\n", Value::Array(documents)),
        (None, _) => pretty(&Value::Array(documents)),
    };
    invocation.ui.result(&shown)?;
    for error in &failures {
        invocation.ui.error(error);
    }
    match failures.is_empty() {
        true => Ok(0),
        false => Err(CliError::said(Kind::Failed)),
    }
}

/// Containers first, then images, unless one kind was asked for.
fn find(engine: &Engine, name: &str, request: &InspectRequest) -> Result<Value, CliError> {
    let failed = |error: EngineError| CliError::engine(Kind::Failed, &error);
    if request.kind != Some(ObjectKind::Image) {
        match engine.container(name, request.size) {
            Ok(found) => {
                let layers = &engine.paths.layers();
                return Ok(container::document(&found, &container::Place { layers }));
            }
            Err(EngineError::Container(ContainerError::NotFound { .. }))
                if request.kind.is_none() => {}
            Err(error) => return Err(failed(error)),
        }
    }
    match engine.inspect_image(name) {
        Ok(found) => Ok(image::document(&found)),
        Err(EngineError::Image(error))
            if request.kind.is_none() && matches!(*error, ImageError::Unknown { .. }) =>
        {
            Err(CliError::new(
                Kind::Failed,
                format!("No such object: {name}"),
            ))
        }
        Err(error) => Err(failed(error)),
    }
}

fn templated(template: &Template, documents: &[Value]) -> Result<String, CliError> {
    let mut text = String::new();
    for root in documents {
        let shown = template.render(&Scope { root, labels: None });
        text.push_str(&shown.map_err(|error| Invocation::template(&error))?);
        text.push('\n');
    }
    Ok(text)
}

/// docker indents by four blanks.
fn pretty(value: &Value) -> String {
    let mut bytes = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, indent);
    value
        .serialize(&mut serializer)
        .expect("a JSON value serialises into memory");
    String::from_utf8_lossy(&bytes).into_owned() + "\n"
}
