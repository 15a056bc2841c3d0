//! podman's `artifact ls`.

use jiff::Timestamp;

use super::failed;
use crate::cli::Invocation;
use crate::cli::error::CliError;
use crate::cli::table::{Columns, Layout, Row};
use crate::cli::units;
use crate::image::Artifact;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// `table`, `json` or a Go template
    #[arg(long)]
    format: Option<String>,
    /// Show whole digests
    #[arg(long)]
    no_trunc: bool,
    /// Do not show the columns' names
    #[arg(short, long)]
    noheading: bool,
}

const HEADINGS: &[(&str, &str)] = &[
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("Created", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("VirtualSize", "VIRTUAL SIZE"),
];

pub fn run(args: &Args, invocation: &Invocation) -> Result<u8, CliError> {
    let artifacts = invocation.engine()?.list_artifacts().map_err(failed)?;
    let rows: Vec<Row> = artifacts
        .iter()
        .map(|one| row(one, args.no_trunc))
        .collect();
    let columns = Columns {
        headings: HEADINGS,
        shown: vec!["Repository", "Tag", "Digest", "Created", "Size"],
        quiet: "Digest",
    };
    let layout = Layout::new(args.format.as_deref(), false);
    let shown = columns.render(&layout, &rows);
    let shown = shown.map_err(|error| Invocation::template(&error))?;
    let has_heading = matches!(layout, Layout::Table | Layout::TemplateTable(_));
    let body = match args.noheading && has_heading {
        true => shown.split_once('\n').map_or("", |(_, rows)| rows),
        false => &shown,
    };
    invocation.ui.result(body)?;
    Ok(0)
}

fn row(artifact: &Artifact, whole: bool) -> Row {
    const NONE: &str = "<none>";
    let mut row = Row::default();
    row.set("Repository", artifact.name.name());
    row.set("Tag", artifact.name.tag().unwrap_or(NONE));
    let digest = &artifact.manifest;
    row.set(
        "Digest",
        if whole {
            digest.as_str()
        } else {
            digest.short()
        },
    );
    let created: Option<Timestamp> = artifact.created.as_ref().and_then(|text| text.parse().ok());
    let words = |said: &dyn Fn(Timestamp) -> String| created.map_or("N/A".to_owned(), said);
    let (now, zone) = (Timestamp::now(), units::local_zone());
    row.set("Created", words(&|then| units::ago(then, now)));
    row.set("CreatedAt", words(&|then| units::created_at(then, &zone)));
    row.set("Size", units::size(artifact.size));
    row.set("VirtualSize", artifact.size.to_string());
    row
}
