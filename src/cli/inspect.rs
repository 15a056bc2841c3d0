//! `inspect`, `container inspect`, `image inspect`.

mod container;
mod image;
mod limits;
mod network;
mod networks;
mod secret;
mod volume;

use serde::Serialize;
use serde_json::Value;

use super::Invocation;
use super::error::CliError;
use super::error::Kind;
use super::template::{Scope, Template};
use crate::container::{ContainerError, SecretError, VolumeError};
use crate::engine::request::{InspectRequest, ObjectKind};
use crate::engine::{Engine, EngineError};
use crate::image::ImageError;
use crate::net::record::NetworkError;

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
    /// Look only for one kind: container, image, network, volume, secret
    #[arg(long = "type", value_name = "KIND")]
    kind: Option<String>,
    /// Show what a secret holds.
    #[arg(skip)]
    values: bool,
    #[arg(skip)]
    platform: Option<String>,
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
    /// Of this platform (os/arch[/variant])
    #[arg(long)]
    platform: Option<String>,
}

impl From<ContainerArgs> for Args {
    fn from(args: ContainerArgs) -> Args {
        Args {
            size: args.size,
            ..Args::of_kind("container", args.names, args.format)
        }
    }
}

impl From<ImageArgs> for Args {
    fn from(args: ImageArgs) -> Args {
        Args {
            platform: args.platform,
            ..Args::of_kind("image", args.names, args.format)
        }
    }
}

impl Args {
    /// Of the verb of one kind.
    pub fn of_kind(kind: &str, names: Vec<String>, format: Option<String>) -> Args {
        Args {
            names,
            format,
            size: false,
            kind: Some(kind.to_owned()),
            values: false,
            platform: None,
        }
    }

    pub fn with_values(self, values: bool) -> Args {
        Args { values, ..self }
    }

    fn request(&self) -> Result<InspectRequest, CliError> {
        let kind = match self.kind.as_deref() {
            None | Some("") => None,
            Some("container") => Some(ObjectKind::Container),
            Some("image") => Some(ObjectKind::Image),
            Some("volume") => Some(ObjectKind::Volume),
            Some("secret") => Some(ObjectKind::Secret),
            Some("network") => Some(ObjectKind::Network),
            Some(other) => {
                return Err(CliError::new(
                    Kind::Failed,
                    format!("unknown type: {other:?}"),
                ));
            }
        };
        Ok(InspectRequest {
            names: self.names.clone(),
            kind,
            platform: self.platform.clone(),
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
        match find(&engine, name, &request, args.values) {
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

/// Containers first, then images, networks, volumes, secrets, unless one kind was asked for.
fn find(
    engine: &Engine,
    name: &str,
    request: &InspectRequest,
    values: bool,
) -> Result<Value, CliError> {
    let kinds = match request.kind {
        Some(kind) => vec![kind],
        None => vec![
            ObjectKind::Container,
            ObjectKind::Image,
            ObjectKind::Network,
            ObjectKind::Volume,
            ObjectKind::Secret,
        ],
    };
    for kind in kinds {
        match document(engine, kind, name, request, values) {
            Err(error) if request.kind.is_none() && is_unknown(&error) => {}
            other => return other.map_err(|error| CliError::engine(Kind::Failed, &error)),
        }
    }
    Err(CliError::new(
        Kind::Failed,
        format!("No such object: {name}"),
    ))
}

fn document(
    engine: &Engine,
    kind: ObjectKind,
    name: &str,
    request: &InspectRequest,
    values: bool,
) -> Result<Value, EngineError> {
    match kind {
        ObjectKind::Container => {
            let found = engine.container(name, request.size)?;
            let (layers, volumes) = (&engine.paths.layers(), &engine.paths.volumes());
            let place = container::Place { layers, volumes };
            Ok(container::document(&found, &place))
        }
        ObjectKind::Image => engine
            .inspect_image(name, request.platform.as_deref())
            .map(|found| image::document(&found)),
        ObjectKind::Volume => engine.volume(name).map(|found| volume::document(&found)),
        ObjectKind::Network => engine.network(name).map(|found| network::document(&found)),
        ObjectKind::Secret => {
            let (secret, value) = engine.secret(name)?;
            Ok(secret::document(&secret, Some(&value).filter(|_| values)))
        }
    }
}

fn is_unknown(error: &EngineError) -> bool {
    match error {
        EngineError::Container(ContainerError::NotFound { .. })
        | EngineError::Volume(VolumeError::NotFound { .. })
        | EngineError::Network(NetworkError::NotFound { .. })
        | EngineError::Secret(SecretError::NotFound { .. }) => true,
        EngineError::Image(error) => matches!(**error, ImageError::Unknown { .. }),
        _ => false,
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
