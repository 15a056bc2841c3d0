//! `tag`.

use super::Session;
use super::error::CliError;
use crate::engine::request::TagRequest;
use crate::image::ReferenceError;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Name, digest or id of an image
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Its new name: NAME[:TAG]
    #[arg(value_name = "TARGET")]
    target: String,
}

impl Args {
    fn request(self) -> Result<TagRequest, CliError> {
        let target = self.target.parse();
        let target: crate::image::Reference =
            target.map_err(|error: ReferenceError| CliError::failed(&error))?;
        if target.digest().is_some() {
            return Err(CliError::usage(
                "refusing to create a tag with a digest reference",
            ));
        }
        Ok(TagRequest {
            source: self.source,
            target,
        })
    }
}

pub fn run(args: Args, _session: &Session) -> Result<u8, CliError> {
    let _request = args.request()?;
    Err(CliError::not_yet("tag"))
}
