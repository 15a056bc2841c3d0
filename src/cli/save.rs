//! `save`.

use std::path::PathBuf;

use super::Invocation;
use super::error::{CliError, Kind};
use crate::engine::request::SaveRequest;
use crate::image::SaveFormat;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// Write to a file (or directory), instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Fail where the image is for another platform
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,
    /// What to write
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "docker-archive"
    )]
    format: Format,
    /// Compress the layers in a directory with gzip
    #[arg(long)]
    compress: bool,
    /// Fail where a manifest would get another digest than it has
    #[arg(long)]
    require_digest: bool,
    /// Do not say which manifests get another digest
    #[arg(short, long)]
    quiet: bool,
}

/// podman's names.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Format {
    /// What docker and podman load, with an OCI layout inside
    DockerArchive,
    /// An OCI layout as a tar
    OciArchive,
    /// An OCI layout as a directory
    OciDir,
    /// A directory as skopeo's `dir:`
    DockerDir,
}

impl Args {
    fn request(self, stdout_is_terminal: bool) -> Result<SaveRequest, CliError> {
        let format = match self.format {
            Format::DockerArchive => SaveFormat::DockerArchive,
            Format::OciArchive => SaveFormat::OciArchive,
            Format::OciDir => SaveFormat::OciDir,
            Format::DockerDir => SaveFormat::DockerDir,
        };
        let is_directory = format.is_directory();
        let output = self.output.filter(|path| path.as_os_str() != "-");
        if self.compress && !is_directory {
            return Err(CliError::usage(
                "--compress can only be set when --format is either 'oci-dir' or 'docker-dir'",
            )
            .hint(format!("bryo save {} | gzip", self.images.join(" "))));
        }
        if is_directory && output.is_none() {
            return Err(CliError::usage(
                "a directory cannot be written to standard output; name it with -o",
            ));
        }
        if output.is_none() && stdout_is_terminal {
            return Err(CliError::new(
                Kind::Failed,
                "cowardly refusing to save to a terminal. Use the -o flag or redirect",
            )
            .hint(format!("bryo save -o image.tar {}", self.images.join(" "))));
        }
        Ok(SaveRequest {
            images: self.images,
            output,
            platform: self.platform,
            format,
            compress: self.compress,
            require_digest: self.require_digest,
            form: None,
        })
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let quiet = args.quiet;
    let request = args.request(invocation.ui.stdout_is_terminal)?;
    let saved = invocation.engine()?.save_images(&request);
    let notes = saved.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    if !quiet {
        notes.iter().for_each(|note| invocation.ui.note(note));
    }
    Ok(0)
}
