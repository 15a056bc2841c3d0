//! `ps` and `container ls`.

use jiff::Timestamp;

use super::Invocation;
use super::container_flags::value;
use super::error::CliError;
use super::error::Kind;
use super::filters::filtered;
use super::status;
use super::table::{Columns, Layout};
use crate::engine::request::{PsFilters, PsRequest};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show those that do not run, too
    #[arg(short, long)]
    all: bool,
    /// Show only what fits: id, name, label, status, exited, ancestor, before, since, volume, network, publish, expose
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// `table`, `json` or a Go template
    #[arg(long)]
    format: Option<String>,
    /// Show the last so many made, whatever their state
    #[arg(
        short = 'n',
        long,
        value_name = "COUNT",
        default_value = "-1",
        allow_hyphen_values = true
    )]
    last: String,
    /// Show the one made last, whatever its state
    #[arg(short, long)]
    latest: bool,
    /// Show whole ids and commands
    #[arg(long)]
    no_trunc: bool,
    /// Show only ids
    #[arg(short, long)]
    quiet: bool,
    /// Show sizes
    #[arg(short, long)]
    size: bool,
}

const HEADINGS: &[(&str, &str)] = &[
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("State", "STATE"),
    ("Status", "STATUS"),
    ("Ports", "PORTS"),
    ("Names", "NAMES"),
    ("Size", "SIZE"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
    ("Platform", "PLATFORM"),
];

impl Args {
    fn request(&self) -> Result<PsRequest, CliError> {
        let filters = filtered("-f, --filter", &self.filter, PsFilters::add)?;
        let last: i64 = value("-n, --last", &self.last)?;
        Ok(PsRequest {
            all: self.all,
            last: match self.latest {
                true => Some(1),
                false => usize::try_from(last).ok(),
            },
            // only shown sizes are worth summing up
            size: self.size || self.format.as_deref().is_some_and(|f| f.contains(".Size")),
            filters,
        })
    }

    fn columns(&self) -> Columns {
        let mut shown = vec![
            "ID",
            "Image",
            "Command",
            "RunningFor",
            "Status",
            "Ports",
            "Names",
        ];
        if self.size {
            shown.push("Size");
        }
        Columns {
            headings: HEADINGS,
            shown,
            quiet: "ID",
        }
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = args.request()?;
    let listed = invocation.engine()?.list(&request);
    let containers = listed.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    let (now, zone) = (Timestamp::now(), super::units::local_zone());
    let (columns, format) = (args.columns(), args.format.as_deref());
    let wanted = columns.wanted(&Layout::new(format, args.quiet));
    let rows: Vec<_> = containers
        .iter()
        .map(|container| status::row(container, &wanted, args.no_trunc, now, &zone))
        .collect();
    invocation.listed(&columns, format, args.quiet, &rows)
}
