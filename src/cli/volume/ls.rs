//! `volume ls`.

use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind};
use crate::cli::filters::filtered;
use crate::cli::table::{Columns, Row};
use crate::engine::VolumeSummary;
use crate::engine::request::VolumeFilters;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show only what fits: dangling, name, label, driver
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// `table`, `json` or a Go template
    #[arg(long)]
    format: Option<String>,
    /// Show only names
    #[arg(short, long)]
    quiet: bool,
}

const HEADINGS: &[(&str, &str)] = &[
    ("Driver", "DRIVER"),
    ("Name", "VOLUME NAME"),
    ("Mountpoint", "MOUNTPOINT"),
    ("Scope", "SCOPE"),
    ("Labels", "LABELS"),
    ("Links", "LINKS"),
    ("Size", "SIZE"),
    ("Availability", "AVAILABILITY"),
    ("Group", "GROUP"),
    ("Status", "STATUS"),
];

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let filters = filtered("-f, --filter", &args.filter, VolumeFilters::add)?;
    let listed = invocation.engine()?.list_volumes(&filters);
    let volumes = listed.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    show(&volumes, args.format.as_deref(), args.quiet, invocation)
}

/// The list, as `--format` and `-q` want it.
pub(in crate::cli) fn show(
    volumes: &[VolumeSummary],
    format: Option<&str>,
    quiet: bool,
    invocation: &Invocation,
) -> Result<u8, CliError> {
    let rows: Vec<Row> = volumes.iter().map(row).collect();
    let columns = Columns {
        headings: HEADINGS,
        shown: vec!["Driver", "Name"],
        quiet: "Name",
    };
    invocation.listed(&columns, format, quiet, &rows)
}

fn row(summary: &VolumeSummary) -> Row {
    let volume = &summary.volume;
    let labels = &volume.config.labels;
    let mut row = Row::default();
    row.set("Driver", "local");
    row.set("Name", volume.name.as_str());
    row.set("Mountpoint", volume.data().to_string_lossy());
    row.set("Scope", "local");
    let pairs: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    row.set("Labels", pairs.join(","));
    for unknown in ["Links", "Size", "Availability", "Group", "Status"] {
        row.set(unknown, "N/A");
    }
    row.labels = labels
        .iter()
        .map(|(k, v)| (k.clone(), v.as_str().into()))
        .collect();
    row
}
