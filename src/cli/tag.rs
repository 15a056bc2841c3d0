//! `tag`.

use super::Invocation;
use super::error::CliError;
use super::error::Kind;
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

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = args.request()?;
    let tagged = invocation.engine()?.tag_image(&request);
    tagged.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    Ok(0)
}
