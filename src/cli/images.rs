//! `images` and `image ls`.

use super::Invocation;
use super::error::CliError;
use super::table::{Columns, Layout};
use crate::engine::request::{ImageFilters, ListImagesRequest};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show only images of this name: REPOSITORY[:TAG]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Show intermediate images too
    #[arg(short, long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Show only what fits: dangling, label, before, since, reference
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// `table`, `json` or a Go template
    #[arg(long)]
    format: Option<String>,
    /// Show whole ids
    #[arg(long)]
    no_trunc: bool,
    /// Show only ids
    #[arg(short, long)]
    quiet: bool,
}

impl Args {
    fn request(&self) -> Result<ListImagesRequest, CliError> {
        let mut filters = ImageFilters::default();
        for text in &self.filter {
            let added = filters.add(text);
            added.map_err(|error| CliError::argument("-f, --filter", text, &error))?;
        }
        Ok(ListImagesRequest {
            all: self.all,
            pattern: self.name.clone(),
            filters,
        })
    }

    fn columns(&self) -> Columns {
        let mut shown = vec!["Repository", "Tag", "ID", "CreatedSince", "Size"];
        if self.digests {
            shown.insert(2, "Digest");
        }
        Columns {
            headings: &[
                ("Repository", "REPOSITORY"),
                ("Tag", "TAG"),
                ("Digest", "DIGEST"),
                ("ID", "IMAGE ID"),
                ("CreatedSince", "CREATED"),
                ("CreatedAt", "CREATED AT"),
                ("Size", "SIZE"),
                ("Containers", "CONTAINERS"),
                ("VirtualSize", "SIZE"),
                ("SharedSize", "SHARED SIZE"),
                ("UniqueSize", "UNIQUE SIZE"),
            ],
            shown,
            quiet: "ID",
        }
    }
}

pub fn run(args: Args, _invocation: &Invocation) -> Result<u8, CliError> {
    let _request = args.request()?;
    let layout = Layout::new(args.format.as_deref(), args.quiet);
    let _ = args.no_trunc;
    let text = args
        .columns()
        .render(&layout, &[])
        .map_err(|error| Invocation::template(&error))?;
    let _ = text;
    Err(CliError::not_yet("images"))
}
