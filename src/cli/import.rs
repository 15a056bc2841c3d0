//! `import`.

use std::path::PathBuf;

use super::Invocation;
use super::error::{CliError, Kind};
use super::progress::Bars;
use crate::engine::request::{ConfigChange, ImportRequest, ImportSource, Input};
use crate::image::Reference;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Archive of a root filesystem (tar, plain or compressed) or its URL, `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Name for the image: REPOSITORY[:TAG]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Set something by a Dockerfile instruction (CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR)
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Say something about the image
    #[arg(short, long)]
    message: Option<String>,
    /// What it is for (os/arch[/variant]), if not for this host
    #[arg(long)]
    platform: Option<String>,
}

impl Args {
    fn request(self) -> Result<ImportRequest, CliError> {
        let text = self.file.to_string_lossy();
        let source = match text.as_ref() {
            "-" => ImportSource::Archive(Input::Stdin),
            url if url.starts_with("http://") || url.starts_with("https://") => {
                ImportSource::Url(url.to_owned())
            }
            _ => ImportSource::Archive(Input::File(self.file)),
        };
        let name = self.name.as_deref();
        let reference = name.map(str::parse::<Reference>).transpose();
        let reference = reference.map_err(|error| CliError::failed(&error))?;
        if reference.as_ref().and_then(Reference::digest).is_some() {
            return Err(CliError::new(
                Kind::Failed,
                "cannot import digest reference",
            ));
        }
        let mut changes = Vec::new();
        for text in &self.change {
            let change = ConfigChange::parse(text);
            changes.extend(change.map_err(|error| CliError::failed(&error))?);
        }
        Ok(ImportRequest {
            source,
            reference,
            message: self.message,
            platform: self.platform,
            changes,
        })
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = args.request()?;
    let bars = Bars::new(&invocation.ui);
    let imported = invocation.engine()?.import_image(&request, &bars);
    let imported = imported.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    for warning in &imported.warnings {
        invocation.ui.warning(warning);
    }
    invocation.ui.line(imported.id.as_str())?;
    Ok(0)
}
