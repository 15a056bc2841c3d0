//! `inspect`, `container inspect`, `image inspect`.

use super::Session;
use super::error::CliError;
use crate::engine::request::{InspectRequest, ObjectKind};

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

pub fn run(args: Args, _session: &Session) -> Result<u8, CliError> {
    let _request = args.request()?;
    if let Some(format) = args.format.as_deref().filter(|f| *f != "json") {
        super::template::Template::parse(format).map_err(|error| Session::template(&error))?;
    }
    Err(CliError::not_yet("inspect"))
}
