//! `images` and `image ls`.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::error::{CliError, Kind};
use super::filters::filtered;
use super::table::{Columns, Row};
use super::{Invocation, images_tree, units};
use crate::engine::images::ImageRow;
use crate::engine::request::{ImageFilters, ListImagesRequest};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show only images of this name: REPOSITORY[:TAG]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Show images without a name too
    #[arg(short, long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Show only what fits: dangling, label, before, since, until, reference
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
    /// Show each image with its platform, what it takes and whether it is used
    #[arg(long)]
    tree: bool,
}

impl Args {
    fn request(&self) -> Result<ListImagesRequest, CliError> {
        let now = Timestamp::now();
        let filters = filtered(
            "-f, --filter",
            &self.filter,
            |filters: &mut ImageFilters, text| filters.add(text, now),
        )?;
        Ok(ListImagesRequest {
            all: self.all,
            pattern: self.name.clone(),
            filters,
        })
    }

    /// docker's words for what does not go together with a tree.
    fn check_tree(&self) -> Result<(), CliError> {
        let conflicts = [
            (self.quiet, "--quiet"),
            (self.no_trunc, "--no-trunc"),
            (self.digests, "--show-digest"),
            (self.format.is_some(), "--format"),
        ];
        match conflicts.into_iter().find(|(given, _)| *given) {
            Some((_, flag)) => Err(CliError::new(
                Kind::Failed,
                format!("{flag} is not yet supported with --tree"),
            )),
            None => Ok(()),
        }
    }

    fn columns(&self) -> Columns {
        let mut columns = columns();
        if self.digests {
            columns.shown.insert(2, "Digest");
        }
        columns
    }
}

/// Those that `images` shows, and those that it can.
pub(super) fn columns() -> Columns {
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
        shown: vec!["Repository", "Tag", "ID", "CreatedSince", "Size"],
        quiet: "ID",
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = args.request()?;
    if args.tree {
        args.check_tree()?;
        return images_tree::run(&request, invocation);
    }
    let listed = invocation.engine()?.list_images(&request);
    let images = listed.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    let (now, zone) = (Timestamp::now(), units::local_zone());
    let rows: Vec<Row> = images
        .iter()
        .map(|image| row(image, args.no_trunc, now, &zone))
        .collect();
    invocation.listed(&args.columns(), args.format.as_deref(), args.quiet, &rows)
}

/// One line of `images`; `whole` is `--no-trunc`.
pub(super) fn row(image: &ImageRow, whole: bool, now: Timestamp, zone: &TimeZone) -> Row {
    const NONE: &str = "<none>";
    let mut row = Row::default();
    row.set("Repository", image.repository.as_deref().unwrap_or(NONE));
    row.set("Tag", image.tag.as_deref().unwrap_or(NONE));
    row.set(
        "Digest",
        image.digest.as_ref().map_or(NONE, |digest| digest.as_str()),
    );
    row.set(
        "ID",
        if whole {
            image.id.as_str()
        } else {
            image.id.short()
        },
    );
    let created =
        |words: &dyn Fn(Timestamp) -> String| image.created.map_or("N/A".to_owned(), words);
    row.set("CreatedSince", created(&|then| units::ago(then, now)));
    row.set("CreatedAt", created(&|then| units::created_at(then, zone)));
    row.set("Size", units::size(image.size));
    row.set("VirtualSize", units::size(image.size));
    for unknown in ["Containers", "SharedSize", "UniqueSize"] {
        row.set(unknown, "N/A");
    }
    row
}
