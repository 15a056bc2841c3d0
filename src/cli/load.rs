//! `load`.

use std::path::PathBuf;

use super::Invocation;
use super::error::{CliError, Kind};
use crate::engine::request::{Input, LoadRequest};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Read from an archive instead of standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Load only the images for a platform
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

impl Args {
    fn request(self) -> Result<LoadRequest, CliError> {
        use std::io::IsTerminal;
        let input = match self.input {
            Some(path) if path.as_os_str() != "-" => Input::File(path),
            Some(_) => Input::Stdin,
            None if std::io::stdin().is_terminal() => {
                return Err(
                    CliError::usage("requested load from stdin, but stdin is empty")
                        .hint("bryo load -i FILE"),
                );
            }
            None => Input::Stdin,
        };
        Ok(LoadRequest {
            only: None,
            input,
            platform: self.platform,
        })
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let quiet = args.quiet;
    let request = args.request()?;
    if !quiet {
        let source = match &request.input {
            Input::Stdin => "standard input".to_owned(),
            Input::File(path) => path.display().to_string(),
        };
        invocation.ui.note(&format!("Loading images from {source}"));
    }
    let loaded = invocation.engine()?.load_images(&request);
    for image in loaded.map_err(|error| CliError::engine(Kind::Failed, &error))? {
        for warning in image.warnings.iter() {
            invocation.ui.warning(warning);
        }
        for name in &image.names {
            invocation
                .ui
                .line(&format!("Loaded image: {}", name.familiar()))?;
        }
        if image.names.is_empty() {
            invocation
                .ui
                .line(&format!("Loaded image ID: {}", image.id))?;
        }
    }
    Ok(0)
}
