//! `import`.

use std::path::PathBuf;

use super::Invocation;
use super::error::{CliError, Kind};
use crate::engine::request::{ImportRequest, Input};
use crate::image::Reference;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Archive of a root filesystem (tar, plain or compressed), `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Name for the image: REPOSITORY[:TAG]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Say something about the image
    #[arg(short, long)]
    message: Option<String>,
}

impl Args {
    fn request(self) -> Result<ImportRequest, CliError> {
        let text = self.file.to_string_lossy();
        if text.starts_with("http://") || text.starts_with("https://") {
            return Err(CliError::not_yet("import from a URL")
                .hint(format!("curl -L {text} | bryo import -")));
        }
        let name = self.name.as_deref();
        let reference = name.map(str::parse::<Reference>).transpose();
        Ok(ImportRequest {
            input: match text.as_ref() {
                "-" => Input::Stdin,
                _ => Input::File(self.file),
            },
            reference: reference.map_err(|error| CliError::failed(&error))?,
            message: self.message,
        })
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = args.request()?;
    let imported = invocation.engine()?.import_image(&request);
    let imported = imported.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    for warning in &imported.warnings {
        invocation.ui.warning(warning);
    }
    invocation.ui.line(imported.id.as_str())?;
    Ok(0)
}
