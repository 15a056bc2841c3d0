//! `buildx du`, and how what builds keep is shown. Removes nothing.

use jiff::Timestamp;

use super::Invocation;
use crate::cli::error::{CliError, Kind};
use crate::cli::table::align;
use crate::cli::units;
use crate::engine::CacheEntry;
use crate::engine::request::CacheFilters;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show only what fits: until=DURATION, id=ID, type=TYPE, description=TEXT, inuse=BOOL, shared=BOOL, private=BOOL
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Show everything of each
    #[arg(long)]
    verbose: bool,
    /// Builder to ask: there is one, whatever it is called
    #[arg(long, value_name = "NAME")]
    builder: Option<String>,
}

pub(super) fn filters(texts: &[String]) -> Result<CacheFilters, CliError> {
    let mut filters = CacheFilters::default();
    for text in texts {
        let added = filters.add(text);
        added.map_err(|error| CliError::filter("--filter", text, &error))?;
    }
    Ok(filters)
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    tracing::debug!(builder = ?args.builder, "there is one builder");
    let filters = filters(&args.filter)?;
    let listed = invocation.engine()?.build_cache();
    let mut entries = listed.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    let now = std::time::SystemTime::now();
    entries.retain(|entry| entry.fits(&filters, now));
    let sum = |wanted: &dyn Fn(&CacheEntry) -> bool| -> u64 {
        let wanted = entries.iter().filter(|entry| wanted(entry));
        wanted.map(|entry| entry.size).sum()
    };
    let (total, shared) = (sum(&|_| true), sum(&|entry| entry.shared));
    let mut text = match args.verbose {
        true => details(&entries),
        false => table(&entries),
    };
    let mut sums = Vec::new();
    if shared > 0 {
        sums.push(("Shared:", shared));
        sums.push(("Private:", total - shared));
    }
    sums.push(("Reclaimable:", sum(&|entry| !entry.in_use)));
    sums.push(("Total:", total));
    text += &summary(&sums);
    invocation.ui.result(&text)?;
    Ok(0)
}

pub(super) fn summary(sums: &[(&str, u64)]) -> String {
    align(
        sums.iter()
            .map(|(word, bytes)| vec![(*word).to_owned(), units::size(*bytes)]),
    )
}

fn moment(time: std::time::SystemTime) -> String {
    let time = Timestamp::try_from(time);
    time.map_or_else(|_| String::new(), |time| units::ago(time, Timestamp::now()))
}

/// A row for each; one that images have too is marked.
pub(super) fn table(entries: &[CacheEntry]) -> String {
    let heading = ["ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED"];
    let heading = heading.map(str::to_owned).to_vec();
    let rows = entries.iter().map(|entry| {
        let mark = if entry.shared { "*" } else { "" };
        vec![
            entry.id.clone(),
            (!entry.in_use).to_string(),
            units::size(entry.size) + mark,
            moment(entry.last_used),
        ]
    });
    align(std::iter::once(heading).chain(rows))
}

pub(super) fn details(entries: &[CacheEntry]) -> String {
    let zone = units::local_zone();
    let mut text = String::new();
    for entry in entries {
        let created = entry.created;
        let created = created.map_or_else(String::new, |time| units::created_at(time, &zone));
        let lines = [
            ("ID:", entry.id.clone()),
            ("Created at:", created),
            ("Reclaimable:", (!entry.in_use).to_string()),
            ("Shared:", entry.shared.to_string()),
            ("Size:", units::size(entry.size)),
            ("Description:", entry.description.replace('\n', " ")),
            ("Last used:", moment(entry.last_used)),
            ("Type:", entry.kind.name().to_owned()),
        ];
        text += &align(lines.map(|(key, value)| vec![key.to_owned(), value]));
        text.push('\n');
    }
    text
}
